/* From an Instance to a VM: what it is, what speaks for a boot loop, what a repair has to remember. */
#include "found.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_UNKNOWN 15 /* shared-core machines take 16 disks, others more */

/* ---------------------------------------------------------------- reading */

static bool has_feature(const json_t *disk, const char *type)
{
	const json_t *feature;
	size_t i;

	json_array_foreach (json_object_get(disk, "guestOsFeatures"), i, feature)
		if (ff_streq(ff_json_str(feature, "type"), type))
			return true;
	return false;
}

static bool has_license(const json_t *disk, const char *part)
{
	const json_t *license;
	size_t i;

	json_array_foreach (json_object_get(disk, "licenses"), i, license)
		if (json_is_string(license) && strstr(json_string_value(license), part) != NULL)
			return true;
	return false;
}

static bool is_windows(const json_t *boot)
{
	return has_feature(boot, "WINDOWS") || has_license(boot, "/windows-cloud/") ||
	       has_license(boot, "/windows-sql-cloud/");
}

static const json_t *boot_of(const json_t *instance)
{
	const json_t *disk;
	size_t i;

	json_array_foreach (json_object_get(instance, "disks"), i, disk)
		if (ff_json_bool(disk, "boot", false))
			return disk;
	return NULL;
}

static char *lower(const char *text)
{
	char *copy = ff_strdup(text ? text : "");

	for (char *p = copy; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static json_t *labels_of(const json_t *resource)
{
	const json_t *labels = json_object_get(resource, "labels"), *value;
	json_t *copy = json_object();
	const char *key;

	json_object_foreach ((json_t *)labels, key, value)
		if (json_is_string(value))
			json_object_set(copy, key, (json_t *)value);
	return copy;
}

static const char *encryption_of(const json_t *boot)
{
	const json_t *key = json_object_get(boot, "diskEncryptionKey");

	if (ff_json_str(key, "kmsKeyName") != NULL)
		return "cmek";
	return ff_json_str(key, "sha256") != NULL ? "csek" : "platform";
}

static int64_t bytes_of(int64_t gib)
{
	return gib > 0 && gib < INT64_MAX >> 31 ? gib << 30 : 0;
}

/* Only what is read later: metadata alone may hold 256 KB of scripts a VM. */
static char *text_of(const json_t *from, const char *const *members, json_t *more)
{
	ff_auto_json json_t *out = more != NULL ? more : json_object();

	for (; *members != NULL; members++)
		if (json_object_get(from, *members) != NULL)
			json_object_set(out, *members, json_object_get(from, *members));
	return ff_json_text(out);
}

/* The one entry of the metadata that is read. */
static json_t *creator_of(const json_t *instance)
{
	json_t *out = json_object(), *items = json_array();
	const json_t *item;
	size_t i;

	json_array_foreach (ff_json_at(instance, "metadata/items"), i, item)
		if (ff_streq(ff_json_str(item, "key"), "created-by"))
			json_array_append(items, (json_t *)item);
	if (json_array_size(items) > 0)
		ff_json_set_new(out, "metadata", json_pack("{s:O}", "items", items));
	json_decref(items);
	return out;
}

static char *keep_instance(const json_t *instance)
{
	static const char *const members[] = {"id", "machineType", "networkInterfaces", "disks", "labelFingerprint",
		"scheduling", "displayDevice", "startRestricted", "keyRevocationActionType",
		"postKeyRevocationActionType", "deletionProtection", "resourcePolicies", NULL};

	return text_of(instance, members, creator_of(instance));
}

void gcp_found_add_disk(struct gcp_found *found, const char *path, const json_t *disk)
{
	static const char *const members[] = {"id", "type", "sizeGb", "labels", "labelFingerprint", "status",
		"accessMode", "users", "enableConfidentialCompute", "resourcePolicies", NULL};
	ff_auto_free char *text = text_of(disk, members, NULL);

	ff_json_set_str(found->disks, path, text);
	if (found->claimed != NULL && ff_json_str(disk, "labels/" GCP_LABEL_RUN) != NULL)
		json_object_set(found->claimed, path, (json_t *)disk);
}

static json_t *unpacked(const char *text)
{
	struct ff_err err;

	return text != NULL ? ff_json_parse(text, strlen(text), SIZE_MAX, &err) : NULL;
}

void gcp_found_unpack(const struct gcp_found *found, struct gcp_vm *vm)
{
	vm->raw = unpacked(vm->kept);
	vm->boot = boot_of(vm->raw);
	vm->disk = unpacked(json_string_value(json_object_get(found->disks, vm->vm.disk_id)));
}

void gcp_found_pack(struct gcp_vm *vm)
{
	json_decref(FF_STEAL(vm->raw));
	json_decref(FF_STEAL(vm->disk));
	vm->boot = NULL;
}

void gcp_found_add(struct ff_cloud *cloud, const json_t *instance)
{
	struct gcp_found *found = cloud->found;
	char *path = gcp_path(ff_json_str(instance, "selfLink"));
	ff_auto_free char *zone = gcp_segment(path ? path : "", "zones");
	const char *name = ff_json_str(instance, "name");
	const json_t *boot = boot_of(instance);
	struct gcp_vm *vm;

	if (path == NULL || zone == NULL || !gcp_is_name(name) || !ff_streq(gcp_last(path), name)) {
		ff_strv_add(&found->notes, "the list of instances holds something that is none: it is passed over");
		free(path);
		return;
	}
	vm = ff_calloc(1, sizeof(*vm));
	vm->number = ff_strdup(ff_json_str(instance, "id"));
	vm->kept = keep_instance(instance);
	vm->windows = is_windows(boot);
	vm->vm.id = path;
	vm->vm.name = ff_strdup(name);
	vm->vm.scope = ff_strdup(cloud->project);
	vm->vm.zone = ff_strdup(zone);
	vm->vm.region = gcp_region(zone);
	vm->vm.os = ff_strdup(vm->windows					       ? "windows"
			      : json_array_size(json_object_get(boot, "licenses")) > 0 ? "linux"
										       : "");
	vm->vm.state = lower(ff_json_str(instance, "status"));
	vm->vm.running = ff_streq(vm->vm.state, "running");
	vm->vm.tags = labels_of(instance);
	vm->vm.disk_id = gcp_path(ff_json_str(boot, "source"));
	if (vm->vm.disk_id == NULL)
		vm->vm.disk_id = ff_strdup("");
	vm->vm.disk_bytes = bytes_of(ff_json_int(boot, "diskSizeGb", 0));
	vm->vm.disk_encryption = ff_strdup(encryption_of(boot));
	vm->vm.reason = ff_strdup("");
	found->items = ff_realloc(found->items, found->count + 1, sizeof(struct gcp_vm *));
	found->items[found->count++] = vm;
}

/* ---------------------------------------------------------------- rescue VMs */

static bool is_called(const struct gcp_vm *vm, const char *name)
{
	return ff_streq(name, vm->vm.name) || gcp_same(name, vm->vm.id) || ff_streq(name, vm->number);
}

static bool is_named(const struct ff_cloud *cloud, const struct gcp_vm *vm)
{
	for (size_t i = 0; i < cloud->rescues.count; i++)
		if (is_called(vm, cloud->rescues.items[i]))
			return true;
	return false;
}

bool gcp_found_is_rescue(const struct ff_cloud *cloud, const struct gcp_vm *vm)
{
	if (cloud->rescues.count > 0)
		return is_named(cloud, vm);
	return vm->vm.running && ff_streq(ff_json_str(vm->vm.tags, GCP_LABEL_ROLE), "rescue");
}

/* Compute numbers no slots: the first ones count as used by what is attached already. */
static void fill_slots(const struct gcp_found *found, struct gcp_vm *vm)
{
	ff_auto_free char *machine = gcp_path(ff_json_str(vm->raw, "machineType"));
	int64_t limit = machine ? json_integer_value(json_object_get(found->machines, machine)) : 0;
	const json_t *disk;
	unsigned used = 0;
	size_t i;

	/* the limit counts the boot disk */
	vm->vm.slots_max = limit > 1 ? (unsigned)(limit - 1 < FF_SLOTS_MAX ? limit - 1 : FF_SLOTS_MAX) : SLOTS_UNKNOWN;
	json_array_foreach (json_object_get(vm->raw, "disks"), i, disk)
		used += !ff_json_bool(disk, "boot", false) && !ff_streq(ff_json_str(disk, "type"), "SCRATCH");
	for (unsigned slot = 0; slot < used && slot < vm->vm.slots_max; slot++)
		vm->vm.slots_used[slot] = 1;
}

static void finish_rescue(struct ff_cloud *cloud, struct gcp_vm *vm)
{
	vm->vm.health = FF_SKIPPED;
	free(vm->vm.reason);
	vm->vm.reason = ff_strdup("is a rescue VM");
	if (!vm->vm.running) {
		ff_strv_addf(&cloud->found->notes, "the rescue VM '%s' is %s", vm->vm.name, vm->vm.state);
		return;
	}
	vm->vm.rescue = true;
	fill_slots(cloud->found, vm);
}

/* ---------------------------------------------------------------- facts */

json_t *gcp_disk_facts(struct gcp_vm *vm, const json_t *disk)
{
	json_t *facts = json_object();

	if (bytes_of(ff_json_int(disk, "sizeGb", 0)) > 0) /* the attachment does not always say it */
		vm->vm.disk_bytes = bytes_of(ff_json_int(disk, "sizeGb", 0));
	ff_json_set_str(facts, "path", vm->vm.disk_id);
	ff_json_set_int(facts, "size_gb", vm->vm.disk_bytes >> 30);
	if (disk == NULL)
		return facts;
	ff_json_set_str(facts, "id", ff_json_str(disk, "id"));
	ff_json_set_str(facts, "type", gcp_last(ff_json_str(disk, "type")));
	ff_json_set_new(facts, "labels", labels_of(disk));
	ff_json_set_str(facts, "fingerprint", ff_json_str(disk, "labelFingerprint"));
	return facts;
}

/* URLs of its disks that need a customer-supplied key at start. */
static json_t *csek_facts(const json_t *instance)
{
	json_t *urls = json_array();
	const json_t *disk;
	size_t i;

	json_array_foreach (json_object_get(instance, "disks"), i, disk)
		if (ff_streq(encryption_of(disk), "csek") && ff_json_str(disk, "source") != NULL)
			json_array_append(urls, json_object_get(disk, "source"));
	if (json_array_size(urls) > 0)
		return urls;
	json_decref(urls);
	return NULL;
}

static bool has_local_ssd(const json_t *instance)
{
	const json_t *disk;
	size_t i;

	json_array_foreach (json_object_get(instance, "disks"), i, disk)
		if (ff_streq(ff_json_str(disk, "type"), "SCRATCH"))
			return true;
	return false;
}

static void fill_facts(struct gcp_vm *vm)
{
	json_t *facts = json_object();

	ff_json_set_str(facts, "vm", vm->vm.id);
	ff_json_set_str(facts, "id", ff_json_str(vm->raw, "id"));
	if (vm->vm.rescue) {
		ff_json_set_str(facts, "machine", gcp_last(ff_json_str(vm->raw, "machineType")));
	} else {
		if (vm->boot != NULL) {
			ff_json_set_new(facts, "boot", gcp_boot_record(vm->boot));
			ff_json_set_new(facts, "disk", gcp_disk_facts(vm, vm->disk));
		}
		ff_json_set_new(facts, "labels", json_deep_copy(vm->vm.tags));
		ff_json_set_str(facts, "fingerprint", ff_json_str(vm->raw, "labelFingerprint"));
		ff_json_set_new(facts, "csek", csek_facts(vm->raw));
		if (has_local_ssd(vm->raw))
			ff_json_set_bool(facts, "local_ssd", true);
		if (ff_json_bool(vm->raw, "scheduling/gracefulShutdown/enabled", false))
			ff_json_set_bool(facts, "graceful", true);
		if (ff_json_bool(vm->raw, "displayDevice/enableDisplay", false))
			ff_json_set_bool(facts, "display", true);
	}
	vm->vm.facts = facts;
}

/* ---------------------------------------------------------------- judging */

static void verdict(struct gcp_vm *vm, enum ff_health health, char *reason_owned)
{
	vm->vm.health = health;
	free(vm->vm.reason);
	vm->vm.reason = reason_owned;
}

void gcp_skip(struct gcp_vm *vm, char *reason_owned)
{
	verdict(vm, FF_SKIPPED, reason_owned);
}

static void judge_evidence(struct gcp_vm *vm)
{
	const struct gcp_serial *serial = &vm->serial;

	if (!vm->windows) {
		verdict(vm, FF_SUSPECT, ff_strdup("nothing says that it is Windows"));
	} else if (!vm->vm.running) {
		verdict(vm, FF_SUSPECT, ff_strdup("is not running: nothing says whether it boots"));
	} else if (!vm->serial_read) {
		verdict(vm, FF_SUSPECT, ff_strdup("its serial output cannot be read"));
	} else if (vm->serial_health == FF_AFFECTED) {
		ff_strv_addf(&vm->vm.evidence, "serial output: %u boots%s and no word of the guest agent since",
			serial->boots, serial->bluescreen ? ", a stop error," : "");
		verdict(vm, FF_AFFECTED, ff_strdup("boots again and again, its guest agent does not come up"));
	} else if (vm->serial_health == FF_HEALTHY) {
		ff_strv_add(&vm->vm.evidence, "serial output: the guest agent spoke after the last boot");
		verdict(vm, FF_HEALTHY, ff_strdup("its guest agent is up"));
	} else {
		ff_strv_addf(&vm->vm.evidence, "serial output: %u boot%s, no word of the guest agent since",
			serial->boots, serial->boots == 1 ? "" : "s");
		verdict(vm, FF_SUSPECT, ff_strdup("its serial output does not tell"));
	}
}

static void judge(const struct ff_cloud *cloud, struct gcp_vm *vm)
{
	char *skip;

	judge_evidence(vm);
	if (!vm->windows && *vm->vm.os != '\0') {
		verdict(vm, FF_SKIPPED, ff_strdup("is not a Windows VM"));
		return;
	}
	skip = gcp_hazards(cloud, vm);
	if (skip != NULL)
		verdict(vm, FF_SKIPPED, skip);
}

/* A name of --rescue that fits nothing is most likely a typing error. */
static void note_missing(const struct ff_cloud *cloud)
{
	struct gcp_found *found = cloud->found;

	for (size_t i = 0; i < cloud->rescues.count; i++) {
		const char *name = cloud->rescues.items[i];
		bool there = false;

		for (size_t k = 0; k < found->count && !there; k++)
			there = is_called(found->items[k], name);
		if (!there)
			ff_strv_addf(&found->notes, "rescue VM '%s' is not in %s", name, cloud->title);
	}
}

void gcp_found_finish(struct ff_cloud *cloud)
{
	struct gcp_found *found = cloud->found;

	note_missing(cloud);
	found->vms = ff_calloc(found->count, sizeof(struct ff_vm *));
	for (size_t i = 0; i < found->count; i++) {
		struct gcp_vm *vm = found->items[i];

		found->vms[i] = &vm->vm;
		gcp_found_unpack(found, vm);
		if (gcp_found_is_rescue(cloud, vm))
			finish_rescue(cloud, vm);
		else
			judge(cloud, vm);
		fill_facts(vm);
		if (cloud->claims)
			gcp_settle_claim(cloud, vm);
		gcp_found_pack(vm);
		free(FF_STEAL(vm->kept));
	}
	json_decref(found->disks);
	found->disks = NULL;
}
