/*
 * Where a token comes from: section 9 of the facts. First the file that gcloud takes, then application default
 * credentials: GOOGLE_APPLICATION_CREDENTIALS, the well-known file, the metadata server. A source that is not
 * configured is passed over, one that is configured and refused ends the search: another identity than the one that was
 * meant is no help.
 */
#include "login.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENEW_BEFORE_MS 225000 /* 3 min 45 s, as Google's libraries */
#define FILE_LIFE_MS	300000 /* nobody says how long a token in a file lives: it is read again that often */
#define PING_TIMEOUT_MS 3000
#define METADATA_TOKEN	"/computeMetadata/v1/instance/service-accounts/default/token"

/* ---------------------------------------------------------------- asking */

int gcp_login_refuse(struct gcp_login *login, const char *fmt, ...)
{
	ff_auto_buf text = {0};
	va_list ap;
	char *why;

	va_start(ap, fmt);
	why = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_buf_adds(&text, "no GCP credential worked");
	for (size_t i = 0; i < login->tried.count; i++)
		ff_buf_addf(&text, "%s%s", i ? "; " : ": ", login->tried.items[i]);
	ff_buf_addf(&text, "%s%s", login->tried.count ? "; " : ": ", why);
	free(why);
	login->stage = GCP_L_FAILED;
	return ff_fail(&login->error, FF_E_AUTH, "%s", text.text);
}

static void source(struct gcp_login *login, enum gcp_stage stage, const char *name, const char *detail)
{
	login->stage = stage;
	free(login->name);
	login->name = detail ? ff_printf("%s '%s'", name, detail) : ff_strdup(name);
}

