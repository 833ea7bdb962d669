/*
 * What can be seen of a VM from outside: its boot diagnostics. Resource Manager tells where the serial log and the
 * screenshot lie; who has these URLs may read them, and they are no more shown or kept than a token.
 */
#include "azure.h"

#include <string.h>

#define BLOB_BYTES (64u << 20)

static const struct {
	const char *member, *file;
} blobs[] = {
	{"serialConsoleLogBlobUri", "serial.txt"},
	{"consoleScreenshotBlobUri", "screen.bmp"},
};

/* Question 0 is where they lie: `state` has {url, file} of each in "blobs" then. The others are what they hold. */
static const json_t *blob(const json_t *state, unsigned n)
{
	return n > 0 ? json_array_get(json_object_get(state, "blobs"), n - 1) : NULL;
}

enum ff_evidence azure_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask)
{
	struct ff_err err;

	if (n == 0) {
		if (!vm->running || azure_ask_resource(cloud, ask, "POST", vm->id, "/retrieveBootDiagnosticsData?",
					    AZ_VM_API, &err) < 0)
			return FF_EVIDENCE_NONE;
		azure_cost(cloud, ask, AZ_COST_GET_VM, vm->region, vm->id);
		return FF_EVIDENCE_SIGNED;
	}
	if (blob(state, n) == NULL)
		return FF_EVIDENCE_NONE;
	ff_ask_http(ask, "GET", "%s", ff_json_str(blob(state, n), "url"));
	ask->answer_bytes_max = BLOB_BYTES;
	ask->tag = AZ_Q_BLOB;
	return FF_EVIDENCE_PLAIN;
}

static int read_places(const struct ff_answer *answer, json_t *state, struct ff_err *err)
{
	azure_auto_reply reply = {0};
	json_t *list = json_array();

	ff_json_set_new(state, "blobs", list);
	azure_reply_read(&reply, 0, answer);
	if (reply.class != FF_E_NONE) {
		*err = reply.err;
		return -1;
	}
	for (size_t i = 0; i < FF_COUNT(blobs); i++) {
		const char *url = ff_json_str(reply.body, blobs[i].member);

		if (url == NULL)
			continue;
		if (!ff_has_prefix(url, "https://") || strlen(url) > AZ_URL_BYTES)
			return ff_fail(err, FF_E_BUG, "boot diagnostics are said to lie where no https leads");
		json_array_append_new(list, json_pack("{s:s,s:s}", "url", url, "file", blobs[i].file));
	}
	if (json_array_size(list) == 0)
		return ff_fail(err, FF_E_PERMANENT, "boot diagnostics are not switched on");
	return 0;
}

int azure_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err)
{
	struct ff_buf bytes = {0};

	if (n == 0)
		return read_places(answer, state, err);
	if (answer->body_len == 0)
		return 0;
	ff_buf_add(&bytes, answer->body, answer->body_len);
	out->len = bytes.len;
	out->bytes = ff_buf_take(&bytes);
	out->name = ff_streq(ff_json_str(blob(state, n), "file"), blobs[0].file) ? blobs[0].file : blobs[1].file;
	return 0;
}
