/* Recipes: what is accepted, what the messages say, where the window of time begins and ends. */
#include <criterion/criterion.h>
#include <string.h>

#include "diskops/recipe.h"
#include "diskops/recipe_read.h"
#include "diskops/version.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "schema_kit.h"

static json_t *parse(const char *text)
{
	struct ff_err err;
	json_t *json = ff_json_parse(text, strlen(text), 1 << 20, &err);

	cr_assert(json != NULL, "%s: %s", text, err.text);
	return json;
}

#define WHEN "\"when\":{\"mtime_from\":\"2024-07-19T04:09:00Z\"}"
#define TAIL "," WHEN ",\"action\":\"remove\"}]}"
#define ROOT "{\"name\":\"x\",\"os\":\"windows\","
#define HEAD ROOT "\"files\":[{"
#define ANY  "\"where\":\"a/b\",\"when\":{\"any\":true},"
#define KEY  "\"hive\":\"SYSTEM\",\"key\":\"a\\\\b\",\"value\":\"v\""

/* `shape`: wrong in a way that the schema sees too. */
static const struct {
	const char *json, *message;
	bool shape;
} bad[] = {
	{"[]", "recipe: not an object", true},
	{"{\"os\":\"windows\",\"files\":[]}", "name: missing", true},
	{"{\"name\":\"A b\",\"os\":\"windows\",\"files\":[]}", "name: not 1 to 64 of a-z, 0-9 and '-'", true},
	{"{\"name\":\"x\",\"os\":\"linux\",\"files\":[]}", "os: not one of: windows", true},
	{ROOT "\"files\":[]}", "files: not an array of 1 to 64 entries", true},
	{ROOT "\"title\":\"t\"}", "recipe: nothing to do: files, registry or services is missing", true},
	{ROOT "\"registers\":[]}", "registers: unknown member", true},
	{HEAD "\"when\":{}}]}", "files/0/where: missing", true},
	{HEAD "\"where\":\"a/b\",\"action\":\"remove\"}]}", "files/0/when: missing", true},
	{HEAD "\"where\":\"a/b\",\"when\":{},\"action\":\"remove\"}]}",
		"files/0/when: empty: it would take every file; say \"any\": true if that is meant", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"any\":false},\"action\":\"remove\"}]}", "files/0/when/any: not true",
		true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"mtime_from\":\"yesterday\"},\"action\":\"remove\"}]}",
		"files/0/when/mtime_from: not a time as in 2024-07-19T04:09:00Z", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"mtime_before\":5},\"action\":\"remove\"}]}",
		"files/0/when/mtime_before: not a time as in 2024-07-19T04:09:00Z", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"sha256\":\"00\"},\"action\":\"remove\"}]}",
		"files/0/when/sha256: not a SHA-256 of 64 hex digits", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"sha256\":[]},\"action\":\"remove\"}]}",
		"files/0/when/sha256: not 1 to 64 hashes", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"md5\":\"00\"},\"action\":\"remove\"}]}",
		"files/0/when/md5: unknown member", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"mtime_from\":\"2024-07-19T04:09:00Z\",\"mtime_before\":"
	      "\"2024-07-19T04:09:00Z\"},\"action\":\"remove\"}]}",
		"files/0/when: mtime_from is not before mtime_before", false},
	{HEAD "\"where\":\"a/b\",\"when\":{\"size\":-1},\"action\":\"remove\"}]}",
		"files/0/when/size: not a whole number from 0 to 9223372036854775806", true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"size\":1,\"size_from\":1},\"action\":\"remove\"}]}",
		"files/0/when: size together with size_from or size_before", false},
	{HEAD "\"where\":\"a/b\",\"when\":{\"any\":true,\"size\":1},\"action\":\"remove\"}]}",
		"files/0/when: \"any\" together with a condition on the file", false},
	{HEAD "\"where\":\"a/b\",\"when\":{\"version_from\":\"1.2.3.4.5\"},\"action\":\"remove\"}]}",
		"files/0/when/version_from: not a version as in 7.11.0.1 (each part up to 65535, the first up to "
		"32767)",
		true},
	{HEAD "\"where\":\"a/b\",\"when\":{\"build_from\":2,\"build_before\":2},\"action\":\"remove\"}]}",
		"files/0/when: build_from is not before build_before", false},
	{HEAD "\"where\":\"a/b\",\"when\":{\"absent\":true},\"action\":\"remove\"}]}",
		"files/0: \"absent\" belongs to the action write and a name without '*'", false},
	{HEAD "\"where\":\"a/../b\"" TAIL, "files/0/where: '..' is no segment", false},
	{HEAD "\"where\":\"./b\"" TAIL, "files/0/where: '.' is no segment", false},
	{HEAD "\"where\":\"/a/b\"" TAIL,
		"files/0/where: empty segment: it begins at the root of the volume, without '/' at either end", true},
	{HEAD "\"where\":\"a//b\"" TAIL,
		"files/0/where: empty segment: it begins at the root of the volume, without '/' at either end", true},
	{HEAD "\"where\":\"a/b/\"" TAIL,
		"files/0/where: empty segment: it begins at the root of the volume, without '/' at either end", true},
	{HEAD "\"where\":\"C:/a\"" TAIL,
		"files/0/where: colon; it begins at the root of the volume, without a drive letter", false},
	{HEAD "\"where\":\"a\\\\b\"" TAIL, "files/0/where: backslash; segments are separated by '/'", true},
	{HEAD "\"where\":\"a\\u0001\"" TAIL, "files/0/where: control character", false},
	{HEAD "\"where\":\"a\\u0000b\"" TAIL, "files/0/where: not a text", false},
	{HEAD "\"where\":\"*********\"" TAIL, "files/0/where: segment with more than 8 '*' or 255 bytes", false},
	{HEAD "\"where\":\"a/b\"," WHEN ",\"action\":\"format\"}]}",
		"files/0/action: not one of: quarantine, remove, delete, rename, write", true},
	{HEAD "\"where\":\"a/b\"," WHEN "}]}", "files/0/action: missing", true},
	{HEAD ANY "\"action\":\"rename\"}]}", "files/0: rename needs \"to\"", false},
	{HEAD ANY "\"action\":\"remove\",\"to\":\"x\"}]}", "files/0: \"to\" belongs to the action rename", false},
	{HEAD ANY "\"action\":\"rename\",\"to\":\"../x\"}]}",
		"files/0/to: not a file name: the file stays in its directory", true},
	{HEAD ANY "\"action\":\"rename\",\"to\":\"..\"}]}",
		"files/0/to: not a file name: the file stays in its directory", false},
	{HEAD ANY "\"action\":\"write\"}]}", "files/0: write needs \"text\" or \"base64\"", false},
	{HEAD ANY "\"action\":\"write\",\"text\":\"a\",\"base64\":\"YQ==\"}]}", "files/0/base64: both text and base64",
		false},
	{HEAD ANY "\"action\":\"write\",\"base64\":\"?\"}]}", "files/0/base64: not base64", false},
	{ROOT "\"registry\":[{" KEY "}]}", "registry/0/action: missing", true},
	{ROOT "\"registry\":[{" KEY ",\"action\":\"set\"}]}", "registry/0: set needs \"type\" and \"data\"", false},
	{ROOT "\"registry\":[{" KEY ",\"action\":\"delete\",\"type\":\"dword\"}]}",
		"registry/0: \"type\" and \"data\" belong to the action set", false},
	{ROOT "\"registry\":[{" KEY ",\"action\":\"set\",\"data\":4}]}", "registry/0/data: without \"type\"", false},
	{ROOT "\"registry\":[{" KEY ",\"action\":\"set\",\"type\":\"dword\",\"data\":4294967296}]}",
		"registry/0/data: not a whole number that fits", false},
	{ROOT "\"registry\":[{" KEY ",\"action\":\"set\",\"type\":\"multi_sz\",\"data\":[\"a\",\"\"]}]}",
		"registry/0/data: not texts that are not empty, of at most 16384 bytes", false},
	{ROOT "\"registry\":[{\"hive\":\"../SYSTEM\",\"key\":\"a\",\"value\":\"\",\"action\":\"delete\"}]}",
		"registry/0/hive: not the name of a hive: SYSTEM, SOFTWARE, DEFAULT, SAM or SECURITY", true},
	{ROOT "\"registry\":[{\"hive\":\"SYSTEM\",\"key\":\"CurrentControlSet\\\\x\",\"value\":\"\",\"action\":"
	      "\"delete\"}]}",
		"registry/0/key: CurrentControlSet is there only while Windows runs: say ControlSet*", false},
	{ROOT "\"registry\":[{\"hive\":\"SYSTEM\",\"key\":\"HKLM\\\\SYSTEM\\\\x\",\"value\":\"\",\"action\":"
	      "\"delete\"}]}",
		"registry/0/key: begins inside of the hive: leave out HKLM and the name of the hive", false},
	{ROOT "\"registry\":[{\"hive\":\"SYSTEM\",\"key\":\"HKEY_LOCAL_MACHINE\\\\x\",\"value\":\"\",\"action\":"
	      "\"delete\"}]}",
		"registry/0/key: begins inside of the hive: leave out HKLM and the name of the hive", false},
	{ROOT "\"registry\":[{\"hive\":\"SYSTEM\",\"key\":\"System\\\\ControlSet001\",\"value\":\"\",\"action\":"
	      "\"delete\"}]}",
		"registry/0/key: begins inside of the hive: leave out HKLM and the name of the hive", false},
	{ROOT "\"registry\":[{\"hive\":\"SYSTEM\",\"key\":\"a\\\\\",\"value\":\"\",\"action\":\"delete\"}]}",
		"registry/0/key: not 1 to 32 names with a backslash between them", true},
	{ROOT "\"services\":[{\"name\":\"*\",\"action\":\"disable\"}]}",
		"services/0/name: not the name of one service or driver", true},
	{ROOT "\"services\":[{\"name\":\"x\",\"action\":\"remove\"}]}", "services/0/action: not one of: disable", true},
	{ROOT "\"services\":[{\"name\":\"x\",\"action\":\"disable\"}],\"proof\":[{\"where\":\"a\"}]}",
		"proof/0: not one of: where and absent; where and sha256; hive, key, value, type and data", true},
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

Test(recipe, crowdstrike_is_built_in)
{
	ff_auto_json json_t *json = ff_recipe_builtin("crowdstrike-291");
	struct recipe recipe;
	struct ff_err err;

	cr_assert(json != NULL);
	cr_assert(recipe_parse(&recipe, json, &err) == 0, "%s", err.text);
	cr_assert_eq(recipe.count, 1);
	cr_assert_eq(recipe.rules[0].where.dirs.count, 4);
	cr_expect_str_eq(recipe.rules[0].where.dirs.items[0], "Windows");
	cr_expect_str_eq(recipe.rules[0].where.dirs.items[3], "CrowdStrike");
	cr_expect_str_eq(recipe.rules[0].where.name, "C-00000291*.sys");
	recipe_release(&recipe);
	cr_expect(ff_recipe_builtin("crowdstrike-292") == NULL);
	cr_expect(ff_recipe_builtin(NULL) == NULL);
}

static const struct {
	const char *mtime;
	bool bad;
} stamps[] = {
	{"2024-07-18T23:00:00Z", false},
	{"2024-07-19T04:08:59.999Z", false},
	{"2024-07-19T04:09:00Z", true},
	{"2024-07-19T04:09:00.001Z", true},
	{"2024-07-19T05:26:59Z", true},
	{"2024-07-19T05:26:59.999Z", true},
	{"2024-07-19T05:27:00Z", false},
	{"2026-01-01T00:00:00Z", false},
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
		cr_expect(recipe_in(&recipe.rules[0].when.mtime_ms, ms) == stamps[i].bad, "%s", stamps[i].mtime);
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
		cr_expect(ff_glob(recipe.rules[0].where.name, names[i].name) == names[i].matches, "%s", names[i].name);
	recipe_release(&recipe);
}

/* ---------------------------------------------------------------- data of registry values */

static const struct {
	const char *type, *data, *bytes, *text;
	size_t len;
} values[] = {
	{"dword", "4", "\4\0\0\0", "dword 4", 4},
	{"dword", "4294967295", "\xff\xff\xff\xff", "dword 4294967295", 4},
	{"qword", "258", "\2\1\0\0\0\0\0\0", "qword 258", 8},
	{"sz", "\"aZ\"", "a\0Z\0\0", "'aZ'", 6},
	{"expand_sz", "\"\"", "\0", "''", 2},
	/* two bytes, three bytes, and a pair of surrogates */
	{"sz", "\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\xe9\0\xac\x20\x3d\xd8\0\xde\0",
		"'?"
		"?"
		"?"
		"?'",
		10},
	{"multi_sz", "[\"a\",\"b\"]", "a\0\0\0b\0\0\0\0", "10 bytes of type 7", 10},
	{"binary", "\"AQID\"", "\1\2\3", "3 bytes of type 3", 3},
};

Test(recipe, data_stands_as_in_a_hive)
{
	for (size_t i = 0; i < FF_COUNT(values); i++) {
		ff_auto_free char *text =
			ff_printf(ROOT "\"registry\":[{" KEY ",\"action\":\"set\",\"type\":\"%s\",\"data\":%s}]}",
				values[i].type, values[i].data);
		ff_auto_json json_t *json = parse(text);
		struct recipe recipe;
		struct ff_err err;

		cr_assert(recipe_parse(&recipe, json, &err) == 0, "%s: %s", text, err.text);
		cr_assert_eq(recipe.values[0].data_len, values[i].len, "%s", text);
		cr_expect(memcmp(recipe.values[0].data, values[i].bytes, values[i].len) == 0, "%s", text);
		ff_auto_free char *shown =
			recipe_value_text(recipe.values[0].type, recipe.values[0].data, recipe.values[0].data_len);

		cr_expect_str_eq(shown, values[i].text);
		recipe_release(&recipe);
	}
}

Test(recipe, a_disabled_service_is_its_start_value)
{
	ff_auto_json json_t *json = ff_recipe_builtin("disable-csagent");
	struct recipe recipe;
	struct ff_err err;

	cr_assert(recipe_parse(&recipe, json, &err) == 0, "%s", err.text);
	cr_assert_eq(recipe.value_count, 1);
	cr_expect_str_eq(recipe.values[0].hive, "SYSTEM");
	cr_expect_str_eq(recipe.values[0].keys.items[0], "ControlSet*");
	cr_expect_str_eq(recipe.values[0].keys.items[2], "CSAgent");
	cr_expect_str_eq(recipe.values[0].name, "Start");
	cr_expect(memcmp(recipe.values[0].data, "\4\0\0\0", 4) == 0);
	recipe_release(&recipe);
}

/* ---------------------------------------------------------------- where in a file */

static const struct {
	const char *text, *message;
} positions[] = {
	{"{\n  \"name\": \"x\",\n", "line 3 column"},
	{"{\n \"name\": \"x\", \"os\": \"windows\",\n \"files\": [\n  {\"where\": \"a\", \"when\": {\"any\": true}, "
	 "\"action\": \"remove\"},\n  {\"where\": \"a\", \"when\": {\n     \"size\": \"big\"}, \"action\": "
	 "\"remove\"}]}",
		"line 6 column 6: files/1/when/size: not a whole number"},
	/* what is missing is missing where its object begins */
	{"{ \"name\": \"x\",\n  \"os\": \"windows\", \"files\": [ {\"when\": {\"any\":true}, \"action\":\"remove\"}]}",
		"line 2 column 31: files/0/where: missing"},
	{"{ \"os\": \"windows\" }", "line 1 column 1: name: missing"},
	/* braces and quotes inside of texts are no structure */
	{"{\"name\":\"x\",\"os\":\"windows\",\"title\":\"a } \\\" ] {\",\n\"sort\":1}",
		"line 2 column 1: sort: unknown"},
	{"{\"name\":\"x\",\"name\":\"y\"}", "duplicate"},
};

Test(recipe, says_line_and_column)
{
	for (size_t i = 0; i < FF_COUNT(positions); i++) {
		struct ff_err err = {0};
		json_t *json = ff_recipe_read(positions[i].text, strlen(positions[i].text), &err);

		cr_assert(json == NULL, "accepted: %s", positions[i].text);
		cr_expect(ff_contains_nocase(err.text, positions[i].message), "%s", err.text);
		cr_expect(err.class == FF_E_USAGE);
	}
}

/* ---------------------------------------------------------------- the published schema and the examples */

static json_t *read_source(const char *file)
{
	ff_auto_free char *path = ff_printf("%s/%s", FF_SOURCE_DIR, file);
	json_error_t where;
	json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);

	cr_assert(json != NULL, "%s: line %d: %s", path, where.line, where.text);
	return json;
}

