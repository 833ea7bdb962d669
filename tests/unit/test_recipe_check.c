/* Recipes: what is accepted, what the messages say, where the window of time begins and ends. */
#include <criterion/criterion.h>
#include <string.h>

#include "diskops/recipe.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"

static json_t *parse(const char *text)
{
	struct ff_err err;
	json_t *json = ff_json_parse(text, strlen(text), 1 << 20, &err);

	cr_assert(json != NULL, "%s: %s", text, err.text);
	return json;
}

#define WHEN "\"when\":{\"mtime_from\":\"2024-07-19T04:09:00Z\"}"
#define TAIL "," WHEN ",\"action\":\"remove\"}]}"
#define HEAD "{\"name\":\"x\",\"os\":\"windows\",\"files\":[{"

static const struct {
	const char *json, *message;
} bad[] = {
	{"[]", "recipe: not an object"},
	{"{\"os\":\"windows\",\"files\":[]}", "name: missing"},
	{"{\"name\":\"A b\",\"os\":\"windows\",\"files\":[]}", "name: not 1 to 64 of a-z, 0-9 and '-'"},
	{"{\"name\":\"x\",\"os\":\"linux\",\"files\":[]}", "os: not \"windows\""},
	{"{\"name\":\"x\",\"os\":\"windows\",\"files\":[]}", "files: not an array of 1 to 64 entries"},
	{"{\"name\":\"x\",\"os\":\"windows\",\"registry\":[]}", "recipe: registry: unknown member"},
	{HEAD "\"when\":{}}]}", "files/0: where: missing"},
	{HEAD "\"where\":\"a/b\",\"action\":\"remove\"}]}", "files/0: when: missing"},
	{HEAD "\"where\":\"a/b\",\"when\":{},\"action\":\"remove\"}]}",
		"files/0: when: empty; it would remove every file"},
	{HEAD "\"where\":\"a/b\",\"when\":{\"mtime_from\":\"yesterday\"},\"action\":\"remove\"}]}",
		"files/0: when/mtime_from: not a time"},
	{HEAD "\"where\":\"a/b\",\"when\":{\"mtime_before\":5},\"action\":\"remove\"}]}",
		"files/0: when/mtime_before: not a time"},
	{HEAD "\"where\":\"a/b\",\"when\":{\"sha256\":\"00\"},\"action\":\"remove\"}]}",
		"files/0: when: sha256: unknown member"},
	{HEAD "\"where\":\"a/b\",\"when\":{\"mtime_from\":\"2024-07-19T04:09:00Z\",\"mtime_before\":"
	      "\"2024-07-19T04:09:00Z\"},\"action\":\"remove\"}]}",
		"files/0: when: mtime_from is not before mtime_before"},
	{HEAD "\"where\":\"a/../b\"" TAIL, "files/0: where: '..' is no segment"},
	{HEAD "\"where\":\"./b\"" TAIL, "files/0: where: '.' is no segment"},
	{HEAD "\"where\":\"/a/b\"" TAIL, "files/0: where: empty segment"},
	{HEAD "\"where\":\"a//b\"" TAIL, "files/0: where: empty segment"},
	{HEAD "\"where\":\"a/b/\"" TAIL, "files/0: where: empty segment"},
	{HEAD "\"where\":\"a\\\\b\"" TAIL, "files/0: where: backslash; segments are separated by '/'"},
	{HEAD "\"where\":\"a\\u0001\"" TAIL, "files/0: where: control character"},
	{HEAD "\"where\":\"a\\u0000b\"" TAIL, "files/0: where: not a text"},
	{HEAD "\"where\":\"*********\"" TAIL, "files/0: where: segment with more than 8 '*' or 255 bytes"},
	{HEAD "\"where\":\"a/b\"," WHEN ",\"action\":\"format\"}]}", "files/0: action: not \"remove\""},
	{HEAD "\"where\":\"a/b\"," WHEN "}]}", "files/0: action: missing"},
};

