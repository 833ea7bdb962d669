/*
 * The worker on real NTFS disks, with the real libguestfs. Disks are made once by mkdisks and kept in FF_TEST_CACHE
 * (default: BUILD/test-disks); each test works on sparse copies.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "disks_cases.h"
#include "disks_kit.h"
#include "worker_child.h"

/* ---------------------------------------------------------------- what the worker says */

/* Everything about one job. */
struct heard {
	struct ff_buf *kept; /* bytes by index */
	size_t kept_count;
	json_t *files, *done; /* of keep-end; the last event */
	bool mended;
};

static void hear_keep(struct heard *h, const json_t *event)
{
	int64_t index = ff_json_int(event, "index", -1);
	size_t len = 0;
	ff_auto_free char *bytes = ff_base64_decode(ff_json_str(event, "data"), &len);

	cr_assert(index >= 0 && index <= (int64_t)h->kept_count && bytes != NULL);
	if ((size_t)index == h->kept_count) {
		h->kept = ff_realloc(h->kept, h->kept_count + 1, sizeof(*h->kept));
		h->kept[h->kept_count++] = (struct ff_buf){0};
	}
	cr_expect(len <= 512 * 1024);
	cr_expect_eq((size_t)ff_json_int(event, "offset", -1), h->kept[index].len);
	ff_buf_add(&h->kept[index], bytes, len);
}

static void hear(struct heard *h, const json_t *event)
{
	if (is_event(event, "keep"))
		hear_keep(h, event);
	else if (is_event(event, "keep-end"))
		h->files = json_incref(json_object_get(event, "files"));
	else if (is_event(event, "mended"))
		h->mended = true;
	else if (is_event(event, "done"))
		h->done = json_incref((json_t *)event);
}

static void forget(struct heard *h)
{
	for (size_t i = 0; i < h->kept_count; i++)
		ff_buf_free(&h->kept[i]);
	free(h->kept);
	json_decref(h->files);
	json_decref(h->done);
}

/* What was sent to be kept is what is named, and what was removed is exactly that. */
static void check_kept(const struct heard *h, const struct expected *e)
{
	const json_t *removed = ff_json_at(h->done, "removed"), *file;
	size_t i;

	cr_expect_eq(json_array_size(removed), e->files, "%s", e->name);
	if (e->files > 0)
		cr_expect(json_equal(h->files, removed), "%s", e->name);
	json_array_foreach (removed, i, file) {
		char sha256[65];

		ff_sha256_hex(h->kept[i].text ? h->kept[i].text : "", h->kept[i].len, sha256);
		cr_expect_str_eq(ff_json_str(file, "sha256"), sha256);
		cr_expect_eq((size_t)ff_json_int(file, "size", -1), h->kept[i].len);
	}
}

static void check_done(const struct heard *h, const struct expected *e)
{
	cr_assert(h->done != NULL, "%s", e->name);
	cr_expect_str_eq(ff_json_str(h->done, "result"), e->result, "%s: %s", e->name, ff_json_str(h->done, "reason"));
	cr_expect(ff_contains_nocase(ff_json_str(h->done, "reason"), e->reason), "%s: %s", e->name,
		ff_json_str(h->done, "reason"));
	cr_expect_str_eq(ff_json_str(h->done, "class"), strcmp(e->result, "failed") == 0 ? "disk" : "none");
	cr_expect_eq(json_array_size(ff_json_at(h->done, "windows")), e->windows, "%s", e->name);
	cr_expect_eq(h->mended, e->files > 0, "%s", e->name);
	check_kept(h, e);
}

/* ---------------------------------------------------------------- trees */

