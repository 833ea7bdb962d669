#include <criterion/criterion.h>
#include <string.h>

#include "cmd/cmd.h"
#include "fixfleet/json.h"

static struct ff_vm vm(const char *name, const char *id, const char *tags)
{
	return (struct ff_vm){.name = (char *)name, .id = (char *)id, .tags = json_loads(tags, 0, NULL)};
}

static bool takes(char **argv, const char *file, struct ff_vm v)
{
	struct instances in = {0};
	struct options o;
	struct ff_err err;
	int argc = 0;
	bool taken;

	while (argv[argc] != NULL)
		argc++;
	cr_assert_eq(options_parse(&o, argc, argv, FOR_FIND, &err), 0, "%s", err.text);
	if (file != NULL)
		cr_assert_eq(instances_parse(&in, file, strlen(file), &err), 0, "%s", err.text);
	taken = selection_takes(&o, file ? &in : NULL, &v);
	instances_release(&in);
	options_release(&o);
	json_decref(v.tags);
	return taken;
}
#define ARGS(...) ((char *[]){"fixfleet", __VA_ARGS__, NULL})

Test(select, without_filters_everything_is_taken)
{
	cr_expect(takes(ARGS(NULL), NULL, vm("a", "/x/a", "{}")));
}

Test(select, names_are_globs_and_any_of_them_will_do)
{
	cr_expect(takes(ARGS("--name", "web-*", "--name=db"), NULL, vm("DB", "/x", "{}")));
	cr_expect(takes(ARGS("--name", "web-*", "--name=db"), NULL, vm("web-1", "/x", "{}")));
	cr_expect_not(takes(ARGS("--name", "web-*"), NULL, vm("xweb-1", "/x", "{}")));
}

Test(select, all_tags_must_be_there)
{
	cr_expect(takes(ARGS("--tag", "env=prod", "--tag", "team=a=b"), NULL,
		vm("a", "/x", "{\"env\":\"prod\",\"team\":\"a=b\"}")));
	cr_expect_not(takes(ARGS("--tag", "env=prod", "--tag", "team=a"), NULL, vm("a", "/x", "{\"env\":\"prod\"}")));
	cr_expect_not(takes(ARGS("--tag", "env=prod"), NULL, vm("a", "/x", "{\"env\":\"production\"}")));
}

Test(select, instances_are_names_or_ids_in_any_case)
{
	const char *file = "# the list of ops\r\n\r\n  VM-1 \r\n/Sub/A/vm-2";

	cr_expect(takes(ARGS(NULL), file, vm("vm-1", "/sub/a/vm-1", "{}")));
	cr_expect(takes(ARGS(NULL), file, vm("vm-2", "/sub/a/VM-2", "{}")));
	cr_expect_not(takes(ARGS(NULL), file, vm("vm-2", "/sub/b/vm-2", "{}")), "another group's vm-2");
	cr_expect_not(takes(ARGS("--name", "x*"), file, vm("vm-1", "/sub/a/vm-1", "{}")), "both must hold");
}

Test(select, lines_that_name_a_vm_are_marked)
{
	struct instances in;
	struct options o = {0};
	struct ff_err err;
	struct ff_vm v = vm("b", "/x/b", "{}");

	cr_assert_eq(instances_parse(&in, "a\nb\n", 4, &err), 0);
	cr_expect(selection_takes(&o, &in, &v));
	cr_expect_not(in.seen[0]);
	cr_expect(in.seen[1]);
	instances_release(&in);
	json_decref(v.tags);
}

Test(select, a_file_that_is_no_list_is_refused)
{
	static char long_line[3000];
	struct instances in;
	struct ff_err err;

	memset(long_line, 'a', sizeof(long_line));
	cr_expect_eq(instances_parse(&in, "", 0, &err), -1);
	instances_release(&in);
	cr_expect_eq(instances_parse(&in, "# only\n\n", 8, &err), -1);
	instances_release(&in);
	cr_expect_eq(instances_parse(&in, "ok\na\0b\n", 7, &err), -1);
	cr_expect_not_null(strstr(err.text, "line 2"), "%s", err.text);
	instances_release(&in);
	cr_expect_eq(instances_parse(&in, long_line, sizeof(long_line), &err), -1);
	instances_release(&in);
}

/* ---------------------------------------------------------------- options */

