#!/bin/sh
# A crash leaves no core dump with credentials in it, and they are in nobody's argv. (Journal, output and log: repair.sh.)
. tests/e2e/lib

nm "$FIXFLEET" 2>/dev/null | grep -q __asan_init && { echo "built with sanitizers: core dumps are theirs"; exit 77; }
case $(cat /proc/sys/kernel/core_pattern) in
/* | '|'*) echo "core dumps of this machine go elsewhere"; exit 77 ;;
esac
scenario '{}' '[{"match":{"method":"GET","path":"*/virtualMachines"},"answer":{"hang_ms":20000}}]' "$(win b-1 bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
mkdir "$T/cores"
cd "$T/cores"
ulimit -c unlimited || { echo "core dumps cannot be switched on"; exit 77; }
# the test can fail: another process does leave one
sleep 60 &
kill -ABRT $!
wait $! || true
[ -n "$(ls)" ] || { echo "this machine writes no core dumps"; exit 77; }
rm -f ./*
"$FIXFLEET" list --provider azure --rg prod -v >"$T/out" 2>"$T/err" &
pid=$!
tries=0
until grep -q oauth2 "$T/err"; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || fail "it did not sign in within 10 s"
	sleep 0.1
done
! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q secret-that || fail "the secret is in argv"
kill -ABRT $pid
wait $pid || true
[ -z "$(ls)" ] || fail "a core dump of a process with credentials: $(ls)"
