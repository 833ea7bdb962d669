/*
 * Which source of credentials is taken: the order of the SDKs (facts section 9), by what is configured and nothing
 * else. What is configured wrongly ends it; what is not configured is passed over and named when nothing is found.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

void aws_plan_release(struct aws_plan *plan)
{
	free(plan->profile);
	for (size_t i = 0; i < plan->role_count; i++)
		free(plan->roles[i]);
	free(plan->name);
	ff_strv_free(&plan->tried);
	*plan = (struct aws_plan){0};
}

static int wrong(struct ff_err *err, const char *profile, const char *what)
{
	ff_auto_free char *clean = ff_printable(profile);

	return ff_fail(err, FF_E_AUTH, "profile '%s': %s", clean, what);
}

/* ---------------------------------------------------------------- sources in a profile */

static bool has_role(const struct aws_settings *s, const char *profile)
{
	return aws_profile_get(s, profile, "role_arn") && !aws_profile_get(s, profile, "web_identity_token_file");
}

static bool has_keys(const struct aws_settings *s, const char *profile)
{
	return aws_profile_get(s, profile, "aws_access_key_id") != NULL;
}

static bool has_sso(const struct aws_settings *s, const char *profile)
{
	return aws_profile_get(s, profile, "sso_session") || aws_profile_get(s, profile, "sso_start_url");
}

static int take_source(struct aws_plan *plan, enum aws_source source, const char *profile, const char *fmt)
{
	ff_auto_free char *clean = ff_printable(profile);

	plan->source = source;
	plan->profile = ff_strdup(profile);
	plan->name = ff_printf("%s of profile '%s'", fmt, clean);
	return 1;
}

static int take_web(const struct aws_settings *s, struct aws_plan *plan, const char *profile, struct ff_err *err)
{
	if (aws_profile_get(s, profile, "role_arn") == NULL)
		return wrong(err, profile, "web_identity_token_file without role_arn");
	return take_source(plan, AWS_FROM_WEB, profile, "web identity");
}

static int take_sso(const struct aws_settings *s, struct aws_plan *plan, const char *profile, struct ff_err *err)
{
	const char *session = aws_profile_get(s, profile, "sso_session"), *region = NULL;
	ff_auto_free char *section = ff_printf("sso-session %s", session ? session : "");

	region = session ? aws_ini_get(&s->config, section, "sso_region") : aws_profile_get(s, profile, "sso_region");
	if (!aws_profile_get(s, profile, "sso_account_id") || !aws_profile_get(s, profile, "sso_role_name"))
		return wrong(err, profile, "single sign-on needs sso_account_id and sso_role_name");
	if (session && aws_ini_get(&s->config, section, "sso_start_url") == NULL)
		return wrong(err, profile, "its sso_session is not in the config file, or has no sso_start_url");
	if (!aws_region_ok(region))
		return wrong(err, profile, "single sign-on needs sso_region");
	return take_source(plan, AWS_FROM_SSO, profile, "single sign-on");
}

static int take_keys(
	const struct aws_settings *s, struct aws_plan *plan, const char *profile, bool credentials, struct ff_err *err)
{
	const char *secret = credentials ? aws_ini_get(&s->credentials, profile, "aws_secret_access_key")
					 : aws_profile_config(s, profile, "aws_secret_access_key");

	if (secret == NULL || secret[0] == '\0')
		return wrong(err, profile, "aws_access_key_id without aws_secret_access_key");
	return take_source(plan, credentials ? AWS_FROM_CREDENTIALS : AWS_FROM_CONFIG, profile,
		credentials ? "keys in the credentials file" : "keys in the config file");
}

