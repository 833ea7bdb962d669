/* Sources of keys: what they read, what they ask, what they find; and that they never say what stands in a file. */
#include <criterion/criterion.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/keys.h"
#include "fixfleet/secret.h"

#define A  "000011-000022-000033-000044-000055-000066-000077-000088"
#define B  "000022-000022-000033-000044-000055-000066-000077-000088"
#define C  "000033000022000033000044000055000066000077000088"
#define ID "4381f759-c4f8-4de0-bb61-fc33a831bda5"
/* 80 bytes, the first of which says so */
#define BEK                                                                                                            \
	"UAAAAAEAAAAwAAAAUAAAAFn3gUP4xOBNu2H8M6gxvaUBAAAAAAAAAADAg+2KSdoBIAAGAAkAAQBZ94FD+MTgTbth/DOoMb2lAMCD7YpJ2gE="

static const struct ff_key_want want = {.provider = "azure",
	.vm_name = "Pay-01",
	.vm_id = "/subscriptions/1/pay-01",
	.disk_id = "/subscriptions/1/disks/pay-01-os",
	.volume_id = "11111111-2222-3333-4444-555555555555",
	.protectors = {{"aaaaaaaa-0000-0000-0000-000000000001", "tpm"}, {ID, "recovery-password"}},
	.protector_count = 2};

static int open_file(struct ff_key_source *s, const char *text, struct ff_err *err)
{
	return ff_key_file(s, ff_secret_strdup(text), strlen(text), err);
}

/* The keys that a file has for the want, "protector=key" each, joined by blanks. */
static void expect(const char *text, const char *expected)
{
	struct ff_key_source s;
	struct ff_keys found = {0};
	struct ff_err err = {0};
	ff_auto_buf all = {0};

	cr_assert_eq(open_file(&s, text, &err), 0, "%s", err.text);
	cr_expect_eq(s.look(s.self, &want, 0, NULL, NULL, &found, &err), FF_KEY_DONE);
	ff_buf_adds(&all, "");
	for (size_t i = 0; i < found.count; i++)
		ff_buf_addf(&all, "%s%s=%s", i ? " " : "", found.items[i].protector, found.items[i].text);
	cr_expect_str_eq(all.text, expected);
	ff_keys_release(&found);
	s.free(s.self);
}

Test(keys, a_file_is_looked_through_by_protector_then_vm_then_disk)
{
	expect("other," A "\n" ID "," B "\n", ID "=" B);
	expect("pay-01," A "\n" ID "," B "\n", ID "=" B);
	expect("PAY-01," A "\n", "=" A);
	expect("pay-01," A "\npay-01," B "\n", "=" A " =" B);
	expect("/SUBSCRIPTIONS/1/disks/pay-01-OS," A, "=" A);
	expect("pay-02," A "\n", "");
	expect("", "");
}

Test(keys, a_file_may_look_as_people_make_it)
{
	expect("Id,Recovery Key\r\n# a comment\r\n\r\n{4381F759-C4F8-4DE0-BB61-FC33A831BDA5} , \"" C "\" \r\n",
		ID "=" C);
	expect("{4381F759-C4F8-4DE0-BB61-FC33A831BDA5}," A "\n", ID "=" A);
	expect("pay-01," BEK "\n", "=" BEK);
	expect("{\"pay-01\":\"" A "\"}", "=" A);
	expect(" [{\"id\":\"" ID "\",\"key\":\"" BEK "\",\"note\":1},{\"id\":\"x\",\"key\":\"" A "\"}]", ID "=" BEK);
}

static void refuse(const char *text, const char *part)
{
	struct ff_key_source s;
	struct ff_err err = {0};

	cr_expect_lt(open_file(&s, text, &err), 0, "%s", text);
	cr_expect_eq(err.class, FF_E_USAGE);
	cr_expect(strstr(err.text, part) != NULL, "%s", err.text);
	cr_expect(strstr(err.text, "7777") == NULL, "the message tells what stands there: %s", err.text);
}

Test(keys, errors_name_the_place_and_nothing_else)
{
	refuse("pay-01," A "\npay-02,777777\n", "line 2");
	refuse("pay-01," A "\n777777\n", "line 2");
	refuse("777777,777777-777777-777777-777777-777777-777777-777777\n", "line 1");
	refuse("{\"a\":\"777777\"}", "entry 1");
	refuse("[{\"id\":\"a\",\"key\":\"" A "\"},{\"id\":777777}]", "entry 2");
	refuse("{\"a\":\"7777", "line 1");
}

Test(keys, ten_thousand_keys_give_the_one_that_fits)
{
	ff_auto_buf text = {0};

	for (unsigned i = 0; i < 10000; i++)
		ff_buf_addf(&text, "%08x-0000-0000-0000-000000000000," A "\n", i);
	ff_buf_adds(&text, ID "," B "\n");
	expect(text.text, ID "=" B);
}

Test(keys, any_bytes_are_read_without_harm)
{
	static const char alphabet[] = "0123456789-,\n\"{}[]:# abAB=/\\\r\0";

	srand(3);
	for (int n = 0; n < 20000; n++) {
		size_t len = (size_t)rand() % 200;
		char *text = ff_secret_new(len + 1);
		struct ff_key_source s;
		struct ff_err err = {0};

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand() % sizeof(alphabet)];
		if (n % 4 == 0 && len > 70)
			memcpy(text + 9, A, sizeof(A) - 1);
		if (ff_key_file(&s, text, len, &err) == 0)
			s.free(s.self);
	}
}

