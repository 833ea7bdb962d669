/* Keys that Azure has: whom tokens are for and where they go, the questions to Key Vault and Graph, what answers mean.
 */
#include "azure_kit.h"

#include "fixfleet/secret.h"

#define ID     "4381f759-c4f8-4de0-bb61-fc33a831bda5"
#define OTHER  "11111111-2222-4333-8444-555555555555"
#define THIRD  "33333333-2222-4333-8444-555555555555"
#define SECRET "https://fleet-1.vault.azure.net/secrets/4381F759-C4F8-4DE0-BB61-FC33A831BDA5/ff16d59d"
#define KEK    "https://keys-2.vault.azure.net/keys/kek/b3246ffd"
#define PLAIN  "000011-000022-000033-000044-000055-000066-000077-000088"
/* a .BEK file of 80 bytes, of protector ID */
#define BEK                                                                                                            \
	"UAAAAAEAAAAwAAAAUAAAAFn3gUP4xOBNu2H8M6gxvaUBAAAAAAAAAADAg+2KSdoBIAAGAAkAAQBZ94FD+MTgTbth/DOoMb2lAMCD7YpJ2gE="
#define SETTING(secret, more) "{\"secret\":\"" secret "\"" more "}"
#define WITH_KEK	      ",\"kek\":\"" KEK "\""

/* ---------------------------------------------------------------- one chain of questions */

struct chain {
	struct ff_cloud *cloud;
	const struct ff_key_store *store;
	json_t *facts, *state;
	struct ff_key_want want;
	struct ff_ask ask;
	struct ff_keys found;
	struct ff_err err;
	int64_t now;
};

static struct chain begin(struct ff_cloud *cloud, int store, const char *keys)
{
	struct chain c = {.cloud = cloud, .store = &ff_azure.key_stores[store], .state = json_object(), .now = NOW};
	ff_auto_free char *facts = ff_printf("{\"disk\":{\"ade\":{\"version\":\"1.1\",\"keys\":[%s]}}}", keys);

	c.facts = kit_json(facts);
	c.want = (struct ff_key_want){.protectors = {{OTHER, "tpm"}, {ID, "startup-key"}, {THIRD, "recovery-password"},
					      {OTHER, "recovery-password"}},
		.protector_count = 4};
	return c;
}

static void end(struct chain *c)
{
	ff_ask_release(&c->ask);
	ff_keys_release(&c->found);
	json_decref(c->facts);
	json_decref(c->state);
}

/* The next turn, with an answer of that status (0: none yet). */
static enum ff_key_step next(struct chain *c, int status, const char *body)
{
	struct ff_answer answer = kit_answer(status, body);
	struct ff_key_turn turn = {.facts = c->facts,
		.want = &c->want,
		.state = c->state,
		.answer = status != 0 ? &answer : NULL,
		.wall_ms = c->now,
		.ask = &c->ask,
		.found = &c->found,
		.err = &c->err};
	enum ff_key_step step;

	ff_ask_release(&c->ask);
	answer.status = status == 1 ? 0 : status; /* 1: a file that was read, a program that ended well */
	step = c->store->look(c->cloud, &turn);
	cr_expect(c->found.count == 0 || step == FF_KEY_DONE, "found before the end");
	cr_expect((step != FF_KEY_ASK && step != FF_KEY_SIGN) || c->ask.secret, "%s", c->ask.url);
	ff_answer_release(&answer, true);
	return step;
}

#define TOKEN(text) "{\"access_token\":\"" text "\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"

/* A chain whose token has come: turn 0 and 1. */
static enum ff_key_step begun(struct chain *c)
{
	cr_assert_eq(next(c, 0, NULL), FF_KEY_ASK, "%s", c->err.text);
	return next(c, 200, TOKEN("vault-token"));
}

static void sign_with(struct chain *c, const char *token)
{
	ff_auto_free char *want = ff_printf("Bearer %s", token);

	cr_assert_eq(ff_azure.sign(c->cloud, c->now, &c->ask, &c->err), 0, "%s", c->err.text);
	cr_expect_str_eq(ff_headers_get(&c->ask.headers, "Authorization"), want);
}

/* ---------------------------------------------------------------- tokens */

