/*
 * Types of credential files and the requests that turn each into a token: section 9 of the facts.
 *
 * A credential may impersonate with another one inside it: the file is taken apart into a leaf, which has secrets of
 * its own, and the impersonations that follow.
 */
#include "login.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_ENDPOINT "https://oauth2.googleapis.com/token" /* also the constant audience of every assertion */
#define JWT_GRANT      "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define EXCHANGE_GRANT "urn:ietf:params:oauth:grant-type:token-exchange"
#define ACCESS_TOKEN   "urn:ietf:params:oauth:token-type:access_token"
#define FORM	       "application/x-www-form-urlencoded"
#define LIFE_S	       3600

int gcp_token_url_check(const char *url, const char *universe, struct ff_err *err)
{
	ff_auto_free char *host = ff_url_hostname(url), *clean = ff_printable(url);
	ff_auto_free char *suffix = ff_printf(".%s", universe ? universe : GCP_UNIVERSE);
	bool local = ff_streq(host, "localhost") || ff_streq(host, "[::1]") ||
		     (host != NULL && ff_has_prefix(host, "127.") && strspn(host, "0123456789.") == strlen(host));

	if (host == NULL || ff_url_check(url, NULL) < 0)
		return ff_fail(err, FF_E_AUTH, "'%s' is not a token endpoint that secrets may be sent to", clean);
	if (local)
		return 0;
	if (strncasecmp(url, "https://", 8) == 0 &&
		(ff_has_suffix(host, "." GCP_UNIVERSE) || ff_has_suffix(host, suffix) ||
			ff_streq(host, "accounts.google.com")))
		return 0;
	return ff_fail(err, FF_E_AUTH, "'%s' is not Google's: no secret is sent there", clean);
}

/* ---------------------------------------------------------------- taking a file apart */

/* Impersonation URLs get a bearer token: all are checked before anything is sent. */
static int check_urls(const struct gcp_login *login, struct ff_err *err)
{
	static const char *const names[] = {"token_uri", "token_url"};

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		const char *url = ff_json_str(login->leaf, names[i]);

		if (url != NULL && gcp_token_url_check(url, login->universe, err) < 0)
			return ff_wrap(err, "%s", names[i]);
	}
	for (size_t i = 0; i < login->hop_count; i++) {
		const char *url = ff_json_str(login->hops[i], "service_account_impersonation_url");

		if (gcp_token_url_check(url, login->universe, err) < 0)
			return ff_wrap(err, "service_account_impersonation_url");
	}
	return 0;
}

/* Walk inwards. Hops are gathered outermost first, and turned round at the end. */
static int unfold(struct gcp_login *login, struct ff_err *err)
{
	const json_t *at = login->file, *outer[GCP_HOPS_MAX];
	size_t n = 0;

	for (;;) {
		const char *type = ff_json_str(at, "type");
		bool pure = ff_streq(type, "impersonated_service_account");

		if (pure || ff_json_str(at, "service_account_impersonation_url") != NULL) {
			if (n == GCP_HOPS_MAX)
				return ff_fail(err, FF_E_AUTH, "more than %d impersonations in a row", GCP_HOPS_MAX);
			outer[n++] = at;
		}
		if (!pure)
			break;
		at = json_object_get(at, "source_credentials");
		if (!json_is_object(at))
			return ff_fail(err, FF_E_AUTH, "'source_credentials' is missing");
	}
	login->leaf = at;
	login->hop_count = n;
	for (size_t i = 0; i < n; i++)
		login->hops[i] = outer[n - 1 - i];
	return 0;
}

static int need(const json_t *at, const char *const *names, struct ff_err *err)
{
	for (; *names != NULL; names++)
		if (ff_json_str(at, *names) == NULL)
			return ff_fail(err, FF_E_AUTH, "'%s' is missing", *names);
	return 0;
}

