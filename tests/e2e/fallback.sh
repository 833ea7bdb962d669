#!/bin/sh
# slow: attachDetachDataDisks is refused, and the swap demands deallocation. The rescue VM's own data disk stays where it is.
. tests/e2e/lib

scenario '{"attach_api":"subscription","swap_needs_deallocate":true,
	"disks":[{"name":"keep-me","group":"prod","location":"westeurope","zone":"1","size_gib":4,"sku":"Premium_LRS","attached_to":"rescue-1","lun":1}]}' '[]' \
	"$(win p-1 bad.img)" "$(win p-2 bad.img)" "$(win p-ip bad.img '{"public_ip":"dynamic"}')" \
	"$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair
ended p-1 repaired
ended p-2 repaired
# deallocating would lose its address: not without the operator's word
ended p-ip failed-home "--allow-deallocate"
at_home p-ip
[ "$(sim_state '.vms[] | select(.name == "rescue-1") | .data_disks[] | "\(.lun) \(.disk | split("/") | last)"')" = "1 keep-me" ] ||
	fail "the rescue VM's own disk was moved"
tidy 1
# and as if the operator had thought about it for a while: so soon after its start its agent might still answer
by_hand age p-ip
repair --allow-deallocate
ended p-ip repaired
on_copy p-ip
tidy 1
