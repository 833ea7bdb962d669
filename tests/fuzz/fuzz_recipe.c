/* Recipes: refused with the member's name and its place in the file, or rules that a worker can walk. */
#include "diskops/recipe.h"
#include "fuzz.h"

static void check_where(const struct recipe_where *where)
{
	FUZZ_CHECK(where->name != NULL && where->name[0] != '\0', "no name");
	for (size_t i = 0; i < where->dirs.count; i++)
		FUZZ_CHECK(strcmp(where->dirs.items[i], "..") != 0 && strchr(where->dirs.items[i], '/') == NULL, "%s",
			where->dirs.items[i]);
	ff_glob(where->name, "C-00000291-00000000-00000032.sys");
}

static void check_range(const struct recipe_range *range)
{
	FUZZ_CHECK(range->from < range->before, "an empty window");
	if (!recipe_bounded(range))
		return;
	FUZZ_CHECK(range->from == INT64_MIN || recipe_in(range, range->from), "its first");
	FUZZ_CHECK(range->from == INT64_MIN || !recipe_in(range, range->from - 1), "before it");
	FUZZ_CHECK(range->before == INT64_MAX || !recipe_in(range, range->before), "its end");
}

static void check_rule(const struct recipe_rule *rule)
{
	check_where(&rule->where);
	check_range(&rule->when.mtime_ms);
	check_range(&rule->when.size);
	check_range(&rule->when.version);
	check_range(&rule->when.build);
	FUZZ_CHECK((rule->act == RECIPE_RENAME) == (rule->to != NULL), "a new name");
	FUZZ_CHECK(rule->to == NULL || strpbrk(rule->to, "/\\") == NULL, "%s", rule->to);
	FUZZ_CHECK((rule->act == RECIPE_WRITE) == (rule->content != NULL), "content");
	FUZZ_CHECK(!rule->when.absent || rule->act == RECIPE_WRITE, "what is not there cannot go");
}

static void check_value(const struct recipe_value *value)
{
	ff_auto_free char *text = recipe_value_text(value->type, value->data, value->data_len);

	FUZZ_CHECK(text[0] != '\0', "a value without words");
	FUZZ_CHECK(value->hive != NULL && strchr(value->hive, '/') == NULL && strchr(value->hive, '.') == NULL, "hive");
	FUZZ_CHECK(value->keys.count > 0 && value->name != NULL, "no key");
	FUZZ_CHECK(value->remove == (value->data == NULL), "data");
	check_range(&value->build);
}

static void check_recipe(const struct recipe *recipe)
{
	FUZZ_CHECK(recipe->count + recipe->value_count > 0, "nothing to do");
	for (size_t i = 0; i < recipe->count; i++)
		check_rule(&recipe->rules[i]);
	for (size_t i = 0; i < recipe->value_count; i++)
		check_value(&recipe->values[i]);
	for (size_t i = 0; i < recipe->proof_count; i++)
		if (recipe->proofs[i].kind != PROOF_VALUE)
			check_where(&recipe->proofs[i].where);
}

/* Where the member that is not good stands is a place in the text. */
static void check_position(const char *text, size_t size)
{
	struct ff_err err = {0};
	ff_auto_json json_t *json = ff_recipe_read(text, size, &err);
	unsigned line = 0, lines = 1;

	if (json != NULL)
		return;
	FUZZ_CHECK(err.class == FF_E_USAGE && err.text[0] != '\0', "%d '%s'", (int)err.class, err.text);
	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	if (sscanf(err.text, "line %u column", &line) == 1)
		FUZZ_CHECK(line >= 1 && line <= lines, "%u of %u: %s", line, lines, err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ff_auto_json json_t *json = fuzz_json(data, size);
	struct recipe recipe;
	struct ff_err err = {0}, again = {0};
	int rc;

	check_position((const char *)data, size);
	if (json == NULL)
		return 0;
	rc = recipe_parse(&recipe, json, &err);
	FUZZ_CHECK(ff_recipe_check(json, &again) == rc, "two opinions");
	if (rc < 0)
		FUZZ_CHECK(err.class == FF_E_USAGE && err.text[0] != '\0', "%d '%s'", (int)err.class, err.text);
	else
		check_recipe(&recipe);
	recipe_release(&recipe);
	return 0;
}
