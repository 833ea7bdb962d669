/* A random incident: what happens when, and its course. */
#include "incident.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disks.h"

#include "fixfleet/json.h"

#define MINUTE_MS   ((int64_t)60 * 1000)
#define DAY_MS	    ((int64_t)24 * 60 * MINUTE_MS)
#define SEEN_MS	    10000 /* by then every answer tells what was done */
#define STEPS_MAX   2000000
#define RESUMES_MAX 60

enum stage { OFF, FINDING, RUNNING, DONE };

struct course {
	struct vw_incident i;
	enum stage stage[VW_HOSTS_MAX];
	int64_t start_ms[VW_HOSTS_MAX]; /* OFF: when it starts (again) */
	unsigned resumes[VW_HOSTS_MAX], crashes_left;
	int64_t progress_ms;
	size_t progress;
	struct vw_later later;	      /* past NULL: not now */
	json_t *before[VW_HOSTS_MAX]; /* the model's state before the run of each */
	struct vw_host *actor;	      /* who is interrupted, and whose clock jumps */
};

void vw_wrong(struct vw_incident *i, const char *fmt, ...)
{
	ff_auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	i->r->failed = true;
	if (i->r->why.len < 8192)
		ff_buf_addf(&i->r->why, "%9.3f %s\n", (double)(i->vw->now_ms - VW_BEGAN) / 1000, text);
}

/* ---------------------------------------------------------------- what happens by itself */

struct act {
	struct vw_event event;
	struct course *c;
	struct vw_host *host;
	enum { ACT_NOTHING, ACT_HUMAN, ACT_INTERRUPT, ACT_CLOCK } what;
};

static void act_free(struct vw_event *event)
{
	free(event);
}

/* The model's state of a VM; NULL: there is none of that name. It goes with *state. */
static const json_t *vm_now(const struct vw *vw, const char *cloud, const char *name, json_t **state)
{
	const json_t *vm;
	size_t k;

	*state = sim_state(vw->sim);
	json_array_foreach ((json_t *)ff_json_at(ff_json_at(*state, cloud), "vms"), k, vm)
		if (ff_streq(ff_json_str(vm, "name"), name))
			return vm;
	return NULL;
}

/* No cloud starts a machine without its OS disk for a human either, nor while it is leaving: EC2 wants the root volume
 * `attached`, and the model's own StartInstances refuses anything else. Behind its back a human must not do more. */
static bool vm_is_home(const json_t *vm)
{
	return ff_json_bool(vm, "own_disk", false) &&
	       (ff_json_str(vm, "root/status") == NULL || ff_streq(ff_json_str(vm, "root/status"), "attached"));
}

/* What somebody may mend at the console of a machine that nobody has claimed; NULL: nothing. */
static struct vw_disk *to_mend(const struct vw_incident *i, const char *cloud, const char *name)
{
	ff_auto_json json_t *state = NULL;
	const json_t *vm = vm_now(i->vw, cloud, name, &state);
	struct vw_disk *content = vw_content_of(i, vm);
	const char *run = ff_json_str(vm, ff_streq(cloud, "gcp") ? "labels/fixfleet-run" : "tags/fixfleet-run");

	if (content == NULL || !content->bad || (run != NULL && *run != '\0') || !vm_is_home(vm) ||
		!ff_streq(ff_json_str(vm, "power"), "running"))
		return NULL;
	return content;
}

static void act_by_hand(struct vw_incident *i, const char *op, const char *cloud, const char *name)
{
	ff_auto_json json_t *act = json_pack("{s:s, s:s, s:s}", "op", op, "cloud", cloud, "vm", name);
	size_t seen = json_array_size(i->vw->sim->violations);
	struct ff_err err;

	if (sim_human(i->vw->sim, i->vw->now_ms, act, &err) == 0)
		i->vw->faults.counts[VW_F_HUMAN]++;
	if (i->o->story)
		fprintf(stderr, "%9.3f human: %s %s %s\n", (double)(i->vw->now_ms - VW_BEGAN) / 1000, op, cloud, name);
	while (json_array_size(i->vw->sim->violations) > seen) /* what a human breaks is not ours */
		json_array_remove(i->vw->sim->violations, seen);
}

