/* The command line in the journal: written by one process, read by another on another machine. */
#include "cmd/cmd.h"
#include "test_engine_world.h"

#define SUBSCRIPTION "00000000-0000-0000-0000-000000000001"
#define ARGS(...)    ((char *[]){"fixfleet", __VA_ARGS__, NULL})

TestSuite(remember, .init = setup, .fini = teardown);

static const char *no_env(void *self, const char *name)
{
	(void)self;
	return ff_streq(name, "GOOGLE_CLOUD_PROJECT") ? "from-env" : NULL;
}

/* What repair writes for that command line. */
static json_t *described(char **argv)
{
	struct ff_env env = {.get = no_env};
	struct found f = {0};
	struct options o;
	struct ff_err err = {0};
	json_t *info;
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	cr_assert_eq(options_parse(&o, argc, argv, FOR_FIND | FOR_REPAIR, &err), 0, "%s", err.text);
	f.engine = ff_engine_new(&w.world, &(struct ff_engine_config){.run = "r", .journal = true});
	for (size_t i = 0; i < o.scope_count; i++) {
		struct ff_cloud *cloud = o.scopes[i].provider->open(&o.scopes[i].options, &env, &err);

		cr_assert_not_null(cloud, "%s", err.text);
		ff_engine_add_scope(f.engine, o.scopes[i].provider, cloud);
	}
	info = options_describe(&o, &f);
	ff_engine_free(f.engine);
	options_release(&o);
	return info;
}

/* What resume makes of it, with a command line of its own. */
static struct options recalled(const json_t *info, char **argv)
{
	struct options o;
	struct ff_err err = {0};
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	cr_assert_eq(options_parse(&o, argc, argv, FOR_RESUME, &err), 0, "%s", err.text);
	cr_assert_eq(options_recall(&o, info, &err), 0, "%s", err.text);
	return o;
}

Test(remember, the_same_scopes_are_opened_again)
{
	ff_auto_json json_t *info = NULL;
	struct options o;

	world_init(&w);
	info = described(ARGS("--provider", "azure", "--subscription", SUBSCRIPTION, "--rg", "prod", "--rg", "test",
		"--provider", "aws", "--region", "us-east-1", "--profile", "ops", "--region", "eu-west-1", "--provider",
		"gcp", "--zone", "us-central1-a", "--rescue", "r1"));
	o = recalled(info, ARGS(NULL));
	cr_assert_eq(o.scope_count, 4);
	cr_expect_str_eq(o.scopes[0].provider->name, "azure");
	cr_expect_str_eq(o.scopes[0].options.subscription, SUBSCRIPTION);
	cr_expect_eq(o.scopes[0].options.groups.count, 2);
	cr_expect_str_eq(o.scopes[0].options.groups.items[1], "test");
	cr_expect_str_eq(o.scopes[1].options.region, "us-east-1");
	cr_expect_str_eq(o.scopes[1].options.profile, "ops");
	cr_expect_str_eq(o.scopes[2].options.region, "eu-west-1");
	cr_expect_str_eq(o.scopes[3].options.project, "from-env", "the next machine's environment is another");
	cr_expect_str_eq(o.scopes[3].options.zones.items[0], "us-central1-a");
	cr_expect_str_eq(o.rescues.items[0], "r1");
	options_release(&o);
}

Test(remember, so_are_the_options)
{
	ff_auto_json json_t *info = NULL;
	struct options o;

	world_init(&w);
	info = described(ARGS("--provider", "gcp", "--all", "--allow-deallocate", "--asg", "standby",
		"--discard-local-ssd", "--backup", "none", "--take-over", "--max-failures", "7%", "--canary", "3",
		"--parallel", "9", "--appliances", "2", "--verify-timeout", "60", "--worker", "ssh:ops@{rescue}",
		"--dev-root", "/mnt/{rescue}", "--key-secret", "bitlocker-{vm}", "--key-graph"));
	o = recalled(info, ARGS(NULL));
	cr_expect(o.all && o.allow_deallocate && o.asg_standby && o.discard_local_ssd && o.no_backup && o.take_over);
	cr_expect_eq(o.max_failures, 0);
	cr_expect_eq(o.max_failures_percent, 7);
	cr_expect_eq(o.canary, 3);
	cr_expect_eq(o.parallel, 9);
	cr_expect_eq(o.appliances, 2);
	cr_expect_eq(o.verify_ms, 60000);
	cr_expect_str_eq(o.worker, "ssh:ops@{rescue}");
	cr_expect_str_eq(o.dev_root, "/mnt/{rescue}");
	cr_expect_str_eq(o.key_secret, "bitlocker-{vm}");
	cr_expect(o.key_graph);
	options_release(&o);
}

Test(remember, the_next_machine_may_have_it_otherwise)
{
	ff_auto_json json_t *info = NULL;
	struct options o;

	world_init(&w);
	info = described(ARGS("--provider", "gcp", "--parallel", "9"));
	o = recalled(info, ARGS("--worker", "local", "--parallel", "2"));
	cr_expect_str_eq(o.worker, "local");
	cr_expect_eq(o.parallel, 2);
	cr_expect_eq(o.canary, 1);
	cr_expect_eq(o.max_failures, 5);
	options_release(&o);
	o = recalled(info, ARGS(NULL));
	cr_expect_str_eq(o.worker, "ssh");
	cr_expect_str_eq(o.dev_root, "/dev");
	options_release(&o);
}

/* Where the next process is started is another folder. */
Test(remember, files_are_remembered_whole)
{
	ff_auto_json json_t *info = NULL;

	world_init(&w);
	info = described(ARGS("--provider", "gcp", "--ca-file", "ca.pem", "--keys", "/etc/keys"));
	cr_expect_eq(ff_json_str(info, "ca_file")[0], '/');
	cr_expect(ff_has_suffix(ff_json_str(info, "ca_file"), "/ca.pem"));
	cr_expect_str_eq(ff_json_str(info, "keys_file"), "/etc/keys");
}

Test(remember, a_journal_that_names_no_scope_or_an_unknown_one_is_refused)
{
	static const char *const bad[] = {
		"{}", "{\"scopes\":[]}", "{\"scopes\":[{\"provider\":\"ibm\"}]}", "{\"scopes\":[7]}"};

	for (size_t i = 0; i < FF_COUNT(bad); i++) {
		ff_auto_json json_t *info = json_loads(bad[i], 0, NULL);
		struct options o = {0};
		struct ff_err err = {0};

		cr_expect_eq(options_recall(&o, info, &err), -1, "%s", bad[i]);
		cr_expect_eq(err.class, FF_E_LOCAL);
		options_release(&o);
	}
}
