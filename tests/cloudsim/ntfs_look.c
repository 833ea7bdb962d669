/*
 * An MFT record as Windows and ntfs-3g write it (fields little endian):
 *   0x00 "FILE"   0x04 offset and 0x06 count of the update sequence   0x14 offset of the first attribute
 *   0x16 flags, 1: in use, 2: folder   0x18 bytes in use   0x20 base record, 0 for a base record itself
 * The last two bytes of each 512-byte sector stand in the update sequence; they are put back before reading.
 * An attribute: 0x00 type   0x04 length   0x08 non-resident   0x10 length and 0x14 offset of a resident value
 *   0x10 $STANDARD_INFORMATION: 0x08 last written, in 100 ns since 1601
 *   0x30 $FILE_NAME: 0x40 length in UTF-16 units, 0x42 the name
 * Records lie on 1 KiB borders of the image, since partitions and clusters do.
 */
#include "ntfs_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixfleet/mem.h"

#define SECTOR_BYTES 512
#define PIECE_BYTES  (1024 * 1024)

/* 2024-07-19T04:09:00Z and T05:27:00Z as FILETIME */
#define TICKS(unix_s) (((uint64_t)(unix_s) + 11644473600u) * 10000000u)
#define BAD_FROM      TICKS(1721362140)
#define BAD_BEFORE    TICKS(1721366820)

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const uint8_t *p)
{
	return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p)
{
	return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* Put the sectors' last bytes back. False: this is no whole record. */
static bool fix_up(uint8_t *r)
{
	size_t at = u16(r + 4), count = u16(r + 6);

	if (count != NTFS_RECORD_BYTES / SECTOR_BYTES + 1 || at + 2 * count > NTFS_RECORD_BYTES)
		return false;
	for (size_t i = 1; i < count; i++) {
		uint8_t *end = r + i * SECTOR_BYTES - 2;

		if (memcmp(end, r + at, 2) != 0)
			return false;
		memcpy(end, r + at + 2 * i, 2);
	}
	return true;
}

static bool name_matches(const uint8_t *value, size_t len)
{
	static const char head[] = "c-00000291", tail[] = ".sys";
	char name[256];
	size_t n;

	if (len < 0x42 || (n = value[0x40]) * 2 > len - 0x42)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint16_t unit = u16(value + 0x42 + 2 * i);

		name[i] = unit >= 'A' && unit <= 'Z' ? (char)(unit + 32) : unit < 128 ? (char)unit : '?';
	}
	return n >= sizeof(head) + sizeof(tail) - 2 && memcmp(name, head, sizeof(head) - 1) == 0 &&
	       memcmp(name + n - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0;
}

bool ntfs_record_is_bad(const uint8_t record[NTFS_RECORD_BYTES])
{
	uint8_t r[NTFS_RECORD_BYTES];
	bool named = false, stamped = false;
	size_t at, used;

	if (memcmp(record, "FILE", 4) != 0)
		return false;
	memcpy(r, record, sizeof(r));
	if ((u16(r + 0x16) & 3) != 1 || u64(r + 0x20) != 0 || !fix_up(r))
		return false;
	used = u32(r + 0x18) < sizeof(r) ? u32(r + 0x18) : sizeof(r);
	for (at = u16(r + 0x14); at + 0x18 <= used && u32(r + at) != 0xFFFFFFFF;) {
		size_t len = u32(r + at + 4), value = at + u16(r + at + 0x14), size = u32(r + at + 0x10);
		bool resident = r[at + 8] == 0;

		if (len < 0x18 || len > used - at)
			return false;
		if (resident && value <= at + len && size <= at + len - value) {
			if (u32(r + at) == 0x10 && size >= 0x10)
				stamped = u64(r + value + 8) >= BAD_FROM && u64(r + value + 8) < BAD_BEFORE;
			if (u32(r + at) == 0x30)
				named |= name_matches(r + value, size);
		}
		at += len;
	}
	return named && stamped;
}

static int look_at_extent(int fd, off_t from, off_t end, uint8_t *piece)
{
	from -= from % NTFS_RECORD_BYTES;
	while (from < end) {
		ssize_t n = pread(fd, piece, PIECE_BYTES, from);

		if (n < 0)
			return -1;
		for (ssize_t i = 0; i + NTFS_RECORD_BYTES <= n; i += NTFS_RECORD_BYTES)
			if (ntfs_record_is_bad(piece + i))
				return 1;
		if (n < NTFS_RECORD_BYTES)
			return 0;
		from += n - n % NTFS_RECORD_BYTES;
	}
	return 0;
}

int ntfs_image_is_bad(const char *path)
{
	ff_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ff_auto_free uint8_t *piece = ff_calloc(1, PIECE_BYTES);
	off_t at = 0, end;
	int found = 0;

	if (fd < 0)
		return -1;
	while (found == 0 && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return -1;
		found = look_at_extent(fd, at, end, piece);
		at = end;
	}
	return at < 0 && errno != ENXIO ? -1 : found;
}
