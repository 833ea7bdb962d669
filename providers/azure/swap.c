/*
 * The swap: an OS disk cannot be detached, only replaced. The VM must be stopped: Azure has accepted a swap on a
 * running VM and rebooted it (azure-powershell#4892), so that is checked here. Both name and id change, everything else
 * goes back as it was recorded; diskSizeGB is left out ("cannot be resized down"). If-Match keeps others' changes
 * whole.
 */
#include "azure.h"

#include <string.h>

#define POWER_WAIT_MS 5000

static bool going_back(const struct ff_member *m)
{
	return m->step == AZ_SWAP_BACK;
}

/* ---------------------------------------------------------------- looking */

/* Neither running nor about to. What stands in the way is the verdict. */
static bool is_stopped(const struct ff_member *m, const char *power, struct ff_verdict *v)
{
	ff_auto_free char *name = azure_target_name(m);

	if (ff_streq(power, "stopped") || ff_streq(power, "deallocated"))
		return true;
	if (ff_streq(power, "running") || ff_streq(power, "starting"))
		azure_failed(v, FF_E_CONFLICT,
			going_back(m) ? "the VM was started with the disk '%s', by somebody else"
				      : "the VM was started by somebody else; disk '%s' was not swapped in",
			name);
	else
		azure_wait(
			v, POWER_WAIT_MS, "the VM is %s", *power ? power : "in no power state that azure would tell");
	return false;
}

/* Another run has claimed it since (--take-over), and has a copy of its own. */
static bool taken_over(const struct ff_member *m, const json_t *vm, struct ff_verdict *v)
{
	const json_t *tags = ff_json_at(vm, "tags");
	const char *run = azure_tag(tags, AZ_TAG_RUN), *by = azure_tag(tags, AZ_TAG_BY);
	ff_auto_free char *clean = ff_printable(run ? run : ""), *whose = ff_printable(by ? by : "");

	if (run == NULL || ff_streq(run, m->run))
		return false;
	azure_failed(v, FF_E_CONFLICT, "it was taken over by run '%.64s'%s%.128s", clean, by ? " of " : "", whose);
	return true;
}

static void not_swapped_yet(const struct ff_member *m, const json_t *vm, const char *power, struct ff_verdict *v)
{
	const char *state = ff_json_str(vm, "properties/provisioningState");

	if (!azure_state_terminal(state)) {
		azure_wait(
			v, POWER_WAIT_MS, "another change of the VM is under way, its provisioning state is %s", state);
		return;
	}
	if ((!going_back(m) && taken_over(m, vm, v)) || !is_stopped(m, power, v))
		return;
	v->meaning = FF_M_NOT_DONE;
	ff_json_set_str(azure_patch(v), "power", power);
	ff_json_set_new(azure_patch(v), "etag", azure_etag(vm) ? json_string(azure_etag(vm)) : json_null());
	ff_json_set_new(azure_patch(v), "deallocating", json_null());
}

static void swap_is_done(const struct ff_member *m, struct ff_verdict *v)
{
	static const char *const over[] = {"power", "etag", "deallocating", "swapping"};

	azure_done(m, v);
	for (size_t i = 0; i < FF_COUNT(over); i++)
		ff_json_set_new(azure_patch(v), over[i], json_null());
	ff_json_set_new(azure_patch(v), "swapped", going_back(m) ? json_null() : json_true());
}

/* Which disk the VM has now decides; what the facts say does not. */
static void looked(const struct ff_member *m, const struct azure_reply *reply, struct ff_verdict *v)
{
	const char *now = azure_os_disk_id(reply->body), *original = ff_json_str(m->facts, "os_disk/managedDisk/id");
	const char *state = ff_json_str(reply->body, "properties/provisioningState");
	ff_auto_free char *target = azure_target_id(m);
	const char *wanted = going_back(m) ? original : target, *other = going_back(m) ? target : original;
	char power[32];

	if (reply->class != FF_E_NONE) {
		azure_unhappy(reply, AZ_LOOK, v);
		return;
	}
	azure_power(ff_json_at(reply->body, "properties/instanceView"), power);
	if (ff_strcaseeq(now, wanted) && !azure_state_terminal(state))
		azure_wait(v, POWER_WAIT_MS, "the OS disk is being swapped");
	else if (ff_strcaseeq(now, wanted))
		swap_is_done(m, v);
	else if (ff_strcaseeq(now, other))
		not_swapped_yet(m, reply->body, power, v);
	else
		azure_failed(v, FF_E_CONFLICT, "the VM's OS disk is '%s' now, which this run did not put there",
			azure_id_name(now));
}

AZ_LOOKED_FN(azure_swap_looked)
{
	azure_auto_reply reply = {0};

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	looked(m, &reply, v);
}

