/* GCP's part of a scenario: its machines, disks and snapshots. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define DISK_MEMBERS                                                                                                   \
	"name", "image", "bad", "size_gib", "size_bytes", "type", "csek_sha256", "iops", "throughput", "kms",          \
		"labels", "architecture", "status", "multi_writer", "regional"

static const char *const windows_features[] = {
	"VIRTIO_SCSI_MULTIQUEUE", "MULTI_IP_SUBNET", "UEFI_COMPATIBLE", "GVNIC", "WINDOWS"};

/* ---- disks */

static int read_size(const json_t *o, const char *where, struct gc_disk *d, struct ff_err *err)
{
	int64_t gib = 0, bytes = 0;

	if (sim_int(o, where, "size_gib", 1, 65536, &gib, err) < 0 ||
		sim_int(o, where, "size_bytes", 1, (int64_t)1 << 46, &bytes, err) < 0)
		return -1;
	if (bytes % (1 << 30) != 0 || (gib > 0 && bytes > 0 && gib << 30 != bytes))
		return ff_fail(err, FF_E_USAGE, "%s: %lld bytes are not whole GiB, or not those of 'size_gib'", where,
			(long long)bytes);
	d->size_gb = bytes > 0 ? bytes >> 30 : gib > 0 ? gib : 50;
	return 0;
}

/* The scenario's images are never written: the disk is a copy of its own, made at the start. */
static void take_image(struct sim *sim, struct gcp *gc, struct gc_disk *d, const char *image)
{
	if (image == NULL)
		return;
	d->image = sim->hooks.image_name != NULL ? sim->hooks.image_name(sim->hooks.arg, d->name, ++gc->images)
						 : ff_strdup(image);
	if (sim->hooks.image_name != NULL)
		sim_effect(sim, 0, SIM_COPY_IMAGE, image, d->image, NULL, -1);
	d->bad = sim->hooks.image_is_bad != NULL && sim->hooks.image_is_bad(sim->hooks.arg, image) != 0;
}

static int read_disk(
	struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct gc_disk *d, struct ff_err *err)
{
	static const char *const statuses[] = {"READY", "CREATING", "RESTORING", "FAILED", NULL};
	const char *image = NULL, *type = d->type, *csek = NULL, *kms = NULL, *architecture = d->architecture;
	int status = GC_READY;

	json_decref(d->labels);
	d->labels = NULL;
	if (sim_text(o, where, "image", &image, err) < 0 || sim_bool(o, where, "bad", &d->bad, err) < 0 ||
		sim_text(o, where, "type", &type, err) < 0 || sim_text(o, where, "csek_sha256", &csek, err) < 0 ||
		sim_text(o, where, "kms", &kms, err) < 0 || sim_int(o, where, "iops", 1, 500000, &d->iops, err) < 0 ||
		sim_int(o, where, "throughput", 1, 20000, &d->throughput, err) < 0 ||
		sim_text(o, where, "architecture", &architecture, err) < 0 ||
		sim_word(o, where, "status", statuses, &status, err) < 0 ||
		sim_bool(o, where, "multi_writer", &d->multi_writer, err) < 0 ||
		sim_tags(o, where, "labels", &d->labels, err) < 0 || read_size(o, where, d, err) < 0)
		return -1;
	if (image != NULL && d->bad)
		return ff_fail(
			err, FF_E_USAGE, "%s: with an image its bytes decide what is bad: leave 'bad' out", where);
	if (csek != NULL && kms != NULL)
		return ff_fail(err, FF_E_USAGE, "%s: 'csek_sha256' or 'kms', not both", where);
	gc_set(&d->type, type);
	gc_set(&d->architecture, architecture);
	d->csek_sha256 = ff_strdup(csek);
	if (kms != NULL)
		d->kms = strchr(kms, '/') != NULL
				 ? ff_strdup(kms)
				 : ff_printf("projects/%s/locations/us/keyRings/r1/cryptoKeys/%s", gc->project, kms);
	d->status = (enum gc_disk_status)status;
	take_image(sim, gc, d, image);
	return 0;
}

static struct gc_disk *new_disk(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, const char *zone,
	const char *usual, struct ff_err *err)
{
	const char *name = usual;
	ff_auto_free char *region = gc_region_of(zone);
	bool regional = false;
	struct gc_disk *d;

	if (sim_text(o, where, "name", &name, err) < 0 || sim_bool(o, where, "regional", &regional, err) < 0)
		return NULL;
	if (name == NULL || !gc_name_is_fine(name) || gc_find_disk(gc, regional ? region : zone, name) != NULL) {
		ff_fail(err, FF_E_USAGE, "%s: 'name' is missing, malformed, or that of another disk", where);
		return NULL;
	}
	d = gc_add_disk(sim, gc, regional ? region : zone, name);
	d->regional = regional;
	d->created_ms = sim->now_ms - (int64_t)200 * 86400000;
	return read_disk(sim, gc, o, where, d, err) < 0 ? NULL : d;
}

