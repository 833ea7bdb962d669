/* The server around the model: TLS, connections, files, its life and end. */
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "server.h"

#define SUB "/subscriptions/00000000-0000-4000-8000-000000000001"
#define RG  SUB "/resourceGroups/prod/providers/Microsoft.Compute"
#define AV  "?api-version=2024-07-01"
#define DV  "?api-version=2024-03-02"

struct bed {
	char dir[64];
	pid_t pid;
	json_t *ready;
	char *bearer;
	/* of the last request */
	CURLcode code;
	long status;
	struct ff_buf body;
};

static const char scenario[] =
	"{\"azure\":{\"client_secret\":\"it's a secret\",\"federated_token_file\":\"fed\",\"link_delay_ms\":50,"
	"\"latency_ms\":{\"attach\":50,\"diskCopy\":10},\"retry_after_s\":{\"vm\":0,\"disk\":0},\"vms\":["
	"{\"name\":\"vm-1\",\"zone\":\"1\",\"tags\":{\"fixfleet-run\":\"r\"},\"os_disk\":{\"image\":\"a.img\"}},"
	"{\"name\":\"rescue-1\",\"zone\":\"1\",\"os\":\"Linux\",\"rescue\":true}]},"
	"\"faults\":[{\"match\":{\"path\":\"*/virtualMachines/reset*\"},\"answer\":{\"reset\":\"before\"}},"
	"{\"match\":{\"path\":\"*/virtualMachines/torn*\"},\"answer\":{\"truncate\":true}},"
	"{\"match\":{\"path\":\"*/virtualMachines/slow*\"},\"answer\":{\"hang_ms\":400}},"
	"{\"match\":{\"path\":\"*/virtualMachines/stuck*\"},\"answer\":{\"hang_ms\":600000}}]}";

static char *path_in(const struct bed *b, const char *name)
{
	return ff_printf("%s/%s", b->dir, name);
}

static void write_text(const struct bed *b, const char *name, const char *text)
{
	ff_auto_free char *path = path_in(b, name);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static void serve(const struct bed *b)
{
	ff_auto_free char *file = path_in(b, "s.json"), *work = path_in(b, "work"), *ready = path_in(b, "ready");
	ff_auto_free char *traffic = path_in(b, "traffic.jsonl"), *dev = path_in(b, "dev");
	struct sim_server_options o = {.scenario = file,
		.work_dir = work,
		.imds = "127.0.0.1:0",
		.ready = ready,
		.traffic = traffic,
		.dev_root = dev,
		.idle_ms = 30000};
	struct ff_err err = {0};
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* no server is left behind when a test fails */
	rc = sim_serve(&o, &err);

	if (rc < 0)
		fprintf(stderr, "%s\n", err.text);
	_exit(rc < 0 ? 1 : 0);
}

static json_t *read_json(const struct bed *b, const char *name)
{
	ff_auto_free char *path = path_in(b, name);

	return json_load_file(path, 0, NULL);
}

static struct bed open_bed(void)
{
	struct bed b = {.dir = "/tmp/cloudsim-server-XXXXXX"};
	ff_auto_free char *image = NULL;

	cr_assert_not_null(mkdtemp(b.dir));
	image = path_in(&b, "a.img");
	write_text(&b, "a.img", "boot");
	cr_assert_eq(truncate(image, 1 << 20), 0);
	write_text(&b, "fed", "federated");
	write_text(&b, "s.json", scenario);
	b.pid = fork();
	if (b.pid == 0)
		serve(&b);
	for (int i = 0; i < 500 && b.ready == NULL; i++) {
		pause_ms(20);
		b.ready = read_json(&b, "ready");
	}
	cr_assert_not_null(b.ready, "the server did not come up");
	return b;
}

static void close_bed(struct bed *b)
{
	ff_auto_free char *command = ff_printf("rm -rf '%s'", b->dir);
	int status;

	kill(b->pid, SIGTERM);
	cr_assert_eq(waitpid(b->pid, &status, 0), b->pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it did not end cleanly: %d", status);
	cr_assert_eq(system(command), 0);
	json_decref(b->ready);
	ff_buf_free(&b->body);
	free(b->bearer);
}

static size_t take(char *bytes, size_t size, size_t count, void *arg)
{
	ff_buf_add(arg, bytes, size * count);
	return size * count;
}

/* One request over a connection of its own. `to` is a path, or a whole URL. */
static void ask(struct bed *b, const char *method, const char *to, const char *type, const char *body)
{
	CURL *c = curl_easy_init();
	ff_auto_free char *url = ff_printf("%s%s", *to == '/' ? ff_json_str(b->ready, "url") : "", to);
	ff_auto_free char *content = ff_printf("Content-Type: %s", type != NULL ? type : "application/json");
	struct curl_slist *headers = curl_slist_append(NULL, content);

	headers = curl_slist_append(headers, "Metadata: true");
	if (b->bearer != NULL)
		headers = curl_slist_append(headers, b->bearer);
	ff_buf_free(&b->body);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CAINFO, ff_json_str(b->ready, "ca"));
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &b->body);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 2000L);
	if (strcmp(method, "GET") != 0)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, body != NULL ? body : "");
	b->code = curl_easy_perform(c);
	b->status = 0;
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &b->status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(c);
}

