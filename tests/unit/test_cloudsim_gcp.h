/*
 * For tests that ask the model of GCP in process: on top of cloudsim_kit.h, Google's paths, tokens and operations.
 */
#ifndef TESTS_CLOUDSIM_GCP_H
#define TESTS_CLOUDSIM_GCP_H

#include "cloudsim_kit.h"

#define GP	 "/compute/v1/projects/p1"
#define GZ	 GP "/zones/us-central1-a"
#define GVM(n)	 GZ "/instances/" n
#define GDISK(n) GZ "/disks/" n
#define GSNAP(n) GP "/global/snapshots/" n
#define ZONE_ID	 "projects/p1/zones/us-central1-a"

#define GUSER	     "'user':{'client_id':'c','client_secret':'s','refresh_token':'r'}"
#define GLOGIN	     "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r"
#define GSCENE(rest) "{'gcp':{" GUSER "," rest "}}"

/* One exchange of a form, as clients send it to token endpoints. */
static inline int gk_form(struct kit *k, const char *target, const char *form)
{
	struct ff_headers h = {0};
	ff_auto_free char *length = ff_printf("%zu", strlen(form));
	int status;

	ff_headers_add(&h, "Content-Type", "application/x-www-form-urlencoded");
	ff_headers_add(&h, "Content-Length", length);
	status = kit_raw(k, "POST", target, &h, form);
	ff_headers_free(&h);
	return status;
}

static inline int gk_login(struct kit *k)
{
	int status = gk_form(k, "/token", GLOGIN);

	free(k->token);
	k->token = ff_strdup(ff_json_str(k->body, "access_token"));
	return status;
}

/* A model of this scenario (single quotes stand for double ones). */
static inline struct kit gk_model(const char *scenario)
{
	struct kit k = {.now = BEGAN};
	struct ff_err err = {0};
	ff_auto_free char *text = ff_strdup(scenario);

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	k.sim = kit_model(text, BEGAN, &err);
	cr_assert_not_null(k.sim, "%s", err.text);
	return k;
}

/* The same, logged in. */
static inline struct kit gk_open(const char *scenario)
{
	struct kit k = gk_model(scenario);

	cr_assert_eq(gk_login(&k), 200);
	return k;
}

/* The path with a request id of its own. The caller frees. */
static inline char *gk_with_id(const char *target)
{
	static unsigned number;

	return ff_printf(
		"%s%crequestId=11111111-2222-4333-8444-%012u", target, strchr(target, '?') ? '&' : '?', ++number);
}

/* The path of a URL that the model hands out. Borrowed. */
static inline const char *gk_path(const char *url)
{
	const char *p = url != NULL ? strstr(url, "/compute/v1/") : NULL;

	cr_assert_not_null(p, "%s", url != NULL ? url : "no URL");
	return p;
}

/* Ask for the operation of the last answer until it ends: "DONE", or the code of its error. Borrowed from the kit. */
static inline const char *gk_end(struct kit *k)
{
	ff_auto_free char *self = ff_strdup(gk_path(ff_json_str(k->body, "selfLink")));
	const char *code;

	kit_settle(k);
	cr_assert_eq(kit_ask(k, "GET", self, NULL), 200);
	cr_assert_str_eq(ff_json_str(k->body, "status"), "DONE");
	code = ff_json_str(k->body, "error/errors/0/code");
	return code != NULL ? code : "DONE";
}

/* Send the mutation, let it finish: "DONE", the code of the operation's error, or "refused". */
static inline const char *gk_do(struct kit *k, const char *target, const char *body)
{
	ff_auto_free char *full = gk_with_id(target);

	return kit_ask(k, "POST", full, body) == 200 ? gk_end(k) : "refused";
}

#define gk_must(k, target, sent)                                                                                       \
	do {                                                                                                           \
		const char *end_ = gk_do(k, target, sent);                                                             \
		cr_assert_str_eq(end_, "DONE", "%s: %s %s", target, end_, (k)->a.body != NULL ? (k)->a.body : "");     \
	} while (0)

/* Refused with this status and reason, and these words in its message. */
#define gk_refuse(k, method, target, sent, status_, reason_, words)                                                    \
	do {                                                                                                           \
		int got_ = kit_ask(k, method, target, sent);                                                           \
		const char *r_ = ff_json_str((k)->body, "error/errors/0/reason");                                      \
		const char *m_ = ff_json_str((k)->body, "error/message");                                              \
		cr_assert_eq(got_, status_, "%s: %d %s", target, got_, (k)->a.body ? (k)->a.body : "");                \
		cr_assert_eq(ff_json_int((k)->body, "error/code", -1), status_);                                       \
		cr_assert(ff_streq(r_, reason_), "%s: reason %s", target, r_ ? r_ : "none");                           \
		cr_assert(m_ != NULL && strstr(m_, words) != NULL, "%s", m_ ? m_ : "no message");                      \
	} while (0)

/* The labels of that VM with the claim of run r1 (or without, when `claim` is false). */
static inline void gk_claim(struct kit *k, const char *vm, bool claim)
{
	ff_auto_free char *get = ff_printf(GZ "/instances/%s", vm), *set = ff_printf("%s/setLabels", get), *text = NULL;
	ff_auto_json json_t *labels = NULL, *body = json_object();

	cr_assert_eq(kit_ask(k, "GET", get, NULL), 200);
	labels = json_deep_copy(json_object_get(k->body, "labels"));
	labels = labels != NULL ? labels : json_object();
	ff_json_set_str(labels, "fixfleet-run", claim ? "r1" : NULL);
	json_object_set(body, "labels", labels);
	ff_json_set_str(body, "labelFingerprint", ff_json_str(k->body, "labelFingerprint"));
	text = ff_json_text(body);
	gk_must(k, set, text);
}

/* Status of that VM. Borrowed from the kit. */
static inline const char *gk_status(struct kit *k, const char *target)
{
	cr_assert_eq(kit_ask(k, "GET", target, NULL), 200);
	return ff_json_str(k->body, "status");
}

#define ATTACH_VM1_TO_RESCUE                                                                                           \
	"{\"source\":\"projects/p1/zones/us-central1-a/disks/vm1\",\"deviceName\":\"fixfleet-17\",\"mode\":"           \
	"\"READ_WRITE\",\"type\":\"PERSISTENT\",\"boot\":false,\"autoDelete\":false}"
#define VM1_HOME                                                                                                       \
	"{\"source\":\"https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-a/disks/vm1\","             \
	"\"deviceName\":\"persistent-disk-0\",\"boot\":true,\"autoDelete\":true,\"mode\":\"READ_WRITE\","              \
	"\"interface\":\"SCSI\",\"type\":\"PERSISTENT\"}"

#endif
