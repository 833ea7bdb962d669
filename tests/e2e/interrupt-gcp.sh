#!/bin/sh
# Killed while GCP stops a VM, gone on with, and Ctrl-C then. The stop is still under way when the VM is to go home: its operation is
# asked for until it is over, and only then is the VM started. What was found running would stand still when the stop ends.
. tests/e2e/lib

# the stop takes ten minutes of the cloud's clock, which is put forward when they are over
cloud_scenario gcp '{"latency_ms":{"stopHung":600000,"start":500,"boot":1500}}' '[]' \
	"$(gcp_win g-1 '' '{"boot":{"device_name":"sda","auto_delete":false}}')" "$(gcp_rescue rescue-g)"
sim_start "$T/scenario.json" "$T/cloud"

# until_true TEXT COMMAND...: wait until that succeeds
until_true() {
	what=$1 tries=0
	shift
	until "$@"; do
		kill -0 $pid 2>/dev/null || { cat "$T/err"; fail "it ended before $what"; }
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || { cat "$T/err"; fail "not within 120 s: $what"; }
		sleep 0.1
	done
}
# what was answered to questions for the stop's operation
asked() {
	jq -r 'select(.method == "GET" and (.url | contains("/operations/"))) | .response_body | fromjson | select(.operationType == "stop") | .status' \
		"$O/traffic/$SIM_NAME.jsonl"
}
stop_is_recorded() {
	grep -q '"step":"stop".*/operations/' "$T/run/journal.jsonl" 2>/dev/null
}
looks_again() {
	grep -q 'GET .*/instances/g-1: 200' "$T/err"
}
is_asked() {
	[ "$(asked | grep -c RUNNING)" -gt 1 ]
}

"$FIXFLEET" --provider gcp --project p1 --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes >"$T/out" 2>"$T/err" </dev/null &
pid=$!
trap 'kill -9 $pid 2>/dev/null || :; sim_stop' EXIT
until_true "the stop is recorded" stop_is_recorded
kill -9 $pid
wait $pid 2>/dev/null || true
"$FIXFLEET" resume "$T/run" --output json -v >"$T/out" 2>"$T/err" </dev/null &
pid=$!
until_true "the stop is looked for" looks_again
kill -INT $pid
until_true "its operation is asked for" is_asked
state '.gcp.vms[] | select(.name == "g-1") | .power == "stopping" and .starts == 0' "it is started although it is stopping"
curl -sS --cacert "$SIM_CA" -X POST -d '' "$SIM_URL/_sim/advance?ms=600000" >/dev/null
status=0
wait $pid || status=$?
pid=
[ $status -eq 130 ] || { cat "$T/err"; fail "exit status $status, not 130"; }
ended g-1 failed-home "interrupted before it was mended"
[ "$(asked | tail -n 1)" = DONE ] || fail "it was not waited for: $(asked)"
state '.gcp.vms[] | select(.name == "g-1") | [.power, .own_disk, .stops, .starts, .labels] == ["running",true,1,1,{}]' "it does not run as before"
state 'all(.gcp.disks[]; .labels["fixfleet-run"] == null) and .gcp.snapshots == []' "something is left over"
no_violations
