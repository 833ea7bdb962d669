/* What can be seen of an instance from outside: its serial port, and its screen where it has a display device. */
#include "gcp.h"

#include <stdio.h>
#include <stdlib.h>

#define SCREEN_BYTES (16u << 20)

enum { SERIAL, SCREEN };

enum ff_evidence gcp_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask)
{
	const char *path = ff_json_str(vm->facts, "vm");
	char tail[64];

	(void)state;
	if (path == NULL || !vm->running || n > SCREEN)
		return FF_EVIDENCE_NONE;
	if (n == SCREEN && !ff_json_bool(vm->facts, "display", false))
		return FF_EVIDENCE_NONE;
	snprintf(tail, sizeof(tail), n == SERIAL ? "/serialPort?port=1&start=-%d" : "/screenshot", GCP_SERIAL_BYTES);
	gcp_ask(cloud, ask, n == SERIAL ? GCP_SERIAL : GCP_READ, "GET", path, tail);
	ask->answer_bytes_max = n == SERIAL ? GCP_SERIAL_ANSWER : SCREEN_BYTES;
	return FF_EVIDENCE_SIGNED;
}

int gcp_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err)
{
	ff_auto_json json_t *body = NULL;
	const json_t *contents;

	(void)state;
	if (gcp_reply(answer, &body, err) != FF_E_NONE)
		return -1;
	contents = json_object_get(body, "contents");
	if (!json_is_string(contents) || json_string_length(contents) == 0)
		return 0;
	if (n == SERIAL) {
		out->len = json_string_length(contents);
		out->bytes = ff_strndup(json_string_value(contents), out->len);
	} else {
		out->bytes = ff_base64_decode(json_string_value(contents), &out->len);
	}
	if (out->bytes == NULL)
		return ff_fail(err, FF_E_BUG, "the screenshot is no base64");
	out->name = n == SERIAL ? "serial.txt" : "screen.png";
	return 0;
}
