/* Walking a registry hive that the appliance has open (one at a time). Names are compared without case, as Windows
 * does. */
#ifndef DISKOPS_HIVE_H
#define DISKOPS_HIVE_H

#include "appliance.h"
#include "hivelog.h"

#define HIVE_KEYS_MAX 64 /* that one pattern may lead to */

/* A key that was found, as it is spelled there. */
struct hive_key {
	int64_t node;
	struct ff_strv names;
};

struct hive_keys {
	struct hive_key items[HIVE_KEYS_MAX];
	size_t count;
};

/* A value as it stands in the open hive. */
struct hive_value {
	bool there;
	uint32_t type;
	char *data;
	size_t len;
};

/** The keys that match. 0, or -1 with err; hive_keys_release() in both cases. */
int hive_find_keys(const struct appliance *a, const struct ff_strv *globs, struct hive_keys *found, struct ff_err *err);
void hive_keys_release(struct hive_keys *keys);

/** A value of the key; `value->data` is the caller's to free. 0 (it may not be there), or -1 with err. */
int hive_read_value(
	const struct appliance *a, int64_t node, const char *name, struct hive_value *value, struct ff_err *err);

/** Is the value as it is to be? */
bool hive_value_is(const struct hive_value *now, const struct recipe_value *value);

/** The directories of hives below a Windows root ("/Windows") of the mounted partition. 0, or -1 with err. */
int hive_find_config(const struct appliance *a, const char *root, struct ff_strv *dirs, struct ff_err *err);

/* ---- hive_file.c: hives that Windows was writing to when it stopped */

struct hive_file {
	const char *dir, *name;
	const struct ff_strv *names; /* all names in the directory: its logs are among them */
	/* while it is open */
	bool laid_over;
	size_t applied; /* entries of its logs that were applied for this look; 0: it was clean */
};

/** HIVE_CLEAN or HIVE_DIRTY. 0, or -1 with err: no hive, or its header is damaged. */
int hive_state(const struct appliance *a, const char *path, enum hive_state *state, struct ff_err *err);

/**
 * Open for looking, as Windows will see it: with its logs applied, in memory, when it is dirty. While it is open
 * nothing else of the directory can be reached.
 *
 * @partition  what is mounted at "/"
 */
int hive_open(const struct appliance *a, const char *partition, struct hive_file *f, struct ff_err *err);
int hive_close(const struct appliance *a, const struct hive_file *f, struct ff_err *err);

/** Apply the logs of a dirty hive in its file; a clean one is not touched. 0, or -1 with err. */
int hive_settle(const struct appliance *a, const struct hive_file *f, struct ff_err *err);

/** Append copies. */
void hive_copy_names(struct ff_strv *to, const struct ff_strv *from);

#endif
