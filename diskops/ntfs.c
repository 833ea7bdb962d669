#include "ntfs.h"

#include <string.h>

#define ATTRIBUTE_DATA	 0x80
#define ATTRIBUTE_VOLUME 0x70 /* $VOLUME_INFORMATION */
#define ATTRIBUTE_END	 0xffffffffU
#define VOLUME_DIRTY	 0x0001
#define RESTART_CLEAN	 0x0002
#define NO_CLIENT	 0xffff
#define VOLUME_BYTES_MAX ((uint64_t)1 << 60)

static uint32_t le16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

int ntfs_geometry(const uint8_t *boot, size_t len, struct ntfs_geometry *g)
{
	uint32_t sector, per_cluster;
	int8_t record;
	uint64_t mft, sectors;

	if (len < NTFS_BOOT_BYTES || memcmp(boot + 3, "NTFS    ", 8) != 0)
		return -1;
	sector = le16(boot + 11);
	per_cluster = boot[13];
	/* above 0x80 it is a negative power of two (clusters of more than 64 KiB, Windows 10) */
	if (per_cluster > 0x80)
		per_cluster = per_cluster >= 0xf4 ? 1U << (256 - per_cluster) : 0;
	record = (int8_t)boot[64];
	mft = le64(boot + 48);
	if (sector < 256 || sector > 4096 || per_cluster == 0 || mft >= VOLUME_BYTES_MAX / (sector * per_cluster))
		return -1;
	g->cluster_bytes = sector * per_cluster;
	if (record < -12 || record == 0)
		return -1;
	g->record_bytes = record < 0 ? 1U << -record : (uint32_t)record * g->cluster_bytes;
	g->mft_bytes = mft * g->cluster_bytes;
	sectors = le64(boot + 40);
	g->volume_bytes = sectors < VOLUME_BYTES_MAX / sector ? sectors * sector : VOLUME_BYTES_MAX;
	return g->record_bytes >= 512 && g->record_bytes <= NTFS_RECORD_MAX ? 0 : -1;
}

/* The first attribute of that type; NULL: none. `*left` is what there is of it. */
static const uint8_t *find_attribute(const uint8_t *record, size_t len, uint32_t type, size_t *left)
{
	size_t at;

	if (len < 48 || memcmp(record, "FILE", 4) != 0)
		return NULL;
	at = le16(record + 20);
	while (at + 24 <= len && le32(record + at) != ATTRIBUTE_END) {
		uint32_t size = le32(record + at + 4);

		if (size < 24 || size > len - at)
			return NULL;
		if (le32(record + at) == type) {
			*left = size;
			return record + at;
		}
		at += size;
	}
	return NULL;
}

bool ntfs_dirty_bit(const uint8_t *record, size_t len)
{
	size_t left = 0;
	const uint8_t *a = find_attribute(record, len, ATTRIBUTE_VOLUME, &left);
	size_t value;

	if (a == NULL || a[8] != 0)
		return false;
	value = le16(a + 20);
	return value + 12 <= left && (le16(a + value + 10) & VOLUME_DIRTY) != 0;
}

int ntfs_log_offset(const uint8_t *record, size_t len, const struct ntfs_geometry *g, uint64_t *offset)
{
	size_t left = 0, run;
	const uint8_t *a = find_attribute(record, len, ATTRIBUTE_DATA, &left);
	unsigned length_bytes, lcn_bytes;
	uint64_t lcn = 0;

	if (a == NULL || a[8] == 0 || left < 64)
		return -1;
	run = le16(a + 32);
	if (run >= left)
		return -1;
	length_bytes = a[run] & 0x0f;
	lcn_bytes = a[run] >> 4;
	if (length_bytes == 0 || lcn_bytes == 0 || lcn_bytes > 7 || run + 1 + length_bytes + lcn_bytes > left)
		return -1;
	for (unsigned i = 0; i < lcn_bytes; i++)
		lcn |= (uint64_t)a[run + 1 + length_bytes + i] << (8 * i);
	if (lcn >= VOLUME_BYTES_MAX / g->cluster_bytes)
		return -1;
	*offset = lcn * g->cluster_bytes;
	return 0;
}

bool ntfs_log_dirty(const uint8_t *page, size_t len)
{
	size_t area;

	if (len < 48 || memcmp(page, "RSTR", 4) != 0)
		return false; /* all ones: emptied, by mkntfs or by ntfs-3g */
	area = le16(page + 24);
	if (area + 16 > len)
		return false;
	return le16(page + area + 12) != NO_CLIENT && (le16(page + area + 14) & RESTART_CLEAN) == 0;
}
