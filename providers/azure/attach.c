/*
 * Attach to and detach from the rescue VM: many disks, coming and going, in one attachDetachDataDisks, since the rescue
 * VM's update bucket (12, then 4 a minute) is what a fleet waits for.
 *
 * The API may not be enabled for a subscription or region. Then the VM's whole list of data disks is patched instead,
 * with If-Match; for that, rescue_facts keep the list of the last look: "attach_by_patch", "vm_disks", "vm_etag". A
 * list that has become old is refused with 412, and looked at again.
 */
#include "azure.h"

#include <string.h>

#define BUSY_WAIT_MS 5000

const char *azure_attach_group(const struct ff_member *m)
{
	return m->rescue ? m->rescue->id : NULL;
}

static bool by_patch(const struct ff_member *m)
{
	return ff_json_bool(m->rescue_facts, "attach_by_patch", false);
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

/* The index of the entry with that disk in a list of data disks; -1: it is not there. */
static int entry_of(const json_t *disks, const char *disk_id)
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

/* The FULL list: an entry left out is detached. Others' entries go back as they came, without what is read-only. */
static json_t *full_list(const struct ff_member *m, size_t n)
{
	json_t *list = json_deep_copy(ff_json_at(m->rescue_facts, "vm_disks")), *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		json_object_del(entry, "diskIOPSReadWrite");
		json_object_del(entry, "diskMBpsReadWrite");
	}
	for (i = 0; i < n; i++) {
		ff_auto_free char *id = azure_copy_id(&m[i]);
		int at = entry_of(list, id);

		if (m[i].step == AZ_ATTACH && at < 0)
			json_array_append_new(list, new_entry(&m[i], id));
		else if (m[i].step == AZ_DETACH && at >= 0)
			json_array_remove(list, (size_t)at);
	}
	return list;
}

static int ask_patch(
	const struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	json_t *body, *properties, *storage;

	if (azure_ask_resource(cloud, ask, "PATCH", m->rescue->id, "?", AZ_VM_API, err) < 0)
		return -1;
	body = json_object();
	properties = json_object();
	storage = json_object();
	ff_json_set_new(storage, "dataDisks", full_list(m, n));
	ff_json_set_new(properties, "storageProfile", storage);
	ff_json_set_new(body, "properties", properties);
	azure_ask_json(ask, body, ff_json_str(m->rescue_facts, "vm_etag"));
	azure_cost(cloud, ask, AZ_COST_PATCH_VM, m->rescue->region, m->rescue->id);
	return 0;
}

AZ_ACT_FN(azure_attach_detach)
{
	bool list_known = json_is_array(ff_json_at(m->rescue_facts, "vm_disks")) &&
			  ff_json_str(m->rescue_facts, "vm_etag") != NULL;

	if (m->rescue == NULL)
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
	if (azure_ask_resource(cloud, ask, "POST", m->rescue->id, "/attachDetachDataDisks?", AZ_VM_API, err) < 0)
		return -1;
	azure_ask_json(ask, request_body(m, n), NULL);
	azure_cost(cloud, ask, AZ_COST_UPDATE_VM, m->rescue->region, m->rescue->id);
	return 0;
}

/* ---------------------------------------------------------------- what came of it */

static const json_t *disks_of(const json_t *result)
{
	const json_t *disks = ff_json_at(result, "properties/storageProfile/dataDisks"); /* a VM */

	return disks ? disks : ff_json_at(result, "dataDisks"); /* a StorageProfile */
}

static void is_attached(const struct ff_member *m, struct ff_verdict *v)
{
	azure_done(m, v);
	ff_json_set_bool(azure_patch(v), "attached", true);
	ff_json_set_new(azure_patch(v), "alone", json_null());
}

static void is_detached(const struct ff_member *m, struct ff_verdict *v)
{
	azure_done(m, v);
	ff_json_set_new(azure_patch(v), "attached", json_null());
	ff_json_set_new(azure_patch(v), "alone", json_null());
}

/* Does the VM's list show the effect? An operation that succeeded and shows nothing else is believed. */
static void ended_well(const struct ff_member *m, const json_t *disks, struct ff_verdict *v)
{
	ff_auto_free char *id = azure_copy_id(m);
	int at = entry_of(disks, id);
	bool there = at >= 0 && !ff_json_bool(json_array_get(disks, (size_t)at), "toBeDetached", false);
	bool believed = !json_is_array(disks);

	if (m->step == AZ_DETACH && (believed || !there)) {
		is_detached(m, v);
	} else if (m->step == AZ_ATTACH &&
		   (believed || (there && ff_json_int(json_array_get(disks, (size_t)at), "lun", -1) == m->slot))) {
		is_attached(m, v);
	} else {
		v->meaning = FF_M_LOOK;
		ff_fail(&v->err, FF_E_CONFLICT, "the operation succeeded, but the rescue VM's disks do not show it");
	}
}

