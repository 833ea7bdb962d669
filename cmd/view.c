/*
 * Progress on stderr. On a terminal the last line is redrawn in place and steps aside for every log line; elsewhere a
 * summary line is logged every ten seconds while something changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "fixfleet/clock.h"

struct view {
	struct ff_engine *engine;
	bool live; /* stderr is a terminal and wants the line */
	bool quiet;
	bool drawn; /* the line is on the screen */
	char shown[256];
	int64_t began_ms, said_ms;
	char said[256];
};

static int64_t mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void erase(struct view *v)
{
	if (v->drawn)
		fputs("\r\033[K", stderr);
	v->drawn = false;
}

static void draw(struct view *v)
{
	struct winsize size;
	int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10 ? size.ws_col - 1 : 79;

	if (v->shown[0] == '\0')
		return;
	fprintf(stderr, "\r\033[K%.*s", columns, v->shown);
	fflush(stderr);
	v->drawn = true;
}

static void curtain(void *arg, int up)
{
	struct view *v = arg;

	if (up)
		erase(v);
	else
		draw(v);
}

struct view *view_new(bool quiet)
{
	struct view *v = ff_calloc(1, sizeof(*v));
	const char *term = getenv("TERM");

	v->quiet = quiet;
	v->live = !quiet && isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
	v->began_ms = v->said_ms = mono_ms();
	if (v->live)
		ff_log_set_curtain(curtain, v);
	return v;
}

void view_free(struct view *v)
{
	if (v == NULL)
		return;
	erase(v);
	ff_log_set_curtain(NULL, NULL);
	free(v);
}

void view_watch(struct view *v, struct ff_engine *engine)
{
	v->engine = engine;
}

void view_event(void *view, const struct ff_event *event)
{
	static const enum ff_log_level levels[] = {
		[FF_EV_STEP] = FF_LOG_DEBUG,
		[FF_EV_RETRY] = FF_LOG_DEBUG,
		[FF_EV_END] = FF_LOG_INFO,
		[FF_EV_NOTE] = FF_LOG_INFO,
		[FF_EV_WARN] = FF_LOG_WARN,
	};
	const char *subject = event->vm ? event->vm->name : event->provider;

	(void)view;
	if (event->kind == FF_EV_END)
		ff_log(event->outcome == FF_O_STUCK ? FF_LOG_ERROR : FF_LOG_INFO, subject, "%s: %s",
			ff_outcome_name(event->outcome), event->text);
	else
		ff_log(levels[event->kind], subject, "%s", event->text);
}

static void compose(const struct view *v, char *line, size_t bytes)
{
	static const char *const words[] = {
		"", "repaired", "clean", "skipped", "rolled back", "cleaned", "failed-home", "STUCK"};
	struct ff_counts counts;
	size_t len;

	ff_engine_counts(v->engine, &counts);
	len = (size_t)snprintf(
		line, bytes, "%zu VMs: %zu waiting, %zu under way", counts.selected, counts.waiting, counts.under_way);
	for (int o = FF_O_REPAIRED; o <= FF_O_STUCK && len < bytes; o++)
		if (counts.ended[o] > 0)
			len += (size_t)snprintf(line + len, bytes - len, ", %zu %s", counts.ended[o], words[o]);
}

void view_tick(void *view)
{
	struct view *v = view;
	char line[200], duration[FF_TIME_BYTES];
	int64_t now = mono_ms();

	if (v->engine == NULL || v->quiet)
		return;
	compose(v, line, sizeof(line));
	if (v->live) {
		snprintf(v->shown, sizeof(v->shown), "%s [%s]", line, ff_duration(now - v->began_ms, duration));
		draw(v);
	} else if (now - v->said_ms >= 10000 && strcmp(line, v->said) != 0) {
		v->said_ms = now;
		snprintf(v->said, sizeof(v->said), "%s", line);
		ff_log(FF_LOG_INFO, NULL, "%s", line);
	}
}
