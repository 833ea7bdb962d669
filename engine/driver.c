/*
 * A VM's way through its provider's table. For every row the same ladder:
 *
 *   [look] -> act -> [poll ...] -> [look] -> done, next row
 *
 * An answer that was lost, a conflict, a refusal of the group: look, always, then decide again. What verdicts mean is
 * in verdict.c, looks in look.c, requests and groups in act.c, the way back in home.c.
 */
#include "state.h"

#include <stdlib.h>

#include "fixfleet/clock.h"

#define BACK_OFF_MS	2000
#define BACK_OFF_MAX_MS 15000
#define STILL_MS	(2 * 60 * 1000) /* longer than a machine takes to come up, as a rule */

const struct ff_step *ff_one_row(const struct ff_one *one)
{
	return &one->scope->provider->steps[one->row];
}

void ff_one_member(struct ff_engine *e, const struct ff_one *one, struct ff_member *m)
{
	*m = (struct ff_member){
		.vm = one->vm,
		.facts = one->facts,
		.rescue = one->rescue ? one->rescue->vm : NULL,
		.rescue_facts = one->rescue ? one->rescue->facts : NULL,
		.slot = one->slot,
		.step = one->row,
		.run = e->run,
		.by = e->by,
		.take_over = e->take_over,
		.token = one->token,
	};
}

/* ---------------------------------------------------------------- patience */

static int64_t patience_ms(const struct ff_engine *e, const struct ff_step *row)
{
	if (row->act == NULL && row->kind == FF_STEP_CLOUD && e->verify_ms > 0)
		return e->verify_ms;
	if (row->patience_ms > 0)
		return row->patience_ms;
	return row->kind == FF_STEP_REPAIR ? FF_REPAIR_PATIENCE_MS : FF_PATIENCE_MS;
}

int ff_one_late(struct ff_engine *e, struct ff_one *one, struct ff_err *err)
{
	char how_long[FF_TIME_BYTES];
	const struct ff_step *row = ff_one_row(one);

	ff_duration(patience_ms(e, row), how_long);
	one->late = true;
	return ff_fail(err, FF_E_TRANSIENT, "%swithin %s%s%s", row->act ? "not done " : "", how_long,
		one->last ? ": " : "", one->last ? one->last : "");
}

void ff_one_heard(struct ff_one *one, const struct ff_err *err)
{
	if (err->text[0] == '\0')
		return;
	free(one->last);
	one->last = ff_strdup(err->text);
}

/* Who waits for long says why, once a row: minutes without a word look like a program that hangs. */
static void tell_why(struct ff_engine *e, struct ff_one *one, int64_t now)
{
	const struct ff_step *row = ff_one_row(one);

	if (one->told || one->last == NULL || now - (one->until_ms - patience_ms(e, row)) < STILL_MS)
		return;
	one->told = true;
	ff_say(e, FF_EV_NOTE, one->scope, one->vm, "still %s: %s", row->doing, one->last);
}

void ff_one_pause(struct ff_engine *e, struct ff_one *one, int64_t wait_ms, bool then_act)
{
	int64_t now = ff_now(e);
	struct ff_err err;

	if (now >= one->until_ms) {
		ff_one_late(e, one, &err);
		ff_one_fail(e, one, &err);
		return;
	}
	tell_why(e, one, now);
	if (wait_ms <= 0) {
		wait_ms = one->pauses < 3 ? (int64_t)BACK_OFF_MS << one->pauses : BACK_OFF_MAX_MS;
		if (one->pauses < 3)
			one->pauses++;
	}
	if (wait_ms > one->until_ms - now) /* one last time when patience ends */
		wait_ms = one->until_ms - now;
	if (!then_act) {
		ff_look_at(e, one, now + wait_ms);
		return;
	}
	one->state = FF_ONE_PAUSED;
	one->then_act = true;
	ff_task_at(&e->tasks, &one->task, now + wait_ms);
}

/* ---------------------------------------------------------------- from row to row */

/* The run was gone on with before this VM was taken down, and what was found then says that it need not be any more:
 * another has mended it meanwhile, or it may not be touched now. */
static bool well_by_now(const struct ff_engine *e, const struct ff_one *one)
{
	return e->flow == FF_FLOW_REPAIR && !one->homeward && one->found != NULL && one->vm->health == FF_AFFECTED &&
	       one->found->health != FF_AFFECTED && (ff_one_row(one)->flags & FF_TAKES_DOWN) != 0 &&
	       !ff_one_taken_down(one);
}

