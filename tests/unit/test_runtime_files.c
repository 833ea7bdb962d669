/* The run's folder, its journal and its quarantine. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fixfleet/journal.h"
#include "test_runtime_fake.h"

static char root[] = "/tmp/fixfleet-test-run-XXXXXX";
static struct ff_runtime *rt;
static const struct ff_world *world;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(root));
	rt = fake_runtime(NULL);
	world = ff_runtime_world(rt);
}

static void teardown(void)
{
	ff_runtime_free(rt);
	cr_expect_eq(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(runtime_run, .init = setup, .fini = teardown, .timeout = 20);
TestSuite(runtime_keep, .init = setup, .fini = teardown, .timeout = 20);

static char *path_of(const char *below)
{
	return ff_printf("%s/%s", root, below);
}

static char *content_of(const char *below)
{
	ff_auto_free char *path = path_of(below);
	char *text = ff_calloc(1 << 16, 1);
	FILE *f = fopen(path, "re");

	cr_assert_not_null(f, "%s: %m", path);
	(void)!fread(text, 1, (1 << 16) - 1, f);
	fclose(f);
	return text;
}

static void open_run(const char *below)
{
	ff_auto_free char *path = path_of(below);
	struct ff_err err = {0};

	cr_assert_eq(ff_runtime_open_run(rt, path, &err), 0, "%s", err.text);
}

static unsigned mode_of(const char *below)
{
	ff_auto_free char *path = path_of(below);
	struct stat st = {0};

	cr_assert_eq(lstat(path, &st), 0, "%s: %m", path);
	return st.st_mode & 07777;
}

/* ---------------------------------------------------------------- run */

Test(runtime_run, folder_lock_and_journal_are_made_for_their_owner_alone)
{
	ff_auto_free char *lock = NULL;

	umask(0);
	open_run("a/b/run-1");
	cr_expect_eq(mode_of("a"), 0700);
	cr_expect_eq(mode_of("a/b/run-1"), 0700);
	cr_expect_eq(mode_of("a/b/run-1/journal.jsonl"), 0600);
	lock = content_of("a/b/run-1/lock");
	cr_expect_eq(atoi(lock), getpid());
}

Test(runtime_run, lines_are_appended_in_order)
{
	struct ff_err err = {0};
	ff_auto_free char *text = NULL;

	open_run("run");
	cr_assert_eq(world->append(world->self, "one\n", 4, &err), 0);
	cr_assert_eq(world->append(world->self, "two\n", 4, &err), 0);
	cr_assert_eq(world->sync(world->self, &err), 0);
	cr_assert_eq(world->sync(world->self, &err), 0);
	text = content_of("run/journal.jsonl");
	cr_expect_str_eq(text, "one\ntwo\n");
}

Test(runtime_run, a_run_folder_with_a_journal_is_not_taken_again)
{
	struct ff_runtime *other;
	ff_auto_free char *path = path_of("run"), *text = NULL;
	struct ff_err err = {0};

	open_run("run");
	world->append(world->self, "one\n", 4, &err);
	cr_expect_eq(ff_runtime_open_run(rt, path, &err), -1);
	ff_runtime_free(rt); /* gives the lock back */
	rt = other = fake_runtime(NULL);
	world = ff_runtime_world(rt);
	cr_expect_eq(ff_runtime_open_run(other, path, &err), -1);
	cr_expect_eq(err.class, FF_E_LOCAL);
	cr_expect_not_null(strstr(err.text, "holds a journal already"), "%s", err.text);
	text = content_of("run/journal.jsonl");
	cr_expect_str_eq(text, "one\n");
}

/* A journal of one record, and what stands behind it. */
static size_t write_journal(const char *below, const char *more)
{
	ff_auto_free char *path = path_of(below), *file = ff_printf("%s/journal.jsonl", path);
	ff_auto_json json_t *record = json_pack("{s:s,s:i,s:s}", "k", "run", "version", FF_JOURNAL_VERSION, "run", "r");
	ff_auto_buf text = {0};
	struct ff_chain chain = {0};
	FILE *f;

	ff_journal_line(&chain, 0, record, &text);
	cr_assert_eq(mkdir(path, 0700), 0);
	f = fopen(file, "we");
	cr_assert_not_null(f);
	fputs(text.text, f);
	fputs(more, f);
	fclose(f);
	return text.len;
}

