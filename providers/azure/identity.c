/*
 * Where a token comes from. The sources are tried in the order of the SDKs' DefaultAzureCredential: environment
 * (secret, then certificate), workload identity, managed identity, Azure CLI. One that is not configured is passed
 * over; one that is configured in full or by half and does not work ends the search: the operator meant it.
 */
#include "azure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES_MAX	   (64u << 10)
#define IDENTITY_BYTES_MAX (1u << 20)
#define PROBE_MS	   2000 /* off Azure nobody answers at 169.254.169.254, and nobody refuses either */
#define METADATA_MS	   20000
#define CLI_MS		   60000
#define RENEW_BEFORE_MS	   (5 * 60 * 1000)
#define CLI_LIFE_S	   300 /* the shortest that az hands out; used when it does not say */
#define ASSERTION_TYPE	   "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define IMDS_TOKEN_API	   "2018-02-01"
#define IMDS_INSTANCE_API  "2021-02-01"
#define APP_SERVICE_API	   "2019-08-01"

enum source { SECRET, CERTIFICATE, WORKLOAD, MANAGED, CLI, SOURCE_COUNT };

struct azure_login {
	char *tenant, *client, *secret, *certificate, *password, *token_file;
	char *imds, *app_endpoint, *app_header;

	enum source source; /* the one being asked; once it gave a token it stays */
	bool chosen;
	bool asked;	 /* an answer is awaited */
	char *assertion; /* the JWT to send next; NULL: the file is to be read first */
	char *token;
	int64_t renew_at;
	bool instance_asked;
	struct ff_buf tried; /* "client secret: ...; az: not installed" */
	struct ff_err failed;
};

static const char *const names[SOURCE_COUNT] = {
	[SECRET] = "client secret (AZURE_CLIENT_SECRET)",
	[CERTIFICATE] = "client certificate (AZURE_CLIENT_CERTIFICATE_PATH)",
	[WORKLOAD] = "workload identity (AZURE_FEDERATED_TOKEN_FILE)",
	[MANAGED] = "managed identity",
	[CLI] = "az",
};
static const char *const short_names[SOURCE_COUNT] = {
	[SECRET] = "client secret",
	[CERTIFICATE] = "client certificate",
	[WORKLOAD] = "workload identity",
	[MANAGED] = "managed identity",
	[CLI] = "az",
};

/* ---------------------------------------------------------------- settings */

static char *variable(const struct ff_env *env, const char *name)
{
	return ff_strdup(env->get(env->self, name));
}

static int url_setting(char **url, const char *name, struct ff_err *err)
{
	size_t len = *url ? strlen(*url) : 0;

	while (len > 0 && (*url)[len - 1] == '/')
		(*url)[--len] = '\0';
	if (*url != NULL && ff_url_check(*url, err) < 0)
		return ff_wrap(err, "%s", name);
	return 0;
}

/* Tenants are GUIDs or domain names; the text becomes part of a URL. */
static int check_tenant(const char *tenant, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(tenant);

	for (const char *p = tenant; p != NULL && *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
			    *p == '.'))
			return ff_fail(err, FF_E_USAGE,
				"AZURE_TENANT_ID: '%s' is neither a tenant id nor a domain name", clean);
	return 0;
}

struct azure_login *azure_login_new(const struct ff_env *env, struct ff_err *err)
{
	struct azure_login *l = ff_calloc(1, sizeof(*l));

