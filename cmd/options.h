/* The command line, parsed. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "fixfleet/err.h"
#include "fixfleet/log.h"
#include "fixfleet/provider.h"

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

struct scope_option {
	const struct ff_provider *provider;
	struct ff_scope_options options;
	bool again; /* a further --region of the --provider before it */
};

struct options {
	struct scope_option *scopes; /* one a --provider, in order */
	size_t scope_count;
	struct ff_strv names;  /* --name: any of these globs */
	struct ff_strv tags;   /* --tag KEY=VALUE: all of these */
	const char *instances; /* --instances FILE */
	bool all;
	struct ff_strv rescues;
	struct ff_strv recipes;	       /* --recipe: names and files; none: the default one */
	const char *worker, *dev_root; /* NULL: see options_worker(), options_dev_root() */
	const char *keys_file, *key_command, *key_secret;
	bool key_graph;
	bool yes, dry_run, take_over, from_cloud;
	const char *run_dir;
	bool evidence; /* --evidence: keep consoles and screens in the run's folder */
	unsigned max_failures, max_failures_percent, canary, parallel, appliances;
	int64_t verify_ms, disk_timeout_ms;
	bool discard_hibernation;
	enum output output;
	int verbosity; /* -q: -1, default 0, -v 1, -v -v 2 */
	enum ff_log_format log_format;
	const char *ca_file, *azure_cloud;
	bool allow_deallocate, asg_standby, discard_local_ssd, no_backup;
	const char *csek_file;
	bool help, version;
	struct ff_strv operands; /* what is not an option */
};

/* Which options a subcommand takes. */
enum option_group {
	FOR_FIND = 1 << 0,   /* scope, selection, endpoints */
	FOR_REPAIR = 1 << 1, /* rescue, worker, run */
	FOR_OUTPUT = 1 << 2,
	FOR_ALL = 1 << 3,    /* -v, -q, --help ... */
	FOR_RESUME = 1 << 4, /* what may be another on the next machine */
	FOR_DISK = 1 << 5,   /* disks of this machine */
	FOR_WORKER = 1 << 6,
	FOR_LATER = 1 << 7, /* rollback, cleanup: on whom, and a run of their own */
};

/**
 * Parse argv[1..]. `groups` says which options are known here. Long options take "--name value" and "--name=value" and
 * are never abbreviated, so that a script means the same thing in the next version. Texts are borrowed from argv.
 * 0, or -1 with FF_E_USAGE; release in both cases.
 */
int options_parse(struct options *o, int argc, char **argv, unsigned groups, struct ff_err *err);
void options_release(struct options *o);

/* What holds where neither the command line nor a journal says anything else. */
static inline const char *options_worker(const struct options *o)
{
	return o->worker ? o->worker : "ssh";
}

static inline const char *options_dev_root(const struct options *o)
{
	return o->dev_root ? o->dev_root : "/dev";
}

/** The lines of --help for these groups, on stdout. */
void options_print_help(unsigned groups);

#endif
