/*
 * A worker in a process of its own, over pipes, as the controller has it. For the tests of diskops.
 */
#ifndef UNIT_WORKER_CHILD_H
#define UNIT_WORKER_CHILD_H

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "fixfleet/recipe.h"
#include "fixfleet/worker.h"

#define PATIENCE_MS 240000 /* for the next line: an appliance may take long on a busy machine */

struct child {
	pid_t pid;
	int in, out; /* to write to, to read from */
	struct ff_buf text;
};

static inline void child_start(struct child *c)
{
	int in[2], out[2];

	*c = (struct child){0};
	cr_assert(pipe(in) == 0 && pipe(out) == 0);
	c->pid = fork();
	cr_assert(c->pid >= 0);
	if (c->pid == 0) {
		struct ff_worker_options options = {.in_fd = in[0], .out_fd = out[1]};

		close(in[1]);
		close(out[0]);
		_exit(ff_worker_main(&options));
	}
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
}

static inline void child_write(const struct child *c, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = write(c->in, text, len);

		cr_assert(n > 0, "the worker does not read: %m");
		text += n;
		len -= (size_t)n;
	}
}

/* Takes the object over. */
static inline void child_send(const struct child *c, json_t *line)
{
	ff_auto_free char *text = ff_json_text(line);

	child_write(c, text);
	child_write(c, "\n");
	json_decref(line);
}

/* {"op":op,"job":job}, a new object. */
static inline json_t *op(const char *name, const char *job)
{
	json_t *line = json_object();

	ff_json_set_str(line, "op", name);
	ff_json_set_str(line, "job", job);
	return line;
}

/* A mend line for dir/image with the built-in recipe. */
static inline json_t *mend_line(const char *job, const char *dir, const char *image, int64_t size_bytes)
{
	json_t *line = op("mend", job), *paths = json_array(), *recipes = json_array();

	json_array_append_new(paths, json_string("no/such/link"));
	json_array_append_new(paths, json_string(image));
	json_array_append_new(recipes, ff_recipe_builtin("crowdstrike-291"));
	ff_json_set_str(line, "name", job);
	ff_json_set_str(line, "dev_root", dir);
	ff_json_set_new(line, "paths", paths);
	ff_json_set_int(line, "size_bytes", size_bytes);
	ff_json_set_new(line, "serial", json_null());
	ff_json_set_int(line, "wait_ms", 300);
	ff_json_set_new(line, "recipes", recipes);
	return line;
}

/* The next event, a new reference; NULL at the end of the worker's output. */
static inline json_t *child_next(struct child *c)
{
	char *newline;

	while ((newline = c->text.len ? memchr(c->text.text, '\n', c->text.len) : NULL) == NULL) {
		struct pollfd p = {.fd = c->out, .events = POLLIN};
		char bytes[65536];
		ssize_t n;

		cr_assert(poll(&p, 1, PATIENCE_MS) == 1, "the worker says nothing");
		n = read(c->out, bytes, sizeof(bytes));
		cr_assert(n >= 0);
		if (n == 0) {
			cr_assert_eq(c->text.len, 0, "the worker's last line is not whole");
			return NULL;
		}
		ff_buf_add(&c->text, bytes, (size_t)n);
	}
	size_t len = (size_t)(newline - c->text.text);
	struct ff_err err;
	json_t *event = ff_json_parse(c->text.text, len, FF_WORKER_LINE_BYTES_MAX, &err);

	cr_assert(event != NULL, "%s", err.text);
	ff_buf_drop(&c->text, len + 1);
	return event;
}

static inline bool is_event(const json_t *event, const char *kind)
{
	return ff_streq(ff_json_str(event, "event"), kind);
}

/* The next event of that kind; others are passed over. NULL at the end. */
static inline json_t *child_await(struct child *c, const char *kind)
{
	json_t *event;

	while ((event = child_next(c)) != NULL && !is_event(event, kind))
		json_decref(event);
	return event;
}

/* End of input; reads what still comes. The worker's exit status, -1 when a signal ended it. */
static inline int child_end(struct child *c)
{
	json_t *event;
	int status;

	if (c->in >= 0)
		close(c->in);
	while ((event = child_next(c)) != NULL)
		json_decref(event);
	close(c->out);
	ff_buf_free(&c->text);
	cr_assert(waitpid(c->pid, &status, 0) == c->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
