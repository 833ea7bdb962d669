#include "appliance.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitlocker.h"
#include "boot.h"
#include "nbd.h"
#include "store.h"

#define MEMORY_BASE_MB	   512 /* ntfs-3g and the tools need a fraction; less memory boots sooner */
#define MEMORY_PER_DISK_MB 8
#define SMP		   2 /* more do not help: udev's probing of disks is all that runs side by side */
#define SMP_DISKS_MIN	   4 /* fewer disks do not pay for the start of a second processor */
#define COMPLAINT_BYTES	   600

/* What libguestfs and qemu said while launching; the last error alone is mostly "guestfs_launch failed". */
struct complaints {
	struct ff_buf errors, qemu;
};

static void add_first_line(struct ff_buf *b, const char *text, size_t len)
{
	size_t line = 0;

	while (line < len && text[line] != '\n' && text[line] != '\r')
		line++;
	while (line > 0 && (text[line - 1] == '.' || text[line - 1] == ' '))
		line--;
	if (line == 0 || b->len + line > COMPLAINT_BYTES)
		return;
	if (b->len > 0)
		ff_buf_adds(b, "; ");
	ff_buf_add(b, text, line);
}

static void on_error(guestfs_h *g, void *data, const char *message)
{
	struct complaints *c = data;

	(void)g;
	if (strstr(message, "guestfs_launch failed") == NULL)
		add_first_line(&c->errors, message, strlen(message));
}

/* The console of the appliance, which is also where qemu itself complains. */
static void on_console(guestfs_h *g, void *data, uint64_t event, int handle, int flags, const char *text, size_t len,
	const uint64_t *array, size_t array_len)
{
	struct complaints *c = data;
	const char *qemu = memmem(text, len, "qemu-system", strlen("qemu-system"));

	(void)g, (void)event, (void)handle, (void)flags, (void)array, (void)array_len;
	if (qemu != NULL)
		add_first_line(&c->qemu, qemu, len - (size_t)(qemu - text));
}

/* ---------------------------------------------------------------- why it cannot launch */

static const char *kernel_hint(void)
{
	glob_t found;
	bool any = glob("/boot/vmlinu*", 0, NULL, &found) == 0, readable = false;

	for (size_t i = 0; any && i < found.gl_pathc; i++)
		readable |= access(found.gl_pathv[i], R_OK) == 0;
	if (any)
		globfree(&found);
	if (!any)
		return "there is no kernel in /boot: install one, e.g. the package linux-image-amd64";
	return readable ? NULL : "the kernels in /boot cannot be read by this user: run as root or chmod 0644 them";
}

static const char *launch_hint(const char *why)
{
	if (ff_contains_nocase(why, "supermin") || ff_contains_nocase(why, "kernel") ||
		ff_contains_nocase(why, "appliance"))
		return kernel_hint();
	if (ff_contains_nocase(why, "qemu") && ff_contains_nocase(why, "not found"))
		return "install qemu, e.g. the package qemu-system-x86";
	return NULL;
}

static int launch_failed(const struct complaints *c, struct ff_err *err)
{
	ff_auto_free char *why = ff_printf("%s%s%s", c->errors.len ? c->errors.text : "no reason given",
		c->qemu.len ? "; " : "", c->qemu.len ? c->qemu.text : "");
	const char *hint = launch_hint(why);

	return ff_fail(err, FF_E_LOCAL, "libguestfs cannot launch: %s%s%s", why, hint ? "; " : "", hint ? hint : "");
}

/* ---------------------------------------------------------------- launching */

/* Labels are letters only (guestfs(3), guestfs_add_drive_opts). */
static void label_of(size_t index, char out[4])
{
	out[0] = (char)('a' + index / (26 * 26) % 26);
	out[1] = (char)('a' + index / 26 % 26);
	out[2] = (char)('a' + index % 26);
	out[3] = '\0';
}

/* "v" and a letter for its number before the disk's. */
static void volume_label_of(size_t index, size_t volume, char out[6])
{
	out[0] = 'v';
	out[1] = (char)('a' + volume);
	label_of(index, out + 2);
}

static int add_served(guestfs_h *g, const struct job *job, const char *socket, const char *label)
{
	ff_auto_free char *server = ff_printf("unix:%s", socket);
	const char *servers[] = {server, NULL};

	return guestfs_add_drive_opts(g, "", GUESTFS_ADD_DRIVE_OPTS_FORMAT, "raw", GUESTFS_ADD_DRIVE_OPTS_READONLY,
		(int)job->scan_only, GUESTFS_ADD_DRIVE_OPTS_PROTOCOL, "nbd", GUESTFS_ADD_DRIVE_OPTS_SERVER,
		(char *const *)(uintptr_t)servers, GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "writeback",
		GUESTFS_ADD_DRIVE_OPTS_LABEL, label, -1);
}

