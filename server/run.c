/* SPDX-License-Identifier: Apache-2.0
 * The life of one session after it was started, until it has ended in the database. */
#include "server/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/session/session_json.h"
#include "common/clock.h"
#include "common/log.h"
#include "db/receiver.h"
#include "server/engine.h"
#include "server/link.h"
#include "server/share.h"
#include "server/watch.h"

#define ROUND_EVERY  CP_SEC
#define ROUND_SOON   (50 * CP_MSEC) /* news within this time share a round */
#define ROSTER_EVERY (5 * CP_SEC)   /* should a notification be lost */
#define ROSTER_PAGE  200u
/* When the object is sent and nobody has asked for anything for so long, what is missing somewhere
 * does not come by multicast; who still works is waited for without sending. */
#define QUIET_MAX (60 * CP_SEC)

struct roster {
    uint32_t *ids;
    size_t count;
    size_t room;
};

struct srv_run {
    const struct api_context *api;
    struct db_session session; /* as last read */
    struct srv_engine *engine;
    struct srv_use use;
    struct srv_watch watch;
    struct roster roster; /* scratch space of a round */
    bool touched;
    bool closing;  /* the session has ended; only the engine is waited for */
    bool released; /* the engine may end by itself */
    cp_time round_at, roster_at;
    cp_time quiet_since;
    uint64_t quiet_mark;
};

enum cp_err srv_run_new(const struct api_context *api, const struct db_session *session,
                        int wake_fd, uint64_t share_bps, struct srv_run **ret_run)
{
    struct srv_run *r = calloc(1, sizeof *r);
    enum cp_err rc;

    if (r == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    r->api = api;
    r->session = *session;
    r->touched = true;
    srv_use_init(&r->use, cp_clock_now(), share_bps);
    rc = srv_engine_start(api, session, wake_fd,
                          srv_link_payload(share_bps, session->segment_size, session->group),
                          &r->engine);
    if (rc != CP_OK) {
        free(r);
        return rc;
    }
    *ret_run = r;
    return CP_OK;
}

void srv_run_free(struct srv_run *r)
{
    if (r == NULL) {
        return;
    }
    srv_engine_free(r->engine);
    srv_watch_done(&r->watch);
    free(r->roster.ids);
    free(r);
}

const struct srv_use *srv_run_use(const struct srv_run *r)
{
    return &r->use;
}

void srv_run_sample(struct srv_run *r, cp_time now)
{
    struct mc_sender_stats stats;

    srv_engine_get_stats(r->engine, &stats);
    srv_use_sample(&r->use, now,
                   srv_link_wire(stats.bytes_sent, r->session.segment_size, r->session.group));
}

void srv_run_grant(struct srv_run *r, uint64_t share_bps)
{
    srv_use_grant(&r->use, share_bps);
    srv_engine_set_rate(r->engine,
                        srv_link_payload(share_bps, r->session.segment_size, r->session.group));
}

const char *srv_run_session_id(const struct srv_run *r)
{
    return r->session.id;
}

void srv_run_touch(struct srv_run *r)
{
    r->touched = true;
}

cp_time srv_run_next_round(const struct srv_run *r)
{
    return r->round_at + (r->touched ? ROUND_SOON : ROUND_EVERY);
}

/* ---- roster ---- */

static enum cp_err add_id(struct roster *list, uint32_t id, struct cp_error *err)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        uint32_t *ids = realloc(list->ids, room * sizeof *ids);

        if (ids == NULL) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "the session's roster");
        }
        list->ids = ids;
        list->room = room;
    }
    list->ids[list->count++] = id;
    return CP_OK;
}

static enum cp_err read_page(struct db_conn *conn, const struct srv_run *r, struct roster *list,
                             struct db_receiver *page, char after[DB_ID_SIZE], bool *ret_last,
                             struct cp_error *err)
{
    size_t count;

    CP_TRY(db_receiver_list(conn, r->session.id, after, ROSTER_PAGE, page, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (db_receiver_active(page[i].progress.state)) {
            CP_TRY(add_id(list, page[i].norm_node_id, err));
        }
    }
    *ret_last = count < ROSTER_PAGE;
    if (!*ret_last) {
        memcpy(after, page[count - 1].id, DB_ID_SIZE);
    }
    return CP_OK;
}

static enum cp_err read_roster(struct db_conn *conn, struct srv_run *r, struct cp_error *err)
{
    struct db_receiver *page = calloc(ROSTER_PAGE, sizeof *page);
    char after[DB_ID_SIZE] = "";
    enum cp_err rc = CP_OK;
    bool last = false;