/* The table and the schema's properties name the same members, and require the same. */
static void compare_members(const json_t *schema, const char *path, const struct member *members)
{
	const json_t *object = *path ? ff_json_at(schema, path) : schema,
		     *properties = json_object_get(object, "properties");
	size_t count = 0;

	cr_assert(properties != NULL, "%s", path);
	cr_expect(json_is_false(json_object_get(object, "additionalProperties")), "%s", path);
	for (; members->name != NULL; members++, count++) {
		bool required = false;
		const json_t *name;
		size_t i;

		cr_expect(json_object_get(properties, members->name) != NULL, "%s: %s", path, members->name);
		json_array_foreach (json_object_get(object, "required"), i, name)
			required |= ff_streq(json_string_value(name), members->name);
		cr_expect(required == members->required, "%s: %s", path, members->name);
	}
	cr_expect_eq(json_object_size(properties), count, "%s", path);
}

Test(schema, knows_the_members_that_the_parser_knows)
{
	ff_auto_json json_t *schema = read_source("docs/recipe.schema.json");

	compare_members(schema, "", recipe_members);
	compare_members(schema, "$defs/file", recipe_file_members);
	compare_members(schema, "$defs/when", recipe_when_members);
	compare_members(schema, "$defs/value", recipe_value_members);
	compare_members(schema, "$defs/buildWhen", recipe_value_when_members);
	compare_members(schema, "$defs/service", recipe_service_members);
	compare_members(schema, "$defs/proof", recipe_proof_members);
}

