/*
 * Lists: of a zone, of the project, and aggregated over all zones, in pages.
 *
 * A page token is the number of the first item of the next page, made opaque. With `empty_pages` each page is preceded
 * by an empty one, as happens where a filter or a dead zone leaves nothing.
 */
#include "gcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RESULTS 500

struct list {
	json_t *items, *scopes; /* of the same length: resource, and the scope that it is in */
	struct gc_filter *filter;
	size_t from, to;
	bool empty, more;
};

static bool wanted(const struct gc_call *c, const struct list *l, const char *zone)
{
	(void)l;
	return c->zone == NULL || ff_streq(zone, c->zone);
}

/* Steals the item. An unreachable zone's are not there. */
static void add(const struct gc_call *c, struct list *l, const char *zone, bool regional, json_t *item)
{
	ff_auto_free char *scope = ff_printf("%s/%s", regional ? "regions" : "zones", zone);

	if (wanted(c, l, zone) && !gc_unreachable(c->gc, zone) && gc_filter_fits(l->filter, item)) {
		json_array_append(l->items, item);
		json_array_append_new(l->scopes, json_string(scope));
	}
	json_decref(item);
}

/* ---- paging */

static int read_token(struct gc_call *c, struct list *l)
{
	const char *token = gc_query(c, "pageToken");
	size_t n;
	ff_auto_free char *text = NULL;
	int64_t from = 0;

	if (token == NULL || *token == '\0') {
		l->empty = c->gc->empty_pages;
		return 0;
	}
	text = ff_base64_decode(token, &n);
	if (text == NULL || !ff_has_prefix(text, "sim:") ||
		ff_parse_i64(text + 5, 0, (int64_t)json_array_size(l->items), &from) < 0)
		return gc_refuse(
			c, 400, "invalid", "Invalid value for field 'pageToken': '%s'. Invalid page token.", token);
	l->from = (size_t)from;
	l->empty = text[4] == 'e';
	return 0;
}

static int read_page(struct gc_call *c, struct list *l)
{
	const char *text = gc_query(c, "maxResults");
	int64_t max = MAX_RESULTS;
	size_t count = json_array_size(l->items);

	if (text != NULL && ff_parse_i64(text, 0, MAX_RESULTS, &max) < 0)
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'maxResults': '%s'. Must be greater than or equal to 0 and less than "
			"or "
			"equal to 500.",
			text);
	if (read_token(c, l) < 0)
		return -1;
	if (max == 0 || (c->gc->page_size > 0 && max > c->gc->page_size))
		max = c->gc->page_size > 0 ? c->gc->page_size : MAX_RESULTS;
	l->to = l->from + (size_t)max < count ? l->from + (size_t)max : count;
	if (l->empty)
		l->to = l->from;
	l->more = l->to < count;
	return 0;
}

static void set_next(const struct gc_call *c, const struct list *l, json_t *body)
{
	char text[40];
	ff_auto_free char *token = NULL;

	if (!l->more)
		return;
	snprintf(text, sizeof(text), "sim:%c%zu", c->gc->empty_pages && !l->empty ? 'e' : 'p', l->to);
	token = ff_base64url(text, strlen(text));
	ff_json_set_str(body, "nextPageToken", token);
}

/* ---- opening and closing */

static int open_list(struct gc_call *c, struct list *l)
{
	const char *filter = gc_query(c, "filter");
	bool bad;

	*l = (struct list){.items = json_array(), .scopes = json_array()};
	l->filter = gc_filter_read(filter, &bad);
	if (bad || gc_query_bool(c, "returnPartialSuccess") < 0 || gc_query_bool(c, "includeAllScopes") < 0) {
		json_decref(l->items);
		json_decref(l->scopes);
		gc_filter_free(l->filter);
		if (bad)
			gc_refuse(c, 400, "invalid",
				"Invalid value for field 'filter': '%s'. Invalid list filter expression.", filter);
		return -1;
	}
	return 0;
}

static json_t *head(const struct gc_call *c, const char *kind)
{
	json_t *body = json_object();

	ff_json_set_str(body, "kind", kind);
	ff_json_set_str(body, "id", c->path + strlen("/compute/v1/"));
	ff_json_set_new(body, "selfLink", gc_url_json("%s", c->path + strlen("/compute/v1/")));
	return body;
}

static void close_list(struct gc_call *c, struct list *l, json_t *body)
{
	if (body != NULL) {
		set_next(c, l, body);
		gc_reply(c, 200, body);
	}
	json_decref(l->items);
	json_decref(l->scopes);
	gc_filter_free(l->filter);
}

