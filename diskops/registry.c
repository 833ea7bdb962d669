#include "registry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fixfleet/json.h"
#include "scan.h"
#include "tree.h"

#define KEYS_MAX   64 /* that one pattern may lead to */
#define EDITS_MAX  256
#define HEAD_BYTES 12 /* of a hive: "regf" and its two sequence numbers */

/* A key that was found, as it is spelled there. */
struct key {
	int64_t node;
	struct ff_strv names;
};

struct keys {
	struct key items[KEYS_MAX];
	size_t count;
};

static void keys_release(struct keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		ff_strv_free(&keys->items[i].names);
	keys->count = 0;
}

static void copy_names(struct ff_strv *to, const struct ff_strv *from)
{
	for (size_t i = 0; i < from->count; i++)
		ff_strv_add(to, from->items[i]);
}

/* ---------------------------------------------------------------- walking a hive */

static int add_key(struct keys *found, const struct key *above, int64_t node, const char *name, struct ff_err *err)
{
	struct key *key;

	if (found->count >= KEYS_MAX)
		return ff_fail(err, FF_E_DISK, "more than %d keys match '%s'", KEYS_MAX, name);
	key = &found->items[found->count++];
	*key = (struct key){.node = node};
	copy_names(&key->names, &above->names);
	ff_strv_add(&key->names, name);
	return 0;
}

static int step_by_glob(
	const struct appliance *a, const struct key *above, const char *glob, struct keys *found, struct ff_err *err)
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
static int step_by_name(
	const struct appliance *a, const struct key *above, const char *name, struct keys *found, struct ff_err *err)
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

/* The keys of the open hive that match. 0, or -1 with err; keys_release() in both cases. */
static int find_keys(const struct appliance *a, const struct ff_strv *globs, struct keys *found, struct ff_err *err)
{
	int64_t root = guestfs_hivex_root(a->g);
	int rc = 0;

	*found = (struct keys){.count = 1};
	found->items[0] = (struct key){.node = root};
	if (root <= 0)
		return appliance_fail(a, err, FF_E_DISK, "no root key");
	for (size_t i = 0; rc == 0 && i < globs->count; i++) {
		bool glob = strpbrk(globs->items[i], "*?[") != NULL;
		struct keys next = {0};

		for (size_t k = 0; rc == 0 && k < found->count; k++)
			rc = (glob ? step_by_glob : step_by_name)(a, &found->items[k], globs->items[i], &next, err);
		keys_release(found);
		*found = next;
	}
	return rc;
}

/* A value as it stands in the open hive. */
struct current {
	bool there;
	uint32_t type;
	char *data;
	size_t len;
};

