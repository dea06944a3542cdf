/* SPDX-License-Identifier: Apache-2.0
 * Rate control for networks of one's own: see pace.h for how it works. Pure. */
#include "multicast/norm/pace.h"

#include <math.h>

#define PACKETS_LEAST   16u    /* of an interval that says anything of loss */
#define LOSS_MARGIN     0.005  /* above the base: heals without notice */
#define LOSS_SPREAD     3.0    /* standard deviations of the base loss … */
#define BURST_FIRST     20.0   /* … of packets lost in runs of so many, until learnt … */
#define BURST_LEAST     2.0    /* … between this … */
#define BURST_MOST      60.0   /* … and this */
#define BURST_WALL      5.0    /* … but near a wall */
#define WINDOW          8000.0 /* packets that are looked at together */
#define TRIAL_SHARE     0.85   /* of what was delivered: clearly below the wall */
#define TRIAL_LOST      80.0   /* packets that must be lost if nothing changed, … */
#define TRIAL_PACKETS   200.0  /* … out of so many at least, … */
#define TRIAL_TIME      (400 * CP_MSEC) /* … or as many as there were after that time */
#define TRIAL_GROWN     1.5
#define TRIAL_TIME_MAX  CP_SEC          /* then the loss is taken for congestion */
#define TURN_LOSS       0.15            /* more than that does not wait for the trials of others */
#define PLAIN_LOST      400.0           /* packets: needs no second look if more than that share */
#define START_LOSS      0.08            /* at the first pace; what it means shows at the next */
#define BASE_SURE       0.03            /* so little after a trial is not congestion still */
#define RANDOM_MOST     0.30            /* more than that is no accident */
#define WALL_SHARE      0.97            /* of the wall, once it is known */
#define STEADY          10u             /* reports without trouble tell what it got, … */
#define SHARED_DROP     0.85            /* delivered rate falls below so much of what it was … */
#define SHARED_SHARE    0.70            /* … then so much of the rest */
#define CLIMB           (2 * CP_SEC)    /* back to the wall */
#define SLOW_SHARE      0.90            /* of what a receiver with full buffers takes */
#define SLOW_CLIMB      (500 * CP_MSEC) /* back to the wall when its buffers are empty */
#define SLOW_SPACING    (150 * CP_MSEC) /* when they fill still */
#define KEEPS_UP        0.70            /* delivered of what was sent, loss aside */
#define BEST_MEMORY     (60 * CP_SEC)   /* in which the best rate is forgotten */
#define STALE           (3 * CP_SEC)    /* without report a receiver has no say */
#define RECENT          CP_SEC          /* a reporter has reported within it */
#define SILENCE         (500 * CP_MSEC) /* no report from anybody */
#define SILENT_PROBES   8u              /* … to so many probes */
#define OUTLIER_IN      0.5             /* of the median */
#define OUTLIER_OUT     0.7             /* to have a say again … */
#define OUTLIER_BACK    CP_SEC          /* … after so long */
#define FRESH_MOST      8u              /* reports that are enough to go on */
#define ACHIEVED_MARGIN 1.25            /* pace above what is sent */
#define ACHIEVED_NEAR   0.9    /* so much of the pace is sent: it is not the sender's limit */
#define ACHIEVED_MEMORY CP_SEC /* a host that is busy for a moment is not slow */
#define STEP_LEAST      0.005  /* smaller steps up wait */
#define BUCKETS         512u   /* of the median, 8 an octave */

static bool serial_before(uint16_t a, uint16_t b)
{
    return (int16_t)(a - b) < 0;
}

static uint64_t share(uint64_t bps, double part)
{
    return (uint64_t)((double)bps * part);
}

static uint64_t at_least(uint64_t bps, uint64_t floor_bps)
{
    return bps > floor_bps ? bps : floor_bps;
}

static uint64_t at_most(uint64_t bps, uint64_t ceiling_bps)
{
    return bps < ceiling_bps ? bps : ceiling_bps;
}

void norm_pace_init(struct norm_pace *p, const struct norm_pace_config *config)
{
    CP_ASSERT(config->ceiling_bps > 0);
    *p = (struct norm_pace){.config = *config, .reason = NORM_REASON_START};
    p->config.floor_bps = at_most(at_least(config->floor_bps, 1), config->ceiling_bps);
    p->bps = at_most(at_least(config->start_bps, p->config.floor_bps), config->ceiling_bps);
    p->achieved_bps = p->bps; /* until it is known better */
}

