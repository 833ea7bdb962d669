/* What the subcommands share. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "fixfleet/engine.h"
#include "fixfleet/journal.h"
#include "fixfleet/runtime.h"
#include "options.h"

/* Exit statuses; scripts rely on them. */
enum {
	EXIT_OK = 0,	     /* all selected ended repaired, clean or skipped */
	EXIT_FAILED = 1,     /* one or more failed; their disks are home */
	EXIT_USAGE = 2,	     /* the command line or an input file is wrong */
	EXIT_NOTHING = 3,    /* nothing was started: credentials, endpoint, permission, no rescue VM */
	EXIT_STUCK = 4,	     /* a disk is not home */
	EXIT_INTERRUPT = 130 /* interrupted; the run can be looked at with `fixfleet status` */
};

/* One row of the table of subcommands. */
struct command {
	const char *name;
	unsigned groups;
	int (*run)(struct options *o);
	const char *summary;
};

int cmd_repair(struct options *o);
int cmd_list(struct options *o);
int cmd_status(struct options *o);
int cmd_resume(struct options *o);
int cmd_rollback(struct options *o);
/** resume --from-cloud */
int recover(struct options *o);
int cmd_cleanup(struct options *o);
int cmd_worker(struct options *o);
int cmd_recipes(struct options *o);
int cmd_disk(struct options *o);

/** The recipes of --recipe, by name or file; none given: the default one. A new array, or NULL with err (FF_E_USAGE).
 */
json_t *recipes_load(const struct ff_strv *names, struct ff_err *err);

/** Print the error on stderr, return the exit status that its class stands for before anything was started. */
int fail_with(const struct ff_err *err);

/* ---- keys of encrypted volumes */

#define KEY_SOURCES_MAX 8

struct key_sources {
	struct ff_key_source items[KEY_SOURCES_MAX];
	size_t count;
};

/** Make the sources that the options name, in the order in which they are asked. 0, or -1 with FF_E_USAGE; release in
 * both cases. */
int key_sources_open(struct key_sources *sources, const struct options *o, struct ff_err *err);
void key_sources_release(struct key_sources *sources);
/**
 * Ask the sources for that want, in order, waiting for their answers (programs only). `why` gets, for people, why those
 * that have none do not; owned by the caller.
 */
void key_sources_ask(
	const struct key_sources *sources, const struct ff_key_want *want, struct ff_keys *found, char **why);

/* ---- finding: what list and repair begin with */

struct found {
	struct ff_runtime *runtime;
	struct ff_engine *engine;
	struct ff_selected *vms; /* what is in scope and passes the selection, sorted by scope and name */
	size_t count;
	struct ff_strv worker_argv;
	bool going_on; /* resume: no permissions are tried */
	int status;    /* EXIT_OK, or EXIT_NOTHING when a scope could not be read (the others can) */
};

struct view;
/**
 * What the options say of an engine that journals; run, folder, flow and recipes are the caller's to add.
 * @keys  NULL: no disk is opened
 * Borrows everything.
 */
struct ff_engine_config find_config(const struct options *o, const struct key_sources *keys, struct view *view);
/**
 * Sign in and discover in every scope. Errors are printed.
 * @config  for the engine; its event functions are the caller's
 * @return  0, or the exit status when nothing can be done; release in both cases
 */
int find(struct found *f, const struct options *o, const struct ff_engine_config *config);
/** The two halves of it without the selection: runtime and engine with its scopes; then sign in and discover. `f` is
 * all zero but for going_on. */
int find_begin(struct found *f, const struct options *o, const struct ff_engine_config *config, struct ff_err *err);
int find_all(struct found *f, const struct options *o);
void found_release(struct found *f);
/** The summary of a run names the scopes that it had to leave out, long after find() said so. */
void say_left_out(const struct found *f);

/**
 * --evidence: keep what can be seen from outside of those of the found VMs that are not well, under `run_dir`. What
 * cannot be had or kept is said, and that is all. Nothing happens without --evidence.
 */
void keep_evidence(struct found *f, const struct options *o, const char *run_dir);

/* ---- selection (pure) */

struct instances {
	struct ff_strv lines; /* names and ids */
	bool *seen;	      /* one a line */
};

/** Parse the text of an --instances file: one name or id a line, blanks trimmed, empty lines and # comments passed
 * over. */
int instances_parse(struct instances *in, const char *text, size_t len, struct ff_err *err);
void instances_release(struct instances *in);
/** Does the VM pass --name, --tag and the file (NULL: none)? Marks the lines that name it. */
bool selection_takes(const struct options *o, struct instances *in, const struct ff_vm *vm);

struct view;

/* ---- reports on stdout */

void report_list(const struct found *f, enum output output);
void report_result(const struct ff_result *result, const char *run, const char *run_dir, enum output output);

/** Rows of cells as an aligned table or as RFC 4180 CSV; cells are made safe to print. */
void print_rows(enum output output, const char *const *head, size_t columns, char *const *cells, size_t rows);

/** Let the engine run to its end; report, last words. The exit status. */
int run_to_end(struct found *f, const struct options *o, struct view *view, const char *id, const char *run_dir);
/** What scripts are told; `found_status` when nothing else is to be told. */
int exit_status(const struct ff_result *result, int found_status);
/** On stderr: the commands that bring a stuck VM's disk home; NULL: nothing. */
void say_by_hand(const char *name, const json_t *commands);
/** On stderr: what is not done, and the command that goes on. */
void last_words(const struct ff_result *result, const char *id, const char *run_dir);

/** Write a JSON value on stdout, indented, with a newline. */
void print_json(const json_t *j);

/* ---- the live view on stderr */

struct view *view_new(bool quiet);
void view_free(struct view *v);
/** For ff_engine_config.event, with the view as its argument. */
void view_event(void *view, const struct ff_event *event);
/** For ff_runtime_run(): redraw. The engine is the one given here. */
void view_watch(struct view *v, struct ff_engine *engine);
void view_tick(void *view);

/* ---- run folders: runs.c, remember.c */

/** "user@host", for claims. The caller frees. */
char *operator_name(void);
/** The folder of the run that the operands name, a folder or a run id; without operands the newest one. The caller
 * frees. NULL with err. */
char *run_find(const struct options *o, bool open_only, struct ff_err *err);
/** The same of one name: a folder, or a run id in the state folder. */
char *run_named(const char *name, struct ff_err *err);
/** Where a run of that id is kept, by --run-dir or in the state folder. The caller frees; NULL with err. */
char *new_run_dir(const struct options *o, const char *id, struct ff_err *err);
/** 1: go on; 0: no; -1: nobody to ask. `question` is asked on the terminal. */
int ask_operator(const char *question);
/** What its journal tells. 0, and the caller releases it; -1 with err, which names the folder. */
int run_read(const char *folder, struct ff_past *past, struct ff_err *err);

/** What the operator asked for, for the journal: enough to open the same scopes again. A new object. */
json_t *options_describe(const struct options *o, const struct found *f);
/** The other way: fill what the command line did not say. Texts are borrowed from `info`. */
int options_recall(struct options *o, const json_t *info, struct ff_err *err);

/** "20240719-060000-3fa9c1": sorts by time, unique between operators. The caller frees. */
char *make_run_id(void);

/** "$XDG_STATE_HOME/fixfleet" or "$HOME/.local/state/fixfleet". NULL with err when neither is set. The caller frees. */
char *state_folder(struct ff_err *err);

#endif