Test(runtime_run, a_torn_record_is_cut_off_before_the_next_one)
{
	size_t sound = write_journal("run", "{\"n\":2,\"t\":\"2024");
	ff_auto_free char *path = path_of("run"), *before = NULL, *text = NULL;
	struct ff_source journal;
	struct ff_err err = {0};

	cr_assert_eq(ff_runtime_reopen_run(rt, path, &journal, &err), 0, "%s", err.text);
	cr_expect_eq(journal.len, sound);
	before = content_of("run/journal.jsonl");
	cr_expect_gt(strlen(before), sound, "it was changed before anything was appended");
	cr_assert_eq(world->append(world->self, "two\n", 4, &err), 0, "%s", err.text);
	cr_assert_eq(world->append(world->self, "three\n", 6, &err), 0);
	text = content_of("run/journal.jsonl");
	cr_expect_str_eq(text + sound, "two\nthree\n");
}

Test(runtime_run, a_damaged_journal_is_not_opened)
{
	ff_auto_free char *path = path_of("run");
	struct ff_source journal;
	struct ff_err err = {0};

	write_journal("run", "{\"n\":2}\n{\"n\":3}\n");
	cr_expect_eq(ff_runtime_reopen_run(rt, path, &journal, &err), -1);
	cr_expect_not_null(strstr(err.text, "journal damaged at byte "), "%s", err.text);
}

Test(runtime_run, a_folder_without_a_journal_is_left_as_it_is)
{
	ff_auto_free char *path = path_of("run"), *lock = path_of("run/lock");
	struct ff_source journal;
	struct ff_err err = {0};

	cr_assert_eq(mkdir(path, 0700), 0);
	cr_expect_eq(ff_runtime_reopen_run(rt, path, &journal, &err), -1);
	cr_expect_not_null(strstr(err.text, "holds no journal"), "%s", err.text);
	cr_expect_eq(access(lock, F_OK), -1);
}

Test(runtime_run, a_second_process_is_told_who_holds_the_run)
{
	ff_auto_free char *path = path_of("run"), *want = NULL;
	int status;
	pid_t pid;

	open_run("run");
	want = ff_printf("run folder '%s' is in use by fixfleet process %d", path, (int)getpid());
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct ff_err err = {0};
		struct ff_runtime *mine = ff_runtime_new(&(struct ff_runtime_options){0}, &err);
		int rc = ff_runtime_open_run(mine, path, &err);

		_exit(rc == -1 && err.class == FF_E_LOCAL && ff_streq(err.text, want) ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "the second process was not refused as it should");
}

Test(runtime_run, what_cannot_be_a_run_folder_is_told)
{
	static const char *const paths[] = {"/proc/no-run", "/dev/null/run", "", "/dev/null"};

	for (size_t i = 0; i < FF_COUNT(paths); i++) {
		struct ff_err err = {0};

		cr_expect_eq(ff_runtime_open_run(rt, paths[i], &err), -1, "%s", paths[i]);
		cr_expect_eq(err.class, FF_E_LOCAL);
		cr_expect_neq(err.text[0], '\0');
	}
	open_run("after-all"); /* a refused folder leaves nothing behind */
}

Test(runtime_run, a_lock_that_is_a_link_is_not_followed)
{
	ff_auto_free char *dir = path_of("run"), *lock = path_of("run/lock"), *victim = path_of("victim");
	struct ff_err err = {0};
	struct stat st;

	cr_assert_eq(mkdir(dir, 0700), 0);
	cr_assert_eq(symlink(victim, lock), 0);
	cr_expect_eq(ff_runtime_open_run(rt, dir, &err), -1);
	cr_expect_neq(stat(victim, &st), 0);
}

Test(runtime_run, without_a_run_nothing_can_be_appended_or_kept)
{
	struct ff_err err = {0};

	cr_expect_eq(world->append(world->self, "x\n", 2, &err), -1);
	cr_expect_eq(world->sync(world->self, &err), -1);
	cr_expect_eq(world->keep(world->self, "vm", 0, "a", 0, "x", 1, &err), -1);
	cr_expect_eq(err.class, FF_E_BUG);
}

