/* Machine types, places, permissions: what there is to read about the project. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

/* "n2-standard-4" -> 4; 0 when it does not say. */
static int64_t cpus(const char *type)
{
	const char *dash = strrchr(type, '-');
	int64_t n = 0;

	return dash != NULL && ff_parse_i64(dash + 1, 1, 1000, &n) == 0 ? n : 0;
}

static bool shared_core(const char *type)
{
	static const char *const names[] = {"f1-micro", "g1-small", "e2-micro", "e2-small", "e2-medium"};

	for (size_t i = 0; i < FF_COUNT(names); i++)
		if (ff_streq(type, names[i]))
			return true;
	return false;
}

/* Series that take hyperdisks only: cloud.google.com/compute/docs/disks/hyperdisks. */
static bool hyperdisk_only(const char *type)
{
	return ff_has_prefix(type, "n4") || ff_has_prefix(type, "c4");
}

bool gc_machine_is_known(const char *type)
{
	static const char *const series[] = {"n1-", "n2-", "n2d-", "e2-", "n4-", "c2-", "c2d-", "c3-", "c3d-", "c4-",
		"c4a-", "t2d-", "m1-", "m2-", "m3-"};

	if (!gc_name_is_fine(type) || shared_core(type))
		return shared_core(type);
	for (size_t i = 0; i < FF_COUNT(series); i++)
		if (ff_has_prefix(type, series[i]) && cpus(type) > 0)
			return true;
	return ff_has_prefix(type, "custom-") && cpus(type) > 0;
}

int64_t gc_machine_disks(const char *type)
{
	int64_t n = cpus(type);

	if (shared_core(type))
		return 16; /* kubernetes/kubernetes#77311 */
	if (hyperdisk_only(type))
		return n <= 2 ? 8 : n <= 8 ? 16 : n <= 32 ? 32 : 64; /* n4-standard-4: 16, pd-csi-driver#1819 */
	return 128;
}

bool gc_machine_takes(const char *machine_type, const char *disk_type)
{
	return !hyperdisk_only(machine_type) || ff_has_prefix(disk_type, "hyperdisk-");
}

void gc_machine_type(struct gc_call *c)
{
	json_t *o;

	if (!gc_machine_is_known(c->name)) {
		gc_not_found(c, c->resource);
		return;
	}
	o = json_pack("{s:s,s:s,s:I,s:I,s:b,s:I}", "kind", "compute#machineType", "name", c->name, "guestCpus",
		(json_int_t)(cpus(c->name) > 0 ? cpus(c->name) : 2), "memoryMb", (json_int_t)8192, "isSharedCpu",
		shared_core(c->name), "maximumPersistentDisks", (json_int_t)gc_machine_disks(c->name));
	ff_json_set_str(o, "id", "801016");
	ff_json_set_str(o, "maximumPersistentDisksSizeGb", "263168");
	ff_json_set_str(o, "zone", c->zone);
	ff_json_set_new(o, "selfLink", gc_url_json("%s", c->resource));
	gc_reply(c, 200, o);
}

void gc_zone_get(struct gc_call *c)
{
	ff_auto_free char *region = gc_region_of(c->zone);

	gc_reply(c, 200,
		json_pack("{s:s,s:s,s:s,s:o,s:o}", "kind", "compute#zone", "name", c->zone, "status", "UP", "region",
			gc_url_json("projects/%s/regions/%s", c->gc->project, region), "selfLink",
			gc_url_json("projects/%s/zones/%s", c->gc->project, c->zone)));
}

void gc_project_get(struct gc_call *c)
{
	gc_reply(c, 200,
		json_pack("{s:s,s:s,s:s,s:s,s:o}", "kind", "compute#project", "id", c->gc->number, "name",
			c->gc->project, "xpnProjectStatus", "UNSPECIFIED_XPN_PROJECT_STATUS", "selfLink",
			gc_url_json("projects/%s", c->gc->project)));
}

void gc_test_permissions(struct gc_call *c)
{
	json_t *granted = json_array(), *answer = json_object();
	size_t i;
	json_t *p;

	if (strstr(c->resource, "/instances/") != NULL ? gc_vm_of(c) == NULL : gc_disk_of(c) == NULL) {
		json_decref(granted);
		json_decref(answer);
		return;
	}
	json_array_foreach (json_object_get(c->body, "permissions"), i, p)
		if (json_is_string(p) && gc_may(c->gc, json_string_value(p), c->resource))
			json_array_append(granted, p);
	if (json_array_size(granted) > 0)
		json_object_set(answer, "permissions", granted);
	json_decref(granted);
	gc_reply(c, 200, answer);
}
