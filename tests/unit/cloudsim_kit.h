/*
 * For tests that ask the model in process: one model, its time, the last answer.
 */
#ifndef TESTS_CLOUDSIM_KIT_H
#define TESTS_CLOUDSIM_KIT_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloudsim.h"

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define SUB	"/subscriptions/00000000-0000-4000-8000-000000000001"
#define RG	SUB "/resourceGroups/prod/providers/Microsoft.Compute"
#define VM(n)	RG "/virtualMachines/" n
#define DISK(n) RG "/disks/" n
#define AV	"?api-version=2024-07-01"
#define DV	"?api-version=2024-03-02"
#define BEGAN	INT64_C(1721372400000) /* 2024-07-19T07:00:00Z */

struct kit {
	struct sim *sim;
	int64_t now;
	struct sim_answer a;
	json_t *body; /* of the answer; NULL when it is no JSON */
	char *token;
	const char *if_match; /* for the next request */
	FILE *traffic;
};

static inline struct sim *kit_model(const char *scenario, int64_t now, struct ff_err *err)
{
	ff_auto_json json_t *j = ff_json_parse(scenario, strlen(scenario), 1 << 20, err);

	return j != NULL ? sim_new(j, now, NULL, err) : NULL;
}

/* One exchange; the answer stays in the kit. */
static inline int kit_raw(
	struct kit *k, const char *method, const char *target, const struct ff_headers *headers, const char *body)
{
	struct sim_request r = {.method = method, .base = "https://management.azure.com", .target = target};

	for (size_t i = 0; headers != NULL && i < headers->count; i++)
		ff_headers_add(&r.headers, headers->items[i].name, headers->items[i].value);
	r.body = body;
	r.body_len = body != NULL ? strlen(body) : 0;
	sim_answer_release(&k->a);
	json_decref(k->body);
	sim_answer(k->sim, k->now, &r, &k->a);
	if (k->traffic != NULL) {
		ff_auto_free char *line = sim_traffic_line(k->sim, k->now, &r, &k->a);

		fputs(line, k->traffic);
	}
	k->body = k->a.body_len > 0 ? ff_json_parse(k->a.body, k->a.body_len, 1 << 22, NULL) : NULL;
	ff_headers_free(&r.headers);
	return k->a.end == SIM_RESET ? 0 : k->a.status;
}

/* The same with token, lengths and types as a proper client sends them. */
static inline int kit_ask(struct kit *k, const char *method, const char *target, const char *body)
{
	struct ff_headers h = {0};
	ff_auto_free char *bearer = ff_printf("Bearer %s", k->token != NULL ? k->token : "none");
	ff_auto_free char *length = ff_printf("%zu", body != NULL ? strlen(body) : 0);
	int status;

	ff_headers_add(&h, "Authorization", bearer);
	ff_headers_add(&h, "Accept", "application/json");
	if (strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0)
		ff_headers_add(&h, "Content-Length", length);
	if (body != NULL)
		ff_headers_add(&h, "Content-Type", "application/json");
	if (k->if_match != NULL)
		ff_headers_add(&h, "If-Match", k->if_match);
	k->if_match = NULL;
	status = kit_raw(k, method, target, &h, body);
	ff_headers_free(&h);
	return status;
}

static inline int kit_login_with(struct kit *k, const char *form)
{
	struct ff_headers h = {0};
	ff_auto_free char *length = ff_printf("%zu", strlen(form));
	int status;

	ff_headers_add(&h, "Content-Type", "application/x-www-form-urlencoded");
	ff_headers_add(&h, "Content-Length", length);
	status = kit_raw(k, "POST", "/00000000-0000-4000-8000-00000000000a/oauth2/v2.0/token", &h, form);
	ff_headers_free(&h);
	free(k->token);
	k->token = ff_strdup(ff_json_str(k->body, "access_token"));
	return status;
}

#define LOGIN_FORM                                                                                                     \
	"grant_type=client_credentials&client_id=00000000-0000-4000-8000-00000000000b&client_secret=s3cret&scope="     \
	"https%3A%2F%2Fmanagement.azure.com%2F.default"

/* A model of this scenario (single quotes stand for double ones), logged in. */
static inline struct kit kit_open(const char *scenario)
{
	struct kit k = {.now = BEGAN};
	struct ff_err err = {0};
	ff_auto_free char *text = ff_strdup(scenario);

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	k.sim = kit_model(text, BEGAN, &err);
	cr_assert_not_null(k.sim, "%s", err.text);
	cr_assert_eq(kit_login_with(&k, LOGIN_FORM), 200);
	return k;
}

static inline void kit_close(struct kit *k)
{
	sim_answer_release(&k->a);
	json_decref(k->body);
	free(k->token);
	sim_free(k->sim);
}

/* Let time pass until nothing is under way any more. */
static inline void kit_settle(struct kit *k)
{
	int64_t next;

	while ((next = sim_next_ms(k->sim)) != INT64_MAX) {
		struct sim_effect *effects;
		size_t n;

		k->now = next > k->now ? next : k->now;
		sim_advance(k->sim, k->now);
		effects = sim_take_effects(k->sim, &n);
		sim_effects_free(effects, n);
	}
}

