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

/* Whatever number was answered: nothing to two days. */
static int64_t life_ms_of(int64_t life_s)
{
	if (life_s < 0)
		return 0;
	return (life_s < 86400 * 2 ? life_s : 86400 * 2) * 1000;
}

static void read_token(
	const struct azure_login *l, const struct ff_answer *answer, const json_t *body, struct azure_grant *grant)
{
	if (answer->transport != FF_T_OK)
		grant->why = ff_printf("the sign-in endpoint could not be reached: %s", answer->why);
	else if (answer->status != 200)
		grant->why = refusal(l, answer, body);
	grant->token = ff_strdup(ff_json_str(body, "access_token"));
	grant->life_ms = life_ms_of(ff_json_int(body, "expires_in", 0));
}

static void read_managed(const struct azure_login *l, int64_t wall_ms, const struct ff_answer *answer,
	const json_t *body, struct azure_grant *grant)
{
	ff_auto_free char *host = ff_url_hostname(l->app_endpoint ? l->app_endpoint : l->imds), *said = NULL;
	int64_t expires_on = ff_json_int(body, "expires_on", 0), now_s = wall_ms / 1000;
	int64_t life = ff_json_int(body, "expires_in", 0);

	if (answer->transport != FF_T_OK) {
		grant->why = ff_printf("no answer from %s", host);
	} else if (answer->status != 200) { /* 400: the machine has no such identity */
		said = refusal(l, answer, body);
		grant->why = ff_printf("%s: %s", host, said);
	}
	grant->absent = grant->why != NULL;
	if (life <= 0 && expires_on > now_s && expires_on - now_s < 86400 * 2)
		life = expires_on - now_s;
	grant->token = ff_strdup(ff_json_str(body, "access_token"));
	grant->life_ms = life_ms_of(life);
}

static void read_cli(int64_t wall_ms, const struct ff_answer *answer, const json_t *body, struct azure_grant *grant)
{
	int64_t expires_on = ff_json_int(body, "expires_on", 0), now_s = wall_ms / 1000;

	if (answer->transport == FF_T_LOCAL && answer->status == ENOENT)
		grant->why = ff_strdup("not installed");
	else if (answer->transport != FF_T_OK)
		grant->why = ff_printf("%s", *answer->why ? answer->why : "could not be run");
	else if (answer->status != 0)
		grant->why = ff_printf("ended with status %d: 'az login' may be needed", answer->status);
	grant->absent = grant->why != NULL;
	if (expires_on <= now_s || expires_on - now_s > 86400 * 2) /* not said: expiresOn is some local time */
		expires_on = now_s + CLI_LIFE_S;
	grant->token = ff_strdup(ff_json_str(body, "accessToken"));
	grant->life_ms = (expires_on - now_s) * 1000;
}

/* jansson frees without wiping: the token's copy in the parsed answer is overwritten in place. */
static void wipe_member(const json_t *body, const char *key)
{
	const json_t *text = ff_json_at(body, key);

	if (json_is_string(text))
		ff_wipe((char *)json_string_value(text), json_string_length(text));
}

static json_t *parse(const struct ff_answer *answer)
{
	if (answer->transport != FF_T_OK || answer->body_len == 0)
		return NULL;
	return ff_json_parse(answer->body, answer->body_len, AZURE_IDENTITY_BYTES_MAX, NULL);
}

void azure_grant_read(const struct azure_login *l, int tag, int64_t wall_ms, const struct ff_answer *answer,
	struct azure_grant *grant)
{
	ff_auto_json json_t *body = parse(answer);

	*grant = (struct azure_grant){0};
	if (tag == AZ_Q_TOKEN)
		read_token(l, answer, body, grant);
	else if (tag == AZ_Q_IMDS)
		read_managed(l, wall_ms, answer, body, grant);
	else
		read_cli(wall_ms, answer, body, grant);
	if (grant->why == NULL && !token_ok(grant->token))
		grant->why = ff_strdup("the answer holds no token");
	wipe_member(body, "access_token");
	wipe_member(body, "accessToken");
}

