#!/bin/sh
# Bad input for AWS and GCP: one line that names the thing and the way out, the right exit status, nothing changed in the cloud.
. tests/e2e/lib

one_line() {
	[ "$(wc -l <"$T/err")" -eq 1 ] || { cat "$T/err" >&2; fail "not one line"; }
	! head -c 200 "$T/err" | grep -q '^fixfleet: [A-Z][a-z]' || fail "the line begins in upper case"
}
# changed: how many requests changed something, by action or method
changed() {
	jq -s '[.[] | select((.url | test("/token$|oauth2|/testIamPermissions|/listManagedInstances") | not) and (.request_body | test("^Action=(Describe|Get|Assume)|DryRun=true") | not)
		and (.method == "POST" or .method == "PATCH" or .method == "PUT"))] | length' "$O/traffic/$SIM_NAME.jsonl"
}

cloud_scenario aws '{"deny":[{"action":"ec2:StopInstances","resource":"*:instance/i-0123456789abcdef0"},{"action":"ec2:DescribeInstanceTypes"}]}' '[]' \
	"$(aws_win b-1 '')" "$(aws_win b-2 '' '{"zone":"us-east-1b"}')" "$(aws_win b-3 '' '{"id":"i-0123456789abcdef0"}')" \
	"$(aws_rescue rescue-a)" "$(aws_rescue off '{"power":"stopped"}')"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
export AWS_CONFIG_FILE="$T/config" AWS_SHARED_CREDENTIALS_FILE="$T/credentials" AWS_EC2_METADATA_DISABLED=true
aws="--provider aws --region us-east-1"
# -- the command line
expect 2 "$FIXFLEET" --region us-east-1; said "--provider aws"; one_line
expect 2 "$FIXFLEET" --provider gcp --region us-east-1; said "--region is an option of aws"; one_line
expect 2 "$FIXFLEET" $aws --project p1; said "--project is an option of gcp"; one_line
expect 2 "$FIXFLEET" $aws --backup tape; said "--backup"; one_line
expect 2 "$FIXFLEET" --provider aws --region 'us east/1'; said "us east/1"; one_line
expect 2 env -u AWS_REGION "$FIXFLEET" --provider aws; said "give --region"; one_line
# -- profiles and files
expect 3 "$FIXFLEET" list $aws --profile nosuch; said "profile 'nosuch'"; one_line
printf '[default]\nthis is no setting\n' >"$T/config"
expect 3 "$FIXFLEET" list $aws; said "$T/config"; said "line 2"; one_line
printf '[profile half]\naws_access_key_id = AKIAHALF\n' >"$T/config"
expect 3 "$FIXFLEET" list $aws --profile half; said "aws_secret_access_key"; one_line
printf '[profile broken]\ncredential_process = %s/nothing-there\n[profile babble]\ncredential_process = echo no json\n' "$T" >"$T/config"
expect 3 "$FIXFLEET" list $aws --profile broken; said "nothing-there"; one_line
expect 3 "$FIXFLEET" list $aws --profile babble; said "credential_process"; one_line
rm "$T/config"
# -- credentials
expect 3 env AWS_ACCESS_KEY_ID=AKIDNOBODY "$FIXFLEET" list $aws; said "InvalidClientTokenId"; one_line
expect 3 env AWS_SESSION_TOKEN=expired "$FIXFLEET" list $aws; one_line
expect 3 env -u AWS_SECRET_ACCESS_KEY "$FIXFLEET" list $aws; said "AWS_SECRET_ACCESS_KEY"; one_line
# -- rescue VMs: none of that name, off, in another zone
expect 3 "$FIXFLEET" $aws --name b-1 --rescue nosuch --yes --run-dir "$T/r"; said "nosuch"
expect 3 "$FIXFLEET" $aws --name b-1 --rescue off --yes --run-dir "$T/r"; said "off"
expect 3 "$FIXFLEET" $aws --name b-2 --yes --run-dir "$T/r"; said "us-east-1b"
# -- permission: what can be done without is a note
expect 0 "$FIXFLEET" list $aws; said "instance types could not be read"; said "ec2:DescribeInstanceTypes"
[ "$(changed)" -eq 0 ] || fail "something was changed"
sim_stop
# -- what cannot be done without is known before anything is touched: a detached volume could not be attached again
cloud_scenario aws '{"deny":[{"action":"ec2:AttachVolume"}]}' '[]' "$(aws_win b-1 '')" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
expect 3 "$FIXFLEET" $aws --yes --run-dir "$T/r"; said "permission is missing"; said "ec2:AttachVolume"
[ "$(changed)" -eq 0 ] || fail "something was changed"
expect 0 "$FIXFLEET" list $aws --output json
json "$T/out" '[.[].verdict] | sort == ["affected","skipped"]' "list does not try permissions"
sim_stop

