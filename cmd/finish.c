/* From the first turn of a run to its last words: what repair and resume have in common. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

/* Every VM was left alone, and not by choice: the cloud does not let this identity do it. */
static bool all_refused(const struct ff_result *result)
{
	bool refused = false;

	for (size_t i = 0; i < result->count; i++) {
		if (result->ended[i].outcome != FF_O_SKIPPED)
			return false;
		refused = refused || result->ended[i].class == FF_E_DENIED || result->ended[i].class == FF_E_AUTH;
	}
	return refused;
}

static bool is_open(const struct ff_ended *e)
{
	return e->outcome == FF_O_NONE;
}

/* Begun and not ended: nobody can promise that its disk is home. */
static bool is_away(const struct ff_ended *e)
{
	return is_open(e) && e->step != NULL && !ff_streq(e->step, "waiting");
}

int exit_status(const struct ff_result *result, int found_status)
{
	bool stuck = false, failed = false, away = false;

	for (size_t i = 0; i < result->count; i++) {
		stuck = stuck || result->ended[i].outcome == FF_O_STUCK;
		failed = failed || result->ended[i].outcome == FF_O_FAILED_HOME;
		away = away || is_away(&result->ended[i]);
	}
	if (result->broken.class != FF_E_NONE)
		return result->nothing_started ? EXIT_NOTHING : away || stuck ? EXIT_STUCK : EXIT_FAILED;
	if (result->interrupted)
		return EXIT_INTERRUPT;
	if (all_refused(result))
		return EXIT_NOTHING;
	if (stuck || away)
		return EXIT_STUCK;
	return failed || result->missing > 0 ? EXIT_FAILED : found_status;
}

/* The run as the operator names it: its id where that is enough, else its folder. */
static char *name_of(const char *id, const char *run_dir)
{
	struct ff_err err;
	ff_auto_free char *state = state_folder(&err), *usual = state ? ff_printf("%s/%s", state, id) : NULL;

	return ff_strdup(ff_streq(usual, run_dir) ? id : run_dir);
}

void say_by_hand(const char *name, const json_t *commands)
{
	const json_t *command;
	size_t i;

	if (commands == NULL)
		return;
	ff_log(FF_LOG_ERROR, name, "its disk is not home; by hand it gets there with:");
	json_array_foreach ((json_t *)commands, i, command)
		ff_log(FF_LOG_ERROR, name, "  %s", json_string_value(command));
}

void last_words(const struct ff_result *result, const char *id, const char *run_dir)
{
	ff_auto_free char *name = name_of(id, run_dir);
	size_t open = 0;

	for (size_t i = 0; i < result->count; i++) {
		const struct ff_ended *e = &result->ended[i];

		open += is_open(e);
		say_by_hand(e->vm->name, e->by_hand);
		if (is_away(e))
			ff_log(FF_LOG_ERROR, e->vm->name, "unfinished at step %s%s%s", e->step,
				e->reason[0] ? ": " : "", e->reason);
	}
	if (result->broken.class != FF_E_NONE)
		ff_log(FF_LOG_ERROR, "fixfleet", "%s; %s", result->broken.text,
			result->nothing_started ? "nothing was changed" : "nothing further was asked of the cloud");
	ff_log(FF_LOG_INFO, NULL, "journal and quarantine: %s (fixfleet status %s)", run_dir, name);
	if (open == 0)
		return;
	ff_log(FF_LOG_ERROR, "fixfleet", "%zu VM%s not done: %sgo on with: fixfleet resume %s", open,
		open == 1 ? " is" : "s are",
		result->broken.class != FF_E_NONE ? "see that the run's folder can be written (free space?), then "
						  : "",
		name);
}

int run_to_end(struct found *f, const struct options *o, struct view *view, const char *id, const char *run_dir)
{
	const struct ff_result *result;

	view_watch(view, f->engine);
	ff_runtime_run(f->runtime, f->engine, FF_PHASE_ENDED, view_tick, view);
	view_watch(view, NULL);
	result = ff_engine_result(f->engine);
	report_result(result, id, run_dir, o->output);
	last_words(result, id, run_dir);
	say_left_out(f);
	return exit_status(result, f->status);
}
