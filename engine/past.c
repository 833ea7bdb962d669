/* A run as its journal tells it: the records replayed, nothing looked at. */
#include "fixfleet/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"

#define ROOM_FIRST 64

struct replay {
	struct ff_past *past;
	size_t room;
};

static void set_text(char **to, const char *text)
{
	if (text == NULL)
		return;
	free(*to);
	*to = ff_strdup(text);
}

/* The VM that a record, or one member of it, is about. */
static struct ff_past_vm *vm_of(
	struct replay *r, const struct ff_node *record, const struct ff_node *about, struct ff_err *err)
{
	int64_t number = ff_node_int(about, "vm", 0);

	if (number < 1 || (uint64_t)number > r->past->count) {
		ff_fail(err, FF_E_LOCAL, "journal record %" PRId64 " is about VM %" PRId64 ", which no plan names",
			ff_node_int(record, "n", 0), number);
		return NULL;
	}
	return &r->past->vms[number - 1];
}

/* ---------------------------------------------------------------- one function a kind */

static int on_run(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	(void)err;
	set_text(&r->past->run, ff_node_str(record, "run"));
	set_text(&r->past->program, ff_node_str(record, "program"));
	set_text(&r->past->flow, ff_node_str(record, "flow"));
	set_text(&r->past->of, ff_node_str(record, "of"));
	set_text(&r->past->started, ff_node_str(record, "t"));
	r->past->selected = (size_t)(ff_node_int(record, "vms", 0) > 0 ? ff_node_int(record, "vms", 0) : 0);
	json_decref(r->past->info);
	r->past->info = ff_node_json(ff_node_get(record, "info"));
	json_decref(r->past->recipes);
	r->past->recipes = ff_node_json(ff_node_get(record, "recipes"));
	return 0;
}

/* Before it was begun a VM may be planned anew, by a run that was gone on with. */
static int on_plan(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_past *past = r->past;
	const struct ff_node *facts = ff_node_get(record, "facts");
	int64_t number = ff_node_int(record, "vm", 0);
	struct ff_past_vm *vm;

	if (number >= 1 && (uint64_t)number <= past->count) {
		vm = &past->vms[number - 1];
		json_decref(vm->facts);
		vm->facts = ff_node_is(facts, FF_NODE_OBJECT) ? ff_node_json(facts) : json_object();
		free(FF_STEAL(vm->step));
		set_text(&vm->where, ff_node_str(record, "where"));
		return 0;
	}
	if (number != (int64_t)past->count + 1)
		return ff_fail(err, FF_E_LOCAL, "journal record %" PRId64 " plans VM %" PRId64 ", expected %zu",
			ff_node_int(record, "n", 0), ff_node_int(record, "vm", 0), past->count + 1);
	if (past->count == r->room) {
		r->room = r->room ? r->room * 2 : ROOM_FIRST;
		past->vms = ff_realloc(past->vms, r->room, sizeof(*past->vms));
	}
	vm = &past->vms[past->count++];
	*vm = (struct ff_past_vm){.removed = json_array()};
	set_text(&vm->provider, ff_node_str(record, "provider"));
	set_text(&vm->id, ff_node_str(record, "id"));
	set_text(&vm->name, ff_node_str(record, "name"));
	set_text(&vm->where, ff_node_str(record, "where"));
	vm->facts = ff_node_is(facts, FF_NODE_OBJECT) ? ff_node_json(facts) : json_object();
	return 0;
}

static int on_members(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	const struct ff_node *members = ff_node_get(record, "members"), *member;

	ff_node_foreach(members, member)
	{
		struct ff_past_vm *vm = vm_of(r, record, member, err);
		const char *step = ff_node_str(member, "step");

		if (vm == NULL)
			return -1;
		set_text(&vm->step, step ? step : ff_node_str(record, "step"));
		if (ff_node_is(ff_node_get(member, "facts"), FF_NODE_OBJECT))
			ff_node_merge(vm->facts, ff_node_get(member, "facts"));
	}
	return 0;
}

static int on_step(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_past_vm *vm = vm_of(r, record, record, err);

	if (vm == NULL)
		return -1;
	set_text(&vm->step, ff_node_str(record, "step"));
	set_text(&vm->where, ff_node_str(record, "where"));
	return 0;
}

