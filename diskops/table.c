#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/mem.h"

#define MBR_ENTRIES   446
#define MBR_ENTRY     16
#define MBR_SLOTS     4
#define MBR_SECTOR    512 /* of its numbers, except on disks whose sectors are larger: those have GPT */
#define TYPE_GPT      0xee
#define CHAIN_MAX     60 /* tables of logical partitions */
#define GPT_ENTRY_MIN 128

/* Types as MBR (one byte; "List of partition identifiers", UEFI 2.10 section 5.2.2) and GPT (as stored) write them. */
static const struct {
	uint8_t mbr; /* 0: none */
	enum part_type type;
	uint8_t gpt[16];
} types[] = {
	{0xef, PART_EFI,
		{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}},
	{0x07, PART_BASIC,
		{0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7}},
	{0x27, PART_RECOVERY,
		{0xa4, 0xbb, 0x94, 0xde, 0xd1, 0x06, 0x40, 0x4d, 0xa1, 0x6a, 0xbf, 0xd5, 0x01, 0x79, 0xd6, 0xac}},
	{0x83, PART_LINUX,
		{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}},
	{0x8e, PART_LINUX, /* LVM */
		{0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44, 0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28}},
	{0x42, PART_DYNAMIC, /* LDM data */
		{0xa0, 0x60, 0x9b, 0xaf, 0x31, 0x14, 0x62, 0x4f, 0xbc, 0x68, 0x33, 0x11, 0x71, 0x4a, 0x69, 0xad}},
	{0, PART_DYNAMIC, /* LDM metadata */
		{0xaa, 0xc8, 0x08, 0x58, 0x8f, 0x7e, 0xe0, 0x42, 0x85, 0xd2, 0xe1, 0xe9, 0x04, 0x34, 0xcf, 0xb3}},
	{0, PART_RESERVED,
		{0x16, 0xe3, 0xc9, 0xe3, 0x5c, 0x0b, 0xb8, 0x4d, 0x81, 0x7d, 0xf9, 0x2d, 0xf0, 0x02, 0x15, 0xae}},
	{0xe7, PART_SPACES,
		{0x8f, 0xaf, 0x5c, 0xe7, 0x80, 0xf6, 0xee, 0x4c, 0xaf, 0xa3, 0xb0, 0x01, 0xe5, 0x6e, 0xfc, 0x2d}},
};

/* A disk under the reader's eyes. What it begins with is read once: asked for in pieces it can cost a second. */
struct disk {
	struct table *table;
	fve_read_fn *read;
	void *arg;
	uint64_t bytes;
	uint8_t *head;
	size_t head_bytes;
};

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	return len == 0;
}

/* 1: there they are; 0: they are not all on the disk; -1 with err. */
static int fetch(const struct disk *d, uint64_t at, uint8_t *bytes, size_t len, struct ff_err *err)
{
	if (at > d->bytes || len > d->bytes - at)
		return 0;
	if (at + len <= d->head_bytes)
		memcpy(bytes, d->head + at, len);
	else if (d->read(d->arg, at, bytes, len, err) < 0)
		return -1;
	return 1;
}

static void add(
	struct table *t, unsigned number, uint64_t start, uint64_t sectors, unsigned sector, enum part_type type)
{
	/* beyond 2^50 sectors nothing is a disk; no product below can overflow then */
	if (t->count >= TABLE_PARTS_MAX || start == 0 || sectors == 0 || start >> 50 != 0 || sectors >> 50 != 0)
		return;
	t->parts[t->count++] = (struct table_part){
		.number = number, .start_bytes = start * sector, .size_bytes = sectors * sector, .type = type};
}

static bool is_extended(uint8_t id)
{
	return id == 0x05 || id == 0x0f || id == 0x85;
}

static enum part_type mbr_type(uint8_t id)
{
	if (is_extended(id))
		return PART_EXTENDED;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].mbr != 0 && types[i].mbr == id && types[i].type != PART_SPACES)
			return types[i].type;
	return PART_OTHER;
}

static enum part_type gpt_type(const uint8_t *guid)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (memcmp(types[i].gpt, guid, sizeof(types[i].gpt)) == 0)
			return types[i].type;
	return PART_OTHER;
}

/* ---------------------------------------------------------------- GPT */

static int read_entries(const struct disk *d, const uint8_t *header, unsigned sector, struct ff_err *err)
{
	uint64_t at = le64(header + 72), entries = le32(header + 80), size = le32(header + 84);
	uint8_t p[GPT_ENTRY_MIN];

	d->table->sector_bytes = sector;
	if (size < sizeof(p) || size > 4096 || at > d->bytes / sector)
		return 0;
	for (uint64_t i = 0; i < entries && i < TABLE_PARTS_MAX; i++) {
		int rc = fetch(d, at * sector + i * size, p, sizeof(p), err);

		if (rc <= 0)
			return rc;
		if (!all_zero(p, 16) && le64(p + 40) >= le64(p + 32))
			add(d->table, (unsigned)i + 1, le64(p + 32), le64(p + 40) - le64(p + 32) + 1, sector,
				gpt_type(p));
	}
	return 0;
}

/* The header in the second sector, else its copy in the last one. */
static int read_gpt(const struct disk *d, struct ff_err *err)
{
	d->table->kind = TABLE_GPT;
	for (int copy = 0; copy < 2; copy++)
		for (unsigned sector = 512; sector <= 4096; sector *= 8) {
			uint64_t at = copy ? (d->bytes / sector - 1) * sector : sector;
			uint8_t header[92];
			int rc = d->bytes < 2 * (uint64_t)sector ? 0 : fetch(d, at, header, sizeof(header), err);

			if (rc < 0)
				return -1;
			if (rc > 0 && memcmp(header, "EFI PART", 8) == 0)
				return read_entries(d, header, sector, err);
		}
	return 0;
}