static void note_by_hand(struct vw_incident *i, const char *cloud, const char *name)
{
	ff_auto_free char *key = ff_printf("%s %s", cloud, name);

	ff_table_set(&i->touched_by_hand, key, i);
	free(i->hand);
	i->hand = FF_STEAL(key);
	i->hand_ms = i->vw->now_ms;
	if (ff_has_prefix(name, "rescue"))
		ff_table_set(&i->touched_by_hand, cloud, i);
}

/* What keeps it from booting is removed, and it is started again. */
static void mend_by_hand(struct vw_incident *i, const char *cloud, const char *name)
{
	struct vw_disk *content = to_mend(i, cloud, name);
	ff_auto_free char *key = ff_printf("%s %s", cloud, name);

	if (content == NULL)
		return;
	content->bad = false;
	content->files = 0;
	ff_table_set(&i->mended_by_hand, key, i);
	note_by_hand(i, cloud, name);
	act_by_hand(i, "stop", cloud, name);
	act_by_hand(i, "start", cloud, name);
}

static const char *first_vm(const struct vw_incident *i, const char **cloud)
{
	*cloud = i->vw->sim->parts[0].cloud->name;
	return ff_json_str(ff_json_at(ff_json_at(i->before, *cloud), "vms/0"), "name");
}

static bool first_to_mend(struct vw *vw)
{
	const struct course *c = vw->incident;
	const char *cloud, *name = first_vm(&c->i, &cloud);

	return to_mend(&c->i, cloud, name) != NULL;
}

static void mend_first(struct vw *vw)
{
	struct course *c = vw->incident;
	const char *cloud, *name = first_vm(&c->i, &cloud);

	mend_by_hand(&c->i, cloud, name);
}

static void human(struct course *c)
{
	static const char *const ops[] = {"start", "stop", "detach", "touch-tags"};
	struct vw_incident *i = &c->i;
	const char *cloud = i->vw->sim->parts[vw_draw(i, i->vw->sim->part_count)].cloud->name, *name, *op;
	const json_t *vms = ff_json_at(ff_json_at(i->before, cloud), "vms");
	ff_auto_json json_t *state = NULL;

	name = ff_json_str(json_array_get(vms, vw_draw(i, json_array_size(vms))), "name");
	op = ops[vw_draw(i, FF_COUNT(ops))];
	if (ff_streq(op, "start") && !vm_is_home(vm_now(i->vw, cloud, name, &state)))
		return;
	/* mostly there is nothing to start; every other time what keeps it from booting is removed. Not drawn: what a
	 * seed means stays the same */
	if (ff_streq(op, "start") && (i->random >> 32) % 2 != 0 && to_mend(i, cloud, name) != NULL) {
		mend_by_hand(i, cloud, name);
		return;
	}
	note_by_hand(i, cloud, name);
	act_by_hand(i, op, cloud, name);
}

static void happens(struct vw *vw, struct vw_event *event)
{
	struct act *a = (struct act *)event;
	struct vw_host *host = a->host;

	if (a->what == ACT_HUMAN) {
		human(a->c);
	} else if (a->what == ACT_CLOCK) {
		host->skew_ms = (int64_t)vw_draw(&a->c->i, 480000) - 240000;
		vw->faults.counts[VW_F_CLOCK_JUMP]++;
	} else if (a->what == ACT_INTERRUPT && host->engine != NULL && !host->crashed) {
		ff_engine_interrupt(host->engine);
		host->dirty = true;
		vw->faults.counts[VW_F_INTERRUPT]++;
	}
	event->free(event);
}

static void at(struct course *c, int64_t after_ms, int what)
{
	struct act *a = ff_calloc(1, sizeof(*a));

	a->event.run = happens;
	a->event.free = act_free;
	a->c = c;
	a->host = c->actor;
	a->what = what;
	vw_event_add(c->i.vw, &a->event, c->i.vw->now_ms + after_ms);
}

/* ---------------------------------------------------------------- the plan */

static void plan_break(struct course *c, struct vw_host *host)
{
	struct vw_incident *i = &c->i;
	uint64_t span = 20 + vw_draw(i, 40 * i->r->vms + 40);

	if (c->crashes_left == 0)
		return;
	c->crashes_left--;
	switch (vw_draw(i, 6)) {
	case 0:
		host->crash.send_before = host->sends + 1 + vw_draw(i, span);
		break;
	case 1:
		host->crash.send_after = host->sends + 1 + vw_draw(i, span);
		break;
	case 2:
		host->crash.append_before = host->appends + 1 + vw_draw(i, span);
		break;
	case 3:
		host->crash.sync_before = host->syncs + 1 + vw_draw(i, span);
		break;
	case 4:
		host->append_fails = host->appends + 1 + vw_draw(i, span);
		break;
	default:
		host->sync_fails = host->syncs + 1 + vw_draw(i, span);
	}
}

