/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of JSON bodies that hold more than plain fields: the import of a configuration, the
 * settings, webhooks and packages. The input chooses an example and edits it; it goes through the
 * routes' own handlers as far as the first statement that would write, with a stand-in for what the
 * database has. What is refused says why, and what is taken keeps the promises of the tables. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/content/packages.h"
#include "api/events/webhook_url.h"
#include "api/events/webhooks.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/configuration.h"
#include "db/db.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

#define NODE "11111111-1111-4111-8111-111111111111"

static const char *const examples[] = {
    "{\"format\": 1, \"distribution_points\": [{\"name\": \"dp1\", \"settings\": {\"ttl\": 3}}], "
    "\"packages\": [{\"name\": \"win11\", \"current\": 2, \"labels\": {\"os\": \"w\"}}, {\"name\": "
    "\"new\", \"multicast\": \"off\", \"encrypt\": false, \"current\": null}], \"accounts\": "
    "[{\"name\": \"alice\", \"role\": \"viewer\", \"principal\": \"a@B\"}], \"webhooks\": "
    "[{\"name\": \"hook\", \"url\": \"https://h/x\", \"kinds\": [\"package-created\"]}]}",
    "{\"format\": 1, \"packages\": [{\"name\": \"a\"}, {\"name\": \"a\"}, 7, null, [], {}], "
    "\"accounts\": {}, \"webhooks\": [{\"name\": \"hook\", \"enabled\": 1}]}",
    "{\"address_first\": \"239.1.2.3\", \"address_last\": \"239.1.2.9\", \"port_first\": 7000, "
    "\"port_last\": 7001, \"interface\": null, \"ttl\": 4, \"rate_ceiling_bps\": null, "
    "\"rate_control\": \"fixed\", \"content_access\": \"anonymous\"}",
    "{\"cors_origins\": [\"https://a.example\", \"https://b.example:8443\"], \"jumbo_frames\": "
    "true, \"library_quota_bytes\": 1048576, \"key_repair\": false, \"history_days\": 0}",
    "{\"address_first\": \"ff15::1:0\", \"address_last\": \"ff15::1:ff\"}",
    "{\"name\": \"hook\", \"url\": \"http://h.example:8080/a?b=c\", \"allow_http\": true, "
    "\"kinds\": [\"package-created\", \"settings-changed\", \"package-created\"]}",
    "{\"name\": \"win11\", \"description\": \"d\", \"labels\": {\"os\": \"windows\", \"x\": null}, "
    "\"multicast\": null, \"content_access\": \"inherit\", \"encrypt\": null}",
    "{\"format\": 9223372036854775808, \"packages\": [{\"labels\": {\"a\": "
    "[[[[[[[[[[[[]]]]]]]]]]"
    "]]}}]}",
};

/* ---- the database's stand-in ---- */

/* The linker puts these in the place of the functions without __wrap_. */
enum cp_err __wrap_db_run_read(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                               struct cp_error *err);
enum cp_err __wrap_db_run_tx(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                             struct cp_error *err);
enum cp_err __wrap_db_run_tx_locking(struct db_pool *pool, const char *name, db_tx_fn *body,
                                     void *arg, struct cp_error *err);
enum cp_err __wrap_api_node_find(struct db_conn *conn, const struct api_context *ctx,
                                 const char *ref, struct db_node *ret_node, struct cp_error *err);
enum cp_err __wrap_db_settings_get(struct db_conn *conn, const char *node_id,
                                   struct db_settings *ret_settings, struct cp_error *err);
enum cp_err __wrap_db_account_named(struct db_conn *conn, const char *const *names, size_t count,
                                    struct db_account *ret_items, size_t *ret_count,
                                    struct cp_error *err);
enum cp_err __wrap_db_webhook_get(struct db_conn *conn, const char *ref,
                                  struct db_webhook *ret_webhook, struct cp_error *err);
