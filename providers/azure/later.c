/*
 * What comes after a repair: the replaced disk is marked, goes back in (rollback), or is deleted (cleanup).
 *
 * A repair never writes the original disk. Once the VM stands on the copy the original gets the run's tag, since only
 * what carries it may ever be deleted; a rollback does the same with the copy that it replaces. The deletion reads the
 * disk just before, and Azure itself refuses to delete what is attached.
 */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

#define BUSY_WAIT_MS 5000
#define CONFIRM_MS   5000
#define TAGS_MAX     50

static const char *replaced(const struct ff_member *m)
{
	const char *known = ff_json_str(m->facts, "replaced"); /* a lost run's, which was found on the copy */

	return known ? known : ff_json_str(m->facts, "os_disk/managedDisk/id");
}

static int ask_disk(const struct ff_cloud *cloud, const struct ff_member *m, const char *method, enum azure_cost cost,
	const char *id, struct ff_ask *ask, struct ff_err *err)
{
	if (azure_ask_resource(cloud, ask, method, id, "?", AZ_DISK_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, cost, m->vm->region, NULL);
	return 0;
}

/* Is the disk tagged as that run's, for this VM? */
static bool is_marked(const struct ff_member *m, const json_t *disk, const char *run)
{
	const json_t *tags = ff_json_at(disk, "tags");
	ff_auto_free char *vm = azure_vm_tag(m);

	return ff_streq(azure_tag(tags, AZ_TAG_RUN), run) && ff_strcaseeq(azure_tag(tags, AZ_TAG_VM), vm);
}

/* ---------------------------------------------------------------- mark */

bool azure_has_swapped(const struct ff_member *m)
{
	return ff_json_bool(m->facts, "swapped", false);
}

AZ_LOOK_FN(azure_look_replaced)
{
	return ask_disk(cloud, m, "GET", AZ_COST_GET_DISK, replaced(m), ask, err);
}

AZ_LOOKED_FN(azure_mark_looked)
{
	azure_auto_reply reply = {0};
	const char *holder;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	holder = ff_json_str(reply.body, "managedBy");
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
	} else if (is_marked(m, reply.body, m->run)) {
		azure_done(m, v);
		ff_json_set_new(azure_patch(v), "disk_tags", json_null());
	} else if (holder != NULL) {
		azure_wait(v, BUSY_WAIT_MS, "the replaced disk is still attached to '%s'", azure_id_name(holder));
	} else if (!azure_state_terminal(ff_json_str(reply.body, "properties/provisioningState"))) {
		azure_wait(v, BUSY_WAIT_MS, "another change of the replaced disk is under way");
	} else {
		v->meaning = FF_M_NOT_DONE;
		ff_json_set_new(azure_patch(v), "disk_tags", azure_tags_with(ff_json_at(reply.body, "tags"), "", NULL));
	}
}

AZ_ACT_FN(azure_mark)
{
	ff_auto_json json_t *with_run = azure_tags_with(ff_json_at(m->facts, "disk_tags"), AZ_TAG_RUN, m->run);
	ff_auto_free char *vm = azure_vm_tag(m);
	json_t *tags = azure_tags_with(with_run, AZ_TAG_VM, vm), *body;

	(void)n;
	if (json_object_size(tags) > TAGS_MAX) {
		json_decref(tags);
		return ff_fail(err, FF_E_PERMANENT, "the replaced disk has no room for two more tags");
	}
	if (ask_disk(cloud, m, "PATCH", AZ_COST_PUT_DISK, replaced(m), ask, err) < 0) {
		json_decref(tags);
		return -1;
	}
	body = json_object();
	ff_json_set_new(body, "tags", tags);
	azure_ask_json(ask, body, NULL);
	return 0;
}

AZ_ACTED_FN(azure_mark_acted)
{
	azure_auto_reply reply = {0};
	struct ff_ask resource = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_ACT, v);
		return;
	}
	if (ask_disk(cloud, m, "GET", AZ_COST_GET_DISK, replaced(m), &resource, &v->err) == 0)
		azure_accepted(cloud, &reply, answer, wall_ms, resource.url, v);
	ff_ask_release(&resource);
	ff_json_set_new(azure_patch(v), "disk_tags", json_null());
}

/* ---------------------------------------------------------------- rollback */

AZ_LOOK_FN(azure_look_target)
{
	ff_auto_free char *id = azure_target_id(m);

	return ask_disk(cloud, m, "GET", AZ_COST_GET_DISK, id, ask, err);
}

/* Before anything is touched: is the disk that is to come back there, and free? */
AZ_LOOKED_FN(azure_check_looked)
{
	azure_auto_reply reply = {0};
	ff_auto_free char *name = azure_target_name(m);
	const char *holder, *state, *change;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	holder = ff_json_str(reply.body, "managedBy");
	state = ff_json_str(reply.body, "properties/diskState");
	change = ff_json_str(reply.body, "properties/provisioningState");
	if (reply.class == FF_E_GONE)
		azure_failed(v, FF_E_GONE, "its original disk '%s' does not exist any more", name);
	else if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else if (holder != NULL && ff_strcaseeq(holder, m->vm->id))
		azure_failed(v, FF_E_CONFLICT, "it has its original disk '%s' already", name);
	else if (holder != NULL)
		azure_failed(
			v, FF_E_CONFLICT, "its original disk '%s' is attached to '%s'", name, azure_id_name(holder));
	else if (ff_strcaseeq(change, "Deleting")) /* by a cleanup; such a disk would be swapped in for nothing */
		azure_failed(v, FF_E_GONE, "its original disk '%s' is being deleted", name);
	else if (!azure_state_terminal(change))
		azure_wait(v, BUSY_WAIT_MS, "another change of its original disk '%s' is under way", name);
	else if (state != NULL && !ff_strcaseeq(state, "Unattached") && !ff_strcaseeq(state, "Reserved"))
		azure_failed(v, FF_E_CONFLICT, "its original disk '%s' is in state '%.40s'", name, state);
	else
		azure_done(m, v);
}

