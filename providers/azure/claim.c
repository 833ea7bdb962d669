/*
 * Claim and release: the tag that says which run is at work on the VM. Written with If-Match, so that two runs cannot
 * both believe that they have it. The whole tag map is sent: whether PATCH merges tags or replaces them is not known.
 */
#include "azure.h"

#include <string.h>

#define AGENT_LOOK_MS 10000
#define CLAIM_ENDS_MS 60000 /* from the look before a claim to its end, with what clocks differ by */

AZ_LOOK_FN(azure_look_vm)
{
	if (azure_ask_resource(cloud, ask, "GET", m->vm->id, "?$expand=instanceView&", AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, AZ_COST_GET_VM, m->vm->region, m->vm->id);
	return 0;
}

static int patch_tags(
	const struct ff_cloud *cloud, const struct ff_member *m, json_t *tags, struct ff_ask *ask, struct ff_err *err)
{
	json_t *body;

	if (azure_ask_resource(cloud, ask, "PATCH", m->vm->id, "?", AZ_VM_API, err) < 0) {
		json_decref(tags);
		return -1;
	}
	body = json_object();
	ff_json_set_new(body, "tags", tags);
	azure_ask_json(ask, body, ff_json_str(m->facts, "etag"));
	azure_cost(cloud, ask, AZ_COST_PATCH_VM, m->vm->region, m->vm->id);
	return 0;
}

/* Fresh tags and etag, for the act that follows at once. */
static void take_fresh(const json_t *vm, struct ff_verdict *v)
{
	json_t *tags = azure_tags_with(ff_json_at(vm, "tags"), "", NULL);

	ff_json_set_new(azure_patch(v), "tags", tags);
	ff_json_set_new(azure_patch(v), "etag", azure_etag(vm) ? json_string(azure_etag(vm)) : json_null());
}

static void forget_fresh(struct ff_verdict *v)
{
	ff_json_set_new(azure_patch(v), "tags", json_null());
	ff_json_set_new(azure_patch(v), "etag", json_null());
}

/* ---------------------------------------------------------------- claim */

/* Our claim is a change, too: is it the last one? When it was asked for is known from the look before it, should the
 * process have died before it had an answer. */
static bool is_our_change(const struct ff_member *m, const json_t *view)
{
	return azure_changed_ms(view) - CLAIM_ENDS_MS <= ff_json_int(m->facts, "claim_ms", 0);
}

bool azure_is_well_again(
	const struct ff_member *m, const json_t *view, bool claimed, int64_t wall_ms, struct ff_verdict *v)
{
	char power[32];

	if (ff_json_str(m->facts, "of") != NULL) /* a rollback: it is well, and its mended disk leaves all the same */
		return false;
	if (m->vm->health != FF_AFFECTED || !ff_streq(azure_power(view, power), "running"))
		return false;
	if (ff_strcaseeq(ff_json_str(view, "vmAgent/statuses/0/displayStatus"), "Ready")) {
		azure_failed(v, FF_E_CONFLICT, "the VM has come up by itself, its agent is ready");
		return true;
	}
	if (!azure_may_come_up(view, wall_ms) || (claimed && is_our_change(m, view)))
		return false;
	azure_wait(v, AGENT_LOOK_MS, "the VM was started or changed a moment ago, its agent may answer yet");
	return true;
}

static void foreign(struct ff_verdict *v, const char *run, const char *by)
{
	bool known = by != NULL && *by != '\0';

	azure_failed(v, FF_E_CONFLICT,
		"the VM is claimed by run '%.64s'%s%.128s: if that run is dead, its own resume goes on with it, or "
		"--take-over",
		run, known ? " of " : "", known ? by : "");
}

AZ_LOOKED_FN(azure_claim_looked)
{
	azure_auto_reply reply = {0};
	const char *run, *state;
	const json_t *view;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	run = azure_tag(ff_json_at(reply.body, "tags"), AZ_TAG_RUN);
	state = ff_json_str(reply.body, "properties/provisioningState");
	view = ff_json_at(reply.body, "properties/instanceView");
	if (ff_strcaseeq(state, "Deleting"))
		azure_failed(v, FF_E_GONE, "the VM is being deleted");
	else if (run != NULL && *run != '\0' && !ff_streq(run, m->run) && !ff_may_replace_claim(m, run))
		foreign(v, run, azure_tag(ff_json_at(reply.body, "tags"), AZ_TAG_BY));
	else if (!ff_strcaseeq(azure_os_disk_id(reply.body), ff_json_str(m->facts, "os_disk/managedDisk/id")))
		azure_failed(v, FF_E_CONFLICT, "the VM's OS disk is another one since it was found: '%s'",
			azure_id_name(azure_os_disk_id(reply.body)));
	else if (!azure_state_terminal(state))
		azure_wait(v, 0, "another change of the VM is under way, its provisioning state is %s", state);
	else if (azure_is_well_again(m, view, ff_streq(run, m->run), wall_ms, v))
		return;
	else if (ff_streq(run, m->run)) {
		azure_done(m, v);
		forget_fresh(v);
	} else {
		v->meaning = FF_M_NOT_DONE;
		take_fresh(reply.body, v);
		ff_json_set_int(azure_patch(v), "claim_ms", wall_ms);
	}
}

AZ_ACT_FN(azure_claim)
{
	ff_auto_json json_t *claimed = azure_tags_with(ff_json_at(m->facts, "tags"), AZ_TAG_RUN, m->run);
	bool room = json_object_size(claimed) < AZ_TAGS_MAX - 1; /* good to know, no more */
	ff_auto_json json_t *was = azure_tags_with(claimed, AZ_TAG_WAS,
		!room		 ? NULL
		: m->vm->running ? "running"
				 : "stopped");

	(void)n;
	return patch_tags(cloud, m, azure_tags_with(was, AZ_TAG_BY, room ? m->by : NULL), ask, err);
}

AZ_ACTED_FN(azure_claim_acted)
{
	azure_auto_reply reply = {0};
	ff_auto_free char *url = NULL;
	struct ff_ask resource = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (m->step == AZ_CLAIM)
		ff_json_set_int(azure_patch(v), "claim_ms", wall_ms);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_ACT, v);
		return;
	}
	if (azure_ask_resource(cloud, &resource, "GET", m->vm->id, "?", AZ_VM_API, NULL) == 0)
		url = ff_strdup(resource.url);
	ff_ask_release(&resource);
	azure_accepted(cloud, &reply, answer, wall_ms, url, v);
	forget_fresh(v);
}

