/*
 * The Azure provider's rows against the simulated cloud, in process and in virtual time: a small driver, the ladder of
 * provider.h, takes VMs through a flow. What must hold is checked on the model: its violations, and whose disk is
 * where.
 */
#ifndef TEST_AZURE_WORLD_H
#define TEST_AZURE_WORLD_H

#include "azure_kit.h"
#include "cloudsim.h"

#define MINUTE 60000

static struct {
	struct sim *sim;
	struct ff_cloud *cloud;
	int64_t now;
	unsigned sent[64]; /* acts by row */
} w;

static inline void sent_answer(struct ff_ask *ask, struct ff_answer *answer)
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
static inline void exchange(struct ff_ask *ask, bool sign, struct ff_answer *answer)
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

static inline void sign_in(void)
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

static inline void discover(void)
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

/* Open the provider, sign in and discover: at the beginning, and again for a later flow. */
static inline void world_look(void)
{
	static const char *const pairs[] = {
		"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_CLIENT_SECRET", "s1", NULL};
	struct ff_scope_options options = {.subscription = SUB};
	struct ff_err err = {0};

	ff_azure.close(w.cloud);
	ff_strv_add(&options.groups, "prod");
	w.cloud = kit_open_with(&options, pairs, &err);
	cr_assert_not_null(w.cloud, "%s", err.text);
	ff_strv_free(&options.groups);
	sign_in();
	discover();
}

/* members: a VM's fields of the scenario; more: further members of "azure". */
static inline void world(const char *vm_members, const char *more, const char *faults)
{
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
	w.cloud = NULL;
	world_look();
}

static inline void world_end(void)
{
	ff_auto_json json_t *state = sim_state(w.sim);

	cr_assert_eq(json_array_size(ff_json_at(state, "violations")), 0, "%s",
		json_string_value(ff_json_at(state, "violations/0")));
	ff_azure.close(w.cloud);
	sim_free(w.sim);
}

static inline struct ff_vm *vm_of(const char *name)
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

static inline void one_new(struct one *o, const char *name, int slot, json_t *rescue_facts)
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

static inline void learn(struct one *o, json_t *rescue_facts)
{
	if (o->v.facts != NULL)
		ff_json_merge(o->facts, o->v.facts);
	if (o->v.rescue_facts != NULL)
		ff_json_merge(rescue_facts, o->v.rescue_facts);
	json_decref(o->v.facts);
	json_decref(o->v.rescue_facts);
	o->v.facts = o->v.rescue_facts = NULL;
}

static inline void look(struct one *o)
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
static inline void act(struct one *const *all, size_t n)
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
static inline enum ff_meaning step(struct one *o, int number, bool look_first)
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

static inline void expect(struct one *o, int number, enum ff_meaning meaning)
{
	enum ff_meaning is = step(o, number, false);

	cr_assert_eq(is, meaning, "%s: %d: %s", ff_azure.steps[number].name, (int)is, o->v.err.text);
}

static inline void mend(struct one *o)
{
	ff_auto_free char *copy = azure_copy_name(&o->m);

	cr_assert_eq(sim_set_bad(w.sim, copy, false), 0);
}

static inline void one_free(struct one *o)
{
	json_decref(o->facts);
}

static inline const json_t *sim_vm(const json_t *state, const char *name)
{
	const json_t *vm;
	size_t i;

	json_array_foreach (ff_json_at(state, "azure/vms"), i, vm)
		if (ff_streq(ff_json_str(vm, "name"), name))
			return vm;
	return NULL;
}

#endif
