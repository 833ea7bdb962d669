/* Locks, public addresses, sizes, and the metadata service. */
#include "azure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- sizes: enough of them, from Microsoft's tables */

static const struct size {
	const char *name;
	int disks;
	int64_t temp_mb;
} sizes[] = {
	{"Standard_B2s", 4, 8192},
	{"Standard_DS1_v2", 4, 7168},
	{"Standard_D2_v3", 4, 51200},
	{"Standard_D2s_v3", 4, 16384},
	{"Standard_D4s_v3", 8, 32768},
	{"Standard_D8s_v3", 16, 65536},
	{"Standard_D16s_v3", 32, 131072},
	{"Standard_D32s_v3", 32, 262144},
	{"Standard_D2s_v5", 4, 0},
	{"Standard_D4s_v5", 8, 0},
	{"Standard_D8s_v5", 16, 0},
	{"Standard_D16s_v5", 32, 0},
	{"Standard_E64s_v3", 32, 884736},
	{"Standard_M128s", 64, 4096000},
};

int64_t az_size_disks(const char *size)
{
	for (size_t i = 0; i < FF_COUNT(sizes); i++)
		if (ff_strcaseeq(sizes[i].name, size))
			return sizes[i].disks;
	return 8;
}

int64_t az_size_temp_mb(const char *size)
{
	for (size_t i = 0; i < FF_COUNT(sizes); i++)
		if (ff_strcaseeq(sizes[i].name, size))
			return sizes[i].temp_mb;
	return 16384;
}

/* Premium storage goes with an "s" after the number: D2s_v3, DS1_v2, B2s. */
bool az_size_premium(const char *size)
{
	const char *p = strchr(size, '_');

	p = p != NULL ? p + 1 : size;
	for (; *p != '\0' && *p != '_'; p++)
		if (*p == 's' || *p == 'S')
			return true;
	return false;
}

/* `$filter=location eq 'westus'`; the whole list of one region. */
static json_t *sku(const struct az_call *c, const void *item)
{
	const struct size *size = item;
	const char *filter = az_query(c, "$filter"), *from = filter != NULL ? strchr(filter, '\'') : NULL;
	ff_auto_free char *location =
		from != NULL ? ff_strndup(from + 1, strcspn(from + 1, "'")) : ff_strdup("westeurope");
	ff_auto_free char *count = ff_printf("%d", size->disks);
	ff_auto_free char *temp = ff_printf("%lld", (long long)size->temp_mb);

	return json_pack("{s:s,s:s,s:s,s:[s],s:[{s:s,s:[s,s,s]}],s:[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}],"
			 "s:[]}",
		"resourceType", "virtualMachines", "name", size->name, "tier", "Standard", "locations", location,
		"locationInfo", "location", location, "zones", "1", "2", "3", "capabilities", "name",
		"MaxDataDiskCount", "value", count, "name", "MaxResourceVolumeMB", "value", temp, "name", "PremiumIO",
		"value", az_size_premium(size->name) ? "True" : "False", "name", "HyperVGenerations", "value", "V1,V2",
		"name", "CpuArchitectureType", "value", "x64", "restrictions");
}

void az_skus(struct az_call *c)
{
	struct az_list list = {0};

	for (size_t i = 0; i < FF_COUNT(sizes); i++)
		az_list_add(&list, &sizes[i]);
	az_page(c, &list, sku);
}

int64_t az_bytes(const json_t *object, const char *path)
{
	int64_t gib = ff_json_int(object, path, -1);

	return gib < 0 ? -1 : (gib > 65536 ? 65536 : gib) << 30;
}

/* ---- locks */

static bool under(const char *scope, const char *above)
{
	size_t n = strlen(above);

	return strncasecmp(scope, above, n) == 0 && (scope[n] == '\0' || scope[n] == '/');
}

int az_unlocked(struct az_call *c, const char *scope, bool deletes)
{
	for (size_t i = 0; i < c->az->lock_count; i++) {
		const struct az_lock *l = &c->az->locks[i];

		if (under(scope, l->scope) && (l->level == AZ_READ_ONLY || deletes))
			return az_refuse(c, 409, "ScopeLocked",
				"The scope '%s' cannot perform %s operation because following scope(s) are locked: "
				"'%s'. "
				"Please remove the lock and try again.",
				scope, deletes ? "delete" : "write", l->scope);
	}
	return 0;
}

