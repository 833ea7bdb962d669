/*
 * A world for tests of the engine: virtual time, the toy cloud's model, scripted faults, a scripted worker, and a trace
 * of everything the engine did to it, one line each:
 *
 *   "send POST https://toy.test/stop:a"   "append"   "sync"   "worker r1 mend 1"   "keep 0 /x"   "kept-synced"
 *
 * Nothing here decides by itself: a rule says which request meets what, and how often.
 */
#ifndef TEST_ENGINE_WORLD_H
#define TEST_ENGINE_WORLD_H

#include "test_engine_toy.h"

#include <criterion/criterion.h>

#include "engine/state.h"
#include "engine/table.h"

struct rule {
	const char *url;  /* a request whose "METHOD url" holds this text */
	int skip, times;  /* the first `skip` matches pass, then `times` are met (0: all) */
	int status;	  /* 0: 200 */
	const char *body; /* meanings; NULL: what the model says */
	enum ff_transport transport;
	bool after; /* the effect happens all the same */
	const char *retry_after;
	int64_t latency_ms; /* 0: 100 */
	int seen;
};

/* What the worker does with a disk. */
enum mood { MENDS, FINDS_NOTHING, FAILS, DIES_OPEN, DIES_AFTER_KEPT, HANGS, DIES_AT_ONCE, IS_UNABLE, NEVER_STARTS };

struct delivery {
	int64_t at_ms;
	uint64_t order;
	ff_answered_fn *done;
	void *arg;
	struct ff_ask ask;
	struct ff_answer answer;
	char *rescue; /* a worker's line, or its end when `line` is NULL */
	json_t *line;
};

struct world {
	struct ff_world world;
	struct ff_engine *engine;
	struct ff_cloud *cloud;
	int64_t now_ms, wake_ms;
	uint64_t seed, order;
	struct ff_strv trace, events;
	struct ff_buf journal;
	size_t synced; /* bytes of the journal */
	bool append_fails, sync_fails, keep_fails, quiet;
	size_t sync_fails_at; /* the n-th sync fails; 0: none */
	size_t syncs, sends, turns;
	size_t lines, dies_at_line; /* of the journal; the process dies when that line was written (0: never) */
	size_t dies_at_send;	    /* when that request is sent: */
	bool effect_stays;	    /* the cloud got it all the same */
	bool dead;
	struct delivery *queue; /* a heap would be nicer; the order is (at_ms, order) */
	size_t count, room;
	struct ff_table states; /* struct toy_state by VM name */
	struct rule *rules;
	size_t rule_count;
	enum mood mood;
	const char *mood_of;	  /* only this VM's disk; the others are mended. NULL: all */
	int mood_times;		  /* so often; 0: always */
	struct ff_table started;  /* workers that run */
	struct ff_table dying;	  /* workers whose end is not known yet: what they are told is lost */
	int64_t worker_ms, op_ms; /* op_ms > 0: acts start operations that take so long */
	int64_t up_ms;		  /* looks for many: until then no VM is up */
	bool unsynced_send;	  /* a mutating request left before its intent was durable */
	void (*on_worker)(struct world *w, const char *rescue, const json_t *line); /* instead of the moods */
	void (*on_send)(struct world *w, const char *what);
};

/* ---------------------------------------------------------------- deliveries: a binary heap */

