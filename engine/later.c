/* Whom a rollback or a cleanup is done to: what the run of before says of a VM, and what was found of it now. */
#include "fixfleet/later.h"

#include <stdlib.h>

#include "state.h"

#include "fixfleet/json.h"

void ff_later_release(struct ff_later *later)
{
	for (size_t i = 0; i < later->count; i++) {
		json_decref(later->facts[i]);
		ff_left_release(&later->left[i]);
	}
	free(FF_STEAL(later->facts));
	free(FF_STEAL(later->left));
	free(FF_STEAL(later->vms));
	if (later->found != NULL)
		ff_table_free(later->found, free);
	free(FF_STEAL(later->found));
	later->count = 0;
}

int ff_later_check(const struct ff_past *past, const char *named, struct ff_err *err)
{
	enum ff_flow flow = ff_flow_from_name(past->flow);

	if (past->ended == NULL)
		return ff_fail(
			err, FF_E_USAGE, "run %s is not finished: fixfleet resume %s comes first", past->run, named);
	if (flow != FF_FLOW_REPAIR && flow != FF_FLOW_ROLLBACK)
		return ff_fail(err, FF_E_USAGE, "run %s is a %s: name the repair or rollback that it was about",
			past->run, past->flow ? past->flow : "run of an unknown kind");
	return 0;
}

/* It was stopped, its snapshot taken, and then there was nothing to mend: only a snapshot may be left of it. */
static bool was_clean(const struct ff_later *l, const struct ff_past_vm *vm)
{
	return l->flow == FF_FLOW_CLEANUP && ff_outcome_from_name(vm->outcome) == FF_O_CLEAN;
}

/* A mended disk is home: verified, or not. What failed before that left nothing to take back. */
static bool was_done(const struct ff_later *l, const struct ff_past_vm *vm)
{
	enum ff_outcome outcome = ff_outcome_from_name(vm->outcome);

	if (outcome == FF_O_REPAIRED || outcome == FF_O_ROLLED_BACK)
		return true;
	return l->flow == FF_FLOW_ROLLBACK && outcome == FF_O_FAILED_HOME && json_array_size(vm->removed) > 0;
}

/* So that ten thousand are found among ten thousand. Of two scopes that have a VM the first counts. */
static void index_vms(struct ff_later *l, struct ff_engine *engine)
{
	l->found = ff_calloc(1, sizeof(*l->found));
	for (size_t s = 0; s < ff_engine_scope_count(engine); s++) {
		const struct ff_provider *provider = ff_engine_scope_provider(engine, s);
		struct ff_vm **vms = NULL;
		size_t n = 0;

		if (ff_engine_scope_error(engine, s) == NULL)
			n = provider->vms(ff_engine_scope_cloud(engine, s), &vms);
		for (size_t i = 0; i < n; i++) {
			ff_auto_free char *key = ff_vm_key(provider->name, vms[i]->id);
			struct ff_selected *found;

			if (ff_table_get(l->found, key) != NULL)
				continue;
			found = ff_calloc(1, sizeof(*found));
			*found = (struct ff_selected){.scope = s, .vm = vms[i]};
			ff_table_set(l->found, key, found);
		}
	}
}

/* The VM as it was found now; all zero: it was not. */
static struct ff_selected find_vm(struct ff_later *l, struct ff_engine *engine, const struct ff_past_vm *past)
{
	ff_auto_free char *key = ff_vm_key(past->provider, past->id);
	const struct ff_selected *found;

	if (l->found == NULL)
		index_vms(l, engine);
	found = ff_table_get(l->found, key);
	return found != NULL ? *found : (struct ff_selected){0};
}

static json_t *recall(struct ff_later *l, struct ff_engine *engine, const struct ff_past *past,
	const struct ff_past_vm *vm, struct ff_selected *selected, struct ff_left *left, struct ff_err *why)
{
	const struct ff_provider *provider;

	*selected = find_vm(l, engine, vm);
	if (selected->vm == NULL) {
		ff_fail(why, FF_E_GONE, "it is not to be found any more, or its scope cannot be read");
		return NULL;
	}
	provider = ff_engine_scope_provider(engine, selected->scope);
	if (provider->recall == NULL) {
		ff_fail(why, FF_E_USAGE, "%s has no %s", provider->name, ff_flow_name(l->flow));
		return NULL;
	}
	return provider->recall(ff_engine_scope_cloud(engine, selected->scope), selected->vm, l->flow, past->run,
		ff_flow_from_name(past->flow) == FF_FLOW_ROLLBACK, vm->facts, left, why);
}

enum ff_later_verdict ff_later_take(struct ff_later *l, struct ff_engine *engine, const struct ff_past *past,
	const struct ff_past_vm *vm, struct ff_err *why)
{
	struct ff_selected selected = {0};
	struct ff_left left = {0};
	json_t *facts;

	if (!was_done(l, vm) && !was_clean(l, vm))
		return FF_LATER_NOT_MENDED;
	facts = recall(l, engine, past, vm, &selected, &left, why);
	if (facts == NULL) /* of who was clean Azure's copy went at once, and there may be no snapshot */
		return selected.vm != NULL && was_clean(l, vm) ? FF_LATER_NOTHING : FF_LATER_LEFT_ALONE;
	selected.facts = facts;
	if (l->vms == NULL) {
		l->vms = ff_calloc(past->count, sizeof(*l->vms));
		l->left = ff_calloc(past->count, sizeof(*l->left));
		l->facts = ff_calloc(past->count, sizeof(json_t *));
	}
	l->facts[l->count] = facts;
	l->left[l->count] = left;
	l->vms[l->count++] = selected;
	return FF_LATER_TAKEN;
}