/* What happens to one operator's run, or while it goes on. */
static void plan_acts(struct course *c)
{
	struct vw_incident *i = &c->i;

	if (vw_chance(i, 10))
		at(c, (int64_t)vw_draw(i, 400000), ACT_INTERRUPT);
	if (vw_chance(i, 3))
		at(c, (int64_t)vw_draw(i, 400000), ACT_INTERRUPT);
	if (vw_chance(i, 10))
		at(c, (int64_t)vw_draw(i, 400000), ACT_CLOCK);
	for (unsigned n = vw_chance(i, 15) ? 1 + (unsigned)vw_draw(i, 3) : 0; n > 0; n--)
		at(c, (int64_t)vw_draw(i, 500000), ACT_HUMAN);
}

/* Exactly as it is asked for, and nothing else: the last run alone. */
static void disturb(struct vw_incident *i, struct vw_host *host)
{
	struct vw_faults *f = &i->vw->faults;

	if (host->number != i->o->after_count)
		return;
	host->crash = i->o->crash;
	i->vw->at_request = i->o->at_request;
	for (size_t k = 0; k < FF_COUNT(f->exact); k++) {
		f->exact[k].number = i->o->faults[k].number;
		f->exact[k].kind = i->o->faults[k].kind;
	}
}

static void plan(struct course *c)
{
	struct vw_incident *i = &c->i;
	struct vw_faults *f = &i->vw->faults;

	if (i->o->cloud != NULL) {
		disturb(i, i->vw->hosts[0]);
		return;
	}
	vw_plan_faults(i, false);
	c->crashes_left = vw_chance(i, 50) ? 1 + (unsigned)vw_draw(i, 3) : 0;
	plan_break(c, i->vw->hosts[0]);
	plan_acts(c);
	if (vw_chance(i, 12)) {
		c->stage[1] = OFF;
		vw_host_new(i->vw);
		c->start_ms[1] = VW_BEGAN + (int64_t)vw_draw(i, 300000);
		at(c, c->start_ms[1] - VW_BEGAN, ACT_NOTHING);
		f->counts[VW_F_OPERATOR]++;
		i->second = 1;
		i->beside = true;
	}
	for (size_t h = 0; h < i->vw->host_count; h++)
		vw_plan_waves(i, &i->waves[h]);
}

/* ---------------------------------------------------------------- its course */

static void start_again(struct course *c, struct vw_host *host)
{
	bool lost = c->i.lost[host->number], exactly = c->i.o->cloud != NULL;
	/* nobody has lost a folder sooner; where it is tried exhaustively what was asked for last is under way still */
	int64_t least_ms = !lost ? 1000 : exactly ? 5000 : SEEN_MS;
	int64_t after_ms = least_ms + (int64_t)vw_draw(&c->i, lost && exactly ? 1000 : 300000);

	c->stage[host->number] = OFF;
	c->start_ms[host->number] = c->i.vw->now_ms + after_ms;
	if (c->resumes[host->number] == RESUMES_MAX / 3) /* at last somebody gives the permission back */
		c->i.vw->faults.restored_ms = c->i.vw->now_ms;
	if (++c->resumes[host->number] > RESUMES_MAX) {
		vw_wrong(&c->i, "%s: no end after %d resumes", host->run, RESUMES_MAX);
		c->stage[host->number] = DONE;
	}
	at(c, after_ms, ACT_NOTHING);
}

/* What the host is for after a repair; NULL: it was there before. */
static const struct vw_doing *doing_of(const struct vw_later *later, const struct vw_host *host)
{
	for (size_t n = 0; n < later->count; n++)
		if (later->by[n].host == host)
			return &later->by[n];
	return NULL;
}

/* It is gone with the machine sometimes. A cleanup has claimed nothing: it is done once more. */
static bool loses_folder(struct course *c, const struct vw_host *host)
{
	const struct vw_doing *doing = doing_of(&c->later, host);

	if ((doing != NULL && (doing->flow == FF_FLOW_CLEANUP || c->later.count > 1)) || host->journal.len == 0)
		return false;
	return c->i.o->cloud != NULL ? c->i.o->lost && !c->i.lost[host->number] : vw_chance(&c->i, 20);
}

