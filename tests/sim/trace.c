/* SPDX-License-Identifier: Apache-2.0
 * Transcript of a simulated run. */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void put(struct trace *t, const char *fmt, ...) CP_PRINTF(2, 3);

static void put(struct trace *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(t->text + t->size, TRACE_SIZE - t->size, fmt, args);
    va_end(args);
    CP_ASSERT(n >= 0 && (size_t)n < TRACE_SIZE - t->size);
    t->size += (size_t)n;
}

static void close_run(struct trace *t)
{
    if (t->open) {
        put(t, "S %s %" PRIu32 ":%u", t->kind, t->sbn, t->first);
        if (t->last != t->first) {
            put(t, "-%u", t->last);
        }
        put(t, "\n");
    }
    t->open = false;
}

static void put_data(struct trace *t, const struct norm_msg *m)
{
    const char *kind = "data";

    if ((m->flags & NORM_FLAG_REPAIR) != 0) {
        kind = (m->flags & NORM_FLAG_EXPLICIT) != 0 ? "repair explicit" : "repair";
    }
    if (!t->open || t->kind != kind || t->sbn != m->id.sbn || t->last + 1 != m->id.esi) {
        close_run(t);
        t->open = true;
        t->kind = kind;
        t->sbn = m->id.sbn;
        t->first = m->id.esi;
    }
    t->last = m->id.esi;
}

static void put_requests(struct trace *t, const struct norm_msg *m)
{
    struct norm_repair_reader reader;
    struct norm_repair e;

    norm_repair_reader_init(&reader, m->payload, m->payload_size, 129);
    while (norm_repair_next(&reader, &e)) {
        bool range = e.form == NORM_REPAIR_RANGES;

        if ((e.flags & NORM_REPAIR_OBJECT) != 0) {
            put(t, " object");
        }
        if ((e.flags & NORM_REPAIR_INFO) != 0) {
            put(t, " info");
        }
        if ((e.flags & NORM_REPAIR_BLOCK) != 0) {
            put(t, " block %" PRIu32, e.first.id.sbn);
            if (range) {
                put(t, "-%" PRIu32, e.last.id.sbn);
            }
        }
        if ((e.flags & NORM_REPAIR_SEGMENT) != 0) {
            put(t, " %" PRIu32 ":%u", e.first.id.sbn, e.first.id.esi);
            if (range) {
                put(t, "-%u", e.last.id.esi);
            }
        }
    }
    put(t, "%s\n", reader.malformed ? " malformed" : "");
}

static void put_command(struct trace *t, const struct norm_msg *m)
{
    switch (m->cmd) {
    case NORM_CMD_FLUSH:
        put(t, "S flush %" PRIu32 ":%u", m->id.sbn, m->id.esi);
        for (size_t i = 0; i + 3 < m->payload_size; i += 4) {
            const uint8_t *b = m->payload + i;

            put(t, " %u", (unsigned)b[0] << 24 | (unsigned)b[1] << 16 | (unsigned)b[2] << 8 | b[3]);
        }
        put(t, "\n");
        break;
    case NORM_CMD_EOT:
        put(t, "S eot\n");
        break;
    case NORM_CMD_SQUELCH:
        put(t, "S squelch, window from object %u\n", m->object_id);
        break;
    case NORM_CMD_CC:
        put(t, "S probe\n");
        break;
    case NORM_CMD_REPAIR_ADV:
        put(t, "S advert");
        put_requests(t, m);
        break;
    case NORM_CMD_APPLICATION:
        put(t, "S command %.*s\n", (int)m->payload_size, (const char *)m->payload);
        break;
    case NORM_CMD_ACK_REQ:
    default:
        put(t, "S command %d\n", (int)m->cmd);
        break;
    }
}

void trace_packet(struct trace *t, const struct sim_packet *p)
{
    const struct norm_msg *m = p->msg;

    if (t->decisions_only) {
        return;
    }
    if (m->type == NORM_DATA) {
        put_data(t, m);
        return;
    }
    if ((m->type == NORM_CMD && m->cmd == NORM_CMD_CC && !t->probes) ||
        (m->type == NORM_ACK && m->ack_type == NORM_ACK_CC && !t->acks_cc)) {
        return;
    }
    close_run(t);
    if (m->type == NORM_INFO) {
        put(t, "S info\n");
    } else if (m->type == NORM_CMD) {
        put_command(t, m);
    } else if (m->type == NORM_NACK) {
        put(t, "R%u nack", p->from);
        put_requests(t, m);
    } else {
        put(t, "R%u ack %s\n", p->from, m->ack_type == NORM_ACK_CC ? "probe" : "flush");
    }
}

void trace_decision(void *arg, const struct norm_trace *d)
{
    struct trace *t = arg;

    close_run(t);
    put(t, "S decides %s %" PRIu64 " to %" PRIu64 ", %s", norm_trace_kind_name(d->kind), d->before,
        d->after, norm_reason_name(d->reason));
    if (d->node_id >= SIM_RECEIVER_ID) {
        put(t, ", R%u", (unsigned)(d->node_id - SIM_RECEIVER_ID + 1));
    }
    put(t, "\n");
}

const char *trace_text(struct trace *t)
{
    close_run(t);
    return t->text;
}
