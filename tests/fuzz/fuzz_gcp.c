/* GCP's answers; the input is described in cloud.c. */
#include "cloud.h"

#define PROJECT "GOOGLE_CLOUD_PROJECT", "p1"

static const char *const user[] = {PROJECT, "GOOGLE_APPLICATION_CREDENTIALS", "/adc.json", NULL};
static const char *const token[] = {PROJECT, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/token", NULL};
static const char *const home[] = {PROJECT, "HOME", "/home/u", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", NULL};
static const char *const metadata[] = {PROJECT, "GCE_METADATA_HOST", "127.0.0.1:8080", NULL};
static const char *const *const envs[] = {user, token, home, metadata, NULL};

static void options(struct ff_scope_options *o)
{
	o->project = "p1";
}

static const char *file(const char *path)
{
	return ff_streq(path, "/adc.json") ? "{\"type\":\"authorized_user\",\"client_id\":\"c\","
					     "\"client_secret\":\"s\",\"refresh_token\":\"r\"}"
					   : NULL;
}

#define VM(name, more)                                                                                                 \
	"{'name':'" name "','labels':{'env':'prod'},'boot':{'name':'" name "','bad':true,'size_gib':4}" more "}"

static struct fuzz_cloud cloud = {
	.scenario = "{'seed':7,'gcp':{'project':'p1','page_size':2,'token_seconds':86000,'user':{'client_id':'c','"
		    "client_secret':'s','refresh_token':'r'},"
		    "'vms':[" VM("web-1", "") "," VM("web-2", "") "," VM(
			    "web-3", "") ",{'name':'rescue-1','os':'Linux',"
					 "'labels':{'fixfleet-role':'rescue'}}]}}",
	.options = options,
	.envs = envs,
	.file = file,
};

FUZZ_CLOUD_TARGET("gcp", cloud)
