/* SPDX-License-Identifier: Apache-2.0
 * What the import of a configuration does with a distribution point's settings, a package, an
 * account, a webhook. Touches the database; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/resource.h"
#include "api/point/configuration_import.h"

#define ROWS  100 /* fetched at once */
#define TRIES 3   /* when somebody else changes the same thing */

/* Takes over before and after (json_null() for none). True: they differ, and it is time to write;
 * written() follows. */
static bool to_write(struct api_import *im, json_t *before, json_t *after)
{
    im->differs = !json_equal(before, after);
    if (im->differs && !im->looking) {
        im->before = before;
        im->after = after;
        return true;
    }
    json_decref(before);
    json_decref(after);
    return false;
}

/* Notes the change unless it failed; gives rc back. */
static enum cp_err written(struct api_import *im, const char *section, const char *name,
                           enum cp_err rc)
{
    static const char *const words[] = {"create", "change", "delete"};
    enum api_import_action action = json_is_null(im->before)  ? API_IMPORT_CREATE
                                    : json_is_null(im->after) ? API_IMPORT_DELETE
                                                              : API_IMPORT_CHANGE;

    im->counts[action] += rc == CP_OK;
    if (rc == CP_OK && json_array_size(im->changes) < API_IMPORT_SHOWN) {
        (void)json_array_append_new(im->changes,
                                    json_pack("{s:s, s:s, s:s, s:O, s:O}", "section", section,
                                              "name", name, "action", words[action], "before",
                                              im->before, "after", im->after));
    }
    json_decref(im->before);
    json_decref(im->after);
    im->before = NULL;
    im->after = NULL;
    return rc;
}

/* There is a name, which the section has not had yet. */
static bool first_time(struct api_import *im, struct api_fields *f, const char *name)
{
    if (name == NULL || !im->looking) {
        return name != NULL;
    }
    if (json_object_get(im->section->names, name) != NULL) {
        api_field_error(f, "name", "is given twice in this section: give it once");
        return false;
    }
    (void)json_object_set_new(im->section->names, name, json_true());
    return true;
}

static bool is_named(const struct api_import *im, const char *name)
{
    return json_object_get(im->section->names, name) != NULL;
}

typedef enum cp_err put_fn(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                           const char *name, struct cp_error *err);

/* Compares an item with what has that name, and writes what differs. What somebody else changes
 * between the two is compared again: whoever finds another revision has locked the row by that. */
static enum cp_err put(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                       put_fn *item, const char *name, struct cp_error *err)
{
    enum cp_err rc = CP_OK;

    for (int i = 0; i < TRIES; i++) {
        rc = item(conn, im, f, name, err);
        if (rc != CP_ERR_PRECONDITION_FAILED && rc != CP_ERR_NOT_FOUND &&
            rc != CP_ERR_PACKAGE_NOT_FOUND) {
            break;
        }
    }
    return rc;
}

/* ---- packages ---- */

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
static enum cp_err can_be_current(struct db_conn *conn, struct api_import *im, bool *ret_can,
                                  struct cp_error *err)
{
    const struct db_package *wanted = &im->package.wanted;
    enum cp_err rc;

    *ret_can = true;
    if (wanted->pinned_version == 0 ||
        wanted->pinned_version == im->package.present.pinned_version) {
        return CP_OK;
    }
    rc = db_version_get(conn, wanted->name, wanted->pinned_version, &im->version, err);
    *ret_can = rc == CP_OK && im->version.state == DB_VERSION_SEALED;
    return rc == CP_ERR_VERSION_NOT_FOUND || rc == CP_ERR_PACKAGE_NOT_FOUND ? CP_OK : rc;
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

static enum cp_err write_package(struct db_conn *conn, struct api_import *im, bool exists,
                                 struct cp_error *err)
{
    struct api_package_change *c = &im->package;
    enum cp_err rc = CP_OK;

    if (!to_write(im, exists ? api_configuration_package(&c->present) : json_null(),
                  api_configuration_package(&c->wanted))) {
        return CP_OK;
    }
    if (!exists) {
        rc = api_package_make(conn, im->ctx, im->call, &c->wanted, &c->result, err);
    } else if (!only_current_differs(im->before, im->after)) {
        c->settle_later = true;
        im->access = im->access || c->wanted.access != c->present.access;
        rc = api_package_change(conn, im->ctx, im->call, c, err);
    }
    if (rc == CP_OK && c->wanted.pinned_version != c->present.pinned_version) {
        rc =
            api_package_pin(conn, im->ctx, im->call, c->wanted.name, c->wanted.pinned_version, err);
    }
    return written(im, "packages", c->wanted.name, rc);
}

static enum cp_err put_package(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               const char *name, struct cp_error *err)
{
    struct api_package_change *c = &im->package;
    enum cp_err rc = db_package_get(conn, name, &c->present, err);
    bool exists = rc == CP_OK;
    uint32_t current;
    bool can;

