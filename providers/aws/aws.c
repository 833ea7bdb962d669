/* AWS: the table; opening, closing, signing. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static void retitle(struct ff_cloud *cloud)
{
	const struct aws_settings *s = &cloud->login->settings;
	ff_auto_free char *profile = ff_printable(s->profile);
	struct ff_buf text = {0};

	ff_buf_adds(&text, "aws");
	if (cloud->account != NULL)
		ff_buf_addf(&text, " account %s,", cloud->account);
	ff_buf_addf(&text, " region %s", cloud->region ? cloud->region : "(not known yet)");
	if (s->profile_named)
		ff_buf_addf(&text, ", profile '%s'", profile);
	free(cloud->title);
	cloud->title = ff_buf_take(&text);
	free(cloud->owner);
	cloud->owner = ff_printf("%s/%s", cloud->account ? cloud->account : "", cloud->region ? cloud->region : "");
}

int aws_set_region(struct ff_cloud *cloud, const char *region, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(region);

	if (!aws_region_ok(region))
		return ff_fail(err, FF_E_USAGE, "'%s' is not an AWS region", clean);
	for (int i = 0; i < AWS_SERVICE_COUNT; i++) {
		free(cloud->endpoints[i]);
		cloud->endpoints[i] = aws_settings_endpoint(&cloud->login->settings, (enum aws_service)i, region, err);
		if (cloud->endpoints[i] == NULL)
			return -1;
	}
	free(cloud->region);
	cloud->region = ff_strdup(region);
	retitle(cloud);
	return 0;
}

void aws_set_account(struct ff_cloud *cloud, const char *account)
{
	if (strlen(account) != 12 || strspn(account, "0123456789") != 12)
		return;
	free(cloud->account);
	cloud->account = ff_strdup(account);
	retitle(cloud);
}

static void aws_close(struct ff_cloud *cloud)
{
	if (cloud == NULL)
		return;
	aws_found_free(cloud->found);
	aws_login_free(cloud->login);
	for (int i = 0; i < AWS_SERVICE_COUNT; i++)
		free(cloud->endpoints[i]);
	ff_strv_free(&cloud->rescues);
	free(cloud->title);
	free(cloud->region);
	free(cloud->account);
	free(cloud->owner);
	free(cloud);
}

static struct ff_cloud *aws_open(const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err)
{
	struct ff_cloud *cloud = ff_calloc(1, sizeof(*cloud));

	cloud->asg_standby = options->asg_standby;
	cloud->claims = options->claims;
	cloud->no_backup = options->no_backup;
	cloud->preflight = options->preflight;
	cloud->discard_local = options->discard_local_ssd;
	for (size_t i = 0; i < options->rescues.count; i++)
		ff_strv_add(&cloud->rescues, options->rescues.items[i]);
	cloud->found = aws_found_new();
	cloud->login = aws_login_new(options, env, err);
	if (cloud->login == NULL) {
		aws_close(cloud);
		return NULL;
	}
	retitle(cloud);
	return cloud;
}

static const char *aws_title(const struct ff_cloud *cloud)
{
	return cloud->title;
}

static const char *aws_account(const struct ff_cloud *cloud)
{
	return cloud->owner;
}

/* Signed for the service that was asked, and only for its own endpoint. */
static int aws_sign(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	struct aws_login *login = cloud->login;
	enum aws_service service = AWS_TAG_SERVICE(ask->tag);
	ff_auto_free char *host = ff_url_host(ask->url), *own = NULL;
	struct aws_scope scope = {.region = cloud->region};

	if (login->keys.id == NULL)
		return ff_fail(err, FF_E_AUTH, "not signed in to AWS");
	if ((unsigned)service >= AWS_SSO)
		return ff_fail(err, FF_E_BUG, "a request to no service of AWS that is signed for");
	own = ff_url_host(cloud->endpoints[service]);
	if (host == NULL || !ff_streq(host, own) ||
		!ff_has_prefix(ask->url, cloud->endpoints[service])) /* the scheme too */
		return ff_fail(
			err, FF_E_BUG, "'%.200s' is not the endpoint of %s", ask->url, aws_service_name(service));
	scope.service = aws_service_name(service);
	return aws_sigv4(ask, &login->keys, &scope, wall_ms + login->offset_ms, NULL, err);
}

const struct ff_provider ff_aws = {
	.name = "aws",
	.open = aws_open,
	.close = aws_close,
	.title = aws_title,
	.account = aws_account,
	.login_next = aws_login_next,
	.login_read = aws_login_read,
	.login_reset = aws_login_reset,
	.login_renew_at = aws_login_renew_at,
	.login_name = aws_login_name,
	.sign = aws_sign,
	.secret_ask = aws_secret_ask,
	.secret_read = aws_secret_read,
	.judge = aws_judge,
	.discover_next = aws_discover_next,
	.discover_read = aws_discover_read,
	.vms = aws_vms,
	.notes = aws_notes,
	.evidence_ask = aws_evidence_ask,
	.evidence_read = aws_evidence_read,
	.fits = aws_fits,
	.steps = aws_steps,
	.step_count = AWS_STEP_COUNT,
	.forward = aws_forward,
	.rollback = aws_rollback,
	.cleanup = aws_cleanup,
	.recover = aws_recover,
	.recall = aws_recall,
	/* no operations to poll: what EC2 accepts shows in the resource's own state */
	.place = aws_place,
	.where = aws_where,
	.by_hand = aws_by_hand,
};
