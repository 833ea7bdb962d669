/* Where the token comes from: the exact requests, their order, what is said when none works. */
#include "azure_kit.h"

#include <errno.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define CLOUD_ENV "AZURE_AUTHORITY_HOST", "https://login.test/"

static struct ff_cloud *open_env(const char *const *pairs)
{
	struct ff_scope_options options = {.subscription = SUB};
	struct ff_err err;
	struct ff_cloud *cloud = kit_open_with(&options, pairs, &err);

	cr_assert_not_null(cloud, "%s", err.text);
	return cloud;
}

static struct ff_ask next_ask(struct ff_cloud *cloud)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	enum ff_turn turn = ff_azure.login_next(cloud, NOW, &ask, &err);

	cr_assert_eq(turn, FF_TURN_ASK, "turn %d: %s", (int)turn, err.text);
	cr_assert(ask.secret || ask.tag == AZ_Q_INSTANCE, "%s", ask.url);
	return ask;
}

/* Answers the ask and frees both. */
static void give(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_answer answer)
{
	cr_assert_eq(ff_azure.login_next(cloud, NOW, ask, NULL), FF_TURN_WAIT);
	ff_azure.login_read(cloud, NOW, ask, &answer);
	ff_answer_release(&answer, true);
	ff_ask_release(ask);
}

static void expect_failed(struct ff_cloud *cloud, const char *text)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	cr_assert_eq(ff_azure.login_next(cloud, NOW, &ask, &err), FF_TURN_FAILED);
	cr_assert_eq(err.class, FF_E_AUTH);
	cr_assert_str_eq(err.text, text);
}

static void expect_done(struct ff_cloud *cloud, const char *name)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	cr_assert_eq(ff_azure.login_next(cloud, NOW, &ask, &err), FF_TURN_DONE, "%s", err.text);
	cr_assert(ff_has_prefix(ff_azure.login_name(cloud), name), "%s", ff_azure.login_name(cloud));
}

#define TOKEN "{\"access_token\":\"tok.en\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"

Test(azure_identity, a_client_secret_is_sent_as_the_form_says)
{
	static const char *const env[] = {CLOUD_ENV, "AZURE_TENANT_ID", "contoso.com", "AZURE_CLIENT_ID", "c-1",
		"AZURE_CLIENT_SECRET", "s&cret=", NULL};
	struct ff_cloud *cloud = open_env(env);
	struct ff_ask ask = next_ask(cloud);

	cr_assert_str_eq(ask.method, "POST");
	cr_assert_str_eq(ask.url, "https://login.test/contoso.com/oauth2/v2.0/token");
	cr_assert_str_eq(ff_headers_get(&ask.headers, "content-type"), "application/x-www-form-urlencoded");
	cr_assert_str_eq(ask.body, "grant_type=client_credentials&client_id=c-1&client_secret=s%26cret%3D&scope="
				   "https%3A%2F%2Fmanagement.azure.com%2F.default");
	give(cloud, &ask, kit_answer(200, TOKEN));
	expect_done(cloud, "client secret");
	cr_assert_eq(ff_azure.login_renew_at(cloud), NOW + 3599000 - 300000);
	ff_azure.close(cloud);
}

