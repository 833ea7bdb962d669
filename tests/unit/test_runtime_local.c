/* Files and programs whose content or output is an answer; time, turns and signals. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test_runtime_fake.h"

static struct ff_answer read_path(const char *path, size_t bytes_max, bool secret)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_ask ask = {
		.kind = FF_ASK_FILE, .path = ff_strdup(path), .answer_bytes_max = bytes_max, .secret = secret};
	struct ff_answer a = fake_ask(rt, &ask);

	ff_runtime_free(rt);
	return a;
}

Test(runtime_file, content_comes_whole_up_to_the_limit, .timeout = 20)
{
	char path[] = "/tmp/fixfleet-test-file-XXXXXX";
	int fd = mkstemp(path);
	static char text[50001];
	struct ff_answer a;

	memset(text, 'x', 50000);
	cr_assert_eq(write(fd, text, 50000), 50000);
	for (int secret = 0; secret <= 1; secret++) {
		a = read_path(path, 50000, secret);
		cr_expect_eq(a.transport, FF_T_OK, "%s", a.why);
		cr_expect_eq(a.status, 0);
		cr_expect_eq(a.body_len, 50000);
		cr_expect_str_eq(a.body, text);
		ff_answer_release(&a, true);
	}
	a = read_path(path, 49999, false);
	cr_expect_eq(a.transport, FF_T_TOO_LARGE);
	ff_answer_release(&a, false);
	a = read_path("/proc/self/status", 10, false); /* its size is told as 0 */
	cr_expect_eq(a.transport, FF_T_TOO_LARGE);
	ff_answer_release(&a, false);
	close(fd);
	unlink(path);
}

Test(runtime_file, what_is_no_readable_file_is_told, .timeout = 20)
{
	char dir[] = "/tmp/fixfleet-test-fifo-XXXXXX", fifo[64];
	struct {
		const char *path;
		int status;
	} cases[] = {{"/nonexistent/token", ENOENT}, {"/tmp", EISDIR}, {"/dev/zero", EINVAL}, {fifo, EINVAL}};

	cr_assert_not_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer a = read_path(cases[i].path, 0, false);

		cr_expect_eq(a.transport, FF_T_LOCAL);
		cr_expect_eq(a.status, cases[i].status, "%s: %s", cases[i].path, a.why);
		cr_expect_not_null(strstr(a.why, cases[i].path), "%s", a.why);
		ff_answer_release(&a, false);
	}
	unlink(fifo);
	rmdir(dir);
}

/* ---------------------------------------------------------------- programs */

static struct ff_answer run_shell(const char *script, unsigned timeout_ms, size_t bytes_max)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_ask ask = {.kind = FF_ASK_EXEC, .timeout_ms = timeout_ms, .answer_bytes_max = bytes_max};
	struct ff_answer a;

	ff_strv_add(&ask.argv, "sh");
	ff_strv_add(&ask.argv, "-c");
	ff_strv_add(&ask.argv, script);
	ff_strv_add(&ask.argv, "name");
	ff_strv_add(&ask.argv, "$(touch /tmp/injected); `id`");
	a = fake_ask(rt, &ask);
	ff_runtime_free(rt);
	return a;
}

Test(runtime_exec, a_program_s_end_is_the_answer, .timeout = 30)
{
	static const struct {
		const char *script;
		enum ff_transport transport;
		int status;
		const char *body, *why;
	} cases[] = {
		{"echo out; echo err >&2", FF_T_OK, 0, "out\n", ""},
		{"printf %s \"$1\"", FF_T_OK, 0, "$(touch /tmp/injected); `id`", ""},
		{"cat; echo end", FF_T_OK, 0, "end\n", ""}, {"printf %s \"$MY_OWN\"", FF_T_OK, 0, "kept", ""},
		{"echo one >&2; echo 'Please run az login' >&2; exit 3", FF_T_OK, 3, NULL,
			"'sh' ended with exit status 3: Please run az login"},
		{"head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; printf 'last\\033' >&2; exit 1", FF_T_OK, 1,
			NULL, "'sh' ended with exit status 1: last\\x1b"},
		{"kill -9 $$", FF_T_LOCAL, EINTR, NULL, "'sh' was killed by signal 9 (Killed)"},
		{"echo waiting >&2; sleep 100", FF_T_LOCAL, ETIMEDOUT, NULL, "'sh' did not end within 500 ms: waiting"},
		{"cat /dev/zero", FF_T_TOO_LARGE, EFBIG, NULL, "'sh' printed more than 1000 bytes"},
		{"sleep 5 & echo left", FF_T_OK, 0, "left\n", ""}, /* something keeps the pipes open */
	};

	setenv("MY_OWN", "kept", 1);
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer a = run_shell(cases[i].script, 500, 1000);

		cr_expect_eq(a.transport, cases[i].transport, "case %zu: %s", i, a.why);
		cr_expect_eq(a.status, cases[i].status, "case %zu: %d", i, a.status);
		cr_expect_str_eq(a.why, cases[i].why);
		if (cases[i].body != NULL)
			cr_expect_str_eq(a.body ? a.body : "", cases[i].body);
		ff_answer_release(&a, true);
	}
	cr_expect_neq(access("/tmp/injected", F_OK), 0);
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
}

