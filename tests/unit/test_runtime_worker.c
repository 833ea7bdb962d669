#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/runtime/worker_map.h"
#include "fixfleet/worker.h"
#include "test_runtime_fake.h"

/* A worker is a shell script here; $1 is its rescue VM. */
static struct ff_runtime *runtime_with(struct ff_strv *argv, const char *script, bool shared)
{
	struct ff_runtime_options options = {.worker_shared = shared};

	ff_strv_add(argv, "/bin/sh");
	ff_strv_add(argv, "-c");
	ff_strv_add(argv, script);
	ff_strv_add(argv, "worker");
	ff_strv_add(argv, "{rescue}");
	options.worker_argv = *argv;
	return fake_runtime(&options);
}

static void tell(struct ff_runtime *rt, const char *rescue, const char *text)
{
	const struct ff_world *world = ff_runtime_world(rt);
	ff_auto_json json_t *line = json_loads(text, 0, NULL);
	struct ff_err err = {0};

	cr_assert_not_null(line);
	cr_assert_eq(world->worker_send(world->self, rescue, line, &err), 0, "%s", err.text);
}

static void run_until(
	struct ff_runtime *rt, struct ff_engine *engine, bool (*ended)(const struct ff_engine *), unsigned wanted)
{
	engine->ended = ended;
	engine->wanted = wanted;
	ff_runtime_run(rt, engine, FF_PHASE_ENDED, NULL, NULL);
}

static bool has_line(const struct ff_engine *engine, const char *text)
{
	for (unsigned i = 0; i < engine->lines; i++)
		if (ff_streq(engine->line[i], text))
			return true;
	return false;
}

/* Not gone, and not a zombie that waits for an init which buries nobody (containers). */
static bool process_lives(pid_t pid)
{
	ff_auto_free char *path = ff_printf("/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	char state = 'X';

	if (f == NULL)
		return false;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state != 'X' && state != 'Z';
}

static bool dies_soon(pid_t pid)
{
	for (int i = 0; i < 200 && process_lives(pid); i++)
		usleep(20000);
	return !process_lives(pid);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char echo[] = "echo \"{\\\"event\\\":\\\"hello\\\",\\\"me\\\":\\\"$1\\\"}\";"
			   "while read -r line; do echo \"$line\"; done";

Test(runtime_worker, each_rescue_vm_has_its_own_process_and_lines, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv, echo, false);
	struct ff_engine engine = {0};

	tell(rt, "r1", "{\"op\":\"probe\"}");
	tell(rt, "r2", "{\"op\":\"mend\",\"job\":\"7\"}");
	run_until(rt, &engine, fake_has_lines, 4);
	cr_expect_eq(engine.lines, 4);
	cr_expect(has_line(&engine, "r1: {\"event\":\"hello\",\"me\":\"r1\"}"));
	cr_expect(has_line(&engine, "r2: {\"event\":\"hello\",\"me\":\"r2\"}"));
	cr_expect(has_line(&engine, "r1: {\"op\":\"probe\"}"));
	cr_expect(has_line(&engine, "r2: {\"op\":\"mend\",\"job\":\"7\"}"));
	ff_runtime_free(rt);
	cr_expect_eq(engine.gone, 0, "told of the end that free() made");
	fake_release(&engine);
	ff_strv_free(&argv);
}

Test(runtime_worker, its_end_is_told_with_its_last_words, .timeout = 20)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{"read -r x; echo '{\"a\":1}'; echo first >&2; echo 'no /dev/kvm' >&2; exit 3",
			"worker r1 ended with exit status 3: no /dev/kvm"},
		{"read -r x; echo '{\"a\":1}'; exit 0", "worker r1 ended with exit status 0"},
		{"read -r x; echo '{\"a\":1}'; printf 'unfinished' >&2; kill -9 $$",
			"worker r1 was killed by signal 9 (Killed): unfinished"},
		{"read -r x; echo '{\"a\":1}'; exec >&-; exec sleep 100",
			"worker r1 closed its output and did not end"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_strv argv = {0};
		struct ff_runtime *rt = runtime_with(&argv, cases[i].script, false);
		struct ff_engine engine = {0};

		tell(rt, "r1", "{\"op\":\"probe\"}");
		run_until(rt, &engine, fake_has_gone, 1);
		cr_expect_eq(engine.lines, 1, "case %zu: what it said last is lost", i);
		cr_expect_str_eq(engine.gone_name[0], "r1");
		cr_expect_eq(engine.gone_why[0].class, FF_E_LOCAL);
		cr_expect_str_eq(engine.gone_why[0].text, cases[i].why);
		ff_runtime_free(rt);
		fake_release(&engine);
		ff_strv_free(&argv);
	}
}