Test(recipe, names_the_member_that_is_not_good)
{
	for (size_t i = 0; i < FF_COUNT(bad); i++) {
		ff_auto_json json_t *json = parse(bad[i].json);
		struct ff_err err = {0};

		cr_assert(ff_recipe_check(json, &err) == -1, "accepted: %s", bad[i].json);
		cr_expect_str_eq(err.text, bad[i].message);
		cr_expect(err.class == FF_E_USAGE);
	}
}

Test(recipe, takes_64_files_and_not_65)
{
	ff_auto_json json_t *json = parse(HEAD "\"where\":\"a/b\"" TAIL);
	json_t *files = json_object_get(json, "files");
	struct ff_err err;

	while (json_array_size(files) < 64)
		json_array_append(files, json_array_get(files, 0));
	cr_expect(ff_recipe_check(json, &err) == 0, "%s", err.text);
	json_array_append_new(files, json_deep_copy(json_array_get(files, 0)));
	cr_expect(ff_recipe_check(json, &err) == -1);
}

Test(recipe, crowdstrike_is_built_in_and_nothing_else)
{
	ff_auto_json json_t *json = ff_recipe_builtin("crowdstrike-291");
	struct recipe recipe;
	struct ff_err err;

	cr_assert(json != NULL);
	cr_assert(recipe_parse(&recipe, json, &err) == 0, "%s", err.text);
	cr_assert_eq(recipe.count, 1);
	cr_assert_eq(recipe.rules[0].dirs.count, 4);
	cr_expect_str_eq(recipe.rules[0].dirs.items[0], "Windows");
	cr_expect_str_eq(recipe.rules[0].dirs.items[3], "CrowdStrike");
	cr_expect_str_eq(recipe.rules[0].name, "C-00000291*.sys");
	recipe_release(&recipe);
	cr_expect(ff_recipe_builtin("crowdstrike-292") == NULL);
	cr_expect(ff_recipe_builtin(NULL) == NULL);
}

static const struct {
	const char *mtime;
	enum recipe_age age;
} stamps[] = {
	{"2024-07-18T23:00:00Z", RECIPE_OLDER},
	{"2024-07-19T04:08:59.999Z", RECIPE_OLDER},
	{"2024-07-19T04:09:00Z", RECIPE_BAD},
	{"2024-07-19T04:09:00.001Z", RECIPE_BAD},
	{"2024-07-19T05:26:59Z", RECIPE_BAD},
	{"2024-07-19T05:26:59.999Z", RECIPE_BAD},
	{"2024-07-19T05:27:00Z", RECIPE_GOOD},
	{"2026-01-01T00:00:00Z", RECIPE_GOOD},
};

Test(recipe, the_window_is_half_open)
{
	ff_auto_json json_t *json = ff_recipe_builtin("crowdstrike-291");
	struct recipe recipe;
	struct ff_err err;

	cr_assert(recipe_parse(&recipe, json, &err) == 0);
	for (size_t i = 0; i < FF_COUNT(stamps); i++) {
		int64_t ms;

		cr_assert(ff_time_parse(stamps[i].mtime, &ms) == 0);
		cr_expect(recipe_age(&recipe.rules[0], ms) == stamps[i].age, "%s", stamps[i].mtime);
	}
	recipe_release(&recipe);
}

static const struct {
	const char *name;
	bool matches;
} names[] = {
	{"C-00000291-00000000-00000032.sys", true},
	{"c-00000291-00000000-00000032.SYS", true},
	{"C-00000291.sys", true},
	{"C-00000290-00000000-00000032.sys", false},
	{"C-00000291-00000000-00000032.sys.bak", false},
	{"XC-00000291-00000000-00000032.sys", false},
};

Test(recipe, names_match_in_any_case_and_as_a_whole)
{
	ff_auto_json json_t *json = ff_recipe_builtin("crowdstrike-291");
	struct recipe recipe;
	struct ff_err err;

	cr_assert(recipe_parse(&recipe, json, &err) == 0);
	for (size_t i = 0; i < FF_COUNT(names); i++)
		cr_expect(ff_glob(recipe.rules[0].name, names[i].name) == names[i].matches, "%s", names[i].name);
	recipe_release(&recipe);
}
