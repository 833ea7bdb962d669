/* What goes to stdout: the only thing a script reads. Keep names and order of members as they are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fixfleet/json.h"

/* ---------------------------------------------------------------- rows */

static void print_csv_cell(const char *text)
{
	if (strpbrk(text, ",\"\r\n") == NULL) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

/* Columns of a UTF-8 text, every code point counted as one: good enough for names. */
static size_t columns_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_line(enum output output, const char *const *cells, size_t columns, const size_t *widths)
{
	for (size_t c = 0; c < columns; c++) {
		if (output == OUTPUT_CSV) {
			print_csv_cell(cells[c]);
			if (c + 1 < columns)
				putchar(',');
			continue;
		}
		fputs(cells[c], stdout);
		for (size_t n = columns_of(cells[c]); c + 1 < columns && n < widths[c] + 2; n++)
			putchar(' ');
	}
	fputs(output == OUTPUT_CSV ? "\r\n" : "\n", stdout);
}

void print_rows(enum output output, const char *const *head, size_t columns, char *const *cells, size_t rows)
{
	size_t *widths = ff_calloc(columns, sizeof(*widths));
	char **clean = ff_calloc(rows * columns, sizeof(*clean));

	for (size_t c = 0; c < columns; c++)
		widths[c] = columns_of(head[c]);
	for (size_t i = 0; i < rows * columns; i++) {
		size_t n;

		clean[i] = ff_printable(cells[i] ? cells[i] : "");
		n = columns_of(clean[i]);
		if (n > widths[i % columns])
			widths[i % columns] = n;
	}
	print_line(output, head, columns, widths);
	for (size_t r = 0; r < rows; r++)
		print_line(output, (const char *const *)&clean[r * columns], columns, widths);
	for (size_t i = 0; i < rows * columns; i++)
		free(clean[i]);
	free(clean);
	free(widths);
}

void print_json(const json_t *j)
{
	if (json_dumpf(j, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
}

/* ---------------------------------------------------------------- list */

static json_t *strings(const struct ff_strv *v)
{
	json_t *array = json_array();

	for (size_t i = 0; i < v->count; i++) {
		json_t *text = json_string(v->items[i]);

		json_array_append_new(array, text ? text : json_string(""));
	}
	return array;
}

static json_t *vm_json(const char *provider, const struct ff_vm *vm)
{
	json_t *j = json_object(), *disk = json_object();

	ff_json_set_str(j, "provider", provider);
	ff_json_set_str(j, "scope", vm->scope);
	ff_json_set_str(j, "zone", vm->zone);
	ff_json_set_str(j, "name", vm->name);
	ff_json_set_str(j, "id", vm->id);
	ff_json_set_str(j, "os", vm->os);
	ff_json_set_str(j, "state", vm->state);
	ff_json_set_new(j, "evidence", strings(&vm->evidence));
	ff_json_set_new(j, "hazards", strings(&vm->hazards));
	ff_json_set_str(j, "verdict", ff_health_name(vm->health));
	ff_json_set_str(j, "reason", vm->reason);
	ff_json_set_str(disk, "id", vm->disk_id);
	ff_json_set_int(disk, "size_gib", vm->disk_bytes >> 30);
	ff_json_set_str(disk, "encryption", vm->disk_encryption);
	ff_json_set_new(j, "os_disk", disk);
	return j;
}

static void list_json(const struct found *f)
{
	ff_auto_json json_t *all = json_array();

	for (size_t i = 0; i < f->count; i++)
		json_array_append_new(
			all, vm_json(ff_engine_scope_provider(f->engine, f->vms[i].scope)->name, f->vms[i].vm));
	print_json(all);
}

/* The reason, and what is to be known before the VM is touched. */
static char *reason_cell(const struct ff_vm *vm)
{
	struct ff_buf text = {0};

	ff_buf_adds(&text, vm->reason);
	for (size_t i = 0; i < vm->hazards.count; i++)
		ff_buf_addf(&text, "%s[%s]", text.len ? " " : "", vm->hazards.items[i]);
	return ff_buf_take(&text);
}

void report_list(const struct found *f, enum output output)
{
	static const char *const head[] = {"PROVIDER", "SCOPE", "ZONE", "NAME", "OS", "STATE", "VERDICT", "REASON"};
	enum { COLUMNS = FF_COUNT(head) };
	char **cells;

	if (output == OUTPUT_JSON) {
		list_json(f);
		return;
	}
	cells = ff_calloc(f->count * COLUMNS, sizeof(*cells));
	for (size_t i = 0; i < f->count; i++) {
		const struct ff_vm *vm = f->vms[i].vm;
		char **row = &cells[i * COLUMNS];

		row[0] = ff_strdup(ff_engine_scope_provider(f->engine, f->vms[i].scope)->name);
		row[1] = ff_strdup(vm->scope);
		row[2] = ff_strdup(vm->zone[0] || output == OUTPUT_CSV ? vm->zone : "-");
		row[3] = ff_strdup(vm->name);
		row[4] = ff_strdup(vm->os);
		row[5] = ff_strdup(vm->state);
		row[6] = ff_strdup(ff_health_name(vm->health));
		row[7] = reason_cell(vm);
	}
	print_rows(output, head, COLUMNS, cells, f->count);
	for (size_t i = 0; i < f->count * COLUMNS; i++)
		free(cells[i]);
	free(cells);
}

/* ---------------------------------------------------------------- repair */

/* A VM without an outcome was under way, or not begun, when the run stopped. */
static const char *outcome_text(const struct ff_ended *e)
{
	return e->outcome == FF_O_NONE ? "" : ff_outcome_name(e->outcome);
}

static json_t *totals_json(const struct ff_result *result)
{
	json_t *totals = json_object();
	size_t open = 0, counts[FF_O_STUCK + 1] = {0};

	for (size_t i = 0; i < result->count; i++) {
		counts[result->ended[i].outcome]++;
		open += result->ended[i].outcome == FF_O_NONE;
	}
	for (int o = FF_O_REPAIRED; o <= FF_O_STUCK; o++)
		if (counts[o] > 0 || !ff_outcome_is_later((enum ff_outcome)o))
			ff_json_set_int(totals, ff_outcome_name((enum ff_outcome)o), (int64_t)counts[o]);
	ff_json_set_int(totals, "unfinished", (int64_t)open);
	ff_json_set_int(totals, "selected", (int64_t)result->count);
	return totals;
}

static void result_json(const struct ff_result *result, const char *run, const char *run_dir)
{
	ff_auto_json json_t *all = json_object();
	json_t *instances = json_array();

	ff_json_set_str(all, "run", run);
	ff_json_set_str(all, "run_dir", run_dir);
	for (size_t i = 0; i < result->count; i++) {
		const struct ff_ended *e = &result->ended[i];
		json_t *j = json_object();

		ff_json_set_str(j, "provider", e->provider);
		ff_json_set_str(j, "id", e->vm->id);
		ff_json_set_str(j, "name", e->vm->name);
		ff_json_set_new(j, "outcome", e->outcome ? json_string(outcome_text(e)) : json_null());
		ff_json_set_str(j, "reason", e->reason);
		ff_json_set_new(j, "removed", json_deep_copy(e->removed));
		ff_json_set_new(j, "seconds", json_real((double)e->took_ms / 1000));
		if (e->by_hand != NULL)
			ff_json_set_new(j, "by_hand", json_deep_copy(e->by_hand));
		json_array_append_new(instances, j);
	}
	ff_json_set_new(all, "instances", instances);
	ff_json_set_new(all, "totals", totals_json(result));
	print_json(all);
}

void report_result(const struct ff_result *result, const char *run, const char *run_dir, enum output output)
{
	static const char *const head[] = {"PROVIDER", "NAME", "OUTCOME", "SECONDS", "REMOVED", "REASON"};
	enum { COLUMNS = FF_COUNT(head) };
	char **cells;

	if (output == OUTPUT_JSON) {
		result_json(result, run, run_dir);
		return;
	}
	cells = ff_calloc(result->count * COLUMNS, sizeof(*cells));
	for (size_t i = 0; i < result->count; i++) {
		const struct ff_ended *e = &result->ended[i];
		char **row = &cells[i * COLUMNS];

		row[0] = ff_strdup(e->provider);
		row[1] = ff_strdup(e->vm->name);
		row[2] = ff_strdup(e->outcome ? outcome_text(e) : "unfinished");
		row[3] = ff_printf("%" PRId64, (e->took_ms + 500) / 1000);
		row[4] = ff_printf("%zu", json_array_size(e->removed));
		row[5] = ff_strdup(e->reason);
	}
	print_rows(output, head, COLUMNS, cells, result->count);
	for (size_t i = 0; i < result->count * COLUMNS; i++)
		free(cells[i]);
	free(cells);
}
