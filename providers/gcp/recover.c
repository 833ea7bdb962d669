/*
 * A run whose journal is lost: what its labels say is enough to bring its disks home. The VM's say which run has
 * claimed it and whether it ran; the disk's say the same run, whose it is, and how it was attached.
 *
 * A label's value is made of [a-z0-9_-], at most 63 of them (section 4 of the facts); a device name also of capitals
 * and dots, and there may be more of it. So it is written with an escape, and over as many labels as it needs.
 */
#include "found.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_PARTS  9 /* 255 characters (ystia/yorc#176), each of them escaped */
#define UNSAID	      "unsaid"
#define NAME_HASH_LEN 8
#define LOOK_AGAIN_MS 5000

/* ---------------------------------------------------------------- how it was attached, in labels */

/* "fixfleet-device", "fixfleet-device-2", ... */
static const char *device_key(unsigned part, char key[32])
{
	snprintf(key, 32, part == 0 ? GCP_LABEL_DEVICE : GCP_LABEL_DEVICE "-%u", part + 1);
	return key;
}

/* "Disk.0_a" is "_disk_-0__a". NULL: a character that no device name has. The caller frees. */
static char *escape(const char *text)
{
	ff_auto_buf out = {0};

	for (; *text != '\0'; text++) {
		if ((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || *text == '-')
			ff_buf_addf(&out, "%c", *text);
		else if (*text >= 'A' && *text <= 'Z')
			ff_buf_addf(&out, "_%c", *text + ('a' - 'A'));
		else if (*text == '.' || *text == '_')
			ff_buf_adds(&out, *text == '.' ? "_-" : "__");
		else
			return NULL;
	}
	return ff_buf_take(&out);
}

/* The way back; NULL: that was not written by escape(). The caller frees. */
static char *unescape(const char *text)
{
	ff_auto_buf out = {0};

	for (; *text != '\0'; text++) {
		char c = *text;

		if (c == '_') {
			c = *++text;
			if (c >= 'a' && c <= 'z')
				c = (char)(c - ('a' - 'A'));
			else if (c == '-')
				c = '.';
			else if (c != '_')
				return NULL;
		}
		ff_buf_addf(&out, "%c", c);
	}
	return ff_buf_take(&out);
}

/* What an attachment says in one word of a few. */
static const struct {
	const char *name, *values[3];
} words[] = {
	{"mode", {"READ_WRITE", "READ_ONLY"}},
	{"interface", {"SCSI", "NVME"}},
	{"type", {"PERSISTENT"}},
};

/* "READ_WRITE" is "read-write". The caller frees. */
static char *word_of(const char *value)
{
	char *word = ff_strdup(value);

	for (char *c = word; *c != '\0'; c++)
		*c = (char)(*c == '_' ? '-' : tolower((unsigned char)*c));
	return word;
}

/* "delete_read-write_scsi_persistent"; NULL: it has a word that is not known here. The caller frees. */
static char *flags_of(const json_t *boot)
{
	ff_auto_buf text = {0};

	ff_buf_adds(&text, ff_json_bool(boot, "autoDelete", false) ? "delete" : "keep");
	for (size_t i = 0; i < FF_COUNT(words); i++) {
		const char *value = ff_json_str(boot, words[i].name);
		ff_auto_free char *word = word_of(value ? value : UNSAID);
		bool known = value == NULL;

		for (size_t k = 0; words[i].values[k] != NULL; k++)
			known = known || ff_streq(value, words[i].values[k]);
		if (!known)
			return NULL;
		ff_buf_addf(&text, "_%s", word);
	}
	return ff_buf_take(&text);
}

bool gcp_record_write(json_t *labels, const json_t *boot)
{
	const char *name = ff_json_str(boot, "deviceName");
	ff_auto_free char *device = name ? escape(name) : NULL, *flags = flags_of(boot);
	size_t len = device ? strlen(device) : 0, parts = (len + GCP_NAME_MAX - 1) / GCP_NAME_MAX;
	char key[32];

	if (len == 0 || flags == NULL || parts > DEVICE_PARTS || json_object_size(labels) + 1 + parts > GCP_LABELS_MAX)
		return false;
	ff_json_set_str(labels, GCP_LABEL_BOOT, flags);
	for (unsigned i = 0; i < parts; i++) {
		ff_auto_free char *part = ff_printf("%.*s", GCP_NAME_MAX, device + (size_t)i * GCP_NAME_MAX);

		ff_json_set_str(labels, device_key(i, key), part);
	}
	return true;
}

/* The word at *at, up to the next '_'; it is put into the record. */
static bool read_word(const char **at, size_t which, json_t *record)
{
	size_t n = strcspn(*at, "_");
	ff_auto_free char *said = ff_strndup(*at, n);

	*at += n + ((*at)[n] == '_');
	if (ff_streq(said, UNSAID))
		return true;
	for (size_t k = 0; words[which].values[k] != NULL; k++) {
		ff_auto_free char *word = word_of(words[which].values[k]);

		if (!ff_streq(said, word))
			continue;
		ff_json_set_str(record, words[which].name, words[which].values[k]);
		return true;
	}
	return false;
}

static bool read_flags(const char *text, json_t *record)
{
	const char *at = text ? text : "";
	bool gone = ff_has_prefix(at, "delete_");

	if (!gone && !ff_has_prefix(at, "keep_"))
		return false;
	ff_json_set_bool(record, "autoDelete", gone);
	at = strchr(at, '_') + 1;
	for (size_t i = 0; i < FF_COUNT(words); i++)
		if (!read_word(&at, i, record))
			return false;
	return *at == '\0';
}

json_t *gcp_record_read(const json_t *labels)
{
	json_t *record = json_object();
	ff_auto_buf device = {0};
	ff_auto_free char *name = NULL;
	char key[32];
	const char *part;

	for (unsigned i = 0; i < DEVICE_PARTS && (part = ff_json_str(labels, device_key(i, key))) != NULL; i++)
		ff_buf_adds(&device, part);
	name = device.len > 0 ? unescape(device.text) : NULL;
	if (name == NULL || !read_flags(ff_json_str(labels, GCP_LABEL_BOOT), record)) {
		json_decref(record);
		return NULL;
	}
	ff_json_set_str(record, "deviceName", name);
	return record;
}

void gcp_labels_clear(json_t *labels)
{
	static const char *const ours[] = {GCP_LABEL_RUN, GCP_LABEL_VM, GCP_LABEL_BY, GCP_LABEL_WAS, GCP_LABEL_BOOT};
	char key[32];

	for (size_t i = 0; i < FF_COUNT(ours); i++)
		json_object_del(labels, ours[i]);
	for (unsigned i = 0; i < DEVICE_PARTS; i++)
		json_object_del(labels, device_key(i, key));
}

/* ---------------------------------------------------------------- discovery */

/* Labelled as that run's, for this VM: names are unique in a zone, where the disk is too. */
static bool is_claimed(const struct gcp_vm *vm, const char *run, const char *path, const json_t *disk)
{
	ff_auto_free char *zone = NULL;

	if (!ff_streq(ff_json_str(disk, "labels/" GCP_LABEL_RUN), run) ||
		!ff_streq(ff_json_str(disk, "labels/" GCP_LABEL_VM), vm->vm.name))
		return false;
	zone = gcp_segment(path, "zones");
	return ff_streq(zone, vm->vm.zone);
}

/*
 * A rollback that was cut short has two: the one that the VM has, else the one that was replaced and not the one that
 * was made. *path is borrowed; NULL: there is none.
 */
static const json_t *claimed_disk(
	const struct gcp_found *found, const struct gcp_vm *vm, const char *run, const char **path)
{
	const json_t *disk, *best = NULL;
	const char *key;
	char made[GCP_MADE_BYTES];

	gcp_made_suffix(run, vm->vm.id, made);
	*path = NULL;
	json_object_foreach (found->claimed, key, disk) {
		if (!is_claimed(vm, run, key, disk))
			continue;
		if (best != NULL && !ff_streq(key, vm->vm.disk_id) &&
			(ff_streq(*path, vm->vm.disk_id) || ff_has_suffix(key, made)))
			continue;
		best = disk;
		*path = key;
	}
	/* one of the two is in place and released already: the other one is left over */
	if (best != NULL && vm->boot != NULL && !ff_streq(*path, vm->vm.disk_id) &&
		(ff_has_suffix(vm->vm.disk_id, made) || ff_has_suffix(*path, made))) {
		*path = NULL;
		return NULL;
	}
	return best;
}

/* Is the key there that this disk is attached and started with? */
static bool can_be_opened(const struct ff_cloud *cloud, const char *path, const json_t *disk)
{
	const char *sha256 = ff_json_str(disk, "diskEncryptionKey/sha256");
	const struct gcp_key *key = gcp_key_for(&cloud->keys, path);

	return sha256 == NULL || ff_json_str(disk, "diskEncryptionKey/kmsKeyName") != NULL ||
	       (key != NULL && gcp_key_fits(key, sha256));
}

/* What the labels do not tell, so that nothing is done; NULL: they tell enough. The caller frees. */
static char *lacking(const struct ff_cloud *cloud, const struct gcp_vm *vm, const char *path, const json_t *disk,
	const json_t *record, const char *was)
{
	bool home = path != NULL && ff_streq(path, vm->vm.disk_id);

	if (path == NULL && vm->boot == NULL)
		return ff_strdup("it has no boot disk, and no disk bears its labels");
	if (path != NULL && !home && vm->boot != NULL)
		return ff_printf("it has the boot disk '%s', but '%s' bears its labels", gcp_last(vm->vm.disk_id),
			gcp_last(path));
	if (path != NULL && !home && record == NULL)
		return ff_printf("no label says how its boot disk '%s' was attached: an older fixfleet claimed it, or "
				 "its labels had no room",
			gcp_last(path));
	if (path != NULL && !home && !can_be_opened(cloud, path, disk))
		return ff_printf("its boot disk '%s' has a customer-supplied key that --csek-key-file does not give",
			gcp_last(path));
	return was ? NULL : ff_strdup("no label says whether it ran before: start it if it did");
}

/* Of the disk that is away: what discovery would have recorded of it at home. */
static void record_away(struct gcp_vm *vm, const char *path, const json_t *disk, const json_t *record)
{
	const char *source = ff_json_str(disk, "selfLink");
	const json_t *users = json_object_get(disk, "users");
	ff_auto_free char *holder = gcp_path(json_string_value(json_array_get(users, 0)));
	json_t *facts = vm->vm.facts, *boot = record ? json_deep_copy(record) : json_object();

	free(vm->vm.disk_id);
	vm->vm.disk_id = ff_strdup(path);
	ff_json_set_str(boot, "source", source);
	ff_json_set_new(facts, "boot", boot);
	ff_json_set_new(facts, "disk", gcp_disk_facts(vm, disk));
	if (ff_json_str(disk, "diskEncryptionKey/sha256") != NULL &&
		ff_json_str(disk, "diskEncryptionKey/kmsKeyName") == NULL) {
		if (json_object_get(facts, "csek") == NULL)
			ff_json_set_new(facts, "csek", json_array());
		json_array_append_new(json_object_get(facts, "csek"), json_string(source));
	}
	ff_json_set_str(facts, "at", holder ? "rescue" : "arriving");
	ff_json_set_str(facts, "rescue", holder);
}

/* At home: with what it may have lost on the way. The rest of its attachment is as it is found. */
static void record_home(struct gcp_vm *vm, const json_t *record)
{
	json_t *boot = json_object_get(vm->vm.facts, "boot");

	if (record != NULL)
		ff_json_set_bool(boot, "autoDelete", ff_json_bool(record, "autoDelete", false));
	if (!vm->vm.running) /* what the run has asked for last may still take it out */
		ff_json_set_str(vm->vm.facts, "at", "leaving");
}

void gcp_settle_claim(const struct ff_cloud *cloud, struct gcp_vm *vm)
{
	const char *run = ff_json_str(vm->vm.tags, GCP_LABEL_RUN), *was = ff_json_str(vm->vm.tags, GCP_LABEL_WAS),
		   *path;
	const json_t *disk = run ? claimed_disk(cloud->found, vm, run, &path) : NULL;
	ff_auto_json json_t *record = gcp_record_read(json_object_get(disk, "labels"));
	ff_auto_free char *lacks = NULL;
	json_t *claim;

	if (run == NULL || vm->vm.rescue)
		return;
	if (!ff_streq(was, "running") && !ff_streq(was, "stopped"))
		was = vm->vm.running ? "running" : NULL; /* a VM that runs has its disk */
	lacks = lacking(cloud, vm, path, disk, record, was);
	claim = json_object();
	ff_json_set_str(claim, "run", run);
	ff_json_set_str(claim, "was", was);
	ff_json_set_str(claim, "by", ff_json_str(vm->vm.tags, GCP_LABEL_BY));
	ff_json_set_str(claim, "lacks", lacks);
	ff_json_set_new(vm->vm.facts, "claim", claim);
	if (vm->boot == NULL && path != NULL)
		record_away(vm, path, disk, record);
	else if (vm->boot != NULL && lacks == NULL)
		record_home(vm, record);
}

json_t *gcp_recall_claim(const struct ff_vm *vm, const char *run, struct ff_err *err)
{
	const char *lacks = ff_json_str(vm->facts, "claim/lacks");

	if (ff_streq(ff_json_str(vm->facts, "claim/run"), run) && lacks == NULL)
		return json_deep_copy(vm->facts);
	ff_fail(err, FF_E_CONFLICT, "%s", lacks ? lacks : "it does not bear the labels of that run");
	return NULL;
}

/* ---------------------------------------------------------------- fetch */

/* Two questions: the disk, and where another VM has it, that VM: under which name? */
int gcp_fetch_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	const char *path =
		ff_streq(ff_json_str(m->facts, "see"), "holder") ? ff_json_str(m->facts, "rescue") : gcp_disk_path(m);

	if (path == NULL || *path == '\0')
		return ff_fail(err, FF_E_BUG, "no path is recorded");
	gcp_ask(cloud, ask, GCP_READ, "GET", path, "");
	return 0;
}

