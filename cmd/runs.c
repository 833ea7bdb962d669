/* Run folders: where they are, which one is meant, what their journal holds. */
#include <dirent.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

char *state_folder(struct ff_err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	/* a relative XDG_STATE_HOME is to be ignored (XDG base directory specification) */
	if (state != NULL && state[0] == '/')
		return ff_printf("%s/fixfleet", state);
	if (home != NULL && home[0] == '/')
		return ff_printf("%s/.local/state/fixfleet", home);
	ff_fail(err, FF_E_USAGE, "no place for the run: give --run-dir, or set XDG_STATE_HOME or HOME");
	return NULL;
}

char *operator_name(void)
{
	const struct passwd *me = getpwuid(geteuid());
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	return ff_printf("%.64s@%.64s", me != NULL ? me->pw_name : "?", host);
}

static bool is_run(const char *folder)
{
	ff_auto_free char *journal = ff_printf("%s/journal.jsonl", folder);

	return access(journal, F_OK) == 0;
}

/* Is it a run with VMs that have not ended? One whose journal cannot be read is none that can be gone on with. */
static bool is_open(const char *folder)
{
	struct ff_past past = {0};
	struct ff_err err;
	bool open;

	if (run_read(folder, &past, &err) < 0) {
		ff_log(FF_LOG_WARN, NULL, "passed over: %s", err.text);
		return false;
	}
	open = past.ended == NULL;
	ff_past_release(&past);
	return open;
}

static int by_name_backwards(const void *a, const void *b)
{
	return -strcmp(*(char *const *)a, *(char *const *)b);
}

/* Run ids begin with their time. */
static char *newest(const char *state, bool open_only, struct ff_err *err)
{
	DIR *dir = opendir(state);
	struct ff_strv runs = {0};
	struct dirent *entry;
	char *best = NULL;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		ff_auto_free char *folder = ff_printf("%s/%s", state, entry->d_name);

		if (entry->d_name[0] != '.' && is_run(folder))
			ff_strv_add(&runs, folder);
	}
	if (dir != NULL)
		closedir(dir);
	if (runs.count > 0)
		qsort(runs.items, runs.count, sizeof(*runs.items), by_name_backwards);
	for (size_t i = 0; i < runs.count && best == NULL; i++)
		if (!open_only || is_open(runs.items[i]))
			best = ff_strdup(runs.items[i]);
	if (best == NULL)
		ff_fail(err, FF_E_USAGE, "no %srun in '%s': give the run's folder", open_only ? "unfinished " : "",
			state);
	ff_strv_free(&runs);
	return best;
}

char *run_named(const char *name, struct ff_err *err)
{
	ff_auto_free char *state = NULL, *folder = NULL;

	if (is_run(name))
		return ff_strdup(name);
	state = state_folder(err);
	if (state == NULL)
		return NULL;
	folder = ff_printf("%s/%s", state, name);
	if (strchr(name, '/') == NULL && is_run(folder))
		return FF_STEAL(folder);
	ff_fail(err, FF_E_USAGE, "no run '%s': neither a run's folder nor a run id in '%s'", name, state);
	return NULL;
}

char *run_find(const struct options *o, bool open_only, struct ff_err *err)
{
	ff_auto_free char *state = NULL;

	if (o->operands.count > 1) {
		ff_fail(err, FF_E_USAGE, "one run is taken, not %zu", o->operands.count);
		return NULL;
	}
	if (o->operands.count == 1)
		return run_named(o->operands.items[0], err);
	state = state_folder(err);
	return state != NULL ? newest(state, open_only, err) : NULL;
}

int run_read(const char *folder, struct ff_past *past, struct ff_err *err)
{
	ff_auto_close int fd = -1;
	struct ff_source journal;

	if (ff_runtime_look(folder, &fd, &journal, err) < 0)
		return -1;
	return ff_past_read(journal, past, err) < 0 ? ff_wrap(err, "run '%s'", folder) : 0;
}
