/* What class an answer is, and what it says of budgets: both spellings, section 6 of the facts. */
#include "test_gcp_kit.h"

static enum ff_class judge(const struct ff_ask *ask, struct ff_answer answer, struct ff_hint *hint, struct ff_err *err)
{
	enum ff_class class = ff_gcp.judge(NULL, NOW, ask, &answer, hint, err);

	ff_answer_release(&answer, false);
	return class;
}

static const struct {
	int status;
	const char *reason, *code; /* camelCase of HTTP, UPPER_SNAKE of operations; NULL: not in that form */
	enum ff_class class;
} cases[] = {
	{403, "rateLimitExceeded", "RATE_LIMIT_EXCEEDED", FF_E_THROTTLED},
	{403, "userRateLimitExceeded", NULL, FF_E_THROTTLED},
	{429, "resourceOperationRateExceeded", "RESOURCE_OPERATION_RATE_EXCEEDED", FF_E_THROTTLED},
	{400, "resourceNotReady", "RESOURCE_NOT_READY", FF_E_CONFLICT},
	{412, "conditionNotMet", "CONDITION_NOT_MET", FF_E_CONFLICT},
	{400, "resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", FF_E_CONFLICT},
	{400, "invalidResourceUsage", "INVALID_RESOURCE_USAGE", FF_E_CONFLICT},
	{409, "alreadyExists", "RESOURCE_ALREADY_EXISTS", FF_E_CONFLICT},
	{400, "unsupportedOperation", "UNSUPPORTED_OPERATION", FF_E_CONFLICT},
	{503, NULL, "ZONE_RESOURCE_POOL_EXHAUSTED", FF_E_TRANSIENT},
	{503, NULL, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", FF_E_TRANSIENT},
	{503, "backendError", "BACKEND_ERROR", FF_E_TRANSIENT},
	{500, "internalError", "INTERNAL_ERROR", FF_E_TRANSIENT},
	{403, "quotaExceeded", "QUOTA_EXCEEDED", FF_E_PERMANENT},
	{400, "invalid", "INVALID_FIELD_VALUE", FF_E_PERMANENT},
	{400, "required", "INVALID_USAGE", FF_E_PERMANENT},
	{400, "badRequest", NULL, FF_E_PERMANENT},
	{401, "authError", NULL, FF_E_AUTH},
	{403, "forbidden", "PERMISSIONS_ERROR", FF_E_DENIED},
	{403, "insufficientPermissions", NULL, FF_E_DENIED},
	{403, "accessNotConfigured", NULL, FF_E_DENIED},
	{404, "notFound", "RESOURCE_NOT_FOUND", FF_E_GONE},
};

Test(gcp_errors, both_spellings_mean_the_same)
{
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};

		if (cases[i].reason != NULL) {
			ff_auto_free char *body = ff_printf("{\"error\":{\"code\":%d,\"message\":\"text\",\"errors\":[{"
							    "\"domain\":\"global\",\"reason\":\"%s\","
							    "\"message\":\"text\"}]}}",
				cases[i].status, cases[i].reason);

			cr_expect_eq(judge(NULL, kit_answer(cases[i].status, body), NULL, &err), cases[i].class,
				"%s: %s", cases[i].reason, ff_class_name(err.class));
			cr_expect_not_null(strstr(err.text, cases[i].reason), "%s", err.text);
			cr_expect_not_null(strstr(err.text, ": text"), "%s", err.text);
		}
		if (cases[i].code != NULL) {
			ff_auto_free char *body = ff_printf(
				"{\"status\":\"DONE\",\"error\":{\"errors\":[{\"code\":\"%s\",\"message\":\"text\"}]}}",
				cases[i].code);
			ff_auto_json json_t *operation = kit_json(body);

			cr_expect_eq(gcp_operation_error(operation, &err), cases[i].class, "%s", cases[i].code);
			cr_expect_not_null(strstr(err.text, cases[i].code), "%s", err.text);
		}
	}
}

