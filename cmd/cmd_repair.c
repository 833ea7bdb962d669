/* Find, show the plan, ask, repair, report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "cmd.h"
#include "fixfleet/json.h"

#define PLAN_LINES_MAX 40

char *make_run_id(void)
{
	unsigned char random[3];
	char day[32];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(day, sizeof(day), "%Y%m%d-%H%M%S", &tm);
	if (RAND_bytes(random, sizeof(random)) != 1)
		ff_oom();
	return ff_printf("%s-%02x%02x%02x", day, random[0], random[1], random[2]);
}

char *new_run_dir(const struct options *o, const char *id, struct ff_err *err)
{
	ff_auto_free char *folder = NULL;

	if (o->run_dir != NULL)
		return ff_strdup(o->run_dir);
	folder = state_folder(err);
	return folder != NULL ? ff_printf("%s/%s", folder, id) : NULL;
}

/* ---------------------------------------------------------------- whom to repair */

/* Evidence, or the operator's word for it; sick VMs that must not be touched come along to be reported as skipped. */
static bool wanted(const struct options *o, const struct ff_vm *vm)
{
	switch (vm->health) {
	case FF_AFFECTED:
		return true;
	case FF_SUSPECT:
	case FF_HEALTHY:
		return o->all;
	case FF_SKIPPED:
		return vm->evidence.count > 0 && !vm->rescue;
	}
	return false;
}

static void keep_wanted(struct found *f, const struct options *o)
{
	size_t kept = 0, suspect = 0;

	for (size_t i = 0; i < f->count; i++) {
		suspect += f->vms[i].vm->health == FF_SUSPECT;
		if (wanted(o, f->vms[i].vm))
			f->vms[kept++] = f->vms[i];
		else if (o->instances != NULL)
			ff_log(FF_LOG_WARN, f->vms[i].vm->name, "left alone: %s (--all repairs it anyway)",
				f->vms[i].vm->reason);
	}
	if (suspect > 0 && !o->all && o->instances == NULL)
		ff_log(FF_LOG_INFO, NULL,
			"%zu suspect VMs are left alone: fixfleet list shows them, --all repairs them too", suspect);
	f->count = kept;
}

/* ---------------------------------------------------------------- the plan */

struct plan {
	char **why; /* one a VM: NULL, or why it cannot be repaired */
	size_t count, ready;
};

static void plan_make(struct plan *p, struct found *f)
{
	p->count = f->count;
	p->why = ff_calloc(f->count, sizeof(*p->why));
	p->ready = ff_engine_plan(f->engine, f->vms, f->count, p->why);
}

static void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->why[i]);
	free(p->why);
	*p = (struct plan){0};
}

static void plan_show(const struct plan *p, const struct found *f)
{
	for (size_t i = 0; i < f->count && i < PLAN_LINES_MAX; i++) {
		const struct ff_vm *vm = f->vms[i].vm;

		ff_log(FF_LOG_INFO, vm->name, "%s%s",
			p->why[i] ? "skip: " : "repair: ", p->why[i] ? p->why[i] : vm->reason);
		for (size_t h = 0; p->why[i] == NULL && h < vm->hazards.count; h++)
			ff_log(FF_LOG_INFO, vm->name, "  note: %s", vm->hazards.items[h]);
	}
	if (f->count > PLAN_LINES_MAX)
		ff_log(FF_LOG_INFO, NULL, "... and %zu more (fixfleet list shows all)", f->count - PLAN_LINES_MAX);
	ff_log(FF_LOG_INFO, NULL, "%zu to repair, %zu to skip", p->ready, f->count - p->ready);
}

int ask_operator(const char *question)
{
	char line[16] = "";

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return -1;
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return 0;
	return line[0] == 'y' || line[0] == 'Y';
}

/* ---------------------------------------------------------------- the run */

static int run(struct found *f, const struct options *o, struct view *view, const char *id, const char *run_dir)
{
	ff_auto_json json_t *info = options_describe(o, f);
	struct ff_err err;

	if (ff_runtime_open_run(f->runtime, run_dir, &err) < 0)
		return fail_with(&err);
	keep_evidence(f, o, run_dir);
	if (ff_runtime_interrupted(f->runtime)) {
		ff_log(FF_LOG_INFO, NULL, "nothing was changed");
		return EXIT_INTERRUPT;
	}
	if (ff_engine_repair(f->engine, f->vms, f->count, info, &err) < 0)
		return fail_with(&err);
	return run_to_end(f, o, view, id, run_dir);
}

/* Nothing to do is a result too: scripts get their JSON. */
static int report_nothing(const struct found *f, const struct options *o)
{
	static const struct ff_result nothing;

	report_result(&nothing, NULL, NULL, o->output);
	ff_log(FF_LOG_INFO, NULL, "no affected VM is selected; nothing was changed");
	return f->status;
}

static int begin(struct found *f, const struct options *o, struct view *view, const char *id, const char *run_dir)
{
	struct plan plan = {0};
	int answer = 1, status;

	keep_wanted(f, o);
	if (f->count == 0)
		return report_nothing(f, o);
	plan_make(&plan, f);
	plan_show(&plan, f);
	if (plan.ready == 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "none of %zu VMs can be repaired: %s: %s; nothing was changed",
			f->count, f->vms[0].vm->name, plan.why[0]);
		plan_release(&plan);
		return EXIT_NOTHING;
	}
	if (!o->yes) {
		ff_auto_free char *question = ff_printf("stop, mend and start %zu VMs?", plan.ready);

		answer = ask_operator(question);
	}
	plan_release(&plan);
	if (answer < 0) {
		ff_log(FF_LOG_ERROR, "fixfleet", "no terminal to ask on: give --yes to repair, or --dry-run to look");
		return EXIT_USAGE;
	}
	if (answer == 0 || ff_runtime_interrupted(f->runtime)) {
		ff_log(FF_LOG_INFO, NULL, "nothing was changed");
		return EXIT_INTERRUPT;
	}
	status = run(f, o, view, id, run_dir);
	return status;
}

int cmd_repair(struct options *o)
{
	struct ff_err err;
	ff_auto_json json_t *recipes = recipes_load(&o->recipes, &err);
	ff_auto_free char *id = make_run_id(), *by = operator_name(), *run_dir = NULL;
	struct key_sources keys;
	struct view *view;
	struct ff_engine_config config;
	struct found f;
	int status;

	if (recipes == NULL)
		return fail_with(&err);
	run_dir = new_run_dir(o, id, &err);
	if (run_dir == NULL)
		return fail_with(&err);
	if (key_sources_open(&keys, o, &err) < 0) {
		key_sources_release(&keys);
		return fail_with(&err);
	}
	view = view_new(o->verbosity < 0);
	config = find_config(o, &keys, view);
	config.run = id;
	config.by = by;
	config.recipes = recipes;
	config.run_dir = run_dir;
	status = find(&f, o, &config);
	if (status == 0)
		status = begin(&f, o, view, id, run_dir);
	view_free(view);
	found_release(&f);
	key_sources_release(&keys);
	return status;
}
