/*
 * The way of a request through GCP: front end (length, route, token, parameters), quota, permission, body, and the
 * handler of its route.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX (1024 * 1024)

enum needs { ONE = 0, BODY = 1, MUTATES = 2, GLOBAL = 4, REGION = 8 };

/* What a body may hold: what the API description has, so that a misspelt member is not just ignored. */
static const char *const attached_disk[] = {"architecture", "autoDelete", "boot", "deviceName", "diskEncryptionKey",
	"diskSizeGb", "forceAttach", "guestOsFeatures", "index", "initializeParams", "interface", "kind", "licenses",
	"mode", "savedState", "shieldedInstanceInitialState", "source", "type", NULL};
static const char *const set_labels[] = {"labels", "labelFingerprint", NULL};
static const char *const start_keys[] = {"disks", "instanceEncryptionKey", NULL};
static const char *const snapshot[] = {"description", "guestFlush", "kind", "labelFingerprint", "labels",
	"locationHint", "name", "snapshotEncryptionKey", "snapshotType", "sourceDisk", "sourceDiskEncryptionKey",
	"storageLocations", "chainName", NULL};
static const char *const disk[] = {"accessMode", "architecture", "description", "diskEncryptionKey",
	"enableConfidentialCompute", "guestOsFeatures", "kind", "labels", "licenses", "locationHint", "name", "options",
	"params", "physicalBlockSizeBytes", "provisionedIops", "provisionedThroughput", "resourcePolicies", "sizeGb",
	"sourceDisk", "sourceImage", "sourceImageEncryptionKey", "sourceSnapshot", "sourceSnapshotEncryptionKey",
	"storagePool", "type", NULL};
static const char *const permissions[] = {"permissions", NULL};

#define P   "compute/v1/projects/{p}"
#define Z   P "/zones/{z}"
#define I   Z "/instances/{n}"
#define D   Z "/disks/{n}"
#define C   "compute."
#define ID  " requestId "
#define LST " filter maxResults orderBy pageToken returnPartialSuccess "
#define AGG LST "includeAllScopes serviceProjectNumber "

