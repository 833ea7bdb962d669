/*
 * Attach to and detach from the rescue VM: many disks, coming and going, in one attachDetachDataDisks, since the rescue
 * VM's update bucket (12, then 4 a minute) is what a fleet waits for.
 *
 * The API may not be enabled for a subscription or region. Then the VM's whole list of data disks is patched instead,
 * with If-Match; for that, rescue_facts keep the list of the last look: "attach_by_patch", "vm_disks", "vm_etag". A
 * list that has become old is refused with 412, and looked at again.
 */
#include "attach.h"

#include <string.h>

#define BUSY_WAIT_MS 5000

const char *azure_holder(const struct ff_member *m)
{
	return m->step == AZ_FREE_COPY ? ff_json_str(m->facts, "holder") : m->rescue ? m->rescue->id : NULL;
}

const json_t *azure_holder_facts(const struct ff_member *m)
{
	return m->step == AZ_FREE_COPY ? m->facts : m->rescue_facts;
}

const char *azure_attach_group(const struct ff_member *m)
{
	return azure_holder(m);
}

static const char *region_of(const struct ff_member *m)
{
	return m->rescue ? m->rescue->region : m->vm->region;
}

static bool by_patch(const struct ff_member *m)
{
	return ff_json_bool(azure_holder_facts(m), "attach_by_patch", false);
}

/* The customer's key of a disk must be named when it is attached. */
static json_t *encryption_set(const struct ff_member *m)
{
	const char *id = ff_json_str(m->facts, "disk/diskEncryptionSetId");
	json_t *set;

	if (id == NULL)
		return NULL;
	set = json_object();
	ff_json_set_str(set, "id", id);
	return set;
}

/* ---------------------------------------------------------------- asking */

static json_t *request_body(const struct ff_member *m, size_t n)
{
	json_t *body = json_object(), *attach = json_array(), *detach = json_array();

	for (size_t i = 0; i < n; i++) {
		ff_auto_free char *id = azure_copy_id(&m[i]);
		json_t *entry = json_object();

		ff_json_set_str(entry, "diskId", id);
		if (m[i].step == AZ_ATTACH) {
			ff_json_set_int(entry, "lun", m[i].slot);
			ff_json_set_str(entry, "caching", "None");
			ff_json_set_str(entry, "deleteOption", "Detach");
			ff_json_set_new(entry, "diskEncryptionSet", encryption_set(&m[i]));
		}
		json_array_append_new(m[i].step == AZ_ATTACH ? attach : detach, entry);
	}
	if (json_array_size(attach) > 0)
		ff_json_set_new(body, "dataDisksToAttach", json_incref(attach));
	if (json_array_size(detach) > 0)
		ff_json_set_new(body, "dataDisksToDetach", json_incref(detach));
	json_decref(attach);
	json_decref(detach);
	return body;
}

int azure_entry_of(const json_t *disks, const char *disk_id)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (disks, i, entry)
		if (ff_strcaseeq(ff_json_str(entry, "managedDisk/id"), disk_id))
			return (int)i;
	return -1;
}

static json_t *new_entry(const struct ff_member *m, const char *disk_id)
{
	json_t *entry = json_object(), *managed = json_object();

	ff_json_set_str(managed, "id", disk_id);
	ff_json_set_new(managed, "diskEncryptionSet", encryption_set(m));
	ff_json_set_int(entry, "lun", m->slot);
	ff_json_set_str(entry, "name", azure_id_name(disk_id));
	ff_json_set_str(entry, "createOption", "Attach");
	ff_json_set_str(entry, "caching", "None");
	ff_json_set_new(entry, "managedDisk", managed);
	ff_json_set_str(entry, "deleteOption", "Detach");
	return entry;
}

/* Others' entries go back as they came, without what is read-only; not a disk on its way out: sent again when it has
 * gone, it would be attached again, and the etag does not tell, being that of the change which takes it out. */
