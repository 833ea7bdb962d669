/* Stop and start, and how every step reads its VM. */
#include "gcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGING_MS 5000  /* a VM that is between two states */
#define SICK_MS	    10000 /* a VM that may come up, or not */

/* ---------------------------------------------------------------- the VM */

const char *gcp_vm_path(const struct ff_member *m)
{
	const char *path = ff_json_str(m->facts, "vm");

	return path ? path : "";
}

/* In a rollback: which of the two is meant is the row's matter, and then which one is in place. */
static bool of_new(const struct ff_member *m)
{
	if (m->step == GCP_PUT_IN || m->step == GCP_TAKE_NEW_OUT || m->step == GCP_RELEASE_NEW)
		return true;
	return ff_json_bool(m->facts, "in", false) && m->step != GCP_TAKE_OUT && m->step != GCP_PUT_BACK &&
	       m->step != GCP_RELEASE_DISK;
}

const char *gcp_source(const struct ff_member *m)
{
	return ff_json_str(m->facts, of_new(m) ? "new/source" : "boot/source");
}

const char *gcp_disk_path(const struct ff_member *m)
{
	const char *path = ff_json_str(m->facts, of_new(m) ? "new/path" : "disk/path");

	return path ? path : "";
}

const char *gcp_rescue_path(const struct ff_member *m)
{
	const char *path = ff_json_str(m->rescue_facts, "vm");

	if (path == NULL && m->rescue != NULL)
		path = ff_json_str(m->rescue->facts, "vm");
	return path ? path : ff_json_str(m->facts, "rescue");
}

int gcp_vm_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (*gcp_vm_path(m) == '\0')
		return ff_fail(err, FF_E_BUG, "no path is recorded");
	gcp_ask(cloud, ask, GCP_READ, "GET", gcp_vm_path(m), "");
	return 0;
}

json_t *gcp_vm_read(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v)
{
	json_t *instance = NULL;
	enum ff_class class;

	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &instance, &v->err);
	if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
		return NULL;
	}
	if (!ff_streq(ff_json_str(instance, "id"), ff_json_str(m->facts, "id"))) {
		json_decref(instance);
		gcp_failed(v, FF_E_GONE, "it was deleted and made again since it was found");
		return NULL;
	}
	return instance;
}

bool gcp_taken_over(const struct ff_member *m, const json_t *instance, struct ff_verdict *v)
{
	const char *run = ff_json_str(instance, "labels/" GCP_LABEL_RUN),
		   *by = ff_json_str(instance, "labels/" GCP_LABEL_BY);
	ff_auto_free char *clean = ff_printable(run ? run : ""), *whose = ff_printable(by ? by : "");

	if (run == NULL || ff_streq(run, m->run))
		return false;
	gcp_failed(v, FF_E_CONFLICT, "it was taken over by run '%.63s'%s%.63s", clean, by ? " of " : "", whose);
	return true;
}

enum gcp_home gcp_home_of(const json_t *instance, const char *source, const json_t **disk)
{
	const json_t *attached;
	enum gcp_home home = GCP_AWAY;
	size_t i;

	if (disk != NULL)
		*disk = NULL;
	json_array_foreach (json_object_get(instance, "disks"), i, attached) {
		bool ours = gcp_same(ff_json_str(attached, "source"), source);
		bool boot = ff_json_bool(attached, "boot", false);

		if (ours && disk != NULL)
			*disk = attached;
		if (ours && boot)
			return GCP_HOME;
		if (ours || boot)
			home = GCP_FOREIGN;
	}
	return home;
}

json_t *gcp_boot_record(const json_t *attached)
{
	static const char *const texts[] = {"source", "deviceName", "mode", "interface", "type"};
	json_t *record = json_object();

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		ff_json_set_str(record, texts[i], ff_json_str(attached, texts[i]));
	ff_json_set_bool(record, "autoDelete", ff_json_bool(attached, "autoDelete", false));
	return record;
}

/* ---------------------------------------------------------------- stop */

