/* What will happen, in order of time: a binary heap. */
#include "vw.h"

#include <stdlib.h>

static bool before(const struct vw_event *a, const struct vw_event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void vw_event_add(struct vw *vw, struct vw_event *event, int64_t at_ms)
{
	struct vw_events *q = &vw->events;
	size_t i = q->count;

	if (q->count == q->room) {
		q->room = q->room ? q->room * 2 : 64;
		q->heap = ff_realloc(q->heap, q->room, sizeof(*q->heap));
	}
	event->at_ms = at_ms > vw->now_ms ? at_ms : vw->now_ms;
	event->order = q->order++;
	q->count++;
	for (; i > 0 && before(event, q->heap[(i - 1) / 2]); i = (i - 1) / 2)
		q->heap[i] = q->heap[(i - 1) / 2];
	q->heap[i] = event;
}

struct vw_event *vw_event_take(struct vw *vw)
{
	struct vw_events *q = &vw->events;
	struct vw_event *first = q->heap[0], *last = q->heap[--q->count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < q->count) {
		if (child + 1 < q->count && before(q->heap[child + 1], q->heap[child]))
			child++;
		if (!before(q->heap[child], last))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	q->heap[i] = last;
	return first;
}

void vw_events_free(struct vw *vw)
{
	for (size_t i = 0; i < vw->events.count; i++)
		vw->events.heap[i]->free(vw->events.heap[i]);
	free(vw->events.heap);
	vw->events = (struct vw_events){0};
}
