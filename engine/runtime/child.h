/*
 * Child processes: how they are started and what is left of them.
 */
#ifndef FF_RT_CHILD_H
#define FF_RT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "fixfleet/mem.h"

/* How long the pipes of an ended process may stay open: something it started may hold them for ever. */
#define RT_CHILD_GRACE_MS 1000

/**
 * Start argv (through PATH, no shell) as the leader of its own session. stdin is `in`, or /dev/null when NULL.
 * The three pipes are initialised here, the process handle too: all must be closed by the caller, also on failure.
 *
 * @env     NULL: this process' own
 * @return  0 or a libuv error (UV_ENOENT: no such program)
 */
int rt_child_spawn(uv_loop_t *loop, uv_process_t *process, char **argv, char **env, uv_pipe_t *in, uv_pipe_t *out,
	uv_pipe_t *err, uv_exit_cb exit_cb);

/** Signal the whole process group: a worker's qemu goes with it. */
void rt_child_kill(const uv_process_t *process, int signum);

/** This process' environment without what could hold a secret or name an account. NULL-terminated; free with
 * ff_strv_free(). */
void rt_child_clean_env(struct ff_strv *env);

/** The last line of a text that is not blank, as it came, at most 200 bytes; "" when there is none. The caller frees.
 */
char *rt_child_last_line(const char *text, size_t len);

/** "ended with exit status 1" or "was killed by signal 9 (Killed)". The caller frees. */
char *rt_child_end_text(int64_t exit_status, int signum);

#endif