    if (rc == CP_ERR_PACKAGE_NOT_FOUND) {
        c->present = (struct db_package)API_PACKAGE_NEW;
        (void)snprintf(c->present.name, sizeof c->present.name, "%s", name);
    } else if (rc != CP_OK) {
        return rc;
    }
    c->wanted = c->present;
    read_package(f, &c->wanted);
    if (!api_fields_ok(f)) {
        return CP_OK;
    }
    CP_TRY(can_be_current(conn, im, &can, err));
    current = c->wanted.pinned_version;
    if (!can) {
        c->wanted.pinned_version = c->present.pinned_version;
    }
    CP_TRY(write_package(conn, im, exists, err));
    if (!can) {
        note_left(im, name, current);
    }
    return CP_OK;
}

static enum cp_err import_package(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    const char *name = api_package_read_name(f);

    if (!first_time(im, f, name)) {
        read_package(f, &im->package.wanted); /* for what else is wrong */
        (void)api_fields_ok(f);
        return CP_OK;
    }
    return put(conn, im, f, put_package, name, err);
}

/* Whatever was changed meanwhile: it is not in the document. */
static enum cp_err prune_package(struct db_conn *conn, struct api_import *im, struct db_package *p,
                                 struct cp_error *err)
{
    enum cp_err rc = CP_OK;

    p->revision = DB_REVISION_ANY;
    if (!is_named(im, p->name) && to_write(im, api_configuration_package(p), json_null())) {
        rc = api_package_remove(conn, im->ctx, im->call, p, err);
        rc = written(im, "packages", p->name, rc);
    }
    if (rc == CP_ERR_CONFLICT) {
        cp_error_prefix(err, "Package '%s' is not in the document, but", p->name);
    }
    return rc == CP_ERR_PACKAGE_NOT_FOUND ? CP_OK : rc;
}

static enum cp_err prune_packages(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    struct db_package *rows = calloc(ROWS, sizeof *rows);
    struct db_package_list list = {.after = ""};
    char after[DB_NAME_SIZE] = "";
    size_t count = ROWS;
    enum cp_err rc = rows == NULL ? CP_ERR_NO_MEMORY : CP_OK;

    while (rc == CP_OK && count == ROWS) {
        list.after = after;
        rc = db_package_list(conn, &list, ROWS, rows, &count, err);
        for (size_t i = 0; rc == CP_OK && i < count; i++) {
            (void)snprintf(after, sizeof after, "%s", rows[i].name);
            rc = prune_package(conn, im, &rows[i], err);
        }
    }
    free(rows);
    return rc;
}

/* ---- accounts ---- */

static enum cp_err put_account(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               const char *name, struct cp_error *err)
{
    struct api_account_change *c = &im->account;
    enum cp_err rc = db_account_get(conn, name, &c->present, err);

    if (rc == CP_OK) {
        c->wanted = c->present;
    } else if (rc == CP_ERR_NOT_FOUND) {
        c->wanted = (struct db_account){.enabled = true};
        (void)snprintf(c->wanted.name, sizeof c->wanted.name, "%s", name);
    } else {
        return rc;
    }
    api_account_read(f, rc == CP_OK ? API_OPTIONAL : API_REQUIRED, &c->wanted);
    if (!api_fields_ok(f) ||
        !to_write(im, rc == CP_OK ? api_configuration_account(&c->present) : json_null(),
                  api_configuration_account(&c->wanted))) {
        return CP_OK;
    }
    rc = rc == CP_OK ? api_account_change(conn, im->ctx, im->call, c, err)
                     : api_account_make(conn, im->ctx, im->call, c, err);
    return written(im, "accounts", name, rc);
}

static enum cp_err import_account(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    const char *name = api_account_read_name(f);

    if (!first_time(im, f, name)) {
        api_account_read(f, API_OPTIONAL, &im->account.wanted); /* for what else is wrong */
        (void)api_fields_ok(f);
        return CP_OK;
    }
    return put(conn, im, f, put_account, name, err);
}

static enum cp_err prune_account(struct db_conn *conn, struct api_import *im,
                                 const struct db_account *account, struct cp_error *err)
{
    struct api_account_change *c = &im->account;
    enum cp_err rc;

    if (is_named(im, account->name)) {
        return CP_OK;
    }
    if (strcmp(account->id, im->call->who->account_id) == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "Account '%s' is not in the document, but it is the one that asks: add "
                            "it, or import with another account.",
                            account->name);
    }
    (void)to_write(im, api_configuration_account(account), json_null());
    c->present = *account;
    c->present.revision = DB_REVISION_ANY;
    rc =
        written(im, "accounts", account->name, api_account_remove(conn, im->ctx, im->call, c, err));
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static enum cp_err prune_accounts(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    struct db_account *rows = calloc(ROWS, sizeof *rows);
    char after[DB_NAME_SIZE] = "";
    size_t count = ROWS;
    enum cp_err rc = rows == NULL ? CP_ERR_NO_MEMORY : CP_OK;

    while (rc == CP_OK && count == ROWS) {
        rc = db_account_list(conn, after, ROWS, rows, &count, err);
        for (size_t i = 0; rc == CP_OK && i < count; i++) {
            (void)snprintf(after, sizeof after, "%s", rows[i].name);
            rc = prune_account(conn, im, &rows[i], err);
        }
    }
    free(rows);
    return rc;
}

/* ---- webhooks ---- */

static enum cp_err put_webhook(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               const char *name, struct cp_error *err)
{
    struct api_webhook_change *c = &im->webhook;
    enum cp_err rc = db_webhook_get(conn, name, &c->present, err);

