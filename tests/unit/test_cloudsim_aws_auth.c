/* Who may ask: signatures, clocks, tokens, roles, the metadata service. */
#include "test_cloudsim_aws_kit.h"

#define FLEET                                                                                                          \
	"{'aws':{'external_id':'ext1','web_identity_token':'eyJ.a.b','session_seconds':900,"                           \
	"'vms':[{'name':'rescue-1','id':'i-0000000000000001','os':'Linux','tags':{'fixfleet-role':'rescue'}}],"        \
	"'deny':[{'action':'ec2:StopInstances','resource':'*:instance/i-00000000000000*'},"                            \
	"{'action':'autoscaling:*'}]}}"
#define ROLE "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ffixfleet&RoleSessionName=test"

Test(cloudsim_aws_auth, the_worked_example_of_the_signing_rules_gives_its_signature)
{
	/* the same request signed by botocore gives this; nothing of the simulator was used to make it */
	static const char body[] = "Action=StopInstances&Version=2016-11-15&InstanceId.1=i-0123456789abcdef0";
	struct sim_request r = {.method = "POST", .target = "/", .body = body, .body_len = strlen(body)};
	char signature[65];

	ff_headers_add(&r.headers, "CONTENT-TYPE", " application/x-www-form-urlencoded;  charset=utf-8 ");
	ff_headers_add(&r.headers, "host", "ec2.us-east-1.amazonaws.com");
	ff_headers_add(&r.headers, "x-amz-date", "20240719T040900Z");
	ff_headers_add(&r.headers, "x-amz-security-token", "TOKEN==");
	ff_headers_add(&r.headers, "user-agent", "whatever");
	aw_sign(&r, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20240719", "us-east-1", "ec2", "20240719T040900Z",
		"content-type;host;x-amz-date;x-amz-security-token", signature);
	cr_assert_str_eq(signature, "0b41821a6928a928f31f3aae452f760c13b098d8c0e06823b85616e1eade52cd");
	ff_headers_free(&r.headers);
}

static void check_recorded(const json_t *recorded)
{
	const char *auth = ff_json_str(recorded, "headers/Authorization"), *body = ff_json_str(recorded, "body");
	struct sim_request r = {.method = "POST", .target = "/", .body = body, .body_len = strlen(body)};
	ff_auto_free char *scope = NULL, *date = NULL, *service = NULL, *names = NULL;
	char signature[65];
	const char *name;
	json_t *value;

	if (auth == NULL)
		return;
	json_object_foreach (json_object_get(recorded, "headers"), name, value)
		ff_headers_add(&r.headers, name, json_string_value(value));
	scope = ff_strdup(strstr(auth, "Credential=AKIDEXAMPLE/") + strlen("Credential=AKIDEXAMPLE/"));
	date = ff_strndup(scope, 8);
	service =
		ff_strndup(scope + strlen("20260101/us-east-1/"), strcspn(scope + strlen("20260101/us-east-1/"), "/"));
	names = ff_strndup(strstr(auth, "SignedHeaders=") + 14, strcspn(strstr(auth, "SignedHeaders=") + 14, ","));
	aw_sign(&r, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", date, "us-east-1", service,
		ff_headers_get(&r.headers, "X-Amz-Date"), names, signature);
	cr_expect_str_eq(strstr(auth, "Signature=") + 10, signature, "%s", body);
	ff_headers_free(&r.headers);
}

Test(cloudsim_aws_auth, requests_signed_by_the_official_client_verify)
{
	FILE *f = fopen(FF_SOURCE_DIR "/../shared/recorded/aws/awscli-requests.jsonl", "re");
	static char line[65536];
	int seen = 0;

	if (f == NULL)
		cr_skip_test("no recorded requests beside this project");
	while (fgets(line, sizeof(line), f) != NULL) {
		ff_auto_json json_t *recorded = ff_json_parse(line, strlen(line), sizeof(line), NULL);

		cr_assert_not_null(recorded);
		check_recorded(recorded);
		seen++;
	}
	fclose(f);
	cr_assert_gt(seen, 20);
}

Test(cloudsim_aws_auth, a_signed_request_is_answered_and_says_who_asked)
{
	struct kit k = kit_open(FLEET);

	cr_assert_eq(kit_ask(&k, STS, "GetCallerIdentity"), 200);
	must_say(&k, "GetCallerIdentityResult/Account", "123456789012");
	must_say(&k, "GetCallerIdentityResult/Arn", "arn:aws:iam::123456789012:user/fixfleet");
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Date"), "Fri, 19 Jul 2024 07:00:00 GMT");
	kit_close(&k);
}