Test(azure_identity, the_scope_follows_the_cloud)
{
	static const struct {
		const char *cloud, *url, *scope;
	} cases[] = {
		{"public", "https://login.microsoftonline.com/t1/",
			"scope=https%3A%2F%2Fmanagement.azure.com%2F.default"},
		{"usgov", "https://login.microsoftonline.us/t1/",
			"scope=https%3A%2F%2Fmanagement.usgovcloudapi.net%2F.default"},
		{"china", "https://login.chinacloudapi.cn/t1/",
			"scope=https%3A%2F%2Fmanagement.chinacloudapi.cn%2F.default"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_scope_options options = {.subscription = SUB, .cloud = cases[i].cloud};
		struct ff_err err;
		struct ff_cloud *cloud = kit_open_with(&options, kit_secret_env, &err);
		struct ff_ask ask;

		cr_assert_not_null(cloud);
		ask = next_ask(cloud);
		cr_assert(ff_has_prefix(ask.url, cases[i].url), "%s", ask.url);
		cr_assert(ff_has_suffix(ask.body, cases[i].scope), "%s", ask.body);
		ff_ask_release(&ask);
		ff_azure.close(cloud);
	}
}

Test(azure_identity, a_refusal_ends_the_search_and_is_told_without_secrets)
{
	struct ff_cloud *cloud = open_env(kit_secret_env);
	struct ff_ask ask = next_ask(cloud);

	give(cloud, &ask,
		kit_answer(401,
			"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret "
			"provided.\\r\\nTrace ID: 1\"}"));
	expect_failed(
		cloud, "no Azure credential worked: client secret: AADSTS7000215: Invalid client secret provided.");
	ask = next_ask(cloud); /* a later attempt begins anew */
	give(cloud, &ask, kit_answer(400, "{\"error\":\"x\",\"error_description\":\"you said s1\"}"));
	expect_failed(cloud, "no Azure credential worked: client secret: status 400");
	ask = next_ask(cloud);
	give(cloud, &ask, kit_lost(FF_T_UNTRUSTED, "self-signed certificate"));
	expect_failed(cloud, "no Azure credential worked: client secret: the sign-in endpoint could not be reached: "
			     "self-signed certificate");
	ask = next_ask(cloud);
	give(cloud, &ask, kit_answer(200, "{\"access_token\":\"to\\r\\nken\",\"expires_in\":3599}"));
	expect_failed(cloud, "no Azure credential worked: client secret: the answer holds no token");
	ff_azure.close(cloud);
}

Test(azure_identity, a_source_half_configured_says_what_is_missing)
{
	static const struct {
		const char *env[5], *text;
	} cases[] = {
		{{"AZURE_CLIENT_SECRET", "s"},
			"no Azure credential worked: client secret: AZURE_TENANT_ID and AZURE_CLIENT_ID are not set"},
		{{"AZURE_CLIENT_SECRET", "s", "AZURE_TENANT_ID", "t"},
			"no Azure credential worked: client secret: AZURE_CLIENT_ID is not set"},
		{{"AZURE_CLIENT_CERTIFICATE_PATH", "/x", "AZURE_CLIENT_ID", "c"},
			"no Azure credential worked: client certificate: AZURE_TENANT_ID is not set"},
		{{"AZURE_FEDERATED_TOKEN_FILE", "/x", "AZURE_TENANT_ID", "t"},
			"no Azure credential worked: workload identity: AZURE_CLIENT_ID is not set"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_cloud *cloud = open_env(cases[i].env);

		expect_failed(cloud, cases[i].text);
		ff_azure.close(cloud);
	}
}

Test(azure_identity, nothing_configured_tries_managed_identity_then_az)
{
	static const char *const env[] = {NULL};
	struct ff_cloud *cloud = open_env(env);
	struct ff_ask ask = next_ask(cloud);

	cr_assert_str_eq(ask.method, "GET");
	cr_assert_str_eq(ask.url,
		"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
		"https%3A%2F%2Fmanagement.azure.com%2F");
	cr_assert_str_eq(ff_headers_get(&ask.headers, "Metadata"), "true");
	cr_assert(ask.direct);
	cr_assert_leq(ask.timeout_ms, 3000);
	give(cloud, &ask, kit_lost(FF_T_BROKEN, "timed out"));
	ask = next_ask(cloud);
	cr_assert_eq(ask.kind, FF_ASK_EXEC);
	static const char *const argv[] = {
		"az", "account", "get-access-token", "--resource", "https://management.azure.com/", "-o", "json"};
	cr_assert_eq(ask.argv.count, FF_COUNT(argv));
	for (size_t i = 0; i < FF_COUNT(argv); i++)
		cr_assert_str_eq(ask.argv.items[i], argv[i]);
	struct ff_answer missing = kit_lost(FF_T_LOCAL, "no such file");

	missing.status = ENOENT;
	give(cloud, &ask, missing);
	expect_failed(cloud,
		"no Azure credential worked: managed identity: no answer from 169.254.169.254; az: not installed");
	ff_azure.close(cloud);
}

Test(azure_identity, managed_identity_has_strings_for_numbers)
{
	static const char *const env[] = {
		"AZURE_CLIENT_ID", "id 1", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:99/", NULL};
	struct ff_cloud *cloud = open_env(env);
	struct ff_ask ask = next_ask(cloud);

	cr_assert_str_eq(ask.url, "http://127.0.0.1:99/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
				  "https%3A%2F%2Fmanagement.azure.com%2F&client_id=id%201");
	give(cloud, &ask, kit_answer(200, "{\"access_token\":\"a\",\"expires_in\":\"7200\",\"expires_on\":\"1\"}"));
	expect_done(cloud, "managed identity");
	cr_assert_eq(ff_azure.login_renew_at(cloud), NOW + 7200000 - 300000);
	ff_azure.close(cloud);
}

Test(azure_identity, app_service_has_its_own_endpoint)
{
	static const char *const env[] = {
		"IDENTITY_ENDPOINT", "http://127.0.0.1:41/msi/token", "IDENTITY_HEADER", "h", NULL};
	struct ff_cloud *cloud = open_env(env);
	struct ff_ask ask = next_ask(cloud);
	ff_auto_free char *expires =
		ff_printf("{\"access_token\":\"a\",\"expires_on\":\"%d\"}", (int)(NOW / 1000 + 3600));

	cr_assert_str_eq(ask.url, "http://127.0.0.1:41/msi/token?api-version=2019-08-01&resource="
				  "https%3A%2F%2Fmanagement.azure.com%2F");
	cr_assert_str_eq(ff_headers_get(&ask.headers, "X-IDENTITY-HEADER"), "h");
	give(cloud, &ask, kit_answer(200, expires));
	expect_done(cloud, "managed identity");
	cr_assert_eq(ff_azure.login_renew_at(cloud), NOW + 3600000 - 300000);
	ff_azure.close(cloud);
}

Test(azure_identity, a_machine_without_an_identity_is_passed_over)
{
	static const char *const env[] = {NULL};
	struct ff_cloud *cloud = open_env(env);
	struct ff_ask ask = next_ask(cloud);

	give(cloud, &ask,
		kit_answer(400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}"));
	ask = next_ask(cloud);
	cr_assert_eq(ask.kind, FF_ASK_EXEC);
	give(cloud, &ask, (struct ff_answer){.transport = FF_T_OK, .status = 1});
	expect_failed(cloud,
		"no Azure credential worked: managed identity: 169.254.169.254: Identity not found; az: ended "
		"with status 1: 'az login' may be needed");
	ff_azure.close(cloud);
}

static struct ff_cloud *open_group(const char *const *pairs)
{
	struct ff_scope_options options = {0};
	struct ff_err err;
	struct ff_cloud *cloud;

	ff_strv_add(&options.groups, "prod");
	cloud = kit_open_with(&options, pairs, &err);
	cr_assert_not_null(cloud, "%s", err.text);
	ff_strv_free(&options.groups);
	return cloud;
}

Test(azure_identity, az_tells_the_subscription_and_a_short_life)
{
	static const char *const env[] = {NULL};
	struct ff_cloud *cloud = open_group(env);
	struct ff_ask ask = next_ask(cloud);
	ff_auto_free char *out = ff_printf(
		"{\"accessToken\":\"a\",\"expiresOn\":\"2024-07-19 09:00:00\",\"expires_on\":%d,\"subscription\":"
		"\"" SUB "\"}",
		(int)(NOW / 1000 + 400));

	give(cloud, &ask, kit_lost(FF_T_BROKEN, "timed out"));
	ask = next_ask(cloud);
	give(cloud, &ask, kit_answer(0, out));
	expect_done(cloud, "az");
	cr_assert_eq(ff_azure.login_renew_at(cloud), NOW + 200000); /* half of a short life, or it would never end */
	cr_assert_str_eq(ff_azure.title(cloud), "azure subscription " SUB ", resource group prod");
	ff_azure.close(cloud);
}

Test(azure_identity, managed_identity_finds_its_subscription_in_the_metadata)
{
	static const char *const env[] = {NULL};
	struct ff_cloud *cloud = open_group(env);
	struct ff_ask ask = next_ask(cloud);

	give(cloud, &ask, kit_answer(200, TOKEN));
	ask = next_ask(cloud);
	cr_assert_str_eq(ask.url, "http://169.254.169.254/metadata/instance?api-version=2021-02-01");
	cr_assert(ask.direct);
	give(cloud, &ask, kit_answer(200, "{\"compute\":{\"subscriptionId\":\"" SUB "\"}}"));
	expect_done(cloud, "managed identity");
	ff_azure.close(cloud);
}

Test(azure_identity, a_group_without_a_subscription_names_the_ways_out)
{
	struct ff_cloud *cloud = open_group(kit_secret_env);
	struct ff_ask ask = next_ask(cloud);

	give(cloud, &ask, kit_answer(200, TOKEN));
	expect_failed(cloud, "the resource group's subscription is not known: give --subscription ID, set "
			     "AZURE_SUBSCRIPTION_ID, or sign in with az");
	ff_azure.close(cloud);
}

Test(azure_identity, a_federated_token_is_read_anew_each_time)
{
	static const char *const env[] = {CLOUD_ENV, "AZURE_TENANT_ID", "t", "AZURE_CLIENT_ID", "c",
		"AZURE_FEDERATED_TOKEN_FILE", "/var/run/token", NULL};
	struct ff_cloud *cloud = open_env(env);

	for (int round = 0; round < 2; round++) {
		struct ff_ask ask = next_ask(cloud);

		cr_assert_eq(ask.kind, FF_ASK_FILE);
		cr_assert_str_eq(ask.path, "/var/run/token");
		give(cloud, &ask, kit_answer(0, round ? "b.c.d\n" : "a.b.c\n"));
		ask = next_ask(cloud);
		cr_assert(strstr(ask.body, round ? "&client_assertion=b.c.d&" : "&client_assertion=a.b.c&") != NULL);
		cr_assert(strstr(ask.body,
				  "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-"
				  "bearer&") != NULL);
		give(cloud, &ask, kit_answer(200, TOKEN));
		expect_done(cloud, "workload identity");
		ff_azure.login_reset(cloud);
	}
	ff_azure.close(cloud);
}

Test(azure_identity, an_unreadable_file_is_named)
{
	static const char *const env[] = {
		"AZURE_TENANT_ID", "t", "AZURE_CLIENT_ID", "c", "AZURE_CLIENT_CERTIFICATE_PATH", "/x.pem", NULL};
	struct ff_cloud *cloud = open_env(env);
	struct ff_ask ask = next_ask(cloud);
	struct ff_answer answer = kit_lost(FF_T_LOCAL, "");

	answer.status = ENOENT;
	give(cloud, &ask, answer);
	expect_failed(cloud, "no Azure credential worked: client certificate: '/x.pem' cannot be read: No such file or "
			     "directory");
	ask = next_ask(cloud);
	give(cloud, &ask, kit_answer(0, "nonsense"));
	expect_failed(cloud,
		"no Azure credential worked: client certificate: '/x.pem': no private key can be read from the "
		"file (PEM or PKCS#12; AZURE_CLIENT_CERTIFICATE_PASSWORD is not set)");
	ff_azure.close(cloud);
}

Test(azure_identity, a_token_is_renewed_when_its_time_has_come)
{
	struct ff_cloud *cloud = open_env(kit_secret_env);
	struct ff_ask ask = next_ask(cloud);
	struct ff_err err = {0};

	give(cloud, &ask, kit_answer(200, TOKEN));
	expect_done(cloud, "client secret");
	cr_assert_eq(ff_azure.login_next(cloud, ff_azure.login_renew_at(cloud), &ask, &err), FF_TURN_ASK);
	ff_ask_release(&ask);
	ff_azure.close(cloud);
}

/* ---- certificates */

static EVP_PKEY *make_key(void)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);

	cr_assert_not_null(key);
	return key;
}

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	cr_assert_gt(X509_sign(x, key, EVP_sha256()), 0);
	return x;
}

static char *bio_text(BIO *bio, size_t *len)
{
	char *data;

	*len = (size_t)BIO_get_mem_data(bio, &data);
	data = memcpy(ff_calloc(*len + 1, 1), data, *len);
	BIO_free(bio);
	return data;
}

/* Checks header, claims and signature of the assertion. */
static void check_jwt(const char *jwt, EVP_PKEY *key, X509 *x, const char *audience)
{
	ff_auto_free char *copy = ff_strdup(jwt);
	char *claims_text = strchr(copy, '.') + 1, *signature_text = strchr(claims_text, '.') + 1;
	size_t signed_len = (size_t)(signature_text - copy) - 1, len;
	ff_auto_json json_t *header = NULL, *claims = NULL;
	unsigned char hash[32];
	unsigned n;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;

	signature_text[-1] = claims_text[-1] = '\0';
	ff_auto_free char *h = ff_base64_decode(copy, &len), *c = ff_base64_decode(claims_text, &len);
	ff_auto_free unsigned char *signature = ff_base64_decode(signature_text, &len);

	header = kit_json(h);
	claims = kit_json(c);
	X509_digest(x, EVP_sha256(), hash, &n);
	ff_auto_free char *thumbprint = ff_base64url(hash, n);
	cr_assert_str_eq(ff_json_str(header, "alg"), "PS256");
	cr_assert_str_eq(ff_json_str(header, "typ"), "JWT");
	cr_assert_str_eq(json_string_value(json_object_get(header, "x5t#S256")), thumbprint);
	cr_assert_str_eq(ff_json_str(claims, "aud"), audience);
	cr_assert_str_eq(ff_json_str(claims, "iss"), "c");
	cr_assert_str_eq(ff_json_str(claims, "sub"), "c");
	cr_assert(azure_is_guid(ff_json_str(claims, "jti")));
	cr_assert_eq(ff_json_int(claims, "nbf", 0), NOW / 1000);
	cr_assert_eq(ff_json_int(claims, "exp", 0), NOW / 1000 + 600);
	cr_assert_eq(EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key), 1);
	EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
	EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32);
	cr_assert_eq(EVP_DigestVerify(md, signature, len, (const unsigned char *)jwt, signed_len), 1);
	EVP_MD_CTX_free(md);
}

