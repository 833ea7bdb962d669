/*
 * A look at one disk under way; what windows.c, files.c and registry.c share. Everything here is about the partition
 * that is mounted at "/", read-only.
 */
#ifndef DISKOPS_SCAN_H
#define DISKOPS_SCAN_H

#include "appliance.h"
#include "outbox.h"
#include "table.h"

/* What the first sector of a partition says it is. */
enum volume_kind { VOLUME_OTHER, VOLUME_NTFS, VOLUME_BITLOCKER, VOLUME_REFS };

struct scan {
	struct appliance *a;
	struct outbox *out;
	struct job *job;

	/* the mounted partition */
	const char *partition;
	unsigned number;      /* 0: the disk itself */
	struct ff_strv roots; /* "/Windows", as spelled there */
	int64_t build;	      /* of the first of them; -1: not known */
	uint64_t ntfs_bytes;  /* that the NTFS looked at last says it has; 0: it cannot be told */

	/* the disk so far */
	struct table table;
	uint64_t disk_bytes;
	json_t *parts; /* of a job that lists: an entry a partition */
	char *refs;    /* the first partition with ReFS; NULL: none */
	unsigned ntfs, bitlocker_number;
	bool bitlocker;
	struct ff_err unreadable; /* class NONE: none; the first NTFS that could not be read */
	size_t good, older, other, text_bytes;
	int64_t good_ms;       /* stamp of the latest good file */
	char *missing;	       /* where the way to the files ended */
	char *looked_in;       /* the last directory that was looked at */
	char *missing_key;     /* the key that is in no hive */
	bool values_as_wanted; /* some value was looked at and is what it is to be */
};

/** Add to the job's notes, at most so many; takes the text over. */
void scan_note(struct job *job, char *text_owned);

/** "partition 3", or "the whole disk" when it has no partitions. The caller frees. */
char *scan_part_name(unsigned number);

/* ---- disk.c */

/**
 * Read the partition table, before any partition is mounted: a volume of a dynamic disk or of Storage Spaces may have a
 * mirror elsewhere, half a volume must not be written. 0, or -1 with err when the disk is to be left alone.
 */
int disk_look(struct scan *s, struct ff_err *err);

/** The disk's partitions as the appliance calls them; the disk itself when it has none. 0, or -1 with err. */
int disk_partitions(const struct scan *s, struct ff_strv *names, struct ff_err *err);

/** The number of a partition of that disk: "/dev/sda3" of "/dev/sda" is 3. 0 when it is of another disk. */
unsigned disk_number(const struct scan *s, const char *partition);

/**
 * Bytes of a partition (number 0 and the job's device: of the disk), of the host where that is possible. 0 with `got`,
 * or -1 with err.
 */
int scan_read(const struct scan *s, const char *partition, unsigned number, uint64_t offset, void *bytes, size_t len,
	size_t *got, struct ff_err *err);

/* ---- disorder.c */

/** Note when the mounted partition, on which something is to be done, was not unmounted cleanly. */
void disorder_note(struct scan *s);

/* ---- roots.c */

/** Windows roots on the mounted file system: directories that hold a System32, any case. Fills s->roots, adds to
 * job->windows and job->roots. 0, or -1 with err. */
int roots_find(struct scan *s, struct ff_err *err);

/** The build of the first root, when a recipe asks for it. 0, or -1 with err. */
int roots_find_build(struct scan *s, struct ff_err *err);

/** The version of the root's kernel, which is that of Windows; -1: it cannot be told. 0, or -1 with err. */
int roots_version(const struct appliance *a, const char *root, int64_t *version, struct ff_err *err);

/* ---- list.c: jobs that only say what there is */

/** Add the partition to s->parts. */
void list_partition(struct scan *s, const char *partition, unsigned number, enum volume_kind volume);
/** Add the roots of the mounted partition to its entry. 0, or -1 with err. */
int list_roots(struct scan *s, struct ff_err *err);
/** All of it goes to job->listing. */
void list_disk(struct scan *s);

/* ---- files.c */

/** Look where the rule says; what it takes is added to job->victims. 0, or -1 with err. */
int files_apply(struct scan *s, const struct recipe_rule *rule, struct ff_err *err);

/** The place of that directory, made when it was not looked at yet. Its number, or -1 with err. */
ssize_t files_place(struct scan *s, const char *dir, struct ff_err *err);

/** A file to act on; `rule` NULL: a hive to edit. Its number in job->victims, or -1 with err. */
ssize_t files_add(struct scan *s, size_t place, const char *name, const struct guestfs_statns *st,
	const struct recipe_rule *rule, struct ff_err *err);

/** Hash the partition's victims, and send those that are to be kept. 0, or -1 with err. */
int files_keep(struct scan *s, struct ff_err *err);

/** The version resource of a file, "10.0.17763.1" as version.h has it. 0, or -1: it has none, or cannot be read. */
int files_version(const struct appliance *a, const char *path, int64_t size, int64_t *version);

/* ---- registry.c */

/** Look at the value in the hives of all roots; what is to change is added to job->edits. 0, or -1 with err. */
int registry_apply(struct scan *s, const struct recipe_value *value, struct ff_err *err);

#endif