Test(runtime_run, a_full_file_system_breaks_the_journal_for_good)
{
	struct rlimit limit = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
	struct ff_err err = {0}, again = {0};
	char line[400];

	open_run("run");
	memset(line, 'x', sizeof(line));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 1000;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(world->append(world->self, line, sizeof(line), &err), 0);
	cr_expect_eq(world->append(world->self, line, sizeof(line), &err), 0);
	cr_expect_eq(world->append(world->self, line, sizeof(line), &err), -1);
	cr_expect_eq(err.class, FF_E_LOCAL);
	cr_expect_not_null(strstr(err.text, "journal.jsonl': File too large"), "%s", err.text);

	limit.rlim_cur = limit.rlim_max; /* there is room again: too late */
	setrlimit(RLIMIT_FSIZE, &limit);
	cr_expect_eq(world->append(world->self, "y\n", 2, &again), -1);
	cr_expect_str_eq(again.text, err.text);
	again = (struct ff_err){0};
	cr_expect_eq(world->sync(world->self, &again), -1);
	cr_expect_str_eq(again.text, err.text);
	cr_expect_eq(world->sync(world->self, NULL), -1);
}

/* ---------------------------------------------------------------- quarantine */

/* The one entry of a folder whose name begins so. */
static char *entry_of(const char *below, const char *prefix)
{
	ff_auto_free char *command = ff_printf("ls -d %s/%s/%s*", root, below, prefix);
	char line[1024] = "";
	FILE *f = popen(command, "re");

	cr_assert_not_null(f);
	cr_assert_not_null(fgets(line, sizeof(line), f), "no %s*", prefix);
	pclose(f);
	line[strcspn(line, "\n")] = '\0';
	return ff_strdup(line + strlen(root) + 1);
}

static json_t *manifest_of(const char *path, const char *bytes)
{
	char hex[65];

	ff_sha256_hex(bytes, strlen(bytes), hex);
	return json_pack("[{s:s,s:I,s:s,s:s}]", "path", path, "size", (json_int_t)strlen(bytes), "mtime",
		"2024-07-19T04:09:00Z", "sha256", hex);
}

static int keep(const char *vm, unsigned index, const char *path, int64_t offset, const char *bytes)
{
	struct ff_err err = {0};
	int rc = world->keep(world->self, vm, index, path, offset, bytes, strlen(bytes), &err);

	cr_expect_eq(rc < 0, err.class != FF_E_NONE);
	return rc;
}

Test(runtime_keep, a_file_is_kept_in_pieces_with_its_manifest)
{
	static const char path[] = "/Windows/System32/drivers/CrowdStrike/C-00000291-1.sys";
	ff_auto_json json_t *manifest = manifest_of(path, "abcdef"), *read = NULL;
	ff_auto_free char *dir = NULL, *file = NULL, *file_text = NULL, *list = NULL, *list_text = NULL;
	struct ff_err err = {0};

	open_run("run");
	cr_assert_eq(keep("azure/vm-1", 3, path, 0, "abc"), 0);
	cr_assert_eq(keep("azure/vm-1", 3, path, 3, "def"), 0);
	cr_assert_eq(world->keep_sync(world->self, "azure/vm-1", manifest, &err), 0, "%s", err.text);
	cr_assert_eq(
		world->keep_sync(world->self, "azure/vm-1", manifest, &err), 0, "not safe to repeat: %s", err.text);
	dir = entry_of("run/quarantine", "azure_vm-1-");
	file = ff_printf("%s/3-C-00000291-1.sys", dir);
	file_text = content_of(file);
	cr_expect_str_eq(file_text, "abcdef");
	cr_expect_eq(mode_of(file), 0600);
	cr_expect_eq(mode_of(dir), 0700);
	list = ff_printf("%s/manifest.json", dir);
	list_text = content_of(list);
	read = json_loads(list_text, 0, NULL);
	cr_expect_str_eq(ff_json_str(read, "0/path"), path);
	cr_expect_str_eq(ff_json_str(read, "0/file"), "3-C-00000291-1.sys");
	cr_expect_str_eq(ff_json_str(read, "0/mtime"), "2024-07-19T04:09:00Z");
}

