/* The way of a root volume to the rescue VM and home, as a proper client goes it; and what goes wrong on the way. */
#include "test_cloudsim_aws_kit.h"

#include <sys/wait.h>
#include <unistd.h>

#define VM1                                                                                                            \
	"{'name':'bad','id':'i-0000000000000001','tags':{'Env':'prod'},'public_ip':true,"                              \
	"'root':{'id':'vol-0000000000000001','bad':true,'size_gib':30}%s}"
#define RESCUE                                                                                                         \
	"{'name':'rescue-1','id':'i-000000000000000f','os':'Linux','tags':{'fixfleet-role':'rescue'},"                 \
	"'root':{'id':'vol-000000000000000f'}%s}"
#define SDA		      "%2Fdev%2Fsda1"
#define SDF		      "%2Fdev%2Fsdf"
#define ATTACH(vol, vm, name) "AttachVolume&VolumeId=" vol "&InstanceId=" vm "&Device=" name
#define DETACH(vol, vm)	      "DetachVolume&VolumeId=" vol "&InstanceId=" vm
#define STOP		      "StopInstances&InstanceId.1=" I("1")
#define START		      "StartInstances&InstanceId.1=" I("1")
#define FLAG                                                                                                           \
	"ModifyInstanceAttribute&InstanceId=" I("1") "&BlockDeviceMapping.1.DeviceName=" SDA                           \
						     "&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true"
#define RELEASE "DeleteTags&ResourceId.1=" I("1") "&ResourceId.2=" VOL("1") "&Tag.1.Key=fixfleet-run&Tag.1.Value=r1"

/* One bad machine and a rescue VM, each with more members; and more of the cloud. */
static struct kit fleet(const char *vm, const char *rescue, const char *more)
{
	ff_auto_free char *a = ff_printf(VM1, vm), *b = ff_printf(RESCUE, rescue);
	ff_auto_free char *scenario = ff_printf("{'aws':{'vms':[%s,%s]%s}}", a, b, more);

	return kit_open(scenario);
}

static void state_is(struct kit *k, const char *path, const char *value)
{
	ff_auto_json json_t *state = kit_state(k);
	const json_t *v = ff_json_at(state, path);
	ff_auto_free char *text = json_is_string(v) ? ff_strdup(json_string_value(v))
				  : v != NULL	    ? json_dumps(v, JSON_ENCODE_ANY)
						    : ff_strdup("(none)");

	cr_assert_str_eq(text, value, "%s is %s, not %s", path, text, value);
}

static void take_out(struct kit *k)
{
	must_do(k, CLAIM(I("1"), VOL("1")));
	must_do(k, STOP);
	kit_settle(k);
	must_do(k, "CreateSnapshot&Description=before&VolumeId=" VOL(
			   "1") "&TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag.1.Key=fixfleet-run"
				"&TagSpecification.1.Tag.1.Value=r1");
	must_do(k, DETACH(VOL("1"), I("1")));
	kit_settle(k);
	must_do(k, ATTACH(VOL("1"), I("f"), SDF));
	kit_settle(k);
	state_is(k, "aws/vms/1/data_disks/0/device", "/dev/sdf");
	cr_assert_eq(sim_set_bad(k->sim, VOL("1"), false), 0);
	must_do(k, DETACH(VOL("1"), I("f")));
	kit_settle(k);
}

static void go_home(struct kit *k)
{
	must_do(k, ATTACH(VOL("1"), I("1"), SDA));
	kit_settle(k);
	state_is(k, "aws/vms/0/root/delete_on_termination", "false"); /* an attach loses it */
	must_do(k, FLAG);
	must_do(k, START);
	kit_settle(k);
}

static void status_is(struct kit *k, const char *status)
{
	must_do(k, "DescribeInstanceStatus&InstanceId.1=" I("1"));
	must_say(k, "instanceStatusSet/item/instanceStatus/status", status);
}

