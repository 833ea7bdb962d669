/*
 * Disks for the tests of diskops: made once by mkdisks, kept in FF_TEST_CACHE (default: BUILD/test-disks), used as
 * sparse copies.
 */
#ifndef UNIT_DISKS_KIT_H
#define UNIT_DISKS_KIT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixfleet/mem.h"

/* The specification of all disks, for mkdisks. Each test program has its own. */
extern const char disks_spec[];

static inline char *build_path(const char *file)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	cr_assert(n > 0);
	exe[n] = '\0'; /* BUILD/tests/test_diskops_repair */
	return ff_printf("%s/%s", dirname(dirname(exe)), file);
}

/* Run a program to its end; its stdout goes to `out_path` when that is not NULL. */
static inline void run(const char *const *argv, const char *out_path)
{
	pid_t pid = fork();
	int status;

	cr_assert(pid >= 0);
	if (pid == 0) {
		int fd = out_path ? open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;

		if (out_path != NULL && (fd < 0 || dup2(fd, STDOUT_FILENO) < 0))
			_exit(126);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", argv[0], (unsigned)status);
}

static inline bool file_is(const char *path, const char *text)
{
	ff_auto_free char *there = ff_calloc(strlen(text) + 2, 1);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(there, 1, strlen(text) + 1, f) : 0;

	if (f != NULL)
		fclose(f);
	return n == strlen(text) && memcmp(there, text, n) == 0;
}

static inline void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The folder of the pristine disks; made when they are not there or of another specification. The caller frees. */
static inline char *pristine(void)
{
	const char *cache = getenv("FF_TEST_CACHE");
	ff_auto_free char *dir = cache ? ff_strdup(cache) : build_path("test-disks"), *mkdisks = build_path("mkdisks");
	ff_auto_free char *wanted = ff_printf("%s/wanted.json", dir), *made = ff_printf("%s/made.json", dir);
	ff_auto_close int lock = -1;

	if (access(mkdisks, X_OK) != 0)
		cr_skip_test("there is no %s: make tools", mkdisks);
	cr_assert(mkdir(dir, 0755) == 0 || errno == EEXIST);
	lock = open(dir, O_RDONLY | O_CLOEXEC);
	cr_assert(lock >= 0 && flock(lock, LOCK_EX) == 0); /* the tests run side by side */
	if (!file_is(made, disks_spec)) {
		write_file(wanted, disks_spec);
		run((const char *const[]){mkdisks, wanted, dir, NULL}, NULL);
		cr_assert(rename(wanted, made) == 0);
	}
	return FF_STEAL(dir);
}

/* A new folder with sparse copies of these disks. The caller frees. */
static inline char *copies_of(const char *const *names, size_t count)
{
	ff_auto_free char *from = pristine(), *dir = build_path("test-work-XXXXXX");

	cr_assert(mkdtemp(dir) != NULL);
	for (size_t i = 0; i < count; i++) {
		ff_auto_free char *image = ff_printf("%s/%s.img", from, names[i]);

		run((const char *const[]){"cp", "--sparse=always", image, dir, NULL}, NULL);
	}
	return FF_STEAL(dir);
}

static inline void remove_folder(const char *dir)
{
	run((const char *const[]){"rm", "-r", dir, NULL}, NULL);
}

static inline bool same_bytes(const char *a, const char *b)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("cmp", "cmp", "-s", a, b, (char *)NULL);
		_exit(2);
	}
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

/* The same bytes, and not even these were written again. */
static inline void expect_untouched(const char *dir, const char *name)
{
	ff_auto_free char *from = pristine(), *a = ff_printf("%s/%s.img", from, name),
			  *b = ff_printf("%s/%s.img", dir, name), *stamp = ff_printf("%s/stamp", dir);
	struct stat image, before;

	cr_expect(same_bytes(a, b), "%s was changed", name);
	cr_assert(stat(b, &image) == 0 && stat(stamp, &before) == 0);
	cr_expect(image.st_mtim.tv_sec < before.st_mtim.tv_sec ||
			  (image.st_mtim.tv_sec == before.st_mtim.tv_sec &&
				  image.st_mtim.tv_nsec <= before.st_mtim.tv_nsec),
		"%s was written", name);
}

#endif
