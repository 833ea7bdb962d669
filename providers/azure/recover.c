/*
 * A run whose journal is lost. The VM's tags say which run has claimed it and whether it ran; the copy's name is made
 * of both. The VM has its own disk or the mended copy, never none: all that is to be done is to take an unused copy off
 * the rescue VM and delete it, to start the VM and to release it.
 */
#include "azure.h"

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
	if (!ff_streq(ff_json_str(vm->facts, "claim/run"), run)) {
		ff_fail(err, FF_E_CONFLICT, "it does not bear the tags of that run");
		return NULL;
	}
	return json_deep_copy(vm->facts);
}

/* Is it this run's, for this VM? */
static bool is_ours(const struct ff_member *m, const json_t *disk)
{
	const json_t *tags = ff_json_at(disk, "tags");
	ff_auto_free char *vm = azure_vm_tag(m);

	return ff_streq(azure_tag(tags, AZ_TAG_RUN), m->run) && ff_strcaseeq(azure_tag(tags, AZ_TAG_VM), vm);
}

AZ_LOOKED_FN(azure_drop_copy_looked)
{
	azure_auto_reply reply = {0};
	const char *holder;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	holder = ff_json_str(reply.body, "managedBy");
	if (reply.class == FF_E_GONE) {
		azure_done(m, v);
	} else if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
	} else if (!is_ours(m, reply.body)) {
		azure_failed(v, FF_E_CONFLICT, "a disk of the copy's name is not tagged as this run's: it stays");
	} else if (ff_strcaseeq(holder, m->vm->id)) { /* mended, and the OS disk */
		azure_done(m, v);
	} else if (!azure_state_terminal(ff_json_str(reply.body, "properties/provisioningState"))) {
		azure_wait(v, BUSY_WAIT_MS, "another change of the copy is under way");
	} else {
		v->meaning = FF_M_NOT_DONE;
		ff_json_set_new(azure_patch(v), "holder", holder ? json_string(holder) : json_null());
	}
}

static json_t *detach_body(const char *disk_id)
{
	json_t *body = json_object(), *detach = json_array(), *entry = json_object();

	ff_json_set_str(entry, "diskId", disk_id);
	json_array_append_new(detach, entry);
	ff_json_set_new(body, "dataDisksToDetach", detach);
	return body;
}

/* Off whoever has it, and then away: which of the two is due is what the look before has seen. */
AZ_ACT_FN(azure_drop_copy)
{
	const char *holder = ff_json_str(m->facts, "holder");
	ff_auto_free char *id = azure_copy_id(m);

	if (holder == NULL)
		return azure_delete_copy(cloud, m, n, ask, err);
	if (id == NULL || azure_ask_resource(cloud, ask, "POST", holder, "/attachDetachDataDisks?", AZ_VM_API, err) < 0)
		return -1;
	azure_ask_json(ask, detach_body(id), NULL);
	azure_cost(cloud, ask, AZ_COST_UPDATE_VM, m->vm->region, holder);
	return 0;
}

AZ_ACTED_FN(azure_drop_copy_acted)
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
