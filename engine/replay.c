/*
 * A run's records, one after the other, into the engine's structures: what the driver did then is done again by the
 * same functions, without asking anybody. Sums have been checked; a record that contradicts those before it is an error
 * all the same, never a wrong act.
 */
#include "replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

#define ROOM_FIRST 64

static int wrong(const struct ff_node *record, struct ff_err *err, const char *what)
{
	return ff_fail(err, FF_E_LOCAL, "journal record %" PRId64 " (%s): %s", ff_node_int(record, "n", 0),
		ff_node_str(record, "k"), what);
}

/* The VM that a record, or one member of it, is about; NULL with err. */
static struct ff_one *one_of(
	struct ff_replay *r, const struct ff_node *record, const struct ff_node *about, struct ff_err *err)
{
	int64_t number = ff_node_int(about, "vm", 0);

	if (number >= 1 && (uint64_t)number <= r->e->one_count)
		return &r->e->ones[number - 1];
	wrong(record, err, "it is about a VM that no plan names");
	return NULL;
}

static struct ff_replayed *trace_of(struct ff_replay *r, const struct ff_one *one)
{
	return &r->vms[one->number - 1];
}

/* The same, and it must be under way. */
static struct ff_one *begun(
	struct ff_replay *r, const struct ff_node *record, const struct ff_node *about, struct ff_err *err)
{
	struct ff_one *one = one_of(r, record, about, err);

	if (one == NULL || (trace_of(r, one)->begun_ms != 0 && one->state != FF_ONE_ENDED))
		return one;
	wrong(record, err, "it is about a VM that is not under way");
	return NULL;
}

static enum ff_health health_from(const char *name)
{
	for (int h = FF_AFFECTED; h < FF_SKIPPED; h++)
		if (ff_streq(ff_health_name((enum ff_health)h), name))
			return (enum ff_health)h;
	return FF_SKIPPED;
}

static void set_text(char **to, const char *text)
{
	free(*to);
	*to = ff_strdup(text ? text : "");
}

static void set_facts(json_t **to, const struct ff_node *facts)
{
	json_decref(*to);
	*to = ff_node_is(facts, FF_NODE_OBJECT) ? ff_node_json(facts) : json_object();
}

/* ---------------------------------------------------------------- run, scope */

static int on_run(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	const char *run = ff_node_str(record, "run"), *program = ff_node_str(record, "program");

	if (r->planned >= 0)
		return wrong(record, err, "it comes twice");
	if (!ff_streq(program, FF_PROGRAM))
		return ff_fail(err, FF_E_LOCAL,
			"the run was begun by '%s', this is '" FF_PROGRAM "': go on with the program that began it",
			program ? program : "");
	if (!ff_streq(run, r->e->run))
		return ff_fail(
			err, FF_E_LOCAL, "the journal is that of run '%s', not of '%s'", run ? run : "", r->e->run);
	if (!ff_streq(ff_node_str(record, "flow"), ff_flow_name(r->e->flow)) ||
		!ff_streq(ff_node_str(record, "of"), r->e->of))
		return wrong(record, err, "another flow is asked for");
	r->planned = ff_node_int(record, "vms", 0);
	return 0;
}

enum sameness { SAME, OTHER, UNTOLD };

/* Part by part, as '/' divides them: what was never known is not compared, what is not known now cannot be. */
static enum sameness compare_accounts(const char *was, const char *is)
{
	enum sameness so_far = SAME;

	for (;; was++, is++) {
		size_t was_len = strcspn(was, "/"), is_len = strcspn(is, "/");

		if (was_len > 0 && is_len == 0)
			so_far = UNTOLD;
		else if (was_len > 0 && (was_len != is_len || memcmp(was, is, was_len) != 0))
			return OTHER;
		was += was_len;
		is += is_len;
		if (*was == '\0' || *is == '\0')
			return *was == *is ? so_far : OTHER;
	}
}