/* clang-format off */
static const struct gc_route routes[] = {
	{"GET", P, C "projects.get", "projects.get", GLOBAL, GC_Q_READ, gc_project_get, "", NULL},
	{"GET", P "/zones", C "zones.list", "zones.list", GLOBAL, GC_Q_LIST, gc_zone_list, LST, NULL},
	{"GET", Z, C "zones.get", "zones.get", GLOBAL, GC_Q_READ, gc_zone_get, "", NULL},
	{"GET", P "/aggregated/instances", C "instances.list", "instances.aggregatedList", GLOBAL, GC_Q_LIST, gc_vm_aggregated, AGG, NULL},
	{"GET", P "/aggregated/disks", C "disks.list", "disks.aggregatedList", GLOBAL, GC_Q_LIST, gc_disk_aggregated, AGG, NULL},
	{"GET", P "/aggregated/instanceGroupManagers", C "instanceGroupManagers.list", "instanceGroupManagers.aggregatedList", GLOBAL, GC_Q_LIST, gc_group_aggregated, AGG, NULL},
	{"GET", P "/aggregated/addresses", C "addresses.list", "addresses.aggregatedList", GLOBAL, GC_Q_LIST, gc_address_aggregated, AGG, NULL},
	{"GET", Z "/instances", C "instances.list", "instances.list", ONE, GC_Q_LIST, gc_vm_list, LST, NULL},
	{"GET", Z "/disks", C "disks.list", "disks.list", ONE, GC_Q_LIST, gc_disk_list, LST, NULL},
	{"GET", P "/regions/{r}/disks", C "disks.list", "regionDisks.list", REGION, GC_Q_LIST, gc_disk_list, LST, NULL},
	{"GET", I, C "instances.get", "instances.get", ONE, GC_Q_READ, gc_vm_get, " view ", NULL},
	{"POST", I "/stop", C "instances.stop", "instances.stop", MUTATES, GC_Q_MUTATE, gc_stop, ID "discardLocalSsd noGracefulShutdown ", NULL},
	{"POST", I "/start", C "instances.start", "instances.start", MUTATES, GC_Q_MUTATE, gc_start, ID, NULL},
	{"POST", I "/startWithEncryptionKey", C "instances.startWithEncryptionKey", "instances.startWithEncryptionKey", MUTATES | BODY, GC_Q_MUTATE, gc_start_with_key, ID, start_keys},
	{"POST", I "/attachDisk", C "instances.attachDisk", "instances.attachDisk", MUTATES | BODY, GC_Q_MUTATE, gc_attach, ID "forceAttach ", attached_disk},
	{"POST", I "/detachDisk", C "instances.detachDisk", "instances.detachDisk", MUTATES, GC_Q_MUTATE, gc_detach, ID "deviceName ", NULL},
	{"POST", I "/setDiskAutoDelete", C "instances.setDiskAutoDelete", "instances.setDiskAutoDelete", MUTATES, GC_Q_MUTATE, gc_auto_delete, ID "autoDelete deviceName ", NULL},
	{"POST", I "/setLabels", C "instances.setLabels", "instances.setLabels", MUTATES | BODY, GC_Q_MUTATE, gc_vm_labels, ID, set_labels},
	{"GET", I "/serialPort", C "instances.getSerialPortOutput", "instances.getSerialPortOutput", ONE, GC_Q_SERIAL, gc_serial_port, " port start ", NULL},
	{"GET", I "/screenshot", C "instances.getScreenshot", "instances.getScreenshot", ONE, GC_Q_SERIAL, gc_screenshot, "", NULL},
	{"POST", I "/testIamPermissions", NULL, "instances.testIamPermissions", BODY, GC_Q_READ, gc_test_permissions, "", permissions},
	{"POST", Z "/disks", NULL, "disks.insert", MUTATES | BODY, GC_Q_MUTATE, gc_disk_insert, ID "sourceImage ", disk},
	{"DELETE", D, C "disks.delete", "disks.delete", MUTATES, GC_Q_MUTATE, gc_disk_delete, ID, NULL},
	{"GET", D, C "disks.get", "disks.get", ONE, GC_Q_READ, gc_disk_get, "", NULL},
	{"GET", P "/regions/{r}/disks/{n}", C "disks.get", "regionDisks.get", REGION, GC_Q_READ, gc_disk_get, "", NULL},
	{"POST", D "/setLabels", C "disks.setLabels", "disks.setLabels", MUTATES | BODY, GC_Q_MUTATE, gc_disk_labels, ID, set_labels},
	{"POST", D "/createSnapshot", C "disks.createSnapshot", "disks.createSnapshot", MUTATES | BODY, GC_Q_MUTATE, gc_snapshot_create, ID "guestFlush ", snapshot},
	{"POST", D "/testIamPermissions", NULL, "disks.testIamPermissions", BODY, GC_Q_READ, gc_test_permissions, "", permissions},
	{"GET", P "/global/snapshots", C "snapshots.list", "snapshots.list", GLOBAL, GC_Q_LIST, gc_snapshot_list, LST, NULL},
	{"GET", P "/global/snapshots/{n}", C "snapshots.get", "snapshots.get", GLOBAL, GC_Q_READ, gc_snapshot_get, "", NULL},
	{"DELETE", P "/global/snapshots/{n}", C "snapshots.delete", "snapshots.delete", GLOBAL | MUTATES, GC_Q_MUTATE, gc_snapshot_delete, ID, NULL},
	{"POST", P "/global/snapshots/{n}/setLabels", C "snapshots.setLabels", "snapshots.setLabels", GLOBAL | MUTATES | BODY, GC_Q_MUTATE, gc_snapshot_labels, "", set_labels},
	{"GET", Z "/operations", C "zoneOperations.list", "zoneOperations.list", ONE, GC_Q_OPERATION, gc_operation_list, LST, NULL},
	{"GET", Z "/operations/{n}", C "zoneOperations.get", "zoneOperations.get", ONE, GC_Q_OPERATION, gc_op_get, "", NULL},
	{"POST", Z "/operations/{n}/wait", C "zoneOperations.get", "zoneOperations.wait", ONE, GC_Q_OPERATION, gc_op_wait, "", NULL},
	{"GET", P "/global/operations", C "globalOperations.list", "globalOperations.list", GLOBAL, GC_Q_OPERATION, gc_operation_list, LST, NULL},
	{"GET", P "/global/operations/{n}", C "globalOperations.get", "globalOperations.get", GLOBAL, GC_Q_OPERATION, gc_op_get, "", NULL},
	{"POST", P "/global/operations/{n}/wait", C "globalOperations.get", "globalOperations.wait", GLOBAL, GC_Q_OPERATION, gc_op_wait, "", NULL},
	{"GET", Z "/machineTypes/{n}", C "machineTypes.get", "machineTypes.get", ONE, GC_Q_READ, gc_machine_type, "", NULL},
	{"GET", Z "/instanceGroupManagers", C "instanceGroupManagers.list", "instanceGroupManagers.list", ONE, GC_Q_LIST, gc_group_list, LST, NULL},
	{"GET", P "/regions/{r}/instanceGroupManagers", C "instanceGroupManagers.list", "regionInstanceGroupManagers.list", REGION, GC_Q_LIST, gc_group_list, LST, NULL},
	{"GET", Z "/instanceGroupManagers/{n}", C "instanceGroupManagers.get", "instanceGroupManagers.get", ONE, GC_Q_READ, gc_group_get, "", NULL},
	{"GET", P "/regions/{r}/instanceGroupManagers/{n}", C "instanceGroupManagers.get", "regionInstanceGroupManagers.get", REGION, GC_Q_READ, gc_group_get, "", NULL},
	{"POST", Z "/instanceGroupManagers/{n}/listManagedInstances", C "instanceGroupManagers.get", "instanceGroupManagers.listManagedInstances", ONE, GC_Q_LIST, gc_group_members, LST, NULL},
	{"POST", P "/regions/{r}/instanceGroupManagers/{n}/listManagedInstances", C "instanceGroupManagers.get", "regionInstanceGroupManagers.listManagedInstances", REGION, GC_Q_LIST, gc_group_members, LST, NULL},
};
/* clang-format on */

