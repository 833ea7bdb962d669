/* Signed assertions: real keys, a real certificate, and everything that can be wrong with one. */
#include "cloudsim_kit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define CLIENT	 "00000000-0000-4000-8000-00000000000b"
#define AUDIENCE "https://127.0.0.1:1/00000000-0000-4000-8000-00000000000a/oauth2/v2.0/token"

struct signer {
	EVP_PKEY *key;
	X509 *cert;
	char *pem;
};

static struct signer make_signer(void)
{
	struct signer s = {.key = EVP_RSA_gen(2048), .cert = X509_new()};
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;
	long len;

	ASN1_INTEGER_set(X509_get_serialNumber(s.cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(s.cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(s.cert), 3600);
	X509_set_pubkey(s.cert, s.key);
	cr_assert_gt(X509_sign(s.cert, s.key, EVP_sha256()), 0);
	cr_assert_eq(PEM_write_bio_X509(bio, s.cert), 1);
	len = BIO_get_mem_data(bio, &bytes);
	s.pem = ff_strndup(bytes, (size_t)len);
	BIO_free(bio);
	return s;
}

static void free_signer(struct signer *s)
{
	EVP_PKEY_free(s->key);
	X509_free(s->cert);
	free(s->pem);
}

static char *sign(EVP_PKEY *key, bool pss, const char *text)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	unsigned char out[512];
	size_t n = sizeof(out);

	cr_assert_eq(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, key), 1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
	}
	cr_assert_eq(EVP_DigestSign(ctx, out, &n, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	return ff_base64url(out, n);
}

struct wish {
	const char *alg, *thumbprint; /* thumbprint: "x5t" or "x5t#S256" */
	const char *aud, *iss;
	int64_t from_s, life_s;
	const char *words; /* of the refusal; NULL: it is taken */
};

static char *make_assertion(const struct signer *named, const struct signer *signing, const struct wish *w)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;
	int64_t now = BEGAN / 1000 + w->from_s;
	ff_auto_free char *print = NULL, *head = NULL, *claims = NULL, *h64 = NULL, *c64 = NULL, *text = NULL,
			  *sig = NULL;

	X509_digest(named->cert, strcmp(w->thumbprint, "x5t") == 0 ? EVP_sha1() : EVP_sha256(), md, &n);
	print = ff_base64url(md, n);
	head = ff_printf("{\"alg\":\"%s\",\"typ\":\"JWT\",\"%s\":\"%s\"}", w->alg, w->thumbprint, print);
	claims = ff_printf("{\"aud\":\"%s\",\"iss\":\"%s\",\"sub\":\"%s\",\"jti\":\"1\",\"nbf\":%lld,\"exp\":%lld}",
		w->aud, w->iss, w->iss, (long long)now, (long long)(now + w->life_s));
	h64 = ff_base64url(head, strlen(head));
	c64 = ff_base64url(claims, strlen(claims));
	text = ff_printf("%s.%s", h64, c64);
	sig = sign(signing->key, strcmp(w->alg, "PS256") == 0, text);
	return ff_printf("%s.%s", text, sig);
}

static struct kit open_with(const struct signer *s)
{
	struct kit k = {.now = BEGAN};
	struct ff_err err = {0};
	ff_auto_json json_t *scenario = json_pack("{s:{s:s}}", "azure", "certificate", s->pem);

	k.sim = sim_new(scenario, BEGAN, NULL, &err);
	cr_assert_not_null(k.sim, "%s", err.text);
	return k;
}

static int login(struct kit *k, const char *assertion)
{
	ff_auto_free char *form =
		ff_printf("grant_type=client_credentials&client_id=" CLIENT
			  "&scope=https%%3A%%2F%%2Fmanagement.azure.com%%2F.default&"
			  "client_assertion_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Aclient-assertion-type%%3Ajwt-bearer&"
			  "client_assertion=%s",
			assertion);

	return kit_login_with(k, form);
}

Test(cloudsim_assertion, it_is_taken_only_when_everything_is_right)
{
	static const struct wish cases[] = {
		{"PS256", "x5t#S256", AUDIENCE, CLIENT, 0, 600, NULL},
		{"RS256", "x5t", AUDIENCE, CLIENT, -60, 600, NULL},
		{"HS256", "x5t", AUDIENCE, CLIENT, 0, 600, "unsupported algorithm"},
		{"PS256", "x5t#S256", "https://elsewhere/", CLIENT, 0, 600, "audience"},
		{"PS256", "x5t#S256", AUDIENCE, "somebody", 0, 600, "AADSTS700021"},
		{"PS256", "x5t#S256", AUDIENCE, CLIENT, -1000, 600, "AADSTS700024"},
		{"PS256", "x5t#S256", AUDIENCE, CLIENT, 1000, 600, "AADSTS700024"},
		{"PS256", "x5t#S256", AUDIENCE, CLIENT, 0, 100000, "AADSTS700024"},
	};
	struct signer mine = make_signer();
	struct kit k = open_with(&mine);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *jwt = make_assertion(&mine, &mine, &cases[i]);
		int status = login(&k, jwt);
		const char *text = ff_json_str(k.body, "error_description");

		cr_expect_eq(status, cases[i].words == NULL ? 200 : 401, "%zu: %d %s", i, status, text ? text : "");
		cr_expect(cases[i].words == NULL || strstr(text, cases[i].words) != NULL, "%zu: %s", i, text);
	}
	kit_close(&k);
	free_signer(&mine);
}

Test(cloudsim_assertion, another_key_or_certificate_is_refused)
{
	static const struct wish fine = {"PS256", "x5t#S256", AUDIENCE, CLIENT, 0, 600, NULL};
	struct signer mine = make_signer(), other = make_signer();
	struct kit k = open_with(&mine);
	ff_auto_free char *forged = make_assertion(&mine, &other, &fine),
			  *foreign = make_assertion(&other, &other, &fine);
	ff_auto_free char *bent = make_assertion(&mine, &mine, &fine);

	cr_assert_eq(login(&k, forged), 401);
	cr_assert_not_null(strstr(ff_json_str(k.body, "error_description"), "failed signature validation"));
	cr_assert_eq(login(&k, foreign), 401);
	cr_assert_not_null(strstr(ff_json_str(k.body, "error_description"), "not registered"));
	strchr(bent, '.')[5] ^= 1;
	cr_assert_eq(login(&k, bent), 401);
	cr_assert_eq(login(&k, "no.jwt"), 401);
	cr_assert_eq(login(&k, "a.b.c"), 401);
	cr_assert_eq(login(&k, ""), 401);
	kit_close(&k);
	free_signer(&mine);
	free_signer(&other);
}
