/*
 * Walking directories of the file system that is mounted at "/", without regard to case and without following anything.
 */
#ifndef DISKOPS_TREE_H
#define DISKOPS_TREE_H

#include "appliance.h"
#include "fixfleet/mem.h"

#define FILE_BYTES_MAX (64 * 1024 * 1024)

/**
 * The directories that these segments (globs) lead to from "/". Real directories only: what is a link, junction or
 * other reparse point is not entered, it may lead anywhere.
 *
 * @missing  when there are none: which segment is missing where, for people ("no X directory in /Y"); the caller frees
 * @return   0 (found may be empty), or -1 with err
 */
int tree_find(const struct appliance *a, const struct ff_strv *segments, struct ff_strv *found, char **missing,
	struct ff_err *err);

/** All names in the directory, sorted; may be any bytes but '/' and NUL. 0, or -1 with err. */
int tree_list(const struct appliance *a, const char *dir, struct ff_strv *names, struct ff_err *err);

/** The same for the names that match the glob, taken from a list; with what they are. `*stats` is freed by the caller
 * with guestfs_free_statns_list(); NULL when nothing matches. */
int tree_match(const struct appliance *a, const char *dir, const struct ff_strv *names, const char *glob,
	struct ff_strv *matching, struct guestfs_statns_list **stats, struct ff_err *err);

/** "dir/name", "/name" in the root. The caller frees. */
char *tree_join(const char *dir, const char *name);

/**
 * The whole content of a regular file of that size, at most FILE_BYTES_MAX. The caller frees. NULL with err, also when
 * the file turns out to have another size.
 */
char *tree_read(const struct appliance *a, const char *path, int64_t size, struct ff_err *err);

#endif