void azure_grant_release(struct azure_grant *grant)
{
	ff_free_secret(grant->token);
	free(grant->why);
	*grant = (struct azure_grant){0};
}

void azure_token_keep(struct azure_token *token, int64_t wall_ms, struct azure_grant *grant)
{
	int64_t life_ms = grant->life_ms;

	if (life_ms < 60 * 1000)
		life_ms = 60 * 1000;
	if (life_ms > 86400 * 1000)
		life_ms = 86400 * 1000;
	azure_drop_secret(&token->text);
	token->text = FF_STEAL(grant->token);
	token->renew_at = wall_ms + (life_ms > 2 * RENEW_BEFORE_MS ? life_ms - RENEW_BEFORE_MS : life_ms / 2);
}

/* The certificate, or the federated token: either becomes the assertion of the token request. */
char *azure_file_assertion(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_answer *answer, char **why)
{
	const struct azure_login *l = cloud->login;
	const char *path = l->source == CERTIFICATE ? l->certificate : l->token_file, *body = answer->body;
	ff_auto_free char *url = azure_token_url(cloud);
	struct ff_err err = {0};
	char *assertion = NULL;

	if (answer->transport != FF_T_OK || answer->status != 0) {
		*why = ff_printf(
			"'%s' cannot be read: %s", path, *answer->why ? answer->why : strerror(answer->status));
	} else if (l->source == CERTIFICATE) {
		assertion =
			azure_assertion(body ? body : "", answer->body_len, l->password, url, l->client, wall_ms, &err);
		if (assertion == NULL)
			*why = ff_printf("'%s': %s", path, err.text);
	} else {
		assertion = ff_strndup(body ? body : "", answer->body_len);
		assertion[strcspn(assertion, " \t\r\n")] = '\0';
		if (!token_ok(assertion)) {
			azure_drop_secret(&assertion);
			*why = ff_printf("'%s' holds no token", path);
		}
	}
	return assertion;
}

/* ---------------------------------------------------------------- signing in */

/* A source answered with a token, or not: then it is the end, or the next one's turn. */
static void take(struct azure_login *l, int64_t wall_ms, struct azure_grant *grant)
{
	if (grant->why != NULL && grant->absent) {
		pass_over(l, grant->why);
	} else if (grant->why != NULL) {
		azure_login_refuse(l, grant->why);
	} else {
		azure_token_keep(&l->tokens[AZ_FOR_ARM], wall_ms, grant);
		l->chosen = true;
		ff_buf_free(&l->tried);
	}
}

static void read_file(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_answer *answer)
{
	ff_auto_free char *why = NULL;

	cloud->login->assertion = azure_file_assertion(cloud, wall_ms, answer, &why);
	if (why != NULL)
		azure_login_refuse(cloud->login, why);
}

/* az and the machine's metadata know the subscription. */
static void read_subscription(struct ff_cloud *cloud, const char *path, const struct ff_answer *answer)
{
	ff_auto_json json_t *body = parse(answer);
	const char *subscription = ff_json_str(body, path);

	if (cloud->subscription == NULL && azure_is_guid(subscription))
		azure_set_subscription(cloud, subscription);
}

void azure_login_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct azure_login *l = cloud->login;
	struct azure_grant grant = {0};

	l->asked = false;
	switch (ask->tag) {
	case AZ_Q_FILE:
		read_file(cloud, wall_ms, answer);
		break;
	case AZ_Q_TOKEN:
	case AZ_Q_IMDS:
	case AZ_Q_CLI:
		azure_grant_read(l, ask->tag, wall_ms, answer, &grant);
		take(l, wall_ms, &grant);
		if (ask->tag == AZ_Q_CLI && l->tokens[AZ_FOR_ARM].text != NULL)
			read_subscription(cloud, "subscription", answer);
		break;
	case AZ_Q_INSTANCE:
		read_subscription(cloud, "compute/subscriptionId", answer);
		break;
	default:
		break;
	}
	azure_grant_release(&grant);
}
