#include "test_aws.h"

#include <dirent.h>

static const struct aws_keys example = {
	.id = (char *)"AKIDEXAMPLE", .secret = (char *)"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

Test(aws_sigv4, the_worked_example_of_a_stop_is_signed_as_botocore_signs_it)
{
	struct aws_keys keys = {.id = example.id, .secret = example.secret, .token = (char *)"TOKEN=="};
	struct aws_scope scope = {.region = "us-east-1", .service = "ec2"};
	struct ff_ask ask;
	struct aws_signed out = {0};
	char hash[65];
	int64_t wall_ms;

	cr_assert_eq(ff_time_parse("2024-07-19T04:09:00Z", &wall_ms), 0);
	ff_ask_http(&ask, "POST", "https://ec2.us-east-1.amazonaws.com/");
	ff_ask_body(
		&ask, AWS_FORM, ff_strdup("Action=StopInstances&Version=2016-11-15&InstanceId.1=i-0123456789abcdef0"));
	cr_assert_eq(aws_sigv4(&ask, &keys, &scope, wall_ms, &out, NULL), 0);
	ff_sha256_hex(out.canonical, strlen(out.canonical), hash);
	cr_expect_str_eq(hash, "c7901ab0e841140bdaa79f62a5b133b9bfa88317a5d2345c354904bb779ef350");
	cr_expect_str_eq(out.signature, "0b41821a6928a928f31f3aae452f760c13b098d8c0e06823b85616e1eade52cd");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"),
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240719/us-east-1/ec2/aws4_request, "
		"SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
		"Signature=0b41821a6928a928f31f3aae452f760c13b098d8c0e06823b85616e1eade52cd");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "X-Amz-Security-Token"), "TOKEN==");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Host"), "ec2.us-east-1.amazonaws.com");
	aws_signed_release(&out);
	ff_ask_release(&ask);
}

static char *canonical(const char *method, const char *url, const struct ff_headers *more, bool raw)
{
	struct aws_scope scope = {.region = "us-east-1", .service = "service", .raw_path = raw};
	struct ff_ask ask;
	struct aws_signed out = {0};
	char *text;

	ff_ask_http(&ask, method, "%s", url);
	for (size_t i = 0; more != NULL && i < more->count; i++)
		ff_headers_add(&ask.headers, more->items[i].name, more->items[i].value);
	cr_assert_eq(aws_sigv4(&ask, &example, &scope, 1440938160000, &out, NULL), 0);
	text = FF_STEAL(out.canonical);
	aws_signed_release(&out);
	ff_ask_release(&ask);
	return text;
}

