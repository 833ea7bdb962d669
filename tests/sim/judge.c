/*
 * What must be true. The model finds most of it by itself, at every change: a VM that runs without its own OS disk, a
 * disk attached twice, something changed without a claim, a healthy VM stopped, a request too soon after a 429. Here is
 * what only the whole can tell: each VM at rest as it was, or mended, or truly said to be stuck.
 */
#include "incident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"

#define MILD_MAX 2

/* Which run's word on a VM is the later one shows only while it goes on. */
static void note_ends(struct vw_incident *i, size_t h)
{
	struct ff_engine *engine = i->vw->hosts[h]->engine;
	struct vw_ends *ends = &i->ends[h];
	const struct ff_result *r;
	struct ff_counts counts;
	size_t ended = 0;

	if (engine == NULL)
		return;
	ff_engine_counts(engine, &counts);
	for (size_t k = 0; k < FF_COUNT(counts.ended); k++)
		ended += k != FF_O_NONE ? counts.ended[k] : 0;
	if (ended == ends->ended)
		return;
	ends->ended = ended;
	r = ff_engine_result(engine);
	if (r->count > ends->count) {
		ends->order = ff_realloc(ends->order, r->count, sizeof(*ends->order));
		memset(ends->order + ends->count, 0, (r->count - ends->count) * sizeof(*ends->order));
		ends->count = r->count;
	}
	for (size_t k = 0; k < r->count; k++) {
		if (r->ended[k].outcome == FF_O_NONE)
			ends->order[k] = 0;
		else if (ends->order[k] == 0)
			ends->order[k] = ++i->last_end;
	}
}

/* What a run has left of its claims is nobody's to the rollback of that run: it has ended. */
static bool replaces_what_was_left(const struct vw_incident *i, const char *violation)
{
	for (size_t h = 0; h < i->vw->host_count; h++) {
		const struct vw_host *host = i->vw->hosts[h];
		ff_auto_free char *was = host->past != NULL ? ff_printf("'%s'", host->past->run) : NULL;
		ff_auto_free char *is = ff_printf("'%s'", host->run);

		if (was != NULL && strstr(violation, "claim") != NULL && strstr(violation, was) != NULL &&
			strstr(violation, is) != NULL)
			return true;
	}
	return false;
}

void vw_judge_step(struct vw_incident *i)
{
	json_t *violations = i->vw->sim->violations;

	for (size_t h = 0; h < i->vw->host_count; h++)
		note_ends(i, h);
	for (size_t k = 0; k < json_array_size(violations); k++) {
		const char *text = json_string_value(json_array_get(violations, k));

		/* what one operator was told the other cannot know, nor anybody what a human does meanwhile */
		if ((!i->beside || strstr(text, "throttled: ") == NULL) &&
			(i->touched_by_hand.count == 0 || strstr(text, "asked to start") == NULL) &&
			!replaces_what_was_left(i, text))
			vw_wrong(i, "violation: %s", text);
	}
	json_array_clear(violations);
}

/* What became of one VM by the words of the runs. */
struct said {
	const struct ff_result *of[VW_HOSTS_MAX]; /* asked for anew they are made anew, and these are gone */
	const struct ff_ended *by[VW_HOSTS_MAX];
	const struct ff_ended *end; /* the last that did something; NULL: nobody */
	unsigned order;
	bool any, mended; /* mended: by one of them */
	bool written;	  /* by one of them, though it went home as failed */
	bool lost;	  /* a run whose folder is lost had begun it */
};

static size_t find_ended(const struct ff_result *r, const char *cloud, const char *name)
{
	for (size_t k = 0; k < r->count; k++)
		if (ff_streq(r->ended[k].provider, cloud) && ff_streq(r->ended[k].vm->name, name))
			return k;
	return SIZE_MAX;
}

/* It turned home at its claim, having done nothing else: who did more is to say what became of the VM. */
static bool gave_way(const struct ff_ended *e)
{
	return e->outcome == FF_O_FAILED_HOME && ff_has_prefix(e->reason, "claim");
}

