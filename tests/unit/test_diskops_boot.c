/* An appliance that boots by our init: what it is built from, when it is left alone, and that there is a way back. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diskops/appliance.h"
#include "diskops/boot.h"
#include "fixfleet/mem.h"

static char work[64], path[96], cache[96];
static guestfs_h *g;

static void put(const char *name)
{
	ff_auto_free char *file = ff_printf("%s/supermin.d/%s", path, name);
	int fd = open(file, O_CREAT | O_WRONLY, 0644);

	cr_assert_geq(fd, 0, "%s", file);
	close(fd);
}

/* A libguestfs with its files, and an empty cache. */
static void setup(void)
{
	ff_auto_free char *sources = NULL;

	snprintf(work, sizeof(work), "/tmp/ff-test-boot-XXXXXX");
	cr_assert_not_null(mkdtemp(work));
	snprintf(path, sizeof(path), "%s/guestfs", work);
	snprintf(cache, sizeof(cache), "%s/cache", work);
	sources = ff_printf("%s/supermin.d", path);
	cr_assert_eq(mkdir(path, 0755) | mkdir(sources, 0755) | mkdir(cache, 0755), 0);
	put("base.tar.gz");
	put("packages");
	put("init.tar.gz");
	unsetenv("LIBGUESTFS_PATH");
	g = guestfs_create();
	cr_assert_not_null(g);
	cr_assert_eq(guestfs_set_path(g, path) | guestfs_set_cachedir(g, cache), 0);
}

static void teardown(void)
{
	ff_auto_free char *remove = ff_printf("rm -rf '%s'", work);

	guestfs_close(g);
	cr_expect_eq(system(remove), 0);
}

TestSuite(boot, .init = setup, .fini = teardown);

static char *ours(const char *name)
{
	return ff_printf("%s/.fixfleet-%lu%s%s", cache, (unsigned long)geteuid(), *name ? "/" : "", name);
}

static bool is_there(const char *name)
{
	ff_auto_free char *file = ours(name);

	return access(file, F_OK) == 0;
}

/* Not changed: libguestfs goes its own way. */
static void expect_left_alone(const char *why)
{
	ff_auto_free char *is = NULL;

	cr_expect_not(boot_quickly(g, 1), "%s", why);
	is = guestfs_get_cachedir(g);
	cr_expect_str_eq(is, cache, "%s", why);
	cr_expect_str_eq(guestfs_get_path(g), path, "%s", why);
	cr_expect(guestfs_get_append(g) == NULL, "%s", why);
}

Test(boot, everything_is_as_libguestfs_has_it_but_its_init)
{
	ff_auto_free char *base = ours(""), *file = ours("supermin.d/base.tar.gz"), *is = NULL, *listed = NULL;
	struct stat st;
	char target[256] = "";

	cr_expect(boot_quickly(g, 3));
	cr_expect_str_eq(guestfs_get_path(g), base);
	is = guestfs_get_cachedir(g);
	cr_expect_str_eq(is, base);
	cr_expect_str_eq(guestfs_get_append(g), "fixfleet_drives=3");
	cr_expect_eq(stat(base, &st) | (int)(st.st_mode & 077), 0, "others could put files into it");
	cr_expect_gt(readlink(file, target, sizeof(target) - 1), 0);
	listed = ff_printf("%s/supermin.d/base.tar.gz", path);
	cr_expect_str_eq(target, listed);
	cr_expect_not(is_there("supermin.d/init.tar.gz"));
	cr_expect(is_there("supermin.d/init.tar") && is_there("supermin.d/excludefiles-ff"));
}

Test(boot, what_was_asked_of_the_kernel_before_stays)
{
	cr_assert_eq(guestfs_set_append(g, "quiet"), 0);
	cr_expect(boot_quickly(g, 1));
	cr_expect_str_eq(guestfs_get_append(g), "quiet fixfleet_drives=1");
}

/* supermin builds anew when the directory has changed. */
Test(boot, nothing_is_written_twice)
{
	static const struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	ff_auto_free char *dir = NULL;
	struct stat st;

	cr_assert(boot_quickly(g, 1));
	cr_assert_eq(guestfs_set_path(g, path) | guestfs_set_cachedir(g, cache), 0);
	dir = ours("supermin.d");
	cr_assert_eq(utimensat(AT_FDCWD, dir, past, 0), 0);
	cr_expect(boot_quickly(g, 1));
	cr_expect_eq(stat(dir, &st), 0);
	cr_expect_eq(st.st_mtim.tv_sec, 1000);
}

