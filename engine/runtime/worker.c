/*
 * Repair workers: one process a rescue VM, or one for all. JSON Lines over pipes; stderr is for the log.
 *
 * A worker lives until its process has ended and its output was read to the end, so that what it said last is not lost;
 * then its end is reported. What comes from it is hostile until parsed: too long a line or one that is no JSON object
 * ends it.
 */
#include "rt.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixfleet/json.h"
#include "fixfleet/log.h"
#include "fixfleet/worker.h"
#include "worker_map.h"

#define END_MS		    10000 /* from end of input to SIGTERM */
#define TERM_MS		    5000  /* from SIGTERM to SIGKILL */
#define STDERR_LINE_MAX	    4096
#define SHARED_NAME	    "local"
#define HANDLES_OF_A_WORKER 5

struct rt_worker {
	struct ff_runtime *rt;
	char *name, *subject;	  /* the rescue VM, or "local"; "worker NAME" for the log */
	struct rt_worker_map map; /* of a shared worker */
	uv_process_t process;
	uv_pipe_t in, out, err;
	uv_timer_t timer;
	unsigned handles, streams; /* not yet closed; not yet at their end */
	bool exited, ended;	   /* ended: reported and off the list */
	bool terminated;	   /* SIGTERM was sent */
	struct ff_err why;	   /* why we ended it; class NONE: we did not */
	int64_t exit_status;
	int signum;
	struct ff_buf text, errors; /* unfinished lines of stdout and stderr */
	char *complaint;	    /* the last line of stderr */
	TAILQ_ENTRY(rt_worker) next;
};

/* ---------------------------------------------------------------- its end */

static void worker_free(struct rt_worker *w)
{
	rt_worker_map_free(&w->map);
	ff_buf_free(&w->text);
	ff_buf_free(&w->errors);
	free(w->complaint);
	free(w->subject);
	free(w->name);
	free(w);
}

static void on_closed(uv_handle_t *handle)
{
	struct rt_worker *w = handle->data;

	if (--w->handles == 0)
		worker_free(w);
}

static void close_handles(struct rt_worker *w)
{
	uv_handle_t *all[HANDLES_OF_A_WORKER] = {(uv_handle_t *)&w->process, (uv_handle_t *)&w->in,
		(uv_handle_t *)&w->out, (uv_handle_t *)&w->err, (uv_handle_t *)&w->timer};

	w->ended = true;
	TAILQ_REMOVE(&w->rt->workers, w, next);
	for (size_t i = 0; i < FF_COUNT(all); i++)
		uv_close(all[i], on_closed);
}

/* End it for a reason of ours. Its end is reported when it has happened. */
static void condemn(struct rt_worker *w, const char *reason)
{
	if (w->why.class != FF_E_NONE)
		return;
	ff_fail(&w->why, FF_E_LOCAL, "%s %s", w->subject, reason);
	ff_log(FF_LOG_DEBUG, w->subject, "%s: it is killed", reason);
	if (!w->exited)
		rt_child_kill(&w->process, SIGKILL);
}

static void report_gone(struct rt_worker *w)
{
	struct ff_runtime *rt = w->rt;

	if (rt->engine == NULL)
		return;
	if (!rt->options.worker_shared)
		ff_engine_worker_gone(rt->engine, w->name, &w->why);
	for (size_t i = 0; i < w->map.served_count; i++)
		ff_engine_worker_gone(rt->engine, w->map.served[i].name, &w->why);
	rt_happened(rt);
}

