/*
 * Claim and release: tags on the VM and its root volume that say which run is at work, and whose the volume is, should
 * the journal be lost while it is detached. EC2 has no compare-and-set for tags: look, write, wait, look again, and who
 * then reads another run's name has lost.
 *
 * How long to wait: a claim of another may be written over ours as long as its look may not have shown ours, which is
 * the lag of tags, and how long it takes from a look to the write (that it does not take longer is the row's fresh_ms).
 * Then it may hide from us for the lag again. The last arbiter is the volume, which only one can attach.
 */
#include "aws.h"

#include <stdlib.h>

#define TAG_LAG_MS     2000 /* seconds at most are reported, facts section 5; AWS_LAG_MS is far on the safe side */
#define ON_WAY_MS      1500 /* of a request, until it takes effect */
#define UNSEEN_MS      (TAG_LAG_MS + ON_WAY_MS)
#define TAGS	       4
#define MOMENT_MS      (2 * TAG_LAG_MS + AWS_CLAIM_FRESH_MS + ON_WAY_MS)
#define LAG_LOOK_MS    1500
#define STATUS_LOOK_MS 10000

char *aws_root_tag(const struct ff_member *m)
{
	return ff_printf("%s DeleteOnTermination=%s %s", aws_root_device(m),
		ff_json_bool(m->facts, "root/delete", false) ? "true" : "false",
		m->vm->running ? "running" : "stopped");
}

/* How many of the four: the first says whose they are. */
static void add_tags(const struct ff_member *m, size_t most, struct ff_buf *form)
{
	ff_auto_free char *root = aws_root_tag(m);
	const char *by = ff_json_str(m->facts, "by"); /* as it was written: another operator may go on with the run */
	const char *const tags[][2] = {
		{AWS_TAG_RUN, m->run}, {AWS_TAG_VM, m->vm->id}, {AWS_TAG_ROOT, root}, {AWS_TAG_BY, by ? by : m->by}};

	for (size_t i = 0; i < most && i < FF_COUNT(tags) && tags[i][1] != NULL; i++) {
		ff_auto_free char *key = ff_printf("Tag.%zu.Key", i + 1), *value = ff_printf("Tag.%zu.Value", i + 1);

		ff_form_add(form, key, tags[i][0]);
		ff_form_add(form, value, tags[i][1]);
	}
}

static int ask_tags(
	const struct ff_cloud *cloud, const struct ff_member *m, const char *action, size_t most, struct ff_ask *ask)
{
	struct ff_buf form = {0};

	aws_form(&form, AWS_EC2, action);
	aws_form_nth(&form, "ResourceId", 1, m->vm->id);
	aws_form_nth(&form, "ResourceId", 2, aws_volume(m));
	add_tags(m, most, &form);
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

/* ---------------------------------------------------------------- claim */

AWS_ACT_FN(aws_claim)
{
	(void)n;
	(void)err;
	return ask_tags(cloud, m, "CreateTags", TAGS, ask);
}

AWS_ACTED_FN(aws_claim_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, "claim_ms", v);
	if (v->facts != NULL && m->by != NULL)
		ff_json_set_str(v->facts, "by", m->by);
}

/* Evidence is of discovery; hours may lie between it and this VM's turn, or between a claim of which nothing was heard
 * and the run's being gone on with: another may have mended it meanwhile. */
static void see_status(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	bool began = aws_since(m, "claim_ms", wall_ms) < AWS_LAG_MS;
	const char *status = aws_xml_str(node, "instanceStatus/status");

	/* a rollback does not ask how it is */
	if (began || ff_json_str(m->facts, "of") != NULL || m->vm->health != FF_AFFECTED)
		aws_other_side(v);
	else if (ff_streq(status, "ok"))
		aws_failed(v, FF_E_CONFLICT, "it passes its instance status check by now");
	else if (ff_streq(status, "initializing")) /* neither sick nor well */
		aws_wait(v, STATUS_LOOK_MS, "it was started since it was found, and its status check says nothing yet");
	else
		aws_other_side(v);
}

/*
 * Before our own tag is written another's is a claim. After it, until ours is to be seen, it is what was replaced: a
 * claim that might be, or that of a run which looked in the same moment. Of two such the one that wrote last has it;
 * were it to believe at once what it reads, both would give way.
 */