    if (page == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the session's roster");
    }
    r->roster.count = 0;
    while (rc == CP_OK && !last) {
        rc = read_page(conn, r, &r->roster, page, after, &last, err);
    }
    free(page);
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static enum cp_err apply_roster(struct srv_run *r, struct cp_error *err)
{
    enum cp_err rc;

    if (r->roster.count > 1) {
        qsort(r->roster.ids, r->roster.count, sizeof *r->roster.ids, compare_ids);
    }
    rc = srv_engine_set_roster(r->engine, r->roster.ids, r->roster.count);
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "the session's roster");
}

/* ---- a round ---- */

static struct db_session_stats to_row(const struct mc_sender_stats *s)
{
    struct db_session_stats row = {
        .bytes_sent = s->bytes_sent,
        .packets_sent = s->packets_sent,
        .bytes_repair = s->repair_bytes,
        .nacks = s->nacks,
        .rate_bps = s->rate_bps,
        .bytes_position = s->content_sent,
        .forged = s->forged + s->replayed,
        .rate_ceiling_bps = s->rate_ceiling_bps,
        .pace_setter = s->pace_setter,
        .auto_parity = s->auto_parity,
        .over_budget = s->over_budget,
    };

    (void)snprintf(row.rate_reason, sizeof row.rate_reason, "%s",
                   s->rate_reason == NULL ? "" : s->rate_reason);
    return row;
}

struct round_arg {
    struct srv_run *run;
    struct db_session_stats stats;
    bool want_roster;
    struct db_session session;
    bool finished;
};

static enum cp_err round_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct round_arg *a = arg;
    const char *id = a->run->session.id;

    a->finished = false;
    CP_TRY(db_session_get(conn, id, &a->session, err));
    if (db_session_ended(a->session.state)) {
        return CP_OK;
    }
    CP_TRY(db_session_set_stats(conn, id, &a->stats, err));
    if (a->want_roster) {
        CP_TRY(read_roster(conn, a->run, err));
    }
    if (a->session.receivers_active > 0) {
        return CP_OK;
    }
    CP_TRY(db_session_finish(conn, id, &a->stats, &a->finished, err));
    return a->finished ? api_session_event(conn, &a->session, "session-finished", CP_OK, NULL, err)
                       : CP_OK;
}

/* What the sender knows and decided. It does not keep the session from going on, or from ending,
 * that this cannot be written. */
static void watch(struct srv_run *r, bool last)
{
    const struct srv_watch_round round = {
        .api = r->api, .session = &r->session, .engine = r->engine, .last = last};
    struct cp_error err = {.code = CP_OK};

    if (srv_watch_round(&r->watch, &round, &err) != CP_OK) {
        cp_log_correlation(r->session.id);
        cp_log_error(CP_LOG_WARN, "session-watch-failed", &err);
        cp_log_correlation(NULL);
    }
}

struct end_arg {
    struct srv_run *run;
    struct db_session_stats stats;
    enum db_session_state state;
    const char *kind; /* of the event */
    const struct cp_error *why;
    bool changed;
};

static enum cp_err end_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct end_arg *a = arg;
    const struct cp_err_info *info = cp_err_info(a->why->code);

    CP_TRY(db_session_set_stats(conn, a->run->session.id, &a->stats, err));
    CP_TRY(db_session_end(conn, a->run->session.id, a->state, info->code,
                          a->why->text[0] != '\0' ? a->why->text : info->title, &a->changed, err));
    return a->changed
               ? api_session_event(conn, &a->run->session, a->kind, a->why->code, a->why->text, err)
               : CP_OK;
}

static enum cp_err drain_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct srv_run *r = arg;

    return db_session_drain(conn, r->session.id, err);
}

