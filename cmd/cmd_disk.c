/* `fixfleet disk scan|repair|list TARGET...`: images and devices of this machine, without any cloud. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "disk_session.h"
#include "fixfleet/json.h"

#define TARGETS_MAX 4000

/* ---------------------------------------------------------------- what was asked */

static bool is_verb(const char *text)
{
	return ff_streq(text, "scan") || ff_streq(text, "repair") || ff_streq(text, "list");
}

static int check_target(struct disk_target *target, const char *path, struct ff_err *err)
{
	struct stat st;

	target->path = path;
	target->real = realpath(path, NULL);
	if (target->real == NULL || stat(target->real, &st) < 0)
		return ff_fail(err, FF_E_USAGE, "'%s': %m", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ff_fail(err, FF_E_USAGE, "'%s' is neither an image file nor a block device", path);
	return 0;
}

static int take_operands(struct disk_session *s, const struct options *o, struct ff_err *err)
{
	const struct ff_strv *operands = &o->operands;

	if (operands->count < 1 || !is_verb(operands->items[0]))
		return ff_fail(err, FF_E_USAGE, "disk takes scan, repair or list, and then images or devices");
	if (operands->count < 2 || operands->count > TARGETS_MAX)
		return ff_fail(err, FF_E_USAGE, "disk %s needs 1 to %d images or devices", operands->items[0],
			TARGETS_MAX - 1);
	s->verb = operands->items[0];
	s->targets = ff_calloc(operands->count - 1, sizeof(*s->targets));
	for (size_t i = 1; i < operands->count; i++)
		if (check_target(&s->targets[s->count++], operands->items[i], err) < 0)
			return -1;
	return 0;
}

static int prepare(struct disk_session *s, const struct options *o, struct ff_err *err)
{
	ff_auto_free char *folder = NULL;

	if (take_operands(s, o, err) < 0)
		return -1;
	s->discard_hibernation = o->discard_hibernation;
	s->timeout_ms = o->disk_timeout_ms;
	s->appliances = o->appliances;
	s->run = make_run_id();
	if (!ff_streq(s->verb, "list") && (s->recipes = recipes_load(&o->recipes, err)) == NULL)
		return -1;
	if (o->run_dir != NULL)
		s->run_dir = ff_strdup(o->run_dir);
	else if (ff_streq(s->verb, "repair") && (folder = state_folder(err)) == NULL)
		return -1;
	else if (folder != NULL)
		s->run_dir = ff_printf("%s/%s", folder, s->run);
	return 0;
}

/* ---------------------------------------------------------------- what became of it */

const char *disk_outcome(const struct disk_session *s, const json_t *done)
{
	const char *result = ff_json_str(done, "result");

	if (ff_streq(result, "failed"))
		return ff_outcome_name(FF_O_FAILED_HOME);
	if (ff_streq(s->verb, "scan") && json_array_size(json_object_get(done, "would")) > 0)
		return "affected";
	return ff_streq(result, "repaired") ? ff_outcome_name(FF_O_REPAIRED) : ff_outcome_name(FF_O_CLEAN);
}

/* The same members as of a fleet's instance, and what only disks have. */
static json_t *instance_json(const struct disk_session *s, const struct disk_target *target)
{
	static const char *const lists[] = {"removed", "would", "changed", "windows", "notes"};
	const json_t *done = target->done;
	json_t *j = json_object();

	ff_json_set_str(j, "provider", "disk");
	ff_json_set_str(j, "id", target->real);
	ff_json_set_str(j, "name", target->path);
	ff_json_set_str(j, "outcome", disk_outcome(s, done));
	ff_json_set_str(j, "reason", ff_json_str(done, "reason"));
	for (size_t i = 0; i < FF_COUNT(lists); i++) {
		json_t *list = json_object_get(done, lists[i]);

		ff_json_set_new(j, lists[i], json_is_array(list) ? json_incref(list) : json_array());
	}
	if (json_object_get(done, "disk") != NULL)
		ff_json_set_new(j, "disk", json_incref(json_object_get(done, "disk")));
	ff_json_set_new(j, "seconds", json_real((double)ff_json_int(done, "ms", 0) / 1000));
	return j;
}

static void print_result_json(const struct disk_session *s)
{
	ff_auto_json json_t *all = json_object();
	json_t *instances = json_array();

	ff_json_set_str(all, "run", s->run);
	ff_json_set_str(all, "run_dir", s->run_dir);
	for (size_t i = 0; i < s->count; i++)
		json_array_append_new(instances, instance_json(s, &s->targets[i]));
	ff_json_set_new(all, "instances", instances);
	print_json(all);
}

static void add_cell(struct ff_strv *cells, const char *text)
{
	ff_strv_add(cells, text && *text ? text : "-");
}

static void print_result_rows(const struct disk_session *s, enum output output)
{
	static const char *const head[] = {"NAME", "OUTCOME", "SECONDS", "REMOVED", "REASON"};
	struct ff_strv cells = {0};

	for (size_t i = 0; i < s->count; i++) {
		const json_t *done = s->targets[i].done;

		ff_strv_add(&cells, s->targets[i].path);
		ff_strv_add(&cells, disk_outcome(s, done));
		ff_strv_addf(&cells, "%" PRId64, (ff_json_int(done, "ms", 0) + 500) / 1000);
		ff_strv_addf(&cells, "%zu", json_array_size(json_object_get(done, "removed")));
		add_cell(&cells, ff_json_str(done, "reason"));
	}
	print_rows(output, head, FF_COUNT(head), cells.items, s->count);
	ff_strv_free(&cells);
}

/* ---------------------------------------------------------------- what there is */

static char *windows_text(const json_t *part)
{
	const json_t *root;
	struct ff_buf text = {0};
	size_t i;

	json_array_foreach (json_object_get(part, "windows"), i, root) {
		const char *version = ff_json_str(root, "version");

		ff_buf_addf(&text, "%s%s%s%s", i > 0 ? ", " : "", ff_json_str(root, "path"), version ? " " : "",
			version ? version : "");
	}
	return ff_buf_take(&text);
}

static char *encryption_text(const json_t *part)
{
	const json_t *id;
	struct ff_buf text = {0};
	size_t i;

	ff_buf_adds(&text, ff_json_str(part, "encryption") ? ff_json_str(part, "encryption") : "");
	json_array_foreach (json_object_get(part, "protectors"), i, id)
		ff_buf_addf(&text, " %s", json_is_string(id) ? json_string_value(id) : ff_json_str(id, "id"));
	return ff_buf_take(&text);
}

static void add_part(struct ff_strv *cells, const char *name, const json_t *part)
{
	ff_auto_free char *windows = windows_text(part), *encryption = encryption_text(part);

	ff_strv_add(cells, name);
	ff_strv_addf(cells, "%" PRId64, ff_json_int(part, "number", 0));
	ff_strv_addf(cells, "%" PRId64, ff_json_int(part, "size_bytes", 0) >> 20);
	add_cell(cells, ff_json_str(part, "type"));
	add_cell(cells, ff_json_str(part, "file_system"));
	add_cell(cells, encryption);
	add_cell(cells, windows);
}

static void print_list(const struct disk_session *s, enum output output)
{
	static const char *const head[] = {"NAME", "PARTITION", "MIB", "TYPE", "FILE-SYSTEM", "ENCRYPTION", "WINDOWS"};
	struct ff_strv cells = {0};

	for (size_t i = 0; i < s->count; i++) {
		const json_t *parts = ff_json_at(s->targets[i].done, "disk/partitions"), *part;
		size_t k;

		json_array_foreach (parts, k, part)
			add_part(&cells, s->targets[i].path, part);
	}
	print_rows(output, head, FF_COUNT(head), cells.items, cells.count / FF_COUNT(head));
	ff_strv_free(&cells);
}

/* ---------------------------------------------------------------- the command */

/* What scripts go by; failures of disks are said on stderr too, where the table does not show them. */
static int finish(const struct disk_session *s)
{
	size_t failed = 0, unlaunched = 0;

	for (size_t i = 0; i < s->count; i++) {
		const char *reason = ff_json_str(s->targets[i].done, "reason");

		if (!ff_streq(ff_json_str(s->targets[i].done, "result"), "failed"))
			continue;
		failed++;
		unlaunched += ff_has_prefix(reason, "libguestfs cannot launch");
		ff_log(FF_LOG_ERROR, s->targets[i].path, "%s", reason);
	}
	if (s->interrupted)
		return EXIT_INTERRUPT;
	if (failed > 0 && unlaunched == s->count)
		return EXIT_NOTHING;
	return failed > 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_disk(struct options *o)
{
	struct key_sources keys;
	struct disk_session s = {.keys = &keys};
	struct ff_err err = {0};
	int status;

	if (key_sources_open(&keys, o, &err) < 0 || prepare(&s, o, &err) < 0 || disk_session_run(&s, &err) < 0) {
		status = fail_with(&err);
	} else {
		if (o->output == OUTPUT_JSON)
			print_result_json(&s);
		else if (ff_streq(s.verb, "list"))
			print_list(&s, o->output);
		else
			print_result_rows(&s, o->output);
		status = finish(&s);
	}
	json_decref(s.recipes);
	disk_session_release(&s);
	key_sources_release(&keys);
	return status;
}
