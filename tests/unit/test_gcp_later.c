/*
 * A repair, and what comes after it, on the simulated GCP: the provider's rows in process and in virtual time, by the
 * ladder of provider.h.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloudsim.h"
#include "providers/gcp/gcp.h"

#define WALL_MS 1721361540000 /* 2024-07-19T03:59:00Z */

static struct {
	struct sim *sim;
	struct ff_cloud *cloud;
	int64_t now;
	unsigned tokens; /* a new one for each act */
} w;

static const char *get_env(void *self, const char *name)
{
	(void)self;
	if (strcmp(name, "GOOGLE_CLOUD_PROJECT") == 0)
		return "p1";
	return strcmp(name, "GCE_METADATA_HOST") == 0 ? "metadata.google.internal" : NULL;
}

/* A wait is held by the cloud: time passes until it answers. */
static void exchange(struct ff_ask *ask, struct ff_answer *answer)
{
	ff_auto_free char *host = ff_url_host(ask->url), *length = ff_printf("%zu", ask->body_len);
	struct sim_request request = {.method = ask->method, .base = "https://compute.googleapis.com"};
	struct sim_answer a = {0};

	request.target = strchr(strstr(ask->url, "://") + 3, '/');
	ff_headers_set(&ask->headers, "Content-Length", length);
	ff_headers_set(&ask->headers, "Host", host);
	request.headers = ask->headers;
	request.body = ask->body;
	request.body_len = ask->body_len;
	sim_answer(w.sim, w.now, &request, &a);
	if (a.hold_ms > 0)
		sim_answer_leaves(w.sim, w.now += a.hold_ms, &request, &a);
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

	cr_assert_eq(ff_gcp.sign(w.cloud, w.now, ask, &err), 0, "%s", err.text);
	exchange(ask, answer);
}

