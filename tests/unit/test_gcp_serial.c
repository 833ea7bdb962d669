/* Serial-port output, and customer-supplied keys. */
#include "test_gcp_kit.h"

#define UEFI                                                                                                           \
	"CSM BBS Table full.\r\nBdsDxe: loading Boot0001 \"UEFI Google PersistentDisk \" from PciRoot(0x0)\r\n"        \
	"BdsDxe: starting Boot0001 \"UEFI Google PersistentDisk \" from PciRoot(0x0)\r\n\r\n"                          \
	"UEFI: Attempting to start image.\r\nDescription: Windows Boot Manager\r\n"
#define BIOS	"SeaBIOS (version 1.8.2-google)\nTotal RAM Size = 0x0000000600000000\nBooting from Hard Disk 0...\n"
#define GUEST	"2024/07/19 06:10:31 GCEGuestAgent: GCE Agent Started (version 20240109.00)\n"
#define MANAGER "2024-07-19T06:10:33.3591Z OSConfigAgent Info main.go:100: OSConfig Agent started.\n"
#define BLUE	"<INSTANCE CLASSNAME=\"BLUESCREEN\"><PROPERTY NAME=\"STOPCODE\" TYPE=\"string\"><VALUE>\"0x50\"</VALUE>\n"

static const struct {
	const char *what, *text;
	enum ff_health health;
	unsigned boots;
} cases[] = {
	{"nothing", "", FF_SUSPECT, 0},
	{"one boot", UEFI, FF_SUSPECT, 1},
	{"two boots, as an update does", UEFI UEFI, FF_SUSPECT, 2},
	{"a loop with UEFI", UEFI UEFI UEFI, FF_AFFECTED, 3},
	{"a loop with a BIOS", BIOS BIOS BIOS BIOS, FF_AFFECTED, 4},
	{"a good boot", UEFI GUEST, FF_HEALTHY, 0},
	{"another agent", BIOS MANAGER, FF_HEALTHY, 0},
	{"a good life, then a loop", UEFI GUEST MANAGER UEFI UEFI UEFI UEFI, FF_AFFECTED, 4},
	{"a loop that has ended", UEFI UEFI UEFI UEFI GUEST, FF_HEALTHY, 0},
	{"a restart under way", UEFI GUEST UEFI, FF_SUSPECT, 1},
	{"the banner lies before what was read", GUEST, FF_HEALTHY, 0},
	{"a stop error", UEFI GUEST UEFI BLUE, FF_AFFECTED, 1},
	{"a stop error long ago", BLUE UEFI GUEST, FF_HEALTHY, 0},
	{"no newline at the end", UEFI "GCEGuestAgent: x", FF_HEALTHY, 0},
	{"other words", "GCE\nBdsDxe: loading Boot0001\nHello\n", FF_SUSPECT, 0},
};

Test(gcp_serial, boots_are_counted_since_the_guest_was_last_heard)
{
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct gcp_serial serial;

		gcp_serial_read(cases[i].text, strlen(cases[i].text), &serial);
		cr_expect_eq(serial.boots, cases[i].boots, "%s: %u boots", cases[i].what, serial.boots);
		cr_expect_eq(gcp_serial_health(&serial), cases[i].health, "%s", cases[i].what);
	}
}

Test(gcp_serial, any_bytes_will_do)
{
	static const char bytes[] = "\0\xff\n\0GCEGuestAgent\0\r\xc3\n\n\n";
	struct gcp_serial serial;

	gcp_serial_read(bytes, sizeof(bytes) - 1, &serial);
	cr_expect(serial.guest);
	gcp_serial_read(NULL, 0, &serial);
	cr_expect_not(serial.guest);
}

static enum ff_health answered(const char *text, int64_t start, int64_t next, int64_t mark)
{
	struct gcp_serial serial;
	json_t *answer = json_object();
	char number[32];
	enum ff_health health;

	ff_json_set_str(answer, "contents", text);
	snprintf(number, sizeof(number), "%lld", (long long)start);
	ff_json_set_str(answer, "start", number);
	snprintf(number, sizeof(number), "%lld", (long long)next);
	ff_json_set_str(answer, "next", number);
	health = gcp_serial_answer(answer, mark, &serial);
	json_decref(answer);
	return health;
}

Test(gcp_serial, only_what_came_after_the_mark_counts)
{
	int64_t len = (int64_t)strlen(GUEST);

	cr_expect_eq(answered(GUEST, 1000, 1000 + len, 0), FF_HEALTHY);
	cr_expect_eq(answered(GUEST, 1000, 1000 + len, 1000), FF_HEALTHY, "it begins at the mark");
	cr_expect_eq(answered(GUEST, 1000, 1000 + len, 1000 + len), FF_SUSPECT, "all of it is old");
	cr_expect_eq(answered(GUEST GUEST, 0, 2 * len, len), FF_HEALTHY, "half of it is new");
	cr_expect_eq(answered(GUEST, 0, len, 500000), FF_HEALTHY, "the output began anew with the start");
	cr_expect_eq(answered(GUEST, -5, INT64_MAX, INT64_MAX), FF_HEALTHY, "numbers that make no sense do no harm");
	cr_expect_eq(answered(GUEST, 0, INT64_MAX, INT64_MAX), FF_SUSPECT);
}

