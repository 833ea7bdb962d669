/* What came of an attach or a detach, for each disk of the request. */
#include "attach.h"

static const json_t *disks_of(const json_t *result)
{
	const json_t *disks = ff_json_at(result, "properties/storageProfile/dataDisks"); /* a VM */

	return disks ? disks : ff_json_at(result, "dataDisks"); /* a StorageProfile */
}

void azure_is_attached(const struct ff_member *m, struct ff_verdict *v)
{
	azure_done(m, v);
	ff_json_set_bool(azure_patch(v), "attached", true);
	ff_json_set_new(azure_patch(v), "alone", json_null());
}

void azure_is_detached(const struct ff_member *m, struct ff_verdict *v)
{
	static const char *const over[] = {"attached", "alone", "holder_busy", "vm_etag", "vm_disks"};

	azure_done(m, v);
	for (size_t i = 0; i < FF_COUNT(over); i++)
		if (json_object_get(m->facts, over[i]) != NULL)
			ff_json_set_new(azure_patch(v), over[i], json_null());
}

/* Does the VM's list show the effect? An operation that succeeded and shows nothing else is believed. */
static void ended_well(const struct ff_member *m, const json_t *disks, struct ff_verdict *v)
{
	ff_auto_free char *id = azure_copy_id(m);
	int at = azure_entry_of(disks, id);
	bool there = at >= 0 && !ff_json_bool(json_array_get(disks, (size_t)at), "toBeDetached", false);
	bool believed = !json_is_array(disks);

	if (m->step != AZ_ATTACH && (believed || !there)) {
		azure_is_detached(m, v);
	} else if (m->step == AZ_ATTACH &&
		   (believed || (there && ff_json_int(json_array_get(disks, (size_t)at), "lun", -1) == m->slot))) {
		azure_is_attached(m, v);
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
	if (v->meaning == FF_M_FAILED && reply->class != FF_E_DENIED && (m->step != AZ_ATTACH || already))
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

/* Where what was learned of the VM that has the disks is kept. */
static json_t *learned_of(const struct ff_member *m, struct ff_verdict *v)
{
	if (m->step == AZ_FREE_COPY)
		return azure_patch(v);
	if (v->rescue_facts == NULL)
		v->rescue_facts = json_object();
	return v->rescue_facts;
}

void azure_take_list(const struct ff_member *m, const json_t *vm, struct ff_verdict *v)
{
	const char *etag = azure_etag(vm);
	const json_t *disks = ff_json_at(vm, "properties/storageProfile/dataDisks");
	json_t *learned;

	/* of a VM that is being changed it may lack what is on its way in, under the etag of that very change */
	if (etag == NULL || !json_is_array(disks) || ff_streq(etag, ff_json_str(azure_holder_facts(m), "vm_etag")) ||
		!azure_state_terminal(ff_json_str(vm, "properties/provisioningState")))
		return;
	learned = learned_of(m, v);
	ff_json_set_str(learned, "vm_etag", etag);
	ff_json_set_new(learned, "vm_disks", json_deep_copy(disks));
}

void azure_attach_ended(const struct ff_member *m, size_t n, const struct azure_reply *reply, const json_t *result,
	enum azure_asked asked, struct ff_verdict *v)
{
	bool theirs = reply->class == FF_E_PERMANENT || reply->class == FF_E_GONE || reply->class == FF_E_DENIED ||
		      reply->class == FF_E_CONFLICT;

	for (size_t i = 0; i < n; i++)
		if (m[i].step == AZ_FREE_COPY && reply->class == FF_E_CONFLICT)
			ff_json_set_bool(azure_patch(&v[i]), "holder_busy", true);
	if (reply->class != FF_E_NONE && n > 1 && theirs && reply->status != 412 && !reply->unknown) {
		refused_together(m, n, reply, asked, v);
		return;
	}
	if (reply->class == FF_E_NONE)
		azure_take_list(m, result, &v[0]); /* for the next one, where it is patched */
	for (size_t i = 0; i < n; i++) {
		if (reply->class == FF_E_NONE) {
			ended_well(&m[i], disks_of(result), &v[i]);
			continue;
		}
		refused_alone(&m[i], reply, &v[i]);
		/* the list was changed by others meanwhile: nothing was done, and that is no uncertainty */
		v[i].busy = v[i].meaning == FF_M_LOOK && reply->status == 412;
	}
}

static bool api_is_off(const struct azure_reply *reply)
{
	return reply->class != FF_E_NONE && !reply->unknown && ff_contains_nocase(reply->err.text, "not enabled") &&
	       ff_contains_nocase(reply->err.text, "attach detach data disks API");
}

/* azure-rest-api-specs#27476: then the list is patched, after a look at it. */
static void fall_back(const struct ff_member *m, size_t n, const struct azure_reply *reply, struct ff_verdict *v)
{
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || m[i].step == AZ_FREE_COPY) /* which has facts of its own */
			ff_json_set_bool(learned_of(&m[i], &v[i]), "attach_by_patch", true);
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
		fall_back(m, n, &reply, v);
		return;
	}
	if (reply.class != FF_E_NONE) {
		azure_attach_ended(m, n, &reply, NULL, AZ_ACT, v);
		return;
	}
	azure_take_list(m, reply.body, &v[0]);
	/* only a PATCH answers with the VM, whose provisioningState then tells when there is no header to poll */
	if (ff_json_at(reply.body, "properties/storageProfile") != NULL &&
		azure_ask_resource(cloud, &resource, "GET", azure_holder(m), "?", AZ_VM_API, NULL) < 0)
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
