/* Where a token comes from: the order of sources, every type of credential file, and whom a secret may be sent to. */
#include <errno.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "test_gcp_kit.h"

/* ---------------------------------------------------------------- helpers */

static struct ff_cloud *open_env(const char *const *pairs)
{
	struct ff_err err;
	struct ff_cloud *cloud = kit_open_with(&(struct ff_scope_options){.project = "p1"}, pairs, &err);

	cr_assert_not_null(cloud, "%s", err.text);
	return cloud;
}

static struct ff_ask next(struct ff_cloud *cloud)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	cr_assert_eq(ff_gcp.login_next(cloud, NOW, &ask, &err), FF_TURN_ASK, "%s", err.text);
	return ask;
}

/* The login ends; the text says why. */
static const char *refused(struct ff_cloud *cloud)
{
	static struct ff_err err;
	struct ff_ask ask = {0};

	err = (struct ff_err){0};
	cr_assert_eq(ff_gcp.login_next(cloud, NOW, &ask, &err), FF_TURN_FAILED);
	cr_expect_eq(err.class, FF_E_AUTH);
	cr_expect(ff_has_prefix(err.text, "no GCP credential worked: "), "%s", err.text);
	return err.text;
}

static void done(struct ff_cloud *cloud, const char *token)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	cr_assert_eq(ff_gcp.login_next(cloud, NOW, &ask, &err), FF_TURN_DONE, "%s", err.text);
	gcp_ask(cloud, &ask, GCP_READ, "GET", VM_PATH, "");
	cr_assert_eq(ff_gcp.sign(cloud, NOW, &ask, &err), 0, "%s", err.text);
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization") + 7, token);
	ff_ask_release(&ask);
}

/* A cloud whose GOOGLE_APPLICATION_CREDENTIALS file holds this text, read already. */
static struct ff_cloud *with_file(const char *text)
{
	struct ff_cloud *cloud = open_env(ENV("GOOGLE_APPLICATION_CREDENTIALS", "/c.json"));
	struct ff_ask ask = next(cloud);

	cr_expect_eq(ask.kind, FF_ASK_FILE);
	cr_expect_str_eq(ask.path, "/c.json");
	cr_expect(ask.secret);
	kit_login_read(cloud, &ask, kit_answer(0, text));
	return cloud;
}

/* The value of a form's member, decoded; the caller frees. NULL: not there. */
static char *form(const struct ff_ask *ask, const char *key)
{
	size_t len = strlen(key);
	const char *p = ask->body;
	char *out, *q;

	while (p != NULL && !(strncmp(p, key, len) == 0 && p[len] == '=')) {
		p = strchr(p, '&');
		p = p ? p + 1 : NULL;
	}
	if (p == NULL)
		return NULL;
	out = q = ff_strndup(p + len + 1, strcspn(p + len + 1, "&"));
	for (const char *r = out; *r != '\0'; r++)
		if (*r == '%') {
			char hex[3] = {r[1], r[2], '\0'};

			*q++ = (char)strtol(hex, NULL, 16);
			r += 2;
		} else {
			*q++ = *r;
		}
	*q = '\0';
	return out;
}

static void form_is(const struct ff_ask *ask, const char *key, const char *value)
{
	ff_auto_free char *is = form(ask, key);

	cr_expect(ff_streq(is, value), "%s is '%s', not '%s'", key, is, value);
}

static struct ff_answer token_answer(const char *token, const char *expires_in)
{
	ff_auto_free char *body =
		ff_printf("{\"access_token\":\"%s\",\"expires_in\":%s,\"token_type\":\"Bearer\"}", token, expires_in);

	return kit_answer(200, body);
}

static char *new_pem(EVP_PKEY **key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes, *pem;
	long len;

	*key = EVP_RSA_gen(2048);
	PEM_write_bio_PrivateKey(bio, *key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &bytes);
	pem = ff_strndup(bytes, (size_t)len);
	BIO_free(bio);
	return pem;
}

/* ---------------------------------------------------------------- the order of sources */

