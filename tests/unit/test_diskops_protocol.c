/* The worker's lines, as far as no appliance is needed: framing, bad jobs, devices that are missing or wrong. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "diskops/batch.h"
#include "diskops/device.h"
#include "diskops/job.h"
#include "worker_child.h"

static const struct {
	const char *what, *text;
	int status;
} framings[] = {
	{"nothing", "", 0},
	{"not JSON", "hello\n", 1},
	{"an array", "[1]\n", 1},
	{"an empty line", "\n", 1},
	{"a duplicate member", "{\"op\":\"probe\",\"op\":\"mend\"}\n", 1},
	{"an unknown op", "{\"op\":\"format\"}\n", 1},
	{"no op", "{}\n", 1},
	{"half a line", "{\"op\":\"kept\",\"job\":\"1\"}", 1},
	{"a job without a name", "{\"op\":\"mend\"}\n", 1},
	{"an answer for a job that is not there", "{\"op\":\"kept\",\"job\":\"1\"}\n{\"op\":\"drop\",\"job\":\"1\"}\n",
		0},
};

Test(protocol, broken_framing_ends_the_worker_with_1)
{
	for (size_t i = 0; i < FF_COUNT(framings); i++) {
		struct child c;
		json_t *hello;

		child_start(&c);
		hello = child_next(&c);
		cr_expect(is_event(hello, "hello"));
		cr_expect_eq(ff_json_int(hello, "version", 0), FF_WORKER_VERSION);
		json_decref(hello);
		child_write(&c, framings[i].text);
		cr_expect_eq(child_end(&c), framings[i].status, "%s", framings[i].what);
	}
}

Test(protocol, a_line_that_is_too_long_ends_the_worker)
{
	ff_auto_free char *line = ff_calloc(FF_WORKER_LINE_BYTES_MAX + 2, 1);
	struct child c;

	signal(SIGPIPE, SIG_IGN);
	memset(line, ' ', FF_WORKER_LINE_BYTES_MAX + 1);
	child_start(&c);
	child_write(&c, line);
	cr_expect(child_await(&c, "done") == NULL, "it ends by itself, not by the end of its input");
	cr_expect_eq(child_end(&c), 1);
}

Test(protocol, the_same_job_twice_ends_the_worker)
{
	struct child c;
	json_t *line = mend_line("1", "/nonexistent", "disk", 0);

	ff_json_set_int(line, "wait_ms", 60000);
	child_start(&c);
	child_send(&c, json_deep_copy(line));
	child_send(&c, line);
	json_t *done = child_await(&c, "done");

	cr_assert(done != NULL);
	cr_expect_str_eq(ff_json_str(done, "result"), "failed");
	json_decref(done);
	cr_expect_eq(child_end(&c), 1);
}

/* ---------------------------------------------------------------- jobs */

static const struct {
	const char *member, *json, *reason;
} bad_jobs[] = {
	{"dev_root", "\"dev\"", "dev_root: not an absolute path"},
	{"paths", "[]", "paths: not an array of 1 to 16 paths"},
	{"paths", "[\"../sda\"]", "paths/0: not a path below dev_root"},
	{"paths", "[\"a\",\"b/../../c\"]", "paths/1: not a path below dev_root"},
	{"paths", "[\"/dev/sda\"]", "paths/0: not a path below dev_root"},
	{"paths", "[7]", "paths/0: not a path below dev_root"},
	{"size_bytes", "-1", "size_bytes: negative"},
	{"serial", "5", "serial: not a text"},
	{"wait_ms", "99999999999", "wait_ms: not in 0..1800000"},
	{"recipes", "[]", "recipes: not an array of 1 to 16 recipes"},
	{"recipes", "[{\"name\":\"x\"}]", "recipes/0: os: missing"},
};

Test(protocol, a_bad_job_fails_alone_and_says_why)
{
	struct child c;

	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(bad_jobs); i++) {
		json_t *line = mend_line("7", "/dev", "null", 0);

		ff_json_set_new(line, bad_jobs[i].member, json_loads(bad_jobs[i].json, JSON_DECODE_ANY, NULL));
		child_send(&c, line);
		ff_auto_json json_t *done = child_await(&c, "done");

		cr_assert(done != NULL);
		cr_expect_str_eq(ff_json_str(done, "job"), "7");
		cr_expect_str_eq(ff_json_str(done, "result"), "failed");
		cr_expect(ff_contains_nocase(ff_json_str(done, "reason"), bad_jobs[i].reason), "%s instead of %s",
			ff_json_str(done, "reason"), bad_jobs[i].reason);
		cr_expect_eq(json_array_size(ff_json_at(done, "removed")), 0);
	}
	cr_expect_eq(child_end(&c), 0);
}

/* ---------------------------------------------------------------- devices */

static void make_file(const char *path, off_t size)
{
	ff_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0 && ftruncate(fd, size) == 0);
}