Test(schema, accepts_what_is_built_in_and_the_examples)
{
	static const char *const examples[] = {
		"docs/recipes/disable-boot-driver.json", "docs/recipes/replace-by-hash.json"};
	ff_auto_json json_t *schema = read_source("docs/recipe.schema.json");
	struct ff_err err;

	for (size_t i = 0; ff_recipe_name(i) != NULL; i++) {
		ff_auto_json json_t *recipe = ff_recipe_builtin(ff_recipe_name(i));

		cr_expect(schema_fits(schema, schema, recipe), "%s", ff_recipe_name(i));
		cr_expect(ff_recipe_check(recipe, &err) == 0, "%s: %s", ff_recipe_name(i), err.text);
		cr_expect_str_eq(ff_json_str(recipe, "name"), ff_recipe_name(i));
	}
	for (size_t i = 0; i < FF_COUNT(examples); i++) {
		ff_auto_json json_t *recipe = read_source(examples[i]);

		cr_expect(schema_fits(schema, schema, recipe), "%s", examples[i]);
		cr_expect(ff_recipe_check(recipe, &err) == 0, "%s: %s", examples[i], err.text);
	}
}

Test(schema, refuses_what_has_the_wrong_shape)
{
	ff_auto_json json_t *schema = read_source("docs/recipe.schema.json");

	for (size_t i = 0; i < FF_COUNT(bad); i++) {
		ff_auto_json json_t *json = parse(bad[i].json);

		cr_expect(schema_fits(schema, schema, json) == !bad[i].shape, "%s", bad[i].json);
	}
}