static void leave_alone(struct ff_engine *e, struct ff_one *one)
{
	ff_auto_free char *why = ff_printf("it is left alone: %s", one->found->reason);

	ff_one_turn_home(e, one, FF_O_SKIPPED, FF_E_CONFLICT, why);
}

/* What it was claimed for is older than the run's going on. */
static bool is_looked_at_anew(const struct ff_one *one)
{
	return one->found != NULL && !one->homeward && (ff_one_row(one)->flags & FF_TAKES_DOWN) != 0;
}

static void begin_row(struct ff_engine *e, struct ff_one *one, int row_number)
{
	const struct ff_step *row = &one->scope->provider->steps[row_number];

	one->row = (int16_t)row_number;
	if (well_by_now(e, one)) {
		leave_alone(e, one);
		return;
	}
	if (!one->homeward && row->undo != FF_STEP_NONE && row->undo == one->scope->slot_row && !ff_slot_enter(e, one))
		return;
	one->until_ms = ff_now(e) + patience_ms(e, row);
	one->rounds = one->pauses = one->unseen = 0;
	one->attempts = one->drawn = 0;
	one->confirmed = one->same_token = one->alone = one->look_alone = one->late = one->busy = one->told = false;
	free(FF_STEAL(one->last));
	ff_say(e, FF_EV_STEP, one->scope, one->vm, "%s", row->doing);
	if (row->kind == FF_STEP_REPAIR)
		ff_job_start(e, one);
	else if (one->homeward || e->flow == FF_FLOW_RECOVER || row->act == NULL || (row->flags & FF_LOOK_FIRST) != 0 ||
		 is_looked_at_anew(one))
		ff_one_look(e, one);
	else
		ff_one_act(e, one);
}

void ff_one_go_on(struct ff_engine *e, struct ff_one *one)
{
	const struct ff_step *row = ff_one_row(one);

	if (well_by_now(e, one)) {
		leave_alone(e, one);
		return;
	}
	one->until_ms = ff_now(e) + patience_ms(e, row);
	ff_say(e, FF_EV_STEP, one->scope, one->vm, "%s", row->doing);
	if (row->kind == FF_STEP_REPAIR)
		ff_job_start(e, one);
	else
		ff_one_look(e, one);
}

void ff_one_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_one *one = FF_OWNER(task, struct ff_one, task);

	if (one->state != FF_ONE_PAUSED)
		return;
	if (one->at_door) /* its slot has come */
		begin_row(e, one, one->row);
	else if (one->then_act)
		ff_one_act(e, one);
	else
		ff_one_look(e, one);
}

static bool passed_over(struct ff_engine *e, const struct ff_one *one, int row_number)
{
	const struct ff_provider *p = one->scope->provider;
	const struct ff_step *row = &p->steps[row_number];
	unsigned flags = row->flags;
	struct ff_member m;

	if ((flags & FF_IF_RUNNING) != 0 && !one->vm->running)
		return true;
	if (row->applies != NULL) {
		ff_one_member(e, one, &m);
		if (!row->applies(&m))
			return true;
	}
	if (one->homeward)
		return false;
	if ((flags & FF_REPAIRED_ONLY) != 0 && !one->repaired)
		return true;
	/* what tidies up: rows that may fail, and what takes the first row (the claim) back */
	return one->tail && (flags & FF_BEST_EFFORT) == 0 && row_number != p->steps[one->scope->order[0]].undo;
}

/* What a VM ends as that went all the way. */
static const enum ff_outcome outcomes[FF_FLOW_COUNT] = {
	[FF_FLOW_REPAIR] = FF_O_REPAIRED,
	[FF_FLOW_ROLLBACK] = FF_O_ROLLED_BACK,
	[FF_FLOW_CLEANUP] = FF_O_CLEANED,
	[FF_FLOW_RECOVER] = FF_O_FAILED_HOME, /* home, and nobody knows whether mended and proved */
};

/* With what best effort has left over, which nobody else tells of. */
static void end_recovered(struct ff_engine *e, struct ff_one *one)
{
	bool more = one->reason != NULL && one->reason[0] != '\0';
	ff_auto_free char *reason = ff_printf(
		"brought home by its tags: its run's folder was lost%s%s", more ? "; " : "", more ? one->reason : "");

	ff_one_end(e, one, outcomes[e->flow], reason);
}