	l->tenant = variable(env, "AZURE_TENANT_ID");
	l->client = variable(env, "AZURE_CLIENT_ID");
	l->secret = variable(env, "AZURE_CLIENT_SECRET");
	l->certificate = variable(env, "AZURE_CLIENT_CERTIFICATE_PATH");
	l->password = variable(env, "AZURE_CLIENT_CERTIFICATE_PASSWORD");
	l->token_file = variable(env, "AZURE_FEDERATED_TOKEN_FILE");
	l->imds = variable(env, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
	l->app_endpoint = variable(env, "IDENTITY_ENDPOINT");
	l->app_header = variable(env, "IDENTITY_HEADER");
	if (l->imds == NULL)
		l->imds = ff_strdup("http://169.254.169.254");
	if (l->app_header == NULL) { /* without the header it is Azure Arc's, which works otherwise */
		free(l->app_endpoint);
		l->app_endpoint = NULL;
	}
	if (url_setting(&l->imds, "AZURE_POD_IDENTITY_AUTHORITY_HOST", err) < 0 ||
		url_setting(&l->app_endpoint, "IDENTITY_ENDPOINT", err) < 0 || check_tenant(l->tenant, err) < 0) {
		azure_login_free(l);
		return NULL;
	}
	return l;
}

static void drop_secret(char **text)
{
	ff_free_secret(*text);
	*text = NULL;
}

void azure_login_free(struct azure_login *l)
{
	if (l == NULL)
		return;
	free(l->tenant);
	free(l->client);
	free(l->certificate);
	free(l->token_file);
	free(l->imds);
	free(l->app_endpoint);
	drop_secret(&l->secret);
	drop_secret(&l->password);
	drop_secret(&l->app_header);
	drop_secret(&l->assertion);
	drop_secret(&l->token);
	ff_buf_free(&l->tried);
	free(l);
}

/* ---------------------------------------------------------------- outcome of a source */

static void tried(struct azure_login *l, const char *why)
{
	ff_buf_addf(&l->tried, "%s%s: %s", l->tried.len ? "; " : "", short_names[l->source], why);
}

/* The end: nothing further is tried. */
static void refuse(struct azure_login *l, const char *why)
{
	tried(l, why);
	ff_fail(&l->failed, FF_E_AUTH, "no Azure credential worked: %s", l->tried.text);
	ff_buf_free(&l->tried);
}

/* The source is not there: the next one, unless this one has worked before. */
static void pass_over(struct azure_login *l, const char *why)
{
	if (l->chosen || l->source + 1 == SOURCE_COUNT) {
		refuse(l, why);
		return;
	}
	tried(l, why);
	l->source++;
}

/* ---------------------------------------------------------------- asking */

/* What a source of the environment lacks beside its own variable; NULL: nothing. */
static const char *missing(const struct azure_login *l)
{
	if (l->tenant == NULL && l->client == NULL)
		return "AZURE_TENANT_ID and AZURE_CLIENT_ID are not set";
	if (l->tenant == NULL)
		return "AZURE_TENANT_ID is not set";
	return l->client == NULL ? "AZURE_CLIENT_ID is not set" : NULL;
}

static char *token_url(const struct ff_cloud *cloud)
{
	return ff_printf("%s/%s/oauth2/v2.0/token", cloud->authority, cloud->login->tenant);
}

static void secret_ask(struct ff_ask *ask, enum azure_question question)
{
	ask->tag = question;
	ask->secret = true;
	ask->answer_bytes_max = IDENTITY_BYTES_MAX;
}

/* Client credentials grant: with the secret, or with an assertion. */
static void ask_token(const struct ff_cloud *cloud, struct ff_ask *ask)
{
	const struct azure_login *l = cloud->login;
	ff_auto_free char *url = token_url(cloud), *scope = ff_printf("%s.default", cloud->which->audience);
	struct ff_buf form = {0};

	ff_form_add(&form, "grant_type", "client_credentials");
	ff_form_add(&form, "client_id", l->client);
	if (l->source == SECRET) {
		ff_form_add(&form, "client_secret", l->secret);
	} else {
		ff_form_add(&form, "client_assertion_type", ASSERTION_TYPE);
		ff_form_add(&form, "client_assertion", l->assertion);
	}
	ff_form_add(&form, "scope", scope);
	ff_ask_http(ask, "POST", "%s", url);
	secret_ask(ask, AZ_Q_TOKEN);
	ff_headers_set(&ask->headers, "Accept", "application/json");
	ff_ask_body(ask, "application/x-www-form-urlencoded", ff_buf_take(&form));
}

static void ask_file(struct ff_ask *ask, const char *path)
{
	*ask = (struct ff_ask){.kind = FF_ASK_FILE, .path = ff_strdup(path)};
	secret_ask(ask, AZ_Q_FILE);
}

static void ask_managed(const struct ff_cloud *cloud, struct ff_ask *ask)
{
	const struct azure_login *l = cloud->login;
	ff_auto_free char *resource = ff_percent_encode(cloud->which->audience);
	ff_auto_free char *client = l->client ? ff_percent_encode(l->client) : NULL;
	const char *with = client ? "&client_id=" : "";

	if (l->app_endpoint != NULL) {
		ff_ask_http(ask, "GET", "%s?api-version=%s&resource=%s%s%s", l->app_endpoint, APP_SERVICE_API, resource,
			with, client ? client : "");
		ff_headers_set(&ask->headers, "X-IDENTITY-HEADER", l->app_header);
	} else {
		ff_ask_http(ask, "GET", "%s/metadata/identity/oauth2/token?api-version=%s&resource=%s%s%s", l->imds,
			IMDS_TOKEN_API, resource, with, client ? client : "");
		ff_headers_set(&ask->headers, "Metadata", "true");
	}
	secret_ask(ask, AZ_Q_IMDS);
	ask->direct = true;
	ask->timeout_ms = l->chosen ? METADATA_MS : PROBE_MS;
}

static void ask_cli(const struct ff_cloud *cloud, struct ff_ask *ask)
{
	const char *const argv[] = {
		"az", "account", "get-access-token", "--resource", cloud->which->audience, "-o", "json"};

	*ask = (struct ff_ask){.kind = FF_ASK_EXEC, .timeout_ms = CLI_MS};
	for (size_t i = 0; i < FF_COUNT(argv); i++)
		ff_strv_add(&ask->argv, argv[i]);
	secret_ask(ask, AZ_Q_CLI);
}

/* Ask the current source, or move on. 1: ask is filled; 0: look again. */
static int ask_source(struct ff_cloud *cloud, struct ff_ask *ask)
{
	struct azure_login *l = cloud->login;
	const char *own = l->source == SECRET	     ? l->secret
			  : l->source == CERTIFICATE ? l->certificate
			  : l->source == WORKLOAD    ? l->token_file
						     : NULL;

	if (l->source == MANAGED) {
		ask_managed(cloud, ask);
	} else if (l->source == CLI) {
		ask_cli(cloud, ask);
	} else if (own == NULL) {
		l->source++;
		return 0;
	} else if (missing(l) != NULL) {
		refuse(l, missing(l));
		return 0;
	} else if (l->source != SECRET && l->assertion == NULL) {
		ask_file(ask, own);
	} else {
		ask_token(cloud, ask);
		drop_secret(&l->assertion);
	}
	return 1;
}

static void ask_instance(const struct ff_cloud *cloud, struct ff_ask *ask)
{
	ff_ask_http(ask, "GET", "%s/metadata/instance?api-version=%s", cloud->login->imds, IMDS_INSTANCE_API);
	ff_headers_set(&ask->headers, "Metadata", "true");
	ask->tag = AZ_Q_INSTANCE;
	ask->direct = true;
	ask->timeout_ms = PROBE_MS;
	ask->answer_bytes_max = IDENTITY_BYTES_MAX;
}

enum ff_turn azure_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	struct azure_login *l = cloud->login;

