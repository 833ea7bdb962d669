/* Volumes: where they are, and their way from machine to machine. */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const aw_held_names[] = {"available", "attaching", "attached", "detaching", "busy"};

/* ---- attachments and the devices that a rescue VM sees */

/* Nitro links by the NVMe serial, which is the volume's id without its dash; on Xen sdf appears as xvdf. */
static char *link_name(const struct aw_vm *vm, const struct aw_vol *vol, const char *device)
{
	const char *base = strrchr(device, '/');

	base = base != NULL ? base + 1 : device;
	if (!vm->type->xen)
		return ff_printf("disk/by-id/nvme-Amazon_Elastic_Block_Store_vol%s", vol->id + strlen("vol-"));
	return ff_has_prefix(base, "sd") ? ff_printf("xvd%s", base + 2) : ff_strdup(base);
}

static void change_link(struct sim *sim, const struct aws *aws, const struct aw_vol *vol, const struct aw_seen *held,
	enum sim_effect_kind kind)
{
	ff_auto_free char *name = link_name(held->vm, vol, held->device);

	if (vol->image != NULL && vol != held->vm->root)
		sim_effect_link(sim, kind == SIM_LINK ? aws->link_delay_ms : 0, kind, vol->image, held->vm->name, name);
}

static void remember(struct aw_vm *vm, struct aw_vol *vol)
{
	for (size_t i = 0; i < vm->known_count; i++)
		if (vm->known[i] == vol)
			return;
	vm->known = ff_realloc(vm->known, vm->known_count + 1, sizeof(struct aw_vol *));
	vm->known[vm->known_count++] = vol;
}

void aw_hold_at(struct sim *sim, struct aws *aws, struct aw_vol *vol, struct aw_vm *vm, const char *device,
	bool delete_on_termination, enum aw_held state)
{
	const struct aw_seen *before = aw_now(&vol->held);
	struct aw_seen now = {.state = (int)state,
		.vm = vm,
		.delete_on_termination = delete_on_termination,
		.attach_ms = before->vm == vm ? before->attach_ms : sim->now_ms};
	bool was_there = before->state == AW_ATTACHED || before->state == AW_DETACHING || before->state == AW_BUSY;

	snprintf(now.device, sizeof(now.device), "%s", device);
	if (vm != NULL)
		remember(vm, vol);
	if (vm != NULL && ff_streq(device, vm->root_device))
		vm->last_root = vol;
	if (state == AW_ATTACHED && !was_there)
		change_link(sim, aws, vol, &now, SIM_LINK);
	if (state == AW_FREE && was_there)
		change_link(sim, aws, vol, before, SIM_UNLINK);
	aw_past_add(sim, &vol->held, now);
}

void aw_hold(struct sim *sim, struct aws *aws, struct aw_vol *vol, enum aw_held state)
{
	struct aw_seen held = *aw_now(&vol->held);

	aw_hold_at(sim, aws, vol, held.vm, held.device, held.delete_on_termination, state);
	if (held.vm != NULL)
		aw_check_running(sim, held.vm);
}

void aw_release_volume(struct sim *sim, struct aws *aws, struct aw_vol *vol)
{
	struct aw_vm *from = aw_now(&vol->held)->vm;

	aw_hold_at(sim, aws, vol, NULL, "", false, AW_FREE);
	if (from != NULL)
		aw_check_running(sim, from);
}

/* ---- DescribeVolumes */

static const struct aw_seen *seen(const struct aw_call *c, const struct aw_vol *vol)
{
	return aw_past_at(c->sim, &vol->held, c->aws->lag[AW_LAG_VOLUMES]);
}

static const json_t *tags(const struct aw_call *c, const struct aw_vol *vol)
{
	return aw_past_at(c->sim, &vol->tags, c->aws->lag[AW_LAG_TAGS])->tags;
}

const char *aw_vol_status(const struct sim *sim, const struct aw_vol *vol, const struct aw_seen *held)
{
	if (sim->now_ms < vol->ready_ms)
		return "creating";
	return held->vm != NULL ? "in-use" : "available";
}

