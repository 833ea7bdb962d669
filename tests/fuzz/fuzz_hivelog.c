/*
 * Registry hives with their logs. The input is a hive of a base block and one bin, and behind that two logs, split in
 * the middle. Checksums and hashes are made right, so that what they protect is reached.
 */
#include <stdlib.h>

#include "diskops/hivelog.h"
#include "fixfleet/mem.h"
#include "fuzz.h"

#define HIVE_BYTES 8192
#define SECTOR	   512

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static void seal_base(struct hivelog_bytes *b)
{
	uint32_t sum = 0;

	if (b->len < SECTOR)
		return;
	memcpy(b->bytes, "regf", 4);
	for (int i = 0; i < 508; i += 4)
		sum ^= get32(b->bytes + i);
	put32(b->bytes + 508, sum == 0 ? 1 : sum == UINT32_MAX ? UINT32_MAX - 1 : sum);
}

static void seal_entries(struct hivelog_bytes *log)
{
	for (size_t at = SECTOR; log->len - at >= SECTOR && at < log->len; at += get32(log->bytes + at + 4)) {
		uint8_t *e = log->bytes + at;
		uint32_t size = get32(e + 4);

		if (memcmp(e, "HvLE", 4) != 0 || size < 40 || size > log->len - at)
			return;
		put64(e + 24, hivelog_hash(HIVELOG_SEED, e + 40, size - 40));
		put64(e + 32, hivelog_hash(HIVELOG_SEED, e, 32));
	}
}

static struct hivelog_bytes copy_of(const uint8_t *data, size_t size)
{
	struct hivelog_bytes b = {ff_calloc(size + 1, 1), size};

	memcpy(b.bytes, data, size);
	seal_base(&b);
	return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head = size < HIVE_BYTES ? size : HIVE_BYTES, half = (size - head) / 2, applied = 0;
	struct hivelog_bytes hive = copy_of(data, head);
	struct hivelog_bytes logs[HIVELOG_COUNT] = {
		copy_of(data + head, half), copy_of(data + head + half, size - head - half)};
	struct ff_err err = {0};

	for (int i = 0; i < HIVELOG_COUNT; i++)
		seal_entries(&logs[i]);
	if (hivelog_apply(&hive, logs, &applied, &err) < 0) {
		FUZZ_CHECK_ERR(err);
	} else {
		FUZZ_CHECK(applied > 0, "nothing was applied");
		FUZZ_CHECK(hivelog_state(hive.bytes, hive.len) == HIVE_CLEAN, "it is not clean");
		FUZZ_CHECK(hive.len >= 4096 + (size_t)get32(hive.bytes + 40), "it is shorter than it says");
	}
	free(hive.bytes);
	for (int i = 0; i < HIVELOG_COUNT; i++)
		free(logs[i].bytes);
	return 0;
}
