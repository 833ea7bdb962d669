/*
 * The disk's way: out of its VM, to the rescue VM, off it again. putback.c brings it home.
 *
 * Who has a disk is told by the disk's own `users`; it is a short answer, that of a rescue VM with a hundred disks is
 * not.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define LEAVING_MS    5000 /* a disk or VM between two states */
#define NAME_HASH_LEN 8

/*
 * Ours on the rescue VM, and at the device link. The slot alone would be used again by the next VM, whose link could be
 * mistaken for one that has not gone yet.
 */
char *gcp_device_name(const struct ff_member *m)
{
	const char *recorded = ff_json_str(m->facts, "device"), *path = gcp_vm_path(m);
	char hash[65];

	if (recorded != NULL)
		return ff_strdup(recorded);
	ff_sha256_hex(path, strlen(path), hash);
	return ff_printf("fixfleet-%d-%.*s", m->slot < 0 ? 0 : m->slot, NAME_HASH_LEN, hash);
}

/* ---------------------------------------------------------------- take out */

/* The rollback's disk may come yet: of its attach nothing was heard. */
static bool may_come(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	return m->step == GCP_TAKE_NEW_OUT && ff_streq(ff_json_str(m->facts, "at"), "returning") &&
	       gcp_unheard(m, wall_ms, v);
}

int gcp_take_out_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (m->step == GCP_TAKE_NEW_OUT && gcp_pending_look(cloud, m, ask))
		return 0;
	return gcp_vm_look(cloud, m, ask, err);
}

void gcp_take_out_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *instance = NULL;
	const char *status;
	const json_t *attached;
	enum gcp_home home;

	(void)cloud;
	if (m->step == GCP_TAKE_NEW_OUT && gcp_pending_looked(m, answer, v))
		return;
	instance = gcp_vm_read(m, answer, v);
	if (instance == NULL)
		return;
	status = ff_json_str(instance, "status");
	/* before this run has asked for anything: a disk that is on its way comes home, whoever claims it */
	if (m->step == GCP_TAKE_OUT && ff_json_str(m->facts, "at") == NULL && gcp_taken_over(m, instance, v))
		return;
	home = gcp_home_of(instance, gcp_source(m), &attached);
	if (home == GCP_FOREIGN)
		gcp_failed(v, FF_E_CONFLICT, "its boot disk was changed since it was found");
	else if (home == GCP_AWAY && may_come(m, wall_ms, v))
		return;
	else if (home == GCP_AWAY)
		gcp_done(m, v);
	else if (ff_streq(status, "RUNNING"))
		gcp_failed(v, FF_E_CONFLICT, "it was started meanwhile");
	else if (!ff_streq(status, "TERMINATED") && !ff_streq(status, "STOPPED"))
		gcp_wait(v, LEAVING_MS);
	else if (!ff_streq(ff_json_str(attached, "deviceName"), ff_json_str(m->facts, "boot/deviceName")))
		gcp_failed(v, FF_E_CONFLICT, "its boot disk was attached anew since it was found");
	else
		gcp_not_done(m, wall_ms, v);
}

static int detach(struct ff_cloud *cloud, const struct ff_member *m, const char *path, const char *device,
	struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *name = device ? ff_percent_encode(device) : NULL;
	ff_auto_free char *tail = NULL;

	if (path == NULL || *path == '\0' || name == NULL)
		return ff_fail(err, FF_E_BUG, "no attachment is recorded");
	tail = ff_printf("/detachDisk?deviceName=%s&requestId=%s", name, m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", path, tail);
	return 0;
}

GCP_ACT(take_out)
{
	(void)n;
	return detach(cloud, m, gcp_vm_path(m), ff_json_str(m->facts, "boot/deviceName"), ask, err);
}

/* ---------------------------------------------------------------- who has it */

static int disk_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (*gcp_disk_path(m) == '\0')
		return ff_fail(err, FF_E_BUG, "no disk is recorded");
	gcp_ask(cloud, ask, GCP_READ, "GET", gcp_disk_path(m), "");
	return 0;
}