/* {"file system and path": its line} of each image, by an appliance that knows no diskops. */
static json_t *read_trees(const char *path)
{
	json_t *trees = json_object();
	ff_auto_free char *line = NULL;
	size_t room = 0;
	FILE *f = fopen(path, "re");

	cr_assert(f != NULL);
	while (getline(&line, &room, f) > 0) {
		ff_auto_json json_t *entry = json_loads(line, 0, NULL);
		ff_auto_free char *key = ff_printf("%s %s", ff_json_str(entry, "fs"), ff_json_str(entry, "path"));
		const char *image = ff_json_str(entry, "image");
		json_t *tree = json_object_get(trees, image);

		if (tree == NULL) {
			tree = json_object();
			ff_json_set_new(trees, image, tree);
		}
		json_object_del(entry, "image");
		ff_json_set_new(tree, key, json_incref(entry));
	}
	fclose(f);
	return trees;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool same_members(const json_t *a, const json_t *b, const char *const *names)
{
	for (; *names != NULL; names++)
		if (!json_equal(json_object_get(a, *names), json_object_get(b, *names)))
			return false;
	return true;
}

/* "gone:/a new:/b changed:/c attributes:/d", sorted: what differs between two trees. The caller frees. */
static char *differences(const json_t *before, const json_t *after)
{
	struct ff_strv list = {0};
	struct ff_buf text = {0};
	const char *key;
	json_t *entry;

	json_object_foreach ((json_t *)before, key, entry) {
		const json_t *now = json_object_get(after, key);

		/* what is in a directory changes the time of none of them: their times are not told */
		if (now == NULL)
			ff_strv_addf(&list, "gone:%s", strchr(key, '/'));
		else if (!same_members(now, entry, (const char *const[]){"size", "mtime", "sha256", NULL}))
			ff_strv_addf(&list, "changed:%s", strchr(key, '/'));
		/* these stay, also of what is changed */
		if (now != NULL && !same_members(now, entry, (const char *const[]){"attributes", "streams", NULL}))
			ff_strv_addf(&list, "attributes:%s", strchr(key, '/'));
	}
	json_object_foreach ((json_t *)after, key, entry)
		if (json_object_get(before, key) == NULL)
			ff_strv_addf(&list, "new:%s", strchr(key, '/'));
	if (list.count > 0)
		qsort(list.items, list.count, sizeof(*list.items), by_text);
	for (size_t i = 0; i < list.count; i++)
		ff_buf_addf(&text, "%s%s", i > 0 ? " " : "", list.items[i]);
	ff_strv_free(&list);
	return ff_buf_take(&text);
}

/* All that was on the pristine disk but what was removed is on the mended one, and nothing else. */
static void compare_trees(const json_t *before, const json_t *after, const json_t *removed, const struct expected *e)
{
	ff_auto_free char *differ = differences(before, after);
	const char *at = differ;
	size_t gone = 0;

	cr_assert(json_object_size(before) > 10, "%s", e->name);
	if (e->differences != NULL) {
		cr_expect_str_eq(differ, e->differences, "%s: %s", e->name, differ);
		return;
	}
	for (; (at = strstr(at, "gone:")) != NULL; at++)
		gone++;
	cr_expect_eq(gone, json_array_size(removed), "%s: %s", e->name, differ);
	cr_expect(strstr(differ, "new:") == NULL && strstr(differ, "changed:") == NULL &&
			  strstr(differ, "attributes:") == NULL,
		"%s: %s", e->name, differ);
}

static void check_trees(const char *dir, const struct heard *heard)
{
	ff_auto_free char *from = pristine(), *mkdisks = build_path("mkdisks"), *out = ff_printf("%s/trees", dir);
	const char *argv[2 * FF_COUNT(expected) + 3] = {mkdisks, "--tree"};
	struct ff_strv images = {0};
	size_t n = 2;

	for (size_t i = 0; i < FF_COUNT(expected); i++)
		if (expected[i].files > 0) {
			ff_strv_addf(&images, "%s/%s.img", from, expected[i].name);
			ff_strv_addf(&images, "%s/%s.img", dir, expected[i].name);
		}
	for (size_t i = 0; i < images.count; i++)
		argv[n++] = images.items[i];
	run(argv, out);
	ff_auto_json json_t *trees = read_trees(out);

	for (size_t i = 0, k = 0; i < FF_COUNT(expected); i++)
		if (expected[i].files > 0) {
			compare_trees(json_object_get(trees, images.items[k]),
				json_object_get(trees, images.items[k + 1]), ff_json_at(heard[i].done, "removed"),
				&expected[i]);
			k += 2;
		}
	ff_strv_free(&images);
}

/* ---------------------------------------------------------------- tests */

static size_t index_of(const char *job)
{
	size_t i = 0;

	while (i < FF_COUNT(expected) && !ff_streq(expected[i].name, job))
		i++;
	return i;
}

static void expect_path(const struct heard *heard, const char *job, const char *member, const char *path)
{
	const char *there = ff_json_str(heard[index_of(job)].done, member);

	cr_assert(there != NULL, "%s: no %s", job, member);
	cr_expect_str_eq(there, path);
}

/* The recipe of that name, file or text. A new reference. */
static json_t *recipe_of(const char *what)
{
	json_t *recipe = ff_recipe_builtin(what);
	ff_auto_free char *path = ff_printf("%s/%s", FF_SOURCE_DIR, what);
	json_error_t where;

	if (recipe == NULL)
		recipe = what[0] == '{' ? json_loads(what, 0, &where) : json_load_file(path, 0, &where);
	cr_assert(recipe != NULL, "%s: %s", what, where.text);
	return recipe;
}

static json_t *case_line(const struct expected *e, const char *dir, const char *image)
{
	json_t *line = mend_line(e->name, dir, image,
		strcmp(e->name, "too-large") == 0					? 192 * 1024 * 1024
		: ff_has_prefix(e->name, "truncated") || strcmp(e->name, "shrunk") == 0 ? 0
											: IMAGE_BYTES);
	json_t *recipes = json_array();

	ff_json_set_bool(line, "discard_hibernation", strcmp(e->name, "discard") == 0);
	if (e->recipe != NULL) {
		json_array_append_new(recipes, recipe_of(e->recipe));
		ff_json_set_new(line, "recipes", recipes);
	} else {
		json_decref(recipes);
	}
	return line;
}

Test(repair, removes_what_is_bad_and_touches_nothing_else)
{
	const char *names[FF_COUNT(expected)];
	struct heard heard[FF_COUNT(expected) + 1] = {0};
	struct child c;
	json_t *event;
	size_t done = 0;

	for (size_t i = 0; i < FF_COUNT(expected); i++)
		names[i] = expected[i].name;
	ff_auto_free char *dir = copies_of(names, FF_COUNT(names)), *stamp = ff_printf("%s/stamp", dir);

	write_file(stamp, "");
	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(expected); i++) {
		ff_auto_free char *image = ff_printf("%s.img", names[i]);

		child_send(&c, case_line(&expected[i], dir, image));
	}
	while (done < FF_COUNT(expected) && (event = child_next(&c)) != NULL) {
		hear(&heard[index_of(ff_json_str(event, "job"))], event);
		if (is_event(event, "keep-end"))
			child_send(&c, op("kept", ff_json_str(event, "job")));
		done += is_event(event, "done");
		json_decref(event);
	}
	cr_expect_eq(child_end(&c), 0);
	for (size_t i = 0; i < FF_COUNT(expected); i++) {
		check_done(&heard[i], &expected[i]);
		if (expected[i].files == 0 && strcmp(names[i], "hibernated") != 0)
			expect_untouched(dir, names[i]);
	}
	expect_path(heard, "dual", "removed/0/path", "/" CS "C-00000291-00000000-00000032.sys");
	expect_path(heard, "dual", "removed/1/path", "partition 2:/" CS "C-00000291-00000000-00000032.sys");
	expect_path(heard, "control", "removed/0/path", "/" CS "C-00000291-\\x07\\xe2\\x80\\xae.sys");
	expect_path(heard, "link", "notes/0", "'/" CS "C-00000291-link.sys' is not a regular file and stays");
	expect_path(heard, "directory", "notes/0", "'/" CS "C-00000291-dir.sys' is not a regular file and stays");
	expect_path(
		heard, "dirty-bit", "notes/0", "Windows had not unmounted partition 1 cleanly (its dirty bit is set)");
	expect_path(heard, "dirty-log", "notes/0",
		"Windows had not unmounted partition 1 cleanly (its journal was not empty)");
	expect_path(heard, "discard", "notes/0", "Windows was hibernated: its saved session was discarded");
	expect_path(heard, "driver", "changed/0",
		"set SYSTEM/ControlSet001/Services/ContosoFlt value Start to dword 4 (was dword 0)");
	expect_path(heard, "driver-log", "changed/0",
		"set SYSTEM/ControlSet001/Services/contosoflt value Start to dword 4 (was dword 0)");
	expect_path(heard, "driver-log", "notes/0",
		"'/Windows/System32/config/SYSTEM' was being written when Windows stopped: 1 entry of its log counts");
	expect_path(heard, "deeds", "changed/0", "renamed '/Contoso/old.dat' to 'new.dat'");
	check_trees(dir, heard);
	for (size_t i = 0; i <= FF_COUNT(expected); i++)
		forget(&heard[i]);
	remove_folder(dir);
}