static void read_users(const struct ff_member *m, int64_t wall_ms, const json_t *disk, struct ff_verdict *v)
{
	const json_t *users = json_object_get(disk, "users");
	ff_auto_free char *user = gcp_path(json_string_value(json_array_get(users, 0)));

	if (!ff_streq(ff_json_str(disk, "id"), ff_json_str(m->facts, "disk/id"))) {
		gcp_failed(v, FF_E_GONE, "its boot disk was deleted and made again since it was found");
	} else if (json_array_size(users) == 0) {
		if (gcp_unsure(m, wall_ms, v)) /* the run may have asked for it to be attached somewhere */
			return;
		gcp_done(m, v);
		ff_json_set_str(gcp_patch(v), "at", "loose");
	} else if (json_array_size(users) > 1 || user == NULL) {
		gcp_failed(v, FF_E_CONFLICT, "its boot disk is attached to several VMs");
	} else if (gcp_same(user, gcp_vm_path(m))) {
		gcp_done(m, v);
	} else {
		ff_json_set_str(gcp_patch(v), "at", "rescue");
		ff_json_set_str(gcp_patch(v), "rescue", user);
		gcp_see(m, v, "holder");
	}
}

/* Did a run of ours attach it there? Another's attachment is not undone. */
static bool is_our_device(const struct ff_member *m, const char *device)
{
	const char *path = gcp_vm_path(m);
	char hash[65];

	ff_sha256_hex(path, strlen(path), hash);
	hash[NAME_HASH_LEN] = '\0';
	return device != NULL && ff_has_prefix(device, "fixfleet-") && ff_has_suffix(device, hash);
}

