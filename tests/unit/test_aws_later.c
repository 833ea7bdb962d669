/* What comes after a repair on the simulated AWS: a rollback, a cleanup, a run whose journal is lost. */
#include "test_aws.h"

#define PROVIDER ff_aws
#define CLOUD	 "aws"
#include "later_world.h"

static struct ff_cloud *world_open(const struct ff_scope_options *options, struct ff_err *err)
{
	static const struct pairs env = {{"AWS_ACCESS_KEY_ID", SIM_AWS_KEY, "AWS_SECRET_ACCESS_KEY", SIM_AWS_SECRET,
		"AWS_REGION", SIM_AWS_REGION, NULL}};

	return open_aws(options, &env, err);
}

/* root: further members of web's root volume; faults: of the scenario. */
static void world(const char *root, const char *faults)
{
	ff_auto_free char *text =
		ff_printf("{\"seed\":3,\"aws\":{\"vms\":[{\"name\":\"web\",\"tags\":{\"env\":\"prod\"},"
			  "\"root\":{\"bad\":true,\"size_gib\":30,\"tags\":{\"cost\":\"42\"}%s}},"
			  "{\"name\":\"rescue-1\",\"os\":\"Linux\",\"tags\":{\"fixfleet-role\":\"rescue\"}}]},"
			  "\"faults\":[%s]}",
			root, faults);

	world_begin(text);
}

static const json_t *state_volume(const json_t *state, const char *id)
{
	return state_one(state, "aws/volumes", "id", id);
}

Test(aws_later, a_rollback_puts_in_a_volume_like_the_one_that_it_replaces)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	const json_t *made, *replaced;
	struct one *o;

	world(",\"type\":\"io2\",\"iops\":4000,\"kms_key\":\"arn:aws:kms:us-east-1:123456789012:key/"
	      "k\",\"delete_on_termination\":true",
		"");
	past = repaired();
	before = ff_strdup(vm_of("web")->disk_id);
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(o, ff_aws.rollback);
	state = sim_state(w.sim);
	made = state_volume(state, ff_json_str(o->facts, "made"));
	replaced = state_volume(state, before);
	is(state_vm(state), "root/volume", ff_json_str(o->facts, "made"));
	is(state_vm(state), "root/device", "/dev/sda1");
	cr_expect(ff_json_bool(state_vm(state), "root/delete_on_termination", false));
	cr_expect(ff_json_bool(state_vm(state), "bad", false), "the snapshot is from before the repair");
	is(state_vm(state), "power", "running");
	cr_expect_null(ff_json_at(state_vm(state), "tags/fixfleet-run"));
	is(made, "type", "io2");
	cr_expect_eq(ff_json_int(made, "iops", 0), 4000);
	cr_expect_eq(ff_json_int(made, "size_gib", 0), 30);
	is(made, "kms_key", "arn:aws:kms:us-east-1:123456789012:key/k");
	is(made, "tags/cost", "42");
	cr_expect_eq(json_object_size(ff_json_at(made, "tags")), 1, "no tag of ours stays");
	is(replaced, "status", "available");
	is(replaced, "tags/fixfleet-run", "run-2");
	one_free(o);
	world_end();
}

Test(aws_later, what_runs_have_left_is_deleted)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *back, *first, *second;

	world("", "");
	past = repaired();
	before = ff_strdup(vm_of("web")->disk_id);
	back = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(back, ff_aws.rollback);
	sim_advance(w.sim, w.now += 120000);
	world_look();
	first = later(FF_FLOW_CLEANUP, "run-1", false, past, "run-3");
	expect_where(first, "' is left over");
	walk(first, ff_aws.cleanup);
	expect_where(first, "' is deleted");
	second = later(FF_FLOW_CLEANUP, "run-2", true, back->facts, "run-4");
	walk(second, ff_aws.cleanup);
	walk(second, ff_aws.cleanup); /* again: nothing to do */
	state = sim_state(w.sim);
	cr_expect_eq(json_array_size(ff_json_at(state, "aws/snapshots")), 0);
	cr_expect_null(state_volume(state, before));
	one_free(back);
	one_free(first);
	one_free(second);
	world_end();
}

