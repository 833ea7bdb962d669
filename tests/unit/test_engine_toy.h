/*
 * A toy cloud for tests of the engine: a provider whose requests say in plain words what they want, and a model that
 * answers them. One VM is five flags.
 *
 *   POST https://toy.test/STEP:VM[,STEP:VM...]    act; the answer's body is one meaning a member, with commas
 *   GET  https://toy.test/look/STEP/VM            look
 *   GET  https://toy.test/looks/STEP:VM,...       the same for many; used by rows that tests give look_max
 *   GET  https://toy.test/poll/STEP:VM,...        poll
 *
 * Meanings in bodies: done, not-done, started, wait, wait=MS, look, split, failed=CLASS.
 */
#ifndef TEST_ENGINE_TOY_H
#define TEST_ENGINE_TOY_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"
#include "fixfleet/engine.h"
#include "fixfleet/json.h"

#define TOY __attribute__((unused)) static

enum toy_row { CLAIM, STOP, COPY, ATTACH, MEND, DETACH, SWAP, START, VERIFY, RELEASE, DELETE, SWAP_BACK, ROWS };

struct ff_cloud {
	struct ff_vm **vms;
	size_t count;
	int signed_in, logins; /* logins: how often it signed in */
	int64_t renew_at;
	bool asked_login, asked_list, list_optional, listed, refuse_login,
		claim_is_free; /* claim_is_free: look before the first act */
	unsigned found;
	const char *account; /* NULL: "toy-1"; "": not known */
	bool held_polls;     /* answers to polls are held back by the cloud */
	bool split_build;    /* building a request for more than one is refused */
	int many;	     /* looks for many: so many at once, then one in 5 s; 0: 1000 */
	int moves;	     /* attach and detach: so many at once, then one in 5 s; 0: 100 */
};

/* ---------------------------------------------------------------- what the model knows of a VM: in its facts' stead */

struct toy_state {
	bool claimed, running, copied, attached, swapped;
	bool mended; /* the copy */
	int twice;   /* acts whose effect was there already */
	int wrong;   /* acts that must not be: swaps of a running VM, starts with the disk away ... */
};

TOY const char *const toy_names[ROWS] = {"claim", "stop", "copy", "attach", "repair", "detach", "swap", "start",
	"verify", "release", "delete", "swap-back"};

TOY int toy_row_of(const char *name)
{
	for (int i = 0; i < ROWS; i++)
		if (strcmp(toy_names[i], name) == 0)
			return i;
	return -1;
}

TOY bool toy_holds(const struct toy_state *s, int row);

/* May this be done to the VM now? */
TOY bool toy_allows(const struct toy_state *s, int row)
{
	switch (row) {
	case COPY:
		return !s->running;
	case ATTACH:
		return s->copied && !s->running && !s->swapped;
	case SWAP:
		return s->copied && !s->running && !s->attached && s->mended;
	case DELETE:
		return !s->swapped && !s->attached;
	case START:
	case SWAP_BACK:
		return !s->attached;
	default:
		return true;
	}
}

TOY void toy_apply(struct toy_state *s, int row)
{
	s->twice += toy_holds(s, row);
	s->wrong += !toy_allows(s, row);
	if (row == DELETE)
		s->mended = false;
	if (row == CLAIM || row == RELEASE)
		s->claimed = row == CLAIM;
	else if (row == STOP || row == START)
		s->running = row == START;
	else if (row == COPY || row == DELETE)
		s->copied = row == COPY;
	else if (row == ATTACH || row == DETACH)
		s->attached = row == ATTACH;
	else if (row == SWAP || row == SWAP_BACK)
		s->swapped = row == SWAP;
}

TOY bool toy_holds(const struct toy_state *s, int row)
{
	switch (row) {
	case CLAIM:
		return s->claimed;
	case RELEASE:
		return !s->claimed;
	case STOP:
		return !s->running;
	case START:
	case VERIFY:
		return s->running;
	case COPY:
		return s->copied;
	case DELETE:
		return !s->copied;
	case ATTACH:
		return s->attached;
	case DETACH:
		return !s->attached;
	case SWAP:
		return s->swapped;
	default:
		return !s->swapped;
	}
}

/* ---------------------------------------------------------------- requests */

TOY void toy_members(struct ff_buf *url, const struct ff_member *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ff_buf_addf(url, "%s%s:%s", i ? "," : "", toy_names[m[i].step], m[i].vm->name);
}