static const char *const filters[] = {"attachment.instance-id", "attachment.device", "attachment.status",
	"attachment.delete-on-termination", "status", "volume-id", "availability-zone", "encrypted", "size",
	"volume-type", "snapshot-id", "multi-attach-enabled", NULL};

static void attachment_values(const struct aw_seen *held, const char *name, struct ff_strv *out)
{
	if (held->vm == NULL)
		return;
	if (ff_streq(name, "instance-id"))
		ff_strv_add(out, held->vm->id);
	else if (ff_streq(name, "device"))
		ff_strv_add(out, held->device);
	else if (ff_streq(name, "status"))
		ff_strv_add(out, aw_held_names[held->state]);
	else
		ff_strv_add(out, held->delete_on_termination ? "true" : "false");
}

static void values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	const struct aw_vol *vol = item;

	if (aw_tag_values(tags(c, vol), name, out))
		return;
	if (ff_has_prefix(name, "attachment.")) {
		attachment_values(seen(c, vol), name + strlen("attachment."), out);
		return;
	}
	if (ff_streq(name, "status"))
		ff_strv_add(out, aw_vol_status(c->sim, vol, seen(c, vol)));
	else if (ff_streq(name, "volume-id"))
		ff_strv_add(out, vol->id);
	else if (ff_streq(name, "availability-zone"))
		ff_strv_add(out, vol->zone);
	else if (ff_streq(name, "encrypted"))
		ff_strv_add(out, vol->encrypted ? "true" : "false");
	else if (ff_streq(name, "size"))
		ff_strv_addf(out, "%lld", (long long)((vol->size_bytes + ((int64_t)1 << 30) - 1) >> 30));
	else if (ff_streq(name, "volume-type"))
		ff_strv_add(out, vol->type);
	else if (ff_streq(name, "snapshot-id"))
		ff_strv_add(out, vol->snapshot);
	else
		ff_strv_add(out, vol->multi_attach ? "true" : "false");
}

static void attachment_xml(struct aw_call *c, const struct aw_vol *vol, const struct aw_seen *held)
{
	aw_text(c, "volumeId", vol->id);
	aw_text(c, "instanceId", held->vm->id);
	aw_text(c, "device", held->device);
	aw_text(c, "status", aw_held_names[held->state]);
	aw_time(c, "attachTime", held->attach_ms);
	aw_flag(c, "deleteOnTermination", held->delete_on_termination);
}

void aw_volume_members(struct aw_call *c, const struct aw_vol *vol, const struct aw_seen *held, const json_t *its_tags)
{
	aw_text(c, "volumeId", vol->id);
	aw_int(c, "size", (vol->size_bytes + ((int64_t)1 << 30) - 1) >> 30);
	aw_text(c, "snapshotId", vol->snapshot);
	aw_text(c, "availabilityZone", vol->zone);
	aw_text(c, "status", aw_vol_status(c->sim, vol, held));
	aw_time(c, "createTime", vol->created_ms);
	aw_open(c, "attachmentSet");
	if (held->vm != NULL) {
		aw_open(c, "item");
		attachment_xml(c, vol, held);
		aw_close(c, "item");
	}
	aw_close(c, "attachmentSet");
	aw_tag_set(c, its_tags);
	aw_text(c, "volumeType", vol->type);
	if (vol->iops > 0)
		aw_int(c, "iops", vol->iops);
	if (vol->throughput > 0)
		aw_int(c, "throughput", vol->throughput);
	aw_flag(c, "encrypted", vol->encrypted);
	if (vol->kms_key != NULL)
		aw_text(c, "kmsKeyId", vol->kms_key);
	aw_flag(c, "multiAttachEnabled", vol->multi_attach);
	if (vol->managed) {
		aw_open(c, "operator");
		aw_flag(c, "managed", true);
		aw_close(c, "operator");
	}
}

static void volume_xml(struct aw_call *c, const struct aw_vol *vol)
{
	aw_open(c, "item");
	aw_volume_members(c, vol, seen(c, vol), tags(c, vol));
	aw_close(c, "item");
}

