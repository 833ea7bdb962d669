/*
 * Settings as the AWS tools find them: the environment (handed in at open()), the shared files, and what follows from
 * both: profile, region, endpoints.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define REGION_BYTES_MAX 32

static const char *const env_names[AWS_ENV_COUNT] = {
	[AWS_ENV_ACCESS_KEY] = "AWS_ACCESS_KEY_ID",
	[AWS_ENV_SECRET_KEY] = "AWS_SECRET_ACCESS_KEY",
	[AWS_ENV_SESSION_TOKEN] = "AWS_SESSION_TOKEN",
	[AWS_ENV_PROFILE] = "AWS_PROFILE",
	[AWS_ENV_DEFAULT_PROFILE] = "AWS_DEFAULT_PROFILE",
	[AWS_ENV_REGION] = "AWS_REGION",
	[AWS_ENV_DEFAULT_REGION] = "AWS_DEFAULT_REGION",
	[AWS_ENV_CONFIG_FILE] = "AWS_CONFIG_FILE",
	[AWS_ENV_CREDENTIALS_FILE] = "AWS_SHARED_CREDENTIALS_FILE",
	[AWS_ENV_HOME] = "HOME",
	[AWS_ENV_WEB_TOKEN_FILE] = "AWS_WEB_IDENTITY_TOKEN_FILE",
	[AWS_ENV_ROLE_ARN] = "AWS_ROLE_ARN",
	[AWS_ENV_ROLE_SESSION] = "AWS_ROLE_SESSION_NAME",
	[AWS_ENV_CONTAINER_RELATIVE] = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	[AWS_ENV_CONTAINER_FULL] = "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	[AWS_ENV_CONTAINER_TOKEN] = "AWS_CONTAINER_AUTHORIZATION_TOKEN",
	[AWS_ENV_CONTAINER_TOKEN_FILE] = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	[AWS_ENV_IMDS_DISABLED] = "AWS_EC2_METADATA_DISABLED",
	[AWS_ENV_IMDS_ENDPOINT] = "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	[AWS_ENV_IMDS_MODE] = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
	[AWS_ENV_IMDS_V1_DISABLED] = "AWS_EC2_METADATA_V1_DISABLED",
	[AWS_ENV_ENDPOINT] = "AWS_ENDPOINT_URL",
	[AWS_ENV_ENDPOINT_EC2] = "AWS_ENDPOINT_URL_EC2",
	[AWS_ENV_ENDPOINT_STS] = "AWS_ENDPOINT_URL_STS",
	[AWS_ENV_ENDPOINT_AUTOSCALING] = "AWS_ENDPOINT_URL_AUTO_SCALING",
	[AWS_ENV_ENDPOINT_SECRETS] = "AWS_ENDPOINT_URL_SECRETS_MANAGER",
	[AWS_ENV_ENDPOINT_KMS] = "AWS_ENDPOINT_URL_KMS",
	[AWS_ENV_ENDPOINT_SSO] = "AWS_ENDPOINT_URL_SSO",
	[AWS_ENV_IGNORE_ENDPOINTS] = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	[AWS_ENV_CA_BUNDLE] = "AWS_CA_BUNDLE",
};

/* How each service is called in host names, in the environment and in "[services x]". */
static const struct {
	const char *host;
	enum aws_env env;
	const char *in_file;
} services[AWS_SERVICE_COUNT] = {
	[AWS_EC2] = {"ec2", AWS_ENV_ENDPOINT_EC2, "ec2.endpoint_url"},
	[AWS_STS] = {"sts", AWS_ENV_ENDPOINT_STS, "sts.endpoint_url"},
	[AWS_AUTOSCALING] = {"autoscaling", AWS_ENV_ENDPOINT_AUTOSCALING, "auto_scaling.endpoint_url"},
	[AWS_SECRETS] = {"secretsmanager", AWS_ENV_ENDPOINT_SECRETS, "secrets_manager.endpoint_url"},
	[AWS_KMS] = {"kms", AWS_ENV_ENDPOINT_KMS, "kms.endpoint_url"},
	[AWS_SSO] = {"portal.sso", AWS_ENV_ENDPOINT_SSO, "sso.endpoint_url"},
};