static void next_forward(struct ff_engine *e, struct ff_one *one)
{
	const int *order = one->scope->order;

	if (one->turning && ff_one_may_turn(e, one)) {
		ff_one_interrupt(e, one);
		return;
	}
	while (order[++one->at] != FF_STEP_NONE) {
		if (!passed_over(e, one, order[one->at])) {
			begin_row(e, one, order[one->at]);
			return;
		}
	}
	if (one->tail)
		ff_one_end(e, one, (enum ff_outcome)one->goal, one->reason);
	else if (e->flow == FF_FLOW_RECOVER)
		end_recovered(e, one);
	else
		ff_one_end(e, one, outcomes[e->flow], one->reason);
}

/* The row that takes back what the forward row at that index did; FF_STEP_NONE: there is nothing to take back. */
static int undo_at(struct ff_engine *e, const struct ff_one *one, int at)
{
	const struct ff_provider *p = one->scope->provider;
	int undo = p->steps[one->scope->order[at]].undo;

	if ((one->attempted & (uint64_t)1 << at) == 0 || undo == FF_STEP_NONE ||
		(one->undone & (uint64_t)1 << undo) != 0 || passed_over(e, one, undo))
		return FF_STEP_NONE;
	return undo;
}

static void next_homeward(struct ff_engine *e, struct ff_one *one)
{
	while (--one->at >= 0) {
		int undo = undo_at(e, one, one->at);

		if (undo == FF_STEP_NONE)
			continue;
		one->undone |= (uint64_t)1 << undo;
		begin_row(e, one, undo);
		return;
	}
	ff_one_end(e, one, (enum ff_outcome)one->goal, one->reason);
}

void ff_one_next(struct ff_engine *e, struct ff_one *one)
{
	if (one->homeward)
		next_homeward(e, one);
	else
		next_forward(e, one);
}

static bool comes_forward(struct ff_engine *e, const struct ff_one *one, const struct ff_step *row)
{
	const int *order = one->scope->order;

	for (int at = one->at + 1; order[at] != FF_STEP_NONE; at++) {
		const struct ff_step *ahead = &one->scope->provider->steps[order[at]];

		if (passed_over(e, one, order[at]))
			continue;
		if (ahead->kind == FF_STEP_REPAIR)
			return false;
		if (ahead->act == row->act)
			return true;
	}
	return false;
}

static bool comes_homeward(struct ff_engine *e, const struct ff_one *one, const struct ff_step *row)
{
	for (int at = one->at - 1; at >= 0; at--) {
		int undo = undo_at(e, one, at);

		if (undo != FF_STEP_NONE && one->scope->provider->steps[undo].act == row->act)
			return true;
	}
	return false;
}

bool ff_one_comes_soon(struct ff_engine *e, const struct ff_one *one, const struct ff_step *row)
{
	if (one->at_door) /* not before somebody leaves */
		return false;
	if (one->state == FF_ONE_REPAIR && !one->job->mended) /* once it is, the appliance is only shut down */
		return false;
	if (one->state == FF_ONE_LOOKING && one->attempts == 0 && ff_one_row(one)->act == row->act)
		return true;
	return one->homeward ? comes_homeward(e, one, row) : comes_forward(e, one, row);
}

void ff_one_begin(struct ff_engine *e, struct ff_one *one)
{
	one->began_ms = ff_now(e);
	one->at = -1;
	next_forward(e, one);
}

/* The mended disk is home when the row is done that puts it there: after the repair, one that holds the disk itself, or
 * whose undo does. Where nothing is repaired the row says it. */
bool ff_one_puts_disk_back(const struct ff_one *one)
{
	const struct ff_step *steps = one->scope->provider->steps, *row = ff_one_row(one);

	if (!one->homeward && (row->flags & FF_PUTS_IN) != 0)
		return true;
	if (one->homeward || !one->repaired)
		return false;
	return (row->flags & FF_HOLDS_DISK) != 0 ||
	       (row->undo != FF_STEP_NONE && (steps[row->undo].flags & FF_HOLDS_DISK) != 0);
}

bool ff_one_frees_slot(const struct ff_one *one)
{
	const struct ff_step *steps = one->scope->provider->steps;
	int slot_row = one->scope->slot_row;

	if (slot_row == FF_STEP_NONE || !one->slot_held || !one->slot_used)
		return false;
	if (one->row == slot_row)
		return true;
	return !one->homeward && one->at > one->scope->repair_at && ff_one_row(one)->act == steps[slot_row].act;
}

void ff_one_step_done(struct ff_engine *e, struct ff_one *one)
{
	if (ff_one_puts_disk_back(one))
		one->put_back = true;
	if (ff_one_frees_slot(one))
		ff_slot_release(e, one);
	ff_record_step(e, one);
	ff_one_next(e, one);
}
