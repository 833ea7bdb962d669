/*
 * The command line in the journal: `info` of the run record holds what is needed to open the same scopes in the same
 * way again, on another machine and without the environment of the first. No secret is among the options.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "fixfleet/json.h"

/* ---------------------------------------------------------------- writing */

static json_t *texts(const struct ff_strv *v)
{
	json_t *array = json_array();

	for (size_t i = 0; i < v->count; i++)
		json_array_append_new(array, json_string(v->items[i]));
	return array;
}

/* Where the program is run the next time is not known. */
static void set_path(json_t *info, const char *key, const char *path)
{
	ff_auto_free char *here = NULL, *whole = NULL;

	if (path != NULL && path[0] != '/' && (here = getcwd(NULL, 0)) != NULL)
		whole = ff_printf("%s/%s", here, path);
	ff_json_set_str(info, key, whole ? whole : path);
}

/* Subscription, region and project as they turned out to be, wherever they came from. */
static json_t *describe_scope(const struct found *f, const struct options *o, size_t i)
{
	const struct ff_provider *provider = ff_engine_scope_provider(f->engine, i);
	const struct ff_cloud *cloud = ff_engine_scope_cloud(f->engine, i);
	const struct ff_scope_options *s = &o->scopes[i].options;
	const char *account = provider->account ? provider->account(cloud) : NULL, *slash;
	json_t *scope = json_object();

	slash = account ? strchr(account, '/') : NULL;
	ff_json_set_str(scope, "provider", provider->name);
	ff_json_set_str(scope, "title", provider->title(cloud));
	if (ff_streq(provider->name, "azure"))
		ff_json_set_str(scope, "subscription", account ? account : s->subscription);
	if (ff_streq(provider->name, "gcp"))
		ff_json_set_str(scope, "project", account ? account : s->project);
	if (ff_streq(provider->name, "aws"))
		ff_json_set_str(scope, "region", slash && slash[1] ? slash + 1 : s->region);
	ff_json_set_str(scope, "profile", s->profile);
	ff_json_set_new(scope, "groups", texts(&s->groups));
	ff_json_set_new(scope, "zones", texts(&s->zones));
	return scope;
}

json_t *options_describe(const struct options *o, const struct found *f)
{
	json_t *info = json_object(), *scopes = json_array();

	for (size_t i = 0; i < ff_engine_scope_count(f->engine); i++)
		json_array_append_new(scopes, describe_scope(f, o, i));
	ff_json_set_new(info, "scopes", scopes);
	ff_json_set_new(info, "rescues", texts(&o->rescues));
	ff_json_set_str(info, "azure_cloud", o->azure_cloud);
	set_path(info, "csek_file", o->csek_file);
	set_path(info, "ca_file", o->ca_file);
	set_path(info, "keys_file", o->keys_file);
	ff_json_set_str(info, "key_command", o->key_command);
	ff_json_set_str(info, "key_secret", o->key_secret); /* its name */
	ff_json_set_bool(info, "key_graph", o->key_graph);
	ff_json_set_str(info, "worker", options_worker(o));
	set_path(info, "dev_root", options_dev_root(o));
	ff_json_set_bool(info, "all", o->all);
	ff_json_set_bool(info, "allow_deallocate", o->allow_deallocate);
	ff_json_set_bool(info, "asg_standby", o->asg_standby);
	ff_json_set_bool(info, "discard_local_ssd", o->discard_local_ssd);
	ff_json_set_bool(info, "no_backup", o->no_backup);
	ff_json_set_bool(info, "take_over", o->take_over);
	ff_json_set_int(info, "max_failures", o->max_failures);
	ff_json_set_int(info, "max_failures_percent", o->max_failures_percent);
	ff_json_set_int(info, "canary", o->canary);
	ff_json_set_int(info, "parallel", o->parallel);
	ff_json_set_int(info, "appliances", o->appliances);
	ff_json_set_int(info, "verify_ms", o->verify_ms);
	ff_json_set_int(info, "disk_timeout_ms", o->disk_timeout_ms);
	ff_json_set_bool(info, "discard_hibernation", o->discard_hibernation);
	return info;
}