static void foreign(
	const struct ff_member *m, const xmlNode *node, const char *run, int64_t since, struct ff_verdict *v)
{
	const char *by = aws_tag(node, AWS_TAG_BY);
	ff_auto_free char *clean = ff_printable(run), *whose = ff_printable(by ? by : "");

	if (ff_may_replace_claim(m, run) && since == INT64_MAX)
		aws_verdict(v, FF_M_NOT_DONE);
	else if (since < (ff_may_replace_claim(m, run) ? AWS_LAG_MS : UNSEEN_MS))
		aws_wait(v, LAG_LOOK_MS, "the tag is not to be seen yet");
	else
		aws_failed(v, FF_E_CONFLICT,
			"run '%.64s'%s%.128s has claimed it (tag " AWS_TAG_RUN
			"): if that run is dead, its own resume goes on with it, or --take-over",
			clean, by ? " of " : "", whose);
}

/* Our name, and when it was written is not known: whoever wrote it has died. From now on, then. */
static void begin_waiting(int64_t wall_ms, struct ff_verdict *v)
{
	ff_json_set_int(aws_patch(v), "claim_ms", wall_ms);
	aws_wait(v, MOMENT_MS, "another run may claim it in the same moment");
}

/* Nothing came of it, or another run's claim has come and gone since: it begins anew, with how the VM is now. */
static void begin_anew(struct ff_verdict *v)
{
	ff_json_set_new(aws_patch(v), "claim_ms", json_null());
	ff_json_set_new(aws_patch(v), "side", json_null());
	aws_wait(v, LAG_LOOK_MS, "its tag was not written");
}

static void see_claim(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *run = aws_tag(node, AWS_TAG_RUN);
	const xmlNode *root = aws_mapping(node, aws_volume(m));
	int64_t since = aws_since(m, "claim_ms", wall_ms);

	if (run != NULL && !ff_streq(run, m->run)) {
		foreign(m, node, run, since, v);
	} else if (!ff_streq(aws_xml_str(root, "deviceName"), aws_root_device(m))) {
		aws_failed(v, FF_E_CONFLICT, "volume '%s' is not its root volume any more", aws_volume(m));
	} else if (run != NULL && since == INT64_MAX) {
		begin_waiting(wall_ms, v);
	} else if (run != NULL && since < MOMENT_MS) {
		aws_wait(v, (unsigned)(MOMENT_MS - since), "another run may claim it in the same moment");
	} else if (run != NULL) {
		aws_verdict(v, FF_M_DONE);
	} else if (since < AWS_LAG_MS) {
		aws_wait(v, LAG_LOOK_MS, "the tag is not to be seen yet");
	} else if (since != INT64_MAX) {
		begin_anew(v);
	} else {
		aws_verdict(v, FF_M_NOT_DONE);
	}
}

const struct aws_view aws_claim_view = {AWS_SEE_STATUS, see_status, AWS_SEE_INSTANCE, see_claim};

/* ---------------------------------------------------------------- release */

/*
 * With keys and values: what another run has written since stays. Where another's name is to be seen it has written all
 * of them since, some with the very values that ours have: without them nobody could bring its volume home.
 */
AWS_ACT_FN(aws_release)
{
	(void)n;
	(void)err;
	return ask_tags(cloud, m, "DeleteTags", ff_json_bool(m->facts, "theirs", false) ? 1 : TAGS, ask);
}

AWS_ACTED_FN(aws_release_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, "release_ms", v);
}

static void see_release(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	bool fresh = aws_lags(m, "claim_ms", wall_ms) && aws_since(m, "release_ms", wall_ms) == INT64_MAX;
	const char *run = aws_tag(node, AWS_TAG_RUN);

	if (!ff_streq(run, m->run) && fresh) { /* it may only not be seen yet */
		aws_verdict(v, FF_M_NOT_DONE);
		ff_json_set_new(aws_patch(v), "theirs",
			run != NULL && !ff_may_replace_claim(m, run) ? json_true() : json_null());
	} else if (!ff_streq(run, m->run))
		aws_verdict(v, FF_M_DONE);
	else if (aws_lags(m, "release_ms", wall_ms))
		aws_wait(v, LAG_LOOK_MS, "the tag is still to be seen");
	else {
		aws_verdict(v, FF_M_NOT_DONE);
		ff_json_set_new(aws_patch(v), "theirs", json_null());
	}
}

const struct aws_view aws_release_view = {.first = AWS_SEE_INSTANCE, .see_first = see_release};
