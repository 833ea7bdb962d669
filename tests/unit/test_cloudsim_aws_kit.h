/*
 * For tests that ask the model of AWS in process: one model, its time, the last answer, read with libxml2.
 */
#ifndef TESTS_CLOUDSIM_AWS_KIT_H
#define TESTS_CLOUDSIM_AWS_KIT_H

#include <criterion/criterion.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws.h"

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define BEGAN INT64_C(1721372400000) /* 2024-07-19T07:00:00Z */
#define EC2   "2016-11-15"
#define STS   "2011-06-15"
#define ASG   "2011-01-01"

struct kit {
	struct sim *sim;
	int64_t now;
	struct sim_answer a;
	xmlDoc *xml;					     /* of the answer; NULL when it is none */
	const char *key, *secret, *token, *region, *service; /* NULL: the usual */
	int64_t clock_ms;				     /* of the client, beside the model's */
	bool unsigned_request;
	const char *run; /* whose requests they are; NULL: nobody knows */
	FILE *traffic;
};

static inline struct sim *kit_model(const char *scenario, struct ff_err *err)
{
	ff_auto_free char *text = ff_strdup(scenario);
	ff_auto_json json_t *j = NULL;

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	j = ff_json_parse(text, strlen(text), 1 << 20, err);
	return j != NULL ? sim_new(j, BEGAN, NULL, err) : NULL;
}

/* A model of this scenario; single quotes stand for double ones. */
static inline struct kit kit_open(const char *scenario)
{
	struct kit k = {.now = BEGAN};
	struct ff_err err = {0};

	k.sim = kit_model(scenario, &err);
	cr_assert_not_null(k.sim, "%s", err.text);
	return k;
}

static inline void kit_forget(struct kit *k)
{
	sim_answer_release(&k->a);
	xmlFreeDoc(k->xml);
	k->xml = NULL;
}

static inline void kit_close(struct kit *k)
{
	kit_forget(k);
	sim_free(k->sim);
}

/* One exchange as it is; the answer stays in the kit. */
static inline int kit_send(struct kit *k, struct sim_request *r)
{
	kit_forget(k);
	sim_answer(k->sim, k->now, r, &k->a);
	if (k->traffic != NULL) {
		ff_auto_free char *line = sim_traffic_line(k->sim, k->now, r, &k->a);

		fputs(line, k->traffic);
	}
	if (k->a.body_len > 0 && k->a.body[0] == '<')
		k->xml = xmlReadMemory(k->a.body, (int)k->a.body_len, "answer", NULL,
			XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET);
	return k->a.end == SIM_RESET ? 0 : k->a.status;
}