Test(runtime_worker, what_is_no_protocol_ends_it, .timeout = 30)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{"echo '{\"a\":1}'; printf 'Welcome to host!\n{\"a\":2}\n'; exec sleep 100", "not JSON"},
		{"echo '{\"a\":1}'; echo '[1]'; exec sleep 100", "not a JSON object"},
		{"echo '{\"a\":1}'; echo '{\"a\":1,\"a\":2}'; exec sleep 100", "not JSON"},
		{"echo '{\"a\":1}'; head -c 20000000 /dev/zero | tr '\\0' x; exec sleep 100", "too long a line"},
		{"echo '{\"a\":1}'; printf '\"'; head -c 8388608 /dev/zero | tr '\\0' x; echo '\"'; exec sleep 100",
			"too long a line"},
		{"echo '{\"a\":1}'; cat /dev/zero", "too long a line"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_strv argv = {0};
		struct ff_runtime *rt = runtime_with(&argv, cases[i].script, false);
		struct ff_engine engine = {0};

		tell(rt, "r1", "{\"op\":\"probe\"}");
		run_until(rt, &engine, fake_has_gone, 1);
		cr_expect_eq(engine.lines, 1, "case %zu: %u lines", i, engine.lines);
		cr_expect_not_null(strstr(engine.gone_why[0].text, cases[i].why), "%s", engine.gone_why[0].text);
		ff_runtime_free(rt);
		fake_release(&engine);
		ff_strv_free(&argv);
	}
}

Test(runtime_worker, a_line_of_the_full_length_passes_both_ways, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv, "exec cat", false);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {0};
	struct ff_err err = {0};
	char *text = ff_calloc(FF_WORKER_LINE_BYTES_MAX + 1, 1);
	ff_auto_json json_t *line = json_object();

	memset(text, 'x', FF_WORKER_LINE_BYTES_MAX);
	text[FF_WORKER_LINE_BYTES_MAX - strlen("{\"d\":\"\"}")] = '\0';
	ff_json_set_str(line, "d", text);
	cr_assert_eq(world->worker_send(world->self, "r1", line, &err), 0, "%s", err.text);
	run_until(rt, &engine, fake_has_lines, 1);
	cr_expect_eq(engine.gone, 0, "%s", engine.gone_why[0].text);
	cr_expect_eq(engine.lines, 1);
	cr_expect_eq(strlen(engine.line[0]), FF_WORKER_LINE_BYTES_MAX + strlen("r1: "));

	text[strlen(text)] = 'x';
	ff_json_set_str(line, "d", text);
	cr_expect_eq(world->worker_send(world->self, "r1", line, &err), -1, "one byte too long");
	ff_runtime_free(rt);
	fake_release(&engine);
	ff_strv_free(&argv);
	free(text);
}

Test(runtime_worker, many_lines_to_one_that_does_not_read_do_not_block, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv,
		"sleep 0.5; n=0; while [ $n -lt 2000 ]; do read -r x; n=$((n+1)); "
		"done; echo '{\"n\":2000}'; cat >/dev/null",
		false);
	struct ff_engine engine = {0};
	char text[600] = "";
	int64_t begun = now_ms();

	snprintf(text, sizeof(text), "{\"d\":\"%0500d\"}", 0);
	for (int i = 0; i < 2000; i++)
		tell(rt, "r1", text);
	cr_expect_lt(now_ms() - begun, 400, "sending waited for the reader");
	run_until(rt, &engine, fake_has_lines, 1);
	cr_expect(has_line(&engine, "r1: {\"n\":2000}"));
	ff_runtime_free(rt);
	fake_release(&engine);
	ff_strv_free(&argv);
}

/* Its pid is in its line; so is that of its child, as qemu would be. */
static const char with_child[] =
	"sleep 1000 >/dev/null 2>&1 & echo \"{\\\"me\\\":$$,\\\"child\\\":$!}\"; read -r x; wait";

