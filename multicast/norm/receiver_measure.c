/* SPDX-License-Identifier: Apache-2.0
 * Receiver: what was lost and received between two probes of the sender, for EXT_CC (RFC 5740
 * section 5.5.2). Pure. */
#include "multicast/norm/receiver_state.h"

#define SLOW_FROM      25u   /* percent of the buffers … */
#define SLOW_TO        10u   /* … and below so much not any more */
#define URGENT_PACKETS 1024u /* since the latest probe, … */
#define URGENT_PART    4u    /* … one of so many of them lost */
#define URGENT_RATHER  50u   /* … or of so many once probes must have been lost too */
#define PROBES_LOST    (300 * CP_MSEC)
#define URGENT_LEAST   (2 * CP_MSEC)   /* time that tells a rate */
#define URGENT_AGAIN   (20 * CP_MSEC)  /* to the next of its kind */
#define URGENT_LONGER  (100 * CP_MSEC) /* the same in a larger group */
#define ASTRAY_MOST    256u /* in a row: the sender is there, not where we took it to be */

static uint64_t *seen_word(struct norm_measure *m, uint16_t sequence)
{
    return &m->seen[sequence % NORM_SEEN_MAX / 64];
}

static uint64_t seen_bit(uint16_t sequence)
{
    return (uint64_t)1 << (sequence % 64);
}

/* Once a packet was late it is not lost. One that came twice is neither. */
static void late(struct norm_measure *m, uint16_t sequence)
{
    uint64_t *lost = (int16_t)(sequence - m->ended) < 0 ? &m->ended_lost : &m->lost;

    if ((*seen_word(m, sequence) & seen_bit(sequence)) == 0) {
        *seen_word(m, sequence) |= seen_bit(sequence);
        *lost -= *lost > 0;
    }
}

/* Forgets what stood for the sequences that are ahead now. */
static void advance(struct norm_measure *m, uint16_t sequence, uint16_t ahead)
{
    unsigned clear = ahead < NORM_SEEN_MAX ? ahead : NORM_SEEN_MAX;

    for (unsigned i = 0; i < clear; i++) {
        *seen_word(m, (uint16_t)(sequence - i)) &= ~seen_bit((uint16_t)(sequence - i));
    }
    *seen_word(m, sequence) |= seen_bit(sequence);
    m->high = sequence;
}

static struct norm_loss_path path_of(const struct norm_receiver *r)
{
    return (struct norm_loss_path){
        .segment = r->stats.packets > 0 ? (double)r->stats.bytes / (double)r->stats.packets : 1.0,
        .rtt = r->measure.rtt != 0 ? r->measure.rtt : r->grtt,
        .rate = r->measure.rate,
    };
}

/* jumped: so many are lost for certain before it, 0 none */
static void count_events(struct norm_receiver *r, cp_time now, uint16_t sequence, uint16_t jumped)
{
    struct norm_loss_path path = path_of(r);

    if (jumped > 0) {
        norm_loss_events_jump(&r->measure.events, now, jumped, &path);
    }
    norm_loss_events_packet(&r->measure.events, now, sequence, &path);
}

/* The sender is `ahead` sequence numbers further on; of those up to there so many came. */
static void progress(struct norm_receiver *r, uint16_t sequence, uint16_t ahead, unsigned came)
{
    struct norm_measure *m = &r->measure;

    advance(m, sequence, ahead);
    m->expected += ahead;
    m->lost += ahead - came;
    m->astray = 0;
}

/* RFC5740 4.1: receivers "monitor the "sequence" value to maintain an estimate of packet loss that
 * can be used for congestion control purposes". It counts repairs and parity as well, whatever their
 * order. Half of its 16 bits are ahead and half behind (RFC 1982), which last 20 ms of 10 Gbit/s: what
 * follows a longer outage may look late. But packets that are late mix with others: when very late
 * ones and no others come, what looks late is ahead, and less is counted than was lost. */
void norm_receiver_measure(struct norm_receiver *r, cp_time now, uint16_t sequence)
{
    struct norm_measure *m = &r->measure;
    uint16_t ahead = (uint16_t)(sequence - m->high);
    uint16_t behind = (uint16_t)(m->high - sequence);
    bool jump = false;

    if (!m->tracked) {
        m->tracked = true;
        m->ended = sequence;
        progress(r, sequence, 1, 1);
    } else if (behind < NORM_SEEN_MAX) {
        m->astray = 0;
        late(m, sequence);
    } else if ((int16_t)ahead > 0) {
        progress(r, sequence, ahead, 1);
    } else if (++m->astray == ASTRAY_MOST) {
        progress(r, sequence, ahead, ASTRAY_MOST);
        jump = true;
    }
    if (!r->plain) {
        count_events(r, now, sequence, jump ? (uint16_t)(ahead - ASTRAY_MOST) : 0);
    }
    if (m->high == sequence && ahead > 1) {
        norm_receiver_cc_urge(r, now);
    }
}

