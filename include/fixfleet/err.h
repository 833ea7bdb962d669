/*
 * Errors: a class for the program, a sentence for the person.
 *
 * ff_fail() is written where the fact is known, ff_wrap() where the name is known; one level prints. The text begins in
 * lower case, says what failed first, quotes names, has no full stop, never holds a secret.
 */
#ifndef FIXFLEET_ERR_H
#define FIXFLEET_ERR_H

/* What a caller does about a failure. */
enum ff_class {
	FF_E_NONE = 0,
	FF_E_USAGE,	/* the operator asked for something impossible: exit 2 */
	FF_E_AUTH,	/* no or wrong credentials */
	FF_E_DENIED,	/* known, but not allowed: permission, lock, policy; never retried */
	FF_E_THROTTLED, /* too many requests: wait, shrink the budget, repeat */
	FF_E_TRANSIENT, /* may pass by itself; a mutation must look before it repeats */
	FF_E_CONFLICT,	/* somebody else is changing the thing: look again, decide again */
	FF_E_GONE,	/* the thing does not exist */
	FF_E_PERMANENT, /* will fail again the same way */
	FF_E_DISK,	/* the disk's content: no Windows, unreadable, encrypted */
	FF_E_LOCAL,	/* this machine: files, journal, processes, memory */
	FF_E_BUG,	/* our own mistake, or an answer that makes no sense */
	FF_E_COUNT
};

#define FF_ERR_TEXT_BYTES 1024

struct ff_err {
	enum ff_class class;
	char text[FF_ERR_TEXT_BYTES];
};

/**
 * Fill `err` (which may be NULL) and return -1, so that `return ff_fail(...)` reads as one act. `%m` works.
 * Too long a text is cut.
 */
int ff_fail(struct ff_err *err, enum ff_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Put "outer: " before the text that is there, keep the class, return -1. */
int ff_wrap(struct ff_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The class as one lower-case word, for journals and logs ("throttled"); never NULL. */
const char *ff_class_name(enum ff_class class);

/** The class that ff_class_name() wrote, or FF_E_BUG for an unknown word (a journal of a newer program). */
enum ff_class ff_class_from_name(const char *name);

#endif
