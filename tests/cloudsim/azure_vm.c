/* Reading machines: one, all, a page at a time. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

struct az_vm *az_vm_of(struct az_call *c)
{
	struct az_vm *vm = az_find_vm(c->az, c->scope);

	if (vm == NULL)
		az_refuse(c, 404, "ResourceNotFound",
			"The Resource 'Microsoft.Compute/virtualMachines/%s' under resource group '%s' was not found. "
			"For "
			"more details please go to https://aka.ms/ARMResourceNotFoundFix",
			c->name, c->group);
	return vm;
}

/* Everything that changes a machine needs the claim on it, but for the disks of a rescue VM. */
void az_note_mutation(struct az_call *c, const struct az_vm *vm, const char *what)
{
	bool rescue = vm->rescue || ff_strcaseeq(ff_json_str(vm->tags, "fixfleet-role"), "rescue");

	if (ff_json_str(vm->tags, "fixfleet-run") == NULL && !(rescue && ff_streq(what, "attach")))
		sim_violation(c->sim, "'%s' was changed (%s) without a claim on it", vm->name, what);
}

/* ---- pages */

static char *next_link(const struct az_call *c, size_t from)
{
	ff_auto_free char *number = ff_printf("%zu", from);
	ff_auto_free char *token = ff_base64url(number, strlen(number));
	ff_auto_buf link = {0};

	ff_buf_addf(&link, "%s%.*s?", c->req->base, (int)strcspn(c->req->target, "?"), c->req->target);
	for (size_t i = 0; i < c->query.count; i++) {
		const char *raw = c->query.items[i].name;
		ff_auto_free char *name = ff_percent_encode(raw + (*raw == '$'));
		ff_auto_free char *value = ff_percent_encode(c->query.items[i].value);

		if (!ff_strcaseeq(raw, "$skiptoken"))
			ff_buf_addf(&link, "%s%s=%s&", *raw == '$' ? "$" : "", name, value);
	}
	ff_buf_addf(&link, "$skiptoken=%s", token);
	return ff_buf_take(&link);
}

static size_t page_start(const struct az_call *c, size_t all)
{
	const char *token = az_query(c, "$skiptoken");
	size_t len;
	ff_auto_free char *number = token != NULL ? ff_base64_decode(token, &len) : NULL;
	int64_t from = 0;

	if (number == NULL || ff_parse_i64(number, 0, (int64_t)all, &from) < 0)
		return 0;
	return (size_t)from;
}

void az_list_add(struct az_list *list, const void *item)
{
	list->items = ff_realloc(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = item;
}

void az_page(struct az_call *c, struct az_list *list, json_t *(*make)(const struct az_call *c, const void *item))
{
	size_t all = list->count, size = (size_t)c->az->page_size, from = page_start(c, all);
	size_t end = from + size < all ? from + size : all;
	json_t *page = json_array(), *body = json_object();

	for (size_t i = from; i < end; i++)
		json_array_append_new(page, make(c, list->items[i]));
	free(list->items);
	ff_json_set_new(body, "value", page);
	if (end < all || (c->az->endless_next_link && all > 0)) {
		ff_auto_free char *link = next_link(c, end < all ? end : from);

		ff_json_set_str(body, "nextLink", link);
	}
	az_reply(c, 200, body);
}

/* ---- requests */

void az_vm_get(struct az_call *c)
{
	struct az_vm *vm = az_vm_of(c);
	const char *expand = az_query(c, "$expand");

	if (vm != NULL)
		az_reply(c, 200, az_vm_json(c, vm, false, ff_strcaseeq(expand, "instanceView")));
}

void az_vm_instance_view(struct az_call *c)
{
	struct az_vm *vm = az_vm_of(c);

	if (vm != NULL)
		az_reply(c, 200, az_instance_view(c->sim, c->az, vm));
}

static json_t *listed(const struct az_call *c, const void *vm)
{
	return az_vm_json(c, vm, true, false);
}

static json_t *listed_status(const struct az_call *c, const void *vm)
{
	return az_vm_status_json(c, vm);
}

void az_vm_list(struct az_call *c)
{
	bool status = ff_strcaseeq(az_query(c, "statusOnly"), "true") && c->group == NULL && c->location == NULL;
	struct az_list list = {0};

	if (ff_strcaseeq(az_query(c, "$expand"), "instanceView") && az_query(c, "$filter") == NULL) {
		az_refuse(c, 400, "BadRequest",
			"The expand 'instanceView' is only supported with the filter 'virtualMachineScaleSet/id'.");
		return;
	}
	for (size_t i = 0; i < c->az->vm_count; i++) {
		const struct az_vm *vm = c->az->vms[i];

		if ((c->group == NULL || ff_strcaseeq(vm->group, c->group)) &&
			(c->location == NULL || ff_strcaseeq(vm->location, c->location)))
			az_list_add(&list, vm);
	}
	az_page(c, &list, status ? listed_status : listed);
}

void az_vm_sizes(struct az_call *c)
{
	struct az_vm *vm = az_vm_of(c);

	if (vm == NULL)
		return;
	az_reply(c, 200,
		json_pack("{s:[{s:s,s:i,s:i,s:I,s:i,s:I}]}", "value", "name", vm->size, "numberOfCores", 2,
			"osDiskSizeInMB", 1047552, "resourceDiskSizeInMB", (json_int_t)az_size_temp_mb(vm->size),
			"memoryInMB", 8192, "maxDataDiskCount", (json_int_t)vm->max_data_disks));
}

/* ---------------------------------------------------------------- boot diagnostics */

#define BLOB_SECRET "sv=2023-11-03&sr=b&sig=c2VjcmV0LW9mLWEtYmxvYg%3D%3D&sp=r"

static char *blob_url(const struct az_call *c, const char *vm, const char *file)
{
	return ff_printf("%s/_blob/bootdiagnostics-%s/%s?%s", c->req->base, vm, file, BLOB_SECRET);
}

void az_vm_boot_diagnostics(struct az_call *c)
{
	struct az_vm *vm = az_vm_of(c);
	ff_auto_free char *screen = NULL, *log = NULL;

	if (vm == NULL)
		return;
	screen = blob_url(c, vm->name, "screenshot.bmp");
	log = blob_url(c, vm->name, "serialconsole.log");
	az_reply(c, 200, json_pack("{s:s,s:s}", "consoleScreenshotBlobUri", screen, "serialConsoleLogBlobUri", log));
}

static void blob_reply(struct az_call *c, int status, const char *type, const char *text)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", type);
	c->ans->body = ff_strdup(text);
	c->ans->body_len = strlen(text);
}

bool az_blob(struct az_call *c)
{
	const char *target = c->req->target;

	if (!ff_has_prefix(target, "/_blob/"))
		return false;
	if (ff_headers_get(&c->req->headers, "Authorization") != NULL || strstr(target, "?" BLOB_SECRET) == NULL)
		blob_reply(c, 403, "application/xml",
			"<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to "
			"authenticate the request.</Message></Error>");
	else if (strstr(target, "/screenshot.bmp?") != NULL)
		blob_reply(c, 200, "image/bmp", "BM screen of a VM");
	else
		blob_reply(c, 200, "text/plain", "*** STOP: 0x00000050 csagent.sys\r\n");
	return true;
}