/* Does the error name this member's disk? */
static bool is_culprit(const struct ff_member *m, const struct azure_reply *reply)
{
	ff_auto_free char *name = azure_copy_name(m), *text = NULL;
	const json_t *error = ff_json_at(reply->body, "error");

	text = ff_json_text(error ? error : reply->body ? reply->body : json_null());
	return ff_contains_nocase(text, name);
}

/* One disk alone: what is refused because it is so already shows when it is looked at. */
static void refused_alone(const struct ff_member *m, const struct azure_reply *reply, struct ff_verdict *v)
{
	bool already = ff_contains_nocase(reply->err.text, "already");

	azure_unhappy(reply, AZ_ACT, v);
	if (v->meaning == FF_M_FAILED && reply->class != FF_E_DENIED && (m->step == AZ_DETACH || already))
		v->meaning = FF_M_LOOK;
}

/*
 * Several were refused with one error. Whether Azure does part of such a request is not known. Named culprits answer
 * for themselves; the others go again. With none named: each alone.
 */
static void refused_together(const struct ff_member *m, size_t n, const struct azure_reply *reply,
	enum azure_asked asked, struct ff_verdict *v)
{
	size_t culprits = 0;

	for (size_t i = 0; i < n; i++)
		culprits += is_culprit(&m[i], reply);
	for (size_t i = 0; i < n; i++) {
		if (culprits > 0 && culprits < n && is_culprit(&m[i], reply)) {
			refused_alone(&m[i], reply, &v[i]);
			continue;
		}
		v[i].err = reply->err;
		if (asked == AZ_POLL) { /* something may have been done */
			v[i].meaning = FF_M_LOOK;
			if (culprits == 0 || culprits == n)
				ff_json_set_bool(azure_patch(&v[i]), "alone", true);
		} else if (culprits > 0 && culprits < n) {
			v[i].meaning = FF_M_WAIT;
			v[i].wait_ms = 1;
		} else {
			v[i].meaning = FF_M_SPLIT;
		}
	}
}

void azure_attach_ended(const struct ff_member *m, size_t n, const struct azure_reply *reply, const json_t *result,
	enum azure_asked asked, struct ff_verdict *v)
{
	bool theirs = reply->class == FF_E_PERMANENT || reply->class == FF_E_GONE || reply->class == FF_E_DENIED ||
		      reply->class == FF_E_CONFLICT;

	if (reply->class != FF_E_NONE && n > 1 && theirs && reply->status != 412 && !reply->unknown) {
		refused_together(m, n, reply, asked, v);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (reply->class == FF_E_NONE)
			ended_well(&m[i], disks_of(result), &v[i]);
		else
			refused_alone(&m[i], reply, &v[i]);
	}
}

/* The list and etag of an answer that holds the rescue VM, unless they are known. */
static void take_list(const struct ff_member *m, const json_t *vm, struct ff_verdict *v)
{
	const char *etag = azure_etag(vm);
	const json_t *disks = ff_json_at(vm, "properties/storageProfile/dataDisks");

	if (etag == NULL || !json_is_array(disks) || ff_streq(etag, ff_json_str(m->rescue_facts, "vm_etag")))
		return;
	v->rescue_facts = json_object();
	ff_json_set_str(v->rescue_facts, "vm_etag", etag);
	ff_json_set_new(v->rescue_facts, "vm_disks", json_deep_copy(disks));
}

static bool api_is_off(const struct azure_reply *reply)
{
	return reply->class != FF_E_NONE && !reply->unknown && ff_contains_nocase(reply->err.text, "not enabled") &&
	       ff_contains_nocase(reply->err.text, "attach detach data disks API");
}

/* azure-rest-api-specs#27476: then the list is patched, after a look at it. */
static void fall_back(size_t n, const struct azure_reply *reply, struct ff_verdict *v)
{
	v[0].rescue_facts = json_object();
	ff_json_set_bool(v[0].rescue_facts, "attach_by_patch", true);
	for (size_t i = 0; i < n; i++) {
		v[i].meaning = FF_M_LOOK;
		v[i].err = reply->err;
	}
}

