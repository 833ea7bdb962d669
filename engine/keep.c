/*
 * What the worker removes is kept first: its pieces go to the run's quarantine, in order and whole, and the list at
 * their end must be exactly what came. Then, and when the record of it is durable, "kept" is said.
 */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#define FILES_MAX	65536
#define PIECE_BYTES_MAX (512 * 1024)
#define KEPT_BYTES_MAX	((int64_t)4 << 30) /* of one VM */

void ff_keep_reset(struct ff_job *job)
{
	json_decref(job->keeping);
	json_decref(job->manifest);
	EVP_MD_CTX_free(job->digest);
	job->keeping = job->manifest = NULL;
	job->digest = NULL;
	job->kept_bytes = 0;
	job->begun = job->kept_sent = job->mended = false;
}

void ff_keep_forget(struct ff_engine *e, struct ff_job *job)
{
	struct ff_job **link = &e->kept_head, *last = NULL;

	for (; *link != NULL; last = *link, link = &(*link)->next_kept) {
		if (*link != job)
			continue;
		*link = job->next_kept;
		if (e->kept_tail == job)
			e->kept_tail = last;
		return;
	}
}

/* Names the VM's folder in the quarantine; the world makes it safe. What was kept before a crash stays as it is. */
static char *key_of(const struct ff_one *one)
{
	if (one->kept_times > 0)
		return ff_printf("%u-%s.%u", one->number, one->vm->name, one->kept_times + 1);
	return ff_printf("%u-%s", one->number, one->vm->name);
}

static bool lists(const json_t *files, const char *path)
{
	const json_t *file;
	size_t i;

	json_array_foreach ((json_t *)files, i, file)
		if (ff_streq(ff_json_str(file, "path"), path))
			return true;
	return false;
}

json_t *ff_kept_with(const json_t *before, const json_t *now)
{
	json_t *all = json_array(), *file;
	size_t i;

	json_array_foreach ((json_t *)before, i, file)
		if (!lists(now, ff_json_str(file, "path")))
			json_array_append(all, file);
	json_array_extend(all, (json_t *)now);
	return all;
}