/* The model's: EC2 gives a root volume away only while its VM is stopped, and that is the root now. */
Test(aws_later, nobody_takes_the_root_that_a_rollback_made_by_hand)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_json json_t *act = json_pack("{s:s, s:s, s:s}", "cloud", CLOUD, "op", "detach", "vm", "web");
	struct ff_err err = {0};
	struct one *back;

	world("", "");
	past = repaired();
	back = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(back, ff_aws.rollback);
	cr_expect_eq(sim_human(w.sim, w.now, act, &err), -1, "it was taken");
	state = sim_state(w.sim);
	cr_expect(ff_json_bool(state_vm(state), "own_disk", false));
	one_free(back);
	world_end();
}

Test(aws_later, a_refused_attach_goes_home_with_the_mended_volume)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *o;

	world("", "");
	past = repaired();
	before = ff_strdup(vm_of("web")->disk_id);
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	expect(o, AWS_CHECK);
	expect(o, AWS_CLAIM);
	expect(o, AWS_MAKE);
	expect(o, AWS_STOP);
	expect(o, AWS_TAKE_OUT);
	expect(o, AWS_PUT_IN);
	/* and now home: as if the flag had been refused */
	expect_home(o, AWS_TAKE_NEW_OUT);
	expect_home(o, AWS_PUT_BACK);
	expect_home(o, AWS_START);
	expect_home(o, AWS_DELETE_MADE);
	expect_home(o, AWS_RELEASE);
	state = sim_state(w.sim);
	is(state_vm(state), "root/volume", before);
	is(state_vm(state), "power", "running");
	cr_expect_eq(json_array_size(ff_json_at(state, "aws/volumes")), 2, "the rescue VM's and this one");
	cr_expect_null(ff_json_at(state_volume(state, before), "tags/fixfleet-run"));
	one_free(o);
	world_end();
}

Test(aws_later, a_volume_whose_answer_was_lost_is_found_by_its_tags)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	struct one *o;

	world("", "{\"match\":{\"body\":\"Action=CreateVolume*\",\"nth\":1},\"answer\":{\"reset\":\"after\"}}");
	past = repaired();
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	expect(o, AWS_CHECK);
	expect(o, AWS_CLAIM);
	expect(o, AWS_MAKE);
	state = sim_state(w.sim);
	cr_expect_eq(ff_json_int(state, "requests/aws CreateVolume", 0), 1);
	cr_expect_not_null(ff_json_str(o->facts, "made"));
	one_free(o);
	world_end();
}

Test(aws_later, there_is_no_way_back_without_its_snapshot)
{
	ff_auto_json json_t *past = NULL;
	struct ff_err err = {0};
	struct one *o, *tidy;

	world("", "");
	past = repaired();
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	tidy = later(FF_FLOW_CLEANUP, "run-1", false, past, "run-3");
	walk(tidy, ff_aws.cleanup);
	cr_assert_eq(step(o, AWS_CHECK, false), FF_M_FAILED);
	cr_expect_eq(o->v.err.class, FF_E_GONE, "%s", o->v.err.text);
	json_object_del(past, "snapshot");
	cr_expect_null(ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_ROLLBACK, "run-1", false, past, NULL, &err));
	cr_expect_null(ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_CLEANUP, "run-1", false, past, NULL, &err));
	one_free(o);
	one_free(tidy);
	world_end();
}

