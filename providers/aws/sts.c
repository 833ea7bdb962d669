/* Roles and identity, by STS in the scope's region. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define SESSION_NAME "fixfleet"

static void ask_sts(struct ff_cloud *cloud, struct ff_ask *ask, enum aws_question question, struct ff_buf *form)
{
	aws_ask(cloud, ask, AWS_STS, question, form);
	ask->secret = true;
}

/* Signing in is not signed by the engine; what is sent with keys is dated and signed here. */
static void sign_now(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask)
{
	struct aws_scope scope = {.region = cloud->region, .service = aws_service_name(AWS_STS)};
	struct aws_login *login = cloud->login;

	(void)aws_sigv4(ask, &login->next, &scope, wall_ms + login->offset_ms, NULL, NULL);
}

void aws_role_ask(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask)
{
	struct aws_login *login = cloud->login;
	const struct aws_settings *s = &login->settings;
	const char *profile = login->plan.roles[login->role_at - 1];
	const char *session = aws_profile_get(s, profile, "role_session_name");
	const char *external = aws_profile_get(s, profile, "external_id");
	const char *duration = aws_profile_get(s, profile, "duration_seconds");
	struct ff_buf form = {0};
	int64_t seconds;

	aws_form(&form, AWS_STS, "AssumeRole");
	ff_form_add(&form, "RoleArn", aws_profile_get(s, profile, "role_arn"));
	ff_form_add(&form, "RoleSessionName", session ? session : SESSION_NAME);
	if (external != NULL)
		ff_form_add(&form, "ExternalId", external);
	if (ff_parse_i64(duration, 900, 43200, &seconds) == 0)
		ff_form_add(&form, "DurationSeconds", duration);
	ask_sts(cloud, ask, AWS_Q_ROLE, &form);
	sign_now(cloud, wall_ms, ask);
}

void aws_web_role_ask(struct ff_cloud *cloud, struct ff_ask *ask)
{
	struct aws_login *login = cloud->login;
	const struct aws_settings *s = &login->settings;
	const char *profile = login->plan.profile, *role = NULL, *session = NULL;
	struct ff_buf form = {0};

	if (login->plan.from_env) {
		role = s->env[AWS_ENV_ROLE_ARN];
		session = s->env[AWS_ENV_ROLE_SESSION];
	}
	role = role ? role : aws_profile_get(s, profile, "role_arn");
	session = session ? session : aws_profile_get(s, profile, "role_session_name");
	aws_form(&form, AWS_STS, "AssumeRoleWithWebIdentity");
	ff_form_add(&form, "RoleArn", role);
	ff_form_add(&form, "RoleSessionName", session ? session : SESSION_NAME);
	ff_form_add(&form, "WebIdentityToken", login->text);
	ask_sts(cloud, ask, AWS_Q_WEB_ROLE, &form);
}

void aws_whoami_ask(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask)
{
	struct ff_buf form = {0};

	aws_form(&form, AWS_STS, "GetCallerIdentity");
	ask_sts(cloud, ask, AWS_Q_WHOAMI, &form);
	sign_now(cloud, wall_ms, ask);
}

/* ---------------------------------------------------------------- answers */

static bool take_role(struct aws_login *login, const xmlNode *root, const char *result)
{
	ff_auto_free char *path = ff_printf("%s/Credentials", result);
	const xmlNode *node = aws_xml_at(root, path);
	const char *id = aws_xml_str(node, "AccessKeyId"), *secret = aws_xml_str(node, "SecretAccessKey");
	const char *token = aws_xml_str(node, "SessionToken");
	int64_t expires_ms = 0;

	if (id[0] == '\0' || secret[0] == '\0' || token[0] == '\0')
		return false;
	if (ff_time_parse(aws_xml_str(node, "Expiration"), &expires_ms) < 0)
		expires_ms = 0;
	aws_keys_release(&login->next);
	login->next = (struct aws_keys){
		.id = ff_strdup(id), .secret = ff_strdup(secret), .token = ff_strdup(token), .expires_ms = expires_ms};
	return aws_keys_plain(&login->next);
}

/* Another try may tell: STS was reached, and answered nonsense, or nothing whole. */
static bool whoami_may_pass(const struct ff_cloud *cloud, const struct aws_reply *reply, const struct ff_answer *answer)
{
	switch (reply->class) {
	case FF_E_NONE: /* and yet no account in it */
		return cloud->account == NULL;
	case FF_E_TRANSIENT:
		return answer->transport != FF_T_NOT_SENT; /* a closed network has no STS: the way is not held up */
	case FF_E_THROTTLED:
	case FF_E_BUG:
		return true;
	default:
		return false;
	}
}

/*
 * Only wrong credentials end it here: that the account's number cannot be learned harms nobody now. It is worth a few
 * tries, though: a run whose account is known is gone on with only where it is known again.
 */
static void whoami_read(struct ff_cloud *cloud, const struct aws_reply *reply, const struct ff_answer *answer)
{
	struct aws_login *login = cloud->login;
	bool wrong = reply->class == FF_E_AUTH || (reply->class == FF_E_DENIED && aws_code_is_signature(reply->code));

	if (reply->class == FF_E_NONE)
		aws_set_account(cloud, aws_xml_str(reply->root, "GetCallerIdentityResult/Account"));
	if (wrong)
		aws_login_fail(login, "%s: %s", login->plan.name, reply->err.text);
	login->tries = whoami_may_pass(cloud, reply, answer) ? login->tries + 1 : AWS_WHOAMI_TRIES;
}

static void role_read(struct aws_login *login, const struct aws_reply *reply, bool web)
{
	ff_auto_free char *clean = web ? NULL : ff_printable(login->plan.roles[login->role_at - 1]);
	const char *of = web ? login->plan.name : clean;

	if (reply->class != FF_E_NONE)
		aws_login_fail(login, "role of %s%s: %s", web ? "" : "profile ", of, reply->err.text);
	else if (!take_role(login, reply->root, web ? "AssumeRoleWithWebIdentityResult" : "AssumeRoleResult"))
		aws_login_fail(login, "role of %s%s: no credentials in the answer", web ? "" : "profile ", of);
	else if (web)
		aws_login_have_source(login);
	else
		login->role_at--;
}

void aws_sts_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct aws_login *login = cloud->login;
	aws_auto_reply reply;

	aws_reply_read(&reply, answer);
	if (aws_code_is_signature(reply.code) && !login->resigned && aws_clock_correct(login, wall_ms, answer)) {
		login->resigned = true;
		return;
	}
	switch (AWS_TAG_QUESTION(ask->tag)) {
	case AWS_Q_WHOAMI:
		whoami_read(cloud, &reply, answer);
		break;
	default:
		role_read(login, &reply, AWS_TAG_QUESTION(ask->tag) == AWS_Q_WEB_ROLE);
	}
}
