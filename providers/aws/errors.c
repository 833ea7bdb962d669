/*
 * What class an answer is. The error's code decides, not the HTTP status: 400 is used for throttling, 500 for want of
 * capacity; only where the code is unknown or the body is none of AWS's does the status count (facts section 6).
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES_MAX 400

/* The first row that fits counts. A code may end in '*', a message is a part of it; NULL: any. */
static const struct {
	const char *code, *message;
	enum ff_class class;
} rows[] = {
	{"RequestLimitExceeded", NULL, FF_E_THROTTLED}, {"EC2ThrottledException", NULL, FF_E_THROTTLED},
	{"Throttl*", NULL, FF_E_THROTTLED}, /* Throttling, ThrottlingException, ThrottledException */
	{"RequestThrottled*", NULL, FF_E_THROTTLED}, {"TooManyRequestsException", NULL, FF_E_THROTTLED},
	{"PriorRequestNotComplete", NULL, FF_E_THROTTLED}, {"BandwidthLimitExceeded", NULL, FF_E_THROTTLED},
	{"SnapshotCreationPerVolumeRateExceeded", NULL, FF_E_THROTTLED},
	{"ConcurrentSnapshotLimitExceeded", NULL, FF_E_THROTTLED},
	{"RequestTimeTooSkewed", NULL, FF_E_DENIED}, /* these: see judge_signature() */
	{"SignatureDoesNotMatch", NULL, FF_E_DENIED}, {"InvalidSignatureException", NULL, FF_E_DENIED},
	{"RequestExpired", NULL, FF_E_AUTH}, {"RequestTimeout*", NULL, FF_E_TRANSIENT},
	{"InternalError", NULL, FF_E_TRANSIENT}, {"InternalFailure", NULL, FF_E_TRANSIENT},
	{"Unavailable", NULL, FF_E_TRANSIENT}, {"ServiceUnavailable*", NULL, FF_E_TRANSIENT},
	{"ResourceContention*", NULL, FF_E_TRANSIENT}, {"IDPCommunicationError", NULL, FF_E_TRANSIENT},
	{"Insufficient*Capacity", NULL, FF_E_TRANSIENT}, /* comes as a 500 and is no server's fault */
	{"InsufficientCapacity*", NULL, FF_E_TRANSIENT}, {"IncorrectState", NULL, FF_E_CONFLICT},
	{"VolumeInUse", NULL, FF_E_CONFLICT}, {"InvalidParameterValue", "is already in use", FF_E_CONFLICT},
	{"AttachmentLimitExceeded", NULL, FF_E_CONFLICT}, {"IncorrectInstanceState", "Marketplace", FF_E_PERMANENT},
	{"IncorrectInstanceState", NULL, FF_E_CONFLICT}, {"ScalingActivityInProgress*", NULL, FF_E_CONFLICT},
	{"ResourceInUse*", NULL, FF_E_CONFLICT}, {"InvalidInstanceID.NotFound", NULL, FF_E_GONE},
	{"InvalidVolume.NotFound", NULL, FF_E_GONE}, {"InvalidSnapshot.NotFound", NULL, FF_E_GONE},
	{"InvalidSnapshot.InUse", NULL, FF_E_PERMANENT}, /* an image is made of it */
	{"UnauthorizedOperation", NULL, FF_E_DENIED}, {"AccessDenied*", NULL, FF_E_DENIED},
	{"AuthFailure", NULL, FF_E_AUTH}, /* wrong or outdated keys: they may have been renewed in the file */
	{"InvalidClientTokenId", NULL, FF_E_AUTH}, {"UnrecognizedClientException", NULL, FF_E_AUTH},
	{"ExpiredToken*", NULL, FF_E_AUTH}, {"InvalidIdentityToken", NULL, FF_E_AUTH},
	{"DryRunOperation", NULL, FF_E_NONE}, /* 412: it would have been allowed */
};

static bool code_fits(const char *pattern, const char *code)
{
	const char *star = strchr(pattern, '*');
	size_t head = star ? (size_t)(star - pattern) : strlen(pattern);

	if (strncmp(pattern, code, head) != 0)
		return false;
	return star ? strlen(code) >= head && ff_has_suffix(code + head, star + 1) : code[head] == '\0';
}