/* ---- routing */

/* Does the path fit the route's? Takes zone (or region) and name on the way. */
static bool fits(struct gc_call *c, const struct gc_route *r)
{
	const char *p = r->path;
	size_t i = 0;

	c->zone = c->name = NULL;
	for (; *p != '\0'; i++) {
		size_t n = strcspn(p, "/");
		const char *seg = i < c->segments.count ? c->segments.items[i] : NULL;

		if (seg == NULL || *seg == '\0')
			return false;
		if (*p == '{') {
			c->zone = p[1] == 'z' || p[1] == 'r' ? seg : c->zone;
			c->name = p[1] == 'n' ? seg : c->name;
		} else if (strlen(seg) != n || strncmp(seg, p, n) != 0) {
			return false;
		}
		p += n + (p[n] == '/');
	}
	return i == c->segments.count;
}

/* The front end's own page for what it does not know. */
static int front_end(struct gc_call *c, int status, const char *text)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", "text/html; charset=UTF-8");
	free(c->ans->body);
	c->ans->body = ff_printf("<!DOCTYPE html>\n<html lang=en>\n<title>Error %d (%s)!!1</title>\n<p><b>%d.</b> "
				 "<ins>That's an error.</ins>\n",
		status, text, status);
	c->ans->body_len = strlen(c->ans->body);
	return -1;
}

static int find_route(struct gc_call *c)
{
	for (size_t i = 0; i < FF_COUNT(routes); i++) {
		if (ff_streq(routes[i].method, c->req->method) && fits(c, &routes[i])) {
			c->route = &routes[i];
			return 0;
		}
	}
	sim_count_request(c->sim, "unknown");
	return front_end(c, 404, "Not Found");
}

/* "projects/p1/zones/z/instances/vm1" of the path; lists and the like are the project's. */
static void find_resource(struct gc_call *c)
{
	ff_auto_buf text = {0};
	size_t parts = c->name == NULL ? 4 : c->route->needs & GLOBAL ? 7 : 8;

	for (size_t i = 2; i < parts && i < c->segments.count; i++)
		ff_buf_addf(&text, "%s%s", i > 2 ? "/" : "", c->segments.items[i]);
	c->resource = ff_buf_take(&text);
}

/* ---- the checks */