static void plain(struct gc_call *c, struct list *l, const char *kind, const char *member)
{
	json_t *body = NULL, *items = json_array();

	if (read_page(c, l) == 0) {
		body = kind != NULL ? head(c, kind) : json_object();
		for (size_t i = l->from; i < l->to; i++)
			json_array_append(items, json_array_get(l->items, i));
		if (json_array_size(items) > 0 || kind == NULL)
			json_object_set(body, member, items);
	}
	json_decref(items);
	close_list(c, l, body);
}

/* ---- aggregated */

static json_t *warning(const char *code, const char *message, const char *scope)
{
	return json_pack("{s:{s:s,s:s,s:[{s:s,s:s}]}}", "warning", "code", code, "message", message, "data", "key",
		"scope", "value", scope);
}

static void say_nothing_there(json_t *items, const char *kind, const char *name)
{
	ff_auto_free char *scope = name != NULL ? ff_printf("%s/%s", kind, name) : ff_strdup(kind);
	ff_auto_free char *text = ff_printf("There are no results for scope '%s' on this page.", scope);

	if (json_object_get(items, scope) == NULL)
		ff_json_set_new(items, scope, warning("NO_RESULTS_ON_PAGE", text, scope));
}

/* Every zone has an entry; with includeAllScopes regions and the project have one, too. */
static void fill_scopes(struct gc_call *c, json_t *items)
{
	for (size_t i = 0; i < c->gc->zones.count; i++) {
		const char *zone = c->gc->zones.items[i];
		ff_auto_free char *scope = ff_printf("zones/%s", zone), *region = gc_region_of(zone);

		if (gc_unreachable(c->gc, zone))
			ff_json_set_new(items, scope, warning("UNREACHABLE", "The zone could not be reached.", scope));
		else
			say_nothing_there(items, "zones", zone);
		if (gc_query_bool(c, "includeAllScopes") == 1)
			say_nothing_there(items, "regions", region);
	}
	if (gc_query_bool(c, "includeAllScopes") == 1)
		say_nothing_there(items, "global", NULL);
}

static void set_unreachable(const struct gc_call *c, json_t *body)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->gc->unreachable.count; i++) {
		ff_auto_free char *scope =
			ff_printf("projects/%s/zones/%s", c->gc->project, c->gc->unreachable.items[i]);

		json_array_append_new(list, json_string(scope));
	}
	ff_json_set_new(body, "unreachables", list);
	ff_json_set_new(body, "warning",
		json_pack("{s:s,s:s}", "code", "PARTIAL_SUCCESS", "message", "Some scopes could not be reached."));
}

static void aggregated(struct gc_call *c, struct list *l, const char *kind, const char *member)
{
	json_t *body = NULL, *items = json_object();

	if (c->gc->unreachable.count > 0 && gc_query_bool(c, "returnPartialSuccess") != 1) {
		gc_refuse(c, 503, "backendError", "The service is currently unavailable.");
	} else if (read_page(c, l) == 0) {
		body = head(c, kind);
		for (size_t i = l->from; i < l->to; i++) {
			const char *scope = json_string_value(json_array_get(l->scopes, i));
			json_t *part = json_object_get(items, scope), *list;

			if (part == NULL)
				ff_json_set_new(items, scope, part = json_pack("{s:[]}", member));
			list = json_object_get(part, member);
			json_array_append(list, json_array_get(l->items, i));
		}
		fill_scopes(c, items);
		json_object_set(body, "items", items);
		if (c->gc->unreachable.count > 0)
			set_unreachable(c, body);
	}
	json_decref(items);
	close_list(c, l, body);
}

/* ---- what there is */

static void add_vms(const struct gc_call *c, struct list *l)
{
	for (size_t i = 0; i < c->gc->vm_count; i++)
		if (!c->gc->vms[i]->gone && wanted(c, l, c->gc->vms[i]->zone))
			add(c, l, c->gc->vms[i]->zone, false, gc_vm_json(c->gc, c->gc->vms[i], c->sim->now_ms));
}

static void add_disks(const struct gc_call *c, struct list *l)
{
	for (size_t i = 0; i < c->gc->disk_count; i++) {
		const struct gc_disk *d = c->gc->disks[i];

		if (gc_find_disk(c->gc, d->zone, d->name) == d && wanted(c, l, d->zone))
			add(c, l, d->zone, d->regional, gc_disk_json(c->gc, d));
	}
}

