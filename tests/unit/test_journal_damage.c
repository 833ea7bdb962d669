/*
 * A journal that was damaged in any way: every byte replaced by every other, cut at every byte, lines taken out,
 * doubled, swapped, and put in from another run. What is told of it is a byte at or before the damage, never after.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/journal.h"
#include "fixfleet/json.h"

#define WALL_MS	  1721361600123 /* 2024-07-19T04:00:00.123Z */
#define LINES_MAX 16

struct journal {
	struct ff_buf text;
	struct ff_chain chain;
	size_t starts[LINES_MAX + 1], count; /* where each line begins; after the last: the end */
};

static void add(struct journal *j, json_t *record)
{
	ff_journal_line(&j->chain, WALL_MS, record, &j->text);
	json_decref(record);
	j->starts[++j->count] = j->text.len;
}

/* A run of one VM up to the middle of its way. */
static struct journal a_journal(const char *run)
{
	struct journal j = {0};

	add(&j, json_pack("{s:s,s:i,s:s,s:s}", "k", "run", "version", FF_JOURNAL_VERSION, "program", "fixfleet", "run",
			run));
	add(&j, json_pack("{s:s,s:i,s:s,s:s,s:{s:s}}", "k", "plan", "vm", 1, "id", "/x", "name", "a \"}\\", "facts",
			"sum", "0123456789abcdef"));
	add(&j, json_pack("{s:s,s:s,s:[{s:i,s:s,s:s}]}", "k", "intent", "step", "stop", "members", "vm", 1, "step",
			"stop", "token", "t"));
	add(&j, json_pack("{s:s,s:s,s:s,s:[{s:i,s:s}]}", "k", "result", "of", "act", "step", "stop", "members", "vm", 1,
			"meaning", "done"));
	add(&j, json_pack("{s:s,s:i,s:s,s:s}", "k", "step", "vm", 1, "step", "stop", "where", "on the VM"));
	return j;
}

static struct journal j;

static void setup(void)
{
	j = a_journal("run-1");
}

static void teardown(void)
{
	ff_buf_free(&j.text);
}

TestSuite(journal_damage, .init = setup, .fini = teardown);

static int count_them(void *arg, const struct ff_node *record, struct ff_err *err)
{
	(void)record;
	(void)err;
	++*(size_t *)arg;
	return 0;
}

/* The line that byte is in. */
static size_t line_of(size_t at)
{
	size_t line = 0;

	while (line + 1 < j.count && at >= j.starts[line + 1])
		line++;
	return line;
}

/*
 * These bytes are a journal that is sound up to line `from` at least, and not what it should be from there on: refused
 * with a byte of that line or, where that is the last one, dropped. `status` reads it to the same end.
 */
static void expect_caught(const char *bytes, size_t len, size_t from, bool may_be_torn, const char *what, size_t at)
{
	struct ff_err err = {0}, past_err = {0};
	struct ff_past past;
	struct ff_chain chain;
	size_t records = 0, sound;
	int rc = ff_journal_read(ff_source_of(bytes, len), count_them, &records, &chain, &sound, &err);
	int past_rc = ff_past_read(ff_source_of(bytes, len), &past, &past_err);

	cr_assert(sound <= j.starts[from], "%s at %zu: believed up to %zu", what, at, sound);
	cr_assert(records <= from, "%s at %zu: %zu records were believed", what, at, records);
	if (rc == 0) {
		cr_assert(may_be_torn, "%s at %zu: nothing was noticed", what, at);
		cr_assert(past_rc == 0 ? past.torn : from == 0, "%s at %zu: %s", what, at, past_err.text);
		ff_past_release(&past);
		return;
	}
	const char *number = strstr(err.text, "byte ");

	cr_assert(err.class == FF_E_LOCAL && number != NULL, "%s at %zu: %s", what, at, err.text);
	size_t told = strtoul(number + 5, NULL, 10);

	cr_assert(told <= j.starts[from + 1], "%s at %zu: told as byte %zu", what, at, told);
	cr_assert_eq(past_rc, -1);
	cr_assert_str_eq(past_err.text, err.text);
}

Test(journal_damage, every_byte_replaced_by_every_other_is_noticed, .timeout = 60)
{
	for (size_t at = 0; at < j.text.len; at++) {
		ff_auto_free char *copy = ff_strndup(j.text.text, j.text.len);
		size_t line = line_of(at);

		for (unsigned flip = 1; flip < 256; flip++) {
			copy[at] = (char)((unsigned char)j.text.text[at] ^ flip);
			expect_caught(copy, j.text.len, line, line + 1 == j.count, "byte replaced", at);
		}
	}
}