Test(runtime_keep, pieces_out_of_turn_are_refused)
{
	open_run("run");
	cr_expect_eq(keep("vm", 0, "/a", 3, "x"), -1, "a file that was not begun");
	cr_expect_eq(keep("vm", 0, "/a", 0, "abc"), 0);
	cr_expect_eq(keep("vm", 0, "/a", 2, "x"), -1, "overlap");
	cr_expect_eq(keep("vm", 0, "/a", 4, "x"), -1, "gap");
	cr_expect_eq(keep("vm", 0, "/a", -1, "x"), -1);
	cr_expect_eq(keep("vm", 0, "/a", INT64_MAX, "x"), -1);
	cr_expect_eq(keep("vm", 0, "/b", 3, "x"), -1, "another path");
	cr_expect_eq(keep("vm", 1, "/a", 3, "x"), -1, "another index");
	cr_expect_eq(keep("other", 0, "/a", 3, "x"), -1, "another VM");
	cr_expect_eq(keep("vm", 0, "/a", 3, "def"), 0);
}

Test(runtime_keep, hostile_names_stay_inside)
{
	static const struct {
		const char *vm, *path, *dir, *file;
	} cases[] = {
		{"../../x", "../../etc/passwd", "_._.._x-", "0-passwd"},
		{"vm1", "..", "vm1-", "0-_."},
		{"vm2", "/a/", "vm2-", "0-file"},
		{"vm3", "C:\\Windows\\x.sys", "vm3-", "0-x.sys"},
		{"vm4", "/a/\x1b[31m\n\xff.sys", "vm4-", "0-__31m__.sys"},
		{"-rf", "/a/-rf", "_rf-", "0-_rf"},
		{".", ".hidden", "_-", "0-_hidden"},
		{"", "", "-", "0-file"},
	};

	open_run("run");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *dir = NULL, *file = NULL, *text = NULL;

		cr_assert_eq(keep(cases[i].vm, 0, cases[i].path, 0, "bytes"), 0, "case %zu", i);
		dir = entry_of("run/quarantine", cases[i].dir);
		file = ff_printf("%s/%s", dir, cases[i].file);
		text = content_of(file);
		cr_expect_str_eq(text, "bytes");
	}
}

Test(runtime_keep, a_name_of_300_bytes_is_cut)
{
	char name[302] = "/";
	ff_auto_free char *dir = NULL, *file = NULL;

	memset(name + 1, 'n', 300);
	open_run("run");
	cr_expect_eq(keep(name + 1, 0, name, 0, "x"), 0);
	dir = entry_of("run/quarantine", "nnn");
	cr_expect_lt(strlen(dir), 200);
	file = entry_of(dir, "0-nnn");
	cr_expect_eq(strlen(file), strlen(dir) + 1 + 2 + 120);
}

Test(runtime_keep, vms_whose_safe_names_are_equal_are_kept_apart)
{
	open_run("run");
	cr_expect_eq(keep("a/b", 0, "/f", 0, "one"), 0);
	cr_expect_eq(keep("a b", 0, "/f", 0, "two"), 0);
	cr_expect_eq(keep("a/b", 0, "/f", 3, "!"), 0);
	cr_expect_eq(keep("a b", 0, "/f", 3, "?"), 0);
}

Test(runtime_keep, what_the_manifest_does_not_describe_is_not_called_durable)
{
	ff_auto_json json_t *right = manifest_of("/f", "abc"), *wrong = manifest_of("/f", "abd"),
			    *longer = manifest_of("/f", "abcd"), *missing = manifest_of("/g", "abc"),
			    *empty = manifest_of("/empty", "");
	struct ff_err err = {0};

	open_run("run");
	cr_assert_eq(keep("vm", 0, "/f", 0, "abc"), 0);
	cr_expect_eq(world->keep_sync(world->self, "vm", wrong, &err), -1);
	cr_expect_eq(world->keep_sync(world->self, "vm", longer, &err), -1);
	cr_expect_eq(world->keep_sync(world->self, "vm", missing, &err), -1);
	cr_expect_eq(world->keep_sync(world->self, "vm", NULL, &err), -1);
	json_array_extend(right, empty); /* a file without bytes need not have been sent */
	cr_expect_eq(world->keep_sync(world->self, "vm", right, &err), 0, "%s", err.text);
}

