#include "inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "fixfleet/worker.h"

#define ITEMS_MAX  8192 /* lines that wait; a controller in its senses has a handful for each disk */
#define READ_BYTES 65536

struct entry {
	struct inbox_item item;
	STAILQ_ENTRY(entry) next;
};

struct inbox {
	int in_fd, out_fd, stop_fd, quit[2];
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t news;
	STAILQ_HEAD(, entry) entries;
	size_t count;
	enum inbox_kind stopped; /* INBOX_STOP, INBOX_HANGUP, or INBOX_NOTHING */
	struct ff_err why;
	/* of the thread alone */
	struct ff_buf text;
	bool over; /* no more input is wanted */
};

/* ---------------------------------------------------------------- the thread's side */

static void push(struct inbox *b, enum inbox_kind kind, json_t *json, const struct ff_err *err)
{
	struct entry *e = ff_calloc(1, sizeof(*e));

	e->item.kind = kind;
	e->item.json = json;
	if (err != NULL)
		e->item.err = *err;
	pthread_mutex_lock(&b->lock);
	STAILQ_INSERT_TAIL(&b->entries, e, next);
	b->count++;
	pthread_cond_signal(&b->news);
	pthread_mutex_unlock(&b->lock);
	if (kind != INBOX_LINE)
		b->over = true;
}

static void stop(struct inbox *b, enum inbox_kind kind, const char *why)
{
	pthread_mutex_lock(&b->lock);
	ff_fail(&b->why, FF_E_LOCAL, "%s", why);
	b->stopped = kind;
	pthread_cond_signal(&b->news);
	pthread_mutex_unlock(&b->lock);
}

static bool full(struct inbox *b)
{
	bool is_full;

	pthread_mutex_lock(&b->lock);
	is_full = b->count >= ITEMS_MAX;
	pthread_mutex_unlock(&b->lock);
	return is_full;
}

static void take_line(struct inbox *b, const char *line, size_t len)
{
	struct ff_err err;
	json_t *json = ff_json_parse(line, len, FF_WORKER_LINE_BYTES_MAX, &err);

	if (json != NULL && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
		ff_fail(&err, FF_E_BUG, "not a JSON object");
	}
	if (json != NULL && full(b)) {
		json_decref(json);
		json = NULL;
		ff_fail(&err, FF_E_BUG, "more than %d lines wait", ITEMS_MAX);
	}
	if (json == NULL)
		push(b, INBOX_BROKEN, NULL, &err);
	else
		push(b, INBOX_LINE, json, NULL);
}

static void take_lines(struct inbox *b, size_t searched)
{
	size_t from = 0, seen;
	char *newline;

	while (!b->over && (newline = memchr(b->text.text + searched, '\n', b->text.len - searched)) != NULL) {
		size_t end = (size_t)(newline - b->text.text);

		take_line(b, b->text.text + from, end - from);
		from = searched = end + 1;
	}
	seen = b->text.len;
	ff_buf_drop(&b->text, from);
	if (seen > b->text.len)
		ff_wipe(b->text.text + b->text.len, seen - b->text.len);
	if (!b->over && b->text.len > FF_WORKER_LINE_BYTES_MAX) {
		struct ff_err err;

		ff_fail(&err, FF_E_BUG, "line longer than %d bytes", FF_WORKER_LINE_BYTES_MAX);
		push(b, INBOX_BROKEN, NULL, &err);
	}
}

/* Lines may hold keys: what a growing buffer leaves behind is overwritten, as is what is taken out of it. */
static void add_secret(struct ff_buf *b, const char *bytes, size_t len)
{
	struct ff_buf bigger = {0};

	if (b->room - b->len > len) {
		ff_buf_add(b, bytes, len);
		return;
	}
	bigger.room = (b->len + len) * 2 + 1;
	bigger.text = ff_calloc(bigger.room, 1);
	ff_buf_add(&bigger, b->text, b->len);
	ff_buf_add(&bigger, bytes, len);
	if (b->text != NULL)
		ff_wipe(b->text, b->room);
	ff_buf_free(b);
	*b = bigger;
}