/* The same cloud, and the same account in it: by other credentials the VMs would seem to be gone. */
static int check_account(const struct ff_scope *scope, const struct ff_node *record, struct ff_err *err)
{
	const char *was = ff_node_str(record, "account"), *title = ff_node_str(record, "title");
	const char *is = ff_scope_account(scope);
	enum sameness sameness;

	if (was == NULL || scope->state != FF_SCOPE_FOUND)
		return 0;
	sameness = is != NULL ? compare_accounts(was, is) : UNTOLD;
	if (sameness == OTHER)
		return ff_fail(err, FF_E_USAGE,
			"the run is of %s (%s), but these credentials are of %s: sign in as for the run; nothing was "
			"changed",
			title ? title : scope->provider->name, was, is);
	if (sameness == UNTOLD)
		return ff_fail(err, FF_E_TRANSIENT,
			"the run is of %s (%s), and whose these credentials are could not be learned this time: try "
			"again; nothing was changed",
			title ? title : scope->provider->name, was);
	return 0;
}

static int on_scope(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	const struct ff_scope *scope = r->scopes < r->e->scope_count ? r->e->scopes[r->scopes] : NULL;
	const char *title = ff_node_str(record, "title");

	if (ff_node_int(record, "scope", 0) != (int64_t)r->scopes + 1)
		return wrong(record, err, "its number is not the next one");
	if (scope == NULL || !ff_streq(ff_node_str(record, "provider"), scope->provider->name))
		return ff_fail(err, FF_E_USAGE, "the run's scope %zu is '%s', which is not opened here", r->scopes + 1,
			title ? title : "");
	if (check_account(scope, record, err) < 0)
		return -1;
	r->scopes++;
	return 0;
}

/* ---------------------------------------------------------------- VMs and rescue VMs */

static struct ff_vm *restore_vm(struct ff_engine *e, const struct ff_node *record)
{
	struct ff_vm *vm = ff_calloc(1, sizeof(*vm));
	const struct {
		char **to;
		const char *member;
	} texts[] = {{&vm->id, "id"}, {&vm->name, "name"}, {&vm->scope, "group"}, {&vm->region, "region"},
		{&vm->zone, "zone"}, {&vm->os, ""}, {&vm->state, ""}, {&vm->reason, ""}, {&vm->disk_id, "disk"},
		{&vm->disk_encryption, ""}};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		set_text(texts[i].to, ff_node_str(record, texts[i].member));
	vm->disk_bytes = ff_node_int(record, "disk_bytes", 0);
	vm->running = ff_node_bool(record, "running", false);
	vm->health = health_from(ff_node_str(record, "health"));
	vm->tags = json_object();
	if ((e->past_count & (e->past_count - 1)) == 0) /* full at every power of two */
		e->past_vms = ff_realloc(e->past_vms, e->past_count ? e->past_count * 2 : 1, sizeof(struct ff_vm *));
	e->past_vms[e->past_count++] = vm;
	return vm;
}

void ff_past_vms_free(struct ff_engine *e)
{
	for (size_t i = 0; i < e->past_count; i++) {
		struct ff_vm *vm = e->past_vms[i];
		char *texts[] = {vm->id, vm->name, vm->scope, vm->region, vm->zone, vm->os, vm->state, vm->reason,
			vm->disk_id, vm->disk_encryption};

		for (size_t t = 0; t < FF_COUNT(texts); t++)
			free(texts[t]);
		json_decref(vm->tags);
		json_decref(vm->facts);
		free(vm);
	}
	free(e->past_vms);
	e->past_vms = NULL;
	e->past_count = 0;
}

static struct ff_scope *scope_of(struct ff_replay *r, const struct ff_node *record)
{
	int64_t number = ff_node_int(record, "scope", 0);

	return number >= 1 && (uint64_t)number <= r->scopes ? r->e->scopes[number - 1] : NULL;
}

static void grow(struct ff_replay *r)
{
	struct ff_engine *e = r->e;

	if (e->one_count < r->room)
		return;
	r->room = r->room ? r->room * 2 : ROOM_FIRST;
	e->ones = ff_realloc(e->ones, r->room, sizeof(*e->ones));
	r->vms = ff_realloc(r->vms, r->room, sizeof(*r->vms));
}

