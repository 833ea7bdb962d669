/* Azure's resources as the JSON that it answers with. */
#include "azure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

char *az_upper_id(const char *id)
{
	char *text = ff_strdup(id);
	char *p = text != NULL ? strcasestr(text, "/resourceGroups/") : NULL;

	if (p != NULL)
		for (p += strlen("/resourceGroups/"); *p != '\0' && *p != '/'; p++)
			*p = (char)toupper((unsigned char)*p);
	return text;
}

static void set_id(json_t *o, const char *key, const char *id, bool upper)
{
	ff_auto_free char *text = upper ? az_upper_id(id) : ff_strdup(id);

	ff_json_set_str(o, key, text);
}

static int64_t whole_gib(int64_t bytes)
{
	return (bytes + ((int64_t)1 << 30) - 1) >> 30;
}

/* ---- disks */

const char *az_disk_state(const struct az_disk *d)
{
	if (d->state_override != NULL)
		return d->state_override;
	if (d->vm == NULL)
		return "Unattached";
	return d->vm->power == AZ_DEALLOCATED ? "Reserved" : "Attached";
}

static json_t *encryption(const struct az_disk *d)
{
	json_t *e = json_object();

	ff_json_set_str(e, "type",
		d->encryption_set != NULL ? "EncryptionAtRestWithCustomerKey" : "EncryptionAtRestWithPlatformKey");
	if (d->encryption_set != NULL)
		set_id(e, "diskEncryptionSetId", d->encryption_set, true);
	return e;
}

static json_t *disk_properties(const struct az_disk *d)
{
	json_t *p = json_object(), *creation = json_object();
	char when[SIM_TIME_BYTES];

	ff_json_set_str(p, "osType", d->os);
	ff_json_set_str(p, "hyperVGeneration", d->generation);
	if (d->os != NULL)
		ff_json_set_new(p, "supportedCapabilities",
			json_pack("{s:s,s:b,s:s}", "diskControllerTypes", "SCSI, NVMe", "acceleratedNetwork", 1,
				"architecture", "x64"));
	ff_json_set_str(creation, "createOption", d->create_option);
	ff_json_set_str(creation, "sourceResourceId", d->source);
	ff_json_set_new(p, "creationData", creation);
	ff_json_set_int(p, "diskSizeGB", whole_gib(d->size_bytes));
	if (d->ready) {
		ff_json_set_int(p, "diskSizeBytes", d->size_bytes);
		ff_json_set_str(p, "uniqueId", d->unique_id);
		ff_json_set_str(p, "timeCreated", sim_time(d->created_ms, when));
		ff_json_set_str(p, "diskState", az_disk_state(d));
		ff_json_set_new(p, "encryption", encryption(d));
		ff_json_set_str(p, "networkAccessPolicy", d->network_policy);
		ff_json_set_str(p, "publicNetworkAccess", d->disk_access != NULL ? "Disabled" : "Enabled");
		if (d->disk_access != NULL)
			set_id(p, "diskAccessId", d->disk_access, false);
		if (d->security_type != NULL)
			ff_json_set_new(p, "securityProfile", json_pack("{s:s}", "securityType", d->security_type));
		if (d->ade != NULL)
			ff_json_set_new(p, "encryptionSettingsCollection", az_ade_json(d->az, d->ade));
	}
	if (d->snapshot)
		ff_json_set_bool(p, "incremental", d->incremental);
	ff_json_set_str(p, "provisioningState",
		az_disk_is_going(d)	    ? "Deleting"
		: d->ready && d->op == NULL ? "Succeeded"
					    : "Updating");
	return p;
}

json_t *az_disk_json(const struct az_disk *d, bool upper)
{
	json_t *o = json_object();

	ff_json_set_str(o, "name", d->name);
	set_id(o, "id", d->id, upper);
	ff_json_set_str(o, "type", d->snapshot ? "Microsoft.Compute/snapshots" : "Microsoft.Compute/disks");
	ff_json_set_str(o, "location", d->location);
	ff_json_set_new(o, "tags", json_deep_copy(d->tags));
	if (d->zone != NULL)
		ff_json_set_new(o, "zones", json_pack("[s]", d->zone));
	if (d->vm != NULL)
		set_id(o, "managedBy", d->vm->id, true);
	ff_json_set_new(o, "sku",
		json_pack("{s:s,s:s}", "name", d->sku, "tier",
			ff_has_prefix(d->sku, "Premium") ? "Premium" : "Standard"));
	ff_json_set_new(o, "properties", disk_properties(d));
	return o;
}

