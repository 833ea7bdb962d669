/* Which files a recipe takes, and keeping them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fixfleet/json.h"
#include "scan.h"
#include "tree.h"
#include "version.h"

#define VICTIMS_MAX	 16000
#define VICTIM_BYTES_MAX ((int64_t)1024 * 1024 * 1024) /* of one disk: they are all kept by the controller */
/* Their paths together go into one line to the controller, in JSON that may double them, with 150 bytes for each. */
#define VICTIM_TEXT_MAX (2 * 1024 * 1024)

/* ---------------------------------------------------------------- keeping */

static void send_pieces(struct scan *s, size_t index, const char *path, const char *bytes, size_t size)
{
	size_t at = 0;

	do { /* once for an empty file too */
		size_t piece = size - at < FF_KEEP_PIECE_BYTES ? size - at : FF_KEEP_PIECE_BYTES;

		outbox_keep(s->out, s->job, index, path, (int64_t)at, bytes + at, piece);
		at += piece;
	} while (at < size);
}

/* Its content goes to the controller piece by piece; the hash is of what was sent. */
static int keep_victim(struct scan *s, struct victim *v, struct ff_err *err)
{
	struct job *job = s->job;
	ff_auto_free char *real = tree_join(job->places[v->place].dir, v->name);
	ff_auto_free char *path = job_victim_path(job, v), *bytes = tree_read(s->a, real, v->size, err);

	if (bytes == NULL)
		return ff_wrap(err, "cannot keep '%s'", path);
	ff_sha256_hex(bytes, (size_t)v->size, v->sha256);
	if (job_keeps(v))
		send_pieces(s, job->kept_count++, path, bytes, (size_t)v->size);
	return 0;
}

int files_keep(struct scan *s, struct ff_err *err)
{
	for (size_t i = 0; i < s->job->victim_count; i++) {
		struct victim *v = &s->job->victims[i];

		if (!v->absent && ff_streq(s->job->places[v->place].partition, s->partition) &&
			keep_victim(s, v, err) < 0)
			return -1;
	}
	return 0;
}

/* ---------------------------------------------------------------- finding */

static bool same_deed(const struct victim *v, const struct recipe_rule *rule)
{
	if (rule == NULL || v->rule == NULL)
		return rule == v->rule;
	return rule->act == v->rule->act && ff_streq(rule->to, v->rule->to) &&
	       rule->content_len == v->rule->content_len &&
	       (rule->content_len == 0 || memcmp(rule->content, v->rule->content, rule->content_len) == 0);
}

/* Two entries may take the same file, when they want the same of it. Its number, -1: not there yet, -2 with err. */
static ssize_t find_victim(
	const struct job *job, size_t place, const char *name, const struct recipe_rule *rule, struct ff_err *err)
{
	const struct victim *v = job_victim(job, place, name);
	ff_auto_free char *path = NULL;

	if (v == NULL)
		return -1;
	if (same_deed(v, rule))
		return v - job->victims;
	path = job_victim_path(job, v);
	ff_fail(err, FF_E_DISK, "two entries of the recipes want different things of '%s': nothing was changed", path);
	return -2;
}

static int check_limits(struct scan *s, const struct victim *v, struct ff_err *err)
{
	struct job *job = s->job;
	ff_auto_free char *path = job_victim_path(job, v);

	s->text_bytes += strlen(path);
	job->victim_bytes += v->size > 0 && v->size <= FILE_BYTES_MAX ? v->size : 0;
	if (v->size < 0 || v->size > FILE_BYTES_MAX)
		return ff_fail(err, FF_E_DISK, "'%s' has %" PRId64 " bytes: too large to be kept, nothing was removed",
			path, v->size);
	if (job->victim_count > VICTIMS_MAX || job->victim_bytes > VICTIM_BYTES_MAX || s->text_bytes > VICTIM_TEXT_MAX)
		return ff_fail(err, FF_E_DISK,
			"too many files to remove (more than %d, or too large): nothing was removed", VICTIMS_MAX);
	return 0;
}

