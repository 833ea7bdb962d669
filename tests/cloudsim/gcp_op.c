/*
 * Compute's side of operations: what is accepted and what waits, request ids, what polling shows, what their end does.
 *
 * Whether a state is refused at once or by the operation, and whether a second operation on a VM waits or is refused,
 * no public document says: the scenario decides (`refusals`, `concurrent`), so that clients meet both.
 */
#include "gcp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 120000 /* zoneOperations.wait: at most two minutes */

struct gc_job *gc_job(enum gc_job_kind kind, struct gc_vm *vm, struct gc_disk *disk, struct gc_snapshot *snapshot)
{
	struct gc_job *job = ff_calloc(1, sizeof(*job));

	job->kind = kind;
	job->vm = vm;
	job->disk = disk;
	job->snapshot = snapshot;
	return job;
}

void gc_free_job(void *opaque)
{
	struct gc_job *job = opaque;

	if (job == NULL)
		return;
	free(job->name);
	free(job->zone);
	free(job->target);
	free(job->request_id);
	free(job->request);
	free(job->device_name);
	free(job->fingerprint);
	json_decref(job->labels);
	ff_strv_free(&job->key_disks);
	free(job);
}

/* ---- as JSON */

/* "resourceNotReady" or "InternalExecutionError" as operations spell it; what is in capitals stays. */
static char *operation_code(const char *reason)
{
	ff_auto_buf code = {0};

	for (const char *p = reason; *p != '\0'; p++) {
		char up = (char)toupper((unsigned char)*p);

		if (p > reason && isupper((unsigned char)*p) && islower((unsigned char)p[-1]))
			ff_buf_adds(&code, "_");
		ff_buf_add(&code, &up, 1);
	}
	return ff_buf_take(&code);
}

static const char *http_text(int status)
{
	switch (status) {
	case 400:
		return "BAD REQUEST";
	case 403:
		return "FORBIDDEN";
	case 404:
		return "NOT FOUND";
	case 409:
		return "CONFLICT";
	case 412:
		return "PRECONDITION FAILED";
	case 429:
		return "TOO MANY REQUESTS";
	case 503:
		return "SERVICE UNAVAILABLE";
	default:
		return status >= 500 ? "INTERNAL SERVER ERROR" : "BAD REQUEST";
	}
}

static void set_error(json_t *o, const struct sim_op *op)
{
	ff_auto_free char *code = operation_code(op->code);

	ff_json_set_new(o, "error", json_pack("{s:[{s:s,s:s}]}", "errors", "code", code, "message", op->message));
	ff_json_set_int(o, "httpErrorStatusCode", op->status);
	ff_json_set_str(o, "httpErrorMessage", http_text(op->status));
}

json_t *gc_op_json(const struct gcp *gc, const struct sim_op *op, int64_t now_ms)
{
	const struct gc_job *job = op->job;
	bool done = op->state != SIM_OP_RUNNING, pending = !done && now_ms < job->starts_ms;
	char when[SIM_TIME_BYTES];
	json_t *o = json_object();

	ff_json_set_str(o, "kind", "compute#operation");
	gc_set_u64(o, "id", job->id);
	ff_json_set_str(o, "name", job->name);
	if (job->zone != NULL)
		ff_json_set_new(o, "zone", gc_url_json("projects/%s/zones/%s", gc->project, job->zone));
	ff_json_set_str(o, "clientOperationId", job->request_id);
	ff_json_set_str(o, "operationType", op->kind);
	ff_json_set_new(o, "targetLink", gc_url_json("%s", job->target));
	gc_set_u64(o, "targetId", job->target_id);
	ff_json_set_str(o, "status", done ? "DONE" : pending ? "PENDING" : "RUNNING");
	ff_json_set_str(o, "user", gc->email);
	ff_json_set_int(o, "progress", done ? 100 : 0);
	ff_json_set_str(o, "insertTime", gc_time(op->began_ms, when));
	if (!pending)
		ff_json_set_str(o, "startTime", gc_time(job->starts_ms, when));
	if (done)
		ff_json_set_str(o, "endTime", gc_time(op->ended_ms, when));
	if (op->state == SIM_OP_FAILED)
		set_error(o, op);
	ff_json_set_new(o, "selfLink",
		job->zone != NULL ? gc_url_json("projects/%s/zones/%s/operations/%s", gc->project, job->zone, job->name)
				  : gc_url_json("projects/%s/global/operations/%s", gc->project, job->name));
	return o;
}

static struct sim_op *find_op(const struct gc_call *c)
{
	const struct gc_job *job;
	size_t i;

