/*
 * Signing in: the shared files, region and endpoints, then what the chosen source needs, then its roles. Every renewal
 * walks the whole way again, since files and tokens may have been renewed by others; what was in use stays in use until
 * it is replaced.
 */
#include "aws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define MINUTE_MS      ((int64_t)60 * 1000)
#define FILE_BYTES_MAX (64u << 10)
#define EXEC_MS	       60000
/* Clocks that differ by less are not the reason for a refusal: five minutes are allowed (facts section 9). */
#define SKEW_MS	  MINUTE_MS
#define NEVER_YET INT64_MIN

void aws_keys_release(struct aws_keys *keys)
{
	ff_free_secret(keys->id);
	ff_free_secret(keys->secret);
	ff_free_secret(keys->token);
	*keys = (struct aws_keys){0};
}

struct aws_login *aws_login_new(const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err)
{
	struct aws_login *login = ff_calloc(1, sizeof(*login));

	login->renew_at_ms = INT64_MAX;
	login->corrected_ms = NEVER_YET;
	login->plan.source = AWS_FROM_NOWHERE;
	if (aws_settings_init(&login->settings, options, env, err) == 0)
		return login;
	aws_login_free(login);
	return NULL;
}

/* What belongs to one signing in. */
static void forget(struct aws_login *login)
{
	aws_plan_release(&login->plan);
	login->plan.source = AWS_FROM_NOWHERE;
	aws_keys_release(&login->next);
	ff_free_secret(FF_STEAL(login->text));
	ff_free_secret(FF_STEAL(login->imds_token));
	free(FF_STEAL(login->imds));
	aws_ini_release(&login->settings.config);
	aws_ini_release(&login->settings.credentials);
	login->role_at = 0;
	login->tries = 0;
	login->container_token = login->resigned = false;
	login->err = (struct ff_err){0};
}

void aws_login_free(struct aws_login *login)
{
	if (login == NULL)
		return;
	forget(login);
	aws_keys_release(&login->keys);
	aws_settings_release(&login->settings);
	free(login->name);
	free(login);
}

void aws_login_reset(struct ff_cloud *cloud)
{
	forget(cloud->login);
	cloud->login->state = AWS_L_CONFIG;
}

int64_t aws_login_renew_at(const struct ff_cloud *cloud)
{
	return cloud->login->renew_at_ms;
}

const char *aws_login_name(const struct ff_cloud *cloud)
{
	return cloud->login->name ? cloud->login->name : "";
}

void aws_login_fail(struct aws_login *login, const char *fmt, ...)
{
	const struct ff_strv *tried = &login->plan.tried;
	ff_auto_buf text = {0};
	va_list ap;
	char *first;

	va_start(ap, fmt);
	first = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_buf_adds(&text, first);
	free(first);
	for (size_t i = 0; i < tried->count; i++)
		ff_buf_addf(&text, "%s%s", i ? ", " : "; tried before: ", tried->items[i]);
	ff_fail(&login->err, FF_E_AUTH, "%s", text.text);
	login->state = AWS_L_FAILED;
}

bool aws_login_take(
	struct aws_login *login, const json_t *j, const char *id, const char *secret, const char *token, const char *expires)
{
	const char *key = ff_json_str(j, id), *hidden = ff_json_str(j, secret), *session = ff_json_str(j, token);
	const char *when = expires ? ff_json_str(j, expires) : NULL;
	int64_t expires_ms = 0;

	if (key == NULL || key[0] == '\0' || hidden == NULL || hidden[0] == '\0')
		return false;
	if (when != NULL && ff_time_parse(when, &expires_ms) < 0)
		expires_ms = 0;
	aws_keys_release(&login->next);
	login->next = (struct aws_keys){.id = ff_strdup(key),
		.secret = ff_strdup(hidden),
		.token = session && session[0] ? ff_strdup(session) : NULL,
		.expires_ms = expires_ms};
	return true;
}

void aws_login_have_source(struct aws_login *login)
{
	login->state = AWS_L_ROLES;
	login->role_at = login->plan.role_count;
}