static void pids_of(const char *line, pid_t *me, pid_t *child)
{
	cr_assert_eq(sscanf(line, "r1: {\"me\":%d,\"child\":%d}", me, child), 2, "%s", line);
}

Test(runtime_worker, killing_takes_its_children_along_and_the_next_line_starts_another, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv, with_child, false);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {0};
	pid_t me, child, next, next_child;

	tell(rt, "r1", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 1);
	pids_of(engine.line[0], &me, &child);
	cr_assert(process_lives(child));
	cr_assert_eq(getpgid(child), me);
	world->worker_kill(world->self, "nobody");
	world->worker_kill(world->self, "r1");
	run_until(rt, &engine, fake_has_gone, 1);
	cr_expect_str_eq(engine.gone_why[0].text, "worker r1 was killed: it hung");
	cr_expect_neq(kill(me, 0), 0, "a zombie is left");

	engine.gone = 0;
	free(engine.gone_name[0]);
	tell(rt, "r1", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 2);
	pids_of(engine.line[1], &next, &next_child);
	cr_expect_neq(next, me);
	world->worker_kill(world->self, "r1");
	ff_runtime_free(rt);
	cr_expect_neq(kill(next, 0), 0);
	cr_expect(dies_soon(child), "qemu would run on");
	cr_expect(dies_soon(next_child), "qemu would run on");
	fake_release(&engine);
	ff_strv_free(&argv);
}

Test(runtime_worker, free_ends_it_by_end_of_input_and_waits, .timeout = 20)
{
	char file[] = "/tmp/fixfleet-test-end-XXXXXX", script[200];
	struct ff_strv argv = {0};
	struct ff_runtime *rt;
	struct ff_engine engine = {0};
	struct stat st;
	int fd = mkstemp(file);

	cr_assert_geq(fd, 0);
	snprintf(script, sizeof(script), "echo '{}'; while read -r x; do :; done; sleep 0.3; echo 'closed cleanly' >%s",
		file);
	rt = runtime_with(&argv, script, false);
	tell(rt, "r1", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 1);
	ff_runtime_free(rt);
	cr_expect_eq(fstat(fd, &st), 0);
	cr_expect_gt(st.st_size, 0, "free() did not wait for it");
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
	close(fd);
	unlink(file);
	fake_release(&engine);
	ff_strv_free(&argv);
}

/* A runtime in a process of its own, which is then killed: no clean-up of ours runs. */
static void run_and_die(int report)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt =
		runtime_with(&argv, "echo \"{\\\"me\\\":$$,\\\"child\\\":0}\"; exec cat >/dev/null", false);
	struct ff_engine engine = {0};
	struct ff_engine both = {0};

	tell(rt, "r1", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 1);
	tell(rt, "r2", "{\"op\":\"probe\"}"); /* must not hold r1's pipe open */
	run_until(rt, &both, fake_has_lines, 1);
	(void)!write(report, engine.line[0], strlen(engine.line[0]));
	(void)!write(report, "\n", 1);
	kill(getpid(), SIGKILL);
}

Test(runtime_worker, workers_see_end_of_input_when_fixfleet_is_killed, .timeout = 20)
{
	char text[100] = "";
	int pipe_fds[2];
	pid_t pid, me, child;

	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		run_and_die(pipe_fds[1]);
	close(pipe_fds[1]);
	cr_assert_gt(read(pipe_fds[0], text, sizeof(text) - 1), 0);
	pids_of(text, &me, &child);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	cr_expect(dies_soon(me), "the worker of a killed fixfleet runs on");
	close(pipe_fds[0]);
}

Test(runtime_worker, its_environment_holds_no_secret, .timeout = 20)
{
	static const char *const gone[] = {"AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AWS_ACCESS_KEY_ID", "GOOGLE_X",
		"CLOUDSDK_CONFIG", "MY_SECRET", "github_token", "DB_PASSWORD"};
	struct ff_strv argv = {0};
	struct ff_runtime *rt;
	struct ff_engine engine = {0};

	for (size_t i = 0; i < FF_COUNT(gone); i++)
		setenv(gone[i], "s3cret", 1);
	setenv("HARMLESS", "yes", 1);
	rt = runtime_with(&argv,
		"if env | grep -q s3cret; then echo '{\"secret\":true}'; else echo \"{\\\"h\\\":\\\"$HARMLESS\\\"}\"; "
		"fi;"
		"read -r x; read -r x",
		false);
	tell(rt, "r1", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 1);
	cr_expect_str_eq(engine.line[0], "r1: {\"h\":\"yes\"}");
	ff_runtime_free(rt);
	fake_release(&engine);
	ff_strv_free(&argv);
}

