/* What class an answer is, and what it says of budgets. The facts' section 6 is the table below. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

/* The first row that fits decides. status 0: any; code, text NULL: any. `text` is looked for in every message. */
static const struct rule {
	int status;
	const char *code, *text;
	enum ff_class class;
} rules[] = {
	/* a lock answers 409 and is no conflict: azure-sdk-for-java#2560 */
	{0, "ScopeLocked", NULL, FF_E_DENIED},
	{0, "RequestDisallowedByPolicy", NULL, FF_E_DENIED},
	{0, "AuthorizationFailed", NULL, FF_E_DENIED},
	{0, "LinkedAuthorizationFailed", NULL, FF_E_DENIED},
	{0, "RetryableError", NULL, FF_E_TRANSIENT}, /* comes with 429 and is no throttling: recorded */
	{0, "TooManyRequests", NULL, FF_E_THROTTLED},
	{0, "SubscriptionRequestsThrottled", NULL, FF_E_THROTTLED},
	{429, NULL, NULL, FF_E_THROTTLED},
	{401, NULL, NULL, FF_E_AUTH},
	{403, NULL, NULL, FF_E_DENIED},
	{404, NULL, NULL, FF_E_GONE},
	{410, NULL, NULL, FF_E_GONE},
	{0, "ResourceNotFound", NULL, FF_E_GONE},
	{0, "ResourceGroupNotFound", NULL, FF_E_GONE},
	{412, NULL, NULL, FF_E_CONFLICT},
	{0, "OperationPreempted", NULL, FF_E_CONFLICT}, /* cloud-provider-azure#1356 */
	{0, "AttachDiskWhileBeingDetached", NULL, FF_E_CONFLICT},
	{0, "Conflict", NULL, FF_E_CONFLICT},
	{0, "OperationNotAllowed", "maximum number of data disks", FF_E_CONFLICT}, /* the rescue VM is full */
	{0, "OperationNotAllowed", NULL, FF_E_PERMANENT},
	{0, "PropertyChangeNotAllowed", NULL, FF_E_PERMANENT},
	{0, NULL, "contains encryption settings", FF_E_PERMANENT}, /* of Azure Disk Encryption, when it is attached */
	{0, "OSDiskSwapNotSupportedForVMsUsingDiskEncryption", NULL, FF_E_PERMANENT},
	{0, "AllocationFailed", NULL, FF_E_TRANSIENT},
	{0, "ZonalAllocationFailed", NULL, FF_E_TRANSIENT},
	{0, "OverconstrainedAllocationRequest", NULL, FF_E_TRANSIENT},
	{0, "OverconstrainedZonalAllocationRequest", NULL, FF_E_TRANSIENT},
	{0, "SkuNotAvailable", NULL, FF_E_TRANSIENT},
	{0, "InternalServerError", NULL, FF_E_TRANSIENT},
	{0, "InternalExecutionError", NULL, FF_E_TRANSIENT},
	{0, "InternalOperationError", NULL, FF_E_TRANSIENT},
	{0, "ServiceUnavailable", NULL, FF_E_TRANSIENT},
	{408, NULL, NULL, FF_E_TRANSIENT},
	{409, NULL, NULL, FF_E_CONFLICT},
};

char *azure_squeeze(const char *text, size_t max)
{
	struct ff_buf out = {0};

	for (; text != NULL && *text != '\0' && out.len < max; text++) {
		bool blank = (unsigned char)*text <= ' ' || *text == 0x7f;

		if (!blank)
			ff_buf_add(&out, text, 1);
		else if (out.len > 0 && out.text[out.len - 1] != ' ')
			ff_buf_add(&out, " ", 1);
	}
	while (out.len > 0 && out.text[out.len - 1] == ' ')
		out.text[--out.len] = '\0';
	return ff_buf_take(&out);
}

/* Does any of the error's codes match? Both `code` and details[].code count: a 429 tells its reason in the details. */
static bool has_code(const json_t *error, const char *code)
{
	const json_t *detail;
	size_t i;

	if (ff_strcaseeq(ff_json_str(error, "code"), code))
		return true;
	json_array_foreach (ff_json_at(error, "details"), i, detail)
		if (ff_strcaseeq(ff_json_str(detail, "code"), code))
			return true;
	return false;
}

