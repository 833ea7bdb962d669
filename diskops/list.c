/* What is on a disk, for people: partitions, file systems, encryption, Windows. */
#include <stdlib.h>
#include <string.h>

#include "bitlocker.h"
#include "fixfleet/json.h"
#include "scan.h"
#include "version.h"

/* What libblkid calls it; it knows neither BitLocker before 2.33 nor an NTFS that is damaged. The caller frees. */
static char *file_system(const struct scan *s, const char *partition, enum volume_kind volume)
{
	ff_auto_free char *type = NULL;

	if (volume == VOLUME_NTFS)
		return ff_strdup("ntfs");
	if (volume == VOLUME_BITLOCKER)
		return ff_strdup("bitlocker");
	if (volume == VOLUME_REFS)
		return ff_strdup("refs");
	type = guestfs_vfs_type(s->a->g, partition);
	return type != NULL && *type != '\0' && strcmp(type, "unknown") != 0 ? ff_printable(type) : NULL;
}

/* [{"id","kind"}]: which keys may open the volume. A new reference. */
static json_t *protectors(const struct scan *s, unsigned number)
{
	const struct locked *l = bitlocker_volume(s->job, number);
	json_t *list = json_array();

	for (size_t i = 0; l != NULL && l->readable && i < l->fve.protector_count; i++) {
		json_t *one = json_object();

		ff_json_set_str(one, "id", l->fve.protectors[i].id);
		ff_json_set_str(one, "kind", fve_kind_name(l->fve.protectors[i].kind));
		json_array_append_new(list, one);
	}
	return list;
}

void list_partition(struct scan *s, const char *partition, unsigned number, enum volume_kind volume)
{
	const struct table_part *part = table_part(&s->table, number);
	ff_auto_free char *fs = file_system(s, partition, volume);
	ff_auto_free char *label = fs && volume != VOLUME_BITLOCKER ? guestfs_vfs_label(s->a->g, partition) : NULL;
	int64_t bytes = guestfs_blockdev_getsize64(s->a->g, partition);
	json_t *entry = json_object();

	if (bytes < 0) /* the kernel refuses the table of a disk that was cut off: it is as large as the table says */
		bytes = part ? (int64_t)part->size_bytes : 0;
	ff_json_set_int(entry, "number", number);
	ff_json_set_int(entry, "start", part ? (int64_t)part->start_bytes : 0);
	ff_json_set_int(entry, "size_bytes", bytes);
	ff_json_set_new(entry, "type", part ? json_string(table_type_name(part->type)) : json_null());
	ff_json_set_new(entry, "file_system", fs ? json_string(fs) : json_null());
	ff_json_set_str(entry, "label", label && *label != '\0' ? label : NULL);
	ff_json_set_new(entry, "encryption", volume == VOLUME_BITLOCKER ? json_string("bitlocker") : json_null());
	if (volume == VOLUME_BITLOCKER)
		ff_json_set_new(entry, "protectors", protectors(s, number));
	ff_json_set_new(entry, "windows", json_array());
	if (s->parts == NULL)
		s->parts = json_array();
	json_array_append_new(s->parts, entry);
}

int list_roots(struct scan *s, struct ff_err *err)
{
	json_t *entry = json_array_get(s->parts, json_array_size(s->parts) - 1);

	for (size_t i = 0; i < s->roots.count; i++) {
		json_t *root = json_object();
		char text[VERSION_TEXT_BYTES];
		int64_t version;

		if (roots_version(s->a, s->roots.items[i], &version, err) < 0) {
			json_decref(root);
			return -1;
		}
		ff_json_set_str(root, "path", s->roots.items[i]);
		ff_json_set_new(root, "version", version >= 0 ? json_string(version_text(version, text)) : json_null());
		json_array_append_new(json_object_get(entry, "windows"), root);
	}
	return 0;
}

void list_disk(struct scan *s)
{
	static const char *const kinds[] = {[TABLE_NONE] = "none", [TABLE_MBR] = "mbr", [TABLE_GPT] = "gpt"};
	json_t *disk = json_object();

	ff_json_set_int(disk, "size_bytes", (int64_t)s->disk_bytes);
	ff_json_set_str(disk, "table", kinds[s->table.kind]);
	ff_json_set_bool(disk, "dynamic", table_has(&s->table, PART_DYNAMIC));
	ff_json_set_bool(disk, "truncated", table_beyond(&s->table, s->disk_bytes) != NULL);
	ff_json_set_new(disk, "partitions", s->parts ? json_incref(s->parts) : json_array());
	json_decref(s->job->listing);
	s->job->listing = disk;
}
