/* The end of GCP's part of a model. */
#include "gcp.h"

#include <stdlib.h>

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
}

static void free_disk(struct gc_disk *d)
{
	char *texts[] = {d->name, d->zone, d->type, d->image, d->csek_sha256, d->kms, d->architecture, d->snapshot};

	free_texts(texts, FF_COUNT(texts));
	json_decref(d->labels);
	json_decref(d->features);
	json_decref(d->licenses);
	free(d);
}

static void free_vm(struct gc_vm *vm)
{
	char *texts[] = {
		vm->name, vm->zone, vm->machine_type, vm->group, vm->nat_ip, vm->address, vm->as_was.device_name};

	free_texts(texts, FF_COUNT(texts));
	for (size_t i = 0; i < vm->disk_count; i++)
		free(vm->disks[i].device_name);
	free(vm->disks);
	ff_buf_free(&vm->serial);
	json_decref(vm->labels);
	json_decref(vm->metadata);
	free(vm);
}

static void free_snapshot(struct gc_snapshot *s)
{
	char *texts[] = {s->name, s->source, s->source_zone, s->csek_sha256, s->location, s->run, s->image};

	free_texts(texts, FF_COUNT(texts));
	json_decref(s->labels);
	free(s);
}

static void free_small(struct gcp *gc)
{
	for (size_t i = 0; i < gc->group_count; i++) {
		free(gc->groups[i].name);
		free(gc->groups[i].zone);
	}
	for (size_t i = 0; i < gc->deny_count; i++) {
		free(gc->deny[i].permission);
		free(gc->deny[i].resource);
	}
	for (size_t i = 0; i < gc->window_count; i++)
		free(gc->windows[i].key);
	free(gc->groups);
	free(gc->deny);
	free(gc->windows);
	free(gc->tokens);
	free(gc->ops);
	ff_strv_free(&gc->impersonate);
	ff_strv_free(&gc->zones);
	ff_strv_free(&gc->unreachable);
}

void gc_free(struct gcp *gc)
{
	char *texts[] = {gc->project, gc->number, gc->email, gc->key_id, gc->public_key, gc->user_client,
		gc->user_secret, gc->user_refresh, gc->audience, gc->subject_token, gc->metadata_vm};

	free_texts(texts, FF_COUNT(texts));
	for (size_t i = 0; i < gc->vm_count; i++)
		free_vm(gc->vms[i]);
	for (size_t i = 0; i < gc->disk_count; i++)
		free_disk(gc->disks[i]);
	for (size_t i = 0; i < gc->snapshot_count; i++)
		free_snapshot(gc->snapshots[i]);
	free(gc->vms);
	free(gc->disks);
	free(gc->snapshots);
	free_small(gc);
	json_decref(gc->vm_index);
	json_decref(gc->secrets);
	json_decref(gc->disk_index);
	json_decref(gc->op_index);
	json_decref(gc->request_index);
	free(gc);
}
