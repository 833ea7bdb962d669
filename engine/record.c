/* The records of a run, as docs/journal.md explains them: enough to print it, and to go on with it after a crash. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define LINES_BYTES_MAX (1024 * 1024) /* not yet appended, where many are written at once */

json_t *ff_record_new(const char *kind, const struct ff_one *one)
{
	json_t *record = json_object();

	if (record == NULL)
		ff_oom();
	ff_json_set_str(record, "k", kind);
	if (one != NULL)
		ff_json_set_int(record, "vm", one->number);
	return record;
}

void ff_record(struct ff_engine *e, json_t *record)
{
	if (e->journal && e->broken.class == FF_E_NONE) {
		ff_journal_line(&e->chain, e->world->wall_ms(e->world->self), record, &e->lines);
		e->unsynced = true;
	}
	json_decref(record);
}

int ff_record_flush(struct ff_engine *e, bool durable)
{
	struct ff_err err = {0};

	if (e->broken.class != FF_E_NONE)
		return -1;
	if (e->lines.len > 0) {
		if (e->world->append(e->world->self, e->lines.text, e->lines.len, &err) < 0)
			goto failed;
		ff_buf_free(&e->lines);
	}
	if (durable && e->unsynced) {
		if (e->world->sync(e->world->self, &err) < 0)
			goto failed;
		e->unsynced = false;
	}
	return 0;
failed:
	err.class = FF_E_LOCAL;
	ff_wrap(&err, "journal");
	ff_engine_break(e, &err);
	return -1;
}

void ff_record_relieve(struct ff_engine *e)
{
	if (e->lines.len >= LINES_BYTES_MAX)
		ff_record_flush(e, false);
}

/* ---------------------------------------------------------------- the beginning */

void ff_record_run(struct ff_engine *e, const json_t *info)
{
	json_t *run = ff_record_new("run", NULL), *scope;

	ff_json_set_int(run, "version", FF_JOURNAL_VERSION);
	ff_json_set_str(run, "program", FF_PROGRAM);
	ff_json_set_str(run, "run", e->run);
	ff_json_set_str(run, "flow", ff_flow_name(e->flow));
	ff_json_set_str(run, "of", e->of); /* left out when NULL */
	ff_json_set_int(run, "vms", (int64_t)e->one_count);
	ff_json_set_new(run, "info", info ? json_deep_copy(info) : json_object());
	ff_json_set_new(run, "recipes", e->recipes ? json_deep_copy(e->recipes) : json_array());
	ff_record(e, run);
	for (size_t i = 0; i < e->scope_count; i++) {
		const struct ff_scope *s = e->scopes[i];

		scope = ff_record_new("scope", NULL);
		ff_json_set_int(scope, "scope", (int64_t)i + 1);
		ff_json_set_str(scope, "provider", s->provider->name);
		ff_json_set_str(scope, "title", s->provider->title(s->cloud));
		ff_json_set_str(scope, "account", ff_scope_account(s));
		ff_record(e, scope);
	}
}

const char *ff_scope_account(const struct ff_scope *scope)
{
	return scope->provider->account ? scope->provider->account(scope->cloud) : NULL;
}

/* What of a VM is not among its facts. */
static void set_vm(json_t *record, const struct ff_vm *vm)
{
	ff_json_set_str(record, "id", vm->id);
	ff_json_set_str(record, "name", vm->name);
	ff_json_set_str(record, "group", vm->scope);
	ff_json_set_str(record, "region", vm->region);
	ff_json_set_str(record, "zone", vm->zone);
}

void ff_record_rescue(struct ff_engine *e, struct ff_rescue *rescue)
{
	json_t *record = ff_record_new("rescue", NULL);

	rescue->recorded = true;
	ff_json_set_int(record, "rescue", (int64_t)rescue->number);
	ff_json_set_int(record, "scope", (int64_t)rescue->scope->number + 1);
	set_vm(record, rescue->vm);
	ff_json_set_int(record, "slots", rescue->slots);
	ff_json_set_new(record, "facts", json_deep_copy(rescue->facts));
	ff_record(e, record);
}

char *ff_one_where(struct ff_engine *e, const struct ff_one *one)
{
	ff_auto_buf text = {0};
	struct ff_member m;

	ff_one_member(e, one, &m);
	one->scope->provider->where(one->scope->cloud, &m, &text);
	while (text.len > 0 && text.text[text.len - 1] == '\n')
		text.text[--text.len] = '\0';
	return ff_buf_take(&text);
}

json_t *ff_one_by_hand(struct ff_engine *e, const struct ff_one *one)
{
	json_t *array = json_array();
	struct ff_strv commands = {0};
	struct ff_member m;

	ff_one_member(e, one, &m);
	if (one->scope->provider->by_hand != NULL)
		one->scope->provider->by_hand(one->scope->cloud, &m, &commands);
	for (size_t i = 0; i < commands.count; i++)
		json_array_append_new(array, json_string(commands.items[i]));
	ff_strv_free(&commands);
	return array;
}

