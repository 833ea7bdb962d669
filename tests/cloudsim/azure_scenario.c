/* Azure's part of a scenario: README.md is its description. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

void az_set(char **text, const char *value)
{
	char *copy = ff_strdup(value);

	free(*text);
	*text = copy;
}

char *az_id(const struct azure *az, const char *group, const char *type, const char *name)
{
	return ff_printf("/subscriptions/%s/resourceGroups/%s/providers/%s/%s", az->subscription, group, type, name);
}

struct az_vm *az_find_vm(const struct azure *az, const char *id)
{
	size_t i;

	return sim_index_get(az->vm_index, id, &i) ? az->vms[i] : NULL;
}

struct az_vm *az_vm_named(const struct azure *az, const char *name)
{
	for (size_t i = 0; i < az->vm_count; i++)
		if (ff_strcaseeq(az->vms[i]->name, name))
			return az->vms[i];
	return NULL;
}

struct az_disk *az_find_disk(const struct azure *az, const char *id)
{
	size_t i;

	return sim_index_get(az->disk_index, id, &i) ? az->disks[i] : NULL;
}

struct az_disk *az_new_disk(
	struct sim *sim, struct azure *az, bool snapshot, const char *group, const char *name, const char *location)
{
	struct az_disk *d = ff_calloc(1, sizeof(*d));

	d->id = az_id(az, group, snapshot ? "Microsoft.Compute/snapshots" : "Microsoft.Compute/disks", name);
	d->name = ff_strdup(name);
	d->group = ff_strdup(group);
	d->location = ff_strdup(location);
	d->sku = ff_strdup("Premium_LRS");
	d->network_policy = ff_strdup("AllowAll");
	d->create_option = ff_strdup("FromImage");
	d->family = ff_strdup(d->id);
	d->snapshot = snapshot;
	d->created_ms = sim->now_ms;
	d->tags = json_object();
	sim_uuid(sim, d->unique_id);
	az->disks = ff_realloc(az->disks, az->disk_count + 1, sizeof(*az->disks));
	sim_index_put(az->disk_index, d->id, az->disk_count);
	az->disks[az->disk_count++] = d;
	return d;
}

/* ---- disks of the scenario */

#define DISK_MEMBERS                                                                                                   \
	"name", "image", "size_gib", "size_bytes", "sku", "encryption_set", "bad", "tags", "generation",               \
		"security_type", "disk_access", "state"

static int read_size(const json_t *o, const char *where, struct az_disk *d, struct ff_err *err)
{
	int64_t gib = 0, bytes = 0;

	if (sim_int(o, where, "size_gib", 1, 65536, &gib, err) < 0 ||
		sim_int(o, where, "size_bytes", 512, (int64_t)1 << 46, &bytes, err) < 0)
		return -1;
	if (gib > 0 && bytes > 0 && gib << 30 != bytes)
		return ff_fail(err, FF_E_USAGE, "%s: 'size_gib' is %lld, but it has %lld bytes", where, (long long)gib,
			(long long)bytes);
	d->size_bytes = bytes > 0 ? bytes : (gib > 0 ? gib : 127) << 30;
	return 0;
}

static int read_disk(struct azure *az, const json_t *o, const char *where, struct az_disk *d, const struct az_vm *vm,
	struct ff_err *err)
{
	static const char *const states[] = {
		"ActiveSAS", "ActiveSASFrozen", "ReadyToUpload", "ActiveUpload", "Frozen", NULL};
	const char *image = NULL, *sku = d->sku, *set = NULL, *generation = vm != NULL ? vm->generation : NULL;
	const char *security = NULL, *access = NULL;
	int state = -1;

