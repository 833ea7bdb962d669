/* What the tests of the Azure provider share: an environment, an open and signed-in cloud, answers, VMs. */
#ifndef TEST_AZURE_KIT_H
#define TEST_AZURE_KIT_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"
#include "providers/azure/azure.h"

#define SUB	"00000000-0000-4000-8000-000000000001"
#define RG	"/subscriptions/" SUB "/resourceGroups/prod"
#define COMPUTE RG "/providers/Microsoft.Compute"
#define ARM	"https://management.azure.com"
#define NOW	INT64_C(1721368800000) /* 2024-07-19T06:00:00Z */

/* An environment of name, value, name, value, ..., NULL. */
struct kit_env {
	const char *const *pairs;
};

static inline const char *kit_get(void *self, const char *name)
{
	const struct kit_env *env = self;

	for (size_t i = 0; env->pairs[i] != NULL; i += 2)
		if (strcmp(env->pairs[i], name) == 0)
			return env->pairs[i + 1];
	return NULL;
}

static inline struct ff_cloud *kit_open_with(
	const struct ff_scope_options *options, const char *const *pairs, struct ff_err *err)
{
	struct kit_env self = {pairs};
	struct ff_env env = {kit_get, &self};

	*err = (struct ff_err){0};
	return ff_azure.open(options, &env, err);
}

/* An answer that can be filled with literals; free with ff_answer_release(). */
static inline struct ff_answer kit_answer(int status, const char *body)
{
	struct ff_answer answer = {.transport = FF_T_OK, .status = status};

	answer.body = ff_strdup(body ? body : "");
	answer.body_len = strlen(answer.body);
	return answer;
}

static inline struct ff_answer kit_lost(enum ff_transport transport, const char *why)
{
	struct ff_answer answer = {.transport = transport};

	snprintf(answer.why, sizeof(answer.why), "%s", why);
	return answer;
}

static const char *const kit_secret_env[] = {
	"AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1", "AZURE_CLIENT_SECRET", "s1", NULL};

/* A cloud of group "prod", signed in with the token "tok". */
static inline struct ff_cloud *kit_cloud_of(struct ff_scope_options options)
{
	struct ff_err err;
	struct ff_cloud *cloud;
	struct ff_ask ask = {0};
	struct ff_answer answer =
		kit_answer(200, "{\"access_token\":\"tok\",\"expires_in\":3599,\"token_type\":\"Bearer\"}");

	options.subscription = SUB;
	cloud = kit_open_with(&options, kit_secret_env, &err);
	cr_assert_not_null(cloud, "%s", err.text);
	cr_assert_eq(ff_azure.login_next(cloud, NOW, &ask, &err), FF_TURN_ASK);
	ff_azure.login_read(cloud, NOW, &ask, &answer);
	ff_ask_release(&ask);
	ff_answer_release(&answer, true);
	cr_assert_eq(ff_azure.login_next(cloud, NOW, &ask, &err), FF_TURN_DONE);
	ff_strv_free(&options.groups);
	return cloud;
}

static inline struct ff_cloud *kit_cloud(void)
{
	struct ff_scope_options options = {0};

	ff_strv_add(&options.groups, "prod");
	return kit_cloud_of(options);
}

static inline json_t *kit_json(const char *text)
{
	struct ff_err err = {0};
	json_t *j = ff_json_parse(text, strlen(text), 1 << 20, &err);

	cr_assert_not_null(j, "%s in %s", err.text, text);
	return j;
}

/* The ask's body is exactly this JSON (order of members apart). */
static inline void kit_body_is(const struct ff_ask *ask, const char *expected)
{
	ff_auto_json json_t *want = kit_json(expected), *is = NULL;

	cr_assert_not_null(ask->body);
	cr_assert_str_eq(ff_headers_get(&ask->headers, "Content-Type"), "application/json");
	is = kit_json(ask->body);
	cr_assert(json_equal(is, want), "\nis   %s\nwant %s", ask->body, expected);
}

/* ---- one VM on its way */

struct kit_vm {
	struct ff_vm vm, rescue;
	json_t *facts, *rescue_facts;
	struct ff_member m;
	struct ff_verdict v;
};

#define KIT_OS_DISK                                                                                                    \
	"{\"osType\":\"Windows\",\"name\":\"web-1-os\",\"createOption\":\"FromImage\",\"caching\":\"ReadWrite\","      \
	"\"writeAcceleratorEnabled\":false,\"deleteOption\":\"Delete\",\"managedDisk\":{\"id\":\"" COMPUTE             \
	"/disks/web-1-os\",\"storageAccountType\":\"Premium_LRS\"}}"
#define KIT_DISK                                                                                                       \
	"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"sku\":\"Premium_LRS\",\"tags\":{\"cost\":\"42\"},"           \
	"\"osType\":\"Windows\",\"generation\":\"V2\",\"encryption\":\"EncryptionAtRestWithPlatformKey\","             \
	"\"networkAccessPolicy\":\"AllowAll\",\"publicNetworkAccess\":\"Enabled\"}"