static bool has_text(const json_t *error, const char *text)
{
	const json_t *detail;
	size_t i;

	if (ff_contains_nocase(ff_json_str(error, "message"), text))
		return true;
	json_array_foreach (ff_json_at(error, "details"), i, detail)
		if (ff_contains_nocase(ff_json_str(detail, "message"), text))
			return true;
	return false;
}

static void sentence(int status, const json_t *error, struct ff_err *err, enum ff_class class)
{
	ff_auto_free char *code = azure_squeeze(ff_json_str(error, "code"), 80);
	ff_auto_free char *message = azure_squeeze(ff_json_str(error, "message"), 400);
	ff_auto_free char *detail_code = azure_squeeze(ff_json_str(error, "details/0/code"), 80);
	ff_auto_free char *detail = azure_squeeze(ff_json_str(error, "details/0/message"), 250);
	char number[32] = "the operation failed";

	if (status != 0)
		snprintf(number, sizeof(number), "azure answered %d", status);
	ff_fail(err, class, "%s%s%s%s%s%s%s%s%s%s", number, *code ? " " : "", code, *message ? ": " : "", message,
		*detail_code || *detail ? " [" : "", detail_code, *detail_code && *detail ? ": " : "", detail,
		*detail_code || *detail ? "]" : "");
}

enum ff_class azure_classify(int status, const json_t *error, struct ff_err *err)
{
	enum ff_class class = status >= 500 ? FF_E_TRANSIENT : FF_E_PERMANENT;

	for (size_t i = 0; i < FF_COUNT(rules); i++) {
		const struct rule *r = &rules[i];

		if ((r->status == 0 || r->status == status) && (r->code == NULL || has_code(error, r->code)) &&
			(r->text == NULL || has_text(error, r->text))) {
			class = r->class;
			break;
		}
	}
	sentence(status, error, err, class);
	return class;
}

/* ---------------------------------------------------------------- reading an answer */

void azure_reply_release(struct azure_reply *reply)
{
	json_decref(reply->body);
	*reply = (struct azure_reply){0};
}

static enum ff_class transport_class(const struct ff_answer *answer, struct ff_err *err)
{
	enum ff_class class = FF_E_TRANSIENT;

	switch (answer->transport) {
	case FF_T_OK:
		return FF_E_NONE;
	case FF_T_NOT_SENT:
	case FF_T_BROKEN:
		break;
	case FF_T_UNTRUSTED: /* asking again would get the same certificate */
	case FF_T_TOO_LARGE:
		class = FF_E_PERMANENT;
		break;
	case FF_T_LOCAL:
		class = FF_E_LOCAL;
		break;
	}
	ff_fail(err, class, "%s", *answer->why ? answer->why : "no answer");
	return class;
}

/* Ids of the request: support asks for them. */
static void add_request_ids(const struct ff_answer *answer, struct ff_err *err)
{
	ff_auto_free char *request = azure_squeeze(ff_headers_get(&answer->headers, "x-ms-request-id"), 64);
	ff_auto_free char *correlation =
		azure_squeeze(ff_headers_get(&answer->headers, "x-ms-correlation-request-id"), 64);
	size_t len = strlen(err->text);

	if (*request || *correlation)
		snprintf(err->text + len, sizeof(err->text) - len, " (%s%s%s%s%s)", *request ? "request id " : "",
			request, *request && *correlation ? ", " : "", *correlation ? "correlation id " : "",
			correlation);
}

/* Compute's documented 429 has no outer "error": accept both shapes. */
static const json_t *error_of(const json_t *body)
{
	const json_t *error = ff_json_at(body, "error");

	if (json_is_object(error))
		return error;
	return ff_json_str(body, "code") != NULL ? body : NULL;
}