	if (!sim_index_get(c->gc->op_index, c->name, &i))
		return NULL;
	job = c->gc->ops[i]->job;
	return ff_streq(job->zone, c->zone) ? c->gc->ops[i] : NULL;
}

void gc_op_show(struct gc_call *c)
{
	struct sim_op *op = find_op(c);

	if (op != NULL)
		gc_reply(c, 200, gc_op_json(c->gc, op, c->sim->now_ms));
}

void gc_op_get(struct gc_call *c)
{
	if (find_op(c) != NULL)
		gc_op_show(c);
	else
		gc_not_found(c, c->resource);
}

/* Held back until the operation ends; gc_op_show() then brings it up to date. */
void gc_op_wait(struct gc_call *c)
{
	struct sim_op *op = find_op(c);
	int64_t most = sim_scaled(c->sim, WAIT_MS);

	gc_op_get(c);
	if (op == NULL || op->state != SIM_OP_RUNNING)
		return;
	c->ans->hold_ms = op->due_ms - c->sim->now_ms < most ? op->due_ms - c->sim->now_ms : most;
}

/* ---- request ids */

static bool is_uuid(const char *text)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != strlen(form))
		return false;
	for (size_t i = 0; form[i] != '\0'; i++)
		if (form[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != '-')
			return false;
	return strspn(text, "0-") != strlen(form);
}

int gc_new_request(struct gc_call *c)
{
	const char *id = gc_query(c, "requestId");
	ff_auto_free char *request = ff_printf("%s %s", c->req->method, c->path);
	const struct gc_job *first;
	size_t i;

	if (id == NULL)
		return 0;
	if (!is_uuid(id))
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'requestId': '%s'. Must be a valid UUID, the zero UUID is not "
			"supported.",
			id);
	if (!sim_index_get(c->gc->request_index, id, &i))
		return 0;
	first = c->gc->ops[i]->job;
	if (!ff_streq(first->request, request))
		sim_violation(c->sim, "request id '%s' of '%s' was used again for '%s'", id, first->request, request);
	gc_reply(c, 200, gc_op_json(c->gc, c->gc->ops[i], c->sim->now_ms));
	return -1;
}

/* ---- beginning */

static int may(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r)
{
	switch (job->kind) {
	case GC_J_STOP:
	case GC_J_START:
		return gc_may_power(sim, gc, job, r);
	case GC_J_ATTACH:
	case GC_J_DETACH:
	case GC_J_AUTO_DELETE:
		return gc_may_disk(sim, gc, job, r);
	case GC_J_LABELS:
		return gc_may_labels(sim, gc, job, r);
	case GC_J_SNAPSHOT:
	case GC_J_SNAPSHOT_DELETE:
		return gc_may_snapshot(sim, gc, job, r);
	case GC_J_CREATE:
	case GC_J_DELETE:
		return gc_may_make(sim, gc, job, r);
	case GC_J_RECREATE:
		return 0;
	}
	return 0;
}

/* Where the last operation on the same thing is kept: one after the other. Snapshots of a disk run beside its others.
 */
static struct sim_op **lane(struct gc_job *job)
{
	if (job->kind == GC_J_SNAPSHOT)
		return NULL;
	if (job->vm != NULL)
		return &job->vm->op;
	if (job->disk != NULL)
		return &job->disk->op;
	return &job->snapshot->op;
}

static void set_target(const struct gcp *gc, struct gc_job *job)
{
	if (job->vm != NULL) {
		job->target = gc_vm_path(gc, job->vm);
		job->target_id = job->vm->id;
	} else if (job->disk != NULL) {
		job->target = gc_disk_path(gc, job->disk);
		job->target_id = job->disk->id;
	} else if (job->snapshot != NULL) {
		job->target = gc_snapshot_path(gc, job->snapshot);
		job->target_id = job->snapshot->id;
	}
	if (job->vm != NULL)
		job->zone = ff_strdup(job->vm->zone);
	else if (job->disk != NULL)
		job->zone = ff_strdup(job->disk->zone);
}

/* "operation-1533298821393-57286f3956a69-7fe72172-a282995b" */
static void set_name(struct sim *sim, struct gc_job *job)
{
	uint64_t a = sim_random(sim), b = sim_random(sim);

	job->id = sim_random(sim) >> 1;
	job->name = ff_printf("operation-%lld-%013llx-%08x-%08x", (long long)sim->now_ms, (unsigned long long)(a >> 12),
		(unsigned)(b >> 32), (unsigned)b);
}

