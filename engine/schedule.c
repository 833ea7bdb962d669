/*
 * Rescue VMs, their slots, and who begins when. A VM is stopped only when a slot for its disk is near: machines are
 * down no longer than they must be. Near is a free slot, or, for a VM that is sick anyway, one that a disk under way
 * will leave before long: for each slot one more VM is stopped and made ready meanwhile, and waits at the door. So the
 * rescue VM is not idle while clouds stop machines, which takes minutes where a guest hangs. But nobody is stopped
 * ahead for a rescue VM that has not mended a disk yet.
 */
#include "state.h"

#include <stdlib.h>

#define READY_MAX 256 /* under way at once where no rescue VM's slots say it */

void ff_one_queue_add(struct ff_one_queue *q, struct ff_one *one)
{
	one->next = NULL;
	one->prev = q->tail;
	if (q->tail != NULL)
		q->tail->next = one;
	else
		q->head = one;
	q->tail = one;
	q->count++;
}

void ff_one_queue_remove(struct ff_one_queue *q, struct ff_one *one)
{
	if (one->prev != NULL)
		one->prev->next = one->next;
	else
		q->head = one->next;
	if (one->next != NULL)
		one->next->prev = one->prev;
	else
		q->tail = one->prev;
	one->next = one->prev = NULL;
	q->count--;
}

void ff_mates_join(struct ff_one *one)
{
	if (one->rescue == NULL)
		return;
	one->mate_next = one->rescue->mates;
	one->mate_prev = NULL;
	if (one->mate_next != NULL)
		one->mate_next->mate_prev = one;
	one->rescue->mates = one;
}

void ff_mates_leave(struct ff_one *one)
{
	if (one->rescue == NULL)
		return;
	if (one->mate_prev != NULL)
		one->mate_prev->mate_next = one->mate_next;
	else
		one->rescue->mates = one->mate_next;
	if (one->mate_next != NULL)
		one->mate_next->mate_prev = one->mate_prev;
	one->mate_next = one->mate_prev = NULL;
}

/* ---------------------------------------------------------------- rescue VMs */

static struct ff_rescue *rescue_new(const struct ff_engine *e, struct ff_scope *scope, const struct ff_vm *vm)
{
	struct ff_rescue *rescue = ff_calloc(1, sizeof(*rescue));

	rescue->scope = scope;
	rescue->vm = vm;
	rescue->number = e->rescue_count + 1;
	rescue->facts = vm->facts ? json_deep_copy(vm->facts) : json_object();
	rescue->usable = true;
	rescue->slots = vm->slots_max < FF_SLOTS_MAX ? vm->slots_max : FF_SLOTS_MAX;
	for (unsigned i = 0; i < rescue->slots; i++) {
		rescue->used[i] = vm->slots_used[i] != 0;
		rescue->free += !rescue->used[i];
	}
	rescue->slots_usable = rescue->free;
	return rescue;
}

static struct ff_rescue *rescue_add(struct ff_engine *e, struct ff_rescue *rescue)
{
	e->rescues = ff_realloc(e->rescues, e->rescue_count + 1, sizeof(*e->rescues));
	e->rescues[e->rescue_count++] = rescue;
	return rescue;
}

/* The same VM found twice (scopes that overlap) has its slots once. */
static bool known(const struct ff_engine *e, const struct ff_scope *scope, const struct ff_vm *vm)
{
	for (size_t i = 0; i < e->rescue_count; i++)
		if (e->rescues[i]->scope != scope && e->rescues[i]->scope->provider == scope->provider &&
			ff_strcaseeq(e->rescues[i]->vm->id, vm->id))
			return true;
	return false;
}

void ff_rescues_find(struct ff_engine *e)
{
	if (e->rescue_count > 0)
		return;
	for (size_t s = 0; s < e->scope_count; s++) {
		struct ff_scope *scope = e->scopes[s];
		struct ff_vm **vms = NULL;
		size_t n = scope->state == FF_SCOPE_FOUND ? scope->provider->vms(scope->cloud, &vms) : 0;

		for (size_t i = 0; i < n; i++) {
			if (!vms[i]->rescue || known(e, scope, vms[i]))
				continue;
			rescue_add(e, rescue_new(e, scope, vms[i]));
		}
	}
}

