#include "windows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bitlocker.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "tree.h"

#define VICTIMS_MAX	  1000
#define VICTIM_BYTES_MAX  ((int64_t)1024 * 1024 * 1024) /* of one disk: they are all kept by the controller */
#define VICTIM_TEXT_MAX	  (256 * 1024)			/* their paths together go into one line to the controller */
#define ROOTS_MAX	  16
#define NOTES_MAX	  20
#define BOOT_SECTOR_BYTES 512

/* What the first sector of a partition says it is. */
enum volume { VOLUME_OTHER, VOLUME_NTFS, VOLUME_BITLOCKER };

/* What became of a disk's partitions while scanning. */
struct scan {
	struct appliance *a;
	struct outbox *out;
	struct job *job;
	unsigned ntfs, bitlocker_number;
	bool bitlocker;
	struct ff_err unreadable; /* class NONE: none; the first NTFS that could not be read */
	size_t good, older, text_bytes;
	int64_t good_ms; /* stamp of the latest good file */
	char *missing;	 /* where the way to the files ended */
	char *looked_in; /* the last directory that was looked at */
};

static void note(struct job *job, char *text_owned)
{
	if (job->notes.count < NOTES_MAX)
		ff_strv_add(&job->notes, text_owned);
	free(text_owned);
}

/* "partition 3", or "the disk" when it has no partitions. The caller frees. */
static char *part_name(unsigned number)
{
	return number == 0 ? ff_strdup("the whole disk") : ff_printf("partition %u", number);
}

/*
 * By the OEM name at offset 3: "NTFS    " and "-FVE-FS-" (Vista and later; only BitLocker To Go for removable drives
 * looks like FAT). libblkid would take four times as long and does not call an NTFS so whose file table is damaged.
 */
static int volume_of(const struct appliance *a, const char *device, enum volume *volume, struct ff_err *err)
{
	size_t got = 0;
	ff_auto_free char *sector = guestfs_pread_device(a->g, device, BOOT_SECTOR_BYTES, 0, &got);

	*volume = VOLUME_OTHER;
	if (sector == NULL)
		return appliance_fail(a, err, FF_E_DISK, "unreadable");
	if (got >= 11 && memcmp(sector + 3, "NTFS    ", 8) == 0)
		*volume = VOLUME_NTFS;
	else if (got >= 11 && memcmp(sector + 3, "-FVE-FS-", 8) == 0)
		*volume = VOLUME_BITLOCKER;
	return 0;
}

/* ---------------------------------------------------------------- files */

/* Its content goes to the controller piece by piece; the hash is of what was sent. */
static int keep_victim(struct scan *s, struct victim *v, struct ff_err *err)
{
	const struct job *job = s->job;
	ff_auto_free char *real = tree_join(job->places[v->place].dir, v->name);
	ff_auto_free char *path = job_victim_path(job, v), *bytes = tree_read(s->a, real, v->size, err);
	size_t at = 0;

	if (bytes == NULL)
		return ff_wrap(err, "cannot keep '%s'", path);
	ff_sha256_hex(bytes, (size_t)v->size, v->sha256);
	do { /* once for an empty file too */
		size_t piece = (size_t)v->size - at;

		if (piece > FF_KEEP_PIECE_BYTES)
			piece = FF_KEEP_PIECE_BYTES;
		outbox_keep(s->out, job, (size_t)(v - job->victims), path, (int64_t)at, bytes + at, piece);
		at += piece;
	} while (at < (size_t)v->size);
	return 0;
}

static int add_victim(
	struct scan *s, size_t place, const char *name, const struct guestfs_statns *st, struct ff_err *err)
{
	struct job *job = s->job;
	struct victim *v;

