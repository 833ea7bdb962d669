/*
 * A recipe in the form the worker walks: directories segment by segment, a glob for the name, half-open windows.
 */
#ifndef DISKOPS_RECIPE_H
#define DISKOPS_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "fixfleet/mem.h"
#include "fixfleet/recipe.h"

#define RECIPE_FILES_MAX 64 /* entries of each kind */
#define RECIPES_MAX	 16

/* What is done to a file. RECIPE_EDIT is no action of its own: it is a hive whose values are set or deleted. */
enum recipe_act { RECIPE_QUARANTINE, RECIPE_DELETE, RECIPE_RENAME, RECIPE_WRITE, RECIPE_EDIT };

/* Half-open: `from` is the first that matches, `before` the first that does not any more. */
struct recipe_range {
	int64_t from, before; /* INT64_MIN, INT64_MAX: no bound */
};

struct recipe_when {
	struct recipe_range mtime_ms, size, build;
	struct recipe_range version; /* of the version resource, 16 bits a part, see version.h */
	struct ff_strv sha256;	     /* lower case; any of them */
	bool absent;		     /* there is no such file */
};

/* Directories and a name; globs without regard to case. */
struct recipe_where {
	struct ff_strv dirs; /* segments from the root */
	char *name;
};

struct recipe_rule {
	struct recipe_where where;
	struct recipe_when when;
	enum recipe_act act;
	char *to;      /* RENAME: the new name, in the same directory */
	char *content; /* WRITE */
	size_t content_len;
};

/* Types of registry values (winnt.h). */
enum {
	RECIPE_REG_SZ = 1,
	RECIPE_REG_EXPAND_SZ = 2,
	RECIPE_REG_BINARY = 3,
	RECIPE_REG_DWORD = 4,
	RECIPE_REG_MULTI_SZ = 7,
	RECIPE_REG_QWORD = 11
};

/* A value of all keys that match; the keys are never made. */
struct recipe_value {
	char *hive;	     /* file name in System32/config */
	struct ff_strv keys; /* globs, from the root of the hive */
	char *name;	     /* "" is the default value */
	bool remove;	     /* else it is to have this type and data */
	uint32_t type;
	char *data; /* as it stands in the hive: little-endian, UTF-16 */
	size_t data_len;
	struct recipe_range build;
};

enum recipe_proof_kind { PROOF_ABSENT, PROOF_SHA256, PROOF_VALUE };
struct recipe_proof {
	enum recipe_proof_kind kind;
	struct recipe_where where;
	struct ff_strv sha256;
	struct recipe_value value;
};

struct recipe {
	char *name;
	struct recipe_rule *rules;
	struct recipe_value *values; /* those of "services" among them */
	struct recipe_proof *proofs;
	size_t count, value_count, proof_count;
	bool needs_build; /* some `when` asks for Windows' build */
};

/** Parse what ff_recipe_check() accepts; same errors. recipe_release() in either case. */
int recipe_parse(struct recipe *recipe, const json_t *json, struct ff_err *err);
/** The same, with the path of the member that is not good ("files/0/when") in `at` after a failure. */
int recipe_parse_at(struct recipe *recipe, const json_t *json, struct ff_buf *at, struct ff_err *err);
void recipe_release(struct recipe *recipe);

/** Is the number in the range? */
bool recipe_in(const struct recipe_range *range, int64_t number);

/** Does a bound stand there? */
bool recipe_bounded(const struct recipe_range *range);

/** "dword 4", "sz 'text'", "binary of 12 bytes": a value for people. The caller frees. */
char *recipe_value_text(uint32_t type, const char *data, size_t len);

#endif