enum cp_err __wrap_db_package_get(struct db_conn *conn, const char *name,
                                  struct db_package *ret_package, struct cp_error *err);
enum cp_err __wrap_db_package_named(struct db_conn *conn, const char *const *names, size_t count,
                                    struct db_package *ret_items, size_t *ret_count,
                                    struct cp_error *err);
enum cp_err __wrap_db_package_sealed(struct db_conn *conn, const struct db_package_version *items,
                                     size_t count, struct db_package_version *ret_items,
                                     size_t *ret_count, struct cp_error *err);

static const struct db_settings settings = {.node_id = NODE,
                                            .multicast_enabled = true,
                                            .address_first = "239.0.0.1",
                                            .address_last = "239.0.0.200",
                                            .port_first = 7000,
                                            .port_last = 7999,
                                            .ttl = 1,
                                            .content_access = DB_ACCESS_ANONYMOUS,
                                            .rate_start_percent = 50,
                                            .login_lockout_s = 60,
                                            .upload_expiry_hours = 1,
                                            .revision = 1};

enum cp_err __wrap_db_run_read(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                               struct cp_error *err)
{
    (void)pool;
    (void)name;
    return body(NULL, arg, err);
}

/* Here the body was taken. */
enum cp_err __wrap_db_run_tx(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                             struct cp_error *err)
{
    (void)pool;
    (void)name;
    (void)body;
    (void)arg;
    return cp_error_set(err, CP_ERR_CONFLICT, "taken");
}

enum cp_err __wrap_db_run_tx_locking(struct db_pool *pool, const char *name, db_tx_fn *body,
                                     void *arg, struct cp_error *err)
{
    return __wrap_db_run_tx(pool, name, body, arg, err);
}

enum cp_err __wrap_api_node_find(struct db_conn *conn, const struct api_context *ctx,
                                 const char *ref, struct db_node *ret_node, struct cp_error *err)
{
    struct db_node node = {.id = NODE, .name = "dp1"};

    (void)conn;
    (void)ctx;
    if (strcmp(ref, node.name) != 0 && strcmp(ref, "local") != 0) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "none");
    }
    *ret_node = node;
    return CP_OK;
}

enum cp_err __wrap_db_settings_get(struct db_conn *conn, const char *node_id,
                                   struct db_settings *ret_settings, struct cp_error *err)
{
    (void)conn;
    (void)err;
    CP_ASSERT(strcmp(node_id, NODE) == 0);
    *ret_settings = settings;
    return CP_OK;
}

static bool asks_for(const char *const *names, size_t count, const char *name)
{
    bool found = false;

    for (size_t i = 0; i < count; i++) {
        CP_ASSERT(strlen(names[i]) < DB_NAME_SIZE);
        found = found || strcmp(names[i], name) == 0;
    }
    return found;
}

enum cp_err __wrap_db_account_named(struct db_conn *conn, const char *const *names, size_t count,
                                    struct db_account *ret_items, size_t *ret_count,
                                    struct cp_error *err)
{
    (void)conn;
    (void)err;
    CP_ASSERT(count > 0);
    *ret_count = asks_for(names, count, "alice");
    if (*ret_count > 0) {
        ret_items[0] = (struct db_account){.name = "alice", .enabled = true, .role = DB_ROLE_ADMIN};
    }
    return CP_OK;
}

enum cp_err __wrap_db_webhook_get(struct db_conn *conn, const char *ref,
                                  struct db_webhook *ret_webhook, struct cp_error *err)
{
    (void)conn;
    if (strcmp(ref, "hook") != 0) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "none");
    }
    *ret_webhook = (struct db_webhook){
        .node_id = NODE, .name = "hook", .url = "https://h/", .enabled = true, .revision = 1};
    return CP_OK;
}

static const struct db_package win11 = {
    .name = "win11", .policy = DB_POLICY_PREFER, .labels = "{\"os\":\"w\"}", .revision = 1};

