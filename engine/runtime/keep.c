/*
 * The quarantine: RUN_DIR/quarantine/VM/INDEX-NAME, one folder a VM, manifest.json beside the files.
 *
 * Paths and bytes come from disks that an attacker may have written, by way of a worker: names are made safe, files are
 * made anew and only grow at their end, and what one VM may fill is limited, since the journal lives on the same file
 * system. Nothing that was once made durable is ever overwritten. Before the worker is told to remove the originals,
 * the manifest's sizes and hashes are compared with what was written here.
 */
#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixfleet/json.h"

#define VM_BYTES_MAX   ((int64_t)1024 * 1024 * 1024)
#define VM_FILES_MAX   65536
#define NAME_BYTES_MAX 120
#define VARIANTS_MAX   100
#define HEX_BYTES      65
#define SYNC_ALL_MIN   64 /* files; fewer are flushed one by one, which others' writes do not slow down */

struct kept_file {
	unsigned index;
	char *path, *name; /* on the VM's disk; in the folder */
	int fd;		   /* -1: closed, whole */
	bool durable;
	int64_t bytes;
	EVP_MD_CTX *hash;
	char sha256[HEX_BYTES];
};

struct rt_kept_vm {
	char *key, *folder;
	int fd; /* of the folder; -1 while nothing is being kept: a run may have thousands of VMs */
	int64_t bytes;
	struct kept_file *files;
	size_t count;
	SLIST_ENTRY(rt_kept_vm) next;
};

/* ---------------------------------------------------------------- names */

/* Letters, digits, '.', '_' and '-' stay, all else becomes '_'; never hidden, never taken for an option. */
static char *safe_name(const char *text)
{
	size_t len = strlen(text);
	char *name = ff_strndup(text, len < NAME_BYTES_MAX ? len : NAME_BYTES_MAX);

	for (char *c = name; *c != '\0'; c++)
		if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    strchr("._-", *c) != NULL))
			*c = '_';
	if (name[0] == '.' || name[0] == '-')
		name[0] = '_';
	return name;
}

static const char *base_of(const char *path)
{
	const char *base = path;

	for (; *path != '\0'; path++)
		if (*path == '/' || *path == '\\')
			base = path + 1;
	return *base != '\0' ? base : "file";
}

/* Two names may become the same safe name: some of the key's hash tells them apart. */
char *rt_folder_name(const char *name, const char *key)
{
	ff_auto_free char *safe = safe_name(name);
	char hex[HEX_BYTES];

	ff_sha256_hex(key, strlen(key), hex);
	return ff_printf("%s-%.12s", safe, hex);
}

/* ---------------------------------------------------------------- the folder of a VM */