/* ---- machines */

static json_t *managed_disk(const struct az_disk *d, const struct az_vm *os_of)
{
	json_t *m = json_object();

	ff_json_set_str(m, "storageAccountType", d->sku);
	if (d->encryption_set != NULL) {
		json_t *set = json_object();

		set_id(set, "id", d->encryption_set, true);
		ff_json_set_new(m, "diskEncryptionSet", set);
	}
	if (os_of != NULL && ff_streq(os_of->security_type, "ConfidentialVM"))
		ff_json_set_new(m, "securityProfile",
			json_pack("{s:s}", "securityEncryptionType",
				d->security_type != NULL && strstr(d->security_type, "_DiskEncrypted") != NULL
					? "DiskWithVMGuestState"
					: "VMGuestStateOnly"));
	ff_json_set_str(m, "id", d->id);
	return m;
}

static json_t *os_disk(const struct az_vm *vm)
{
	const struct az_disk *d = vm->os_disk.disk;
	json_t *o = json_object();

	ff_json_set_str(o, "osType", vm->os);
	ff_json_set_str(o, "name", d != NULL ? d->name : vm->name);
	ff_json_set_str(o, "createOption", vm->os_disk.create_option);
	ff_json_set_str(o, "caching", vm->ephemeral ? "ReadOnly" : vm->os_disk.caching);
	if (vm->os_disk.write_accelerator)
		ff_json_set_bool(o, "writeAcceleratorEnabled", true);
	if (vm->ephemeral)
		ff_json_set_new(o, "diffDiskSettings", json_pack("{s:s}", "option", "Local"));
	if (vm->ade_dual)
		ff_json_set_new(o, "encryptionSettings", json_pack("{s:b}", "enabled", 1));
	if (d == NULL) {
		ff_auto_free char *uri = ff_printf("https://fleetstorage.blob.core.windows.net/vhds/%s.vhd", vm->name);

		ff_json_set_new(o, "vhd", json_pack("{s:s}", "uri", uri));
	} else {
		ff_json_set_new(o, "managedDisk", managed_disk(d, vm));
	}
	ff_json_set_str(o, "deleteOption", vm->os_disk.delete_option);
	ff_json_set_int(o, "diskSizeGB", d != NULL ? whole_gib(d->size_bytes) : 127);
	return o;
}

json_t *az_storage_profile(const struct az_vm *vm)
{
	json_t *o = json_object(), *data = json_array();
	bool windows = ff_streq(vm->os, "Windows");

	ff_json_set_new(o, "imageReference",
		json_pack("{s:s,s:s,s:s,s:s,s:s}", "publisher", windows ? "MicrosoftWindowsServer" : "Canonical",
			"offer", windows ? "WindowsServer" : "0001-com-ubuntu-server-jammy", "sku",
			windows ? "2022-datacenter" : "22_04-lts-gen2", "version", "latest", "exactVersion",
			windows ? "20348.2527.240607" : "22.04.202407010"));
	ff_json_set_new(o, "osDisk", os_disk(vm));
	for (size_t i = 0; i < vm->data_count; i++) {
		const struct az_data_disk *d = &vm->data[i];
		json_t *e = json_object();

		ff_json_set_int(e, "lun", d->lun);
		ff_json_set_str(e, "name", d->disk->name);
		ff_json_set_str(e, "createOption", "Attach");
		ff_json_set_str(e, "caching", d->caching);
		ff_json_set_new(e, "managedDisk", managed_disk(d->disk, NULL));
		ff_json_set_str(e, "deleteOption", d->delete_option);
		ff_json_set_int(e, "diskSizeGB", whole_gib(d->disk->size_bytes));
		ff_json_set_bool(e, "toBeDetached", d->disk->detaching);
		json_array_append_new(data, e);
	}
	ff_json_set_new(o, "dataDisks", data);
	ff_json_set_str(o, "diskControllerType", "SCSI");
	return o;
}

static json_t *os_profile(const struct az_vm *vm)
{
	json_t *o = json_pack("{s:s,s:s}", "computerName", vm->name, "adminUsername", "ops");

	if (ff_streq(vm->os, "Windows"))
		ff_json_set_new(o, "windowsConfiguration",
			json_pack("{s:b,s:b,s:{s:s,s:s}}", "provisionVMAgent", 1, "enableAutomaticUpdates", 1,
				"patchSettings", "patchMode", "AutomaticByOS", "assessmentMode", "ImageDefault"));
	else
		ff_json_set_new(o, "linuxConfiguration",
			json_pack("{s:b,s:b}", "disablePasswordAuthentication", 1, "provisionVMAgent", 1));
	ff_json_set_new(o, "secrets", json_array());
	ff_json_set_bool(o, "allowExtensionOperations", true);
	ff_json_set_bool(o, "requireGuestProvisionSignal", true);
	return o;
}

