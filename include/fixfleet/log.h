/*
 * Chatter on stderr. Results never go through here. Libraries log at debug; cmd/ decides what the operator sees.
 */
#ifndef FIXFLEET_LOG_H
#define FIXFLEET_LOG_H

enum ff_log_level {
	FF_LOG_ERROR,
	FF_LOG_WARN,
	FF_LOG_INFO,  /* the default */
	FF_LOG_DEBUG, /* -v: identity taken, retries and waits, requests by method and path */
	FF_LOG_TRACE, /* -v -v: steps, worker lines */
};

enum ff_log_format { FF_LOG_TEXT, FF_LOG_JSON };

/** `-q` is FF_LOG_ERROR. Not thread safe; called once at start. */
void ff_log_setup(enum ff_log_level level, enum ff_log_format format);

/** Is a message of that level printed? To save the work of making one. */
int ff_log_wanted(enum ff_log_level level);

/**
 * One line on stderr: "vm-17: text" or {"time","level","subject","text"}. `subject` (a VM's name, "azure", "journal")
 * may be NULL. Control characters in subject and text are escaped. A terminal view may hide itself around lines, see
 * below.
 */
void ff_log(enum ff_log_level level, const char *subject, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Called before (1) and after (0) each line is written, so that a progress display can step aside. NULL takes it off.
 */
void ff_log_set_curtain(void (*curtain)(void *arg, int up), void *arg);

#endif