	if (sim_text(o, where, "image", &image, err) < 0 || sim_text(o, where, "sku", &sku, err) < 0 ||
		sim_text(o, where, "encryption_set", &set, err) < 0 || sim_bool(o, where, "bad", &d->bad, err) < 0 ||
		sim_text(o, where, "generation", &generation, err) < 0 ||
		sim_text(o, where, "security_type", &security, err) < 0 ||
		sim_text(o, where, "disk_access", &access, err) < 0 ||
		sim_word(o, where, "state", states, &state, err) < 0 || read_size(o, where, d, err) < 0)
		return -1;
	if (image != NULL && d->bad)
		return ff_fail(
			err, FF_E_USAGE, "%s: with an image its bytes decide what is bad: leave 'bad' out", where);
	json_decref(d->tags);
	d->tags = NULL;
	if (sim_tags(o, where, "tags", &d->tags, err) < 0)
		return -1;
	d->image = ff_strdup(image);
	az_set(&d->sku, sku);
	az_set(&d->generation, generation);
	az_set(&d->security_type, security);
	az_set(&d->state_override, state >= 0 ? states[state] : NULL);
	if (set != NULL)
		d->encryption_set =
			*set == '/' ? ff_strdup(set) : az_id(az, d->group, "Microsoft.Compute/diskEncryptionSets", set);
	if (access != NULL)
		d->disk_access = *access == '/' ? ff_strdup(access)
						: az_id(az, d->group, "Microsoft.Compute/diskAccesses", access);
	if (access != NULL)
		az_set(&d->network_policy, "AllowPrivate");
	d->ready = true;
	return 0;
}

static const char *vm_disk_security(const struct az_vm *vm)
{
	if (ff_streq(vm->security_type, "ConfidentialVM"))
		return "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey";
	return vm->security_type;
}

static int read_os_disk(struct sim *sim, struct azure *az, struct az_vm *vm, const json_t *o, const char *where,
	bool ade, struct ff_err *err)
{
	static const char *const members[] = {DISK_MEMBERS, "caching", "delete_option", "create_option", NULL};
	const char *caching = "ReadWrite", *option = "Detach", *create = "FromImage", *name = NULL;
	ff_auto_free char *usual = ff_printf("%s_OsDisk", vm->name);
	struct az_disk *d;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_text(o, where, "caching", &caching, err) < 0 ||
		sim_text(o, where, "delete_option", &option, err) < 0 ||
		sim_text(o, where, "create_option", &create, err) < 0)
		return -1;
	vm->os_disk.caching = ff_strdup(caching);
	vm->os_disk.delete_option = ff_strdup(option);
	vm->os_disk.create_option = ff_strdup(create);
	if (vm->unmanaged)
		return 0;
	d = az_new_disk(sim, az, false, vm->group, name != NULL ? name : usual, vm->location);
	if (read_disk(az, o, where, d, vm, err) < 0)
		return -1;
	if (!ff_has_suffix(d->sku, "_ZRS"))
		az_set(&d->zone, vm->zone);
	az_set(&d->os, vm->os);
	if (d->security_type == NULL)
		az_set(&d->security_type, vm_disk_security(vm));
	if (ade)
		d->ade = json_pack("{s:b,s:s}", "enabled", 1, "encryptionSettingsVersion", "1.1");
	d->created_ms = vm->created_ms;
	d->vm = vm;
	vm->os_disk.disk = d;
	vm->family = ff_strdup(d->family);
	return 0;
}

/* ---- machines */

