#include "fixfleet/node.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define DEPTH_MAX   32
#define MEMBERS_MAX 64 /* more of them are not worth comparing with one another */
#define DIGITS_MAX  18 /* fit an int64_t whatever they are */

/* ---------------------------------------------------------------- reading */

/*
 * Compact JSON as jansson writes it, of printable ASCII and whole numbers. Everything else, and everything that is
 * wrong, is left to jansson: it alone says what is JSON.
 */
struct reader {
	struct ff_nodes *to;
	char *at; /* in the copy, which a NUL ends: that is no part of any value */
};

static size_t node_new(struct ff_nodes *nodes)
{
	if (nodes->count == nodes->room) {
		nodes->room = nodes->room ? nodes->room * 2 : 64;
		nodes->items = ff_realloc(nodes->items, nodes->room, sizeof(*nodes->items));
	}
	nodes->items[nodes->count] = (struct ff_node){.span = 1};
	return nodes->count++;
}

static bool is_plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* After its quote; decoded where it stands. */
static bool read_text(struct reader *r, const char **text)
{
	char *to = r->at;

	*text = to;
	for (;;) {
		char *from = r->at;

		while (is_plain(*r->at))
			r->at++;
		if (to != from)
			memmove(to, from, (size_t)(r->at - from));
		to += r->at - from;
		if (*r->at == '"')
			break;
		if (r->at[0] != '\\' || (r->at[1] != '"' && r->at[1] != '\\' && r->at[1] != '/'))
			return false;
		*to++ = r->at[1];
		r->at += 2;
	}
	r->at++;
	*to = '\0';
	return true;
}

static bool read_word(struct reader *r, const char *word, struct ff_node *node, enum ff_node_kind kind, int64_t num)
{
	size_t len = strlen(word);

	if (strncmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	node->kind = kind;
	node->num = num;
	return true;
}

static bool read_number(struct reader *r, struct ff_node *node)
{
	bool minus = *r->at == '-';
	const char *first;
	int64_t value = 0;

	r->at += minus;
	for (first = r->at; *r->at >= '0' && *r->at <= '9' && r->at - first < DIGITS_MAX; r->at++)
		value = value * 10 + (*r->at - '0');
	if (r->at == first || (*first == '0' && r->at - first > 1) || (*r->at != ',' && *r->at != '}' && *r->at != ']'))
		return false;
	node->kind = FF_NODE_INT;
	node->num = minus ? -value : value;
	return true;
}

/* Is the last member's name that of one before it? */
static bool comes_twice(const struct ff_node *object, const char *key)
{
	const struct ff_node *member = object + 1;

	for (uint32_t i = 0; i < object->count; i++, member += member->span)
		if (member->key[0] == key[0] && strcmp(member->key, key) == 0)
			return true;
	return false;
}

static bool read_value(struct reader *r, const char *key, unsigned depth);

static bool read_members(struct reader *r, size_t self, char end, unsigned depth)
{
	bool object = end == '}';

	r->to->items[self].kind = object ? FF_NODE_OBJECT : FF_NODE_ARRAY;
	if (*++r->at == end) {
		r->at++;
		return true;
	}
	for (;; r->at++) {
		const char *key = NULL;

		if (object && (*r->at++ != '"' || !read_text(r, &key) || *r->at++ != ':' ||
				      r->to->items[self].count == MEMBERS_MAX || comes_twice(&r->to->items[self], key)))
			return false;
		if (!read_value(r, key, depth + 1))
			return false;
		r->to->items[self].count++;
		if (*r->at == end)
			break;
		if (*r->at != ',')
			return false;
	}
	r->at++;
	r->to->items[self].span = (uint32_t)(r->to->count - self);
	return true;
}

static bool read_value(struct reader *r, const char *key, unsigned depth)
{
	size_t self = node_new(r->to);
	struct ff_node *node = &r->to->items[self];

	node->key = key;
	switch (*r->at) {
	case '"':
		r->at++;
		node->kind = FF_NODE_STR;
		return read_text(r, &node->str);
	case '{':
		return depth < DEPTH_MAX && read_members(r, self, '}', depth);
	case '[':
		return depth < DEPTH_MAX && read_members(r, self, ']', depth);
	case 't':
		return read_word(r, "true", node, FF_NODE_BOOL, 1);
	case 'f':
		return read_word(r, "false", node, FF_NODE_BOOL, 0);
	case 'n':
		return read_word(r, "null", node, FF_NODE_NULL, 0);
	default:
		return read_number(r, node);
	}
}

/* ---------------------------------------------------------------- what jansson read */

static void take(struct ff_nodes *nodes, const char *key, const json_t *j);

static void take_members(struct ff_nodes *nodes, const json_t *j)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach ((json_t *)j, key, value)
		take(nodes, key, value);
	json_array_foreach ((json_t *)j, i, value)
		take(nodes, NULL, value);
}

