/* What is drawn for an incident: its fleet, what goes wrong in the clouds, what its operators asked for. */
#include <stdlib.h>

#include "fleet.h"
#include "incident.h"

#include "fixfleet/json.h"

/* The plan's own random numbers: what the engine draws does not change the plan. */
uint64_t vw_draw(struct vw_incident *i, uint64_t below)
{
	uint64_t z = (i->random += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return (z ^ (z >> 31)) % below;
}

bool vw_chance(struct vw_incident *i, unsigned percent)
{
	return vw_draw(i, 100) < percent;
}

/* ---------------------------------------------------------------- the fleet */

static unsigned fleet_size(struct vw_incident *i)
{
	uint64_t kind = vw_draw(i, 100);

	if (i->o->vms > 0)
		return i->o->vms;
	return kind < 70   ? 1 + (unsigned)vw_draw(i, 4)
	       : kind < 92 ? 5 + (unsigned)vw_draw(i, 10)
	       : kind < 99 ? 15 + (unsigned)vw_draw(i, 35)
			   : 50 + (unsigned)vw_draw(i, 151);
}

static const char *one_of(struct vw_incident *i, const char *const *words, size_t n)
{
	return words[vw_draw(i, n)];
}
#define ONE_OF(i, ...)                                                                                                 \
	one_of(i, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* Some VMs are well, some disks unreadable, some are attached in their own way, some must not be touched. */
static void vary_vm(struct vw_incident *i, const char *cloud, json_t *vm)
{
	bool azure = ff_streq(cloud, "azure"), aws = ff_streq(cloud, "aws");
	json_t *disk = json_object_get(vm, azure ? "os_disk" : aws ? "root" : "boot");
	struct vw_disk *content = vw_disk_of(i->vw, ff_json_str(disk, "image"));

	if (content == NULL || i->o->cloud != NULL)
		return;
	if (vw_chance(i, 12))
		content->bad = false;
	else if (vw_chance(i, 4))
		content->unreadable = true;
	if (vw_chance(i, 20)) {
		if (azure)
			ff_json_set_str(disk, "delete_option", ONE_OF(i, "Delete", "Detach"));
		else if (aws)
			ff_json_set_bool(disk, "delete_on_termination", false);
		else
			ff_json_set_bool(disk, "auto_delete", false);
	}
	if (vw_chance(i, 20)) {
		if (azure)
			ff_json_set_str(disk, "caching", ONE_OF(i, "None", "ReadOnly"));
		else if (aws)
			ff_json_set_str(disk, "device", "/dev/xvda");
		else
			ff_json_set_str(disk, "device_name", "my-boot");
	}
	if (vw_chance(i, 15))
		ff_json_set_new(vm, azure || aws ? "tags" : "labels", json_pack("{s:s}", "owner", "ops"));
	if (vw_chance(i, 4))
		ff_json_set_bool(vm, "spot", true);
}

static void note_sick(struct vw_incident *i, const char *cloud, const json_t *vm)
{
	static const char *const disks[] = {"os_disk/image", "root/image", "boot/image"};
	ff_auto_free char *key = ff_printf("%s %s", cloud, ff_json_str(vm, "name"));
	const struct vw_disk *content = NULL;

	for (size_t k = 0; k < FF_COUNT(disks) && content == NULL; k++)
		content = vw_disk_of(i->vw, ff_json_str(vm, disks[k]));
	if (content != NULL && content->bad && !content->unreadable && !ff_json_bool(vm, "spot", false))
		ff_table_set(&i->sick, key, i);
}

static void vary_cloud(struct vw_incident *i, const char *cloud, json_t *part)
{
	if (i->o->cloud != NULL)
		return;
	if (ff_streq(cloud, "azure")) {
		ff_json_set_str(part, "attach_api", ONE_OF(i, "allowed", "allowed", "subscription", "region"));
		ff_json_set_str(part, "attach_batch", ONE_OF(i, "atomic", "partial"));
		ff_json_set_str(part, "patch_tags", ONE_OF(i, "replace", "merge"));
		ff_json_set_str(part, "concurrent", ONE_OF(i, "conflict", "preempt"));
		ff_json_set_bool(part, "swap_needs_deallocate", vw_chance(i, 15));
		ff_json_set_int(part, "token_seconds", vw_chance(i, 30) ? 400 : 3599);
	} else if (ff_streq(cloud, "aws")) {
		ff_json_set_new(part, "lag_ms",
			json_pack("{s:I, s:I, s:I}", "instances", (json_int_t)vw_draw(i, 8000), "volumes",
				(json_int_t)vw_draw(i, 4000), "tags", (json_int_t)vw_draw(i, 2001)));
	} else {
		ff_json_set_str(part, "refusals", ONE_OF(i, "http", "operation"));
		ff_json_set_str(part, "concurrent", ONE_OF(i, "queue", "refuse"));
		ff_json_set_int(part, "token_seconds", vw_chance(i, 30) ? 400 : 3599);
	}
}

static const struct {
	const char *name, *size;
	void (*add)(struct vw *vw, json_t *scenario, const struct vw_fleet *fleet);
} clouds[] = {
	{"azure", "Standard_D4s_v3", vw_add_azure},
	{"aws", "m5.large", vw_add_aws},
	{"gcp", "n2-standard-4", vw_add_gcp},
};

static void choose_clouds(struct vw_incident *i, bool there[3])
{
	const char *one = i->o->cloud != NULL ? i->o->cloud : i->o->only;

	if (one != NULL) {
		for (size_t c = 0; c < 3; c++)
			there[c] = ff_streq(clouds[c].name, one);
		return;
	}
	there[vw_draw(i, 3)] = true;
	if (vw_chance(i, 15))
		there[vw_draw(i, 3)] = true;
	if (vw_chance(i, 5))
		there[0] = there[1] = there[2] = true;
}

json_t *vw_plan_fleet(struct vw_incident *i, uint64_t seed)
{
	bool there[3] = {false};
	json_t *scenario = vw_scenario(seed), *vm;
	size_t k;

	choose_clouds(i, there);
	for (size_t c = 0; c < 3; c++) {
		struct vw_fleet f = {.zones = 1 + (unsigned)vw_draw(i, 3), .rescues = 1 + vw_chance(i, 20)};
		json_t *part;

		if (!there[c])
			continue;
		f.size = clouds[c].size;
		f.vms = fleet_size(i);
		if (i->o->cloud != NULL)
			f.zones = f.rescues = 1;
		i->r->vms += f.vms;
		clouds[c].add(i->vw, scenario, &f);
		part = json_object_get(scenario, clouds[c].name);
		vary_cloud(i, clouds[c].name, part);
		json_array_foreach (json_object_get(part, "vms"), k, vm) {
			vary_vm(i, clouds[c].name, vm);
			note_sick(i, clouds[c].name, vm);
		}
	}
	return scenario;
}

/* ---------------------------------------------------------------- operators */

/* As the command line has them: 5 or 10 % where nothing is said, a number, a part, no limit at all. */
void vw_plan_waves(struct vw_incident *i, struct vw_waves *w)
{
	uint64_t kind = vw_draw(i, 100);

	w->canary = kind < 50 ? 1 : kind < 75 ? 2 + (unsigned)vw_draw(i, 4) : 0;
	kind = vw_draw(i, 100);
	if (kind < 40) {
		w->max_failures = 5;
		w->max_failures_percent = 10;
	} else if (kind < 60) {
		w->max_failures = 1 + (unsigned)vw_draw(i, 5);
	} else if (kind < 80) {
		w->max_failures_percent = 1 + (unsigned)vw_draw(i, 100);
	}
}

/* ---------------------------------------------------------------- what goes wrong in the clouds */

/* What one of these asks for is refused, for a while or for good. */
static const char *const of_a_repair[] = {"POST */powerOff*", "POST */start*", "PATCH */virtualMachines/vm*",
	"PUT */disks/*", "POST */attachDetachDataDisks*", "DELETE *", "POST / *Action=AttachVolume*",
	"POST / *Action=DetachVolume*", "POST / *Action=StartInstances*", "POST / *Action=ModifyInstanceAttribute*",
	"POST / *Action=CreateTags*", "POST */attachDisk*", "POST */detachDisk*", "POST */setLabels*", "POST */stop*",
	"GET *"};

static const char *const of_what_comes_after[] = {"POST */powerOff*", "POST */start*", "PATCH */virtualMachines/vm*",
	"PATCH */disks/*", "DELETE *", "POST / *Action=AttachVolume*", "POST / *Action=DetachVolume*",
	"POST / *Action=CreateVolume*", "POST / *Action=DeleteSnapshot*", "POST / *Action=DeleteVolume*",
	"POST / *Action=ModifyInstanceAttribute*", "POST / *Action=CreateTags*", "POST */attachDisk*",
	"POST */detachDisk*", "POST */disks", "POST */setLabels*", "POST */stop*", "GET *"};

static void plan_revoking(struct vw_incident *i, const char *const *permissions, size_t n)
{
	struct vw_faults *f = &i->vw->faults;

	if (!vw_chance(i, 12))
		return;
	f->revoked = permissions[vw_draw(i, n)];
	f->revoked_ms = i->vw->now_ms + (int64_t)vw_draw(i, 400000);
	f->restored_ms = vw_chance(i, 50) ? f->revoked_ms + (int64_t)vw_draw(i, 3600000) : INT64_MAX;
	i->revoked = true;
}

void vw_plan_faults(struct vw_incident *i, bool later)
{
	struct vw_faults *f = &i->vw->faults;

	f->permille = vw_chance(i, 70) ? 1 + (unsigned)vw_draw(i, vw_chance(i, 30) ? 200 : 40) : 0;
	f->worker_permille = vw_chance(i, 30) ? 1 + (unsigned)vw_draw(i, 100) : 0;
	f->left = 1 + (unsigned)vw_draw(i, 10 + 2 * i->r->vms);
	if (later)
		plan_revoking(i, of_what_comes_after, FF_COUNT(of_what_comes_after));
	else
		plan_revoking(i, of_a_repair, FF_COUNT(of_a_repair));
}
