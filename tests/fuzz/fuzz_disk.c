/* The first bytes of disks, volumes and programs, as diskops reads them on the host: nothing is read beyond what is
 * there. */
#include "diskops/ntfs.h"
#include "diskops/table.h"
#include "diskops/version.h"
#include "fuzz.h"

#define ROOM_BYTES (1024 * 1024) /* of a disk that begins with the input */

struct disk {
	const uint8_t *data;
	size_t size, bytes;
};

static int read_disk(void *arg, uint64_t offset, void *bytes, size_t len, struct ff_err *err)
{
	const struct disk *d = arg;

	FUZZ_CHECK(offset <= d->bytes && len <= d->bytes - offset, "reads beyond the disk");
	memset(bytes, 0, len);
	if (offset < d->size)
		memcpy(bytes, d->data + offset, len < d->size - offset ? len : d->size - offset);
	return err == NULL ? -1 : 0;
}

static void check_table(const uint8_t *data, size_t size, size_t disk_bytes)
{
	struct disk d = {.data = data, .size = size, .bytes = disk_bytes};
	const struct table_part *p = NULL;
	struct table table;
	struct ff_err err;

	FUZZ_CHECK(table_read(&table, read_disk, &d, disk_bytes, &err) == 0, "reading fails");
	FUZZ_CHECK(table.count <= TABLE_PARTS_MAX, "%zu", table.count);
	FUZZ_CHECK(table.kind != TABLE_NONE || table.count == 0, "partitions without a table");
	for (size_t i = 0; i < table.count; i++) {
		p = &table.parts[i];
		FUZZ_CHECK(p->number >= 1 && p->size_bytes > 0 && p->start_bytes + p->size_bytes > p->start_bytes, "%u",
			p->number);
		FUZZ_CHECK(table_has(&table, p->type) && table_type_name(p->type) != NULL, "type");
		FUZZ_CHECK(table_part(&table, p->number) == p, "two partitions %u", p->number);
	}
	for (p = NULL; (p = table_next(&table, p, disk_bytes)) != NULL;)
		FUZZ_CHECK(
			p->start_bytes > 0 && p->start_bytes + p->size_bytes <= disk_bytes, "partition %u", p->number);
	FUZZ_CHECK(table_beyond(&table, UINT64_MAX) == NULL, "beyond everything");
}

static void check_ntfs(const uint8_t *data, size_t size)
{
	struct ntfs_geometry g = {0};
	uint64_t offset;

	if (ntfs_geometry(data, size, &g) < 0)
		return;
	FUZZ_CHECK(g.cluster_bytes > 0 && g.record_bytes >= 512 && g.record_bytes <= NTFS_RECORD_MAX, "geometry");
	data += NTFS_BOOT_BYTES;
	size -= NTFS_BOOT_BYTES;
	ntfs_dirty_bit(data, size);
	ntfs_log_offset(data, size, &g, &offset);
	ntfs_log_dirty(data, size);
}

static void check_version(const uint8_t *data, size_t size)
{
	char text[VERSION_TEXT_BYTES];
	int64_t offset, version, again;
	uint32_t bytes;

	if (version_section(data, size, &offset, &bytes) == 0)
		FUZZ_CHECK(offset >= 0 && bytes > 0 && bytes <= VERSION_SECTION_BYTES, "section");
	if (version_find(data, size, &version) == 0)
		FUZZ_CHECK(version_parse(version_text(version, text), &again) == 0 && again == version, "%s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_table(data, size, size); /* its last sector may hold the copy of a GPT */
	if (size < ROOM_BYTES)
		check_table(data, size, ROOM_BYTES);
	check_ntfs(data, size);
	check_version(data, size);
	return 0;
}
