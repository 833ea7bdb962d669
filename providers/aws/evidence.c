/* What can be seen of an instance from outside: its console output (on Windows the last event-log errors), its screen.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *action, *path, *file;
} exhibits[] = {
	{"GetConsoleOutput", "output", "console.txt"},
	{"GetConsoleScreenshot", "imageData", "screen.jpg"},
};

enum ff_evidence aws_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask)
{
	struct ff_buf form = {0};

	(void)state;
	if (n >= FF_COUNT(exhibits) || !ff_streq(vm->state, "running"))
		return FF_EVIDENCE_NONE;
	aws_form(&form, AWS_EC2, exhibits[n].action);
	ff_form_add(&form, "InstanceId", vm->id);
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return FF_EVIDENCE_SIGNED;
}

/* Encoders of base64 for people break its lines. */
static char *without_blanks(const char *text)
{
	char *copy = ff_strdup(text), *to = copy;

	for (const char *from = text; *from != '\0'; from++)
		if (*from != ' ' && *from != '\t' && *from != '\r' && *from != '\n')
			*to++ = *from;
	*to = '\0';
	return copy;
}

int aws_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err)
{
	aws_auto_reply reply = {0};
	char *text;

	(void)state;
	aws_reply_read(&reply, answer);
	if (reply.class != FF_E_NONE) {
		*err = reply.err;
		return -1;
	}
	if (aws_xml_str(reply.root, exhibits[n].path)[0] == '\0') /* nothing was written to it yet */
		return 0;
	text = without_blanks(aws_xml_str(reply.root, exhibits[n].path));
	out->bytes = ff_base64_decode(text, &out->len);
	ff_free_secret(text);
	if (out->bytes == NULL)
		return ff_fail(err, FF_E_BUG, "%s answers with something that is no base64", exhibits[n].action);
	out->name = exhibits[n].file;
	return 0;
}