/* The first rows of a repair, so many; then its journal is lost, and its tags bring the VM home. */
static void recover_after(size_t rows)
{
	ff_auto_json json_t *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *o, *lost;
	struct ff_err err = {0};
	json_t *facts;

	world("", "");
	before = ff_strdup(vm_of("web")->disk_id);
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-1");
	walk_some(o, ff_aws.forward, rows);
	one_free(o);
	sim_advance(w.sim, w.now += 120000);
	world_look_for_claims();
	cr_assert_str_eq(ff_json_str(vm_of("web")->facts, "claim/was"), "running");
	cr_expect_null(ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-2", false, NULL, NULL, &err));
	facts = ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-1", false, NULL, NULL, &err);
	cr_assert_not_null(facts, "%s", err.text);
	vm_of("web")->running = true;
	lost = one_new(facts, "run-1");
	lost->m.rescue = NULL;
	lost->m.slot = -1;
	for (const int *row = ff_aws.recover; *row != FF_STEP_NONE; row++)
		cr_assert_eq(step(lost, *row, true), FF_M_DONE, "after %zu rows: %s: %s", rows, ff_aws.steps[*row].name,
			lost->v.err.text);
	state = sim_state(w.sim);
	is(state_vm(state), "root/volume", before);
	is(state_vm(state), "root/device", "/dev/sda1");
	cr_expect(ff_json_bool(state_vm(state), "root/delete_on_termination", false), "after %zu rows", rows);
	is(state_vm(state), "power", "running");
	cr_expect_null(ff_json_at(state_vm(state), "tags/fixfleet-run"));
	cr_expect_null(ff_json_at(state_vm(state), "tags/fixfleet-root"));
	cr_expect_null(ff_json_at(state_volume(state, before), "tags/fixfleet-run"));
	one_free(lost);
	world_end();
}

Test(aws_later, a_run_whose_journal_is_lost_comes_home_by_its_tags_from_every_row)
{
	for (size_t rows = 1; ff_aws.forward[rows - 1] != AWS_RELEASE; rows++)
		recover_after(rows);
}

Test(aws_later, what_is_no_tag_of_ours_brings_nothing_home)
{
	struct ff_err err = {0};

	world("", "");
	human("{\"op\":\"touch-tags\",\"vm\":\"web\",\"tags\":{\"fixfleet-run\":\"run-1\","
	      "\"fixfleet-root\":\"/dev/sda1; rm -rf / DeleteOnTermination=maybe\"}}");
	sim_advance(w.sim, w.now += 60000);
	world_look_for_claims();
	cr_expect_null(ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-1", false, NULL, NULL, &err));
	cr_expect_not_null(strstr(err.text, "no tag of it or of a volume says how"), "%s", err.text);
	/* and it is told of */
	is(vm_of("web")->facts, "claim/run", "run-1");
	world_end();
}

/* ---------------------------------------------------------------- what the rows read */

#define TAG(key, value) "<item><key>" key "</key><value>" value "</value></item>"
#define TAGS(run, vm)	"<tagSet>" TAG("fixfleet-run", run) TAG("fixfleet-vm", vm) "</tagSet>"
#define VOLUME(id, state, tags)                                                                                        \
	"<R><volumeSet><item><volumeId>" id "</volumeId><status>" state "</status>" tags "</item></volumeSet></R>"
#define SNAPSHOT(id, state, tags)                                                                                      \
	"<R><snapshotSet><item><snapshotId>" id "</snapshotId><status>" state "</status>" tags                         \
	"</item></snapshotSet></R>"
#define RUNNING(state, device, flag)                                                                                   \
	"<R><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceState><name>" state         \
	"</name></instanceState><blockDeviceMapping><item><deviceName>" device                                         \
	"</deviceName><ebs><volumeId>vol-1</volumeId><deleteOnTermination>" flag                                       \
	"</deleteOnTermination></ebs></item></blockDeviceMapping></item></instancesSet></item></reservationSet></R>"

/* Facts of every case: it is run-9's turn, about run-1. */
#define FACTS                                                                                                          \
	"{\"of\":\"run-1\",\"snapshot\":\"snap-1\",\"root\":{\"volume\":\"vol-1\",\"device\":\"/dev/"                  \
	"sda1\",\"delete\":true}}"

static const struct reading {
	int row;
	const char *more; /* of the facts */
	const char *answer;
	enum ff_meaning meaning;
	enum ff_class class; /* of a failure */
} readings[] = {
	{AWS_CHECK, "{}", SNAPSHOT("snap-1", "completed", TAGS("run-1", "i-1")), FF_M_DONE, FF_E_NONE},
	{AWS_CHECK, "{}", SNAPSHOT("snap-1", "pending", TAGS("run-1", "i-1")), FF_M_WAIT, FF_E_NONE},
	{AWS_CHECK, "{}", SNAPSHOT("snap-1", "error", TAGS("run-1", "i-1")), FF_M_FAILED, FF_E_GONE},
	{AWS_CHECK, "{}", SNAPSHOT("snap-2", "completed", TAGS("run-1", "i-1")), FF_M_FAILED, FF_E_GONE},
	{AWS_CHECK, "{}", SNAPSHOT("snap-1", "completed", TAGS("run-2", "i-1")), FF_M_FAILED, FF_E_CONFLICT},
	{AWS_CHECK, "{}", SNAPSHOT("snap-1", "completed", TAGS("run-1", "i-2")), FF_M_FAILED, FF_E_CONFLICT},
	{AWS_MAKE, "{\"side\":true}", VOLUME("vol-2", "available", TAGS("run-9", "i-1")), FF_M_DONE, FF_E_NONE},
	{AWS_MAKE, "{\"side\":true}", VOLUME("vol-2", "creating", TAGS("run-9", "i-1")), FF_M_WAIT, FF_E_NONE},
	{AWS_MAKE, "{\"side\":true}", VOLUME("vol-2", "error", TAGS("run-9", "i-1")), FF_M_NOT_DONE, FF_E_NONE},
	{AWS_MAKE, "{\"side\":true}", VOLUME("vol-2", "available", TAGS("run-8", "i-1")), FF_M_NOT_DONE, FF_E_NONE},
	{AWS_MAKE, "{\"side\":true}", VOLUME("vol-2", "available", TAGS("run-9", "i-2")), FF_M_NOT_DONE, FF_E_NONE},
	{AWS_MAKE, "{\"side\":true,\"make_ms\":%now}", "<R><volumeSet/></R>", FF_M_WAIT, FF_E_NONE},
	{AWS_DELETE_MADE, "{}", VOLUME("vol-2", "available", TAGS("run-9", "i-1")), FF_M_NOT_DONE, FF_E_NONE},
	{AWS_DELETE_MADE, "{}", VOLUME("vol-2", "in-use", TAGS("run-9", "i-1")), FF_M_WAIT, FF_E_NONE},
	{AWS_DELETE_MADE, "{\"delete_ms\":%now}", VOLUME("vol-2", "available", TAGS("run-9", "i-1")), FF_M_WAIT,
		FF_E_NONE},
	{AWS_DELETE_MADE, "{}", VOLUME("vol-2", "available", TAGS("run-1", "i-1")), FF_M_DONE, FF_E_NONE},
	{AWS_DELETE_MADE, "{\"make_ms\":%now}", "<R><volumeSet/></R>", FF_M_WAIT, FF_E_NONE},
	{AWS_DELETE_MADE, "{\"make_ms\":%now,\"delete_ms\":%now}", "<R><volumeSet/></R>", FF_M_DONE, FF_E_NONE},
	{AWS_CONFIRM, "{}", RUNNING("running", "/dev/sda1", "true"), FF_M_DONE, FF_E_NONE},
	{AWS_CONFIRM, "{}", RUNNING("pending", "/dev/sda1", "true"), FF_M_WAIT, FF_E_NONE},
	{AWS_CONFIRM, "{}", RUNNING("stopped", "/dev/sda1", "true"), FF_M_FAILED, FF_E_PERMANENT},
	{AWS_CONFIRM, "{}", RUNNING("running", "/dev/sdf", "true"), FF_M_FAILED, FF_E_CONFLICT},
	{AWS_CONFIRM, "{}", RUNNING("running", "/dev/sda1", "false"), FF_M_WAIT, FF_E_NONE},
	/* the reading before each delete: what bears no tag of the run, or is attached, stays */
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-1", "available", TAGS("run-1", "i-1")), FF_M_NOT_DONE,
		FF_E_NONE},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-1", "in-use", TAGS("run-1", "i-1")), FF_M_FAILED,
		FF_E_CONFLICT},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-1", "available", TAGS("run-2", "i-1")), FF_M_FAILED,
		FF_E_CONFLICT},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-1", "available", TAGS("run-1", "i-2")), FF_M_FAILED,
		FF_E_CONFLICT},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-1", "available", ""), FF_M_FAILED, FF_E_CONFLICT},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-2", "available", TAGS("run-2", "i-2")), FF_M_DONE,
		FF_E_NONE},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", VOLUME("vol-1", "deleting", ""), FF_M_DONE, FF_E_NONE},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\",\"delete_ms\":%now}",
		VOLUME("vol-1", "available", TAGS("run-1", "i-1")), FF_M_WAIT, FF_E_NONE},
	{AWS_DELETE_VOLUME, "{\"left\":\"vol-1\"}", "<R><volumeSet/></R>", FF_M_DONE, FF_E_NONE},
	{AWS_DELETE_SNAPSHOT, "{\"left\":\"snap-1\"}", SNAPSHOT("snap-1", "completed", TAGS("run-1", "i-1")),
		FF_M_NOT_DONE, FF_E_NONE},
	{AWS_DELETE_SNAPSHOT, "{\"left\":\"snap-1\"}", SNAPSHOT("snap-1", "completed", TAGS("run-9", "i-1")),
		FF_M_FAILED, FF_E_CONFLICT},
	{AWS_DELETE_SNAPSHOT, "{\"left\":\"snap-1\"}", "<R><snapshotSet/></R>", FF_M_DONE, FF_E_NONE},
};

