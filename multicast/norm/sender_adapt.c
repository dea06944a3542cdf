/* SPDX-License-Identifier: Apache-2.0
 * Sender: proactive parity and repair budgets follow what receivers report and ask for; looked at
 * per probe round, never per packet. Pure. */
#include "multicast/norm/sender_state.h"

#define INTERVAL      (100 * CP_MSEC)
#define FIRST         (5 * CP_MSEC)
#define SYMBOLS_LEAST 1000u /* sent before reports tell anything */
#define NEEDS_BLOCKS  512.0 /* beyond so many, or that time, what was seen counts half */
#define NEEDS_TIME    (4 * CP_SEC)
#define CYCLES_LAST   2u    /* before the end a repair may come too late … */
#define CYCLES_SPARE  6u    /* … and so may the repair of a repair */
#define OBJECTS_MOST  2u    /* whole objects that one receiver may ask for in all … */
#define OBJECT_SMALL  4096u /* … and symbols beyond: of small objects chance wants more */
#define SERVED_AGAIN  CP_SEC

/* Nobody asks in 98 of 100 blocks, unless that takes more than 2 % of the block in vain. */
static struct norm_parity_goal goal_usual(unsigned k)
{
    double spare = 0.015 * (double)k;

    return (struct norm_parity_goal){0.98, spare > 1.0 ? spare : 1.0};
}

/* Of the last blocks: the repair of one of them holds up the end by a cycle, and they are few. */
static struct norm_parity_goal goal_last(unsigned k)
{
    double spare = 0.04 * (double)k;

    return (struct norm_parity_goal){0.9995, spare > 2.0 ? spare : 2.0};
}

static uint8_t limit_of(const struct norm_sender *s)
{
    unsigned most = s->config.auto_parity_max;

    return (uint8_t)(most < s->part.num_parity ? most : s->part.num_parity);
}

void norm_sender_adapt_init(struct norm_sender *s, cp_time now)
{
    struct norm_protection *p = &s->protection;
    unsigned start = s->config.auto_parity;

    if (start > s->part.num_parity) {
        start = s->part.num_parity;
    }
    if (s->config.auto_parity_max > 0 && start > s->config.auto_parity_max) {
        start = s->config.auto_parity_max;
    }
    p->now = p->last = p->alone = (uint8_t)start;
    p->next = now + FIRST;
    p->aged = now;
    s->budget.at = now;
    s->budget.window = NORM_BUDGET_WINDOW;
}

/* What was reported of late; the lossiest that counts, NULL: no report at all. */
static const struct norm_member *gather(struct norm_sender *s, cp_time now, double *ret_waiting)
{
    const struct norm_member *worst = NULL;

    *ret_waiting = 0.0;
    norm_losses_clear(&s->protection.losses);
    for (size_t i = 0; i < s->members.count; i++) {
        struct norm_member *m = &s->members.member[i];

        *ret_waiting += m->bulk_first <= m->bulk_last;
        if (!m->reported || m->reported_at + NORM_REPORT_FRESH < now || m->outlier ||
            m->over_budget || m->over_since != CP_TIME_NEVER) {
            continue;
        }
        norm_loss_mean(&m->mean_loss, &m->mean_from, &m->mean_at, m->loss, m->reported_at);
        norm_losses_add(&s->protection.losses, m->mean_loss);
        worst = worst == NULL || m->mean_loss > worst->mean_loss ? m : worst;
    }
    return worst;
}

static void set_parity(struct norm_sender *s, cp_time now, enum norm_trace_kind kind,
                       const struct norm_member *worst, uint8_t *parity, unsigned value)
{
    const struct norm_trace t = {.at = now,
                                 .kind = kind,
                                 .reason = NORM_REASON_RANDOM,
                                 .node_id = worst->node_id,
                                 .before = *parity,
                                 .after = value,
                                 .loss = worst->mean_loss,
                                 .rate_bps = worst->rate_bps};

    if (value != *parity) {
        *parity = (uint8_t)value;
        norm_sender_tell(s, &t);
    }
}

/* RFC5740 2: "some number MAY be sent proactively at the end of each encoding block to increase the
 * robustness of transmission." */
static void choose(struct norm_sender *s, cp_time now)
{
    struct norm_protection *p = &s->protection;
    unsigned k = s->part.large_len;
    double waiting, group;
    const struct norm_member *worst = gather(s, now, &waiting);
    unsigned usual, last, alone;

    if (worst == NULL || s->stats.source_symbols < SYMBOLS_LEAST) {
        return;
    }
    /* Receivers without a report count like the others. */
    group = (double)s->config.gsize > p->losses.total ? (double)s->config.gsize : p->losses.total;
    norm_losses_stand_for(&p->losses, group);
    usual = norm_parity_choose(&p->losses, &p->needs, k, limit_of(s), goal_usual(k));
    last = norm_parity_choose(&p->losses, NULL, k, limit_of(s), goal_last(k));
    norm_losses_stand_for(&p->losses, waiting > 1.0 ? waiting : 1.0);
    alone = norm_parity_choose(&p->losses, NULL, k, limit_of(s), goal_usual(k));
    set_parity(s, now, NORM_TRACE_PARITY, worst, &p->now, usual);
    set_parity(s, now, NORM_TRACE_PARITY_LAST, worst, &p->last, last > usual ? last : usual);
    set_parity(s, now, NORM_TRACE_PARITY_ALONE, worst, &p->alone, alone);
}

