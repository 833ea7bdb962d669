/*
 * The rows against the simulated cloud, in process and in virtual time: a small driver, the ladder of provider.h, takes
 * VMs through the flow. What must hold is checked on the model: its violations, and whose disk is where.
 */
#include "azure_kit.h"
#include "cloudsim.h"

#define MINUTE 60000

static struct {
	struct sim *sim;
	struct ff_cloud *cloud;
	int64_t now;
	unsigned sent[64]; /* acts by row */
} w;

static void sent_answer(struct ff_ask *ask, struct ff_answer *answer)
{
	struct sim_request request = {.method = ask->method, .base = ARM};
	struct sim_answer a = {0};
	ff_auto_free char *length = ff_printf("%zu", ask->body_len);

	cr_assert(ff_has_prefix(ask->url, ARM), "%s", ask->url);
	request.target = ask->url + strlen(ARM);
	request.headers = ask->headers;
	ff_headers_set(&request.headers, "Host", "management.azure.com");
	if (strcmp(ask->method, "GET") != 0)
		ff_headers_set(&request.headers, "Content-Length", length);
	request.body = ask->body;
	request.body_len = ask->body_len;
	sim_answer(w.sim, w.now, &request, &a);
	ask->headers = request.headers;
	*answer = (struct ff_answer){.transport = a.end == SIM_ANSWERED ? FF_T_OK : FF_T_BROKEN, .status = a.status};
	if (a.end == SIM_ANSWERED) {
		answer->headers = a.headers;
		answer->body = a.body;
		answer->body_len = a.body_len;
	} else {
		snprintf(answer->why, sizeof(answer->why), "the connection was reset");
		ff_headers_free(&a.headers);
		free(a.body);
	}
}

/* Send, as the engine does: throttled asks wait and go again. */
static void exchange(struct ff_ask *ask, bool sign, struct ff_answer *answer)
{
	struct ff_err err = {0};
	struct ff_hint hint;

	for (int i = 0; i < 50; i++) {
		if (sign)
			cr_assert_eq(ff_azure.sign(w.cloud, w.now, ask, &err), 0, "%s", err.text);
		sent_answer(ask, answer);
		w.now += 50;
		if (ff_azure.judge(w.cloud, w.now, ask, answer, &hint, &err) != FF_E_THROTTLED)
			return;
		ff_answer_release(answer, false);
		w.now += hint.retry_after_ms > 0 ? hint.retry_after_ms + 1000 : 5000;
	}
	cr_assert_fail("throttled for ever: %s", err.text);
}

