/* SPDX-License-Identifier: Apache-2.0
 * Rate control for networks of one's own: what one receiver's reports say of the pace that it can
 * take; see pace.h for how it works. Pure. */
#include "multicast/norm/pace_limit.h"

#include <math.h>

#define PACKETS_LEAST 16u             /* of an interval that says anything of loss */
#define LOSS_MARGIN   0.005           /* above the base: heals without notice */
#define LOSS_SPREAD   3.0             /* standard deviations of the base loss … */
#define BURST_FIRST   20.0            /* … of packets lost in runs of so many, until learnt … */
#define BURST_LEAST   2.0             /* … between this … */
#define BURST_MOST    60.0            /* … and this */
#define BURST_WALL    5.0             /* … but near a wall */
#define WINDOW        8000.0          /* packets that are looked at together */
#define TRIAL_SHARE   0.85            /* of what was delivered: clearly below the wall */
#define TRIAL_LOST    80.0            /* packets that must be lost if nothing changed, … */
#define TRIAL_PACKETS 200.0           /* … out of so many at least, … */
#define TRIAL_TIME    (400 * CP_MSEC) /* … or as many as there were after that time */
#define TRIAL_GROWN   1.5
#define TURN_LOSS     0.15            /* more than that does not wait for the trials of others */
#define PLAIN_LOST    400.0           /* packets: needs no second look if more than that share */
#define START_LOSS    0.08            /* at the first pace; what it means shows at the next */
#define BASE_SURE     0.03            /* so little after a trial is not congestion still */
#define RANDOM_MOST   0.30            /* more than that is no accident */
#define STEADY        10u             /* reports without trouble tell what it got, … */
#define SHARED_DROP   0.85            /* delivered rate falls below so much of what it was … */
#define SHARED_SHARE  0.70            /* … then so much of the rest */
#define CLIMB         (2 * CP_SEC)    /* back to the wall */
#define SLOW_SHARE    0.90            /* of what a receiver with full buffers takes */
#define SLOW_CLIMB    (300 * CP_MSEC) /* back to the wall when its buffers are empty */
#define SLOW_SPACING  (150 * CP_MSEC) /* when they fill still */
#define KEEPS_UP      0.70            /* delivered of what was sent, loss aside */
#define BEST_MEMORY   (60 * CP_SEC)   /* in which the best rate is forgotten */

/* Pace that it can take now, as far as is known. */
uint64_t norm_limit_allowance(const struct norm_limit *l)
{
    double x, bps;

    if (l->wall_bps == 0) {
        return UINT64_MAX;
    }
    if (l->trial || l->slow) {
        return l->low_bps;
    }
    x = (double)l->climbed / (double)l->climb - 1.0;
    bps = (double)l->wall_bps + (double)(l->wall_bps - l->low_bps) * x * x * x;
    return bps >= 1e18 ? UINT64_MAX : (uint64_t)bps;
}

void norm_limit_set_wall(struct norm_pace *p, struct norm_limit *l, double wall, double low)
{
    double floor_bps = (double)p->config.floor_bps;

    l->wall_bps = (uint64_t)(wall > floor_bps ? wall : floor_bps);
    l->low_bps = (uint64_t)(low > floor_bps ? low : floor_bps);
    l->low_bps = pace_at_most(l->low_bps, l->wall_bps);
    l->climb = CLIMB;
    l->climbed = 0;
}

void norm_limit_forget(struct norm_limit *l, enum norm_reason reason)
{
    l->reason = reason;
    l->wall_bps = 0;
    l->trial = l->slow = l->suspect = false;
}

void norm_limit_tell(const struct norm_pace *p, cp_time now, struct norm_member *m)
{
    struct norm_limit *l = &m->limit;
    uint64_t allows = l->wall_bps != 0 ? norm_limit_allowance(l) : 0;
    struct norm_trace t = {.at = now,
                           .kind = NORM_TRACE_LIMIT,
                           .reason = l->reason,
                           .node_id = m->node_id,
                           .before = l->told_bps,
                           .after = allows,
                           .loss = m->loss,
                           .rate_bps = m->rate_bps};

    if (l->reason == l->told) {
        return;
    }
    if (l->reason == NORM_REASON_START) {
        t.loss = l->trial_loss;
    } else if (l->reason == NORM_REASON_RANDOM) {
        t.loss = l->base_loss;
    }
    if (p->config.trace != NULL && !m->outlier && l->reason != NORM_REASON_NONE &&
        (t.before != 0 || t.after != 0)) {
        p->config.trace(p->config.trace_arg, &t);
    }
    l->told = l->reason;
    l->told_bps = allows;
}