/* An open BitLocker volume is a disk of its own to the appliance. */
static int add_volumes(guestfs_h *g, const struct job *job, size_t index)
{
	for (size_t i = 0; i < job->locked_count; i++) {
		char label[6];

		if (job->locked[i].server == NULL)
			continue;
		volume_label_of(index, i, label);
		if (add_served(g, job, nbd_socket(job->locked[i].server), label) < 0)
			return -1;
	}
	return 0;
}

static size_t drive_count(struct job *const *jobs, size_t count)
{
	size_t drives = count;

	for (size_t i = 0; i < count; i++)
		for (size_t l = 0; l < jobs[i]->locked_count; l++)
			drives += jobs[i]->locked[l].server != NULL;
	return drives > 0 ? drives : 1;
}

static int add_disk(guestfs_h *g, const struct job *job, const char *label)
{
	if (job->store != NULL && store_socket(job->store) != NULL)
		return add_served(g, job, store_socket(job->store), label);
	/* writeback: guest flushes reach the disk, which is what guestfs_shutdown() ends with */
	return guestfs_add_drive_opts(g, job->path, GUESTFS_ADD_DRIVE_OPTS_FORMAT, job->format ? job->format : "raw",
		GUESTFS_ADD_DRIVE_OPTS_READONLY, (int)job->scan_only, GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "writeback",
		GUESTFS_ADD_DRIVE_OPTS_LABEL, label, -1);
}

static int add_drives(guestfs_h *g, struct job *const *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char label[4];

		label_of(i, label);
		if (add_disk(g, jobs[i], label) < 0 || add_volumes(g, jobs[i], i) < 0)
			return -1;
	}
	/* libguestfs wants a drive to launch; /dev/null is one of no bytes to it */
	return count > 0 ? 0 : guestfs_add_drive_opts(g, "/dev/null", -1);
}

static bool kvm_usable(void)
{
	return access("/dev/kvm", R_OK | W_OK) == 0;
}

/* Is TCG asked for, by LIBGUESTFS_BACKEND_SETTINGS, by us, or for want of a device? */
static bool is_tcg(guestfs_h *g)
{
	ff_auto_free char *forced = NULL;

	guestfs_push_error_handler(g, NULL, NULL); /* "not set" is an error there */
	forced = guestfs_get_backend_setting(g, "force_tcg");
	guestfs_pop_error_handler(g);
	return forced != NULL || !kvm_usable();
}

unsigned appliance_memory_mb(const struct launcher *launcher, size_t disks)
{
	return launcher->memory_mb ? launcher->memory_mb : MEMORY_BASE_MB + MEMORY_PER_DISK_MB * (unsigned)disks;
}

static int configure(guestfs_h *g, const struct launcher *launcher, size_t count)
{
	size_t neighbours = launcher->neighbours ? launcher->neighbours : 1;
	long processors = sysconf(_SC_NPROCESSORS_ONLN) / (long)neighbours;

	/* "direct": no libvirt daemon between us and qemu. pgroup: a Ctrl-C at the terminal is not for qemu. */
	if (guestfs_set_backend(g, "direct") < 0 || guestfs_set_pgroup(g, 1) < 0 ||
		guestfs_set_memsize(g, (int)appliance_memory_mb(launcher, count)) < 0 || guestfs_set_autosync(g, 1) < 0)
		return -1;
	if (count >= SMP_DISKS_MIN && processors >= SMP && guestfs_set_smp(g, SMP) < 0)
		return -1;
	return launcher->force_tcg ? guestfs_set_backend_setting(g, "force_tcg", "1") : 0;
}

/*
 * One attempt. The environment counts (LIBGUESTFS_CACHEDIR, TMPDIR, LIBGUESTFS_HV, ...): distributions and operators
 * use it to make libguestfs work at all.
 */
static int try_launch(
	struct appliance *a, const struct launcher *launcher, struct job *const *jobs, size_t count, struct ff_err *err)
{
	struct complaints c = {0};
	int rc = -1, watch;

	*a = (struct appliance){.g = guestfs_create()};
	if (a->g == NULL)
		return ff_fail(err, FF_E_LOCAL, "libguestfs cannot start: %m");
	guestfs_set_error_handler(a->g, on_error, &c);
	watch = guestfs_set_event_callback(a->g, on_console, GUESTFS_EVENT_APPLIANCE, 0, &c);
	if (watch >= 0 && configure(a->g, launcher, count) == 0 && add_drives(a->g, jobs, count) == 0) {
		if (!launcher->plain)
			boot_quickly(a->g, drive_count(jobs, count));
		rc = guestfs_launch(a->g);
	}
	a->tcg = is_tcg(a->g);
	if (watch >= 0)
		guestfs_delete_event_callback(a->g, watch);
	guestfs_set_error_handler(a->g, NULL, NULL);
	if (rc < 0) {
		launch_failed(&c, err);
		appliance_close(a);
	}
	ff_buf_free(&c.errors);
	ff_buf_free(&c.qemu);
	return rc;
}

