/* Was the mounted volume left in order? ntfs-3g mends what Windows would by mounting for writing; it is told. */
#include <stdlib.h>

#include "ntfs.h"
#include "scan.h"

static bool has_victims(const struct scan *s)
{
	for (size_t i = 0; i < s->job->victim_count; i++)
		if (ff_streq(s->job->places[s->job->victims[i].place].partition, s->partition))
			return true;
	return false;
}

static bool read_exactly(const struct scan *s, uint64_t offset, void *bytes, size_t len)
{
	struct ff_err ignored;
	size_t got = 0;

	return scan_read(s, s->partition, s->number, offset, bytes, len, &got, &ignored) == 0 && got == len;
}

static bool log_is_dirty(const struct scan *s, const uint8_t *record, const struct ntfs_geometry *g)
{
	uint8_t page[NTFS_RESTART_BYTES];
	uint64_t at;

	return ntfs_log_offset(record, g->record_bytes, g, &at) == 0 && read_exactly(s, at, page, sizeof(page)) &&
	       ntfs_log_dirty(page, sizeof(page));
}

void disorder_note(struct scan *s)
{
	uint8_t boot[NTFS_BOOT_BYTES], records[2 * NTFS_RECORD_MAX];
	ff_auto_free char *part = scan_part_name(s->number);
	struct ntfs_geometry g;
	bool bit, log;

	/* records 2 and 3 of the master file table: $LogFile and $Volume */
	if (!has_victims(s) || !read_exactly(s, 0, boot, sizeof(boot)) || ntfs_geometry(boot, sizeof(boot), &g) < 0 ||
		!read_exactly(s, g.mft_bytes + 2 * (uint64_t)g.record_bytes, records, 2 * (size_t)g.record_bytes))
		return;
	bit = ntfs_dirty_bit(records + g.record_bytes, g.record_bytes);
	log = log_is_dirty(s, records, &g);
	if (bit || log)
		scan_note(s->job, ff_printf("Windows had not unmounted %s cleanly (%s%s%s)", part,
					  bit ? "its dirty bit is set" : "", bit && log ? ", " : "",
					  log ? "its journal was not empty" : ""));
}
