/* SPDX-License-Identifier: Apache-2.0
 * What the import of a configuration does with packages, of which there may be many: a batch of them
 * is read, compared in memory, and what differs is written, by a few statements each. Touches the
 * database; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/point/configuration_import.h"

/* What the flush writes. */
struct change {
    char name[DB_NAME_SIZE];
    json_t *before, *after;
    bool pins;
    uint32_t pin; /* 0: none */
};

struct api_import_packages {
    struct api_package_batch *batch;
    size_t sealed_count, change_count;
    struct db_package_version sealed[API_IMPORT_BATCH]; /* that could be current, by package */
    struct change changes[API_IMPORT_BATCH];
};

/* ---- reading a batch ---- */

static void forget(struct api_import_packages *p)
{
    for (size_t i = 0; i < p->change_count; i++) {
        json_decref(p->changes[i].before);
        json_decref(p->changes[i].after);
    }
    p->change_count = 0;
    p->sealed_count = 0;
}

void api_import_packages_free(struct api_import_packages *p)
{
    if (p != NULL) {
        forget(p);
        api_package_batch_free(p->batch);
        free(p);
    }
}

static enum cp_err make(struct api_import *im, struct cp_error *err)
{
    im->packages = calloc(1, sizeof *im->packages);
    if (im->packages == NULL || api_package_batch_new(&im->packages->batch) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    return CP_OK;
}

static uint32_t pinned(const struct db_package *p)
{
    return p != NULL ? p->pinned_version : 0;
}

/* Of the versions that the document would make current and that are not: which are sealed? */
static enum cp_err fetch_sealed(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    struct api_import_packages *p = im->packages;
    struct db_package_version asked[API_IMPORT_BATCH];
    size_t count = 0;

    for (size_t i = 0; i < im->batch.count; i++) {
        const char *name = json_string_value(json_object_get(im->batch.items[i], "name"));
        json_int_t current = json_integer_value(json_object_get(im->batch.items[i], "current"));
        const struct db_package *present =
            name != NULL ? api_package_batch_find(p->batch, name) : NULL;

        if (present != NULL && current > 0 && current <= INT32_MAX &&
            (uint32_t)current != present->pinned_version) {
            memcpy(asked[count].package, present->name, sizeof present->name);
            asked[count++].number = (uint32_t)current;
        }
    }
    return count > 0 ? db_package_sealed(conn, asked, count, p->sealed, &p->sealed_count, err)
                     : CP_OK;
}

/* All at once and in one order, so that imports wait for each other and not in a circle. */
enum cp_err api_import_packages_hold(struct db_conn *conn, struct api_import *im,
                                     struct cp_error *err)
{
    const json_t *list = json_object_get(im->f.body, "packages");
    const char **names = calloc(json_array_size(list) + 1, sizeof *names);
    enum cp_err rc = CP_OK;
    size_t count = 0;
    json_t *item;
    size_t i;

    if (names == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    json_array_foreach(list, i, item)
    {
        if (im->section->differs[i]) {
            names[count++] = json_string_value(json_object_get(item, "name"));
        }
    }
    if (count > 0) {
        rc = db_package_hold(conn, names, count, err);
    }
    free(names);
    return rc;
}

enum cp_err api_import_packages_fetch(struct db_conn *conn, struct api_import *im,
                                      struct cp_error *err)
{
    const struct api_import_batch *b = &im->batch;

    if (im->packages == NULL) {
        CP_TRY(make(im, err));
    }
    forget(im->packages);
    CP_TRY(api_package_batch_read(conn, im->packages->batch, b->names, b->name_count, err));
    return fetch_sealed(conn, im, err);
}

/* ---- comparing ---- */

static int by_package(const void *name, const void *version)
{
    return strcmp(name, ((const struct db_package_version *)version)->package);
}

/* What PATCH does not have: which version is pinned. */
static void read_package(struct api_fields *f, struct db_package *p)
{
    int64_t current;

    api_package_read(f, p);
    if (api_field_null(f, "current")) {
        p->pinned_version = 0;
    } else if (api_field_int(f, "current", API_OPTIONAL, 1, INT32_MAX, &current)) {
        p->pinned_version = (uint32_t)current;
    }
}

/* Only what is sealed can be current: content comes and goes by itself. */
static bool can_be_current(const struct api_import_packages *p, const struct db_package *present,
                           const struct db_package *wanted)
{
    const struct db_package_version *sealed;

    if (wanted->pinned_version == pinned(present) || wanted->pinned_version == 0) {
        return true;
    }
    sealed = bsearch(wanted->name, p->sealed, p->sealed_count, sizeof p->sealed[0], by_package);
    return sealed != NULL && sealed->number == wanted->pinned_version;
}

static void note_left(struct api_import *im, const char *name, uint32_t current)
{
    im->differs = true; /* to be noted again when it is time to write */
    if (!im->looking && json_array_size(im->left) < API_IMPORT_SHOWN) {
        (void)json_array_append_new(
            im->left, json_pack("{s:s, s:s, s:s, s:I, s:s}", "section", "packages", "name", name,
                                "field", "current", "value", (json_int_t)current, "reason",
                                "The package has no sealed version of that number here."));
    }
}

/* Nothing but the pin differs: the package itself is not changed. */
static bool only_current_differs(json_t *before, const json_t *after)
{
    json_t *copy = json_copy(before);
    bool same;

    (void)json_object_set(copy, "current", json_object_get(after, "current"));
    same = json_equal(copy, after);
    json_decref(copy);
    return same;
}

/* Leaves to the flush what differs. */
static void compare(struct api_import *im, const struct db_package *present,
                    const struct db_package *wanted)
{
    struct api_import_packages *p = im->packages;
    struct change *c;

    if (!api_import_to_write(im, present != NULL ? api_configuration_package(present) : json_null(),
                             api_configuration_package(wanted))) {
        return;
    }
    c = &p->changes[p->change_count++];
    *c = (struct change){.before = im->before,
                         .after = im->after,
                         .pins = wanted->pinned_version != pinned(present),
                         .pin = wanted->pinned_version};
    (void)snprintf(c->name, sizeof c->name, "%s", wanted->name);
    if (present == NULL || !only_current_differs(c->before, c->after)) {
        im->access = im->access || (present != NULL && wanted->access != present->access);
        api_package_batch_add(p->batch);
    }
}

enum cp_err api_import_package(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               struct cp_error *err)
{
    struct api_import_packages *p = im->packages;
    const char *name = api_package_read_name(f);
    bool usable = api_import_first_time(im, f, name);
    /* without a usable name: for what else is wrong */
    struct db_package *wanted = api_package_batch_draft(p->batch, usable ? name : "");
    const struct db_package *present = usable ? api_package_batch_find(p->batch, name) : NULL;
    uint32_t current;
    bool can;