static void take(struct ff_nodes *nodes, const char *key, const json_t *j)
{
	size_t self = node_new(nodes);
	struct ff_node node = {.key = key, .from = j};

	if (json_is_object(j)) {
		node.kind = FF_NODE_OBJECT;
		node.count = (uint32_t)json_object_size(j);
	} else if (json_is_array(j)) {
		node.kind = FF_NODE_ARRAY;
		node.count = (uint32_t)json_array_size(j);
	} else if (json_is_string(j)) {
		node.kind = FF_NODE_STR;
		node.str = json_string_value(j);
	} else if (json_is_integer(j)) {
		node.kind = FF_NODE_INT;
		node.num = json_integer_value(j);
	} else if (json_is_boolean(j)) {
		node.kind = FF_NODE_BOOL;
		node.num = json_is_true(j);
	} else {
		node.kind = json_is_real(j) ? FF_NODE_REAL : FF_NODE_NULL;
	}
	take_members(nodes, j);
	node.span = (uint32_t)(nodes->count - self);
	nodes->items[self] = node;
}

const struct ff_node *ff_nodes_read(
	struct ff_nodes *nodes, const char *text, size_t len, size_t bytes_max, struct ff_err *err)
{
	struct reader r = {.to = nodes};

	json_decref(FF_STEAL(nodes->odd));
	nodes->count = 0;
	if (len >= nodes->text_room) {
		nodes->text_room = len + len / 2 + 1;
		nodes->text = ff_realloc(nodes->text, nodes->text_room, 1);
	}
	if (len > 0)
		memcpy(nodes->text, text, len);
	nodes->text[len] = '\0';
	r.at = nodes->text;
	if (len <= bytes_max && read_value(&r, NULL, 0) && r.at == nodes->text + len)
		return nodes->items;
	nodes->odd = ff_json_parse(text, len, bytes_max, err);
	if (nodes->odd == NULL)
		return NULL;
	nodes->count = 0;
	take(nodes, NULL, nodes->odd);
	return nodes->items;
}

void ff_nodes_free(struct ff_nodes *nodes)
{
	json_decref(nodes->odd);
	free(nodes->items);
	free(nodes->text);
	*nodes = (struct ff_nodes){0};
}

/* ---------------------------------------------------------------- looking */

const struct ff_node *ff_node_first(const struct ff_node *node)
{
	return node != NULL && node->count > 0 ? node + 1 : NULL;
}

const struct ff_node *ff_node_next(const struct ff_node *of, const struct ff_node *node)
{
	const struct ff_node *next = node + node->span;

	return next < of + of->span ? next : NULL;
}

const struct ff_node *ff_node_get(const struct ff_node *node, const char *key)
{
	const struct ff_node *member;

	if (!ff_node_is(node, FF_NODE_OBJECT))
		return NULL;
	ff_node_foreach(node, member) if (strcmp(member->key, key) == 0) return member;
	return NULL;
}

const char *ff_node_str(const struct ff_node *node, const char *key)
{
	const struct ff_node *value = ff_node_get(node, key);

	return ff_node_is(value, FF_NODE_STR) ? value->str : NULL;
}

int64_t ff_node_int(const struct ff_node *node, const char *key, int64_t otherwise)
{
	const struct ff_node *value = ff_node_get(node, key);
	int64_t number;

	if (ff_node_is(value, FF_NODE_INT))
		return value->num;
	if (ff_node_is(value, FF_NODE_STR) && ff_parse_i64(value->str, INT64_MIN, INT64_MAX, &number) == 0)
		return number;
	return otherwise;
}

bool ff_node_bool(const struct ff_node *node, const char *key, bool otherwise)
{
	const struct ff_node *value = ff_node_get(node, key);

	return ff_node_is(value, FF_NODE_BOOL) ? value->num != 0 : otherwise;
}

/* ---------------------------------------------------------------- as JSON of its own */

static json_t *made(json_t *j)
{
	if (j == NULL)
		ff_oom();
	return j;
}

static json_t *object_of(const struct ff_node *node)
{
	json_t *object = made(json_object());
	const struct ff_node *member;

	ff_node_foreach(node, member) ff_json_set_new(object, member->key, ff_node_json(member));
	return object;
}

static json_t *array_of(const struct ff_node *node)
{
	json_t *array = made(json_array());
	const struct ff_node *element;

	ff_node_foreach(node, element) if (json_array_append_new(array, ff_node_json(element)) != 0) ff_oom();
	return array;
}

json_t *ff_node_json(const struct ff_node *node)
{
	if (node == NULL)
		return NULL;
	if (node->from != NULL)
		return made(json_deep_copy(node->from));
	switch (node->kind) {
	case FF_NODE_BOOL:
		return json_boolean(node->num);
	case FF_NODE_INT:
		return made(json_integer(node->num));
	case FF_NODE_STR:
		return made(json_string(node->str));
	case FF_NODE_ARRAY:
		return array_of(node);
	case FF_NODE_OBJECT:
		return object_of(node);
	default: /* a real is never read but by jansson */
		return json_null();
	}
}

void ff_node_merge(json_t *object, const struct ff_node *patch)
{
	const struct ff_node *member;

	ff_node_foreach(patch, member)
		ff_json_set_new(object, member->key, member->kind == FF_NODE_NULL ? NULL : ff_node_json(member));
}