TOY int toy_act(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_buf url = {0};

	if (cloud->split_build && n > 1)
		return ff_fail(err, FF_E_BUG, "not together");
	ff_buf_adds(&url, "https://toy.test/");
	toy_members(&url, m, n);
	ff_buf_adds(&url, "?sig=SECRET");
	ff_ask_http(ask, "POST", "%s", url.text);
	ff_headers_add(&ask->headers, "x-token", m[0].token);
	ff_ask_cost(ask, "toy/acts", 1000, 1000);
	return 0;
}

/* Another function of the same kind: what attaches and detaches is gathered, the rest is not. */
TOY int toy_move(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	if (toy_act(cloud, m, n, ask, err) < 0)
		return -1;
	ff_ask_cost(ask, "toy/moves", cloud->moves ? cloud->moves : 100, cloud->moves ? 0.2 : 100);
	return 0;
}

TOY int toy_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	(void)cloud;
	(void)err;
	ff_ask_http(ask, "GET", "https://toy.test/look/%s/%s", toy_names[m->step], m->vm->name);
	ff_ask_cost(ask, "toy/looks", 1000, 1000);
	return 0;
}

TOY int toy_looks(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_buf url = {0};

	if (cloud->split_build && n > 1)
		return ff_fail(err, FF_E_BUG, "not together");
	toy_members(&url, m, n);
	ff_ask_http(ask, "GET", "https://toy.test/looks/%s", url.text);
	ff_ask_cost(ask, "toy/many", cloud->many ? cloud->many : 1000, cloud->many ? 0.2 : 1000);
	return 0;
}

TOY int toy_poll(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_buf url = {0};

	(void)err;
	toy_members(&url, m, n);
	ff_ask_http(ask, "GET", "https://toy.test/poll/%s", url.text);
	ask->held = cloud->held_polls;
	return 0;
}

/* ---------------------------------------------------------------- answers */

TOY void toy_meaning(const char *word, const struct ff_member *m, struct ff_verdict *v)
{
	const char *value = strchr(word, '=');

	if (ff_has_prefix(word, "done"))
		v->meaning = FF_M_DONE;
	else if (ff_has_prefix(word, "not-done"))
		v->meaning = FF_M_NOT_DONE;
	else if (ff_has_prefix(word, "started"))
		v->meaning = FF_M_STARTED;
	else if (ff_has_prefix(word, "wait"))
		v->meaning = FF_M_WAIT;
	else if (ff_has_prefix(word, "look"))
		v->meaning = FF_M_LOOK;
	else if (ff_has_prefix(word, "busy"))
		v->meaning = FF_M_LOOK;
	else if (ff_has_prefix(word, "split"))
		v->meaning = FF_M_SPLIT;
	else
		v->meaning = FF_M_FAILED;
	v->busy = ff_has_prefix(word, "busy");
	v->away = ff_has_suffix(word, "away");
	if (v->meaning == FF_M_WAIT || v->meaning == FF_M_STARTED)
		v->wait_ms = value ? (unsigned)atoi(value + 1) : 0;
	if (v->meaning == FF_M_WAIT && value) {
		v->facts = json_object();
		ff_json_set_str(v->facts, "waited", value + 1);
	}
	if (v->meaning == FF_M_WAIT && !value)
		ff_fail(&v->err, FF_E_NONE, "agent not ready");
	if (v->meaning == FF_M_FAILED)
		ff_fail(&v->err, value ? ff_class_from_name(value + 1) : FF_E_PERMANENT, "the toy cloud says no");
	if (v->meaning == FF_M_LOOK || v->meaning == FF_M_SPLIT)
		ff_fail(&v->err, FF_E_CONFLICT, "somebody else is at it");
	if (v->meaning == FF_M_DONE && m->step != VERIFY) {
		v->facts = json_object();
		ff_json_set_bool(v->facts, toy_names[m->step], true);
		ff_json_set_new(v->facts, "was", json_null());
		if (m->rescue != NULL) {
			v->rescue_facts = json_object();
			ff_json_set_str(v->rescue_facts, "last", m->vm->name);
		}
	}
}

TOY void toy_read(const struct ff_member *m, size_t n, const struct ff_answer *answer, struct ff_verdict *v)
{
	const char *word = answer->body ? answer->body : "";

	for (size_t i = 0; i < n; i++) {
		ff_auto_free char *one = NULL;

		if (answer->transport != FF_T_OK || answer->status >= 500) {
			v[i].meaning = FF_M_LOOK;
			ff_fail(&v[i].err, FF_E_TRANSIENT, "the answer was lost");
			continue;
		}
		one = ff_strndup(word, strcspn(word, ","));
		if (answer->status == 403 || answer->status == 404 || answer->status == 409) {
			free(one);
			one = ff_printf("failed=%s", answer->status == 403   ? "denied"
						     : answer->status == 404 ? "gone"
									     : "conflict");
		}
		toy_meaning(one, &m[i], &v[i]);
		word += strcspn(word, ",");
		word += *word == ',';
	}
}