Test(azure_keys, a_token_of_its_own_is_asked_of_the_source_that_signed_in)
{
	static const struct {
		const char *cloud;
		int store;
		const char *setting, *scope;
	} cases[] = {{"public", 0, SETTING(SECRET, ""), "scope=https%3A%2F%2Fvault.azure.net%2F.default"},
		{"usgov", 0, SETTING("https://v.vault.usgovcloudapi.net/secrets/a/b", ""),
			"scope=https%3A%2F%2Fvault.usgovcloudapi.net%2F.default"},
		{"china", 0, SETTING("https://v.vault.azure.cn/secrets/a/b", ""),
			"scope=https%3A%2F%2Fvault.azure.cn%2F.default"},
		{"public", 1, "", "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"},
		{"usgov", 1, "", "scope=https%3A%2F%2Fgraph.microsoft.us%2F.default"},
		{"china", 1, "", "scope=https%3A%2F%2Fmicrosoftgraph.chinacloudapi.cn%2F.default"}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_cloud *cloud =
			kit_cloud_of((struct ff_scope_options){.cloud = cases[i].cloud, .groups = {0}});
		struct chain c = begin(cloud, cases[i].store, cases[i].setting);

		cr_assert_eq(next(&c, 0, NULL), FF_KEY_ASK);
		cr_expect(ff_has_suffix(c.ask.url, "/t1/oauth2/v2.0/token"), "%s", c.ask.url);
		cr_expect(ff_has_suffix(c.ask.body, cases[i].scope), "%s", c.ask.body);
		cr_expect_null(ff_headers_get(&c.ask.headers, "Authorization"));
		end(&c);
		ff_azure.close(cloud);
	}
}

/* Signs in with that environment: each answer of the list in turn. */
static struct ff_cloud *signed_in(const char *const *env, const char *const *answers)
{
	struct ff_scope_options options = {.subscription = SUB};
	struct ff_err err;
	struct ff_cloud *cloud = kit_open_with(&options, env, &err);
	struct ff_ask ask = {0};

	cr_assert_not_null(cloud, "%s", err.text);
	for (; *answers != NULL; answers++) {
		struct ff_answer answer;

		cr_assert_eq(ff_azure.login_next(cloud, NOW, &ask, &err), FF_TURN_ASK);
		answer = kit_answer(ask.kind == FF_ASK_HTTP ? 200 : 0, *answers);
		if (ff_streq(*answers, "absent"))
			answer.transport = FF_T_NOT_SENT;
		ff_azure.login_read(cloud, NOW, &ask, &answer);
		ff_answer_release(&answer, true);
		ff_ask_release(&ask);
	}
	cr_assert_eq(ff_azure.login_next(cloud, NOW, &ask, &err), FF_TURN_DONE, "%s", err.text);
	return cloud;
}

Test(azure_keys, a_federated_token_is_read_anew_for_it)
{
	static const char *const env[] = {
		"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_FEDERATED_TOKEN_FILE", "/run/token", NULL};
	static const char *const answers[] = {"a.b.c", TOKEN("arm"), NULL};
	struct ff_cloud *cloud = signed_in(env, answers);
	struct chain c = begin(cloud, 0, SETTING(SECRET, ""));

	cr_assert_eq(next(&c, 0, NULL), FF_KEY_ASK);
	cr_expect_eq(c.ask.kind, FF_ASK_FILE);
	cr_expect_str_eq(c.ask.path, "/run/token");
	cr_assert_eq(next(&c, 1, "d.e.f\n"), FF_KEY_ASK);
	cr_expect(strstr(c.ask.body, "&client_assertion=d.e.f&") != NULL, "%s", c.ask.body);
	cr_expect(ff_has_suffix(c.ask.body, "vault.azure.net%2F.default"), "%s", c.ask.body);
	cr_assert_eq(next(&c, 200, TOKEN("v")), FF_KEY_SIGN);
	sign_with(&c, "v");
	cr_expect_str_eq(azure_login_token(cloud, AZ_FOR_ARM), "arm");
	end(&c);
	/* and one that cannot be read is told */
	azure_bearer_refused(cloud, AZ_FOR_VAULT);
	c = begin(cloud, 0, SETTING(SECRET, ""));
	cr_assert_eq(next(&c, 0, NULL), FF_KEY_ASK);
	cr_assert_eq(next(&c, 2, ""), FF_KEY_FAILED);
	cr_expect_str_eq(c.err.text, "no token for Key Vault: '/run/token' cannot be read: No such file or directory");
	end(&c);
	ff_azure.close(cloud);
}

