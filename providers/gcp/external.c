/*
 * External accounts: where the subject token comes from. A file, a URL, or an executable, the latter only when
 * GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 allows it: the credential file names a program to be run.
 */
#include "login.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_DEFAULT_MS 30000
#define TIMEOUT_MIN_MS	   5000
#define TIMEOUT_MAX_MS	   120000

static const json_t *source_of(const struct gcp_login *login)
{
	return json_object_get(login->leaf, "credential_source");
}

int gcp_external_begin(struct gcp_login *login, struct ff_err *err)
{
	const json_t *source = source_of(login);
	const char *command = ff_json_str(source, "executable/command");

	if (ff_json_str(source, "environment_id") != NULL)
		return ff_fail(err, FF_E_AUTH,
			"'credential_source' asks for AWS credentials, which fixfleet cannot sign with here: use a "
			"file, "
			"a URL or an executable, or a service account");
	if (json_object_get(source, "certificate") != NULL)
		return ff_fail(err, FF_E_AUTH, "'credential_source' asks for a client certificate, which is not known");
	login->stage = GCP_L_SUBJECT;
	if (command != NULL) {
		if (!login->allow_executables)
			return ff_fail(err, FF_E_AUTH,
				"'credential_source' names a program to be run: set "
				"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 if you trust the file");
		if (ff_json_str(source, "executable/output_file") != NULL)
			login->stage = GCP_L_CACHED;
		return 0;
	}
	if (ff_json_str(source, "file") != NULL)
		return 0;
	if (ff_json_str(source, "url") == NULL)
		return ff_fail(err, FF_E_AUTH, "'credential_source' has neither 'file' nor 'url' nor 'executable'");
	if (ff_url_check(ff_json_str(source, "url"), err) < 0) {
		err->class = FF_E_AUTH;
		return ff_wrap(err, "credential_source");
	}
	return 0;
}

/* ---------------------------------------------------------------- asking */

static void variable(struct ff_ask *ask, const char *name, const char *value)
{
	if (value != NULL)
		ff_strv_addf(&ask->argv, "%s=%s", name, value);
}

/* "a@b" of ".../serviceAccounts/a@b:generateAccessToken"; the caller frees. NULL: none. */
static char *impersonated(const json_t *leaf)
{
	const char *url = ff_json_str(leaf, "service_account_impersonation_url");
	const char *last = url ? strrchr(url, '/') : NULL;

	return last ? ff_strndup(last + 1, strcspn(last + 1, ":")) : NULL;
}