/* One is kept, one is dropped, for one nothing is said before the controller leaves, one was only to be looked at. */
Test(repair, what_is_not_kept_is_not_removed)
{
	static const char *const names[] = {"one-bad", "upper-case", "odd-case", "two-bad-one-good"};
	static const char *const results[] = {"repaired", "failed", "failed", "clean"};
	static const char *const reasons[] = {
		"removed 1 file", "dropped", "before the files were kept", "would remove 2 files from /Windows/"};
	ff_auto_free char *dir = copies_of(names, FF_COUNT(names)), *stamp = ff_printf("%s/stamp", dir);
	struct heard heard[FF_COUNT(names)] = {0};
	struct child c;
	json_t *event;
	size_t asked = 0;

	write_file(stamp, "");
	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		ff_auto_free char *image = ff_printf("%s.img", names[i]);
		json_t *line = mend_line(names[i], dir, image, IMAGE_BYTES);

		ff_json_set_bool(line, "scan_only", i == 3);
		child_send(&c, line);
	}
	while ((event = child_next(&c)) != NULL) {
		for (size_t i = 0; i < FF_COUNT(names); i++)
			if (ff_streq(ff_json_str(event, "job"), names[i]))
				hear(&heard[i], event);
		asked += is_event(event, "keep-end");
		if (is_event(event, "keep-end") && asked == 3) {
			child_send(&c, op("drop", "upper-case"));
			child_send(&c, op("kept", "upper-case")); /* too late */
			child_send(&c, op("kept", "one-bad"));
			close(c.in);
			c.in = -1;
		}
		json_decref(event);
	}
	cr_expect_eq(child_end(&c), 0);
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		cr_assert(heard[i].done != NULL, "%s", names[i]);
		cr_expect_str_eq(ff_json_str(heard[i].done, "result"), results[i], "%s", names[i]);
		cr_expect(ff_contains_nocase(ff_json_str(heard[i].done, "reason"), reasons[i]), "%s: %s", names[i],
			ff_json_str(heard[i].done, "reason"));
		if (i > 0)
			expect_untouched(dir, names[i]);
		forget(&heard[i]);
	}
	remove_folder(dir);
}

