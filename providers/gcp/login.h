/* The identity's state, shared by identity.c, settings.c, credential.c and external.c. */
#ifndef GCP_LOGIN_H
#define GCP_LOGIN_H

#include "gcp.h"

#define GCP_HOPS_MAX	     4 /* impersonations, one after the other */
#define GCP_TOKEN_BYTES	     (64u << 10)
#define GCP_CREDENTIAL_BYTES (1u << 20)
#define GCP_SCOPE	     "https://www.googleapis.com/auth/cloud-platform"

/* What the next ask of the login is; also its tag. */
enum gcp_stage {
	GCP_L_BEGIN = 0,
	GCP_L_TOKEN_FILE, /* CLOUDSDK_AUTH_ACCESS_TOKEN_FILE */
	GCP_L_ENV,	  /* GOOGLE_APPLICATION_CREDENTIALS */
	GCP_L_WELL_KNOWN, /* application_default_credentials.json */
	GCP_L_PING,	  /* is there a metadata server? */
	GCP_L_METADATA,
	GCP_L_CACHED, /* external account: an executable's output_file */
	GCP_L_SUBJECT,
	GCP_L_EXCHANGE, /* the credential's own token */
	GCP_L_HOP,	/* impersonation */
	GCP_L_DONE,
	GCP_L_FAILED,
};

struct gcp_login {
	/* settings, from the environment */
	char *token_file, *env_file, *well_known, *metadata_host, *metadata_ip, *quota_setting;
	bool metadata_named, allow_executables;
	/* where it stands */
	enum gcp_stage stage;
	struct ff_strv tried;
	struct ff_err error; /* of a login that failed */
	char *name;	     /* the source that is used */
	/* the credential file, while one is used */
	json_t *file;			  /* owned, wiped */
	const json_t *leaf;		  /* in it: the credential that needs no other */
	const json_t *hops[GCP_HOPS_MAX]; /* in it: what impersonates, innermost first */
	size_t hop_count, hop;
	char *universe;
	char *subject; /* external account: the token to be exchanged */
	char *rotated; /* a new refresh token that the server gave */
	/* the result */
	char *token, *quota;
	int64_t obtained_ms, expires_ms;
};

/** The login ends: FF_E_AUTH with this text after "no GCP credential worked". Returns -1. */
int gcp_login_refuse(struct gcp_login *login, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- credential.c */

/**
 * Take a credential file: its type, what it impersonates with, its universe; sets the stage. Steals `file`.
 * 0, or -1 with err (FF_E_AUTH).
 */
int gcp_credential_take(struct gcp_login *login, json_t *file, bool overridden, struct ff_err *err);
/** Fill the request of GCP_L_EXCHANGE or GCP_L_HOP. 0, or -1 with err. */
int gcp_exchange_ask(struct gcp_login *login, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err);
int gcp_hop_ask(struct gcp_login *login, struct ff_ask *ask, struct ff_err *err);
/** May secrets be sent to this token endpoint? https at Google or the file's universe, or this machine. */
int gcp_token_url_check(const char *url, const char *universe, struct ff_err *err);

/* ---- external.c */

/** What an external account asks first. 0 with login->stage set, or -1 with err. */
int gcp_external_begin(struct gcp_login *login, struct ff_err *err);
/** Fill the request of GCP_L_CACHED or GCP_L_SUBJECT. */
int gcp_external_ask(struct gcp_login *login, struct ff_ask *ask, struct ff_err *err);
/** Read its answer: the subject token, or on to the next stage. */
int gcp_external_read(struct gcp_login *login, int64_t wall_ms, const struct ff_answer *answer, struct ff_err *err);

#endif