static void add_groups(const struct gc_call *c, struct list *l)
{
	for (size_t i = 0; i < c->gc->group_count; i++)
		add(c, l, c->gc->groups[i].zone, c->gc->groups[i].regional, gc_group_json(c->gc, &c->gc->groups[i]));
}

void gc_vm_list(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	add_vms(c, &l);
	plain(c, &l, "compute#instanceList", "items");
}

void gc_vm_aggregated(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	add_vms(c, &l);
	aggregated(c, &l, "compute#instanceAggregatedList", "instances");
}

void gc_disk_list(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	add_disks(c, &l);
	plain(c, &l, "compute#diskList", "items");
}

void gc_disk_aggregated(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	add_disks(c, &l);
	aggregated(c, &l, "compute#diskAggregatedList", "disks");
}

void gc_group_list(struct gc_call *c)
{
	struct list l;
	bool regional = strstr(c->path, "/regions/") != NULL;

	if (open_list(c, &l) < 0)
		return;
	add_groups(c, &l);
	plain(c, &l, regional ? "compute#regionInstanceGroupManagerList" : "compute#instanceGroupManagerList", "items");
}

void gc_group_aggregated(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	add_groups(c, &l);
	aggregated(c, &l, "compute#instanceGroupManagerAggregatedList", "instanceGroupManagers");
}

void gc_group_members(struct gc_call *c)
{
	struct list l;
	const struct gc_group *group = NULL;

	for (size_t i = 0; i < c->gc->group_count; i++)
		if (ff_streq(c->gc->groups[i].name, c->name) && ff_streq(c->gc->groups[i].zone, c->zone))
			group = &c->gc->groups[i];
	if (group == NULL) {
		gc_not_found(c, c->resource);
		return;
	}
	if (open_list(c, &l) < 0)
		return;
	for (size_t i = 0; i < c->gc->vm_count; i++) {
		const struct gc_vm *vm = c->gc->vms[i];
		ff_auto_free char *path = gc_vm_path(c->gc, vm);
		json_t *o;

		if (vm->gone || gc_group_of(c->gc, vm) != group)
			continue;
		o = json_pack("{s:o,s:s,s:s}", "instance", gc_url_json("%s", path), "instanceStatus",
			gc_status_names[gc_status_now(vm, c->sim->now_ms)], "currentAction",
			vm->status == GC_REPAIRING ? "RECREATING" : "NONE");
		gc_set_u64(o, "id", vm->id);
		add(c, &l, c->zone, false, o);
	}
	plain(c, &l, NULL, "managedInstances");
}

void gc_snapshot_list(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	for (size_t i = 0; i < c->gc->snapshot_count; i++)
		if (!c->gc->snapshots[i]->gone)
			add(c, &l, "global", false, gc_snapshot_json(c->gc, c->gc->snapshots[i], c->sim->now_ms));
	plain(c, &l, "compute#snapshotList", "items");
}

void gc_operation_list(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	for (size_t i = 0; i < c->gc->op_count; i++) {
		const struct gc_job *job = c->gc->ops[i]->job;

		if ((job->zone == NULL) == (c->zone == NULL))
			add(c, &l, job->zone != NULL ? job->zone : "global", false,
				gc_op_json(c->gc, c->gc->ops[i], c->sim->now_ms));
	}
	plain(c, &l, "compute#operationList", "items");
}

/* Reserved addresses; ephemeral ones are not among them, which is how they are told apart. */
void gc_address_aggregated(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	for (size_t i = 0; i < c->gc->vm_count; i++) {
		const struct gc_vm *vm = c->gc->vms[i];
		ff_auto_free char *path = gc_vm_path(c->gc, vm), *region = gc_region_of(vm->zone);

		if (vm->address != NULL)
			add(c, &l, region, true,
				json_pack("{s:s,s:s,s:s,s:s,s:s,s:[o]}", "kind", "compute#address", "name", vm->address,
					"address", vm->nat_ip, "addressType", "EXTERNAL", "status", "IN_USE", "users",
					gc_url_json("%s", path)));
	}
	aggregated(c, &l, "compute#addressAggregatedList", "addresses");
}

void gc_zone_list(struct gc_call *c)
{
	struct list l;

	if (open_list(c, &l) < 0)
		return;
	for (size_t i = 0; i < c->gc->zones.count; i++) {
		const char *zone = c->gc->zones.items[i];

		add(c, &l, zone, false,
			json_pack("{s:s,s:s,s:s,s:o}", "kind", "compute#zone", "name", zone, "status", "UP", "selfLink",
				gc_url_json("projects/%s/zones/%s", c->gc->project, zone)));
	}
	plain(c, &l, "compute#zoneList", "items");
}
