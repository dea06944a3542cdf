/* SPDX-License-Identifier: Apache-2.0
 * Import of a configuration document: all of it in one transaction, or nothing. What it does not
 * name stays, unless it is to be pruned; a dry run is the import itself, rolled back. Touches the
 * database; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/configuration.h"
#include "api/handlers.h"
#include "api/live.h"
#include "api/resource.h"
#include "api/respond.h"

#define ROWS        100 /* fetched at once */
#define PREFIX_SIZE 64

struct import {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_fields f;
    bool prune, dry_run;
    bool refused;   /* the document is wrong: f has the errors */
    bool held_back; /* all went well, and it is rolled back because it is a dry run */
    json_t *changes;
    json_t *seen; /* names of the section that is read */
    struct api_package_change package;
    struct api_account_change account;
    struct api_settings_change settings;
    struct api_webhook_change webhook;
};

/* Takes over before and after (json_null() for none). False: they are the same. */
static bool note(struct import *im, const char *section, const char *name, json_t *before,
                 json_t *after)
{
    const char *action = json_is_null(before)  ? "create"
                         : json_is_null(after) ? "delete"
                                               : "change";

    if (json_equal(before, after)) {
        json_decref(before);
        json_decref(after);
        return false;
    }
    (void)json_array_append_new(im->changes, json_pack("{s:s, s:s, s:s, s:o, s:o}", "section",
                                                       section, "name", name, "action", action,
                                                       "before", before, "after", after));
    return true;
}

/* A name that the section has not had yet. */
static bool first_time(struct import *im, struct api_fields *f, const char *name)
{
    if (json_object_get(im->seen, name) != NULL) {
        api_field_error(f, "name", "is given twice in this section: give it once");
        return false;
    }
    (void)json_object_set_new(im->seen, name, json_true());
    return true;
}

/* ---- packages ---- */

static enum cp_err import_package(struct db_conn *conn, struct import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    struct api_package_change *c = &im->package;
    const char *name = api_package_read_name(f);
    enum cp_err rc = CP_ERR_PACKAGE_NOT_FOUND;

    c->wanted = (struct db_package)API_PACKAGE_NEW;
    if (name != NULL && first_time(im, f, name)) {
        rc = db_package_get(conn, name, &c->present, err);
        (void)snprintf(c->wanted.name, sizeof c->wanted.name, "%s", name);
    }
    if (rc == CP_OK) {
        c->wanted = c->present;
    } else if (rc != CP_ERR_PACKAGE_NOT_FOUND) {
        return rc;
    }
    api_package_read(f, &c->wanted);
    if (!api_fields_ok(f) ||
        !note(im, "packages", name,
              rc == CP_OK ? api_configuration_package(&c->present) : json_null(),
              api_configuration_package(&c->wanted))) {
        return CP_OK;
    }
    return rc == CP_OK ? api_package_change(conn, im->ctx, im->call, c, err)
                       : api_package_make(conn, im->ctx, im->call, &c->wanted, &c->result, err);
}

static enum cp_err prune_packages(struct db_conn *conn, struct import *im, struct cp_error *err)
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
            if (json_object_get(im->seen, rows[i].name) == NULL &&
                note(im, "packages", rows[i].name, api_configuration_package(&rows[i]),
                     json_null())) {
                rc = api_package_remove(conn, im->ctx, im->call, &rows[i], err);
            }
        }
    }
    if (rc == CP_ERR_CONFLICT) {
        cp_error_prefix(err, "Package '%s' is not in the document, but", after);
    }
    free(rows);
    return rc;
}

/* ---- accounts ---- */

static enum cp_err import_account(struct db_conn *conn, struct import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    struct api_account_change *c = &im->account;
    const char *name = api_account_read_name(f);
    enum cp_err rc = CP_ERR_NOT_FOUND;

    c->wanted = (struct db_account){.enabled = true};
    if (name != NULL && first_time(im, f, name)) {
        rc = db_account_get(conn, name, &c->present, err);
        (void)snprintf(c->wanted.name, sizeof c->wanted.name, "%s", name);
    }
    if (rc == CP_OK) {
        c->wanted = c->present;
    } else if (rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    api_account_read(f, rc == CP_OK ? API_OPTIONAL : API_REQUIRED, &c->wanted);
    if (!api_fields_ok(f) ||
        !note(im, "accounts", name,
              rc == CP_OK ? api_configuration_account(&c->present) : json_null(),
              api_configuration_account(&c->wanted))) {
        return CP_OK;
    }
    return rc == CP_OK ? api_account_change(conn, im->ctx, im->call, c, err)
                       : api_account_make(conn, im->ctx, im->call, c, err);
}

static enum cp_err prune_account(struct db_conn *conn, struct import *im,
                                 const struct db_account *account, struct cp_error *err)
{
    if (strcmp(account->id, im->call->who->account_id) == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "Account '%s' is not in the document, but it is the one that asks: add "
                            "it, or import with another account.",
                            account->name);
    }
    if (!note(im, "accounts", account->name, api_configuration_account(account), json_null())) {
        return CP_OK;
    }
    im->account.present = *account;
    return api_account_remove(conn, im->ctx, im->call, &im->account, err);
}

