/* Reading what discovery is answered. Everything here may be of any shape: what does not fit is left out. */
#include "found.h"

#include <stdlib.h>
#include <string.h>

#define AGENT_FRESH_MS (15 * 60 * 1000)
#define COMES_UP_MS    (5 * 60 * 1000) /* from a start until Windows' agent has been heard; a minute as a rule */

/* ---------------------------------------------------------------- small readings, used by the steps too */

/* The status whose code begins so, in lower case; NULL: there is none. */
static const json_t *status_of(const json_t *view, const char *prefix)
{
	const json_t *status;
	size_t i;

	json_array_foreach (ff_json_at(view, "statuses"), i, status) {
		ff_auto_free char *lower = azure_lower(ff_json_str(status, "code"));

		if (ff_has_prefix(lower, prefix))
			return status;
	}
	return NULL;
}

const char *azure_power(const json_t *view, char out[32])
{
	ff_auto_free char *lower = azure_lower(ff_json_str(status_of(view, "powerstate/"), "code"));

	snprintf(out, 32, "%.31s", ff_has_prefix(lower, "powerstate/") ? lower + strlen("powerstate/") : "");
	return out;
}

/* When the last change of the VM ended, a start among them (recorded: vm_power_states). NULL when it is not said. */
static const char *changed(const json_t *view)
{
	return ff_json_str(status_of(view, "provisioningstate/"), "time");
}

int64_t azure_changed_ms(const json_t *view)
{
	int64_t time;

	return ff_time_parse(changed(view), &time) == 0 ? time : 0;
}

bool azure_may_come_up(const json_t *view, int64_t wall_ms)
{
	int64_t time = azure_changed_ms(view);

	return time > wall_ms - COMES_UP_MS &&
	       time < wall_ms + COMES_UP_MS; /* later: a clock is wrong, nothing is known */
}

const char *azure_tag(const json_t *tags, const char *name)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)tags, key, value)
		if (ff_strcaseeq(key, name))
			return json_string_value(value);
	return NULL;
}

json_t *azure_tags_with(const json_t *tags, const char *name, const char *value)
{
	json_t *copy = json_object(), *old;
	const char *key;

	json_object_foreach ((json_t *)tags, key, old)
		if (json_is_string(old) && !ff_strcaseeq(key, name))
			ff_json_set_new(copy, key, json_incref(old));
	if (value != NULL)
		ff_json_set_str(copy, name, value);
	return copy;
}

const char *azure_etag(const json_t *vm)
{
	const char *etag = ff_json_str(vm, "etag");
	size_t len = etag ? strlen(etag) : 0;

	for (size_t i = 0; i < len; i++)
		if (etag[i] <= ' ' || etag[i] >= 0x7f)
			return NULL;
	return len > 0 && len <= 256 ? etag : NULL;
}

const char *azure_os_disk_id(const json_t *vm)
{
	return ff_json_str(vm, "properties/storageProfile/osDisk/managedDisk/id");
}

/* ---------------------------------------------------------------- disks */

/* Copy a member when it is there and of the kind that is sent back. */
static void keep(json_t *to, const char *as, const json_t *from, const char *path)
{
	const json_t *value = ff_json_at(from, path);

	if (value != NULL && !json_is_null(value))
		ff_json_set_new(to, as, json_deep_copy(value));
}

static void keep_text(json_t *to, const char *as, const json_t *from, const char *path)
{
	ff_json_set_str(to, as, ff_json_str(from, path));
}