/* ---------------------------------------------------------------- release */

/* Leaving the claim out takes it away where PATCH replaces tags; where it merges them, the claim is blanked. */
AZ_ACT_FN(azure_release)
{
	const char *value = ff_json_bool(m->facts, "release_blank", false) ? "" : NULL;
	const char *by = azure_tag(ff_json_at(m->facts, "tags"), AZ_TAG_BY);
	ff_auto_json json_t *free_tags = azure_tags_with(ff_json_at(m->facts, "tags"), AZ_TAG_RUN, value);

	const char *was = azure_tag(ff_json_at(m->facts, "tags"), AZ_TAG_WAS);
	ff_auto_json json_t *without = azure_tags_with(free_tags, AZ_TAG_WAS, was ? value : NULL);

	(void)n;
	return patch_tags(cloud, m, azure_tags_with(without, AZ_TAG_BY, by ? value : NULL), ask, err);
}

AZ_ACTED_FN(azure_release_acted)
{
	azure_auto_reply reply = {0};
	const char *left;

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class == FF_E_GONE) {
		azure_done(m, v);
		return;
	}
	azure_claim_acted(cloud, m, n, wall_ms, answer, v);
	left = azure_tag(ff_json_at(reply.body, "tags"), AZ_TAG_RUN);
	if (reply.class == FF_E_NONE && ff_streq(left, m->run)) {
		v->meaning = FF_M_LOOK;
		ff_fail(&v->err, FF_E_CONFLICT, "the claim is still on the VM");
		ff_json_set_bool(azure_patch(v), "release_blank", true);
	}
}

AZ_LOOKED_FN(azure_release_looked)
{
	azure_auto_reply reply = {0};
	const char *run;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class == FF_E_GONE) {
		azure_done(m, v);
		return;
	}
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	run = azure_tag(ff_json_at(reply.body, "tags"), AZ_TAG_RUN);
	if (!azure_state_terminal(ff_json_str(reply.body, "properties/provisioningState"))) {
		/* also where no claim is to be seen: it may be what is under way */
		azure_wait(v, 0, "another change of the VM is under way");
	} else if (run == NULL || !ff_streq(run, m->run)) { /* also where it is somebody else's by now: theirs stays */
		azure_done(m, v);
		forget_fresh(v);
	} else {
		v->meaning = FF_M_NOT_DONE;
		take_fresh(reply.body, v);
	}
}
