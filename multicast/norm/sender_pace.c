/* SPDX-License-Identifier: Apache-2.0
 * Sender: rate control at work. Probes cut the session into intervals; reports are matched with what
 * was sent in theirs; pace.c or tfmcc.c decides; the decision is set and told. Pure. */
#include "multicast/norm/sender_state.h"

#define FLOOR_DEFAULT UINT64_C(1000000)
#define RECENT        CP_SEC
#define LISTED_MOST   16u             /* receivers that are asked for an answer to every probe */
#define PROBE_PACKETS 32u             /* at least so many between two probes */
#define LOSS_SURE     500.0           /* packets whose loss needs no smoothing */
#define PROBE_FILLED  CP_SEC          /* … but not rarer for it */
#define PROBE_FIRST   (20 * CP_MSEC)  /* before the pace has changed: time lost at the start */
#define PROBE_RARE    (250 * CP_MSEC) /* profile of norm.md section 6.3 */

/* Probes by size of the group: while something is being found out, and else. Reports come back at
 * once from a small group, within a back-off from a large one. */
struct probing {
    uint64_t gsize;
    cp_time eager, steady;
};
static const struct probing probing[] = {
    {10, 5 * CP_MSEC, 50 * CP_MSEC},
    {50, 20 * CP_MSEC, 100 * CP_MSEC},
    {UINT64_MAX, 50 * CP_MSEC, PROBE_RARE},
};

static const struct probing *probing_of(const struct norm_sender *s)
{
    const struct probing *p = probing;

    while (s->config.gsize > p->gsize) {
        p++;
    }
    return p;
}

void norm_sender_rate_init(struct norm_sender *s, cp_time now)
{
    const struct norm_sender_config *c = &s->config;
    const struct norm_pace_config pace = {
        .ceiling_bps = c->rate_bps,
        .floor_bps = c->rate_floor_bps != 0 ? c->rate_floor_bps : FLOOR_DEFAULT,
        .start_bps = c->rate_start_bps != 0 ? c->rate_start_bps : c->rate_bps / 2,
        .slow_share = c->slow_share,
        .prompted = c->cc_probe_rate,
        .trace = c->trace,
        .trace_arg = c->trace_arg,
    };
    const struct norm_tfmcc_config tfmcc = {
        .segment = (double)s->data_header + s->part.segment_size,
        .floor_bps = c->rate_floor_bps,
        .ceiling_bps = c->rate_bps,
        .robust_factor = c->robust_factor,
    };

    norm_pace_init(&s->control.pace, &pace);
    norm_tfmcc_init(&s->control.tfmcc, &tfmcc, c->grtt);
    s->control.began = now;
    s->control.reason = NORM_REASON_CEILING;
    norm_rate_init(&s->rate, now, c->rate_bps);
    if (c->rate_mode == NORM_RATE_LAN) {
        norm_rate_set(&s->rate, s->control.pace.bps);
        s->control.reason = NORM_REASON_START;
    } else if (c->rate_mode == NORM_RATE_TFMCC) {
        /* RFC5740 5.5.2.1: "The NORM-CC Rate Header Extension is applied to the NORM_CMD(CC) message" */
        s->config.cc_probe_rate = true;
        norm_rate_set(&s->rate, norm_tfmcc_bps(&s->control.tfmcc));
        s->control.told_slow_start = true;
        s->control.reason = NORM_REASON_TFMCC;
    }
}

/* Who sets the rate by RFC 5740 5.5.2, and whether it still looks for its start. */
static void tell_clr(struct norm_sender *s, cp_time now)
{
    struct norm_control *c = &s->control;
    const struct norm_member *m = norm_members_find(&s->members, c->tfmcc.clr);
    const struct norm_trace t = {.at = now,
                                 .kind = NORM_TRACE_CLR,
                                 .reason =
                                     c->tfmcc.slow_start ? NORM_REASON_START : NORM_REASON_TFMCC,
                                 .node_id = c->tfmcc.clr,
                                 .before = c->told_clr,
                                 .after = c->tfmcc.clr,
                                 .loss = m != NULL ? m->loss : 0.0,
                                 .rate_bps = m != NULL ? m->rate_bps : 0};

    if (c->told_clr != c->tfmcc.clr || c->told_slow_start != c->tfmcc.slow_start) {
        norm_sender_tell(s, &t);
    }
    c->told_clr = c->tfmcc.clr;
    c->told_slow_start = c->tfmcc.slow_start;
}