Test(runtime_exec, a_program_that_is_missing_is_enoent, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_ask ask = {.kind = FF_ASK_EXEC};
	struct ff_answer a;

	ff_strv_add(&ask.argv, "no-such-program-x");
	a = fake_ask(rt, &ask);
	cr_expect_eq(a.transport, FF_T_LOCAL);
	cr_expect_eq(a.status, ENOENT);
	cr_expect_not_null(strstr(a.why, "'no-such-program-x'"), "%s", a.why);
	ff_answer_release(&a, false);
	ff_runtime_free(rt);
}

Test(runtime_exec, free_kills_what_runs, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {.ended = fake_has_answers};
	struct kept_answer kept = {.engine = &engine};
	struct ff_ask ask = {.kind = FF_ASK_EXEC};

	ff_strv_add(&ask.argv, "sleep");
	ff_strv_add(&ask.argv, "1000");
	world->send(world->self, &ask, keep_answer, &kept);
	ff_runtime_free(rt);
	cr_expect_eq(kept.times, 0);
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
}

/* ---------------------------------------------------------------- time, turns, signals */

static bool turned_often_enough(const struct ff_engine *engine)
{
	return engine->turns >= engine->wanted;
}

static bool was_interrupted(const struct ff_engine *engine)
{
	return engine->interrupts >= engine->wanted;
}

static void count_tick(void *arg)
{
	++*(unsigned *)arg;
}

Test(runtime_loop, wake_at_turns_the_engine_at_that_time_and_not_before, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {.ended = turned_often_enough, .wanted = 2};
	int64_t begun;
	unsigned ticks = 0;

	usleep(300000); /* the loop's own clock stands still while it does not run */
	begun = world->mono_ms(world->self);
	world->wake_at(world->self, begun + 50);
	world->wake_at(world->self, begun + 450); /* replaces */
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, count_tick, &ticks);
	cr_expect_geq(world->mono_ms(world->self) - begun, 448);
	cr_expect_lt(world->mono_ms(world->self) - begun, 2000);
	cr_expect(ticks >= 2 && ticks <= 5, "%u ticks", ticks);

	engine = (struct ff_engine){.world = world, .ended = turned_often_enough, .wanted = 3};
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL); /* a time that is long past */
	cr_expect_eq(engine.turns, 3);
	ff_runtime_free(rt);
}

Test(runtime_loop, answers_that_come_together_share_a_turn, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {.ended = fake_has_answers, .wanted = 50};
	static struct kept_answer kept[50];

	for (int i = 0; i < 50; i++) {
		struct ff_ask ask = {.kind = FF_ASK_FILE, .path = ff_strdup("/etc/hostname")};

		kept[i].engine = &engine;
		world->send(world->self, &ask, keep_answer, &kept[i]);
	}
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	cr_expect_eq(engine.turns, 1, "%u turns", engine.turns);
	for (int i = 0; i < 50; i++)
		ff_answer_release(&kept[i].a, false);
	ff_runtime_free(rt);
}

Test(runtime_loop, a_run_whose_phase_is_reached_ends_at_once, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_engine engine = {.ended = fake_has_answers, .wanted = 0};

	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	cr_expect_eq(engine.turns, 2);
	ff_runtime_free(rt);
}

static void *signal_twice(void *arg)
{
	(void)arg;
	usleep(100000);
	kill(getpid(), SIGINT);
	usleep(100000);
	kill(getpid(), SIGTERM);
	return NULL;
}

Test(runtime_loop, signals_interrupt_the_engine, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_engine engine = {.ended = was_interrupted, .wanted = 2};
	pthread_t thread;

	cr_expect_not(ff_runtime_interrupted(rt));
	pthread_create(&thread, NULL, signal_twice, NULL);
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	pthread_join(thread, NULL);
	cr_expect_eq(engine.interrupts, 2);
	cr_expect_geq(engine.turns, 3, "not turned after an interrupt");
	cr_expect(ff_runtime_interrupted(rt));
	ff_runtime_free(rt);
}

Test(runtime_loop, a_signal_ends_the_wait_of_a_prompt_and_reaches_the_next_run, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_engine engine = {.ended = was_interrupted, .wanted = 1};
	char byte;
	int fds[2];
	pid_t child;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		usleep(200000);
		kill(getppid(), SIGINT);
		_exit(0);
	}
	cr_expect_eq(read(fds[0], &byte, 1), -1);
	cr_expect_eq(errno, EINTR);
	cr_expect(ff_runtime_interrupted(rt));
	waitpid(child, NULL, 0);
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	cr_expect_eq(engine.interrupts, 1);
	ff_runtime_free(rt);
	close(fds[0]);
	close(fds[1]);
}

Test(runtime_loop, random_bits_differ, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	const struct ff_world *world = ff_runtime_world(rt);
	uint64_t all_or = 0, all_and = UINT64_MAX;

	for (int i = 0; i < 200; i++) {
		uint64_t bits = world->random(world->self);

		all_or |= bits;
		all_and &= bits;
	}
	cr_expect_eq(all_or, UINT64_MAX);
	cr_expect_eq(all_and, 0);
	cr_expect_gt(world->wall_ms(world->self), INT64_C(1700000000000));
	ff_runtime_free(rt);
}