static int read_kind(struct az_vm *vm, const json_t *o, const char *where, bool *ade, struct ff_err *err)
{
	static const char *const systems[] = {"Windows", "Linux", NULL};
	static const char *const powers[] = {"running", "stopped", "deallocated", NULL};
	static const char *const agents[] = {"auto", "ready", "not-ready", "none", NULL};
	static const char *const ades[] = {"single", "dual", NULL};
	static const char *const generations[] = {"V1", "V2", NULL};
	static const char *const securities[] = {"Standard", "TrustedLaunch", "ConfidentialVM", NULL};
	static const char *const addresses[] = {"dynamic", "static", NULL};
	int os = 0, power = 0, agent = 0, ade_kind = -1, generation = 1, security = 0, address = -1;

	if (sim_word(o, where, "os", systems, &os, err) < 0 || sim_word(o, where, "power", powers, &power, err) < 0 ||
		sim_word(o, where, "agent", agents, &agent, err) < 0 ||
		sim_word(o, where, "ade", ades, &ade_kind, err) < 0 ||
		sim_word(o, where, "generation", generations, &generation, err) < 0 ||
		sim_word(o, where, "security_type", securities, &security, err) < 0 ||
		sim_word(o, where, "public_ip", addresses, &address, err) < 0)
		return -1;
	vm->os = ff_strdup(systems[os]);
	vm->power = (enum az_power)power;
	vm->agent_mode = (enum az_agent_mode)agent;
	vm->ade_dual = ade_kind == 1;
	*ade = ade_kind == 0;
	vm->generation = ff_strdup(generations[generation]);
	vm->security_type = security > 0 ? ff_strdup(securities[security]) : NULL;
	vm->public_ip = address >= 0 ? ff_strdup(addresses[address]) : NULL;
	return 0;
}

static int read_flags(struct az_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	if (sim_bool(o, where, "rescue", &vm->rescue, err) < 0 ||
		sim_bool(o, where, "hibernation", &vm->hibernation, err) < 0 ||
		sim_bool(o, where, "vmss", &vm->vmss, err) < 0 || sim_bool(o, where, "spot", &vm->spot, err) < 0 ||
		sim_bool(o, where, "ephemeral", &vm->ephemeral, err) < 0 ||
		sim_bool(o, where, "unmanaged", &vm->unmanaged, err) < 0 ||
		sim_bool(o, where, "generalized", &vm->generalized, err) < 0 ||
		sim_int(o, where, "data_disks_max", 1, 256, &vm->max_data_disks, err) < 0)
		return -1;
	return sim_tags(o, where, "tags", &vm->tags, err);
}

/* "system", "user" or "both", with made-up ids; what a PUT leaves out is gone. */
static int read_identity(
	struct sim *sim, struct azure *az, struct az_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const kinds[] = {"system", "user", "both", NULL};
	static const char *const types[] = {"SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned"};
	const json_t *plan;
	char principal[SIM_UUID_BYTES];
	int kind = -1;

	if (sim_word(o, where, "identity", kinds, &kind, err) < 0 || sim_object(o, where, "plan", &plan, err) < 0)
		return -1;
	vm->plan = plan != NULL ? json_deep_copy(plan) : NULL;
	if (kind < 0)
		return 0;
	sim_uuid(sim, principal);
	vm->identity = json_pack("{s:s}", "type", types[kind]);
	if (kind != 1) {
		ff_json_set_str(vm->identity, "principalId", principal);
		ff_json_set_str(vm->identity, "tenantId", az->tenant);
	}
	if (kind != 0) {
		ff_auto_free char *id =
			az_id(az, vm->group, "Microsoft.ManagedIdentity/userAssignedIdentities", "fleet-identity");

		ff_json_set_new(vm->identity, "userAssignedIdentities",
			json_pack("{s:{s:s,s:s}}", id, "clientId", az->client_id, "principalId", principal));
	}
	return 0;
}