	if (l->asked)
		return FF_TURN_WAIT;
	if (l->token != NULL && wall_ms >= l->renew_at)
		azure_login_reset(cloud);
	while (l->token == NULL && l->failed.class == FF_E_NONE)
		if (ask_source(cloud, ask) == 1) {
			l->asked = true;
			return FF_TURN_ASK;
		}
	if (l->failed.class != FF_E_NONE) {
		*err = l->failed;
		l->failed = (struct ff_err){0}; /* a later attempt begins anew */
		if (!l->chosen)
			l->source = SECRET;
		return FF_TURN_FAILED;
	}
	if (cloud->subscription == NULL && l->source == MANAGED && l->app_endpoint == NULL && !l->instance_asked) {
		ask_instance(cloud, ask);
		l->instance_asked = l->asked = true;
		return FF_TURN_ASK;
	}
	if (cloud->subscription == NULL) {
		ff_fail(err, FF_E_AUTH,
			"the resource group's subscription is not known: give --subscription ID, set "
			"AZURE_SUBSCRIPTION_ID, or sign in with az");
		return FF_TURN_FAILED;
	}
	return FF_TURN_DONE;
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
		refuse(l, "the answer holds no token");
		return;
	}
	if (life_ms < 60 * 1000)
		life_ms = 60 * 1000;
	if (life_ms > 86400 * 1000)
		life_ms = 86400 * 1000;
	drop_secret(&l->token);
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
		refuse(l, why);
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
	ff_auto_free char *why = NULL, *url = token_url(cloud);
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
		refuse(l, why);
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
		body = ff_json_parse(answer->body, answer->body_len, IDENTITY_BYTES_MAX, NULL);
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

void azure_login_reset(struct ff_cloud *cloud)
{
	drop_secret(&cloud->login->token);
	drop_secret(&cloud->login->assertion);
	cloud->login->renew_at = 0;
}

int64_t azure_login_renew_at(const struct ff_cloud *cloud)
{
	return cloud->login->token ? cloud->login->renew_at : 0;
}

const char *azure_login_name(const struct ff_cloud *cloud)
{
	return names[cloud->login->source];
}

const char *azure_login_token(const struct ff_cloud *cloud)
{
	return cloud->login->token;
}
