/* What identity.c (which source, what to ask) and token.c (what was answered) share. */
#ifndef FIXFLEET_AZURE_IDENTITY_H
#define FIXFLEET_AZURE_IDENTITY_H

#include "azure.h"

#define AZURE_IDENTITY_BYTES_MAX (1u << 20) /* of an answer */

/* A token; text NULL: none. */
struct azure_token {
	char *text;
	int64_t renew_at;
};

enum azure_source { SECRET, CERTIFICATE, WORKLOAD, MANAGED, CLI, SOURCE_COUNT };

struct azure_login {
	char *tenant, *client, *secret, *certificate, *password, *token_file;
	char *imds, *app_endpoint, *app_header;

	enum azure_source source; /* the one being asked; once it gave a token it stays */
	bool chosen;
	bool asked;				      /* an answer is awaited */
	char *assertion;			      /* the JWT to send next; NULL: the file is to be read first */
	struct azure_token tokens[AZ_AUDIENCE_COUNT]; /* all but AZ_FOR_ARM are asked for when they are needed */
	bool instance_asked;
	struct ff_buf tried; /* "client secret: ...; az: not installed" */
	struct ff_err failed;
};

/** Overwrite, free, forget. */
void azure_drop_secret(char **text);
/** The token endpoint's URL. The caller frees. */
char *azure_token_url(const struct ff_cloud *cloud);
/**
 * Ask the chosen source for a token. `assertion` is the JWT of a certificate or a federated token: where it is NULL and
 * one is needed, its file is asked for.
 */
void azure_source_ask(
	const struct ff_cloud *cloud, enum azure_audience audience, const char *assertion, struct ff_ask *ask);

/* What a source answered: a token and for how long, or why there is none. */
struct azure_grant {
	char *token; /* owned */
	int64_t life_ms;
	char *why;   /* owned; NULL: there is a token */
	bool absent; /* the source is not there at all */
};
void azure_grant_release(struct azure_grant *grant);
/** `tag` is the question's: AZ_Q_TOKEN, AZ_Q_IMDS or AZ_Q_CLI. Release in any case. */
void azure_grant_read(const struct azure_login *l, int tag, int64_t wall_ms, const struct ff_answer *answer,
	struct azure_grant *grant);
/** The assertion that a file's answer makes; owned; NULL with `*why` (owned). */
char *azure_file_assertion(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_answer *answer, char **why);
/** Keep a token; it is renewed five minutes before its end, or at half of a short life. */
void azure_token_keep(struct azure_token *token, int64_t wall_ms, struct azure_grant *grant);

/** The current source does not work, and the operator meant it: nothing further is tried. */
void azure_login_refuse(struct azure_login *l, const char *why);

#endif
