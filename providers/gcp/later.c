/*
 * What comes after a repair. A rollback makes a disk of the snapshot from before the repair, like the disk that it
 * replaces: type, size, rates, key and labels are read off that one just before. Its name is made of run and VM, so
 * that a repeat finds it. A cleanup deletes the snapshot of a repair or the disk that a rollback has replaced; both
 * bear the run's label, and are read just before.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define BUSY_MS 5000

/* Is it labelled as that run's, for this VM? */
static bool is_of(const struct ff_member *m, const json_t *resource, const char *run)
{
	return run != NULL && ff_streq(ff_json_str(resource, "labels/" GCP_LABEL_RUN), run) &&
	       ff_streq(ff_json_str(resource, "labels/" GCP_LABEL_VM), gcp_last(gcp_vm_path(m)));
}

static int look_at(const struct ff_cloud *cloud, const char *path, struct ff_ask *ask, struct ff_err *err)
{
	if (path == NULL || *path == '\0')
		return ff_fail(err, FF_E_BUG, "no path is recorded");
	gcp_ask(cloud, ask, GCP_READ, "GET", path, "");
	return 0;
}

/* Read it: true, or `v` is filled. GONE is the caller's: *gone. */
static bool read_it(const struct ff_answer *answer, json_t **resource, bool *gone, struct ff_verdict *v)
{
	enum ff_class class;

	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, resource, &v->err);
	*gone = class == FF_E_GONE;
	if (class != FF_E_NONE && class != FF_E_GONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
	}
	if (*gone)
		v->err = (struct ff_err){0};
	return class == FF_E_NONE;
}

/* ---------------------------------------------------------------- check */

int gcp_check_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	return look_at(cloud, ff_json_str(m->facts, "snapshot"), ask, err);
}

/* Before anything is touched: is the snapshot there, whole, and of the run that is taken back? */
void gcp_check_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	const char *name = gcp_last(ff_json_str(m->facts, "snapshot")), *of = ff_json_str(m->facts, "of"), *status;
	ff_auto_json json_t *snapshot = NULL;
	bool gone;

	(void)cloud, (void)wall_ms;
	if (!read_it(answer, &snapshot, &gone, v)) {
		if (gone)
			gcp_failed(v, FF_E_GONE, "its snapshot '%s' does not exist any more", name);
		return;
	}
	status = ff_json_str(snapshot, "status");
	if (!is_of(m, snapshot, of))
		gcp_failed(v, FF_E_CONFLICT, "snapshot '%s' is not labelled as run '%s' made it", name, of ? of : "");
	else if (ff_streq(status, "READY"))
		gcp_done(m, v);
	else if (ff_streq(status, "FAILED") || ff_streq(status, "DELETING"))
		gcp_failed(v, FF_E_GONE, "its snapshot '%s' is in state '%s'", name, status);
	else
		gcp_wait(v, BUSY_MS);
}

/* ---------------------------------------------------------------- make */

void gcp_made_suffix(const char *run, const char *vm_path, char suffix[GCP_MADE_BYTES])
{
	ff_auto_free char *text = ff_printf("%s\n%s", run, vm_path);
	char hash[65];

	ff_sha256_hex(text, strlen(text), hash);
	snprintf(suffix, GCP_MADE_BYTES, "-%.*s", GCP_MADE_BYTES - 2, hash);
}

/* "VMDISK-9f86d081": the disk's name, cut, with a hash of run and VM. */
static char *new_path(const struct ff_member *m)
{
	const char *old = ff_json_str(m->facts, "disk/path");
	ff_auto_free char *project = gcp_segment(old, "projects"), *zone = gcp_segment(old, "zones");
	char suffix[GCP_MADE_BYTES];

	if (project == NULL || zone == NULL)
		return NULL;
	gcp_made_suffix(m->run, gcp_vm_path(m), suffix);
	return ff_printf("projects/%s/zones/%s/disks/%.*s%s", project, zone, GCP_NAME_MAX + 1 - GCP_MADE_BYTES,
		gcp_last(old), suffix);
}

/* Two questions: the disk that is replaced, then the new one. */
int gcp_make_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *path = NULL;

	if (!ff_streq(ff_json_str(m->facts, "see"), "new"))
		return look_at(cloud, ff_json_str(m->facts, "disk/path"), ask, err);
	path = new_path(m);
	return look_at(cloud, path, ask, err);
}

/* The cloud counts in texts. */
static int64_t number(const json_t *j, const char *member)
{
	const char *text = ff_json_str(j, member);
	int64_t value = 0;

	if (text != NULL && ff_parse_i64(text, 0, INT64_MAX, &value) == 0)
		return value;
	return ff_json_int(j, member, 0);
}

