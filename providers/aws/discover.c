/*
 * The questions of discovery, in stages; those of one stage are out at once:
 *
 *   instances   Windows instances, page by page; rescue VMs by tag, id or name
 *   details     status checks, root volumes, instance types, Auto Scaling membership: many ids a question, never none
 *   protection  stop protection of those that are affected, one question each; their other volumes
 *   keys        KMS keys of encrypted volumes, one question each; see kms.c
 *   permits     before a repair: may this identity do it? see permits.c
 *
 * An id that is gone by now fails the question it is in: it is dropped, and the rest is asked again.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define PAGE	    "500"
#define PAGES_MAX   2000
#define IDS_MAX	    100
#define MEMBERS_MAX 50

enum kind {
	K_WINDOWS,
	K_RESCUE_TAG,
	K_RESCUE_IDS,
	K_RESCUE_NAMES,
	K_STATUS,
	K_VOLUMES,
	K_TYPES,
	K_MEMBERS,
	K_PROTECTION,
	K_CLAIMED,
	K_KEY,
	K_PERMIT
};

struct aws_batch {
	enum kind kind;
	struct ff_strv ids;
	char *token; /* of the next page; NULL: the first */
	size_t n;    /* of a permission */
	unsigned pages;
	struct aws_batch *next_queued, *next_all;
};

void aws_batches_free(struct aws_found *found)
{
	struct aws_batch *next;

	for (struct aws_batch *b = found->all; b != NULL; b = next) {
		next = b->next_all;
		ff_strv_free(&b->ids);
		free(b->token);
		free(b);
	}
	found->all = found->queue = NULL;
	found->queue_end = &found->queue;
}

static void enqueue(struct aws_found *found, struct aws_batch *b)
{
	b->next_queued = NULL;
	*found->queue_end = b;
	found->queue_end = &b->next_queued;
}

static struct aws_batch *batch_new(struct aws_found *found, enum kind kind)
{
	struct aws_batch *b = ff_calloc(1, sizeof(*b));

	b->kind = kind;
	b->next_all = found->all;
	found->all = b;
	enqueue(found, b);
	return b;
}

/* Into the batch, or a new one when it is full. */
static struct aws_batch *batch_add(
	struct aws_found *found, struct aws_batch *b, enum kind kind, size_t max, const char *id)
{
	if (b == NULL || b->ids.count == max)
		b = batch_new(found, kind);
	ff_strv_add(&b->ids, id);
	return b;
}

/* ---------------------------------------------------------------- stages */

static void ask_instances(struct ff_cloud *cloud)
{
	struct aws_found *found = cloud->found;
	struct aws_batch *ids = NULL, *names = NULL;

	batch_new(found, K_WINDOWS);
	if (cloud->rescues.count == 0)
		batch_new(found, K_RESCUE_TAG);
	for (size_t i = 0; i < cloud->rescues.count; i++) {
		const char *name = cloud->rescues.items[i];

		if (ff_has_prefix(name, "i-"))
			ids = batch_add(found, ids, K_RESCUE_IDS, IDS_MAX, name);
		else
			names = batch_add(found, names, K_RESCUE_NAMES, IDS_MAX, name);
	}
}

static void ask_details(struct aws_found *found)
{
	struct aws_batch *status = NULL, *volumes = NULL, *types = NULL, *members = NULL;
	ff_auto_json json_t *seen = json_object();

	for (size_t i = 0; i < found->count; i++) {
		const struct aws_vm *vm = found->items[i];

		if (vm->type[0] != '\0' && json_object_get(seen, vm->type) == NULL) {
			ff_json_set_bool(seen, vm->type, true);
			types = batch_add(found, types, K_TYPES, IDS_MAX, vm->type);
		}
		if (vm->asked)
			continue;
		if (ff_streq(vm->vm.state, "running"))
			status = batch_add(found, status, K_STATUS, IDS_MAX, vm->vm.id);
		if (vm->vm.disk_id[0] != '\0')
			volumes = batch_add(found, volumes, K_VOLUMES, IDS_MAX, vm->vm.disk_id);
		members = batch_add(found, members, K_MEMBERS, MEMBERS_MAX, vm->vm.id);
	}
}

