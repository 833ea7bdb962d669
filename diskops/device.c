#include "device.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "image.h"

#define SYSFS_SECTOR_BYTES 512 /* whatever the disk's own sectors are (kernel, Documentation/block/stat.rst) */
#define LINE_BYTES	   4096

/* The first line of a small file without its newline and trailing spaces. NULL when it cannot be read. */
static char *read_line(const char *path)
{
	char line[LINE_BYTES];
	FILE *f = fopen(path, "re");
	char *got;
	size_t len;

	if (f == NULL)
		return NULL;
	got = fgets(line, sizeof(line), f);
	fclose(f);
	if (got == NULL)
		return NULL;
	len = strlen(line);
	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	return ff_strndup(line, len);
}

static char *sysfs_path(dev_t dev, const char *file)
{
	return ff_printf("/sys/dev/block/%u:%u/%s", major(dev), minor(dev), file);
}

static char *sysfs_line(dev_t dev, const char *file)
{
	ff_auto_free char *path = sysfs_path(dev, file);

	return read_line(path);
}

/* ---------------------------------------------------------------- is it the right one? */

static int check_size(const struct job *job, uint64_t bytes, struct ff_err *err)
{
	if (job->size_bytes != 0 && bytes != job->size_bytes)
		return ff_fail(err, FF_E_DISK,
			"'%s' has %" PRIu64 " bytes, not the %" PRIu64 " of the disk that was attached", job->path,
			bytes, job->size_bytes);
	if (bytes == 0)
		return ff_fail(err, FF_E_DISK, "'%s' is empty", job->path);
	return 0;
}

