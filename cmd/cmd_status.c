/* A run as its journal tells it. Reads one file; asks no cloud. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "fixfleet/journal.h"
#include "fixfleet/json.h"

#define JOURNAL_BYTES_MAX ((off_t)4 << 30)

static bool is_run(const char *folder)
{
	ff_auto_free char *journal = ff_printf("%s/journal.jsonl", folder);

	return access(journal, F_OK) == 0;
}

/* The newest run in the state folder: run ids begin with their time. */
static char *newest(const char *state, struct ff_err *err)
{
	DIR *dir = opendir(state);
	char *best = NULL;
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		ff_auto_free char *folder = ff_printf("%s/%s", state, entry->d_name);

		if (entry->d_name[0] != '.' && is_run(folder) && (best == NULL || strcmp(folder, best) > 0)) {
			free(best);
			best = FF_STEAL(folder);
		}
	}
	if (dir != NULL)
		closedir(dir);
	if (best == NULL)
		ff_fail(err, FF_E_USAGE, "no run in '%s': give the run's folder", state);
	return best;
}

/* A folder as it is, else a run id in the state folder. */
static char *find_run(const struct options *o, struct ff_err *err)
{
	ff_auto_free char *state = NULL, *folder = NULL;

	if (o->operands.count > 1) {
		ff_fail(err, FF_E_USAGE, "status takes one run");
		return NULL;
	}
	if (o->operands.count == 1 && is_run(o->operands.items[0]))
		return ff_strdup(o->operands.items[0]);
	state = state_folder(err);
	if (state == NULL)
		return NULL;
	if (o->operands.count == 0)
		return newest(state, err);
	folder = ff_printf("%s/%s", state, o->operands.items[0]);
	if (strchr(o->operands.items[0], '/') == NULL && is_run(folder))
		return FF_STEAL(folder);
	ff_fail(err, FF_E_USAGE, "no run '%s': neither a run's folder nor a run id in '%s'", o->operands.items[0],
		state);
	return NULL;
}

static char *read_journal(const char *folder, size_t *len, struct ff_err *err)
{
	ff_auto_free char *path = ff_printf("%s/journal.jsonl", folder);
	ff_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct ff_buf text = {0};
	char piece[65536];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		ff_fail(err, FF_E_LOCAL, "cannot open '%s': %m", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_BYTES_MAX) {
		ff_fail(err, FF_E_LOCAL, "'%s' is no journal: not a file, or larger than 4 GiB", path);
		return NULL;
	}
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		ff_buf_add(&text, piece, (size_t)n);
	if (n < 0) {
		ff_fail(err, FF_E_LOCAL, "cannot read '%s': %m", path);
		ff_buf_free(&text);
		return NULL;
	}
	*len = text.len;
	return ff_buf_take(&text);
}

static void print_past_json(const struct ff_past *past, const char *folder)
{
	ff_auto_json json_t *all = json_object();
	json_t *instances = json_array();

	ff_json_set_str(all, "run", past->run);
	ff_json_set_str(all, "run_dir", folder);
	ff_json_set_str(all, "started", past->started);
	ff_json_set_new(all, "ended", past->ended ? json_string(past->ended) : json_null());
	for (size_t i = 0; i < past->count; i++) {
		const struct ff_past_vm *vm = &past->vms[i];
		json_t *j = json_object();

		ff_json_set_str(j, "provider", vm->provider);
		ff_json_set_str(j, "id", vm->id);
		ff_json_set_str(j, "name", vm->name);
		ff_json_set_new(j, "step", vm->step ? json_string(vm->step) : json_null());
		ff_json_set_new(j, "outcome", vm->outcome ? json_string(vm->outcome) : json_null());
		ff_json_set_str(j, "reason", vm->reason ? vm->reason : "");
		ff_json_set_str(j, "where", vm->where ? vm->where : "");
		ff_json_set_new(j, "removed", vm->removed ? json_deep_copy(vm->removed) : json_array());
		ff_json_set_new(j, "seconds", json_real((double)vm->took_ms / 1000));
		json_array_append_new(instances, j);
	}
	ff_json_set_new(all, "instances", instances);
	print_json(all);
}

static void print_past_rows(const struct ff_past *past, enum output output)
{
	static const char *const head[] = {"PROVIDER", "NAME", "OUTCOME", "STEP", "WHERE", "REASON"};
	enum { COLUMNS = FF_COUNT(head) };
	char **cells = ff_calloc(past->count * COLUMNS, sizeof(*cells));

	for (size_t i = 0; i < past->count; i++) {
		const struct ff_past_vm *vm = &past->vms[i];
		char **row = &cells[i * COLUMNS];

		row[0] = vm->provider;
		row[1] = vm->name;
		row[2] = vm->outcome ? vm->outcome : (char *)"unfinished";
		row[3] = vm->step ? vm->step : (char *)"-";
		row[4] = vm->where;
		row[5] = vm->reason;
	}
	print_rows(output, head, COLUMNS, cells, past->count);
	free(cells);
}

int cmd_status(struct options *o)
{
	struct ff_err err = {0};
	struct ff_past past = {0};
	ff_auto_free char *folder = find_run(o, &err), *text = NULL;
	size_t len = 0;

	if (folder == NULL || (text = read_journal(folder, &len, &err)) == NULL)
		return fail_with(&err);
	if (ff_past_read(text, len, &past, &err) < 0) {
		ff_wrap(&err, "run '%s'", folder);
		return fail_with(&err);
	}
	if (o->output == OUTPUT_JSON)
		print_past_json(&past, folder);
	else
		print_past_rows(&past, o->output);
	ff_log(FF_LOG_INFO, NULL, "run %s, begun %s, %s%s", past.run, past.started, past.ended ? "ended " : "not ended",
		past.ended ? past.ended : "");
	if (past.torn)
		ff_log(FF_LOG_WARN, NULL, "the journal's last record is torn: fixfleet died while writing it");
	ff_past_release(&past);
	return EXIT_OK;
}
