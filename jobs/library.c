/* SPDX-License-Identifier: Apache-2.0
 * The library's identity: in the database (nodes.library_id) and in the library. The database's is
 * written first: killed in between, an empty or known library gets it at the next look, and any other
 * stays foreign until it is adopted again. Touches the database and the content library. */
#include "jobs/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "content/blob.h"
#include "content/blob_care.h"
#include "db/blob.h"
#include "db/event_json.h"
#include "db/node.h"
#include "db/upload.h"
#include "jobs/job.h"

struct looking {
    const struct jobs_context *ctx;
    bool adopt;
    struct db_node node;
    char found[BLOB_IDENTITY_SIZE];
    struct jobs_library library;
    char given[DB_ID_SIZE]; /* what the library is to say of itself */
    /* files, asked about together */
    struct db_blob_name names[DB_BLOB_NAMES_MAX];
    struct db_blob_name unknown[DB_BLOB_NAMES_MAX];
    size_t name_count, unknown_count;
    enum blob_place place;
    const char *upload; /* its name */
    bool exists;
};

/* ---- what is in it ---- */

static enum cp_err unknown_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;

    return db_blob_unknown(conn, l->names, l->name_count, false, l->unknown, &l->unknown_count,
                           err);
}

static enum cp_err ask(struct looking *l, struct cp_error *err)
{
    CP_TRY(db_run_read(l->ctx->db, "library-blobs", unknown_body, l, err));
    l->library.files += l->name_count;
    l->library.known += l->name_count - l->unknown_count;
    l->name_count = 0;
    return CP_OK;
}

static enum cp_err see_blob(void *arg, const struct blob_found *found, struct cp_error *err)
{
    struct looking *l = arg;

    cp_hex_encode(found->digest, CONTENT_DIGEST_SIZE, l->names[l->name_count++].sha256);
    return l->name_count == DB_BLOB_NAMES_MAX ? ask(l, err) : CP_OK;
}

static enum cp_err exists_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;

    return db_upload_exists(conn, l->upload, &l->exists, err);
}

static enum cp_err see_upload(void *arg, const char *name, const struct blob_found *found,
                              struct cp_error *err)
{
    struct looking *l = arg;

    (void)found;
    l->upload = name;
    CP_TRY(db_run_read(l->ctx->db, "find-upload", exists_body, l, err));
    l->library.files++;
    l->library.known += l->exists;
    return CP_OK;
}

static enum cp_err count(struct looking *l, struct cp_error *err)
{
    struct blob_store *store = l->ctx->blobs;

    CP_TRY(blob_store_walk(store, BLOB_IN_STORE, see_blob, l, err));
    CP_TRY(blob_store_walk(store, BLOB_IN_QUARANTINE, see_blob, l, err));
    CP_TRY(ask(l, err));
    return blob_partial_each(store, see_upload, l, err);
}

/* ---- strays: who is new to a library has not waited for any of them ---- */

static enum cp_err forget_blob(void *arg, const struct blob_found *found, struct cp_error *err)
{
    struct looking *l = arg;
    char name[CONTENT_DIGEST_TEXT_SIZE];

    if (!found->stray) {
        return CP_OK;
    }
    cp_hex_encode(found->digest, CONTENT_DIGEST_SIZE, name);
    return blob_stray_mark(l->ctx->blobs, l->place, name, false, err);
}

static enum cp_err forget_upload(void *arg, const char *name, const struct blob_found *found,
                                 struct cp_error *err)
{
    struct looking *l = arg;

    return found->stray ? blob_stray_mark(l->ctx->blobs, BLOB_INCOMING, name, false, err) : CP_OK;
}

static enum cp_err forget_strays(struct looking *l, struct cp_error *err)
{
    struct blob_store *store = l->ctx->blobs;

    l->place = BLOB_IN_STORE;
    CP_TRY(blob_store_walk(store, l->place, forget_blob, l, err));
    l->place = BLOB_IN_QUARANTINE;
    CP_TRY(blob_store_walk(store, l->place, forget_blob, l, err));
    return blob_partial_each(store, forget_upload, l, err);
}

/* ---- what follows ---- */

static enum cp_err tell(struct db_conn *conn, const struct looking *l, const char *kind,
                        json_t *detail, struct cp_error *err)
{
    struct db_event *event = calloc(1, sizeof *event);
    enum cp_err rc;

    if (event == NULL) {
        json_decref(detail);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    }
    (void)snprintf(event->node_id, sizeof event->node_id, "%s", l->ctx->node_id);
    (void)snprintf(event->kind, sizeof event->kind, "%s", kind);
    (void)snprintf(event->subject, sizeof event->subject, "library");
    rc = db_event_set_detail(event, detail)
             ? db_event_add(conn, event, err)
             : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    free(event);
    return rc;
}