static bool is_later(const struct said *said, const struct ff_ended *e, unsigned order)
{
	if (said->end == NULL || gave_way(said->end) != gave_way(e))
		return said->end == NULL || gave_way(said->end);
	return order > said->order;
}

/* What a run says of the VM now, else what it had said before its folder was lost. */
static const struct ff_ended *word_by(const struct vw_incident *i, size_t h, const struct ff_result *r,
	const char *cloud, const char *name, unsigned *order)
{
	size_t k = r != NULL ? find_ended(r, cloud, name) : SIZE_MAX;
	const struct vw_words *words = vw_lost_words(i, h, cloud, name);

	*order = 0;
	if (k != SIZE_MAX) {
		*order = k < i->ends[h].count ? i->ends[h].order[k] : 0;
		return &r->ended[k];
	}
	if (words == NULL || words->ended.outcome == FF_O_SKIPPED ||
		(words->ended.outcome == FF_O_NONE && !vw_lost_was_released(words)))
		return NULL;
	*order = words->order;
	return &words->ended;
}

/* Of a lost run nobody knows whether it mended the VM, nor to what end. */
static bool lost_had_begun(const struct vw_incident *i, size_t h, const struct ff_ended *e)
{
	return i->lost[h] && e->outcome != FF_O_SKIPPED && (e->outcome != FF_O_NONE || e->step != NULL);
}

static void ask_runs(const struct vw_incident *i, const char *cloud, const char *name, struct said *said)
{
	*said = (struct said){0};
	for (size_t h = 0; h < i->vw->host_count; h++) {
		struct ff_engine *engine = i->vw->hosts[h]->engine;
		const struct ff_result *r = engine != NULL ? ff_engine_result(engine) : NULL;
		unsigned order;
		const struct ff_ended *e = word_by(i, h, r, cloud, name, &order);

		said->of[h] = r;
		said->by[h] = e;
		said->any = said->any || e != NULL;
		said->lost = said->lost || (e != NULL && lost_had_begun(i, h, e));
		if (e == NULL || e->outcome == FF_O_SKIPPED || (e->outcome == FF_O_NONE && !i->lost[h]))
			continue;
		said->mended = said->mended || e->outcome == FF_O_REPAIRED || strstr(e->reason, "mended and home");
		said->written = said->written || said->mended || ff_has_prefix(e->reason, "repair: ");
		if (is_later(said, e, order)) {
			said->end = e;
			said->order = order;
		}
	}
}

/* The attachment of the OS disk, as the cloud's state shows it. */
static const char *const attachments[][6] = {
	{"azure", "os_disk/caching", "os_disk/delete_option"},
	{"aws", "root/device", "root/volume", "root/delete_on_termination", "root/status"},
	{"gcp", "boot/disk", "boot/device_name", "boot/auto_delete", "boot/mode", "boot/interface"},
};

/* Which disk it is; on Azure the copy is another one by design. */
static bool is_disk(const char *member)
{
	return ff_streq(member, "root/volume") || ff_streq(member, "boot/disk");
}

bool vw_judge_attached(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, bool same_disk)
{
	const char *name = ff_json_str(was, "name");

	for (size_t c = 0; c < FF_COUNT(attachments); c++) {
		if (!ff_streq(attachments[c][0], cloud))
			continue;
		for (size_t k = 1; k < FF_COUNT(attachments[c]) && attachments[c][k] != NULL; k++) {
			const json_t *a = ff_json_at(was, attachments[c][k]), *b = ff_json_at(is, attachments[c][k]);

			if (!same_disk && is_disk(attachments[c][k]))
				continue;
			if (b == NULL || !json_equal((json_t *)a, (json_t *)b)) {
				ff_auto_free char *x = a != NULL ? ff_json_text(a) : ff_strdup("-");
				ff_auto_free char *y = b != NULL ? ff_json_text(b) : ff_strdup("-");

				vw_wrong(i, "%s %s: %s is %s, was %s", cloud, name, attachments[c][k], y, x);
				return false;
			}
		}
	}
	return true;
}