static enum cp_err prune_accounts(struct db_conn *conn, struct import *im, struct cp_error *err)
{
    struct db_account *rows = calloc(ROWS, sizeof *rows);
    char after[DB_NAME_SIZE] = "";
    size_t count = ROWS;
    enum cp_err rc = rows == NULL ? CP_ERR_NO_MEMORY : CP_OK;

    while (rc == CP_OK && count == ROWS) {
        rc = db_account_list(conn, after, ROWS, rows, &count, err);
        for (size_t i = 0; rc == CP_OK && i < count; i++) {
            (void)snprintf(after, sizeof after, "%s", rows[i].name);
            if (json_object_get(im->seen, rows[i].name) == NULL) {
                rc = prune_account(conn, im, &rows[i], err);
            }
        }
    }
    free(rows);
    return rc;
}

/* ---- webhooks ---- */

static enum cp_err import_webhook(struct db_conn *conn, struct import *im, struct api_fields *f,
                                  struct cp_error *err)
{
    struct api_webhook_change *c = &im->webhook;
    const char *name = api_webhook_read_name(f);
    enum cp_err rc = CP_ERR_NOT_FOUND;

    c->wanted = (struct db_webhook){.enabled = true};
    if (name != NULL && first_time(im, f, name)) {
        rc = db_webhook_get(conn, name, &c->present, err);
        (void)snprintf(c->wanted.name, sizeof c->wanted.name, "%s", name);
    }
    if (rc == CP_OK) {
        c->wanted = c->present;
    } else if (rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    api_webhook_read(f, rc != CP_OK, &c->wanted);
    if (!api_fields_ok(f) ||
        !note(im, "webhooks", name, rc == CP_OK ? api_webhook_values(&c->present) : json_null(),
              api_webhook_values(&c->wanted))) {
        return CP_OK;
    }
    rc = rc == CP_OK ? api_webhook_change(conn, im->ctx, im->call, c, err)
                     : api_webhook_make(conn, im->ctx, im->call, c, err);
    /* nobody is told: PATCH with new_secret makes one that is */
    keys_wipe(c->secret, sizeof c->secret);
    return rc;
}

static enum cp_err prune_webhooks(struct db_conn *conn, struct import *im, struct cp_error *err)
{
    struct db_webhook *rows = calloc(ROWS, sizeof *rows);
    char after[DB_NAME_SIZE] = "";
    size_t count = ROWS;
    enum cp_err rc = rows == NULL ? CP_ERR_NO_MEMORY : CP_OK;

    while (rc == CP_OK && count == ROWS) {
        rc = db_webhook_list(conn, after, ROWS, rows, &count, err);
        for (size_t i = 0; rc == CP_OK && i < count; i++) {
            (void)snprintf(after, sizeof after, "%s", rows[i].name);
            if (json_object_get(im->seen, rows[i].name) == NULL &&
                note(im, "webhooks", rows[i].name, api_webhook_values(&rows[i]), json_null())) {
                im->webhook.present = rows[i];
                rc = api_webhook_remove(conn, im->ctx, im->call, &im->webhook, err);
            }
        }
    }
    free(rows);
    return rc;
}

/* ---- settings ---- */

static enum cp_err import_node(struct db_conn *conn, struct import *im, struct api_fields *f,
                               struct cp_error *err)
{
    struct api_settings_change *c = &im->settings;
    const char *name = api_field_string(f, "name", API_REQUIRED, 1, DB_NAME_SIZE - 1);
    json_t *given = api_field_object(f, "settings", API_REQUIRED);
    struct api_fields inside;
    enum cp_err rc = CP_OK;
    bool ok;

