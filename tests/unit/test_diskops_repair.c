/*
 * The worker on real NTFS disks, with the real libguestfs. Disks are made once by mkdisks and kept in FF_TEST_CACHE
 * (default: BUILD/test-disks); each test works on sparse copies.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "disks_kit.h"
#include "worker_child.h"

#define IMAGE_BYTES (128 * 1024 * 1024)

/* ---------------------------------------------------------------- the disks */

#define CS	   "Windows/System32/drivers/CrowdStrike/"
#define BAD(p)	   "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":41004,\"seed\":7}"
#define LAST(p)	   "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T05:26:59Z\",\"bytes\":600000,\"seed\":8}"
#define GOOD(p)	   "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T05:27:00Z\",\"bytes\":40900,\"seed\":9}"
#define OLD(p)	   "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T04:08:59Z\",\"bytes\":30000,\"seed\":10}"
#define DISK(n, l) "{\"name\":\"" n ".img\",\"layout\":\"" l "\""
#define FILES(f)   ",\"files\":[" f "]}"

/* clang-format off */
const char disks_spec[] =
	"{\"disks\":["
	DISK("one-bad", "single") FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("two-bad-one-good", "esp") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		LAST("c-00000291-00000000-00000033.SYS") "," GOOD("C-00000291-00000000-00000040.sys") ","
		BAD("C-00000292-00000000-00000032.sys")) ","
	DISK("odd-case", "esp-recovery") ",\"case\":\"odd\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("upper-case", "single") ",\"case\":\"upper\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("dual", "dual") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		"{\"partition\":2,\"path\":\"" CS "C-00000291-00000000-00000032.sys\","
		"\"mtime\":\"2024-07-19T04:30:00Z\",\"bytes\":0}") ","
	DISK("control", "single") FILES(
		"{\"path\":\"" CS "C-00000291-\\u0007\\u202e.sys\",\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":100}") ","
	DISK("good", "single") FILES(GOOD("C-00000291-00000000-00000040.sys")) ","
	DISK("older", "esp") FILES(OLD("C-00000291-00000000-00000031.sys")) ","
	DISK("no-crowdstrike", "esp-recovery") "},"
	DISK("junction", "single") ",\"links\":[{\"path\":\"Windows/System32/drivers/CrowdStrike\","
		"\"target\":\"../../../Elsewhere\"}]" FILES("{\"path\":\"Elsewhere/C-00000291-00000000-00000032.sys\","
		"\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":41004}") ","
	DISK("link", "single") ",\"links\":[{\"path\":\"" CS "C-00000291-link.sys\",\"target\":\"csagent.sys\"}]"
		FILES(GOOD("C-00000291-00000000-00000040.sys")) ","
	DISK("linux", "linux") "},"
	DISK("empty", "empty") "},"
	DISK("no-windows", "no-windows") FILES("{\"path\":\"System32/drivers/CrowdStrike/C-00000291-1.sys\","
		"\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":5}") ","
	DISK("bitlocker", "bitlocker-header") "},"
	DISK("broken", "broken-ntfs") "},"
	DISK("hibernated", "single") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		"{\"path\":\"hiberfil.sys\",\"head\":\"hibr\",\"mtime\":\"2024-07-19T04:00:00Z\",\"bytes\":8192}") ","
	DISK("too-large", "single") ",\"size_mib\":192" FILES("{\"path\":\"" CS "C-00000291-large.sys\","
		"\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":67108865}")
	"]}";
/* clang-format on */

/* What is to become of each; `files` is how many are removed, `reason` a part of what is said. */
static const struct expected {
	const char *name, *result, *reason;
	size_t files, windows;
} expected[] = {
	{"one-bad", "repaired", "removed 1 file from /Windows/System32/drivers/CrowdStrike", 1, 1},
	{"two-bad-one-good", "repaired", "removed 2 files from /Windows/System32/drivers/CrowdStrike", 2, 1},
	{"odd-case", "repaired", "removed 1 file from /wInDoWs/sYsTeM32/DrIvErS/CrOwDsTrIkE", 1, 1},
	{"upper-case", "repaired", "removed 1 file from /WINDOWS/SYSTEM32/DRIVERS/CROWDSTRIKE", 1, 1},
	{"dual", "repaired", "removed 2 files from several directories", 2, 2},
	{"control", "repaired", "removed 1 file", 1, 1},
	{"good", "clean", "nothing to remove: 1 good file stamped 2024-07-19T05:27:00Z", 0, 1},
	{"older", "clean", "nothing to remove: 1 older file", 0, 1},
	{"no-crowdstrike", "clean", "no CrowdStrike directory in /Windows/System32/drivers", 0, 1},
	{"junction", "clean", "no CrowdStrike directory in /Windows/System32/drivers", 0, 1},
	{"link", "clean", "1 good file", 0, 1},
	{"linux", "failed", "no Windows found (no NTFS file system)", 0, 0},
	{"empty", "failed", "no Windows found (no NTFS file system)", 0, 0},
	{"no-windows", "failed", "no Windows found (no Windows/System32 on 1 NTFS file system)", 0, 0},
	{"bitlocker", "failed", "the volume on partition 4 is BitLocker-encrypted and no key was given", 0, 0},
	{"broken", "failed", "unreadable NTFS on partition 1: Failed to", 0, 0},
	{"hibernated", "failed", "nothing was removed: NTFS on partition 1: Windows is hibernated", 0, 1},
	{"too-large", "failed", "too large to be kept", 0, 1},
};

/* ---------------------------------------------------------------- what the worker says */

/* Everything about one job. */
struct heard {
	struct ff_buf kept[4]; /* bytes by index */
	json_t *files, *done;  /* of keep-end; the last event */
	bool mended;
};

static void hear_keep(struct heard *h, const json_t *event)
{
	int64_t index = ff_json_int(event, "index", -1);
	size_t len = 0;
	ff_auto_free char *bytes = ff_base64_decode(ff_json_str(event, "data"), &len);

	cr_assert(index >= 0 && index < (int64_t)FF_COUNT(h->kept) && bytes != NULL);
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
	for (size_t i = 0; i < FF_COUNT(h->kept); i++)
		ff_buf_free(&h->kept[i]);
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

/* {"image-less path on its file system": "size mtime sha256"} of each image, by an appliance that knows no diskops. */
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

/* All that was on the pristine disk but what was removed is on the mended one, and nothing else. */
static void compare_trees(const json_t *before, const json_t *after, const json_t *removed, const char *name)
{
	const char *key;
	json_t *entry;
	const json_t *file;
	size_t i, gone = 0;

	cr_assert(json_object_size(before) > 10, "%s", name);
	json_object_foreach ((json_t *)before, key, entry) {
		bool was_removed = false;

		json_array_foreach (removed, i, file)
			was_removed |= ff_streq(ff_json_str(file, "sha256"), ff_json_str(entry, "sha256")) &&
				       ff_contains_nocase(key, "/C-00000291-");
		cr_expect(json_equal(json_object_get(after, key), was_removed ? NULL : entry) ||
				  (was_removed && json_object_get(after, key) == NULL),
			"%s: %s", name, key);
		gone += was_removed;
	}
	cr_expect_eq(gone, json_array_size(removed), "%s", name);
	cr_expect_eq(json_object_size(after), json_object_size(before) - gone, "%s", name);
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
				expected[i].name);
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

		child_send(&c, mend_line(names[i], dir, image,
				       strcmp(names[i], "too-large") == 0 ? 192 * 1024 * 1024 : IMAGE_BYTES));
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