	for (size_t i = 0; i < job->victim_count; i++)
		if (job->victims[i].place == place && strcmp(job->victims[i].name, name) == 0)
			return 0; /* two recipes agree */
	job->victims = ff_realloc(job->victims, job->victim_count + 1, sizeof(*job->victims));
	v = &job->victims[job->victim_count++];
	*v = (struct victim){.place = place,
		.name = ff_strdup(name),
		.size = st->st_size,
		.mtime_s = st->st_mtime_sec,
		.mtime_ns = st->st_mtime_nsec};
	job->victim_bytes += v->size > 0 && v->size <= FILE_BYTES_MAX ? v->size : 0;
	ff_auto_free char *path = job_victim_path(job, v);

	s->text_bytes += strlen(path);
	if (v->size < 0 || v->size > FILE_BYTES_MAX)
		return ff_fail(err, FF_E_DISK, "'%s' has %" PRId64 " bytes: too large to be kept, nothing was removed",
			path, v->size);
	if (job->victim_count > VICTIMS_MAX || job->victim_bytes > VICTIM_BYTES_MAX || s->text_bytes > VICTIM_TEXT_MAX)
		return ff_fail(err, FF_E_DISK,
			"too many files to remove (more than %d, or too large): nothing was removed", VICTIMS_MAX);
	return 0;
}

static int judge(struct scan *s, const struct recipe_rule *rule, size_t place, const char *name,
	const struct guestfs_statns *st, struct ff_err *err)
{
	int64_t mtime_ms = st->st_mtime_sec * 1000 + st->st_mtime_nsec / 1000000;

	if (!S_ISREG((mode_t)st->st_mode)) {
		ff_auto_free char *path = tree_join(s->job->places[place].dir, name), *shown = ff_printable(path);

		note(s->job, ff_printf("'%s' is not a regular file and stays", shown));
		return 0;
	}
	switch (recipe_age(rule, mtime_ms)) {
	case RECIPE_BAD:
		return add_victim(s, place, name, st, err);
	case RECIPE_GOOD:
		s->good_ms = s->good == 0 || mtime_ms > s->good_ms ? mtime_ms : s->good_ms;
		s->good++;
		return 0;
	default:
		s->older++;
		return 0;
	}
}

/* The place of that directory, made when it was not looked at yet. Its number, or -1 with err. */
static ssize_t place_of(struct scan *s, const char *partition, unsigned number, const char *dir, struct ff_err *err)
{
	struct job *job = s->job;
	struct place *p;

	for (size_t i = 0; i < job->place_count; i++)
		if (ff_streq(job->places[i].partition, partition) && ff_streq(job->places[i].dir, dir))
			return (ssize_t)i;
	job->places = ff_realloc(job->places, job->place_count + 1, sizeof(*job->places));
	p = &job->places[job->place_count++];
	*p = (struct place){.partition = ff_strdup(partition), .part_number = number, .dir = ff_strdup(dir)};
	if (tree_list(s->a, dir, &p->names, err) < 0)
		return -1;
	return (ssize_t)job->place_count - 1;
}

static int look_in(struct scan *s, const struct recipe_rule *rule, const char *partition, unsigned number,
	const char *dir, struct ff_err *err)
{
	ssize_t place = place_of(s, partition, number, dir, err);
	struct ff_strv matching = {0};
	struct guestfs_statns_list *stats = NULL;
	int rc;

	if (place < 0)
		return -1;
	free(s->looked_in);
	s->looked_in = ff_strdup(dir);
	rc = tree_match(s->a, dir, &s->job->places[place].names, rule->name, &matching, &stats, err);
	for (size_t i = 0; rc == 0 && i < matching.count; i++)
		rc = judge(s, rule, (size_t)place, matching.items[i], &stats->val[i], err);
	if (stats != NULL)
		guestfs_free_statns_list(stats);
	ff_strv_free(&matching);
	return rc;
}

static int apply_rule(
	struct scan *s, const struct recipe_rule *rule, const char *partition, unsigned number, struct ff_err *err)
{
	struct ff_strv dirs = {0};
	ff_auto_free char *missing = NULL;
	int rc = tree_find(s->a, &rule->dirs, &dirs, &missing, err);

