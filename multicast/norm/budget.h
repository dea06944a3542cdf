/* SPDX-License-Identifier: Apache-2.0
 * Repair budget: a leaky account per receiver of the symbols that its NACKs asked for, against what
 * the sender sent and what the others asked for; and its reported loss, since one NACK per cycle
 * has no room for all that a very slow receiver lacks. Pure. */
#ifndef NORM_BUDGET_H
#define NORM_BUDGET_H

#include "multicast/norm/members.h"

/* Accounts leak with this time constant at least; with a longer one where NACKs come rarely. */
#define NORM_BUDGET_WINDOW CP_SEC
/* While data is on its way to all, requests beyond this share of the symbols sent wait: so much
 * may one receiver delay the others … */
#define NORM_BUDGET_WAIT 0.03
/* Who asks for more than this share … */
#define NORM_BUDGET_SHARE 0.20
/* … or reports this loss … */
#define NORM_BUDGET_LOSS 0.20
/* … and so many times what the median receiver asks for, or loses … */
#define NORM_BUDGET_FACTOR 4.0
/* … and asked for so many symbols at least, more than chance and a short outage make, is over its
 * budget: its requests wait … */
#define NORM_BUDGET_LEAST 512.0
/* … and are no more served when that lasts so long, and a window. */
#define NORM_BUDGET_PATIENCE (2 * CP_SEC)
/* Older reports say nothing. */
#define NORM_REPORT_FRESH (3 * CP_SEC)

struct norm_budget {
    cp_time window; /* time constant of the leak */
    cp_time at;
    uint64_t total; /* symbols sent so far */
    double sent;    /* of late */
    double median;  /* what the median receiver asked for of late */
    double loss;    /* that the median receiver reported */
    size_t group;   /* receivers that count */
    bool reports;   /* losses are of now: the first pass, which they speak of, is under way */
};

/* Looks at everybody: the medians; `group`: receivers known, heard or not. `sent_total`: symbols
 * sent since the beginning. The window is the caller's to set. */
void norm_budget_review(struct norm_budget *b, struct norm_members *m, cp_time now,
                        uint64_t sent_total, size_t group);

/* A NACK asked for so many symbols. */
void norm_budget_charge(const struct norm_budget *b, struct norm_member *m, cp_time now,
                        uint64_t symbols);
/* Symbols that a receiver may ask for at present when this share is allowed. */
double norm_budget_allowed(const struct norm_budget *b, cp_time now, double share);
/* It has asked for its part of the time that is everybody's. */
bool norm_budget_waits(const struct norm_budget *b, const struct norm_member *m, cp_time now);
/* Asks for too much at present. */
bool norm_budget_exceeded(const struct norm_budget *b, const struct norm_member *m, cp_time now);

#endif
