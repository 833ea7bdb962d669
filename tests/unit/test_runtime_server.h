/*
 * Servers on the loopback for the tests of the runtime: plain sockets that misbehave as told, and real TLS.
 */
#ifndef TEST_RUNTIME_SERVER_H
#define TEST_RUNTIME_SERVER_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixfleet/mem.h"

struct server;
/* Answer the request number `n` (from 1) of a connection. false: close the connection after. */
typedef bool serve_fn(struct server *server, int fd, unsigned connection, unsigned n);

struct server {
	int listening;
	unsigned port;
	serve_fn *serve;
	atomic_uint connections, requests, open, open_most;
	pthread_mutex_t lock;
	char request[2 * 1024 * 1024]; /* the last one, head and body */
	pthread_t thread;
};

struct connection {
	struct server *server;
	int fd;
	unsigned number;
};

/* Reads one request whole. false: the connection ended. */
static bool read_request(struct server *s, int fd)
{
	char text[sizeof(s->request)];
	size_t len = 0;

	text[0] = '\0';
	for (;;) {
		char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
		size_t head = body ? (size_t)(body - text) + 4 : 0;
		ssize_t n;

		if (body != NULL && len >= head + (length ? strtoul(length + 17, NULL, 10) : 0))
			break;
		n = recv(fd, text + len, sizeof(text) - len - 1, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
	}
	pthread_mutex_lock(&s->lock);
	memcpy(s->request, text, len + 1);
	pthread_mutex_unlock(&s->lock);
	atomic_fetch_add(&s->requests, 1);
	return true;
}

static void *serve_connection(void *arg)
{
	struct connection c = *(struct connection *)arg;
	unsigned n = 0, now = atomic_fetch_add(&c.server->open, 1) + 1, most = atomic_load(&c.server->open_most);

	free(arg);
	while (now > most && !atomic_compare_exchange_weak(&c.server->open_most, &most, now))
		;
	while (read_request(c.server, c.fd) && c.server->serve(c.server, c.fd, c.number, ++n))
		;
	atomic_fetch_sub(&c.server->open, 1);
	close(c.fd);
	return NULL;
}

static void *serve_all(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->listening, NULL, NULL)) >= 0) {
		struct connection *c = ff_calloc(1, sizeof(*c));
		pthread_t thread;

		*c = (struct connection){.server = s, .fd = fd, .number = atomic_fetch_add(&s->connections, 1) + 1};
		cr_assert_eq(pthread_create(&thread, NULL, serve_connection, c), 0);
		pthread_detach(thread);
	}
	return NULL;
}

/* Listens on a free port of 127.0.0.1; `serve` NULL: accepts nobody. */
static void server_start(struct server *s, serve_fn *serve)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	memset(s, 0, sizeof(*s));
	s->serve = serve;
	pthread_mutex_init(&s->lock, NULL);
	s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(s->listening, 0);
	cr_assert_eq(bind(s->listening, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(s->listening, 128), 0);
	cr_assert_eq(getsockname(s->listening, (struct sockaddr *)&address, &len), 0);
	s->port = ntohs(address.sin_port);
	if (serve != NULL)
		cr_assert_eq(pthread_create(&s->thread, NULL, serve_all, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->listening, SHUT_RDWR);
	if (s->serve != NULL)
		pthread_join(s->thread, NULL);
	close(s->listening);
}

static void send_text(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The next close() tells the other side by a reset. */
static void reset_on_close(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* ---------------------------------------------------------------- a certificate */

static char *bio_text(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	char *text = ff_strndup(data, (size_t)len);

	BIO_free(bio);
	return text;
}

/* A certificate that signs itself for `names` ("DNS:localhost,IP:127.0.0.1"), and its key, as PEM. The caller frees. */
static void make_certificate(const char *names, char **cert_pem, char **key_pem)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509V3_CTX context;
	X509_EXTENSION *extension;
	BIO *bio;

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(
		X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
	cr_assert_not_null(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	cr_assert_gt(X509_sign(cert, key, EVP_sha256()), 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, cert);
	*cert_pem = bio_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	*key_pem = bio_text(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
}

#endif