static int read_place(struct azure *az, struct az_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	const char *name = NULL, *group = az->groups.items[0], *location = "westeurope", *zone = NULL;
	const char *size = "Standard_D2s_v3";

	if (sim_text(o, where, "name", &name, err) < 0 || sim_text(o, where, "group", &group, err) < 0 ||
		sim_text(o, where, "location", &location, err) < 0 || sim_text(o, where, "zone", &zone, err) < 0 ||
		sim_text(o, where, "size", &size, err) < 0)
		return -1;
	if (name == NULL || strchr(name, '/') != NULL)
		return ff_fail(err, FF_E_USAGE, "%s: 'name' is missing or has a slash", where);
	if (!ff_strv_has(&az->groups, group))
		return ff_fail(err, FF_E_USAGE, "%s: group '%s' is not among 'groups'", where, group);
	vm->name = ff_strdup(name);
	vm->group = ff_strdup(group);
	vm->location = ff_strdup(location);
	vm->zone = ff_strdup(zone);
	vm->size = ff_strdup(size);
	vm->max_data_disks = az_size_disks(size);
	vm->id = az_id(az, group, "Microsoft.Compute/virtualMachines", name);
	return az_find_vm(az, vm->id) != NULL ? ff_fail(err, FF_E_USAGE, "%s: a second VM '%s'", where, name) : 0;
}

static int read_vm(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "group", "location", "zone", "size", "os", "generation", "power",
		"tags", "data_disks_max", "rescue", "agent", "hibernation", "vmss", "spot", "ephemeral", "unmanaged",
		"generalized", "ade", "security_type", "public_ip", "identity", "plan", "os_disk", NULL};
	struct az_vm *vm = ff_calloc(1, sizeof(*vm));
	ff_auto_free char *disk_where = ff_printf("%s.os_disk", where);
	const json_t *disk;
	ff_auto_json json_t *none = json_object();
	bool ade = false;

	az->vms = ff_realloc(az->vms, az->vm_count + 1, sizeof(*az->vms));
	az->vms[az->vm_count++] = vm; /* owned from here, whatever fails */
	vm->etag = 1;
	vm->created_ms = sim->now_ms - (int64_t)200 * 86400000;
	sim_uuid(sim, vm->vm_id);
	if (sim_only(o, where, members, err) < 0 || read_place(az, vm, o, where, err) < 0 ||
		read_flags(vm, o, where, err) < 0 || read_kind(vm, o, where, &ade, err) < 0 ||
		read_identity(sim, az, vm, o, where, err) < 0 || sim_object(o, where, "os_disk", &disk, err) < 0 ||
		read_os_disk(sim, az, vm, disk != NULL ? disk : none, disk_where, ade, err) < 0)
		return -1;
	sim_index_put(az->vm_index, vm->id, az->vm_count - 1);
	vm->booted_ms = sim->now_ms - 86400000;
	vm->boots = !az_disk_is_bad(sim, vm->os_disk.disk);
	vm->shown = vm->agent_mode == AZ_AGENT_NONE || vm->power == AZ_DEALLOCATED ? AZ_NO_AGENT
		    : vm->agent_mode == AZ_AGENT_NOT_READY || !vm->boots	   ? AZ_AGENT_IS_SICK
										   : AZ_AGENT_IS_READY;
	vm->shown_ms = sim->now_ms - 3600000;
	return 0;
}

static int read_free_disk(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {DISK_MEMBERS, "group", "location", "zone", "os", NULL};
	const char *name = NULL, *group = az->groups.items[0], *location = "westeurope", *zone = NULL, *os = NULL;
	struct az_disk *d;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_text(o, where, "group", &group, err) < 0 || sim_text(o, where, "location", &location, err) < 0 ||
		sim_text(o, where, "zone", &zone, err) < 0 || sim_text(o, where, "os", &os, err) < 0)
		return -1;
	if (name == NULL || !ff_strv_has(&az->groups, group))
		return ff_fail(err, FF_E_USAGE, "%s: no 'name', or group '%s' is not among 'groups'", where, group);
	d = az_new_disk(sim, az, false, group, name, location);
	az_set(&d->zone, zone);
	az_set(&d->os, os);
	if (os == NULL)
		az_set(&d->create_option, "Empty");
	return read_disk(az, o, where, d, NULL, err);
}

/* ---- locks, denials, numbers */

