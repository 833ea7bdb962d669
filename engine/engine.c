/* The calling sequence of fixfleet/engine.h, and the turn. */
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ff_outcome_name(enum ff_outcome outcome)
{
	static const char *const names[] = {
		[FF_O_NONE] = "",
		[FF_O_REPAIRED] = "repaired",
		[FF_O_CLEAN] = "clean",
		[FF_O_SKIPPED] = "skipped",
		[FF_O_ROLLED_BACK] = "rolled-back",
		[FF_O_CLEANED] = "cleaned",
		[FF_O_FAILED_HOME] = "failed-home",
		[FF_O_STUCK] = "stuck",
	};

	return (unsigned)outcome < FF_COUNT(names) ? names[outcome] : "";
}

enum ff_outcome ff_outcome_from_name(const char *name)
{
	for (int o = FF_O_REPAIRED; o <= FF_O_STUCK; o++)
		if (ff_streq(ff_outcome_name((enum ff_outcome)o), name))
			return (enum ff_outcome)o;
	return FF_O_NONE;
}

bool ff_outcome_is_later(enum ff_outcome outcome)
{
	return outcome == FF_O_ROLLED_BACK || outcome == FF_O_CLEANED;
}

void ff_say(struct ff_engine *e, enum ff_event_kind kind, const struct ff_scope *scope, const struct ff_vm *vm,
	const char *fmt, ...)
{
	ff_auto_free char *text = NULL;
	va_list ap;

	if (e->event == NULL)
		return;
	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	e->event(e->event_arg,
		&(struct ff_event){
			.kind = kind, .provider = scope ? scope->provider->name : NULL, .vm = vm, .text = text});
}

void ff_engine_break(struct ff_engine *e, const struct ff_err *why)
{
	if (e->broken.class != FF_E_NONE)
		return;
	e->broken = *why;
	e->phase = FF_PHASE_ENDED;
}

uint64_t ff_engine_random(struct ff_engine *e, uint64_t below)
{
	return e->world->random(e->world->self) % below;
}

/* ---------------------------------------------------------------- life */

struct ff_engine *ff_engine_new(const struct ff_world *world, const struct ff_engine_config *config)
{
	struct ff_engine *e = ff_calloc(1, sizeof(*e));

	e->world = world;
	e->run = ff_strdup(config->run ? config->run : "");
	e->flow = config->flow;
	e->of = ff_strdup(config->of);
	e->by = ff_strdup(config->by);
	e->take_over = config->take_over;
	e->run_dir = ff_strdup(config->run_dir);
	e->dev_root = ff_strdup(config->dev_root ? config->dev_root : "/dev");
	e->recipes = config->recipes;
	e->keys = config->keys;
	e->key_source_count = config->keys != NULL ? config->key_source_count : 0;
	e->key_secret = ff_strdup(config->key_secret);
	e->journal = config->journal;
	e->parallel = config->parallel;
	if (config->flow != FF_FLOW_RECOVER) { /* there each is away: none is left so, whatever became of others */
		e->max_failures = config->max_failures;
		e->max_failures_percent = config->max_failures_percent;
		/* what is deleted proves nothing by going first */
		e->canary = config->flow == FF_FLOW_CLEANUP ? 0 : config->canary;
	}
	e->verify_ms = config->verify_ms;
	e->discard_hibernation = config->discard_hibernation;
	e->disk_timeout_ms = config->disk_timeout_ms;
	e->event = config->event;
	e->event_arg = config->event_arg;
	e->no_files = json_array();
	return e;
}

void ff_one_release(struct ff_engine *e, struct ff_one *one)
{
	if (one->job != NULL)
		ff_job_free(e, one->job);
	json_decref(one->facts);
	json_decref(one->removed);
	json_decref(one->kept);
	json_decref(one->by_hand);
	free(one->reason);
	free(one->last);
}

void ff_engine_forget_ones(struct ff_engine *e)
{
	for (size_t i = 0; i < e->one_count; i++)
		ff_one_release(e, &e->ones[i]);
	free(e->ones);
	e->ones = NULL;
	e->one_count = 0;
}

void ff_engine_name(struct ff_engine *e, const char *run)
{
	free(e->run);
	e->run = ff_strdup(run);
}