/* Sets what was decided, and tells it. */
static void apply(struct norm_sender *s, cp_time now)
{
    struct norm_control *c = &s->control;
    struct norm_trace t = {.at = now, .kind = NORM_TRACE_RATE, .before = s->rate.bps};
    const struct norm_member *m;

    if (s->config.rate_mode == NORM_RATE_TFMCC) {
        tell_clr(s, now);
        t.after = norm_tfmcc_bps(&c->tfmcc);
        t.reason = c->tfmcc.reason;
        t.node_id = c->tfmcc.clr;
    } else {
        t.after = c->pace.bps;
        t.reason = c->pace.reason;
        t.node_id = c->pace.setter;
    }
    c->reason = t.reason;
    c->setter = t.node_id;
    if (t.after == t.before) {
        return;
    }
    norm_rate_set(&s->rate, t.after);
    m = t.node_id != 0 ? norm_members_find(&s->members, t.node_id) : NULL;
    if (m != NULL) {
        t.loss = m->loss;
        t.rate_bps = m->rate_bps;
    }
    norm_sender_tell(s, &t);
}

void norm_sender_rate_ceiling(struct norm_sender *s, cp_time now, uint64_t bps)
{
    s->config.rate_bps = bps;
    norm_tfmcc_set_ceiling(&s->control.tfmcc, bps);
    norm_pace_set_ceiling(&s->control.pace, bps, s->cc_sequence);
    if (s->config.rate_mode == NORM_RATE_FIXED) {
        s->control.pace.bps = bps;
        s->control.pace.reason = NORM_REASON_WISH;
    }
    apply(s, now);
}

/* ---- probes ---- */

cp_time norm_sender_probe_interval(const struct norm_sender *s)
{
    const struct probing *p = probing_of(s);
    cp_time packet = norm_sender_packet_time(s);
    cp_time interval = s->probe_interval, filled, eager, steady;

    if (s->config.rate_mode == NORM_RATE_TFMCC) {
        /* RFC5740 5.5.2.1: "no more than one NORM_CMD(CC) message is sent per NORM_DATA message" */
        return norm_tfmcc_interval(&s->control.tfmcc, &s->members, interval, 2 * packet);
    }
    /* RFC5401 3.7.1: "For robustness, more rapid probing could be used at protocol startup before
     * settling to a less frequent, steady-state interval." */
    interval = s->cc_sequence > 1 ? interval * 3 / 2 : interval;
    if (!s->config.cc_probe_rate) {
        return cp_time_min(interval, PROBE_RARE);
    }
    /* At a slow pace an interval with few packets tells nothing. */
    filled = cp_time_min(PROBE_PACKETS * packet, PROBE_FILLED);
    eager = s->control.pace.changes == 0 ? cp_time_min(p->eager, PROBE_FIRST) : p->eager;
    eager = eager > filled ? eager : filled;
    steady = p->steady > filled ? p->steady : filled;
    if (s->config.rate_mode == NORM_RATE_LAN && !s->control.pace.settled) {
        return eager;
    }
    return cp_time_min(interval > eager ? interval : eager, steady);
}

static uint64_t bps_of(uint64_t bytes, cp_time duration)
{
    return duration == 0 ? 0 : (uint64_t)((double)bytes * 8.0 * (double)CP_SEC / (double)duration);
}

/* An interval of its own for what has changed, as soon as may be. */
static void probe_sooner(struct norm_sender *s, cp_time now)
{
    cp_time soon = s->control.began + norm_sender_probe_interval(s);

    s->probe_at = cp_time_min(s->probe_at, soon > now ? soon : now);
}

static uint64_t symbols(const struct norm_sender *s)
{
    return s->stats.source_symbols + s->stats.parity_symbols + s->stats.repair_symbols;
}