static int read_lock(struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "level", "group", "vm", "disk", "notes", NULL};
	static const char *const levels[] = {"CanNotDelete", "ReadOnly", NULL};
	const char *name = "lock", *group = NULL, *vm = NULL, *disk = NULL, *notes = NULL;
	struct az_lock *l;
	int level = 0;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_word(o, where, "level", levels, &level, err) < 0 || sim_text(o, where, "group", &group, err) < 0 ||
		sim_text(o, where, "vm", &vm, err) < 0 || sim_text(o, where, "disk", &disk, err) < 0 ||
		sim_text(o, where, "notes", &notes, err) < 0)
		return -1;
	if (group == NULL && (vm != NULL || disk != NULL))
		return ff_fail(err, FF_E_USAGE, "%s: 'vm' and 'disk' need 'group'", where);
	az->locks = ff_realloc(az->locks, az->lock_count + 1, sizeof(*az->locks));
	l = &az->locks[az->lock_count++];
	*l = (struct az_lock){.name = ff_strdup(name), .level = level, .notes = ff_strdup(notes)};
	l->scope = vm != NULL	   ? az_id(az, group, "Microsoft.Compute/virtualMachines", vm)
		   : disk != NULL  ? az_id(az, group, "Microsoft.Compute/disks", disk)
		   : group != NULL ? ff_printf("/subscriptions/%s/resourceGroups/%s", az->subscription, group)
				   : ff_printf("/subscriptions/%s", az->subscription);
	return 0;
}

static int read_deny(struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"action", "scope", NULL};
	const char *action = "*", *scope = "*";

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "action", &action, err) < 0 ||
		sim_text(o, where, "scope", &scope, err) < 0)
		return -1;
	az->deny = ff_realloc(az->deny, az->deny_count + 1, sizeof(*az->deny));
	az->deny[az->deny_count++] = (struct az_deny){ff_strdup(action), ff_strdup(scope)};
	return 0;
}

static int read_latencies(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	/* what was recorded: medians, or what one recording shows */
	static const struct {
		const char *name;
		int64_t usual;
	} known[AZ_L_COUNT] = {
		[AZ_L_POWER_OFF] = {"powerOff", 6400},
		[AZ_L_START] = {"start", 8000},
		[AZ_L_DEALLOCATE] = {"deallocate", 25700},
		[AZ_L_RESTART] = {"restart", 10000},
		[AZ_L_VM_PUT] = {"vmPut", 9700},
		[AZ_L_VM_TAGS] = {"vmTags", 800},
		[AZ_L_ATTACH] = {"attach", 8000},
		[AZ_L_DISK_COPY] = {"diskCopy", 700},
		[AZ_L_DISK_UPDATE] = {"diskUpdate", 500},
		[AZ_L_DISK_DELETE] = {"diskDelete", 1000},
		[AZ_L_BOOT] = {"boot", 45000},
	};
	const char *names[AZ_L_COUNT + 1] = {0};
	const json_t *o;

	if (sim_object(part, "azure", "latency_ms", &o, err) < 0)
		return -1;
	for (int i = 0; i < AZ_L_COUNT; i++)
		names[i] = known[i].name;
	if (o != NULL && sim_only(o, "azure.latency_ms", names, err) < 0)
		return -1;
	for (int i = 0; i < AZ_L_COUNT; i++) {
		int64_t ms = known[i].usual;

		if (sim_int(o, "azure.latency_ms", names[i], 0, 86400000, &ms, err) < 0)
			return -1;
		az->latency[i] = sim_scaled(sim, ms);
	}
	return 0;
}

static int read_waits(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"vm", "disk", "poll", NULL};
	int64_t vm = 10, disk = 2, poll = 0, link = 500;
	const json_t *o;

	if (sim_object(part, "azure", "retry_after_s", &o, err) < 0 ||
		sim_int(part, "azure", "link_delay_ms", 0, 3600000, &link, err) < 0)
		return -1;
	if (o != NULL && (sim_only(o, "azure.retry_after_s", members, err) < 0 ||
				 sim_int(o, "azure.retry_after_s", "vm", 0, 3600, &vm, err) < 0 ||
				 sim_int(o, "azure.retry_after_s", "disk", 0, 3600, &disk, err) < 0 ||
				 sim_int(o, "azure.retry_after_s", "poll", 0, 3600, &poll, err) < 0))
		return -1;
	az->retry_vm_s = sim_scaled_s(sim, vm);
	az->retry_disk_s = sim_scaled_s(sim, disk);
	az->retry_poll_s = sim_scaled_s(sim, poll);
	az->link_delay_ms = sim_scaled(sim, link);
	return 0;
}

