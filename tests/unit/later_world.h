/*
 * AWS and GCP, simulated in process and in virtual time: a small driver takes a VM through the provider's rows by the
 * ladder of provider.h. Whoever includes this defines PROVIDER (the table), CLOUD (its name in the model's state) and
 * world_open(), and makes the model.
 */
#ifndef TEST_LATER_WORLD_H
#define TEST_LATER_WORLD_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloudsim.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"

static struct {
	struct sim *sim;
	struct ff_cloud *cloud;
	int64_t now;
	unsigned tokens; /* a new one for each act; one that is made of it by turning a bit is no other's */
} w;

/** The provider, open in the test's environment. */
static struct ff_cloud *world_open(const struct ff_scope_options *options, struct ff_err *err);

/* A wait is held by the cloud: time passes until it answers. */
static inline void exchange(struct ff_ask *ask, struct ff_answer *answer)
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

static inline void send_signed(struct ff_ask *ask, struct ff_answer *answer)
{
	struct ff_err err = {0};

	cr_assert_eq(PROVIDER.sign(w.cloud, w.now, ask, &err), 0, "%s", err.text);
	exchange(ask, answer);
}

static inline void world_sign_in(void)
{
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	struct ff_answer answer;
	enum ff_turn turn;

	while ((turn = PROVIDER.login_next(w.cloud, w.now, &ask, &err)) == FF_TURN_ASK) {
		if (ask.kind == FF_ASK_HTTP)
			exchange(&ask, &answer);
		else
			answer = (struct ff_answer){.transport = FF_T_LOCAL, .status = ENOENT};
		PROVIDER.login_read(w.cloud, w.now, &ask, &answer);
		ff_ask_release(&ask);
		ff_answer_release(&answer, true);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
}

/* Open the provider, sign in and discover: at the beginning, and again for a later flow. */
static inline void world_look_with(const struct ff_scope_options *options)
{
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	struct ff_answer answer;
	enum ff_turn turn;

	PROVIDER.close(w.cloud);
	w.cloud = world_open(options, &err);
	cr_assert_not_null(w.cloud, "%s", err.text);
	world_sign_in();
	while ((turn = PROVIDER.discover_next(w.cloud, &ask, &err)) == FF_TURN_ASK) {
		if (ask.kind == FF_ASK_HTTP)
			send_signed(&ask, &answer);
		else
			answer = (struct ff_answer){.body = ff_strdup(ask.path), .body_len = strlen(ask.path)};
		cr_assert_eq(PROVIDER.discover_read(w.cloud, w.now, &ask, &answer, &err), 0, "%s", err.text);
		ff_ask_release(&ask);
		ff_answer_release(&answer, false);
	}
	cr_assert_eq(turn, FF_TURN_DONE, "%s", err.text);
}

static inline void world_look(void)
{
	world_look_with(&(struct ff_scope_options){0});
}

static inline void world_look_for_claims(void)
{
	world_look_with(&(struct ff_scope_options){.claims = true});
}

static inline void world_begin(const char *scenario_text)
{
	struct ff_err err = {0};
	ff_auto_json json_t *scenario = ff_json_parse(scenario_text, strlen(scenario_text), 1 << 20, &err);

	cr_assert_not_null(scenario, "%s", err.text);
	w.cloud = NULL;
	w.now = INT64_C(1721361540000); /* 2024-07-19T03:59:00Z */
	w.sim = sim_new(scenario, w.now, NULL, &err);
	cr_assert_not_null(w.sim, "%s", err.text);
	sim_advance(w.sim, w.now += 600000);
	world_look();
}

static inline void world_end(void)
{
	ff_auto_json json_t *state = sim_state(w.sim);

	cr_expect_eq(json_array_size(ff_json_at(state, "violations")), 0, "%s",
		json_string_value(ff_json_at(state, "violations/0")));
	PROVIDER.close(w.cloud);
	sim_free(w.sim);
}

static inline struct ff_vm *vm_of(const char *name)
{
	struct ff_vm **vms;
	size_t n = PROVIDER.vms(w.cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->name, name))
			return vms[i];
	cr_assert_fail("no VM '%s'", name);
	return NULL;
}

