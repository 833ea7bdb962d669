/* `fixfleet recipes`, `recipes show NAME|FILE`, `recipes check FILE...`, and the recipes of a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fixfleet/json.h"
#include "fixfleet/recipe.h"

#define RECIPES_MAX	  16
#define RECIPES_BYTES_MAX (700 * 1024) /* they go to the worker in one line with the disk's place */

/* ---------------------------------------------------------------- loading */

static char *read_file(const char *path, size_t *len, struct ff_err *err)
{
	FILE *in = ff_streq(path, "-") ? stdin : fopen(path, "re");
	struct ff_buf text = {0};
	char piece[16384];
	size_t n;
	bool bad;

	if (in == NULL) {
		ff_fail(err, FF_E_USAGE, "cannot open: %m");
		return NULL;
	}
	while (text.len <= FF_RECIPE_BYTES_MAX && (n = fread(piece, 1, sizeof(piece), in)) > 0)
		ff_buf_add(&text, piece, n);
	bad = ferror(in) != 0;
	if (bad)
		ff_fail(err, FF_E_USAGE, "cannot read: %m");
	if (in != stdin)
		fclose(in);
	if (bad) {
		ff_buf_free(&text);
		return NULL;
	}
	*len = text.len;
	return ff_buf_take(&text);
}

static json_t *load_file(const char *path, struct ff_err *err)
{
	size_t len = 0;
	ff_auto_free char *text = read_file(path, &len, err);
	json_t *recipe = text ? ff_recipe_read(text, len, err) : NULL;

	if (recipe == NULL)
		ff_wrap(err, "recipe '%s'", path);
	return recipe;
}

/* A name without '/' and '.' is one of the built-in ones. */
static json_t *load(const char *name, struct ff_err *err)
{
	json_t *recipe = ff_recipe_builtin(name);
	ff_auto_free char *shown = NULL;

	if (recipe != NULL)
		return recipe;
	if (strpbrk(name, "/.") != NULL || ff_streq(name, "-"))
		return load_file(name, err);
	shown = ff_printable(name);
	ff_fail(err, FF_E_USAGE, "unknown recipe '%s': fixfleet recipes shows the built-in ones; a file is ./%s", shown,
		shown);
	return NULL;
}

static bool has_name(const json_t *list, const char *name)
{
	const json_t *recipe;
	size_t i;

	json_array_foreach (list, i, recipe)
		if (ff_streq(ff_json_str(recipe, "name"), name))
			return true;
	return false;
}

json_t *recipes_load(const struct ff_strv *names, struct ff_err *err)
{
	json_t *list = json_array();
	ff_auto_free char *text = NULL;

	if (names->count == 0)
		json_array_append_new(list, ff_recipe_builtin(FF_RECIPE_DEFAULT));
	for (size_t i = 0; i < names->count; i++) {
		json_t *recipe = load(names->items[i], err);

		if (recipe != NULL && has_name(list, ff_json_str(recipe, "name"))) {
			ff_fail(err, FF_E_USAGE, "two recipes are called '%s'", ff_json_str(recipe, "name"));
			json_decref(recipe);
			recipe = NULL;
		}
		if (recipe == NULL || json_array_append_new(list, recipe) != 0)
			goto fail;
	}
	text = ff_json_text(list);
	if (json_array_size(list) <= RECIPES_MAX && strlen(text) <= RECIPES_BYTES_MAX)
		return list;
	ff_fail(err, FF_E_USAGE, "more than %d recipes, or more than %d KiB of them", RECIPES_MAX,
		RECIPES_BYTES_MAX / 1024);
fail:
	json_decref(list);
	return NULL;
}

/* ---------------------------------------------------------------- the command */

static int list_all(const struct options *o)
{
	static const char *const head[] = {"NAME", "TITLE"};
	ff_auto_json json_t *json = json_array();
	struct ff_strv cells = {0};

	for (size_t i = 0; ff_recipe_name(i) != NULL; i++) {
		json_t *recipe = ff_recipe_builtin(ff_recipe_name(i)), *entry = json_object();
		const char *title = ff_json_str(recipe, "title");

		ff_strv_add(&cells, ff_recipe_name(i));
		ff_strv_add(&cells, title);
		ff_json_set_str(entry, "name", ff_recipe_name(i));
		ff_json_set_str(entry, "title", title);
		json_array_append_new(json, entry);
		json_decref(recipe);
	}
	if (o->output == OUTPUT_JSON)
		print_json(json);
	else
		print_rows(o->output, head, FF_COUNT(head), cells.items, cells.count / FF_COUNT(head));
	ff_strv_free(&cells);
	return EXIT_OK;
}

static int show(const char *name)
{
	struct ff_err err;
	ff_auto_json json_t *recipe = load(name, &err);

	if (recipe == NULL)
		return fail_with(&err);
	print_json(recipe);
	return EXIT_OK;
}

/* Every file is looked at; each that is not good gets its line. */
static int check(const struct ff_strv *operands)
{
	int status = EXIT_OK;

	for (size_t i = 1; i < operands->count; i++) {
		struct ff_err err;
		ff_auto_json json_t *recipe = load_file(operands->items[i], &err);

		if (recipe == NULL)
			status = fail_with(&err);
		else
			ff_log(FF_LOG_INFO, operands->items[i], "is good: recipe '%s'", ff_json_str(recipe, "name"));
	}
	return status;
}

int cmd_recipes(struct options *o)
{
	const struct ff_strv *operands = &o->operands;
	const char *verb = operands->count > 0 ? operands->items[0] : "list";
	struct ff_err err;

	if (ff_streq(verb, "list") && operands->count <= 1)
		return list_all(o);
	if (ff_streq(verb, "show") && operands->count == 2)
		return show(operands->items[1]);
	if (ff_streq(verb, "check") && operands->count >= 2)
		return check(operands);
	ff_fail(&err, FF_E_USAGE, "recipes takes nothing, show NAME|FILE, or check FILE...");
	return fail_with(&err);
}
