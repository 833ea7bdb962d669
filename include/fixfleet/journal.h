/*
 * The journal's format: JSON Lines, one record a line, readable with jq in the middle of an incident.
 *
 *   {"n":17,"t":"2024-07-19T06:00:00.123Z","k":"intent",...,"sum":"9f86d081884c7d65"}
 *
 * n    sequence number from 1 without gaps        t  wall time
 * k    kind of record, see docs/journal.md        sum  the first 16 hex digits of SHA-256 over the line up to `,"sum"`,
 *                                                     chained: the previous record's sum is hashed first
 * The file is append-only. A last line without newline or with a bad sum is torn: normal after a crash, and dropped.
 * Anything wrong before the last line is damage: an error with its byte offset.
 */
#ifndef FIXFLEET_JOURNAL_H
#define FIXFLEET_JOURNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fixfleet/err.h"
#include "fixfleet/mem.h"
#include "fixfleet/node.h"

#define FF_JOURNAL_VERSION 2 /* docs/journal.md tells what changed */

/* The writer's end of a chain; all zero starts one. */
struct ff_chain {
	uint64_t n;
	char sum[17];
};

/** Append to `out` the line of `record` (an object without n, t, sum; "k" in it), and move the chain on. */
void ff_journal_line(struct ff_chain *chain, int64_t wall_ms, const json_t *record, struct ff_buf *out);

/* Where a journal's bytes are: in memory, or in a file, which is read piece by piece. A copy is as good. */
struct ff_source {
	size_t len;
	/* Up to `room` bytes from `at` on, where there are some; -1 with err (FF_E_LOCAL), 0: they are gone. */
	ssize_t (*read)(const void *self, size_t at, char *bytes, size_t room, struct ff_err *err);
	const void *self;
};
/** These bytes, which stay the caller's. */
struct ff_source ff_source_of(const char *bytes, size_t len);

/**
 * Read a whole journal, of which no more than a piece or a line is in memory at a time. `each` is called for every
 * sound record in order (borrowed; 0 to go on, -1 with err to stop).
 * @chain   filled with the end of the sound part, to append after it
 * @sound   bytes of the sound part: a torn tail is cut off there before anything is appended
 * @return  0, or -1 with err: each's own, or FF_E_LOCAL: damage with "byte N", another version, it cannot be read
 */
int ff_journal_read(struct ff_source journal, int (*each)(void *arg, const struct ff_node *record, struct ff_err *err),
	void *arg, struct ff_chain *chain, size_t *sound, struct ff_err *err);

/* ---- a run as its journal tells it, for `status` */

struct ff_past_vm {
	char *provider, *id, *name, *step, *outcome, *reason, *where;
	json_t *facts, *removed, *by_hand; /* by_hand: commands; NULL unless stuck */
	int64_t took_ms;
};
struct ff_past {
	char *run, *program, *flow, *of, *started, *ended; /* ended NULL: unfinished; of NULL: of a repair */
	json_t *info, *recipes;
	struct ff_past_vm *vms;
	size_t count, selected; /* selected: how many the run was begun for; more when it was cut off before its plan */
	bool torn;		/* the last record was torn */
};
/** 0, and the caller releases it; or -1 with err as of ff_journal_read(), or FF_E_LOCAL: no run was begun in it. */
int ff_past_read(struct ff_source journal, struct ff_past *past, struct ff_err *err);
/** Free what it tells of the VMs alone. */
void ff_past_forget_vms(struct ff_past *past);
void ff_past_release(struct ff_past *past);

#endif