ssize_t files_add(struct scan *s, size_t place, const char *name, const struct guestfs_statns *st,
	const struct recipe_rule *rule, struct ff_err *err)
{
	struct job *job = s->job;
	ssize_t found = find_victim(job, place, name, rule, err);
	struct victim *v;

	if (found != -1)
		return found < 0 ? -1 : found;
	job->victims = ff_realloc(job->victims, job->victim_count + 1, sizeof(*job->victims));
	v = &job->victims[job->victim_count++];
	*v = (struct victim){.place = place,
		.name = ff_strdup(name),
		.rule = rule,
		.act = rule ? rule->act : RECIPE_EDIT,
		.absent = st == NULL};
	if (st != NULL) {
		v->size = st->st_size;
		v->mtime_s = st->st_mtime_sec;
		v->mtime_ns = st->st_mtime_nsec;
	}
	job_take(job, job->victim_count - 1);
	return check_limits(s, v, err) < 0 ? -1 : (ssize_t)job->victim_count - 1;
}

ssize_t files_place(struct scan *s, const char *dir, struct ff_err *err)
{
	struct job *job = s->job;
	struct place *p;

	for (size_t i = 0; i < job->place_count; i++)
		if (ff_streq(job->places[i].partition, s->partition) && ff_streq(job->places[i].dir, dir))
			return (ssize_t)i;
	job->places = ff_realloc(job->places, job->place_count + 1, sizeof(*job->places));
	p = &job->places[job->place_count++];
	*p = (struct place){.partition = ff_strdup(s->partition), .part_number = s->number, .dir = ff_strdup(dir)};
	if (tree_list(s->a, dir, &p->names, err) < 0)
		return -1;
	p->taken = ff_calloc(p->names.count + 1, sizeof(*p->taken));
	return (ssize_t)job->place_count - 1;
}

/* ---------------------------------------------------------------- conditions */

int files_version(const struct appliance *a, const char *path, int64_t size, int64_t *version)
{
	ff_auto_free char *head = NULL, *section = NULL;
	size_t got = 0;
	int64_t offset;
	uint32_t bytes;

	if (size < 2)
		return -1;
	head = guestfs_pread(a->g, path, VERSION_HEAD_BYTES, 0, &got);
	if (head == NULL || version_section((uint8_t *)head, got, &offset, &bytes) < 0)
		return -1;
	/* libguestfs takes less than 4 MiB in one message; the version stands at the section's begin or in its first
	 * MiB */
	section = guestfs_pread(a->g, path, (int)(bytes < 2 * 1024 * 1024 ? bytes : 2 * 1024 * 1024), offset, &got);
	return section != NULL ? version_find((uint8_t *)section, got, version) : -1;
}

/* Does the content fit? Reading it comes last, when all else fits. 1, 0, or -1 with err. */
static int content_fits(const struct scan *s, const struct recipe_when *when, const char *path,
	const struct guestfs_statns *st, struct ff_err *err)
{
	ff_auto_free char *bytes = NULL;
	char sha256[65];
	int64_t version;

	if (recipe_bounded(&when->version) &&
		(files_version(s->a, path, st->st_size, &version) < 0 || !recipe_in(&when->version, version)))
		return 0;
	if (when->sha256.count == 0)
		return 1;
	if (st->st_size > FILE_BYTES_MAX)
		return 0;
	bytes = tree_read(s->a, path, st->st_size, err);
	if (bytes == NULL)
		return -1;
	ff_sha256_hex(bytes, (size_t)st->st_size, sha256);
	return ff_strv_has(&when->sha256, sha256);
}

/* Files that are not taken, counted for what is said at the end. */
static void count_other(struct scan *s, const struct recipe_range *mtime, int64_t mtime_ms)
{
	if (!recipe_bounded(mtime) || recipe_in(mtime, mtime_ms)) {
		s->other++;
	} else if (mtime_ms < mtime->from) {
		s->older++;
	} else {
		s->good_ms = s->good == 0 || mtime_ms > s->good_ms ? mtime_ms : s->good_ms;
		s->good++;
	}
}