static void sign_in(void)
{
	struct ff_err err = {0};
	enum ff_turn turn;
	struct ff_ask ask = {0};

	while ((turn = ff_azure.login_next(w.cloud, w.now, &ask, &err)) == FF_TURN_ASK) {
		struct ff_answer answer;
		char *at = strstr(ask.url, "/t1/");
		char *url = ff_printf(ARM "%s", at);

		free(ask.url);
		ask.url = url;
		exchange(&ask, false, &answer);
		ff_azure.login_read(w.cloud, w.now, &ask, &answer);
		ff_answer_release(&answer, true);
		ff_ask_release(&ask);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
}

static void discover(void)
{
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	enum ff_turn turn;

	while ((turn = ff_azure.discover_next(w.cloud, &ask, &err)) == FF_TURN_ASK) {
		struct ff_answer answer;

		exchange(&ask, true, &answer);
		cr_assert_eq(ff_azure.discover_read(w.cloud, w.now, &ask, &answer, &err), 0, "%s", err.text);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
}

/* members: a VM's fields of the scenario; more: further members of "azure". */
static void world(const char *vm_members, const char *more, const char *faults)
{
	static const char *const pairs[] = {
		"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_CLIENT_SECRET", "s1", NULL};
	struct ff_scope_options options = {.subscription = SUB};
	struct ff_err err = {0};
	ff_auto_free char *text =
		ff_printf("{\"seed\":7,\"azure\":{\"subscription\":\"" SUB
			  "\",\"tenant\":\"t1\",\"client_id\":\"c1\",\"client_secret\":\"s1\","
			  "\"page_size\":2,\"vms\":[{\"name\":\"web-1\",\"zone\":\"1\",\"tags\":{\"env\":\"prod\"},"
			  "\"os_disk\":{\"name\":"
			  "\"web-1-os\",\"bad\":true,\"size_gib\":4,\"sku\":\"Premium_LRS\",\"tags\":{\"cost\":\"42\"},"
			  "\"delete_option\":"
			  "\"Delete\"}%s},{\"name\":\"web-2\",\"zone\":\"1\",\"os_disk\":{\"name\":\"web-2-os\","
			  "\"bad\":true,\"size_gib\":4}},"
			  "{\"name\":\"good\",\"zone\":\"1\",\"os_disk\":{\"name\":\"good-os\",\"size_gib\":4}},"
			  "{\"name\":\"rescue-1\",\"zone\":\"1\",\"os\":\"Linux\",\"size\":\"Standard_D16s_v3\","
			  "\"tags\":{\"fixfleet-role\":"
			  "\"rescue\"}}]%s},\"faults\":[%s]}",
			vm_members, more, faults);
	ff_auto_json json_t *scenario = kit_json(text);

	w.now = NOW;
	memset(w.sent, 0, sizeof(w.sent));
	w.sim = sim_new(scenario, w.now, NULL, &err);
	cr_assert_not_null(w.sim, "%s", err.text);
	sim_advance(w.sim, w.now += 5 * MINUTE);
	ff_strv_add(&options.groups, "prod");
	w.cloud = kit_open_with(&options, pairs, &err);
	cr_assert_not_null(w.cloud, "%s", err.text);
	ff_strv_free(&options.groups);
	sign_in();
	discover();
}

static void world_end(void)
{
	ff_auto_json json_t *state = sim_state(w.sim);

	cr_assert_eq(json_array_size(ff_json_at(state, "violations")), 0, "%s",
		json_string_value(ff_json_at(state, "violations/0")));
	ff_azure.close(w.cloud);
	sim_free(w.sim);
}

static struct ff_vm *vm_of(const char *name)
{
	struct ff_vm **vms;
	size_t n = ff_azure.vms(w.cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->name, name))
			return vms[i];
	cr_assert_fail("no VM '%s'", name);
	return NULL;
}

/* ---- the small driver */

struct one {
	struct ff_member m;
	json_t *facts;
	struct ff_verdict v;
};

static void one_new(struct one *o, const char *name, int slot, json_t *rescue_facts)
{
	*o = (struct one){.facts = json_deep_copy(vm_of(name)->facts)};
	o->m = (struct ff_member){.vm = vm_of(name),
		.facts = o->facts,
		.rescue = vm_of("rescue-1"),
		.rescue_facts = rescue_facts,
		.slot = slot,
		.run = "run-1",
		.token = "t"};
}

static void learn(struct one *o, json_t *rescue_facts)
{
	if (o->v.facts != NULL)
		ff_json_merge(o->facts, o->v.facts);
	if (o->v.rescue_facts != NULL)
		ff_json_merge(rescue_facts, o->v.rescue_facts);
	json_decref(o->v.facts);
	json_decref(o->v.rescue_facts);
	o->v.facts = o->v.rescue_facts = NULL;
}

static void look(struct one *o)
{
	const struct ff_step *row = &ff_azure.steps[o->m.step];
	struct ff_ask ask = {0};
	struct ff_answer answer;

	do {
		o->v = (struct ff_verdict){0};
		cr_assert_eq(row->look(w.cloud, &o->m, &ask, &o->v.err), 0, "%s: %s", row->name, o->v.err.text);
		exchange(&ask, true, &answer);
		row->looked(w.cloud, &o->m, w.now, &answer, &o->v);
		learn(o, (json_t *)o->m.rescue_facts);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
		w.now += o->v.wait_ms ? o->v.wait_ms : 2000;
		cr_assert_lt(w.now, NOW + 300 * MINUTE, "%s waits for ever: %s", row->name, o->v.err.text);
	} while (o->v.meaning == FF_M_WAIT);
}

/* Act for all, poll until it is over. */
static void act(struct one *const *all, size_t n)
{
	const struct ff_step *row = &ff_azure.steps[all[0]->m.step];
	struct ff_member m[8];
	struct ff_verdict v[8];
	struct ff_ask ask = {0};
	struct ff_answer answer;
	bool polling = false;

	w.sent[all[0]->m.step]++;
	do {
		for (size_t i = 0; i < n; i++) {
			m[i] = all[i]->m;
			v[i] = (struct ff_verdict){0};
		}
		cr_assert_eq((polling ? ff_azure.poll : row->act)(w.cloud, m, n, &ask, &v[0].err), 0, "%s: %s",
			row->name, v[0].err.text);
		exchange(&ask, true, &answer);
		(polling ? ff_azure.polled : row->acted)(w.cloud, m, n, w.now, &answer, v);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
		for (size_t i = 0; i < n; i++) {
			all[i]->v = v[i];
			learn(all[i], (json_t *)m[0].rescue_facts);
		}
		w.now += v[0].wait_ms ? v[0].wait_ms : 2000;
		polling = v[0].meaning == FF_M_STARTED || (polling && v[0].meaning == FF_M_WAIT);
	} while (polling);
}

/* One row for one VM, by the ladder. The last verdict's meaning. */
static enum ff_meaning step(struct one *o, int number, bool look_first)
{
	const struct ff_step *row = &ff_azure.steps[number];
	bool first = look_first || row->act == NULL || (row->flags & FF_LOOK_FIRST) != 0;

	o->m.step = number;
	for (int round = 0; round < 12; round++) {
		if (first) {
			look(o);
			if (o->v.meaning != FF_M_NOT_DONE)
				return o->v.meaning;
		}
		act(&o, 1);
		if (o->v.meaning == FF_M_FAILED)
			return FF_M_FAILED;
		if (o->v.meaning == FF_M_DONE && (row->flags & FF_LOOK_AFTER) == 0)
			return FF_M_DONE;
		first = o->v.meaning != FF_M_WAIT;
	}
	return FF_M_LOOK;
}

static void expect(struct one *o, int number, enum ff_meaning meaning)
{
	enum ff_meaning is = step(o, number, false);

	cr_assert_eq(is, meaning, "%s: %d: %s", ff_azure.steps[number].name, (int)is, o->v.err.text);
}

static void mend(struct one *o)
{
	ff_auto_free char *copy = azure_copy_name(&o->m);

	cr_assert_eq(sim_set_bad(w.sim, copy, false), 0);
}

static void one_free(struct one *o)
{
	json_decref(o->facts);
}

static const json_t *sim_vm(const json_t *state, const char *name)
{
	const json_t *vm;
	size_t i;

	json_array_foreach (ff_json_at(state, "azure/vms"), i, vm)
		if (ff_streq(ff_json_str(vm, "name"), name))
			return vm;
	return NULL;
}

static void whole_repair(const char *vm_members, const char *more, const char *faults)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *state = NULL;
	ff_auto_free char *copy = NULL;

	world(vm_members, more, faults);
	one_new(&o, "web-1", 3, rescue_facts);
	for (const int *row = ff_azure.forward; *row != FF_STEP_NONE; row++) {
		if (*row == AZ_REPAIR)
			mend(&o);
		else
			expect(&o, *row, FF_M_DONE);
	}
	copy = azure_copy_name(&o.m);
	state = sim_state(w.sim);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), copy);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "agent"), "ready");
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/delete_option"), "Delete");
	cr_assert_eq(json_array_size(ff_json_at(sim_vm(state, "rescue-1"), "data_disks")), 0);
	cr_assert_null(json_object_get(o.facts, "op"));
	one_free(&o);
	world_end();
}