Test(azure_keys, a_managed_identity_and_az_are_asked_for_that_resource)
{
	static const char *const none[] = {NULL};
	static const char *const managed[] = {TOKEN("arm"), NULL};
	static const char *const cli[] = {"absent", "{\"accessToken\":\"arm\"}", NULL};
	struct ff_cloud *cloud = signed_in(none, managed);
	struct chain c = begin(cloud, 0, SETTING(SECRET, ""));

	cr_assert_eq(next(&c, 0, NULL), FF_KEY_ASK);
	cr_expect_str_eq(c.ask.url, "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&"
				    "resource=https%3A%2F%2Fvault.azure.net");
	cr_expect(c.ask.direct);
	end(&c);
	ff_azure.close(cloud);
	cloud = signed_in(none, cli);
	c = begin(cloud, 1, "");
	cr_assert_eq(next(&c, 0, NULL), FF_KEY_ASK);
	cr_assert_eq(c.ask.kind, FF_ASK_EXEC);
	cr_expect_str_eq(c.ask.argv.items[3], "--resource");
	cr_expect_str_eq(c.ask.argv.items[4], "https://graph.microsoft.com");
	cr_assert_eq(next(&c, 1, "{\"accessToken\":\"g\"}"), FF_KEY_SIGN, "%s", c.err.text);
	sign_with(&c, "g");
	end(&c);
	ff_azure.close(cloud);
}

Test(azure_keys, a_token_is_kept_until_its_time_has_come)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 0, SETTING(SECRET, "")), d = begin(cloud, 0, SETTING(SECRET, ""));

	cr_assert_eq(begun(&c), FF_KEY_SIGN);
	cr_expect_eq(next(&d, 0, NULL), FF_KEY_SIGN, "the next volume needs none");
	end(&d);
	d = begin(cloud, 0, SETTING(SECRET, ""));
	d.now = NOW + 3599000;
	cr_expect_eq(next(&d, 0, NULL), FF_KEY_ASK);
	cr_expect(strstr(d.ask.url, "oauth2") != NULL);
	end(&c);
	end(&d);
	ff_azure.close(cloud);
}

Test(azure_keys, a_refused_login_is_told_without_the_secret)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 1, "");

	cr_assert_eq(next(&c, 0, NULL), FF_KEY_ASK);
	cr_assert_eq(
		next(&c, 400, "{\"error\":\"invalid_resource\",\"error_description\":\"AADSTS500011: not found\"}"),
		FF_KEY_FAILED);
	cr_expect_str_eq(c.err.text, "no token for Microsoft Graph: AADSTS500011: not found");
	cr_expect_str_eq(azure_login_token(cloud, AZ_FOR_ARM), "tok", "the run goes on");
	end(&c);
	ff_azure.close(cloud);
}

/* ---------------------------------------------------------------- where tokens go */