static uint64_t delivered(const struct norm_pace_report *r)
{
    uint64_t bps = r->rate_bps > 0 ? r->rate_bps : pace_share(r->sent_bps, 1.0 - r->loss);

    return pace_at_most(bps, r->sent_bps);
}

/* Of one that had no trial yet others' stand for it. */
static double base_of(const struct norm_pace *p, const struct norm_limit *l)
{
    return l->judged || l->base_loss > p->random_loss ? l->base_loss : p->random_loss;
}

/* Is that more than the base loss, given how many packets tell, and one run of losses of that length
 * more than usual? */
static bool exceeds(const struct norm_pace *p, const struct norm_limit *l, double loss, double n,
                    double run)
{
    double base = base_of(p, l);

    return loss > base + LOSS_MARGIN + LOSS_SPREAD * sqrt(base * l->burst / n) + run / n;
}

static void count_loss(struct norm_limit *l, const struct norm_pace_report *r)
{
    l->packets += (double)r->packets;
    l->lost += (double)r->packets * r->loss;
}

/* Where there was a wall before it takes no proof that there is one, nor where so many are lost. */
static bool plainly_congested(const struct norm_pace *p, const struct norm_limit *l,
                              const struct norm_pace_report *r)
{
    double n = (double)r->packets, excess = r->loss - base_of(p, l);

    return (excess > TURN_LOSS && excess * n > PLAIN_LOST) ||
           (l->wall_bps != 0 && r->sent_bps > l->wall_bps &&
            excess > LOSS_MARGIN + BURST_WALL / n + 2.0 * sqrt(base_of(p, l) / n));
}

/* Have enough packets been seen to tell whether it goes on? */
static bool enough(const struct norm_limit *l, cp_time now)
{
    return (l->packets * (l->trial_loss - l->trial_base) >= TRIAL_LOST &&
            l->packets >= TRIAL_PACKETS) ||
           now >= l->trial_since + TRIAL_TIME;
}

static void look_anew(const struct norm_pace *p, cp_time now, struct norm_limit *l, double loss)
{
    l->trial_since = now;
    l->trial_loss = loss;
    l->trial_base = base_of(p, l);
    l->packets = l->lost = 0.0;
}

/* Who is found to lose much was picked by chance: what it loses from then on tells the truth. */
static bool congested(const struct norm_pace *p, cp_time now, struct norm_limit *l,
                      const struct norm_pace_report *r)
{
    double loss;

    count_loss(l, r);
    if (plainly_congested(p, l, r)) {
        l->suspect = false;
        look_anew(p, now, l, r->loss);
        return true;
    }
    loss = l->lost / l->packets;
    if (l->suspect && !enough(l, now)) {
        return false;
    }
    if (l->suspect) {
        bool proved = exceeds(p, l, loss, l->packets, BURST_MOST);

        l->suspect = false;
        look_anew(p, now, l, loss);
        return proved;
    }
    if (exceeds(p, l, r->loss, (double)r->packets, BURST_FIRST) ||
        (r->loss > base_of(p, l) && exceeds(p, l, loss, l->packets, BURST_MOST))) {
        l->suspect = true;
        look_anew(p, now, l, r->loss > loss ? r->loss : loss);
    } else if (l->packets > WINDOW) {
        l->packets /= 2.0;
        l->lost /= 2.0;
    }
    return false;
}

/* What it got becomes the wall; the pace goes clearly below. */
static void trial_wall(struct norm_pace *p, struct norm_limit *l, const struct norm_pace_report *r)
{
    double lately = (double)r->sent_bps * (1.0 - l->trial_loss);
    double got = (double)delivered(r);
    double most = (double)(pace_serial_before(r->first, p->epoch) ? r->sent_bps : p->bps);
    bool shared = l->steady >= STEADY && (double)delivered(r) < SHARED_DROP * (double)l->rate_bps;

    if (r->loss > l->trial_loss && got < lately) {
        got = lately; /* it lost more than usual just now */
    }
    got /= 1.0 - base_of(p, l);
    got = got < most ? got : most;
    l->after_bps = (uint64_t)(got * (shared ? SHARED_SHARE : NORM_PACE_WALL_SHARE));
    norm_limit_set_wall(p, l, got, got * (shared ? SHARED_SHARE : TRIAL_SHARE));
}

/* The pace is down already for trials of others: what it loses now has no other pace to compare
 * with, unless it is much. */
static bool waits_its_turn(const struct norm_pace *p, const struct norm_limit *l,
                           const struct norm_pace_report *r)
{
    return p->resume_bps != 0 && !pace_serial_before(r->first, p->lowered) &&
           r->loss < base_of(p, l) + TURN_LOSS;
}

