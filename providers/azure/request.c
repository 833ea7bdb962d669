/* Resource ids, URLs, and what each request costs. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- ids */

/* One segment that may stand in a URL's path. Names of groups may hold any letter, so non-ASCII bytes are left. */
static bool segment_ok(const char *s, size_t len)
{
	if (len == 0 || len > 360 || (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= ' ' || c == 0x7f || strchr("\\?#%&<>\"'`*:;|", c) != NULL)
			return false;
	}
	return true;
}

/* The i-th segment of "/a/b/c": start and length. */
static const char *segment(const char *text, int index, size_t *len)
{
	for (; index >= 0; index--) {
		if (*text != '/')
			return NULL;
		text++;
		*len = strcspn(text, "/");
		if (!segment_ok(text, *len))
			return NULL;
		if (index == 0)
			return text;
		text += *len;
	}
	return NULL;
}

static char *segment_dup(const char *text, int index)
{
	size_t len = 0;
	const char *s = segment(text, index, &len);

	return s ? ff_strndup(s, len) : NULL;
}

static bool segment_is(const char *text, int index, const char *word)
{
	ff_auto_free char *s = segment_dup(text, index);

	return ff_strcaseeq(s, word);
}

int azure_id_parse(const char *text, struct azure_id *id)
{
	const char *last;
	size_t len = 0;

	*id = (struct azure_id){0};
	if (text == NULL || !segment_is(text, 0, "subscriptions") || !segment_is(text, 2, "resourceGroups") ||
		!segment_is(text, 4, "providers") || !segment_is(text, 5, "Microsoft.Compute"))
		return -1;
	last = segment(text, 7, &len);
	if (last == NULL || last[len] != '\0')
		return -1;
	id->subscription = segment_dup(text, 1);
	id->group = segment_dup(text, 3);
	id->type = segment_dup(text, 6);
	id->name = segment_dup(text, 7);
	return 0;
}

void azure_id_release(struct azure_id *id)
{
	free(id->subscription);
	free(id->group);
	free(id->type);
	free(id->name);
	*id = (struct azure_id){0};
}

const char *azure_id_name(const char *id)
{
	const char *slash = id ? strrchr(id, '/') : NULL;

	return slash ? slash + 1 : id ? id : "";
}

char *azure_lower(const char *text)
{
	char *copy = ff_strdup(text ? text : "");

	for (char *p = copy; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	return copy;
}

bool azure_id_within(const char *id, const char *scope)
{
	size_t len = strlen(scope);
	ff_auto_free char *head = NULL;

	while (len > 0 && scope[len - 1] == '/')
		len--;
	if (len == 0 || strlen(id) < len || (id[len] != '/' && id[len] != '\0'))
		return false;
	head = ff_strndup(id, len);
	return strncasecmp(head, scope, len) == 0;
}

/* ---------------------------------------------------------------- asks */

int azure_ask_resource(const struct ff_cloud *cloud, struct ff_ask *ask, const char *method, const char *id,
	const char *tail, const char *api, struct ff_err *err)
{
	struct azure_id parts;
	ff_auto_free char *sub = NULL, *group = NULL, *type = NULL, *name = NULL;

	if (azure_id_parse(id, &parts) < 0)
		return ff_fail(err, FF_E_BUG, "'%.200s' is not the id of a compute resource", id ? id : "");
	sub = ff_percent_encode(parts.subscription);
	group = ff_percent_encode(parts.group);
	type = ff_percent_encode(parts.type);
	name = ff_percent_encode(parts.name);
	azure_id_release(&parts);
	ff_ask_http(ask, method,
		"%s/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/%s/%s%sapi-version=%s", cloud->arm,
		sub, group, type, name, tail, api);
	return 0;
}

void azure_ask_json(struct ff_ask *ask, json_t *body, const char *if_match)
{
	ff_ask_body(ask, "application/json", ff_json_text(body));
	json_decref(body);
	if (if_match != NULL)
		ff_headers_set(&ask->headers, "If-Match", if_match);
}

/* ---------------------------------------------------------------- costs */

/*
 * MicrosoftDocs/azure-compute-docs articles/virtual-machines/compute-throttling-limits.md: buckets and refill a minute,
 * per region. Disks: the lowest maxima seen in x-ms-ratelimit-remaining-resource, over three minutes.
 */
static const struct {
	const char *group; /* as x-ms-ratelimit-remaining-resource spells it */
	double vm_capacity, vm_per_min;
	double capacity, per_min;
	const char *part; /* disks have their own counts under the same names */
	const char *vm_group;
} costs[] = {
	[AZ_COST_UPDATE_VM] = {"UpdateVM", 12, 4, 1500, 500, "", "UpdateVM"},
	[AZ_COST_PATCH_VM] = {"PutVM", 12, 4, 1500, 500, "", "UpdateVM"},
	[AZ_COST_DELETE_VM] = {"DeleteVM", 12, 4, 1500, 500, "", "DeleteVM"},
	[AZ_COST_GET_VM] = {"LowCostGet", 36, 12, 24000, 8000, "", "LowCostGet"},
	[AZ_COST_LIST] = {"HighCostGet", 0, 0, 900, 300, "", NULL},
	[AZ_COST_POLL_VM] = {"GetOperation", 45, 15, 15000, 5000, "", "GetOperation"},
	[AZ_COST_POLL_DISK] = {"GetOperation", 0, 0, 50000, 16666, "disks/", NULL},
	[AZ_COST_GET_DISK] = {"LowCostGet", 0, 0, 15000, 5000, "disks/", NULL},
	[AZ_COST_PUT_DISK] = {"CreateUpdateDisks", 0, 0, 1000, 333, "disks/", NULL},
	[AZ_COST_DELETE_DISK] = {"DeleteDisks", 0, 0, 3000, 1000, "disks/", NULL},
};

void azure_cost(
	const struct ff_cloud *cloud, struct ff_ask *ask, enum azure_cost cost, const char *region, const char *vm_id)
{
	ff_auto_free char *place = azure_lower(region), *key = NULL;
	ff_auto_free char *sub = azure_lower(cloud->subscription);

	key = ff_printf("azure/%s/%s%s%s%s", sub, place, *place ? "/" : "", costs[cost].part, costs[cost].group);
	ff_ask_cost(ask, key, costs[cost].capacity, costs[cost].per_min / 60);
	if (vm_id != NULL && costs[cost].vm_group != NULL) {
		ff_auto_free char *id = azure_lower(vm_id);
		ff_auto_free char *vm_key = ff_printf("azure/vm%s/%s", id, costs[cost].vm_group);

		ff_ask_cost(ask, vm_key, costs[cost].vm_capacity, costs[cost].vm_per_min / 60);
	}
}
