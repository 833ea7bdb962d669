/*
 * The questions of discovery and their order: lists first, all at once, then what the lists made necessary to ask. A
 * filter would cost its own quota, so everything is listed and chosen here.
 */
#include "found.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 10000
#define NOTES_MAX 64
#define LIST_TAIL "?maxResults=500&returnPartialSuccess=true"

/* ---------------------------------------------------------------- questions */

static struct gcp_question *question(struct gcp_found *found, enum gcp_asked asked, char *path_owned, const char *tail)
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
		json_decref(found->items[i]->raw);
		free(found->items[i]);
	}
	free(found->items);
	free(found->vms);
	json_decref(found->disks);
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
		question(cloud->found, asked,
			ff_printf("projects/%s/zones/%s/%s", cloud->project, cloud->zones.items[i], what), LIST_TAIL);
	if (cloud->zones.count == 0)
		question(cloud->found, asked, ff_printf("projects/%s/aggregated/%s", cloud->project, what),
			LIST_TAIL "&includeAllScopes=true");
}

static void begin(struct ff_cloud *cloud)
{
	struct gcp_found *found = cloud->found;

	found->disks = json_object();
	found->groups = json_object();
	found->machines = json_object();
	if (cloud->csek_file != NULL)
		question(found, GCP_Q_KEYS, ff_strdup(cloud->csek_file), "");
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
	if (gcp_found_disk(found, vm) == NULL && *vm->vm.disk_id != '\0')
		question(found, GCP_Q_DISK, ff_strdup(vm->vm.disk_id), "")->vm = i;
	if (vm->vm.running) {
		snprintf(tail, sizeof(tail), "/serialPort?port=1&start=-%d", GCP_SERIAL_BYTES);
		question(found, GCP_Q_SERIAL, ff_strdup(vm->vm.id), tail)->vm = i;
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

		windows = windows || vm->windows;
		if (gcp_found_is_rescue(cloud, vm)) {
			char *machine = gcp_path(ff_json_str(vm->raw, "machineType"));

			if (machine != NULL && json_object_get(found->machines, machine) == NULL) {
				ff_json_set_int(found->machines, machine, 0);
				question(found, GCP_Q_MACHINE, machine, "");
			} else {
				free(machine);
			}
		} else {
			ask_about(found, i, &addresses);
		}
	}
	if (windows)
		question(found, GCP_Q_MANAGERS, project_path(cloud, "aggregated/instanceGroupManagers"),
			LIST_TAIL "&includeAllScopes=true");
	if (addresses)
		question(found, GCP_Q_ADDRESSES, project_path(cloud, "aggregated/addresses"),
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
			members ? "POST" : "GET", q->path, tail);
		if (q->asked == GCP_Q_SERIAL)
			ask->answer_bytes_max = GCP_SERIAL_ANSWER;
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
		} else {
			gcp_found_finish(cloud);
			found->phase = GCP_F_DONE;
		}
	}
}

/* ---------------------------------------------------------------- reading lists */

static void note(struct gcp_found *found, char *text_owned)
{
	if (found->notes.count < NOTES_MAX && !ff_strv_has(&found->notes, text_owned))
		ff_strv_add(&found->notes, text_owned);
	free(text_owned);
}

static const char *what_of(enum gcp_asked asked)
{
	switch (asked) {
	case GCP_Q_INSTANCES:
		return "instances";
	case GCP_Q_DISKS:
		return "disks";
	case GCP_Q_MANAGERS:
	case GCP_Q_MEMBERS:
		return "managed instance groups";
	case GCP_Q_ADDRESSES:
		return "addresses";
	case GCP_Q_SERIAL:
		return "serial output";
	case GCP_Q_MACHINE:
		return "machine types";
	default:
		return "a disk";
	}
}

/* An unreachable zone is not an empty one. */
static void note_warning(
	struct gcp_found *found, const struct gcp_question *q, const char *where, const json_t *warning)
{
	const char *code = ff_json_str(warning, "code"), *message = ff_json_str(warning, "message");

	if (code == NULL || ff_streq(code, "NO_RESULTS_ON_PAGE"))
		return;
	note(found, ff_printf("%s of %.80s may be incomplete: %.60s%s%.300s", what_of(q->asked), where, code,
			    message ? ": " : "", message ? message : ""));
}

static void note_unreachable(struct gcp_found *found, const struct gcp_question *q, const json_t *body)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(body, "unreachables"), i, item)
		if (json_is_string(item))
			note(found, ff_printf("%s of %.120s could not be reached: what is there is not known",
					    what_of(q->asked), gcp_last(json_string_value(item))));
	note_warning(found, q, "the project", json_object_get(body, "warning"));
}

static void take_manager(struct ff_cloud *cloud, const json_t *manager)
{
	char *path = gcp_path(ff_json_str(manager, "selfLink"));

	if (path == NULL || strstr(path, "/instanceGroupManagers/") == NULL) {
		free(path);
		return;
	}
	question(cloud->found, GCP_Q_MEMBERS, path, "/listManagedInstances?maxResults=500");
}

static void take_member(struct gcp_found *found, const struct gcp_question *q, const json_t *member)
{
	ff_auto_free char *path = gcp_path(ff_json_str(member, "instance"));

	if (path != NULL)
		ff_json_set_str(found->groups, path, gcp_last(q->path));
}