static void set_where(struct ff_engine *e, json_t *record, const struct ff_one *one)
{
	ff_auto_free char *where = ff_one_where(e, one);

	ff_json_set_str(record, "where", where);
}

void ff_record_plan(struct ff_engine *e, const struct ff_one *one)
{
	json_t *record = ff_record_new("plan", one);
	const struct ff_vm *vm = one->vm;

	ff_json_set_int(record, "scope", (int64_t)one->scope->number + 1);
	ff_json_set_str(record, "provider", one->scope->provider->name);
	set_vm(record, vm);
	ff_json_set_str(record, "health", ff_health_name(vm->health));
	ff_json_set_bool(record, "running", vm->running);
	ff_json_set_str(record, "disk", vm->disk_id);
	ff_json_set_int(record, "disk_bytes", vm->disk_bytes);
	ff_json_set_new(record, "facts", json_deep_copy(one->facts));
	set_where(e, record, one);
	ff_record(e, record);
}

void ff_record_admit(struct ff_engine *e, const struct ff_one *one)
{
	json_t *record = ff_record_new("admit", one);

	if (one->rescue != NULL)
		ff_json_set_int(record, "rescue", (int64_t)one->rescue->number);
	if (one->rescue != NULL && one->slot >= 0)
		ff_json_set_int(record, "slot", one->slot);
	ff_record(e, record);
}

void ff_record_slot(struct ff_engine *e, const struct ff_one *one)
{
	json_t *record = ff_record_new("slot", one);

	ff_json_set_int(record, "slot", one->slot);
	ff_record(e, record);
}

/* ---------------------------------------------------------------- requests */

/* Query texts may hold signatures; a request is known well enough by what is before them. */
static char *path_of(const char *url)
{
	const char *p = url ? strstr(url, "://") : NULL;

	p = p ? p + 3 : "";
	p += strcspn(p, "/?#");
	return ff_strndup(p, strcspn(p, "?#"));
}

void ff_record_intent(struct ff_engine *e, struct ff_one *const *ones, size_t n, const struct ff_ask *ask)
{
	json_t *record = ff_record_new("intent", NULL), *members = json_array();
	ff_auto_free char *path = path_of(ask->url);

	for (size_t i = 0; i < n; i++) {
		json_t *member = json_object();

		ff_json_set_int(member, "vm", ones[i]->number);
		ff_json_set_str(member, "step", ff_one_row(ones[i])->name);
		ff_json_set_str(member, "way", ones[i]->homeward ? "home" : "forward");
		ff_json_set_int(member, "attempt", ones[i]->attempts);
		ff_json_set_str(member, "token", ones[i]->token);
		json_array_append_new(members, member);
	}
	ff_json_set_str(record, "step", ff_one_row(ones[0])->name);
	ff_json_set_str(record, "method", ask->method);
	ff_json_set_str(record, "path", path);
	ff_json_set_new(record, "members", members);
	ff_record(e, record);
}

static const char *const meanings[] = {
	[FF_M_DONE] = "done",
	[FF_M_NOT_DONE] = "not-done",
	[FF_M_STARTED] = "started",
	[FF_M_WAIT] = "wait",
	[FF_M_LOOK] = "look",
	[FF_M_SPLIT] = "split",
	[FF_M_FAILED] = "failed",
};

const char *ff_meaning_name(enum ff_meaning meaning)
{
	return (unsigned)meaning < FF_COUNT(meanings) ? meanings[meaning] : "?";
}

/* What an act's answer leaves open is told too: nobody can learn it again. */
static json_t *result_of(const char *of, const struct ff_one *one, const char *step, const struct ff_verdict *v)
{
	json_t *member = json_object();

	ff_json_set_int(member, "vm", one->number);
	if (!ff_streq(ff_one_row(one)->name, step)) /* rows with the same act go together */
		ff_json_set_str(member, "step", ff_one_row(one)->name);
	ff_json_set_str(member, "meaning", ff_meaning_name(v->meaning));
	if (v->meaning == FF_M_FAILED || v->meaning == FF_M_LOOK || v->meaning == FF_M_SPLIT) {
		ff_json_set_str(member, "class", ff_class_name(v->err.class));
		ff_json_set_str(member, "text", v->err.text);
	}
	if (of[0] == 'a' && one->touched)
		ff_json_set_bool(member, "touched", true);
	if (of[0] == 'a' && one->same_token)
		ff_json_set_bool(member, "unknown", true);
	if (v->facts != NULL)
		ff_json_set_new(member, "facts", json_incref(v->facts));
	return member;
}