Test(gcp_serial, an_answer_of_another_shape_tells_nothing)
{
	static const char *const bodies[] = {"{}", "{\"contents\":5}", "{\"contents\":null,\"next\":\"x\"}", "[]"};

	for (size_t i = 0; i < FF_COUNT(bodies); i++) {
		ff_auto_json json_t *j = kit_json(bodies[i]);
		struct gcp_serial serial;

		cr_expect_eq(gcp_serial_answer(j, 0, &serial), FF_SUSPECT);
	}
}

/* ---------------------------------------------------------------- keys */

#define ENTRY(uri, key, type) "{\"uri\":\"" uri "\",\"key\":\"" key "\",\"key-type\":\"" type "\"}"

Test(gcp_keys, a_key_is_found_by_its_disk_and_checked_by_its_hash)
{
	static const char file[] = "[" ENTRY(GOOGLE DISK, KEY, "raw") "," ENTRY(
		"https://www.googleapis.com/compute/v1/" ZONE "/disks/wrapped", "abcd", "rsa-encrypted") "]";
	struct gcp_keys keys = {0};
	struct ff_err err;
	const struct gcp_key *key;
	ff_auto_json json_t *raw = NULL, *wrapped = NULL;

	cr_assert_eq(gcp_keys_read(&keys, file, strlen(file), &err), 0, "%s", err.text);
	key = gcp_key_for(&keys, BASE DISK);
	cr_assert_not_null(key, "hosts differ, paths do not");
	cr_expect(gcp_key_fits(key, KEY_SHA256));
	cr_expect_not(gcp_key_fits(key, "YjGPjPnL4kmjCBK4yhMtaR3tepGZFBNVjbV1hXX14B9="));
	cr_expect_not(gcp_key_fits(key, ""));
	cr_expect_not(gcp_key_fits(key, NULL));
	raw = gcp_key_json(key);
	cr_expect_str_eq(ff_json_str(raw, "rawKey"), KEY);
	wrapped = gcp_key_json(gcp_key_for(&keys, ZONE "/disks/wrapped"));
	cr_expect_str_eq(ff_json_str(wrapped, "rsaEncryptedKey"), "abcd");
	cr_expect_null(gcp_key_for(&keys, ZONE "/disks/other"));
	gcp_keys_free(&keys);
	cr_expect_null(gcp_key_for(&keys, DISK));
}

Test(gcp_keys, a_file_that_is_none_is_refused_without_quoting_it)
{
	static const char *const files[] = {
		"",
		"{}",
		"hunter2-secret",
		"[5]",
		"[{\"uri\":\"x\",\"key\":\"hunter2-secret\"}]",
		"[" ENTRY(GOOGLE DISK, "hunter2-secret", "raw") "]",
		"[" ENTRY(GOOGLE DISK, KEY, "hunter2-secret") "]",
		"[" ENTRY(GOOGLE "projects/p1/../x", KEY, "raw") "]",
		"[{\"uri\":\"" GOOGLE DISK "\"}]",
	};

	for (size_t i = 0; i < FF_COUNT(files); i++) {
		struct gcp_keys keys = {0};
		struct ff_err err = {0};

		cr_expect_eq(gcp_keys_read(&keys, files[i], strlen(files[i]), &err), -1, "%s", files[i]);
		cr_expect_eq(err.class, FF_E_USAGE);
		cr_expect_null(strstr(err.text, "hunter2"), "%s", err.text);
		cr_expect_eq(keys.count, 0);
		gcp_keys_free(&keys);
	}
}

/* ---------------------------------------------------------------- paths */

Test(gcp_path, only_plain_segments_become_part_of_a_request)
{
	static const struct {
		const char *url, *path;
	} paths[] = {
		{GOOGLE DISK, DISK},
		{BASE DISK, DISK},
		{DISK, DISK},
		{"https://127.0.0.1:8443/compute/v1/projects/example.com:p1/zones/z-a/disks/d",
			"projects/example.com:p1/zones/z-a/disks/d"},
		{"https://x/compute/v1/projects/p/../q", NULL},
		{"https://x/compute/v1/projects/p/zones/a?b=c", NULL},
		{"https://x/compute/v1/projects/p/zones/a b", NULL},
		{"https://x/compute/v1/projects/p//d", NULL},
		{"projects/p/zones/a%2f", NULL},
		{"projects/p/zones/\n", NULL},
		{"projects/p/", NULL},
		{"https://x/zones/a", NULL},
		{"", NULL},
		{NULL, NULL},
	};

	for (size_t i = 0; i < FF_COUNT(paths); i++) {
		ff_auto_free char *path = gcp_path(paths[i].url);

		cr_expect(ff_streq(path, paths[i].path), "%s gives %s", paths[i].url, path);
	}
}

Test(gcp_path, names_are_what_compute_allows)
{
	static const char *const good[] = {
		"a", "vm-1", "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"};
	static const char *const bad[] = {"", "1a", "a-", "A", "a_b", "a.b", "a b",
		"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-01234567890"};

	for (size_t i = 0; i < FF_COUNT(good); i++)
		cr_expect(gcp_is_name(good[i]), "%s", good[i]);
	for (size_t i = 0; i < FF_COUNT(bad); i++)
		cr_expect_not(gcp_is_name(bad[i]), "%s", bad[i]);
	cr_expect_not(gcp_is_name(NULL));
}