static void login(struct bed *b)
{
	ff_auto_json json_t *answer = NULL;

	ask(b, "POST", "/00000000-0000-4000-8000-00000000000a/oauth2/v2.0/token", "application/x-www-form-urlencoded",
		"grant_type=client_credentials&client_id=00000000-0000-4000-8000-00000000000b&client_secret=it%27s%20a%"
		"20"
		"secret&scope=https%3A%2F%2Fmanagement.azure.com%2F.default");
	cr_assert_eq(b->code, CURLE_OK, "%s", curl_easy_strerror(b->code));
	cr_assert_eq(b->status, 200, "%s", b->body.text);
	answer = ff_json_parse(b->body.text, b->body.len, 65536, NULL);
	b->bearer = ff_printf("Authorization: Bearer %s", ff_json_str(answer, "access_token"));
}

static bool exists(const struct bed *b, const char *name)
{
	ff_auto_free char *path = path_in(b, name);
	struct stat st;

	return stat(path, &st) == 0;
}

static bool comes(const struct bed *b, const char *name, bool wanted)
{
	for (int i = 0; i < 200 && exists(b, name) != wanted; i++)
		pause_ms(20);
	return exists(b, name) == wanted;
}

Test(cloudsim_server, it_speaks_https_with_its_own_authority, .timeout = 60)
{
	struct bed b = open_bed();
	ff_auto_free char *ca = ff_strdup(ff_json_str(b.ready, "ca"));

	login(&b);
	ask(&b, "GET", RG "/virtualMachines" AV, NULL, NULL);
	cr_assert_eq(b.status, 200);
	json_object_set_new(b.ready, "ca", json_string("/etc/ssl/certs/ca-certificates.crt"));
	ask(&b, "GET", RG "/virtualMachines" AV, NULL, NULL);
	cr_assert(b.code == CURLE_PEER_FAILED_VERIFICATION || b.code == CURLE_SSL_CACERT_BADFILE, "%d", b.code);
	json_object_set_new(b.ready, "ca", json_string(ca));
	ask(&b, "GET", ff_json_str(b.ready, "env/AZURE_POD_IDENTITY_AUTHORITY_HOST"), NULL, NULL);
	cr_assert_eq(b.code, CURLE_OK, "the second door is plain");
	close_bed(&b);
}

