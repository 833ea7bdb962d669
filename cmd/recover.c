/*
 * resume --from-cloud: the folder of a run is lost. The VMs that bear its claim are found by it, what their tags say
 * takes the place of the journal, and their disks come home, mended or not. The new journal has the old run's id, so
 * that its claims are its own, and can itself be gone on with.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fixfleet/json.h"

struct lost {
	const char *run; /* borrowed of the options or of a VM's facts */
	char *run_dir;
	json_t **facts; /* one a selected VM */
	size_t not_offered;
};

static const char *claim_of(const struct ff_vm *vm)
{
	return ff_json_str(vm->facts, "claim/run");
}

/* ---------------------------------------------------------------- which run */

static int run_of(struct found *f, struct lost *l, struct ff_err *err)
{
	if (l->run != NULL)
		return 0;
	for (size_t s = 0; s < ff_engine_scope_count(f->engine); s++) {
		struct ff_vm **vms;
		size_t n;

		if (ff_engine_scope_error(f->engine, s) != NULL)
			continue;
		n = ff_engine_scope_provider(f->engine, s)->vms(ff_engine_scope_cloud(f->engine, s), &vms);
		for (size_t i = 0; i < n; i++) {
			const char *run = claim_of(vms[i]);

			if (run != NULL && l->run != NULL && !ff_streq(run, l->run))
				return ff_fail(err, FF_E_USAGE,
					"VMs are claimed by several runs, '%.64s' and '%.64s' among them: say which "
					"one is lost",
					l->run, run);
			l->run = l->run ? l->run : run;
		}
	}
	return l->run ? 0 : ff_fail(err, FF_E_USAGE, "no VM in scope bears a claim; nothing was changed");
}

/* Run ids go into requests and folders: those of claims come from outside. */
static int check_run(const char *run, struct ff_err *err)
{
	size_t n = run ? strlen(run) : 0;

	if (n == 0 || n > 40 || strspn(run, "abcdefghijklmnopqrstuvwxyz0123456789-") != n) {
		ff_auto_free char *clean = ff_printable(run ? run : "");

		return ff_fail(err, FF_E_USAGE, "'%.64s' is not the id of a run", clean);
	}
	return 0;
}

/* ---------------------------------------------------------------- on whom */

/* What the operator can do about a VM whose tags do not tell enough. */
static void say_what_helps(const struct lost *l, const struct found *f, size_t scope, struct ff_vm *vm)
{
	const struct ff_provider *provider = ff_engine_scope_provider(f->engine, scope);
	const char *was = ff_json_str(vm->facts, "claim/was");
	struct ff_member m = {.vm = vm, .facts = vm->facts, .slot = -1, .step = FF_STEP_NONE, .run = l->run};
	struct ff_strv commands = {0};

	if (provider->by_hand == NULL || ff_json_str(vm->facts, "claim/lacks") == NULL)
		return;
	vm->running = !ff_streq(was, "stopped"); /* unknown: the command is shown */
	provider->by_hand(ff_engine_scope_cloud(f->engine, scope), &m, &commands);
	if (commands.count > 0)
		ff_log(FF_LOG_ERROR, vm->name, "by hand:");
	for (size_t i = 0; i < commands.count; i++)
		ff_log(FF_LOG_ERROR, vm->name, "  %s", commands.items[i]);
	ff_strv_free(&commands);
}

static void take(struct lost *l, struct found *f, size_t scope, struct ff_vm *vm)
{
	const struct ff_provider *provider = ff_engine_scope_provider(f->engine, scope);
	struct ff_err err = {0};
	json_t *facts;

	if (!ff_streq(claim_of(vm), l->run))
		return;
	facts = provider->recall(
		ff_engine_scope_cloud(f->engine, scope), vm, FF_FLOW_RECOVER, l->run, false, NULL, NULL, &err);
	if (facts == NULL) {
		ff_log(FF_LOG_ERROR, vm->name, "cannot be brought home by its tags: %s", err.text);
		say_what_helps(l, f, scope, vm);
		l->not_offered++;
		return;
	}
	vm->running = ff_streq(ff_json_str(facts, "claim/was"), "running"); /* before it was stopped */
	f->vms = ff_realloc(f->vms, f->count + 1, sizeof(*f->vms));
	l->facts = ff_realloc(l->facts, f->count + 1, sizeof(json_t *));
	l->facts[f->count] = facts;
	f->vms[f->count++] = (struct ff_selected){.scope = scope, .vm = vm, .facts = facts};
	ff_log(FF_LOG_INFO, vm->name, "bring home: it is %s and was %s before", vm->state,
		vm->running ? "running" : "stopped");
}

static void choose(struct lost *l, struct found *f)
{
	for (size_t s = 0; s < ff_engine_scope_count(f->engine); s++) {
		const struct ff_provider *provider = ff_engine_scope_provider(f->engine, s);
		struct ff_vm **vms;
		size_t n;

		if (ff_engine_scope_error(f->engine, s) != NULL || provider->recover == NULL)
			continue;
		n = provider->vms(ff_engine_scope_cloud(f->engine, s), &vms);
		for (size_t i = 0; i < n; i++)
			take(l, f, s, vms[i]);
	}
}

static int confirm(const struct lost *l, const struct found *f, const struct options *o)
{
	ff_auto_free char *question =
		ff_printf("is run %s surely dead, and are %zu VMs to get their disks back?", l->run, f->count);
	int answer = o->yes ? 1 : ask_operator(question);

	if (answer < 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "no terminal to ask on: give --yes when run %s is surely dead",
			l->run);
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
static int carry_out(struct lost *l, struct found *f, struct options *o, struct view *view)
{
	ff_auto_json json_t *info = NULL;
	struct ff_err err = {0};
	int status;

	if (run_of(f, l, &err) < 0 || check_run(l->run, &err) < 0)
		return fail_with(&err);
	ff_engine_name(f->engine, l->run);
	choose(l, f);
	if (f->count == 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "no VM in scope can be brought home; nothing was changed");
		return EXIT_NOTHING;
	}
	status = confirm(l, f, o);
	if (status != EXIT_OK)
		return status;
	l->run_dir = new_run_dir(o, l->run, &err);
	info = options_describe(o, f);
	if (l->run_dir == NULL || ff_runtime_open_run(f->runtime, l->run_dir, &err) < 0 ||
		ff_engine_repair(f->engine, f->vms, f->count, info, &err) < 0)
		return fail_with(&err);
	status = run_to_end(f, o, view, l->run, l->run_dir);
	return status == EXIT_OK && l->not_offered > 0 ? EXIT_FAILED : status;
}

int recover(struct options *o)
{
	struct lost l = {.run = o->operands.count > 0 ? o->operands.items[0] : NULL};
	ff_auto_json json_t *no_recipes = json_array();
	ff_auto_free char *by = operator_name();
	struct found f = {.going_on = true};
	struct view *view = view_new(o->verbosity < 0);
	struct ff_engine_config config = find_config(o, NULL, view);
	struct ff_err err = {0};
	int status;

	config.run = l.run;
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
		status = carry_out(&l, &f, o, view);
	view_free(view);
	for (size_t i = 0; l.facts != NULL && i < f.count; i++)
		json_decref(l.facts[i]);
	free(l.facts);
	free(l.run_dir);
	found_release(&f);
	return status;
}
