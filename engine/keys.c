/*
 * Keys for encrypted volumes. The worker says which volume is closed and who protects it ("key-wanted"); the sources of
 * config.keys and those of the VM's cloud are asked in order, and the first that has a key answers for all. So keys are
 * fetched for those disks only that need them. What the worker says is hostile until parsed; keys go to its stdin and
 * nowhere else.
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUESTIONS_MAX 16	      /* of one source for one volume */
#define PATIENCE_MS   (4 * 60 * 1000) /* less than the worker has */

/* One volume's keys being looked for. */
struct ff_hunt {
	struct ff_hunt *next, **link;
	unsigned number, volume; /* of the VM, and of the volume on its disk */
	const struct ff_vm *vm;
	struct ff_scope *scope;
	struct ff_worker *worker;
	char *volume_id;
	struct ff_key_want want;
	size_t source;
	unsigned step;
	json_t *state; /* of the cloud's key store that is being asked; NULL at first */
	int64_t until_ms;
	struct ff_buf refusals; /* why each source had none */
};

static void hunt_free(struct ff_hunt *h)
{
	*h->link = h->next;
	if (h->next != NULL)
		h->next->link = h->link;
	ff_buf_free(&h->refusals);
	json_decref(h->state);
	free(h->volume_id);
	free(h);
}

void ff_hunts_free(struct ff_engine *e)
{
	while (e->hunts != NULL)
		hunt_free(e->hunts);
}

/* ---------------------------------------------------------------- the sources, in their order */

/*
 * Those of the configuration, then the key stores that the VM's cloud has of its own, then its secret store under a
 * name: sources are numbered through.
 */
static size_t store_count(const struct ff_scope *scope)
{
	const struct ff_key_store *stores = scope->provider->key_stores;
	size_t n = 0;

	while (stores != NULL && stores[n].name != NULL)
		n++;
	return n;
}

static size_t source_count(const struct ff_engine *e, const struct ff_hunt *h)
{
	return e->key_source_count + store_count(h->scope) + (e->key_secret != NULL);
}

/* The cloud's key store whose turn it is; NULL: it is another source's. */
static const struct ff_key_store *store_of(const struct ff_engine *e, const struct ff_hunt *h)
{
	size_t first = e->key_source_count;

	if (h->source < first || h->source >= first + store_count(h->scope))
		return NULL;
	return &h->scope->provider->key_stores[h->source - first];
}

static const char *source_name(const struct ff_engine *e, const struct ff_hunt *h)
{
	const struct ff_key_store *store = store_of(e, h);

	if (store != NULL)
		return store->name;
	return h->source < e->key_source_count ? e->keys[h->source].name : "--key-secret";
}

bool ff_keys_asked(const struct ff_engine *e, const struct ff_one *one)
{
	const struct ff_scope *scope = one->scope;

	for (size_t i = 0; i < store_count(scope); i++)
		if (scope->provider->key_stores[i].serves(scope->cloud, one->vm, one->facts))
			return true;
	return e->key_source_count > 0 || e->key_secret != NULL;
}

/* ---------------------------------------------------------------- telling the worker */

/* The end: with keys, or with why there are none. */
static void answer(struct ff_engine *e, struct ff_hunt *h, const struct ff_keys *found)
{
	const struct ff_one *one = &e->ones[h->number - 1];
	ff_auto_json json_t *line = NULL;
	char number[16];
	struct ff_err err;

	ff_buf_adds(&h->refusals, "");
	snprintf(number, sizeof(number), "%u", h->number);
	line = ff_key_line(number, h->volume, found, h->refusals.text);
	if (found->count > 0)
		ff_say(e, FF_EV_STEP, h->scope, h->vm, "key of volume %s found in %s", h->volume_id, source_name(e, h));
	/* a worker that cannot be told is gone, which is told as well */
	if (one->job != NULL && one->job->worker == h->worker)
		ff_worker_say(e, h->worker, line, &err);
	hunt_free(h);
}

/* ---------------------------------------------------------------- asking the sources */

/* What ff_key_source.look is, for the secret store: one name after the other. */
static enum ff_key_step look_in_cloud(const struct ff_engine *e, const struct ff_hunt *h, const struct ff_answer *got,
	struct ff_ask *ask, struct ff_keys *found, struct ff_err *err)
{
	const struct ff_provider *p = h->scope->provider;
	ff_auto_free char *name = ff_key_secret_name(e->key_secret, &h->want, h->step);
	char *bytes = NULL;
	size_t len = 0;
	int there;

	if (p->secret_ask == NULL) {
		ff_fail(err, FF_E_USAGE, "%s has no secret store that can be asked: use --key-command", p->name);
		return FF_KEY_FAILED;
	}
	there = got != NULL ? p->secret_read(h->scope->cloud, got, &bytes, &len, err) : 0;
	if (there == 1 && !ff_keys_add_secret(found, bytes, len))
		there = ff_fail(err, FF_E_PERMANENT, "the secret is no key");
	ff_wipe(bytes, len);
	free(bytes);
	if (there != 0 || name == NULL)
		return there < 0 ? FF_KEY_FAILED : FF_KEY_DONE;
	return p->secret_ask(h->scope->cloud, name, ask, err) < 0 ? FF_KEY_FAILED : FF_KEY_SIGN;
}

