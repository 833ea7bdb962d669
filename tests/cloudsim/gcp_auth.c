/* Where clients get their tokens, and whether the token that they show is one. */
#include "gcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fixfleet/clock.h"

#define GRANT_JWT      "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define GRANT_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TYPE_ACCESS    "urn:ietf:params:oauth:token-type:access_token"
#define SCOPE_ALL      "https://www.googleapis.com/auth/cloud-platform"
#define SCOPE_COMPUTE  "https://www.googleapis.com/auth/compute"
#define IMPERSONATE    "/v1/projects/-/serviceAccounts/"

const char *gc_issue(struct gc_call *c, bool full)
{
	struct gcp *gc = c->gc;
	struct gc_token *t;
	char id[SIM_UUID_BYTES];

	gc->tokens = ff_realloc(gc->tokens, gc->token_count + 1, sizeof(*gc->tokens));
	t = &gc->tokens[gc->token_count++];
	sim_uuid(c->sim, id);
	snprintf(t->text, sizeof(t->text), "ya29.c.%s", id);
	t->until_ms = c->sim->now_ms + gc->token_seconds * 1000;
	t->full = full;
	return t->text;
}

/* "invalid_grant: text" in OAuth's form. */
static void refuse_token(struct gc_call *c, int status, const char *why)
{
	size_t n = strcspn(why, ":");
	ff_auto_free char *error = ff_strndup(why, n);

	gc_reply(c, status,
		json_pack("{s:s,s:s}", "error", error, "error_description", why[n] == ':' ? why + n + 2 : why));
}

static json_t *token_json(struct gc_call *c, bool full)
{
	return json_pack("{s:s,s:I,s:s}", "access_token", gc_issue(c, full), "expires_in",
		(json_int_t)c->gc->token_seconds, "token_type", "Bearer");
}

static void by_assertion(struct gc_call *c, const struct ff_headers *form)
{
	const char *assertion = ff_headers_get(form, "assertion"), *why;
	bool full = false;

	if (assertion == NULL) {
		refuse_token(c, 400, "invalid_request: Missing required parameter: assertion");
		return;
	}
	why = gc_check_assertion(c->gc, assertion, c->req->base, c->sim->now_ms, &full);
	if (why != NULL)
		refuse_token(c, 400, why);
	else
		gc_reply(c, 200, token_json(c, full));
}

static void by_refresh(struct gc_call *c, const struct ff_headers *form)
{
	const struct gcp *gc = c->gc;
	json_t *answer;

	if (gc->user_refresh == NULL || !ff_streq(ff_headers_get(form, "client_id"), gc->user_client)) {
		refuse_token(c, 401, "invalid_client: The OAuth client was not found.");
	} else if (!ff_streq(ff_headers_get(form, "client_secret"), gc->user_secret)) {
		refuse_token(c, 401, "invalid_client: Unauthorized");
	} else if (!ff_streq(ff_headers_get(form, "refresh_token"), gc->user_refresh)) {
		refuse_token(c, 400, "invalid_grant: Token has been expired or revoked.");
	} else {
		answer = token_json(c, true);
		ff_json_set_str(answer, "scope", SCOPE_ALL);
		gc_reply(c, 200, answer);
	}
}

static void token(struct gc_call *c)
{
	struct ff_headers form = {0};
	ff_auto_free char *text = ff_strndup(c->req->body != NULL ? c->req->body : "", c->req->body_len);
	const char *grant;

	sim_count_request(c->sim, "token");
	sim_read_pairs(text, &form);
	grant = ff_headers_get(&form, "grant_type");
	if (!ff_streq(c->req->method, "POST"))
		refuse_token(c, 405, "invalid_request: method not allowed");
	else if (ff_streq(grant, GRANT_JWT))
		by_assertion(c, &form);
	else if (ff_streq(grant, "refresh_token"))
		by_refresh(c, &form);
	else if (grant == NULL)
		refuse_token(c, 400, "invalid_request: Missing required parameter: grant_type");
	else
		refuse_token(c, 400, "unsupported_grant_type: Invalid grant_type");
	ff_headers_free(&form);
}

/* NULL when the exchange may be made. */
static const char *check_exchange(const struct gc_call *c, const struct ff_headers *form)
{
	const struct gcp *gc = c->gc;

	if (ff_headers_get(&c->req->headers, "Authorization") != NULL)
		return "invalid_client: The client authentication is not allowed for this audience.";
	if (!ff_streq(ff_headers_get(form, "grant_type"), GRANT_EXCHANGE))
		return "unsupported_grant_type: Invalid grant type.";
	if (!ff_streq(ff_headers_get(form, "requested_token_type"), TYPE_ACCESS))
		return "invalid_request: Invalid requested token type.";
	if (ff_headers_get(form, "scope") == NULL)
		return "invalid_scope: Scope is required.";
	if (gc->audience == NULL || !ff_streq(ff_headers_get(form, "audience"), gc->audience))
		return "invalid_target: The target service indicated by the \"audience\" parameters is invalid. This "
		       "might either be because the pool or provider is disabled or deleted or because it doesn't "
		       "exist.";
	if (ff_headers_get(form, "subject_token_type") == NULL)
		return "invalid_request: Invalid subject token type.";
	if (!ff_streq(ff_headers_get(form, "subject_token"), gc->subject_token))
		return "invalid_grant: The given credential is rejected by the attribute condition.";
	return NULL;
}