void ff_engine_free(struct ff_engine *e)
{
	if (e == NULL)
		return;
	ff_engine_forget_ones(e);
	ff_calls_release(e);
	ff_hunts_free(e);
	free(e->key_secret);
	ff_acts_free(e);
	ff_looks_free(e);
	ff_seeings_free(e);
	ff_budgets_free(e);
	ff_workers_free(e);
	ff_rescues_free(e);
	ff_past_vms_free(e);
	ff_waves_free(e);
	for (size_t i = 0; i < e->scope_count; i++) {
		e->scopes[i]->provider->close(e->scopes[i]->cloud);
		free(e->scopes[i]);
	}
	free(e->scopes);
	ff_tasks_release(&e->tasks);
	ff_buf_free(&e->lines);
	json_decref(e->no_files);
	free(e->result.ended);
	free(e->run);
	free(e->run_dir);
	free(e->of);
	free(e->by);
	free(e->dev_root);
	free(e);
}

/* ---------------------------------------------------------------- scopes */

/* The row that takes off the rescue VM what the last row before the repair put there. */
static void read_table(struct ff_scope *scope, enum ff_flow flow)
{
	static const int nothing[] = {FF_STEP_NONE};
	const struct ff_provider *p = scope->provider;
	const int *order = ff_provider_order(p, flow);

	scope->order = order != NULL ? order : nothing;
	scope->repair_at = -1;
	scope->slot_row = FF_STEP_NONE;
	for (int i = 0; scope->order[i] != FF_STEP_NONE; i++) {
		const struct ff_step *row = &p->steps[scope->order[i]];

		scope->count = i + 1;
		if (row->kind == FF_STEP_REPAIR)
			scope->repair_at = i;
		else if (scope->repair_at < 0 && row->undo != FF_STEP_NONE)
			scope->slot_row = row->undo;
	}
	if (scope->repair_at < 0) /* nothing goes to a rescue VM */
		scope->slot_row = FF_STEP_NONE;
	if (scope->count > FF_ROWS_MAX || p->step_count > FF_ROWS_MAX)
		abort(); /* a table that no VM can walk: caught by the first test that opens it */
}

size_t ff_engine_add_scope(struct ff_engine *e, const struct ff_provider *provider, struct ff_cloud *cloud)
{
	struct ff_scope *scope = ff_calloc(1, sizeof(*scope));

	scope->provider = provider;
	scope->cloud = cloud;
	scope->number = e->scope_count;
	scope->wave = ff_wave_of(e, provider);
	read_table(scope, e->flow);
	e->scopes = ff_realloc(e->scopes, e->scope_count + 1, sizeof(*e->scopes));
	e->scopes[e->scope_count++] = scope;
	ff_session_begin(e, scope);
	return scope->number;
}

enum ff_phase ff_engine_phase(const struct ff_engine *e)
{
	return e->phase;
}

const struct ff_err *ff_engine_scope_error(const struct ff_engine *e, size_t scope)
{
	return e->scopes[scope]->state == FF_SCOPE_FAILED ? &e->scopes[scope]->error : NULL;
}

const struct ff_provider *ff_engine_scope_provider(const struct ff_engine *e, size_t scope)
{
	return e->scopes[scope]->provider;
}

struct ff_cloud *ff_engine_scope_cloud(const struct ff_engine *e, size_t scope)
{
	return e->scopes[scope]->cloud;
}

size_t ff_engine_scope_count(const struct ff_engine *e)
{
	return e->scope_count;
}

/* ---------------------------------------------------------------- repair */

static void plan_one(struct ff_engine *e, struct ff_one *one, const struct ff_selected *selected)
{
	one->task.run = ff_one_run;
	one->scope = e->scopes[selected->scope];
	one->vm = selected->vm;
	one->number = (unsigned)(one - e->ones) + 1;
	one->facts = selected->facts	   ? json_incref(selected->facts)
		     : selected->vm->facts ? json_incref(selected->vm->facts)
					   : json_object();
	one->slot = -1;
	one->row = FF_STEP_NONE;
	one->state = FF_ONE_WAITING;
	one->scope->wave->selected++;
	e->waiting++;
	ff_record_plan(e, one);
}