/* A failed long-running operation answers 200 and tells in its body. */
static bool failed_inside(const json_t *body)
{
	const char *status = ff_json_str(body, "status");

	return json_is_object(ff_json_at(body, "error")) || ff_strcaseeq(status, "Failed") ||
	       ff_strcaseeq(status, "Canceled");
}

void azure_reply_read(struct azure_reply *reply, int64_t wall_ms, const struct ff_answer *answer)
{
	struct ff_err broken = {0};

	*reply = (struct azure_reply){.retry_ms = -1};
	reply->unknown = answer->transport == FF_T_BROKEN || answer->transport == FF_T_TOO_LARGE;
	reply->class = transport_class(answer, &reply->err);
	if (reply->class != FF_E_NONE)
		return;
	reply->status = answer->status;
	reply->retry_ms = ff_retry_after_ms(ff_headers_get(&answer->headers, "Retry-After"), wall_ms);
	if (answer->body_len > 0)
		reply->body = ff_json_parse(answer->body, answer->body_len, AZ_ANSWER_BYTES, &broken);
	if (answer->status < 200 || answer->status > 299) {
		reply->class = azure_classify(answer->status, error_of(reply->body), &reply->err);
		if (reply->class == FF_E_PERMANENT && answer->body_len > 0 && !json_is_object(reply->body))
			reply->class = reply->err.class = FF_E_TRANSIENT; /* why cannot be read: it is asked again */
	} else if (answer->body_len > 0 && !json_is_object(reply->body)) {
		reply->unknown = true;
		reply->class = FF_E_BUG;
		ff_fail(&reply->err, FF_E_BUG, "azure answered %d with something else than a JSON object%s%.200s",
			answer->status, *broken.text ? ": " : "", broken.text);
	} else if (failed_inside(reply->body)) {
		reply->class = azure_classify(0, ff_json_at(reply->body, "error"), &reply->err);
	}
	if (reply->class != FF_E_NONE)
		add_request_ids(answer, &reply->err);
}

/* ---------------------------------------------------------------- budgets */

/* The part of a cost's key that names the group: "UpdateVM". */
static const char *group_of(const struct ff_cost *cost)
{
	return azure_id_name(cost->key);
}

/* The subscription's bucket, not a VM's own: Azure's headers count the former only. */
static bool of_subscription(const struct ff_cost *cost)
{
	return !ff_has_prefix(cost->key, "azure/vm/");
}

/* "Microsoft.Compute/UpdateVM3Min;239": the windows of 3 and of 30 minutes, whichever has less left. */
static void read_pair(const struct ff_ask *ask, const char *pair, size_t len, struct ff_hint *hint)
{
	ff_auto_free char *text = ff_strndup(pair, len);
	char *semicolon = strchr(text, ';'), *name = strchr(text, '/');
	int64_t left;

	if (semicolon == NULL || name == NULL || name > semicolon)
		return;
	*semicolon = '\0';
	if (ff_parse_i64(semicolon + 1, 0, INT32_MAX, &left) < 0)
		return;
	for (size_t i = 0; i < ask->cost_count; i++) {
		const char *group = group_of(&ask->costs[i]);
		size_t n = strlen(group);

		if (!of_subscription(&ask->costs[i]) || strncmp(name + 1, group, n) != 0)
			continue;
		if (!ff_streq(name + 1 + n, "3Min") && !ff_streq(name + 1 + n, "30Min"))
			continue;
		if (hint->left[i] < 0 || left < hint->left[i])
			hint->left[i] = left;
	}
}

static void read_left(const struct ff_ask *ask, const struct ff_answer *answer, struct ff_hint *hint)
{
	for (size_t i = 0; i < answer->headers.count; i++) {
		const char *p = answer->headers.items[i].value;

		if (!ff_strcaseeq(answer->headers.items[i].name, "x-ms-ratelimit-remaining-resource"))
			continue;
		while (*p != '\0') {
			size_t len;

			p += strspn(p, ", ");
			len = strcspn(p, ",");
			read_pair(ask, p, len, hint);
			p += len;
		}
	}
}

/*
 * Which of the ask's buckets a throttled answer speaks of: details[].target, e.g. "HighCostGet". The VM's own bucket
 * and its subscription's have that name alike: then it may be either, and asking the empty one too soon restarts its
 * wait.
 */
