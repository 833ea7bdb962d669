/* The first bytes of disks, volumes and programs, as diskops reads them on the host: nothing is read beyond what is
 * there. */
#include "diskops/ntfs.h"
#include "diskops/table.h"
#include "diskops/version.h"
#include "fuzz.h"

static void check_table(const uint8_t *data, size_t size)
{
	struct table table;

	table_parse(&table, data, size);
	FUZZ_CHECK(table.count <= TABLE_PARTS_MAX, "%zu", table.count);
	FUZZ_CHECK(table.kind != TABLE_NONE || table.count == 0, "partitions without a table");
	for (size_t i = 0; i < table.count; i++) {
		const struct table_part *p = &table.parts[i];

		FUZZ_CHECK(p->number >= 1 && p->size_bytes > 0 && p->start_bytes + p->size_bytes > p->start_bytes, "%u",
			p->number);
		FUZZ_CHECK(table_has(&table, p->type) && table_type_name(p->type) != NULL, "type");
	}
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
	check_table(data, size);
	check_ntfs(data, size);
	check_version(data, size);
	return 0;
}
