/* Azure's part of a scenario: its machines and disks. */
#include "azure.h"

#include <string.h>

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
	vm->ade = *ade = ade_kind == 0;
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

int az_read_vm(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "group", "location", "zone", "size", "os", "generation", "power",
		"tags", "data_disks_max", "rescue", "agent", "hibernation", "vmss", "spot", "ephemeral", "unmanaged",
		"generalized", "ade", "ade_bek", "ade_kek", "ade_url", "security_type", "public_ip", "identity", "plan",
		"os_disk", NULL};
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
		read_os_disk(sim, az, vm, disk != NULL ? disk : none, disk_where, ade, err) < 0 ||
		az_read_ade(az, vm, o, where, err) < 0)
		return -1;
	sim_index_put(az->vm_index, vm->id, az->vm_count - 1);
	vm->booted_ms = vm->changed_ms = sim->now_ms - 86400000;
	vm->boots = !az_disk_is_bad(sim, vm->os_disk.disk);
	vm->shown = vm->agent_mode == AZ_AGENT_NONE || vm->power == AZ_DEALLOCATED ? AZ_NO_AGENT
		    : vm->agent_mode == AZ_AGENT_NOT_READY || !vm->boots	   ? AZ_AGENT_IS_SICK
										   : AZ_AGENT_IS_READY;
	vm->shown_ms = sim->now_ms - 3600000;
	return 0;
}

/* "attached_to" a VM of the same group at "lun": there before anybody came. */
static int attach_loose(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct az_disk *d,
	const char *vm_name, struct ff_err *err)
{
	struct az_vm *vm = NULL;
	struct az_data_disk *slot;
	int64_t lun = 0;

	for (size_t i = 0; i < az->vm_count; i++)
		if (ff_strcaseeq(az->vms[i]->name, vm_name) && ff_strcaseeq(az->vms[i]->group, d->group))
			vm = az->vms[i];
	if (vm == NULL)
		return ff_fail(err, FF_E_USAGE, "%s.attached_to: no VM '%s' in its group", where, vm_name);
	if (sim_int(o, where, "lun", 0, vm->max_data_disks - 1, &lun, err) < 0)
		return -1;
	for (size_t i = 0; i < vm->data_count; i++)
		if (vm->data[i].lun == lun)
			return ff_fail(
				err, FF_E_USAGE, "%s.lun: %lld is in use on '%s'", where, (long long)lun, vm_name);
	vm->data = ff_realloc(vm->data, vm->data_count + 1, sizeof(*vm->data));
	slot = &vm->data[vm->data_count++];
	*slot = (struct az_data_disk){d, lun, ff_strdup("None"), ff_strdup("Detach")};
	d->vm = vm;
	sim_effect(sim, 0, SIM_LINK, NULL, d->image, vm->name, (int)lun);
	return 0;
}

int az_read_loose_disk(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {
		DISK_MEMBERS, "group", "location", "zone", "os", "attached_to", "lun", NULL};
	const char *name = NULL, *group = az->groups.items[0], *location = "westeurope", *zone = NULL, *os = NULL;
	const char *vm = NULL;
	struct az_disk *d;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_text(o, where, "group", &group, err) < 0 || sim_text(o, where, "location", &location, err) < 0 ||
		sim_text(o, where, "zone", &zone, err) < 0 || sim_text(o, where, "os", &os, err) < 0 ||
		sim_text(o, where, "attached_to", &vm, err) < 0)
		return -1;
	if (name == NULL || !ff_strv_has(&az->groups, group))
		return ff_fail(err, FF_E_USAGE, "%s: no 'name', or group '%s' is not among 'groups'", where, group);
	d = az_new_disk(sim, az, false, group, name, location);
	az_set(&d->zone, zone);
	az_set(&d->os, os);
	if (os == NULL)
		az_set(&d->create_option, "Empty");
	if (read_disk(az, o, where, d, NULL, err) < 0)
		return -1;
	return vm != NULL ? attach_loose(sim, az, o, where, d, vm, err) : 0;
}
