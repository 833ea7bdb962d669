#include "toy.h"

#include "fixfleet/journal.h"

#define A_DAY_MS 86400000

struct fuzz_toy_answer {
	struct fuzz_toy_answer *next;
	ff_answered_fn *done;
	void *arg;
	struct ff_ask ask;
	struct ff_answer answer;
};

/* ---------------------------------------------------------------- the cloud */

static void at_vm(struct fuzz_toy *t, const char *step, const char *name, bool apply, struct ff_buf *body)
{
	struct toy_state *vm = &t->vms[name[0] == 'b'];
	int row = toy_row_of(step);

	FUZZ_CHECK(row >= 0, "row '%s'", step);
	if (apply)
		toy_apply(vm, row);
	ff_buf_addf(body, "%s%s", body->len ? "," : "", toy_holds(vm, row) ? "done" : "not-done");
	/* the promise in small: nothing runs on a disk that is away */
	FUZZ_CHECK(
		!(row == START && apply && vm->attached), "'%s' is started while its disk is attached elsewhere", name);
}

static void answer(struct fuzz_toy *t, const struct ff_ask *ask, struct ff_answer *a)
{
	const char *path = strstr(ask->url, "toy.test/") + 9;
	bool act = strcmp(ask->method, "POST") == 0;
	struct ff_buf body = {0};

	*a = (struct ff_answer){.status = 200};
	if (strstr(ask->url, "login.") == NULL && !ff_has_prefix(path, "list")) {
		char step[32] = "", name[32] = "";

		if (act)
			for (; sscanf(path, "%31[^:]:%31[^,?]", step, name) == 2; path += *path == ',') {
				at_vm(t, step, name, true, &body);
				path += strcspn(path, ",?");
			}
		else if (sscanf(path, "look/%31[^/]/%31s", step, name) == 2)
			at_vm(t, step, name, false, &body);
	}
	a->body = ff_buf_take(&body);
	a->body_len = strlen(a->body);
}

/* ---------------------------------------------------------------- the world */

static int64_t mono(void *self)
{
	return ((struct fuzz_toy *)self)->now_ms;
}

static int64_t wall(void *self)
{
	return 1721361600000 + ((struct fuzz_toy *)self)->now_ms;
}

static uint64_t random64(void *self)
{
	struct fuzz_toy *t = self;

	t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
	return t->seed;
}

static void wake_at(void *self, int64_t mono_ms)
{
	((struct fuzz_toy *)self)->wake_ms = mono_ms;
}

static void send_ask(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg)
{
	struct fuzz_toy *t = self;
	struct fuzz_toy_answer *a = ff_calloc(1, sizeof(*a));
	const char *token = ff_headers_get(&ask->headers, "x-token");

	FUZZ_CHECK(!ask->mutates || (token != NULL && memmem(t->journal.text, t->synced, token, strlen(token)) != NULL),
		"%s %s left before its intent was durable", ask->method, ask->url);
	*a = (struct fuzz_toy_answer){.done = done, .arg = arg, .ask = *ask};
	*ask = (struct ff_ask){0};
	answer(t, &a->ask, &a->answer);
	t->sends++;
	*t->tail = a;
	t->tail = &a->next;
}

static int append(void *self, const char *line, size_t len, struct ff_err *err)
{
	(void)err;
	ff_buf_add(&((struct fuzz_toy *)self)->journal, line, len);
	return 0;
}

static int sync_all(void *self, struct ff_err *err)
{
	struct fuzz_toy *t = self;

	(void)err;
	t->synced = t->journal.len;
	return 0;
}

static int worker_send(void *self, const char *rescue, const json_t *line, struct ff_err *err)
{
	struct fuzz_toy *t = self;

	if (strcmp(rescue, "r1") != 0) /* a journal may name any */
		return ff_fail(err, FF_E_LOCAL, "there is no host '%s'", rescue);
	if (ff_streq(ff_json_str(line, "op"), "kept")) {
		t->kept++;
		FUZZ_CHECK(t->journal.len == t->synced && strstr(t->journal.text, "\"k\":\"keep-end\"") != NULL,
			"\"kept\" was said before it was durable");
	}
	if (t->on_worker != NULL)
		t->on_worker(t, line);
	return 0;
}

static void worker_kill(void *self, const char *rescue)
{
	(void)rescue;
	((struct fuzz_toy *)self)->killed = true;
}

static int keep(void *self, const char *vm_key, unsigned index, const char *path, int64_t offset, const void *bytes,
	size_t len, struct ff_err *err)
{
	(void)self;
	(void)index;
	(void)bytes;
	(void)len;
	(void)err;
	FUZZ_CHECK(vm_key[0] != '\0' && path != NULL && offset >= 0, "keep");
	return 0;
}

static int keep_sync(void *self, const char *vm_key, const json_t *manifest, struct ff_err *err)
{
	(void)self;
	(void)err;
	FUZZ_CHECK(vm_key[0] != '\0' && json_is_array(manifest), "keep");
	return 0;
}