static json_t *status(const char *code, const char *display, const char *time)
{
	json_t *s = json_pack("{s:s,s:s,s:s}", "code", code, "level", "Info", "displayStatus", display);

	ff_json_set_str(s, "time", time);
	return s;
}

static json_t *agent_json(const struct az_vm *vm, enum az_agent agent, int64_t time_ms)
{
	bool ready = agent == AZ_AGENT_IS_READY, windows = ff_streq(vm->os, "Windows");
	char text[SIM_TIME_BYTES];
	ff_auto_free char *when = ff_printf("%.19s+00:00", sim_time(time_ms, text));
	json_t *s = json_pack("{s:s,s:s,s:s,s:s,s:s}", "code",
		ready ? "ProvisioningState/succeeded" : "ProvisioningState/Unavailable", "level",
		ready ? "Info" : "Warning", "displayStatus", ready ? "Ready" : "Not Ready", "message",
		!ready	  ? "VM Agent is unresponsive."
		: windows ? "GuestAgent is running and processing the extensions."
			  : "Guest Agent is running",
		"time", when);

	return json_pack("{s:s,s:[o],s:[]}", "vmAgentVersion",
		!ready	  ? "Unknown"
		: windows ? "2.7.41491.1121"
			  : "2.9.0.4",
		"statuses", s, "extensionHandlers");
}

/* An encrypted disk's view repeats what its record says, and calls each setting enabled. */
static json_t *disk_view(const struct az_disk *d, const char *when)
{
	json_t *o = json_object(), *statuses = json_array(), *settings = NULL, *setting;
	ff_auto_json json_t *ade = d->ade != NULL ? az_ade_json(d->az, d->ade) : NULL;
	size_t i;

	ff_json_set_str(o, "name", d->name);
	json_array_append_new(statuses, status("ProvisioningState/succeeded", "Provisioning succeeded", when));
	settings = json_incref(json_object_get(ade, "encryptionSettings"));
	json_array_foreach (settings, i, setting)
		ff_json_set_bool(setting, "enabled", true);
	if (settings != NULL) {
		ff_json_set_new(o, "encryptionSettings", settings);
		json_array_append_new(
			statuses, status("EncryptionState/encrypted", "Encryption is enabled on disk", NULL));
	}
	ff_json_set_new(o, "statuses", statuses);
	return o;
}

json_t *az_instance_view(const struct sim *sim, const struct azure *az, const struct az_vm *vm)
{
	static const char *const display[] = {
		"VM running", "VM stopped", "VM deallocated", "VM starting", "VM stopping", "VM deallocating"};
	json_t *o = json_object(), *statuses = json_array();
	char when[SIM_TIME_BYTES];
	ff_auto_free char *power = ff_printf("PowerState/%s", az_power_names[vm->power]);
	int64_t time_ms;
	enum az_agent agent = az_agent_now(sim, az, vm, &time_ms);

	if (agent == AZ_AGENT_IS_READY) {
		bool windows = ff_streq(vm->os, "Windows");

		ff_json_set_str(o, "computerName", vm->name);
		ff_json_set_str(o, "osName", windows ? "Windows Server 2022 Datacenter" : "ubuntu");
		ff_json_set_str(o, "osVersion", windows ? "10.0.20348.2527" : "22.04");
	}
	if (agent != AZ_NO_AGENT)
		ff_json_set_new(o, "vmAgent", agent_json(vm, agent, time_ms));
	sim_time(vm->op != NULL ? vm->op->began_ms : vm->changed_ms, when);
	if (vm->os_disk.disk != NULL)
		ff_json_set_new(o, "disks", json_pack("[o]", disk_view(vm->os_disk.disk, when)));
	ff_json_set_str(o, "hyperVGeneration", vm->generation);
	if (vm->op != NULL)
		json_array_append_new(statuses, status("ProvisioningState/updating", "Updating", when));
	else if (vm->failed)
		json_array_append_new(statuses, status("ProvisioningState/failed", "Provisioning failed", when));
	else
		json_array_append_new(statuses, status("ProvisioningState/succeeded", "Provisioning succeeded", when));
	if (vm->generalized)
		json_array_append_new(statuses, status("OSState/generalized", "VM generalized", NULL));
	json_array_append_new(statuses, status(power, display[vm->power], NULL));
	ff_json_set_new(o, "statuses", statuses);
	return o;
}

