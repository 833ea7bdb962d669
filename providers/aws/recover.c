/*
 * A run whose journal is lost: what its tags say is enough to bring its volumes home. The VM has the run's id, the root
 * volume also says whose it is, under which device name, with which flag, and whether the VM ran.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS	  1500
#define DELETE_IS " DeleteOnTermination="

/* ---------------------------------------------------------------- what tags say */

/* "/dev/sda1 DeleteOnTermination=true running"; NULL when it is not that. A new object. */
static json_t *read_root_tag(const char *text)
{
	const char *at = text ? strstr(text, DELETE_IS) : NULL, *flag = at ? at + strlen(DELETE_IS) : "";
	size_t n = strcspn(flag, " ");
	ff_auto_free char *device = NULL;
	json_t *root;

	if (at == NULL || !ff_has_prefix(text, "/dev/") || strcspn(text, " ") != (size_t)(at - text) ||
		!((n == 4 && strncmp(flag, "true", n) == 0) || (n == 5 && strncmp(flag, "false", n) == 0)))
		return NULL;
	device = ff_strndup(text, (size_t)(at - text));
	root = json_object();
	ff_json_set_str(root, "device", device);
	ff_json_set_bool(root, "delete", n == 4);
	ff_json_set_str(root, "was", ff_streq(flag + n, " stopped") ? "stopped" : "running");
	return root;
}

static bool is_at(const xmlNode *volume, const char *instance)
{
	const xmlNode *item = aws_xml_at(volume, "attachmentSet/item");

	for (; item != NULL; item = aws_xml_next(item))
		if (ff_streq(aws_xml_str(item, "instanceId"), instance) &&
			!ff_streq(aws_xml_str(item, "status"), "detached"))
			return true;
	return false;
}

/*
 * A rollback that was cut short has two: the one that the VM has, else the older one, which is the one that was
 * replaced.
 */
void aws_found_claimed(struct aws_found *found, const xmlNode *volume)
{
	const char *id = aws_tag(volume, AWS_TAG_VM), *run = aws_tag(volume, AWS_TAG_RUN);
	struct aws_vm *vm = id && run ? aws_found_by_id(found, id) : NULL;
	const char *made = aws_xml_str(volume, "createTime");
	bool home = vm != NULL && is_at(volume, id);
	int64_t gib = 0;
	json_t *claim;

	if (vm == NULL || !ff_streq(ff_json_str(vm->vm.tags, AWS_TAG_RUN), run))
		return;
	if (vm->claim != NULL && (ff_json_bool(vm->claim, "home", false) ||
					 (!home && strcmp(ff_json_str(vm->claim, "made"), made) <= 0)))
		return;
	claim = read_root_tag(aws_tag(volume, AWS_TAG_ROOT));
	if (claim == NULL)
		return;
	if (ff_parse_i64(aws_xml_str(volume, "size"), 1, 65536, &gib) == 0)
		ff_json_set_int(claim, "size_gib", gib);
	ff_json_set_str(claim, "volume", aws_xml_str(volume, "volumeId"));
	ff_json_set_str(claim, "made", made);
	ff_json_set_bool(claim, "home", home);
	json_decref(vm->claim);
	vm->claim = claim;
}

void aws_settle_claim(struct aws_vm *vm)
{
	const char *run = ff_json_str(vm->vm.tags, AWS_TAG_RUN);
	ff_auto_json json_t *own = read_root_tag(ff_json_str(vm->vm.tags, AWS_TAG_ROOT));
	const json_t *said = vm->claim != NULL ? vm->claim : own;
	json_t *root, *claim;

	if (run == NULL)
		return;
	claim = json_object();
	ff_json_set_str(claim, "run", run);
	ff_json_set_str(claim, "was", ff_json_str(said, "was"));
	ff_json_set_str(claim, "by", ff_json_str(vm->vm.tags, AWS_TAG_BY));
	ff_json_set_str(vm->vm.facts, "by", ff_json_str(vm->vm.tags, AWS_TAG_BY));
	ff_json_set_new(vm->vm.facts, "claim", claim);
	if (said == NULL) {
		ff_json_set_str(claim, "lacks",
			"no tag of it or of a volume says how its root volume was attached and whether it ran: "
			"start it if it did");
		return;
	}
	root = json_object_get(vm->vm.facts, "root");
	ff_json_set_str(root, "device", ff_json_str(said, "device"));
	ff_json_set_bool(root, "delete", ff_json_bool(said, "delete", false));
	if (vm->claim != NULL) {
		ff_json_set_str(root, "volume", ff_json_str(vm->claim, "volume"));
		ff_json_set_int(root, "size_gib", ff_json_int(vm->claim, "size_gib", 0));
	}
	if (vm->asg[0] != '\0' && ff_streq(vm->asg_state, "Standby"))
		ff_json_set_str(vm->vm.facts, "asg", vm->asg);
}

json_t *aws_recall_claim(const struct ff_vm *vm, const char *run, struct ff_err *err)
{
	const char *volume = ff_json_str(vm->facts, "root/volume"), *lacks = ff_json_str(vm->facts, "claim/lacks");
	json_t *facts;

	if (!ff_streq(ff_json_str(vm->facts, "claim/run"), run)) {
		ff_fail(err, FF_E_CONFLICT, "it does not bear the tags of that run");
		return NULL;
	}
	if (lacks != NULL) {
		ff_fail(err, FF_E_CONFLICT, "%s", lacks);
		return NULL;
	}
	if (volume == NULL || volume[0] == '\0') {
		ff_fail(err, FF_E_GONE, "it has no root volume, and none bears its tags");
		return NULL;
	}
	facts = json_deep_copy(vm->facts);
	/* not "home" before it was looked at: the words of `where` are for the worst case */
	ff_json_set_str(facts, "at", "out");
	return facts;
}

/* ---------------------------------------------------------------- fetch */

static void see_fetch(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	struct aws_held held = aws_held_by(m, node);

	if (held.holder == AWS_HELD_GOING) {
		aws_failed(v, FF_E_GONE, "volume '%s' is in state '%s'", aws_volume(m), held.state);
	} else if (held.holder == AWS_HELD_BY_VM ||
		   (held.holder == AWS_HELD_BY_NONE && ff_streq(held.state, "available"))) {
		aws_verdict(v, FF_M_DONE);
		ff_json_set_new(aws_patch(v), "holder", json_null());
	} else if (held.holder == AWS_HELD_BY_OTHER && !aws_lags(m, "fetch_ms", wall_ms) &&
		   (ff_streq(held.state, "attached") || ff_streq(held.state, "attaching"))) {
		aws_verdict(v, FF_M_NOT_DONE);
		ff_json_set_str(aws_patch(v), "holder", held.instance);
	} else {
		aws_wait(v, LOOK_MS, "volume '%s' is '%.40s' at '%.40s'", aws_volume(m), held.state, held.instance);
	}
}

const struct aws_view aws_fetch_view = {.first = AWS_SEE_VOLUME, .see_first = see_fetch};

AWS_ACT_FN(aws_fetch)
{
	struct ff_buf form = {0};

	(void)n;
	if (aws_text(m, "holder")[0] == '\0')
		return ff_fail(err, FF_E_BUG, "nobody is known to have the volume");
	aws_form(&form, AWS_EC2, "DetachVolume");
	ff_form_add(&form, "VolumeId", aws_volume(m));
	ff_form_add(&form, "InstanceId", aws_text(m, "holder"));
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACTED_FN(aws_fetch_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, "fetch_ms", v);
}