static int read_buckets(struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const names[] = {"vm.PutVM", "vm.UpdateVM", "vm.DeleteVM", "vm.LowCostGet",
		"vm.GetOperation", "subscription.PutVM", "subscription.UpdateVM", "subscription.DeleteVM",
		"subscription.LowCostGet", "subscription.HighCostGet", "subscription.GetOperation",
		"subscription.CreateUpdateDisks", "subscription.DeleteDisks", "subscription.reads",
		"subscription.writes", "subscription.deletes", NULL};
	static const char *const members[] = {"capacity", "refill_per_min", NULL};
	const json_t *o;
	const char *key;
	json_t *b;

	if (sim_object(part, "azure", "buckets", &o, err) < 0)
		return -1;
	if (o != NULL && sim_only(o, "azure.buckets", names, err) < 0)
		return -1;
	json_object_foreach ((json_t *)o, key, b) {
		if (sim_only(b, "azure.buckets", members, err) < 0)
			return -1;
		if (!(json_number_value(json_object_get(b, "capacity")) >= 1) ||
			!(json_number_value(json_object_get(b, "refill_per_min")) > 0))
			return ff_fail(err, FF_E_USAGE,
				"azure.buckets: '%s' needs numbers 'capacity' >= 1 and 'refill_per_min' > 0", key);
	}
	az->buckets = o != NULL ? json_deep_copy(o) : json_object();
	return 0;
}

static int read_switches(struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const refusals[] = {"allowed", "subscription", "region", NULL};
	static const char *const batches[] = {"atomic", "partial", NULL};
	static const char *const concurrent[] = {"conflict", "preempt", NULL};
	static const char *const running[] = {"refuse", "reboot", NULL};
	static const char *const patches[] = {"replace", "merge", NULL};
	static const char *const statuses[] = {"full", "power", NULL};

	if (sim_word(part, "azure", "attach_api", refusals, &az->attach_refusal, err) < 0 ||
		sim_word(part, "azure", "attach_batch", batches, &az->attach_batch, err) < 0 ||
		sim_word(part, "azure", "concurrent", concurrent, &az->concurrent, err) < 0 ||
		sim_word(part, "azure", "swap_on_running", running, &az->swap_on_running, err) < 0 ||
		sim_word(part, "azure", "patch_tags", patches, &az->patch_tags, err) < 0 ||
		sim_word(part, "azure", "status_only", statuses, &az->status_only, err) < 0 ||
		sim_bool(part, "azure", "swap_needs_deallocate", &az->swap_needs_deallocate, err) < 0 ||
		sim_bool(part, "azure", "swap_ignored", &az->swap_ignored, err) < 0 ||
		sim_bool(part, "azure", "ade_attach_refused", &az->ade_attach_refused, err) < 0 ||
		sim_bool(part, "azure", "endless_next_link", &az->endless_next_link, err) < 0)
		return -1;
	return 0;
}

/* A list of texts, at least one when `usual` is given for an absent one. */
static int read_texts(const json_t *part, const char *name, const char *usual, struct ff_strv *out, struct ff_err *err)
{
	const json_t *list;
	size_t i;
	json_t *item;

	if (sim_array(part, "azure", name, &list, err) < 0)
		return -1;
	json_array_foreach (list, i, item) {
		if (!json_is_string(item) || json_string_length(item) == 0)
			return ff_fail(err, FF_E_USAGE, "azure: '%s' holds something that is no text", name);
		ff_strv_add(out, json_string_value(item));
	}
	if (out->count == 0 && usual != NULL)
		ff_strv_add(out, usual);
	return 0;
}