TOY bool before(const struct delivery *a, const struct delivery *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

TOY void swap(struct world *w, size_t i, size_t j)
{
	struct delivery d = w->queue[i];

	w->queue[i] = w->queue[j];
	w->queue[j] = d;
}

TOY void deliver_later(struct world *w, struct delivery *d, int64_t delay_ms)
{
	size_t i = w->count;

	if (w->count == w->room) {
		w->room = w->room ? w->room * 2 : 64;
		w->queue = ff_realloc(w->queue, w->room, sizeof(*w->queue));
	}
	d->at_ms = w->now_ms + delay_ms;
	d->order = w->order++;
	w->queue[w->count++] = *d;
	for (; i > 0 && before(&w->queue[i], &w->queue[(i - 1) / 2]); i = (i - 1) / 2)
		swap(w, i, (i - 1) / 2);
}

TOY struct delivery take_first(struct world *w)
{
	struct delivery first = w->queue[0];

	w->queue[0] = w->queue[--w->count];
	for (size_t i = 0, child = 1; child < w->count; child = 2 * i + 1) {
		if (child + 1 < w->count && before(&w->queue[child + 1], &w->queue[child]))
			child++;
		if (!before(&w->queue[child], &w->queue[i]))
			break;
		swap(w, i, child);
		i = child;
	}
	return first;
}

/* ---------------------------------------------------------------- the cloud's side */

TOY struct toy_state *state_of(struct world *w, const char *name)
{
	struct toy_state *s = ff_table_get(&w->states, name);

	if (s == NULL) {
		s = ff_calloc(1, sizeof(*s));
		s->running = true;
		ff_table_set(&w->states, name, s);
	}
	return s;
}

/* What a look for many says of one. */
TOY const char *seen_as(struct world *w, const char *step, const char *name)
{
	if (strcmp(step, "verify") == 0 && w->now_ms < w->up_ms)
		return "wait";
	return toy_holds(state_of(w, name), toy_row_of(step)) ? "done" : "not-done";
}

/* "step:vm,step:vm" up to '?': carry out each, or say what each gives; `word` NULL: what is true of it. */
TOY void for_members(struct world *w, const char *list, bool apply, const char *word, struct ff_buf *body)
{
	while (*list != '\0' && *list != '?') {
		size_t len = strcspn(list, ",?"), colon = strcspn(list, ":");
		ff_auto_free char *step = ff_strndup(list, colon),
				  *name = ff_strndup(list + colon + 1, len - colon - 1);

		if (apply)
			toy_apply(state_of(w, name), toy_row_of(step));
		if (body != NULL)
			ff_buf_addf(body, "%s%s", body->len ? "," : "", word ? word : seen_as(w, step, name));
		list += len;
		list += *list == ',';
	}
}

TOY char *model_says(struct world *w, const struct ff_ask *ask)
{
	const char *path = strstr(ask->url, "toy.test/") + 9;
	struct ff_buf body = {0};

	if (strcmp(ask->method, "POST") == 0) {
		if (!strstr(ask->url, "login."))
			for_members(w, path, true, w->op_ms > 0 ? "started" : "done", &body);
	} else if (ff_has_prefix(path, "look/")) {
		size_t len = strcspn(path + 5, "/");
		ff_auto_free char *step = ff_strndup(path + 5, len);

		ff_buf_adds(&body, toy_holds(state_of(w, path + 6 + len), toy_row_of(step)) ? "done" : "not-done");
	} else if (ff_has_prefix(path, "looks/")) {
		for_members(w, path + 6, false, NULL, &body);
	} else if (ff_has_prefix(path, "poll/")) {
		for_members(w, path + 5, false, "done", &body);
	}
	return ff_buf_take(&body);
}

TOY struct rule *rule_for(struct world *w, const char *what)
{
	for (size_t i = 0; i < w->rule_count; i++) {
		struct rule *r = &w->rules[i];

		if (strstr(what, r->url) == NULL)
			continue;
		r->seen++;
		if (r->seen > r->skip && (r->times == 0 || r->seen <= r->skip + r->times))
			return r;
	}
	return NULL;
}

TOY void answer(struct world *w, const struct ff_ask *ask, const struct rule *r, struct ff_answer *a)
{
	bool untouched = r != NULL && !r->after && (r->transport != FF_T_OK || r->status >= 400 || r->body != NULL);

	*a = (struct ff_answer){.transport = r ? r->transport : FF_T_OK, .status = r && r->status ? r->status : 200};
	if (!untouched)
		a->body = model_says(w, ask);
	if (r != NULL && r->body != NULL) {
		free(a->body);
		a->body = ff_strdup(r->body);
	}
	if (r != NULL && r->transport != FF_T_OK) {
		free(FF_STEAL(a->body));
		snprintf(a->why, sizeof(a->why), "transport %d", (int)r->transport);
	}
	a->body_len = a->body ? strlen(a->body) : 0;
	if (r != NULL && r->retry_after != NULL)
		ff_headers_add(&a->headers, "Retry-After", r->retry_after);
}

/* ---------------------------------------------------------------- functions of the world */

TOY int64_t w_mono(void *self)
{
	return ((struct world *)self)->now_ms;
}

TOY int64_t w_wall(void *self)
{
	return 1721361600000 + ((struct world *)self)->now_ms; /* 2024-07-19T04:00Z */
}

/* xorshift64: the same every time. */
TOY uint64_t w_random(void *self)
{
	struct world *w = self;

	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed;
}

TOY void w_wake_at(void *self, int64_t mono_ms)
{
	((struct world *)self)->wake_ms = mono_ms;
}

TOY void note_trace(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
TOY void note_trace(struct world *w, const char *fmt, ...)
{
	ff_auto_free char *text = NULL;
	va_list ap;

	if (w->quiet)
		return;
	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_strv_add(&w->trace, text);
}

/* Is the journal durable up to an intent with this token? */
TOY bool intent_durable(const struct world *w, const char *token)
{
	return token != NULL && memmem(w->journal.text, w->synced, token, strlen(token)) != NULL;
}

TOY void w_send(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg)
{
	struct world *w = self;
	struct delivery d = {.done = done, .arg = arg, .ask = *ask};
	ff_auto_free char *what = ff_printf("%s %s", ask->method, ask->url);
	struct rule *r = rule_for(w, what);
	int64_t latency_ms = r && r->latency_ms ? r->latency_ms : 100;

	what[strcspn(what, "?")] = '\0';
	w->sends++;
	if (w->dead || (w->sends == w->dies_at_send && !w->effect_stays)) {
		w->dead = true;
		ff_ask_release(ask);
		return;
	}
	w->dead = w->sends == w->dies_at_send;
	note_trace(w, "send %s", what);
	if (ask->mutates && !w->quiet && !intent_durable(w, ff_headers_get(&ask->headers, "x-token")))
		w->unsynced_send = true;
	if (w->on_send != NULL)
		w->on_send(w, what);
	if (w->op_ms > 0 && strstr(what, "/poll/") && r == NULL)
		latency_ms += w->op_ms;
	answer(w, ask, r, &d.answer);
	*ask = (struct ff_ask){0};
	deliver_later(w, &d, latency_ms);
}

TOY int w_append(void *self, const char *line, size_t len, struct ff_err *err)
{
	struct world *w = self;

	if (w->append_fails || w->dead)
		return ff_fail(err, FF_E_LOCAL, "no space left");
	note_trace(w, "append");
	for (size_t i = 0; i < len && !w->dead; i++) {
		ff_buf_add(&w->journal, line + i, 1);
		w->lines += line[i] == '\n';
		w->dead = line[i] == '\n' && w->lines == w->dies_at_line;
	}
	return w->dead ? ff_fail(err, FF_E_LOCAL, "dead") : 0;
}

TOY int w_sync(void *self, struct ff_err *err)
{
	struct world *w = self;

	if (w->sync_fails || ++w->syncs == w->sync_fails_at)
		return ff_fail(err, FF_E_LOCAL, "input/output error");
	note_trace(w, "sync");
	w->synced = w->journal.len;
	return 0;
}

TOY int w_keep(void *self, const char *vm_key, unsigned index, const char *path, int64_t offset, const void *bytes,
	size_t len, struct ff_err *err)
{
	struct world *w = self;

	(void)bytes;
	if (w->keep_fails)
		return ff_fail(err, FF_E_LOCAL, "no space left");
	note_trace(w, "keep %s %u %s %" PRId64 "+%zu", vm_key, index, path, offset, len);
	return 0;
}

TOY int w_keep_sync(void *self, const char *vm_key, const json_t *manifest, struct ff_err *err)
{
	(void)err;
	note_trace(self, "kept-synced %s %zu", vm_key, json_array_size(manifest));
	return 0;
}

/* ---------------------------------------------------------------- the worker */

TOY void worker_says(struct world *w, const char *rescue, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
TOY void worker_says(struct world *w, const char *rescue, const char *fmt, ...)
{
	ff_auto_free char *text = NULL;
	struct delivery d = {.rescue = ff_strdup(rescue)};
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	d.line = json_loads(text, JSON_DECODE_ANY, NULL);
	cr_assert(d.line != NULL, "bad line in a test: %s", text);
	deliver_later(w, &d, w->worker_ms);
}

TOY void worker_ends(struct world *w, const char *rescue)
{
	struct delivery d = {.rescue = ff_strdup(rescue)};

	ff_table_remove(&w->started, rescue);
	ff_table_set(&w->dying, rescue, w);
	deliver_later(w, &d, w->worker_ms);
}

#define TOY_FILE "/Windows/C-00000291-1.sys"
/* "hello" in base64, and its hash */
#define TOY_FILES                                                                                                      \
	"[{\"path\":\"" TOY_FILE "\",\"size\":5,\"mtime\":\"2024-07-19T04:09:00Z\",\"sha256\":"                        \
	"\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}]"

TOY void worker_keeps(struct world *w, const char *rescue, const char *job)
{
	worker_says(w, rescue, "{\"event\":\"begin\",\"job\":\"%s\"}", job);
	worker_says(w, rescue,
		"{\"event\":\"keep\",\"job\":\"%s\",\"index\":0,\"path\":\"" TOY_FILE
		"\",\"offset\":0,\"data\":\"aGVsbG8=\"}",
		job);
	worker_says(w, rescue, "{\"event\":\"keep-end\",\"job\":\"%s\",\"files\":" TOY_FILES "}", job);
}

TOY enum mood mood_for(struct world *w, const char *name)
{
	if (w->mood_of != NULL && !ff_streq(w->mood_of, name))
		return MENDS;
	if (w->mood_times < 0)
		return MENDS;
	if (w->mood_times > 0 && --w->mood_times == 0)
		w->mood_times = -1;
	return w->mood;
}

TOY void worker_mends(struct world *w, const char *rescue, const char *job, const char *name)
{
	switch (mood_for(w, name)) {
	case FINDS_NOTHING:
		worker_says(w, rescue,
			"{\"event\":\"done\",\"job\":\"%s\",\"result\":\"clean\",\"reason\":\"no bad file\"}", job);
		break;
	case FAILS:
		worker_says(w, rescue,
			"{\"event\":\"done\",\"job\":\"%s\",\"result\":\"failed\",\"class\":\"disk\",\"reason\":\"no "
			"Windows\"}",
			job);
		break;
	case DIES_OPEN:
		worker_says(w, rescue, "{\"event\":\"begin\",\"job\":\"%s\"}", job);
		worker_ends(w, rescue);
		break;
	case DIES_AT_ONCE:
		worker_ends(w, rescue);
		break;
	case HANGS:
		worker_says(w, rescue, "{\"event\":\"begin\",\"job\":\"%s\"}", job);
		break;
	default:
		if (state_of(w, name)->mended)
			worker_says(w, rescue,
				"{\"event\":\"done\",\"job\":\"%s\",\"result\":\"clean\",\"reason\":\"no bad file\"}",
				job);
		else
			worker_keeps(w, rescue, job);
	}
}

TOY void worker_hears(struct world *w, const char *rescue, const json_t *line)
{
	const char *op = ff_json_str(line, "op"), *job = ff_json_str(line, "job");

	if (ff_streq(op, "probe"))
		worker_says(w, rescue,
			w->mood == IS_UNABLE ? "{\"event\":\"unable\",\"reason\":\"no appliance\"}"
					     : "{\"event\":\"ready\"}");
	else if (ff_streq(op, "mend"))
		worker_mends(w, rescue, job, ff_json_str(line, "name"));
	else if (ff_streq(op, "drop"))
		worker_says(w, rescue,
			"{\"event\":\"done\",\"job\":\"%s\",\"result\":\"failed\",\"reason\":\"dropped\"}", job);
	else if (w->mood == DIES_AFTER_KEPT)
		worker_ends(w, rescue);
	else {
		state_of(w, w->engine->ones[atoi(job) - 1].vm->name)->mended = true;
		worker_says(w, rescue, "{\"event\":\"mended\",\"job\":\"%s\"}", job);
		worker_says(w, rescue,
			"{\"event\":\"done\",\"job\":\"%s\",\"result\":\"repaired\",\"removed\":" TOY_FILES "}", job);
	}
}

TOY int w_worker_send(void *self, const char *rescue, const json_t *line, struct ff_err *err)
{
	struct world *w = self;
	const char *job = ff_json_str(line, "job");

	if (w->dead)
		return 0;
	if (w->mood == NEVER_STARTS)
		return ff_fail(err, FF_E_LOCAL, "cannot start the worker");
	note_trace(w, "worker %s %s %s", rescue, ff_json_str(line, "op"), job ? job : "");
	if (ff_table_get(&w->dying, rescue) != NULL)
		return 0;
	if (ff_table_get(&w->started, rescue) == NULL) {
		ff_table_set(&w->started, rescue, w);
		if (w->on_worker == NULL)
			worker_says(w, rescue, "{\"event\":\"hello\",\"version\":1}");
	}
	if (w->on_worker != NULL)
		w->on_worker(w, rescue, line);
	else
		worker_hears(w, rescue, line);
	return 0;
}

TOY void w_worker_kill(void *self, const char *rescue)
{
	note_trace(self, "kill %s", rescue);
	worker_ends(self, rescue);
}

TOY void on_event(void *arg, const struct ff_event *event)
{
	static const char *const kinds[] = {"step", "retry", "end", "note", "warn"};
	struct world *w = arg;
	ff_auto_free char *text =
		ff_printf("%s %s: %s", kinds[event->kind], event->vm ? event->vm->name : "-", event->text);

	if (!w->quiet)
		ff_strv_add(&w->events, text);
}

/* ---------------------------------------------------------------- running it */

TOY void world_init(struct world *w)
{
	struct ff_world functions = {
		.self = w,
		.mono_ms = w_mono,
		.wall_ms = w_wall,
		.random = w_random,
		.wake_at = w_wake_at,
		.send = w_send,
		.append = w_append,
		.sync = w_sync,
		.worker_send = w_worker_send,
		.worker_kill = w_worker_kill,
		.keep = w_keep,
		.keep_sync = w_keep_sync,
	};

	w->world = functions;
	w->wake_ms = INT64_MAX;
	w->seed = 0x9e3779b97f4a7c15u;
	w->worker_ms = 1000;
}

/* VMs named "a", "b", ... and a rescue VM "r1"; config may be NULL. */
TOY void world_open(struct world *w, size_t vms, const struct ff_engine_config *config)
{
	struct ff_engine_config c = config ? *config : (struct ff_engine_config){0};

	world_init(w);
	c.run = "run-1";
	c.dev_root = c.dev_root ? c.dev_root : "/dev";
	c.journal = true;
	c.event = on_event;
	c.event_arg = w;
	w->engine = ff_engine_new(&w->world, &c);
	w->cloud = ff_calloc(1, sizeof(*w->cloud));
	w->cloud->renew_at = INT64_MAX;
	toy_add(w->cloud, "r1", true);
	for (size_t i = 0; i < vms; i++) {
		char name[32];

		if (vms <= 26)
			snprintf(name, sizeof(name), "%c", (char)('a' + i));
		else
			snprintf(name, sizeof(name), "vm%zu", i);
		toy_add(w->cloud, name, false);
	}
	ff_engine_add_scope(w->engine, &toy, w->cloud);
}

/* The same with a table of one's own and one VM, "a". `provider` must live as long as the world. */
TOY void world_open_table(struct world *w, struct ff_provider *provider, const struct ff_step *steps)
{
	*provider = toy;
	provider->steps = steps;
	world_init(w);
	w->engine = ff_engine_new(
		&w->world, &(struct ff_engine_config){.run = "r", .journal = true, .event = on_event, .event_arg = w});
	w->cloud = ff_calloc(1, sizeof(*w->cloud));
	w->cloud->renew_at = INT64_MAX;
	toy_add(w->cloud, "r1", true);
	toy_add(w->cloud, "a", false);
	ff_engine_add_scope(w->engine, provider, w->cloud);
}

TOY void deliver(struct world *w, struct delivery *d)
{
	if (d->rescue == NULL) {
		d->done(d->arg, &d->ask, &d->answer);
		ff_ask_release(&d->ask);
		ff_answer_release(&d->answer, false);
		return;
	}
	if (d->line != NULL) {
		ff_engine_worker_line(w->engine, d->rescue, d->line);
	} else {
		struct ff_err why;

		ff_table_remove(&w->dying, d->rescue);
		ff_fail(&why, FF_E_LOCAL, "killed by signal 9");
		ff_engine_worker_gone(w->engine, d->rescue, &why);
	}
	json_decref(d->line);
	free(d->rescue);
}

/* All that happens at the next moment, then a turn, as the runtime does it. false: nothing will ever happen again. */
TOY bool world_step(struct world *w)
{
	if (w->count > 0 && w->queue[0].at_ms <= w->wake_ms) {
		if (w->queue[0].at_ms > w->now_ms)
			w->now_ms = w->queue[0].at_ms;
		while (w->count > 0 && w->queue[0].at_ms <= w->now_ms) {
			struct delivery d = take_first(w);

			deliver(w, &d);
		}
	} else if (w->wake_ms != INT64_MAX) {
		if (w->wake_ms > w->now_ms)
			w->now_ms = w->wake_ms;
	} else {
		return false;
	}
	w->wake_ms = INT64_MAX;
	w->turns++;
	ff_engine_turn(w->engine);
	return true;
}

#define A_DAY_MS 86400000

TOY void world_run(struct world *w, enum ff_phase until)
{
	ff_engine_turn(w->engine);
	while (ff_engine_phase(w->engine) < until) {
		cr_assert(world_step(w), "nothing goes on at %" PRId64 " ms", w->now_ms);
		cr_assert(w->now_ms < 3 * A_DAY_MS, "no end within days");
	}
}

TOY void world_repair(struct world *w)
{
	struct ff_selected *selected = ff_calloc(w->cloud->count, sizeof(*selected));
	struct ff_err err = {0};
	size_t n = 0;

	world_run(w, FF_PHASE_FOUND);
	for (size_t i = 0; i < w->cloud->count; i++)
		if (!w->cloud->vms[i]->rescue)
			selected[n++].vm = w->cloud->vms[i];
	cr_assert_eq(ff_engine_repair(w->engine, selected, n, NULL, &err), 0, "%s", err.text);
	free(selected);
}

TOY void world_finish(struct world *w)
{
	world_repair(w);
	world_run(w, FF_PHASE_ENDED);
}

/* The process is gone, and all that was on its way to it. What the cloud knows and what the journal holds stay. */
TOY void world_dies(struct world *w)
{
	ff_engine_free(w->engine);
	w->engine = NULL;
	w->cloud = NULL;
	while (w->count > 0) {
		struct delivery d = take_first(w);

		ff_ask_release(&d.ask);
		ff_answer_release(&d.answer, false);
		json_decref(d.line);
		free(d.rescue);
	}
	ff_table_free(&w->started, NULL);
	ff_table_free(&w->dying, NULL);
	w->dead = false;
	w->dies_at_line = w->dies_at_send = 0;
}

TOY void world_close(struct world *w)
{
	world_dies(w);
	free(w->queue);
	ff_table_free(&w->states, free);
	ff_strv_free(&w->trace);
	ff_strv_free(&w->events);
	ff_buf_free(&w->journal);
}

/* ---------------------------------------------------------------- looking at what happened */

TOY const struct ff_ended *ended_of(struct world *w, const char *name)
{
	const struct ff_result *r = ff_engine_result(w->engine);

	for (size_t i = 0; i < r->count; i++)
		if (ff_streq(r->ended[i].vm->name, name))
			return &r->ended[i];
	cr_assert_fail("no VM '%s'", name);
	return NULL;
}

#define expect_outcome(w, name, what, text)                                                                            \
	do {                                                                                                           \
		const struct ff_ended *e_ = ended_of(w, name);                                                         \
		cr_expect_str_eq(ff_outcome_name(e_->outcome), ff_outcome_name(what), "%s: %s (%s)", name,             \
			ff_outcome_name(e_->outcome), e_->reason);                                                     \
		cr_expect(strstr(e_->reason, text) != NULL, "%s: '%s' is not in '%s'", name, text, e_->reason);        \
	} while (0)

/* How many trace lines hold that text. */
TOY int traced(const struct world *w, const char *text)
{
	int n = 0;

	for (size_t i = 0; i < w->trace.count; i++)
		n += strstr(w->trace.items[i], text) != NULL;
	return n;
}

TOY int said(const struct world *w, const char *text)
{
	int n = 0;

	for (size_t i = 0; i < w->events.count; i++)
		n += strstr(w->events.items[i], text) != NULL;
	return n;
}

/* The requests to toy.test, in order, in short: "claim:a look/release/a ..." */
TOY char *requests(const struct world *w)
{
	struct ff_buf all = {0};

	for (size_t i = 0; i < w->trace.count; i++) {
		const char *p = strstr(w->trace.items[i], "//toy.test/");

		if (p != NULL && !ff_has_suffix(p, "/list"))
			ff_buf_addf(&all, "%s%s", all.len ? " " : "", p + 11);
	}
	return ff_buf_take(&all);
}

#define expect_requests(w, text)                                                                                       \
	do {                                                                                                           \
		char *got_ = requests(w);                                                                              \
		cr_expect_str_eq(got_, text, "\n  got      %s\n  expected %s", got_, text);                            \
		free(got_);                                                                                            \
	} while (0)

/* ---------------------------------------------------------------- the frame of every suite */

static struct world w;

static void setup(void)
{
	memset(&w, 0, sizeof(w));
}

static void teardown(void)
{
	cr_expect(!w.unsynced_send, "a mutating request left before its intent was durable");
	world_close(&w);
}

/* What meets which request in this test. */
#define RULES(...)                                                                                                     \
	struct rule rules_[] = {__VA_ARGS__};                                                                          \
	w.rules = rules_;                                                                                              \
	w.rule_count = FF_COUNT(rules_)

#endif
