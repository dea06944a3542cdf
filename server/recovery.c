/* SPDX-License-Identifier: Apache-2.0
 * Sessions after a crash. */
#include "server/recovery.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/session/session_json.h"
#include "common/log.h"
#include "common/time.h"
#include "db/receiver.h"

#define PAGE   100u
#define RECENT (60 * CP_SEC)

struct recover_arg {
    const struct api_context *api;
    enum db_session_state state; /* of the sessions in work */
    char after[DB_ID_SIZE];
    struct db_session *sessions; /* PAGE rows */
    size_t count;
    size_t at;                     /* the one in work */
    struct db_receiver *receivers; /* PAGE rows */
    bool resumed;
};

static enum cp_err list_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct recover_arg *a = arg;
    struct db_session_filter filter = {
        .node_id = a->api->node_id, .by_state = true, .state = a->state};

    return db_session_list(conn, &filter, a->after, PAGE, a->sessions, &a->count, err);
}

static enum cp_err heard_lately(struct db_conn *conn, struct recover_arg *a, bool *ret_heard,
                                struct cp_error *err)
{
    char after[DB_ID_SIZE] = "";
    size_t count = PAGE;
    uint64_t now;

    *ret_heard = false;
    CP_TRY(db_now(conn, &now, err));
    while (count == PAGE) {
        CP_TRY(
            db_receiver_list(conn, a->sessions[a->at].id, after, PAGE, a->receivers, &count, err));
        for (size_t i = 0; i < count; i++) {
            const struct db_receiver *r = &a->receivers[i];

            if (db_receiver_active(r->progress.state) && r->updated_at + RECENT > now) {
                *ret_heard = true;
                return CP_OK;
            }
        }
        if (count == PAGE) {
            (void)snprintf(after, sizeof after, "%s", a->receivers[count - 1].id);
        }
    }
    return CP_OK;
}

static enum cp_err settle_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct recover_arg *a = arg;
    struct db_session *s = &a->sessions[a->at];
    bool heard;
    bool changed;

    a->resumed = false;
    CP_TRY(heard_lately(conn, a, &heard, err));
    if (heard && s->state == DB_SESSION_RUNNING) {
        CP_TRY(db_session_resume(conn, s->id, s, err));
        a->resumed = true;
        return api_session_event(conn, s, "session-resumed", CP_OK, NULL, err);
    }
    CP_TRY(db_session_end(conn, s->id, DB_SESSION_INTERRUPTED, cp_err_info(CP_ERR_CANCELLED)->code,
                          "The service ended while the session ran.", &changed, err));
    return api_session_event(conn, s, "session-interrupted", CP_OK, NULL, err);
}

static enum cp_err settle_page(struct recover_arg *a, srv_resume *resume, void *arg,
                               struct cp_error *err)
{
    CP_TRY(db_run_read(a->api->db, "list-stale-sessions", list_body, a, err));
    for (a->at = 0; a->at < a->count; a->at++) {
        const struct db_session *s = &a->sessions[a->at];

        CP_TRY(db_run_tx_locking(a->api->db, "recover-session", settle_body, a, err));
        cp_log(CP_LOG_INFO, a->resumed ? "session-resumed" : "session-interrupted", "session",
               s->id, "package", s->package, NULL);
        (void)snprintf(a->after, sizeof a->after, "%s", s->id);
        if (a->resumed) {
            CP_TRY(resume(arg, s, err));
        }
    }
    return CP_OK;
}

static enum cp_err settle_state(struct recover_arg *a, enum db_session_state state,
                                srv_resume *resume, void *arg, struct cp_error *err)
{
    a->state = state;
    a->after[0] = '\0';
    do {
        CP_TRY(settle_page(a, resume, arg, err));
    } while (a->count == PAGE);
    return CP_OK;
}

enum cp_err srv_recover(const struct api_context *api, srv_resume *resume, void *arg,
                        struct cp_error *err)
{
    struct recover_arg a = {.api = api};
    enum cp_err rc;

    a.sessions = calloc(PAGE, sizeof *a.sessions);
    a.receivers = calloc(PAGE, sizeof *a.receivers);
    if (a.sessions == NULL || a.receivers == NULL) {
        rc = cp_error_set(err, CP_ERR_NO_MEMORY, "recovery of sessions");
    } else {
        rc = settle_state(&a, DB_SESSION_RUNNING, resume, arg, err);
    }
    if (rc == CP_OK) {
        rc = settle_state(&a, DB_SESSION_DRAINING, resume, arg, err);
    }
    free(a.sessions);
    free(a.receivers);
    return rc;
}