struct ff_rescue *ff_rescue_restore(struct ff_engine *e, struct ff_scope *scope, const struct ff_vm *vm)
{
	struct ff_rescue *rescue = rescue_add(e, rescue_new(e, scope, vm));

	rescue->usable = false;
	return rescue;
}

void ff_rescues_free(struct ff_engine *e)
{
	for (size_t i = 0; i < e->rescue_count; i++) {
		json_decref(e->rescues[i]->facts);
		free(e->rescues[i]);
	}
	free(e->rescues);
	e->rescues = NULL;
	e->rescue_count = 0;
}

/* Less work a slot than the best so far? Without division: a/b < c/d. */
static bool roomier(const struct ff_rescue *a, const struct ff_rescue *b)
{
	return (uint64_t)a->planned * (b->slots_usable - b->slots_lost) <
	       (uint64_t)b->planned * (a->slots_usable - a->slots_lost);
}

struct ff_rescue *ff_rescue_choose(struct ff_engine *e, struct ff_scope *scope, const struct ff_vm *vm, char **why)
{
	struct ff_err first = {0}, err = {0};
	struct ff_rescue *best = NULL;

	if (vm->rescue) {
		*why = ff_strdup("it serves as rescue VM");
		return NULL;
	}
	for (size_t i = 0; i < e->rescue_count; i++) {
		struct ff_rescue *r = e->rescues[i];

		if (r->scope != scope || !r->usable)
			continue;
		if (r->slots_lost >= r->slots_usable)
			ff_fail(&err, FF_E_PERMANENT, "'%s' has no free disk slot", r->vm->name);
		else if (scope->provider->fits(vm, r->vm, &err) == 0) {
			best = best == NULL || roomier(r, best) ? r : best;
			continue;
		}
		if (first.text[0] == '\0')
			first = err;
	}
	if (best == NULL)
		*why = first.text[0] ? ff_printf("no rescue VM fits: %s", first.text)
				     : ff_strdup("there is no rescue VM that can be used in its scope");
	return best;
}

size_t ff_engine_plan(struct ff_engine *e, const struct ff_selected *selected, size_t n, char **why)
{
	size_t good = 0;

	ff_rescues_find(e);
	for (size_t i = 0; i < e->rescue_count; i++)
		e->rescues[i]->planned = 0;
	for (size_t i = 0; i < n; i++) {
		struct ff_vm *vm = selected[i].vm;
		struct ff_rescue *rescue;

		why[i] = NULL;
		if (vm->health == FF_SKIPPED) {
			why[i] = ff_strdup(vm->reason);
			continue;
		}
		rescue = ff_rescue_choose(e, e->scopes[selected[i].scope], vm, &why[i]);
		if (rescue == NULL)
			continue;
		rescue->planned++;
		good++;
	}
	for (size_t i = 0; i < e->rescue_count; i++)
		e->rescues[i]->planned = 0;
	return good;
}

void ff_ready_enlist(struct ff_engine *e, struct ff_one *one)
{
	ff_one_queue_add(&e->ready, one);
}

void ff_rescue_enlist(struct ff_engine *e, struct ff_rescue *rescue, struct ff_one *one)
{
	one->rescue = rescue;
	rescue->planned++;
	ff_one_queue_add(&rescue->waiting, one);
	if (rescue->worker != NULL)
		return;
	rescue->worker = ff_worker_of(e, rescue->vm->name);
	if (rescue->worker->state == FF_WORKER_UNKNOWN)
		ff_worker_probe(e, rescue->worker);
	if (rescue->worker->state == FF_WORKER_UNUSABLE)
		ff_worker_lost(e, rescue->worker);
}

/* ---------------------------------------------------------------- slots */