Test(runtime_keep, more_files_are_kept_than_may_be_open)
{
	struct rlimit files = {256, 256};
	ff_auto_json json_t *manifest = json_array();
	ff_auto_free char *dir = NULL, *path = NULL, *text = NULL;
	struct ff_err err = {0};

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	open_run("run");
	for (unsigned i = 0; i < 1000; i++) {
		ff_auto_free char *name = ff_printf("/drivers/C-00000291-%05u.sys", i);
		ff_auto_json json_t *one = manifest_of(name, name);

		cr_assert_eq(keep("vm", i, name, 0, name), 0, "file %u", i);
		json_array_extend(manifest, one);
	}
	cr_assert_eq(world->keep_sync(world->self, "vm", manifest, &err), 0, "%s", err.text);
	cr_expect_eq(keep("vm", 999, "/drivers/C-00000291-00999.sys", 29, "x"), -1, "it was whole");
	dir = entry_of("run/quarantine", "vm-");
	path = ff_printf("%s/7-C-00000291-00007.sys", dir);
	text = content_of(path);
	cr_expect_str_eq(text, "/drivers/C-00000291-00007.sys");
}

Test(runtime_keep, an_unfinished_file_is_made_again_and_a_durable_one_stays)
{
	ff_auto_json json_t *one = manifest_of("/f", "one"), *two = manifest_of("/f", "second");
	ff_auto_free char *dir = NULL, *path = NULL, *variant = NULL, *text = NULL, *variant_text = NULL;
	struct ff_err err = {0};

	open_run("run");
	cr_assert_eq(keep("vm", 0, "/f", 0, "a worker that di"), 0);
	cr_assert_eq(keep("vm", 0, "/f", 0, "one"), 0);
	cr_assert_eq(world->keep_sync(world->self, "vm", one, &err), 0, "%s", err.text);
	cr_assert_eq(keep("vm", 0, "/f", 0, "second"), 0);
	cr_assert_eq(world->keep_sync(world->self, "vm", two, &err), 0, "%s", err.text);
	dir = entry_of("run/quarantine", "vm-");
	path = ff_printf("%s/0-f", dir);
	variant = ff_printf("%s/0-f.2", dir);
	text = content_of(path);
	variant_text = content_of(variant);
	cr_expect_str_eq(text, "one");
	cr_expect_str_eq(variant_text, "second");
}

Test(runtime_keep, links_that_somebody_put_there_are_not_followed)
{
	ff_auto_free char *quarantine = path_of("run/quarantine"), *elsewhere = path_of("elsewhere");

	open_run("run");
	cr_assert_eq(mkdir(elsewhere, 0700), 0);
	cr_assert_eq(symlink(elsewhere, quarantine), 0);
	cr_expect_eq(keep("vm", 0, "/f", 0, "x"), -1);
}

Test(runtime_keep, a_full_file_system_is_told)
{
	struct rlimit limit;
	struct ff_err err = {0};

	open_run("run");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 10;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(world->keep(world->self, "vm", 0, "/f", 0, "0123456789", 10, &err), 0);
	cr_expect_eq(world->keep(world->self, "vm", 0, "/f", 10, "x", 1, &err), -1);
	cr_expect_eq(err.class, FF_E_LOCAL);
}

Test(runtime_keep, one_vm_cannot_fill_the_disk)
{
	static const size_t all = (size_t)1 << 30;
	struct ff_err err = {0};

	open_run("run");
	cr_expect_eq(keep("vm", 0, "/f", 0, "0123456789"), 0);
	/* the length is refused before a byte is read */
	cr_expect_eq(world->keep(world->self, "vm", 0, "/f", 10, "", all - 9, &err), -1);
	cr_expect_eq(err.class, FF_E_DISK);
	cr_expect_eq(world->keep(world->self, "vm", 0, "/f", 10, "", SIZE_MAX, &err), -1);
	cr_expect_eq(keep("vm", 0, "/f", 10, "x"), 0);
}