bool vw_by_hand(const struct vw_incident *i, const char *cloud, const char *name)
{
	ff_auto_free char *key = ff_printf("%s %s", cloud, name);

	return ff_table_get(&i->touched_by_hand, key) != NULL;
}

bool vw_says(const struct ff_ended *e, const char *word)
{
	return e != NULL && strstr(e->reason, word) != NULL;
}

struct vw_disk *vw_content_of(const struct vw_incident *i, const json_t *vm)
{
	const char *image = ff_json_str(vm, "os_disk/image");

	image = image != NULL ? image : ff_json_str(vm, "root/image");
	image = image != NULL ? image : ff_json_str(vm, "boot/image");
	return vw_disk_of(i->vw, image);
}

static bool is_original(const char *cloud, const json_t *vm)
{
	return !ff_streq(cloud, "azure") || ff_json_bool(vm, "os_disk/original", false);
}

/* Later than anybody waits, or never. */
static bool operations_end_badly(const struct vw_incident *i)
{
	return i->operations_lost || i->vw->faults.counts[VW_F_OP_HANGS] + i->vw->faults.counts[VW_F_OP_LATE] > 0;
}

bool vw_is_late(const struct vw_incident *i, const char *run)
{
	for (size_t h = 0; h < i->vw->host_count; h++)
		if (i->lost[h] && ff_streq(i->vw->hosts[h]->run, run))
			return operations_end_badly(i);
	return false;
}

/* The claim is gone and nothing of others is lost; `release` may have failed and said so. */
void vw_judge_tags(
	struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, const struct ff_ended *e)
{
	const char *kind = ff_streq(cloud, "gcp") ? "labels" : "tags";
	ff_auto_json json_t *tags = json_copy(json_object_get(is, kind));
	const char *key;
	json_t *value;

	if (vw_by_hand(i, cloud, ff_json_str(was, "name")))
		return;
	json_object_foreach (json_object_get(was, kind), key, value)
		if (!ff_has_prefix(key, "fixfleet-") && !json_equal(value, json_object_get(tags, key)))
			vw_wrong(i, "%s %s: %s '%s' is lost", cloud, ff_json_str(was, "name"), kind, key);
	if (vw_says(e, "release") || vw_says(e, "claim"))
		return;
	json_object_foreach (tags, key, value)
		/* what was there before, and was not replaced, is the run of before's, and that has told of it */
		if (ff_has_prefix(key, "fixfleet-run") && json_string_length(value) > 0 &&
			!vw_is_late(i, json_string_value(value)) &&
			(e == NULL || e->outcome == FF_O_ROLLED_BACK ||
				!json_equal(value, json_object_get(json_object_get(was, kind), key))))
			vw_wrong(i, "%s %s: is claimed still (%s), and nobody says so: %s", cloud,
				ff_json_str(was, "name"), json_string_value(value), e != NULL ? e->reason : "");
}

void vw_judge_stuck(struct vw_incident *i, const char *cloud, const json_t *is, const struct ff_ended *e)
{
	const char *name = ff_json_str(is, "name");

	if (i->revoked || vw_by_hand(i, cloud, name))
		return;
	if (ff_json_bool(is, "own_disk", false) && !operations_end_badly(i) && i->vw->faults.counts[VW_F_OP_FAILS] == 0)
		vw_wrong(i, "%s %s: said to be stuck, and its disk is home: %s", cloud, name, e->reason);
	if (!operations_end_badly(i))
		vw_wrong(i, "%s %s: stuck without a cause: %s", cloud, name, e->reason);
}

static const char *claimed_by(const json_t *vm)
{
	const char *run = ff_json_str(vm, "tags/fixfleet-run");

	return run != NULL ? run : ff_json_str(vm, "labels/fixfleet-run");
}

/* Whose word counts for what a run has made or claimed: another run may have mended the VM since. */
static const struct ff_ended *word_of(const struct vw_incident *i, const struct said *said, const char *run)
{
	for (size_t h = 0; h < i->vw->host_count; h++)
		if (said->by[h] != NULL && ff_streq(i->vw->hosts[h]->run, run))
			return said->by[h];
	return said->end;
}

