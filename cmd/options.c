/* The command line. One table of rows serves the parser and --help. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/mem.h"
#include "fixfleet/worker.h"

struct row {
	unsigned groups;
	char letter; /* 0: none */
	const char *name;
	const char *arg; /* NULL: a switch */
	int (*set)(struct options *o, const char *value, struct ff_err *err);
	const char *help;
};

static struct scope_option *last_scope(struct options *o)
{
	return o->scope_count > 0 ? &o->scopes[o->scope_count - 1] : NULL;
}

static int set_provider(struct options *o, const char *value, struct ff_err *err)
{
	const struct ff_provider *provider = ff_provider_by_name(value);

	if (provider == NULL) {
		ff_auto_buf known = {0};
		ff_auto_free char *clean = ff_printable(value);

		for (size_t i = 0; ff_providers[i] != NULL; i++)
			ff_buf_addf(&known, "%s%s", i ? ", " : "", ff_providers[i]->name);
		return ff_fail(err, FF_E_USAGE, "unknown provider '%s': known are %s", clean, known.text);
	}
	o->scopes = ff_realloc(o->scopes, o->scope_count + 1, sizeof(*o->scopes));
	o->scopes[o->scope_count++] = (struct scope_option){.provider = provider};
	return 0;
}

/* --subscription and --rg speak of the provider before them. */
static struct scope_option *scope_for(struct options *o, const char *option, const char *provider, struct ff_err *err)
{
	struct scope_option *scope = last_scope(o);

	if (scope == NULL) {
		ff_fail(err, FF_E_USAGE, "%s belongs to a provider: give --provider %s before it", option, provider);
		return NULL;
	}
	if (!ff_streq(scope->provider->name, provider)) {
		ff_fail(err, FF_E_USAGE, "%s is an option of %s, but stands after --provider %s", option, provider,
			scope->provider->name);
		return NULL;
	}
	return scope;
}

static int set_subscription(struct options *o, const char *value, struct ff_err *err)
{
	struct scope_option *scope = scope_for(o, "--subscription", "azure", err);

	if (scope == NULL)
		return -1;
	if (scope->options.subscription != NULL)
		return ff_fail(err, FF_E_USAGE,
			"--subscription is given twice for one --provider: repeat --provider azure for a second one");
	scope->options.subscription = value;
	return 0;
}

static int set_group(struct options *o, const char *value, struct ff_err *err)
{
	struct scope_option *scope = scope_for(o, "--rg", "azure", err);

	if (scope == NULL)
		return -1;
	ff_strv_add(&scope->options.groups, value);
	return 0;
}

/* A second --region is a scope of its own: each region has its own endpoint and budgets. */
static int set_region(struct options *o, const char *value, struct ff_err *err)
{
	struct scope_option *scope = scope_for(o, "--region", "aws", err), next;

	if (scope == NULL)
		return -1;
	if (scope->options.region != NULL) {
		next = (struct scope_option){
			.provider = scope->provider, .options.profile = scope->options.profile, .again = true};
		o->scopes = ff_realloc(o->scopes, o->scope_count + 1, sizeof(*o->scopes));
		o->scopes[o->scope_count++] = next;
		scope = last_scope(o);
	}
	scope->options.region = value;
	return 0;
}

static int set_profile(struct options *o, const char *value, struct ff_err *err)
{
	struct scope_option *scope = scope_for(o, "--profile", "aws", err);

	if (scope == NULL)
		return -1;
	while (scope->again) /* one --provider, one profile, wherever it stands among the regions */
		(scope--)->options.profile = value;
	scope->options.profile = value;
	return 0;
}

static int set_project(struct options *o, const char *value, struct ff_err *err)
{
	struct scope_option *scope = scope_for(o, "--project", "gcp", err);

	if (scope == NULL)
		return -1;
	if (scope->options.project != NULL)
		return ff_fail(err, FF_E_USAGE,
			"--project is given twice for one --provider: repeat --provider gcp for a second one");
	scope->options.project = value;
	return 0;
}

static int set_zone(struct options *o, const char *value, struct ff_err *err)
{
	struct scope_option *scope = scope_for(o, "--zone", "gcp", err);

	if (scope == NULL)
		return -1;
	ff_strv_add(&scope->options.zones, value);
	return 0;
}

static int set_asg(struct options *o, const char *value, struct ff_err *err)
{
	if (!ff_streq(value, "standby") && !ff_streq(value, "skip"))
		return ff_fail(err, FF_E_USAGE, "--asg takes skip or standby, not '%s'", value);
	o->asg_standby = value[1] == 't';
	return 0;
}

