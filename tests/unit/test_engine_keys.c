/* Keys on their way through the engine: which sources are asked, for what, and what the worker is told. */
#include "test_engine_world.h"

#include "fixfleet/secret.h"

TestSuite(engine_keys, .init = setup, .fini = teardown);

#define ID  "4381f759-c4f8-4de0-bb61-fc33a831bda5"
#define KEY "000011-000022-000033-000044-000055-000066-000077-000088"
#define WANTED(job, volume, id)                                                                                        \
	"{\"event\":\"key-wanted\",\"job\":\"" job "\",\"volume\":" volume ",\"partition\":3,\"volume_id\":\"" id      \
	"\",\"protectors\":[{\"id\":\"" ID "\",\"kind\":\"recovery-password\"}]}"

/* ---------------------------------------------------------------- a worker that wants a key, and what it is told */

static const char *wanted;
static json_t *told;

static void wants(struct world *world, const char *rescue, const json_t *line)
{
	const char *op = ff_json_str(line, "op");

	if (ff_streq(op, "probe")) {
		worker_says(world, rescue, "{\"event\":\"hello\",\"version\":1}");
		worker_says(world, rescue, "{\"event\":\"ready\"}");
	} else if (ff_streq(op, "mend")) {
		cr_expect(ff_json_bool(line, "keys", false));
		worker_says(world, rescue, "%s", wanted);
	} else if (ff_streq(op, "key")) {
		told = json_deep_copy(line);
		worker_says(world, rescue,
			"{\"event\":\"done\",\"job\":\"1\",\"result\":\"failed\",\"class\":\"disk\",\"reason\":"
			"\"closed\"}");
	}
}

/* ---------------------------------------------------------------- sources */

struct asked {
	unsigned times, questions; /* it asks outside so often before it answers */
	const char *key;	   /* NULL: it has none */
	bool fails;
	char vm[64], protector[FF_GUID_BYTES], answer[32];
};

static enum ff_key_step look(void *self, const struct ff_key_want *want, unsigned step, const struct ff_answer *answer,
	struct ff_ask *ask, struct ff_keys *found, struct ff_err *err)
{
	struct asked *a = self;

	a->times++;
	snprintf(a->vm, sizeof(a->vm), "%s", want->vm_name);
	snprintf(a->protector, sizeof(a->protector), "%s", want->protectors[0].id);
	cr_expect_eq(answer != NULL, step > 0);
	if (answer != NULL)
		snprintf(a->answer, sizeof(a->answer), "%d", answer->status);
	if (a->fails) {
		ff_fail(err, FF_E_DENIED, "the vault is closed");
		return FF_KEY_FAILED;
	}
	if (step < a->questions) {
		ff_ask_http(ask, "GET", "https://toy.test/key:%u", step);
		return FF_KEY_ASK;
	}
	if (a->key != NULL)
		ff_keys_add(found, ID, a->key, strlen(a->key));
	return FF_KEY_DONE;
}

static void run(struct asked *asked, size_t count, const char *line)
{
	struct ff_key_source sources[3];
	struct ff_engine_config config = {.keys = sources, .key_source_count = count};

	for (size_t i = 0; i < count; i++)
		sources[i] = (struct ff_key_source){
			.name = i == 0 ? "--first" : "--second", .self = &asked[i], .look = look};
	wanted = line;
	told = NULL;
	w.on_worker = wants;
	world_open(&w, 1, &config);
	world_repair(&w);
	while (told == NULL && traced(&w, "kill") == 0 && world_step(&w))
		;
}

Test(engine_keys, the_first_source_that_has_a_key_answers)
{
	struct asked asked[2] = {{.key = NULL}, {.key = KEY}};

	run(asked, 2, WANTED("1", "2", "11111111-2222-3333-4444-555555555555"));
	cr_assert_not_null(told);
	cr_expect_eq(asked[0].times, 1u);
	cr_expect_eq(asked[1].times, 1u);
	cr_expect_str_eq(asked[1].vm, "a");
	cr_expect_str_eq(asked[1].protector, ID);
	cr_expect_eq(ff_json_int(told, "volume", -1), 2);
	cr_expect_str_eq(ff_json_str(told, "job"), "1");
	cr_expect_str_eq(ff_json_str(told, "keys/0/protector"), ID);
	cr_expect_str_eq(ff_json_str(told, "keys/0/key"), KEY);
	json_decref(told);
}