static void slot_take(struct ff_one *one)
{
	struct ff_rescue *r = one->rescue;

	for (unsigned i = 0; i < r->slots; i++) {
		if (r->used[i])
			continue;
		r->used[i] = 1;
		r->free--;
		one->slot = (int)i;
		one->slot_held = true;
		one->slot_used = false;
		return;
	}
}

/* A slot that discovery shows as taken was not counted as one that may be used: it will be, when its VM has left it. */
void ff_slot_retake(struct ff_one *one)
{
	struct ff_rescue *r = one->rescue;
	unsigned slot = (unsigned)one->slot;

	for (; r->slots <= slot; r->slots++)
		r->used[r->slots] = 1; /* it had more of them then */
	if (!r->used[slot])
		r->free--;
	else
		r->slots_usable++;
	r->used[slot] = 1;
}

void ff_rescue_proven(struct ff_engine *e, struct ff_rescue *rescue)
{
	e->admit = e->admit || !rescue->proven;
	rescue->proven = true;
}

/* Who was begun ahead of it has the slot before others. */
static void let_in(struct ff_engine *e, struct ff_rescue *r)
{
	struct ff_one *one;

	while (r->free > 0 && (one = r->door.head) != NULL) {
		ff_one_queue_remove(&r->door, one);
		one->no_slot = false;
		r->ahead--;
		slot_take(one);
		ff_record_slot(e, one);
		ff_task_queue(&e->tasks, &one->task, FF_LANE_NOW);
	}
}

void ff_slot_release(struct ff_engine *e, struct ff_one *one)
{
	one->rescue->used[one->slot] = 0;
	one->rescue->free++;
	one->slot_held = false;
	let_in(e, one->rescue);
	e->admit = true;
}

bool ff_slot_enter(struct ff_engine *e, struct ff_one *one)
{
	if (one->slot_held) {
		one->at_door = false;
		return true;
	}
	one->state = FF_ONE_PAUSED;
	one->at_door = true;
	ff_one_queue_add(&one->rescue->door, one);
	if (one->rescue->usable)
		let_in(e, one->rescue);
	else
		e->forsake = e->admit = true;
	return false;
}

void ff_slot_forget(struct ff_one *one)
{
	if (one->at_door && !one->slot_held)
		ff_one_queue_remove(&one->rescue->door, one);
	one->at_door = false;
	if (one->no_slot)
		one->rescue->ahead--;
	one->no_slot = false;
}

/* No slot will come any more: their disks go home from where they are. */
static void turn_away(struct ff_engine *e, struct ff_rescue *r, const char *reason)
{
	struct ff_err err;
	struct ff_one *one;

	while ((one = r->door.head) != NULL) {
		ff_fail(&err, FF_E_LOCAL, "%s", reason);
		ff_slot_forget(one);
		ff_one_fail(e, one, &err);
	}
}

/* Nothing more fits where nothing is free and nobody will leave. */
static void forsake(struct ff_engine *e, struct ff_rescue *rescue, const char *reason)
{
	struct ff_one *one;

	while ((one = rescue->waiting.head) != NULL) {
		ff_auto_free char *why = NULL;
		struct ff_rescue *other = NULL;

		ff_one_queue_remove(&rescue->waiting, one);
		rescue->planned--;
		one->rescue = NULL;
		other = ff_rescue_choose(e, one->scope, one->vm, &why);
		if (other == NULL) {
			ff_auto_free char *text = ff_printf("not begun: %s", reason);

			ff_one_end(e, one, FF_O_SKIPPED, text);
		} else {
			ff_rescue_enlist(e, other, one);
		}
	}
}

void ff_slot_lose(struct ff_engine *e, struct ff_one *one)
{
	struct ff_rescue *r = one->rescue;

	one->slot_held = false;
	r->slots_lost++;
	ff_say(e, FF_EV_WARN, one->scope, one->vm,
		"slot %d of '%s' is not used again: a disk may still be attached there", one->slot, r->vm->name);
	if (r->slots_lost >= r->slots_usable) {
		r->usable = false;
		e->forsake = true;
	}
}

