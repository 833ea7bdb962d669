/*
 * What jansson lacks: reading an answer of unknown shape without a ladder of NULL checks, with limits.
 */
#ifndef FIXFLEET_JSON_H
#define FIXFLEET_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"

void ff_json_decref_ptr(json_t **j);
#define ff_auto_json __attribute__((cleanup(ff_json_decref_ptr)))

/**
 * Parse untrusted JSON text: duplicate members rejected, at most `bytes_max` long, any top-level value. A new
 * reference, or NULL with err (FF_E_BUG, line and column in the text).
 */
json_t *ff_json_parse(const char *text, size_t len, size_t bytes_max, struct ff_err *err);

/**
 * Walk "properties/storageProfile/osDisk"; a number steps into an array ("value/0"). Borrowed; NULL when any part is
 * missing or of another kind. `j` may be NULL.
 */
const json_t *ff_json_at(const json_t *j, const char *path);

/**
 * Where in a JSON text that parsed the value at that path begins ("files/0/when"): line and column from 1, the column
 * in bytes. Of a member it is where its name stands. What is not there is found as far as the path leads.
 */
void ff_json_position(const char *text, size_t len, const char *path, unsigned *line, unsigned *column);

/** The string there, or NULL. Borrowed. */
const char *ff_json_str(const json_t *j, const char *path);
/** The integer there (a JSON integer, or a string of digits as some clouds send), or `otherwise`. */
int64_t ff_json_int(const json_t *j, const char *path, int64_t otherwise);
/** The boolean there, or `otherwise`. */
bool ff_json_bool(const json_t *j, const char *path, bool otherwise);

/** Set a string member (NULL text removes it). */
void ff_json_set_str(json_t *object, const char *key, const char *text);
void ff_json_set_int(json_t *object, const char *key, int64_t value);
void ff_json_set_bool(json_t *object, const char *key, bool value);
/** Set and steal; NULL value removes the member. */
void ff_json_set_new(json_t *object, const char *key, json_t *value);

/** Merge patch (RFC 7396, top level only): members of `patch` replace, null removes. */
void ff_json_merge(json_t *object, const json_t *patch);

/** Compact text, keys in order of insertion. The caller frees; aborts when out of memory. */
char *ff_json_text(const json_t *j);

/** Call once, before any other JSON: what jansson frees is overwritten first, since keys pass through it. */
void ff_json_wipe_freed(void);

#endif