static int begin(struct gcp_login *login, struct ff_err *err)
{
	static const struct {
		const char *type, *needs[5];
	} types[] = {
		{"service_account", {"client_email", "private_key", "token_uri"}},
		{"authorized_user", {"client_id", "client_secret", "refresh_token"}},
		{"external_account_authorized_user", {"token_url", "client_id", "client_secret", "refresh_token"}},
		{"external_account", {"audience", "subject_token_type", "token_url"}},
	};
	const char *type = ff_json_str(login->leaf, "type");
	ff_auto_free char *clean = ff_printable(type);

	for (size_t i = 0; i < FF_COUNT(types); i++) {
		if (!ff_streq(type, types[i].type))
			continue;
		if (need(login->leaf, types[i].needs, err) < 0)
			return -1;
		login->stage = GCP_L_EXCHANGE;
		return ff_streq(type, "external_account") ? gcp_external_begin(login, err) : 0;
	}
	return ff_fail(err, FF_E_AUTH, "credentials of type '%s' are not known", clean);
}

int gcp_credential_take(struct gcp_login *login, json_t *file, bool overridden, struct ff_err *err)
{
	const char *universe, *quota;

	gcp_json_wipe(login->file);
	login->file = file;
	login->hop = 0;
	free(login->universe);
	login->universe = NULL;
	if (!json_is_object(file))
		return ff_fail(err, FF_E_AUTH, "is not a JSON object");
	if (unfold(login, err) < 0)
		return -1;
	universe = ff_json_str(file, "universe_domain");
	login->universe = ff_strdup(universe ? universe : GCP_UNIVERSE);
	if (!ff_streq(login->universe, GCP_UNIVERSE) && !overridden) {
		ff_auto_free char *clean = ff_printable(login->universe);

		return ff_fail(err, FF_E_AUTH,
			"the credentials are of the universe '%s': give CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE, its "
			"Compute endpoint",
			clean);
	}
	quota = login->quota_setting ? login->quota_setting : ff_json_str(file, "quota_project_id");
	free(login->quota);
	login->quota = ff_strdup(quota);
	if (check_urls(login, err) < 0)
		return -1;
	return begin(login, err);
}

/* ---------------------------------------------------------------- requests */

static void post_form(struct ff_ask *ask, const char *url, struct ff_buf *form)
{
	ff_ask_http(ask, "POST", "%s", url);
	ask->secret = true;
	ask->answer_bytes_max = GCP_TOKEN_BYTES;
	ff_headers_set(&ask->headers, "Accept", "application/json");
	ff_ask_body(ask, FORM, ff_buf_take(form));
}

static void basic(struct ff_ask *ask, const json_t *leaf)
{
	char *both = ff_printf("%s:%s", ff_json_str(leaf, "client_id"), ff_json_str(leaf, "client_secret"));
	char *encoded = ff_base64(both, strlen(both));
	char *value = ff_printf("Basic %s", encoded);

	ff_headers_set(&ask->headers, "Authorization", value);
	ff_free_secret(value);
	ff_free_secret(encoded);
	ff_free_secret(both);
}

static int service_account(const struct gcp_login *login, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	const json_t *leaf = login->leaf;
	const char *kid = ff_json_str(leaf, "private_key_id");
	json_t *header = json_pack("{s:s, s:s}", "typ", "JWT", "alg", "RS256");
	json_t *claims = json_pack("{s:I, s:I, s:s, s:s, s:s}", "iat", (json_int_t)(wall_ms / 1000), "exp",
		(json_int_t)(wall_ms / 1000 + LIFE_S), "iss", ff_json_str(leaf, "client_email"), "aud", TOKEN_ENDPOINT,
		"scope", GCP_SCOPE);
	ff_auto_free char *head = NULL, *body = NULL;
	struct ff_buf form = {0};
	char *assertion;

	ff_json_set_str(header, "kid", kid);
	head = ff_json_text(header);
	body = ff_json_text(claims);
	json_decref(header);
	json_decref(claims);
	assertion = gcp_jwt(head, body, ff_json_str(leaf, "private_key"), err);
	if (assertion == NULL)
		return -1;
	ff_form_add(&form, "assertion", assertion);
	ff_form_add(&form, "grant_type", JWT_GRANT);
	post_form(ask, ff_json_str(leaf, "token_uri"), &form);
	ff_free_secret(assertion);
	return 0;
}