Test(gcp_errors, without_a_known_reason_the_status_decides)
{
	static const struct {
		int status;
		const char *body;
		enum ff_class class;
	} bare[] = {
		{200, "{}", FF_E_NONE},
		{204, "", FF_E_NONE},
		{302, "", FF_E_PERMANENT},
		{400, "{}", FF_E_PERMANENT},
		{400, "", FF_E_PERMANENT},
		{400, "<html>bad request</html>", FF_E_TRANSIENT},
		{401, "<html>", FF_E_AUTH},
		{403, "", FF_E_DENIED},
		{404, "", FF_E_GONE},
		{408, "", FF_E_TRANSIENT},
		{409, "[]", FF_E_CONFLICT},
		{411, "Length Required", FF_E_PERMANENT},
		{412, "5", FF_E_CONFLICT},
		{429, "", FF_E_THROTTLED},
		{500, "<html>", FF_E_TRANSIENT},
		{502, "", FF_E_TRANSIENT},
		{503, "{\"error\":5}", FF_E_TRANSIENT},
		{400, "{\"error\":{\"errors\":[{\"reason\":5}],\"details\":{}}}", FF_E_PERMANENT},
		{400, "{\"error\":{\"errors\":{\"reason\":\"notFound\"}}}", FF_E_PERMANENT},
		{400, "{\"error\":\"invalid_grant\",\"error_description\":\"revoked\"}", FF_E_PERMANENT},
		{400, "{\"error\":\"temporarily_unavailable\"}", FF_E_TRANSIENT},
		{400, "{\"error\":\"internal_failure\"}", FF_E_TRANSIENT},
	};

	for (size_t i = 0; i < FF_COUNT(bare); i++) {
		struct ff_err err = {0};

		cr_expect_eq(judge(NULL, kit_answer(bare[i].status, bare[i].body), NULL, &err), bare[i].class,
			"%d %s: %s", bare[i].status, bare[i].body, err.text);
	}
}

Test(gcp_errors, an_answer_that_did_not_come_has_a_class_too)
{
	static const struct {
		enum ff_transport transport;
		enum ff_class class;
	} lost[] = {
		{FF_T_NOT_SENT, FF_E_TRANSIENT},
		{FF_T_BROKEN, FF_E_TRANSIENT},
		{FF_T_UNTRUSTED, FF_E_PERMANENT},
		{FF_T_TOO_LARGE, FF_E_PERMANENT},
		{FF_T_LOCAL, FF_E_LOCAL},
	};

	for (size_t i = 0; i < FF_COUNT(lost); i++) {
		struct ff_err err = {0};

		cr_expect_eq(judge(NULL, kit_lost(lost[i].transport, "why"), NULL, &err), lost[i].class);
		cr_expect_not_null(strstr(err.text, "why"));
	}
}

#define THROTTLED(details)                                                                                             \
	"{\"error\":{\"code\":403,\"message\":\"Rate Limit Exceeded\",\"errors\":[{\"message\":\"Rate Limit "          \
	"Exceeded\","                                                                                                  \
	"\"domain\":\"usageLimits\",\"reason\":\"rateLimitExceeded\"}]" details "}}"

Test(gcp_errors, a_quota_is_free_again_at_the_next_full_minute)
{
	struct ff_ask ask = {.cost_count = 2};
	struct ff_hint hint;
	struct ff_err err;
	struct ff_answer answer = kit_answer(403, THROTTLED(""));

	cr_expect_eq(ff_gcp.judge(NULL, NOW + 12345, &ask, &answer, &hint, &err), FF_E_THROTTLED);
	cr_expect_eq(hint.retry_after_ms, 60000 - 12345);
	cr_expect_eq(hint.bucket, 0);
	ff_headers_add(&answer.headers, "Retry-After", "7");
	cr_expect_eq(ff_gcp.judge(NULL, NOW + 12345, &ask, &answer, &hint, &err), FF_E_THROTTLED);
	cr_expect_eq(hint.retry_after_ms, 7000, "what the cloud says goes first");
	ff_answer_release(&answer, false);
}

