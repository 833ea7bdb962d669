/*
 * After a repair: the rest of a rollback, and the cleanup, which deletes the snapshot of a repair or the volume that a
 * rollback has replaced. Both bear the run's tags, and are read just before: EC2 itself refuses to delete what is
 * attached.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS	   2000
#define CONFIRM_MS 5000

/* ---------------------------------------------------------------- rollback */

/* What comes back may be what could not boot: that it runs with it is all that can be asked. */
static void see_confirm(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "instanceState/name");
	const xmlNode *root = aws_mapping(node, aws_volume(m));

	(void)wall_ms;
	if (ff_streq(state, "pending"))
		aws_wait(v, CONFIRM_MS, "it is pending");
	else if (!ff_streq(state, "running"))
		aws_failed(v, FF_E_PERMANENT, "it is '%.40s' again", state);
	else if (!ff_streq(aws_xml_str(root, "deviceName"), aws_root_device(m)))
		aws_failed(v, FF_E_CONFLICT, "it runs, but volume '%s' is not its root", aws_volume(m));
	else if (aws_xml_true(root, "ebs/deleteOnTermination") != ff_json_bool(m->facts, "root/delete", false))
		aws_wait(v, CONFIRM_MS, "DeleteOnTermination of volume '%s' is not as it was", aws_volume(m));
	else
		aws_verdict(v, FF_M_DONE);
}

const struct aws_view aws_confirm_view = {.first = AWS_SEE_INSTANCE, .see_first = see_confirm};

