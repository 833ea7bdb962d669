/*
 * Journals. A first byte 'r': the bytes that follow are the file. Else each line is the JSON of a record without
 * number, time and sum, which are put right, so that what a journal may say is tried behind its sums.
 */
#include "fixfleet/journal.h"
#include "toy.h"

#define WALL_MS INT64_C(1721372400000)

struct seen {
	size_t records;
	bool stop;
};

static int each(void *arg, const struct ff_node *record, struct ff_err *err)
{
	struct seen *seen = arg;

	FUZZ_CHECK(ff_node_is(record, FF_NODE_OBJECT) && ff_node_str(record, "k") != NULL, "record");
	seen->records++;
	FUZZ_CHECK(ff_node_int(record, "n", 0) == (int64_t)seen->records, "record %zu", seen->records);
	return seen->stop && seen->records == 3 ? ff_fail(err, FF_E_USAGE, "enough") : 0;
}

/* A line is read as jansson reads it. */
static void check_line(const char *text, size_t len)
{
	struct ff_nodes nodes = {0};
	struct ff_err err = {0}, err_node = {0};
	ff_auto_json json_t *j = ff_json_parse(text, len, len, &err);
	const struct ff_node *node = ff_nodes_read(&nodes, text, len, len, &err_node);
	ff_auto_json json_t *of_node = ff_node_json(node);

	FUZZ_CHECK((j == NULL) == (node == NULL), "'%s', '%s'", err.text, err_node.text);
	FUZZ_CHECK(j == NULL || json_equal(j, of_node), "%.*s", (int)len, text);
	ff_nodes_free(&nodes);
}

static void check_past(const char *text, size_t len)
{
	struct ff_past past;
	struct ff_err err = {0};

	if (ff_past_read(ff_source_of(text, len), &past, &err) < 0) {
		FUZZ_CHECK(err.class == FF_E_LOCAL && err.text[0] != '\0', "%d '%s'", (int)err.class, err.text);
		return;
	}
	FUZZ_CHECK(past.run != NULL, "a run without a name");
	for (size_t i = 0; i < past.count; i++) {
		const struct ff_past_vm *vm = &past.vms[i];

		FUZZ_CHECK(vm->provider && vm->id && vm->name && vm->reason && vm->where, "texts of VM %zu", i + 1);
		FUZZ_CHECK(json_is_object(vm->facts) && json_is_array(vm->removed), "facts of VM %zu", i + 1);
	}
	ff_past_release(&past);
}

/* What was read can be gone on from, and is the same when it is read again without its torn tail. */
static void check_sound(const char *text, size_t len, const struct ff_chain *end, size_t sound)
{
	ff_auto_json json_t *more = json_pack("{s:s}", "k", "stop");
	struct ff_chain chain = *end, again;
	struct seen seen = {0};
	struct ff_err err = {0};
	ff_auto_buf whole = {0};
	size_t upto;

	FUZZ_CHECK(sound <= len && (sound == 0 || text[sound - 1] == '\n'), "sound %zu of %zu", sound, len);
	if (sound == 0)
		return;
	ff_buf_add(&whole, text, sound);
	ff_journal_line(&chain, WALL_MS, more, &whole);
	FUZZ_CHECK(ff_journal_read(ff_source_of(whole.text, whole.len), each, &seen, &again, &upto, &err) == 0, "%s",
		err.text);
	FUZZ_CHECK(upto == whole.len && seen.records == end->n + 1, "%zu of %zu bytes", upto, whole.len);
}

static ssize_t give_few(const void *self, size_t at, char *bytes, size_t room, struct ff_err *err)
{
	size_t n = room < 13 ? room : 13;

	(void)err;
	memcpy(bytes, (const char *)self + at, n);
	return (ssize_t)n;
}

