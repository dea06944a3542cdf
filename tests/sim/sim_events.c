/* SPDX-License-Identifier: Apache-2.0
 * The simulator's event queue (binary heap) and packets. One thread. */
#include "sim_events.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

struct sim_events {
    struct sim_event *heap;
    size_t count, cap;
    uint64_t order;
};

struct sim_events *sim_events_new(void)
{
    struct sim_events *q = calloc(1, sizeof(*q));

    CP_ASSERT(q != NULL);
    return q;
}

void sim_events_free(struct sim_events *q)
{
    struct sim_event event;

    while (sim_events_pop(q, CP_TIME_NEVER, &event)) {
        if (event.buf != NULL) {
            sim_buf_put(event.buf);
        }
    }
    free(q->heap);
    free(q);
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

void sim_events_push(struct sim_events *q, struct sim_event event)
{
    size_t i = q->count;

    if (q->count == q->cap) {
        q->cap = q->cap == 0 ? 1024 : q->cap * 2;
        q->heap = realloc(q->heap, q->cap * sizeof(*q->heap));
        CP_ASSERT(q->heap != NULL);
    }
    event.order = q->order++;
    q->count++;
    while (i > 0 && before(&event, &q->heap[(i - 1) / 2])) {
        q->heap[i] = q->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    q->heap[i] = event;
}

bool sim_events_pop(struct sim_events *q, cp_time until, struct sim_event *ret_event)
{
    if (q->count == 0 || q->heap[0].time > until) {
        return false;
    }
    *ret_event = q->heap[0];
    q->count--;
    struct sim_event last = q->heap[q->count];
    size_t i = 0;

    for (size_t child = 1; child < q->count; child = 2 * i + 1) {
        if (child + 1 < q->count && before(&q->heap[child + 1], &q->heap[child])) {
            child++;
        }
        if (!before(&q->heap[child], &last)) {
            break;
        }
        q->heap[i] = q->heap[child];
        i = child;
    }
    q->heap[i] = last;
    return true;
}

bool sim_events_empty(const struct sim_events *q)
{
    return q->count == 0;
}

void sim_buf_decode(struct sim_buf *buf)
{
    buf->decoded = 0;
    for (unsigned i = 0; i < buf->count; i++) {
        size_t size;
        const uint8_t *data = sim_buf_packet(buf, i, &size);

        if (norm_decode(data, size, &buf->msg[i]) == CP_OK) {
            buf->decoded |= UINT64_C(1) << i;
        }
    }
}

struct sim_buf *sim_buf_get(const struct norm_txbuf *tx, unsigned from)
{
    struct sim_buf *buf = malloc(sizeof(*buf) + tx->count * sizeof(*buf->msg) + tx->size);

    CP_ASSERT(buf != NULL);
    *buf = (struct sim_buf){.references = 1,
                            .from = from,
                            .count = tx->count,
                            .size = tx->size,
                            .stride = tx->stride,
                            .data = (uint8_t *)&buf->msg[tx->count]};
    memcpy(buf->data, tx->data, tx->size);
    sim_buf_decode(buf);
    return buf;
}

void sim_buf_put(struct sim_buf *buf)
{
    buf->references--;
    if (buf->references == 0) {
        free(buf);
    }
}
