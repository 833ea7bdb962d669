/*
 * Backup: a snapshot of the boot disk of the stopped VM. Its name is made of run and VM, so that a repeat finds the
 * first. Under --backup none the step's look asks for the disk instead, and says that nothing is to be done.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define BUSY_MS	      5000
#define NAME_HASH_LEN 8

/*
 * "fixfleet-RUN-VM-HASH", cut to 63 characters. Snapshots are global and VM names are unique in a zone only: the hash
 * of the whole path tells two of them apart.
 */
char *gcp_snapshot_name(const struct ff_member *m)
{
	const char *path = gcp_vm_path(m);
	ff_auto_free char *front = ff_printf("fixfleet-%s-%s", m->run, gcp_last(path));
	char hash[65];

	ff_sha256_hex(path, strlen(path), hash);
	return ff_printf("%.*s-%.*s", GCP_NAME_MAX - NAME_HASH_LEN - 1, front, NAME_HASH_LEN, hash);
}

static char *snapshot_path(const struct ff_cloud *cloud, const struct ff_member *m)
{
	ff_auto_free char *name = gcp_snapshot_name(m);

	return ff_printf("projects/%s/global/snapshots/%s", cloud->project, name);
}

int gcp_backup_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *path = NULL;

	if (*gcp_disk_path(m) == '\0')
		return ff_fail(err, FF_E_BUG, "no disk is recorded");
	path = cloud->no_backup ? ff_strdup(gcp_disk_path(m)) : snapshot_path(cloud, m);
	gcp_ask(cloud, ask, GCP_READ, "GET", path, "");
	return 0;
}

static void read_snapshot(
	const struct ff_cloud *cloud, const struct ff_member *m, const json_t *snapshot, struct ff_verdict *v)
{
	ff_auto_free char *path = snapshot_path(cloud, m);
	const char *status = ff_json_str(snapshot, "status");

	if (!ff_streq(ff_json_str(snapshot, "labels/" GCP_LABEL_RUN), m->run) ||
		!gcp_same(ff_json_str(snapshot, "sourceDisk"), gcp_disk_path(m))) {
		gcp_failed(v, FF_E_CONFLICT, "a snapshot '%s' exists that is not of this run and disk", gcp_last(path));
	} else if (ff_streq(status, "READY")) {
		ff_json_set_str(gcp_patch(v), "snapshot", path);
		gcp_done(m, v);
	} else if (ff_streq(status, "FAILED") || ff_streq(status, "DELETING")) {
		gcp_failed(v, FF_E_PERMANENT, "the snapshot '%s' is in state '%s'", gcp_last(path), status);
	} else {
		/* that the disk may be detached while it uploads is UNVERIFIED */
		gcp_wait(v, BUSY_MS);
	}
}

void gcp_backup_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *body = NULL;
	enum ff_class class;

	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &body, &v->err);
	if (class == FF_E_NONE && cloud->no_backup) {
		gcp_done(m, v);
	} else if (class == FF_E_NONE) {
		read_snapshot(cloud, m, body, v);
	} else if (class == FF_E_GONE && !cloud->no_backup) {
		v->err = (struct ff_err){0};
		gcp_not_done(m, wall_ms, v);
	} else {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
	}
}

/* What `description` keeps: how the disk was attached, for a person who has only the snapshot. */
static char *description_of(const struct ff_member *m)
{
	ff_auto_free char *boot = ff_json_text(json_object_get(m->facts, "boot"));

	return ff_printf("boot disk of %s before its repair by fixfleet; attached as %s", gcp_vm_path(m), boot);
}

static json_t *snapshot_body(const struct ff_member *m, const char *region)
{
	ff_auto_free char *name = gcp_snapshot_name(m), *text = description_of(m);

	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:[s]}", "name", name, "description", text, "labels", GCP_LABEL_RUN,
		m->run, GCP_LABEL_VM, gcp_last(gcp_vm_path(m)), "storageLocations", region);
}

GCP_ACT(backup)
{
	const char *path = gcp_disk_path(m);
	const struct gcp_key *key = gcp_key_for(&cloud->keys, path);
	ff_auto_free char *zone = gcp_segment(path, "zones"), *region = zone ? gcp_region(zone) : NULL;
	json_t *body;
	char tail[112];

	(void)n;
	if (region == NULL || json_object_get(m->facts, "boot") == NULL)
		return ff_fail(err, FF_E_BUG, "no zonal disk is recorded");
	body = snapshot_body(m, region);
	snprintf(tail, sizeof(tail), "/createSnapshot?guestFlush=false&requestId=%s", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", path, tail);
	gcp_cost_snapshot(ask, path);
	if (key != NULL) {
		ask->secret = true;
		ff_json_set_new(body, "sourceDiskEncryptionKey", gcp_key_json(key));
	}
	gcp_ask_json(ask, body);
	return 0;
}