static inline void kit_vm(struct kit_vm *k, const char *name, int slot)
{
	*k = (struct kit_vm){0};
	k->vm = (struct ff_vm){.name = ff_strdup(name),
		.scope = "prod",
		.region = "westeurope",
		.zone = "1",
		.os = "windows",
		.state = "running",
		.health = FF_AFFECTED,
		.running = true,
		.disk_bytes = 1 << 30};
	k->vm.id = ff_printf(COMPUTE "/virtualMachines/%s", name);
	k->rescue = (struct ff_vm){.name = "rescue-1",
		.id = COMPUTE "/virtualMachines/rescue-1",
		.scope = "prod",
		.region = "westeurope",
		.zone = "1",
		.rescue = true,
		.slots_max = 8};
	k->facts = json_object();
	ff_json_set_new(k->facts, "os_disk", kit_json(KIT_OS_DISK));
	ff_json_set_new(k->facts, "disk", kit_json(KIT_DISK));
	k->rescue_facts = json_object();
	k->m = (struct ff_member){.vm = &k->vm,
		.facts = k->facts,
		.rescue = &k->rescue,
		.rescue_facts = k->rescue_facts,
		.slot = slot,
		.run = "run-1",
		.token = "t"};
}

static inline void kit_forget(struct kit_vm *k)
{
	json_decref(k->v.facts);
	json_decref(k->v.rescue_facts);
	k->v = (struct ff_verdict){0};
}

static inline void kit_vm_free(struct kit_vm *k)
{
	kit_forget(k);
	free(k->vm.name);
	free(k->vm.id);
	json_decref(k->facts);
	json_decref(k->rescue_facts);
}

/* The driver's part: patches go into the facts. */
static inline void kit_learn(struct kit_vm *k)
{
	if (k->v.facts != NULL)
		ff_json_merge(k->facts, k->v.facts);
	if (k->v.rescue_facts != NULL)
		ff_json_merge(k->rescue_facts, k->v.rescue_facts);
}

static inline struct ff_ask kit_act(struct ff_cloud *cloud, struct kit_vm *k, int step)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	k->m.step = step;
	cr_assert_eq(ff_azure.steps[step].act(cloud, &k->m, 1, &ask, &err), 0, "%s", err.text);
	return ask;
}

static inline struct ff_ask kit_look(struct ff_cloud *cloud, struct kit_vm *k, int step)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	k->m.step = step;
	cr_assert_eq(ff_azure.steps[step].look(cloud, &k->m, &ask, &err), 0, "%s", err.text);
	return ask;
}

static inline enum ff_meaning kit_acted_with(
	struct ff_cloud *cloud, struct kit_vm *k, int step, struct ff_answer *answer)
{
	kit_forget(k);
	k->m.step = step;
	ff_azure.steps[step].acted(cloud, &k->m, 1, NOW, answer, &k->v);
	kit_learn(k);
	ff_answer_release(answer, false);
	return k->v.meaning;
}

static inline enum ff_meaning kit_acted(
	struct ff_cloud *cloud, struct kit_vm *k, int step, int status, const char *body)
{
	struct ff_answer answer = kit_answer(status, body);

	return kit_acted_with(cloud, k, step, &answer);
}

static inline enum ff_meaning kit_looked(
	struct ff_cloud *cloud, struct kit_vm *k, int step, int status, const char *body)
{
	struct ff_answer answer = kit_answer(status, body);

	kit_forget(k);
	k->m.step = step;
	ff_azure.steps[step].looked(cloud, &k->m, NOW, &answer, &k->v);
	kit_learn(k);
	ff_answer_release(&answer, false);
	return k->v.meaning;
}

static inline enum ff_meaning kit_polled(struct ff_cloud *cloud, struct kit_vm *k, int status, const char *body)
{
	struct ff_answer answer = kit_answer(status, body);

	kit_forget(k);
	ff_azure.polled(cloud, &k->m, 1, NOW, &answer, &k->v);
	kit_learn(k);
	ff_answer_release(&answer, false);
	return k->v.meaning;
}

/* ---- recorded traffic, which only some machines have */

static inline json_t *kit_recording(const char *name)
{
	ff_auto_free char *path = ff_printf("%s/../shared/recorded/azure/%s.json", FF_SOURCE_DIR, name);

	return json_load_file(path, 0, NULL);
}

/* The answer of a recorded exchange. */
static inline struct ff_answer kit_recorded(const json_t *exchange)
{
	struct ff_answer answer =
		kit_answer((int)ff_json_int(exchange, "response/status", 0), ff_json_str(exchange, "response/body"));
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)ff_json_at(exchange, "response/headers"), name, value)
		if (json_is_string(value))
			ff_headers_add(&answer.headers, name, json_string_value(value));
	return answer;
}

#endif
