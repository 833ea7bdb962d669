/* What comes after a repair: rollback and cleanup. The run's journal says what was done, the clouds what is there now.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fixfleet/json.h"

#define LINES_MAX 40

/* An earlier run, and what is to be done about it. */
struct later {
	enum ff_flow flow;
	struct ff_past past;
	bool rolled_back; /* it was itself a rollback */
	char *of_folder, *id, *run_dir;
	size_t left_alone;
	struct ff_left *left; /* one a selected VM */
	json_t **facts;
};

static void later_release(struct later *l, size_t count)
{
	for (size_t i = 0; i < count && l->facts != NULL && l->left != NULL; i++) {
		json_decref(l->facts[i]);
		ff_left_release(&l->left[i]);
	}
	free(l->facts);
	free(l->left);
	free(l->of_folder);
	free(l->id);
	free(l->run_dir);
	ff_past_release(&l->past);
}

static bool is_rollback(const struct later *l)
{
	return l->flow == FF_FLOW_ROLLBACK;
}

/* ---------------------------------------------------------------- the run of before */

static int check_run(struct later *l, struct ff_err *err)
{
	enum ff_flow flow = ff_flow_from_name(l->past.flow);

	if (l->past.ended == NULL)
		return ff_fail(err, FF_E_USAGE, "run %s is not finished: fixfleet resume %s comes first", l->past.run,
			l->of_folder);
	if (flow != FF_FLOW_REPAIR && flow != FF_FLOW_ROLLBACK)
		return ff_fail(err, FF_E_USAGE, "run %s is a %s: name the repair or rollback that it was about",
			l->past.run, l->past.flow ? l->past.flow : "run of an unknown kind");
	l->rolled_back = flow == FF_FLOW_ROLLBACK;
	return 0;
}

static int read_run(struct later *l, struct options *o, struct ff_err *err)
{
	ff_auto_free char *journal = NULL;
	size_t len = 0;

	if (o->operands.count == 0)
		return ff_fail(err, FF_E_USAGE, "%s needs a run: its id or folder", ff_flow_name(l->flow));
	if (o->operands.count > 1 && !is_rollback(l))
		return ff_fail(err, FF_E_USAGE, "one run is taken, not %zu", o->operands.count);
	l->of_folder = run_named(o->operands.items[0], err);
	if (l->of_folder == NULL)
		return -1;
	journal = run_read(l->of_folder, &len, err);
	if (journal == NULL || ff_past_read(journal, len, &l->past, err) < 0 ||
		options_recall(o, l->past.info, err) < 0)
		return ff_wrap(err, "run '%s'", l->of_folder);
	return check_run(l, err);
}

/* ---------------------------------------------------------------- on whom */

/* VM operands: names or ids. None: all. */
static bool is_named(const struct options *o, const struct ff_past_vm *vm)
{
	for (size_t i = 1; i < o->operands.count; i++)
		if (ff_streq(o->operands.items[i], vm->name) || ff_strcaseeq(o->operands.items[i], vm->id))
			return true;
	return o->operands.count <= 1;
}

static int check_names(const struct later *l, const struct options *o, struct ff_err *err)
{
	for (size_t i = 1; i < o->operands.count; i++) {
		bool there = false;

		for (size_t k = 0; k < l->past.count && !there; k++)
			there = ff_streq(o->operands.items[i], l->past.vms[k].name) ||
				ff_strcaseeq(o->operands.items[i], l->past.vms[k].id);
		if (!there)
			return ff_fail(err, FF_E_USAGE, "run %s has no VM '%s'; nothing was changed", l->past.run,
				o->operands.items[i]);
	}
	return 0;
}

/* It was stopped, its snapshot taken, and then there was nothing to mend: only a snapshot may be left of it. */
static bool was_clean(const struct later *l, const struct ff_past_vm *vm)
{
	return !is_rollback(l) && ff_outcome_from_name(vm->outcome) == FF_O_CLEAN;
}

