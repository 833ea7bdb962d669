/*
 * Was an NTFS left in order? Read from the bytes of its boot sector, of two records of its master file table, and of
 * its journal's begin. Pure; the bytes may be anything. (Offsets: ntfs-3g, include/ntfs-3g/layout.h and logfile.h.)
 */
#ifndef DISKOPS_NTFS_H
#define DISKOPS_NTFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NTFS_BOOT_BYTES	   512
#define NTFS_RECORD_MAX	   4096
#define NTFS_RESTART_BYTES 512

struct ntfs_geometry {
	uint32_t cluster_bytes, record_bytes;
	uint64_t mft_bytes;    /* from the volume's begin */
	uint64_t volume_bytes; /* that it says it has; the copy of its first sector, which stands behind them, not
				  counted */
};

/** 0, or -1: it is no NTFS, or one with numbers that cannot be. */
int ntfs_geometry(const uint8_t *boot, size_t len, struct ntfs_geometry *geometry);

/** Of record 3 ($Volume): is the dirty bit set, so that Windows would check the volume? false when it cannot be told.
 */
bool ntfs_dirty_bit(const uint8_t *record, size_t len);

/** Of record 2 ($LogFile): where its content begins, in bytes. 0, or -1 when it cannot be told. */
int ntfs_log_offset(const uint8_t *record, size_t len, const struct ntfs_geometry *geometry, uint64_t *offset);

/** Of the journal's first page: does it hold changes that Windows would apply? false when it cannot be told. */
bool ntfs_log_dirty(const uint8_t *page, size_t len);

#endif
