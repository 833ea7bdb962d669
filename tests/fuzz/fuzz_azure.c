/* Azure's answers; the input is described in cloud.c. */
#include "cloud.h"

#define SUB "00000000-0000-4000-8000-000000000001"
#define SP  "AZURE_TENANT_ID", "t1", "AZURE_CLIENT_ID", "c1"

static const char *const secret[] = {SP, "AZURE_CLIENT_SECRET", "s1", NULL};
static const char *const certificate[] = {SP, "AZURE_CLIENT_CERTIFICATE_PATH", "/cert.pem", NULL};
static const char *const workload[] = {SP, "AZURE_FEDERATED_TOKEN_FILE", "/token", NULL};
static const char *const none[] = {NULL};
static const char *const app_service[] = {
	"IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token", "IDENTITY_HEADER", "h", NULL};
static const char *const *const envs[] = {secret, certificate, workload, none, app_service, NULL};

static void options(struct ff_scope_options *o)
{
	o->subscription = SUB;
	ff_strv_add(&o->groups, "prod");
}

#define VM(name, more)                                                                                                 \
	"{'name':'" name "','zone':'1','tags':{'env':'prod'},'os_disk':{'name':'" name                                 \
	"-os','bad':true,'size_gib':4,'sku':'Premium_LRS','tags':{'cost':'42'},'delete_option':'Delete'}" more "}"

static struct fuzz_cloud cloud = {
	.scenario =
		"{'seed':7,'azure':{'subscription':'" SUB
		"','tenant':'t1','client_id':'c1','client_secret':'s1','page_size':2,'token_seconds':86000,'vms':[" VM(
			"web-1", "") "," VM("web-2", "") "," VM("web-3",
			"") ","
			    "{'name':'rescue-1','zone':'1','os':'Linux','size':'Standard_D16s_v3',"
			    "'tags':{'fixfleet-role':'rescue'}}]}}",
	.options = options,
	.envs = envs,
};

FUZZ_CLOUD_TARGET("azure", cloud)