Test(protocol, wrong_or_missing_devices_fail_without_an_appliance)
{
	char dir[] = "/tmp/ff-test-devices-XXXXXX";
	struct {
		const char *job, *image, *class, *reason;
		int64_t size;
	} cases[] = {
		{"size", "small.img", "disk", "small.img' has 4096 bytes, not the 8192 of the disk", 8192},
		{"empty", "empty.img", "disk", "empty.img' is empty", 0},
		{"missing", "missing.img", "local", "no disk appeared at", 0},
		{"folder", "folder", "local", "folder' is neither a disk nor an image file", 0},
	};
	struct child c;

	cr_assert(mkdtemp(dir) != NULL);
	ff_auto_free char *small = ff_printf("%s/small.img", dir), *empty = ff_printf("%s/empty.img", dir),
			  *folder = ff_printf("%s/folder", dir);

	make_file(small, 4096);
	make_file(empty, 0);
	cr_assert(mkdir(folder, 0700) == 0);
	child_start(&c);
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		child_send(&c, mend_line(cases[i].job, dir, cases[i].image, cases[i].size));
		ff_auto_json json_t *done = child_await(&c, "done");

		cr_expect_str_eq(ff_json_str(done, "job"), cases[i].job);
		cr_expect_str_eq(ff_json_str(done, "class"), cases[i].class);
		cr_expect(ff_contains_nocase(ff_json_str(done, "reason"), cases[i].reason), "%s",
			ff_json_str(done, "reason"));
	}
	cr_expect_eq(child_end(&c), 0);
	unlink(small);
	unlink(empty);
	rmdir(folder);
	rmdir(dir);
}

/* The first mounted block device of this machine that is a whole disk; NULL when there is none. */
static char *mounted_disk(void)
{
	FILE *f = fopen("/proc/mounts", "re");
	char line[4096], device[4096];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		struct stat st;

		if (sscanf(line, "%4095s", device) == 1 && ff_has_prefix(device, "/dev/") && stat(device, &st) == 0 &&
			S_ISBLK(st.st_mode)) {
			fclose(f);
			return ff_strdup(device + strlen("/dev/"));
		}
	}
	if (f != NULL)
		fclose(f);
	return NULL;
}

Test(protocol, a_disk_in_use_is_refused)
{
	ff_auto_free char *name = mounted_disk();
	struct ff_err err;

	if (name == NULL)
		cr_skip_test("no block device is mounted here");
	ff_auto_json json_t *line = mend_line("1", "/dev", name, 0);
	struct job *job = job_parse(line, 0);

	cr_assert(job != NULL && job->state == JOB_WAITING);
	cr_expect_eq(device_find(job, &err), -1);
	cr_expect(ff_contains_nocase(err.text, "is mounted on this machine") ||
			  ff_contains_nocase(err.text, "is a partition, not a disk") ||
			  ff_contains_nocase(err.text, "is held by"),
		"%s", err.text);
	job_free(job);
}

/* ---------------------------------------------------------------- stopping */

static void stop_with(int number)
{
	json_t *line = mend_line("waits", "/nonexistent", "disk", 0), *done;
	struct child c;

	ff_json_set_int(line, "wait_ms", 60000);
	child_start(&c);
	child_send(&c, line);
	child_send(&c, mend_line("bad", "not absolute", "disk", 0)); /* its end shows that both were taken */
	done = child_await(&c, "done");
	cr_expect_str_eq(ff_json_str(done, "job"), "bad");
	json_decref(done);
	kill(c.pid, number);
	done = child_await(&c, "done");
	cr_assert(done != NULL);
	cr_expect_str_eq(ff_json_str(done, "job"), "waits");
	cr_expect_str_eq(ff_json_str(done, "result"), "failed");
	cr_expect(ff_contains_nocase(ff_json_str(done, "reason"), "signal"), "%s", ff_json_str(done, "reason"));
	json_decref(done);
	cr_expect_eq(child_end(&c), 0);
}

Test(protocol, a_signal_ends_the_worker_and_its_jobs)
{
	stop_with(SIGTERM);
	stop_with(SIGHUP);
}

Test(protocol, it_ends_when_nobody_reads_its_lines)
{
	struct child c;
	int status = 0;

	child_start(&c);
	json_decref(child_next(&c));
	close(c.out); /* its input stays open */
	for (int i = 0; i < 200 && waitpid(c.pid, &status, WNOHANG) == 0; i++)
		usleep(50000);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x", (unsigned)status);
	close(c.in);
	ff_buf_free(&c.text);
}

/* ---------------------------------------------------------------- lanes */

static const struct {
	size_t disks;
	long processors;
	int64_t free_mb;
	size_t lanes;
} shapes[] = {
	{1, 8, 100000, 1}, {7, 8, 100000, 1}, {8, 8, 100000, 2}, {16, 2, 100000, 2}, {16, 1, 100000, 1},
	{16, 8, 100000, 4}, {48, 64, 100000, 4}, {16, 4, 2400, 2}, /* memory for two */
	{16, 4, 500, 1}, {16, -1, 0, 1},			   /* nothing known */
};

Test(protocol, disks_are_spread_by_processors_and_memory)
{
	struct launcher launcher = {0};

	for (size_t i = 0; i < FF_COUNT(shapes); i++)
		cr_expect_eq(batch_lanes(shapes[i].disks, shapes[i].processors, shapes[i].free_mb, &launcher),
			shapes[i].lanes, "row %zu", i);
}