Test(azure_flow, discovery_tells_affected_from_healthy_and_finds_the_rescue_vm)
{
	world("", "", "");
	cr_assert_eq(vm_of("web-1")->health, FF_AFFECTED, "%s", vm_of("web-1")->reason);
	cr_assert_eq(vm_of("good")->health, FF_HEALTHY, "%s", vm_of("good")->reason);
	cr_assert(vm_of("rescue-1")->rescue);
	cr_assert_eq(vm_of("rescue-1")->slots_max, 32);
	cr_assert_eq(vm_of("rescue-1")->health, FF_SKIPPED);
	cr_assert_eq(vm_of("web-1")->disk_bytes, INT64_C(4) << 30);
	world_end();
}

Test(azure_flow, a_vm_is_repaired)
{
	whole_repair("", "", "");
}

Test(azure_flow, tags_that_are_merged_are_blanked)
{
	whole_repair("", ",\"patch_tags\":\"merge\"", "");
}

Test(azure_flow, the_disk_list_is_patched_where_attach_detach_is_not_enabled)
{
	whole_repair("", ",\"attach_api\":\"region\"", "");
	whole_repair("", ",\"attach_api\":\"subscription\"", "");
}

Test(azure_flow, a_swap_that_needs_it_gets_the_vm_deallocated)
{
	whole_repair("", ",\"swap_needs_deallocate\":true", "");
}

