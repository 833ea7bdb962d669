/* Credentials from the container's and the instance's metadata services: plain http, link-local, never by a proxy. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define CONTAINER_HOST	"http://169.254.170.2"
#define CONTAINER_MS	2000
#define CONTAINER_TRIES 3
#define IMDS_MS		1000
#define BYTES_MAX	(64u << 10)

/* ---------------------------------------------------------------- container */

/* Where the container's token may be sent: https, this machine, and the two agents' addresses. */
static bool container_host_ok(const char *url)
{
	static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "[::1]"};
	ff_auto_free char *host = ff_url_hostname(url);

	if (host == NULL)
		return false;
	if (strncasecmp(url, "https:", 6) == 0 || ff_has_prefix(host, "127."))
		return ff_url_check(url, NULL) == 0;
	for (size_t i = 0; i < FF_COUNT(hosts); i++)
		if (ff_streq(host, hosts[i]))
			return true;
	return false;
}

static char *container_url(struct aws_login *login)
{
	char *const *env = login->settings.env;
	const char *relative = env[AWS_ENV_CONTAINER_RELATIVE], *full = env[AWS_ENV_CONTAINER_FULL];

	if (relative != NULL)
		return ff_printf(CONTAINER_HOST "%s%s", relative[0] == '/' ? "" : "/", relative);
	if (full != NULL && container_host_ok(full))
		return ff_strdup(full);
	aws_login_fail(login, "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this machine or the agent");
	return NULL;
}

int aws_container_ask(struct aws_login *login, struct ff_ask *ask)
{
	char *const *env = login->settings.env;
	const char *file = env[AWS_ENV_CONTAINER_TOKEN_FILE], *token = env[AWS_ENV_CONTAINER_TOKEN];
	ff_auto_free char *url = NULL;

	if (file != NULL && !login->container_token) {
		*ask = (struct ff_ask){.kind = FF_ASK_FILE,
			.path = ff_strdup(file),
			.answer_bytes_max = BYTES_MAX,
			.secret = true,
			.tag = AWS_TAG(AWS_STS, AWS_Q_TOKEN_FILE)};
		return 0;
	}
	token = file ? login->text : token;
	url = container_url(login);
	if (url == NULL)
		return -1;
	if (token != NULL && strpbrk(token, "\r\n") != NULL) {
		aws_login_fail(login, "container: its authorization token has a line break in it");
		return -1;
	}
	ff_ask_http(ask, "GET", "%s", url);
	ff_headers_set(&ask->headers, "Accept", "application/json");
	if (token != NULL)
		ff_headers_set(&ask->headers, "Authorization", token);
	ask->secret = ask->direct = true;
	ask->timeout_ms = CONTAINER_MS;
	ask->answer_bytes_max = BYTES_MAX;
	ask->tag = AWS_TAG(AWS_STS, AWS_Q_CONTAINER);
	return 0;
}

static void container_answer(struct aws_login *login, const struct ff_answer *answer)
{
	ff_auto_json json_t *j = NULL;

	if (answer->transport != FF_T_OK || answer->status >= 500) {
		if (++login->tries < CONTAINER_TRIES)
			return; /* asked again */
		aws_login_fail(login, "container: %s", answer->transport != FF_T_OK ? answer->why : "HTTP 5xx");
		return;
	}
	j = ff_json_parse(answer->body, answer->body_len, BYTES_MAX, NULL);
	if (answer->status != 200 ||
		!aws_login_take(login, j, "AccessKeyId", "SecretAccessKey", "Token", "Expiration")) {
		ff_auto_free char *message = ff_printable(ff_json_str(j, "message"));

		aws_login_fail(login, "container: HTTP %d, no credentials in it: %.200s", answer->status, message);
		return;
	}
	login->tries = 0;
	aws_login_have_source(login);
}

void aws_container_read(struct aws_login *login, const struct ff_ask *ask, const struct ff_answer *answer)
{
	if (AWS_TAG_QUESTION(ask->tag) == AWS_Q_CONTAINER) {
		container_answer(login, answer);
		return;
	}
	login->container_token = true;
	if (answer->transport != FF_T_OK)
		aws_login_fail(login, "container: %s", answer->why);
	else
		login->text = ff_strndup(answer->body ? answer->body : "", answer->body_len);
}

/* ---------------------------------------------------------------- instance */

bool aws_imds_wanted(const struct aws_login *login)
{
	return !aws_is_true(login->settings.env[AWS_ENV_IMDS_DISABLED]);
}

