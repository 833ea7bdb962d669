/* Where the worker finds a volume on the rescue VM, and where it is, in words. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define NVME_LINK "disk/by-id/nvme-Amazon_Elastic_Block_Store_"

/*
 * Nitro: the NVMe serial is the volume's id without its dash, and udev links by it. Xen has neither: /dev/sdf appears
 * as xvdf, and the size must tell (facts section 8).
 */
int aws_place(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *place, struct ff_err *err)
{
	const char *volume = aws_volume(m), *device = ff_json_str(m->facts, "device");
	int64_t gib = ff_json_int(m->facts, "root/size_gib", 0);

	(void)cloud;
	if (!ff_has_prefix(volume, "vol-"))
		return ff_fail(err, FF_E_BUG, "'%.100s' is not the id of a volume", volume);
	place->serial = ff_printf("vol%s", volume + 4);
	ff_strv_addf(&place->paths, NVME_LINK "%s", place->serial);
	if (device != NULL && ff_has_prefix(device, "/dev/") && strchr(device + 5, '/') == NULL) {
		if (ff_has_prefix(device + 5, "sd"))
			ff_strv_addf(&place->paths, "xvd%s", device + 7);
		ff_strv_add(&place->paths, device + 5);
	}
	place->size_bytes = gib > 0 ? gib << 30 : 0;
	return 0;
}

void aws_where(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text)
{
	const char *at = ff_json_str(m->facts, "at"), *snapshot = ff_json_str(m->facts, "snapshot");
	const char *volume = aws_volume(m), *device = aws_root_device(m), *region = cloud->region ? cloud->region : "";
	const char *flag = ff_json_bool(m->facts, "root/delete", false) ? "true" : "false";
	const char *made = ff_json_str(m->facts, "made"), *replaced = ff_json_str(m->facts, "root/volume");

	if (ff_json_str(m->facts, "left") != NULL) {
		ff_buf_addf(text, "root volume '%s' is on the VM as %s; '%s' is left over", volume, device,
			aws_text(m, "left"));
		return;
	}
	if (made != NULL && ff_json_bool(m->facts, "in", false)) {
		ff_buf_addf(text,
			"volume '%s', made of snapshot '%s', is on the VM as %s; the mended volume '%s' is detached",
			made, snapshot ? snapshot : "", device, replaced ? replaced : "");
		return;
	}
	if (at == NULL || ff_streq(at, "home"))
		ff_buf_addf(text, "root volume '%s' is on the VM as %s", volume, device);
	else if (ff_streq(at, "rescue"))
		ff_buf_addf(text, "root volume '%s' was last on rescue VM '%s' as %s", volume,
			m->rescue ? m->rescue->id : "?", ff_json_str(m->facts, "device"));
	else
		ff_buf_addf(text, "root volume '%s' was last detached", volume);
	if (snapshot != NULL)
		ff_buf_addf(text, "; snapshot '%s'", snapshot);
	if (made != NULL)
		ff_buf_addf(text, "; volume '%s' was made of it", made);
	if (at == NULL || (ff_streq(at, "home") && !ff_json_bool(m->facts, "flag", false)))
		return;
	ff_buf_adds(text, "; home again: ");
	if (ff_streq(at, "rescue"))
		ff_buf_addf(text, "aws ec2 detach-volume --region %s --volume-id %s, then ", region, volume);
	if (!ff_streq(at, "home"))
		ff_buf_addf(text,
			"aws ec2 attach-volume --region %s --volume-id %s --instance-id %s --device %s, then ", region,
			volume, m->vm->id, device);
	ff_buf_addf(text,
		"aws ec2 modify-instance-attribute --region %s --instance-id %s --block-device-mappings "
		"'DeviceName=%s,Ebs={DeleteOnTermination=%s}'",
		region, m->vm->id, device, flag);
}
