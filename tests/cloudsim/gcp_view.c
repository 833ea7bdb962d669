/* Resources as Compute shows them. */
#include "gcp.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

const char *const gc_status_names[] = {
	"RUNNING", "TERMINATED", "STAGING", "STOPPING", "PENDING_STOP", "SUSPENDED", "REPAIRING"};

char *gc_url(const char *path)
{
	return ff_printf("https://www.googleapis.com/compute/v1/%s", path);
}

json_t *gc_url_json(const char *fmt, ...)
{
	ff_auto_free char *path = NULL, *url = NULL;
	va_list ap;

	va_start(ap, fmt);
	path = ff_vprintf(fmt, ap);
	va_end(ap);
	url = gc_url(path);
	return json_string(url);
}

/* Compute writes its own wall clock, that of the Pacific coast; here always that of summer. */
const char *gc_time(int64_t ms, char out[SIM_TIME_BYTES])
{
	char text[FF_TIME_BYTES];

	ff_time_format(ms - INT64_C(7) * 3600000, 1, text);
	snprintf(out, SIM_TIME_BYTES, "%.23s-07:00", text);
	return out;
}

void gc_set_u64(json_t *o, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	ff_json_set_str(o, key, text);
}

void gc_set_i64(json_t *o, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	ff_json_set_str(o, key, text);
}

/* The same labels have the same fingerprint; that of none is what recordings show. */
char *gc_fingerprint(const json_t *labels)
{
	char *text;
	unsigned char md[SHA256_DIGEST_LENGTH];

	if (json_object_size(labels) == 0)
		return ff_strdup("42WmSpB8rSM=");
	text = json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		ff_oom();
	SHA256((const unsigned char *)text, strlen(text), md);
	free(text);
	return ff_base64(md, 8);
}

static void set_labels(json_t *o, const json_t *labels)
{
	ff_auto_free char *fingerprint = gc_fingerprint(labels);

	if (json_object_size(labels) > 0)
		ff_json_set_new(o, "labels", json_deep_copy(labels));
	ff_json_set_str(o, "labelFingerprint", fingerprint);
}

static void set_time(json_t *o, const char *key, int64_t ms)
{
	char when[SIM_TIME_BYTES];

	if (ms > 0)
		ff_json_set_str(o, key, gc_time(ms, when));
}

static json_t *features(const json_t *names)
{
	json_t *list = json_array();
	size_t i;
	json_t *name;

	json_array_foreach (names, i, name)
		json_array_append_new(list, json_pack("{s:O}", "type", name));
	return list;
}

static json_t *key_of(const char *csek_sha256, const char *kms)
{
	if (csek_sha256 != NULL)
		return json_pack("{s:s}", "sha256", csek_sha256);
	return kms != NULL ? json_pack("{s:s}", "kmsKeyName", kms) : NULL;
}

/* ---- machines */

enum gc_status gc_status_now(const struct gc_vm *vm, int64_t now_ms)
{
	return vm->status == GC_STOPPING && now_ms < vm->staged_ms ? GC_PENDING_STOP : vm->status;
}

static json_t *attached_json(const struct gcp *gc, const struct gc_attached *a)
{
	json_t *o = json_object();
	const struct gc_disk *d = a->disk;
	ff_auto_free char *path = d != NULL ? gc_disk_path(gc, d) : NULL;

	ff_json_set_str(o, "kind", "compute#attachedDisk");
	ff_json_set_str(o, "type", d != NULL ? "PERSISTENT" : "SCRATCH");
	ff_json_set_str(o, "mode", a->mode);
	if (d != NULL)
		ff_json_set_new(o, "source", gc_url_json("%s", path));
	ff_json_set_str(o, "deviceName", a->device_name);
	ff_json_set_int(o, "index", a->index);
	ff_json_set_bool(o, "boot", a->boot);
	ff_json_set_bool(o, "autoDelete", a->auto_delete);
	ff_json_set_str(o, "interface", a->interface);
	if (d == NULL) {
		ff_json_set_str(o, "diskSizeGb", "375");
		return o;
	}
	if (json_array_size(d->licenses) > 0)
		ff_json_set_new(o, "licenses", json_deep_copy(d->licenses));
	if (json_array_size(d->features) > 0)
		ff_json_set_new(o, "guestOsFeatures", features(d->features));
	ff_json_set_new(o, "diskEncryptionKey", key_of(d->csek_sha256, d->kms));
	gc_set_i64(o, "diskSizeGb", d->size_gb);
	ff_json_set_str(o, "architecture", d->architecture);
	return o;
}