Test(runtime_worker, it_inherits_none_of_our_files, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv,
		"i=3; n='0 1 2'; while [ $i -lt 64 ]; do [ -e /proc/$$/fd/$i ] && n=\"$n $i\"; i=$((i+1)); done;"
		"echo \"{\\\"n\\\":\\\"$n\\\"}\"; read -r x; read -r x",
		false);
	struct ff_engine engine = {0};
	int leak = open("/dev/null", O_RDONLY); /* not close-on-exec */

	tell(rt, "r1", "{\"op\":\"probe\"}");
	tell(rt, "r2", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 2);
	cr_expect(has_line(&engine, "r1: {\"n\":\"0 1 2\"}"), "%s", engine.line[0]);
	cr_expect(has_line(&engine, "r2: {\"n\":\"0 1 2\"}"), "%s", engine.line[1]);
	close(leak);
	ff_runtime_free(rt);
	fake_release(&engine);
	ff_strv_free(&argv);
}

Test(runtime_worker, names_that_could_be_options_are_refused, .timeout = 20)
{
	static const char *const names[] = {"-oProxyCommand=x", "", "a b", "a\nb", "\x1b[0m", "a\tb"};
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv, echo, false);
	const struct ff_world *world = ff_runtime_world(rt);
	ff_auto_json json_t *line = json_object();

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		struct ff_err err = {0};

		cr_expect_eq(world->worker_send(world->self, names[i], line, &err), -1, "case %zu", i);
		cr_expect_eq(err.class, FF_E_USAGE);
	}
	ff_runtime_free(rt);
	ff_strv_free(&argv);
}

Test(runtime_worker, a_program_that_is_missing_is_told_by_its_name, .timeout = 20)
{
	struct ff_runtime_options options = {0};
	struct ff_runtime *rt;
	const struct ff_world *world;
	ff_auto_json json_t *line = json_object();
	struct ff_err err = {0};

	ff_strv_add(&options.worker_argv, "no-such-program-x");
	rt = fake_runtime(&options);
	world = ff_runtime_world(rt);
	cr_expect_eq(world->worker_send(world->self, "r1", line, &err), -1);
	cr_expect_eq(err.class, FF_E_LOCAL);
	cr_expect_not_null(strstr(err.text, "'no-such-program-x'"), "%s", err.text);
	ff_runtime_free(rt);
	ff_strv_free(&options.worker_argv);
}

/* ---------------------------------------------------------------- one worker for all */

/* Says hello, answers each probe with "ready", each other line with itself; says how many probes it saw. */
static const char shared[] = "echo '{\"event\":\"hello\"}'; n=0; while read -r line; do case $line in "
			     "*probe*) n=$((n+1)); sleep 0.2; echo \"{\\\"event\\\":\\\"ready\\\",\\\"n\\\":$n}\" ;; "
			     "*) echo \"$line\" ;; esac; done";

Test(runtime_worker, a_shared_worker_looks_to_each_rescue_vm_like_its_own, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv, shared, true);
	struct ff_engine engine = {0};

	tell(rt, "r1", "{\"op\":\"probe\"}");
	tell(rt, "r2", "{\"op\":\"probe\"}");
	run_until(rt, &engine, fake_has_lines, 4);
	tell(rt, "r3", "{\"op\":\"probe\"}"); /* comes late */
	run_until(rt, &engine, fake_has_lines, 6);
	tell(rt, "r2", "{\"event\":\"begin\",\"job\":\"7\"}");
	tell(rt, "r3", "{\"event\":\"done\",\"job\":\"8\"}");
	run_until(rt, &engine, fake_has_lines, 8);

	cr_expect_eq(engine.lines, 8);
	for (int r = 1; r <= 3; r++) {
		ff_auto_free char *hello = ff_printf("r%d: {\"event\":\"hello\"}", r);
		ff_auto_free char *ready = ff_printf("r%d: {\"event\":\"ready\",\"n\":1}", r);

		cr_expect(has_line(&engine, hello), "%s", hello);
		cr_expect(has_line(&engine, ready), "%s", ready);
	}
	cr_expect_str_eq(engine.line[6], "r2: {\"event\":\"begin\",\"job\":\"7\"}");
	cr_expect_str_eq(engine.line[7], "r3: {\"event\":\"done\",\"job\":\"8\"}");
	ff_runtime_free(rt);
	fake_release(&engine);
	ff_strv_free(&argv);
}