static bool is_quiet(struct srv_run *r, const struct mc_sender_stats *stats, cp_time now)
{
    uint64_t mark = stats->nacks + stats->source_bytes + stats->repair_bytes + r->session.receivers;

    if (stats->phase != MC_FLUSHING || mark != r->quiet_mark) {
        r->quiet_mark = mark;
        r->quiet_since = now;
    }
    return now - r->quiet_since > QUIET_MAX;
}

/* What the row says now, applied to the engine. */
static enum cp_err follow_row(struct srv_run *r, const struct round_arg *a, cp_time now,
                              const struct mc_sender_stats *stats, struct cp_error *err)
{
    r->session = a->session;
    if (a->finished || db_session_ended(a->session.state)) {
        r->closing = true;
        srv_engine_stop(r->engine, !a->finished);
        cp_log(CP_LOG_INFO, "session-over", "session", r->session.id, "state",
               a->finished ? db_session_state_name(DB_SESSION_FINISHED)
                           : db_session_state_name(a->session.state),
               "bytes_sent", cp_log_u64(a->stats.bytes_sent), "nacks", cp_log_u64(a->stats.nacks),
               "forged", cp_log_u64(a->stats.forged), "unlisted", cp_log_u64(stats->unlisted),
               NULL);
        return CP_OK;
    }
    if (a->want_roster) {
        r->roster_at = now;
        CP_TRY(apply_roster(r, err));
    }
    if (!r->released && is_quiet(r, stats, now)) {
        CP_TRY(db_run_tx_locking(r->api->db, "drain-session", drain_body, r, err));
        r->released = true;
        srv_engine_release(r->engine);
    }
    return CP_OK;
}

static struct db_session_stats stats_of(struct srv_run *r)
{
    struct mc_sender_stats stats;

    srv_engine_get_stats(r->engine, &stats);
    return to_row(&stats);
}

/* The engine failed: the session does too. */
static enum cp_err fail(struct srv_run *r, const struct cp_error *why, struct cp_error *err)
{
    struct end_arg a = {.run = r,
                        .stats = stats_of(r),
                        .state = DB_SESSION_FAILED,
                        .kind = "session-failed",
                        .why = why};

    watch(r, true);
    CP_TRY(db_run_tx_locking(r->api->db, "fail-session", end_body, &a, err));
    r->closing = true;
    cp_log_correlation(r->session.id);
    cp_log_error(CP_LOG_ERROR, "session-failed", why);
    cp_log_correlation(NULL);
    return CP_OK;
}

enum cp_err srv_run_round(struct srv_run *r, cp_time now, bool *ret_over, struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};
    enum cp_err result = CP_OK;
    bool ended = srv_engine_ended(r->engine, &result, &why);
    struct mc_sender_stats stats;
    struct round_arg a = {.run = r, .want_roster = r->touched};

    r->touched = false;
    r->round_at = now;
    if (!r->closing && ended && result != CP_OK) {
        CP_TRY(fail(r, &why, err));
    }
    if (!r->closing) {
        a.want_roster = a.want_roster || now - r->roster_at > ROSTER_EVERY;
        srv_engine_get_stats(r->engine, &stats);
        a.stats = to_row(&stats);
        /* Before the session may end: who sees its end sees what led to it. */
        watch(r, false);
        CP_TRY(db_run_tx_locking(r->api->db, "session-round", round_body, &a, err));
        CP_TRY(follow_row(r, &a, now, &stats, err));
        if (r->closing) {
            watch(r, true);
        }
    }
    *ret_over = r->closing && srv_engine_ended(r->engine, &result, NULL);
    return CP_OK;
}

/* ---- the service stops ---- */

void srv_run_withdraw(struct srv_run *r)
{
    srv_engine_stop(r->engine, true);
}

enum cp_err srv_run_interrupt(struct srv_run *r, struct cp_error *err)
{
    struct cp_error why;
    struct end_arg a = {
        .run = r, .state = DB_SESSION_INTERRUPTED, .kind = "session-interrupted", .why = &why};

    if (!r->closing) {
        watch(r, true);
        a.stats = stats_of(r);
    }
    srv_engine_free(r->engine);
    r->engine = NULL;
    if (r->closing) {
        return CP_OK;
    }
    (void)cp_error_set(&why, CP_ERR_CANCELLED, "The service stopped.");
    return db_run_tx_locking(r->api->db, "interrupt-session", end_body, &a, err);
}
