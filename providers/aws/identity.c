/*
 * Signing in: the shared files, region and endpoints, then what the chosen source needs, then its roles. Every renewal
 * walks the whole way again, since files and tokens may have been renewed by others; what was in use stays in use until
 * it is replaced.
 */
#include "aws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE_MS ((int64_t)60 * 1000)
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

bool aws_login_take(struct aws_login *login, const json_t *j, const char *id, const char *secret, const char *token,
	const char *expires)
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

static bool is_plain(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

bool aws_keys_plain(const struct aws_keys *keys)
{
	return is_plain(keys->id) && is_plain(keys->token);
}

void aws_login_have_source(struct aws_login *login)
{
	if (!aws_keys_plain(&login->next)) {
		aws_login_fail(
			login, "%s: the access key id or session token holds a blank or line break", login->plan.name);
		return;
	}
	login->state = AWS_L_ROLES;
	login->role_at = login->plan.role_count;
}

/* RFC 9110 section 5.6.7. strptime() follows the locale, which this program never sets. -1: it is none. */
static int64_t http_date_ms(const char *text)
{
	struct tm tm = {0};
	const char *end = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

	return end && *end == '\0' ? (int64_t)timegm(&tm) * 1000 : -1;
}

bool aws_clock_correct(struct aws_login *login, int64_t wall_ms, const struct ff_answer *answer)
{
	int64_t date_ms = http_date_ms(ff_headers_get(&answer->headers, "Date")), off_ms;

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

void aws_ask_file(struct ff_ask *ask, char *path_owned, enum aws_question question, size_t max)
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
		aws_ask_file(ask, path, credentials ? AWS_Q_CREDENTIALS : AWS_Q_CONFIG, AWS_INI_BYTES_MAX);
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
	if (cloud->account == NULL && cloud->login->tries < AWS_WHOAMI_TRIES)
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
			aws_source_next(cloud, ask, err);
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

void aws_login_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
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
			aws_token_file_read(login, ask, answer);
		break;
	case AWS_Q_SSO_CACHE:
		aws_sso_cache_read(login, wall_ms + login->offset_ms, answer);
		break;
	case AWS_Q_SSO:
		aws_sso_read(login, answer);
		break;
	case AWS_Q_PROCESS:
		aws_process_read(login, answer);
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
