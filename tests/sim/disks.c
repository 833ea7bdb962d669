/* The disks' content, and where it is seen: what the model's effects do to image files, done to small structs. */
#include "disks.h"

#include <stdio.h>
#include <stdlib.h>

struct vw_disk *vw_disk_of(const struct vw *vw, const char *image)
{
	return image != NULL ? ff_table_get(&vw->disks, image) : NULL;
}

struct vw_disk *vw_disk_add(struct vw *vw, const char *image, const char *origin, bool bad, int64_t bytes)
{
	struct vw_disk *d = ff_calloc(1, sizeof(*d));

	d->origin = ff_strdup(origin);
	d->bad = bad;
	d->files = bad;
	d->bytes = bytes;
	ff_table_set(&vw->disks, image, d);
	return d;
}

static void disk_free(void *value)
{
	struct vw_disk *d = value;

	free(d->origin);
	free(d);
}

void vw_disks_free(struct vw *vw)
{
	ff_table_free(&vw->disks, disk_free);
	ff_table_free(&vw->places, free);
}

/* ---- the model's hooks */

int vw_image_is_bad(void *arg, const char *image)
{
	const struct vw_disk *d = vw_disk_of(arg, image);

	return d == NULL ? -1 : d->bad || d->half;
}

char *vw_image_name(void *arg, const char *disk_id, unsigned number)
{
	struct vw *vw = arg;

	(void)disk_id;
	(void)number;
	return ff_printf("image-%u", ++vw->images);
}

/* ---- effects */

static void copy(struct vw *vw, const char *from, const char *to)
{
	const struct vw_disk *source = vw_disk_of(vw, from);
	struct vw_disk *d;

	if (source == NULL)
		return;
	d = vw_disk_add(vw, to, source->origin, source->bad, source->bytes);
	d->half = source->half;
	d->files = source->files;
	d->mends = source->mends;
}

/* Azure names data disks by LUN, the others by a link of their own. */
static char *place_of(const struct sim_effect *e)
{
	return e->link != NULL ? ff_printf("%s %s", e->vm, e->link)
			       : ff_printf("%s disk/azure/data/by-lun/%d", e->vm, e->lun);
}

static void carry_out(struct vw *vw, const struct sim_effect *e)
{
	ff_auto_free char *place = NULL;

	switch (e->kind) {
	case SIM_COPY_IMAGE:
		copy(vw, e->from, e->image);
		break;
	case SIM_DELETE_IMAGE:
		if (vw_disk_of(vw, e->image) != NULL)
			disk_free(ff_table_remove(&vw->disks, e->image));
		break;
	case SIM_LINK:
		place = place_of(e);
		free(ff_table_remove(&vw->places, place));
		if (e->image != NULL)
			ff_table_set(&vw->places, place, ff_strdup(e->image));
		break;
	case SIM_UNLINK:
		place = place_of(e);
		free(ff_table_remove(&vw->places, place));
		break;
	}
}

void vw_carry_out_due(struct vw *vw)
{
	size_t n;
	struct sim_effect *effects = sim_take_effects(vw->sim, &n);

	for (size_t i = 0; i < n; i++)
		carry_out(vw, &effects[i]);
	sim_effects_free(effects, n);
}

const char *vw_image_at(const struct vw *vw, const char *rescue, const json_t *paths)
{
	const json_t *path;
	size_t i;

	json_array_foreach ((json_t *)paths, i, path) {
		ff_auto_free char *place = ff_printf("%s %s", rescue, json_string_value(path));
		const char *image = ff_table_get(&vw->places, place);

		if (image != NULL)
			return image;
	}
	return NULL;
}
