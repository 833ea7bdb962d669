#!/bin/sh
# A core taken of the controller from outside holds its credentials, as any program's would, but none of the keys of --keys.
# (While keys are given to a worker: bitlocker.sh.)
. tests/e2e/lib

[ "$(id -u)" -eq 0 ] || { echo "needs root: nobody else may look into the controller"; exit 77; }
command -v gcore >/dev/null || { echo "needs gcore, of gdb"; exit 77; }
nm "$FIXFLEET" 2>/dev/null | grep -q __asan_init && { echo "built with sanitizers: their shadow is no core to look through"; exit 77; }
key=000011-000022-000033-000044-000055-000066-000077-000088
scenario '{}' '[{"match":{"method":"GET","path":"*/virtualMachines"},"answer":{"hang_ms":60000}}]' "$(win b-1 bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
printf 'vm-1,%s\n' $key >"$T/keys.csv"
printf '{"vm-1":"%s"}' $key >"$T/keys.json"
chmod 600 "$T"/keys.*
for file in keys.csv keys.json; do
	"$FIXFLEET" --provider azure --rg prod --keys "$T/$file" --yes -v --run-dir "$T/run-$file" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	tries=0
	until grep -q oauth2 "$T/err"; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || fail "it did not sign in within 30 s"
		sleep 0.1
	done
	gcore -o "$T/core" $pid >/dev/null 2>&1 || { kill -9 $pid; echo "gcore does not work here"; exit 77; }
	grep -qaF 'e2e~secret-that' "$T/core.$pid" || fail "that is no core of the controller"
	! grep -qaF "$key" "$T/core.$pid" || fail "the key is in the core ($file)"
	rm -f "$T/core.$pid"
	kill -9 $pid
	wait $pid || true
done
