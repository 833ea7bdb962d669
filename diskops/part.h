/*
 * Where the partitions of a disk lie: MBR with logical partitions, GPT with its copy at the end. Numbered as Linux
 * numbers them. Pure, bounded, trusts nothing; sources: UEFI specification 2.10 chapter 5, Linux block/partitions.
 */
#ifndef DISKOPS_PART_H
#define DISKOPS_PART_H

#include "fve.h"

#define PARTS_MAX 128

struct part {
	unsigned number; /* from 1; 0: the whole disk */
	uint64_t at, bytes;
};

/**
 * List the partitions of a disk of `disk_bytes`, whole ones inside the disk only. A disk without a table gives none.
 * Returns how many, or -1 with what `read` failed with.
 */
int part_list(struct part out[PARTS_MAX], fve_read_fn *read, void *arg, uint64_t disk_bytes, struct ff_err *err);

#endif
