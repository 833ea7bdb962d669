/*
 * A sound run against the simulated cloud, in process: its answers go before those of the input, its facts are what VMs
 * enter the rows with, and FUZZ_SEEDS=DIR writes all of it as seeds.
 */
#include <strings.h>

#include "cloud.h"
#include "cloudsim.h"

struct recorder {
	const struct fuzz_cloud *c;
	struct sim *sim;
	struct ff_buf *to; /* NULL: nowhere */
	int64_t now_ms;
};

struct ff_cloud *fuzz_cloud_open(const struct fuzz_cloud *c, size_t env, struct ff_err *err)
{
	struct ff_scope_options options = {0};
	struct ff_env e = {.get = fuzz_env_get, .self = (void *)c->envs[env]};
	struct ff_cloud *cloud;

	*err = (struct ff_err){0};
	c->options(&options);
	cloud = c->provider->open(&options, &e, err);
	ff_strv_free(&options.groups);
	ff_strv_free(&options.rescues);
	ff_strv_free(&options.zones);
	return cloud;
}

struct ff_vm *fuzz_vm_named(const struct ff_provider *p, const struct ff_cloud *cloud, const char *name)
{
	struct ff_vm **vms;
	size_t n = p->vms(cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->name, name))
			return vms[i];
	return NULL;
}

/* ---------------------------------------------------------------- exchanges */

static void ask_sim(struct recorder *r, int64_t now_ms, struct ff_ask *ask, struct ff_answer *answer)
{
	ff_auto_free char *host = ff_url_host(ask->url), *base = ff_printf("https://%s", host ? host : "");
	ff_auto_free char *length = ff_printf("%zu", ask->body_len);
	struct sim_request request = {
		.method = ask->method, .base = base, .body = ask->body, .body_len = ask->body_len};
	struct sim_answer a = {0};

	FUZZ_CHECK(host != NULL && ff_has_prefix(ask->url, base), "%s", ask->url);
	request.target = ask->url + strlen(base);
	ff_headers_set(&ask->headers, "Host", host);
	if (strcmp(ask->method, "GET") != 0)
		ff_headers_set(&ask->headers, "Content-Length", length);
	request.headers = ask->headers;
	sim_answer(r->sim, now_ms, &request, &a);
	FUZZ_CHECK(a.end == SIM_ANSWERED, "%s", ask->url);
	*answer = (struct ff_answer){.status = a.status, .headers = a.headers, .body = a.body, .body_len = a.body_len};
}

static void answer_soundly(struct recorder *r, int64_t now_ms, struct ff_ask *ask, struct ff_answer *answer)
{
	const char *text;

	*answer = (struct ff_answer){0};
	if (ask->kind == FF_ASK_HTTP) {
		ask_sim(r, now_ms, ask, answer);
	} else if (ask->kind == FF_ASK_FILE && r->c->file != NULL && (text = r->c->file(ask->path)) != NULL) {
		answer->body = ff_strdup(text);
		answer->body_len = strlen(text);
	} else {
		answer->transport = FF_T_LOCAL;
		answer->status = 2;
	}
	if (r->to != NULL)
		fuzz_answer_text(answer, r->to);
}

/* As the engine does: a throttled request waits and goes again; what is recorded is the last answer. */
static bool exchange(struct fuzz_walk *w, struct ff_ask *ask, struct ff_answer *answer, enum ff_class *class)
{
	struct recorder *r = w->arg;
	struct ff_buf *to = r->to;

	r->to = NULL;
	for (int i = 0; i < 50; i++) {
		struct ff_hint hint = {.retry_after_ms = -1};
		struct ff_err err = {0};

		FUZZ_CHECK(w->provider->sign(w->cloud, w->now_ms, ask, &err) == 0, "%s", err.text);
		answer_soundly(r, w->now_ms, ask, answer);
		w->now_ms += 50;
		*class = w->provider->judge(w->cloud, w->now_ms, ask, answer, &hint, &err);
		if (*class != FF_E_THROTTLED)
			break;
		ff_answer_release(answer, false);
		w->now_ms += hint.retry_after_ms > 0 ? hint.retry_after_ms + 1000 : 5000;
	}
	r->to = to;
	if (to != NULL)
		fuzz_answer_text(answer, to);
	return true;
}

/* ---------------------------------------------------------------- finding */

static void sign_in(struct recorder *r, struct ff_cloud *cloud)
{
	const struct ff_provider *p = r->c->provider;
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	enum ff_turn turn;

	p->login_reset(cloud);
	while ((turn = p->login_next(cloud, FUZZ_NOW, &ask, &err)) == FF_TURN_ASK) {
		struct ff_answer answer;

		answer_soundly(r, FUZZ_NOW, &ask, &answer);
		p->login_read(cloud, FUZZ_NOW, &ask, &answer);
		ff_answer_release(&answer, true);
		ff_ask_release(&ask);
	}
	FUZZ_CHECK(turn == FF_TURN_DONE, "sign in: %s", err.text);
}

