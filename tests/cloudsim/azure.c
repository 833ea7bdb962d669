/*
 * The way of a request through Azure: front end (length, token), Resource Manager (subscription, group, permission,
 * lock), Compute (budget, body), and the handler of its route.
 */
#include "azure.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX (4 * 1024 * 1024) /* Resource Manager's own limit */

enum needs { READS = 0, WRITES = 1, DELETES = 2, BODY = 4, VM_BUCKET = 8 };

struct az_route {
	const char *method, *path, *action, *kind;
	unsigned needs;
	enum az_group bucket;
	az_handler *handler;
};

#define S  "subscriptions/{s}"
#define C  "providers/Microsoft.Compute"
#define R  S "/resourceGroups/{g}/" C
#define V  R "/virtualMachines"
#define MC "Microsoft.Compute/"

/* clang-format off */
static const struct az_route routes[] = {
	{"GET", S "/" C "/virtualMachines", MC "virtualMachines/read", "vm list all", READS, AZ_HIGH_COST_GET, az_vm_list},
	{"GET", S "/" C "/locations/{l}/virtualMachines", MC "virtualMachines/read", "vm list location", READS, AZ_HIGH_COST_GET, az_vm_list},
	{"GET", V, MC "virtualMachines/read", "vm list", READS, AZ_HIGH_COST_GET, az_vm_list},
	{"GET", V "/{n}", MC "virtualMachines/read", "vm get", VM_BUCKET, AZ_LOW_COST_GET, az_vm_get},
	{"GET", V "/{n}/instanceView", MC "virtualMachines/instanceView/read", "vm instanceView", VM_BUCKET, AZ_LOW_COST_GET, az_vm_instance_view},
	{"GET", V "/{n}/vmSizes", MC "virtualMachines/vmSizes/read", "vm sizes", VM_BUCKET, AZ_LOW_COST_GET, az_vm_sizes},
	{"PATCH", V "/{n}", MC "virtualMachines/write", "vm patch", WRITES | BODY | VM_BUCKET, AZ_PUT_VM, az_vm_patch},
	{"PUT", V "/{n}", MC "virtualMachines/write", "vm put", WRITES | BODY | VM_BUCKET, AZ_PUT_VM, az_vm_put},
	{"POST", V "/{n}/powerOff", MC "virtualMachines/powerOff/action", "vm powerOff", WRITES | VM_BUCKET, AZ_UPDATE_VM, az_power_off},
	{"POST", V "/{n}/deallocate", MC "virtualMachines/deallocate/action", "vm deallocate", WRITES | VM_BUCKET, AZ_DELETE_VM, az_deallocate},
	{"POST", V "/{n}/start", MC "virtualMachines/start/action", "vm start", WRITES | VM_BUCKET, AZ_UPDATE_VM, az_start},
	{"POST", V "/{n}/restart", MC "virtualMachines/restart/action", "vm restart", WRITES | VM_BUCKET, AZ_UPDATE_VM, az_restart},
	{"POST", V "/{n}/attachDetachDataDisks", MC "virtualMachines/attachDetachDataDisks/action", "vm attachDetachDataDisks", WRITES | BODY | VM_BUCKET, AZ_UPDATE_VM, az_attach_detach},
	{"POST", V "/{n}/retrieveBootDiagnosticsData", MC "virtualMachines/retrieveBootDiagnosticsData/action", "vm bootDiagnostics", VM_BUCKET, AZ_LOW_COST_GET, az_vm_boot_diagnostics},
	{"GET", S "/" C "/disks", MC "disks/read", "disk list all", READS, AZ_HIGH_COST_GET, az_disk_list},
	{"GET", R "/disks", MC "disks/read", "disk list", READS, AZ_HIGH_COST_GET, az_disk_list},
	{"GET", R "/disks/{n}", MC "disks/read", "disk get", READS, AZ_GET_DISK, az_disk_get},
	{"PUT", R "/disks/{n}", MC "disks/write", "disk put", WRITES | BODY, AZ_WRITE_DISK, az_disk_put},
	{"PATCH", R "/disks/{n}", MC "disks/write", "disk patch", WRITES | BODY, AZ_WRITE_DISK, az_disk_patch},
	{"DELETE", R "/disks/{n}", MC "disks/delete", "disk delete", DELETES, AZ_DELETE_DISK, az_disk_delete},
	{"GET", S "/" C "/snapshots", MC "snapshots/read", "snapshot list all", READS, AZ_HIGH_COST_GET, az_disk_list},
	{"GET", R "/snapshots", MC "snapshots/read", "snapshot list", READS, AZ_HIGH_COST_GET, az_disk_list},
	{"GET", R "/snapshots/{n}", MC "snapshots/read", "snapshot get", READS, AZ_GET_DISK, az_disk_get},
	{"PUT", R "/snapshots/{n}", MC "snapshots/write", "snapshot put", WRITES | BODY, AZ_WRITE_DISK, az_disk_put},
	{"PATCH", R "/snapshots/{n}", MC "snapshots/write", "snapshot patch", WRITES | BODY, AZ_WRITE_DISK, az_disk_patch},
	{"DELETE", R "/snapshots/{n}", MC "snapshots/delete", "snapshot delete", DELETES, AZ_DELETE_DISK, az_disk_delete},
	{"GET", S "/" C "/skus", MC "skus/read", "skus", READS, AZ_HIGH_COST_GET, az_skus},
	{"GET", S "/" C "/locations/{l}/operations/{n}", MC "locations/operations/read", "poll vm", READS, AZ_NO_BUCKET, az_poll},
	{"GET", S "/" C "/locations/{l}/DiskOperations/{n}", MC "locations/diskOperations/read", "poll disk", READS, AZ_NO_BUCKET, az_poll},
	{"GET", S "/providers/Microsoft.Authorization/locks", "Microsoft.Authorization/locks/read", "locks", READS, AZ_NO_BUCKET, az_locks},
	{"GET", S "/providers/Microsoft.Network/publicIPAddresses", "Microsoft.Network/publicIPAddresses/read", "public addresses", READS, AZ_NO_BUCKET, az_public_addresses},
};
/* clang-format on */

