/* Disks of machines: attach, detach, autoDelete. */
#include "gcp.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define LINKS "disk/by-id/google-"

/* ---- customer-supplied keys */

char *gc_key_sha256(const json_t *key)
{
	const char *raw = ff_json_str(key, "rawKey");
	unsigned char md[SHA256_DIGEST_LENGTH];
	size_t n = 0;
	ff_auto_free unsigned char *bytes = raw != NULL ? ff_base64_decode(raw, &n) : NULL;

	if (bytes == NULL || n != 32)
		return NULL;
	SHA256(bytes, n, md);
	return ff_base64(md, sizeof(md));
}

int gc_key_fits(const struct gc_disk *disk, const json_t *key)
{
	const char *raw = ff_json_str(key, "rawKey");
	ff_auto_free char *sha256 = gc_key_sha256(key);

	if (disk->csek_sha256 == NULL)
		return raw == NULL ? 0 : -4;
	if (raw == NULL)
		return -1;
	if (sha256 == NULL)
		return -2;
	return ff_streq(sha256, disk->csek_sha256) ? 0 : -3;
}

/* The first text is quoted in hashicorp/terraform-provider-google#5967; the others are UNVERIFIED. */
int gc_refuse_key(struct gc_refusal *r, const char *path, int why)
{
	switch (why) {
	case -1:
		return gc_object(r, 400, "resourceIsEncryptedWithCustomerEncryptionKey",
			"'%s' is protected with a customer supplied encryption key, but none was provided.", path);
	case -2:
		return gc_object(r, 400, "invalid",
			"Invalid value for field 'diskEncryptionKey.rawKey': The customer supplied encryption key is "
			"not a "
			"base64 encoded 256 bit key.");
	case -3:
		return gc_object(r, 400, "customerEncryptionKeyIsIncorrect",
			"The provided encryption key does not match the key that '%s' is protected with.", path);
	default:
		return gc_object(r, 400, "resourceIsNotEncryptedWithCustomerEncryptionKey",
			"'%s' is not protected with a customer supplied encryption key, but one was provided.", path);
	}
}

/* ---- the acts themselves */

static void show_link(
	struct sim *sim, const struct gcp *gc, const struct gc_vm *vm, const struct gc_attached *a, bool on)
{
	ff_auto_free char *link = ff_printf(LINKS "%s", a->device_name);

	if (a->disk != NULL && a->disk->image != NULL && !a->boot)
		sim_effect_link(
			sim, on ? gc->link_delay_ms : 0, on ? SIM_LINK : SIM_UNLINK, a->disk->image, vm->name, link);
}

static int64_t free_index(const struct gc_vm *vm)
{
	int64_t index = gc_boot_disk(vm) != NULL ? 0 : 1; /* 0 is kept for a boot disk */

	for (size_t i = 0; i < vm->disk_count; i++)
		if (vm->disks[i].index >= index)
			index = vm->disks[i].index + 1;
	return index;
}

void gc_attach_now(
	struct sim *sim, struct gcp *gc, struct gc_vm *vm, struct gc_disk *disk, const struct gc_attached *how)
{
	struct gc_attached a = *how;

	a.disk = disk;
	a.index = how->boot ? 0 : free_index(vm);
	a.device_name = how->device_name != NULL ? ff_strdup(how->device_name)
						 : ff_printf("persistent-disk-%lld", (long long)a.index);
	vm->disks = ff_realloc(vm->disks, vm->disk_count + 1, sizeof(*vm->disks));
	if (a.boot) { /* it comes first */
		memmove(vm->disks + 1, vm->disks, vm->disk_count * sizeof(*vm->disks));
		vm->disks[0] = a;
	} else {
		vm->disks[vm->disk_count] = a;
	}
	vm->disk_count++;
	if (a.boot)
		vm->last_boot = disk;
	if (disk != NULL) {
		disk->attached_ms = sim->now_ms;
		disk->user = disk->users++ == 0 ? vm : NULL;
	}
	show_link(sim, gc, vm, &a, true);
}