/* The digest of the file that just ended goes to its entry. */
static void end_file(struct ff_job *job)
{
	json_t *entry = json_array_get(job->keeping, json_array_size(job->keeping) - 1);
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char hex[2 * EVP_MAX_MD_SIZE + 1] = "";

	if (entry == NULL || job->digest == NULL)
		return;
	if (EVP_DigestFinal_ex(job->digest, sum, &len) != 1)
		ff_oom();
	for (unsigned i = 0; i < len; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", sum[i]);
	EVP_MD_CTX_free(job->digest);
	job->digest = NULL;
	ff_json_set_str(entry, "sha256", hex);
}

static void begin_file(struct ff_job *job, const char *path)
{
	json_t *entry = json_object();

	end_file(job);
	ff_json_set_str(entry, "path", path);
	ff_json_set_int(entry, "size", 0);
	json_array_append_new(job->keeping, entry);
	job->digest = EVP_MD_CTX_new();
	if (job->digest == NULL || EVP_DigestInit_ex(job->digest, EVP_sha256(), NULL) != 1)
		ff_oom();
}

/* Does this piece follow what came before? Its entry, begun when it is the first of its file; NULL: it does not. */
static json_t *entry_for(struct ff_job *job, int64_t index, int64_t offset, const char *path)
{
	int64_t count;
	json_t *last;

	if (job->keeping == NULL)
		job->keeping = json_array();
	count = (int64_t)json_array_size(job->keeping);
	if (index == count && offset == 0 && count < FILES_MAX) {
		begin_file(job, path);
		return json_array_get(job->keeping, (size_t)index);
	}
	last = count > 0 && index == count - 1 ? json_array_get(job->keeping, (size_t)index) : NULL;
	if (last == NULL || ff_json_int(last, "size", -1) != offset || !ff_streq(ff_json_str(last, "path"), path))
		return NULL;
	return last;
}

void ff_keep_piece(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	const char *path = ff_json_str(line, "path"), *data = ff_json_str(line, "data");
	int64_t index = ff_json_int(line, "index", -1), offset = ff_json_int(line, "offset", -1);
	ff_auto_free char *key = key_of(job->one);
	ff_auto_free void *bytes = NULL;
	struct ff_err err = {0};
	json_t *entry = NULL;
	size_t len = 0;

	if (job->manifest == NULL && path != NULL && data != NULL && offset >= 0)
		bytes = data[0] != '\0' ? ff_base64_decode(data, &len) : ff_calloc(1, 1);
	if (bytes != NULL && len <= PIECE_BYTES_MAX && job->kept_bytes + (int64_t)len <= KEPT_BYTES_MAX)
		entry = entry_for(job, index, offset, path);
	if (entry == NULL) {
		job->hung = true;
		ff_worker_distrust(e, job->worker, "job %u: a piece of a file that cannot be", job->one->number);
		return;
	}
	if (job->dropped)
		return;
	if (EVP_DigestUpdate(job->digest, bytes, len) != 1)
		ff_oom();
	ff_json_set_int(entry, "size", offset + (int64_t)len);
	job->kept_bytes += (int64_t)len;
	if (e->world->keep(e->world->self, key, (unsigned)index, path, offset, bytes, len, &err) < 0) {
		ff_wrap(&err, "cannot keep '%s'", path);
		ff_job_give_up(e, job, err.text);
	}
}

/* Is this list what was kept, file by file? A new array of it, or NULL. */
static json_t *manifest_of(struct ff_job *job, const json_t *files)
{
	json_t *manifest = json_array(), *entry;
	size_t i;

	end_file(job);
	/* nothing to keep is fine: a recipe may only change settings */
	if (!json_is_array(files) || json_array_size(files) != json_array_size(job->keeping))
		goto wrong;
	json_array_foreach ((json_t *)files, i, entry) {
		const json_t *kept = json_array_get(job->keeping, i);
		json_t *item = json_object();

		json_array_append_new(manifest, item);
		if (!ff_streq(ff_json_str(entry, "path"), ff_json_str(kept, "path")) ||
			ff_json_int(entry, "size", -1) != ff_json_int(kept, "size", -2) ||
			!ff_strcaseeq(ff_json_str(entry, "sha256"), ff_json_str(kept, "sha256")))
			goto wrong;
		ff_json_set_str(item, "path", ff_json_str(entry, "path"));
		ff_json_set_int(item, "size", ff_json_int(entry, "size", 0));
		ff_json_set_str(item, "mtime", ff_json_str(entry, "mtime"));
		ff_json_set_str(item, "sha256", ff_json_str(kept, "sha256"));
	}
	return manifest;
wrong:
	json_decref(manifest);
	return NULL;
}

void ff_keep_end(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	ff_auto_free char *key = key_of(job->one);
	struct ff_err err = {0};
	json_t *record;

	if (job->manifest != NULL || (job->manifest = manifest_of(job, ff_json_at(line, "files"))) == NULL) {
		job->hung = true;
		ff_worker_distrust(e, job->worker, "job %u: the list of files is not what was sent", job->one->number);
		return;
	}
	if (job->dropped)
		return;
	if (e->world->keep_sync(e->world->self, key, job->manifest, &err) < 0) {
		ff_wrap(&err, "cannot keep the removed files");
		ff_job_give_up(e, job, err.text);
		return;
	}
	record = ff_record_new("keep-end", job->one);
	ff_json_set_new(record, "files", json_deep_copy(job->manifest));
	ff_record(e, record);
	job->next_kept = NULL;
	if (e->kept_tail != NULL)
		e->kept_tail->next_kept = job;
	else
		e->kept_head = job;
	e->kept_tail = job;
}

void ff_jobs_say_kept(struct ff_engine *e)
{
	struct ff_job *job;

	while ((job = e->kept_head) != NULL) {
		ff_auto_json json_t *line = json_object();
		char number[16];
		struct ff_err err;

		e->kept_head = job->next_kept;
		if (e->kept_head == NULL)
			e->kept_tail = NULL;
		snprintf(number, sizeof(number), "%u", job->one->number);
		ff_json_set_str(line, "op", "kept");
		ff_json_set_str(line, "job", number);
		job->kept_sent = true; /* also when it may not have been heard */
		ff_worker_say(e, job->worker, line, &err);
	}
}
