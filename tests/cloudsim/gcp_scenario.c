/* GCP's part of a scenario: README.md is its description. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

bool gc_name_is_fine(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 63 || name[0] < 'a' || name[0] > 'z' || name[n - 1] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* ---- identity */

static int read_account(struct gcp *gc, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"email", "private_key_id", "public_key", "private_key", NULL};
	const char *email = NULL, *key_id = GC_KEY_ID, *public_key = NULL, *private_key = NULL;
	ff_auto_free char *usual = ff_printf(GC_EMAIL, gc->project);
	const json_t *o;

	if (sim_object(part, "gcp", "service_account", &o, err) < 0)
		return -1;
	if (o != NULL && (sim_only(o, "gcp.service_account", members, err) < 0 ||
				 sim_text(o, "gcp.service_account", "email", &email, err) < 0 ||
				 sim_text(o, "gcp.service_account", "private_key_id", &key_id, err) < 0 ||
				 sim_text(o, "gcp.service_account", "public_key", &public_key, err) < 0 ||
				 sim_text(o, "gcp.service_account", "private_key", &private_key, err) < 0))
		return -1;
	gc->email = ff_strdup(email != NULL ? email : usual);
	gc->key_id = ff_strdup(key_id);
	gc->public_key = private_key != NULL ? gc_public_half(private_key) : ff_strdup(public_key);
	return private_key == NULL || gc->public_key != NULL
		       ? 0
		       : ff_fail(err, FF_E_USAGE, "gcp.service_account: 'private_key' is no private key in PEM");
}

static int read_user(struct gcp *gc, const json_t *part, struct ff_err *err)
{
	static const char *const user_members[] = {"client_id", "client_secret", "refresh_token", NULL};
	static const char *const federation_members[] = {"audience", "subject_token", NULL};
	const char *client = NULL, *secret = NULL, *refresh = NULL, *audience = NULL, *subject = NULL;
	const json_t *user, *federation;

	if (sim_object(part, "gcp", "user", &user, err) < 0 ||
		sim_object(part, "gcp", "federation", &federation, err) < 0)
		return -1;
	if (user != NULL && (sim_only(user, "gcp.user", user_members, err) < 0 ||
				    sim_text(user, "gcp.user", "client_id", &client, err) < 0 ||
				    sim_text(user, "gcp.user", "client_secret", &secret, err) < 0 ||
				    sim_text(user, "gcp.user", "refresh_token", &refresh, err) < 0))
		return -1;
	if (federation != NULL && (sim_only(federation, "gcp.federation", federation_members, err) < 0 ||
					  sim_text(federation, "gcp.federation", "audience", &audience, err) < 0 ||
					  sim_text(federation, "gcp.federation", "subject_token", &subject, err) < 0))
		return -1;
	if (user != NULL && (client == NULL || secret == NULL || refresh == NULL))
		return ff_fail(err, FF_E_USAGE, "gcp.user: needs 'client_id', 'client_secret' and 'refresh_token'");
	if (federation != NULL && (audience == NULL || subject == NULL))
		return ff_fail(err, FF_E_USAGE, "gcp.federation: needs 'audience' and 'subject_token'");
	gc->user_client = ff_strdup(client);
	gc->user_secret = ff_strdup(secret);
	gc->user_refresh = ff_strdup(refresh);
	gc->audience = ff_strdup(audience);
	gc->subject_token = ff_strdup(subject);
	return 0;
}

static int read_project(struct gcp *gc, const json_t *part, struct ff_err *err)
{
	const char *project = GC_PROJECT, *number = "628364689359", *vm = NULL;

	gc->token_seconds = 3599;
	gc->metadata_account = true;
	if (sim_text(part, "gcp", "project", &project, err) < 0 ||
		sim_text(part, "gcp", "project_number", &number, err) < 0 ||
		sim_text(part, "gcp", "metadata_vm", &vm, err) < 0 ||
		sim_bool(part, "gcp", "metadata_account", &gc->metadata_account, err) < 0 ||
		sim_int(part, "gcp", "token_seconds", 1, 86400, &gc->token_seconds, err) < 0 ||
		sim_int(part, "gcp", "page_size", 1, 500, &gc->page_size, err) < 0)
		return -1;
	gc->project = ff_strdup(project);
	gc->number = ff_strdup(number);
	gc->metadata_vm = ff_strdup(vm);
	return read_account(gc, part, err) < 0 ? -1 : read_user(gc, part, err);
}

/* ---- numbers and switches */

struct number {
	const char *name;
	int64_t usual;
};

