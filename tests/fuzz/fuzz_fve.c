/*
 * What the worker reads of BitLocker: metadata, startup keys. The input is a boot sector
 * and, behind it, a metadata area, which stands where the boot sector's three places say if those are places on the
 * disk. The area's checksum is made right, so that what it protects is reached.
 */
#include "diskops/fve_key.h"
#include "fixfleet/secret.h"
#include "fuzz.h"

#define DISK_BYTES (1024 * 1024)
#define BOOT_BYTES 512

static uint8_t disk[DISK_BYTES];

static int read_disk(void *arg, uint64_t offset, void *bytes, size_t len, struct ff_err *err)
{
	(void)arg;
	FUZZ_CHECK(offset <= DISK_BYTES && len <= DISK_BYTES - offset, "reads beyond the disk");
	memcpy(bytes, disk + offset, len);
	return err == NULL ? -1 : 0;
}

static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	while (len-- > 0) {
		crc ^= *p++;
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void place_area(const uint8_t *area, size_t size)
{
	for (int i = 0; i < 3; i++) {
		uint64_t at = 0;
		size_t block;
		uint32_t crc;

		for (int k = 7; k >= 0; k--)
			at = at << 8 | disk[176 + 8 * i + k];
		if (at > DISK_BYTES - FVE_AREA_BYTES || at < BOOT_BYTES)
			continue;
		memcpy(disk + at, area, size);
		block = (size_t)(disk[at + 8] | disk[at + 9] << 8) << 4;
		if (block > FVE_AREA_BYTES - 8)
			continue;
		crc = crc32_of(disk + at, block);
		for (int k = 0; k < 4; k++)
			disk[at + block + 4 + (size_t)k] = (uint8_t)(crc >> 8 * k);
	}
}

static void check(const struct fve *fve)
{
	struct fve_key *key = NULL;
	struct ff_err err = {0};

	FUZZ_CHECK(fve->protector_count <= FVE_PROTECTORS_MAX, "%zu", fve->protector_count);
	FUZZ_CHECK(fve->header_bytes > 0 && fve->header_at + fve->header_bytes <= DISK_BYTES, "the first sectors");
	for (int i = 0; i < FVE_COPIES; i++)
		FUZZ_CHECK(fve->copies[i] + FVE_AREA_BYTES <= DISK_BYTES && fve->copies[i] >= fve->header_bytes,
			"copy %d", i);
	for (size_t i = 0; i < fve->protector_count; i++)
		FUZZ_CHECK(
			strlen(fve->protectors[i].id) == FVE_GUID_BYTES - 1 && fve_kind_name(fve->protectors[i].kind),
			"protector %zu", i);
	if (fve_clear(fve) == NULL)
		return;
	if (fve_unlock(fve, fve_clear(fve), NULL, &key, &err) < 0)
		FUZZ_CHECK_ERR(err);
	else
		FUZZ_CHECK(key->len > 0 && key->len <= FVE_KEY_BYTES_MAX, "%zu", key->len);
	ff_secret_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fve fve;
	struct ff_err err = {0};
	char id[FVE_GUID_BYTES];
	uint8_t key[32];

	if (fve_bek(data, size, id, key, &err) < 0)
		FUZZ_CHECK_ERR(err);
	memset(disk, 0, sizeof(disk));
	memcpy(disk, data, size < BOOT_BYTES ? size : BOOT_BYTES);
	if (size > BOOT_BYTES)
		place_area(data + BOOT_BYTES, size - BOOT_BYTES < FVE_AREA_BYTES ? size - BOOT_BYTES : FVE_AREA_BYTES);
	err = (struct ff_err){0};
	if (fve_parse(&fve, read_disk, NULL, DISK_BYTES, &err) < 0)
		FUZZ_CHECK_ERR(err);
	else
		check(&fve);
	return 0;
}