static void judge_end_of(
	struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, const struct said *said)
{
	const struct ff_ended *e = said->end;
	const char *name = ff_json_str(was, "name"), *reason = e->reason;
	const struct vw_disk *disk = vw_content_of(i, is);
	bool runs = ff_streq(ff_json_str(is, "power"), "running"), hand = vw_by_hand(i, cloud, name);
	bool home = ff_json_bool(is, "own_disk", false);

	if (e->outcome == FF_O_STUCK) {
		vw_judge_stuck(i, cloud, is, e);
		return;
	}
	if (!home) {
		if (!hand) {
			i->r->disks_lost++;
			vw_wrong(i, "%s %s: its disk is not home, and it is said to be %s: %s", cloud, name,
				ff_outcome_name(e->outcome), reason);
		}
		return;
	}
	if (!vw_judge_attached(i, cloud, was, is, true))
		i->r->disks_lost++;
	vw_judge_tags(i, cloud, was, is, word_of(i, said, claimed_by(is)));
	if (disk == NULL) {
		vw_wrong(i, "%s %s: nothing is known of its disk's content", cloud, name);
		return;
	}
	if (e->outcome == FF_O_REPAIRED && (disk->bad || disk->half))
		vw_wrong(i, "%s %s: said to be repaired, and its disk is %s", cloud, name,
			disk->half ? "half mended" : "bad");
	if (e->outcome == FF_O_REPAIRED && !runs && !hand)
		vw_wrong(i, "%s %s: said to be repaired, and it is %s", cloud, name, ff_json_str(is, "power"));
	if (e->outcome == FF_O_CLEAN && disk->mends > 0 && !said->written && !said->lost)
		vw_wrong(i, "%s %s: said to be clean, and its disk was written", cloud, name);
	if (disk->half && ff_streq(cloud, "azure"))
		vw_wrong(i, "%s %s: runs on a copy that is half mended", cloud, name);
	if (said->lost)
		vw_lost_judge_home(i, cloud, is);
	else if (!said->mended && !is_original(cloud, is))
		vw_wrong(i, "%s %s: %s, and its OS disk is a copy: %s", cloud, name, ff_outcome_name(e->outcome),
			reason);
	if (!runs && !hand && !i->revoked && !vw_says(e, "start") && !vw_says(e, "not finished"))
		vw_wrong(i, "%s %s: %s, and not running: %s", cloud, name, ff_outcome_name(e->outcome), reason);
}

static void judge_untouched(
	struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is, const struct said *said)
{
	const char *name = ff_json_str(was, "name");
	bool hand = vw_by_hand(i, cloud, name);

	for (size_t h = 0; h < i->vw->host_count; h++)
		if (vw_says(said->by[h], "--max-failures") && !vw_waves_closed(i, h, said->of[h], cloud))
			vw_wrong(i, "%s %s: nothing reached the limit, and it is said: %s", cloud, name,
				said->by[h]->reason);
	if (hand)
		return;
	if (ff_json_int(is, "stops", 0) != 0 || ff_json_int(is, "starts", 0) != ff_json_int(was, "starts", 0))
		vw_wrong(i, "%s %s: nobody says that it was touched, and it was stopped %d times%s%s", cloud, name,
			(int)ff_json_int(is, "stops", 0), said->any ? ": " : "",
			said->by[0] != NULL ? said->by[0]->reason : "");
	if (!ff_json_bool(is, "own_disk", true)) {
		i->r->disks_lost++;
		vw_wrong(i, "%s %s: nobody says that it was touched, and its disk is not home", cloud, name);
	}
	vw_judge_attached(i, cloud, was, is, true);
	vw_judge_tags(i, cloud, was, is, said->by[0]);
}

static bool tells_of_a_rescue(const struct ff_ended *e)
{
	return e->outcome == FF_O_STUCK || vw_says(e, "detach") || vw_says(e, "delete-copy") ||
	       vw_says(e, "free-copy") || vw_says(e, "drop-copy");
}

