#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>

#include "fixfleet/json.h"

#define DISK_GIB 127 /* of a Windows VM, as the clouds' images have it */

json_t *vw_scenario(uint64_t seed)
{
	json_t *scenario = json_object();

	ff_json_set_int(scenario, "seed", (int64_t)(seed >> 1));
	return scenario;
}

static json_t *text(const char *fmt, unsigned number)
{
	char name[64];

	snprintf(name, sizeof(name), fmt, number); /* NOLINT: the formats are those below */
	return json_string(name);
}

/* The image of a VM's OS disk; its name. */
static json_t *image(struct vw *vw, const char *cloud, unsigned number)
{
	char origin[64], name[80];

	snprintf(origin, sizeof(origin), "%s:vm-%04u", cloud, number);
	snprintf(name, sizeof(name), "os-%s", origin);
	vw_disk_add(vw, name, origin, true, (int64_t)DISK_GIB << 30);
	return json_string(name);
}

static json_t *zone_of(const char *const zones[3], const struct vw_fleet *f, unsigned i)
{
	return json_string(zones[i % (f->zones < 3 ? f->zones : 3)]);
}

static json_t *part_of(json_t *scenario, const char *cloud, const struct vw_fleet *f, json_t *vms)
{
	json_t *part = f->more != NULL ? json_deep_copy(f->more) : json_object();

	json_object_set_new(part, "vms", vms);
	json_object_set_new(scenario, cloud, part);
	return part;
}

void vw_add_azure(struct vw *vw, json_t *scenario, const struct vw_fleet *f)
{
	static const char *const zones[] = {"1", "2", "3"};
	json_t *vms = json_array(), *part;

	for (unsigned i = 0; i < f->vms; i++)
		json_array_append_new(
			vms, json_pack("{s:o, s:o, s:{s:o, s:o, s:i, s:s}}", "name", text("vm-%04u", i), "zone",
				     zone_of(zones, f, i), "os_disk", "name", text("vm-%04u-os", i), "image",
				     image(vw, "azure", i), "size_gib", DISK_GIB, "sku", "Premium_LRS"));
	for (unsigned i = 0; i < f->zones * f->rescues; i++)
		json_array_append_new(vms,
			json_pack("{s:o, s:o, s:s, s:s, s:{s:s}, s:{s:o, s:i}}", "name", text("rescue-az-%u", i),
				"zone", zone_of(zones, f, i), "os", "Linux", "size", f->size, "tags", "fixfleet-role",
				"rescue", "os_disk", "name", text("rescue-az-%u-os", i), "size_gib", 30));
	part = part_of(scenario, "azure", f, vms);
	ff_json_set_str(part, "client_secret", "s1");
}

void vw_add_aws(struct vw *vw, json_t *scenario, const struct vw_fleet *f)
{
	static const char *const zones[] = {"us-east-1a", "us-east-1b", "us-east-1c"};
	json_t *vms = json_array();

	for (unsigned i = 0; i < f->vms; i++)
		json_array_append_new(
			vms, json_pack("{s:o, s:o, s:{s:o, s:i}}", "name", text("vm-%04u", i), "zone",
				     zone_of(zones, f, i), "root", "image", image(vw, "aws", i), "size_gib", DISK_GIB));
	for (unsigned i = 0; i < f->zones * f->rescues; i++)
		json_array_append_new(vms, json_pack("{s:o, s:o, s:s, s:s, s:{s:s}}", "name", text("rescue-aws-%u", i),
						   "zone", zone_of(zones, f, i), "os", "Linux", "type", f->size, "tags",
						   "fixfleet-role", "rescue"));
	part_of(scenario, "aws", f, vms);
}

void vw_add_gcp(struct vw *vw, json_t *scenario, const struct vw_fleet *f)
{
	static const char *const zones[] = {"us-central1-a", "us-central1-b", "us-central1-c"};
	json_t *vms = json_array(), *part;

	for (unsigned i = 0; i < f->vms; i++)
		json_array_append_new(
			vms, json_pack("{s:o, s:o, s:{s:o, s:i}}", "name", text("vm-%04u", i), "zone",
				     zone_of(zones, f, i), "boot", "image", image(vw, "gcp", i), "size_gib", DISK_GIB));
	for (unsigned i = 0; i < f->zones * f->rescues; i++)
		json_array_append_new(vms, json_pack("{s:o, s:o, s:s, s:s, s:{s:s}}", "name", text("rescue-gcp-%u", i),
						   "zone", zone_of(zones, f, i), "os", "Linux", "machine_type", f->size,
						   "labels", "fixfleet-role", "rescue"));
	part = part_of(scenario, "gcp", f, vms);
	ff_json_set_new(part, "user",
		json_pack("{s:s, s:s, s:s}", "client_id", "c1", "client_secret", "s1", "refresh_token", "r1"));
}
