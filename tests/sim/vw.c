/* Hosts, and the turning of the whole. */
#include "vw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disks.h"

#include "fixfleet/journal.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"
#include "fixfleet/recipe.h"

/* splitmix64, as in the model. */
uint64_t vw_random(struct vw *vw)
{
	uint64_t z = (vw->random += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

int64_t vw_between(struct vw *vw, int64_t low, int64_t high)
{
	return high > low ? low + (int64_t)(vw_random(vw) % (uint64_t)(high - low + 1)) : low;
}

void vw_meter_in(struct vw *vw)
{
	if (vw->in_model != NULL)
		vw->in_model(true);
}

void vw_meter_out(struct vw *vw)
{
	if (vw->in_model != NULL)
		vw->in_model(false);
}

struct vw *vw_new(uint64_t seed)
{
	struct vw *vw = ff_calloc(1, sizeof(*vw));

	vw->now_ms = VW_BEGAN;
	vw->random = seed;
	vw->rtt_ms = 100;
	vw->times = (struct vw_worker_times){.appliance_ms = 12000, .disk_ms = 1000, .close_ms = 300, .disks_max = 48};
	return vw;
}

int vw_open(struct vw *vw, const json_t *scenario, struct ff_err *err)
{
	struct sim_hooks hooks = {vw_image_is_bad, vw_image_name, vw};

	vw->sim = sim_new(scenario, vw->now_ms, &hooks, err);
	if (vw->sim == NULL)
		return -1;
	vw_carry_out_due(vw);
	return 0;
}

static void host_free(struct vw_host *host)
{
	vw_host_end(host);
	vw_workers_free(host);
	ff_buf_free(&host->journal);
	ff_buf_free(&host->fault_text);
	ff_later_release(&host->later);
	ff_lost_release(&host->lost);
	json_decref(host->recipes);
	free(host->run);
	free(host);
}

void vw_free(struct vw *vw)
{
	if (vw == NULL)
		return;
	for (size_t i = 0; i < vw->host_count; i++)
		vw_host_end(vw->hosts[i]);
	vw_events_free(vw);
	for (size_t i = 0; i < vw->host_count; i++)
		host_free(vw->hosts[i]);
	sim_free(vw->sim);
	vw_disks_free(vw);
	free(vw->faults.refused);
	free(vw);
}

/* ---------------------------------------------------------------- the engine's world */

static int64_t w_mono(void *self)
{
	const struct vw_host *host = self;

	return host->vw->now_ms - VW_BEGAN;
}

static int64_t w_wall(void *self)
{
	const struct vw_host *host = self;

	return host->vw->now_ms + host->skew_ms;
}

static uint64_t w_random(void *self)
{
	return vw_random(((struct vw_host *)self)->vw);
}

static void w_wake_at(void *self, int64_t mono_ms)
{
	struct vw_host *host = self;

	host->wake_ms = mono_ms == INT64_MAX ? INT64_MAX : mono_ms + VW_BEGAN;
}

static int w_append(void *self, const char *line, size_t len, struct ff_err *err)
{
	struct vw_host *host = self;

	host->appends++;
	if (host->appends == host->crash.append_before)
		host->crashed = true;
	if (host->crashed)
		return 0;
	if (host->journal_broken || (host->append_fails > 0 && host->appends >= host->append_fails)) {
		host->vw->faults.counts[VW_F_JOURNAL_FULL] += !host->journal_broken;
		host->journal_broken = true;
		ff_buf_add(&host->journal, line, (size_t)vw_between(host->vw, 0, (int64_t)len - 1));
		return ff_fail(err, FF_E_LOCAL, "no space left on device");
	}
	vw_meter_in(host->vw); /* a file elsewhere */
	for (size_t i = 0; i < len; i++)
		host->records += line[i] == '\n';
	ff_buf_add(&host->journal, line, len);
	vw_meter_out(host->vw);
	host->crashed = host->killed = host->appends == host->crash.append_after;
	return 0;
}

static int w_sync(void *self, struct ff_err *err)
{
	struct vw_host *host = self;

	host->syncs++;
	if (host->syncs == host->crash.sync_before)
		host->crashed = true;
	if (host->crashed)
		return 0;
	if (host->journal_broken || (host->sync_fails > 0 && host->syncs >= host->sync_fails)) {
		host->vw->faults.counts[VW_F_SYNC_FAILS] += !host->journal_broken;
		host->journal_broken = true;
		return ff_fail(err, FF_E_LOCAL, "input/output error");
	}
	host->synced = host->journal.len;
	host->crashed = host->syncs == host->crash.sync_after;
	return 0;
}

static int w_worker_send(void *self, const char *rescue_name, const json_t *line, struct ff_err *err)
{
	struct vw_host *host = self;

	(void)err;
	if (!host->crashed)
		vw_worker_hear(host, rescue_name, line);
	return 0;
}

static void w_worker_kill(void *self, const char *rescue_name)
{
	struct vw_host *host = self;

	if (!host->crashed)
		vw_worker_kill(host, rescue_name, "killed by signal 9");
}

static int w_keep(void *self, const char *vm_key, unsigned index, const char *path, int64_t offset, const void *bytes,
	size_t len, struct ff_err *err)
{
	(void)self, (void)vm_key, (void)index, (void)path, (void)offset, (void)bytes, (void)len, (void)err;
	return 0;
}

static int w_keep_sync(void *self, const char *vm_key, const json_t *manifest, struct ff_err *err)
{
	(void)self, (void)vm_key, (void)manifest, (void)err;
	return 0;
}

struct vw_host *vw_host_new(struct vw *vw)
{
	struct vw_host *host = ff_calloc(1, sizeof(*host));

	host->vw = vw;
	host->number = (unsigned)vw->host_count;
	host->wake_ms = INT64_MAX;
	host->recipes = json_array();
	json_array_append_new(host->recipes, ff_recipe_builtin("crowdstrike-291"));
	host->world = (struct ff_world){
		.self = host,
		.mono_ms = w_mono,
		.wall_ms = w_wall,
		.random = w_random,
		.wake_at = w_wake_at,
		.send = vw_send,
		.append = w_append,
		.sync = w_sync,
		.worker_send = w_worker_send,
		.worker_kill = w_worker_kill,
		.keep = w_keep,
		.keep_sync = w_keep_sync,
	};
	vw->hosts[vw->host_count++] = host;
	return host;
}

/* ---------------------------------------------------------------- a run */

static const char *get_env(void *self, const char *name)
{
	static const char *const pairs[][2] = {
		{"AZURE_RESOURCE_MANAGER_ENDPOINT", VW_BASE},
		{"AZURE_AUTHORITY_HOST", VW_BASE},
		{"AZURE_TENANT_ID", SIM_AZURE_TENANT},
		{"AZURE_CLIENT_ID", SIM_AZURE_CLIENT},
		{"AZURE_CLIENT_SECRET", "s1"},
		{"AZURE_SUBSCRIPTION_ID", SIM_AZURE_SUBSCRIPTION},
		{"AWS_ENDPOINT_URL", VW_BASE},
		{"AWS_ACCESS_KEY_ID", SIM_AWS_KEY},
		{"AWS_SECRET_ACCESS_KEY", SIM_AWS_SECRET},
		{"AWS_REGION", SIM_AWS_REGION},
		{"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", VW_BASE "/compute/v1/"},
		{"GOOGLE_APPLICATION_CREDENTIALS", "/gcp.json"},
		{"GOOGLE_CLOUD_PROJECT", "p1"},
	};

	(void)self;
	for (size_t i = 0; i < FF_COUNT(pairs); i++)
		if (ff_streq(pairs[i][0], name))
			return pairs[i][1];
	return NULL;
}

static int add_scope(struct vw_host *host, const char *name, const struct ff_scope_options *options, struct ff_err *err)
{
	const struct ff_provider *provider = ff_provider_by_name(name);
	struct ff_env env = {get_env, NULL};
	struct ff_cloud *cloud = provider->open(options, &env, err);

	if (cloud == NULL)
		return -1;
	ff_engine_add_scope(host->engine, provider, cloud);
	return 0;
}

static int any_record(void *arg, const struct ff_node *record, struct ff_err *err)
{
	(void)record, (void)err;
	++*(size_t *)arg;
	return 0;
}

/* How many records there are in the journal, and how much of it is sound. -1 with err: it is damaged. */
static int read_journal(const struct vw_host *host, size_t *records, size_t *sound, struct ff_err *err)
{
	struct ff_source source = ff_source_of(host->journal.text, host->journal.len);
	struct ff_chain chain = {0};

	*records = *sound = 0;
	return host->journal.len == 0 ? 0 : ff_journal_read(source, any_record, records, &chain, sound, err);
}

int vw_host_begin(struct vw_host *host, const struct vw_run *run, struct ff_err *err)
{
	struct ff_engine_config config = {.run = run->run,
		.flow = run->flow,
		.of = run->past != NULL ? run->past->run : NULL,
		.recipes = host->recipes,
		.dev_root = "/dev",
		.journal = true,
		.parallel = run->parallel,
		.canary = run->canary,
		.max_failures = run->max_failures,
		.max_failures_percent = run->max_failures_percent};
	struct ff_scope_options options = {
		.run = run->run, .no_backup = run->no_backup, .project = "p1", .subscription = SIM_AZURE_SUBSCRIPTION};
	size_t records, sound;

	free(host->run);
	host->run = ff_strdup(run->run);
	host->flow = run->flow;
	host->past = run->past;
	host->meant = run->meant;
	ff_later_release(&host->later);
	ff_lost_release(&host->lost);
	host->later.flow = run->flow;
	if (run->flow != FF_FLOW_REPAIR)
		json_array_clear(host->recipes);
	if (read_journal(host, &records, &sound, err) < 0)
		return -1;
	options.claims = run->flow == FF_FLOW_RECOVER && records == 0; /* else it is gone on with by its journal */
	host->life++;
	host->engine = ff_engine_new(&host->world, &config);
	if (run->azure_groups != NULL)
		options.groups = *run->azure_groups;
	if ((run->azure && add_scope(host, "azure", &options, err) < 0) ||
		(run->aws && add_scope(host, "aws", &options, err) < 0) ||
		(run->gcp && add_scope(host, "gcp", &options, err) < 0))
		return -1;
	host->dirty = true;
	return 0;
}

static int come_after(struct vw_host *host, struct ff_err *err)
{
	struct ff_later *later = &host->later;
	struct ff_err why;
	int rc;

	for (size_t n = 0; n < host->past->count; n++)
		if (host->meant >> n % 64 & 1)
			ff_later_take(later, host->engine, host->past, &host->past->vms[n], &why);
	if (later->count == 0)
		return 1;
	rc = ff_engine_repair(host->engine, later->vms, later->count, NULL, err);
	host->dirty = true;
	return rc;
}

static int recover(struct vw_host *host, struct ff_err *err)
{
	struct ff_lost *lost = &host->lost;
	int rc;

	lost->run = host->run;
	if (ff_lost_find(lost, host->engine, err) < 0)
		return -1;
	if (lost->count == 0)
		return 1;
	rc = ff_engine_repair(host->engine, lost->vms, lost->count, NULL, err);
	host->dirty = true;
	return rc;
}

int vw_host_repair(struct vw_host *host, struct ff_err *err)
{
	struct ff_selected *selected = NULL;
	size_t n = 0;
	int rc;

	if (host->past != NULL)
		return come_after(host, err);
	if (host->flow == FF_FLOW_RECOVER)
		return recover(host, err);
	for (size_t s = 0; s < ff_engine_scope_count(host->engine); s++) {
		struct ff_vm **vms;
		size_t count;

		if (ff_engine_scope_error(host->engine, s) != NULL)
			continue;
		count = ff_engine_scope_provider(host->engine, s)->vms(ff_engine_scope_cloud(host->engine, s), &vms);
		selected = ff_realloc(selected, n + count + 1, sizeof(*selected));
		for (size_t i = 0; i < count; i++)
			if (vms[i]->health == FF_AFFECTED)
				selected[n++] = (struct ff_selected){.scope = s, .vm = vms[i]};
	}
	rc = ff_engine_repair(host->engine, selected, n, NULL, err);
	free(selected);
	host->dirty = true;
	return rc;
}

void vw_host_end(struct vw_host *host)
{
	ff_engine_free(host->engine);
	host->engine = NULL;
	host->life++;
	vw_lines_drop(host);
	ff_table_free(&host->unheard, NULL);
	host->wake_ms = INT64_MAX;
	host->dirty = false;
}

void vw_host_crash(struct vw_host *host, bool torn)
{
	size_t left = host->journal.len - host->synced;

	vw_host_end(host);
	vw_workers_stop(host); /* ssh and the workers end with it */
	if (host->killed) {
		host->killed = false;
	} else if (left > 0 && torn) {
		host->vw->faults.counts[VW_F_TORN_TAIL]++;
		left = (size_t)vw_between(host->vw, 0, (int64_t)left);
	} else {
		left = 0;
	}
	host->journal.len = host->synced + left;
	host->crashed = host->journal_broken = false;
	host->crash = (struct vw_break){0};
	host->append_fails = host->sync_fails = 0;
}

void vw_host_lose(struct vw_host *host)
{
	ff_buf_free(&host->journal);
	host->synced = 0;
}

int vw_host_go_on(struct vw_host *host, struct ff_err *err)
{
	size_t sound, records;
	int rc;

	if (read_journal(host, &records, &sound, err) < 0)
		return -1;
	host->journal.len = host->synced = sound;
	if (records == 0)
		return vw_host_repair(host, err);
	host->journal.text[sound] = '\0';
	rc = ff_engine_resume(host->engine, ff_source_of(host->journal.text, sound), err);
	host->dirty = true;
	return rc;
}

/* ---------------------------------------------------------------- time */

static int64_t next_moment(const struct vw *vw)
{
	int64_t next = vw->events.count > 0 ? vw->events.heap[0]->at_ms : INT64_MAX, model = sim_next_ms(vw->sim);

	for (size_t i = 0; i < vw->host_count; i++) {
		if (vw->hosts[i]->crashed)
			continue;
		if (vw->hosts[i]->dirty)
			return vw->now_ms;
		next = vw->hosts[i]->wake_ms < next ? vw->hosts[i]->wake_ms : next;
	}
	return model < next ? model : next;
}

static void turn(struct vw_host *host)
{
	if (host->engine == NULL || host->crashed || (!host->dirty && host->wake_ms > host->vw->now_ms))
		return;
	host->dirty = false;
	host->wake_ms = INT64_MAX;
	host->vw->turns++;
	ff_engine_turn(host->engine);
}

bool vw_step(struct vw *vw)
{
	int64_t next;

	vw_meter_in(vw);
	next = next_moment(vw);
	if (next == INT64_MAX) {
		vw_meter_out(vw);
		return false;
	}
	if (next > vw->now_ms)
		vw->now_ms = next;
	sim_advance(vw->sim, vw->now_ms);
	vw_carry_out_due(vw);
	vw_meter_out(vw);
	while (vw->events.count > 0 && vw->events.heap[0]->at_ms <= vw->now_ms) {
		struct vw_event *event = vw_event_take(vw);

		event->run(vw, event);
		vw_meter_in(vw);
		vw_carry_out_due(vw);
		vw_meter_out(vw);
	}
	for (size_t i = 0; i < vw->host_count; i++)
		turn(vw->hosts[i]);
	return true;
}

int vw_run_until(struct vw_host *host, enum ff_phase phase, int64_t limit_ms, struct ff_err *err)
{
	struct vw *vw = host->vw;
	int64_t until_ms = vw->now_ms + limit_ms;

	while (ff_engine_phase(host->engine) < phase) {
		if (!vw_step(vw))
			return ff_fail(err, FF_E_BUG, "nothing goes on");
		if (vw->now_ms > until_ms)
			return ff_fail(err, FF_E_BUG, "no end within %lld s", (long long)(limit_ms / 1000));
	}
	return 0;
}
