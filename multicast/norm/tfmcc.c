/* SPDX-License-Identifier: Apache-2.0
 * RFC 5740 5.5.2: see tfmcc.h. Pure. */
#include "multicast/norm/tfmcc.h"

#include <math.h>

#define PROBE_MOST  (30 * CP_SEC) /* RFC5740 5.5.2.1: "a maximum of once per 30 seconds" */
#define PROBE_LEAST CP_MSEC
#define AGE_MOST    4      /* RFC5740 5.5.2.3: "if (Age > 4) Rsender = Rsender * 0.5" */
#define BREAK       CP_SEC /* a flush and the repairs it brings are no break in the data */
#define RECENT      (10 * CP_SEC)
#define RTT_LEAST   CP_USEC

/* ---- equation ---- */

/* RFC5740 5.5.2: "Rsender = S / (T_rtt*(sqrt((2/3)*p) + 12*sqrt((3/8)*p) * p * (1 + 32*(p^2))))" */
double norm_tfmcc_rate(double segment, cp_time rtt, double loss)
{
    double seconds = (double)(rtt > RTT_LEAST ? rtt : RTT_LEAST) / (double)CP_SEC;
    double rate;

    if (!(loss > 0.0)) {
        return NORM_TFMCC_RATE_MAX;
    }
    rate = segment / (seconds * (sqrt(2.0 / 3.0 * loss) + 12.0 * sqrt(3.0 / 8.0 * loss) * loss *
                                                              (1.0 + 32.0 * loss * loss)));
    return rate < NORM_TFMCC_RATE_MAX ? rate : NORM_TFMCC_RATE_MAX;
}

