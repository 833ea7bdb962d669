/* What the environment says about signing in, taken over once. */
#include "login.h"

#include <stdlib.h>
#include <string.h>

#define METADATA_HOST	 "metadata.google.internal"
#define METADATA_ADDRESS "169.254.169.254"
#define WELL_KNOWN	 "application_default_credentials.json"

static char *setting(const struct ff_env *env, const char *name)
{
	return ff_strdup(env->get(env->self, name));
}

static char *well_known(const struct ff_env *env)
{
	const char *config = env->get(env->self, "CLOUDSDK_CONFIG"), *home = env->get(env->self, "HOME");

	if (config != NULL)
		return ff_printf("%s/" WELL_KNOWN, config);
	return home ? ff_printf("%s/.config/gcloud/" WELL_KNOWN, home) : NULL;
}

static int check_host(const char *name, const char *host, struct ff_err *err)
{
	ff_auto_free char *url = ff_printf("http://%s/", host), *parsed = ff_url_host(url);

	if (parsed == NULL || strpbrk(host, "/?#") != NULL)
		return ff_fail(err, FF_E_USAGE, "%s is not a host", name);
	if (ff_url_check(url, err) < 0)
		return ff_wrap(err, "%s", name);
	return 0;
}

struct gcp_login *gcp_login_new(const struct ff_env *env, struct ff_err *err)
{
	struct gcp_login *login = ff_calloc(1, sizeof(*login));

	login->token_file = setting(env, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE");
	login->env_file = setting(env, "GOOGLE_APPLICATION_CREDENTIALS");
	login->quota_setting = setting(env, "GOOGLE_CLOUD_QUOTA_PROJECT");
	login->well_known = well_known(env);
	login->metadata_host = setting(env, "GCE_METADATA_HOST");
	login->metadata_ip = setting(env, "GCE_METADATA_IP");
	login->metadata_named = login->metadata_host != NULL;
	login->allow_executables = ff_streq(env->get(env->self, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"), "1");
	if (login->metadata_host == NULL)
		login->metadata_host = ff_strdup(METADATA_HOST);
	if (login->metadata_ip == NULL)
		login->metadata_ip = ff_strdup(METADATA_ADDRESS);
	if (check_host("GCE_METADATA_HOST", login->metadata_host, err) < 0 ||
		check_host("GCE_METADATA_IP", login->metadata_ip, err) < 0) {
		gcp_login_free(login);
		return NULL;
	}
	return login;
}

void gcp_login_free(struct gcp_login *login)
{
	if (login == NULL)
		return;
	free(login->token_file);
	free(login->env_file);
	free(login->well_known);
	free(login->metadata_host);
	free(login->metadata_ip);
	free(login->quota_setting);
	ff_strv_free(&login->tried);
	free(login->name);
	gcp_json_wipe(login->file);
	free(login->universe);
	ff_free_secret(login->subject);
	ff_free_secret(login->rotated);
	ff_free_secret(login->token);
	free(login->quota);
	free(login);
}
