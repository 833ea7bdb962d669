/*
 * What the files of the runtime share. One struct ff_runtime is one libuv loop, on one thread; nothing here is thread
 * safe.
 *
 *   runtime.c    the loop: turns, times, signals; the world's table
 *   http.c       libcurl's multi interface on the loop       http_head.c  what goes over the wire, without libcurl
 *   exec.c       programs whose output is an answer          file.c       files whose content is an answer
 *   worker.c     repair workers: processes and their lines   worker_map.c which rescue VM a shared worker's line is for
 *   child.c      what exec.c and worker.c have in common
 *   run.c        run folder, lock and journal                keep.c       the quarantine
 *   evidence.c   what was seen of VMs from outside
 */
#ifndef FF_RT_H
#define FF_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "fixfleet/ask.h"
#include "fixfleet/engine.h"
#include "fixfleet/runtime.h"
#include "fixfleet/world.h"

#define RT_TIMEOUT_MS	    60000
#define RT_ANSWER_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define RT_CONNECTIONS	    64
#define RT_HELD_CONNECTIONS 256 /* beside them, waiting for answers that are held back */

/* An ask that is being carried out, until rt_op_finish(). */
struct rt_op {
	struct ff_runtime *rt;
	struct ff_ask ask;
	struct ff_answer answer;
	ff_answered_fn *done;
	void *arg;
	STAILQ_ENTRY(rt_op) next;
};
STAILQ_HEAD(rt_ops, rt_op);

struct rt_http;
struct rt_worker;
struct rt_exec;
struct rt_kept_vm;
TAILQ_HEAD(rt_workers, rt_worker);
TAILQ_HEAD(rt_execs, rt_exec);
SLIST_HEAD(rt_kept, rt_kept_vm);

/* The open run; fds are -1 when there is none. */
struct rt_run {
	char *dir;
	int dir_fd, lock_fd, journal_fd, quarantine_fd;
	int64_t sound_bytes;  /* the journal is torn after these: cut it before anything is appended; -1: it is whole */
	bool unsynced;	      /* appended since the last sync */
	struct ff_err broken; /* the first failure of the journal: it is final */
};

struct ff_runtime {
	struct ff_runtime_options options;
	struct ff_world world;

	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_idle_t idle; /* runs while `ready` or `greet` hold something: the loop does not sleep then */
	uv_timer_t wake, tick;
	uv_async_t signalled;
	unsigned signals_passed; /* how many signals the engine was told of */

	struct ff_engine *engine; /* while ff_runtime_run() runs */
	enum ff_phase until;
	void (*tick_fn)(void *arg);
	void *tick_arg;
	bool dirty;	     /* something happened since the last turn */
	bool closing;	     /* ff_runtime_free() runs: nothing is delivered any more */
	struct rt_ops ready; /* answers that were known inside send(): it must not call back before it returns */
	bool greet;	     /* a shared worker owes somebody a line that it said before */

	struct rt_http *http;
	struct rt_execs execs;
	struct rt_workers workers;
	struct rt_run run;
	struct rt_kept kept;
	char read_bytes[64 * 1024]; /* for all pipes: libuv fills and hands over in one go */
};

/** Tell the engine at the end of this loop iteration. */
void rt_happened(struct ff_runtime *rt);
/** Have the loop come round at once, to deliver what is in `ready` or `greet`. */
void rt_come_round(struct ff_runtime *rt);

/** Deliver op->answer; the op is gone after. From the loop only, never inside a function of the world. */
void rt_op_finish(struct rt_op *op);
/** The same at the next iteration. */
void rt_op_finish_later(struct rt_op *op);
/** Forget it without delivering. */
void rt_op_free(struct rt_op *op);
/** Fill the answer of a failed ask: transport, status and a text that is safe to print. */
void rt_op_fail(struct rt_op *op, enum ff_transport transport, int status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
unsigned rt_op_timeout_ms(const struct rt_op *op);
size_t rt_op_bytes_max(const struct rt_op *op);
/** Append; with `secret` no stale copy stays behind when the buffer moves. */
void rt_buf_add(struct ff_buf *b, const void *bytes, size_t len, bool secret);

/* ---- http.c, http_head.c */
struct rt_http *rt_http_new(struct ff_runtime *rt, struct ff_err *err);
void rt_http_free(struct rt_http *http); /* NULL is fine; its libuv handles are closing after */
void rt_http_start(struct rt_http *http, struct rt_op *op);

/** May this ask go out as it is? Refuses what could smuggle a second header or request. 0, or -1 with op->answer. */
int rt_http_check(struct rt_op *op);
/** One header line of an answer, with its line end. Lines that are no header are ignored. */
void rt_http_header_line(struct ff_headers *headers, const char *line, size_t len);
/** The path of an URL without query, for the log. The caller frees. */
char *rt_http_path(const char *url);

/* ---- file.c, exec.c */
void rt_file_start(struct rt_op *op);
void rt_exec_start(struct rt_op *op);
void rt_exec_kill_all(struct ff_runtime *rt);

/* ---- worker.c */
int rt_worker_send(struct ff_runtime *rt, const char *rescue, const json_t *line, struct ff_err *err);
void rt_worker_kill(struct ff_runtime *rt, const char *rescue);
/** Deliver what is owed, see `greet`. */
void rt_workers_greet(struct ff_runtime *rt);
/** End of input to all; SIGTERM after 10 s, SIGKILL 5 s later. They have ended when the loop has no more to do. */
void rt_workers_end(struct ff_runtime *rt);
/** The operator does not want to wait for that: SIGTERM now. */
void rt_workers_hurry(struct ff_runtime *rt);

/* ---- run.c */
void rt_run_init(struct rt_run *run);
int rt_run_open(struct rt_run *run, const char *dir, struct ff_err *err);
int rt_run_reopen(struct rt_run *run, const char *dir, struct ff_source *journal, struct ff_err *err);
void rt_run_close(struct rt_run *run);
/** mkdir -p, mode 0700; each new one is durable. */
int rt_make_folders(const char *path, struct ff_err *err);
int rt_run_append(struct rt_run *run, const char *line, size_t len, struct ff_err *err);
int rt_run_sync(struct rt_run *run, struct ff_err *err);
/** Write everything, whatever it takes. 0, or -1 with errno. `offset` -1: at the file's position. */
int rt_write_all(int fd, const void *bytes, size_t len, int64_t offset);

/* ---- keep.c */
int rt_keep(struct ff_runtime *rt, const char *vm_key, unsigned index, const char *path, int64_t offset,
	const void *bytes, size_t len, struct ff_err *err);
int rt_keep_sync(struct ff_runtime *rt, const char *vm_key, const json_t *manifest, struct ff_err *err);
void rt_keep_free(struct ff_runtime *rt);
/** A folder's name that is safe, whatever `name` is made of, and unlike that of any other key. The caller frees. */
char *rt_folder_name(const char *name, const char *key);

#endif