/* ---------------------------------------------------------------- a program */

Test(keys, a_command_is_split_without_a_shell)
{
	struct ff_key_source s;
	struct ff_keys found = {0};
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	ff_auto_json json_t *body = NULL;

	cr_assert_eq(ff_key_command(&s, " vault  get 'a b;c' \"d 'e\" f\\ g $(x) '' ", &err), 0, "%s", err.text);
	cr_expect_eq(s.look(s.self, &want, 0, NULL, &ask, &found, &err), FF_KEY_ASK);
	cr_expect_eq(ask.kind, FF_ASK_EXEC);
	cr_expect(ask.secret);
	cr_assert_eq(ask.argv.count, 7u);
	cr_expect_str_eq(ask.argv.items[2], "a b;c");
	cr_expect_str_eq(ask.argv.items[3], "d 'e");
	cr_expect_str_eq(ask.argv.items[4], "f g");
	cr_expect_str_eq(ask.argv.items[5], "$(x)");
	cr_expect_str_eq(ask.argv.items[6], "");
	body = json_loads(ask.body, 0, NULL);
	cr_expect_str_eq(ff_json_str(body, "vm"), "Pay-01");
	cr_expect_str_eq(ff_json_str(body, "protectors/1/id"), ID);
	cr_expect_str_eq(ff_json_str(body, "protectors/1/kind"), "recovery-password");
	ff_ask_release(&ask);
	s.free(s.self);
	cr_expect_lt(ff_key_command(&s, "vault 'x", &err), 0);
	cr_expect_lt(ff_key_command(&s, "  ", &err), 0);
}

Test(keys, a_command_answers_with_one_key_or_nothing)
{
	static const struct {
		const char *body;
		int status;
		enum ff_key_step step;
		size_t count;
	} cases[] = {{A "\n", 0, FF_KEY_DONE, 1}, {" " BEK " \n", 0, FF_KEY_DONE, 1}, {"\n", 0, FF_KEY_DONE, 0},
		{"", 0, FF_KEY_DONE, 0}, {"no such key: 7777", 0, FF_KEY_FAILED, 0}, {A, 3, FF_KEY_FAILED, 0}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer answer = {.status = cases[i].status,
			.body = (char *)(uintptr_t)cases[i].body,
			.body_len = strlen(cases[i].body)};
		struct ff_keys found = {0};
		struct ff_key_source s;
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		cr_assert_eq(ff_key_command(&s, "vault", &err), 0);
		cr_expect_eq(s.look(s.self, &want, 1, &answer, &ask, &found, &err), cases[i].step, "case %zu", i);
		cr_expect_eq(found.count, cases[i].count, "case %zu", i);
		cr_expect(strstr(err.text, "7777") == NULL);
		ff_keys_release(&found);
		s.free(s.self);
	}
}

Test(keys, what_a_program_complains_is_not_shown_when_it_may_hold_a_key)
{
	ff_auto_free char *plain = ff_key_refusal("--key-command", "'vault' ended with exit status 3: no such key"),
			  *digits = ff_key_refusal("--key-command", "'vault' failed: + echo " A),
			  *base64 = ff_key_refusal("--key-command", "'vault' failed: " BEK);

	cr_expect_str_eq(plain, "--key-command: 'vault' ended with exit status 3: no such key");
	cr_expect(strstr(digits, "000022") == NULL && strstr(digits, "not shown") != NULL, "%s", digits);
	cr_expect(strstr(base64, "UAAA") == NULL, "%s", base64);
}

/* ---------------------------------------------------------------- names in a secret store */

Test(keys, a_pattern_gives_a_name_for_each_protector_that_a_key_opens)
{
	ff_auto_free char *first = ff_key_secret_name("bl/{protector}", &want, 0),
			  *second = ff_key_secret_name("bl/{protector}", &want, 1),
			  *vm = ff_key_secret_name("{vm}-{volume}{x}", &want, 0),
			  *again = ff_key_secret_name("{vm}", &want, 1);

	cr_expect_str_eq(first, "bl/" ID, "not that of the TPM");
	cr_expect_null(second);
	cr_expect_str_eq(vm, "Pay-01-11111111-2222-3333-4444-555555555555{x}");
	cr_expect_null(again);
}

Test(keys, a_secret_is_a_text_or_a_file)
{
	struct ff_keys found = {0};
	size_t len;
	ff_auto_free void *bek = ff_base64_decode(BEK, &len);
	char id[FF_GUID_BYTES];

	cr_expect(ff_keys_add_secret(&found, A "\n", sizeof(A)));
	cr_expect(ff_keys_add_secret(&found, bek, len));
	cr_expect(ff_key_startup_id(BEK, id));
	cr_expect_str_eq(id, ID, "the protector that it is of");
	cr_expect_not(ff_key_startup_id(A, id));
	cr_expect(!ff_keys_add_secret(&found, "hello", 5));
	cr_expect(!ff_keys_add_secret(&found, "", 0));
	cr_assert_eq(found.count, 2u);
	cr_expect_str_eq(found.items[0].text, A);
	cr_expect_str_eq(found.items[1].text, BEK);
	ff_keys_release(&found);
}
