/* What the tests of the GCP provider share: an environment, an open and signed-in cloud, answers, a VM on its way. */
#ifndef TEST_GCP_KIT_H
#define TEST_GCP_KIT_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"
#include "providers/gcp/gcp.h"

#define NOW	INT64_C(1721362140000) /* 2024-07-19T04:09:00Z */
#define BASE	"https://compute.googleapis.com/compute/v1/"
#define GOOGLE	"https://www.googleapis.com/compute/v1/"
#define ZONE	"projects/p1/zones/us-central1-a"
#define VM_PATH ZONE "/instances/vm1"
#define DISK	ZONE "/disks/vm1"
#define RESCUE	ZONE "/instances/rescue1"
#define TOKEN	"5d1c0d9e-0000-4000-8000-000000000001"

/* 32 bytes of "k", and their SHA-256, as CSEK keys are written. */
#define KEY	   "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
#define KEY_SHA256 "XjGPjPnL4kmjCBK4yhMtaR3tepGZFBNVjbV1hXX14B8="

/* ---- opening */

struct kit_env {
	const char *const *pairs; /* name, value, name, value, ..., NULL */
};

static inline const char *kit_get(void *self, const char *name)
{
	const struct kit_env *env = self;

	for (size_t i = 0; env->pairs[i] != NULL; i += 2)
		if (strcmp(env->pairs[i], name) == 0)
			return env->pairs[i + 1];
	return NULL;
}
#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline struct ff_cloud *kit_open_with(
	const struct ff_scope_options *options, const char *const *pairs, struct ff_err *err)
{
	struct kit_env self = {pairs};
	struct ff_env env = {kit_get, &self};

	*err = (struct ff_err){0};
	return ff_gcp.open(options, &env, err);
}

static inline struct ff_answer kit_answer_n(int status, const char *body, size_t len)
{
	struct ff_answer answer = {.transport = FF_T_OK, .status = status};

	answer.body = ff_calloc(len + 1, 1);
	memcpy(answer.body, body, len);
	answer.body_len = len;
	return answer;
}

static inline struct ff_answer kit_answer(int status, const char *body)
{
	return kit_answer_n(status, body, strlen(body));
}

static inline struct ff_answer kit_lost(enum ff_transport transport, const char *why)
{
	struct ff_answer answer = {.transport = transport};

	snprintf(answer.why, sizeof(answer.why), "%s", why);
	return answer;
}

/* Give the login an answer and release it. */
static inline void kit_login_read(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_answer answer)
{
	ff_gcp.login_read(cloud, NOW, ask, &answer);
	ff_answer_release(&answer, true);
	ff_ask_release(ask);
}

/* Signed in with the token "tok" of a token file. */
static inline struct ff_cloud *kit_cloud_of(const struct ff_scope_options *options)
{
	struct ff_err err;
	struct ff_cloud *cloud = kit_open_with(options, ENV("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/t"), &err);
	struct ff_ask ask = {0};

	cr_assert_not_null(cloud, "%s", err.text);
	cr_assert_eq(ff_gcp.login_next(cloud, NOW, &ask, &err), FF_TURN_ASK);
	kit_login_read(cloud, &ask, kit_answer(0, "tok\n"));
	cr_assert_eq(ff_gcp.login_next(cloud, NOW, &ask, &err), FF_TURN_DONE);
	return cloud;
}

static inline struct ff_cloud *kit_cloud(void)
{
	return kit_cloud_of(&(struct ff_scope_options){.project = "p1"});
}

static inline json_t *kit_json(const char *text)
{
	struct ff_err err = {0};
	json_t *j = ff_json_parse(text, strlen(text), 4 << 20, &err);

	cr_assert_not_null(j, "%s in %s", err.text, text);
	return j;
}

/* ---- asks */

static inline void kit_body_is(const struct ff_ask *ask, const char *expected)
{
	ff_auto_json json_t *want = kit_json(expected), *is = NULL;

	cr_assert_not_null(ask->body);
	cr_expect_str_eq(ff_headers_get(&ask->headers, "Content-Type"), "application/json");
	is = kit_json(ask->body);
	cr_expect(json_equal(is, want), "\nis   %s\nwant %s", ask->body, expected);
}

static inline void kit_ask_is(const struct ff_ask *ask, const char *method, const char *path)
{
	ff_auto_free char *url = ff_printf("%s%s", BASE, path);

	cr_expect_str_eq(ask->method, method);
	cr_expect_str_eq(ask->url, url);
	cr_expect_str_eq(ff_headers_get(&ask->headers, "Accept"), "application/json");
	cr_expect_geq(ask->cost_count, 1);
}

/* ---- one VM on its way */

struct kit_vm {
	struct ff_vm vm, rescue;
	json_t *facts, *rescue_facts;
	struct ff_member m;
	struct ff_verdict v;
	int64_t wall_ms;
};

#define KIT_BOOT                                                                                                       \
	"{\"source\":\"" GOOGLE DISK                                                                                   \
	"\",\"deviceName\":\"persistent-disk-0\",\"mode\":\"READ_WRITE\",\"interface\":\"SCSI\","                      \
	"\"type\":\"PERSISTENT\",\"autoDelete\":true}"
#define KIT_FACTS                                                                                                      \
	"{\"vm\":\"" VM_PATH "\",\"id\":\"513480616758239408\",\"boot\":" KIT_BOOT ",\"disk\":{\"path\":\"" DISK       \
	"\",\"id\":\"6065357928630931884\",\"type\":\"pd-balanced\",\"size_gb\":50,\"labels\":{\"cost\":\"42\"},"      \
	"\"fingerprint\":\"ZGlzaw==\"},\"labels\":{\"env\":\"prod\"},\"fingerprint\":\"42WmSpB8rSM=\"}"
