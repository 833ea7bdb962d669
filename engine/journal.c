#include "fixfleet/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"

#define SUM_HEX	       16
#define SUM_KEY	       ",\"sum\":\""
#define SUM_KEY_BYTES  (sizeof(SUM_KEY) - 1)
#define SUM_END	       "\"}"
#define SUM_TAIL_BYTES (SUM_KEY_BYTES + SUM_HEX + sizeof(SUM_END) - 1)
#define LINE_BYTES_MAX (64u * 1024 * 1024)
#define PIECE_BYTES    (64u * 1024)

/* The sum of `text`, chained to the one before. */
static void sum_of(const char *before, const char *text, size_t len, char sum[SUM_HEX + 1])
{
	ff_auto_buf both = {0};
	char hex[65];

	ff_buf_adds(&both, before);
	ff_buf_add(&both, text, len);
	ff_sha256_hex(both.text, both.len, hex);
	memcpy(sum, hex, SUM_HEX);
	sum[SUM_HEX] = '\0';
}

void ff_journal_line(struct ff_chain *chain, int64_t wall_ms, const json_t *record, struct ff_buf *out)
{
	ff_auto_free char *text = ff_json_text(record);
	char when[FF_TIME_BYTES], sum[SUM_HEX + 1];
	size_t from = out->len, len = strlen(text);

	chain->n++;
	ff_buf_addf(out, "{\"n\":%" PRIu64 ",\"t\":\"%s\",", chain->n, ff_time_format(wall_ms, 1, when));
	ff_buf_add(out, text + 1, len - 2); /* without the braces of the object */
	sum_of(chain->sum, out->text + from, out->len - from, sum);
	ff_buf_addf(out, SUM_KEY "%s" SUM_END "\n", sum);
	memcpy(chain->sum, sum, sizeof(sum));
}

/* Does a line of that length end in the sum of what is before it? */
static bool line_sound(const char *before, const char *line, size_t len)
{
	char sum[SUM_HEX + 1];
	const char *tail;

	if (len <= SUM_TAIL_BYTES)
		return false;
	tail = line + len - SUM_TAIL_BYTES;
	if (memcmp(tail, SUM_KEY, SUM_KEY_BYTES) != 0 || memcmp(line + len - 2, SUM_END, 2) != 0)
		return false;
	sum_of(before, line, len - SUM_TAIL_BYTES, sum);
	return memcmp(tail + SUM_KEY_BYTES, sum, SUM_HEX) == 0;
}

/*
 * A whole record at the start of a bad tail, followed by something else than a newline: no crash leaves that behind,
 * since a record and its newline are one write and are written in order. Its length, or 0.
 */
static size_t sound_prefix(const char *before, const char *line, size_t len)
{
	const char *p = line, *end = line + len;

	/* few: a hostile file must not buy much hashing */
	for (int i = 0; i < 64 && (p = memmem(p, (size_t)(end - p), SUM_KEY, SUM_KEY_BYTES)) != NULL; i++) {
		size_t upto = (size_t)(p - line) + SUM_TAIL_BYTES;

		if (upto < len && line_sound(before, line, upto))
			return upto;
		p++;
	}
	return 0;
}

/* One sound line as a record with the number it must have; NULL with err. */
static const struct ff_node *parse_line(
	struct ff_nodes *nodes, const char *line, size_t len, size_t at, uint64_t n, struct ff_err *err)
{
	struct ff_err why;
	const struct ff_node *record = ff_nodes_read(nodes, line, len, LINE_BYTES_MAX, &why);
	int64_t version;

	if (record == NULL) {
		ff_fail(err, FF_E_LOCAL, "journal damaged at byte %zu: %s", at, why.text);
		return NULL;
	}
	if (ff_node_int(record, "n", -1) != (int64_t)n || ff_node_str(record, "k") == NULL) {
		ff_fail(err, FF_E_LOCAL, "journal damaged at byte %zu: not record %" PRIu64, at, n);
		return NULL;
	}
	if (n > 1)
		return record;
	version = ff_node_int(record, "version", -1);
	if (!ff_streq(ff_node_str(record, "k"), "run")) {
		ff_fail(err, FF_E_LOCAL, "journal damaged at byte %zu: it does not begin with a run", at);
		return NULL;
	}
	if (version != FF_JOURNAL_VERSION) {
		ff_fail(err, FF_E_LOCAL, "journal at byte %zu is of version %" PRId64 ", this program reads %d", at,
			version, FF_JOURNAL_VERSION);
		return NULL;
	}
	return record;
}