static json_t *vm_properties(const struct az_call *c, const struct az_vm *vm, bool instance_view)
{
	json_t *p = json_object();
	ff_auto_free char *nic = ff_printf("%s-nic", vm->name);
	ff_auto_free char *nic_id = az_id(c->az, vm->group, "Microsoft.Network/networkInterfaces", nic);
	ff_auto_free char *set = az_id(c->az, vm->group, "Microsoft.Compute/virtualMachineScaleSets", "fleet-set");
	char when[SIM_TIME_BYTES];

	ff_json_set_str(p, "vmId", vm->vm_id);
	ff_json_set_new(p, "hardwareProfile", json_pack("{s:s}", "vmSize", vm->size));
	ff_json_set_new(p, "storageProfile", az_storage_profile(vm));
	ff_json_set_new(p, "osProfile", os_profile(vm));
	if (vm->hibernation)
		ff_json_set_new(p, "additionalCapabilities", json_pack("{s:b}", "hibernationEnabled", 1));
	if (vm->security_type != NULL)
		ff_json_set_new(p, "securityProfile",
			json_pack("{s:{s:b,s:b},s:s}", "uefiSettings", "secureBootEnabled", 1, "vTpmEnabled", 1,
				"securityType", vm->security_type));
	ff_json_set_new(p, "networkProfile",
		json_pack("{s:[{s:s,s:{s:b}}]}", "networkInterfaces", "id", nic_id, "properties", "primary", 1));
	ff_json_set_new(p, "diagnosticsProfile", json_pack("{s:{s:b}}", "bootDiagnostics", "enabled", 1));
	if (vm->vmss)
		ff_json_set_new(p, "virtualMachineScaleSet", json_pack("{s:s}", "id", set));
	if (vm->spot) {
		ff_json_set_str(p, "priority", "Spot");
		ff_json_set_str(p, "evictionPolicy", "Deallocate");
	}
	ff_json_set_str(p, "provisioningState", vm->op != NULL ? "Updating" : vm->failed ? "Failed" : "Succeeded");
	if (instance_view)
		ff_json_set_new(p, "instanceView", az_instance_view(c->sim, c->az, vm));
	ff_json_set_str(p, "timeCreated", sim_time(vm->created_ms, when));
	return p;
}

static json_t *vm_head(const struct az_vm *vm, bool upper)
{
	json_t *o = json_object();

	ff_json_set_str(o, "name", vm->name);
	set_id(o, "id", vm->id, upper);
	ff_json_set_str(o, "type", "Microsoft.Compute/virtualMachines");
	ff_json_set_str(o, "location", vm->location);
	return o;
}

json_t *az_vm_json(const struct az_call *c, const struct az_vm *vm, bool upper, bool instance_view)
{
	json_t *o = vm_head(vm, upper);
	ff_auto_free char *etag = ff_printf("\"%lld\"", (long long)vm->etag);

	ff_json_set_new(o, "tags", json_deep_copy(vm->tags));
	if (vm->zone != NULL)
		ff_json_set_new(o, "zones", json_pack("[s]", vm->zone));
	if (vm->identity != NULL)
		ff_json_set_new(o, "identity", json_deep_copy(vm->identity));
	if (vm->plan != NULL)
		ff_json_set_new(o, "plan", json_deep_copy(vm->plan));
	ff_json_set_str(o, "etag", etag);
	ff_json_set_new(o, "properties", vm_properties(c, vm, instance_view));
	return o;
}

/* An entry of a statusOnly list; its exact columns are not published. */
json_t *az_vm_status_json(const struct az_call *c, const struct az_vm *vm)
{
	json_t *o = vm_head(vm, true), *view = az_instance_view(c->sim, c->az, vm);

	if (c->az->status_only == 1) {
		json_object_del(view, "vmAgent");
		json_object_del(view, "disks");
	}
	ff_json_set_new(o, "properties",
		json_pack("{s:s,s:s,s:o}", "vmId", vm->vm_id, "provisioningState",
			vm->op != NULL ? "Updating"
			: vm->failed   ? "Failed"
				       : "Succeeded",
			"instanceView", view));
	return o;
}
