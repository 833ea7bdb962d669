/*
 * The input: a line "PHASE VARIANT [FLAGS]", one character each without blanks, then answers (fuzz.h).
 *
 *   lE    signing in with environment E ('a' is the first) reads them
 *   d     a sound sign-in, then discovery reads them, and every row of every VM that it found what is left
 *   sRF   sound discovery; row R ('a' is the first) reads them. F is a digit of bits: 1 two VMs at once, 2 it looks
 *         first, 4 a request is the first of two
 */
#include <ctype.h>

#include "cloud.h"

#define LOGIN_ASKS_MAX	  24
#define DISCOVER_ASKS_MAX 64
#define OUT_MAX		  4
#define VMS_MAX		  6

static struct fuzz_record record;
static struct ff_cloud *found; /* after sound discovery: rows do not change it, so that one serves all inputs */

/* ---------------------------------------------------------------- signing in */

static void judge(const struct ff_provider *p, struct ff_cloud *cloud, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, enum ff_class *class)
{
	struct ff_err err = {0};

	*hint = (struct ff_hint){.retry_after_ms = -1, .bucket = -1, .left = {-1, -1, -1}};
	*class = FF_E_NONE;
	if (ask->kind != FF_ASK_HTTP || answer->transport != FF_T_OK)
		return;
	*class = p->judge(cloud, FUZZ_NOW, ask, answer, hint, &err);
	if (*class != FF_E_NONE)
		FUZZ_CHECK_ERR(err);
	FUZZ_CHECK(*class == FF_E_NONE || *class == err.class, "class %d, err of %d", (int)*class, (int)err.class);
	FUZZ_CHECK(hint->retry_after_ms >= -1, "retry after %lld ms", (long long)hint->retry_after_ms);
	FUZZ_CHECK(hint->bucket >= -1 && hint->bucket < FF_COSTS_MAX, "bucket %d", hint->bucket);
}

/* Until it is done, failed, or there are no more answers. */
static enum ff_turn sign_in(const struct ff_provider *p, struct ff_cloud *cloud, struct fuzz_input *in)
{
	for (int n = 0; n < LOGIN_ASKS_MAX; n++) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};
		struct ff_hint hint;
		struct ff_answer answer;
		enum ff_class class;
		enum ff_turn turn = p->login_next(cloud, FUZZ_NOW, &ask, &err);

		if (turn == FF_TURN_FAILED)
			FUZZ_CHECK((err.class == FF_E_AUTH || err.class == FF_E_USAGE) && err.text[0] != '\0',
				"%d '%s'", (int)err.class, err.text);
		if (turn != FF_TURN_ASK) {
			ff_ask_release(&ask);
			return turn;
		}
		fuzz_check_ask(&ask);
		if (ask.kind == FF_ASK_HTTP)
			FUZZ_CHECK(ask.secret && ff_url_check(ask.url, &err) == 0, "%s: %s", ask.url, err.text);
		if (!fuzz_next_answer(in, &answer))
			answer = (struct ff_answer){.transport = ask.kind == FF_ASK_HTTP ? FF_T_NOT_SENT : FF_T_LOCAL,
				.status = ask.kind == FF_ASK_HTTP ? 0 : 2};
		judge(p, cloud, &ask, &answer, &hint, &class);
		p->login_read(cloud, FUZZ_NOW, &ask, &answer);
		ff_answer_release(&answer, true);
		ff_ask_release(&ask);
	}
	return FF_TURN_WAIT;
}

static void try_signing(const struct ff_provider *p, struct ff_cloud *cloud, struct ff_ask *ask)
{
	struct ff_err err = {0};

	if (p->sign(cloud, FUZZ_NOW, ask, &err) < 0) {
		FUZZ_CHECK_ERR(err);
		FUZZ_CHECK(ff_headers_get(&ask->headers, "Authorization") == NULL, "refused, and signed all the same");
	}
	fuzz_check_ask(ask);
}