/* ---------------------------------------------------------------- reading */

static ssize_t read_memory(const void *self, size_t at, char *bytes, size_t room, struct ff_err *err)
{
	(void)err;
	memcpy(bytes, (const char *)self + at, room);
	return (ssize_t)room;
}

struct ff_source ff_source_of(const char *bytes, size_t len)
{
	return (struct ff_source){.len = len, .read = read_memory, .self = bytes};
}

struct reading {
	struct ff_source source;
	struct ff_buf window; /* what is in memory of it */
	size_t from, at;      /* where the window begins, and the line that is looked at */
	struct ff_nodes nodes;
	int (*each)(void *arg, const struct ff_node *record, struct ff_err *err);
	void *arg;
	struct ff_chain *chain;
};

/* Another piece behind the line that is looked at, in the place of those before it. */
static int read_piece(struct reading *r, struct ff_err *err)
{
	char piece[PIECE_BYTES];
	size_t end = r->from + r->window.len, left = r->source.len - end;
	ssize_t n = r->source.read(r->source.self, end, piece, left < sizeof(piece) ? left : sizeof(piece), err);

	if (n <= 0)
		return n < 0 ? -1 : ff_fail(err, FF_E_LOCAL, "journal ends at byte %zu, it was longer", end);
	ff_buf_drop(&r->window, r->at - r->from);
	r->from = r->at;
	ff_buf_add(&r->window, piece, (size_t)n);
	return 0;
}

/* The line at r->at, whole or all that there is, and its newline; NULL: there is none. */
static int see_line(struct reading *r, const char **line, size_t *len, const char **newline, struct ff_err *err)
{
	size_t seen = 0; /* of the line, without a newline */

	for (;;) {
		*line = r->window.text + (r->at - r->from);
		*len = r->window.len - (r->at - r->from);
		*newline = *len > seen ? memchr(*line + seen, '\n', *len - seen) : NULL;
		if (*newline != NULL || r->at + *len == r->source.len)
			break;
		if (*len > LINE_BYTES_MAX)
			return ff_fail(err, FF_E_LOCAL, "journal damaged at byte %zu: a line without an end", r->at);
		seen = *len;
		if (read_piece(r, err) < 0)
			return -1;
	}
	if (*newline != NULL)
		*len = (size_t)(*newline - *line);
	return 0;
}

/* The line at r->at: its bytes with the newline; 0: torn, nothing follows; -1 with err. */
static ssize_t read_line(struct reading *r, struct ff_err *err)
{
	const char *newline, *line;
	const struct ff_node *record;
	size_t len, at = r->at;

	if (see_line(r, &line, &len, &newline, err) < 0)
		return -1;

	if (newline == NULL || !line_sound(r->chain->sum, line, len)) {
		size_t prefix = sound_prefix(r->chain->sum, line, len);

		if (prefix > 0)
			return ff_fail(err, FF_E_LOCAL, "journal damaged at byte %zu: no newline", at + prefix);
		if (newline != NULL && at + len + 1 < r->source.len)
			return ff_fail(err, FF_E_LOCAL, "journal damaged at byte %zu: wrong sum", at);
		return 0;
	}
	record = parse_line(&r->nodes, line, len, at, r->chain->n + 1, err);
	if (record == NULL || (r->each != NULL && r->each(r->arg, record, err) < 0))
		return -1;
	r->chain->n++;
	memcpy(r->chain->sum, line + len - 2 - SUM_HEX, SUM_HEX);
	r->chain->sum[SUM_HEX] = '\0';
	return (ssize_t)len + 1;
}

int ff_journal_read(struct ff_source journal, int (*each)(void *arg, const struct ff_node *record, struct ff_err *err),
	void *arg, struct ff_chain *chain, size_t *sound, struct ff_err *err)
{
	struct reading r = {.source = journal, .each = each, .arg = arg, .chain = chain};
	ssize_t n = 1;

	*chain = (struct ff_chain){0};
	*sound = 0;
	ff_buf_adds(&r.window, ""); /* so that its text is not NULL */
	while (*sound < journal.len && n > 0) {
		n = read_line(&r, err);
		r.at += n > 0 ? (size_t)n : 0;
		*sound = r.at;
	}
	ff_nodes_free(&r.nodes);
	ff_buf_free(&r.window);
	return n < 0 ? -1 : 0;
}
