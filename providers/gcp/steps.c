/*
 * The rows of a repair on GCP, section 4 of the facts.
 *
 * Looks are one GET a VM and not gathered into a list: a list is paged, so that one request cannot promise to tell of
 * all its members, and a filtered one costs its own quota for every resource that it passes over. There is nothing to
 * save: operations are waited for, so a step needs a look only where fresh facts decide (fingerprint, status, who has
 * the disk).
 *
 * The disk carries a claim of its own: while it is away its VM does not tell which disk is missing.
 */
#include "gcp.h"

#define MINUTES(n) ((int64_t)(n)*60 * 1000)

/* Requests for one rescue VM go one after the other, their operations run side by side (FF_KEY_FREE). */
static const char *rescue_key(const struct ff_member *m)
{
	return gcp_rescue_path(m);
}

#define LOOK(name) .look = gcp_##name##_look, .looked = gcp_##name##_looked
#define ACT(name)  .act = gcp_##name##_act, .acted = gcp_acted

const struct ff_step gcp_steps[GCP_STEP_COUNT] = {
	[GCP_CLAIM] = {.name = "claim", .doing = "claiming", ACT(claim), LOOK(claim), .undo = GCP_RELEASE},
	[GCP_CLAIM_DISK] =
		{.name = "claim-disk", .doing = "claiming its disk", ACT(claim), LOOK(claim), .undo = GCP_RELEASE_DISK},
	[GCP_STOP] = {.name = "stop",
		.doing = "stopping",
		.flags = FF_TAKES_DOWN | FF_LOOK_FIRST | FF_IF_RUNNING,
		ACT(stop),
		LOOK(stop),
		.undo = GCP_START},
	/* the first look is also what leaves the snapshot out under --backup none */
	[GCP_BACKUP] = {.name = "backup",
		.doing = "taking a snapshot",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER,
		ACT(backup),
		LOOK(backup),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(60)},
	[GCP_TAKE_OUT] = {.name = "take-out",
		.doing = "taking the boot disk out",
		.flags = FF_LOOK_FIRST,
		ACT(take_out),
		LOOK(take_out),
		.undo = GCP_PUT_BACK},
	[GCP_ATTACH] = {.name = "attach",
		.doing = "attaching to the rescue VM",
		.flags = FF_KEY_FREE,
		.group_max = 1,
		.group = rescue_key,
		ACT(attach),
		LOOK(attach),
		.undo = GCP_DETACH,
		.patience_ms = MINUTES(30)},
	[GCP_REPAIR] = {.name = "repair", .doing = "mending", .kind = FF_STEP_REPAIR, .undo = FF_STEP_NONE},
	/* does not hold the disk: that would say that the VM is whole when it is done. put-back fails where it failed
	 */
	[GCP_DETACH] = {.name = "detach",
		.doing = "detaching from the rescue VM",
		.flags = FF_KEY_FREE,
		.group_max = 1,
		.group = rescue_key,
		ACT(detach),
		LOOK(detach),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(60)},
	[GCP_PUT_BACK] = {.name = "put-back",
		.doing = "putting the boot disk back",
		.flags = FF_LOOK_AFTER | FF_HOLDS_DISK | FF_PUTS_IN,
		ACT(put_back),
		LOOK(put_back),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(60)},
	/* never without a look: a VM whose boot disk is not back must not be started */
	[GCP_START] = {.name = "start",
		.doing = "starting",
		.flags = FF_LOOK_FIRST | FF_IF_RUNNING,
		ACT(start),
		LOOK(start),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(60)},
	[GCP_VERIFY] = {.name = "verify",
		.doing = "waiting for its guest agent",
		.flags = FF_IF_RUNNING,
		LOOK(verify),
		.undo = FF_STEP_NONE},
	[GCP_RELEASE_DISK] = {.name = "release-disk",
		.doing = "releasing its disk",
		.flags = FF_LOOK_FIRST | FF_BEST_EFFORT,
		ACT(release),
		LOOK(release),
		.undo = FF_STEP_NONE},
	[GCP_CHECK] = {.name = "check", .doing = "checking its snapshot", LOOK(check), .undo = FF_STEP_NONE},
	[GCP_MAKE] = {.name = "make-disk",
		.doing = "making a disk of its snapshot",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER, /* made like the one that it replaces */
		ACT(make),
		LOOK(make),
		.undo = GCP_DELETE_MADE,
		.patience_ms = MINUTES(30)},
	[GCP_DELETE_MADE] = {.name = "delete-made",
		.doing = "deleting the new disk",
		.flags = FF_LOOK_FIRST | FF_BEST_EFFORT,
		ACT(delete_made),
		LOOK(delete_made),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(5)},
	[GCP_PUT_IN] = {.name = "put-in",
		.doing = "putting the new disk in",
		.flags = FF_LOOK_AFTER | FF_PUTS_IN,
		ACT(put_back),
		LOOK(put_back),
		.undo = GCP_TAKE_NEW_OUT,
		.patience_ms = MINUTES(60)},
	[GCP_TAKE_NEW_OUT] = {.name = "take-new-out",
		.doing = "taking the new disk out",
		.flags = FF_LOOK_FIRST,
		ACT(take_out),
		LOOK(take_out),
		.undo = FF_STEP_NONE},
	[GCP_CONFIRM] = {.name = "confirm",
		.doing = "waiting until it runs",
		.flags = FF_IF_RUNNING,
		LOOK(confirm),
		.undo = FF_STEP_NONE},
	[GCP_RELEASE_NEW] = {.name = "release-new",
		.doing = "releasing the new disk",
		.flags = FF_LOOK_FIRST | FF_BEST_EFFORT,
		ACT(release),
		LOOK(release),
		.undo = FF_STEP_NONE},
	[GCP_DELETE_LEFT] = {.name = "delete-left",
		.doing = "deleting what is left over",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER,
		ACT(delete_left),
		LOOK(delete_left),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(15),
		.fresh_ms = FF_DELETE_FRESH_MS},
	/* the act is that of detach: the look has found out where it is, and as what */
	[GCP_FETCH] = {.name = "fetch",
		.doing = "taking its disk off the rescue VM",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER | FF_HOLDS_DISK | FF_KEY_FREE,
		.group_max = 1,
		.group = rescue_key,
		ACT(detach),
		LOOK(fetch),
		.undo = FF_STEP_NONE,
		.patience_ms = MINUTES(60)},
	[GCP_RELEASE] = {.name = "release",
		.doing = "releasing",
		.flags = FF_LOOK_FIRST | FF_BEST_EFFORT,
		ACT(release),
		LOOK(release),
		.undo = FF_STEP_NONE},
};

/* the check comes before the claim: where there is no way back nothing is touched. The replaced disk keeps the label of
 * its claim: only what has it is ever deleted */
const int gcp_rollback[] = {GCP_CHECK, GCP_CLAIM, GCP_CLAIM_DISK, GCP_MAKE, GCP_STOP, GCP_TAKE_OUT, GCP_PUT_IN,
	GCP_START, GCP_CONFIRM, GCP_RELEASE_NEW, GCP_RELEASE, FF_STEP_NONE};
const int gcp_cleanup[] = {GCP_DELETE_LEFT, FF_STEP_NONE};

/* every row looks first, so that what is done is done only where it is wanting */
const int gcp_recover[] = {GCP_FETCH, GCP_PUT_BACK, GCP_START, GCP_RELEASE_DISK, GCP_RELEASE, FF_STEP_NONE};

const int gcp_forward[] = {GCP_CLAIM, GCP_CLAIM_DISK, GCP_STOP, GCP_BACKUP, GCP_TAKE_OUT, GCP_ATTACH, GCP_REPAIR,
	GCP_DETACH, GCP_PUT_BACK, GCP_START, GCP_VERIFY, GCP_RELEASE_DISK, GCP_RELEASE, FF_STEP_NONE};
