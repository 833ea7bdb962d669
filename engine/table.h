/*
 * A hash table from text to pointer, for budgets and groups: the engine must find one among tens of thousands without
 * looking at the others. All zero is an empty table. Keys are copied, values are the caller's.
 */
#ifndef ENGINE_TABLE_H
#define ENGINE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ff_table {
	struct ff_table_entry **buckets;
	size_t room, count; /* room is a power of two */
};

/** The value under that key, or NULL. */
void *ff_table_get(const struct ff_table *t, const char *key);
/** Set the value (not NULL) under that key. An older value is replaced, not freed. */
void ff_table_set(struct ff_table *t, const char *key, void *value);
/** Take the key out; returns its value, NULL when it was not there. */
void *ff_table_remove(struct ff_table *t, const char *key);
/** Take out and free all values for which `keep` says false. */
void ff_table_sweep(
	struct ff_table *t, bool (*keep)(void *arg, void *value), void *arg, void (*free_value)(void *value));
/** Frees the table, and every value with `free_value` (may be NULL). */
void ff_table_free(struct ff_table *t, void (*free_value)(void *value));

#endif