static json_t *users_labels(const json_t *disk)
{
	json_t *labels = json_deep_copy(json_object_get(disk, "labels"));

	if (!json_is_object(labels)) {
		json_decref(labels);
		labels = json_object();
	}
	gcp_labels_clear(labels);
	return labels;
}

/* A key as it is asked for: without the version that is in use. */
static char *kms_of(const json_t *disk)
{
	const char *key = ff_json_str(disk, "diskEncryptionKey/kmsKeyName");
	const char *version = key ? strstr(key, "/cryptoKeyVersions/") : NULL;

	return key == NULL ? NULL : version ? ff_strndup(key, (size_t)(version - key)) : ff_strdup(key);
}

static json_t *likeness(const json_t *disk)
{
	ff_auto_free char *kms = kms_of(disk);
	json_t *like = json_object();

	ff_json_set_str(like, "type", ff_json_str(disk, "type"));
	ff_json_set_int(like, "size_gb", number(disk, "sizeGb"));
	if (number(disk, "provisionedIops") > 0)
		ff_json_set_int(like, "iops", number(disk, "provisionedIops"));
	if (number(disk, "provisionedThroughput") > 0)
		ff_json_set_int(like, "throughput", number(disk, "provisionedThroughput"));
	ff_json_set_str(like, "kms", kms);
	if (kms == NULL && ff_json_str(disk, "diskEncryptionKey/sha256") != NULL)
		ff_json_set_bool(like, "csek", true);
	ff_json_set_new(like, "labels", users_labels(disk));
	return like;
}

static void read_replaced(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *disk = NULL;
	bool gone;

	if (!read_it(answer, &disk, &gone, v)) {
		if (gone)
			gcp_failed(v, FF_E_GONE, "its disk does not exist any more");
		return;
	}
	ff_json_set_new(gcp_patch(v), "like", likeness(disk));
	gcp_see(m, v, "new");
}

/* What is kept of the new disk: enough to attach it, and to release it. */
static void remember_new(const json_t *disk, const char *path, struct ff_verdict *v)
{
	json_t *new = json_object();

	ff_json_set_str(new, "path", path);
	ff_json_set_str(new, "source", ff_json_str(disk, "selfLink"));
	ff_json_set_str(new, "id", ff_json_str(disk, "id"));
	ff_json_set_str(new, "fingerprint", ff_json_str(disk, "labelFingerprint"));
	ff_json_set_new(new, "labels", json_deep_copy(json_object_get(disk, "labels")));
	ff_json_set_new(gcp_patch(v), "new", new);
}

static void read_new(const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_free char *path = new_path(m);
	ff_auto_json json_t *disk = NULL;
	const char *status;
	bool gone;

	if (!read_it(answer, &disk, &gone, v)) {
		if (gone)
			gcp_not_done(m, wall_ms, v);
		return;
	}
	status = ff_json_str(disk, "status");
	if (!is_of(m, disk, m->run))
		gcp_failed(v, FF_E_CONFLICT, "a disk '%s' exists that is not of this run", gcp_last(path));
	else if (ff_streq(status, "FAILED") || ff_streq(status, "DELETING"))
		gcp_failed(v, FF_E_PERMANENT, "the new disk '%s' is in state '%s'", gcp_last(path), status);
	else if (!ff_streq(status, "READY"))
		gcp_wait(v, BUSY_MS);
	else {
		remember_new(disk, path, v);
		gcp_done(m, v);
	}
}

void gcp_make_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer,
	struct ff_verdict *v)
{
	(void)cloud;
	if (ff_streq(ff_json_str(m->facts, "see"), "new"))
		read_new(m, wall_ms, answer, v);
	else
		read_replaced(m, answer, v);
}

static void set_number(json_t *body, const char *member, int64_t value)
{
	ff_auto_free char *text = ff_printf("%lld", (long long)value);

	if (value > 0)
		ff_json_set_str(body, member, text);
}

