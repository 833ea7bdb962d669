/* Every way to a token of GCP, and what a token is good for. */
#include "test_cloudsim_gcp.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "fixfleet/clock.h"

#define VMS "'vms':[{'name':'vm1'},{'name':'rescue1','os':'Linux','rescue':true}]"
#define SA  "fixfleet@p1.iam.gserviceaccount.com"

/* ---- a service account with a key of its own */

struct account {
	EVP_PKEY *key;
	struct kit k;
};

static char *pem_lines(EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_mem());
	ff_auto_buf json = {0};
	char *text;
	long n;

	cr_assert_eq(PEM_write_bio_PUBKEY(out, key), 1);
	n = BIO_get_mem_data(out, &text);
	for (long i = 0; i < n; i++)
		ff_buf_adds(&json, text[i] == '\n' ? "\\n" : (char[]){text[i], '\0'});
	BIO_free(out);
	return ff_buf_take(&json);
}

static struct account open_account(void)
{
	struct account a = {.key = EVP_RSA_gen(2048)};
	ff_auto_free char *pem = pem_lines(a.key);
	ff_auto_free char *scene =
		ff_printf("{'gcp':{'service_account':{'private_key_id':'k7','public_key':'%s'}," VMS "}}", pem);

	a.k = gk_model(scene);
	return a;
}

static void close_account(struct account *a)
{
	EVP_PKEY_free(a->key);
	kit_close(&a->k);
}

static char *sign(const struct account *a, const char *head, const char *claims)
{
	ff_auto_free char *h = ff_base64url(head, strlen(head)), *c = ff_base64url(claims, strlen(claims));
	ff_auto_free char *text = ff_printf("%s.%s", h, c), *signature = NULL;
	unsigned char bytes[512];
	size_t n = sizeof(bytes);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	cr_assert_eq(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, a->key), 1);
	cr_assert_eq(EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	signature = ff_base64url(bytes, n);
	return ff_printf("%s.%s", text, signature);
}

static int present(struct account *a, const char *jwt)
{
	ff_auto_free char *form =
		ff_printf("assertion=%s&grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer", jwt);

	return gk_form(&a->k, "/token", form);
}

#define HEAD "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"k7\"}"
#define CLAIMS(iss, aud, iat, exp, scope)                                                                              \
	"{\"iss\":\"" iss "\",\"aud\":\"" aud "\",\"iat\":" iat ",\"exp\":" exp "," scope "}"
#define AUD   "https://oauth2.googleapis.com/token"
#define CLOUD "\"scope\":\"https://www.googleapis.com/auth/cloud-platform\""
#define NOW   "1721372400" /* BEGAN */
#define HOUR  "1721376000"
#define OWN   "https://management.azure.com/token" /* the kit's base */

