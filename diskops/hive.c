#include "hive.h"

#include <stdlib.h>
#include <string.h>

#include "tree.h"

void hive_keys_release(struct hive_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		ff_strv_free(&keys->items[i].names);
	keys->count = 0;
}

void hive_copy_names(struct ff_strv *to, const struct ff_strv *from)
{
	for (size_t i = 0; i < from->count; i++)
		ff_strv_add(to, from->items[i]);
}

static int add_key(
	struct hive_keys *found, const struct hive_key *above, int64_t node, const char *name, struct ff_err *err)
{
	struct hive_key *key;

	if (found->count >= HIVE_KEYS_MAX)
		return ff_fail(err, FF_E_DISK, "more than %d keys match '%s'", HIVE_KEYS_MAX, name);
	key = &found->items[found->count++];
	*key = (struct hive_key){.node = node};
	hive_copy_names(&key->names, &above->names);
	ff_strv_add(&key->names, name);
	return 0;
}

static int step_by_glob(const struct appliance *a, const struct hive_key *above, const char *glob,
	struct hive_keys *found, struct ff_err *err)
{
	struct guestfs_hivex_node_list *children = guestfs_hivex_node_children(a->g, above->node);
	int rc = 0;

	if (children == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot list a key");
	for (uint32_t i = 0; rc == 0 && i < children->len; i++) {
		ff_auto_free char *name = guestfs_hivex_node_name(a->g, children->val[i].hivex_node_h);

		if (name == NULL)
			rc = appliance_fail(a, err, FF_E_DISK, "cannot read a key");
		else if (ff_glob(glob, name))
			rc = add_key(found, above, children->val[i].hivex_node_h, name, err);
	}
	guestfs_free_hivex_node_list(children);
	return rc;
}

/* One call instead of one for each child: Services has hundreds. hivex compares without case, as Windows does. */
static int step_by_name(const struct appliance *a, const struct hive_key *above, const char *name,
	struct hive_keys *found, struct ff_err *err)
{
	int64_t node = guestfs_hivex_node_get_child(a->g, above->node, name);
	ff_auto_free char *spelled = NULL;

	if (node < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot look for a key");
	if (node == 0)
		return 0;
	spelled = guestfs_hivex_node_name(a->g, node);
	return add_key(found, above, node, spelled ? spelled : name, err);
}

int hive_find_keys(const struct appliance *a, const struct ff_strv *globs, struct hive_keys *found, struct ff_err *err)
{
	int64_t root = guestfs_hivex_root(a->g);
	int rc = 0;

	*found = (struct hive_keys){.count = 1};
	found->items[0] = (struct hive_key){.node = root};
	if (root <= 0)
		return appliance_fail(a, err, FF_E_DISK, "no root key");
	for (size_t i = 0; rc == 0 && i < globs->count; i++) {
		bool glob = strpbrk(globs->items[i], "*?[") != NULL;
		struct hive_keys next = {0};

		for (size_t k = 0; rc == 0 && k < found->count; k++)
			rc = (glob ? step_by_glob : step_by_name)(a, &found->items[k], globs->items[i], &next, err);
		hive_keys_release(found);
		*found = next;
	}
	return rc;
}

int hive_read_value(
	const struct appliance *a, int64_t node, const char *name, struct hive_value *value, struct ff_err *err)
{
	int64_t handle = guestfs_hivex_node_get_value(a->g, node, name), type;

	*value = (struct hive_value){0};
	if (handle < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot look for a value");
	if (handle == 0)
		return 0;
	type = guestfs_hivex_value_type(a->g, handle);
	value->data = guestfs_hivex_value_value(a->g, handle, &value->len);
	if (type < 0 || value->data == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot read a value");
	value->type = (uint32_t)type;
	value->there = true;
	return 0;
}

bool hive_value_is(const struct hive_value *now, const struct recipe_value *value)
{
	if (value->remove)
		return !now->there;
	return now->there && now->type == value->type && now->len == value->data_len &&
	       (now->len == 0 || memcmp(now->data, value->data, now->len) == 0);
}

int hive_find_config(const struct appliance *a, const char *root, struct ff_strv *dirs, struct ff_err *err)
{
	struct ff_strv way = {0};
	ff_auto_free char *missing = NULL;
	int rc;

	ff_strv_add(&way, root + 1); /* "/Windows" */
	ff_strv_add(&way, "System32");
	ff_strv_add(&way, "config");
	rc = tree_find(a, &way, dirs, &missing, err);
	ff_strv_free(&way);
	return rc;
}
