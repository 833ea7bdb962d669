/*
 * A run whose journal is lost. The VM's tags say which run has claimed it and whether it ran; the copy's name is made
 * of both. The VM has its own disk or the mended copy, never none: all that is to be done is to wait until nothing
 * changes it any more, to start it, to take an unused copy off the rescue VM and delete it, or else to mark the disk
 * that the copy has replaced, and to release the VM.
 */
#include "attach.h"

#include <stdlib.h>

#define BUSY_WAIT_MS 5000

void azure_read_claim(struct ff_vm *vm)
{
	const char *run = azure_tag(vm->tags, AZ_TAG_RUN), *was = azure_tag(vm->tags, AZ_TAG_WAS);
	json_t *claim;

	if (run == NULL || *run == '\0')
		return;
	claim = json_object();
	ff_json_set_str(claim, "run", run);
	ff_json_set_str(claim, "was", ff_streq(was, "stopped") ? "stopped" : "running");
	ff_json_set_new(vm->facts, "claim", claim);
}

json_t *azure_recall_claim(const struct ff_vm *vm, const char *run, struct ff_err *err)
{
	json_t *facts;

	if (!ff_streq(ff_json_str(vm->facts, "claim/run"), run)) {
		ff_fail(err, FF_E_CONFLICT, "it does not bear the tags of that run");
		return NULL;
	}
	facts = json_deep_copy(vm->facts);
	ff_json_set_bool(
		facts, "copied", true); /* until it was looked for: the words of `where` are for the worst case */
	ff_json_set_bool(facts, "copy_unseen", true);
	return facts;
}

/* ---------------------------------------------------------------- settle */

/* The dead run's last request may be carried out still: which disk the VM keeps shows when that has ended. Before it
 * the VM is not started, nor is the copy touched, which may be on its way in. */
AZ_LOOKED_FN(azure_settle_looked)
{
	azure_auto_reply reply = {0};
	const char *state;
	json_t *os_disk;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	state = ff_json_str(reply.body, "properties/provisioningState");
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
	} else if (!azure_state_terminal(state)) {
		azure_wait(v, BUSY_WAIT_MS, "a change of the VM is under way, its provisioning state is %s", state);
	} else {
		azure_done(m, v);
		os_disk = json_object_get(m->facts, "os_disk");
		os_disk = json_is_object(os_disk) ? json_copy(os_disk) : json_object();
		ff_json_set_new(os_disk, "managedDisk", json_pack("{s:s*}", "id", azure_os_disk_id(reply.body)));
		ff_json_set_new(azure_patch(v), "os_disk", os_disk);
	}
}

/* ---------------------------------------------------------------- the copy */

/* Is it this run's, for this VM? */
static bool is_ours(const struct ff_member *m, const json_t *disk)
{
	const json_t *tags = ff_json_at(disk, "tags");
	ff_auto_free char *vm = azure_vm_tag(m);

	return ff_streq(azure_tag(tags, AZ_TAG_RUN), m->run) && ff_strcaseeq(azure_tag(tags, AZ_TAG_VM), vm);
}

void azure_free_copy_looked(const struct ff_member *m, const json_t *disk, struct ff_verdict *v)
{
	const char *holder = ff_json_str(disk, "managedBy");
	const char *source = ff_json_str(disk, "properties/creationData/sourceResourceId");

	if (!is_ours(m, disk)) { /* it stays, and where: the next row says so */
		azure_done(m, v);
	} else if (ff_strcaseeq(holder, m->vm->id)) { /* mended, and the OS disk: the original is to be marked */
		azure_done(m, v);
		ff_json_set_bool(azure_patch(v), "swapped", source != NULL);
		ff_json_set_str(azure_patch(v), "replaced", source);
	} else if (!azure_state_terminal(ff_json_str(disk, "properties/provisioningState"))) {
		azure_wait(v, BUSY_WAIT_MS, "another change of the copy is under way");
	} else if (holder == NULL) {
		azure_is_detached(m, v);
	} else {
		v->meaning = FF_M_NOT_DONE;
		ff_json_set_str(azure_patch(v), "holder", holder);
	}
}

AZ_LOOKED_FN(azure_drop_copy_looked)
{
	azure_auto_reply reply = {0};

	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class == FF_E_NONE && is_ours(m, reply.body) &&
		ff_strcaseeq(ff_json_str(reply.body, "managedBy"), m->vm->id))
		azure_done(m, v);
	else
		azure_delete_copy_looked(cloud, m, wall_ms, answer, v);
}
