/* A client's signed assertion, checked as Microsoft Entra does: form, signature, audience, life time. */
#include "azure.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define LIFE_S_MAX (24 * 3600)
#define SKEW_S	   300

static json_t *part(const char *jwt, size_t len)
{
	ff_auto_free char *text = ff_strndup(jwt, len);
	size_t n;
	ff_auto_free char *bytes = ff_base64_decode(text, &n);

	return bytes != NULL ? ff_json_parse(bytes, n, 65536, NULL) : NULL;
}

static bool signature_fits(EVP_PKEY *key, bool pss, const char *signed_text, size_t len, const char *signature)
{
	size_t n;
	ff_auto_free unsigned char *bytes = ff_base64_decode(signature, &n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	bool ok = bytes != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, &pctx, EVP_sha256(), NULL, key) == 1 &&
		  (!pss || (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
				   EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
		  EVP_DigestVerify(ctx, bytes, n, (const unsigned char *)signed_text, len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* Does the header name this certificate, by one of the two thumbprints? */
static bool names(const json_t *head, const X509 *cert)
{
	const char *sha256 = ff_json_str(head, "x5t#S256"), *sha1 = ff_json_str(head, "x5t");
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;
	ff_auto_free char *want = NULL;

	if (X509_digest(cert, sha256 != NULL ? EVP_sha256() : EVP_sha1(), md, &n) != 1)
		return false;
	want = ff_base64url(md, n);
	return ff_streq(want, sha256 != NULL ? sha256 : sha1);
}

static const char *check_signature(const json_t *head, const char *jwt, const char *dot2, X509 *cert)
{
	const char *alg = ff_json_str(head, "alg");
	bool pss = ff_streq(alg, "PS256");
	EVP_PKEY *key = X509_get0_pubkey(cert);

	if (!pss && !ff_streq(alg, "RS256"))
		return "AADSTS5002738: Invalid JWT token. The token is signed with an unsupported algorithm.";
	if (!names(head, cert))
		return "AADSTS700027: The certificate with identifier used to sign the client assertion is not "
		       "registered on application.";
	if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
		!signature_fits(key, pss, jwt, (size_t)(dot2 - jwt), dot2 + 1))
		return "AADSTS700027: Client assertion failed signature validation.";
	return NULL;
}

static const char *check_claims(const json_t *claims, const char *client_id, const char *tenant, int64_t now_s)
{
	const char *aud = ff_json_str(claims, "aud");
	ff_auto_free char *path = ff_printf("/%s/oauth2/v2.0/token", tenant);
	int64_t exp = ff_json_int(claims, "exp", -1), nbf = ff_json_int(claims, "nbf", exp);

	if (aud == NULL || !ff_has_suffix(aud, path))
		return "AADSTS50027: JWT token is invalid or malformed: the audience is not the token endpoint.";
	if (!ff_strcaseeq(ff_json_str(claims, "iss"), client_id) ||
		!ff_strcaseeq(ff_json_str(claims, "sub"), client_id))
		return "AADSTS700021: Client assertion application identifier doesn't match 'client_id' parameter.";
	if (ff_json_str(claims, "jti") == NULL)
		return "AADSTS50027: JWT token is invalid or malformed: no 'jti'.";
	if (exp <= now_s || nbf > now_s + SKEW_S || exp - nbf > LIFE_S_MAX)
		return "AADSTS700024: Client assertion is not within its valid time range.";
	return NULL;
}

const char *az_check_assertion(
	const char *jwt, const char *certificate_pem, const char *client_id, const char *tenant, int64_t now_ms)
{
	const char *dot1 = strchr(jwt, '.'), *dot2 = dot1 != NULL ? strchr(dot1 + 1, '.') : NULL;
	ff_auto_json json_t *head = NULL, *claims = NULL;
	const char *why = "AADSTS50027: JWT token is invalid or malformed.";
	BIO *bio;
	X509 *cert;

	if (dot2 == NULL)
		return why;
	head = part(jwt, (size_t)(dot1 - jwt));
	claims = part(dot1 + 1, (size_t)(dot2 - dot1 - 1));
	if (!json_is_object(head) || !json_is_object(claims))
		return why;
	bio = BIO_new_mem_buf(certificate_pem, -1);
	cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	if (cert != NULL) {
		why = check_signature(head, jwt, dot2, cert);
		if (why == NULL)
			why = check_claims(claims, client_id, tenant, now_ms / 1000);
	}
	X509_free(cert);
	BIO_free(bio);
	return why;
}
