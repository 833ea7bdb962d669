#include "boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixfleet/mem.h"

#define SOURCES "supermin.d"	  /* in a directory of libguestfs's path: what supermin builds an appliance from */
#define INIT	"init.tar.gz"	  /* there: the one that is replaced */
#define OURS	"init.tar"	  /* by this */
#define OMITTED "excludefiles-ff" /* and with this */

/*
 * A program that is started costs a twentieth of a second, emulated: bash does what it can by itself.
 *
 * guestfsd wants the channel that udev would have named, /dev/disk/by-path (any names: its numbers of devices are
 * places in that list) and, for guestfs_list_disk_labels(), links by the drives' serial numbers. Disks are there when
 * the modules of the bus are loaded, before this begins; the loop is for kernels that know better. The timeout is
 * libguestfs's: remote images may take long.
 */
static const char init[] = "#!/bin/bash\n"
			   "PATH=/sbin:/usr/sbin:/bin:/usr/bin\n"
			   "export PATH\n"
			   "[ -d /tmp ] && [ -d /var/tmp ] || rm -f /tmp /var/tmp\n"
			   "mkdir -p /proc /sys /dev /tmp /var/tmp /run /sysroot\n"
			   "mount -t proc proc /proc\n"
			   "mount -t sysfs sys /sys\n"
			   "mount -t devtmpfs dev /dev\n"
			   "[ -e /etc/mtab ] || ln -s /proc/mounts /etc/mtab\n"
			   "[ -d /sys/class/virtio-ports ] || modprobe virtio_console\n"
			   "[ -e /dev/fuse ] || modprobe fuse\n"
			   "read -r cmdline </proc/cmdline\n"
			   "drives=${cmdline##*fixfleet_drives=}\n"
			   "drives=${drives%% *}\n"
			   "for ((i = 0; i < 300; i++)); do\n"
			   "	disks=(/sys/block/sd*)\n"
			   "	((${#disks[@]} > drives)) && break\n" /* the appliance's own is one more */
			   "	sleep 0.1\n"
			   "done\n"
			   "mkdir -p /dev/disk/by-path /dev/disk/guestfs\n"
			   "ln -s -t /dev/disk/by-path \"${disks[@]/#\\/sys\\/block/..\\/..}\"\n"
			   "for disk in \"${disks[@]}\"; do\n"
			   "	echo 300 >\"$disk/device/timeout\"\n"
			   "	[ -e \"$disk/device/vpd_pg80\" ] || continue\n"
			   "	read -r serial <\"$disk/device/vpd_pg80\"\n" /* after four bytes of a header */
			   "	serial=${serial##*[!a-z]}\n"
			   "	[ -z \"$serial\" ] || ln -s \"../../${disk##*/}\" \"/dev/disk/guestfs/$serial\"\n"
			   "done\n"
			   "for port in /sys/class/virtio-ports/*; do\n"
			   "	read -r name <\"$port/name\"\n"
			   "	[ \"$name\" != org.libguestfs.channel.0 ] || channel=/dev/${port##*/}\n"
			   "done\n"
			   "verbose=\n"
			   "[[ $cmdline != *guestfs_verbose=1* ]] || verbose=--verbose\n"
			   "guestfsd --channel \"$channel\" $verbose\n"
			   "sync\n"
			   "reboot -f\n";

/* guestfsd waits for udev with it before and after many things; there is no udev. */
static const char omitted[] = "-/bin/udevadm\n-/sbin/udevadm\n-/usr/bin/udevadm\n-/usr/sbin/udevadm\n";

/* ---------------------------------------------------------------- files */

/* A tar archive of one file, "init" (POSIX.1-1988 ustar). */
static void archive(struct ff_buf *tar)
{
	static const char zeros[1024];
	char head[512] = "init";
	unsigned sum = 0;

	snprintf(head + 100, 8, "%07o", 0755);
	snprintf(head + 108, 8, "%07o", 0);
	snprintf(head + 116, 8, "%07o", 0);
	snprintf(head + 124, 12, "%011zo", sizeof(init) - 1);
	snprintf(head + 136, 12, "%011o", 0);
	memset(head + 148, ' ', 8); /* the sum is counted over blanks */
	head[156] = '0';
	memcpy(head + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(head); i++)
		sum += (unsigned char)head[i];
	snprintf(head + 148, 7, "%06o", sum);
	ff_buf_add(tar, head, sizeof(head));
	ff_buf_add(tar, init, sizeof(init) - 1);
	ff_buf_add(tar, zeros, 512 - (sizeof(init) - 1) % 512);
	ff_buf_add(tar, zeros, sizeof(zeros));
}

/* Where the cache is, and what supermin reads, in it; new files are made in the first, since supermin takes all in the
 * second. Named by the thread: several launch side by side. */
struct place {
	int base, sources;
};

static bool holds(int dir, const char *name, const char *bytes, size_t len)
{
	ff_auto_free char *is = ff_calloc(1, len + 1);
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool same = fd >= 0 && read(fd, is, len + 1) == (ssize_t)len && memcmp(is, bytes, len) == 0;

	if (fd >= 0)
		close(fd);
	return same;
}

