#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DIRS_MAX      64 /* that one pattern may lead to */
#define MATCHES_MAX   16000
#define READ_BYTES    (2 * 1024 * 1024) /* libguestfs takes at most 4 MiB in one message */
#define NS_PER_SECOND 1000000000

char *tree_join(const char *dir, const char *name)
{
	return ff_printf("%s%s%s", dir, ff_has_suffix(dir, "/") ? "" : "/", name);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int tree_list(const struct appliance *a, const char *dir, struct ff_strv *names, struct ff_err *err)
{
	char **list = guestfs_ls(a->g, dir);

	if (list == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot list a directory");
	for (char **name = list; *name != NULL; name++)
		ff_strv_add(names, *name);
	appliance_free_list(list);
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(*names->items), by_text);
	return 0;
}

/* Times of a hostile file system may be anything; keep them where arithmetic works. */
static void tame(struct guestfs_statns *st)
{
	const int64_t limit = (int64_t)1 << 40;

	if (st->st_mtime_sec > limit)
		st->st_mtime_sec = limit;
	if (st->st_mtime_sec < -limit)
		st->st_mtime_sec = -limit;
	if (st->st_mtime_nsec < 0 || st->st_mtime_nsec >= NS_PER_SECOND)
		st->st_mtime_nsec = 0;
}

int tree_match(const struct appliance *a, const char *dir, const struct ff_strv *names, const char *glob,
	struct ff_strv *matching, struct guestfs_statns_list **stats, struct ff_err *err)
{
	*stats = NULL;
	for (size_t i = 0; i < names->count; i++)
		if (ff_glob(glob, names->items[i]))
			ff_strv_add(matching, names->items[i]);
	if (matching->count == 0)
		return 0;
	if (matching->count > MATCHES_MAX)
		return ff_fail(err, FF_E_DISK, "more than %d names match '%s'", MATCHES_MAX, glob);
	*stats = guestfs_lstatnslist(a->g, dir, matching->items);
	if (*stats == NULL)
		return appliance_fail(a, err, FF_E_DISK, "cannot look at files");
	if ((*stats)->len != matching->count) {
		guestfs_free_statns_list(*stats);
		*stats = NULL;
		return ff_fail(err, FF_E_BUG, "libguestfs looked at another number of files");
	}
	for (size_t i = 0; i < matching->count; i++)
		tame(&(*stats)->val[i]);
	return 0;
}

/* The directories in `dir` that match one segment, appended to `found`. */
static int step_into(
	const struct appliance *a, const char *dir, const char *glob, struct ff_strv *found, struct ff_err *err)
{
	struct ff_strv names = {0}, matching = {0};
	struct guestfs_statns_list *stats = NULL;
	int rc = tree_list(a, dir, &names, err);

	if (rc == 0)
		rc = tree_match(a, dir, &names, glob, &matching, &stats, err);
	for (size_t i = 0; rc == 0 && stats != NULL && i < matching.count; i++) {
		ff_auto_free char *path = tree_join(dir, matching.items[i]);

		if (!S_ISDIR((mode_t)stats->val[i].st_mode))
			continue;
		if (found->count >= DIRS_MAX)
			rc = ff_fail(err, FF_E_DISK, "more than %d directories match '%s'", DIRS_MAX, glob);
		else
			ff_strv_add(found, path);
	}
	if (stats != NULL)
		guestfs_free_statns_list(stats);
	ff_strv_free(&names);
	ff_strv_free(&matching);
	return rc;
}

int tree_find(const struct appliance *a, const struct ff_strv *segments, struct ff_strv *found, char **missing,
	struct ff_err *err)
{
	ff_strv_add(found, "/");
	for (size_t i = 0; i < segments->count; i++) {
		struct ff_strv next = {0};

		for (size_t k = 0; k < found->count; k++)
			if (step_into(a, found->items[k], segments->items[i], &next, err) < 0) {
				ff_strv_free(&next);
				return -1;
			}
		if (next.count == 0)
			*missing = ff_printf("no %s directory in %s", segments->items[i], found->items[0]);
		ff_strv_free(found);
		*found = next;
		if (next.count == 0)
			return 0;
	}
	return 0;
}

char *tree_read(const struct appliance *a, const char *path, int64_t size, struct ff_err *err)
{
	ff_auto_free char *bytes = NULL;
	int64_t at = 0;

	if (size < 0 || size > FILE_BYTES_MAX) {
		ff_fail(err, FF_E_DISK, "%lld bytes, more than the %d that can be kept", (long long)size,
			FILE_BYTES_MAX);
		return NULL;
	}
	bytes = ff_calloc((size_t)size + 1, 1);
	while (at <= size) { /* once beyond its end: it must really end there */
		int want = size - at < READ_BYTES ? (int)(size - at) + 1 : READ_BYTES;
		size_t got = 0;
		ff_auto_free char *piece = guestfs_pread(a->g, path, want, at, &got);

		if (piece == NULL) {
			appliance_fail(a, err, FF_E_DISK, "cannot read");
			return NULL;
		}
		if (got == 0)
			break;
		if ((int64_t)got > size - at) {
			ff_fail(err, FF_E_DISK, "longer than its size says");
			return NULL;
		}
		memcpy(bytes + at, piece, got);
		at += (int64_t)got;
		if (at == size && got < (size_t)want)
			break; /* a short read: the end was seen */
	}
	if (at != size) {
		ff_fail(err, FF_E_DISK, "shorter than its size says");
		return NULL;
	}
	return FF_STEAL(bytes);
}
