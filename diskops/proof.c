#include "proof.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "registry.h"
#include "tree.h"

static bool has_hash(const struct appliance *a, const char *path, int64_t size, const struct ff_strv *hashes)
{
	struct ff_err ignored;
	ff_auto_free char *bytes = tree_read(a, path, size, &ignored);
	char sha256[65];

	if (bytes == NULL)
		return false;
	ff_sha256_hex(bytes, (size_t)size, sha256);
	return ff_strv_has(hashes, sha256);
}

/* The files in one directory: how many match, and is one of them of another hash? */
static int look_in(const struct appliance *a, const struct recipe_proof *proof, const char *dir, size_t *count,
	bool *other, struct ff_err *err)
{
	struct ff_strv names = {0}, matching = {0};
	struct guestfs_statns_list *stats = NULL;
	int rc = tree_list(a, dir, &names, err);

	if (rc == 0)
		rc = tree_match(a, dir, &names, proof->where.name, &matching, &stats, err);
	for (size_t i = 0; rc == 0 && i < matching.count; i++) {
		ff_auto_free char *path = tree_join(dir, matching.items[i]);

		if (!S_ISREG((mode_t)stats->val[i].st_mode))
			continue;
		++*count;
		*other |= proof->kind == PROOF_SHA256 && !has_hash(a, path, stats->val[i].st_size, &proof->sha256);
	}
	if (stats != NULL)
		guestfs_free_statns_list(stats);
	ff_strv_free(&names);
	ff_strv_free(&matching);
	return rc;
}

static int check_files(const struct appliance *a, const struct recipe_proof *proof, struct ff_err *err)
{
	struct ff_strv dirs = {0};
	ff_auto_free char *missing = NULL;
	size_t count = 0;
	bool other = false;
	int rc = tree_find(a, &proof->where.dirs, &dirs, &missing, err);

	for (size_t i = 0; rc == 0 && i < dirs.count; i++)
		rc = look_in(a, proof, dirs.items[i], &count, &other, err);
	ff_strv_free(&dirs);
	if (rc == 0 && proof->kind == PROOF_ABSENT && count > 0)
		rc = ff_fail(err, FF_E_DISK, "%zu files '%s' are there", count, proof->where.name);
	if (rc == 0 && proof->kind == PROOF_SHA256 && (count == 0 || other))
		rc = ff_fail(
			err, FF_E_DISK, "'%s' is %s", proof->where.name, count == 0 ? "not there" : "another file");
	return rc;
}

static int check_value(const struct appliance *a, const struct job *job, const char *partition,
	const struct recipe_value *value, struct ff_err *err)
{
	for (size_t i = 0; i < job->root_count; i++) {
		int holds = 1;

		if (ff_streq(job->roots[i].partition, partition))
			holds = registry_holds(a, partition, job->roots[i].dir, value, err);
		if (holds < 0)
			return -1;
		if (holds == 0)
			return ff_fail(err, FF_E_DISK, "value %s of %s in %s is not as it is to be", value->name,
				value->keys.items[value->keys.count - 1], value->hive);
	}
	return 0;
}

int proof_check(const struct appliance *a, const struct job *job, const char *partition, struct ff_err *err)
{
	for (size_t r = 0; r < job->recipe_count; r++) {
		const struct recipe *recipe = &job->recipes[r];

		for (size_t i = 0; i < recipe->proof_count; i++) {
			const struct recipe_proof *proof = &recipe->proofs[i];
			int rc = proof->kind == PROOF_VALUE ? check_value(a, job, partition, &proof->value, err)
							    : check_files(a, proof, err);

			if (rc < 0)
				return ff_wrap(err, "the recipe's proof %zu does not hold", i);
		}
	}
	return 0;
}