static void settle(struct rt_worker *w, bool patient)
{
	ff_auto_free char *end = NULL;

	if (w->ended || !w->exited || (patient && w->streams > 0))
		return;
	if (w->why.class == FF_E_NONE) {
		ff_auto_free char *last = rt_child_last_line(w->errors.text, w->errors.len);
		ff_auto_free char *complaint =
			ff_printable(last[0] != '\0' || w->complaint == NULL ? last : w->complaint);

		end = rt_child_end_text(w->exit_status, w->signum);
		ff_fail(&w->why, FF_E_LOCAL, "%s %s%s%s", w->subject, end, complaint[0] != '\0' ? ": " : "", complaint);
	}
	ff_log(FF_LOG_DEBUG, w->subject, "ended");
	close_handles(w); /* before the report: who answers it by sending gets a new worker */
	report_gone(w);
}

static void on_time(uv_timer_t *timer)
{
	struct rt_worker *w = timer->data;

	if (w->exited) {
		settle(w, false);
	} else if (!w->rt->closing) {
		condemn(w, "closed its output and did not end");
	} else {
		rt_child_kill(&w->process, w->terminated ? SIGKILL : SIGTERM);
		w->terminated = true;
		uv_timer_start(&w->timer, on_time, TERM_MS, 0);
	}
}

static void on_exited(uv_process_t *process, int64_t exit_status, int signum)
{
	struct rt_worker *w = process->data;

	w->exited = true;
	w->exit_status = exit_status;
	w->signum = signum;
	/* what it left running (qemu) goes too; the group's number stays taken while somebody is in it */
	rt_child_kill(process, SIGKILL);
	uv_timer_start(&w->timer, on_time, RT_CHILD_GRACE_MS, 0);
	settle(w, true);
}

/* ---------------------------------------------------------------- what it says */

static void deliver(void *arg, const char *rescue, const json_t *line)
{
	struct ff_runtime *rt = arg;

	if (rt->engine == NULL)
		return;
	ff_engine_worker_line(rt->engine, rescue, line);
	rt_happened(rt);
}

static void take_line(struct rt_worker *w, const char *text, size_t len)
{
	struct ff_err err = {0};
	ff_auto_json json_t *line = ff_json_parse(text, len, FF_WORKER_LINE_BYTES_MAX, &err);

	if (!json_is_object(line)) {
		condemn(w, line == NULL ? "sent a line that is not JSON" : "sent a line that is not a JSON object");
		return;
	}
	ff_log(FF_LOG_TRACE, w->subject, "event %s, %zu bytes", ff_json_str(line, "event"), len);
	if (w->rt->options.worker_shared)
		rt_worker_map_line(&w->map, line, deliver, w->rt);
	else
		deliver(w->rt, w->name, line);
}

static void take_lines(struct rt_worker *w, size_t seen)
{
	size_t begin = 0;
	char *end;

	while (w->why.class == FF_E_NONE && (end = memchr(w->text.text + seen, '\n', w->text.len - seen)) != NULL) {
		size_t stop = (size_t)(end - w->text.text);

		if (stop - begin > FF_WORKER_LINE_BYTES_MAX)
			condemn(w, "sent too long a line");
		else
			take_line(w, w->text.text + begin, stop - begin);
		begin = seen = stop + 1;
	}
	ff_buf_drop(&w->text, begin);
	if (w->text.len > FF_WORKER_LINE_BYTES_MAX)
		condemn(w, "sent too long a line");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct rt_worker *w = handle->data;

	(void)suggested;
	*buf = uv_buf_init(w->rt->read_bytes, sizeof(w->rt->read_bytes));
}

static void stream_ended(struct rt_worker *w, uv_stream_t *stream)
{
	uv_read_stop(stream);
	w->streams--;
	if (w->exited)
		settle(w, true);
	else if (stream == (uv_stream_t *)&w->out && !w->rt->closing)
		uv_timer_start(&w->timer, on_time, RT_CHILD_GRACE_MS, 0); /* its exit is about to be told */
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct rt_worker *w = stream->data;
	size_t seen = w->text.len;

	if (n < 0) {
		stream_ended(w, stream);
		return;
	}
	if (w->why.class != FF_E_NONE) /* condemned: nothing it says counts */
		return;
	ff_buf_add(&w->text, buf->base, (size_t)n);
	take_lines(w, seen);
}