json_t *azure_os_disk_reduce(const json_t *d)
{
	json_t *out, *managed;

	if (ff_json_str(d, "managedDisk/id") == NULL)
		return NULL;
	out = json_object();
	managed = json_object();
	keep_text(out, "osType", d, "osType");
	keep_text(out, "name", d, "name");
	keep_text(out, "createOption", d, "createOption");
	keep_text(out, "caching", d, "caching");
	if (json_is_boolean(ff_json_at(d, "writeAcceleratorEnabled")))
		keep(out, "writeAcceleratorEnabled", d, "writeAcceleratorEnabled");
	keep_text(out, "deleteOption", d, "deleteOption");
	keep_text(managed, "id", d, "managedDisk/id");
	keep_text(managed, "storageAccountType", d, "managedDisk/storageAccountType");
	if (json_is_object(ff_json_at(d, "managedDisk/diskEncryptionSet")))
		keep(managed, "diskEncryptionSet", d, "managedDisk/diskEncryptionSet");
	if (json_is_object(ff_json_at(d, "managedDisk/securityProfile")))
		keep(managed, "securityProfile", d, "managedDisk/securityProfile");
	ff_json_set_new(out, "managedDisk", managed);
	return out;
}

static int64_t disk_bytes(const json_t *disk)
{
	int64_t bytes = ff_json_int(disk, "properties/diskSizeBytes", 0);
	int64_t gib = ff_json_int(disk, "properties/diskSizeGB", 0);

	if (bytes > 0)
		return bytes;
	return gib > 0 && gib < (1 << 20) ? gib << 30 : 0;
}

json_t *azure_disk_reduce(const json_t *disk)
{
	json_t *out = json_object();
	ff_auto_json json_t *tags = azure_tags_with(ff_json_at(disk, "tags"), AZ_TAG_RUN, NULL);

	keep_text(out, "location", disk, "location");
	if (json_is_object(ff_json_at(disk, "extendedLocation")))
		keep(out, "extendedLocation", disk, "extendedLocation");
	if (ff_json_str(disk, "zones/0") != NULL)
		keep(out, "zones", disk, "zones");
	keep_text(out, "sku", disk, "sku/name");
	if (json_object_size(tags) > 0)
		ff_json_set_new(out, "tags", json_incref(tags));
	keep_text(out, "osType", disk, "properties/osType");
	keep_text(out, "generation", disk, "properties/hyperVGeneration");
	keep_text(out, "encryption", disk, "properties/encryption/type");
	keep_text(out, "diskEncryptionSetId", disk, "properties/encryption/diskEncryptionSetId");
	keep_text(out, "networkAccessPolicy", disk, "properties/networkAccessPolicy");
	keep_text(out, "publicNetworkAccess", disk, "properties/publicNetworkAccess");
	keep_text(out, "diskAccessId", disk, "properties/diskAccessId");
	keep_text(out, "security", disk, "properties/securityProfile/securityType");
	keep_text(out, "state", disk, "properties/diskState");
	if (ff_json_bool(disk, "properties/encryptionSettingsCollection/enabled", false))
		ff_json_set_new(out, "ade",
			azure_ade_reduce(ff_json_at(disk, "properties/encryptionSettingsCollection/encryptionSettings"),
				ff_json_str(
					disk, "properties/encryptionSettingsCollection/encryptionSettingsVersion")));
	ff_json_set_int(out, "bytes", disk_bytes(disk));
	return out;
}

void azure_found_disk(struct azure_found *f, const json_t *disk)
{
	const char *id = ff_json_str(disk, "id");
	ff_auto_free char *key = azure_lower(id);

	/* OS disks have an osType; fleets have several times as many data disks */
	if (id != NULL && ff_json_str(disk, "properties/osType") != NULL)
		ff_json_set_new(f->disks, key, azure_disk_reduce(disk));
}

/* ---------------------------------------------------------------- VMs */

static char *text_of(const json_t *j, const char *path)
{
	const char *text = ff_json_str(j, path);

	return ff_strdup(text ? text : "");
}

static void read_slots(struct ff_vm *vm, const json_t *model)
{
	const json_t *disk;
	size_t i;

	json_array_foreach (ff_json_at(model, "properties/storageProfile/dataDisks"), i, disk) {
		int64_t lun = ff_json_int(disk, "lun", -1);

		if (lun >= 0 && lun < FF_SLOTS_MAX)
			vm->slots_used[lun] = 1;
	}
}

