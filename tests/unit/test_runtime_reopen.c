/* The folder of a run that was begun, opened again: what is refused is left as it is, to the byte. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test_runtime_fake.h"

#include "fixfleet/journal.h"

static char root[] = "/tmp/fixfleet-test-reopen-XXXXXX";
static struct ff_runtime *rt;
static char *dir, *file, *lock;
static struct ff_buf sound; /* two records */

static void add(int version, const char *kind)
{
	static struct ff_chain chain;
	ff_auto_json json_t *record = json_pack("{s:s,s:i,s:s}", "k", kind, "version", version, "run", "r1");

	if (sound.len == 0)
		chain = (struct ff_chain){0};
	ff_journal_line(&chain, 1721361600000, record, &sound);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(root));
	dir = ff_printf("%s/run", root);
	file = ff_printf("%s/journal.jsonl", dir);
	lock = ff_printf("%s/lock", dir);
	cr_assert_eq(mkdir(dir, 0700), 0);
	add(FF_JOURNAL_VERSION, "run");
	add(FF_JOURNAL_VERSION, "step");
	rt = fake_runtime(NULL);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	ff_runtime_free(rt);
	ff_buf_free(&sound);
	free(dir);
	free(file);
	free(lock);
	cr_expect_eq(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(runtime_reopen, .init = setup, .fini = teardown, .timeout = 20);

static void write_file(const char *text, size_t len)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static void expect_file(const char *text, size_t len)
{
	ff_auto_free char *is = ff_calloc(1 << 16, 1);
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	cr_expect_eq(read(fd, is, 1 << 16), (ssize_t)len);
	cr_expect_eq(memcmp(is, text, len), 0);
	close(fd);
}

static void expect_content(const struct ff_source *journal, const char *text, size_t len)
{
	ff_auto_free char *is = ff_calloc(len, 1);
	struct ff_err err;

	cr_assert_eq(journal->len, len);
	cr_expect_eq(journal->read(journal->self, 0, is, len, &err), (ssize_t)len);
	cr_expect_eq(memcmp(is, text, len), 0);
	cr_expect_eq(journal->read(journal->self, 5, is, 3, &err), 3);
	cr_expect_eq(memcmp(is, text + 5, 3), 0);
}

/* Refused with these words, and the journal is what it was. */
static void expect_refused(const char *text, size_t len, const char *words)
{
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_source journal;
	struct ff_err err = {0};

	cr_assert_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), -1);
	cr_expect_eq(err.class, FF_E_LOCAL);
	cr_expect(strstr(err.text, words) != NULL, "'%s' is not in '%s'", words, err.text);
	cr_expect_eq(world->append(world->self, "x\n", 2, &err), -1);
	expect_file(text, len);
}

Test(runtime_reopen, a_torn_tail_is_cut_off_before_the_first_record_is_appended)
{
	const struct ff_world *world = ff_runtime_world(rt);
	ff_auto_buf torn = {0};
	struct ff_source journal;
	struct ff_err err = {0};

	ff_buf_add(&torn, sound.text, sound.len);
	ff_buf_adds(&torn, "{\"n\":3,\"t\":\"2024-07");
	write_file(torn.text, torn.len);
	cr_assert_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), 0, "%s", err.text);
	expect_content(&journal, sound.text, sound.len);
	expect_file(torn.text, torn.len); /* whoever only looks changes nothing */
	add(FF_JOURNAL_VERSION, "stop");
	cr_assert_eq(world->append(world->self, sound.text + journal.len, sound.len - journal.len, &err), 0);
	cr_assert_eq(world->sync(world->self, &err), 0);
	expect_file(sound.text, sound.len);
}

Test(runtime_reopen, damage_is_refused_with_its_byte)
{
	static const size_t ats[] = {0, 20, 60};

	for (size_t i = 0; i < FF_COUNT(ats); i++) {
		sound.text[ats[i]] ^= 4;
		write_file(sound.text, sound.len);
		expect_refused(sound.text, sound.len, "/run': journal damaged at byte 0");
		sound.text[ats[i]] ^= 4;
	}
}

