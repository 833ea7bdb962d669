/*
 * What class an answer is, and what it says of budgets. Section 6 of the facts is the table below.
 *
 * HTTP errors name a reason in camelCase, failed operations a code in UPPER_SNAKE, details[] a reason in UPPER_SNAKE.
 * All are compared without regard to case and underscores, so that one table serves them.
 */
#include "gcp.h"

#include <stdio.h>
#include <string.h>

#define SLOW_MS	   120000 /* one disk or snapshot was changed too often: minutes */
#define PENDING_MS 5000	  /* too many operations wait for one VM */

static const struct rule {
	const char *reason;
	enum ff_class class;
} rules[] = {
	/* 403, and not "denied" */
	{"rateLimitExceeded", FF_E_THROTTLED},
	{"userRateLimitExceeded", FF_E_THROTTLED},
	{"concurrentOperationsQuotaExceeded", FF_E_THROTTLED},
	{"resourceOperationRateExceeded", FF_E_THROTTLED},
	{"tooManyRequests", FF_E_THROTTLED},
	{"backendError", FF_E_TRANSIENT},
	{"internalError", FF_E_TRANSIENT},
	{"internalFailure", FF_E_TRANSIENT}, /* OAuth, as the next two */
	{"serverError", FF_E_TRANSIENT},
	{"temporarilyUnavailable", FF_E_TRANSIENT},
	{"zoneResourcePoolExhausted", FF_E_TRANSIENT},
	{"zoneResourcePoolExhaustedWithDetails", FF_E_TRANSIENT},
	{"resourceNotReady", FF_E_CONFLICT},
	{"conditionNotMet", FF_E_CONFLICT},
	{"resourceInUseByAnotherResource", FF_E_CONFLICT},
	{"invalidResourceUsage", FF_E_CONFLICT},
	{"alreadyExists", FF_E_CONFLICT},
	{"resourceAlreadyExists", FF_E_CONFLICT},
	{"unsupportedOperation", FF_E_CONFLICT},
	{"quotaExceeded", FF_E_PERMANENT},
	{"invalid", FF_E_PERMANENT},
	{"required", FF_E_PERMANENT},
	{"badRequest", FF_E_PERMANENT},
	{"invalidFieldValue", FF_E_PERMANENT},
	{"invalidUsage", FF_E_PERMANENT},
	{"authError", FF_E_AUTH},
	{"forbidden", FF_E_DENIED},
	{"insufficientPermissions", FF_E_DENIED},
	{"accessNotConfigured", FF_E_DENIED},
	{"serviceDisabled", FF_E_DENIED},
	{"permissionsError", FF_E_DENIED},
	{"notFound", FF_E_GONE},
	{"resourceNotFound", FF_E_GONE},
};

static bool same_reason(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == '_')
			a++;
		while (*b == '_')
			b++;
		if ((*a | 0x20) != (*b | 0x20))
			return false;
		if (*a == '\0')
			return true;
	}
}

static enum ff_class class_of_reason(const char *reason)
{
	for (size_t i = 0; reason != NULL && i < FF_COUNT(rules); i++)
		if (same_reason(reason, rules[i].reason))
			return rules[i].class;
	return FF_E_NONE;
}

static enum ff_class class_of_status(int status)
{
	switch (status) {
	case 401:
		return FF_E_AUTH;
	case 403:
		return FF_E_DENIED;
	case 404:
	case 410:
		return FF_E_GONE;
	case 409:
	case 412:
		return FF_E_CONFLICT;
	case 429:
		return FF_E_THROTTLED;
	case 408:
		return FF_E_TRANSIENT;
	default:
		return status >= 500 ? FF_E_TRANSIENT : FF_E_PERMANENT;
	}
}

/* What was found out about one error, texts borrowed from its JSON. */
struct fault {
	enum ff_class class;
	const char *reason, *message;
	const json_t *metadata; /* of the detail that names a quota */
};

/* The most telling reason wins: that of a detail (ErrorInfo, or an operation's errorDetails) before the error's own. */
static void consider_details(const json_t *details, struct fault *f)
{
	const json_t *detail;
	size_t i;

	json_array_foreach (details, i, detail) {
		const json_t *info =
			json_is_object(ff_json_at(detail, "errorInfo")) ? ff_json_at(detail, "errorInfo") : detail;
		const char *reason = ff_json_str(info, "reason");
		enum ff_class class = class_of_reason(reason);

		if (json_is_object(ff_json_at(info, "metadatas")))
			f->metadata = ff_json_at(info, "metadatas");
		if (json_is_object(ff_json_at(info, "metadata")))
			f->metadata = ff_json_at(info, "metadata");
		if (json_is_object(ff_json_at(detail, "quotaInfo")))
			f->metadata = ff_json_at(detail, "quotaInfo");
		if (class != FF_E_NONE && f->class == FF_E_NONE) {
			f->class = class;
			f->reason = reason;
		}
	}
}

