/*
 * fixfleet: mends fleets of cloud VMs that can no longer boot.
 *
 * A map of the program:
 *   main            options.c picks the subcommand's options out of one table
 *   cmd_list.c      find() and print what was found
 *   cmd_repair.c    find(), show the plan, ask, let the engine repair, print what happened
 *   cmd_resume.c    go on with a run from its journal: its options (remember.c), the same scopes, the rest as repair
 *   cmd_later.c     rollback and cleanup: what an earlier run did is taken back or tidied up after
 *   recover.c       resume --from-cloud: a run whose folder is lost
 *   cmd_status.c    print a run from its journal
 *   cmd_worker.c    the repair worker, on the rescue VM (diskops/)
 *   cmd_disk.c      disks of this machine without any cloud; disk_session.c talks with the worker
 *   cmd_recipes.c   list, show and check recipes; the recipes of --recipe
 *   find.c          open the scopes (providers/), sign in and discover through the engine (engine/) and its runtime
 *   evidence.c      --evidence: consoles and screens into the run's folder
 *   keys.c          --keys, --key-command (keys/): what opens encrypted volumes
 *   finish.c        from the run's first turn to its last words      runs.c     run folders
 *   select.c        --name, --tag, --instances          report.c   tables, JSON, CSV on stdout
 *   view.c          progress on stderr
 * The engine's contract is include/fixfleet/engine.h, a cloud's is include/fixfleet/provider.h.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "cmd.h"
#include "fixfleet/json.h"

static const struct command commands[] = {
	{"repair", FOR_FIND | FOR_REPAIR | FOR_OUTPUT, cmd_repair, "mend what cannot boot (the default)"},
	{"list", FOR_FIND | FOR_REPAIR | FOR_OUTPUT, cmd_list, "say what is affected, change nothing (also --dry-run)"},
	{"resume", FOR_RESUME | FOR_OUTPUT, cmd_resume,
		"go on with a run: resume RUN-ID or folder (newest unfinished)"},
	{"rollback", FOR_LATER | FOR_OUTPUT, cmd_rollback, "give VMs their original disk back: rollback RUN [VM...]"},
	{"cleanup", FOR_LATER | FOR_OUTPUT, cmd_cleanup,
		"delete what a run has left of the VMs that it mended: cleanup RUN"},
	{"status", FOR_OUTPUT, cmd_status, "print a run from its journal: status RUN-ID or folder"},
	{"disk", FOR_DISK | FOR_OUTPUT, cmd_disk, "images and devices here: disk scan|repair|list TARGET..."},
	{"recipes", FOR_OUTPUT, cmd_recipes, "list recipes; recipes show NAME|FILE; recipes check FILE..."},
	{"worker", FOR_WORKER, cmd_worker,
		"mend disks on this machine, commands as JSON lines on stdin (used by repair)"},
};

static const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < FF_COUNT(commands); i++)
		if (ff_streq(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void print_help(const struct command *command)
{
	printf("usage: fixfleet [COMMAND] [OPTION...]\n"
	       "  fixfleet --provider azure --rg prod --dry-run    what is affected? changes nothing\n"
	       "  fixfleet --provider azure --rg prod              mend it\n\ncommands:\n");
	for (size_t i = 0; i < FF_COUNT(commands); i++)
		printf("  %-28s %s\n", commands[i].name, commands[i].summary);
	printf("\noptions%s%s:\n", command == commands ? "" : " of ", command == commands ? "" : command->name);
	options_print_help(command->groups);
	printf("\nexit status: 0 repaired, clean or skipped; 1 some failed, their disks home; 2 usage; 3 nothing was "
	       "started;\n"
	       "4 a disk is not home; 130 interrupted\n");
}

static void setup_log(const struct options *o)
{
	static const enum ff_log_level levels[] = {FF_LOG_ERROR, FF_LOG_INFO, FF_LOG_DEBUG, FF_LOG_TRACE};

	ff_log_setup(levels[o->verbosity + 1], o->log_format);
}

/*
 * Credentials are in this process' memory: no core dump, and no other process of the same user may look inside. Not
 * under the sanitizers, whose leak check looks from outside.
 */
static void keep_to_ourselves(void)
{
#ifndef __SANITIZE_ADDRESS__
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

/*
 * What OpenSSL frees is overwritten, records of TLS with keys in them above all. It must be told before it allocates
 * anything, and a library beside us (libssh) uses it in its constructor: only .preinit_array is before those.
 */
#ifndef __SANITIZE_ADDRESS__
static void (*const before_libraries)(void) __attribute__((section(".preinit_array"), used)) = ff_openssl_wipe_freed;
#endif

int fail_with(const struct ff_err *err)
{
	ff_log(FF_LOG_ERROR, "fixfleet", "%s", err->text);
	return err->class == FF_E_USAGE ? EXIT_USAGE : EXIT_NOTHING;
}

int main(int argc, char **argv)
{
	const struct command *command = &commands[0];
	struct ff_err err = {0};
	struct options o;
	int status;

	keep_to_ourselves();
	ff_json_wipe_freed();
	if (argc > 1 && argv[1][0] != '-') {
		command = command_by_name(argv[1]);
		if (command == NULL) {
			ff_log(FF_LOG_ERROR, "fixfleet", "unknown command '%s': see fixfleet --help", argv[1]);
			return EXIT_USAGE;
		}
		argv++;
		argc--;
	}
	if (options_parse(&o, argc, argv, command->groups, &err) < 0) {
		setup_log(&o);
		status = fail_with(&err);
	} else if (o.help) {
		print_help(command);
		status = EXIT_OK;
	} else if (o.version) {
		printf("fixfleet %s\n", FF_VERSION);
		status = EXIT_OK;
	} else {
		setup_log(&o);
		status = (o.dry_run && (command->groups & FOR_REPAIR) ? cmd_list : command->run)(&o);
	}
	options_release(&o);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ff_log(FF_LOG_ERROR, "fixfleet", "cannot write to standard output: %m");
		if (status == EXIT_OK)
			status = EXIT_FAILED;
	}
	return status;
}
