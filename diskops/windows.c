#include "windows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bitlocker.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "ntfs.h"
#include "scan.h"
#include "tree.h"

#define NOTES_MAX	  20
#define BOOT_SECTOR_BYTES 512

void scan_note(struct job *job, char *text_owned)
{
	if (job->notes.count < NOTES_MAX)
		ff_strv_add(&job->notes, text_owned);
	free(text_owned);
}

/*
 * By the OEM name at offset 3: "NTFS    " and "-FVE-FS-" (Vista and later; only BitLocker To Go for removable drives
 * looks like FAT). libblkid would take four times as long and does not call an NTFS so whose file table is damaged.
 */
static int volume_of(struct scan *s, const char *device, unsigned number, enum volume_kind *volume, struct ff_err *err)
{
	uint8_t sector[BOOT_SECTOR_BYTES];
	struct ntfs_geometry g;
	size_t got = 0;

	*volume = VOLUME_OTHER;
	if (scan_read(s, device, number, 0, sector, sizeof(sector), &got, err) < 0)
		return -1;
	if (got >= 11 && memcmp(sector + 3, "NTFS    ", 8) == 0)
		*volume = VOLUME_NTFS;
	else if (got >= 11 && memcmp(sector + 3, "-FVE-FS-", 8) == 0)
		*volume = VOLUME_BITLOCKER;
	else if (got >= 11 && memcmp(sector + 3, "ReFS\0\0\0\0", 8) == 0)
		*volume = VOLUME_REFS;
	s->ntfs_bytes = ntfs_geometry(sector, got, &g) == 0 ? g.volume_bytes : 0;
	return 0;
}

/* ---------------------------------------------------------------- partitions */

static int apply_recipe(struct scan *s, const struct recipe *recipe, struct ff_err *err)
{
	for (size_t i = 0; i < recipe->count; i++)
		if (files_apply(s, &recipe->rules[i], err) < 0)
			return -1;
	for (size_t i = 0; i < recipe->value_count; i++)
		if (registry_apply(s, &recipe->values[i], err) < 0)
			return -1;
	return 0;
}

/* What is to go is kept now, while the file system is mounted: a mount costs more than all else here. */
static int look_at_mounted(struct scan *s, struct ff_err *err)
{
	if (roots_find(s, err) < 0)
		return -1;
	if (s->roots.count == 0)
		return 0;
	if (s->job->list)
		return list_roots(s, err);
	if (roots_find_build(s, err) < 0)
		return -1;
	for (size_t r = 0; r < s->job->recipe_count; r++)
		if (apply_recipe(s, &s->job->recipes[r], err) < 0)
			return -1;
	return s->job->scan_only ? 0 : files_keep(s, err);
}

/* Of the page that ntfs-3g prints: the line that says what failed, else the first one. */
static char *mount_complaint(const char *text)
{
	const char *failed = text ? strstr(text, "\nFailed to ") : NULL, *line = failed ? failed + 1 : text;

	return line ? ff_strndup(line, strcspn(line, "\n")) : ff_strdup("no reason given");
}

/* A disk that was cut off, and its table made to fit: of the file system a part is not there. ntfs-3g refuses it as
 * well, and says no more than that an argument is invalid. */
static char *cut_off(const struct scan *s, const char *partition, unsigned number)
{
	const struct table_part *part = table_part(&s->table, number);
	uint64_t room = part != NULL ? part->size_bytes : ff_streq(partition, s->job->device) ? s->disk_bytes : 0;

	return room > 0 && s->ntfs_bytes > room
		       ? ff_printf("it is truncated: it says that it has %" PRIu64 " bytes, there are %" PRIu64,
				 s->ntfs_bytes, room)
		       : NULL;
}

/* Mount it read-only. NULL, or why not. The type is given: nothing else is tried. */
static char *mount_ntfs(const struct scan *s, const char *partition, unsigned number)
{
	char *why = cut_off(s, partition, number);

	if (why == NULL && guestfs_mount_vfs(s->a->g, "ro", "ntfs-3g", partition, "/") < 0)
		why = mount_complaint(guestfs_last_error(s->a->g));
	return why;
}