static json_t *interfaces(const struct gcp *gc, const struct gc_vm *vm)
{
	ff_auto_free char *region = gc_region_of(vm->zone);
	json_t *nic = json_pack("{s:s,s:s,s:s,s:o,s:o,s:s}", "kind", "compute#networkInterface", "name", "nic0",
		"networkIP", "10.128.0.7", "network", gc_url_json("projects/%s/global/networks/default", gc->project),
		"subnetwork", gc_url_json("projects/%s/regions/%s/subnetworks/default", gc->project, region),
		"fingerprint", "PUin560skLg=");

	if (vm->wants_ip) {
		json_t *access = json_pack("{s:s,s:s,s:s,s:s}", "kind", "compute#accessConfig", "type",
			"ONE_TO_ONE_NAT", "name", "External NAT", "networkTier", "PREMIUM");

		ff_json_set_str(access, "natIP", vm->nat_ip);
		ff_json_set_new(nic, "accessConfigs", json_pack("[o]", access));
	}
	return json_pack("[o]", nic);
}

static json_t *metadata(const struct gc_vm *vm)
{
	json_t *o = json_pack("{s:s,s:s}", "kind", "compute#metadata", "fingerprint", "yKr6py6Xll8=");
	json_t *items = json_array(), *value;
	const char *key;

	json_object_foreach (vm->metadata, key, value)
		json_array_append_new(items, json_pack("{s:s,s:O}", "key", key, "value", value));
	ff_json_set_new(o, "items", json_array_size(items) > 0 ? json_incref(items) : NULL);
	json_decref(items);
	return o;
}

static json_t *scheduling(const struct gc_vm *vm)
{
	json_t *o = json_pack("{s:s,s:b,s:b,s:s}", "onHostMaintenance", vm->spot ? "TERMINATE" : "MIGRATE",
		"automaticRestart", !vm->spot, "preemptible", vm->spot, "provisioningModel",
		vm->spot ? "SPOT" : "STANDARD");

	if (vm->spot)
		ff_json_set_str(o, "instanceTerminationAction", vm->delete_on_termination ? "DELETE" : "STOP");
	if (vm->graceful_ms > 0)
		ff_json_set_new(o, "gracefulShutdown", json_pack("{s:b}", "enabled", 1));
	return o;
}

static void set_switches(json_t *o, const struct gc_vm *vm)
{
	ff_json_set_bool(o, "canIpForward", false);
	ff_json_set_bool(o, "startRestricted", vm->start_restricted);
	ff_json_set_bool(o, "deletionProtection", vm->deletion_protection);
	ff_json_set_new(o, "displayDevice", json_pack("{s:b}", "enableDisplay", vm->display));
	ff_json_set_new(o, "shieldedInstanceConfig",
		json_pack("{s:b,s:b,s:b}", "enableSecureBoot", vm->windows, "enableVtpm", 1,
			"enableIntegrityMonitoring", 1));
	if (vm->confidential)
		ff_json_set_new(o, "confidentialInstanceConfig", json_pack("{s:b}", "enableConfidentialCompute", 1));
}