static void ask_protection(const struct ff_cloud *cloud)
{
	struct aws_found *found = cloud->found;

	for (size_t i = 0; i < found->count; i++) {
		struct aws_vm *vm = found->items[i];

		aws_weigh(vm);
		if (vm->vm.health == FF_AFFECTED && !vm->asked && !aws_is_skipped(cloud, vm))
			batch_add(found, NULL, K_PROTECTION, 1, vm->vm.id);
	}
}

/* Only what else must be attached when it starts again. */
static void ask_data(const struct ff_cloud *cloud)
{
	struct aws_found *found = cloud->found;
	struct aws_batch *volumes = NULL;
	const char *volume;

	for (size_t i = 0; i < found->count; i++) {
		const struct aws_vm *vm = found->items[i];

		if (vm->asked || aws_is_skipped(cloud, vm))
			continue;
		for (size_t n = 1; (volume = aws_volume_needed(vm, n)) != NULL; n++)
			volumes = batch_add(found, volumes, K_VOLUMES, IDS_MAX, volume);
	}
}

static void ask_keys(const struct ff_cloud *cloud)
{
	struct aws_found *found = cloud->found;
	const char *volume;

	for (size_t i = 0; i < found->count; i++) {
		const struct aws_vm *vm = found->items[i];

		if (vm->asked || aws_is_skipped(cloud, vm))
			continue;
		for (size_t n = 0; (volume = aws_volume_needed(vm, n)) != NULL; n++) {
			const char *key = aws_key_of(found, volume);

			if (key != NULL && aws_key_wanted(cloud, key))
				batch_add(found, NULL, K_KEY, 1, key);
		}
	}
}

static void ask_permits(const struct ff_cloud *cloud)
{
	if (!cloud->preflight || aws_permit_vm(cloud) == NULL)
		return;
	for (size_t i = 0; i < aws_permit_count(cloud); i++)
		batch_new(cloud->found, K_PERMIT)->n = i;
}

static void conclude(struct ff_cloud *cloud)
{
	struct aws_found *found = cloud->found;

	for (size_t i = 0; i < found->count; i++) {
		aws_hazards(cloud, found->items[i]);
		aws_settle(cloud, found->items[i]);
		if (found->items[i]->asked && !found->items[i]->vm.rescue)
			ff_strv_addf(&found->notes, "the rescue VM '%s' is %s", found->items[i]->vm.name,
				found->items[i]->vm.state);
	}
	for (size_t i = 0; i < cloud->rescues.count; i++) {
		const char *name = cloud->rescues.items[i];
		bool there = false;

		for (size_t k = 0; k < found->count && !there; k++)
			there = found->items[k]->asked &&
				(ff_streq(found->items[k]->vm.id, name) || ff_streq(found->items[k]->vm.name, name));
		if (!there)
			ff_strv_addf(&found->notes, "rescue VM '%s' is not in region %s", name, cloud->region);
	}
	aws_keys_note(found);
	aws_batches_free(found);
}

/* ---------------------------------------------------------------- asking */

static void add_states(struct ff_buf *form, size_t n, bool running)
{
	static const char *const states[] = {"running", "pending", "stopping", "stopped"};

	ff_buf_addf(form, "&Filter.%zu.Name=instance-state-name", n);
	for (size_t i = 0; i < (running ? 1 : FF_COUNT(states)); i++)
		ff_buf_addf(form, "&Filter.%zu.Value.%zu=%s", n, i + 1, states[i]);
}

static void add_values(struct ff_buf *form, const char *name, const struct ff_strv *values)
{
	ff_form_add(form, "Filter.1.Name", name);
	for (size_t i = 0; i < values->count; i++)
		aws_form_nth(form, "Filter.1.Value", i + 1, values->items[i]);
}

static void add_ids(struct ff_buf *form, const char *key, const struct ff_strv *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		aws_form_nth(form, key, i + 1, ids->items[i]);
}

static void fill_instances(struct ff_buf *form, const struct aws_batch *b)
{
	aws_form(form, AWS_EC2, "DescribeInstances");
	switch (b->kind) {
	case K_RESCUE_TAG:
		aws_form_filter(form, 1, "tag:" AWS_TAG_ROLE, "rescue");
		break;
	case K_RESCUE_IDS:
		add_values(form, "instance-id", &b->ids);
		break;
	case K_RESCUE_NAMES:
		add_values(form, "tag:Name", &b->ids);
		break;
	default:
		aws_form_filter(form, 1, "platform", "windows");
	}
	add_states(form, 2, b->kind == K_RESCUE_TAG);
	ff_form_add(form, "MaxResults", PAGE);
}