static inline void kit_sign(const struct kit *k, struct sim_request *r, const char *version)
{
	const char *service = k->service != NULL       ? k->service
			      : ff_streq(version, STS) ? "sts"
			      : ff_streq(version, ASG) ? "autoscaling"
						       : "ec2";
	const char *region = k->region != NULL ? k->region : "us-east-1", *key = k->key != NULL ? k->key : SIM_AWS_KEY;
	ff_auto_free char *names =
		ff_printf("content-type;host;x-amz-date%s%s", k->token != NULL ? ";x-amz-security-token" : "",
			ff_headers_get(&r->headers, "X-Amz-Target") != NULL ? ";x-amz-target" : "");
	char when[FF_TIME_BYTES], signature[65];
	ff_auto_free char *stamp = NULL, *header = NULL;

	ff_time_format(k->now + k->clock_ms, 0, when); /* 2024-07-19T07:00:00Z */
	stamp = ff_printf("%.4s%.2s%.2sT%.2s%.2s%.2sZ", when, when + 5, when + 8, when + 11, when + 14, when + 17);
	ff_headers_add(&r->headers, "Host", "ec2.us-east-1.amazonaws.com");
	ff_headers_add(&r->headers, "X-Amz-Date", stamp);
	if (k->token != NULL)
		ff_headers_add(&r->headers, "X-Amz-Security-Token", k->token);
	stamp[8] = '\0';
	header = ff_strdup(stamp);
	stamp[8] = 'T';
	aw_sign(r, k->secret != NULL ? k->secret : SIM_AWS_SECRET, header, region, service, stamp, names, signature);
	free(header);
	header = ff_printf("AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		key, stamp, region, service, names, signature);
	ff_headers_add(&r->headers, "Authorization", header);
}

/* A signed call: "Action&InstanceId.1=i-1". */
static inline int kit_ask(struct kit *k, const char *version, const char *action_and_more)
{
	size_t len = strcspn(action_and_more, "&");
	ff_auto_free char *body =
		ff_printf("Action=%.*s&Version=%s%s", (int)len, action_and_more, version, action_and_more + len);
	ff_auto_free char *length = ff_printf("%zu", strlen(body));
	struct sim_request r = {.method = "POST",
		.base = "https://ec2.us-east-1.amazonaws.com",
		.target = "/",
		.body = body,
		.body_len = strlen(body),
		.run = k->run};
	int status;

	ff_headers_add(&r.headers, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
	ff_headers_add(&r.headers, "Content-Length", length);
	if (!k->unsigned_request)
		kit_sign(k, &r, version);
	status = kit_send(k, &r);
	ff_headers_free(&r.headers);
	return status;
}

#define ec2(k, action) kit_ask(k, EC2, action)

/* The element at "a/b/2/c" under the root: names, and numbers for one of several. */
static inline xmlNode *kit_node(const struct kit *k, const char *path)
{
	xmlNode *node = k->xml != NULL ? xmlDocGetRootElement(k->xml) : NULL;

	while (node != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");
		int64_t skip = 0;
		xmlNode *child = node->children;
		ff_auto_free char *name = ff_strndup(path, len);

		path += len + (path[len] == '/');
		if (*path >= '0' && *path <= '9') {
			skip = strtol(path, NULL, 10);
			path += strcspn(path, "/");
			path += *path == '/';
		}
		for (; child != NULL; child = child->next)
			if (child->type == XML_ELEMENT_NODE && ff_streq((const char *)child->name, name) && skip-- == 0)
				break;
		node = child;
	}
	return node;
}

/* Its text; NULL when there is none. The caller frees. */
static inline char *kit_text(const struct kit *k, const char *path)
{
	xmlNode *node = kit_node(k, path);
	xmlChar *content = node != NULL ? xmlNodeGetContent(node) : NULL;
	char *text = content != NULL ? ff_strdup((const char *)content) : NULL;

	xmlFree(content);
	return text;
}

static inline size_t kit_count(const struct kit *k, const char *list)
{
	xmlNode *node = kit_node(k, list);
	size_t n = 0;

	for (node = node != NULL ? node->children : NULL; node != NULL; node = node->next)
		n += node->type == XML_ELEMENT_NODE;
	return n;
}

/* The text there is that. */
#define must_say(k, path, value)                                                                                       \
	do {                                                                                                           \
		ff_auto_free char *text_ = kit_text(k, path);                                                          \
		cr_assert(ff_streq(text_, value), "%s is '%s', not '%s': %s", path, text_ ? text_ : "(none)", value,   \
			(k)->a.body ? (k)->a.body : "");                                                               \
	} while (0)

#define must_do(k, action)                                                                                             \
	do {                                                                                                           \
		int status_ = ec2(k, action);                                                                          \
		cr_assert_eq(status_, 200, "%s: %d %s", action, status_, (k)->a.body ? (k)->a.body : "");              \
	} while (0)

/* Refused with this status and code, and these words in its message. */
static inline void kit_refused(
	struct kit *k, const char *what, int got, int status, const char *code, const char *words)
{
	bool is_ec2 = kit_node(k, "Errors/Error/Code") != NULL;
	ff_auto_free char *c = kit_text(k, is_ec2 ? "Errors/Error/Code" : "Error/Code");
	ff_auto_free char *m = kit_text(k, is_ec2 ? "Errors/Error/Message" : "Error/Message");

	cr_assert_eq(got, status, "%s: %d %s", what, got, k->a.body ? k->a.body : "");
	cr_assert(ff_streq(c, code), "%s: code %s, not %s", what, c ? c : "none", code);
	cr_assert(m != NULL && strstr(m, words) != NULL, "%s: '%s' does not say '%s'", what, m ? m : "none", words);
}

#define must_refuse(k, action, status, code, words) kit_refused(k, action, ec2(k, action), status, code, words)

/* Let time pass until nothing is under way any more, and reads have caught up. */
static inline void kit_settle(struct kit *k)
{
	int64_t next;

	while ((next = sim_next_ms(k->sim)) != INT64_MAX) {
		size_t n;
		struct sim_effect *effects;

		k->now = next > k->now ? next : k->now;
		sim_advance(k->sim, k->now);
		effects = sim_take_effects(k->sim, &n);
		sim_effects_free(effects, n);
	}
	k->now += 20000;
}

static inline json_t *kit_state(struct kit *k)
{
	sim_advance(k->sim, k->now);
	return sim_state(k->sim);
}

static inline size_t kit_violations(struct kit *k)
{
	ff_auto_json json_t *state = kit_state(k);

	return json_array_size(json_object_get(state, "violations"));
}

static inline bool kit_violated(struct kit *k, const char *words)
{
	ff_auto_json json_t *state = kit_state(k);
	size_t i;
	json_t *v;

	json_array_foreach (json_object_get(state, "violations"), i, v) {
		if (strstr(json_string_value(v), words) != NULL)
			return true;
	}
	return false;
}

static inline void kit_human(struct kit *k, const char *act)
{
	ff_auto_free char *text = ff_strdup(act);
	ff_auto_json json_t *j = NULL;
	struct ff_err err = {0};

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	j = ff_json_parse(text, strlen(text), 65536, &err);
	cr_assert_eq(sim_human(k->sim, k->now, j, &err), 0, "%s", err.text);
}

#define I(n)	       "i-000000000000000" n
#define VOL(n)	       "vol-000000000000000" n
#define CLAIM(vm, vol) "CreateTags&ResourceId.1=" vm "&ResourceId.2=" vol "&Tag.1.Key=fixfleet-run&Tag.1.Value=r1"

#endif