static void crash(struct course *c, struct vw_host *host, bool torn)
{
	vw_lost_note(&c->i, host);
	vw_host_crash(host, torn);
	if (loses_folder(c, host)) {
		c->i.vw->faults.counts[VW_F_LOST]++;
		vw_lost_begin(&c->i, host);
	}
	if (c->i.o->cloud == NULL)
		plan_break(c, host);
	start_again(c, host);
}

/* The recovery died before its journal named everybody: it says so, and they are brought home once more. */
static bool recovers_more(struct course *c, struct vw_host *host)
{
	if (host->flow != FF_FLOW_RECOVER || ff_engine_result(host->engine)->missing == 0)
		return false;
	vw_lost_note(&c->i, host);
	vw_host_crash(host, false);
	vw_lost_begin(&c->i, host);
	start_again(c, host);
	return true;
}

static void begin(struct course *c, struct vw_host *host)
{
	static const char *const runs[VW_HOSTS_MAX] = {"run-1", "run-2", "run-3", "run-4", "run-5", "run-6"};
	const struct vw_waves *waves = &c->i.waves[host->number];
	struct vw_run run = {.run = runs[host->number],
		.canary = waves->canary,
		.max_failures = waves->max_failures,
		.max_failures_percent = waves->max_failures_percent};
	const struct vw_doing *doing = doing_of(&c->later, host);
	struct ff_err err = {0};

	for (size_t k = 0; k < c->i.vw->sim->part_count; k++) {
		run.azure = run.azure || ff_streq(c->i.vw->sim->parts[k].cloud->name, "azure");
		run.aws = run.aws || ff_streq(c->i.vw->sim->parts[k].cloud->name, "aws");
		run.gcp = run.gcp || ff_streq(c->i.vw->sim->parts[k].cloud->name, "gcp");
	}
	if (c->i.lost[host->number]) {
		run.flow = FF_FLOW_RECOVER;
		run.max_failures = 1;
	} else if (doing != NULL && doing->flow != FF_FLOW_REPAIR) {
		run.past = c->later.past;
		run.flow = doing->flow;
		run.meant = doing->meant;
	}
	c->stage[host->number] = FINDING;
	for (size_t k = 0; k < c->i.vw->sim->bucket_count; k++) /* a new process does not know what it was told */
		c->i.vw->sim->buckets[k].refused_ms = -1;
	if (vw_host_begin(host, &run, &err) < 0)
		vw_wrong(&c->i, "%s cannot begin: %s", run.run, err.text);
}

/* Whoever has no outcome yet is gone on with later. */
static bool all_ended(struct vw_host *host)
{
	const struct ff_result *r = ff_engine_result(host->engine);

	if (r->broken.class != FF_E_NONE)
		return false;
	for (size_t k = 0; k < r->count; k++)
		if (r->ended[k].outcome == FF_O_NONE)
			return false;
	return true;
}

static void found(struct course *c, struct vw_host *host)
{
	bool all = true;
	struct ff_err err = {0};
	int rc;

	for (size_t s = 0; s < ff_engine_scope_count(host->engine); s++)
		all = all && ff_engine_scope_error(host->engine, s) == NULL;
	if (!all && c->resumes[host->number] < RESUMES_MAX / 2) { /* the operator tries again later */
		vw_host_crash(host, false);
		start_again(c, host);
		return;
	}
	c->stage[host->number] = RUNNING;
	rc = vw_host_go_on(host, &err);
	vw_lost_judge_found(&c->i, host);
	if (rc > 0) { /* "nothing to roll back; nothing was changed" */
		c->stage[host->number] = DONE;
	} else if (rc < 0) {
		/* "try again", it says: whose the credentials are was not to be learned */
		if (err.class == FF_E_TRANSIENT ||
			(err.class == FF_E_LOCAL && strstr(err.text, "interrupted") != NULL)) {
			vw_host_crash(host, false);
			start_again(c, host);
			return;
		}
		vw_wrong(&c->i, "%s cannot go on: %s", host->run, err.text);
		c->stage[host->number] = DONE;
	}
}

