/*
 * One worker on this machine and the disks it is given, without any cloud: the conversation of `fixfleet disk`.
 */
#ifndef CMD_DISK_SESSION_H
#define CMD_DISK_SESSION_H

#include <jansson.h>

#include "cmd.h"

struct disk_target {
	const char *path; /* as the operator wrote it; borrowed */
	char *real;	  /* absolute */
	json_t *done;	  /* the worker's last word; NULL while there is none */
};

struct disk_session {
	struct disk_target *targets;
	size_t count;
	const char *verb;		/* "scan", "repair" or "list" */
	json_t *recipes;		/* borrowed; NULL for list */
	const struct key_sources *keys; /* of BitLocker volumes; borrowed */
	bool discard_hibernation;
	int64_t timeout_ms;  /* of one disk; 0: the worker's own */
	unsigned appliances; /* side by side; 0: by the machine */
	char *run, *run_dir;
	bool interrupted; /* by the operator: what was not kept yet was left alone */
};

/**
 * Start the worker, let it do all targets, keep what it removes in run_dir, say its stages. Every target has its `done`
 * afterwards. 0, or -1 with err when there is no conversation at all.
 */
int disk_session_run(struct disk_session *s, struct ff_err *err);

/** What became of a target, as reports and the journal call it. */
const char *disk_outcome(const struct disk_session *s, const json_t *done);

void disk_session_release(struct disk_session *s);

#endif
