/*
 * Memory for keys: locked (never swapped), left out of core dumps, overwritten when freed.
 *
 * A key lives here and nowhere else for longer than a call; what libraries copy of it on the way (a JSON line, a pipe's
 * buffer) is overwritten when it is freed.
 */
#ifndef FIXFLEET_SECRET_H
#define FIXFLEET_SECRET_H

#include <stddef.h>

/**
 * So many bytes, zeroed, in pages of their own. ff_secret_free() ends them. Where the system's limit of locked memory
 * (RLIMIT_MEMLOCK) is reached the memory is used unlocked, and that is logged once: a fleet that stays down is worse.
 */
void *ff_secret_new(size_t bytes) __attribute__((malloc));

/** A copy of a text. NULL gives NULL. */
char *ff_secret_strdup(const char *text) __attribute__((malloc));
char *ff_secret_strndup(const char *text, size_t bytes) __attribute__((malloc));

/** Overwrite and give back. NULL is fine. */
void ff_secret_free(void *secret);

#endif