static int bucket_of(const struct ff_ask *ask, const json_t *error)
{
	const json_t *detail;
	int found = -1;
	size_t d;

	json_array_foreach (ff_json_at(error, "details"), d, detail) {
		const char *target = ff_json_str(detail, "target");

		for (size_t i = 0; target != NULL && i < ask->cost_count; i++) {
			const char *group = group_of(&ask->costs[i]);

			if (strncasecmp(target, group, strlen(group)) != 0)
				continue;
			if (found >= 0 && found != (int)i)
				return -1;
			found = (int)i;
		}
	}
	return found;
}

/* ---------------------------------------------------------------- the judge */

/* Answers to identity's asks have other shapes and other meanings. */
static enum ff_class judge_identity(const struct ff_ask *ask, const struct ff_answer *answer, struct ff_err *err)
{
	bool metadata = ask->tag == AZ_Q_IMDS || ask->tag == AZ_Q_INSTANCE;
	enum ff_class class = transport_class(answer, err);
	int status = answer->status;

	if (class != FF_E_NONE) {
		if (metadata) /* no such service here: never worth a second try */
			class = err->class = FF_E_GONE;
		return class;
	}
	if (ask->kind != FF_ASK_HTTP) {
		if (status != 0)
			ff_fail(err, FF_E_LOCAL, "ended with status %d", status);
		return status != 0 ? FF_E_LOCAL : FF_E_NONE;
	}
	if (status >= 200 && status <= 299)
		return FF_E_NONE;
	class = FF_E_DENIED;
	if (status == 429)
		class = FF_E_THROTTLED;
	else if (status >= 500 || status == 408 || (metadata && (status == 404 || status == 410)))
		class = FF_E_TRANSIENT; /* IMDS answers 404 and 410 while it is being updated */
	ff_fail(err, class, "sign-in was answered with %d", status);
	return class;
}

/* Storage answers in XML, or with the blob itself. */
static enum ff_class judge_blob(const struct ff_answer *answer, struct ff_err *err)
{
	enum ff_class class = transport_class(answer, err);

	if (class != FF_E_NONE || (answer->status >= 200 && answer->status <= 299))
		return class;
	class = answer->status >= 500 ? FF_E_TRANSIENT : FF_E_DENIED;
	ff_fail(err, class, "storage answered %d", answer->status);
	return class;
}

enum ff_class azure_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err)
{
	azure_auto_reply reply = {0};
	struct ff_err unused = {0};
	struct ff_err *e = err ? err : &unused;
	enum ff_class class;

	(void)cloud;
	*e = (struct ff_err){0};
	if (hint != NULL) {
		*hint = (struct ff_hint){.retry_after_ms = -1, .bucket = -1};
		for (int i = 0; i < FF_COSTS_MAX; i++)
			hint->left[i] = -1;
		read_left(ask, answer, hint);
		hint->retry_after_ms = ff_retry_after_ms(ff_headers_get(&answer->headers, "Retry-After"), wall_ms);
	}
	if (ask->tag >= AZ_Q_TOKEN && ask->tag <= AZ_Q_CLI)
		return judge_identity(ask, answer, e);
	if (ask->tag == AZ_Q_BLOB)
		return judge_blob(answer, e);
	azure_reply_read(&reply, wall_ms, answer);
	*e = reply.err;
	class = reply.class;
	if (hint != NULL && class == FF_E_THROTTLED)
		hint->bucket = bucket_of(ask, error_of(reply.body));
	/* signing in again would bring another token for Resource Manager: who looks for the key asks for a new one */
	if (class == FF_E_AUTH && (ask->tag == AZ_Q_VAULT || ask->tag == AZ_Q_GRAPH))
		class = e->class = FF_E_DENIED;
	/* The poll itself went well; asking it again would only tell of the same failed operation. */
	if (reply.status == 200 && (class == FF_E_TRANSIENT || class == FF_E_THROTTLED))
		class = e->class = FF_E_CONFLICT;
	return class;
}
