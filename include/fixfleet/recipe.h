/*
 * Recipes: what to mend is data. A recipe is a JSON object:
 *
 *   {"name":"crowdstrike-291","title":"...","os":"windows",
 *    "files":[{"where":"Windows/System32/drivers/CrowdStrike/C-00000291*.sys",     root-relative glob, any case, "/"
 * only "when":{"mtime_from":"2024-07-19T04:09:00Z","mtime_before":"2024-07-19T05:27:00Z"}, "action":"remove"}]}
 *
 * "remove" keeps the file in quarantine first. Files that match `where` but not `when` stay.
 */
#ifndef FIXFLEET_RECIPE_H
#define FIXFLEET_RECIPE_H

#include <jansson.h>

#include "fixfleet/err.h"

/** A new reference to the built-in recipe of that name, or NULL. */
json_t *ff_recipe_builtin(const char *name);

/** Does this object hold a recipe that this program can carry out? 0, or -1 with err (FF_E_USAGE) naming the member. */
int ff_recipe_check(const json_t *recipe, struct ff_err *err);

#endif
