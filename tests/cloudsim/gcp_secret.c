/* Secret Manager, as far as keys of disks need it: the latest version of a secret of the project. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

bool gc_secret(struct gc_call *c)
{
	ff_auto_free char *head = ff_printf("/v1/projects/%s/secrets/", c->gc->project), *name = NULL, *data = NULL;
	ff_auto_free char *resource = NULL;
	static const char tail[] = "/versions/latest:access";
	const char *text;

	if (!ff_has_prefix(c->path, head) || !ff_has_suffix(c->path, tail))
		return false;
	name = ff_strndup(c->path + strlen(head), strlen(c->path) - strlen(head) - strlen(tail));
	resource = ff_printf("projects/%s/secrets/%s", c->gc->project, name);
	sim_count_request(c->sim, "gcp secret");
	if (gc_bearer(c) < 0 || gc_allowed(c, "secretmanager.versions.access", resource) < 0)
		return true;
	text = ff_json_str(c->gc->secrets, name);
	if (text == NULL) {
		gc_refuse(c, 404, "notFound", "Secret [%s] not found or has no versions.", resource);
		return true;
	}
	data = ff_base64(text, strlen(text));
	gc_reply(c, 200, json_pack("{s:s+, s:{s:s}}", "name", resource, "/versions/1", "payload", "data", data));
	return true;
}