/* Open the provider, sign in and discover: at the beginning, and again for a later flow. */
static void world_look(void)
{
	struct ff_env env = {.get = get_env};
	struct ff_scope_options options = {0};
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	struct ff_answer answer;
	enum ff_turn turn;

	ff_gcp.close(w.cloud);
	w.cloud = ff_gcp.open(&options, &env, &err);
	cr_assert_not_null(w.cloud, "%s", err.text);
	while ((turn = ff_gcp.login_next(w.cloud, w.now, &ask, &err)) == FF_TURN_ASK) {
		if (ask.kind == FF_ASK_HTTP)
			exchange(&ask, &answer);
		else
			answer = (struct ff_answer){.transport = FF_T_LOCAL, .status = ENOENT};
		ff_gcp.login_read(w.cloud, w.now, &ask, &answer);
		ff_ask_release(&ask);
		ff_answer_release(&answer, true);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
	while ((turn = ff_gcp.discover_next(w.cloud, &ask, &err)) == FF_TURN_ASK) {
		send_signed(&ask, &answer);
		cr_assert_eq(ff_gcp.discover_read(w.cloud, w.now, &ask, &answer, &err), 0, "%s", err.text);
		ff_ask_release(&ask);
		ff_answer_release(&answer, false);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
}

static void world(const char *boot, const char *faults)
{
	struct ff_err err = {0};
	ff_auto_free char *text = ff_printf(
		"{\"seed\":3,\"gcp\":{\"project\":\"p1\",\"vms\":[{\"name\":\"web\",\"labels\":{\"env\":\"prod\"},"
		"\"boot\":{\"bad\":true,\"size_gib\":30,\"device_name\":\"Boot.Disk-1\",\"labels\":{\"cost\":\"42\"}%s}"
		"},"
		"{\"name\":\"rescue-1\",\"os\":\"Linux\",\"labels\":{\"fixfleet-role\":\"rescue\"}}]},"
		"\"faults\":[%s]}",
		boot, faults);
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
	ff_gcp.close(w.cloud);
	sim_free(w.sim);
}

static struct ff_vm *vm_of(const char *name)
{
	struct ff_vm **vms;
	size_t n = ff_gcp.vms(w.cloud, &vms);

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
	const struct ff_step *row = &ff_gcp.steps[o->m.step];
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

static void poll_once(struct one *o)
{
	struct ff_ask ask = {0};
	struct ff_answer answer;

	o->v = (struct ff_verdict){0};
	cr_assert_eq(ff_gcp.poll(w.cloud, &o->m, 1, &ask, &o->v.err), 0, "%s", o->v.err.text);
	send_signed(&ask, &answer);
	ff_gcp.polled(w.cloud, &o->m, 1, w.now, &answer, &o->v);
	learn(o);
	w.now += o->v.wait_ms ? o->v.wait_ms : 500;
	ff_ask_release(&ask);
	ff_answer_release(&answer, false);
}

/* One row, to its end. */
static enum ff_meaning step(struct one *o, int number, bool homeward)
{
	const struct ff_step *row = &ff_gcp.steps[number];
	bool look = homeward || row->act == NULL || (row->flags & FF_LOOK_FIRST) != 0;

	o->m.step = number;
	if (row->applies != NULL && !row->applies(&o->m))
		return FF_M_DONE;
	for (int i = 0; i < 600; i++) {
		if (!look) {
			snprintf(o->token, sizeof(o->token), "00000000-0000-4000-8000-%012u", ++w.tokens);
			ask_once(o, true);
			while (o->v.meaning == FF_M_STARTED ||
				(o->v.meaning == FF_M_WAIT && json_object_get(o->facts, "op")))
				poll_once(o);
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
	cr_assert_eq(step(o, number, false), FF_M_DONE, "%s: %s", ff_gcp.steps[number].name, o->v.err.text);
}

static void walk(struct one *o, const int *order)
{
	for (; *order != FF_STEP_NONE; order++)
		if (*order == GCP_REPAIR)
			sim_set_bad(w.sim, gcp_last(vm_of("web")->disk_id), false);
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

	walk(o, ff_gcp.forward);
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
	json_t *facts = ff_gcp.recall(w.cloud, vm_of("web"), flow, of, rolled_back, past, NULL, &err);
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
	return ff_json_at(state, "gcp/vms/0");
}

static const json_t *state_disk(const json_t *state, const char *name)
{
	const json_t *disk;
	size_t i;

	json_array_foreach (ff_json_at(state, "gcp/disks"), i, disk)
		if (ff_streq(ff_json_str(disk, "name"), name))
			return disk;
	return NULL;
}

#define is(j, path, text) cr_expect_str_eq(ff_json_str(j, path), text, "%s is %s", path, ff_json_str(j, path))

Test(gcp_later, a_rollback_puts_in_a_disk_like_the_one_that_it_replaces)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	const json_t *made, *replaced;
	struct one *o;

	world(",\"type\":\"pd-extreme\",\"iops\":9000,\"kms\":\"projects/p1/locations/us/keyRings/r/cryptoKeys/k\"",
		"");
	past = repaired();
	before = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(o, ff_gcp.rollback);
	state = sim_state(w.sim);
	made = state_disk(state, gcp_last(ff_json_str(o->facts, "new/path")));
	replaced = state_disk(state, before);
	is(state_vm(state), "boot/disk", gcp_last(ff_json_str(o->facts, "new/path")));
	is(state_vm(state), "boot/device_name", "Boot.Disk-1");
	cr_expect(ff_json_bool(state_vm(state), "boot/auto_delete", false));
	cr_expect(ff_json_bool(state_vm(state), "bad", false), "the snapshot is from before the repair");
	cr_expect(ff_json_bool(state_vm(state), "own_disk", false));
	is(state_vm(state), "power", "running");
	cr_expect_null(ff_json_at(state_vm(state), "labels/fixfleet-run"));
	is(made, "type", "pd-extreme");
	is(made, "kms", "projects/p1/locations/us/keyRings/r/cryptoKeys/k");
	cr_expect_eq(ff_json_int(made, "iops", 0), 9000);
	cr_expect_eq(ff_json_int(made, "size_gb", 0), 30);
	is(made, "labels/cost", "42");
	cr_expect_eq(json_object_size(ff_json_at(made, "labels")), 1, "no label of ours stays");
	cr_expect_null(ff_json_str(replaced, "attached_to"));
	is(replaced, "labels/fixfleet-run", "run-2");
	one_free(o);
	world_end();
}

Test(gcp_later, what_runs_have_left_is_deleted)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *back, *first, *second;

	world("", "");
	past = repaired();
	before = ff_strdup(gcp_last(vm_of("web")->disk_id));
	back = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(back, ff_gcp.rollback);
	world_look();
	first = later(FF_FLOW_CLEANUP, "run-1", false, past, "run-3");
	walk(first, ff_gcp.cleanup);
	second = later(FF_FLOW_CLEANUP, "run-2", true, back->facts, "run-4");
	walk(second, ff_gcp.cleanup);
	walk(second, ff_gcp.cleanup); /* again: nothing to do */
	state = sim_state(w.sim);
	cr_expect_eq(json_array_size(ff_json_at(state, "gcp/snapshots")), 0);
	cr_expect_null(state_disk(state, before));
	one_free(back);
	one_free(first);
	one_free(second);
	world_end();
}

Test(gcp_later, what_fails_after_it_was_put_in_goes_home_with_the_mended_disk)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *o;

	world("", "");
	past = repaired();
	before = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	expect(o, GCP_CHECK);
	expect(o, GCP_CLAIM);
	expect(o, GCP_CLAIM_DISK);
	expect(o, GCP_MAKE);
	expect(o, GCP_STOP);
	expect(o, GCP_TAKE_OUT);
	expect(o, GCP_PUT_IN);
	cr_assert_eq(step(o, GCP_TAKE_NEW_OUT, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, GCP_PUT_BACK, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, GCP_START, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, GCP_DELETE_MADE, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, GCP_RELEASE_DISK, true), FF_M_DONE, "%s", o->v.err.text);
	cr_assert_eq(step(o, GCP_RELEASE, true), FF_M_DONE, "%s", o->v.err.text);
	state = sim_state(w.sim);
	is(state_vm(state), "boot/disk", before);
	is(state_vm(state), "power", "running");
	cr_expect_eq(json_array_size(ff_json_at(state, "gcp/disks")), 2, "the rescue VM's and this one");
	cr_expect_null(ff_json_at(state_disk(state, before), "labels/fixfleet-run"));
	one_free(o);
	world_end();
}

Test(gcp_later, a_disk_whose_answer_was_lost_is_found_by_its_name)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	struct one *o;

	world("", "{\"match\":{\"method\":\"POST\",\"path\":\"*/zones/us-central1-a/"
		  "disks\",\"nth\":1},\"answer\":{\"reset\":\"after\"}}");
	past = repaired();
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	expect(o, GCP_CHECK);
	expect(o, GCP_CLAIM);
	expect(o, GCP_CLAIM_DISK);
	expect(o, GCP_MAKE);
	state = sim_state(w.sim);
	cr_expect_eq(ff_json_int(state, "requests/disks.insert", 0), 1);
	cr_expect_not_null(ff_json_str(o->facts, "new/id"));
	one_free(o);
	world_end();
}

Test(gcp_later, there_is_no_way_back_without_its_snapshot)
{
	ff_auto_json json_t *past = NULL;
	struct ff_err err = {0};
	struct one *o, *tidy;

	world("", "");
	past = repaired();
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	tidy = later(FF_FLOW_CLEANUP, "run-1", false, past, "run-3");
	walk(tidy, ff_gcp.cleanup);
	cr_assert_eq(step(o, GCP_CHECK, false), FF_M_FAILED);
	cr_expect_eq(o->v.err.class, FF_E_GONE, "%s", o->v.err.text);
	json_object_del(past, "snapshot");
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_ROLLBACK, "run-1", false, past, NULL, &err));
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_CLEANUP, "run-1", false, past, NULL, &err));
	ff_json_set_str(past, "id", "1");
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_CLEANUP, "run-1", false, past, NULL, &err));
	cr_expect_str_eq(err.text, "it was deleted and made again since the run");
	one_free(o);
	one_free(tidy);
	world_end();
}

