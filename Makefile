# fixfleet - mends fleets of cloud VMs that can no longer boot
#
#   make             build build/fixfleet          make demo        mend a simulated fleet, everything else real
#   make test        all tests                     make lint        clang-tidy and clang-format
#   make check-asan  tests under ASan+UBSan+LSan   make contract    judge recorded traffic by the clouds' descriptions
#   make fuzz        hostile input, FUZZ_SECONDS=5 a target     make deps   install what is missing
#   make install     PREFIX=/usr/local DESTDIR=
#
# "demo" and "test" begin with "deps", so they need nothing but git and make on Debian 12 or Ubuntu 22.04 and newer.

O       ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
CFLAGS  ?= -O2 -g
VERSION := 0.1.0

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
PACKAGES := libcurl jansson libcrypto libuv libguestfs libxml-2.0
CPPFLAGS += -D_GNU_SOURCE -DFF_VERSION='"$(VERSION)"' -Iinclude
HARDEN   := -fstack-protector-strong -fPIE
ALL_CFLAGS = -std=c11 $(WARN) $(HARDEN) $(shell pkg-config --cflags $(PACKAGES)) $(CPPFLAGS) $(CFLAGS)
LIBS     = $(shell pkg-config --libs $(PACKAGES))
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now $(LDFLAGS)

