#include "test_aws.h"

/* One VM, one rescue VM, and facts that change as the driver would change them. */
struct stage {
	struct ff_cloud *cloud;
	struct ff_vm vm, rescue;
	json_t *facts, *rescue_facts;
	struct ff_member m;
};

static void stage_up(struct stage *s, int step)
{
	struct ff_scope_options options = {0};

	*s = (struct stage){.cloud = signed_in(&options)};
	s->vm = (struct ff_vm){.id = (char *)"i-1", .name = (char *)"web", .health = FF_AFFECTED, .running = true};
	s->rescue = (struct ff_vm){.id = (char *)"i-r", .name = (char *)"rescue-1", .slots_max = 27};
	s->facts = json_pack("{s:{s:s,s:s,s:b,s:i},s:s}", "root", "volume", "vol-0a1", "device", "/dev/sda1", "delete",
		1, "size_gib", 30, "pool", "us-east-1a m5.large");
	s->rescue_facts = json_pack("{s:[s]}", "devices", "/dev/sda1");
	s->m = (struct ff_member){.vm = &s->vm,
		.facts = s->facts,
		.rescue = &s->rescue,
		.rescue_facts = s->rescue_facts,
		.slot = 3,
		.step = step,
		.run = "run-1",
		.token = "t"};
}

static void stage_down(struct stage *s)
{
	json_decref(s->facts);
	json_decref(s->rescue_facts);
	ff_aws.close(s->cloud);
}

static void learn(struct stage *s, struct ff_verdict *v)
{
	if (v->facts != NULL)
		ff_json_merge(s->facts, v->facts);
	if (v->rescue_facts != NULL)
		ff_json_merge(s->rescue_facts, v->rescue_facts);
	json_decref(v->facts);
	json_decref(v->rescue_facts);
	v->facts = v->rescue_facts = NULL;
}

static char *body_of_act(struct stage *s)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	char *body;

	cr_assert_eq(aws_steps[s->m.step].act(s->cloud, &s->m, 1, &ask, &err), 0, "%s", err.text);
	cr_expect_str_eq(ask.method, "POST");
	cr_expect_str_eq(
		ff_headers_get(&ask.headers, "Content-Type"), "application/x-www-form-urlencoded; charset=utf-8");
	cr_expect_eq(ask.cost_count, 1);
	cr_expect_eq(ff_aws.sign(s->cloud, WALL_MS, &ask, &err), 0, "%s", err.text);
	body = ff_strdup(ask.body);
	ff_ask_release(&ask);
	return body;
}

static char *body_of_look(struct stage *s)
{
	struct ff_ask ask = {0};
	char *body;

	cr_assert_eq(aws_steps[s->m.step].look(s->cloud, &s->m, &ask, NULL), 0);
	body = ff_strdup(ask.body);
	ff_ask_release(&ask);
	return body;
}

/* Hand the answer over and merge what is learned. */
static struct ff_verdict acted(struct stage *s, int status, const char *body, int64_t wall_ms)
{
	struct ff_answer answer;
	struct ff_verdict v = {0};

	if (status == 0)
		answer_broken(&answer, FF_T_BROKEN, 0);
	else
		answer_with(&answer, status, body);
	aws_steps[s->m.step].acted(s->cloud, &s->m, 1, wall_ms, &answer, &v);
	ff_answer_release(&answer, false);
	learn(s, &v);
	return v;
}

static struct ff_verdict looked(struct stage *s, const char *body, int64_t wall_ms)
{
	struct ff_answer answer;
	struct ff_verdict v = {0};

	answer_with(&answer, 200, body);
	aws_steps[s->m.step].looked(s->cloud, &s->m, wall_ms, &answer, &v);
	ff_answer_release(&answer, false);
	learn(s, &v);
	return v;
}

#define ERROR(code, message)                                                                                           \
	"<Response><Errors><Error><Code>" code "</Code><Message>" message "</Message></Error></Errors></Response>"
#define TRUE_ANSWER "<R><requestId>r</requestId><return>true</return></R>"
#define INSTANCE(state, more)                                                                                          \
	"<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-other</instanceId></item>" \
	"</instancesSet></item><item><instancesSet><item><instanceId>i-1</instanceId><instanceState><name>" state      \
	"</name></instanceState>" more "</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
#define MAPPED(device, status, flag)                                                                                   \
	"<blockDeviceMapping><item><deviceName>" device                                                                \
	"</deviceName><ebs><volumeId>vol-0a1</volumeId><status>" status "</status><deleteOnTermination>" flag          \
	"</deleteOnTermination></ebs></item></blockDeviceMapping>"
#define RUN_TAG(run)	      "<tagSet><item><key>fixfleet-run</key><value>" run "</value></item></tagSet>"
#define REASON(code, message) "<stateReason><code>" code "</code><message>" message "</message></stateReason>"
#define STATUS(state, instance, system)                                                                                \
	"<DescribeInstanceStatusResponse><instanceStatusSet><item><instanceId>i-1</"                                   \
	"instanceId><instanceState><name>" state "</name></instanceState><systemStatus><status>" system                \
	"</status></systemStatus><instanceStatus><status>" instance                                                    \
	"</status></instanceStatus></item></instanceStatusSet></DescribeInstanceStatusResponse>"
#define VOLUME(status, attachment)                                                                                     \
	"<DescribeVolumesResponse><volumeSet><item><volumeId>vol-0a1</volumeId><status>" status                        \
	"</status><attachmentSet>" attachment "</attachmentSet></item></volumeSet></DescribeVolumesResponse>"
#define AT(instance, device, status)                                                                                   \
	"<item><volumeId>vol-0a1</volumeId><instanceId>" instance "</instanceId><device>" device                       \
	"</device><status>" status "</status></item>"

/* ---------------------------------------------------------------- the table */

Test(aws_steps, every_row_has_a_name_looks_and_leads_home)
{
	bool seen[AWS_STEP_COUNT] = {false};

	for (size_t i = 0; i < ff_aws.step_count; i++) {
		const struct ff_step *row = &ff_aws.steps[i];

		cr_expect(row->name && row->name[0] && row->doing && row->doing[0], "%zu", i);
		cr_expect(row->undo == FF_STEP_NONE || (row->undo >= 0 && row->undo < AWS_STEP_COUNT), "%s", row->name);
		if (row->kind == FF_STEP_REPAIR)
			continue;
		cr_expect(row->look && row->looked && row->looks && row->lookeds, "%s", row->name);
		cr_expect_eq(row->act != NULL, row->acted != NULL, "%s", row->name);
		cr_expect(row->look_max >= 50 && row->look_max <= 100, "%s", row->name);
		cr_expect(row->group == NULL || row->group_max > 1, "%s", row->name);
	}
	for (int f = 0; f < FF_FLOW_COUNT; f++) {
		for (const int *row = ff_provider_order(&ff_aws, (enum ff_flow)f); *row != FF_STEP_NONE; row++) {
			seen[*row] = true;
			if (aws_steps[*row].undo != FF_STEP_NONE)
				seen[aws_steps[*row].undo] = true;
		}
	}
	for (int i = 0; i < AWS_STEP_COUNT; i++)
		cr_expect(seen[i], "%s", aws_steps[i].name);
	cr_expect_eq(aws_steps[AWS_CLAIM].undo, AWS_RELEASE);
	cr_expect_eq(aws_steps[AWS_STANDBY].undo, AWS_UNSTANDBY);
	cr_expect_eq(aws_steps[AWS_STOP].undo, AWS_START);
	cr_expect_eq(aws_steps[AWS_TAKE_OUT].undo, AWS_PUT_BACK);
	cr_expect_eq(aws_steps[AWS_ATTACH].undo, AWS_DETACH);
	cr_expect(aws_steps[AWS_PUT_BACK].flags & FF_HOLDS_DISK);
	cr_expect(aws_steps[AWS_START].flags & FF_LOOK_FIRST); /* never without its root */
	cr_expect_not(aws_steps[AWS_DETACH].flags & FF_HOLDS_DISK);
}

/* ---------------------------------------------------------------- requests, exactly */

