/*
 * Lines to the controller: whole lines, blocking, from any thread.
 */
#ifndef DISKOPS_OUTBOX_H
#define DISKOPS_OUTBOX_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "fixfleet/mem.h"
#include "job.h"

struct outbox {
	int fd;
	pthread_mutex_t lock;
	bool broken; /* the reader is gone: nothing more is written */
};

bool outbox_broken(struct outbox *out);

/** Write one event; takes the object over. */
void outbox_send(struct outbox *out, json_t *event_owned);

/** A new {"event":kind,"job":id}; `job` NULL: without job. */
json_t *outbox_event(const char *kind, const struct job *job);

/** {"event":"stage","job":id,"text":...}; control characters are escaped. */
void outbox_stage(struct outbox *out, const struct job *job, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** One piece of a file that is to be kept, at most FF_KEEP_PIECE_BYTES. */
void outbox_keep(struct outbox *out, const struct job *job, size_t index, const char *path, int64_t offset,
	const void *bytes, size_t len);

/** The outcome of an ENDED job whose disk is closed. */
void outbox_done(struct outbox *out, const struct job *job, int64_t now_mono_ms);

#define FF_KEEP_PIECE_BYTES (512 * 1024)

#endif