cloud_scenario gcp '{"deny":[{"permission":"compute.instanceGroupManagers.list"}],"token_seconds":600}' '[]' "$(gcp_win g-1 '')" \
	"$(gcp_win g-2 '' '{"zone":"us-central1-b"}')" "$(gcp_rescue rescue-g)" "$(gcp_rescue off '{"power":"stopped"}')"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
key=$GOOGLE_APPLICATION_CREDENTIALS
gcp="--provider gcp --project p1"
expect 2 env -u GOOGLE_CLOUD_PROJECT "$FIXFLEET" --provider gcp; said "give --project"; one_line
expect 2 "$FIXFLEET" --provider gcp --project 'p1/../p2'; said "is no project id"; one_line
expect 2 "$FIXFLEET" $gcp --zone useast; said "is no zone"; one_line
expect 2 env CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE=http://compute.example.com/ "$FIXFLEET" $gcp; said "plain http"; one_line
expect 3 "$FIXFLEET" list --provider gcp --project p2; said "p2"; one_line
expect 3 "$FIXFLEET" list $gcp --zone nowhere-a; said "nowhere-a"; one_line
# -- credential files
for content in '' '{' '[]' '{"type":"service_account"}' '{"type":"magic"}'; do
	printf '%s' "$content" >"$T/key.json"
	expect 3 env GOOGLE_APPLICATION_CREDENTIALS="$T/key.json" "$FIXFLEET" list $gcp; said "$T/key.json"; one_line
done
jq '.private_key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXRleHQ=\n-----END PRIVATE KEY-----\n"' "$key" >"$T/key.json"
expect 3 env GOOGLE_APPLICATION_CREDENTIALS="$T/key.json" "$FIXFLEET" list $gcp; one_line
! grep -q c2VjcmV0 "$T/err" || fail "the key is printed"
expect 3 env GOOGLE_APPLICATION_CREDENTIALS="$T/nothing" "$FIXFLEET" list $gcp; said "$T/nothing"; one_line
echo ya29.expired >"$T/token"
expect 3 env CLOUDSDK_AUTH_ACCESS_TOKEN_FILE="$T/token" "$FIXFLEET" list $gcp; said "authentication credentials"; one_line
# -- customer keys
expect 2 "$FIXFLEET" list $gcp --csek-key-file "$T/nothing"; said "$T/nothing"; one_line
echo '[{"uri":1}]' >"$T/keys"
expect 2 "$FIXFLEET" list $gcp --csek-key-file "$T/keys"; said "--csek-key-file '$T/keys'"; one_line
# -- rescue VMs
expect 3 "$FIXFLEET" $gcp --name g-1 --rescue nosuch --yes --run-dir "$T/r"; said "nosuch"
expect 3 "$FIXFLEET" $gcp --name g-1 --rescue off --yes --run-dir "$T/r"; said "off"
expect 3 "$FIXFLEET" $gcp --name g-2 --yes --run-dir "$T/r"; said "us-central1-b"
# -- permission: what can be done without is a note
expect 0 "$FIXFLEET" list $gcp; said "managed instance groups cannot be read"
[ "$(changed)" -eq 0 ] || fail "something was changed"
sim_stop
cloud_scenario gcp '{"deny":[{"permission":"compute.instances.attachDisk"},{"permission":"compute.disks.createSnapshot"}]}' '[]' "$(gcp_win g-1 '')" "$(gcp_rescue rescue-g)"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
expect 3 "$FIXFLEET" $gcp --yes --run-dir "$T/r"; said "permission is missing: compute.instances.attachDisk"
[ "$(changed)" -eq 0 ] || fail "something was changed"
no_violations
