#include "hivelog.h"

#include <string.h>

#include "fixfleet/mem.h"

#define BASE_BYTES 4096 /* the base block of a hive; a log has its first sector only */
#define BIN_BYTES  4096 /* hive bins are so large, or a multiple of that */
#define SECTOR	   512
#define ENTRY_HEAD 40
#define REF_BYTES  8
#define FLAG_ENTRY 1u /* of an entry's flags, that goes to the base block's */

/* Fields of a base block. */
enum { AT_PRIMARY = 4, AT_SECONDARY = 8, AT_WRITTEN = 12, AT_TYPE = 28, AT_BINS = 40, AT_FLAGS = 144, AT_SUM = 508 };
enum { TYPE_LOG_OLD = 1, TYPE_LOG_OLDER = 2, TYPE_LOG_NEW = 6 };

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* ---------------------------------------------------------------- base blocks */

static uint32_t sum_of(const uint8_t *base)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < AT_SUM; i += 4)
		sum ^= get32(base + i);
	return sum == 0 ? 1 : sum == UINT32_MAX ? UINT32_MAX - 1 : sum;
}

enum hive_state hivelog_state(const uint8_t *bytes, size_t len)
{
	if (len < HIVELOG_HEAD_BYTES || memcmp(bytes, "regf", 4) != 0)
		return HIVE_NONE;
	if (get32(bytes + AT_SUM) != sum_of(bytes))
		return HIVE_HEAD_TORN;
	return get32(bytes + AT_PRIMARY) == get32(bytes + AT_SECONDARY) ? HIVE_CLEAN : HIVE_DIRTY;
}

static uint32_t type_of(const struct hivelog_bytes *log)
{
	return get32(log->bytes + AT_TYPE);
}

static bool good_bins(uint64_t bytes)
{
	return bytes >= BIN_BYTES && bytes % BIN_BYTES == 0 && bytes <= HIVELOG_BYTES_MAX;
}

/* ---------------------------------------------------------------- Marvin32 */

static uint32_t turn(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void mix(uint32_t *lo, uint32_t *hi, uint32_t value)
{
	*lo += value;
	*hi ^= *lo;
	*lo = turn(*lo, 20) + *hi;
	*hi = turn(*hi, 9) ^ *lo;
	*lo = turn(*lo, 27) + *hi;
	*hi = turn(*hi, 19);
}

uint64_t hivelog_hash(uint64_t seed, const uint8_t *bytes, size_t len)
{
	uint32_t lo = (uint32_t)seed, hi = (uint32_t)(seed >> 32), last = 0x80;

	for (; len >= 4; bytes += 4, len -= 4)
		mix(&lo, &hi, get32(bytes));
	while (len > 0)
		last = last << 8 | bytes[--len];
	mix(&lo, &hi, last);
	mix(&lo, &hi, 0);
	return (uint64_t)hi << 32 | lo;
}

/* ---------------------------------------------------------------- the hive while logs are applied */

/* Room for that many bytes of bins; new ones are zeros. */
static void grow(struct hivelog_bytes *hive, uint32_t bins)
{
	size_t want = BASE_BYTES + (size_t)bins;

	if (want <= hive->len)
		return;
	hive->bytes = ff_realloc(hive->bytes, want, 1);
	memset(hive->bytes + hive->len, 0, want - hive->len);
	hive->len = want;
}

/* Bins lie one behind the other and say where: what does not hold together is left to Windows. */
static int check_bins(const struct hivelog_bytes *hive, struct ff_err *err)
{
	uint32_t bins = get32(hive->bytes + AT_BINS), at = 0;

	while (at < bins) {
		const uint8_t *bin = hive->bytes + BASE_BYTES + at;
		uint32_t size = get32(bin + 8);

		if (memcmp(bin, "hbin", 4) != 0 || get32(bin + 4) != at || size == 0 || size % BIN_BYTES != 0 ||
			size > bins - at)
			return ff_fail(err, FF_E_DISK, "its log leaves it damaged");
		at += size;
	}
	return 0;
}

static void finish(struct hivelog_bytes *hive, uint32_t sequence)
{
	put32(hive->bytes + AT_PRIMARY, sequence);
	put32(hive->bytes + AT_SECONDARY, sequence);
	put32(hive->bytes + AT_SUM, sum_of(hive->bytes));
}

/* ---------------------------------------------------------------- the new format: entries */

/* The entry of that number at that place: its size; 0: there is none, or it is not whole. */
static uint32_t entry_at(const struct hivelog_bytes *log, size_t at, uint32_t number)
{
	const uint8_t *e = log->bytes + at;
	uint32_t size;

	if (log->len - at < SECTOR || memcmp(e, "HvLE", 4) != 0)
		return 0;
	size = get32(e + 4);
	if (size < SECTOR || size % SECTOR != 0 || size > log->len - at || get32(e + 12) != number ||
		!good_bins(get32(e + 16)) || get32(e + 20) == 0)
		return 0;
	if (get64(e + 32) != hivelog_hash(HIVELOG_SEED, e, 32) ||
		get64(e + 24) != hivelog_hash(HIVELOG_SEED, e + ENTRY_HEAD, size - ENTRY_HEAD))
		return 0;
	return size;
}

static int apply_entry(struct hivelog_bytes *hive, const uint8_t *e, uint32_t size, struct ff_err *err)
{
	uint32_t bins = get32(e + 16), count = get32(e + 20);
	uint64_t at = ENTRY_HEAD + (uint64_t)count * REF_BYTES;

	if (at > size)
		return ff_fail(err, FF_E_DISK, "an entry of its log is damaged");
	grow(hive, bins);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *ref = e + ENTRY_HEAD + (size_t)i * REF_BYTES;
		uint32_t to = get32(ref), bytes = get32(ref + 4);

		if (bytes > size - at || to > bins || bytes > bins - to)
			return ff_fail(err, FF_E_DISK, "an entry of its log is damaged");
		memcpy(hive->bytes + BASE_BYTES + to, e + at, bytes);
		at += bytes;
	}
	put32(hive->bytes + AT_BINS, bins);
	put32(hive->bytes + AT_FLAGS, (get32(hive->bytes + AT_FLAGS) & ~FLAG_ENTRY) | (get32(e + 8) & FLAG_ENTRY));
	return 0;
}

