/* Recipes: reading any of them. The built-in ones are in builtin.c. */
#include "recipe.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "recipe_read.h"

#define CONTENT_BYTES_MAX (256 * 1024)

/* ---------------------------------------------------------------- files */

static int read_where(struct reading *r, void *into, const json_t *value)
{
	return reading_where(r, &((struct recipe_rule *)into)->where, value);
}

static int read_when(struct reading *r, void *into, const json_t *value)
{
	return reading_when(r, &((struct recipe_rule *)into)->when, value);
}

static int read_action(struct reading *r, void *into, const json_t *value)
{
	static const char *const words[] = {"quarantine", "remove", "delete", "rename", "write", NULL};
	static const enum recipe_act acts[] = {
		RECIPE_QUARANTINE, RECIPE_QUARANTINE, RECIPE_DELETE, RECIPE_RENAME, RECIPE_WRITE};
	int word = reading_word(r, value, words);

	if (word >= 0)
		((struct recipe_rule *)into)->act = acts[word];
	return word < 0 ? -1 : 0;
}

static int read_to(struct reading *r, void *into, const json_t *value)
{
	const char *text = reading_text(r, value);

	if (text == NULL)
		return -1;
	/* what Windows refuses in names (Naming Files, Paths, and Namespaces) */
	if (strlen(text) > NAME_MAX || strpbrk(text, "/\\:*?\"<>|") != NULL || strcmp(text, ".") == 0 ||
		strcmp(text, "..") == 0)
		return reading_fail(r, "not a file name: the file stays in its directory");
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return reading_fail(r, "control character");
	((struct recipe_rule *)into)->to = ff_strdup(text);
	return 0;
}

static int take_content(struct reading *r, struct recipe_rule *rule, char *content_owned, size_t len)
{
	if (rule->content != NULL) {
		free(content_owned);
		return reading_fail(r, "both text and base64");
	}
	rule->content = content_owned;
	rule->content_len = len;
	return len <= CONTENT_BYTES_MAX ? 0 : reading_fail(r, "more than %d bytes", CONTENT_BYTES_MAX);
}

static int read_text(struct reading *r, void *into, const json_t *value)
{
	if (!json_is_string(value))
		return reading_fail(r, "not a text");
	return take_content(
		r, into, ff_strndup(json_string_value(value), json_string_length(value)), json_string_length(value));
}

static int read_base64(struct reading *r, void *into, const json_t *value)
{
	size_t len = 0;
	char *bytes = json_is_string(value) ? ff_base64_decode(json_string_value(value), &len) : NULL;

	return bytes ? take_content(r, into, bytes, len) : reading_fail(r, "not base64");
}

const struct member recipe_file_members[] = {
	{"where", read_where, true},
	{"when", read_when, true},
	{"action", read_action, true},
	{"to", read_to, false},
	{"text", read_text, false},
	{"base64", read_base64, false},
	{NULL, NULL, false},
};

static bool is_plain(const char *text)
{
	return strpbrk(text, "*?[") == NULL;
}

static int check_rule(struct reading *r, const struct recipe_rule *rule)
{
	if ((rule->act == RECIPE_RENAME) != (rule->to != NULL))
		return reading_fail(r, rule->to ? "\"to\" belongs to the action rename" : "rename needs \"to\"");
	if ((rule->act == RECIPE_WRITE) != (rule->content != NULL))
		return reading_fail(r, rule->content ? "\"text\" and \"base64\" belong to the action write"
						     : "write needs \"text\" or \"base64\"");
	if (rule->when.absent && (rule->act != RECIPE_WRITE || !is_plain(rule->where.name)))
		return reading_fail(r, "\"absent\" belongs to the action write and a name without '*'");
	return 0;
}

