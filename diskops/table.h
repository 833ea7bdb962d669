/*
 * A disk's partition table, parsed from its first sectors: what a mount cannot tell. Pure; the bytes may be anything.
 */
#ifndef DISKOPS_TABLE_H
#define DISKOPS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_BYTES	(40 * 1024) /* MBR, GPT header and 128 entries, for sectors of 512 and of 4096 bytes */
#define TABLE_PARTS_MAX 128

enum table_kind { TABLE_NONE, TABLE_MBR, TABLE_GPT };

enum part_type {
	PART_OTHER,
	PART_BASIC, /* what Windows puts NTFS in */
	PART_EFI,
	PART_RESERVED, /* Microsoft reserved */
	PART_RECOVERY,
	PART_LINUX,
	PART_DYNAMIC, /* Logical Disk Manager, its metadata or its volumes */
	PART_SPACES,  /* a pool of Storage Spaces */
};

struct table_part {
	unsigned number;
	uint64_t start_bytes, size_bytes;
	enum part_type type;
};

struct table {
	enum table_kind kind;
	struct table_part parts[TABLE_PARTS_MAX];
	size_t count;
	bool blank; /* all that was read is zeros */
};

/** Fill `table` from the disk's first `len` bytes. Primary partitions only (what is in an extended one is not listed).
 */
void table_parse(struct table *table, const uint8_t *bytes, size_t len);

/** Does the table hold a partition of that type? */
bool table_has(const struct table *table, enum part_type type);

/** The first partition that ends beyond the disk's end; NULL: none. */
const struct table_part *table_beyond(const struct table *table, uint64_t disk_bytes);

/** "efi", "basic", ...; never NULL. */
const char *table_type_name(enum part_type type);

#endif