static enum ff_class by_status(int status)
{
	if (status == 429 || status == 509)
		return FF_E_THROTTLED;
	if (status >= 500)
		return FF_E_TRANSIENT;
	if (status >= 200 && status < 300)
		return FF_E_NONE;
	switch (status) {
	case 401:
		return FF_E_AUTH;
	case 403:
		return FF_E_DENIED;
	case 404:
		return FF_E_GONE;
	case 408:
		return FF_E_TRANSIENT;
	default:
		return FF_E_PERMANENT;
	}
}

enum ff_class aws_classify(int status, const char *code, const char *message)
{
	enum ff_class class;

	for (size_t i = 0; code[0] != '\0' && i < FF_COUNT(rows); i++)
		if (code_fits(rows[i].code, code) &&
			(rows[i].message == NULL || strstr(message, rows[i].message) != NULL))
			return rows[i].class;
	class = by_status(status);
	return class == FF_E_NONE && code[0] != '\0' ? FF_E_PERMANENT : class;
}

bool aws_code_is_signature(const char *code)
{
	static const char *const codes[] = {"SignatureDoesNotMatch", "InvalidSignatureException",
		"RequestTimeTooSkewed", "RequestExpired", "AuthFailure"};

	for (size_t i = 0; i < FF_COUNT(codes); i++)
		if (ff_streq(code, codes[i]))
			return true;
	return false;
}

/* ---------------------------------------------------------------- reading */

void aws_reply_release(struct aws_reply *reply)
{
	if (reply->doc != NULL)
		xmlFreeDoc(reply->doc);
	free(reply->code);
	free(reply->message);
	*reply = (struct aws_reply){0};
}

/* {"__type": "com.amazonaws.kms#NotFoundException", "message": ...} of the services that speak JSON. */
static void read_json_failure(struct aws_reply *reply, const struct ff_answer *answer)
{
	ff_auto_json json_t *body = ff_json_parse(answer->body, answer->body_len, answer->body_len, NULL);
	const char *type = ff_json_str(body, "__type"), *hash = type ? strchr(type, '#') : NULL;
	const char *message = ff_json_str(body, "message");

	if (message == NULL)
		message = ff_json_str(body, "Message");
	reply->code = ff_strdup(hash ? hash + 1 : type ? type : "");
	reply->message = ff_strdup(message ? message : "");
}

/* Safe to print, and short: an AccessDenied may carry kilobytes of encoded policy. */
static char *short_text(const char *text)
{
	size_t len = strlen(text);

	return len > MESSAGE_BYTES_MAX ? ff_printable_n(text, MESSAGE_BYTES_MAX) : ff_printable(text);
}

/* <Response><Errors><Error> of EC2, <ErrorResponse><Error> of the others; NULL: no error. */
static const xmlNode *error_of(const xmlNode *root, const char **request_id)
{
	if (aws_xml_is(root, "Response")) {
		*request_id = aws_xml_str(root, "RequestID");
		return aws_xml_at(root, "Errors/Error");
	}
	if (aws_xml_is(root, "ErrorResponse")) {
		*request_id = aws_xml_str(root, "RequestId");
		return aws_xml_at(root, "Error");
	}
	return NULL;
}

static void read_xml_failure(struct aws_reply *reply, const char **request_id)
{
	const xmlNode *error = error_of(aws_xml_root(reply->doc), request_id);

	reply->code = ff_strdup(aws_xml_str(error, "Code"));
	reply->message = ff_strdup(aws_xml_str(error, "Message"));
}

static void read_failure(struct aws_reply *reply, const struct ff_answer *answer)
{
	ff_auto_free char *code = NULL, *message = NULL, *id = NULL;
	const char *request_id = "";

	if (reply->doc == NULL)
		read_json_failure(reply, answer);
	else
		read_xml_failure(reply, &request_id);
	reply->class = aws_classify(reply->status, reply->code, reply->message);
	if (reply->status == 400 && reply->doc == NULL && reply->code[0] == '\0' && answer->body_len > 0)
		reply->class = FF_E_TRANSIENT; /* why cannot be read: it is asked again */
	code = short_text(reply->code);
	message = short_text(reply->message);
	id = short_text(request_id);
	if (reply->class == FF_E_NONE)
		return;
	if (code[0] == '\0')
		ff_fail(&reply->err, reply->class, "HTTP %d from AWS", reply->status);
	else
		ff_fail(&reply->err, reply->class, "%s%s%s%s%s%s", code, message[0] ? ": " : "", message,
			id[0] ? " (request " : "", id, id[0] ? ")" : "");
}

