/* The classification table, both error shapes, and what answers say of budgets. */
#include "azure_kit.h"

static enum ff_class judged(int status, const char *body, struct ff_hint *hint, struct ff_err *err, struct ff_ask *ask,
	const char *const *headers)
{
	struct ff_cloud *cloud = kit_cloud();
	struct ff_answer answer = kit_answer(status, body);
	struct ff_ask own = {0};
	enum ff_class class;

	for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2)
		ff_headers_add(&answer.headers, headers[i], headers[i + 1]);
	class = ff_azure.judge(cloud, NOW, ask ? ask : &own, &answer, hint, err);
	ff_answer_release(&answer, false);
	ff_azure.close(cloud);
	return class;
}

#define ERR(code, message) "{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"}}"

Test(azure_errors, every_answer_has_its_class)
{
	static const struct {
		int status;
		const char *body;
		enum ff_class class;
	} cases[] = {
		{200, "{}", FF_E_NONE},
		{204, "", FF_E_NONE},
		{202, "", FF_E_NONE},
		{200, "{\"value\":[]}", FF_E_NONE},
		{200, "{\"status\":\"Succeeded\"}", FF_E_NONE},
		{200, "<html>", FF_E_BUG},
		{200, "[1]", FF_E_BUG},
		{400, "<html>bad request</html>", FF_E_TRANSIENT},
		{400, "", FF_E_PERMANENT},
		{429,
			"{\"code\":\"OperationNotAllowed\",\"message\":\"The server rejected the "
			"request\",\"details\":[{\"code\":"
			"\"TooManyRequests\",\"target\":\"HighCostGet\",\"message\":\"x\"}]}",
			FF_E_THROTTLED},
		{429, ERR("SubscriptionRequestsThrottled", "Number of write requests"), FF_E_THROTTLED},
		{429, ERR("RetryableError", "A retryable error occurred."), FF_E_TRANSIENT},
		{429, "", FF_E_THROTTLED},
		{408, "", FF_E_TRANSIENT},
		{500, ERR("InternalServerError", "x"), FF_E_TRANSIENT},
		{502, "<html>bad gateway</html>", FF_E_TRANSIENT},
		{503, "", FF_E_TRANSIENT},
		{504, "", FF_E_TRANSIENT},
		{409, ERR("Conflict", "concurrent request"), FF_E_CONFLICT},
		{409, ERR("AttachDiskWhileBeingDetached", "x"), FF_E_CONFLICT},
		{409,
			ERR("OperationNotAllowed",
				"The maximum number of data disks allowed to be attached to a VM of this size is "
				"8"),
			FF_E_CONFLICT},
		{409, ERR("OperationNotAllowed", "exceeding approved Total Regional Cores quota"), FF_E_PERMANENT},
		{409, ERR("OperationNotAllowed", "Please deallocate and try again"), FF_E_PERMANENT},
		{409, ERR("PropertyChangeNotAllowed", "Changing property 'osDisk.name' is not allowed."),
			FF_E_PERMANENT},
		{409, ERR("ScopeLocked", "because following scope(s) are locked"), FF_E_DENIED},
		{409, ERR("SkuNotAvailable", "x"), FF_E_TRANSIENT},
		{409, "", FF_E_CONFLICT},
		{412, "", FF_E_CONFLICT},
		{400, ERR("BadRequest", "not in the same zone as the VM"), FF_E_PERMANENT},
		{400, ERR("OSDiskSwapNotSupportedForVMsUsingDiskEncryption", "x"), FF_E_PERMANENT},
		{401, ERR("ExpiredAuthenticationToken", "x"), FF_E_AUTH},
		{403, ERR("AuthorizationFailed", "x"), FF_E_DENIED},
		{403, ERR("LinkedAuthorizationFailed", "x"), FF_E_DENIED},
		{403, ERR("RequestDisallowedByPolicy", "x"), FF_E_DENIED},
		{404, ERR("ResourceNotFound", "x"), FF_E_GONE},
		{200, "{\"status\":\"Failed\",\"error\":{\"code\":\"OperationPreempted\",\"message\":\"x\"}}",
			FF_E_CONFLICT},
		{200, "{\"status\":\"Failed\",\"error\":{\"code\":\"NotSupported\",\"message\":\"x\"}}",
			FF_E_PERMANENT},
		{200, "{\"status\":\"Running\",\"error\":{\"code\":\"NotSupported\",\"message\":\"x\"}}",
			FF_E_PERMANENT},
		{200, "{\"status\":\"canceled\"}", FF_E_PERMANENT},
		/* the poll went well: asking it again would tell the same */
		{200, "{\"status\":\"Failed\",\"error\":{\"code\":\"AllocationFailed\",\"message\":\"x\"}}",
			FF_E_CONFLICT},
		{200, "{\"status\":\"Failed\",\"error\":{\"code\":\"InternalServerError\",\"message\":\"x\"}}",
			FF_E_CONFLICT},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err;
		enum ff_class class = judged(cases[i].status, cases[i].body, NULL, &err, NULL, NULL);

		cr_assert_eq(class, cases[i].class, "%d %s: %s", cases[i].status, cases[i].body, ff_class_name(class));
		cr_assert_eq(err.class, class);
		cr_assert_eq(*err.text == '\0', class == FF_E_NONE);
	}
}