/* Everything that a run reads, so that the checker sees it too. */
static void read_all(struct kit *k)
{
	static const char *const reads[] = {"DescribeInstances&MaxResults=500&Filter.1.Name=platform&Filter.1.Value.1="
					    "windows",
		"DescribeVolumes&VolumeId.1=" VOL("1"),
		"DescribeSnapshots&Owner.1=self&Filter.1.Name=tag-key&"
		"Filter.1.Value.1=fixfleet-run",
		"DescribeInstanceAttribute&Attribute=disableApiStop&InstanceId=" I("1"),
		"DescribeInstanceAttribute&Attribute=blockDeviceMapping&InstanceId=" I("1"),
		"DescribeInstanceTypes&InstanceType.1=m5.large&InstanceType.2=m4.large&InstanceType.3=i3.large",
		"DescribeInstanceStatus&IncludeAllInstances=true&InstanceId.1=" I("1"),
		"GetConsoleOutput&InstanceId=" I("1"), "GetConsoleScreenshot&InstanceId=" I("f")};

	for (size_t i = 0; i < FF_COUNT(reads); i++)
		must_do(k, reads[i]);
}

Test(cloudsim_aws_flow, a_machine_comes_home_mended_and_nothing_was_violated)
{
	struct kit k = fleet("", "", "");

	status_is(&k, "impaired");
	take_out(&k);
	go_home(&k);
	state_is(&k, "aws/vms/0/power", "running");
	state_is(&k, "aws/vms/0/own_disk", "true");
	state_is(&k, "aws/vms/0/bad", "false");
	state_is(&k, "aws/vms/0/root/device", "/dev/sda1");
	state_is(&k, "aws/vms/0/root/delete_on_termination", "true");
	state_is(&k, "aws/vms/0/lost_ip", "true"); /* it was not elastic */
	state_is(&k, "aws/snapshots/0/created_by_run", "r1");
	status_is(&k, "initializing");
	k.now += 120000;
	status_is(&k, "ok");
	must_do(&k, RELEASE);
	state_is(&k, "aws/vms/0/tags", "{\"Env\": \"prod\", \"Name\": \"bad\"}");
	state_is(&k, "aws/volumes/0/tags", "{}");
	state_is(&k, "aws/vms/0/stops", "1");
	state_is(&k, "requests/aws DetachVolume", "2");
	cr_assert_eq(kit_violations(&k), 0u);
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_volume_that_was_not_mended_boot_loops_on)
{
	struct kit k = fleet("", "", "");

	take_out(&k);
	sim_set_bad(k.sim, "bad", true);
	go_home(&k);
	k.now += 600000;
	status_is(&k, "impaired");
	cr_assert_eq(kit_violations(&k), 0u);
	kit_close(&k);
}

static int judge(const char *checker, const char *traffic)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl(checker, checker, "--aws-secret", SIM_AWS_KEY "=" SIM_AWS_SECRET, "--aws-secret",
			"AKIDNOBODY=" SIM_AWS_SECRET, traffic, (char *)NULL);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Refusals are answers too. */
static void be_refused(struct kit *k)
{
	ec2(k, "DescribeVolumes&VolumeId.1=vol-00000000000000ff");
	ec2(k, DETACH(VOL("1"), I("1")));
	ec2(k, "StopInstances&DryRun=true&InstanceId.1=" I("1"));
	kit_ask(k, ASG, "ExitStandby&InstanceIds.member.1=" I("f") "&AutoScalingGroupName=g");
	kit_ask(k, STS, "AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fx&RoleSessionName=test");
	k->key = "AKIDNOBODY";
	ec2(k, "DescribeInstances");
	k->key = NULL;
}