/* A mended disk is home: verified, or not. What failed before that left nothing to take back. */
static bool was_done(const struct later *l, const struct ff_past_vm *vm)
{
	enum ff_outcome outcome = ff_outcome_from_name(vm->outcome);

	if (outcome == FF_O_REPAIRED || outcome == FF_O_ROLLED_BACK)
		return true;
	return is_rollback(l) && outcome == FF_O_FAILED_HOME && json_array_size(vm->removed) > 0;
}

/* The VM as it was found now; *scope: where. */
static struct ff_vm *find_vm(const struct found *f, const struct ff_past_vm *past, size_t *scope)
{
	for (size_t s = 0; s < ff_engine_scope_count(f->engine); s++) {
		const struct ff_provider *provider = ff_engine_scope_provider(f->engine, s);
		struct ff_vm **vms;
		size_t n;

		if (ff_engine_scope_error(f->engine, s) != NULL || !ff_streq(provider->name, past->provider))
			continue;
		n = provider->vms(ff_engine_scope_cloud(f->engine, s), &vms);
		for (size_t i = 0; i < n; i++) {
			if (ff_strcaseeq(vms[i]->id, past->id)) {
				*scope = s;
				return vms[i];
			}
		}
	}
	return NULL;
}

static void leave_alone(struct later *l, const struct ff_past_vm *vm, const char *why)
{
	l->left_alone++;
	ff_log(FF_LOG_WARN, vm->name, "left alone: %s", why);
}

static void take(struct later *l, struct found *f, const struct ff_past_vm *past)
{
	size_t scope = 0;
	struct ff_vm *vm = find_vm(f, past, &scope);
	const struct ff_provider *provider;
	struct ff_err err = {0};
	struct ff_left left = {0};
	json_t *facts;

	if (vm == NULL) {
		leave_alone(l, past, "it is not to be found any more, or its scope cannot be read");
		return;
	}
	provider = ff_engine_scope_provider(f->engine, scope);
	facts = provider->recall == NULL ? NULL
					 : provider->recall(ff_engine_scope_cloud(f->engine, scope), vm, l->flow,
						   l->past.run, l->rolled_back, past->facts, &left, &err);
	if (facts == NULL && was_clean(l, past)) { /* on Azure its copy went at once, and there may be no snapshot */
		ff_log(FF_LOG_DEBUG, past->name, "nothing is left of it: %s", err.text);
		return;
	}
	if (facts == NULL) {
		leave_alone(l, past, err.text);
		return;
	}
	l->facts[f->count] = facts;
	l->left[f->count] = left;
	f->vms[f->count++] = (struct ff_selected){.scope = scope, .vm = vm, .facts = facts};
}

static void choose(struct later *l, struct found *f, const struct options *o)
{
	size_t n = l->past.count ? l->past.count : 1;

	f->vms = ff_calloc(n, sizeof(*f->vms));
	l->facts = ff_calloc(n, sizeof(json_t *));
	l->left = ff_calloc(n, sizeof(*l->left));
	for (size_t i = 0; i < l->past.count; i++) {
		const struct ff_past_vm *vm = &l->past.vms[i];

		if (!is_named(o, vm))
			continue;
		if (was_done(l, vm) || was_clean(l, vm))
			take(l, f, vm);
		else if (o->operands.count > 1)
			leave_alone(l, vm, "the run did not mend it");
	}
}

/* ---------------------------------------------------------------- list and question */

static void show(const struct later *l, const struct found *f)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct ff_left *left = &l->left[i];

		bytes += left->size_bytes;
		if (i >= LINES_MAX)
			continue;
		if (is_rollback(l))
			ff_log(FF_LOG_INFO, f->vms[i].vm->name, "roll back: it is %s", f->vms[i].vm->state);
		else
			ff_log(FF_LOG_INFO, f->vms[i].vm->name, "delete %s '%s', %" PRId64 " GiB", left->kind,
				left->name ? left->name : "", left->size_bytes >> 30);
	}
	if (f->count > LINES_MAX)
		ff_log(FF_LOG_INFO, NULL, "... and %zu more", f->count - LINES_MAX);
	if (is_rollback(l))
		ff_log(FF_LOG_INFO, NULL, "%zu to roll back, %zu left alone", f->count, l->left_alone);
	else
		ff_log(FF_LOG_INFO, NULL, "%zu to delete, %" PRId64 " GiB in all; %zu left alone", f->count,
			bytes >> 30, l->left_alone);
}