static int check_ids(struct aw_call *c, const struct ff_strv *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		if (aw_find_vol(c, ids->items[i]) == NULL)
			return -1;
	return 0;
}

void aw_describe_volumes(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "VolumeId");
	size_t from, max, shown = 0;

	if (aw_page(c, "VolumeId", &from, &max) < 0 || aw_check_filters(c, filters) < 0 || check_ids(c, &ids) < 0)
		goto end;
	aw_begin(c);
	aw_open(c, "volumeSet");
	for (; from < c->aws->vol_count && shown < max; from++) {
		const struct aw_vol *vol = c->aws->vols[from];

		if (vol->gone || (ids.count > 0 && !ff_strv_has(&ids, vol->id)) || !aw_filter(c, vol, values))
			continue;
		volume_xml(c, vol);
		shown++;
	}
	aw_close(c, "volumeSet");
	if (from < c->aws->vol_count)
		aw_next(c, from);
	aw_end(c);
end:
	ff_strv_free(&ids);
}

/* ---- AttachVolume */

/* What EC2 takes as a name on machines with hardware virtualization. */
static bool device_is_valid(const char *device)
{
	const char *p = ff_has_prefix(device, "/dev/") ? device + 5 : device;
	size_t letters;

	if (!ff_has_prefix(p, "sd") && !ff_has_prefix(p, "xvd"))
		return false;
	p += *p == 's' ? 2 : 3;
	letters = strspn(p, "abcdefghijklmnopqrstuvwxyz");
	if (letters < 1 || letters > 2 || (letters == 2 && p[-1] != 'd') || strlen(device) >= AW_DEVICE)
		return false;
	p += letters;
	return *p == '\0' || (*p >= '1' && *p <= '9' && strspn(p, "0123456789") == strlen(p) && strlen(p) <= 2);
}

static int64_t attachments(const struct aw_vm *vm)
{
	int64_t count = 0;

	for (size_t i = 0; i < vm->known_count; i++)
		count += aw_now(&vm->known[i]->held)->vm == vm;
	return count;
}

static int may_attach(struct aw_call *c, const struct aw_vol *vol, const struct aw_vm *vm, const char *device)
{
	if (vol->managed || vm->managed)
		return aw_refuse(c, 400, "UnsupportedOperation",
			"The volume '%s' or the instance '%s' is managed by another service.", vol->id,
			vm->id); /* made up */
	if (c->sim->now_ms < vol->ready_ms)
		return aw_refuse(c, 400, "IncorrectState", "Volume '%s' is in the 'creating' state.", vol->id);
	if (aw_now(&vol->held)->vm != NULL)
		return aw_refuse(c, 400, "VolumeInUse", "%s is already attached to an instance", vol->id);
	if (!ff_streq(vol->zone, vm->zone))
		return aw_refuse(c, 400, "InvalidVolume.ZoneMismatch",
			"The volume '%s' is not in the same availability zone as instance '%s'", vol->id, vm->id);
	if (!aw_is(vm, AW_RUNNING) && !aw_is(vm, AW_STOPPED))
		return aw_refuse(c, 400, "IncorrectState", "Instance '%s' is not 'running'.", vm->id);
	if (vol->marketplace && !aw_is(vm, AW_STOPPED))
		return aw_refuse(c, 400, "IncorrectInstanceState",
			"Cannot attach volume '%s' with Marketplace codes as the instance '%s' is not in the "
			"'stopped' state.",
			vol->id, vm->id);
	if (!device_is_valid(device))
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", device,
			device);
	if (aw_at_device(c->sim, vm, device, 0) != NULL)
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Invalid value '%s' for unixDevice. Attachment point %s is already in use", device, device);
	if (attachments(vm) >= vm->attachments_max)
		return aw_refuse(c, 400, "AttachmentLimitExceeded",
			"You may attach up to %lld devices for this instance type.", (long long)vm->attachments_max);
	return 0;
}

static void attachment_answer(struct aw_call *c, const struct aw_vol *vol, const struct aw_seen *held)
{
	aw_begin(c);
	attachment_xml(c, vol, held);
	aw_end(c);
}