/* The program gets variables of its own, which are no secrets: through env(1), as an ask carries no environment. */
static int ask_program(const struct gcp_login *login, struct ff_ask *ask, struct ff_err *err)
{
	const json_t *program = ff_json_at(source_of(login), "executable");
	const char *p = ff_json_str(program, "command");
	ff_auto_free char *email = impersonated(login->leaf);
	size_t before;

	*ask = (struct ff_ask){.kind = FF_ASK_EXEC, .secret = true, .answer_bytes_max = GCP_TOKEN_BYTES};
	ask->timeout_ms = (unsigned)ff_json_int(program, "timeout_millis", TIMEOUT_DEFAULT_MS);
	if (ff_json_int(program, "timeout_millis", TIMEOUT_DEFAULT_MS) < TIMEOUT_MIN_MS ||
		ff_json_int(program, "timeout_millis", TIMEOUT_DEFAULT_MS) > TIMEOUT_MAX_MS)
		return ff_fail(
			err, FF_E_AUTH, "'timeout_millis' is not between %d and %d", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
	ff_strv_add(&ask->argv, "env");
	variable(ask, "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", ff_json_str(login->leaf, "audience"));
	variable(ask, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", ff_json_str(login->leaf, "subject_token_type"));
	variable(ask, "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0");
	variable(ask, "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL", email);
	variable(ask, "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", ff_json_str(program, "output_file"));
	before = ask->argv.count;
	for (p += strspn(p, " \t\n"); *p != '\0'; p += strspn(p, " \t\n")) {
		size_t len = strcspn(p, " \t\n");

		ff_strv_addf(&ask->argv, "%.*s", (int)len, p);
		p += len;
	}
	if (ask->argv.count == before || strchr(ask->argv.items[before], '=') != NULL ||
		ask->argv.items[before][0] == '-')
		return ff_fail(err, FF_E_AUTH, "'command' does not begin with a program");
	return 0;
}

static void ask_url(const json_t *source, struct ff_ask *ask)
{
	const char *url = ff_json_str(source, "url"), *name;
	const json_t *value;

	ff_ask_http(ask, "GET", "%s", url);
	ask->secret = true;
	ask->direct = strncasecmp(url, "http://", 7) == 0; /* this machine or its metadata service */
	ask->answer_bytes_max = GCP_TOKEN_BYTES;
	json_object_foreach ((json_t *)json_object_get(source, "headers"), name, value)
		if (json_is_string(value))
			ff_headers_add(&ask->headers, name, json_string_value(value));
}

int gcp_external_ask(struct gcp_login *login, struct ff_ask *ask, struct ff_err *err)
{
	const json_t *source = source_of(login);

	if (login->stage == GCP_L_SUBJECT && ff_json_str(source, "executable/command") != NULL)
		return ask_program(login, ask, err);
	if (login->stage == GCP_L_SUBJECT && ff_json_str(source, "file") == NULL) {
		ask_url(source, ask);
		return 0;
	}
	*ask = (struct ff_ask){.kind = FF_ASK_FILE, .secret = true, .answer_bytes_max = GCP_TOKEN_BYTES};
	ask->path = ff_strdup(login->stage == GCP_L_CACHED ? ff_json_str(source, "executable/output_file")
							   : ff_json_str(source, "file"));
	return 0;
}

/* ---------------------------------------------------------------- reading */

static void set_subject(struct gcp_login *login, const char *text, size_t len)
{
	ff_free_secret(login->subject);
	login->subject = ff_strndup(text, len);
	login->stage = GCP_L_EXCHANGE;
}

/* Of a file or URL: the whole text, or a member of a JSON object. */
static int read_formatted(
	struct gcp_login *login, const json_t *format, const char *text, size_t len, struct ff_err *err)
{
	const char *field = ff_json_str(format, "subject_token_field_name"), *token;
	json_t *j;
	int rc = 0;

	if (!ff_streq(ff_json_str(format, "type"), "json")) {
		while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
			len--;
		if (len == 0 || memchr(text, '\0', len) != NULL)
			return ff_fail(err, FF_E_AUTH, "the subject token is empty");
		set_subject(login, text, len);
		return 0;
	}
	if (field == NULL)
		return ff_fail(err, FF_E_AUTH, "'subject_token_field_name' is missing");
	j = ff_json_parse(text, len, GCP_TOKEN_BYTES, NULL);
	token = json_string_value(json_object_get(j, field));
	if (token != NULL && *token != '\0')
		set_subject(login, token, strlen(token));
	else
		rc = ff_fail(err, FF_E_AUTH, "the subject token's JSON has no text '%s'", field);
	gcp_json_wipe(j);
	return rc;
}

/* What an executable prints, or left in its output_file. */
static int read_program(struct gcp_login *login, int64_t wall_ms, const char *text, size_t len, struct ff_err *err)
{
	json_t *j = ff_json_parse(text, len, GCP_TOKEN_BYTES, NULL);
	bool saml = ff_streq(ff_json_str(j, "token_type"), "urn:ietf:params:oauth:token-type:saml2");
	const char *token = ff_json_str(j, saml ? "saml_response" : "id_token");
	int64_t until = ff_json_int(j, "expiration_time", INT64_MAX / 1000);
	int rc = 0;

	if (ff_json_int(j, "version", 0) != 1) {
		rc = ff_fail(err, FF_E_AUTH, "the program did not answer JSON of version 1");
	} else if (!ff_json_bool(j, "success", false)) {
		ff_auto_free char *code = ff_printable(ff_json_str(j, "code"));
		ff_auto_free char *message = ff_printable(ff_json_str(j, "message"));

		rc = ff_fail(err, FF_E_AUTH, "the program says %.60s: %.300s", code, message);
	} else if (token == NULL || *token == '\0') {
		rc = ff_fail(err, FF_E_AUTH, "the program's answer has no token");
	} else if (until <= wall_ms / 1000) {
		rc = ff_fail(err, FF_E_AUTH, "the program's token has expired");
	} else {
		set_subject(login, token, strlen(token));
	}
	gcp_json_wipe(j);
	return rc;
}

int gcp_external_read(struct gcp_login *login, int64_t wall_ms, const struct ff_answer *answer, struct ff_err *err)
{
	const json_t *source = source_of(login);
	const char *text = answer->body ? answer->body : "";
	bool program = ff_json_str(source, "executable/command") != NULL;
	bool http = !program && ff_json_str(source, "file") == NULL;

	if (login->stage == GCP_L_CACHED) {
		/* absent or stale: the program is asked */
		if (answer->transport != FF_T_OK || answer->status != 0 ||
			read_program(login, wall_ms, text, answer->body_len, NULL) < 0)
			login->stage = GCP_L_SUBJECT;
		return 0;
	}
	if (answer->transport != FF_T_OK)
		return ff_fail(err, FF_E_AUTH, "the subject token cannot be had: %s", answer->why);
	if (http ? answer->status != 200 : (answer->status != 0 && !(program && answer->body_len > 0)))
		return ff_fail(err, FF_E_AUTH, "the subject token cannot be had: %s %d",
			http	  ? "HTTP status"
			: program ? "exit status"
				  : "error",
			answer->status);
	if (program)
		return read_program(login, wall_ms, text, answer->body_len, err);
	return read_formatted(login, json_object_get(source, "format"), text, answer->body_len, err);
}