static const char *refused(char **argv)
{
	static struct ff_err err;
	struct options o;
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	err = (struct ff_err){0};
	cr_expect_eq(options_parse(&o, argc, argv, FOR_FIND | FOR_REPAIR | FOR_OUTPUT, &err), -1, "%s", argv[1]);
	cr_expect_eq(err.class, FF_E_USAGE);
	options_release(&o);
	return err.text;
}

Test(options, what_is_wrong_is_named)
{
	cr_expect_str_eq(refused(ARGS("--frobnicate")), "unknown option '--frobnicate': see fixfleet --help");
	cr_expect_str_eq(
		refused(ARGS("--sub", "x")), "unknown option '--sub': see fixfleet --help", "no abbreviations");
	cr_expect_str_eq(refused(ARGS("-x")), "unknown option '-x': see fixfleet --help");
	cr_expect_str_eq(refused(ARGS("--rg", "x")), "--rg belongs to a provider: give --provider azure before it");
	cr_expect_str_eq(refused(ARGS("--rg")), "--rg needs a value: --rg NAME");
	cr_expect_str_eq(refused(ARGS("--rg=")), "--rg needs a value that is not empty");
	cr_expect_str_eq(refused(ARGS("--yes=1")), "--yes takes no value");
	cr_expect_str_eq(refused(ARGS("--tag", "env")), "--tag takes KEY=VALUE, not 'env'");
	cr_expect_str_eq(
		refused(ARGS("--parallel", "0")), "--parallel takes a whole number from 1 to 1000000, not '0'");
	cr_expect_str_eq(refused(ARGS("--output", "xml")), "--output takes table, json or csv, not 'xml'");
	cr_expect_str_eq(refused(ARGS("--worker", "remote")), "--worker takes local, ssh or ssh:HOST, not 'remote'");
	cr_expect_str_eq(
		refused(ARGS("--azure-cloud", "moon")), "--azure-cloud takes public, usgov or china, not 'moon'");
	cr_expect(ff_has_prefix(
		refused(ARGS("--provider", "oracle\x1b[2J")), "unknown provider 'oracle\\x1b[2J': known are azure"));
}

Test(options, scope_belongs_to_the_provider_before_it)
{
	struct ff_err err;
	struct options o;
	char **argv = ARGS("--provider", "azure", "--rg", "prod", "--rg", "dev", "--provider", "azure",
		"--subscription", "00000000-0000-0000-0000-000000000001", "-vy");

	cr_assert_eq(options_parse(&o, 12, argv, FOR_FIND | FOR_REPAIR, &err), 0, "%s", err.text);
	cr_assert_eq(o.scope_count, 2);
	cr_expect_eq(o.scopes[0].options.groups.count, 2);
	cr_expect_null(o.scopes[0].options.subscription);
	cr_expect_eq(o.scopes[1].options.groups.count, 0);
	cr_expect_str_eq(o.scopes[1].options.subscription, "00000000-0000-0000-0000-000000000001");
	cr_expect_eq(o.verbosity, 1);
	cr_expect(o.yes);
	options_release(&o);
}

Test(options, each_region_is_a_scope_and_a_profile_is_of_all_regions_of_its_provider)
{
	struct ff_err err;
	struct options o;
	char **argv = ARGS("--provider", "aws", "--profile", "ops", "--region", "us-east-1", "--region", "us-west-2",
		"--provider", "aws", "--region", "eu-west-1", "--region", "eu-west-3", "--profile", "eu");
	static const char *const expected[][2] = {
		{"us-east-1", "ops"}, {"us-west-2", "ops"}, {"eu-west-1", "eu"}, {"eu-west-3", "eu"}};

	cr_assert_eq(options_parse(&o, 17, argv, FOR_FIND | FOR_REPAIR, &err), 0, "%s", err.text);
	cr_assert_eq(o.scope_count, FF_COUNT(expected));
	for (size_t i = 0; i < FF_COUNT(expected); i++) {
		cr_expect_str_eq(o.scopes[i].options.region, expected[i][0]);
		cr_expect_str_eq(o.scopes[i].options.profile, expected[i][1]);
	}
	options_release(&o);
}

Test(options, a_subcommand_takes_only_its_own)
{
	struct ff_err err;
	struct options o;

	cr_expect_eq(options_parse(&o, 3, ARGS("--run-dir", "x"), FOR_OUTPUT, &err), -1);
	cr_expect_str_eq(err.text, "--run-dir has no meaning here: see fixfleet --help");
	options_release(&o);
}