Test(cloudsim_gcp_identity, a_signed_assertion_is_checked_as_google_does)
{
	static const struct {
		const char *head, *claims;
		int status;
		const char *error, *words;
	} cases[] = {
		{HEAD, CLAIMS(SA, AUD, NOW, HOUR, CLOUD), 200, NULL, NULL},
		{HEAD, CLAIMS(SA, OWN, NOW, HOUR, CLOUD), 200, NULL, NULL},
		{"{\"alg\":\"RS256\"}", CLAIMS(SA, AUD, NOW, HOUR, CLOUD), 200, NULL, NULL},
		{"{\"alg\":\"RS256\",\"kid\":\"k8\"}", CLAIMS(SA, AUD, NOW, HOUR, CLOUD), 400, "invalid_grant",
			"Signature"},
		{"{\"alg\":\"HS256\",\"kid\":\"k7\"}", CLAIMS(SA, AUD, NOW, HOUR, CLOUD), 400, "invalid_grant",
			"Signature"},
		{HEAD, CLAIMS("x@p1.iam.gserviceaccount.com", AUD, NOW, HOUR, CLOUD), 400, "invalid_grant",
			"account not found"},
		{HEAD, CLAIMS(SA, "https://example.com/token", NOW, HOUR, CLOUD), 400, "invalid_grant", "audience"},
		{HEAD, CLAIMS(SA, AUD, NOW, "1721376001", CLOUD), 400, "invalid_grant", "short-lived"},
		{HEAD, CLAIMS(SA, AUD, "1721368000", "1721371600", CLOUD), 400, "invalid_grant", "short-lived"},
		{HEAD, CLAIMS(SA, AUD, "1721373000", HOUR, CLOUD), 400, "invalid_grant", "short-lived"},
		{HEAD, CLAIMS(SA, AUD, NOW, NOW, CLOUD), 400, "invalid_grant", "short-lived"},
		{HEAD, CLAIMS(SA, AUD, NOW, HOUR, "\"x\":1"), 400, "invalid_scope", "Invalid OAuth scope"},
		{HEAD, "[]", 400, "invalid_grant", "Failed to parse"},
	};
	struct account a = open_account();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *jwt = sign(&a, cases[i].head, cases[i].claims);

		cr_assert_eq(present(&a, jwt), cases[i].status, "case %zu: %s", i, a.k.a.body);
		if (cases[i].error == NULL)
			continue;
		cr_assert_str_eq(ff_json_str(a.k.body, "error"), cases[i].error, "case %zu", i);
		cr_assert_not_null(strstr(ff_json_str(a.k.body, "error_description"), cases[i].words), "case %zu: %s",
			i, a.k.a.body);
	}
	close_account(&a);
}

Test(cloudsim_gcp_identity, a_signature_of_another_key_or_text_is_refused)
{
	struct account a = open_account(), b = open_account();
	ff_auto_free char *foreign = sign(&b, HEAD, CLAIMS(SA, AUD, NOW, HOUR, CLOUD));
	ff_auto_free char *own = sign(&a, HEAD, CLAIMS(SA, AUD, NOW, HOUR, CLOUD));

	cr_assert_eq(present(&a, foreign), 400);
	cr_assert_str_eq(ff_json_str(a.k.body, "error_description"), "Invalid JWT Signature.");
	own[strlen(own) - 10] ^= 1;
	cr_assert_eq(present(&a, own), 400);
	cr_assert_eq(present(&a, "a"), 400);
	cr_assert_eq(present(&a, "..."), 400);
	close_account(&a);
	close_account(&b);
}

Test(cloudsim_gcp_identity, a_token_with_narrow_scopes_only_reads)
{
	struct account a = open_account();
	ff_auto_free char *jwt = sign(&a, HEAD,
		CLAIMS(SA, AUD, NOW, HOUR, "\"scope\":\"https://www.googleapis.com/auth/compute.readonly openid\""));

	cr_assert_eq(present(&a, jwt), 200);
	a.k.token = ff_strdup(ff_json_str(a.k.body, "access_token"));
	cr_assert_eq(kit_ask(&a.k, "GET", GVM("vm1"), NULL), 200);
	gk_refuse(&a.k, "POST", GVM("vm1") "/stop", NULL, 403, "insufficientPermissions",
		"insufficient authentication scopes");
	close_account(&a);
}

/* ---- other kinds of credentials */

static const char others[] =
	"{'gcp':{" GUSER ",'federation':{'audience':'//iam.googleapis.com/x','subject_token':'sub'},"
	"'impersonate':['mender@p1.iam.gserviceaccount.com']," VMS ",'token_seconds':600}}";

