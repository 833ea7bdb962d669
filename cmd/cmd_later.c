/* What comes after a repair: rollback and cleanup. The run's journal says what was done, the clouds what is there now.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fixfleet/json.h"
#include "fixfleet/later.h"

#define LINES_MAX 40

/* An earlier run, and what is to be done about it. */
struct later {
	struct ff_later whom;
	struct ff_past past;
	char *of_folder, *id, *run_dir;
	size_t left_alone;
};

static void later_release(struct later *l)
{
	ff_later_release(&l->whom);
	free(l->of_folder);
	free(l->id);
	free(l->run_dir);
	ff_past_release(&l->past);
}

static bool is_rollback(const struct later *l)
{
	return l->whom.flow == FF_FLOW_ROLLBACK;
}

/* ---------------------------------------------------------------- the run of before */

static int read_run(struct later *l, struct options *o, struct ff_err *err)
{
	if (o->operands.count == 0)
		return ff_fail(err, FF_E_USAGE, "%s needs a run: its id or folder", ff_flow_name(l->whom.flow));
	if (o->operands.count > 1 && !is_rollback(l))
		return ff_fail(err, FF_E_USAGE, "one run is taken, not %zu", o->operands.count);
	l->of_folder = run_named(o->operands.items[0], err);
	if (l->of_folder == NULL || run_read(l->of_folder, &l->past, err) < 0)
		return -1;
	if (options_recall(o, l->past.info, err) < 0)
		return ff_wrap(err, "run '%s'", l->of_folder);
	return ff_later_check(&l->past, l->of_folder, err);
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

static void leave_alone(struct later *l, const struct ff_past_vm *vm, const char *why)
{
	l->left_alone++;
	ff_log(FF_LOG_WARN, vm->name, "left alone: %s", why);
}

static void choose(struct later *l, struct found *f, const struct options *o)
{
	for (size_t i = 0; i < l->past.count; i++) {
		const struct ff_past_vm *vm = &l->past.vms[i];
		struct ff_err why = {0};

		if (!is_named(o, vm))
			continue;
		switch (ff_later_take(&l->whom, f->engine, &l->past, vm, &why)) {
		case FF_LATER_TAKEN:
			break;
		case FF_LATER_LEFT_ALONE:
			leave_alone(l, vm, why.text);
			break;
		case FF_LATER_NOTHING:
			ff_log(FF_LOG_DEBUG, vm->name, "nothing is left of it: %s", why.text);
			break;
		case FF_LATER_NOT_MENDED:
			if (o->operands.count > 1)
				leave_alone(l, vm, "the run did not mend it");
		}
	}
	f->vms = FF_STEAL(l->whom.vms);
	f->count = l->whom.count;
}

/* ---------------------------------------------------------------- list and question */

static void show(const struct later *l, const struct found *f)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct ff_left *left = &l->whom.left[i];

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
	config.flow = l->whom.flow;
	config.of = l->past.run;
	config.run_dir = l->run_dir;
	config.recipes = no_recipes;
	if (find_begin(&f, o, &config, &err) < 0)
		status = fail_with(&err);
	else if ((status = find_all(&f, o)) == 0)
		status = carry_out(l, &f, o, view);
	view_free(view);
	later_release(l);
	found_release(&f);
	return status;
}

static int run_later(struct options *o, enum ff_flow flow)
{
	struct later l = {.whom.flow = flow, .id = make_run_id()};
	struct ff_err err = {0};

	if (read_run(&l, o, &err) < 0 || check_names(&l, o, &err) < 0 ||
		(l.run_dir = new_run_dir(o, l.id, &err)) == NULL) {
		later_release(&l);
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