void gc_detach_now(struct sim *sim, struct gcp *gc, struct gc_vm *vm, struct gc_attached *at)
{
	size_t i = (size_t)(at - vm->disks);

	show_link(sim, gc, vm, at, false);
	if (at->disk != NULL) {
		at->disk->detached_ms = sim->now_ms;
		at->disk->users--;
		at->disk->user = NULL;
	}
	free(at->device_name);
	memmove(at, at + 1, (vm->disk_count - i - 1) * sizeof(*at));
	vm->disk_count--;
}

void gc_do_disk(struct sim *sim, struct gcp *gc, struct gc_job *job)
{
	struct gc_attached *at = job->device_name != NULL ? gc_device(job->vm, job->device_name) : NULL;
	struct gc_attached how = {.device_name = job->device_name,
		.mode = job->mode,
		.interface = job->interface,
		.boot = job->boot,
		.auto_delete = job->auto_delete && !gc->loses_auto_delete};

	if (job->kind == GC_J_ATTACH)
		gc_attach_now(sim, gc, job->vm, job->disk, &how);
	else if (at == NULL) /* somebody took it out by hand meanwhile */
		return;
	else if (job->kind == GC_J_DETACH)
		gc_detach_now(sim, gc, job->vm, at);
	else
		at->auto_delete = job->auto_delete;
}

/* ---- may it be done */

static bool is_hyperdisk(const struct gc_disk *d)
{
	return ff_has_prefix(d->type, "hyperdisk-");
}

/* gcp-compute-persistent-disk-csi-driver#1819 has the text for hyperdisks, the other is the same of persistent disks.
 */
static int has_room(const struct gc_vm *vm, const struct gc_disk *d, struct gc_refusal *r)
{
	int64_t most = vm->max_disks > 0 ? vm->max_disks : gc_machine_disks(vm->machine_type), used = 1;

	for (size_t i = 0; i < vm->disk_count; i++)
		used += vm->disks[i].disk != NULL;
	if (used <= most)
		return 0;
	return gc_object(r, 400, "unsupportedOperation",
		"Maximum %s disks count should be less than or equal to [%lld], Requested : [%lld]",
		is_hyperdisk(d) ? d->type : "persistent", (long long)most, (long long)used);
}

static bool same_place(const struct gc_vm *vm, const struct gc_disk *d)
{
	ff_auto_free char *region = gc_region_of(vm->zone);

	return ff_streq(d->regional ? region : vm->zone, d->zone);
}

static int is_free(const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	const struct gc_disk *d = job->disk;
	const struct gc_vm *user = gc_user_of(gc, d, NULL);
	ff_auto_free char *disk = gc_disk_path(gc, d), *vm = NULL;

	if (user == NULL || (d->multi_writer && user != job->vm))
		return 0;
	vm = gc_vm_path(gc, user);
	return gc_object(r, 400, "resourceInUseByAnotherResource",
		"The disk resource '%s' is already being used by '%s'", disk, vm);
}

static int may_attach_there(const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	const struct gc_vm *vm = job->vm;
	ff_auto_free char *disk = gc_disk_path(gc, job->disk);

	if (!same_place(vm, job->disk)) /* text UNVERIFIED */
		return gc_object(r, 400, "invalid",
			"Invalid value for field 'resource.source': '%s'. Disk must be in the same zone as the "
			"instance.",
			disk);
	if (job->force && !job->disk->regional) /* text UNVERIFIED */
		return gc_object(r, 400, "invalid",
			"Invalid value for field 'forceAttach': 'true'. Force attach is only supported for regional "
			"disks.");
	if (gc_disk_status_of(job->disk) != GC_READY)
		return gc_object(r, 400, "resourceNotReady", "The resource '%s' is not ready", disk);
	if (!gc_machine_takes(vm->machine_type, job->disk->type))
		return gc_object(r, 400, "badRequest", "[%s] features are not compatible for creating instance.",
			job->disk->type);
	return job->key < 0 ? gc_refuse_key(r, disk, job->key) : 0;
}