static void phase_login(const struct fuzz_cloud *c, char variant, struct fuzz_input *in)
{
	const struct ff_provider *p = c->provider;
	struct ff_err err;
	struct ff_cloud *cloud;
	size_t envs = 1;

	while (c->envs[envs] != NULL)
		envs++;
	cloud = fuzz_cloud_open(c, (size_t)(unsigned char)(variant - 'a') % envs, &err);
	FUZZ_CHECK(cloud != NULL, "%s", err.text);
	for (int i = 0; i < 2; i++) { /* and once more, as when the token has run out */
		p->login_reset(cloud);
		if (sign_in(p, cloud, in) == FF_TURN_DONE) {
			struct ff_ask ask = {0};

			FUZZ_CHECK(p->login_name(cloud)[0] != '\0', "a source without a name");
			p->login_renew_at(cloud);
			if (p->discover_next(cloud, &ask, &err) == FF_TURN_ASK)
				try_signing(p, cloud, &ask);
			ff_ask_release(&ask);
		}
	}
	p->close(cloud);
}

static struct ff_cloud *signed_in(const struct fuzz_cloud *c)
{
	struct fuzz_input sound = {record.login.text, record.login.text + record.login.len};
	struct ff_err err;
	struct ff_cloud *cloud = fuzz_cloud_open(c, 0, &err);

	FUZZ_CHECK(cloud != NULL, "%s", err.text);
	c->provider->login_reset(cloud);
	FUZZ_CHECK(sign_in(c->provider, cloud, &sound) == FF_TURN_DONE, "a sound sign-in");
	return cloud;
}

/* ---------------------------------------------------------------- discovery */

/* Some questions at once, answered in order. */
static bool discover(const struct ff_provider *p, struct ff_cloud *cloud, struct fuzz_input *in, int at_once)
{
	struct ff_ask out[OUT_MAX] = {{0}};
	struct ff_err err = {0};
	enum ff_turn turn = FF_TURN_ASK;
	int count = 0, rc = 0;

	for (int n = 0; n < DISCOVER_ASKS_MAX && rc == 0; n++) {
		struct ff_answer answer;
		struct ff_hint hint;
		enum ff_class class;

		while (count < at_once && (turn = p->discover_next(cloud, &out[count], &err)) == FF_TURN_ASK)
			try_signing(p, cloud, &out[count++]);
		FUZZ_CHECK(count > 0 || turn != FF_TURN_WAIT, "it waits for nothing");
		if (count == 0 || !fuzz_next_answer(in, &answer))
			break;
		judge(p, cloud, &out[0], &answer, &hint, &class);
		if (answer.transport == FF_T_OK && class != FF_E_THROTTLED) {
			rc = p->discover_read(cloud, FUZZ_NOW, &out[0], &answer, &err);
			if (rc < 0)
				FUZZ_CHECK_ERR(err);
			ff_ask_release(&out[0]);
			memmove(&out[0], &out[1], (size_t)--count * sizeof(out[0]));
			out[count] = (struct ff_ask){0};
		}
		ff_answer_release(&answer, false);
	}
	for (int i = 0; i < count; i++)
		ff_ask_release(&out[i]);
	return rc == 0 && count == 0 && turn == FF_TURN_DONE;
}

static void check_vm(const struct ff_vm *vm)
{
	const char *const texts[] = {vm->id, vm->name, vm->scope, vm->region, vm->zone, vm->os, vm->state, vm->reason,
		vm->disk_id, vm->disk_encryption};

	for (size_t i = 0; i < FF_COUNT(texts); i++)
		FUZZ_CHECK(texts[i] != NULL, "text %zu", i);
	FUZZ_CHECK((unsigned)vm->health <= FF_SKIPPED && vm->reason[0] != '\0', "%s: %d", vm->name, (int)vm->health);
	FUZZ_CHECK(vm->disk_bytes >= 0, "%s: %lld bytes", vm->name, (long long)vm->disk_bytes);
	FUZZ_CHECK(vm->slots_max <= FF_SLOTS_MAX, "%s: %u slots", vm->name, vm->slots_max);
	FUZZ_CHECK(json_is_object(vm->tags) && json_is_object(vm->facts), "%s: tags, facts", vm->name);
	for (size_t i = 0; i < vm->hazards.count; i++)
		FUZZ_CHECK(strchr(vm->hazards.items[i], ':') != NULL, "hazard '%s'", vm->hazards.items[i]);
}

