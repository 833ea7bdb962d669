/*
 * The questions of discovery: first lists (VMs, disks, locks, public addresses), then details (instance views, sizes,
 * what the lists did not hold), several at once.
 */
#include "found.h"

#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 10000
#define ASKED_MAX 128 /* at once; more would only wait in the runtime's queue */

/* ---------------------------------------------------------------- queueing */

static struct azure_ask *question(struct azure_found *f, enum azure_question kind, const char *what, size_t vm)
{
	struct azure_ask *q = ff_calloc(1, sizeof(*q));

	q->kind = kind;
	q->what = ff_strdup(what ? what : "");
	q->vm = vm;
	TAILQ_INSERT_TAIL(&f->waiting, q, link);
	return q;
}

static void queue_lists(const struct ff_cloud *cloud)
{
	struct azure_found *f = cloud->found;

	for (size_t i = 0; i < cloud->groups.count; i++) {
		question(f, AZ_Q_VMS, cloud->groups.items[i], 0);
		question(f, AZ_Q_DISKS, cloud->groups.items[i], 0);
	}
	if (cloud->groups.count == 0) {
		question(f, AZ_Q_VMS, NULL, 0);
		question(f, AZ_Q_DISKS, NULL, 0);
	}
	question(f, AZ_Q_LOCKS, NULL, 0);
	question(f, AZ_Q_ADDRESSES, NULL, 0);
}

static void queue_vm_details(struct azure_found *f, size_t index)
{
	struct ff_vm *vm = f->vms[index];
	struct azure_side *side = &f->sides[index];
	ff_auto_free char *disk = azure_lower(vm->disk_id);
	struct azure_id id;

	if (!side->viewed && (side->candidate || ff_streq(vm->os, "windows")))
		question(f, AZ_Q_VIEW, vm->id, index);
	if (side->candidate)
		question(f, AZ_Q_SIZES, vm->id, index);
	if (ff_streq(vm->os, "windows") && *disk != '\0' && json_object_get(f->disks, disk) == NULL &&
		azure_id_parse(disk, &id) == 0) { /* the disk lives in another group */
		azure_id_release(&id);
		question(f, AZ_Q_DISK, vm->disk_id, index);
	}
}

/* Which VMs were asked for as rescue VMs. A full id outside the scope is read by itself. */
static void choose_rescues(const struct ff_cloud *cloud)
{
	struct azure_found *f = cloud->found;

	for (size_t i = 0; cloud->rescues.count == 0 && i < f->count; i++)
		f->sides[i].candidate = ff_strcaseeq(azure_tag(f->vms[i]->tags, AZ_TAG_ROLE), "rescue");
	for (size_t r = 0; r < cloud->rescues.count; r++) {
		const char *wanted = cloud->rescues.items[r];
		struct azure_id id;
		bool there = false;

		for (size_t i = 0; i < f->count; i++)
			if (ff_strcaseeq(f->vms[i]->name, wanted) || ff_strcaseeq(f->vms[i]->id, wanted))
				f->sides[i].candidate = there = true;
		if (there)
			continue;
		if (azure_id_parse(wanted, &id) == 0) {
			azure_id_release(&id);
			question(f, AZ_Q_VM, wanted, 0);
		} else {
			ff_strv_addf(&f->notes, "rescue VM '%s' was not found", wanted);
		}
	}
}

static void queue_details(const struct ff_cloud *cloud)
{
	struct azure_found *f = cloud->found;

	choose_rescues(cloud);
	for (size_t i = 0; i < f->count; i++)
		queue_vm_details(f, i);
}

/* ---------------------------------------------------------------- asking */

static int ask_list(const struct ff_cloud *cloud, const struct azure_ask *q, const char *provider, const char *type,
	const char *api, struct ff_ask *ask)
{
	ff_auto_free char *group = ff_percent_encode(q->what);

	if (*group != '\0')
		ff_ask_http(ask, "GET", "%s/subscriptions/%s/resourceGroups/%s/providers/%s/%s?api-version=%s",
			cloud->arm, cloud->subscription, group, provider, type, api);
	else
		ff_ask_http(ask, "GET", "%s/subscriptions/%s/providers/%s/%s?api-version=%s", cloud->arm,
			cloud->subscription, provider, type, api);
	azure_cost(cloud, ask, AZ_COST_LIST, "", NULL);
	return 0;
}

static int ask_vm(const struct ff_cloud *cloud, const struct azure_ask *q, const char *tail, enum azure_cost cost,
	struct ff_ask *ask, struct ff_err *err)
{
	const char *region = q->vm < cloud->found->count ? cloud->found->vms[q->vm]->region : "";