enum holder { NOBODY, RESCUE, VICTIM, OTHER, UNKNOWN };

/* UNKNOWN: `v` is filled. *other (OTHER): who, borrowed from *disk. */
static enum holder disk_read(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v,
	json_t **disk, const char **other)
{
	const json_t *user;
	enum holder holder = NOBODY;
	enum ff_class class;
	size_t i;

	*v = (struct ff_verdict){0};
	*other = NULL;
	class = gcp_reply(answer, disk, &v->err);
	if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
		return UNKNOWN;
	}
	json_array_foreach (json_object_get(*disk, "users"), i, user) {
		const char *url = json_string_value(user);

		if (gcp_same(url, gcp_rescue_path(m))) {
			holder = RESCUE;
		} else if (gcp_same(url, gcp_vm_path(m))) {
			holder = VICTIM;
		} else {
			*other = url ? url : "";
			return OTHER;
		}
	}
	return holder;
}

static void held(struct ff_verdict *v, const char *other)
{
	ff_auto_free char *clean = ff_printable(gcp_last(other));

	gcp_failed(v, FF_E_CONFLICT, "its disk is attached to '%s'", clean);
}

/* ---------------------------------------------------------------- attach, detach */

int gcp_attach_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	return disk_look(cloud, m, ask, err);
}

void gcp_attach_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *disk = NULL;
	const char *other;

	(void)cloud;
	switch (disk_read(m, answer, v, &disk, &other)) {
	case RESCUE:
		gcp_done(m, v);
		break;
	case VICTIM: /* still leaving */
		gcp_wait(v, LEAVING_MS);
		break;
	case NOBODY:
		if (ff_streq(ff_json_str(disk, "status"), "READY"))
			gcp_not_done(m, wall_ms, v);
		else
			gcp_wait(v, LEAVING_MS);
		break;
	case OTHER:
		held(v, other);
		break;
	case UNKNOWN:
		break;
	}
}

/* autoDelete must be false here: deleting the rescue VM would delete the victim's disk. */
GCP_ACT(attach)
{
	const char *source = ff_json_str(m->facts, "boot/source"), *path = gcp_rescue_path(m);
	const struct gcp_key *key = gcp_key_for(&cloud->keys, source);
	ff_auto_free char *device = gcp_device_name(m);
	json_t *body;
	char tail[80];

	(void)n;
	if (source == NULL || path == NULL)
		return ff_fail(err, FF_E_BUG, "no rescue VM is assigned");
	body = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "source", source, "deviceName", device, "mode", "READ_WRITE",
		"type", "PERSISTENT", "boot", 0, "autoDelete", 0);
	snprintf(tail, sizeof(tail), "/attachDisk?requestId=%s", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", path, tail);
	gcp_cost_instance(ask, path);
	if (key != NULL) {
		ask->secret = true;
		ff_json_set_new(body, "diskEncryptionKey", gcp_key_json(key));
	}
	gcp_ask_json(ask, body);
	return 0;
}

int gcp_detach_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (gcp_pending_look(cloud, m, ask))
		return 0;
	return disk_look(cloud, m, ask, err);
}

void gcp_detach_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *disk = NULL;
	const char *other;

	(void)cloud;
	if (gcp_pending_looked(m, answer, v))
		return;
	switch (disk_read(m, answer, v, &disk, &other)) {
	case RESCUE:
		gcp_not_done(m, wall_ms, v);
		break;
	case NOBODY:
	case VICTIM:
		if (!ff_streq(ff_json_str(m->facts, "at"), "arriving") || !gcp_unsure(m, wall_ms, v))
			gcp_done(m, v);
		break;
	case OTHER:
		held(v, other);
		break;
	case UNKNOWN:
		break;
	}
}

GCP_ACT(detach)
{
	const char *path = gcp_rescue_path(m);
	ff_auto_free char *device = gcp_device_name(m);

	(void)n;
	if (detach(cloud, m, path, device, ask, err) < 0)
		return -1;
	gcp_cost_instance(ask, path);
	return 0;
}