Test(aws_steps, requests_are_what_ec2_takes)
{
	static const struct {
		int step;
		const char *facts, *body;
	} cases[] = {
		{AWS_CLAIM, "{}",
			"Action=CreateTags&Version=2016-11-15&ResourceId.1=i-1&ResourceId.2=vol-0a1&Tag.1.Key=fixfleet-"
			"run&"
			"Tag.1.Value=run-1&Tag.2.Key=fixfleet-vm&Tag.2.Value=i-1&Tag.3.Key=fixfleet-root&"
			"Tag.3.Value=%2Fdev%2Fsda1%20DeleteOnTermination%3Dtrue%20running"},
		{AWS_RELEASE, "{}",
			"Action=DeleteTags&Version=2016-11-15&ResourceId.1=i-1&ResourceId.2=vol-0a1&Tag.1.Key=fixfleet-"
			"run&"
			"Tag.1.Value=run-1&Tag.2.Key=fixfleet-vm&Tag.2.Value=i-1&Tag.3.Key=fixfleet-root&"
			"Tag.3.Value=%2Fdev%2Fsda1%20DeleteOnTermination%3Dtrue%20running"},
		{AWS_STANDBY, "{\"asg\":\"my asg\"}",
			"Action=EnterStandby&Version=2011-01-01&InstanceIds.member.1=i-1&AutoScalingGroupName=my%20asg&"
			"ShouldDecrementDesiredCapacity=true"},
		{AWS_UNSTANDBY, "{\"asg\":\"my asg\"}",
			"Action=ExitStandby&Version=2011-01-01&InstanceIds.member.1=i-1&AutoScalingGroupName=my%20asg"},
		{AWS_STOP, "{}", "Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1&SkipOsShutdown=true"},
		{AWS_STOP, "{\"graceful\":true}", "Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1"},
		{AWS_STOP, "{\"force\":true}", "Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1&Force=true"},
		{AWS_BACKUP, "{}",
			"Action=CreateSnapshot&Version=2016-11-15&VolumeId=vol-0a1&Description=fixfleet%20run%20run-1%"
			"3A%20root%20volume"
			"%20of%20i-1%20before%20repair&TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag."
			"1.Key="
			"fixfleet-run&TagSpecification.1.Tag.1.Value=run-1&TagSpecification.1.Tag.2.Key=fixfleet-vm&"
			"TagSpecification.1.Tag.2.Value=i-1&TagSpecification.1.Tag.3.Key=fixfleet-root&"
			"TagSpecification.1.Tag.3.Value="
			"%2Fdev%2Fsda1%20DeleteOnTermination%3Dtrue%20running"},
		{AWS_TAKE_OUT, "{}", "Action=DetachVolume&Version=2016-11-15&VolumeId=vol-0a1&InstanceId=i-1"},
		{AWS_ATTACH, "{}",
			"Action=AttachVolume&Version=2016-11-15&VolumeId=vol-0a1&InstanceId=i-r&Device=%2Fdev%2Fsdi"},
		{AWS_DETACH, "{}", "Action=DetachVolume&Version=2016-11-15&VolumeId=vol-0a1&InstanceId=i-r"},
		{AWS_DETACH, "{\"force_detach\":true}",
			"Action=DetachVolume&Version=2016-11-15&VolumeId=vol-0a1&InstanceId=i-r&Force=true"},
		{AWS_PUT_BACK, "{}",
			"Action=AttachVolume&Version=2016-11-15&VolumeId=vol-0a1&InstanceId=i-1&Device=%2Fdev%2Fsda1"},
		{AWS_PUT_BACK, "{\"flag\":true}",
			"Action=ModifyInstanceAttribute&Version=2016-11-15&InstanceId=i-1&BlockDeviceMapping.1."
			"DeviceName=%2Fdev%2Fsda1&"
			"BlockDeviceMapping.1.Ebs.DeleteOnTermination=true"},
		{AWS_START, "{}", "Action=StartInstances&Version=2016-11-15&InstanceId.1=i-1"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct stage s;
		ff_auto_json json_t *more = json_loads(cases[i].facts, 0, NULL);
		ff_auto_free char *body = NULL;

		stage_up(&s, cases[i].step);
		ff_json_merge(s.facts, more);
		body = body_of_act(&s);
		cr_expect_str_eq(body, cases[i].body);
		stage_down(&s);
	}
}

Test(aws_steps, a_recorded_false_is_restored_as_false_and_never_left_out)
{
	struct stage s;
	ff_auto_free char *body = NULL;

	stage_up(&s, AWS_PUT_BACK);
	json_object_set_new(json_object_get(s.facts, "root"), "delete", json_false());
	ff_json_set_bool(s.facts, "flag", true);
	body = body_of_act(&s);
	cr_expect(ff_has_suffix(body, "&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false"), "%s", body);
	stage_down(&s);
}

Test(aws_steps, who_may_be_well_is_asked_to_shut_down)
{
	struct stage s;
	ff_auto_free char *body = NULL;

	stage_up(&s, AWS_STOP);
	s.vm.health = FF_SUSPECT;
	body = body_of_act(&s);
	cr_expect_null(strstr(body, "SkipOsShutdown"));
	cr_expect_str_eq(aws_steps[AWS_STOP].group(&s.m), "plain");
	stage_down(&s);
}

Test(aws_steps, looks_name_ids_and_never_none)
{
	static const struct {
		int step;
		const char *facts, *body;
	} cases[] = {
		{AWS_CLAIM, "{}",
			"Action=DescribeInstanceStatus&Version=2016-11-15&InstanceId.1=i-1&IncludeAllInstances=true"},
		{AWS_CLAIM, "{\"side\":true}", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1"},
		{AWS_RELEASE, "{\"side\":true}", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1"},
		{AWS_STOP, "{}", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1"},
		{AWS_STOP, "{\"missing_ms\":5}",
			"Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-id&Filter.1.Value.1=i-1"},
		{AWS_BACKUP, "{}",
			"Action=DescribeSnapshots&Version=2016-11-15&Owner.1=self&Filter.2.Name=tag-key&Filter.2.Value."
			"1=fixfleet-run&"
			"Filter.1.Name=volume-id&Filter.1.Value.1=vol-0a1"},
		{AWS_TAKE_OUT, "{}", "Action=DescribeVolumes&Version=2016-11-15&VolumeId.1=vol-0a1"},
		{AWS_ATTACH, "{\"side\":true}", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-r"},
		{AWS_PUT_BACK, "{\"side\":true}", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1"},
		{AWS_VERIFY, "{}",
			"Action=DescribeInstanceStatus&Version=2016-11-15&InstanceId.1=i-1&IncludeAllInstances=true"},
		{AWS_STANDBY, "{}", "Action=DescribeAutoScalingInstances&Version=2011-01-01&InstanceIds.member.1=i-1"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct stage s;
		ff_auto_json json_t *more = json_loads(cases[i].facts, 0, NULL);
		ff_auto_free char *body = NULL;

		stage_up(&s, cases[i].step);
		ff_json_merge(s.facts, more);
		body = body_of_look(&s);
		cr_expect_str_eq(body, cases[i].body);
		stage_down(&s);
	}
}

/* ---------------------------------------------------------------- readings */

#define MINUTE 60000
#define SNAPSHOT(id, volume, status, run)                                                                              \
	"<item><snapshotId>" id "</snapshotId><volumeId>" volume "</volumeId><status>" status                          \
	"</status>" RUN_TAG(run) "</item>"
#define SNAPSHOTS(items) "<DescribeSnapshotsResponse><snapshotSet>" items "</snapshotSet></DescribeSnapshotsResponse>"
static const struct look_case {
	int step;
	const char *facts; /* times relative to WALL_MS are written as negative numbers */
	const char *answer;
	enum ff_meaning meaning;
	const char *learned; /* member of the facts after it; "!x": it is gone */
} look_cases[] = {
	{AWS_CLAIM, "{}", STATUS("running", "ok", "ok"), FF_M_FAILED, NULL}, /* it recovered */
	{AWS_CLAIM, "{}", STATUS("running", "impaired", "ok"), FF_M_WAIT, "side"},
	{AWS_CLAIM, "{\"claim_ms\":-5000}", STATUS("running", "ok", "ok"), FF_M_WAIT, "side"},
	{AWS_CLAIM, "{\"side\":true}", INSTANCE("running", MAPPED("/dev/sda1", "attached", "true")), FF_M_NOT_DONE,
		"!side"},
	{AWS_CLAIM, "{\"side\":true}", INSTANCE("running", MAPPED("/dev/sdb", "attached", "true")), FF_M_FAILED, NULL},
	{AWS_CLAIM, "{\"side\":true}", INSTANCE("running", ""), FF_M_FAILED, NULL},
	{AWS_CLAIM, "{\"side\":true}", INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-2")),
		FF_M_FAILED, NULL},
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-500}",
		INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-1")), FF_M_WAIT,
		"side"},				  /* another may write it in this moment */
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-7900}", /* or have written it over ours, and not be seen yet */
		INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-1")), FF_M_WAIT, "side"},
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-8000}",
		INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-1")), FF_M_DONE, "!side"},
	{AWS_CLAIM, "{\"side\":true}", /* written before a crash, nobody knows when */
		INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-1")), FF_M_WAIT, "claim_ms"},
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-8000}",
		INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-2")), FF_M_FAILED, NULL},
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-2500}", INSTANCE("running", MAPPED("/dev/sda1", "attached", "true")),
		FF_M_WAIT, NULL}, /* tags lag */
	/* simulation, seed 710798: the claim's answer was lost, the run died, and another run mended the VM */
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-70000}", INSTANCE("running", MAPPED("/dev/sda1", "attached", "true")),
		FF_M_WAIT, "!claim_ms"},
	{AWS_CLAIM, "{\"side\":true,\"claim_ms\":-70000}", INSTANCE("running", MAPPED("/dev/sda1", "attached", "true")),
		FF_M_WAIT, "!side"},
	{AWS_CLAIM, "{\"claim_ms\":-70000}", STATUS("running", "ok", "ok"), FF_M_FAILED, NULL},
	/* simulation, seed 920003780: another run had mended and started it, and was not sure of it */
	{AWS_CLAIM, "{}", STATUS("running", "initializing", "ok"), FF_M_WAIT, "!side"},
	{AWS_CLAIM, "{\"claim_ms\":-5000}", STATUS("running", "initializing", "ok"), FF_M_WAIT, "side"},
	{AWS_RELEASE, "{}", INSTANCE("running", RUN_TAG("run-1")), FF_M_NOT_DONE, NULL},
	{AWS_RELEASE, "{}", INSTANCE("running", RUN_TAG("run-2")), FF_M_DONE, NULL},
	{AWS_RELEASE, "{}", INSTANCE("running", ""), FF_M_DONE, NULL},

	{AWS_STOP, "{}", INSTANCE("running", ""), FF_M_NOT_DONE, NULL},
	{AWS_STOP, "{\"stop_ms\":-5000}", INSTANCE("running", ""), FF_M_WAIT, NULL}, /* the read lags */
	/* taken over by another run; but a tag that this one's has replaced may be seen for a while */
	{AWS_STOP, "{\"claim_ms\":-70000}", INSTANCE("running", RUN_TAG("run-2")), FF_M_FAILED, NULL},
	{AWS_STOP, "{\"claim_ms\":-70000}", INSTANCE("stopped", RUN_TAG("run-2")), FF_M_FAILED, NULL},
	{AWS_STOP, "{\"claim_ms\":-5000}", INSTANCE("stopped", RUN_TAG("run-2")), FF_M_DONE, NULL},
	{AWS_STOP, "{\"claim_ms\":-70000}", INSTANCE("stopped", RUN_TAG("run-1")), FF_M_DONE, NULL},
	{AWS_STOP, "{\"stop_ms\":-61000}", INSTANCE("running", ""), FF_M_NOT_DONE, NULL},
	{AWS_STOP, "{}", INSTANCE("stopping", ""), FF_M_WAIT, "stop_ms"},
	/* found by the simulation: interrupted right after its claim, which no read shows yet */
	{AWS_RELEASE, "{\"claim_ms\":-1000}", INSTANCE("running", ""), FF_M_NOT_DONE, NULL},
	{AWS_RELEASE, "{\"claim_ms\":-1000,\"release_ms\":-500}", INSTANCE("running", ""), FF_M_DONE, NULL},
	{AWS_RELEASE, "{\"claim_ms\":-61000}", INSTANCE("running", ""), FF_M_DONE, NULL},
	/* found by the simulation: interrupted right after its stop, whose effect no read shows yet */
	{AWS_START, "{\"stop_ms\":-5000}", INSTANCE("running", ""), FF_M_WAIT, NULL},
	{AWS_START, "{\"stop_ms\":-61000}", INSTANCE("running", ""), FF_M_DONE, NULL},
	{AWS_START, "{\"stop_ms\":-5000,\"start_ms\":-1000}", INSTANCE("running", ""), FF_M_DONE, NULL},
	{AWS_STOP, "{\"stop_ms\":-599000}", INSTANCE("stopping", ""), FF_M_WAIT, NULL},
	{AWS_STOP, "{\"stop_ms\":-600000}", INSTANCE("stopping", ""), FF_M_NOT_DONE, "force"},
	{AWS_STOP, "{\"stop_ms\":-900000,\"force\":true}", INSTANCE("stopping", ""), FF_M_WAIT, NULL},
	{AWS_STOP, "{}", INSTANCE("stopped", REASON("Client.UserInitiatedShutdown", "x")), FF_M_DONE, NULL},
	{AWS_STOP, "{}", INSTANCE("stopped", REASON("Client.UserInitiatedHibernate", "x")), FF_M_FAILED, NULL},
	{AWS_STOP, "{}", INSTANCE("pending", ""), FF_M_WAIT, NULL},
	{AWS_STOP, "{}", INSTANCE("terminated", ""), FF_M_FAILED, NULL},

	{AWS_BACKUP, "{}", "<DescribeSnapshotsResponse><snapshotSet/></DescribeSnapshotsResponse>", FF_M_NOT_DONE,
		"!snapshot"},
	{AWS_BACKUP, "{\"backup_ms\":-1000}", "<DescribeSnapshotsResponse><snapshotSet/></DescribeSnapshotsResponse>",
		FF_M_WAIT, NULL},
	{AWS_BACKUP, "{}",
		SNAPSHOTS(SNAPSHOT("snap-9", "vol-9", "pending", "run-1")
				SNAPSHOT("snap-1", "vol-0a1", "pending", "run-1")),
		FF_M_DONE, "snapshot"},
	{AWS_BACKUP, "{}", SNAPSHOTS(SNAPSHOT("snap-1", "vol-0a1", "error", "run-1")), FF_M_NOT_DONE, "!snapshot"},
	{AWS_BACKUP, "{}", SNAPSHOTS(SNAPSHOT("snap-1", "vol-0a1", "error", "run-1")), FF_M_NOT_DONE,
		"failed_snapshot"},
	{AWS_BACKUP, "{}", SNAPSHOTS(SNAPSHOT("snap-1", "vol-0a1", "completed", "run-0")), FF_M_NOT_DONE, "!snapshot"},
	{AWS_BACKUP, "{\"no_backup\":true}", "<DescribeSnapshotsResponse><snapshotSet/></DescribeSnapshotsResponse>",
		FF_M_DONE, NULL},

	{AWS_TAKE_OUT, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_NOT_DONE, NULL},
	{AWS_TAKE_OUT, "{\"take_out_ms\":-1000}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_WAIT,
		NULL},
	{AWS_TAKE_OUT, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "detaching")), FF_M_WAIT, NULL},
	{AWS_TAKE_OUT, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "busy")), FF_M_WAIT, NULL},
	{AWS_TAKE_OUT, "{}", VOLUME("available", AT("i-1", "/dev/sda1", "detaching")), FF_M_WAIT,
		NULL}, /* both must agree */
	{AWS_TAKE_OUT, "{}", VOLUME("in-use", ""), FF_M_WAIT, NULL},
	{AWS_TAKE_OUT, "{}", VOLUME("available", ""), FF_M_DONE, "at"},
	{AWS_TAKE_OUT, "{}", VOLUME("available", AT("i-1", "/dev/sda1", "detached")), FF_M_DONE, "at"},
	{AWS_TAKE_OUT, "{}", VOLUME("in-use", AT("i-r", "/dev/sdi", "attached")), FF_M_DONE, "at"},
	{AWS_TAKE_OUT, "{}", VOLUME("in-use", AT("i-x", "/dev/sdi", "attached")), FF_M_FAILED, NULL},
	{AWS_TAKE_OUT, "{}", VOLUME("deleting", ""), FF_M_FAILED, NULL},

	{AWS_ATTACH, "{}", VOLUME("available", ""), FF_M_NOT_DONE, NULL},
	{AWS_ATTACH, "{\"attach_ms\":-1000}", VOLUME("available", ""), FF_M_WAIT, NULL},
	{AWS_ATTACH, "{}", VOLUME("in-use", AT("i-r", "/dev/sdi", "attaching")), FF_M_WAIT, "!side"},
	{AWS_ATTACH, "{}", VOLUME("in-use", AT("i-r", "/dev/sdi", "attached")), FF_M_WAIT, "side"},
	{AWS_ATTACH, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "detaching")), FF_M_WAIT, NULL},
	{AWS_ATTACH, "{\"take_out_ms\":-5000}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_WAIT, NULL},
	{AWS_ATTACH, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_FAILED, NULL},
	{AWS_ATTACH, "{}", VOLUME("in-use", AT("i-x", "/dev/sdi", "attached")), FF_M_FAILED, NULL},

	{AWS_DETACH, "{}", VOLUME("in-use", AT("i-r", "/dev/sdi", "attached")), FF_M_NOT_DONE, NULL},
	{AWS_DETACH, "{}", VOLUME("in-use", AT("i-r", "/dev/sdi", "attaching")), FF_M_NOT_DONE, NULL},
	{AWS_DETACH, "{\"detach_ms\":-1000}", VOLUME("in-use", AT("i-r", "/dev/sdi", "attached")), FF_M_WAIT, NULL},
	{AWS_DETACH, "{\"detach_ms\":-1000}", VOLUME("in-use", AT("i-r", "/dev/sdi", "busy")), FF_M_WAIT, NULL},
	{AWS_DETACH, "{\"detach_ms\":-600000}", VOLUME("in-use", AT("i-r", "/dev/sdi", "busy")), FF_M_NOT_DONE,
		"force_detach"},
	{AWS_DETACH, "{}", VOLUME("available", ""), FF_M_DONE, "at"},
	{AWS_DETACH, "{\"attach_ms\":-1000}", VOLUME("available", ""), FF_M_WAIT, NULL}, /* it may yet be attached */
	{AWS_DETACH, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_DONE, "at"},
	{AWS_DETACH, "{}", VOLUME("in-use", AT("i-x", "/dev/sdi", "attached")), FF_M_FAILED, NULL},

	{AWS_PUT_BACK, "{}", VOLUME("available", ""), FF_M_NOT_DONE, "!flag"},
	{AWS_PUT_BACK, "{\"put_back_ms\":-1000}", VOLUME("available", ""), FF_M_WAIT, NULL},
	{AWS_PUT_BACK, "{}", VOLUME("in-use", AT("i-r", "/dev/sdi", "detaching")), FF_M_WAIT, NULL},
	{AWS_PUT_BACK, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attaching")), FF_M_WAIT, "!side"},
	{AWS_PUT_BACK, "{}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_WAIT, "side"},
	{AWS_PUT_BACK, "{\"take_out_ms\":-1000}", VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), FF_M_WAIT,
		"!side"}, /* a detach whose answer was lost */
	{AWS_PUT_BACK, "{}", VOLUME("in-use", AT("i-1", "/dev/sdz", "attached")), FF_M_FAILED, NULL},
	{AWS_PUT_BACK, "{}", VOLUME("in-use", AT("i-x", "/dev/sda1", "attached")), FF_M_FAILED, NULL},
	{AWS_PUT_BACK, "{\"side\":true}", INSTANCE("stopped", ""), FF_M_WAIT, "side"},
	{AWS_PUT_BACK, "{\"side\":true}", INSTANCE("stopped", MAPPED("/dev/sda1", "attaching", "true")), FF_M_WAIT,
		"side"},
	{AWS_PUT_BACK, "{\"side\":true}", INSTANCE("stopped", MAPPED("/dev/sdb", "attached", "true")), FF_M_WAIT,
		"side"},
	{AWS_PUT_BACK, "{\"side\":true}", INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "false")), FF_M_NOT_DONE,
		"flag"},
	{AWS_PUT_BACK, "{\"side\":true,\"flag\":true,\"flag_ms\":-1000}",
		INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "false")), FF_M_WAIT, "flag"},
	{AWS_PUT_BACK, "{\"side\":true,\"flag\":true,\"flag_ms\":-1000}",
		INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "true")), FF_M_DONE, "!flag"},

	{AWS_START, "{}", INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "true")), FF_M_NOT_DONE, NULL},
	{AWS_START, "{}", INSTANCE("stopped", ""), FF_M_WAIT, "at"}, /* never without its root */
	{AWS_START, "{}", INSTANCE("stopped", MAPPED("/dev/sda1", "attaching", "true")), FF_M_WAIT, NULL},
	{AWS_START, "{}", INSTANCE("stopped", MAPPED("/dev/sdb", "attached", "true")), FF_M_WAIT, NULL},
	{AWS_START, "{\"start_ms\":-1000}",
		INSTANCE(
			"stopped", MAPPED("/dev/sda1", "attached", "true") REASON("Client.UserInitiatedShutdown", "x")),
		FF_M_WAIT, NULL},
	{AWS_START, "{\"start_ms\":-61000}",
		INSTANCE(
			"stopped", MAPPED("/dev/sda1", "attached", "true") REASON("Client.UserInitiatedShutdown", "x")),
		FF_M_NOT_DONE, "!start_ms"},
	{AWS_START, "{\"start_ms\":-1000}", INSTANCE("pending", ""), FF_M_WAIT, "launching"},
	{AWS_START, "{\"start_ms\":-1000}",
		INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "true")
					    REASON("Client.InternalError", "Client error on launch")),
		FF_M_FAILED, NULL},
	{AWS_START, "{\"start_ms\":-1000,\"launching\":true}",
		INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "true")), FF_M_FAILED, NULL},
	{AWS_START, "{\"start_ms\":-1000}",
		INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "true")
					    REASON("Server.InsufficientInstanceCapacity", "no capacity")),
		FF_M_WAIT, "!start_ms"},
	{AWS_START, "{\"start_ms\":-1000,\"launching\":true}", INSTANCE("running", ""), FF_M_DONE, "!launching"},
	{AWS_START, "{}", INSTANCE("terminated", ""), FF_M_FAILED, NULL},

	{AWS_VERIFY, "{}", STATUS("running", "ok", "ok"), FF_M_DONE, NULL},
	{AWS_VERIFY, "{}", STATUS("running", "initializing", "initializing"), FF_M_WAIT, NULL},
	{AWS_VERIFY, "{}", STATUS("running", "impaired", "ok"), FF_M_WAIT, NULL},
	{AWS_VERIFY, "{}", STATUS("running", "ok", "impaired"), FF_M_WAIT, NULL},
	{AWS_VERIFY, "{}", STATUS("pending", "", ""), FF_M_WAIT, NULL},
	{AWS_VERIFY, "{}", STATUS("stopped", "not-applicable", "not-applicable"), FF_M_FAILED, NULL},
	{AWS_VERIFY, "{}", "<DescribeInstanceStatusResponse/>", FF_M_WAIT, NULL},
};

