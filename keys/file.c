/* --keys FILE. The file's text stays where it was read, in secret memory; entries point into it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fixfleet/json.h"
#include "fixfleet/keys.h"
#include "fixfleet/secret.h"

struct entry {
	const char *name, *key; /* key in secret memory */
};

struct file {
	char *text; /* what entries point into */
	struct entry *entries;
	size_t count, room;
};

static void file_free(void *self)
{
	struct file *f = self;

	if (f == NULL)
		return;
	ff_secret_free(f->text);
	free(f->entries);
	free(f);
}

static void add(struct file *f, const char *name, const char *key)
{
	if (f->count == f->room) {
		f->room = f->room * 2 + 64;
		f->entries = ff_realloc(f->entries, f->room, sizeof(*f->entries));
	}
	f->entries[f->count++] = (struct entry){name, key};
}

/* In place: without blanks and, for spreadsheets' sake, the quotes around it; braces around a GUID go too. */
static char *trim(char *text, char *end)
{
	while (text < end && (isspace((unsigned char)*text) || *text == '"' || *text == '{'))
		text++;
	while (end > text && (isspace((unsigned char)end[-1]) || end[-1] == '"' || end[-1] == '}'))
		end--;
	*end = '\0';
	return text;
}

/* ---------------------------------------------------------------- CSV */

static int add_line(struct file *f, char *line, char *end, size_t number, struct ff_err *err)
{
	char *comma, *name, *key;

	line = trim(line, end);
	if (*line == '\0' || *line == '#')
		return 0;
	comma = strchr(line, ',');
	if (comma == NULL)
		return ff_fail(err, FF_E_USAGE, "line %zu: not NAME,KEY", number);
	end = line + strlen(line);
	name = trim(line, comma);
	key = trim(comma + 1, end);
	if (ff_key_is(key, strlen(key)) && *name != '\0') {
		add(f, name, key);
		return 0;
	}
	if (number == 1 && ff_contains_nocase(key, "key"))
		return 0; /* the head of a table */
	return ff_fail(err, FF_E_USAGE,
		"line %zu: the key is neither a recovery password (48 digits) nor a startup key (.BEK file in base64)",
		number);
}

static int read_csv(struct file *f, size_t len, struct ff_err *err)
{
	char *end = f->text + len, *line = f->text;

	for (size_t number = 1; line < end; number++) {
		char *newline = memchr(line, '\n', (size_t)(end - line)), *stop = newline != NULL ? newline : end;

		if (memchr(line, '\0', (size_t)(stop - line)) != NULL)
			return ff_fail(err, FF_E_USAGE, "line %zu: holds a NUL", number);
		if (add_line(f, line, stop, number, err) < 0)
			return -1;
		line = stop + 1;
	}
	return 0;
}

/* ---------------------------------------------------------------- JSON */

/* Copies of names and keys, one after the other. */
struct arena {
	char *text;
	size_t used;
};

static const char *keep(struct arena *a, const char *text)
{
	char *copy = a->text + a->used;
	size_t bytes = strlen(text) + 1;

	memcpy(copy, text, bytes);
	a->used += bytes;
	return copy;
}

static int add_json(
	struct file *f, struct arena *a, const char *name, const json_t *value, size_t number, struct ff_err *err)
{
	const char *key = json_string_value(value);

	if (name == NULL || *name == '\0' || key == NULL)
		return ff_fail(err, FF_E_USAGE, "entry %zu: not a name and a key", number);
	if (!ff_key_is(key, strlen(key)))
		return ff_fail(err, FF_E_USAGE,
			"entry %zu: the key is neither a recovery password (48 digits) nor a startup key (.BEK file in "
			"base64)",
			number);
	add(f, keep(a, name), keep(a, key));
	return 0;
}

static int add_all_json(struct file *f, struct arena *a, const json_t *json, struct ff_err *err)
{
	const char *name;
	json_t *value;
	size_t i, number = 0;

	json_object_foreach ((json_t *)json, name, value)
		if (add_json(f, a, name, value, ++number, err) < 0)
			return -1;
	json_array_foreach (json, i, value)
		if (add_json(f, a, ff_json_str(value, "id"), json_object_get(value, "key"), i + 1, err) < 0)
			return -1;
	return 0;
}

static int read_json(struct file *f, size_t len, struct ff_err *err)
{
	json_error_t where;
	json_t *json = json_loadb(f->text, len, 0, &where);
	/* names and keys, with their NULs, are not longer than they were with quotes */
	struct arena a = {.text = ff_secret_new(len + 2)};
	int rc;

	/* what jansson says of an error quotes the text around it: not for our messages */
	if (json == NULL)
		rc = ff_fail(err, FF_E_USAGE, "line %d: not JSON", where.line);
	else
		rc = add_all_json(f, &a, json, err);
	json_decref(json);
	ff_secret_free(f->text);
	f->text = a.text;
	return rc;
}

/* ---------------------------------------------------------------- looking */

static int by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* All entries of that name. */
static void find(const struct file *f, const char *name, const char *protector, struct ff_keys *found)
{
	size_t low = 0, high = f->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcasecmp(f->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; *name != '\0' && low < f->count && strcasecmp(f->entries[low].name, name) == 0; low++)
		ff_keys_add(found, protector, f->entries[low].key, strlen(f->entries[low].key));
}

static enum ff_key_step look(void *self, const struct ff_key_want *want, unsigned step, const struct ff_answer *answer,
	struct ff_ask *ask, struct ff_keys *found, struct ff_err *err)
{
	const char *names[] = {want->vm_name, want->vm_id, want->disk_id};

	(void)step, (void)answer, (void)ask, (void)err;
	for (size_t i = 0; i < want->protector_count; i++)
		find(self, want->protectors[i].id, want->protectors[i].id, found);
	for (size_t i = 0; i < FF_COUNT(names) && found->count == 0; i++)
		find(self, names[i], NULL, found);
	return FF_KEY_DONE;
}

int ff_key_file(struct ff_key_source *source, char *text, size_t len, struct ff_err *err)
{
	struct file *f = ff_calloc(1, sizeof(*f));
	size_t first = 0;
	int rc;

	f->text = text;
	*source = (struct ff_key_source){.name = "--keys", .self = f, .look = look, .free = file_free};
	while (first < len && isspace((unsigned char)text[first]))
		first++;
	/* "{" may also begin a GUID in braces */
	if (len > first && (text[first] == '[' || (text[first] == '{' && memchr(text, '"', len) != NULL)))
		rc = read_json(f, len, err);
	else
		rc = read_csv(f, len, err);
	if (rc < 0) {
		file_free(f);
		*source = (struct ff_key_source){0};
		return -1;
	}
	if (f->count > 0)
		qsort(f->entries, f->count, sizeof(*f->entries), by_name);
	return 0;
}