static void note_line(void *arg, const char *rescue, const json_t *line)
{
	ff_buf_addf(arg, "%s%s ", rescue, ff_json_str(line, "event"));
}

Test(runtime_worker, a_shared_worker_s_lines_go_to_who_asked, .timeout = 20)
{
	static const struct {
		const char *rescue; /* NULL: from the worker */
		const char *line;
		bool written;	  /* to the worker? */
		const char *told; /* who is told what */
	} cases[] = {
		{"A", "{'op':'probe'}", true, ""},
		{"B", "{'op':'probe'}", false, ""}, /* one is under way */
		{NULL, "{'event':'hello'}", false, "Ahello Bhello "},
		{"C", "{'op':'probe'}", false, "Chello "},
		{NULL, "{'event':'unable'}", false, "Aunable Bunable Cunable "},
		{"A", "{'op':'probe'}", true, ""}, /* once more, for it alone */
		{NULL, "{'event':'ready'}", false, "Aready "},
		{NULL, "{'event':'ready'}", false, ""},
		{"B", "{'op':'probe'}", false, "Bready "}, /* known */
		{"B", "{'op':'mend','job':'1'}", true, ""},
		{"D", "{'op':'mend','job':'2'}", true, "Dhello "},
		{NULL, "{'event':'stage','job':'2'}", false, "Dstage "},
		{NULL, "{'event':'stage','job':'3'}", false, ""}, /* nobody's */
		{NULL, "{'event':'done','job':'1'}", false, "Bdone "},
		{NULL, "{'event':'stage','job':'1'}", false, ""}, /* done is the end */
		{"A", "{'op':'mend','job':'1'}", true, ""},
		{NULL, "{'event':'begin','job':'1'}", false, "Abegin "},
		{NULL, "{'event':'other'}", false, "Aother Bother Cother Dother "},
	};
	struct rt_worker_map map = {0};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *text = ff_strdup(cases[i].line);
		ff_auto_json json_t *line = NULL;
		ff_auto_buf told = {0};

		for (char *c = text; *c != '\0'; c++)
			*c = *c == '\'' ? '"' : *c;
		line = json_loads(text, 0, NULL);
		cr_assert_not_null(line);
		ff_buf_adds(&told, "");
		if (cases[i].rescue != NULL) {
			cr_expect_eq(rt_worker_map_sent(&map, cases[i].rescue, line), cases[i].written, "case %zu", i);
			cr_expect_eq(rt_worker_map_owes(&map), cases[i].told[0] != '\0', "case %zu", i);
			rt_worker_map_greet(&map, note_line, &told);
		} else {
			rt_worker_map_line(&map, line, note_line, &told);
		}
		cr_expect_not(rt_worker_map_owes(&map));
		cr_expect_str_eq(told.text, cases[i].told);
	}
	rt_worker_map_free(&map);
}

Test(runtime_worker, a_shared_worker_s_end_is_told_to_all, .timeout = 20)
{
	struct ff_strv argv = {0};
	struct ff_runtime *rt = runtime_with(&argv, "read -r x; read -r x; exit 4", true);
	struct ff_engine engine = {0};

	tell(rt, "r1", "{\"op\":\"mend\",\"job\":\"1\"}");
	tell(rt, "r2", "{\"op\":\"mend\",\"job\":\"2\"}");
	run_until(rt, &engine, fake_has_gone, 2);
	cr_expect_eq(engine.gone, 2);
	cr_expect_str_eq(engine.gone_name[0], "r1");
	cr_expect_str_eq(engine.gone_name[1], "r2");
	cr_expect_str_eq(engine.gone_why[1].text, "worker local ended with exit status 4");
	ff_runtime_free(rt);
	fake_release(&engine);
	ff_strv_free(&argv);
}
