#!/bin/sh
# slow: keys in the secret stores of AWS and GCP: asked for by name, signed, for the disks that need one.
. tests/e2e/lib

xts=$(jq -r '.protectors[0].key' build/images/bl-xts.img.keys) xts_id=$(jq -r '.protectors[0].id' build/images/bl-xts.img.keys)
cbc=$(jq -r '.protectors[0].key' build/images/bl-cbc.img.keys) cbc_id=$(jq -r '.protectors[0].id' build/images/bl-cbc.img.keys)
jq -n --arg xts "$PWD/build/images/bl-xts.img" --arg cbc "$PWD/build/images/bl-cbc.img" --arg xk "$xts" --arg xn "bitlocker-$xts_id" \
	--arg ck "$cbc" --arg cn "bitlocker-$cbc_id" '
{seed:1,
 aws:{region:"us-east-1", account:"123456789012", access_key_id:"AKIDEXAMPLE", secret_access_key:"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  secrets:{($xn):($xk + "\n")}, vms:[
   {name:"a-1", zone:"us-east-1a", type:"m5.large", os:"Windows", power:"running", root:{device:"/dev/sda1", image:$xts, size_gib:1, delete_on_termination:true}},
   {name:"a-2", zone:"us-east-1a", type:"m5.large", os:"Windows", power:"running", root:{device:"/dev/sda1", image:$cbc, size_gib:1, delete_on_termination:true}},
   {name:"rescue-a", zone:"us-east-1a", type:"m5.large", os:"Linux", power:"running", tags:{"fixfleet-role":"rescue"}, root:{device:"/dev/sda1", size_gib:8}}]},
 gcp:{project:"p1", secrets:{($cn):$ck}, vms:[
   {name:"g-1", zone:"us-central1-a", machine_type:"n1-standard-2", os:"Windows", power:"running", boot:{name:"g-1-boot", device_name:"persistent-disk-0", auto_delete:true, image:$cbc, size_gib:1}},
   {name:"rescue-g", zone:"us-central1-a", machine_type:"n1-standard-4", os:"Linux", power:"running", labels:{"fixfleet-role":"rescue"}, boot:{name:"rg-boot", size_gib:10}}]}}' >"$T/scenario.json"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
status=0
"$FIXFLEET" --provider aws --region us-east-1 --provider gcp --project p1 --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" \
	--yes --all --output json -v --key-secret 'bitlocker-{protector}' >"$T/out" 2>"$T/err" </dev/null || status=$?
ended a-1 repaired
ended g-1 repaired
ended a-2 failed-home "$cbc_id"
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1"; }
curl -sS --cacert "$SIM_CA" "$SIM_URL/_sim/state" >"$T/state"
json "$T/state" '[.violations[] | select(test("healthy") | not)] == []' "no promise is broken"
! grep -rqF -e "$xts" -e "$cbc" "$T/run" "$T/out" "$T/err" || fail "a key is in journal, output or log"