bool aws_clock_correct(struct aws_login *login, int64_t wall_ms, const struct ff_answer *answer)
{
	const char *date = ff_headers_get(&answer->headers, "Date");
	int64_t date_ms = date ? ff_retry_after_ms(date, 0) : -1, off_ms;

	if (date_ms < 0)
		return false;
	off_ms = date_ms - wall_ms - login->offset_ms;
	if (off_ms > SKEW_MS || off_ms < -SKEW_MS) {
		login->offset_ms = date_ms - wall_ms;
		login->corrected_ms = wall_ms;
		return true;
	}
	/* it may have been under way when another answer corrected the clock */
	return login->corrected_ms != NEVER_YET && wall_ms >= login->corrected_ms &&
	       wall_ms - login->corrected_ms < MINUTE_MS;
}

/* ---------------------------------------------------------------- files */

static void ask_file(struct ff_ask *ask, char *path_owned, enum aws_question question, size_t max)
{
	*ask = (struct ff_ask){.kind = FF_ASK_FILE,
		.path = path_owned,
		.answer_bytes_max = max,
		.secret = true,
		.tag = AWS_TAG(AWS_STS, question)};
}

static bool is_absent(const struct ff_answer *answer)
{
	return answer->transport == FF_T_LOCAL && (answer->status == ENOENT || answer->status == ENOTDIR);
}

static void shared_file_read(struct aws_login *login, const struct ff_ask *ask, const struct ff_answer *answer)
{
	bool credentials = login->state == AWS_L_CREDENTIALS;
	struct aws_ini *ini = credentials ? &login->settings.credentials : &login->settings.config;
	struct ff_err err = {0};

	login->state = credentials ? AWS_L_REGION : AWS_L_CREDENTIALS;
	if (is_absent(answer))
		return;
	if (answer->transport != FF_T_OK)
		aws_login_fail(login, "%s", answer->why);
	else if (aws_ini_parse(ini, answer->body, answer->body_len, &err) < 0)
		aws_login_fail(login, "file '%s': %s", ask->path, err.text);
}

/* The last line's end does not belong to a token. */
static void token_file_read(struct aws_login *login, const struct ff_ask *ask, const struct ff_answer *answer)
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

static void sso_cache_read(struct aws_login *login, int64_t wall_ms, const struct ff_answer *answer)
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
}

static void sso_read(struct aws_login *login, const struct ff_answer *answer)
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

static void process_read(struct aws_login *login, const struct ff_answer *answer)
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

/* Fill the ask that the source needs next; or none is needed, and the state has moved on. */
static void source_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
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
			ask_file(ask, web_token_path(login), AWS_Q_TOKEN_FILE, FILE_BYTES_MAX);
		else
			aws_web_role_ask(cloud, ask);
		break;
	case AWS_FROM_SSO:
		if (login->text != NULL)
			sso_ask(cloud, ask, err);
		else if ((path = sso_cache_path(login)) != NULL)
			ask_file(ask, path, AWS_Q_SSO_CACHE, FILE_BYTES_MAX);
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

/* ---------------------------------------------------------------- the way */

void aws_login_no_region(struct aws_login *login)
{
	aws_login_fail(login, "no region: give --region, or set AWS_REGION or the profile's region");
	login->err.class = FF_E_USAGE;
}

static void region_next(struct ff_cloud *cloud, struct ff_ask *ask)
{
	struct aws_login *login = cloud->login;

	if (cloud->region != NULL || aws_settings_region(&login->settings) != NULL)
		login->state = AWS_L_ENDPOINTS;
	else if (aws_imds_wanted(login))
		aws_imds_ask(login, ask, true);
	else
		aws_login_no_region(login);
}

static void endpoints_next(struct ff_cloud *cloud)
{
	struct aws_login *login = cloud->login;
	struct ff_err err = {0};

	login->state = AWS_L_SOURCE;
	if (cloud->region == NULL && aws_set_region(cloud, aws_settings_region(&login->settings), &err) < 0) {
		aws_login_fail(login, "%s", err.text);
		login->err.class = err.class;
	} else if (aws_plan_make(&login->settings, &login->plan, &err) < 0) {
		aws_login_fail(login, "%s", err.text);
	}
}

