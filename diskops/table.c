#include "table.h"

#include <string.h>

#define MBR_ENTRIES   446
#define MBR_ENTRY     16
#define MBR_SECTOR    512 /* of its numbers, except on disks whose sectors are larger: those have GPT */
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

static void add(
	struct table *t, unsigned number, uint64_t start, uint64_t sectors, unsigned sector, enum part_type type)
{
	/* beyond 2^53 sectors nothing is a disk; no product below can overflow then */
	if (t->count >= TABLE_PARTS_MAX || sectors == 0 || start >> 50 != 0 || sectors >> 50 != 0)
		return;
	t->parts[t->count++] = (struct table_part){
		.number = number, .start_bytes = start * sector, .size_bytes = sectors * sector, .type = type};
}

static enum part_type mbr_type(uint8_t id)
{
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

static void parse_gpt(struct table *t, const uint8_t *bytes, size_t len, unsigned sector)
{
	const uint8_t *header = bytes + sector;
	uint64_t at = le64(header + 72), entries = le32(header + 80), size = le32(header + 84);

	t->kind = TABLE_GPT;
	if (size < GPT_ENTRY_MIN || size > 4096 || at > len / sector)
		return;
	for (uint64_t i = 0; i < entries && i < TABLE_PARTS_MAX; i++) {
		uint64_t offset = at * sector + i * size;
		const uint8_t *p = bytes + offset;

		if (offset + GPT_ENTRY_MIN > len)
			return;
		if (!all_zero(p, 16) && le64(p + 40) >= le64(p + 32))
			add(t, (unsigned)i + 1, le64(p + 32), le64(p + 40) - le64(p + 32) + 1, sector, gpt_type(p));
	}
}

static void parse_mbr(struct table *t, const uint8_t *bytes)
{
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *p = bytes + MBR_ENTRIES + (size_t)i * MBR_ENTRY;

		/* the first byte says active or not; anything else is a boot sector's text */
		if ((p[0] & 0x7f) != 0)
			return;
	}
	t->kind = TABLE_MBR;
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *p = bytes + MBR_ENTRIES + (size_t)i * MBR_ENTRY;

		if (p[4] != 0 && le32(p + 12) != 0)
			add(t, i + 1, le32(p + 8), le32(p + 12), MBR_SECTOR, mbr_type(p[4]));
	}
}

void table_parse(struct table *t, const uint8_t *bytes, size_t len)
{
	*t = (struct table){.kind = TABLE_NONE, .blank = all_zero(bytes, len)};
	for (unsigned sector = 512; sector <= 4096; sector *= 8)
		if (len >= 2 * (size_t)sector && memcmp(bytes + sector, "EFI PART", 8) == 0) {
			parse_gpt(t, bytes, len, sector);
			return;
		}
	/* a file system without a table ends its boot sector like an MBR */
	if (len >= MBR_SECTOR && bytes[510] == 0x55 && bytes[511] == 0xaa && memcmp(bytes + 3, "NTFS    ", 8) != 0 &&
		memcmp(bytes + 3, "-FVE-FS-", 8) != 0)
		parse_mbr(t, bytes);
}

bool table_has(const struct table *t, enum part_type type)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].type == type)
			return true;
	return false;
}

const struct table_part *table_beyond(const struct table *t, uint64_t disk_bytes)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].start_bytes + t->parts[i].size_bytes > disk_bytes)
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
	};

	return names[type];
}
