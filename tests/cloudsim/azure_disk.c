/* Managed disks and snapshots: reading, copying, changing, deleting. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

static bool of_snapshots(const struct az_call *c)
{
	return ff_strcaseeq(c->segments.items[c->segments.count - (c->name != NULL ? 2 : 1)], "snapshots");
}

static struct az_disk *disk_of(struct az_call *c)
{
	struct az_disk *d = az_find_disk(c->az, c->scope);

	if (d == NULL)
		az_refuse(c, 404, "ResourceNotFound",
			"The Resource 'Microsoft.Compute/%s/%s' under resource group '%s' was not found. For more "
			"details "
			"please go to https://aka.ms/ARMResourceNotFoundFix",
			of_snapshots(c) ? "snapshots" : "disks", c->name, c->group);
	return d;
}

void az_disk_get(struct az_call *c)
{
	struct az_disk *d = disk_of(c);

	if (d != NULL)
		az_reply(c, 200, az_disk_json(d, false));
}

static json_t *listed(const struct az_call *c, const void *disk)
{
	(void)c;
	return az_disk_json(disk, true);
}

void az_disk_list(struct az_call *c)
{
	struct az_list list = {0};
	bool snapshots = of_snapshots(c);

	for (size_t i = 0; i < c->az->disk_count; i++) {
		const struct az_disk *d = c->az->disks[i];

		if (!d->gone && d->snapshot == snapshots && (c->group == NULL || ff_strcaseeq(d->group, c->group)))
			az_list_add(&list, d);
	}
	az_page(c, &list, listed);
}

/* ---- creating */

static int check_name(struct az_call *c)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (strlen(c->name) > 80 || strspn(c->name, allowed) != strlen(c->name))
		return az_refuse(c, 400, "InvalidParameter",
			"The name '%.100s' is not valid: 1 to 80 letters, digits, '_', '-' and '.'.", c->name);
	return 0;
}

static int check_tags(struct az_call *c)
{
	const json_t *tags = json_object_get(c->body, "tags");
	const char *key;
	json_t *value;

	if (tags != NULL && (!json_is_object(tags) || json_object_size(tags) > 50))
		return az_refuse(c, 400, "InvalidTags", "The tags are no object, or more than 50.");
	json_object_foreach ((json_t *)tags, key, value) {
		if (!json_is_string(value) || json_string_length(value) > 256 || strlen(key) > 512)
			return az_refuse(c, 400, "InvalidTagValue", "The tag '%.64s' is not valid.", key);
	}
	for (size_t i = 0; i < c->az->required_tags.count; i++)
		if (json_object_get(tags, c->az->required_tags.items[i]) == NULL)
			return az_refuse(c, 403, "RequestDisallowedByPolicy",
				"Resource '%s' was disallowed by policy. Policy identifiers: '[{\"policyAssignment\":"
				"{\"name\":\"Require tag %s\"}}]'.",
				c->name, c->az->required_tags.items[i]);
	return 0;
}

/* Where the source may be copied to, and by whom. */
static int check_source(struct az_call *c, const struct az_disk *source, const json_t *props)
{
	const char *location = ff_json_str(c->body, "location"), *zone = ff_json_str(c->body, "zones/0");
	ff_auto_free char *action =
		ff_printf("Microsoft.Compute/%s/beginGetAccess/action", source->snapshot ? "snapshots" : "disks");
	int64_t bytes = az_bytes(props, "diskSizeGB");
	const char *sku = ff_json_str(c->body, "sku/name");

	if (az_allowed(c, action, source->id,
		    of_snapshots(c) ? "Microsoft.Compute/snapshots/write" : "Microsoft.Compute/disks/write") < 0)
		return -1;
	if (!ff_strcaseeq(location, source->location))
		return az_refuse(c, 400, "BadRequest",
			"The source resource '%s' is in location '%s': it cannot be copied to location '%s'.",
			source->id, source->location, location != NULL ? location : "");
	/* a snapshot may become a disk in any zone; of a disk's copy that it keeps the zone is what the facts say */
	if (!source->snapshot && !of_snapshots(c) && source->zone != NULL && !ff_streq(zone, source->zone) &&
		!(sku != NULL && ff_has_suffix(sku, "_ZRS")))
		return az_refuse(c, 400, "BadRequest",
			"The source disk '%s' is in zone '%s': it cannot be copied to zone '%s'.", source->id,
			source->zone, zone != NULL ? zone : "");
	if (bytes >= 0 && bytes < source->size_bytes)
		return az_refuse(c, 400, "BadRequest", "Disk '%s' cannot be resized down.", c->name);
	return 0;
}