static int set_backup(struct options *o, const char *value, struct ff_err *err)
{
	if (!ff_streq(value, "snapshot") && !ff_streq(value, "none"))
		return ff_fail(err, FF_E_USAGE, "--backup takes snapshot or none, not '%s'", value);
	o->no_backup = value[0] == 'n';
	return 0;
}

static int set_name(struct options *o, const char *value, struct ff_err *err)
{
	(void)err;
	ff_strv_add(&o->names, value);
	return 0;
}

static int set_tag(struct options *o, const char *value, struct ff_err *err)
{
	const char *equals = strchr(value, '=');

	if (equals == NULL || equals == value)
		return ff_fail(err, FF_E_USAGE, "--tag takes KEY=VALUE, not '%s'", value);
	ff_strv_add(&o->tags, value);
	return 0;
}

static int set_rescue(struct options *o, const char *value, struct ff_err *err)
{
	(void)err;
	ff_strv_add(&o->rescues, value);
	return 0;
}

static int set_recipe(struct options *o, const char *value, struct ff_err *err)
{
	(void)err;
	ff_strv_add(&o->recipes, value);
	return 0;
}

static int set_worker(struct options *o, const char *value, struct ff_err *err)
{
	if (!ff_streq(value, "local") && !ff_streq(value, "ssh") && !ff_has_prefix(value, "ssh:"))
		return ff_fail(err, FF_E_USAGE, "--worker takes local, ssh or ssh:HOST, not '%s'", value);
	o->worker = value;
	return 0;
}

static int set_number(const char *option, const char *value, int64_t max, int64_t *out, struct ff_err *err)
{
	if (ff_parse_i64(value, 1, max, out) < 0)
		return ff_fail(err, FF_E_USAGE, "%s takes a whole number from 1 to %lld, not '%s'", option,
			(long long)max, value);
	return 0;
}

/* "10%" of the selected, or a number. */
static int set_max_failures(struct options *o, const char *value, struct ff_err *err)
{
	size_t len = strlen(value);
	bool percent = len > 1 && value[len - 1] == '%';
	ff_auto_free char *number = ff_strndup(value, percent ? len - 1 : len);
	int64_t n;

	if (ff_parse_i64(number, 1, percent ? 100 : 1000000, &n) < 0)
		return ff_fail(err, FF_E_USAGE,
			"--max-failures takes a whole number from 1 to 1000000, or 1%% to 100%%, not '%s'", value);
	o->max_failures = percent ? 0 : (unsigned)n;
	o->max_failures_percent = percent ? (unsigned)n : 0;
	return 0;
}

static int set_canary(struct options *o, const char *value, struct ff_err *err)
{
	int64_t n;

	if (set_number("--canary", value, 1000000, &n, err) < 0)
		return -1;
	o->canary = (unsigned)n;
	return 0;
}

static int set_parallel(struct options *o, const char *value, struct ff_err *err)
{
	int64_t n;

	if (set_number("--parallel", value, 1000000, &n, err) < 0)
		return -1;
	o->parallel = (unsigned)n;
	return 0;
}

static int set_appliances(struct options *o, const char *value, struct ff_err *err)
{
	int64_t n;

	if (set_number("--appliances", value, FF_WORKER_APPLIANCES_MAX, &n, err) < 0)
		return -1;
	o->appliances = (unsigned)n;
	return 0;
}

static int set_verify(struct options *o, const char *value, struct ff_err *err)
{
	int64_t n;

	if (set_number("--verify-timeout", value, 86400, &n, err) < 0)
		return -1;
	o->verify_ms = n * 1000;
	return 0;
}

static int set_disk_timeout(struct options *o, const char *value, struct ff_err *err)
{
	int64_t n;

	if (set_number("--disk-timeout", value, 86400, &n, err) < 0)
		return -1;
	o->disk_timeout_ms = n * 1000;
	return 0;
}

static int set_output(struct options *o, const char *value, struct ff_err *err)
{
	static const char *const names[] = {"table", "json", "csv"};

	for (int i = 0; i < (int)FF_COUNT(names); i++) {
		if (ff_streq(value, names[i])) {
			o->output = (enum output)i;
			return 0;
		}
	}
	return ff_fail(err, FF_E_USAGE, "--output takes table, json or csv, not '%s'", value);
}

