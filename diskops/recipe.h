/*
 * A recipe in the form the worker walks: directories segment by segment, a glob for the name, a half-open window of
 * time.
 */
#ifndef DISKOPS_RECIPE_H
#define DISKOPS_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "fixfleet/mem.h"
#include "fixfleet/recipe.h"

#define RECIPE_FILES_MAX 64
#define RECIPES_MAX	 16

struct recipe_rule {
	struct ff_strv dirs; /* segments from the root, each a glob without regard to case */
	char *name;	     /* glob of the file's name */
	int64_t from_ms;     /* first moment that is bad; INT64_MIN: no bound */
	int64_t before_ms;   /* first moment that is not bad any more; INT64_MAX: no bound */
};

struct recipe {
	char *name;
	struct recipe_rule *rules;
	size_t count;
};

/** Parse what ff_recipe_check() accepts; same errors. recipe_release() in either case. */
int recipe_parse(struct recipe *recipe, const json_t *json, struct ff_err *err);
void recipe_release(struct recipe *recipe);

enum recipe_age { RECIPE_OLDER, RECIPE_BAD, RECIPE_GOOD };

/** Where a file of that time stands: before the window, in it, at its end or later. */
enum recipe_age recipe_age(const struct recipe_rule *rule, int64_t mtime_ms);

#endif
