/*
 * The questions of discovery and their order: lists first, all at once, then what the lists made necessary to ask. A
 * filter would cost its own quota, so everything is listed and chosen here.
 */
#include "found.h"

#include <stdlib.h>
#include <string.h>

#define LIST_TAIL "?maxResults=500&returnPartialSuccess=true"

/* ---------------------------------------------------------------- questions */

struct gcp_question *gcp_question_new(struct gcp_found *found, enum gcp_asked asked, char *path_owned, const char *tail)
{
	struct gcp_question *q = ff_calloc(1, sizeof(*q));

	*q = (struct gcp_question){.asked = asked, .path = path_owned, .tail = ff_strdup(tail)};
	found->questions = ff_realloc(found->questions, found->question_count + 1, sizeof(struct gcp_question *));
	found->questions[found->question_count++] = q;
	return q;
}

static void question_free(struct gcp_question *q)
{
	free(q->path);
	free(q->tail);
	free(q->page);
	free(q);
}

void gcp_found_free(struct gcp_found *found)
{
	if (found == NULL)
		return;
	for (size_t i = 0; i < found->question_count; i++)
		question_free(found->questions[i]);
	free(found->questions);
	for (size_t i = 0; i < found->count; i++) {
		struct ff_vm *vm = &found->items[i]->vm;

		free(vm->id);
		free(vm->name);
		free(vm->scope);
		free(vm->region);
		free(vm->zone);
		free(vm->os);
		free(vm->state);
		ff_strv_free(&vm->evidence);
		ff_strv_free(&vm->hazards);
		free(vm->reason);
		free(vm->disk_id);
		free(vm->disk_encryption);
		json_decref(vm->tags);
		json_decref(vm->facts);
		gcp_found_pack(found->items[i]);
		free(found->items[i]->number);
		free(found->items[i]->kept);
		free(found->items[i]);
	}
	free(found->items);
	free(found->vms);
	json_decref(found->disks);
	json_decref(found->claimed);
	json_decref(found->groups);
	json_decref(found->addresses);
	json_decref(found->machines);
	ff_strv_free(&found->notes);
	free(found);
}

static char *project_path(const struct ff_cloud *cloud, const char *rest)
{
	return ff_printf("projects/%s/%s", cloud->project, rest);
}

/* Of the whole project in one list, or of the zones that were asked for. */
static void ask_lists(struct ff_cloud *cloud, enum gcp_asked asked, const char *what)
{
	for (size_t i = 0; i < cloud->zones.count; i++)
		gcp_question_new(cloud->found, asked,
			ff_printf("projects/%s/zones/%s/%s", cloud->project, cloud->zones.items[i], what), LIST_TAIL);
	if (cloud->zones.count == 0)
		gcp_question_new(cloud->found, asked, ff_printf("projects/%s/aggregated/%s", cloud->project, what),
			LIST_TAIL "&includeAllScopes=true");
}

static void begin(struct ff_cloud *cloud)
{
	struct gcp_found *found = cloud->found;

	found->disks = json_object();
	found->claimed = cloud->claims ? json_object() : NULL;
	found->groups = json_object();
	found->machines = json_object();
	if (cloud->csek_file != NULL)
		gcp_question_new(found, GCP_Q_KEYS, ff_strdup(cloud->csek_file), "");
	ask_lists(cloud, GCP_Q_INSTANCES, "instances");
	ask_lists(cloud, GCP_Q_DISKS, "disks");
	found->phase = GCP_F_LISTS;
}

static void ask_about(struct gcp_found *found, size_t i, bool *addresses)
{
	struct gcp_vm *vm = found->items[i];
	const json_t *nic;
	size_t n;
	char tail[64];

	if (!vm->windows)
		return;
	if (vm->disk == NULL && *vm->vm.disk_id != '\0')
		gcp_question_new(found, GCP_Q_DISK, ff_strdup(vm->vm.disk_id), "")->vm = i;
	if (vm->vm.running) {
		snprintf(tail, sizeof(tail), "/serialPort?port=1&start=-%d", GCP_SERIAL_BYTES);
		gcp_question_new(found, GCP_Q_SERIAL, ff_strdup(vm->vm.id), tail)->vm = i;
	}
	json_array_foreach (json_object_get(vm->raw, "networkInterfaces"), n, nic)
		*addresses = *addresses || ff_json_str(nic, "accessConfigs/0/natIP") != NULL;
}