static enum cp_err foreign_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;
    bool news;

    CP_TRY(db_node_foreign_library(conn, l->ctx->node_id, &news, err));
    return news ? tell(conn, l, "library-foreign",
                       json_pack("{s:s, s:s, s:I, s:I}", "found", l->found, "expected",
                                 l->node.library_id, "files", (json_int_t)l->library.files, "known",
                                 (json_int_t)l->library.known),
                       err)
                : CP_OK;
}

/* A first start and an upgrade are nobody's news. */
static enum cp_err own_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;
    bool news;

    CP_TRY(db_node_lock(conn, l->ctx->node_id, err));
    CP_TRY(db_node_get(conn, l->ctx->node_id, &l->node, err));
    news = l->adopt || l->node.library_foreign_since != 0;
    CP_TRY(db_node_own_library(conn, l->ctx->node_id, l->found, l->adopt, l->given, err));
    return news
               ? tell(conn, l, "library-accepted",
                      json_pack("{s:s, s:s, s:b, s:I, s:I}", "library", l->given, "found", l->found,
                                "adopted", l->adopt, "files", (json_int_t)l->library.files, "known",
                                (json_int_t)l->library.known),
                      err)
               : CP_OK;
}

/* By what there is in it, when the two do not name the same library. Strays and a database that is
 * somewhat older are usual, so most of it being known is enough; two names that contradict each other
 * are not outweighed by anything, nor is what was found before: a foreign library fills with what is
 * uploaded into it. */
static bool is_own(const struct looking *l)
{
    bool contradiction = l->found[0] != '\0' && l->node.library_id[0] != '\0';
    bool settled = l->node.library_foreign_since != 0;

    return l->library.files == 0 ||
           (!contradiction && !settled && l->library.known * 2 >= l->library.files);
}

static enum cp_err settle(struct looking *l, struct cp_error *err)
{
    CP_TRY(count(l, err));
    l->library.own = l->adopt || is_own(l);
    if (!l->library.own) {
        return db_run_tx_locking(l->ctx->db, "foreign-library", foreign_body, l, err);
    }
    CP_TRY(forget_strays(l, err));
    CP_TRY(db_run_tx_locking(l->ctx->db, "own-library", own_body, l, err));
    return strcmp(l->found, l->given) == 0 ? CP_OK
                                           : blob_identity_set(l->ctx->blobs, l->given, err);
}

static enum cp_err node_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;

    return db_node_get(conn, l->ctx->node_id, &l->node, err);
}

static enum cp_err look(struct looking *l, struct cp_error *err)
{
    bool same;

    CP_TRY(blob_identity_get(l->ctx->blobs, l->found, err));
    CP_TRY(db_run_read(l->ctx->db, "find-node", node_body, l, err));
    same = l->found[0] != '\0' && strcmp(l->found, l->node.library_id) == 0;
    l->library.was_own = same && l->node.library_foreign_since == 0;
    l->library.own = same;
    if (l->library.was_own) {
        return CP_OK;
    }
    /* It is back: another one was in its place. Nothing of it has changed. */
    if (same) {
        l->adopt = false;
        return db_run_tx_locking(l->ctx->db, "own-library", own_body, l, err);
    }
    return settle(l, err);
}

enum cp_err jobs_library_look(const struct jobs_context *ctx, bool adopt,
                              struct jobs_library *ret_library, struct cp_error *err)
{
    struct looking *l = calloc(1, sizeof *l);
    enum cp_err rc;

    if (l == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to look at the library.");
    }
    l->ctx = ctx;
    l->adopt = adopt;
    rc = look(l, err);
    if (rc == CP_OK) {
        *ret_library = l->library;
    }
    free(l);
    return rc;
}

enum cp_err jobs_library_own(const struct jobs_context *ctx, const char *what, struct cp_error *err)
{
    struct jobs_library library;

    CP_TRY(jobs_library_look(ctx, false, &library, err));
    if (library.own) {
        return CP_OK;
    }
    return cp_error_set(
        err, CP_ERR_LIBRARY_FOREIGN,
        "%s is not removed: the content library belongs to another database; of its "
        "%llu files this one knows %llu.",
        what, (unsigned long long)library.files, (unsigned long long)library.known);
}
