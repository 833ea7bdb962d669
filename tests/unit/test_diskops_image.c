/* What the first bytes say: formats of images, whether an NTFS was left in order. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "diskops/image.h"
#include "diskops/ntfs.h"
#include "fixfleet/mem.h"

/* ---------------------------------------------------------------- images */

#define VHD_FOOTER(type) "conectix" ZEROS52 "\0\0\0" type
#define ZEROS8		 "\0\0\0\0\0\0\0\0"
#define ZEROS52		 ZEROS8 ZEROS8 ZEROS8 ZEROS8 ZEROS8 ZEROS8 "\0\0\0\0"
#define QCOW2_HEAD	 "QFI\xfb\0\0\0\3"

static const struct {
	const char *what, *bytes;
	size_t len, at; /* `at`: where in an image of 4 KiB they stand */
	bool write;
	const char *format, *message; /* one of them */
} images[] = {
	{"raw", "\xfa\x33", 2, 0, true, "raw", NULL},
	{"qcow2", QCOW2_HEAD, 8, 0, true, "qcow2", NULL},
	{"qcow2 with a backing file", QCOW2_HEAD "\0\0\0\0\0\0\1\0", 16, 0, false, NULL, "stands on another file"},
	{"qcow2 with a data file",
		QCOW2_HEAD ZEROS8 ZEROS8 ZEROS8 ZEROS8 ZEROS8 ZEROS8 ZEROS8 ZEROS8 "\0\0\0\0\0\0\0\4", 80, 0, false,
		NULL, "whose data is in another file"},
	{"vhdx", "vhdxfile", 8, 0, true, "vhdx", NULL},
	{"fixed vhd", VHD_FOOTER("\2"), 64, 4096 - 512, true, "raw", NULL},
	{"dynamic vhd", VHD_FOOTER("\3"), 64, 0, true, "vpc", NULL},
	{"differencing vhd", VHD_FOOTER("\4"), 64, 0, false, NULL, "differencing VHD"},
	{"odd vhd", VHD_FOOTER("\7"), 64, 4096 - 512, false, NULL, "unknown type"},
	{"vmdk", "KDMV\1\0\0\0\0\0\0\0\1", 13, 0, true, "vmdk", NULL},
	{"vmdk of other files", "KDMV\1\0\0\0", 8, 0, false, NULL, "whose data is in other files"},
	{"vmdk with a parent", "KDMV\1\0\0\0\0\0\0\0\1 parentFileNameHint=\"/etc/shadow\"", 46, 0, false, NULL,
		"stands on another file"},
	{"streamed vmdk", "KDMV\1\0\0\0\0\0\0\0\1 createType=\"streamOptimized\"", 42, 0, true, NULL,
		"cannot be written"},
	{"streamed vmdk", "KDMV\1\0\0\0\0\0\0\0\1 createType=\"streamOptimized\"", 42, 0, false, "vmdk", NULL},
	{"descriptor", "# Disk DescriptorFile\nRW 8 FLAT \"/etc/shadow\" 0", 47, 0, false, NULL, "-flat.vmdk"},
};

Test(image, is_known_by_its_bytes_and_stands_alone)
{
	char path[] = "/tmp/ff-test-image-XXXXXX";
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	for (size_t i = 0; i < FF_COUNT(images); i++) {
		const char *format = NULL;
		struct ff_err err = {0};
		int rc;

		cr_assert(ftruncate(fd, 0) == 0 && ftruncate(fd, 4096) == 0);
		cr_assert(pwrite(fd, images[i].bytes, images[i].len, (off_t)images[i].at) == (ssize_t)images[i].len);
		rc = image_format(path, images[i].write, &format, &err);
		cr_expect_eq(rc, images[i].format ? 0 : -1, "%s: %s", images[i].what, err.text);
		if (rc == 0 && images[i].format != NULL)
			cr_expect_str_eq(format, images[i].format, "%s", images[i].what);
		if (rc < 0 && images[i].message != NULL)
			cr_expect(ff_contains_nocase(err.text, images[i].message) && err.class == FF_E_DISK, "%s: %s",
				images[i].what, err.text);
	}
	close(fd);
	unlink(path);
}

