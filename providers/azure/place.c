/* Where a disk is: for the worker, and for people. */
#include "azure.h"

#include <string.h>

/*
 * Links by LUN, in this order: azure-vm-utils (SCSI and NVMe), cloud-init and WALinuxAgent (SCSI), old WALinuxAgent;
 * Azure/azure-vm-utils doc/disk-identification.md. No serial is promised.
 */
int azure_place(
	const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *place, struct ff_err *err)
{
	(void)cloud;
	*place = (struct ff_disk_place){0};
	if (m->slot < 0)
		return ff_fail(err, FF_E_BUG, "no slot is assigned");
	ff_strv_addf(&place->paths, "disk/azure/data/by-lun/%d", m->slot);
	ff_strv_addf(&place->paths, "disk/azure/scsi1/lun%d", m->slot);
	ff_strv_addf(&place->paths, "disk/azure/datadisks/lun%d", m->slot);
	place->size_bytes = m->vm->disk_bytes;
	return 0;
}

void azure_where(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text)
{
	const char *target = ff_json_str(m->facts, "target"), *left = ff_json_str(m->facts, "left");
	ff_auto_free char *copy = azure_target_name(m);
	const char *id = ff_json_str(m->facts, "os_disk/managedDisk/id");
	const char *replaced = ff_json_str(m->facts, "replaced");
	bool copied = ff_json_bool(m->facts, "copied", false), attached = ff_json_bool(m->facts, "attached", false);
	bool swapped = ff_json_bool(m->facts, "swapped", false);

	(void)cloud;
	if (swapped || ff_json_bool(m->facts, "swapping", false)) {
		ff_buf_addf(text, "%s '%s' %s the OS disk; the %s '%s' is %s", target ? "original" : "copy", copy,
			swapped ? "is" : "may be", target ? "mended disk" : "original",
			azure_id_name(replaced ? replaced : id), swapped ? "unattached" : "the OS disk otherwise");
		return;
	}
	ff_buf_addf(text, "OS disk '%s' is on the VM", azure_id_name(id));
	if (left != NULL)
		ff_buf_addf(text, "; disk '%s' is %s", azure_id_name(left),
			ff_json_bool(m->facts, "deleted", false) ? "deleted" : "left over");
	if (attached && m->rescue != NULL)
		ff_buf_addf(text, "; copy '%s' is on '%s', LUN %d", copy, m->rescue->name, m->slot);
	else if (copied)
		ff_buf_addf(text, "; copy '%s' %s in resource group '%s'", copy,
			ff_json_bool(m->facts, "copy_unseen", false) ? "may be" : "is", m->vm->scope);
}

static void az(struct ff_strv *commands, const char *verb, const char *id, const char *option, const char *value)
{
	ff_auto_buf text = {0};

	ff_buf_addf(&text, "az vm %s --ids ", verb);
	ff_buf_add_word(&text, id);
	ff_buf_addf(&text, "%s%s", option[0] ? " " : "", option);
	if (value != NULL) {
		ff_buf_adds(&text, " ");
		ff_buf_add_word(&text, value);
	}
	ff_strv_add(commands, text.text);
}

/*
 * The OS disk is swapped, never detached, so whatever became of our swap this one ends with the right disk
 * (`az vm update --help`: "--os-disk: The managed OS disk to swap to"). It wants a VM that is stopped; deallocating
 * satisfies it in every case.
 */
void azure_by_hand(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands)
{
	const char *disk = ff_json_str(m->facts, "os_disk/managedDisk/id");

	(void)cloud;
	az(commands, "deallocate", m->vm->id, "", NULL);
	az(commands, "update", m->vm->id, "--os-disk", disk ? disk : "");
	if (m->vm->running)
		az(commands, "start", m->vm->id, "", NULL);
}