/* Now, or before its folder was lost. */
static bool is_told(const struct vw_incident *i, size_t h, const char *cloud)
{
	struct ff_engine *engine = i->vw->hosts[h]->engine;
	const struct ff_result *r = engine != NULL ? ff_engine_result(engine) : NULL;
	const json_t *vm;
	size_t k;

	for (k = 0; r != NULL && k < r->count; k++)
		if (tells_of_a_rescue(&r->ended[k]))
			return true;
	json_array_foreach ((json_t *)ff_json_at(ff_json_at(i->before, cloud), "vms"), k, vm) {
		const struct vw_words *words = vw_lost_words(i, h, cloud, ff_json_str(vm, "name"));

		if (words != NULL && tells_of_a_rescue(&words->ended))
			return true;
	}
	return false;
}

/* Nothing is left on a rescue VM, unless somebody says so. */
static void judge_rescue(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is)
{
	bool told = false;

	for (size_t h = 0; h < i->vw->host_count; h++)
		told = told || is_told(i, h, cloud);
	if (json_array_size(json_object_get(is, "data_disks")) != json_array_size(json_object_get(was, "data_disks")) &&
		!told && !vw_by_hand(i, cloud, ff_json_str(was, "name")) &&
		ff_table_get(&i->touched_by_hand, cloud) == NULL)
		vw_wrong(i, "%s %s: something is left on it, and nobody says so", cloud, ff_json_str(was, "name"));
}

const json_t *vw_vm_named(const json_t *vms, const char *name)
{
	const json_t *vm;
	size_t k;

	json_array_foreach ((json_t *)vms, k, vm)
		if (ff_streq(ff_json_str(vm, "name"), name))
			return vm;
	return NULL;
}

/*
 * What runs come through by themselves, as long as it is not much: a VM that can be mended is to be mended then. A
 * token that is refused at once again after a new sign-in is none of it: the run gives up there, by design.
 */
bool vw_was_mild(const struct vw_incident *i)
{
	static const enum vw_fault_kind mild[] = {VW_F_THROTTLED, VW_F_RETRY_AFTER, VW_F_SERVER_ERROR,
		VW_F_UNAUTHORIZED, VW_F_RESET_BEFORE, VW_F_RESET_AFTER, VW_F_TRUNCATED, VW_F_GARBLED, VW_F_LATE,
		VW_F_CRASH, VW_F_TORN_TAIL, VW_F_LOST};
	uint64_t all = 0, passing = 0;

	for (size_t k = 0; k < VW_F_COUNT; k++)
		all += i->vw->faults.counts[k];
	for (size_t k = 0; k < FF_COUNT(mild); k++)
		passing += i->vw->faults.counts[mild[k]];
	return all == passing && all <= MILD_MAX && !i->vw->faults.refused_twice && !i->operations_lost;
}

bool vw_any_fault(const struct vw_incident *i)
{
	uint64_t all = 0;

	for (size_t k = 0; k < VW_F_COUNT; k++)
		all += i->vw->faults.counts[k];
	return all > 0;
}

static void judge_sick(struct vw_incident *i, const char *cloud, const char *name, const struct said *said)
{
	ff_auto_free char *key = ff_printf("%s %s", cloud, name);
	const struct ff_ended *e = said->end != NULL ? said->end : said->by[0];

	if (ff_table_get(&i->sick, key) == NULL || !vw_was_mild(i) || (e != NULL && e->outcome == FF_O_REPAIRED))
		return;
	/* evidence that could not be read, a rescue VM that was not found, a torn tail with the plan: not begun at all.
	 * Whose addresses could not be read may have one that it would lose. */
	if (vw_any_fault(i) && (e == NULL || (e->outcome == FF_O_SKIPPED && vw_says(e, "rescue VM")) ||
				       vw_says(e, "--allow-deallocate")))
		return;
	if (vw_says(e, "--max-failures") || vw_lost_is_well(i, e)) /* judged where it is said */
		return;
	vw_wrong(i, "%s %s: could have been mended, and is %s: %s", cloud, name,
		e != NULL ? ff_outcome_name(e->outcome) : "passed over", e != NULL ? e->reason : "");
}