    if (name != NULL && first_time(im, f, name)) {
        rc = api_node_find(conn, im->ctx, name, &c->node, err);
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
    CP_TRY(db_settings_get(conn, c->node.id, &c->present, err));
    c->wanted = c->present;
    api_fields_inside(&inside, f, given);
    api_settings_read(&inside, strcmp(c->node.id, im->ctx->node_id) == 0, &c->wanted);
    ok = api_fields_ok(&inside);
    api_fields_inside_end(&inside, f, "settings");
    if (!ok || !note(im, "distribution_points", c->node.name,
                     api_configuration_node(&c->node, &c->present),
                     api_configuration_node(&c->node, &c->wanted))) {
        return CP_OK;
    }
    return api_settings_change(conn, im->ctx, im->call, c, err);
}

/* ---- the document ---- */

static const struct section {
    const char *name;
    enum cp_err (*item)(struct db_conn *conn, struct import *im, struct api_fields *f,
                        struct cp_error *err);
    enum cp_err (*prune)(struct db_conn *conn, struct import *im, struct cp_error *err);
} sections[] = {
    {"distribution_points", import_node, NULL},
    {"packages", import_package, prune_packages},
    {"accounts", import_account, prune_accounts},
    {"webhooks", import_webhook, prune_webhooks},
};

static enum cp_err import_section(struct db_conn *conn, struct import *im, const struct section *s,
                                  struct cp_error *err)
{
    json_t *list = api_field_array(&im->f, s->name, API_OPTIONAL);
    size_t count = json_array_size(list);

    if (list == NULL) {
        return CP_OK;
    }
    (void)json_object_clear(im->seen);
    for (size_t i = 0; i < count; i++) {
        struct api_fields item;
        char prefix[PREFIX_SIZE];
        enum cp_err rc;

        (void)snprintf(prefix, sizeof prefix, "%s[%zu]", s->name, i);
        api_fields_inside(&item, &im->f, json_array_get(list, i));
        rc = s->item(conn, im, &item, err);
        api_fields_inside_end(&item, &im->f, prefix);
        if (rc != CP_OK) {
            cp_error_prefix(err, "%s", prefix);
            return rc;
        }
    }
    return im->prune && s->prune != NULL ? s->prune(conn, im, err) : CP_OK;
}

static enum cp_err tell(struct db_conn *conn, struct import *im, struct cp_error *err)
{
    if (json_array_size(im->changes) == 0) {
        return CP_OK;
    }
    return api_event_write(
        conn, im->ctx, im->call,
        &(struct api_event){.kind = "configuration-imported",
                            .subject = "configuration",
                            .detail = json_pack("{s:I, s:b}", "changes",
                                                (json_int_t)json_array_size(im->changes), "pruned",
                                                im->prune)},
        err);
}

static enum cp_err import_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct import *im = arg;
    int64_t format = 0;

    api_fields_again(&im->f);
    (void)json_array_clear(im->changes);
    im->refused = false;
    im->held_back = false;
    CP_TRY(api_access_change_begin(conn, err)); /* must come before all else */
    (void)api_field_int(&im->f, "format", API_REQUIRED, API_CONFIGURATION_FORMAT,
                        API_CONFIGURATION_FORMAT, &format);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        CP_TRY(import_section(conn, im, &sections[i], err));
    }
    im->refused = !api_fields_ok(&im->f);
    if (im->refused) {
        return CP_ERR_INVALID;
    }
    CP_TRY(tell(conn, im, err));
    im->held_back = im->dry_run;
    return im->dry_run ? CP_ERR_CANCELLED : CP_OK;
}

static struct api_response run(struct import *im)
{
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_tx_locking(im->ctx->db, "import-configuration", import_body, im, &err);
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
        200, json_pack("{s:b, s:O}", "dry_run", im->dry_run, "changes", im->changes));
}

static bool read_query(const struct api_call *call, struct import *im,
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
    struct import *im = calloc(1, sizeof *im);
    struct api_response rs;

    if (im == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    im->ctx = ctx;
    im->call = call;
    im->changes = json_array();
    im->seen = json_object();
    if (read_query(call, im, &rs)) {
        api_fields_body(&im->f, call);
        if (im->f.fail.code == CP_OK) {
            rs = run(im);
        } else {
            rs = api_fields_refuse(&im->f, call);
        }
    }
    json_decref(im->changes);
    json_decref(im->seen);
    free(im);
    return rs;
}
