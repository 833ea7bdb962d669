#include "bitlocker.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/secret.h"
#include "fve_key.h"
#include "nbd.h"
#include "table.h"

#define NAMED_MAX 6 /* protectors named in a text */

/* ---------------------------------------------------------------- reading the disk */

struct window {
	struct store *store;
	uint64_t at;
};

static int read_window(void *arg, uint64_t offset, void *bytes, size_t len, struct ff_err *err)
{
	const struct window *w = arg;
	int rc = store_read(w->store, w->at + offset, bytes, len);

	return rc == 0 ? 0 : ff_fail(err, FF_E_DISK, "cannot read it: %s", strerror(rc));
}

/* ---------------------------------------------------------------- finding */

static void explain(struct locked *l, char *why_owned)
{
	free(l->why);
	l->why = why_owned;
}

/* "recovery-password dc1b...". The caller frees. */
static char *protectors_text(const struct fve *fve)
{
	struct ff_buf text = {0};

	for (size_t i = 0; i < fve->protector_count && i < NAMED_MAX; i++)
		ff_buf_addf(&text, "%s%s %s", i > 0 ? ", " : "", fve_kind_name(fve->protectors[i].kind),
			fve->protectors[i].id);
	if (fve->protector_count > NAMED_MAX)
		ff_buf_addf(&text, " and %zu more", fve->protector_count - NAMED_MAX);
	return ff_buf_take(&text);
}

static bool opens_with_key(const struct fve_protector *p)
{
	return p->kind == FVE_RECOVERY_PASSWORD || p->kind == FVE_STARTUP_KEY;
}

static bool any_opens_with_key(const struct fve *fve)
{
	for (size_t i = 0; i < fve->protector_count; i++)
		if (opens_with_key(&fve->protectors[i]))
			return true;
	return false;
}

static void judge(struct locked *l)
{
	ff_auto_free char *protectors = protectors_text(&l->fve);

	if (l->fve.state == FVE_CONVERTING)
		explain(l, ff_strdup("its encryption or decryption is under way: let Windows finish it"));
	else if (l->fve.state != FVE_ENCRYPTED)
		explain(l, ff_printf("its state (%s) is not supported", fve_state_name(l->fve.state)));
	else if (fve_clear(&l->fve) == NULL && !any_opens_with_key(&l->fve))
		explain(l, ff_printf("no recovery password or startup key opens it (protectors: %s)", protectors));
	else if (fve_clear(&l->fve) == NULL)
		explain(l, ff_printf("no key was given (protectors: %s)", protectors));
}

static void look_at(struct job *job, struct store *store, const struct table_part *part)
{
	struct window w = {.store = store, .at = part->start_bytes};
	uint8_t boot[512];
	struct locked *l;
	struct ff_err err;

	if (part->size_bytes < sizeof(boot) || read_window(&w, 0, boot, sizeof(boot), &err) < 0 || !fve_is_one(boot) ||
		job->locked_count >= BITLOCKER_VOLUMES_MAX)
		return;
	job->locked = ff_realloc(job->locked, job->locked_count + 1, sizeof(*job->locked));
	l = &job->locked[job->locked_count++];
	*l = (struct locked){.part_number = part->number, .at = part->start_bytes};
	l->readable = fve_parse(&l->fve, read_window, &w, part->size_bytes, &err) == 0;
	if (l->readable)
		judge(l);
	else
		explain(l, ff_printf("no key was given (%s)", err.text));
}

void bitlocker_find(struct job *job)
{
	struct table table;
	struct ff_err err;
	struct store *store = store_open(job, false, &err);
	struct window w = {.store = store};
	const struct table_part *part = NULL, whole = {.size_bytes = store ? store_bytes(store) : 0};

	if (store == NULL) {
		job->store_why = ff_printf("could not be looked at: %s", err.text);
		return;
	}
	if (table_read(&table, read_window, &w, whole.size_bytes, &err) == 0) {
		part = table_next(&table, NULL, whole.size_bytes);
		if (part == NULL)
			look_at(job, store, &whole);
	}
	for (; part != NULL; part = table_next(&table, part, whole.size_bytes))
		look_at(job, store, part);
	store_close(store);
}