/* The first plan of a VM, or a new one before it was begun: a run that was gone on with looked at it anew. */
static int on_plan(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_engine *e = r->e;
	struct ff_scope *scope = scope_of(r, record);
	int64_t number = ff_node_int(record, "vm", 0);
	struct ff_one *one;

	if (scope == NULL || ff_node_str(record, "id") == NULL)
		return wrong(record, err, "it names no scope, or no id");
	if (number < 1 || (uint64_t)number > e->one_count + 1)
		return wrong(record, err, "its VM's number is not the next one");
	if ((uint64_t)number > e->one_count) {
		grow(r);
		one = &e->ones[e->one_count++];
		*one = (struct ff_one){0};
	} else {
		one = &e->ones[number - 1];
		if (one->attempted != 0 || one->touched || one->state == FF_ONE_ENDED)
			return wrong(record, err, "its VM was begun already");
		ff_one_release(e, one);
	}
	*one = (struct ff_one){.task.run = ff_one_run,
		.scope = scope,
		.number = (unsigned)number,
		.slot = -1,
		.row = FF_STEP_NONE,
		.at = -1,
		.state = FF_ONE_WAITING};
	set_facts(&one->facts, ff_node_get(record, "facts"));
	r->vms[number - 1] = (struct ff_replayed){.vm = restore_vm(e, record)};
	one->vm = r->vms[number - 1].vm;
	return 0;
}

static struct ff_rescue *rescue_by_id(const struct ff_engine *e, const struct ff_scope *scope, const char *id)
{
	for (size_t i = 0; i < e->rescue_count; i++)
		if (e->rescues[i]->scope == scope && ff_strcaseeq(e->rescues[i]->vm->id, id))
			return e->rescues[i];
	return NULL;
}

static struct ff_rescue *rescue_by_number(const struct ff_engine *e, int64_t number)
{
	for (size_t i = 0; i < e->rescue_count; i++)
		if (e->rescues[i]->recorded && (int64_t)e->rescues[i]->number == number)
			return e->rescues[i];
	return NULL;
}

/* Discovery's slots, the journal's facts: those are what the requests under way were made of. */
static int on_rescue(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_scope *scope = scope_of(r, record);
	const char *id = ff_node_str(record, "id");
	int64_t number = ff_node_int(record, "rescue", 0), slots = ff_node_int(record, "slots", 0);
	struct ff_rescue *rescue;

	if (scope == NULL || id == NULL || number < 1 || rescue_by_number(r->e, number) != NULL)
		return wrong(record, err, "it names no scope, no id or no new number");
	rescue = rescue_by_id(r->e, scope, id);
	if (rescue == NULL) {
		struct ff_vm *vm = restore_vm(r->e, record);

		vm->slots_max = slots > 0 && slots <= FF_SLOTS_MAX ? (unsigned)slots : FF_SLOTS_MAX;
		set_facts(&vm->facts, ff_node_get(record, "facts"));
		rescue = ff_rescue_restore(r->e, scope, vm);
	}
	rescue->number = (size_t)number;
	rescue->recorded = true;
	set_facts(&rescue->facts, ff_node_get(record, "facts"));
	return 0;
}

static int take_slot(struct ff_one *one, const struct ff_node *record, struct ff_err *err)
{
	int64_t slot = ff_node_int(record, "slot", -1);

	if (slot < 0 || slot >= FF_SLOTS_MAX)
		return wrong(record, err, "there is no such slot");
	one->slot = (int)slot;
	one->slot_held = true;
	one->slot_used = false;
	return 0;
}

/* The rescue VM, and the slot on it where there was one already; a flow that repairs nothing needs none. */
static int take_place(struct ff_replay *r, struct ff_one *one, const struct ff_node *record, struct ff_err *err)
{
	struct ff_rescue *rescue = rescue_by_number(r->e, ff_node_int(record, "rescue", 0));

	if (one->scope->repair_at < 0)
		return 0;
	if (rescue == NULL || rescue->scope != one->scope)
		return wrong(record, err, "there is no such rescue VM");
	one->rescue = rescue;
	one->slot = -1;
	one->slot_held = one->slot_used = false;
	return ff_node_get(record, "slot") != NULL ? take_slot(one, record, err) : 0;
}