/* Send it, let it finish, ask how it ended: "Succeeded", "Failed", or "refused". */
static inline const char *kit_do(struct kit *k, const char *method, const char *target, const char *body)
{
	int status = kit_ask(k, method, target, body);
	const char *async = ff_headers_get(&k->a.headers, "Azure-AsyncOperation");
	const char *location = ff_headers_get(&k->a.headers, "Location");
	ff_auto_free char *url = ff_strdup(async != NULL ? async : location);
	size_t skip = strlen("https://management.azure.com");
	bool monitor = async == NULL;

	if (status >= 400 || status == 0)
		return "refused";
	if (url == NULL)
		return "Succeeded";
	kit_ask(k, "GET", url + skip, NULL); /* while it runs */
	kit_settle(k);
	status = kit_ask(k, "GET", url + skip, NULL);
	if (monitor)
		return status == 200 ? "Succeeded" : "Failed";
	return ff_json_str(k->body, "status");
}

#define must_do(k, method, target, sent)                                                                               \
	do {                                                                                                           \
		const char *end_ = kit_do(k, method, target, sent);                                                    \
		cr_assert_str_eq(end_, "Succeeded", "%s %s: %s %s", method, target, end_,                              \
			(k)->a.body != NULL ? (k)->a.body : "");                                                       \
	} while (0)

/* Refused with this status and code, and these words in its message. */
#define must_refuse(k, method, target, sent, status_, code_, words)                                                    \
	do {                                                                                                           \
		int got_ = kit_ask(k, method, target, sent);                                                           \
		const char *c_ = ff_json_str((k)->body, "error/code"), *m_ = ff_json_str((k)->body, "error/message");  \
		cr_assert_eq(got_, status_, "%s %s: %d %s", method, target, got_, (k)->a.body ? (k)->a.body : "");     \
		cr_assert(ff_streq(c_, code_), "%s %s: code %s", method, target, c_ ? c_ : "none");                    \
		cr_assert(m_ != NULL && strstr(m_, words) != NULL, "%s", m_ ? m_ : "no message");                      \
	} while (0)

/* A member of /_sim/state, e.g. of the first VM. The caller frees the state. */
static inline size_t kit_violations(struct kit *k)
{
	ff_auto_json json_t *state = sim_state(k->sim);

	return json_array_size(json_object_get(state, "violations"));
}

static inline bool kit_violated(struct kit *k, const char *words)
{
	ff_auto_json json_t *state = sim_state(k->sim);
	size_t i;
	json_t *v;

	json_array_foreach (json_object_get(state, "violations"), i, v) {
		if (strstr(json_string_value(v), words) != NULL)
			return true;
	}
	return false;
}

/* The VM's etag, as the next If-Match wants it. The caller frees. */
static inline char *kit_etag(struct kit *k, const char *vm)
{
	ff_auto_free char *target = ff_printf(RG "/virtualMachines/%s" AV, vm);

	cr_assert_eq(kit_ask(k, "GET", target, NULL), 200);
	return ff_strdup(ff_json_str(k->body, "etag"));
}

static inline void kit_claim(struct kit *k, const char *vm)
{
	ff_auto_free char *target = ff_printf(RG "/virtualMachines/%s" AV, vm);
	ff_auto_json json_t *tags = NULL;
	ff_auto_json json_t *body = json_object();
	ff_auto_free char *text = NULL, *etag = kit_etag(k, vm);

	tags = json_deep_copy(json_object_get(k->body, "tags"));
	ff_json_set_str(tags, "fixfleet-run", "r1");
	json_object_set(body, "tags", tags);
	text = ff_json_text(body);
	k->if_match = etag;
	must_do(k, "PATCH", target, text);
}

#define COPY_BODY(disk, generation, zones)                                                                             \
	"{\"location\":\"westeurope\"," zones "\"sku\":{\"name\":\"Premium_LRS\"},\"tags\":{\"fixfleet-run\":\"r1\"}," \
	"\"properties\":{\"osType\":\"Windows\",\"hyperVGeneration\":\"" generation                                    \
	"\",\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":\"" DISK(disk) "\"}}}"
#define SWAP_BODY(disk)                                                                                                \
	"{\"properties\":{\"storageProfile\":{\"osDisk\":{\"osType\":\"Windows\",\"name\":\"" disk                     \
	"\",\"createOption\":\"FromImage\",\"caching\":\"ReadWrite\",\"managedDisk\":{\"id\":\"" DISK(                 \
		disk) "\",\"storageAccountType\":\"Premium_LRS\"}}}}}"
#define ATTACH_BODY(disk, lun) "{\"dataDisksToAttach\":[{\"diskId\":\"" DISK(disk) "\",\"lun\":" lun "}]}"
#define DETACH_BODY(disk)      "{\"dataDisksToDetach\":[{\"diskId\":\"" DISK(disk) "\"}]}"

#endif
