/*
 * The loop. Everything from outside arrives in callbacks of libuv, which store it (through rt_op_finish() or the
 * engine's worker functions) and note that something happened; the engine is turned once, in the prepare phase of the
 * next iteration, so that all that arrived together shares one turn and one sync of the journal.
 */
#include "rt.h"

#include <errno.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixfleet/log.h"

#define TICK_MS 100

/*
 * Signals are caught by our own handler, not by uv_signal_t, because they also matter while the loop does not run: a
 * prompt that waits in read() must be interrupted (no SA_RESTART). The handler can only know globals, so a process has
 * one runtime at a time.
 */
static volatile sig_atomic_t signals_seen;
static uv_async_t *signal_async;
static struct sigaction old_int, old_term;

static void on_signal(int signum)
{
	int saved = errno;

	(void)signum;
	signals_seen++;
	if (signal_async != NULL)
		uv_async_send(signal_async); /* documented as async-signal-safe */
	errno = saved;
}

static void catch_signals(uv_async_t *async)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGINT);
	sigaddset(&sa.sa_mask, SIGTERM);
	signal_async = async;
	sigaction(SIGINT, &sa, &old_int);
	sigaction(SIGTERM, &sa, &old_term);
}

static void release_signals(void)
{
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	signal_async = NULL;
	signals_seen = 0;
}

/* ---------------------------------------------------------------- asks */

void rt_happened(struct ff_runtime *rt)
{
	rt->dirty = true;
}

void rt_op_free(struct rt_op *op)
{
	ff_answer_release(&op->answer, op->ask.secret);
	ff_ask_release(&op->ask);
	free(op);
}

void rt_op_finish(struct rt_op *op)
{
	if (!op->rt->closing) {
		op->done(op->arg, &op->ask, &op->answer);
		rt_happened(op->rt);
	}
	rt_op_free(op);
}

void rt_op_finish_later(struct rt_op *op)
{
	STAILQ_INSERT_TAIL(&op->rt->ready, op, next);
	rt_come_round(op->rt);
}

void rt_op_fail(struct rt_op *op, enum ff_transport transport, int status, const char *fmt, ...)
{
	ff_auto_free char *text = NULL, *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	clean = ff_printable(text);
	op->answer.transport = transport;
	op->answer.status = status;
	snprintf(op->answer.why, sizeof(op->answer.why), "%s", clean);
}

unsigned rt_op_timeout_ms(const struct rt_op *op)
{
	return op->ask.timeout_ms > 0 ? op->ask.timeout_ms : RT_TIMEOUT_MS;
}

size_t rt_op_bytes_max(const struct rt_op *op)
{
	return op->ask.answer_bytes_max > 0 ? op->ask.answer_bytes_max : RT_ANSWER_BYTES_MAX;
}

void rt_buf_add(struct ff_buf *b, const void *bytes, size_t len, bool secret)
{
	if (secret && b->room - b->len <= len) {
		struct ff_buf bigger = {.room = (b->len + len) * 2 + 4096};

		bigger.text = ff_calloc(bigger.room, 1);
		if (b->text != NULL) {
			memcpy(bigger.text, b->text, b->len);
			ff_wipe(b->text, b->len);
		}
		bigger.len = b->len;
		free(b->text);
		*b = bigger;
	}
	ff_buf_add(b, bytes, len);
}

static void world_send(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg)
{
	struct ff_runtime *rt = self;
	struct rt_op *op = ff_calloc(1, sizeof(*op));

	*op = (struct rt_op){.rt = rt, .ask = *ask, .done = done, .arg = arg};
	*ask = (struct ff_ask){0};
	switch (op->ask.kind) {
	case FF_ASK_HTTP:
		rt_http_start(rt->http, op);
		return;
	case FF_ASK_FILE:
		rt_file_start(op);
		return;
	case FF_ASK_EXEC:
		rt_exec_start(op);
		return;
	}
	abort(); /* our own mistake: there are three kinds */
}

/* ---------------------------------------------------------------- the rest of the world */

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t world_mono_ms(void *self)
{
	(void)self;
	return clock_ms(CLOCK_MONOTONIC);
}

static int64_t world_wall_ms(void *self)
{
	(void)self;
	return clock_ms(CLOCK_REALTIME);
}

