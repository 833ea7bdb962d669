/* Go on with a run: its options out of its journal, the same scopes, then what repair does after its plan. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fixfleet/json.h"
#include "fixfleet/recipe.h"

/* A run on its way through this file. */
struct again {
	char *folder;
	struct ff_past past;
};

static void again_release(struct again *a)
{
	ff_past_release(&a->past);
	free(a->folder);
}

/* What ended stays as it is: no cloud is asked. */
static int report_finished(const struct again *a, const struct options *o)
{
	size_t n = a->past.count;
	struct ff_vm *vms = ff_calloc(n ? n : 1, sizeof(*vms));
	struct ff_ended *ended = ff_calloc(n ? n : 1, sizeof(*ended));
	struct ff_result result = {
		.count = n, .ended = ended, .missing = a->past.selected > n ? a->past.selected - n : 0};
	int status;

	for (size_t i = 0; i < n; i++) {
		const struct ff_past_vm *vm = &a->past.vms[i];

		vms[i] = (struct ff_vm){.id = vm->id, .name = vm->name};
		ended[i] = (struct ff_ended){.provider = vm->provider,
			.vm = &vms[i],
			.outcome = ff_outcome_from_name(vm->outcome),
			.reason = vm->reason,
			.removed = vm->removed,
			.by_hand = vm->by_hand,
			.took_ms = vm->took_ms};
	}
	report_result(&result, a->past.run, a->folder, o->output);
	for (size_t i = 0; i < n; i++)
		say_by_hand(a->past.vms[i].name, a->past.vms[i].by_hand);
	ff_log(FF_LOG_INFO, NULL, "the run ended %s: there is nothing to go on with", a->past.ended);
	status = exit_status(&result, EXIT_OK);
	free(ended);
	free(vms);
	return status;
}

static int check_recipes(const json_t *recipes, struct ff_err *err)
{
	const json_t *recipe;
	size_t i;

	if (!json_is_array(recipes))
		return ff_fail(err, FF_E_LOCAL, "the journal holds no recipes");
	json_array_foreach ((json_t *)recipes, i, recipe)
		if (ff_recipe_check(recipe, err) < 0)
			return ff_wrap(err, "recipe %zu of the journal", i + 1);
	return 0;
}

static int read_run(struct again *a, struct options *o, struct ff_err *err)
{
	a->folder = run_find(o, true, err);
	if (a->folder == NULL || run_read(a->folder, &a->past, err) < 0)
		return -1;
	if (a->past.ended != NULL)
		return 0;
	if (!ff_streq(a->past.program, "fixfleet " FF_VERSION))
		return ff_fail(err, FF_E_LOCAL,
			"run '%s' was begun by '%s', this is 'fixfleet " FF_VERSION
			"': go on with the program that began it",
			a->folder, a->past.program ? a->past.program : "");
	if (ff_flow_from_name(a->past.flow) == FF_FLOW_COUNT)
		return ff_fail(err, FF_E_LOCAL, "run '%s': the journal holds an unknown flow", a->folder);
	if (options_recall(o, a->past.info, err) < 0 || check_recipes(a->past.recipes, err) < 0)
		return ff_wrap(err, "run '%s'", a->folder);
	return 0;
}

static int go_on(struct again *a, struct options *o, struct found *f, const struct key_sources *keys, struct view *view)
{
	ff_auto_free char *by = operator_name();
	struct ff_engine_config config = find_config(o, keys, view);
	struct ff_source journal;
	struct ff_err err = {0};
	int status;

	config.run = a->past.run;
	config.by = by;
	config.run_dir = a->folder;
	config.flow = ff_flow_from_name(a->past.flow);
	config.of = a->past.of;
	config.recipes = a->past.recipes;
	if (find_begin(f, o, &config, &err) < 0)
		return fail_with(&err);
	ff_past_forget_vms(&a->past); /* the engine learns of them from the journal */
	/* from here on nobody else writes: read it once more */
	if (ff_runtime_reopen_run(f->runtime, a->folder, &journal, &err) < 0)
		return fail_with(&err);
	status = find_all(f, o);
	if (status != 0)
		return status;
	if (ff_engine_resume(f->engine, journal, &err) < 0)
		return fail_with(&err);
	return run_to_end(f, o, view, a->past.run, a->folder);
}

static int check_options(const struct options *o, struct ff_err *err)
{
	if (o->scope_count > 0 || o->yes || o->run_dir != NULL)
		return ff_fail(err, FF_E_USAGE,
			"scopes, --yes and --run-dir are in the run's journal: give them with --from-cloud only");
	return 0;
}

int cmd_resume(struct options *o)
{
	struct again a = {0};
	struct key_sources keys = {0};
	struct found f = {.going_on = true};
	struct view *view;
	struct ff_err err = {0};
	int status;

	if (o->from_cloud)
		return recover(o);
	if (check_options(o, &err) < 0 || read_run(&a, o, &err) < 0) {
		status = fail_with(&err);
	} else if (a.past.ended != NULL) {
		status = report_finished(&a, o);
	} else if (key_sources_open(&keys, o, &err) < 0) {
		status = fail_with(&err);
	} else {
		ff_log(FF_LOG_INFO, NULL, "going on with run %s, begun %s", a.past.run, a.past.started);
		view = view_new(o->verbosity < 0);
		status = go_on(&a, o, &f, &keys, view);
		view_free(view);
		found_release(&f);
	}
	key_sources_release(&keys);
	again_release(&a);
	return status;
}