static int on_job(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_past_vm *vm = vm_of(r, record, record, err);

	if (vm == NULL)
		return -1;
	set_text(&vm->step, "repair");
	return 0;
}

static int on_turn(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_past_vm *vm = vm_of(r, record, record, err);

	if (vm == NULL)
		return -1;
	set_text(&vm->reason, ff_node_str(record, "why"));
	return 0;
}

static int on_end(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	struct ff_past_vm *vm = vm_of(r, record, record, err);
	const struct ff_node *removed = ff_node_get(record, "removed");

	if (vm == NULL)
		return -1;
	set_text(&vm->outcome, ff_node_str(record, "outcome"));
	set_text(&vm->reason, ff_node_str(record, "reason"));
	set_text(&vm->where, ff_node_str(record, "where"));
	vm->took_ms = ff_node_int(record, "ms", 0);
	if (vm->by_hand == NULL && ff_node_is(ff_node_get(record, "by_hand"), FF_NODE_ARRAY))
		vm->by_hand = ff_node_json(ff_node_get(record, "by_hand"));
	if (ff_node_is(removed, FF_NODE_ARRAY)) {
		json_decref(vm->removed);
		vm->removed = ff_node_json(removed);
	}
	return 0;
}

static int on_finish(struct replay *r, const struct ff_node *record, struct ff_err *err)
{
	(void)err;
	set_text(&r->past->ended, ff_node_str(record, "t"));
	return 0;
}

/* A kind that is not here says nothing about where a VM stands. */
static const struct {
	const char *kind;
	int (*on)(struct replay *r, const struct ff_node *record, struct ff_err *err);
} kinds[] = {
	{"run", on_run},
	{"plan", on_plan},
	{"intent", on_members},
	{"result", on_members},
	{"step", on_step},
	{"job", on_job},
	{"turn", on_turn},
	{"miss", on_turn},
	{"end", on_end},
	{"finish", on_finish},
};

static int each(void *arg, const struct ff_node *record, struct ff_err *err)
{
	const char *kind = ff_node_str(record, "k");

	for (size_t i = 0; i < FF_COUNT(kinds); i++)
		if (ff_streq(kind, kinds[i].kind))
			return kinds[i].on(arg, record, err);
	return 0;
}

/* A VM without step or outcome has none; the other texts are always there. */
static void fill_gaps(struct ff_past *past)
{
	for (size_t i = 0; i < past->count; i++) {
		struct ff_past_vm *vm = &past->vms[i];
		char **texts[] = {&vm->provider, &vm->id, &vm->name, &vm->reason, &vm->where};

		for (size_t t = 0; t < FF_COUNT(texts); t++)
			if (*texts[t] == NULL)
				*texts[t] = ff_strdup("");
	}
}

int ff_past_read(struct ff_source journal, struct ff_past *past, struct ff_err *err)
{
	struct replay r = {.past = past};
	struct ff_chain chain;
	size_t sound;

	*past = (struct ff_past){0};
	if (ff_journal_read(journal, each, &r, &chain, &sound, err) < 0) {
		ff_past_release(past);
		return -1;
	}
	if (past->run == NULL) {
		ff_past_release(past);
		return ff_fail(err, FF_E_LOCAL, "the journal holds no run: nothing was begun");
	}
	past->torn = sound < journal.len;
	fill_gaps(past);
	return 0;
}

void ff_past_forget_vms(struct ff_past *past)
{
	for (size_t i = 0; i < past->count; i++) {
		struct ff_past_vm *vm = &past->vms[i];

		free(vm->provider);
		free(vm->id);
		free(vm->name);
		free(vm->step);
		free(vm->outcome);
		free(vm->reason);
		free(vm->where);
		json_decref(vm->facts);
		json_decref(vm->removed);
		json_decref(vm->by_hand);
	}
	free(FF_STEAL(past->vms));
	past->count = 0;
}

void ff_past_release(struct ff_past *past)
{
	ff_past_forget_vms(past);
	free(past->run);
	free(past->program);
	free(past->flow);
	free(past->of);
	json_decref(past->recipes);
	free(past->started);
	free(past->ended);
	json_decref(past->info);
	*past = (struct ff_past){0};
}