# A folder is compiled with -Iinclude and itself, nothing else: a wrong arrow is a failed include.
FOLDERS  := base keys engine engine/runtime providers providers/azure providers/aws providers/gcp diskops cmd
SOURCES  := $(foreach d,$(FOLDERS),$(wildcard $(d)/*.c))
OBJECTS  := $(SOURCES:%.c=$(O)/%.o)
LIBRARY  := $(O)/libfixfleet.a
SIM_SRC  := $(wildcard tests/cloudsim/*.c)
SIM_OBJ  := $(SIM_SRC:%.c=$(O)/%.o)
SIM_LIB  := $(O)/libcloudsim.a
VW_SRC   := $(filter-out tests/sim/main.c,$(wildcard tests/sim/*.c))
VW_OBJ   := $(VW_SRC:%.c=$(O)/%.o)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(O)/tests/%)
FIXTURE_SRC := $(wildcard tests/fixtures/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(O)/%)
FUZZ_OBJ := $(patsubst %.c,$(O)/%.o,$(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c)))
ALL_C    = $(SOURCES) $(SIM_SRC) $(wildcard tests/sim/*.c) $(FIXTURE_SRC) $(wildcard tests/unit/*.c tests/bench/*.c tests/fuzz/*.c)
ALL_H    = $(wildcard include/fixfleet/*.h $(addsuffix /*.h,$(FOLDERS)) tests/*/*.h)

all: $(O)/fixfleet

# ---------------------------------------------------------------- build

$(O)/fixfleet: $(O)/cmd/main.o $(LIBRARY)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(LIBRARY) $(LIBS)

$(LIBRARY): $(filter-out $(O)/cmd/main.o,$(OBJECTS))
	rm -f $@
	ar rcs $@ $^

$(O)/cloudsim: $(O)/tests/cloudsim/main.o $(SIM_LIB)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(SIM_LIB) $(LIBRARY) $(LIBS) -lmicrohttpd -lssl -lgnutls

$(SIM_LIB): $(filter-out $(O)/tests/cloudsim/main.o,$(SIM_OBJ)) $(LIBRARY)
	rm -f $@
	ar rcs $@ $(filter %.o,$^)

$(O)/mkdisks: $(FIXTURE_SRC:%.c=$(O)/%.o) $(LIBRARY)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# Tests see what is inside the folders.
$(O)/tests/cloudsim/%.o: CPPFLAGS += -Itests/cloudsim
$(O)/tests/fixtures/%.o: CPPFLAGS += -I.
$(O)/tests/sim/%.o $(O)/tests/bench/%.o: CPPFLAGS += -I. -Itests/cloudsim -Itests/sim
$(O)/tests/unit/%.o: CPPFLAGS += -I. -Itests/cloudsim -DFF_SOURCE_DIR='"$(CURDIR)"'

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/tests/test_%: $(O)/tests/unit/test_%.o $(SIM_LIB) $(LIBRARY)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(SIM_LIB) $(LIBRARY) $(LIBS) -lcriterion -lmicrohttpd -lssl -lgnutls

$(O)/sim: $(O)/tests/sim/main.o $(VW_OBJ) $(SIM_LIB) $(LIBRARY)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(VW_OBJ) $(SIM_LIB) $(LIBRARY) $(LIBS)

# Benchmarks in virtual time.
$(O)/bench-%: $(O)/tests/bench/%.o $(VW_OBJ) $(SIM_LIB) $(LIBRARY)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(VW_OBJ) $(SIM_LIB) $(LIBRARY) $(LIBS)

-include $(VW_OBJ:.o=.d) $(wildcard $(O)/tests/bench/*.d $(O)/tests/sim/*.d)

$(O)/tests/fuzz/%.o: CPPFLAGS += -I. -Itests/cloudsim

$(O)/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(FUZZ_OBJ) $(SIM_LIB) $(LIBRARY)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lssl -lgnutls

tools: $(O)/fixfleet $(O)/cloudsim $(O)/mkdisks

-include $(OBJECTS:.o=.d) $(SIM_OBJ:.o=.d) $(FIXTURE_SRC:%.c=$(O)/%.d) $(UNIT_SRC:%.c=$(O)/%.d) $(FUZZ_SRC:%.c=$(O)/%.d) $(FUZZ_OBJ:.o=.d)

# ---------------------------------------------------------------- test

deps:
	scripts/deps

check-unit: $(UNIT_BIN) $(O)/mkdisks
	tests/run-unit $(UNIT_BIN)

check-e2e: tools
	O=$(O) tests/run-e2e

check: check-unit check-sim check-e2e

test: deps
	$(MAKE) tools
	$(MAKE) check

demo demo-azure demo-aws demo-gcp: deps
	$(MAKE) tools
	O=$(O) tests/demo $(patsubst demo%,%,$(subst -, ,$@))

check-asan:
	$(MAKE) O=build/asan CFLAGS='-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined' tools check-unit
	O=build/asan FF_E2E=fast tests/run-e2e

# FUZZ_SECONDS of each target (5); one alone: make fuzz FUZZ=journal FUZZ_SECONDS=300
fuzz:
	$(MAKE) O=build/fuzz CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined' fuzz-targets
	O=build/fuzz tests/fuzz/run $(FUZZ)

fuzz-targets: $(FUZZ_BIN)

lint:
	scripts/lint

fmt:
	clang-format -i $(ALL_C) $(ALL_H)

contract:
	tests/contract/run $(O)

bench-disks: tools
	O=$(O) tests/bench/disks
	O=$(O) tests/bench/bitlocker

# Incidents in virtual time: SEEDS of them from BASE on; check-sim is the fixed set, every crash, every fault and some
# pairs of them, sim-exhaustive is every pair.
SEEDS ?= 1000
BASE  ?= 1
.PHONY: sim check-sim sim-exhaustive sim-mutants
sim: $(O)/sim
	$< --seeds $(SEEDS) --base $(BASE)

check-sim: $(O)/sim
	$< --seeds 400 --base 1
	$< --exhaustive --some

sim-exhaustive: $(O)/sim
	$< --exhaustive

sim-mutants: $(O)/sim
	O=$(O) tests/sim/mutants

.PHONY: bench-scale bench-instructions
bench-scale: $(O)/bench-scale
	$<

bench-instructions: $(O)/bench-scale
	O=$(O) tests/bench/instructions

.PHONY: bench-clouds
bench-clouds: $(O)/bench-clouds
	$<

# ---------------------------------------------------------------- install

install: $(O)/fixfleet
	install -D -m 755 $(O)/fixfleet $(DESTDIR)$(PREFIX)/bin/fixfleet
	install -D -m 644 docs/fixfleet.1 $(DESTDIR)$(PREFIX)/share/man/man1/fixfleet.1
	install -D -m 644 docs/fixfleet.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/fixfleet

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/fixfleet $(DESTDIR)$(PREFIX)/share/man/man1/fixfleet.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/fixfleet

clean:
	rm -rf build

print-%:
	@echo $($*)

.PHONY: all tools deps check-unit check-e2e check test demo demo-azure demo-aws demo-gcp check-asan fuzz fuzz-targets lint fmt contract bench-disks install uninstall clean
.SECONDARY:
.DELETE_ON_ERROR:
