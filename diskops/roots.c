/* Where Windows is on the mounted file system, and which. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scan.h"
#include "tree.h"

#define ROOTS_MAX 16

char *scan_part_name(unsigned number)
{
	return number == 0 ? ff_strdup("the whole disk") : ff_printf("partition %u", number);
}

static void add_root(struct scan *s, const char *dir)
{
	struct job *job = s->job;
	ff_auto_free char *part = scan_part_name(s->number);

	ff_strv_add(&s->roots, dir);
	if (job->root_count < ROOTS_MAX) {
		ff_strv_addf(&job->windows, "%s on %s", dir, part);
		job->roots = ff_realloc(job->roots, job->root_count + 1, sizeof(*job->roots));
		job->roots[job->root_count++] =
			(struct root){.partition = ff_strdup(s->partition), .dir = ff_strdup(dir)};
	}
	outbox_stage(s->out, job, "windows root %s on %s", dir, part);
}

/* Windows roots on the mounted file system: directories that hold a System32, any case. */
int roots_find(struct scan *s, struct ff_err *err)
{
	struct ff_strv way = {0}, dirs = {0};
	ff_auto_free char *missing = NULL;
	int rc;

	ff_strv_add(&way, "Windows");
	ff_strv_add(&way, "System32");
	rc = tree_find(s->a, &way, &dirs, &missing, err);
	for (size_t i = 0; rc == 0 && i < dirs.count; i++) {
		char *last = strrchr(dirs.items[i], '/');

		*last = '\0';
		if (i > 0 && strcmp(dirs.items[i], dirs.items[i - 1]) == 0)
			continue; /* two spellings of System32 in one Windows */
		add_root(s, dirs.items[i]);
	}
	ff_strv_free(&way);
	ff_strv_free(&dirs);
	return rc;
}

static bool build_wanted(const struct job *job)
{
	for (size_t i = 0; i < job->recipe_count; i++)
		if (job->recipes[i].needs_build)
			return true;
	return false;
}

int roots_version(const struct appliance *a, const char *root, int64_t *version, struct ff_err *err)
{
	struct ff_strv way = {0}, dirs = {0}, names = {0}, matching = {0};
	struct guestfs_statns_list *stats = NULL;
	ff_auto_free char *missing = NULL;
	int rc;

	*version = -1;
	ff_strv_add(&way, root + 1);
	ff_strv_add(&way, "System32");
	rc = tree_find(a, &way, &dirs, &missing, err);
	if (rc == 0 && dirs.count > 0)
		rc = tree_list(a, dirs.items[0], &names, err);
	if (rc == 0 && dirs.count > 0)
		rc = tree_match(a, dirs.items[0], &names, "ntoskrnl.exe", &matching, &stats, err);
	if (rc == 0 && matching.count > 0 && S_ISREG((mode_t)stats->val[0].st_mode)) {
		ff_auto_free char *path = tree_join(dirs.items[0], matching.items[0]);

		if (files_version(a, path, stats->val[0].st_size, version) < 0)
			*version = -1;
	}
	if (stats != NULL)
		guestfs_free_statns_list(stats);
	ff_strv_free(&way);
	ff_strv_free(&dirs);
	ff_strv_free(&names);
	ff_strv_free(&matching);
	return rc;
}

int roots_find_build(struct scan *s, struct ff_err *err)
{
	int64_t version;

	if (!build_wanted(s->job))
		return 0;
	if (roots_version(s->a, s->roots.items[0], &version, err) < 0)
		return -1;
	if (version >= 0)
		s->build = version >> 16 & 0xffff; /* the third part */
	else
		scan_note(s->job,
			ff_printf("the build of %s is not known: what asks for it is left out", s->roots.items[0]));
	return 0;
}
