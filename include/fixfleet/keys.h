/*
 * Where the keys of encrypted volumes come from. A source is a table and a pure function: it is told which volume is to
 * be opened and who protects it, and answers with keys, or with a question to the outside (a program, a vault), whose
 * answer it is told next. The engine asks the sources in order until one has a key.
 *
 * Adding a source: a file in keys/ with its look() and its constructor, a line in cmd/keys.c, a test of its questions
 * and answers.
 *
 * Keys are in ff_secret memory (fixfleet/secret.h) from the moment they are known; they go to the worker on its stdin.
 */
#ifndef FIXFLEET_KEYS_H
#define FIXFLEET_KEYS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/ask.h"
#include "fixfleet/err.h"

#define FF_GUID_BYTES	      37 /* "4381f759-c4f8-4de0-bb61-fc33a831bda5" and a NUL, lower case */
#define FF_KEYS_MAX	      8	 /* for one volume */
#define FF_PROTECTORS_MAX     32 /* of one volume */
#define FF_KEY_BYTES_MAX      8192
#define FF_KEY_FILE_BYTES_MAX (16 * 1024 * 1024)

struct ff_protector {
	char id[FF_GUID_BYTES];
	char kind[24]; /* "recovery-password", "startup-key", "tpm", ...: diskops/fve.h, fve_kind_name() */
};

/* A volume that needs a key. Texts borrowed, never NULL. */
struct ff_key_want {
	const char *provider, *vm_name, *vm_id, *disk_id, *volume_id;
	struct ff_protector protectors[FF_PROTECTORS_MAX];
	size_t protector_count;
};

/**
 * Read what a worker says it wants ("key-wanted"): volume_id, borrowed from `event`, and protectors; the rest is "". -1
 * when it is nonsense: what it says is hostile.
 */
int ff_key_want_read(struct ff_key_want *want, const json_t *event);

/** The want as JSON, for programs: {"provider","vm","vm_id","disk_id","volume_id","protectors":[{"id","kind"}]}. */
json_t *ff_key_want_json(const struct ff_key_want *want);

/* Keys that were found; all zero is none. */
struct ff_keys {
	struct ff_key {
		char protector[FF_GUID_BYTES]; /* which one it is for; "": not known */
		char *text;		       /* 48 digits, or a .BEK file in base64; ff_secret memory */
	} items[FF_KEYS_MAX];
	size_t count;
};
/** Add a copy; more than FF_KEYS_MAX are dropped. `protector` may be NULL. */
void ff_keys_add(struct ff_keys *keys, const char *protector, const char *text, size_t len);
void ff_keys_release(struct ff_keys *keys);

/** What the worker is told ("key"): the keys, or why there are none. A new reference; it holds keys. */
json_t *ff_key_line(const char *job, int64_t volume, const struct ff_keys *found, const char *reason);

/** The protector that a startup key (.BEK file in base64) is of: its GUID as text. False when it is no startup key. */
bool ff_key_startup_id(const char *text, char id[FF_GUID_BYTES]);

/** Is that text of the form of a key: a recovery password, or base64 that decodes to what begins as a .BEK file? */
bool ff_key_is(const char *text, size_t len);

/**
 * Why a source has no key, fit to be logged: what a program complains may hold what it was to print. A text with digits
 * or letters in a row as a key has them is not shown. The caller frees.
 */
char *ff_key_refusal(const char *source, const char *why);

enum ff_key_step {
	FF_KEY_DONE,   /* `found` has the keys; none: this source has none for it */
	FF_KEY_ASK,    /* `ask` is filled: send it, then call again with its answer */
	FF_KEY_SIGN,   /* the same, and it goes out with the credentials of the VM's cloud (sources of clouds only) */
	FF_KEY_FAILED, /* `err` says why the source could not be asked; the next one is */
};

struct ff_key_source {
	const char *name; /* as the operator knows it: "--keys" */
	void *self;
	/**
	 * @step    0 at first, then how many questions were answered
	 * @answer  of the last question, of any status; NULL at first. An answer that never came does not come here:
	 * the source has then failed
	 */
	enum ff_key_step (*look)(void *self, const struct ff_key_want *want, unsigned step,
		const struct ff_answer *answer, struct ff_ask *ask, struct ff_keys *found, struct ff_err *err);
	void (*free)(void *self);
};

/**
 * --keys: the text of a file, CSV ("NAME,KEY" a line, # comments) or JSON ({"NAME":"KEY",...} or
 * [{"id":"NAME","key":"KEY"},...]). NAME is the id of a key protector, the name or id of a VM, or the id of a disk,
 * without regard to case; ids of protectors are looked for first. Errors name the line or entry, never what stands
 * there.
 *
 * @text    in ff_secret memory, NUL-terminated; taken over in any case
 * @return  0, or -1 with FF_E_USAGE; free with source->free(source->self)
 */
int ff_key_file(struct ff_key_source *source, char *text, size_t len, struct ff_err *err);

/**
 * --key-command: a program that gets the want as JSON on stdin and prints one key, or nothing when it has none. Split
 * at blanks; '...' and "..." hold together, a backslash takes the next character as it is. There is no shell. 0, or -1
 * with FF_E_USAGE.
 */
int ff_key_command(struct ff_key_source *source, const char *command, struct ff_err *err);

/**
 * The n-th name (from 0) that a pattern of --key-secret gives: {vm} and {volume} are the VM's name and the id of the
 * volume, {protector} the id of a protector that a key can open, one name for each. The caller frees; NULL: no more.
 */
char *ff_key_secret_name(const char *pattern, const struct ff_key_want *want, size_t n);

/** Take what a secret store had: a key as text, or a .BEK file as bytes. False when it is neither. */
bool ff_keys_add_secret(struct ff_keys *keys, const char *bytes, size_t len);

#endif
