#include "mend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

		if (ff_streq(partition_of(job, v), partition) && check_victim(a, job, v, err) < 0)
			return ff_wrap(err, "'%s'", shown);
	}
	return 0;
}

static int remove_victims(const struct appliance *a, struct job *job, const char *partition, struct ff_err *err)
{
	for (size_t i = 0; i < job->victim_count; i++) {
		struct victim *v = &job->victims[i];
		ff_auto_free char *path = real_path(job, v), *shown = job_victim_path(job, v);

		if (!ff_streq(partition_of(job, v), partition))
			continue;
		if (guestfs_rm(a->g, path) < 0) {
			appliance_fail(a, err, FF_E_DISK, "cannot remove it");
			return ff_wrap(err, "'%s'", shown);
		}
		v->gone = true;
	}
	return 0;
}

/* ---------------------------------------------------------------- proving */

static bool is_victim(const struct job *job, size_t place, const char *name)
{
	for (size_t i = 0; i < job->victim_count; i++)
		if (job->victims[i].place == place && strcmp(job->victims[i].name, name) == 0)
			return true;
	return false;
}

/* What was there but the victims is what is there now, in both directions. Both lists are sorted. */
static int prove_place(const struct appliance *a, const struct job *job, size_t number, struct ff_err *err)
{
	const struct place *place = &job->places[number];
	struct ff_strv now = {0};
	size_t k = 0;
	int rc = tree_list(a, place->dir, &now, err);

	for (size_t i = 0; rc == 0 && i < place->names.count; i++) {
		if (is_victim(job, number, place->names.items[i]))
			continue;
		if (k >= now.count || strcmp(now.items[k], place->names.items[i]) != 0)
			rc = ff_fail(err, FF_E_DISK, "a file that was to stay is not there any more");
		k++;
	}
	if (rc == 0 && k != now.count)
		rc = ff_fail(err, FF_E_DISK, "a removed file is still there");
	ff_strv_free(&now);
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

/*
 * ntfs-3g mounts what Windows left hibernated or half-written read-only, whatever was asked for. That state is kept:
 * discarding it would lose what the machine had in flight.
 */
static int check_writable(const struct appliance *a, const char *partition, struct ff_err *err)
{
	struct guestfs_statvfs *st = guestfs_statvfs(a->g, "/");
	bool writable = st != NULL && (st->flag & STATVFS_RDONLY) == 0;
	int status;

	if (st == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot look at the file system");
	guestfs_free_statvfs(st);
	if (writable)
		return 0;
	guestfs_umount_all(a->g);
	status = guestfs_ntfs_3g_probe(a->g, 1, partition); /* exit statuses of ntfs-3g.probe(8) */
	if (status == 14)
		return ff_fail(err, FF_E_DISK, "Windows is hibernated there (or shut down with Fast Startup)");
	if (status == 15)
		return ff_fail(err, FF_E_DISK, "the volume was not cleanly unmounted by Windows");
	return ff_fail(err, FF_E_DISK, "ntfs-3g refuses to write to it (probe status %d)", status);
}

static int mend_mounted(const struct appliance *a, struct job *job, const char *partition, struct ff_err *err)
{
	if (check_writable(a, partition, err) < 0 || check_victims(a, job, partition, err) < 0 ||
		remove_victims(a, job, partition, err) < 0)
		return -1;
	return prove_places(a, job, partition, err);
}

static int mend_partition(
	struct appliance *a, struct job *job, const char *partition, unsigned number, struct ff_err *err)
{
	int rc;

	if (guestfs_mount_vfs(a->g, "", "ntfs-3g", partition, "/") < 0) {
		appliance_fail(a, err, FF_E_DISK, "cannot mount it for writing");
		return ff_wrap(err, "NTFS on partition %u", number);
	}
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
	return ff_wrap(err, "%zu of %zu files were already removed", gone, job->victim_count);
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