Test(azure_keys, a_vault_is_known_by_its_host)
{
	static const struct {
		const char *url, *made; /* NULL: it is no vault's */
	} cases[] = {
		{SECRET, SECRET},
		{"https://Fleet-1.Vault.Azure.Net:443/secrets/a/b", "https://fleet-1.vault.azure.net/secrets/a/b"},
		{"https://v.vault.azure.net/secrets/a", "https://v.vault.azure.net/secrets/a"},
		{"https://v.vault.azure.net/secrets/a/", "https://v.vault.azure.net/secrets/a"},
		{"http://v.vault.azure.net/secrets/a/b", NULL},
		{"http://vv.vault.azure.net/secrets/a/b", NULL},
		{"https://v.vault.azure.net:8443/secrets/a/b", NULL},
		{"https://v.vault.azure.net.evil.example/secrets/a/b", NULL},
		{"https://evil.example/v.vault.azure.net/secrets/a/b", NULL},
		{"https://evil.example#.vault.azure.net/secrets/a/b", NULL},
		{"https://evil.example\\.vault.azure.net/secrets/a/b", NULL},
		{"https://v.vault.azure.net@evil.example/secrets/a/b", NULL},
		{"https://evil.example?x.vault.azure.net/secrets/a/b", NULL},
		{"https://.vault.azure.net/secrets/a/b", NULL},
		{"https://a.b.vault.azure.net/secrets/a/b", NULL},
		{"https://evilvault.azure.net/secrets/a/b", NULL},
		{"https://v.vault.usgovcloudapi.net/secrets/a/b", NULL},
		{"https://127.0.0.1/secrets/a/b", NULL},
		{"https://management.azure.com/secrets/a/b", NULL},
		{"https://v.vault.azure.net/keys/a/b", NULL},
		{"https://v.vault.azure.net/secrets/", NULL},
		{"https://v.vault.azure.net/secrets/a/b/c", NULL},
		{"https://v.vault.azure.net/secrets/a/../../deletedsecrets", NULL},
		{"https://v.vault.azure.net/secrets/a/b?x=y", NULL},
		{"https://v.vault.azure.net/secrets/a%2fb/c", NULL},
		{"https://v.vault.azure.net/secrets/a b/c", NULL},
		{"https://v.vault.azure.net", NULL},
		{"", NULL},
		{NULL, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *made = azure_vault_url(cloud, cases[i].url, "secrets");

		cr_expect(cases[i].made != NULL ? ff_streq(made, cases[i].made) : made == NULL, "%s: %s",
			cases[i].url ? cases[i].url : "NULL", made ? made : "none");
	}
	ff_azure.close(cloud);
}

/* The override for tests: Resource Manager itself must be on this machine. */
Test(azure_keys, a_simulator_on_this_machine_has_vaults_too)
{
	static const struct {
		const char *arm, *url;
		bool is;
	} cases[] = {
		{"https://127.0.0.1:4433", "https://127.0.0.1:4433/secrets/a/b", true},
		{"http://localhost:80", "http://localhost/secrets/a/b", true},
		{"https://127.0.0.1:4433", "https://127.0.0.1:4434/secrets/a/b", false},
		{"https://127.0.0.1:4433", "https://localhost:4433/secrets/a/b", false},
		{"https://127.0.0.1:4433", "http://127.0.0.1:4433/secrets/a/b", false},
		{"https://127.0.0.1:4433", SECRET, true},
		{"https://proxy.example", "https://proxy.example/secrets/a/b", false},
		{"https://127.evil.example", "https://127.evil.example/secrets/a/b", false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		const char *const env[] = {"AZURE_RESOURCE_MANAGER_ENDPOINT", cases[i].arm, NULL};
		struct ff_scope_options options = {.subscription = SUB};
		struct ff_err err;
		struct ff_cloud *cloud = kit_open_with(&options, env, &err);

		cr_assert_not_null(cloud, "%s", err.text);
		cr_expect_eq(azure_url_is_vault(cloud, cases[i].url), cases[i].is, "case %zu", i);
		ff_azure.close(cloud);
	}
}

Test(azure_keys, no_token_goes_to_another_than_it_is_for)
{
	static const struct {
		int tag;
		const char *url;
	} bad[] = {{AZ_Q_VAULT, ARM "/secrets/a/b"}, {AZ_Q_VAULT, "https://evil.example/secrets/a/b"},
		{AZ_Q_GRAPH, SECRET}, {AZ_Q_GRAPH, "https://graph.microsoft.com.evil.example/v1.0"},
		{AZ_Q_STEP, SECRET}, {AZ_Q_STEP, "https://graph.microsoft.com/v1.0"}};
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 0, SETTING(SECRET, ""));

	cr_assert_eq(begun(&c), FF_KEY_SIGN);
	sign_with(&c, "vault-token");
	for (size_t i = 0; i < FF_COUNT(bad); i++) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		ff_ask_http(&ask, "GET", "%s", bad[i].url);
		ask.tag = bad[i].tag;
		cr_expect_lt(ff_azure.sign(cloud, NOW, &ask, &err), 0, "%s", bad[i].url);
		cr_expect_eq(err.class, FF_E_BUG);
		cr_expect_null(ff_headers_get(&ask.headers, "Authorization"));
		ff_ask_release(&ask);
	}
	end(&c);
	ff_azure.close(cloud);
}

/* A record that names no vault: nobody is asked, not even for a token. */
Test(azure_keys, what_is_no_vault_is_never_asked)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 0, SETTING("https://evil.example/secrets/a/b", ""));

	cr_assert_eq(next(&c, 0, NULL), FF_KEY_FAILED);
	cr_expect_str_eq(
		c.err.text, "the secret that the disk names is of no key vault of this cloud: nothing is sent there");
	end(&c);
	c = begin(cloud, 0, "");
	cr_expect(c.store->serves(cloud, NULL, c.facts));
	cr_expect_eq(next(&c, 0, NULL), FF_KEY_FAILED);
	cr_expect_str_eq(c.err.text, "the disk's record does not say where its key is");
	end(&c);
	ff_azure.close(cloud);
}

/* ---------------------------------------------------------------- Key Vault */

#define SECRET_JSON(value, type, tags)                                                                                 \
	"{\"value\":\"" value "\",\"contentType\":\"" type "\",\"id\":\"x\",\"tags\":{" tags "}}"
#define ALG(name) "\"DiskEncryptionKeyEncryptionAlgorithm\":\"" name "\""

