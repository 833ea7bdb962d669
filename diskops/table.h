/*
 * A disk's partition table: MBR with logical partitions, GPT with its copy at the end. Numbered as Linux numbers them.
 * Pure, bounded, trusts nothing; sources: UEFI specification 2.10 chapter 5, Linux block/partitions.
 */
#ifndef DISKOPS_TABLE_H
#define DISKOPS_TABLE_H

#include "fve.h"

#define TABLE_HEAD_BYTES (40 * 1024) /* MBR, GPT header and 128 entries, for sectors of 512 and of 4096 bytes */
#define TABLE_PARTS_MAX	 128	     /* as many as Windows takes */

enum table_kind { TABLE_NONE, TABLE_MBR, TABLE_GPT };

enum part_type {
	PART_OTHER,
	PART_BASIC, /* what Windows puts NTFS in */
	PART_EFI,
	PART_RESERVED, /* Microsoft reserved */
	PART_RECOVERY,
	PART_LINUX,
	PART_DYNAMIC,  /* Logical Disk Manager, its metadata or its volumes */
	PART_SPACES,   /* a pool of Storage Spaces */
	PART_EXTENDED, /* where the logical ones are */
};

struct table_part {
	unsigned number; /* from 1; 0: the whole disk */
	uint64_t start_bytes, size_bytes;
	enum part_type type;
};

struct table {
	enum table_kind kind;
	struct table_part parts[TABLE_PARTS_MAX];
	size_t count;
	unsigned sector_bytes; /* that it counts in */
	bool blank;	       /* all that the disk begins with is zeros */
};

/**
 * Read the table of a disk of `disk_bytes` through `read`: the first TABLE_HEAD_BYTES (or the disk) in one piece, then
 * what stands elsewhere. Partitions that are not wholly on the disk are in it, too. 0, also where there is no table, or
 * -1 with what `read` failed with.
 */
int table_read(struct table *table, fve_read_fn *read, void *arg, uint64_t disk_bytes, struct ff_err *err);

/** Does the table hold a partition of that type? */
bool table_has(const struct table *table, enum part_type type);

/** The first partition that ends beyond the disk's end; NULL: none. */
const struct table_part *table_beyond(const struct table *table, uint64_t disk_bytes);

/**
 * The partition behind `last` (NULL: the first) that may hold a volume: it is on the disk, wholly, and an appliance,
 * which takes sectors for 512 bytes, sees it. NULL: no more.
 */
const struct table_part *table_next(const struct table *table, const struct table_part *last, uint64_t disk_bytes);

/** The partition of that number; NULL: there is none. */
const struct table_part *table_part(const struct table *table, unsigned number);

/** "efi", "basic", ...; never NULL. */
const char *table_type_name(enum part_type type);

#endif
