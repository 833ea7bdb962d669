/* The rows of the flow. The order of a repair is aws_forward; undo makes the way home of the same rows. */
#include "aws.h"

#define MINUTE_MS	(60 * 1000)
#define IDS_AT_ONCE	50 /* in StopInstances and StartInstances */
#define STANDBY_AT_ONCE 20
#define LOOKS_AT_ONCE	100
#define MEMBERS_AT_ONCE 50

/* The four functions that a row looks with, made of its view: gathered, and for one. */
#define VIEW(row)                                                                                                      \
	static int row##_looks(                                                                                        \
		struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)   \
	{                                                                                                              \
		(void)err;                                                                                             \
		return aws_view_looks(&aws_##row##_view, cloud, m, n, ask);                                            \
	}                                                                                                              \
	static void row##_lookeds(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,        \
		const struct ff_answer *answer, struct ff_verdict *v)                                                  \
	{                                                                                                              \
		(void)cloud;                                                                                           \
		aws_view_lookeds(&aws_##row##_view, m, n, wall_ms, answer, v);                                         \
	}                                                                                                              \
	static int row##_look(                                                                                         \
		struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)             \
	{                                                                                                              \
		return row##_looks(cloud, m, 1, ask, err);                                                             \
	}                                                                                                              \
	static void row##_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,                   \
		const struct ff_answer *answer, struct ff_verdict *v)                                                  \
	{                                                                                                              \
		row##_lookeds(cloud, m, 1, wall_ms, answer, v);                                                        \
	}
#define LOOKS(row, max)                                                                                                \
	.look = row##_look, .looked = row##_looked, .look_max = (max), .looks = row##_looks, .lookeds = row##_lookeds

VIEW(claim)
VIEW(standby)
VIEW(stop)
VIEW(backup)
VIEW(take_out)
VIEW(attach)
VIEW(detach)
VIEW(put_back)
VIEW(start)
VIEW(verify)
VIEW(unstandby)
VIEW(release)
VIEW(check)
VIEW(make)
VIEW(delete_made)
VIEW(take_new_out)
VIEW(confirm)
VIEW(delete_snapshot)
VIEW(delete_volume)
VIEW(fetch)

const int aws_forward[] = {AWS_CLAIM, AWS_STANDBY, AWS_STOP, AWS_BACKUP, AWS_TAKE_OUT, AWS_ATTACH, AWS_REPAIR,
	AWS_DETACH, AWS_PUT_BACK, AWS_START, AWS_VERIFY, AWS_UNSTANDBY, AWS_RELEASE, FF_STEP_NONE};

/* the check comes before the claim: where there is no way back nothing is touched */
const int aws_rollback[] = {AWS_CHECK, AWS_CLAIM, AWS_STANDBY, AWS_MAKE, AWS_STOP, AWS_TAKE_OUT, AWS_PUT_IN, AWS_START,
	AWS_CONFIRM, AWS_UNSTANDBY, AWS_RELEASE_NEW, FF_STEP_NONE};
const int aws_cleanup[] = {AWS_DELETE_SNAPSHOT, AWS_DELETE_VOLUME, FF_STEP_NONE};

/* every row looks first, so that what is done is done only where it is wanting */
const int aws_recover[] = {AWS_FETCH, AWS_PUT_BACK, AWS_START, AWS_UNSTANDBY, AWS_RELEASE, FF_STEP_NONE};

