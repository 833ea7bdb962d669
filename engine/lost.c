/* A run whose folder is lost: what the claims on VMs say takes the place of its journal. */
#include "fixfleet/lost.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

static const char *claim_of(const struct ff_vm *vm)
{
	return ff_json_str(vm->facts, "claim/run");
}

void ff_lost_release(struct ff_lost *lost)
{
	for (size_t i = 0; i < lost->count; i++)
		json_decref(lost->facts[i]);
	free(FF_STEAL(lost->facts));
	free(FF_STEAL(lost->vms));
	free(FF_STEAL(lost->not_offered));
	lost->count = lost->not_offered_count = 0;
}

/* The VMs of a scope that could be read; 0: it could not. */
static size_t vms_of(struct ff_engine *engine, size_t scope, struct ff_vm ***vms)
{
	if (ff_engine_scope_error(engine, scope) != NULL)
		return 0;
	return ff_engine_scope_provider(engine, scope)->vms(ff_engine_scope_cloud(engine, scope), vms);
}

/* ---------------------------------------------------------------- which run */

static int run_of(struct ff_lost *lost, struct ff_engine *engine, struct ff_err *err)
{
	if (lost->run != NULL)
		return 0;
	for (size_t s = 0; s < ff_engine_scope_count(engine); s++) {
		struct ff_vm **vms;
		size_t n = vms_of(engine, s, &vms);

		for (size_t i = 0; i < n; i++) {
			const char *run = claim_of(vms[i]);

			if (run != NULL && lost->run != NULL && !ff_streq(run, lost->run))
				return ff_fail(err, FF_E_USAGE,
					"VMs are claimed by several runs, '%.64s' and '%.64s' among them: say which "
					"one is lost",
					lost->run, run);
			lost->run = lost->run ? lost->run : run;
		}
	}
	return lost->run ? 0 : ff_fail(err, FF_E_USAGE, "no VM in scope bears a claim; nothing was changed");
}

/* Run ids go into requests and folders: those of claims come from outside. */
static int check_run(const char *run, struct ff_err *err)
{
	size_t n = strlen(run);

	if (n == 0 || n > 40 || strspn(run, "abcdefghijklmnopqrstuvwxyz0123456789-") != n) {
		ff_auto_free char *clean = ff_printable(run);

		return ff_fail(err, FF_E_USAGE, "'%.64s' is not the id of a run", clean);
	}
	return 0;
}

/* ---------------------------------------------------------------- on whom */

static void take(struct ff_lost *lost, struct ff_engine *engine, size_t scope, struct ff_vm *vm)
{
	const struct ff_provider *provider = ff_engine_scope_provider(engine, scope);
	struct ff_err why = {0};
	json_t *facts = provider->recall(
		ff_engine_scope_cloud(engine, scope), vm, FF_FLOW_RECOVER, lost->run, false, NULL, NULL, &why);

	if (facts == NULL) {
		lost->not_offered =
			ff_realloc(lost->not_offered, lost->not_offered_count + 1, sizeof(*lost->not_offered));
		lost->not_offered[lost->not_offered_count++] = (struct ff_lost_vm){scope, vm, why};
		return;
	}
	vm->running = ff_streq(ff_json_str(facts, "claim/was"), "running"); /* before it was stopped */
	lost->vms = ff_realloc(lost->vms, lost->count + 1, sizeof(*lost->vms));
	lost->facts = ff_realloc(lost->facts, lost->count + 1, sizeof(*lost->facts));
	lost->facts[lost->count] = facts;
	lost->vms[lost->count++] = (struct ff_selected){.scope = scope, .vm = vm, .facts = facts};
}

int ff_lost_find(struct ff_lost *lost, struct ff_engine *engine, struct ff_err *err)
{
	if (run_of(lost, engine, err) < 0 || check_run(lost->run, err) < 0)
		return -1;
	for (size_t s = 0; s < ff_engine_scope_count(engine); s++) {
		struct ff_vm **vms;
		size_t n = vms_of(engine, s, &vms);

		for (size_t i = 0; i < n && ff_engine_scope_provider(engine, s)->recover != NULL; i++)
			if (ff_streq(claim_of(vms[i]), lost->run))
				take(lost, engine, s, vms[i]);
	}
	return 0;
}

void ff_lost_by_hand(
	const struct ff_lost *lost, struct ff_engine *engine, const struct ff_lost_vm *one, struct ff_strv *commands)
{
	const struct ff_provider *provider = ff_engine_scope_provider(engine, one->scope);
	struct ff_member m = {
		.vm = one->vm, .facts = one->vm->facts, .slot = -1, .step = FF_STEP_NONE, .run = lost->run};

	if (provider->by_hand == NULL || ff_json_str(one->vm->facts, "claim/lacks") == NULL)
		return;
	one->vm->running = !ff_streq(ff_json_str(one->vm->facts, "claim/was"), "stopped");
	provider->by_hand(ff_engine_scope_cloud(engine, one->scope), &m, commands);
}