void ff_worker_lost(struct ff_engine *e, struct ff_worker *w)
{
	for (size_t i = 0; i < e->rescue_count; i++) {
		if (e->rescues[i]->worker == w && e->rescues[i]->usable) {
			e->rescues[i]->usable = false;
			e->forsake = true;
		}
	}
}

/* ---------------------------------------------------------------- admission */

/* One for each slot; a VM that may be well is not stopped to wait. Those ready at the door come first. */
static bool has_room(const struct ff_rescue *r)
{
	unsigned most = r->slots_usable - r->slots_lost;

	if (r->free > r->ahead)
		return true;
	return r->proven && r->ahead < most && r->waiting.head->vm->health == FF_AFFECTED;
}

static void take_waiting(struct ff_engine *e, struct ff_one_queue *queue, struct ff_one *one)
{
	ff_one_queue_remove(queue, one);
	e->waiting--;
	e->under_way++;
	ff_wave_join(one);
	one->state = FF_ONE_PAUSED; /* until its first row is begun */
}

static void admit_one(struct ff_engine *e, struct ff_rescue *rescue)
{
	struct ff_one *one = rescue->waiting.head;

	take_waiting(e, &rescue->waiting, one);
	if (rescue->free > rescue->ahead) {
		slot_take(one);
	} else {
		one->no_slot = true;
		rescue->ahead++;
	}
	ff_mates_join(one);
	if (!rescue->recorded)
		ff_record_rescue(e, rescue);
	ff_record_admit(e, one);
	ff_one_begin(e, one);
}

static void forsake_unusable(struct ff_engine *e)
{
	e->forsake = false; /* a rescue VM that takes others' VMs may turn out unusable, too: then once more */
	for (size_t i = 0; i < e->rescue_count; i++) {
		struct ff_rescue *r = e->rescues[i];
		ff_auto_free char *reason = NULL;

		if (r->usable)
			continue;
		if (r->worker != NULL && r->worker->state == FF_WORKER_UNUSABLE)
			reason = ff_printf("rescue VM '%s': %s", r->vm->name, r->worker->why.text);
		else
			reason = ff_printf("no slot of rescue VM '%s' can be used any more", r->vm->name);
		turn_away(e, r, reason);
		forsake(e, r, reason);
	}
}

void ff_schedule_forsake(struct ff_engine *e)
{
	while (e->forsake)
		forsake_unusable(e);
}

/* The first that may begin; no rescue VM's slots say how many. */
static struct ff_one *first_ready(const struct ff_engine *e)
{
	struct ff_one *one = e->ready.head;

	while (one != NULL && !ff_wave_lets(e, one->scope->wave))
		one = one->next;
	return one;
}

static void admit_ready(struct ff_engine *e)
{
	struct ff_one *one;

	while (e->under_way < (e->parallel > 0 ? e->parallel : READY_MAX) && (one = first_ready(e)) != NULL) {
		take_waiting(e, &e->ready, one);
		ff_record_admit(e, one);
		ff_one_begin(e, one);
	}
}

void ff_schedule_admit(struct ff_engine *e)
{
	bool more = true;

	ff_schedule_forsake(e);
	e->admit = false;
	if (e->interrupts > 0 || e->stopped)
		return;
	ff_waves_close(e);
	e->admit = false;
	admit_ready(e);
	/* one at a time round the rescue VMs, so that all of them get to work */
	while (more && e->waiting > 0) {
		more = false;
		for (size_t i = 0; i < e->rescue_count; i++) {
			struct ff_rescue *r = e->rescues[i];

			if (!r->usable || r->waiting.head == NULL || r->worker->state != FF_WORKER_READY ||
				!has_room(r) || !ff_wave_lets(e, r->scope->wave))
				continue;
			if (e->parallel > 0 && e->under_way >= e->parallel)
				return;
			admit_one(e, r);
			more = true;
		}
	}
}