/* What comes back may be what could not boot: that it runs with it is all that can be asked. */
AZ_LOOKED_FN(azure_confirm_looked)
{
	azure_auto_reply reply = {0};
	char power[32];

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	azure_power(ff_json_at(reply.body, "properties/instanceView"), power);
	if (!azure_is_expected_disk(m, azure_os_disk_id(reply.body)))
		azure_failed(v, FF_E_CONFLICT, "the VM's OS disk is '%s', which this run did not put there",
			azure_id_name(azure_os_disk_id(reply.body)));
	else if (!ff_streq(power, "running"))
		azure_wait(v, CONFIRM_MS, "the VM is %s", *power ? power : "in an unknown power state");
	else
		azure_done(m, v);
}

/* ---------------------------------------------------------------- cleanup */

AZ_LOOK_FN(azure_look_left)
{
	return ask_disk(cloud, m, "GET", AZ_COST_GET_DISK, ff_json_str(m->facts, "left"), ask, err);
}

AZ_LOOKED_FN(azure_delete_left_looked)
{
	azure_auto_reply reply = {0};
	const char *holder, *of = ff_json_str(m->facts, "of"), *name = azure_id_name(ff_json_str(m->facts, "left"));

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class == FF_E_GONE) {
		ff_json_set_bool(azure_patch(v), "deleted", true);
		azure_done(m, v);
		return;
	}
	holder = ff_json_str(reply.body, "managedBy");
	if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else if (holder != NULL)
		azure_failed(v, FF_E_CONFLICT, "disk '%s' is attached to '%s': it stays", name, azure_id_name(holder));
	else if (!is_marked(m, reply.body, of))
		azure_failed(v, FF_E_CONFLICT, "disk '%s' is not tagged as run '%s' has left it: it stays", name, of);
	else if (!azure_state_terminal(ff_json_str(reply.body, "properties/provisioningState")))
		azure_wait(v, BUSY_WAIT_MS, "another change of disk '%s' is under way", name);
	else
		v->meaning = FF_M_NOT_DONE;
}

AZ_ACT_FN(azure_delete_left)
{
	(void)n;
	return ask_disk(cloud, m, "DELETE", AZ_COST_DELETE_DISK, ff_json_str(m->facts, "left"), ask, err);
}

AZ_ACTED_FN(azure_delete_left_acted)
{
	azure_auto_reply reply = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class == FF_E_GONE)
		azure_done(m, v);
	else if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_ACT, v);
	else
		azure_accepted(cloud, &reply, answer, wall_ms, NULL, v);
}

/* ---------------------------------------------------------------- recall */

/* The disk that the run put in: what it took back, or its copy. The caller frees. */
static char *put_in(const struct ff_vm *vm, const char *run, const json_t *past)
{
	struct ff_member then = {.vm = vm, .facts = past, .run = run, .slot = -1};

	return azure_target_id(&then);
}

json_t *azure_recall(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
	bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err)
{
	ff_auto_free char *ours = flow == FF_FLOW_RECOVER ? NULL : put_in(vm, run, past);
	const char *before = ff_json_str(past, "os_disk/managedDisk/id"), *now = vm->disk_id;
	struct azure_id id;
	json_t *facts;

	(void)cloud;
	if (flow == FF_FLOW_RECOVER) {
		return azure_recall_claim(vm, run, err);
	}
	(void)rolled_back; /* a rollback's facts have the same members as a repair's */
	if (ours == NULL || before == NULL || azure_id_parse(before, &id) < 0) {
		ff_fail(err, FF_E_LOCAL, "the run's journal does not tell its disks");
		return NULL;
	}
	azure_id_release(&id);
	if (ff_strcaseeq(now, before)) {
		ff_fail(err, FF_E_CONFLICT, "it has the disk that it had before the run: '%s'", azure_id_name(before));
		return NULL;
	}
	if (!ff_strcaseeq(now, ours)) {
		ff_fail(err, FF_E_CONFLICT, "its OS disk is '%s' now, which the run did not put there",
			azure_id_name(now));
		return NULL;
	}
	if (flow == FF_FLOW_ROLLBACK && *vm->state == '\0') { /* whether to stop and start it is not known either */
		ff_fail(err, FF_E_TRANSIENT, "its power state could not be read: try again");
		return NULL;
	}
	facts = vm->facts ? json_deep_copy(vm->facts) : json_object();
	ff_json_set_str(facts, "of", run);
	ff_json_set_str(facts, flow == FF_FLOW_ROLLBACK ? "target" : "left", before);
	if (left != NULL)
		*left = (struct ff_left){
			.kind = "disk", .name = ff_strdup(azure_id_name(before)), .size_bytes = vm->disk_bytes};
	return facts;
}
