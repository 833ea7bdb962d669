/*
 * A provider's table against answers of the input. A cloud's target says how it is opened; see cloud.c for what the
 * input is, and record.c for the sound answers that go before it.
 */
#ifndef FUZZ_CLOUD_H
#define FUZZ_CLOUD_H

#include "fixfleet/provider.h"
#include "fuzz.h"

#define FUZZ_NOW INT64_C(1721372400000) /* 2024-07-19T07:00:00Z */

struct fuzz_cloud {
	const struct ff_provider *provider;
	const char *scenario;			     /* of cloudsim; single quotes stand for double ones */
	void (*options)(struct ff_scope_options *o); /* fills; the lists are freed by the caller */
	const char *const *const *envs;		     /* pairs each, ended by NULL; the first signs in soundly */
	const char *(*file)(const char *path);	     /* what sound files hold; NULL: there is none (of that path) */
};

/* A VM as it was when it entered a row. */
struct fuzz_entry {
	char *vm;
	json_t *facts, *rescue_facts;
};

#define FUZZ_ROWS_MAX 64

/* A sound run against cloudsim: what was answered, and how VMs entered each row. */
struct fuzz_record {
	struct ff_buf login, discovery; /* as fuzz_next_answer() takes them */
	char *rescue;			/* its name */
	struct fuzz_entry entries[FUZZ_ROWS_MAX][2];
	struct ff_buf rows[FUZZ_ROWS_MAX]; /* answers to one VM that went through the row */
};

/** Make the record; ends the process where a sound run does not succeed. */
void fuzz_record_make(const struct fuzz_cloud *c, struct fuzz_record *record);

/** Open with environment `env` (index into envs). NULL with err. */
struct ff_cloud *fuzz_cloud_open(const struct fuzz_cloud *c, size_t env, struct ff_err *err);

struct ff_vm *fuzz_vm_named(const struct ff_provider *p, const struct ff_cloud *cloud, const char *name);

/* ---- a row's ladder, the same for sound and for other answers */

struct fuzz_walk {
	const struct ff_provider *provider;
	struct ff_cloud *cloud;
	struct ff_member members[2];
	json_t *facts[2], *rescue_facts; /* owned by the caller */
	size_t count;
	bool look_first;
	int64_t now_ms;
	int rounds;
	unsigned intents; /* so many were acted on before: the end of the token */
	char token[40];
	/** The answer to a request, after throttling and repeats; false: there is none, the ladder ends. */
	bool (*exchange)(struct fuzz_walk *w, struct ff_ask *ask, struct ff_answer *answer, enum ff_class *class);
	void *arg;
};

/** By provider.h's ladder. The last meaning of the first member; FF_M_LOOK when it came to no end. */
enum ff_meaning fuzz_walk_row(struct fuzz_walk *w, int step);

void fuzz_cloud_init(struct fuzz_cloud *c, const char *provider);
int fuzz_cloud_one(const struct fuzz_cloud *c, const uint8_t *data, size_t size);

/* What libFuzzer calls, for the cloud that the target describes. */
#define FUZZ_CLOUD_TARGET(name, cloud)                                                                                 \
	int LLVMFuzzerInitialize(int *argc, char ***argv)                                                              \
	{                                                                                                              \
		(void)argc, (void)argv;                                                                                \
		fuzz_cloud_init(&(cloud), name);                                                                       \
		return 0;                                                                                              \
	}                                                                                                              \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                                   \
	{                                                                                                              \
		return fuzz_cloud_one(&(cloud), data, size);                                                           \
	}

#endif