void norm_sender_adapt(struct norm_sender *s, cp_time now)
{
    struct norm_protection *p = &s->protection;

    if (now < p->next) {
        return;
    }
    p->next = now + (s->probe_interval < INTERVAL ? s->probe_interval : INTERVAL);
    if (p->needs.blocks > NEEDS_BLOCKS || now - p->aged > NEEDS_TIME) {
        norm_needs_age(&p->needs);
        p->aged = now;
    }
    if (s->config.auto_parity_max > 0) {
        choose(s, now);
    }
    if (s->config.budget) {
        cp_time cycle = (2u * s->config.backoff + 2u) * s->grtt.advertised;

        s->budget.window = 3 * cycle > NORM_BUDGET_WINDOW ? 3 * cycle : NORM_BUDGET_WINDOW;
        s->budget.reports = s->next_block < s->part.block_count;
        norm_budget_review(&s->budget, &s->members, now,
                           s->stats.source_symbols + s->stats.parity_symbols +
                               s->stats.repair_symbols,
                           s->ackers.count);
    }
}

/* No more than so many cycles of back-off, aggregation and way are left of the first pass. */
static bool ends_within(const struct norm_sender *s, unsigned cycles)
{
    uint32_t left = s->part.block_count - s->next_block;
    cp_time cycle = (s->config.backoff + 2u) * s->grtt.advertised;

    return left * (s->part.large_len * norm_sender_packet_time(s)) <= cycles * cycle;
}

uint8_t norm_sender_block_parity(const struct norm_sender *s)
{
    const struct norm_protection *p = &s->protection;

    /* What is asked for from here on may be answered after all else is sent. */
    if (p->last > p->now && s->part.block_count - s->next_block <= s->part.block_count / 3 + 1 &&
        ends_within(s, CYCLES_LAST)) {
        return p->last;
    }
    return p->now;
}

unsigned norm_sender_spare_parity(const struct norm_sender *s, const struct norm_member *member,
                                  unsigned count)
{
    struct norm_losses one;

    if (s->config.auto_parity_max == 0 || member == NULL || !member->reported ||
        !ends_within(s, CYCLES_SPARE)) {
        return 0;
    }
    norm_losses_clear(&one);
    norm_losses_add(&one, member->mean_at != 0 ? member->mean_loss : member->loss);
    return norm_parity_choose(&one, NULL, count, limit_of(s), (struct norm_parity_goal){0.99, 2.0});
}

static void tell_member(const struct norm_sender *s, const struct norm_member *m,
                        struct norm_trace t)
{
    t.node_id = m->node_id;
    t.loss = m->loss;
    t.rate_bps = m->rate_bps;
    norm_sender_tell(s, &t);
}

bool norm_sender_refuses(const struct norm_sender *s, cp_time now, const struct norm_member *m)
{
    if (!s->config.budget || m == NULL || m->node_id == s->control.setter) {
        return false;
    }
    return m->over_budget || norm_budget_exceeded(&s->budget, m, now) ||
           (s->next_block < s->part.block_count && norm_budget_waits(&s->budget, m, now));
}

/* One at the limit is served and made to wait in turns: it waits until none of its NACKs had to for
 * a while. */
bool norm_sender_makes_wait(const struct norm_sender *s, cp_time now, struct norm_member *m)
{
    bool refused = norm_sender_refuses(s, now, m);
    struct norm_trace t = {.at = now, .kind = NORM_TRACE_WAIT};

    if (m == NULL || m->over_budget) {
        return refused;
    }
    if (refused) {
        m->refused_at = now;
    }
    if (refused ? !m->waits : m->waits && now >= m->refused_at + SERVED_AGAIN) {
        t.before = m->waits;
        t.after = refused;
        m->waits = refused;
        tell_member(s, m, t);
    }
    return refused;
}

static void leave_out(struct norm_sender *s, cp_time now, struct norm_member *m)
{
    m->over_budget = true;
    s->stats.over_budget++;
    norm_acklist_remove(&s->ackers, m->node_id);
    tell_member(s, m,
                (struct norm_trace){
                    .at = now,
                    .kind = NORM_TRACE_BUDGET,
                    .before = (uint64_t)norm_budget_allowed(&s->budget, now, NORM_BUDGET_SHARE),
                    .after = (uint64_t)m->recent});
}

/* RFC5740 5.2: a sender may "enforce different "service policies" to perhaps exclude exceptionally
 * poorly performing (or otherwise badly behaving) receivers" and "choose to ignore NACKs from such
 * receivers" */
void norm_sender_charge(struct norm_sender *s, cp_time now, struct norm_member *m, uint64_t symbols)
{
    uint64_t object = (uint64_t)s->part.block_count * s->part.large_len;

    if (m == NULL || !s->config.budget || m->over_budget) {
        return;
    }
    norm_budget_charge(&s->budget, m, now, symbols);
    if (s->budget.group > 1 && m->asked > OBJECTS_MOST * object + OBJECT_SMALL) {
        leave_out(s, now, m);
    } else if (m->node_id == s->control.setter || !norm_budget_exceeded(&s->budget, m, now)) {
        m->over_since = CP_TIME_NEVER;
        m->refused_to = norm_sender_refuses(s, now, m) ? m->refused_to : 0;
    } else if (m->over_since == CP_TIME_NEVER) {
        m->over_since = now;
    } else if (now - m->over_since >= NORM_BUDGET_PATIENCE &&
               now - m->over_since >= s->budget.window) {
        leave_out(s, now, m);
    }
}
