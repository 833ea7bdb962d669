#!/bin/sh
# slow: the client takes a second a call. Google's own command line client is the judge of the simulated cloud: what it cannot read, no client of the cloud could.
. tests/e2e/lib
command -v gcloud >/dev/null && gcloud version >/dev/null 2>&1 || { echo "needs gcloud, the Google Cloud command line client"; exit 77; }
for variable in $(env | sed -n 's/^\(\(CLOUDSDK\|GOOGLE\|GCE\)_[A-Z_0-9]*\)=.*/\1/p'); do
	unset "$variable"
done
KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= ZONE=us-central1-a
HASH=$(printf %s $KEY | base64 -d | openssl dgst -sha256 -binary | base64)

cat >"$T/scenario.json" <<EOF
{"gcp": {"page_size": 2, "empty_pages": true, "link_delay_ms": 50,
  "latency_ms": {"stop": 300, "stopHung": 600, "start": 300, "attach": 200, "detach": 200, "snapshot": 200, "upload": 100, "boot": 500},
  "vms": [
   {"name": "win-1", "labels": {"env": "prod"}, "display": true, "boot": {"bad": true, "name": "win-1-os", "device_name": "sda"}},
   {"name": "ssd", "local_ssd": 1, "boot": {"bad": true}},
   {"name": "secret", "zone": "us-central1-b", "power": "stopped", "boot": {"csek_sha256": "$HASH"}},
   {"name": "linux", "os": "Linux", "zone": "us-east1-b"},
   {"name": "rescue-1", "os": "Linux", "labels": {"fixfleet-role": "rescue"}}]}}
EOF
sim_start "$T/scenario.json" "$T/cloud" --imds 127.0.0.1:0
export CLOUDSDK_CONFIG="$T/config" CLOUDSDK_CORE_PROJECT="$GOOGLE_CLOUD_PROJECT" CLOUDSDK_COMPUTE_ZONE=$ZONE \
	CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE="$SIM_CA" REQUESTS_CA_BUNDLE="$SIM_CA" \
	CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=true CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=true \
	CLOUDSDK_CORE_CHECK_GCE_METADATA=false

# compute COMMAND OPTION...: one call; its answer in $T/out
compute() {
	gcloud compute --format=json "$@" >"$T/out" 2>"$T/err" || { cat "$T/err" >&2; fail "gcloud compute $*"; }
}
# refused TEXT COMMAND...: it fails, saying so
refused() {
	want=$1
	shift
	! gcloud compute "$@" >"$T/out" 2>"$T/err" || fail "not refused: $*"
	grep -qF -- "$want" "$T/err" || { cat "$T/err" >&2; fail "$* was not refused with: $want"; }
}

# identity: a token of the metadata service, then the service account's own key
curl -sS -H 'Metadata-Flavor: Google' "http://$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/token" |
	jq -r .access_token >"$T/token"
echo none >"$T/wrong"
unset GCE_METADATA_HOST
export CLOUDSDK_AUTH_ACCESS_TOKEN_FILE="$T/wrong"
refused "invalid authentication credentials" instances describe win-1
export CLOUDSDK_AUTH_ACCESS_TOKEN_FILE="$T/token"
compute instances describe win-1
unset CLOUDSDK_AUTH_ACCESS_TOKEN_FILE
gcloud auth activate-service-account --key-file="$GOOGLE_APPLICATION_CREDENTIALS" >"$T/out" 2>&1 || fail "sign in: $(cat "$T/out")"

# list
compute instances list
json "$T/out" '[.[].name] | sort == ["linux", "rescue-1", "secret", "ssd", "win-1"]' "all zones, page by page"
json "$T/out" '.[] | select(.name == "win-1") | .disks[0] | .boot and .autoDelete and .deviceName == "sda"
	and ([.guestOsFeatures[].type] | index("WINDOWS") != null)' "the boot disk"
compute instances list --filter="labels.env=prod"
json "$T/out" 'length == 1' "by label"
compute machine-types describe n2-standard-4
json "$T/out" '.maximumPersistentDisks == 128' "disks of a machine type"
compute instances get-screenshot win-1 --destination="$T/screen.png"
gcloud compute instances get-serial-port-output win-1 >"$T/out" 2>"$T/err" || fail "serial port: $(cat "$T/err")"
grep -q "BdsDxe: starting Boot" "$T/out" || fail "no boot banner on the serial port"
refused "was not found" instances describe nobody

# label, stop, back up
compute instances add-labels win-1 --labels=fixfleet-run=r1
compute disks add-labels win-1-os --labels=fixfleet-run=r1
refused "must be in TERMINATED state" instances detach-disk win-1 --disk=win-1-os
refused "undefined value for discard-local-ssd" instances stop ssd
compute instances stop win-1
compute disks snapshot win-1-os --snapshot-names=fixfleet-r1-win-1 --labels=fixfleet-run=r1
compute snapshots describe fixfleet-r1-win-1
json "$T/out" '.sourceDisk | endswith("/zones/us-central1-a/disks/win-1-os")' "the snapshot's source"

# there and back
compute instances detach-disk win-1 --device-name=sda
refused "no boot disk" instances start win-1
compute instances attach-disk rescue-1 --disk=win-1-os --device-name=fixfleet-1 --mode=rw
refused "is already being used by" instances attach-disk win-1 --disk=win-1-os --boot
compute instances detach-disk rescue-1 --device-name=fixfleet-1
compute instances attach-disk win-1 --disk=win-1-os --device-name=sda --boot
compute instances set-disk-auto-delete win-1 --disk=win-1-os --auto-delete

# start, release
compute instances start win-1
compute instances remove-labels win-1 --labels=fixfleet-run
compute disks remove-labels win-1-os --labels=fixfleet-run
compute snapshots delete fixfleet-r1-win-1
[ "$(sim_state '.gcp.vms[0] | "\(.power) \(.boot.disk) \(.boot.device_name) \(.boot.auto_delete) \(.labels)"')" = \
	'running win-1-os sda true {"env":"prod"}' ] || fail "not as before: $(sim_state '.gcp.vms[0]')"

# a customer-supplied key
jq -cn --arg k $KEY '[{uri:"https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-b/disks/secret", key:$k, "key-type":"raw"}]' \
	>"$T/keys"
compute instances add-labels secret --zone=us-central1-b --labels=fixfleet-run=r1
refused "is protected with a customer supplied encryption key" instances start secret --zone=us-central1-b
compute instances start secret --zone=us-central1-b --csek-key-file="$T/keys"
compute instances remove-labels secret --zone=us-central1-b --labels=fixfleet-run
no_violations_but "was asked to start while its" # the start that was refused above