/* What somebody does by hand: {"op":...,"vm":...}. */
static inline void human(const char *text)
{
	struct ff_err err = {0};
	ff_auto_json json_t *deed = ff_json_parse(text, strlen(text), 1 << 16, &err);

	cr_assert_eq(sim_human(w.sim, w.now, deed, &err), 0, "%s", err.text);
}

/* ---------------------------------------------------------------- the ladder */

struct one {
	struct ff_member m;
	json_t *facts, *rescue_facts;
	struct ff_verdict v;
	char token[37];
	bool same_token;
};

static inline void learn(struct one *o)
{
	if (o->v.facts != NULL)
		ff_json_merge(o->facts, o->v.facts);
	if (o->v.rescue_facts != NULL && o->rescue_facts != NULL)
		ff_json_merge(o->rescue_facts, o->v.rescue_facts);
	json_decref(o->v.facts);
	json_decref(o->v.rescue_facts);
	o->v.facts = o->v.rescue_facts = NULL;
}

enum turn { LOOK, ACT, POLL };

static inline void ask_once(struct one *o, enum turn turn)
{
	const struct ff_step *row = &PROVIDER.steps[o->m.step];
	struct ff_ask ask = {0};
	struct ff_answer answer;

	o->v = (struct ff_verdict){0};
	if (turn == ACT && !o->same_token)
		snprintf(o->token, sizeof(o->token), "00000000-0000-4000-8000-%012u", w.tokens += 2);
	cr_assert_eq(turn == ACT    ? row->act(w.cloud, &o->m, 1, &ask, &o->v.err)
		     : turn == POLL ? PROVIDER.poll(w.cloud, &o->m, 1, &ask, &o->v.err)
				    : row->look(w.cloud, &o->m, &ask, &o->v.err),
		0, "%s: %s", row->name, o->v.err.text);
	send_signed(&ask, &answer);
	if (turn == ACT) /* what is repeated after a lost answer keeps its token */
		o->same_token = answer.transport != FF_T_OK;
	if (turn == ACT)
		row->acted(w.cloud, &o->m, 1, w.now, &answer, &o->v);
	else if (turn == POLL)
		PROVIDER.polled(w.cloud, &o->m, 1, w.now, &answer, &o->v);
	else
		row->looked(w.cloud, &o->m, w.now, &answer, &o->v);
	learn(o);
	w.now += o->v.wait_ms ? o->v.wait_ms : 500;
	ff_ask_release(&ask);
	ff_answer_release(&answer, false);
}

/* Act, and poll the operation to its end. */
static inline void act_once(struct one *o)
{
	ask_once(o, ACT);
	while (o->v.meaning == FF_M_STARTED || (o->v.meaning == FF_M_WAIT && json_object_get(o->facts, "op")))
		ask_once(o, POLL);
}

/* One row, to its end. */
static inline enum ff_meaning step(struct one *o, int number, bool homeward)
{
	const struct ff_step *row = &PROVIDER.steps[number];
	bool look = homeward || row->act == NULL || (row->flags & FF_LOOK_FIRST) != 0;

	o->m.step = number;
	o->same_token = false;
	if (row->applies != NULL && !row->applies(&o->m))
		return FF_M_DONE;
	for (int i = 0; i < 600; i++) {
		if (!look) {
			act_once(o);
			if (o->v.meaning == FF_M_FAILED ||
				(o->v.meaning == FF_M_DONE && (row->flags & FF_LOOK_AFTER) == 0))
				return o->v.meaning;
			look = o->v.meaning != FF_M_WAIT;
			continue;
		}
		ask_once(o, LOOK);
		if (o->v.meaning == FF_M_DONE || o->v.meaning == FF_M_FAILED)
			return o->v.meaning;
		look = o->v.meaning != FF_M_NOT_DONE;
	}
	cr_assert_fail("%s has no end: %s", row->name, o->v.err.text);
	return FF_M_FAILED;
}

static inline void expect(struct one *o, int number)
{
	cr_assert_eq(step(o, number, false), FF_M_DONE, "%s: %s", PROVIDER.steps[number].name, o->v.err.text);
}

static inline void expect_home(struct one *o, int number)
{
	cr_assert_eq(step(o, number, true), FF_M_DONE, "%s: %s", PROVIDER.steps[number].name, o->v.err.text);
}

