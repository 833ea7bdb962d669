/* --keys and --key-command: what opens encrypted volumes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "fixfleet/secret.h"

/* Others must not be able to read it: a list of keys opens the whole fleet. A pipe has no reader but us. */
static int check_mode(int fd, struct ff_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ff_fail(err, FF_E_USAGE, "%m");
	if (S_ISFIFO(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode))
		return ff_fail(err, FF_E_USAGE, "it is no file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return ff_fail(err, FF_E_USAGE, "it belongs to another user");
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return ff_fail(
			err, FF_E_USAGE, "others can read it (mode %04o): chmod 600 it", (unsigned)st.st_mode & 07777);
	return 0;
}

/* All of it in secret memory from the first byte: no stdio, no growing buffer. */
static char *read_secret(int fd, size_t *len, struct ff_err *err)
{
	struct stat st;
	size_t room = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < FF_KEY_FILE_BYTES_MAX
			      ? (size_t)st.st_size + 1
			      : FF_KEY_FILE_BYTES_MAX;
	char *text = ff_secret_new(room + 1);
	ssize_t n = 0;

	*len = 0;
	while (*len < room && ((n = read(fd, text + *len, room - *len)) > 0 || (n < 0 && errno == EINTR)))
		*len += n > 0 ? (size_t)n : 0;
	if (n < 0)
		ff_fail(err, FF_E_USAGE, "cannot read: %m");
	else if (*len == room)
		ff_fail(err, FF_E_USAGE, "it grows, or is larger than %d MiB", FF_KEY_FILE_BYTES_MAX >> 20);
	else
		return text;
	ff_secret_free(text);
	return NULL;
}

static int open_file(struct ff_key_source *source, const char *path, struct ff_err *err)
{
	ff_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	char *text;

	if (fd < 0)
		return ff_fail(err, FF_E_USAGE, "cannot open: %m");
	if (check_mode(fd, err) < 0 || (text = read_secret(fd, &len, err)) == NULL)
		return -1;
	return ff_key_file(source, text, len, err);
}

int key_sources_open(struct key_sources *sources, const struct options *o, struct ff_err *err)
{
	*sources = (struct key_sources){0};
	if (o->keys_file != NULL) {
		if (open_file(&sources->items[sources->count], o->keys_file, err) < 0)
			return ff_wrap(err, "--keys '%s'", o->keys_file);
		sources->count++;
	}
	if (o->key_command != NULL) {
		if (ff_key_command(&sources->items[sources->count], o->key_command, err) < 0)
			return ff_wrap(err, "--key-command");
		sources->count++;
	}
	return 0;
}

/* ---------------------------------------------------------------- asking without an engine */

/* Run the program of an ask to its end. What it wants to say besides goes to our stderr. */
static int run_program(const struct ff_ask *ask, struct ff_answer *answer)
{
	posix_spawn_file_actions_t actions;
	int in[2], out[2], rc, status = -1;
	ssize_t n = 0;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return -1;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	rc = posix_spawnp(&pid, ask->argv.items[0], &actions, NULL, ask->argv.items, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	if (rc == 0) {
		n = write(in[1], ask->body,
			ask->body_len); /* less than a pipe holds; whether it reads is its own affair */
		(void)n;
	}
	close(in[1]);
	answer->body = ff_calloc(ask->answer_bytes_max + 1, 1);
	while (rc == 0 && answer->body_len < ask->answer_bytes_max &&
		((n = read(out[0], answer->body + answer->body_len, ask->answer_bytes_max - answer->body_len)) > 0 ||
			(n < 0 && errno == EINTR)))
		answer->body_len += n > 0 ? (size_t)n : 0;
	close(out[0]);
	while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	answer->status = rc == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (rc != 0)
		snprintf(answer->why, sizeof(answer->why), "cannot run '%.100s': %s", ask->argv.items[0], strerror(rc));
	else if (answer->status != 0)
		snprintf(answer->why, sizeof(answer->why), "'%.100s' failed", ask->argv.items[0]);
	return 0;
}

static enum ff_key_step ask_one(
	const struct ff_key_source *source, const struct ff_key_want *want, struct ff_keys *found, struct ff_err *err)
{
	struct ff_ask ask = {0};
	struct ff_answer answer = {0};
	enum ff_key_step step = source->look(source->self, want, 0, NULL, &ask, found, err);

	if (step == FF_KEY_ASK && (ask.kind != FF_ASK_EXEC || run_program(&ask, &answer) < 0)) {
		ff_fail(err, FF_E_LOCAL, "cannot be asked here");
		step = FF_KEY_FAILED;
	} else if (step == FF_KEY_ASK) {
		step = source->look(source->self, want, 1, &answer, NULL, found, err);
	}
	ff_answer_release(&answer, true);
	ff_ask_release(&ask);
	return step;
}

void key_sources_ask(
	const struct key_sources *sources, const struct ff_key_want *want, struct ff_keys *found, char **why)
{
	struct ff_buf refusals = {0};

	for (size_t i = 0; i < sources->count && found->count == 0; i++) {
		struct ff_err err = {0};
		enum ff_key_step step = ask_one(&sources->items[i], want, found, &err);

		if (found->count == 0) {
			ff_auto_free char *text = ff_key_refusal(
				sources->items[i].name, step == FF_KEY_DONE ? "has none for it" : err.text);

			ff_buf_addf(&refusals, "%s%s", refusals.len > 0 ? "; " : "", text);
		}
	}
	*why = ff_buf_take(&refusals);
}

void key_sources_release(struct key_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		sources->items[i].free(sources->items[i].self);
	*sources = (struct key_sources){0};
}