enum cp_err __wrap_db_package_get(struct db_conn *conn, const char *name,
                                  struct db_package *ret_package, struct cp_error *err)
{
    (void)conn;
    (void)err;
    CP_ASSERT(strcmp(name, win11.name) == 0);
    *ret_package = win11;
    return CP_OK;
}

enum cp_err __wrap_db_package_named(struct db_conn *conn, const char *const *names, size_t count,
                                    struct db_package *ret_items, size_t *ret_count,
                                    struct cp_error *err)
{
    (void)conn;
    (void)err;
    *ret_count = asks_for(names, count, win11.name);
    if (*ret_count > 0) {
        ret_items[0] = win11;
    }
    return CP_OK;
}

enum cp_err __wrap_db_package_sealed(struct db_conn *conn, const struct db_package_version *items,
                                     size_t count, struct db_package_version *ret_items,
                                     size_t *ret_count, struct cp_error *err)
{
    (void)conn;
    (void)err;
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        CP_ASSERT(strcmp(items[i].package, win11.name) == 0 && items[i].number > 0);
        if (items[i].number == 2 && *ret_count == 0) {
            ret_items[(*ret_count)++] = items[i];
        }
    }
    return CP_OK;
}

/* ---- the routes ---- */

/* It names what is wrong, in so many words, and not without end. */
static void check_refusal(const json_t *problem)
{
    const json_t *errors = json_object_get(problem, "errors");
    const json_t *error;
    size_t i;

    CP_ASSERT(json_string_length(json_object_get(problem, "detail")) > 0);
    CP_ASSERT(errors == NULL || json_array_size(errors) > 0);
    CP_ASSERT(json_array_size(errors) <= 20);
    json_array_foreach(errors, i, error)
    {
        CP_ASSERT(json_is_string(json_object_get(error, "field")));
        CP_ASSERT(json_string_length(json_object_get(error, "message")) > 0);
        CP_ASSERT(json_object_get(error, "value") != NULL);
    }
}

/* Refused with what is wrong, or taken, which the stand-in answers with a conflict. */
static void ask(api_handler *handler, const struct api_call *call)
{
    static const struct api_context ctx = {.node_id = "another"};
    struct api_response rs = handler(&ctx, call);
    json_t *problem = json_loadb(rs.body, rs.body_size, JSON_REJECT_DUPLICATES, NULL);

    CP_ASSERT(rs.status == 400 || rs.status == 409);
    CP_ASSERT(json_integer_value(json_object_get(problem, "status")) == rs.status);
    if (rs.status == 400) {
        check_refusal(problem);
    }
    json_decref(problem);
    api_response_done(&rs);
}

static void routes(const char *text, size_t size)
{
    static const struct {
        api_handler *handler;
        enum api_method method;
        const char *path, *param;
    } all[] = {
        {api_configuration_put, API_PUT, "/api/v1/configuration", NULL},
        {api_settings_update, API_PATCH, "/api/v1/distribution-points/dp1/settings", "dp1"},
        {api_webhooks_create, API_POST, "/api/v1/webhooks", NULL},
        {api_webhooks_update, API_PATCH, "/api/v1/webhooks/hook", "hook"},
        {api_packages_create, API_POST, "/api/v1/packages", NULL},
        {api_packages_update, API_PATCH, "/api/v1/packages/win11", "win11"},
    };
    static const struct api_pair headers[] = {{"Content-Type", "application/json"},
                                              {"If-Match", "*"}};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct api_request rq = {.method = all[i].method,
                                 .path = all[i].path,
                                 .headers = headers,
                                 .header_count = all[i].method == API_PATCH ? 2 : 1,
                                 .body = text,
                                 .body_size = size,
                                 .request_id = "f"};
        struct api_call call = {
            .rq = &rq, .params = {all[i].param}, .param_count = all[i].param != NULL};

        ask(all[i].handler, &call);
    }
}