/* An NTFS that cannot be mounted fails the disk only when no Windows is found elsewhere: remember it. */
static int look_at_ntfs(struct scan *s, const char *partition, unsigned number, struct ff_err *err)
{
	ff_auto_free char *part = scan_part_name(number), *why = mount_ntfs(s, partition, number);
	int rc;

	s->ntfs++;
	if (why != NULL) {
		ff_fail(err, FF_E_DISK, "unreadable NTFS on %s: %s", part, why);
		if (!appliance_alive(s->a))
			return -1;
		scan_note(s->job, ff_strdup(err->text));
		if (s->unreadable.class == FF_E_NONE)
			s->unreadable = *err;
		return 0;
	}
	s->partition = partition;
	s->number = number;
	s->build = -1;
	rc = look_at_mounted(s, err);
	if (rc == 0)
		disorder_note(s);
	ff_strv_free(&s->roots);
	if (rc < 0)
		ff_wrap(err, "%s", part);
	if (guestfs_umount_all(s->a->g) < 0 && rc == 0)
		rc = appliance_fail(s->a, err, FF_E_LOCAL, "cannot unmount");
	return rc;
}

/* Open: look inside, as if it stood there plain. */
static int look_at_bitlocker(struct scan *s, unsigned number, struct ff_err *err)
{
	const struct locked *l = bitlocker_volume(s->job, number);
	ff_auto_free char *part = scan_part_name(number);
	enum volume_kind plain = VOLUME_OTHER;

	if (l != NULL && l->device != NULL && volume_of(s, l->device, number, &plain, err) < 0)
		return ff_wrap(err, "%s", part);
	if (l != NULL && l->device != NULL)
		return plain == VOLUME_NTFS ? look_at_ntfs(s, l->device, number, err) : 0;
	scan_note(s->job,
		ff_printf("the volume on %s is BitLocker-encrypted and %s", part, bitlocker_why(s->job, number)));
	if (!s->bitlocker)
		s->bitlocker_number = number;
	s->bitlocker = true;
	return 0;
}

static int look_at_partition(struct scan *s, const char *partition, unsigned number, struct ff_err *err)
{
	ff_auto_free char *part = scan_part_name(number);
	enum volume_kind volume;

	if (volume_of(s, partition, number, &volume, err) < 0) {
		ff_wrap(err, "%s", part);
		if (!appliance_alive(s->a))
			return -1;
		scan_note(s->job, ff_strdup(err->text));
		if (s->unreadable.class == FF_E_NONE)
			s->unreadable = *err;
		return 0;
	}
	if (volume == VOLUME_REFS && s->refs == NULL)
		s->refs = scan_part_name(number);
	if (s->job->list)
		list_partition(s, partition, number, volume);
	if (volume == VOLUME_BITLOCKER)
		return look_at_bitlocker(s, number, err);
	return volume == VOLUME_NTFS ? look_at_ntfs(s, partition, number, err) : 0;
}

static int look_at_partitions(struct scan *s, struct ff_err *err)
{
	struct ff_strv names = {0};
	int rc = disk_look(s, err);

	if (rc == 0)
		rc = disk_partitions(s, &names, err);
	for (size_t i = 0; rc == 0 && i < names.count; i++)
		rc = look_at_partition(s, names.items[i], disk_number(s, names.items[i]), err);
	ff_strv_free(&names);
	return rc;
}

/* ---------------------------------------------------------------- what to say */

/* What else a disk without NTFS is. */
static const char *other_kind(const struct table *t)
{
	bool only_efi = t->count > 0;

	for (size_t i = 0; i < t->count; i++)
		only_efi &= t->parts[i].type == PART_EFI || t->parts[i].type == PART_RESERVED;
	if (t->blank)
		return ": the disk is empty";
	if (only_efi)
		return ": only an EFI system partition";
	return table_has(t, PART_LINUX) ? ": it is a Linux disk" : "";
}