static int check_copy(struct az_call *c, const json_t *props, struct az_disk **source)
{
	const char *id = ff_json_str(props, "creationData/sourceResourceId");
	const char *security = ff_json_str(props, "securityProfile/securityType");

	if (id == NULL)
		return az_refuse(c, 400, "InvalidParameter",
			"Required parameter 'disk.creationData.sourceResourceId' is missing (null).");
	if (json_object_get(props, "securityProfile") != NULL)
		return az_refuse(c, 400, "BadRequest", "Security Type '%s' is not supported for CreateOption 'Copy'",
			security != NULL ? security : "");
	*source = az_find_disk(c->az, id);
	if (*source == NULL)
		return az_refuse(c, 404, "NotFound", "The source resource %s is not found.", id);
	if (!(*source)->ready)
		return az_refuse(c, 409, "OperationNotAllowed", "The source resource %s is still being created.", id);
	return check_source(c, *source, props);
}

/* The same PUT again is no change; another source is refused. */
static void put_again(struct az_call *c, struct az_disk *d, const json_t *props)
{
	const char *id = ff_json_str(props, "creationData/sourceResourceId");
	struct az_job *job;

	if (!ff_strcaseeq(ff_json_str(props, "creationData/createOption"), d->create_option) ||
		!ff_strcaseeq(id, d->source)) {
		az_refuse(c, 409, "PropertyChangeNotAllowed",
			"Changing property 'creationData.sourceResourceId' is not allowed.");
		return;
	}
	if (d->op != NULL) {
		az_refuse(c, 409, "Conflict", "The request failed due to conflict with a concurrent request.");
		return;
	}
	job = az_job(AZ_J_DISK_UPDATE, NULL, d);
	job->patch = json_incref(c->body);
	d->op = az_begin(c, "PUT disk", c->az->latency[AZ_L_DISK_UPDATE], job, AZ_H_ASYNC | AZ_H_LOCATION, true);
	az_reply(c, 202, az_disk_json(d, false));
}

static void inherit(struct az_disk *d, const struct az_disk *source)
{
	az_set(&d->os, source->os);
	az_set(&d->generation, source->generation);
	az_set(&d->security_type, source->security_type);
	az_set(&d->family, source->family);
	d->ade = source->ade != NULL ? json_deep_copy(source->ade) : NULL;
	d->size_bytes = source->size_bytes;
	d->bad = source->bad;
}

/* What the body says goes before what the source is: a wrong generation comes out wrong. */
static void take_body(struct az_disk *d, const json_t *body, const json_t *props)
{
	const char *generation = ff_json_str(props, "hyperVGeneration"), *os = ff_json_str(props, "osType");
	const char *sku = ff_json_str(body, "sku/name"), *set = ff_json_str(props, "encryption/diskEncryptionSetId");
	const char *policy = ff_json_str(props, "networkAccessPolicy");
	int64_t bytes = az_bytes(props, "diskSizeGB");

	az_set(&d->zone, ff_json_str(body, "zones/0"));
	az_set(&d->sku, sku != NULL ? sku : "Standard_LRS");
	if (generation != NULL)
		az_set(&d->generation, generation);
	if (os != NULL)
		az_set(&d->os, os);
	if (bytes > 0)
		d->size_bytes = bytes;
	if (policy != NULL)
		az_set(&d->network_policy, policy);
	az_set(&d->encryption_set, set);
	az_set(&d->disk_access, ff_json_str(props, "diskAccessId"));
	d->incremental = ff_json_bool(props, "incremental", false);
	json_decref(d->tags);
	d->tags = json_object_get(body, "tags") != NULL ? json_deep_copy(json_object_get(body, "tags")) : json_object();
	d->run = ff_strdup(ff_json_str(d->tags, "fixfleet-run"));
}

