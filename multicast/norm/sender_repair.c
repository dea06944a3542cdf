/* SPDX-License-Identifier: Apache-2.0
 * Sender: what receivers asked for, aggregated per cycle, and in which order it is repaired
 * (RFC 5740 sections 5.4.1 and 5.4.2; two queues, the live window and the second pass). Pure. */
#include <stdlib.h>
#include <string.h>

#include "multicast/norm/sender_state.h"

enum cp_err norm_repairs_init(struct norm_repairs *r, uint32_t block_count,
                              unsigned symbols_per_block)
{
    r->words = (symbols_per_block + 63) / 64;
    r->aggregate_end = CP_TIME_NEVER;
    r->bulk_slice = NORM_BULK_LEAST;
    CP_TRY(norm_bitset_init(&r->asked, block_count));
    CP_TRY(norm_bitset_init(&r->pending, block_count));
    CP_TRY(norm_bitset_init(&r->whole, block_count));
    CP_TRY(norm_bitset_init(&r->bulk, block_count));
    r->want = calloc(block_count, sizeof(*r->want));
    r->parity_sent = calloc(block_count, sizeof(*r->parity_sent));
    r->repaired_at = calloc(block_count, sizeof(*r->repaired_at));
    r->explicit_map = calloc((size_t)block_count * r->words, sizeof(*r->explicit_map));
    if (r->want == NULL || r->parity_sent == NULL || r->repaired_at == NULL ||
        r->explicit_map == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    return CP_OK;
}

void norm_repairs_done(struct norm_repairs *r)
{
    norm_bitset_done(&r->asked);
    norm_bitset_done(&r->pending);
    norm_bitset_done(&r->whole);
    norm_bitset_done(&r->bulk);
    free(r->want);
    free(r->parity_sent);
    free(r->repaired_at);
    free(r->explicit_map);
}

static uint32_t tick_of(cp_time now)
{
    uint32_t tick = (uint32_t)(now >> NORM_TICK_SHIFT);

    return tick == 0 ? 1 : tick;
}

/* A request that crossed the block's latest repair on its way speaks of the past. RFC5740 5.4.1
 * holds off every request for "(1 * GRTT_sender)" after repairs begin; we do so per block, which
 * keeps requests for other blocks. */
static bool held_off(const struct norm_sender *s, cp_time now, uint32_t sbn)
{
    uint32_t at = s->repairs.repaired_at[sbn];
    uint32_t grtt = (uint32_t)(s->grtt.advertised >> NORM_TICK_SHIFT) + 1;

    return at != 0 && tick_of(now) - at < grtt;
}

static void reopen(struct norm_sender *s)
{
    s->state = NORM_SENDER_SENDING;
    s->flush_count = 0;
    s->flush_at = CP_TIME_NEVER;
    norm_acklist_restart(&s->ackers);
}

/* RFC5740 5.4.1: "T_sndrAggregate = (K_sender + 1) * GRTT_sender": the longest back-off and one
 * round trip. While data flows it runs from the first NACK and costs nothing. NACKs in answer to a
 * FLUSH all began their back-off with it, so there it runs from the FLUSH: the link is idle.
 * RFC5401 3.2.4: "T_sndrAggregate = T_maxBackoff + 1*GRTT". */
static cp_time cycle_end(const struct norm_sender *s, cp_time start)
{
    cp_time length = (cp_time)(s->config.backoff + 1u) * s->grtt.advertised;
    cp_time end = s->flush_first + length;

    if (s->config.backoff == 0) {
        return start;
    }
    if (s->state == NORM_SENDER_SENDING || s->flush_count == 0) {
        return start + length;
    }
    return end > start + s->grtt.advertised ? end : start + s->grtt.advertised;
}

/* A new period begins only after the hold-off of the last. */
static void begin_cycle(struct norm_sender *s, cp_time now)
{
    struct norm_repairs *r = &s->repairs;

    if (r->aggregate_end == CP_TIME_NEVER) {
        r->aggregate_end = cycle_end(s, now > r->holdoff_end ? now : r->holdoff_end);
    }
    if (s->state != NORM_SENDER_SENDING) {
        reopen(s);
    }
}

/* RFC5740 5.4.1: during the hold-off "the sender will immediately incorporate these late-arriving
 * messages into its pending transmission state if, and only if, the NACK content is ordinally
 * greater than the sender's current transmission position" */
static void note_block(struct norm_sender *s, cp_time now, uint32_t sbn)
{
    struct norm_repairs *r = &s->repairs;

    if (norm_bitset_has(&r->pending, sbn)) {
        return;
    }
    if (now < r->holdoff_end && r->pending.count > 0 && sbn > r->at) {
        norm_bitset_add(&r->pending, sbn);
    } else {
        norm_bitset_add(&r->asked, sbn);
        begin_cycle(s, now);
    }
}

/* The latest `excess` of the named symbols that were sent before: the fresh ones go out anyway. */
static void want_explicit(struct norm_sender *s, uint32_t sbn, const uint64_t *symbols,
                          unsigned excess)
{
    struct norm_repairs *r = &s->repairs;
    unsigned sent = norm_partition_block_len(&s->part, sbn) + (unsigned)r->parity_sent[sbn];
    uint64_t *map = &r->explicit_map[(size_t)sbn * r->words];

    for (unsigned esi = sent; esi > 0 && excess > 0; esi--) {
        unsigned i = esi - 1;

        if (((symbols[i / 64] >> (i % 64)) & 1u) != 0) {
            map[i / 64] |= (uint64_t)1 << (i % 64);
            excess--;
        }
    }
}

/* A block of the first pass that was not repaired yet tells how much parity would have done. What
 * all parity would not have cured, and what receivers of their own kind lack, says nothing. */
static void note_need(struct norm_sender *s, const struct norm_wish *w, unsigned fresh)
{
    const struct norm_repairs *r = &s->repairs;
    const struct norm_member *m = w->member;
    unsigned sent = r->parity_sent[w->sbn], before = r->want[w->sbn];

    if (s->config.auto_parity_max == 0 || r->repaired_at[w->sbn] != 0 || w->count > fresh ||
        norm_bitset_has(&r->whole, w->sbn) || w->sbn < norm_sender_live_floor(s) || m == NULL ||
        m->outlier || m->over_since != CP_TIME_NEVER) {
        return;
    }
    norm_needs_told(&s->protection.needs, before > 0 ? sent + before : 0, sent + w->count);
}

unsigned norm_sender_want_symbols(struct norm_sender *s, cp_time now, const struct norm_wish *wish)
{
    struct norm_repairs *r = &s->repairs;
    uint32_t sbn = wish->sbn;
    unsigned count = wish->count;
    unsigned fresh = (unsigned)s->part.num_parity - r->parity_sent[sbn];
    unsigned want;

    if (sbn >= s->next_block || held_off(s, now, sbn)) {
        return 0;
    }
    note_need(s, wish, fresh);
    want = count + norm_sender_spare_parity(s, wish->member, count);
    want = want < fresh ? want : fresh;
    /* RFC5740 5.4.2: "The sender can determine the maximum erasure-filling needs for individual
     * FEC coding blocks from the NORM_NACK messages received during the repair aggregation
     * period." and "SHOULD NOT resort to explicit transmission of the receiver set's repair needs
     * until after exhausting its supply of "fresh" (unsent) parity segments" */
    if (want > r->want[sbn]) {
        r->want[sbn] = (uint8_t)want;
    }
    if (count > fresh) {
        want_explicit(s, sbn, wish->symbols, count - fresh);
    }
    note_block(s, now, sbn);
    return count;
}

/* Nothing of the block is there: its source symbols serve best, they need no decoding, with the
 * same protection behind them as in the first pass. */
static void want_whole(struct norm_sender *s, uint32_t sbn)
{
    struct norm_repairs *r = &s->repairs;
    unsigned fresh = (unsigned)s->part.num_parity - r->parity_sent[sbn];
    unsigned extra = s->protection.alone < fresh ? s->protection.alone : fresh;

    norm_bitset_add(&r->whole, sbn);
    if (extra > r->want[sbn]) {
        r->want[sbn] = (uint8_t)extra;
    }
}

/* It was there when the block went out again, and wants all of it once more. */
static bool repaired_since(const struct norm_sender *s, uint32_t sbn, cp_time heard)
{
    uint32_t at = s->repairs.repaired_at[sbn];

    return at != 0 && (int32_t)(at - tick_of(heard)) > 0;
}

/* Where the second pass serves this node; nodes are in order of first hearing. */
static void bulk_note(struct norm_sender *s, struct norm_member *m, uint32_t first, uint32_t last)
{
    size_t index = (size_t)(m - s->members.member);

    if (m->bulk_first > m->bulk_last) {
        m->bulk_first = first;
        m->bulk_last = last;
    }
    m->bulk_first = first < m->bulk_first ? first : m->bulk_first;
    m->bulk_last = last > m->bulk_last ? last : m->bulk_last;
    s->repairs.bulk_turn = index < s->repairs.bulk_turn ? index : s->repairs.bulk_turn;
}

/* A long run is a late joiner or an outage: it must not hold up the rest, RFC5740 5.2 lets the
 * sender "impose additional constraints to limit the ability of receivers to disrupt reliable
 * multicast performance by joining". */
uint64_t norm_sender_want_blocks(struct norm_sender *s, cp_time now, uint32_t first, uint32_t last,
                                 struct norm_member *member)
{
    bool bulk = last - first >= NORM_BULK_RUN;
    uint64_t cost = 0;

    for (uint32_t sbn = first; sbn <= last && sbn < s->next_block; sbn++) {
        if (held_off(s, now, sbn)) {
            continue;
        }
        if (member != NULL && repaired_since(s, sbn, member->first_heard)) {
            cost += norm_partition_block_len(&s->part, sbn);
        }
        if (bulk) {
            norm_bitset_add(&s->repairs.bulk, sbn);
        } else {
            want_whole(s, sbn);
            note_block(s, now, sbn);
        }
    }
    if (bulk && member != NULL) {
        bulk_note(s, member, first, last);
    }
    if (s->repairs.bulk.count > 0 && s->state == NORM_SENDER_IDLE) {
        reopen(s);
    }
    return cost;
}

void norm_sender_tell_deferred(const struct norm_sender *s, cp_time now,
                               const struct norm_member *m)
{
    struct norm_trace t = {.at = now, .kind = NORM_TRACE_DEFER};

    if (m != NULL) {
        t.node_id = m->node_id;
        t.before = m->bulk_first;
        t.after = m->bulk_last;
        t.loss = m->loss;
        t.rate_bps = m->rate_bps;
    } else {
        t.before = norm_bitset_next(&s->repairs.bulk, 0);
        t.after = s->next_block - 1;
    }
    norm_sender_tell(s, &t);
}

/* What is about to become pending. A receiver that lags says so in every cycle: told once. */
static void tell_old(struct norm_sender *s, cp_time now)
{
    struct norm_repairs *r = &s->repairs;
    uint32_t floor = norm_sender_live_floor(s);
    uint32_t first = r->asked.count > 0 ? norm_bitset_next(&r->asked, 0) : floor;
    const struct norm_trace t = {
        .at = now, .kind = NORM_TRACE_DEFER, .before = first, .after = floor - 1u};

    if (first < floor && !r->old_told) {
        norm_sender_tell(s, &t);
    }
    r->old_told = first < floor;
}

void norm_sender_want_info(struct norm_sender *s, cp_time now)
{
    if (!s->info_due && !s->repairs.info_pending) {
        s->repairs.info_asked = true;
        begin_cycle(s, now);
    }
}

void norm_sender_activate(struct norm_sender *s, cp_time now)
{
    struct norm_repairs *r = &s->repairs;

    tell_old(s, now);
    norm_bitset_move(&r->pending, &r->asked);
    r->info_pending = r->info_pending || r->info_asked;
    r->info_asked = false;
    r->aggregate_end = CP_TIME_NEVER;
    r->holdoff_end = now + s->grtt.advertised;
}

/* The newest slot is the head some time ago, the oldest the live window's lower edge. */
void norm_sender_head_tick(struct norm_sender *s, cp_time now)
{
    cp_time step = s->config.live_window / (NORM_HEAD_SLOTS - 1) + 1;

    if (now < s->head_next) {
        return;
    }
    for (unsigned n = 0; now >= s->head_next && n < NORM_HEAD_SLOTS; n++) {
        memmove(&s->head_block[1], &s->head_block[0], (NORM_HEAD_SLOTS - 1) * sizeof(uint32_t));
        s->head_block[0] = s->next_block;
        s->head_next += step;
    }
    if (now >= s->head_next) {
        s->head_next = now + step;
    }
}

uint32_t norm_sender_live_floor(const struct norm_sender *s)
{
    return s->next_block == s->part.block_count ? 0 : s->head_block[NORM_HEAD_SLOTS - 1];
}

bool norm_sender_has_repair(const struct norm_sender *s)
{
    const struct norm_repairs *r = &s->repairs;

    return r->bulk_runs ||
           (r->pending.count > 0 &&
            norm_bitset_next(&r->pending, norm_sender_live_floor(s)) < s->part.block_count);
}

/* Everybody heard of acknowledges, and all but those who wait for the second pass did. */
static bool others_done(const struct norm_sender *s)
{
    size_t waiting = 0, served = 0;

    for (size_t i = 0; i < s->members.count; i++) {
        const struct norm_member *m = &s->members.member[i];

        if (!m->over_budget) {
            served++;
            waiting += m->bulk_first <= m->bulk_last;
        }
    }
    return s->ackers.count > 0 && s->ackers.missing <= waiting && s->ackers.count >= served;
}

/* The second pass goes in slices. Before each, a FLUSH lets everybody ask for what is missing
 * anywhere, which receivers do not do while the position is below it; the slice begins when all
 * back-offs and hold-offs, of a NACK that was lost too, have ended and nobody's small repairs are
 * outstanding, or when everybody else is known to need nothing. */
cp_time norm_sender_bulk_time(const struct norm_sender *s)
{
    if (s->state != NORM_SENDER_FLUSHING || s->repairs.bulk.count == 0 || s->flush_count == 0) {
        return CP_TIME_NEVER;
    }
    if (others_done(s)) {
        return s->flush_first;
    }
    return s->flush_first + 2 * (s->config.backoff + 2u) * s->grtt.advertised;
}

static void trace_pass(const struct norm_sender *s, cp_time now)
{
    const struct norm_repairs *r = &s->repairs;
    cp_time block = s->part.large_len * norm_sender_packet_time(s) + 1;

    const struct norm_trace t = {.at = now,
                                 .kind = NORM_TRACE_PASS,
                                 .before = r->bulk.count,
                                 .after =
                                     cp_time_min((r->bulk_until - now) / block + 1, r->bulk.count)};

    norm_sender_tell(s, &t);
}

void norm_sender_bulk_timer(struct norm_sender *s, cp_time now)
{
    struct norm_repairs *r = &s->repairs;

    if (r->bulk_runs && (now >= r->bulk_until || r->bulk.count == 0)) {
        r->bulk_runs = false;
    }
    if (now >= norm_sender_bulk_time(s)) {
        r->bulk_runs = true;
        r->bulk_until = now + (r->bulk_slice > NORM_BULK_GRTTS * s->grtt.advertised
                                   ? r->bulk_slice
                                   : NORM_BULK_GRTTS * s->grtt.advertised);
        r->bulk_slice = cp_time_min(2 * r->bulk_slice, NORM_BULK_MOST);
        trace_pass(s, now);
        reopen(s);
    }
}

/* The second pass serves the node first that was heard of first, its blocks in ascending order;
 * what later ones want too is done with then. */
static uint32_t next_bulk(struct norm_sender *s)
{
    struct norm_repairs *r = &s->repairs;

    for (; r->bulk_turn < s->members.count; r->bulk_turn++) {
        struct norm_member *m = &s->members.member[r->bulk_turn];

        if (m->bulk_first <= m->bulk_last && !m->over_budget) {
            uint32_t sbn = norm_bitset_next(&r->bulk, m->bulk_first);

            if (sbn <= m->bulk_last) {
                return sbn;
            }
        }
        m->bulk_first = 1; /* served */
        m->bulk_last = 0;
    }
    return norm_bitset_next(&r->bulk, 0);
}

/* One block at a time becomes an ordinary repair, so that others' repairs go before the next. */
static void promote_bulk(struct norm_sender *s)
{
    struct norm_repairs *r = &s->repairs;
    uint32_t sbn = next_bulk(s);

    norm_bitset_remove(&r->bulk, sbn);
    want_whole(s, sbn);
    norm_bitset_add(&r->pending, sbn);
}

/* Takes the lowest symbol wanted by name. */
static bool take_explicit(struct norm_sender *s, uint32_t sbn, uint16_t *ret_esi)
{
    struct norm_repairs *r = &s->repairs;
    uint64_t *map = &r->explicit_map[(size_t)sbn * r->words];

    if (norm_bitset_has(&r->whole, sbn)) {
        unsigned k = norm_partition_block_len(&s->part, sbn);

        norm_bitset_remove(&r->whole, sbn);
        for (unsigned i = 0; i < k; i++) {
            map[i / 64] |= (uint64_t)1 << (i % 64);
        }
    }
    for (unsigned w = 0; w < r->words; w++) {
        if (map[w] != 0) {
            *ret_esi = (uint16_t)(w * 64 + (unsigned)__builtin_ctzll(map[w]));
            map[w] &= map[w] - 1;
            return true;
        }
    }
    return false;
}

static bool take_fresh(struct norm_sender *s, uint32_t sbn, uint16_t *ret_esi)
{
    struct norm_repairs *r = &s->repairs;

    if (r->want[sbn] == 0 || r->parity_sent[sbn] >= s->part.num_parity) {
        r->want[sbn] = 0;
        return false;
    }
    *ret_esi = (uint16_t)(norm_partition_block_len(&s->part, sbn) + r->parity_sent[sbn]);
    r->parity_sent[sbn]++;
    r->want[sbn]--;
    return true;
}

static void drop_if_done(struct norm_repairs *r, uint32_t sbn)
{
    const uint64_t *map = &r->explicit_map[(size_t)sbn * r->words];
    uint64_t left = 0;

    for (unsigned w = 0; w < r->words; w++) {
        left |= map[w];
    }
    if (left == 0 && r->want[sbn] == 0) {
        norm_bitset_remove(&r->pending, sbn);
    }
}

/* RFC5740 5.4: the sender will "occasionally "rewind" its logical transmission point to satisfy
 * the repair needs of receivers who have NACKed" */
bool norm_sender_next_repair(struct norm_sender *s, cp_time now, uint32_t *ret_sbn,
                             uint16_t *ret_esi, bool *ret_explicit)
{
    struct norm_repairs *r = &s->repairs;

    if (r->bulk_runs && r->pending.count == 0 && r->bulk.count > 0) {
        promote_bulk(s);
    }
    if (r->pending.count == 0) {
        return false;
    }
    /* RFC5740 5: "The sender sends repairs for the earliest ordinal transmit position first and
     * maintains this ordinal repair transmission sequence." */
    uint32_t sbn = norm_bitset_next(&r->pending, norm_sender_live_floor(s));

    while (sbn < s->part.block_count) {
        bool named = take_explicit(s, sbn, ret_esi);

        if (named || take_fresh(s, sbn, ret_esi)) {
            r->at = sbn;
            r->repaired_at[sbn] = tick_of(now);
            drop_if_done(r, sbn);
            *ret_sbn = sbn;
            *ret_explicit = named;
            return true;
        }
        norm_bitset_remove(&r->pending, sbn);
        sbn = norm_bitset_next(&r->pending, sbn + 1);
    }
    return false;
}

bool norm_sender_defers(const struct norm_sender *s)
{
    uint32_t floor = norm_sender_live_floor(s);

    return (s->repairs.bulk.count > 0 && !s->repairs.bulk_runs) ||
           (s->repairs.pending.count > 0 && norm_bitset_next(&s->repairs.pending, 0) < floor) ||
           (s->repairs.asked.count > 0 && norm_bitset_next(&s->repairs.asked, 0) < floor);
}

bool norm_sender_data_over(const struct norm_sender *s)
{
    const struct norm_repairs *r = &s->repairs;

    return !s->info_due && s->next_block == s->part.block_count && r->pending.count == 0 &&
           r->asked.count == 0 && !r->bulk_runs && !r->info_asked && !r->info_pending;
}
