/* The quick reader of records, judged by jansson. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "fixfleet/node.h"

static struct ff_nodes nodes;

static void teardown(void)
{
	ff_nodes_free(&nodes);
}

TestSuite(node, .fini = teardown);

/* Both take it, and for the same; or both refuse it, with the same words. */
static void expect_same(const char *text, size_t len)
{
	struct ff_err err = {0}, err_node = {0};
	ff_auto_json json_t *j = ff_json_parse(text, len, 1 << 20, &err);
	const struct ff_node *node = ff_nodes_read(&nodes, text, len, 1 << 20, &err_node);
	ff_auto_json json_t *of_node = ff_node_json(node);

	cr_expect_eq(j == NULL, node == NULL, "%.*s", (int)len, text);
	cr_expect_str_eq(err.text, err_node.text);
	cr_expect(j == NULL || json_equal(j, of_node), "%.*s", (int)len, text);
	cr_expect(node == NULL || node->span == nodes.count, "%.*s", (int)len, text);
}

static const char *const lines[] = {
	"{\"n\":4361,\"t\":\"2024-07-19T06:00:35.100Z\",\"k\":\"result\",\"members\":[{\"vm\":1,\"ok\":true,\"facts\":"
	"{\"op\":null,\"etag\":\"\\\"1\\\"\",\"tags\":{},\"zones\":[\"1\",-2,0,false]}}],\"sum\":\"1b7aaccf03ccd102\"}",
	"{\"path\":\"C:\\\\Windows\\/x\",\"s\":404.45400000000001,\"e\":[],\"u\":\"\\u00e4\\n\",\"ae\":\"\xc3\xa4\"}",
};

Test(node, reads_what_jansson_reads)
{
	static const char *const cases[] = {"", "{", "5", "-0", "\"x\"", "[]", "[[]]", "[1,]", "[01]", "[-]", "[1.5]",
		"[1e3]", "[1]x", " [1]", "[1 ]", "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":{\"a\":1}}", "{\"\":1,\"\":2}",
		"[999999999999999999]", "[1234567890123456789]", "[9223372036854775808]", "[nul]", "[nullx]",
		"[true,false]", "{\"a\"}", "{\"a\":}", "{1:2}", "[\"\\u0000\"]", "[\"\\ud800\"]", "[\"\xff\"]",
		"[\"\t\"]", "[\"\\x\"]", "[\"a", "[\"a\\", "[\"\x7f\"]"};

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		expect_same(cases[i], strlen(cases[i]));
	expect_same("[1\0]", 4);
	expect_same("{\"a\0b\":1}", 9);
}

Test(node, reads_whatever_one_byte_makes_of_a_record)
{
	static const char bytes[] = "\"\\{}[],:0-.aen \n\xc3\x7f";

	for (size_t l = 0; l < FF_COUNT(lines); l++) {
		size_t len = strlen(lines[l]);

		for (size_t at = 0; at <= len; at++) {
			ff_auto_free char *text = ff_strdup(lines[l]);

			expect_same(text, at);
			for (size_t b = 0; b < sizeof(bytes) && at < len; b++) { /* with the NUL */
				text[at] = bytes[b];
				expect_same(text, len);
			}
		}
	}
}

Test(node, reads_records_without_jansson)
{
	struct ff_err err;

	cr_assert_not_null(ff_nodes_read(&nodes, lines[0], strlen(lines[0]), 1 << 20, &err));
	cr_expect_null(nodes.odd, "the fast way was not taken");
	cr_assert_not_null(ff_nodes_read(&nodes, lines[1], strlen(lines[1]), 1 << 20, &err));
	cr_expect_not_null(nodes.odd);
	cr_expect_null(ff_nodes_read(&nodes, "[1,2]", 5, 4, &err));
	cr_expect_str_eq(err.text, "5 bytes of JSON, more than the 4 allowed");
}

Test(node, many_members_and_depths_are_read_too)
{
	ff_auto_buf wide = {0}, deep = {0};

	for (int i = 0; i < 200; i++)
		ff_buf_addf(&wide, "%s\"m%d\":%d", i == 0 ? "{" : ",", i, i);
	for (int i = 0; i < 100; i++)
		ff_buf_adds(&deep, "{\"d\":[");
	for (int i = 0; i < 100; i++)
		ff_buf_adds(&deep, "]}");
	ff_buf_adds(&wide, "}");
	expect_same(wide.text, wide.len);
	expect_same(deep.text, deep.len);
}

Test(node, members_are_found_by_name_and_kind)
{
	struct ff_err err;
	const struct ff_node *node = ff_nodes_read(&nodes, lines[0], strlen(lines[0]), 1 << 20, &err);
	const struct ff_node *members = ff_node_get(node, "members"), *facts, *zone;
	size_t count = 0;

	cr_expect_eq(ff_node_int(node, "n", -1), 4361);
	cr_expect_eq(ff_node_int(node, "k", -1), -1);
	cr_expect_str_eq(ff_node_str(node, "sum"), "1b7aaccf03ccd102");
	cr_expect_null(ff_node_str(node, "n"));
	cr_expect_null(ff_node_str(members, "k"));
	cr_expect_null(ff_node_str(NULL, "k"));
	cr_assert(ff_node_is(members, FF_NODE_ARRAY));
	cr_expect(ff_node_bool(ff_node_first(members), "ok", false));
	cr_expect(ff_node_bool(ff_node_first(members), "vm", true));
	cr_expect_null(ff_node_next(members, ff_node_first(members)));
	facts = ff_node_get(ff_node_first(members), "facts");
	cr_expect_str_eq(ff_node_str(facts, "etag"), "\"1\"");
	cr_expect_null(ff_node_first(ff_node_get(facts, "tags")));
	ff_node_foreach(ff_node_get(facts, "zones"), zone) count++;
	cr_expect_eq(count, 4);
}

Test(node, a_patch_is_merged)
{
	static const char patch[] = "{\"a\":null,\"b\":{\"c\":1},\"d\":\"new\"}";
	ff_auto_json json_t *to = json_pack("{s:i,s:s,s:i}", "a", 1, "d", "old", "e", 5);
	ff_auto_json json_t *expected = json_pack("{s:s,s:i,s:{s:i}}", "d", "new", "e", 5, "b", "c", 1);
	struct ff_err err;

	ff_node_merge(to, ff_nodes_read(&nodes, patch, strlen(patch), 1 << 20, &err));
	cr_expect(json_equal(to, expected));
}