static int device_bytes(const struct job *job, dev_t dev, uint64_t *bytes, struct ff_err *err)
{
	ff_auto_free char *text = sysfs_line(dev, "size");
	int64_t sectors;

	if (ff_parse_i64(text, 0, INT64_MAX / SYSFS_SECTOR_BYTES, &sectors) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot tell the size of '%s'", job->path);
	*bytes = (uint64_t)sectors * SYSFS_SECTOR_BYTES;
	return 0;
}

/* Without dashes: AWS shows the volume vol-0abc as serial vol0abc. */
static bool same_serial(const char *a, const char *b)
{
	for (;;) {
		while (*a == '-')
			a++;
		while (*b == '-')
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

static int check_serial(const struct job *job, dev_t dev, struct ff_err *err)
{
	ff_auto_free char *serial = NULL, *shown = NULL, *wanted = NULL;

	if (job->serial == NULL)
		return 0;
	serial = sysfs_line(dev, "device/serial"); /* NVMe */
	if (serial == NULL)
		serial = sysfs_line(dev, "serial"); /* virtio */
	if (serial == NULL || same_serial(serial, job->serial))
		return 0;
	shown = ff_printable(serial);
	wanted = ff_printable(job->serial);
	return ff_fail(err, FF_E_DISK, "'%s' has the serial '%s', not '%s'", job->path, shown, wanted);
}

/* ---------------------------------------------------------------- is it free? */

static int check_mounts(const struct job *job, dev_t dev, struct ff_err *err)
{
	ff_auto_free char *line = NULL, *number = ff_printf("%u:%u", major(dev), minor(dev));
	size_t room = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int rc = 0;

	if (f == NULL)
		return ff_fail(err, FF_E_LOCAL, "cannot read /proc/self/mountinfo: %m");
	while (rc == 0 && getline(&line, &room, f) > 0) {
		char third[32];

		/* proc(5): mount id, parent id, major:minor, ... */
		if (sscanf(line, "%*s %*s %31s", third) == 1 && ff_streq(third, number))
			rc = ff_fail(err, FF_E_LOCAL, "'%s' is mounted on this machine", job->path);
	}
	fclose(f);
	return rc;
}

static int check_swaps(const struct job *job, dev_t dev, struct ff_err *err)
{
	char line[LINE_BYTES], path[LINE_BYTES];
	FILE *f = fopen("/proc/swaps", "re");
	struct stat st;
	int rc = 0;

	while (f != NULL && rc == 0 && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%4095s", path) == 1 && stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
			st.st_rdev == dev)
			rc = ff_fail(err, FF_E_LOCAL, "'%s' is swap space of this machine", job->path);
	if (f != NULL)
		fclose(f);
	return rc;
}

static int check_holders(const struct job *job, dev_t dev, struct ff_err *err)
{
	ff_auto_free char *path = sysfs_path(dev, "holders");
	DIR *dir = opendir(path);
	struct dirent *d;
	int rc = 0;

	while (dir != NULL && rc == 0 && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.')
			rc = ff_fail(err, FF_E_LOCAL, "'%s' is held by %s on this machine", job->path, d->d_name);
	if (dir != NULL)
		closedir(dir);
	return rc;
}

static int check_unused(const struct job *job, dev_t dev, struct ff_err *err)
{
	if (check_mounts(job, dev, err) < 0 || check_swaps(job, dev, err) < 0 || check_holders(job, dev, err) < 0)
		return -1;
	return 0;
}

/* The device number of the partition in that folder of sysfs; 0 when it is none. */
static dev_t partition_of(dev_t disk, const char *name)
{
	ff_auto_free char *file = ff_printf("%s/partition", name), *number = sysfs_line(disk, file);
	ff_auto_free char *dev_file = ff_printf("%s/dev", name), *dev = sysfs_line(disk, dev_file);
	char *colon = dev != NULL ? strchr(dev, ':') : NULL;
	int64_t a, b;

	if (number == NULL || colon == NULL)
		return 0;
	*colon = '\0';
	if (ff_parse_i64(dev, 0, UINT32_MAX, &a) < 0 || ff_parse_i64(colon + 1, 0, UINT32_MAX, &b) < 0)
		return 0;
	return makedev((unsigned)a, (unsigned)b);
}

static int check_partitions(const struct job *job, dev_t dev, struct ff_err *err)
{
	ff_auto_free char *path = sysfs_path(dev, ".");
	DIR *dir = opendir(path);
	struct dirent *d;
	int rc = 0;

	if (dir == NULL)
		return ff_fail(err, FF_E_LOCAL, "cannot read '%s': %m", path);
	while (rc == 0 && (d = readdir(dir)) != NULL) {
		dev_t partition = d->d_name[0] == '.' ? 0 : partition_of(dev, d->d_name);

		if (partition != 0)
			rc = check_unused(job, partition, err);
	}
	closedir(dir);
	return rc;
}

/* Nothing is opened here, sysfs knows it all: opening another's disk may already disturb. */
static int check_writable(const struct job *job, bool writable, struct ff_err *err)
{
	return job->scan_only || writable ? 0 : ff_fail(err, FF_E_DISK, "'%s' is read-only", job->path);
}

static int check_block(struct job *job, dev_t dev, struct ff_err *err)
{
	ff_auto_free char *partition = sysfs_line(dev, "partition"), *read_only = sysfs_line(dev, "ro");

	if (partition != NULL)
		return ff_fail(err, FF_E_LOCAL, "'%s' is a partition, not a disk", job->path);
	if (device_bytes(job, dev, &job->file_bytes, err) < 0 || check_size(job, job->file_bytes, err) < 0 ||
		check_writable(job, !ff_streq(read_only, "1"), err) < 0 || check_serial(job, dev, err) < 0 ||
		check_unused(job, dev, err) < 0)
		return -1;
	return check_partitions(job, dev, err);
}

/* Is the image attached as a loop device of this machine? The kernel and the appliance would both write to it. */
static int check_loops(const struct job *job, struct ff_err *err)
{
	glob_t found;
	int rc = 0;

	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
		ff_auto_free char *backing = read_line(found.gl_pathv[i]);

		if (ff_streq(backing, job->path))
			rc = ff_fail(err, FF_E_LOCAL, "'%s' is in use as /dev/%.*s on this machine", job->path,
				(int)strcspn(found.gl_pathv[i] + strlen("/sys/block/"), "/"),
				found.gl_pathv[i] + strlen("/sys/block/"));
	}
	globfree(&found);
	return rc;
}

static int check_file(struct job *job, const struct stat *st, struct ff_err *err)
{
	job->file_bytes = (uint64_t)st->st_size;
	if (check_size(job, job->file_bytes, err) < 0 || check_loops(job, err) < 0)
		return -1;
	if (job->any_format && image_format(job->path, !job->scan_only, &job->format, err) < 0)
		return -1;
	return check_writable(job, access(job->path, W_OK) == 0, err);
}

/* ---------------------------------------------------------------- all together */

int device_find(struct job *job, struct ff_err *err)
{
	struct stat st;

	for (size_t i = 0; i < job->paths.count && job->path == NULL; i++) {
		ff_auto_free char *path = ff_printf("%s/%s", job->dev_root, job->paths.items[i]);

		job->path = realpath(path, NULL);
		if (job->path == NULL && errno != ENOENT && errno != ENOTDIR)
			return ff_fail(err, FF_E_LOCAL, "cannot look at '%s': %m", path);
	}
	if (job->path == NULL)
		return 0;
	if (stat(job->path, &st) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot look at '%s': %m", job->path);
	job->device_id = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	job->inode = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	if (S_ISBLK(st.st_mode))
		return check_block(job, st.st_rdev, err) < 0 ? -1 : 1;
	if (!S_ISREG(st.st_mode))
		return ff_fail(err, FF_E_LOCAL, "'%s' is neither a disk nor an image file", job->path);
	return check_file(job, &st, err) < 0 ? -1 : 1;
}

int device_prove(const struct job *job, struct ff_err *err)
{
	struct stat st;
	uint64_t bytes = 0;

	if (stat(job->path, &st) < 0)
		return ff_fail(err, FF_E_DISK, "'%s' is not there any more: %m", job->path);
	if (S_ISBLK(st.st_mode)) {
		if (st.st_rdev != job->device_id || job->inode != 0)
			return ff_fail(err, FF_E_DISK, "'%s' is another disk now", job->path);
		if (device_bytes(job, st.st_rdev, &bytes, err) < 0 || check_serial(job, st.st_rdev, err) < 0)
			return -1;
		return check_size(job, bytes, err);
	}
	if (st.st_dev != job->device_id || st.st_ino != job->inode)
		return ff_fail(err, FF_E_DISK, "'%s' is another file now", job->path);
	return check_size(job, (uint64_t)st.st_size, err);
}

bool device_same(const struct job *a, const struct job *b)
{
	return a->device_id == b->device_id && a->inode == b->inode;
}

ssize_t device_read(const struct job *job, uint64_t offset, void *bytes, size_t len)
{
	ff_auto_close int fd = open(job->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -1 : pread(fd, bytes, len, (off_t)offset);
}