	for (size_t i = 0; rc == 0 && i < dirs.count; i++)
		rc = look_in(s, rule, partition, number, dirs.items[i], err);
	if (missing != NULL && s->missing == NULL)
		s->missing = FF_STEAL(missing);
	ff_strv_free(&dirs);
	return rc;
}

/* ---------------------------------------------------------------- partitions */

/* Windows roots on the mounted file system: directories that hold a System32, any case. Appended to job->windows. */
static int find_roots(struct scan *s, unsigned number, size_t *roots, struct ff_err *err)
{
	struct ff_strv way = {0}, dirs = {0};
	ff_auto_free char *missing = NULL, *part = part_name(number);
	int rc;

	ff_strv_add(&way, "Windows");
	ff_strv_add(&way, "System32");
	rc = tree_find(s->a, &way, &dirs, &missing, err);
	for (size_t i = 0; rc == 0 && i < dirs.count; i++) {
		char *last = strrchr(dirs.items[i], '/');

		*last = '\0';
		if (i > 0 && strcmp(dirs.items[i], dirs.items[i - 1]) == 0)
			continue; /* two spellings of System32 in one Windows */
		if (s->job->windows.count < ROOTS_MAX)
			ff_strv_addf(&s->job->windows, "%s on %s", dirs.items[i], part);
		outbox_stage(s->out, s->job, "windows root %s on %s", dirs.items[i], part);
		++*roots;
	}
	ff_strv_free(&way);
	ff_strv_free(&dirs);
	return rc;
}

/* What is to go is kept now, while the file system is mounted: a mount costs more than all else here. */
static int keep_partition(struct scan *s, const char *partition, struct ff_err *err)
{
	for (size_t i = 0; i < s->job->victim_count; i++) {
		struct victim *v = &s->job->victims[i];

		if (ff_streq(s->job->places[v->place].partition, partition) && keep_victim(s, v, err) < 0)
			return -1;
	}
	return 0;
}

static int look_at_mounted(struct scan *s, const char *partition, unsigned number, struct ff_err *err)
{
	size_t roots = 0;

	if (find_roots(s, number, &roots, err) < 0)
		return -1;
	for (size_t r = 0; roots > 0 && r < s->job->recipe_count; r++)
		for (size_t i = 0; i < s->job->recipes[r].count; i++)
			if (apply_rule(s, &s->job->recipes[r].rules[i], partition, number, err) < 0)
				return -1;
	return s->job->scan_only ? 0 : keep_partition(s, partition, err);
}

/* Of the page that ntfs-3g prints: the line that says what failed, else the first one. */
static char *mount_complaint(const char *text)
{
	const char *failed = text ? strstr(text, "\nFailed to ") : NULL, *line = failed ? failed + 1 : text;

	return line ? ff_strndup(line, strcspn(line, "\n")) : ff_strdup("no reason given");
}

/* The type is given: nothing else is tried. An NTFS that cannot be mounted fails the disk only when no Windows is found
 * elsewhere: remember it. */
static int look_at_ntfs(struct scan *s, const char *partition, unsigned number, struct ff_err *err)
{
	ff_auto_free char *part = part_name(number);
	int rc;

	s->ntfs++;
	if (guestfs_mount_vfs(s->a->g, "ro", "ntfs-3g", partition, "/") < 0) {
		ff_auto_free char *why = mount_complaint(guestfs_last_error(s->a->g));

		ff_fail(err, FF_E_DISK, "unreadable NTFS on %s: %s", part, why);
		if (!appliance_alive(s->a))
			return -1;
		note(s->job, ff_strdup(err->text));
		if (s->unreadable.class == FF_E_NONE)
			s->unreadable = *err;
		return 0;
	}
	rc = look_at_mounted(s, partition, number, err);
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
	ff_auto_free char *part = part_name(number);

	enum volume plain = VOLUME_OTHER;

	if (l != NULL && l->device != NULL && volume_of(s->a, l->device, &plain, err) < 0)
		return ff_wrap(err, "%s", part);
	if (l != NULL && l->device != NULL)
		return plain == VOLUME_NTFS ? look_at_ntfs(s, l->device, number, err) : 0;
	note(s->job, ff_printf("the volume on %s is BitLocker-encrypted and %s", part,
			     l != NULL && l->why != NULL ? l->why : "no key was given"));
	if (!s->bitlocker)
		s->bitlocker_number = number;
	s->bitlocker = true;
	return 0;
}