void aws_imds_ask(struct aws_login *login, struct ff_ask *ask, bool region)
{
	static const char keys[] = "/latest/meta-data/iam/security-credentials/";
	enum aws_question question = region ? AWS_Q_IMDS_REGION : login->text ? AWS_Q_IMDS_KEYS : AWS_Q_IMDS_ROLE;
	struct ff_err err = {0};

	if (login->imds == NULL)
		login->imds = aws_settings_imds(&login->settings, &err);
	if (login->imds == NULL) {
		aws_login_fail(login, "%s", err.text);
		return;
	}
	if (login->imds_token == NULL) {
		ff_ask_http(ask, "PUT", "%s/latest/api/token", login->imds);
		ff_headers_set(&ask->headers, "x-aws-ec2-metadata-token-ttl-seconds", "21600");
		question = AWS_Q_IMDS_TOKEN;
	} else {
		ff_ask_http(ask, "GET", "%s%s%s", login->imds, region ? "/latest/meta-data/placement/region" : keys,
			question == AWS_Q_IMDS_KEYS ? login->text : "");
		if (login->imds_token[0] != '\0')
			ff_headers_set(&ask->headers, "x-aws-ec2-metadata-token", login->imds_token);
	}
	ask->secret = ask->direct = true;
	ask->timeout_ms = IMDS_MS;
	ask->answer_bytes_max = BYTES_MAX;
	ask->tag = AWS_TAG(AWS_STS, question);
}

/* There is no such service, or no role: the source is not configured. */
static void imds_absent(struct ff_cloud *cloud, const char *why)
{
	struct aws_login *login = cloud->login;

	if (login->state == AWS_L_REGION) {
		aws_login_no_region(login);
		return;
	}
	ff_strv_addf(&login->plan.tried, "instance metadata (%s)", why);
	login->plan.source = AWS_FROM_NOWHERE;
}

/* The answer's first line, if it is fit to be sent back: no blanks, nothing that needs encoding. */
static char *plain_line(const struct ff_answer *answer)
{
	const char *text = answer->body ? answer->body : "";
	size_t len = strcspn(text, "\r\n");

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || strchr("/?#%\\\"<>", text[i]) != NULL)
			return NULL;
	return len > 0 && len <= 1024 ? ff_strndup(text, len) : NULL;
}

/* A session token may hold '/' and more; it only goes into a header. */
static char *header_line(const struct ff_answer *answer)
{
	const char *text = answer->body ? answer->body : "";
	size_t len = strcspn(text, "\r\n");

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return NULL;
	return len > 0 && len <= 4096 ? ff_strndup(text, len) : NULL;
}

static void imds_token_read(struct ff_cloud *cloud, const struct ff_answer *answer)
{
	struct aws_login *login = cloud->login;
	bool old = !aws_is_true(login->settings.env[AWS_ENV_IMDS_V1_DISABLED]);

	if (answer->transport == FF_T_OK && answer->status == 200)
		login->imds_token = header_line(answer);
	if (login->imds_token != NULL)
		return;
	if (answer->transport == FF_T_OK && answer->status == 400)
		aws_login_fail(login, "instance metadata: the request for a token was refused (HTTP 400)");
	else if (answer->transport != FF_T_OK && answer->transport != FF_T_BROKEN)
		imds_absent(cloud, "no answer");
	else if (old) /* 403, 404, 405, a time-out: only version 1 there, or the hop limit drops the answer */
		login->imds_token = ff_strdup("");
	else
		imds_absent(cloud, "no token for version 2, and version 1 is disabled");
}

static void imds_keys_read(struct aws_login *login, const struct ff_answer *answer)
{
	ff_auto_json json_t *j = ff_json_parse(answer->body, answer->body_len, BYTES_MAX, NULL);
	const char *code = ff_json_str(j, "Code");
	ff_auto_free char *clean = ff_printable(code), *message = ff_printable(ff_json_str(j, "Message"));

	if ((code != NULL && !ff_streq(code, "Success")) ||
		!aws_login_take(login, j, "AccessKeyId", "SecretAccessKey", "Token", "Expiration"))
		aws_login_fail(login, "instance metadata: no credentials: %.100s: %.200s", clean, message);
	else
		aws_login_have_source(login);
}

void aws_imds_read(struct ff_cloud *cloud, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct aws_login *login = cloud->login;
	enum aws_question question = AWS_TAG_QUESTION(ask->tag);
	ff_auto_free char *line = NULL;

	if (question == AWS_Q_IMDS_TOKEN) {
		imds_token_read(cloud, answer);
		return;
	}
	if (answer->transport != FF_T_OK || answer->status != 200) {
		imds_absent(cloud, answer->status == 404 ? "no role" : "no answer");
		return;
	}
	if (question == AWS_Q_IMDS_KEYS) {
		imds_keys_read(login, answer);
		return;
	}
	line = plain_line(answer);
	if (line == NULL) {
		imds_absent(cloud, "an answer that makes no sense");
	} else if (question == AWS_Q_IMDS_ROLE) {
		login->text = FF_STEAL(line);
	} else {
		struct ff_err err = {0};

		if (aws_set_region(cloud, line, &err) < 0)
			aws_login_fail(login, "%s", err.text);
		else
			login->state = AWS_L_ENDPOINTS;
	}
}
