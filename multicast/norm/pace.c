/* SPDX-License-Identifier: Apache-2.0
 * Rate control for networks of one's own: the pace that follows from all receivers' limits; see
 * pace.h for how it works. Pure. */
#include "multicast/norm/pace.h"

#include <math.h>

#include "multicast/norm/pace_limit.h"

#define TRIAL_TIME_MAX  CP_SEC          /* then the loss is taken for congestion */
#define STALE           (3 * CP_SEC)    /* without report a receiver has no say */
#define RECENT          CP_SEC          /* a reporter has reported within it */
#define SILENCE         (500 * CP_MSEC) /* no report from anybody */
#define SILENT_PROBES   8u              /* … to so many probes */
#define OUTLIER_OUT     0.7             /* to have a say again … */
#define OUTLIER_BACK    CP_SEC          /* … after so long */
#define FRESH_MOST      8u              /* reports that are enough to go on */
#define ACHIEVED_MARGIN 1.25            /* pace above what is sent */
#define ACHIEVED_NEAR   0.9    /* so much of the pace is sent: it is not the sender's limit */
#define ACHIEVED_MEMORY CP_SEC /* a host that is busy for a moment is not slow */
#define STEP_LEAST      0.005  /* smaller steps up wait */
#define BUCKETS         512u   /* of the median, 8 an octave */

void norm_pace_init(struct norm_pace *p, const struct norm_pace_config *config)
{
    CP_ASSERT(config->ceiling_bps > 0);
    *p = (struct norm_pace){.config = *config, .reason = NORM_REASON_START};
    p->config.floor_bps = pace_at_most(pace_at_least(config->floor_bps, 1), config->ceiling_bps);
    p->bps =
        pace_at_most(pace_at_least(config->start_bps, p->config.floor_bps), config->ceiling_bps);
    p->achieved_bps = p->bps; /* until it is known better */
}

static bool has_say(const struct norm_member *m, cp_time now)
{
    return m->reported && !m->over_budget && now < m->reported_at + STALE;
}

static uint64_t capacity(const struct norm_limit *l)
{
    return l->wall_bps != 0 ? l->wall_bps : l->best_bps;
}

static unsigned bucket_of(uint64_t bps)
{
    double at = log2((double)bps) * 8.0;

    return at < (double)(BUCKETS - 1) ? (unsigned)at : BUCKETS - 1;
}

/* Lower edge of the median's bucket, an eighth of an octave wide; 0: fewer than three tell. */
static uint64_t median(const struct norm_members *members, cp_time now, size_t *ret_count)
{
    uint16_t buckets[BUCKETS] = {0};
    size_t count = 0, below = 0;

    for (size_t i = 0; i < members->count; i++) {
        const struct norm_member *m = &members->member[i];

        if (has_say(m, now) && capacity(&m->limit) > 0) {
            buckets[bucket_of(capacity(&m->limit))]++;
            count++;
        }
    }
    *ret_count = count;
    if (count < 3) {
        return 0;
    }
    for (unsigned b = 0; b < BUCKETS; b++) {
        below += buckets[b];
        if (below * 2 > count) {
            return (uint64_t)exp((double)b / 8.0 * log(2.0));
        }
    }
    return 0;
}

static bool lags(const struct norm_member *m, cp_time now, uint64_t middle)
{
    uint64_t limit = pace_share(middle, m->outlier ? OUTLIER_OUT : NORM_PACE_OUTLIER_IN);

    return has_say(m, now) && capacity(&m->limit) > 0 && capacity(&m->limit) < limit;
}

static void tell_outlier(const struct norm_pace *p, cp_time now, const struct norm_member *m,
                         uint64_t middle)
{
    const struct norm_trace t = {.at = now,
                                 .kind = NORM_TRACE_OUTLIER,
                                 .reason = m->outlier ? NORM_REASON_SLOW : NORM_REASON_ROOM,
                                 .node_id = m->node_id,
                                 .before = middle,
                                 .after = capacity(&m->limit),
                                 .loss = m->loss,
                                 .rate_bps = m->rate_bps};

    if (p->config.trace != NULL) {
        p->config.trace(p->config.trace_arg, &t);
    }
}

