/* AWS's answers; the input is described in cloud.c. */
#include "cloud.h"

#include "cloudsim.h"

#define REGION "AWS_REGION", "us-east-1"

static const char *const keys[] = {
	REGION, "AWS_ACCESS_KEY_ID", SIM_AWS_KEY, "AWS_SECRET_ACCESS_KEY", SIM_AWS_SECRET, NULL};
static const char *const files[] = {REGION, "HOME", "/home/u", NULL};
static const char *const web[] = {
	REGION, "AWS_WEB_IDENTITY_TOKEN_FILE", "/token", "AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r", NULL};
static const char *const container[] = {REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/c",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token", NULL};
static const char *const nothing[] = {REGION, NULL};
static const char *const profile[] = {"HOME", "/home/u", "AWS_PROFILE", "p", NULL};
static const char *const *const envs[] = {keys, files, web, container, nothing, profile, NULL};

static void options(struct ff_scope_options *o)
{
	o->asg_standby = true;
}

#define VM(name, more)                                                                                                 \
	"{'name':'" name                                                                                               \
	"','tags':{'env':'prod'},'root':{'bad':true,'encrypted':true,'size_gib':4,'delete_on_termination':true}" more  \
	"}"

static struct fuzz_cloud cloud = {
	.scenario = "{'seed':7,'aws':{'groups':[{'name':'g'}],'vms':[" VM("web-1", ",'asg':'g'") "," VM("web-2",
		",'asg':'g'") "," VM("web-3", ",'asg':'g'") ",{'name':'rescue-1','os':'Linux','type':'m5.large',"
							    "'tags':{'fixfleet-role':'rescue'}}]}}",
	.options = options,
	.envs = envs,
};

FUZZ_CLOUD_TARGET("aws", cloud)
