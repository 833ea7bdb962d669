/* The sources of credentials that are at hand: keys, a token's file, single sign-on's cache, a program. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define FILE_BYTES_MAX (64u << 10)
#define EXEC_MS	       60000

/* The last line's end does not belong to a token. */
void aws_token_file_read(struct aws_login *login, const struct ff_ask *ask, const struct ff_answer *answer)
{
	size_t len = answer->body_len;

	if (answer->transport != FF_T_OK) {
		aws_login_fail(login, "web identity: %s", answer->why);
		return;
	}
	while (len > 0 && (answer->body[len - 1] == '\n' || answer->body[len - 1] == '\r'))
		len--;
	if (len == 0 || strlen(answer->body) < len)
		aws_login_fail(login, "web identity: file '%s' holds no token", ask->path);
	else
		login->text = ff_strndup(answer->body, len);
}

/* ---------------------------------------------------------------- single sign-on */

/* ~/.aws/sso/cache/<SHA-1 of the session's name, or of the start URL>.json */
static char *sso_cache_path(const struct aws_login *login)
{
	const struct aws_settings *s = &login->settings;
	const char *what = aws_profile_get(s, login->plan.profile, "sso_session"), *home = s->env[AWS_ENV_HOME];
	unsigned char sum[EVP_MAX_MD_SIZE];
	ff_auto_buf path = {0};
	unsigned n = 0;

	if (what == NULL)
		what = aws_profile_get(s, login->plan.profile, "sso_start_url");
	if (home == NULL || what == NULL)
		return NULL;
	if (EVP_Digest(what, strlen(what), sum, &n, EVP_sha1(), NULL) != 1)
		ff_oom();
	ff_buf_addf(&path, "%s/.aws/sso/cache/", home);
	for (unsigned i = 0; i < n; i++)
		ff_buf_addf(&path, "%02x", sum[i]);
	ff_buf_adds(&path, ".json");
	return ff_buf_take(&path);
}

static void sso_again(struct aws_login *login, const char *why)
{
	ff_auto_free char *profile = ff_printable(login->plan.profile);

	aws_login_fail(login, "single sign-on: %s: run 'aws sso login --profile %s'", why, profile);
}

void aws_sso_cache_read(struct aws_login *login, int64_t wall_ms, const struct ff_answer *answer)
{
	ff_auto_json json_t *j = NULL;
	const char *token, *expires;
	ff_auto_free char *when = NULL;
	int64_t expires_ms = 0;

	if (answer->transport == FF_T_OK)
		j = ff_json_parse(answer->body, answer->body_len, FILE_BYTES_MAX, NULL);
	token = ff_json_str(j, "accessToken");
	expires = ff_json_str(j, "expiresAt");
	if (token == NULL || strpbrk(token, "\r\n") != NULL) {
		sso_again(login, "no session is cached");
		return;
	}
	when = ff_strdup(expires ? expires : "");
	if (ff_has_suffix(when, "UTC")) /* older tools wrote it so */
		memcpy(when + strlen(when) - 3, "Z", 2);
	if (ff_time_parse(when, &expires_ms) < 0 || expires_ms <= wall_ms)
		sso_again(login, "the session has expired");
	else
		login->text = ff_strdup(token);
}

