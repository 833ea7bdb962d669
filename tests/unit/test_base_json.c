#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

static json_t *parsed(const char *text)
{
	struct ff_err err;
	json_t *j = ff_json_parse(text, strlen(text), 1 << 20, &err);

	cr_assert_not_null(j, "%s", err.text);
	return j;
}

Test(json, paths_walk_objects_and_arrays)
{
	json_t *j = parsed("{\"value\":[{\"id\":\"a\",\"n\":5,\"big\":\"6624228363236670454\"},7],\"on\":true}");

	cr_expect_str_eq(ff_json_str(j, "value/0/id"), "a");
	cr_expect_null(ff_json_str(j, "value/1/id"));
	cr_expect_null(ff_json_str(j, "value/2"));
	cr_expect_null(ff_json_str(j, "value/x"));
	cr_expect_null(ff_json_str(j, "on/deeper/still"));
	cr_expect_null(ff_json_str(NULL, "value"));
	cr_expect_eq(ff_json_int(j, "value/0/n", -1), 5);
	cr_expect_eq(ff_json_int(j, "value/0/big", -1), 6624228363236670454);
	cr_expect_eq(ff_json_int(j, "value/0/id", -1), -1);
	cr_expect(ff_json_bool(j, "on", false));
	cr_expect(ff_json_bool(j, "off", true));
	json_decref(j);
}

Test(json, what_is_no_json_is_refused_with_its_place)
{
	static const char *const cases[] = {"", "{", "{\"a\":1,\"a\":2}", "{\"a\":1} x", "nul", "\"\xff\"", "[1,]"};
	struct ff_err err;

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_expect_null(ff_json_parse(cases[i], strlen(cases[i]), 100, &err), "case %zu", i);
		cr_expect_not_null(strstr(err.text, "line 1"), "%s", err.text);
	}
	cr_expect_null(ff_json_parse("[1]", 3, 2, &err), "over the limit");
	cr_expect_null(ff_json_parse(NULL, 0, 2, &err));
}

Test(json, depth_is_limited)
{
	struct ff_buf deep = {0};
	struct ff_err err;

	for (int i = 0; i < 100000; i++)
		ff_buf_adds(&deep, "[");
	cr_expect_null(ff_json_parse(deep.text, deep.len, 1 << 20, &err));
	ff_buf_free(&deep);
}

Test(json, merge_replaces_and_removes)
{
	json_t *a = parsed("{\"keep\":1,\"change\":{\"x\":1},\"drop\":2}"),
	       *b = parsed("{\"change\":3,\"drop\":null,\"add\":[]}");
	char *text;

	ff_json_merge(a, b);
	text = ff_json_text(a);
	cr_expect_str_eq(text, "{\"keep\":1,\"change\":3,\"add\":[]}");
	free(text);
	json_decref(a);
	json_decref(b);
}

Test(json, a_text_that_is_not_utf8_becomes_printable)
{
	json_t *j = json_object();

	ff_json_set_str(j, "name", "a\xff");
	cr_expect_str_eq(ff_json_str(j, "name"), "a\\xff");
	ff_json_set_str(j, "name", NULL);
	cr_expect_eq(json_object_size(j), 0);
	json_decref(j);
}