const char *bitlocker_why(const struct job *job, unsigned part_number)
{
	const struct locked *l = bitlocker_volume(job, part_number);

	if (l == NULL && job->store_why != NULL)
		return job->store_why;
	return l != NULL && l->why != NULL ? l->why : "no key was given";
}

const struct locked *bitlocker_volume(const struct job *job, unsigned part_number)
{
	for (size_t i = 0; i < job->locked_count; i++)
		if (job->locked[i].part_number == part_number)
			return &job->locked[i];
	return NULL;
}

/* ---------------------------------------------------------------- asking for keys */

static json_t *protectors_json(const struct fve *fve)
{
	json_t *list = json_array();

	for (size_t i = 0; i < fve->protector_count; i++) {
		json_t *p = json_object();

		ff_json_set_str(p, "id", fve->protectors[i].id);
		ff_json_set_str(p, "kind", fve_kind_name(fve->protectors[i].kind));
		if (json_array_append_new(list, p) != 0)
			ff_oom();
	}
	return list;
}

bool bitlocker_ask(struct outbox *out, struct job *job)
{
	bool asked = false;

	for (size_t i = 0; job->keys && i < job->locked_count; i++) {
		struct locked *l = &job->locked[i];
		json_t *event;

		if (!l->readable || l->fve.state != FVE_ENCRYPTED || fve_clear(&l->fve) != NULL ||
			!any_opens_with_key(&l->fve))
			continue;
		event = outbox_event("key-wanted", job);
		ff_json_set_int(event, "volume", (int64_t)i);
		ff_json_set_int(event, "partition", l->part_number);
		ff_json_set_str(event, "volume_id", l->fve.id);
		ff_json_set_new(event, "protectors", protectors_json(&l->fve));
		l->wants_key = asked = true;
		outbox_send(out, event);
	}
	return asked;
}

static void forget_keys(struct locked *l)
{
	for (size_t i = 0; i < l->key_count; i++)
		ff_secret_free(l->keys[i].text);
	l->key_count = 0;
}

static void take_keys(struct locked *l, const json_t *keys)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (keys, i, entry) {
		const char *text = ff_json_str(entry, "key"), *id = ff_json_str(entry, "protector");
		struct locked_key *k;

		if (text == NULL || l->key_count >= BITLOCKER_KEYS_MAX)
			continue;
		k = &l->keys[l->key_count++];
		*k = (struct locked_key){.text = ff_secret_strdup(text)};
		for (size_t c = 0; id != NULL && id[c] != '\0' && c + 1 < sizeof(k->protector); c++)
			k->protector[c] = id[c] >= 'A' && id[c] <= 'F' ? (char)(id[c] - 'A' + 'a') : id[c];
	}
}

bool bitlocker_take(struct job *job, const json_t *line)
{
	int64_t number = ff_json_int(line, "volume", -1);
	const char *reason = ff_json_str(line, "reason");
	struct locked *l;

	if (number < 0 || number >= (int64_t)job->locked_count || !job->locked[number].wants_key)
		return false;
	l = &job->locked[number];
	l->wants_key = false;
	take_keys(l, json_object_get(line, "keys"));
	if (l->key_count == 0 && reason != NULL) {
		ff_auto_free char *protectors = protectors_text(&l->fve), *clean = ff_printable(reason);

		explain(l, ff_printf("no key was given: %.300s (protectors: %s)", clean, protectors));
	}
	return true;
}

bool bitlocker_waits(const struct job *job)
{
	for (size_t i = 0; i < job->locked_count; i++)
		if (job->locked[i].wants_key)
			return true;
	return false;
}

void bitlocker_give_up(struct job *job, const char *why)
{
	for (size_t i = 0; i < job->locked_count; i++) {
		struct locked *l = &job->locked[i];
		ff_auto_free char *protectors = NULL;

		if (!l->wants_key)
			continue;
		protectors = protectors_text(&l->fve);
		l->wants_key = false;
		explain(l, ff_printf("no key was given: %s (protectors: %s)", why, protectors));
	}
}

/* ---------------------------------------------------------------- opening */