/* Every recipe in docs/recipes.md, between ```json and ```. */
Test(schema, the_manual_shows_recipes_that_are_good)
{
	ff_auto_free char *path = ff_printf("%s/docs/recipes.md", FF_SOURCE_DIR), *line = NULL;
	ff_auto_json json_t *schema = read_source("docs/recipe.schema.json");
	FILE *f = fopen(path, "re");
	size_t room = 0, found = 0;
	bool inside = false;
	struct ff_buf text = {0};

	cr_assert(f != NULL);
	while (getline(&line, &room, f) > 0) {
		if (inside && ff_has_prefix(line, "```")) {
			struct ff_err err;
			ff_auto_json json_t *json = ff_recipe_read(text.text, text.len, &err);

			cr_expect(json != NULL, "%s: %s", err.text, text.text);
			cr_expect(json == NULL || schema_fits(schema, schema, json), "%s", text.text);
			inside = false;
			found++;
		} else if (inside) {
			ff_buf_adds(&text, line);
		} else if (ff_has_prefix(line, "```json")) {
			inside = true;
			text.len = 0;
		}
	}
	fclose(f);
	ff_buf_free(&text);
	cr_expect(found >= 3, "%zu", found);
}

/* ---------------------------------------------------------------- version resources */

static const struct {
	const char *text, *shown; /* shown NULL: no version */
} versions[] = {
	{"10.0.17763.1", "10.0.17763.1"},
	{"7", "7.0.0.0"},
	{"7.11", "7.11.0.0"},
	{"0.0.0.0", "0.0.0.0"},
	{"32767.65535.65535.65535", "32767.65535.65535.65535"},
	{"32768.0.0.0", NULL},
	{"1.65536", NULL},
	{"1.2.3.4.5", NULL},
	{"1..2", NULL},
	{"1.", NULL},
	{".1", NULL},
	{"", NULL},
	{"1.2 ", NULL},
	{"-1", NULL},
	{"0000000001", NULL},
};

