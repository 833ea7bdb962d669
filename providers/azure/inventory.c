/* What discovery has found: made, handed out, and freed. */
#include "found.h"

#include <stdlib.h>

struct azure_found *azure_found_new(bool take_over, const char *own_run)
{
	struct azure_found *f = ff_calloc(1, sizeof(*f));

	f->take_over = take_over;
	f->own_run = ff_strdup(own_run);
	f->by_id = json_object();
	f->disks = json_object();
	f->sizes = json_object();
	f->dynamic = json_object();
	f->links = json_object();
	f->locks = json_array();
	f->shared = json_object();
	TAILQ_INIT(&f->waiting);
	TAILQ_INIT(&f->asked);
	return f;
}

void azure_ask_free(struct azure_ask *q)
{
	free(q->what);
	free(q->url);
	free(q);
}

static void vm_free(struct ff_vm *vm)
{
	char *const texts[] = {vm->id, vm->name, vm->scope, vm->region, vm->zone, vm->os, vm->state, vm->reason,
		vm->disk_id, vm->disk_encryption};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		free(texts[i]);
	ff_strv_free(&vm->evidence);
	ff_strv_free(&vm->hazards);
	json_decref(vm->tags);
	json_decref(vm->facts);
	free(vm);
}

void azure_found_forget(struct azure_found *f)
{
	json_t **const maps[] = {&f->by_id, &f->disks, &f->sizes, &f->dynamic, &f->links, &f->locks, &f->shared};

	for (size_t i = 0; f->sides != NULL && i < f->count; i++) {
		free(f->sides[i].size);
		free(f->sides[i].unread);
		ff_strv_free(&f->sides[i].nics);
	}
	free(f->sides);
	f->sides = NULL;
	for (size_t i = 0; i < FF_COUNT(maps); i++) {
		json_decref(*maps[i]);
		*maps[i] = NULL;
	}
}

void azure_found_free(struct azure_found *f)
{
	struct azure_ask *q;

	if (f == NULL)
		return;
	azure_found_forget(f);
	for (size_t i = 0; i < f->count; i++)
		vm_free(f->vms[i]);
	free(f->vms);
	free(f->own_run);
	while ((q = TAILQ_FIRST(&f->waiting)) != NULL) {
		TAILQ_REMOVE(&f->waiting, q, link);
		azure_ask_free(q);
	}
	while ((q = TAILQ_FIRST(&f->asked)) != NULL) {
		TAILQ_REMOVE(&f->asked, q, link);
		azure_ask_free(q);
	}
	ff_strv_free(&f->notes);
	free(f);
}

size_t azure_vms(const struct ff_cloud *cloud, struct ff_vm ***vms)
{
	*vms = cloud->found->vms;
	return cloud->found->count;
}

const struct ff_strv *azure_notes(const struct ff_cloud *cloud)
{
	return &cloud->found->notes;
}

/* The first value with that text, instead of this one. Steals and returns a reference. */
static json_t *share(struct azure_found *f, json_t *value)
{
	ff_auto_free char *text = ff_json_text(value);
	json_t *first = json_object_get(f->shared, text);

	if (first == NULL) {
		ff_json_set_new(f->shared, text, json_incref(value));
		return value;
	}
	json_decref(value);
	return json_incref(first);
}

static void share_member(struct azure_found *f, json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (value != NULL)
		ff_json_set_new(object, key, share(f, json_incref(value)));
}

void azure_found_share(struct azure_found *f, struct ff_vm *vm)
{
	static const char *const same[] = {"osType", "createOption", "caching", "deleteOption"};
	json_t *os_disk = json_object_get(vm->facts, "os_disk");

	vm->tags = share(f, vm->tags);
	share_member(f, vm->facts, "disk");
	for (size_t i = 0; i < FF_COUNT(same); i++)
		share_member(f, os_disk, same[i]);
	share_member(f, json_object_get(os_disk, "managedDisk"), "storageAccountType");
}
