/* The journal's lines: the chain, the torn tail, and damage. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/journal.h"
#include "fixfleet/json.h"

#define WALL_MS 1721361600123 /* 2024-07-19T04:00:00.123Z */

static struct ff_buf text;
static struct ff_chain chain;
static size_t starts[16], count; /* where each line begins */

static void add(json_t *record)
{
	starts[count++] = text.len;
	ff_journal_line(&chain, WALL_MS, record, &text);
	json_decref(record);
}

static void setup(void)
{
	text = (struct ff_buf){0};
	chain = (struct ff_chain){0};
	count = 0;
	add(json_pack("{s:s,s:i,s:s}", "k", "run", "version", FF_JOURNAL_VERSION, "run", "r1"));
	add(json_pack("{s:s,s:i,s:{s:s,s:s}}", "k", "plan", "vm", 1, "facts", "name", "line\nbreak \"*\" \\", "sum",
		"0123456789abcdef"));
	add(json_pack("{s:s,s:i,s:s}", "k", "step", "vm", 1, "step", "stop"));
	add(json_pack("{s:s,s:i}", "k", "end", "vm", 1));
}

static void teardown(void)
{
	ff_buf_free(&text);
}

TestSuite(journal, .init = setup, .fini = teardown);

static int count_records(void *arg, const struct ff_node *record, struct ff_err *err)
{
	(void)err;
	(*(size_t *)arg)++;
	cr_assert(ff_node_is(record, FF_NODE_OBJECT));
	return 0;
}

static int read_it(const char *bytes, size_t len, size_t *records, size_t *sound, struct ff_err *err)
{
	struct ff_chain end;

	*records = 0;
	*err = (struct ff_err){0};
	return ff_journal_read(ff_source_of(bytes, len), count_records, records, &end, sound, err);
}

Test(journal, a_line_is_json_with_number_time_kind_and_sum)
{
	size_t len = starts[1] - 1;
	ff_auto_json json_t *j = json_loadb(text.text, len, JSON_REJECT_DUPLICATES, NULL);
	char hex[65];

	cr_assert(j != NULL);
	cr_expect(ff_has_prefix(text.text, "{\"n\":1,\"t\":\"2024-07-19T04:00:00.123Z\",\"k\":\"run\",\"version\":2,"));
	ff_sha256_hex(text.text, len - 26, hex); /* up to `,"sum":"` and 16 digits and `"}` */
	cr_expect_eq(strncmp(ff_json_str(j, "sum"), hex, 16), 0);
	cr_expect_eq(strlen(ff_json_str(j, "sum")), 16);
}

Test(journal, each_sum_is_over_the_one_before_and_the_line)
{
	size_t len = starts[2] - 1 - starts[1];
	struct ff_buf both = {0};
	char hex[65];

	ff_buf_add(&both, text.text + starts[1] - 19, 16); /* the first record's sum */
	ff_buf_add(&both, text.text + starts[1], len - 26);
	ff_sha256_hex(both.text, both.len, hex);
	cr_expect_eq(strncmp(text.text + starts[2] - 19, hex, 16), 0);
	ff_buf_free(&both);
}

Test(journal, a_whole_journal_is_read_to_its_end_and_can_be_gone_on_with)
{
	size_t records = 0, sound;
	struct ff_chain end;
	struct ff_err err;

	cr_assert_eq(
		ff_journal_read(ff_source_of(text.text, text.len), count_records, &records, &end, &sound, &err), 0);
	cr_expect_eq(records, 4);
	cr_expect_eq(sound, text.len);
	cr_expect_eq(end.n, chain.n);
	cr_expect_str_eq(end.sum, chain.sum);
	chain = end;
	add(json_pack("{s:s}", "k", "finish"));
	cr_assert_eq(read_it(text.text, text.len, &records, &sound, &err), 0);
	cr_expect_eq(records, 5);
}

Test(journal, nothing_is_a_journal_without_records)
{
	size_t records, sound;
	struct ff_err err;

	cr_expect_eq(read_it("", 0, &records, &sound, &err), 0);
	cr_expect_eq(records + sound, 0);
}

Test(journal, a_tail_torn_at_any_byte_is_dropped_and_the_rest_is_sound)
{
	size_t records, sound;
	struct ff_err err;

	for (size_t len = starts[3]; len < text.len; len++) {
		cr_assert_eq(read_it(text.text, len, &records, &sound, &err), 0, "cut at %zu: %s", len, err.text);
		cr_expect_eq(records, 3, "cut at %zu", len);
		cr_expect_eq(sound, starts[3], "cut at %zu", len);
	}
	for (size_t len = 0; len < starts[3]; len++) /* several records in one write */
		cr_expect_eq(read_it(text.text, len, &records, &sound, &err), 0, "cut at %zu: %s", len, err.text);
}

