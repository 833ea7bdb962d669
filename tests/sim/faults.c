/* What goes wrong on the way to the cloud and at the worker. */
#include "vw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP_LATE_MS     ((int64_t)20 * 60 * 1000) /* the disk is on its way home by then */
#define OP_LATE_MAX_MS ((int64_t)40 * 60 * 1000) /* more than the patience of most steps */

const char *const vw_fault_names[VW_F_COUNT] = {
	[VW_F_THROTTLED] = "throttled",
	[VW_F_RETRY_AFTER] = "retry-after",
	[VW_F_SERVER_ERROR] = "server-error",
	[VW_F_UNAUTHORIZED] = "unauthorized",
	[VW_F_RESET_BEFORE] = "reset-before",
	[VW_F_RESET_AFTER] = "reset-after",
	[VW_F_TRUNCATED] = "truncated",
	[VW_F_GARBLED] = "garbled",
	[VW_F_LATE] = "late",
	[VW_F_OP_FAILS] = "operation-fails",
	[VW_F_OP_HANGS] = "operation-hangs",
	[VW_F_OP_LATE] = "operation-late",
	[VW_F_DIES_BEFORE] = "dies-before",
	[VW_F_DIES_AFTER] = "dies-after",
	[VW_F_MENDED] = "mended-by-hand",
	[VW_F_REVOKED] = "revoked",
	[VW_F_WORKER_DIES] = "worker-dies",
	[VW_F_WORKER_HANGS] = "worker-hangs",
	[VW_F_WORKER_GARBAGE] = "worker-garbage",
	[VW_F_WORKER_UNABLE] = "worker-unable",
	[VW_F_DISK_UNREADABLE] = "disk-unreadable",
	[VW_F_WRONG_DISK] = "wrong-disk",
	[VW_F_JOURNAL_FULL] = "journal-full",
	[VW_F_SYNC_FAILS] = "sync-fails",
	[VW_F_TORN_TAIL] = "torn-tail",
	[VW_F_CLOCK_JUMP] = "clock-jump",
	[VW_F_CRASH] = "crash",
	[VW_F_LOST] = "folder-lost",
	[VW_F_INTERRUPT] = "interrupt",
	[VW_F_OPERATOR] = "second-operator",
	[VW_F_HUMAN] = "human",
};

static const char *cloud_of(const struct vw *vw, const struct sim_request *request)
{
	return sim_part_of(vw->sim, request)->cloud->name;
}

static bool revoked(const struct vw *vw, const struct sim_request *request)
{
	ff_auto_free char *what = NULL;

	if (vw->faults.revoked == NULL || vw->now_ms < vw->faults.revoked_ms || vw->now_ms >= vw->faults.restored_ms)
		return false;
	what = ff_printf("%s %.*s %.*s", request->method, (int)strcspn(request->target, "?"), request->target,
		(int)request->body_len, request->body != NULL ? request->body : "");
	return ff_glob(vw->faults.revoked, what);
}

static void make(struct vw *vw, const struct sim_request *request, enum vw_fault_kind kind)
{
	static const int server_errors[] = {500, 502, 503, 504};
	const char *cloud = cloud_of(vw, request);
	bool aws = ff_streq(cloud, "aws"), gcp = ff_streq(cloud, "gcp");
	struct sim_fault *f = &vw->fault;

	*f = (struct sim_fault){.retry_after_s = -1, .hang_ms = -1};
	switch (kind) {
	case VW_F_RETRY_AFTER:
		f->retry_after_s = vw_between(vw, 1, 60);
		/* fall through */
	case VW_F_THROTTLED:
		f->kind = SIM_F_STATUS;
		f->status = aws ? 503 : gcp ? 403 : 429;
		f->code = gcp ? "rateLimitExceeded" : NULL;
		f->retry_after_s = aws || gcp ? -1 : f->retry_after_s;
		break;
	case VW_F_SERVER_ERROR:
		f->kind = SIM_F_STATUS;
		f->status = server_errors[vw_random(vw) % FF_COUNT(server_errors)];
		f->code = aws ? "InternalError" : NULL;
		break;
	case VW_F_UNAUTHORIZED:
		f->kind = SIM_F_STATUS;
		f->status = 401;
		f->code = aws ? "AuthFailure" : NULL;
		break;
	case VW_F_REVOKED:
		f->kind = SIM_F_STATUS;
		f->status = 403;
		f->code = aws ? "UnauthorizedOperation" : gcp ? "forbidden" : "AuthorizationFailed";
		break;
	case VW_F_RESET_BEFORE:
		f->kind = SIM_F_RESET_BEFORE;
		break;
	case VW_F_RESET_AFTER:
		f->kind = SIM_F_RESET_AFTER;
		break;
	case VW_F_TRUNCATED:
		f->kind = SIM_F_TRUNCATE;
		break;
	case VW_F_LATE:
		f->kind = SIM_F_HANG;
		f->hang_ms = vw_between(vw, 100, 100000);
		break;
	case VW_F_OP_FAILS:
		f->kind = SIM_F_OP_FAILS;
		f->status = 409;
		f->code = aws	? "Server.InsufficientInstanceCapacity"
			  : gcp ? "INTERNAL_ERROR"
				: "InternalExecutionError";
		f->message = "An internal execution error occurred. Please retry later.";
		break;
	case VW_F_OP_HANGS:
		f->kind = SIM_F_OP_HANGS;
		break;
	case VW_F_OP_LATE:
		f->kind = SIM_F_OP_LATE;
		f->hang_ms = vw->faults.exact[0].number != 0 ? OP_LATE_MS : vw_between(vw, 60000, OP_LATE_MAX_MS);
		break;
	default:
		f->kind = SIM_F_HANG;
		f->hang_ms = 0;
		vw->garble = true;
	}
	vw->sim->faults = f;
	vw->sim->fault_count = 1;
}

