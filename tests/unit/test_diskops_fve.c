/*
 * BitLocker metadata, keys, and the plain volume behind them. The volumes are made by mkdisks, whose writer knows
 * nothing of the reader; cryptsetup and qemu are asked what they think where they are installed.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "diskops/nbd.h"
#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "fixfleet/secret.h"

#define BYTES	  (64 * 1024 * 1024)
#define WRONG	  "000011-000022-000033-000044-000055-000066-000077-000088"
#define MUTATIONS 4000

/* A folder of this process beside the program's: BUILD/tests/test_x makes it BUILD/fve-PID. */
static char *folder(void)
{
	char exe[4096] = "";
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash = n > 0 ? strstr(exe, "/tests/") : NULL;

	cr_assert_not_null(slash);
	*slash = '\0';
	return ff_printf("%s/fve-%d", exe, (int)getpid());
}

static int run(char *const *argv)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---------------------------------------------------------------- a volume */

struct made {
	char *dir, *path;
	int fd;
	struct store *store;
	json_t *keys;
	struct fve fve;
};

static int read_fd(void *arg, uint64_t offset, void *bytes, size_t len, struct ff_err *err)
{
	const struct made *m = arg;

	if (pread(m->fd, bytes, len, (off_t)offset) != (ssize_t)len)
		return ff_fail(err, FF_E_DISK, "cannot read");
	return 0;
}

static struct made make(const char *what)
{
	struct made m = {.dir = folder()};
	ff_auto_free char *tool = ff_printf("%s/../mkdisks", m.dir), *keys = NULL;
	char *argv[] = {tool, "--bitlocker", (char *)(uintptr_t)what, NULL, NULL},
	     *mkdir[] = {"mkdir", "-p", m.dir, NULL};
	struct ff_err err = {0};

	m.path = ff_printf("%s/%s.img", m.dir, what);
	keys = ff_printf("%s.keys", m.path);
	argv[3] = m.path;
	cr_assert_eq(run(mkdir), 0);
	cr_assert_eq(run(argv), 0);
	m.fd = open(m.path, O_RDWR | O_CLOEXEC);
	m.keys = json_load_file(keys, 0, NULL);
	m.store = store_of_fd(m.fd);
	cr_assert(m.fd >= 0 && m.keys != NULL);
	cr_assert_eq(fve_parse(&m.fve, read_fd, &m, BYTES, &err), 0, "%s", err.text);
	return m;
}

static void unmake(struct made *m)
{
	char *argv[] = {"rm", "-rf", m->dir, NULL};

	cr_expect_eq(run(argv), 0);
	store_close(m->store);
	close(m->fd);
	json_decref(m->keys);
	free(m->path);
	free(m->dir);
}

static const char *key_of(const struct made *m, const char *id)
{
	const json_t *p;
	size_t i;

	json_array_foreach (json_object_get(m->keys, "protectors"), i, p)
		if (ff_streq(ff_json_str(p, "id"), id))
			return ff_json_str(p, "key");
	return NULL;
}

static const struct fve_protector *protector(const struct fve *fve, enum fve_kind kind)
{
	for (size_t i = 0; i < fve->protector_count; i++)
		if (fve->protectors[i].kind == kind)
			return &fve->protectors[i];
	return NULL;
}

/* ---------------------------------------------------------------- metadata and keys */

static const struct {
	const char *what, *method;
	size_t key_bytes;
} methods[] = {{"xts-128,startup-key", "AES-XTS 128", 32}, {"xts-256,startup-key", "AES-XTS 256", 64},
	{"cbc-128,startup-key", "AES-CBC 128", 16}, {"cbc-256,startup-key", "AES-CBC 256", 32}};