/* Web identity, SSO, keys, process: 1 taken, 0 none of them configured, -1. */
static int take_profile(const struct aws_settings *s, struct aws_plan *plan, const char *profile, struct ff_err *err)
{
	const char *id = aws_ini_get(&s->credentials, profile, "aws_access_key_id");

	if (aws_profile_get(s, profile, "web_identity_token_file"))
		return take_web(s, plan, profile, err);
	if (has_sso(s, profile))
		return take_sso(s, plan, profile, err);
	if (id != NULL && id[0] != '\0')
		return take_keys(s, plan, profile, true, err);
	if (aws_profile_get(s, profile, "credential_process"))
		return take_source(plan, AWS_FROM_PROCESS, profile, "credential_process");
	if (aws_profile_config(s, profile, "aws_access_key_id"))
		return take_keys(s, plan, profile, false, err);
	return 0;
}

/* ---------------------------------------------------------------- roles */

static bool in_roles(const struct aws_plan *plan, const char *profile)
{
	for (size_t i = 0; i < plan->role_count; i++)
		if (ff_streq(plan->roles[i], profile))
			return true;
	return false;
}

static int take_named_source(
	const struct aws_settings *s, struct aws_plan *plan, const char *profile, const char *name, struct ff_err *err)
{
	plan->profile = ff_strdup(profile);
	if (ff_streq(name, "Environment")) {
		if (!s->env[AWS_ENV_ACCESS_KEY] || !s->env[AWS_ENV_SECRET_KEY])
			return wrong(err, profile, "credential_source is Environment, but it holds no keys");
		plan->source = AWS_FROM_ENV;
		plan->name = ff_strdup("environment");
	} else if (ff_streq(name, "EcsContainer")) {
		if (!s->env[AWS_ENV_CONTAINER_RELATIVE] && !s->env[AWS_ENV_CONTAINER_FULL])
			return wrong(err, profile, "credential_source is EcsContainer, but this is no such container");
		plan->source = AWS_FROM_CONTAINER;
		plan->name = ff_strdup("container");
	} else if (ff_streq(name, "Ec2InstanceMetadata")) {
		plan->source = AWS_FROM_IMDS;
		plan->name = ff_strdup("instance metadata");
	} else {
		return wrong(
			err, profile, "credential_source is none of Environment, EcsContainer, Ec2InstanceMetadata");
	}
	return 1;
}

static int check_role(const struct aws_settings *s, const char *profile, struct ff_err *err)
{
	bool source = aws_profile_get(s, profile, "source_profile") != NULL;
	bool named = aws_profile_get(s, profile, "credential_source") != NULL;

	if (source && named)
		return wrong(err, profile, "source_profile and credential_source exclude each other");
	if (!source && !named)
		return wrong(err, profile, "role_arn needs source_profile or credential_source");
	if (aws_profile_get(s, profile, "mfa_serial"))
		return wrong(err, profile,
			"mfa_serial: a code cannot be asked for here; give the role's credentials in the environment");
	return 0;
}

/* From the profile with role_arn down to the profile or place that has credentials. */
static int take_roles(const struct aws_settings *s, struct aws_plan *plan, const char *profile, struct ff_err *err)
{
	for (;;) {
		const char *source = aws_profile_get(s, profile, "source_profile");
		const char *named = aws_profile_get(s, profile, "credential_source");
		int rc;

		if (check_role(s, profile, err) < 0)
			return -1;
		if (in_roles(plan, profile) || plan->role_count == AWS_ROLES_MAX)
			return wrong(err, profile, "its roles assume one another in a circle, or too many of them");
		plan->roles[plan->role_count++] = ff_strdup(profile);
		if (named != NULL)
			return take_named_source(s, plan, profile, named, err);
		if (!aws_profile_exists(s, source))
			return wrong(err, profile, "its source_profile does not exist");
		/* a profile with keys that names itself is its own source; so is one with keys and a role of its own */
		if (has_role(s, source) && !has_keys(s, source)) {
			profile = source;
			continue;
		}
		rc = take_profile(s, plan, source, err);
		return rc == 0 ? wrong(err, source, "is a source_profile without credentials") : rc;
	}
}

