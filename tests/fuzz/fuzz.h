/*
 * What the fuzz targets share. A target is fuzz_NAME.c with LLVMFuzzerTestOneInput(); its seeds are in corpus/NAME.
 *
 * A target checks more than that nothing crashes: FUZZ_CHECK() says what must hold whatever the input is. All of it
 * depends on the input alone, so that a file replays what it found.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/ask.h"
#include "fixfleet/err.h"
#include "fixfleet/json.h"
#include "fixfleet/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define FUZZ_CHECK(condition, ...)                                                                                     \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: must hold: %s: ", __FILE__, __LINE__, #condition);                     \
			fprintf(stderr, __VA_ARGS__);                                                                  \
			fputc('\n', stderr);                                                                           \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* A failure says of what class it is, and something. */
#define FUZZ_CHECK_ERR(err)                                                                                            \
	FUZZ_CHECK((err).class != FF_E_NONE && (err).text[0] != '\0', "class %d, '%s'", (int)(err).class, (err).text)

/*
 * Answers as text, so that seeds can be read and mutated:
 *
 *   STATUS            one line; below 0: no answer, -1 is FF_T_NOT_SENT, -2 FF_T_UNTRUSTED and so on
 *   Name: value       headers
 *                     an empty line
 *   body              up to a line "%%" or the end
 */
struct fuzz_input {
	const char *at, *end;
};

/** The next answer, owned by the caller; false when there is none. */
bool fuzz_next_answer(struct fuzz_input *in, struct ff_answer *answer);
/** The same answer as text, with its "%%" line. */
void fuzz_answer_text(const struct ff_answer *answer, struct ff_buf *text);

/** An environment of name, value, ..., NULL for ff_provider.open(). */
const char *fuzz_env_get(void *pairs, const char *name);

/** What must hold for every request that is to leave: nothing in it can be taken for more than it is. */
void fuzz_check_ask(const struct ff_ask *ask);

/** A JSON object of the input's bytes, or NULL. */
json_t *fuzz_json(const void *bytes, size_t size);

#endif
