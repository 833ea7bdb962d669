#!/bin/sh
# AWS's own command line client is the judge of the simulated cloud: what it cannot sign, send and read, the cloud would not.
. tests/e2e/lib
command -v aws >/dev/null && aws --version >/dev/null 2>&1 || { echo "needs aws, the AWS command line client"; exit 77; }
for variable in $(env | sed -n 's/^\(AWS_[A-Z_0-9]*\)=.*/\1/p'); do
	unset "$variable"
done
export AWS_DEFAULT_REGION=us-east-1 AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER= AWS_MAX_ATTEMPTS=1 AWS_DEFAULT_OUTPUT=json
AWS=i-0123456789abcdef0 RESCUE=i-0123456789abcdef1 ROOT=vol-0123456789abcdef0

cat >"$T/scenario.json" <<EOF
{"aws": {"latency_ms": {"stop": 4000, "start": 500, "attach": 400, "detach": 400, "snapshot": 300, "boot": 900, "standby": 200},
  "lag_ms": {"instances": 300, "status": 300, "volumes": 100, "snapshots": 100, "tags": 100}, "link_delay_ms": 50, "page_size": 2,
  "external_id": "ext1", "web_identity_token": "eyJ.abc.xyz", "groups": [{"name": "asg1", "min": 0}],
  "vms": [
   {"name": "win-1", "id": "$AWS", "tags": {"Env": "prod fleet & <more>", "Näme": "ü & ="}, "asg": "asg1",
    "root": {"id": "$ROOT", "bad": true, "size_gib": 30}},
   {"name": "healthy", "root": {}}, {"name": "stopped", "power": "stopped"},
   {"name": "rescue-1", "id": "$RESCUE", "os": "Linux", "tags": {"fixfleet-role": "rescue"}}]}}
EOF
sim_start "$T/scenario.json" "$T/cloud" --imds 127.0.0.1:0

# ec2 OPERATION OPTION...: one call; its answer in $T/out
ec2() {
	aws ec2 "$@" >"$T/out" 2>"$T/err" || { cat "$T/err" >&2; fail "aws ec2 $*"; }
}
# refused TEXT COMMAND...: it fails, saying so
refused() {
	want=$1
	shift
	! "$@" >"$T/out" 2>"$T/err" || fail "not refused: $*"
	grep -qF -- "$want" "$T/err" || { cat "$T/err" >&2; fail "$* was not refused with: $want"; }
}
# until VALUE QUERY OPERATION OPTION...: ask again until the answer is that
until_is() {
	value=$1 query=$2
	shift 2
	tries=0
	while [ "$(aws ec2 "$@" --query "$query" --output text 2>&1)" != "$value" ]; do
		tries=$((tries + 1))
		[ $tries -lt 20 ] || fail "$* is not '$value' but '$(aws ec2 "$@" --query "$query" --output text 2>&1)'"
		sleep 0.3
	done
}
instance() {
	until_is "$1" 'Reservations[].Instances[].State.Name' describe-instances --instance-ids $AWS
}
volume() {
	until_is "$1" 'Volumes[].[State, Attachments[0].State, Attachments[0].Device] | [0] | join(`/`, [not_null(@[0], `-`), not_null(@[1], `-`), not_null(@[2], `-`)])' \
		describe-volumes --volume-ids $ROOT
}

# identity
aws sts get-caller-identity >"$T/out"
json "$T/out" '.Account == "123456789012" and (.Arn | endswith("user/fixfleet"))' "who am I"
refused "SignatureDoesNotMatch" env AWS_SECRET_ACCESS_KEY=wrong aws ec2 describe-instances
refused "AuthFailure" env AWS_ACCESS_KEY_ID=AKIDNOBODY aws ec2 describe-instances
refused "AccessDenied" aws sts assume-role --role-arn arn:aws:iam::123456789012:role/fixfleet --role-session-name cli
aws sts assume-role --role-arn arn:aws:iam::123456789012:role/fixfleet --role-session-name cli --external-id "ext1" >"$T/role"
env AWS_ACCESS_KEY_ID="$(jq -r .Credentials.AccessKeyId "$T/role")" AWS_SECRET_ACCESS_KEY="$(jq -r .Credentials.SecretAccessKey "$T/role")" \
	AWS_SESSION_TOKEN="$(jq -r .Credentials.SessionToken "$T/role")" aws sts get-caller-identity >"$T/out"
json "$T/out" '.Arn | endswith("assumed-role/fixfleet/cli")' "credentials of an assumed role"
env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY aws sts get-caller-identity >"$T/out" # by the metadata service
json "$T/out" ".Arn | endswith(\"assumed-role/fixfleet/$RESCUE\")" "credentials of the metadata service"
aws sts assume-role-with-web-identity --role-arn arn:aws:iam::123456789012:role/fixfleet --role-session-name web \
	--web-identity-token eyJ.abc.xyz >"$T/out"

