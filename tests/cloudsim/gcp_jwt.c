/* A service account's signed assertion, checked as Google's token endpoint does: form, signature, claims. */
#include "gcp.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#define LIFE_S_MAX 3600
#define SKEW_S	   300

static json_t *part(const char *jwt, size_t len)
{
	ff_auto_free char *text = ff_strndup(jwt, len);
	size_t n;
	ff_auto_free char *bytes = ff_base64_decode(text, &n);

	return bytes != NULL ? ff_json_parse(bytes, n, 65536, NULL) : NULL;
}

static bool signature_fits(const char *public_pem, const char *text, size_t len, const char *signature)
{
	size_t n;
	ff_auto_free unsigned char *bytes = ff_base64_decode(signature, &n);
	BIO *bio = public_pem != NULL ? BIO_new_mem_buf(public_pem, -1) : NULL;
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = bytes != NULL && key != NULL && ctx != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, bytes, n, (const unsigned char *)text, len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok;
}

static bool has_word(const char *words, const char *word)
{
	ff_auto_free char *all = ff_printf(" %s ", words), *one = ff_printf(" %s ", word);

	return strstr(all, one) != NULL;
}

static const char *check_scope(const json_t *claims, bool *full)
{
	const char *scope = ff_json_str(claims, "scope");

	if (scope == NULL)
		return "invalid_scope: Invalid OAuth scope or ID token audience provided.";
	*full = has_word(scope, "https://www.googleapis.com/auth/cloud-platform") ||
		has_word(scope, "https://www.googleapis.com/auth/compute");
	return NULL;
}

static const char *check_claims(const struct gcp *gc, const json_t *claims, const char *base, int64_t now_s, bool *full)
{
	const char *aud = ff_json_str(claims, "aud");
	ff_auto_free char *own = ff_printf("%s/token", base);
	int64_t iat = ff_json_int(claims, "iat", -1), exp = ff_json_int(claims, "exp", -1);

	if (!ff_streq(ff_json_str(claims, "iss"), gc->email))
		return "invalid_grant: Invalid grant: account not found";
	/* the constant, as Google's libraries send it whatever the file's token_uri says, or that URI itself */
	if (!ff_streq(aud, "https://oauth2.googleapis.com/token") && !ff_streq(aud, own))
		return "invalid_grant: Invalid JWT: Failed audience check.";
	if (iat < 0 || exp <= now_s || iat > now_s + SKEW_S || exp <= iat || exp - iat > LIFE_S_MAX ||
		iat < now_s - LIFE_S_MAX - SKEW_S)
		return "invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
		       "timeframe. Check your iat and exp values in the JWT claim.";
	return check_scope(claims, full);
}

const char *gc_check_assertion(const struct gcp *gc, const char *jwt, const char *base, int64_t now_ms, bool *full)
{
	const char *dot1 = strchr(jwt, '.'), *dot2 = dot1 != NULL ? strchr(dot1 + 1, '.') : NULL;
	ff_auto_json json_t *head = NULL, *claims = NULL;

	if (dot2 == NULL)
		return "invalid_grant: Bad Request";
	head = part(jwt, (size_t)(dot1 - jwt));
	claims = part(dot1 + 1, (size_t)(dot2 - dot1 - 1));
	if (!json_is_object(head) || !json_is_object(claims))
		return "invalid_grant: Invalid JWT: Failed to parse.";
	/* without a kid all of the account's keys are tried */
	if (!ff_streq(ff_json_str(head, "alg"), "RS256") ||
		(ff_json_str(head, "kid") != NULL && !ff_streq(ff_json_str(head, "kid"), gc->key_id)) ||
		!signature_fits(gc->public_key, jwt, (size_t)(dot2 - jwt), dot2 + 1))
		return "invalid_grant: Invalid JWT Signature.";
	return check_claims(gc, claims, base, now_ms / 1000, full);
}

char *gc_public_half(const char *private_pem)
{
	BIO *in = BIO_new_mem_buf(private_pem, -1), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	char *pem = NULL, *text;
	long n;

	if (key != NULL && out != NULL && PEM_write_bio_PUBKEY(out, key) == 1) {
		n = BIO_get_mem_data(out, &text);
		pem = ff_strndup(text, (size_t)n);
	}
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	return pem;
}
