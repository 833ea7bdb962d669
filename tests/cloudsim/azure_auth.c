/* Where clients get their tokens, and whether the token that they show is one. */
#include "azure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static const char *issue(struct az_call *c, const char *audience)
{
	struct azure *az = c->az;
	struct az_token *t;
	char id[SIM_UUID_BYTES];

	az->tokens = ff_realloc(az->tokens, az->token_count + 1, sizeof(*az->tokens));
	t = &az->tokens[az->token_count++];
	sim_uuid(c->sim, id);
	snprintf(t->text, sizeof(t->text), "eyJ0eXAiOiJKV1QifQ.%s.c2lt", id);
	snprintf(t->audience, sizeof(t->audience), "%s", audience);
	t->until_ms = c->sim->now_ms + az->token_seconds * 1000;
	return t->text;
}

/* "AADSTS7000215: Invalid client secret provided. ..." and its number. */
static void refuse_token(struct az_call *c, int status, const char *error, const char *text)
{
	long number = strncmp(text, "AADSTS", 6) == 0 ? strtol(text + 6, NULL, 10) : 0;

	az_reply(c, status,
		json_pack("{s:s,s:s,s:[i]}", "error", error, "error_description", text, "error_codes", (int)number));
}

/* NULL when the client proved who it is. */
static const char *check_secret(struct az_call *c, const struct ff_headers *form)
{
	const struct azure *az = c->az;
	const char *assertion = ff_headers_get(form, "client_assertion");
	const char *secret = ff_headers_get(form, "client_secret");

	if (assertion != NULL && !ff_streq(ff_headers_get(form, "client_assertion_type"), ASSERTION_TYPE))
		return "AADSTS900144: The request body must contain the following parameter: 'client_assertion_type'.";
	if (assertion != NULL && az->federated_token != NULL && ff_streq(assertion, az->federated_token))
		return NULL;
	if (assertion != NULL && az->certificate != NULL)
		return az_check_assertion(assertion, az->certificate, az->client_id, az->tenant, c->sim->now_ms);
	if (assertion != NULL)
		return "AADSTS70021: No matching federated identity record found for presented assertion.";
	if (secret == NULL)
		return "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the "
		       "'client_credentials' grant type.";
	if (az->client_secret == NULL || !ff_streq(secret, az->client_secret))
		return "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is "
		       "the client secret value, not the client secret ID, for a secret added to app.";
	return NULL;
}

static void token(struct az_call *c)
{
	struct ff_headers form = {0};
	ff_auto_free char *text = ff_strndup(c->req->body != NULL ? c->req->body : "", c->req->body_len);
	const char *client, *grant, *scope, *why;
	ff_auto_free char *audience = NULL;

	sim_count_request(c->sim, "token");
	sim_read_pairs(text, &form);
	client = ff_headers_get(&form, "client_id");
	grant = ff_headers_get(&form, "grant_type");
	scope = ff_headers_get(&form, "scope");
	if (!ff_strcaseeq(c->segments.items[0], c->az->tenant))
		refuse_token(c, 400, "invalid_request",
			"AADSTS90002: Tenant not found. Check to make sure you have "
			"the correct tenant ID and are signing into the correct cloud.");
	else if (!ff_streq(grant, "client_credentials"))
		refuse_token(c, 400, "unsupported_grant_type",
			"AADSTS70003: The app requested an unsupported grant "
			"type.");
	else if (!ff_strcaseeq(client, c->az->client_id))
		refuse_token(c, 400, "unauthorized_client",
			"AADSTS700016: Application was not found in the directory. This can happen if the application "
			"has not been installed by the administrator of the tenant.");
	else if (scope == NULL || !ff_has_suffix(scope, "/.default"))
		refuse_token(c, 400, "invalid_scope",
			"AADSTS1002012: The provided value for scope is not valid. "
			"Client credential flows must have a scope value with /.default "
			"suffixed to the resource identifier.");
	else if ((why = check_secret(c, &form)) != NULL)
		refuse_token(c, 401, "invalid_client", why);
	else {
		audience = ff_strndup(scope, strlen(scope) - strlen("/.default"));
		az_reply(c, 200,
			json_pack("{s:s,s:I,s:I,s:s}", "token_type", "Bearer", "expires_in",
				(json_int_t)c->az->token_seconds, "ext_expires_in", (json_int_t)c->az->token_seconds,
				"access_token", issue(c, audience)));
	}
	ff_headers_free(&form);
}