Test(cloudsim_aws_flow, the_published_descriptions_agree_with_all_that_was_said)
{
	static const char checker[] = FF_SOURCE_DIR "/../shared/contract/check";
	char path[] = "/tmp/cloudsim-aws-XXXXXX";
	struct kit k = fleet(",'marketplace':true,'managed':false,'tpm':true", "",
		",'groups':[{'name':'g'}],'page_size':2,'web_identity_token':'t.o.k'");
	int fd;

	if (access(checker, X_OK) != 0)
		cr_skip_test("no checker beside this project");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	k.traffic = fdopen(fd, "w");
	cr_assert_eq(kit_ask(&k, STS, "GetCallerIdentity"), 200);
	cr_assert_eq(kit_ask(&k, STS,
			     "AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ffixfleet&"
			     "RoleSessionName=test"),
		200);
	cr_assert_eq(kit_ask(&k, ASG, "DescribeAutoScalingInstances"), 200);
	read_all(&k);
	be_refused(&k);
	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, STOP);
	kit_settle(&k);
	must_do(&k, DETACH(VOL("1"), I("1")));
	must_do(&k, "DescribeVolumes&VolumeId.1=" VOL("1"));
	kit_settle(&k);
	must_do(&k, "CreateSnapshot&VolumeId=" VOL("1") "&TagSpecification.1.ResourceType=snapshot&TagSpecification.1."
							"Tag.1.Key=fixfleet-run&TagSpecification.1.Tag.1.Value=r1");
	go_home(&k);
	read_all(&k);
	must_do(&k, RELEASE);
	fclose(k.traffic);
	k.traffic = NULL;
	cr_assert_eq(judge(checker, path), 0);
	unlink(path);
	kit_close(&k);
}

/* ---- what goes wrong */

Test(cloudsim_aws_flow, a_volume_detached_while_mounted_is_busy)
{
	struct kit k = fleet("", ",'mounted':true", "");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, STOP);
	kit_settle(&k);
	must_do(&k, DETACH(VOL("1"), I("1")));
	kit_settle(&k);
	must_do(&k, ATTACH(VOL("1"), I("f"), SDF));
	kit_settle(&k);
	must_do(&k, DETACH(VOL("1"), I("f")));
	kit_settle(&k);
	must_do(&k, "DescribeVolumes&VolumeId.1=" VOL("1"));
	must_say(&k, "volumeSet/item/attachmentSet/item/status", "busy");
	must_refuse(&k, DETACH(VOL("1"), I("f")), 400, "IncorrectState", "'busy'");
	kit_human(&k, "{'cloud':'aws','op':'unmount','vm':'rescue-1'}");
	state_is(&k, "aws/volumes/0/status", "available");
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_device_name_that_was_torn_off_hangs_in_attaching)
{
	struct kit k = fleet("", ",'mounted':true", "");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, STOP);
	kit_settle(&k);
	must_do(&k, DETACH(VOL("1"), I("1")));
	kit_settle(&k);
	must_do(&k, ATTACH(VOL("1"), I("f"), SDF));
	kit_settle(&k);
	must_do(&k, "DetachVolume&Force=true&VolumeId=" VOL("1"));
	kit_settle(&k);
	state_is(&k, "aws/volumes/0/status", "available");
	must_do(&k, ATTACH(VOL("1"), I("f"), SDF));
	k.now += 3600000;
	state_is(&k, "aws/volumes/0/status", "attaching");
	must_do(&k, DETACH(VOL("1"), I("f"))); /* given up */
	state_is(&k, "aws/volumes/0/status", "available");
	must_do(&k, ATTACH(VOL("1"), I("f"), "%2Fdev%2Fsdg"));
	kit_settle(&k);
	state_is(&k, "aws/volumes/0/status", "attached");
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_start_may_fall_back_and_says_why)
{
	static const char *const cases[][2] = {
		{"kms", "Client.InternalError"}, {"capacity", "Server.InsufficientInstanceCapacity"}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *fault = ff_printf(",'start_fault':'%s','start_faults':1", cases[i][0]);
		struct kit k = fleet(fault, "", "");

		take_out(&k);
		must_do(&k, ATTACH(VOL("1"), I("1"), SDA));
		kit_settle(&k);
		must_do(&k, FLAG);
		must_do(&k, START);
		must_say(&k, "instancesSet/item/currentState/name", "pending");
		kit_settle(&k);
		must_do(&k, "DescribeInstances&InstanceId.1=" I("1"));
		must_say(&k, "reservationSet/item/instancesSet/item/instanceState/name", "stopped");
		must_say(&k, "reservationSet/item/instancesSet/item/stateReason/code", cases[i][1]);
		must_do(&k, START);
		kit_settle(&k);
		state_is(&k, "aws/vms/0/power", "running");
		kit_close(&k);
	}
}