Test(boot, what_another_version_left_goes_and_what_was_changed_is_put_right)
{
	ff_auto_free char *old = NULL, *init = NULL, *packages = NULL;
	struct stat st;

	cr_assert(boot_quickly(g, 1));
	old = ours("supermin.d/old.tar.gz");
	init = ours("supermin.d/init.tar");
	packages = ours("supermin.d/packages");
	cr_assert_eq(
		symlink("/nowhere", old) | truncate(init, 100) | unlink(packages) | symlink("/nowhere", packages), 0);
	cr_assert_eq(guestfs_set_path(g, path) | guestfs_set_cachedir(g, cache), 0);
	cr_expect(boot_quickly(g, 1));
	cr_expect_eq(lstat(old, &st), -1);
	cr_expect(stat(init, &st) == 0 && st.st_size > 1024 && st.st_size % 512 == 0);
	cr_expect_eq(access(packages, R_OK), 0);
}

Test(boot, the_archive_is_one_that_tar_reads)
{
	ff_auto_free char *file = ours("supermin.d/init.tar");
	ff_auto_free char *list = ff_printf("tar tvf '%s' && tar xOf '%s' init | bash -n", file, file);
	char line[256] = "";
	FILE *tar;

	cr_assert(boot_quickly(g, 1));
	tar = popen(list, "r");
	cr_assert_not_null(tar);
	cr_expect_not_null(fgets(line, sizeof(line), tar));
	cr_expect(ff_has_prefix(line, "-rwxr-xr-x 0/0"), "%s", line);
	cr_expect(ff_has_suffix(line, " init\n"), "%s", line);
	cr_expect_eq(pclose(tar), 0);
}

Test(boot, the_operators_appliance_is_left_alone)
{
	setenv("LIBGUESTFS_PATH", path, 1);
	expect_left_alone("LIBGUESTFS_PATH");
	cr_expect_not(is_there(""));
}

Test(boot, another_layout_is_left_alone)
{
	ff_auto_free char *init = ff_printf("%s/supermin.d/init.tar.gz", path), *sources = NULL, *away = NULL;

	cr_assert_eq(unlink(init), 0);
	expect_left_alone("no init that could be replaced");
	sources = ff_printf("%s/supermin.d", path);
	away = ff_printf("%s/fixed", path);
	cr_assert_eq(rename(sources, away), 0);
	expect_left_alone("a fixed appliance");
}

Test(boot, a_cache_that_others_can_write_is_not_used)
{
	ff_auto_free char *base = ours("");

	cr_assert_eq(mkdir(base, 0777) | chmod(base, 0777), 0);
	expect_left_alone("writable by all");
	cr_assert_eq(rmdir(base) | symlink(work, base), 0);
	expect_left_alone("a link");
	if (geteuid() == 0) {
		cr_assert_eq(unlink(base) | mkdir(base, 0700) | chown(base, 4321, 4321), 0);
		expect_left_alone("another's");
	}
}

/* ---------------------------------------------------------------- the real libguestfs */

/* A qemu that starts no appliance whose command line is like this, where it starts one at all. */
static void refuse(const char *pattern)
{
	ff_auto_free char *hv = ff_printf("%s/qemu", work);
	FILE *script = fopen(hv, "w");

	cr_assert_not_null(script);
	fprintf(script, "#!/bin/sh\ncase $* in\n%s) exit 1 ;;\nesac\nexec qemu-system-x86_64 \"$@\"\n", pattern);
	cr_assert_eq(fchmod(fileno(script), 0755), 0);
	cr_assert_eq(fclose(script), 0);
	setenv("LIBGUESTFS_HV", hv, 1);
}

Test(boot, where_it_boots_nothing_else_is_tried, .timeout = 300)
{
	struct launcher launcher = {0};
	struct appliance a;
	struct ff_err err;

	refuse("*fixfleet_drives*) exec qemu-system-x86_64 \"$@\" ;;\n*-kernel*");
	cr_assert_eq(appliance_launch(&a, &launcher, NULL, 0, &err), 0, "%s", err.text);
	cr_expect_not(launcher.plain);
	cr_expect(appliance_alive(&a));
	appliance_close(&a);
	free(launcher.note);
}

Test(boot, where_it_does_not_boot_libguestfs_boots_its_own_way, .timeout = 300)
{
	struct launcher launcher = {0};
	struct appliance a;
	struct ff_err err;

	refuse("*fixfleet_drives*");
	cr_assert_eq(appliance_launch(&a, &launcher, NULL, 0, &err), 0, "%s", err.text);
	cr_expect(launcher.plain);
	cr_assert_not_null(launcher.note);
	cr_expect_not_null(strstr(launcher.note, "booting it as libguestfs does"), "%s", launcher.note);
	cr_expect(appliance_alive(&a));
	appliance_close(&a);
	free(launcher.note);
}