int gc_read_loose_disk(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {DISK_MEMBERS, "zone", NULL};
	const char *zone = gc->zones.items[0];

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "zone", &zone, err) < 0)
		return -1;
	if (!gc_known_zone(gc, zone))
		return ff_fail(err, FF_E_USAGE, "%s: zone '%s' is not among 'zones'", where, zone);
	return new_disk(sim, gc, o, where, zone, NULL, err) != NULL ? 0 : -1;
}

int gc_read_snapshot(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "disk", "zone", "labels", NULL};
	const char *name = NULL, *disk = NULL, *zone = gc->zones.items[0];
	struct gc_snapshot *s;
	const struct gc_disk *d;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_text(o, where, "disk", &disk, err) < 0 || sim_text(o, where, "zone", &zone, err) < 0)
		return -1;
	d = disk != NULL ? gc_find_disk(gc, zone, disk) : NULL;
	if (name == NULL || !gc_name_is_fine(name) || d == NULL || gc_find_snapshot(gc, name) != NULL)
		return ff_fail(err, FF_E_USAGE, "%s: needs a 'name' of its own and a 'disk' in its 'zone'", where);
	s = ff_calloc(1, sizeof(*s));
	gc->snapshots = ff_realloc(gc->snapshots, gc->snapshot_count + 1, sizeof(*gc->snapshots));
	gc->snapshots[gc->snapshot_count++] = s;
	s->name = ff_strdup(name);
	s->source = ff_strdup(disk);
	s->source_zone = ff_strdup(zone);
	s->location = gc_region_of(zone);
	s->source_id = d->id;
	s->size_gb = d->size_gb;
	s->id = sim_random(sim) >> 1;
	s->status = GC_S_READY;
	s->created_ms = sim->now_ms - (int64_t)30 * 86400000;
	if (sim_tags(o, where, "labels", &s->labels, err) < 0)
		return -1;
	s->run = ff_strdup(ff_json_str(s->labels, "fixfleet-run"));
	return 0;
}

/* ---- the boot disk and its attachment */

static void dress(struct gcp *gc, const struct gc_vm *vm, struct gc_disk *d)
{
	(void)gc;
	if (!vm->windows) {
		json_array_append_new(d->features, json_string("UEFI_COMPATIBLE"));
		json_array_append_new(
			d->licenses, gc_url_json("projects/debian-cloud/global/licenses/debian-12-bookworm"));
		return;
	}
	for (size_t i = 0; i < FF_COUNT(windows_features); i++)
		json_array_append_new(d->features, json_string(windows_features[i]));
	json_array_append_new(
		d->licenses, gc_url_json("projects/windows-cloud/global/licenses/windows-server-2022-dc"));
}

static int read_boot(
	struct sim *sim, struct gcp *gc, struct gc_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {DISK_MEMBERS, "device_name", "auto_delete", "mode", "interface", NULL};
	static const char *const modes[] = {"READ_WRITE", "READ_ONLY", NULL};
	static const char *const interfaces[] = {"SCSI", "NVME", NULL};
	const char *device = "persistent-disk-0";
	int mode = 0, interface = 0;
	bool auto_delete = true;
	struct gc_attached how = {.boot = true};
	struct gc_disk *d;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "device_name", &device, err) < 0 ||
		sim_bool(o, where, "auto_delete", &auto_delete, err) < 0 ||
		sim_word(o, where, "mode", modes, &mode, err) < 0 ||
		sim_word(o, where, "interface", interfaces, &interface, err) < 0)
		return -1;
	d = new_disk(sim, gc, o, where, vm->zone, vm->name, err);
	if (d == NULL)
		return -1;
	dress(gc, vm, d);
	how.device_name = (char *)device;
	how.mode = modes[mode];
	how.interface = interfaces[interface];
	how.auto_delete = auto_delete;
	gc_attach_now(sim, gc, vm, d, &how);
	d->attached_ms = vm->created_ms;
	d->victim = vm;
	vm->own = d;
	vm->as_was = vm->disks[0];
	vm->as_was.device_name = ff_strdup(device);
	return 0;
}

static void add_local_ssds(struct sim *sim, struct gcp *gc, struct gc_vm *vm, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		ff_auto_free char *name = ff_printf("local-ssd-%lld", (long long)i);
		const struct gc_attached how = {
			.device_name = name, .mode = "READ_WRITE", .interface = "NVME", .auto_delete = true};

		gc_attach_now(sim, gc, vm, NULL, &how);
	}
}

/* ---- machines */

static int read_place(struct gcp *gc, struct gc_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	const char *name = NULL, *zone = gc->zones.items[0], *type = "n2-standard-4";

	if (sim_text(o, where, "name", &name, err) < 0 || sim_text(o, where, "zone", &zone, err) < 0 ||
		sim_text(o, where, "machine_type", &type, err) < 0)
		return -1;
	if (name == NULL || !gc_name_is_fine(name) || !gc_known_zone(gc, zone) || !gc_machine_is_known(type))
		return ff_fail(err, FF_E_USAGE, "%s: a good 'name', 'zone' or 'machine_type' is missing", where);
	vm->name = ff_strdup(name);
	vm->zone = ff_strdup(zone);
	vm->machine_type = ff_strdup(type);
	return gc_find_vm(gc, zone, name) != NULL ? ff_fail(err, FF_E_USAGE, "%s: a second VM '%s'", where, name) : 0;
}

