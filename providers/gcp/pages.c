/* What the answers of discovery hold: lists page by page, partial ones said aloud, and single resources. */
#include "found.h"

#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 10000
#define NOTES_MAX 64

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
	case GCP_Q_PERMITS:
		return "permissions";
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
	gcp_question_new(cloud->found, GCP_Q_MEMBERS, path, "/listManagedInstances?maxResults=500");
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
			gcp_found_add_disk(found, path, item);
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
	if (q->asked == GCP_Q_DISKS && found->claimed != NULL) /* a disk that is away would seem to bear no label */
		return ff_wrap(err, "%s", what_of(q->asked));
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
		gcp_found_add_disk(found, q->path, body);
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
	if (q->asked == GCP_Q_PERMITS) {
		gcp_permits_read(found, q, body);
		return 0;
	}
	if (q->asked >= GCP_Q_DISK) {
		read_one(cloud, q, body);
		return 0;
	}
	if (q->asked == GCP_Q_ADDRESSES && found->addresses == NULL)
		found->addresses = json_object();
	take_page(cloud, q, body);
	return next_page(found, q, body, err);
}
