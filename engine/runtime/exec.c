/*
 * Programs whose output is an answer (`az account get-access-token`). No shell; stdin is empty; their environment is
 * ours, since that is where they find their own configuration.
 */
#include "rt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixfleet/log.h"

#define STDERR_BYTES_MAX 4096

struct rt_exec {
	struct rt_op *op;
	uv_process_t process;
	uv_pipe_t in, out, err;
	uv_write_t write;	   /* of the body to `in` */
	bool feeds;		   /* there is a body: `in` is used */
	uv_timer_t timer;	   /* the ask's time; after the exit: how long the pipes may stay open */
	unsigned handles, streams; /* not yet closed; not yet at their end */
	bool exited, answered, timed_out, too_large;
	int64_t exit_status;
	int signum;
	struct ff_buf text, errors;
	TAILQ_ENTRY(rt_exec) next;
};

static void on_closed(uv_handle_t *handle)
{
	struct rt_exec *x = handle->data;

	if (--x->handles > 0)
		return;
	if (x->op != NULL)
		rt_op_free(x->op);
	if (x->text.text != NULL)
		ff_wipe(x->text.text, x->text.room);
	ff_buf_free(&x->text);
	ff_buf_free(&x->errors);
	free(x);
}

static void close_handles(struct rt_exec *x)
{
	uv_handle_t *all[] = {(uv_handle_t *)&x->process, (uv_handle_t *)&x->out, (uv_handle_t *)&x->err,
		(uv_handle_t *)&x->timer, (uv_handle_t *)&x->in};

	TAILQ_REMOVE(&x->op->rt->execs, x, next);
	for (size_t i = 0; i < FF_COUNT(all) - !x->feeds; i++)
		if (!uv_is_closing(all[i]))
			uv_close(all[i], on_closed);
}

/* The body is written, or the program does not want it: end of input. */
static void on_fed(uv_write_t *request, int status)
{
	struct rt_exec *x = request->data;

	(void)status;
	if (!uv_is_closing((uv_handle_t *)&x->in))
		uv_close((uv_handle_t *)&x->in, on_closed);
}

static void feed(struct rt_exec *x)
{
	uv_buf_t buf = uv_buf_init(x->op->ask.body, (unsigned)x->op->ask.body_len);

	x->write.data = x;
	if (uv_write(&x->write, (uv_stream_t *)&x->in, &buf, 1, on_fed) != 0)
		on_fed(&x->write, 0);
}

/* What the ended program's answer is. The last line that it complained is shown: a whole stderr may hold anything. */
static void fill_answer(struct rt_exec *x)
{
	struct rt_op *op = x->op;
	const char *program = op->ask.argv.items[0];
	ff_auto_free char *end = rt_child_end_text(x->exit_status, x->signum);
	ff_auto_free char *complaint = rt_child_last_line(x->errors.text, x->errors.len);
	const char *colon = complaint[0] != '\0' ? ": " : "";

	if (x->too_large) {
		rt_op_fail(op, FF_T_TOO_LARGE, EFBIG, "'%s' printed more than %zu bytes", program, rt_op_bytes_max(op));
	} else if (x->timed_out) {
		rt_op_fail(op, FF_T_LOCAL, ETIMEDOUT, "'%s' did not end within %u ms%s%s", program,
			rt_op_timeout_ms(op), colon, complaint);
	} else if (x->signum != 0) {
		rt_op_fail(op, FF_T_LOCAL, EINTR, "'%s' %s%s%s", program, end, colon, complaint);
	} else {
		if (x->exit_status != 0)
			rt_op_fail(op, FF_T_OK, 0, "'%s' %s%s%s", program, end, colon, complaint);
		op->answer.status = (int)x->exit_status;
		op->answer.body_len = x->text.len;
		op->answer.body = FF_STEAL(x->text.text);
		x->text = (struct ff_buf){0};
	}
	ff_log(FF_LOG_DEBUG, "exec", "%s %s", program, end);
}