Test(cloudsim_aws_auth, what_is_wrong_with_a_signature_is_said_in_the_services_words)
{
	static const struct {
		const char *what, *version, *key, *secret, *token, *region, *service;
		int64_t clock_ms;
		int status;
		const char *code, *words;
	} cases[] = {
		{"secret", EC2, NULL, "x", NULL, NULL, NULL, 0, 403, "SignatureDoesNotMatch",
			"signature we calculated"},
		{"secret", STS, NULL, "x", NULL, NULL, NULL, 0, 403, "SignatureDoesNotMatch",
			"signature we calculated"},
		{"key", EC2, "AKIDNOBODY", NULL, NULL, NULL, NULL, 0, 401, "AuthFailure", "not able to validate"},
		{"key", STS, "AKIDNOBODY", NULL, NULL, NULL, NULL, 0, 403, "InvalidClientTokenId", "security token"},
		{"token", EC2, NULL, NULL, "zzz", NULL, NULL, 0, 401, "AuthFailure", "not able to validate"},
		{"region", EC2, NULL, NULL, NULL, "eu-west-1", NULL, 0, 403, "SignatureDoesNotMatch", "valid region"},
		{"service", EC2, NULL, NULL, NULL, NULL, "sts", 0, 403, "SignatureDoesNotMatch",
			"correct service: 'ec2'"},
		{"late", EC2, NULL, NULL, NULL, NULL, NULL, -301000, 400, "RequestExpired", "Request has expired"},
		{"early", EC2, NULL, NULL, NULL, NULL, NULL, 301000, 400, "RequestExpired", "Request has expired"},
		{"late", STS, NULL, NULL, NULL, NULL, NULL, -301000, 403, "SignatureDoesNotMatch", "Signature expired"},
		{"early", STS, NULL, NULL, NULL, NULL, NULL, 301000, 403, "SignatureDoesNotMatch", "not yet current"},
	};
	struct kit k = kit_open(FLEET);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		k.key = cases[i].key;
		k.secret = cases[i].secret;
		k.token = cases[i].token;
		k.region = cases[i].region;
		k.service = cases[i].service;
		k.clock_ms = cases[i].clock_ms;
		kit_refused(&k, cases[i].what,
			kit_ask(&k, cases[i].version,
				ff_streq(cases[i].version, EC2) ? "DescribeInstances" : "GetCallerIdentity"),
			cases[i].status, cases[i].code, cases[i].words);
	}
	k = (struct kit){.sim = k.sim, .now = k.now, .a = k.a, .xml = k.xml, .clock_ms = 299000};
	cr_assert_eq(ec2(&k, "DescribeInstances"), 200, "less than five minutes are borne");
	k.clock_ms = -299000;
	cr_assert_eq(ec2(&k, "DescribeInstances"), 200);
	k.unsigned_request = true;
	kit_refused(&k, "none", ec2(&k, "DescribeInstances"), 403, "MissingAuthenticationToken", "missing");
	kit_close(&k);
}

Test(cloudsim_aws_auth, the_cloud_says_its_own_time_when_clocks_differ)
{
	struct kit k = kit_open("{'aws':{'clock_skew_s':3600}}");

	must_refuse(&k, "DescribeInstances", 400, "RequestExpired", "expired");
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Date"), "Fri, 19 Jul 2024 08:00:00 GMT");
	k.clock_ms = 3600000;
	must_do(&k, "DescribeInstances");
	kit_close(&k);
}

/* Headers as they came, so that one can be left out or changed. */
static int send_with(struct kit *k, const char *authorization, const char *date, const char *extra)
{
	static const char body[] = "Action=DescribeInstances&Version=2016-11-15";
	struct sim_request r = {
		.method = "POST", .base = "https://x", .target = "/", .body = body, .body_len = strlen(body)};
	int status;

	ff_headers_add(&r.headers, "Host", "x");
	ff_headers_add(&r.headers, "Content-Type", "application/x-www-form-urlencoded");
	if (authorization != NULL)
		ff_headers_add(&r.headers, "Authorization", authorization);
	if (date != NULL)
		ff_headers_add(&r.headers, "X-Amz-Date", date);
	if (extra != NULL)
		ff_headers_add(&r.headers, extra, "1");
	status = kit_send(k, &r);
	ff_headers_free(&r.headers);
	return status;
}

