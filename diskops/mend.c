#include "mend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proof.h"
#include "registry.h"
#include "scan.h"
#include "tree.h"

#define STATVFS_RDONLY 1 /* ST_RDONLY of the appliance's Linux */

static const char *partition_of(const struct job *job, const struct victim *v)
{
	return job->places[v->place].partition;
}

static char *real_path(const struct job *job, const struct victim *v)
{
	return tree_join(job->places[v->place].dir, v->name);
}

/* Still the very file that was kept? */
static int check_victim(const struct appliance *a, const struct job *job, const struct victim *v, struct ff_err *err)
{
	ff_auto_free char *path = real_path(job, v), *bytes = NULL;
	struct guestfs_statns *st = guestfs_lstatns(a->g, path);
	char sha256[65];
	bool same;

	if (st == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot look at it again");
	same = S_ISREG((mode_t)st->st_mode) && st->st_size == v->size && st->st_mtime_sec == v->mtime_s &&
	       st->st_mtime_nsec == v->mtime_ns;
	guestfs_free_statns(st);
	if (!same)
		return ff_fail(err, FF_E_DISK, "it is not the file that was kept");
	bytes = tree_read(a, path, v->size, err);
	if (bytes == NULL)
		return -1;
	ff_sha256_hex(bytes, (size_t)v->size, sha256);
	return strcmp(sha256, v->sha256) == 0 ? 0 : ff_fail(err, FF_E_DISK, "its content is not what was kept");
}

static int check_victims(const struct appliance *a, const struct job *job, const char *partition, struct ff_err *err)
{
	for (size_t i = 0; i < job->victim_count; i++) {
		const struct victim *v = &job->victims[i];
		ff_auto_free char *shown = job_victim_path(job, v);

		if (!v->absent && ff_streq(partition_of(job, v), partition) && check_victim(a, job, v, err) < 0)
			return ff_wrap(err, "'%s'", shown);
	}
	return 0;
}

/* ---------------------------------------------------------------- acting */

static int rename_victim(const struct appliance *a, const struct job *job, const struct victim *v, struct ff_err *err)
{
	ff_auto_free char *path = real_path(job, v), *to = tree_join(job->places[v->place].dir, v->rule->to);

	/* the scan saw no such name, in any case; a rename over a file would remove that one */
	if (guestfs_rename(a->g, path, to) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot rename it");
	return 0;
}

/*
 * Into the file that is there: its permissions, attributes and streams stay. It is never truncated to nothing on the
 * way, as guestfs_write() would: a system file without bytes is a pipe to ntfs-3g, and then no longer a file.
 */
static int overwrite(const struct appliance *a, const char *path, const char *bytes, size_t len, struct ff_err *err)
{
	for (size_t at = 0; at < len;) {
		int n = guestfs_pwrite(a->g, path, bytes + at, len - at, (int64_t)at);

		if (n <= 0)
			return appliance_fail(a, err, FF_E_DISK, "cannot write it");
		at += (size_t)n;
	}
	if (guestfs_truncate_size(a->g, path, (int64_t)len) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot set its size");
	return 0;
}

/* What was written is read again. */
static int write_victim(const struct appliance *a, const struct job *job, const struct victim *v, struct ff_err *err)
{
	const struct recipe_rule *rule = v->rule;
	ff_auto_free char *path = real_path(job, v), *bytes = NULL;

	if (!v->absent && overwrite(a, path, rule->content, rule->content_len, err) < 0)
		return -1;
	if (v->absent && guestfs_write(a->g, path, rule->content, rule->content_len) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot write it");
	bytes = tree_read(a, path, (int64_t)rule->content_len, err);
	if (bytes == NULL)
		return -1;
	return memcmp(bytes, rule->content, rule->content_len) == 0
		       ? 0
		       : ff_fail(err, FF_E_DISK, "it does not hold what was written");
}

static int remove_victim(const struct appliance *a, const struct job *job, const struct victim *v, struct ff_err *err)
{
	ff_auto_free char *path = real_path(job, v);

	if (guestfs_rm(a->g, path) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot remove it");
	return 0;
}

static int act_on(const struct appliance *a, struct job *job, size_t number, struct ff_err *err)
{
	const struct victim *v = &job->victims[number];

	switch (v->act) {
	case RECIPE_RENAME:
		return rename_victim(a, job, v, err);
	case RECIPE_WRITE:
		return write_victim(a, job, v, err);
	case RECIPE_EDIT:
		return registry_edit(a, job, number, err);
	default:
		return remove_victim(a, job, v, err);
	}
}

static int act_on_victims(const struct appliance *a, struct job *job, const char *partition, struct ff_err *err)
{
	for (size_t i = 0; i < job->victim_count; i++) {
		struct victim *v = &job->victims[i];
		ff_auto_free char *shown = job_victim_path(job, v);

		if (!ff_streq(partition_of(job, v), partition))
			continue;
		if (act_on(a, job, i, err) < 0)
			return ff_wrap(err, "'%s'", shown);
		v->gone = true;
	}
	return 0;
}

/* ---------------------------------------------------------------- proving */

/* The name that a name of the place has afterwards; NULL: none. */
static const char *name_after(const struct job *job, size_t place, const char *name)
{
	const struct victim *v = job_victim(job, place, name);

	if (v == NULL)
		return name;
	if (v->act == RECIPE_RENAME)
		return v->rule->to;
	return v->act == RECIPE_QUARANTINE || v->act == RECIPE_DELETE ? NULL : name;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What the directory is to hold: what it held but the victims, and what is new. Sorted. */
static void names_after(const struct job *job, size_t number, struct ff_strv *out)
{
	const struct place *place = &job->places[number];

	for (size_t i = 0; i < place->names.count; i++) {
		const char *after = name_after(job, number, place->names.items[i]);

		if (after != NULL)
			ff_strv_add(out, after);
	}
	for (size_t i = 0; i < job->victim_count; i++)
		if (job->victims[i].place == number && job->victims[i].absent)
			ff_strv_add(out, job->victims[i].name);
	if (out->count > 0)
		qsort(out->items, out->count, sizeof(*out->items), by_text);
}

/* In both directions. Both lists are sorted. */
static int prove_place(const struct appliance *a, const struct job *job, size_t number, struct ff_err *err)
{
	const struct place *place = &job->places[number];
	struct ff_strv now = {0}, wanted = {0};
	int rc = tree_list(a, place->dir, &now, err);

	names_after(job, number, &wanted);
	for (size_t i = 0; rc == 0 && i < wanted.count; i++)
		if (i >= now.count || strcmp(now.items[i], wanted.items[i]) != 0)
			rc = i < now.count && strcmp(now.items[i], wanted.items[i]) < 0
				     ? ff_fail(err, FF_E_DISK, "a removed file is still there")
				     : ff_fail(err, FF_E_DISK, "a file that was to stay is not there any more");
	if (rc == 0 && now.count != wanted.count)
		rc = ff_fail(err, FF_E_DISK, "a removed file is still there");
	ff_strv_free(&now);
	ff_strv_free(&wanted);
	return rc < 0 ? ff_wrap(err, "after the removal, '%s'", place->dir) : 0;
}

static int prove_places(const struct appliance *a, const struct job *job, const char *partition, struct ff_err *err)
{
	for (size_t i = 0; i < job->place_count; i++)
		if (ff_streq(job->places[i].partition, partition) && prove_place(a, job, i, err) < 0)
			return -1;
	return 0;
}

/* ---------------------------------------------------------------- partitions */

static bool is_writable(const struct appliance *a)
{
	struct guestfs_statvfs *st = guestfs_statvfs(a->g, "/");
	bool writable = st != NULL && (st->flag & STATVFS_RDONLY) == 0;

	guestfs_free_statvfs(st);
	return writable;
}

static int mount_with(const struct appliance *a, const char *options, const char *partition, struct ff_err *err)
{
	if (guestfs_mount_vfs(a->g, options, "ntfs-3g", partition, "/") < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot mount it for writing");
	return 0;
}

/*
 * ntfs-3g mounts what Windows left hibernated read-only, whatever was asked for. That state is kept unless the operator
 * says otherwise: discarding it loses what the machine had in flight, and mending beside it would be undone, or worse,
 * when Windows wakes up. A volume that was only not unmounted cleanly is mounted: its journal is emptied, as Windows
 * would do.
 */
static int mount_writable(const struct appliance *a, struct job *job, const char *partition, struct ff_err *err)
{
	int status;

	if (mount_with(a, "", partition, err) < 0)
		return -1;
	if (is_writable(a))
		return 0;
	guestfs_umount_all(a->g);
	status = guestfs_ntfs_3g_probe(a->g, 1, partition); /* exit statuses of ntfs-3g.probe(8) */
	if (status == 14 && job->discard_hibernation) {
		scan_note(job, ff_strdup("Windows was hibernated: its saved session was discarded"));
		if (mount_with(a, "remove_hiberfile", partition, err) < 0)
			return -1;
		return is_writable(a) ? 0 : ff_fail(err, FF_E_DISK, "it stays read-only without its hibernation file");
	}
	if (status == 14)
		return ff_fail(err, FF_E_DISK,
			"Windows is hibernated there (or shut down with Fast Startup): --discard-hibernation loses "
			"that session");
	return ff_fail(err, FF_E_DISK, "ntfs-3g refuses to write to it (probe status %d)", status);
}

static int mend_mounted(const struct appliance *a, struct job *job, const char *partition, struct ff_err *err)
{
	if (check_victims(a, job, partition, err) < 0 || act_on_victims(a, job, partition, err) < 0 ||
		prove_places(a, job, partition, err) < 0)
		return -1;
	return proof_check(a, job, partition, err);
}

static int mend_partition(
	struct appliance *a, struct job *job, const char *partition, unsigned number, struct ff_err *err)
{
	int rc;

	rc = mount_writable(a, job, partition, err);
	if (rc == 0)
		rc = mend_mounted(a, job, partition, err);
	if (guestfs_umount_all(a->g) < 0 && rc == 0)
		rc = appliance_fail(a, err, FF_E_DISK, "cannot unmount it");
	return rc < 0 ? ff_wrap(err, "NTFS on partition %u", number) : 0;
}

static bool has_victims(const struct job *job, const char *partition)
{
	for (size_t i = 0; i < job->victim_count; i++)
		if (ff_streq(partition_of(job, &job->victims[i]), partition) && !job->victims[i].gone)
			return true;
	return false;
}

static int say_removed(const struct job *job, struct ff_err *err)
{
	size_t gone = 0;

	for (size_t i = 0; i < job->victim_count; i++)
		gone += job->victims[i].gone;
	if (gone == 0)
		return ff_wrap(err, "nothing was removed");
	return ff_wrap(err, "%zu of %zu files were already removed or changed", gone, job->victim_count);
}

int mend_disk(struct appliance *a, struct job *job, struct ff_err *err)
{
	for (size_t i = 0; i < job->place_count; i++) {
		const struct place *p = &job->places[i];

		/* places of one partition are mended together: the first mends them all */
		if (has_victims(job, p->partition) && mend_partition(a, job, p->partition, p->part_number, err) < 0)
			return say_removed(job, err);
	}
	return 0;
}
