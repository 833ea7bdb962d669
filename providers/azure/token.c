/* What the sources of tokens answered, and what becomes of one that does not work. */
#include "identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES_MAX (64u << 10)
#define RENEW_BEFORE_MS (5 * 60 * 1000)
#define CLI_LIFE_S	300 /* the shortest that az hands out; used when it does not say */

static const char *const short_names[SOURCE_COUNT] = {
	[SECRET] = "client secret",
	[CERTIFICATE] = "client certificate",
	[WORKLOAD] = "workload identity",
	[MANAGED] = "managed identity",
	[CLI] = "az",
};

/* ---------------------------------------------------------------- outcome of a source */

static void tried(struct azure_login *l, const char *why)
{
	ff_buf_addf(&l->tried, "%s%s: %s", l->tried.len ? "; " : "", short_names[l->source], why);
}

void azure_login_refuse(struct azure_login *l, const char *why)
{
	tried(l, why);
	ff_fail(&l->failed, FF_E_AUTH, "no Azure credential worked: %s", l->tried.text);
	ff_buf_free(&l->tried);
}

/* The source is not there: the next one, unless this one has worked before. */
static void pass_over(struct azure_login *l, const char *why)
{
	if (l->chosen || l->source + 1 == SOURCE_COUNT) {
		azure_login_refuse(l, why);
		return;
	}
	tried(l, why);
	l->source++;
}

/* ---------------------------------------------------------------- reading */

/* A token goes into a header: visible ASCII only. */
static bool token_ok(const char *token)
{
	size_t len = token ? strlen(token) : 0;

	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] >= 0x7f)
			return false;
	return len > 0 && len <= TOKEN_BYTES_MAX;
}

/* Take the token; it is renewed five minutes before its end, or at half of a short life. */
static void take_token(struct azure_login *l, int64_t wall_ms, const char *token, int64_t life_ms)
{
	if (!token_ok(token)) {
		azure_login_refuse(l, "the answer holds no token");
		return;
	}
	if (life_ms < 60 * 1000)
		life_ms = 60 * 1000;
	if (life_ms > 86400 * 1000)
		life_ms = 86400 * 1000;
	azure_drop_secret(&l->token);
	l->token = ff_strdup(token);
	l->renew_at = wall_ms + (life_ms > 2 * RENEW_BEFORE_MS ? life_ms - RENEW_BEFORE_MS : life_ms / 2);
	l->chosen = true;
	ff_buf_free(&l->tried);
}

/* What a refusal says, without anything secret: the first sentence of error_description. */
static char *refusal(const struct azure_login *l, const struct ff_answer *answer, const json_t *body)
{
	const char *text = ff_json_str(body, "error_description");
	char *clean, *cut;

	if (text == NULL)
		text = ff_json_str(body, "error");
	if (text != NULL && l->secret != NULL && strstr(text, l->secret) != NULL)
		text = NULL;
	if (text == NULL)
		return ff_printf("status %d", answer->status);
	clean = azure_squeeze(text, 300);
	cut = strstr(clean, " Trace ID");
	if (cut != NULL)
		*cut = '\0';
	return clean;
}

static void read_token(struct azure_login *l, int64_t wall_ms, const struct ff_answer *answer, const json_t *body)
{
	ff_auto_free char *why = NULL;

	if (answer->transport != FF_T_OK)
		why = ff_printf("the sign-in endpoint could not be reached: %s", answer->why);
	else if (answer->status != 200)
		why = refusal(l, answer, body);
	if (why != NULL)
		azure_login_refuse(l, why);
	else
		take_token(l, wall_ms, ff_json_str(body, "access_token"), ff_json_int(body, "expires_in", 0) * 1000);
}

static void read_managed(struct azure_login *l, int64_t wall_ms, const struct ff_answer *answer, const json_t *body)
{
	ff_auto_free char *host = ff_url_hostname(l->app_endpoint ? l->app_endpoint : l->imds), *why = NULL;
	ff_auto_free char *said = NULL;
	int64_t expires_on = ff_json_int(body, "expires_on", 0), now_s = wall_ms / 1000;
	int64_t life = ff_json_int(body, "expires_in", 0);

	if (answer->transport != FF_T_OK) {
		why = ff_printf("no answer from %s", host);
		pass_over(l, why);
		return;
	}
	if (answer->status != 200) { /* 400: the machine has no such identity */
		said = refusal(l, answer, body);
		why = ff_printf("%s: %s", host, said);
		pass_over(l, why);
		return;
	}
	if (life <= 0 && expires_on > now_s && expires_on - now_s < 86400 * 2)
		life = expires_on - now_s;
	if (life > 86400 * 2)
		life = 86400 * 2;
	take_token(l, wall_ms, ff_json_str(body, "access_token"), life * 1000);
}