#define SCOPE  "Credential=" SIM_AWS_KEY "/20240719/us-east-1/ec2/aws4_request"
#define HEX64  "0000000000000000000000000000000000000000000000000000000000000000"
#define NOW    "20240719T070000Z"
#define SCHEME "AWS4-HMAC-SHA256 "

Test(cloudsim_aws_auth, a_broken_authorization_header_is_named)
{
	static const struct {
		const char *authorization, *date, *extra;
		int status;
		const char *code, *words;
	} cases[] = {
		{"Bearer x", NOW, NULL, 400, "IncompleteSignature", "Algorithm"},
		{SCHEME "SignedHeaders=host, Signature=" HEX64, NOW, NULL, 400, "IncompleteSignature", "Credential"},
		{SCHEME "Credential=A/b, SignedHeaders=host, Signature=" HEX64, NOW, NULL, 400, "IncompleteSignature",
			"Credential"},
		{SCHEME SCOPE ", Signature=" HEX64, NOW, NULL, 400, "IncompleteSignature", "SignedHeaders"},
		{SCHEME SCOPE ", SignedHeaders=host;x-amz-date", NOW, NULL, 400, "IncompleteSignature", "Signature"},
		{SCHEME SCOPE ", SignedHeaders=host;x-amz-date, Signature=" HEX64, NULL, NULL, 400,
			"IncompleteSignature", "Date must be"},
		{SCHEME SCOPE ", SignedHeaders=host;x-amz-date, Signature=" HEX64, "20240718T070000Z", NULL, 403,
			"SignatureDoesNotMatch", "Date in Credential scope"},
		{SCHEME SCOPE ", SignedHeaders=host, Signature=" HEX64, NOW, NULL, 403, "SignatureDoesNotMatch",
			"is not signed"},
		{SCHEME SCOPE ", SignedHeaders=x-amz-date;host, Signature=" HEX64, NOW, NULL, 403,
			"SignatureDoesNotMatch", "is not signed"},
		{SCHEME SCOPE ", SignedHeaders=host;x-amz-date, Signature=" HEX64, NOW, "X-Amz-Meta", 403,
			"SignatureDoesNotMatch", "is not signed"},
		{SCHEME SCOPE ", SignedHeaders=host;x-amz-date, Signature=" HEX64, NOW, NULL, 403,
			"SignatureDoesNotMatch", "we calculated"},
		{SCHEME SCOPE ", SignedHeaders=host;x-amz-date, Signature=12", NOW, NULL, 403, "SignatureDoesNotMatch",
			"we calculated"},
	};
	struct kit k = kit_open(FLEET);

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		kit_refused(&k, cases[i].authorization,
			send_with(&k, cases[i].authorization, cases[i].date, cases[i].extra), cases[i].status,
			cases[i].code, cases[i].words);
	kit_close(&k);
}

Test(cloudsim_aws_auth, what_is_denied_is_named_with_action_and_resource)
{
	struct kit k = kit_open(FLEET);

	must_refuse(&k, "StopInstances&InstanceId.1=" I("1"), 403, "UnauthorizedOperation",
		"is not authorized to perform: ec2:StopInstances on resource: "
		"arn:aws:ec2:us-east-1:123456789012:instance/i-0000000000000001");
	must_refuse(&k, "StopInstances&DryRun=true&InstanceId.1=" I("1"), 403, "UnauthorizedOperation", "ec2:Stop");
	must_refuse(&k, "StartInstances&DryRun=true&InstanceId.1=" I("1"), 412, "DryRunOperation",
		"Request would have succeeded, but DryRun flag is set.");
	must_refuse(&k, "DescribeInstances&DryRun=true", 412, "DryRunOperation", "would have");
	kit_refused(&k, "asg", kit_ask(&k, ASG, "DescribeAutoScalingInstances"), 403, "AccessDenied",
		"autoscaling:DescribeAutoScalingInstances");
	kit_close(&k);
}

/* ---- what speaks JSON */

static int json_ask(struct kit *k, const char *target, const char *service, const char *body)
{
	ff_auto_free char *text = ff_strdup(body);
	struct sim_request r = {.method = "POST",
		.base = "https://kms.us-east-1.amazonaws.com",
		.target = "/",
		.body = text,
		.body_len = strlen(text)};
	int status;

	ff_headers_add(&r.headers, "Content-Type", "application/x-amz-json-1.1");
	ff_headers_add(&r.headers, "X-Amz-Target", target);
	k->service = service;
	kit_sign(k, &r, "");
	status = kit_send(k, &r);
	k->service = NULL;
	ff_headers_free(&r.headers);
	return status;
}

