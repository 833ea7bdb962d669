#!/bin/sh
# What stands against touching a VM of AWS or GCP is listed and decided before anything is touched; what the operator gives up is not.
. tests/e2e/lib

# verdict VM VERDICT PART: by the last list's JSON; PART is in its reason or hazards
verdict() {
	jq -e --arg n "$1" --arg v "$2" --arg p "$3" '.[] | select(.name == $n) | .verdict == $v and ([.reason, .hazards[]] | any(contains($p)))' \
		"$T/out" >/dev/null || fail "$1 is not $2 ($3): $(jq -c --arg n "$1" '.[] | select(.name == $n)' "$T/out")"
}

aws() {
	aws_win "$1" '' "$2"
}
KMS=arn:aws:kms:us-east-1:123456789012:key
# sealed VM KEY: its root is encrypted with that key
sealed() {
	aws "$1" "{\"root\":{\"encrypted\":true,\"kms_key\":\"$KMS/$2\"}}"
}
cloud_scenario aws "{\"groups\":[{\"name\":\"web\",\"min\":0}],\"keys\":{\"$KMS/off\":\"Disabled\",\"$KMS/gone\":\"missing\"},
	\"deny\":[{\"action\":\"kms:DescribeKey\",\"resource\":\"*key/other\"}]}" '[]' "$(sealed locked off)" "$(sealed locked-2 off)" \
	"$(sealed lost gone)" "$(sealed unsure other)" "$(aws plain '{}')" \
	"$(aws member '{"asg":"web"}')" "$(aws waiting '{"asg":"web","life":"Standby"}')" "$(aws market '{"marketplace":true}')" \
	"$(aws oldroot '{"instance_store":true}')" "$(aws scratch '{"type":"m5d.large"}')" "$(aws asleep '{"power":"stopped","hibernated":true}')" \
	"$(aws protected '{"stop_protection":true}')" "$(aws lonely '{"zone":"us-east-1b"}')" "$(aws address '{"public_ip":true}')" \
	"$(aws elastic '{"public_ip":true,"elastic_ip":true}')" "$(aws secret '{"root":{"encrypted":true}}')" "$(aws spot '{"spot":true}')" \
	"$(aws shared '{"root":{"multi_attach":true}}')" "$(aws managed '{"managed":true}')" "$(aws beginning '{"status":"initializing"}')" \
	"$(aws claimed '{"tags":{"fixfleet-run":"another"}}')" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
list="list --provider aws --region us-east-1 --output json"
expect 0 "$FIXFLEET" $list
verdict plain affected "instance status check"
verdict member skipped "auto-scaling: its Auto Scaling group would replace it"
verdict waiting skipped "auto-scaling"
verdict market skipped "marketplace:"
verdict scratch skipped "instance-store: its instance store volumes lose their content"
verdict oldroot skipped "instance-store-root:"
verdict asleep skipped "hibernated:"
verdict protected skipped "stop-protection: it may not be stopped"
verdict spot skipped "spot:"
verdict shared skipped "multi-attach:"
verdict managed skipped "managed:"
verdict beginning suspect "only begun"
verdict address affected "public-ip: its public address is no Elastic IP"
verdict secret affected "encrypted: whoever runs this needs kms:CreateGrant"
verdict locked skipped "key: the KMS key of its root volume is disabled"
verdict locked-2 skipped "$KMS/off"
verdict lost skipped "key: the KMS key of its root volume does not exist"
verdict unsure affected "key-unknown:"
said "the state of 1 of 4 KMS keys could not be read: AccessDeniedException"
[ "$(sim_state '.requests["aws DescribeKey"]')" = 4 ] || fail "a key is asked about once, not by each volume"
verdict claimed affected "claimed:"
json "$T/out" 'all(.[] | select(.name == "elastic" or .name == "plain"); .hazards == [])' "nothing stands against these"
expect 0 "$FIXFLEET" $list --asg standby --discard-local-ssd
verdict member affected "leaves its Auto Scaling group for Standby"
verdict waiting affected ""
verdict scratch affected ""
# no rescue VM in its zone; every hazard that decides: nothing is begun, and each says why
expect 3 "$FIXFLEET" --provider aws --region us-east-1 --name lonely --yes --run-dir "$T/run"; said "us-east-1b"
for vm in member market scratch protected spot shared managed locked lost; do
	expect 3 "$FIXFLEET" --provider aws --region us-east-1 --name $vm --all --yes --run-dir "$T/run"