/* A VM has one snapshot of each run that came so far, and its run knows it. */
static void judge_snapshots(struct vw_incident *i, const char *cloud, const json_t *snapshots)
{
	struct ff_table seen = {0};
	const json_t *s;
	size_t k;

	json_array_foreach ((json_t *)snapshots, k, s) {
		const char *of = ff_json_str(s, "volume") ? ff_json_str(s, "volume") : ff_json_str(s, "source_disk");
		ff_auto_free char *key = ff_printf("%s %s", ff_json_str(s, "created_by_run"), of);

		if (ff_json_str(s, "created_by_run") == NULL || ff_streq(ff_json_str(s, "status"), "error"))
			continue;
		if (ff_table_get(&seen, key) != NULL)
			vw_wrong(i, "%s: a second snapshot of '%s' by '%s'", cloud, of,
				ff_json_str(s, "created_by_run"));
		ff_table_set(&seen, key, i);
		vw_lost_judge_snapshot(i, cloud, s);
	}
	ff_table_free(&seen, NULL);
}

/* Copies are the OS disk of their VM, or told of. */
static void judge_copies(struct vw_incident *i, const json_t *state)
{
	const json_t *disk;
	size_t k;

	json_array_foreach ((json_t *)ff_json_at(state, "azure/disks"), k, disk) {
		struct said said;
		const struct ff_ended *e;
		ff_auto_free char *vm = NULL;
		const char *of = ff_json_str(disk, "tags/fixfleet-vm");

		if (ff_json_str(disk, "source") == NULL || ff_json_str(disk, "managed_by") != NULL)
			continue;
		vm = ff_strdup(of != NULL && strrchr(of, '/') != NULL ? strrchr(of, '/') + 1 : of);
		ask_runs(i, "azure", vm != NULL ? vm : "", &said);
		e = word_of(i, &said, ff_json_str(disk, "created_by_run"));
		if (!vw_says(e, "copy") && !vw_says(e, "detach") && !i->revoked &&
			!vw_by_hand(i, "azure", vm != NULL ? vm : ""))
			vw_wrong(i, "azure: copy '%s' of '%s' is left over, and nobody says so: %s",
				ff_json_str(disk, "name"), vm != NULL ? vm : "?", e != NULL ? e->reason : "");
	}
}

void vw_judge_end(struct vw_incident *i)
{
	ff_auto_json json_t *state = sim_state(i->vw->sim);

	vw_judge_step(i);
	for (size_t c = 0; c < i->vw->sim->part_count; c++) {
		const char *cloud = i->vw->sim->parts[c].cloud->name;
		const json_t *before = ff_json_at(ff_json_at(i->before, cloud), "vms"),
			     *after = ff_json_at(ff_json_at(state, cloud), "vms"), *was;
		size_t k;

		json_array_foreach ((json_t *)before, k, was) {
			const json_t *is = vw_vm_named(after, ff_json_str(was, "name"));
			struct said said;

			if (is == NULL) {
				vw_wrong(i, "%s %s is gone", cloud, ff_json_str(was, "name"));
				continue;
			}
			ask_runs(i, cloud, ff_json_str(was, "name"), &said);
			if (ff_has_prefix(ff_json_str(was, "name"), "rescue"))
				judge_rescue(i, cloud, was, is);
			else if (said.end != NULL)
				judge_end_of(i, cloud, was, is, &said);
			else
				judge_untouched(i, cloud, was, is, &said);
			if (said.lost && said.end != NULL && said.end->outcome != FF_O_STUCK &&
				ff_json_bool(is, "own_disk", false))
				vw_lost_judge_disk(i, cloud, was, is, said.end, state);
			judge_sick(i, cloud, ff_json_str(was, "name"), &said);
		}
		judge_snapshots(i, cloud, ff_json_at(ff_json_at(state, cloud), "snapshots"));
	}
	judge_copies(i, state);
}