static enum ff_key_step look_in_store(const struct ff_engine *e, struct ff_hunt *h, const struct ff_answer *got,
	struct ff_ask *ask, struct ff_keys *found, struct ff_err *err)
{
	struct ff_key_turn turn = {.vm = h->vm,
		.facts = e->ones[h->number - 1].facts,
		.want = &h->want,
		.answer = got,
		.wall_ms = e->world->wall_ms(e->world->self),
		.ask = ask,
		.found = found,
		.err = err};

	if (h->state == NULL)
		h->state = json_object();
	turn.state = h->state;
	return store_of(e, h)->look(h->scope->cloud, &turn);
}

static enum ff_key_step look(const struct ff_engine *e, struct ff_hunt *h, const struct ff_answer *got,
	struct ff_ask *ask, struct ff_keys *found, struct ff_err *err)
{
	const struct ff_key_source *source;

	if (store_of(e, h) != NULL)
		return look_in_store(e, h, got, ask, found, err);
	if (h->source >= e->key_source_count)
		return look_in_cloud(e, h, got, ask, found, err);
	source = &e->keys[h->source];
	return source->look(source->self, &h->want, h->step, got, ask, found, err);
}

static void go_on(struct ff_engine *e, struct ff_hunt *h, const struct ff_answer *got);

static void next_source(struct ff_hunt *h)
{
	h->source++;
	h->step = 0;
	json_decref(h->state);
	h->state = NULL;
}

static void refuse(struct ff_engine *e, struct ff_hunt *h, const char *why)
{
	ff_auto_free char *text = NULL;

	/* a store's words are its own, and the names of vaults and tenants may look as keys do */
	if (store_of(e, h) != NULL)
		text = ff_printf("%s: %.300s", source_name(e, h), why);
	else
		text = ff_key_refusal(source_name(e, h), why);
	ff_buf_addf(&h->refusals, "%s%s", h->refusals.len > 0 ? "; " : "", text);
	next_source(h);
}

static void replied(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_hunt *h = owner;

	h->step++;
	if (reply->answer == NULL || reply->answer->transport != FF_T_OK) {
		refuse(e, h, reply->err.text);
		go_on(e, h, NULL);
		return;
	}
	go_on(e, h, reply->answer);
}

static void send(struct ff_engine *e, struct ff_hunt *h, struct ff_ask *ask, bool sign)
{
	const struct ff_call_options options = {.scope = h->scope,
		.vm = h->vm,
		.what = "look for a key",
		.sign = sign,
		.until_ms = h->until_ms,
		.replied = replied,
		.owner = h};

	ff_call_start(e, &options, ask);
}

/* A key store that does not serve this VM is passed over without a word. */
static bool serves(const struct ff_engine *e, const struct ff_hunt *h)
{
	const struct ff_key_store *store = store_of(e, h);

	return store == NULL || store->serves(h->scope->cloud, h->vm, e->ones[h->number - 1].facts);
}

/* Ask the source whose turn it is, and those after it, until one has a key or wants to ask outside. */
static void go_on(struct ff_engine *e, struct ff_hunt *h, const struct ff_answer *got)
{
	struct ff_keys found = {0};

	while (h->source < source_count(e, h)) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};
		enum ff_key_step step;
		bool asks;

		if (!serves(e, h)) {
			next_source(h);
			continue;
		}
		step = look(e, h, got, &ask, &found, &err);
		asks = step == FF_KEY_ASK || step == FF_KEY_SIGN;
		got = NULL;
		if (asks && h->step < QUESTIONS_MAX) {
			send(e, h, &ask, step == FF_KEY_SIGN);
			return;
		}
		ff_ask_release(&ask);
		if (step == FF_KEY_DONE && found.count > 0)
			break;
		refuse(e, h, asks ? "asks without end" : step == FF_KEY_DONE ? "has none for it" : err.text);
	}
	answer(e, h, &found);
	ff_keys_release(&found);
}

/* ---------------------------------------------------------------- what the worker says */

void ff_key_wanted(struct ff_engine *e, struct ff_job *job, const json_t *line)
{
	const struct ff_one *one = job->one;
	int64_t volume = ff_json_int(line, "volume", -1);
	struct ff_hunt *h = ff_calloc(1, sizeof(*h));

	h->link = &e->hunts;
	h->next = e->hunts;
	if (h->next != NULL)
		h->next->link = &h->next;
	e->hunts = h;
	if (volume < 0 || volume > 255 || ff_key_want_read(&h->want, line) < 0) {
		hunt_free(h);
		ff_worker_distrust(e, job->worker, "job %u wants a key for something that is no volume", one->number);
		return;
	}
	h->number = one->number;
	h->volume = (unsigned)volume;
	h->vm = one->vm;
	h->scope = one->scope;
	h->worker = job->worker;
	h->volume_id = ff_strdup(h->want.volume_id); /* which is the line's */
	h->until_ms = ff_now(e) + PATIENCE_MS;
	h->want.provider = one->scope->provider->name;
	h->want.vm_name = one->vm->name;
	h->want.vm_id = one->vm->id;
	h->want.disk_id = one->vm->disk_id;
	h->want.volume_id = h->volume_id;
	go_on(e, h, NULL);
}