Test(gcp_errors, other_limits_are_not_those_of_the_minute)
{
	static const char pending[] =
		"{\"error\":{\"code\":403,\"message\":\"Too many pending operations on a resource.\",\"errors\":"
		"[{\"reason\":\"rateLimitExceeded\",\"message\":\"Too many pending operations on a resource.\"}]}}";
	static const char concurrent[] =
		THROTTLED(",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":"
			  "\"CONCURRENT_OPERATIONS_QUOTA_EXCEEDED\",\"metadata\":{\"quotaMetric\":\"compute.googleapis."
			  "com/x\"}}]");
	static const char rate[] = HTTP_ERROR("400", "resourceOperationRateExceeded", "Operation rate exceeded");
	struct ff_ask ask = {.cost_count = 2};
	struct ff_hint hint;
	struct ff_err err;

	cr_expect_eq(judge(&ask, kit_answer(403, pending), &hint, &err), FF_E_THROTTLED);
	cr_expect_eq(hint.bucket, 1, "the queue of that VM, not the project");
	cr_expect_lt(hint.retry_after_ms, 60000);
	cr_expect_eq(judge(&ask, kit_answer(403, concurrent), &hint, &err), FF_E_THROTTLED);
	cr_expect_lt(hint.retry_after_ms, 60000);
	cr_expect_not_null(strstr(err.text, "quota 'compute.googleapis.com/x'"), "%s", err.text);
	cr_expect_eq(judge(&ask, kit_answer(400, rate), &hint, &err), FF_E_THROTTLED);
	cr_expect_eq(hint.bucket, 1, "that disk's snapshots");
	cr_expect_gt(hint.retry_after_ms, 60000, "minutes");
	ask.cost_count = 1;
	cr_expect_eq(judge(&ask, kit_answer(400, rate), &hint, &err), FF_E_THROTTLED);
	cr_expect_eq(hint.bucket, 0, "an index that the ask has");
}

Test(gcp_errors, success_says_nothing_of_budgets)
{
	struct ff_hint hint;
	struct ff_err err = {0};

	cr_expect_eq(judge(NULL, kit_answer(200, OPERATION_ERROR("X", "y")), &hint, &err), FF_E_NONE,
		"a failed operation is the step's to read: a repeat would answer the same one");
	cr_expect_eq(hint.retry_after_ms, -1);
	cr_expect_eq(hint.bucket, -1);
	cr_expect_eq(hint.left[0], -1);
}

Test(gcp_errors, an_exhausted_quota_is_named)
{
	static const char body[] = "{\"error\":{\"code\":403,\"message\":\"Quota "
				   "exceeded\",\"errors\":[{\"reason\":\"quotaExceeded\"}],\"details\":"
				   "[{\"metricName\":\"x\",\"metadata\":{\"metricName\":\"compute.googleapis.com/"
				   "snapshots\",\"limit\":\"100\"}}]}}";
	struct ff_err err = {0};

	cr_expect_eq(judge(NULL, kit_answer(403, body), NULL, &err), FF_E_PERMANENT);
	cr_expect_not_null(strstr(err.text, "(quota 'compute.googleapis.com/snapshots', limit 100)"), "%s", err.text);
}

Test(gcp_errors, operations_without_an_error_have_none)
{
	static const char *const bodies[] = {OPERATION("DONE", ""), OPERATION("RUNNING", ""), "{}", "{\"error\":{}}",
		"{\"error\":{\"errors\":[]}}", "{\"error\":5,\"httpErrorStatusCode\":200}"};
	ff_auto_json json_t *bare = kit_json("{\"httpErrorStatusCode\":503,\"httpErrorMessage\":\"UNAVAILABLE\"}");
	struct ff_err err;

	for (size_t i = 0; i < FF_COUNT(bodies); i++) {
		ff_auto_json json_t *j = kit_json(bodies[i]);

		cr_expect_eq(gcp_operation_error(j, &err), FF_E_NONE, "%s", bodies[i]);
	}
	cr_expect_eq(gcp_operation_error(bare, &err), FF_E_TRANSIENT);
	cr_expect_not_null(strstr(err.text, "UNAVAILABLE"), "%s", err.text);
}

Test(gcp_errors, texts_of_the_cloud_are_made_safe_and_cut)
{
	ff_auto_buf body = {0};
	struct ff_err err = {0};

	ff_buf_adds(&body, "{\"error\":{\"code\":400,\"errors\":[{\"reason\":\"inv\\u001b[2Jalid\"}],\"message\":\"");
	for (int i = 0; i < 3000; i++)
		ff_buf_adds(&body, "\\u0007");
	ff_buf_adds(&body, "\"}}");
	cr_expect_eq(judge(NULL, kit_answer(400, body.text), NULL, &err), FF_E_PERMANENT);
	for (const char *p = err.text; *p != '\0'; p++)
		cr_expect_geq((unsigned char)*p, ' ');
}