/* An object of whole numbers, each with its usual value; those without a name are not asked for. */
static int read_numbers(const json_t *part, const char *member, const struct number *known, size_t count, int64_t *out,
	struct ff_err *err)
{
	const char *names[GC_L_COUNT + GC_Q_COUNT] = {0};
	ff_auto_free char *where = ff_printf("gcp.%s", member);
	const json_t *o;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (known[i].name != NULL)
			names[n++] = known[i].name;
	if (sim_object(part, "gcp", member, &o, err) < 0 || (o != NULL && sim_only(o, where, names, err) < 0))
		return -1;
	for (size_t i = 0; i < count; i++) {
		out[i] = known[i].usual;
		if (known[i].name != NULL && sim_int(o, where, known[i].name, 0, 86400000, &out[i], err) < 0)
			return -1;
	}
	return 0;
}

static int read_latencies(struct sim *sim, struct gcp *gc, const json_t *part, struct ff_err *err)
{
	/* two minutes for a guest that does not answer is documented; nothing public shows the others */
	static const struct number known[GC_L_COUNT] = {
		[GC_L_STOP] = {"stop", 25000},
		[GC_L_STOP_HUNG] = {"stopHung", 120000},
		[GC_L_START] = {"start", 8000},
		[GC_L_BOOT] = {"boot", 45000},
		[GC_L_ATTACH] = {"attach", 3000},
		[GC_L_DETACH] = {"detach", 3000},
		[GC_L_LABELS] = {"labels", 300},
		[GC_L_AUTO_DELETE] = {"autoDelete", 1000},
		[GC_L_SNAPSHOT] = {"snapshot", 8000},
		[GC_L_UPLOAD] = {"upload", 30000},
		[GC_L_SNAPSHOT_DELETE] = {"snapshotDelete", 3000},
		[GC_L_RECREATE] = {"recreate", 60000},
		[GC_L_CREATE] = {"create", 5000},
		[GC_L_DELETE] = {"delete", 2000},
		[GC_L_PENDING] = {"pending", 100},
		[GC_L_CYCLE] = {"bootCycle", 40000},
	};

	if (read_numbers(part, "latency_ms", known, GC_L_COUNT, gc->latency, err) < 0)
		return -1;
	for (int i = 0; i < GC_L_COUNT; i++)
		gc->latency[i] = sim_scaled(sim, gc->latency[i]);
	if (gc->latency[GC_L_CYCLE] == 0)
		gc->latency[GC_L_CYCLE] = 1;
	return 0;
}

static int read_quotas(struct gcp *gc, const json_t *part, struct ff_err *err)
{
	static const struct number known[GC_Q_COUNT] = {
		[GC_Q_READ] = {"reads", 1500},
		[GC_Q_LIST] = {"lists", 1500},
		[GC_Q_MUTATE] = {"mutations", 1500},
		[GC_Q_OPERATION] = {"operation_reads", 1500},
		[GC_Q_SERIAL] = {"serial", 1500},
		[GC_Q_CONCURRENT] = {"concurrent_operations", 0},
		[GC_Q_SNAPSHOTS] = {"snapshots_per_hour", 6},
	};

	return read_numbers(part, "quotas", known, GC_Q_COUNT, gc->quota, err);
}

static int read_switches(struct sim *sim, struct gcp *gc, const json_t *part, struct ff_err *err)
{
	static const char *const refusals[] = {"http", "operation", NULL};
	static const char *const concurrent[] = {"queue", "refuse", NULL};
	static const char *const serials[] = {"fresh", "keep", NULL};
	int64_t link = 500;

	if (sim_word(part, "gcp", "refusals", refusals, &gc->refusals, err) < 0 ||
		sim_word(part, "gcp", "concurrent", concurrent, &gc->concurrent, err) < 0 ||
		sim_word(part, "gcp", "serial", serials, &gc->serial, err) < 0 ||
		sim_bool(part, "gcp", "empty_pages", &gc->empty_pages, err) < 0 ||
		sim_bool(part, "gcp", "loses_auto_delete", &gc->loses_auto_delete, err) < 0 ||
		sim_int(part, "gcp", "link_delay_ms", 0, 3600000, &link, err) < 0)
		return -1;
	gc->link_delay_ms = sim_scaled(sim, link);
	return 0;
}

/* ---- lists */

static int read_texts(const json_t *part, const char *name, struct ff_strv *out, struct ff_err *err)
{
	const json_t *list;
	size_t i;
	json_t *item;

	if (sim_array(part, "gcp", name, &list, err) < 0)
		return -1;
	json_array_foreach (list, i, item) {
		if (!json_is_string(item) || json_string_length(item) == 0)
			return ff_fail(err, FF_E_USAGE, "gcp: '%s' holds something that is no text", name);
		ff_strv_add(out, json_string_value(item));
	}
	return 0;
}