static int read_files(struct reading *r, void *into, const json_t *files)
{
	struct recipe *recipe = into;
	const json_t *entry;
	size_t i, n = json_array_size(files);

	if (!json_is_array(files) || n == 0 || n > RECIPE_FILES_MAX)
		return reading_fail(r, "not an array of 1 to %d entries", RECIPE_FILES_MAX);
	recipe->rules = ff_calloc(n, sizeof(*recipe->rules));
	json_array_foreach (files, i, entry) {
		struct recipe_rule *rule = &recipe->rules[recipe->count++];
		char number[24];
		size_t len;

		snprintf(number, sizeof(number), "%zu", i);
		len = reading_enter(r, number);
		recipe_when_init(&rule->when);
		if (reading_members(r, entry, recipe_file_members, rule) < 0 || check_rule(r, rule) < 0)
			return -1;
		recipe->needs_build |= recipe_bounded(&rule->when.build);
		reading_leave(r, len);
	}
	return 0;
}

/* ---------------------------------------------------------------- the whole */

static int read_name(struct reading *r, void *into, const json_t *value)
{
	const char *name = reading_text(r, value);

	if (name == NULL)
		return -1;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) || strlen(name) > 64)
		return reading_fail(r, "not 1 to 64 of a-z, 0-9 and '-'");
	((struct recipe *)into)->name = ff_strdup(name);
	return 0;
}

static int read_title(struct reading *r, void *into, const json_t *value)
{
	(void)into;
	return json_is_string(value) ? 0 : reading_fail(r, "not a text");
}

static int read_os(struct reading *r, void *into, const json_t *value)
{
	static const char *const words[] = {"windows", NULL};

	(void)into;
	return reading_word(r, value, words) < 0 ? -1 : 0;
}

static int read_registry(struct reading *r, void *into, const json_t *value)
{
	return reading_values(r, into, value);
}

static int read_services(struct reading *r, void *into, const json_t *value)
{
	return reading_services(r, into, value);
}

static int read_proof(struct reading *r, void *into, const json_t *value)
{
	return reading_proofs(r, into, value);
}

/* "$schema" is for editors. */
const struct member recipe_members[] = {
	{"$schema", read_title, false},
	{"name", read_name, true},
	{"title", read_title, false},
	{"os", read_os, true},
	{"files", read_files, false},
	{"registry", read_registry, false},
	{"services", read_services, false},
	{"proof", read_proof, false},
	{NULL, NULL, false},
};

int recipe_parse_at(struct recipe *recipe, const json_t *json, struct ff_buf *at, struct ff_err *err)
{
	struct reading r = {.at = at, .err = err};

	*recipe = (struct recipe){0};
	if (reading_members(&r, json, recipe_members, recipe) < 0)
		return -1;
	if (recipe->count + recipe->value_count == 0)
		return reading_fail(&r, "nothing to do: files, registry or services is missing");
	return 0;
}

int recipe_parse(struct recipe *recipe, const json_t *json, struct ff_err *err)
{
	ff_auto_buf at = {0};

	return recipe_parse_at(recipe, json, &at, err);
}

static void rule_release(struct recipe_rule *rule)
{
	recipe_where_release(&rule->where);
	ff_strv_free(&rule->when.sha256);
	free(rule->to);
	free(rule->content);
}

void recipe_release(struct recipe *recipe)
{
	for (size_t i = 0; i < recipe->count; i++)
		rule_release(&recipe->rules[i]);
	for (size_t i = 0; i < recipe->value_count; i++)
		recipe_value_release(&recipe->values[i]);
	for (size_t i = 0; i < recipe->proof_count; i++)
		recipe_proof_release(&recipe->proofs[i]);
	free(recipe->rules);
	free(recipe->values);
	free(recipe->proofs);
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

json_t *ff_recipe_read(const char *text, size_t len, struct ff_err *err)
{
	json_t *json = ff_json_parse(text, len, FF_RECIPE_BYTES_MAX, err);
	struct recipe parsed;
	ff_auto_buf at = {0};
	unsigned line, column;

	if (json == NULL) {
		err->class = FF_E_USAGE;
		return NULL;
	}
	if (recipe_parse_at(&parsed, json, &at, err) < 0) {
		ff_json_position(text, len, at.len > 0 ? at.text : "", &line, &column);
		ff_wrap(err, "line %u column %u", line, column);
		json_decref(json);
		json = NULL;
	}
	recipe_release(&parsed);
	return json;
}
