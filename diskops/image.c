#include "image.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixfleet/mem.h"

#define HEAD_BYTES	 (72 * 1024) /* holds a VMDK's embedded descriptor, which stands near the begin */
#define VHD_FOOTER_BYTES 512

struct head {
	const char *path;
	uint8_t *bytes, footer[VHD_FOOTER_BYTES];
	size_t len;
	bool has_footer;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static int refuse(const struct head *h, const char *why, struct ff_err *err)
{
	return ff_fail(err, FF_E_DISK, "'%s' %s", h->path, why);
}

/* qcow2 (qemu, docs/interop/qcow2.txt): backing file at 8, incompatible features at 72, bit 2 is an external data file.
 */
static int check_qcow2(const struct head *h, const char **format, struct ff_err *err)
{
	*format = "qcow2";
	if (h->len < 104)
		return refuse(h, "is a damaged qcow2", err);
	if (be64(h->bytes + 8) != 0)
		return refuse(h, "is a qcow2 that stands on another file: flatten it (qemu-img convert)", err);
	if (be32(h->bytes + 4) >= 3 && (be64(h->bytes + 72) & 4) != 0)
		return refuse(h, "is a qcow2 whose data is in another file: flatten it (qemu-img convert)", err);
	return 0;
}

/*
 * VMDK (VMware, Virtual Disk Format 5.0): "KDMV", flags at 8, capacity at 12. Without capacity the descriptor counts,
 * and may name any file; a parent is named there too.
 */
static int check_vmdk(const struct head *h, bool write, const char **format, struct ff_err *err)
{
	*format = "vmdk";
	if (h->len < 512 || le64(h->bytes + 12) == 0)
		return refuse(h, "is a VMDK whose data is in other files, or a damaged one", err);
	if (memmem(h->bytes, h->len, "parentFileNameHint", 18) != NULL)
		return refuse(h, "is a VMDK that stands on another file: flatten it (qemu-img convert)", err);
	if (write && memmem(h->bytes, h->len, "streamOptimized", 15) != NULL)
		return refuse(h, "is a streamOptimized VMDK, which cannot be written: qemu-img convert it", err);
	return 0;
}

/* VHD (Microsoft, Virtual Hard Disk Image Format Specification): type at 60 of the footer: 2 fixed, 3 dynamic, 4
 * differencing. */
static int check_vhd(const struct head *h, const uint8_t *footer, const char **format, struct ff_err *err)
{
	switch (be32(footer + 60)) {
	case 2:
		*format = "raw";
		return 0;
	case 3:
		*format = "vpc";
		return 0;
	case 4:
		return refuse(h, "is a differencing VHD, which stands on another file: merge it first", err);
	default:
		return refuse(h, "is a VHD of an unknown type, or a damaged one", err);
	}
}

static int judge(const struct head *h, bool write, const char **format, struct ff_err *err)
{
	*format = "raw";
	if (h->len >= 4 && memcmp(h->bytes, "QFI\xfb", 4) == 0)
		return check_qcow2(h, format, err);
	if (h->len >= 4 && memcmp(h->bytes, "KDMV", 4) == 0)
		return check_vmdk(h, write, format, err);
	if (h->len >= 21 && memcmp(h->bytes, "# Disk DescriptorFile", 21) == 0)
		return refuse(h, "is the descriptor of a VMDK: name the file with its data (-flat.vmdk) instead", err);
	if (h->len >= 8 && memcmp(h->bytes, "vhdxfile", 8) == 0) {
		*format = "vhdx"; /* one with a parent is refused by qemu */
		return 0;
	}
	if (h->len >= VHD_FOOTER_BYTES && memcmp(h->bytes, "conectix", 8) == 0)
		return check_vhd(h, h->bytes, format, err);
	if (h->has_footer && memcmp(h->footer, "conectix", 8) == 0)
		return check_vhd(h, h->footer, format, err);
	return 0;
}

int image_format(const char *path, bool write, const char **format, struct ff_err *err)
{
	ff_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ff_auto_free uint8_t *bytes = ff_calloc(1, HEAD_BYTES);
	struct head h = {.path = path, .bytes = bytes};
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot open '%s': %m", path);
	n = pread(fd, bytes, HEAD_BYTES, 0);
	if (n < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot read '%s': %m", path);
	h.len = (size_t)n;
	h.has_footer = S_ISREG(st.st_mode) && st.st_size >= VHD_FOOTER_BYTES &&
		       pread(fd, h.footer, VHD_FOOTER_BYTES, st.st_size - VHD_FOOTER_BYTES) == VHD_FOOTER_BYTES;
	return judge(&h, write, format, err);
}
