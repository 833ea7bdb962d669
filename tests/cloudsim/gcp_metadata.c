/* The metadata server of one VM. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define ROOT	"/computeMetadata/v1"
#define ACCOUNT ROOT "/instance/service-accounts/"

static void say(struct gc_call *c, int status, const char *type, char *text_owned)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", type);
	c->ans->body = text_owned;
	c->ans->body_len = strlen(text_owned);
}

static struct gc_vm *host(const struct gcp *gc)
{
	struct gc_vm *vm = gc->metadata_vm != NULL ? gc_vm_named(gc, gc->metadata_vm) : NULL;

	for (size_t i = 0; i < gc->vm_count && vm == NULL; i++)
		vm = gc_is_rescue(gc->vms[i]) ? gc->vms[i] : NULL;
	return vm;
}

static void account(struct gc_call *c, const char *what)
{
	const char *item = strchr(what, '/');

	if (!c->gc->metadata_account || item == NULL ||
		(strncmp(what, "default", 7) != 0 && !ff_has_prefix(what, c->gc->email))) {
		say(c, 404, "text/html; charset=UTF-8", ff_strdup("<title>Error 404 (Not Found)!!1</title>"));
	} else if (ff_streq(item, "/token")) {
		gc_reply(c, 200,
			json_pack("{s:s,s:I,s:s}", "access_token", gc_issue(c, true), "expires_in",
				(json_int_t)c->gc->token_seconds, "token_type", "Bearer"));
		ff_headers_set(&c->ans->headers, "Content-Type", "application/json");
	} else if (ff_streq(item, "/email")) {
		say(c, 200, "application/text", ff_strdup(c->gc->email));
	} else if (ff_streq(item, "/scopes")) {
		say(c, 200, "application/text", ff_strdup("https://www.googleapis.com/auth/cloud-platform\n"));
	} else {
		say(c, 404, "text/html; charset=UTF-8", ff_strdup("<title>Error 404 (Not Found)!!1</title>"));
	}
}

static char *value_of(const struct gcp *gc, const char *path)
{
	const struct gc_vm *vm = host(gc);

	if (ff_streq(path, "/project/project-id"))
		return ff_strdup(gc->project);
	if (ff_streq(path, "/project/numeric-project-id"))
		return ff_strdup(gc->number);
	if (vm == NULL)
		return NULL;
	if (ff_streq(path, "/instance/name"))
		return ff_strdup(vm->name);
	if (ff_streq(path, "/instance/zone"))
		return ff_printf("projects/%s/zones/%s", gc->number, vm->zone);
	return ff_streq(path, "/instance/id") ? ff_printf("%llu", (unsigned long long)vm->id) : NULL;
}

bool gc_metadata(struct gc_call *c)
{
	bool root = ff_streq(c->path, "/") && ff_streq(c->req->method, "GET");
	char *value;

	if (!root && !ff_has_prefix(c->path, "/computeMetadata"))
		return false;
	sim_count_request(c->sim, "metadata");
	ff_headers_add(&c->ans->headers, "Server", "Metadata Server for VM");
	ff_headers_add(&c->ans->headers, "Metadata-Flavor", "Google");
	if (!ff_streq(ff_headers_get(&c->req->headers, "Metadata-Flavor"), "Google") ||
		ff_headers_get(&c->req->headers, "X-Forwarded-For") != NULL) {
		say(c, 403, "text/html; charset=UTF-8",
			ff_strdup("<title>Error 403 (Forbidden)!!1</title>Your client does not have permission to get "
				  "URL from this server. Missing Metadata-Flavor:Google header."));
	} else if (root) {
		say(c, 200, "application/text", ff_strdup("computeMetadata/\n"));
	} else if (ff_has_prefix(c->path, ACCOUNT)) {
		account(c, c->path + strlen(ACCOUNT));
	} else {
		value = ff_has_prefix(c->path, ROOT) ? value_of(c->gc, c->path + strlen(ROOT)) : NULL;
		if (value != NULL)
			say(c, 200, "application/text", value);
		else
			say(c, 404, "text/html; charset=UTF-8", ff_strdup("<title>Error 404 (Not Found)!!1</title>"));
	}
	return true;
}