static double fraction(uint64_t lost, uint64_t expected)
{
    if (expected == 0) {
        return 0.0;
    }
    return lost < expected ? (double)lost / (double)expected : 1.0;
}

static double rate_since(const struct norm_receiver *r, cp_time now)
{
    return (double)(r->stats.bytes - r->measure.marked_bytes) * (double)CP_SEC /
           (double)(now - r->measure.marked);
}

void norm_receiver_measure_probe(struct norm_receiver *r, cp_time now, uint16_t cc_sequence)
{
    struct norm_measure *m = &r->measure;

    if (r->probed && now == m->marked) {
        return; /* two at once: the first said it all */
    }
    if (r->probed) {
        m->rate = rate_since(r, now);
    }
    uint16_t span = (uint16_t)(cc_sequence - r->cc_sequence);

    m->span = !r->probed || span > UINT8_MAX ? UINT8_MAX : (uint8_t)span;
    m->ended = m->high;
    m->ended_expected = m->expected;
    m->ended_lost = m->lost;
    m->expected = m->lost = 0;
    m->marked = now;
    m->marked_bytes = r->stats.bytes;
}

/* RFC5740 5.5.2.2: "During slow start (when the receiver has not yet detected loss from the sender),
 * the receiver uses a value equal to two times its measured rate", later "the equation-based value
 * using its current loss event estimate and sender<->receiver RTT information.  (The GRTT_sender is
 * used when the receiver has not yet measured its individual RTT.)" */
double norm_receiver_cc_rate(const struct norm_receiver *r, bool *ret_start)
{
    struct norm_loss_path path = path_of(r);
    double loss = norm_loss_events_fraction(&r->measure.events);

    *ret_start = loss <= 0.0;
    return *ret_start ? 2.0 * r->measure.rate : norm_tfmcc_rate(path.segment, path.rtt, loss);
}

struct norm_ext_cc norm_receiver_cc(struct norm_receiver *r, cp_time now)
{
    struct norm_measure *m = &r->measure;
    struct norm_ext_cc cc = {.sequence = r->cc_sequence};
    double loss = fraction(m->ended_lost, m->ended_expected), rate = m->rate;
    bool start;

    /* RFC5740 5.5.2.2: "When the receiver has a valid individual RTT measurement, it SHALL include
     * this value in the "cc_rtt" field.  The NORM_FLAG_CC_RTT MUST be set" */
    if (m->rtt != 0) {
        cc.flags |= NORM_CC_RTT;
        cc.rtt = norm_rtt_quantize(m->rtt);
    }
    if (r->plain) {
        cc.rtt = m->span;
        if (now >= m->marked + (m->urgent ? URGENT_LEAST : PROBES_LOST)) {
            loss = fraction(m->lost, m->expected);
            rate = rate_since(r, now);
            cc.rtt = 0;
        }
        m->urgent = false;
        cc.flags = NORM_CC_PLAIN | (m->slow ? NORM_CC_SLOW : 0);
    } else {
        rate = norm_receiver_cc_rate(r, &start);
        loss = norm_loss_events_fraction(&m->events);
        cc.flags |= start ? NORM_CC_START : 0;
    }
    cc.loss = norm_loss_quantize(loss);
    cc.rate = norm_rate_quantize(rate);
    return cc;
}

/* A probe tells too late when most of them are lost too, or wait in a buffer that fills. */
void norm_receiver_cc_urge(struct norm_receiver *r, cp_time now)
{
    struct norm_measure *m = &r->measure;

    if (!r->plain || r->config.silent || now < m->urgent_next || now < m->marked + URGENT_LEAST ||
        m->expected < URGENT_PACKETS ||
        m->lost * (now < m->marked + PROBES_LOST ? URGENT_PART : URGENT_RATHER) < m->expected) {
        return;
    }
    norm_receiver_cc_unasked(r, now);
    m->urgent_next = now + (r->gsize > NORM_GSIZE_SMALLEST ? URGENT_LONGER : URGENT_AGAIN);
}

void norm_receiver_set_backlog(struct norm_receiver *r, unsigned percent)
{
    struct norm_measure *m = &r->measure;
    bool slow = percent >= (m->slow ? SLOW_TO : SLOW_FROM);

    if (slow && !m->slow && r->plain && !r->config.silent) {
        m->slow = true;
        norm_receiver_cc_unasked(r, r->stats.last_heard);
    }
    m->slow = slow;
    m->backlog = percent;
}