/* ---------------------------------------------------------------- NTFS */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

Test(ntfs, numbers_that_cannot_be_are_refused)
{
	uint8_t boot[512] = {0xeb, 0x52, 0x90, 'N', 'T', 'F', 'S', ' ', ' ', ' ', ' ', 0, 2, 8};
	struct ntfs_geometry g;

	boot[48] = 4;
	boot[64] = 0xf6; /* 2^10 */
	cr_assert(ntfs_geometry(boot, sizeof(boot), &g) == 0);
	cr_expect(g.cluster_bytes == 4096 && g.record_bytes == 1024 && g.mft_bytes == 4 * 4096);
	memcpy(boot + 40, "\xff\xf7\x03", 3); /* 127 MiB but for the last sector, its copy */
	cr_expect(ntfs_geometry(boot, sizeof(boot), &g) == 0 && g.volume_bytes == 127 * 1024 * 1024 - 512);
	memset(boot + 40, 0xff, 8); /* more than there can be: no product overflows */
	cr_expect(ntfs_geometry(boot, sizeof(boot), &g) == 0 && g.volume_bytes == (uint64_t)1 << 60);
	cr_expect(ntfs_geometry(boot, 511, &g) == -1);
	boot[13] = 0xf4; /* 2^12 sectors: clusters of 2 MiB */
	cr_expect(ntfs_geometry(boot, sizeof(boot), &g) == 0 && g.cluster_bytes == 2 << 20);
	boot[13] = 0x81;
	cr_expect(ntfs_geometry(boot, sizeof(boot), &g) == -1);
	boot[13] = 8;
	boot[55] = 0x7f;
	cr_expect(ntfs_geometry(boot, sizeof(boot), &g) == -1);
	boot[55] = 0;
	boot[64] = 0;
	cr_expect(ntfs_geometry(boot, sizeof(boot), &g) == -1);
}

Test(ntfs, dirt_is_seen_where_it_stands)
{
	uint8_t record[1024] = "FILE", page[512] = "RSTR";
	struct ntfs_geometry g = {.cluster_bytes = 4096, .record_bytes = 1024};
	uint64_t offset = 0;

	record[20] = 56;
	put32(record + 56, 0x70);
	put32(record + 60, 40);
	record[56 + 20] = 24;
	cr_expect(!ntfs_dirty_bit(record, sizeof(record)));
	record[56 + 24 + 10] = 1;
	cr_expect(ntfs_dirty_bit(record, sizeof(record)));
	put32(record + 60, 0); /* an attribute of no length would be looked at for ever */
	cr_expect(!ntfs_dirty_bit(record, sizeof(record)));

	put32(record + 56, 0x80);
	put32(record + 60, 72);
	record[56 + 8] = 1;
	record[56 + 32] = 64;
	memcpy(record + 56 + 64, "\x21\x10\x34\x12", 4); /* 16 clusters from 0x1234 */
	cr_assert(ntfs_log_offset(record, sizeof(record), &g, &offset) == 0);
	cr_expect_eq(offset, 0x1234 * 4096);
	record[56 + 64] = 0x81;
	cr_expect(ntfs_log_offset(record, sizeof(record), &g, &offset) == -1);

	page[24] = 48;
	cr_expect(ntfs_log_dirty(page, sizeof(page)));
	page[48 + 14] = 2; /* left in order */
	cr_expect(!ntfs_log_dirty(page, sizeof(page)));
	page[48 + 14] = 0;
	page[48 + 12] = page[48 + 13] = 0xff; /* nobody uses it */
	cr_expect(!ntfs_log_dirty(page, sizeof(page)));
	page[24] = page[25] = 0xff;
	cr_expect(!ntfs_log_dirty(page, sizeof(page)));
}