/* "%now" is the time of the reading. */
static json_t *facts_of(const char *more)
{
	struct ff_err err = {0};
	ff_auto_buf text = {0};
	ff_auto_json json_t *patch = NULL;
	json_t *facts = ff_json_parse(FACTS, strlen(FACTS), 4096, &err);

	for (const char *at = more; *at != '\0'; at++) {
		if (ff_has_prefix(at, "%now")) {
			ff_buf_addf(&text, "%lld", (long long)WALL_MS);
			at += 3;
		} else {
			ff_buf_addf(&text, "%c", *at);
		}
	}
	patch = ff_json_parse(text.text, text.len, 4096, &err);
	cr_assert(facts != NULL && patch != NULL, "%s", err.text);
	ff_json_merge(facts, patch);
	return facts;
}

Test(aws_later, a_look_tells_whole_ones_of_ours_from_all_others)
{
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(readings); i++) {
		const struct reading *c = &readings[i];
		struct ff_vm vm = {.id = (char *)"i-1", .name = (char *)"web"};
		ff_auto_json json_t *facts = facts_of(c->more);
		struct ff_member m = {.vm = &vm, .facts = facts, .slot = -1, .step = c->row, .run = "run-9"};
		struct ff_verdict v = {0};
		struct ff_answer answer;

		answer_with(&answer, 200, c->answer);
		cr_expect(aws_steps[m.step].applies == NULL || aws_steps[m.step].applies(&m));
		aws_steps[m.step].looked(cloud, &m, WALL_MS, &answer, &v);
		cr_expect_eq(v.meaning, c->meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		if (c->meaning == FF_M_FAILED)
			cr_expect_eq(v.err.class, c->class, "case %zu: %s", i, v.err.text);
		json_decref(v.facts);
		ff_answer_release(&answer, false);
	}
	ff_aws.close(cloud);
}