static void consider_errors(const json_t *errors, const char *name, struct fault *f)
{
	const json_t *error;
	size_t i;

	json_array_foreach (errors, i, error) {
		const char *reason = ff_json_str(error, name);
		enum ff_class class;

		consider_details(ff_json_at(error, "errorDetails"), f);
		class = class_of_reason(reason);
		if (f->reason == NULL || (f->class == FF_E_NONE && class != FF_E_NONE)) {
			f->reason = reason;
			f->class = f->class != FF_E_NONE ? f->class : class;
		}
		if (f->message == NULL)
			f->message = ff_json_str(error, "message");
	}
}

/* "quota 'X', limit N" of a detail, or nothing. */
static void quota(const json_t *metadata, char *out, size_t room)
{
	const char *metric = ff_json_str(metadata, "quotaMetric");
	ff_auto_free char *clean = NULL;
	int64_t limit = ff_json_int(metadata, "limit", -1);

	if (metric == NULL)
		metric = ff_json_str(metadata, "metricName");
	out[0] = '\0';
	if (metric == NULL)
		return;
	clean = ff_printable_n(metric, strnlen(metric, 120));
	if (limit >= 0)
		snprintf(out, room, " (quota '%s', limit %lld)", clean, (long long)limit);
	else
		snprintf(out, room, " (quota '%s')", clean);
}

static void sentence(const char *what, int status, const struct fault *f, struct ff_err *err)
{
	const char *message = f->message ? f->message : "";
	ff_auto_free char *reason = ff_printable_n(f->reason ? f->reason : "", f->reason ? strnlen(f->reason, 80) : 0);
	ff_auto_free char *text = ff_printable_n(message, strnlen(message, 400));
	char number[16] = "", metric[192];

	if (status > 0)
		snprintf(number, sizeof(number), " %d", status);
	quota(f->metadata, metric, sizeof(metric));
	ff_fail(err, f->class, "%s%s%s%s%s%s%s", what, number, *reason ? " " : "", reason, *text ? ": " : "", text,
		metric);
}

enum ff_class gcp_operation_error(const json_t *operation, struct ff_err *err)
{
	const json_t *errors = ff_json_at(operation, "error/errors");
	int64_t status = ff_json_int(operation, "httpErrorStatusCode", 0);
	struct fault f = {0};

	if (status < 400 || status > 599)
		status = 0;
	if (json_array_size(errors) == 0 && status == 0)
		return FF_E_NONE;
	consider_errors(errors, "code", &f);
	if (f.message == NULL)
		f.message = ff_json_str(operation, "httpErrorMessage");
	if (f.class == FF_E_NONE)
		f.class = class_of_status((int)status);
	/* nothing but an expired token is cured by signing in again, and an operation has none */
	if (f.class == FF_E_AUTH)
		f.class = FF_E_DENIED;
	sentence("the operation failed:", 0, &f, err);
	return f.class;
}

/* ---------------------------------------------------------------- busy */

/* "in use": by whom is not said. Where the disk is known to be on its way to us, it is by an operation, or by the VM
 * that it has not left yet. */
static bool is_busy(const struct fault *f, bool in_use_too)
{
	if (f->reason == NULL)
		return false;
	return same_reason(f->reason, "resourceNotReady") ||
	       (in_use_too && same_reason(f->reason, "resourceInUseByAnotherResource"));
}

bool gcp_operation_busy(const json_t *operation, bool in_use_too)
{
	struct fault f = {0};

	consider_errors(ff_json_at(operation, "error/errors"), "code", &f);
	return is_busy(&f, in_use_too);
}

/* ---------------------------------------------------------------- answers */

/* Compute and IAM: {"error":{...}}; OAuth (RFC 6749, 5.2): {"error":"invalid_grant","error_description":"..."}. */
static void read_fault(const json_t *body, int status, struct fault *f)
{
	const json_t *error = ff_json_at(body, "error");

	if (json_is_string(error)) {
		f->reason = json_string_value(error);
		f->message = ff_json_str(body, "error_description");
		f->class = class_of_reason(f->reason);
	} else {
		consider_details(ff_json_at(error, "details"), f);
		consider_errors(ff_json_at(error, "errors"), "reason", f);
		if (ff_json_str(error, "message") != NULL)
			f->message = ff_json_str(error, "message");
		if (f->reason == NULL)
			f->reason = ff_json_str(error, "status");
	}
	if (f->class == FF_E_NONE || status == 401)
		f->class = class_of_status(status);
}

