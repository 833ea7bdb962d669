#include "child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int rt_child_spawn(uv_loop_t *loop, uv_process_t *process, char **argv, char **env, uv_pipe_t *in, uv_pipe_t *out,
	uv_pipe_t *err, uv_exit_cb exit_cb)
{
	uv_stdio_container_t stdio[3] = {
		{.flags = UV_IGNORE},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)out},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)err},
	};
	uv_process_options_t options = {
		.exit_cb = exit_cb,
		.file = argv[0],
		.args = argv,
		.env = env,
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = 3,
		.stdio = stdio,
	};

	if (in != NULL) {
		uv_pipe_init(loop, in, 0);
		stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
		stdio[0].data.stream = (uv_stream_t *)in;
	}
	uv_pipe_init(loop, out, 0);
	uv_pipe_init(loop, err, 0);
	/*
	 * libuv's own descriptors are close-on-exec, ours too; libcurl's wake-up sockets are not. A child that inherits
	 * the write end of another worker's stdin would keep that worker alive, so all are marked. A kernel before 5.11
	 * does not know how and says so, which leaves libcurl's few.
	 */
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	return uv_spawn(loop, process, &options);
}

void rt_child_kill(const uv_process_t *process, int signum)
{
	if (process->pid > 1)
		(void)kill(-process->pid, signum);
}

static bool may_hold_secret(const char *variable)
{
	static const char *const parts[] = {"SECRET", "TOKEN", "PASSWORD"};
	static const char *const prefixes[] = {"AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_"};
	ff_auto_free char *name = ff_strndup(variable, strcspn(variable, "="));

	for (size_t i = 0; i < FF_COUNT(parts); i++)
		if (ff_contains_nocase(name, parts[i]))
			return true;
	for (size_t i = 0; i < FF_COUNT(prefixes); i++)
		if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

void rt_child_clean_env(struct ff_strv *env)
{
	for (char **v = environ; *v != NULL; v++)
		if (!may_hold_secret(*v))
			ff_strv_add(env, *v);
}

char *rt_child_last_line(const char *text, size_t len)
{
	static const size_t bytes_max = 200;
	size_t begin;

	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	for (begin = len; begin > 0 && text[begin - 1] != '\n'; begin--)
		;
	return len > 0 ? ff_strndup(text + begin, len - begin < bytes_max ? len - begin : bytes_max) : ff_strdup("");
}

char *rt_child_end_text(int64_t exit_status, int signum)
{
	if (signum != 0)
		return ff_printf("was killed by signal %d (%s)", signum, strsignal(signum));
	return ff_printf("ended with exit status %d", (int)exit_status);
}