/* What the replaced volume says goes into the request for the new one, but for tags of ours and of AWS itself. */
Test(aws_later, the_new_volume_is_asked_for_as_the_old_one_is)
{
#define OLD(type)                                                                                                      \
	"<R><volumeSet><item><volumeId>vol-1</volumeId><volumeType>" type                                              \
	"</volumeType><iops>5000</iops><throughput>300</throughput><size>64</size><availabilityZone>us-east-1a"        \
	"</availabilityZone><encrypted>true</encrypted><kmsKeyId>arn:k</kmsKeyId><tagSet>" TAG("cost", "42")           \
		TAG("aws:cloudformation:stack-name", "s") TAG("fixfleet-run", "run-9") TAG("fixfleet-vm", "i-1")       \
			TAG("fixfleet-by", "ops") TAG("fixfleet-root", "x") "</tagSet></item></volumeSet></R>"
	static const struct {
		const char *old, *rates;
	} cases[] = {
		{OLD("gp3"), "&VolumeType=gp3&Size=64&Iops=5000&Throughput=300"},
		{OLD("io1"), "&VolumeType=io1&Size=64&Iops=5000"},
		{OLD("io2"), "&VolumeType=io2&Size=64&Iops=5000"},
		{OLD("gp2"), "&VolumeType=gp2&Size=64"},
	};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_vm vm = {.id = (char *)"i-1", .name = (char *)"web", .running = true};
		ff_auto_json json_t *facts = facts_of("{}");
		struct ff_member m = {.vm = &vm, .facts = facts, .step = AWS_MAKE, .run = "run-9", .token = "t-1"};
		ff_auto_free char *want = ff_printf(
			"Action=CreateVolume&Version=2016-11-15&AvailabilityZone=us-east-1a&SnapshotId=snap-1"
			"%s&Encrypted=true&KmsKeyId=arn%%3Ak&ClientToken=t-1&TagSpecification.1.ResourceType=volume"
			"&TagSpecification.1.Tag.1.Key=cost&TagSpecification.1.Tag.1.Value=42"
			"&TagSpecification.1.Tag.2.Key=fixfleet-run&TagSpecification.1.Tag.2.Value=run-9"
			"&TagSpecification.1.Tag.3.Key=fixfleet-vm&TagSpecification.1.Tag.3.Value=i-1"
			"&TagSpecification.1.Tag.4.Key=fixfleet-root&TagSpecification.1.Tag.4.Value="
			"%%2Fdev%%2Fsda1%%20DeleteOnTermination%%3Dtrue%%20running",
			cases[i].rates);
		struct ff_verdict v = {0};
		struct ff_answer answer;
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		cr_expect_eq(
			aws_steps[AWS_MAKE].act(cloud, &m, 1, &ask, &err), -1, "nothing is recorded of the old one");
		answer_with(&answer, 200, cases[i].old);
		aws_steps[AWS_MAKE].looked(cloud, &m, WALL_MS, &answer, &v);
		ff_json_merge(facts, v.facts);
		cr_assert_eq(aws_steps[AWS_MAKE].act(cloud, &m, 1, &ask, &err), 0, "%s", err.text);
		cr_expect_str_eq(ask.body, want);
		json_decref(v.facts);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
	}
	ff_aws.close(cloud);
}

