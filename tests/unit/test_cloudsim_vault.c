/* The simulated Key Vault and Microsoft Graph: whose tokens they take, what they hold, how they refuse. */
#include "cloudsim_kit.h"

#define BEK                                                                                                            \
	"UAAAAAEAAAAwAAAAUAAAAFn3gUP4xOBNu2H8M6gxvaUBAAAAAAAAAADAg+2KSdoBIAAGAAkAAQBZ94FD+MTgTbth/DOoMb2lAMCD7YpJ2gE="
#define ID    "4381f759-c4f8-4de0-bb61-fc33a831bda5"
#define PLAIN "000011-000022-000033-000044-000055-000066-000077-000088"
#define FLEET(more)                                                                                                    \
	"{'seed':1,'azure':{'client_secret':'s3cret'," more                                                            \
	"'vms':[{'name':'a','zone':'1','power':'stopped','ade':'single','ade_bek':'" BEK                               \
	"','ade_kek':'RSA-OAEP-256'},{'name':'b','zone':'1','power':'stopped','ade':'single','ade_bek':'" BEK "'},"    \
	"{'name':'c','zone':'1','power':'stopped','ade':'single','ade_bek':'" BEK                                      \
	"','ade_url':'https://x.test:{port}/y'}],'graph_keys':{'" ID "':'" PLAIN "'}}}"
#define VAULT_LOGIN                                                                                                    \
	"grant_type=client_credentials&client_id=00000000-0000-4000-8000-00000000000b&client_secret=s3cret&scope="     \
	"https%3A%2F%2Fvault.azure.net%2F.default"
#define GRAPH_LOGIN                                                                                                    \
	"grant_type=client_credentials&client_id=00000000-0000-4000-8000-00000000000b&client_secret=s3cret&scope="     \
	"https%3A%2F%2Fgraph.microsoft.com%2F.default"
#define RECOVERY "/v1.0/informationProtection/bitlocker/recoveryKeys/"

/* Where the VM's disk says that its secret, or the key of it, is: the path of that URL. */
static char *place(struct kit *k, const char *disk, const char *path)
{
	ff_auto_free char *target = ff_printf("%s%s_OsDisk%s", DISK(""), disk, DV);
	const char *url;

	cr_assert_eq(kit_ask(k, "GET", target, NULL), 200);
	url = ff_json_str(ff_json_at(k->body, "properties/encryptionSettingsCollection/encryptionSettings/0"), path);
	cr_assert_not_null(url);
	cr_assert(ff_has_prefix(url, "https://fleetvault.vault.azure.net/"), "%s", url);
	return ff_strdup(url + strlen("https://fleetvault.vault.azure.net"));
}

static bool violated(struct kit *k, const char *text)
{
	ff_auto_json json_t *state = sim_state(k->sim);
	const json_t *v;
	size_t i;

	json_array_foreach (ff_json_at(state, "violations"), i, v)
		if (strstr(json_string_value(v), text) != NULL)
			return true;
	return false;
}

Test(cloudsim_vault, a_wrapped_secret_is_unwrapped_to_the_startup_key)
{
	struct kit k = kit_open(FLEET(""));
	ff_auto_free char *secret = place(&k, "a", "diskEncryptionKey/secretUrl"), *kek = NULL, *body = NULL;
	ff_auto_free char *target = NULL, *unwrap = NULL, *text = NULL;
	ff_auto_free void *bek = NULL;
	size_t len;

	cr_assert(ff_has_prefix(secret, "/secrets/4381F759-C4F8-4DE0-BB61-FC33A831BDA5/"), "%s", secret);
	kek = place(&k, "a", "keyEncryptionKey/keyUrl");
	target = ff_printf("%s?api-version=7.5", secret);
	unwrap = ff_printf("%s/unwrapkey?api-version=7.5", kek);
	cr_assert_eq(kit_login_with(&k, VAULT_LOGIN), 200);
	cr_assert_eq(kit_ask(&k, "GET", target, NULL), 200);
	cr_expect_str_eq(ff_json_str(k.body, "contentType"), "Wrapped BEK");
	cr_expect_str_eq(ff_json_str(k.body, "tags/DiskEncryptionKeyEncryptionAlgorithm"), "RSA-OAEP-256");
	cr_expect_str_eq(
		ff_json_str(k.body, "tags/DiskEncryptionKeyFileName"), "4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK");
	body = ff_printf("{\"alg\":\"RSA-OAEP-256\",\"value\":\"%s\"}", ff_json_str(k.body, "value"));
	cr_assert_eq(kit_ask(&k, "POST", unwrap, body), 200);
	bek = ff_base64_decode(ff_json_str(k.body, "value"), &len);
	text = ff_base64(bek, len);
	cr_expect_str_eq(text, BEK);
	/* another algorithm, or another text, is no key */
	free(FF_STEAL(body));
	body = ff_strdup("{\"alg\":\"RSA-OAEP\",\"value\":\"AAAA\"}");
	cr_expect_eq(kit_ask(&k, "POST", unwrap, body), 400);
	kit_close(&k);
}