static void manage(struct course *c, struct vw_host *host)
{
	struct vw *vw = c->i.vw;

	if (host->fault_text.len > 0) {
		vw_wrong(&c->i, "%s", host->fault_text.text);
		ff_buf_free(&host->fault_text);
	}
	if (host->crashed) {
		vw->faults.counts[VW_F_CRASH]++;
		if (c->i.o->story)
			fprintf(stderr, "%9.3f %s crashes\n", (double)(vw->now_ms - VW_BEGAN) / 1000, host->run);
		crash(c, host, vw_draw(&c->i, 2) == 0);
		return;
	}
	if (c->stage[host->number] == OFF && vw->now_ms >= c->start_ms[host->number])
		begin(c, host);
	if (c->stage[host->number] == FINDING && ff_engine_phase(host->engine) == FF_PHASE_FOUND)
		found(c, host);
	if ((c->stage[host->number] == RUNNING || c->stage[host->number] == FINDING) &&
		ff_engine_phase(host->engine) == FF_PHASE_ENDED) {
		if (all_ended(host) && c->stage[host->number] == RUNNING) {
			if (!recovers_more(c, host))
				c->stage[host->number] = DONE;
		} else {
			crash(c, host, true);
		}
	}
}

static bool goes_on(struct course *c)
{
	struct vw *vw = c->i.vw;
	size_t progress = 0;
	bool open = false;

	for (size_t h = 0; h < vw->host_count; h++) {
		open = open || c->stage[h] != DONE;
		progress += vw->hosts[h]->journal.len + vw->hosts[h]->life;
	}
	if (progress != c->progress)
		c->progress_ms = vw->now_ms;
	c->progress = progress;
	if (open && vw->now_ms - c->progress_ms > DAY_MS) {
		vw_wrong(&c->i, "no progress for a day");
		return false;
	}
	return open;
}

static void settle(struct vw *vw)
{
	int64_t next;

	for (int n = 0; n < 100000 && (next = sim_next_ms(vw->sim)) != INT64_MAX; n++) {
		vw->now_ms = next > vw->now_ms ? next : vw->now_ms;
		sim_advance(vw->sim, vw->now_ms);
		vw_carry_out_due(vw);
	}
}

static void run(struct course *c)
{
	struct vw *vw = c->i.vw;

	for (unsigned n = 0; goes_on(c); n++) {
		if (!vw_step(vw) || n > STEPS_MAX) {
			vw_wrong(&c->i, n > STEPS_MAX ? "no end" : "nothing goes on");
			break;
		}
		for (size_t h = 0; h < vw->host_count; h++)
			manage(c, vw->hosts[h]);
		vw_judge_step(&c->i);
		if (c->i.r->failed)
			return;
	}
	while (vw->events.count > 0 && vw->now_ms < c->progress_ms + DAY_MS && vw_step(vw))
		;
	settle(vw);
}

/* ---------------------------------------------------------------- what comes after */

/* The faults and the hands of before are history; what they left in the clouds is not. Of what a hand has done a moment
 * ago EC2's answers may not tell yet. */
static void begin_anew(struct course *c)
{
	struct vw_incident *i = &c->i;
	struct vw_faults *f = &i->vw->faults;

	c->later.all = c->later.all && i->touched_by_hand.count == 0 && i->second == 0;
	i->operations_lost = i->operations_lost || f->counts[VW_F_OP_HANGS] + f->counts[VW_F_OP_LATE] > 0;
	for (size_t k = 0; k < VW_F_COUNT; k++)
		i->r->counts[k] += f->counts[k];
	memset(f->counts, 0, sizeof(f->counts));
	f->refused_twice = false;
	f->revoked = NULL;
	i->revoked = false;
	i->beside = c->later.count > 1;
	ff_table_free(&i->touched_by_hand, NULL);
	if (i->hand != NULL && i->vw->now_ms - i->hand_ms <= SEEN_MS)
		ff_table_set(&i->touched_by_hand, i->hand, i);
	c->progress_ms = i->vw->now_ms;
}

/* One begins within a minute; a second one before, while or after it is at it. */
static void starts_within(struct course *c, const struct vw_host *host, uint64_t within_ms)
{
	struct vw_incident *i = &c->i;

	vw_plan_waves(i, &i->waves[host->number]);
	c->start_ms[host->number] = i->vw->now_ms + (int64_t)vw_draw(i, within_ms);
	at(c, c->start_ms[host->number] - i->vw->now_ms, ACT_NOTHING);
}