Test(aws_later, what_cannot_be_rolled_back_or_cleaned_up_says_why)
{
	static const struct recall_case cases[] = {
		{FF_FLOW_ROLLBACK, false, "{}", NULL},
		{FF_FLOW_ROLLBACK, true, "{}", "that run was a rollback"},
		{FF_FLOW_ROLLBACK, false, "{\"snapshot\":null}", "took no snapshot"},
		{FF_FLOW_ROLLBACK, false, "{\"root\":{\"volume\":\"vol-1\"}}", "did not leave there"},
		{FF_FLOW_CLEANUP, false, "{}", NULL},
		{FF_FLOW_CLEANUP, false, "{\"snapshot\":null}", "took no snapshot"},
		{FF_FLOW_CLEANUP, true, "{}", "is its root, or not known"},
		{FF_FLOW_CLEANUP, true, "{\"root\":{\"volume\":\"vol-1\"}}", NULL},
		{FF_FLOW_CLEANUP, true, "{\"root\":null}", "is its root, or not known"},
	};

	world("", "");
	check_recall("snap-1", cases, FF_COUNT(cases));
	/* a VM without a root volume: what was replaced may be what it waits for */
	free(vm_of("web")->disk_id);
	vm_of("web")->disk_id = ff_strdup("");
	{
		ff_auto_json json_t *past = json_pack("{s:{s:s}}", "root", "volume", "vol-1");
		struct ff_err err = {0};

		cr_expect_null(ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_CLEANUP, "run-1", true, past, NULL, &err));
	}
	world_end();
}
