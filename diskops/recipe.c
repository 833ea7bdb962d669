/* Recipes: the built-in one, and reading any of them. */
#include "recipe.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"

#define WHERE_BYTES_MAX 512
#define SEGMENTS_MAX	32
#define STARS_MAX	8 /* of one segment: what fnmatch() has to try grows with each */

/*
 * CrowdStrike, "Falcon Content Update for Windows Hosts" (20 July 2024): channel file 291 stamped 2024-07-19 04:09 UTC
 * is the bad one, stamped 05:27 UTC or later the good one.
 */
static const char crowdstrike_291[] =
	"{\"name\":\"crowdstrike-291\","
	"\"title\":\"CrowdStrike Falcon channel file 291 of 19 July 2024\","
	"\"os\":\"windows\","
	"\"files\":[{\"where\":\"Windows/System32/drivers/CrowdStrike/C-00000291*.sys\","
	"\"when\":{\"mtime_from\":\"2024-07-19T04:09:00Z\",\"mtime_before\":\"2024-07-19T05:27:00Z\"},"
	"\"action\":\"remove\"}]}";

json_t *ff_recipe_builtin(const char *name)
{
	struct ff_err err;

	if (!ff_streq(name, "crowdstrike-291"))
		return NULL;
	return ff_json_parse(crowdstrike_291, sizeof(crowdstrike_291) - 1, sizeof(crowdstrike_291), &err);
}

/* ---------------------------------------------------------------- reading */

/* Every member must be one that this program carries out: an unknown one may be a condition that forbids the removal.
 */
static int only_members(const json_t *object, const char *const *known, struct ff_err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return ff_fail(err, FF_E_USAGE, "not an object");
	json_object_foreach ((json_t *)object, key, value) {
		const char *const *k = known;
		ff_auto_free char *shown = ff_printable(key);

		while (*k != NULL && strcmp(*k, key) != 0)
			k++;
		if (*k == NULL)
			return ff_fail(err, FF_E_USAGE, "%.64s: unknown member", shown);
	}
	return 0;
}

/* The string member without NUL bytes inside; NULL with err otherwise. */
static const char *need_text(const json_t *object, const char *key, struct ff_err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value) || json_string_length(value) == 0 ||
		json_string_length(value) != strlen(json_string_value(value))) {
		ff_fail(err, FF_E_USAGE, "%s: %s", key, value ? "not a text" : "missing");
		return NULL;
	}
	return json_string_value(value);
}

static int need_word(const json_t *object, const char *key, const char *word, struct ff_err *err)
{
	const char *text = need_text(object, key, err);

	if (text == NULL)
		return -1;
	return strcmp(text, word) == 0 ? 0 : ff_fail(err, FF_E_USAGE, "%s: not \"%s\"", key, word);
}

static int read_segment(struct recipe_rule *rule, const char *text, size_t len, bool last, struct ff_err *err)
{
	ff_auto_free char *segment = ff_strndup(text, len);
	unsigned stars = 0;

	if (len == 0)
		return ff_fail(err, FF_E_USAGE, "where: empty segment");
	if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
		return ff_fail(err, FF_E_USAGE, "where: '%s' is no segment", segment);
	for (const char *c = segment; *c != '\0'; c++)
		stars += *c == '*';
	if (stars > STARS_MAX || len > NAME_MAX)
		return ff_fail(
			err, FF_E_USAGE, "where: segment with more than %d '*' or %d bytes", STARS_MAX, NAME_MAX);
	if (last)
		rule->name = FF_STEAL(segment);
	else
		ff_strv_add(&rule->dirs, segment);
	return 0;
}