/* Negative numbers are times before WALL_MS. */
static void add_facts(json_t *facts, const char *text)
{
	ff_auto_json json_t *more = json_loads(text, 0, NULL);
	const char *key;
	json_t *value;

	cr_assert_not_null(more, "%s", text);
	json_object_foreach (more, key, value)
		if (json_is_integer(value))
			json_integer_set(value, WALL_MS + json_integer_value(value));
	ff_json_merge(facts, more);
}

Test(aws_steps, looks_say_what_is_true)
{
	for (size_t i = 0; i < FF_COUNT(look_cases); i++) {
		const struct look_case *c = &look_cases[i];
		struct ff_verdict v;
		struct stage s;

		stage_up(&s, c->step);
		add_facts(s.facts, c->facts);
		v = looked(&s, c->answer, WALL_MS);
		cr_expect_eq(v.meaning, c->meaning, "%zu %s %s: %d %s", i, aws_steps[c->step].name, c->facts, v.meaning,
			v.err.text);
		cr_expect((v.meaning == FF_M_FAILED) == (v.err.class != FF_E_NONE && v.meaning != FF_M_WAIT), "%zu", i);
		if (c->learned != NULL && c->learned[0] == '!')
			cr_expect_null(json_object_get(s.facts, c->learned + 1), "%zu %s", i, c->learned);
		else if (c->learned != NULL)
			cr_expect_not_null(json_object_get(s.facts, c->learned), "%zu %s", i, c->learned);
		stage_down(&s);
	}
}