static int read_identity_part(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	const char *sub = "00000000-0000-4000-8000-000000000001", *tenant = "00000000-0000-4000-8000-00000000000a";
	const char *client = "00000000-0000-4000-8000-00000000000b", *secret = NULL, *cert = NULL, *token = NULL;
	const char *imds = NULL;
	char object_id[SIM_UUID_BYTES];

	az->token_seconds = 3599;
	az->page_size = 50;
	if (sim_text(part, "azure", "subscription", &sub, err) < 0 ||
		sim_text(part, "azure", "tenant", &tenant, err) < 0 ||
		sim_text(part, "azure", "client_id", &client, err) < 0 ||
		sim_text(part, "azure", "client_secret", &secret, err) < 0 ||
		sim_text(part, "azure", "certificate", &cert, err) < 0 ||
		sim_text(part, "azure", "federated_token", &token, err) < 0 ||
		sim_text(part, "azure", "imds_vm", &imds, err) < 0 ||
		sim_int(part, "azure", "token_seconds", 1, 86400, &az->token_seconds, err) < 0 ||
		sim_int(part, "azure", "page_size", 1, 10000, &az->page_size, err) < 0)
		return -1;
	az->subscription = ff_strdup(sub);
	az->tenant = ff_strdup(tenant);
	az->client_id = ff_strdup(client);
	az->client_secret = ff_strdup(secret);
	az->certificate = ff_strdup(cert);
	az->federated_token = ff_strdup(token);
	az->imds_vm = ff_strdup(imds);
	sim_uuid(sim, object_id);
	az->object_id = ff_strdup(object_id);
	return 0;
}

static int read_lists(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const names[] = {"vms", "disks", "locks", "deny"};

	for (size_t k = 0; k < FF_COUNT(names); k++) {
		const json_t *list;
		size_t i;
		json_t *o;

		if (sim_array(part, "azure", names[k], &list, err) < 0)
			return -1;
		json_array_foreach (list, i, o) {
			ff_auto_free char *where = ff_printf("azure.%s[%zu]", names[k], i);

			if ((k == 0 && read_vm(sim, az, o, where, err) < 0) ||
				(k == 1 && read_free_disk(sim, az, o, where, err) < 0) ||
				(k == 2 && read_lock(az, o, where, err) < 0) ||
				(k == 3 && read_deny(az, o, where, err) < 0))
				return -1;
		}
	}
	return 0;
}

struct azure *az_scenario(struct sim *sim, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"subscription", "tenant", "client_id", "client_secret", "certificate",
		"federated_token", "imds_vm", "token_seconds", "page_size", "groups", "required_tags", "vms", "disks",
		"locks", "deny", "latency_ms", "retry_after_s", "link_delay_ms", "buckets", "attach_api",
		"attach_batch", "concurrent", "swap_on_running", "swap_needs_deallocate", "swap_ignored", "patch_tags",
		"status_only", "ade_attach_refused", "endless_next_link", NULL};
	struct azure *az = ff_calloc(1, sizeof(*az));

	az->vm_index = json_object();
	az->disk_index = json_object();
	if (sim_only(part, "azure", members, err) < 0 || read_identity_part(sim, az, part, err) < 0 ||
		read_texts(part, "groups", "prod", &az->groups, err) < 0 ||
		read_texts(part, "required_tags", NULL, &az->required_tags, err) < 0 ||
		read_latencies(sim, az, part, err) < 0 || read_waits(sim, az, part, err) < 0 ||
		read_buckets(az, part, err) < 0 || read_switches(az, part, err) < 0 ||
		read_lists(sim, az, part, err) < 0) {
		az_free(az);
		return NULL;
	}
	return az;
}
