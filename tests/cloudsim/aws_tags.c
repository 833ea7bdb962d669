/* Tags: overwritten without being asked, deleted by name and value. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define TAGS_MAX      50
#define KEY_MAX	      127
#define VALUE_MAX     256
#define RESOURCES_MAX 1000

#define LOOK_TO_WRITE_MS 4000

struct target {
	const char *name;
	struct aw_past *tags;
};

/* The thing of that id; tags NULL after a refusal. */
static struct target find(struct aw_call *c, const char *id)
{
	struct target t = {0};

	if (ff_has_prefix(id, "i-")) {
		struct aw_vm *vm = aw_find_vm(c, id);

		return vm != NULL ? (struct target){vm->name, &vm->tags} : t;
	}
	if (ff_has_prefix(id, "vol-")) {
		struct aw_vol *vol = aw_find_vol(c, id);

		return vol != NULL ? (struct target){vol->id, &vol->tags} : t;
	}
	if (ff_has_prefix(id, "snap-")) {
		struct aw_snap *s = aw_snap(c->aws, id);

		if (s != NULL)
			return (struct target){s->id, &s->tags};
		aw_refuse(c, 400, "InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id);
		return t;
	}
	aw_refuse(c, 400, "InvalidID", "The ID '%s' is not valid", id);
	return t;
}

/* All targets, or -1 after a refusal. Free the array. */
static int read_targets(struct aw_call *c, struct target **targets, size_t *count)
{
	struct ff_strv ids = aw_list(c, "ResourceId");
	int rc = 0;

	*count = 0;
	*targets = ff_calloc(ids.count + 1, sizeof(**targets));
	if (ids.count == 0)
		rc = aw_refuse(c, 400, "MissingParameter", "The request must contain the parameter resourceIdSet");
	else if (ids.count > RESOURCES_MAX)
		rc = aw_refuse(c, 400, "InvalidParameterValue", "More than 1000 resources were given."); /* made up */
	for (size_t i = 0; i < ids.count && rc == 0; i++) {
		(*targets)[*count] = find(c, ids.items[i]);
		rc = (*targets)[(*count)++].tags != NULL ? 0 : -1;
	}
	ff_strv_free(&ids);
	return rc;
}

static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

static int check_tag(struct aw_call *c, const char *key, const char *value)
{
	if (*key == '\0' || characters(key) > KEY_MAX)
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Tag key exceeds the maximum length of %d characters or is empty", KEY_MAX);
	if (ff_has_prefix(key, "aws:"))
		return aw_refuse(
			c, 400, "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use");
	if (value != NULL && characters(value) > VALUE_MAX)
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Tag value exceeds the maximum length of %d characters", VALUE_MAX);
	return 0;
}

static size_t users_own(const json_t *tags)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach ((json_t *)tags, key, value)
		n += !ff_has_prefix(key, "aws:");
	return n;
}

/* The tags as they will be; NULL after a refusal. */
static json_t *with_new(struct aw_call *c, const struct target *t)
{
	ff_auto_json json_t *tags = json_copy(aw_now(t->tags)->tags);
	const char *key;

	for (size_t i = 1; (key = aw_getf(c, "Tag.%zu.Key", i)) != NULL; i++) {
		const char *value = aw_getf(c, "Tag.%zu.Value", i);

		if (check_tag(c, key, value) < 0)
			return NULL;
		ff_json_set_str(tags, key, value != NULL ? value : "");
	}
	if (users_own(tags) <= TAGS_MAX)
		return FF_STEAL(tags);
	aw_refuse(c, 400, "TagLimitExceeded", "More than %d tags specified for the resource", TAGS_MAX);
	return NULL;
}

/* Since when the claim is there. */
static int64_t claimed_ms(const struct aw_past *tags)
{
	size_t i = tags->count - 1;

	while (i > 0 &&
		ff_streq(ff_json_str(tags->items[i - 1].tags, AW_CLAIM), ff_json_str(tags->items[i].tags, AW_CLAIM)))
		i--;
	return tags->items[i].at_ms;
}

/* EC2 has no compare-and-set: a claim that no look could show when the other run looked, shortly before it wrote, is
 * overwritten. Which of the two then goes on aws_check.c watches. */
static bool could_be_seen(const struct aw_call *c, const struct aw_past *tags)
{
	return c->sim->now_ms - claimed_ms(tags) > c->aws->lag[AW_LAG_TAGS] + LOOK_TO_WRITE_MS;
}

/* Another run's claim, or anybody's tag, must not be overwritten or deleted. */
static void note_changes(struct aw_call *c, const struct target *t, const json_t *after)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)aw_now(t->tags)->tags, key, value) {
		const char *old = json_string_value(value), *new = ff_json_str(after, key);

		if (ff_streq(old, new))
			continue;
		if (!ff_has_prefix(key, AW_OWN))
			sim_violation(c->sim, "tag '%s' of '%s', which is not fixfleet's, was %s", key, t->name,
				new != NULL ? "overwritten" : "deleted");
		else if (ff_streq(key, AW_CLAIM) && new != NULL && could_be_seen(c, t->tags))
			sim_violation(c->sim, "run '%s' overwrote the claim of run '%s' on '%s'", new, old, t->name);
	}
}

void aw_create_tags(struct aw_call *c)
{
	struct target *targets;
	size_t count;
	int rc = read_targets(c, &targets, &count);

	if (rc == 0 && aw_get(c, "Tag.1.Key") == NULL)
		rc = aw_refuse(c, 400, "MissingParameter", "The request must contain the parameter tagSet");
	for (size_t i = 0; i < count && rc == 0; i++) {
		ff_auto_json json_t *after = with_new(c, &targets[i]);

		rc = after != NULL ? 0 : -1;
	}
	for (size_t i = 0; i < count && rc == 0; i++) {
		json_t *after = with_new(c, &targets[i]);

		note_changes(c, &targets[i], after);
		aw_set_tags(c->sim, targets[i].tags, after);
	}
	free(targets);
	if (rc == 0)
		aw_return_true(c);
}

/* Without Tag: all. With a value: only when it is that. AWS's own stay. */
static json_t *without(const struct aw_call *c, const struct target *t)
{
	json_t *tags = json_copy(aw_now(t->tags)->tags);
	const char *key;
	json_t *value;
	void *next;

	for (size_t i = 1; (key = aw_getf(c, "Tag.%zu.Key", i)) != NULL; i++) {
		const char *wanted = aw_getf(c, "Tag.%zu.Value", i);

		if (!ff_has_prefix(key, "aws:") && (wanted == NULL || ff_streq(wanted, ff_json_str(tags, key))))
			json_object_del(tags, key);
	}
	if (aw_has(c, "Tag"))
		return tags;
	json_object_foreach_safe (tags, next, key, value)
		if (!ff_has_prefix(key, "aws:"))
			json_object_del(tags, key);
	return tags;
}

void aw_delete_tags(struct aw_call *c)
{
	struct target *targets;
	size_t count;
	int rc = read_targets(c, &targets, &count);

	for (size_t i = 0; i < count && rc == 0; i++) {
		json_t *after = without(c, &targets[i]);

		note_changes(c, &targets[i], after);
		aw_set_tags(c->sim, targets[i].tags, after);
	}
	free(targets);
	if (rc == 0)
		aw_return_true(c);
}
