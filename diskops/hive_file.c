/*
 * A hive's file: what Windows had written to its logs only is applied first. For a look it is laid over the directory,
 * in the appliance's memory: the volume is not written.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hive.h"
#include "tree.h"

#define PIECE_BYTES (1024 * 1024) /* libguestfs takes at most 4 MiB in one message */
#define BASE_BYTES  4096

static void release(struct hivelog_bytes *b)
{
	free(b->bytes);
	*b = (struct hivelog_bytes){0};
}

/* ---------------------------------------------------------------- reading */

/* Nothing when it is no regular file. */
static int read_file(
	const struct appliance *a, const char *dir, const char *name, struct hivelog_bytes *file, struct ff_err *err)
{
	ff_auto_free char *path = tree_join(dir, name);
	struct guestfs_statns *st = guestfs_lstatns(a->g, path);
	int64_t size = st != NULL && S_ISREG((mode_t)st->st_mode) ? st->st_size : -1;

	if (st == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot look at it");
	guestfs_free_statns(st);
	if (size < 0)
		return 0;
	file->bytes = (uint8_t *)tree_read(a, path, size, err);
	file->len = (size_t)size;
	return file->bytes != NULL ? 0 : ff_wrap(err, "'%s'", name);
}

/* "SYSTEM.LOG1" in any case; a log that is not there, or is empty, stays nothing. */
static int read_logs(const struct appliance *a, const struct hive_file *f, struct hivelog_bytes logs[HIVELOG_COUNT],
	struct ff_err *err)
{
	for (int n = 0; n < HIVELOG_COUNT; n++) {
		ff_auto_free char *wanted = ff_printf("%s.LOG%d", f->name, n + 1);

		for (size_t i = 0; i < f->names->count && logs[n].bytes == NULL; i++)
			if (ff_strcaseeq(f->names->items[i], wanted) &&
				read_file(a, f->dir, f->names->items[i], &logs[n], err) < 0)
				return -1;
	}
	return 0;
}

/* The hive as it stands in the file, and with its logs applied. */
static int recover(const struct appliance *a, const struct hive_file *f, struct hivelog_bytes *before,
	struct hivelog_bytes *after, size_t *applied, struct ff_err *err)
{
	struct hivelog_bytes logs[HIVELOG_COUNT] = {0};
	int rc = read_file(a, f->dir, f->name, before, err);

	if (rc == 0)
		rc = read_logs(a, f, logs, err);
	if (rc == 0) {
		after->len = before->len;
		after->bytes = ff_calloc(before->len + 1, 1);
		if (before->len > 0)
			memcpy(after->bytes, before->bytes, before->len);
		rc = hivelog_apply(after, logs, applied, err);
	}
	for (int n = 0; n < HIVELOG_COUNT; n++)
		release(&logs[n]);
	return rc;
}

int hive_state(const struct appliance *a, const char *path, enum hive_state *state, struct ff_err *err)
{
	size_t got = 0;
	ff_auto_free char *head = guestfs_pread(a->g, path, HIVELOG_HEAD_BYTES, 0, &got);

	if (head == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot read");
	*state = hivelog_state((uint8_t *)head, got);
	if (*state == HIVE_NONE)
		return ff_fail(err, FF_E_DISK, "it is no registry hive");
	if (*state == HIVE_HEAD_TORN)
		return ff_fail(err, FF_E_DISK, "its header is damaged");
	return 0;
}

/* ---------------------------------------------------------------- writing */

static int write_piece(
	const struct appliance *a, const char *path, const uint8_t *bytes, size_t len, size_t at, struct ff_err *err)
{
	while (len > 0) {
		int n = guestfs_pwrite(a->g, path, (const char *)bytes, len, (int64_t)at);

		if (n <= 0)
			return appliance_fail(a, err, FF_E_DISK, "cannot write it");
		bytes += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Pieces that differ from what is there (`before` without bytes: nothing is). */
static int write_from(const struct appliance *a, const char *path, const struct hivelog_bytes *before,
	const struct hivelog_bytes *after, size_t from, struct ff_err *err)
{
	for (size_t at = from; at < after->len; at += PIECE_BYTES) {
		size_t len = after->len - at < PIECE_BYTES ? after->len - at : PIECE_BYTES;

		if (at + len <= before->len && memcmp(before->bytes + at, after->bytes + at, len) == 0)
			continue;
		if (write_piece(a, path, after->bytes + at, len, at, err) < 0)
			return -1;
	}
	return 0;
}

/* In the order of Windows: until the header is written the logs still apply. */
static int write_back(const struct appliance *a, const char *path, const struct hivelog_bytes *before,
	const struct hivelog_bytes *after, struct ff_err *err)
{
	if (write_from(a, path, before, after, BASE_BYTES, err) < 0)
		return -1;
	if (guestfs_sync(a->g) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot flush it");
	return write_piece(a, path, after->bytes, BASE_BYTES, 0, err);
}

int hive_settle(const struct appliance *a, const struct hive_file *f, struct ff_err *err)
{
	struct hivelog_bytes before = {0}, after = {0};
	ff_auto_free char *path = tree_join(f->dir, f->name);
	enum hive_state state = HIVE_NONE;
	size_t applied;
	int rc = hive_state(a, path, &state, err);

	if (rc == 0 && state == HIVE_DIRTY) {
		rc = recover(a, f, &before, &after, &applied, err);
		if (rc == 0)
			rc = write_back(a, path, &before, &after, err);
	}
	release(&before);
	release(&after);
	return rc;
}

/* ---------------------------------------------------------------- looking */

/* A file system in memory over the directory, with the hive and nothing else. mount(8) takes any device for it. */
static int lay_over(const struct appliance *a, const char *partition, const struct hive_file *f, const char *path,
	const struct hivelog_bytes *hive, struct ff_err *err)
{
	const struct hivelog_bytes nothing = {0};

	if (guestfs_mount_vfs(a->g, "size=80m,mode=0700", "tmpfs", partition, f->dir) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot apply its log");
	if (guestfs_touch(a->g, path) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot apply its log");
	return write_from(a, path, &nothing, hive, 0, err);
}

int hive_open(const struct appliance *a, const char *partition, struct hive_file *f, struct ff_err *err)
{
	struct hivelog_bytes before = {0}, after = {0};
	ff_auto_free char *path = tree_join(f->dir, f->name);
	enum hive_state state = HIVE_NONE;
	int rc = hive_state(a, path, &state, err);

	f->laid_over = false;
	f->applied = 0;
	if (rc == 0 && state == HIVE_DIRTY) {
		rc = recover(a, f, &before, &after, &f->applied, err);
		f->laid_over = rc == 0;
		if (rc == 0)
			rc = lay_over(a, partition, f, path, &after, err);
	}
	release(&before);
	release(&after);
	if (rc == 0 && guestfs_hivex_open(a->g, path, -1) < 0)
		rc = appliance_fail(a, err, FF_E_DISK, "cannot open it");
	if (rc < 0 && f->laid_over)
		guestfs_umount(a->g, f->dir);
	return rc;
}

int hive_close(const struct appliance *a, const struct hive_file *f, struct ff_err *err)
{
	int rc = guestfs_hivex_close(a->g) < 0 ? appliance_fail(a, err, FF_E_DISK, "cannot close it") : 0;

	if (f->laid_over && guestfs_umount(a->g, f->dir) < 0 && rc == 0)
		rc = appliance_fail(a, err, FF_E_DISK, "cannot unmount what its log made of it");
	return rc;
}
