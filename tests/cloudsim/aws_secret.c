/* Secrets Manager, as far as keys of disks need it: GetSecretValue in JSON 1.1, signed like the rest. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static void reply(struct aw_call *c, int status, json_t *body)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", "application/x-amz-json-1.1");
	c->ans->body = ff_json_text(body);
	c->ans->body_len = strlen(c->ans->body);
	json_decref(body);
}

bool aw_secret(struct aw_call *c)
{
	const char *target = ff_headers_get(&c->req->headers, "X-Amz-Target"), *name, *text;
	ff_auto_json json_t *body = NULL;
	struct ff_err err;

	if (!ff_streq(target, "secretsmanager.GetSecretValue"))
		return false;
	c->service = AW_SECRETS;
	sim_count_request(c->sim, "aws GetSecretValue");
	if (aw_authenticate(c) < 0)
		return true;
	body = ff_json_parse(c->req->body, c->req->body_len, 65536, &err);
	name = ff_json_str(body, "SecretId");
	text = name != NULL ? json_string_value(json_object_get(c->aws->secrets, name)) : NULL;
	if (text != NULL)
		reply(c, 200,
			json_pack("{s:s, s:s, s:s}", "Name", name, "VersionId", c->request_id, "SecretString", text));
	else
		reply(c, 400,
			json_pack("{s:s, s:s}", "__type", "ResourceNotFoundException", "Message",
				"Secrets Manager can't find the specified secret."));
	return true;
}
