/* The look at a disk image: made-up records, and images with a real NTFS where mkdisks has been built. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixfleet/mem.h"
#include "ntfs_look.h"

#define TICKS(unix_s) (((uint64_t)(unix_s) + 11644473600u) * 10000000u)
#define T0409	      1721362140
#define T0527	      1721366820

static void put(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A record as it lies on a disk, its sectors' ends replaced by the update sequence. */
static void make_record(uint8_t r[NTFS_RECORD_BYTES], const char *name, uint64_t written, int flags)
{
	size_t n = strlen(name), at = 0x38, len = (0x18 + 0x42 + 2 * n + 7) & ~(size_t)7;

	memset(r, 0, NTFS_RECORD_BYTES);
	memcpy(r, "FILE", 4);
	put(r + 4, 0x30, 2);
	put(r + 6, 3, 2);
	put(r + 0x14, at, 2);
	put(r + 0x16, (uint64_t)flags, 2);
	put(r + at, 0x10, 4); /* $STANDARD_INFORMATION */
	put(r + at + 4, 0x60, 4);
	put(r + at + 0x10, 0x48, 4);
	put(r + at + 0x14, 0x18, 2);
	put(r + at + 0x18 + 8, written, 8);
	at += 0x60;
	put(r + at, 0x30, 4); /* $FILE_NAME */
	put(r + at + 4, len, 4);
	put(r + at + 0x10, 0x42 + 2 * n, 4);
	put(r + at + 0x14, 0x18, 2);
	r[at + 0x18 + 0x40] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		put(r + at + 0x18 + 0x42 + 2 * i, (uint8_t)name[i], 2);
	at += len;
	put(r + at, 0xFFFFFFFF, 4);
	put(r + 0x18, at + 8, 4);
	put(r + 0x30, 0x1234, 2); /* the sequence, and what stood at the ends */
	memcpy(r + 0x32, r + 510, 2);
	memcpy(r + 0x34, r + 1022, 2);
	put(r + 510, 0x1234, 2);
	put(r + 1022, 0x1234, 2);
}

#define BAD_NAME "C-00000291-00000000-00000032.sys"

Test(cloudsim_ntfs, a_record_is_bad_by_name_time_and_use)
{
	static const struct {
		const char *name;
		uint64_t written;
		int flags;
		bool bad;
	} cases[] = {
		{BAD_NAME, TICKS(T0409), 1, true},
		{"c-00000291-x.SYS", TICKS(T0409) + 5, 1, true},
		{"C-00000291.sys", TICKS(T0527) - 1, 1, true},
		{BAD_NAME, TICKS(T0527), 1, false},
		{BAD_NAME, TICKS(T0409) - 1, 1, false},
		{BAD_NAME, TICKS(T0409), 0, false}, /* deleted */
		{BAD_NAME, TICKS(T0409), 3, false}, /* a folder */
		{"C-00000292-00000000-00000032.sys", TICKS(T0409), 1, false},
		{"C-00000291-00000000-00000032.sy", TICKS(T0409), 1, false},
		{"C-00000291", TICKS(T0409), 1, false},
	};
	uint8_t r[NTFS_RECORD_BYTES];

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		make_record(r, cases[i].name, cases[i].written, cases[i].flags);
		cr_expect_eq(ntfs_record_is_bad(r), cases[i].bad, "%zu: %s", i, cases[i].name);
	}
}

/* The name reaches over a sector's end, so that only the put back bytes read right. */
Test(cloudsim_ntfs, the_update_sequence_is_put_back)
{
	uint8_t r[NTFS_RECORD_BYTES];
	char name[200];

	memset(name, 'x', sizeof(name));
	memcpy(name, "C-00000291", 10);
	memcpy(name + 133, ".sys", 5); /* its "s" is what stands at 510 */
	make_record(r, name, TICKS(T0409), 1);
	cr_assert(ntfs_record_is_bad(r));
	r[510] ^= 1; /* a torn sector */
	cr_assert_not(ntfs_record_is_bad(r));
}