/* Should it stay so until patience ends, the VM is stuck: nobody says that its disk is home. */
Test(aws_steps, a_root_that_is_out_again_is_told_of)
{
	static const struct {
		const char *mapping, *at;
		bool away;
	} cases[] = {
		{"", "out", true}, {MAPPED("/dev/sda1", "detaching", "true"), "out", true},
		{MAPPED("/dev/sdb", "attached", "true"), "out", true},
		{MAPPED("/dev/sda1", "attached", "true"), "home", false}, /* and in again */
	};
	struct stage s;

	stage_up(&s, AWS_START);
	add_facts(s.facts, "{\"at\":\"home\"}");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *answer = ff_printf(INSTANCE("stopped", "%s"), cases[i].mapping);

		cr_expect_eq(looked(&s, answer, WALL_MS).away, cases[i].away, "%s", answer);
		cr_expect_str_eq(ff_json_str(s.facts, "at"), cases[i].at, "%s", answer);
	}
	stage_down(&s);
}

#define THEIRS INSTANCE("running", MAPPED("/dev/sda1", "attached", "true") RUN_TAG("run-2"))

struct claim_case {
	const char *facts;
	enum ff_meaning meaning; /* of a look that shows the claim of run-2 */
};

static void expect_claims(const struct claim_case *cases, size_t n, bool take_over)
{
	for (size_t i = 0; i < n; i++) {
		struct stage s;

		stage_up(&s, AWS_CLAIM);
		s.m.take_over = take_over;
		add_facts(s.facts, cases[i].facts);
		cr_expect_eq(looked(&s, THEIRS, WALL_MS).meaning, cases[i].meaning, "%s", cases[i].facts);
		stage_down(&s);
	}
}

