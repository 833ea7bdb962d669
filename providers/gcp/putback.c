/*
 * Put back: the one compensation for everything after the disk was taken out, even when the edit failed.
 *
 * Re-attaching loses autoDelete (default false) and deviceName (default persistent-disk-N), so both are sent as
 * recorded, with mode and interface, and all are read again: first in the VM, then the disk's own users.
 */
#include "gcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAVING_MS 5000

int gcp_put_back_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (gcp_pending_look(cloud, m, ask))
		return 0;
	if (!ff_streq(ff_json_str(m->facts, "see"), "disk"))
		return gcp_vm_look(cloud, m, ask, err);
	if (*gcp_disk_path(m) == '\0')
		return ff_fail(err, FF_E_BUG, "no disk is recorded");
	gcp_ask(cloud, ask, GCP_READ, "GET", gcp_disk_path(m), "");
	return 0;
}

/* The first attribute that is not as recorded, or NULL. What was never said is not compared. */
static const char *changed(const json_t *attached, const json_t *record)
{
	static const char *const names[] = {"deviceName", "mode", "interface", "type"};

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		const char *was = ff_json_str(record, names[i]);

		if (was != NULL && !ff_streq(was, ff_json_str(attached, names[i])))
			return names[i];
	}
	return NULL;
}

/* It is the VM's boot disk again: with all its attributes? */
static void read_attachment(const struct ff_member *m, int64_t wall_ms, const json_t *attached, struct ff_verdict *v)
{
	const json_t *record = json_object_get(m->facts, "boot");
	const char *wrong = changed(attached, record);

	if (wrong != NULL) {
		ff_auto_free char *is = ff_printable(ff_json_str(attached, wrong));
		ff_auto_free char *was = ff_printable(ff_json_str(record, wrong));

		gcp_failed(v, FF_E_PERMANENT, "its boot disk is attached again, but its %s is '%s' and was '%s'", wrong,
			is, was);
	} else if (ff_json_bool(attached, "autoDelete", false) != ff_json_bool(record, "autoDelete", false)) {
		ff_json_set_str(gcp_patch(v), "cure", "auto-delete");
		gcp_not_done(m, wall_ms, v);
	} else {
		gcp_see(m, v, "disk");
	}
}

static void read_vm(const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *instance = gcp_vm_read(m, answer, v);
	const char *status = ff_json_str(instance, "status");
	const json_t *attached;

	if (instance == NULL)
		return;
	switch (gcp_home_of(instance, gcp_source(m), &attached)) {
	case GCP_HOME:
		if (!ff_streq(ff_json_str(m->facts, "at"), "leaving") || !gcp_unsure(m, wall_ms, v))
			read_attachment(m, wall_ms, attached, v);
		break;
	case GCP_FOREIGN:
		gcp_failed(v, FF_E_CONFLICT, "another boot disk was attached meanwhile, or its own as a data disk");
		break;
	case GCP_AWAY:
		gcp_forget(m, v, "cure");
		if (ff_streq(status, "TERMINATED") || ff_streq(status, "STOPPED"))
			gcp_not_done(m, wall_ms, v);
		else
			gcp_wait(v, LEAVING_MS);
		break;
	}
}

/* The VM shows it; the disk must agree. */
static void read_disk(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *disk = NULL;
	const json_t *user;
	enum ff_class class;
	size_t i;

	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &disk, &v->err);
	if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
		return;
	}
	json_array_foreach (json_object_get(disk, "users"), i, user) {
		if (!gcp_same(json_string_value(user), gcp_vm_path(m)))
			continue;
		gcp_done(m, v);
		gcp_forget(m, v, "at");
		gcp_forget(m, v, "device");
		gcp_forget(m, v, "rescue");
		if (m->step == GCP_PUT_IN)
			ff_json_set_bool(gcp_patch(v), "in", true);
		return;
	}
	/* the two answers disagree: ask both again */
	gcp_forget(m, v, "see");
	gcp_wait(v, LEAVING_MS);
}

void gcp_put_back_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	(void)cloud;
	if (gcp_pending_looked(m, answer, v))
		return;
	if (ff_streq(ff_json_str(m->facts, "see"), "disk"))
		read_disk(m, answer, v);
	else
		read_vm(m, wall_ms, answer, v);
}

static json_t *attachment(const json_t *record, const char *source)
{
	static const char *const names[] = {"deviceName", "mode", "interface", "type"};
	json_t *body = json_object();

	ff_json_set_str(body, "source", source);
	for (size_t i = 0; i < FF_COUNT(names); i++)
		ff_json_set_str(body, names[i], ff_json_str(record, names[i]));
	ff_json_set_bool(body, "boot", true);
	ff_json_set_bool(body, "autoDelete", ff_json_bool(record, "autoDelete", false));
	return body;
}

/*
 * The token of an attach whose answer was lost is kept for its repeats. Should the look then find the disk attached and
 * only the flag wrong, the server would answer this request, another one, with the operation of that attach: section 4
 * of the facts. So it has an id of its own, the same for the same token: the last digit's lowest bit is turned.
 */
static void own_id(const char *token, char id[37])
{
	static const char digits[] = "0123456789abcdef";
	const char *digit;

	snprintf(id, 37, "%s", token);
	digit = *id != '\0' ? strchr(digits, id[strlen(id) - 1]) : NULL;
	if (digit != NULL)
		id[strlen(id) - 1] = digits[(digit - digits) ^ 1];
}

static int set_auto_delete(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, const json_t *record)
{
	char id[37];
	ff_auto_free char *device = ff_percent_encode(ff_json_str(record, "deviceName")), *tail = NULL;

	own_id(m->token, id);
	tail = ff_printf("/setDiskAutoDelete?autoDelete=%s&deviceName=%s&requestId=%s",
		ff_json_bool(record, "autoDelete", false) ? "true" : "false", device, id);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", gcp_vm_path(m), tail);
	return 0;
}

GCP_ACT(put_back)
{
	const json_t *record = json_object_get(m->facts, "boot");
	const char *source = gcp_source(m);
	const struct gcp_key *key = gcp_key_of(cloud, m, source);
	json_t *body;
	char tail[80];

	(void)n;
	if (source == NULL || ff_json_str(record, "deviceName") == NULL)
		return ff_fail(err, FF_E_BUG, "no attachment is recorded");
	if (ff_streq(ff_json_str(m->facts, "cure"), "auto-delete"))
		return set_auto_delete(cloud, m, ask, record);
	body = attachment(record, source);
	snprintf(tail, sizeof(tail), "/attachDisk?requestId=%s", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", gcp_vm_path(m), tail);
	if (key != NULL) {
		ask->secret = true;
		ff_json_set_new(body, "diskEncryptionKey", gcp_key_json(key));
	}
	gcp_ask_json(ask, body);
	return 0;
}