/* ---------------------------------------------------------------- reading */

static void take_texts(struct ff_strv *v, const json_t *array)
{
	const json_t *text;
	size_t i;

	json_array_foreach ((json_t *)array, i, text)
		if (json_is_string(text))
			ff_strv_add(v, json_string_value(text));
}

static int recall_scope(struct options *o, const json_t *scope, struct ff_err *err)
{
	const char *name = ff_json_str(scope, "provider");
	const struct ff_provider *provider = name ? ff_provider_by_name(name) : NULL;
	struct ff_scope_options *s;

	if (provider == NULL)
		return ff_fail(err, FF_E_LOCAL, "the run is of provider '%s', which this program does not know",
			name ? name : "");
	o->scopes = ff_realloc(o->scopes, o->scope_count + 1, sizeof(*o->scopes));
	o->scopes[o->scope_count] = (struct scope_option){.provider = provider};
	s = &o->scopes[o->scope_count++].options;
	s->subscription = ff_json_str(scope, "subscription");
	s->project = ff_json_str(scope, "project");
	s->region = ff_json_str(scope, "region");
	s->profile = ff_json_str(scope, "profile");
	take_texts(&s->groups, json_object_get(scope, "groups"));
	take_texts(&s->zones, json_object_get(scope, "zones"));
	return 0;
}

static unsigned number(const json_t *info, const char *key)
{
	int64_t n = ff_json_int(info, key, 0);

	return n > 0 && n <= UINT_MAX ? (unsigned)n : 0;
}

int options_recall(struct options *o, const json_t *info, struct ff_err *err)
{
	const struct {
		const char **to;
		const char *key;
	} strings[] = {{&o->azure_cloud, "azure_cloud"}, {&o->csek_file, "csek_file"}, {&o->ca_file, "ca_file"},
		{&o->keys_file, "keys_file"}, {&o->key_command, "key_command"}, {&o->key_secret, "key_secret"},
		{&o->worker, "worker"}, {&o->dev_root, "dev_root"}};
	const json_t *scopes = json_object_get(info, "scopes"), *scope;
	size_t i;

	if (json_array_size(scopes) == 0)
		return ff_fail(err, FF_E_LOCAL, "the journal does not say how its scopes were opened");
	json_array_foreach ((json_t *)scopes, i, scope)
		if (recall_scope(o, scope, err) < 0)
			return -1;
	for (i = 0; i < FF_COUNT(strings); i++)
		if (*strings[i].to == NULL)
			*strings[i].to = ff_json_str(info, strings[i].key);
	take_texts(&o->rescues, json_object_get(info, "rescues"));
	o->all = ff_json_bool(info, "all", false);
	o->key_graph = o->key_graph || ff_json_bool(info, "key_graph", false);
	o->allow_deallocate = ff_json_bool(info, "allow_deallocate", false);
	o->asg_standby = ff_json_bool(info, "asg_standby", false);
	o->discard_local_ssd = ff_json_bool(info, "discard_local_ssd", false);
	o->no_backup = ff_json_bool(info, "no_backup", false);
	o->take_over = ff_json_bool(info, "take_over", false);
	o->max_failures = number(info, "max_failures");
	o->max_failures_percent = number(info, "max_failures_percent");
	o->canary = number(info, "canary");
	o->appliances = o->appliances ? o->appliances : number(info, "appliances");
	o->parallel = o->parallel ? o->parallel : number(info, "parallel");
	o->verify_ms = o->verify_ms ? o->verify_ms : ff_json_int(info, "verify_ms", 0);
	o->disk_timeout_ms = o->disk_timeout_ms ? o->disk_timeout_ms : ff_json_int(info, "disk_timeout_ms", 0);
	o->discard_hibernation = o->discard_hibernation || ff_json_bool(info, "discard_hibernation", false);
	return 0;
}