Test(fve, reads_what_protects_a_volume_and_opens_it)
{
	for (size_t i = 0; i < FF_COUNT(methods); i++) {
		struct made m = make(methods[i].what);
		struct fve_key *by_password = NULL, *by_file = NULL;
		const struct fve_protector *password = protector(&m.fve, FVE_RECOVERY_PASSWORD),
					   *file = protector(&m.fve, FVE_STARTUP_KEY);
		struct ff_err err = {0};

		cr_expect_str_eq(fve_method_name(m.fve.method), methods[i].method);
		cr_expect_str_eq(m.fve.id, ff_json_str(m.keys, "volume"));
		cr_expect_eq(m.fve.state, FVE_ENCRYPTED);
		cr_expect_eq(m.fve.copies_good, 3u);
		cr_expect_eq(m.fve.protector_count, 2u);
		cr_expect_null(fve_clear(&m.fve));
		cr_assert(password != NULL && file != NULL);
		cr_expect_eq(
			fve_unlock(&m.fve, password, key_of(&m, password->id), &by_password, &err), 0, "%s", err.text);
		cr_expect_eq(fve_unlock(&m.fve, file, key_of(&m, file->id), &by_file, &err), 0, "%s", err.text);
		cr_assert(by_password != NULL && by_file != NULL);
		cr_expect_eq(by_password->len, methods[i].key_bytes);
		cr_expect_arr_eq(by_password->bytes, by_file->bytes, sizeof(by_file->bytes));
		ff_secret_free(by_password);
		ff_secret_free(by_file);
		unmake(&m);
	}
}

Test(fve, knows_a_wrong_key_and_what_is_no_key)
{
	struct made m = make("xts-128,startup-key");
	const struct fve_protector *password = protector(&m.fve, FVE_RECOVERY_PASSWORD),
				   *file = protector(&m.fve, FVE_STARTUP_KEY);
	struct fve_protector renamed = *file;
	struct fve_key *key = NULL;
	struct ff_err err = {0};

	cr_expect_lt(fve_unlock(&m.fve, password, WRONG, &key, &err), 0);
	cr_expect_eq(err.class, FF_E_AUTH);
	cr_expect_lt(fve_unlock(&m.fve, password, "123456", &key, &err), 0);
	cr_expect_eq(err.class, FF_E_USAGE);
	cr_expect_lt(fve_unlock(&m.fve, file, key_of(&m, password->id), &key, &err), 0);
	cr_expect_eq(err.class, FF_E_USAGE);
	renamed.id[0] = renamed.id[0] == 'a' ? 'b' : 'a';
	cr_expect_lt(fve_unlock(&m.fve, &renamed, key_of(&m, file->id), &key, &err), 0);
	cr_expect_eq(err.class, FF_E_AUTH);
	cr_expect_null(key);
	unmake(&m);
}

Test(fve, takes_digits_as_people_write_them)
{
	uint8_t out[16];

	cr_expect(fve_recovery_password(WRONG, out));
	cr_expect_eq(out[2], 2);
	cr_expect(fve_recovery_password("000011000022000033000044000055000066000077000088", out));
	cr_expect(fve_recovery_password("000011 000022 000033 000044 000055 000066 000077 000088", out));
	cr_expect(!fve_recovery_password("000012-000022-000033-000044-000055-000066-000077-000088", out));
	cr_expect(!fve_recovery_password("720896-000022-000033-000044-000055-000066-000077-000088", out));
	cr_expect(!fve_recovery_password("000011-000022-000033-000044-000055-000066-000077", out));
	cr_expect(!fve_recovery_password(WRONG "-", out));
	cr_expect(!fve_recovery_password("", out));
}

Test(fve, knows_suspended_and_converting_volumes)
{
	struct made suspended = make("xts-128,suspended"), converting = make("cbc-256,converting");
	struct fve_key *key = NULL;
	struct ff_err err = {0};

	cr_assert_not_null(fve_clear(&suspended.fve));
	cr_expect_eq(fve_unlock(&suspended.fve, fve_clear(&suspended.fve), NULL, &key, &err), 0, "%s", err.text);
	cr_expect_not_null(key);
	ff_secret_free(key);
	cr_expect_eq(converting.fve.state, FVE_CONVERTING);
	unmake(&suspended);
	unmake(&converting);
}

