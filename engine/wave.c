/*
 * Waves, a provider each: what fails in one cloud says nothing about the others.
 *
 * The lesson of the incident is that what is rolled out everywhere at once is the next incident. So the first few VMs
 * of a provider, its canaries, come home and prove themselves before any other is begun; a canary that fails, or turns
 * out not to be meant, is followed by another one. After that as many are under way as have come to a good end, and the
 * canaries: every round is twice the one before. Too many failures close the provider, and what is under way comes
 * home.
 */
#include "state.h"

#include <stdlib.h>

struct ff_wave *ff_wave_of(struct ff_engine *e, const struct ff_provider *provider)
{
	struct ff_wave *wave;

	for (size_t i = 0; i < e->wave_count; i++)
		if (e->waves[i]->provider == provider)
			return e->waves[i];
	wave = ff_calloc(1, sizeof(*wave));
	wave->provider = provider;
	e->waves = ff_realloc(e->waves, e->wave_count + 1, sizeof(*e->waves));
	e->waves[e->wave_count++] = wave;
	return wave;
}

void ff_waves_free(struct ff_engine *e)
{
	for (size_t i = 0; i < e->wave_count; i++)
		free(e->waves[i]);
	free(e->waves);
}

/* ---------------------------------------------------------------- who may begin */

bool ff_wave_lets(const struct ff_engine *e, const struct ff_wave *wave)
{
	if (e->canary == 0)
		return true;
	if (wave->well < e->canary) /* those that failed do not count, nor those that were skipped */
		return wave->under_way + wave->well < e->canary;
	return wave->under_way < wave->well + e->canary;
}

void ff_wave_join(struct ff_one *one)
{
	one->scope->wave->under_way++;
}

void ff_wave_leave(struct ff_one *one)
{
	one->scope->wave->under_way--;
}

/* ---------------------------------------------------------------- what came of them */

static bool went_well(enum ff_outcome outcome)
{
	return outcome == FF_O_REPAIRED || outcome == FF_O_CLEAN || outcome == FF_O_ROLLED_BACK ||
	       outcome == FF_O_CLEANED;
}

void ff_wave_count(struct ff_wave *wave, enum ff_outcome outcome)
{
	wave->well += went_well(outcome);
	wave->failures += ff_is_failure(outcome);
}

void ff_wave_ended(struct ff_engine *e, const struct ff_one *one, enum ff_outcome outcome)
{
	struct ff_wave *wave = one->scope->wave;

	ff_wave_count(wave, outcome);
	if (went_well(outcome) && wave->well == e->canary && e->waiting > 0)
		ff_say(e, FF_EV_NOTE, one->scope, NULL, "%u canar%s up: the others begin", e->canary,
			e->canary == 1 ? "y is" : "ies are");
}

/* ---------------------------------------------------------------- too many failures */

/* 0: no limit. */
static size_t limit_of(const struct ff_engine *e, const struct ff_wave *wave)
{
	size_t part = (wave->selected * e->max_failures_percent + 99) / 100;

	return part > e->max_failures ? part : e->max_failures;
}

static bool is_over(const struct ff_engine *e, const struct ff_wave *wave)
{
	size_t limit = limit_of(e, wave);

	return limit > 0 && wave->failures >= limit;
}

bool ff_wave_bars(const struct ff_engine *e, const struct ff_one *one)
{
	return is_over(e, one->scope->wave) && !one->touched && one->attempted == 0;
}

void ff_wave_bar(struct ff_engine *e, struct ff_one *one)
{
	size_t n = one->scope->wave->failures;
	ff_auto_free char *why = ff_printf("not begun: %zu failure%s reached --max-failures", n, n == 1 ? "" : "s");

	ff_one_end(e, one, FF_O_SKIPPED, why);
}

/* None of the provider's begins any more: those who wait say why, for whatever they wait. Who is looked at, or waits
 * for its request's budget, says so when that is over. */
static void close_wave(struct ff_engine *e, struct ff_wave *wave)
{
	wave->closed = true;
	for (size_t i = 0; i < e->one_count; i++) {
		struct ff_one *one = &e->ones[i];

		if (one->scope->wave != wave || !ff_wave_bars(e, one))
			continue;
		if (one->state == FF_ONE_QUEUED)
			ff_one_leave_group(e, one);
		else if (one->state != FF_ONE_WAITING)
			continue;
		else if (one->rescue != NULL)
			ff_one_queue_remove(&one->rescue->waiting, one);
		else
			ff_one_queue_remove(&e->ready, one);
		ff_wave_bar(e, one);
	}
}

void ff_waves_close(struct ff_engine *e)
{
	for (size_t i = 0; i < e->wave_count; i++) {
		struct ff_wave *wave = e->waves[i];

		if (is_over(e, wave) && !wave->closed)
			close_wave(e, wave);
	}
}
