/*
 * What was seen of VMs from outside: RUN_DIR/evidence/VM/NAME. A screen may show anything, so the files are the
 * operator's alone; each is written beside its place and then moved there, so that a file is whole or not there.
 */
#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int write_file(int folder, const char *name, const struct ff_exhibit *exhibit)
{
	ff_auto_free char *part = ff_printf(".%s.part", name);
	ff_auto_close int fd = -1;

	if (unlinkat(folder, part, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || rt_write_all(fd, exhibit->bytes, exhibit->len, -1) < 0 || fsync(fd) < 0)
		return -1;
	return renameat(folder, part, folder, name);
}

int ff_runtime_keep_evidence(const char *run_dir, const char *provider, const struct ff_vm *vm,
	const struct ff_exhibit *exhibit, struct ff_err *err)
{
	ff_auto_free char *key = ff_printf("%s/%s", provider, vm->id), *name = NULL, *path = NULL;
	ff_auto_close int folder = -1;

	name = rt_folder_name(vm->name, key);
	path = ff_printf("%s/evidence/%s", run_dir, name);
	if (rt_make_folders(path, err) < 0)
		return -1;
	folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || write_file(folder, exhibit->name, exhibit) < 0 || fsync(folder) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot keep '%s/%s': %m", path, exhibit->name);
	return 0;
}
