/*
 * A run whose folder is lost. What it had said of a VM until then counts: nobody else tells of who had ended by then,
 * as its claim is given back. Who was under way is brought home by its tags, or nothing but its claim was ever asked
 * for.
 */
#include "incident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"

static void words_free(void *value)
{
	struct vw_words *words = value;

	free(words->reason);
	free(words);
}

/* A word that is known by now is replaced. */
static void say(struct ff_table *table, const struct ff_ended *e, unsigned order)
{
	ff_auto_free char *key = ff_printf("%s %s", e->provider, e->vm->name);
	struct vw_words *words = ff_table_remove(table, key);

	if (words != NULL)
		words_free(words);
	words = ff_calloc(1, sizeof(*words));
	words->reason = ff_strdup(e->reason);
	words->order = order;
	words->ended.outcome = e->outcome;
	words->ended.step = e->step;
	words->ended.reason = words->reason;
	ff_table_set(table, key, words);
}

void vw_lost_note(struct vw_incident *i, const struct vw_host *host)
{
	const struct vw_ends *ends = &i->ends[host->number];
	const struct ff_result *r;

	if (host->engine == NULL || host->flow == FF_FLOW_ROLLBACK || host->flow == FF_FLOW_CLEANUP)
		return;
	r = ff_engine_result(host->engine); /* of nobody, as long as it has not begun or gone on */
	for (size_t k = 0; k < r->count; k++)
		say(&i->words[host->number], &r->ended[k], k < ends->count ? ends->order[k] : 0);
}

void vw_lost_begin(struct vw_incident *i, struct vw_host *host)
{
	if (i->o->story)
		fprintf(stderr, "%9.3f the folder of %s is lost\n", (double)(i->vw->now_ms - VW_BEGAN) / 1000,
			host->run);
	vw_host_lose(host);
	i->lost[host->number] = true;
	/* nobody waits for another, and none is left so */
	i->waves[host->number].canary = 0;
	i->waves[host->number].max_failures = i->waves[host->number].max_failures_percent = 0;
	free(i->ends[host->number].order);
	i->ends[host->number] = (struct vw_ends){0};
}

void vw_lost_free(struct vw_incident *i)
{
	for (size_t h = 0; h < VW_HOSTS_MAX; h++)
		ff_table_free(&i->words[h], words_free);
}

const struct vw_words *vw_lost_words(const struct vw_incident *i, size_t h, const char *cloud, const char *name)
{
	ff_auto_free char *key = ff_printf("%s %s", cloud, name);

	return i->lost[h] ? ff_table_get(&i->words[h], key) : NULL;
}

/* The claim was given back at the end, or being given back: whether it was, only the run could have heard. */
bool vw_lost_was_released(const struct vw_words *words)
{
	return words != NULL && words->ended.outcome == FF_O_NONE && ff_has_prefix(words->ended.step, "release");
}

/* A run never takes a disk out of who does not bear what brings it home. */
void vw_lost_judge_found(struct vw_incident *i, const struct vw_host *host)
{
	for (size_t k = 0; k < host->lost.not_offered_count; k++) {
		const struct ff_lost_vm *one = &host->lost.not_offered[k];
		const char *cloud = ff_engine_scope_provider(host->engine, one->scope)->name;

		if (!vw_by_hand(i, cloud, one->vm->name))
			vw_wrong(i, "%s %s: is not brought home by its tags: %s", cloud, one->vm->name, one->why.text);
	}
}

/* At home again, and how it is there is what the cloud shows: on Azure a copy only when it is mended to the end. */
void vw_lost_judge_home(struct vw_incident *i, const char *cloud, const json_t *is)
{
	const struct vw_disk *disk = vw_content_of(i, is);

	if (ff_streq(cloud, "azure") && !ff_json_bool(is, "os_disk/original", false) &&
		(disk == NULL || disk->mends == 0 || disk->half || disk->bad))
		vw_wrong(i, "azure %s: its OS disk is a copy that is not mended", ff_json_str(is, "name"));
}

static const json_t *disk_named(const json_t *disks, const char *member, const char *name)
{
	const json_t *disk;
	size_t k;

	json_array_foreach ((json_t *)disks, k, disk)
		if (ff_streq(ff_json_str(disk, member), name))
			return disk;
	return NULL;
}

/* The OS disk is the VM's alone again: it bears no claim of the lost run. Azure's copy keeps the run's tag, and the
 * disk that it has replaced has it, too: by that an operator finds what nothing else knows of any more. */
void vw_lost_judge_disk(struct vw_incident *i, const char *cloud, const json_t *was, const json_t *is,
	const struct ff_ended *e, const json_t *state)
{
	bool azure = ff_streq(cloud, "azure"), aws = ff_streq(cloud, "aws");
	const char *name = ff_json_str(was, azure ? "os_disk/name" : aws ? "root/volume" : "boot/disk");
	const json_t *disk =
		disk_named(ff_json_at(ff_json_at(state, cloud), aws ? "volumes" : "disks"), aws ? "id" : "name", name);
	const char *run = ff_json_str(disk, ff_streq(cloud, "gcp") ? "labels/fixfleet-run" : "tags/fixfleet-run");

	if (vw_by_hand(i, cloud, ff_json_str(is, "name")))
		return;
	if (azure && !ff_streq(ff_json_str(is, "os_disk/name"), name) && run == NULL && !vw_says(e, "mark"))
		vw_wrong(i, "azure %s: '%s' was replaced, and bears no tag", ff_json_str(is, "name"), name);
	if (!azure && run != NULL && !vw_is_late(i, run) && !vw_says(e, "release") && !vw_says(e, "claim"))
		vw_wrong(i, "%s %s: its disk is claimed still (%s), and nobody says so: %s", cloud,
			ff_json_str(is, "name"), run, e->reason);
}

void vw_lost_judge_snapshot(struct vw_incident *i, const char *cloud, const json_t *snapshot)
{
	const char *maker = ff_json_str(snapshot, "created_by_run");
	const char *tag = ff_json_str(snapshot, ff_streq(cloud, "gcp") ? "labels/fixfleet-run" : "tags/fixfleet-run");

	for (size_t h = 0; h < i->vw->host_count; h++)
		if (i->lost[h] && ff_streq(i->vw->hosts[h]->run, maker) && !ff_streq(tag, maker))
			vw_wrong(i, "%s: the lost '%s' made snapshot '%s', which bears no tag of it", cloud, maker,
				ff_json_str(snapshot, ff_streq(cloud, "gcp") ? "name" : "id"));
}

/* What a lost run may well end as, where hardly anything went wrong. */
bool vw_lost_is_well(const struct vw_incident *i, const struct ff_ended *e)
{
	if (e == NULL || e->outcome == FF_O_NONE) /* not begun, or nobody can tell any more */
		return i->lost[0];
	return e->outcome == FF_O_FAILED_HOME &&
	       ff_streq(e->reason, "brought home by its tags: its run's folder was lost");
}