Test(cloudsim_aws_flow, a_volume_whose_key_cannot_be_used_keeps_its_machine_from_starting)
{
	struct kit k =
		kit_open("{'aws':{'keys':{'arn:aws:kms:us-east-1:123456789012:key/k1':'Disabled'},'vms':[{'name':'a',"
			 "'id':'i-0000000000000001','power':'stopped','root':{'id':'vol-0000000000000001',"
			 "'encrypted':true,'kms_key':'arn:aws:kms:us-east-1:123456789012:key/k1'}}]}}");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, START);
	kit_settle(&k);
	must_do(&k, "DescribeInstances&InstanceId.1=" I("1"));
	must_say(&k, "reservationSet/item/instancesSet/item/instanceState/name", "stopped");
	must_say(&k, "reservationSet/item/instancesSet/item/stateReason/code", "Client.InternalError");
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_stop_that_hangs_ends_by_force)
{
	struct kit k = fleet(",'stop_hangs':true", "", "");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, STOP);
	k.now += 3600000;
	must_do(&k, STOP "&SkipOsShutdown=true");
	must_say(&k, "instancesSet/item/previousState/name", "stopping");
	k.now += 3600000;
	state_is(&k, "aws/vms/0/power", "stopping");
	must_do(&k, STOP "&Force=true");
	k.now += 10000;
	state_is(&k, "aws/vms/0/power", "stopped");
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_group_replaces_a_stopped_member_that_is_not_on_standby)
{
	struct kit k = fleet(",'asg':'g'", "", ",'groups':[{'name':'g'}]");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, STOP);
	kit_settle(&k);
	cr_assert(kit_violated(&k, "while in service in group 'g'"));
	state_is(&k, "aws/vms/0/power", "terminated");
	must_refuse(&k, "DescribeVolumes&VolumeId.1=" VOL("1"), 400, "InvalidVolume.NotFound", VOL("1"));
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_member_on_standby_is_left_alone)
{
	struct kit k = fleet(",'asg':'g'", "", ",'groups':[{'name':'g'}]");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	cr_assert_eq(kit_ask(&k, ASG,
			     "EnterStandby&ShouldDecrementDesiredCapacity=true&AutoScalingGroupName=g&"
			     "InstanceIds.member.1=" I("1")),
		200);
	must_say(&k, "EnterStandbyResult/Activities/member/StatusCode", "InProgress");
	state_is(&k, "aws/vms/0/life", "EnteringStandby");
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, ASG, "DescribeAutoScalingInstances&InstanceIds.member.1=" I("1")), 200);
	must_say(&k, "DescribeAutoScalingInstancesResult/AutoScalingInstances/member/LifecycleState", "Standby");
	take_out(&k);
	go_home(&k);
	cr_assert_eq(kit_ask(&k, ASG, "ExitStandby&AutoScalingGroupName=g&InstanceIds.member.1=" I("1")), 200);
	kit_settle(&k);
	state_is(&k, "aws/vms/0/life", "InService");
	cr_assert_eq(kit_violations(&k), 0u);
	kit_close(&k);
}

/* ---- budgets and faults */