/* The metadata service writes numbers as strings. */
static void managed_identity(struct az_call *c)
{
	const struct azure *az = c->az;
	const char *resource = az_query(c, "resource"), *id = az_query(c, "client_id");
	ff_auto_free char *in = ff_printf("%lld", (long long)az->token_seconds);
	ff_auto_free char *on = ff_printf("%lld", (long long)(c->sim->now_ms / 1000 + az->token_seconds));
	ff_auto_free char *from = ff_printf("%lld", (long long)(c->sim->now_ms / 1000));

	sim_count_request(c->sim, "managed identity token");
	if (az_query(c, "api-version") == NULL || resource == NULL) {
		refuse_token(
			c, 400, "invalid_request", "Required query variable 'resource' or 'api-version' is missing");
		return;
	}
	if (id != NULL && !ff_strcaseeq(id, az->client_id)) {
		refuse_token(c, 400, "invalid_request", "Identity not found");
		return;
	}
	az_reply(c, 200,
		json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "access_token", issue(c, resource), "client_id",
			az->client_id, "expires_in", in, "expires_on", on, "ext_expires_in", in, "not_before", from,
			"resource", resource, "token_type", "Bearer"));
}

bool az_identity(struct az_call *c)
{
	const struct ff_strv *s = &c->segments;

	if (s->count == 4 && ff_strcaseeq(s->items[1], "oauth2") && ff_strcaseeq(s->items[2], "v2.0") &&
		ff_strcaseeq(s->items[3], "token") && !ff_strcaseeq(s->items[0], "metadata")) {
		if (ff_streq(c->req->method, "POST"))
			token(c);
		else
			refuse_token(
				c, 400, "invalid_request", "AADSTS900561: The endpoint only accepts POST requests.");
		return true;
	}
	if (s->count < 2 || !ff_strcaseeq(s->items[0], "metadata"))
		return false;
	if (!ff_strcaseeq(ff_headers_get(&c->req->headers, "Metadata"), "true") ||
		ff_headers_get(&c->req->headers, "X-Forwarded-For") != NULL)
		refuse_token(c, 400, "invalid_request", "Required metadata header not specified");
	else if (ff_strcaseeq(c->path, "/metadata/identity/oauth2/token"))
		managed_identity(c);
	else if (ff_strcaseeq(c->path, "/metadata/instance"))
		az_metadata_instance(c);
	else
		refuse_token(c, 404, "Not found", "Not found");
	return true;
}

static int refuse_bearer(struct az_call *c, const char *code, const char *message)
{
	az_header(c, "WWW-Authenticate",
		"Bearer authorization_uri=\"https://login.windows.net/%s\", error=\"invalid_token\", "
		"error_description=\"%s\"",
		c->az->tenant, message);
	return az_refuse(c, 401, code, "%s", message);
}

/* With or without a slash at its end. */
static bool is_for(const struct az_token *t, const char *audience)
{
	size_t len = strlen(t->audience);

	len -= len > 0 && t->audience[len - 1] == '/';
	return len == strlen(audience) && strncasecmp(t->audience, audience, len) == 0;
}

int az_bearer(struct az_call *c, const char *audience)
{
	const char *auth = ff_headers_get(&c->req->headers, "Authorization");
	char until[SIM_TIME_BYTES], now[SIM_TIME_BYTES];
	ff_auto_free char *expired = NULL;

	if (auth == NULL || strncasecmp(auth, "Bearer ", 7) != 0)
		return refuse_bearer(
			c, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
	for (size_t i = c->az->token_count; i-- > 0;) {
		const struct az_token *t = &c->az->tokens[i];

		if (!ff_streq(t->text, auth + 7))
			continue;
		if (!is_for(t, audience)) {
			sim_violation(c->sim, "a token for '%s' was shown to '%s'", t->audience, audience);
			return refuse_bearer(c, "InvalidAuthenticationTokenAudience",
				"The access token has been obtained for wrong audience or resource.");
		}
		if (t->until_ms > c->sim->now_ms)
			return 0;
		expired =
			ff_printf("The access token expiry UTC time '%.19s' is earlier than current UTC time '%.19s'.",
				sim_time(t->until_ms, until), sim_time(c->sim->now_ms, now));
		return refuse_bearer(c, "ExpiredAuthenticationToken", expired);
	}
	return refuse_bearer(c, "InvalidAuthenticationToken", "The access token is invalid.");
}