Test(journal, any_flipped_byte_is_damage_with_its_offset_or_the_torn_tail)
{
	static const unsigned char flips[] = {0x01, 0x20, 0x80, 0xff};
	size_t records, sound;
	struct ff_err err;

	for (size_t at = 0; at < text.len; at++) {
		for (size_t f = 0; f < sizeof(flips); f++) {
			ff_auto_free char *copy = ff_strndup(text.text, text.len);
			int rc;

			copy[at] = (char)(copy[at] ^ flips[f]);
			rc = read_it(copy, text.len, &records, &sound, &err);
			if (at < starts[3]) {
				cr_expect_eq(rc, -1, "byte %zu ^ %02x was accepted", at, flips[f]);
				cr_expect_eq(err.class, FF_E_LOCAL);
				cr_expect(strstr(err.text, "byte ") != NULL, "%s", err.text);
			} else {
				cr_expect(rc == -1 || (sound == starts[3] && records == 3), "byte %zu ^ %02x", at,
					flips[f]);
			}
		}
	}
}

Test(journal, a_byte_replaced_by_a_newline_is_noticed)
{
	size_t records, sound;
	struct ff_err err;

	for (size_t at = 0; at < starts[3] - 1; at++) {
		ff_auto_free char *copy = ff_strndup(text.text, text.len);

		if (copy[at] == '\n')
			continue;
		copy[at] = '\n';
		cr_expect_eq(read_it(copy, text.len, &records, &sound, &err), -1, "byte %zu", at);
	}
}

static void expect_damage(const char *bytes, size_t len, const char *what)
{
	size_t records, sound;
	struct ff_err err;

	cr_expect_eq(read_it(bytes, len, &records, &sound, &err), -1, "%s", what);
	cr_expect(strstr(err.text, what) != NULL, "'%s' is not in '%s'", what, err.text);
}

Test(journal, a_record_that_is_missing_doubled_or_swapped_is_damage)
{
	struct ff_buf other = {0};
	char where[64];

	snprintf(where, sizeof(where), "damaged at byte %zu", starts[1]);
	ff_buf_add(&other, text.text, starts[1]);
	ff_buf_add(&other, text.text + starts[2], text.len - starts[2]);
	expect_damage(other.text, other.len, where);
	ff_buf_free(&other);
	ff_buf_add(&other, text.text, starts[1]);
	ff_buf_add(&other, text.text, text.len);
	expect_damage(other.text, other.len, where);
	ff_buf_free(&other);
}

Test(journal, another_version_is_refused)
{
	struct ff_buf other = {0};
	struct ff_chain c = {0};
	ff_auto_json json_t *run = json_pack("{s:s,s:i}", "k", "run", "version", 3);

	ff_journal_line(&c, WALL_MS, run, &other);
	expect_damage(other.text, other.len, "journal at byte 0 is of version 3, this program reads 2");
	ff_buf_free(&other);
}

Test(journal, something_else_with_right_sums_is_refused)
{
	struct ff_buf other = {0};
	struct ff_chain c = {0};
	ff_auto_json json_t *record = json_pack("{s:s}", "k", "end"), *nameless = json_pack("{s:i}", "version", 2);

	ff_journal_line(&c, WALL_MS, record, &other);
	expect_damage(other.text, other.len, "damaged at byte 0: it does not begin with a run");
	ff_buf_free(&other);
	c = (struct ff_chain){0};
	ff_journal_line(&c, WALL_MS, nameless, &other);
	expect_damage(other.text, other.len, "damaged at byte 0: not record 1");
	ff_buf_free(&other);
	c = (struct ff_chain){.n = 6};
	ff_journal_line(&c, WALL_MS, record, &other);
	expect_damage(other.text, other.len, "damaged at byte 0: not record 1");
	ff_buf_free(&other);
}

static int stop(void *arg, const struct ff_node *record, struct ff_err *err)
{
	(void)record;
	return ++*(int *)arg == 2 ? ff_fail(err, FF_E_USAGE, "enough") : 0;
}

Test(journal, the_reader_can_stop_it)
{
	int seen = 0;
	size_t sound;
	struct ff_chain end;
	struct ff_err err;

	cr_expect_eq(ff_journal_read(ff_source_of(text.text, text.len), stop, &seen, &end, &sound, &err), -1);
	cr_expect_eq(seen, 2);
	cr_expect_str_eq(err.text, "enough");
}

/* ---------------------------------------------------------------- piece by piece */