static void discover(struct recorder *r, struct ff_cloud *cloud)
{
	struct fuzz_walk w = {.provider = r->c->provider, .cloud = cloud, .now_ms = FUZZ_NOW, .arg = r};
	struct ff_err err = {0};
	struct ff_ask ask = {0};
	enum ff_turn turn;

	while ((turn = w.provider->discover_next(cloud, &ask, &err)) == FF_TURN_ASK) {
		struct ff_answer answer;
		enum ff_class class;

		exchange(&w, &ask, &answer, &class);
		FUZZ_CHECK(w.provider->discover_read(cloud, FUZZ_NOW, &ask, &answer, &err) == 0, "%s", err.text);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
	}
	FUZZ_CHECK(turn == FF_TURN_DONE, "discovery: %s", err.text);
}

/* ---------------------------------------------------------------- rows */

static void all_disks_good(struct recorder *r)
{
	static const char *const lists[] = {"azure/disks", "aws/volumes", "gcp/disks"};
	ff_auto_json json_t *state = sim_state(r->sim);
	const json_t *disk;
	size_t i;

	for (size_t l = 0; l < FF_COUNT(lists); l++) {
		json_array_foreach (ff_json_at(state, lists[l]), i, disk) {
			const char *name = ff_json_str(disk, "name");

			sim_set_bad(r->sim, name ? name : ff_json_str(disk, "id"), false);
		}
	}
}

static void enter(struct fuzz_record *record, const struct fuzz_walk *w, int step, size_t which)
{
	struct fuzz_entry *entry = &record->entries[step][which];

	if (entry->vm != NULL)
		return;
	entry->vm = ff_strdup(w->members[0].vm->name);
	entry->facts = json_deep_copy(w->facts[0]);
	entry->rescue_facts = json_deep_copy(w->rescue_facts);
}

static void row(struct recorder *r, struct fuzz_record *record, struct fuzz_walk *w, int step, size_t which)
{
	enum ff_meaning meaning;

	enter(record, w, step, which);
	if (w->provider->steps[step].kind == FF_STEP_REPAIR)
		all_disks_good(r);
	r->to = record->rows[step].len == 0 ? &record->rows[step] : NULL;
	meaning = fuzz_walk_row(w, step);
	FUZZ_CHECK(meaning == FF_M_DONE, "%s of %s: %d", w->provider->steps[step].name, w->members[0].vm->name,
		(int)meaning);
}

/* The way of one VM: forward, or up to its start and then back home. */
static void way(struct recorder *r, struct fuzz_record *record, struct ff_cloud *cloud, const char *vm, size_t which,
	bool home, int slot)
{
	const struct ff_provider *p = r->c->provider;
	struct fuzz_walk w = {
		.provider = p, .cloud = cloud, .count = 1, .now_ms = r->now_ms, .exchange = exchange, .arg = r};
	const struct ff_vm *v = fuzz_vm_named(p, cloud, vm), *rescue = fuzz_vm_named(p, cloud, record->rescue);
	uint64_t undone = 0;
	int last = 0;

	FUZZ_CHECK(v != NULL && rescue != NULL, "%s", vm);
	w.facts[0] = json_deep_copy(v->facts);
	w.rescue_facts = json_deep_copy(rescue->facts);
	w.members[0] = (struct ff_member){.vm = v,
		.facts = w.facts[0],
		.rescue = rescue,
		.rescue_facts = w.rescue_facts,
		.slot = slot,
		.run = "run-1",
		.token = w.token};
	w.intents = (unsigned)slot * 1000;
	for (; p->forward[last] != FF_STEP_NONE; last++) {
		if (home && ff_streq(p->steps[p->forward[last]].name, "start"))
			break;
		row(r, record, &w, p->forward[last], which);
	}
	for (int i = last - 1; home && i >= 0; i--) {
		int undo = p->steps[p->forward[i]].undo;

		if (undo == FF_STEP_NONE || (undone & (UINT64_C(1) << undo)) != 0)
			continue;
		undone |= UINT64_C(1) << undo;
		w.look_first = true; /* as after a crash: some of it may be undone already */
		row(r, record, &w, undo, which);
	}
	r->now_ms = w.now_ms;
	json_decref(w.facts[0]);
	json_decref(w.rescue_facts);
}

static char *double_quoted(const char *text)
{
	char *copy = ff_strdup(text);

	for (char *p = copy; *p != '\0'; p++)
		*p = *p == '\'' ? '"' : *p;
	return copy;
}

void fuzz_record_make(const struct fuzz_cloud *c, struct fuzz_record *record)
{
	ff_auto_free char *text = double_quoted(c->scenario);
	ff_auto_json json_t *scenario = fuzz_json(text, strlen(text));
	struct recorder r = {.c = c, .to = &record->login, .now_ms = FUZZ_NOW};
	struct ff_cloud *cloud;
	struct ff_err err = {0};

	r.sim = sim_new(scenario, FUZZ_NOW - 600000, NULL, &err);
	FUZZ_CHECK(r.sim != NULL, "%s", err.text);
	sim_advance(r.sim, FUZZ_NOW);
	cloud = fuzz_cloud_open(c, 0, &err);
	FUZZ_CHECK(cloud != NULL, "%s", err.text);
	sign_in(&r, cloud);
	r.to = &record->discovery;
	discover(&r, cloud);
	record->rescue = ff_strdup("rescue-1");
	way(&r, record, cloud, "web-1", 0, false, 1);
	way(&r, record, cloud, "web-2", 1, false, 2);
	way(&r, record, cloud, "web-3", 0, true, 3);
	c->provider->close(cloud);
	sim_free(r.sim);
}
