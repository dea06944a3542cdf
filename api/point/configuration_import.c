/* SPDX-License-Identifier: Apache-2.0
 * Import of a configuration document. First it is compared with what there is, and nothing is
 * locked; then what differs is written in one transaction, or nothing. What the document does not
 * name stays, unless it is to be pruned; a dry run is the import itself, rolled back. Touches the
 * database; thread-safe. */
#include "api/point/configuration_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/event.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/live.h"

#define PREFIX_SIZE 64

/* If-Match, when it is sent. */
static enum cp_err check_present(struct db_conn *conn, const struct api_import *im,
                                 struct cp_error *err)
{
    const char *header = api_request_header(im->call->rq, "If-Match");
    char etag[API_ETAG_SIZE];

    if (header == NULL) {
        return CP_OK;
    }
    if (!im->looking) {
        CP_TRY(db_configuration_hold(conn, err));
    }
    CP_TRY(api_configuration_etag(conn, etag, err));
    if (!api_etag_listed(header, etag, true)) {
        return cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                            "If-Match is '%.100s' but the present ETag is '%s': GET this address "
                            "again, apply the change to what it says now.",
                            header, etag);
    }
    return CP_OK;
}

static void forget(struct api_import_found *found)
{
    json_decref(found->names);
    free(found->differs);
    *found = (struct api_import_found){.names = NULL};
}

static enum cp_err read_item(struct db_conn *conn, struct api_import *im,
                             const struct api_import_section *s, size_t i, struct cp_error *err)
{
    struct api_fields item;
    char prefix[PREFIX_SIZE];
    enum cp_err rc;

    (void)snprintf(prefix, sizeof prefix, "%s[%zu]", s->name, im->batch.places[i]);
    api_fields_inside(&item, &im->f, im->batch.items[i]);
    rc = s->item(conn, im, &item, err);
    api_fields_inside_end(&item, &im->f, prefix);
    if (rc != CP_OK) {
        cp_error_prefix(err, "%s", prefix);
    }
    return rc;
}

/* ---- going through a section ---- */

/* Items from `next` on that are to be looked at, or written, as many as go together; gives the place
 * behind them. */
static size_t fill(struct api_import *im, const json_t *list, size_t next)
{
    struct api_import_batch *b = &im->batch;
    size_t count = json_array_size(list);

    b->count = 0;
    b->name_count = 0;
    for (; next < count && b->count < API_IMPORT_BATCH; next++) {
        json_t *item = json_array_get(list, next);
        const char *name = json_string_value(json_object_get(item, "name"));

        if (!im->looking && !im->section->differs[next]) {
            continue;
        }
        if (name != NULL && strlen(name) < DB_NAME_SIZE) {
            b->names[b->name_count++] = name;
        }
        b->places[b->count] = next;
        b->items[b->count++] = item;
    }
    return next;
}

static enum cp_err go_through(struct db_conn *conn, struct api_import *im,
                              const struct api_import_section *s, struct cp_error *err)
{
    const json_t *list = json_object_get(im->f.body, s->name);
    size_t next = fill(im, list, 0);

    for (; im->batch.count > 0; next = fill(im, list, next)) {
        if (s->fetch != NULL) {
            CP_TRY(s->fetch(conn, im, err));
        }
        for (size_t i = 0; i < im->batch.count; i++) {
            im->differs = false;
            CP_TRY(read_item(conn, im, s, i, err));
            if (im->looking) { /* what is written may be written again, from the same look */
                im->section->differs[im->batch.places[i]] = im->differs;
            }
        }
        if (s->flush != NULL && !im->looking) {
            CP_TRY(s->flush(conn, im, err));
        }
    }
    return CP_OK;
}

/* ---- the look: what is wrong, and what differs ---- */

static enum cp_err look_at_section(struct db_conn *conn, struct api_import *im,
                                   const struct api_import_section *s, struct cp_error *err)
{
    const json_t *list = api_field_array(&im->f, s->name, API_OPTIONAL);

    forget(im->section);
    if (list == NULL) {
        return CP_OK;
    }
    im->section->names = json_object();
    im->section->differs = calloc(json_array_size(list) + 1, sizeof *im->section->differs);
    if (im->section->names == NULL || im->section->differs == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    return go_through(conn, im, s, err);
}

static enum cp_err look_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_import *im = arg;
    int64_t format = 0;

    api_fields_again(&im->f);
    im->looking = true;
    CP_TRY(check_present(conn, im, err));
    (void)api_field_int(&im->f, "format", API_REQUIRED, API_CONFIGURATION_FORMAT,
                        API_CONFIGURATION_FORMAT, &format);
    for (size_t i = 0; i < API_IMPORT_SECTIONS; i++) {
        im->section = &im->found[i];
        CP_TRY(look_at_section(conn, im, &api_import_sections[i], err));
    }
    im->refused = !api_fields_ok(&im->f);
    return im->refused ? CP_ERR_INVALID : CP_OK;
}