/* ---------------------------------------------------------------- rows */

static bool exchange(struct fuzz_walk *w, struct ff_ask *ask, struct ff_answer *answer, enum ff_class *class)
{
	struct ff_hint hint;

	try_signing(w->provider, w->cloud, ask);
	for (;;) {
		bool repeats;

		if (!fuzz_next_answer(w->arg, answer))
			return false;
		judge(w->provider, w->cloud, ask, answer, &hint, class);
		/* what the engine repeats by itself */
		repeats = *class == FF_E_THROTTLED || *class == FF_E_AUTH ||
			  (*class == FF_E_TRANSIENT && !ask->mutates) || answer->transport == FF_T_NOT_SENT ||
			  answer->transport == FF_T_LOCAL || answer->transport == FF_T_UNTRUSTED;
		if (!repeats)
			return true;
		ff_answer_release(answer, false);
	}
}

/* What is asked of the table besides its rows. */
static void look_around(const struct ff_provider *p, struct ff_cloud *cloud, const struct ff_member *m)
{
	struct ff_disk_place place = {0};
	struct ff_err err = {0};
	ff_auto_buf where = {0};

	if (p->place(cloud, m, &place, &err) < 0) {
		FUZZ_CHECK_ERR(err);
	} else {
		FUZZ_CHECK(place.paths.count > 0, "no path");
		for (size_t i = 0; i < place.paths.count; i++)
			FUZZ_CHECK(place.paths.items[i][0] != '/' && strstr(place.paths.items[i], "..") == NULL, "%s",
				place.paths.items[i]);
	}
	ff_disk_place_release(&place);
	p->where(cloud, m, &where);
}

static void member_of(
	struct fuzz_walk *w, size_t i, const struct ff_vm *vm, const json_t *facts, const struct ff_vm *rescue)
{
	w->facts[i] = json_deep_copy(facts);
	w->members[i] = (struct ff_member){.vm = vm,
		.facts = w->facts[i],
		.rescue = rescue,
		.rescue_facts = w->rescue_facts,
		.slot = (int)i + 1,
		.run = "run-1",
		.token = w->token};
}

static void walk_free(struct fuzz_walk *w)
{
	json_decref(w->facts[0]);
	json_decref(w->facts[1]);
	json_decref(w->rescue_facts);
}

static void phase_discover(const struct fuzz_cloud *c, char variant, struct fuzz_input *in)
{
	const struct ff_provider *p = c->provider;
	struct ff_cloud *cloud = signed_in(c);
	const struct ff_vm *rescue;
	struct ff_vm **vms;
	size_t n;

	if (!discover(p, cloud, in, variant == '1' ? 1 : OUT_MAX)) { /* what was found so far is nobody's */
		p->close(cloud);
		return;
	}
	n = p->vms(cloud, &vms);
	rescue = NULL;
	for (size_t i = 0; i < n; i++) {
		check_vm(vms[i]);
		rescue = vms[i]->rescue ? vms[i] : rescue;
	}
	for (size_t i = 0; i < n && i < VMS_MAX && rescue != NULL; i++) {
		struct fuzz_walk w = {.provider = p,
			.cloud = cloud,
			.count = 1,
			.look_first = true,
			.now_ms = FUZZ_NOW,
			.exchange = exchange,
			.arg = in};
		struct ff_err err = {0};

		if (vms[i]->health == FF_SKIPPED || p->fits(vms[i], rescue, &err) < 0)
			continue;
		w.rescue_facts = json_deep_copy(rescue->facts);
		member_of(&w, 0, vms[i], vms[i]->facts, rescue);
		for (int step = 0; step < (int)p->step_count; step++)
			fuzz_walk_row(&w, step);
		look_around(p, cloud, &w.members[0]);
		walk_free(&w);
	}
	for (size_t i = 0; i < p->notes(cloud)->count; i++)
		FUZZ_CHECK(p->notes(cloud)->items[i][0] != '\0', "an empty note");
	p->close(cloud);
}

