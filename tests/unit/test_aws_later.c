/*
 * A repair, and what comes after it, on the simulated AWS: the provider's rows in process and in virtual time, by the
 * ladder of provider.h.
 */
#include "cloudsim.h"
#include "test_aws.h"

static struct {
	struct sim *sim;
	struct ff_cloud *cloud;
	int64_t now;
} w;

static void exchange(struct ff_ask *ask, struct ff_answer *answer)
{
	ff_auto_free char *base = ff_url_host(ask->url), *length = ff_printf("%zu", ask->body_len);
	struct sim_request request = {.method = ask->method, .base = "https://x", .target = "/"};
	struct sim_answer a = {0};

	ff_headers_set(&ask->headers, "Content-Length", length);
	ff_headers_set(&ask->headers, "Host", base);
	request.headers = ask->headers;
	request.body = ask->body;
	request.body_len = ask->body_len;
	sim_answer(w.sim, w.now, &request, &a);
	*answer = (struct ff_answer){.transport = a.end == SIM_ANSWERED ? FF_T_OK : FF_T_BROKEN,
		.status = a.status,
		.headers = a.headers,
		.body = a.body,
		.body_len = a.body_len};
	w.now += 50;
}

static void send_signed(struct ff_ask *ask, struct ff_answer *answer)
{
	struct ff_err err = {0};

	cr_assert_eq(ff_aws.sign(w.cloud, w.now, ask, &err), 0, "%s", err.text);
	exchange(ask, answer);
}