	if (azure_ask_resource(cloud, ask, "GET", q->what, tail, AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, cost, region, q->what);
	return 0;
}

static int build(const struct ff_cloud *cloud, const struct azure_ask *q, struct ff_ask *ask, struct ff_err *err)
{
	if (q->url != NULL) {
		ff_ask_http(ask, "GET", "%s", q->url);
		azure_cost(cloud, ask, AZ_COST_LIST, "", NULL);
		return 0;
	}
	switch (q->kind) {
	case AZ_Q_VMS:
		return ask_list(cloud, q, "Microsoft.Compute", "virtualMachines", AZ_VM_API, ask);
	case AZ_Q_DISKS:
		return ask_list(cloud, q, "Microsoft.Compute", "disks", AZ_DISK_API, ask);
	case AZ_Q_LOCKS:
		return ask_list(cloud, q, "Microsoft.Authorization", "locks", AZ_LOCK_API, ask);
	case AZ_Q_ADDRESSES:
		return ask_list(cloud, q, "Microsoft.Network", "publicIPAddresses", AZ_NETWORK_API, ask);
	case AZ_Q_VM:
		return ask_vm(cloud, q, "?$expand=instanceView&", AZ_COST_GET_VM, ask, err);
	case AZ_Q_VIEW:
		return ask_vm(cloud, q, "/instanceView?", AZ_COST_GET_VM, ask, err);
	case AZ_Q_SIZES:
		return ask_vm(cloud, q, "/vmSizes?", AZ_COST_LIST, ask, err);
	case AZ_Q_DISK:
		if (azure_ask_resource(cloud, ask, "GET", q->what, "?", AZ_DISK_API, err) < 0)
			return -1;
		azure_cost(cloud, ask, AZ_COST_GET_DISK, "", NULL);
		return 0;
	default:
		return ff_fail(err, FF_E_BUG, "no such question of discovery");
	}
}

static enum ff_turn next_phase(const struct ff_cloud *cloud)
{
	struct azure_found *f = cloud->found;

	switch (f->phase) {
	case AZ_PHASE_NEW:
		queue_lists(cloud);
		f->phase = AZ_PHASE_LISTS;
		return FF_TURN_ASK;
	case AZ_PHASE_LISTS:
		queue_details(cloud);
		f->phase = AZ_PHASE_DETAILS;
		return FF_TURN_ASK;
	case AZ_PHASE_DETAILS:
		azure_found_judge(cloud);
		azure_found_forget(f);
		f->phase = AZ_PHASE_DONE;
		break;
	case AZ_PHASE_DONE:
		break;
	}
	return FF_TURN_DONE;
}

enum ff_turn azure_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
{
	struct azure_found *f = cloud->found;
	struct azure_ask *q;

