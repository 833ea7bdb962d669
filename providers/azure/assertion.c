/*
 * The client assertion of certificate credentials: a JWT signed by the application's key.
 * learn.microsoft.com/entra/identity-platform/certificate-credentials: PS256 with x5t#S256.
 */
#include "azure.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define ASSERTION_S 600 /* at most ten minutes are accepted */

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static void identity_release(struct identity *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->certificate);
}

/* OpenSSL's callback for an encrypted PEM key. Never asks a terminal. */
static int give_password(char *out, int size, int writing, void *password)
{
	size_t len = password ? strlen(password) : 0;

	(void)writing;
	if (len == 0 || len > (size_t)size)
		return -1;
	memcpy(out, password, len);
	return (int)len;
}

static void read_pem(const char *file, size_t len, const char *password, struct identity *id)
{
	BIO *keys = BIO_new_mem_buf(file, (int)len), *certificates = BIO_new_mem_buf(file, (int)len);

	if (keys == NULL || certificates == NULL)
		ff_oom();
	id->key = PEM_read_bio_PrivateKey(keys, NULL, give_password, (void *)password);
	/* the first certificate whose key this is: a chain may stand in any order */
	while (id->key != NULL && id->certificate == NULL) {
		X509 *one = PEM_read_bio_X509(certificates, NULL, give_password, NULL);

		if (one == NULL)
			break;
		if (X509_check_private_key(one, id->key) == 1)
			id->certificate = one;
		else
			X509_free(one);
	}
	BIO_free(keys);
	BIO_free(certificates);
}

static void read_pkcs12(const char *file, size_t len, const char *password, struct identity *id)
{
	const unsigned char *p = (const unsigned char *)file;
	PKCS12 *box = d2i_PKCS12(NULL, &p, (long)len);

	if (box != NULL && PKCS12_parse(box, password ? password : "", &id->key, &id->certificate, NULL) != 1) {
		EVP_PKEY_free(id->key);
		X509_free(id->certificate);
		*id = (struct identity){0};
	}
	PKCS12_free(box);
}

static int identity_read(const char *file, size_t len, const char *password, struct identity *id, struct ff_err *err)
{
	if (len > INT_MAX)
		return ff_fail(err, FF_E_AUTH, "the file is too large");
	read_pem(file, len, password, id);
	if (id->key == NULL)
		read_pkcs12(file, len, password, id);
	ERR_clear_error();
	if (id->key == NULL)
		return ff_fail(err, FF_E_AUTH,
			"no private key can be read from the file (PEM or PKCS#12; AZURE_CLIENT_CERTIFICATE_PASSWORD "
			"%s)",
			password ? "may be wrong" : "is not set");
	if (id->certificate == NULL)
		return ff_fail(err, FF_E_AUTH, "the file has no certificate that belongs to its private key");
	if (EVP_PKEY_base_id(id->key) != EVP_PKEY_RSA)
		return ff_fail(err, FF_E_AUTH, "the private key is not an RSA key");
	return 0;
}

/* base64url of the object's compact text. */
static char *part(json_t *object)
{
	char *text = ff_json_text(object), *out = ff_base64url(text, strlen(text));

	free(text);
	json_decref(object);
	return out;
}

static char *header_part(X509 *certificate)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	json_t *header = json_object();
	ff_auto_free char *thumbprint = NULL;

	if (X509_digest(certificate, EVP_sha256(), hash, &n) != 1)
		ff_oom();
	thumbprint = ff_base64url(hash, n);
	ff_json_set_str(header, "alg", "PS256");
	ff_json_set_str(header, "typ", "JWT");
	ff_json_set_str(header, "x5t#S256", thumbprint);
	return part(header);
}

static char *claims_part(const char *audience, const char *client, int64_t wall_ms)
{
	unsigned char r[16];
	json_t *claims = json_object();
	int64_t now = wall_ms / 1000;
	ff_auto_free char *jti = NULL;

	if (RAND_bytes(r, sizeof(r)) != 1)
		ff_oom();
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	jti = ff_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
		r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
	ff_json_set_str(claims, "aud", audience);
	ff_json_set_str(claims, "iss", client);
	ff_json_set_str(claims, "sub", client);
	ff_json_set_str(claims, "jti", jti);
	ff_json_set_int(claims, "nbf", now);
	ff_json_set_int(claims, "iat", now);
	ff_json_set_int(claims, "exp", now + ASSERTION_S);
	return part(claims);
}

/* RSASSA-PSS with SHA-256, salt as long as the hash (RFC 7518 section 3.5). NULL when it cannot be done. */
static char *sign_part(EVP_PKEY *key, const char *text)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pkey = NULL;
	unsigned char *signature = NULL;
	size_t len = 0;
	char *out = NULL;

	if (md == NULL)
		ff_oom();
	if (EVP_DigestSignInit(md, &pkey, EVP_sha256(), NULL, key) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST) == 1 &&
		EVP_DigestSign(md, NULL, &len, (const unsigned char *)text, strlen(text)) == 1) {
		signature = ff_calloc(len, 1);
		if (EVP_DigestSign(md, signature, &len, (const unsigned char *)text, strlen(text)) == 1)
			out = ff_base64url(signature, len);
	}
	free(signature);
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return out;
}

char *azure_assertion(const char *file, size_t len, const char *password, const char *audience, const char *client,
	int64_t wall_ms, struct ff_err *err)
{
	struct identity id = {0};
	char *jwt = NULL;

	if (identity_read(file, len, password, &id, err) == 0) {
		ff_auto_free char *header = header_part(id.certificate);
		ff_auto_free char *claims = claims_part(audience, client, wall_ms);
		ff_auto_free char *text = ff_printf("%s.%s", header, claims);
		ff_auto_free char *signature = sign_part(id.key, text);

		if (signature != NULL)
			jwt = ff_printf("%s.%s", text, signature);
		else
			ff_fail(err, FF_E_AUTH, "the private key cannot make a PS256 signature");
	}
	identity_release(&id);
	return jwt;
}
