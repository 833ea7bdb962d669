/* --keys and --key-command: what opens encrypted volumes. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
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

void key_sources_release(struct key_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		sources->items[i].free(sources->items[i].self);
	*sources = (struct key_sources){0};
}