/* The interval that the probe about to leave ends. */
static void close_interval(struct norm_sender *s, cp_time now)
{
    struct norm_control *c = &s->control;
    struct norm_sent *sent = &c->sent[s->cc_sequence % NORM_SENT_SLOTS];
    cp_time duration = now - c->began;

    *sent = (struct norm_sent){
        .sequence = s->cc_sequence,
        .known = duration > 0 && s->probe_first != 0,
        .busy = c->busy,
        .packets = s->stats.packets_sent - c->packets,
        .bytes = s->stats.bytes_sent - c->bytes,
        .duration = duration,
        .end = now,
        .end_packets = s->stats.packets_sent,
        .end_bytes = s->stats.bytes_sent,
    };
    sent->data = symbols(s) > c->symbols;
    c->symbols = symbols(s);
    sent->bps = sent->known ? bps_of(sent->bytes, duration) : 0;
    sent->busy = sent->busy && sent->known;
    c->duration = duration;
    c->began = now;
    c->bytes = s->stats.bytes_sent;
    c->packets = s->stats.packets_sent;
    c->busy = s->state == NORM_SENDER_SENDING; /* norm_sender_run_timers() knows when not */
}

/* Those whose reports matter most: RFC5740 5.5.2.1: PLR marks "additional receivers from which the
 * sender would like to have immediate, non-suppressed feedback". */
static size_t list_limiting(struct norm_sender *s, uint8_t *list, size_t max)
{
    size_t items = 0;

    for (size_t i = 0; i < s->members.count && items < max; i++) {
        const struct norm_member *m = &s->members.member[i];

        if (m->node_id == s->control.pace.setter || m->limit.suspect || m->limit.trial ||
            m->limit.slow) {
            struct norm_cc_node node = {.node_id = m->node_id, .flags = NORM_CC_PLR};

            norm_cc_node_put(list, items++, &node);
        }
    }
    return items;
}

static void count_reporters(struct norm_sender *s, cp_time now)
{
    uint32_t count = 0;

    for (size_t i = 0; i < s->members.count; i++) {
        const struct norm_member *m = &s->members.member[i];

        count += m->reported && now < m->reported_at + RECENT;
    }
    s->stats.reporters = count;
}

/* RFC 5740 5.5.2.2: receivers that are not ours wait for a back-off of up to K * GRTT after each
 * answer, and as long before it. */
static cp_time patience(const struct norm_sender *s)
{
    return 2 * (s->config.backoff + 1u) * s->grtt.advertised;
}

void norm_sender_rate_probe(struct norm_sender *s, cp_time now, struct norm_msg *msg, uint8_t *list)
{
    const struct norm_sent *sent = &s->control.sent[s->cc_sequence % NORM_SENT_SLOTS];
    size_t max = s->part.segment_size / NORM_CC_NODE_SIZE, items = 0;

    close_interval(s, now);
    count_reporters(s, now);
    max = max < LISTED_MOST ? max : LISTED_MOST;
    if (s->config.rate_mode == NORM_RATE_TFMCC) {
        norm_tfmcc_probe(&s->control.tfmcc, now, &s->members, s->cc_sequence, sent->data);
        items = norm_tfmcc_nodes(&s->control.tfmcc, &s->members, now, list, max);
        apply(s, now);
    } else {
        msg->flags = NORM_PROBE_PLAIN;
    }
    if (s->config.rate_mode == NORM_RATE_LAN) {
        const struct norm_pace_interval in = {s->cc_sequence, s->control.duration, sent->bps,
                                              sent->busy, patience(s)};

        norm_pace_interval(&s->control.pace, now, &s->members, &in);
        items = list_limiting(s, list, max);
        apply(s, now);
    }
    /* RFC5740 4.2.3.4: the list goes with EXT_RATE. */
    msg->payload_size = s->config.cc_probe_rate ? items * NORM_CC_NODE_SIZE : 0;
}

/* ---- reports ---- */

/* RFC5740 4.3.1: a zero "grtt_response" MUST be ignored. Beyond that only echoes of stamps that we
 * sent count: not before the first probe, not from the future, not older than any path can be. */
