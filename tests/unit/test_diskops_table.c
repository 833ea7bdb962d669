/* Partition tables: what is in them, and what may be done with it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "diskops/table.h"
#include "fixfleet/mem.h"

struct bytes {
	uint8_t *p;
	size_t len;
};

static int read_bytes(void *arg, uint64_t offset, void *out, size_t len, struct ff_err *err)
{
	const struct bytes *b = arg;

	(void)err;
	cr_assert(offset <= b->len && len <= b->len - offset, "%zu bytes at %llu", len, (unsigned long long)offset);
	memcpy(out, b->p + offset, len);
	return 0;
}

static void parse(struct table *table, uint8_t *disk, size_t len)
{
	struct bytes b = {disk, len};
	struct ff_err err = {0};

	cr_assert_eq(table_read(table, read_bytes, &b, len, &err), 0, "%s", err.text);
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void mbr_part(uint8_t *sector, unsigned slot, uint8_t type, uint32_t start, uint32_t sectors)
{
	uint8_t *p = sector + 446 + (slot - 1) * 16;

	p[4] = type;
	put32(p + 8, start);
	put32(p + 12, sectors);
	sector[510] = 0x55;
	sector[511] = 0xaa;
}

static void expect_part(const struct table_part *p, unsigned number, uint64_t first, uint64_t sectors)
{
	cr_assert_not_null(p, "there is no partition %u", number);
	cr_expect(p->number == number && p->start_bytes == first * 512 && p->size_bytes == sectors * 512,
		"%u at %llu, %llu bytes; not %u", p->number, (unsigned long long)p->start_bytes,
		(unsigned long long)p->size_bytes, number);
}

/* ---------------------------------------------------------------- MBR */

Test(table, of_an_mbr)
{
	uint8_t disk[TABLE_HEAD_BYTES] = {0};
	struct table table;

	parse(&table, disk, sizeof(disk));
	cr_expect(table.kind == TABLE_NONE && table.blank);
	mbr_part(disk, 1, 0x07, 2048, 4096);
	mbr_part(disk, 3, 0x42, 8192, 100);
	disk[446] = 0x80; /* active */
	parse(&table, disk, sizeof(disk));
	cr_assert(table.kind == TABLE_MBR && table.count == 2 && !table.blank);
	expect_part(&table.parts[0], 1, 2048, 4096);
	cr_expect_eq(table.parts[0].type, PART_BASIC);
	cr_expect(table_part(&table, 3) == &table.parts[1] && table_has(&table, PART_DYNAMIC));
	cr_expect_null(table_part(&table, 2));
	cr_expect_null(table_beyond(&table, (8192 + 100) * 512));
	cr_expect_eq(table_beyond(&table, (8192 + 100) * 512 - 1), &table.parts[1]);
	/* the boot sector of a file system ends like one, and is none */
	memcpy(disk + 3, "NTFS    ", 8);
	parse(&table, disk, sizeof(disk));
	cr_expect_eq(table.kind, TABLE_NONE);
	memset(disk + 3, 0, 8);
	disk[446] = 'e';
	parse(&table, disk, sizeof(disk));
	cr_expect_eq(table.kind, TABLE_NONE);
}

/* Only what is wholly on the disk may hold a volume; the numbers are Linux's. */
Test(table, numbers_primary_and_logical_partitions_as_linux_does, .timeout = 20)
{
	uint8_t *disk = ff_calloc(1024, 512);
	const struct table_part *p;
	struct table table;

	mbr_part(disk, 1, 0x07, 10, 20);
	mbr_part(disk, 3, 0x0f, 100, 800);
	mbr_part(disk, 4, 0x07, 1000, 500); /* beyond the disk */
	mbr_part(disk + 100 * 512, 1, 0x07, 2, 50);
	mbr_part(disk + 100 * 512, 2, 0x05, 200, 100);
	mbr_part(disk + 300 * 512, 2, 0x05, 300, 100); /* its partition was deleted: it takes no number */
	mbr_part(disk + 400 * 512, 1, 0x07, 2, 60);
	parse(&table, disk, 1024 * 512);
	p = table_next(&table, NULL, 1024 * 512);
	expect_part(p, 1, 10, 20);
	p = table_next(&table, p, 1024 * 512);
	expect_part(p, 5, 102, 50);
	p = table_next(&table, p, 1024 * 512);
	expect_part(p, 6, 402, 60);
	cr_expect_null(table_next(&table, p, 1024 * 512));
	expect_part(table_part(&table, 3), 3, 100, 800);
	cr_expect_eq(table_part(&table, 3)->type, PART_EXTENDED);
	expect_part(table_beyond(&table, 1024 * 512), 4, 1000, 500);
	/* a logical one can be cut off as well */
	cr_expect_eq(table_beyond(&table, 450 * 512)->number, 3);
	mbr_part(disk, 3, 0x0f, 100, 350);
	mbr_part(disk, 4, 0, 0, 0);
	parse(&table, disk, 450 * 512);
	expect_part(table_beyond(&table, 450 * 512), 6, 402, 60);
	/* numbers go on in a second chain */
	mbr_part(disk, 4, 0x05, 600, 100);
	mbr_part(disk + 600 * 512, 1, 0x07, 1, 10);
	parse(&table, disk, 1024 * 512);
	expect_part(table_part(&table, 7), 7, 601, 10);
	/* a chain that leads back to itself ends */
	mbr_part(disk + 400 * 512, 2, 0x05, 300, 100);
	parse(&table, disk, 1024 * 512);
	cr_expect_gt(table.count, 4);
	free(disk);
}