/* Like Google's Go library it goes by the file's token_uri (checked like all others), where there is one. */
static void authorized_user(const struct gcp_login *login, struct ff_ask *ask)
{
	const char *url = ff_json_str(login->leaf, "token_uri");
	struct ff_buf form = {0};

	ff_form_add(&form, "grant_type", "refresh_token");
	ff_form_add(&form, "client_id", ff_json_str(login->leaf, "client_id"));
	ff_form_add(&form, "client_secret", ff_json_str(login->leaf, "client_secret"));
	ff_form_add(&form, "refresh_token", ff_json_str(login->leaf, "refresh_token"));
	post_form(ask, url ? url : TOKEN_ENDPOINT, &form);
}

static void workforce_user(const struct gcp_login *login, struct ff_ask *ask)
{
	struct ff_buf form = {0};

	ff_form_add(&form, "grant_type", "refresh_token");
	ff_form_add(
		&form, "refresh_token", login->rotated ? login->rotated : ff_json_str(login->leaf, "refresh_token"));
	post_form(ask, ff_json_str(login->leaf, "token_url"), &form);
	basic(ask, login->leaf);
}

/* options={"userProject":..}, itself percent-encoded, and then encoded once more as a form's value. */
static void workforce_options(struct ff_buf *form, const char *project)
{
	json_t *options = json_pack("{s:s}", "userProject", project);
	ff_auto_free char *text = ff_json_text(options), *encoded = ff_percent_encode(text);

	json_decref(options);
	ff_form_add(form, "options", encoded);
}

static void external_account(const struct gcp_login *login, struct ff_ask *ask)
{
	const json_t *leaf = login->leaf;
	const char *project = ff_json_str(leaf, "workforce_pool_user_project");
	bool client = ff_json_str(leaf, "client_id") != NULL && ff_json_str(leaf, "client_secret") != NULL;
	struct ff_buf form = {0};

	ff_form_add(&form, "grant_type", EXCHANGE_GRANT);
	ff_form_add(&form, "audience", ff_json_str(leaf, "audience"));
	ff_form_add(&form, "scope", GCP_SCOPE);
	ff_form_add(&form, "requested_token_type", ACCESS_TOKEN);
	ff_form_add(&form, "subject_token", login->subject ? login->subject : "");
	ff_form_add(&form, "subject_token_type", ff_json_str(leaf, "subject_token_type"));
	if (!client && project != NULL)
		workforce_options(&form, project);
	post_form(ask, ff_json_str(leaf, "token_url"), &form);
	if (client)
		basic(ask, leaf);
}

int gcp_exchange_ask(struct gcp_login *login, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	const char *type = ff_json_str(login->leaf, "type");

	if (ff_streq(type, "service_account"))
		return service_account(login, wall_ms, ask, err);
	if (ff_streq(type, "authorized_user"))
		authorized_user(login, ask);
	else if (ff_streq(type, "external_account_authorized_user"))
		workforce_user(login, ask);
	else
		external_account(login, ask);
	return 0;
}

int gcp_hop_ask(struct gcp_login *login, struct ff_ask *ask, struct ff_err *err)
{
	const json_t *hop = login->hops[login->hop], *delegates = json_object_get(hop, "delegates");
	int64_t life = ff_json_int(hop, "service_account_impersonation/token_lifetime_seconds", LIFE_S);
	char *value;
	json_t *body;

	if (life < 600 || life > 43200)
		return ff_fail(err, FF_E_AUTH, "'token_lifetime_seconds' is not between 600 and 43200");
	value = ff_printf("%llds", (long long)life);
	body = json_pack("{s:O, s:[s], s:s}", "delegates", delegates ? delegates : json_null(), "scope", GCP_SCOPE,
		"lifetime", value);
	if (!json_is_array(delegates))
		ff_json_set_new(body, "delegates", json_array());
	free(value);
	ff_ask_http(ask, "POST", "%s", ff_json_str(hop, "service_account_impersonation_url"));
	ask->answer_bytes_max = GCP_TOKEN_BYTES;
	ff_headers_set(&ask->headers, "Accept", "application/json");
	gcp_ask_json(ask, body);
	ask->secret = true; /* for its answer: the body shares texts with the file and holds no secret */
	value = ff_printf("Bearer %s", login->token);
	ff_headers_set(&ask->headers, "Authorization", value);
	ff_free_secret(value);
	return 0;
}
