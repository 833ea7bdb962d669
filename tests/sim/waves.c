/*
 * Who is begun when. A VM is begun with the first change that names it and leaves its host. What may be begun then is
 * told by the outcomes that the run has given so far and by what its operator asked for, never by what the engine
 * counts.
 */
#include "incident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the names of VMs are in a change: after this, in its path or its form. */
static const struct {
	const char *cloud, *before, *after;
	bool in_form;
} places[] = {
	{"azure", "/virtualMachines/", "/?", false},
	{"aws", "=i-", "&", true},
	{"gcp", "/instances/", "/?", false},
};

/* How a provider's part of a run stands. */
struct standing {
	size_t selected, open, well, failures; /* open: begun, and not at its end */
};

static void *begun(const struct vw_waves *w, const struct ff_ended *one)
{
	ff_auto_free char *key = ff_printf("%s %s", one->provider, one->vm->id);

	return ff_table_get(&w->begun, key);
}

static struct standing standing_of(const struct vw_waves *w, const struct ff_result *r, const char *cloud)
{
	struct standing s = {0};

	for (size_t k = 0; k < r->count; k++) {
		enum ff_outcome o = r->ended[k].outcome;

		if (!ff_streq(r->ended[k].provider, cloud))
			continue;
		s.selected++;
		s.open += o == FF_O_NONE && begun(w, &r->ended[k]) != NULL;
		s.well += o == FF_O_REPAIRED || o == FF_O_CLEAN || o == FF_O_ROLLED_BACK || o == FF_O_CLEANED;
		s.failures += o == FF_O_FAILED_HOME || o == FF_O_STUCK;
	}
	return s;
}

/* 0: no limit. */
static size_t limit_of(const struct vw_waves *w, size_t selected)
{
	size_t part = (selected * w->max_failures_percent + 99) / 100;

	return part > w->max_failures ? part : w->max_failures;
}

bool vw_waves_closed(const struct vw_incident *i, size_t h, const struct ff_result *r, const char *cloud)
{
	struct standing s = standing_of(&i->waves[h], r, cloud);
	size_t limit = limit_of(&i->waves[h], s.selected);

	return limit > 0 && s.failures >= limit;
}

static void judge(
	struct vw_incident *i, const struct vw_host *host, const struct ff_result *r, const struct ff_ended *one)
{
	const struct vw_waves *w = &i->waves[host->number];
	struct standing s = standing_of(w, r, one->provider);
	size_t limit = limit_of(w, s.selected), most = s.well < w->canary ? w->canary - s.well : s.well + w->canary;

	if (limit > 0 && s.failures >= limit)
		vw_wrong(i, "%s: %s %s is begun after %zu failures; the limit is %zu", host->run, one->provider,
			one->vm->name, s.failures, limit);
	if (w->canary > 0 && s.open >= most)
		vw_wrong(i, "%s: %s %s is begun while %zu are under way and %zu came to a good end; the canary is %u",
			host->run, one->provider, one->vm->name, s.open, s.well, w->canary);
}

/* A rescue VM is none of the run's. */
static const struct ff_ended *one_named(const struct ff_result *r, const char *cloud, const char *name)
{
	for (size_t k = 0; k < r->count; k++)
		if (ff_streq(r->ended[k].provider, cloud) &&
			(ff_streq(r->ended[k].vm->name, name) || ff_streq(r->ended[k].vm->id, name)))
			return &r->ended[k];
	return NULL;
}

/* When it is named: kept, and counted from then on. true: for the first time. */
static bool is_first(struct vw_waves *w, const char *key, int64_t now_ms)
{
	int64_t *named_ms = ff_table_get(&w->known, key);
	bool first = named_ms == NULL;

	if (first) {
		named_ms = ff_calloc(1, sizeof(*named_ms));
		ff_table_set(&w->known, key, named_ms);
	}
	*named_ms = now_ms;
	return first;
}

int64_t vw_waves_named_ms(const struct vw_waves *w, const char *cloud, const char *name, const char *id)
{
	ff_auto_free char *by_name = ff_printf("%s %s", cloud, name), *by_id = ff_printf("%s %s", cloud, id);
	const int64_t *named_ms = ff_table_get(&w->known, by_name);

	named_ms = named_ms != NULL ? named_ms : ff_table_get(&w->known, by_id);
	return named_ms != NULL ? *named_ms : INT64_MIN;
}

static void note(struct vw_incident *i, const struct vw_host *host, const char *cloud, const char *name)
{
	struct vw_waves *w = &i->waves[host->number];
	ff_auto_free char *known = ff_printf("%s %s", cloud, name), *key = NULL;
	const struct ff_result *r;
	const struct ff_ended *one;

	if (!is_first(w, known, i->vw->now_ms))
		return;
	r = ff_engine_result(host->engine);
	one = one_named(r, cloud, name);
	if (one == NULL)
		return;
	judge(i, host, r, one);
	key = ff_printf("%s %s", cloud, one->vm->id);
	ff_table_set(&w->begun, key, i);
}

void vw_waves_hear(struct vw_incident *i, const struct vw_host *host, const char *cloud, const struct ff_ask *ask)
{
	for (size_t c = 0; c < FF_COUNT(places); c++) {
		const char *text = places[c].in_form ? ask->body : ask->url;

		if (!ff_streq(places[c].cloud, cloud))
			continue;
		while (text != NULL && (text = strstr(text, places[c].before)) != NULL) {
			ff_auto_free char *name = NULL;

			text += places[c].in_form ? 1 : strlen(places[c].before);
			name = ff_strndup(text, strcspn(text, places[c].after));
			note(i, host, cloud, name);
		}
	}
}
