/* Secrets Manager: the question, its signature, what its answers mean. */
#include "test_aws.h"

static const struct ff_scope_options options = {.region = "eu-west-1"};

Test(aws_secrets, the_question_is_signed_for_the_secret_store)
{
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	const char *authorization;

	cr_assert_eq(ff_aws.secret_ask(cloud, "bitlocker/4381f759", &ask, &err), 0, "%s", err.text);
	cr_expect_str_eq(ask.method, "POST");
	cr_expect_str_eq(ask.url, "https://secretsmanager.eu-west-1.amazonaws.com/");
	cr_expect_str_eq(ask.body, "{\"SecretId\":\"bitlocker/4381f759\"}");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "X-Amz-Target"), "secretsmanager.GetSecretValue");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Content-Type"), "application/x-amz-json-1.1");
	cr_expect(ask.secret && !ask.mutates);
	cr_expect_eq(ff_aws.sign(cloud, 1721368800000, &ask, &err), 0, "%s", err.text);
	authorization = ff_headers_get(&ask.headers, "Authorization");
	cr_assert_not_null(authorization);
	cr_expect(strstr(authorization, "/eu-west-1/secretsmanager/aws4_request") != NULL, "%s", authorization);
	cr_expect(strstr(authorization, "x-amz-target") != NULL, "%s", authorization);
	ff_ask_release(&ask);
	ff_aws.close(cloud);
}

Test(aws_secrets, a_name_is_a_name)
{
	static const char *const names[] = {"", "a b", "a\"b", "a\nb", "\xc3\xa4"};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		cr_expect_lt(ff_aws.secret_ask(cloud, names[i], &ask, &err), 0, "%s", names[i]);
		cr_expect_eq(err.class, FF_E_USAGE);
		ff_ask_release(&ask);
	}
	ff_aws.close(cloud);
}

Test(aws_secrets, answers)
{
	static const struct {
		int status, rc;
		const char *body, *text;
		enum ff_class class;
	} cases[] = {{200, 1, "{\"SecretString\":\"hello\"}", "hello", FF_E_NONE},
		{200, 1, "{\"SecretBinary\":\"aGVsbG8=\"}", "hello", FF_E_NONE},
		{400, 0, "{\"__type\":\"ResourceNotFoundException\"}", NULL, FF_E_NONE},
		{400, 0, "{\"__type\":\"com.amazonaws.secretsmanager#ResourceNotFoundException\"}", NULL, FF_E_NONE},
		{400, -1, "{\"__type\":\"AccessDeniedException\"}", NULL, FF_E_DENIED},
		{500, -1, "<html>", NULL, FF_E_PERMANENT}, {200, -1, "{}", NULL, FF_E_PERMANENT}};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer answer = {.status = cases[i].status,
			.body = (char *)(uintptr_t)cases[i].body,
			.body_len = strlen(cases[i].body)};
		struct ff_err err = {0};
		ff_auto_free char *bytes = NULL;
		size_t len = 0;

		cr_expect_eq(ff_aws.secret_read(cloud, &answer, &bytes, &len, &err), cases[i].rc, "case %zu", i);
		cr_expect_eq(err.class, cases[i].class, "case %zu", i);
		if (cases[i].text != NULL)
			cr_expect(len == strlen(cases[i].text) && memcmp(bytes, cases[i].text, len) == 0);
	}
	ff_aws.close(cloud);
}