AZ_ACTED_FN(azure_attach_detach_acted)
{
	azure_auto_reply reply = {0};
	struct ff_ask resource = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (api_is_off(&reply)) {
		fall_back(n, &reply, v);
		return;
	}
	if (reply.class != FF_E_NONE) {
		azure_attach_ended(m, n, &reply, NULL, AZ_ACT, v);
		return;
	}
	take_list(m, reply.body, &v[0]);
	/* only a PATCH answers with the VM, whose provisioningState then tells when there is no header to poll */
	if (ff_json_at(reply.body, "properties/storageProfile") != NULL &&
		azure_ask_resource(cloud, &resource, "GET", m->rescue->id, "?", AZ_VM_API, NULL) < 0)
		resource = (struct ff_ask){0};
	for (size_t i = 0; i < n; i++) {
		azure_accepted(cloud, &reply, answer, wall_ms, resource.url, &v[i]);
		if (m[i].step == AZ_ATTACH)
			ff_json_set_bool(azure_patch(&v[i]), "attached", true); /* from now on it may be */
		if (v[i].meaning == FF_M_DONE)
			ended_well(&m[i], disks_of(reply.body), &v[i]);
	}
	ff_ask_release(&resource);
}

/* ---------------------------------------------------------------- looking */

static int look_rescue(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (m->rescue == NULL)
		return ff_fail(err, FF_E_BUG, "no rescue VM is assigned");
	if (azure_ask_resource(cloud, ask, "GET", m->rescue->id, "?", AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, AZ_COST_GET_VM, m->rescue->region, m->rescue->id);
	return 0;
}

AZ_LOOK_FN(azure_look_attach)
{
	return look_rescue(cloud, m, ask, err);
}

/* The disk itself says when it is free; with the fallback, the list that is to be patched is needed. */
AZ_LOOK_FN(azure_look_detach)
{
	return by_patch(m) && m->rescue != NULL ? look_rescue(cloud, m, ask, err) : azure_look_copy(cloud, m, ask, err);
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
	int at = entry_of(disks, id);
	const json_t *entry = at >= 0 ? json_array_get(disks, (size_t)at) : NULL;
	bool attach = m->step == AZ_ATTACH;

	if (by_patch(m))
		take_list(m, vm, v);
	if (!azure_state_terminal(state) || ff_json_bool(entry, "toBeDetached", false))
		azure_wait(v, BUSY_WAIT_MS, "rescue VM '%s' is being changed", m->rescue->name);
	else if (by_patch(m) && azure_etag(vm) == NULL)
		azure_failed(v, FF_E_PERMANENT,
			"rescue VM '%s' has no etag: its list of disks cannot be changed safely", m->rescue->name);
	else if (!attach && entry == NULL)
		is_detached(m, v);
	else if (attach && entry != NULL && ff_json_int(entry, "lun", -1) == m->slot)
		is_attached(m, v);
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
	azure_begin(&reply, wall_ms, answer, v, 1);
	if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else
		rescue_looked(m, reply.body, v);
}

static void copy_looked(const struct ff_member *m, const json_t *disk, struct ff_verdict *v)
{
	const char *holder = ff_json_str(disk, "managedBy"), *state = ff_json_str(disk, "properties/diskState");

	if (holder == NULL && (state == NULL || ff_strcaseeq(state, "Unattached")))
		is_detached(m, v);
	else if (holder == NULL)
		azure_wait(v, BUSY_WAIT_MS, "the copy's state is %s", state);
	else if (m->rescue != NULL && ff_strcaseeq(holder, m->rescue->id))
		v->meaning = FF_M_NOT_DONE;
	else if (ff_strcaseeq(holder, m->vm->id))
		is_detached(m, v); /* it is the VM's OS disk by now */
	else
		azure_failed(v, FF_E_CONFLICT, "the copy is attached to '%s', where this run did not put it",
			azure_id_name(holder));
}

/* What was looked at shows in the answer: the fallback may have been chosen meanwhile. */
AZ_LOOKED_FN(azure_detach_looked)
{
	azure_auto_reply reply = {0};

	(void)cloud;
	azure_begin(&reply, wall_ms, answer, v, 1);
	if (reply.class == FF_E_GONE) /* no copy, or no rescue VM: nothing is attached */
		is_detached(m, v);
	else if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else if (ff_json_at(reply.body, "properties/storageProfile") != NULL)
		rescue_looked(m, reply.body, v);
	else
		copy_looked(m, reply.body, v);
}
