/* SPDX-License-Identifier: Apache-2.0
 * Content by its digest: given out when any version that holds it may be had by the caller.
 * Touches the database and the blob store; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/access/access.h"
#include "api/content/deliver.h"
#include "api/framework/respond.h"
#include "api/handlers.h"

struct content_read {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_blob_user users[DB_BLOB_USERS_MAX];
    struct db_blob blob;
};

/* The refusal that helps most, when several versions hold the content and none may be had. */
static int helpfulness(enum cp_err code)
{
    switch (code) {
    case CP_ERR_AUTH_REQUIRED:
        return 4;
    case CP_ERR_MULTICAST_ONLY:
        return 3;
    case CP_ERR_ACCESS_DENIED:
        return 2;
    case CP_ERR_VERSION_RETIRED:
        return 1;
    default:
        return 0;
    }
}

static enum cp_err not_there(const struct content_read *c, enum db_access node,
                             struct cp_error *err)
{
    /* whether a digest is known is nobody's business who may not fetch anything anyhow */
    CP_TRY(api_access_decide(DB_ACCESS_INHERIT, node, c->call->who,
                             c->call->who->receiver_version_id, err));
    return cp_error_set(err, CP_ERR_NOT_FOUND,
                        "No sealed version that you may have holds content '%.64s'.",
                        c->call->params[0]);
}

static enum cp_err decide(const struct content_read *c, size_t count, enum db_access node,
                          struct cp_error *err)
{
    struct cp_error best = {.code = CP_OK};

    for (size_t i = 0; i < count; i++) {
        const struct db_blob_user *u = &c->users[i];
        struct api_deliver_facts facts = {.version_id = u->version_id,
                                          .package = u->package,
                                          .number = u->number,
                                          .state = u->state,
                                          .policy = u->policy,
                                          .access = u->access};
        struct cp_error refusal = {.code = CP_OK};

        refusal.code = api_deliver_decide(&facts, node, c->call->who, true, &refusal);
        if (refusal.code == CP_OK) {
            return CP_OK;
        }
        if (helpfulness(refusal.code) > helpfulness(best.code)) {
            best = refusal;
        }
    }
    if (best.code == CP_OK) {
        return not_there(c, node, err);
    }
    return cp_error_set(err, best.code, "%s", best.text);
}

static enum cp_err read_users(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct content_read *c = arg;
    enum db_access node;
    char what[80];
    size_t count;

    CP_TRY(api_deliver_setting(conn, c->ctx, &node, err));
    CP_TRY(db_blob_users(conn, c->call->params[0], c->call->who->receiver_version_id, c->users,
                         &count, err));
    CP_TRY(decide(c, count, node, err));
    CP_TRY(db_blob_get(conn, c->call->params[0], &c->blob, err));
    if (c->blob.state == DB_BLOB_GOOD) {
        return CP_OK;
    }
    (void)snprintf(what, sizeof what, "Content '%.64s'", c->call->params[0]);
    return db_blob_usable(conn, c->call->params[0], what, err);
}

static bool is_digest(const char *text)
{
    return strlen(text) == DB_DIGEST_SIZE - 1 && strspn(text, "0123456789abcdef") == strlen(text);
}

struct api_response api_content_get(const struct api_context *ctx, const struct api_call *call)
{
    struct content_read c = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    if (!is_digest(call->params[0])) {
        return api_refuse_text(call, CP_ERR_NOT_FOUND,
                               "'%.100s' is not a digest: give SHA-256 as 64 lower-case "
                               "hexadecimal digits.",
                               call->params[0]);
    }
    err.code = db_run_read(ctx->db, "find-content", read_users, &c, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_deliver_blob(ctx, call, call->params[0], c.blob.size, API_MODIFIED_UNKNOWN, true);
}
