/* The Security Token Service: who am I, and credentials that end. */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MIN 900
#define DURATION_MAX 43200

static void random_text(struct sim *sim, const char *alphabet, size_t len, char *out)
{
	size_t count = strlen(alphabet);

	for (size_t i = 0; i < len; i++)
		out[i] = alphabet[sim_random(sim) % count];
	out[len] = '\0';
}

const struct aw_session *aw_new_session(struct sim *sim, struct aws *aws, const char *session_name, int64_t seconds)
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	static const char mixed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	struct aw_session *s;
	char token[241];

	aws->sessions = ff_realloc(aws->sessions, aws->session_count + 1, sizeof(*aws->sessions));
	s = &aws->sessions[aws->session_count++];
	snprintf(s->key, sizeof(s->key), "ASIA");
	random_text(sim, upper, 16, s->key + 4);
	random_text(sim, mixed, 40, s->secret);
	random_text(sim, mixed, sizeof(token) - 1, token);
	s->token = ff_printf("IQoJb3JpZ2lu%s==", token);
	s->arn = ff_printf("arn:aws:sts::%s:assumed-role/%s/%s", aws->account, aws->role, session_name);
	s->user_id = ff_printf("AROAEXAMPLEFIXFLEETID:%s", session_name);
	s->until_ms = sim->now_ms + seconds * 1000;
	return s;
}

static void credentials(struct aw_call *c, const struct aw_session *s)
{
	aw_open(c, "Credentials");
	aw_text(c, "AccessKeyId", s->key);
	aw_text(c, "SecretAccessKey", s->secret);
	aw_text(c, "SessionToken", s->token);
	aw_time(c, "Expiration", s->until_ms);
	aw_close(c, "Credentials");
	aw_open(c, "AssumedRoleUser");
	aw_text(c, "AssumedRoleId", s->user_id);
	aw_text(c, "Arn", s->arn);
	aw_close(c, "AssumedRoleUser");
}

void aw_caller_identity(struct aw_call *c)
{
	aw_begin(c);
	aw_text(c, "Arn", c->arn);
	aw_text(c, "UserId", c->user_id);
	aw_text(c, "Account", c->aws->account);
	aw_end(c);
}

/* The session's name and life, or -1 after a refusal. Patterns and ranges are those of the service model. */
static int read_session(struct aw_call *c, const char **name, int64_t *seconds)
{
	const char *duration = aw_get(c, "DurationSeconds");
	size_t len;

	*name = aw_need(c, "RoleSessionName");
	*seconds = c->aws->session_s;
	if (*name == NULL)
		return -1;
	len = strlen(*name);
	if (len < 2 || len > 64 ||
		strspn(*name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-") != len)
		return aw_refuse(c, 400, "ValidationError",
			"1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: "
			"Member must satisfy regular expression pattern: [\\w+=,.@-]*",
			*name);
	if (duration != NULL && ff_parse_i64(duration, DURATION_MIN, DURATION_MAX, seconds) < 0)
		return aw_refuse(c, 400, "ValidationError",
			"1 validation error detected: Value '%s' at 'durationSeconds' failed to satisfy constraint: "
			"Member must have value greater than or equal to 900 and less than or equal to 43200",
			duration);
	return 0;
}

static bool is_our_role(const struct aws *aws, const char *arn)
{
	ff_auto_free char *ours = ff_printf("arn:aws:iam::%s:role/%s", aws->account, aws->role);

	return ff_streq(arn, ours);
}

void aw_assume_role(struct aw_call *c)
{
	const char *arn = aw_need(c, "RoleArn"), *name;
	int64_t seconds;

	if (arn == NULL || read_session(c, &name, &seconds) < 0 || aw_allowed(c, NULL) < 0)
		return;
	if (!is_our_role(c->aws, arn) ||
		(c->aws->external_id != NULL && !ff_streq(aw_get(c, "ExternalId"), c->aws->external_id))) {
		aw_refuse(c, 403, "AccessDenied",
			"User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c->arn, arn);
		return;
	}
	aw_begin(c);
	credentials(c, aw_new_session(c->sim, c->aws, name, seconds));
	aw_end(c);
}

void aw_assume_web(struct aw_call *c)
{
	const char *arn = aw_need(c, "RoleArn"), *name, *token;
	int64_t seconds;

	if (arn == NULL || read_session(c, &name, &seconds) < 0)
		return;
	token = aw_need(c, "WebIdentityToken");
	if (token == NULL)
		return;
	if (c->aws->web_token == NULL || !ff_streq(token, c->aws->web_token)) {
		aw_refuse(c, 400, "InvalidIdentityToken",
			"No OpenIDConnect provider found in your account for the token's issuer");
		return;
	}
	if (!is_our_role(c->aws, arn)) {
		aw_refuse(c, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
		return;
	}
	aw_begin(c);
	credentials(c, aw_new_session(c->sim, c->aws, name, seconds));
	aw_text(c, "SubjectFromWebIdentityToken", "system:serviceaccount:ops:fixfleet");
	aw_text(c, "Audience", "sts.amazonaws.com");
	aw_text(c, "Provider", "arn:aws:iam::123456789012:oidc-provider/oidc.example.com");
	aw_end(c);
}