double norm_tfmcc_loss(double segment, cp_time rtt, double rate)
{
    double low = 1e-12, high = 1.0;

    for (unsigned i = 0; i < 60; i++) {
        double middle = sqrt(low * high);

        if (norm_tfmcc_rate(segment, rtt, middle) > rate) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* ---- receiver ---- */

/* A packet came for good, `lost` packets before it did not. */
static void judge(struct norm_loss_events *e, cp_time now, uint16_t lost,
                  const struct norm_loss_path *path)
{
    double first = e->open;

    e->open += 1.0 + (double)lost;
    if (lost == 0 || (e->count > 0 && now < e->at + path->rtt)) {
        return;
    }
    /* RFC5740 5.5.2.1: "The rate information is used by receivers to initialize loss estimation
     * during congestion control startup": the interval before the first event is what the equation
     * needs to give the rate received so far. */
    if (e->count == 0 && path->rate > 0.0) {
        first = 1.0 / norm_tfmcc_loss(path->segment, path->rtt, path->rate);
    }
    for (unsigned i = NORM_LOSS_INTERVALS - 1; i > 0; i--) {
        e->interval[i] = e->interval[i - 1];
    }
    e->interval[0] = first > 1.0 ? first : 1.0;
    e->count += e->count < NORM_LOSS_INTERVALS;
    e->open = 1.0;
    e->at = now;
}

void norm_loss_events_packet(struct norm_loss_events *e, cp_time now, uint16_t sequence,
                             const struct norm_loss_path *path)
{
    uint16_t judged = e->newest[NORM_NDUPACK - 1];
    unsigned at = 0;

    while (at < e->known && (int16_t)(sequence - e->newest[at]) < 0) {
        at++;
    }
    if (at == NORM_NDUPACK || (at < e->known && sequence == e->newest[at])) {
        return; /* counted as lost already, or came before */
    }
    for (unsigned i = NORM_NDUPACK - 1; i > at; i--) {
        e->newest[i] = e->newest[i - 1];
    }
    e->newest[at] = sequence;
    if (e->known < NORM_NDUPACK) {
        e->known++;
    } else {
        judge(e, now, (uint16_t)(e->newest[NORM_NDUPACK - 1] - judged - 1), path);
    }
}

void norm_loss_events_jump(struct norm_loss_events *e, cp_time now, uint16_t lost,
                           const struct norm_loss_path *path)
{
    e->known = 0;
    judge(e, now, lost, path);
}

/* RFC 4654 section 5.2 and RFC 5348 section 5.4: weighted mean of the latest eight intervals; the
 * open one counts when that makes the loss less. */
double norm_loss_events_fraction(const struct norm_loss_events *e)
{
    static const double weight[NORM_LOSS_INTERVALS] = {1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2};
    double closed = 0.0, with_open = weight[0] * e->open;
    double closed_weight = 0.0, open_weight = weight[0], mean;

    if (e->count == 0) {
        return 0.0;
    }
    for (unsigned i = 0; i < e->count; i++) {
        closed += weight[i] * e->interval[i];
        closed_weight += weight[i];
        if (i + 1 < NORM_LOSS_INTERVALS) {
            with_open += weight[i + 1] * e->interval[i];
            open_weight += weight[i + 1];
        }
    }
    closed /= closed_weight;
    with_open /= open_weight;
    mean = closed > with_open ? closed : with_open;
    return mean > 1.0 ? 1.0 / mean : 1.0;
}

/* ---- sender ---- */

static double floor_rate(const struct norm_tfmcc *t)
{
    double ceiling = (double)t->config.ceiling_bps / 8.0;
    double least = t->config.floor_bps > 0 ? (double)t->config.floor_bps / 8.0 : t->config.segment;

    return least < ceiling ? least : ceiling;
}

static void set_rate(struct norm_tfmcc *t, double rate, enum norm_reason reason)
{
    double ceiling = (double)t->config.ceiling_bps / 8.0;

    t->reason = reason;
    t->rate = rate < ceiling ? rate : ceiling;
    if (t->rate < floor_rate(t)) {
        t->rate = floor_rate(t);
    }
}

void norm_tfmcc_init(struct norm_tfmcc *t, const struct norm_tfmcc_config *config, cp_time grtt)
{
    double seconds = (double)grtt / (double)CP_SEC;

    *t = (struct norm_tfmcc){.config = *config, .slow_start = true, .idle_since = CP_TIME_NEVER};
    /* RFC5740 5.5.2.3: "Rinit = MIN(NormSegmentSize/GRTT_sender, NormSegmentSize) bytes/sec" */
    set_rate(t, seconds > 1.0 ? config->segment / seconds : config->segment, NORM_REASON_TFMCC);
}

uint64_t norm_tfmcc_bps(const struct norm_tfmcc *t)
{
    double bps = t->rate * 8.0;

    return bps > 1.0 ? (uint64_t)bps : 1;
}

void norm_tfmcc_set_ceiling(struct norm_tfmcc *t, uint64_t bps)
{
    double before = t->rate;
    enum norm_reason reason = t->reason;

    t->config.ceiling_bps = bps;
    set_rate(t, before, NORM_REASON_WISH);
    t->reason = t->rate != before ? NORM_REASON_WISH : reason;
}

static struct norm_member *clr_of(const struct norm_tfmcc *t, const struct norm_members *members)
{
    return t->clr == 0 ? NULL : norm_members_find(members, t->clr);
}

/* RFC5740 5.5.2.3: "RTT_rcvr = 0.5 * RTT_rcvrPrev + 0.5 * RTT_rcvrNew", for the CLR "RTT_clr = 0.9 *
 * RTT_clr + 0.1 * RTT_clrNew" */
static void measure_rtt(const struct norm_tfmcc *t, struct norm_member *m,
                        const struct norm_tfmcc_report *r)
{
    if (r->rtt == 0) {
        return;
    }
    if (m->node_id == t->clr && m->cc.rtt != 0) {
        m->cc.rtt = m->cc.rtt / 10 * 9 + r->rtt / 10;
    } else if ((r->cc.flags & NORM_CC_RTT) != 0) {
        m->cc.rtt = norm_rtt_unquantize(r->cc.rtt) / 2 + r->rtt / 2;
    } else {
        /* "When the "cc_rtt" value in a response is not valid, the sender simply uses this" */
        m->cc.rtt = r->rtt;
    }
}

static void take_clr(struct norm_tfmcc *t, const struct norm_member *m)
{
    t->clr = m->node_id;
    t->clr_sequence = m->cc_sequence;
}

/* The receiver with the lowest rate that was heard within the latest robust_factor probes. */
static struct norm_member *lowest(const struct norm_tfmcc *t, const struct norm_members *members,
                                  uint16_t sequence)
{
    struct norm_member *found = NULL;

    for (size_t i = 0; i < members->count; i++) {
        struct norm_member *m = &members->member[i];
        uint16_t age = (uint16_t)(sequence - m->cc_sequence);

        if (m->reported && !m->cc.leave && age <= t->config.robust_factor &&
            (found == NULL || m->cc.rate < found->cc.rate)) {
            found = m;
        }
    }
    return found;
}

/* RFC5740 5.5.2: "The receiver with loss and RTT estimates corresponding to the lowest resulting
 * calculated transmission rate is identified as the "current limiting receiver" (CLR).  In the case
 * of a tie (where candidate CLRs are within 10% of the same calculated rate), the receiver with the
 * largest RTT value SHOULD be designated as the CLR." */
static void elect(struct norm_tfmcc *t, const struct norm_members *members,
                  const struct norm_member *m)
{
    const struct norm_member *clr = clr_of(t, members);

    /* RFC5740 5.5.2.3: LEAVE is "an indication the sender SHOULD NOT select it as the CLR" */
    if (m->cc.leave) {
        if (m == clr) {
            clr = lowest(t, members, m->cc_sequence);
            t->clr = 0;
            if (clr != NULL) {
                take_clr(t, clr);
            }
        }
        return;
    }
    if (clr == NULL || m == clr || m->cc.rate < 0.9 * clr->cc.rate ||
        (m->cc.rate < 1.1 * clr->cc.rate && m->cc.rtt > clr->cc.rtt)) {
        take_clr(t, m);
    }
}

/* RFC5740 5.5.2.3: "Rnew = Rrecv_min", "Rate increase adjustment is limited to once per GRTT during
 * slow start." The minimum is the limiting receiver's: the others' silence says that theirs is no
 * less, while their latest reports may be of a pace long ago. */
static void adjust_slow_start(struct norm_tfmcc *t, cp_time now, const struct norm_member *clr,
                              const struct norm_tfmcc_report *r)
{
    if (clr->cc.rate <= 0.0) {
        return;
    }
    if (clr->cc.rate < t->rate) {
        set_rate(t, clr->cc.rate, NORM_REASON_TFMCC);
    } else if (now >= t->raised_at + r->grtt) {
        set_rate(t, clr->cc.rate, NORM_REASON_TFMCC);
        t->raised_at = now;
    }
}

/* RFC5740 5.5.2.3: "For rate increases, the sender SHALL observe a maximum rate of increase of one
 * packet per RTT at all times during steady-state operation."; "When the CLR changes to a lower rate
 * receiver, the sender SHOULD immediately adjust to the new lower rate." */
static void adjust_steady(struct norm_tfmcc *t, cp_time now, const struct norm_member *clr,
                          cp_time rtt)
{
    double seconds = (double)rtt / (double)CP_SEC;
    double rtts = (double)(now - t->raised_at) / (double)rtt;
    double most = t->rate + t->config.segment / seconds * (rtts < 1.0 ? rtts : 1.0);

    set_rate(t, clr->cc.rate < most ? clr->cc.rate : most, NORM_REASON_TFMCC);
    t->raised_at = now;
}

void norm_tfmcc_report(struct norm_tfmcc *t, cp_time now, struct norm_members *members,
                       struct norm_member *m, const struct norm_tfmcc_report *r)
{
    double loss = norm_loss_unquantize(r->cc.loss);
    double reported = norm_rate_unquantize(r->cc.rate);
    cp_time rtt;

    measure_rtt(t, m, r);
    rtt = m->cc.rtt != 0 ? m->cc.rtt : r->grtt;
    rtt = rtt > RTT_LEAST ? rtt : RTT_LEAST;
    m->cc.start = (r->cc.flags & NORM_CC_START) != 0;
    m->cc.leave = (r->cc.flags & NORM_CC_LEAVE) != 0;
    /* RFC5740 5.5.2.3: "Receiver rates are determined either directly from the slow start "cc_rate"
     * [...] or by performing the equation-based calculation using individual RTT and loss estimates
     * ("cc_loss") as feedback is received." */
    m->cc.rate =
        m->cc.start || loss <= 0.0 ? reported : norm_tfmcc_rate(t->config.segment, rtt, loss);
    if (reported <= 0.0 && loss <= 0.0) {
        return; /* it has measured nothing yet */
    }
    /* Twice what trickles in says nothing of the network: a data-limited sender keeps its rate (RFC
     * 5348 section 4.3). */
    if (r->limited && m->cc.start) {
        m->cc.rate = m->cc.rate > t->rate ? m->cc.rate : t->rate;
        if (t->clr == m->node_id) {
            take_clr(t, m);
        }
        return;
    }
    elect(t, members, m);
    /* RFC5740 5.5.2.3: "The "slow start" phase proceeds until any receiver provides feedback
     * indicating loss has occurred." */
    if (t->slow_start && !m->cc.start && loss > 0.0 && !m->cc.leave) {
        t->slow_start = false;
        t->raised_at = now;
        take_clr(t, m);
    }
    if (t->clr != m->node_id) {
        return;
    }
    if (t->slow_start) {
        adjust_slow_start(t, now, m, r);
    } else {
        adjust_steady(t, now, m, rtt);
    }
}

/* RFC5740 5.5.2.3: "After NORM_ROBUST_FACTOR consecutive NORM_CMD(CC) rounds without any feedback
 * from the CLR, the sender SHOULD assume the CLR has left the group and pick the receiver with the
 * next lowest rate as the new CLR." */
static void replace_clr(struct norm_tfmcc *t, const struct norm_members *members, uint16_t sequence)
{
    const struct norm_member *m = lowest(t, members, sequence);

    if (m != NULL) {
        take_clr(t, m);
        return;
    }
    t->clr = 0;
    t->slow_start = true;
    set_rate(t, 0.0, NORM_REASON_SILENCE);
}

void norm_tfmcc_gone(struct norm_tfmcc *t, const struct norm_members *members, uint32_t node_id,
                     uint16_t sequence)
{
    const struct norm_member *m = lowest(t, members, sequence);

    if (t->clr != node_id) {
        return;
    }
    t->clr = 0;
    if (m != NULL) {
        take_clr(t, m);
    }
}

/* RFC5740 5.5.2.3: "the sender SHOULD exponentially reduce its target rate to be used for
 * transmission restart as time since the break elapses", "Rsender = Rsender * 0.5", "If the minimum
 * NORM rate is reached, [...] slow-start congestion control procedures" */
static void break_probe(struct norm_tfmcc *t, cp_time now, cp_time rtt)
{
    if (t->idle_since == CP_TIME_NEVER) {
        t->idle_since = now;
    }
    if (now < t->idle_since + BREAK || now < t->lowered_at + rtt) {
        return;
    }
    t->lowered_at = now;
    set_rate(t, t->rate * 0.5, NORM_REASON_SENDER);
    t->slow_start = t->slow_start || t->rate <= floor_rate(t);
}

void norm_tfmcc_probe(struct norm_tfmcc *t, cp_time now, struct norm_members *members,
                      uint16_t sequence, bool busy)
{
    const struct norm_member *clr = clr_of(t, members);
    cp_time rtt = clr != NULL ? clr->cc.rtt : 0;
    int age = (int16_t)(sequence - t->clr_sequence);

    if (!busy) {
        break_probe(t, now, rtt);
        return;
    }
    t->idle_since = CP_TIME_NEVER;
    if (t->clr == 0 || age <= AGE_MOST) {
        return;
    }
    if (now >= t->lowered_at + rtt) {
        t->lowered_at = now;
        set_rate(t, t->rate * 0.5, NORM_REASON_SILENCE);
    }
    if (age > (int)t->config.robust_factor) {
        replace_clr(t, members, sequence);
    }
}

cp_time norm_tfmcc_interval(const struct norm_tfmcc *t, const struct norm_members *members,
                            cp_time before, cp_time least)
{
    const struct norm_member *clr = clr_of(t, members);
    cp_time interval;

    /* RFC5740 5.5.2.1: "Until a CLR has been identified [...] or when no data transmission is
     * pending, the NORM_CMD(CC) interval is doubled up from its current interval" */
    if (clr == NULL || t->idle_since != CP_TIME_NEVER) {
        return cp_time_min(2 * before, PROBE_MOST);
    }
    /* RFC5740 5.5.2.1: "the probing interval is set to the RTT between the sender and the CLR" */
    interval = clr->cc.rtt > least ? clr->cc.rtt : least;
    return interval > PROBE_LEAST ? interval : PROBE_LEAST;
}

/* RFC5740 5.5.2.1: "Receivers that have not yet been provided an RTT measurement get first priority.
 * Of these, those with the greatest loss fraction receive precedence", "Secondly, [...] receivers
 * yielding the lowest calculated congestion rate" */
static bool goes_before(const struct norm_member *a, const struct norm_member *b)
{
    if (a->cc.told != b->cc.told) {
        return !a->cc.told;
    }
    if (!a->cc.told && a->loss != b->loss) {
        return a->loss > b->loss;
    }
    return a->cc.rate < b->cc.rate;
}

static struct norm_cc_node node_of(const struct norm_member *m, uint8_t flags)
{
    struct norm_cc_node node = {.node_id = m->node_id, .flags = flags};

    if (m->cc.rtt != 0) {
        node.flags |= NORM_CC_RTT;
        node.rtt = norm_rtt_quantize(m->cc.rtt);
    }
    node.flags |= m->cc.start ? NORM_CC_START : 0;
    node.rate = norm_rate_quantize(m->cc.rate);
    return node;
}

/* The next after `last` in the order of precedence; members are few or reported long ago. */
static struct norm_member *next_node(const struct norm_tfmcc *t, struct norm_members *members,
                                     cp_time now, const struct norm_member *const *taken,
                                     size_t count)
{
    struct norm_member *found = NULL;

    for (size_t i = 0; i < members->count; i++) {
        struct norm_member *m = &members->member[i];
        bool is_taken = m->node_id == t->clr;

        for (size_t j = 0; j < count; j++) {
            is_taken = is_taken || taken[j] == m;
        }
        if (!is_taken && m->cc.rtt != 0 && now < m->reported_at + RECENT &&
            (found == NULL || goes_before(m, found))) {
            found = m;
        }
    }
    return found;
}

size_t norm_tfmcc_nodes(const struct norm_tfmcc *t, struct norm_members *members, cp_time now,
                        uint8_t *list, size_t max)
{
    enum { OTHERS = 4 };
    const struct norm_member *taken[OTHERS];
    struct norm_member *clr = clr_of(t, members);
    size_t items = 0, count = 0;

    /* RFC5740 5.5.2.1: "It is RECOMMENDED the CLR entry be the first in the list" */
    if (clr != NULL && items < max) {
        struct norm_cc_node node = node_of(clr, NORM_CC_CLR);

        norm_cc_node_put(list, items++, &node);
        clr->cc.told = clr->cc.told || clr->cc.rtt != 0;
    }
    while (items < max && count < OTHERS) {
        struct norm_member *m = next_node(t, members, now, taken, count);

        if (m == NULL) {
            break;
        }
        struct norm_cc_node node = node_of(m, 0);

        norm_cc_node_put(list, items++, &node);
        m->cc.told = true;
        taken[count++] = m;
    }
    return items;
}