Test(azure_errors, the_sentence_has_code_message_details_and_request_ids)
{
	static const char *const headers[] = {"x-ms-request-id", "req-1", "x-ms-correlation-request-id", "cor-2", NULL};
	struct ff_err err;

	judged(409,
		"{\"error\":{\"code\":\"OperationNotAllowed\",\"message\":\"Billing\\r\\n  "
		"change.\",\"details\":[{\"code\":\"Inner\","
		"\"message\":\"Please deallocate.\"}]}}",
		NULL, &err, NULL, headers);
	cr_assert_str_eq(err.text,
		"azure answered 409 OperationNotAllowed: Billing change. [Inner: Please deallocate.] "
		"(request id req-1, correlation id cor-2)");
	judged(200, "{\"status\":\"Failed\",\"error\":{\"code\":\"X\",\"message\":\"y\"}}", NULL, &err, NULL, NULL);
	cr_assert_str_eq(err.text, "the operation failed X: y");
}

Test(azure_errors, transports_have_classes)
{
	static const struct {
		enum ff_transport transport;
		enum ff_class class;
	} cases[] = {{FF_T_NOT_SENT, FF_E_TRANSIENT}, {FF_T_BROKEN, FF_E_TRANSIENT}, {FF_T_UNTRUSTED, FF_E_PERMANENT},
		{FF_T_TOO_LARGE, FF_E_PERMANENT}, {FF_T_LOCAL, FF_E_LOCAL}};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer answer = kit_lost(cases[i].transport, "the reason");
		struct ff_ask ask = {0};
		struct ff_err err;

		cr_assert_eq(ff_azure.judge(cloud, NOW, &ask, &answer, NULL, &err), cases[i].class);
		cr_assert_str_eq(err.text, "the reason");
	}
	ff_azure.close(cloud);
}

Test(azure_errors, remaining_counts_go_to_their_buckets)
{
	static const char *const headers[] = {"x-ms-ratelimit-remaining-resource",
		"Microsoft.Compute/UpdateVM3Min;239,Microsoft.Compute/UpdateVM30Min;97",
		"X-MS-RateLimit-Remaining-Resource",
		"Microsoft.Compute/LowCostGet3Min;5, "
		"junk;;,Microsoft.Compute/UpdateVMs3Min;1,Microsoft.Compute/DeleteVM3Min;x",
		"Retry-After", "7", NULL};
	struct ff_ask ask = {0};
	struct ff_hint hint;
	struct ff_err err;

	ff_ask_cost(&ask, "azure/sub/eu/UpdateVM", 1500, 8);
	ff_ask_cost(&ask, "azure/vm/x/UpdateVM", 12, 1);
	ff_ask_cost(&ask, "azure/sub/eu/LowCostGet", 1500, 8);
	judged(200, "{}", &hint, &err, &ask, headers);
	cr_assert_eq(hint.left[0], 97);
	cr_assert_eq(hint.left[1], -1); /* Azure counts the subscription's only */
	cr_assert_eq(hint.left[2], 5);
	cr_assert_eq(hint.retry_after_ms, 7000);
	cr_assert_eq(hint.bucket, -1);
	ff_ask_release(&ask);
}

