#!/bin/sh
# No permission, and locks: found before anything is stopped.
. tests/e2e/lib

scenario '{"deny":[{"action":"Microsoft.Compute/virtualMachines/write","scope":"*n-1*"}],"locks":[{"name":"hands-off","group":"prod","vm":"n-2","level":"ReadOnly"}]}' '[]' \
	"$(win n-1 bad.img)" "$(win n-2 bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair
[ $status -eq 3 ] || { cat "$T/err"; fail "exit status $status, not 3: nothing was started"; }
ended n-1 skipped "Microsoft.Compute/virtualMachines/write"
ended n-2 skipped "lock"
[ "$(sim_state '.vms[].stops' | sort -u)" = 0 ] || fail "a VM was stopped"
tidy