    if (rc == CP_OK) {
        c->wanted = c->present;
    } else if (rc == CP_ERR_NOT_FOUND) {
        c->wanted = (struct db_webhook){.enabled = true};
        (void)snprintf(c->wanted.name, sizeof c->wanted.name, "%s", name);
    } else {
        return rc;
    }
    api_webhook_read(f, rc != CP_OK, &c->wanted);
    if (!api_fields_ok(f) ||
        !to_write(im, rc == CP_OK ? api_webhook_values(&c->present) : json_null(),
                  api_webhook_values(&c->wanted))) {
        return CP_OK;
    }
    rc = rc == CP_OK ? api_webhook_change(conn, im->ctx, im->call, c, err)
                     : api_webhook_make(conn, im->ctx, im->call, c, err);
    /* nobody is told: PATCH with new_secret makes one that is */
    keys_wipe(c->secret, sizeof c->secret);
    return written(im, "webhooks", name, rc);
}

static enum cp_err import_webhook(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    const char *name = api_webhook_read_name(f);

    if (!first_time(im, f, name)) {
        api_webhook_read(f, false, &im->webhook.wanted); /* for what else is wrong */
        (void)api_fields_ok(f);
        return CP_OK;
    }
    return put(conn, im, f, put_webhook, name, err);
}

static enum cp_err prune_webhook(struct db_conn *conn, struct api_import *im,
                                 const struct db_webhook *webhook, struct cp_error *err)
{
    struct api_webhook_change *c = &im->webhook;
    enum cp_err rc = CP_OK;

    if (!is_named(im, webhook->name) && to_write(im, api_webhook_values(webhook), json_null())) {
        c->present = *webhook;
        c->present.revision = DB_REVISION_ANY;
        rc = written(im, "webhooks", webhook->name,
                     api_webhook_remove(conn, im->ctx, im->call, c, err));
    }
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static enum cp_err prune_webhooks(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    struct db_webhook *rows = calloc(ROWS, sizeof *rows);
    char after[DB_NAME_SIZE] = "";
    size_t count = ROWS;
    enum cp_err rc = rows == NULL ? CP_ERR_NO_MEMORY : CP_OK;

    while (rc == CP_OK && count == ROWS) {
        rc = db_webhook_list(conn, after, ROWS, rows, &count, err);
        for (size_t i = 0; rc == CP_OK && i < count; i++) {
            (void)snprintf(after, sizeof after, "%s", rows[i].name);
            rc = prune_webhook(conn, im, &rows[i], err);
        }
    }
    free(rows);
    return rc;
}

/* ---- settings ---- */

static enum cp_err put_settings(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                                const char *name, struct cp_error *err)
{
    struct api_settings_change *c = &im->settings;
    json_t *given = json_object_get(f->body, "settings");
    struct api_fields inside;
    bool ok;

    (void)name;
    CP_TRY(db_settings_get(conn, c->node.id, &c->present, err));
    c->wanted = c->present;
    api_fields_inside(&inside, f, given);
    api_settings_read(&inside, strcmp(c->node.id, im->ctx->node_id) == 0, &c->wanted);
    ok = api_fields_ok(&inside);
    api_fields_inside_end(&inside, f, "settings");
    if (!ok || !to_write(im, api_configuration_node(&c->node, &c->present),
                         api_configuration_node(&c->node, &c->wanted))) {
        return CP_OK;
    }
    c->settle_later = true;
    im->access = im->access || c->wanted.content_access != c->present.content_access;
    return written(im, "distribution_points", c->node.name,
                   api_settings_change(conn, im->ctx, im->call, c, err));
}

static enum cp_err import_node(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               struct cp_error *err)
{
    const char *name = api_field_string(f, "name", API_REQUIRED, 1, DB_NAME_SIZE - 1);
    enum cp_err rc = CP_OK;

    (void)api_field_object(f, "settings", API_REQUIRED);
    if (first_time(im, f, name)) {
        rc = api_node_find(conn, im->ctx, name, &im->settings.node, err);
        if (rc == CP_ERR_NOT_FOUND) {
            api_field_error(f, "name",
                            "is no distribution point here: settings cannot be given to one that "
                            "has never started; give its name, or 'local'");
        }
    }
    if (!api_fields_ok(f)) {
        return CP_OK;
    }
    CP_TRY(rc);
    return put(conn, im, f, put_settings, name, err);
}

/* ---- all of them ---- */

const struct api_import_section api_import_sections[API_IMPORT_SECTIONS] = {
    {"distribution_points", import_node, NULL},
    {"packages", import_package, prune_packages},
    {"accounts", import_account, prune_accounts},
    {"webhooks", import_webhook, prune_webhooks},
};