/* Which of the ask's costs ran out, and for how long. */
static void read_hint(
	int64_t wall_ms, const struct ff_ask *ask, const struct fault *f, const char *retry_after, struct ff_hint *hint)
{
	bool second = ask != NULL && ask->cost_count > 1;

	hint->retry_after_ms = ff_retry_after_ms(retry_after, wall_ms);
	hint->bucket = 0;
	if (ff_contains_nocase(f->message, "too many pending operations")) {
		hint->bucket = second ? 1 : 0;
		if (hint->retry_after_ms < 0)
			hint->retry_after_ms = PENDING_MS;
	} else if (f->reason != NULL && same_reason(f->reason, "resourceOperationRateExceeded")) {
		hint->bucket = second ? 1 : 0;
		if (hint->retry_after_ms < 0)
			hint->retry_after_ms = SLOW_MS;
	} else if (f->reason != NULL && same_reason(f->reason, "concurrentOperationsQuotaExceeded")) {
		/* not a quota of the minute: it is free again when some operation ends */
		if (hint->retry_after_ms < 0)
			hint->retry_after_ms = PENDING_MS;
	} else if (hint->retry_after_ms < 0) {
		int64_t into_minute = wall_ms % 60000;

		hint->retry_after_ms = 60000 - (into_minute < 0 ? into_minute + 60000 : into_minute);
	}
}

bool gcp_answer_busy(const struct ff_answer *answer, bool in_use_too)
{
	ff_auto_json json_t *body = NULL;
	struct fault f = {0};

	if (answer->transport != FF_T_OK || answer->status < 400)
		return false;
	body = ff_json_parse(answer->body, answer->body_len, 1 << 20, NULL);
	read_fault(body, answer->status, &f);
	return is_busy(&f, in_use_too);
}

static enum ff_class judge_transport(const struct ff_ask *ask, const struct ff_answer *answer, struct ff_err *err)
{
	static const enum ff_class classes[] = {
		[FF_T_NOT_SENT] = FF_E_TRANSIENT,
		[FF_T_UNTRUSTED] = FF_E_PERMANENT,
		[FF_T_BROKEN] = FF_E_TRANSIENT,
		[FF_T_TOO_LARGE] = FF_E_PERMANENT,
		[FF_T_LOCAL] = FF_E_LOCAL,
	};
	ff_auto_free char *host = ff_url_host(ask ? ask->url : NULL);
	enum ff_class class = (size_t)answer->transport < FF_COUNT(classes) ? classes[answer->transport] : FF_E_BUG;

	ff_fail(err, class, "%s%s%s", host ? host : "", host ? ": " : "", answer->why);
	return class;
}

enum ff_class gcp_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err)
{
	ff_auto_json json_t *body = NULL;
	struct fault f = {0};

	(void)cloud;
	if (hint != NULL) {
		*hint = (struct ff_hint){.retry_after_ms = -1, .bucket = -1};
		for (int i = 0; i < FF_COSTS_MAX; i++)
			hint->left[i] = -1;
	}
	if (answer->transport != FF_T_OK)
		return judge_transport(ask, answer, err);
	if (ask != NULL && ask->kind != FF_ASK_HTTP) {
		if (answer->status == 0)
			return FF_E_NONE;
		ff_fail(err, FF_E_LOCAL, "%s %d", ask->kind == FF_ASK_FILE ? "error" : "exit status", answer->status);
		return FF_E_LOCAL;
	}
	if (answer->status >= 200 && answer->status < 300)
		return FF_E_NONE;
	body = ff_json_parse(answer->body, answer->body_len, 1 << 20, NULL);
	read_fault(body, answer->status, &f);
	if (answer->status == 400 && f.class == FF_E_PERMANENT && body == NULL && answer->body_len > 0)
		f.class = FF_E_TRANSIENT; /* why cannot be read: it is asked again */
	if (f.class == FF_E_THROTTLED && hint != NULL)
		read_hint(wall_ms, ask, &f, ff_headers_get(&answer->headers, "Retry-After"), hint);
	else if (f.class == FF_E_TRANSIENT && hint != NULL)
		hint->retry_after_ms = ff_retry_after_ms(ff_headers_get(&answer->headers, "Retry-After"), wall_ms);
	sentence("gcp answered", answer->status, &f, err);
	return f.class;
}

enum ff_class gcp_reply(const struct ff_answer *answer, json_t **body, struct ff_err *err)
{
	enum ff_class class = gcp_judge(NULL, 0, NULL, answer, NULL, err);

	*body = NULL;
	if (class != FF_E_NONE)
		return class;
	*body = ff_json_parse(answer->body, answer->body_len, GCP_ANSWER_BYTES, err);
	if (*body != NULL && json_is_object(*body))
		return FF_E_NONE;
	if (*body != NULL)
		ff_fail(err, FF_E_BUG, "the answer is no JSON object");
	json_decref(*body);
	*body = NULL;
	return FF_E_BUG;
}