Test(engine_keys, later_sources_are_not_asked)
{
	struct asked asked[2] = {{.key = KEY}, {.key = KEY}};

	run(asked, 2, WANTED("1", "0", "11111111-2222-3333-4444-555555555555"));
	cr_assert_not_null(told);
	cr_expect_eq(asked[1].times, 0u);
	json_decref(told);
}

Test(engine_keys, who_has_none_says_why)
{
	struct asked asked[2] = {{.fails = true}, {.key = NULL}};

	run(asked, 2, WANTED("1", "0", "11111111-2222-3333-4444-555555555555"));
	cr_assert_not_null(told);
	cr_expect_eq(json_array_size(json_object_get(told, "keys")), 0u);
	cr_expect_str_eq(ff_json_str(told, "reason"), "--first: the vault is closed; --second: has none for it");
	json_decref(told);
}

Test(engine_keys, a_source_may_ask_outside)
{
	struct asked asked[1] = {{.key = KEY, .questions = 2}};

	run(asked, 1, WANTED("1", "0", "11111111-2222-3333-4444-555555555555"));
	cr_assert_not_null(told);
	cr_expect_eq(asked[0].times, 3u);
	cr_expect_eq(traced(&w, "send GET https://toy.test/key:"), 2);
	cr_expect_str_neq(asked[0].answer, "", "the answer of any status is the source's");
	cr_expect_str_eq(ff_json_str(told, "keys/0/key"), KEY);
	json_decref(told);
}

Test(engine_keys, no_key_is_journaled)
{
	struct asked asked[1] = {{.key = KEY}};

	run(asked, 1, WANTED("1", "0", "11111111-2222-3333-4444-555555555555"));
	cr_assert_not_null(told);
	cr_expect(w.journal.len > 0);
	cr_expect(memmem(w.journal.text, w.journal.len, "000022", 6) == NULL);
	json_decref(told);
}

Test(engine_keys, nonsense_is_never_believed)
{
	static const char *const lines[] = {WANTED("1", "-1", "11111111-2222-3333-4444-555555555555"),
		WANTED("1", "256", "11111111-2222-3333-4444-555555555555"), WANTED("1", "0", "11111111"),
		WANTED("1", "0", "11111111-2222-3333-4444-55555555555G"),
		"{\"event\":\"key-wanted\",\"job\":\"1\",\"volume\":0,\"volume_id\":"
		"\"11111111-2222-3333-4444-555555555555\"}",
		"{\"event\":\"key-wanted\",\"job\":\"1\",\"volume\":0,\"volume_id\":"
		"\"11111111-2222-3333-4444-555555555555\",\"protectors\":[{\"id\":\"" ID
		"\",\"kind\":\"../../etc\"}]}"};

	for (size_t i = 0; i < FF_COUNT(lines); i++) {
		struct asked asked[1] = {{.key = KEY}};

		run(asked, 1, lines[i]);
		cr_expect_eq(traced(&w, "kill r1") > 0, true, "%s", lines[i]);
		cr_expect_eq(asked[0].times, 0u, "%s", lines[i]);
		world_close(&w);
		memset(&w, 0, sizeof(w));
	}
	world_open(&w, 0, NULL);
}

/* ---------------------------------------------------------------- stores of the cloud */

static struct {
	struct ff_strv turns; /* "STORE STATE ANSWER" each */
	struct ff_strv sent;  /* "URL" or "URL signed" of what was asked */
	bool serves[2];
	const char *key[2]; /* NULL: it has none */
	void (*send)(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg);
} stores;

static void watch_send(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg)
{
	if (ask->url != NULL && strstr(ask->url, "/store") != NULL)
		ff_strv_addf(&stores.sent, "%s%s", strstr(ask->url, "/store") + 1,
			ff_headers_get(&ask->headers, "authorization") ? " signed" : "");
	stores.send(self, ask, done, arg);
}

/* A token, then the key, then the end. */
static enum ff_key_step look_in(int store, struct ff_key_turn *turn)
{
	int64_t asked = ff_json_int(turn->state, "asked", 0);