/* The new credentials are in use from here on. */
static void finish(struct aws_login *login, int64_t wall_ms)
{
	int64_t left_ms;

	wall_ms += login->offset_ms;
	left_ms = login->next.expires_ms - wall_ms;
	if (login->next.expires_ms != 0 && left_ms <= 0) {
		aws_login_fail(login, "%s: its credentials have expired", login->plan.name);
		return;
	}
	aws_keys_release(&login->keys);
	login->keys = login->next;
	login->next = (struct aws_keys){0};
	free(login->name);
	login->name = ff_strdup(login->plan.name);
	/* fifteen minutes before the end; credentials that do not last for long, at half time */
	if (login->keys.expires_ms == 0)
		login->renew_at_ms = INT64_MAX;
	else
		login->renew_at_ms = login->keys.expires_ms - login->offset_ms -
				     (left_ms > 30 * MINUTE_MS ? 15 * MINUTE_MS : left_ms / 2);
	login->state = AWS_L_DONE;
}

static void shared_file_next(struct aws_login *login, struct ff_ask *ask)
{
	bool credentials = login->state == AWS_L_CREDENTIALS;
	char *path = aws_settings_path(&login->settings, credentials);

	if (path != NULL)
		ask_file(ask, path, credentials ? AWS_Q_CREDENTIALS : AWS_Q_CONFIG, AWS_INI_BYTES_MAX);
	else
		login->state = credentials ? AWS_L_REGION : AWS_L_CREDENTIALS;
}

static void roles_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask)
{
	if (cloud->login->role_at > 0)
		aws_role_ask(cloud, wall_ms, ask);
	else
		cloud->login->state = AWS_L_WHOAMI;
}

static void whoami_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask)
{
	if (cloud->account == NULL && cloud->login->tries == 0)
		aws_whoami_ask(cloud, wall_ms, ask);
	else
		finish(cloud->login, wall_ms);
}

enum ff_turn aws_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	struct aws_login *login = cloud->login;
	static const struct ff_ask none;

	*ask = none;
	while (ask->url == NULL && ask->path == NULL && ask->argv.count == 0) {
		switch (login->state) {
		case AWS_L_CONFIG:
		case AWS_L_CREDENTIALS:
			shared_file_next(login, ask);
			break;
		case AWS_L_REGION:
			region_next(cloud, ask);
			break;
		case AWS_L_ENDPOINTS:
			endpoints_next(cloud);
			break;
		case AWS_L_SOURCE:
			source_next(cloud, ask, err);
			break;
		case AWS_L_ROLES:
			roles_next(cloud, wall_ms, ask);
			break;
		case AWS_L_WHOAMI:
			whoami_next(cloud, wall_ms, ask);
			break;
		case AWS_L_DONE:
			return FF_TURN_DONE;
		case AWS_L_FAILED:
			*err = login->err;
			return FF_TURN_FAILED;
		}
	}
	return FF_TURN_ASK;
}

void aws_login_read(
	struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct aws_login *login = cloud->login;

	switch (AWS_TAG_QUESTION(ask->tag)) {
	case AWS_Q_CONFIG:
	case AWS_Q_CREDENTIALS:
		shared_file_read(login, ask, answer);
		break;
	case AWS_Q_TOKEN_FILE:
		if (login->plan.source == AWS_FROM_CONTAINER)
			aws_container_read(login, ask, answer);
		else
			token_file_read(login, ask, answer);
		break;
	case AWS_Q_SSO_CACHE:
		sso_cache_read(login, wall_ms + login->offset_ms, answer);
		break;
	case AWS_Q_SSO:
		sso_read(login, answer);
		break;
	case AWS_Q_PROCESS:
		process_read(login, answer);
		break;
	case AWS_Q_CONTAINER:
		aws_container_read(login, ask, answer);
		break;
	case AWS_Q_IMDS_REGION:
	case AWS_Q_IMDS_TOKEN:
	case AWS_Q_IMDS_ROLE:
	case AWS_Q_IMDS_KEYS:
		aws_imds_read(cloud, ask, answer);
		break;
	case AWS_Q_ROLE:
	case AWS_Q_WEB_ROLE:
	case AWS_Q_WHOAMI:
		aws_sts_read(cloud, wall_ms, ask, answer);
		break;
	case AWS_Q_STEP:
	case AWS_Q_FIND:
		break; /* not of signing in */
	}
}
