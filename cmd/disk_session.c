#include "disk_session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixfleet/journal.h"
#include "fixfleet/json.h"
#include "fixfleet/worker.h"

extern char **environ;

/* The conversation. */
struct talk {
	struct disk_session *s;
	struct ff_runtime *runtime; /* opened when the first file is to be kept; NULL until then */
	struct ff_chain chain;	    /* of the run's journal */
	pid_t pid;
	int in; /* the worker's stdin; -1: closed */
	FILE *out;
	size_t open; /* targets without a last word */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* ---------------------------------------------------------------- the worker's process */

static int start_worker(struct talk *t, struct ff_err *err)
{
	ff_auto_free char *number = ff_printf("--appliances=%u", t->s->appliances);
	char *const argv[] = {(char *)"fixfleet", (char *)"worker", t->s->appliances > 0 ? number : NULL, NULL};
	posix_spawn_file_actions_t actions;
	int in[2], out[2], rc;

	if (pipe2(in, O_CLOEXEC) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot make a pipe: %m");
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return ff_fail(err, FF_E_LOCAL, "cannot make a pipe: %m");
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	rc = posix_spawn(&t->pid, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	t->in = in[1];
	t->out = fdopen(out[0], "re");
	if (rc != 0 || t->out == NULL) {
		errno = rc ? rc : errno;
		return ff_fail(err, FF_E_LOCAL, "cannot start the worker: %m");
	}
	return 0;
}

static void end_input(struct talk *t)
{
	ff_close_ptr(&t->in);
	t->in = -1;
}

/* A worker that is gone says so by the end of its output. */
static void say(struct talk *t, const json_t *line)
{
	char *text = ff_json_text(line), *whole = ff_printf("%s\n", text); /* may hold keys */
	size_t len = strlen(whole), at = 0;

	while (t->in >= 0 && at < len) {
		ssize_t n = write(t->in, whole + at, len - at);

		if (n < 0 && errno != EINTR)
			end_input(t);
		else if (n > 0)
			at += (size_t)n;
	}
	ff_free_secret(text);
	ff_free_secret(whole);
}

/* ---------------------------------------------------------------- the run's folder */

static int record(struct talk *t, const char *kind, size_t vm, json_t *members_owned, struct ff_err *err)
{
	const struct ff_world *world = ff_runtime_world(t->runtime);
	ff_auto_json json_t *line = json_object();
	ff_auto_json json_t *members = members_owned;
	struct ff_buf text = {0};
	int rc;

	ff_json_set_str(line, "k", kind);
	if (vm > 0)
		ff_json_set_int(line, "vm", (int64_t)vm);
	json_object_update(line, members);
	ff_journal_line(&t->chain, world->wall_ms(world->self), line, &text);
	rc = world->append(world->self, text.text, text.len, err);
	ff_buf_free(&text);
	return rc < 0 ? -1 : world->sync(world->self, err);
}

static json_t *run_members(const struct disk_session *s)
{
	json_t *run = json_object(), *info = json_object();

	ff_json_set_str(info, "program", "fixfleet " FF_VERSION);
	ff_json_set_str(info, "command", "disk repair");
	ff_json_set_int(run, "version", FF_JOURNAL_VERSION);
	ff_json_set_str(run, "program", "fixfleet " FF_VERSION);
	ff_json_set_str(run, "run", s->run);
	ff_json_set_str(run, "flow", "repair");
	ff_json_set_int(run, "vms", (int64_t)s->count);
	ff_json_set_new(run, "info", info);
	ff_json_set_new(run, "recipes", json_deep_copy(s->recipes));
	return run;
}

static json_t *plan_members(const struct disk_target *target)
{
	json_t *plan = json_object();

	ff_json_set_str(plan, "provider", "disk");
	ff_json_set_str(plan, "id", target->real);
	ff_json_set_str(plan, "name", target->path);
	ff_json_set_str(plan, "disk", target->real);
	ff_json_set_new(plan, "facts", json_object());
	ff_json_set_str(plan, "where", "on this machine");
	return plan;
}

/* Only a run that removes something has a folder. */
static int open_run(struct talk *t, struct ff_err *err)
{
	struct ff_runtime_options options = {.user_agent = "fixfleet/" FF_VERSION};

	if (t->runtime != NULL)
		return 0;
	t->runtime = ff_runtime_new(&options, err);
	if (t->runtime == NULL || ff_runtime_open_run(t->runtime, t->s->run_dir, err) < 0)
		return -1;
	if (record(t, "run", 0, run_members(t->s), err) < 0)
		return -1;
	for (size_t i = 0; i < t->s->count; i++)
		if (record(t, "plan", i + 1, plan_members(&t->s->targets[i]), err) < 0)
			return -1;
	return 0;
}

static void close_run(struct talk *t)
{
	struct ff_err err;

	if (t->runtime == NULL)
		return;
	for (size_t i = 0; i < t->s->count; i++) {
		const json_t *done = t->s->targets[i].done;
		json_t *end = json_object();

		ff_json_set_str(end, "outcome", disk_outcome(t->s, done));
		ff_json_set_str(end, "reason", ff_json_str(done, "reason"));
		ff_json_set_new(end, "removed", json_deep_copy(json_object_get(done, "removed")));
		ff_json_set_int(end, "ms", ff_json_int(done, "ms", 0));
		ff_json_set_str(end, "where", "on this machine");
		if (record(t, "end", i + 1, end, &err) < 0)
			break;
	}
	if (record(t, "finish", 0, json_object(), &err) < 0)
		ff_log(FF_LOG_ERROR, "fixfleet", "%s", err.text);
	ff_runtime_free(t->runtime);
}

/* ---------------------------------------------------------------- what it says */

static json_t *op(const char *name, size_t target)
{
	json_t *line = json_object();
	ff_auto_free char *job = ff_printf("%zu", target + 1);

	ff_json_set_str(line, "op", name);
	ff_json_set_str(line, "job", job);
	return line;
}

static void drop(struct talk *t, size_t target, const struct ff_err *why)
{
	ff_auto_json json_t *line = op("drop", target);

	ff_log(FF_LOG_ERROR, t->s->targets[target].path, "%s: left alone", why->text);
	say(t, line);
}

static char *key_of(const struct disk_target *target, size_t number)
{
	const char *slash = strrchr(target->real, '/');

	return ff_printf("%zu-%s", number + 1, slash ? slash + 1 : target->real);
}

static int keep(struct talk *t, size_t number, const json_t *event, struct ff_err *err)
{
	const struct ff_world *world;
	ff_auto_free char *key = key_of(&t->s->targets[number], number);
	const char *path = ff_json_str(event, "path"), *data = ff_json_str(event, "data");
	int64_t index = ff_json_int(event, "index", -1), offset = ff_json_int(event, "offset", -1);
	size_t len = 0;
	ff_auto_free char *bytes = data ? ff_base64_decode(data, &len) : NULL;

	if (bytes == NULL || path == NULL || index < 0 || index > UINT32_MAX || offset < 0)
		return ff_fail(err, FF_E_BUG, "the worker sent a piece of a file that cannot be");
	if (open_run(t, err) < 0)
		return -1;
	world = ff_runtime_world(t->runtime);
	return world->keep(world->self, key, (unsigned)index, path, offset, bytes, len, err);
}

static int keep_end(struct talk *t, size_t number, const json_t *event, struct ff_err *err)
{
	ff_auto_free char *key = key_of(&t->s->targets[number], number);
	ff_auto_json json_t *line = op("kept", number);
	const json_t *files = json_object_get(event, "files");
	json_t *members = json_object();

	if (open_run(t, err) < 0) {
		json_decref(members);
		return -1;
	}
	const struct ff_world *world = ff_runtime_world(t->runtime);

	ff_json_set_new(members, "files", json_deep_copy(files));
	if (world->keep_sync(world->self, key, files, err) < 0) {
		json_decref(members);
		return -1;
	}
	if (record(t, "keep-end", number + 1, members, err) < 0)
		return -1;
	say(t, line);
	return 0;
}

/* A volume is closed: look for its keys, and answer in any case. */
static int give_key(struct talk *t, size_t number, const json_t *event, struct ff_err *err)
{
	const struct disk_target *target = &t->s->targets[number];
	ff_auto_free char *job = ff_printf("%zu", number + 1), *why = NULL;
	ff_auto_json json_t *line = NULL;
	struct ff_key_want want;
	struct ff_keys found = {0};

	if (ff_key_want_read(&want, event) < 0)
		return ff_fail(err, FF_E_BUG, "the worker wants a key for something that is no volume");
	want.provider = "disk";
	want.vm_name = target->path;
	want.disk_id = target->real;
	key_sources_ask(t->s->keys, &want, &found, &why);
	line = ff_key_line(job, ff_json_int(event, "volume", -1), &found, why);
	say(t, line);
	ff_keys_release(&found);
	return 0;
}

static void take_event(struct talk *t, const json_t *event)
{
	const char *kind = ff_json_str(event, "event"), *text = ff_json_str(event, "text");
	int64_t number;
	struct disk_target *target;
	struct ff_err err;
	int rc = 0;

	if (ff_parse_i64(ff_json_str(event, "job"), 1, (int64_t)t->s->count, &number) < 0)
		return;
	target = &t->s->targets[number - 1];
	if (ff_streq(kind, "stage"))
		ff_log(FF_LOG_INFO, target->path, "%s", text ? text : "");
	else if (ff_streq(kind, "key-wanted"))
		rc = give_key(t, (size_t)number - 1, event, &err);
	else if (ff_streq(kind, "keep"))
		rc = keep(t, (size_t)number - 1, event, &err);
	else if (ff_streq(kind, "keep-end"))
		rc = keep_end(t, (size_t)number - 1, event, &err);
	else if (ff_streq(kind, "done") && target->done == NULL) {
		target->done = json_incref((json_t *)event);
		t->open--;
	}
	if (rc < 0)
		drop(t, (size_t)number - 1, &err);
}

static void send_jobs(struct talk *t)
{
	const struct disk_session *s = t->s;

	for (size_t i = 0; i < s->count; i++) {
		ff_auto_json json_t *line = op("mend", i);
		json_t *paths = json_array();

		json_array_append_new(paths, json_string(s->targets[i].real + 1));
		ff_json_set_str(line, "name", s->targets[i].path);
		ff_json_set_str(line, "dev_root", "/");
		ff_json_set_new(line, "paths", paths);
		ff_json_set_int(line, "size_bytes", 0);
		ff_json_set_int(line, "wait_ms", 0);
		ff_json_set_bool(line, "any_format", true);
		ff_json_set_bool(line, "scan_only", ff_streq(s->verb, "scan"));
		ff_json_set_bool(line, "list", ff_streq(s->verb, "list"));
		ff_json_set_bool(line, "discard_hibernation", s->discard_hibernation);
		if (s->keys->count > 0)
			ff_json_set_bool(line, "keys", true);
		if (s->timeout_ms > 0)
			ff_json_set_int(line, "timeout_ms", s->timeout_ms);
		if (s->recipes != NULL)
			ff_json_set_new(line, "recipes", json_incref(s->recipes));
		say(t, line);
	}
}

/* Until every target has its last word, or the worker is gone. */
static void listen(struct talk *t)
{
	ff_auto_free char *line = NULL;
	size_t room = 0;

	while (t->open > 0) {
		struct ff_err err;
		ssize_t n = getline(&line, &room, t->out);

		/* at the end of input the worker begins nothing new, closes all disks and tells */
		if (interrupted && t->in >= 0) {
			t->s->interrupted = true;
			ff_log(FF_LOG_WARN, NULL,
				"interrupted: what is being mended is finished, the rest is left alone");
			end_input(t);
		}
		if (n < 0 && errno == EINTR && !feof(t->out)) {
			clearerr(t->out);
			continue;
		}
		if (n < 0)
			return;
		ff_auto_json json_t *event = ff_json_parse(line, (size_t)n, FF_WORKER_LINE_BYTES_MAX + 1, &err);

		if (event != NULL)
			take_event(t, event);
	}
}

/* A target without a last word: the worker died over it. */
static void fill_in(struct disk_session *s)
{
	for (size_t i = 0; i < s->count; i++) {
		json_t *done;

		if (s->targets[i].done != NULL)
			continue;
		done = json_object();
		ff_json_set_str(done, "result", "failed");
		ff_json_set_str(done, "class", "local");
		ff_json_set_str(done, "reason", "the worker ended before this disk did");
		s->targets[i].done = done;
	}
}

int disk_session_run(struct disk_session *s, struct ff_err *err)
{
	struct talk t = {.s = s, .in = -1, .open = s->count};
	struct sigaction action = {.sa_handler = on_interrupt}, old, ignore = {.sa_handler = SIG_IGN};
	int rc = start_worker(&t, err), status;

	if (rc == 0) {
		sigaction(SIGPIPE, &ignore, NULL);
		sigaction(SIGINT, &action, &old);
		send_jobs(&t);
		listen(&t);
		sigaction(SIGINT, &old, NULL);
	}
	end_input(&t);
	if (t.pid > 0)
		while (waitpid(t.pid, &status, 0) < 0 && errno == EINTR)
			;
	if (t.out != NULL)
		fclose(t.out);
	fill_in(s);
	close_run(&t);
	return rc;
}

void disk_session_release(struct disk_session *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->targets[i].real);
		json_decref(s->targets[i].done);
	}
	free(s->targets);
	free(s->run);
	free(s->run_dir);
}