cp_time norm_sender_rtt(const struct norm_sender *s, cp_time now, const struct norm_msg *msg)
{
    cp_time sent = (cp_time)msg->time_sec * CP_SEC + (cp_time)msg->time_usec * CP_USEC;
    cp_time clock = now + NORM_STAMP_OFFSET;

    if ((msg->time_sec == 0 && msg->time_usec == 0) || s->probe_first == 0 || sent > clock ||
        msg->time_usec >= 1000000 || sent + CP_USEC < s->probe_first + NORM_STAMP_OFFSET ||
        clock - sent > NORM_RTT_SANE * s->config.grtt_max) {
        return 0;
    }
    return clock - sent > 0 ? clock - sent : 1;
}

/* Received bits per second that it stands for; 0: it does not tell. */
static uint64_t report_rate(const struct norm_ext_cc *cc)
{
    double rate = 8.0 * norm_rate_unquantize(cc->rate);

    if ((cc->flags & NORM_CC_PLAIN) != 0) {
        return rate < 1e18 ? (uint64_t)rate : UINT64_C(1000000000000000000);
    }
    /* RFC5740 5.5.2.2: in slow start "a value equal to two times its measured rate" */
    if ((cc->flags & NORM_CC_START) != 0 && rate < 1e18) {
        return (uint64_t)(rate / 2.0);
    }
    return 0;
}

/* Unasked: of the time since the probe, which is not over. */
static bool unfinished(const struct norm_ext_cc *cc)
{
    return (cc->flags & NORM_CC_PLAIN) != 0 && cc->rtt == 0;
}

/* Few packets tell less than what was reported before. */
static void smooth_loss(const struct norm_sender *s, struct norm_member *m,
                        const struct norm_ext_cc *cc)
{
    const struct norm_sent *sent = &s->control.sent[cc->sequence % NORM_SENT_SLOTS];
    double n = sent->known && sent->sequence == cc->sequence ? (double)sent->packets : 0.0;

    if (!m->reported || (cc->flags & NORM_CC_PLAIN) == 0) {
        n = LOSS_SURE; /* loss events are smooth as they are */
    }
    m->cc.loss = cc->loss;
    m->loss += (norm_loss_unquantize(cc->loss) - m->loss) * (n < LOSS_SURE ? n / LOSS_SURE : 1.0);
}

/* Takes the figures. False: there is nothing new in them, or they are of no probe of ours. */
static bool note_report(struct norm_sender *s, cp_time now, struct norm_member *m,
                        const struct norm_ext_cc *cc)
{
    uint64_t rate = report_rate(cc);
    bool slow = (cc->flags & NORM_CC_SLOW) != 0;

    if (s->probe_first == 0 || (int16_t)(cc->sequence - s->cc_sequence) >= 0) {
        return false;
    }
    if (m->reported && (int16_t)(cc->sequence - m->cc_sequence) < 0) {
        return false; /* overtaken */
    }
    if (m->reported && m->cc_sequence == cc->sequence && m->slow == slow && !unfinished(cc)) {
        m->reported_at = now;
        return false;
    }
    smooth_loss(s, m, cc);
    m->reported = true;
    m->reported_at = now;
    m->cc_sequence = cc->sequence;
    m->rate_bps = rate;
    m->slow = slow;
    return true;
}

/* What was sent in so many intervals up to that one; nothing when it is too long ago. */
static struct norm_sent sent_over(const struct norm_sender *s, uint16_t sequence, unsigned span)
{
    struct norm_sent sum = {.sequence = sequence, .known = true, .busy = true};

    for (unsigned i = 0; i < span; i++) {
        uint16_t at = (uint16_t)(sequence - i);
        const struct norm_sent *sent = &s->control.sent[at % NORM_SENT_SLOTS];

        if (i >= NORM_SENT_SLOTS || !sent->known || sent->sequence != at) {
            return (struct norm_sent){.sequence = sequence};
        }
        sum.busy = sum.busy && sent->busy;
        sum.packets += sent->packets;
        sum.bytes += sent->bytes;
        sum.duration += sent->duration;
    }
    sum.bps = bps_of(sum.bytes, sum.duration);
    return sum;
}

