/* AWS's part of a scenario: its machines, volumes and snapshots. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)

/* An id of the scenario, or a new one. NULL with err when it is malformed or known already. */
static char *read_id(struct sim *sim, const struct aws *aws, const json_t *o, const char *where, const char *prefix,
	struct ff_err *err)
{
	const char *id = NULL;
	size_t len = strlen(prefix), other;

	if (sim_text(o, where, "id", &id, err) < 0)
		return NULL;
	if (id == NULL)
		return ff_printf("%s0%016llx", prefix, (unsigned long long)sim_random(sim));
	if (!ff_has_prefix(id, prefix) || strspn(id + len, "0123456789abcdef") != strlen(id + len) ||
		strlen(id + len) < 8 || strlen(id + len) > 17 || sim_index_get(aws->index, id, &other)) {
		ff_fail(err, FF_E_USAGE, "%s: '%s' is no id such as %s0123456789abcdef0, or is there twice", where, id,
			prefix);
		return NULL;
	}
	return ff_strdup(id);
}

/* ---- volumes */

#define VOLUME_MEMBERS                                                                                                 \
	"id", "image", "size_gib", "size_bytes", "type", "iops", "throughput", "encrypted", "kms_key", "multi_attach", \
		"managed", "marketplace", "bad", "tags", "snapshot"

static int read_size(const json_t *o, const char *where, struct aw_vol *vol, struct ff_err *err)
{
	int64_t gib = 0, bytes = 0;

	if (sim_int(o, where, "size_gib", 1, 65536, &gib, err) < 0 ||
		sim_int(o, where, "size_bytes", 512, (int64_t)1 << 46, &bytes, err) < 0)
		return -1;
	if (gib > 0 && bytes > 0 && gib << 30 != bytes)
		return ff_fail(err, FF_E_USAGE, "%s: 'size_gib' is %lld, but it has %lld bytes", where, (long long)gib,
			(long long)bytes);
	vol->size_bytes = bytes > 0 ? bytes : (gib > 0 ? gib : 30) << 30;
	return 0;
}

static int read_volume_flags(const json_t *o, const char *where, struct aw_vol *vol, struct ff_err *err)
{
	return sim_bool(o, where, "encrypted", &vol->encrypted, err) < 0 ||
			       sim_bool(o, where, "multi_attach", &vol->multi_attach, err) < 0 ||
			       sim_bool(o, where, "managed", &vol->managed, err) < 0 ||
			       sim_bool(o, where, "marketplace", &vol->marketplace, err) < 0 ||
			       sim_bool(o, where, "bad", &vol->bad, err) < 0
		       ? -1
		       : 0;
}

/* In AWS the disk itself travels: the scenario's image is copied at once, and only the copy is ever written. */
static void take_image(struct sim *sim, struct aws *aws, struct aw_vol *vol, const char *image)
{
	if (image == NULL)
		return;
	if (sim->hooks.image_name == NULL) {
		vol->image = ff_strdup(image);
		return;
	}
	vol->image = sim->hooks.image_name(sim->hooks.arg, vol->id, ++aws->images);
	sim_effect(sim, 0, SIM_COPY_IMAGE, image, vol->image, NULL, -1);
}

/* The volume, known to the model whatever fails; *image is the scenario's. */
static struct aw_vol *read_volume(struct sim *sim, struct aws *aws, const json_t *o, const char *where,
	const char *zone, const char **image, struct ff_err *err)
{
	char *id = read_id(sim, aws, o, where, "vol-", err);
	struct aw_vol *vol;
	const char *type = "gp3", *key = NULL, *snapshot = "snap-0aaaaaaaaaaaaaaaa";
	json_t *tags;

	if (id == NULL)
		return NULL;
	vol = ff_calloc(1, sizeof(*vol));
	vol->id = id;
	aws->vols = ff_realloc(aws->vols, aws->vol_count + 1, sizeof(*aws->vols));
	sim_index_put(aws->index, id, aws->vol_count);
	aws->vols[aws->vol_count++] = vol;
	if (sim_text(o, where, "image", image, err) < 0 || sim_text(o, where, "type", &type, err) < 0 ||
		sim_text(o, where, "kms_key", &key, err) < 0 || sim_text(o, where, "snapshot", &snapshot, err) < 0 ||
		read_volume_flags(o, where, vol, err) < 0 || read_size(o, where, vol, err) < 0 ||
		sim_tags(o, where, "tags", &tags, err) < 0)
		return NULL;
	aw_set_tags(sim, &vol->tags, tags);
	if (*image != NULL && vol->bad) {
		ff_fail(err, FF_E_USAGE, "%s: with an image its bytes decide what is bad: leave 'bad' out", where);
		return NULL;
	}
	vol->iops = ff_streq(type, "gp3") ? 3000 : 0;
	vol->throughput = ff_streq(type, "gp3") ? 125 : 0;
	if (sim_int(o, where, "iops", 100, 256000, &vol->iops, err) < 0 ||
		sim_int(o, where, "throughput", 125, 2000, &vol->throughput, err) < 0)
		return NULL;
	vol->zone = ff_strdup(zone);
	vol->type = ff_strdup(type);
	vol->snapshot = ff_strdup(snapshot);
	vol->kms_key = key != NULL	? ff_strdup(key)
		       : vol->encrypted ? ff_printf("arn:aws:kms:%s:%s:key/11111111-2222-4333-8444-555555555555",
						  aws->region, aws->account)
					: NULL;
	vol->encrypted |= key != NULL;
	vol->created_ms = sim->now_ms - 200 * DAY_MS;
	aw_past_add(sim, &vol->held, (struct aw_seen){.state = AW_FREE});
	return vol;
}