static void fill(const struct ff_cloud *cloud, struct aws_batch *b, struct ff_ask *ask)
{
	enum aws_service service = b->kind == K_MEMBERS ? AWS_AUTOSCALING : AWS_EC2;
	struct ff_buf form = {0};

	switch (b->kind) {
	case K_WINDOWS:
	case K_RESCUE_TAG:
	case K_RESCUE_IDS:
	case K_RESCUE_NAMES:
		fill_instances(&form, b);
		break;
	case K_STATUS:
		aws_form(&form, service, "DescribeInstanceStatus");
		add_ids(&form, "InstanceId", &b->ids);
		break;
	case K_VOLUMES:
		aws_form(&form, service, "DescribeVolumes");
		add_ids(&form, "VolumeId", &b->ids);
		break;
	case K_TYPES:
		aws_form(&form, service, "DescribeInstanceTypes");
		add_ids(&form, "InstanceType", &b->ids);
		break;
	case K_MEMBERS:
		aws_form(&form, service, "DescribeAutoScalingInstances");
		add_ids(&form, "InstanceIds.member", &b->ids);
		break;
	case K_CLAIMED:
		aws_form(&form, service, "DescribeVolumes");
		aws_form_filter(&form, 1, "tag-key", AWS_TAG_ROOT);
		ff_form_add(&form, "MaxResults", PAGE);
		break;
	case K_PROTECTION:
		aws_form(&form, service, "DescribeInstanceAttribute");
		ff_form_add(&form, "InstanceId", b->ids.items[0]);
		ff_form_add(&form, "Attribute", "disableApiStop");
		break;
	case K_KEY: /* no form */
		break;
	case K_PERMIT:
		aws_permit_form(cloud, b->n, &form);
		break;
	}
	if (b->token != NULL)
		ff_form_add(&form, "NextToken", b->token);
	if (b->kind == K_KEY)
		aws_key_ask(cloud, b->ids.items[0], ask);
	else
		aws_ask(cloud, ask, service, AWS_Q_FIND, &form);
	ask->tag_data = b;
}

enum ff_turn aws_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
{
	struct aws_found *found = cloud->found;
	struct aws_batch *b;

	(void)err;
	while (found->queue == NULL) {
		if (found->out > 0)
			return FF_TURN_WAIT;
		switch (found->stage) {
		case 0:
			ask_instances(cloud);
			break;
		case 1:
			ask_details(found);
			if (cloud->claims)
				batch_new(found, K_CLAIMED);
			break;
		case 2:
			ask_protection(cloud);
			ask_data(cloud);
			break;
		case 3:
			ask_keys(cloud);
			break;
		case 4:
			ask_permits(cloud);
			break;
		case 5:
			conclude(cloud);
			break;
		default:
			return FF_TURN_DONE;
		}
		found->stage++;
	}
	b = found->queue;
	found->queue = b->next_queued;
	if (found->queue == NULL)
		found->queue_end = &found->queue;
	found->out++;
	fill(cloud, b, ask);
	return FF_TURN_ASK;
}

/* ---------------------------------------------------------------- reading */

static void note(struct aws_found *found, const char *what, const struct aws_reply *reply)
{
	ff_auto_free char *text = ff_printf("%s could not be read: %s", what, reply->err.text);

	if (!ff_strv_has(&found->notes, text))
		ff_strv_add(&found->notes, text);
}

/* The ids that the message names are dropped; what is left is asked again. false: it names none of them. */
static bool drop_named(struct aws_found *found, struct aws_batch *b, const char *message)
{
	struct ff_strv left = {0};
	size_t before = b->ids.count;

	for (size_t i = 0; i < b->ids.count; i++)
		if (strstr(message, b->ids.items[i]) == NULL)
			ff_strv_add(&left, b->ids.items[i]);
	ff_strv_free(&b->ids);
	b->ids = left;
	if (left.count == before)
		return false;
	if (left.count > 0)
		enqueue(found, b);
	return true;
}