static int on_admit(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = one_of(r, record, record, err);
	int64_t wall_ms = 0;

	if (one == NULL)
		return -1;
	if (one->attempted != 0 || one->state == FF_ONE_ENDED)
		return wrong(record, err, "its VM was begun already");
	if (ff_time_parse(ff_node_str(record, "t"), &wall_ms) < 0 || wall_ms <= 0)
		return wrong(record, err, "its time cannot be read");
	*trace_of(r, one) = (struct ff_replayed){.vm = trace_of(r, one)->vm, .begun_ms = wall_ms};
	one->row = FF_STEP_NONE; /* it may have been begun before, and have died before anything was done to it */
	one->at = -1;
	return take_place(r, one, record, err);
}

/* Who was made ready ahead of a slot has one now. */
static int on_slot(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = one_of(r, record, record, err);

	if (one == NULL)
		return -1;
	if (one->rescue == NULL || one->slot_held || one->homeward || one->state == FF_ONE_ENDED)
		return wrong(record, err, "its VM waits for no slot");
	return take_slot(one, record, err);
}

/* ---------------------------------------------------------------- steps */

static bool stands_in(const struct ff_one *one, const char *step)
{
	return one->row != FF_STEP_NONE && ff_streq(ff_one_row(one)->name, step);
}

static int enter(struct ff_replay *r, struct ff_one *one, int at, int row)
{
	one->at = (int16_t)at;
	one->row = (int16_t)row;
	one->attempts = 0;
	one->confirmed = one->same_token = false;
	*trace_of(r, one) = (struct ff_replayed){
		.vm = trace_of(r, one)->vm, .begun_ms = trace_of(r, one)->begun_ms, .within = true};
	return 0;
}

static int enter_forward(struct ff_replay *r, struct ff_one *one, const char *step)
{
	const int *order = one->scope->order;

	for (int at = one->at + 1; at < one->scope->count; at++)
		if (ff_streq(one->scope->provider->steps[order[at]].name, step))
			return enter(r, one, at, order[at]);
	return -1;
}

static int enter_home(struct ff_replay *r, struct ff_one *one, const char *step)
{
	const struct ff_provider *p = one->scope->provider;

	for (int at = one->at - 1; at >= 0; at--) {
		int undo = p->steps[one->scope->order[at]].undo;

		if (undo == FF_STEP_NONE || (one->attempted & (uint64_t)1 << at) == 0 ||
			(one->undone & (uint64_t)1 << undo) != 0 || !ff_streq(p->steps[undo].name, step))
			continue;
		one->undone |= (uint64_t)1 << undo;
		return enter(r, one, at, undo);
	}
	return -1;
}

/* The record tells of that step: the VM stands in it, or has come to it. Rows between were passed over. */
static int come_to(
	struct ff_replay *r, struct ff_one *one, const struct ff_node *record, const char *step, struct ff_err *err)
{
	ff_auto_free char *text = NULL;

	if (trace_of(r, one)->within && stands_in(one, step))
		return 0;
	if ((one->homeward ? enter_home(r, one, step) : enter_forward(r, one, step)) == 0)
		return 0;
	text = ff_printf("VM %u cannot be at step '%.64s'", one->number, step ? step : "");
	return wrong(record, err, text);
}