/* No Windows: the most telling reason first. */
static int no_windows(const struct scan *s, struct ff_err *err)
{
	ff_auto_free char *part = scan_part_name(s->bitlocker_number);

	ff_strv_free(&s->job->notes); /* the reason says it */
	if (s->bitlocker)
		return ff_fail(err, FF_E_DISK, "the volume on %s is BitLocker-encrypted and %s", part,
			bitlocker_why(s->job, s->bitlocker_number));
	if (s->unreadable.class != FF_E_NONE) {
		*err = s->unreadable;
		return -1;
	}
	if (s->refs != NULL)
		return ff_fail(err, FF_E_DISK, "the volume on %s is ReFS, which cannot be read here", s->refs);
	if (s->ntfs == 0)
		return ff_fail(err, FF_E_DISK, "no Windows found (no NTFS file system%s)", other_kind(&s->table));
	return ff_fail(err, FF_E_DISK, "no Windows found (no Windows/System32 on %u NTFS file system%s)", s->ntfs,
		s->ntfs == 1 ? "" : "s");
}

static char *count_text(const struct scan *s)
{
	char stamp[FF_TIME_BYTES];
	struct ff_buf text = {0};

	if (s->good > 0)
		ff_buf_addf(&text, "%zu good file%s stamped %s", s->good, s->good == 1 ? "" : "s",
			ff_time_format(s->good_ms, s->good_ms % 1000 != 0, stamp));
	if (s->older > 0)
		ff_buf_addf(&text, "%s%zu older file%s", text.len > 0 ? ", " : "", s->older, s->older == 1 ? "" : "s");
	if (s->other > 0)
		ff_buf_addf(&text, "%s%zu other file%s of that name", text.len > 0 ? ", " : "", s->other,
			s->other == 1 ? "" : "s");
	return ff_buf_take(&text);
}

/* Why nothing is to be done about values; NULL when the recipes hold none. */
static const char *values_text(const struct scan *s)
{
	bool any = false;

	for (size_t i = 0; i < s->job->recipe_count; i++)
		any |= s->job->recipes[i].value_count > 0;
	if (!any)
		return NULL;
	return s->values_as_wanted ? "every registry value is as it is to be"
	       : s->missing_key	   ? s->missing_key
				   : "no such hive";
}

static bool any_files(const struct job *job)
{
	for (size_t i = 0; i < job->recipe_count; i++)
		if (job->recipes[i].count > 0)
			return true;
	return false;
}

static void conclude(struct scan *s)
{
	ff_auto_free char *counts = count_text(s);
	const char *values = values_text(s);
	struct job *job = s->job;
	struct ff_buf text = {0};

	if (job->victim_count > 0 && *counts != '\0')
		scan_note(job, ff_printf("stays: %s", counts));
	if (!any_files(job))
		ff_buf_adds(&text, "nothing to change");
	else if (*counts != '\0')
		ff_buf_addf(&text, "nothing to remove: %s", counts);
	else if (s->looked_in != NULL)
		ff_buf_addf(&text, "nothing to remove: no file of that name in %s", s->looked_in);
	else
		ff_buf_addf(&text, "nothing to remove: %s", s->missing ? s->missing : "no such directory");
	if (values != NULL)
		ff_buf_addf(&text, "%s %s", any_files(job) ? ";" : ":", values);
	job->nothing = ff_buf_take(&text);
}

int windows_scan(struct appliance *a, struct outbox *out, struct job *job, struct ff_err *err)
{
	struct scan s = {.a = a, .out = out, .job = job};
	int rc = look_at_partitions(&s, err);

	if (rc == 0 && job->list)
		list_disk(&s);
	else if (rc == 0 && job->windows.count == 0)
		rc = no_windows(&s, err);
	if (rc == 0)
		conclude(&s);
	free(s.missing);
	free(s.missing_key);
	free(s.looked_in);
	free(s.refs);
	json_decref(s.parts);
	return rc;
}