Test(journal_damage, cut_anywhere_it_is_sound_up_to_the_last_whole_line)
{
	for (size_t len = 0; len < j.text.len; len++) {
		struct ff_err err = {0};
		struct ff_chain chain;
		size_t records = 0, sound, whole = 0;

		while (j.starts[whole + 1] <= len)
			whole++;
		cr_assert_eq(
			ff_journal_read(ff_source_of(j.text.text, len), count_them, &records, &chain, &sound, &err), 0,
			"%zu: %s", len, err.text);
		cr_assert_eq(records, whole);
		cr_assert_eq(sound, j.starts[whole]);
		cr_assert_eq(chain.n, whole);
	}
}

Test(journal_damage, a_byte_put_in_or_taken_out_is_noticed)
{
	static const char bytes[] = {'\n', ' ', '}', '\0', '0', '"', (char)0xff};

	for (size_t at = 0; at < j.text.len; at++) {
		size_t line = line_of(at);
		ff_auto_buf without = {0};

		ff_buf_add(&without, j.text.text, at);
		ff_buf_add(&without, j.text.text + at + 1, j.text.len - at - 1);
		expect_caught(without.text, without.len, line, line + 1 == j.count, "byte taken out", at);
		for (size_t b = 0; b < sizeof(bytes); b++) {
			ff_auto_buf with = {0};

			if (j.text.text[at] == bytes[b])
				continue; /* doubled it is a newline in front of the next line: that is put in there */
			ff_buf_add(&with, j.text.text, at);
			ff_buf_add(&with, &bytes[b], 1);
			ff_buf_add(&with, j.text.text + at, j.text.len - at);
			expect_caught(with.text, with.len, line, line + 1 == j.count, "byte put in", at);
		}
	}
}

/* Lines of `order`, each an index; 100 and more are those of the other journal. Up to -1. */
static struct ff_buf spliced(const struct journal *other, const int *order)
{
	struct ff_buf out = {0};

	for (; *order >= 0; order++) {
		const struct journal *of = *order >= 100 ? other : &j;
		size_t line = (size_t)*order % 100;

		ff_buf_add(&out, of->text.text + of->starts[line], of->starts[line + 1] - of->starts[line]);
	}
	return out;
}

Test(journal_damage, lines_out_of_place_are_noticed)
{
	static const struct {
		const char *what;
		size_t from; /* the first line that is not as it should be */
		int order[10];
	} cases[] = {
		{"without the first", 0, {1, 2, 3, 4, -1}},
		{"without one in the middle", 2, {0, 1, 3, 4, -1}},
		{"the first twice", 1, {0, 0, 1, 2, 3, 4, -1}},
		{"one twice", 3, {0, 1, 2, 2, 3, 4, -1}},
		{"two changed places", 1, {0, 2, 1, 3, 4, -1}},
		{"the last twice, and one more", 2, {0, 1, 1, 2, -1}},
		{"another run's line", 2, {0, 1, 102, 3, 4, -1}},
		{"another run's beginning", 1, {100, 1, 2, 3, 4, -1}},
		{"another run's middle to its end", 2, {0, 1, 102, 103, 104, -1}},
		{"two journals in one file", 4, {0, 1, 2, 3, 100, 101, -1}},
	};
	struct journal other = a_journal("run-2");

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_buf text = spliced(&other, cases[i].order);

		/* which line is damaged depends on which of two journals the beginning is of */
		expect_caught(text.text, text.len, cases[i].from, false, cases[i].what, i);
	}
	ff_buf_free(&other.text);
}

Test(journal_damage, a_doubled_last_line_is_dropped_as_torn)
{
	ff_auto_buf text = spliced(NULL, (const int[]){0, 1, 2, 3, 4, 4, -1});
	struct ff_err err = {0};
	struct ff_chain chain;
	size_t records = 0, sound;

	cr_assert_eq(ff_journal_read(ff_source_of(text.text, text.len), count_them, &records, &chain, &sound, &err), 0);
	cr_expect_eq(records, 5);
	cr_expect_eq(sound, j.text.len);
}

Test(journal_damage, zeros_where_the_end_was_not_written_are_torn)
{
	/* what some file systems leave of a tail that was never synced: the length is there, the bytes are not */
	for (size_t at = j.starts[4]; at < j.text.len; at++) {
		ff_auto_free char *copy = ff_strndup(j.text.text, j.text.len);

		memset(copy + at, 0, j.text.len - at);
		expect_caught(copy, j.text.len, 4, true, "zeros", at);
	}
}