static int look_at_partition(struct scan *s, const char *partition, unsigned number, struct ff_err *err)
{
	ff_auto_free char *part = part_name(number);
	enum volume volume;

	if (volume_of(s->a, partition, &volume, err) < 0) {
		ff_wrap(err, "%s", part);
		if (!appliance_alive(s->a))
			return -1;
		note(s->job, ff_strdup(err->text));
		if (s->unreadable.class == FF_E_NONE)
			s->unreadable = *err;
		return 0;
	}
	if (volume == VOLUME_BITLOCKER)
		return look_at_bitlocker(s, number, err);
	return volume == VOLUME_NTFS ? look_at_ntfs(s, partition, number, err) : 0;
}

/* The number of a partition of that disk: "/dev/sda3" of "/dev/sda" is 3. 0 when it is of another disk. */
static unsigned number_of(const char *partition, const char *disk)
{
	int64_t number;

	if (!ff_has_prefix(partition, disk) || ff_parse_i64(partition + strlen(disk), 1, 4096, &number) < 0)
		return 0;
	return (unsigned)number;
}

static int look_at_partitions(struct scan *s, char *const *partitions, struct ff_err *err)
{
	bool any = false;

	for (char *const *p = partitions; *p != NULL; p++) {
		unsigned number = number_of(*p, s->job->device);

		any |= number != 0;
		if (number != 0 && look_at_partition(s, *p, number, err) < 0)
			return -1;
	}
	return any ? 0 : look_at_partition(s, s->job->device, 0, err);
}

/* ---------------------------------------------------------------- what to say */

/* No Windows: the most telling reason first. */
static int no_windows(const struct scan *s, struct ff_err *err)
{
	const struct locked *l = bitlocker_volume(s->job, s->bitlocker_number);
	ff_auto_free char *part = part_name(s->bitlocker_number);

	ff_strv_free(&s->job->notes); /* the reason says it */
	if (s->bitlocker)
		return ff_fail(err, FF_E_DISK, "the volume on %s is BitLocker-encrypted and %s", part,
			l != NULL && l->why != NULL ? l->why : "no key was given");
	if (s->unreadable.class != FF_E_NONE) {
		*err = s->unreadable;
		return -1;
	}
	if (s->ntfs == 0)
		return ff_fail(err, FF_E_DISK, "no Windows found (no NTFS file system)");
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
		ff_buf_addf(&text, "%s%zu older file%s", s->good > 0 ? ", " : "", s->older, s->older == 1 ? "" : "s");
	return ff_buf_take(&text);
}

static void conclude(struct scan *s)
{
	ff_auto_free char *counts = count_text(s);
	struct job *job = s->job;

	if (job->victim_count > 0 && *counts != '\0')
		note(job, ff_printf("stays: %s", counts));
	if (*counts != '\0')
		job->nothing = ff_printf("nothing to remove: %s", counts);
	else if (s->looked_in != NULL)
		job->nothing = ff_printf("nothing to remove: no file of that name in %s", s->looked_in);
	else
		job->nothing = ff_printf("nothing to remove: %s", s->missing ? s->missing : "no such directory");
}

int windows_scan(struct appliance *a, struct outbox *out, struct job *job, char *const *partitions, struct ff_err *err)
{
	struct scan s = {.a = a, .out = out, .job = job};
	int rc = look_at_partitions(&s, partitions, err);

	if (rc == 0 && job->windows.count == 0)
		rc = no_windows(&s, err);
	if (rc == 0)
		conclude(&s);
	free(s.missing);
	free(s.looked_in);
	return rc;
}