Test(cloudsim_ntfs, broken_records_are_no_records)
{
	uint8_t good[NTFS_RECORD_BYTES], r[NTFS_RECORD_BYTES];
	uint64_t state = 3;
	int bad = 0;

	make_record(good, BAD_NAME, TICKS(T0409), 1);
	for (int i = 0; i < 200000; i++) {
		memcpy(r, good, sizeof(r));
		for (int j = 0; j < 4; j++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			r[state >> 40 & 0x1FF] = (uint8_t)(state >> 32);
		}
		bad += ntfs_record_is_bad(r);
	}
	cr_assert_gt(bad, 0, "most changes are in places that do not matter");
	cr_assert_lt(bad, 200000);
}

Test(cloudsim_ntfs, an_image_is_looked_at_where_it_has_data)
{
	char path[] = "/tmp/cloudsim-image-XXXXXX";
	uint8_t r[NTFS_RECORD_BYTES];
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)1 << 30), 0);
	cr_assert_eq(ntfs_image_is_bad(path), 0);
	make_record(r, BAD_NAME, TICKS(T0409), 1);
	cr_assert_eq(pwrite(fd, r, sizeof(r), 700 * 1024 * 1024 + 3072), (ssize_t)sizeof(r));
	cr_assert_eq(ntfs_image_is_bad(path), 1);
	cr_assert_eq(ftruncate(fd, 700 * 1024 * 1024 + 3500), 0);
	cr_assert_eq(ntfs_image_is_bad(path), 0, "a record that is cut off");
	close(fd);
	unlink(path);
	cr_assert_eq(ntfs_image_is_bad(path), -1);
}

static const char spec[] =
	"{\"disks\":["
	"{\"name\":\"bad.img\",\"layout\":\"esp\",\"case\":\"odd\",\"files\":[{\"path\":"
	"\"Windows/System32/drivers/CrowdStrike/C-00000291-00000000-00000032.sys\",\"mtime\":\"2024-07-19T04:09:00Z\","
	"\"bytes\":41004}]},"
	"{\"name\":\"good.img\",\"layout\":\"single\",\"files\":[{\"path\":"
	"\"Windows/System32/drivers/CrowdStrike/C-00000291-00000000-00000033.sys\",\"mtime\":\"2024-07-19T05:27:00Z\","
	"\"bytes\":41004}]}]}";

/* mkdisks stands beside the folder that this test runs from. */
static char *find_mkdisks(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	ff_auto_free char *path = NULL;

	cr_assert_gt(n, 0);
	self[n] = '\0';
	path = ff_printf("%s/../mkdisks", dirname(self));
	return access(path, X_OK) == 0 ? FF_STEAL(path) : NULL;
}

Test(cloudsim_ntfs, real_file_systems_are_told_apart, .timeout = 300)
{
	char dir[] = "/tmp/cloudsim-disks-XXXXXX";
	ff_auto_free char *mkdisks = find_mkdisks();
	ff_auto_free char *file = NULL, *bad = NULL, *good = NULL, *command = NULL;
	FILE *f;

	if (mkdisks == NULL)
		cr_skip_test("mkdisks has not been built");
	cr_assert_not_null(mkdtemp(dir));
	file = ff_printf("%s/spec.json", dir);
	bad = ff_printf("%s/bad.img", dir);
	good = ff_printf("%s/good.img", dir);
	f = fopen(file, "w");
	cr_assert_not_null(f);
	fputs(spec, f);
	fclose(f);
	command = ff_printf("%s %s %s", mkdisks, file, dir);
	cr_assert_eq(system(command), 0);
	cr_expect_eq(ntfs_image_is_bad(bad), 1);
	cr_expect_eq(ntfs_image_is_bad(good), 0);
	unlink(file);
	unlink(bad);
	unlink(good);
	rmdir(dir);
}