/* All whole entries from its first on; `next` becomes the number behind the last of them. */
static int apply_entries(struct hivelog_bytes *hive, const struct hivelog_bytes *log, uint32_t *next, size_t *applied,
	struct ff_err *err)
{
	size_t at = SECTOR;
	uint32_t size;

	while ((size = entry_at(log, at, *next)) > 0) {
		if (apply_entry(hive, log->bytes + at, size, err) < 0)
			return -1;
		at += size;
		++*next;
		++*applied;
	}
	return 0;
}

/* The log that begins where the hive ends, and then the one that begins where that one ends. */
static int apply_new(struct hivelog_bytes *hive, const struct hivelog_bytes *const logs[HIVELOG_COUNT], size_t *applied,
	struct ff_err *err)
{
	uint32_t next = get32(hive->bytes + AT_SECONDARY);
	bool used[HIVELOG_COUNT] = {0};

	for (int round = 0; round < HIVELOG_COUNT; round++)
		for (int i = 0; i < HIVELOG_COUNT; i++) {
			if (logs[i] == NULL || used[i] || type_of(logs[i]) != TYPE_LOG_NEW ||
				get32(logs[i]->bytes + AT_PRIMARY) != next)
				continue;
			used[i] = true;
			if (apply_entries(hive, logs[i], &next, applied, err) < 0)
				return -1;
		}
	if (*applied > 0)
		finish(hive, next - 1);
	return 0;
}

/* ---------------------------------------------------------------- the old format: a bitmap and pages */

static bool is_dirty(const uint8_t *bitmap, size_t page)
{
	return (bitmap[page / 8] >> page % 8 & 1) != 0;
}

static int apply_pages(struct hivelog_bytes *hive, const struct hivelog_bytes *log, struct ff_err *err)
{
	uint32_t bins = get32(log->bytes + AT_BINS);
	const uint8_t *bitmap = log->bytes + SECTOR + 4;
	size_t at = SECTOR + 4 + (size_t)bins / SECTOR / 8;

	at = (at + SECTOR - 1) / SECTOR * SECTOR;
	if (!good_bins(bins) || log->len < at || memcmp(log->bytes + SECTOR, "DIRT", 4) != 0)
		return ff_fail(err, FF_E_DISK, "its log is damaged");
	grow(hive, bins);
	for (size_t page = 0; page < bins / SECTOR; page++) {
		if (!is_dirty(bitmap, page))
			continue;
		if (log->len - at < SECTOR)
			return ff_fail(err, FF_E_DISK, "its log is damaged");
		memcpy(hive->bytes + BASE_BYTES + page * SECTOR, log->bytes + at, SECTOR);
		at += SECTOR;
	}
	put32(hive->bytes + AT_BINS, bins);
	finish(hive, get32(hive->bytes + AT_PRIMARY));
	return 0;
}

/* The log that was written for this very state of the hive. */
static int apply_old(struct hivelog_bytes *hive, const struct hivelog_bytes *const logs[HIVELOG_COUNT], size_t *applied,
	struct ff_err *err)
{
	for (int i = 0; i < HIVELOG_COUNT && *applied == 0; i++) {
		if (logs[i] == NULL || (type_of(logs[i]) != TYPE_LOG_OLD && type_of(logs[i]) != TYPE_LOG_OLDER) ||
			get64(logs[i]->bytes + AT_WRITTEN) != get64(hive->bytes + AT_WRITTEN))
			continue;
		if (apply_pages(hive, logs[i], err) < 0)
			return -1;
		++*applied;
	}
	return 0;
}

/* ---------------------------------------------------------------- both */

int hivelog_apply(
	struct hivelog_bytes *hive, const struct hivelog_bytes logs[HIVELOG_COUNT], size_t *applied, struct ff_err *err)
{
	const struct hivelog_bytes *sound[HIVELOG_COUNT] = {0};

	*applied = 0;
	if (hivelog_state(hive->bytes, hive->len) != HIVE_DIRTY || hive->len < BASE_BYTES ||
		!good_bins(get32(hive->bytes + AT_BINS)))
		return ff_fail(err, FF_E_DISK, "its header is damaged");
	grow(hive, get32(hive->bytes + AT_BINS));
	for (int i = 0; i < HIVELOG_COUNT; i++)
		if (logs[i].bytes != NULL && hivelog_state(logs[i].bytes, logs[i].len) == HIVE_CLEAN)
			sound[i] = &logs[i];
	if (apply_new(hive, sound, applied, err) < 0 || (*applied == 0 && apply_old(hive, sound, applied, err) < 0))
		return -1;
	if (*applied == 0)
		return ff_fail(err, FF_E_DISK,
			"Windows was writing to it when it stopped, and none of its logs continues where it ends");
	return check_bins(hive, err);
}