int gcp_serial_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask)
{
	char tail[64];

	snprintf(tail, sizeof(tail), "/serialPort?port=1&start=-%d", GCP_SERIAL_BYTES);
	gcp_ask(cloud, ask, GCP_SERIAL, "GET", gcp_vm_path(m), tail);
	ask->answer_bytes_max = GCP_SERIAL_ANSWER;
	return 0;
}

/*
 * Two questions: the VM, and where a repair is about to stop a running one, its serial output once more. The evidence
 * is of discovery; hours may lie between it and this VM's turn, and what has come up meanwhile is not stopped.
 */
int gcp_stop_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (!ff_streq(ff_json_str(m->facts, "see"), "serial"))
		return gcp_vm_look(cloud, m, ask, err);
	return gcp_serial_look(cloud, m, ask);
}

static void still_sick(const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *body = NULL;
	struct gcp_serial serial;
	enum ff_health health;
	enum ff_class class;

	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &body, &v->err);
	if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
		return;
	}
	health = gcp_serial_answer(body, 0, &serial);
	if (health == FF_HEALTHY) {
		gcp_failed(v, FF_E_CONFLICT, "it has come up by itself, its guest agent has spoken");
		return;
	}
	gcp_forget(m, v, "see");
	if (health == FF_AFFECTED) {
		gcp_not_done(m, wall_ms, v);
		return;
	}
	/* the loop that was found is gone from the output: a start has begun it anew, and may be one that succeeds */
	ff_fail(&v->err, FF_E_TRANSIENT,
		"it was started since it was found, and does not show yet whether it comes up");
	gcp_wait(v, SICK_MS);
}

/* Running: is it still the VM that was found? Its attachment is recorded afresh, as it is the one to restore. */
static void still_running(const struct ff_member *m, int64_t wall_ms, const json_t *instance, struct ff_verdict *v)
{
	const json_t *attached;
	json_t *record;

	if (gcp_home_of(instance, gcp_source(m), &attached) != GCP_HOME) {
		gcp_failed(v, FF_E_CONFLICT, "its boot disk was changed since it was found");
		return;
	}
	record = gcp_boot_record(attached);
	if (json_equal(record, json_object_get(m->facts, "boot")))
		json_decref(record);
	else
		ff_json_set_new(gcp_patch(v), "boot", record);
	if (m->vm->health == FF_AFFECTED && ff_json_str(m->facts, "of") == NULL) /* a rollback does not ask how it is */
		gcp_see(m, v, "serial");
	else
		gcp_not_done(m, wall_ms, v);
}

void gcp_stop_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer,
	struct ff_verdict *v)
{
	ff_auto_json json_t *instance = NULL;
	const char *status;

	(void)cloud;
	if (ff_streq(ff_json_str(m->facts, "see"), "serial")) {
		still_sick(m, wall_ms, answer, v);
		return;
	}
	instance = gcp_vm_read(m, answer, v);
	if (instance == NULL || gcp_taken_over(m, instance, v))
		return;
	status = ff_json_str(instance, "status");
	if (ff_streq(status, "TERMINATED") || ff_streq(status, "STOPPED")) {
		gcp_done(m, v);
	} else if (ff_streq(status, "RUNNING")) {
		still_running(m, wall_ms, instance, v);
	} else if (ff_streq(status, "SUSPENDED") || ff_streq(status, "SUSPENDING")) {
		gcp_failed(v, FF_E_CONFLICT,
			"it was suspended since it was found: its memory image would undo the repair");
	} else {
		gcp_wait(v, CHANGING_MS);
	}
}

GCP_ACT(stop)
{
	bool discard = ff_json_bool(m->facts, "local_ssd", false);
	char tail[160];

	(void)n, (void)err;
	/* the precheck has skipped VMs with local SSDs unless the operator gave them up */
	snprintf(tail, sizeof(tail), "/stop?%s%srequestId=%s", discard ? "discardLocalSsd=true&" : "",
		ff_json_bool(m->facts, "graceful", false) ? "noGracefulShutdown=true&" : "", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", gcp_vm_path(m), tail);
	return 0;
}

/* ---------------------------------------------------------------- start */

/*
 * Two questions, when nothing is under way any more: the VM (is its boot disk back?), then where its serial output
 * ends, so that verify can tell what came after the start. -1 asks for the last byte.
 */
int gcp_start_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (gcp_pending_look(cloud, m, ask))
		return 0;
	if (!ff_streq(ff_json_str(m->facts, "see"), "serial"))
		return gcp_vm_look(cloud, m, ask, err);
	gcp_ask(cloud, ask, GCP_SERIAL, "GET", gcp_vm_path(m), "/serialPort?port=1&start=-1");
	ask->answer_bytes_max = GCP_SERIAL_ANSWER;
	return 0;
}