static json_t *disk_body(const struct ff_member *m, const char *path, const struct gcp_key *key)
{
	const json_t *like = json_object_get(m->facts, "like");
	const char *kms = ff_json_str(like, "kms");
	json_t *labels = json_deep_copy(json_object_get(like, "labels")), *body = json_object();

	ff_json_set_str(labels, GCP_LABEL_RUN, m->run);
	ff_json_set_str(labels, GCP_LABEL_VM, gcp_last(gcp_vm_path(m)));
	gcp_record_write(labels, json_object_get(m->facts, "boot"));
	ff_json_set_str(body, "name", gcp_last(path));
	ff_json_set_str(body, "type", ff_json_str(like, "type"));
	ff_json_set_str(body, "sourceSnapshot", ff_json_str(m->facts, "snapshot"));
	set_number(body, "sizeGb", ff_json_int(like, "size_gb", 0));
	set_number(body, "provisionedIops", ff_json_int(like, "iops", 0));
	set_number(body, "provisionedThroughput", ff_json_int(like, "throughput", 0));
	if (kms != NULL)
		ff_json_set_new(body, "diskEncryptionKey", json_pack("{s:s}", "kmsKeyName", kms));
	else if (key != NULL) /* the snapshot itself has none: it was made without snapshotEncryptionKey */
		ff_json_set_new(body, "diskEncryptionKey", gcp_key_json(key));
	ff_json_set_new(body, "labels", labels);
	return body;
}

GCP_ACT(make)
{
	bool csek = ff_json_bool(m->facts, "like/csek", false);
	const struct gcp_key *key = csek ? gcp_key_for(&cloud->keys, ff_json_str(m->facts, "disk/path")) : NULL;
	ff_auto_free char *path = new_path(m), *folder = NULL;
	char tail[64];

	(void)n;
	if (csek && key == NULL)
		return ff_fail(err, FF_E_PERMANENT, "the key of its disk is not there: give --csek-key-file");
	if (path == NULL || !json_is_object(ff_json_at(m->facts, "like/labels")) ||
		ff_json_str(m->facts, "snapshot") == NULL)
		return ff_fail(err, FF_E_BUG, "the replaced disk's record is incomplete");
	folder = ff_strndup(path, (size_t)(strrchr(path, '/') - path));
	snprintf(tail, sizeof(tail), "?requestId=%s", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "POST", folder, tail);
	ask->secret = key != NULL;
	gcp_ask_json(ask, disk_body(m, path, key));
	return 0;
}

/* ---------------------------------------------------------------- taking it back */

int gcp_delete_made_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *path = new_path(m);

	return look_at(cloud, path, ask, err);
}

/* Only a free disk of this run's. */
void gcp_delete_made_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *disk = NULL;
	bool gone;

	(void)cloud;
	if (!read_it(answer, &disk, &gone, v)) {
		if (gone) {
			gcp_forget(m, v, "new");
			gcp_done(m, v);
		}
		return;
	}
	if (!is_of(m, disk, m->run))
		gcp_failed(v, FF_E_CONFLICT, "disk '%s' is not labelled as this run's", ff_json_str(disk, "name"));
	else if (json_array_size(json_object_get(disk, "users")) > 0)
		gcp_wait(v, BUSY_MS);
	else
		gcp_not_done(m, wall_ms, v);
}

static int ask_delete(
	struct ff_cloud *cloud, const struct ff_member *m, const char *path, struct ff_ask *ask, struct ff_err *err)
{
	char tail[64];

	if (path == NULL || *path == '\0')
		return ff_fail(err, FF_E_BUG, "no path is recorded");
	snprintf(tail, sizeof(tail), "?requestId=%s", m->token);
	gcp_ask(cloud, ask, GCP_MUTATE, "DELETE", path, tail);
	return 0;
}

GCP_ACT(delete_made)
{
	ff_auto_free char *path = new_path(m);

	(void)n;
	return ask_delete(cloud, m, path, ask, err);
}

/* ---------------------------------------------------------------- confirm */

int gcp_confirm_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	return gcp_vm_look(cloud, m, ask, err);
}

/* What comes back may be what could not boot: that it runs with it is all that can be asked. */
void gcp_confirm_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *instance = gcp_vm_read(m, answer, v);
	const char *status = ff_json_str(instance, "status");

	(void)cloud, (void)wall_ms;
	if (instance == NULL)
		return;
	if (gcp_home_of(instance, gcp_source(m), NULL) != GCP_HOME)
		gcp_failed(v, FF_E_CONFLICT, "it was started, but its boot disk is another one now");
	else if (ff_streq(status, "RUNNING")) {
		gcp_forget(m, v, "serial_mark");
		gcp_done(m, v);
	} else if (ff_streq(status, "TERMINATED") || ff_streq(status, "STOPPED") || ff_streq(status, "SUSPENDED"))
		gcp_failed(v, FF_E_CONFLICT, "it was started, but is '%s' now", status);
	else
		gcp_wait(v, BUSY_MS);
}

/* ---------------------------------------------------------------- cleanup */

