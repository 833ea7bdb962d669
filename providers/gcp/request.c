/* Resource paths, URLs and what each request costs. */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- paths */

/* What names and project ids ("example.com:name") are made of. A segment of dots alone would climb. */
static bool segment_ok(const char *p, size_t len)
{
	bool dots = true;

	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			    c == '_' || c == '.' || c == ':'))
			return false;
		dots = dots && c == '.';
	}
	return len > 0 && !dots;
}

static const char *projects_in(const char *url)
{
	if (url == NULL || ff_has_prefix(url, "projects/"))
		return url;
	url = strstr(url, "/projects/");
	return url ? url + 1 : NULL;
}

char *gcp_path(const char *url)
{
	const char *path = projects_in(url), *p = path;

	while (p != NULL) {
		size_t len = strcspn(p, "/");

		if (!segment_ok(p, len))
			return NULL;
		p = p[len] == '/' ? p + len + 1 : NULL;
	}
	return path ? ff_strdup(path) : NULL;
}

bool gcp_same(const char *a, const char *b)
{
	const char *x = projects_in(a), *y = projects_in(b);

	return x != NULL && y != NULL && strcmp(x, y) == 0;
}

const char *gcp_last(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "";
}

char *gcp_segment(const char *path, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = path; p != NULL && *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == len && strncmp(p, key, len) == 0 && p[n] == '/' && p[n + 1] != '\0')
			return ff_strndup(p + n + 1, strcspn(p + n + 1, "/"));
		p = p[n] == '/' ? p + n + 1 : NULL;
	}
	return NULL;
}

char *gcp_region(const char *zone)
{
	const char *dash = strrchr(zone, '-');

	return dash ? ff_strndup(zone, (size_t)(dash - zone)) : ff_strdup(zone);
}

bool gcp_is_name(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len > GCP_NAME_MAX || text[0] < 'a' || text[0] > 'z' || text[len - 1] == '-')
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* ---------------------------------------------------------------- asks */

/*
 * Quotas count per project, region and class, 1500 a minute by default, and refill at the start of a minute that is the
 * same for all (section 7 of the facts). A bucket that never passes 1500 in any minute holds 120 and refills 23 a
 * second. The numbers of the regional, serial-port and snapshot groups are UNVERIFIED; the engine learns.
 */
#define BURST 120
#define PER_S 23

static const char *const cost_names[] = {
	[GCP_READ] = "read",
	[GCP_LIST] = "list",
	[GCP_MUTATE] = "mutate",
	[GCP_OPERATION] = "operation",
	[GCP_SERIAL] = "serial",
};

void gcp_ask(const struct ff_cloud *cloud, struct ff_ask *ask, enum gcp_cost cost, const char *method, const char *path,
	const char *tail)
{
	ff_auto_free char *zone = gcp_segment(path, "zones");
	ff_auto_free char *region = zone ? gcp_region(zone) : gcp_segment(path, "regions");
	ff_auto_free char *key =
		ff_printf("gcp/%s/%s/%s", cloud->project, region ? region : "global", cost_names[cost]);

	ff_ask_http(ask, method, "%s%s%s", cloud->base, path, tail);
	ff_headers_set(&ask->headers, "Accept", "application/json");
	ask->answer_bytes_max = GCP_ANSWER_BYTES;
	ff_ask_cost(ask, key, BURST, PER_S);
}

/*
 * Operations on one VM queue up; beyond some number the cloud answers 403 "Too many pending operations on a resource.",
 * rateLimitExceeded (kubernetes-sigs/gcp-compute-persistent-disk-csi-driver#1129). The number is not published.
 */
void gcp_cost_instance(struct ff_ask *ask, const char *path)
{
	ff_auto_free char *key = ff_printf("gcp/%s/pending", path);

	ff_ask_cost(ask, key, 16, 4);
}

/* Six an hour: cloud.google.com/compute/docs/disks/create-snapshots. */
void gcp_cost_snapshot(struct ff_ask *ask, const char *path)
{
	ff_auto_free char *key = ff_printf("gcp/%s/snapshots", path);

	ff_ask_cost(ask, key, 6, 6 / 3600.0);
}

void gcp_ask_json(struct ff_ask *ask, json_t *body)
{
	ff_ask_body(ask, "application/json", ff_json_text(body));
	if (ask->secret)
		gcp_json_wipe(body);
	else
		json_decref(body);
}

void gcp_json_wipe(json_t *j)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_string(j))
		ff_wipe((char *)json_string_value(j), json_string_length(j));
	json_array_foreach (j, i, value)
		gcp_json_wipe(json_incref(value));
	json_object_foreach (j, key, value)
		gcp_json_wipe(json_incref(value));
	json_decref(j);
}