static int open_folder(int above, const char *name)
{
	if (mkdirat(above, name, 0700) == 0) {
		if (fsync(above) < 0)
			return -1;
	} else if (errno != EEXIST) {
		return -1;
	}
	return openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static struct rt_kept_vm *find_vm(struct ff_runtime *rt, const char *key)
{
	struct rt_kept_vm *vm;

	SLIST_FOREACH(vm, &rt->kept, next)
	{
		if (ff_streq(vm->key, key))
			return vm;
	}
	vm = ff_calloc(1, sizeof(*vm));
	vm->key = ff_strdup(key);
	vm->folder = rt_folder_name(key, key);
	vm->fd = -1;
	SLIST_INSERT_HEAD(&rt->kept, vm, next);
	return vm;
}

/* The VM's entry with its folder open; NULL with err. */
static struct rt_kept_vm *open_vm(struct ff_runtime *rt, const char *key, struct ff_err *err)
{
	struct rt_kept_vm *vm = find_vm(rt, key);

	if (vm->fd >= 0)
		return vm;
	if (rt->run.dir_fd < 0) {
		ff_fail(err, FF_E_BUG, "no run is open");
		return NULL;
	}
	if (rt->run.quarantine_fd < 0)
		rt->run.quarantine_fd = open_folder(rt->run.dir_fd, "quarantine");
	if (rt->run.quarantine_fd >= 0)
		vm->fd = open_folder(rt->run.quarantine_fd, vm->folder);
	if (vm->fd >= 0)
		return vm;
	ff_fail(err, FF_E_LOCAL, "cannot make '%s/quarantine/%s': %m", rt->run.dir, vm->folder);
	return NULL;
}

/* ---------------------------------------------------------------- one file */

static void file_release(struct kept_file *file)
{
	ff_close_ptr(&file->fd);
	EVP_MD_CTX_free(file->hash);
	free(file->path);
	free(file->name);
}

static struct kept_file *find_file(struct rt_kept_vm *vm, unsigned index)
{
	for (size_t i = vm->count; i > 0; i--)
		if (vm->files[i - 1].index == index)
			return &vm->files[i - 1];
	return NULL;
}

/* It is whole: there may be thousands, so it does not stay open. */
static void seal_file(struct kept_file *file)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (file->fd < 0)
		return;
	if (EVP_DigestFinal_ex(file->hash, digest, &len) != 1)
		ff_oom();
	for (unsigned i = 0; i < len && i < HEX_BYTES / 2; i++)
		snprintf(file->sha256 + 2 * (size_t)i, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(file->hash);
	file->hash = NULL;
	ff_close_ptr(&file->fd);
	file->fd = -1;
}

/*
 * An unfinished file of ours is of a worker that died: it is made again. Any other file of that name stays as it is,
 * and the new one gets a number behind its name.
 */
static void drop_unfinished(struct rt_kept_vm *vm, unsigned index)
{
	struct kept_file *file = find_file(vm, index);

	if (file == NULL || file->durable)
		return;
	unlinkat(vm->fd, file->name, 0);
	vm->bytes -= file->bytes;
	file_release(file);
	*file = vm->files[--vm->count];
}

static int create_file(const struct rt_kept_vm *vm, unsigned index, const char *path, char **name)
{
	ff_auto_free char *safe = safe_name(base_of(path));
	int fd = -1;

	for (unsigned variant = 1; variant < VARIANTS_MAX; variant++) {
		free(*name);
		*name = variant == 1 ? ff_printf("%u-%s", index, safe) : ff_printf("%u-%s.%u", index, safe, variant);
		fd = openat(vm->fd, *name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd;
}

static struct kept_file *begin_file(struct rt_kept_vm *vm, unsigned index, const char *path, struct ff_err *err)
{
	struct kept_file file = {.index = index};

	drop_unfinished(vm, index);
	if (vm->count > 0)
		seal_file(&vm->files[vm->count - 1]);
	if (vm->count >= VM_FILES_MAX) {
		ff_fail(err, FF_E_DISK, "more than %d files to keep", VM_FILES_MAX);
		return NULL;
	}
	file.fd = create_file(vm, index, path, &file.name);
	if (file.fd < 0) {
		ff_fail(err, FF_E_LOCAL, "cannot create quarantine/%s/%s: %m", vm->folder, file.name);
		free(file.name);
		return NULL;
	}
	file.path = ff_strdup(path);
	file.hash = EVP_MD_CTX_new();
	if (file.hash == NULL || EVP_DigestInit_ex(file.hash, EVP_sha256(), NULL) != 1)
		ff_oom();
	vm->files = ff_realloc(vm->files, vm->count + 1, sizeof(*vm->files));
	vm->files[vm->count] = file;
	return &vm->files[vm->count++];
}

static int continue_file(struct rt_kept_vm *vm, const struct kept_file *file, int64_t offset, size_t len,
	const char *path, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(path);

	if (file == NULL || file->fd < 0 || !ff_streq(file->path, path) || offset != file->bytes)
		return ff_fail(err, FF_E_BUG, "part of '%s' at byte %lld comes out of turn", clean, (long long)offset);
	if (len > (size_t)VM_BYTES_MAX || (int64_t)len > VM_BYTES_MAX - vm->bytes)
		return ff_fail(err, FF_E_DISK, "more than %lld bytes to keep", (long long)VM_BYTES_MAX);
	return 0;
}

int rt_keep(struct ff_runtime *rt, const char *vm_key, unsigned index, const char *path, int64_t offset,
	const void *bytes, size_t len, struct ff_err *err)
{
	struct rt_kept_vm *vm = open_vm(rt, vm_key, err);
	struct kept_file *file;

	if (vm == NULL)
		return -1;
	file = offset == 0 ? begin_file(vm, index, path, err) : find_file(vm, index);
	if (offset == 0 && file == NULL)
		return -1;
	if (continue_file(vm, file, offset, len, path, err) < 0)
		return -1;
	if (rt_write_all(file->fd, bytes, len, offset) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot write quarantine/%s/%s: %m", vm->folder, file->name);
	if (EVP_DigestUpdate(file->hash, bytes, len) != 1)
		ff_oom();
	file->bytes += (int64_t)len;
	vm->bytes += (int64_t)len;
	return 0;
}

/* ---------------------------------------------------------------- the manifest */

static int sync_file(const struct rt_kept_vm *vm, const struct kept_file *file)
{
	ff_auto_close int fd = openat(vm->fd, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

/*
 * An fsync each would take minutes for thousands of files. syncfs() tells of every write that failed since the folder
 * was opened, which is before its files were (syncfs(2), since Linux 5.8).
 */
static int make_durable(struct rt_kept_vm *vm, size_t from, struct ff_err *err)
{
	bool all = vm->count - from >= SYNC_ALL_MIN;

	for (size_t i = from; i < vm->count; i++)
		seal_file(&vm->files[i]);
	if (all && syncfs(vm->fd) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot sync quarantine/%s: %m", vm->folder);
	for (size_t i = from; i < vm->count; i++) {
		if (!all && sync_file(vm, &vm->files[i]) < 0)
			return ff_fail(
				err, FF_E_LOCAL, "cannot sync quarantine/%s/%s: %m", vm->folder, vm->files[i].name);
		vm->files[i].durable = true;
	}
	return 0;
}

/* Those come first: what is not durable yet was begun after them. */
static size_t durable_count(const struct rt_kept_vm *vm)
{
	size_t n = 0;

	while (n < vm->count && vm->files[n].durable)
		n++;
	return n;
}

/* The file of that path, the latest one; most often it is the one at `guess`. */
static const struct kept_file *find_path(const struct rt_kept_vm *vm, const char *path, size_t guess)
{
	if (guess < vm->count && ff_streq(vm->files[guess].path, path))
		return &vm->files[guess];
	for (size_t i = vm->count; i > 0; i--)
		if (ff_streq(vm->files[i - 1].path, path))
			return &vm->files[i - 1];
	return NULL;
}

/* Does the entry describe what was written here? An empty file need not have been sent. Adds "file" to the entry. */
static int check_entry(const struct rt_kept_vm *vm, json_t *entry, size_t guess, struct ff_err *err)
{
	const char *path = ff_json_str(entry, "path"), *sha256 = ff_json_str(entry, "sha256");
	int64_t bytes = ff_json_int(entry, "size", -1);
	const struct kept_file *file = find_path(vm, path, guess);
	ff_auto_free char *clean = ff_printable(path);

	if (file == NULL)
		return bytes == 0 ? 0 : ff_fail(err, FF_E_BUG, "'%s' is in the manifest but was not kept", clean);
	if (bytes != file->bytes || !ff_strcaseeq(sha256, file->sha256))
		return ff_fail(err, FF_E_BUG, "'%s' was not kept as the manifest describes it (%lld of %lld bytes)",
			clean, (long long)file->bytes, (long long)bytes);
	ff_json_set_str(entry, "file", file->name);
	return 0;
}

static int write_manifest(const struct rt_kept_vm *vm, const json_t *manifest)
{
	static const char name[] = "manifest.json", temp[] = "manifest.json.new";
	ff_auto_free char *text = json_dumps(manifest, JSON_INDENT(2));
	ff_auto_close int fd = -1;

	if (text == NULL)
		ff_oom();
	if (unlinkat(vm->fd, temp, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(vm->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || rt_write_all(fd, text, strlen(text), -1) < 0 || rt_write_all(fd, "\n", 1, -1) < 0)
		return -1;
	if (fsync(fd) < 0 || renameat(vm->fd, temp, vm->fd, name) < 0)
		return -1;
	return fsync(vm->fd);
}

int rt_keep_sync(struct ff_runtime *rt, const char *vm_key, const json_t *manifest, struct ff_err *err)
{
	struct rt_kept_vm *vm = open_vm(rt, vm_key, err);
	ff_auto_json json_t *copy = json_deep_copy(manifest);
	json_t *entry;
	size_t i, first;

	if (vm == NULL)
		return -1;
	if (!json_is_array(copy))
		return ff_fail(err, FF_E_BUG, "the manifest is not an array");
	first = durable_count(vm);
	if (make_durable(vm, first, err) < 0)
		return -1;
	json_array_foreach (copy, i, entry) {
		if (check_entry(vm, entry, first + i, err) < 0)
			return -1;
	}
	if (write_manifest(vm, copy) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot write quarantine/%s/manifest.json: %m", vm->folder);
	ff_close_ptr(&vm->fd);
	vm->fd = -1;
	return 0;
}

void rt_keep_free(struct ff_runtime *rt)
{
	struct rt_kept_vm *vm;

	while ((vm = SLIST_FIRST(&rt->kept)) != NULL) {
		SLIST_REMOVE_HEAD(&rt->kept, next);
		for (size_t i = 0; i < vm->count; i++)
			file_release(&vm->files[i]);
		free(vm->files);
		ff_close_ptr(&vm->fd);
		free(vm->folder);
		free(vm->key);
		free(vm);
	}
}
