#include "test_aws.h"

/* Codes and texts of the real service, see the table of errors in the facts. */
static const struct {
	int status;
	const char *code, *message;
	enum ff_class class;
} cases[] = {
	{503, "RequestLimitExceeded", "Request limit exceeded.", FF_E_THROTTLED},
	{503, "EC2ThrottledException", "", FF_E_THROTTLED},
	{400, "Throttling", "Rate exceeded", FF_E_THROTTLED},
	{400, "ThrottlingException", "", FF_E_THROTTLED},
	{400, "ThrottledException", "", FF_E_THROTTLED},
	{400, "RequestThrottled", "", FF_E_THROTTLED},
	{400, "RequestThrottledException", "", FF_E_THROTTLED},
	{400, "TooManyRequestsException", "", FF_E_THROTTLED},
	{400, "PriorRequestNotComplete", "", FF_E_THROTTLED},
	{400, "SnapshotCreationPerVolumeRateExceeded", "The maximum per volume CreateSnapshot request rate",
		FF_E_THROTTLED},
	{400, "ConcurrentSnapshotLimitExceeded", "", FF_E_THROTTLED},
	{429, "", "", FF_E_THROTTLED},
	{509, "", "", FF_E_THROTTLED},
	{500, "InternalError", "", FF_E_TRANSIENT},
	{500, "", "", FF_E_TRANSIENT},
	{502, "", "", FF_E_TRANSIENT},
	{503, "Unavailable", "", FF_E_TRANSIENT},
	{504, "", "", FF_E_TRANSIENT},
	{400, "RequestTimeout", "", FF_E_TRANSIENT},
	{500, "ResourceContention", "", FF_E_TRANSIENT},
	{500, "InsufficientInstanceCapacity", "Insufficient capacity.", FF_E_TRANSIENT},
	{400, "InsufficientHostCapacity", "", FF_E_TRANSIENT},
	{400, "IDPCommunicationError", "", FF_E_TRANSIENT},
	{400, "IncorrectState", "Volume 'vol-1' is in the 'available' state.", FF_E_CONFLICT},
	{400, "IncorrectState", "Unable to detach root volume 'vol-1' from instance 'i-1'", FF_E_CONFLICT},
	{400, "VolumeInUse", "vol-1 is already attached to an instance", FF_E_CONFLICT},
	{400, "InvalidParameterValue",
		"Invalid value '/dev/sdf' for unixDevice. Attachment point /dev/sdf is already in use", FF_E_CONFLICT},
	{400, "InvalidParameterValue", "Instance does not have a volume attached at root (/dev/sda1)", FF_E_PERMANENT},
	{400, "AttachmentLimitExceeded", "You may attach up to 27 devices for this instance type.", FF_E_CONFLICT},
	{400, "IncorrectInstanceState", "The instance 'i-1' is not in a state from which it can be started.",
		FF_E_CONFLICT},
	{400, "IncorrectInstanceState", "Cannot attach volume 'vol-1' with Marketplace codes as the instance 'i-1'",
		FF_E_PERMANENT},
	{400, "OperationNotPermitted", "The instance 'i-1' may not be stopped.", FF_E_PERMANENT},
	{400, "InvalidVolume.ZoneMismatch", "", FF_E_PERMANENT},
	{400, "InvalidInstanceID.NotFound", "", FF_E_GONE},
	{400, "InvalidVolume.NotFound", "The volume 'vol-1' does not exist.", FF_E_GONE},
	{400, "InvalidSnapshot.NotFound", "", FF_E_GONE},
	{400, "InvalidInstanceID.Malformed", "Invalid id: \"foobar\"", FF_E_PERMANENT},
	{400, "InvalidParameterCombination", "", FF_E_PERMANENT},
	{400, "UnsupportedOperation", "", FF_E_PERMANENT},
	{401, "OptInRequired", "", FF_E_AUTH},
	{403, "Blocked", "", FF_E_DENIED},
	{403, "UnauthorizedOperation", "You are not authorized", FF_E_DENIED},
	{403, "AccessDenied", "", FF_E_DENIED},
	{400, "AccessDeniedException", "", FF_E_DENIED},
	{401, "AuthFailure", "", FF_E_AUTH},
	{403, "InvalidClientTokenId", "", FF_E_AUTH},
	{403, "UnrecognizedClientException", "", FF_E_AUTH},
	{403, "ExpiredToken", "", FF_E_AUTH},
	{400, "ExpiredTokenException", "", FF_E_AUTH},
	{400, "RequestExpired", "", FF_E_AUTH},
	{403, "SignatureDoesNotMatch", "", FF_E_DENIED},
	{412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", FF_E_NONE},
	{200, "", "", FF_E_NONE},
	{200, "SomethingNew", "", FF_E_PERMANENT},
	{400, "SomethingNew", "", FF_E_PERMANENT},
	{302, "", "", FF_E_PERMANENT},
	{403, "", "", FF_E_DENIED},
	{404, "", "", FF_E_GONE},
};

Test(aws_errors, the_code_decides_and_the_status_where_there_is_none)
{
	for (size_t i = 0; i < FF_COUNT(cases); i++)
		cr_expect_eq(aws_classify(cases[i].status, cases[i].code, cases[i].message), cases[i].class,
			"%d %s: %s", cases[i].status, cases[i].code,
			ff_class_name(aws_classify(cases[i].status, cases[i].code, cases[i].message)));
}

static enum ff_class judge(
	struct ff_cloud *cloud, int status, const char *body, const char *date, int64_t wall_ms, struct ff_err *err)
{
	struct ff_ask ask;
	struct ff_answer answer;
	struct ff_hint hint;
	enum ff_class class;
	struct ff_buf form = {0};

	*err = (struct ff_err){0};
	aws_form(&form, AWS_EC2, "StopInstances");
	aws_ask(cloud, &ask, AWS_EC2, AWS_Q_STEP, &form);
	answer_with(&answer, status, body);
	if (date != NULL)
		ff_headers_add(&answer.headers, "Date", date);
	class = ff_aws.judge(cloud, wall_ms, &ask, &answer, &hint, err);
	ff_answer_release(&answer, false);
	ff_ask_release(&ask);
	return class;
}

#define EC2_ERROR(code, message)                                                                                       \
	"<?xml version=\"1.0\"?><Response><Errors><Error><Code>" code "</Code><Message>" message                       \
	"</Message></Error></Errors><RequestID>req-1</RequestID></Response>"

Test(aws_errors, the_sentence_names_action_code_and_request)
{
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err;
	ff_auto_buf policy = {0};

	cr_expect_eq(
		judge(cloud, 403, EC2_ERROR("UnauthorizedOperation", "You are not authorized\x1b[31m"), NULL, 0, &err),
		FF_E_DENIED);
	cr_expect_eq(judge(cloud, 403, EC2_ERROR("UnauthorizedOperation", "You are not authorized"), NULL, 0, &err),
		FF_E_DENIED);
	cr_expect_str_eq(err.text, "StopInstances: UnauthorizedOperation: You are not authorized (request req-1)");
	cr_expect_eq(judge(cloud, 500, "<html>oops", NULL, 0, &err), FF_E_TRANSIENT);
	cr_expect_str_eq(err.text, "StopInstances: HTTP 500 from AWS");
	cr_expect_eq(judge(cloud, 403,
			     "<ErrorResponse xmlns='x'><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate "
			     "exceeded"
			     "</Message></Error><RequestId>r</RequestId></ErrorResponse>",
			     NULL, 0, &err),
		FF_E_THROTTLED);
	ff_buf_adds(&policy, "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>");
	for (int i = 0; i < 3000; i++)
		ff_buf_adds(&policy, "x");
	ff_buf_adds(&policy, "</Message></Error></Errors></Response>");
	cr_expect_eq(judge(cloud, 403, policy.text, NULL, 0, &err), FF_E_DENIED);
	cr_expect_lt(strlen(err.text), 600);
	cr_expect_eq(judge(cloud, 200, "<StopInstancesResponse/>", NULL, 0, &err), FF_E_NONE);
	ff_aws.close(cloud);
}

Test(aws_errors, services_that_speak_json_are_judged_by_their_codes_too)
{
	static const struct {
		int status;
		const char *body;
		enum ff_class class;
		const char *text;
	} answers[] = {
		{400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}", FF_E_THROTTLED,
			"DescribeKey: ThrottlingException: Rate exceeded"},
		{400, "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\",\"message\":\"m\"}", FF_E_AUTH,
			"DescribeKey: ExpiredTokenException: m"},
		{400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"User: x\"}", FF_E_DENIED,
			"DescribeKey: AccessDeniedException: User: x"},
		{400, "{\"__type\":\"NotFoundException\",\"message\":\"Key 'k' does not exist\"}", FF_E_PERMANENT,
			"DescribeKey: NotFoundException: Key 'k' does not exist"},
		{500, "{\"__type\":\"KMSInternalException\"}", FF_E_TRANSIENT, "DescribeKey: KMSInternalException"},
		{503, "<html>", FF_E_TRANSIENT, "DescribeKey: HTTP 503 from AWS"},
		{200, "{}", FF_E_NONE, ""},
	};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(answers); i++) {
		struct ff_ask ask;
		struct ff_answer answer;
		struct ff_hint hint;
		struct ff_err err = {0};

		aws_key_ask(cloud, "k", &ask);
		answer_with(&answer, answers[i].status, answers[i].body);
		cr_expect_eq(
			ff_aws.judge(cloud, 0, &ask, &answer, &hint, &err), answers[i].class, "%zu: %s", i, err.text);
		cr_expect_str_eq(err.text, answers[i].text);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
	}
	ff_aws.close(cloud);
}