static void trial_begin(struct norm_pace *p, struct norm_limit *l, const struct norm_pace_report *r,
                        uint16_t next_sequence)
{
    if (p->resume_bps == 0) {
        p->lowered = next_sequence;
    }
    p->resume_bps = pace_at_least(p->resume_bps, p->bps);
    l->before_bps = l->wall_bps;
    trial_wall(p, l, r);
    l->trial = l->tried = true;
    l->reason = NORM_REASON_START;
    l->trial_from = (uint16_t)(next_sequence + 1); /* the interval that runs is of both paces */
    l->steady = 0;
}

void norm_limit_trial_congested(struct norm_pace *p, struct norm_limit *l)
{
    l->trial = false;
    l->reason = NORM_REASON_CONGESTION;
    norm_limit_set_wall(p, l, (double)l->wall_bps, (double)l->after_bps);
    p->resume_bps = 0;
}

static void trial_random(struct norm_pace *p, struct norm_limit *l)
{
    norm_limit_forget(l, NORM_REASON_RANDOM);
    if (l->before_bps != 0) { /* what was known of a wall before holds */
        norm_limit_set_wall(p, l, (double)l->before_bps,
                            (double)l->before_bps * NORM_PACE_WALL_SHARE);
        l->climbed = l->climb;
    }
}

/* Enough was seen at the lower pace. */
static void trial_verdict(struct norm_pace *p, struct norm_limit *l)
{
    double after = l->lost / l->packets;
    double excess = l->trial_loss - l->trial_base;

    l->packets = l->lost = 0.0;
    /* When it grows although the pace fell somebody else came. */
    if (after >= l->trial_base + excess / 2.0 && after <= RANDOM_MOST &&
        after <= TRIAL_GROWN * l->trial_loss + LOSS_MARGIN) {
        l->base_loss = after;
        l->judged = true;
        p->random_loss = p->random_loss > after ? p->random_loss : after;
        trial_random(p, l);
        return;
    }
    if (after < l->trial_base || after < BASE_SURE) {
        l->base_loss = after;
        l->judged = true;
        p->random_loss = p->random_loss < after ? p->random_loss : after;
    }
    norm_limit_trial_congested(p, l);
}

/* True: the pace may change for it. */
static bool trial_report(struct norm_pace *p, cp_time now, struct norm_limit *l,
                         const struct norm_pace_report *r)
{
    if (!l->judged && l->trial_loss < p->random_loss + LOSS_MARGIN) {
        trial_random(p, l); /* others' trials explain it */
        return true;
    }
    if (pace_serial_before(r->first, l->trial_from)) {
        /* Of the pace before, or of both: it may have been worse than it looked at first. */
        if (exceeds(p, l, r->loss, (double)r->packets, BURST_MOST) &&
            (double)delivered(r) < SLOW_SHARE * (double)l->wall_bps) {
            l->trial_loss = r->loss;
            trial_wall(p, l, r);
            return true;
        }
        return false;
    }
    count_loss(l, r);
    if (!enough(l, now)) {
        return false;
    }
    trial_verdict(p, l);
    return true;
}

/* It keeps up: what it loses now is what it loses anyway. */
static void learn(struct norm_pace *p, cp_time now, struct norm_limit *l,
                  const struct norm_pace_report *r)
{
    uint64_t got = delivered(r);
    double off = r->loss - l->base_loss;
    double forgotten = (double)(now - l->best_at) / (double)BEST_MEMORY;

    /* Beyond a wall it would get used to congestion. */
    if (l->wall_bps == 0 || r->sent_bps <= l->wall_bps) {
        l->base_loss += off * 0.1;
        l->base_loss = l->base_loss < RANDOM_MOST ? l->base_loss : RANDOM_MOST;
    }
    if (l->base_loss > 0.001 && l->wall_bps == 0) {
        l->burst += (off * off * (double)r->packets / l->base_loss - l->burst) * 0.1;
        l->burst = l->burst < BURST_MOST ? l->burst : BURST_MOST;
        l->burst = l->burst > BURST_LEAST ? l->burst : BURST_LEAST;
    }
    l->rate_bps = l->rate_bps == 0 ? got : pace_share(l->rate_bps, 0.75) + pace_share(got, 0.25);
    l->best_bps = pace_share(l->best_bps, forgotten < 1.0 ? 1.0 - forgotten : 0.0);
    l->best_bps = pace_at_least(l->best_bps, got);
    l->best_at = now;
    l->steady++;
    if (p->random_loss > r->loss) {
        p->random_loss += (r->loss - p->random_loss) * 0.001;
    }
}