char *ff_vm_key(const char *whose, const char *id)
{
	char *key = ff_printf("%s/%s", whose, id);

	for (char *c = key; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	return key;
}

/* Two ways at once for one VM would take each other's disk away. */
static bool seen_before(struct ff_table *seen, const struct ff_one *one)
{
	ff_auto_free char *key = ff_vm_key(one->scope->provider->name, one->vm->id);

	if (ff_table_get(seen, key) != NULL)
		return true;
	ff_table_set(seen, key, (void *)(uintptr_t)1);
	return false;
}

static void assign_one(struct ff_engine *e, struct ff_one *one, struct ff_table *seen)
{
	ff_auto_free char *why = NULL;
	struct ff_rescue *rescue = NULL;

	if (one->vm->health == FF_SKIPPED && e->flow == FF_FLOW_REPAIR)
		why = ff_strdup(one->vm->reason);
	else if (seen_before(seen, one))
		why = ff_strdup("it was selected twice");
	else if (one->scope->repair_at < 0) {
		ff_ready_enlist(e, one);
		return;
	} else
		rescue = ff_rescue_choose(e, one->scope, one->vm, &why);
	if (rescue == NULL)
		ff_one_end(e, one, FF_O_SKIPPED, why);
	else
		ff_rescue_enlist(e, rescue, one);
}

int ff_engine_repair(
	struct ff_engine *e, const struct ff_selected *selected, size_t n, const json_t *info, struct ff_err *err)
{
	struct ff_table seen = {0};

	if (e->interrupts > 0)
		return ff_fail(err, FF_E_LOCAL, "interrupted before anything was begun");
	if (e->phase != FF_PHASE_FOUND || !e->journal)
		return ff_fail(err, FF_E_BUG, "a repair needs a journal, and comes after finding");
	ff_rescues_find(e);
	e->ones = ff_calloc(n ? n : 1, sizeof(*e->ones));
	e->one_count = n;
	e->phase = FF_PHASE_WORKERS;
	ff_record_run(e, info);
	for (size_t i = 0; i < n; i++) {
		plan_one(e, &e->ones[i], &selected[i]);
		ff_record_relieve(e);
	}
	for (size_t i = 0; i < n; i++)
		assign_one(e, &e->ones[i], &seen);
	ff_table_free(&seen, NULL);
	return 0;
}

/* ---------------------------------------------------------------- interrupt */

void ff_engine_interrupt(struct ff_engine *e)
{
	if (e->phase != FF_PHASE_ENDED)
		e->interrupts++;
}

/* Those that can be turned at once are; the others when their request is answered. */
static void hear_interrupt(struct ff_engine *e)
{
	e->interrupt_heard = true;
	for (size_t i = 0; i < e->one_count; i++) {
		struct ff_one *one = &e->ones[i];

		if (one->state == FF_ONE_WAITING || one->state == FF_ONE_ENDED || one->state == FF_ONE_LEFT ||
			!ff_one_may_turn(e, one))
			continue;
		one->turning = true;
		if (one->state == FF_ONE_REPAIR) {
			ff_job_drop(e, one);
		} else if (one->state == FF_ONE_PAUSED || one->state == FF_ONE_QUEUED) {
			ff_task_cancel(&e->tasks, &one->task);
			ff_look_forget(e, one);
			if (one->state == FF_ONE_QUEUED)
				ff_one_leave_group(e, one);
			ff_one_interrupt(e, one);
		}
	}
}

/* ---------------------------------------------------------------- the turn */

static void end_run(struct ff_engine *e)
{
	if (e->one_count > 0)
		ff_record_finish(e);
	if (ff_record_flush(e, true) == 0)
		e->phase = FF_PHASE_ENDED;
	e->stopped = true;
}

static bool all_found(const struct ff_engine *e)
{
	for (size_t i = 0; i < e->scope_count; i++)
		if (e->scopes[i]->state == FF_SCOPE_FINDING)
			return false;
	return true;
}

/* Every probe is answered. */
static void workers_known(struct ff_engine *e)
{
	struct ff_err err = {0};

	ff_schedule_forsake(e);
	if (e->probing > 0)
		return;
	for (size_t i = 0; i < e->worker_count; i++) {
		if (e->workers[i]->state == FF_WORKER_READY) {
			e->phase = FF_PHASE_RUNNING;
			e->admit = true;
			return;
		}
	}
	if (e->worker_count == 0 && e->waiting > 0) { /* none is needed */
		e->phase = FF_PHASE_RUNNING;
		e->admit = true;
		return;
	}
	if (e->worker_count == 0) { /* nobody to repair: all are skipped */
		end_run(e);
		return;
	}
	ff_fail(&err, FF_E_LOCAL, "no rescue VM can be used: '%s': %s", e->workers[0]->name, e->workers[0]->why.text);
	if (ff_record_flush(e, true) == 0)
		ff_engine_break(e, &err);
}

static void phase_step(struct ff_engine *e)
{
	bool interrupted = e->interrupts > 0;

	if (e->interrupts > 1 || (interrupted && e->phase < FF_PHASE_RUNNING)) {
		end_run(e);
		return;
	}
	if (e->phase == FF_PHASE_FINDING && all_found(e) && e->seeing == 0)
		e->phase = FF_PHASE_FOUND;
	if (e->phase == FF_PHASE_WORKERS && e->probing == 0)
		workers_known(e);
	if (e->phase != FF_PHASE_RUNNING)
		return;
	if (interrupted && !e->interrupt_heard)
		hear_interrupt(e);
	if (e->admit)
		ff_schedule_admit(e);
	if (e->under_way == 0 && (e->waiting == 0 || interrupted))
		end_run(e);
}

static bool halted(const struct ff_engine *e)
{
	return e->stopped || e->broken.class != FF_E_NONE;
}

static bool tasks_ready(const struct ff_engine *e)
{
	return e->tasks.head[FF_LANE_NOW] != NULL || e->tasks.head[FF_LANE_LATE] != NULL;
}

/* A run that has ended, or cannot go on, stands still: what is still answered is kept with its request and changes
 * nothing, so that the result tells what the journal tells. */
void ff_engine_turn(struct ff_engine *e)
{
	struct ff_task *task;

	if (!halted(e))
		ff_tasks_due(&e->tasks, ff_now(e));
	while (!halted(e)) {
		while ((task = ff_tasks_next(&e->tasks)) != NULL)
			task->run(e, task);
		phase_step(e);
		if (!halted(e) && !tasks_ready(e))
			ff_calls_send(e);
		if (!tasks_ready(e) && !(e->admit && e->phase == FF_PHASE_RUNNING))
			break;
	}
	e->world->wake_at(e->world->self, halted(e) ? INT64_MAX : ff_tasks_wake_at(&e->tasks));
}

/* ---------------------------------------------------------------- what came of it */

static void result_of(const struct ff_engine *e, const struct ff_one *one, struct ff_ended *ended)
{
	bool open = one->state != FF_ONE_ENDED;

	*ended = (struct ff_ended){
		.provider = one->scope->provider->name,
		.vm = one->vm,
		.outcome = (enum ff_outcome)one->outcome,
		.reason = one->reason ? one->reason : "",
		.removed = one->removed ? one->removed : e->no_files,
		.by_hand = one->by_hand,
		.class = (enum ff_class)one->class,
		.took_ms = open && one->began_ms ? ff_now(e) - one->began_ms : one->took_ms,
	};
	if (open)
		ended->step = one->row >= 0 ? ff_one_row(one)->name : "waiting";
}

const struct ff_result *ff_engine_result(struct ff_engine *e)
{
	struct ff_result *r = &e->result;

	free(r->ended);
	*r = (struct ff_result){
		.count = e->one_count,
		.ended = ff_calloc(e->one_count ? e->one_count : 1, sizeof(*r->ended)),
		.interrupted = e->interrupts > 0,
		.broken = e->broken,
		.nothing_started = !e->started,
		.missing = e->missing,
	};
	for (size_t i = 0; i < e->one_count; i++)
		result_of(e, &e->ones[i], &r->ended[i]);
	return r;
}

void ff_engine_counts(const struct ff_engine *e, struct ff_counts *counts)
{
	*counts = (struct ff_counts){.selected = e->one_count, .waiting = e->waiting, .under_way = e->under_way};
	memcpy(counts->ended, e->ended, sizeof(counts->ended));
}
