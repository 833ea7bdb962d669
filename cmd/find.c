/* What list and repair begin with: open the scopes, sign in, discover, select. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

#define INSTANCES_BYTES_MAX (16 * 1024 * 1024)

static const char *get_env(void *self, const char *name)
{
	const char *value = getenv(name);

	(void)self;
	return value != NULL && *value != '\0' ? value : NULL;
}

/* ---------------------------------------------------------------- the worker's command */

/* "local": this program itself. "ssh": the rescue VM by its name; "ssh:HOST": HOST, {rescue} in it replaced. */
static void worker_argv(struct ff_strv *argv, const char *worker, unsigned appliances)
{
	ff_auto_free char *number = ff_printf("--appliances=%u", appliances);

	if (ff_streq(worker, "local")) {
		ff_strv_add(argv, "/proc/self/exe");
		ff_strv_add(argv, "worker");
		if (appliances > 0)
			ff_strv_add(argv, number);
		return;
	}
	ff_strv_add(argv, "ssh");
	ff_strv_add(argv, "-oBatchMode=yes");
	ff_strv_add(argv, "-oServerAliveInterval=15");
	ff_strv_add(argv, "--");
	ff_strv_add(argv, worker[3] == ':' ? worker + 4 : "{rescue}");
	ff_strv_add(argv, "fixfleet");
	ff_strv_add(argv, "worker");
	if (appliances > 0)
		ff_strv_add(argv, number);
}

static int make_runtime(struct found *f, const struct options *o, struct ff_err *err)
{
	struct ff_runtime_options options = {
		.ca_file = o->ca_file,
		.user_agent = "fixfleet/" FF_VERSION,
		.worker_shared = ff_streq(options_worker(o), "local"),
	};

	worker_argv(&f->worker_argv, options_worker(o), o->appliances);
	options.worker_argv = f->worker_argv; /* borrowed */
	f->runtime = ff_runtime_new(&options, err);
	return f->runtime ? 0 : -1;
}

/* ---------------------------------------------------------------- scopes */

static bool has_scope(const struct options *o, const char *provider)
{
	for (size_t i = 0; i < o->scope_count; i++)
		if (ff_streq(o->scopes[i].provider->name, provider))
			return true;
	return false;
}

static int open_scopes(
	struct found *f, const struct options *o, const struct ff_engine_config *config, struct ff_err *err)
{
	struct ff_env env = {.get = get_env};

	if (o->scope_count == 0)
		return ff_fail(err, FF_E_USAGE, "no provider: give --provider azure --rg NAME, or see fixfleet --help");
	if (o->key_graph && !has_scope(o, "azure"))
		return ff_fail(err, FF_E_USAGE, "--key-graph is for azure: there is no --provider azure");
	for (size_t i = 0; i < o->scope_count; i++) {
		struct ff_scope_options options = o->scopes[i].options; /* borrows */
		struct ff_cloud *cloud;

		options.rescues = o->rescues;
		options.cloud = o->azure_cloud;
		options.allow_deallocate = o->allow_deallocate;
		options.asg_standby = o->asg_standby;
		options.discard_local_ssd = o->discard_local_ssd;
		options.csek_file = o->csek_file;
		options.no_backup = o->no_backup;
		options.key_graph = o->key_graph;
		options.take_over = o->take_over;
		options.claims = o->from_cloud;
		options.preflight = config->journal && !f->going_on;
		options.run = f->going_on ? config->run : NULL;
		cloud = o->scopes[i].provider->open(&options, &env, err);
		if (cloud == NULL)
			return -1;
		ff_engine_add_scope(f->engine, o->scopes[i].provider, cloud);
	}
	return 0;
}

/* Say what went wrong and which identity was taken. How many scopes can be worked with? */
static size_t judge_scopes(struct found *f)
{
	size_t good = 0;

	for (size_t i = 0; i < ff_engine_scope_count(f->engine); i++) {
		const struct ff_provider *provider = ff_engine_scope_provider(f->engine, i);
		struct ff_cloud *cloud = ff_engine_scope_cloud(f->engine, i);
		const struct ff_err *err = ff_engine_scope_error(f->engine, i);
		const struct ff_strv *notes = provider->notes(cloud);

		if (err != NULL) {
			ff_log(FF_LOG_ERROR, "fixfleet", "%s: %s", provider->title(cloud), err->text);
			/* a wrong command line is nobody's part: nothing is begun anywhere */
			f->status = err->class == FF_E_USAGE || f->status == EXIT_USAGE ? EXIT_USAGE : EXIT_NOTHING;
			continue;
		}
		good++;
		ff_log(FF_LOG_DEBUG, provider->name, "signed in with %s", provider->login_name(cloud));
		for (size_t n = 0; n < notes->count; n++)
			ff_log(FF_LOG_WARN, provider->name, "%s", notes->items[n]);
	}
	return good;
}

/* ---------------------------------------------------------------- selection */

static char *read_instances(const char *path, size_t *len, struct ff_err *err)
{
	FILE *in = ff_streq(path, "-") ? stdin : fopen(path, "re");
	struct ff_buf text = {0};
	char piece[16384];
	size_t n;

	if (in == NULL) {
		ff_fail(err, FF_E_USAGE, "cannot open: %m");
		return NULL;
	}
	while (text.len <= INSTANCES_BYTES_MAX && (n = fread(piece, 1, sizeof(piece), in)) > 0)
		ff_buf_add(&text, piece, n);
	if (ferror(in))
		ff_fail(err, FF_E_USAGE, "cannot read: %m");
	else if (text.len > INSTANCES_BYTES_MAX)
		ff_fail(err, FF_E_USAGE, "larger than %d MiB", INSTANCES_BYTES_MAX >> 20);
	else
		*len = text.len;
	n = ferror(in) || text.len > INSTANCES_BYTES_MAX;
	if (in != stdin)
		fclose(in);
	if (n) {
		ff_buf_free(&text);
		return NULL;
	}
	return ff_buf_take(&text);
}

