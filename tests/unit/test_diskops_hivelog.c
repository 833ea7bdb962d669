/*
 * Applying a hive's logs. Hives and logs are made here; the hash is proved by vectors of .NET, which has the same one.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "diskops/hivelog.h"
#include "fixfleet/mem.h"

#define PAGE 4096

static struct hivelog_bytes hive, logs[HIVELOG_COUNT];
static size_t applied;
static struct ff_err err;

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static void base_block(uint8_t *p, uint32_t type, uint32_t primary, uint32_t secondary, uint32_t bins, uint64_t written)
{
	uint32_t sum = 0;

	memcpy(p, "regf", 4);
	put32(p + 4, primary);
	put32(p + 8, secondary);
	put64(p + 12, written);
	put32(p + 28, type);
	put32(p + 40, bins);
	for (int i = 0; i < 508; i += 4)
		sum ^= get32(p + i);
	put32(p + 508, sum);
}

static void bin(uint8_t *p, uint32_t at, uint8_t fill)
{
	memset(p, fill, PAGE);
	memcpy(p, "hbin", 4);
	put32(p + 4, at);
	put32(p + 8, PAGE);
}

/* Bins full of 1. */
static void make_hive(uint32_t primary, uint32_t secondary, uint32_t bins)
{
	hive.len = PAGE + (size_t)bins * PAGE;
	hive.bytes = ff_calloc(hive.len, 1);
	base_block(hive.bytes, 0, primary, secondary, bins * PAGE, 77);
	for (uint32_t i = 0; i < bins; i++)
		bin(hive.bytes + PAGE + (size_t)i * PAGE, i * PAGE, 1);
}

static void make_log(int n, uint32_t sequence)
{
	logs[n].len = 512;
	logs[n].bytes = ff_calloc(512, 1);
	base_block(logs[n].bytes, 6, sequence, sequence, PAGE, 77);
}

/* Its hashes made right again. */
static void seal(uint8_t *e)
{
	put64(e + 24, hivelog_hash(HIVELOG_SEED, e + 40, get32(e + 4) - 40));
	put64(e + 32, hivelog_hash(HIVELOG_SEED, e, 32));
}

/* An entry that makes one bin full of `fill`. Where it stands in the log. */
static size_t add_entry(int n, uint32_t sequence, uint32_t bins, uint32_t number, uint8_t fill)
{
	struct hivelog_bytes *log = &logs[n];
	size_t at = log->len, size = 512 + PAGE;
	uint8_t *e;

	log->bytes = ff_realloc(log->bytes, at + size, 1);
	log->len += size;
	e = log->bytes + at;
	memset(e, 0, size);
	memcpy(e, "HvLE", 4);
	put32(e + 4, (uint32_t)size);
	put32(e + 12, sequence);
	put32(e + 16, bins * PAGE);
	put32(e + 20, 1);
	put32(e + 40, number * PAGE);
	put32(e + 44, PAGE);
	bin(e + 48, number * PAGE, fill);
	seal(e);
	return at;
}

static int apply(void)
{
	err = (struct ff_err){0};
	return hivelog_apply(&hive, logs, &applied, &err);
}

/* What a bin is full of. */
static int fill_of(uint32_t number)
{
	return hive.bytes[PAGE + (size_t)number * PAGE + 100];
}

static void expect_refused(const char *why)
{
	cr_expect_eq(apply(), -1);
	cr_expect_eq(err.class, FF_E_DISK);
	cr_expect(strstr(err.text, why) != NULL, "%s", err.text);
}

static void teardown(void)
{
	free(hive.bytes);
	for (int i = 0; i < HIVELOG_COUNT; i++)
		free(logs[i].bytes);
}

TestSuite(hivelog, .fini = teardown);

