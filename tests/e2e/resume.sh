#!/bin/sh
# slow: fixfleet is killed twice in the middle, with kill -9, and gone on with. All VMs end mended, nothing is done twice;
# going on once more changes nothing.
. tests/e2e/lib

scenario '{}' '[]' "$(win i-1 bad.img)" "$(win i-2 bad.img)" "$(win i-3 good.img '{"agent":"not-ready"}')" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"

# kill_when CONDITION COMMAND...: run it, and kill it when that shell command succeeds
kill_when() {
	condition=$1
	shift
	"$@" >"$T/out" 2>>"$T/err" </dev/null &
	pid=$!
	tries=0
	until $condition; do
		kill -0 $pid 2>/dev/null || { cat "$T/err"; fail "it ended before $condition"; }
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || fail "not within 120 s: $condition"
		sleep 0.1
	done
	busy=0
	"$FIXFLEET" resume "$T/run" >"$T/busy" 2>&1 </dev/null || busy=$?
	kill -9 $pid
	wait $pid 2>/dev/null || true
	[ $busy -eq 3 ] && grep -q "in use by fixfleet process $pid" "$T/busy" || { cat "$T/busy"; fail "a second one was let in ($busy)"; }
}

worker_has_all() {
	[ "$(grep -c '"k":"job"' "$T/run/journal.jsonl" 2>/dev/null)" = 3 ]
}
one_is_swapped() {
	[ "$(sim_state 'any(.vms[]; .name == "i-1" and (.os_disk.id | endswith("/i-1-os") | not))')" = true ]
}

kill_when worker_has_all \
	"$FIXFLEET" --provider azure --rg prod --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes --no-canary -v
"$FIXFLEET" status "$T/run" --output json >"$T/status" 2>>"$T/err"
json "$T/status" 'all(.instances[]; .outcome == null and (.where | test("copy .* is on .rescue-1., LUN")))' "status says where the copies are"

# the journal's last record is torn
printf '{"n":9999,"t":"2024' >>"$T/run/journal.jsonl"

# one has its mended copy already, and is not proved yet
kill_when one_is_swapped "$FIXFLEET" resume "$T/run" -v
"$FIXFLEET" resume "$T/run" --output json -v >"$T/out" 2>>"$T/err" </dev/null || { cat "$T/err"; fail "exit status $?"; }
ended i-1 repaired
ended i-2 repaired
ended i-3 clean
json "$T/out" '.instances[0].removed | length == 1' "what was removed is known, whoever removed it"
on_copy i-1
on_copy i-2
at_home i-3
[ "$(copies)" -eq 2 ] || fail "$(copies) copies: something was made twice, or is left"
[ "$(sim_state '.vms[] | select(.name == "i-1" or .name == "i-2") | .stops' | sort -u)" = 1 ] || fail "a VM was stopped twice"
tidy

# again, and with the cloud gone: it is at its end
before=$(mutations) size=$(wc -c <"$T/run/journal.jsonl")
expect 0 "$FIXFLEET" resume "$T/run" --output json
said "there is nothing to go on with"
json "$T/out" '[.instances[].outcome] == ["repaired","repaired","clean"] and .totals.unfinished == 0' "the same result"
[ "$(mutations)" -eq "$before" ] || fail "resuming a finished run changed something"
[ "$(wc -c <"$T/run/journal.jsonl")" -eq "$size" ] || fail "resuming a finished run wrote into its journal"
! grep -qE 'secret-that-must-never-show|Bearer |eyJ' "$T/run/journal.jsonl" "$T/err" || fail "a secret is in the journal or the log"
