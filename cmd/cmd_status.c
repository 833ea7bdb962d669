/* A run as its journal tells it. Reads one file; asks no cloud. */
#include <stdlib.h>

#include "cmd.h"
#include "fixfleet/json.h"

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
		if (vm->by_hand != NULL)
			ff_json_set_new(j, "by_hand", json_deep_copy(vm->by_hand));
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
	ff_auto_free char *folder = run_find(o, false, &err);

	if (folder == NULL || run_read(folder, &past, &err) < 0)
		return fail_with(&err);
	if (o->output == OUTPUT_JSON)
		print_past_json(&past, folder);
	else
		print_past_rows(&past, o->output);
	ff_log(FF_LOG_INFO, NULL, "run %s, begun %s, %s%s", past.run, past.started, past.ended ? "ended " : "not ended",
		past.ended ? past.ended : "");
	for (size_t i = 0; i < past.count; i++)
		say_by_hand(past.vms[i].name, past.vms[i].by_hand);
	if (past.torn)
		ff_log(FF_LOG_WARN, NULL, "the journal's last record is torn: fixfleet died while writing it");
	ff_past_release(&past);
	return EXIT_OK;
}
