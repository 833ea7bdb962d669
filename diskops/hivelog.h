/*
 * Registry hives that Windows was writing to when it stopped: whether one is such a hive, and applying its transaction
 * logs to it, as Windows does when it loads it. Pure: bytes in memory, trusts nothing.
 *
 * Why: since Windows 8.1 a hive's file lags up to an hour behind its logs, so most machines that crashed have one. To
 * edit it without its logs would mix old and new, and Windows would lay the logs over the edit at its next start. Once
 * the logs are applied the two sequence numbers are equal again, and Windows leaves the logs alone.
 *
 * Source: M. Suhanov, "Windows registry file format specification" (base block, transaction log files of the old and
 * the new format, dirty state, multiple log files). All integers are little-endian.
 */
#ifndef DISKOPS_HIVELOG_H
#define DISKOPS_HIVELOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"

#define HIVELOG_HEAD_BYTES 512
#define HIVELOG_COUNT	   2		      /* SYSTEM.LOG1, SYSTEM.LOG2 */
#define HIVELOG_BYTES_MAX  (64 * 1024 * 1024) /* of a hive that grows; more cannot be kept either */

enum hive_state {
	HIVE_NONE, /* not a hive */
	HIVE_CLEAN,
	HIVE_DIRTY,	/* part of it is in its logs only */
	HIVE_HEAD_TORN, /* its first sector is not whole */
};

/** By the first HIVELOG_HEAD_BYTES of a hive; fewer: HIVE_NONE. */
enum hive_state hivelog_state(const uint8_t *bytes, size_t len);

struct hivelog_bytes {
	uint8_t *bytes; /* of the heap; NULL: there is no such file */
	size_t len;
};

/**
 * Apply the logs to a dirty hive. A log must begin exactly where the hive's file ends; what is behind the last whole
 * entry does not count, as for Windows.
 *
 * @hive     changed in place, and longer afterwards when the log says so (`bytes` may move). After a failure it is half
 *           changed: throw it away
 * @applied  how many entries (old format: 1)
 * @return   0 and the hive is HIVE_CLEAN, its bins whole; or -1 with FF_E_DISK
 */
int hivelog_apply(struct hivelog_bytes *hive, const struct hivelog_bytes logs[HIVELOG_COUNT], size_t *applied,
	struct ff_err *err);

/** Marvin32 with that seed; for hives it is HIVELOG_SEED. */
uint64_t hivelog_hash(uint64_t seed, const uint8_t *bytes, size_t len);
#define HIVELOG_SEED UINT64_C(0x82ef4d887a4e55c5)

#endif