Test(runtime_reopen, a_run_of_a_newer_program_is_refused)
{
	ff_buf_drop(&sound, sound.len);
	add(FF_JOURNAL_VERSION + 1, "run");
	add(FF_JOURNAL_VERSION + 1, "step");
	write_file(sound.text, sound.len);
	expect_refused(sound.text, sound.len, "is of version");
}

Test(runtime_reopen, a_run_that_is_under_way_is_refused_with_its_process)
{
	ff_auto_free char *want = ff_printf("run folder '%s' is in use by fixfleet process %d", dir, (int)getpid());
	struct ff_source journal;
	struct ff_err err = {0};
	int status;
	pid_t pid;

	write_file(sound.text, sound.len);
	cr_assert_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), 0, "%s", err.text);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct ff_runtime *mine = ff_runtime_new(&(struct ff_runtime_options){0}, &err);
		int rc = ff_runtime_reopen_run(mine, dir, &journal, &err);

		_exit(rc == -1 && err.class == FF_E_LOCAL && ff_streq(err.text, want) ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "the second process was not refused as it should");
	expect_file(sound.text, sound.len);
}

Test(runtime_reopen, where_no_run_is_nothing_is_made)
{
	struct ff_source journal;
	struct ff_err err = {0};

	cr_assert_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), -1);
	cr_expect(strstr(err.text, "holds no journal") != NULL, "%s", err.text);
	cr_expect_eq(access(lock, F_OK), -1);
	cr_expect_eq(access(file, F_OK), -1);
	cr_assert_eq(rmdir(dir), 0);
	cr_assert_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), -1);
	cr_expect_eq(access(dir, F_OK), -1);
}

Test(runtime_reopen, a_journal_that_is_no_file_is_refused)
{
	struct ff_source journal;
	struct ff_err err = {0};

	cr_assert_eq(symlink("/etc/passwd", file), 0);
	cr_expect_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), -1, "a link is followed");
	cr_assert_eq(unlink(file), 0);
	cr_assert_eq(mkfifo(file, 0600), 0);
	cr_expect_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), -1, "a pipe is read");
	cr_expect_neq(err.text[0], '\0');
}

Test(runtime_reopen, a_look_locks_nothing_and_takes_what_is_there)
{
	struct ff_source journal, looked;
	struct ff_err err = {0};
	int fd;

	write_file(sound.text, sound.len);
	cr_assert_eq(ff_runtime_reopen_run(rt, dir, &journal, &err), 0, "%s", err.text);
	cr_assert_eq(ff_runtime_look(dir, &fd, &looked, &err), 0, "%s", err.text);
	expect_content(&looked, sound.text, sound.len);
	close(fd);
	expect_file(sound.text, sound.len);
}

Test(runtime_reopen, a_look_where_no_journal_is_is_refused)
{
	struct ff_source looked;
	struct ff_err err = {0};
	int fd;

	cr_assert_eq(ff_runtime_look(dir, &fd, &looked, &err), -1);
	cr_expect_eq(fd, -1);
	cr_expect_not_null(strstr(err.text, "/run': cannot open its journal: No such file"), "%s", err.text);
	cr_assert_eq(mkfifo(file, 0600), 0);
	cr_assert_eq(ff_runtime_look(dir, &fd, &looked, &err), -1);
	close(fd);
	cr_expect_not_null(strstr(err.text, "/run': its journal is no file"), "%s", err.text);
	cr_assert_eq(unlink(file), 0);
	cr_assert_eq(rmdir(dir), 0);
	cr_assert_eq(ff_runtime_look(dir, &fd, &looked, &err), -1);
	cr_expect_not_null(strstr(err.text, "cannot open run folder '"), "%s", err.text);
}