/* What was sent since that probe, be it the first, which ends no interval. */
static struct norm_sent sent_since(const struct norm_sender *s, cp_time now, uint16_t sequence)
{
    const struct norm_sent *sent = &s->control.sent[sequence % NORM_SENT_SLOTS];
    struct norm_sent since = {.sequence = sequence};

    if (sent->sequence == sequence && sent->end > 0) {
        since.known = true;
        since.bps = bps_of(s->stats.bytes_sent - sent->end_bytes, now - sent->end);
        since.packets = s->stats.packets_sent - sent->end_packets;
        since.busy = s->control.busy;
    }
    return since;
}

static void report_pace(struct norm_sender *s, cp_time now, struct norm_member *m,
                        const struct norm_ext_cc *cc)
{
    bool own = (cc->flags & NORM_CC_PLAIN) != 0;
    uint8_t span = own ? cc->rtt : 1; /* intervals that it covers; 0: the time since the probe */
    const struct norm_sent sent =
        span == 0 ? sent_since(s, now, m->cc_sequence) : sent_over(s, m->cc_sequence, span);
    const struct norm_pace_report report = {
        .sequence = m->cc_sequence,
        .first = (uint16_t)(m->cc_sequence - span + 1), /* span 0: the one after the probe */
        .loss = norm_loss_unquantize(m->cc.loss),
        .rate_bps = own ? m->rate_bps : 0, /* foreign ones smooth theirs */
        .slow = m->slow,
        .sent_bps = sent.bps,
        .packets = sent.packets,
        .busy = sent.busy,
    };
    uint64_t before = s->rate.bps;

    if (!norm_pace_report(&s->control.pace, now, m, &report, s->cc_sequence)) {
        return;
    }
    norm_pace_decide(&s->control.pace, now, &s->members, s->cc_sequence);
    apply(s, now);
    if (s->rate.bps != before) {
        probe_sooner(s, now);
    }
}

/* In the interval that the probe ended. */
static bool data_limited(const struct norm_sender *s, uint16_t sequence)
{
    const struct norm_sent *sent = &s->control.sent[sequence % NORM_SENT_SLOTS];

    return sent->known && sent->sequence == sequence && !sent->busy;
}

void norm_sender_on_report(struct norm_sender *s, cp_time now, struct norm_member *m,
                           const struct norm_msg *msg)
{
    if (m == NULL || !msg->ext.has_cc || !note_report(s, now, m, &msg->ext.cc)) {
        return;
    }
    if (s->config.rate_mode == NORM_RATE_LAN) {
        report_pace(s, now, m, &msg->ext.cc);
    } else if (s->config.rate_mode == NORM_RATE_TFMCC) {
        const struct norm_tfmcc_report report = {.cc = msg->ext.cc,
                                                 .rtt = norm_sender_rtt(s, now, msg),
                                                 .grtt = s->grtt.advertised,
                                                 .limited = data_limited(s, m->cc_sequence)};

        norm_tfmcc_report(&s->control.tfmcc, now, &s->members, m, &report);
        apply(s, now);
        if (s->control.tfmcc.clr != 0) {
            probe_sooner(s, now); /* while there was none the interval doubled, up to 30 s */
        }
    }
}

/* RFC5740 5.4.4: "the sender will also need to provide any information needed so dynamic congestion
 * control feedback can be suppressed among receivers": the limiting receiver's. */
bool norm_sender_adv_cc(const struct norm_sender *s, struct norm_ext_cc *ret_cc)
{
    const struct norm_member *m;

    if (s->config.rate_mode != NORM_RATE_TFMCC || s->control.tfmcc.clr == 0) {
        return false;
    }
    m = norm_members_find(&s->members, s->control.tfmcc.clr);
    if (m == NULL) {
        return false;
    }
    *ret_cc = (struct norm_ext_cc){.sequence = m->cc_sequence,
                                   .flags = NORM_CC_CLR | (m->cc.start ? NORM_CC_START : 0),
                                   .loss = norm_loss_quantize(m->loss),
                                   .rate = norm_rate_quantize(m->cc.rate)};
    if (m->cc.rtt != 0) {
        ret_cc->flags |= NORM_CC_RTT;
        ret_cc->rtt = norm_rtt_quantize(m->cc.rtt);
    }
    return true;
}