/* ---- what is taken ---- */

static void begin(struct api_fields *f, struct api_request *rq, const char *text, size_t size)
{
    static const struct api_pair type = {"Content-Type", "application/json"};
    struct api_call call = {.rq = rq};

    *rq = (struct api_request){.method = API_PATCH,
                               .path = "/",
                               .headers = &type,
                               .header_count = 1,
                               .body = text,
                               .body_size = size,
                               .request_id = "f"};
    api_fields_body(f, &call);
}

/* As db/migrations wants them, and what they show as is taken again and changes nothing. */
static void check_settings(const struct db_settings *s)
{
    json_t *values = api_settings_values(s);
    char *text = json_dumps(values, 0);
    struct db_settings again = settings;
    struct api_request rq;
    struct api_fields f;
    json_t *same;

    CP_ASSERT(s->port_first >= 1024 && s->port_first <= s->port_last);
    CP_ASSERT(s->ttl >= 1 && s->ttl <= 255 && s->slow_share_percent <= 50);
    CP_ASSERT(s->rate_start_percent >= 1 && s->rate_start_percent <= 100);
    CP_ASSERT(s->content_access != DB_ACCESS_INHERIT && s->upload_expiry_hours >= 1);
    CP_ASSERT(s->rate_ceiling_bps == 0 || s->rate_ceiling_bps >= 64000);
    CP_ASSERT(s->library_quota_bytes <= (uint64_t)INT64_MAX);
    CP_ASSERT(text != NULL);
    begin(&f, &rq, text, strlen(text));
    api_settings_read(&f, false, &again);
    CP_ASSERT(api_fields_ok(&f));
    api_fields_done(&f);
    same = api_settings_values(&again);
    CP_ASSERT(json_equal(values, same));
    json_decref(same);
    json_decref(values);
    free(text);
}

static void read_settings(const char *text, size_t size)
{
    struct db_settings s = settings;
    struct api_request rq;
    struct api_fields f;

    begin(&f, &rq, text, size);
    api_settings_read(&f, false, &s);
    if (api_fields_ok(&f)) {
        check_settings(&s);
    }
    api_fields_done(&f);
}

static void read_webhook(const char *text, size_t size)
{
    struct db_webhook w = {.url = "https://h/"};
    struct api_request rq;
    struct api_fields f;
    const char *name;

    begin(&f, &rq, text, size);
    name = api_webhook_read_name(&f);
    api_webhook_read(&f, false, &w);
    if (api_fields_ok(&f)) {
        json_t *values = api_webhook_values(&w);

        CP_ASSERT(name != NULL && name[0] != '\0' && strlen(name) < DB_NAME_SIZE);
        CP_ASSERT(api_webhook_url_wrong(w.url, w.allow_http) == NULL);
        CP_ASSERT(json_array_size(json_object_get(values, "kinds")) <= 64);
        json_decref(values);
    }
    api_fields_done(&f);
}

static void read_package(const char *text, size_t size)
{
    struct db_package p = win11;
    struct api_request rq;
    struct api_fields f;

    begin(&f, &rq, text, size);
    (void)api_package_read_name(&f);
    api_package_read(&f, &p);
    if (api_fields_ok(&f)) {
        json_t *labels = json_loads(p.labels[0] != '\0' ? p.labels : "{}", 0, NULL);
        const char *name;
        json_t *value;

        CP_ASSERT(json_is_object(labels) && json_object_size(labels) <= 32);
        json_object_foreach(labels, name, value)
        {
            CP_ASSERT(name[0] != '\0' && json_is_string(value));
        }
        json_decref(labels);
    }
    api_fields_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FUZZ_TEXT_MAX];
    size_t length = fuzz_text(data, size, examples, sizeof examples / sizeof examples[0], text);

    routes(text, length);
    read_settings(text, length);
    read_webhook(text, length);
    read_package(text, length);
    return 0;
}
