/*
 * Where a token comes from. The sources are tried in the order of the SDKs' DefaultAzureCredential: environment
 * (secret, then certificate), workload identity, managed identity, Azure CLI. One that is not configured is passed
 * over; one that is configured in full or by half and does not work ends the search: the operator meant it.
 */
#include "identity.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_MS	  2000 /* off Azure nobody answers at 169.254.169.254, and nobody refuses either */
#define METADATA_MS	  20000
#define CLI_MS		  60000
#define ASSERTION_TYPE	  "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define IMDS_TOKEN_API	  "2018-02-01"
#define IMDS_INSTANCE_API "2021-02-01"
#define APP_SERVICE_API	  "2019-08-01"

static const char *const names[SOURCE_COUNT] = {
	[SECRET] = "client secret (AZURE_CLIENT_SECRET)",
	[CERTIFICATE] = "client certificate (AZURE_CLIENT_CERTIFICATE_PATH)",
	[WORKLOAD] = "workload identity (AZURE_FEDERATED_TOKEN_FILE)",
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

void azure_drop_secret(char **text)
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
	azure_drop_secret(&l->secret);
	azure_drop_secret(&l->password);
	azure_drop_secret(&l->app_header);
	azure_drop_secret(&l->assertion);
	for (int i = 0; i < AZ_AUDIENCE_COUNT; i++)
		azure_drop_secret(&l->tokens[i].text);
	ff_buf_free(&l->tried);
	free(l);
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

char *azure_token_url(const struct ff_cloud *cloud)
{
	return ff_printf("%s/%s/oauth2/v2.0/token", cloud->authority, cloud->login->tenant);
}

static void secret_ask(struct ff_ask *ask, enum azure_question question)
{
	ask->tag = question;
	ask->secret = true;
	ask->answer_bytes_max = AZURE_IDENTITY_BYTES_MAX;
}

/* Client credentials grant: with the secret, or with an assertion. */
static void ask_token(const struct ff_cloud *cloud, const char *audience, const char *assertion, struct ff_ask *ask)
{
	const struct azure_login *l = cloud->login;
	ff_auto_free char *url = azure_token_url(cloud);
	ff_auto_free char *scope = ff_printf("%s%s.default", audience, ff_has_suffix(audience, "/") ? "" : "/");
	struct ff_buf form = {0};

	ff_form_add(&form, "grant_type", "client_credentials");
	ff_form_add(&form, "client_id", l->client);
	if (l->source == SECRET) {
		ff_form_add(&form, "client_secret", l->secret);
	} else {
		ff_form_add(&form, "client_assertion_type", ASSERTION_TYPE);
		ff_form_add(&form, "client_assertion", assertion);
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

static void ask_managed(const struct ff_cloud *cloud, const char *audience, struct ff_ask *ask)
{
	const struct azure_login *l = cloud->login;
	ff_auto_free char *resource = ff_percent_encode(audience);
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

static void ask_cli(const char *audience, struct ff_ask *ask)
{
	const char *const argv[] = {"az", "account", "get-access-token", "--resource", audience, "-o", "json"};

	*ask = (struct ff_ask){.kind = FF_ASK_EXEC, .timeout_ms = CLI_MS};
	for (size_t i = 0; i < FF_COUNT(argv); i++)
		ff_strv_add(&ask->argv, argv[i]);
	secret_ask(ask, AZ_Q_CLI);
}

/* What a source of the environment is set by; NULL: it is not set, or needs nothing set. */
static const char *own_setting(const struct azure_login *l)
{
	return l->source == SECRET	  ? l->secret
	       : l->source == CERTIFICATE ? l->certificate
	       : l->source == WORKLOAD	  ? l->token_file
					  : NULL;
}

void azure_source_ask(
	const struct ff_cloud *cloud, enum azure_audience audience, const char *assertion, struct ff_ask *ask)
{
	const struct azure_login *l = cloud->login;
	const char *whom = cloud->which->audiences[audience];

	if (l->source == MANAGED)
		ask_managed(cloud, whom, ask);
	else if (l->source == CLI)
		ask_cli(whom, ask);
	else if (l->source != SECRET && assertion == NULL)
		ask_file(ask, own_setting(l));
	else
		ask_token(cloud, whom, assertion, ask);
}

/* Ask the current source, or move on. 1: ask is filled; 0: look again. */
static int ask_source(struct ff_cloud *cloud, struct ff_ask *ask)
{
	struct azure_login *l = cloud->login;
	bool of_environment = l->source != MANAGED && l->source != CLI;

	if (of_environment && own_setting(l) == NULL) {
		l->source++;
		return 0;
	}
	if (of_environment && missing(l) != NULL) {
		azure_login_refuse(l, missing(l));
		return 0;
	}
	azure_source_ask(cloud, AZ_FOR_ARM, l->assertion, ask);
	azure_drop_secret(&l->assertion);
	return 1;
}

static void ask_instance(const struct ff_cloud *cloud, struct ff_ask *ask)
{
	ff_ask_http(ask, "GET", "%s/metadata/instance?api-version=%s", cloud->login->imds, IMDS_INSTANCE_API);
	ff_headers_set(&ask->headers, "Metadata", "true");
	ask->tag = AZ_Q_INSTANCE;
	ask->direct = true;
	ask->timeout_ms = PROBE_MS;
	ask->answer_bytes_max = AZURE_IDENTITY_BYTES_MAX;
}

enum ff_turn azure_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	struct azure_login *l = cloud->login;
	const struct azure_token *token = &l->tokens[AZ_FOR_ARM];

	if (l->asked)
		return FF_TURN_WAIT;
	if (token->text != NULL && wall_ms >= token->renew_at)
		azure_login_reset(cloud);
	while (token->text == NULL && l->failed.class == FF_E_NONE)
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

void azure_login_reset(struct ff_cloud *cloud)
{
	azure_drop_secret(&cloud->login->tokens[AZ_FOR_ARM].text);
	azure_drop_secret(&cloud->login->assertion);
	cloud->login->tokens[AZ_FOR_ARM].renew_at = 0;
}

int64_t azure_login_renew_at(const struct ff_cloud *cloud)
{
	const struct azure_token *token = &cloud->login->tokens[AZ_FOR_ARM];

	return token->text ? token->renew_at : 0;
}

const char *azure_login_name(const struct ff_cloud *cloud)
{
	return names[cloud->login->source];
}

const char *azure_login_token(const struct ff_cloud *cloud, enum azure_audience audience)
{
	return cloud->login->tokens[audience].text;
}