static void read_cli(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_answer *answer, const json_t *body)
{
	struct azure_login *l = cloud->login;
	const char *subscription = ff_json_str(body, "subscription");
	int64_t expires_on = ff_json_int(body, "expires_on", 0), now_s = wall_ms / 1000;
	ff_auto_free char *why = NULL;

	if (answer->transport == FF_T_LOCAL && answer->status == ENOENT)
		why = ff_strdup("not installed");
	else if (answer->transport != FF_T_OK)
		why = ff_printf("%s", *answer->why ? answer->why : "could not be run");
	else if (answer->status != 0)
		why = ff_printf("ended with status %d: 'az login' may be needed", answer->status);
	if (why != NULL) {
		pass_over(l, why);
		return;
	}
	if (expires_on <= now_s || expires_on - now_s > 86400 * 2) /* not said: expiresOn is some local time */
		expires_on = now_s + CLI_LIFE_S;
	take_token(l, wall_ms, ff_json_str(body, "accessToken"), (expires_on - now_s) * 1000);
	if (l->token != NULL && cloud->subscription == NULL && azure_is_guid(subscription))
		azure_set_subscription(cloud, subscription);
}

/* The certificate, or the federated token: either becomes the assertion of the token request. */
static void read_file(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct azure_login *l = cloud->login;
	ff_auto_free char *why = NULL, *url = azure_token_url(cloud);
	struct ff_err err = {0};

	if (answer->transport != FF_T_OK || answer->status != 0) {
		why = ff_printf("'%s' cannot be read: %s", ask->path ? ask->path : "",
			*answer->why ? answer->why : strerror(answer->status));
	} else if (l->source == CERTIFICATE) {
		l->assertion = azure_assertion(
			answer->body ? answer->body : "", answer->body_len, l->password, url, l->client, wall_ms, &err);
		if (l->assertion == NULL)
			why = ff_printf("'%s': %s", ask->path ? ask->path : "", err.text);
	} else {
		char *text = ff_strndup(answer->body ? answer->body : "", answer->body_len);

		text[strcspn(text, " \t\r\n")] = '\0';
		if (token_ok(text))
			l->assertion = ff_strdup(text);
		else
			why = ff_printf("'%s' holds no token", ask->path ? ask->path : "");
		ff_free_secret(text);
	}
	if (why != NULL)
		azure_login_refuse(l, why);
}

static void read_instance(struct ff_cloud *cloud, const json_t *body)
{
	const char *subscription = ff_json_str(body, "compute/subscriptionId");

	if (cloud->subscription == NULL && azure_is_guid(subscription))
		azure_set_subscription(cloud, subscription);
}

/* jansson frees without wiping: the token's copy in the parsed answer is overwritten in place. */
static void wipe_member(const json_t *body, const char *key)
{
	const json_t *text = ff_json_at(body, key);

	if (json_is_string(text))
		ff_wipe((char *)json_string_value(text), json_string_length(text));
}

void azure_login_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	ff_auto_json json_t *body = NULL;

	cloud->login->asked = false;
	if (ask->tag != AZ_Q_FILE && answer->transport == FF_T_OK && answer->body_len > 0)
		body = ff_json_parse(answer->body, answer->body_len, AZURE_IDENTITY_BYTES_MAX, NULL);
	switch (ask->tag) {
	case AZ_Q_FILE:
		read_file(cloud, wall_ms, ask, answer);
		break;
	case AZ_Q_TOKEN:
		read_token(cloud->login, wall_ms, answer, body);
		break;
	case AZ_Q_IMDS:
		read_managed(cloud->login, wall_ms, answer, body);
		break;
	case AZ_Q_CLI:
		read_cli(cloud, wall_ms, answer, body);
		break;
	case AZ_Q_INSTANCE:
		read_instance(cloud, body);
		break;
	default:
		break;
	}
	wipe_member(body, "access_token");
	wipe_member(body, "accessToken");
}