/* Partitions by the beginning of their regions' names; the longer beginning first. */
static const struct {
	const char *prefix, *suffix;
} partitions[] = {
	{"cn-", "amazonaws.com.cn"}, {"eusc-", "amazonaws.eu"}, {"us-isob-", "sc2s.sgov.gov"},
	{"us-isof-", "csp.hci.ic.gov"}, {"eu-isoe-", "cloud.adc-e.uk"}, {"us-iso-", "c2s.ic.gov"},
	{"", "amazonaws.com"}, /* aws and aws-us-gov */
};

bool aws_is_true(const char *text)
{
	return ff_strcaseeq(text, "true");
}

bool aws_region_ok(const char *region)
{
	size_t len = region ? strlen(region) : 0;

	if (len == 0 || len > REGION_BYTES_MAX || region[0] == '-' || region[len - 1] == '-')
		return false;
	return strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static int check_endpoint(const char *what, const char *url, struct ff_err *err)
{
	if (url == NULL || ff_url_check(url, err) == 0)
		return 0;
	return ff_wrap(err, "%s", what);
}

int aws_settings_init(
	struct aws_settings *s, const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err)
{
	static const enum aws_env urls[] = {AWS_ENV_ENDPOINT, AWS_ENV_ENDPOINT_EC2, AWS_ENV_ENDPOINT_STS,
		AWS_ENV_ENDPOINT_AUTOSCALING, AWS_ENV_ENDPOINT_SECRETS, AWS_ENV_ENDPOINT_KMS, AWS_ENV_ENDPOINT_SSO};
	const char *profile, *region;

	*s = (struct aws_settings){0};
	for (int i = 0; i < AWS_ENV_COUNT; i++)
		s->env[i] = ff_strdup(env->get(env->self, env_names[i]));
	s->region_option = ff_strdup(options->region);
	profile = options->profile ? options->profile : s->env[AWS_ENV_PROFILE];
	profile = profile ? profile : s->env[AWS_ENV_DEFAULT_PROFILE];
	s->profile_explicit = options->profile != NULL;
	s->profile_named = profile != NULL;
	s->profile = ff_strdup(profile ? profile : "default");
	region = aws_settings_region(s);
	if (region != NULL && !aws_region_ok(region)) {
		ff_auto_free char *clean = ff_printable(region);

		return ff_fail(err, FF_E_USAGE, "'%s' is not an AWS region", clean);
	}
	for (size_t i = 0; i < FF_COUNT(urls) && !aws_is_true(s->env[AWS_ENV_IGNORE_ENDPOINTS]); i++)
		if (check_endpoint(env_names[urls[i]], s->env[urls[i]], err) < 0)
			return -1;
	return check_endpoint(env_names[AWS_ENV_IMDS_ENDPOINT], s->env[AWS_ENV_IMDS_ENDPOINT], err);
}

void aws_settings_release(struct aws_settings *s)
{
	for (int i = 0; i < AWS_ENV_COUNT; i++)
		ff_free_secret(s->env[i]);
	free(s->region_option);
	free(s->profile);
	aws_ini_release(&s->config);
	aws_ini_release(&s->credentials);
	*s = (struct aws_settings){0};
}

char *aws_settings_path(const struct aws_settings *s, bool credentials)
{
	const char *path = s->env[credentials ? AWS_ENV_CREDENTIALS_FILE : AWS_ENV_CONFIG_FILE];
	const char *home = s->env[AWS_ENV_HOME];

	if (path != NULL && !ff_has_prefix(path, "~/"))
		return ff_strdup(path);
	if (home == NULL)
		return NULL;
	return path ? ff_printf("%s%s", home, path + 1)
		    : ff_printf("%s/.aws/%s", home, credentials ? "credentials" : "config");
}

/* ---------------------------------------------------------------- profiles */

const char *aws_profile_config(const struct aws_settings *s, const char *profile, const char *key)
{
	ff_auto_free char *section = ff_printf("profile %s", profile);
	const char *value = aws_ini_get(&s->config, section, key);

	if (value == NULL && ff_streq(profile, "default"))
		value = aws_ini_get(&s->config, "default", key);
	return value && value[0] ? value : NULL;
}

const char *aws_profile_get(const struct aws_settings *s, const char *profile, const char *key)
{
	const char *value = aws_ini_get(&s->credentials, profile, key);

	return value && value[0] ? value : aws_profile_config(s, profile, key);
}

bool aws_profile_exists(const struct aws_settings *s, const char *profile)
{
	ff_auto_free char *section = ff_printf("profile %s", profile);

	return ff_strv_has(&s->credentials.sections, profile) || ff_strv_has(&s->config.sections, section) ||
	       (ff_streq(profile, "default") && ff_strv_has(&s->config.sections, "default"));
}

const char *aws_settings_region(const struct aws_settings *s)
{
	if (s->region_option != NULL)
		return s->region_option;
	if (s->env[AWS_ENV_REGION] != NULL)
		return s->env[AWS_ENV_REGION];
	if (s->env[AWS_ENV_DEFAULT_REGION] != NULL)
		return s->env[AWS_ENV_DEFAULT_REGION];
	return aws_profile_get(s, s->profile, "region");
}

/* ---------------------------------------------------------------- endpoints */

/*
 * docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html: the service's variable, AWS_ENDPOINT_URL, the
 * service in the profile's [services x], the profile's endpoint_url.
 */
static const char *configured_endpoint(const struct aws_settings *s, enum aws_service service)
{
	const char *services_name = aws_profile_get(s, s->profile, "services"), *url = NULL;

	if (aws_is_true(s->env[AWS_ENV_IGNORE_ENDPOINTS]) ||
		(s->env[AWS_ENV_IGNORE_ENDPOINTS] == NULL &&
			aws_is_true(aws_profile_get(s, s->profile, "ignore_configured_endpoint_urls"))))
		return NULL;
	if (s->env[services[service].env] != NULL)
		return s->env[services[service].env];
	if (s->env[AWS_ENV_ENDPOINT] != NULL)
		return s->env[AWS_ENV_ENDPOINT];
	if (services_name != NULL) {
		ff_auto_free char *section = ff_printf("services %s", services_name);

		url = aws_ini_get(&s->config, section, services[service].in_file);
	}
	return url && url[0] ? url : aws_profile_get(s, s->profile, "endpoint_url");
}

char *aws_settings_endpoint(
	const struct aws_settings *s, enum aws_service service, const char *region, struct ff_err *err)
{
	const char *url = configured_endpoint(s, service);
	size_t len, i = 0;

	if (url == NULL) {
		while (!ff_has_prefix(region, partitions[i].prefix))
			i++;
		return ff_printf("https://%s.%s.%s", services[service].host, region, partitions[i].suffix);
	}
	if (ff_url_check(url, err) < 0) {
		ff_wrap(err, "endpoint of %s", services[service].host);
		return NULL;
	}
	len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	if (memchr(url, '?', len) != NULL || memchr(url, '#', len) != NULL) {
		ff_auto_free char *clean = ff_printable(url);

		ff_fail(err, FF_E_USAGE, "endpoint of %s: '%s' must have neither query nor fragment",
			services[service].host, clean);
		return NULL;
	}
	return ff_strndup(url, len);
}

const char *aws_settings_ca(const struct aws_settings *s)
{
	const char *path = s->env[AWS_ENV_CA_BUNDLE];

	return path ? path : aws_profile_get(s, s->profile, "ca_bundle");
}

char *aws_settings_imds(const struct aws_settings *s, struct ff_err *err)
{
	const char *url = s->env[AWS_ENV_IMDS_ENDPOINT], *mode = s->env[AWS_ENV_IMDS_MODE];
	size_t len;

	url = url ? url : aws_profile_get(s, s->profile, "ec2_metadata_service_endpoint");
	mode = mode ? mode : aws_profile_get(s, s->profile, "ec2_metadata_service_endpoint_mode");
	if (url == NULL)
		url = ff_strcaseeq(mode, "ipv6") ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
	if (check_endpoint("instance metadata endpoint", url, err) < 0)
		return NULL;
	len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	return ff_strndup(url, len);
}
