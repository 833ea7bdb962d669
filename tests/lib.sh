# Shared by the demo and the end-to-end tests (sourced, POSIX sh). Needs O, the build folder.
# The simulated cloud is real HTTPS, its disks are real image files; nothing of fixfleet is replaced.

O=${O:-build}
FIXFLEET=$PWD/$O/fixfleet
CLOUDSIM=$PWD/$O/cloudsim
MKDISKS=$PWD/$O/mkdisks
SUB=00000000-0000-0000-0000-000000000001
SIM_PID=
SIM_COUNT=0

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# sim_start SCENARIO WORK [OPTION...]: start the cloud, wait until it is ready, put its endpoints and credentials into the environment
sim_start() {
	SIM_WORK=$2
	mkdir -p "$2" "$O/traffic"
	# a story's earlier cloud keeps its traffic, to be judged too
	if [ $SIM_COUNT -gt 0 ] && [ -e "$O/traffic/$SIM_NAME.jsonl" ]; then
		mv "$O/traffic/$SIM_NAME.jsonl" "$O/traffic/$SIM_NAME.$SIM_COUNT.jsonl"
	fi
	SIM_COUNT=$((SIM_COUNT + 1))
	rm -f "$2/ready.json"
	sim_scenario=$1
	shift 2
	"$CLOUDSIM" --scenario "$sim_scenario" --work-dir "$SIM_WORK" --dev-root "$SIM_WORK/dev" --ready "$SIM_WORK/ready.json" \
		--traffic "$O/traffic/$SIM_NAME.jsonl" "$@" >"$SIM_WORK/cloudsim.log" 2>&1 &
	SIM_PID=$!
	sim_tries=0
	while [ ! -s "$SIM_WORK/ready.json" ]; do
		kill -0 "$SIM_PID" 2>/dev/null || { cat "$SIM_WORK/cloudsim.log" >&2; fail "cloudsim did not start"; }
		sim_tries=$((sim_tries + 1))
		[ $sim_tries -lt 300 ] || fail "cloudsim is not ready after 30 s"
		sleep 0.1
	done
	# shellcheck disable=SC1091
	. "$SIM_WORK/env.sh"
	SIM_URL=$(jq -r .url "$SIM_WORK/ready.json")
	SIM_CA=$(jq -r .ca "$SIM_WORK/ready.json")
}

sim_stop() {
	if [ -n "$SIM_PID" ]; then
		kill "$SIM_PID" 2>/dev/null || true
		wait "$SIM_PID" 2>/dev/null || true
		SIM_PID=
	fi
}

# sim_state JQ-FILTER: what the cloud knows to be true
sim_state() {
	curl -sS --cacert "$SIM_CA" "$SIM_URL/_sim/state" | jq -r "(. + .azure) | $1"
}

# The cloud's own list of broken promises must be empty; but for those with that text.
no_violations() {
	violations=$(sim_state '.violations[]?')
	[ -z "$violations" ] || fail "the cloud saw: $violations"
}

no_violations_but() { # no_violations_but TEXT
	violations=$(sim_state '.violations[]?' | grep -vF -e "$1" || :)
	[ -z "$violations" ] || fail "the cloud saw: $violations"
}

# How many requests changed something? (Everything but reading, signing in and polling.)
mutations() {
	jq -s '[.[] | select(.method != "GET" and (.url | test("oauth2") | not))] | length' "$O/traffic/$SIM_NAME.jsonl"
}

# tree IMAGE...: every file of every file system with its hash, read without fixfleet
tree() {
	"$MKDISKS" --tree "$@"
}

# json FILE JQ-CONDITION TEXT: the condition must hold
json() {
	jq -e "$2" "$1" >/dev/null || { jq . "$1" >&2 || cat "$1" >&2; fail "$3"; }
}

# expect STATUS COMMAND...: run it, output to $T/out and $T/err
expect() {
	want=$1
	shift
	got=0
	"$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
	[ "$got" -eq "$want" ] || { cat "$T/out" "$T/err" >&2; fail "exit status $got, not $want: $*"; }
}

# said TEXT: a line on stderr of the last expect holds it
said() {
	grep -qF -- "$1" "$T/err" || { cat "$T/err" >&2; fail "stderr does not say: $1"; }
}