Test(azure_identity, a_certificate_signs_the_assertion)
{
	EVP_PKEY *key = make_key(), *other = make_key();
	X509 *x = make_certificate(key), *foreign = make_certificate(other);
	static const char *const env[] = {CLOUD_ENV, "AZURE_TENANT_ID", "t", "AZURE_CLIENT_ID", "c",
		"AZURE_CLIENT_CERTIFICATE_PATH", "/c.pem", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "pw", NULL};

	for (int form = 0; form < 3; form++) { /* PEM, encrypted PEM, PKCS#12 */
		BIO *bio = BIO_new(BIO_s_mem());
		struct ff_cloud *cloud = open_env(env);
		struct ff_ask ask = next_ask(cloud);
		struct ff_answer file = {.transport = FF_T_OK};
		char *jwt, *end;

		if (form == 2) {
			PKCS12 *box = PKCS12_create("pw", "name", key, x, NULL, 0, 0, 0, 0, 0);

			i2d_PKCS12_bio(bio, box);
			PKCS12_free(box);
		} else {
			PEM_write_bio_X509(bio, foreign); /* some other certificate first */
			PEM_write_bio_X509(bio, x);
			PEM_write_bio_PKCS8PrivateKey(bio, key, form ? EVP_aes_256_cbc() : NULL, form ? "pw" : NULL,
				form ? 2 : 0, NULL, NULL);
		}
		file.body = bio_text(bio, &file.body_len);
		give(cloud, &ask, file);
		ask = next_ask(cloud);
		jwt = strstr(ask.body, "client_assertion=");
		cr_assert_not_null(jwt);
		jwt = ff_strdup(jwt + strlen("client_assertion="));
		end = strchr(jwt, '&');
		cr_assert_not_null(end);
		*end = '\0';
		check_jwt(jwt, key, x, "https://login.test/t/oauth2/v2.0/token");
		free(jwt);
		give(cloud, &ask, kit_answer(200, TOKEN));
		expect_done(cloud, "client certificate");
		ff_azure.close(cloud);
	}
	X509_free(x);
	X509_free(foreign);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

Test(azure_identity, a_wrong_password_and_a_missing_certificate_are_told)
{
	EVP_PKEY *key = make_key();
	struct ff_err err = {0};
	size_t len;
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;

	PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), "pw", 2, NULL, NULL);
	pem = bio_text(bio, &len);
	cr_assert_null(azure_assertion(pem, len, "wrong", "a", "c", NOW, &err));
	cr_assert(strstr(err.text, "may be wrong") != NULL, "%s", err.text);
	cr_assert_null(azure_assertion(pem, len, "pw", "a", "c", NOW, &err));
	cr_assert(strstr(err.text, "no certificate") != NULL, "%s", err.text);
	cr_assert_eq(err.class, FF_E_AUTH);
	free(pem);
	EVP_PKEY_free(key);
}
