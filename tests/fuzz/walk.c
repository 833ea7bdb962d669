/* A row's ladder: [look] -> act -> [poll ...] -> [look] -> done, for one member or two, as the engine walks it. */
#include "cloud.h"

#define ROUNDS_MAX 400

static void check_verdict(const char *of, const struct ff_verdict *v, bool lost)
{
	FUZZ_CHECK((unsigned)v->meaning <= FF_M_FAILED, "%s: meaning %d", of, (int)v->meaning);
	if (v->meaning == FF_M_FAILED || v->meaning == FF_M_SPLIT)
		FUZZ_CHECK_ERR(v->err);
	FUZZ_CHECK(memchr(v->err.text, '\0', sizeof(v->err.text)) != NULL, "%s: text", of);
	FUZZ_CHECK(v->facts == NULL || json_is_object(v->facts), "%s: facts", of);
	FUZZ_CHECK(v->rescue_facts == NULL || json_is_object(v->rescue_facts), "%s: rescue facts", of);
	/* without an answer nothing is known */
	FUZZ_CHECK(!lost || (v->meaning != FF_M_DONE && v->meaning != FF_M_NOT_DONE && v->meaning != FF_M_STARTED),
		"%s: meaning %d without an answer", of, (int)v->meaning);
}

/* Each patch is journaled: what it makes must be text and come back as it was. */
static void learn(struct fuzz_walk *w, struct ff_verdict *v)
{
	for (size_t i = 0; i < w->count; i++) {
		ff_auto_free char *text = NULL;

		if (v[i].facts != NULL) {
			ff_json_merge(w->facts[i], v[i].facts);
			text = ff_json_text(v[i].facts);
			FUZZ_CHECK(text[0] == '{', "facts");
		}
		if (i == 0 && v[i].rescue_facts != NULL)
			ff_json_merge(w->rescue_facts, v[i].rescue_facts);
		json_decref(v[i].facts);
		json_decref(v[i].rescue_facts);
		v[i].facts = v[i].rescue_facts = NULL;
	}
}

static bool readable(const struct ff_answer *answer, enum ff_class class)
{
	return answer->transport == FF_T_OK && class != FF_E_THROTTLED && class != FF_E_TRANSIENT && class != FF_E_AUTH;
}

static void wait_for(struct fuzz_walk *w, const struct ff_verdict *v)
{
	w->now_ms += v->wait_ms > 0 && v->wait_ms < 3600000 ? v->wait_ms : 2000;
}

/* Build, exchange; false: there is no answer, or the request could not be built. */
static bool ask_for(struct fuzz_walk *w, int rc, struct ff_ask *ask, const struct ff_err *err, struct ff_answer *answer,
	enum ff_class *class)
{
	bool got;

	*answer = (struct ff_answer){0};
	if (rc < 0)
		FUZZ_CHECK_ERR(*err);
	else
		fuzz_check_ask(ask);
	got = rc == 0 && w->exchange(w, ask, answer, class);
	ff_ask_release(ask);
	return got;
}

static void look_again(struct ff_verdict *v, size_t from, size_t upto)
{
	for (size_t i = from; i < upto; i++)
		v[i].meaning = FF_M_LOOK;
}

/* One look of each member: alone, or together where the row offers that. */
static bool look(struct fuzz_walk *w, const struct ff_step *row, struct ff_verdict *v)
{
	bool many = row->looks != NULL && row->look_max >= w->count && (w->count > 1 || row->look == NULL);

	for (size_t i = 0; i < (many ? 1 : w->count); i++) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};
		struct ff_answer answer;
		enum ff_class class;
		int rc = many ? row->looks(w->cloud, w->members, w->count, &ask, &err)
			      : row->look(w->cloud, &w->members[i], &ask, &err);

		if (!ask_for(w, rc, &ask, &err, &answer, &class)) {
			learn(w, v);
			return false;
		}
		if (!readable(&answer, class))
			look_again(v, i, many ? w->count : i + 1);
		else if (many)
			row->lookeds(w->cloud, w->members, w->count, w->now_ms, &answer, v);
		else
			row->looked(w->cloud, &w->members[i], w->now_ms, &answer, &v[i]);
		for (size_t k = i; k < (many ? w->count : i + 1); k++) {
			check_verdict(row->name, &v[k], false);
			FUZZ_CHECK(v[k].meaning != FF_M_STARTED && (many || v[k].meaning != FF_M_SPLIT),
				"%s: a look says %d", row->name, (int)v[k].meaning);
		}
		ff_answer_release(&answer, false);
	}
	learn(w, v);
	return true;
}

/* Act, or poll what it began. */
static bool act(struct fuzz_walk *w, const struct ff_step *row, bool polling, struct ff_verdict *v)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	struct ff_answer answer;
	enum ff_class class;
	int rc;

	if (!polling) /* a new intent, a new token */
		snprintf(w->token, sizeof(w->token), "5d1c0d9e-0000-4000-8000-%012u", ++w->intents);
	for (size_t i = 0; i < w->count; i++)
		w->members[i].token = w->token;
	rc = (polling ? w->provider->poll : row->act)(w->cloud, w->members, w->count, &ask, &err);

	ask.mutates = !polling;
	if (!ask_for(w, rc, &ask, &err, &answer, &class))
		return false;
	if (polling && !readable(&answer, class))
		look_again(v, 0, w->count);
	else
		(polling ? w->provider->polled : row->acted)(w->cloud, w->members, w->count, w->now_ms, &answer, v);
	for (size_t i = 0; i < w->count; i++)
		check_verdict(row->name, &v[i], answer.transport != FF_T_OK && answer.transport != FF_T_NOT_SENT);
	ff_answer_release(&answer, false);
	learn(w, v);
	return true;
}

enum ff_meaning fuzz_walk_row(struct fuzz_walk *w, int step)
{
	const struct ff_step *row = &w->provider->steps[step];
	bool looking = w->look_first || row->act == NULL || (row->flags & FF_LOOK_FIRST) != 0, polling = false;

	for (size_t i = 0; i < w->count; i++)
		w->members[i].step = step;
	if (row->kind == FF_STEP_REPAIR || (row->applies != NULL && !row->applies(&w->members[0])))
		return FF_M_DONE;
	for (w->rounds = 0; w->rounds < ROUNDS_MAX; w->rounds++) {
		struct ff_verdict v[2] = {{0}};

		if (!(looking ? look(w, row, v) : act(w, row, polling, v)))
			return FF_M_LOOK;
		wait_for(w, &v[0]);
		if (v[0].meaning == FF_M_FAILED)
			return FF_M_FAILED;
		if (v[0].meaning == FF_M_DONE && (looking || (row->flags & FF_LOOK_AFTER) == 0))
			return FF_M_DONE;
		if (v[0].meaning == FF_M_SPLIT)
			w->count = 1;
		if (v[0].meaning == FF_M_WAIT)
			continue;
		polling = v[0].meaning == FF_M_STARTED && w->provider->poll != NULL;
		looking = !polling && (v[0].meaning != FF_M_NOT_DONE || row->act == NULL) && v[0].meaning != FF_M_SPLIT;
		if (row->look == NULL && row->looks == NULL)
			looking = false;
	}
	return FF_M_LOOK;
}
