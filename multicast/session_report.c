/* SPDX-License-Identifier: Apache-2.0
 * What the sender tells other threads and its owner: statistics, members, decisions. The session's
 * thread; takes the lock a few times a second. */
#include "multicast/session_sender.h"

#define REPORT_INTERVAL  (20 * CP_MSEC)
#define MEMBERS_INTERVAL (100 * CP_MSEC)

void mc_report_trace(void *arg, const struct norm_trace *t)
{
    const struct mc_sender *s = arg;
    struct mc_trace out = {
        .at = t->at,
        .what = norm_trace_kind_name(t->kind),
        .reason = t->reason == NORM_REASON_NONE ? NULL : norm_reason_name(t->reason),
        .node_id = t->node_id,
        .before = t->before,
        .after = t->after,
        .loss = t->loss,
        .rate_bps = t->rate_bps,
    };

    s->config.trace(s->config.trace_arg, &out);
}

/* Bytes of content that the first pass is over. */
static uint64_t content_sent(const struct mc_sender *s, uint32_t next_block)
{
    uint64_t size = s->config.channel.content_size;

    if (next_block >= s->partition.block_count) {
        return size;
    }
    uint64_t offset = norm_partition_offset(&s->partition, next_block, 0);
    return offset < size ? offset : size;
}

/* Under the lock. */
static void copy_stats(struct mc_sender *s, const struct norm_sender_stats *core)
{
    struct mc_sender_stats *st = &s->stats;
    uint64_t segment = s->partition.segment_size;
    struct io_udp_stats udp;

    io_udp_get_stats(s->udp, &udp);
    st->phase = core->state == NORM_SENDER_SENDING ? MC_SENDING : MC_FLUSHING;
    st->bytes_sent = udp.sent_bytes;
    st->packets_sent = udp.sent_packets;
    st->source_bytes = core->source_symbols * segment;
    st->parity_bytes = core->parity_symbols * segment;
    st->repair_bytes = core->repair_symbols * segment;
    st->content_sent = content_sent(s, core->next_block);
    st->nacks = core->nacks;
    st->forged = s->forged;
    st->replayed = s->replayed;
    st->unlisted = s->unlisted;
    st->rate_bps = core->rate_bps;
    st->rate_ceiling_bps = core->rate_ceiling_bps;
    st->rate_reason = norm_reason_name(core->rate_reason);
    st->pace_setter = core->pace_setter;
    st->auto_parity = core->auto_parity;
    st->over_budget = core->over_budget;
    st->gso = udp.gso;
    st->started = s->first_sent_at;
}

/* Under the lock. */
static void copy_members(struct mc_sender *s)
{
    const struct norm_member *m;
    size_t count = 0;

    while (count < NORM_MEMBERS_MAX && (m = norm_sender_member(s->core, count)) != NULL) {
        s->members[count++] = (struct mc_member){
            .node_id = m->node_id,
            .loss = m->loss,
            .rate_bps = m->rate_bps,
            .slow = m->slow,
            .outlier = m->outlier,
            .over_budget = m->over_budget,
            .asked_symbols = m->asked,
        };
    }
    s->member_count = count;
}

void mc_report(struct mc_sender *s, cp_time now, const struct norm_sender_stats *core,
               enum mc_phase end)
{
    bool members = end != MC_OPEN || now >= s->members_at + MEMBERS_INTERVAL;

    if (end == MC_OPEN && core->state == s->reported_state &&
        now < s->reported_at + REPORT_INTERVAL) {
        return;
    }
    s->reported_at = now;
    s->reported_state = core->state;
    pthread_mutex_lock(&s->lock);
    copy_stats(s, core);
    if (members) {
        copy_members(s);
        s->members_at = now;
    }
    if (end != MC_OPEN) {
        s->stats.phase = end;
        s->stats.ended = now;
    }
    pthread_mutex_unlock(&s->lock);
}