Test(hivelog, the_hash_is_marvin32)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{{0}, 0, UINT64_C(0x30ed35c100cd3c7d)},
		{{0xaf}, 1, UINT64_C(0x48e73fc77d75ddc1)},
		{{0xe7, 0x0f}, 2, UINT64_C(0xb5f6e1fc485dbff8)},
		{{0x37, 0xf4, 0x95}, 3, UINT64_C(0xf0b07c789b8cf7e8)},
		{{0x86, 0x42, 0xdc, 0x59}, 4, UINT64_C(0x7008f2e87e9cf556)},
		{{0x15, 0x3f, 0xb7, 0x98, 0x26}, 5, UINT64_C(0xe6c08c6da2afa997)},
		{{0x09, 0x32, 0xe6, 0x24, 0x6c, 0x47}, 6, UINT64_C(0x6f04bf1a5ea24060)},
		{{0xab, 0x42, 0x7e, 0xa8, 0xd1, 0x0f, 0xc7}, 7, UINT64_C(0xe11847e4f0678c41)},
	};

	for (size_t i = 0; i < FF_COUNT(vectors); i++)
		cr_expect_eq(hivelog_hash(UINT64_C(0x004fb61a001bdbcc), vectors[i].bytes, vectors[i].len),
			vectors[i].hash, "vector %zu", i);
}

Test(hivelog, the_header_says_whether_it_is_whole)
{
	make_hive(5, 5, 1);
	cr_expect_eq(hivelog_state(hive.bytes, hive.len), HIVE_CLEAN);
	cr_expect_eq(hivelog_state(hive.bytes, 511), HIVE_NONE);
	base_block(hive.bytes, 0, 6, 5, PAGE, 77);
	put32(hive.bytes + 508, 0);
	cr_expect_eq(hivelog_state(hive.bytes, hive.len), HIVE_HEAD_TORN);
	base_block(hive.bytes, 0, 5, 5, PAGE, 77);
	base_block(hive.bytes, 0, 6, 5, PAGE, 77);
	hive.bytes[0] = 'R';
	cr_expect_eq(hivelog_state(hive.bytes, hive.len), HIVE_NONE);
}

Test(hivelog, both_logs_are_applied_in_turn)
{
	make_hive(8, 7, 3);
	make_log(1, 7); /* the second file may be the earlier one */
	add_entry(1, 7, 3, 0, 10);
	add_entry(1, 8, 3, 1, 11);
	make_log(0, 9);
	add_entry(0, 9, 4, 3, 12); /* the hive grows */
	add_entry(0, 10, 4, 1, 13);
	cr_assert_eq(apply(), 0, "%s", err.text);
	cr_expect_eq(applied, 4);
	cr_expect_eq(hive.len, 5 * PAGE);
	cr_expect_eq(fill_of(0), 10);
	cr_expect_eq(fill_of(1), 13, "the later one counts");
	cr_expect_eq(fill_of(2), 1);
	cr_expect_eq(fill_of(3), 12);
	cr_expect_eq(hivelog_state(hive.bytes, hive.len), HIVE_CLEAN);
	cr_expect_eq(get32(hive.bytes + 4), 10);
	cr_expect_eq(get32(hive.bytes + 40), 4 * PAGE);
}

Test(hivelog, an_entry_that_is_not_whole_ends_the_log)
{
	size_t at;

	make_hive(8, 7, 3);
	make_log(0, 7);
	add_entry(0, 7, 3, 0, 10);
	at = add_entry(0, 8, 3, 1, 11);
	logs[0].bytes[at + 4000] ^= 1;
	add_entry(0, 9, 3, 2, 12);
	cr_assert_eq(apply(), 0, "%s", err.text);
	cr_expect_eq(applied, 1);
	cr_expect_eq(fill_of(0), 10);
	cr_expect_eq(fill_of(1), 1);
	cr_expect_eq(fill_of(2), 1);
}

Test(hivelog, entries_of_earlier_times_are_not_applied)
{
	make_hive(8, 7, 2);
	make_log(0, 7);
	add_entry(0, 7, 2, 0, 10);
	add_entry(0, 5, 2, 1, 11); /* left from before */
	cr_assert_eq(apply(), 0, "%s", err.text);
	cr_expect_eq(applied, 1);
	cr_expect_eq(fill_of(1), 1);
}

Test(hivelog, sequence_numbers_wrap_around)
{
	make_hive(0, UINT32_MAX, 2);
	make_log(0, UINT32_MAX);
	add_entry(0, UINT32_MAX, 2, 0, 10);
	make_log(1, 0);
	add_entry(1, 0, 2, 1, 11);
	cr_assert_eq(apply(), 0, "%s", err.text);
	cr_expect_eq(applied, 2);
	cr_expect_eq(get32(hive.bytes + 4), 0);
}

