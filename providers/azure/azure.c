/* The Azure provider: its table, what opens and closes it, and whose URL may see the token. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

/* First is the default. */
static const struct azure_cloud clouds[] = {
	{"public", "https://management.azure.com", "https://login.microsoftonline.com",
		{"https://management.azure.com/", "https://vault.azure.net", "https://graph.microsoft.com"},
		".vault.azure.net", "https://graph.microsoft.com"},
	{"usgov", "https://management.usgovcloudapi.net", "https://login.microsoftonline.us",
		{"https://management.usgovcloudapi.net/", "https://vault.usgovcloudapi.net",
			"https://graph.microsoft.us"},
		".vault.usgovcloudapi.net", "https://graph.microsoft.us"},
	{"china", "https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn",
		{"https://management.chinacloudapi.cn/", "https://vault.azure.cn",
			"https://microsoftgraph.chinacloudapi.cn"},
		".vault.azure.cn", "https://microsoftgraph.chinacloudapi.cn"},
};

bool azure_is_guid(const char *text)
{
	if (text == NULL || strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- opening */

static const struct azure_cloud *cloud_by_name(const char *name, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(name);

	if (name == NULL)
		return &clouds[0];
	for (size_t i = 0; i < FF_COUNT(clouds); i++)
		if (ff_streq(clouds[i].name, name))
			return &clouds[i];
	ff_fail(err, FF_E_USAGE, "azure: no cloud '%s': give public, usgov or china", clean);
	return NULL;
}

/* An endpoint from the environment, or the cloud's own; without slashes at its end. NULL with err. */
static char *endpoint(const struct ff_env *env, const char *variable, const char *own, struct ff_err *err)
{
	const char *value = env->get(env->self, variable);
	char *url = ff_strdup(value ? value : own);
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		url[--len] = '\0';
	if (ff_url_check(url, err) < 0) {
		ff_wrap(err, "%s", variable);
		free(url);
		return NULL;
	}
	if (strpbrk(url, "?#") != NULL) {
		ff_fail(err, FF_E_USAGE, "%s: '%s' has a query", variable, url);
		free(url);
		return NULL;
	}
	return url;
}

/* Resource groups: up to 90 letters, digits and ._-(), not ending in a full stop. Letters may be any script's. */
static int check_group(const char *name, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(name);
	size_t len = strlen(name), letters = 0;
	bool good = len > 0 && name[len - 1] != '.';

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool ascii = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!ascii && c < 0x80 && strchr("._-()", c) == NULL)
			good = false;
		if ((c & 0xc0) != 0x80)
			letters++;
	}
	if (!good || letters > 90)
		return ff_fail(err, FF_E_USAGE, "azure: '%s' cannot be the name of a resource group", clean);
	return 0;
}

static int check_scope(const struct ff_scope_options *o, const char *subscription, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(subscription);

	if (o->subscription == NULL && o->groups.count == 0)
		return ff_fail(err, FF_E_USAGE, "azure: give --rg NAME or --subscription ID");
	if (subscription != NULL && !azure_is_guid(subscription))
		return ff_fail(err, FF_E_USAGE, "azure: '%s' is not a subscription id (a GUID)", clean);
	for (size_t i = 0; i < o->groups.count; i++)
		if (check_group(o->groups.items[i], err) < 0)
			return -1;
	return 0;
}

static void make_title(struct ff_cloud *cloud)
{
	struct ff_buf text = {0};

	ff_buf_addf(&text, "azure subscription %s", cloud->subscription ? cloud->subscription : "(of the identity)");
	for (size_t i = 0; i < cloud->groups.count; i++)
		ff_buf_addf(&text, ", resource group %s", cloud->groups.items[i]);
	free(cloud->title);
	cloud->title = ff_buf_take(&text);
}

void azure_set_subscription(struct ff_cloud *cloud, const char *subscription)
{
	free(cloud->subscription);
	cloud->subscription = ff_strdup(subscription);
	make_title(cloud);
}

static void copy_strings(struct ff_strv *to, const struct ff_strv *from, bool unique)
{
	for (size_t i = 0; i < from->count; i++) {
		bool there = false;

		for (size_t k = 0; unique && k < to->count; k++)
			there = there || ff_strcaseeq(to->items[k], from->items[i]);
		if (!there)
			ff_strv_add(to, from->items[i]);
	}
}

static void azure_close(struct ff_cloud *cloud)
{
	if (cloud == NULL)
		return;
	azure_login_free(cloud->login);
	azure_found_free(cloud->found);
	ff_strv_free(&cloud->groups);
	ff_strv_free(&cloud->rescues);
	free(cloud->title);
	free(cloud->arm);
	free(cloud->authority);
	free(cloud->graph);
	free(cloud->subscription);
	free(cloud);
}

static struct ff_cloud *azure_open(const struct ff_scope_options *o, const struct ff_env *env, struct ff_err *err)
{
	const char *subscription = o->subscription ? o->subscription : env->get(env->self, "AZURE_SUBSCRIPTION_ID");
	const struct azure_cloud *which = cloud_by_name(o->cloud, err);
	struct ff_cloud *cloud;