/* Who has no say because the others are so much faster. */
static void mark_outliers(struct norm_pace *p, cp_time now, struct norm_members *members)
{
    size_t count, lagging = 0;
    uint64_t middle;

    if (p->config.slow_share <= 0.0) {
        return;
    }
    middle = median(members, now, &count);
    for (size_t i = 0; i < members->count; i++) {
        lagging += lags(&members->member[i], now, middle);
    }
    bool few = (double)lagging <= ceil(p->config.slow_share * (double)count - 1e-9);

    for (size_t i = 0; i < members->count; i++) {
        struct norm_member *m = &members->member[i];
        bool out = few && lags(m, now, middle);

        m->limit.outlier_at = out ? now : m->limit.outlier_at;
        out = out || (m->outlier && now < m->limit.outlier_at + OUTLIER_BACK);
        if (out && !m->outlier) {
            m->limit.trial = false;
        } else if (!out && m->outlier && m->limit.wall_bps != 0) {
            m->limit.reason = NORM_REASON_CONGESTION;
            norm_limit_set_wall(p, &m->limit, (double)m->limit.wall_bps,
                                (double)m->limit.wall_bps * NORM_PACE_WALL_SHARE);
        }
        if (out != m->outlier) {
            m->outlier = out;
            tell_outlier(p, now, m, middle);
        }
    }
}

static void set_pace(struct norm_pace *p, uint64_t bps, enum norm_reason reason, uint32_t setter,
                     uint16_t next_sequence)
{
    p->reason = reason;
    p->setter = setter;
    bps = pace_at_least(pace_at_most(bps, p->config.ceiling_bps), p->config.floor_bps);
    if (bps != p->bps) {
        p->bps = bps;
        p->changes++;
        p->fresh = 0;
        p->epoch = (uint16_t)(next_sequence + 1);
    }
}

/* The receiver with the least limit; NULL: nobody has one below the ceiling. Counts reporters. */
static const struct norm_member *least(struct norm_pace *p, cp_time now,
                                       struct norm_members *members, uint64_t *ret_bps)
{
    const struct norm_member *found = NULL;

    *ret_bps = p->config.ceiling_bps;
    p->reporters = 0;
    p->settled = true;
    for (size_t i = 0; i < members->count; i++) {
        struct norm_member *m = &members->member[i];

        p->reporters += m->reported && now < m->reported_at + RECENT;
        if (!has_say(m, now)) {
            norm_limit_forget(&m->limit, m->over_budget ? NORM_REASON_NONE : NORM_REASON_SILENCE);
        } else if (m->limit.trial && now >= m->limit.trial_since + TRIAL_TIME_MAX) {
            norm_limit_trial_congested(p, &m->limit);
        }
        if (has_say(m, now) && !m->outlier && norm_limit_allowance(&m->limit) < *ret_bps) {
            *ret_bps = norm_limit_allowance(&m->limit);
            found = m;
        }
        p->settled = p->settled && !m->limit.trial;
        norm_limit_tell(p, now, m);
    }
    return found;
}

/* May the pace go up? What is faster than what is sent already means nothing. */
static bool may_raise(const struct norm_pace *p)
{
    unsigned need = (3 * p->reporters + 3) / 4;

    need = need < FRESH_MOST ? need : FRESH_MOST;
    return p->reporters > 0 && p->fresh >= need &&
           (double)p->achieved_bps >= ACHIEVED_NEAR * (double)p->bps;
}