Test(cloudsim_aws_flow, starts_are_five_at_once_and_then_two_a_second)
{
	struct kit k = fleet("", "", "");

	for (int i = 0; i < 5; i++)
		must_do(&k, START);
	must_refuse(&k, START, 503, "RequestLimitExceeded", "Request limit exceeded.");
	cr_assert_null(ff_headers_get(&k.a.headers, "Retry-After"));
	k.now += 499;
	must_refuse(&k, START, 503, "RequestLimitExceeded", "exceeded");
	k.now += 1;
	must_do(&k, START);
	must_refuse(&k, START, 503, "RequestLimitExceeded", "exceeded");
	must_do(&k, "DescribeInstances");
	state_is(&k, "requests/aws throttled", "3");
	kit_close(&k);
}

Test(cloudsim_aws_flow, ids_and_unfiltered_lists_have_their_own_budgets)
{
	struct kit k = fleet("", "",
		",'buckets':{'StopInstances.resources':{'capacity':3,'refill_per_s':1},"
		"'DescribeInstances.unfiltered':{'capacity':1,'refill_per_s':1}}");

	must_do(&k, "StopInstances&InstanceId.1=" I("f") "&InstanceId.2=" I("f"));
	must_refuse(&k, "StopInstances&InstanceId.1=" I("f") "&InstanceId.2=" I("f"), 503, "RequestLimitExceeded",
		"exceeded");
	must_do(&k, "StopInstances&InstanceId.1=" I("f"));
	must_do(&k, "DescribeInstances");
	must_refuse(&k, "DescribeInstances", 503, "RequestLimitExceeded", "exceeded");
	must_do(&k, "DescribeInstances&MaxResults=5");
	must_do(&k, "DescribeInstances&InstanceId.1=" I("1"));
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_second_snapshot_of_a_volume_at_once_is_too_many)
{
	struct kit k = fleet("", "", "");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, "CreateSnapshot&VolumeId=" VOL("1") "&TagSpecification.1.ResourceType=snapshot&TagSpecification.1."
							"Tag.1.Key=fixfleet-run&TagSpecification.1.Tag.1.Value=r1");
	must_refuse(&k, "CreateSnapshot&VolumeId=" VOL("1"), 400, "SnapshotCreationPerVolumeRateExceeded",
		"The maximum per volume CreateSnapshot request rate has been exceeded.");
	kit_close(&k);
}

Test(cloudsim_aws_flow, faults_speak_as_aws_does)
{
	struct ff_err err = {0};
	struct kit k = {.now = BEGAN};

	k.sim = kit_model(
		"{'faults':[{'match':{'body':'Action=Describe*','nth':1},'answer':{'status':503}},"
		"{'match':{'body':'Action=Describe*','nth':2},'answer':{'status':500}},"
		"{'match':{'body':'Action=Describe*','nth':3},'answer':{'status':502}},"
		"{'match':{'body':'Action=Start*'},'answer':{'operation_fails':{'code':'Server.InternalError',"
		"'message':'Server.InternalError'}}},"
		"{'match':{'body':'Action=Attach*'},'answer':{'operation_fails':{'code':'x'}}}],"
		"'aws':{'vms':[{'id':'i-0000000000000001','power':'stopped','tags':{'fixfleet-run':'r1'}}],"
		"'volumes':[{'id':'vol-0000000000000001','tags':{'fixfleet-run':'r1'}}]}}",
		&err);
	cr_assert_not_null(k.sim, "%s", err.text);
	must_refuse(&k, "DescribeInstances", 503, "RequestLimitExceeded", "exceeded");
	must_refuse(&k, "DescribeInstances", 500, "InternalError", "internal error");
	cr_assert_eq(ec2(&k, "DescribeInstances"), 502);
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Content-Type"), "text/html");
	must_do(&k, START);
	kit_settle(&k);
	state_is(&k, "aws/vms/0/power", "stopped");
	state_is(&k, "aws/vms/0/reason", "Server.InternalError");
	must_do(&k, ATTACH(VOL("1"), I("1"), SDF));
	kit_settle(&k);
	state_is(&k, "aws/volumes/1/status", "available");
	kit_close(&k);
}

/* ---- what must never happen is seen */

