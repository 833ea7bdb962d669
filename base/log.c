#include "fixfleet/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/mem.h"

static struct {
	enum ff_log_level level;
	enum ff_log_format format;
	void (*curtain)(void *arg, int up);
	void *curtain_arg;
} state = {.level = FF_LOG_INFO};

void ff_log_setup(enum ff_log_level level, enum ff_log_format format)
{
	state.level = level;
	state.format = format;
}

int ff_log_wanted(enum ff_log_level level)
{
	return level <= state.level;
}

void ff_log_set_curtain(void (*curtain)(void *arg, int up), void *arg)
{
	state.curtain = curtain;
	state.curtain_arg = arg;
}

static const char *level_name(enum ff_log_level level)
{
	static const char *const names[] = {"error", "warning", "info", "debug", "trace"};

	return names[level];
}

static void write_json(enum ff_log_level level, const char *subject, const char *text)
{
	struct timespec now;
	char time_text[FF_TIME_BYTES];
	ff_auto_json json_t *line = json_object();
	ff_auto_free char *out = NULL;

	clock_gettime(CLOCK_REALTIME, &now);
	ff_json_set_str(line, "time", ff_time_format((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, 1, time_text));
	ff_json_set_str(line, "level", level_name(level));
	ff_json_set_str(line, "subject", subject);
	ff_json_set_str(line, "text", text);
	out = ff_json_text(line);
	fprintf(stderr, "%s\n", out);
}

void ff_log(enum ff_log_level level, const char *subject, const char *fmt, ...)
{
	ff_auto_free char *text = NULL, *clean = NULL, *clean_subject = NULL;
	va_list ap;

	if (!ff_log_wanted(level))
		return;
	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	clean = ff_printable(text);
	clean_subject = subject ? ff_printable(subject) : NULL;
	if (state.curtain != NULL)
		state.curtain(state.curtain_arg, 1);
	if (state.format == FF_LOG_JSON)
		write_json(level, clean_subject, clean);
	else
		fprintf(stderr, "%s%s%s%s\n", level == FF_LOG_WARN ? "warning: " : "",
			clean_subject ? clean_subject : "", clean_subject ? ": " : "", clean);
	if (state.curtain != NULL)
		state.curtain(state.curtain_arg, 0);
}