static char *signed_date(struct ff_cloud *cloud, int64_t wall_ms)
{
	struct ff_ask ask;
	struct ff_buf form = {0};
	char *date;

	aws_form(&form, AWS_EC2, "StopInstances");
	aws_ask(cloud, &ask, AWS_EC2, AWS_Q_STEP, &form);
	cr_assert_eq(ff_aws.sign(cloud, wall_ms, &ask, NULL), 0);
	date = ff_strdup(ff_headers_get(&ask.headers, "X-Amz-Date"));
	ff_ask_release(&ask);
	return date;
}

Test(aws_errors, a_wrong_clock_is_corrected_once_and_then_the_signing_is_blamed)
{
	static const char *const codes[] = {EC2_ERROR("RequestExpired", "Request has expired."),
		EC2_ERROR("SignatureDoesNotMatch", "The request signature"),
		EC2_ERROR("AuthFailure", "not able to validate")};

	for (size_t i = 0; i < FF_COUNT(codes); i++) {
		struct ff_scope_options options = {0};
		struct ff_cloud *cloud = signed_in(&options);
		ff_auto_free char *date = NULL;
		struct ff_err err;

		/* the machine says 03:59, AWS says 06:59 */
		cr_expect_eq(judge(cloud, 403, codes[i], "Fri, 19 Jul 2024 06:59:00 GMT", WALL_MS, &err), FF_E_AUTH);
		cr_expect(strstr(err.text, "clock is behind by 3h00m") != NULL, "%s", err.text);
		date = signed_date(cloud, WALL_MS + 1000);
		cr_expect_str_eq(date, "20240719T065901Z");
		/* one that was under way with the old clock */
		cr_expect_eq(
			judge(cloud, 403, codes[i], "Fri, 19 Jul 2024 06:59:02 GMT", WALL_MS + 2000, &err), FF_E_AUTH);
		cr_expect_eq(cloud->login->offset_ms, 3 * 3600 * 1000);
		/* much later it is not the clock any more */
		(void)judge(cloud, 403, codes[i], "Fri, 19 Jul 2024 07:59:00 GMT", WALL_MS + 3600000, &err);
		cr_expect(strstr(err.text, "the clock is corrected already") != NULL, "%s", err.text);
		cr_expect_eq(err.class, i == 1 ? FF_E_DENIED : FF_E_AUTH);
		ff_aws.close(cloud);
	}
}

