/*
 * Going home, and ends. The rules:
 *
 *   1. A failed step turns the VM home: back over the rows that were attempted, last first, each row's undo once (an
 *      undo that serves several rows runs at the first of them that is met). An undo looks before it acts, since the
 *      effect may be there or not. Rows for VMs that ran are passed over for those that did not.
 *   2. `clean` walks the same way; so does an interrupt before the disk was mended.
 *   3. An undo that holds the disk and fails for good ends the VM as stuck, at once: starting a VM without its disk, or
 *      removing the copy that it may run on, would make it worse. Any other undo that fails is noted, and the walk goes
 *      on; but what is not as it was is not `clean`. Unless it is best effort, a token that is not taken is no failure
 *      for good while patience lasts.
 *   4. A row marked as best effort that fails is noted, whichever way it goes.
 *   5. Once the mended disk is back in place nothing takes it away again. What fails after that (start, verify) ends as
 *      failed-home, and of the rows ahead only those that tidy up are still done.
 *      Unless a look shows that something else has, on either way: a request that a run whose journal is lost had made
 *      before it died, or a hand. That VM is stuck.
 *   6. Nothing changed yet and the cloud says no (conflict, gone, denied): skipped. A refused request changes nothing;
 *      one whose answer was lost may have. Where a repair has only claimed the VM and learns that it is another's, or
 *      well by now, it is skipped too, and the claim is taken back.
 *   7. The slot on the rescue VM is free again when the disk was taken off it, or nothing was ever put there.
 *      Otherwise it stays taken for this run.
 */
#include "state.h"

#include <stdlib.h>

static void note(struct ff_one *one, const char *text)
{
	char *longer = one->reason && one->reason[0] ? ff_printf("%s; %s", one->reason, text) : ff_strdup(text);

	free(one->reason);
	one->reason = longer;
}

static void note_step(struct ff_engine *e, struct ff_one *one, const struct ff_err *err)
{
	ff_auto_free char *text = ff_printf("%s: %s", ff_one_row(one)->name, err->text);

	ff_say(e, FF_EV_WARN, one->scope, one->vm, "%s", text);
	note(one, text);
}

/* ---------------------------------------------------------------- ends */

bool ff_is_failure(enum ff_outcome outcome)
{
	return outcome == FF_O_FAILED_HOME || outcome == FF_O_STUCK;
}

/* The rescue VM's slot and the place under --parallel are somebody else's now. */
static void leave_the_way(struct ff_engine *e, struct ff_one *one)
{
	if (one->state == FF_ONE_WAITING) {
		e->waiting--;
	} else {
		e->under_way--;
		ff_wave_leave(one);
		ff_slot_forget(one);
		ff_mates_leave(one);
	}
	if (one->slot_held && one->slot_used)
		ff_slot_lose(e, one);
	else if (one->slot_held)
		ff_slot_release(e, one);
	e->admit = true;
}

void ff_one_end(struct ff_engine *e, struct ff_one *one, enum ff_outcome outcome, const char *reason)
{
	char *text = ff_strdup(reason ? reason : "");

	leave_the_way(e, one);
	ff_task_cancel(&e->tasks, &one->task);
	one->state = FF_ONE_ENDED;
	one->outcome = (uint8_t)outcome;
	free(one->reason);
	one->reason = text;
	free(FF_STEAL(one->last));
	one->took_ms = one->began_ms ? ff_now(e) - one->began_ms : 0;
	e->ended[outcome]++;
	ff_wave_ended(e, one, outcome);
	ff_record_end(e, one);
	if (e->event != NULL)
		e->event(e->event_arg, &(struct ff_event){.kind = FF_EV_END,
					       .provider = one->scope->provider->name,
					       .vm = one->vm,
					       .outcome = outcome,
					       .text = one->reason});
}

/* It was begun, and nothing was done: as if it had not been. It has no outcome, and a later run may take it up. */
static void unbegin(struct ff_engine *e, struct ff_one *one)
{
	leave_the_way(e, one);
	ff_task_cancel(&e->tasks, &one->task);
	one->state = FF_ONE_WAITING;
	one->began_ms = 0;
	one->row = FF_STEP_NONE;
	one->slot = -1;
	e->waiting++;
}

static void end_stuck(struct ff_engine *e, struct ff_one *one, const struct ff_err *err)
{
	ff_auto_free char *where = ff_one_where(e, one), *text = NULL;

	note_step(e, one, err);
	text = ff_printf("%s; %s", one->reason, where);
	one->by_hand = ff_one_by_hand(e, one);
	ff_one_end(e, one, FF_O_STUCK, text);
}

/* ---------------------------------------------------------------- turning */

