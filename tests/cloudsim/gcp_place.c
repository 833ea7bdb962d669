/*
 * GCP's part of telling clients where the server is: endpoint, project, and a service account's key file as Google's
 * libraries read it. Without a key in the scenario one is made, and only its public half reaches the model.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "gcp.h"
#include "gcp_place.h"

#include "files.h"

#define KEY_BITS 2048

static char *new_private_key(void)
{
	EVP_PKEY *key = EVP_RSA_gen(KEY_BITS);
	BIO *out = BIO_new(BIO_s_mem());
	char *pem = NULL, *text;

	if (key != NULL && out != NULL && PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1) {
		long n = BIO_get_mem_data(out, &text);

		pem = ff_strndup(text, (size_t)n);
	}
	EVP_PKEY_free(key);
	BIO_free(out);
	return pem;
}

int sim_gcp_prepare(json_t *gcp, struct ff_err *err)
{
	json_t *account = json_object_get(gcp, "service_account");
	ff_auto_free char *pem = NULL;

	if (!json_is_object(gcp) || (account != NULL && !json_is_object(account)) ||
		json_object_get(account, "public_key") != NULL || json_object_get(account, "private_key") != NULL)
		return 0; /* nothing to do, or nothing that can be done: the model will say what is wrong */
	pem = new_private_key();
	if (pem == NULL)
		return ff_fail(err, FF_E_LOCAL, "cannot make a key for the service account");
	if (account == NULL)
		json_object_set_new(gcp, "service_account", account = json_object());
	ff_json_set_str(account, "private_key", pem);
	return 0;
}

static int write_key_file(
	const struct sim_place *place, const json_t *account, const char *project, const char *path, struct ff_err *err)
{
	const char *email = ff_json_str(account, "email"), *id = ff_json_str(account, "private_key_id");
	ff_auto_free char *usual = ff_printf(GC_EMAIL, project), *uri = ff_printf("%s/token", place->base);
	ff_auto_json json_t *file = json_object();
	ff_auto_free char *text = NULL;

	ff_json_set_str(file, "type", "service_account");
	ff_json_set_str(file, "project_id", project);
	ff_json_set_str(file, "private_key_id", id != NULL ? id : GC_KEY_ID);
	ff_json_set_str(file, "private_key", ff_json_str(account, "private_key"));
	ff_json_set_str(file, "client_email", email != NULL ? email : usual);
	ff_json_set_str(file, "client_id", "100000000000000000001");
	ff_json_set_str(file, "token_uri", uri);
	text = ff_json_text(file);
	return sim_write_file(path, text, err);
}

int sim_gcp_tell(const struct sim_place *place, const json_t *gcp, json_t *env, struct ff_err *err)
{
	const char *project = ff_json_str(gcp, "project");
	const json_t *account = json_object_get(gcp, "service_account");
	ff_auto_free char *compute = ff_printf("%s/compute/v1/", place->base);
	ff_auto_free char *path = ff_printf("%s/gcp-key.json", place->work_dir);

	if (gcp == NULL)
		return 0;
	project = project != NULL ? project : GC_PROJECT;
	ff_json_set_str(env, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", compute);
	ff_json_set_str(env, "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", place->base);
	ff_json_set_str(env, "GOOGLE_CLOUD_PROJECT", project);
	if (place->imds_base != NULL)
		ff_json_set_str(env, "GCE_METADATA_HOST", strstr(place->imds_base, "://") + 3);
	if (ff_json_str(account, "private_key") == NULL)
		return 0;
	ff_json_set_str(env, "GOOGLE_APPLICATION_CREDENTIALS", path);
	return write_key_file(place, account, project, path, err);
}