Test(hivelog, the_old_format_is_applied_too)
{
	make_hive(8, 7, 2);
	logs[0].len = 512 + 512 + 2 * 512;
	logs[0].bytes = ff_calloc(2, PAGE);
	base_block(logs[0].bytes, 1, 8, 8, 2 * PAGE, 77);
	memcpy(logs[0].bytes + 512, "DIRT", 4);
	logs[0].bytes[512 + 4 + 0] = 0x01; /* the first page of the first bin, */
	logs[0].bytes[512 + 4 + 1] = 0x80; /* the last of the second */
	bin(logs[0].bytes + 1024, 0, 20);  /* too much: the next page comes over it */
	memset(logs[0].bytes + 1536, 21, 512);
	cr_assert_eq(apply(), 0, "%s", err.text);
	cr_expect_eq(applied, 1);
	cr_expect_eq(fill_of(0), 20);
	cr_expect_eq(fill_of(1), 1);
	cr_expect_eq(hive.bytes[hive.len - 1], 21);
	cr_expect_eq(hive.bytes[PAGE + 512], 1);
	cr_expect_eq(hivelog_state(hive.bytes, hive.len), HIVE_CLEAN);
}

Test(hivelog, an_old_log_of_another_time_is_not_applied)
{
	make_hive(8, 7, 1);
	logs[0].len = 2048;
	logs[0].bytes = ff_calloc(logs[0].len, 1);
	base_block(logs[0].bytes, 1, 8, 8, PAGE, 76);
	memcpy(logs[0].bytes + 512, "DIRT\1", 5);
	expect_refused("none of its logs continues");
}

Test(hivelog, a_log_with_a_gap_before_it_is_not_applied)
{
	make_hive(8, 7, 1);
	make_log(0, 8);
	add_entry(0, 8, 1, 0, 10);
	expect_refused("none of its logs continues");
}

Test(hivelog, a_log_that_is_itself_not_whole_is_not_applied)
{
	make_hive(8, 7, 1);
	make_log(0, 7);
	add_entry(0, 7, 1, 0, 10);
	logs[0].bytes[508] ^= 1;
	expect_refused("none of its logs continues");
}

Test(hivelog, no_log_at_all_is_refused)
{
	make_hive(8, 7, 1);
	expect_refused("none of its logs continues");
}

/* The hashes can be right and the content wrong: whoever wrote the disk can hash too. */
Test(hivelog, hostile_entries_are_refused)
{
	static const struct {
		size_t at;
		uint32_t value;
	} cases[] = {
		{20, 2},			    /* more references than pages */
		{20, 0x20000000},		    /* and than an entry holds */
		{40, 2 * PAGE},			    /* a page behind the last bin */
		{40, 0xfffff000},		    /* and one that wraps around */
		{44, 2 * PAGE},			    /* one that is longer than the entry */
		{44, 0xffffffff}, {40, PAGE - 512}, /* one that breaks a bin's header */
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		size_t at;

		make_hive(8, 7, 2);
		make_log(0, 7);
		at = add_entry(0, 7, 2, 1, 10);
		put32(logs[0].bytes + at + cases[i].at, cases[i].value);
		seal(logs[0].bytes + at);
		cr_expect_eq(apply(), -1, "case %zu", i);
		cr_expect(strstr(err.text, "damaged") != NULL, "case %zu: %s", i, err.text);
		teardown();
	}
	make_hive(8, 7, 1); /* for teardown() */
	make_log(0, 1);
	logs[1].bytes = NULL;
}

Test(hivelog, a_hive_of_two_gigabytes_is_not_made)
{
	size_t at;

	make_hive(8, 7, 1);
	make_log(0, 7);
	at = add_entry(0, 7, 1, 0, 10);
	put32(logs[0].bytes + at + 16, 0x7ffff000);
	seal(logs[0].bytes + at);
	expect_refused("none of its logs continues");
	cr_expect_eq(hive.len, 2 * PAGE);
}
