/* What speaks JSON 1.1, signed like the rest: Secrets Manager's GetSecretValue and KMS's DescribeKey. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static void reply(struct aw_call *c, int status, json_t *body)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", "application/x-amz-json-1.1");
	free(c->ans->body);
	c->ans->body = ff_json_text(body);
	c->ans->body_len = strlen(c->ans->body);
	json_decref(body);
}

void aw_json_refuse(struct aw_call *c, const char *code, const char *message)
{
	/* what the query services call otherwise */
	static const char *const names[][2] = {{"AccessDenied", "AccessDeniedException"},
		{"InvalidClientTokenId", "UnrecognizedClientException"},
		{"SignatureDoesNotMatch", "InvalidSignatureException"}, {"ExpiredToken", "ExpiredTokenException"},
		{"IncompleteSignature", "IncompleteSignatureException"}};

	for (size_t i = 0; i < FF_COUNT(names); i++)
		if (ff_streq(code, names[i][0]))
			code = names[i][1];
	reply(c, 400, json_pack("{s:s, s:s}", "__type", code, "message", message));
}

static void get_secret(struct aw_call *c, const json_t *body)
{
	const char *name = ff_json_str(body, "SecretId");
	const char *text = name != NULL ? json_string_value(json_object_get(c->aws->secrets, name)) : NULL;

	if (text != NULL)
		reply(c, 200,
			json_pack("{s:s, s:s, s:s}", "Name", name, "VersionId", c->request_id, "SecretString", text));
	else
		aw_json_refuse(c, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
}

const char *aw_key_state(const struct aws *aws, const char *arn)
{
	const char *state = arn != NULL ? json_string_value(json_object_get(aws->keys, arn)) : NULL;

	return state != NULL ? state : "Enabled";
}

static void describe_key(struct aw_call *c, const json_t *body)
{
	const char *arn = ff_json_str(body, "KeyId"), *resource = arn != NULL ? strstr(arn, ":key/") : NULL;
	ff_auto_free char *ours = ff_printf("arn:aws:kms:%s:", c->aws->region), *message = NULL;
	const char *state = aw_key_state(c->aws, arn);

	if (resource == NULL) {
		aw_json_refuse(c, "ValidationException", "cloudsim knows keys by their ARN only"); /* made up */
	} else if (aw_allowed(c, resource + 1) < 0) {
		return;
	} else if (!ff_has_prefix(arn, ours)) {
		message = ff_printf("Invalid arn %s", c->aws->region);
		aw_json_refuse(c, "NotFoundException", message);
	} else if (ff_streq(state, "missing")) {
		message = ff_printf("Key '%s' does not exist", arn);
		aw_json_refuse(c, "NotFoundException", message);
	} else {
		reply(c, 200,
			json_pack("{s:{s:s, s:s, s:s, s:b, s:s, s:s, s:s}}", "KeyMetadata", "AWSAccountId",
				c->aws->account, "KeyId", resource + 5, "Arn", arn, "Enabled",
				ff_streq(state, "Enabled"), "KeyState", state, "KeyUsage", "ENCRYPT_DECRYPT",
				"KeyManager", "CUSTOMER"));
	}
}

static const struct {
	const char *target;
	struct aw_action action;
	void (*answer)(struct aw_call *c, const json_t *body);
} targets[] = {
	{"secretsmanager.GetSecretValue", {.service = AW_SECRETS, .name = "GetSecretValue"}, get_secret},
	{"TrentService.DescribeKey", {.service = AW_KMS, .name = "DescribeKey"}, describe_key},
};

bool aw_json(struct aw_call *c)
{
	const char *target = ff_headers_get(&c->req->headers, "X-Amz-Target");

	for (size_t i = 0; i < FF_COUNT(targets); i++) {
		ff_auto_free char *kind = ff_printf("aws %s", targets[i].action.name);
		ff_auto_json json_t *body = NULL;
		struct ff_err err;

		if (!ff_streq(target, targets[i].target))
			continue;
		c->action = &targets[i].action;
		c->service = c->action->service;
		sim_count_request(c->sim, kind);
		if (aw_authenticate(c) < 0)
			return true;
		body = ff_json_parse(c->req->body, c->req->body_len, 65536, &err);
		targets[i].answer(c, body);
		return true;
	}
	return false;
}