static int read_value(
	const struct appliance *a, int64_t node, const char *name, struct current *value, struct ff_err *err)
{
	int64_t handle = guestfs_hivex_node_get_value(a->g, node, name), type;

	*value = (struct current){0};
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

static bool is_wanted(const struct current *now, const struct recipe_value *value)
{
	if (value->remove)
		return !now->there;
	return now->there && now->type == value->type && now->len == value->data_len &&
	       (now->len == 0 || memcmp(now->data, value->data, now->len) == 0);
}

/* ---------------------------------------------------------------- looking */

static uint32_t le32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

/*
 * A hive that was written while Windows stopped has different sequence numbers, and part of it is in its log only.
 * hivex knows no log: an edit would mix old and new. (Windows registry file format: base block, offsets 4 and 8.)
 */
static int check_clean(const struct appliance *a, const char *path, struct ff_err *err)
{
	size_t got = 0;
	ff_auto_free char *head = guestfs_pread(a->g, path, HEAD_BYTES, 0, &got);

	if (head == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot read");
	if (got < HEAD_BYTES || memcmp(head, "regf", 4) != 0)
		return ff_fail(err, FF_E_DISK, "it is no registry hive");
	if (le32(head + 4) != le32(head + 8))
		return ff_fail(err, FF_E_DISK,
			"Windows was writing to it when it stopped: part of it is in its log, which cannot be applied "
			"here");
	return 0;
}

static int add_edit(struct scan *s, const struct recipe_value *value, const struct key *key, const struct current *now,
	size_t victim, struct ff_err *err)
{
	struct job *job = s->job;
	struct edit *edit;

	if (job->edit_count >= EDITS_MAX)
		return ff_fail(err, FF_E_DISK, "more than %d registry values to change", EDITS_MAX);
	job->edits = ff_realloc(job->edits, job->edit_count + 1, sizeof(*job->edits));
	edit = &job->edits[job->edit_count++];
	*edit = (struct edit){.victim = victim, .value = value};
	copy_names(&edit->keys, &key->names);
	edit->old = now->there ? recipe_value_text(now->type, now->data, now->len) : ff_strdup("not there");
	return 0;
}

/* hivex deletes keys, not values: registry_edit() makes the key anew, which works without subkeys only. */
static int check_deletable(const struct appliance *a, int64_t node, struct ff_err *err)
{
	struct guestfs_hivex_node_list *children = guestfs_hivex_node_children(a->g, node);
	bool leaf = children != NULL && children->len == 0;

	if (children == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot list a key");
	guestfs_free_hivex_node_list(children);
	return leaf ? 0
		    : ff_fail(err, FF_E_DISK, "a value of a key that has subkeys cannot be deleted: set it instead");
}

/* The open hive: what is not as it is to be becomes an edit. `wants` says whether there is any. */
static int look_at_keys(struct scan *s, const struct recipe_value *value, size_t place, const char *name,
	const struct guestfs_statns *st, bool *wants, struct ff_err *err)
{
	struct keys keys;
	int rc = find_keys(s->a, &value->keys, &keys, err);

	for (size_t i = 0; rc == 0 && i < keys.count; i++) {
		struct current now;
		ssize_t victim;

		rc = read_value(s->a, keys.items[i].node, value->name, &now, err);
		if (rc == 0 && is_wanted(&now, value)) {
			s->values_as_wanted = true;
		} else if (rc == 0) {
			*wants = true;
			victim = files_add(s, place, name, st, NULL, err);
			if (victim < 0 || (value->remove && check_deletable(s->a, keys.items[i].node, err) < 0))
				rc = -1;
			else
				rc = add_edit(s, value, &keys.items[i], &now, (size_t)victim, err);
		}
		free(now.data);
	}
	if (rc == 0 && keys.count == 0 && s->missing_key == NULL)
		s->missing_key = ff_printf("no key %s in %s", value->keys.items[value->keys.count - 1], value->hive);
	keys_release(&keys);
	return rc;
}

static int look_at_hive(struct scan *s, const struct recipe_value *value, size_t place, const char *name,
	const struct guestfs_statns *st, struct ff_err *err)
{
	ff_auto_free char *path = tree_join(s->job->places[place].dir, name), *shown = ff_printable(path);
	bool wants = false;
	int rc;

	if (guestfs_hivex_open(s->a->g, path, -1) < 0) {
		rc = check_clean(s->a, path, err);
		if (rc == 0)
			rc = appliance_fail(s->a, err, FF_E_DISK, "cannot open it");
	} else {
		rc = look_at_keys(s, value, place, name, st, &wants, err);
		if (guestfs_hivex_close(s->a->g) < 0 && rc == 0)
			rc = appliance_fail(s->a, err, FF_E_DISK, "cannot close it");
		if (rc == 0 && wants)
			rc = check_clean(s->a, path, err);
	}
	return rc < 0 ? ff_wrap(err, "hive '%s'", shown) : 0;
}

/* The directories of hives below a Windows root. */
static int find_config(const struct appliance *a, const char *root, struct ff_strv *dirs, struct ff_err *err)
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

static int look_in_config(struct scan *s, const struct recipe_value *value, const char *dir, struct ff_err *err)
{
	ssize_t place = files_place(s, dir, err);
	struct ff_strv matching = {0};
	struct guestfs_statns_list *stats = NULL;
	int rc = place < 0 ? -1 : 0;

	if (rc == 0)
		rc = tree_match(s->a, dir, &s->job->places[place].names, value->hive, &matching, &stats, err);
	for (size_t i = 0; rc == 0 && i < matching.count; i++)
		if (S_ISREG((mode_t)stats->val[i].st_mode))
			rc = look_at_hive(s, value, (size_t)place, matching.items[i], &stats->val[i], err);
	if (stats != NULL)
		guestfs_free_statns_list(stats);
	ff_strv_free(&matching);
	return rc;
}

int registry_apply(struct scan *s, const struct recipe_value *value, struct ff_err *err)
{
	int rc = 0;

	if (recipe_bounded(&value->build) && (s->build < 0 || !recipe_in(&value->build, s->build)))
		return 0;
	for (size_t i = 0; rc == 0 && i < s->roots.count; i++) {
		struct ff_strv dirs = {0};

		rc = find_config(s->a, s->roots.items[i], &dirs, err);
		for (size_t k = 0; rc == 0 && k < dirs.count; k++)
			rc = look_in_config(s, value, dirs.items[k], err);
		ff_strv_free(&dirs);
	}
	return rc;
}

/* ---------------------------------------------------------------- editing */

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
	struct current now;
	int64_t node;
	bool wanted;

	if (find_node(a, &edit->keys, edit->keys.count, &node, err) < 0 ||
		read_value(a, node, edit->value->name, &now, err) < 0)
		return -1;
	wanted = is_wanted(&now, edit->value);
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

int registry_edit(const struct appliance *a, struct job *job, size_t victim, struct ff_err *err)
{
	const struct victim *v = &job->victims[victim];
	ff_auto_free char *path = tree_join(job->places[v->place].dir, v->name);

	if (with_hive(a, job, victim, path, true, err) < 0 || with_hive(a, job, victim, path, false, err) < 0)
		return -1;
	for (size_t i = 0; i < job->edit_count; i++)
		job->edits[i].done |= job->edits[i].victim == victim;
	return 0;
}

/* ---------------------------------------------------------------- proving */

static int keys_hold(const struct appliance *a, const struct recipe_value *value, struct ff_err *err)
{
	struct keys keys;
	int holds = find_keys(a, &value->keys, &keys, err);

	if (holds == 0)
		holds = keys.count > 0;
	for (size_t i = 0; holds == 1 && i < keys.count; i++) {
		struct current now;

		holds = read_value(a, keys.items[i].node, value->name, &now, err) < 0 ? -1 : is_wanted(&now, value);
		free(now.data);
	}
	keys_release(&keys);
	return holds;
}

int registry_holds(const struct appliance *a, const char *root, const struct recipe_value *value, struct ff_err *err)
{
	ff_auto_free char *path = NULL;
	struct ff_strv dirs = {0}, names = {0};
	int holds = find_config(a, root, &dirs, err);

	if (holds == 0 && dirs.count > 0)
		holds = tree_list(a, dirs.items[0], &names, err);
	for (size_t i = 0; i < names.count && path == NULL; i++)
		if (ff_glob(value->hive, names.items[i]))
			path = tree_join(dirs.items[0], names.items[i]);
	ff_strv_free(&dirs);
	ff_strv_free(&names);
	if (holds < 0 || path == NULL)
		return holds;
	if (guestfs_hivex_open(a->g, path, -1) < 0)
		return appliance_fail(a, err, FF_E_DISK, "cannot open a hive");
	holds = keys_hold(a, value, err);
	guestfs_hivex_close(a->g);
	return holds;
}