static int on_intent(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	const struct ff_node *members = ff_node_get(record, "members"), *member;

	ff_node_foreach(members, member)
	{
		struct ff_one *one = begun(r, record, member, err);
		const char *token = ff_node_str(member, "token");
		int64_t attempt = ff_node_int(member, "attempt", 1);

		if (one == NULL || come_to(r, one, record, ff_node_str(member, "step"), err) < 0)
			return -1;
		if (ff_row_is_repair(one) || !ff_streq(ff_node_str(member, "way"), one->homeward ? "home" : "forward"))
			return wrong(record, err, "no request can leave there");
		if (token == NULL || strlen(token) >= sizeof(one->token))
			return wrong(record, err, "a member has no token");
		memcpy(one->token, token, strlen(token) + 1);
		one->attempts = attempt > 0 && attempt < UINT16_MAX ? (uint16_t)attempt : 1;
		one->confirmed = false;
		ff_one_attempt(one);
		trace_of(r, one)->unknown = true;
		r->e->started = true;
	}
	return 0;
}

static void act_answered(struct ff_replay *r, struct ff_one *one, const struct ff_node *member, const char *meaning)
{
	one->touched = one->touched || ff_node_bool(member, "touched", false);
	one->confirmed = ff_streq(meaning, "done");
	/* an operation that goes on: the same request again is the same operation, where the cloud knows tokens */
	trace_of(r, one)->unknown = ff_node_bool(member, "unknown", false) || ff_streq(meaning, "started");
}

static void poll_answered(struct ff_replay *r, struct ff_one *one, const char *meaning)
{
	if (ff_streq(meaning, "wait") || ff_streq(meaning, "started"))
		return;
	one->confirmed = ff_streq(meaning, "done");
	trace_of(r, one)->unknown = false;
}

static int on_member_result(
	struct ff_replay *r, const struct ff_node *record, const struct ff_node *member, struct ff_err *err)
{
	const char *of = ff_node_str(record, "of"), *meaning = ff_node_str(member, "meaning");
	const char *step = ff_node_str(member, "step");
	struct ff_one *one = begun(r, record, member, err);
	const struct ff_node *facts = ff_node_get(member, "facts");

	if (one == NULL || come_to(r, one, record, step ? step : ff_node_str(record, "step"), err) < 0)
		return -1;
	if (ff_node_is(facts, FF_NODE_OBJECT))
		ff_node_merge(one->facts, facts);
	if (ff_streq(of, "act"))
		act_answered(r, one, member, meaning);
	else if (ff_streq(of, "poll"))
		poll_answered(r, one, meaning);
	else if (ff_streq(meaning, "done"))
		ff_one_found_done(one);
	else if (ff_streq(meaning, "not-done"))
		one->confirmed = false;
	return 0;
}

static int on_result(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	const struct ff_node *facts = ff_node_get(record, "rescue_facts"), *members = ff_node_get(record, "members");
	const struct ff_node *member;
	struct ff_rescue *rescue;

	ff_node_foreach(members, member) if (on_member_result(r, record, member, err) < 0) return -1;
	if (!ff_node_is(facts, FF_NODE_OBJECT))
		return 0;
	rescue = rescue_by_number(r->e, ff_node_int(record, "rescue", 0));
	if (rescue == NULL)
		return wrong(record, err, "it is about a rescue VM that is not known");
	ff_node_merge(rescue->facts, facts);
	return 0;
}

static int on_step(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = begun(r, record, record, err);

	if (one == NULL || come_to(r, one, record, ff_node_str(record, "step"), err) < 0)
		return -1;
	if (ff_row_is_repair(one))
		ff_one_mended(one, one->kept ? one->kept : r->e->no_files);
	if (ff_one_puts_disk_back(one))
		one->put_back = true;
	if (ff_one_frees_slot(one))
		one->slot_held = false;
	trace_of(r, one)->within = false;
	return 0;
}

/* ---------------------------------------------------------------- the worker */

static int on_job(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = begun(r, record, record, err);

	if (one == NULL)
		return -1;
	if (one->homeward || one->scope->repair_at < 0)
		return wrong(record, err, "its VM has nothing to mend");
	return come_to(r, one, record, one->scope->provider->steps[one->scope->order[one->scope->repair_at]].name, err);
}

/* From here on the worker may have written. */
static int on_keep_end(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = begun(r, record, record, err);
	ff_auto_json json_t *files = ff_node_json(ff_node_get(record, "files"));
	json_t *all;

	if (one == NULL || on_job(r, record, err) < 0)
		return -1;
	all = ff_kept_with(one->kept, files);
	json_decref(one->kept);
	one->kept = all;
	one->kept_times += one->kept_times < UINT8_MAX;
	return 0;
}