#define KEY(n) "arn:aws:kms:us-east-1:123456789012:key/" n

Test(cloudsim_aws_auth, keys_have_the_state_that_the_scenario_gives_them)
{
	static const struct {
		const char *service, *body;
		int status;
		const char *said;
	} cases[] = {
		{"kms", "{\"KeyId\":\"" KEY("off") "\"}", 200, "\"KeyState\":\"Disabled\""},
		{"kms", "{\"KeyId\":\"" KEY("any") "\"}", 200, "\"KeyState\":\"Enabled\""},
		{"kms", "{\"KeyId\":\"" KEY("gone") "\"}", 400, "\"__type\":\"NotFoundException\""},
		{"kms", "{\"KeyId\":\"arn:aws:kms:eu-west-1:1:key/k\"}", 400, "\"__type\":\"NotFoundException\""},
		{"kms", "{\"KeyId\":\"" KEY("mine") "\"}", 400, "\"__type\":\"AccessDeniedException\""},
		{"kms", "{}", 400, "\"__type\":\"ValidationException\""},
		{"ec2", "{\"KeyId\":\"" KEY("off") "\"}", 400, "\"__type\":\"InvalidSignatureException\""},
	};
	struct kit k = kit_open("{'aws':{'keys':{'" KEY("off") "':'Disabled','" KEY(
		"gone") "':'missing'},'vms':[{'name':'a'}],"
			"'deny':[{'action':'kms:DescribeKey','resource':'*key/mine'}]}}");

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		int status = json_ask(&k, "TrentService.DescribeKey", cases[i].service, cases[i].body);

		cr_expect_eq(status, cases[i].status, "%zu: %d", i, status);
		cr_expect(k.a.body != NULL && strstr(k.a.body, cases[i].said) != NULL, "%zu: %s", i, k.a.body);
	}
	kit_close(&k);
}

/* ---- roles */

/* Take the credentials of the answer over. Their texts stay with the caller. */
static void use(struct kit *k, const char *result, char *texts[3])
{
	static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken"};

	for (size_t i = 0; i < 3; i++) {
		ff_auto_free char *path = ff_printf("%s/Credentials/%s", result, names[i]);

		texts[i] = kit_text(k, path);
		cr_assert_not_null(texts[i]);
	}
	k->key = texts[0];
	k->secret = texts[1];
	k->token = texts[2];
}

Test(cloudsim_aws_auth, an_assumed_role_has_credentials_that_end)
{
	struct kit k = kit_open(FLEET);
	char *texts[3];

	kit_refused(&k, "no external id", kit_ask(&k, STS, "AssumeRole&" ROLE), 403, "AccessDenied",
		"is not authorized to perform: sts:AssumeRole");
	kit_refused(&k, "another role",
		kit_ask(&k, STS,
			"AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fadmin&RoleSessionName=test&"
			"ExternalId=ext1"),
		403, "AccessDenied", "role/admin");
	kit_refused(&k, "too short", kit_ask(&k, STS, "AssumeRole&ExternalId=ext1&DurationSeconds=899&" ROLE), 400,
		"ValidationError", "durationSeconds");
	kit_refused(
		&k, "no name", kit_ask(&k, STS, "AssumeRole&RoleArn=x"), 400, "MissingParameter", "RoleSessionName");
	kit_refused(&k, "odd name", kit_ask(&k, STS, "AssumeRole&RoleArn=x&RoleSessionName=a%20b"), 400,
		"ValidationError", "roleSessionName");
	cr_assert_eq(kit_ask(&k, STS, "AssumeRole&ExternalId=ext1&" ROLE), 200);
	must_say(&k, "AssumeRoleResult/Credentials/Expiration", "2024-07-19T07:15:00.000Z");
	use(&k, "AssumeRoleResult", texts);
	cr_assert_eq(kit_ask(&k, STS, "GetCallerIdentity"), 200);
	must_say(&k, "GetCallerIdentityResult/Arn", "arn:aws:sts::123456789012:assumed-role/fixfleet/test");
	k.token = "other";
	must_refuse(&k, "DescribeInstances", 401, "AuthFailure", "not able");
	k.token = NULL;
	must_refuse(&k, "DescribeInstances", 401, "AuthFailure", "not able");
	k.token = texts[2];
	k.now += 899000;
	must_do(&k, "DescribeInstances");
	k.now += 1000;
	must_refuse(&k, "DescribeInstances", 403, "ExpiredToken", "is expired");
	for (size_t i = 0; i < 3; i++)
		free(texts[i]);
	kit_close(&k);
}

