#include "test_aws.h"

static int parse(struct aws_ini *ini, const char *text, struct ff_err *err)
{
	return aws_ini_parse(ini, text, strlen(text), err);
}

Test(aws_ini, settings_are_read_as_the_aws_tools_read_them)
{
	static const char text[] = "\xef\xbb\xbf# comment\r\n"
				   "[default]\r\n"
				   "Region = us-east-1 ; near\r\n"
				   "aws_secret_access_key=a#b;c= \n"
				   "[profile  \"two  words\"] # more\n"
				   "region=eu-west-1\n"
				   "services = mine\n"
				   "  ; indented comment\n"
				   "[services mine]\n"
				   "ec2 =\n"
				   "  endpoint_url = https://e.example\n"
				   "  other = 1\n"
				   "sts =\n"
				   "\tendpoint_url=https://s.example\n"
				   "plain = one\n"
				   "  two\n"
				   "[default]\n"
				   "region = us-west-2";
	static const struct {
		const char *section, *key, *value;
	} cases[] = {
		{"default", "region", "us-west-2"},
		{"default", "aws_secret_access_key", "a#b;c="},
		{"profile two words", "region", "eu-west-1"},
		{"services mine", "ec2.endpoint_url", "https://e.example"},
		{"services mine", "ec2.other", "1"},
		{"services mine", "sts.endpoint_url", "https://s.example"},
		{"services mine", "plain", "one\ntwo"},
		{"default", "services", NULL},
		{"none", "region", NULL},
	};
	struct aws_ini ini;
	struct ff_err err = {0};

	cr_assert_eq(parse(&ini, text, &err), 0, "%s", err.text);
	for (size_t i = 0; i < FF_COUNT(cases); i++)
		cr_expect(ff_streq(aws_ini_get(&ini, cases[i].section, cases[i].key), cases[i].value), "%s %s: %s",
			cases[i].section, cases[i].key, aws_ini_get(&ini, cases[i].section, cases[i].key));
	cr_expect_eq(ini.sections.count, 3);
	aws_ini_release(&ini);
}

Test(aws_ini, a_file_that_is_none_is_refused_with_its_line)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"region = x\n", "line 1: a setting before the first"},
		{"[a]\nnonsense\n", "line 2: '=' expected"},
		{"[a\n", "line 1: '[' without ']'"},
		{"[a]\n=x\n", "line 2: a setting without a name"},
		{"[a]\nb =\n  c\n", "line 3: '=' expected"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct aws_ini ini;
		struct ff_err err = {0};

		cr_expect_eq(parse(&ini, cases[i].text, &err), -1, "%s", cases[i].text);
		cr_expect_eq(err.class, FF_E_AUTH);
		cr_expect(strstr(err.text, cases[i].why) != NULL, "%s", err.text);
		cr_expect_eq(ini.count, 0);
	}
}

Test(aws_ini, hostile_files_have_limits)
{
	ff_auto_buf text = {0};
	struct aws_ini ini;
	struct ff_err err = {0};

	cr_expect_eq(aws_ini_parse(&ini, "[a]\0b=c", 7, &err), -1);
	cr_expect_eq(aws_ini_parse(&ini, "x", (size_t)AWS_INI_BYTES_MAX + 1, &err), -1);
	ff_buf_adds(&text, "[a]\n");
	for (int i = 0; i <= AWS_INI_ITEMS_MAX; i++)
		ff_buf_adds(&text, "k=v\n");
	cr_expect_eq(parse(&ini, text.text, &err), -1);
	cr_expect(strstr(err.text, "more settings") != NULL, "%s", err.text);
	ff_buf_drop(&text, text.len);
	for (int i = 0; i <= AWS_INI_ITEMS_MAX / 4; i++)
		ff_buf_addf(&text, "[s%d]\n", i);
	cr_expect_eq(parse(&ini, text.text, &err), -1);
	cr_expect(strstr(err.text, "more sections") != NULL, "%s", err.text);
	/* indented where nothing can be continued, endless lines, only a key: none of it is a crash */
	ff_buf_drop(&text, text.len);
	ff_buf_adds(&text, "[a]\n  b = c\nk=\n\t = \n");
	for (int i = 0; i < 100000; i++)
		ff_buf_adds(&text, "=");
	cr_expect_eq(parse(&ini, text.text, &err), -1);
	cr_expect_eq(parse(&ini, "", &err), 0);
	aws_ini_release(&ini);
}

Test(aws_ini, a_file_cut_anywhere_is_read_or_refused)
{
	static const char whole[] = "[profile \"a b\"]\nk = v ; c\nn =\n  s = t\n  u=v\n[z]\nq=1\n r\n";

	for (size_t len = 0; len < sizeof(whole); len++) {
		struct aws_ini ini;
		ff_auto_free char *part = ff_strndup(whole, len);

		if (parse(&ini, part, NULL) == 0)
			aws_ini_release(&ini);
	}
}

Test(aws_ini, commands_are_split_without_a_shell)
{
	static const struct {
		const char *text, *words; /* joined by '|'; NULL: refused */
	} cases[] = {
		{"/bin/x", "/bin/x"},
		{"  a  b\tc\n", "a|b|c"},
		{"\"/opt/my tool/x\" --p 'a b' c\\ d", "/opt/my tool/x|--p|a b|c d"},
		{"a \"b\\\"c\\\\d\\e\"", "a|b\"c\\d\\e"},
		{"a 'b\\c\"'", "a|b\\c\""},
		{"a\"b c\"'d e'f", "ab cd ef"},
		{"a ''", "a|"},
		{"a $(rm -rf /) `x` ; y | z", "a|$(rm|-rf|/)|`x`|;|y|||z"},
		{"", NULL},
		{"   ", NULL},
		{"a 'b", NULL},
		{"a \"b", NULL},
		{"a \\", NULL},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_strv argv;
		struct ff_err err = {0};
		int rc = aws_split_command(cases[i].text, &argv, &err);
		ff_auto_buf words = {0};

		for (size_t k = 0; k < argv.count; k++)
			ff_buf_addf(&words, "%s%s", k ? "|" : "", argv.items[k]);
		cr_expect_eq(rc, cases[i].words ? 0 : -1, "%s", cases[i].text);
		if (cases[i].words != NULL)
			cr_expect_str_eq(words.text, cases[i].words);
		else
			cr_expect_eq(err.class, FF_E_AUTH);
		ff_strv_free(&argv);
	}
}
