#!/bin/sh
# The folder of a killed run is lost: its tags on AWS bring the VM home, its volume attached as it was.
. tests/e2e/lib

cloud_scenario aws '{}' '[]' "$(aws_win a-1 bad.img '{"tags":{"owner":"ops"},"root":{"tags":{"cost":"42"}}}')" \
	"$(aws_win a-2 good.img)" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud"
vm() {
	curl -sS --cacert "$SIM_CA" "$SIM_URL/_sim/state" | jq -r ".aws.vms[] | select(.name == \"$1\") | $2"
}
root=$(vm a-1 .root.volume)
arrived() {
	[ "$(vm rescue-a '[.data_disks[] | select(.status == "attached")] | length')" = 1 ]
}
lose_run --provider aws --region us-east-1

# which run it is stands on the VM; without --yes somebody has to say that it is dead
expect 2 "$FIXFLEET" resume --provider aws --region us-east-1; said "give them with --from-cloud only"
expect 2 "$FIXFLEET" resume --from-cloud --provider aws --region us-east-1 --run-dir "$T/again"; said "is surely dead"
[ "$(vm a-1 .power)" = stopped ] || fail "it was touched"
expect 3 "$FIXFLEET" resume --from-cloud 20240719-000000-abcdef --provider aws --region us-east-1 --run-dir "$T/other" --yes; said "nothing was changed"
expect 1 "$FIXFLEET" resume --from-cloud --provider aws --region us-east-1 --run-dir "$T/again" --yes --output json -v
ended a-1 failed-home "brought home by its tags"
said "known by its tag fixfleet-run="
[ "$(vm a-1 '"\(.root.volume) \(.root.device) \(.root.delete_on_termination) \(.own_disk) \(.power)"')" = "$root /dev/sda1 true true running" ] ||
	fail "a-1 is not as it was: $(vm a-1 .)"
[ "$(vm a-1 '.tags | keys | join(" ")')" = "Name owner" ] || fail "tags are left on a-1"
[ "$(vm a-2 .stops)" = 0 ] || fail "a healthy VM was stopped"
[ "$(vm rescue-a '.data_disks | length')" = 0 ] || fail "a disk is left on the rescue VM"
state '.violations == []' "no promise is broken"
state '.aws.volumes[] | select(.home == "a-1") | .tags == {"cost":"42"}' "the volume has its own tags only"

# it is a run as any other, and it is over
expect 0 "$FIXFLEET" status "$T/again" --output json
json "$T/out" '.instances[0].outcome == "failed-home"' "status reads it"
expect 2 "$FIXFLEET" resume --from-cloud --provider aws --region us-east-1 --run-dir "$T/third" --yes; said "bears a claim"