/* ---- writing ---- */

static enum cp_err write_section(struct db_conn *conn, struct api_import *im,
                                 const struct api_import_section *s, struct cp_error *err)
{
    if (im->section->names == NULL) {
        return CP_OK;
    }
    if (s->hold != NULL) {
        CP_TRY(s->hold(conn, im, err));
    }
    CP_TRY(go_through(conn, im, s, err));
    if (im->prune && s->prune != NULL) {
        CP_TRY(s->prune(conn, im, err));
    }
    return s->end != NULL ? s->end(conn, im, err) : CP_OK;
}

static enum cp_err tell(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < API_IMPORT_ACTIONS; i++) {
        count += im->counts[i];
    }
    if (count == 0) {
        return CP_OK;
    }
    return api_event_write(
        conn, im->ctx, im->call,
        &(struct api_event){
            .kind = "configuration-imported",
            .subject = "configuration",
            .detail = json_pack("{s:I, s:b}", "changes", (json_int_t)count, "pruned", im->prune)},
        err);
}

/* Nobody joins from here to the commit: hence last, and only when it must be. */
static enum cp_err settle(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    if (!im->access || im->dry_run) {
        return CP_OK;
    }
    CP_TRY(api_access_change_begin(conn, err));
    return api_access_change_settle(conn, im->ctx, im->call, &im->consequences, err);
}

static enum cp_err write_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_import *im = arg;

    api_fields_again(&im->f);
    (void)json_array_clear(im->changes);
    (void)json_array_clear(im->left);
    memset(im->counts, 0, sizeof im->counts);
    im->consequences = (struct api_consequences){.changed = false};
    im->looking = false;
    im->access = false;
    im->held_back = false;
    CP_TRY(check_present(conn, im, err));
    for (size_t i = 0; i < API_IMPORT_SECTIONS; i++) {
        im->section = &im->found[i];
        CP_TRY(write_section(conn, im, &api_import_sections[i], err));
    }
    im->refused = !api_fields_ok(&im->f); /* what it builds on was changed since the look */
    if (im->refused) {
        return CP_ERR_INVALID;
    }
    CP_TRY(tell(conn, im, err));
    CP_TRY(settle(conn, im, err));
    im->held_back = im->dry_run;
    return im->dry_run ? CP_ERR_CANCELLED : CP_OK;
}

static struct api_response run(struct api_import *im)
{
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(im->ctx->db, "look-at-configuration", look_body, im, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx_locking(im->ctx->db, "import-configuration", write_body, im, &err);
    }
    if (im->refused) {
        return api_fields_refuse(&im->f, im->call);
    }
    api_fields_done(&im->f);
    if (err.code != CP_OK && !im->held_back) {
        return api_refuse(im->call, &err);
    }
    if (err.code == CP_OK) {
        api_live_changed(im->ctx);
    }
    return api_response_json(
        200, json_pack("{s:b, s:{s:I, s:I, s:I}, s:O, s:O, s:o}", "dry_run", im->dry_run, "counts",
                       "create", (json_int_t)im->counts[API_IMPORT_CREATE], "change",
                       (json_int_t)im->counts[API_IMPORT_CHANGE], "delete",
                       (json_int_t)im->counts[API_IMPORT_DELETE], "changes", im->changes, "left",
                       im->left, "consequences", api_consequences_json(&im->consequences)));
}

static bool read_query(const struct api_call *call, struct api_import *im,
                       struct api_response *ret_response)
{
    struct api_fields f;

    api_fields_query(&f, call);
    (void)api_field_bool(&f, "dry_run", API_OPTIONAL, &im->dry_run);
    (void)api_field_bool(&f, "prune", API_OPTIONAL, &im->prune);
    if (!api_fields_ok(&f)) {
        *ret_response = api_fields_refuse(&f, call);
        return false;
    }
    api_fields_done(&f);
    return true;
}

struct api_response api_configuration_put(const struct api_context *ctx,
                                          const struct api_call *call)
{
    struct api_import *im = calloc(1, sizeof *im);
    struct api_response rs;

    if (im == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    im->ctx = ctx;
    im->call = call;
    im->changes = json_array();
    im->left = json_array();
    if (read_query(call, im, &rs)) {
        api_fields_body(&im->f, call);
        if (im->f.fail.code == CP_OK) {
            rs = run(im);
        } else {
            rs = api_fields_refuse(&im->f, call);
        }
    }
    for (size_t i = 0; i < API_IMPORT_SECTIONS; i++) {
        forget(&im->found[i]);
    }
    api_import_packages_free(im->packages);
    free(im->accounts);
    json_decref(im->changes);
    json_decref(im->left);
    free(im);
    return rs;
}
