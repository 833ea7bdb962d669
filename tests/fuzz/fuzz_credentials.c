/*
 * Credentials files as they lie on a disk, whole: the first byte says whose.
 *
 *   a  ~/.aws/credentials   c  ~/.aws/config   x  a command line in it (credential_process)
 *   g  GCP key, user or external account JSON  t  an access token file
 *   z  Azure certificate (PEM with its key)    f  a federated token
 *
 * The file is read, and signing in goes on until something must be asked of a network: nothing answers there.
 */
#include "fixfleet/provider.h"
#include "fuzz.h"
#include "providers/aws/aws.h"

#define NOW INT64_C(1721372400000)

static const char *const aws_env[] = {
	"HOME", "/h", "AWS_REGION", "us-east-1", "AWS_EC2_METADATA_DISABLED", "true", NULL};
static const char *const gcp_env[] = {"GOOGLE_CLOUD_PROJECT", "p1", "GOOGLE_APPLICATION_CREDENTIALS", "/file",
	"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", NULL};
static const char *const gcp_token[] = {"GOOGLE_CLOUD_PROJECT", "p1", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/file", NULL};
static const char *const azure_cert[] = {
	"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_CLIENT_CERTIFICATE_PATH", "/file", NULL};
static const char *const azure_token[] = {
	"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_FEDERATED_TOKEN_FILE", "/file", NULL};

static const struct {
	char letter;
	const char *provider, *path;
	const char *const *env;
} kinds[] = {
	{'a', "aws", "/h/.aws/credentials", aws_env},
	{'c', "aws", "/h/.aws/config", aws_env},
	{'g', "gcp", "/file", gcp_env},
	{'t', "gcp", "/file", gcp_token},
	{'z', "azure", "/file", azure_cert},
	{'f', "azure", "/file", azure_token},
};

static void answer_it(
	const struct ff_ask *ask, const char *path, const char *text, size_t len, struct ff_answer *answer)
{
	*answer = (struct ff_answer){.transport = ask->kind == FF_ASK_HTTP ? FF_T_NOT_SENT : FF_T_LOCAL, .status = 2};
	snprintf(answer->why, sizeof(answer->why), "not there");
	if (ask->kind != FF_ASK_FILE || !ff_streq(ask->path, path))
		return;
	*answer = (struct ff_answer){.body = ff_calloc(len + 1, 1), .body_len = len};
	if (len > 0)
		memcpy(answer->body, text, len);
}

static void sign_in(size_t kind, const char *text, size_t len)
{
	const struct ff_provider *p = ff_provider_by_name(kinds[kind].provider);
	struct ff_env env = {.get = fuzz_env_get, .self = (void *)kinds[kind].env};
	struct ff_scope_options options = {.subscription = "00000000-0000-4000-8000-000000000001"};
	struct ff_err err = {0};
	struct ff_cloud *cloud;
	enum ff_turn turn = FF_TURN_ASK;

	ff_strv_add(&options.groups, "prod");
	cloud = p->open(&options, &env, &err);
	ff_strv_free(&options.groups);
	FUZZ_CHECK(cloud != NULL, "%s", err.text);
	p->login_reset(cloud);
	for (int i = 0; i < 40 && turn == FF_TURN_ASK; i++) {
		struct ff_ask ask = {0};
		struct ff_answer answer;

		turn = p->login_next(cloud, NOW, &ask, &err);
		if (turn == FF_TURN_ASK) {
			fuzz_check_ask(&ask);
			answer_it(&ask, kinds[kind].path, text, len, &answer);
			p->login_read(cloud, NOW, &ask, &answer);
			ff_answer_release(&answer, true);
		}
		ff_ask_release(&ask);
	}
	FUZZ_CHECK(turn != FF_TURN_ASK, "signing in does not come to an end");
	if (turn == FF_TURN_FAILED)
		FUZZ_CHECK((err.class == FF_E_AUTH || err.class == FF_E_USAGE) && err.text[0] != '\0', "%d '%s'",
			(int)err.class, err.text);
	p->close(cloud);
}

static void split_command(const char *text, size_t len)
{
	ff_auto_free char *line = ff_strndup(text, len);
	struct ff_strv argv;
	struct ff_err err = {0};

	if (aws_split_command(line, &argv, &err) < 0)
		FUZZ_CHECK_ERR(err);
	else
		FUZZ_CHECK(argv.count > 0, "no word");
	ff_strv_free(&argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (size == 0)
		return 0;
	if (data[0] == 'x')
		split_command(text, size - 1);
	for (size_t i = 0; i < FF_COUNT(kinds); i++)
		if (kinds[i].letter == (char)data[0])
			sign_in(i, text, size - 1);
	return 0;
}
