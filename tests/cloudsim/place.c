#include "place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloudsim.h"
#include "files.h"
#include "gcp_place.h"

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

/* A socket that listens there; -1 with errno. */
static int bound(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0 && listen(fd, 128) == 0 &&
		getsockname(fd, (struct sockaddr *)at, &len) == 0)
		return fd;
	close(fd);
	return -1;
}

int sim_listen(const char *where, unsigned *port, struct ff_err *err)
{
	const char *colon = strrchr(where, ':');
	ff_auto_free char *host = colon != NULL ? ff_strndup(where, (size_t)(colon - where)) : NULL;
	struct sockaddr_in at = {.sin_family = AF_INET};
	int64_t number;
	int fd;

	if (colon == NULL || ff_parse_i64(colon + 1, 0, 65535, &number) < 0 ||
		inet_pton(AF_INET, host, &at.sin_addr) != 1 || (ntohl(at.sin_addr.s_addr) >> 24) != 127)
		return ff_fail(err, FF_E_USAGE, "'%s' is no loopback address and port such as 127.0.0.1:0", where);
	at.sin_port = htons((uint16_t)number);
	fd = bound(&at);
	if (fd < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot listen on '%s': %m", where);
	*port = ntohs(at.sin_port);
	return fd;
}

static json_t *environment(const struct sim_place *place, const json_t *scenario, const char *ca)
{
	const json_t *az = json_object_get(scenario, "azure");
	const char *sub = ff_json_str(az, "subscription"), *tenant = ff_json_str(az, "tenant");
	const char *client = ff_json_str(az, "client_id");
	json_t *env = json_object();

	ff_json_set_str(env, "AZURE_RESOURCE_MANAGER_ENDPOINT", place->base);
	ff_json_set_str(env, "AZURE_AUTHORITY_HOST", place->base);
	ff_json_set_str(env, "AZURE_GRAPH_ENDPOINT", place->base);
	ff_json_set_str(env, "AZURE_TENANT_ID", tenant != NULL ? tenant : SIM_AZURE_TENANT);
	ff_json_set_str(env, "AZURE_CLIENT_ID", client != NULL ? client : SIM_AZURE_CLIENT);
	ff_json_set_str(env, "AZURE_CLIENT_SECRET", ff_json_str(az, "client_secret"));
	ff_json_set_str(env, "AZURE_SUBSCRIPTION_ID", sub != NULL ? sub : SIM_AZURE_SUBSCRIPTION);
	ff_json_set_str(env, "AZURE_POD_IDENTITY_AUTHORITY_HOST", place->imds_base);
	ff_json_set_str(env, "CURL_CA_BUNDLE", ca);
	return env;
}

static void add_aws(json_t *env, const struct sim_place *place, const json_t *aws, const char *ca)
{
	const char *key = ff_json_str(aws, "access_key_id"), *secret = ff_json_str(aws, "secret_access_key");
	const char *region = ff_json_str(aws, "region");

	if (aws == NULL)
		return;
	ff_json_set_str(env, "AWS_ENDPOINT_URL", place->base);
	ff_json_set_str(env, "AWS_ACCESS_KEY_ID", key != NULL ? key : SIM_AWS_KEY);
	ff_json_set_str(env, "AWS_SECRET_ACCESS_KEY", secret != NULL ? secret : SIM_AWS_SECRET);
	ff_json_set_str(env, "AWS_REGION", region != NULL ? region : SIM_AWS_REGION);
	ff_json_set_str(env, "AWS_CA_BUNDLE", ca);
	ff_json_set_str(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT", place->imds_base);
}

/* export NAME='value', with quotes inside as the shell wants them */
static char *shell_lines(const json_t *env)
{
	ff_auto_buf out = {0};
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)env, key, value) {
		ff_buf_addf(&out, "export %s='", key);
		for (const char *p = json_string_value(value); *p != '\0'; p++)
			ff_buf_adds(&out, *p == '\'' ? "'\\''" : (char[]){*p, '\0'});
		ff_buf_adds(&out, "'\n");
	}
	return ff_buf_take(&out);
}

int sim_tell(const struct sim_place *place, const json_t *scenario, struct ff_err *err)
{
	ff_auto_free char *ca = ff_printf("%s/ca.pem", place->work_dir);
	ff_auto_free char *sh = ff_printf("%s/env.sh", place->work_dir);
	ff_auto_json json_t *env = environment(place, scenario, ca);
	ff_auto_json json_t *ready = json_pack("{s:s,s:i,s:s,s:i,s:O}", "url", place->base, "port", (int)place->port,
		"ca", ca, "pid", (int)getpid(), "env", env);
	ff_auto_free char *lines = NULL, *text = NULL;

	add_aws(env, place, json_object_get(scenario, "aws"), ca);
	if (sim_gcp_tell(place, json_object_get(scenario, "gcp"), env, err) < 0)
		return -1;
	lines = shell_lines(env);
	text = ff_json_text(ready);
	if (sim_write_file(ca, place->ca_pem, err) < 0 || sim_write_file(sh, lines, err) < 0)
		return -1;
	return place->ready != NULL ? sim_write_file(place->ready, text, err) : 0;
}