Test(azure_keys, a_secret_that_is_not_wrapped_is_the_key)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 0, SETTING(SECRET, ""));

	cr_assert_eq(begun(&c), FF_KEY_SIGN);
	cr_expect_str_eq(c.ask.method, "GET");
	cr_expect_str_eq(c.ask.url, SECRET "?api-version=7.5");
	cr_expect(!c.ask.mutates);
	sign_with(&c, "vault-token");
	cr_assert_eq(next(&c, 200, SECRET_JSON(BEK, "BEK", "")), FF_KEY_DONE, "%s", c.err.text);
	cr_assert_eq(c.found.count, 1);
	cr_expect_str_eq(c.found.items[0].text, BEK);
	end(&c);
	ff_azure.close(cloud);
}

Test(azure_keys, a_wrapped_one_is_unwrapped_by_the_key_that_wraps_it)
{
	static const struct {
		const char *setting, *secret, *url, *body;
	} cases[] = {
		{SETTING(SECRET, WITH_KEK), SECRET_JSON("-_8A", "Wrapped BEK", ALG("RSA-OAEP")), KEK,
			"{\"alg\":\"RSA-OAEP\",\"value\":\"-_8A\"}"},
		{SETTING(SECRET, WITH_KEK), SECRET_JSON("+/8A", "Wrapped BEK", ALG("rsa1_5")), KEK,
			"{\"alg\":\"RSA1_5\",\"value\":\"-_8A\"}"},
		{SETTING(SECRET, WITH_KEK), SECRET_JSON("AA==", "", ALG("RSA-OAEP-256")), KEK,
			"{\"alg\":\"RSA-OAEP-256\",\"value\":\"AA\"}"},
		/* older secrets do not say how: the default of the extension */
		{SETTING(SECRET, WITH_KEK), SECRET_JSON("AA", "Wrapped BEK", ""), KEK,
			"{\"alg\":\"RSA-OAEP\",\"value\":\"AA\"}"},
		{SETTING(SECRET, ""),
			SECRET_JSON("AA", "Wrapped BEK",
				"\"DiskEncryptionKeyEncryptionKeyURL\":\"https://t.vault.azure.net/keys/k/v\""),
			"https://t.vault.azure.net/keys/k/v", "{\"alg\":\"RSA-OAEP\",\"value\":\"AA\"}"},
	};
	ff_auto_free char *answer = NULL;
	struct ff_cloud *cloud = kit_cloud();
	size_t len;
	ff_auto_free void *bek = ff_base64_decode(BEK, &len);
	ff_auto_free char *text = ff_base64url(bek, len);

	answer = ff_printf("{\"kid\":\"k\",\"value\":\"%s\"}", text);
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct chain c = begin(cloud, 0, cases[i].setting);
		ff_auto_free char *url = ff_printf("%s/unwrapkey?api-version=7.5", cases[i].url);

		cr_assert_eq(i == 0 ? begun(&c) : next(&c, 0, NULL), FF_KEY_SIGN);
		cr_assert_eq(next(&c, 200, cases[i].secret), FF_KEY_SIGN, "case %zu: %s", i, c.err.text);
		cr_expect_str_eq(c.ask.method, "POST");
		cr_expect_str_eq(c.ask.url, url);
		kit_body_is(&c.ask, cases[i].body);
		sign_with(&c, "vault-token");
		cr_assert_eq(next(&c, 200, answer), FF_KEY_DONE, "%s", c.err.text);
		cr_assert_eq(c.found.count, 1);
		cr_expect_str_eq(c.found.items[0].text, BEK);
		end(&c);
	}
	ff_azure.close(cloud);
}

