/* RS256 (RFC 7515, RFC 8017 PKCS#1 v1.5 with SHA-256): the assertion of a service account. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define PEM_BYTES_MAX (64 * 1024)

/* Never ask a terminal for a passphrase: keys of service accounts have none. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static EVP_PKEY *read_key(const char *pem)
{
	size_t len = strnlen(pem, PEM_BYTES_MAX + 1);
	BIO *bio = len <= PEM_BYTES_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	if (key != NULL && EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

/* Append "." and the signature over what is in `text`. */
static int sign(EVP_PKEY *key, struct ff_buf *text)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *bytes = NULL;
	char *encoded;
	size_t len = 0;
	int rc = -1;

	if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(ctx, NULL, &len, (unsigned char *)text->text, text->len) == 1) {
		bytes = ff_calloc(len, 1);
		rc = EVP_DigestSign(ctx, bytes, &len, (unsigned char *)text->text, text->len) == 1 ? 0 : -1;
	}
	if (rc == 0) {
		encoded = ff_base64url(bytes, len);
		ff_buf_addf(text, ".%s", encoded);
		ff_free_secret(encoded);
	}
	free(bytes);
	EVP_MD_CTX_free(ctx);
	return rc;
}

char *gcp_jwt(const char *header, const char *payload, const char *pem, struct ff_err *err)
{
	ff_auto_free char *h = ff_base64url(header, strlen(header));
	ff_auto_free char *p = ff_base64url(payload, strlen(payload));
	EVP_PKEY *key = read_key(pem);
	struct ff_buf text = {0};
	int rc;

	if (key == NULL) {
		ERR_clear_error();
		ff_fail(err, FF_E_AUTH, "'private_key' is not an RSA private key in PEM");
		return NULL;
	}
	ff_buf_addf(&text, "%s.%s", h, p);
	rc = sign(key, &text);
	EVP_PKEY_free(key);
	if (rc < 0) {
		ERR_clear_error();
		ff_buf_free(&text);
		ff_fail(err, FF_E_AUTH, "the private key cannot sign");
		return NULL;
	}
	return ff_buf_take(&text);
}