	if (which == NULL || check_scope(o, subscription, err) < 0)
		return NULL;
	cloud = ff_calloc(1, sizeof(*cloud));
	cloud->which = which;
	cloud->allow_deallocate = o->allow_deallocate;
	cloud->key_graph = o->key_graph;
	copy_strings(&cloud->groups, &o->groups, true);
	copy_strings(&cloud->rescues, &o->rescues, true);
	cloud->found = azure_found_new(o->take_over, o->run);
	azure_set_subscription(cloud, subscription);
	if ((cloud->arm = endpoint(env, "AZURE_RESOURCE_MANAGER_ENDPOINT", which->arm, err)) == NULL ||
		(cloud->authority = endpoint(env, "AZURE_AUTHORITY_HOST", which->authority, err)) == NULL ||
		(cloud->graph = endpoint(env, "AZURE_GRAPH_ENDPOINT", which->graph, err)) == NULL ||
		(cloud->login = azure_login_new(env, err)) == NULL) {
		ff_wrap(err, "azure");
		azure_close(cloud);
		return NULL;
	}
	return cloud;
}

static const char *azure_title(const struct ff_cloud *cloud)
{
	return cloud->title;
}

static const char *azure_account(const struct ff_cloud *cloud)
{
	return cloud->subscription;
}

/* ---------------------------------------------------------------- signing */

char *azure_origin(const char *url)
{
	ff_auto_free char *host = ff_url_host(url);
	bool https;
	char *port;

	if (host == NULL)
		return NULL;
	https = strncasecmp(url, "https:", 6) == 0;
	port = strrchr(host, ':');
	if (port != NULL && ff_streq(port, https ? ":443" : ":80"))
		*port = '\0';
	return ff_printf("%s://%s", https ? "https" : "http", host);
}

/* Same scheme, host and port, and nothing in the URL that two readers would read in two ways? */
static bool same_origin(const char *url, const char *endpoint_url)
{
	ff_auto_free char *theirs = azure_origin(url), *ours = azure_origin(endpoint_url);

	for (const char *p = url; p != NULL && *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return theirs != NULL && ff_streq(theirs, ours);
}

bool azure_url_is_arm(const struct ff_cloud *cloud, const char *url)
{
	return same_origin(url, cloud->arm);
}

bool azure_url_is_graph(const struct ff_cloud *cloud, const char *url)
{
	return same_origin(url, cloud->graph);
}

/* Each token goes to those whom it is for, and to nobody else. */
static const struct {
	const char *name;
	bool (*owns)(const struct ff_cloud *cloud, const char *url);
} receivers[AZ_AUDIENCE_COUNT] = {
	[AZ_FOR_ARM] = {"Resource Manager", azure_url_is_arm},
	[AZ_FOR_VAULT] = {"a key vault of this cloud", azure_url_is_vault},
	[AZ_FOR_GRAPH] = {"Microsoft Graph", azure_url_is_graph},
};

static int azure_sign(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	enum azure_audience whom = ask->tag == AZ_Q_VAULT   ? AZ_FOR_VAULT
				   : ask->tag == AZ_Q_GRAPH ? AZ_FOR_GRAPH
							    : AZ_FOR_ARM;
	const char *token = azure_login_token(cloud, whom);
	char *bearer;

	(void)wall_ms;
	if (ask->kind != FF_ASK_HTTP || !receivers[whom].owns(cloud, ask->url))
		return ff_fail(err, FF_E_BUG, "'%.200s' is not %s: the token is not sent there",
			ask->url ? ask->url : "", receivers[whom].name);
	if (token == NULL)
		return ff_fail(err, FF_E_AUTH, "not signed in");
	bearer = ff_printf("Bearer %s", token);
	ff_headers_set(&ask->headers, "Authorization", bearer);
	ff_headers_set(&ask->headers, "Accept", "application/json");
	ff_free_secret(bearer);
	return 0;
}

const struct ff_provider ff_azure = {
	.name = "azure",
	.open = azure_open,
	.close = azure_close,
	.title = azure_title,
	.account = azure_account,
	.login_next = azure_login_next,
	.login_read = azure_login_read,
	.login_reset = azure_login_reset,
	.login_renew_at = azure_login_renew_at,
	.login_name = azure_login_name,
	.sign = azure_sign,
	.judge = azure_judge,
	.discover_next = azure_discover_next,
	.discover_read = azure_discover_read,
	.vms = azure_vms,
	.notes = azure_notes,
	.evidence_ask = azure_evidence_ask,
	.evidence_read = azure_evidence_read,
	.fits = azure_fits,
	.steps = azure_steps,
	.step_count = AZ_STEP_COUNT,
	.forward = azure_forward,
	.rollback = azure_rollback,
	.cleanup = azure_cleanup,
	.recover = azure_recover,
	.recall = azure_recall,
	.poll = azure_poll,
	.polled = azure_polled,
	.key_stores = azure_key_stores,
	.place = azure_place,
	.where = azure_where,
	.by_hand = azure_by_hand,
};
