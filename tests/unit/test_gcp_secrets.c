/* Secret Manager: the question, its signature, what its answers mean. */
#include "test_gcp_kit.h"

#define SECRETS "https://secretmanager.googleapis.com/v1/projects/"

static struct ff_cloud *cloud;

static void setup(void)
{
	cloud = kit_cloud();
}

static void teardown(void)
{
	ff_gcp.close(cloud);
}

TestSuite(gcp_secrets, .init = setup, .fini = teardown);

Test(gcp_secrets, the_question_is_signed_for_the_secret_store)
{
	struct ff_ask ask = {0}, other = {0};
	struct ff_err err = {0};

	cr_assert_eq(ff_gcp.secret_ask(cloud, "bitlocker-4381f759", &ask, &err), 0, "%s", err.text);
	cr_expect_str_eq(ask.method, "GET");
	cr_expect(ff_has_prefix(ask.url, SECRETS), "%s", ask.url);
	cr_expect(ff_has_suffix(ask.url, "/secrets/bitlocker-4381f759/versions/latest:access"), "%s", ask.url);
	cr_expect(ask.secret && !ask.mutates);
	cr_expect_eq(ff_gcp.sign(cloud, 0, &ask, &err), 0, "%s", err.text);
	cr_expect(ff_has_prefix(ff_headers_get(&ask.headers, "Authorization"), "Bearer "));
	ff_ask_release(&ask);
	ff_ask_http(&other, "GET", "https://secretmanager.googleapis.com.example.org/v1/projects/x");
	cr_expect_lt(ff_gcp.sign(cloud, 0, &other, &err), 0);
	ff_ask_release(&other);
}

Test(gcp_secrets, a_name_is_a_name)
{
	static const char *const names[] = {"", "a/b", "a b", "../x", "a?b", "\xc3\xa4", "a%2fb"};

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		cr_expect_lt(ff_gcp.secret_ask(cloud, names[i], &ask, &err), 0, "%s", names[i]);
		cr_expect_eq(err.class, FF_E_USAGE);
		ff_ask_release(&ask);
	}
}

Test(gcp_secrets, answers)
{
	static const struct {
		int status, rc;
		const char *body, *text;
		enum ff_class class;
	} cases[] = {{200, 1, "{\"payload\":{\"data\":\"aGVsbG8=\"}}", "hello", FF_E_NONE},
		{404, 0, "{\"error\":{\"code\":404}}", NULL, FF_E_NONE}, {403, -1, "{}", NULL, FF_E_DENIED},
		{500, -1, "", NULL, FF_E_PERMANENT}, {200, -1, "[]", NULL, FF_E_PERMANENT},
		{200, -1, "{\"payload\":{\"data\":\"!\"}}", NULL, FF_E_PERMANENT}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer answer = {.status = cases[i].status,
			.body = (char *)(uintptr_t)cases[i].body,
			.body_len = strlen(cases[i].body)};
		struct ff_err err = {0};
		ff_auto_free char *bytes = NULL;
		size_t len = 0;

		cr_expect_eq(ff_gcp.secret_read(cloud, &answer, &bytes, &len, &err), cases[i].rc, "case %zu", i);
		cr_expect_eq(err.class, cases[i].class, "case %zu", i);
		if (cases[i].text != NULL)
			cr_expect(len == strlen(cases[i].text) && memcmp(bytes, cases[i].text, len) == 0);
	}
}