/* There is no compare-and-set: after the write the other's tag is believed only when ours had time to be seen. */
Test(aws_steps, a_claim_is_taken_over_when_told_so)
{
	static const struct claim_case cases[] = {{"{\"side\":true}", FF_M_NOT_DONE},
		{"{\"side\":true,\"claim_ms\":-2500}", FF_M_WAIT},
		{"{\"side\":true,\"claim_ms\":-70000}", FF_M_FAILED}};

	expect_claims(cases, FF_COUNT(cases), true);
}

/* simulation: two rollbacks wrote their claims a second apart, each read the other's name, and neither went on */
Test(aws_steps, of_two_that_claim_at_once_one_goes_on)
{
	static const struct claim_case cases[] = {{"{\"side\":true}", FF_M_FAILED},
		{"{\"side\":true,\"claim_ms\":-500}", FF_M_WAIT}, {"{\"side\":true,\"claim_ms\":-3400}", FF_M_WAIT},
		{"{\"side\":true,\"claim_ms\":-3500}", FF_M_FAILED}};

	expect_claims(cases, FF_COUNT(cases), false);
}

/* simulation, seed 960000163: rolled back a second after it was released, and the tag was still to be seen */
Test(aws_steps, the_claim_of_the_run_that_is_rolled_back_is_nobodys)
{
	static const struct claim_case cases[] = {{"{\"side\":true,\"of\":\"run-3\"}", FF_M_FAILED},
		{"{\"side\":true,\"of\":\"run-2\"}", FF_M_NOT_DONE},
		{"{\"side\":true,\"of\":\"run-2\",\"claim_ms\":-2500}", FF_M_WAIT}};

	expect_claims(cases, FF_COUNT(cases), false);
}

/* Deleted with the value that was written: another operator may go on with the run. */
Test(aws_steps, a_claim_says_whose_it_is)
{
	ff_auto_free char *claim = NULL, *release = NULL;
	struct stage s;

	stage_up(&s, AWS_CLAIM);
	s.m.by = "ops@bastion";
	claim = body_of_act(&s);
	cr_expect(ff_has_suffix(claim, "&Tag.4.Key=fixfleet-by&Tag.4.Value=ops%40bastion"), "%s", claim);
	acted(&s, 200, TRUE_ANSWER, WALL_MS);
	s.m.by = "eve@laptop";
	s.m.step = AWS_RELEASE;
	release = body_of_act(&s);
	cr_expect(ff_has_suffix(release, "&Tag.4.Key=fixfleet-by&Tag.4.Value=ops%40bastion"), "%s", release);
	stage_down(&s);
}

/* simulation, seed 20589: two runs in one moment; who gave way took the winner's tags with its own */
Test(aws_steps, who_gives_way_leaves_the_winners_tags)
{
	static const struct {
		const char *of, *answer, *last;
	} cases[] = {{NULL, THEIRS, "&Tag.1.Key=fixfleet-run&Tag.1.Value=run-1"},
		{"run-2", THEIRS, "&Tag.4.Key=fixfleet-by&Tag.4.Value=ops%40bastion"}, /* what it has replaced */
		{NULL, INSTANCE("running", ""), "&Tag.4.Key=fixfleet-by&Tag.4.Value=ops%40bastion"}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *release = NULL;
		struct ff_verdict v;
		struct stage s;

		stage_up(&s, AWS_RELEASE);
		add_facts(s.facts, "{\"claim_ms\":-500,\"by\":\"ops@bastion\"}");
		ff_json_set_str(s.facts, "of", cases[i].of);
		v = looked(&s, cases[i].answer, WALL_MS);
		cr_assert_eq(v.meaning, FF_M_NOT_DONE, "%zu: %d", i, (int)v.meaning);
		release = body_of_act(&s);
		cr_expect(ff_has_suffix(release, cases[i].last), "%zu: %s", i, release);
		stage_down(&s);
	}
}

#define MEMBER(state)                                                                                                  \
	"<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances><member>"     \
	"<InstanceId>i-1</InstanceId><LifecycleState>" state "</LifecycleState></member></AutoScalingInstances>"       \
	"</DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"
#define NO_MEMBER                                                                                                      \
	"<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances/>"            \
	"</DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"

static const struct look_case standby_cases[] = {
	{AWS_STANDBY, "{}", NO_MEMBER, FF_M_DONE, NULL}, /* not meant for it */
	{AWS_STANDBY, "{\"asg\":\"g\"}", MEMBER("InService"), FF_M_NOT_DONE, NULL},
	{AWS_STANDBY, "{\"asg\":\"g\",\"standby_ms\":-1}", MEMBER("InService"), FF_M_WAIT, NULL},
	{AWS_STANDBY, "{\"asg\":\"g\"}", MEMBER("EnteringStandby"), FF_M_WAIT, NULL},
	{AWS_STANDBY, "{\"asg\":\"g\"}", MEMBER("Standby"), FF_M_DONE, NULL},
	{AWS_STANDBY, "{\"asg\":\"g\"}", MEMBER("Terminating"), FF_M_FAILED, NULL},
	{AWS_STANDBY, "{\"asg\":\"g\"}", NO_MEMBER, FF_M_DONE, NULL}, /* taken out of the group meanwhile */
	/* back only when it is well: otherwise the group would terminate it */
	{AWS_UNSTANDBY, "{\"asg\":\"g\"}", STATUS("running", "ok", "ok"), FF_M_WAIT, "side"},
	{AWS_UNSTANDBY, "{\"asg\":\"g\"}", STATUS("running", "impaired", "ok"), FF_M_WAIT, "!side"},
	{AWS_UNSTANDBY, "{\"asg\":\"g\"}", STATUS("stopped", "not-applicable", "not-applicable"), FF_M_FAILED, NULL},
	{AWS_UNSTANDBY, "{\"asg\":\"g\",\"side\":true}", MEMBER("Standby"), FF_M_NOT_DONE, NULL},
	{AWS_UNSTANDBY, "{\"asg\":\"g\",\"side\":true,\"unstandby_ms\":-1}", MEMBER("Standby"), FF_M_WAIT, NULL},
	{AWS_UNSTANDBY, "{\"asg\":\"g\",\"side\":true}", MEMBER("Pending"), FF_M_WAIT, NULL},
	{AWS_UNSTANDBY, "{\"asg\":\"g\",\"side\":true}", MEMBER("InService"), FF_M_DONE, "!side"},
};

Test(aws_steps, standby_is_entered_before_the_stop_and_left_when_it_is_well)
{
	for (size_t i = 0; i < FF_COUNT(standby_cases); i++) {
		const struct look_case *c = &standby_cases[i];
		struct ff_verdict v;
		struct stage s;

		stage_up(&s, c->step);
		add_facts(s.facts, c->facts);
		v = looked(&s, c->answer, WALL_MS);
		cr_expect_eq(v.meaning, c->meaning, "%zu: %d %s", i, v.meaning, v.err.text);
		if (c->learned != NULL)
			cr_expect_eq(json_object_get(s.facts, c->learned + (c->learned[0] == '!')) != NULL,
				c->learned[0] != '!', "%zu", i);
		cr_expect_eq(aws_steps[c->step].applies(&s.m), strstr(c->facts, "asg") != NULL);
		stage_down(&s);
	}
}

