#include "outbox.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixfleet/json.h"
#include "fixfleet/log.h"
#include "fixfleet/worker.h"

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return -1;
		} else if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

bool outbox_broken(struct outbox *out)
{
	bool broken;

	pthread_mutex_lock(&out->lock);
	broken = out->broken;
	pthread_mutex_unlock(&out->lock);
	return broken;
}

void outbox_send(struct outbox *out, json_t *event_owned)
{
	ff_auto_json json_t *event = event_owned;
	ff_auto_free char *text = ff_json_text(event), *line = ff_printf("%s\n", text);
	size_t len = strlen(line);

	pthread_mutex_lock(&out->lock);
	if (!out->broken && len > FF_WORKER_LINE_BYTES_MAX) {
		/* the limits in windows.c forbid it; the controller would end us for such a line */
		ff_log(FF_LOG_ERROR, "worker", "a line of %zu bytes is too long to send", len);
		out->broken = true;
	} else if (!out->broken && write_all(out->fd, line, len) < 0) {
		ff_log(FF_LOG_ERROR, "worker", "cannot write to the controller: %m");
		out->broken = true;
	}
	pthread_mutex_unlock(&out->lock);
}

json_t *outbox_event(const char *kind, const struct job *job)
{
	json_t *event = json_object();

	ff_json_set_str(event, "event", kind);
	if (job != NULL)
		ff_json_set_str(event, "job", job->id);
	return event;
}

void outbox_stage(struct outbox *out, const struct job *job, const char *fmt, ...)
{
	json_t *event = outbox_event("stage", job);
	ff_auto_free char *text = NULL, *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	clean = ff_printable(text);
	ff_json_set_str(event, "text", clean);
	outbox_send(out, event);
}

void outbox_keep(struct outbox *out, const struct job *job, size_t index, const char *path, int64_t offset,
	const void *bytes, size_t len)
{
	json_t *event = outbox_event("keep", job);
	ff_auto_free char *data = ff_base64(bytes, len);

	ff_json_set_int(event, "index", (int64_t)index);
	ff_json_set_str(event, "path", path);
	ff_json_set_int(event, "offset", offset);
	ff_json_set_str(event, "data", data);
	outbox_send(out, event);
}

static json_t *texts(const struct ff_strv *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->count; i++) {
		ff_auto_free char *clean = ff_printable(v->items[i]);

		if (json_array_append_new(list, json_string(clean)) != 0)
			ff_oom();
	}
	return list;
}

void outbox_done(struct outbox *out, const struct job *job, int64_t now_mono_ms)
{
	static const char *const results[] = {
		[JOB_FAILED] = "failed", [JOB_CLEAN] = "clean", [JOB_REPAIRED] = "repaired"};
	json_t *event = outbox_event("done", job);

	ff_json_set_str(event, "result", results[job->result]);
	ff_json_set_str(event, "class", ff_class_name(job->result == JOB_FAILED ? job->err.class : FF_E_NONE));
	ff_json_set_str(event, "reason", job->reason);
	ff_json_set_new(event, "windows", texts(&job->windows));
	ff_json_set_new(event, "removed", job_victims_json(job, true));
	if (job->listing != NULL)
		ff_json_set_new(event, "disk", json_incref(job->listing));
	else if (job->scan_only)
		ff_json_set_new(event, "would", job_deeds_json(job, false));
	ff_json_set_new(event, "changed", job_deeds_json(job, true));
	ff_json_set_new(event, "notes", texts(&job->notes));
	ff_json_set_int(event, "ms", now_mono_ms - job->accepted_mono_ms);
	outbox_send(out, event);
}