static bool exactly(const struct vw *vw, enum vw_fault_kind *kind)
{
	for (size_t i = 0; i < FF_COUNT(vw->faults.exact); i++) {
		if (vw->faults.exact[i].number == 0 || vw->faults.exact[i].number != vw->arrived)
			continue;
		*kind = vw->faults.exact[i].kind;
		return true;
	}
	return false;
}

/* One token that is refused is signed in again for; the same request refused again is believed. */
static void note_refusal(struct vw *vw, const struct sim_request *request)
{
	ff_auto_free char *what = ff_printf("%s %s", request->method, request->target);

	vw->faults.refused_twice = vw->faults.refused_twice || ff_streq(what, vw->faults.refused);
	free(vw->faults.refused);
	vw->faults.refused = FF_STEAL(what);
}

/* A crash is counted when it is seen. */
static void die(struct vw *vw, struct vw_host *host, enum vw_fault_kind kind)
{
	vw->fault = (struct sim_fault){.kind = SIM_F_RESET_BEFORE, .retry_after_s = -1, .hang_ms = -1};
	vw->sim->faults = &vw->fault;
	vw->sim->fault_count = kind == VW_F_DIES_BEFORE;
	if (host == NULL)
		return;
	host->crashed = true;
	host->killed = kind == VW_F_DIES_AFTER;
}

void vw_strike(struct vw *vw, struct vw_host *host, const struct sim_request *request, bool mutates)
{
	enum vw_fault_kind kind;

	vw->garble = false;
	vw->arrived++;
	if (vw->at_request != NULL)
		vw->at_request(vw, host, mutates);
	if (revoked(vw, request)) {
		kind = VW_F_REVOKED;
	} else if (!exactly(vw, &kind)) {
		if (vw->faults.left == 0 || vw->faults.permille == 0 || vw_random(vw) % 1000 >= vw->faults.permille)
			return;
		kind = (enum vw_fault_kind)(vw_random(vw) % VW_F_REQUESTS);
		if (!mutates && (kind == VW_F_OP_FAILS || kind == VW_F_OP_HANGS))
			return;
		if (kind == VW_F_OP_HANGS && vw_random(vw) % 2)
			kind = VW_F_OP_LATE;
		vw->faults.left--;
	}
	if (kind == VW_F_DIES_BEFORE || kind == VW_F_DIES_AFTER) {
		die(vw, host, kind);
		return;
	}
	if (kind == VW_F_MENDED) {
		vw->faults.counts[kind]++;
		vw->mend(vw);
		return;
	}
	vw->faults.counts[kind]++;
	if (kind == VW_F_UNAUTHORIZED)
		note_refusal(vw, request);
	make(vw, request, kind);
	if (vw->trace)
		fprintf(stderr, "%9.3f     fault: %s\n", (double)(vw->now_ms - VW_BEGAN) / 1000, vw_fault_names[kind]);
}

void vw_spoil(struct vw *vw, struct sim_answer *answer)
{
	vw->sim->faults = NULL;
	vw->sim->fault_count = 0;
	if (!vw->garble || answer->body_len == 0)
		return;
	vw->garble = false;
	if (vw_random(vw) % 2)
		answer->body_len = (size_t)vw_between(vw, 0, (int64_t)answer->body_len - 1);
	for (size_t i = 0; i < answer->body_len; i += 1 + (size_t)vw_between(vw, 0, 40))
		answer->body[i] = (char)vw_random(vw);
}

bool vw_worker_fault(struct vw *vw, enum vw_fault_kind kind)
{
	if (vw->faults.left == 0 || vw->faults.worker_permille == 0 ||
		vw_random(vw) % 1000 >= vw->faults.worker_permille)
		return false;
	vw->faults.left--;
	vw->faults.counts[kind]++;
	if (vw->trace)
		fprintf(stderr, "%9.3f     worker: %s\n", (double)(vw->now_ms - VW_BEGAN) / 1000, vw_fault_names[kind]);
	return true;
}