json_t *gc_vm_json(const struct gcp *gc, const struct gc_vm *vm, int64_t now_ms)
{
	ff_auto_free char *path = gc_vm_path(gc, vm);
	json_t *o = json_object(), *disks = json_array();

	ff_json_set_str(o, "kind", "compute#instance");
	gc_set_u64(o, "id", vm->id);
	set_time(o, "creationTimestamp", vm->created_ms);
	ff_json_set_str(o, "name", vm->name);
	ff_json_set_new(o, "machineType",
		gc_url_json("projects/%s/zones/%s/machineTypes/%s", gc->project, vm->zone, vm->machine_type));
	ff_json_set_str(o, "status", gc_status_names[gc_status_now(vm, now_ms)]);
	ff_json_set_new(o, "zone", gc_url_json("projects/%s/zones/%s", gc->project, vm->zone));
	ff_json_set_new(o, "networkInterfaces", interfaces(gc, vm));
	for (size_t i = 0; i < vm->disk_count; i++)
		json_array_append_new(disks, attached_json(gc, &vm->disks[i]));
	ff_json_set_new(o, "disks", disks);
	ff_json_set_new(o, "metadata", metadata(vm));
	ff_json_set_new(o, "selfLink", gc_url_json("%s", path));
	ff_json_set_new(o, "scheduling", scheduling(vm));
	set_labels(o, vm->labels);
	set_switches(o, vm);
	set_time(o, "lastStartTimestamp", vm->booted_ms);
	set_time(o, "lastStopTimestamp", vm->stopped_ms);
	return o;
}

/* ---- disks, snapshots, groups */

static void add_user(const struct gcp *gc, json_t *list, const struct gc_vm *vm)
{
	ff_auto_free char *path = gc_vm_path(gc, vm);

	json_array_append_new(list, gc_url_json("%s", path));
}

static json_t *users(const struct gcp *gc, const struct gc_disk *d)
{
	json_t *list = json_array();
	size_t count;
	const struct gc_vm *user = gc_user_of(gc, d, &count);

	for (size_t i = 0; i < gc->vm_count && count > 1; i++)
		for (size_t k = 0; k < gc->vms[i]->disk_count && !gc->vms[i]->gone; k++)
			if (gc->vms[i]->disks[k].disk == d)
				add_user(gc, list, gc->vms[i]);
	if (count == 1)
		add_user(gc, list, user);
	return list;
}

json_t *gc_disk_json(const struct gcp *gc, const struct gc_disk *d)
{
	static const char *const words[] = {"READY", "CREATING", "RESTORING", "FAILED", "DELETING"};
	ff_auto_free char *path = gc_disk_path(gc, d);
	ff_auto_json json_t *by = users(gc, d);
	const char *kind = d->regional ? "regions" : "zones";
	json_t *o = json_object();

	ff_json_set_str(o, "kind", "compute#disk");
	gc_set_u64(o, "id", d->id);
	set_time(o, "creationTimestamp", d->created_ms);
	ff_json_set_str(o, "name", d->name);
	gc_set_i64(o, "sizeGb", d->size_gb);
	ff_json_set_new(
		o, d->regional ? "region" : "zone", gc_url_json("projects/%s/%s/%s", gc->project, kind, d->zone));
	ff_json_set_str(o, "status", words[gc_disk_status_of(d)]);
	ff_json_set_new(o, "selfLink", gc_url_json("%s", path));
	ff_json_set_new(o, "type", gc_url_json("projects/%s/%s/%s/diskTypes/%s", gc->project, kind, d->zone, d->type));
	ff_json_set_str(o, "physicalBlockSizeBytes", "4096");
	ff_json_set_str(o, "architecture", d->architecture);
	set_time(o, "lastAttachTimestamp", d->attached_ms);
	set_time(o, "lastDetachTimestamp", d->detached_ms);
	if (json_array_size(d->licenses) > 0)
		ff_json_set_new(o, "licenses", json_deep_copy(d->licenses));
	if (json_array_size(d->features) > 0)
		ff_json_set_new(o, "guestOsFeatures", features(d->features));
	if (json_array_size(by) > 0)
		json_object_set(o, "users", by);
	ff_json_set_new(o, "diskEncryptionKey", key_of(d->csek_sha256, d->kms));
	if (d->iops > 0)
		gc_set_i64(o, "provisionedIops", d->iops);
	if (d->throughput > 0)
		gc_set_i64(o, "provisionedThroughput", d->throughput);
	if (d->snapshot != NULL)
		ff_json_set_new(
			o, "sourceSnapshot", gc_url_json("projects/%s/global/snapshots/%s", gc->project, d->snapshot));
	if (d->multi_writer)
		ff_json_set_str(o, "accessMode", "READ_WRITE_MANY");
	set_labels(o, d->labels);
	return o;
}

