/* The end of Azure's part of a model. */
#include "azure.h"

#include <stdlib.h>

static void free_disk(struct az_disk *d)
{
	char *texts[] = {d->id, d->name, d->group, d->location, d->zone, d->sku, d->os, d->generation, d->security_type,
		d->encryption_set, d->disk_access, d->network_policy, d->state_override, d->image, d->source,
		d->create_option, d->family, d->run};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		free(texts[i]);
	json_decref(d->tags);
	json_decref(d->ade);
	free(d);
}

static void free_vm(struct az_vm *vm)
{
	char *texts[] = {vm->id, vm->name, vm->group, vm->location, vm->zone, vm->size, vm->os, vm->generation,
		vm->security_type, vm->public_ip, vm->os_disk.caching, vm->os_disk.delete_option,
		vm->os_disk.create_option, vm->family};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < vm->data_count; i++) {
		free(vm->data[i].caching);
		free(vm->data[i].delete_option);
	}
	free(vm->data);
	json_decref(vm->tags);
	json_decref(vm->identity);
	json_decref(vm->plan);
	free(vm);
}

void az_free(struct azure *az)
{
	char *texts[] = {az->subscription, az->tenant, az->client_id, az->client_secret, az->certificate,
		az->federated_token, az->object_id, az->imds_vm};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < az->vm_count; i++)
		free_vm(az->vms[i]);
	for (size_t i = 0; i < az->disk_count; i++)
		free_disk(az->disks[i]);
	for (size_t i = 0; i < az->lock_count; i++) {
		free(az->locks[i].name);
		free(az->locks[i].scope);
		free(az->locks[i].notes);
	}
	for (size_t i = 0; i < az->deny_count; i++) {
		free(az->deny[i].action);
		free(az->deny[i].scope);
	}
	free(az->vms);
	free(az->disks);
	free(az->locks);
	free(az->deny);
	free(az->tokens);
	ff_strv_free(&az->groups);
	ff_strv_free(&az->required_tags);
	json_decref(az->vm_index);
	json_decref(az->disk_index);
	json_decref(az->buckets);
	json_decref(az->secrets);
	json_decref(az->graph_keys);
	EVP_PKEY_free(az->kek);
	free(az);
}