Test(cloudsim_aws_flow, the_root_that_is_away_must_not_be_deleted)
{
	struct kit k = fleet("", "", "");

	take_out(&k);
	cr_assert_not(kit_violated(&k, "has no other root"));
	must_do(&k, "DeleteVolume&VolumeId=" VOL("1"));
	cr_assert(kit_violated(&k, "volume '" VOL("1") "' was deleted while 'bad' has no other root"));
	kit_close(&k);
}

Test(cloudsim_aws_flow, changes_without_a_claim_are_violations)
{
	struct kit k = fleet("", "", "");

	must_do(&k, STOP);
	cr_assert(kit_violated(&k, "'bad' was changed (StopInstances) without a claim"));
	kit_settle(&k);
	must_do(&k, DETACH(VOL("1"), I("1")));
	cr_assert(kit_violated(&k, "volume '" VOL("1") "' was changed (DetachVolume) without a claim"));
	kit_settle(&k);
	must_do(&k, ATTACH(VOL("1"), I("1"), SDA));
	kit_settle(&k);
	must_do(&k, START);
	cr_assert(kit_violated(&k, "'bad' was changed (StartInstances) without a claim"));
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_healthy_machine_must_not_be_stopped)
{
	struct kit k = fleet("", "", "");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	sim_set_bad(k.sim, VOL("1"), false);
	must_do(&k, STOP);
	cr_assert_eq(kit_violations(&k), 0u, "it still loops, whatever is on its disk by now");
	kit_close(&k);
	k = kit_open("{'aws':{'vms':[{'name':'well','id':'i-0000000000000001','tags':{'fixfleet-run':'r1'}}]}}");
	must_do(&k, STOP);
	cr_assert(kit_violated(&k, "'well' was healthy when it was asked to stop"));
	kit_close(&k);
}

Test(cloudsim_aws_flow, a_start_with_the_flag_lost_or_a_foreign_root_is_a_violation)
{
	struct kit k = fleet("", "", ",'volumes':[{'id':'vol-00000000000000a1','tags':{'fixfleet-run':'r1'}}]");

	take_out(&k);
	must_do(&k, ATTACH(VOL("1"), I("1"), SDA));
	kit_settle(&k);
	must_do(&k, START);
	kit_settle(&k);
	cr_assert(kit_violated(&k, "'bad' runs with DeleteOnTermination false of its root, it was true"));
	kit_close(&k);
	k = fleet("", "", ",'volumes':[{'id':'vol-00000000000000a1','tags':{'fixfleet-run':'r1'}}]");
	take_out(&k);
	must_do(&k, ATTACH("vol-00000000000000a1", I("1"), SDA));
	kit_settle(&k);
	must_do(&k, START);
	kit_settle(&k);
	cr_assert(kit_violated(&k, "'bad' runs without its own root: vol-00000000000000a1 is at /dev/sda1"));
	state_is(&k, "aws/vms/0/own_disk", "false");
	kit_close(&k);
}