static void sso_ask(const struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
{
	struct aws_login *login = cloud->login;
	const struct aws_settings *s = &login->settings;
	const char *profile = login->plan.profile, *session = aws_profile_get(s, profile, "sso_session"), *region;
	ff_auto_free char *section = ff_printf("sso-session %s", session ? session : "");
	ff_auto_free char *role = ff_percent_encode(aws_profile_get(s, profile, "sso_role_name"));
	ff_auto_free char *account = ff_percent_encode(aws_profile_get(s, profile, "sso_account_id"));
	ff_auto_free char *endpoint = NULL;

	region = session ? aws_ini_get(&s->config, section, "sso_region") : aws_profile_get(s, profile, "sso_region");
	endpoint = aws_settings_endpoint(s, AWS_SSO, region, err);
	if (endpoint == NULL) {
		aws_login_fail(login, "%s", err->text);
		return;
	}
	ff_ask_http(ask, "GET", "%s/federation/credentials?role_name=%s&account_id=%s", endpoint, role, account);
	ff_headers_set(&ask->headers, "x-amz-sso_bearer_token", login->text);
	ask->secret = true;
	ask->tag = AWS_TAG(AWS_SSO, AWS_Q_SSO);
	ask->ca_file = ff_strdup(aws_settings_ca(s));
}

void aws_sso_read(struct aws_login *login, const struct ff_answer *answer)
{
	ff_auto_json json_t *j = NULL;

	if (answer->transport != FF_T_OK) {
		aws_login_fail(login, "single sign-on: %s", answer->why);
		return;
	}
	j = ff_json_parse(answer->body, answer->body_len, FILE_BYTES_MAX, NULL);
	if (answer->status == 401) {
		sso_again(login, "the session was refused");
	} else if (answer->status != 200 || !aws_login_take(login, ff_json_at(j, "roleCredentials"), "accessKeyId",
						    "secretAccessKey", "sessionToken", NULL)) {
		ff_auto_free char *message = ff_printable(ff_json_str(j, "message"));

		aws_login_fail(login, "single sign-on: HTTP %d: %.200s", answer->status, message);
	} else {
		login->next.expires_ms = ff_json_int(j, "roleCredentials/expiration", 0);
		aws_login_have_source(login);
	}
}

/* ---------------------------------------------------------------- credential_process */

static bool process_ask(struct aws_login *login, struct ff_ask *ask)
{
	const char *command = aws_profile_get(&login->settings, login->plan.profile, "credential_process");
	struct ff_err err = {0};

	*ask = (struct ff_ask){.kind = FF_ASK_EXEC,
		.answer_bytes_max = FILE_BYTES_MAX,
		.timeout_ms = EXEC_MS,
		.secret = true,
		.tag = AWS_TAG(AWS_STS, AWS_Q_PROCESS)};
	if (aws_split_command(command, &ask->argv, &err) == 0)
		return true;
	aws_login_fail(login, "%s: %s", login->plan.name, err.text);
	return false;
}

void aws_process_read(struct aws_login *login, const struct ff_answer *answer)
{
	ff_auto_json json_t *j = NULL;

	if (answer->transport != FF_T_OK || answer->status != 0) {
		aws_login_fail(login, "%s: %s", login->plan.name, answer->why);
		return;
	}
	j = ff_json_parse(answer->body, answer->body_len, FILE_BYTES_MAX, NULL);
	if (ff_json_int(j, "Version", 0) != 1)
		aws_login_fail(login, "%s: what it printed is not JSON with \"Version\": 1", login->plan.name);
	else if (!aws_login_take(login, j, "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"))
		aws_login_fail(login, "%s: it printed no AccessKeyId and SecretAccessKey", login->plan.name);
	else
		aws_login_have_source(login);
}

/* ---------------------------------------------------------------- sources at hand */

static void take_keys(struct aws_login *login, const char *id, const char *secret, const char *token)
{
	aws_keys_release(&login->next);
	login->next = (struct aws_keys){.id = ff_strdup(id), .secret = ff_strdup(secret)};
	if (token != NULL && token[0] != '\0')
		login->next.token = ff_strdup(token);
	aws_login_have_source(login);
}

static void take_profile_keys(struct aws_login *login, bool credentials)
{
	static const char *const names[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};
	const struct aws_settings *s = &login->settings;
	const char *values[3];

	for (size_t i = 0; i < 3; i++)
		values[i] = credentials ? aws_ini_get(&s->credentials, login->plan.profile, names[i])
					: aws_profile_config(s, login->plan.profile, names[i]);
	take_keys(login, values[0], values[1], values[2]);
}

static char *web_token_path(const struct aws_login *login)
{
	const struct aws_settings *s = &login->settings;

	return ff_strdup(login->plan.from_env ? s->env[AWS_ENV_WEB_TOKEN_FILE]
					      : aws_profile_get(s, login->plan.profile, "web_identity_token_file"));
}

void aws_source_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
{
	struct aws_login *login = cloud->login;
	char *const *env = login->settings.env;
	char *path;

	switch (login->plan.source) {
	case AWS_FROM_ENV:
		take_keys(login, env[AWS_ENV_ACCESS_KEY], env[AWS_ENV_SECRET_KEY], env[AWS_ENV_SESSION_TOKEN]);
		break;
	case AWS_FROM_CREDENTIALS:
	case AWS_FROM_CONFIG:
		take_profile_keys(login, login->plan.source == AWS_FROM_CREDENTIALS);
		break;
	case AWS_FROM_WEB:
		if (login->text == NULL)
			aws_ask_file(ask, web_token_path(login), AWS_Q_TOKEN_FILE, FILE_BYTES_MAX);
		else
			aws_web_role_ask(cloud, ask);
		break;
	case AWS_FROM_SSO:
		if (login->text != NULL)
			sso_ask(cloud, ask, err);
		else if ((path = sso_cache_path(login)) != NULL)
			aws_ask_file(ask, path, AWS_Q_SSO_CACHE, FILE_BYTES_MAX);
		else
			sso_again(login, "without HOME no session can be found");
		break;
	case AWS_FROM_PROCESS:
		process_ask(login, ask);
		break;
	case AWS_FROM_CONTAINER:
		aws_container_ask(login, ask);
		break;
	case AWS_FROM_IMDS:
		aws_imds_ask(login, ask, false);
		break;
	case AWS_FROM_NOWHERE:
		aws_login_fail(login, "no AWS credentials were found");
	}
}
