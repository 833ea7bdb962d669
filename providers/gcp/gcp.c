/* The table; opening, closing, signing, and where a disk is. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define ENDPOINT "https://compute.googleapis.com/compute/v1/"

/* ---------------------------------------------------------------- opening */

/* As gcloud has it the override ends in "/compute/v1/"; a bare host is understood too. */
static int set_base(struct ff_cloud *cloud, const char *override, struct ff_err *err)
{
	ff_auto_free char *origin = NULL;
	size_t len;

	if (override == NULL) {
		cloud->base = ff_strdup(ENDPOINT);
		cloud->host = ff_url_host(ENDPOINT);
		return 0;
	}
	if (ff_url_check(override, err) < 0)
		return ff_wrap(err, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE");
	if (strpbrk(override, "?#") != NULL)
		return ff_fail(err, FF_E_USAGE, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE has a query");
	origin = ff_strdup(override);
	len = strlen(origin);
	while (len > 0 && origin[len - 1] == '/')
		origin[--len] = '\0';
	cloud->host = ff_url_host(origin);
	if (cloud->host == NULL)
		return ff_fail(err, FF_E_USAGE, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE has no host");
	cloud->base = ff_printf("%s%s", origin, strchr(strstr(origin, "://") + 3, '/') ? "/" : "/compute/v1/");
	cloud->overridden = true;
	return 0;
}

static bool is_project(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 128 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.:") == len &&
	       text[0] != '.' && text[0] != '-' && text[0] != ':' && strstr(text, "..") == NULL;
}

static int set_scope(
	struct ff_cloud *cloud, const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err)
{
	const char *project = options->project;

	if (project == NULL)
		project = env->get(env->self, "CLOUDSDK_CORE_PROJECT");
	if (project == NULL)
		project = env->get(env->self, "GOOGLE_CLOUD_PROJECT");
	if (project == NULL)
		return ff_fail(err, FF_E_USAGE,
			"gcp needs a project: give --project, or set CLOUDSDK_CORE_PROJECT or GOOGLE_CLOUD_PROJECT");
	if (!is_project(project)) {
		ff_auto_free char *clean = ff_printable(project);

		return ff_fail(err, FF_E_USAGE, "'%s' is no project id", clean);
	}
	cloud->project = ff_strdup(project);
	for (size_t i = 0; i < options->zones.count; i++) {
		const char *zone = options->zones.items[i];
		ff_auto_free char *clean = ff_printable(zone);

		if (!gcp_is_name(zone) || strchr(zone, '-') == NULL)
			return ff_fail(err, FF_E_USAGE, "'%s' is no zone: --zone us-central1-a", clean);
		if (!ff_strv_has(&cloud->zones, zone))
			ff_strv_add(&cloud->zones, zone);
	}
	return 0;
}

static void set_title(struct ff_cloud *cloud)
{
	struct ff_buf title = {0};

	ff_buf_addf(&title, "gcp project %s", cloud->project);
	for (size_t i = 0; i < cloud->zones.count; i++)
		ff_buf_addf(&title, "%s%s", i ? ", " : ", zone ", cloud->zones.items[i]);
	cloud->title = ff_buf_take(&title);
}

static void close_cloud(struct ff_cloud *cloud)
{
	if (cloud == NULL)
		return;
	gcp_login_free(cloud->login);
	gcp_found_free(cloud->found);
	gcp_keys_free(&cloud->keys);
	free(cloud->title);
	free(cloud->project);
	free(cloud->base);
	free(cloud->host);
	free(cloud->secrets);
	free(cloud->csek_file);
	ff_strv_free(&cloud->zones);
	ff_strv_free(&cloud->rescues);
	free(cloud);
}

static struct ff_cloud *open_cloud(const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err)
{
	struct ff_cloud *cloud = ff_calloc(1, sizeof(*cloud));

	if (set_scope(cloud, options, env, err) < 0 ||
		set_base(cloud, env->get(env->self, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"), err) < 0 ||
		gcp_secrets_open(cloud, env->get(env->self, "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"), err) < 0)
		goto failed;
	cloud->login = gcp_login_new(env, err);
	if (cloud->login == NULL)
		goto failed;
	for (size_t i = 0; i < options->rescues.count; i++)
		ff_strv_add(&cloud->rescues, options->rescues.items[i]);
	cloud->discard_local_ssd = options->discard_local_ssd;
	cloud->no_backup = options->no_backup;
	cloud->preflight = options->preflight;
	cloud->claims = options->claims;
	cloud->csek_file = ff_strdup(options->csek_file);
	set_title(cloud);
	return cloud;

failed:
	close_cloud(cloud);
	return NULL;
}

static const char *title(const struct ff_cloud *cloud)
{
	return cloud->title;
}

static const char *account(const struct ff_cloud *cloud)
{
	return cloud->project;
}

/* ---------------------------------------------------------------- signing */

static int sign(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *host = ff_url_host(ask->url);
	const char *token = gcp_login_token(cloud), *quota = gcp_login_quota(cloud);
	char *value;

	(void)wall_ms;
	if (ask->kind != FF_ASK_HTTP)
		return 0;
	if (!gcp_secrets_own(cloud, ask->url) &&
		(!ff_streq(host, cloud->host) || !ff_has_prefix(ask->url, cloud->base)))
		return ff_fail(
			err, FF_E_BUG, "'%s' is not Compute's host: the token is not sent there", host ? host : "");
	if (token == NULL)
		return ff_fail(err, FF_E_AUTH, "not signed in");
	value = ff_printf("Bearer %s", token);
	ff_headers_set(&ask->headers, "Authorization", value);
	ff_free_secret(value);
	if (quota != NULL)
		ff_headers_set(&ask->headers, "x-goog-user-project", quota);
	return 0;
}

/* ---------------------------------------------------------------- where a disk is */

/* Google's udev rules make the link of the deviceName; no serial is promised. */
static int place(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *at, struct ff_err *err)
{
	ff_auto_free char *device = gcp_device_name(m);
	int64_t gib = ff_json_int(m->facts, "disk/size_gb", 0);

	(void)cloud, (void)err;
	*at = (struct ff_disk_place){.size_bytes = gib > 0 && gib < INT64_MAX >> 31 ? gib << 30 : 0};
	ff_strv_addf(&at->paths, "disk/by-id/google-%s", device);
	return 0;
}

static void gcloud(struct ff_strv *commands, const char *verb, const char *vm_path, const char *disk_path,
	const char *more, const char *value)
{
	ff_auto_free char *project = gcp_segment(vm_path, "projects"), *zone = gcp_segment(vm_path, "zones");
	ff_auto_buf text = {0};

	ff_buf_addf(&text, "gcloud compute instances %s ", verb);
	ff_buf_add_word(&text, gcp_last(vm_path));
	ff_buf_adds(&text, " --project=");
	ff_buf_add_word(&text, project ? project : "");
	ff_buf_adds(&text, " --zone=");
	ff_buf_add_word(&text, zone ? zone : "");
	if (disk_path != NULL) {
		ff_buf_adds(&text, " --disk=");
		ff_buf_add_word(&text, gcp_last(disk_path));
	}
	ff_buf_adds(&text, more);
	if (value != NULL)
		ff_buf_add_word(&text, value);
	ff_strv_add(commands, text.text);
}

/* Nobody knows how it was attached (a claim without a record, its journal lost) but the snapshot, which says it. */
static void describe_snapshot(const struct ff_member *m, struct ff_strv *commands)
{
	ff_auto_free char *project = gcp_segment(gcp_vm_path(m), "projects"), *name = gcp_snapshot_name(m);
	ff_auto_buf text = {0};

	ff_buf_adds(&text, "gcloud compute snapshots describe ");
	ff_buf_add_word(&text, name);
	ff_buf_adds(&text, " --project=");
	ff_buf_add_word(&text, project ? project : "");
	ff_buf_adds(&text, " '--format=value(description)'");
	ff_strv_add(commands, text.text);
}

/* gcloud's own attach-disk loses autoDelete, so the command that sets it follows. */
static void by_hand(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands)
{
	const char *disk = gcp_disk_path(m), *vm = gcp_vm_path(m), *at = ff_json_str(m->facts, "at");
	const char *rescue = ff_json_str(m->facts, "rescue"), *device = ff_json_str(m->facts, "boot/deviceName");
	ff_auto_buf more = {0};

	if (rescue != NULL && (ff_streq(at, "rescue") || ff_streq(at, "arriving")))
		gcloud(commands, "detach-disk", rescue, disk, "", NULL);
	if (at != NULL) {
		if (cloud->csek_file != NULL) {
			ff_buf_adds(&more, " --csek-key-file=");
			ff_buf_add_word(&more, cloud->csek_file);
		}
		if (device == NULL)
			describe_snapshot(m, commands);
		ff_buf_adds(&more, device ? " --boot --device-name=" : " --boot");
		gcloud(commands, "attach-disk", vm, disk, more.text, device);
		if (ff_json_bool(m->facts, "boot/autoDelete", false))
			gcloud(commands, "set-disk-auto-delete", vm, disk, " --auto-delete", NULL);
	}
	if (m->vm->running)
		gcloud(commands, "start", vm, NULL, "", NULL);
}

static void where(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text)
{
	const char *at = ff_json_str(m->facts, "at"), *snapshot = ff_json_str(m->facts, "snapshot");
	const char *rescue = ff_json_str(m->facts, "rescue"), *device = ff_json_str(m->facts, "device");
	const char *left = ff_json_str(m->facts, "left"), *made = ff_json_str(m->facts, "new/path");
	bool there = rescue != NULL && (ff_streq(at, "rescue") || ff_streq(at, "arriving"));

	(void)cloud;
	if (ff_json_bool(m->facts, "in", false)) {
		const char *old = gcp_last(ff_json_str(m->facts, "disk/path"));

		ff_buf_addf(text,
			"boot disk '%s', made of snapshot '%s', on the VM; the mended disk '%s' attached to no VM",
			gcp_last(made), gcp_last(snapshot), old);
		if (ff_json_bool(m->facts, "like/csek", false))
			ff_buf_addf(text, "; '%s' has the customer-supplied key of '%s': name it in --csek-key-file",
				gcp_last(made), old);
		return;
	}
	ff_buf_addf(text, "boot disk '%s' ", gcp_last(gcp_disk_path(m)));
	if (at == NULL)
		ff_buf_adds(text, "on the VM");
	else if (there)
		ff_buf_addf(text, "%s '%s' as '%s'", ff_streq(at, "rescue") ? "on" : "on its way to", gcp_last(rescue),
			device ? device : "");
	else if (ff_streq(at, "leaving"))
		ff_buf_adds(text, "on its way off the VM");
	else if (ff_streq(at, "returning"))
		ff_buf_adds(text, "on its way back to the VM");
	else
		ff_buf_adds(text, "attached to no VM");
	if (snapshot != NULL)
		ff_buf_addf(text, "; snapshot '%s'", gcp_last(snapshot));
	if (left != NULL)
		ff_buf_addf(text, "; '%s' is %s", gcp_last(left),
			ff_json_bool(m->facts, "deleted", false) ? "deleted" : "left over");
	if (made != NULL)
		ff_buf_addf(text, "; disk '%s' was made of it", gcp_last(made));
}

const struct ff_provider ff_gcp = {
	.name = "gcp",
	.open = open_cloud,
	.close = close_cloud,
	.title = title,
	.account = account,
	.login_next = gcp_login_next,
	.login_read = gcp_login_read,
	.login_reset = gcp_login_reset,
	.login_renew_at = gcp_login_renew_at,
	.login_name = gcp_login_name,
	.sign = sign,
	.secret_ask = gcp_secret_ask,
	.secret_read = gcp_secret_read,
	.judge = gcp_judge,
	.discover_next = gcp_discover_next,
	.discover_read = gcp_discover_read,
	.vms = gcp_discover_vms,
	.notes = gcp_discover_notes,
	.evidence_ask = gcp_evidence_ask,
	.evidence_read = gcp_evidence_read,
	.fits = gcp_fits,
	.steps = gcp_steps,
	.step_count = GCP_STEP_COUNT,
	.forward = gcp_forward,
	.rollback = gcp_rollback,
	.cleanup = gcp_cleanup,
	.recover = gcp_recover,
	.recall = gcp_recall,
	.poll = gcp_poll,
	.polled = gcp_polled,
	.place = place,
	.where = where,
	.by_hand = by_hand,
};