Test(cloudsim_aws_flow, tags_of_others_are_not_ours)
{
	struct kit k = fleet("", "", "");

	must_do(&k, "CreateTags&ResourceId.1=" I("1") "&Tag.1.Key=fixfleet-run&Tag.1.Value=r0");
	must_do(&k, "DeleteTags&ResourceId.1=" I("1") "&Tag.1.Key=fixfleet-run&Tag.1.Value=r1");
	state_is(&k, "aws/vms/0/tags/fixfleet-run", "r0"); /* another value stays */
	must_do(&k, "DeleteTags&ResourceId.1=" I("1") "&Tag.1.Key=fixfleet-run&Tag.1.Value=");
	state_is(&k, "aws/vms/0/tags/fixfleet-run", "r0");
	must_do(&k, "CreateTags&ResourceId.1=" I("1") "&Tag.1.Key=fixfleet-run&Tag.1.Value=r2");
	cr_assert_eq(kit_violations(&k), 0u); /* who looked a moment ago could not see it */
	k.now += 5001;
	must_do(&k, CLAIM(I("1"), VOL("1")));
	cr_assert(kit_violated(&k, "run 'r1' overwrote the claim of run 'r2' on 'bad'"));
	k.run = "r1";
	must_do(&k, STOP);
	cr_assert_eq(kit_violations(&k), 1u);
	kit_settle(&k);
	k.run = "r2";
	must_do(&k, START);
	cr_assert(kit_violated(&k, "'bad' was changed (StartInstances) by run 'r2' and is claimed by run 'r1'"));
	must_do(&k, "CreateTags&ResourceId.1=" I("1") "&Tag.1.Key=Env&Tag.1.Value=test");
	cr_assert(kit_violated(&k, "tag 'Env' of 'bad', which is not fixfleet's, was overwritten"));
	must_do(&k, "DeleteTags&ResourceId.1=" I("1")); /* without Tag: all of them */
	cr_assert(kit_violated(&k, "tag 'Env' of 'bad', which is not fixfleet's, was deleted"));
	state_is(&k, "aws/vms/0/tags", "{}");
	kit_close(&k);
}

Test(cloudsim_aws_flow, aws_own_tags_stay_whatever_is_deleted)
{
	struct kit k = fleet(",'asg':'g'", "", ",'groups':[{'name':'g'}]");

	must_do(&k, "DeleteTags&ResourceId.1=" I("1"));
	state_is(&k, "aws/vms/0/tags", "{\"aws:autoscaling:groupName\": \"g\"}");
	kit_close(&k);
}

Test(cloudsim_aws_flow, snapshots_without_a_run_are_not_to_be_made_nor_deleted)
{
	struct kit k = fleet("", "", ",'snapshots':[{'id':'snap-0000000000000001'}]");

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, "CreateSnapshot&VolumeId=" VOL("1"));
	cr_assert(kit_violated(&k, "without the tag of a run"));
	must_do(&k, "DeleteSnapshot&SnapshotId=snap-0000000000000001");
	cr_assert(kit_violated(&k, "snapshot 'snap-0000000000000001' was deleted, which no run had made"));
	must_refuse(&k, "DeleteSnapshot&SnapshotId=snap-0000000000000001", 400, "InvalidSnapshot.NotFound", "snap-");
	kit_close(&k);
}

/* ---- surroundings */

static char *name_image(void *arg, const char *id, unsigned number)
{
	(void)arg;
	return ff_printf("/copies/%u-%s", number, id);
}

static int is_bad(void *arg, const char *image)
{
	(void)arg;
	return strstr(image, "bad") != NULL || strstr(image, VOL("1")) != NULL;
}

static void next_effects(struct kit *k, char *out, size_t room)
{
	size_t n;
	struct sim_effect *e;

	k->now += 100000;
	sim_advance(k->sim, k->now);
	e = sim_take_effects(k->sim, &n);
	*out = '\0';
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(out);

		snprintf(out + len, room - len, "%d %s %s %s;", (int)e[i].kind, e[i].image, e[i].vm ? e[i].vm : "-",
			e[i].link ? e[i].link : "-");
	}
	sim_effects_free(e, n);
}

