#include "test_aws.h"

static xmlDoc *parse(const char *text, struct ff_err *err)
{
	return aws_xml_parse(text, strlen(text), err);
}

Test(aws_xml, elements_are_found_by_local_names_in_any_namespace)
{
	aws_auto_xml *doc = parse("<a:R xmlns:a='http://x/2014-06-15/'><a:s><a:item><k>1</k></a:item><!-- c --><a:item>"
				  "<k>t<!-- c -->wo &amp; &lt;<![CDATA[ <x>]]></k><e/></a:item></a:s></a:R>",
		NULL);
	const xmlNode *item = aws_xml_at(aws_xml_root(doc), "s/item");

	cr_assert(aws_xml_is(aws_xml_root(doc), "R"));
	cr_assert_str_eq(aws_xml_str(item, "k"), "1");
	item = aws_xml_next(item);
	cr_assert_str_eq(aws_xml_str(item, "k"), "two & < <x>");
	cr_assert_str_eq(aws_xml_str(item, "e"), "");
	cr_assert_str_eq(aws_xml_str(item, "missing/deeper"), "");
	cr_assert_null(aws_xml_next(item));
	cr_assert_null(aws_xml_at(NULL, "x"));
}

Test(aws_xml, what_no_answer_has_is_refused)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "empty"},
		{"   ", "not XML"},
		{"{\"a\":1}", "not XML"},
		{"<html><body>502 Bad Gateway<br></body></html>", "not XML"},
		{"<a><b></b>", "not XML"},
		{"<a><b>cut off", "not XML"},
		{"<a/><b/>", "not XML"},
		{"<!DOCTYPE a><a/>", "DOCTYPE"},
		{"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "DOCTYPE"},
		{"<!DOCTYPE l [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
		 "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>]><l>&c;</l>",
			"DOCTYPE"},
		{"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "DOCTYPE"},
		{"<a>&x;</a>", "not XML"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};

		cr_expect_null(parse(cases[i].text, &err), "%s", cases[i].text);
		cr_expect_eq(err.class, FF_E_BUG);
		cr_expect(strstr(err.text, cases[i].why) != NULL, "%s: %s", cases[i].text, err.text);
	}
}

Test(aws_xml, nesting_and_size_have_limits)
{
	ff_auto_buf text = {0};
	struct ff_err err = {0};

	for (int i = 0; i < AWS_XML_DEPTH_MAX; i++)
		ff_buf_adds(&text, "<a>");
	for (int i = 0; i < AWS_XML_DEPTH_MAX; i++)
		ff_buf_adds(&text, "</a>");
	{
		aws_auto_xml *doc = aws_xml_parse(text.text, text.len, &err);

		cr_assert_not_null(doc, "%s", err.text);
	}
	text.len = 0;
	for (int i = 0; i < 200000; i++)
		ff_buf_adds(&text, "<a>");
	cr_assert_null(aws_xml_parse(text.text, text.len, &err));
	cr_assert(strstr(err.text, "nested too deep") != NULL, "%s", err.text);
	cr_assert_null(aws_xml_parse("<a/>", (size_t)AWS_XML_BYTES_MAX + 1, &err));
	cr_assert(strstr(err.text, "more than") != NULL, "%s", err.text);
}

Test(aws_xml, an_answer_cut_anywhere_is_refused)
{
	static const char whole[] = "<?xml version=\"1.0\"?><R><s><item><k>1</k></item></s></R>";

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		aws_auto_xml *doc = aws_xml_parse(whole, len, NULL);

		cr_expect_null(doc, "%zu", len);
	}
}