/* A rename must not meet a name that is there (in any case), or that another rename brings. */
static int check_new_name(const struct scan *s, size_t place, const char *to, struct ff_err *err)
{
	const struct ff_strv *names = &s->job->places[place].names;
	bool taken = false;

	for (size_t i = 0; i < names->count; i++)
		taken |= ff_strcaseeq(names->items[i], to);
	for (size_t i = 0; i < s->job->victim_count; i++) {
		const struct victim *v = &s->job->victims[i];

		taken |= v->place == place && v->act == RECIPE_RENAME && ff_strcaseeq(v->rule->to, to);
	}
	return taken ? ff_fail(err, FF_E_DISK, "cannot rename: there is a '%s' in '%s' already: nothing was changed",
			       to, s->job->places[place].dir)
		     : 0;
}

static int take(struct scan *s, const struct recipe_rule *rule, size_t place, const char *name,
	const struct guestfs_statns *st, struct ff_err *err)
{
	if (rule->act == RECIPE_RENAME && check_new_name(s, place, rule->to, err) < 0)
		return -1;
	return files_add(s, place, name, st, rule, err) < 0 ? -1 : 0;
}

static int judge(struct scan *s, const struct recipe_rule *rule, size_t place, const char *name,
	const struct guestfs_statns *st, struct ff_err *err)
{
	int64_t mtime_ms = st->st_mtime_sec * 1000 + st->st_mtime_nsec / 1000000;
	const struct recipe_when *when = &rule->when;
	ff_auto_free char *path = tree_join(s->job->places[place].dir, name);
	int fits = 0;

	if (!S_ISREG((mode_t)st->st_mode)) {
		ff_auto_free char *shown = ff_printable(path);

		scan_note(s->job, ff_printf("'%s' is not a regular file and stays", shown));
		return 0;
	}
	if (recipe_in(&when->mtime_ms, mtime_ms) && recipe_in(&when->size, st->st_size))
		fits = content_fits(s, when, path, st, err);
	if (fits == 0)
		count_other(s, &when->mtime_ms, mtime_ms);
	return fits > 0 ? take(s, rule, place, name, st, err) : fits;
}

/* A file that is to be there and is not. */
static int look_for_absent(struct scan *s, const struct recipe_rule *rule, size_t place, const struct ff_strv *matching,
	struct ff_err *err)
{
	if (matching->count > 0) {
		s->other += matching->count;
		return 0;
	}
	return files_add(s, place, rule->where.name, NULL, rule, err) < 0 ? -1 : 0;
}

static int look_in(struct scan *s, const struct recipe_rule *rule, const char *dir, struct ff_err *err)
{
	ssize_t place = files_place(s, dir, err);
	struct ff_strv matching = {0};
	struct guestfs_statns_list *stats = NULL;
	int rc;

	if (place < 0)
		return -1;
	free(s->looked_in);
	s->looked_in = ff_strdup(dir);
	rc = tree_match(s->a, dir, &s->job->places[place].names, rule->where.name, &matching, &stats, err);
	if (rc == 0 && rule->when.absent)
		rc = look_for_absent(s, rule, (size_t)place, &matching, err);
	for (size_t i = 0; rc == 0 && !rule->when.absent && i < matching.count; i++)
		rc = judge(s, rule, (size_t)place, matching.items[i], &stats->val[i], err);
	if (stats != NULL)
		guestfs_free_statns_list(stats);
	ff_strv_free(&matching);
	return rc;
}

int files_apply(struct scan *s, const struct recipe_rule *rule, struct ff_err *err)
{
	struct ff_strv dirs = {0};
	ff_auto_free char *missing = NULL;
	int rc;

	if (recipe_bounded(&rule->when.build) && (s->build < 0 || !recipe_in(&rule->when.build, s->build)))
		return 0;
	rc = tree_find(s->a, &rule->where.dirs, &dirs, &missing, err);
	for (size_t i = 0; rc == 0 && i < dirs.count; i++)
		rc = look_in(s, rule, dirs.items[i], err);
	if (missing != NULL && s->missing == NULL)
		s->missing = FF_STEAL(missing);
	ff_strv_free(&dirs);
	return rc;
}