static int refused(struct ff_cloud *cloud, struct aws_batch *b, const struct aws_reply *reply, struct ff_err *err)
{
	static const char *const what[] = {"Windows instances", "rescue VMs", "rescue VMs", "rescue VMs",
		"status checks", "volumes", "instance types", "Auto Scaling membership", "stop protection",
		"claimed volumes"};

	if ((reply->class == FF_E_GONE || ff_streq(reply->code, "InvalidInstanceType")) &&
		drop_named(cloud->found, b, reply->message))
		return 0;
	if (b->kind == K_TYPES || b->kind == K_MEMBERS || b->kind == K_PROTECTION) {
		note(cloud->found, what[b->kind], reply);
		return 0;
	}
	*err = reply->err;
	return ff_wrap(err, "%s", what[b->kind]);
}

static void read_instances(struct ff_cloud *cloud, const struct aws_batch *b, const xmlNode *root)
{
	const xmlNode *reservation = aws_xml_at(root, "reservationSet/item");

	for (; reservation != NULL; reservation = aws_xml_next(reservation)) {
		const xmlNode *node = aws_xml_at(reservation, "instancesSet/item");

		for (; node != NULL; node = aws_xml_next(node)) {
			struct aws_vm *vm = aws_found_instance(cloud, node);

			if (vm != NULL && b->kind != K_WINDOWS)
				vm->asked = true;
		}
	}
}

static void read_protection(const struct aws_found *found, const struct aws_batch *b, const xmlNode *root)
{
	struct aws_vm *vm = aws_found_by_id(found, b->ids.items[0]);

	if (vm != NULL)
		vm->stop_protected = aws_xml_true(root, "disableApiStop/value");
}

static void read_each(struct aws_found *found, const xmlNode *root, const char *path,
	void (*take)(struct aws_found *, const xmlNode *))
{
	for (const xmlNode *node = aws_xml_at(root, path); node != NULL; node = aws_xml_next(node))
		take(found, node);
}

static void read_items(struct ff_cloud *cloud, const struct aws_batch *b, const xmlNode *root)
{
	struct aws_found *found = cloud->found;

	switch (b->kind) {
	case K_WINDOWS:
	case K_RESCUE_TAG:
	case K_RESCUE_IDS:
	case K_RESCUE_NAMES:
		read_instances(cloud, b, root);
		break;
	case K_STATUS:
		read_each(found, root, "instanceStatusSet/item", aws_found_status);
		break;
	case K_VOLUMES:
		read_each(found, root, "volumeSet/item", aws_found_volume);
		break;
	case K_TYPES:
		read_each(found, root, "instanceTypeSet/item", aws_found_type);
		break;
	case K_MEMBERS:
		read_each(found, root, "DescribeAutoScalingInstancesResult/AutoScalingInstances/member",
			aws_found_member);
		break;
	case K_CLAIMED:
		read_each(found, root, "volumeSet/item", aws_found_claimed);
		break;
	case K_PROTECTION:
		read_protection(found, b, root);
		break;
	case K_KEY:
	case K_PERMIT:
		break;
	}
}

/* The next page, guarded against an answer that leads back to itself. */
static int next_page(struct aws_found *found, struct aws_batch *b, const xmlNode *root, struct ff_err *err)
{
	const char *token = aws_xml_str(root, "nextToken");

	if (b->kind == K_MEMBERS)
		token = aws_xml_str(root, "DescribeAutoScalingInstancesResult/NextToken");
	if (token[0] == '\0')
		return 0;
	if (ff_streq(token, b->token) || ++b->pages > PAGES_MAX)
		return ff_fail(err, FF_E_BUG, "the list of pages does not come to an end");
	free(b->token);
	b->token = ff_strdup(token);
	enqueue(found, b);
	return 0;
}

int aws_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer,
	struct ff_err *err)
{
	struct aws_batch *b = ask->tag_data;
	aws_auto_reply reply = {0};

	(void)wall_ms;
	cloud->found->out--;
	if (b->kind == K_KEY) {
		aws_key_read(cloud->found, b->ids.items[0], answer);
		return 0;
	}
	aws_reply_read(&reply, answer);
	if (b->kind == K_PERMIT) {
		aws_permit_read(cloud->found, &reply);
		return 0;
	}
	if (reply.class != FF_E_NONE)
		return refused(cloud, b, &reply, err);
	read_items(cloud, b, reply.root);
	return next_page(cloud->found, b, reply.root, err);
}