/* The first rows of an order, so many. "web" is mended where the worker would. */
static inline void walk_some(struct one *o, const int *order, size_t rows)
{
	for (size_t i = 0; i < rows && order[i] != FF_STEP_NONE; i++) {
		const char *disk = o->m.vm->disk_id, *slash = strrchr(disk, '/');

		if (PROVIDER.steps[order[i]].kind == FF_STEP_REPAIR)
			cr_assert_eq(sim_set_bad(w.sim, slash ? slash + 1 : disk, false), 0);
		else
			expect(o, order[i]);
	}
}

static inline void walk(struct one *o, const int *order)
{
	walk_some(o, order, SIZE_MAX);
}

/* Does it say that of what the cleanup is about? */
static inline void expect_where(const struct one *o, const char *words)
{
	ff_auto_buf where = {0};

	PROVIDER.where(w.cloud, &o->m, &where);
	cr_expect_not_null(strstr(where.text, words), "%s", where.text);
}

static inline struct one *one_new(json_t *facts_stolen, const char *run)
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
		.by = "ops@bastion",
		.token = o->token};
	return o;
}

static inline void one_free(struct one *o)
{
	json_decref(o->facts);
	json_decref(o->rescue_facts);
	free(o);
}

/* Repaired by run-1: its facts at the end. */
static inline json_t *repaired(void)
{
	struct one *o = one_new(json_deep_copy(vm_of("web")->facts), "run-1");
	json_t *facts;

	walk(o, PROVIDER.forward);
	facts = json_incref(o->facts);
	one_free(o);
	sim_advance(w.sim, w.now += 180000); /* its snapshot is whole by then */
	world_look();
	return facts;
}

/* A later flow for it, which the operator has asked for although the VM is well. */
static inline struct one *later(
	enum ff_flow flow, const char *of, bool rolled_back, const json_t *past, const char *run)
{
	struct ff_err err = {0};
	json_t *facts = PROVIDER.recall(w.cloud, vm_of("web"), flow, of, rolled_back, past, NULL, &err);
	struct one *o;

	cr_assert_not_null(facts, "%s", err.text);
	human("{\"op\":\"demand\",\"vm\":\"web\"}");
	o = one_new(facts, run);
	o->m.rescue = NULL;
	o->m.rescue_facts = NULL;
	o->m.slot = -1;
	return o;
}

/* ---------------------------------------------------------------- what the model knows to be true */

static inline const json_t *state_vm(const json_t *state)
{
	return ff_json_at(state, CLOUD "/vms/0");
}

/* Of the disks (volumes) the one with that name (id). */
static inline const json_t *state_one(const json_t *state, const char *list, const char *member, const char *value)
{
	const json_t *it;
	size_t i;

	json_array_foreach (ff_json_at(state, list), i, it)
		if (ff_streq(ff_json_str(it, member), value))
			return it;
	return NULL;
}

#define is(j, path, text) cr_expect_str_eq(ff_json_str(j, path), text, "%s is %s", path, ff_json_str(j, path))

/* What an earlier run left of "web", patched, and what recall() says to it: NULL is yes. */
struct recall_case {
	enum ff_flow flow;
	bool rolled_back;
	const char *patch, *why;
};

static inline void check_recall(const char *snapshot, const struct recall_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct recall_case *c = &cases[i];
		ff_auto_json json_t *past = json_deep_copy(vm_of("web")->facts), *patch = NULL, *facts = NULL;
		struct ff_err err = {0};

		ff_json_set_str(past, "snapshot", snapshot);
		patch = ff_json_parse(c->patch, strlen(c->patch), 4096, &err);
		ff_json_merge(past, patch);
		facts = PROVIDER.recall(w.cloud, vm_of("web"), c->flow, "run-1", c->rolled_back, past, NULL, &err);
		cr_expect_eq(facts != NULL, c->why == NULL, "case %zu: %s", i, err.text);
		if (c->why != NULL)
			cr_expect_not_null(strstr(err.text, c->why), "case %zu: %s", i, err.text);
		else
			is(facts, "of", "run-1");
	}
}

#endif