static int set_log_format(struct options *o, const char *value, struct ff_err *err)
{
	if (!ff_streq(value, "text") && !ff_streq(value, "json"))
		return ff_fail(err, FF_E_USAGE, "--log-format takes text or json, not '%s'", value);
	o->log_format = value[0] == 'j' ? FF_LOG_JSON : FF_LOG_TEXT;
	return 0;
}

static int set_azure_cloud(struct options *o, const char *value, struct ff_err *err)
{
	if (!ff_streq(value, "public") && !ff_streq(value, "usgov") && !ff_streq(value, "china"))
		return ff_fail(err, FF_E_USAGE, "--azure-cloud takes public, usgov or china, not '%s'", value);
	o->azure_cloud = value;
	return 0;
}

/* clang-format off */
#define TEXT_SETTER(field) \
	static int set_##field(struct options *o, const char *value, struct ff_err *err) \
	{ \
		(void)err; \
		o->field = value; \
		return 0; \
	}
#define SWITCH_SETTER(field, act) \
	static int set_##field(struct options *o, const char *value, struct ff_err *err) \
	{ \
		(void)value; \
		(void)err; \
		act; \
		return 0; \
	}
/* clang-format on */
TEXT_SETTER(instances)
TEXT_SETTER(dev_root)
TEXT_SETTER(run_dir)
TEXT_SETTER(ca_file)
TEXT_SETTER(csek_file)
TEXT_SETTER(keys_file)
TEXT_SETTER(key_command)
TEXT_SETTER(key_secret)
SWITCH_SETTER(key_graph, o->key_graph = true)
SWITCH_SETTER(all, o->all = true)
SWITCH_SETTER(take_over, o->take_over = true)
SWITCH_SETTER(no_canary, o->canary = 0)
SWITCH_SETTER(yes, o->yes = true)
SWITCH_SETTER(from_cloud, o->from_cloud = true)
SWITCH_SETTER(evidence, o->evidence = true)
SWITCH_SETTER(dry_run, o->dry_run = true)
SWITCH_SETTER(allow_deallocate, o->allow_deallocate = true)
SWITCH_SETTER(discard_local_ssd, o->discard_local_ssd = true)
SWITCH_SETTER(discard_hibernation, o->discard_hibernation = true)
SWITCH_SETTER(verbose, o->verbosity += o->verbosity < 2)
SWITCH_SETTER(quiet, o->verbosity = -1)
SWITCH_SETTER(help, o->help = true)
SWITCH_SETTER(version, o->version = true)

