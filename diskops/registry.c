/* Which registry values are not as a recipe wants them. */
#include "registry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hive.h"
#include "scan.h"
#include "tree.h"

#define EDITS_MAX 256

static bool same_keys(const struct ff_strv *a, const struct ff_strv *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = ff_strcaseeq(a->items[i], b->items[i]);
	return same;
}

static bool same_wish(const struct recipe_value *a, const struct recipe_value *b)
{
	return a->remove == b->remove && a->type == b->type && a->data_len == b->data_len &&
	       (a->data_len == 0 || memcmp(a->data, b->data, a->data_len) == 0);
}

/* Two entries may speak of one value when they want the same of it. */
static int check_agreement(const struct job *job, const struct recipe_value *value, const struct hive_key *key,
	size_t victim, struct ff_err *err)
{
	for (size_t i = 0; i < job->edit_count; i++) {
		const struct edit *e = &job->edits[i];

		if (e->victim == victim && ff_strcaseeq(e->value->name, value->name) &&
			same_keys(&e->keys, &key->names) && !same_wish(e->value, value))
			return ff_fail(err, FF_E_DISK,
				"two entries of the recipes want different things of value %s of %s: nothing was "
				"changed",
				value->name, key->names.items[key->names.count - 1]);
	}
	return 0;
}

static int add_edit(struct scan *s, const struct recipe_value *value, const struct hive_key *key,
	const struct hive_value *now, size_t victim, struct ff_err *err)
{
	struct job *job = s->job;
	struct edit *edit;

	if (check_agreement(job, value, key, victim, err) < 0)
		return -1;
	if (job->edit_count >= EDITS_MAX)
		return ff_fail(err, FF_E_DISK, "more than %d registry values to change", EDITS_MAX);
	job->edits = ff_realloc(job->edits, job->edit_count + 1, sizeof(*job->edits));
	edit = &job->edits[job->edit_count++];
	*edit = (struct edit){.victim = victim, .value = value};
	hive_copy_names(&edit->keys, &key->names);
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

/* The open hive: what is not as it is to be becomes an edit. */
static int look_at_keys(struct scan *s, const struct recipe_value *value, size_t place, const char *name,
	const struct guestfs_statns *st, struct ff_err *err)
{
	struct hive_keys keys;
	int rc = hive_find_keys(s->a, &value->keys, &keys, err);

	for (size_t i = 0; rc == 0 && i < keys.count; i++) {
		struct hive_value now;
		ssize_t victim;

		rc = hive_read_value(s->a, keys.items[i].node, value->name, &now, err);
		if (rc == 0 && hive_value_is(&now, value)) {
			s->values_as_wanted = true;
		} else if (rc == 0) {
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
	hive_keys_release(&keys);
	return rc;
}

/* Once, though every entry of a recipe looks at it. */
static void note_log(struct scan *s, const char *shown, size_t applied)
{
	ff_auto_free char *note =
		ff_printf("'%s' was being written when Windows stopped: %zu entr%s of its log count%s", shown, applied,
			applied == 1 ? "y" : "ies", applied == 1 ? "s" : "");

	if (!ff_strv_has(&s->job->notes, note))
		scan_note(s->job, FF_STEAL(note));
}

static int look_at_hive(struct scan *s, const struct recipe_value *value, size_t place, const char *name,
	const struct guestfs_statns *st, struct ff_err *err)
{
	const struct place *p = &s->job->places[place];
	struct hive_file file = {.dir = p->dir, .name = name, .names = &p->names};
	ff_auto_free char *path = tree_join(p->dir, name), *shown = ff_printable(path);
	struct ff_err ignored;
	int rc = hive_open(s->a, s->partition, &file, err);

	if (rc < 0)
		return ff_wrap(err, "hive '%s'", shown);
	if (file.applied > 0)
		note_log(s, shown, file.applied);
	rc = look_at_keys(s, value, place, name, st, err);
	if (hive_close(s->a, &file, rc < 0 ? &ignored : err) < 0)
		rc = -1;
	return rc < 0 ? ff_wrap(err, "hive '%s'", shown) : 0;
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

		rc = hive_find_config(s->a, s->roots.items[i], &dirs, err);
		for (size_t k = 0; rc == 0 && k < dirs.count; k++)
			rc = look_in_config(s, value, dirs.items[k], err);
		ff_strv_free(&dirs);
	}
	return rc;
}