Test(azure_errors, a_throttled_answer_names_its_bucket)
{
	struct ff_ask ask = {0};
	struct ff_hint hint;

	ff_ask_cost(&ask, "azure/sub/eu/LowCostGet", 1500, 8);
	ff_ask_cost(&ask, "azure/sub/HighCostGet", 1500, 8);
	judged(429,
		"{\"code\":\"OperationNotAllowed\",\"message\":\"m\",\"details\":[{\"code\":\"TooManyRequests\","
		"\"target\":"
		"\"HighCostGet\"}]}",
		&hint, NULL, &ask, NULL);
	cr_assert_eq(hint.bucket, 1);
	cr_assert_eq(hint.retry_after_ms, -1);
	judged(429, ERR("SubscriptionRequestsThrottled", "x"), &hint, NULL, &ask, NULL);
	cr_assert_eq(hint.bucket, -1);
	ff_ask_release(&ask);
}

/* simulation, seed 710805: the subscription's bucket was closed, the VM's own was asked again before its time */
Test(azure_errors, a_name_that_two_buckets_have_speaks_of_both)
{
	struct ff_ask ask = {0};
	struct ff_hint hint;

	ff_ask_cost(&ask, "azure/sub/eu/LowCostGet", 24000, 8000);
	ff_ask_cost(&ask, "azure/vm/x/LowCostGet", 36, 12);
	judged(429,
		"{\"code\":\"OperationNotAllowed\",\"message\":\"m\",\"details\":[{\"code\":\"TooManyRequests\","
		"\"target\":\"LowCostGet\"}]}",
		&hint, NULL, &ask, NULL);
	cr_assert_eq(hint.bucket, -1);
	ff_ask_release(&ask);
}

Test(azure_errors, identity_asks_are_judged_by_their_own_rules)
{
	static const struct {
		int tag, status;
		enum ff_transport transport;
		enum ff_class class;
	} cases[] = {
		{AZ_Q_IMDS, 0, FF_T_BROKEN, FF_E_GONE},
		{AZ_Q_IMDS, 0, FF_T_NOT_SENT, FF_E_GONE},
		{AZ_Q_IMDS, 404, FF_T_OK, FF_E_TRANSIENT},
		{AZ_Q_IMDS, 410, FF_T_OK, FF_E_TRANSIENT},
		{AZ_Q_IMDS, 429, FF_T_OK, FF_E_THROTTLED},
		{AZ_Q_IMDS, 400, FF_T_OK, FF_E_DENIED},
		{AZ_Q_TOKEN, 401, FF_T_OK, FF_E_DENIED}, /* not AUTH: that would sign in again */
		{AZ_Q_TOKEN, 404, FF_T_OK, FF_E_DENIED},
		{AZ_Q_TOKEN, 503, FF_T_OK, FF_E_TRANSIENT},
		{AZ_Q_TOKEN, 0, FF_T_BROKEN, FF_E_TRANSIENT},
		{AZ_Q_TOKEN, 200, FF_T_OK, FF_E_NONE},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_ask ask = {.tag = cases[i].tag};
		struct ff_answer answer = {.transport = cases[i].transport, .status = cases[i].status};

		cr_assert_eq(ff_azure.judge(cloud, NOW, &ask, &answer, NULL, NULL), cases[i].class, "case %zu", i);
	}
	ff_azure.close(cloud);
}