int aw_read_volume(struct sim *sim, struct aws *aws, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {VOLUME_MEMBERS, "zone", NULL};
	ff_auto_free char *usual = ff_printf("%sa", aws->region);
	const char *zone = usual, *image = NULL;
	struct aw_vol *vol;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "zone", &zone, err) < 0)
		return -1;
	vol = read_volume(sim, aws, o, where, zone, &image, err);
	if (vol == NULL)
		return -1;
	take_image(sim, aws, vol, image);
	return 0;
}

int aw_read_snap(struct sim *sim, struct aws *aws, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"id", "volume", "description", "size_gib", "tags", NULL};
	const char *volume = "vol-0ffffffffffffffff", *description = "";
	ff_auto_free char *id = NULL;
	struct aw_snap *s;
	json_t *tags;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "volume", &volume, err) < 0 ||
		sim_text(o, where, "description", &description, err) < 0)
		return -1;
	id = read_id(sim, aws, o, where, "snap-", err);
	if (id == NULL)
		return -1;
	s = aw_new_snap(sim, aws, volume, id);
	s->started_ms -= DAY_MS;
	s->completed = true;
	s->size_gib = 30;
	free(s->description);
	s->description = ff_strdup(description);
	if (sim_int(o, where, "size_gib", 1, 65536, &s->size_gib, err) < 0 ||
		sim_tags(o, where, "tags", &tags, err) < 0)
		return -1;
	s->run = ff_strdup(ff_json_str(tags, AW_CLAIM));
	aw_set_tags(sim, &s->tags, tags);
	return 0;
}

/* ---- machines */

static int read_root(
	struct sim *sim, struct aws *aws, struct aw_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {VOLUME_MEMBERS, "device", "delete_on_termination", NULL};
	const char *device = vm->windows ? "/dev/sda1" : "/dev/xvda", *image = NULL;
	const struct aw_vol *vol;
	struct aw_seen held = {.state = AW_ATTACHED, .vm = vm, .attach_ms = sim->now_ms - 200 * DAY_MS};

	vm->root_delete = true;
	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "device", &device, err) < 0 ||
		sim_bool(o, where, "delete_on_termination", &vm->root_delete, err) < 0)
		return -1;
	if (strlen(device) >= AW_DEVICE)
		return ff_fail(err, FF_E_USAGE, "%s: 'device' is too long", where);
	vm->root_device = ff_strdup(device);
	if (vm->instance_store)
		return 0;
	vm->root = read_volume(sim, aws, o, where, vm->zone, &image, err);
	if (vm->root == NULL)
		return -1;
	vol = vm->root;
	vm->root->home = vm;
	vm->root->marketplace |= vm->marketplace;
	/* before its image is copied: the scenario's own bytes decide */
	vm->boots = image != NULL && sim->hooks.image_is_bad != NULL
			    ? sim->hooks.image_is_bad(sim->hooks.arg, image) == 0
			    : !vol->bad;
	take_image(sim, aws, vm->root, image);
	held.delete_on_termination = vm->root_delete;
	memcpy(held.device, device, strlen(device) + 1);
	aw_past_free(&vm->root->held);
	aw_past_add(sim, &vm->root->held, held);
	vm->known = ff_calloc(1, sizeof(struct aw_vol *));
	vm->known[vm->known_count++] = vm->root;
	vm->last_root = vm->root;
	return 0;
}

static int read_flags(struct aw_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {{"rescue", &vm->rescue}, {"marketplace", &vm->marketplace}, {"spot", &vm->spot},
		{"instance_store", &vm->instance_store}, {"hibernation", &vm->hibernation},
		{"stop_protection", &vm->stop_protection}, {"managed", &vm->managed}, {"stop_hangs", &vm->stop_hangs},
		{"public_ip", &vm->public_ip}, {"elastic_ip", &vm->elastic_ip}, {"mounted", &vm->mounted},
		{"tpm", &vm->tpm}};

	for (size_t i = 0; i < FF_COUNT(flags); i++)
		if (sim_bool(o, where, flags[i].name, flags[i].flag, err) < 0)
			return -1;
	vm->public_ip |= vm->elastic_ip;
	return 0;
}