/* Gives few bytes at a time, each once; from `gone_at` on there is nothing, or nothing that can be read. */
static struct thrifty {
	const char *bytes; /* NULL: there are only x */
	size_t piece, gone_at, given;
	bool unreadable;
} thrifty;

static ssize_t give(const void *self, size_t at, char *bytes, size_t room, struct ff_err *err)
{
	size_t n = thrifty.piece < room ? thrifty.piece : room;

	cr_assert_eq(self, &thrifty);
	cr_assert_eq(at, thrifty.given, "byte %zu after byte %zu", at, thrifty.given);
	if (at >= thrifty.gone_at)
		return thrifty.unreadable ? ff_fail(err, FF_E_LOCAL, "input/output error") : 0;
	if (thrifty.bytes != NULL)
		memcpy(bytes, thrifty.bytes + at, n);
	else
		memset(bytes, 'x', n);
	thrifty.given += n;
	return (ssize_t)n;
}

static int read_thriftily(const char *bytes, size_t len, size_t piece, size_t *records, size_t *sound,
	struct ff_chain *end, struct ff_err *err)
{
	struct ff_source source = {.len = len, .read = give, .self = &thrifty};

	*records = 0;
	thrifty = (struct thrifty){.bytes = bytes, .piece = piece, .gone_at = len};
	return ff_journal_read(source, count_records, records, end, sound, err);
}

Test(journal, piece_by_piece_it_reads_the_same)
{
	for (size_t len = 0; len <= text.len; len++) {
		size_t records, sound;
		struct ff_err err = {0};
		int rc = read_it(text.text, len, &records, &sound, &err);

		cr_assert_eq(rc, 0);
		for (size_t piece = 1; piece <= 3 * starts[1]; piece += 1 + piece / 8) {
			size_t few_records, few_sound;
			struct ff_chain few_end;

			cr_assert_eq(read_thriftily(text.text, len, piece, &few_records, &few_sound, &few_end, &err), 0,
				"%zu of %zu: %s", piece, len, err.text);
			cr_assert_eq(few_records, records, "%zu of %zu", piece, len);
			cr_assert_eq(few_sound, sound, "%zu of %zu", piece, len);
			cr_assert_eq(few_end.n, records);
			cr_assert_eq(thrifty.given, len, "all of it is read, and once");
		}
	}
}

/* A newline may be the last byte that is there so far: that more follows is known all the same. */
Test(journal, piece_by_piece_damage_is_at_the_same_byte)
{
	for (size_t at = 0; at < text.len; at++) {
		struct ff_err err = {0}, few_err = {0};
		size_t records, sound;
		int rc;

		text.text[at] ^= 1;
		rc = read_it(text.text, text.len, &records, &sound, &err);
		for (size_t piece = 1; piece <= 7; piece += 6) {
			size_t few_sound;
			struct ff_chain end;

			cr_assert_eq(read_thriftily(text.text, text.len, piece, &records, &few_sound, &end, &few_err),
				rc, "%zu", at);
			cr_assert_eq(few_sound, sound, "%zu", at);
			cr_assert_str_eq(few_err.text, err.text, "%zu", at);
		}
		text.text[at] ^= 1;
	}
}

Test(journal, one_that_becomes_shorter_or_unreadable_is_refused)
{
	struct ff_source source = {.len = text.len, .read = give, .self = &thrifty};
	size_t records = 0, sound;
	struct ff_chain end;
	struct ff_err err;

	thrifty = (struct thrifty){.bytes = text.text, .piece = 10, .gone_at = starts[2]};
	cr_assert_eq(ff_journal_read(source, count_records, &records, &end, &sound, &err), -1);
	cr_expect_eq(err.class, FF_E_LOCAL);
	cr_expect_not_null(strstr(err.text, "it was longer"), "%s", err.text);
	cr_expect_eq(records, 2);
	thrifty = (struct thrifty){.bytes = text.text, .piece = 10, .gone_at = starts[1], .unreadable = true};
	cr_assert_eq(ff_journal_read(source, count_records, &records, &end, &sound, &err), -1);
	cr_expect_str_eq(err.text, "input/output error");
}

Test(journal, a_line_without_an_end_is_not_taken_into_memory)
{
	struct ff_source source = {.len = (size_t)1 << 40, .read = give, .self = &thrifty};
	size_t records = 0, sound;
	struct ff_chain end;
	struct ff_err err;

	thrifty = (struct thrifty){.piece = SIZE_MAX, .gone_at = SIZE_MAX};
	cr_assert_eq(ff_journal_read(source, count_records, &records, &end, &sound, &err), -1);
	cr_expect_str_eq(err.text, "journal damaged at byte 0: a line without an end");
	cr_expect_leq(thrifty.given, (size_t)65 << 20);
}