static int load_instances(struct instances *in, const char *path, struct ff_err *err)
{
	size_t len = 0;
	ff_auto_free char *text = read_instances(path, &len, err);

	if (text == NULL || instances_parse(in, text, len, err) < 0)
		return ff_wrap(err, "--instances '%s'", path);
	return 0;
}

static int by_scope_and_name(const void *a, const void *b)
{
	const struct ff_selected *x = a, *y = b;
	int order;

	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	order = strcmp(x->vm->name, y->vm->name);
	return order ? order : strcmp(x->vm->id, y->vm->id);
}

static void collect(struct found *f, const struct options *o, struct instances *in)
{
	for (size_t i = 0; i < ff_engine_scope_count(f->engine); i++) {
		struct ff_vm **vms;
		size_t n;

		if (ff_engine_scope_error(f->engine, i) != NULL)
			continue;
		n = ff_engine_scope_provider(f->engine, i)->vms(ff_engine_scope_cloud(f->engine, i), &vms);
		f->vms = ff_realloc(f->vms, f->count + n, sizeof(*f->vms));
		for (size_t k = 0; k < n; k++)
			if (selection_takes(o, in, vms[k]))
				f->vms[f->count++] = (struct ff_selected){.scope = i, .vm = vms[k]};
	}
	if (f->count > 0)
		qsort(f->vms, f->count, sizeof(*f->vms), by_scope_and_name);
}

/* A name that fits nothing is most likely a typing error, and the operator believes that VM will be mended. */
static int check_all_seen(const struct instances *in, const struct options *o, bool partial, struct ff_err *err)
{
	size_t missing = 0;
	const char *first = NULL;

	for (size_t i = 0; i < in->lines.count; i++) {
		if (!in->seen[i]) {
			missing++;
			first = first ? first : in->lines.items[i];
		}
	}
	if (missing == 0 || partial)
		return 0;
	return ff_fail(err, FF_E_USAGE,
		"--instances '%s': '%s'%s is not in scope, or not selected by --name and --tag; nothing was changed",
		o->instances, first, missing > 1 ? " (and others)" : "");
}

static int select_vms(struct found *f, const struct options *o, struct ff_err *err)
{
	struct instances in = {0};
	int rc = 0;

	if (o->instances == NULL) {
		collect(f, o, NULL);
		return 0;
	}
	if (load_instances(&in, o->instances, err) < 0) {
		rc = -1;
	} else {
		collect(f, o, &in);
		rc = check_all_seen(&in, o, f->status != EXIT_OK, err);
	}
	instances_release(&in);
	return rc;
}

struct ff_engine_config find_config(const struct options *o, const struct key_sources *keys, struct view *view)
{
	struct ff_engine_config config = {
		.take_over = o->take_over,
		.dev_root = options_dev_root(o),
		.journal = true,
		.parallel = o->parallel,
		.max_failures = o->max_failures,
		.max_failures_percent = o->max_failures_percent,
		.canary = o->canary,
		.verify_ms = o->verify_ms,
		.discard_hibernation = o->discard_hibernation,
		.disk_timeout_ms = o->disk_timeout_ms,
		.event = view_event,
		.event_arg = view,
	};

	if (keys != NULL) {
		config.keys = keys->items;
		config.key_source_count = keys->count;
		config.key_secret = o->key_secret;
	}
	return config;
}

int find_begin(struct found *f, const struct options *o, const struct ff_engine_config *config, struct ff_err *err)
{
	if (make_runtime(f, o, err) < 0)
		return -1;
	f->engine = ff_engine_new(ff_runtime_world(f->runtime), config);
	/* who goes on brings disks home, whatever he may do besides */
	return open_scopes(f, o, config, err);
}

int find_all(struct found *f, const struct options *o)
{
	(void)o;
	ff_runtime_run(f->runtime, f->engine, FF_PHASE_FOUND, NULL, NULL);
	if (ff_runtime_interrupted(f->runtime)) {
		ff_log(FF_LOG_ERROR, "fixfleet", "interrupted; nothing was changed");
		return EXIT_INTERRUPT;
	}
	return judge_scopes(f) == 0 || f->status == EXIT_USAGE ? f->status : 0;
}

int find(struct found *f, const struct options *o, const struct ff_engine_config *config)
{
	struct ff_err err = {0};
	int status;

	*f = (struct found){0};
	if (o->operands.count > 0) {
		ff_fail(&err, FF_E_USAGE, "'%s' is not an option: see fixfleet --help", o->operands.items[0]);
		return fail_with(&err);
	}
	if (find_begin(f, o, config, &err) < 0)
		return fail_with(&err);
	status = find_all(f, o);
	if (status != 0)
		return status;
	if (select_vms(f, o, &err) < 0)
		return fail_with(&err);
	return 0;
}

void say_left_out(const struct found *f)
{
	for (size_t i = 0; i < ff_engine_scope_count(f->engine); i++) {
		const struct ff_err *err = ff_engine_scope_error(f->engine, i);

		if (err != NULL)
			ff_log(FF_LOG_ERROR, "fixfleet", "%s: nothing was done there: %s",
				ff_engine_scope_provider(f->engine, i)->title(ff_engine_scope_cloud(f->engine, i)),
				err->text);
	}
}

void found_release(struct found *f)
{
	free(f->vms);
	/* the engine first: it may still hold what the runtime delivers to */
	ff_engine_free(f->engine);
	ff_runtime_free(f->runtime);
	ff_strv_free(&f->worker_argv);
	*f = (struct found){0};
}