Test(cloudsim_vault, what_is_not_wrapped_is_the_startup_key_itself)
{
	struct kit k = kit_open(FLEET(""));
	ff_auto_free char *secret = place(&k, "b", "diskEncryptionKey/secretUrl");
	ff_auto_free char *target = ff_printf("%s?api-version=7.5", secret), *bare = ff_strdup(secret);

	cr_assert_eq(kit_login_with(&k, VAULT_LOGIN), 200);
	cr_assert_eq(kit_ask(&k, "GET", target, NULL), 200);
	cr_expect_str_eq(ff_json_str(k.body, "value"), BEK);
	cr_expect_str_eq(ff_json_str(k.body, "contentType"), "BEK");
	cr_expect_eq(kit_ask(&k, "GET", bare, NULL), 400, "no api-version");
	cr_expect_eq(kit_ask(&k, "GET", "/secrets/none/1?api-version=7.5", NULL), 404);
	cr_expect_str_eq(ff_json_str(k.body, "error/code"), "SecretNotFound");
	kit_close(&k);
}

Test(cloudsim_vault, each_takes_its_own_tokens_only)
{
	static const struct {
		const char *form, *target;
	} wrong[] = {{LOGIN_FORM, "/secrets/a/b?api-version=7.5"}, {LOGIN_FORM, RECOVERY ID "?$select=key"},
		{VAULT_LOGIN, VM("a") AV}, {VAULT_LOGIN, RECOVERY ID "?$select=key"}, {GRAPH_LOGIN, VM("a") AV}};

	for (size_t i = 0; i < FF_COUNT(wrong); i++) {
		struct kit k = kit_open(FLEET(""));

		cr_assert_eq(kit_login_with(&k, wrong[i].form), 200);
		cr_expect_eq(kit_ask(&k, "GET", wrong[i].target, NULL), 401, "%s", wrong[i].target);
		cr_expect(violated(&k, "was shown to"), "%s", wrong[i].target);
		kit_close(&k);
	}
}

/* In Azure a host of another name would be somebody else's. */
Test(cloudsim_vault, a_token_under_another_hosts_name_is_a_violation)
{
	static const struct {
		const char *host;
		bool good;
	} cases[] = {{"fleetvault.vault.azure.net", true}, {"management.azure.com", true}, {"evil.example", false},
		{"vault.azure.net.evil.example", false}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit k = kit_open(FLEET(""));
		struct ff_headers h = {0};
		ff_auto_free char *bearer = NULL;

		cr_assert_eq(kit_login_with(&k, VAULT_LOGIN), 200);
		bearer = ff_printf("Bearer %s", k.token);
		ff_headers_add(&h, "Authorization", bearer);
		ff_headers_add(&h, "Host", cases[i].host);
		cr_expect_eq(kit_raw(&k, "GET", "/secrets/a/b?api-version=7.5", &h, NULL), 404);
		cr_expect_eq(violated(&k, "a token for Key Vault was sent to"), !cases[i].good, "%s", cases[i].host);
		ff_headers_free(&h);
		kit_close(&k);
	}
}