static int read_places(struct gcp *gc, const json_t *part, struct ff_err *err)
{
	static const char *const usual[] = {"us-central1-a", "us-central1-b", "us-central1-c", "us-east1-b"};

	if (read_texts(part, "zones", &gc->zones, err) < 0 ||
		read_texts(part, "unreachable_zones", &gc->unreachable, err) < 0 ||
		read_texts(part, "impersonate", &gc->impersonate, err) < 0)
		return -1;
	for (size_t i = 0; i < FF_COUNT(usual) && json_object_get(part, "zones") == NULL; i++)
		ff_strv_add(&gc->zones, usual[i]);
	for (size_t i = 0; i < gc->unreachable.count; i++)
		if (!gc_known_zone(gc, gc->unreachable.items[i]))
			return ff_fail(err, FF_E_USAGE, "gcp.unreachable_zones: '%s' is not among 'zones'",
				gc->unreachable.items[i]);
	return 0;
}

static int read_deny(struct gcp *gc, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"permission", "resource", NULL};
	const char *permission = "*", *resource = "*";

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "permission", &permission, err) < 0 ||
		sim_text(o, where, "resource", &resource, err) < 0)
		return -1;
	gc->deny = ff_realloc(gc->deny, gc->deny_count + 1, sizeof(*gc->deny));
	gc->deny[gc->deny_count++] = (struct gc_deny){ff_strdup(permission), ff_strdup(resource)};
	return 0;
}

static int read_group(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "zone", "region", "on_failure", NULL};
	static const char *const actions[] = {"DO_NOTHING", "REPAIR", NULL};
	const char *name = NULL, *zone = NULL, *region = NULL;
	int action = 1;
	struct gc_group *g;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_text(o, where, "zone", &zone, err) < 0 || sim_text(o, where, "region", &region, err) < 0 ||
		sim_word(o, where, "on_failure", actions, &action, err) < 0)
		return -1;
	if (name == NULL || !gc_name_is_fine(name) || (zone != NULL) == (region != NULL) ||
		(zone != NULL && !gc_known_zone(gc, zone)) || (region != NULL && !gc_known_region(gc, region)))
		return ff_fail(err, FF_E_USAGE, "%s: needs 'name' and one of 'zone' and 'region', a known one", where);
	gc->groups = ff_realloc(gc->groups, gc->group_count + 1, sizeof(*gc->groups));
	g = &gc->groups[gc->group_count++];
	*g = (struct gc_group){ff_strdup(name), ff_strdup(zone != NULL ? zone : region), region != NULL, action == 1,
		sim_random(sim) >> 1};
	return 0;
}

static int read_lists(struct sim *sim, struct gcp *gc, const json_t *part, struct ff_err *err)
{
	static const struct {
		const char *name;
		int (*read)(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err);
	} lists[] = {{"groups", read_group}, {"vms", gc_read_vm}, {"disks", gc_read_loose_disk},
		{"snapshots", gc_read_snapshot}, {"deny", NULL}};

	for (size_t k = 0; k < FF_COUNT(lists); k++) {
		const json_t *list;
		size_t i;
		json_t *o;

		if (sim_array(part, "gcp", lists[k].name, &list, err) < 0)
			return -1;
		json_array_foreach (list, i, o) {
			ff_auto_free char *where = ff_printf("gcp.%s[%zu]", lists[k].name, i);

			if ((lists[k].read != NULL ? lists[k].read(sim, gc, o, where, err)
						   : read_deny(gc, o, where, err)) < 0)
				return -1;
		}
	}
	return 0;
}

struct gcp *gc_scenario(struct sim *sim, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"project", "project_number", "service_account", "user", "federation",
		"impersonate", "metadata_vm", "metadata_account", "token_seconds", "page_size", "empty_pages", "zones",
		"unreachable_zones", "groups", "vms", "disks", "snapshots", "deny", "secrets", "latency_ms", "quotas",
		"refusals", "concurrent", "serial", "link_delay_ms", "loses_auto_delete", NULL};
	struct gcp *gc = ff_calloc(1, sizeof(*gc));

	gc->vm_index = json_object();
	gc->secrets = json_deep_copy(json_object_get(part, "secrets"));
	gc->disk_index = json_object();
	gc->op_index = json_object();
	gc->request_index = json_object();
	if (sim_only(part, "gcp", members, err) < 0 || read_project(gc, part, err) < 0 ||
		read_places(gc, part, err) < 0 || read_latencies(sim, gc, part, err) < 0 ||
		read_quotas(gc, part, err) < 0 || read_switches(sim, gc, part, err) < 0 ||
		read_lists(sim, gc, part, err) < 0) {
		gc_free(gc);
		return NULL;
	}
	return gc;
}