/* What it takes, of the pace that its report is of: the pace may have fallen for others since. */
static uint64_t taken(const struct norm_pace *p, const struct norm_pace_report *r)
{
    if (r->rate_bps == 0) {
        return p->bps / 2;
    }
    return pace_at_most(r->rate_bps, pace_serial_before(r->first, p->epoch)
                                         ? pace_at_least(r->sent_bps, p->bps)
                                         : p->bps);
}

/* Its limit is the pace already, and what came at that pace did not let its buffers empty. */
static bool fills_at_this_pace(const struct norm_pace *p, cp_time now, const struct norm_limit *l,
                               const struct norm_pace_report *r)
{
    return !pace_serial_before(r->first, p->epoch) && now >= l->slow_at + SLOW_SPACING &&
           pace_share(l->low_bps, 0.97) <= p->bps;
}

/* True: the pace must change for it. Many become slow at one time, and each has a backlog to take
 * after the pace has fallen: none may count what was cut for the others as its own limit. */
static bool slow_report(struct norm_pace *p, cp_time now, struct norm_limit *l,
                        const struct norm_pace_report *r)
{
    uint64_t took = taken(p, r);

    if (!r->slow) {
        l->reason = l->slow ? NORM_REASON_ROOM : l->reason;
        l->slow = false;
        return false;
    }
    if (!l->slow) {
        l->slow = true;
        l->trial = false;
        l->reason = NORM_REASON_SLOW;
        norm_limit_set_wall(p, l, (double)took, (double)took * SLOW_SHARE);
        l->climb = SLOW_CLIMB;
    } else if (took < pace_share(l->low_bps, 0.95) && took < pace_share(p->bps, 0.97)) {
        l->low_bps = pace_at_least(pace_share(took, SLOW_SHARE), p->config.floor_bps);
    } else if (fills_at_this_pace(p, now, l, r)) {
        l->low_bps = pace_at_least(pace_share(l->low_bps, SLOW_SHARE), p->config.floor_bps);
    } else {
        return false;
    }
    l->slow_at = now;
    return true;
}

/* One that has no say: its limit is what it gets, until it keeps up. */
static void outlier_report(struct norm_pace *p, cp_time now, struct norm_limit *l,
                           const struct norm_pace_report *r)
{
    if (exceeds(p, l, r->loss, (double)r->packets, BURST_MOST)) {
        l->reason = NORM_REASON_CONGESTION;
        norm_limit_set_wall(p, l, (double)delivered(r),
                            (double)delivered(r) * NORM_PACE_WALL_SHARE);
    } else {
        norm_limit_forget(l, NORM_REASON_ROOM);
        learn(p, now, l, r);
    }
}

static void count_fresh(struct norm_pace *p, struct norm_limit *l, const struct norm_pace_report *r)
{
    if (!pace_serial_before(r->first, p->epoch) && l->fresh != p->changes + 1 &&
        (double)delivered(r) >= KEEPS_UP * (1.0 - r->loss) * (double)r->sent_bps) {
        l->fresh = p->changes + 1;
        p->fresh++;
    }
}

/* Those of whom it would take more than half the pace wait for what the others say of the same
 * interval. */
static bool may_be_outlier(const struct norm_pace *p, const struct norm_pace_report *r)
{
    return p->config.slow_share > 0.0 &&
           (double)delivered(r) < NORM_PACE_OUTLIER_IN * (double)r->sent_bps;
}

bool norm_pace_report(struct norm_pace *p, cp_time now, struct norm_member *m,
                      const struct norm_pace_report *r, uint16_t next_sequence)
{
    struct norm_limit *l = &m->limit;
    bool change;

    if (l->burst == 0.0) { /* the first */
        l->burst = BURST_FIRST;
        l->best_at = now;
    }
    p->heard_at = now;
    change = slow_report(p, now, l, r);
    if (!r->busy || r->packets < PACKETS_LEAST) {
        return change;
    }
    count_fresh(p, l, r);
    if (p->changes == 0 && r->loss < START_LOSS && r->loss > p->random_loss) {
        p->random_loss = r->loss; /* if it is congestion it will be much more at twice the pace */
    }
    if (m->outlier) {
        outlier_report(p, now, l, r);
    } else if (l->trial) {
        change = trial_report(p, now, l, r) || change;
    } else if (l->tried && pace_serial_before(r->first, l->trial_from)) {
        return change; /* of the time before the trial */
    } else if (!l->slow) {
        l->tried = false;
        if (congested(p, now, l, r)) {
            if (waits_its_turn(p, l, r)) {
                return change;
            }
            trial_begin(p, l, r, next_sequence);
            return !may_be_outlier(p, r) || change;
        }
        if (!l->suspect) {
            learn(p, now, l, r);
        }
    }
    return change;
}