Test(azure_flow, lost_answers_are_looked_after)
{
	whole_repair("", "",
		"{\"match\":{\"method\":\"PATCH\",\"nth\":1},\"answer\":{\"reset\":\"after\"}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/powerOff\",\"nth\":1},\"answer\":{\"reset\":\"before\"}},"
		"{\"match\":{\"method\":\"PUT\",\"path\":\"*/disks/*\",\"nth\":1},\"answer\":{\"reset\":\"after\"}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"attachDetachDataDisks\",\"nth\":1},\"answer\":{\"truncate\":true}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/start\",\"nth\":1},\"answer\":{\"reset\":\"after\"}}");
}

Test(azure_flow, errors_on_the_way_are_looked_after)
{
	whole_repair("", "",
		"{\"match\":{\"method\":\"PATCH\",\"nth\":1},\"answer\":{\"status\":412}},"
		"{\"match\":{\"method\":\"PATCH\",\"nth\":3},\"answer\":{\"status\":500}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"powerOff\",\"nth\":1},\"answer\":{\"status\":429,\"retry_after_s\":3}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"attachDetachDataDisks\",\"nth\":1},\"answer\":{\"status\":409,\"code\":"
		"\"Conflict\",\"message\":\"The request failed due to conflict with a concurrent request.\"}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"start\",\"nth\":1},\"answer\":{\"operation_fails\":{\"code\":"
		"\"AllocationFailed\",\"message\":\"Allocation failed.\"}}}");
}

Test(azure_flow, a_dynamic_address_is_not_lost_without_leave)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *state = NULL;

	world(",\"public_ip\":\"dynamic\"", ",\"swap_needs_deallocate\":true", "");
	one_new(&o, "web-1", 3, rescue_facts);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_COPY, FF_M_DONE);
	mend(&o);
	expect(&o, AZ_SWAP, FF_M_FAILED);
	cr_assert(strstr(o.v.err.text, "--allow-deallocate") != NULL, "%s", o.v.err.text);
	expect(&o, AZ_SWAP_BACK, FF_M_DONE);
	expect(&o, AZ_DELETE_COPY, FF_M_DONE);
	expect(&o, AZ_START, FF_M_DONE);
	expect(&o, AZ_RELEASE, FF_M_DONE);
	state = sim_state(w.sim);
	cr_assert_eq(ff_json_int(sim_vm(state, "web-1"), "deallocations", -1), 0);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), "web-1-os");
	one_free(&o);
	world_end();
}

Test(azure_flow, a_swap_is_taken_back)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *state = NULL;

	world("", "", "");
	one_new(&o, "web-1", 3, rescue_facts);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_COPY, FF_M_DONE);
	mend(&o);
	expect(&o, AZ_SWAP, FF_M_DONE);
	cr_assert(ff_json_bool(o.facts, "swapped", false));
	o.m.step = AZ_DELETE_COPY; /* the copy is the OS disk: it must not go */
	cr_assert_eq(w.sent[AZ_DELETE_COPY], 0);
	expect(&o, AZ_SWAP_BACK, FF_M_DONE);
	expect(&o, AZ_DELETE_COPY, FF_M_DONE);
	cr_assert_eq(w.sent[AZ_DELETE_COPY], 1);
	expect(&o, AZ_START, FF_M_DONE);
	expect(&o, AZ_RELEASE, FF_M_DONE);
	state = sim_state(w.sim);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), "web-1-os");
	one_free(&o);
	world_end();
}

