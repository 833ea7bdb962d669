#!/bin/sh
# slow: the disk with the run's folder is full in the middle. Nothing further is asked of the cloud, what to do is said, and
# then the run goes on.
. tests/e2e/lib
command -v prlimit >/dev/null || { echo "needs prlimit"; exit 77; }

scenario '{"latency_ms":{"powerOff":3000}}' '[]' "$(win i-1 bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"

# a file size limit is as good as a full disk: writing fails (its signal is ignored, as no full disk sends one)
(
	trap '' XFSZ
	exec "$FIXFLEET" --provider azure --rg prod --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes -v
) >"$T/out" 2>"$T/err" </dev/null &
pid=$!
tries=0
until [ "$(sim_state '.vms[] | select(.name == "i-1") | .stops')" = 1 ]; do
	tries=$((tries + 1))
	[ $tries -lt 1200 ] || { cat "$T/err"; fail "nothing was stopped within 120 s"; }
	sleep 0.1
done
prlimit --pid $pid --fsize="$(wc -c <"$T/run/journal.jsonl")"
status=0
wait $pid || status=$?
[ $status -eq 4 ] || { cat "$T/err"; fail "exit status $status, not 4"; }
said "cannot write journal"
said "nothing further was asked of the cloud"
said "can be written (free space?), then go on with: fixfleet resume $T/run"
asked=$(mutations)

"$FIXFLEET" resume "$T/run" --output json -v >"$T/out" 2>"$T/err" </dev/null || { cat "$T/err"; fail "exit status $?"; }
ended i-1 repaired
on_copy i-1
[ "$(sim_state '.vms[] | select(.name == "i-1") | .stops')" = 1 ] || fail "it was stopped twice"
[ "$(copies)" -eq 1 ] || fail "$(copies) copies"
[ "$(mutations)" -gt "$asked" ] || fail "nothing was done"
tidy