Test(version, is_four_numbers)
{
	for (size_t i = 0; i < FF_COUNT(versions); i++) {
		char text[VERSION_TEXT_BYTES];
		int64_t version = 0;
		int rc = version_parse(versions[i].text, &version);

		cr_expect_eq(rc, versions[i].shown ? 0 : -1, "%s", versions[i].text);
		if (rc == 0 && versions[i].shown != NULL)
			cr_expect_str_eq(version_text(version, text), versions[i].shown);
	}
}

/* A program cut off or garbled anywhere has no version, or the one it had, and is never read beyond its end. */
Test(version, of_a_program_that_is_not_whole)
{
	uint8_t head[256] = {'M', 'Z'}, section[256] = {0};
	int64_t offset, version = 0;
	uint32_t bytes;

	head[0x3c] = 0x80;
	memcpy(head + 0x80, "PE\0\0", 4);
	head[0x86] = 1;
	memcpy(head + 0x98, ".rsrc", 5);
	head[0x98 + 16] = 200;
	head[0x98 + 21] = 4;
	cr_assert(version_section(head, sizeof(head), &offset, &bytes) == 0);
	cr_expect_eq(offset, 1024);
	cr_expect_eq(bytes, 200);
	for (size_t len = 0; len < 0x98 + 40; len++) {
		uint8_t *part = memcpy(ff_calloc(len + 1, 1), head, len);

		cr_expect(version_section(part, len, &offset, &bytes) == -1, "%zu", len);
		free(part);
	}
	for (size_t i = 0; i < sizeof("VS_VERSION_INFO"); i++)
		section[6 + 2 * i] = (uint8_t) "VS_VERSION_INFO"[i];
	memcpy(section + 40, "\xbd\x04\xef\xfe", 4);
	section[40 + 10] = 10;
	section[40 + 14] = 1;
	cr_assert(version_find(section, sizeof(section), &version) == 0);
	cr_expect_eq(version, (int64_t)10 << 48 | (int64_t)1 << 16);
	for (size_t len = 0; len <= sizeof(section); len++) {
		uint8_t *part = memcpy(ff_calloc(len + 1, 1), section, len);

		cr_expect(version_find(part, len, &version) == (len < 94 ? -1 : 0), "%zu", len);
		free(part);
	}
}