static void read_facts(struct ff_vm *vm, const json_t *model)
{
	json_t *os_disk = azure_os_disk_reduce(ff_json_at(model, "properties/storageProfile/osDisk"));

	vm->facts = json_object();
	ff_json_set_new(vm->facts, "os_disk", os_disk);
	if (ff_json_str(model, "properties/availabilitySet/id") != NULL)
		ff_json_set_bool(vm->facts, "availability_set", true);
}

static struct ff_vm *vm_new(const json_t *model, const struct azure_id *id)
{
	struct ff_vm *vm = ff_calloc(1, sizeof(*vm));
	ff_auto_free char *os = text_of(model, "properties/storageProfile/osDisk/osType");
	int64_t gib = ff_json_int(model, "properties/storageProfile/osDisk/diskSizeGB", 0);

	vm->id = text_of(model, "id");
	vm->name = ff_strdup(id->name);
	vm->scope = ff_strdup(id->group);
	vm->region = text_of(model, "location");
	vm->zone = text_of(model, "zones/0");
	vm->os = azure_lower(os);
	vm->state = ff_strdup("");
	vm->reason = ff_strdup("");
	vm->disk_id = ff_strdup(azure_os_disk_id(model) ? azure_os_disk_id(model) : "");
	vm->disk_bytes = gib > 0 && gib < (1 << 20) ? gib << 30 : 0;
	vm->disk_encryption = ff_strdup("");
	vm->tags = azure_tags_with(ff_json_at(model, "tags"), "", NULL);
	vm->health = FF_SUSPECT;
	read_facts(vm, model);
	azure_read_claim(vm);
	read_slots(vm, model);
	return vm;
}

ssize_t azure_found_vm(struct azure_found *f, const json_t *model)
{
	ff_auto_free char *key = azure_lower(ff_json_str(model, "id"));
	struct azure_side *side;
	struct azure_id id;
	const json_t *nic;
	size_t i;

	if (json_object_get(f->by_id, key) != NULL || azure_id_parse(ff_json_str(model, "id"), &id) < 0)
		return -1;
	if (!ff_strcaseeq(id.type, "virtualMachines")) {
		azure_id_release(&id);
		return -1;
	}
	if (f->count == f->room) {
		f->room = f->room ? f->room * 2 : 64;
		f->vms = ff_realloc(f->vms, f->room, sizeof(struct ff_vm *));
		f->sides = ff_realloc(f->sides, f->room, sizeof(*f->sides));
	}
	f->vms[f->count] = vm_new(model, &id);
	azure_id_release(&id);
	side = &f->sides[f->count];
	*side = (struct azure_side){.size = text_of(model, "properties/hardwareProfile/vmSize")};
	json_array_foreach (ff_json_at(model, "properties/networkProfile/networkInterfaces"), i, nic)
		if (ff_json_str(nic, "id") != NULL)
			ff_strv_add(&side->nics, ff_json_str(nic, "id"));
	azure_hazards_of_vm(f->vms[f->count], model, f->take_over, f->own_run);
	ff_json_set_int(f->by_id, key, (int64_t)f->count);
	return (ssize_t)f->count++;
}

/* ---------------------------------------------------------------- instance views */

/* "the VM agent says Not Ready since 2024-07-19T05:00:00Z: VM Agent is unresponsive." */
static void agent_evidence(struct ff_vm *vm, const json_t *status)
{
	const char *shown = ff_json_str(status, "displayStatus"), *time = ff_json_str(status, "time");
	ff_auto_free char *message = azure_squeeze(ff_json_str(status, "message"), 200);

	ff_strv_addf(&vm->evidence, "the VM agent says %s%s%s%s%s", shown ? shown : "nothing", time ? " at " : "",
		time ? time : "", *message ? ": " : "", message);
}

/* "the VM's last change ended at 2024-07-19T05:00:00Z", where that puts the agent's word in doubt. */
static enum azure_agent sick_or_not_yet(struct ff_vm *vm, const json_t *view, int64_t wall_ms)
{
	if (!azure_may_come_up(view, wall_ms))
		return AZ_AGENT_SICK;
	ff_strv_addf(&vm->evidence, "the VM's last change ended at %s", changed(view));
	return AZ_AGENT_NOT_YET;
}

