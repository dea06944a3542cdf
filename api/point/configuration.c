/* SPDX-License-Identifier: Apache-2.0
 * Export of all configuration: the same configuration gives the same bytes. Touches the database;
 * thread-safe. */
#include "api/point/configuration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/content/labels.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "common/hex.h"
#include "content/sha256.h"

#define ROWS 100 /* fetched at once */

json_t *api_configuration_package(const struct db_package *p)
{
    json_t *current = p->pinned_version > 0 ? json_integer(p->pinned_version) : json_null();

    return json_pack("{s:s, s:s, s:s, s:b, s:s, s:o, s:o}", "name", p->name, "description",
                     p->description, "multicast", db_policy_name(p->policy), "encrypt", p->encrypt,
                     "content_access", db_access_name(p->access), "labels",
                     api_labels_json(p->labels), "current", current);
}

json_t *api_configuration_account(const struct db_account *a)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", a->name, "description", a->description,
                     "role", db_role_name(a->role), "enabled", a->enabled, "principal",
                     api_json_text(a->principal));
}

json_t *api_configuration_node(const struct db_node *node, const struct db_settings *s)
{
    return json_pack("{s:s, s:o}", "name", node->name, "settings", api_settings_values(s));
}

/* ---- all of a kind, in the order of names ---- */

/* Fetches rows after a name; gives the last one's name and appends each to the list. */
typedef enum cp_err fetch_fn(struct db_conn *conn, char after[DB_NAME_SIZE], void *rows,
                             size_t *ret_count, json_t *list, struct cp_error *err);

static enum cp_err fetch_packages(struct db_conn *conn, char after[DB_NAME_SIZE], void *rows,
                                  size_t *ret_count, json_t *list, struct cp_error *err)
{
    const struct db_package_list wanted = {.after = after};
    struct db_package *items = rows;

    CP_TRY(db_package_list(conn, &wanted, ROWS, items, ret_count, err));
    for (size_t i = 0; i < *ret_count; i++) {
        (void)json_array_append_new(list, api_configuration_package(&items[i]));
        (void)snprintf(after, DB_NAME_SIZE, "%s", items[i].name);
    }
    return CP_OK;
}

static enum cp_err fetch_accounts(struct db_conn *conn, char after[DB_NAME_SIZE], void *rows,
                                  size_t *ret_count, json_t *list, struct cp_error *err)
{
    struct db_account *items = rows;

    CP_TRY(db_account_list(conn, after, ROWS, items, ret_count, err));
    for (size_t i = 0; i < *ret_count; i++) {
        (void)json_array_append_new(list, api_configuration_account(&items[i]));
        (void)snprintf(after, DB_NAME_SIZE, "%s", items[i].name);
    }
    return CP_OK;
}

static enum cp_err fetch_webhooks(struct db_conn *conn, char after[DB_NAME_SIZE], void *rows,
                                  size_t *ret_count, json_t *list, struct cp_error *err)
{
    struct db_webhook *items = rows;

    CP_TRY(db_webhook_list(conn, after, ROWS, items, ret_count, err));
    for (size_t i = 0; i < *ret_count; i++) {
        (void)json_array_append_new(list, api_webhook_values(&items[i]));
        (void)snprintf(after, DB_NAME_SIZE, "%s", items[i].name);
    }
    return CP_OK;
}

static enum cp_err fetch_nodes(struct db_conn *conn, char after[DB_NAME_SIZE], void *rows,
                               size_t *ret_count, json_t *list, struct cp_error *err)
{
    struct db_node *items = rows;

    CP_TRY(db_node_list(conn, after, ROWS, items, ret_count, err));
    for (size_t i = 0; i < *ret_count; i++) {
        struct db_settings settings;

        CP_TRY(db_settings_get(conn, items[i].id, &settings, err));
        (void)json_array_append_new(list, api_configuration_node(&items[i], &settings));
        (void)snprintf(after, DB_NAME_SIZE, "%s", items[i].name);
    }
    return CP_OK;
}

static enum cp_err add_section(struct db_conn *conn, json_t *document, const char *name,
                               fetch_fn *fetch, size_t row_size, struct cp_error *err)
{
    void *rows = calloc(ROWS, row_size);
    json_t *list = json_array();
    char after[DB_NAME_SIZE] = "";
    size_t count = ROWS;
    enum cp_err rc = CP_OK;

    if (rows == NULL || list == NULL) {
        rc = cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    while (rc == CP_OK && count == ROWS) {
        rc = fetch(conn, after, rows, &count, list, err);
    }
    free(rows);
    (void)json_object_set_new(document, name, list);
    return rc;
}

struct export_tx {
    json_t *document;
};

static enum cp_err export_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct export_tx *t = arg;

    json_decref(t->document); /* of a run that failed */
    t->document = json_pack("{s:i}", "format", API_CONFIGURATION_FORMAT);
    CP_TRY(add_section(conn, t->document, "distribution_points", fetch_nodes,
                       sizeof(struct db_node), err));
    CP_TRY(
        add_section(conn, t->document, "packages", fetch_packages, sizeof(struct db_package), err));
    CP_TRY(
        add_section(conn, t->document, "accounts", fetch_accounts, sizeof(struct db_account), err));
    return add_section(conn, t->document, "webhooks", fetch_webhooks, sizeof(struct db_webhook),
                       err);
}

static enum cp_err etag_of(const struct api_response *rs, char ret_etag[API_ETAG_SIZE],
                           struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char text[CONTENT_DIGEST_TEXT_SIZE];

    if (rs->body == NULL || content_sha256(rs->body, rs->body_size, digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the configuration.");
    }
    cp_hex_encode(digest, sizeof digest, text);
    (void)snprintf(ret_etag, API_ETAG_SIZE, "\"%s\"", text);
    return CP_OK;
}

enum cp_err api_configuration_etag(struct db_conn *conn, char ret_etag[API_ETAG_SIZE],
                                   struct cp_error *err)
{
    struct export_tx t = {.document = NULL};
    enum cp_err rc = export_body(conn, &t, err);
    struct api_response rs;

    if (rc != CP_OK) {
        json_decref(t.document);
        return rc;
    }
    rs = api_response_json(200, t.document);
    rc = etag_of(&rs, ret_etag, err);
    api_response_done(&rs);
    return rc;
}

struct api_response api_configuration_get(const struct api_context *ctx,
                                          const struct api_call *call)
{
    struct export_tx t = {.document = NULL};
    struct cp_error err = {.code = CP_OK};
    char etag[API_ETAG_SIZE];
    struct api_response rs;

    err.code = db_run_read(ctx->db, "export-configuration", export_body, &t, &err);
    if (err.code != CP_OK) {
        json_decref(t.document);
        return api_refuse(call, &err);
    }
    rs = api_response_json(200, t.document);
    err.code = etag_of(&rs, etag, &err);
    if (err.code != CP_OK) {
        api_response_done(&rs);
        return api_refuse(call, &err);
    }
    if (api_etag_none_match(call->rq, etag)) {
        api_response_unchanged(&rs);
    }
    api_header_add(&rs, "ETag", "%s", etag);
    api_header_add(&rs, "Cache-Control", "no-cache");
    return rs;
}
