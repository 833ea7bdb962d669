/*
 * Recipes: what to mend is data. A recipe is a JSON object; docs/recipes.md is written for people,
 * docs/recipe.schema.json for editors, and this is all of it:
 *
 *   {"name":"crowdstrike-291","title":"...","os":"windows",
 *    "files":[{"where":"Windows/System32/drivers/CrowdStrike/C-00000291*.sys",   root-relative glob, any case, "/" only
 *              "when":{"mtime_from":"2024-07-19T04:09:00Z","mtime_before":"2024-07-19T05:27:00Z"},
 *              "action":"quarantine"}],
 *    "registry":[{"hive":"SYSTEM","key":"ControlSet*\\Services\\baddrv","value":"Start","action":"set","type":"dword",
 *                 "data":4}],
 *    "services":[{"name":"csagent","action":"disable"}],
 *    "proof":[{"where":"...","absent":true}]}
 *
 * when     mtime_from, mtime_before, size, size_from, size_before, sha256, version_from, version_before (version
 * resource), build_from, build_before (of Windows), absent, any. All that are given must hold; a file that matches
 * `where` but not `when` stays. action   quarantine (also called "remove"), delete (not kept), rename (`to`), write
 * (`text` or `base64`) Whatever is removed or changed is kept in the run's quarantine first, except by "delete".
 */
#ifndef FIXFLEET_RECIPE_H
#define FIXFLEET_RECIPE_H

#include <jansson.h>
#include <stddef.h>

#include "fixfleet/err.h"

#define FF_RECIPE_DEFAULT   "crowdstrike-291"
#define FF_RECIPE_BYTES_MAX (512 * 1024) /* of one recipe file; all of a run's go to the worker in one line */

/** A new reference to the built-in recipe of that name, or NULL. */
json_t *ff_recipe_builtin(const char *name);

/** The name of the index-th built-in recipe; NULL behind the last one. */
const char *ff_recipe_name(size_t index);

/** Does this object hold a recipe that this program can carry out? 0, or -1 with err (FF_E_USAGE) naming the member. */
int ff_recipe_check(const json_t *recipe, struct ff_err *err);

/**
 * Parse and check the text of a recipe file. A new reference, or NULL with err (FF_E_USAGE): "line 7 column 12:
 * files/0/when/mtime_from: not a time".
 */
json_t *ff_recipe_read(const char *text, size_t len, struct ff_err *err);

#endif
