#!/bin/sh
# slow: operations that fail late. The VM goes home unmended, runs again on its own disk, and the copy is gone.
. tests/e2e/lib

faults='[
 {"match":{"method":"PUT","path":"*/disks/*f-copy*"},"answer":{"operation_fails":{"code":"InternalDiskManagementError","message":"Disk service encountered an internal error."}}},
 {"match":{"method":"POST","path":"*/f-stop/powerOff*"},"answer":{"operation_fails":{"code":"VMAgentStatusCommunicationError","message":"the host is gone"}}},
 {"match":{"method":"PATCH","path":"*/f-swap","nth":2},"answer":{"status":409,"code":"PropertyChangeNotAllowed","message":"HyperVisor property on the OSDisk and VM do not match."}}
]'
scenario '{"deny":[{"action":"Microsoft.Compute/disks/write","scope":"*f-deny*"}]}' "$faults" "$(win f-copy bad.img)" "$(win f-stop bad.img)" \
	"$(win f-swap bad.img)" "$(win f-deny bad.img)" "$(win f-none bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1"; }
ended f-none repaired
ended f-copy failed-home
ended f-swap failed-home "HyperVisor property"
ended f-deny failed-home "disks/write"
for vm in f-copy f-stop f-swap f-deny; do
	at_home $vm
done
on_copy f-none
[ "$(copies)" -eq 1 ] || fail "copies of failed VMs are left over: $(sim_state '.disks[] | select(.tags["fixfleet-run"] != null) | .id')"
tidy
