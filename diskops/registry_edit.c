/* Changing registry values, and whether they hold. */
#include <stdlib.h>
#include <string.h>

#include "hive.h"
#include "registry.h"
#include "tree.h"

static int find_node(
	const struct appliance *a, const struct ff_strv *names, size_t depth, int64_t *node, struct ff_err *err)
{
	*node = guestfs_hivex_root(a->g);
	for (size_t i = 0; *node > 0 && i < depth; i++)
		*node = guestfs_hivex_node_get_child(a->g, *node, names->items[i]);
	if (*node < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot look for a key");
	return *node > 0 ? 0 : ff_fail(err, FF_E_DISK, "a key is not there any more");
}

/* A value taken out of the hive. */
struct taken {
	char *name;
	int64_t type;
	char *data;
	size_t len;
};

/* All values of the key but one. */
static int take_values(const struct appliance *a, const struct guestfs_hivex_value_list *values, const char *but,
	struct taken *taken, size_t *count, struct ff_err *err)
{
	for (uint32_t i = 0; i < values->len; i++) {
		int64_t handle = values->val[i].hivex_value_h;
		struct taken *t = &taken[*count];

		t->name = guestfs_hivex_value_key(a->g, handle);
		t->type = guestfs_hivex_value_type(a->g, handle);
		t->data = guestfs_hivex_value_value(a->g, handle, &t->len);
		++*count;
		if (t->name == NULL || t->data == NULL || t->type < 0)
			return appliance_fail(a, err, FF_E_DISK, "cannot read a value");
		if (ff_strcaseeq(t->name, but)) {
			free(t->name);
			free(t->data);
			--*count;
		}
	}
	return 0;
}

static int replace_key(const struct appliance *a, const struct edit *edit, int64_t node, const struct taken *taken,
	size_t count, struct ff_err *err)
{
	int64_t above, fresh;

	if (find_node(a, &edit->keys, edit->keys.count - 1, &above, err) < 0)
		return -1;
	if (guestfs_hivex_node_delete_child(a->g, node) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot replace the key");
	fresh = guestfs_hivex_node_add_child(a->g, above, edit->keys.items[edit->keys.count - 1]);
	if (fresh <= 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot make the key again");
	for (size_t i = 0; i < count; i++)
		if (guestfs_hivex_node_set_value(
			    a->g, fresh, taken[i].name, taken[i].type, taken[i].data, taken[i].len) < 0)
			return appliance_fail(a, err, FF_E_DISK, "cannot set a value");
	return 0;
}

/*
 * hivex of libguestfs cannot delete one value: the key goes and comes back with its other values, and with the
 * permissions of the key above it, which is what keys of Windows mostly have. Nothing reaches the file before the
 * commit.
 */
static int delete_value(const struct appliance *a, const struct edit *edit, int64_t node, struct ff_err *err)
{
	struct guestfs_hivex_value_list *values = guestfs_hivex_node_values(a->g, node);
	ff_auto_free struct taken *taken = NULL;
	size_t count = 0;
	int rc;

	if (values == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot list values");
	taken = ff_calloc((size_t)values->len + 1, sizeof(*taken));
	rc = take_values(a, values, edit->value->name, taken, &count, err);
	if (rc == 0)
		rc = replace_key(a, edit, node, taken, count, err);
	for (size_t i = 0; i < count; i++) {
		free(taken[i].name);
		free(taken[i].data);
	}
	guestfs_free_hivex_value_list(values);
	return rc;
}

static int carry_out(const struct appliance *a, const struct edit *edit, struct ff_err *err)
{
	const struct recipe_value *value = edit->value;
	int64_t node;

	if (find_node(a, &edit->keys, edit->keys.count, &node, err) < 0)
		return -1;
	if (value->remove)
		return delete_value(a, edit, node, err);
	if (guestfs_hivex_node_set_value(a->g, node, value->name, value->type, value->data, value->data_len) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot set a value");
	return 0;
}

/* What is in the file now, read anew. */
static int check_edit(const struct appliance *a, const struct edit *edit, struct ff_err *err)
{
	struct hive_value now;
	int64_t node;
	bool wanted;

	if (find_node(a, &edit->keys, edit->keys.count, &node, err) < 0 ||
		hive_read_value(a, node, edit->value->name, &now, err) < 0)
		return -1;
	wanted = hive_value_is(&now, edit->value);
	free(now.data);
	return wanted ? 0 : ff_fail(err, FF_E_DISK, "a value is not what it was set to");
}

/* Open, do `act` for each edit of that hive, commit when it is for writing, close. */
static int with_hive(const struct appliance *a, const struct job *job, size_t victim, const char *path, bool write,
	struct ff_err *err)
{
	int rc = 0;

	if (guestfs_hivex_open(a->g, path, GUESTFS_HIVEX_OPEN_WRITE, (int)write, -1) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot open it");
	for (size_t i = 0; rc == 0 && i < job->edit_count; i++)
		if (job->edits[i].victim == victim)
			rc = (write ? carry_out : check_edit)(a, &job->edits[i], err);
	if (rc == 0 && write && guestfs_hivex_commit(a->g, NULL) < 0)
		rc = appliance_fail(a, err, FF_E_DISK, "cannot write it");
	if (guestfs_hivex_close(a->g) < 0 && rc == 0)
		rc = appliance_fail(a, err, FF_E_DISK, "cannot close it");
	return rc;
}

/* To a dirty hive Windows would apply its logs, over what was changed. */
static int check_clean(const struct appliance *a, const char *path, struct ff_err *err)
{
	enum hive_state state;

	if (hive_state(a, path, &state, err) < 0)
		return -1;
	return state == HIVE_CLEAN ? 0 : ff_fail(err, FF_E_DISK, "it is still marked as being written");
}

int registry_edit(const struct appliance *a, struct job *job, size_t victim, struct ff_err *err)
{
	const struct victim *v = &job->victims[victim];
	const struct place *place = &job->places[v->place];
	const struct hive_file file = {.dir = place->dir, .name = v->name, .names = &place->names};
	ff_auto_free char *path = tree_join(place->dir, v->name);

	if (hive_settle(a, &file, err) < 0)
		return -1;
	if (with_hive(a, job, victim, path, true, err) < 0 || with_hive(a, job, victim, path, false, err) < 0 ||
		check_clean(a, path, err) < 0)
		return -1;
	for (size_t i = 0; i < job->edit_count; i++)
		job->edits[i].done |= job->edits[i].victim == victim;
	return 0;
}

/* ---------------------------------------------------------------- proving */

static int keys_hold(const struct appliance *a, const struct recipe_value *value, struct ff_err *err)
{
	struct hive_keys keys;
	int holds = hive_find_keys(a, &value->keys, &keys, err);

	if (holds == 0)
		holds = keys.count > 0;
	for (size_t i = 0; holds == 1 && i < keys.count; i++) {
		struct hive_value now;

		holds = hive_read_value(a, keys.items[i].node, value->name, &now, err) < 0 ? -1
											   : hive_value_is(&now, value);
		free(now.data);
	}
	hive_keys_release(&keys);
	return holds;
}

int registry_holds(const struct appliance *a, const char *partition, const char *root, const struct recipe_value *value,
	struct ff_err *err)
{
	struct ff_strv dirs = {0}, names = {0};
	struct hive_file file = {.names = &names};
	struct ff_err ignored;
	int holds = hive_find_config(a, root, &dirs, err);

	if (holds == 0 && dirs.count > 0)
		holds = tree_list(a, dirs.items[0], &names, err);
	for (size_t i = 0; i < names.count && file.name == NULL; i++)
		if (ff_glob(value->hive, names.items[i]))
			file.name = names.items[i];
	if (holds == 0 && file.name != NULL) {
		file.dir = dirs.items[0];
		holds = hive_open(a, partition, &file, err);
		if (holds == 0) {
			holds = keys_hold(a, value, err);
			if (hive_close(a, &file, holds < 0 ? &ignored : err) < 0)
				holds = -1;
		}
	}
	ff_strv_free(&dirs);
	ff_strv_free(&names);
	return holds;
}
