#!/bin/sh
# slow: one fleet on AWS, trouble in most calls. Nothing is done twice, each root volume comes home as it was; who cannot start says why.
. tests/e2e/lib

faults='[
 {"match":{"body":"Action=StopInstances*","nth":1},"answer":{"status":503}},
 {"match":{"body":"Action=StopInstances*","nth":2},"answer":{"reset":"after"}},
 {"match":{"body":"Action=CreateTags*","nth":2},"answer":{"reset":"after"}},
 {"match":{"body":"Action=CreateSnapshot*","nth":1},"answer":{"reset":"after"}},
 {"match":{"body":"Action=CreateSnapshot*","nth":3},"answer":{"status":400,"code":"SnapshotCreationPerVolumeRateExceeded"}},
 {"match":{"body":"Action=DetachVolume*","nth":1},"answer":{"reset":"before"}},
 {"match":{"body":"Action=DetachVolume*","nth":3},"answer":{"reset":"after"}},
 {"match":{"body":"Action=AttachVolume*","nth":1},"answer":{"reset":"after"}},
 {"match":{"body":"Action=AttachVolume*","nth":4},"answer":{"status":500}},
 {"match":{"body":"Action=ModifyInstanceAttribute*","nth":1},"answer":{"reset":"before"}},
 {"match":{"body":"Action=StartInstances*","nth":1},"answer":{"status":503}},
 {"match":{"body":"Action=DescribeVolumes*","nth":4},"answer":{"truncate":true}},
 {"match":{"body":"Action=EnterStandby*","nth":1},"answer":{"reset":"after"}}
]'
cloud_scenario aws '{"groups":[{"name":"web","min":0}]}' "$faults" "$(aws_win f-1 bad.img '{"tags":{"owner":"ops & <co>"}}')" \
	"$(aws_win f-keep bad.img '{"root":{"delete_on_termination":false,"device":"/dev/xvda"}}')" "$(aws_win f-kms bad.img '{"start_fault":"kms"}')" \
	"$(aws_win f-member bad.img '{"asg":"web"}')" "$(aws_win f-waiting bad.img '{"asg":"web","life":"Standby"}')" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud"
# a cloud whose credentials are refused ends as 3 for its part, the other goes on, and the summary says so
export GOOGLE_APPLICATION_CREDENTIALS="$T/nothing.json"
mend --provider aws --region us-east-1 --asg standby --provider gcp --project p1 --name 'f-*' --max-failures 5
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1: one VM does not start"; }
for vm in f-1 f-keep f-member f-waiting; do
	ended $vm repaired
	state ".aws.vms[] | select(.name == \"$vm\") | .power == \"running\" and .bad == false and .own_disk and .stops == 1 and .root.status == \"attached\"" "$vm is up on its own volume"
done
# it fell back to stopped: its volume is home, mended, and the reason is EC2's own
ended f-kms failed-home "Client.InternalError"
state '.aws.vms[] | select(.name == "f-kms") | .power == "stopped" and .own_disk and .root.delete_on_termination' "f-kms has its volume"
state '[.aws.vms[] | select(.name | startswith("f-")) | {(.name): [.root.device, .root.delete_on_termination]}] | add ==
	{"f-1":["/dev/sda1",true],"f-keep":["/dev/xvda",false],"f-kms":["/dev/sda1",true],"f-member":["/dev/sda1",true],"f-waiting":["/dev/sda1",true]}' "attached as before"
state '.aws.vms[] | select(.name == "f-1") | .tags == {"Name":"f-1","owner":"ops & <co>"}' "its own tags only"
# into Standby and back; who was there before stays there
state '[.aws.vms[] | select(.name == "f-member" or .name == "f-waiting") | .life] == ["InService","Standby"]' "their group's view"
state '(.aws.snapshots | length) == 5 and ([.aws.snapshots[].volume] | unique | length) == 5' "one snapshot a volume"
state '[.aws.vms[] | select(.name == "rescue-a") | .data_disks | length] == [0]' "nothing is left on the rescue VM"
state '.violations == []' "no promise is broken"
grep -q 'RequestLimitExceeded.*again (1) in' "$T/err" || fail "-v does not say what is repeated, how often and when"
tail -n 5 "$T/err" | grep -q 'gcp project p1: nothing was done there.*nothing.json' || fail "the summary does not name the cloud that was left out"
! grep -rqE 'secret/that' "$T/run" "$T/out" "$T/err" || fail "a secret is in journal, output or log"