static void log_complaint(struct rt_worker *w, size_t len)
{
	char *line = rt_child_last_line(w->errors.text, len);

	ff_buf_drop(&w->errors, len);
	if (line[0] == '\0') {
		free(line);
		return;
	}
	ff_log(FF_LOG_DEBUG, w->subject, "%s", line);
	free(w->complaint);
	w->complaint = line;
}

static void on_complaint(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct rt_worker *w = stream->data;
	char *end;

	if (n < 0) {
		stream_ended(w, stream);
		return;
	}
	ff_buf_add(&w->errors, buf->base, (size_t)n);
	while ((end = memchr(w->errors.text, '\n', w->errors.len)) != NULL)
		log_complaint(w, (size_t)(end - w->errors.text) + 1);
	if (w->errors.len > STDERR_LINE_MAX)
		log_complaint(w, w->errors.len);
}

/* ---------------------------------------------------------------- its beginning */

/* The name goes into argv, where `ssh` would take "-oProxyCommand=..." for an option. */
static int check_name(const char *rescue, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(rescue);
	bool fit = rescue != NULL && rescue[0] != '\0' && rescue[0] != '-';

	for (const char *c = rescue; fit && *c != '\0'; c++)
		fit = (unsigned char)*c > ' ' && *c != 0x7f;
	if (!fit)
		return ff_fail(err, FF_E_USAGE, "rescue VM name '%s' cannot be given to a worker", clean);
	return 0;
}

static void add_argument(struct ff_strv *argv, const char *pattern, const char *rescue)
{
	static const char place[] = "{rescue}";
	ff_auto_buf out = {0};
	const char *at;

	while ((at = strstr(pattern, place)) != NULL) {
		ff_buf_add(&out, pattern, (size_t)(at - pattern));
		ff_buf_adds(&out, rescue);
		pattern = at + sizeof(place) - 1;
	}
	ff_buf_adds(&out, pattern);
	ff_strv_add(argv, out.text);
}

static int spawn(struct rt_worker *w)
{
	const struct ff_strv *patterns = &w->rt->options.worker_argv;
	struct ff_strv argv = {0}, env = {0};
	int rc;

	for (size_t i = 0; i < patterns->count; i++)
		add_argument(&argv, patterns->items[i], w->name);
	rt_child_clean_env(&env);
	rc = rt_child_spawn(&w->rt->loop, &w->process, argv.items, env.items, &w->in, &w->out, &w->err, on_exited);
	ff_strv_free(&argv);
	ff_strv_free(&env);
	return rc;
}

static struct rt_worker *worker_new(struct ff_runtime *rt, const char *name, struct ff_err *err)
{
	struct rt_worker *w = ff_calloc(1, sizeof(*w));
	int rc;

	w->rt = rt;
	w->name = ff_strdup(name);
	w->subject = ff_printf("worker %s", name);
	w->handles = HANDLES_OF_A_WORKER;
	w->streams = 2;
	TAILQ_INSERT_TAIL(&rt->workers, w, next);
	uv_timer_init(&rt->loop, &w->timer);
	rc = spawn(w);
	w->process.data = w->in.data = w->out.data = w->err.data = w->timer.data = w;
	if (rc != 0) {
		ff_fail(err, FF_E_LOCAL, "cannot start worker '%s' for rescue VM '%s': %s",
			rt->options.worker_argv.items[0], name, uv_strerror(rc));
		close_handles(w);
		return NULL;
	}
	uv_read_start((uv_stream_t *)&w->out, on_alloc, on_output);
	uv_read_start((uv_stream_t *)&w->err, on_alloc, on_complaint);
	ff_log(FF_LOG_DEBUG, w->subject, "started, process %d", (int)w->process.pid);
	return w;
}

static struct rt_worker *worker_find(struct ff_runtime *rt, const char *rescue)
{
	const char *name = rt->options.worker_shared ? SHARED_NAME : rescue;
	struct rt_worker *w;

