/*
 * Asks and answers: how everything that is not the outside speaks to the outside.
 *
 * Providers do no I/O. They fill an ask ("send this request", "read this file", "run this program") and are later
 * handed its answer. The engine decides when an ask goes out and how often; engine/runtime (or the simulation) carries
 * it out.
 */
#ifndef FIXFLEET_ASK_H
#define FIXFLEET_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"
#include "fixfleet/mem.h"

struct ff_headers {
	struct ff_header {
		char *name, *value;
	} * items;
	size_t count;
};

/** Append a header; both texts are copied. A second header of the same name is a second entry. */
void ff_headers_add(struct ff_headers *h, const char *name, const char *value);
/** Replace all headers of that name (any case) by this one. */
void ff_headers_set(struct ff_headers *h, const char *name, const char *value);
/** The first value of that name, any case; NULL when absent. Borrowed. */
const char *ff_headers_get(const struct ff_headers *h, const char *name);
/** Overwrites values before freeing: they may hold tokens. */
void ff_headers_free(struct ff_headers *h);

enum ff_ask_kind {
	FF_ASK_HTTP, /* method, url, headers, body */
	FF_ASK_FILE, /* read the file `path`; answer.status 0, or errno */
	FF_ASK_EXEC, /* run argv (no shell, `body` on stdin, stderr kept out); answer.status is the exit status, body
			its stdout */
};

/*
 * A token bucket that the ask draws on: `key` names it ("azure/SUB/UpdateVM", "azure/vm/ID/UpdateVM"); capacity and
 * refill are what the cloud documents, the engine learns the rest.
 */
struct ff_cost {
	char *key;
	double capacity, refill_per_s;
};
#define FF_COSTS_MAX 3

/* All pointers are owned by the ask; ff_ask_release() frees them. All zero is an empty ask. */
struct ff_ask {
	enum ff_ask_kind kind;
	char *method, *url; /* HTTP; url absolute, already encoded, sent as it is */
	struct ff_headers headers;
	char *body; /* of HTTP and EXEC; NULL: none. POST, PUT and PATCH without one are sent with Content-Length: 0 */
	size_t body_len;
	char *ca_file;	     /* HTTP: trust these certificates; NULL: those of the environment. --ca-file goes first */
	char *path;	     /* FILE */
	struct ff_strv argv; /* EXEC */
	unsigned timeout_ms; /* whole exchange; 0: the runtime's default of 60 s */
	size_t answer_bytes_max; /* 0: the default of 64 MiB */
	bool secret;		 /* never log bodies of ask or answer; wipe them */
	bool direct;		 /* no proxy: metadata services */
	bool optional;		 /* discovery goes on without it: its asker hears of it, too, when no answer comes */
	bool held;    /* the other side keeps its answer back until something has happened, for minutes perhaps: it must
			 not keep others waiting for a connection */
	bool mutates; /* changes something in the cloud: its intent must be durable first, and it is never repeated
			 blindly */
	struct ff_cost costs[FF_COSTS_MAX];
	size_t cost_count;
	int tag;	/* the asker's own note: which of its questions this is */
	void *tag_data; /* the asker's own, borrowed, not freed */
};

void ff_ask_release(struct ff_ask *ask);
/** Fill an HTTP ask: method and url (printf-like) copied; the rest zero. */
void ff_ask_http(struct ff_ask *ask, const char *method, const char *url_fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Say that the ask draws one token of that bucket. At most FF_COSTS_MAX; `key` is copied. */
void ff_ask_cost(struct ff_ask *ask, const char *key, double capacity, double refill_per_s);
/** Content-Type header and body; the body is freed with the ask (wiped when ask->secret). */
void ff_ask_body(struct ff_ask *ask, const char *content_type, char *body_owned);

/* How far an exchange got. */
enum ff_transport {
	FF_T_OK,	/* an answer is there (whatever its status) */
	FF_T_NOT_SENT,	/* surely without effect: no name, refused, no route, TLS not established */
	FF_T_UNTRUSTED, /* the certificate is not trusted or the name does not match: never retried */
	FF_T_BROKEN,	/* the connection broke or timed out after (part of) the request left: the effect is unknown */
	FF_T_TOO_LARGE, /* the answer passed answer_bytes_max: the effect is unknown */
	FF_T_LOCAL,	/* this machine could not do it (program or file missing: status holds errno) */
};

struct ff_answer {
	enum ff_transport transport;
	char why[256]; /* for the person, when transport is not FF_T_OK */
	int status;    /* HTTP status, exit status, errno */
	struct ff_headers headers;
	char *body; /* owned; NUL-terminated beyond body_len; may be NULL when empty */
	size_t body_len;
};

void ff_answer_release(struct ff_answer *answer, bool secret);

/* ---- URLs */

/** "host" or "host:port" of an absolute http(s) URL, lower case; userinfo is refused. NULL when it is no such URL. The
 * caller frees. */
char *ff_url_host(const char *url);
/** The same without the port; brackets of an IPv6 address stay. */
char *ff_url_hostname(const char *url);
/**
 * May credentials be sent there? https always; http only to loopback, and to the link-local metadata addresses
 * (169.254.0.0/16, fd00:ec2::254, metadata.google.internal). 0, or -1 with FF_E_USAGE naming the URL.
 */
int ff_url_check(const char *url, struct ff_err *err);

#endif