static int read_where(struct recipe_rule *rule, const json_t *entry, struct ff_err *err)
{
	const char *where = need_text(entry, "where", err);

	if (where == NULL)
		return -1;
	if (strlen(where) > WHERE_BYTES_MAX)
		return ff_fail(err, FF_E_USAGE, "where: longer than %d bytes", WHERE_BYTES_MAX);
	if (strchr(where, '\\') != NULL)
		return ff_fail(err, FF_E_USAGE, "where: backslash; segments are separated by '/'");
	for (const char *c = where; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return ff_fail(err, FF_E_USAGE, "where: control character");
	for (bool last = false; !last;) {
		size_t len = strcspn(where, "/");

		last = where[len] == '\0';
		if (read_segment(rule, where, len, last, err) < 0)
			return -1;
		where += len + 1;
	}
	return rule->dirs.count < SEGMENTS_MAX ? 0
					       : ff_fail(err, FF_E_USAGE, "where: more than %d segments", SEGMENTS_MAX);
}

static int read_time(const json_t *when, const char *key, int64_t *out, struct ff_err *err)
{
	if (json_object_get(when, key) == NULL)
		return 0;
	if (ff_time_parse(json_string_value(json_object_get(when, key)), out) < 0)
		return ff_fail(err, FF_E_USAGE, "when/%s: not a time", key);
	return 0;
}

static int read_when(struct recipe_rule *rule, const json_t *entry, struct ff_err *err)
{
	static const char *const known[] = {"mtime_from", "mtime_before", NULL};
	const json_t *when = json_object_get(entry, "when");

	rule->from_ms = INT64_MIN;
	rule->before_ms = INT64_MAX;
	if (when == NULL)
		return ff_fail(err, FF_E_USAGE, "when: missing");
	if (only_members(when, known, err) < 0)
		return ff_wrap(err, "when");
	if (json_object_size(when) == 0)
		return ff_fail(err, FF_E_USAGE, "when: empty; it would remove every file");
	if (read_time(when, "mtime_from", &rule->from_ms, err) < 0 ||
		read_time(when, "mtime_before", &rule->before_ms, err) < 0)
		return -1;
	if (rule->from_ms >= rule->before_ms)
		return ff_fail(err, FF_E_USAGE, "when: mtime_from is not before mtime_before");
	return 0;
}

static int read_rule(struct recipe_rule *rule, const json_t *entry, struct ff_err *err)
{
	static const char *const known[] = {"where", "when", "action", NULL};

	if (only_members(entry, known, err) < 0 || read_where(rule, entry, err) < 0 || read_when(rule, entry, err) < 0)
		return -1;
	return need_word(entry, "action", "remove", err);
}

static int read_rules(struct recipe *recipe, const json_t *files, struct ff_err *err)
{
	const json_t *entry;
	size_t i, n = json_array_size(files);

	if (!json_is_array(files) || n == 0 || n > RECIPE_FILES_MAX)
		return ff_fail(err, FF_E_USAGE, "files: not an array of 1 to %d entries", RECIPE_FILES_MAX);
	recipe->rules = ff_calloc(n, sizeof(*recipe->rules));
	json_array_foreach (files, i, entry)
		if (read_rule(&recipe->rules[recipe->count++], entry, err) < 0)
			return ff_wrap(err, "files/%zu", i);
	return 0;
}

int recipe_parse(struct recipe *recipe, const json_t *json, struct ff_err *err)
{
	static const char *const known[] = {"name", "title", "os", "files", NULL};
	const char *name;
	const json_t *title = json_object_get(json, "title");

	*recipe = (struct recipe){0};
	if (only_members(json, known, err) < 0)
		return ff_wrap(err, "recipe");
	name = need_text(json, "name", err);
	if (name == NULL)
		return -1;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) || strlen(name) > 64)
		return ff_fail(err, FF_E_USAGE, "name: not 1 to 64 of a-z, 0-9 and '-'");
	recipe->name = ff_strdup(name);
	if (title != NULL && !json_is_string(title))
		return ff_fail(err, FF_E_USAGE, "title: not a text");
	if (need_word(json, "os", "windows", err) < 0)
		return -1;
	return read_rules(recipe, json_object_get(json, "files"), err);
}

void recipe_release(struct recipe *recipe)
{
	for (size_t i = 0; i < recipe->count; i++) {
		ff_strv_free(&recipe->rules[i].dirs);
		free(recipe->rules[i].name);
	}
	free(recipe->rules);
	free(recipe->name);
	*recipe = (struct recipe){0};
}

int ff_recipe_check(const json_t *recipe, struct ff_err *err)
{
	struct recipe parsed;
	int rc = recipe_parse(&parsed, recipe, err);

	recipe_release(&parsed);
	return rc;
}

enum recipe_age recipe_age(const struct recipe_rule *rule, int64_t mtime_ms)
{
	if (mtime_ms < rule->from_ms)
		return RECIPE_OLDER;
	return mtime_ms < rule->before_ms ? RECIPE_BAD : RECIPE_GOOD;
}
