/* SPDX-License-Identifier: Apache-2.0
 * Members and decisions into the database. */
#include "server/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/session/session_json.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/array.h"
#include "server/engine.h"

#define BATCH         1000u /* what db_receiver_seen takes at once */
#define PPM           1e6
#define FIGURES_EVERY (5 * CP_SEC) /* nearly all change all the time */

struct watch_arg {
    struct srv_watch *watch;
    const struct db_session *session;
    bool last;
    cp_time now;
    size_t news_count;
};

void srv_watch_done(struct srv_watch *w)
{
    free(w->members);
    free(w->known);
    free(w->news);
    free(w->news_at);
}

/* Room for so many members in all lists. */
static enum cp_err make_room(struct srv_watch *w, size_t count)
{
    size_t room = w->room == 0 ? 64 : w->room;

    while (room < count) {
        room *= 2;
    }
    if (room > w->room) {
        if (!srv_array_resize(&w->members, room, sizeof *w->members) ||
            !srv_array_resize(&w->known, room, sizeof *w->known) ||
            !srv_array_resize(&w->news, room, sizeof *w->news) ||
            !srv_array_resize(&w->news_at, room, sizeof *w->news_at)) {
            return CP_ERR_NO_MEMORY;
        }
        w->room = room;
    }
    return CP_OK;
}

/* Two digits: what a reader wants to know; the rest would only be written again and again. */
static uint64_t two_digits(uint64_t number)
{
    uint64_t step = 1;

    while (number / step >= 100) {
        step *= 10;
    }
    return (number + step / 2) / step * step;
}

static struct db_seen_report to_report(const struct mc_member *m)
{
    return (struct db_seen_report){
        .norm_node_id = m->node_id,
        .seen = {.loss_ppm = (uint32_t)two_digits((uint64_t)(m->loss * PPM)),
                 .rate_bps = two_digits(m->rate_bps),
                 .asked = m->asked_symbols,
                 .slow = m->slow,
                 .outlier = m->outlier,
                 .over_budget = m->over_budget}};
}

static const struct srv_known *known_of(const struct srv_watch *w, size_t i, uint32_t node_id)
{
    bool known = i < w->known_count && w->known[i].report.norm_node_id == node_id;

    return known ? &w->known[i] : NULL;
}

/* A receiver that is heard for the first time and a change of its standing are news at once,
 * figures after a while. */
static bool is_news(const struct watch_arg *a, size_t i, const struct db_seen_report *now)
{
    const struct srv_known *known = known_of(a->watch, i, now->norm_node_id);
    const struct db_seen *x, *y = &now->seen;

    if (known == NULL) {
        return true;
    }
    x = &known->report.seen;
    if (x->slow != y->slow || x->outlier != y->outlier || x->over_budget != y->over_budget) {
        return true;
    }
    return (a->last || a->now - known->written >= FIGURES_EVERY) &&
           (x->loss_ppm != y->loss_ppm || x->rate_bps != y->rate_bps || x->asked != y->asked);
}

/* Reads the members; what has changed is in w->news then. */
static enum cp_err find_news(struct watch_arg *a, struct srv_engine *e, size_t *ret_count)
{
    struct srv_watch *w = a->watch;
    size_t count = srv_engine_get_members(e, w->members, w->room);

    if (count > w->room) {
        CP_TRY(make_room(w, count));
        count = srv_engine_get_members(e, w->members, w->room);
        count = count < w->room ? count : w->room;
    }
    for (size_t i = 0; i < count; i++) {
        struct db_seen_report now = to_report(&w->members[i]);

        if (is_news(a, i, &now)) {
            w->news_at[a->news_count] = i;
            w->news[a->news_count++] = now;
        }
    }
    *ret_count = count;
    return CP_OK;
}

/* The sentence that the receiver, and whoever asks, gets to read. */
static void explain(const struct db_seen *seen, uint64_t rate_bps, char *ret_text, size_t size)
{
    (void)snprintf(ret_text, size,
                   "The receiver asked for %llu repair symbols, which is more than it may: it "
                   "loses %.1f %% of the packets and receives %.1f Mbit/s of the session's %.1f.",
                   (unsigned long long)seen->asked, (double)seen->loss_ppm / 1e4,
                   (double)seen->rate_bps / 1e6, (double)rate_bps / 1e6);
}

static enum cp_err leave_behind(struct db_conn *conn, const struct watch_arg *a,
                                const struct db_seen_report *r, struct cp_error *err)
{
    char text[DB_TEXT_SIZE];
    struct db_receiver_dropped drop = {.session_id = a->session->id,
                                       .norm_node_id = r->norm_node_id,
                                       .code = cp_err_info(CP_ERR_RECEIVER_TOO_SLOW)->code,
                                       .detail = text};
    struct db_receiver receiver;
    bool changed;

    explain(&r->seen, a->session->stats.rate_bps, text, sizeof text);
    CP_TRY(db_receiver_drop(conn, &drop, &receiver, &changed, err));
    if (!changed) {
        return CP_OK; /* it has ended, or left by itself */
    }
    cp_log(CP_LOG_WARN, "receiver-too-slow", "session", a->session->id, "receiver", receiver.id,
           "client_name", receiver.client_name, "asked_symbols", cp_log_u64(r->seen.asked),
           "loss_ppm", cp_log_u64(r->seen.loss_ppm), "rate_bps", cp_log_u64(r->seen.rate_bps),
           NULL);
    return api_slow_receiver_event(conn, a->session, &receiver, err);
}

static bool is_left_behind_now(const struct srv_watch *w, size_t i)
{
    const struct srv_known *known = known_of(w, w->news_at[i], w->news[i].norm_node_id);

    return w->news[i].seen.over_budget && (known == NULL || !known->report.seen.over_budget);
}

static enum cp_err watch_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct watch_arg *a = arg;
    struct srv_watch *w = a->watch;

    for (size_t i = 0; i < a->news_count; i += BATCH) {
        size_t count = a->news_count - i < BATCH ? a->news_count - i : BATCH;

        CP_TRY(db_receiver_seen(conn, a->session->id, w->news + i, count, err));
    }
    for (size_t i = 0; i < a->news_count; i++) {
        if (is_left_behind_now(w, i)) {
            CP_TRY(leave_behind(conn, a, &w->news[i], err));
        }
    }
    for (size_t i = 0; i < w->decision_count; i++) {
        CP_TRY(db_decision_add(conn, a->session->id, &w->decisions[i], err));
    }
    return CP_OK;
}

enum cp_err srv_watch_round(struct srv_watch *w, const struct srv_watch_round *round,
                            struct cp_error *err)
{
    struct watch_arg a = {
        .watch = w, .session = round->session, .last = round->last, .now = cp_clock_now()};
    size_t count = 0;

    if (find_news(&a, round->engine, &count) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the session's members");
    }
    w->decision_count += srv_engine_take_decisions(round->engine, w->decisions + w->decision_count,
                                                   DB_DECISIONS_KEPT - w->decision_count);
    if (a.news_count == 0 && w->decision_count == 0) {
        return CP_OK;
    }
    CP_TRY(db_run_tx_locking(round->api->db, "session-watch", watch_body, &a, err));
    for (size_t i = 0; i < a.news_count; i++) {
        w->known[w->news_at[i]] = (struct srv_known){.report = w->news[i], .written = a.now};
    }
    /* The others were known before. */
    w->known_count = count;
    w->decision_count = 0;
    return CP_OK;
}