Test(azure_keys, what_the_vault_refuses_is_one_clear_line)
{
	static const struct {
		int status;
		const char *body, *text;
	} cases[] = {
		{403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByFirewall\"}}}",
			"Key Vault refuses the secret (HTTP 403, ForbiddenByFirewall): secrets/get is needed, and a "
			"firewall "
			"that lets this machine in"},
		{404, "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"" PLAIN "\"}}",
			"the secret that the disk names is not there (HTTP 404, SecretNotFound)"},
		{400, "{\"error\":{\"code\":\"" PLAIN "\"}}", "Key Vault answers HTTP 400"},
		{200, "[]", "Key Vault answers HTTP 200, and what it says cannot be read"},
		{200, "{}", "what the vault holds is no startup key"},
		{200, SECRET_JSON("no key", "BEK", ""), "what the vault holds is no startup key"},
		{200, SECRET_JSON("AA", "Wrapped BEK", ""), "the secret is wrapped, and nothing says with which key"},
		{200,
			SECRET_JSON("AA", "Wrapped BEK",
				"\"DiskEncryptionKeyEncryptionKeyURL\":\"https://evil.example/keys/k/v\""),
			"the key that the secret is wrapped with is of no key vault of this cloud: nothing is sent "
			"there"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct chain c = begin(cloud, 0, SETTING(SECRET, ""));

		cr_assert_eq(i == 0 ? begun(&c) : next(&c, 0, NULL), FF_KEY_SIGN);
		cr_assert_eq(next(&c, cases[i].status, cases[i].body), FF_KEY_FAILED, "case %zu", i);
		cr_expect_str_eq(c.err.text, cases[i].text);
		end(&c);
	}
	ff_azure.close(cloud);
}

Test(azure_keys, what_the_wrapping_key_refuses_is_told_too)
{
	static const struct {
		const char *secret;
		int status; /* 0: it is not asked */
		const char *answer, *text;
	} cases[] = {
		{SECRET_JSON("AA", "Wrapped BEK", ""), 403, "{\"error\":{\"code\":\"Forbidden\"}}",
			"Key Vault refuses the wrapping key (HTTP 403, Forbidden): keys/unwrapKey is needed, and a "
			"firewall "
			"that lets this machine in"},
		{SECRET_JSON("AA", "Wrapped BEK", ""), 200, "{\"value\":\"AAAA\"}",
			"what the vault holds is no startup key"},
		{SECRET_JSON("AA", "Wrapped BEK", ALG("A256KW")), 0, NULL,
			"the secret is wrapped with an algorithm that is not known"},
		{SECRET_JSON("?", "Wrapped BEK", ""), 0, NULL, "the secret is wrapped, and is no base64"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct chain c = begin(cloud, 0, SETTING(SECRET, WITH_KEK));
		enum ff_key_step step;

		cr_assert_eq(i == 0 ? begun(&c) : next(&c, 0, NULL), FF_KEY_SIGN);
		step = next(&c, 200, cases[i].secret);
		if (cases[i].status != 0) {
			cr_assert_eq(step, FF_KEY_SIGN);
			step = next(&c, cases[i].status, cases[i].answer);
		}
		cr_assert_eq(step, FF_KEY_FAILED, "case %zu", i);
		cr_expect_str_eq(c.err.text, cases[i].text);
		end(&c);
	}
	ff_azure.close(cloud);
}

Test(azure_keys, a_token_that_is_refused_is_asked_for_once_more)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 0, SETTING(SECRET, ""));
	struct ff_answer answer = kit_answer(401, "{\"error\":{\"code\":\"Unauthorized\"}}");

	cr_assert_eq(begun(&c), FF_KEY_SIGN);
	cr_expect_eq(ff_azure.judge(cloud, NOW, &c.ask, &answer, NULL, NULL), FF_E_DENIED,
		"no reason to sign in to Resource Manager again");
	ff_answer_release(&answer, false);
	cr_assert_eq(next(&c, 401, "{\"error\":{\"code\":\"Unauthorized\"}}"), FF_KEY_ASK);
	cr_expect(strstr(c.ask.url, "oauth2") != NULL, "%s", c.ask.url);
	cr_assert_eq(next(&c, 200, TOKEN("second")), FF_KEY_SIGN);
	sign_with(&c, "second");
	cr_assert_eq(next(&c, 401, "{\"error\":{\"code\":\"Unauthorized\"}}"), FF_KEY_FAILED);
	cr_expect_str_eq(c.err.text, "Key Vault does not take the token (HTTP 401, Unauthorized)");
	end(&c);
	ff_azure.close(cloud);
}

/* One setting a volume: the one whose startup key is this volume's is taken. */
Test(azure_keys, the_setting_of_the_volume_is_found)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 0,
		SETTING("https://evil.example/secrets/a/b", "") "," SETTING(
			"https://v.vault.azure.net/secrets/data/1", "") "," SETTING(SECRET, ""));
	size_t len;
	ff_auto_free char *bek = ff_base64_decode(BEK, &len), *other = NULL, *body = NULL;

	bek[16] ^= 1;
	other = ff_base64(bek, len);
	body = ff_printf("{\"value\":\"%s\",\"contentType\":\"BEK\"}", other);
	cr_assert_eq(begun(&c), FF_KEY_SIGN);
	cr_expect_str_eq(c.ask.url, "https://v.vault.azure.net/secrets/data/1?api-version=7.5");
	cr_assert_eq(next(&c, 200, body), FF_KEY_SIGN, "that is another volume's");
	cr_expect_str_eq(c.ask.url, SECRET "?api-version=7.5");
	cr_assert_eq(next(&c, 200, SECRET_JSON(BEK, "BEK", "")), FF_KEY_DONE);
	cr_expect_str_eq(c.found.items[0].text, BEK);
	end(&c);
	c = begin(cloud, 0, SETTING(SECRET, ""));
	cr_assert_eq(next(&c, 0, NULL), FF_KEY_SIGN);
	cr_assert_eq(next(&c, 200, body), FF_KEY_FAILED);
	cr_expect_str_eq(c.err.text,
		"the startup key in the vault is of protector 4381f758-c4f8-4de0-bb61-fc33a831bda5, "
		"which this volume does not have");
	cr_expect_eq(c.found.count, 0);
	end(&c);
	ff_azure.close(cloud);
}

