/*
 * Reading the controller's lines while libguestfs blocks the main thread: a thread of its own fills a queue.
 *
 * inbox_start() -> inbox_next() again and again -> inbox_stop(). The thread ends by itself at the end of input.
 */
#ifndef DISKOPS_INBOX_H
#define DISKOPS_INBOX_H

#include <jansson.h>

#include "fixfleet/err.h"

struct inbox;

enum inbox_kind {
	INBOX_NOTHING, /* no news within the time given */
	INBOX_LINE,    /* `json`: one line, an object, owned by the caller */
	INBOX_END,     /* end of input; nothing follows but INBOX_STOP or INBOX_HANGUP */
	INBOX_BROKEN,  /* `err`: what came is not the protocol; nothing follows but INBOX_STOP or INBOX_HANGUP */
	INBOX_STOP,    /* `err`: a signal; comes before everything that waits */
	INBOX_HANGUP,  /* `err`: nobody reads our output any more; comes before everything that waits */
};

struct inbox_item {
	enum inbox_kind kind;
	json_t *json;
	struct ff_err err;
};

/**
 * Start reading `in_fd`; `out_fd` is watched for its reader going away, `stop_fd` (may be -1) for a byte that tells to
 * stop. The descriptors stay the caller's. NULL with err (FF_E_LOCAL).
 */
struct inbox *inbox_start(int in_fd, int out_fd, int stop_fd, struct ff_err *err);

/** The next item, waiting at most `timeout_ms` for it (-1: for ever). INBOX_STOP and INBOX_HANGUP are
 * told again and again. */
void inbox_next(struct inbox *inbox, int timeout_ms, struct inbox_item *item);

/** End the thread and free everything. NULL is fine. */
void inbox_stop(struct inbox *inbox);

#endif