/* ---- one receiver ---- */

/* Pace that it can take now, as far as is known. */
static uint64_t allowance(const struct norm_limit *l)
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

static void set_wall(struct norm_pace *p, struct norm_limit *l, double wall, double low)
{
    double floor_bps = (double)p->config.floor_bps;

    l->wall_bps = (uint64_t)(wall > floor_bps ? wall : floor_bps);
    l->low_bps = (uint64_t)(low > floor_bps ? low : floor_bps);
    l->low_bps = at_most(l->low_bps, l->wall_bps);
    l->climb = CLIMB;
    l->climbed = 0;
}

static void forget(struct norm_limit *l)
{
    l->wall_bps = 0;
    l->trial = l->slow = l->suspect = false;
}

static uint64_t delivered(const struct norm_pace_report *r)
{
    uint64_t bps = r->rate_bps > 0 ? r->rate_bps : share(r->sent_bps, 1.0 - r->loss);

    return at_most(bps, r->sent_bps);
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
    double most = (double)(serial_before(r->first, p->epoch) ? r->sent_bps : p->bps);
    bool shared = l->steady >= STEADY && (double)delivered(r) < SHARED_DROP * (double)l->rate_bps;

    if (r->loss > l->trial_loss && got < lately) {
        got = lately; /* it lost more than usual just now */
    }
    got /= 1.0 - base_of(p, l);
    got = got < most ? got : most;
    l->after_bps = (uint64_t)(got * (shared ? SHARED_SHARE : WALL_SHARE));
    set_wall(p, l, got, got * (shared ? SHARED_SHARE : TRIAL_SHARE));
}

/* The pace is down already for trials of others: what it loses now has no other pace to compare
 * with, unless it is much. */
static bool waits_its_turn(const struct norm_pace *p, const struct norm_limit *l,
                           const struct norm_pace_report *r)
{
    return p->resume_bps != 0 && !serial_before(r->first, p->lowered) &&
           r->loss < base_of(p, l) + TURN_LOSS;
}

static void trial_begin(struct norm_pace *p, struct norm_limit *l, const struct norm_pace_report *r,
                        uint16_t next_sequence)
{
    if (p->resume_bps == 0) {
        p->lowered = next_sequence;
    }
    p->resume_bps = at_least(p->resume_bps, p->bps);
    l->before_bps = l->wall_bps;
    trial_wall(p, l, r);
    l->trial = l->tried = true;
    l->trial_from = (uint16_t)(next_sequence + 1); /* the interval that runs is of both paces */
    l->steady = 0;
}

static void trial_congested(struct norm_pace *p, struct norm_limit *l)
{
    l->trial = false;
    set_wall(p, l, (double)l->wall_bps, (double)l->after_bps);
    p->resume_bps = 0;
}