static void name_roles(const struct aws_settings *s, struct aws_plan *plan)
{
	ff_auto_free char *base = plan->name;
	ff_auto_free char *role = ff_printable(aws_profile_get(s, plan->roles[0], "role_arn"));
	ff_auto_free char *profile = ff_printable(plan->roles[0]);

	plan->name = ff_printf("role '%s' of profile '%s', from %s", role, profile, base);
}

/* ---------------------------------------------------------------- the order */

static int take_env(const struct aws_settings *s, struct aws_plan *plan, struct ff_err *err)
{
	if (s->profile_explicit) {
		ff_strv_add(&plan->tried, "environment (not with --profile)");
		return 0;
	}
	if (s->env[AWS_ENV_ACCESS_KEY] == NULL) {
		ff_strv_add(&plan->tried, "environment (no AWS_ACCESS_KEY_ID)");
		return 0;
	}
	if (s->env[AWS_ENV_SECRET_KEY] == NULL)
		return ff_fail(err, FF_E_AUTH, "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not");
	plan->source = AWS_FROM_ENV;
	plan->name = ff_strdup("environment (AWS_ACCESS_KEY_ID)");
	return 1;
}

static int take_web_env(const struct aws_settings *s, struct aws_plan *plan, struct ff_err *err)
{
	if (s->profile_explicit || s->env[AWS_ENV_WEB_TOKEN_FILE] == NULL) {
		ff_strv_addf(&plan->tried, "web identity (%s)",
			s->profile_explicit ? "not with --profile" : "no AWS_WEB_IDENTITY_TOKEN_FILE");
		return 0;
	}
	if (s->env[AWS_ENV_ROLE_ARN] == NULL && aws_profile_get(s, s->profile, "role_arn") == NULL)
		return ff_fail(err, FF_E_AUTH, "AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not");
	plan->source = AWS_FROM_WEB;
	plan->from_env = true;
	plan->profile = ff_strdup(s->profile);
	plan->name = ff_strdup("web identity (AWS_WEB_IDENTITY_TOKEN_FILE)");
	return 1;
}

static int take_shared(const struct aws_settings *s, struct aws_plan *plan, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(s->profile);
	int rc;

	if (s->profile_named && !aws_profile_exists(s, s->profile))
		return ff_fail(err, FF_E_AUTH, "profile '%s' is in neither the config nor the credentials file", clean);
	if (has_role(s, s->profile)) {
		rc = take_roles(s, plan, s->profile, err);
		if (rc > 0)
			name_roles(s, plan);
		return rc;
	}
	rc = take_web_env(s, plan, err);
	if (rc == 0)
		rc = take_profile(s, plan, s->profile, err);
	if (rc == 0)
		ff_strv_addf(&plan->tried,
			"profile '%s' (no role, web identity, sso, keys or credential_process in the shared files)",
			clean);
	return rc;
}

int aws_plan_make(const struct aws_settings *s, struct aws_plan *plan, struct ff_err *err)
{
	int rc;

	*plan = (struct aws_plan){.source = AWS_FROM_NOWHERE};
	rc = take_env(s, plan, err);
	if (rc == 0)
		rc = take_shared(s, plan, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (s->env[AWS_ENV_CONTAINER_RELATIVE] || s->env[AWS_ENV_CONTAINER_FULL]) {
		plan->source = AWS_FROM_CONTAINER;
		plan->name = ff_strdup("container (AWS_CONTAINER_CREDENTIALS_*)");
		return 0;
	}
	ff_strv_add(&plan->tried, "container (no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI)");
	if (aws_is_true(s->env[AWS_ENV_IMDS_DISABLED])) {
		ff_strv_add(&plan->tried, "instance metadata (AWS_EC2_METADATA_DISABLED)");
		return 0;
	}
	plan->source = AWS_FROM_IMDS;
	plan->name = ff_strdup("instance metadata");
	return 0;
}