static int may_attach(const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	const struct gc_vm *vm = job->vm;

	if (is_free(gc, job, r) < 0 || may_attach_there(gc, job, r) < 0 || has_room(vm, job->disk, r) < 0)
		return -1;
	if (vm->status == GC_STAGING || vm->status == GC_REPAIRING || vm->status == GC_SUSPENDED) {
		ff_auto_free char *path = gc_vm_path(gc, vm);

		return gc_object(r, 400, "resourceNotReady", "The resource '%s' is not ready", path);
	}
	/* this and the next two texts UNVERIFIED, after that of detaching */
	if (job->boot && vm->status != GC_TERMINATED)
		return gc_object(r, 400, "invalidResourceUsage",
			"Invalid resource usage: 'To attach the boot disk, the instance must be in TERMINATED "
			"state.'.");
	if (job->boot && gc_boot_disk(vm) != NULL)
		return gc_object(r, 400, "invalidResourceUsage",
			"Invalid resource usage: 'The instance already has a boot disk attached.'.");
	if (job->device_name != NULL && gc_device(vm, job->device_name) != NULL)
		return gc_object(r, 400, "invalid",
			"Invalid value for field 'resource.deviceName': '%s'. Device name is already in use on the "
			"instance.",
			job->device_name);
	return 0;
}

static int no_device(const struct gc_job *job, struct gc_refusal *r)
{
	return gc_object(r, 400, "invalid",
		"Invalid value for field 'deviceName': '%s'. No attached disk found with device name '%s'",
		job->device_name, job->device_name);
}

int gc_may_disk(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	const struct gc_attached *at;

	(void)sim;
	if (job->kind == GC_J_ATTACH)
		return may_attach(gc, job, r);
	at = gc_device(job->vm, job->device_name);
	if (at == NULL)
		return no_device(job, r);
	if (job->kind == GC_J_DETACH && at->boot && job->vm->status != GC_TERMINATED)
		return gc_object(r, 400, "invalidResourceUsage",
			"Invalid resource usage: 'To detach the boot disk, the instance must be in TERMINATED "
			"state.'.");
	if (job->kind == GC_J_DETACH && at->disk == NULL) /* text UNVERIFIED */
		return gc_object(
			r, 400, "invalidResourceUsage", "Invalid resource usage: 'A local SSD cannot be detached.'.");
	return 0;
}

/* ---- requests */

void gc_disk_get(struct gc_call *c)
{
	struct gc_disk *d = gc_disk_of(c);

	if (d != NULL)
		gc_reply(c, 200, gc_disk_json(c->gc, d));
}

/* The word of the body in its static form; `usual` when absent, NULL when it is none of them. */
static const char *word(const struct gc_call *c, const char *name, const char *const *words, const char *usual)
{
	const char *text = ff_json_str(c->body, name);

	if (json_object_get(c->body, name) == NULL)
		return usual;
	for (size_t i = 0; words[i] != NULL; i++)
		if (ff_streq(words[i], text))
			return words[i];
	return NULL;
}

/* '(^$|\w[\w.-]{0,254})': ystia/yorc#176. As it becomes a device link, 63 are the most here. */
static bool device_name_is_fine(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", name[i]) == NULL &&
			(i == 0 || (name[i] != '.' && name[i] != '-')))
			return false;
	return n <= 63;
}

static int bad_enum(struct gc_call *c, const char *name)
{
	const char *text = ff_json_str(c->body, name);

	return gc_refuse(c, 400, "invalid", "Invalid value for field 'resource.%s': '%s'. No such value.", name,
		text != NULL ? text : "");
}

static int check_attach_body(struct gc_call *c, struct gc_job *job)
{
	static const char *const modes[] = {"READ_WRITE", "READ_ONLY", NULL};
	static const char *const interfaces[] = {"SCSI", "NVME", NULL};
	static const char *const types[] = {"PERSISTENT", NULL};
	const char *device = ff_json_str(c->body, "deviceName");

	job->mode = word(c, "mode", modes, "READ_WRITE");
	job->interface = word(c, "interface", interfaces, "SCSI");
	job->boot = ff_json_bool(c->body, "boot", false);
	job->auto_delete = ff_json_bool(c->body, "autoDelete", false);
	if (job->mode == NULL || job->interface == NULL || word(c, "type", types, "PERSISTENT") == NULL)
		return bad_enum(c, job->mode == NULL ? "mode" : job->interface == NULL ? "interface" : "type");
	if (device != NULL && !device_name_is_fine(device))
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'disk.deviceName': '%s'. Must be a match of regex "
			"'(^$|\\w[\\w.-]{0,254})'",
			device);
	job->device_name = device != NULL && *device != '\0' ? ff_strdup(device) : NULL;
	return 0;
}