Test(cloudsim_server, faults_are_real_on_the_wire, .timeout = 60)
{
	struct bed b = open_bed();
	struct timespec from, to;
	ff_auto_free char *plain = NULL;

	login(&b);
	ask(&b, "GET", RG "/virtualMachines/reset" AV, NULL, NULL);
	cr_assert_neq(b.code, CURLE_OK);
	cr_assert_eq(b.status, 0, "a reset has no status");
	plain = ff_printf(
		"%s" RG "/virtualMachines/reset" AV, ff_json_str(b.ready, "env/AZURE_POD_IDENTITY_AUTHORITY_HOST"));
	ask(&b, "GET", plain, NULL, NULL);
	cr_assert_eq(b.code, CURLE_RECV_ERROR, "a mere close would be 'got nothing': %d", b.code);
	ask(&b, "GET", RG "/virtualMachines/torn" AV, NULL, NULL);
	cr_assert_eq(b.status, 404);
	cr_assert_neq(b.code, CURLE_OK, "the body breaks off");
	clock_gettime(CLOCK_MONOTONIC, &from);
	ask(&b, "GET", RG "/virtualMachines/slow" AV, NULL, NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	cr_assert_eq(b.status, 404);
	cr_assert_geq((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000, 400);
	ask(&b, "GET", RG "/virtualMachines/stuck" AV, NULL, NULL);
	cr_assert_eq(b.code, CURLE_OPERATION_TIMEDOUT);
	ask(&b, "GET", RG "/virtualMachines" AV, NULL, NULL);
	cr_assert_eq(b.status, 200, "the others are served meanwhile");
	close_bed(&b);
}

Test(cloudsim_server, disks_are_files_that_come_and_go_under_the_rescue_vm, .timeout = 60)
{
	struct bed b = open_bed();
	ff_auto_free char *disk = path_in(&b, "dev/rescue-1/disk/azure/scsi1/lun3"), *image = path_in(&b, "a.img");
	struct stat link, original;
	char boot[4];
	int fd;

	login(&b);
	ask(&b, "PUT", RG "/disks/copy" DV, NULL,
		"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"sku\":{\"name\":\"Premium_LRS\"},\"tags\":{"
		"\"fixfleet-run\":"
		"\"r\"},\"properties\":{\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":\"" RG
		"/disks/vm-1_OsDisk\"}}}");
	cr_assert_eq(b.status, 202, "%s", b.body.text);
	pause_ms(100);
	ask(&b, "POST", RG "/virtualMachines/rescue-1/attachDetachDataDisks" AV, NULL,
		"{\"dataDisksToAttach\":[{\"diskId\":\"" RG "/disks/copy\",\"lun\":3}]}");
	cr_assert_eq(b.status, 202, "%s", b.body.text);
	cr_assert(comes(&b, "dev/rescue-1/disk/azure/scsi1/lun3", true));
	cr_assert(exists(&b, "dev/rescue-1/disk/azure/data/by-lun/3"));
	cr_assert_eq(stat(disk, &link) | stat(image, &original), 0);
	cr_assert_eq(link.st_size, 1 << 20);
	cr_assert_neq(link.st_ino, original.st_ino, "it is a copy");
	fd = open(disk, O_RDONLY);
	cr_assert_eq(read(fd, boot, 4), 4);
	cr_assert_eq(memcmp(boot, "boot", 4), 0);
	close(fd);
	ask(&b, "POST", RG "/virtualMachines/rescue-1/attachDetachDataDisks" AV, NULL,
		"{\"dataDisksToDetach\":[{\"diskId\":\"" RG "/disks/copy\"}]}");
	cr_assert(comes(&b, "dev/rescue-1/disk/azure/scsi1/lun3", false));
	ask(&b, "DELETE", RG "/disks/copy" DV, NULL, NULL);
	ask(&b, "POST", "/_sim/advance?ms=5000", NULL, NULL);
	cr_assert_eq(b.status, 200);
	cr_assert_not(exists(&b, "work/disks/0001-copy.img"));
	close_bed(&b);
}

Test(cloudsim_server, it_tells_where_it_is_and_what_happened, .timeout = 60)
{
	struct bed b = open_bed();
	ff_auto_free char *command = NULL, *traffic = path_in(&b, "traffic.jsonl");
	ff_auto_json json_t *state = NULL;
	char line[65536];
	FILE *f;
	int lines = 0;

	command = ff_printf(
		"unset AZURE_CLIENT_SECRET; . %s/work/env.sh && test \"$AZURE_CLIENT_SECRET\" = \"it's a secret\" "
		"&& test -s \"$CURL_CA_BUNDLE\"",
		b.dir);
	cr_assert_eq(system(command), 0);
	login(&b);
	ask(&b, "GET", RG "/virtualMachines/reset" AV, NULL, NULL);
	ask(&b, "POST", "/_sim/human", NULL, "{\"op\":\"stop\",\"vm\":\"vm-1\"}");
	cr_assert_eq(b.status, 200);
	ask(&b, "POST", "/_sim/human", NULL, "{\"op\":\"stop\",\"vm\":\"nobody\"}");
	cr_assert_eq(b.status, 400);
	ask(&b, "POST", "/_sim/human", NULL, NULL);
	cr_assert_eq(b.status, 400);
	ask(&b, "GET", "/_sim/nothing", NULL, NULL);
	cr_assert_eq(b.status, 404);
	ask(&b, "GET", "/_sim/state", NULL, NULL);
	state = ff_json_parse(b.body.text, b.body.len, 1 << 20, NULL);
	cr_assert_str_eq(ff_json_str(state, "azure/vms/0/power"), "stopped");
	cr_assert_eq(ff_json_int(state, "requests/token", 0), 1);
	f = fopen(traffic, "r");
	while (fgets(line, sizeof(line), f) != NULL) {
		ff_auto_json json_t *j = ff_json_parse(line, strlen(line), sizeof(line), NULL);

		cr_assert_not_null(j);
		cr_assert_eq(ff_json_int(j, "status", -1), lines++ == 0 ? 200 : 0);
	}
	fclose(f);
	cr_assert_eq(lines, 2, "the token and the reset, nothing of /_sim");
	close_bed(&b);
}

Test(cloudsim_server, it_refuses_what_it_cannot_serve)
{
	static const struct {
		const char *text, *listen, *words;
	} cases[] = {
		{"{\"azure\":{}}", "0.0.0.0:0", "no loopback address"},
		{"{\"azure\":{}}", "127.0.0.1", "no loopback address"},
		{"{\"azure\":", "127.0.0.1:0", "s.json"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"os_disk\":{\"image\":\"none.img\"}}]}}", "127.0.0.1:0",
			"none.img"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"os_disk\":{\"image\":\"s.json\",\"size_gib\":1}}]}}",
			"127.0.0.1:0", "the scenario says otherwise"},
		{"{\"azure\":{\"certificate\":\"none.pem\"}}", "127.0.0.1:0", "none.pem"},
	};
	struct bed b = {.dir = "/tmp/cloudsim-server-XXXXXX"};
	ff_auto_free char *file = NULL, *work = NULL, *command = NULL;

	cr_assert_not_null(mkdtemp(b.dir));
	file = path_in(&b, "s.json");
	work = path_in(&b, "work");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct sim_server_options o = {.scenario = file, .work_dir = work, .listen = cases[i].listen};
		struct ff_err err = {0};

		write_text(&b, "s.json", cases[i].text);
		cr_expect_eq(sim_serve(&o, &err), -1);
		cr_expect(strstr(err.text, cases[i].words) != NULL, "%s: %s", cases[i].text, err.text);
	}
	command = ff_printf("rm -rf '%s'", b.dir);
	cr_assert_eq(system(command), 0);
}

Test(cloudsim_server, it_ends_when_nobody_asks_any_more, .timeout = 20)
{
	struct bed b = {.dir = "/tmp/cloudsim-server-XXXXXX"};
	ff_auto_free char *file = NULL, *work = NULL, *command = NULL;
	struct sim_server_options o = {.idle_ms = 200};
	struct ff_err err = {0};

	cr_assert_not_null(mkdtemp(b.dir));
	o.scenario = file = path_in(&b, "s.json");
	o.work_dir = work = path_in(&b, "work");
	write_text(&b, "s.json", "{\"azure\":{}}");
	cr_assert_eq(sim_serve(&o, &err), 0, "%s", err.text);
	command = ff_printf("rm -rf '%s'", b.dir);
	cr_assert_eq(system(command), 0);
}