/* Locks as qemu takes them on an image that another qemu writes to (bytes 100 to 299; qemu, block/file-posix.c). */
static int lock_like_qemu(const char *path)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 200};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
	return fd;
}

Test(repair, a_disk_that_cannot_be_opened_fails_alone)
{
	static const char *const names[] = {"one-bad", "upper-case", "good"};
	ff_auto_free char *dir = copies_of(names, FF_COUNT(names)), *locked = ff_printf("%s/upper-case.img", dir);
	ff_auto_close int lock = lock_like_qemu(locked); /* held until the worker has ended */
	const char *results[FF_COUNT(names)] = {"repaired", "failed", "clean"};
	struct child c;
	json_t *event;
	size_t done = 0;

	cr_assert(lock >= 0);
	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		ff_auto_free char *image = ff_printf("%s.img", names[i]);

		child_send(&c, mend_line(names[i], dir, image, IMAGE_BYTES));
	}
	while (done < FF_COUNT(names) && (event = child_next(&c)) != NULL) {
		if (is_event(event, "keep-end"))
			child_send(&c, op("kept", ff_json_str(event, "job")));
		for (size_t i = 0; i < FF_COUNT(names) && is_event(event, "done"); i++)
			if (ff_streq(ff_json_str(event, "job"), names[i])) {
				cr_expect_str_eq(ff_json_str(event, "result"), results[i], "%s: %s", names[i],
					ff_json_str(event, "reason"));
				cr_expect(i != 1 || ff_contains_nocase(ff_json_str(event, "reason"), "lock"), "%s",
					ff_json_str(event, "reason"));
			}
		done += is_event(event, "done");
		json_decref(event);
	}
	cr_expect_eq(done, FF_COUNT(names));
	cr_expect_eq(child_end(&c), 0);
	remove_folder(dir);
}

