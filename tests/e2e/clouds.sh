#!/bin/sh
# slow: one command, three clouds. Each disk comes home as it was attached; a cloud that refuses stops nobody else.
. tests/e2e/lib

jq -n --arg sub "$SUB" --arg bad "$PWD/build/images/bad.img" --arg good "$PWD/build/images/good.img" '
{seed:1,
 azure:{subscription:$sub, tenant:"11111111-1111-1111-1111-111111111111", client_id:"22222222-2222-2222-2222-222222222222",
  client_secret:"e2e~secret-that-must-never-show", groups:["prod"], vms:[
   {name:"z-1", group:"prod", zone:"1", os:"Windows", generation:"V2", power:"running", os_disk:{name:"z-1-os", image:$bad, size_gib:1, sku:"Premium_LRS"}},
   {name:"rescue-z", group:"prod", zone:"1", os:"Linux", size:"Standard_D4s_v3", power:"running", tags:{"fixfleet-role":"rescue"}, os_disk:{name:"rz-os", size_gib:30}}]},
 aws:{region:"us-east-1", account:"123456789012", access_key_id:"AKIDEXAMPLE", secret_access_key:"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", vms:[
   {name:"a-1", zone:"us-east-1a", type:"m5.large", os:"Windows", power:"running", tags:{owner:"ops"}, root:{device:"/dev/sda1", image:$bad, size_gib:1, delete_on_termination:true}},
   {name:"a-2", zone:"us-east-1a", type:"m5.large", os:"Windows", power:"running", root:{device:"/dev/sda1", image:$good, size_gib:1, delete_on_termination:true}},
   {name:"rescue-a", zone:"us-east-1a", type:"m5.large", os:"Linux", power:"running", tags:{"fixfleet-role":"rescue"}, root:{device:"/dev/sda1", size_gib:8}}]},
 gcp:{project:"p1", vms:[
   {name:"g-1", zone:"us-central1-a", machine_type:"n1-standard-2", os:"Windows", power:"running", labels:{owner:"ops"}, boot:{name:"g-1-boot", device_name:"persistent-disk-0", auto_delete:true, image:$bad, size_gib:1}},
   {name:"g-2", zone:"us-central1-a", machine_type:"n1-standard-2", os:"Windows", power:"running", boot:{name:"g-2-boot", device_name:"persistent-disk-0", auto_delete:true, image:$good, size_gib:1}},
   {name:"rescue-g", zone:"us-central1-a", machine_type:"n1-standard-4", os:"Linux", power:"running", labels:{"fixfleet-role":"rescue"}, boot:{name:"rg-boot", size_gib:10}}]}}' >"$T/scenario.json"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
clouds="--provider azure --rg prod --provider aws --region us-east-1 --provider gcp --project p1"

# a cloud that refuses its credentials ends as 3 for its part; the others are listed
expect 3 env AZURE_CLIENT_SECRET=wrong "$FIXFLEET" list $clouds --output json; said "AADSTS7000215"
json "$T/out" '[.[] | .provider] | unique == ["aws","gcp"]' "the other clouds' VMs"

status=0
"$FIXFLEET" $clouds --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes --no-canary --output json -v --evidence \
	>"$T/out" 2>"$T/err" </dev/null || status=$?
for vm in z-1 a-1 g-1; do
	ended $vm repaired
done
[ $status -eq 0 ] || fail "exit status $status"
json "$T/out" '.totals.repaired == 3 and .totals.selected == 3' "only what is affected is repaired"
state() {
	curl -sS --cacert "$SIM_CA" "$SIM_URL/_sim/state" >"$T/state"
	json "$T/state" "$1" "$2"
}
state '.violations == []' "no promise is broken"
state '.aws.vms[] | select(.name == "a-1") | .power == "running" and .bad == false and .own_disk and .stops == 1 and .tags == {"Name":"a-1","owner":"ops"} and
	(.root | .device == "/dev/sda1" and .status == "attached" and .delete_on_termination)' "a-1 is up, its root volume attached as it was"
state '.gcp.vms[] | select(.name == "g-1") | .power == "running" and .bad == false and .own_disk and .stops == 1 and .labels == {"owner":"ops"} and
	(.boot | .disk == "g-1-boot" and .device_name == "persistent-disk-0" and .auto_delete and .mode == "READ_WRITE")' "g-1 is up, its boot disk attached as it was"
state '.azure.vms[] | select(.name == "z-1") | .power == "running" and .bad == false' "z-1 is up"
state '[.aws.vms[], .gcp.vms[] | select(.name == "a-2" or .name == "g-2") | .stops] == [0, 0]' "healthy VMs are not stopped"
state '(.aws.snapshots | length) == 1 and (.gcp.snapshots | length) == 1' "the backups are there"
state '[.aws.vms[], .gcp.vms[], .azure.vms[] | select(.name | startswith("rescue")) | .data_disks | length] | add == 0' "nothing is left on a rescue VM"
[ "$(cd "$T/run/evidence" && ls -d ./*/* | sed 's/-[0-9a-f]\{12\}//' | tr '\n' ' ')" = \
	"./a-1/console.txt ./a-1/screen.jpg ./g-1/serial.txt ./z-1/screen.bmp ./z-1/serial.txt " ] || fail "evidence as it was before: $(find "$T/run/evidence")"
(cd build/images && stat -c '%n %s %y' ./*.img | cmp -s - made) || fail "an original image was written"
! grep -rqE 'secret-that-must|wJalrXUtn|PRIVATE KEY|Bearer ' "$T/run" "$T/out" "$T/err" || fail "a secret is in journal, output or log"