static void exchange(struct gc_call *c)
{
	struct ff_headers form = {0};
	ff_auto_free char *text = ff_strndup(c->req->body != NULL ? c->req->body : "", c->req->body_len);
	const char *why;
	json_t *answer;

	sim_count_request(c->sim, "token exchange");
	sim_read_pairs(text, &form);
	why = check_exchange(c, &form);
	if (why != NULL) {
		refuse_token(c, ff_has_prefix(why, "invalid_client") ? 401 : 400, why);
	} else {
		answer = token_json(c, true);
		ff_json_set_str(answer, "issued_token_type", TYPE_ACCESS);
		gc_reply(c, 200, answer);
	}
	ff_headers_free(&form);
}

/* ---- impersonation */

static bool asks_for_compute(const json_t *scopes)
{
	size_t i;
	json_t *s;

	json_array_foreach (scopes, i, s) {
		const char *text = json_string_value(s);

		if (ff_streq(text, SCOPE_ALL) || ff_streq(text, SCOPE_COMPUTE))
			return true;
	}
	return false;
}

/* "3600s", at most an hour; -1 when it is not that. */
static int64_t lifetime(const char *text)
{
	ff_auto_free char *digits = text != NULL ? ff_strndup(text, strcspn(text, "s")) : ff_strdup("3600");
	int64_t seconds;

	return (text == NULL || ff_has_suffix(text, "s")) && ff_parse_i64(digits, 1, 3600, &seconds) == 0 ? seconds
													  : -1;
}

static void impersonate(struct gc_call *c)
{
	const char *email = c->path + strlen(IMPERSONATE);
	ff_auto_free char *account = ff_strndup(email, strcspn(email, ":"));
	ff_auto_json json_t *body =
		ff_json_parse(c->req->body != NULL ? c->req->body : "", c->req->body_len, 65536, NULL);
	const json_t *scopes = ff_json_at(body, "scope");
	int64_t seconds = lifetime(ff_json_str(body, "lifetime"));
	char until[FF_TIME_BYTES];
	const char *text;

	sim_count_request(c->sim, "generateAccessToken");
	if (!ff_streq(c->req->method, "POST") || !ff_has_suffix(email, ":generateAccessToken")) {
		gc_refuse(c, 404, "notFound", "Method not found.");
	} else if (gc_bearer(c) == 0) {
		if (!ff_strv_has(&c->gc->impersonate, account))
			gc_refuse(c, 403, "forbidden",
				"Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not "
				"exist).");
		else if (json_array_size(scopes) == 0)
			gc_refuse(c, 400, "badRequest", "Request contains an invalid argument: scope is required.");
		else if (seconds < 0)
			gc_refuse(c, 400, "badRequest",
				"Request contains an invalid argument: lifetime is not within 3600s.");
		else {
			text = gc_issue(c, asks_for_compute(scopes));
			c->gc->tokens[c->gc->token_count - 1].until_ms = c->sim->now_ms + seconds * 1000;
			gc_reply(c, 200,
				json_pack("{s:s,s:s}", "accessToken", text, "expireTime",
					ff_time_format(c->sim->now_ms + seconds * 1000, 0, until)));
		}
	}
}

bool gc_identity(struct gc_call *c)
{
	if (ff_streq(c->path, "/token") || ff_streq(c->path, "/oauth2/v4/token") ||
		ff_streq(c->path, "/o/oauth2/token"))
		token(c);
	else if (ff_streq(c->path, "/v1/token") && ff_streq(c->req->method, "POST"))
		exchange(c);
	else if (ff_has_prefix(c->path, IMPERSONATE))
		impersonate(c);
	else
		return false;
	return true;
}

int gc_bearer(struct gc_call *c)
{
	static const char unknown[] =
		"Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
		"valid authentication credential. See "
		"https://developers.google.com/identity/sign-in/web/devconsole-project.";
	const char *auth = ff_headers_get(&c->req->headers, "Authorization");

	if (auth == NULL || strncasecmp(auth, "Bearer ", 7) != 0)
		return gc_refuse(c, 401, "required", "Login Required.");
	for (size_t i = c->gc->token_count; i-- > 0;) {
		const struct gc_token *t = &c->gc->tokens[i];

		if (!ff_streq(t->text, auth + 7))
			continue;
		c->token = t;
		return t->until_ms > c->sim->now_ms ? 0 : gc_refuse(c, 401, "authError", "%s", unknown);
	}
	return gc_refuse(c, 401, "authError", "%s", unknown);
}
