/*
 * Secret Manager, for keys of encrypted volumes: the latest version of a secret of the VM's project.
 *
 *   GET v1/projects/PROJECT/secrets/NAME/versions/latest:access -> {"name", "payload": {"data": base64, "dataCrc32c"}}
 * (cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access). Needs
 * secretmanager.versions.access.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define ENDPOINT       "https://secretmanager.googleapis.com/"
#define NAME_CHARS_MAX 255

int gcp_secrets_open(struct ff_cloud *cloud, const char *override, struct ff_err *err)
{
	if (override == NULL || override[0] == '\0') {
		cloud->secrets = ff_strdup(ENDPOINT);
		return 0;
	}
	if (ff_url_check(override, err) < 0)
		return ff_wrap(err, "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER");
	if (strpbrk(override, "?#") != NULL)
		return ff_fail(err, FF_E_USAGE, "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER has a query");
	cloud->secrets = ff_printf("%s%s", override, ff_has_suffix(override, "/") ? "" : "/");
	return 0;
}

bool gcp_secrets_own(const struct ff_cloud *cloud, const char *url)
{
	ff_auto_free char *host = ff_url_host(url), *own = ff_url_host(cloud->secrets);

	return host != NULL && ff_streq(host, own) && ff_has_prefix(url, cloud->secrets);
}

int gcp_secret_ask(struct ff_cloud *cloud, const char *name, struct ff_ask *ask, struct ff_err *err)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_CHARS_MAX ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != len) {
		ff_auto_free char *clean = ff_printable(name);

		return ff_fail(
			err, FF_E_USAGE, "'%.100s' cannot be the name of a secret: letters, digits, - and _", clean);
	}
	ff_ask_http(
		ask, "GET", "%sv1/projects/%s/secrets/%s/versions/latest:access", cloud->secrets, cloud->project, name);
	ask->secret = true;
	return 0;
}

int gcp_secret_read(
	struct ff_cloud *cloud, const struct ff_answer *answer, char **bytes, size_t *len, struct ff_err *err)
{
	ff_auto_json json_t *body = NULL;
	struct ff_err ignored;
	const char *data;

	(void)cloud;
	if (answer->status == 404)
		return 0;
	if (answer->status == 403 || answer->status == 401)
		return ff_fail(err, FF_E_DENIED,
			"Secret Manager refuses it (HTTP %d): secretmanager.versions.access is needed", answer->status);
	if (answer->status != 200)
		return ff_fail(err, FF_E_PERMANENT, "Secret Manager answers HTTP %d", answer->status);
	body = ff_json_parse(answer->body, answer->body_len, answer->body_len, &ignored);
	data = ff_json_str(body, "payload/data");
	*bytes = data != NULL ? ff_base64_decode(data, len) : NULL;
	return *bytes != NULL ? 1 : ff_fail(err, FF_E_PERMANENT, "the answer of Secret Manager holds no secret");
}