/* ---------------------------------------------------------------- turns and ends */

static int on_turn(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = begun(r, record, record, err);
	const char *step = ff_node_str(record, "step");

	if (one == NULL || (!stands_in(one, step) && come_to(r, one, record, step, err) < 0))
		return -1;
	if (one->homeward || one->row == FF_STEP_NONE)
		return wrong(record, err, "its VM cannot turn there");
	one->goal = (uint8_t)ff_outcome_from_name(ff_node_str(record, "goal"));
	one->class = (uint8_t)ff_class_from_name(ff_node_str(record, "class"));
	set_text(&one->reason, ff_node_str(record, "why"));
	trace_of(r, one)->within = false;
	if (one->goal == FF_O_NONE)
		return wrong(record, err, "it has no goal");
	if (one->put_back) {
		one->tail = true;
		return 0;
	}
	json_decref(FF_STEAL(one->removed));
	one->homeward = true;
	one->at++; /* the row it stands in has an undo too */
	return 0;
}

static int on_miss(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = begun(r, record, record, err);

	if (one == NULL || come_to(r, one, record, ff_node_str(record, "step"), err) < 0)
		return -1;
	one->goal = (uint8_t)ff_outcome_from_name(ff_node_str(record, "goal"));
	set_text(&one->reason, ff_node_str(record, "why"));
	trace_of(r, one)->within = false;
	return 0;
}

static int on_end(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_one *one = one_of(r, record, record, err);
	enum ff_outcome outcome = ff_outcome_from_name(ff_node_str(record, "outcome"));
	const char *class = ff_node_str(record, "class");
	const struct ff_node *removed = ff_node_get(record, "removed");

	if (one == NULL)
		return -1;
	if (one->state == FF_ONE_ENDED || outcome == FF_O_NONE)
		return wrong(record, err, "its VM ended before, or it has no outcome");
	one->state = FF_ONE_ENDED;
	one->outcome = (uint8_t)outcome;
	one->class = class ? (uint8_t)ff_class_from_name(class) : FF_E_NONE;
	one->took_ms = ff_node_int(record, "ms", 0);
	set_text(&one->reason, ff_node_str(record, "reason"));
	json_decref(one->removed);
	one->removed = ff_node_is(removed, FF_NODE_ARRAY) ? ff_node_json(removed) : NULL;
	if (ff_node_is(ff_node_get(record, "by_hand"), FF_NODE_ARRAY))
		one->by_hand = ff_node_json(ff_node_get(record, "by_hand"));
	return 0;
}

static int on_finish(struct ff_replay *r, const struct ff_node *record, struct ff_err *err)
{
	(void)record;
	(void)err;
	r->finished = true;
	return 0;
}

/* A kind that is not here changes nothing of a VM's state. */
static const struct {
	const char *kind;
	int (*on)(struct ff_replay *r, const struct ff_node *record, struct ff_err *err);
} kinds[] = {
	{"run", on_run},
	{"scope", on_scope},
	{"plan", on_plan},
	{"rescue", on_rescue},
	{"admit", on_admit},
	{"slot", on_slot},
	{"intent", on_intent},
	{"result", on_result},
	{"step", on_step},
	{"job", on_job},
	{"keep-end", on_keep_end},
	{"turn", on_turn},
	{"miss", on_miss},
	{"end", on_end},
	{"finish", on_finish},
};

int ff_replay_record(void *replay, const struct ff_node *record, struct ff_err *err)
{
	struct ff_replay *r = replay;
	const char *kind = ff_node_str(record, "k");

	for (size_t i = 0; i < FF_COUNT(kinds); i++)
		if (ff_streq(kind, kinds[i].kind))
			return kinds[i].on(r, record, err);
	return 0;
}

void ff_replay_release(struct ff_replay *r)
{
	free(r->vms);
}
