/* Azure's side of long-running operations: their URLs, what polling them shows, what their end does. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

struct az_job *az_job(enum az_job_kind kind, struct az_vm *vm, struct az_disk *disk)
{
	struct az_job *job = ff_calloc(1, sizeof(*job));

	job->kind = kind;
	job->vm = vm;
	job->disk = disk;
	return job;
}

void az_free_job(void *opaque)
{
	struct az_job *job = opaque;

	if (job == NULL)
		return;
	json_decref(job->goal.tags);
	json_decref(job->goal.identity);
	free(job->goal.shape.caching);
	free(job->goal.shape.delete_option);
	free(job->goal.shape.create_option);
	for (size_t i = 0; i < job->change_count; i++) {
		free(job->changes[i].caching);
		free(job->changes[i].delete_option);
	}
	free(job->changes);
	json_decref(job->patch);
	free(job->location);
	free(job->api_version);
	free(job->code);
	free(job->message);
	free(job);
}

int az_vm_free(struct az_call *c, struct az_vm *vm)
{
	if (vm->op == NULL)
		return 0;
	if (c->az->concurrent == 0)
		return az_refuse(c, 409, "Conflict",
			"The request failed due to conflict with a concurrent request. To resolve it, please refer to "
			"https://aka.ms/activitylog to get more details on the conflicting requests.");
	sim_op_fail(c->sim, vm->op, 409, "OperationPreempted",
		"Operation execution has been preempted by a more recent operation.");
	return 0;
}

/* Poll URLs are signed and long; the signature has to come back as it went out. */
static char *signature(const struct sim_op *op)
{
	char hex[65];

	ff_sha256_hex(op->id, strlen(op->id), hex);
	return ff_strdup(hex);
}

static char *poll_url(const struct az_call *c, const struct sim_op *op, const struct az_job *job, bool monitor)
{
	ff_auto_free char *s = signature(op);
	bool disk = job->vm == NULL;

	return ff_printf("%s/subscriptions/%s/providers/Microsoft.Compute/locations/%s/%s/%s?p=%s%s&api-version=%s&"
			 "t=638569620601234567&c=MIIH%s%s%s%s&s=%s&h=%.43s",
		c->req->base, c->az->subscription, job->location, disk ? "DiskOperations" : "operations", op->id,
		c->az->object_id, monitor ? "&monitor=true" : "", job->api_version, s, s, s, s, s, s);
}

struct sim_op *az_begin(
	struct az_call *c, const char *kind, int64_t latency_ms, struct az_job *job, unsigned headers, bool disk)
{
	struct sim_op *op = sim_op_begin(c->sim, &sim_azure, c->az, kind, latency_ms, job);
	int64_t wait_s = disk ? c->az->retry_disk_s : c->az->retry_vm_s;
	ff_auto_free char *async = NULL, *location = NULL;

	job->location = ff_strdup(job->vm != NULL ? job->vm->location : job->disk->location);
	job->api_version = ff_percent_encode(az_query(c, "api-version"));
	async = poll_url(c, op, job, false);
	location = poll_url(c, op, job, true);
	if (headers & AZ_H_ASYNC)
		az_header(c, "Azure-AsyncOperation", "%s", async);
	if (headers & AZ_H_LOCATION)
		az_header(c, "Location", "%s", location);
	if (!disk)
		az_header(c, "Azure-AsyncNotification", "Enabled");
	if (wait_s > 0)
		az_header(c, "Retry-After", "%lld", (long long)wait_s);
	c->accepted = true;
	return op;
}

/* ---- polling */

static json_t *error_of(const struct sim_op *op)
{
	return json_pack("{s:s,s:s}", "code", op->code, "message", op->message);
}

static json_t *result_of(const struct sim_op *op)
{
	const struct az_job *job = op->job;

	if (job->kind == AZ_J_DISK_NEW || job->kind == AZ_J_DISK_UPDATE)
		return job->disk->gone ? NULL : az_disk_json(job->disk, false);
	return job->kind == AZ_J_DATA ? az_storage_profile(job->vm) : NULL;
}

