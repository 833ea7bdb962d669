/*
 * Signature Version 4, verified. Who may ask is decided as EC2 and the query services decide it: key, clock, scope,
 * token, signature, in that order.
 */
#include "aws.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

#define SKEW_MS ((int64_t)5 * 60 * 1000)
#define SCHEME	"AWS4-HMAC-SHA256 "

static void hmac(const void *key, size_t key_len, const char *text, unsigned char out[32])
{
	unsigned len = 32;

	HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &len);
}

/* All values of that header, joined by commas, trimmed, inner runs of blanks made one. */
static void add_header(struct ff_buf *out, const struct ff_headers *headers, const char *name, size_t name_len)
{
	bool first = true;

	ff_buf_add(out, name, name_len);
	ff_buf_adds(out, ":");
	for (size_t i = 0; i < headers->count; i++) {
		const char *p = headers->items[i].value;
		bool blank = false, begun = false;

		if (strlen(headers->items[i].name) != name_len ||
			strncasecmp(headers->items[i].name, name, name_len) != 0)
			continue;
		if (!first)
			ff_buf_adds(out, ",");
		first = false;
		for (; *p != '\0'; p++) {
			if (*p == ' ' || *p == '\t') {
				blank = begun;
				continue;
			}
			if (blank)
				ff_buf_adds(out, " ");
			blank = false;
			begun = true;
			ff_buf_add(out, p, 1);
		}
	}
	ff_buf_adds(out, "\n");
}

/* The target is "/": there is no path to encode and no query to sort. */
static void canonical(const struct sim_request *req, const char *signed_headers, struct ff_buf *out)
{
	char hash[65];

	ff_buf_addf(out, "%s\n/\n\n", req->method);
	for (const char *p = signed_headers; *p != '\0';) {
		size_t len = strcspn(p, ";");

		add_header(out, &req->headers, p, len);
		p += len + (p[len] == ';');
	}
	ff_sha256_hex(req->body != NULL ? req->body : "", req->body_len, hash);
	ff_buf_addf(out, "\n%s\n%s", signed_headers, hash);
}

void aw_sign(const struct sim_request *req, const char *secret, const char *date, const char *region,
	const char *service, const char *stamp, const char *signed_headers, char out[65])
{
	ff_auto_free char *first = ff_printf("AWS4%s", secret), *text = NULL;
	ff_auto_buf request = {0};
	unsigned char key[32];
	char hash[65];

	canonical(req, signed_headers, &request);
	ff_sha256_hex(request.text, request.len, hash);
	text = ff_printf("AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", stamp, date, region, service, hash);
	hmac(first, strlen(first), date, key);
	hmac(key, sizeof(key), region, key);
	hmac(key, sizeof(key), service, key);
	hmac(key, sizeof(key), "aws4_request", key);
	hmac(key, sizeof(key), text, key);
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(out + 2 * i, 3, "%02x", key[i]);
}

/* ---- the header */

struct claim {
	struct ff_strv scope; /* key, date, region, service, "aws4_request" */
	char *signed_headers, *signature;
};

static void claim_free(struct claim *claim)
{
	ff_strv_free(&claim->scope);
	free(claim->signed_headers);
	free(claim->signature);
}

static char *field(const char *header, const char *name)
{
	const char *p = strstr(header, name);

	return p != NULL ? ff_strndup(p + strlen(name), strcspn(p + strlen(name), ", ")) : NULL;
}

static int incomplete(struct aw_call *c, const char *what)
{
	/* query services' text; that of EC2 for a missing header is MissingAuthenticationToken */
	return aw_refuse(c, 400, "IncompleteSignature", "Authorization header requires '%s' parameter.", what);
}

static int read_claim(struct aw_call *c, struct claim *claim)
{
	const char *header = ff_headers_get(&c->req->headers, "Authorization");
	ff_auto_free char *scope = NULL;

	if (header == NULL)
		return aw_refuse(c, 403, "MissingAuthenticationToken", "Request is missing Authentication Token");
	if (!ff_has_prefix(header, SCHEME))
		return incomplete(c, "Algorithm");
	scope = field(header, "Credential=");
	claim->signed_headers = field(header, "SignedHeaders=");
	claim->signature = field(header, "Signature=");
	for (const char *p = scope; p != NULL;) {
		ff_auto_free char *part = ff_strndup(p, strcspn(p, "/"));

		ff_strv_add(&claim->scope, part);
		p = strchr(p, '/');
		p = p != NULL ? p + 1 : NULL;
	}
	if (claim->scope.items == NULL || claim->scope.count != 5 || !ff_streq(claim->scope.items[4], "aws4_request"))
		return incomplete(c, "Credential");
	if (claim->signed_headers == NULL)
		return incomplete(c, "SignedHeaders");
	return claim->signature != NULL ? 0 : incomplete(c, "Signature");
}

/* ---- the checks */

static int unmatched(struct aw_call *c, const char *why)
{
	return aw_refuse(c, 403, "SignatureDoesNotMatch", "%s", why);
}

/* "20240719T040900Z" */
static int read_stamp(const char *stamp, int64_t *ms)
{
	ff_auto_free char *text = NULL;

	if (strlen(stamp) != 16 || stamp[8] != 'T' || stamp[15] != 'Z')
		return -1;
	text = ff_printf(
		"%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", stamp, stamp + 4, stamp + 6, stamp + 9, stamp + 11, stamp + 13);
	return ff_time_parse(text, ms);
}