static json_t *lock(const struct az_call *c, const void *item)
{
	const struct az_lock *l = item;
	ff_auto_free char *id = ff_printf("%s/providers/Microsoft.Authorization/locks/%s", l->scope, l->name);
	json_t *properties = json_pack("{s:s}", "level", l->level == AZ_READ_ONLY ? "ReadOnly" : "CanNotDelete");

	(void)c;
	ff_json_set_str(properties, "notes", l->notes);
	return json_pack("{s:o,s:s,s:s,s:s}", "properties", properties, "id", id, "type",
		"Microsoft.Authorization/locks", "name", l->name);
}

void az_locks(struct az_call *c)
{
	struct az_list list = {0};

	for (size_t i = 0; i < c->az->lock_count; i++)
		az_list_add(&list, &c->az->locks[i]);
	az_page(c, &list, lock);
}

/* ---- public addresses */

static json_t *address(const struct az_call *c, const void *item)
{
	const struct az_vm *vm = item;
	bool dynamic = ff_streq(vm->public_ip, "dynamic");
	ff_auto_free char *name = ff_printf("%s-ip", vm->name);
	ff_auto_free char *id = az_id(c->az, vm->group, "Microsoft.Network/publicIPAddresses", name);
	ff_auto_free char *nic = ff_printf("%s-nic/ipConfigurations/ipconfig1", vm->name);
	ff_auto_free char *config = az_id(c->az, vm->group, "Microsoft.Network/networkInterfaces", nic);
	json_t *p = json_pack("{s:s,s:s,s:i,s:{s:s}}", "publicIPAllocationMethod", dynamic ? "Dynamic" : "Static",
		"publicIPAddressVersion", "IPv4", "idleTimeoutInMinutes", 4, "ipConfiguration", "id", config);

	ff_json_set_str(p, "ipAddress", vm->power == AZ_DEALLOCATED && dynamic ? NULL : "203.0.113.7");
	ff_json_set_str(p, "provisioningState", "Succeeded");
	return json_pack("{s:s,s:s,s:s,s:s,s:{s:s,s:s},s:o}", "name", name, "id", id, "type",
		"Microsoft.Network/publicIPAddresses", "location", vm->location, "sku", "name",
		dynamic ? "Basic" : "Standard", "tier", "Regional", "properties", p);
}

void az_public_addresses(struct az_call *c)
{
	struct az_list list = {0};

	for (size_t i = 0; i < c->az->vm_count; i++)
		if (c->az->vms[i]->public_ip != NULL)
			az_list_add(&list, c->az->vms[i]);
	az_page(c, &list, address);
}

/* ---- the metadata service, on the rescue VM */

static const struct az_vm *this_vm(const struct azure *az)
{
	if (az->imds_vm != NULL)
		return az_vm_named(az, az->imds_vm);
	for (size_t i = 0; i < az->vm_count; i++)
		if (az->vms[i]->rescue || ff_streq(ff_json_str(az->vms[i]->tags, "fixfleet-role"), "rescue"))
			return az->vms[i];
	return az->vm_count > 0 ? az->vms[0] : NULL;
}

void az_metadata_instance(struct az_call *c)
{
	const struct az_vm *vm = this_vm(c->az);
	json_t *disks = json_array();

	sim_count_request(c->sim, "instance metadata");
	if (vm == NULL || az_query(c, "api-version") == NULL) {
		az_reply(c, 400,
			json_pack("{s:s,s:[s]}", "error", "Bad request. api-version was not specified in the request",
				"newest-versions", "2021-02-01"));
		json_decref(disks);
		return;
	}
	for (size_t i = 0; i < vm->data_count; i++) {
		ff_auto_free char *lun = ff_printf("%lld", (long long)vm->data[i].lun);

		json_array_append_new(disks, json_pack("{s:s,s:s}", "lun", lun, "name", vm->data[i].disk->name));
	}
	az_reply(c, 200,
		json_pack("{s:{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:{s:o}}}", "compute", "name", vm->name, "location",
			vm->location, "zone", vm->zone != NULL ? vm->zone : "", "vmId", vm->vm_id, "vmSize", vm->size,
			"resourceGroupName", vm->group, "subscriptionId", c->az->subscription, "resourceId", vm->id,
			"storageProfile", "dataDisks", disks));
}
