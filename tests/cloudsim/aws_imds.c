/* The instance metadata service, version 2: a session token by PUT, then everything with it. */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

#define TOKEN_TTL    "X-aws-ec2-metadata-token-ttl-seconds"
#define TOKEN	     "X-aws-ec2-metadata-token"
#define TTL_MAX	     21600
#define ROLE_SECONDS 21600
#define CREDENTIALS  "/latest/meta-data/iam/security-credentials/"

static void reply(struct aw_call *c, int status, const char *type, const char *text)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", type);
	c->ans->body = ff_strdup(text);
	c->ans->body_len = strlen(text);
}

static void refuse(struct aw_call *c, int status, const char *title)
{
	ff_auto_free char *page = ff_printf("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>%d - "
					    "%s</title></head><body><h1>%d - %s</h1></body></html>",
		status, title, status, title);

	reply(c, status, "text/html", page);
}

static void hand_out_token(struct aw_call *c)
{
	const char *ttl = ff_headers_get(&c->req->headers, TOKEN_TTL);
	struct aws *aws = c->aws;
	char id[SIM_UUID_BYTES];
	ff_auto_free char *token = NULL;
	int64_t seconds;

	if (ff_headers_get(&c->req->headers, "X-Forwarded-For") != NULL) {
		refuse(c, 403, "Forbidden");
		return;
	}
	if (ttl == NULL || ff_parse_i64(ttl, 1, TTL_MAX, &seconds) < 0) {
		refuse(c, 400, "Bad Request");
		return;
	}
	sim_uuid(c->sim, id);
	token = ff_printf("AQAEA%s==", id);
	aws->imds_until = ff_realloc(aws->imds_until, aws->imds_tokens.count + 1, sizeof(*aws->imds_until));
	aws->imds_until[aws->imds_tokens.count] = c->sim->now_ms + seconds * 1000;
	ff_strv_add(&aws->imds_tokens, token);
	ff_headers_set(&c->ans->headers, TOKEN_TTL, ttl);
	reply(c, 200, "text/plain", token);
}

static bool token_is_good(const struct aw_call *c)
{
	const char *token = ff_headers_get(&c->req->headers, TOKEN);
	const struct aws *aws = c->aws;

	if (token == NULL)
		return aws->imds_v1;
	for (size_t i = 0; i < aws->imds_tokens.count; i++)
		if (ff_streq(aws->imds_tokens.items[i], token))
			return c->sim->now_ms < aws->imds_until[i];
	return false;
}

/* The VM that the service speaks of: the scenario's, else the first rescue VM. */
static const struct aw_vm *this_vm(const struct aws *aws)
{
	if (aws->imds_vm != NULL)
		return aw_vm_named(aws, aws->imds_vm);
	for (size_t i = 0; i < aws->vm_count; i++)
		if (aws->vms[i]->rescue)
			return aws->vms[i];
	return aws->vm_count > 0 ? aws->vms[0] : NULL;
}

static void role_credentials(struct aw_call *c, const struct aw_vm *vm)
{
	const struct aw_session *s = aw_new_session(c->sim, c->aws, vm->id, ROLE_SECONDS);
	char now[FF_TIME_BYTES], until[FF_TIME_BYTES];
	ff_auto_json json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "Code", "Success", "LastUpdated",
		ff_time_format(c->sim->now_ms, 0, now), "Type", "AWS-HMAC", "AccessKeyId", s->key, "SecretAccessKey",
		s->secret, "Token", s->token, "Expiration", ff_time_format(s->until_ms, 0, until));
	ff_auto_free char *text = ff_json_text(j);

	reply(c, 200, "text/plain", text);
}

static void document(struct aw_call *c, const struct aw_vm *vm)
{
	ff_auto_json json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s}", "accountId", c->aws->account, "availabilityZone",
		vm->zone, "instanceId", vm->id, "instanceType", vm->type->name, "region", c->aws->region);
	ff_auto_free char *text = ff_json_text(j);

	reply(c, 200, "text/plain", text);
}

static void metadata(struct aw_call *c, const struct aw_vm *vm, const char *path)
{
	static const char *const names[] = {
		"instance-id", "placement/availability-zone", "placement/region", "instance-type"};
	const char *const values[] = {vm->id, vm->zone, c->aws->region, vm->type->name};
	ff_auto_free char *role = ff_printf(CREDENTIALS "%s", c->aws->role);

	if (ff_streq(path, CREDENTIALS) || ff_streq(path, "/latest/meta-data/iam/security-credentials")) {
		reply(c, 200, "text/plain", c->aws->role);
		return;
	}
	if (ff_streq(path, role)) {
		role_credentials(c, vm);
		return;
	}
	if (ff_streq(path, "/latest/dynamic/instance-identity/document")) {
		document(c, vm);
		return;
	}
	for (size_t i = 0; i < FF_COUNT(names); i++) {
		if (ff_has_prefix(path, "/latest/meta-data/") &&
			ff_streq(path + strlen("/latest/meta-data/"), names[i])) {
			reply(c, 200, "text/plain", values[i]);
			return;
		}
	}
	refuse(c, 404, "Not Found");
}

bool aw_imds(struct aw_call *c)
{
	ff_auto_free char *path = ff_strndup(c->req->target, strcspn(c->req->target, "?"));
	const struct aw_vm *vm;

	if (!ff_has_prefix(path, "/latest/"))
		return false;
	vm = this_vm(c->aws);
	sim_count_request(c->sim, "aws metadata");
	if (ff_streq(path, "/latest/api/token")) {
		if (ff_streq(c->req->method, "PUT"))
			hand_out_token(c);
		else
			refuse(c, 405, "Method Not Allowed");
	} else if (!ff_streq(c->req->method, "GET")) {
		refuse(c, 405, "Method Not Allowed");
	} else if (!token_is_good(c)) {
		refuse(c, 401, "Unauthorized");
	} else if (vm == NULL) {
		refuse(c, 404, "Not Found");
	} else {
		metadata(c, vm, path);
	}
	return true;
}