void aw_attach(struct aw_call *c)
{
	const char *vol_id = aw_need(c, "VolumeId"), *vm_id = vol_id != NULL ? aw_need(c, "InstanceId") : NULL;
	const char *device = vm_id != NULL ? aw_need(c, "Device") : NULL;
	struct aw_vol *vol = device != NULL ? aw_find_vol(c, vol_id) : NULL;
	struct aw_vm *vm = vol != NULL ? aw_find_vm(c, vm_id) : NULL;

	if (vm == NULL || may_attach(c, vol, vm, device) < 0)
		return;
	aw_note_vol(c, vol, vm);
	/* whatever it was before: false, as for every volume that is attached by hand */
	aw_hold_at(c->sim, c->aws, vol, vm, device, false, AW_ATTACHING);
	vol->op = aw_begin_job(
		c->sim, c->aws, "attach", AW_L_ATTACH, (struct aw_job){.kind = AW_J_ATTACH, .vm = vm, .vol = vol});
	/* a name whose last user was torn off hangs in "attaching": kubernetes/kubernetes#31891 */
	if (ff_strv_has(&vm->stuck, device))
		vol->op->due_ms = INT64_MAX;
	attachment_answer(c, vol, aw_now(&vol->held));
}

/* ---- DetachVolume */

static int may_detach(struct aw_call *c, const struct aw_vol *vol, const struct aw_seen *held, bool force)
{
	const char *instance = aw_get(c, "InstanceId"), *device = aw_get(c, "Device");

	if (held->vm == NULL)
		return aw_refuse(c, 400, "IncorrectState", "Volume '%s' is in the 'available' state.", vol->id);
	if ((instance != NULL && !ff_streq(instance, held->vm->id)) ||
		(device != NULL && !ff_streq(device, held->device)))
		return aw_refuse(c, 400, "InvalidAttachment.NotFound", "The volume '%s' is not attached to '%s' as %s",
			vol->id, instance != NULL ? instance : held->vm->id, device != NULL ? device : "a device");
	if (ff_streq(held->device, held->vm->root_device) && !aw_is(held->vm, AW_STOPPED) &&
		!aw_is(held->vm, AW_TERMINATED))
		return aw_refuse(c, 400, "IncorrectState", "Unable to detach root volume '%s' from instance '%s'",
			vol->id, held->vm->id);
	if ((held->state == AW_DETACHING || held->state == AW_BUSY) && !force) /* text inferred from 'available' */
		return aw_refuse(c, 400, "IncorrectState", "Volume '%s' is in the '%s' state.", vol->id,
			aw_held_names[held->state]);
	return 0;
}

/* What is under way ends here: an attach leaves the volume free, a detach leaves it attached. */
static void give_up(struct aw_call *c, struct aw_vol *vol)
{
	if (vol->op != NULL)
		sim_op_fail(c->sim, vol->op, 409, "Cancelled", "It was given up.");
}

void aw_detach(struct aw_call *c)
{
	const char *id = aw_need(c, "VolumeId");
	struct aw_vol *vol = id != NULL ? aw_find_vol(c, id) : NULL;
	struct aw_seen held;
	bool force = false;

	if (vol == NULL || aw_bool(c, "Force", &force) < 0)
		return;
	held = *aw_now(&vol->held);
	if (may_detach(c, vol, &held, force) < 0)
		return;
	aw_note_vol(c, vol, held.vm->rescue ? NULL : held.vm);
	if (force && held.state != AW_ATTACHING)
		ff_strv_add(&held.vm->stuck, held.device);
	give_up(c, vol);
	if (held.state != AW_ATTACHING) {
		aw_hold(c->sim, c->aws, vol, AW_DETACHING);
		vol->op = aw_begin_job(c->sim, c->aws, "detach", AW_L_DETACH,
			(struct aw_job){.kind = AW_J_DETACH, .vm = held.vm, .vol = vol, .force = force});
	}
	held.state = AW_DETACHING;
	attachment_answer(c, vol, &held);
}
