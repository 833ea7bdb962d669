/*
 * Going on with a run. There is no mode for it: the journal is replayed into the structures that it was written from
 * (replay.c), what discovery found now is matched to them, and then every VM goes on by itself. A VM in the middle of a
 * row looks first, as it would after an answer that was lost; one between two rows begins the next.
 *
 * What was recorded of a VM under way counts, not what discovery says of it: without its disk it looks like one that
 * must not be touched. Only where it was claimed and not yet taken down the driver asks what was found now: another may
 * have mended it. A VM that was not begun is what discovery says now.
 */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>

#include "replay.h"

/* ---------------------------------------------------------------- rescue VMs */

/* Those that the journal does not name get the numbers after it. */
static void number_rescues(struct ff_engine *e)
{
	size_t last = 0;

	for (size_t i = 0; i < e->rescue_count; i++)
		if (e->rescues[i]->recorded && e->rescues[i]->number > last)
			last = e->rescues[i]->number;
	for (size_t i = 0; i < e->rescue_count; i++)
		if (!e->rescues[i]->recorded)
			e->rescues[i]->number = ++last;
}

/* It ended, and something may still be attached there. */
static void lose_slot(const struct ff_one *one)
{
	struct ff_rescue *r = one->rescue;

	if (!one->slot_held || !one->slot_used || (unsigned)one->slot >= r->slots || r->used[one->slot])
		return;
	r->used[one->slot] = 1;
	r->free--;
	r->slots_lost++;
}

/* The worker is needed by who is not past the repair. */
static void call_worker(struct ff_engine *e, const struct ff_one *one)
{
	struct ff_rescue *r = one->rescue;

	if (one->homeward || one->repaired || one->at > one->scope->repair_at || r == NULL || r->worker != NULL)
		return;
	r->worker = ff_worker_of(e, r->vm->name);
	if (r->worker->state == FF_WORKER_UNKNOWN)
		ff_worker_probe(e, r->worker);
}

/* ---------------------------------------------------------------- VMs that were not begun */

static char *key_of(const struct ff_scope *scope, const char *id)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", scope->number);
	return ff_vm_key(number, id);
}

/* So that ten thousand are found among ten thousand. */
static void index_vms(const struct ff_engine *e, struct ff_table *ids)
{
	for (size_t s = 0; s < e->scope_count; s++) {
		const struct ff_scope *scope = e->scopes[s];
		struct ff_vm **vms = NULL;
		size_t n = scope->state == FF_SCOPE_FOUND ? scope->provider->vms(scope->cloud, &vms) : 0;

		for (size_t i = 0; i < n; i++) {
			ff_auto_free char *key = key_of(scope, vms[i]->id);

			ff_table_set(ids, key, vms[i]);
		}
	}
}

static void skip(struct ff_engine *e, struct ff_one *one, const char *why)
{
	ff_auto_free char *text = ff_printf("not begun: %s", why);

	ff_one_end(e, one, FF_O_SKIPPED, text);
}

/* As if it were selected now: by the same evidence, or by the operator's word then. */
static void plan_anew(struct ff_engine *e, struct ff_one *one, struct ff_table *ids)
{
	ff_auto_free char *key = key_of(one->scope, one->vm->id);
	struct ff_vm *vm = ff_table_get(ids, key);
	bool sick = one->vm->health == FF_AFFECTED;
	struct ff_rescue *rescue;
	ff_auto_free char *why = NULL;

	one->rescue = NULL;
	one->slot = -1;
	one->slot_held = one->slot_used = false;
	one->row = FF_STEP_NONE;
	one->at = -1;
	e->waiting++;
	if (one->scope->repair_at <
		0) { /* what is to be done was read off the journal of another run, and is looked at */
		ff_ready_enlist(e, one);
		return;
	}
	if (vm == NULL) {
		skip(e, one, "it is gone");
		return;
	}
	if (vm->health == FF_SKIPPED || (sick && vm->health != FF_AFFECTED)) {
		skip(e, one, vm->reason);
		return;
	}
	one->vm = vm;
	json_decref(one->facts);
	one->facts = vm->facts ? json_incref(vm->facts) : json_object();
	ff_record_plan(e, one);
	rescue = ff_rescue_choose(e, one->scope, vm, &why);
	if (rescue != NULL)
		ff_rescue_enlist(e, rescue, one);
	else
		skip(e, one, why);
}

/* ---------------------------------------------------------------- VMs under way */

static bool was_begun(const struct ff_one *one)
{
	return one->attempted != 0 || one->touched;
}

