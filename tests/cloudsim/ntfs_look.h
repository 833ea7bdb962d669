/*
 * Does a disk image hold what makes its machine crash? Looks at the bytes of the image, without mounting anything:
 * small, bounded, and independent of the program under test.
 */
#ifndef CLOUDSIM_NTFS_LOOK_H
#define CLOUDSIM_NTFS_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NTFS_RECORD_BYTES 1024

/**
 * Is this MFT record (1 KiB, as on the disk) that of a file in use whose name matches C-00000291*.sys in any case, last
 * written from 2024-07-19T04:09Z until before 05:27Z?
 */
bool ntfs_record_is_bad(const uint8_t record[NTFS_RECORD_BYTES]);

/** 1: the image holds such a file; 0: it does not; -1 with errno: it cannot be read. */
int ntfs_image_is_bad(const char *path);

#endif