static int read_power(struct sim *sim, struct aw_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const powers[] = {
		"pending", "running", "shutting-down", "terminated", "stopping", "stopped", NULL};
	static const char *const faults[] = {"none", "kms", "capacity", "refused", NULL};
	static const char *const lives[] = {"InService", "EnteringStandby", "Standby", "Pending", NULL};
	int power = AW_RUNNING;
	bool hibernated = false;

	vm->start_faults_left = INT32_MAX;
	if (sim_word(o, where, "power", powers, &power, err) < 0 ||
		sim_word(o, where, "status", aw_status_names, &vm->status, err) < 0 ||
		sim_word(o, where, "start_fault", faults, &vm->start_fault, err) < 0 ||
		sim_word(o, where, "life", lives, &vm->life, err) < 0 ||
		sim_int(o, where, "start_faults", 1, INT32_MAX, &vm->start_faults_left, err) < 0 ||
		sim_bool(o, where, "hibernated", &hibernated, err) < 0)
		return -1;
	if (hibernated && power != AW_STOPPED)
		return ff_fail(err, FF_E_USAGE, "%s: 'hibernated' needs power 'stopped'", where);
	vm->hibernation |= hibernated;
	aw_set_power(sim, vm, (enum aw_power)power,
		hibernated	      ? "Client.UserInitiatedHibernate"
		: power == AW_STOPPED ? "Client.UserInitiatedShutdown"
				      : NULL,
		hibernated	      ? "Client.UserInitiatedHibernate: User initiated hibernate"
		: power == AW_STOPPED ? "Client.UserInitiatedShutdown: User initiated shutdown"
				      : NULL);
	return 0;
}

static int read_place(
	struct sim *sim, struct aws *aws, struct aw_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const systems[] = {"Windows", "Linux", NULL};
	ff_auto_free char *usual = ff_printf("%sa", aws->region);
	const char *name = NULL, *zone = usual, *type = "m5.large", *asg = NULL;
	int os = 0;

	if (sim_text(o, where, "name", &name, err) < 0 || sim_text(o, where, "zone", &zone, err) < 0 ||
		sim_text(o, where, "type", &type, err) < 0 || sim_text(o, where, "asg", &asg, err) < 0 ||
		sim_word(o, where, "os", systems, &os, err) < 0)
		return -1;
	vm->id = read_id(sim, aws, o, where, "i-", err);
	if (vm->id == NULL)
		return -1;
	if (name != NULL && strchr(name, '/') != NULL)
		return ff_fail(err, FF_E_USAGE, "%s: 'name' has a slash", where);
	if (aw_type(type) == NULL)
		return ff_fail(err, FF_E_USAGE, "%s: type '%s' is not one that the model knows", where, type);
	if (asg != NULL && aw_group(aws, asg) == NULL)
		return ff_fail(err, FF_E_USAGE, "%s: group '%s' is not among 'groups'", where, asg);
	vm->name = ff_strdup(name != NULL ? name : vm->id);
	vm->zone = ff_strdup(zone);
	vm->asg = ff_strdup(asg);
	vm->type = aw_type(type);
	vm->windows = os == 0;
	vm->attachments_max = vm->type->ebs_max;
	return sim_int(o, where, "attachments_max", 1, 128, &vm->attachments_max, err);
}

/* Its name and its group are tags, as AWS has them. */
static int read_tags(struct sim *sim, struct aw_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	json_t *tags;

	if (sim_tags(o, where, "tags", &tags, err) < 0)
		return -1;
	if (!ff_streq(vm->name, vm->id))
		ff_json_set_str(tags, "Name", vm->name);
	ff_json_set_str(tags, "aws:autoscaling:groupName", vm->asg);
	vm->rescue |= ff_streq(ff_json_str(tags, "fixfleet-role"), "rescue");
	aw_set_tags(sim, &vm->tags, tags);
	return 0;
}

int aw_read_vm(struct sim *sim, struct aws *aws, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "id", "zone", "type", "os", "power", "tags", "root", "asg",
		"life", "rescue", "marketplace", "spot", "instance_store", "hibernation", "hibernated",
		"stop_protection", "managed", "stop_hangs", "public_ip", "elastic_ip", "mounted", "tpm", "status",
		"start_fault", "start_faults", "attachments_max", NULL};
	struct aw_vm *vm = ff_calloc(1, sizeof(*vm));
	ff_auto_free char *root_where = ff_printf("%s.root", where);
	ff_auto_json json_t *none = json_object();
	const json_t *root;

	aws->vms = ff_realloc(aws->vms, aws->vm_count + 1, sizeof(*aws->vms));
	aws->vms[aws->vm_count++] = vm; /* owned from here, whatever fails */
	vm->boots = true;
	if (sim_only(o, where, members, err) < 0 || read_place(sim, aws, vm, o, where, err) < 0 ||
		read_flags(vm, o, where, err) < 0 || read_power(sim, vm, o, where, err) < 0 ||
		read_tags(sim, vm, o, where, err) < 0 || sim_object(o, where, "root", &root, err) < 0 ||
		read_root(sim, aws, vm, root != NULL ? root : none, root_where, err) < 0)
		return -1;
	sim_index_put(aws->index, vm->id, aws->vm_count - 1);
	vm->launched_ms = vm->booted_ms = vm->impaired_ms = sim->now_ms - DAY_MS;
	vm->ip = ++aws->addresses % 250 + 1;
	return 0;
}
