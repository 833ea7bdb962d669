/*
 * Backup: a snapshot of the root volume while the VM stands still. Its point in time is the request, so nothing waits
 * for its end. It says in its tags whose it is, and is found by them before another one is made: CreateSnapshot has no
 * client token.
 */
#include "aws.h"

#include <stdlib.h>

#define LOOK_MS 3000

bool aws_backup_applies(const struct ff_member *m)
{
	return !ff_json_bool(m->facts, "no_backup", false);
}

AWS_ACT_FN(aws_backup)
{
	ff_auto_free char *text = ff_printf("fixfleet run %s: root volume of %s before repair", m->run, m->vm->id);
	ff_auto_free char *root = aws_root_tag(m);
	const char *const tags[][2] = {{AWS_TAG_RUN, m->run}, {AWS_TAG_VM, m->vm->id}, {AWS_TAG_ROOT, root}};
	struct ff_buf form = {0};

	(void)n;
	(void)err;
	aws_form(&form, AWS_EC2, "CreateSnapshot");
	ff_form_add(&form, "VolumeId", aws_volume(m));
	ff_form_add(&form, "Description", text);
	ff_form_add(&form, "TagSpecification.1.ResourceType", "snapshot");
	for (size_t i = 0; i < FF_COUNT(tags); i++) {
		ff_auto_free char *key = ff_printf("TagSpecification.1.Tag.%zu.Key", i + 1);
		ff_auto_free char *value = ff_printf("TagSpecification.1.Tag.%zu.Value", i + 1);

		ff_form_add(&form, key, tags[i][0]);
		ff_form_add(&form, value, tags[i][1]);
	}
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACTED_FN(aws_backup_acted)
{
	aws_auto_reply reply = {0};
	const char *id;

	(void)cloud;
	aws_reply_read(&reply, answer);
	aws_act_answered(m, n, wall_ms, answer, "backup_ms", v);
	id = reply.class == FF_E_NONE ? aws_xml_str(reply.root, "snapshotId") : "";
	if (id[0] != '\0')
		ff_json_set_str(aws_patch(v), "snapshot", id);
	else if (reply.class == FF_E_NONE) /* accepted, but it does not say as what */
		aws_verdict(v, FF_M_LOOK);
}

static void see_snapshots(const struct ff_member *m, int64_t wall_ms, const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *item = aws_xml_at(root, "snapshotSet/item");

	if (!aws_backup_applies(m)) {
		aws_verdict(v, FF_M_DONE);
		return;
	}
	for (; item != NULL; item = aws_xml_next(item)) {
		const char *state = aws_xml_str(item, "status");

		if (!ff_streq(aws_xml_str(item, "volumeId"), aws_volume(m)) ||
			!ff_streq(aws_tag(item, AWS_TAG_RUN), m->run))
			continue;
		if (ff_streq(state, "error")) { /* another one is made; this one stays, and is told of */
			ff_json_set_str(aws_patch(v), "failed_snapshot", aws_xml_str(item, "snapshotId"));
			continue;
		}
		ff_json_set_str(aws_patch(v), "snapshot", aws_xml_str(item, "snapshotId"));
		aws_verdict(v, FF_M_DONE);
		return;
	}
	if (aws_lags(m, "backup_ms", wall_ms))
		aws_wait(v, LOOK_MS, "the snapshot is not to be seen yet");
	else
		aws_verdict(v, FF_M_NOT_DONE);
}

const struct aws_view aws_backup_view = {.first = AWS_SEE_SNAPSHOT, .see_first = see_snapshots};
