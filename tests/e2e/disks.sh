#!/bin/sh
# slow: disks that cannot be mended. Each VM goes home on its own disk and says why; a good neighbour is mended all the same.
. tests/e2e/lib

loop='{"agent":"not-ready"}'
scenario '{}' '[]' "$(win d-bad bad.img)" "$(win d-linux linux.img "$loop")" "$(win d-empty empty.img "$loop")" "$(win d-nowin nowindows.img "$loop")" \
	"$(win d-bitlocker bitlocker.img "$loop")" "$(win d-broken broken.img "$loop")" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1"; }
ended d-bad repaired
ended d-linux failed-home "no Windows"
ended d-empty failed-home "no Windows"
ended d-nowin failed-home "no Windows"
ended d-bitlocker failed-home "BitLocker"
ended d-broken failed-home "unreadable NTFS"
for vm in d-linux d-empty d-nowin d-bitlocker d-broken; do
	at_home $vm
done
on_copy d-bad
[ "$(copies)" -eq 1 ] || fail "copies are left over"
tidy