Test(aws_errors, with_a_right_clock_a_wrong_signature_is_denied_at_once)
{
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err;

	cr_expect_eq(judge(cloud, 403, EC2_ERROR("SignatureDoesNotMatch", "no"), "Fri, 19 Jul 2024 03:59:30 GMT",
			     WALL_MS, &err),
		FF_E_DENIED);
	cr_expect(strstr(err.text, "the clock agrees with AWS's, so the secret key or the signing is wrong") != NULL,
		"%s", err.text);
	cr_expect_eq(judge(cloud, 403, EC2_ERROR("SignatureDoesNotMatch", "no"), NULL, WALL_MS, &err), FF_E_DENIED);
	cr_expect_eq(cloud->login->offset_ms, 0);
	ff_aws.close(cloud);
}

Test(aws_errors, a_role_is_assumed_with_the_corrected_clock)
{
	struct pairs env = {{"HOME", "/h", "AWS_REGION", "us-east-1", "AWS_PROFILE", "a", NULL}};
	static const char config[] =
		"[profile a]\nrole_arn=arn:a\nsource_profile=a\naws_access_key_id=A\naws_secret_access_key=s\n";
	struct ff_scope_options options = {0};
	struct ff_err err = {0};
	struct ff_cloud *cloud = open_aws(&options, &env, &err);
	char dates[3][32] = {"", "", ""};
	unsigned n = 0;

	ff_aws.login_reset(cloud);
	for (;;) {
		struct ff_ask ask = {0};
		struct ff_answer answer;

		if (ff_aws.login_next(cloud, WALL_MS, &ask, &err) != FF_TURN_ASK)
			break;
		if (ask.kind == FF_ASK_FILE) {
			answer_with(&answer, 0, strstr(ask.path, "config") ? config : "");
		} else {
			cr_assert_lt(n, 3);
			snprintf(dates[n++], sizeof(dates[0]), "%s", ff_headers_get(&ask.headers, "X-Amz-Date"));
			answer_with(&answer, 403,
				"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature "
				"expired</Message></Error>"
				"</ErrorResponse>");
			ff_headers_add(&answer.headers, "Date", "Fri, 19 Jul 2024 02:59:00 GMT");
		}
		ff_aws.login_read(cloud, WALL_MS, &ask, &answer);
		ff_ask_release(&ask);
		ff_answer_release(&answer, true);
	}
	cr_expect_eq(n, 2);
	cr_expect_str_eq(dates[0], "20240719T035900Z");
	cr_expect_str_eq(dates[1], "20240719T025900Z");
	cr_expect_eq(err.class, FF_E_AUTH);
	cr_expect(strstr(err.text, "SignatureDoesNotMatch") != NULL, "%s", err.text);
	ff_aws.close(cloud);
}

