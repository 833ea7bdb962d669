/*
 * Reading the JSON of a recipe: every member is in a table, and the path to the one that is not good is known.
 */
#ifndef DISKOPS_RECIPE_READ_H
#define DISKOPS_RECIPE_READ_H

#include "recipe.h"

struct reading {
	struct ff_buf *at; /* "files/0/when"; stays where it is after a failure */
	struct ff_err *err;
};

struct member {
	const char *name;
	int (*read)(struct reading *r, void *into, const json_t *value);
	bool required;
};

/** ff_fail() with the path: "files/0/when: what". */
int reading_fail(struct reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Go into a member and come back: the length to give to reading_leave(). */
size_t reading_enter(struct reading *r, const char *member);
void reading_leave(struct reading *r, size_t len);

/**
 * Read the object's members in the table's order. Every member must be in the table: an unknown one may be a condition
 * that forbids the removal. The table ends with a member without name.
 */
int reading_members(struct reading *r, const json_t *object, const struct member *members, void *into);

/** The text without NUL bytes inside and not empty; NULL with err otherwise. */
const char *reading_text(struct reading *r, const json_t *value);

/** The index of the text in the NULL-terminated list of words; -1 with err. */
int reading_word(struct reading *r, const json_t *value, const char *const *words);

/** One or an array of 1 to 64 texts of 64 hex digits, in lower case. */
int reading_sha256(struct reading *r, struct ff_strv *out, const json_t *value);

/** "Windows/System32/x*.sys". */
int reading_where(struct reading *r, struct recipe_where *where, const json_t *value);
void recipe_where_release(struct recipe_where *where);

/* ---- recipe_registry.c */

int reading_values(struct reading *r, struct recipe *recipe, const json_t *list);
int reading_services(struct reading *r, struct recipe *recipe, const json_t *list);
int reading_proofs(struct reading *r, struct recipe *recipe, const json_t *list);
void recipe_value_release(struct recipe_value *value);
void recipe_proof_release(struct recipe_proof *proof);

/* ---- recipe_when.c */

int reading_when(struct reading *r, struct recipe_when *when, const json_t *value);
int reading_build(struct reading *r, struct recipe_range *build, const json_t *value);
void recipe_when_init(struct recipe_when *when);

/* ---- the tables, for the test that compares them with docs/recipe.schema.json */

extern const struct member recipe_members[], recipe_file_members[], recipe_when_members[], recipe_value_members[],
	recipe_service_members[], recipe_proof_members[], recipe_value_when_members[];

#endif