static uint64_t world_random(void *self)
{
	uint64_t bits;

	(void)self;
	/* request tokens must not repeat: without a source of randomness nothing may go on */
	if (RAND_bytes((unsigned char *)&bits, sizeof(bits)) != 1)
		abort();
	return bits;
}

static void on_wake(uv_timer_t *timer)
{
	rt_happened(timer->data);
}

static void world_wake_at(void *self, int64_t mono_ms)
{
	struct ff_runtime *rt = self;
	int64_t left_ms;

	if (mono_ms == INT64_MAX) {
		uv_timer_stop(&rt->wake);
		return;
	}
	uv_update_time(&rt->loop); /* libuv counts from the beginning of the iteration */
	left_ms = mono_ms - clock_ms(CLOCK_MONOTONIC);
	uv_timer_start(&rt->wake, on_wake, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static int world_append(void *self, const char *line, size_t len, struct ff_err *err)
{
	return rt_run_append(&((struct ff_runtime *)self)->run, line, len, err);
}

static int world_sync(void *self, struct ff_err *err)
{
	return rt_run_sync(&((struct ff_runtime *)self)->run, err);
}

static int world_worker_send(void *self, const char *rescue, const json_t *line, struct ff_err *err)
{
	return rt_worker_send(self, rescue, line, err);
}

static void world_worker_kill(void *self, const char *rescue)
{
	rt_worker_kill(self, rescue);
}

static int world_keep(void *self, const char *vm_key, unsigned index, const char *path, int64_t offset,
	const void *bytes, size_t len, struct ff_err *err)
{
	return rt_keep(self, vm_key, index, path, offset, bytes, len, err);
}

static int world_keep_sync(void *self, const char *vm_key, const json_t *manifest, struct ff_err *err)
{
	return rt_keep_sync(self, vm_key, manifest, err);
}

static void fill_world(struct ff_runtime *rt)
{
	rt->world = (struct ff_world){
		.self = rt,
		.mono_ms = world_mono_ms,
		.wall_ms = world_wall_ms,
		.random = world_random,
		.wake_at = world_wake_at,
		.send = world_send,
		.append = world_append,
		.sync = world_sync,
		.worker_send = world_worker_send,
		.worker_kill = world_worker_kill,
		.keep = world_keep,
		.keep_sync = world_keep_sync,
	};
}

const struct ff_world *ff_runtime_world(struct ff_runtime *rt)
{
	return &rt->world;
}

/* ---------------------------------------------------------------- the loop */

static void on_idle(uv_idle_t *idle)
{
	struct ff_runtime *rt = idle->data;
	struct rt_ops ready = STAILQ_HEAD_INITIALIZER(ready);
	struct rt_op *op;

	uv_idle_stop(idle); /* what is delivered now may start it again */
	STAILQ_CONCAT(&ready, &rt->ready);
	while ((op = STAILQ_FIRST(&ready)) != NULL) {
		STAILQ_REMOVE_HEAD(&ready, next);
		rt_op_finish(op);
	}
	if (rt->greet) {
		rt->greet = false;
		rt_workers_greet(rt);
	}
}

void rt_come_round(struct ff_runtime *rt)
{
	uv_idle_start(&rt->idle, on_idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct ff_runtime *rt = prepare->data;

	if (rt->engine == NULL)
		return;
	if (rt->dirty) {
		rt->dirty = false;
		ff_engine_turn(rt->engine);
	}
	if (ff_engine_phase(rt->engine) >= rt->until)
		uv_stop(&rt->loop); /* and the poll that comes now does not wait */
}

static void on_tick(uv_timer_t *timer)
{
	struct ff_runtime *rt = timer->data;

	rt->tick_fn(rt->tick_arg);
}

static void on_signalled(uv_async_t *async)
{
	struct ff_runtime *rt = async->data;

	if (rt->closing)
		rt_workers_hurry(rt);
	if (rt->engine == NULL)
		return;
	while (rt->signals_passed < (unsigned)signals_seen) {
		rt->signals_passed++;
		ff_engine_interrupt(rt->engine);
		rt_happened(rt);
	}
}

void ff_runtime_run(
	struct ff_runtime *rt, struct ff_engine *engine, enum ff_phase until, void (*tick)(void *arg), void *arg)
{
	rt->engine = engine;
	rt->until = until;
	rt->tick_fn = tick;
	rt->tick_arg = arg;
	if (tick != NULL)
		uv_timer_start(&rt->tick, on_tick, TICK_MS, TICK_MS);
	rt_happened(rt);	       /* the first turn */
	uv_async_send(&rt->signalled); /* a signal that came while nothing ran */
	uv_run(&rt->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&rt->tick);
	rt->engine = NULL;
}

bool ff_runtime_interrupted(const struct ff_runtime *rt)
{
	(void)rt;
	return signals_seen > 0;
}

int ff_runtime_open_run(struct ff_runtime *rt, const char *run_dir, struct ff_err *err)
{
	return rt_run_open(&rt->run, run_dir, err);
}

int ff_runtime_reopen_run(struct ff_runtime *rt, const char *run_dir, struct ff_source *journal, struct ff_err *err)
{
	return rt_run_reopen(&rt->run, run_dir, journal, err);
}

/* ---------------------------------------------------------------- life */

static int loop_init(struct ff_runtime *rt, struct ff_err *err)
{
	int rc = uv_loop_init(&rt->loop);

	if (rc != 0)
		return ff_fail(err, FF_E_LOCAL, "cannot make an event loop: %s", uv_strerror(rc));
	rc = uv_async_init(&rt->loop, &rt->signalled, on_signalled);
	if (rc != 0) {
		uv_loop_close(&rt->loop);
		return ff_fail(err, FF_E_LOCAL, "cannot make an event loop: %s", uv_strerror(rc));
	}
	uv_prepare_init(&rt->loop, &rt->prepare);
	uv_idle_init(&rt->loop, &rt->idle);
	uv_timer_init(&rt->loop, &rt->wake);
	uv_timer_init(&rt->loop, &rt->tick);
	rt->signalled.data = rt->prepare.data = rt->idle.data = rt->wake.data = rt->tick.data = rt;
	uv_prepare_start(&rt->prepare, on_prepare);
	catch_signals(&rt->signalled);
	return 0;
}

/* Workers get their time to end, then nothing is left on the loop but our own handles. */
static void loop_release(struct ff_runtime *rt)
{
	uv_handle_t *own[] = {(uv_handle_t *)&rt->prepare, (uv_handle_t *)&rt->idle, (uv_handle_t *)&rt->wake,
		(uv_handle_t *)&rt->tick, (uv_handle_t *)&rt->signalled};

	for (size_t i = 0; i < FF_COUNT(own); i++)
		uv_unref(own[i]);
	uv_run(&rt->loop, UV_RUN_DEFAULT);
	release_signals();
	for (size_t i = 0; i < FF_COUNT(own); i++)
		uv_close(own[i], NULL);
	uv_run(&rt->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&rt->loop) != 0)
		ff_log(FF_LOG_DEBUG, "runtime", "handles are left on the loop");
}

struct ff_runtime *ff_runtime_new(const struct ff_runtime_options *options, struct ff_err *err)
{
	struct ff_runtime *rt = ff_calloc(1, sizeof(*rt));

	rt->options = *options;
	STAILQ_INIT(&rt->ready);
	TAILQ_INIT(&rt->execs);
	TAILQ_INIT(&rt->workers);
	SLIST_INIT(&rt->kept);
	rt_run_init(&rt->run);
	fill_world(rt);
	signal(SIGPIPE, SIG_IGN); /* a worker that died is told by its exit, not by our death */
	if (loop_init(rt, err) < 0)
		goto err_loop;
	rt->http = rt_http_new(rt, err);
	if (rt->http == NULL)
		goto err_http;

	/* Success! */
	return rt;

	/* Failure! */
err_http:
	loop_release(rt);
err_loop:
	free(rt);
	return NULL;
}

void ff_runtime_free(struct ff_runtime *rt)
{
	struct rt_op *op;

	if (rt == NULL)
		return;
	rt->closing = true;
	while ((op = STAILQ_FIRST(&rt->ready)) != NULL) {
		STAILQ_REMOVE_HEAD(&rt->ready, next);
		rt_op_free(op);
	}
	rt_http_free(rt->http);
	rt_exec_kill_all(rt);
	rt_workers_end(rt);
	loop_release(rt);
	rt_keep_free(rt);
	rt_run_close(&rt->run);
	ff_wipe(rt->read_bytes, sizeof(rt->read_bytes));
	free(rt);
}