/* Replaced whole: another worker may be reading it. supermin sees by the directory's time that something is new. */
static int put_file(const struct place *p, const char *name, const char *bytes, size_t len)
{
	ff_auto_free char *fresh = ff_printf("%s.%ld", name, (long)gettid());
	int fd, rc = -1;

	if (holds(p->sources, name, bytes, len))
		return 0;
	fd = openat(p->base, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	if (write(fd, bytes, len) == (ssize_t)len)
		rc = renameat(p->base, fresh, p->sources, name);
	close(fd);
	if (rc < 0)
		unlinkat(p->base, fresh, 0);
	return rc;
}

static bool points_at(int dir, const char *name, const char *target)
{
	char is[4096];
	ssize_t n = readlinkat(dir, name, is, sizeof(is));

	return n > 0 && (size_t)n == strlen(target) && memcmp(is, target, (size_t)n) == 0;
}

static int put_link(const struct place *p, const char *name, const char *target)
{
	ff_auto_free char *fresh = ff_printf("%s.%ld", name, (long)gettid());

	if (points_at(p->sources, name, target))
		return 0;
	unlinkat(p->base, fresh, 0);
	if (symlinkat(target, p->base, fresh) < 0)
		return -1;
	if (renameat(p->base, fresh, p->sources, name) == 0)
		return 0;
	unlinkat(p->base, fresh, 0);
	return -1;
}

/* A directory that is this user's alone: others could give the appliance, which sees every disk, other files. */
static int own_directory(int at, const char *path)
{
	struct stat st;
	int fd;

	if (mkdirat(at, path, 0700) < 0 && errno != EEXIST)
		return -1;
	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---------------------------------------------------------------- what it is built from */

static bool is_hidden(const char *name)
{
	return name[0] == '.';
}

/* Links to all of libguestfs's but its init. Returns how many inits there were, or -1. */
static int link_sources(const struct place *p, const char *sources)
{
	DIR *d = opendir(sources);
	const struct dirent *entry;
	int inits = 0, rc = 0;

	if (d == NULL)
		return -1;
	while (rc == 0 && (entry = readdir(d)) != NULL) {
		ff_auto_free char *target = ff_printf("%s/%s", sources, entry->d_name);

		if (is_hidden(entry->d_name))
			continue;
		if (ff_streq(entry->d_name, INIT))
			inits++;
		else
			rc = put_link(p, entry->d_name, target);
	}
	closedir(d);
	return rc < 0 ? -1 : inits;
}

/* What was there for another version of libguestfs. */
static void drop_stale(int dir, const char *sources)
{
	DIR *d = fdopendir(dup(dir));
	const struct dirent *entry;

	if (d == NULL)
		return;
	rewinddir(d);
	while ((entry = readdir(d)) != NULL) {
		ff_auto_free char *target = ff_printf("%s/%s", sources, entry->d_name);

		if (!is_hidden(entry->d_name) && !ff_streq(entry->d_name, OURS) && !ff_streq(entry->d_name, OMITTED) &&
			access(target, F_OK) < 0)
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(d);
}

/* The first directory of the path with sources, as libguestfs chooses it. The caller frees; NULL: none. */
static char *find_sources(guestfs_h *g)
{
	ff_auto_free char *path = ff_strdup(guestfs_get_path(g));
	char *save = NULL;

	for (char *part = path ? strtok_r(path, ":", &save) : NULL; part != NULL; part = strtok_r(NULL, ":", &save)) {
		ff_auto_free char *sources = ff_printf("%s/" SOURCES, part);

		if (access(sources, F_OK) == 0)
			return FF_STEAL(sources);
	}
	return NULL;
}

static int prepare(const char *base, const char *sources)
{
	struct ff_buf tar = {0};
	struct place p = {.base = own_directory(AT_FDCWD, base), .sources = -1};
	int rc = -1;

	if (p.base >= 0)
		p.sources = own_directory(p.base, SOURCES);
	if (p.sources >= 0) {
		archive(&tar);
		drop_stale(p.sources, sources);
		if (link_sources(&p, sources) == 1 && put_file(&p, OURS, tar.text, tar.len) == 0)
			rc = put_file(&p, OMITTED, omitted, sizeof(omitted) - 1);
		ff_buf_free(&tar);
		close(p.sources);
	}
	if (p.base >= 0)
		close(p.base);
	return rc;
}

bool boot_quickly(guestfs_h *g, size_t drives)
{
	const char *chosen = getenv("LIBGUESTFS_PATH"), *more = guestfs_get_append(g);
	ff_auto_free char *sources = chosen == NULL || *chosen == '\0' ? find_sources(g) : NULL;
	ff_auto_free char *cache = guestfs_get_cachedir(g);
	ff_auto_free char *base = ff_printf("%s/.fixfleet-%lu", cache ? cache : "", (unsigned long)geteuid());
	ff_auto_free char *append =
		ff_printf("%s%sfixfleet_drives=%zu", more ? more : "", more && *more ? " " : "", drives);

	if (sources == NULL || cache == NULL || prepare(base, sources) < 0)
		return false;
	return guestfs_set_path(g, base) == 0 && guestfs_set_cachedir(g, base) == 0 &&
	       guestfs_set_append(g, append) == 0;
}