void aws_reply_read(struct aws_reply *reply, const struct ff_answer *answer)
{
	struct ff_err err = {0};
	const char *ignored;

	*reply = (struct aws_reply){.status = answer->status};
	if (answer->transport != FF_T_OK) {
		reply->status = 0;
		reply->unknown = answer->transport == FF_T_BROKEN || answer->transport == FF_T_TOO_LARGE;
		reply->class = FF_E_TRANSIENT;
		ff_fail(&reply->err, FF_E_TRANSIENT, "%s", answer->why);
		reply->code = ff_strdup("");
		reply->message = ff_strdup("");
		return;
	}
	reply->doc = aws_xml_parse(answer->body, answer->body_len, &err);
	if (answer->status < 200 || answer->status >= 300 || error_of(aws_xml_root(reply->doc), &ignored) != NULL) {
		read_failure(reply, answer);
		reply->unknown = reply->class == FF_E_TRANSIENT;
		return;
	}
	reply->code = ff_strdup("");
	reply->message = ff_strdup("");
	reply->root = aws_xml_root(reply->doc);
	if (reply->doc == NULL) { /* it said success, so it may have had an effect */
		reply->class = FF_E_BUG;
		reply->unknown = true;
		ff_fail(&reply->err, FF_E_BUG, "an answer that is %s", err.text);
	}
}

/* ---------------------------------------------------------------- judging */

static const char *action_of(const struct ff_ask *ask, char out[64])
{
	const char *target = ff_headers_get(&ask->headers, "X-Amz-Target"), *dot = target ? strchr(target, '.') : NULL;
	const char *body = ask->body && ff_has_prefix(ask->body, "Action=") ? ask->body + 7 : dot ? dot + 1 : "";
	size_t len = strcspn(body, "&");

	len = len < 63 ? len : 63;
	memcpy(out, body, len);
	out[len] = '\0';
	return out;
}

/*
 * Date or signature were not accepted. A wrong clock is corrected once, and the engine tries again after FF_E_AUTH;
 * with a right clock it is the secret key, or our signing.
 */
static void judge_signature(
	const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_answer *answer, struct aws_reply *reply)
{
	char text[FF_ERR_TEXT_BYTES], by[FF_TIME_BYTES];
	bool again = aws_clock_correct(cloud->login, wall_ms, answer);
	int64_t off_ms = cloud->login->offset_ms;

	memcpy(text, reply->err.text, sizeof(text));
	ff_duration(off_ms < 0 ? -off_ms : off_ms, by);
	if (again) {
		ff_fail(&reply->err, FF_E_AUTH, "this machine's clock is %s by %s; corrected for signing: %s",
			off_ms < 0 ? "ahead" : "behind", by, text);
	} else {
		ff_fail(&reply->err, reply->class, "%s; the clock %s, so the %s", text,
			off_ms ? "is corrected already" : "agrees with AWS's",
			reply->class == FF_E_AUTH ? "credentials are not accepted"
						  : "secret key or the signing is wrong");
	}
}

enum ff_class aws_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err)
{
	enum aws_service service = AWS_TAG_SERVICE(ask->tag);
	const char *retry = ff_headers_get(&answer->headers, "Retry-After");
	bool api = ff_streq(ask->method, "POST") && service != AWS_SSO;
	aws_auto_reply reply = {0};
	char action[64];

	hint->retry_after_ms = retry ? ff_retry_after_ms(retry, wall_ms) : -1;
	/* a large success is parsed once, by who asked for it */
	if (answer->transport == FF_T_OK && answer->status >= 200 && answer->status < 300)
		return FF_E_NONE;
	if (!api) { /* metadata services and SSO: JSON or plain text, no codes */
		enum ff_class class = answer->transport == FF_T_OK ? by_status(answer->status) : FF_E_TRANSIENT;

		ff_fail(err, class, "HTTP %d", answer->status);
		return class;
	}
	aws_reply_read(&reply, answer);
	if (reply.class == FF_E_NONE)
		return FF_E_NONE;
	if (aws_code_is_signature(reply.code))
		judge_signature(cloud, wall_ms, answer, &reply);
	action_of(ask, action);
	ff_fail(err, reply.err.class, "%s%s%s", action, action[0] ? ": " : "", reply.err.text);
	return reply.err.class;
}