/* Open the provider, sign in and discover: at the beginning, and again for a later flow. */
static void look_again(bool claims)
{
	static const struct pairs env = {{"AWS_ACCESS_KEY_ID", SIM_AWS_KEY, "AWS_SECRET_ACCESS_KEY", SIM_AWS_SECRET,
		"AWS_REGION", SIM_AWS_REGION, NULL}};
	struct ff_scope_options options = {.claims = claims};
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	struct ff_answer answer;
	enum ff_turn turn;

	ff_aws.close(w.cloud);
	w.cloud = open_aws(&options, &env, &err);
	cr_assert_not_null(w.cloud, "%s", err.text);
	while ((turn = ff_aws.login_next(w.cloud, w.now, &ask, &err)) == FF_TURN_ASK) {
		if (ask.kind == FF_ASK_HTTP)
			exchange(&ask, &answer);
		else
			answer_broken(&answer, FF_T_LOCAL, ENOENT);
		ff_aws.login_read(w.cloud, w.now, &ask, &answer);
		ff_ask_release(&ask);
		ff_answer_release(&answer, true);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
	while ((turn = ff_aws.discover_next(w.cloud, &ask, &err)) == FF_TURN_ASK) {
		send_signed(&ask, &answer);
		cr_assert_eq(ff_aws.discover_read(w.cloud, w.now, &ask, &answer, &err), 0, "%s", err.text);
		ff_ask_release(&ask);
		ff_answer_release(&answer, false);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
}

static void world_look(void)
{
	look_again(false);
}

static void world(const char *root, const char *faults)
{
	struct ff_err err = {0};
	ff_auto_free char *text =
		ff_printf("{\"seed\":3,\"aws\":{\"vms\":[{\"name\":\"web\",\"tags\":{\"env\":\"prod\"},"
			  "\"root\":{\"bad\":true,\"size_gib\":30,\"tags\":{\"cost\":\"42\"}%s}},"
			  "{\"name\":\"rescue-1\",\"os\":\"Linux\",\"tags\":{\"fixfleet-role\":\"rescue\"}}]},"
			  "\"faults\":[%s]}",
			root, faults);
	ff_auto_json json_t *scenario = ff_json_parse(text, strlen(text), 1 << 20, &err);

	cr_assert_not_null(scenario, "%s", err.text);
	w.cloud = NULL;
	w.now = WALL_MS;
	w.sim = sim_new(scenario, w.now, NULL, &err);
	cr_assert_not_null(w.sim, "%s", err.text);
	sim_advance(w.sim, w.now += 600000);
	world_look();
}

static void world_end(void)
{
	ff_auto_json json_t *state = sim_state(w.sim);

	cr_expect_eq(json_array_size(ff_json_at(state, "violations")), 0, "%s",
		json_string_value(ff_json_at(state, "violations/0")));
	ff_aws.close(w.cloud);
	sim_free(w.sim);
}

static struct ff_vm *vm_of(const char *name)
{
	struct ff_vm **vms;
	size_t n = ff_aws.vms(w.cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->name, name))
			return vms[i];
	cr_assert_fail("no VM '%s'", name);
	return NULL;
}

/* ---------------------------------------------------------------- the ladder */

struct one {
	struct ff_member m;
	json_t *facts, *rescue_facts;
	struct ff_verdict v;
	char token[37];
	unsigned tokens;
};

static void learn(struct one *o)
{
	if (o->v.facts != NULL)
		ff_json_merge(o->facts, o->v.facts);
	if (o->v.rescue_facts != NULL && o->rescue_facts != NULL)
		ff_json_merge(o->rescue_facts, o->v.rescue_facts);
	json_decref(o->v.facts);
	json_decref(o->v.rescue_facts);
	o->v.facts = o->v.rescue_facts = NULL;
}

static void ask_once(struct one *o, bool act)
{
	const struct ff_step *row = &ff_aws.steps[o->m.step];
	struct ff_ask ask = {0};
	struct ff_answer answer;

	o->v = (struct ff_verdict){0};
	cr_assert_eq(act ? row->act(w.cloud, &o->m, 1, &ask, &o->v.err) : row->look(w.cloud, &o->m, &ask, &o->v.err), 0,
		"%s: %s", row->name, o->v.err.text);
	send_signed(&ask, &answer);
	if (act)
		row->acted(w.cloud, &o->m, 1, w.now, &answer, &o->v);
	else
		row->looked(w.cloud, &o->m, w.now, &answer, &o->v);
	learn(o);
	w.now += o->v.wait_ms ? o->v.wait_ms : 500;
	ff_ask_release(&ask);
	ff_answer_release(&answer, false);
}

/* One row, to its end. */
static enum ff_meaning step(struct one *o, int number, bool homeward)
{
	const struct ff_step *row = &ff_aws.steps[number];
	bool look = homeward || row->act == NULL || (row->flags & FF_LOOK_FIRST) != 0;

	o->m.step = number;
	if (row->applies != NULL && !row->applies(&o->m))
		return FF_M_DONE;
	for (int i = 0; i < 600; i++) {
		if (!look) {
			snprintf(o->token, sizeof(o->token), "00000000-0000-4000-8000-%012u", ++o->tokens);
			ask_once(o, true);
			if (o->v.meaning == FF_M_FAILED ||
				(o->v.meaning == FF_M_DONE && (row->flags & FF_LOOK_AFTER) == 0))
				return o->v.meaning;
			look = o->v.meaning != FF_M_WAIT;
			continue;
		}
		ask_once(o, false);
		if (o->v.meaning == FF_M_DONE || o->v.meaning == FF_M_FAILED)
			return o->v.meaning;
		look = o->v.meaning != FF_M_NOT_DONE;
	}
	cr_assert_fail("%s has no end: %s", row->name, o->v.err.text);
	return FF_M_FAILED;
}

static void expect(struct one *o, int number)
{
	cr_assert_eq(step(o, number, false), FF_M_DONE, "%s: %s", ff_aws.steps[number].name, o->v.err.text);
}

static void walk(struct one *o, const int *order)
{
	for (; *order != FF_STEP_NONE; order++)
		if (*order == AWS_REPAIR)
			sim_set_bad(w.sim, vm_of("web")->disk_id, false);
		else
			expect(o, *order);
}

static struct one *one_new(json_t *facts_stolen, const char *run)
{
	struct one *o = ff_calloc(1, sizeof(*o));

	o->facts = facts_stolen;
	o->rescue_facts = json_deep_copy(vm_of("rescue-1")->facts);
	o->m = (struct ff_member){.vm = vm_of("web"),
		.facts = o->facts,
		.rescue = vm_of("rescue-1"),
		.rescue_facts = o->rescue_facts,
		.slot = 2,
		.run = run,
		.token = o->token};
	return o;
}

static void one_free(struct one *o)
{
	json_decref(o->facts);
	json_decref(o->rescue_facts);
	free(o);
}

/* Repaired by run-1: its facts at the end. */
static json_t *repaired(void)
{
	struct one *o = one_new(json_deep_copy(vm_of("web")->facts), "run-1");
	json_t *facts;

	walk(o, ff_aws.forward);
	facts = json_incref(o->facts);
	one_free(o);
	sim_advance(w.sim, w.now += 180000); /* its snapshot is whole by then */
	world_look();
	return facts;
}

static struct one *later(enum ff_flow flow, const char *of, bool rolled_back, const json_t *past, const char *run)
{
	ff_auto_json json_t *demand = json_pack("{s:s,s:s}", "op", "demand", "vm", "web");
	struct ff_err err = {0};
	json_t *facts = ff_aws.recall(w.cloud, vm_of("web"), flow, of, rolled_back, past, NULL, &err);
	struct one *o;

	cr_assert_not_null(facts, "%s", err.text);
	cr_assert_eq(sim_human(w.sim, w.now, demand, &err), 0, "%s", err.text);
	o = one_new(facts, run);
	o->m.rescue = NULL;
	o->m.slot = -1;
	return o;
}

static const json_t *state_vm(const json_t *state)
{
	return ff_json_at(state, "aws/vms/0");
}

static const json_t *state_volume(const json_t *state, const char *id)
{
	const json_t *volume;
	size_t i;

	json_array_foreach (ff_json_at(state, "aws/volumes"), i, volume)
		if (ff_streq(ff_json_str(volume, "id"), id))
			return volume;
	return NULL;
}

#define is(j, path, text) cr_expect_str_eq(ff_json_str(j, path), text, "%s is %s", path, ff_json_str(j, path))

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
	walk(first, ff_aws.cleanup);
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
	cr_assert_eq(step(o, AWS_TAKE_NEW_OUT, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, AWS_PUT_BACK, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, AWS_START, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, AWS_DELETE_MADE, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, AWS_RELEASE, true), FF_M_DONE, "%s", o->v.err.text);
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
	for (size_t i = 0; i < rows; i++)
		if (ff_aws.forward[i] == AWS_REPAIR)
			sim_set_bad(w.sim, before, false);
		else
			expect(o, ff_aws.forward[i]);
	one_free(o);
	sim_advance(w.sim, w.now += 120000);
	look_again(true);
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
	ff_auto_json json_t *touch = json_pack("{s:s,s:s,s:{s:s,s:s}}", "op", "touch-tags", "vm", "web", "tags",
		"fixfleet-run", "run-1", "fixfleet-root", "/dev/sda1; rm -rf / DeleteOnTermination=maybe");
	struct ff_err err = {0};

	world("", "");
	cr_assert_eq(sim_human(w.sim, w.now, touch, &err), 0, "%s", err.text);
	sim_advance(w.sim, w.now += 60000);
	look_again(true);
	cr_expect_null(json_object_get(vm_of("web")->facts, "claim"));
	cr_expect_null(ff_aws.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-1", false, NULL, NULL, &err));
	world_end();
}

/* The reading before each delete: what bears no tag of the run, or is attached, stays. */
Test(aws_later, only_what_the_run_has_left_is_deleted)
{
#define TAGS(run, vm)                                                                                                  \
	"<tagSet><item><key>fixfleet-run</key><value>" run "</value></item><item><key>fixfleet-vm</key><value>" vm     \
	"</value></item></tagSet>"
#define VOLUME(id, state, tags)                                                                                        \
	"<R><volumeSet><item><volumeId>" id "</volumeId><status>" state "</status>" tags "</item></volumeSet></R>"
	static const struct {
		int row;
		const char *left, *answer;
		enum ff_meaning meaning;
	} cases[] = {
		{AWS_DELETE_VOLUME, "vol-1", VOLUME("vol-1", "available", TAGS("run-1", "i-1")), FF_M_NOT_DONE},
		{AWS_DELETE_VOLUME, "vol-1", VOLUME("vol-1", "in-use", TAGS("run-1", "i-1")), FF_M_FAILED},
		{AWS_DELETE_VOLUME, "vol-1", VOLUME("vol-1", "available", TAGS("run-2", "i-1")), FF_M_FAILED},
		{AWS_DELETE_VOLUME, "vol-1", VOLUME("vol-1", "available", TAGS("run-1", "i-2")), FF_M_FAILED},
		{AWS_DELETE_VOLUME, "vol-1", VOLUME("vol-1", "available", ""), FF_M_FAILED},
		{AWS_DELETE_VOLUME, "vol-1", VOLUME("vol-2", "available", TAGS("run-2", "i-2")), FF_M_DONE},
		{AWS_DELETE_VOLUME, "vol-1", "<R><volumeSet/></R>", FF_M_DONE},
		{AWS_DELETE_SNAPSHOT, "snap-1",
			"<R><snapshotSet><item><snapshotId>snap-1</snapshotId>" TAGS(
				"run-1", "i-1") "</item></snapshotSet></R>",
			FF_M_NOT_DONE},
		{AWS_DELETE_SNAPSHOT, "snap-1",
			"<R><snapshotSet><item><snapshotId>snap-1</snapshotId>" TAGS(
				"run-9", "i-1") "</item></snapshotSet></R>",
			FF_M_FAILED},
		{AWS_DELETE_SNAPSHOT, "snap-1", "<R><snapshotSet/></R>", FF_M_DONE},
	};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_vm vm = {.id = (char *)"i-1", .name = (char *)"web"};
		ff_auto_json json_t *facts = json_pack("{s:s,s:s}", "of", "run-1", "left", cases[i].left);
		struct ff_member m = {.vm = &vm, .facts = facts, .slot = -1, .step = cases[i].row, .run = "run-9"};
		struct ff_verdict v = {0};
		struct ff_answer answer;

		answer_with(&answer, 200, cases[i].answer);
		cr_assert(aws_steps[m.step].applies(&m));
		aws_steps[m.step].looked(cloud, &m, WALL_MS, &answer, &v);
		cr_expect_eq(v.meaning, cases[i].meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		json_decref(v.facts);
		ff_answer_release(&answer, false);
	}
	ff_aws.close(cloud);
}