static int check_clock(struct aw_call *c, const struct claim *claim)
{
	const char *stamp = ff_headers_get(&c->req->headers, "X-Amz-Date");
	int64_t ms, now = c->sim->now_ms + c->aws->skew_ms;

	if (stamp == NULL || read_stamp(stamp, &ms) < 0)
		return aw_refuse(c, 400, "IncompleteSignature", "Date must be in ISO-8601 'basic format'. Got '%s'.",
			stamp != NULL ? stamp : "");
	if (strncmp(stamp, claim->scope.items[1], 8) != 0 || strlen(claim->scope.items[1]) != 8)
		return unmatched(c, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
				    "from HTTP");
	if (ms >= now - SKEW_MS && ms <= now + SKEW_MS)
		return 0;
	if (c->service == AW_EC2)
		return aw_refuse(c, 400, "RequestExpired", "Request has expired.");
	return aw_refuse(c, 403, "SignatureDoesNotMatch", "Signature %s: %s is now %s than the server's time (5 min.)",
		ms < now ? "expired" : "not yet current", stamp, ms < now ? "earlier" : "later");
}

static int check_scope(struct aw_call *c, const struct claim *claim)
{
	static const char *const names[AW_SERVICES] = {"ec2", "sts", "autoscaling", "secretsmanager", "kms"};
	ff_auto_free char *text = NULL;

	if (!ff_streq(claim->scope.items[2], c->aws->region))
		return unmatched(c, "Credential should be scoped to a valid region.");
	if (ff_streq(claim->scope.items[3], names[c->service]))
		return 0;
	text = ff_printf("Credential should be scoped to correct service: '%s'.", names[c->service]);
	return unmatched(c, text);
}

static bool has_signed(const struct claim *claim, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = claim->signed_headers; *p != '\0';) {
		size_t n = strcspn(p, ";");

		if (n == len && strncasecmp(p, name, n) == 0)
			return true;
		p += n + (p[n] == ';');
	}
	return false;
}

/* host, the date and every other x-amz-* must be under the signature; names lower case and sorted. */
static int check_headers(struct aw_call *c, const struct claim *claim)
{
	const struct ff_headers *h = &c->req->headers;
	bool whole = has_signed(claim, "host") && has_signed(claim, "x-amz-date");
	const char *before = "";

	for (size_t i = 0; i < h->count; i++)
		if (strncasecmp(h->items[i].name, "x-amz-", 6) == 0)
			whole &= has_signed(claim, h->items[i].name);
	for (const char *p = claim->signed_headers; *p != '\0';) {
		size_t n = strcspn(p, ";");

		whole &= strcspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= n && strncmp(before, p, n) <= 0;
		before = p;
		p += n + (p[n] == ';');
	}
	return whole ? 0
		     : unmatched(c, "'Host' or 'X-Amz-Date' or another x-amz-* header is not signed as it must be.");
}

static int unknown_key(struct aw_call *c)
{
	if (c->service == AW_EC2)
		return aw_refuse(c, 401, "AuthFailure", "AWS was not able to validate the provided access credentials");
	return aw_refuse(c, 403, "InvalidClientTokenId", "The security token included in the request is invalid.");
}

/* The secret of that key; NULL after a refusal. */
static const char *find_secret(struct aw_call *c, const char *key)
{
	const char *token = ff_headers_get(&c->req->headers, "X-Amz-Security-Token");
	const struct aws *aws = c->aws;

	if (ff_streq(key, aws->key)) {
		if (token != NULL) {
			unknown_key(c);
			return NULL;
		}
		return aws->secret;
	}
	for (size_t i = 0; i < aws->session_count; i++) {
		const struct aw_session *s = &aws->sessions[i];

		if (!ff_streq(s->key, key) || !ff_streq(s->token, token))
			continue;
		if (c->sim->now_ms >= s->until_ms) {
			aw_refuse(c, 403, "ExpiredToken", "The security token included in the request is expired");
			return NULL;
		}
		c->arn = s->arn;
		c->user_id = s->user_id;
		return s->secret;
	}
	unknown_key(c);
	return NULL;
}

static int verify(struct aw_call *c, const struct claim *claim)
{
	char *const *scope = claim->scope.items;
	const char *secret = scope != NULL ? find_secret(c, scope[0]) : NULL;
	char right[65];

	if (secret == NULL || check_clock(c, claim) < 0 || check_scope(c, claim) < 0 || check_headers(c, claim) < 0)
		return -1;
	aw_sign(c->req, secret, scope[1], scope[2], scope[3], ff_headers_get(&c->req->headers, "X-Amz-Date"),
		claim->signed_headers, right);
	if (strlen(claim->signature) == 64 && CRYPTO_memcmp(right, claim->signature, 64) == 0)
		return 0;
	return unmatched(c, "The request signature we calculated does not match the signature you provided. Check "
			    "your AWS Secret Access Key and signing method. Consult the service documentation for "
			    "details.");
}

int aw_authenticate(struct aw_call *c)
{
	struct claim claim = {0};
	int rc = read_claim(c, &claim) < 0 ? -1 : verify(c, &claim);

	claim_free(&claim);
	return rc;
}