static char *device_of(char *const *table, const char *label)
{
	for (char *const *t = table; *t != NULL; t += 2)
		if (ff_streq(t[0], label))
			return ff_strdup(t[1]);
	return NULL;
}

static bool find_device(char *const *table, struct job *job, size_t index)
{
	char label[6];

	label_of(index, label);
	free(job->device);
	job->device = device_of(table, label);
	for (size_t i = 0; i < job->locked_count; i++) {
		struct locked *l = &job->locked[i];

		volume_label_of(index, i, label);
		free(l->device);
		l->device = l->server != NULL ? device_of(table, label) : NULL;
		if (l->server != NULL && l->device == NULL)
			return false;
	}
	return job->device != NULL;
}

/* The device of each job, by its label: the kernel may find the disks in any order. */
static int find_devices(const struct appliance *a, struct job *const *jobs, size_t count, struct ff_err *err)
{
	char **table = guestfs_list_disk_labels(a->g);

	if (table == NULL)
		return appliance_fail(a, err, FF_E_LOCAL, "cannot list the appliance's disks");
	for (size_t i = 0; i < count; i++) {
		if (!find_device(table, jobs[i], i)) {
			appliance_free_list(table);
			return ff_fail(err, FF_E_LOCAL, "'%s' did not appear in the appliance", jobs[i]->path);
		}
	}
	appliance_free_list(table);
	return 0;
}

/* Launched, and each disk is there; otherwise nothing is open. */
static int launch_with(
	struct appliance *a, const struct launcher *launcher, struct job *const *jobs, size_t count, struct ff_err *err)
{
	if (try_launch(a, launcher, jobs, count, err) < 0)
		return -1;
	if (find_devices(a, jobs, count, err) == 0)
		return 0;
	appliance_close(a);
	return -1;
}

/* As asked for, then without KVM where that may be why. */
static int launch_anyhow(
	struct appliance *a, struct launcher *launcher, struct job *const *jobs, size_t count, struct ff_err *err)
{
	struct launcher emulated = *launcher;
	struct ff_err first;

	emulated.force_tcg = true;
	if (launch_with(a, launcher, jobs, count, err) == 0)
		return 0;
	if (launcher->force_tcg || !kvm_usable())
		return -1;
	first = *err;
	if (launch_with(a, &emulated, jobs, count, err) < 0)
		return -1;
	launcher->force_tcg = true;
	free(launcher->note);
	launcher->note = ff_printf("/dev/kvm does not work here, falling back to emulation (slower): %s", first.text);
	return 0;
}

int appliance_launch(
	struct appliance *a, struct launcher *launcher, struct job *const *jobs, size_t count, struct ff_err *err)
{
	struct launcher plain = *launcher;
	struct ff_err first;

	plain.plain = true;
	if (launch_anyhow(a, launcher, jobs, count, err) == 0)
		return 0;
	if (launcher->plain)
		return -1;
	first = *err;
	if (launch_anyhow(a, &plain, jobs, count, err) < 0)
		return -1;
	free(plain.note);
	*launcher = plain;
	launcher->note = ff_printf(
		"the appliance does not boot quickly here, booting it as libguestfs does (slower): %s", first.text);
	return 0;
}

/* ---------------------------------------------------------------- using and ending */

bool appliance_alive(const struct appliance *a)
{
	return a->g != NULL && guestfs_is_ready(a->g) == 1;
}

int appliance_shutdown(struct appliance *a, struct ff_err *err)
{
	int rc = guestfs_shutdown(a->g);

	return rc < 0 ? appliance_fail(a, err, FF_E_LOCAL, "cannot flush the disks") : 0;
}

void appliance_close(struct appliance *a)
{
	if (a->g != NULL)
		guestfs_close(a->g);
	*a = (struct appliance){0};
}

/* libguestfs and the tools below it speak in several lines, and libguestfs adds advice for its developers. */
int appliance_fail(const struct appliance *a, struct ff_err *err, enum ff_class class, const char *what)
{
	const char *why = guestfs_last_error(a->g);
	ff_auto_free char *line = ff_strdup(why ? why : "no reason given");
	char *advice = strstr(line, "\nTo see full error messages");

	if (advice != NULL)
		*advice = '\0';
	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	return ff_fail(err, class, "%s: %.*s", what, COMPLAINT_BYTES, line);
}

void appliance_free_list(char **list)
{
	for (char **item = list; item != NULL && *item != NULL; item++)
		free(*item);
	free(list);
}

char *appliance_version(void)
{
	guestfs_h *g = guestfs_create();
	struct guestfs_version *v = g ? guestfs_version(g) : NULL;
	char *text = v ? ff_printf("%lld.%lld.%lld", (long long)v->major, (long long)v->minor, (long long)v->release)
		       : ff_strdup("unknown");

	guestfs_free_version(v);
	if (g != NULL)
		guestfs_close(g);
	return text;
}
