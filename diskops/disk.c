/*
 * The disk itself: its partitions, and reading it. A raw disk is read here on the host: the appliance waits for udev
 * after each look at a device, which takes a tenth of a second without KVM, and a second for listing partitions.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "scan.h"

static bool is_raw(const struct job *job)
{
	return job->format == NULL || strcmp(job->format, "raw") == 0;
}

unsigned disk_number(const struct scan *s, const char *partition)
{
	const char *disk = s->job->device;
	int64_t number;

	if (!ff_has_prefix(partition, disk) || ff_parse_i64(partition + strlen(disk), 1, 4096, &number) < 0)
		return 0;
	return (unsigned)number;
}

/* Where a partition of the disk itself begins; -1: it is another device, or not known here. */
static int64_t start_of(const struct scan *s, const char *partition, unsigned number)
{
	const struct table_part *part = table_part(&s->table, number);

	if (!is_raw(s->job))
		return -1;
	if (number == 0)
		return ff_streq(partition, s->job->device) ? 0 : -1;
	return part != NULL && disk_number(s, partition) == number ? (int64_t)part->start_bytes : -1;
}

int scan_read(const struct scan *s, const char *partition, unsigned number, uint64_t offset, void *bytes, size_t len,
	size_t *got, struct ff_err *err)
{
	int64_t start = start_of(s, partition, number);
	ff_auto_free char *copy = NULL;
	ssize_t n;

	if (start >= 0) {
		n = device_read(s->job, (uint64_t)start + offset, bytes, len);
		if (n < 0)
			return ff_fail(err, FF_E_DISK, "unreadable: %m");
		*got = (size_t)n;
		return 0;
	}
	copy = guestfs_pread_device(s->a->g, partition, (int)len, (int64_t)offset, got);
	if (copy == NULL)
		return appliance_fail(s->a, err, FF_E_DISK, "unreadable");
	memcpy(bytes, copy, *got);
	return 0;
}

static int read_disk(void *arg, uint64_t offset, void *bytes, size_t len, struct ff_err *err)
{
	const struct scan *s = arg;
	size_t got = 0;

	if (scan_read(s, s->job->device, 0, offset, bytes, len, &got, err) < 0)
		return -1;
	return got == len ? 0 : ff_fail(err, FF_E_DISK, "unreadable: it ends before its size");
}

/*
 * The partition table, before any partition is mounted: a volume of a dynamic disk or of Storage Spaces may have a
 * mirror elsewhere, half a volume must not be written.
 */
int disk_look(struct scan *s, struct ff_err *err)
{
	const struct table_part *beyond;
	int64_t size = (int64_t)s->job->file_bytes;

	if (!is_raw(s->job))
		size = guestfs_blockdev_getsize64(s->a->g, s->job->device);
	if (size < 0)
		return appliance_fail(s->a, err, FF_E_DISK, "unreadable");
	s->disk_bytes = (uint64_t)size;
	if (table_read(&s->table, read_disk, s, s->disk_bytes, err) < 0)
		return -1;
	beyond = table_beyond(&s->table, s->disk_bytes);
	if (s->job->list)
		return 0;
	if (table_has(&s->table, PART_DYNAMIC))
		return ff_fail(err, FF_E_DISK,
			"it is a dynamic disk: its volumes may be spread or mirrored, and are left alone");
	if (table_has(&s->table, PART_SPACES))
		return ff_fail(err, FF_E_DISK, "it is part of a Storage Spaces pool, and is left alone");
	if (beyond != NULL)
		return ff_fail(err, FF_E_DISK,
			"it is truncated: it ends after %" PRIu64 " bytes, its partition %u after %" PRIu64,
			s->disk_bytes, beyond->number, beyond->start_bytes + beyond->size_bytes);
	return 0;
}

/* ---------------------------------------------------------------- partitions */

/* As Linux numbers them, without asking the appliance. */
static void host_partitions(const struct scan *s, struct ff_strv *names)
{
	const struct table_part *part = NULL;

	while ((part = table_next(&s->table, part, s->disk_bytes)) != NULL)
		ff_strv_addf(names, "%s%u", s->job->device, part->number);
}

static int appliance_partitions(const struct scan *s, struct ff_strv *names, struct ff_err *err)
{
	char **all = guestfs_list_partitions(s->a->g);

	if (all == NULL)
		return appliance_fail(s->a, err, FF_E_LOCAL, "cannot list partitions");
	for (char **p = all; *p != NULL; p++)
		if (disk_number(s, *p) != 0)
			ff_strv_add(names, *p);
	appliance_free_list(all);
	return 0;
}

int disk_partitions(const struct scan *s, struct ff_strv *names, struct ff_err *err)
{
	if (is_raw(s->job))
		host_partitions(s, names);
	else if (appliance_partitions(s, names, err) < 0)
		return -1;
	if (names->count == 0)
		ff_strv_add(names, s->job->device);
	return 0;
}