static void read_holder(const struct ff_member *m, int64_t wall_ms, const json_t *instance, struct ff_verdict *v)
{
	const json_t *attached = NULL;
	const char *device;

	gcp_home_of(instance, gcp_source(m), &attached);
	device = ff_json_str(attached, "deviceName");
	if (attached == NULL) {
		gcp_forget(m, v, "see");
		gcp_wait(v, LOOK_AGAIN_MS);
	} else if (ff_json_bool(attached, "boot", false) || !is_our_device(m, device)) {
		ff_auto_free char *clean = ff_printable(device ? device : "");

		gcp_failed(v, FF_E_CONFLICT, "its boot disk is attached to '%s' as '%s', which is not the run's doing",
			gcp_last(ff_json_str(m->facts, "rescue")), clean);
	} else {
		ff_json_set_str(gcp_patch(v), "device", device);
		gcp_not_done(m, wall_ms, v);
	}
}

void gcp_fetch_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	bool holder = ff_streq(ff_json_str(m->facts, "see"), "holder");
	ff_auto_json json_t *body = NULL;
	enum ff_class class;

	(void)cloud;
	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &body, &v->err);
	if (class == FF_E_GONE && holder) { /* and the disk is free */
		v->err = (struct ff_err){0};
		gcp_forget(m, v, "see");
		gcp_wait(v, LOOK_AGAIN_MS);
	} else if (class != FF_E_NONE) {
		struct ff_err err = v->err;

		gcp_unseen(v, class, &err);
	} else if (holder) {
		read_holder(m, wall_ms, body, v);
	} else {
		read_users(m, wall_ms, body, v);
	}
}
