#include "test_aws.h"

#define ROLE_ANSWER                                                                                                    \
	"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>"                       \
	"<SecretAccessKey>rolesecret</SecretAccessKey><SessionToken>roletoken</SessionToken>"                          \
	"<Expiration>2024-07-19T04:59:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
#define WEB_ANSWER                                                                                                     \
	"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"                            \
	"<AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>websecret</SecretAccessKey><SessionToken>webtoken"         \
	"</SessionToken><Expiration>2024-07-19T04:14:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>" \
	"</AssumeRoleWithWebIdentityResponse>"
#define JSON_KEYS(id, token)                                                                                           \
	"{\"Code\":\"Success\",\"Version\":1,\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"s\",\"" token            \
	"\":\"t\",\"Expiration\":\"2024-07-19T09:59:00Z\"}"
#define R	    "AWS_REGION", "us-east-1", "HOME", "/h"
#define CONFIG	    "/h/.aws/config"
#define CREDENTIALS "/h/.aws/credentials"

/* Which keys come out (access key, token or "-"), by which name, after which questions (a part of the list). */
static const struct chain_case {
	const char *what;
	struct ff_scope_options options;
	struct pairs env, files, web;
	const char *key, *token, *name, *asked;
} chain_cases[] = {
	{"environment first", {0},
		{{R, "AWS_ACCESS_KEY_ID", "AKENV", "AWS_SECRET_ACCESS_KEY", "s", "AWS_SESSION_TOKEN", "t",
			"AWS_WEB_IDENTITY_TOKEN_FILE", "/tok", NULL}},
		{{CREDENTIALS, "[default]\naws_access_key_id=AKFILE\naws_secret_access_key=s\n", NULL}}, {{NULL}},
		"AKENV", "t", "environment (AWS_ACCESS_KEY_ID)", NULL},
	{"an explicit profile passes the environment over", {.profile = "p"},
		{{R, "AWS_ACCESS_KEY_ID", "AKENV", "AWS_SECRET_ACCESS_KEY", "s", "AWS_WEB_IDENTITY_TOKEN_FILE", "/tok",
			NULL}},
		{{CREDENTIALS, "[p]\naws_access_key_id=AKFILE\naws_secret_access_key=s\naws_session_token=t2\n", NULL}},
		{{NULL}}, "AKFILE", "t2", "keys in the credentials file of profile 'p'", NULL},
	{"AWS_PROFILE does not", {0},
		{{R, "AWS_ACCESS_KEY_ID", "AKENV", "AWS_SECRET_ACCESS_KEY", "s", "AWS_PROFILE", "p", NULL}},
		{{CREDENTIALS, "[p]\naws_access_key_id=AKFILE\naws_secret_access_key=s\n", NULL}}, {{NULL}}, "AKENV",
		"-", "environment (AWS_ACCESS_KEY_ID)", NULL},
	{"a role before web identity and keys", {0},
		{{R, "AWS_WEB_IDENTITY_TOKEN_FILE", "/tok", "AWS_ROLE_ARN", "arn:web", NULL}},
		{{CONFIG,
			"[default]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=base\nexternal_id=e "
			"1\nduration_seconds=900\n"
			"role_session_name=me\n",
			CREDENTIALS, "[base]\naws_access_key_id=AKBASE\naws_secret_access_key=s\n", NULL}},
		{{"AssumeRole&", ROLE_ANSWER, NULL}}, "ASIAROLE", "roletoken",
		"role 'arn:aws:iam::1:role/x' of profile 'default', from keys in the credentials file of profile "
		"'base'",
		"POST https://sts.us-east-1.amazonaws.com/ "
		"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3A"
		"role%2Fx&RoleSessionName=me&ExternalId=e%201&DurationSeconds=900\n"},
	{"roles assumed one after the other", {0}, {{R, "AWS_PROFILE", "a", NULL}},
		{{CONFIG,
			"[profile a]\nrole_arn=arn:a\nsource_profile=b\n[profile b]\nrole_arn=arn:b\nsource_profile=c\n"
			"[profile c]\naws_access_key_id=AKC\naws_secret_access_key=s\n",
			NULL}},
		{{"AssumeRole&", ROLE_ANSWER, NULL}}, "ASIAROLE", "roletoken",
		"role 'arn:a' of profile 'a', from keys in the config file of profile 'c'",
		"RoleArn=arn%3Ab&RoleSessionName=fixfleet\nPOST https://sts.us-east-1.amazonaws.com/ "
		"Action=AssumeRole&Version=2011-"
		"06-15&RoleArn=arn%3Aa&RoleSessionName=fixfleet\n"},
	{"a profile with keys may be its own source", {0}, {{R, NULL}},
		{{CREDENTIALS,
			"[default]\nrole_arn=arn:a\nsource_profile=default\naws_access_key_id=AKC\naws_secret_access_"
			"key=s\n",
			NULL}},
		{{"AssumeRole&", ROLE_ANSWER, NULL}}, "ASIAROLE", "roletoken",
		"role 'arn:a' of profile 'default', from keys in the credentials file of profile 'default'", NULL},
	{"credential_source Environment", {.profile = "a"},
		{{R, "AWS_ACCESS_KEY_ID", "AKENV", "AWS_SECRET_ACCESS_KEY", "s", NULL}},
		{{CONFIG, "[profile a]\nrole_arn=arn:a\ncredential_source=Environment\n", NULL}},
		{{"AssumeRole&", ROLE_ANSWER, NULL}}, "ASIAROLE", "roletoken",
		"role 'arn:a' of profile 'a', from environment", NULL},
	{"web identity by the environment", {0},
		{{R, "AWS_WEB_IDENTITY_TOKEN_FILE", "/tok", "AWS_ROLE_ARN", "arn:web", "AWS_ROLE_SESSION_NAME", "sess",
			NULL}},
		{{"/tok", "eyJ.x\n", CREDENTIALS, "[default]\naws_access_key_id=AKFILE\naws_secret_access_key=s\n",
			NULL}},
		{{"WithWebIdentity", WEB_ANSWER, NULL}}, "ASIAWEB", "webtoken",
		"web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
		"file /tok\nPOST https://sts.us-east-1.amazonaws.com/ "
		"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"
		"RoleArn=arn%3Aweb&RoleSessionName=sess&WebIdentityToken=eyJ.x\n"},
	{"web identity by the profile", {.profile = "w"}, {{R, NULL}},
		{{CONFIG, "[profile w]\nrole_arn=arn:w\nweb_identity_token_file=/tok\n", "/tok", "eyJ", NULL}},
		{{"WithWebIdentity", WEB_ANSWER, NULL}}, "ASIAWEB", "webtoken", "web identity of profile 'w'",
		"RoleArn=arn%3Aw&RoleSessionName=fixfleet&WebIdentityToken=eyJ\n"},
	{"single sign-on by session", {.profile = "s"}, {{R, NULL}},
		{{CONFIG,
			"[profile s]\nsso_session=my-sso\nsso_account_id=1234\nsso_role_name=r w\n[sso-session "
			"my-sso]\n"
			"sso_region=eu-west-1\nsso_start_url=https://x\n",
			/* sha1("my-sso") */
			"/h/.aws/sso/cache/0ad374308c5a4e22f723adf10145eafad7c4031c.json",
			"{\"accessToken\":\"at\",\"expiresAt\":\"2024-07-19T05:00:00Z\"}", NULL}},
		{{"portal.sso.eu-west-1.amazonaws.com/federation/credentials?role_name=r%20w&account_id=1234",
			"{\"roleCredentials\":{\"accessKeyId\":\"ASIASSO\",\"secretAccessKey\":\"s\",\"sessionToken\":"
			"\"t\","
			"\"expiration\":1721368740000}}",
			NULL}},
		"ASIASSO", "t", "single sign-on of profile 's'", NULL},
	{"the credentials file before credential_process", {0}, {{R, NULL}},
		{{CONFIG, "[default]\ncredential_process=/bin/p\n", CREDENTIALS,
			"[default]\naws_access_key_id=AKFILE\naws_secret_access_key=s\n", NULL}},
		{{NULL}}, "AKFILE", "-", "keys in the credentials file of profile 'default'", NULL},
	{"credential_process before keys in the config file", {0}, {{R, NULL}},
		{{CONFIG,
			"[default]\ncredential_process = '/bin/p q' --x \"a "
			"b\"\naws_access_key_id=AKCONF\naws_secret_access_key=s\n",
			NULL}},
		{{"/bin/p q", JSON_KEYS("AKPROC", "SessionToken"), NULL}}, "AKPROC", "t",
		"credential_process of profile 'default'", "exec </bin/p q> <--x> <a b>\n"},
	{"keys in the config file", {0}, {{R, NULL}},
		{{CONFIG, "[default]\naws_access_key_id=AKCONF\naws_secret_access_key=s\n", NULL}}, {{NULL}}, "AKCONF",
		"-", "keys in the config file of profile 'default'", NULL},
	{"the container before the instance", {0},
		{{R, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "tk",
			NULL}},
		{{NULL}}, {{"http://169.254.170.2/v2/x", JSON_KEYS("AKCONT", "Token"), NULL}}, "AKCONT", "t",
		"container (AWS_CONTAINER_CREDENTIALS_*)", "GET http://169.254.170.2/v2/x \n"},
	{"the container's token file", {0},
		{{R, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/c",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/ct", NULL}},
		{{"/ct", "tk", NULL}}, {{"http://169.254.170.23/c", JSON_KEYS("AKCONT", "Token"), NULL}}, "AKCONT", "t",
		"container (AWS_CONTAINER_CREDENTIALS_*)", "file /ct\nGET http://169.254.170.23/c \n"},
	{"instance metadata, version 2, region too", {0}, {{"HOME", "/h", NULL}}, {{NULL}},
		{{"/latest/api/token", "tok/==", "placement/region", "eu-central-1", "security-credentials/my-role",
			JSON_KEYS("AKIMDS", "Token"), "security-credentials/", "my-role\n", NULL}},
		"AKIMDS", "t", "instance metadata",
		"PUT http://169.254.169.254/latest/api/token \n"
		"GET http://169.254.169.254/latest/meta-data/placement/region \n"
		"GET http://169.254.169.254/latest/meta-data/iam/security-credentials/ \n"
		"GET http://169.254.169.254/latest/meta-data/iam/security-credentials/my-role \n"},
	{"instance metadata, version 1, another endpoint", {0},
		{{R, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/", NULL}}, {{NULL}},
		{{"/latest/api/token", "!404", "security-credentials/r1", JSON_KEYS("AKIMDS", "Token"),
			"security-credentials/", "r1", NULL}},
		"AKIMDS", "t", "instance metadata",
		"GET http://127.0.0.1:1338/latest/meta-data/iam/security-credentials/r1 \n"},
	{"files named by the environment", {0},
		{{R, "AWS_CONFIG_FILE", "~/c", "AWS_SHARED_CREDENTIALS_FILE", "/x/creds", "AWS_DEFAULT_PROFILE", "q",
			NULL}},
		{{"/h/c", "[profile q]\nregion=x\n", "/x/creds",
			"[q]\naws_access_key_id=AKQ\naws_secret_access_key=s\n", NULL}},
		{{NULL}}, "AKQ", "-", "keys in the credentials file of profile 'q'", "file /h/c\nfile /x/creds\n"},
};

static void with_whoami(struct pairs *web)
{
	size_t n = 0;

	while (web->items[n] != NULL)
		n++;
	web->items[n] = "GetCallerIdentity";
	web->items[n + 1] = WHOAMI;
	web->items[n + 2] = NULL;
}

Test(aws_identity, credentials_come_from_the_first_source_in_the_sdks_order)
{
	for (size_t i = 0; i < FF_COUNT(chain_cases); i++) {
		const struct chain_case *c = &chain_cases[i];
		struct ff_err err = {0};
		struct ff_cloud *cloud = open_aws(&c->options, &c->env, &err);
		struct pairs web = c->web;
		ff_auto_buf asked = {0};

		cr_assert_not_null(cloud, "%s: %s", c->what, err.text);
		with_whoami(&web);
		ff_aws.login_reset(cloud);
		cr_expect_eq(sign_in(cloud, &c->files, &web, &asked, &err), FF_TURN_DONE, "%s: %s\n%s", c->what,
			err.text, asked.text);
		cr_expect(ff_streq(cloud->login->keys.id, c->key), "%s: %s", c->what, cloud->login->keys.id);
		cr_expect(ff_streq(cloud->login->keys.token ? cloud->login->keys.token : "-", c->token), "%s", c->what);
		cr_expect_str_eq(ff_aws.login_name(cloud), c->name, "%s", c->what);
		if (c->asked != NULL)
			cr_expect(strstr(asked.text, c->asked) != NULL, "%s:\n%s", c->what, asked.text);
		cr_expect(ff_streq(cloud->account, "123456789012"), "%s", c->what);
		ff_aws.close(cloud);
	}
}

static const struct refused_case {
	const char *what;
	struct ff_scope_options options;
	struct pairs env, files, web;
	const char *why;
	enum ff_class class;
} refused_cases[] = {
	{"nothing anywhere", {0}, {{R, NULL}}, {{NULL}}, {{NULL}},
		"no AWS credentials were found; tried before: environment (no AWS_ACCESS_KEY_ID), web identity (no "
		"AWS_WEB_IDENTITY_TOKEN_FILE), profile 'default' (no role, web identity, sso, keys or "
		"credential_process in the "
		"shared files), container (no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI), instance metadata "
		"(no answer)",
		FF_E_AUTH},
	{"metadata disabled", {0}, {{R, "AWS_EC2_METADATA_DISABLED", "TRUE", NULL}}, {{NULL}}, {{NULL}},
		"instance metadata (AWS_EC2_METADATA_DISABLED)", FF_E_AUTH},
	{"half of a key pair", {0}, {{R, "AWS_ACCESS_KEY_ID", "x", NULL}}, {{NULL}}, {{NULL}},
		"AWS_SECRET_ACCESS_KEY is not", FF_E_AUTH},
	{"half of a key pair in a file", {0}, {{R, NULL}}, {{CREDENTIALS, "[default]\naws_access_key_id=A\n", NULL}},
		{{NULL}}, "profile 'default': aws_access_key_id without aws_secret_access_key", FF_E_AUTH},
	{"no such profile", {.profile = "nope"}, {{R, NULL}}, {{NULL}}, {{NULL}}, "profile 'nope' is in neither",
		FF_E_AUTH},
	{"a circle of roles", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=b\n[profile b]\nrole_arn=y\nsource_profile=a\n",
			NULL}},
		{{NULL}}, "in a circle", FF_E_AUTH},
	{"a role that is its own source without keys", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=a\n", NULL}}, {{NULL}}, "in a circle", FF_E_AUTH},
	{"a role without a source", {.profile = "a"}, {{R, NULL}}, {{CONFIG, "[profile a]\nrole_arn=x\n", NULL}},
		{{NULL}}, "needs source_profile or credential_source", FF_E_AUTH},
	{"a role with two sources", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=b\ncredential_source=Environment\n", NULL}},
		{{NULL}}, "exclude each other", FF_E_AUTH},
	{"a source that is not there", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=b\n", NULL}}, {{NULL}},
		"source_profile does not exist", FF_E_AUTH},
	{"a role with a second factor", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=a\nmfa_serial=m\n", NULL}}, {{NULL}}, "mfa_serial",
		FF_E_AUTH},
	{"a role that is refused", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=a\naws_access_key_id=A\naws_secret_access_key=s\n",
			NULL}},
		{{"AssumeRole&",
			"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:x is not "
			"authorized"
			"</Message></Error><RequestId>r1</RequestId></ErrorResponse>",
			NULL}},
		"role of profile a: AccessDenied: User: arn:x is not authorized (request r1)", FF_E_AUTH},
	{"web identity without a role", {0}, {{R, "AWS_WEB_IDENTITY_TOKEN_FILE", "/t", NULL}}, {{NULL}}, {{NULL}},
		"AWS_ROLE_ARN is not", FF_E_AUTH},
	{"web identity without its file", {0}, {{R, "AWS_WEB_IDENTITY_TOKEN_FILE", "/t", "AWS_ROLE_ARN", "x", NULL}},
		{{NULL}}, {{NULL}}, "web identity: it broke", FF_E_AUTH},
	{"an expired sign-on", {.profile = "s"}, {{R, NULL}},
		{{CONFIG,
			"[profile s]\nsso_start_url=my-sso\nsso_region=us-east-1\nsso_account_id=1\nsso_role_name=r\n",
			"/h/.aws/sso/cache/0ad374308c5a4e22f723adf10145eafad7c4031c.json",
			"{\"accessToken\":\"at\",\"expiresAt\":\"2024-07-19T03:00:00UTC\"}", NULL}},
		{{NULL}}, "the session has expired: run 'aws sso login --profile s'", FF_E_AUTH},
	{"a sign-on never done", {.profile = "s"}, {{R, NULL}},
		{{CONFIG, "[profile s]\nsso_start_url=u\nsso_region=us-east-1\nsso_account_id=1\nsso_role_name=r\n",
			NULL}},
		{{NULL}}, "no session is cached", FF_E_AUTH},
	{"a program that prints nonsense", {0}, {{R, NULL}}, {{CONFIG, "[default]\ncredential_process=/bin/p\n", NULL}},
		{{"/bin/p", "hello", NULL}}, "not JSON with \"Version\": 1", FF_E_AUTH},
	{"a program that is not there", {0}, {{R, NULL}}, {{CONFIG, "[default]\ncredential_process=/bin/p\n", NULL}},
		{{NULL}}, "credential_process of profile 'default': it broke", FF_E_AUTH},
	{"a program with an open quote", {0}, {{R, NULL}}, {{CONFIG, "[default]\ncredential_process='/bin/p\n", NULL}},
		{{NULL}}, "not closed", FF_E_AUTH},
	{"credentials that are over", {0}, {{R, NULL}}, {{CONFIG, "[default]\ncredential_process=/bin/p\n", NULL}},
		{{"/bin/p",
			"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2024-07-19T03:"
			"58:59Z\"}",
			NULL}},
		"its credentials have expired", FF_E_AUTH},
	{"a container elsewhere", {0}, {{R, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/", NULL}},
		{{NULL}}, {{NULL}}, "must be https", FF_E_AUTH},
	{"a container's token with a line break", {0},
		{{R, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
			"a\r\nX: y", NULL}},
		{{NULL}}, {{NULL}}, "line break", FF_E_AUTH},
	{"a container that does not answer", {0}, {{R, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x", NULL}}, {{NULL}},
		{{NULL}}, "container: it broke", FF_E_AUTH},
	{"metadata that refuses", {0}, {{R, NULL}}, {{NULL}}, {{"/latest/api/token", "!400", NULL}}, "HTTP 400",
		FF_E_AUTH},
	{"an instance without a role", {0}, {{R, NULL}}, {{NULL}},
		{{"/latest/api/token", "t", "security-credentials/", "!404", NULL}}, "instance metadata (no role)",
		FF_E_AUTH},
	{"a role whose keys cannot be had", {0}, {{R, NULL}}, {{NULL}},
		{{"/latest/api/token", "t", "security-credentials/r",
			"{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"no\"}", "security-credentials/", "r",
			NULL}},
		"AssumeRoleUnauthorizedAccess: no", FF_E_AUTH},
	{"a role name that would change the URL", {0}, {{R, NULL}}, {{NULL}},
		{{"/latest/api/token", "t", "security-credentials/", "../x?y", NULL}}, "an answer that makes no sense",
		FF_E_AUTH},
	{"version 1 disabled", {0}, {{R, "AWS_EC2_METADATA_V1_DISABLED", "true", NULL}}, {{NULL}},
		{{"/latest/api/token", "!403", NULL}}, "version 1 is disabled", FF_E_AUTH},
	{"no region", {0}, {{"HOME", "/h", "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", NULL}}, {{NULL}},
		{{NULL}}, "no region: give --region", FF_E_USAGE},
	{"a region that is none", {0}, {{"HOME", "/h", NULL}}, {{CONFIG, "[default]\nregion=us.evil.com/\n", NULL}},
		{{NULL}}, "is not an AWS region", FF_E_USAGE},
	{"an unreadable file", {0}, {{R, NULL}}, {{CONFIG, "nonsense\n", NULL}}, {{NULL}},
		"file '/h/.aws/config': line 1: '=' expected", FF_E_AUTH},
	{"an endpoint in a file over plain http", {0}, {{R, NULL}},
		{{CONFIG, "[default]\nendpoint_url=http://evil.example\n", NULL}}, {{NULL}}, "plain http", FF_E_USAGE},
	{"a session token with a line break", {0}, {{R, NULL}},
		{{CREDENTIALS,
			"[default]\naws_access_key_id=A\naws_secret_access_key=s\naws_session_token=t\n X-Y: z\n",
			NULL}},
		{{NULL}}, "profile 'default': the access key id or session token holds a blank or line break",
		FF_E_AUTH},
	{"an access key id with a line break", {0},
		{{R, "AWS_ACCESS_KEY_ID", "x\r\nA: b", "AWS_SECRET_ACCESS_KEY", "s", NULL}}, {{NULL}}, {{NULL}},
		"environment (AWS_ACCESS_KEY_ID): the access key id", FF_E_AUTH},
	{"a role's token with a line break", {.profile = "a"}, {{R, NULL}},
		{{CONFIG, "[profile a]\nrole_arn=x\nsource_profile=a\naws_access_key_id=A\naws_secret_access_key=s\n",
			NULL}},
		{{"AssumeRole&",
			"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</"
			"AccessKeyId><SecretAccessKey>s"
			"</SecretAccessKey><SessionToken>t&#10;X: y</SessionToken><Expiration>2024-07-19T08:00:00Z"
			"</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
			NULL}},
		"no credentials in the answer", FF_E_AUTH},
	{"keys that AWS does not know", {0}, {{R, "AWS_ACCESS_KEY_ID", "x", "AWS_SECRET_ACCESS_KEY", "s", NULL}},
		{{NULL}},
		{{"GetCallerIdentity",
			"<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>bad</Message></Error></"
			"ErrorResponse>",
			NULL}},
		"InvalidClientTokenId: bad", FF_E_AUTH},
};

Test(aws_identity, what_cannot_work_ends_it_and_says_why)
{
	for (size_t i = 0; i < FF_COUNT(refused_cases); i++) {
		const struct refused_case *c = &refused_cases[i];
		struct ff_err err = {0};
		struct ff_cloud *cloud = open_aws(&c->options, &c->env, &err);
		ff_auto_buf asked = {0};

		cr_assert_not_null(cloud, "%s: %s", c->what, err.text);
		ff_aws.login_reset(cloud);
		cr_expect_eq(sign_in(cloud, &c->files, &c->web, &asked, &err), FF_TURN_FAILED, "%s", c->what);
		cr_expect_eq(err.class, c->class, "%s: %s", c->what, err.text);
		cr_expect(strstr(err.text, c->why) != NULL, "%s: %s\n%s", c->what, err.text, asked.text);
		cr_expect_null(strstr(err.text, "SecretAccessKey\":"));
		ff_aws.close(cloud);
	}
}

Test(aws_identity, options_and_environment_are_checked_before_anything_is_asked)
{
	static const struct {
		struct ff_scope_options options;
		struct pairs env;
	} cases[] = {
		{{.region = "us-east-1.evil.com"}, {{NULL}}},
		{{.region = "-x"}, {{NULL}}},
		{{0}, {{"AWS_REGION", "a/b", NULL}}},
		{{0}, {{"AWS_ENDPOINT_URL", "http://evil.example", NULL}}},
		{{0}, {{"AWS_ENDPOINT_URL_EC2", "ftp://x", NULL}}},
		{{0}, {{"AWS_ENDPOINT_URL_KMS", "ftp://x", NULL}}},
		{{0}, {{"AWS_ENDPOINT_URL_STS", "https://u:p@x/", NULL}}},
		{{0}, {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://evil.example", NULL}}},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};

		cr_expect_null(open_aws(&cases[i].options, &cases[i].env, &err), "%zu", i);
		cr_expect_eq(err.class, FF_E_USAGE);
	}
}

static const struct endpoint_case {
	struct pairs env, files;
	const char *ec2, *sts, *autoscaling;
} endpoint_cases[] = {
	{{{"AWS_REGION", "eu-west-1", NULL}}, {{NULL}}, "https://ec2.eu-west-1.amazonaws.com",
		"https://sts.eu-west-1.amazonaws.com", "https://autoscaling.eu-west-1.amazonaws.com"},
	{{{"AWS_DEFAULT_REGION", "cn-north-1", NULL}}, {{NULL}}, "https://ec2.cn-north-1.amazonaws.com.cn",
		"https://sts.cn-north-1.amazonaws.com.cn", "https://autoscaling.cn-north-1.amazonaws.com.cn"},
	{{{"AWS_REGION", "us-gov-west-1", NULL}}, {{NULL}}, "https://ec2.us-gov-west-1.amazonaws.com",
		"https://sts.us-gov-west-1.amazonaws.com", "https://autoscaling.us-gov-west-1.amazonaws.com"},
	{{{"AWS_REGION", "us-iso-east-1", NULL}}, {{NULL}}, "https://ec2.us-iso-east-1.c2s.ic.gov",
		"https://sts.us-iso-east-1.c2s.ic.gov", "https://autoscaling.us-iso-east-1.c2s.ic.gov"},
	{{{"AWS_REGION", "us-isob-east-1", NULL}}, {{NULL}}, "https://ec2.us-isob-east-1.sc2s.sgov.gov",
		"https://sts.us-isob-east-1.sc2s.sgov.gov", "https://autoscaling.us-isob-east-1.sc2s.sgov.gov"},
	{{{"AWS_REGION", "eusc-de-east-1", NULL}}, {{NULL}}, "https://ec2.eusc-de-east-1.amazonaws.eu",
		"https://sts.eusc-de-east-1.amazonaws.eu", "https://autoscaling.eusc-de-east-1.amazonaws.eu"},
	{{{R, "AWS_ENDPOINT_URL", "https://all.example:8443/", "AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1/x", NULL}},
		{{NULL}}, "https://all.example:8443", "http://127.0.0.1:1/x", "https://all.example:8443"},
	{{{R, "AWS_ENDPOINT_URL", "https://all.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", NULL}},
		{{NULL}}, "https://ec2.us-east-1.amazonaws.com", "https://sts.us-east-1.amazonaws.com",
		"https://autoscaling.us-east-1.amazonaws.com"},
	{{{"HOME", "/h", NULL}},
		{{CONFIG,
			"[default]\nregion=ap-south-1\nendpoint_url=https://f.example\nservices=m\n[services "
			"m]\nauto_scaling =\n"
			"  endpoint_url=https://a.example/\n",
			NULL}},
		"https://f.example", "https://f.example", "https://a.example"},
	{{{"HOME", "/h", "AWS_ENDPOINT_URL_EC2", "https://e.example", NULL}},
		{{CONFIG,
			"[default]\nregion=ap-south-1\nendpoint_url=https://"
			"f.example\nignore_configured_endpoint_urls=true\n",
			NULL}},
		"https://ec2.ap-south-1.amazonaws.com", "https://sts.ap-south-1.amazonaws.com",
		"https://autoscaling.ap-south-1.amazonaws.com"},
};

Test(aws_identity, endpoints_are_the_partitions_or_what_is_configured)
{
	for (size_t i = 0; i < FF_COUNT(endpoint_cases); i++) {
		const struct endpoint_case *c = &endpoint_cases[i];
		struct ff_scope_options options = {0};
		struct pairs env = c->env, web = {{NULL}};
		struct ff_err err = {0};
		struct ff_cloud *cloud;
		ff_auto_buf asked = {0};
		size_t n = 0;

		while (env.items[n] != NULL)
			n++;
		env.items[n++] = "AWS_ACCESS_KEY_ID";
		env.items[n++] = "A";
		env.items[n++] = "AWS_SECRET_ACCESS_KEY";
		env.items[n++] = "s";
		env.items[n] = NULL;
		cloud = open_aws(&options, &env, &err);
		cr_assert_not_null(cloud, "%zu: %s", i, err.text);
		ff_aws.login_reset(cloud);
		cr_assert_eq(sign_in(cloud, &c->files, &web, &asked, &err), FF_TURN_DONE, "%zu: %s", i, err.text);
		cr_expect_str_eq(cloud->endpoints[AWS_EC2], c->ec2);
		cr_expect_str_eq(cloud->endpoints[AWS_STS], c->sts);
		cr_expect_str_eq(cloud->endpoints[AWS_AUTOSCALING], c->autoscaling);
		cr_expect_null(cloud->account); /* STS did not answer: that harms nobody */
		ff_aws.close(cloud);
	}
}

Test(aws_identity, the_endpoint_of_kms_has_a_name_of_its_own)
{
	static const struct {
		struct pairs env, files;
		const char *kms;
	} cases[] = {
		{{{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", NULL}}, {{NULL}},
			"https://kms.us-east-1.amazonaws.com"},
		{{{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", "AWS_ENDPOINT_URL", "https://all.example",
			 "AWS_ENDPOINT_URL_KMS", "https://k.example/", NULL}},
			{{NULL}}, "https://k.example"},
		{{{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", "HOME", "/h", NULL}},
			{{CONFIG, "[default]\nservices=m\n[services m]\nkms =\n  endpoint_url=https://f.example\n",
				NULL}},
			"https://f.example"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_scope_options options = {0};
		struct pairs web = {{NULL}};
		struct ff_err err = {0};
		struct ff_cloud *cloud = open_aws(&options, &cases[i].env, &err);
		ff_auto_buf asked = {0};

		cr_assert_not_null(cloud, "%zu: %s", i, err.text);
		ff_aws.login_reset(cloud);
		cr_assert_eq(sign_in(cloud, &cases[i].files, &web, &asked, &err), FF_TURN_DONE, "%zu: %s", i, err.text);
		cr_expect_str_eq(cloud->endpoints[AWS_KMS], cases[i].kms);
		ff_aws.close(cloud);
	}
}

static size_t times_in(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}

/* A run that knows its account is gone on with only where it is known again: one bad answer is not the last word. */
Test(aws_identity, the_account_is_asked_for_again_when_sts_answers_nonsense)
{
	static const struct {
		const char *answer;
		size_t asked;
	} cases[] = {{"<torn", 3}, {"<GetCallerIdentityResponse/>", 3}, {"!500", 3}, {"!403", 1}, {NULL, 1}};
	struct pairs env = {{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", NULL}}, none = {{NULL}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_scope_options options = {0};
		struct pairs bad = {{cases[i].answer ? "GetCallerIdentity" : NULL, cases[i].answer, NULL}};
		struct pairs good = {{"GetCallerIdentity", WHOAMI, NULL}};
		struct ff_err err = {0};
		struct ff_cloud *cloud = open_aws(&options, &env, &err);
		ff_auto_buf asked = {0};

		cr_assert_not_null(cloud, "%zu: %s", i, err.text);
		ff_aws.login_reset(cloud);
		cr_expect_eq(sign_in(cloud, &none, &bad, &asked, &err), FF_TURN_DONE, "%zu: %s", i, err.text);
		cr_expect_eq(times_in(asked.text, "GetCallerIdentity"), cases[i].asked, "%zu:\n%s", i, asked.text);
		cr_expect_str_eq(ff_aws.account(cloud), "/us-east-1");
		ff_aws.login_reset(cloud); /* the next signing in asks anew */
		cr_expect_eq(sign_in(cloud, &none, &good, &asked, &err), FF_TURN_DONE, "%zu: %s", i, err.text);
		cr_expect_str_eq(ff_aws.account(cloud), "123456789012/us-east-1");
		ff_aws.close(cloud);
	}
}

Test(aws_identity, credentials_are_renewed_a_quarter_of_an_hour_before_their_end_or_at_half_time)
{
	static const struct {
		const char *expires;
		int64_t renew_after_ms;
	} cases[] = {
		{"2024-07-19T04:59:00Z", 45 * 60000},
		{"2024-07-19T04:14:00Z", 15 * 60000 / 2},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_scope_options options = {0};
		struct pairs env = {{R, NULL}}, files = {{CONFIG, "[default]\ncredential_process=/p\n", NULL}};
		ff_auto_free char *json = ff_printf("{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\","
						    "\"Expiration\":\"%s\"}",
			cases[i].expires);
		struct pairs web = {{"/p", json, NULL}};
		struct ff_err err = {0};
		struct ff_cloud *cloud = open_aws(&options, &env, &err);
		ff_auto_buf asked = {0};

		ff_aws.login_reset(cloud);
		cr_assert_eq(sign_in(cloud, &files, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
		cr_expect_eq(ff_aws.login_renew_at(cloud), WALL_MS + cases[i].renew_after_ms);
		ff_aws.close(cloud);
	}
}

Test(aws_identity, a_failed_renewal_leaves_the_credentials_in_use)
{
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	static const struct pairs files = {{NULL}}, web = {{NULL}};
	struct ff_err err = {0};
	ff_auto_buf asked = {0};
	struct ff_ask ask;

	free(FF_STEAL(cloud->login->settings.env[AWS_ENV_SECRET_KEY]));
	ff_aws.login_reset(cloud);
	cr_expect_eq(sign_in(cloud, &files, &web, &asked, &err), FF_TURN_FAILED);
	ff_ask_http(&ask, "POST", "https://ec2.us-east-1.amazonaws.com/");
	cr_expect_eq(ff_aws.sign(cloud, WALL_MS, &ask, &err), 0);
	ff_ask_release(&ask);
	ff_aws.close(cloud);
}

Test(aws_identity, only_the_services_own_endpoint_is_signed_for)
{
	static const char *const urls[] = {"https://ec2.eu-west-1.amazonaws.com/", "https://evil.example/",
		"http://ec2.us-east-1.amazonaws.com/", "https://sts.us-east-1.amazonaws.com/",
		"https://ec2.us-east-1.amazonaws.com:444/", "nonsense"};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	for (size_t i = 0; i < FF_COUNT(urls); i++) {
		struct ff_err err = {0};
		struct ff_ask ask;

		ff_ask_http(&ask, "POST", "%s", urls[i]);
		cr_expect_eq(ff_aws.sign(cloud, WALL_MS, &ask, &err), -1, "%s", urls[i]);
		cr_expect_eq(err.class, FF_E_BUG);
		cr_expect_null(ff_headers_get(&ask.headers, "Authorization"));
		ff_ask_release(&ask);
	}
	ff_aws.close(cloud);
}

Test(aws_identity, the_title_says_account_and_region)
{
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);

	cr_expect_str_eq(ff_aws.title(cloud), "aws account 123456789012, region us-east-1");
	ff_aws.close(cloud);
	ff_aws.close(NULL);
}

Test(aws_identity, a_ca_bundle_counts_for_aws_alone_and_the_environments_goes_first)
{
	static const struct {
		struct pairs env, files;
		const char *ca;
	} cases[] = {
		{{{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", NULL}}, {{NULL}}, NULL},
		{{{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", "AWS_CA_BUNDLE", "/env.pem", NULL}},
			{{CONFIG, "[default]\nca_bundle=/file.pem\n", NULL}}, "/env.pem"},
		{{{R, "AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY", "s", NULL}},
			{{CONFIG, "[default]\nca_bundle=/file.pem\n", NULL}}, "/file.pem"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};
		struct pairs web = {{NULL}};
		ff_auto_buf asked = {0};
		struct ff_ask ask = {0};
		struct ff_buf form = {0};
		struct ff_cloud *cloud = open_aws(&(struct ff_scope_options){0}, &cases[i].env, &err);

		cr_assert_not_null(cloud, "%zu: %s", i, err.text);
		ff_aws.login_reset(cloud);
		cr_assert_eq(sign_in(cloud, &cases[i].files, &web, &asked, &err), FF_TURN_DONE, "%zu: %s", i, err.text);
		aws_form(&form, AWS_EC2, "DescribeInstances");
		aws_ask(cloud, &ask, AWS_EC2, AWS_Q_STEP, &form);
		cr_expect(ff_streq(ask.ca_file, cases[i].ca), "%zu: %s", i, ask.ca_file);
		ff_ask_release(&ask);
		ff_aws.close(cloud);
	}
}