static void phase_step(const struct fuzz_cloud *c, char variant, char flags, struct fuzz_input *in)
{
	const struct ff_provider *p = c->provider;
	int step = (int)((size_t)(unsigned char)(variant - 'a') % p->step_count);
	const struct fuzz_entry *entry = record.entries[step];
	struct fuzz_walk w = {.provider = p, .cloud = found, .now_ms = FUZZ_NOW, .exchange = exchange, .arg = in};
	const struct ff_vm *rescue;

	rescue = fuzz_vm_named(p, w.cloud, record.rescue);
	w.look_first = (flags & 2) != 0;
	w.rescue_facts = json_deep_copy(entry[0].vm ? entry[0].rescue_facts : rescue->facts);
	for (size_t i = 0;
		i < 2 && entry[i].vm != NULL && (i == 0 || ((flags & 1) != 0 && p->steps[step].group_max > 1)); i++) {
		member_of(&w, i, fuzz_vm_named(p, w.cloud, entry[i].vm), entry[i].facts, rescue);
		w.count++;
	}
	if (w.count > 0) {
		fuzz_walk_row(&w, step);
		if ((flags & 4) != 0) { /* and the row after it, whatever became of this one */
			w.count = 1;
			w.look_first = true;
			fuzz_walk_row(&w, (step + 1) % (int)p->step_count);
		}
		look_around(p, w.cloud, &w.members[0]);
	}
	walk_free(&w);
}

/* ---------------------------------------------------------------- entry */

#define SEED_ANSWERS_MAX 6

/* A row that was polled for long is as good a seed with its first answers and its last. */
static void shorten(struct ff_buf *row)
{
	struct fuzz_input in = {row->text, row->text + row->len};
	struct ff_answer answer;
	struct ff_buf out = {0};
	size_t count = 0, n = 0;

	for (; fuzz_next_answer(&in, &answer); count++)
		ff_answer_release(&answer, false);
	in.at = row->text;
	for (; fuzz_next_answer(&in, &answer); n++) {
		if (n < SEED_ANSWERS_MAX / 2 || n + SEED_ANSWERS_MAX / 2 >= count)
			fuzz_answer_text(&answer, &out);
		ff_answer_release(&answer, false);
	}
	ff_buf_free(row);
	*row = out;
}

static void write_seed(const char *dir, const char *name, const char *head, const struct ff_buf *body)
{
	ff_auto_free char *path = ff_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	FUZZ_CHECK(f != NULL, "%s", path);
	fprintf(f, "%s\n", head);
	if (body->len > 0)
		fwrite(body->text, body->len, 1, f);
	fclose(f);
}

void fuzz_cloud_init(struct fuzz_cloud *c, const char *provider)
{
	const char *dir = getenv("FUZZ_SEEDS");
	struct fuzz_input sound;

	c->provider = ff_provider_by_name(provider);
	fuzz_record_make(c, &record);
	sound = (struct fuzz_input){record.discovery.text, record.discovery.text + record.discovery.len};
	found = signed_in(c);
	FUZZ_CHECK(discover(c->provider, found, &sound, 1), "sound discovery");
	if (dir == NULL)
		return;
	write_seed(dir, "login", "la", &record.login);
	write_seed(dir, "discovery", "d1", &record.discovery);
	for (size_t i = 0; i < c->provider->step_count; i++) {
		char head[4] = {'s', (char)('a' + i), '0', '\0'};

		if (record.rows[i].len == 0)
			continue;
		shorten(&record.rows[i]);
		write_seed(dir, c->provider->steps[i].name, head, &record.rows[i]);
	}
}

int fuzz_cloud_one(const struct fuzz_cloud *c, const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *newline = memchr(text, '\n', size);
	size_t head = newline ? (size_t)(newline - text) : size;
	struct fuzz_input in = {text + head + (newline != NULL), text + size};
	char variant = head > 1 ? text[1] : 'a', flags = head > 2 ? text[2] : '0';

	if (head == 0)
		return 0;
	if (text[0] == 'l')
		phase_login(c, variant, &in);
	else if (text[0] == 'd')
		phase_discover(c, variant, &in);
	else if (text[0] == 's')
		phase_step(c, variant, flags, &in);
	return 0;
}
