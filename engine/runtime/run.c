/*
 * The run's folder: its lock and its journal.
 */
#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixfleet/journal.h"

#define LOCK_NAME    "lock"
#define JOURNAL_NAME "journal.jsonl"

#define JOURNAL_BYTES_MAX ((off_t)4 << 30)

void rt_run_init(struct rt_run *run)
{
	*run = (struct rt_run){.dir_fd = -1, .lock_fd = -1, .journal_fd = -1, .quarantine_fd = -1, .sound_bytes = -1};
}

void rt_run_close(struct rt_run *run)
{
	ff_close_ptr(&run->quarantine_fd);
	ff_close_ptr(&run->journal_fd);
	ff_close_ptr(&run->lock_fd); /* the kernel gives the lock back */
	ff_close_ptr(&run->dir_fd);
	free(run->dir);
	rt_run_init(run);
}

int rt_write_all(int fd, const void *bytes, size_t len, int64_t offset)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = offset < 0 ? write(fd, p, len) : pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ENOSPC : errno;
			return -1;
		}
		p += n;
		len -= (size_t)n;
		offset = offset < 0 ? offset : offset + n;
	}
	return 0;
}

/* ---------------------------------------------------------------- the folder */

static int sync_folder(const char *path)
{
	ff_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

/* Make one folder; a new one's entry is made durable in the folder above. */
static int make_folder(const char *path)
{
	ff_auto_free char *above = ff_strdup(path);
	char *slash = strrchr(above, '/');

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	if (slash == NULL)
		return sync_folder(".");
	slash[slash == above ? 1 : 0] = '\0';
	return sync_folder(above);
}

int rt_make_folders(const char *path, struct ff_err *err)
{
	ff_auto_free char *part = ff_strdup(path);

	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (make_folder(part) < 0)
			return ff_fail(err, FF_E_LOCAL, "cannot make folder '%s': %m", part);
		*slash = '/';
	}
	if (make_folder(part) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot make folder '%s': %m", part);
	return 0;
}

/* ---------------------------------------------------------------- the lock */

static int fail_locked(const struct rt_run *run, struct ff_err *err)
{
	char text[32] = "";
	ssize_t n = pread(run->lock_fd, text, sizeof(text) - 1, 0);
	int64_t pid;

	text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
	if (ff_parse_i64(text, 1, INT32_MAX, &pid) < 0) /* its owner has not written it yet */
		return ff_fail(err, FF_E_LOCAL, "run folder '%s' is in use by another fixfleet", run->dir);
	return ff_fail(err, FF_E_LOCAL, "run folder '%s' is in use by fixfleet process %d", run->dir, (int)pid);
}

static int lock(struct rt_run *run, struct ff_err *err)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	run->lock_fd = openat(run->dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (run->lock_fd < 0)
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': cannot open its lock: %m", run->dir);
	if (flock(run->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return fail_locked(run, err);
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': cannot lock: %m", run->dir);
	}
	if (ftruncate(run->lock_fd, 0) < 0 || rt_write_all(run->lock_fd, text, (size_t)len, 0) < 0)
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': cannot write its lock: %m", run->dir);
	return 0;
}

/* ---------------------------------------------------------------- the journal */

static int create_journal(struct rt_run *run, struct ff_err *err)
{
	run->journal_fd = openat(
		run->dir_fd, JOURNAL_NAME, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (run->journal_fd < 0 && errno == EEXIST)
		return ff_fail(
			err, FF_E_LOCAL, "run folder '%s' holds a journal already: give another --run-dir", run->dir);
	if (run->journal_fd < 0)
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': cannot create its journal: %m", run->dir);
	if (fsync(run->journal_fd) < 0 || fsync(run->dir_fd) < 0)
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': cannot make its journal durable: %m", run->dir);
	return 0;
}

static int open_all(struct rt_run *run, struct ff_err *err)
{
	if (run->dir[0] == '\0')
		return ff_fail(err, FF_E_LOCAL, "run folder has no name");
	if (rt_make_folders(run->dir, err) < 0)
		return -1;
	run->dir_fd = open(run->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run->dir_fd < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot open run folder '%s': %m", run->dir);
	if (lock(run, err) < 0)
		return -1;
	return create_journal(run, err);
}

int rt_run_open(struct rt_run *run, const char *dir, struct ff_err *err)
{
	if (run->dir != NULL)
		return ff_fail(err, FF_E_BUG, "run folder '%s' is open already", run->dir);
	run->dir = ff_strdup(dir);
	if (open_all(run, err) == 0)
		return 0;
	rt_run_close(run);
	return -1;
}

/* ---------------------------------------------------------------- a run that was begun */

static ssize_t read_file(const void *self, size_t at, char *bytes, size_t room, struct ff_err *err)
{
	ssize_t n;

	do
		n = pread(*(const int *)self, bytes, room, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? ff_fail(err, FF_E_LOCAL, "cannot read the journal at byte %zu: %m", at) : n;
}

/* *fd is the caller's to close, whatever comes of it. O_NONBLOCK: opening a FIFO without a writer must not hang. */
static int open_journal(int dir_fd, const char *dir, int flags, int *fd, struct ff_source *journal, struct ff_err *err)
{
	struct stat st;

	*fd = openat(dir_fd, JOURNAL_NAME, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': cannot open its journal: %m", dir);
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_BYTES_MAX)
		return ff_fail(err, FF_E_LOCAL, "run folder '%s': its journal is no file, or larger than 4 GiB", dir);
	*journal = (struct ff_source){.len = (size_t)st.st_size, .read = read_file, .self = fd};
	return 0;
}

static int reopen_all(struct rt_run *run, struct ff_source *journal, struct ff_err *err)
{
	struct ff_chain chain;
	size_t sound;

	run->dir_fd = open(run->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run->dir_fd < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot open run folder '%s': %m", run->dir);
	if (faccessat(run->dir_fd, JOURNAL_NAME, F_OK, 0) < 0) /* or a lock would be made where no run is */
		return ff_fail(err, FF_E_LOCAL, "run folder '%s' holds no journal", run->dir);
	if (lock(run, err) < 0 ||
		open_journal(run->dir_fd, run->dir, O_RDWR | O_APPEND, &run->journal_fd, journal, err) < 0)
		return -1;
	if (ff_journal_read(*journal, NULL, NULL, &chain, &sound, err) < 0)
		return ff_wrap(err, "run folder '%s'", run->dir);
	if (sound < journal->len)
		run->sound_bytes = (int64_t)sound;
	journal->len = sound;
	return 0;
}

int rt_run_reopen(struct rt_run *run, const char *dir, struct ff_source *journal, struct ff_err *err)
{
	if (run->dir != NULL)
		return ff_fail(err, FF_E_BUG, "run folder '%s' is open already", run->dir);
	run->dir = ff_strdup(dir);
	if (reopen_all(run, journal, err) == 0)
		return 0;
	rt_run_close(run);
	return -1;
}

int ff_runtime_look(const char *run_dir, int *fd, struct ff_source *journal, struct ff_err *err)
{
	ff_auto_close int dir_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*fd = -1;
	if (dir_fd < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot open run folder '%s': %m", run_dir);
	return open_journal(dir_fd, run_dir, O_RDONLY, fd, journal, err);
}

/*
 * After a failed write or sync nobody knows what the disk holds: the kernel may have dropped the pages, and a later
 * sync that succeeds says nothing about them. So the first failure is final.
 */
static int fail_for_good(struct rt_run *run, struct ff_err *err, const char *what)
{
	ff_fail(&run->broken, FF_E_LOCAL, "cannot %s journal '%s/" JOURNAL_NAME "': %m", what, run->dir);
	if (err != NULL)
		*err = run->broken;
	return -1;
}

static int check_sound(const struct rt_run *run, struct ff_err *err)
{
	if (run->journal_fd < 0)
		return ff_fail(err, FF_E_BUG, "no journal is open");
	if (run->broken.class == FF_E_NONE)
		return 0;
	if (err != NULL)
		*err = run->broken;
	return -1;
}

int rt_run_append(struct rt_run *run, const char *line, size_t len, struct ff_err *err)
{
	if (check_sound(run, err) < 0)
		return -1;
	run->unsynced = true;
	if (run->sound_bytes >= 0 && ftruncate(run->journal_fd, run->sound_bytes) < 0)
		return fail_for_good(run, err, "cut");
	run->sound_bytes = -1;
	if (rt_write_all(run->journal_fd, line, len, -1) < 0)
		return fail_for_good(run, err, "write");
	return 0;
}

int rt_run_sync(struct rt_run *run, struct ff_err *err)
{
	if (check_sound(run, err) < 0)
		return -1;
	if (run->unsynced && fdatasync(run->journal_fd) < 0)
		return fail_for_good(run, err, "sync");
	run->unsynced = false;
	return 0;
}