#define KIT_RESCUE_FACTS "{\"vm\":\"" RESCUE "\",\"id\":\"77\",\"machine\":\"n2-standard-4\"}"

static inline void kit_vm(struct kit_vm *k)
{
	*k = (struct kit_vm){.wall_ms = NOW};
	k->facts = kit_json(KIT_FACTS);
	k->rescue_facts = kit_json(KIT_RESCUE_FACTS);
	k->vm = (struct ff_vm){.id = VM_PATH,
		.name = "vm1",
		.scope = "p1",
		.region = "us-central1",
		.zone = "us-central1-a",
		.os = "windows",
		.state = "running",
		.running = true,
		.disk_bytes = INT64_C(50) << 30,
		.facts = k->facts};
	k->rescue = (struct ff_vm){.id = RESCUE,
		.name = "rescue1",
		.scope = "p1",
		.region = "us-central1",
		.zone = "us-central1-a",
		.rescue = true,
		.slots_max = 127,
		.facts = k->rescue_facts};
	k->m = (struct ff_member){.vm = &k->vm,
		.facts = k->facts,
		.rescue = &k->rescue,
		.rescue_facts = k->rescue_facts,
		.slot = 17,
		.run = "r1",
		.token = TOKEN};
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
	json_decref(k->facts);
	json_decref(k->rescue_facts);
}

static inline struct ff_ask kit_act(struct ff_cloud *cloud, struct kit_vm *k, int step)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	k->m.step = step;
	cr_assert_eq(ff_gcp.steps[step].act(cloud, &k->m, 1, &ask, &err), 0, "%s", err.text);
	return ask;
}

static inline struct ff_ask kit_look(struct ff_cloud *cloud, struct kit_vm *k, int step)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	k->m.step = step;
	cr_assert_eq(ff_gcp.steps[step].look(cloud, &k->m, &ask, &err), 0, "%s", err.text);
	return ask;
}

enum kit_call { KIT_ACTED, KIT_LOOKED, KIT_POLLED };

/* Hand over an answer and, as the driver does, take the patch into the facts. */
static inline enum ff_meaning kit_read(
	struct ff_cloud *cloud, struct kit_vm *k, enum kit_call call, int step, struct ff_answer answer)
{
	const struct ff_step *row = &ff_gcp.steps[step];

	kit_forget(k);
	k->m.step = step;
	if (call == KIT_ACTED)
		row->acted(cloud, &k->m, 1, k->wall_ms, &answer, &k->v);
	else if (call == KIT_LOOKED)
		row->looked(cloud, &k->m, k->wall_ms, &answer, &k->v);
	else
		ff_gcp.polled(cloud, &k->m, 1, k->wall_ms, &answer, &k->v);
	if (k->v.facts != NULL)
		ff_json_merge(k->facts, k->v.facts);
	ff_answer_release(&answer, false);
	return k->v.meaning;
}

#define ACTED(step, status, body)  kit_read(cloud, &k, KIT_ACTED, step, kit_answer(status, body))
#define LOOKED(step, status, body) kit_read(cloud, &k, KIT_LOOKED, step, kit_answer(status, body))
#define POLLED(step, status, body) kit_read(cloud, &k, KIT_POLLED, step, kit_answer(status, body))

#define OPERATION(status, more)                                                                                        \
	"{\"kind\":\"compute#operation\",\"id\":\"8378497511709235963\",\"name\":\"operation-1\","                     \
	"\"operationType\":\"x\",\"status\":\"" status "\",\"progress\":0,\"selfLink\":\"" GOOGLE ZONE                 \
	"/operations/operation-1\"" more "}"
#define OPERATION_ERROR(code, message)                                                                                 \
	OPERATION("DONE", ",\"error\":{\"errors\":[{\"code\":\"" code "\",\"message\":\"" message                      \
			  "\"}]},\"httpErrorStatusCode\":400,\"httpErrorMessage\":\"BAD REQUEST\"")
#define HTTP_ERROR(code, reason, message)                                                                              \
	"{\"error\":{\"code\":" code ",\"message\":\"" message                                                         \
	"\",\"errors\":[{\"domain\":\"global\",\"reason\":\"" reason "\",\"message\":\"" message "\"}]}}"

/* An Instance of the VM above. */
#define ATTACHED                                                                                                       \
	"{\"index\":0,\"boot\":true,\"autoDelete\":true,\"deviceName\":\"persistent-disk-0\",\"mode\":\"READ_WRITE\"," \
	"\"interface\":\"SCSI\",\"type\":\"PERSISTENT\",\"source\":\"" GOOGLE DISK "\"}"
#define INSTANCE(status, disks)                                                                                        \
	"{\"id\":\"513480616758239408\",\"name\":\"vm1\",\"status\":\"" status "\",\"labels\":{\"env\":\"prod\"},"     \
	"\"labelFingerprint\":\"bmV3\",\"disks\":[" disks "]}"
#define DISK_OF(status, users)                                                                                         \
	"{\"id\":\"6065357928630931884\",\"name\":\"vm1\",\"status\":\"" status                                        \
	"\",\"sizeGb\":\"50\",\"users\":[" users "]}"

/* ---- material that only some machines have */

static inline json_t *kit_shared(const char *name)
{
	ff_auto_free char *path = ff_printf("%s/../shared/%s", FF_SOURCE_DIR, name);

	return json_load_file(path, 0, NULL);
}

#endif