static const struct act_case {
	int step, status; /* 0: the answer was lost */
	const char *facts, *answer;
	enum ff_meaning meaning;
	const char *learned;
} act_cases[] = {
	{AWS_CLAIM, 200, "{}", TRUE_ANSWER, FF_M_DONE, "claim_ms"},
	{AWS_CLAIM, 0, "{}", NULL, FF_M_LOOK, "claim_ms"},
	{AWS_CLAIM, 403, "{}", ERROR("UnauthorizedOperation", "no"), FF_M_FAILED, "!claim_ms"},
	{AWS_STOP, 200, "{}", "<StopInstancesResponse/>", FF_M_DONE, "stop_ms"},
	{AWS_STOP, 400, "{}",
		ERROR("IncorrectInstanceState", "Instance 'i-1' cannot be stopped as it has never reached"), FF_M_LOOK,
		NULL},
	{AWS_STOP, 400, "{}", ERROR("OperationNotPermitted", "The instance 'i-1' may not be stopped."), FF_M_FAILED,
		NULL},
	{AWS_STOP, 400, "{}", ERROR("UnknownParameter", "SkipOsShutdown"), FF_M_LOOK, "graceful"},
	{AWS_STOP, 400, "{\"graceful\":true}", ERROR("UnsupportedOperation", "x"), FF_M_FAILED, NULL},
	{AWS_STOP, 500, "{}", "<html>", FF_M_LOOK, "stop_ms"},
	{AWS_STOP, 200, "{}", "cut off", FF_M_LOOK, "stop_ms"},
	{AWS_BACKUP, 200, "{}", "<CreateSnapshotResponse><snapshotId>snap-1</snapshotId></CreateSnapshotResponse>",
		FF_M_DONE, "snapshot"},
	{AWS_BACKUP, 200, "{}", "<CreateSnapshotResponse/>", FF_M_LOOK, "backup_ms"},
	{AWS_BACKUP, 0, "{}", NULL, FF_M_LOOK, "backup_ms"},
	{AWS_TAKE_OUT, 200, "{}", "<DetachVolumeResponse><status>detaching</status></DetachVolumeResponse>", FF_M_DONE,
		"at"},
	{AWS_TAKE_OUT, 0, "{}", NULL, FF_M_LOOK, "take_out_ms"},
	{AWS_TAKE_OUT, 400, "{}", ERROR("IncorrectState", "Volume 'vol-0a1' is in the 'available' state."), FF_M_LOOK,
		NULL},
	{AWS_TAKE_OUT, 400, "{}", ERROR("IncorrectState", "Unable to detach root volume 'vol-0a1' from instance 'i-1'"),
		FF_M_WAIT, "!at"},
	{AWS_ATTACH, 200, "{}", "<AttachVolumeResponse><status>attaching</status></AttachVolumeResponse>", FF_M_DONE,
		"device"},
	{AWS_ATTACH, 0, "{}", NULL, FF_M_LOOK, "device"},
	{AWS_ATTACH, 400, "{}", ERROR("VolumeInUse", "vol-0a1 is already attached to an instance"), FF_M_LOOK,
		"!device"},
	{AWS_ATTACH, 400, "{}", ERROR("InvalidVolume.ZoneMismatch", "x"), FF_M_FAILED, NULL},
	{AWS_ATTACH, 400, "{}", ERROR("AttachmentLimitExceeded", "You may attach up to 27"), FF_M_FAILED, NULL},
	{AWS_ATTACH, 400, "{}",
		ERROR("IncorrectInstanceState", "Cannot attach volume 'vol-0a1' with Marketplace codes"), FF_M_FAILED,
		NULL},
	{AWS_DETACH, 200, "{}", "<DetachVolumeResponse/>", FF_M_DONE, "detach_ms"},
	{AWS_DETACH, 400, "{}", ERROR("IncorrectState", "Volume 'vol-0a1' is in the 'available' state."), FF_M_LOOK,
		NULL},
	{AWS_PUT_BACK, 200, "{}", "<AttachVolumeResponse/>", FF_M_LOOK,
		"put_back_ms"}, /* the flag is still to be set */
	{AWS_PUT_BACK, 200, "{\"flag\":true}", TRUE_ANSWER, FF_M_DONE, "flag_ms"},
	{AWS_PUT_BACK, 400, "{}", ERROR("VolumeInUse", "x"), FF_M_LOOK, "!put_back_ms"},
	{AWS_PUT_BACK, 400, "{}", ERROR("InvalidParameterValue", "Attachment point /dev/sda1 is already in use"),
		FF_M_LOOK, NULL},
	{AWS_START, 200, "{}", "<StartInstancesResponse/>", FF_M_DONE, "start_ms"},
	{AWS_START, 500, "{}", ERROR("InsufficientInstanceCapacity", "Insufficient capacity."), FF_M_WAIT, "!start_ms"},
	{AWS_START, 400, "{}", ERROR("IncorrectInstanceState", "The instance 'i-1' is not in a state from which"),
		FF_M_LOOK, NULL},
	{AWS_START, 400, "{}",
		ERROR("InvalidParameterValue", "Instance does not have a volume attached at root (/dev/sda1)"),
		FF_M_FAILED, NULL},
	{AWS_RELEASE, 200, "{}", TRUE_ANSWER, FF_M_DONE, NULL},
};

Test(aws_steps, answers_to_acts_mean_done_look_or_failed)
{
	for (size_t i = 0; i < FF_COUNT(act_cases); i++) {
		const struct act_case *c = &act_cases[i];
		struct ff_verdict v;
		struct stage s;

		stage_up(&s, c->step);
		add_facts(s.facts, c->facts);
		v = acted(&s, c->status, c->answer, WALL_MS);
		cr_expect_eq(v.meaning, c->meaning, "%zu %s: %d %s", i, aws_steps[c->step].name, v.meaning, v.err.text);
		if (v.meaning == FF_M_FAILED)
			cr_expect_neq(v.err.class, FF_E_NONE, "%zu", i);
		if (c->learned != NULL)
			cr_expect_eq(json_object_get(s.facts, c->learned + (c->learned[0] == '!')) != NULL,
				c->learned[0] != '!', "%zu %s", i, c->learned);
		stage_down(&s);
	}
}

/* ---------------------------------------------------------------- stories */

Test(aws_steps, a_device_name_is_not_taken_again_after_an_attach)
{
	struct stage s;
	ff_auto_free char *first = NULL, *second = NULL;
	struct ff_verdict v;

	stage_up(&s, AWS_ATTACH);
	first = body_of_act(&s);
	v = acted(&s, 400, ERROR("InvalidParameterValue", "Attachment point /dev/sdi is already in use"), WALL_MS);
	cr_expect_eq(v.meaning, FF_M_LOOK);
	second = body_of_act(&s);
	cr_expect(ff_has_suffix(first, "Device=%2Fdev%2Fsdi"));
	cr_expect(ff_has_suffix(second, "Device=%2Fdev%2Fxvdbt"), "%s", second);
	stage_down(&s);
}

Test(aws_steps, the_disk_comes_home_with_its_flag)
{
	struct stage s;
	ff_auto_free char *attach = NULL, *modify = NULL;

	stage_up(&s, AWS_PUT_BACK);
	cr_expect_eq(looked(&s, VOLUME("available", ""), WALL_MS).meaning, FF_M_NOT_DONE);
	attach = body_of_act(&s);
	cr_expect(strstr(attach, "Action=AttachVolume") != NULL);
	cr_expect_eq(acted(&s, 200, "<AttachVolumeResponse/>", WALL_MS).meaning, FF_M_LOOK);
	/* the two sides disagree for a while */
	cr_expect_eq(looked(&s, VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), WALL_MS).meaning, FF_M_WAIT);
	cr_expect_eq(looked(&s, INSTANCE("stopped", ""), WALL_MS).meaning, FF_M_WAIT);
	cr_expect_eq(looked(&s, INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "false")), WALL_MS).meaning,
		FF_M_NOT_DONE);
	modify = body_of_act(&s);
	cr_expect(strstr(modify, "Action=ModifyInstanceAttribute") != NULL, "%s", modify);
	cr_expect_eq(acted(&s, 200, TRUE_ANSWER, WALL_MS).meaning, FF_M_DONE);
	cr_expect_eq(looked(&s, VOLUME("in-use", AT("i-1", "/dev/sda1", "attached")), WALL_MS).meaning, FF_M_WAIT);
	cr_expect_eq(
		looked(&s, INSTANCE("stopped", MAPPED("/dev/sda1", "attached", "true")), WALL_MS).meaning, FF_M_DONE);
	cr_expect_str_eq(ff_json_str(s.facts, "at"), "home");
	stage_down(&s);
}