static void plan_later(struct course *c)
{
	struct vw_incident *i = &c->i;
	struct vw_host *host = i->vw->hosts[c->later.by[0].host->number];

	if (i->o->cloud != NULL) {
		disturb(i, host);
		c->start_ms[host->number] = i->vw->now_ms;
		at(c, 0, ACT_NOTHING);
		return;
	}
	vw_plan_faults(i, true);
	c->crashes_left = vw_chance(i, 50) ? 1 + (unsigned)vw_draw(i, 3) : 0;
	for (size_t n = 0; n < c->later.count; n++) {
		plan_break(c, i->vw->hosts[c->later.by[n].host->number]);
		starts_within(c, c->later.by[n].host, n == 0 || vw_chance(i, 50) ? 60000 : 300000);
	}
	c->actor = i->vw->hosts[c->later.by[vw_draw(i, c->later.count)].host->number];
	plan_acts(c);
}

/* The operator wants these stopped, healthy or not; no other. */
static void demand(struct vw_incident *i, const struct ff_past *past, const struct vw_doing *doing)
{
	for (size_t k = 0; doing->flow == FF_FLOW_ROLLBACK && k < past->count; k++) {
		const struct ff_past_vm *vm = &past->vms[k];
		enum ff_outcome o = ff_outcome_from_name(vm->outcome);
		ff_auto_json json_t *act = NULL;
		struct ff_err err;

		if ((doing->meant >> k % 64 & 1) == 0 ||
			(o != FF_O_REPAIRED && o != FF_O_FAILED_HOME && o != FF_O_ROLLED_BACK))
			continue;
		act = json_pack("{s:s, s:s, s:s}", "op", "demand", "cloud", vm->provider, "vm", vm->name);
		if (sim_human(i->vw->sim, i->vw->now_ms, act, &err) < 0)
			vw_wrong(i, "%s", err.text);
	}
}

/* Whom it is done to: VM n where bit n % 64 is set. */
static uint64_t choose(struct vw_incident *i, enum ff_flow flow)
{
	if (i->o->cloud != NULL || flow == FF_FLOW_CLEANUP || vw_chance(i, 50))
		return UINT64_MAX;
	return vw_draw(i, UINT64_MAX);
}

/* What a second operator does meanwhile: the same, the other one, or a new repair. */
static enum ff_flow draw_other(struct vw_incident *i, enum ff_flow flow)
{
	enum ff_flow opposite = flow == FF_FLOW_CLEANUP ? FF_FLOW_ROLLBACK : FF_FLOW_CLEANUP;
	uint64_t kind = vw_draw(i, 3);

	return kind == 0 ? flow : kind == 1 ? opposite : FF_FLOW_REPAIR;
}

static void add_operator(struct course *c, enum ff_flow flow)
{
	struct vw_later *later = &c->later;
	struct vw_host *host = vw_host_new(c->i.vw);

	c->before[host->number] = json_incref(later->before);
	later->by[later->count++] = (struct vw_doing){.flow = flow, .meant = choose(&c->i, flow), .host = host};
	demand(&c->i, later->past, &later->by[later->count - 1]);
}

/* The run of before is read by nobody any more. */
static void end_later(struct course *c)
{
	for (size_t n = 0; n < c->later.count; n++)
		c->i.vw->hosts[c->later.by[n].host->number]->past = NULL;
	json_decref(c->later.before);
	c->later = (struct vw_later){0};
}

/* The flow for the run of that host: all of it, or some VMs; with a second operator beside, perhaps. Who does it; NULL:
 * nothing was begun. */
static const struct vw_host *come_after(struct course *c, enum ff_flow flow, const struct vw_host *of, bool all)
{
	struct vw_incident *i = &c->i;
	struct ff_past past = {0};
	struct ff_err err = {0};
	const struct vw_host *host;

	if (ff_past_read(ff_source_of(of->journal.text, of->journal.len), &past, &err) < 0 ||
		ff_later_check(&past, "", &err) < 0) {
		ff_past_release(&past);
		return NULL;
	}
	c->later = (struct vw_later){
		.past = &past, .first = c->before[of->number], .before = sim_state(i->vw->sim), .all = all};
	add_operator(c, flow);
	host = c->later.by[0].host;
	if (i->o->cloud == NULL && vw_chance(i, 50)) {
		add_operator(c, draw_other(i, flow));
		i->r->counts[VW_F_OPERATOR]++;
		c->later.all = false;
	}
	begin_anew(c);
	plan_later(c);
	run(c);
	if (!i->r->failed)
		vw_judge_later(i, &c->later);
	end_later(c);
	ff_past_release(&past);
	return host;
}