/* ---------------------------------------------------------------- sudden deaths */

/* The qemu that this process started; 0 when there is none. */
static pid_t qemu_of(pid_t parent)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	pid_t found = 0;

	cr_assert(proc != NULL);
	while (found == 0 && (d = readdir(proc)) != NULL) {
		ff_auto_free char *path = ff_printf("/proc/%s/stat", d->d_name);
		FILE *f = d->d_name[0] >= '0' && d->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		char name[64];
		int pid, above;

		if (f == NULL)
			continue;
		/* proc(5): pid (name) state parent */
		if (fscanf(f, "%d (%63[^)]) %*c %d", &pid, name, &above) == 3 && above == parent &&
			ff_has_prefix(name, "qemu"))
			found = pid;
		fclose(f);
	}
	closedir(proc);
	return found;
}

/* The folder of that qemu's socket, which a killed worker leaves behind: libguestfs makes it in /tmp for root. The
 * caller frees. */
static char *socket_dir_of(pid_t qemu)
{
	ff_auto_free char *path = ff_printf("/proc/%d/cmdline", qemu), *word = NULL;
	FILE *f = fopen(path, "re");
	char *dir = NULL;
	size_t room = 0;

	cr_assert(f != NULL);
	while (dir == NULL && getdelim(&word, &room, '\0', f) > 0) {
		char *from = strstr(word, "path=/"), *to = strstr(word, "/guestfsd.sock");

		if (from != NULL && to > from)
			dir = ff_strndup(from + strlen("path="), (size_t)(to - from) - strlen("path="));
	}
	fclose(f);
	cr_assert(dir != NULL && strstr(dir, "libguestfs") != NULL);
	return dir;
}

/* The disk that was being looked at fails, the one that was to be mended fails; the others start over. */
Test(repair, the_death_of_an_appliance_fails_no_more_than_it_must)
{
	static const char *const names[] = {"one-bad", "good", "older", "no-crowdstrike", "link"};
	ff_auto_free char *dir = copies_of(names, FF_COUNT(names)), *stamp = ff_printf("%s/stamp", dir);
	struct heard heard[FF_COUNT(names)] = {0};
	size_t done = 0, culprits = 0;
	struct child c;
	json_t *event;

	write_file(stamp, "");
	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		ff_auto_free char *image = ff_printf("%s.img", names[i]);

		child_send(&c, mend_line(names[i], dir, image, IMAGE_BYTES));
	}
	while (done < FF_COUNT(names) && (event = child_next(&c)) != NULL) {
		pid_t qemu = is_event(event, "keep-end") ? qemu_of(c.pid) : 0;

		for (size_t i = 0; i < FF_COUNT(names); i++)
			if (ff_streq(ff_json_str(event, "job"), names[i]))
				hear(&heard[i], event);
		cr_assert(!is_event(event, "keep-end") || (qemu > 0 && kill(qemu, SIGKILL) == 0));
		done += is_event(event, "done");
		json_decref(event);
	}
	cr_expect_eq(child_end(&c), 0);
	cr_expect_str_eq(ff_json_str(heard[0].done, "result"), "failed");
	cr_expect_str_eq(ff_json_str(heard[0].done, "class"), "local");
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		const char *reason = ff_json_str(heard[i].done, "reason");
		bool culprit = ff_contains_nocase(reason, "died while it looked at this disk");

		culprits += culprit;
		cr_expect_str_eq(
			ff_json_str(heard[i].done, "result"), i == 0 || culprit ? "failed" : "clean", "%s", reason);
		expect_untouched(dir, names[i]);
		forget(&heard[i]);
	}
	cr_expect(culprits <= 1);
	remove_folder(dir);
}