static json_t *staying(const json_t *disks)
{
	json_t *list = json_array(), *entry;
	size_t i;

	json_array_foreach ((json_t *)disks, i, entry) {
		json_t *copy;

		if (ff_json_bool(entry, "toBeDetached", false))
			continue;
		copy = json_deep_copy(entry);
		json_object_del(copy, "diskIOPSReadWrite");
		json_object_del(copy, "diskMBpsReadWrite");
		json_array_append_new(list, copy);
	}
	return list;
}

/* The FULL list: an entry left out is detached. */
static json_t *full_list(const struct ff_member *m, size_t n)
{
	json_t *list = staying(ff_json_at(azure_holder_facts(m), "vm_disks"));

	for (size_t i = 0; i < n; i++) {
		ff_auto_free char *id = azure_copy_id(&m[i]);
		int at = azure_entry_of(list, id);

		if (m[i].step == AZ_ATTACH && at < 0)
			json_array_append_new(list, new_entry(&m[i], id));
		else if (m[i].step != AZ_ATTACH && at >= 0)
			json_array_remove(list, (size_t)at);
	}
	return list;
}

static int ask_patch(
	const struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	json_t *body, *properties, *storage;

	if (azure_ask_resource(cloud, ask, "PATCH", azure_holder(m), "?", AZ_VM_API, err) < 0)
		return -1;
	body = json_object();
	properties = json_object();
	storage = json_object();
	ff_json_set_new(storage, "dataDisks", full_list(m, n));
	ff_json_set_new(properties, "storageProfile", storage);
	ff_json_set_new(body, "properties", properties);
	azure_ask_json(ask, body, ff_json_str(azure_holder_facts(m), "vm_etag"));
	azure_cost(cloud, ask, AZ_COST_PATCH_VM, region_of(m), azure_holder(m));
	return 0;
}

AZ_ACT_FN(azure_attach_detach)
{
	bool list_known = json_is_array(ff_json_at(azure_holder_facts(m), "vm_disks")) &&
			  ff_json_str(azure_holder_facts(m), "vm_etag") != NULL;

	if (azure_holder(m) == NULL)
		return ff_fail(err, FF_E_BUG, "no rescue VM is assigned");
	for (size_t i = 0; i < n; i++) {
		ff_auto_free char *id = azure_copy_id(&m[i]);

		if (n > 1 && ff_json_bool(m[i].facts, "alone", false))
			return ff_fail(
				err, FF_E_CONFLICT, "the disk of '%s' was refused together with others", m[i].vm->name);
		if (id == NULL || (m[i].step == AZ_ATTACH && (m[i].slot < 0 || m[i].slot >= FF_SLOTS_MAX)))
			return ff_fail(err, FF_E_BUG, "no slot is assigned to '%s'", m[i].vm->name);
	}
	if (by_patch(m) && list_known) /* else it is refused once more, and then looked at */
		return ask_patch(cloud, m, n, ask, err);
	if (azure_ask_resource(cloud, ask, "POST", azure_holder(m), "/attachDetachDataDisks?", AZ_VM_API, err) < 0)
		return -1;
	azure_ask_json(ask, request_body(m, n), NULL);
	azure_cost(cloud, ask, AZ_COST_UPDATE_VM, region_of(m), azure_holder(m));
	return 0;
}

/* ---------------------------------------------------------------- looking */

static int look_rescue(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (azure_holder(m) == NULL)
		return ff_fail(err, FF_E_BUG, "no rescue VM is assigned");
	if (azure_ask_resource(cloud, ask, "GET", azure_holder(m), "?", AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, AZ_COST_GET_VM, region_of(m), azure_holder(m));
	return 0;
}

AZ_LOOK_FN(azure_look_attach)
{
	return look_rescue(cloud, m, ask, err);
}

/* The disk itself says when it is free; with the fallback, the list that is to be patched is needed. And a rescue VM
 * that the dead run has asked for something says when that is over. */
AZ_LOOK_FN(azure_look_detach)
{
	bool holder = by_patch(m) || ff_json_bool(m->facts, "holder_busy", false);

	return holder && azure_holder(m) != NULL ? look_rescue(cloud, m, ask, err)
						 : azure_look_copy(cloud, m, ask, err);
}

/* Who holds that LUN; NULL: nobody. */
static const char *holder_of(const json_t *disks, int lun)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (disks, i, entry)
		if (ff_json_int(entry, "lun", -1) == lun)
			return ff_json_str(entry, "name") ? ff_json_str(entry, "name") : "another disk";
	return NULL;
}