AZ_LOOKED_FN(azure_swap_back_looked)
{
	azure_auto_reply reply = {0};

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	looked(m, &reply, v);
}

/* ---------------------------------------------------------------- acting */

static bool must_deallocate(const struct ff_member *m)
{
	return ff_json_bool(m->facts, "deallocate", false) && !ff_streq(ff_json_str(m->facts, "power"), "deallocated");
}

static int ask_deallocate(
	const struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (azure_ask_resource(cloud, ask, "POST", m->vm->id, "/deallocate?", AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, AZ_COST_DELETE_VM, m->vm->region, m->vm->id);
	return 0;
}

static json_t *swap_body(const struct ff_member *m, const char *disk_id, const char *name)
{
	json_t *disk = json_deep_copy(ff_json_at(m->facts, "os_disk"));
	json_t *body = json_object(), *properties = json_object(), *storage = json_object();

	ff_json_set_str(disk, "name", name);
	ff_json_set_str(json_object_get(disk, "managedDisk"), "id", disk_id);
	ff_json_set_new(storage, "osDisk", disk);
	ff_json_set_new(properties, "storageProfile", storage);
	ff_json_set_new(body, "properties", properties);
	return body;
}

static int ask_swap(const struct ff_cloud *cloud, const struct ff_member *m, const char *disk_id, const char *name,
	struct ff_ask *ask, struct ff_err *err)
{
	if (must_deallocate(m))
		return ask_deallocate(cloud, m, ask, err);
	if (disk_id == NULL || ff_json_str(m->facts, "os_disk/createOption") == NULL ||
		ff_json_str(m->facts, "os_disk/managedDisk/id") == NULL)
		return ff_fail(err, FF_E_BUG, "the OS disk's record is incomplete");
	if (azure_ask_resource(cloud, ask, "PATCH", m->vm->id, "?", AZ_VM_API, err) < 0)
		return -1;
	azure_ask_json(ask, swap_body(m, disk_id, name), ff_json_str(m->facts, "etag"));
	azure_cost(cloud, ask, AZ_COST_PATCH_VM, m->vm->region, m->vm->id);
	return 0;
}

AZ_ACT_FN(azure_swap)
{
	ff_auto_free char *id = azure_target_id(m), *name = azure_target_name(m);

	(void)n;
	return ask_swap(cloud, m, id, name, ask, err);
}

AZ_ACT_FN(azure_swap_back)
{
	const char *id = ff_json_str(m->facts, "os_disk/managedDisk/id"), *name = ff_json_str(m->facts, "os_disk/name");

	(void)n;
	return ask_swap(cloud, m, id, name ? name : azure_id_name(id), ask, err);
}

/* "...when the VM '..' is currently allocated. Please deallocate and try again...": once, where that may be done. */
void azure_swap_refused(
	const struct ff_cloud *cloud, const struct ff_member *m, const struct azure_reply *reply, struct ff_verdict *v)
{
	bool wants = ff_contains_nocase(reply->err.text, "deallocat") && !ff_json_bool(m->facts, "deallocate", false);

	azure_unhappy(reply, AZ_ACT, v);
	if (!wants || (v->meaning != FF_M_FAILED && reply->class != FF_E_CONFLICT))
		return;
	if (ff_json_bool(m->facts, "dynamic_ip", false) && !cloud->allow_deallocate) {
		azure_failed(v, FF_E_DENIED,
			"the swap needs the VM deallocated, which may lose its dynamic public address: allow it with "
			"--allow-deallocate (%.300s)",
			reply->err.text);
		return;
	}
	v->meaning = FF_M_LOOK;
	ff_json_set_bool(azure_patch(v), "deallocate", true);
}

AZ_ACTED_FN(azure_swap_acted)
{
	azure_auto_reply reply = {0};
	struct ff_ask resource = {0};
	bool deallocation = must_deallocate(m);

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class != FF_E_NONE) {
		azure_swap_refused(cloud, m, &reply, v);
		return;
	}
	if (!deallocation && azure_ask_resource(cloud, &resource, "GET", m->vm->id, "?", AZ_VM_API, NULL) < 0)
		resource = (struct ff_ask){0};
	azure_accepted(cloud, &reply, answer, wall_ms, resource.url, v);
	ff_ask_release(&resource);
	if (deallocation) {
		ff_json_set_bool(azure_patch(v), "deallocating", true);
		if (v->meaning == FF_M_DONE) /* only the way is free */
			v->meaning = FF_M_LOOK;
	} else if (!going_back(m)) {
		ff_json_set_bool(azure_patch(v), "swapping", true); /* from now on it may be the OS disk */
	}
}
