/*
 * May this identity do what a repair will do? Asked with testIamPermissions before anything is touched, of one affected
 * VM and its disk for all: a role that lacks attachDisk would otherwise show when the disk is detached, and keep it
 * from coming home.
 */
#include "found.h"

#include <string.h>

static const char *const of_vm[] = {"compute.instances.setLabels", "compute.instances.stop", "compute.instances.start",
	"compute.instances.detachDisk", "compute.instances.attachDisk", "compute.instances.getSerialPortOutput", NULL};
static const char *const of_disk[] = {
	"compute.disks.setLabels", "compute.disks.use", "compute.disks.createSnapshot", NULL};

static const char *const *needed(const struct gcp_question *q)
{
	return strstr(q->path, "/instances/") != NULL ? of_vm : of_disk;
}

/* createSnapshot is not wanted with --backup none; what is asked is what is missed. */
static bool is_wanted(const struct gcp_question *q, const char *permission)
{
	return !(q->no_backup && ff_streq(permission, "compute.disks.createSnapshot"));
}

static void ask_about(struct ff_cloud *cloud, const char *path)
{
	gcp_question_new(cloud->found, GCP_Q_PERMITS, ff_strdup(path), "/testIamPermissions")->no_backup =
		cloud->no_backup;
}

static bool has_rescue(const struct gcp_found *found, const struct ff_vm *vm)
{
	struct ff_err err;

	for (size_t i = 0; i < found->count; i++)
		if (found->items[i]->vm.rescue && gcp_fits(vm, &found->items[i]->vm, &err) == 0)
			return true;
	return false;
}

void gcp_permits_ask(struct ff_cloud *cloud)
{
	struct gcp_found *found = cloud->found;

	for (size_t i = 0; cloud->preflight && i < found->count; i++) {
		const struct ff_vm *vm = &found->items[i]->vm;

		if (vm->health != FF_AFFECTED || !has_rescue(found, vm))
			continue;
		ask_about(cloud, vm->id);
		ask_about(cloud, vm->disk_id);
		return;
	}
}

json_t *gcp_permits_body(const struct gcp_question *q)
{
	json_t *names = json_array();

	for (const char *const *p = needed(q); *p != NULL; p++)
		if (is_wanted(q, *p))
			json_array_append_new(names, json_string(*p));
	return json_pack("{s:o}", "permissions", names);
}

static bool is_granted(const json_t *answer, const char *permission)
{
	const json_t *name;
	size_t i;

	json_array_foreach (json_object_get(answer, "permissions"), i, name)
		if (ff_streq(json_string_value(name), permission))
			return true;
	return false;
}

void gcp_permits_read(struct gcp_found *found, const struct gcp_question *q, const json_t *answer)
{
	ff_auto_buf missing = {0};

	for (const char *const *p = needed(q); *p != NULL; p++)
		if (is_wanted(q, *p) && !is_granted(answer, *p))
			ff_buf_addf(&missing, "%s%s", missing.len ? ", " : "", *p);
	if (missing.len == 0)
		return;
	for (size_t i = 0; i < found->count; i++) {
		struct ff_vm *vm = &found->items[i]->vm;

		if (vm->health == FF_AFFECTED)
			gcp_skip(found->items[i],
				ff_printf("permission is missing: %s for '%s'", missing.text, q->path));
	}
}
