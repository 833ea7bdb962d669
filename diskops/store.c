#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include "nbd_client.h"
#include "nbd_wire.h"

#define PATIENCE_MS 20000 /* for qemu-nbd to come up, on a busy machine */
#define LOOK_MS	    10
#define CLIENTS_MAX 4 /* we, and the appliance, whose qemu opens it twice for a moment */
#define PIECE_MAX   (2 * 1024 * 1024)

extern char **environ;

struct store {
	int fd; /* the disk, or the connection to qemu-nbd */
	bool borrowed;
	uint64_t bytes;
	/* of qemu-nbd; dir NULL: it is not used */
	char *dir, *socket, *log;
	pid_t pid;
	pthread_mutex_t lock; /* one request at a time */
};

/* ---------------------------------------------------------------- the disk itself */

static int check_same(const struct job *job, int fd, struct stat *st, struct ff_err *err)
{
	if (fstat(fd, st) == 0 && (S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev) == job->device_id &&
		(S_ISBLK(st->st_mode) ? 0 : st->st_ino) == job->inode)
		return 0;
	return ff_fail(err, FF_E_DISK, "'%s' is another disk now", job->path);
}

static int open_itself(const struct job *job, bool write, uint64_t *bytes, struct ff_err *err)
{
	int fd = open(job->path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot open '%s': %m", job->path);
	if (check_same(job, fd, &st, err) < 0) {
		close(fd);
		return -1;
	}
	*bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, bytes) < 0) {
		close(fd);
		return ff_fail(err, FF_E_LOCAL, "cannot tell the size of '%s': %m", job->path);
	}
	return fd;
}

static int disk_io(const struct store *s, bool write, uint64_t at, void *bytes, size_t len)
{
	char *p = bytes;

	while (len > 0) {
		ssize_t n = write ? pwrite(s->fd, p, len, (off_t)at) : pread(s->fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---------------------------------------------------------------- qemu-nbd */

static int make_folder(struct store *s, struct ff_err *err)
{
	s->dir = nbd_make_folder(err);
	if (s->dir == NULL)
		return -1;
	s->socket = ff_printf("%s/disk", s->dir);
	s->log = ff_printf("%s/log", s->dir);
	return 0;
}

static int start_server(struct store *s, const struct job *job, bool write, struct ff_err *err)
{
	ff_auto_free char *socket_path = ff_printf("--socket=%s", s->socket);
	ff_auto_free char *format = ff_printf("--format=%s", job->format),
			  *shared = ff_printf("--shared=%d", CLIENTS_MAX);
	char *argv[] = {(char *)"qemu-nbd", socket_path, format, shared,
		(char *)(write ? "--cache=writeback" : "--read-only"), (char *)"--", job->path, NULL};
	posix_spawn_file_actions_t actions;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, s->log, O_WRONLY | O_CREAT, 0600);
	rc = posix_spawnp(&s->pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc == 0)
		return 0;
	s->pid = 0;
	return ff_fail(err, FF_E_LOCAL, "cannot start qemu-nbd (package qemu-utils): %s", strerror(rc));
}

/* What it complained of: the first line. The caller frees. */
static char *complaint_of(const struct store *s)
{
	char line[300] = "no reason given";
	FILE *f = fopen(s->log, "re");

	if (f != NULL && fgets(line, sizeof(line), f) != NULL)
		line[strcspn(line, "\n")] = '\0';
	if (f != NULL)
		fclose(f);
	return ff_printable(line);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* It may listen before it has opened the image, and ends when it cannot: then nobody answers, and its log says why. */
static int meet_server(struct store *s, struct ff_err *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	int status;

	for (int waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
		s->fd = connect_to(s->socket);
		if (s->fd >= 0 && nbd_client_hello(s->fd, &s->bytes) == 0)
			return 0;
		ff_close_ptr(&s->fd);
		s->fd = -1;
		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			ff_auto_free char *why = complaint_of(s);

			s->pid = 0;
			return ff_fail(err, FF_E_DISK, "%s", why);
		}
		nanosleep(&pause, NULL);
	}
	return ff_fail(err, FF_E_LOCAL, "qemu-nbd did not come up within %d s", PATIENCE_MS / 1000);
}

static int open_image(struct store *s, const struct job *job, bool write, struct ff_err *err)
{
	struct stat st;
	ff_auto_close int fd = open(job->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot open '%s': %m", job->path);
	if (check_same(job, fd, &st, err) < 0 || make_folder(s, err) < 0 || start_server(s, job, write, err) < 0)
		return -1;
	return meet_server(s, err);
}

/* It ends by itself when its last client has left, having written everything. */
static void end_server(struct store *s)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	int status;

	if (s->fd >= 0)
		nbd_client_bye(s->fd);
	ff_close_ptr(&s->fd);
	s->fd = -1;
	for (int waited = 0; s->pid > 0; waited += LOOK_MS) {
		if (waitpid(s->pid, &status, WNOHANG) != 0)
			break;
		if (waited == PATIENCE_MS)
			kill(s->pid, SIGTERM);
		nanosleep(&pause, NULL);
	}
	unlink(s->socket);
	unlink(s->log);
	rmdir(s->dir);
}

/* ---------------------------------------------------------------- both */

static struct store *new_store(void)
{
	struct store *s = ff_calloc(1, sizeof(*s));

	s->fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct store *store_open(const struct job *job, bool write, struct ff_err *err)
{
	struct store *s = new_store();
	int rc;

	if (job->format != NULL && !ff_streq(job->format, "raw")) {
		rc = open_image(s, job, write, err);
	} else {
		s->fd = open_itself(job, write, &s->bytes, err);
		rc = s->fd;
	}
	if (rc >= 0)
		return s;
	store_close(s);
	return NULL;
}

struct store *store_of_fd(int fd)
{
	struct store *s = new_store();

	s->fd = fd;
	s->borrowed = true;
	return s;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->dir != NULL)
		end_server(s);
	else if (!s->borrowed)
		ff_close_ptr(&s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s->socket);
	free(s->log);
	free(s);
}

uint64_t store_bytes(const struct store *s)
{
	return s->bytes;
}

const char *store_socket(const struct store *s)
{
	return s->socket;
}

/* A piece at a time: what one answer of the server may hold. */
static int image_io(struct store *s, bool write, uint64_t at, void *bytes, size_t len)
{
	char *p = bytes;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (rc == 0 && len > 0) {
		size_t piece = len < PIECE_MAX ? len : PIECE_MAX;

		rc = write ? nbd_client_write(s->fd, at, p, piece) : nbd_client_read(s->fd, at, p, piece);
		p += piece;
		at += piece;
		len -= piece;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int store_read(struct store *s, uint64_t offset, void *bytes, size_t len)
{
	return (s->dir != NULL) ? image_io(s, false, offset, bytes, len) : disk_io(s, false, offset, bytes, len);
}

int store_write(struct store *s, uint64_t offset, const void *bytes, size_t len)
{
	void *p = (void *)(uintptr_t)bytes; /* only read */

	return (s->dir != NULL) ? image_io(s, true, offset, p, len) : disk_io(s, true, offset, p, len);
}

int store_flush(struct store *s)
{
	int rc;

	if (s->dir == NULL)
		return fdatasync(s->fd) == 0 ? 0 : errno;
	pthread_mutex_lock(&s->lock);
	rc = nbd_client_flush(s->fd);
	pthread_mutex_unlock(&s->lock);
	return rc;
}
