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
	const char *volume = aws_volume(m), *device = aws_root_device(m);
	const char *made = ff_json_str(m->facts, "made"), *replaced = ff_json_str(m->facts, "root/volume");
	const char *failed = ff_json_str(m->facts, "failed_snapshot");

	(void)cloud;
	if (ff_json_str(m->facts, "left") != NULL) {
		ff_buf_addf(text, "root volume '%s' is on the VM as %s; '%s' is %s", volume, device,
			aws_text(m, "left"), ff_json_bool(m->facts, "deleted", false) ? "deleted" : "left over");
		return;
	}
	if (made != NULL && ff_json_bool(m->facts, "in", false) && !ff_streq(at, "out")) {
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
	if (failed != NULL)
		ff_buf_addf(text, "; snapshot '%s' has failed and is left over", failed);
	if (made != NULL)
		ff_buf_addf(text, "; volume '%s' was made of it", made);
}

struct option {
	const char *name, *value;
};

/* Region first, then the options up to one without a value. */
static void aws_command(
	const struct ff_cloud *cloud, const char *verb, const struct option options[4], struct ff_strv *commands)
{
	ff_auto_buf text = {0};

	ff_buf_addf(&text, "aws ec2 %s --region ", verb);
	ff_buf_add_word(&text, cloud->region ? cloud->region : "");
	for (int i = 0; i < 4 && options[i].value != NULL; i++) {
		ff_buf_addf(&text, " --%s ", options[i].name);
		ff_buf_add_word(&text, options[i].value);
	}
	ff_strv_add(commands, text.text);
}

/* Attaching loses DeleteOnTermination, so the command that sets it follows. */
void aws_by_hand(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands)
{
	const char *at = ff_json_str(m->facts, "at"), *volume = aws_volume(m), *device = aws_root_device(m);
	ff_auto_free char *mapping = ff_printf("DeviceName=%s,Ebs={DeleteOnTermination=%s}", device,
		ff_json_bool(m->facts, "root/delete", false) ? "true" : "false");
	bool away = at != NULL && !ff_streq(at, "home");

	if (away && ff_streq(at, "rescue"))
		aws_command(cloud, "detach-volume", (struct option[4]){{"volume-id", volume}}, commands);
	if (away) {
		aws_command(cloud, "wait volume-available", (struct option[4]){{"volume-ids", volume}}, commands);
		aws_command(cloud, "attach-volume",
			(struct option[4]){{"volume-id", volume}, {"instance-id", m->vm->id}, {"device", device}},
			commands);
	}
	if (away || ff_json_bool(m->facts, "flag", false))
		aws_command(cloud, "modify-instance-attribute",
			(struct option[4]){{"instance-id", m->vm->id}, {"block-device-mappings", mapping}}, commands);
	if (m->vm->running)
		aws_command(cloud, "start-instances", (struct option[4]){{"instance-ids", m->vm->id}}, commands);
}
