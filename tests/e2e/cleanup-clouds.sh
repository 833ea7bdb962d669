#!/bin/sh
# cleanup on AWS and GCP: the snapshots of VMs that were mended go, and of those that had nothing to mend. Nothing else does.
. tests/e2e/lib

jq -n --arg bad "$PWD/build/images/bad.img" --arg good "$PWD/build/images/good.img" '
{seed:1,
 aws:{secret_access_key:"e2e~secret/that+must/never=show", vms:[
   {name:"a-1", root:{image:$bad, size_gib:1}}, {name:"a-2", root:{image:$good, size_gib:1}},
   {name:"rescue-a", os:"Linux", tags:{"fixfleet-role":"rescue"}, root:{size_gib:8}}]},
 gcp:{project:"p1", vms:[
   {name:"g-1", boot:{name:"g-1-boot", image:$bad, size_gib:1}}, {name:"g-2", boot:{name:"g-2-boot", image:$good, size_gib:1}},
   {name:"g-3", boot:{name:"g-3-boot", image:$good, size_gib:1}},
   {name:"rescue-g", os:"Linux", labels:{"fixfleet-role":"rescue"}, boot:{name:"rg-boot", size_gib:10}}]}}' >"$T/scenario.json"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20 --imds 127.0.0.1:0
for vm in a-2 g-2 g-3; do
	by_hand demand $vm
done
mend --provider aws --region us-east-1 --provider gcp --project p1 --all
ended a-1 repaired
ended g-1 repaired
ended a-2 clean
ended g-2 clean
ended g-3 clean
state '(.aws.snapshots | length) == 2 and (.gcp.snapshots | length) == 3' "each has a snapshot"

# from that of g-3 somebody has taken the label: it is not the run's any more
snapshot=$(jq -r '.gcp.snapshots[] | select(.source_disk == "g-3-boot") | .name' "$T/state")
token=$(curl -sS --cacert "$SIM_CA" -H 'Metadata-Flavor: Google' \
	"http://$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/token" | jq -r .access_token)
url=$SIM_URL/compute/v1/projects/p1/global/snapshots/$snapshot
print=$(curl -sS --cacert "$SIM_CA" -H "Authorization: Bearer $token" "$url" | jq -r .labelFingerprint)
curl -sS --cacert "$SIM_CA" -X POST -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
	-d "{\"labels\":{\"fixfleet-vm\":\"g-3\"},\"labelFingerprint\":\"$print\"}" "$url/setLabels" >"$T/labelled"

expect 2 "$FIXFLEET" cleanup "$T/run" --run-dir "$T/tidy"
said "5 to delete, 5 GiB in all; 0 left alone"
expect 0 "$FIXFLEET" cleanup "$T/run" --run-dir "$T/tidy" --yes --output json
for vm in a-1 a-2 g-1 g-2; do
	ended $vm cleaned
done
ended g-3 skipped "is not labelled as run"
state '.aws.snapshots == [] and (.gcp.snapshots | map(.labels) == [{"fixfleet-vm":"g-3"}])' "only what bears the run's label is gone"
state '(.aws.volumes | length) == 3 and (.gcp.disks | length) == 4' "no disk is gone"
state '.violations == []' "no promise is broken"

# nothing was kept of them in a run without snapshots: there is nothing to say
by_hand demand g-2
mend --provider gcp --project p1 --all --name g-2 --backup none
ended g-2 clean
expect 0 "$FIXFLEET" cleanup "$T/run" --run-dir "$T/nothing" --yes; said "has nothing to clean up after"
! grep -q "left alone" "$T/err" || fail "a clean VM without snapshot is no matter"