/* Any answer will do: a stopped VM may have no serial output, and without a mark all of it counts as new. */
static void serial_end(const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *body = NULL;
	struct ff_err err;
	int64_t mark = 0;

	*v = (struct ff_verdict){0};
	if (gcp_reply(answer, &body, &err) == FF_E_NONE)
		mark = ff_json_int(body, "next", 0);
	ff_json_set_int(gcp_patch(v), "serial_mark", mark < 0 ? 0 : mark);
	gcp_forget(m, v, "see");
	gcp_not_done(m, wall_ms, v);
}

void gcp_start_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *instance = NULL;
	const char *status;
	enum gcp_home home;

	(void)cloud;
	if (gcp_pending_looked(m, answer, v))
		return;
	if (ff_streq(ff_json_str(m->facts, "see"), "serial")) {
		serial_end(m, wall_ms, answer, v);
		return;
	}
	instance = gcp_vm_read(m, answer, v);
	if (instance == NULL)
		return;
	status = ff_json_str(instance, "status");
	home = gcp_home_of(instance, gcp_source(m), NULL);
	if (home != GCP_HOME) {
		gcp_failed(v, FF_E_CONFLICT, "its boot disk is not back: it is not started");
		if (home == GCP_AWAY)
			ff_json_set_str(gcp_patch(v), "at", "loose");
		v->away = true;
	} else if (ff_streq(status, "RUNNING"))
		gcp_done(m, v);
	else if (!ff_streq(status, "TERMINATED") && !ff_streq(status, "STOPPED"))
		gcp_wait(v, CHANGING_MS);
	else if (json_object_get(m->facts, "serial_mark") == NULL)
		gcp_see(m, v, "serial");
	else
		gcp_not_done(m, wall_ms, v);
}

/* {"disks":[{"source":..,"diskEncryptionKey":{..}}]}: only those disks. NULL with err when a key is missing. */
static json_t *start_keys(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_err *err)
{
	json_t *disks = json_array(), *item;
	size_t i;

	json_array_foreach (json_object_get(m->facts, "csek"), i, item) {
		/* in the place of its boot disk there may be the one that was made */
		bool boot = gcp_same(json_string_value(item), ff_json_str(m->facts, "boot/source"));
		const char *url = boot ? gcp_source(m) : json_string_value(item);
		const struct gcp_key *key = gcp_key_of(cloud, m, url);
		json_t *entry;

		if (key == NULL) {
			gcp_json_wipe(disks);
			ff_fail(err, FF_E_PERMANENT, "the key of disk '%s' is not there: give --csek-key-file",
				gcp_last(url));
			return NULL;
		}
		entry = json_object();
		ff_json_set_str(entry, "source", url);
		ff_json_set_new(entry, "diskEncryptionKey", gcp_key_json(key));
		json_array_append_new(disks, entry);
	}
	return json_pack("{s:o}", "disks", disks);
}

GCP_ACT(start)
{
	bool with_keys = json_array_size(json_object_get(m->facts, "csek")) > 0;
	json_t *body;
	char tail[96];

	(void)n;
	snprintf(tail, sizeof(tail), "/start%s?requestId=%s", with_keys ? "WithEncryptionKey" : "", m->token);
	if (!with_keys) {
		gcp_ask(cloud, ask, GCP_MUTATE, "POST", gcp_vm_path(m), tail);
		return 0;
	}
	body = start_keys(cloud, m, err);
	if (body == NULL)
		return -1;
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", gcp_vm_path(m), tail);
	ask->secret = true;
	gcp_ask_json(ask, body);
	return 0;
}
