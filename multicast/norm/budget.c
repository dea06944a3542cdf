/* SPDX-License-Identifier: Apache-2.0
 * Repair budget of each receiver. Pure. */
#include "multicast/norm/budget.h"

#include <math.h>

#define CLASSES   48u     /* of accounts and losses, two per octave … */
#define LOSS_STEP 65535.0 /* … from one symbol, or the step of the report */

/* An account never holds more than this over what is allowed: who behaves again is served again
 * soon. */
#define OVERDRAFT 1.5

static double leak(const struct norm_budget *b, double value, cp_time since, cp_time now)
{
    if (value <= 0.0 || now <= since) {
        return value;
    }
    return value * exp(-(double)(now - since) / (double)b->window);
}

static bool fresh(const struct norm_member *m, cp_time now)
{
    return m->reported && m->reported_at + NORM_REPORT_FRESH >= now;
}

static unsigned class_of(double value)
{
    double at = value >= 1.0 ? 1.0 + 2.0 * log2(value) : 0.0;

    return at < CLASSES - 1.0 ? (unsigned)at : CLASSES - 1;
}

/* Upper edge of the class that holds the lower median. */
static double median_of(const size_t classes[CLASSES], size_t group)
{
    size_t below = 0;

    for (unsigned i = 0; i < CLASSES; i++) {
        below += classes[i];
        if (below > (group - 1) / 2) {
            return i == 0 ? 0.0 : exp2((double)i / 2.0);
        }
    }
    return 0.0;
}

void norm_budget_review(struct norm_budget *b, struct norm_members *m, cp_time now,
                        uint64_t sent_total, size_t group)
{
    size_t classes[CLASSES] = {0}, losses[CLASSES] = {0};
    size_t counted = 0, reported = 0;

    b->sent = leak(b, b->sent, b->at, now) + (double)(sent_total - b->total);
    b->total = sent_total;
    b->at = now;
    for (size_t i = 0; i < m->count; i++) {
        struct norm_member *member = &m->member[i];

        member->recent = leak(b, member->recent, member->recent_at, now);
        member->recent_at = now;
        if (member->over_budget) {
            continue;
        }
        classes[class_of(member->recent)]++;
        counted++;
        if (fresh(member, now)) {
            losses[class_of(member->loss * LOSS_STEP)]++;
            reported++;
        }
    }
    b->group = group > counted ? group : counted;
    classes[0] += b->group - counted; /* never heard of: they asked for nothing */
    b->median = b->group > 0 ? median_of(classes, b->group) : 0.0;
    b->loss = reported > 0 ? median_of(losses, reported) / LOSS_STEP : 0.0;
    for (size_t i = 0; i < m->count; i++) {
        if (!norm_budget_exceeded(b, &m->member[i], now)) {
            m->member[i].over_since = CP_TIME_NEVER;
        }
    }
}

double norm_budget_allowed(const struct norm_budget *b, cp_time now, double share)
{
    double allowed = share * leak(b, b->sent, b->at, now);

    if (allowed < NORM_BUDGET_FACTOR * b->median) {
        allowed = NORM_BUDGET_FACTOR * b->median;
    }
    return allowed > NORM_BUDGET_LEAST ? allowed : NORM_BUDGET_LEAST;
}

void norm_budget_charge(const struct norm_budget *b, struct norm_member *m, cp_time now,
                        uint64_t symbols)
{
    double most = OVERDRAFT * norm_budget_allowed(b, now, NORM_BUDGET_SHARE);
    double recent = leak(b, m->recent, m->recent_at, now) + (double)symbols;

    m->recent = recent < most ? recent : most;
    m->recent_at = now;
}

bool norm_budget_exceeded(const struct norm_budget *b, const struct norm_member *m, cp_time now)
{
    double recent = leak(b, m->recent, m->recent_at, now);

    if (b->group < 2 || recent < NORM_BUDGET_LEAST) {
        return false;
    }
    if (b->reports && fresh(m, now) && m->loss > NORM_BUDGET_LOSS &&
        m->loss > NORM_BUDGET_FACTOR * b->loss) {
        return true;
    }
    /* After the first pass little else is sent than what it asks for: all that was sent counts. */
    return recent > norm_budget_allowed(b, now, NORM_BUDGET_SHARE) &&
           (double)m->asked > NORM_BUDGET_SHARE * (double)b->total;
}

bool norm_budget_waits(const struct norm_budget *b, const struct norm_member *m, cp_time now)
{
    return b->group > 1 &&
           leak(b, m->recent, m->recent_at, now) > norm_budget_allowed(b, now, NORM_BUDGET_WAIT);
}