/* ---- answering */

void az_header(struct az_call *c, const char *name, const char *fmt, ...)
{
	ff_auto_free char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	value = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_headers_add(&c->ans->headers, name, value);
}

void az_reply(struct az_call *c, int status, json_t *body)
{
	c->ans->status = status;
	if (body == NULL)
		return;
	ff_headers_set(&c->ans->headers, "Content-Type", "application/json; charset=utf-8");
	free(c->ans->body);
	c->ans->body = ff_json_text(body);
	c->ans->body_len = strlen(c->ans->body);
	json_decref(body);
}

void az_refuse_into(struct sim_answer *ans, int status, const char *code, const char *message)
{
	ff_auto_json json_t *body = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);

	ans->status = status;
	ff_headers_set(&ans->headers, "Content-Type", "application/json; charset=utf-8");
	free(ans->body);
	ans->body = ff_json_text(body);
	ans->body_len = strlen(ans->body);
}

int az_refuse(struct az_call *c, int status, const char *code, const char *fmt, ...)
{
	ff_auto_free char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = ff_vprintf(fmt, ap);
	va_end(ap);
	az_refuse_into(c->ans, status, code, message);
	return -1;
}

/* What a fault that names only a status looks like from Azure. */
static void refuse(void *self, const struct sim_fault *f, struct sim_answer *ans)
{
	const char *code = f->code != NULL ? f->code : "InternalServerError";
	const char *message = f->message != NULL ? f->message : "Encountered internal server error.";
	ff_auto_free char *seconds = ff_printf("%lld", (long long)f->retry_after_s);

	(void)self;
	if (f->retry_after_s >= 0)
		ff_headers_add(&ans->headers, "Retry-After", seconds);
	if (f->status >= 502 && f->status <= 504 && f->code == NULL) { /* the front end's own */
		ans->status = f->status;
		ff_headers_add(&ans->headers, "Content-Type", "text/html");
		ans->body = ff_strdup("<html><body><h1>Our services aren't available right now</h1></body></html>");
		ans->body_len = strlen(ans->body);
		return;
	}
	if (f->code == NULL && f->status == 429) { /* Compute's form has no outer "error" */
		ans->status = 429;
		ff_headers_set(&ans->headers, "Content-Type", "application/json; charset=utf-8");
		ans->body = ff_strdup("{\"code\":\"OperationNotAllowed\",\"message\":\"The server rejected the request "
				      "because too many requests have been received for this subscription.\","
				      "\"details\":[{\"code\":\"TooManyRequests\",\"target\":\"HighCostGet\","
				      "\"message\":\"{\\\"operationGroup\\\":\\\"HighCostGet\\\"}\"}]}");
		ans->body_len = strlen(ans->body);
		return;
	}
	if (f->code == NULL && f->status == 409) {
		code = "Conflict";
		message = "The request failed due to conflict with a concurrent request. To resolve it, please refer "
			  "to https://aka.ms/activitylog to get more details on the conflicting requests.";
	} else if (f->code == NULL && f->status < 500) {
		code = "BadRequest";
		message = "The request was refused.";
	}
	if (f->status == 401)
		ff_headers_add(&ans->headers, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
	az_refuse_into(ans, f->status, code, message);
}

/* ---- routing */

/* Does the path fit the route's? Takes group, name and location on the way. */
static bool fits(struct az_call *c, const struct az_route *r)
{
	const char *p = r->path;
	size_t i = 0;

	c->group = c->name = c->location = NULL;
	for (; *p != '\0'; i++) {
		size_t n = strcspn(p, "/");
		const char *seg = i < c->segments.count ? c->segments.items[i] : NULL;

		if (seg == NULL || *seg == '\0')
			return false;
		if (*p == '{') {
			c->group = p[1] == 'g' ? seg : c->group;
			c->name = p[1] == 'n' ? seg : c->name;
			c->location = p[1] == 'l' ? seg : c->location;
		} else if (strlen(seg) != n || strncasecmp(seg, p, n) != 0) {
			return false;
		}
		p += n + (p[n] == '/');
	}
	return i == c->segments.count;
}

static int find_route(struct az_call *c)
{
	bool other_method = false;

	for (size_t i = 0; i < FF_COUNT(routes); i++) {
		if (!fits(c, &routes[i]))
			continue;
		if (ff_streq(routes[i].method, c->req->method)) {
			c->route = &routes[i];
			return 0;
		}
		other_method = true;
	}
	sim_count_request(c->sim, "unknown");
	if (other_method)
		return az_refuse(c, 405, "MethodNotAllowed", "The HTTP method '%s' is not supported at this scope.",
			c->req->method);
	return az_refuse(c, 404, "InvalidResourceType",
		"The resource type could not be found in the namespace for the request path.");
}

/* The resource that the request is about: its first nine parts of the path, or the list's scope. */
static void find_scope(struct az_call *c)
{
	ff_auto_buf id = {0};
	size_t parts = c->name != NULL && c->group != NULL ? 8 : c->group != NULL ? 4 : 2;

	for (size_t i = 0; i < parts && i < c->segments.count; i++)
		ff_buf_addf(&id, "/%s", c->segments.items[i]);
	c->scope = ff_buf_take(&id);
}

/* ---- the checks */

static int check_length(struct az_call *c)
{
	const char *m = c->req->method;
	bool has_body = ff_streq(m, "POST") || ff_streq(m, "PUT") || ff_streq(m, "PATCH");

	if (!has_body || ff_headers_get(&c->req->headers, "Content-Length") != NULL ||
		ff_headers_get(&c->req->headers, "Transfer-Encoding") != NULL)
		return 0;
	c->ans->status = 411;
	ff_headers_add(&c->ans->headers, "Content-Type", "text/html; charset=us-ascii");
	c->ans->body = ff_strdup("<!DOCTYPE HTML><html><head><title>Length Required</title></head><body><h2>Length "
				 "Required</h2><p>HTTP Error 411. The request must be chunked or have a content "
				 "length.</p></body></html>");
	c->ans->body_len = strlen(c->ans->body);
	return -1;
}

bool az_denied(const struct az_call *c, const char *action, const char *scope)
{
	const struct azure *az = c->az;

	for (size_t i = 0; i < az->deny_count; i++)
		if (ff_glob(az->deny[i].action, action) && ff_glob(az->deny[i].scope, scope))
			return true;
	return false;
}

int az_allowed(struct az_call *c, const char *action, const char *scope, const char *linked)
{
	const struct azure *az = c->az;

	if (!az_denied(c, action, scope))
		return 0;
	if (linked != NULL)
		return az_refuse(c, 403, "LinkedAuthorizationFailed",
			"The client '%s' with object id '%s' has permission to perform action '%s' on scope "
			"'%s'; however, it does not have permission to perform action '%s' on the linked "
			"scope(s) '%s' or the linked scope(s) are invalid.",
			az->client_id, az->object_id, linked, c->scope, action, scope);
	return az_refuse(c, 403, "AuthorizationFailed",
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over "
		"scope '%s' or the scope is invalid. If access was recently granted, please refresh your "
		"credentials.",
		az->client_id, az->object_id, action, scope);
}

static int check_place(struct az_call *c)
{
	const struct azure *az = c->az;
	bool known = c->group == NULL;

	if (!ff_strcaseeq(c->segments.items[1], az->subscription))
		return az_refuse(c, 404, "SubscriptionNotFound", "The subscription '%s' could not be found.",
			c->segments.items[1]);
	if (az_query(c, "api-version") == NULL)
		return az_refuse(c, 400, "MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests.");
	for (size_t i = 0; i < az->groups.count; i++)
		known |= ff_strcaseeq(az->groups.items[i], c->group);
	if (!known)
		return az_refuse(c, 404, "ResourceGroupNotFound", "Resource group '%s' could not be found.", c->group);
	return 0;
}

static int read_body(struct az_call *c)
{
	struct ff_err err = {0};

	if (!(c->route->needs & BODY))
		return 0;
	if (c->req->body_len == 0)
		return az_refuse(c, 400, "MissingRequestBody", "The request body is missing or empty.");
	c->body = ff_json_parse(c->req->body, c->req->body_len, BODY_BYTES_MAX, &err);
	if (!json_is_object(c->body))
		return az_refuse(c, 400, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: '%s'.",
			c->body == NULL ? err.text : "not an object");
	return 0;
}

static void answer_arm(struct az_call *c)
{
	const struct az_route *r;

	if (find_route(c) < 0)
		return;
	r = c->route;
	find_scope(c);
	sim_count_request(c->sim, r->kind);
	if (check_place(c) < 0 || az_allowed(c, r->action, c->scope, NULL) < 0)
		return;
	if ((r->needs & (WRITES | DELETES)) && az_unlocked(c, c->scope, r->needs & DELETES) < 0)
		return;
	if (az_throttle(c, r->bucket, r->needs & VM_BUCKET ? c->scope : NULL) < 0 || read_body(c) < 0)
		return;
	r->handler(c);
}

/* Support asks for these two of every answer. */
static void identify(struct az_call *c)
{
	char id[SIM_UUID_BYTES];

	sim_uuid(c->sim, id);
	az_header(c, "x-ms-request-id", "%s", id);
	sim_uuid(c->sim, id);
	az_header(c, "x-ms-correlation-request-id", "%s", id);
}

static void answer(struct sim *sim, void *self, const struct sim_request *request, struct sim_answer *ans)
{
	struct az_call c = {.sim = sim, .az = self, .req = request, .ans = ans};

	c.az->base = request->base;
	az_read_target(&c);
	identify(&c);
	if (check_length(&c) == 0 && !az_blob(&c) && !az_identity(&c) && !az_vault(&c) && !az_graph(&c) &&
		az_bearer(&c, "https://management.azure.com") == 0)
		answer_arm(&c);
	free(c.path);
	free(c.scope);
	ff_strv_free(&c.segments);
	ff_headers_free(&c.query);
	json_decref(c.body);
}

static void *open_azure(struct sim *sim, const json_t *part, struct ff_err *err)
{
	return az_scenario(sim, part, err);
}

static void close_azure(void *self)
{
	az_free(self);
}

const struct sim_cloud sim_azure = {
	.name = "azure",
	.open = open_azure,
	.close = close_azure,
	.answer = answer,
	.refuse = refuse,
	.finish = az_finish,
	.abandon = az_abandon,
	.free_job = az_free_job,
	.state = az_state,
	.human = az_human,
	.set_bad = az_set_bad,
};
