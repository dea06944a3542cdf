/* SPDX-License-Identifier: Apache-2.0
 * Starting sessions. */
#include "server/starting.h"

#include "api/api.h"
#include "api/session/session_json.h"
#include "common/log.h"
#include "db/settings.h"
#include "server/runs.h"

struct due_arg {
    struct srv_starting *starting;
    size_t count;
    uint64_t wait_ms;
};

static enum cp_err due_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct due_arg *a = arg;

    return db_session_due(conn, a->starting->api->node_id, SRV_STARTING_PAGE, a->starting->page,
                          &a->count, &a->wait_ms, err);
}

struct start_arg {
    const char *node_id;
    const char *id;
    struct db_session session;
    bool disabled; /* multicast was switched off while it waited */
    bool empty;    /* everybody left before it began */
};

/* Its receivers are told to leave, and why, with their next report. */
static enum cp_err cancel_disabled(struct db_conn *conn, struct start_arg *a, struct cp_error *err)
{
    static const char why[] = "Multicast was switched off while the session waited.";
    bool changed;

    CP_TRY(db_session_get(conn, a->id, &a->session, err));
    CP_TRY(db_session_end(conn, a->id, DB_SESSION_CANCELLED,
                          cp_err_info(CP_ERR_MULTICAST_DISABLED)->code, why, &changed, err));
    return changed ? api_session_event(conn, &a->session, "session-cancelled",
                                       CP_ERR_MULTICAST_DISABLED, why, err)
                   : CP_OK;
}

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct start_arg *a = arg;
    struct db_settings settings;

    CP_TRY(db_settings_get(conn, a->node_id, &settings, err));
    a->disabled = !settings.multicast_enabled;
    a->empty = false;
    if (a->disabled) {
        return cancel_disabled(conn, a, err);
    }
    CP_TRY(db_session_start(conn, a->id, 0, &a->session, err));
    if (a->session.receivers_active == 0) {
        CP_TRY(db_session_finish(conn, a->id, NULL, &a->empty, err));
    }
    return api_session_event(conn, &a->session, a->empty ? "session-finished" : "session-started",
                             CP_OK, NULL, err);
}

struct fail_arg {
    const struct db_session *session;
    const struct cp_error *why;
};

static enum cp_err fail_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct fail_arg *a = arg;
    bool changed;

    CP_TRY(db_session_end(conn, a->session->id, DB_SESSION_FAILED, cp_err_info(a->why->code)->code,
                          a->why->text, &changed, err));
    return api_session_event(conn, a->session, "session-failed", a->why->code, a->why->text, err);
}

static enum cp_err run_or_fail(struct srv_starting *s, const struct db_session *session,
                               struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};
    struct fail_arg failure = {.session = session, .why = &why};

    if (srv_runs_add(s->runs, session, &why) == CP_OK) {
        return CP_OK;
    }
    cp_log_error(CP_LOG_ERROR, "session-failed", &why);
    return db_run_tx_locking(s->api->db, "fail-session", fail_body, &failure, err);
}

static enum cp_err start_session(struct srv_starting *s, const char *id, struct cp_error *err)
{
    struct start_arg a = {.node_id = s->api->node_id, .id = id};
    enum cp_err rc = db_run_tx_locking(s->api->db, "start-session", start_body, &a, err);

    if (rc == CP_ERR_CONFLICT) {
        return CP_OK; /* cancelled in this very moment */
    }
    CP_TRY(rc);
    cp_log(CP_LOG_INFO, a.empty || a.disabled ? "session-over" : "session-started", "session", id,
           "package", a.session.package, "version", cp_log_u64(a.session.version), "group",
           a.session.group, "port", cp_log_u64(a.session.port), "receivers",
           cp_log_u64(a.session.receivers_active), NULL);
    return a.empty || a.disabled ? CP_OK : run_or_fail(s, &a.session, err);
}

/* ---- sessions that run in the database only ---- */

struct orphan_arg {
    struct srv_starting *starting;
    size_t count;
    struct db_session session;
};

static enum cp_err running_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct orphan_arg *a = arg;
    struct db_session_filter filter = {
        .node_id = a->starting->api->node_id, .by_state = true, .state = DB_SESSION_RUNNING};

    return db_session_list(conn, &filter, a->session.id, SRV_STARTING_PAGE, a->starting->page,
                           &a->count, err);
}

static enum cp_err resume_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct orphan_arg *a = arg;

    CP_TRY(db_session_resume(conn, a->session.id, &a->session, err));
    return api_session_event(conn, &a->session, "session-resumed", CP_OK, NULL, err);
}

/* When the database went away at the very moment of a start, the row may say that the session runs
 * and nobody sends: every later join of its version would enter it and hear nothing. */
static enum cp_err adopt_orphans(struct srv_starting *s, struct cp_error *err)
{
    struct orphan_arg a = {.starting = s};

    do {
        CP_TRY(db_run_read(s->api->db, "running-sessions", running_body, &a, err));
        for (size_t i = 0; i < a.count; i++) {
            enum cp_err rc;

            a.session = s->page[i];
            if (srv_runs_find(s->runs, a.session.id) != NULL) {
                continue;
            }
            rc = db_run_tx_locking(s->api->db, "resume-session", resume_body, &a, err);
            if (rc == CP_ERR_CONFLICT) {
                continue; /* it ended in this very moment */
            }
            CP_TRY(rc);
            cp_log(CP_LOG_WARN, "session-resumed", "session", a.session.id, "package",
                   a.session.package, NULL);
            CP_TRY(run_or_fail(s, &a.session, err));
        }
    } while (a.count == SRV_STARTING_PAGE);
    return CP_OK;
}

enum cp_err srv_start_due(struct srv_starting *s, bool adopt, uint64_t *ret_wait_ms,
                          struct cp_error *err)
{
    struct due_arg a = {.starting = s};

    if (adopt) {
        CP_TRY(adopt_orphans(s, err));
    }
    do {
        CP_TRY(db_run_read(s->api->db, "due-sessions", due_body, &a, err));
        for (size_t i = 0; i < a.count; i++) {
            CP_TRY(start_session(s, s->page[i].id, err));
        }
    } while (a.count == SRV_STARTING_PAGE);
    *ret_wait_ms = a.wait_ms;
    return CP_OK;
}