/* The rescue VM as it is now, for an attach or a detach. */
static void rescue_looked(const struct ff_member *m, const json_t *vm, struct ff_verdict *v)
{
	const json_t *disks = ff_json_at(vm, "properties/storageProfile/dataDisks");
	const char *state = ff_json_str(vm, "properties/provisioningState");
	ff_auto_free char *id = azure_copy_id(m);
	int at = azure_entry_of(disks, id);
	const json_t *entry = at >= 0 ? json_array_get(disks, (size_t)at) : NULL;
	bool attach = m->step == AZ_ATTACH;

	if (by_patch(m))
		azure_take_list(m, vm, v);
	if (!azure_state_terminal(state) || ff_json_bool(entry, "toBeDetached", false))
		azure_wait(v, BUSY_WAIT_MS, "rescue VM '%s' is being changed", azure_id_name(azure_holder(m)));
	else if (by_patch(m) && azure_etag(vm) == NULL)
		azure_failed(v, FF_E_PERMANENT,
			"rescue VM '%s' has no etag: its list of disks cannot be changed safely",
			azure_id_name(azure_holder(m)));
	else if (!attach && entry == NULL)
		azure_is_detached(m, v);
	else if (attach && entry != NULL && ff_json_int(entry, "lun", -1) == m->slot)
		azure_is_attached(m, v);
	else if (attach && entry != NULL)
		azure_failed(
			v, FF_E_CONFLICT, "the copy is on rescue VM '%s', but not at LUN %d", m->rescue->name, m->slot);
	else if (attach && holder_of(disks, m->slot) != NULL)
		azure_failed(v, FF_E_CONFLICT, "LUN %d of rescue VM '%s' is taken by '%s'", m->slot, m->rescue->name,
			holder_of(disks, m->slot));
	else
		v->meaning = FF_M_NOT_DONE;
}

AZ_LOOKED_FN(azure_attach_looked)
{
	azure_auto_reply reply = {0};

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else
		rescue_looked(m, reply.body, v);
}

static void copy_looked(const struct ff_member *m, const json_t *disk, struct ff_verdict *v)
{
	const char *holder = ff_json_str(disk, "managedBy"), *state = ff_json_str(disk, "properties/diskState");

	if (holder == NULL && (state == NULL || ff_strcaseeq(state, "Unattached")))
		azure_is_detached(m, v);
	else if (holder == NULL)
		azure_wait(v, BUSY_WAIT_MS, "the copy's state is %s", state);
	else if (m->rescue != NULL && ff_strcaseeq(holder, m->rescue->id))
		v->meaning = FF_M_NOT_DONE;
	else if (ff_strcaseeq(holder, m->vm->id))
		azure_is_detached(m, v); /* it is the VM's OS disk by now */
	else
		azure_failed(v, FF_E_CONFLICT, "the copy is attached to '%s', where this run did not put it",
			azure_id_name(holder));
}

/* What was looked at shows in the answer: the fallback may have been chosen meanwhile. */
AZ_LOOKED_FN(azure_detach_looked)
{
	azure_auto_reply reply = {0};

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class == FF_E_GONE) /* no copy, or no rescue VM: nothing is attached */
		azure_is_detached(m, v);
	else if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else if (ff_json_at(reply.body, "properties/storageProfile") != NULL)
		rescue_looked(m, reply.body, v);
	else if (m->step == AZ_FREE_COPY)
		azure_free_copy_looked(m, reply.body, v);
	else
		copy_looked(m, reply.body, v);
}
