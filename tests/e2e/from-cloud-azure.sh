#!/bin/sh
# The folder of a killed run is lost: the tags on Azure bring the VM home. It has never lost its OS disk; its copy goes.
. tests/e2e/lib

scenario '{}' '[]' "$(win v-1 bad.img '{"tags":{"owner":"ops"},"os_disk":{"delete_option":"Delete","tags":{"cost":"42"}}}')" \
	"$(win v-2 good.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
vm() {
	sim_state ".vms[] | select(.name == \"$1\") | $2"
}
arrived() {
	[ "$(vm rescue-1 '.data_disks | length')" = 1 ]
}
lose_run --provider azure --rg prod
[ "$(copies)" = 1 ] || fail "the copy bears no tag of the run"

expect 2 "$FIXFLEET" resume --from-cloud --provider azure --rg prod --run-dir "$T/again"; said "is surely dead"
[ "$(vm v-1 .power)" = stopped ] || fail "it was touched"
expect 3 "$FIXFLEET" resume --from-cloud 20240719-000000-abcdef --provider azure --rg prod --run-dir "$T/other" --yes; said "nothing was changed"
expect 1 "$FIXFLEET" resume --from-cloud --provider azure --rg prod --run-dir "$T/again" --yes --output json -v
ended v-1 failed-home "brought home by its tags"
at_home v-1
[ "$(vm v-1 '"\(.os_disk.delete_option) \(.tags | keys | join(" "))"')" = "Delete owner" ] || fail "v-1 is not as it was: $(vm v-1 .)"
[ "$(sim_state '.disks[] | select(.name == "v-1-os") | .tags | keys | join(" ")')" = cost ] || fail "a tag is left on its disk"
[ "$(copies)" = 0 ] || fail "the copy is left"
[ "$(vm v-2 .stops)" = 0 ] || fail "a healthy VM was stopped"
tidy

# it is a run as any other, and it is over
expect 0 "$FIXFLEET" status "$T/again" --output json
json "$T/out" '.instances[0].outcome == "failed-home"' "status reads it"
expect 2 "$FIXFLEET" resume --from-cloud --provider azure --rg prod --run-dir "$T/third" --yes; said "bears a claim"
