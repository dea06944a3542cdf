/* SPDX-License-Identifier: Apache-2.0
 * Which version of a package is current: promote, roll back, take the newest again, history. Touches
 * the database; thread-safe. */
#include <inttypes.h>
#include <stdio.h>

#include "api/content/packages.h"
#include "api/framework/etag.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"

struct promotion_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_package package; /* afterwards */
    uint32_t previous;         /* current before */
};

/* The package as it is until the transaction ends: what is compared and told holds. */
static enum cp_err load(struct db_conn *conn, struct promotion_tx *t, struct cp_error *err)
{
    const char *name = t->call->params[0];

    CP_TRY(db_package_hold(conn, &name, 1, err));
    CP_TRY(db_package_get(conn, t->call->params[0], &t->package, err));
    t->previous = t->package.current_version;
    return api_etag_honour(t->call->rq, t->package.revision, err);
}

static json_t *version_or_null(uint32_t version)
{
    return version > 0 ? json_integer(version) : json_null();
}

static json_t *current_json(const struct db_package *p)
{
    return json_pack("{s:o, s:b}", "current_version", version_or_null(p->current_version),
                     "current_pinned", p->pinned_version > 0);
}

/* After a change: the package as it is now, and the event. */
static enum cp_err tell(struct db_conn *conn, struct promotion_tx *t, const char *kind,
                        struct cp_error *err)
{
    const struct db_package present = t->package;
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_package_get(conn, present.name, &t->package, err));
    (void)snprintf(subject, sizeof subject, "package %s", t->package.name);
    return api_event_write(
        conn, t->ctx, t->call,
        &(struct api_event){.kind = kind,
                            .subject = subject,
                            .detail = json_pack("{s:o, s:o}", "version",
                                                version_or_null(t->package.current_version),
                                                "previous", version_or_null(t->previous)),
                            .before = current_json(&present),
                            .after = current_json(&t->package)},
        err);
}

static struct api_response answer(const void *arg)
{
    const struct promotion_tx *t = arg;
    struct api_response rs = api_response_json(200, api_package_json(&t->package));

    api_etag_add(&rs, t->package.revision);
    return rs;
}

/* Once: a rollback that is sent again since its answer was lost would step back twice. */
static struct api_response run_once(const struct api_context *ctx, const struct api_call *call,
                                    const char *name, db_tx_fn *body)
{
    struct promotion_tx t = {.ctx = ctx, .call = call};
    struct api_creation creation = {.name = name, .body = body, .answer = answer, .arg = &t};
    struct api_response rs;

    return api_fields_none(call, &rs) ? api_create(ctx, call, &creation) : rs;
}

static enum cp_err promote_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct promotion_tx *t = arg;
    struct db_version version;
    bool changed = false;

    CP_TRY(load(conn, t, err));
    CP_TRY(api_version_find(conn, t->call->params[0], t->call->params[1], &version, err));
    CP_TRY(db_package_promote(conn, t->package.name, version.number, t->package.revision,
                              t->call->who->account, &changed, err));
    return changed ? tell(conn, t, "version-promoted", err) : CP_OK;
}

struct api_response api_versions_promote(const struct api_context *ctx, const struct api_call *call)
{
    return run_once(ctx, call, "promote-version", promote_body);
}

static enum cp_err rollback_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct promotion_tx *t = arg;

    CP_TRY(load(conn, t, err));
    CP_TRY(db_package_rollback(conn, t->package.name, t->package.revision, t->call->who->account,
                               err));
    return tell(conn, t, "package-rolled-back", err);
}

struct api_response api_packages_rollback(const struct api_context *ctx,
                                          const struct api_call *call)
{
    return run_once(ctx, call, "roll-back-package", rollback_body);
}

static enum cp_err unpin_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct promotion_tx *t = arg;
    bool changed = false;

    CP_TRY(load(conn, t, err));
    CP_TRY(db_package_unpin(conn, t->package.name, t->package.revision, t->call->who->account,
                            &changed, err));
    return changed ? tell(conn, t, "package-unpinned", err) : CP_OK;
}

struct api_response api_packages_unpin(const struct api_context *ctx, const struct api_call *call)
{
    struct promotion_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    err.code = db_run_tx_locking(ctx->db, "unpin-package", unpin_body, &t, &err);
    return err.code == CP_OK ? answer(&t) : api_refuse(call, &err);
}

enum cp_err api_package_pin(struct db_conn *conn, const struct api_context *ctx,
                            const struct api_call *call, const char *name, uint32_t version,
                            struct cp_error *err)
{
    struct promotion_tx t = {.ctx = ctx, .call = call};
    const char *actor = call->who->account;
    bool changed = false;

    CP_TRY(db_package_get(conn, name, &t.package, err));
    t.previous = t.package.current_version;
    CP_TRY(version > 0
               ? db_package_promote(conn, name, version, DB_REVISION_ANY, actor, &changed, err)
               : db_package_unpin(conn, name, DB_REVISION_ANY, actor, &changed, err));
    return changed ? tell(conn, &t, version > 0 ? "version-promoted" : "package-unpinned", err)
                   : CP_OK;
}

/* ---- history ---- */

static void read_filter(struct api_fields *f, struct api_list *l)
{
    static const char *const words[] = {"promote", "rollback", "unpin", NULL};
    struct db_promotion_list *filter = l->arg;

    filter->kind = api_list_word(f, "kind", words);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_promotion_list *filter = l->arg;

    filter->package = l->call->params[0];
    filter->before = l->after_number;
    return db_promotion_list(conn, filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_promotion *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, r->id);
    return json_pack("{s:I, s:s, s:o, s:o, s:o, s:o}", "id", (json_int_t)r->id, "kind",
                     db_promotion_kind_name(r->kind), "version", version_or_null(r->version),
                     "previous", version_or_null(r->previous), "actor", api_json_text(r->actor),
                     "time", api_json_time(r->created_at));
}

struct api_response api_promotions_list(const struct api_context *ctx, const struct api_call *call)
{
    struct db_promotion_list filter = {.kind = NULL};
    struct api_list list = {.name = "list-promotions",
                            .row_size = sizeof(struct db_promotion),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}
