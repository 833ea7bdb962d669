#include "tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "fixfleet/mem.h"

#define LIFE_S (7 * 86400)

static int extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	int ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e != NULL && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static int head(X509 *cert, EVP_PKEY *key, const char *name)
{
	unsigned char serial[15];
	ASN1_INTEGER *number = X509_get_serialNumber(cert);
	BIGNUM *bn;
	int ok;

	if (RAND_bytes(serial, sizeof(serial)) != 1)
		return 0;
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	ok = bn != NULL && BN_to_ASN1_INTEGER(bn, number) != NULL && X509_set_version(cert, 2) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
	     X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_S) != NULL && X509_set_pubkey(cert, key) == 1 &&
	     X509_NAME_add_entry_by_txt(
		     X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1;
	BN_free(bn);
	return ok;
}

static int make_ca(X509 *ca, EVP_PKEY *key)
{
	return head(ca, key, "cloudsim CA") && X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 &&
	       extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE") &&
	       extend(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       extend(ca, ca, NID_subject_key_identifier, "hash") && X509_sign(ca, key, EVP_sha256()) > 0;
}

static int make_server(X509 *cert, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	return head(cert, key, "cloudsim") && X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 &&
	       extend(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       extend(cert, ca, NID_key_usage, "critical,digitalSignature") &&
	       extend(cert, ca, NID_ext_key_usage, "serverAuth") &&
	       extend(cert, ca, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost") &&
	       X509_sign(cert, ca_key, EVP_sha256()) > 0;
}

static char *take(BIO *bio, int written)
{
	char *bytes;
	long len = BIO_get_mem_data(bio, &bytes);
	char *text = written == 1 ? ff_strndup(bytes, (size_t)len) : NULL;

	BIO_free(bio);
	return text;
}

static char *cert_text(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return bio != NULL ? take(bio, PEM_write_bio_X509(bio, cert)) : NULL;
}

static char *key_text(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return bio != NULL ? take(bio, PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) : NULL;
}

int sim_tls_make(struct sim_tls *tls, struct ff_err *err)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = X509_new(), *cert = X509_new();

	*tls = (struct sim_tls){0};
	if (ca_key != NULL && key != NULL && ca != NULL && cert != NULL && make_ca(ca, ca_key) &&
		make_server(cert, key, ca, ca_key)) {
		tls->ca_pem = cert_text(ca);
		tls->cert_pem = cert_text(cert);
		tls->key_pem = key_text(key);
	}
	X509_free(ca);
	X509_free(cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	if (tls->ca_pem != NULL && tls->cert_pem != NULL && tls->key_pem != NULL)
		return 0;
	sim_tls_release(tls);
	return ff_fail(err, FF_E_LOCAL, "cannot make a certificate");
}

void sim_tls_release(struct sim_tls *tls)
{
	free(tls->ca_pem);
	free(tls->cert_pem);
	if (tls->key_pem != NULL)
		ff_free_secret(tls->key_pem);
	*tls = (struct sim_tls){0};
}