static int check_length(struct gc_call *c)
{
	const char *m = c->req->method;

	if ((!ff_streq(m, "POST") && !ff_streq(m, "PUT") && !ff_streq(m, "PATCH")) ||
		ff_headers_get(&c->req->headers, "Content-Length") != NULL ||
		ff_headers_get(&c->req->headers, "Transfer-Encoding") != NULL)
		return 0;
	return front_end(c, 411, "Length Required");
}

/* Parameters that every method has: the discovery document's own. */
static const char common[] = " alt fields prettyPrint key quotaUser userIp $.xgafv access_token callback oauth_token "
			     "uploadType upload_protocol ";

static int check_parameters(struct gc_call *c)
{
	for (size_t i = 0; i < c->query.count; i++) {
		const char *name = c->query.items[i].name;
		ff_auto_free char *word = ff_printf(" %s ", name);

		if (strchr(name, ' ') == NULL && (strstr(common, word) || strstr(c->route->params, word)))
			continue;
		return gc_refuse(c, 400, "invalid",
			"Invalid JSON payload received. Unknown name \"%s\": Cannot bind query parameter. Field '%s' "
			"could not be found in request message.",
			name, name);
	}
	return 0;
}

static int check_place(struct gc_call *c)
{
	const struct gcp *gc = c->gc;
	const char *project = c->segments.items[3];

	if (!ff_streq(project, gc->project) && !ff_streq(project, gc->number)) {
		ff_auto_free char *path = ff_printf("projects/%s", project);

		return gc_not_found(c, path);
	}
	if (c->zone == NULL)
		return 0;
	if (c->route->needs & REGION) /* text UNVERIFIED, as that of zones */
		return gc_known_region(gc, c->zone)
			       ? 0
			       : gc_refuse(c, 400, "invalid", "Invalid value for field 'region': '%s'. Unknown region.",
					 c->zone);
	if (!gc_known_zone(gc, c->zone))
		return gc_refuse(c, 400, "invalid", "Invalid value for field 'zone': '%s'. Unknown zone.", c->zone);
	if (gc_unreachable(gc, c->zone))
		return gc_refuse(c, 503, "backendError", "The service is currently unavailable.");
	return 0;
}

bool gc_may(const struct gcp *gc, const char *permission, const char *resource)
{
	for (size_t i = 0; i < gc->deny_count; i++)
		if (ff_glob(gc->deny[i].permission, permission) && ff_glob(gc->deny[i].resource, resource))
			return false;
	return true;
}

int gc_allowed(struct gc_call *c, const char *permission, const char *resource)
{
	if (permission == NULL || gc_may(c->gc, permission, resource))
		return 0;
	return gc_refuse(c, 403, "forbidden", "Required '%s' permission for '%s'", permission, resource);
}

int gc_known(struct gc_call *c, const json_t *object, const char *where, const char *const *names)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		size_t i = 0;

		while (names[i] != NULL && !ff_streq(names[i], key))
			i++;
		if (names[i] == NULL)
			return gc_refuse(c, 400, "invalid",
				"Invalid JSON payload received. Unknown name \"%s\" at '%s': Cannot find field.", key,
				where);
	}
	return 0;
}

static int read_body(struct gc_call *c)
{
	struct ff_err err = {0};

	if (!(c->route->needs & BODY))
		return 0;
	if (c->req->body_len > 0)
		c->body = ff_json_parse(c->req->body, c->req->body_len, BODY_BYTES_MAX, &err);
	if (c->req->body_len == 0)
		c->body = json_object();
	if (!json_is_object(c->body))
		return gc_refuse(c, 400, "parseError", "Invalid JSON payload received. %s",
			c->body == NULL ? err.text : "Root element must be a message.");
	return c->route->members != NULL ? gc_known(c, c->body, "resource", c->route->members) : 0;
}

static int check_scope(struct gc_call *c)
{
	if (c->token->full || !(c->route->needs & MUTATES))
		return 0;
	return gc_refuse(c, 403, "insufficientPermissions", "Request had insufficient authentication scopes.");
}

static void answer_compute(struct gc_call *c)
{
	if (find_route(c) < 0 || gc_bearer(c) < 0)
		return;
	find_resource(c);
	sim_count_request(c->sim, c->route->kind);
	if (check_parameters(c) < 0 || check_place(c) < 0 || gc_throttle(c) < 0 || check_scope(c) < 0 ||
		gc_allowed(c, c->route->permission, c->resource) < 0 || read_body(c) < 0)
		return;
	if ((c->route->needs & MUTATES) && gc_new_request(c) < 0)
		return;
	c->route->handler(c);
}

