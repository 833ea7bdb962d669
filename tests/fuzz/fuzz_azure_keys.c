/*
 * What Key Vault, Microsoft Graph and the token endpoint answer while a key is looked for.
 *
 *   first answer's body   the disk's record: an OS disk as Azure has it
 *   the rest              what each question is answered in turn; when there are no more, 404
 *
 * The status of the first line chooses: even the key vault, odd Graph; from 2 on by a managed identity.
 */
#include "fixfleet/provider.h"
#include "fixfleet/secret.h"
#include "fuzz.h"
#include "providers/azure/found.h"

#define SUB	      "00000000-0000-4000-8000-000000000001"
#define QUESTIONS_MAX 64
#define NOW	      INT64_C(1721368800000)

static const char *const secret[] = {
	"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_CLIENT_SECRET", "s1", NULL};
static const char *const none[] = {NULL};

static struct ff_cloud *signed_in(bool managed)
{
	struct ff_env env = {fuzz_env_get, (void *)(managed ? none : secret)};
	struct ff_scope_options options = {.subscription = SUB, .key_graph = true};
	struct ff_err err = {0};
	struct ff_cloud *cloud = ff_azure.open(&options, &env, &err);
	struct ff_ask ask = {0};
	struct ff_answer token = {.status = 200};

	FUZZ_CHECK(cloud != NULL, "%s", err.text);
	token.body = ff_strdup("{\"access_token\":\"tok\",\"expires_in\":3599}");
	token.body_len = strlen(token.body);
	FUZZ_CHECK(ff_azure.login_next(cloud, NOW, &ask, &err) == FF_TURN_ASK, "%s", err.text);
	ff_azure.login_read(cloud, NOW, &ask, &token);
	ff_answer_release(&token, true);
	ff_ask_release(&ask);
	return cloud;
}

/* A token leaves for whom it is for, whatever the record says. */
static void check_leaves(struct ff_cloud *cloud, struct ff_ask *ask)
{
	struct ff_err err = {0};
	ff_auto_free char *host = ff_url_host(ask->url);

	FUZZ_CHECK(ff_has_prefix(ask->url, "https://") && host != NULL &&
			   (ff_has_suffix(host, ".vault.azure.net") || ff_streq(host, "graph.microsoft.com")),
		"%s", ask->url);
	FUZZ_CHECK(ff_azure.sign(cloud, NOW, ask, &err) == 0, "%s", err.text);
	fuzz_check_ask(ask);
}

static void look(struct ff_cloud *cloud, int store, const json_t *facts, struct fuzz_input *in)
{
	static const struct ff_key_want want = {.protectors = {{"4381f759-c4f8-4de0-bb61-fc33a831bda5", "startup-key"},
							{"11111111-2222-3333-4444-555555555555", "recovery-password"}},
		.protector_count = 2};
	ff_auto_json json_t *state = json_object();
	struct ff_answer answer = {.status = 404};
	struct ff_keys found = {0};
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	struct ff_key_turn turn = {.facts = facts,
		.want = &want,
		.state = state,
		.wall_ms = NOW,
		.ask = &ask,
		.found = &found,
		.err = &err};
	enum ff_key_step step;
	int n = 0;

	if (!ff_azure.key_stores[store].serves(cloud, NULL, facts))
		return;
	while ((step = ff_azure.key_stores[store].look(cloud, &turn)) == FF_KEY_ASK || step == FF_KEY_SIGN) {
		FUZZ_CHECK(n++ < QUESTIONS_MAX, "asks without end");
		FUZZ_CHECK(ask.secret && !ask.mutates && found.count == 0, "question %d", n);
		if (step == FF_KEY_SIGN)
			check_leaves(cloud, &ask);
		ff_ask_release(&ask);
		ff_answer_release(&answer, true);
		if (!fuzz_next_answer(in, &answer))
			answer = (struct ff_answer){.status = 404};
		turn.answer = answer.transport == FF_T_OK ? &answer : NULL;
		if (turn.answer == NULL) /* the engine asks the next source then */
			break;
	}
	if (step == FF_KEY_FAILED)
		FUZZ_CHECK_ERR(err);
	FUZZ_CHECK(found.count == 0 || step == FF_KEY_DONE, "%zu", found.count);
	for (size_t i = 0; i < found.count; i++)
		FUZZ_CHECK(ff_key_is(found.items[i].text, strlen(found.items[i].text)), "key %zu", i);
	ff_keys_release(&found);
	ff_ask_release(&ask);
	ff_answer_release(&answer, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {(const char *)data, (const char *)data + size};
	struct ff_answer first;
	ff_auto_json json_t *record = NULL, *facts = json_object();
	struct ff_cloud *cloud;

	if (!fuzz_next_answer(&in, &first))
		return 0;
	record = fuzz_json(first.body ? first.body : "", first.body_len);
	ff_json_set_new(facts, "disk", azure_disk_reduce(record));
	cloud = signed_in(first.status >= 2);
	look(cloud, first.status & 1, facts, &in);
	ff_answer_release(&first, false);
	ff_azure.close(cloud);
	return 0;
}