/* ---------------------------------------------------------------- damage and malice */

static void spoil(const struct made *m, uint64_t at)
{
	uint8_t byte = 0;

	cr_assert_eq(pread(m->fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x40;
	cr_assert_eq(pwrite(m->fd, &byte, 1, (off_t)at), 1);
}

Test(fve, uses_the_first_sound_copy)
{
	struct made m = make("xts-128");
	struct fve fve;
	struct ff_err err = {0};

	spoil(&m, m.fve.copies[0] + 200);
	cr_expect_eq(fve_parse(&fve, read_fd, &m, BYTES, &err), 0, "%s", err.text);
	cr_expect_eq(fve.copies_good, 2u);
	cr_expect_str_eq(fve.id, m.fve.id);
	spoil(&m, m.fve.copies[1] + 9);
	spoil(&m, m.fve.copies[2]);
	cr_expect_lt(fve_parse(&fve, read_fd, &m, BYTES, &err), 0);
	cr_expect_eq(err.class, FF_E_DISK);
	unmake(&m);
}

struct bytes {
	uint8_t *p;
	size_t len;
};

static int read_bytes(void *arg, uint64_t offset, void *out, size_t len, struct ff_err *err)
{
	const struct bytes *b = arg;

	if (offset > b->len || len > b->len - offset)
		return ff_fail(err, FF_E_DISK, "beyond the end");
	memcpy(out, b->p + offset, len);
	return 0;
}

static uint32_t crc32_slow(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	while (len-- > 0) {
		crc ^= *p++;
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* A small volume around the metadata: parsing it does not read more. The checksum is made right again, so that what is
 * behind it is reached. */
Test(fve, survives_any_bytes)
{
	struct made m = make("xts-128,startup-key,suspended");
	struct bytes b = {ff_calloc(1024 * 1024, 1), 1024 * 1024};
	uint8_t *area = b.p + 65536, sound[65536];
	size_t opened = 0, size;

	cr_assert_eq(pread(m.fd, sound, sizeof(sound), (off_t)m.fve.copies[0]), 65536);
	srand(7);
	for (int n = 0; n < MUTATIONS; n++) {
		struct fve fve;
		struct ff_err err = {0};

		cr_assert_eq(pread(m.fd, b.p, 512, 0), 512);
		memcpy(area, sound, sizeof(sound));
		for (int i = 0; i < 3; i++) {
			uint64_t at =
				65536; /* three times the same: the last check refuses that, all before it is reached */

			for (int k = 0; k < 8; k++)
				area[32 + 8 * i + k] = b.p[176 + 8 * i + k] = (uint8_t)(at >> 8 * k);
		}
		for (int i = rand() % 6; i > 0; i--)
			area[rand() % (n % 2 ? 1024 : 128)] = (uint8_t)rand();
		if (n % 7 == 0)
			b.p[rand() % 512] = (uint8_t)rand();
		size = (size_t)(area[8] | area[9] << 8) << 4;
		if (size <= 65536 - 8) {
			uint32_t crc = crc32_slow(area, size);

			memcpy(area + size + 4, &crc, 4);
		}
		fve_parse(&fve, read_bytes, &b, b.len, &err);
		opened += fve.protector_count > 0;
	}
	cr_expect_gt(opened, MUTATIONS / 10u, "the mutations never reach the protectors");
	free(b.p);
	unmake(&m);
}

/* ---------------------------------------------------------------- the plain volume */

static struct plain *open_volume(const struct made *m)
{
	const struct fve_protector *p = protector(&m->fve, FVE_RECOVERY_PASSWORD);
	struct fve_key *key = NULL;
	struct ff_err err = {0};
	struct plain *v;

	cr_assert_eq(fve_unlock(&m->fve, p, key_of(m, p->id), &key, &err), 0, "%s", err.text);
	v = volume_new(m->store, 0, &m->fve, key, &err);
	cr_assert_not_null(v, "%s", err.text);
	ff_secret_free(key);
	return v;
}

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
}

Test(volume, gives_back_what_was_written_and_spares_the_metadata)
{
	for (size_t i = 0; i < FF_COUNT(methods); i++) {
		struct made m = make(methods[i].what);
		struct plain *v = open_volume(&m);
		uint8_t boot[512], before[65536], now[65536], bytes[16384], copy[16384], raw[16384];

		cr_assert_eq(pread(m.fd, boot, sizeof(boot), 0), 512);
		cr_assert_eq(pread(m.fd, before, sizeof(before), (off_t)m.fve.copies[1]), 65536);
		fill(bytes, sizeof(bytes), 5);
		memcpy(copy, bytes, sizeof(copy));
		/* across the end of the sectors that stand elsewhere */
		cr_expect_eq(volume_write(v, 0, copy, sizeof(copy)), 0);
		cr_expect_eq(volume_read(v, 0, copy, sizeof(copy)), 0);
		cr_expect_arr_eq(copy, bytes, sizeof(bytes));
		cr_assert_eq(pread(m.fd, raw, sizeof(raw), 0), 16384);
		cr_expect_arr_eq(raw, boot, 512, "the boot sector was written");
		cr_expect(memcmp(raw + 8192, bytes + 8192, 512) != 0, "not encrypted");
		cr_assert_eq(pread(m.fd, raw, 512, (off_t)m.fve.header_at), 512);
		cr_expect(memcmp(raw, bytes, 512) != 0, "not encrypted");
		/* metadata reads as zeros and cannot be written */
		memset(copy, 1, sizeof(copy));
		cr_expect_eq(volume_read(v, m.fve.copies[1], copy, 512), 0);
		cr_expect_eq(copy[0] | copy[511], 0);
		cr_expect_eq(volume_write(v, m.fve.copies[1] + 1024, bytes, 512), EIO);
		cr_expect(volume_broken(v));
		cr_assert_eq(pread(m.fd, now, sizeof(now), (off_t)m.fve.copies[1]), 65536);
		cr_expect_arr_eq(now, before, sizeof(before));
		cr_expect_eq(volume_read(v, 100, copy, 512), EINVAL);
		cr_expect_eq(volume_read(v, BYTES - 512, copy, 1024), EINVAL);
		cr_expect_eq(volume_flush(v), 0);
		volume_free(v);
		unmake(&m);
	}
}

/* qemu is the client that counts. */
Test(volume, is_served_to_qemu)
{
	struct made m = make("xts-128");
	struct plain *v = open_volume(&m);
	struct ff_err err = {0};
	ff_auto_free uint8_t *bytes = ff_calloc(1024 * 1024, 1), *out = ff_calloc(1024 * 1024, 1);
	ff_auto_free char *copy = ff_printf("%s/copy.raw", m.dir), *source = NULL;
	struct nbd *nbd;
	int fd;

	fill(bytes, 1024 * 1024, 9);
	memcpy(out, bytes, 1024 * 1024);
	cr_assert_eq(volume_write(v, 3 * 1024 * 1024 - 512, out, 1024 * 1024), 0);
	nbd = nbd_start(v, true, &err);
	cr_assert_not_null(nbd, "%s", err.text);
	source = ff_printf("nbd:unix:%s", nbd_socket(nbd));
	char *argv[] = {"qemu-img", "convert", "-f", "raw", "-O", "raw", source, copy, NULL};

	cr_expect_eq(run(argv), 0);
	cr_expect_eq(run(argv), 0, "a second connection");
	nbd_stop(nbd);
	fd = open(copy, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0);
	cr_expect_eq(lseek(fd, 0, SEEK_END), BYTES);
	cr_assert_eq(pread(fd, out, 1024 * 1024, 3 * 1024 * 1024 - 512), 1024 * 1024);
	cr_expect_eq(memcmp(out, bytes, 1024 * 1024), 0);
	close(fd);
	volume_free(v);
	unmake(&m);
}

/* The disk that an image holds: what is written there stands in the image when it is closed. */
Test(volume, may_stand_in_an_image_that_only_qemu_reads)
{
	static const char *const formats[] = {"qcow2", "vpc", "vhdx", "vmdk"};

	for (size_t i = 0; i < FF_COUNT(formats); i++) {
		struct made m = make("xts-128");
		ff_auto_free char *image = ff_printf("%s/image", m.dir), *raw = ff_printf("%s/raw", m.dir);
		char *format = (char *)(uintptr_t)formats[i];
		char *to[] = {"qemu-img", "convert", "-O", format, m.path, image, NULL};
		char *from[] = {"qemu-img", "convert", "-f", format, "-O", "raw", image, raw, NULL};
		struct job job = {.path = image, .format = format};
		uint8_t bytes[4096], there[4096], twice[3 * 512];
		struct ff_err err = {0};
		struct store *s;
		struct stat st;
		int fd;

		cr_assert_eq(run(to), 0);
		cr_assert_eq(stat(image, &st), 0);
		job.device_id = st.st_dev;
		job.inode = st.st_ino;
		s = store_open(&job, true, &err);
		cr_assert_not_null(s, "%s: %s", format, err.text);
		cr_expect_geq(store_bytes(s), BYTES); /* a dynamic VHD ends at a cylinder */
		cr_expect(store_socket(s) != NULL);
		cr_assert_eq(store_read(s, 0, there, sizeof(there)), 0);
		cr_assert_eq(pread(m.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		cr_expect_arr_eq(there, bytes, sizeof(bytes), "%s", format);
		fill(bytes, sizeof(bytes), 3);
		cr_assert_eq(store_write(s, BYTES / 2, bytes, sizeof(bytes)), 0);
		cr_assert_eq(store_flush(s), 0);
		cr_assert_eq(store_read(s, BYTES / 2 + 512, twice, sizeof(twice)), 0);
		cr_expect_arr_eq(twice, bytes + 512, sizeof(twice), "%s", format);
		cr_expect_neq(store_read(s, store_bytes(s), there, 512), 0, "behind its end");
		store_close(s);
		cr_assert_eq(run(from), 0);
		fd = open(raw, O_RDONLY | O_CLOEXEC);
		cr_assert_eq(pread(fd, there, sizeof(there), BYTES / 2), sizeof(there));
		cr_expect_arr_eq(there, bytes, sizeof(bytes), "%s", format);
		close(fd);
		job.inode++;
		cr_expect_null(store_open(&job, false, &err));
		cr_expect(strstr(err.text, "is another disk now") != NULL, "%s", err.text);
		unmake(&m);
	}
}

Test(volume, an_image_that_qemu_refuses_says_why)
{
	struct made m = make("xts-128");
	struct job job = {.path = m.path, .format = "qcow2"};
	struct ff_err err = {0};
	struct stat st;

	cr_assert_eq(stat(m.path, &st), 0);
	job.device_id = st.st_dev;
	job.inode = st.st_ino;
	cr_expect_null(store_open(&job, true, &err));
	cr_expect(strstr(err.text, "not in qcow2 format") != NULL, "%s", err.text);
	unmake(&m);
}

/* ---------------------------------------------------------------- what others think */

Test(fve, cryptsetup_agrees_with_the_volumes_that_are_tested_with)
{
	if (access("/sbin/cryptsetup", X_OK) != 0)
		cr_skip_test("there is no /sbin/cryptsetup");
	for (size_t i = 0; i < FF_COUNT(methods); i++) {
		struct made m = make(methods[i].what);
		const struct fve_protector *p = protector(&m.fve, FVE_RECOVERY_PASSWORD);
		ff_auto_free char *file = ff_printf("%s/key", m.dir);
		char *argv[] = {"/sbin/cryptsetup", "open", "--type", "bitlk", "--test-passphrase", "--key-file", file,
			m.path, NULL};
		FILE *f = fopen(file, "we");

		cr_assert_not_null(f);
		fputs(key_of(&m, p->id), f);
		fclose(f);
		cr_expect_eq(run(argv), 0, "%s", methods[i].what);
		unmake(&m);
	}
}