# list
ec2 describe-instances --filters Name=platform,Values=windows Name=instance-state-name,Values=running
json "$T/out" '[.Reservations[].Instances[] | .Tags[]? | select(.Key == "Name") | .Value] | sort == ["healthy", "win-1"]' "running Windows"
json "$T/out" '.Reservations[].Instances[] | select(.InstanceId == "'$AWS'") | .Tags | map({(.Key): .Value}) | add
	| .Env == "prod fleet & <more>" and ."Näme" == "ü & =" and ."aws:autoscaling:groupName" == "asg1"' "tags"
ec2 describe-instances --max-items 10 --page-size 5
json "$T/out" '[.Reservations[].Instances[]] | length == 4' "page by page, all of them"
ec2 describe-instance-status --filters Name=instance-status.status,Values=impaired
json "$T/out" '.InstanceStatuses | length == 1 and .[0].InstanceId == "'$AWS'" and .[0].SystemStatus.Status == "ok"' "the impaired one"
ec2 describe-instance-types --instance-types m5.large
json "$T/out" '.InstanceTypes[0].EbsInfo.MaximumEbsAttachments == 27' "attachments of a type"
ec2 describe-instance-attribute --instance-id $AWS --attribute disableApiStop
json "$T/out" '.DisableApiStop.Value == false' "stop protection"
ec2 get-console-output --instance-id $AWS
ec2 get-console-screenshot --instance-id $AWS
refused "InvalidInstanceID.Malformed" aws ec2 describe-instances --instance-ids foobar
refused "DryRunOperation" aws ec2 stop-instances --dry-run --instance-ids $AWS

# tag, stand by, stop
ec2 create-tags --resources $AWS $ROOT --tags Key=fixfleet-run,Value=r1
aws autoscaling enter-standby --instance-ids $AWS --auto-scaling-group-name asg1 --should-decrement-desired-capacity >"$T/out"
json "$T/out" '.Activities | length == 1' "an activity"
sleep 0.5
aws autoscaling describe-auto-scaling-instances --instance-ids $AWS >"$T/out"
json "$T/out" '.AutoScalingInstances[0].LifecycleState == "Standby"' "on stand-by"
ec2 stop-instances --instance-ids $AWS
json "$T/out" '.StoppingInstances[0].CurrentState.Name == "stopping"' "stopping"
refused "Unable to detach root volume" aws ec2 detach-volume --volume-id $ROOT --instance-id $AWS
instance stopped

# there and back
ec2 create-snapshot --volume-id $ROOT --description "before (1/2)" \
	--tag-specifications 'ResourceType=snapshot,Tags=[{Key=fixfleet-run,Value=r1}]'
until_is completed 'Snapshots[].State' describe-snapshots --owner-ids self --filters Name=tag-key,Values=fixfleet-run
ec2 detach-volume --volume-id $ROOT --instance-id $AWS
volume available/-/-
refused "does not have a volume attached at root (/dev/sda1)" aws ec2 start-instances --instance-ids $AWS
ec2 attach-volume --volume-id $ROOT --instance-id $RESCUE --device /dev/sdf
volume in-use/attached//dev/sdf
refused "already attached to an instance" aws ec2 attach-volume --volume-id $ROOT --instance-id $AWS --device /dev/sda1
ec2 detach-volume --volume-id $ROOT --instance-id $RESCUE
volume available/-/-
ec2 attach-volume --volume-id $ROOT --instance-id $AWS --device /dev/sda1
volume in-use/attached//dev/sda1
ec2 modify-instance-attribute --instance-id $AWS --block-device-mappings '[{"DeviceName":"/dev/sda1","Ebs":{"DeleteOnTermination":true}}]'

# start, release
ec2 start-instances --instance-ids $AWS
instance running
until_is impaired 'InstanceStatuses[].InstanceStatus.Status' describe-instance-status --instance-ids $AWS
aws autoscaling exit-standby --instance-ids $AWS --auto-scaling-group-name asg1 >"$T/out"
sleep 0.5
ec2 delete-tags --resources $AWS $ROOT --tags Key=fixfleet-run,Value=r1
ec2 delete-snapshot --snapshot-id "$(sim_state '.aws.snapshots[0].id')"
[ "$(sim_state '.aws.vms[0] | "\(.power) \(.root.volume) \(.root.delete_on_termination) \(.life) \(.tags["fixfleet-run"])"')" = \
	"running $ROOT true InService null" ] || fail "not as before: $(sim_state '.aws.vms[0]')"
no_violations_but "was asked to start while its" # the start that was refused above