static struct gc_disk *source(struct gc_call *c)
{
	const char *url = ff_json_str(c->body, "source"), *path = url != NULL ? strstr(url, "projects/") : NULL;
	struct gc_disk *d = gc_disk_by_url(c->gc, url);
	ff_auto_free char *id = d != NULL ? gc_disk_path(c->gc, d) : NULL;

	if (url == NULL)
		gc_refuse(c, 400, "required", "Required field 'resource.source' not specified");
	else if (d == NULL)
		gc_not_found(c, path != NULL ? path : url);
	else if (gc_allowed(c, "compute.disks.use", id) < 0)
		d = NULL;
	return d;
}

void gc_attach(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);
	struct gc_disk *d = vm != NULL ? source(c) : NULL;
	int force = gc_query_bool(c, "forceAttach");
	struct gc_job *job;

	if (d == NULL || force < 0)
		return;
	job = gc_job(GC_J_ATTACH, vm, d, NULL);
	job->force = force == 1 || ff_json_bool(c->body, "forceAttach", false);
	job->key = gc_key_fits(d, ff_json_at(c->body, "diskEncryptionKey"));
	if (check_attach_body(c, job) < 0) {
		gc_free_job(job);
		return;
	}
	job = gc_begin(c, "attachDisk", c->gc->latency[GC_L_ATTACH], job);
	if (job == NULL)
		return;
	gc_note_mutation(c->sim, vm, "attachDisk");
	if (d->victim != vm)
		gc_note_mutation(c->sim, d->victim, "attachDisk of its boot disk elsewhere");
	if (job->auto_delete && d->victim != NULL && d->victim != vm)
		sim_violation(c->sim, "boot disk '%s' of '%s' is attached to '%s' with autoDelete", d->name,
			d->victim->name, vm->name);
}

void gc_detach(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);
	const char *device = gc_query(c, "deviceName");
	const struct gc_attached *at = vm != NULL && device != NULL ? gc_device(vm, device) : NULL;
	const struct gc_vm *victim = at != NULL && at->disk != NULL ? at->disk->victim : NULL;
	struct gc_job *job;

	if (vm == NULL)
		return;
	if (device == NULL) {
		gc_refuse(c, 400, "required", "Required parameter is missing: deviceName");
		return;
	}
	job = gc_job(GC_J_DETACH, vm, NULL, NULL);
	job->device_name = ff_strdup(device);
	job = gc_begin(c, "detachDisk", c->gc->latency[GC_L_DETACH], job);
	if (job == NULL)
		return;
	gc_note_mutation(c->sim, vm, "detachDisk");
	if (victim != vm)
		gc_note_mutation(c->sim, victim, "detachDisk of its boot disk");
}

void gc_auto_delete(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);
	const char *device = gc_query(c, "deviceName");
	int on = gc_query_bool(c, "autoDelete");
	struct gc_job *job;

	if (vm == NULL || on < 0)
		return;
	if (device == NULL || gc_query(c, "autoDelete") == NULL) {
		gc_refuse(c, 400, "required", "Required parameter is missing: %s",
			device == NULL ? "deviceName" : "autoDelete");
		return;
	}
	job = gc_job(GC_J_AUTO_DELETE, vm, NULL, NULL);
	job->device_name = ff_strdup(device);
	job->auto_delete = on == 1;
	job = gc_begin(c, "setDiskAutoDelete", c->gc->latency[GC_L_AUTO_DELETE], job);
	if (job != NULL)
		gc_note_mutation(c->sim, vm, "setDiskAutoDelete");
}