/* Under way again, though it does not go on yet: first all have their slots. */
static void take_up(struct ff_engine *e, struct ff_one *one, const struct ff_replayed *trace)
{
	int64_t ago_ms = e->world->wall_ms(e->world->self) - trace->begun_ms;

	e->under_way++;
	ff_wave_join(one);
	one->state = FF_ONE_PAUSED;
	one->began_ms = ff_now(e) - (ago_ms > 0 ? ago_ms : 0);
	if (one->began_ms == 0)
		one->began_ms = -1; /* 0: not begun */
	one->same_token = trace->unknown;
	one->touched = one->touched || trace->unknown;
	ff_mates_join(one);
	if (one->rescue != NULL)
		one->rescue->planned++;
	if (one->slot_held) {
		ff_slot_retake(one);
	} else if (one->rescue != NULL && one->slot < 0 && !one->homeward) { /* made ready ahead of a slot */
		one->no_slot = true;
		one->rescue->ahead++;
	}
}

static void go_on(struct ff_engine *e, struct ff_one *one, const struct ff_replayed *trace, struct ff_table *ids)
{
	ff_auto_free char *key = key_of(one->scope, one->vm->id);

	one->found = ff_table_get(ids, key);
	call_worker(e, one);
	if (trace->within)
		ff_one_go_on(e, one);
	else
		ff_one_next(e, one);
}

/* ---------------------------------------------------------------- all of it */

static bool cloud_is_there(const struct ff_one *one)
{
	return one->scope->state == FF_SCOPE_FOUND;
}

static void sort_out(struct ff_engine *e, const struct ff_replay *r)
{
	for (size_t i = 0; i < e->one_count; i++) {
		struct ff_one *one = &e->ones[i];

		one->scope->wave->selected++;
		if (one->state == FF_ONE_ENDED) {
			e->ended[one->outcome]++;
			ff_wave_count(one->scope->wave, (enum ff_outcome)one->outcome);
			if (one->rescue != NULL)
				lose_slot(one);
		} else if (!cloud_is_there(one)) {
			one->state = FF_ONE_LEFT;
		} else if (was_begun(one)) {
			take_up(e, one, &r->vms[i]);
		}
	}
}

static void set_off(struct ff_engine *e, const struct ff_replay *r)
{
	struct ff_table ids = {0};

	ff_record_resume(e);
	index_vms(e, &ids);
	for (size_t i = 0; i < e->one_count; i++)
		if (e->ones[i].state == FF_ONE_PAUSED)
			go_on(e, &e->ones[i], &r->vms[i], &ids);
	for (size_t i = 0; i < e->one_count; i++)
		if (e->ones[i].state == FF_ONE_WAITING) {
			plan_anew(e, &e->ones[i], &ids);
			ff_record_relieve(e);
		}
	ff_table_free(&ids, NULL);
	/* who is away comes home whatever becomes of the workers; otherwise they are known first, as at any beginning
	 */
	e->phase = e->under_way > 0 ? FF_PHASE_RUNNING : FF_PHASE_WORKERS;
	e->admit = true;
}

static int check_whole(const struct ff_engine *e, const struct ff_replay *r, struct ff_err *err)
{
	if (r->planned < 0)
		return ff_fail(err, FF_E_LOCAL, "the journal holds no run: nothing was begun");
	if (r->scopes != e->scope_count && e->one_count > 0)
		return ff_fail(err, FF_E_USAGE, "the run has %zu scopes, here are %zu", r->scopes, e->scope_count);
	return 0;
}

/* As if nothing had been read. */
static void forget(struct ff_engine *e)
{
	ff_engine_forget_ones(e);
	ff_rescues_free(e);
	ff_past_vms_free(e);
	e->chain = (struct ff_chain){0};
	e->started = false;
}

int ff_engine_resume(struct ff_engine *e, struct ff_source journal, struct ff_err *err)
{
	struct ff_replay r = {.e = e, .planned = -1};
	size_t sound;

	if (e->interrupts > 0)
		return ff_fail(err, FF_E_LOCAL, "interrupted before anything was begun");
	if (e->phase != FF_PHASE_FOUND || !e->journal || e->one_count > 0)
		return ff_fail(err, FF_E_BUG, "going on needs a journal, and comes after finding");
	ff_rescues_find(e);
	if (ff_journal_read(journal, ff_replay_record, &r, &e->chain, &sound, err) < 0 || check_whole(e, &r, err) < 0) {
		ff_replay_release(&r);
		forget(e);
		return -1;
	}
	number_rescues(e);
	sort_out(e, &r);
	e->missing = r.planned > (int64_t)e->one_count ? (size_t)r.planned - e->one_count : 0;
	if (r.finished) {
		e->phase = FF_PHASE_ENDED;
		e->stopped = true;
	} else {
		set_off(e, &r);
		if (e->missing > 0)
			ff_say(e, FF_EV_WARN, NULL, NULL,
				"%zu of %lld selected VMs are in the journal: %s when this is over", e->one_count,
				(long long)r.planned,
				e->flow == FF_FLOW_RECOVER ? "bring the others home with resume --from-cloud once more"
							   : "look for the others");
	}
	ff_replay_release(&r);
	return 0;
}
