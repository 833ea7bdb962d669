#include "part.h"

#include <string.h>

#define SECTOR		512 /* of every disk in the appliance */
#define MBR_ENTRIES	4
#define LOGICAL_MAX	60
#define GPT_ENTRIES_MAX 1024
#define TYPE_GPT	0xee

struct table {
	struct part *out;
	int count;
	fve_read_fn *read;
	void *arg;
	uint64_t sectors;
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static int read_sector(const struct table *t, uint64_t sector, uint8_t bytes[SECTOR], struct ff_err *err)
{
	if (sector >= t->sectors)
		memset(bytes, 0, SECTOR);
	return sector >= t->sectors ? 0 : t->read(t->arg, sector * SECTOR, bytes, SECTOR, err);
}

static void add(struct table *t, unsigned number, uint64_t first, uint64_t count)
{
	if (t->count >= PARTS_MAX || count == 0 || first == 0 || first >= t->sectors || count > t->sectors - first)
		return;
	t->out[t->count++] = (struct part){.number = number, .at = first * SECTOR, .bytes = count * SECTOR};
}

static bool is_mbr(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool is_extended(unsigned type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* ---------------------------------------------------------------- GPT */

static int add_gpt_entries(struct table *t, const uint8_t *header, struct ff_err *err)
{
	uint64_t at = get64(header + 72);
	uint32_t count = get32(header + 80), bytes = get32(header + 84);
	uint8_t entry[128];
	static const uint8_t unused[16];

	if (bytes < sizeof(entry) || bytes > 4096 || at >= t->sectors)
		return 0;
	for (uint32_t i = 0; i < count && i < GPT_ENTRIES_MAX; i++) {
		uint64_t offset = at * SECTOR + (uint64_t)i * bytes, first, last;

		if (offset > t->sectors * SECTOR - sizeof(entry))
			break;
		if (t->read(t->arg, offset, entry, sizeof(entry), err) < 0)
			return -1;
		first = get64(entry + 32);
		last = get64(entry + 40);
		if (memcmp(entry, unused, sizeof(unused)) != 0 && last >= first && last < t->sectors)
			add(t, i + 1, first, last - first + 1);
	}
	return 0;
}

/* The header behind the first sector, else its copy in the last one. */
static int add_gpt(struct table *t, struct ff_err *err)
{
	const uint64_t places[] = {1, t->sectors - 1};
	uint8_t header[SECTOR];

	for (int i = 0; i < 2; i++) {
		if (read_sector(t, places[i], header, err) < 0)
			return -1;
		if (memcmp(header, "EFI PART", 8) == 0)
			return add_gpt_entries(t, header, err);
	}
	return 0;
}

/* ---------------------------------------------------------------- MBR */

/* A chain of tables: each has one logical partition, and where the next table is from the start of all of them. */
static int add_logical(struct table *t, uint64_t start, struct ff_err *err)
{
	uint64_t at = start;
	uint8_t sector[SECTOR];

	for (unsigned n = 0; n < LOGICAL_MAX; n++) {
		const uint8_t *p = sector + 446;

		if (read_sector(t, at, sector, err) < 0)
			return -1;
		if (!is_mbr(sector))
			return 0;
		if (p[4] != 0 && !is_extended(p[4]))
			add(t, MBR_ENTRIES + 1 + n, at + get32(p + 8), get32(p + 12));
		if (!is_extended(p[16 + 4]) || get32(p + 16 + 8) == 0)
			return 0;
		at = start + get32(p + 16 + 8);
	}
	return 0;
}

static int add_mbr(struct table *t, const uint8_t *sector, struct ff_err *err)
{
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		const uint8_t *p = sector + 446 + 16 * (size_t)i;

		if (p[4] == 0)
			continue;
		if (!is_extended(p[4]))
			add(t, i + 1, get32(p + 8), get32(p + 12));
		else if (add_logical(t, get32(p + 8), err) < 0)
			return -1;
	}
	return 0;
}

int part_list(struct part out[PARTS_MAX], fve_read_fn *read, void *arg, uint64_t disk_bytes, struct ff_err *err)
{
	struct table t = {.out = out, .read = read, .arg = arg, .sectors = disk_bytes / SECTOR};
	uint8_t sector[SECTOR];
	bool gpt = false;

	if (t.sectors < 2)
		return 0;
	if (read_sector(&t, 0, sector, err) < 0)
		return -1;
	if (!is_mbr(sector) || fve_is_one(sector) || memcmp(sector + 3, "NTFS    ", 8) == 0)
		return 0; /* a file system on the whole disk ends with the same two bytes */
	for (unsigned i = 0; i < MBR_ENTRIES; i++)
		gpt |= sector[446 + 16 * (size_t)i + 4] == TYPE_GPT;
	return (gpt ? add_gpt(&t, err) : add_mbr(&t, sector, err)) < 0 ? -1 : t.count;
}