    (void)conn;
    (void)err;
    read_package(f, wanted);
    if (!api_fields_ok(f)) {
        return CP_OK;
    }
    current = wanted->pinned_version;
    can = can_be_current(p, present, wanted);
    if (!can) {
        wanted->pinned_version = pinned(present);
    }
    compare(im, present, wanted);
    if (!can) {
        note_left(im, name, current);
    }
    return CP_OK;
}

enum cp_err api_import_packages_flush(struct db_conn *conn, struct api_import *im,
                                      struct cp_error *err)
{
    struct api_import_packages *p = im->packages;

    CP_TRY(api_package_batch_write(conn, im->ctx, im->call, p->batch, err));
    for (size_t i = 0; i < p->change_count; i++) {
        struct change *c = &p->changes[i];
        enum cp_err rc = CP_OK;

        if (c->pins) {
            rc = api_package_pin(conn, im->ctx, im->call, c->name, c->pin, err);
        }
        im->before = c->before;
        im->after = c->after;
        c->before = NULL;
        c->after = NULL;
        CP_TRY(api_import_written(im, "packages", c->name, rc));
    }
    return CP_OK;
}

/* ---- those that are not named ---- */

/* Whatever was changed meanwhile: they are not in the document. */
static enum cp_err delete_batch(struct db_conn *conn, struct api_import *im,
                                const char *const *names, size_t count, struct cp_error *err)
{
    struct api_package_batch *b = im->packages->batch;
    enum cp_err rc;

    CP_TRY(db_package_doom(conn, names, count, err));
    CP_TRY(api_package_batch_read(conn, b, names, count, err));
    rc = api_package_batch_delete(conn, im->ctx, im->call, b, err);
    if (rc == CP_ERR_CONFLICT) {
        cp_error_prefix(err, "Not in the document, hence to be deleted");
    }
    CP_TRY(rc);
    for (size_t i = 0; i < api_package_batch_count(b); i++) {
        const struct db_package *p = api_package_batch_at(b, i);

        (void)api_import_to_write(im, api_configuration_package(p), json_null());
        CP_TRY(api_import_written(im, "packages", p->name, CP_OK));
    }
    return CP_OK;
}

static enum cp_err prune(struct db_conn *conn, struct api_import *im, struct db_package *rows,
                         struct cp_error *err)
{
    struct db_package_list list = {.after = ""};
    char after[DB_NAME_SIZE] = "";
    size_t count = API_IMPORT_BATCH;

    while (count == API_IMPORT_BATCH) {
        const char *names[API_IMPORT_BATCH];
        size_t gone = 0;

        list.after = after;
        CP_TRY(db_package_list(conn, &list, API_IMPORT_BATCH, rows, &count, err));
        for (size_t i = 0; i < count; i++) {
            if (!api_import_is_named(im, rows[i].name)) {
                names[gone++] = rows[i].name;
            }
        }
        if (count > 0) {
            (void)snprintf(after, sizeof after, "%s", rows[count - 1].name);
        }
        if (gone > 0) {
            CP_TRY(delete_batch(conn, im, names, gone, err));
        }
    }
    return CP_OK;
}

enum cp_err api_import_packages_prune(struct db_conn *conn, struct api_import *im,
                                      struct cp_error *err)
{
    struct db_package *rows = calloc(API_IMPORT_BATCH, sizeof *rows);
    enum cp_err rc = rows == NULL ? CP_ERR_NO_MEMORY : CP_OK;

    if (rc == CP_OK && im->packages == NULL) {
        rc = make(im, err);
    }
    if (rc == CP_OK) {
        rc = prune(conn, im, rows, err);
    }
    free(rows);
    return rc;
}
