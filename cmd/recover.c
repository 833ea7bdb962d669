/*
 * resume --from-cloud: the folder of a run is lost. The VMs that bear its claim are found by it, what their tags say
 * takes the place of the journal, and their disks come home, mended or not. The new journal has the old run's id, so
 * that its claims are its own, and can itself be gone on with.
 */
#include "cmd.h"
#include "fixfleet/lost.h"

static void say_what_helps(const struct ff_lost *lost, const struct found *f, const struct ff_lost_vm *one)
{
	struct ff_strv commands = {0};

	ff_lost_by_hand(lost, f->engine, one, &commands);
	if (commands.count > 0)
		ff_log(FF_LOG_ERROR, one->vm->name, "by hand:");
	for (size_t i = 0; i < commands.count; i++)
		ff_log(FF_LOG_ERROR, one->vm->name, "  %s", commands.items[i]);
	ff_strv_free(&commands);
}

/* Who comes home, and what the operator can do about those whose tags do not tell enough. */
static void show(const struct ff_lost *lost, const struct found *f)
{
	for (size_t i = 0; i < lost->not_offered_count; i++) {
		const struct ff_lost_vm *one = &lost->not_offered[i];

		ff_log(FF_LOG_ERROR, one->vm->name, "cannot be brought home by its tags: %s", one->why.text);
		say_what_helps(lost, f, one);
	}
	for (size_t i = 0; i < lost->count; i++)
		ff_log(FF_LOG_INFO, lost->vms[i].vm->name, "bring home: it is %s and was %s before",
			lost->vms[i].vm->state, lost->vms[i].vm->running ? "running" : "stopped");
}

static int confirm(const struct ff_lost *lost, const struct found *f, const struct options *o)
{
	ff_auto_free char *question =
		ff_printf("is run %s surely dead, and are %zu VMs to get their disks back?", lost->run, f->count);
	int answer = o->yes ? 1 : ask_operator(question);

	if (answer < 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "no terminal to ask on: give --yes when run %s is surely dead",
			lost->run);
		return EXIT_USAGE;
	}
	if (answer == 0 || ff_runtime_interrupted(f->runtime)) {
		ff_log(FF_LOG_INFO, NULL, "nothing was changed");
		return EXIT_INTERRUPT;
	}
	return EXIT_OK;
}

/* ---------------------------------------------------------------- the run */

/* The id is known only when the claims are: it is told to the engine before anything is selected. */
static int carry_out(struct ff_lost *lost, struct found *f, struct options *o, struct view *view)
{
	ff_auto_json json_t *info = NULL;
	ff_auto_free char *run_dir = NULL;
	struct ff_err err = {0};
	int status;

	if (ff_lost_find(lost, f->engine, &err) < 0)
		return fail_with(&err);
	ff_engine_name(f->engine, lost->run);
	show(lost, f);
	f->vms = FF_STEAL(lost->vms);
	f->count = lost->count;
	if (f->count == 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "no VM in scope can be brought home; nothing was changed");
		return EXIT_NOTHING;
	}
	status = confirm(lost, f, o);
	if (status != EXIT_OK)
		return status;
	run_dir = new_run_dir(o, lost->run, &err);
	info = options_describe(o, f);
	if (run_dir == NULL || ff_runtime_open_run(f->runtime, run_dir, &err) < 0 ||
		ff_engine_repair(f->engine, f->vms, f->count, info, &err) < 0)
		return fail_with(&err);
	status = run_to_end(f, o, view, lost->run, run_dir);
	ff_log(FF_LOG_INFO, NULL,
		"what run %s has kept for a way back (snapshots, replaced disks) stays, known by its tag "
		"fixfleet-run=%s alone",
		lost->run, lost->run);
	return status == EXIT_OK && lost->not_offered_count > 0 ? EXIT_FAILED : status;
}

int recover(struct options *o)
{
	struct ff_lost lost = {.run = o->operands.count > 0 ? o->operands.items[0] : NULL};
	ff_auto_json json_t *no_recipes = json_array();
	ff_auto_free char *by = operator_name();
	struct found f = {.going_on = true};
	struct view *view = view_new(o->verbosity < 0);
	struct ff_engine_config config = find_config(o, NULL, view);
	struct ff_err err = {0};
	int status;

	config.run = lost.run;
	config.by = by;
	config.flow = FF_FLOW_RECOVER;
	config.recipes = no_recipes;
	config.canary = 0; /* each of them is away */
	if (o->operands.count > 1)
		status = ff_fail(&err, FF_E_USAGE, "one run is taken, not %zu", o->operands.count);
	else
		status = find_begin(&f, o, &config, &err);
	if (status < 0)
		status = fail_with(&err);
	else if ((status = find_all(&f, o)) == 0)
		status = carry_out(&lost, &f, o, view);
	view_free(view);
	ff_lost_release(&lost);
	found_release(&f);
	return status;
}