static void poll_status(struct az_call *c, const struct sim_op *op)
{
	static const char *const words[] = {"InProgress", "Succeeded", "Failed"};
	char when[SIM_TIME_BYTES];
	json_t *o = json_object();
	const struct az_job *job = op->job;
	json_t *result = op->state == SIM_OP_SUCCEEDED && job->kind != AZ_J_DATA ? result_of(op) : NULL;

	ff_json_set_str(o, "startTime", sim_time(op->began_ms, when));
	if (op->state != SIM_OP_RUNNING)
		ff_json_set_str(o, "endTime", sim_time(op->ended_ms, when));
	ff_json_set_str(o, "status", words[op->state]);
	if (op->state == SIM_OP_FAILED)
		ff_json_set_new(o, "error", error_of(op));
	if (result != NULL)
		ff_json_set_new(o, "properties", json_pack("{s:o}", "output", result));
	ff_json_set_str(o, "name", op->id);
	if (op->state == SIM_OP_RUNNING && op->polls == 1 && c->az->retry_poll_s > 0)
		az_header(c, "Retry-After", "%lld", (long long)c->az->retry_poll_s);
	az_reply(c, 200, o);
}

static void poll_monitor(struct az_call *c, const struct sim_op *op)
{
	const struct az_job *job = op->job;
	ff_auto_free char *again = poll_url(c, op, job, true);
	int64_t wait_s = job->vm == NULL ? c->az->retry_disk_s : c->az->retry_vm_s;

	if (op->state == SIM_OP_FAILED) {
		az_reply(c, op->status >= 400 ? op->status : 409, json_pack("{s:o}", "error", error_of(op)));
		return;
	}
	if (op->state == SIM_OP_SUCCEEDED) {
		az_reply(c, 200, result_of(op));
		return;
	}
	az_header(c, "Location", "%s", again);
	if (wait_s > 0)
		az_header(c, "Retry-After", "%lld", (long long)wait_s);
	az_reply(c, 202, NULL);
}

/* The VM whose budget a poll draws on; disks have none of their own. */
static const char *polled_vm(const struct sim_op *op)
{
	const struct az_job *job = op->job;

	return job->vm != NULL ? job->vm->id : NULL;
}

void az_poll(struct az_call *c)
{
	struct sim_op *op = sim_op_find(c->sim, c->name);
	ff_auto_free char *s = op != NULL ? signature(op) : NULL;
	const char *monitor = az_query(c, "monitor");

	if (az_throttle(c, AZ_GET_OPERATION, op != NULL ? polled_vm(op) : NULL) < 0)
		return;
	if (op == NULL || !ff_streq(az_query(c, "s"), s)) {
		az_refuse(c, 404, "NotFound", "The entity was not found in this Azure location.");
		return;
	}
	op->polls++;
	if (ff_strcaseeq(monitor, "true"))
		poll_monitor(c, op);
	else
		poll_status(c, op);
}

/* ---- ends */

static void release(const struct sim *sim, struct sim_op *op)
{
	struct az_job *job = op->job;

	if (job->vm != NULL && job->vm->op == op) {
		job->vm->op = NULL;
		job->vm->changed_ms = sim->now_ms;
	}
	if (job->disk != NULL && job->disk->op == op)
		job->disk->op = NULL;
}

void az_finish(struct sim *sim, void *self, struct sim_op *op)
{
	struct azure *az = self;
	struct az_job *job = op->job;

	release(sim, op);
	if (job->vm != NULL)
		job->vm->failed = false;
	switch (job->kind) {
	case AZ_J_POWER:
		az_carry_out_power(sim, az, job);
		break;
	case AZ_J_UPDATE:
		az_carry_out_update(sim, az, job);
		break;
	case AZ_J_DATA:
		az_carry_out_data(sim, az, job);
		if (job->code != NULL)
			sim_op_fail(sim, op, job->status, job->code, job->message);
		break;
	case AZ_J_DISK_NEW:
	case AZ_J_DISK_UPDATE:
	case AZ_J_DISK_DELETE:
		az_carry_out_disk(sim, az, job);
		break;
	}
}

void az_abandon(struct sim *sim, void *self, struct sim_op *op)
{
	struct az_job *job = op->job;

	release(sim, op);
	az_unplan(job);
	if (job->vm != NULL) {
		job->vm->failed = true;
		if (job->kind == AZ_J_POWER)
			job->vm->power = job->before;
	}
	if (job->goal.os != NULL && job->goal.os->to == job->vm)
		job->goal.os->to = NULL;
	if (job->kind == AZ_J_DISK_NEW)
		az_forget_disk(sim, self, job->disk);
}