/* EXIT_OK: go on. */
static int confirm(const struct later *l, const struct found *f, const struct options *o)
{
	ff_auto_free char *question = NULL;
	int answer = 1;

	if (o->dry_run) {
		ff_log(FF_LOG_INFO, NULL, "nothing was changed");
		return EXIT_INTERRUPT;
	}
	question = is_rollback(l)
			   ? ff_printf("stop %zu VMs, put their original disks back and start them?", f->count)
			   : ff_printf("delete these for good? After that there is no way back for %zu VMs.", f->count);
	if (!o->yes)
		answer = ask_operator(question);
	if (answer < 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "no terminal to ask on: give --yes to do it, or --dry-run to look");
		return EXIT_USAGE;
	}
	if (answer == 0 || ff_runtime_interrupted(f->runtime)) {
		ff_log(FF_LOG_INFO, NULL, "nothing was changed");
		return EXIT_INTERRUPT;
	}
	return EXIT_OK;
}

static int report_nothing(const struct later *l, const struct found *f, const struct options *o)
{
	static const struct ff_result nothing;

	report_result(&nothing, NULL, NULL, o->output);
	ff_log(FF_LOG_INFO, NULL, "run %s has nothing to %s; nothing was changed", l->past.run,
		is_rollback(l) ? "roll back" : "clean up after");
	return f->status;
}

/* ---------------------------------------------------------------- the run */

static int carry_out(struct later *l, struct found *f, struct options *o, struct view *view)
{
	ff_auto_json json_t *info = NULL;
	struct ff_err err = {0};
	int status;

	choose(l, f, o);
	if (f->count == 0)
		return report_nothing(l, f, o);
	show(l, f);
	status = confirm(l, f, o);
	if (status != EXIT_OK)
		return o->dry_run ? f->status : status;
	info = options_describe(o, f);
	if (ff_runtime_open_run(f->runtime, l->run_dir, &err) < 0 ||
		ff_engine_repair(f->engine, f->vms, f->count, info, &err) < 0)
		return fail_with(&err);
	return run_to_end(f, o, view, l->id, l->run_dir);
}

static int begin(struct later *l, struct options *o)
{
	ff_auto_json json_t *no_recipes = json_array();
	struct found f = {.going_on = true}; /* the permissions of a repair are not asked for */
	struct view *view = view_new(o->verbosity < 0);
	ff_auto_free char *by = operator_name();
	struct ff_engine_config config = find_config(o, NULL, view);
	struct ff_err err = {0};
	int status;

	config.run = l->id;
	config.by = by;
	config.flow = l->flow;
	config.of = l->past.run;
	config.run_dir = l->run_dir;
	config.recipes = no_recipes;
	if (l->flow == FF_FLOW_CLEANUP) /* what is deleted proves nothing by going first */
		config.canary = 0;
	if (find_begin(&f, o, &config, &err) < 0)
		status = fail_with(&err);
	else if ((status = find_all(&f, o)) == 0)
		status = carry_out(l, &f, o, view);
	view_free(view);
	later_release(l, f.count);
	found_release(&f);
	return status;
}

static int run_later(struct options *o, enum ff_flow flow)
{
	struct later l = {.flow = flow, .id = make_run_id()};
	struct ff_err err = {0};

	if (read_run(&l, o, &err) < 0 || check_names(&l, o, &err) < 0 ||
		(l.run_dir = new_run_dir(o, l.id, &err)) == NULL) {
		later_release(&l, 0);
		return fail_with(&err);
	}
	return begin(&l, o);
}

int cmd_rollback(struct options *o)
{
	return run_later(o, FF_FLOW_ROLLBACK);
}

int cmd_cleanup(struct options *o)
{
	return run_later(o, FF_FLOW_CLEANUP);
}