TOY void toy_acted(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	(void)cloud;
	(void)wall_ms;
	toy_read(m, n, answer, v);
}

TOY void toy_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer,
	struct ff_verdict *v)
{
	(void)cloud;
	(void)wall_ms;
	toy_read(m, 1, answer, v);
}

TOY const char *toy_by_rescue(const struct ff_member *m)
{
	return m->rescue->id;
}

#define TOY_ROW(n, d) .name = n, .doing = d, .act = toy_act, .acted = toy_acted, .look = toy_look, .looked = toy_looked
#define TOY_MOVE      .act = toy_move, .acted = toy_acted, .look = toy_look, .looked = toy_looked, .group = toy_by_rescue

TOY const struct ff_step toy_steps[ROWS] = {
	[CLAIM] = {TOY_ROW("claim", "claiming"), .undo = RELEASE},
	[STOP] = {TOY_ROW("stop", "stopping"), .flags = FF_IF_RUNNING | FF_TAKES_DOWN, .undo = START},
	[COPY] = {TOY_ROW("copy", "copying"), .undo = DELETE},
	[ATTACH] = {.name = "attach", .doing = "attaching", TOY_MOVE, .group_max = 4, .undo = DETACH},
	[MEND] = {.name = "repair", .doing = "mending", .kind = FF_STEP_REPAIR, .undo = FF_STEP_NONE},
	[DETACH] = {.name = "detach", .doing = "detaching", TOY_MOVE, .group_max = 4, .undo = FF_STEP_NONE},
	[SWAP] = {TOY_ROW("swap", "swapping"), .flags = FF_REPAIRED_ONLY | FF_LOOK_AFTER, .undo = SWAP_BACK},
	[START] = {TOY_ROW("start", "starting"), .flags = FF_IF_RUNNING, .undo = FF_STEP_NONE},
	[VERIFY] = {.name = "verify",
		.doing = "verifying",
		.flags = FF_IF_RUNNING,
		.look = toy_look,
		.looked = toy_looked,
		.undo = FF_STEP_NONE},
	[RELEASE] = {TOY_ROW("release", "releasing"), .flags = FF_BEST_EFFORT, .undo = FF_STEP_NONE},
	[DELETE] = {TOY_ROW("delete", "deleting"), .flags = FF_BEST_EFFORT, .undo = FF_STEP_NONE},
	[SWAP_BACK] = {TOY_ROW("swap-back", "swapping back"), .flags = FF_HOLDS_DISK, .undo = FF_STEP_NONE},
};
TOY const int toy_forward[] = {CLAIM, STOP, COPY, ATTACH, MEND, DETACH, SWAP, START, VERIFY, RELEASE, FF_STEP_NONE};

/* ---------------------------------------------------------------- the rest of the table */

TOY const char *toy_title(const struct ff_cloud *cloud)
{
	(void)cloud;
	return "toy cloud";
}

TOY const char *toy_account(const struct ff_cloud *cloud)
{
	if (cloud->account == NULL)
		return "toy-1";
	return cloud->account[0] ? cloud->account : NULL;
}

TOY enum ff_turn toy_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	(void)wall_ms;
	if (cloud->signed_in)
		return FF_TURN_DONE;
	if (cloud->asked_login) {
		cloud->asked_login = false;
		ff_fail(err, FF_E_AUTH, "tried: password");
		return FF_TURN_FAILED;
	}
	ff_ask_http(ask, "POST", "https://login.toy.test/token");
	ask->secret = true;
	cloud->asked_login = true;
	return FF_TURN_ASK;
}

TOY void toy_login_read(
	struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer)
{
	(void)ask;
	(void)wall_ms;
	if (answer->transport == FF_T_OK && answer->status == 200) {
		cloud->signed_in = 1;
		cloud->asked_login = false;
		cloud->logins++;
	}
}

TOY void toy_login_reset(struct ff_cloud *cloud)
{
	cloud->signed_in = 0;
	cloud->asked_login = false;
}

TOY int64_t toy_renew_at(const struct ff_cloud *cloud)
{
	return cloud->renew_at;
}

TOY const char *toy_login_name(const struct ff_cloud *cloud)
{
	(void)cloud;
	return "password";
}

TOY int toy_sign(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err)
{
	char token[32];

	(void)wall_ms;
	if (!cloud->signed_in)
		return ff_fail(err, FF_E_BUG, "not signed in");
	snprintf(token, sizeof(token), "secret-%d", cloud->logins);
	ff_headers_set(&ask->headers, "authorization", token);
	return 0;
}

