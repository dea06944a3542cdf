/* SPDX-License-Identifier: Apache-2.0
 * Closing content to anonymous clients: who is out at once, who goes on, which secrets change. */
#include "api/access/access_change.h"

#include <string.h>

#include "api/framework/resource.h"
#include "db/access.h"
#include "db/session.h"
#include "keys/keyring.h"

#define REASON "Content access was switched to 'authenticated' while the session waited."

/* Sessions that wait at one time are few: one for each package that somebody just joined. */
#define PAGE 32

static const char *revoked_code(void)
{
    return cp_err_info(CP_ERR_AUTH_REQUIRED)->code;
}

/* Its node has the master key that a new secret would have to be sealed under. */
static enum cp_err cancel(struct db_conn *conn, const char *session_id, struct api_consequences *c,
                          struct cp_error *err)
{
    bool changed;

    CP_TRY(db_session_end(conn, session_id, DB_SESSION_CANCELLED,
                          cp_err_info(CP_ERR_SESSION_REKEYED)->code, REASON, &changed, err));
    c->sessions_cancelled += changed;
    return CP_OK;
}

static enum cp_err rekey(struct db_conn *conn, const struct api_context *ctx,
                         const struct api_call *call, const char *session_id,
                         struct api_consequences *c, struct cp_error *err)
{
    enum cp_err rc =
        keys_ring_session_rekey(ctx->keyring, conn, session_id, REASON, call->rq->request_id, err);
    uint64_t moved;

    if (rc == CP_ERR_CONFLICT) {
        return CP_OK; /* it started in this moment: goes on as every running one */
    }
    CP_TRY(rc);
    CP_TRY(db_access_rekeyed(conn, session_id, cp_err_info(CP_ERR_SESSION_REKEYED)->code, REASON,
                             &moved, err));
    c->sessions_rekeyed++;
    c->receivers_rejoining += moved;
    return CP_OK;
}

static enum cp_err rekey_all(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, struct api_consequences *c,
                             struct cp_error *err)
{
    struct db_access_session sessions[PAGE];
    char after[DB_ID_SIZE] = "";
    size_t count;

    do {
        CP_TRY(db_access_known_secrets(conn, after, PAGE, sessions, &count, err));
        for (size_t i = 0; i < count; i++) {
            CP_TRY(strcmp(sessions[i].node_id, ctx->node_id) == 0
                       ? rekey(conn, ctx, call, sessions[i].id, c, err)
                       : cancel(conn, sessions[i].id, c, err));
            memcpy(after, sessions[i].id, sizeof after);
        }
    } while (count == PAGE);
    return CP_OK;
}

enum cp_err api_access_change_begin(struct db_conn *conn, struct cp_error *err)
{
    return db_access_changing(conn, err);
}

static json_t *counts_json(const struct api_consequences *c)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "receivers_revoked", (json_int_t)c->receivers_revoked,
        "receivers_running", (json_int_t)c->receivers_running, "sessions_rekeyed",
        (json_int_t)c->sessions_rekeyed, "sessions_cancelled", (json_int_t)c->sessions_cancelled,
        "receivers_rejoining", (json_int_t)c->receivers_rejoining);
}

enum cp_err api_access_change_settle(struct db_conn *conn, const struct api_context *ctx,
                                     const struct api_call *call,
                                     struct api_consequences *ret_consequences,
                                     struct cp_error *err)
{
    struct api_consequences c = {.changed = true};
    struct db_access_revoked counts;

    CP_TRY(db_access_revoke(conn, revoked_code(), REASON, &counts, err));
    c.receivers_revoked = counts.revoked;
    c.receivers_running = counts.running;
    CP_TRY(rekey_all(conn, ctx, call, &c, err));
    if (c.receivers_revoked + c.receivers_running + c.sessions_rekeyed + c.sessions_cancelled > 0) {
        CP_TRY(api_event_write(conn, ctx, call,
                               &(struct api_event){.kind = "access-closed",
                                                   .subject = "content access",
                                                   .detail = counts_json(&c)},
                               err));
    }
    *ret_consequences = c;
    return CP_OK;
}

json_t *api_consequences_json(const struct api_consequences *c)
{
    return c->changed ? counts_json(c) : json_null();
}