/* Of the VM and its new root, keys with values: what another run has written since stays. */
AWS_ACT_FN(aws_release_new)
{
	ff_auto_free char *root = aws_root_tag(m);
	const char *by = ff_json_str(m->facts, "by");
	const char *const tags[][2] = {
		{AWS_TAG_RUN, m->run}, {AWS_TAG_VM, m->vm->id}, {AWS_TAG_ROOT, root}, {AWS_TAG_BY, by}};
	struct ff_buf form = {0};

	(void)n;
	if (!aws_is_made(m))
		return ff_fail(err, FF_E_BUG, "no new volume is recorded");
	aws_form(&form, AWS_EC2, "DeleteTags");
	aws_form_nth(&form, "ResourceId", 1, m->vm->id);
	aws_form_nth(&form, "ResourceId", 2, aws_text(m, "made"));
	for (size_t i = 0; i < FF_COUNT(tags) && tags[i][1] != NULL; i++) {
		ff_auto_free char *key = ff_printf("Tag.%zu.Key", i + 1), *value = ff_printf("Tag.%zu.Value", i + 1);

		ff_form_add(&form, key, tags[i][0]);
		ff_form_add(&form, value, tags[i][1]);
	}
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

/* ---------------------------------------------------------------- cleanup */

bool aws_left_snapshot(const struct ff_member *m)
{
	return ff_has_prefix(aws_text(m, "left"), "snap-");
}

bool aws_left_volume(const struct ff_member *m)
{
	return ff_has_prefix(aws_text(m, "left"), "vol-");
}

/* The item with the id of what is left over; NULL: it is gone. */
static const xmlNode *find_left(const struct ff_member *m, const xmlNode *root, const char *path, const char *id_name)
{
	const xmlNode *item = aws_xml_at(root, path);

	while (item != NULL && !ff_streq(aws_xml_str(item, id_name), aws_text(m, "left")))
		item = aws_xml_next(item);
	return item;
}

static void is_gone(struct ff_verdict *v)
{
	ff_json_set_bool(aws_patch(v), "deleted", true);
	aws_verdict(v, FF_M_DONE);
}

/* Not the run's, or just asked to be deleted: the verdict is there. */
static bool stays(const struct ff_member *m, int64_t wall_ms, const xmlNode *item, struct ff_verdict *v)
{
	const char *left = aws_text(m, "left"), *of = aws_text(m, "of");

	if (!ff_streq(aws_tag(item, AWS_TAG_RUN), of) || !ff_streq(aws_tag(item, AWS_TAG_VM), m->vm->id))
		aws_failed(v, FF_E_CONFLICT, "'%s' is not tagged as run '%s' has left it: it stays", left, of);
	else if (aws_lags(m, "delete_ms", wall_ms))
		aws_wait(v, LOOK_MS, "'%s' is still to be seen", left);
	else
		return false;
	return true;
}

static void see_snapshot(const struct ff_member *m, int64_t wall_ms, const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *item = find_left(m, root, "snapshotSet/item", "snapshotId");

	if (item == NULL)
		is_gone(v);
	else if (!stays(m, wall_ms, item, v))
		aws_verdict(v, FF_M_NOT_DONE);
}

static void see_volume(const struct ff_member *m, int64_t wall_ms, const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *item = find_left(m, root, "volumeSet/item", "volumeId");
	const char *state = aws_xml_str(item, "status"), *left = aws_text(m, "left");

	if (item == NULL || ff_streq(state, "deleting") || ff_streq(state, "deleted"))
		is_gone(v);
	else if (!ff_streq(state, "available"))
		aws_failed(v, FF_E_CONFLICT, "volume '%s' is '%.40s': it stays", left, state);
	else if (!stays(m, wall_ms, item, v))
		aws_verdict(v, FF_M_NOT_DONE);
}

const struct aws_view aws_delete_snapshot_view = {.first = AWS_SEE_LEFT_SNAPSHOT, .see_first = see_snapshot};
const struct aws_view aws_delete_volume_view = {.first = AWS_SEE_LEFT_VOLUME, .see_first = see_volume};

static int ask_delete(const struct ff_cloud *cloud, const struct ff_member *m, const char *action, const char *key,
	struct ff_ask *ask)
{
	struct ff_buf form = {0};

	aws_form(&form, AWS_EC2, action);
	ff_form_add(&form, key, aws_text(m, "left"));
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACT_FN(aws_delete_snapshot)
{
	(void)n;
	(void)err;
	return ask_delete(cloud, m, "DeleteSnapshot", "SnapshotId", ask);
}

AWS_ACT_FN(aws_delete_volume)
{
	(void)n;
	(void)err;
	return ask_delete(cloud, m, "DeleteVolume", "VolumeId", ask);
}

AWS_ACTED_FN(aws_deleted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, "delete_ms", v);
}

/* ---------------------------------------------------------------- recall */

static json_t *with_left(json_t *facts, const char *kind, const char *id, int64_t size_bytes, struct ff_left *left)
{
	ff_json_set_str(facts, "left", id);
	if (left != NULL)
		*left = (struct ff_left){.kind = kind, .name = ff_strdup(id), .size_bytes = size_bytes};
	return facts;
}

/* What the run has left: of a rollback the volume that it took out, else the snapshot. */
static json_t *recall_left(const struct ff_vm *vm, const char *run, bool rolled_back, const json_t *past,
	struct ff_left *left, struct ff_err *err)
{
	const char *volume = ff_json_str(past, "root/volume"), *snapshot = ff_json_str(past, "snapshot");
	int64_t gib = ff_json_int(past, "root/size_gib", 0), bytes = gib > 0 && gib < 65537 ? gib << 30 : 0;
	json_t *facts;

	if (rolled_back && (volume == NULL || ff_streq(volume, vm->disk_id) || vm->disk_id[0] == '\0')) {
		ff_fail(err, FF_E_CONFLICT, "the volume that the run has replaced is its root, or not known");
		return NULL;
	}
	if (!rolled_back && snapshot == NULL) {
		ff_fail(err, FF_E_CONFLICT, "the run took no snapshot of it");
		return NULL;
	}
	facts = vm->facts ? json_deep_copy(vm->facts) : json_object();
	ff_json_set_str(facts, "of", run);
	return rolled_back ? with_left(facts, "volume", volume, bytes, left)
			   : with_left(facts, "snapshot", snapshot, bytes, left);
}

json_t *aws_recall(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
	bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err)
{
	const char *volume = ff_json_str(past, "root/volume"), *snapshot = ff_json_str(past, "snapshot");
	json_t *facts;

	(void)cloud;
	if (flow == FF_FLOW_RECOVER)
		return aws_recall_claim(vm, run, err);
	if (flow == FF_FLOW_CLEANUP)
		return recall_left(vm, run, rolled_back, past, left, err);
	if (rolled_back)
		ff_fail(err, FF_E_CONFLICT,
			"that run was a rollback, which is not taken back on AWS: repair it again; the mended volume "
			"'%s' "
			"is there until the rollback is cleaned up after",
			volume ? volume : "");
	else if (snapshot == NULL)
		ff_fail(err, FF_E_CONFLICT, "the run took no snapshot of it: there is nothing to go back to");
	else if (volume == NULL || !ff_streq(volume, vm->disk_id))
		ff_fail(err, FF_E_CONFLICT, "its root volume is '%s' now, which the run did not leave there",
			vm->disk_id);
	else {
		facts = vm->facts ? json_deep_copy(vm->facts) : json_object();
		ff_json_set_str(facts, "of", run);
		ff_json_set_str(facts, "snapshot", snapshot);
		return facts;
	}
	return NULL;
}