/* The next source after `stage`; those that are not configured are noted and passed over. */
static void next_source(struct gcp_login *login, enum gcp_stage after)
{
	switch (after) {
	case GCP_L_BEGIN:
		ff_strv_free(&login->tried);
		if (login->token_file != NULL) {
			source(login, GCP_L_TOKEN_FILE, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", login->token_file);
			return;
		}
		ff_strv_add(&login->tried, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE is not set");
		if (login->env_file != NULL) {
			source(login, GCP_L_ENV, "GOOGLE_APPLICATION_CREDENTIALS", login->env_file);
			return;
		}
		ff_strv_add(&login->tried, "GOOGLE_APPLICATION_CREDENTIALS is not set");
		if (login->well_known != NULL) {
			source(login, GCP_L_WELL_KNOWN, "application default credentials", login->well_known);
			return;
		}
		ff_strv_add(&login->tried, "neither CLOUDSDK_CONFIG nor HOME is set");
		/* fall through */
	case GCP_L_WELL_KNOWN:
		source(login, login->metadata_named ? GCP_L_METADATA : GCP_L_PING, "metadata server",
			login->metadata_named ? login->metadata_host : NULL);
		return;
	default:
		gcp_login_refuse(login, "%s cannot be used", login->name);
	}
}

static void ask_file(struct ff_ask *ask, const char *path, size_t bytes_max)
{
	*ask = (struct ff_ask){.kind = FF_ASK_FILE, .path = ff_strdup(path), .secret = true};
	ask->answer_bytes_max = bytes_max;
}

static void ask_metadata(struct ff_ask *ask, const char *host, const char *path)
{
	ff_ask_http(ask, "GET", "http://%s%s", host, path);
	ff_headers_set(&ask->headers, "Metadata-Flavor", "Google");
	ask->direct = true;
	ask->secret = true;
	ask->timeout_ms = PING_TIMEOUT_MS;
	ask->answer_bytes_max = GCP_TOKEN_BYTES;
}

static int fill(struct gcp_login *login, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	switch (login->stage) {
	case GCP_L_TOKEN_FILE:
		ask_file(ask, login->token_file, GCP_TOKEN_BYTES);
		return 0;
	case GCP_L_ENV:
		ask_file(ask, login->env_file, GCP_CREDENTIAL_BYTES);
		return 0;
	case GCP_L_WELL_KNOWN:
		ask_file(ask, login->well_known, GCP_CREDENTIAL_BYTES);
		return 0;
	case GCP_L_PING:
		ask_metadata(ask, login->metadata_ip, "/");
		return 0;
	case GCP_L_METADATA:
		ask_metadata(ask, login->metadata_host, METADATA_TOKEN);
		return 0;
	case GCP_L_CACHED:
	case GCP_L_SUBJECT:
		return gcp_external_ask(login, ask, err);
	case GCP_L_HOP:
		return gcp_hop_ask(login, ask, err);
	default:
		return gcp_exchange_ask(login, wall_ms, ask, err);
	}
}

enum ff_turn gcp_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	struct gcp_login *login = cloud->login;
	struct ff_err why = {0};

	if (login->stage == GCP_L_DONE && wall_ms < gcp_login_renew_at(cloud))
		return FF_TURN_DONE;
	if (login->stage == GCP_L_DONE)
		gcp_login_reset(cloud);
	if (login->stage == GCP_L_BEGIN)
		next_source(login, GCP_L_BEGIN);
	if (login->stage != GCP_L_FAILED && fill(login, wall_ms, ask, &why) < 0) {
		ff_ask_release(ask);
		gcp_login_refuse(login, "%s: %s", login->name, why.text);
	}
	if (login->stage == GCP_L_FAILED) {
		*err = login->error;
		return FF_TURN_FAILED;
	}
	ask->tag = (int)login->stage;
	return FF_TURN_ASK;
}

/* ---------------------------------------------------------------- reading */

static bool token_plausible(const char *token)
{
	size_t len = token ? strlen(token) : 0;

	if (len == 0 || len > 16384)
		return false;
	for (; *token != '\0'; token++) /* it becomes a header */
		if (*token <= ' ' || *token > '~')
			return false;
	return true;
}

static int set_token(struct gcp_login *login, int64_t wall_ms, const char *token, int64_t expires_ms)
{
	if (!token_plausible(token))
		return gcp_login_refuse(login, "%s: the answer holds no token", login->name);
	ff_free_secret(login->token);
	login->token = ff_strdup(token);
	login->obtained_ms = wall_ms;
	login->expires_ms = expires_ms;
	login->stage = GCP_L_DONE;
	return 0;
}

static void read_token_file(struct gcp_login *login, int64_t wall_ms, const struct ff_answer *answer)
{
	char *token = ff_strndup(answer->body ? answer->body : "", answer->body_len);
	size_t len = strlen(token);

	while (len > 0 && (unsigned char)token[len - 1] <= ' ')
		token[--len] = '\0';
	if (answer->transport != FF_T_OK || answer->status != 0)
		gcp_login_refuse(login, "%s cannot be read: %s", login->name,
			answer->status > 0 ? strerror(answer->status) : answer->why);
	else
		set_token(login, wall_ms, token, wall_ms + FILE_LIFE_MS);
	ff_free_secret(token);
}

static void read_credential(struct ff_cloud *cloud, const struct ff_answer *answer)
{
	struct gcp_login *login = cloud->login;
	bool absent = answer->status == ENOENT || answer->status == ENOTDIR;
	struct ff_err why = {0};
	json_t *file;

	if (login->stage == GCP_L_WELL_KNOWN && absent) {
		ff_strv_addf(&login->tried, "'%s' does not exist", login->well_known);
		next_source(login, GCP_L_WELL_KNOWN);
		return;
	}
	if (answer->transport != FF_T_OK || answer->status != 0) {
		gcp_login_refuse(login, "%s cannot be read: %s", login->name,
			answer->status > 0 ? strerror(answer->status) : answer->why);
		return;
	}
	file = ff_json_parse(
		answer->body, answer->body_len, GCP_CREDENTIAL_BYTES, NULL); /* its error might quote a key */
	if (gcp_credential_take(login, file, cloud->overridden, &why) < 0)
		gcp_login_refuse(login, "%s: %s", login->name, why.text);
}

static bool is_metadata(const struct ff_answer *answer)
{
	return answer->transport == FF_T_OK && ff_streq(ff_headers_get(&answer->headers, "Metadata-Flavor"), "Google");
}

/* access_token and expires_in of a token endpoint. An impersonation answers accessToken and expireTime. */
static void read_token(struct gcp_login *login, int64_t wall_ms, const struct ff_answer *answer)
{
	struct ff_err why = {0};
	json_t *body = NULL;
	int64_t expires_ms = 0, life_s;

	if (gcp_reply(answer, &body, &why) != FF_E_NONE) {
		gcp_login_refuse(login, "%s: %.700s%s", login->name, why.text,
			ff_contains_nocase(why.text, "invalid_grant")
				? " (sign in again: gcloud auth application-default login)"
				: "");
		return;
	}
	if (login->stage == GCP_L_HOP) {
		if (ff_time_parse(ff_json_str(body, "expireTime"), &expires_ms) < 0)
			expires_ms = wall_ms + FILE_LIFE_MS;
		login->hop++;
		set_token(login, wall_ms, ff_json_str(body, "accessToken"), expires_ms);
	} else {
		life_s = ff_json_int(body, "expires_in", 0);
		life_s = life_s < 0 ? 0 : life_s > 86400 ? 86400 : life_s;
		if (ff_streq(ff_json_str(login->leaf, "type"), "external_account_authorized_user") &&
			ff_json_str(body, "refresh_token") != NULL) {
			ff_free_secret(login->rotated);
			login->rotated = ff_strdup(ff_json_str(body, "refresh_token"));
		}
		set_token(login, wall_ms, ff_json_str(body, "access_token"), wall_ms + life_s * 1000);
	}
	if (login->stage == GCP_L_DONE && login->hop < login->hop_count)
		login->stage = GCP_L_HOP;
	gcp_json_wipe(body);
}

static void read_metadata(struct gcp_login *login, int64_t wall_ms, const struct ff_answer *answer)
{
	if (answer->transport != FF_T_OK)
		gcp_login_refuse(login, "%s: %s", login->name, answer->why);
	else if (!is_metadata(answer))
		gcp_login_refuse(login, "%s: what answers there is no metadata server", login->name);
	else if (answer->status == 404)
		gcp_login_refuse(login, "%s: this VM has no service account", login->name);
	else
		read_token(login, wall_ms, answer);
}

void gcp_login_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct gcp_login *login = cloud->login;
	struct ff_err why = {0};

	if (ask->tag != (int)login->stage) /* of a login that was begun anew since */
		return;
	switch (login->stage) {
	case GCP_L_TOKEN_FILE:
		read_token_file(login, wall_ms, answer);
		break;
	case GCP_L_ENV:
	case GCP_L_WELL_KNOWN:
		read_credential(cloud, answer);
		break;
	case GCP_L_PING:
		if (is_metadata(answer))
			login->stage = GCP_L_METADATA;
		else
			gcp_login_refuse(login, "no metadata server answers at %s", login->metadata_ip);
		break;
	case GCP_L_METADATA:
		read_metadata(login, wall_ms, answer);
		break;
	case GCP_L_CACHED:
	case GCP_L_SUBJECT:
		if (gcp_external_read(login, wall_ms, answer, &why) < 0)
			gcp_login_refuse(login, "%s: %s", login->name, why.text);
		break;
	default:
		read_token(login, wall_ms, answer);
	}
}