static void read_some(struct inbox *b)
{
	char bytes[READ_BYTES];
	ssize_t n = read(b->in_fd, bytes, sizeof(bytes));
	struct ff_err err;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		ff_fail(&err, FF_E_LOCAL, "cannot read: %m");
		push(b, INBOX_BROKEN, NULL, &err);
	} else if (n == 0 && b->text.len > 0) {
		ff_fail(&err, FF_E_BUG, "end of input within a line");
		push(b, INBOX_BROKEN, NULL, &err);
	} else if (n == 0) {
		push(b, INBOX_END, NULL, NULL);
	} else {
		size_t searched = b->text.len;

		add_secret(&b->text, bytes, (size_t)n);
		ff_wipe(bytes, (size_t)n);
		take_lines(b, searched);
	}
}

static void *run(void *arg)
{
	struct inbox *b = arg;

	for (;;) {
		struct pollfd fds[] = {{.fd = b->quit[0], .events = POLLIN}, {.fd = b->stop_fd, .events = POLLIN},
			{.fd = b->out_fd}, {.fd = b->over ? -1 : b->in_fd, .events = POLLIN}};

		if (poll(fds, FF_COUNT(fds), -1) < 0)
			continue; /* EINTR; the other errors are our own mistakes */
		if (fds[0].revents != 0)
			return NULL;
		if (fds[1].revents != 0) {
			stop(b, INBOX_STOP, "told to stop by a signal");
			return NULL;
		}
		if (fds[2].revents & (POLLERR | POLLHUP | POLLNVAL)) {
			stop(b, INBOX_HANGUP, "nobody reads what this worker writes");
			return NULL;
		}
		if (fds[3].revents != 0)
			read_some(b);
	}
}

/* ---------------------------------------------------------------- the caller's side */

struct inbox *inbox_start(int in_fd, int out_fd, int stop_fd, struct ff_err *err)
{
	struct inbox *b = ff_calloc(1, sizeof(*b));
	pthread_condattr_t attributes;

	*b = (struct inbox){.in_fd = in_fd, .out_fd = out_fd, .stop_fd = stop_fd};
	STAILQ_INIT(&b->entries);
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&b->news, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pipe2(b->quit, O_CLOEXEC) < 0) {
		ff_fail(err, FF_E_LOCAL, "cannot make a pipe: %m");
		goto fail_pipe;
	}
	errno = pthread_create(&b->thread, NULL, run, b);
	if (errno != 0) {
		ff_fail(err, FF_E_LOCAL, "cannot start a thread: %m");
		goto fail_thread;
	}
	return b;

fail_thread:
	close(b->quit[0]);
	close(b->quit[1]);
fail_pipe:
	pthread_cond_destroy(&b->news);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

static struct timespec later(int timeout_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000L;
	}
	return at;
}

void inbox_next(struct inbox *b, int timeout_ms, struct inbox_item *item)
{
	struct timespec until = later(timeout_ms < 0 ? 0 : timeout_ms);
	struct entry *e;
	int rc = 0;

	*item = (struct inbox_item){.kind = INBOX_NOTHING};
	pthread_mutex_lock(&b->lock);
	while (b->stopped == INBOX_NOTHING && STAILQ_EMPTY(&b->entries) && rc == 0 && timeout_ms != 0)
		rc = timeout_ms < 0 ? pthread_cond_wait(&b->news, &b->lock)
				    : pthread_cond_timedwait(&b->news, &b->lock, &until);
	e = STAILQ_FIRST(&b->entries);
	if (b->stopped != INBOX_NOTHING) {
		item->kind = b->stopped;
		item->err = b->why;
	} else if (e != NULL) {
		*item = e->item;
		STAILQ_REMOVE_HEAD(&b->entries, next);
		b->count--;
		free(e);
	}
	pthread_mutex_unlock(&b->lock);
}

void inbox_stop(struct inbox *b)
{
	struct entry *e;
	ssize_t ignored;

	if (b == NULL)
		return;
	ignored = write(b->quit[1], "q", 1);
	(void)ignored; /* a pipe with room for the one byte it ever gets */
	pthread_join(b->thread, NULL);
	while ((e = STAILQ_FIRST(&b->entries)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->entries, next);
		json_decref(e->item.json);
		free(e);
	}
	close(b->quit[0]);
	close(b->quit[1]);
	pthread_cond_destroy(&b->news);
	pthread_mutex_destroy(&b->lock);
	ff_buf_free(&b->text);
	free(b);
}