	TAILQ_FOREACH (w, &rt->workers, next)
		if (ff_streq(w->name, name))
			return w;
	return NULL;
}

/* ---------------------------------------------------------------- what it is told */

struct line_out {
	uv_write_t request;
	char *text;
	size_t len;
};

static void on_line_written(uv_write_t *request, int status)
{
	struct line_out *out = request->data;

	(void)status; /* a worker that does not listen any more is told by its end */
	ff_wipe(out->text, out->len);
	free(out->text);
	free(out);
}

static void write_line(struct rt_worker *w, const char *text, size_t len)
{
	struct line_out *out = ff_calloc(1, sizeof(*out));
	uv_buf_t buf;

	out->len = len + 1;
	out->text = ff_calloc(out->len, 1);
	memcpy(out->text, text, len);
	out->text[len] = '\n';
	out->request.data = out;
	buf = uv_buf_init(out->text, (unsigned)out->len);
	if (uv_write(&out->request, (uv_stream_t *)&w->in, &buf, 1, on_line_written) != 0)
		on_line_written(&out->request, 0);
}

static int send_line(
	struct ff_runtime *rt, const char *rescue, const json_t *line, const char *text, size_t len, struct ff_err *err)
{
	struct rt_worker *w = worker_find(rt, rescue);

	if (len > FF_WORKER_LINE_BYTES_MAX)
		return ff_fail(err, FF_E_BUG, "a line for the worker of '%s' is too long", rescue);
	if (w == NULL)
		w = worker_new(rt, rt->options.worker_shared ? SHARED_NAME : rescue, err);
	if (w == NULL)
		return -1;
	if (!rt->options.worker_shared || rt_worker_map_sent(&w->map, rescue, line))
		write_line(w, text, len);
	if (rt_worker_map_owes(&w->map)) {
		rt->greet = true;
		rt_come_round(rt);
	}
	return 0;
}

int rt_worker_send(struct ff_runtime *rt, const char *rescue, const json_t *line, struct ff_err *err)
{
	char *text;
	int rc;

	if (check_name(rescue, err) < 0)
		return -1;
	if (rt->options.worker_argv.count == 0)
		return ff_fail(err, FF_E_USAGE, "no worker is configured");
	text = ff_json_text(line);
	rc = send_line(rt, rescue, line, text, strlen(text), err);
	ff_free_secret(text); /* it may hold a disk's key */
	return rc;
}

void rt_worker_kill(struct ff_runtime *rt, const char *rescue)
{
	struct rt_worker *w = worker_find(rt, rescue);

	if (w != NULL)
		condemn(w, "was killed: it hung");
}

void rt_workers_greet(struct ff_runtime *rt)
{
	struct rt_worker *w;

	TAILQ_FOREACH (w, &rt->workers, next)
		if (w->why.class == FF_E_NONE)
			rt_worker_map_greet(&w->map, deliver, rt);
}

static void on_shut(uv_shutdown_t *request, int status)
{
	(void)status; /* a worker that is gone needs no end of input */
	free(request);
}

void rt_workers_end(struct ff_runtime *rt)
{
	struct rt_worker *w;

	uv_update_time(&rt->loop); /* the loop may have slept while the operator read */
	TAILQ_FOREACH (w, &rt->workers, next) {
		uv_shutdown_t *request = ff_calloc(1, sizeof(*request));

		if (uv_shutdown(request, (uv_stream_t *)&w->in, on_shut) != 0)
			free(request);
		uv_timer_start(&w->timer, on_time, w->exited ? RT_CHILD_GRACE_MS : END_MS, 0);
	}
}

void rt_workers_hurry(struct ff_runtime *rt)
{
	struct rt_worker *w;

	TAILQ_FOREACH (w, &rt->workers, next)
		if (!w->exited && !w->terminated)
			on_time(&w->timer);
}