Test(aws_steps, what_ec2_does_not_know_is_believed_after_a_while)
{
	struct stage s;
	ff_auto_free char *body = NULL;

	stage_up(&s, AWS_STOP);
	cr_expect_eq(looked(&s, "<DescribeInstancesResponse/>", WALL_MS).meaning, FF_M_WAIT);
	body = body_of_look(&s);
	cr_expect(strstr(body, "Filter.1.Name=instance-id") != NULL);
	cr_expect_eq(looked(&s, "<DescribeInstancesResponse/>", WALL_MS + 59000).meaning, FF_M_WAIT);
	cr_expect_eq(looked(&s, INSTANCE("stopped", ""), WALL_MS + 59500).meaning, FF_M_DONE);
	cr_expect_null(json_object_get(s.facts, "missing_ms"));
	cr_expect_eq(looked(&s, "<DescribeInstancesResponse/>", WALL_MS).meaning, FF_M_WAIT);
	{
		struct ff_verdict v = looked(&s, "<DescribeInstancesResponse/>", WALL_MS + 60000);

		cr_expect_eq(v.meaning, FF_M_FAILED);
		cr_expect_eq(v.err.class, FF_E_GONE);
	}
	stage_down(&s);
}

/* ---------------------------------------------------------------- groups */

#define GROUP 3

static void group_of(struct stage s[GROUP], struct ff_member m[GROUP], int step)
{
	static const char *const ids[] = {"i-1", "i-22", "i-333"}, *const volumes[] = {
									   "vol-0a1", "vol-0a22", "vol-0a333"};

	for (int i = 0; i < GROUP; i++) {
		stage_up(&s[i], step);
		s[i].vm.id = (char *)ids[i];
		json_object_set_new(json_object_get(s[i].facts, "root"), "volume", json_string(volumes[i]));
		m[i] = s[i].m;
		m[i].vm = &s[i].vm;
		m[i].rescue = &s[i].rescue;
	}
}

static void act_as_group(struct stage s[GROUP], const struct ff_member m[GROUP], int status, const char *body,
	struct ff_verdict v[GROUP])
{
	struct ff_answer answer;

	memset(v, 0, GROUP * sizeof(*v));
	answer_with(&answer, status, body);
	aws_steps[m[0].step].acted(s[0].cloud, m, GROUP, WALL_MS, &answer, v);
	ff_answer_release(&answer, false);
	for (int i = 0; i < GROUP; i++)
		learn(&s[i], &v[i]);
}

Test(aws_steps, one_request_carries_the_group_and_one_refusal_finds_its_culprit)
{
	struct stage s[GROUP];
	struct ff_member m[GROUP];
	struct ff_verdict v[GROUP];
	struct ff_ask ask = {0};

	group_of(s, m, AWS_STOP);
	cr_assert_eq(aws_steps[AWS_STOP].act(s[0].cloud, m, GROUP, &ask, NULL), 0);
	cr_expect_str_eq(ask.body,
		"Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1&InstanceId.2=i-22&InstanceId.3=i-333&"
		"SkipOsShutdown=true");
	ff_ask_release(&ask);
	act_as_group(s, m, 200, "<StopInstancesResponse/>", v);
	for (int i = 0; i < GROUP; i++)
		cr_expect_eq(v[i].meaning, FF_M_DONE);
	act_as_group(s, m, 400, ERROR("OperationNotPermitted", "The instance 'i-22' may not be stopped."), v);
	cr_expect_eq(v[0].meaning, FF_M_WAIT); /* acts again, without the culprit */
	cr_expect_eq(v[1].meaning, FF_M_FAILED);
	cr_expect_eq(v[2].meaning, FF_M_WAIT);
	act_as_group(s, m, 400, ERROR("IncorrectInstanceState", "The instance 'i-333' is not in a state"), v);
	cr_expect_eq(v[2].meaning, FF_M_LOOK);
	cr_expect_eq(v[0].meaning, FF_M_WAIT);
	act_as_group(s, m, 403, ERROR("UnauthorizedOperation", "You are not authorized"), v);
	for (int i = 0; i < GROUP; i++)
		cr_expect_eq(v[i].meaning, FF_M_SPLIT);
	act_as_group(s, m, 500, "<html>", v);
	for (int i = 0; i < GROUP; i++)
		cr_expect_eq(v[i].meaning, FF_M_LOOK);
	for (int i = 0; i < GROUP; i++)
		stage_down(&s[i]);
}

Test(aws_steps, want_of_capacity_splits_the_group)
{
	struct stage s[GROUP];
	struct ff_member m[GROUP];
	struct ff_verdict v[GROUP];

	group_of(s, m, AWS_START);
	cr_expect_str_eq(aws_steps[AWS_START].group(&m[0]), "us-east-1a m5.large");
	act_as_group(s, m, 500, ERROR("InsufficientInstanceCapacity", "Insufficient capacity."), v);
	for (int i = 0; i < GROUP; i++)
		cr_expect_eq(v[i].meaning, FF_M_SPLIT);
	for (int i = 0; i < GROUP; i++)
		stage_down(&s[i]);
}

Test(aws_steps, one_look_tells_for_many_each_its_own)
{
	static const char answer_text[] =
		"<DescribeVolumesResponse><volumeSet><item><volumeId>vol-0a333</volumeId><status>available</status></"
		"item><item>"
		"<volumeId>vol-0a1</volumeId><status>in-use</status><attachmentSet><item><instanceId>i-1</"
		"instanceId><status>detaching"
		"</status></item></attachmentSet></item></volumeSet></DescribeVolumesResponse>";
	struct stage s[GROUP];
	struct ff_member m[GROUP];
	struct ff_verdict v[GROUP] = {0};
	struct ff_answer answer;
	struct ff_ask ask = {0};

	group_of(s, m, AWS_TAKE_OUT);
	cr_assert_eq(aws_steps[AWS_TAKE_OUT].looks(s[0].cloud, m, GROUP, &ask, NULL), 0);
	cr_expect_str_eq(ask.body, "Action=DescribeVolumes&Version=2016-11-15&VolumeId.1=vol-0a1&VolumeId.2=vol-0a22&"
				   "VolumeId.3=vol-0a333");
	ff_ask_release(&ask);
	answer_with(&answer, 200, answer_text);
	aws_steps[AWS_TAKE_OUT].lookeds(s[0].cloud, m, GROUP, WALL_MS, &answer, v);
	ff_answer_release(&answer, false);
	cr_expect_eq(v[0].meaning, FF_M_WAIT);
	cr_expect_eq(v[1].meaning, FF_M_WAIT); /* not to be seen: in a minute it is gone */
	cr_expect_eq(v[2].meaning, FF_M_DONE);
	for (int i = 0; i < GROUP; i++)
		learn(&s[i], &v[i]);
	memset(v, 0, sizeof(v));
	answer_with(&answer, 400, ERROR("InvalidVolume.NotFound", "The volume 'vol-0a22' does not exist."));
	aws_steps[AWS_TAKE_OUT].lookeds(s[0].cloud, m, GROUP, WALL_MS + MINUTE, &answer, v);
	ff_answer_release(&answer, false);
	cr_expect_eq(v[0].meaning, FF_M_WAIT);
	cr_expect_eq(v[1].meaning, FF_M_FAILED);
	cr_expect_eq(v[1].err.class, FF_E_GONE);
	cr_expect_eq(v[2].meaning, FF_M_WAIT);
	cr_expect_null(v[0].facts); /* it was not meant */
	cr_expect_null(v[2].facts);
	for (int i = 0; i < GROUP; i++)
		stage_down(&s[i]);
}

Test(aws_steps, members_at_different_sides_do_not_read_each_others_answers)
{
	struct stage s[GROUP];
	struct ff_member m[GROUP];
	struct ff_verdict v[GROUP] = {0};
	struct ff_answer answer;
	struct ff_ask ask = {0};

	group_of(s, m, AWS_PUT_BACK);
	ff_json_set_bool(s[1].facts, "side", true);
	cr_assert_eq(aws_steps[AWS_PUT_BACK].looks(s[0].cloud, m, GROUP, &ask, NULL), 0);
	cr_expect(ff_has_prefix(ask.body, "Action=DescribeVolumes&"));
	ff_ask_release(&ask);
	answer_with(&answer, 200, VOLUME("available", ""));
	aws_steps[AWS_PUT_BACK].lookeds(s[0].cloud, m, GROUP, WALL_MS, &answer, v);
	ff_answer_release(&answer, false);
	cr_expect_eq(v[0].meaning, FF_M_NOT_DONE);
	cr_expect_eq(v[1].meaning, FF_M_WAIT);
	cr_expect_leq(v[1].wait_ms, 10);
	cr_expect_eq(v[2].meaning, FF_M_WAIT);
	for (int i = 0; i < GROUP; i++) {
		learn(&s[i], &v[i]);
		stage_down(&s[i]);
	}
}