json_t *gc_snapshot_json(const struct gcp *gc, const struct gc_snapshot *s, int64_t now_ms)
{
	static const char *const words[] = {"CREATING", "UPLOADING", "READY"};
	ff_auto_free char *path = gc_snapshot_path(gc, s);
	enum gc_snapshot_status status = s->status == GC_S_UPLOADING && now_ms >= s->ready_ms ? GC_S_READY : s->status;
	json_t *o = json_object();

	ff_json_set_str(o, "kind", "compute#snapshot");
	gc_set_u64(o, "id", s->id);
	set_time(o, "creationTimestamp", s->created_ms);
	ff_json_set_str(o, "name", s->name);
	ff_json_set_str(o, "status", words[status]);
	ff_json_set_new(
		o, "sourceDisk", gc_url_json("projects/%s/zones/%s/disks/%s", gc->project, s->source_zone, s->source));
	gc_set_u64(o, "sourceDiskId", s->source_id);
	gc_set_i64(o, "diskSizeGb", s->size_gb);
	ff_json_set_str(o, "storageBytes", status == GC_S_READY ? "1073741824" : "0");
	ff_json_set_str(o, "storageBytesStatus", status == GC_S_READY ? "UP_TO_DATE" : "UPDATING");
	ff_json_set_new(o, "storageLocations", json_pack("[s]", s->location));
	ff_json_set_new(o, "selfLink", gc_url_json("%s", path));
	if (s->csek_sha256 != NULL)
		ff_json_set_new(o, "sourceDiskEncryptionKey", key_of(s->csek_sha256, NULL));
	set_labels(o, s->labels);
	return o;
}

json_t *gc_group_json(const struct gcp *gc, const struct gc_group *g)
{
	const char *kind = g->regional ? "regions" : "zones";
	json_t *o = json_object();
	int64_t size = 0;

	for (size_t i = 0; i < gc->vm_count; i++)
		size += !gc->vms[i]->gone && gc_group_of(gc, gc->vms[i]) == g;
	ff_json_set_str(o, "kind", "compute#instanceGroupManager");
	gc_set_u64(o, "id", g->id);
	ff_json_set_str(o, "name", g->name);
	ff_json_set_new(
		o, g->regional ? "region" : "zone", gc_url_json("projects/%s/%s/%s", gc->project, kind, g->zone));
	ff_json_set_new(o, "instanceTemplate",
		gc_url_json("projects/%s/global/instanceTemplates/%s-template", gc->project, g->name));
	ff_json_set_new(o, "instanceGroup",
		gc_url_json("projects/%s/%s/%s/instanceGroups/%s", gc->project, kind, g->zone, g->name));
	ff_json_set_str(o, "baseInstanceName", g->name);
	ff_json_set_int(o, "targetSize", size);
	ff_json_set_new(o, "instanceLifecyclePolicy",
		json_pack("{s:s}", "defaultActionOnFailure", g->repairs ? "REPAIR" : "DO_NOTHING"));
	ff_json_set_new(o, "selfLink",
		gc_url_json("projects/%s/%s/%s/instanceGroupManagers/%s", gc->project, kind, g->zone, g->name));
	return o;
}
