/*
 * Whose URL is a key vault's. A disk's record names where its key is, and the record can be written by everybody who
 * may write the disk: no token goes to a host that is not one of the cloud's own vaults, and what is asked is made anew
 * of the URL's parts.
 */
#include "azure.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES_MAX  1024
#define NAME_BYTES_MAX 127

static bool is_loopback(const char *url)
{
	ff_auto_free char *host = ff_url_hostname(url);
	struct in_addr v4;

	if (host == NULL)
		return false;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return ff_streq(host, "localhost") || ff_streq(host, "[::1]");
}

/* One label before the suffix: "fleetvault.vault.azure.net". */
static bool is_vault_host(const char *host, const char *suffix)
{
	size_t label = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return label > 0 && ff_streq(host + label, suffix);
}

bool azure_url_is_vault(const struct ff_cloud *cloud, const char *url)
{
	ff_auto_free char *theirs = azure_origin(url), *ours = azure_origin(cloud->arm);
	static const char https[] = "https://";

	if (theirs == NULL)
		return false;
	if (is_loopback(cloud->arm) && ff_streq(theirs, ours))
		return true;
	return ff_has_prefix(theirs, https) && is_vault_host(theirs + strlen(https), cloud->which->vault_suffix);
}

/* Letters, digits and dashes up to the next slash: a vault's names are of nothing else. Its length, or 0. */
static size_t segment(const char *p)
{
	size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return (p[len] == '/' || p[len] == '\0') && len <= NAME_BYTES_MAX ? len : 0;
}

char *azure_vault_url(const struct ff_cloud *cloud, const char *url, const char *kind)
{
	ff_auto_free char *origin = NULL, *name = NULL, *version = NULL;
	const char *p;
	size_t len;

	if (url == NULL || strlen(url) > URL_BYTES_MAX || !azure_url_is_vault(cloud, url))
		return NULL;
	p = strstr(url, "://") + 3;
	p += strcspn(p, "/?#");
	if (*p++ != '/' || strncasecmp(p, kind, strlen(kind)) != 0 || p[strlen(kind)] != '/')
		return NULL;
	p += strlen(kind) + 1;
	if ((len = segment(p)) == 0)
		return NULL;
	name = ff_strndup(p, len);
	p += len + (p[len] == '/');
	len = segment(p);
	version = ff_strndup(p, len);
	p += len + (p[len] == '/');
	if (*p != '\0')
		return NULL;
	origin = azure_origin(url);
	return ff_printf("%s/%s/%s%s%s", origin, kind, name, *version ? "/" : "", version);
}