static void file_op(struct gcp *gc, struct sim_op *op)
{
	struct gc_job *job = op->job;
	char id[24];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)job->id);
	gc->ops = ff_realloc(gc->ops, gc->op_count + 1, sizeof(*gc->ops));
	sim_index_put(gc->op_index, job->name, gc->op_count);
	sim_index_put(gc->op_index, id, gc->op_count);
	if (job->request_id != NULL)
		sim_index_put(gc->request_index, job->request_id, gc->op_count);
	gc->ops[gc->op_count++] = op;
}

static struct sim_op *launch(struct sim *sim, struct gcp *gc, const char *type, int64_t latency_ms, struct gc_job *job)
{
	struct sim_op **last = lane(job), *before = last != NULL ? *last : NULL, *op;
	bool stuck = before != NULL && before->due_ms == INT64_MAX;
	int64_t wait = before != NULL && !stuck ? before->due_ms - sim->now_ms : 0;

	set_target(gc, job);
	set_name(sim, job);
	job->starts_ms = sim->now_ms + wait + gc->latency[GC_L_PENDING];
	op = sim_op_begin(sim, &sim_gcp, gc, type, wait + gc->latency[GC_L_PENDING] + latency_ms, job);
	if (stuck)
		op->due_ms = job->starts_ms = INT64_MAX;
	if (last != NULL)
		*last = op;
	file_op(gc, op);
	return op;
}

struct gc_job *gc_begin(struct gc_call *c, const char *type, int64_t latency_ms, struct gc_job *job)
{
	struct gc_refusal r = {0};
	struct sim_op **last = lane(job), *op;
	bool waits = last != NULL && *last != NULL;
	int rc = 0;

	if (waits && c->gc->concurrent == 1)
		rc = gc_object(&r, 400, "resourceNotReady", "The resource '%s' is not ready", c->resource);
	else if (!waits && c->gc->refusals == 0)
		rc = may(c->sim, c->gc, job, &r);
	if (rc < 0)
		gc_refuse(c, r.status, r.reason, "%s", r.message);
	free(r.message);
	if (rc < 0 || gc_room_for_operation(c) < 0) {
		gc_free_job(job);
		return NULL;
	}
	job->request_id = ff_strdup(gc_query(c, "requestId"));
	job->request = ff_printf("%s %s", c->req->method, c->path);
	op = launch(c->sim, c->gc, type, latency_ms, job);
	gc_reply(c, 200, gc_op_json(c->gc, op, c->sim->now_ms));
	return job;
}

void gc_begin_own(struct sim *sim, struct gcp *gc, const char *type, int64_t latency_ms, struct gc_job *job)
{
	const struct sim_fault *fault = sim->op_fault;

	sim->op_fault = NULL; /* it is meant for what the request begins */
	launch(sim, gc, type, latency_ms, job);
	sim->op_fault = fault;
}

/* ---- ends */

static void release(struct sim_op *op)
{
	struct sim_op **last = lane(op->job);

	if (last != NULL && *last == op)
		*last = NULL;
}

static void carry_out(struct sim *sim, struct gcp *gc, struct gc_job *job)
{
	switch (job->kind) {
	case GC_J_STOP:
	case GC_J_START:
		gc_do_power(sim, gc, job);
		break;
	case GC_J_ATTACH:
	case GC_J_DETACH:
	case GC_J_AUTO_DELETE:
		gc_do_disk(sim, gc, job);
		break;
	case GC_J_LABELS:
		gc_do_labels(sim, gc, job);
		break;
	case GC_J_SNAPSHOT:
	case GC_J_SNAPSHOT_DELETE:
		gc_do_snapshot(sim, gc, job);
		break;
	case GC_J_CREATE:
	case GC_J_DELETE:
		gc_do_make(sim, gc, job);
		break;
	case GC_J_RECREATE:
		gc_recreate(sim, gc, job->vm);
		break;
	}
}

void gc_finish(struct sim *sim, void *self, struct sim_op *op)
{
	struct gcp *gc = self;
	struct gc_job *job = op->job;
	struct gc_refusal r = {0};

	release(op);
	if (may(sim, gc, job, &r) < 0) {
		sim_op_fail(sim, op, r.status, r.reason, r.message);
		free(r.message);
		return;
	}
	carry_out(sim, gc, job);
}

void gc_abandon(struct sim *sim, void *self, struct sim_op *op)
{
	struct gc_job *job = op->job;

	(void)sim;
	(void)self;
	release(op);
	if (job->kind == GC_J_STOP && job->moved)
		job->vm->status = GC_RUNNING;
	if (job->kind == GC_J_START && job->moved)
		job->vm->status = GC_TERMINATED;
	if (job->kind == GC_J_SNAPSHOT)
		job->snapshot->gone = true;
	if (job->kind == GC_J_CREATE)
		gc_forget_disk(self, job->disk);
}