static const struct vw_host *last_host(const struct vw_incident *i)
{
	return i->vw->hosts[i->vw->host_count - 1];
}

static void draw_what_comes_after(struct course *c)
{
	struct vw_incident *i = &c->i;
	const struct vw_host *of = i->vw->hosts[vw_draw(i, i->vw->host_count)], *back;

	if (vw_chance(i, 25)) {
		back = come_after(c, FF_FLOW_ROLLBACK, of, true);
		if (!i->r->failed && vw_chance(i, 50)) /* after it, or after the repair all the same */
			come_after(c, FF_FLOW_CLEANUP, back != NULL && vw_chance(i, 70) ? back : of, false);
	} else if (vw_chance(i, 33)) {
		come_after(c, FF_FLOW_CLEANUP, of, true);
	}
}

static void what_comes_after(struct course *c)
{
	const struct vw_incident_options *o = c->i.o;

	if (c->i.r->failed)
		return;
	if (o->cloud == NULL)
		draw_what_comes_after(c);
	for (unsigned n = 0; n < o->after_count && !c->i.r->failed; n++)
		come_after(c, o->after[n], last_host(&c->i), true);
}

static void hear(struct vw_host *host, const char *cloud, const struct ff_ask *ask)
{
	struct course *c = host->vw->incident;

	vw_waves_hear(&c->i, host, cloud, ask);
	vw_later_hear(&c->i, &c->later, host, ask);
}

void vw_incident(uint64_t seed, const struct vw_incident_options *options, struct vw_incident_result *result)
{
	struct course c = {.i = {.o = options, .r = result, .random = seed ^ 0xA5A5A5A5u}};
	ff_auto_json json_t *scenario = NULL;
	struct ff_err err = {0};

	c.i.vw = vw_new(seed);
	c.i.vw->trace = options->story;
	c.i.vw->rtt_ms = options->cloud != NULL ? 100 : 20 + (int64_t)vw_draw(&c.i, 400);
	scenario = vw_plan_fleet(&c.i, seed);
	if (vw_open(c.i.vw, scenario, &err) < 0) {
		vw_wrong(&c.i, "scenario: %s", err.text);
	} else {
		c.i.before = sim_state(c.i.vw->sim);
		vw_host_new(c.i.vw);
		c.start_ms[0] = VW_BEGAN;
		c.progress_ms = VW_BEGAN;
		at(&c, 0, ACT_NOTHING);
		c.actor = c.i.vw->hosts[0];
		c.i.vw->incident = &c;
		c.i.vw->leaves = hear;
		c.i.vw->to_mend = first_to_mend;
		c.i.vw->mend = mend_first;
		plan(&c);
		for (size_t h = 0; h < c.i.vw->host_count; h++)
			c.before[h] = json_incref(c.i.before);
		run(&c);
		if (!result->failed)
			vw_judge_end(&c.i);
		what_comes_after(&c);
	}
	for (size_t k = 0; k < VW_F_COUNT; k++)
		result->counts[k] += c.i.vw->faults.counts[k];
	result->requests += c.i.vw->requests;
	if (c.i.vw->host_count > 0) {
		result->sends = last_host(&c.i)->sends;
		result->appends = last_host(&c.i)->appends;
		result->syncs = last_host(&c.i)->syncs;
	}
	for (size_t h = 0; h < c.i.vw->host_count; h++) {
		if (options->story && c.i.vw->hosts[h]->journal.len > 0)
			fprintf(stderr, "== journal of %s\n%s", c.i.vw->hosts[h]->run, c.i.vw->hosts[h]->journal.text);
	}
	for (size_t h = 0; h < VW_HOSTS_MAX; h++) {
		free(c.i.ends[h].order);
		ff_table_free(&c.i.waves[h].known, free);
		ff_table_free(&c.i.waves[h].begun, NULL);
		json_decref(c.before[h]);
	}
	vw_lost_free(&c.i);
	ff_table_free(&c.i.touched_by_hand, NULL);
	ff_table_free(&c.i.mended_by_hand, NULL);
	free(c.i.hand);
	ff_table_free(&c.i.sick, NULL);
	ff_table_free(&c.i.cleaned, NULL);
	json_decref(c.i.before);
	vw_free(c.i.vw);
}
