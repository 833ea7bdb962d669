/* Recipes: refused with the member's name, or rules that a worker can walk. */
#include "diskops/recipe.h"
#include "fuzz.h"

static void check_rule(const struct recipe_rule *rule)
{
	FUZZ_CHECK(rule->name != NULL && rule->name[0] != '\0', "no name");
	for (size_t i = 0; i < rule->dirs.count; i++)
		FUZZ_CHECK(strcmp(rule->dirs.items[i], "..") != 0 && strchr(rule->dirs.items[i], '/') == NULL, "%s",
			rule->dirs.items[i]);
	FUZZ_CHECK(rule->from_ms < rule->before_ms, "an empty window");
	FUZZ_CHECK(rule->from_ms != INT64_MIN || rule->before_ms != INT64_MAX, "no window: it takes every file");
	if (rule->from_ms != INT64_MIN) {
		FUZZ_CHECK(recipe_age(rule, rule->from_ms) == RECIPE_BAD, "its first moment");
		FUZZ_CHECK(recipe_age(rule, rule->from_ms - 1) == RECIPE_OLDER, "before it");
	}
	if (rule->before_ms != INT64_MAX)
		FUZZ_CHECK(recipe_age(rule, rule->before_ms) == RECIPE_GOOD, "its end");
	ff_glob(rule->name, "C-00000291-00000000-00000032.sys");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ff_auto_json json_t *json = fuzz_json(data, size);
	struct recipe recipe;
	struct ff_err err = {0}, again = {0};
	int rc;

	if (json == NULL)
		return 0;
	rc = recipe_parse(&recipe, json, &err);
	FUZZ_CHECK(ff_recipe_check(json, &again) == rc, "two opinions");
	if (rc < 0)
		FUZZ_CHECK(err.class == FF_E_USAGE && err.text[0] != '\0', "%d '%s'", (int)err.class, err.text);
	else
		FUZZ_CHECK(recipe.count > 0, "no rule");
	for (size_t i = 0; rc == 0 && i < recipe.count; i++)
		check_rule(&recipe.rules[i]);
	recipe_release(&recipe);
	return 0;
}