Test(azure_keys, each_store_serves_what_it_is_for)
{
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_json json_t *plain = kit_json("{\"disk\":{}}"),
			    *viewed = kit_json("{\"disk\":{},\"ade\":{\"keys\":[]}}");
	const struct ff_key_store *stores = ff_azure.key_stores;

	cr_expect_not(stores[0].serves(cloud, NULL, plain));
	cr_expect(stores[0].serves(cloud, NULL, viewed));
	cr_expect_not(stores[1].serves(cloud, NULL, plain), "Graph is asked where the operator said so");
	cr_expect_null(stores[2].name);
	ff_azure.close(cloud);
	cloud = kit_cloud_of((struct ff_scope_options){.key_graph = true});
	cr_expect(stores[1].serves(cloud, NULL, plain));
	ff_azure.close(cloud);
}

/* ---------------------------------------------------------------- Microsoft Graph */

#define RECOVERY "https://graph.microsoft.com/v1.0/informationProtection/bitlocker/recoveryKeys/"

Test(azure_keys, graph_is_asked_for_each_recovery_password_by_its_protector)
{
	struct ff_cloud *cloud = kit_cloud();
	struct chain c = begin(cloud, 1, "");

	cr_assert_eq(begun(&c), FF_KEY_SIGN);
	cr_expect_str_eq(c.ask.method, "GET");
	cr_expect_str_eq(c.ask.url, RECOVERY THIRD "?$select=key");
	sign_with(&c, "vault-token");
	cr_assert_eq(next(&c, 404, "{\"error\":{\"code\":\"x\"}}"), FF_KEY_SIGN);
	cr_expect_str_eq(c.ask.url, RECOVERY OTHER "?$select=key");
	cr_assert_eq(next(&c, 200, "{\"value\":{\"id\":\"" OTHER "\",\"key\":\"" PLAIN "\"}}"), FF_KEY_DONE);
	cr_assert_eq(c.found.count, 1);
	cr_expect_str_eq(c.found.items[0].protector, OTHER);
	cr_expect_str_eq(c.found.items[0].text, PLAIN);
	end(&c);
	c = begin(cloud, 1, "");
	cr_assert_eq(next(&c, 0, NULL), FF_KEY_SIGN);
	cr_assert_eq(next(&c, 200, "{\"key\":\"" PLAIN "\"}"), FF_KEY_DONE);
	cr_expect_str_eq(c.found.items[0].protector, THIRD);
	end(&c);
	c = begin(cloud, 1, "");
	cr_assert_eq(next(&c, 0, NULL), FF_KEY_SIGN);
	cr_assert_eq(next(&c, 404, ""), FF_KEY_SIGN);
	cr_assert_eq(next(&c, 404, ""), FF_KEY_DONE, "it has none");
	cr_expect_eq(c.found.count, 0);
	end(&c);
	/* no recovery password among the protectors: nobody is asked */
	c = begin(cloud, 1, "");
	c.want.protector_count = 2;
	cr_expect_eq(next(&c, 0, NULL), FF_KEY_DONE);
	end(&c);
	ff_azure.close(cloud);
}

