#!/bin/sh
# cleanup on Azure: it lists, it asks, it deletes only what is free and bears the run's tag.
. tests/e2e/lib

scenario '{}' '[]' "$(win v-1 bad.img)" "$(win v-2 bad.img)" "$(win v-3 bad.img)" "$(win v-4 good.img '{"agent":"not-ready"}')" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair
for vm in v-1 v-2 v-3; do
	ended $vm repaired
done
ended v-4 clean

# the list has names and sizes; without a terminal it needs --yes
expect 2 "$FIXFLEET" cleanup "$T/run" --run-dir "$T/tidy"
said "v-1: delete disk 'v-1-os', 1 GiB"
said "3 to delete, 3 GiB in all; 0 left alone"
said "no terminal to ask on"
expect 0 "$FIXFLEET" cleanup "$T/run" --dry-run; said "nothing was changed"
expect 2 "$FIXFLEET" cleanup "$T/nothing"; said "no run"
[ "$(sim_state '[.disks[] | .name | select(test("^v-.-os$"))] | length')" -eq 4 ] || fail "a disk is gone"

# one loses its tag, one is attached to somebody: both stay, and the reason says why
token() {
	curl -sS --cacert "$SIM_CA" -d 'grant_type=client_credentials&client_id=22222222-2222-2222-2222-222222222222' \
		--data-urlencode 'client_secret=e2e~secret-that-must-never-show' --data-urlencode "scope=https://management.azure.com/.default" \
		"$SIM_URL/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token" | jq -r .access_token
}
compute=$SIM_URL/subscriptions/$SUB/resourceGroups/prod/providers/Microsoft.Compute
bearer="Authorization: Bearer $(token)"
curl -sS --cacert "$SIM_CA" -X PATCH -H "$bearer" -H 'Content-Type: application/json' -d '{"tags":{"mine":"yes"}}' \
	"$compute/disks/v-1-os?api-version=2024-03-02" >"$T/patched"
curl -sS --cacert "$SIM_CA" -X POST -H "$bearer" -H 'Content-Type: application/json' \
	-d "{\"dataDisksToAttach\":[{\"diskId\":\"/subscriptions/$SUB/resourceGroups/prod/providers/Microsoft.Compute/disks/v-2-os\",\"lun\":7}]}" \
	"$compute/virtualMachines/rescue-1/attachDetachDataDisks?api-version=2024-07-01" >"$T/attached"
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(sim_state '.disks[] | select(.name == "v-2-os") | .managed_by')" = null ] || break
	sleep 0.3
done
expect 0 "$FIXFLEET" cleanup "$T/run" --run-dir "$T/tidy" --yes --output json
ended v-1 skipped "is not tagged as run"
ended v-2 skipped "is attached to 'rescue-1': it stays"
ended v-3 cleaned
[ "$(sim_state '[.disks[] | .name | select(test("^v-.-os$"))] | sort | join(" ")')" = "v-1-os v-2-os v-4-os" ] || fail "the wrong disks are gone"
no_violations
for vm in v-1 v-2 v-3; do
	on_copy $vm
done
at_home v-4

# there is no way back for v-3 now; for v-1 there is
expect 2 "$FIXFLEET" cleanup "$T/tidy" --yes; said "name the repair or rollback that it was about"
for vm in v-1 v-3; do
	by_hand demand $vm
done
expect 0 "$FIXFLEET" rollback "$T/run" v-1 v-3 --run-dir "$T/back" --yes --output json
ended v-1 rolled-back
ended v-3 skipped "its original disk 'v-3-os' does not exist any more"
on_copy v-3
no_violations
