/*
 * Records of a journal, read to be looked at and forgotten: a large run has half a million. All other JSON is
 * jansson's, and so is every record that does not look as jansson writes it; but building a tree of each record took
 * two thirds of a replay, 3.4 s for ten thousand VMs, while somebody waits for his disks to come home.
 *
 * The values lie in one array, the texts in one copy of the line, and both are used again for the next line. What is
 * read, and what is refused, is exactly what ff_json_parse() reads and refuses.
 */
#ifndef FIXFLEET_NODE_H
#define FIXFLEET_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"

enum ff_node_kind { FF_NODE_NULL, FF_NODE_BOOL, FF_NODE_INT, FF_NODE_STR, FF_NODE_ARRAY, FF_NODE_OBJECT, FF_NODE_REAL };

/* A value; those inside it follow it. */
struct ff_node {
	const char *key;    /* in an object; NULL elsewhere */
	const char *str;    /* STR */
	int64_t num;	    /* INT, BOOL */
	const json_t *from; /* where jansson had to read the text; NULL otherwise */
	uint32_t span;	    /* nodes, this one and all inside it */
	uint32_t count;	    /* members or elements */
	enum ff_node_kind kind;
};

/* All zero is an empty one. */
struct ff_nodes {
	struct ff_node *items;
	size_t count, room;
	char *text;
	size_t text_room;
	json_t *odd; /* as jansson read it */
};

/**
 * Read a text. The value (borrowed until the next read), or NULL with err (FF_E_BUG) as from ff_json_parse().
 */
const struct ff_node *ff_nodes_read(
	struct ff_nodes *nodes, const char *text, size_t len, size_t bytes_max, struct ff_err *err);
void ff_nodes_free(struct ff_nodes *nodes);

/* As their namesakes of fixfleet/json.h, with the name of one member instead of a path; `node` may be NULL. */
const struct ff_node *ff_node_get(const struct ff_node *node, const char *key);
const char *ff_node_str(const struct ff_node *node, const char *key);
int64_t ff_node_int(const struct ff_node *node, const char *key, int64_t otherwise);
bool ff_node_bool(const struct ff_node *node, const char *key, bool otherwise);

static inline bool ff_node_is(const struct ff_node *node, enum ff_node_kind kind)
{
	return node != NULL && node->kind == kind;
}

/** The elements of an array, or the members of an object: first, then next() until NULL. */
const struct ff_node *ff_node_first(const struct ff_node *node);
/** @of  what `node` is inside */
const struct ff_node *ff_node_next(const struct ff_node *of, const struct ff_node *node);
#define ff_node_foreach(of, node) for ((node) = ff_node_first(of); (node) != NULL; (node) = ff_node_next(of, node))

/** The value as JSON of its own. A new reference; NULL for NULL. */
json_t *ff_node_json(const struct ff_node *node);
/** As ff_json_merge(). */
void ff_node_merge(json_t *object, const struct ff_node *patch);

#endif