Test(azure_keys, what_graph_refuses_is_one_clear_line)
{
	static const struct {
		int status;
		const char *body, *text;
	} cases[] = {
		{403, "{}", "Microsoft Graph refuses it (HTTP 403): BitlockerKey.Read.All is needed"},
		{400, "{\"error\":{\"message\":\"" PLAIN "\"}}", "Microsoft Graph answers HTTP 400"},
		{200, "{\"value\":{\"id\":\"x\"}}", "the answer of Microsoft Graph holds no recovery password"},
		{200, "{\"value\":{\"key\":\"1\"}}", "the answer of Microsoft Graph holds no recovery password"},
		{200, "nonsense", "the answer of Microsoft Graph holds no recovery password"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct chain c = begin(cloud, 1, "");

		cr_assert_eq(i == 0 ? begun(&c) : next(&c, 0, NULL), FF_KEY_SIGN);
		cr_assert_eq(next(&c, cases[i].status, cases[i].body), FF_KEY_FAILED, "case %zu", i);
		cr_expect_str_eq(c.err.text, cases[i].text);
		end(&c);
	}
	/* a token that is refused: once more */
	struct chain c = begin(cloud, 1, "");

	cr_assert_eq(next(&c, 0, NULL), FF_KEY_SIGN);
	cr_assert_eq(next(&c, 401, ""), FF_KEY_ASK);
	cr_assert_eq(next(&c, 200, TOKEN("second")), FF_KEY_SIGN);
	cr_assert_eq(next(&c, 401, ""), FF_KEY_FAILED);
	end(&c);
	ff_azure.close(cloud);
}

Test(azure_keys, the_endpoint_of_graph_can_be_another)
{
	static const char *const good[] = {"AZURE_GRAPH_ENDPOINT", "https://127.0.0.1:4433/", NULL};
	static const char *const bad[] = {"AZURE_GRAPH_ENDPOINT", "http://evil.example", NULL};
	struct ff_scope_options options = {.subscription = SUB};
	struct ff_err err;
	struct ff_cloud *cloud = kit_open_with(&options, good, &err);

	cr_assert_not_null(cloud, "%s", err.text);
	cr_expect(azure_url_is_graph(cloud, "https://127.0.0.1:4433/v1.0/x"));
	cr_expect_not(azure_url_is_graph(cloud, "https://graph.microsoft.com/v1.0/x"));
	ff_azure.close(cloud);
	cr_expect_null(kit_open_with(&options, bad, &err));
	cr_expect(strstr(err.text, "AZURE_GRAPH_ENDPOINT") != NULL, "%s", err.text);
}

/* ---------------------------------------------------------------- the flow */

/* Without its record the platform would have no key for the copy: such a copy never goes home. */
Test(azure_keys, a_copy_must_name_the_same_key)
{
	static const struct {
		const char *settings;
		enum ff_meaning meaning;
	} cases[] = {
		{",\"encryptionSettingsCollection\":{\"enabled\":true,\"encryptionSettings\":[{\"diskEncryptionKey\":{"
		 "\"secretUrl\":\"" SECRET "\"}}]}",
			FF_M_DONE},
		{",\"encryptionSettingsCollection\":{\"enabled\":true,\"encryptionSettings\":[{\"diskEncryptionKey\":{"
		 "\"secretUrl\":\"https://v.vault.azure.net/secrets/a/b\"}}]}",
			FF_M_FAILED},
		{"", FF_M_FAILED},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit_vm k;
		ff_auto_free char *body = NULL;

		kit_vm(&k, "web-1", 3);
		ff_json_set_new((json_t *)ff_json_at(k.facts, "disk"), "ade",
			kit_json("{\"version\":\"1.1\",\"keys\":[" SETTING(SECRET, "") "]}"));
		body = ff_printf(
			"{\"sku\":{\"name\":\"Premium_LRS\"},\"zones\":[\"1\"],\"tags\":{\"fixfleet-run\":\"%s\","
			"\"fixfleet-vm\":\"prod/web-1\"},\"properties\":{\"provisioningState\":\"Succeeded\","
			"\"hyperVGeneration\":\"V2\",\"creationData\":{\"sourceResourceId\":\"" COMPUTE
			"/disks/web-1-os\"}%s}}",
			k.m.run, cases[i].settings);
		cr_expect_eq(
			kit_looked(cloud, &k, AZ_COPY, 200, body), cases[i].meaning, "case %zu: %s", i, k.v.err.text);
		if (cases[i].meaning == FF_M_FAILED)
			cr_expect(
				strstr(k.v.err.text, "another Azure Disk Encryption key") != NULL, "%s", k.v.err.text);
		kit_vm_free(&k);
	}
	ff_azure.close(cloud);
}

Test(azure_keys, an_attachment_refused_for_its_settings_is_not_tried_again)
{
	ff_auto_json json_t *error = kit_json("{\"code\":\"NotSupported\",\"message\":\"Disk 'x' contains encryption "
					      "settings and cannot be used as a data disk.\"}");
	struct ff_err err;

	cr_expect_eq(azure_classify(409, error, &err), FF_E_PERMANENT);
	cr_expect(strstr(err.text, "contains encryption settings") != NULL);
}
