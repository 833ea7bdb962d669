/*
 * Secrets Manager, for keys of encrypted volumes: the current version of a secret in the VM's region.
 *
 *   POST /  X-Amz-Target: secretsmanager.GetSecretValue  {"SecretId": NAME} -> {"SecretString"} or {"SecretBinary":
 * base64} JSON 1.1 (docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html). Needs
 * secretsmanager:GetSecretValue, and kms:Decrypt where the secret has a key of its own.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 512

int aws_secret_ask(struct ff_cloud *cloud, const char *name, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_json json_t *body = json_object();
	size_t len = strlen(name);

	/* names and ARNs: letters, digits and /_+=.@-: */
	if (len == 0 || len > NAME_BYTES_MAX ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_+=.@-:") != len) {
		ff_auto_free char *clean = ff_printable(name);

		return ff_fail(
			err, FF_E_USAGE, "'%.100s' cannot be the name of a secret: letters, digits and /_+=.@-", clean);
	}
	ff_json_set_str(body, "SecretId", name);
	aws_json_ask(cloud, ask, AWS_SECRETS, AWS_Q_STEP, "secretsmanager.GetSecretValue", body);
	ask->secret = true;
	return 0;
}

int aws_secret_read(
	struct ff_cloud *cloud, const struct ff_answer *answer, char **bytes, size_t *len, struct ff_err *err)
{
	ff_auto_json json_t *body = NULL;
	struct ff_err ignored;
	const char *text, *binary;

	(void)cloud;
	if (answer->status != 200) {
		aws_auto_reply reply = {0};

		aws_reply_read(&reply, answer);
		if (ff_streq(reply.code, "ResourceNotFoundException"))
			return 0;
		return ff_fail(err, reply.class == FF_E_DENIED ? FF_E_DENIED : FF_E_PERMANENT,
			"Secrets Manager answers HTTP %d, %s", answer->status, reply.err.text);
	}
	body = ff_json_parse(answer->body, answer->body_len, answer->body_len, &ignored);
	text = ff_json_str(body, "SecretString");
	if (text != NULL) {
		*len = strlen(text);
		*bytes = ff_strdup(text);
	} else if ((binary = ff_json_str(body, "SecretBinary")) != NULL) {
		*bytes = ff_base64_decode(binary, len);
	}
	return *bytes != NULL ? 1 : ff_fail(err, FF_E_PERMANENT, "the answer of Secrets Manager holds no secret");
}