static void answer(struct sim *sim, void *self, const struct sim_request *request, struct sim_answer *ans)
{
	struct gc_call c = {.sim = sim, .gc = self, .req = request, .ans = ans};

	gc_read_target(&c);
	if (!gc_metadata(&c)) {
		ff_headers_add(&ans->headers, "Server", "ESF");
		ff_headers_add(&ans->headers, "Cache-Control", "private");
		ff_headers_add(&ans->headers, "Vary", "Origin, X-Origin, Referer");
		if (check_length(&c) == 0 && !gc_identity(&c) && !gc_secret(&c))
			answer_compute(&c);
	}
	free(c.path);
	free(c.resource);
	ff_strv_free(&c.segments);
	ff_headers_free(&c.query);
	json_decref(c.body);
}

/* What waited for an operation tells how it stands now. */
static void leave(struct sim *sim, void *self, const struct sim_request *request, struct sim_answer *ans)
{
	struct gc_call c = {.sim = sim, .gc = self, .req = request, .ans = ans};

	gc_read_target(&c);
	if (ans->status == 200 && ff_has_suffix(c.path, "/wait") && find_route(&c) == 0)
		gc_op_show(&c);
	free(c.path);
	ff_strv_free(&c.segments);
	ff_headers_free(&c.query);
}

/* Other clouds have other paths. */
static bool serves(const struct sim_request *request)
{
	static const char *const prefixes[] = {
		"/v1/projects/", "/compute/", "/computeMetadata/", "/v1/projects/-/serviceAccounts/"};
	static const char *const exact[] = {"/token", "/oauth2/v4/token", "/o/oauth2/token", "/v1/token"};
	ff_auto_free char *path = ff_strndup(request->target, strcspn(request->target, "?"));

	for (size_t i = 0; i < FF_COUNT(prefixes); i++)
		if (ff_has_prefix(path, prefixes[i]))
			return true;
	for (size_t i = 0; i < FF_COUNT(exact); i++)
		if (ff_streq(path, exact[i]))
			return true;
	return ff_streq(path, "/") && ff_streq(request->method, "GET") &&
	       ff_headers_get(&request->headers, "Metadata-Flavor") != NULL;
}

static void *open_gcp(struct sim *sim, const json_t *part, struct ff_err *err)
{
	return gc_scenario(sim, part, err);
}

static void close_gcp(void *self)
{
	gc_free(self);
}

/* What a fault that names only a status looks like from Google. */
static void refuse(void *self, const struct sim_fault *f, struct sim_answer *ans)
{
	static const struct {
		int status;
		const char *reason, *message;
	} usual[] = {
		{401, "authError", "Request had invalid authentication credentials."},
		{403, "rateLimitExceeded", "Rate Limit Exceeded"},
		{404, "notFound", "The resource was not found"},
		{409, "alreadyExists", "The resource already exists"},
		{412, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed"},
		{429, "rateLimitExceeded", "Too Many Requests"},
		{503, "backendError", "The service is currently unavailable."},
	};
	const char *reason = f->status < 500 ? "badRequest" : "backendError";
	const char *message = f->status < 500 ? "Bad Request" : "Internal error";
	ff_auto_free char *seconds = ff_printf("%lld", (long long)f->retry_after_s);

	(void)self;
	for (size_t i = 0; i < FF_COUNT(usual); i++) {
		if (usual[i].status != f->status)
			continue;
		reason = usual[i].reason;
		message = usual[i].message;
	}
	if (f->retry_after_s >= 0)
		ff_headers_add(&ans->headers, "Retry-After", seconds);
	gc_refuse_into(
		ans, f->status, f->code != NULL ? f->code : reason, f->message != NULL ? f->message : message, NULL);
}

const struct sim_cloud sim_gcp = {
	.name = "gcp",
	.open = open_gcp,
	.close = close_gcp,
	.serves = serves,
	.answer = answer,
	.leave = leave,
	.refuse = refuse,
	.finish = gc_finish,
	.abandon = gc_abandon,
	.free_job = gc_free_job,
	.state = gc_state,
	.human = gc_human,
	.set_bad = gc_set_bad,
};
