#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gcp_place.h"
#include "ntfs_look.h"

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define SCENARIO_BYTES_MAX (16 * 1024 * 1024)

int sim_make_folders(const char *path)
{
	ff_auto_free char *part = ff_strdup(path);

	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(part, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

static char *read_text(const char *path, struct ff_err *err)
{
	ff_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ff_auto_buf text = {0};
	char piece[65536];
	ssize_t n;

	if (fd < 0) {
		ff_fail(err, FF_E_USAGE, "cannot open '%s': %m", path);
		return NULL;
	}
	while ((n = read(fd, piece, sizeof(piece))) > 0 && text.len <= SCENARIO_BYTES_MAX)
		ff_buf_add(&text, piece, (size_t)n);
	if (n < 0 || text.len > SCENARIO_BYTES_MAX) {
		ff_fail(err, FF_E_USAGE, "cannot read '%s': %s", path, n < 0 ? strerror(errno) : "too large");
		return NULL;
	}
	return ff_buf_take(&text);
}

int sim_write_file(const char *path, const char *text, struct ff_err *err)
{
	ff_auto_free char *temp = ff_printf("%s.new", path);
	ff_auto_close int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || rename(temp, path) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot write '%s': %m", path);
	return 0;
}

/* ---- the scenario's files */

static char *beside(const char *folder, const char *path)
{
	return *path == '/' ? ff_strdup(path) : ff_printf("%s/%s", folder, path);
}

static int inline_text(json_t *azure, const char *folder, const char *from, const char *to, struct ff_err *err)
{
	const char *path = ff_json_str(azure, from);
	ff_auto_free char *full = path != NULL ? beside(folder, path) : NULL;
	ff_auto_free char *text = NULL;

	if (path == NULL || ff_has_prefix(path, "-----BEGIN"))
		return 0;
	text = read_text(full, err);
	if (text == NULL)
		return -1;
	json_object_del(azure, from);
	ff_json_set_str(azure, to, text);
	return 0;
}

static int settle_image(json_t *disk, const char *folder, struct ff_err *err)
{
	const char *image = ff_json_str(disk, "image");
	ff_auto_free char *joined = image != NULL ? beside(folder, image) : NULL;
	char full[PATH_MAX];
	struct stat st;
	int64_t gib = ff_json_int(disk, "size_gib", -1), bytes = ff_json_int(disk, "size_bytes", -1);

	if (image == NULL)
		return 0;
	if (realpath(joined, full) == NULL || stat(full, &st) < 0)
		return ff_fail(err, FF_E_USAGE, "image '%s': %m", joined);
	if ((gib >= 0 && gib << 30 != st.st_size) || (bytes >= 0 && bytes != st.st_size))
		return ff_fail(err, FF_E_USAGE, "image '%s' has %lld bytes, the scenario says otherwise", full,
			(long long)st.st_size);
	json_object_del(disk, "size_gib");
	ff_json_set_str(disk, "image", full);
	ff_json_set_int(disk, "size_bytes", st.st_size);
	return 0;
}

json_t *sim_read_scenario(const char *path, struct ff_err *err)
{
	ff_auto_free char *text = read_text(path, err);
	ff_auto_json json_t *scenario = NULL;
	const char *slash = strrchr(path, '/');
	ff_auto_free char *folder = slash != NULL ? ff_strndup(path, (size_t)(slash - path)) : ff_strdup(".");
	json_t *azure, *aws, *gcp, *e;
	size_t i;

	if (text == NULL)
		return NULL;
	scenario = ff_json_parse(text, strlen(text), SCENARIO_BYTES_MAX, err);
	if (scenario == NULL) {
		ff_wrap(err, "scenario '%s'", path);
		return NULL;
	}
	azure = json_object_get(scenario, "azure");
	if (inline_text(azure, folder, "certificate", "certificate", err) < 0 ||
		inline_text(azure, folder, "federated_token_file", "federated_token", err) < 0)
		return NULL;
	json_array_foreach (json_object_get(azure, "vms"), i, e) {
		if (settle_image(json_object_get(e, "os_disk"), *folder != '\0' ? folder : "/", err) < 0)
			return NULL;
	}
	json_array_foreach (json_object_get(azure, "disks"), i, e) {
		if (settle_image(e, *folder != '\0' ? folder : "/", err) < 0)
			return NULL;
	}
	aws = json_object_get(scenario, "aws");
	json_array_foreach (json_object_get(aws, "vms"), i, e) {
		if (settle_image(json_object_get(e, "root"), *folder != '\0' ? folder : "/", err) < 0)
			return NULL;
	}
	json_array_foreach (json_object_get(aws, "volumes"), i, e) {
		if (settle_image(e, *folder != '\0' ? folder : "/", err) < 0)
			return NULL;
	}
	gcp = json_object_get(scenario, "gcp");
	if (inline_text(json_object_get(gcp, "service_account"), folder, "public_key", "public_key", err) < 0 ||
		sim_gcp_prepare(gcp, err) < 0)
		return NULL;
	json_array_foreach (json_object_get(gcp, "vms"), i, e) {
		if (settle_image(json_object_get(e, "boot"), *folder != '\0' ? folder : "/", err) < 0)
			return NULL;
	}
	return FF_STEAL(scenario);
}

/* ---- hooks */

static int image_is_bad(void *arg, const char *image)
{
	(void)arg;
	return ntfs_image_is_bad(image);
}

static char *image_name(void *arg, const char *disk_id, unsigned number)
{
	const struct sim_files *files = arg;
	const char *name = strrchr(disk_id, '/');

	return ff_printf("%s/disks/%04u-%s.img", files->work_dir, number, name != NULL ? name + 1 : disk_id);
}

struct sim_hooks sim_file_hooks(struct sim_files *files)
{
	return (struct sim_hooks){image_is_bad, image_name, files};
}

/* ---- effects */

static int copy_extent(int in, int out, off_t from, off_t end)
{
	while (from < end) {
		off_t to = from;
		ssize_t n = copy_file_range(in, &from, out, &to, (size_t)(end - from), 0);
		char piece[65536];

		if (n > 0)
			continue;
		n = pread(in, piece, sizeof(piece), from); /* a file system that cannot: by hand */
		if (n <= 0 || pwrite(out, piece, (size_t)n, from) != n)
			return -1;
		from += n;
	}
	return 0;
}

static int copy_sparse(const char *from, const char *to)
{
	ff_auto_close int in = open(from, O_RDONLY | O_CLOEXEC);
	ff_auto_close int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	off_t at = 0, size;

	if (in < 0 || out < 0)
		return -1;
	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	size = lseek(in, 0, SEEK_END);
	if (size < 0 || ftruncate(out, size) < 0)
		return -1;
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(in, at, SEEK_HOLE);

		if (end < 0 || copy_extent(in, out, at, end) < 0)
			return -1;
		at = end;
	}
	return errno == ENXIO ? 0 : -1;
}

#define LINK_FORMS 2 /* azure-vm-utils', and that of cloud-init and the Linux agent */

/* VM names come from the scenario, which has checked them for slashes. */
static char *link_path(const struct sim_files *files, const struct sim_effect *e, size_t form)
{
	ff_auto_free char *tail = e->link != NULL ? ff_strdup(e->link)
				  : form == 0	  ? ff_printf("disk/azure/data/by-lun/%d", e->lun)
						  : ff_printf("disk/azure/scsi1/lun%d", e->lun);

	return ff_printf("%s/%s/%s", files->dev_root, e->vm, tail);
}

static int set_link(const struct sim_files *files, const struct sim_effect *e, size_t form)
{
	ff_auto_free char *path = link_path(files, e, form);
	ff_auto_free char *folder = ff_strndup(path, (size_t)(strrchr(path, '/') - path));

	if (sim_make_folders(folder) < 0 || (unlink(path) < 0 && errno != ENOENT))
		return -1;
	return symlink(e->image, path);
}

static int drop_link(const struct sim_files *files, const struct sim_effect *e, size_t form)
{
	ff_auto_free char *path = link_path(files, e, form);

	return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

void sim_carry_out(const struct sim_files *files, const struct sim_effect *e)
{
	int rc = 0;

	if (e->kind == SIM_COPY_IMAGE)
		rc = copy_sparse(e->from, e->image);
	else if (e->kind == SIM_DELETE_IMAGE)
		rc = unlink(e->image);
	else if (files->dev_root != NULL && e->image != NULL)
		for (size_t form = 0; form < (e->link != NULL ? 1 : LINK_FORMS); form++)
			rc |= e->kind == SIM_LINK ? set_link(files, e, form) : drop_link(files, e, form);
	if (rc < 0)
		fprintf(stderr, "cloudsim: cannot %s '%s': %s\n",
			e->kind == SIM_COPY_IMAGE     ? "copy to"
			: e->kind == SIM_DELETE_IMAGE ? "delete"
						      : "link",
			e->image, strerror(errno));
}