static void trial_random(struct norm_pace *p, struct norm_limit *l)
{
    forget(l);
    if (l->before_bps != 0) { /* what was known of a wall before holds */
        set_wall(p, l, (double)l->before_bps, (double)l->before_bps * WALL_SHARE);
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
    trial_congested(p, l);
}

/* True: the pace may change for it. */
static bool trial_report(struct norm_pace *p, cp_time now, struct norm_limit *l,
                         const struct norm_pace_report *r)
{
    if (!l->judged && l->trial_loss < p->random_loss + LOSS_MARGIN) {
        trial_random(p, l); /* others' trials explain it */
        return true;
    }
    if (serial_before(r->first, l->trial_from)) {
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
    l->rate_bps = l->rate_bps == 0 ? got : share(l->rate_bps, 0.75) + share(got, 0.25);
    l->best_bps = share(l->best_bps, forgotten < 1.0 ? 1.0 - forgotten : 0.0);
    l->best_bps = at_least(l->best_bps, got);
    l->best_at = now;
    l->steady++;
    if (p->random_loss > r->loss) {
        p->random_loss += (r->loss - p->random_loss) * 0.001;
    }
}

/* True: the pace must change for it. */
static bool slow_report(struct norm_pace *p, cp_time now, struct norm_limit *l,
                        const struct norm_pace_report *r)
{
    uint64_t took = r->rate_bps > 0 ? at_most(r->rate_bps, p->bps) : p->bps / 2;

    if (!r->slow) {
        l->slow = false;
        return false;
    }
    if (!l->slow) {
        l->slow = true;
        l->trial = false;
        set_wall(p, l, (double)took, (double)took * SLOW_SHARE);
        l->climb = SLOW_CLIMB;
    } else if (share(took, SLOW_SHARE) < l->low_bps && took < share(l->low_bps, 0.95)) {
        l->low_bps = at_least(share(took, SLOW_SHARE), p->config.floor_bps);
    } else if (took < share(l->low_bps, 1.03) && now >= l->slow_at + SLOW_SPACING) {
        /* It takes what comes, but what waits behind it does not become less. */
        l->low_bps = at_least(share(l->low_bps, SLOW_SHARE), p->config.floor_bps);
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
        set_wall(p, l, (double)delivered(r), (double)delivered(r) * WALL_SHARE);
    } else {
        forget(l);
        learn(p, now, l, r);
    }
}

static void count_fresh(struct norm_pace *p, struct norm_limit *l, const struct norm_pace_report *r)
{
    if (!serial_before(r->first, p->epoch) && l->fresh != p->changes + 1 &&
        (double)delivered(r) >= KEEPS_UP * (1.0 - r->loss) * (double)r->sent_bps) {
        l->fresh = p->changes + 1;
        p->fresh++;
    }
}

/* Those of whom it would take more than half the pace wait for what the others say of the same
 * interval. */
static bool may_be_outlier(const struct norm_pace *p, const struct norm_pace_report *r)
{
    return p->config.slow_share > 0.0 && (double)delivered(r) < OUTLIER_IN * (double)r->sent_bps;
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
    } else if (l->tried && serial_before(r->first, l->trial_from)) {
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

/* ---- all receivers ---- */

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
    uint64_t limit = share(middle, m->outlier ? OUTLIER_OUT : OUTLIER_IN);

    return has_say(m, now) && capacity(&m->limit) > 0 && capacity(&m->limit) < limit;
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
            set_wall(p, &m->limit, (double)m->limit.wall_bps,
                     (double)m->limit.wall_bps * WALL_SHARE);
        }
        m->outlier = out;
    }
}

static void set_pace(struct norm_pace *p, uint64_t bps, enum norm_reason reason, uint32_t setter,
                     uint16_t next_sequence)
{
    p->reason = reason;
    p->setter = setter;
    bps = at_least(at_most(bps, p->config.ceiling_bps), p->config.floor_bps);
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
            forget(&m->limit);
        } else if (m->limit.trial && now >= m->limit.trial_since + TRIAL_TIME_MAX) {
            trial_congested(p, &m->limit);
        }
        if (has_say(m, now) && !m->outlier && allowance(&m->limit) < *ret_bps) {
            *ret_bps = allowance(&m->limit);
            found = m;
        }
        p->settled = p->settled && !m->limit.trial;
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
        target = at_least(at_most(target, p->resume_bps), p->bps);
        set_pace(p, target, NORM_REASON_RANDOM, p->setter, next_sequence);
        p->resume_bps = 0;
    } else if (may_raise(p) && (double)(target - p->bps) > STEP_LEAST * (double)p->bps) {
        bool known = m != NULL;

        target = at_most(target, 2 * p->bps);
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
            (double)p->bps < 0.9 * (double)at_most(allowance(l), p->config.ceiling_bps)) {
            continue;
        }
        l->climbed += duration;
        if (l->climbed > l->climb && allowance(l) >= p->config.ceiling_bps) {
            l->wall_bps = 0;
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
    p->achieved_bps = share(p->achieved_bps, forgotten < 1.0 ? 1.0 - forgotten : 0.0);
    p->achieved_bps = at_least(p->achieved_bps, in->sent_bps);
    if ((double)p->achieved_bps >= ACHIEVED_NEAR * (double)p->bps &&
        now < cp_time_add(p->heard_at, SILENCE)) {
        climb(p, members, in->duration);
    }
    norm_pace_decide(p, now, members, in->sequence);
    if (!serial_before(in->sequence, p->epoch) &&
        (double)p->bps > ACHIEVED_MARGIN * (double)p->achieved_bps) {
        set_pace(p, share(p->achieved_bps, ACHIEVED_MARGIN), NORM_REASON_SENDER, 0, in->sequence);
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
    p->config.floor_bps = at_most(p->config.floor_bps, bps);
    if (p->bps > bps) {
        set_pace(p, bps, NORM_REASON_WISH, 0, next_sequence);
    }
}