Test(azure_flow, attach_and_detach_go_in_one_request)
{
	struct one a, b, *both[] = {&a, &b};
	ff_auto_json json_t *rescue_facts = json_object();

	world("", "", "");
	one_new(&a, "web-1", 3, rescue_facts);
	one_new(&b, "web-2", 0, rescue_facts);
	for (int i = 0; i < 2; i++) {
		expect(both[i], AZ_CLAIM, FF_M_DONE);
		expect(both[i], AZ_STOP, FF_M_DONE);
		expect(both[i], AZ_COPY, FF_M_DONE);
	}
	expect(&a, AZ_ATTACH, FF_M_DONE);
	a.m.step = AZ_DETACH;
	b.m.step = AZ_ATTACH;
	memset(w.sent, 0, sizeof(w.sent));
	act(both, 2);
	cr_assert_eq(a.v.meaning, FF_M_DONE, "%s", a.v.err.text);
	cr_assert_eq(b.v.meaning, FF_M_DONE, "%s", b.v.err.text);
	look(&a);
	look(&b);
	cr_assert_eq(a.v.meaning, FF_M_DONE);
	cr_assert_eq(b.v.meaning, FF_M_DONE);
	one_free(&a);
	one_free(&b);
	world_end();
}

Test(azure_flow, one_bad_disk_does_not_fail_its_neighbour)
{
	struct one a, b, *both[] = {&a, &b};
	ff_auto_json json_t *rescue_facts = json_object();

	world("", "", "");
	one_new(&a, "web-1", 3, rescue_facts);
	one_new(&b, "web-2", 0, rescue_facts);
	expect(&a, AZ_CLAIM, FF_M_DONE);
	expect(&a, AZ_STOP, FF_M_DONE);
	expect(&a, AZ_COPY, FF_M_DONE);
	a.m.step = b.m.step = AZ_ATTACH; /* b has no copy */
	act(both, 2);
	cr_assert_neq(a.v.meaning, FF_M_FAILED, "%s", a.v.err.text);
	expect(&a, AZ_ATTACH, FF_M_DONE);
	expect(&b, AZ_ATTACH, FF_M_FAILED);
	one_free(&a);
	one_free(&b);
	world_end();
}

Test(azure_flow, two_runs_do_not_both_claim)
{
	struct one a, b;
	ff_auto_json json_t *rescue_facts = json_object();

	world("", "", "");
	one_new(&a, "web-1", 3, rescue_facts);
	one_new(&b, "web-1", 4, rescue_facts);
	b.m.run = "run-2";
	a.m.step = b.m.step = AZ_CLAIM;
	look(&a);
	look(&b);
	cr_assert_eq(a.v.meaning, FF_M_NOT_DONE);
	cr_assert_eq(b.v.meaning, FF_M_NOT_DONE);
	expect(&a, AZ_CLAIM, FF_M_DONE);
	struct one *second = &b;

	act(&second, 1); /* with the etag of before */
	cr_assert_eq(b.v.meaning, FF_M_LOOK, "%s", b.v.err.text);
	expect(&b, AZ_CLAIM, FF_M_FAILED);
	cr_assert(strstr(b.v.err.text, "run-1") != NULL, "%s", b.v.err.text);
	one_free(&a);
	one_free(&b);
	world_end();
}

Test(azure_flow, a_vm_that_somebody_started_is_not_swapped)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *human = kit_json("{\"op\":\"start\",\"vm\":\"web-1\"}");
	struct ff_err err = {0};

	world("", "", "");
	one_new(&o, "web-1", 3, rescue_facts);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_COPY, FF_M_DONE);
	mend(&o);
	cr_assert_eq(sim_human(w.sim, w.now, human, &err), 0, "%s", err.text);
	expect(&o, AZ_SWAP, FF_M_FAILED);
	cr_assert_eq(o.v.err.class, FF_E_CONFLICT);
	cr_assert_eq(w.sent[AZ_SWAP], 0);
	expect(&o, AZ_DELETE_COPY, FF_M_DONE);
	expect(&o, AZ_RELEASE, FF_M_DONE);
	one_free(&o);
	world_end();
}