Test(cloudsim_gcp_identity, refresh_tokens_are_checked)
{
	static const struct {
		const char *form;
		int status;
		const char *error;
	} cases[] = {
		{GLOGIN, 200, NULL},
		{"grant_type=refresh_token&client_id=x&client_secret=s&refresh_token=r", 401, "invalid_client"},
		{"grant_type=refresh_token&client_id=c&client_secret=x&refresh_token=r", 401, "invalid_client"},
		{"grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=x", 400, "invalid_grant"},
		{"grant_type=password", 400, "unsupported_grant_type"},
		{"", 400, "invalid_request"},
		{"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer", 400, "invalid_request"},
	};
	struct kit k = gk_model(others);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_assert_eq(gk_form(&k, "/token", cases[i].form), cases[i].status, "%s", cases[i].form);
		if (cases[i].error != NULL)
			cr_assert_str_eq(ff_json_str(k.body, "error"), cases[i].error, "%s", cases[i].form);
		else
			cr_assert_eq(ff_json_int(k.body, "expires_in", 0), 600);
	}
	kit_close(&k);
}

#define EXCHANGE(aud, subject, kind)                                                                                   \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=" aud                           \
	"&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&requested_token_type="                        \
	"urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A" kind "&subject_token=" subject                                   \
	"&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
#define POOL "%2F%2Fiam.googleapis.com%2Fx"

Test(cloudsim_gcp_identity, subject_tokens_are_exchanged)
{
	static const struct {
		const char *form;
		int status;
		const char *error;
	} cases[] = {
		{EXCHANGE(POOL, "sub", "access_token"), 200, NULL},
		{EXCHANGE("elsewhere", "sub", "access_token"), 400, "invalid_target"},
		{EXCHANGE(POOL, "other", "access_token"), 400, "invalid_grant"},
		{EXCHANGE(POOL, "sub", "id_token"), 400, "invalid_request"},
		{"grant_type=refresh_token", 400, "unsupported_grant_type"},
	};
	struct kit k = gk_model(others);
	struct ff_headers h = {0};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_assert_eq(gk_form(&k, "/v1/token", cases[i].form), cases[i].status, "case %zu %s", i, k.a.body);
		if (cases[i].error != NULL)
			cr_assert_str_eq(ff_json_str(k.body, "error"), cases[i].error, "case %zu", i);
		else
			cr_assert_not_null(ff_json_str(k.body, "issued_token_type"));
	}
	ff_headers_add(&h, "Content-Length", "0");
	ff_headers_add(&h, "Authorization", "Bearer x");
	cr_assert_eq(kit_raw(&k, "POST", "/v1/token", &h, cases[0].form), 401, "no Authorization header there");
	ff_headers_free(&h);
	kit_close(&k);
}

#define IMP(who) "/v1/projects/-/serviceAccounts/" who ":generateAccessToken"

Test(cloudsim_gcp_identity, impersonation_gives_a_token_of_that_account)
{
	static const char body[] =
		"{\"scope\":[\"https://www.googleapis.com/auth/cloud-platform\"],\"lifetime\":\"300s\"}";
	static const char target[] = IMP("mender@p1.iam.gserviceaccount.com");
	struct kit k = gk_model(others);
	int64_t until = 0;

	gk_refuse(&k, "POST", target, body, 401, "authError", "invalid authentication credentials");
	cr_assert_eq(gk_login(&k), 200);
	gk_refuse(&k, "POST", IMP("other@p1.iam.gserviceaccount.com"), body, 403, "forbidden",
		"iam.serviceAccounts.getAccessToken");
	gk_refuse(&k, "POST", target, "{}", 400, "badRequest", "scope is required");
	gk_refuse(&k, "POST", target, "{\"scope\":[\"x\"],\"lifetime\":\"3601s\"}", 400, "badRequest", "lifetime");
	cr_assert_eq(kit_ask(&k, "POST", target, body), 200);
	cr_assert_eq(ff_time_parse(ff_json_str(k.body, "expireTime"), &until), 0);
	cr_assert_eq(until, k.now + 300000);
	free(k.token);
	k.token = ff_strdup(ff_json_str(k.body, "accessToken"));
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	k.now += 300000;
	gk_refuse(&k, "GET", GVM("vm1"), NULL, 401, "authError", "");
	kit_close(&k);
}