const struct ff_step aws_steps[AWS_STEP_COUNT] = {
	[AWS_CLAIM] = {.name = "claim",
		.doing = "claiming",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER, /* no compare-and-set: who reads another's tag has lost */
		.act = aws_claim,
		.acted = aws_claim_acted,
		LOOKS(claim, LOOKS_AT_ONCE),
		.fresh_ms = AWS_CLAIM_FRESH_MS,
		.undo = AWS_RELEASE},
	[AWS_STANDBY] = {.name = "standby",
		.doing = "leaving its group for Standby",
		.flags = FF_IF_RUNNING | FF_LOOK_FIRST | FF_LOOK_AFTER | FF_KEY_FREE,
		.group_max = STANDBY_AT_ONCE,
		.group = aws_standby_group,
		.act = aws_standby,
		.acted = aws_standby_acted,
		LOOKS(standby, MEMBERS_AT_ONCE),
		.undo = AWS_UNSTANDBY,
		.applies = aws_standby_applies},
	[AWS_STOP] = {.name = "stop",
		.doing = "stopping",
		.flags = FF_TAKES_DOWN | FF_IF_RUNNING | FF_LOOK_AFTER | FF_KEY_FREE,
		.group_max = IDS_AT_ONCE,
		.group = aws_stop_group,
		.act = aws_stop,
		.acted = aws_stop_acted,
		LOOKS(stop, LOOKS_AT_ONCE),
		.undo = AWS_START,
		.patience_ms = 30 * MINUTE_MS}, /* ten until Force, and then again */
	[AWS_BACKUP] = {.name = "backup",
		.doing = "taking a snapshot",
		.flags = FF_LOOK_FIRST, /* found by its tags before another one is made */
		.act = aws_backup,
		.acted = aws_backup_acted,
		LOOKS(backup, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.applies = aws_backup_applies},
	[AWS_TAKE_OUT] = {.name = "take-out",
		.doing = "detaching from the VM",
		.flags = FF_LOOK_AFTER,
		.act = aws_take_out,
		.acted = aws_take_out_acted,
		LOOKS(take_out, LOOKS_AT_ONCE),
		.undo = AWS_PUT_BACK},
	[AWS_ATTACH] = {.name = "attach",
		.doing = "attaching to the rescue VM",
		.flags = FF_LOOK_AFTER,
		.act = aws_attach,
		.acted = aws_attach_acted,
		LOOKS(attach, LOOKS_AT_ONCE),
		.undo = AWS_DETACH},
	[AWS_REPAIR] = {.name = "repair", .doing = "repairing", .kind = FF_STEP_REPAIR, .undo = FF_STEP_NONE},
	[AWS_DETACH] = {.name = "detach",
		.doing = "detaching from the rescue VM",
		.flags = FF_LOOK_AFTER, /* available, and nothing attached: only then can it go home */
		.act = aws_detach,
		.acted = aws_detach_acted,
		LOOKS(detach, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 30 * MINUTE_MS}, /* ten until Force, and then again */
	[AWS_PUT_BACK] = {.name = "put-back",
		.doing = "attaching to the VM",
		.flags = FF_LOOK_AFTER | FF_HOLDS_DISK | FF_PUTS_IN,
		.act = aws_put_back,
		.acted = aws_put_back_acted,
		LOOKS(put_back, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 30 * MINUTE_MS},
	[AWS_START] = {.name = "start",
		.doing = "starting",
		.flags = FF_IF_RUNNING | FF_LOOK_FIRST | FF_LOOK_AFTER | FF_KEY_FREE, /* only with its root back */
		.group_max = IDS_AT_ONCE,
		.group = aws_start_group,
		.act = aws_start,
		.acted = aws_start_acted,
		LOOKS(start, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 60 * MINUTE_MS}, /* capacity may be short for long */
	[AWS_VERIFY] = {.name = "verify",
		.doing = "verifying",
		.flags = FF_IF_RUNNING | FF_REPAIRED_ONLY,
		LOOKS(verify, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE},
	[AWS_UNSTANDBY] = {.name = "un-standby",
		.doing = "going back to its group",
		.flags = FF_IF_RUNNING | FF_LOOK_FIRST | FF_LOOK_AFTER | FF_KEY_FREE | FF_BEST_EFFORT,
		.group_max = STANDBY_AT_ONCE,
		.group = aws_standby_group,
		.act = aws_unstandby,
		.acted = aws_standby_acted,
		LOOKS(unstandby, MEMBERS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 10 * MINUTE_MS,
		.applies = aws_standby_applies},
	[AWS_CHECK] = {.name = "check",
		.doing = "checking its snapshot",
		LOOKS(check, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE},
	[AWS_MAKE] = {.name = "make-volume",
		.doing = "making a volume of its snapshot",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER, /* made like the one that it replaces, and found by its tags */
		.act = aws_make,
		.acted = aws_make_acted,
		LOOKS(make, LOOKS_AT_ONCE),
		.undo = AWS_DELETE_MADE,
		.patience_ms = 30 * MINUTE_MS},
	[AWS_DELETE_MADE] = {.name = "delete-made",
		.doing = "deleting the new volume",
		.flags = FF_LOOK_FIRST | FF_BEST_EFFORT,
		.act = aws_delete_made,
		.acted = aws_delete_made_acted,
		LOOKS(delete_made, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 5 * MINUTE_MS},
	[AWS_PUT_IN] = {.name = "put-in",
		.doing = "attaching the new volume",
		.flags = FF_LOOK_AFTER | FF_PUTS_IN,
		.act = aws_put_back,
		.acted = aws_put_back_acted,
		LOOKS(put_back, LOOKS_AT_ONCE),
		.undo = AWS_TAKE_NEW_OUT,
		.patience_ms = 30 * MINUTE_MS},
	[AWS_TAKE_NEW_OUT] = {.name = "take-new-out",
		.doing = "detaching the new volume",
		.flags = FF_LOOK_AFTER,
		.act = aws_take_out,
		.acted = aws_take_out_acted,
		LOOKS(take_new_out, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.applies = aws_is_made},
	[AWS_CONFIRM] = {.name = "confirm",
		.doing = "waiting until it runs",
		.flags = FF_IF_RUNNING,
		LOOKS(confirm, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE},
	/* the replaced volume keeps the tags: only what has them is ever deleted */
	[AWS_RELEASE_NEW] = {.name = "release-new",
		.doing = "releasing",
		.flags = FF_BEST_EFFORT,
		.act = aws_release_new,
		.acted = aws_release_acted,
		LOOKS(release, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE},
	[AWS_FETCH] = {.name = "fetch",
		.doing = "taking its volume off the rescue VM",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER | FF_HOLDS_DISK,
		.act = aws_fetch,
		.acted = aws_fetch_acted,
		LOOKS(fetch, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 30 * MINUTE_MS},
	[AWS_DELETE_SNAPSHOT] = {.name = "delete-snapshot",
		.doing = "deleting its snapshot",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER,
		.act = aws_delete_snapshot,
		.acted = aws_deleted,
		LOOKS(delete_snapshot, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 5 * MINUTE_MS,
		.applies = aws_left_snapshot,
		.fresh_ms = FF_DELETE_FRESH_MS},
	[AWS_DELETE_VOLUME] = {.name = "delete-volume",
		.doing = "deleting the volume that is left over",
		.flags = FF_LOOK_FIRST | FF_LOOK_AFTER,
		.act = aws_delete_volume,
		.acted = aws_deleted,
		LOOKS(delete_volume, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE,
		.patience_ms = 5 * MINUTE_MS,
		.applies = aws_left_volume,
		.fresh_ms = FF_DELETE_FRESH_MS},
	[AWS_RELEASE] = {.name = "release",
		.doing = "releasing",
		.flags = FF_BEST_EFFORT,
		.act = aws_release,
		.acted = aws_release_acted,
		LOOKS(release, LOOKS_AT_ONCE),
		.undo = FF_STEP_NONE},
};