static const struct row rows[] = {
	{FOR_FIND | FOR_RESUME, 0, "provider", "NAME", set_provider,
		"cloud to look in: azure, aws or gcp; may be repeated"},
	{FOR_FIND | FOR_RESUME, 0, "subscription", "ID", set_subscription,
		"azure: subscription (default: AZURE_SUBSCRIPTION_ID)"},
	{FOR_FIND | FOR_RESUME, 0, "rg", "NAME", set_group, "azure: only this resource group; may be repeated"},
	{FOR_FIND | FOR_RESUME, 0, "azure-cloud", "CLOUD", set_azure_cloud, "azure: public, usgov or china"},
	{FOR_FIND | FOR_RESUME, 0, "region", "NAME", set_region,
		"aws: region (default: AWS_REGION, config); may be repeated"},
	{FOR_FIND | FOR_RESUME, 0, "profile", "NAME", set_profile,
		"aws: profile of the shared config (default: AWS_PROFILE)"},
	{FOR_FIND | FOR_RESUME, 0, "project", "ID", set_project, "gcp: project (default: GOOGLE_CLOUD_PROJECT)"},
	{FOR_FIND | FOR_RESUME, 0, "zone", "NAME", set_zone, "gcp: only this zone; may be repeated"},
	{FOR_FIND | FOR_RESUME, 0, "csek-key-file", "FILE", set_csek_file,
		"gcp: customer-supplied keys, in gcloud's format"},
	{FOR_FIND, 0, "asg", "WHAT", set_asg, "aws: members of Auto Scaling groups: skip (default) or standby"},
	{FOR_FIND, 0, "discard-local-ssd", NULL, set_discard_local_ssd,
		"aws, gcp: also VMs whose local disks lose their content when they stop"},
	{FOR_FIND, 0, "backup", "WHAT", set_backup, "aws, gcp: snapshot (default) or none"},
	{FOR_FIND, 0, "name", "GLOB", set_name, "only VMs of that name; may be repeated"},
	{FOR_FIND, 0, "tag", "KEY=VALUE", set_tag, "only VMs with that tag; all that are given must be there"},
	{FOR_FIND, 0, "instances", "FILE", set_instances, "only the VMs in FILE, a name or id a line; - is stdin"},
	{FOR_FIND, 0, "all", NULL, set_all, "also VMs without evidence that they cannot boot"},
	{FOR_FIND | FOR_LATER, 0, "take-over", NULL, set_take_over,
		"also VMs that another run has claimed: only when that run is surely dead"},
	{FOR_FIND | FOR_LATER, 0, "dry-run", NULL, set_dry_run, "list what is affected, change nothing"},
	{FOR_FIND, 0, "evidence", NULL, set_evidence,
		"keep console output and screenshots of sick VMs in the run folder (list: with --run-dir)"},
	{FOR_FIND, 0, "rescue", "NAME", set_rescue,
		"rescue VM by name or id; may be repeated (default: running VMs tagged fixfleet-role=rescue)"},
	{FOR_FIND | FOR_RESUME | FOR_LATER, 0, "ca-file", "FILE", set_ca_file,
		"trust these certificates (default: CURL_CA_BUNDLE, SSL_CERT_FILE)"},
	{FOR_REPAIR | FOR_DISK, 0, "recipe", "NAME|FILE", set_recipe,
		"what to mend: a built-in recipe or a file; may be repeated (default: crowdstrike-291)"},
	{FOR_REPAIR | FOR_RESUME, 0, "worker", "WHERE", set_worker,
		"where disks are mended: local, ssh (to the rescue VM, default) or ssh:HOST"},
	{FOR_REPAIR | FOR_RESUME, 0, "dev-root", "DIR", set_dev_root,
		"instead of /dev; {rescue} in it is the rescue VM's name"},
	{FOR_REPAIR | FOR_RESUME | FOR_DISK, 0, "keys", "FILE", set_keys_file,
		"BitLocker keys, CSV or JSON: key protector id, VM or disk -> recovery password or base64 of a .BEK "
		"file"},
	{FOR_REPAIR | FOR_RESUME | FOR_DISK, 0, "key-command", "CMD", set_key_command,
		"program that is asked for a BitLocker key: JSON on its stdin, the key on its stdout"},
	{FOR_REPAIR | FOR_RESUME, 0, "key-graph", NULL, set_key_graph,
		"azure: ask Microsoft Graph for BitLocker recovery passwords, by protector id"},
	{FOR_REPAIR | FOR_RESUME, 0, "key-secret", "PATTERN", set_key_secret,
		"aws, gcp: name of a BitLocker key in the secret store, with {vm}, {volume}, {protector} in it"},
	{FOR_REPAIR | FOR_LATER, 0, "allow-deallocate", NULL, set_allow_deallocate,
		"azure: deallocate, where the swap demands it, also if a dynamic public address is lost"},
	{FOR_REPAIR | FOR_LATER | FOR_RESUME, 'y', "yes", NULL, set_yes, "do not ask"},
	{FOR_REPAIR | FOR_RESUME | FOR_DISK, 0, "discard-hibernation", NULL, set_discard_hibernation,
		"mend hibernated Windows too: its saved session is lost"},
	{FOR_REPAIR | FOR_RESUME | FOR_DISK | FOR_WORKER, 0, "appliances", "N", set_appliances,
		"libguestfs appliances side by side (default: as processors and memory allow)"},
	{FOR_REPAIR | FOR_RESUME | FOR_DISK, 0, "disk-timeout", "SECONDS", set_disk_timeout,
		"give a disk up that takes longer to look at, or to mend (600)"},
	{FOR_REPAIR | FOR_DISK | FOR_LATER | FOR_RESUME, 0, "run-dir", "DIR", set_run_dir,
		"journal and quarantine (default: $XDG_STATE_HOME/fixfleet/RUN-ID)"},
	{FOR_REPAIR, 0, "canary", "N", set_canary,
		"N VMs of each provider are repaired and up before others begin, then twice as many each time (1)"},
	{FOR_REPAIR, 0, "no-canary", NULL, set_no_canary, "all at once, for the brave"},
	{FOR_REPAIR | FOR_LATER, 0, "max-failures", "N|P%", set_max_failures,
		"begin no further VM of a provider after N, or P percent, failed (5 or 10%, the greater)"},
	{FOR_REPAIR | FOR_RESUME | FOR_LATER, 0, "parallel", "N", set_parallel, "at most N VMs under way at once"},
	{FOR_REPAIR | FOR_RESUME | FOR_LATER, 0, "verify-timeout", "SECONDS", set_verify,
		"how long a VM may take to prove that it is up (900)"},
	{FOR_RESUME, 0, "from-cloud", NULL, set_from_cloud,
		"the run's folder is lost: bring its disks home by their tags (azure, aws; with --provider)"},
	{FOR_OUTPUT, 0, "output", "FORMAT", set_output, "table, json or csv on stdout"},
	{FOR_ALL, 'v', "verbose", NULL, set_verbose, "say more: requests, retries, waits; twice: everything"},
	{FOR_ALL, 'q', "quiet", NULL, set_quiet, "say errors only"},
	{FOR_ALL, 0, "log-format", "FORMAT", set_log_format, "text or json on stderr"},
	{FOR_ALL, 'h', "help", NULL, set_help, "this text"},
	{FOR_ALL, 0, "version", NULL, set_version, "the version"},
};