/* A stopped qemu is what a disk that hangs looks like: the call never comes back. */
Test(repair, a_disk_that_hangs_is_given_up_and_its_neighbours_are_not)
{
	static const char *const names[] = {"good", "older", "no-crowdstrike"};
	ff_auto_free char *dir = copies_of(names, FF_COUNT(names)), *stamp = ff_printf("%s/stamp", dir);
	size_t done = 0, given_up = 0;
	bool stopped = false;
	struct child c;
	json_t *event;

	write_file(stamp, "");
	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		ff_auto_free char *image = ff_printf("%s.img", names[i]);
		json_t *line = mend_line(names[i], dir, image, IMAGE_BYTES);

		ff_json_set_int(line, "timeout_ms", 20000);
		child_send(&c, line);
	}
	while (done < FF_COUNT(names) && (event = child_next(&c)) != NULL) {
		const char *reason = ff_json_str(event, "reason");

		if (is_event(event, "stage") && !stopped && ff_has_prefix(ff_json_str(event, "text"), "windows root"))
			stopped = kill(qemu_of(c.pid), SIGSTOP) == 0;
		if (is_event(event, "done")) {
			bool late = ff_contains_nocase(reason, "given up: looking at it took longer than 20s");

			given_up += late;
			cr_expect_str_eq(ff_json_str(event, "result"), late ? "failed" : "clean", "%s", reason);
			cr_expect_str_eq(ff_json_str(event, "class"), late ? "disk" : "none", "%s", reason);
		}
		done += is_event(event, "done");
		json_decref(event);
	}
	cr_expect(stopped);
	cr_expect_eq(given_up, 1);
	cr_expect_eq(child_end(&c), 0);
	for (size_t i = 0; i < FF_COUNT(names); i++)
		expect_untouched(dir, names[i]);
	remove_folder(dir);
}

Test(repair, no_qemu_survives_its_worker)
{
	static const char *const names[] = {"one-bad"};
	ff_auto_free char *dir = copies_of(names, 1);
	char litter[] = "/tmp/ff-test-killed-XXXXXX";
	struct child c;
	pid_t qemu;
	int status;

	cr_assert(mkdtemp(litter) != NULL);
	setenv("LIBGUESTFS_TMPDIR", litter, 1);
	child_start(&c);
	child_send(&c, mend_line("1", dir, "one-bad.img", 0));
	json_decref(child_await(&c, "keep-end"));
	qemu = qemu_of(c.pid);
	cr_assert(qemu > 0);
	ff_auto_free char *sockets = socket_dir_of(qemu);

	kill(c.pid, SIGKILL);
	cr_assert(waitpid(c.pid, &status, 0) == c.pid);
	for (int i = 0; i < 200 && kill(qemu, 0) == 0; i++)
		usleep(50000);
	cr_expect(kill(qemu, 0) < 0 && errno == ESRCH);
	close(c.in);
	close(c.out);
	ff_buf_free(&c.text);
	remove_folder(litter);
	remove_folder(sockets);
	remove_folder(dir);
}

Test(repair, a_probe_tells_why_no_appliance_can_be_launched)
{
	struct child c;

	setenv("LIBGUESTFS_PATH", "/nonexistent", 1);
	child_start(&c);
	child_send(&c, op("probe", NULL));
	ff_auto_json json_t *unable = child_await(&c, "unable");

	cr_assert(unable != NULL);
	cr_expect_str_eq(ff_json_str(unable, "class"), "local");
	cr_expect(ff_has_prefix(ff_json_str(unable, "reason"), "libguestfs cannot launch: "));
	cr_expect(strchr(ff_json_str(unable, "reason"), '\n') == NULL);
	cr_expect_eq(child_end(&c), 0);
}