/* The bytes are those of the moment of the request, as a copy of Azure's is. */
static void copy_image(struct az_call *c, struct az_disk *d, const struct az_disk *source)
{
	const struct sim_hooks *h = &c->sim->hooks;

	if (source->image == NULL || h->image_name == NULL)
		return;
	d->image = h->image_name(h->arg, d->id, ++c->az->images);
	d->own_image = true;
	sim_effect(c->sim, 0, SIM_COPY_IMAGE, source->image, d->image, NULL, 0);
}

static void create(struct az_call *c, const json_t *props, const struct az_disk *source)
{
	const char *option = ff_json_str(props, "creationData/createOption");
	const char *location = ff_json_str(c->body, "location");
	struct az_disk *d = az_new_disk(c->sim, c->az, of_snapshots(c), c->group, c->name, location);

	az_set(&d->create_option, option);
	if (source != NULL) {
		az_set(&d->source, ff_json_str(props, "creationData/sourceResourceId"));
		inherit(d, source);
	}
	take_body(d, c->body, props);
	if (source != NULL)
		copy_image(c, d, source);
	if (source != NULL && d->run == NULL)
		sim_violation(c->sim, "'%s' was copied from '%s' without the run's tag", d->name, source->name);
	d->op = az_begin(c, source != NULL ? "copy" : "PUT disk", c->az->latency[AZ_L_DISK_COPY],
		az_job(AZ_J_DISK_NEW, NULL, d), AZ_H_ASYNC | AZ_H_LOCATION, true);
	az_reply(c, 202, az_disk_json(d, false));
}

void az_disk_put(struct az_call *c)
{
	static const char *const members[] = {
		"location", "zones", "sku", "tags", "properties", "extendedLocation", "id", "name", "type", NULL};
	const json_t *props = json_object_get(c->body, "properties");
	const char *option = ff_json_str(props, "creationData/createOption");
	struct az_disk *source = NULL, *there = az_find_disk(c->az, c->scope);
	struct ff_err err = {0};

	if (sim_only(c->body, of_snapshots(c) ? "snapshot" : "disk", members, &err) < 0)
		az_refuse(c, 400, "BadRequest", "Could not find member on object of type 'Disk': %s", err.text);
	else if (option == NULL)
		az_refuse(c, 400, "InvalidParameter", "Required parameter 'disk.creationData' is missing (null).");
	else if (check_name(c) < 0 || check_tags(c) < 0)
		return;
	else if (there != NULL)
		put_again(c, there, props);
	else if (ff_json_str(c->body, "location") == NULL)
		az_refuse(c, 400, "LocationRequired", "The location property is required for this definition.");
	else if (ff_strcaseeq(option, "Copy")) {
		if (check_copy(c, props, &source) == 0)
			create(c, props, source);
	} else if (ff_strcaseeq(option, "Empty") && ff_json_int(props, "diskSizeGB", 0) > 0)
		create(c, props, NULL);
	else
		az_refuse(c, 400, "InvalidParameter",
			"The value '%s' of parameter 'creationData.createOption' is not "
			"simulated.",
			option);
}

/* ---- changing and deleting */