static const struct row *row_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < FF_COUNT(rows); i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

static const struct row *row_by_letter(char letter)
{
	for (size_t i = 0; i < FF_COUNT(rows); i++)
		if (rows[i].letter != 0 && rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

static int unknown(const char *option, struct ff_err *err)
{
	ff_auto_free char *clean = ff_printable(option);

	return ff_fail(err, FF_E_USAGE, "unknown option '%s': see fixfleet --help", clean);
}

/* One "--name", "--name=value" or "--name value" at argv[*i]; moves *i over what it takes. */
static int parse_long(struct options *o, int argc, char **argv, int *i, unsigned groups, struct ff_err *err)
{
	const char *name = argv[*i] + 2, *value = NULL;
	size_t len = strcspn(name, "=");
	const struct row *row = row_by_name(name, len);

	if (row == NULL)
		return unknown(argv[*i], err);
	if ((row->groups & groups) == 0)
		return ff_fail(err, FF_E_USAGE, "--%s has no meaning here: see fixfleet --help", row->name);
	if (name[len] == '=')
		value = name + len + 1;
	if (row->arg == NULL && value != NULL)
		return ff_fail(err, FF_E_USAGE, "--%s takes no value", row->name);
	if (row->arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return ff_fail(err, FF_E_USAGE, "--%s needs a value: --%s %s", row->name, row->name, row->arg);
		value = argv[++*i];
	}
	if (row->arg != NULL && *value == '\0')
		return ff_fail(err, FF_E_USAGE, "--%s needs a value that is not empty", row->name);
	return row->set(o, value, err);
}

static int parse_letters(struct options *o, const char *text, unsigned groups, struct ff_err *err)
{
	for (const char *p = text + 1; *p != '\0'; p++) {
		const struct row *row = row_by_letter(*p);

		if (row == NULL || (row->groups & groups) == 0)
			return unknown(text, err);
		if (row->set(o, NULL, err) < 0)
			return -1;
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, unsigned groups, struct ff_err *err)
{
	bool only_operands = false;

	*o = (struct options){.canary = 1, .max_failures = 5, .max_failures_percent = 10};
	for (int i = 1; i < argc; i++) {
		int rc = 0;

		if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0')
			ff_strv_add(&o->operands, argv[i]);
		else if (ff_streq(argv[i], "--"))
			only_operands = true;
		else if (argv[i][1] == '-')
			rc = parse_long(o, argc, argv, &i, groups | FOR_ALL, err);
		else
			rc = parse_letters(o, argv[i], groups | FOR_ALL, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

void options_release(struct options *o)
{
	for (size_t i = 0; i < o->scope_count; i++) {
		ff_strv_free(&o->scopes[i].options.groups);
		ff_strv_free(&o->scopes[i].options.zones);
		ff_strv_free(&o->scopes[i].options.rescues);
	}
	free(o->scopes);
	ff_strv_free(&o->names);
	ff_strv_free(&o->tags);
	ff_strv_free(&o->rescues);
	ff_strv_free(&o->recipes);
	ff_strv_free(&o->operands);
	*o = (struct options){0};
}

void options_print_help(unsigned groups)
{
	for (size_t i = 0; i < FF_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		char left[64];

		if ((row->groups & (groups | FOR_ALL)) == 0)
			continue;
		snprintf(left, sizeof(left), "%c%c%s--%s%s%s", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
			row->letter ? ", " : "  ", row->name, row->arg ? " " : "", row->arg ? row->arg : "");
		printf("  %-28s %s\n", left, row->help);
	}
}
