#!/bin/sh
# slow: Ctrl-C in the middle. No new VM is begun, those under way come home, exit status 130.
. tests/e2e/lib

scenario '{"latency_ms":{"powerOff":3000}}' '[]' "$(win i-1 bad.img)" "$(win i-2 bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
"$FIXFLEET" --provider azure --rg prod --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes --parallel 1 \
	--output json -v >"$T/out" 2>"$T/err" </dev/null &
pid=$!
tries=0
until sim_state '.vms[] | .stops' | grep -q 1; do
	tries=$((tries + 1))
	[ $tries -lt 600 ] || fail "nothing was stopped within 60 s"
	sleep 0.1
done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status -eq 130 ] || { cat "$T/err"; fail "exit status $status, not 130"; }
at_home i-1
at_home i-2
[ "$(sim_state '.vms[] | select(.name == "i-2") | .stops')" = 0 ] || fail "a VM was begun after the interrupt"
[ "$(copies)" -eq 0 ] || fail "a copy is left"
tidy