Test(aws_sigv4, path_query_and_port_are_written_canonically)
{
	static const struct {
		const char *url, *lines; /* path, query, host */
		bool raw;
	} cases[] = {
		{"https://h.example/", "/\n\nhost:h.example\n", false},
		{"https://h.example", "/\n\nhost:h.example\n", false},
		{"https://h.example:443/", "/\n\nhost:h.example\n", false},
		{"https://h.example:8443/", "/\n\nhost:h.example:8443\n", false},
		{"http://127.0.0.1:80/", "/\n\nhost:127.0.0.1\n", false},
		{"http://127.0.0.1:443/", "/\n\nhost:127.0.0.1:443\n", false},
		{"https://h/a/./b/../c//d/", "/a/c/d/\n\nhost:h\n", false},
		{"https://h/a/..", "/\n\nhost:h\n", false},
		{"https://h/../..", "/\n\nhost:h\n", false},
		{"https://h/a/../b", "/b\n\nhost:h\n", false},
		{"https://h//a/./b", "//a/./b\n\nhost:h\n", true},
		{"https://h/a{b/~x", "/a%7Bb/~x\n\nhost:h\n", false},
		{"https://h/?b=2&a=1", "/\na=1&b=2\nhost:h\n", false},
		{"https://h/?a=2&a=1", "/\na=1&a=2\nhost:h\n", false},
		{"https://h/?a-b=1&a=2", "/\na=2&a-b=1\nhost:h\n", false},
		{"https://h/?a=1=2&b", "/\na=1%3D2&b=\nhost:h\n", false},
		{"https://h/?a=%2Fx&A=%zz", "/\nA=%25zz&a=%2Fx\nhost:h\n", false},
		{"https://h?x=1", "/\nx=1\nhost:h\n", false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *text = canonical("GET", cases[i].url, NULL, cases[i].raw);
		ff_auto_free char *start = ff_printf("GET\n%s", cases[i].lines);

		cr_expect(ff_has_prefix(text, start), "%s:\n%s", cases[i].url, text);
	}
}

Test(aws_sigv4, headers_are_sorted_trimmed_and_squeezed_and_some_are_never_signed)
{
	struct ff_headers h = {0};
	ff_auto_free char *text = NULL;

	ff_headers_add(&h, "X-Two", "  b   c ");
	ff_headers_add(&h, "User-Agent", "me");
	ff_headers_add(&h, "Expect", "100-continue");
	ff_headers_add(&h, "a-one", "1");
	ff_headers_add(&h, "x-two", "a\n  d");
	text = canonical("GET", "https://h/", &h, false);
	cr_expect(strstr(text, "\n\na-one:1\nhost:h\nx-amz-date:20150830T123600Z\nx-two:b c,a d\n\n"
			       "a-one;host;x-amz-date;x-two\n") != NULL,
		"%s", text);
	ff_headers_free(&h);
}

Test(aws_sigv4, a_url_without_a_host_is_our_mistake)
{
	struct aws_scope scope = {.region = "r", .service = "s"};
	struct ff_ask ask;
	struct ff_err err = {0};

	ff_ask_http(&ask, "GET", "nonsense");
	cr_expect_eq(aws_sigv4(&ask, &example, &scope, 0, NULL, &err), -1);
	cr_expect_eq(err.class, FF_E_BUG);
	ff_ask_release(&ask);
}

/* ---------------------------------------------------------------- the official suite */

static char *vector_text(const char *name, const char *file)
{
	ff_auto_free char *path = ff_printf("vectors/sigv4/%s/%s", name, file);

	return shared_text(path);
}

/* "GET /path HTTP/1.1", headers (continued lines are indented), an empty line, the body. */
static void read_request(const char *text, struct ff_ask *ask)
{
	size_t line = strcspn(text, "\n"), method = strcspn(text, " ");
	ff_auto_free char *name = NULL, *value = NULL;
	ff_auto_free char *verb = ff_strndup(text, method);
	ff_auto_free char *target = ff_strndup(text + method + 1, line - method - 1 - strlen(" HTTP/1.1"));

	ff_ask_http(ask, verb, "https://example.amazonaws.com%s", target);
	for (text += line + (text[line] != '\0'); *text != '\0' && *text != '\n'; text += line + (text[line] != '\0')) {
		line = strcspn(text, "\n");
		if (*text == ' ') {
			char *longer = ff_printf("%s\n%.*s", value, (int)line, text);

			free(value);
			value = longer;
			continue;
		}
		if (name != NULL)
			ff_headers_add(&ask->headers, name, value);
		free(name);
		free(value);
		name = ff_strndup(text, strcspn(text, ":"));
		value = ff_strndup(text + strlen(name) + 1, line - strlen(name) - 1);
	}
	if (name != NULL)
		ff_headers_add(&ask->headers, name, value);
	if (*text == '\n' && text[1] != '\0') {
		ask->body = ff_strdup(text + 1);
		ask->body_len = strlen(ask->body);
	}
}

static void check_vector(const char *name, const char *context)
{
	ff_auto_json json_t *c = ff_json_parse(context, strlen(context), 1 << 16, NULL);
	ff_auto_free char *request = vector_text(name, "request.txt");
	ff_auto_free char *wanted = vector_text(name, "header-canonical-request.txt");
	ff_auto_free char *to_sign = vector_text(name, "header-string-to-sign.txt");
	ff_auto_free char *signature = vector_text(name, "header-signature.txt");
	struct aws_keys keys = {.id = (char *)ff_json_str(c, "credentials/access_key_id"),
		.secret = (char *)ff_json_str(c, "credentials/secret_access_key"),
		.token = (char *)ff_json_str(c, "credentials/token")};
	struct aws_scope scope = {.region = ff_json_str(c, "region"),
		.service = ff_json_str(c, "service"),
		.raw_path = !ff_json_bool(c, "normalize", true),
		.hash_header = ff_json_bool(c, "sign_body", false),
		.token_unsigned = ff_json_bool(c, "omit_session_token", false)};
	struct aws_signed out = {0};
	struct ff_ask ask;
	int64_t wall_ms;

	cr_assert_eq(ff_time_parse(ff_json_str(c, "timestamp"), &wall_ms), 0, "%s", name);
	read_request(request, &ask);
	cr_assert_eq(aws_sigv4(&ask, &keys, &scope, wall_ms, &out, NULL), 0);
	cr_expect_str_eq(out.canonical, wanted, "%s:\n%s\n---\n%s", name, out.canonical, wanted);
	cr_expect_str_eq(out.to_sign, to_sign, "%s", name);
	cr_expect_str_eq(out.signature, signature, "%s", name);
	aws_signed_release(&out);
	ff_ask_release(&ask);
}

Test(aws_sigv4, every_vector_of_the_official_suite_is_reproduced)
{
	DIR *folder = opendir(FF_SOURCE_DIR "/../shared/vectors/sigv4");
	struct dirent *entry;
	unsigned count = 0;

	if (folder == NULL)
		cr_skip_test("no ../shared/vectors/sigv4");
	while ((entry = readdir(folder)) != NULL) {
		ff_auto_free char *context = NULL;

		if (entry->d_name[0] == '.' || (context = vector_text(entry->d_name, "context.json")) == NULL)
			continue;
		check_vector(entry->d_name, context);
		count++;
	}
	closedir(folder);
	cr_expect_geq(count, 30);
}

/* What the AWS CLI sent for ec2, sts and autoscaling, with a session token. */
Test(aws_sigv4, recorded_requests_of_the_aws_cli_are_signed_the_same)
{
	ff_auto_free char *text = shared_text("recorded/aws/awscli-requests.jsonl");
	unsigned count = 0;

	if (text == NULL)
		cr_skip_test("no ../shared/recorded/aws");
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		ff_auto_json json_t *j = ff_json_parse(line, strlen(line), 1 << 20, NULL);
		const char *authorization = ff_json_str(j, "headers/Authorization"),
			   *date = ff_json_str(j, "headers/X-Amz-Date");
		const char *target = ff_json_str(j, "headers/X-Amz-Target"), *host = ff_json_str(j, "headers/Host");
		struct aws_keys keys = {.id = example.id,
			.secret = example.secret,
			.token = (char *)ff_json_str(j, "headers/X-Amz-Security-Token")};
		char when[32], service[32];
		struct aws_scope scope = {.region = "us-east-1", .service = service};
		int64_t wall_ms;
		struct ff_ask ask;

		if (authorization == NULL)
			continue; /* AssumeRoleWithWebIdentity */
		cr_assert_eq(sscanf(strstr(authorization, "/us-east-1/"), "/us-east-1/%31[^/]", service), 1);
		snprintf(when, sizeof(when), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", date, date + 4, date + 6, date + 9,
			date + 11, date + 13);
		cr_assert_eq(ff_time_parse(when, &wall_ms), 0);
		ff_ask_http(&ask, "POST", "http://%s/", host);
		ff_ask_body(&ask, ff_json_str(j, "headers/Content-Type"), ff_strdup(ff_json_str(j, "body")));
		if (target != NULL)
			ff_headers_set(&ask.headers, "X-Amz-Target", target);
		cr_assert_eq(aws_sigv4(&ask, &keys, &scope, wall_ms, NULL, NULL), 0);
		cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"), authorization, "%s", ask.body);
		ff_ask_release(&ask);
		count++;
	}
	cr_expect_geq(count, 20);
}