void az_disk_patch(struct az_call *c)
{
	struct az_disk *d = disk_of(c);
	struct az_job *job;

	if (d == NULL || check_tags(c) < 0)
		return;
	if (d->op != NULL) {
		az_refuse(c, 409, "Conflict", "The request failed due to conflict with a concurrent request.");
		return;
	}
	if (d->run == NULL && json_object_get(c->body, "properties") != NULL)
		sim_violation(c->sim, "disk '%s', which no run has made, was changed", d->name);
	job = az_job(AZ_J_DISK_UPDATE, NULL, d);
	job->patch = json_incref(c->body);
	d->op = az_begin(c, "PATCH disk", c->az->latency[AZ_L_DISK_UPDATE], job, AZ_H_ASYNC | AZ_H_LOCATION, true);
	az_reply(c, 202, az_disk_json(d, false));
}

/* Does the machine that this disk began with stand on another good disk of its own by now? */
static bool is_spare(struct az_call *c, const struct az_disk *d)
{
	for (size_t i = 0; i < c->az->vm_count; i++) {
		const struct az_vm *vm = c->az->vms[i];
		const struct az_disk *os = vm->os_disk.disk;

		if (ff_strcaseeq(vm->family, d->family))
			return os != d && ff_strcaseeq(os->family, d->family) && !az_disk_is_bad(c->sim, os);
	}
	return false;
}

/* Disks that a run has made may go; an original only when its machine no longer needs it. */
static void watch_delete(struct az_call *c, const struct az_disk *d)
{
	if (d->run == NULL && !is_spare(c, d))
		sim_violation(c->sim, "disk '%s', which no run has made, was deleted", d->name);
}

bool az_disk_is_going(const struct az_disk *d)
{
	const struct az_job *job = d->op != NULL ? d->op->job : NULL;

	return job != NULL && job->kind == AZ_J_DISK_DELETE;
}

void az_disk_delete(struct az_call *c)
{
	struct az_disk *d = az_find_disk(c->az, c->scope);

	if (d == NULL) {
		az_reply(c, 204, NULL);
		return;
	}
	if (d->vm != NULL || d->to != NULL) {
		az_refuse(c, 409, "OperationNotAllowed", "Disk %s is attached to VM %s.", d->name,
			d->vm != NULL ? d->vm->id : d->to->id);
		return;
	}
	if (d->op != NULL) {
		az_refuse(c, 409, "Conflict", "The request failed due to conflict with a concurrent request.");
		return;
	}
	watch_delete(c, d);
	d->op = az_begin(c, "delete disk", c->az->latency[AZ_L_DISK_DELETE], az_job(AZ_J_DISK_DELETE, NULL, d),
		AZ_H_ASYNC | AZ_H_LOCATION, true);
	az_reply(c, 202, NULL);
}

void az_forget_disk(struct sim *sim, struct azure *az, struct az_disk *d)
{
	if (d->gone)
		return;
	d->gone = true;
	sim_index_drop(az->disk_index, d->id);
	if (d->own_image)
		sim_effect(sim, 0, SIM_DELETE_IMAGE, NULL, d->image, NULL, 0);
}

static void patch_now(struct az_disk *d, const json_t *patch)
{
	const json_t *tags = json_object_get(patch, "tags");
	const json_t *ade = ff_json_at(patch, "properties/encryptionSettingsCollection");

	if (tags != NULL) {
		json_decref(d->tags);
		d->tags = json_deep_copy(tags);
	}
	if (ade != NULL) {
		json_decref(d->ade);
		d->ade = ff_json_bool(ade, "enabled", false) ? json_deep_copy(ade) : NULL;
	}
}

void az_carry_out_disk(struct sim *sim, struct azure *az, struct az_job *job)
{
	if (job->kind == AZ_J_DISK_NEW)
		job->disk->ready = true;
	else if (job->kind == AZ_J_DISK_UPDATE)
		patch_now(job->disk, job->patch);
	else
		az_forget_disk(sim, az, job->disk);
}