/* May this key be for that protector? A startup key says so itself; what the controller named counts. */
static bool may_open(const struct locked_key *k, const struct fve_protector *p)
{
	uint8_t digits[16];
	bool recovery = fve_recovery_password(k->text, digits);

	ff_wipe(digits, sizeof(digits));
	if (k->protector[0] != '\0' && strcmp(k->protector, p->id) != 0)
		return false;
	return p->kind == (recovery ? FVE_RECOVERY_PASSWORD : FVE_STARTUP_KEY);
}

/* The first key that opens a protector. NULL with the last reason why not. */
static struct fve_key *unlock(const struct locked *l, const struct fve_protector **with, struct ff_err *err)
{
	struct fve_key *key = NULL;

	*with = fve_clear(&l->fve);
	if (*with != NULL && fve_unlock(&l->fve, *with, NULL, &key, err) == 0)
		return key;
	if (*with == NULL)
		ff_fail(err, FF_E_AUTH, "the key that was given is for none of its protectors");
	for (size_t k = 0; k < l->key_count; k++)
		for (size_t i = 0; i < l->fve.protector_count; i++) {
			*with = &l->fve.protectors[i];
			if (may_open(&l->keys[k], *with) && fve_unlock(&l->fve, *with, l->keys[k].text, &key, err) == 0)
				return key;
		}
	return NULL;
}

static int serve(struct job *job, struct locked *l, const struct fve_key *key, struct ff_err *err)
{
	if (job->store == NULL)
		job->store = store_open(job, !job->scan_only, err);
	if (job->store == NULL)
		return -1;
	l->plain = volume_new(job->store, l->at, &l->fve, key, err);
	if (l->plain != NULL)
		l->server = nbd_start(l->plain, job->scan_only, err);
	return l->server != NULL ? 0 : -1;
}

static void lock(struct locked *l)
{
	nbd_stop(l->server);
	volume_free(l->plain);
	free(l->device);
	l->server = NULL;
	l->plain = NULL;
	l->device = NULL;
}

static void open_one(struct outbox *out, struct job *job, struct locked *l)
{
	const struct fve_protector *with = NULL;
	struct ff_err err = {0};
	struct fve_key *key = unlock(l, &with, &err);
	bool open = key != NULL && serve(job, l, key, &err) == 0;

	ff_secret_free(key);
	forget_keys(l);
	if (open) {
		free(l->why);
		l->why = NULL;
		outbox_stage(out, job, "BitLocker volume on partition %u opened with its %s %s", l->part_number,
			fve_kind_name(with->kind), with->id);
	} else {
		ff_auto_free char *protectors = protectors_text(&l->fve);

		lock(l);
		explain(l, ff_printf("%s (protectors: %s)", err.text, protectors));
	}
}

void bitlocker_open(struct outbox *out, struct job *job)
{
	for (size_t i = 0; i < job->locked_count; i++) {
		struct locked *l = &job->locked[i];
		bool suspended = l->readable && l->fve.state == FVE_ENCRYPTED && fve_clear(&l->fve) != NULL;

		if (l->server == NULL && (suspended || l->key_count > 0))
			open_one(out, job, l);
	}
}

/* ---------------------------------------------------------------- closing */

static void close_store(struct job *job)
{
	store_close(job->store);
	job->store = NULL;
}

int bitlocker_close(struct job *job, struct ff_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < job->locked_count; i++) {
		struct locked *l = &job->locked[i];

		if (l->server != NULL) {
			nbd_stop(l->server); /* its thread is gone: the volume is ours again */
			l->server = NULL;
			if (!job->scan_only && volume_flush(l->plain) != 0)
				rc = ff_fail(err, FF_E_DISK, "cannot flush the disk: %m");
			if (volume_broken(l->plain))
				rc = ff_fail(err, FF_E_DISK,
					"the BitLocker volume on partition %u could not be written", l->part_number);
		}
		lock(l);
	}
	close_store(job);
	return rc;
}

void bitlocker_forget(struct job *job)
{
	for (size_t i = 0; i < job->locked_count; i++) {
		lock(&job->locked[i]);
		forget_keys(&job->locked[i]);
		free(job->locked[i].why);
	}
	close_store(job);
	free(job->store_why);
	job->store_why = NULL;
	free(job->locked);
	job->locked = NULL;
	job->locked_count = 0;
}