Test(cloudsim_gcp_identity, tokens_end_and_must_be_shown)
{
	struct kit k = gk_open(others);

	k.now += 599999;
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	k.now += 1;
	gk_refuse(&k, "GET", GVM("vm1"), NULL, 401, "authError", "Expected OAuth 2 access token");
	cr_assert_str_eq(ff_json_str(k.body, "error/status"), "UNAUTHENTICATED");
	cr_assert_not_null(ff_headers_get(&k.a.headers, "WWW-Authenticate"));
	cr_assert_eq(kit_raw(&k, "GET", GVM("vm1"), NULL, NULL), 401);
	cr_assert_str_eq(ff_json_str(k.body, "error/errors/0/reason"), "required");
	kit_close(&k);
}

/* ---- the metadata server */

static int metadata(struct kit *k, const char *target, const char *flavor)
{
	struct ff_headers h = {0};
	int status;

	if (flavor != NULL)
		ff_headers_add(&h, "Metadata-Flavor", flavor);
	status = kit_raw(k, "GET", target, &h, NULL);
	ff_headers_free(&h);
	return status;
}

static bool says(const struct kit *k, const char *text)
{
	return strlen(text) == k->a.body_len && memcmp(k->a.body, text, k->a.body_len) == 0;
}

#define MD "/computeMetadata/v1"

Test(cloudsim_gcp_identity, the_metadata_server_wants_its_header_and_sends_it)
{
	struct kit k = gk_model(others);

	cr_assert_eq(metadata(&k, MD "/instance/name", NULL), 403);
	cr_assert_eq(metadata(&k, MD "/instance/name", "google"), 403);
	cr_assert_eq(metadata(&k, "/", "Google"), 200);
	cr_assert_eq(metadata(&k, MD "/instance/name", "Google"), 200);
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Metadata-Flavor"), "Google");
	cr_assert(says(&k, "rescue1"));
	cr_assert_eq(metadata(&k, MD "/instance/zone", "Google"), 200);
	cr_assert(says(&k, "projects/628364689359/zones/us-central1-a"));
	cr_assert_eq(metadata(&k, MD "/project/project-id", "Google"), 200);
	cr_assert(says(&k, "p1"));
	cr_assert_eq(metadata(&k, MD "/instance/nothing", "Google"), 404);
	cr_assert_eq(metadata(&k, MD "/instance/service-accounts/default/email", "Google"), 200);
	cr_assert(says(&k, SA));
	cr_assert_eq(metadata(&k, MD "/instance/service-accounts/default/token", "Google"), 200);
	k.token = ff_strdup(ff_json_str(k.body, "access_token"));
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	kit_close(&k);
}

Test(cloudsim_gcp_identity, a_machine_without_a_service_account_has_no_token)
{
	struct kit k = gk_model("{'gcp':{'metadata_vm':'vm1','metadata_account':false," VMS "}}");

	cr_assert_eq(metadata(&k, MD "/instance/name", "Google"), 200);
	cr_assert(says(&k, "vm1"));
	cr_assert_eq(metadata(&k, MD "/instance/service-accounts/default/token", "Google"), 404);
	kit_close(&k);
}

Test(cloudsim_gcp_identity, a_secret_is_for_who_is_signed_in)
{
	struct kit k = gk_model(GSCENE("'secrets':{'bl-1':'hello'}"));

	cr_expect_eq(kit_raw(&k, "GET", "/v1/projects/p1/secrets/bl-1/versions/latest:access", NULL, NULL), 401);
	cr_assert_eq(gk_login(&k), 200);
	cr_expect_eq(kit_ask(&k, "GET", "/v1/projects/p1/secrets/bl-1/versions/latest:access", NULL), 200);
	cr_expect_str_eq(ff_json_str(k.body, "payload/data"), "aGVsbG8=");
	cr_expect_eq(kit_ask(&k, "GET", "/v1/projects/p1/secrets/bl-2/versions/latest:access", NULL), 404);
	kit_close(&k);
}