int gcp_delete_left_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	return look_at(cloud, ff_json_str(m->facts, "left"), ask, err);
}

void gcp_delete_left_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	const char *name = gcp_last(ff_json_str(m->facts, "left")), *of = ff_json_str(m->facts, "of");
	ff_auto_json json_t *left = NULL;
	bool gone;

	(void)cloud;
	if (!read_it(answer, &left, &gone, v)) {
		if (gone) {
			ff_json_set_bool(gcp_patch(v), "deleted", true);
			gcp_done(m, v);
		}
		return;
	}
	if (json_array_size(json_object_get(left, "users")) > 0)
		gcp_failed(v, FF_E_CONFLICT, "disk '%s' is attached to '%s': it stays", name,
			gcp_last(ff_json_str(left, "users/0")));
	else if (!is_of(m, left, of))
		gcp_failed(
			v, FF_E_CONFLICT, "'%s' is not labelled as run '%s' has left it: it stays", name, of ? of : "");
	else if (ff_streq(ff_json_str(left, "status"), "DELETING"))
		gcp_wait(v, BUSY_MS);
	else
		gcp_not_done(m, wall_ms, v);
}

GCP_ACT(delete_left)
{
	(void)n;
	return ask_delete(cloud, m, ff_json_str(m->facts, "left"), ask, err);
}

/* ---------------------------------------------------------------- recall */

/* The VM's facts as they are now, for what an earlier run has left at that path (from outside: checked). */
static json_t *with(const struct ff_vm *vm, const char *run, const char *fact, const char *path, struct ff_err *err)
{
	ff_auto_free char *clean = gcp_path(path);
	json_t *facts;

	if (clean == NULL) {
		ff_fail(err, FF_E_LOCAL, "the run's journal does not tell its disks");
		return NULL;
	}
	facts = vm->facts ? json_deep_copy(vm->facts) : json_object();
	ff_json_set_str(facts, "of", run);
	ff_json_set_str(facts, fact, clean);
	return facts;
}

static json_t *recall_left(const struct ff_vm *vm, const char *run, bool rolled_back, const json_t *past,
	struct ff_left *left, struct ff_err *err)
{
	const char *path = ff_json_str(past, rolled_back ? "disk/path" : "snapshot");
	int64_t gib = ff_json_int(past, "disk/size_gb", 0);
	json_t *facts;

	if (path == NULL || (rolled_back && ff_streq(path, vm->disk_id))) {
		ff_fail(err, FF_E_CONFLICT,
			rolled_back ? "the disk that the run has replaced is its boot disk, or not known"
				    : "the run took no snapshot of it");
		return NULL;
	}
	facts = with(vm, run, "left", path, err);
	if (facts != NULL && left != NULL)
		*left = (struct ff_left){.kind = rolled_back ? "disk" : "snapshot",
			.name = ff_strdup(gcp_last(path)),
			.size_bytes = gib > 0 && gib < INT64_MAX >> 31 ? gib << 30 : 0};
	return facts;
}

json_t *gcp_recall(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
	bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err)
{
	const char *snapshot = ff_json_str(past, "snapshot"), *disk = ff_json_str(past, "disk/path");

	if (flow == FF_FLOW_RECOVER)
		return gcp_recall_claim(vm, run, err);
	if (!ff_streq(ff_json_str(past, "id"), ff_json_str(vm->facts, "id")))
		ff_fail(err, FF_E_GONE, "it was deleted and made again since the run");
	else if (flow == FF_FLOW_CLEANUP)
		return recall_left(vm, run, rolled_back, past, left, err);
	else if (rolled_back)
		ff_fail(err, FF_E_CONFLICT,
			"that run was a rollback, which is not taken back on GCP: repair it again; the mended disk "
			"'%s' is "
			"there until the rollback is cleaned up after",
			gcp_last(disk));
	else if (snapshot == NULL)
		ff_fail(err, FF_E_CONFLICT, "the run took no snapshot of it: there is nothing to go back to");
	else if (disk == NULL || !ff_streq(disk, vm->disk_id))
		ff_fail(err, FF_E_CONFLICT, "its boot disk is '%s' now, which the run did not leave there",
			gcp_last(vm->disk_id));
	else if (ff_streq(vm->disk_encryption, "csek") && gcp_key_for(&cloud->keys, vm->disk_id) == NULL)
		ff_fail(err, FF_E_CONFLICT, "its disk has a customer-supplied key that --csek-key-file does not give");
	else
		return with(vm, run, "snapshot", snapshot, err);
	return NULL;
}