void ff_one_turn_home(
	struct ff_engine *e, struct ff_one *one, enum ff_outcome goal, enum ff_class class, const char *why)
{
	one->goal = (uint8_t)goal;
	one->class = (uint8_t) class;
	if (one->repaired) { /* the copy is mended, but it does not go home */
		free(FF_STEAL(one->reason));
		json_decref(one->removed);
		one->removed = NULL;
	}
	note(one, why);
	ff_record_turn(e, one, class, one->reason);
	ff_slot_forget(one);
	one->homeward = true;
	one->at++; /* the row it stands in has an undo too */
	ff_one_next(e, one);
}

bool ff_one_taken_down(const struct ff_one *one)
{
	const struct ff_scope *scope = one->scope;
	int down = 0;

	while (down < scope->count && (scope->provider->steps[scope->order[down]].flags & FF_TAKES_DOWN) == 0)
		down++;
	return down < scope->count && one->attempted >> down != 0;
}

bool ff_one_may_turn(const struct ff_engine *e, const struct ff_one *one)
{
	return !one->repaired && !one->put_back && !one->homeward && e->flow != FF_FLOW_CLEANUP &&
	       e->flow != FF_FLOW_RECOVER;
}

void ff_one_interrupt(struct ff_engine *e, struct ff_one *one)
{
	if (!ff_one_may_turn(e, one))
		return;
	if (!one->touched && one->attempted == 0) {
		unbegin(e, one);
		return;
	}
	ff_one_turn_home(e, one, FF_O_FAILED_HOME, FF_E_LOCAL,
		e->flow == FF_FLOW_REPAIR ? "interrupted before it was mended"
					  : "interrupted before its disk was put back");
}

/* ---------------------------------------------------------------- failing */

static void fail_homeward(struct ff_engine *e, struct ff_one *one, const struct ff_err *err)
{
	unsigned flags = ff_one_row(one)->flags;

	/* a token that is not taken says nothing of the disk, and what comes next may need this: it is waited out */
	if ((flags & FF_BEST_EFFORT) == 0 && err->class == FF_E_AUTH && ff_now(e) < one->until_ms) {
		ff_one_heard(one, err);
		ff_one_pause(e, one, 0, !ff_row_looks(ff_one_row(one)));
		return;
	}
	if ((flags & FF_HOLDS_DISK) != 0) {
		end_stuck(e, one, err);
		return;
	}
	note_step(e, one, err);
	if ((flags & FF_BEST_EFFORT) == 0)
		one->goal = FF_O_FAILED_HOME;
	ff_record_miss(e, one, err);
	ff_one_next(e, one);
}

/* The disk that it keeps is home; the rest did not go well. */
static void fail_put_back(struct ff_engine *e, struct ff_one *one, const struct ff_err *err)
{
	const struct ff_step *row = ff_one_row(one);
	const char *what = e->flow == FF_FLOW_REPAIR	 ? "mended and home"
			   : e->flow == FF_FLOW_ROLLBACK ? "its original disk is home"
							 : "its disk is home";
	ff_auto_free char *text = NULL;

	if (row->act == NULL)
		text = ff_printf(
			"%s, but it did not prove that it came up%s %s", what, one->late ? "" : ":", err->text);
	else
		text = ff_printf("%s, but %s: %s", what, row->name, err->text);
	note(one, text);
	one->goal = FF_O_FAILED_HOME;
	one->tail = true;
	one->class = (uint8_t)err->class;
	ff_record_turn(e, one, err->class, one->reason);
	ff_one_next(e, one);
}

void ff_one_fail(struct ff_engine *e, struct ff_one *one, const struct ff_err *err)
{
	const struct ff_step *row = ff_one_row(one);
	bool no = err->class == FF_E_CONFLICT || err->class == FF_E_GONE || err->class == FF_E_DENIED;
	ff_auto_free char *why = NULL;

	if (one->away) {
		end_stuck(e, one, err);
		return;
	}
	if (one->homeward) {
		fail_homeward(e, one, err);
		return;
	}
	if ((row->flags & FF_BEST_EFFORT) != 0) {
		note_step(e, one, err);
		ff_record_miss(e, one, err);
		ff_one_next(e, one);
		return;
	}
	if (one->put_back) {
		fail_put_back(e, one, err);
		return;
	}
	if (e->flow == FF_FLOW_RECOVER && (row->flags & FF_HOLDS_DISK) != 0) { /* it was away before */
		end_stuck(e, one, err);
		return;
	}
	why = ff_printf("%s: %s", row->name, err->text);
	if (!one->touched && no) {
		one->class = (uint8_t)err->class;
		note(one, why);
		ff_one_end(e, one, FF_O_SKIPPED, one->reason);
		return;
	}
	ff_one_turn_home(e, one,
		e->flow == FF_FLOW_REPAIR && err->class == FF_E_CONFLICT && !ff_one_taken_down(one) ? FF_O_SKIPPED
												    : FF_O_FAILED_HOME,
		err->class, why);
}