static int read_flags(struct gc_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	if (sim_bool(o, where, "rescue", &vm->rescue, err) < 0 || sim_bool(o, where, "spot", &vm->spot, err) < 0 ||
		sim_bool(o, where, "display", &vm->display, err) < 0 ||
		sim_bool(o, where, "deletion_protection", &vm->deletion_protection, err) < 0 ||
		sim_bool(o, where, "start_restricted", &vm->start_restricted, err) < 0 ||
		sim_bool(o, where, "confidential", &vm->confidential, err) < 0 ||
		sim_bool(o, where, "delete_on_termination", &vm->delete_on_termination, err) < 0 ||
		sim_int(o, where, "max_disks", 1, 128, &vm->max_disks, err) < 0)
		return -1;
	return sim_tags(o, where, "labels", &vm->labels, err) < 0 ? -1
								  : sim_tags(o, where, "metadata", &vm->metadata, err);
}

static int read_kind(
	struct sim *sim, struct gcp *gc, struct gc_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const systems[] = {"Windows", "Linux", NULL};
	static const char *const powers[] = {"running", "stopped", "suspended", NULL};
	static const enum gc_status statuses[] = {GC_RUNNING, GC_TERMINATED, GC_SUSPENDED};
	static const char *const addresses[] = {"ephemeral", "static", NULL};
	int os = 0, power = 0, address = -1;
	int64_t grace_s = 0;

	if (sim_word(o, where, "os", systems, &os, err) < 0 || sim_word(o, where, "power", powers, &power, err) < 0 ||
		sim_word(o, where, "external_ip", addresses, &address, err) < 0 ||
		sim_int(o, where, "graceful_shutdown_s", 0, 3600, &grace_s, err) < 0)
		return -1;
	vm->windows = os == 0;
	vm->status = statuses[power];
	vm->graceful_ms = sim_scaled(sim, grace_s * 1000);
	vm->wants_ip = address >= 0;
	if (address == 1 || power == 0)
		gc_take_address(gc, vm);
	if (address == 1)
		vm->address = ff_printf("%s-ip", vm->name);
	return 0;
}

static int read_group(struct gcp *gc, struct gc_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	const char *group = NULL;
	const struct gc_group *g;

	if (sim_text(o, where, "mig", &group, err) < 0)
		return -1;
	if (group == NULL)
		return 0;
	vm->group = ff_strdup(group);
	g = gc_group_of(gc, vm);
	if (g == NULL)
		return ff_fail(err, FF_E_USAGE, "%s: 'mig' names no group of 'groups' in its zone or region", where);
	ff_json_set_new(vm->metadata, "created-by",
		json_sprintf("projects/%s/%s/%s/instanceGroupManagers/%s", gc->number,
			g->regional ? "regions" : "zones", g->zone, g->name));
	return 0;
}

int gc_read_vm(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "zone", "machine_type", "os", "power", "labels", "metadata",
		"boot", "local_ssd", "spot", "delete_on_termination", "mig", "external_ip", "rescue", "display",
		"deletion_protection", "start_restricted", "confidential", "graceful_shutdown_s", "max_disks", NULL};
	struct gc_vm *vm = ff_calloc(1, sizeof(*vm));
	ff_auto_free char *boot_where = ff_printf("%s.boot", where), *key = NULL;
	ff_auto_json json_t *none = json_object();
	const json_t *boot;
	int64_t ssds = 0;

	gc->vms = ff_realloc(gc->vms, gc->vm_count + 1, sizeof(*gc->vms));
	gc->vms[gc->vm_count++] = vm; /* owned from here, whatever fails */
	vm->id = sim_random(sim) >> 1;
	vm->created_ms = sim->now_ms - (int64_t)200 * 86400000;
	if (sim_only(o, where, members, err) < 0 || read_place(gc, vm, o, where, err) < 0 ||
		read_flags(vm, o, where, err) < 0 || read_kind(sim, gc, vm, o, where, err) < 0 ||
		read_group(gc, vm, o, where, err) < 0 || sim_object(o, where, "boot", &boot, err) < 0 ||
		sim_int(o, where, "local_ssd", 0, 24, &ssds, err) < 0 ||
		read_boot(sim, gc, vm, boot != NULL ? boot : none, boot_where, err) < 0)
		return -1;
	add_local_ssds(sim, gc, vm, ssds);
	key = ff_printf("%s/%s", vm->zone, vm->name);
	sim_index_put(gc->vm_index, key, gc->vm_count - 1);
	vm->booted_ms = sim->now_ms - 86400000;
	vm->boots = !vm->own->bad;
	return 0;
}