/* The reading before each delete: what bears no label of the run, or is attached, stays. */
Test(gcp_later, only_what_the_run_has_left_is_deleted)
{
#define LABELS(run, vm) "\"labels\":{\"fixfleet-run\":\"" run "\",\"fixfleet-vm\":\"" vm "\"}"
	static const struct {
		const char *answer;
		enum ff_meaning meaning;
	} cases[] = {
		{"{" LABELS("run-1", "web") "}", FF_M_NOT_DONE},
		{"{" LABELS("run-1", "web") ",\"users\":[\"https://x/projects/p1/zones/z/instances/i\"]}", FF_M_FAILED},
		{"{" LABELS("run-2", "web") "}", FF_M_FAILED},
		{"{" LABELS("run-1", "web-2") "}", FF_M_FAILED},
		{"{}", FF_M_FAILED},
		{"{" LABELS("run-1", "web") ",\"status\":\"DELETING\"}", FF_M_WAIT},
	};

	world("", "");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_json json_t *facts = json_deep_copy(vm_of("web")->facts);
		struct ff_member m = {.vm = vm_of("web"), .facts = facts, .step = GCP_DELETE_LEFT, .run = "run-9"};
		struct ff_answer answer = {.status = 200, .body = ff_strdup(cases[i].answer)};
		struct ff_verdict v = {0};

		answer.body_len = strlen(answer.body);
		ff_json_set_str(facts, "of", "run-1");
		ff_json_set_str(facts, "left", "projects/p1/zones/us-central1-a/disks/old");
		gcp_delete_left_looked(w.cloud, &m, WALL_MS, &answer, &v);
		cr_expect_eq(v.meaning, cases[i].meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		json_decref(v.facts);
		ff_answer_release(&answer, false);
	}
	world_end();
}