Test(cloudsim_aws_auth, a_web_identity_needs_no_signature)
{
	struct kit k = kit_open(FLEET);
	char *texts[3];

	k.unsigned_request = true;
	kit_refused(&k, "token", kit_ask(&k, STS, "AssumeRoleWithWebIdentity&WebIdentityToken=eyJ.x.y&" ROLE), 400,
		"InvalidIdentityToken", "OpenIDConnect");
	kit_refused(&k, "no token", kit_ask(&k, STS, "AssumeRoleWithWebIdentity&" ROLE), 400, "MissingParameter",
		"WebIdentityToken");
	cr_assert_eq(kit_ask(&k, STS, "AssumeRoleWithWebIdentity&WebIdentityToken=eyJ.a.b&" ROLE), 200);
	use(&k, "AssumeRoleWithWebIdentityResult", texts);
	k.unsigned_request = false;
	must_do(&k, "DescribeInstances");
	for (size_t i = 0; i < 3; i++)
		free(texts[i]);
	kit_close(&k);
}

/* ---- the metadata service */

static int imds(struct kit *k, const char *method, const char *target, const char *header, const char *value)
{
	struct sim_request r = {.method = method, .base = "http://169.254.169.254", .target = target};
	int status;

	if (header != NULL)
		ff_headers_add(&r.headers, header, value);
	status = kit_send(k, &r);
	ff_headers_free(&r.headers);
	return status;
}

#define TTL	    "X-aws-ec2-metadata-token-ttl-seconds"
#define TOKEN	    "X-aws-ec2-metadata-token"
#define CREDENTIALS "/latest/meta-data/iam/security-credentials/"

Test(cloudsim_aws_auth, the_metadata_service_wants_a_session)
{
	struct kit k = kit_open(FLEET);
	ff_auto_free char *token = NULL;
	ff_auto_json json_t *keys = NULL;

	cr_assert_eq(imds(&k, "GET", CREDENTIALS, NULL, NULL), 401);
	cr_assert_eq(imds(&k, "GET", CREDENTIALS, TOKEN, "guess"), 401);
	cr_assert_eq(imds(&k, "PUT", "/latest/api/token", NULL, NULL), 400);
	cr_assert_eq(imds(&k, "PUT", "/latest/api/token", TTL, "21601"), 400);
	cr_assert_eq(imds(&k, "PUT", "/latest/api/token", "X-Forwarded-For", "1.2.3.4"), 403);
	cr_assert_eq(imds(&k, "GET", "/latest/api/token", NULL, NULL), 405);
	cr_assert_eq(imds(&k, "PUT", "/latest/api/token", TTL, "60"), 200);
	token = ff_strdup(k.a.body);
	cr_assert_eq(imds(&k, "GET", CREDENTIALS, TOKEN, token), 200);
	cr_assert_str_eq(k.a.body, "fixfleet");
	cr_assert_eq(imds(&k, "GET", CREDENTIALS "nobody", TOKEN, token), 404);
	cr_assert_eq(imds(&k, "GET", "/latest/meta-data/instance-id", TOKEN, token), 200);
	cr_assert_str_eq(k.a.body, I("1"));
	cr_assert_eq(imds(&k, "GET", "/latest/meta-data/placement/region", TOKEN, token), 200);
	cr_assert_str_eq(k.a.body, "us-east-1");
	cr_assert_eq(imds(&k, "GET", CREDENTIALS "fixfleet", TOKEN, token), 200);
	keys = ff_json_parse(k.a.body, k.a.body_len, 65536, NULL);
	k.key = ff_json_str(keys, "AccessKeyId");
	k.secret = ff_json_str(keys, "SecretAccessKey");
	k.token = ff_json_str(keys, "Token");
	must_do(&k, "DescribeInstances");
	k.now += 60000;
	cr_assert_eq(imds(&k, "GET", CREDENTIALS, TOKEN, token), 401, "the session has ended");
	kit_close(&k);
}

Test(cloudsim_aws_auth, version_1_of_the_metadata_service_only_where_the_scenario_has_it)
{
	struct kit k = kit_open("{'aws':{'imds_v1':true,'role':'other','vms':[{'name':'a'}]}}");

	cr_assert_eq(imds(&k, "GET", CREDENTIALS, NULL, NULL), 200);
	cr_assert_str_eq(k.a.body, "other");
	kit_close(&k);
}
