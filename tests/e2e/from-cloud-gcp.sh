#!/bin/sh
# The folder of a killed run is lost: its labels on GCP bring the VMs home, their disks attached as they were.
. tests/e2e/lib

cloud_scenario gcp '{}' '[]' \
	"$(gcp_win g-1 bad.img '{"labels":{"owner":"ops"},"boot":{"device_name":"Disk.0_a","auto_delete":true,"interface":"NVME","labels":{"cost":"42"}}}')" \
	"$(gcp_win g-2 bad.img '{"boot":{"device_name":"persistent-disk-0","auto_delete":false}}')" "$(gcp_win g-3 good.img)" "$(gcp_rescue rescue-g)"
sim_start "$T/scenario.json" "$T/cloud"
vm() {
	curl -sS --cacert "$SIM_CA" "$SIM_URL/_sim/state" | jq -r ".gcp.vms[] | select(.name == \"$1\") | $2"
}
arrived() {
	[ "$(vm rescue-g '.data_disks | length')" = 2 ]
}
lose_run --provider gcp --project p1 --no-canary

# of g-2 a label is gone: nobody knows whether it ran, so it is left where it is, and the commands are said
by_hand touch-tags g-2 '"tags":{"fixfleet-was":null}'
from_cloud() {
	want=$1
	shift
	expect "$want" "$FIXFLEET" resume --from-cloud "$@"
}
from_cloud 2 --provider gcp --project p1 --run-dir "$T/again"; said "is surely dead"
[ "$(vm g-1 .power)" = stopped ] || fail "it was touched"
from_cloud 3 20240719-000000-abcdef --provider gcp --project p1 --run-dir "$T/other" --yes; said "nothing was changed"
from_cloud 1 --provider gcp --project p1 --run-dir "$T/again" --yes --output json -v
said "g-2: cannot be brought home by its tags: no label says whether it ran before"
said "gcloud compute instances detach-disk rescue-g --project=p1 --zone=us-central1-a --disk=g-2-boot"
said "gcloud compute instances attach-disk g-2 --project=p1 --zone=us-central1-a --disk=g-2-boot --boot --device-name=persistent-disk-0"
said "gcloud compute instances start g-2"
ended g-1 failed-home "brought home by its tags"
[ "$(vm g-1 '"\(.boot.disk) \(.boot.device_name) \(.boot.auto_delete) \(.boot.interface) \(.own_disk) \(.power)"')" = "g-1-boot Disk.0_a true NVME true running" ] ||
	fail "g-1 is not as it was: $(vm g-1 .)"
[ "$(vm g-1 '.labels | keys | join(" ")')" = owner ] || fail "labels are left on g-1"
[ "$(vm g-2 .power)" = stopped ] || fail "g-2 was touched"

# once it is known what it was, it comes home as well
by_hand touch-tags g-2 '"tags":{"fixfleet-was":"running"}'
from_cloud 1 --provider gcp --project p1 --run-dir "$T/second" --yes --output json
ended g-2 failed-home "brought home by its tags"
[ "$(vm g-2 '"\(.boot.disk) \(.boot.device_name) \(.boot.auto_delete) \(.own_disk) \(.power)"')" = "g-2-boot persistent-disk-0 false true running" ] ||
	fail "g-2 is not as it was: $(vm g-2 .)"
[ "$(vm g-3 .stops)" = 0 ] || fail "a healthy VM was stopped"
[ "$(vm rescue-g '.data_disks | length')" = 0 ] || fail "a disk is left on the rescue VM"
state '.violations == []' "no promise is broken"
state '.gcp.disks | map({(.name): .labels}) | add | ."g-1-boot" == {"cost":"42"} and ."g-2-boot" == {}' "the disks have their own labels only"

# it is a run as any other, and it is over
expect 0 "$FIXFLEET" status "$T/again" --output json
json "$T/out" '.instances[0].outcome == "failed-home"' "status reads it"
from_cloud 2 --provider gcp --project p1 --run-dir "$T/third" --yes; said "bears a claim"