static void settle(struct rt_exec *x, bool patient)
{
	struct rt_op *op = x->op;

	if (x->answered || !x->exited || (patient && x->streams > 0))
		return;
	x->answered = true;
	fill_answer(x);
	close_handles(x);
	x->op = NULL;
	rt_op_finish(op);
}

static void on_time(uv_timer_t *timer)
{
	struct rt_exec *x = timer->data;

	if (x->exited) {
		settle(x, false);
		return;
	}
	x->timed_out = true;
	rt_child_kill(&x->process, SIGKILL);
}

static void on_exited(uv_process_t *process, int64_t exit_status, int signum)
{
	struct rt_exec *x = process->data;

	x->exited = true;
	x->exit_status = exit_status;
	x->signum = signum;
	uv_timer_start(&x->timer, on_time, RT_CHILD_GRACE_MS, 0);
	settle(x, true);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct rt_exec *x = handle->data;

	(void)suggested;
	*buf = uv_buf_init(x->op->rt->read_bytes, sizeof(x->op->rt->read_bytes));
}

static void stream_ended(struct rt_exec *x, uv_stream_t *stream)
{
	uv_read_stop(stream);
	x->streams--;
	settle(x, true);
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct rt_exec *x = stream->data;

	if (n < 0) {
		stream_ended(x, stream);
		return;
	}
	if (!x->too_large && (size_t)n > rt_op_bytes_max(x->op) - x->text.len) {
		x->too_large = true;
		rt_child_kill(&x->process, SIGKILL);
	}
	if (!x->too_large)
		rt_buf_add(&x->text, buf->base, (size_t)n, true);
	ff_wipe(buf->base, (size_t)n);
}

static void on_complaint(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct rt_exec *x = stream->data;

	if (n < 0) {
		stream_ended(x, stream);
		return;
	}
	ff_buf_add(&x->errors, buf->base, (size_t)n);
	if (x->errors.len > STDERR_BYTES_MAX)
		ff_buf_drop(&x->errors, x->errors.len - STDERR_BYTES_MAX);
}

void rt_exec_start(struct rt_op *op)
{
	struct rt_exec *x;
	int rc;

	if (op->ask.argv.count == 0) {
		rt_op_fail(op, FF_T_LOCAL, EINVAL, "no program to run");
		rt_op_finish_later(op);
		return;
	}
	x = ff_calloc(1, sizeof(*x));
	x->op = op;
	x->feeds = op->ask.body != NULL;
	x->handles = x->feeds ? 5 : 4;
	x->streams = 2;
	uv_timer_init(&op->rt->loop, &x->timer);
	TAILQ_INSERT_TAIL(&op->rt->execs, x, next);
	rc = rt_child_spawn(&op->rt->loop, &x->process, op->ask.argv.items, NULL, x->feeds ? &x->in : NULL, &x->out,
		&x->err, on_exited);
	x->process.data = x->in.data = x->out.data = x->err.data = x->timer.data = x;
	if (rc != 0) {
		rt_op_fail(op, FF_T_LOCAL, -rc, "cannot run '%s': %s", op->ask.argv.items[0], uv_strerror(rc));
		close_handles(x);
		x->op = NULL;
		rt_op_finish_later(op);
		return;
	}
	uv_update_time(&op->rt->loop);
	uv_timer_start(&x->timer, on_time, rt_op_timeout_ms(op), 0);
	uv_read_start((uv_stream_t *)&x->out, on_alloc, on_output);
	uv_read_start((uv_stream_t *)&x->err, on_alloc, on_complaint);
	if (x->feeds)
		feed(x);
}

void rt_exec_kill_all(struct ff_runtime *rt)
{
	struct rt_exec *x;

	TAILQ_FOREACH (x, &rt->execs, next)
		rt_child_kill(&x->process, SIGKILL);
}
