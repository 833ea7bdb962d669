/* Finding machines, disks, snapshots and places by name and URL. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

void gc_set(char **text, const char *value)
{
	char *copy = ff_strdup(value);

	free(*text);
	*text = copy;
}

static bool find(const json_t *index, const char *zone, const char *name, size_t *i)
{
	ff_auto_free char *key = ff_printf("%s/%s", zone, name);

	return sim_index_get(index, key, i);
}

struct gc_vm *gc_find_vm(const struct gcp *gc, const char *zone, const char *name)
{
	size_t i;

	return find(gc->vm_index, zone, name, &i) && ff_streq(gc->vms[i]->name, name) && !gc->vms[i]->gone ? gc->vms[i]
													   : NULL;
}

struct gc_vm *gc_vm_named(const struct gcp *gc, const char *name)
{
	for (size_t i = 0; i < gc->vm_count; i++)
		if (ff_streq(gc->vms[i]->name, name) && !gc->vms[i]->gone)
			return gc->vms[i];
	return NULL;
}

struct gc_disk *gc_find_disk(const struct gcp *gc, const char *zone, const char *name)
{
	size_t i;

	return find(gc->disk_index, zone, name, &i) && ff_streq(gc->disks[i]->name, name) ? gc->disks[i] : NULL;
}

/* ".../projects/P/zones/Z/disks/D", ".../regions/R/disks/D", and the same from "zones/" on. */
struct gc_disk *gc_disk_by_url(const struct gcp *gc, const char *url)
{
	const char *p = url != NULL ? strstr(url, "projects/") : NULL, *place, *disks;
	ff_auto_free char *zone = NULL;

	if (p != NULL) {
		size_t n = strcspn(p += strlen("projects/"), "/");

		if ((strlen(gc->project) != n || strncmp(p, gc->project, n) != 0) &&
			(strlen(gc->number) != n || strncmp(p, gc->number, n) != 0))
			return NULL;
		place = p + n + (p[n] == '/');
	} else {
		place = url != NULL ? url : "";
	}
	if (!ff_has_prefix(place, "zones/") && !ff_has_prefix(place, "regions/"))
		return NULL;
	place = strchr(place, '/') + 1;
	disks = strstr(place, "/disks/");
	if (disks == NULL)
		return NULL;
	zone = ff_strndup(place, (size_t)(disks - place));
	return gc_find_disk(gc, zone, disks + strlen("/disks/"));
}

struct gc_snapshot *gc_find_snapshot(const struct gcp *gc, const char *name)
{
	for (size_t i = 0; i < gc->snapshot_count; i++)
		if (!gc->snapshots[i]->gone && ff_streq(gc->snapshots[i]->name, name))
			return gc->snapshots[i];
	return NULL;
}

struct gc_attached *gc_device(const struct gc_vm *vm, const char *device_name)
{
	for (size_t i = 0; i < vm->disk_count; i++)
		if (ff_streq(vm->disks[i].device_name, device_name))
			return &vm->disks[i];
	return NULL;
}

struct gc_attached *gc_boot_disk(const struct gc_vm *vm)
{
	for (size_t i = 0; i < vm->disk_count; i++)
		if (vm->disks[i].boot)
			return &vm->disks[i];
	return NULL;
}

struct gc_vm *gc_user_of(const struct gcp *gc, const struct gc_disk *disk, size_t *count)
{
	struct gc_vm *user = NULL;
	size_t n = 0;
	bool known = disk != NULL && (disk->users == 0 || (disk->user != NULL && !disk->user->gone));

	if (known) { /* of every disk in a list it is asked */
		user = disk->user;
		n = disk->users;
	}
	for (size_t i = 0; i < gc->vm_count && !known; i++) {
		for (size_t k = 0; k < gc->vms[i]->disk_count && !gc->vms[i]->gone; k++) {
			if (gc->vms[i]->disks[k].disk != disk)
				continue;
			user = user != NULL ? user : gc->vms[i];
			n++;
		}
	}
	if (count != NULL)
		*count = n;
	return user;
}

bool gc_known_zone(const struct gcp *gc, const char *zone)
{
	return ff_strv_has(&gc->zones, zone);
}

bool gc_known_region(const struct gcp *gc, const char *region)
{
	for (size_t i = 0; i < gc->zones.count; i++) {
		ff_auto_free char *of = gc_region_of(gc->zones.items[i]);

		if (ff_streq(of, region))
			return true;
	}
	return false;
}

bool gc_unreachable(const struct gcp *gc, const char *zone)
{
	return ff_strv_has(&gc->unreachable, zone);
}

char *gc_region_of(const char *zone)
{
	const char *dash = strrchr(zone, '-');

	return dash != NULL && dash[1] != '\0' && dash[2] == '\0' ? ff_strndup(zone, (size_t)(dash - zone))
								  : ff_strdup(zone);
}

char *gc_vm_path(const struct gcp *gc, const struct gc_vm *vm)
{
	return ff_printf("projects/%s/zones/%s/instances/%s", gc->project, vm->zone, vm->name);
}

char *gc_disk_path(const struct gcp *gc, const struct gc_disk *disk)
{
	return ff_printf("projects/%s/%s/%s/disks/%s", gc->project, disk->regional ? "regions" : "zones", disk->zone,
		disk->name);
}

char *gc_snapshot_path(const struct gcp *gc, const struct gc_snapshot *s)
{
	return ff_printf("projects/%s/global/snapshots/%s", gc->project, s->name);
}

struct gc_disk *gc_add_disk(struct sim *sim, struct gcp *gc, const char *zone, const char *name)
{
	struct gc_disk *d = ff_calloc(1, sizeof(*d));
	ff_auto_free char *key = ff_printf("%s/%s", zone, name);

	d->name = ff_strdup(name);
	d->zone = ff_strdup(zone);
	d->type = ff_strdup("pd-balanced");
	d->architecture = ff_strdup("X86_64");
	d->labels = json_object();
	d->features = json_array();
	d->licenses = json_array();
	d->id = sim_random(sim) >> 1;
	d->created_ms = sim->now_ms;
	d->size_gb = 50;
	gc->disks = ff_realloc(gc->disks, gc->disk_count + 1, sizeof(*gc->disks));
	sim_index_put(gc->disk_index, key, gc->disk_count);
	gc->disks[gc->disk_count++] = d;
	return d;
}

struct gc_vm *gc_vm_of(struct gc_call *c)
{
	struct gc_vm *vm = gc_find_vm(c->gc, c->zone, c->name);

	if (vm == NULL)
		gc_not_found(c, c->resource);
	return vm;
}

struct gc_disk *gc_disk_of(struct gc_call *c)
{
	struct gc_disk *d = gc_find_disk(c->gc, c->zone, c->name);

	if (d == NULL)
		gc_not_found(c, c->resource);
	return d;
}