static void take_item(struct ff_cloud *cloud, const struct gcp_question *q, json_t *item)
{
	struct gcp_found *found = cloud->found;
	ff_auto_free char *path = NULL;

	switch (q->asked) {
	case GCP_Q_INSTANCES:
		gcp_found_add(cloud, item);
		break;
	case GCP_Q_DISKS:
	case GCP_Q_DISK:
		path = gcp_path(ff_json_str(item, "selfLink"));
		if (path != NULL)
			json_object_set(found->disks, path, item);
		break;
	case GCP_Q_MANAGERS:
		take_manager(cloud, item);
		break;
	case GCP_Q_MEMBERS:
		take_member(found, q, item);
		break;
	case GCP_Q_ADDRESSES:
		if (ff_json_str(item, "address") != NULL)
			ff_json_set_bool(found->addresses, ff_json_str(item, "address"), true);
		break;
	default:
		break;
	}
}

static void take_array(struct ff_cloud *cloud, const struct gcp_question *q, const json_t *array)
{
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)array, i, item)
		if (json_is_object(item))
			take_item(cloud, q, item);
}

/* "items" is an array, or an object of scopes each with an array of its own name, or with a warning. */
static void take_page(struct ff_cloud *cloud, const struct gcp_question *q, const json_t *body)
{
	static const char *const names[] = {"instances", "disks", "instanceGroupManagers", "addresses"};
	const json_t *items = json_object_get(body, "items"), *scope;
	const char *where;

	take_array(cloud, q, json_is_array(items) ? items : NULL);
	take_array(cloud, q, json_object_get(body, "managedInstances"));
	json_object_foreach ((json_t *)items, where, scope) {
		for (size_t i = 0; i < FF_COUNT(names); i++)
			take_array(cloud, q, json_object_get(scope, names[i]));
		note_warning(cloud->found, q, where, json_object_get(scope, "warning"));
	}
	note_unreachable(cloud->found, q, body);
}

/* A page may be empty and still have a next one; the same token again would never end. */
static int next_page(struct gcp_found *found, struct gcp_question *q, const json_t *body, struct ff_err *err)
{
	const char *token = ff_json_str(body, "nextPageToken");

	if (token == NULL || *token == '\0')
		return 0;
	if (ff_streq(token, q->page) || ++q->pages >= PAGES_MAX)
		return ff_fail(err, FF_E_BUG, "the list of %s does not end: its page %u names itself as the next",
			what_of(q->asked), q->pages);
	free(q->page);
	q->page = ff_strdup(token);
	q->sent = false;
	for (size_t i = 0; i < found->question_count; i++)
		if (found->questions[i] == q && i < found->first_unsent)
			found->first_unsent = i;
	return 0;
}

/* ---------------------------------------------------------------- reading answers */

static int read_keys(struct ff_cloud *cloud, const struct ff_answer *answer, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(cloud->csek_file);

	if (answer->transport != FF_T_OK || answer->status != 0)
		return ff_fail(err, FF_E_USAGE, "--csek-key-file '%s' cannot be read: %s", clean,
			answer->status > 0 ? strerror(answer->status) : answer->why);
	if (gcp_keys_read(&cloud->keys, answer->body ? answer->body : "", answer->body_len, err) < 0)
		return ff_wrap(err, "--csek-key-file '%s'", clean);
	return 0;
}

/* What can be done without: said, and gone on. */
static int read_failure(struct gcp_found *found, const struct gcp_question *q, struct ff_err *err)
{
	if (q->asked == GCP_Q_INSTANCES)
		return -1;
	if (q->asked == GCP_Q_SERIAL && err->class != FF_E_DENIED)
		return 0; /* the VM's evidence says so */
	/* a thousand refusals that differ in a name are one note */
	if (err->class == FF_E_DENIED && q->asked >= GCP_Q_MEMBERS)
		note(found, ff_printf("%s cannot be read: permission is missing", what_of(q->asked)));
	else
		note(found, ff_printf("%s cannot be read: %.500s", what_of(q->asked), err->text));
	return 0;
}

static void read_one(struct ff_cloud *cloud, const struct gcp_question *q, json_t *body)
{
	struct gcp_found *found = cloud->found;
	struct gcp_vm *vm = q->vm < found->count ? found->items[q->vm] : NULL;

	if (q->asked == GCP_Q_DISK) {
		json_object_set(found->disks, q->path, body);
	} else if (q->asked == GCP_Q_MACHINE) {
		ff_json_set_int(found->machines, q->path, ff_json_int(body, "maximumPersistentDisks", 0));
	} else if (q->asked == GCP_Q_SERIAL && vm != NULL) {
		vm->serial_read = true;
		vm->serial_health = gcp_serial_answer(body, 0, &vm->serial);
	}
}

int gcp_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer,
	struct ff_err *err)
{
	struct gcp_found *found = cloud->found;
	struct gcp_question *q = ask->tag_data;
	ff_auto_json json_t *body = NULL;

	(void)wall_ms;
	found->out--;
	if (q->asked == GCP_Q_KEYS)
		return read_keys(cloud, answer, err);
	if (gcp_reply(answer, &body, err) != FF_E_NONE)
		return read_failure(found, q, err);
	if (q->asked >= GCP_Q_DISK) {
		read_one(cloud, q, body);
		return 0;
	}
	if (q->asked == GCP_Q_ADDRESSES && found->addresses == NULL)
		found->addresses = json_object();
	take_page(cloud, q, body);
	return next_page(found, q, body, err);
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