Test(cloudsim_vault, graph_gives_a_key_when_it_is_selected)
{
	struct kit k = kit_open(FLEET(""));

	cr_assert_eq(kit_login_with(&k, GRAPH_LOGIN), 200);
	cr_assert_eq(kit_ask(&k, "GET", RECOVERY ID "?$select=key", NULL), 200);
	cr_expect_str_eq(ff_json_str(k.body, "value/key"), PLAIN);
	cr_assert_eq(kit_ask(&k, "GET", RECOVERY ID, NULL), 200);
	cr_expect_null(ff_json_str(k.body, "value/key"));
	cr_expect_eq(kit_ask(&k, "GET", RECOVERY "11111111-2222-4333-8444-555555555555?$select=key", NULL), 404);
	kit_close(&k);
}

Test(cloudsim_vault, what_is_denied_is_refused_as_each_does)
{
	struct kit k = kit_open(FLEET("'deny':[{'action':'Microsoft.KeyVault/*','scope':'*'},"
				      "{'action':'BitlockerKey.Read.All','scope':'*'}],"));

	cr_assert_eq(kit_login_with(&k, VAULT_LOGIN), 200);
	cr_expect_eq(kit_ask(&k, "GET", "/secrets/a/b?api-version=7.5", NULL), 403);
	cr_expect_str_eq(ff_json_str(k.body, "error/innererror/code"), "ForbiddenByRbac");
	cr_expect_eq(kit_ask(&k, "POST", "/keys/a/b/unwrapkey?api-version=7.5", "{}"), 403);
	cr_assert_eq(kit_login_with(&k, GRAPH_LOGIN), 200);
	cr_expect_eq(kit_ask(&k, "GET", RECOVERY ID "?$select=key", NULL), 403);
	kit_close(&k);
}

Test(cloudsim_vault, a_key_that_is_none_is_a_mistake_of_the_scenario)
{
	static const char *const bad[] = {
		"{'azure':{'vms':[{'name':'a','ade':'single','ade_bek':'no key'}]}}",
		"{'azure':{'vms':[{'name':'a','ade_bek':'" BEK "'}]}}",
		"{'azure':{'vms':[{'name':'a','ade':'single','ade_bek':'" BEK "','ade_kek':'A256KW'}]}}",
		"{'azure':{'graph_keys':[]}}",
	};

	for (size_t i = 0; i < FF_COUNT(bad); i++) {
		ff_auto_free char *text = ff_strdup(bad[i]);
		struct ff_err err = {0};

		for (char *p = text; *p != '\0'; p++)
			*p = *p == '\'' ? '"' : *p;
		cr_expect_null(kit_model(text, BEGAN, &err), "%s", bad[i]);
		cr_expect_eq(err.class, FF_E_USAGE, "%s", bad[i]);
	}
}

/* The platform presents the key that the disk's record names: a copy keeps it, and without it nothing boots. */
Test(cloudsim_vault, a_copy_keeps_the_settings_and_boots_with_them_alone)
{
	struct kit k = kit_open(FLEET(""));

	kit_claim(&k, "b");
	must_do(&k, "PUT", DISK("c1") DV,
		"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"sku\":{\"name\":\"Premium_LRS\"},\"tags\":{"
		"\"fixfleet-run\":\"r\"},\"properties\":{\"hyperVGeneration\":\"V2\",\"creationData\":{"
		"\"createOption\":"
		"\"Copy\",\"sourceResourceId\":\"" DISK("b_OsDisk") "\"}}}");
	cr_assert_eq(kit_ask(&k, "GET", DISK("c1") DV, NULL), 200);
	cr_expect_not_null(ff_json_str(
		k.body, "properties/encryptionSettingsCollection/encryptionSettings/0/diskEncryptionKey/secretUrl"));
	must_do(&k, "PATCH", DISK("c1") DV, "{\"properties\":{\"encryptionSettingsCollection\":{\"enabled\":false}}}");
	must_do(&k, "PATCH", VM("b") AV,
		"{\"properties\":{\"storageProfile\":{\"osDisk\":{\"name\":\"c1\",\"createOption\":\"FromImage\","
		"\"managedDisk\":{\"id\":\"" DISK("c1") "\"}}}}}");
	must_do(&k, "POST", VM("b") "/start" AV, NULL);
	cr_expect(violated(&k, "whose encryption settings are lost"));
	k.now += 600000;
	cr_assert_eq(kit_ask(&k, "GET", VM("b") "/instanceView" AV, NULL), 200);
	cr_expect_str_eq(ff_json_str(k.body, "vmAgent/statuses/0/displayStatus"), "Not Ready");
	kit_close(&k);
}