TOY enum ff_class toy_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err)
{
	static const struct {
		int status;
		enum ff_class class;
	} table[] = {{401, FF_E_AUTH}, {403, FF_E_DENIED}, {404, FF_E_GONE}, {409, FF_E_CONFLICT},
		{429, FF_E_THROTTLED}, {500, FF_E_TRANSIENT}, {503, FF_E_TRANSIENT}};

	(void)cloud;
	hint->retry_after_ms = ff_retry_after_ms(ff_headers_get(&answer->headers, "retry-after"), wall_ms);
	for (size_t i = 0; i < FF_COUNT(table); i++) {
		if (table[i].status != answer->status)
			continue;
		ff_fail(err, table[i].class, "%s answered %d", ask->method, answer->status);
		return table[i].class;
	}
	return FF_E_NONE;
}

TOY enum ff_turn toy_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err)
{
	(void)err;
	if (cloud->listed)
		return FF_TURN_DONE;
	if (cloud->asked_list)
		return FF_TURN_WAIT;
	cloud->asked_list = true;
	ff_ask_http(ask, "GET", "https://toy.test/list");
	ask->optional = cloud->list_optional;
	return FF_TURN_ASK;
}

TOY int toy_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_err *err)
{
	(void)wall_ms;
	if (answer->status != 200 && !ask->optional)
		return ff_fail(err, FF_E_DENIED, "the list is not for you");
	cloud->listed = true;
	return 0;
}

TOY size_t toy_vms(const struct ff_cloud *cloud, struct ff_vm ***vms)
{
	*vms = cloud->vms;
	return cloud->count;
}

TOY int toy_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err)
{
	if (ff_streq(vm->zone, rescue->zone))
		return 0;
	return ff_fail(err, FF_E_PERMANENT, "'%s' is in zone '%s'", rescue->name, rescue->zone);
}

TOY int toy_place(
	const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *place, struct ff_err *err)
{
	(void)cloud;
	(void)err;
	ff_strv_addf(&place->paths, "lun%d", m->slot);
	place->size_bytes = 4096;
	return 0;
}

TOY void toy_where(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text)
{
	(void)cloud;
	ff_buf_addf(text, "disk of '%s' in slot %d\n", m->vm->name, m->slot);
}

TOY void toy_by_hand(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands)
{
	(void)cloud;
	ff_strv_addf(commands, "toy swap-back %s", m->vm->name);
	ff_strv_addf(commands, "toy start %s", m->vm->name);
}

TOY void toy_close(struct ff_cloud *cloud)
{
	for (size_t i = 0; i < cloud->count; i++) {
		struct ff_vm *vm = cloud->vms[i];

		json_decref(vm->facts);
		json_decref(vm->tags);
		free(vm->id);
		free(vm->name);
		free(vm);
	}
	free(cloud->vms);
	free(cloud);
}

TOY struct ff_vm *toy_add(struct ff_cloud *cloud, const char *name, bool rescue)
{
	struct ff_vm *vm = ff_calloc(1, sizeof(*vm));

	vm->id = ff_printf("/toy/%s", name);
	vm->name = ff_strdup(name);
	vm->scope = vm->region = vm->zone = vm->os = vm->state = vm->reason = vm->disk_id = vm->disk_encryption =
		(char *)"";
	vm->running = true;
	vm->rescue = rescue;
	vm->slots_max = rescue ? 8 : 0;
	vm->facts = json_pack("{s:s,s:s}", "name", name, "was", "here");
	vm->tags = json_object();
	cloud->vms = ff_realloc(cloud->vms, cloud->count + 1, sizeof(struct ff_vm *));
	cloud->vms[cloud->count++] = vm;
	return vm;
}

TOY const struct ff_provider toy = {
	.name = "toy",
	.close = toy_close,
	.title = toy_title,
	.account = toy_account,
	.login_next = toy_login_next,
	.login_read = toy_login_read,
	.login_reset = toy_login_reset,
	.login_renew_at = toy_renew_at,
	.login_name = toy_login_name,
	.sign = toy_sign,
	.judge = toy_judge,
	.discover_next = toy_discover_next,
	.discover_read = toy_discover_read,
	.vms = toy_vms,
	.fits = toy_fits,
	.steps = toy_steps,
	.step_count = ROWS,
	.forward = toy_forward,
	.poll = toy_poll,
	.polled = toy_acted,
	.place = toy_place,
	.where = toy_where,
	.by_hand = toy_by_hand,
};

#endif