void norm_pace_decide(struct norm_pace *p, cp_time now, struct norm_members *members,
                      uint16_t next_sequence)
{
    const struct norm_member *m;
    uint64_t target;

    mark_outliers(p, now, members);
    m = least(p, now, members, &target);
    if (m != NULL && target <= p->bps) {
        set_pace(p, target, m->limit.slow ? NORM_REASON_SLOW : NORM_REASON_CONGESTION, m->node_id,
                 next_sequence);
        return;
    }
    if (target < p->bps) {
        set_pace(p, target, NORM_REASON_CEILING, 0, next_sequence);
    } else if (p->resume_bps != 0 && p->settled) {
        /* The trials are over and showed that the pace was not the reason. */
        target = pace_at_least(pace_at_most(target, p->resume_bps), p->bps);
        set_pace(p, target, NORM_REASON_RANDOM, p->setter, next_sequence);
        p->resume_bps = 0;
    } else if (may_raise(p) && (double)(target - p->bps) > STEP_LEAST * (double)p->bps) {
        bool known = m != NULL;

        target = pace_at_most(target, 2 * p->bps);
        set_pace(p, target, known ? NORM_REASON_ROOM : NORM_REASON_START, known ? m->node_id : 0,
                 next_sequence);
    }
    if (p->bps == p->config.ceiling_bps) {
        p->reason = NORM_REASON_CEILING;
        p->setter = 0;
    }
    p->settled = p->settled && (m != NULL || p->bps == p->config.ceiling_bps);
}

/* Those near their limit climb on; who is past the ceiling has none. */
static void climb(struct norm_pace *p, struct norm_members *members, cp_time duration)
{
    for (size_t i = 0; i < members->count; i++) {
        struct norm_limit *l = &members->member[i].limit;

        if (l->wall_bps == 0 || l->trial || l->slow ||
            (double)p->bps <
                0.9 * (double)pace_at_most(norm_limit_allowance(l), p->config.ceiling_bps)) {
            continue;
        }
        l->climbed += duration;
        if (l->climbed > l->climb && norm_limit_allowance(l) >= p->config.ceiling_bps) {
            l->wall_bps = 0;
            l->reason = NORM_REASON_ROOM;
        }
    }
}

void norm_pace_interval(struct norm_pace *p, cp_time now, struct norm_members *members,
                        const struct norm_pace_interval *in)
{
    cp_time silence = SILENT_PROBES * in->duration;
    double forgotten;

    p->busy = in->busy;
    if (!in->busy) {
        if (p->heard_at != 0) {
            p->heard_at = now; /* silence counts from when there is data again */
        }
        return;
    }
    forgotten = (double)in->duration / (double)ACHIEVED_MEMORY;
    p->achieved_bps = pace_share(p->achieved_bps, forgotten < 1.0 ? 1.0 - forgotten : 0.0);
    p->achieved_bps = pace_at_least(p->achieved_bps, in->sent_bps);
    if ((double)p->achieved_bps >= ACHIEVED_NEAR * (double)p->bps &&
        now < cp_time_add(p->heard_at, SILENCE)) {
        climb(p, members, in->duration);
    }
    norm_pace_decide(p, now, members, in->sequence);
    if (!pace_serial_before(in->sequence, p->epoch) &&
        (double)p->bps > ACHIEVED_MARGIN * (double)p->achieved_bps) {
        set_pace(p, pace_share(p->achieved_bps, ACHIEVED_MARGIN), NORM_REASON_SENDER, 0,
                 in->sequence);
    }
    silence = silence > SILENCE ? silence : SILENCE;
    silence = silence > in->patience ? silence : in->patience;
    if (p->config.prompted && p->heard_at != 0 && now >= p->heard_at + silence) {
        set_pace(p, p->bps / 2, NORM_REASON_SILENCE, 0, in->sequence);
        p->heard_at = now;
    }
}

void norm_pace_set_ceiling(struct norm_pace *p, uint64_t bps, uint16_t next_sequence)
{
    CP_ASSERT(bps > 0);
    p->config.ceiling_bps = bps;
    p->config.floor_bps = pace_at_most(p->config.floor_bps, bps);
    if (p->bps > bps) {
        set_pace(p, bps, NORM_REASON_WISH, 0, next_sequence);
    }
}
