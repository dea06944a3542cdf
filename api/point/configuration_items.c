/* SPDX-License-Identifier: Apache-2.0
 * What the import of a configuration does with a distribution point's settings, an account, a
 * webhook, and what it does with all things alike. Touches the database; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/resource.h"
#include "api/point/configuration_import.h"

#define ROWS  100 /* fetched at once */
#define TRIES 3   /* when somebody else changes the same thing */

bool api_import_to_write(struct api_import *im, json_t *before, json_t *after)
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

enum cp_err api_import_written(struct api_import *im, const char *section, const char *name,
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

bool api_import_first_time(struct api_import *im, struct api_fields *f, const char *name)
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

bool api_import_is_named(const struct api_import *im, const char *name)
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
        if (rc != CP_ERR_PRECONDITION_FAILED && rc != CP_ERR_NOT_FOUND) {
            break;
        }
    }
    return rc;
}

/* ---- accounts ---- */

static enum cp_err fetch_accounts(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    const struct api_import_batch *b = &im->batch;

    im->account_count = 0;
    if (!im->looking || b->name_count == 0) {
        return CP_OK; /* an account is written by itself, and read for that */
    }
    if (im->accounts == NULL) {
        im->accounts = calloc(API_IMPORT_BATCH, sizeof *im->accounts);
    }
    if (im->accounts == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    return db_account_named(conn, b->names, b->name_count, im->accounts, &im->account_count, err);
}

static int by_name(const void *name, const void *account)
{
    return strcmp(name, ((const struct db_account *)account)->name);
}

/* CP_ERR_NOT_FOUND. */
static enum cp_err present_account(struct db_conn *conn, struct api_import *im, const char *name,
                                   struct db_account *ret_account, struct cp_error *err)
{
    const struct db_account *row;

    if (!im->looking) {
        return db_account_get(conn, name, ret_account, err);
    }
    row = im->account_count == 0
              ? NULL
              : bsearch(name, im->accounts, im->account_count, sizeof *im->accounts, by_name);
    if (row == NULL) {
        return CP_ERR_NOT_FOUND;
    }
    *ret_account = *row;
    return CP_OK;
}

/* One may have what another one gives away, in whatever order the document has them. */
static enum cp_err hold_accounts(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    im->account.part = true;
    return db_account_parts_begin(conn, err);
}

static enum cp_err end_accounts(struct db_conn *conn, struct api_import *im, struct cp_error *err)
{
    (void)im;
    return db_account_parts_end(conn, err);
}

static enum cp_err put_account(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               const char *name, struct cp_error *err)
{
    struct api_account_change *c = &im->account;
    enum cp_err rc = present_account(conn, im, name, &c->present, err);

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
        !api_import_to_write(im, rc == CP_OK ? api_configuration_account(&c->present) : json_null(),
                             api_configuration_account(&c->wanted))) {
        return CP_OK;
    }
    rc = rc == CP_OK ? api_account_change(conn, im->ctx, im->call, c, err)
                     : api_account_make(conn, im->ctx, im->call, c, err);
    return api_import_written(im, "accounts", name, rc);
}

static enum cp_err import_account(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    const char *name = api_account_read_name(f);

    if (!api_import_first_time(im, f, name)) {
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

    if (api_import_is_named(im, account->name)) {
        return CP_OK;
    }
    if (strcmp(account->id, im->call->who->account_id) == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "Account '%s' is not in the document, but it is the one that asks: add "
                            "it, or import with another account.",
                            account->name);
    }
    (void)api_import_to_write(im, api_configuration_account(account), json_null());
    c->present = *account;
    c->present.revision = DB_REVISION_ANY;
    rc = api_import_written(im, "accounts", account->name,
                            api_account_remove(conn, im->ctx, im->call, c, err));
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
        !api_import_to_write(im, rc == CP_OK ? api_webhook_values(&c->present) : json_null(),
                             api_webhook_values(&c->wanted))) {
        return CP_OK;
    }
    rc = rc == CP_OK ? api_webhook_change(conn, im->ctx, im->call, c, err)
                     : api_webhook_make(conn, im->ctx, im->call, c, err);
    /* nobody is told: PATCH with new_secret makes one that is */
    keys_wipe(c->secret, sizeof c->secret);
    return api_import_written(im, "webhooks", name, rc);
}

static enum cp_err import_webhook(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    const char *name = api_webhook_read_name(f);

    if (!api_import_first_time(im, f, name)) {
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

    if (!api_import_is_named(im, webhook->name) &&
        api_import_to_write(im, api_webhook_values(webhook), json_null())) {
        c->present = *webhook;
        c->present.revision = DB_REVISION_ANY;
        rc = api_import_written(im, "webhooks", webhook->name,
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
    if (!ok || !api_import_to_write(im, api_configuration_node(&c->node, &c->present),
                                    api_configuration_node(&c->node, &c->wanted))) {
        return CP_OK;
    }
    c->settle_later = true;
    im->access = im->access || c->wanted.content_access != c->present.content_access;
    return api_import_written(im, "distribution_points", c->node.name,
                              api_settings_change(conn, im->ctx, im->call, c, err));
}

static enum cp_err import_node(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                               struct cp_error *err)
{
    const char *name = api_field_string(f, "name", API_REQUIRED, 1, DB_NAME_SIZE - 1);
    enum cp_err rc = CP_OK;

    (void)api_field_object(f, "settings", API_REQUIRED);
    if (name != NULL) {
        rc = api_node_find(conn, im->ctx, name, &im->settings.node, err);
        if (rc == CP_ERR_NOT_FOUND) {
            api_field_error(f, "name",
                            "is no distribution point here: settings cannot be given to one that "
                            "has never started; give its name, or 'local'");
        } else if (rc == CP_OK) {
            (void)api_import_first_time(im, f, im->settings.node.id); /* by whatever name */
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
    {.name = "distribution_points", .item = import_node},
    {.name = "packages",
     .hold = api_import_packages_hold,
     .fetch = api_import_packages_fetch,
     .item = api_import_package,
     .flush = api_import_packages_flush,
     .prune = api_import_packages_prune},
    {.name = "accounts",
     .hold = hold_accounts,
     .fetch = fetch_accounts,
     .item = import_account,
     .prune = prune_accounts,
     .end = end_accounts},
    {.name = "webhooks", .item = import_webhook, .prune = prune_webhooks},
};