static void check(const char *text, size_t len)
{
	const struct ff_source few = {.len = len, .read = give_few, .self = text};
	struct seen seen = {0}, seen_few = {0}, stopped = {.stop = true};
	struct ff_chain end;
	struct ff_err err = {0}, err_few = {0};
	size_t sound, sound_few;
	int rc = ff_journal_read(ff_source_of(text, len), each, &seen, &end, &sound, &err);

	if (rc == 0)
		check_sound(text, len, &end, sound);
	else
		FUZZ_CHECK(err.class == FF_E_LOCAL && strstr(err.text, "byte ") != NULL, "%d '%s'", (int)err.class,
			err.text);
	FUZZ_CHECK(ff_journal_read(few, each, &seen_few, &end, &sound_few, &err_few) == rc, "'%s', piece by piece '%s'",
		err.text, err_few.text);
	FUZZ_CHECK(sound_few == sound && seen_few.records == seen.records && ff_streq(err.text, err_few.text),
		"'%s', piece by piece '%s'", err.text, err_few.text);
	ff_journal_read(ff_source_of(text, len), each, &stopped, &end, &sound, &err);
	check_past(text, len);
}

/*
 * A run is gone on from it, in a cloud where nothing was done yet, so that the journal may be a lie: refused and
 * nothing done, or an end for every VM. (toy.c: nothing is started while its disk is away.)
 */
static void check_resume(const char *text, size_t len)
{
	struct fuzz_toy t = {.on_worker = fuzz_toy_good_worker};
	struct ff_err err = {0};
	unsigned sends;

	fuzz_toy_open(&t);
	fuzz_toy_run(&t, FF_PHASE_FOUND);
	sends = t.sends;
	if (ff_engine_resume(t.engine, ff_source_of(text, len), &err) < 0) {
		FUZZ_CHECK_ERR(err);
		fuzz_toy_turn(&t);
		FUZZ_CHECK(t.sends == sends && t.journal.len == 0, "refused (%s), and something done", err.text);
	} else {
		fuzz_toy_run(&t, FF_PHASE_ENDED);
		FUZZ_CHECK(ff_engine_phase(t.engine) == FF_PHASE_ENDED, "no end");
	}
	ff_buf_free(&t.journal); /* it goes on after the one that was read */
	fuzz_toy_close(&t);
}

static void chain_lines(const char *text, size_t len, struct ff_buf *journal)
{
	struct ff_chain chain = {0};

	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t line = newline ? (size_t)(newline - text) : len;
		ff_auto_json json_t *record = fuzz_json(text, line);

		check_line(text, line);
		if (json_is_object(record) && json_object_size(record) > 0) {
			json_object_del(record, "n");
			json_object_del(record, "t");
			json_object_del(record, "sum");
		}
		if (json_is_object(record) && json_object_size(record) > 0)
			ff_journal_line(&chain, WALL_MS, record, journal);
		line += newline != NULL;
		text += line;
		len -= line;
	}
}

/* FUZZ_SEEDS=DIR: the journal of a whole run, as file and as records. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("FUZZ_SEEDS");
	struct fuzz_toy t = {.on_worker = fuzz_toy_good_worker};
	ff_auto_free char *path = NULL;
	FILE *f;

	(void)argc;
	(void)argv;
	if (dir == NULL)
		return 0;
	path = ff_printf("%s/whole-run", dir);
	f = fopen(path, "w");
	FUZZ_CHECK(f != NULL, "%s", path);
	fuzz_toy_open(&t);
	fuzz_toy_repair(&t);
	fuzz_toy_run(&t, FF_PHASE_ENDED);
	FUZZ_CHECK(ff_engine_phase(t.engine) == FF_PHASE_ENDED, "a sound run");
	fputc('r', f);
	fwrite(t.journal.text, t.journal.len, 1, f);
	fclose(f);
	fuzz_toy_close(&t);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ff_auto_buf journal = {0};

	if (size > 0 && data[0] == 'r')
		ff_buf_add(&journal, data + 1, size - 1);
	else
		chain_lines((const char *)data, size, &journal);
	ff_buf_adds(&journal, ""); /* so that its text is not NULL */
	check(journal.text, journal.len);
	check_resume(journal.text, journal.len);
	return 0;
}