/*
 * Sick is code ProvisioningState/Unavailable, level Warning, "Not Ready". Healthy is "Ready" of a fresh time: after a
 * stop Azure goes on saying "Ready" with the time of before (recorded in vm_power_states).
 */
static enum azure_agent read_agent(struct ff_vm *vm, const json_t *view, int64_t wall_ms)
{
	const json_t *status = ff_json_at(view, "vmAgent/statuses/0");
	const char *shown = ff_json_str(status, "displayStatus"), *code = ff_json_str(status, "code");
	int64_t time;

	if (status == NULL) {
		ff_strv_add(&vm->evidence, "there is no word of a VM agent");
		return AZ_AGENT_UNKNOWN;
	}
	agent_evidence(vm, status);
	if (ff_strcaseeq(shown, "Not Ready") || ff_strcaseeq(code, "ProvisioningState/Unavailable"))
		return sick_or_not_yet(vm, view, wall_ms);
	if (!ff_strcaseeq(shown, "Ready"))
		return AZ_AGENT_UNKNOWN;
	if (ff_time_parse(ff_json_str(status, "time"), &time) < 0 || wall_ms - time > AGENT_FRESH_MS)
		return AZ_AGENT_STALE;
	return AZ_AGENT_READY;
}

void azure_found_view(struct azure_found *f, size_t index, const json_t *view, int64_t wall_ms)
{
	struct ff_vm *vm = f->vms[index];
	struct azure_side *side = &f->sides[index];
	char power[32];

	if (side->viewed)
		return;
	side->viewed = true;
	free(vm->state);
	vm->state = ff_strdup(azure_power(view, power));
	vm->running = ff_streq(power, "running") || ff_streq(power, "starting");
	if (*power != '\0')
		ff_strv_addf(&vm->evidence, "the power state is %s", power);
	side->agent = read_agent(vm, view, wall_ms);
	ff_json_set_str(vm->facts, "generation", ff_json_str(view, "hyperVGeneration"));
	azure_hazards_of_view(vm, view);
}

/* ---------------------------------------------------------------- locks, addresses, sizes */

void azure_found_lock(struct azure_found *f, const json_t *lock)
{
	static const char marker[] = "/providers/microsoft.authorization/locks/";
	const char *id = ff_json_str(lock, "id"), *level = ff_json_str(lock, "properties/level");
	ff_auto_free char *lower = azure_lower(id);
	char *at = strstr(lower, marker), *next;
	json_t *entry;

	while (at != NULL && (next = strstr(at + 1, marker)) != NULL)
		at = next;
	if (at == NULL || level == NULL)
		return;
	*at = '\0';
	entry = json_object();
	ff_json_set_str(entry, "scope", lower);
	ff_json_set_str(entry, "level", level);
	json_array_append_new(f->locks, entry);
}

void azure_found_address(struct azure_found *f, const json_t *address)
{
	const char *method = ff_json_str(address, "properties/publicIPAllocationMethod");
	ff_auto_free char *lower = azure_lower(ff_json_str(address, "properties/ipConfiguration/id"));
	char *at = strstr(lower, "/ipconfigurations/");

	if (at == NULL || !ff_strcaseeq(method, "Dynamic"))
		return;
	*at = '\0';
	ff_json_set_bool(f->dynamic, lower, true);
}

void azure_found_size(struct azure_found *f, const json_t *size)
{
	ff_auto_free char *key = azure_lower(ff_json_str(size, "name"));
	json_t *entry;

	if (*key == '\0')
		return;
	entry = json_object();
	ff_json_set_int(entry, "disks", ff_json_int(size, "maxDataDiskCount", 0));
	ff_json_set_int(entry, "temp_mb", ff_json_int(size, "resourceDiskSizeInMB", 0));
	ff_json_set_new(f->sizes, key, entry);
}