/* What the lists made necessary: nothing, in a project without Windows VMs. */
static void ask_details(struct ff_cloud *cloud)
{
	struct gcp_found *found = cloud->found;
	bool windows = false, addresses = false;

	for (size_t i = 0; i < found->count; i++) {
		struct gcp_vm *vm = found->items[i];

		gcp_found_unpack(found, vm);
		windows = windows || vm->windows;
		if (gcp_found_is_rescue(cloud, vm)) {
			char *machine = gcp_path(ff_json_str(vm->raw, "machineType"));

			if (machine != NULL && json_object_get(found->machines, machine) == NULL) {
				ff_json_set_int(found->machines, machine, 0);
				gcp_question_new(found, GCP_Q_MACHINE, machine, "");
			} else {
				free(machine);
			}
		} else {
			ask_about(found, i, &addresses);
		}
		gcp_found_pack(vm);
	}
	if (windows)
		gcp_question_new(found, GCP_Q_MANAGERS, project_path(cloud, "aggregated/instanceGroupManagers"),
			LIST_TAIL "&includeAllScopes=true");
	if (addresses)
		gcp_question_new(found, GCP_Q_ADDRESSES, project_path(cloud, "aggregated/addresses"),
			LIST_TAIL "&includeAllScopes=true");
	found->phase = GCP_F_DETAILS;
}

/* ---------------------------------------------------------------- asking */

static void send(struct ff_cloud *cloud, struct gcp_question *q, struct ff_ask *ask)
{
	ff_auto_free char *page = q->page ? ff_percent_encode(q->page) : NULL;
	ff_auto_free char *tail = page ? ff_printf("%s&pageToken=%s", q->tail, page) : ff_strdup(q->tail);
	bool members = q->asked == GCP_Q_MEMBERS;

	q->sent = true;
	cloud->found->out++;
	if (q->asked == GCP_Q_KEYS) {
		*ask = (struct ff_ask){.kind = FF_ASK_FILE, .path = ff_strdup(q->path), .secret = true};
		ask->answer_bytes_max = 4u << 20;
	} else {
		gcp_ask(cloud, ask,
			q->asked == GCP_Q_SERIAL ? GCP_SERIAL
			: q->asked < GCP_Q_DISK	 ? GCP_LIST
						 : GCP_READ,
			members || q->asked == GCP_Q_PERMITS ? "POST" : "GET", q->path, tail);
		if (q->asked == GCP_Q_SERIAL)
			ask->answer_bytes_max = GCP_SERIAL_ANSWER;
		if (q->asked == GCP_Q_PERMITS)
			gcp_ask_json(ask, gcp_permits_body(q));
	}
	ask->tag = (int)q->asked;
	ask->tag_data = q;
}

enum ff_turn gcp_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
{
	(void)err;
	if (cloud->found == NULL)
		cloud->found = ff_calloc(1, sizeof(*cloud->found));
	if (cloud->found->phase == GCP_F_BEGIN)
		begin(cloud);
	for (;;) {
		struct gcp_found *found = cloud->found;

		while (found->first_unsent < found->question_count && found->questions[found->first_unsent]->sent)
			found->first_unsent++;
		if (found->first_unsent < found->question_count) {
			send(cloud, found->questions[found->first_unsent], ask);
			return FF_TURN_ASK;
		}
		if (found->out > 0)
			return FF_TURN_WAIT;
		if (found->phase == GCP_F_DONE)
			return FF_TURN_DONE;
		if (found->phase == GCP_F_LISTS) {
			ask_details(cloud);
		} else if (found->phase == GCP_F_DETAILS) {
			gcp_found_finish(cloud);
			gcp_permits_ask(cloud);
			found->phase = GCP_F_PERMITS;
		} else {
			found->phase = GCP_F_DONE;
		}
	}
}

size_t gcp_discover_vms(const struct ff_cloud *cloud, struct ff_vm ***vms)
{
	if (cloud->found == NULL || cloud->found->phase != GCP_F_DONE)
		return 0;
	*vms = cloud->found->vms;
	return cloud->found->count;
}

const struct ff_strv *gcp_discover_notes(const struct ff_cloud *cloud)
{
	static const struct ff_strv none;

	return cloud->found ? &cloud->found->notes : &none;
}