	if (cloud->subscription == NULL) {
		ff_fail(err, FF_E_BUG, "discovery before the subscription is known");
		return FF_TURN_FAILED;
	}
	while ((q = TAILQ_FIRST(&f->waiting)) == NULL) {
		if (f->asked_count > 0)
			return FF_TURN_WAIT;
		if (next_phase(cloud) == FF_TURN_DONE)
			return FF_TURN_DONE;
	}
	if (f->asked_count >= ASKED_MAX)
		return FF_TURN_WAIT;
	if (build(cloud, q, ask, err) < 0)
		return FF_TURN_FAILED;
	TAILQ_REMOVE(&f->waiting, q, link);
	TAILQ_INSERT_TAIL(&f->asked, q, link);
	f->asked_count++;
	ask->tag = q->kind;
	ask->tag_data = q;
	return FF_TURN_ASK;
}

/* ---------------------------------------------------------------- reading */

static const char *list_name(enum azure_question kind)
{
	switch (kind) {
	case AZ_Q_VMS:
		return "VMs";
	case AZ_Q_DISKS:
		return "disks";
	case AZ_Q_LOCKS:
		return "locks";
	default:
		return "public addresses";
	}
}

/* The next page is asked as it was named, but only of Resource Manager, and never twice. */
static int follow(const struct ff_cloud *cloud, const struct azure_ask *q, const json_t *body, struct ff_err *err)
{
	const char *link = ff_json_str(body, "nextLink");
	char hash[65];
	struct azure_ask *next;

	if (link == NULL || *link == '\0')
		return 0;
	ff_sha256_hex(link, strlen(link), hash);
	if (!azure_url_is_arm(cloud, link) || strlen(link) > AZ_URL_BYTES)
		return ff_fail(err, FF_E_BUG, "the list of %s goes on at '%.200s', which is not Resource Manager",
			list_name(q->kind), link);
	if (json_object_get(cloud->found->links, hash) != NULL)
		return ff_fail(err, FF_E_BUG, "the list of %s repeats a page", list_name(q->kind));
	if (q->pages + 1 >= PAGES_MAX)
		return ff_fail(err, FF_E_BUG, "the list of %s has more than %d pages", list_name(q->kind), PAGES_MAX);
	ff_json_set_bool(cloud->found->links, hash, true);
	next = question(cloud->found, q->kind, q->what, 0);
	next->url = ff_strdup(link);
	next->pages = q->pages + 1;
	return 0;
}

/* Lists return the resource group upper-cased: the operator is shown what the operator wrote. */
static void spell_scope(struct azure_found *f, ssize_t index, const char *group)
{
	if (index < 0 || !ff_strcaseeq(f->vms[index]->scope, group))
		return;
	free(f->vms[index]->scope);
	f->vms[index]->scope = ff_strdup(group);
}

static int read_page(const struct ff_cloud *cloud, const struct azure_ask *q, const json_t *body, struct ff_err *err)
{
	const json_t *value = ff_json_at(body, "value"), *item;
	size_t i;

	if (!json_is_array(value))
		return ff_fail(err, FF_E_BUG, "the list of %s holds no array \"value\"", list_name(q->kind));
	json_array_foreach (value, i, item) {
		if (q->kind == AZ_Q_VMS)
			spell_scope(cloud->found, azure_found_vm(cloud->found, item), q->what);
		else if (q->kind == AZ_Q_DISKS)
			azure_found_disk(cloud->found, item);
		else if (q->kind == AZ_Q_LOCKS)
			azure_found_lock(cloud->found, item);
		else
			azure_found_address(cloud->found, item);
	}
	return follow(cloud, q, body, err);
}

static int read_list(
	const struct ff_cloud *cloud, const struct azure_ask *q, const struct azure_reply *reply, struct ff_err *err)
{
	bool optional = q->kind == AZ_Q_LOCKS || q->kind == AZ_Q_ADDRESSES;

	if (reply->class == FF_E_NONE)
		return read_page(cloud, q, reply->body, err);
	if (optional) {
		ff_strv_addf(&cloud->found->notes, "%s could not be read: %s", list_name(q->kind), reply->err.text);
		if (q->kind == AZ_Q_ADDRESSES)
			cloud->found->addresses_unknown = true;
		return 0;
	}
	*err = reply->err;
	if (*q->what != '\0')
		return ff_wrap(err, "listing the %s of resource group '%s'", list_name(q->kind), q->what);
	return ff_wrap(err, "listing the %s of subscription %s", list_name(q->kind), cloud->subscription);
}

/* A rescue VM that was named by an id outside the scope. */
static void read_outside(
	struct azure_found *f, const struct azure_ask *q, const struct azure_reply *reply, int64_t wall_ms)
{
	ssize_t index = reply->class == FF_E_NONE ? azure_found_vm(f, reply->body) : -1;

	if (index < 0) {
		ff_strv_addf(&f->notes, "rescue VM '%s' could not be read: %s", q->what,
			reply->class == FF_E_NONE ? "the answer is not a VM" : reply->err.text);
		return;
	}
	f->sides[index].candidate = true;
	azure_found_view(f, (size_t)index, ff_json_at(reply->body, "properties/instanceView"), wall_ms);
	queue_vm_details(f, (size_t)index);
}

static void read_sizes(struct azure_found *f, const struct azure_ask *q, const struct azure_reply *reply)
{
	const json_t *item;
	size_t i;

	if (reply->class != FF_E_NONE)
		ff_strv_addf(&f->notes, "how many disks rescue VM '%s' takes could not be read: %s",
			f->vms[q->vm]->name, reply->err.text);
	json_array_foreach (ff_json_at(reply->body, "value"), i, item)
		azure_found_size(f, item);
}

static void read_detail(
	struct azure_found *f, const struct azure_ask *q, const struct azure_reply *reply, int64_t wall_ms)
{
	struct azure_side *side = &f->sides[q->vm];

	if (reply->class != FF_E_NONE && side->unread == NULL)
		side->unread = ff_printf(
			"its %s could not be read: %s", q->kind == AZ_Q_DISK ? "OS disk" : "state", reply->err.text);
	else if (reply->class == FF_E_NONE && q->kind == AZ_Q_DISK)
		azure_found_disk(f, reply->body);
	else if (reply->class == FF_E_NONE)
		azure_found_view(f, q->vm, reply->body, wall_ms);
}

int azure_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_err *err)
{
	struct azure_found *f = cloud->found;
	struct azure_ask *q = ask->tag_data;
	azure_auto_reply reply = {0};
	int rc = 0;

	TAILQ_REMOVE(&f->asked, q, link);
	f->asked_count--;
	azure_reply_read(&reply, wall_ms, answer);
	switch (q->kind) {
	case AZ_Q_VM:
		read_outside(f, q, &reply, wall_ms);
		break;
	case AZ_Q_SIZES:
		read_sizes(f, q, &reply);
		break;
	case AZ_Q_VIEW:
	case AZ_Q_DISK:
		read_detail(f, q, &reply, wall_ms);
		break;
	default:
		rc = read_list(cloud, q, &reply, err);
		break;
	}
	azure_ask_free(q);
	return rc;
}
