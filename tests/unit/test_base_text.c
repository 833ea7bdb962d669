#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/err.h"
#include "fixfleet/mem.h"

Test(text, printable_escapes_what_a_terminal_obeys)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"vm-17", "vm-17"},
		{"", ""},
		{"Gr\xc3\xb6\xc3\x9f"
		 "e",
			"Gr\xc3\xb6\xc3\x9f"
			"e"},
		{"a\x1b[2Jb", "a\\x1b[2Jb"},
		{"line\nline\ttab\r", "line\\x0aline\\x09tab\\x0d"},
		{"back\\slash", "back\\x5cslash"},
		{"\x7f", "\\x7f"},
		{"\xc2\x9b", "\\xc2\\x9b"},		      /* C1: CSI in one character */
		{"\xe2\x80\xae", "\\xe2\\x80\\xae"},	      /* right-to-left override */
		{"\xc0\xaf", "\\xc0\\xaf"},		      /* overlong */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
		{"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"}, /* beyond Unicode */
		{"\xe2\x82", "\\xe2\\x82"},		      /* cut off */
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		char *out = ff_printable(cases[i].in);

		cr_expect_str_eq(out, cases[i].out, "case %zu", i);
		free(out);
	}
	char *none = ff_printable(NULL);

	cr_expect_str_eq(none, "(none)");
	free(none);
}

Test(text, percent_encoding_leaves_only_unreserved_characters)
{
	char *out = ff_percent_encode("aZ09-._~ /?&=+%\xc3\xa4");

	cr_expect_str_eq(out, "aZ09-._~%20%2F%3F%26%3D%2B%25%C3%A4");
	free(out);
}

Test(text, forms_are_joined_with_ampersands)
{
	struct ff_buf form = {0};

	ff_form_add(&form, "grant_type", "client_credentials");
	ff_form_add(&form, "client_secret", "a&b=c d");
	cr_expect_str_eq(form.text, "grant_type=client_credentials&client_secret=a%26b%3Dc%20d");
	ff_buf_free(&form);
}

Test(text, base64_goes_there_and_back)
{
	static const struct {
		const char *plain, *padded, *url;
	} cases[] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"\xff\xfe\xfd", "//79", "__79"},
		{"\xfb\xef", "++8=", "--8"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		size_t len = strlen(cases[i].plain), got;
		char *a = ff_base64(cases[i].plain, len), *b = ff_base64url(cases[i].plain, len);
		char *back = ff_base64_decode(cases[i].url, &got), *back2 = ff_base64_decode(cases[i].padded, &got);

		cr_expect_str_eq(a, cases[i].padded);
		cr_expect_str_eq(b, cases[i].url);
		cr_assert_not_null(back);
		cr_expect_str_eq(back, cases[i].plain);
		cr_assert_not_null(back2);
		cr_expect_str_eq(back2, cases[i].plain);
		cr_expect_eq(got, len);
		free(a);
		free(b);
		free(back);
		free(back2);
	}
}

Test(text, malformed_base64_is_refused)
{
	static const char *const cases[] = {"A", "AAAAA", "AA=A", "A*==", "AA===", "AAAA\n", "===="};
	size_t len;

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		cr_expect_null(ff_base64_decode(cases[i], &len), "case %zu", i);
}

Test(text, sha256_is_the_standard_one)
{
	char hex[65];

	ff_sha256_hex("abc", 3, hex); /* FIPS 180-4, example */
	cr_expect_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(text, numbers_are_whole_and_in_range_or_refused)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "+1", "1x", "0x10", "--1", "11", "-1", "9223372036854775808", "1e1"};
	int64_t n = 7;

	for (size_t i = 0; i < FF_COUNT(bad); i++)
		cr_expect_eq(ff_parse_i64(bad[i], 0, 10, &n), -1, "'%s'", bad[i]);
	cr_expect_eq(ff_parse_i64(NULL, 0, 10, &n), -1);
	cr_expect_eq(n, 7, "untouched on failure");
	cr_expect_eq(ff_parse_i64("10", 0, 10, &n), 0);
	cr_expect_eq(n, 10);
	cr_expect_eq(ff_parse_i64("-9223372036854775808", INT64_MIN, 0, &n), 0);
	cr_expect_eq(n, INT64_MIN);
}

Test(text, ids_compare_without_ascii_case_only)
{
	cr_expect(ff_strcaseeq("/subscriptions/A/resourceGroups/PROD", "/SUBSCRIPTIONS/a/resourcegroups/prod"));
	cr_expect_not(ff_strcaseeq("prod", "prod2"));
	cr_expect_not(ff_strcaseeq("prod", NULL));
	cr_expect(ff_strcaseeq(NULL, NULL));
	cr_expect_not(ff_strcaseeq("\xc3\xa4", "\xc3\x84"));
	cr_expect(ff_contains_nocase("The DISK is busy", "disk is"));
	cr_expect_not(ff_contains_nocase("dis", "disk"));
	cr_expect_not(ff_contains_nocase(NULL, "disk"));
}

Test(text, globs_ignore_case)
{
	cr_expect(ff_glob("WEB-*", "web-17"));
	cr_expect(ff_glob("web-[0-9]?", "web-17"));
	cr_expect_not(ff_glob("web-*", "db-1"));
}

Test(buf, grows_drops_and_hands_over)
{
	struct ff_buf b = {0};
	char *text;

	for (int i = 0; i < 1000; i++)
		ff_buf_addf(&b, "%d,", i);
	cr_expect_eq(b.len, 3890);
	ff_buf_drop(&b, 4);
	cr_expect(ff_has_prefix(b.text, "2,3,"));
	ff_buf_drop(&b, 100000);
	cr_expect_eq(b.len, 0);
	text = ff_buf_take(&b);
	cr_expect_str_eq(text, "");
	free(text);
}

Test(err, wrap_reads_like_a_path_and_keeps_the_class)
{
	struct ff_err err = {0};

	cr_expect_eq(ff_fail(&err, FF_E_CONFLICT, "disk '%s' is held", "os-17"), -1);
	cr_expect_eq(ff_wrap(&err, "vm-%d", 17), -1);
	cr_expect_str_eq(err.text, "vm-17: disk 'os-17' is held");
	cr_expect_eq(err.class, FF_E_CONFLICT);
	for (int i = 0; i < 400; i++)
		ff_wrap(&err, "outer");
	cr_expect_eq(strlen(err.text), FF_ERR_TEXT_BYTES - 1, "cut, not overrun");
}

Test(err, class_names_go_there_and_back)
{
	for (int c = 0; c < FF_E_COUNT; c++)
		cr_expect_eq(ff_class_from_name(ff_class_name((enum ff_class)c)), (enum ff_class)c);
	cr_expect_eq(ff_class_from_name("of a newer program"), FF_E_BUG);
	cr_expect_eq(ff_class_from_name(NULL), FF_E_BUG);
}

/* What is copied to a larger block keeps its bytes, and as realloc() does: NULL is none yet, no bytes are the end. */
Test(wiped, grows_as_realloc_does)
{
	char *p = ff_realloc_wiped(NULL, 8);

	cr_assert_not_null(p);
	memcpy(p, "1234567", 8);
	p = ff_realloc_wiped(p, 100000);
	cr_assert_not_null(p);
	cr_expect_str_eq(p, "1234567");
	p = ff_realloc_wiped(p, 4);
	cr_expect_eq(memcmp(p, "1234", 4), 0);
	cr_expect_null(ff_realloc_wiped(p, 0));
	ff_free_wiped(NULL);
}
