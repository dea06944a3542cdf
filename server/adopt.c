/* SPDX-License-Identifier: Apache-2.0
 * Adopting a content library from the command line. */
#include "server/adopt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/blob.h"
#include "db/listener.h"
#include "db/node.h"
#include "jobs/job.h"
#include "jobs/library.h"

struct find_arg {
    const char *name;
    struct db_node node;
};

static enum cp_err find_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct find_arg *a = arg;

    return db_node_get(conn, a->name, &a->node, err);
}

static enum cp_err adopt(const struct srv_config *c, const struct jobs_context *ctx,
                         struct cp_error *err)
{
    struct jobs_library library;

    CP_TRY(jobs_library_look(ctx, true, &library, err));
    if (library.was_own) {
        (void)printf("The content library in %s/content is that of '%s' already.\n", c->state_dir,
                     c->name);
    } else {
        (void)printf("The content library in %s/content is that of '%s' now. Of its %" PRIu64
                     " files the database knows %" PRIu64
                     "; the others go when they have been unknown for library_grace_hours.\n",
                     c->state_dir, c->name, library.files, library.known);
    }
    (void)fflush(stdout);
    return CP_OK;
}

static enum cp_err claim_and_adopt(const struct srv_config *c, struct jobs_context *ctx,
                                   struct cp_error *err)
{
    static const char *const channels[] = {DB_CHANNEL_TASKS};
    struct find_arg a = {.name = c->name};
    struct db_listener *listener = NULL;
    enum cp_err rc;

    CP_TRY(db_run_read(ctx->db, "find-node", find_body, &a, err));
    CP_TRY(db_listener_open(c->database, channels, 1, &listener, err));
    rc = db_listener_claim(listener, a.node.id, err);
    if (rc == CP_ERR_CONFLICT) {
        rc = cp_error_set(err, CP_ERR_NODE_TAKEN, "castpointd runs for '%s': stop it first",
                          c->name);
    }
    if (rc == CP_OK) {
        ctx->node_id = a.node.id;
        rc = adopt(c, ctx, err);
    }
    db_listener_close(listener);
    return rc;
}

/* What another user writes into the library castpointd could not read. */
static enum cp_err check_user(const char *folder, struct cp_error *err)
{
    struct stat st;

    if (stat(folder, &st) != 0) {
        return cp_error_set(err, CP_ERR_STORAGE, "%s: %s", folder, strerror(errno));
    }
    if (st.st_uid != geteuid()) {
        return cp_error_set(
            err, CP_ERR_STORAGE,
            "%s belongs to another user: run this as the one that castpointd runs as", folder);
    }
    return CP_OK;
}

/* The library's lock keeps a service out, and says so when one has it. */
enum cp_err srv_adopt_library(const struct srv_config *config, struct cp_error *err)
{
    char folder[SRV_PATH_SIZE + 16];
    struct jobs_context ctx = {.db = NULL};
    enum cp_err rc;

    (void)snprintf(folder, sizeof folder, "%s/content", config->state_dir);
    CP_TRY(check_user(folder, err));
    CP_TRY(blob_store_open(folder, &ctx.blobs, err));
    rc = db_pool_open(config->database, 1, &ctx.db, err);
    if (rc == CP_OK) {
        rc = claim_and_adopt(config, &ctx, err);
    }
    db_pool_close(ctx.db);
    blob_store_close(ctx.blobs);
    return rc;
}