	cr_expect_str_eq(turn->vm->name, "a");
	cr_expect_str_eq(turn->want->protectors[0].id, ID);
	cr_expect_not_null(turn->facts);
	cr_expect_gt(turn->wall_ms, 0);
	ff_strv_addf(&stores.turns, "%d %lld %d", store, (long long)asked, turn->answer ? turn->answer->status : 0);
	ff_json_set_int(turn->state, "asked", asked + 1);
	if (asked < 2) {
		ff_ask_http(turn->ask, "GET", "https://toy.test/store%d:%lld", store, (long long)asked);
		return asked == 0 ? FF_KEY_ASK : FF_KEY_SIGN;
	}
	if (stores.key[store] == NULL) {
		ff_fail(turn->err, FF_E_DENIED, "vault 'fleet-000002' refuses it");
		return FF_KEY_FAILED;
	}
	ff_keys_add(turn->found, ID, stores.key[store], strlen(stores.key[store]));
	return FF_KEY_DONE;
}

static enum ff_key_step look_in_0(struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	(void)cloud;
	return look_in(0, turn);
}

static enum ff_key_step look_in_1(struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	(void)cloud;
	return look_in(1, turn);
}

static bool serves_0(const struct ff_cloud *cloud, const struct ff_vm *vm, const json_t *facts)
{
	(void)cloud;
	return ff_streq(vm->name, "a") && facts != NULL && stores.serves[0];
}

static bool serves_1(const struct ff_cloud *cloud, const struct ff_vm *vm, const json_t *facts)
{
	(void)cloud;
	return ff_streq(vm->name, "a") && facts != NULL && stores.serves[1];
}

static void run_stores(struct asked *asked)
{
	static const struct ff_key_store table[] = {
		{"vault", serves_0, look_in_0}, {"graph", serves_1, look_in_1}, {0}};
	static struct ff_provider provider;
	struct ff_key_source source = {.name = "--first", .self = asked, .look = look};
	struct ff_engine_config config = {.run = "r",
		.journal = true,
		.dev_root = "/dev",
		.event = on_event,
		.event_arg = &w,
		.keys = &source,
		.key_source_count = asked != NULL};

	wanted = WANTED("1", "0", "11111111-2222-3333-4444-555555555555");
	told = NULL;
	w.on_worker = wants;
	provider = toy;
	provider.key_stores = table;
	world_init(&w);
	stores.send = w.world.send;
	w.world.send = watch_send;
	w.engine = ff_engine_new(&w.world, &config);
	w.cloud = ff_calloc(1, sizeof(*w.cloud));
	w.cloud->renew_at = INT64_MAX;
	toy_add(w.cloud, "r1", true);
	toy_add(w.cloud, "a", false);
	ff_engine_add_scope(w.engine, &provider, w.cloud);
	world_repair(&w);
	while (told == NULL && traced(&w, "kill") == 0 && world_step(&w))
		;
	cr_assert_not_null(told);
}

Test(engine_keys, the_clouds_own_stores_come_after_what_the_operator_gave)
{
	struct asked first[1] = {{.key = NULL}};

	stores.serves[0] = true;
	stores.key[0] = KEY;
	run_stores(first);
	cr_expect_eq(first[0].times, 1u);
	cr_assert_eq(stores.turns.count, 3);
	cr_expect_str_eq(stores.turns.items[0], "0 0 0");
	cr_expect_str_eq(stores.turns.items[2], "0 2 200");
	cr_assert_eq(stores.sent.count, 2);
	cr_expect_str_eq(stores.sent.items[0], "store0:0", "a question for a token goes as it is");
	cr_expect_str_eq(stores.sent.items[1], "store0:1 signed");
	cr_expect_str_eq(ff_json_str(told, "keys/0/key"), KEY);
	json_decref(told);
}

Test(engine_keys, a_store_that_does_not_serve_it_is_passed_over_and_one_that_fails_is_told)
{
	stores.serves[1] = true;
	run_stores(NULL);
	cr_assert_eq(stores.turns.count, 3);
	cr_expect_str_eq(stores.turns.items[0], "1 0 0", "the state of each begins empty");
	/* its words are its own: the digits in a vault's name are not taken for a key */
	cr_expect_str_eq(ff_json_str(told, "reason"), "graph: vault 'fleet-000002' refuses it");
	json_decref(told);
}

Test(engine_keys, the_next_store_is_asked_where_one_has_none)
{
	stores.serves[0] = stores.serves[1] = true;
	stores.key[1] = KEY;
	run_stores(NULL);
	cr_assert_eq(stores.turns.count, 6);
	cr_expect_str_eq(stores.turns.items[3], "1 0 0", "the state of each begins empty");
	cr_expect_str_eq(ff_json_str(told, "keys/0/key"), KEY);
	json_decref(told);
}