Test(cloudsim_aws_flow, images_are_copied_first_and_appear_by_the_serial_of_the_volume)
{
	static const char scenario[] =
		"{\"aws\":{\"vms\":[{\"name\":\"a\",\"id\":\"i-0000000000000001\",\"power\":\"running\",\"tags\":"
		"{\"fixfleet-run\":\"r1\"},\"root\":{\"id\":\"vol-0000000000000001\",\"image\":\"/orig/bad.img\","
		"\"size_bytes\":1048576}},{\"name\":\"rescue-1\",\"id\":\"i-000000000000000f\",\"rescue\":true,\"os\":"
		"\"Linux\"},{\"name\":\"xen\",\"id\":\"i-000000000000000e\",\"rescue\":true,\"os\":\"Linux\",\"type\":"
		"\"m4.large\"}]}}";
	struct sim_hooks hooks = {is_bad, name_image, NULL};
	ff_auto_json json_t *j = ff_json_parse(scenario, strlen(scenario), 65536, NULL);
	struct kit k = {.now = BEGAN, .sim = sim_new(j, BEGAN, &hooks, NULL)};
	char seen[600];

	cr_assert_not_null(k.sim);
	next_effects(&k, seen, sizeof(seen));
	cr_assert_str_eq(seen, "0 /copies/1-" VOL("1") " - -;");
	status_is(&k, "impaired");
	must_do(&k, STOP);
	k.now += 60000;
	must_do(&k, DETACH(VOL("1"), I("1")));
	next_effects(&k, seen, sizeof(seen));
	cr_assert_str_eq(seen, "", "what a machine has of its own is no link");
	must_do(&k, ATTACH(VOL("1"), I("f"), SDF));
	k.now += 4000; /* attached: the device comes later */
	sim_advance(k.sim, k.now);
	k.now += 500;
	next_effects(&k, seen, sizeof(seen));
	cr_assert_str_eq(seen, "2 /copies/1-" VOL("1") " rescue-1 disk/by-id/nvme-Amazon_Elastic_Block_Store_"
						       "vol0000000000000001;");
	must_do(&k, DETACH(VOL("1"), I("f")));
	next_effects(&k, seen, sizeof(seen));
	cr_assert_str_eq(seen, "3 /copies/1-" VOL("1") " rescue-1 disk/by-id/nvme-Amazon_Elastic_Block_Store_"
						       "vol0000000000000001;");
	must_do(&k, ATTACH(VOL("1"), I("e"), SDF));
	next_effects(&k, seen, sizeof(seen));
	cr_assert_str_eq(seen, "2 /copies/1-" VOL("1") " xen xvdf;");
	kit_close(&k);
}

Test(cloudsim_aws_flow, humans_act_at_once_and_are_not_asked)
{
	struct kit k = fleet("", "", "");
	struct ff_err err = {0};
	ff_auto_json json_t *nobody = json_pack("{s:s,s:s}", "op", "stop", "vm", "nobody");

	take_out(&k);
	must_do(&k, ATTACH(VOL("1"), I("f"), SDF));
	kit_settle(&k);
	kit_human(&k, "{'op':'detach','vm':'rescue-1','disk':'vol-0000000000000001'}");
	state_is(&k, "aws/volumes/0/status", "available");
	kit_human(&k, "{'op':'touch-tags','vm':'bad','tags':{'Env':null,'x':'y'}}");
	state_is(&k, "aws/vms/0/tags/x", "y");
	state_is(&k, "aws/vms/0/tags/Env", "(none)");
	kit_human(&k, "{'op':'stop','vm':'rescue-1'}");
	state_is(&k, "aws/vms/1/power", "stopped");
	kit_human(&k, "{'op':'start','vm':'rescue-1'}");
	state_is(&k, "aws/vms/1/power", "running");
	cr_assert_eq(sim_human(k.sim, k.now, nobody, &err), -1);
	cr_assert_eq(kit_violations(&k), 0u);
	kit_close(&k);
}

Test(cloudsim_aws_flow, three_clouds_are_told_apart)
{
	struct kit k = kit_open("{'azure':{'vms':[{'name':'a'}]},'aws':{'vms':[{'name':'b'}]}}");
	struct sim_request r = {.method = "GET", .base = "https://x", .target = "/subscriptions?api-version=1"};

	must_do(&k, "DescribeInstances");
	cr_assert_eq(kit_send(&k, &r), 401, "Azure's answer to a request without a token");
	kit_human(&k, "{'op':'stop','vm':'a'}");
	kit_human(&k, "{'op':'stop','vm':'b'}");
	state_is(&k, "azure/vms/0/power", "stopped");
	state_is(&k, "aws/vms/0/power", "stopped");
	kit_close(&k);
}