/* ---------------------------------------------------------------- the result */

void gcp_login_reset(struct ff_cloud *cloud)
{
	struct gcp_login *login = cloud->login;

	login->stage = GCP_L_BEGIN;
	login->hop = 0;
	login->leaf = NULL;
	login->hop_count = 0;
	gcp_json_wipe(login->file);
	login->file = NULL;
	ff_free_secret(login->token);
	login->token = NULL;
	ff_free_secret(login->subject);
	login->subject = NULL;
}

/* A token that lives shorter than the margin is renewed at half its life. */
int64_t gcp_login_renew_at(const struct ff_cloud *cloud)
{
	const struct gcp_login *login = cloud->login;
	int64_t life_ms = login->expires_ms - login->obtained_ms;

	if (life_ms < 2 * RENEW_BEFORE_MS)
		return login->obtained_ms + (life_ms > 0 ? life_ms / 2 : 0);
	return login->expires_ms - RENEW_BEFORE_MS;
}

const char *gcp_login_name(const struct ff_cloud *cloud)
{
	return cloud->login->name ? cloud->login->name : "";
}

const char *gcp_login_token(const struct ff_cloud *cloud)
{
	return cloud->login->token;
}

const char *gcp_login_quota(const struct ff_cloud *cloud)
{
	return cloud->login->quota ? cloud->login->quota : cloud->login->quota_setting;
}