void ff_record_result(
	struct ff_engine *e, const char *of, struct ff_one *const *ones, size_t n, const struct ff_verdict *v)
{
	const char *step = ff_one_row(ones[0])->name;
	json_t *record, *members;
	bool news = false;

	/* "not yet" over and over is not worth a line, nor fifteen thousand of them */
	for (size_t i = 0; i < n; i++)
		news = news || v[i].meaning != FF_M_WAIT || v[i].facts != NULL || v[i].rescue_facts != NULL;
	if (!news || !e->journal)
		return;
	record = ff_record_new("result", NULL);
	members = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(members, result_of(of, ones[i], step, &v[i]));
	ff_json_set_str(record, "of", of);
	ff_json_set_str(record, "step", step);
	ff_json_set_new(record, "members", members);
	if (v[0].rescue_facts != NULL && ones[0]->rescue != NULL) {
		ff_json_set_int(record, "rescue", (int64_t)ones[0]->rescue->number);
		ff_json_set_new(record, "rescue_facts", json_incref(v[0].rescue_facts));
	}
	ff_record(e, record);
}

void ff_record_lost(struct ff_engine *e, const char *of, struct ff_one *const *ones, size_t n, const struct ff_err *why)
{
	struct ff_verdict *v = ff_calloc(n, sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = (struct ff_verdict){.meaning = FF_M_FAILED, .err = *why};
	ff_record_result(e, of, ones, n, v);
	free(v);
}

/* ---------------------------------------------------------------- a VM's way */

void ff_record_step(struct ff_engine *e, const struct ff_one *one)
{
	json_t *record;

	if (!e->journal)
		return;
	record = ff_record_new("step", one);
	ff_json_set_str(record, "step", ff_one_row(one)->name);
	ff_json_set_str(record, "way", one->homeward ? "home" : "forward");
	set_where(e, record, one);
	ff_record(e, record);
}

void ff_record_turn(struct ff_engine *e, const struct ff_one *one, enum ff_class class, const char *why)
{
	json_t *record = ff_record_new("turn", one);

	ff_json_set_str(record, "step", ff_one_row(one)->name);
	ff_json_set_str(record, "goal", ff_outcome_name((enum ff_outcome)one->goal));
	ff_json_set_str(record, "class", ff_class_name(class));
	ff_json_set_str(record, "why", why);
	ff_record(e, record);
}

void ff_record_miss(struct ff_engine *e, const struct ff_one *one, const struct ff_err *err)
{
	json_t *record = ff_record_new("miss", one);

	ff_json_set_str(record, "step", ff_one_row(one)->name);
	ff_json_set_str(record, "way", one->homeward ? "home" : "forward");
	ff_json_set_str(record, "goal", ff_outcome_name((enum ff_outcome)one->goal));
	ff_json_set_str(record, "class", ff_class_name(err->class));
	ff_json_set_str(record, "why", one->reason);
	ff_record(e, record);
}

void ff_record_end(struct ff_engine *e, const struct ff_one *one)
{
	json_t *record;

	if (!e->journal)
		return;
	record = ff_record_new("end", one);
	ff_json_set_str(record, "outcome", ff_outcome_name((enum ff_outcome)one->outcome));
	ff_json_set_str(record, "reason", one->reason);
	ff_json_set_str(record, "class", one->class ? ff_class_name((enum ff_class)one->class) : NULL);
	ff_json_set_new(record, "removed", one->removed ? json_deep_copy(one->removed) : json_array());
	if (one->by_hand != NULL)
		ff_json_set_new(record, "by_hand", json_incref(one->by_hand));
	ff_json_set_int(record, "ms", one->took_ms);
	ff_json_set_new(record, "seconds", json_real((double)one->took_ms / 1000));
	set_where(e, record, one);
	ff_record(e, record);
}

void ff_record_finish(struct ff_engine *e)
{
	json_t *record, *totals = json_object();
	size_t ended = 0;

	for (int o = FF_O_REPAIRED; o <= FF_O_STUCK; o++) {
		if (e->ended[o] > 0 || !ff_outcome_is_later((enum ff_outcome)o))
			ff_json_set_int(totals, ff_outcome_name((enum ff_outcome)o), (int64_t)e->ended[o]);
		ended += e->ended[o];
	}
	record = ff_record_new(ended == e->one_count ? "finish" : "stop", NULL);
	if (ended != e->one_count)
		ff_json_set_str(record, "why", e->interrupts > 0 ? "interrupted" : "a cloud could not be read");
	ff_json_set_new(record, "totals", totals);
	ff_record(e, record);
}

void ff_record_resume(struct ff_engine *e)
{
	json_t *record = ff_record_new("resume", NULL);

	ff_json_set_str(record, "program", FF_PROGRAM);
	ff_record(e, record);
}