/* ---------------------------------------------------------------- place, where */

Test(aws_steps, the_worker_finds_the_volume_by_its_serial_first)
{
	struct stage s;
	struct ff_disk_place place = {0};

	stage_up(&s, AWS_REPAIR);
	ff_json_set_str(s.facts, "device", "/dev/sdi");
	cr_assert_eq(ff_aws.place(s.cloud, &s.m, &place, NULL), 0);
	cr_expect_str_eq(place.serial, "vol0a1");
	cr_expect_str_eq(place.paths.items[0], "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0a1");
	cr_expect_str_eq(place.paths.items[1], "xvdi");
	cr_expect_str_eq(place.paths.items[2], "sdi");
	cr_expect_eq(place.size_bytes, (int64_t)30 << 30);
	ff_disk_place_release(&place);
	ff_json_set_str(s.facts, "device", "/dev/xvdba");
	cr_assert_eq(ff_aws.place(s.cloud, &s.m, &place, NULL), 0);
	cr_expect_eq(place.paths.count, 2);
	cr_expect_str_eq(place.paths.items[1], "xvdba");
	ff_disk_place_release(&place);
	ff_json_set_str(s.facts, "device", "/dev/../../etc/passwd"); /* it came from an answer */
	cr_assert_eq(ff_aws.place(s.cloud, &s.m, &place, NULL), 0);
	cr_expect_eq(place.paths.count, 1);
	ff_disk_place_release(&place);
	stage_down(&s);
}

Test(aws_steps, where_the_disk_is_and_what_brings_it_home_by_hand)
{
#define EC2(verb) "aws ec2 " verb " --region us-east-1 "
#define HOME                                                                                                           \
	EC2("wait volume-available")                                                                                   \
	"--volume-ids vol-0a1\n" EC2("attach-volume") "--volume-id vol-0a1 --instance-id i-1 --device /dev/sda1\n"
#define FLAG                                                                                                           \
	EC2("modify-instance-attribute")                                                                               \
	"--instance-id i-1 --block-device-mappings 'DeviceName=/dev/sda1,Ebs={DeleteOnTermination=true}'\n"
#define UP EC2("start-instances") "--instance-ids i-1\n"
	static const struct {
		const char *facts, *text, *commands;
	} cases[] = {
		{"{}", "root volume 'vol-0a1' is on the VM as /dev/sda1", UP},
		{"{\"at\":\"home\",\"snapshot\":\"snap-1\"}",
			"root volume 'vol-0a1' is on the VM as /dev/sda1; snapshot 'snap-1'", UP},
		{"{\"at\":\"home\",\"snapshot\":\"snap-2\",\"failed_snapshot\":\"snap-1\"}",
			"root volume 'vol-0a1' is on the VM as /dev/sda1; snapshot 'snap-2'; snapshot 'snap-1' has "
			"failed and is left over",
			UP},
		{"{\"at\":\"home\",\"flag\":true}", "root volume 'vol-0a1' is on the VM as /dev/sda1", FLAG UP},
		{"{\"at\":\"none\"}", "root volume 'vol-0a1' was last detached", HOME FLAG UP},
		{"{\"at\":\"rescue\",\"device\":\"/dev/sdi\"}",
			"root volume 'vol-0a1' was last on rescue VM 'i-r' as /dev/sdi",
			EC2("detach-volume") "--volume-id vol-0a1\n" HOME FLAG UP},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct stage s;
		ff_auto_buf text = {0}, all = {0};
		struct ff_strv commands = {0};

		stage_up(&s, AWS_PUT_BACK);
		add_facts(s.facts, cases[i].facts);
		ff_aws.where(s.cloud, &s.m, &text);
		cr_expect_str_eq(text.text, cases[i].text);
		ff_aws.by_hand(s.cloud, &s.m, &commands);
		for (size_t c = 0; c < commands.count; c++)
			ff_buf_addf(&all, "%s\n", commands.items[c]);
		cr_expect_str_eq(all.text, cases[i].commands);
		ff_strv_free(&commands);
		stage_down(&s);
	}
}

Test(aws_steps, recorded_answers_of_the_real_service_are_read_rightly)
{
	ff_auto_free char *attaching = shared_text("recorded/aws/ec2-xml/test_encrypt_volumes__DescribeVolumes_3.xml");
	ff_auto_free char *snapshot = shared_text("recorded/aws/ec2-xml/test_ebs_snapshot__CreateSnapshot_1.xml");
	ff_auto_free char *protected =
		shared_text("recorded/aws/ec2-xml/test_ec2_stop_with_protection_enabled__StopInstances_1.http400.xml");
	struct stage s;

	if (attaching == NULL || snapshot == NULL || protected == NULL)
		cr_skip_test("no ../shared/recorded/aws");
	stage_up(&s, AWS_ATTACH);
	s.rescue.id = (char *)"i-0aaaaec4b77188b69";
	json_object_set_new(json_object_get(s.facts, "root"), "volume", json_string("vol-072dfa20eef03dd38"));
	cr_expect_eq(looked(&s, attaching, WALL_MS).meaning, FF_M_WAIT);
	stage_down(&s);
	stage_up(&s, AWS_BACKUP);
	cr_expect_eq(acted(&s, 200, snapshot, WALL_MS).meaning, FF_M_DONE);
	cr_expect_str_eq(ff_json_str(s.facts, "snapshot"), "snap-0c8b611065fed033e");
	stage_down(&s);
	stage_up(&s, AWS_STOP);
	cr_expect_eq(acted(&s, 400, protected, WALL_MS).meaning, FF_M_FAILED);
	stage_down(&s);
}

/* ---------------------------------------------------------------- the policy */

static void is_allowed(const json_t *policy, const char *body)
{
	bool scaling = strstr(body, "&Version=2011-01-01") != NULL;
	ff_auto_free char *action =
		ff_printf("%s:%.*s", scaling ? "autoscaling" : "ec2", (int)strcspn(body + 7, "&"), body + 7);
	const json_t *statement, *name;
	size_t i, k;

	json_array_foreach (json_object_get(policy, "Statement"), i, statement) {
		const json_t *actions = json_object_get(statement, "Action");

		if (ff_streq(json_string_value(actions), action))
			return;
		json_array_foreach (actions, k, name)
			if (ff_streq(json_string_value(name), action))
				return;
	}
	cr_expect_fail("docs/aws-policy.json does not allow %s", action);
}

Test(aws_steps, the_policy_allows_what_every_row_asks)
{
	ff_auto_free char *path = ff_printf("%s/docs/aws-policy.json", FF_SOURCE_DIR);
	ff_auto_json json_t *policy = json_load_file(path, 0, NULL);

	cr_assert_not_null(policy, "%s", path);
	for (int step = 0; step < AWS_STEP_COUNT; step++) {
		struct stage s;
		ff_auto_free char *act = NULL, *look = NULL;

		if (aws_steps[step].kind == FF_STEP_REPAIR)
			continue;
		stage_up(&s, step);
		ff_json_set_str(s.facts, "asg", "web");
		ff_json_set_str(s.facts, "snapshot", "snap-1");
		ff_json_set_str(s.facts, "made", "vol-2");
		ff_json_set_str(s.facts, "left", "vol-3");
		ff_json_set_str(s.facts, "holder", "i-r");
		ff_json_set_new(s.facts, "like", json_pack("{s:s,s:s}", "zone", "us-east-1a", "type", "gp3"));
		look = body_of_look(&s);
		is_allowed(policy, look);
		if (aws_steps[step].act != NULL) {
			act = body_of_act(&s);
			is_allowed(policy, act);
		}
		stage_down(&s);
	}
}

/* Through EC2 is not enough: fixfleet asks KMS itself. */
Test(aws_steps, the_policy_allows_to_ask_for_the_state_of_keys)
{
	ff_auto_free char *path = ff_printf("%s/docs/aws-policy.json", FF_SOURCE_DIR);
	ff_auto_json json_t *policy = json_load_file(path, 0, NULL);
	const json_t *statement;
	size_t i, allowed = 0;

	cr_assert_not_null(policy, "%s", path);
	json_array_foreach (json_object_get(policy, "Statement"), i, statement)
		allowed += ff_streq(ff_json_str(statement, "Action"), "kms:DescribeKey") &&
			   json_object_get(statement, "Condition") == NULL;
	cr_expect_eq(allowed, 1);
}