void fuzz_toy_open(struct fuzz_toy *t)
{
	struct ff_engine_config config = {.run = "run-1", .dev_root = "/dev", .journal = true};

	t->world = (struct ff_world){.self = t,
		.mono_ms = mono,
		.wall_ms = wall,
		.random = random64,
		.wake_at = wake_at,
		.send = send_ask,
		.append = append,
		.sync = sync_all,
		.worker_send = worker_send,
		.worker_kill = worker_kill,
		.keep = keep,
		.keep_sync = keep_sync};
	t->tail = &t->head;
	t->wake_ms = INT64_MAX;
	t->vms[0].running = t->vms[1].running = true;
	t->engine = ff_engine_new(&t->world, &config);
	t->cloud = ff_calloc(1, sizeof(*t->cloud));
	t->cloud->renew_at = INT64_MAX;
	toy_add(t->cloud, "r1", true);
	toy_add(t->cloud, "a", false);
	toy_add(t->cloud, "b", false);
	ff_engine_add_scope(t->engine, &toy, t->cloud);
}

static void deliver(struct fuzz_toy *t)
{
	struct fuzz_toy_answer *a;

	while ((a = t->head) != NULL) {
		t->head = a->next;
		if (t->head == NULL)
			t->tail = &t->head;
		t->now_ms += 10;
		a->done(a->arg, &a->ask, &a->answer);
		ff_ask_release(&a->ask);
		ff_answer_release(&a->answer, false);
		free(a);
	}
	if (t->killed) {
		struct ff_err why;

		t->killed = false;
		ff_fail(&why, FF_E_LOCAL, "killed by signal 9");
		ff_engine_worker_gone(t->engine, "r1", &why);
	}
}

#define FILE_1 "/Windows/C-00000291-1.sys"
/* "hello", and its hash */
#define FILES                                                                                                          \
	"[{\"path\":\"" FILE_1 "\",\"size\":5,\"mtime\":\"2024-07-19T04:09:00Z\",\"sha256\":"                          \
	"\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}]"

void fuzz_toy_good_worker(struct fuzz_toy *t, const json_t *line)
{
	const char *op = ff_json_str(line, "op"), *job = ff_json_str(line, "job");
	struct ff_strv *says = &t->says;

	if (!t->hello)
		ff_strv_add(says, "{\"event\":\"hello\",\"version\":1}");
	t->hello = true;
	if (ff_streq(op, "probe")) {
		ff_strv_add(says, "{\"event\":\"ready\"}");
	} else if (ff_streq(op, "mend")) {
		ff_strv_addf(says, "{\"event\":\"begin\",\"job\":\"%s\"}", job);
		ff_strv_addf(says,
			"{\"event\":\"keep\",\"job\":\"%s\",\"index\":0,\"path\":\"" FILE_1
			"\",\"offset\":0,\"data\":\"aGVsbG8=\"}",
			job);
		ff_strv_addf(says, "{\"event\":\"keep-end\",\"job\":\"%s\",\"files\":" FILES "}", job);
	} else if (ff_streq(op, "kept")) {
		ff_strv_addf(says, "{\"event\":\"mended\",\"job\":\"%s\"}", job);
		ff_strv_addf(
			says, "{\"event\":\"done\",\"job\":\"%s\",\"result\":\"repaired\",\"removed\":" FILES "}", job);
	} else if (ff_streq(op, "drop")) {
		ff_strv_addf(
			says, "{\"event\":\"done\",\"job\":\"%s\",\"result\":\"failed\",\"reason\":\"dropped\"}", job);
	}
}

static void hear(struct fuzz_toy *t)
{
	struct ff_strv says = t->says;

	t->says = (struct ff_strv){0};
	for (size_t i = 0; i < says.count; i++) {
		ff_auto_json json_t *line = fuzz_json(says.items[i], strlen(says.items[i]));

		ff_engine_worker_line(t->engine, "r1", line);
	}
	ff_strv_free(&says);
}

void fuzz_toy_turn(struct fuzz_toy *t)
{
	deliver(t);
	hear(t);
	t->wake_ms = INT64_MAX;
	ff_engine_turn(t->engine);
}

static bool idle(const struct fuzz_toy *t)
{
	return t->head == NULL && !t->killed && t->says.count == 0;
}

void fuzz_toy_run(struct fuzz_toy *t, enum ff_phase until)
{
	int64_t end_ms = t->now_ms + A_DAY_MS;

	fuzz_toy_turn(t);
	while (ff_engine_phase(t->engine) < until && t->now_ms < end_ms) {
		if (idle(t) && t->wake_ms == INT64_MAX)
			return;
		if (idle(t) && t->wake_ms > t->now_ms)
			t->now_ms = t->wake_ms;
		fuzz_toy_turn(t);
	}
}

void fuzz_toy_repair(struct fuzz_toy *t)
{
	struct ff_selected selected[2] = {{.vm = t->cloud->vms[1]}, {.vm = t->cloud->vms[2]}};
	struct ff_err err = {0};

	fuzz_toy_run(t, FF_PHASE_FOUND);
	FUZZ_CHECK(ff_engine_repair(t->engine, selected, 2, NULL, &err) == 0, "%s", err.text);
	fuzz_toy_turn(t);
}

void fuzz_toy_close(struct fuzz_toy *t)
{
	struct ff_past past;
	struct ff_err err = {0};

	if (t->journal.len > 0) {
		FUZZ_CHECK(
			ff_past_read(ff_source_of(t->journal.text, t->journal.len), &past, &err) == 0, "%s", err.text);
		ff_past_release(&past);
	}
	ff_engine_free(t->engine);
	while (t->head != NULL) {
		struct fuzz_toy_answer *a = t->head;

		t->head = a->next;
		ff_ask_release(&a->ask);
		ff_answer_release(&a->answer, false);
		free(a);
	}
	ff_strv_free(&t->says);
	ff_buf_free(&t->journal);
}