/* ---------------------------------------------------------------- GPT */

static const uint8_t spaces[16] = {
	0x8f, 0xaf, 0x5c, 0xe7, 0x80, 0xf6, 0xee, 0x4c, 0xaf, 0xa3, 0xb0, 0x01, 0xe5, 0x6e, 0xfc, 0x2d};

/* A header at `at`, entries in the third sector: the second of them from 256 to 511. */
static void put_gpt(uint8_t *disk, size_t at, unsigned sector)
{
	uint8_t *entry = disk + 2 * (size_t)sector + 128;

	mbr_part(disk, 1, 0xee, 1, 0xffffffff);
	memcpy(disk + at, "EFI PART", 8);
	disk[at + 72] = 2;
	disk[at + 80] = 128;
	disk[at + 84] = 128;
	memcpy(entry, spaces, 16);
	entry[33] = 1;
	entry[40] = 0xff;
	entry[41] = 1;
}

Test(table, of_a_gpt_with_sectors_of_either_size)
{
	for (unsigned sector = 512; sector <= 4096; sector *= 8) {
		uint8_t disk[TABLE_HEAD_BYTES] = {0};
		struct table table;

		put_gpt(disk, sector, sector);
		parse(&table, disk, sizeof(disk));
		cr_assert(table.kind == TABLE_GPT && table.count == 1, "%u", sector);
		cr_expect(table.parts[0].number == 2 && table.parts[0].type == PART_SPACES);
		cr_expect_eq(table.parts[0].start_bytes, 256 * (uint64_t)sector);
		cr_expect_eq(table.parts[0].size_bytes, 256 * (uint64_t)sector);
		/* one that goes round the end of all numbers is none */
		memcpy(disk + 2 * sector, spaces, 16);
		memset(disk + 2 * sector + 40, 0xff, 8);
		parse(&table, disk, sizeof(disk));
		cr_expect_eq(table.count, 1, "%zu", table.count);
		/* cut off anywhere it gives fewer, and is not read beyond its end */
		for (size_t len = 0; len < 2 * (size_t)sector + 256; len++) {
			uint8_t *part = memcpy(ff_calloc(len + 1, 1), disk, len);

			parse(&table, part, len);
			cr_expect(table.count == 0 && table.kind == (len < 512 ? TABLE_NONE : TABLE_GPT), "%zu", len);
			free(part);
		}
	}
}

/* An appliance takes sectors for 512 bytes: it sees no partition of a disk that counts otherwise. */
Test(table, of_large_sectors_gives_no_partition_to_mount)
{
	for (unsigned sector = 512; sector <= 4096; sector *= 8) {
		uint8_t *disk = ff_calloc(1024, sector);
		struct table table;

		put_gpt(disk, sector, sector);
		parse(&table, disk, (size_t)1024 * sector);
		cr_expect_eq(table_next(&table, NULL, (uint64_t)1024 * sector) != NULL, sector == 512, "%u", sector);
		cr_expect(table_has(&table, PART_SPACES), "%u", sector);
		free(disk);
	}
}

Test(table, of_a_gpt_is_read_from_its_copy)
{
	uint8_t *disk = ff_calloc(1024, 512);
	struct table table;

	put_gpt(disk, 1023 * 512, 512);
	parse(&table, disk, 1024 * 512);
	expect_part(table_next(&table, NULL, 1024 * 512), 2, 256, 256);
	/* without either it is a GPT still: its MBR says so, and protects the whole disk */
	disk[1023 * 512] = 0;
	parse(&table, disk, 1024 * 512);
	cr_expect(table.kind == TABLE_GPT && table.count == 0);
	/* without the MBR it is none: that was made another table, and what is left of the old one means nothing */
	put_gpt(disk, 512, 512);
	mbr_part(disk, 1, 0x07, 10, 20);
	parse(&table, disk, 1024 * 512);
	cr_expect_eq(table.kind, TABLE_MBR);
	expect_part(table_next(&table, NULL, 1024 * 512), 1, 10, 20);
	free(disk);
}

/* ---------------------------------------------------------------- anything */

Test(table, survives_any_bytes)
{
	struct bytes b = {ff_calloc(64 * 512, 1), 64 * 512};
	size_t listed = 0;

	srand(11);
	for (int n = 0; n < 20000; n++) {
		const struct table_part *p = NULL;
		struct ff_err err = {0};
		struct table table;

		for (size_t i = 0; i < b.len; i += 1 + (size_t)rand() % 64)
			b.p[i] = rand() % 3 ? 0 : (uint8_t)rand(); /* small numbers, mostly */
		for (int i = 0; i < 4; i++)
			b.p[446 + 16 * i] = 0;
		b.p[510] = 0x55;
		b.p[511] = 0xaa;
		b.p[450] = n % 3 == 0 ? 0xee : n % 3 == 1 ? 0x05 : 0x07;
		put32(b.p + 454, (uint32_t)(n % 64));
		put32(b.p + 458, (uint32_t)(n % 63));
		memcpy(b.p + 512, "EFI PART", n % 2 ? 8 : 3);
		cr_assert_eq(table_read(&table, read_bytes, &b, b.len, &err), 0);
		while ((p = table_next(&table, p, b.len)) != NULL) {
			cr_assert(p->start_bytes < b.len && p->size_bytes <= b.len - p->start_bytes);
			listed++;
		}
	}
	cr_expect_gt(listed, 0);
	free(b.p);
}