done
expect 2 "$FIXFLEET" $list --asg maybe; said "--asg"
state '[.aws.vms[].stops] | add == 0' "something was stopped"
no_violations
sim_stop

KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=
HASH=$(printf %s $KEY | base64 -d | openssl dgst -sha256 -binary | base64)
DISK=https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-a/disks
jq -cn --arg k $KEY --arg d $DISK '[{uri:($d + "/own-key-boot"), key:$k, "key-type":"raw"}]' >"$T/keys"
jq -cn --arg k "$(printf %s $KEY | tr M N)" --arg d $DISK '[{uri:($d + "/own-key-boot"), key:$k, "key-type":"raw"}]' >"$T/other-keys"
echo '[{"uri":1}]' >"$T/no-keys"
gcp() {
	gcp_win "$1" '' "$2"
}
cloud_scenario gcp '{"unreachable_zones":["us-east1-b"],"groups":[{"name":"web","zone":"us-central1-a"}]}' '[]' "$(gcp plain '{}')" "$(gcp member '{"mig":"web"}')" "$(gcp scratch '{"local_ssd":1}')" \
	"$(gcp own-key "{\"boot\":{\"csek_sha256\":\"$HASH\"}}")" "$(gcp kms-key '{"boot":{"kms":"projects/p1/locations/global/keyRings/r/cryptoKeys/k"}}')" \
	"$(gcp kept '{"deletion_protection":true}')" "$(gcp regional '{"boot":{"regional":true}}')" "$(gcp address '{"external_ip":"ephemeral"}')" \
	"$(gcp static '{"external_ip":"static"}')" "$(gcp spot '{"spot":true}')" "$(gcp brief '{"spot":true,"delete_on_termination":true}')" \
	"$(gcp stopped '{"power":"stopped"}')" "$(gcp suspended '{"power":"suspended"}')" "$(gcp shared '{"boot":{"multi_writer":true}}')" \
	"$(gcp held '{"start_restricted":true}')" "$(gcp lonely '{"zone":"us-central1-b"}')" "$(gcp_rescue rescue-g)"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
list="list --provider gcp --project p1 --output json"
expect 0 "$FIXFLEET" $list
# a zone that does not answer is not an empty one
said "us-east1-b"; said "could not be reached"
verdict plain affected "boots again and again"
verdict member skipped "is in the managed instance group 'web'"
verdict scratch skipped "--discard-local-ssd"
verdict own-key skipped "--csek-key-file"
verdict kms-key affected "cmek:"
verdict kept affected "deletion-protection:"
verdict regional skipped "regional-disk:"
verdict address affected "is not reserved: it changes at start"
verdict spot skipped "spot:"
verdict brief skipped "deleted-on-stop:"
verdict stopped suspect "is not running"
verdict suspended skipped "memory image"
verdict shared skipped "shared-disk:"
verdict held skipped "start-restricted:"
json "$T/out" 'all(.[] | select(.name == "static" or .name == "plain"); .hazards == [])' "nothing stands against these"
expect 0 "$FIXFLEET" $list --discard-local-ssd --csek-key-file "$T/keys"
verdict scratch affected "is lost"
verdict own-key affected ""
expect 0 "$FIXFLEET" $list --csek-key-file "$T/other-keys"
verdict own-key skipped "is not the disk's"
! grep -q "$KEY" "$T/out" "$T/err" || fail "a key is printed"
expect 3 "$FIXFLEET" --provider gcp --project p1 --name lonely --yes --run-dir "$T/run"; said "us-central1-b"
for vm in member scratch own-key regional spot brief shared held; do
	expect 3 "$FIXFLEET" --provider gcp --project p1 --name $vm --all --yes --run-dir "$T/run"
done
# one zone only
expect 0 "$FIXFLEET" $list --zone us-central1-b
json "$T/out" 'length == 1 and .[0].name == "lonely"' "the zone's VMs"
state '[.gcp.vms[].stops] | add == 0' "something was stopped"
no_violations