/* ---------------------------------------------------------------- MBR */

static const uint8_t *slot(const uint8_t *sector, size_t i)
{
	return sector + MBR_ENTRIES + i * MBR_ENTRY;
}

static bool is_signed(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

/* The boot sector of a file system without a table ends with the same two bytes. */
static bool is_mbr(const uint8_t *sector)
{
	if (!is_signed(sector) || fve_is_one(sector) || memcmp(sector + 3, "NTFS    ", 8) == 0)
		return false;
	for (size_t i = 0; i < MBR_SLOTS; i++)
		if ((slot(sector, i)[0] & 0x7f) != 0) /* active or not; anything else is a boot sector's text */
			return false;
	return true;
}

/*
 * A chain of tables: each has one logical partition, and where the next table is, from the start of all of them. What
 * was deleted leaves a table without a partition, which takes no number; a second chain goes on with the numbers of the
 * first.
 */
static int read_logical(const struct disk *d, uint64_t start, unsigned *number, struct ff_err *err)
{
	uint64_t at = start;

	for (int n = 0; n < CHAIN_MAX; n++) {
		uint8_t sector[MBR_SECTOR];
		uint64_t next = 0;
		int rc = fetch(d, at * MBR_SECTOR, sector, sizeof(sector), err);

		if (rc <= 0 || !is_signed(sector))
			return rc < 0 ? -1 : 0;
		for (size_t i = 0; i < 2; i++) {
			const uint8_t *p = slot(sector, i);

			if (le32(p + 12) == 0)
				continue;
			if (is_extended(p[4]))
				next = next ? next : le32(p + 8);
			else
				add(d->table, (*number)++, at + le32(p + 8), le32(p + 12), MBR_SECTOR, mbr_type(p[4]));
		}
		if (next == 0)
			return 0;
		at = start + next;
	}
	return 0;
}

static int read_mbr(const struct disk *d, const uint8_t *sector, struct ff_err *err)
{
	unsigned logical = MBR_SLOTS + 1;

	d->table->kind = TABLE_MBR;
	d->table->sector_bytes = MBR_SECTOR;
	for (unsigned i = 0; i < MBR_SLOTS; i++) {
		const uint8_t *p = slot(sector, i);

		if (p[4] == 0 || le32(p + 12) == 0)
			continue;
		add(d->table, i + 1, le32(p + 8), le32(p + 12), MBR_SECTOR, mbr_type(p[4]));
		if (is_extended(p[4]) && read_logical(d, le32(p + 8), &logical, err) < 0)
			return -1;
	}
	return 0;
}

/* ---------------------------------------------------------------- the table */

static int read_table(const struct disk *d, struct ff_err *err)
{
	if (d->head_bytes < MBR_SECTOR || !is_mbr(d->head))
		return 0;
	for (size_t i = 0; i < MBR_SLOTS; i++)
		if (slot(d->head, i)[4] == TYPE_GPT)
			return read_gpt(d, err);
	return read_mbr(d, d->head, err);
}

int table_read(struct table *t, fve_read_fn *read, void *arg, uint64_t disk_bytes, struct ff_err *err)
{
	size_t head_bytes = disk_bytes < TABLE_HEAD_BYTES ? (size_t)disk_bytes : TABLE_HEAD_BYTES;
	ff_auto_free uint8_t *head = ff_calloc(1, TABLE_HEAD_BYTES);
	struct disk d = {
		.table = t, .read = read, .arg = arg, .bytes = disk_bytes, .head = head, .head_bytes = head_bytes};

	*t = (struct table){.kind = TABLE_NONE};
	if (head_bytes > 0 && read(arg, 0, head, head_bytes, err) < 0)
		return -1;
	t->blank = all_zero(head, head_bytes);
	return read_table(&d, err);
}

bool table_has(const struct table *t, enum part_type type)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].type == type)
			return true;
	return false;
}

static bool ends_beyond(const struct table_part *p, uint64_t disk_bytes)
{
	return p->start_bytes + p->size_bytes > disk_bytes;
}

const struct table_part *table_beyond(const struct table *t, uint64_t disk_bytes)
{
	for (size_t i = 0; i < t->count; i++)
		if (ends_beyond(&t->parts[i], disk_bytes))
			return &t->parts[i];
	return NULL;
}

const struct table_part *table_next(const struct table *t, const struct table_part *last, uint64_t disk_bytes)
{
	const struct table_part *end = t->parts + t->count, *p = last ? last + 1 : t->parts;

	while (p < end && (p->type == PART_EXTENDED || t->sector_bytes != 512 || ends_beyond(p, disk_bytes)))
		p++;
	return p < end ? p : NULL;
}

const struct table_part *table_part(const struct table *t, unsigned number)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].number == number)
			return &t->parts[i];
	return NULL;
}

const char *table_type_name(enum part_type type)
{
	static const char *const names[] = {
		[PART_OTHER] = "other",
		[PART_BASIC] = "basic",
		[PART_EFI] = "efi",
		[PART_RESERVED] = "reserved",
		[PART_RECOVERY] = "recovery",
		[PART_LINUX] = "linux",
		[PART_DYNAMIC] = "dynamic",
		[PART_SPACES] = "storage-spaces",
		[PART_EXTENDED] = "extended",
	};

	return names[type];
}