Test(aws_errors, recorded_answers_of_the_real_service_are_read_rightly)
{
	static const struct {
		const char *file;
		enum ff_class class;
		const char *code;
	} recorded[] = {
		{"recorded/aws/ec2-xml/test_ebs_force_delete__DescribeVolumes_3.http400.xml", FF_E_GONE,
			"InvalidVolume.NotFound"},
		{"recorded/aws/ec2-xml/test_ec2_stop_with_protection_enabled__StopInstances_1.http400.xml",
			FF_E_PERMANENT, "OperationNotPermitted"},
	};

	for (size_t i = 0; i < FF_COUNT(recorded); i++) {
		ff_auto_free char *text = shared_text(recorded[i].file);
		aws_auto_reply reply = {0};
		struct ff_answer answer;

		if (text == NULL)
			cr_skip_test("no ../shared/recorded/aws");
		answer_with(&answer, 400, text);
		aws_reply_read(&reply, &answer);
		cr_expect_eq(reply.class, recorded[i].class);
		cr_expect_str_eq(reply.code, recorded[i].code);
		ff_answer_release(&answer, false);
	}
}

Test(aws_errors, every_request_draws_on_the_bucket_of_its_action)
{
	static const struct {
		const char *action, *more;
		const char *key;
		double capacity, refill;
	} costs[] = {
		{"StartInstances", "", "aws/123456789012/us-east-1/StartInstances", 5, 2},
		{"StopInstances", "", "aws/123456789012/us-east-1/StopInstances", 50, 5},
		{"CreateSnapshot", "", "aws/123456789012/us-east-1/CreateSnapshot", 100, 5},
		{"CreateTags", "", "aws/123456789012/us-east-1/CreateTags", 100, 10},
		{"AttachVolume", "", "aws/123456789012/us-east-1/AttachVolume", 50, 5},
		{"ModifyInstanceAttribute", "", "aws/123456789012/us-east-1/ModifyInstanceAttribute", 50, 5},
		{"DescribeInstances", "", "aws/123456789012/us-east-1/DescribeInstances/unfiltered", 50, 10},
		{"DescribeVolumes", "", "aws/123456789012/us-east-1/DescribeVolumes/unfiltered", 50, 10},
		{"DescribeInstances", "MaxResults", "aws/123456789012/us-east-1/DescribeInstances", 100, 20},
		{"DescribeInstances", "Filter.1.Name", "aws/123456789012/us-east-1/DescribeInstances", 100, 20},
		{"DescribeInstanceTypes", "", "aws/123456789012/us-east-1/DescribeInstanceTypes", 100, 20},
	};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(costs); i++) {
		struct ff_buf form = {0};
		struct ff_ask ask;

		aws_form(&form, AWS_EC2, costs[i].action);
		if (costs[i].more[0] != '\0')
			ff_form_add(&form, costs[i].more, "1");
		aws_ask(cloud, &ask, AWS_EC2, AWS_Q_STEP, &form);
		cr_expect_eq(ask.cost_count, 1);
		cr_expect_str_eq(ask.costs[0].key, costs[i].key);
		cr_expect_eq(ask.costs[0].capacity, costs[i].capacity);
		cr_expect_eq(ask.costs[0].refill_per_s, costs[i].refill);
		ff_ask_release(&ask);
	}
	ff_aws.close(cloud);
}

Test(aws_errors, a_refusal_that_cannot_be_read_is_asked_again)
{
	static const struct {
		const char *body;
		enum ff_class class;
	} unread[] = {
		{"\x11Response><Errors", FF_E_TRANSIENT},
		{"{\"__type\":", FF_E_TRANSIENT},
		{"{\"__type\":\"ValidationException\"}", FF_E_PERMANENT},
		{"", FF_E_PERMANENT},
	};

	for (size_t i = 0; i < FF_COUNT(unread); i++) {
		struct ff_answer answer = {
			.status = 400, .body = (char *)unread[i].body, .body_len = strlen(unread[i].body)};
		aws_auto_reply reply = {0};

		aws_reply_read(&reply, &answer);
		cr_expect_eq(reply.class, unread[i].class, "%s", unread[i].body);
	}
}