Test(gcp_identity, a_token_file_goes_before_all)
{
	struct ff_cloud *cloud =
		open_env(ENV("GOOGLE_APPLICATION_CREDENTIALS", "/c.json", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/t"));
	struct ff_ask ask = next(cloud);

	cr_expect_str_eq(ask.path, "/t");
	kit_login_read(cloud, &ask, kit_answer(0, "ya29.x\r\n"));
	done(cloud, "ya29.x");
	cr_expect_str_eq(ff_gcp.login_name(cloud), "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE '/t'");
	ff_gcp.close(cloud);
}

Test(gcp_identity, a_source_that_is_configured_and_refused_ends_the_search)
{
	struct ff_cloud *cloud = open_env(ENV("GOOGLE_APPLICATION_CREDENTIALS", "/c.json", "HOME", "/h"));
	struct ff_ask ask = next(cloud);
	struct ff_answer absent = kit_lost(FF_T_LOCAL, "cannot read file");
	const char *text;

	absent.status = ENOENT;
	kit_login_read(cloud, &ask, absent);
	text = refused(cloud);
	cr_expect_not_null(strstr(text, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE is not set"), "%s", text);
	cr_expect_not_null(
		strstr(text, "GOOGLE_APPLICATION_CREDENTIALS '/c.json' cannot be read: No such file"), "%s", text);
	ff_gcp.close(cloud);
}

Test(gcp_identity, the_well_known_file_is_passed_over_when_absent_and_the_metadata_server_asked)
{
	const struct {
		const char *const *env;
		const char *path;
	} homes[] = {
		{(const char *const[]){"HOME", "/h", NULL}, "/h/.config/gcloud/application_default_credentials.json"},
		{(const char *const[]){"HOME", "/h", "CLOUDSDK_CONFIG", "/cfg", NULL},
			"/cfg/application_default_credentials.json"},
	};

	for (size_t i = 0; i < FF_COUNT(homes); i++) {
		struct ff_cloud *cloud = open_env(homes[i].env);
		struct ff_ask ask = next(cloud);
		struct ff_answer absent = kit_lost(FF_T_LOCAL, "cannot read file");
		struct ff_answer pong = kit_answer(200, "");

		cr_expect_str_eq(ask.path, homes[i].path);
		absent.status = ENOENT;
		kit_login_read(cloud, &ask, absent);
		ask = next(cloud);
		cr_expect_str_eq(ask.url, "http://169.254.169.254/");
		cr_expect_eq(ask.timeout_ms, 3000);
		cr_expect(ask.direct, "no proxy");
		cr_expect_str_eq(ff_headers_get(&ask.headers, "Metadata-Flavor"), "Google");
		ff_headers_add(&pong.headers, "Metadata-Flavor", "Google");
		kit_login_read(cloud, &ask, pong);
		ask = next(cloud);
		cr_expect_str_eq(ask.url,
			"http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/"
			"default/token");
		pong = token_answer("meta", "3599");
		ff_headers_add(&pong.headers, "metadata-flavor", "Google");
		kit_login_read(cloud, &ask, pong);
		done(cloud, "meta");
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, who_does_not_say_google_is_no_metadata_server)
{
	struct ff_cloud *cloud = open_env(ENV("GCE_METADATA_HOST", "127.0.0.1:8080"));
	struct ff_ask ask = next(cloud);

	cr_expect_str_eq(ask.url, "http://127.0.0.1:8080/computeMetadata/v1/instance/service-accounts/default/token",
		"a named host needs no presence check");
	kit_login_read(cloud, &ask, token_answer("evil", "3599"));
	cr_expect_not_null(strstr(refused(cloud), "is no metadata server"));
	ff_gcp.login_reset(cloud);
	ask = next(cloud);
	struct ff_answer none = kit_answer(404, "");
	ff_headers_add(&none.headers, "Metadata-Flavor", "Google");
	kit_login_read(cloud, &ask, none);
	cr_expect_not_null(strstr(refused(cloud), "has no service account"));
	ff_gcp.close(cloud);
}

Test(gcp_identity, nothing_configured_names_every_source)
{
	struct ff_cloud *cloud = open_env(ENV(NULL, NULL));
	struct ff_ask ask = next(cloud);
	const char *text;

	kit_login_read(cloud, &ask, kit_lost(FF_T_NOT_SENT, "no route"));
	text = refused(cloud);
	cr_expect_not_null(strstr(text, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE is not set"));
	cr_expect_not_null(strstr(text, "GOOGLE_APPLICATION_CREDENTIALS is not set"));
	cr_expect_not_null(strstr(text, "neither CLOUDSDK_CONFIG nor HOME is set"));
	cr_expect_not_null(strstr(text, "no metadata server answers at 169.254.169.254"));
	ff_gcp.close(cloud);
}

Test(gcp_identity, an_answer_to_an_older_question_is_not_taken)
{
	struct ff_cloud *cloud = open_env(ENV("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/t"));
	struct ff_ask ask = next(cloud);

	ask.tag++;
	kit_login_read(cloud, &ask, kit_answer(0, "tok"));
	ask = next(cloud);
	cr_expect_eq(ask.kind, FF_ASK_FILE, "still asked for");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- tokens */

Test(gcp_identity, tokens_are_renewed_before_they_end)
{
	struct ff_cloud *cloud = open_env(ENV("GCE_METADATA_HOST", "metadata.google.internal"));
	static const struct {
		const char *expires_in;
		int64_t renew_s;
	} lives[] = {{"3599", 3599 - 225}, {"\"1000\"", 775}, {"100", 50}, {"0", 0}, {"-5", 0},
		{"99999999999", 86400 - 225}};

	for (size_t i = 0; i < FF_COUNT(lives); i++) {
		struct ff_ask ask;
		struct ff_answer answer = token_answer("t", lives[i].expires_in);

		ff_gcp.login_reset(cloud);
		ask = next(cloud);
		ff_headers_add(&answer.headers, "Metadata-Flavor", "Google");
		kit_login_read(cloud, &ask, answer);
		cr_expect_eq(ff_gcp.login_renew_at(cloud), NOW + lives[i].renew_s * 1000, "%s", lives[i].expires_in);
	}
	ff_gcp.close(cloud);
}

Test(gcp_identity, what_cannot_be_a_header_is_no_token)
{
	static const char *const tokens[] = {"", "\n", "a b", "a\nX-Evil: 1", "a\x80"};

	for (size_t i = 0; i < FF_COUNT(tokens); i++) {
		struct ff_cloud *cloud = open_env(ENV("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/t"));
		struct ff_ask ask = next(cloud);

		kit_login_read(cloud, &ask, kit_answer(0, tokens[i]));
		cr_expect_not_null(strstr(refused(cloud), "holds no token"));
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, the_token_goes_to_compute_only)
{
	static const char *const elsewhere[] = {"https://evil.example/compute/v1/x",
		"https://compute.googleapis.com.evil.example/compute/v1/x", "https://compute.googleapis.com/other/x",
		"http://compute.googleapis.com/compute/v1/x", "https://oauth2.googleapis.com/token"};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(elsewhere); i++) {
		struct ff_ask ask;
		struct ff_err err = {0};

		ff_ask_http(&ask, "GET", "%s", elsewhere[i]);
		cr_expect_eq(ff_gcp.sign(cloud, NOW, &ask, &err), -1, "%s", elsewhere[i]);
		cr_expect_eq(err.class, FF_E_BUG);
		cr_expect_null(ff_headers_get(&ask.headers, "Authorization"));
		ff_ask_release(&ask);
	}
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- service account */

static json_t *decoded(const char *part, size_t len)
{
	ff_auto_free char *text = ff_strndup(part, len);
	size_t n;
	ff_auto_free char *bytes = ff_base64_decode(text, &n);

	cr_assert_not_null(bytes);
	return kit_json(bytes);
}

static bool verified(EVP_PKEY *key, const char *jwt)
{
	const char *dot = strrchr(jwt, '.');
	size_t len = 0;
	ff_auto_free unsigned char *sig = ff_base64_decode(dot + 1, &len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, sig, len, (const unsigned char *)jwt, (size_t)(dot - jwt)) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

static char *service_account(const char *pem, const char *token_uri, const char *more)
{
	json_t *file = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "service_account", "private_key_id", "kid1",
		"client_email", "sa@p1.iam.gserviceaccount.com", "private_key", pem, "token_uri", token_uri);
	json_t *extra = more ? kit_json(more) : NULL;
	char *text;

	if (extra != NULL)
		json_object_update(file, extra);
	text = ff_json_text(file);
	json_decref(extra);
	json_decref(file);
	return text;
}

Test(gcp_identity, a_service_account_sends_a_signed_assertion)
{
	EVP_PKEY *key;
	ff_auto_free char *pem = new_pem(&key);
	ff_auto_free char *file =
		service_account(pem, "https://oauth2.googleapis.com/token", "{\"quota_project_id\":\"q1\"}");
	struct ff_cloud *cloud = with_file(file);
	struct ff_ask ask = next(cloud);
	ff_auto_free char *jwt = form(&ask, "assertion");
	ff_auto_json json_t *header = NULL, *claims = NULL;
	const char *dot;

	cr_expect_str_eq(ask.method, "POST");
	cr_expect_str_eq(ask.url, "https://oauth2.googleapis.com/token");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Content-Type"), "application/x-www-form-urlencoded");
	cr_expect(ask.secret);
	cr_expect_not(ask.mutates);
	form_is(&ask, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
	cr_assert_not_null(jwt);
	dot = strchr(jwt, '.');
	header = decoded(jwt, (size_t)(dot - jwt));
	claims = decoded(dot + 1, strcspn(dot + 1, "."));
	cr_expect_str_eq(ff_json_str(header, "alg"), "RS256");
	cr_expect_str_eq(ff_json_str(header, "typ"), "JWT");
	cr_expect_str_eq(ff_json_str(header, "kid"), "kid1");
	cr_expect_eq(ff_json_int(claims, "iat", 0), NOW / 1000);
	cr_expect_eq(ff_json_int(claims, "exp", 0), NOW / 1000 + 3600);
	cr_expect_str_eq(ff_json_str(claims, "iss"), "sa@p1.iam.gserviceaccount.com");
	cr_expect_str_eq(ff_json_str(claims, "aud"), "https://oauth2.googleapis.com/token");
	cr_expect_str_eq(ff_json_str(claims, "scope"), "https://www.googleapis.com/auth/cloud-platform");
	cr_expect(verified(key, jwt));
	kit_login_read(cloud, &ask, token_answer("sa-token", "3599"));
	done(cloud, "sa-token");
	gcp_ask(cloud, &ask, GCP_READ, "GET", VM_PATH, "");
	ff_gcp.sign(cloud, NOW, &ask, NULL);
	cr_expect_str_eq(ff_headers_get(&ask.headers, "x-goog-user-project"), "q1");
	ff_ask_release(&ask);
	EVP_PKEY_free(key);
	ff_gcp.close(cloud);
}

Test(gcp_identity, a_key_that_is_none_is_said_without_quoting_it)
{
	static const char *const pems[] = {
		"hunter2-secret", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", ""};

	for (size_t i = 0; i < FF_COUNT(pems); i++) {
		ff_auto_free char *file = service_account(pems[i], "https://oauth2.googleapis.com/token", NULL);
		struct ff_cloud *cloud = with_file(file);
		const char *text = refused(cloud);

		cr_expect_not_null(strstr(text, "private_key"), "%s", text);
		cr_expect_null(strstr(text, "hunter2"), "%s", text);
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, secrets_go_to_google_the_files_universe_or_this_machine)
{
	static const struct {
		const char *url, *universe;
		bool good;
	} urls[] = {
		{"https://oauth2.googleapis.com/token", NULL, true},
		{"https://accounts.google.com/o/oauth2/token", NULL, true},
		{"https://127.0.0.1:8443/token", NULL, true},
		{"http://localhost:8080/token", NULL, true},
		{"http://[::1]:8080/token", NULL, true},
		{"https://oauth2.universe.foo/token", "universe.foo", true},
		{"https://oauth2.universe.foo/token", NULL, false},
		{"https://googleapis.com.evil.example/token", NULL, false},
		{"https://evilgoogleapis.com/token", NULL, false},
		{"https://127.evil.example/token", NULL, false},
		{"http://oauth2.googleapis.com/token", NULL, false},
		{"http://169.254.169.254/token", NULL, false},
		{"http://metadata.google.internal/token", "google.internal", false},
		{"https://oauth2.googleapis.com@evil.example/token", NULL, false},
		{"https://evil.example\\.googleapis.com/token", NULL, false},
		{"file:///etc/passwd", NULL, false},
		{"", NULL, false},
	};

	for (size_t i = 0; i < FF_COUNT(urls); i++) {
		ff_auto_free char *more =
			urls[i].universe ? ff_printf("{\"universe_domain\":\"%s\"}", urls[i].universe) : NULL;
		EVP_PKEY *key;
		ff_auto_free char *pem = new_pem(&key), *file = service_account(pem, urls[i].url, more);
		struct ff_cloud *cloud = open_env(ENV("GOOGLE_APPLICATION_CREDENTIALS", "/c.json",
			"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "https://compute.universe.foo/compute/v1/"));
		struct ff_ask ask = next(cloud);

		kit_login_read(cloud, &ask, kit_answer(0, file));
		if (urls[i].good) {
			ask = next(cloud);
			cr_expect_str_eq(ask.url, urls[i].url);
			ff_ask_release(&ask);
		} else {
			cr_expect_not_null(strstr(refused(cloud), "token_uri"), "%s", urls[i].url);
		}
		EVP_PKEY_free(key);
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, another_universe_needs_its_endpoint)
{
	ff_auto_free char *file =
		service_account("x", "https://oauth2.universe.foo/token", "{\"universe_domain\":\"universe.foo\"}");
	struct ff_cloud *cloud = with_file(file);

	cr_expect_not_null(strstr(refused(cloud), "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"));
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- other types */

#define USER "{\"type\":\"authorized_user\",\"client_id\":\"id&1\",\"client_secret\":\"sec\",\"refresh_token\":\"ref\"}"

Test(gcp_identity, an_authorized_user_refreshes)
{
	struct ff_cloud *cloud = with_file(USER);
	struct ff_ask ask = next(cloud);

	cr_expect_str_eq(ask.url, "https://oauth2.googleapis.com/token");
	cr_expect_str_eq(ask.body, "grant_type=refresh_token&client_id=id%261&client_secret=sec&refresh_token=ref");
	kit_login_read(cloud, &ask,
		kit_answer(400, "{\"error\":\"invalid_grant\",\"error_description\":\"Token has been revoked.\"}"));
	cr_expect_not_null(strstr(refused(cloud), "gcloud auth application-default login"));
	ff_gcp.close(cloud);
	/* where the file says so, and only to Google or to this machine */
	cloud = with_file("{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\",\"refresh_token\":"
			  "\"r\",\"token_uri\":\"https://accounts.google.com/o/oauth2/token\"}");
	ask = next(cloud);
	cr_expect_str_eq(ask.url, "https://accounts.google.com/o/oauth2/token");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
	cloud = with_file("{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\",\"refresh_token\":"
			  "\"r\",\"token_uri\":\"https://evil.example.com/token\"}");
	cr_expect_not_null(strstr(refused(cloud), "no secret is sent there"));
	ff_gcp.close(cloud);
}

#define IMPERSONATE "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/sa@p1:generateAccessToken"

#define EXTERNAL(source, more)                                                                                         \
	"{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/projects/1/x\",\"subject_token_type\":"    \
	"\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"https://sts.googleapis.com/v1/token\","              \
	"\"credential_source\":" source more "}"

Test(gcp_identity, impersonation_follows_the_source_credentials)
{
	struct ff_cloud *cloud =
		with_file("{\"type\":\"impersonated_service_account\",\"delegates\":[\"d1\"],"
			  "\"service_account_impersonation_url\":\"" IMPERSONATE "\",\"source_credentials\":" USER "}");
	struct ff_ask ask = next(cloud);

	form_is(&ask, "refresh_token", "ref");
	kit_login_read(cloud, &ask, token_answer("first", "3599"));
	ask = next(cloud);
	cr_expect_str_eq(ask.url, IMPERSONATE);
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"), "Bearer first");
	kit_body_is(&ask, "{\"delegates\":[\"d1\"],\"scope\":[\"https://www.googleapis.com/auth/cloud-platform\"],"
			  "\"lifetime\":\"3600s\"}");
	kit_login_read(
		cloud, &ask, kit_answer(200, "{\"accessToken\":\"second\",\"expireTime\":\"2024-07-19T05:09:00Z\"}"));
	done(cloud, "second");
	cr_expect_eq(ff_gcp.login_renew_at(cloud), NOW + 3600000 - 225000);
	ff_gcp.login_reset(cloud);
	ask = next(cloud);
	cr_expect_eq(ask.kind, FF_ASK_FILE, "a new login begins at the beginning");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
}

Test(gcp_identity, impersonations_follow_one_another_from_the_inside)
{
	static const char outer[] = "https://iamcredentials.googleapis.com/v1/outer:generateAccessToken";
	static const char until[] = "{\"accessToken\":\"%s\",\"expireTime\":\"2024-07-19T05:09:00Z\"}";
	ff_auto_free char *file = ff_printf("{\"type\":\"impersonated_service_account\","
					    "\"service_account_impersonation_url\":\"%s\",\"source_credentials\":%s}",
		outer, EXTERNAL("{\"file\":\"/s\"}", ",\"service_account_impersonation_url\":\"" IMPERSONATE "\""));
	ff_auto_free char *second = ff_printf(until, "second"), *third = ff_printf(until, "third");
	struct ff_cloud *cloud = with_file(file);
	struct ff_ask ask = next(cloud);

	kit_login_read(cloud, &ask, kit_answer(0, "a.b.c"));
	ask = next(cloud);
	kit_login_read(cloud, &ask, token_answer("first", "3600"));
	ask = next(cloud);
	cr_expect_str_eq(ask.url, IMPERSONATE);
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"), "Bearer first");
	kit_login_read(cloud, &ask, kit_answer(200, second));
	ask = next(cloud);
	cr_expect_str_eq(ask.url, outer);
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"), "Bearer second");
	kit_login_read(cloud, &ask, kit_answer(200, third));
	done(cloud, "third");
	ff_gcp.close(cloud);
}

Test(gcp_identity, impersonations_do_not_nest_for_ever)
{
	ff_auto_buf file = {0};
	struct ff_cloud *cloud;

	for (int i = 0; i < 6; i++)
		ff_buf_adds(&file, "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":"
				   "\"" IMPERSONATE "\",\"source_credentials\":");
	ff_buf_adds(&file, USER "}}}}}}");
	cloud = with_file(file.text);
	cr_expect_not_null(strstr(refused(cloud), "impersonations in a row"));
	ff_gcp.close(cloud);
}

Test(gcp_identity, a_workforce_user_refreshes_with_basic_and_keeps_the_new_token)
{
	static const char file[] = "{\"type\":\"external_account_authorized_user\",\"token_url\":\"https://"
				   "sts.googleapis.com/v1/oauthtoken\","
				   "\"client_id\":\"a\",\"client_secret\":\"b\",\"refresh_token\":\"r1\"}";
	struct ff_cloud *cloud = with_file(file);
	struct ff_ask ask = next(cloud);

	cr_expect_str_eq(ask.url, "https://sts.googleapis.com/v1/oauthtoken");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"), "Basic YTpi");
	cr_expect_str_eq(ask.body, "grant_type=refresh_token&refresh_token=r1");
	kit_login_read(
		cloud, &ask, kit_answer(200, "{\"access_token\":\"t\",\"expires_in\":3600,\"refresh_token\":\"r2\"}"));
	done(cloud, "t");
	ff_gcp.login_reset(cloud);
	ask = next(cloud);
	kit_login_read(cloud, &ask, kit_answer(0, file));
	ask = next(cloud);
	form_is(&ask, "refresh_token", "r2");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
}

Test(gcp_identity, an_external_account_exchanges_a_subject_token)
{
	static const struct {
		const char *source, *answer, *subject;
		int status;
	} sources[] = {
		{"{\"file\":\"/s\"}", "a.b.c\n", "a.b.c", 0},
		{"{\"file\":\"/s\",\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"tok\"}}",
			"{\"tok\":\"x.y\"}", "x.y", 0},
		{"{\"url\":\"http://169.254.169.254/metadata/"
		 "x\",\"headers\":{\"Metadata\":\"True\"},\"format\":{\"type\":"
		 "\"json\",\"subject_token_field_name\":\"access_token\"}}",
			"{\"access_token\":\"im\"}", "im", 200},
	};

	for (size_t i = 0; i < FF_COUNT(sources); i++) {
		ff_auto_free char *file = ff_printf(EXTERNAL("%s", "%s"), sources[i].source, "");
		struct ff_cloud *cloud = with_file(file);
		struct ff_ask ask = next(cloud);

		cr_expect(ask.secret);
		if (sources[i].status == 0) {
			cr_expect_str_eq(ask.path, "/s");
		} else {
			cr_expect_str_eq(ask.url, "http://169.254.169.254/metadata/x");
			cr_expect_str_eq(ff_headers_get(&ask.headers, "Metadata"), "True");
			cr_expect(ask.direct);
		}
		kit_login_read(cloud, &ask, kit_answer(sources[i].status, sources[i].answer));
		ask = next(cloud);
		cr_expect_str_eq(ask.url, "https://sts.googleapis.com/v1/token");
		cr_expect_null(ff_headers_get(&ask.headers, "Authorization"));
		form_is(&ask, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
		form_is(&ask, "audience", "//iam.googleapis.com/projects/1/x");
		form_is(&ask, "scope", "https://www.googleapis.com/auth/cloud-platform");
		form_is(&ask, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
		form_is(&ask, "subject_token", sources[i].subject);
		form_is(&ask, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
		form_is(&ask, "options", NULL);
		kit_login_read(cloud, &ask, token_answer("sts", "\"3600\""));
		done(cloud, "sts");
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, an_external_account_may_be_a_client_or_a_workforce_user)
{
	struct ff_cloud *cloud = with_file(EXTERNAL("{\"file\":\"/s\"}",
		",\"workforce_pool_user_project\":\"p9\",\"service_account_impersonation_url\":\"" IMPERSONATE
		"\",\"service_account_impersonation\":{\"token_lifetime_seconds\":1800}"));
	struct ff_ask ask = next(cloud);

	kit_login_read(cloud, &ask, kit_answer(0, "a.b.c"));
	ask = next(cloud);
	form_is(&ask, "options", "%7B%22userProject%22%3A%22p9%22%7D");
	kit_login_read(cloud, &ask, token_answer("sts", "3600"));
	ask = next(cloud);
	cr_expect_str_eq(ask.url, IMPERSONATE);
	cr_expect_not_null(strstr(ask.body, "\"1800s\""));
	cr_expect_not_null(strstr(ask.body, "\"delegates\":[]"));
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
	cloud = with_file(EXTERNAL("{\"file\":\"/s\"}",
		",\"workforce_pool_user_project\":\"p9\",\"client_id\":\"a\",\"client_secret\":\"b\""));
	ask = next(cloud);
	kit_login_read(cloud, &ask, kit_answer(0, "a.b.c"));
	ask = next(cloud);
	form_is(&ask, "options", NULL);
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Authorization"), "Basic YTpi");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
}

#define PROGRAM                                                                                                        \
	"{\"executable\":{\"command\":\"/opt/get-token  --flag;rm "                                                    \
	"$HOME\",\"timeout_millis\":6000,\"output_file\":\"/out\"}}"
#define ISSUED                                                                                                         \
	"{\"version\":1,\"success\":true,\"token_type\":\"urn:ietf:params:oauth:token-type:id_token\",\"id_token\":"   \
	"\"%s\","                                                                                                      \
	"\"expiration_time\":%lld}"

Test(gcp_identity, a_program_is_run_only_when_that_is_allowed)
{
	struct ff_cloud *cloud = with_file(EXTERNAL(PROGRAM, ""));

	cr_expect_not_null(strstr(refused(cloud), "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"));
	ff_gcp.close(cloud);
}

static struct ff_cloud *with_program(const char *source)
{
	struct ff_cloud *cloud = open_env(
		ENV("GOOGLE_APPLICATION_CREDENTIALS", "/c.json", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1"));
	struct ff_ask ask = next(cloud);
	ff_auto_free char *file =
		ff_printf(EXTERNAL("%s", "%s"), source, ",\"service_account_impersonation_url\":\"" IMPERSONATE "\"");

	kit_login_read(cloud, &ask, kit_answer(0, file));
	return cloud;
}

Test(gcp_identity, a_programs_words_are_split_and_no_shell_sees_them)
{
	static const char *const argv[] = {"env", "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=//iam.googleapis.com/projects/1/x",
		"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:jwt",
		"GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0", "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=sa@p1",
		"GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=/out", "/opt/get-token", "--flag;rm", "$HOME"};
	struct ff_cloud *cloud = with_program(PROGRAM);
	struct ff_ask ask = next(cloud);
	ff_auto_free char *stale = ff_printf(ISSUED, "old", (long long)(NOW / 1000));
	ff_auto_free char *fresh = ff_printf(ISSUED, "new", (long long)(NOW / 1000 + 100));

	cr_expect_str_eq(ask.path, "/out", "what was kept is read first");
	kit_login_read(cloud, &ask, kit_answer(0, stale));
	ask = next(cloud);
	cr_expect_eq(ask.kind, FF_ASK_EXEC);
	cr_expect_eq(ask.timeout_ms, 6000);
	cr_assert_eq(ask.argv.count, FF_COUNT(argv));
	for (size_t i = 0; i < FF_COUNT(argv); i++)
		cr_expect_str_eq(ask.argv.items[i], argv[i]);
	kit_login_read(cloud, &ask, kit_answer(0, fresh));
	ask = next(cloud);
	form_is(&ask, "subject_token", "new");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
	cloud = with_program(PROGRAM);
	ask = next(cloud);
	kit_login_read(cloud, &ask, kit_answer(0, fresh));
	ask = next(cloud);
	form_is(&ask, "subject_token", "new");
	ff_ask_release(&ask);
	ff_gcp.close(cloud);
}

Test(gcp_identity, what_a_program_says_is_judged)
{
	static const struct {
		const char *out, *text;
	} outs[] = {
		{"", "did not answer JSON of version 1"},
		{"{\"version\":2,\"success\":true}", "did not answer JSON of version 1"},
		{"{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"caller\\u001b is not\"}",
			"401: caller\\x1b is not"},
		{"{\"version\":1,\"success\":true}", "has no token"},
		{"{\"version\":1,\"success\":true,\"id_token\":\"x\",\"expiration_time\":5}", "has expired"},
	};

	for (size_t i = 0; i < FF_COUNT(outs); i++) {
		struct ff_cloud *cloud = with_program("{\"executable\":{\"command\":\"/x\"}}");
		struct ff_ask ask = next(cloud);
		const char *text;

		kit_login_read(cloud, &ask, kit_answer(0, outs[i].out));
		text = refused(cloud);
		cr_expect_not_null(strstr(text, outs[i].text), "%s", text);
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, programs_that_would_be_something_else_are_refused)
{
	static const char *const commands[] = {"", "   ", "A=b /x", "-i /x"};

	for (size_t i = 0; i < FF_COUNT(commands); i++) {
		ff_auto_free char *source = ff_printf("{\"executable\":{\"command\":\"%s\"}}", commands[i]);
		struct ff_cloud *cloud = with_program(source);

		cr_expect_not_null(strstr(refused(cloud), "'command'"), "%s", commands[i]);
		ff_gcp.close(cloud);
	}
}

Test(gcp_identity, files_that_cannot_be_used_say_why)
{
	static const struct {
		const char *file, *text;
	} files[] = {
		{"", "is not a JSON object"},
		{"[]", "is not a JSON object"},
		{"{\"type\":\"service_account\",\"type\":\"x\"}", "is not a JSON object"},
		{"{}", "credentials of type '(none)' are not known"},
		{"{\"type\":\"gdch_service_account\"}", "credentials of type 'gdch_service_account' are not known"},
		{"{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":5}",
			"'client_secret' is missing"},
		{"{\"type\":\"impersonated_service_account\"}", "'source_credentials' is missing"},
		{"{\"type\":\"impersonated_service_account\",\"source_credentials\":" USER "}",
			"service_account_impersonation_url"},
		{"{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"https://"
		 "evil.example/\","
		 "\"source_credentials\":" USER "}",
			"is not Google's"},
		{EXTERNAL("{\"environment_id\":\"aws1\"}", ""), "asks for AWS credentials"},
		{EXTERNAL("{\"certificate\":{}}", ""), "client certificate"},
		{EXTERNAL("{}", ""), "neither 'file' nor 'url' nor 'executable'"},
		{EXTERNAL("{\"url\":\"http://evil.example/\"}", ""), "credential_source"},
	};

	for (size_t i = 0; i < FF_COUNT(files); i++) {
		struct ff_cloud *cloud = with_file(files[i].file);
		const char *text = refused(cloud);

		cr_expect_not_null(strstr(text, files[i].text), "%s: %s", files[i].file, text);
		ff_gcp.close(cloud);
	}
}

/* ---------------------------------------------------------------- opening */

Test(gcp_open, settings_are_checked_before_anything_is_asked)
{
	const struct {
		const char *project, *zone;
		const char *const *env;
		const char *text; /* NULL: good */
	} opens[] = {
		{"p1", NULL, (const char *const[]){NULL}, NULL},
		{NULL, NULL, (const char *const[]){"GOOGLE_CLOUD_PROJECT", "p1", NULL}, NULL},
		{NULL, NULL, (const char *const[]){"CLOUDSDK_CORE_PROJECT", "example.com:p1", NULL}, NULL},
		{NULL, NULL, (const char *const[]){NULL}, "gcp needs a project"},
		{"P1", NULL, (const char *const[]){NULL}, "'P1' is no project id"},
		{"a/b", NULL, (const char *const[]){NULL}, "is no project id"},
		{"..", NULL, (const char *const[]){NULL}, "is no project id"},
		{"p1", "us-central1-a", (const char *const[]){NULL}, NULL},
		{"p1", "us central", (const char *const[]){NULL}, "is no zone"},
		{"p1", NULL,
			(const char *const[]){"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://evil.example/", NULL},
			"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE: "},
		{"p1", NULL, (const char *const[]){"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "https://h/x?y", NULL},
			"query"},
		{"p1", NULL, (const char *const[]){"GCE_METADATA_HOST", "evil.example", NULL}, "GCE_METADATA_HOST: "},
		{"p1", NULL, (const char *const[]){"GCE_METADATA_HOST", "127.0.0.1/x", NULL}, "is not a host"},
	};

	for (size_t i = 0; i < FF_COUNT(opens); i++) {
		struct ff_scope_options options = {.project = opens[i].project};
		struct ff_cloud *cloud;
		struct ff_err err;

		if (opens[i].zone != NULL)
			ff_strv_add(&options.zones, opens[i].zone);
		cloud = kit_open_with(&options, opens[i].env, &err);
		cr_expect_eq(cloud == NULL, opens[i].text != NULL, "%zu: %s", i, err.text);
		if (opens[i].text != NULL) {
			cr_expect_eq(err.class, FF_E_USAGE);
			cr_expect_not_null(strstr(err.text, opens[i].text), "%s", err.text);
		}
		ff_gcp.close(cloud);
		ff_strv_free(&options.zones);
	}
}

Test(gcp_open, the_endpoint_is_understood_with_and_without_its_path)
{
	static const struct {
		const char *override, *base;
	} bases[] = {
		{"https://127.0.0.1:8443/compute/v1/", "https://127.0.0.1:8443/compute/v1/"},
		{"https://127.0.0.1:8443/compute/v1", "https://127.0.0.1:8443/compute/v1/"},
		{"https://127.0.0.1:8443", "https://127.0.0.1:8443/compute/v1/"},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080/compute/v1/"},
	};

	for (size_t i = 0; i < FF_COUNT(bases); i++) {
		struct ff_cloud *cloud = open_env(ENV("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", bases[i].override));

		cr_expect_str_eq(cloud->base, bases[i].base);
		ff_gcp.close(cloud);
	}
}

Test(gcp_open, the_title_names_project_and_zones)
{
	struct ff_scope_options options = {.project = "p1"};
	struct ff_cloud *cloud;
	struct ff_err err;

	ff_strv_add(&options.zones, "us-central1-a");
	ff_strv_add(&options.zones, "us-central1-b");
	cloud = kit_open_with(&options, ENV(NULL, NULL), &err);
	cr_expect_str_eq(ff_gcp.title(cloud), "gcp project p1, zone us-central1-a, us-central1-b");
	ff_gcp.close(cloud);
	ff_strv_free(&options.zones);
	ff_gcp.close(NULL);
}

/* ---------------------------------------------------------------- vectors, which only some machines have */

Test(gcp_identity, the_published_assertion_is_made_bit_by_bit)
{
	ff_auto_json json_t *vectors = kit_shared("vectors/gcp-auth/jwt_vectors.json"), *account = NULL;
	ff_auto_free char *name = NULL, *jwt = NULL;
	struct ff_err err = {0};

	if (vectors == NULL)
		cr_skip_test("no ../shared/vectors/gcp-auth");
	name = ff_printf("vectors/gcp-auth/%s", ff_json_str(vectors, "service_account_file"));
	account = kit_shared(name);
	cr_assert_not_null(account);
	jwt = gcp_jwt(ff_json_str(vectors, "header_json"), ff_json_str(vectors, "payload_json"),
		ff_json_str(account, "private_key"), &err);
	cr_assert_not_null(jwt, "%s", err.text);
	cr_expect_str_eq(jwt, ff_json_str(vectors, "assertion"));
}

Test(gcp_identity, the_published_credential_files_are_taken)
{
	static const struct {
		const char *name, *url; /* of the first request; NULL: refused */
	} files[] = {
		{"service_account", "https://accounts.google.com/o/oauth2/token"},
		{"authorized_user", "https://oauth2.googleapis.com/token"},
		{"authorized_user_cloud_sdk_with_quota_project_id", "https://oauth2.googleapis.com/token"},
		{"external_account_authorized_user", "https://sts.googleapis.com/v1/oauth/token"},
		{"impersonated_service_account_service_account_source", "https://accounts.google.com/o/oauth2/token"},
		{"impersonated_service_account_with_quota_project", "https://oauth2.googleapis.com/token"},
		{"impersonated_service_account_external_account_authorized_user_source",
			"https://sts.googleapis.com/v1/oauth/token"},
		{"external_account_authorized_user_non_gdu", NULL},
		{"service_account_non_gdu", NULL},
		{"es256_service_account", NULL},
		{"gdch_service_account", NULL},
		{"client_secrets", NULL},
	};

	for (size_t i = 0; i < FF_COUNT(files); i++) {
		ff_auto_free char *name = ff_printf("vectors/gcp-auth/data/%s.json", files[i].name), *text = NULL;
		ff_auto_json json_t *file = kit_shared(name);
		struct ff_cloud *cloud;

		if (file == NULL)
			cr_skip_test("no ../shared/vectors/gcp-auth");
		text = ff_json_text(file);
		cloud = with_file(text);
		if (files[i].url != NULL) {
			struct ff_ask ask = next(cloud);

			cr_expect_str_eq(ask.url, files[i].url, "%s", files[i].name);
			ff_ask_release(&ask);
		} else {
			refused(cloud);
		}
		ff_gcp.close(cloud);
	}
}
