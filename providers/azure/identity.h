/* What identity.c (which source, what to ask) and token.c (what was answered) share. */
#ifndef FIXFLEET_AZURE_IDENTITY_H
#define FIXFLEET_AZURE_IDENTITY_H

#include "azure.h"

#define AZURE_IDENTITY_BYTES_MAX (1u << 20) /* of an answer */

enum azure_source { SECRET, CERTIFICATE, WORKLOAD, MANAGED, CLI, SOURCE_COUNT };

struct azure_login {
	char *tenant, *client, *secret, *certificate, *password, *token_file;
	char *imds, *app_endpoint, *app_header;

	enum azure_source source; /* the one being asked; once it gave a token it stays */
	bool chosen;
	bool asked;	 /* an answer is awaited */
	char *assertion; /* the JWT to send next; NULL: the file is to be read first */
	char *token;
	int64_t renew_at;
	bool instance_asked;
	struct ff_buf tried; /* "client secret: ...; az: not installed" */
	struct ff_err failed;
};

/** Overwrite, free, forget. */
void azure_drop_secret(char **text);
/** The token endpoint's URL. The caller frees. */
char *azure_token_url(const struct ff_cloud *cloud);
/** The current source does not work, and the operator meant it: nothing further is tried. */
void azure_login_refuse(struct azure_login *l, const char *why);

#endif
