#!/bin/sh
# slow: three clouds mended, taken back to their original disks, tidied up. Every VM has its own bytes again at the end.
. tests/e2e/lib

jq -n --arg sub "$SUB" --arg bad "$PWD/build/images/bad.img" '
{seed:1,
 azure:{subscription:$sub, tenant:"11111111-1111-1111-1111-111111111111", client_id:"22222222-2222-2222-2222-222222222222",
  client_secret:"e2e~secret-that-must-never-show", groups:["prod"], vms:[
   {name:"z-1", group:"prod", zone:"1", os:"Windows", generation:"V2", power:"running", os_disk:{name:"z-1-os", image:$bad, size_gib:1, sku:"Premium_LRS", delete_option:"Delete"}},
   {name:"rescue-z", group:"prod", zone:"1", os:"Linux", size:"Standard_D4s_v3", power:"running", tags:{"fixfleet-role":"rescue"}, os_disk:{name:"rz-os", size_gib:30}}]},
 aws:{secret_access_key:"e2e~secret/that+must/never=show", vms:[
   {name:"a-1", tags:{owner:"ops"}, root:{image:$bad, size_gib:1, iops:4000, throughput:250, tags:{cost:"42"}}},
   {name:"rescue-a", os:"Linux", tags:{"fixfleet-role":"rescue"}, root:{size_gib:8}}]},
 gcp:{project:"p1", vms:[
   {name:"g-1", labels:{owner:"ops"}, boot:{name:"g-1-boot", device_name:"Disk.0", auto_delete:true, image:$bad, size_gib:1, labels:{cost:"42"}}},
   {name:"rescue-g", os:"Linux", labels:{"fixfleet-role":"rescue"}, boot:{name:"rg-boot", size_gib:10}}]}}' >"$T/scenario.json"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
mend --provider azure --rg prod --provider aws --region us-east-1 --provider gcp --project p1
for vm in z-1 a-1 g-1; do
	ended $vm repaired
done

# wrong names touch nothing; without --yes nobody is there to ask
expect 2 "$FIXFLEET" rollback; said "rollback needs a run"
expect 2 "$FIXFLEET" rollback "$T/run" nobody; said "has no VM 'nobody'"
expect 2 "$FIXFLEET" rollback "$T/run" --run-dir "$T/back"; said "no terminal to ask on"
expect 0 "$FIXFLEET" rollback "$T/run" z-1 --dry-run; said "1 to roll back"
state '[.azure.vms[], .aws.vms[], .gcp.vms[] | select(.name | startswith("rescue") | not) | .stops] == [1, 1, 1]' "nothing was touched"

# one by name, then the rest; the first has nothing to go back to any more
for vm in z-1 a-1 g-1; do
	by_hand demand $vm
done
expect 0 "$FIXFLEET" rollback "$T/run" z-1 --run-dir "$T/back-z" --yes --output json
ended z-1 rolled-back
expect 0 "$FIXFLEET" rollback "$T/run" --run-dir "$T/back" --yes --output json -v
said "left alone: it has the disk that it had before the run: 'z-1-os'"
ended a-1 rolled-back
ended g-1 rolled-back
json "$T/out" '.totals.selected == 2' "z-1 is left alone"
state '.violations == []' "no promise is broken"
state '.azure.vms[] | select(.name == "z-1") | .power == "running" and .bad and .os_disk.name == "z-1-os" and .os_disk.delete_option == "Delete"' "z-1 has its disk"
state '.aws.vms[] | select(.name == "a-1") | .power == "running" and .bad and .own_disk and .tags == {"Name":"a-1","owner":"ops"} and
	(.root | .device == "/dev/sda1" and .delete_on_termination)' "a-1 has a volume of its snapshot, attached as it was"
state '(.aws.vms[] | select(.name == "a-1") | .root.volume) as $v | .aws.volumes[] | select(.id == $v) |
	.iops == 4000 and .throughput == 250 and .size_gib == 1 and .tags == {"cost":"42"}' "its volume is like the one before"
state '.gcp.vms[] | select(.name == "g-1") | .power == "running" and .bad and .own_disk and .labels == {"owner":"ops"} and
	(.boot | .device_name == "Disk.0" and .auto_delete and .mode == "READ_WRITE")' "g-1 has a disk of its snapshot, attached as it was"
for image in $(jq -r '(.aws.vms[] | select(.name == "a-1") | .root.image), (.gcp.vms[] | select(.name == "g-1") | .boot.image)' "$T/state"); do
	cmp "$image" build/images/bad.img || fail "$image has not the bytes of before the repair"
done
expect 0 "$FIXFLEET" status "$T/back" --output json
json "$T/out" '[.instances[] | .outcome] == ["rolled-back","rolled-back"]' "status knows a rollback"
json "$T/out" '.instances[] | select(.name == "a-1") | .where | test("made of snapshot .* is on the VM as /dev/sda1; the mended volume .* is detached")' "and where each disk is"

# what the three runs have left goes, and nothing else
for run in run back-z back; do
	expect 0 "$FIXFLEET" cleanup "$T/$run" --run-dir "$T/tidy-$run" --yes --output json
done
state '.aws.snapshots == [] and .gcp.snapshots == []' "the snapshots are gone"
state '[.azure.disks[] | .name] | sort == ["rz-os","z-1-os"]' "the copy is gone"
state '(.aws.volumes | length) == 2 and (.gcp.disks | length) == 2' "the replaced disks are gone"
state '.violations == []' "no promise is broken"
state '[.azure.vms[], .aws.vms[], .gcp.vms[] | .power] | unique == ["running"]' "all run"
# again: nothing is there, nothing is asked to go
deletions() {
	jq -s '[.[] | select(.method == "DELETE" or ((.request_body // "") | tostring | test("Action=Delete(Snapshot|Volume)")))] | length' \
		"$O/traffic/$SIM_NAME.jsonl"
}
before=$(deletions)
[ "$before" -eq 5 ] || fail "$before deletions: two snapshots, a copy, a volume and a disk were to go"
for run in run back-z back; do
	expect 0 "$FIXFLEET" cleanup "$T/$run" --run-dir "$T/again-$run" --yes
done
[ "$(deletions)" -eq "$before" ] || fail "the second cleanup deleted something"
(cd build/images && stat -c '%n %s %y' ./*.img | cmp -s - made) || fail "an original image was written"
! grep -rqE 'secret-that-must|PRIVATE KEY|Bearer ' "$T/run" "$T/back" "$T/out" "$T/err" || fail "a secret is in journal, output or log"
