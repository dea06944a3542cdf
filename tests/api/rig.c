/* SPDX-License-Identifier: Apache-2.0
 * The API's test rig: what stands, and calls. Steps that many tests take are in rig_steps.c. */
#include "tests/api/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/access/auth.h"
#include "api/access/lockout.h"
#include "api/events/audit.h"
#include "api/events/stream.h"
#include "api/framework/respond.h"
#include "api/framework/router.h"
#include "common/base64.h"
#include "db/account.h"
#include "db/node.h"
#include "db/token.h"
#include "jobs/library.h"
#include "keys/keyring.h"
#include "tests/api/rig_audit.h"

#define REQUEST_ID "test-request"

/* ---- setting up ---- */

static const char *const role_names[RIG_WHO_COUNT] = {"", "content", "viewer", "operator", "admin"};

static enum cp_err make_rows(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct rig *r = arg;
    struct db_node node;

    CP_TRY(db_node_register(conn, "testnode", "0.0.1", &node, err));
    (void)snprintf(r->node_id, sizeof r->node_id, "%s", node.id);
    for (int i = RIG_CONTENT; i < RIG_WHO_COUNT; i++) {
        struct db_account account = {.role = (enum db_role)i, .enabled = true};
        struct db_token token = {.scope = (enum db_role)i};
        struct db_account made;
        struct db_token kept;
        uint8_t hash[KEYS_TOKEN_HASH_SIZE];

        (void)snprintf(r->accounts[i], sizeof r->accounts[i], "%s", role_names[i]);
        (void)snprintf(account.name, sizeof account.name, "%s", role_names[i]);
        CP_TRY(keys_password_hash(RIG_PASSWORD, account.password_hash));
        CP_TRY(db_account_create(conn, &account, &made, err));
        CP_TRY(keys_token_new(KEYS_TOKEN_ACCOUNT, r->tokens[i], hash));
        (void)snprintf(token.account_id, sizeof token.account_id, "%s", made.id);
        CP_TRY(db_token_create(conn, &token, hash, &kept, err));
    }
    return CP_OK;
}

static void must(enum cp_err code, const struct cp_error *err)
{
    if (code != CP_OK) {
        fail_msg("%s: %s", cp_err_info(code)->code, err->text);
    }
}

/* The schema belongs to the cluster's superuser; all that the tests do is done by the service's role. */
static void migrate(const char *owner_conninfo, struct db_pool *service)
{
    struct cp_error err = {.code = CP_OK};
    struct db_pool *owner = NULL;
    char role[DB_NAME_SIZE];

    must(db_pool_open(owner_conninfo, 1, &owner, &err), &err);
    must(db_migrate(owner, &err), &err);
    must(db_role(service, role, &err), &err);
    must(db_grant(owner, role, &err), &err);
    db_pool_close(owner);
}

/* A usual link, whatever this machine has. */
static void find_link(const char *interface, const char *group, struct api_link *ret_link)
{
    (void)group;
    *ret_link = (struct api_link){.source = "192.0.2.1", .mtu = 1500, .rate_mbps = 1000};
    (void)snprintf(ret_link->interface, sizeof ret_link->interface, "%s", interface);
}

void rig_follow(struct rig *r)
{
    struct cp_error err = {.code = CP_OK};
    bool again = true;

    while (again) {
        must(api_stream_poll(r->ctx.stream, r->ctx.db, &r->settled, &again, &err), &err);
    }
}

static struct rig *rig_new(void)
{
    static const uint8_t master_key[KEYS_MASTER_SIZE] = {7};
    const char *conninfo = getenv("CASTPOINT_TEST_DB");
    const char *service = getenv("CASTPOINT_TEST_SERVICE_DB");
    const char *record = getenv("CASTPOINT_API_RECORD");
    struct rig *r = calloc(1, sizeof *r);
    char content[80];
    struct jobs_library library;
    struct cp_error err = {.code = CP_OK};

    assert_non_null(conninfo); /* run under tests/support/with-postgres */
    assert_non_null(r);
    (void)snprintf(r->folder, sizeof r->folder, "/tmp/castpoint-api.XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    (void)snprintf(content, sizeof content, "%s/content", r->folder);
    assert_non_null(service);
    must(db_pool_open(service, 8, &r->ctx.db, &err), &err);
    migrate(conninfo, r->ctx.db);
    must(db_run_tx(r->ctx.db, "test-rows", make_rows, r, &err), &err);
    must(blob_store_open(content, &r->ctx.blobs, &err), &err);
    must(keys_ring_new(master_key, r->node_id, &r->ctx.keyring), &err);
    must(api_auth_cache_new(&r->ctx.auth_cache), &err);
    must(api_lockout_new(&r->ctx.lockout), &err);
    must(api_audit_new(&r->ctx.audit), &err);
    must(api_stream_new(&r->ctx.stream), &err);
    rig_follow(r);
    r->ctx.node_id = r->node_id;
    r->ctx.node_name = "testnode";
    r->ctx.base_url = "https://localhost:8443";
    r->ctx.tls_fingerprint = "sha256//x";
    r->ctx.version = "0.0.1";
    r->ctx.find_link = find_link;
    r->jobs = (struct jobs_context){
        .db = r->ctx.db, .blobs = r->ctx.blobs, .keyring = r->ctx.keyring, .node_id = r->node_id};
    must(jobs_library_look(&r->jobs, false, &library, &err), &err);
    r->record = record != NULL ? fopen(record, "ae") : NULL;
    return r;
}

static void rig_free(struct rig *r)
{
    char command[128];
    bool good = rig_audit_check(r);

    rig_audit_kinds();
    api_stream_free(r->ctx.stream);
    api_audit_free(r->ctx.audit);
    api_auth_cache_free(r->ctx.auth_cache);
    api_lockout_free(r->ctx.lockout);
    keys_ring_free(r->ctx.keyring);
    blob_store_close(r->ctx.blobs);
    db_pool_close(r->ctx.db);
    if (r->record != NULL) {
        assert_int_equal(fclose(r->record), 0);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", r->folder);
    assert_int_equal(system(command), 0);
    free(r);
    if (!good) {
        exit(EXIT_FAILURE); /* cmocka prints what fails in a tear-down, and counts it as success */
    }
}

struct rig *rig;

void rig_restart_logins(struct rig *r)
{
    struct cp_error err = {.code = CP_OK};

    api_auth_cache_free(r->ctx.auth_cache);
    api_lockout_free(r->ctx.lockout);
    must(api_auth_cache_new(&r->ctx.auth_cache), &err);
    must(api_lockout_new(&r->ctx.lockout), &err);
}

void rig_basic(const char *account, const char *password, char ret_header[256])
{
    char pair[128];
    char text[CP_BASE64_SIZE(128)];

    (void)snprintf(pair, sizeof pair, "%s:%s", account, password);
    (void)cp_base64_encode(CP_BASE64_STD, pair, strlen(pair), text);
    (void)snprintf(ret_header, 256, "Basic %s", text);
}

int rig_set_up(void **state)
{
    (void)state;
    rig = rig_new();
    rig_sql("UPDATE settings SET library_reserve_bytes = 0"); /* whatever disk the tests have */
    return 0;
}

int rig_tear_down(void **state)
{
    (void)state;
    rig_free(rig);
    return 0;
}

/* ---- a call ---- */

#define PAIRS_MAX 8

struct prepared {
    struct api_request rq;
    struct api_pair headers[PAIRS_MAX];
    struct api_pair query[PAIRS_MAX];
    char text[2048]; /* what the pairs point into */
    char path[2048];
};

static void add_header(struct prepared *p, char **at, const char *line)
{
    char *colon;

    assert_true(p->rq.header_count < PAIRS_MAX);
    (void)strcpy(*at, line);
    colon = strstr(*at, ": ");
    assert_non_null(colon);
    *colon = '\0';
    p->headers[p->rq.header_count++] = (struct api_pair){*at, colon + 2};
    *at = colon + 2 + strlen(colon + 2) + 1;
}

static void split_query(struct prepared *p)
{
    char *at = strchr(p->path, '?');

    while (at != NULL) {
        char *equals;

        *at = '\0';
        equals = strchr(at + 1, '=');
        assert_non_null(equals);
        *equals = '\0';
        p->query[p->rq.query_count++] = (struct api_pair){at + 1, equals + 1};
        at = strchr(equals + 1, '&');
    }
}

static void prepare(const struct rig *r, enum rig_who who, const struct rig_call *call,
                    struct prepared *p)
{
    char line[256];
    char *at = p->text;

    memset(p, 0, sizeof *p);
    (void)snprintf(p->path, sizeof p->path, "%s", call->path);
    p->rq = (struct api_request){.method = call->method,
                                 .path = p->path,
                                 .headers = p->headers,
                                 .query = p->query,
                                 .body = call->body,
                                 .body_size = call->body != NULL ? strlen(call->body) : 0,
                                 .content_length = call->no_length ? UINT64_MAX : call->size,
                                 .plain = call->plain,
                                 .remote = call->remote != NULL ? call->remote : "192.0.2.7",
                                 .certificate = call->certificate,
                                 .request_id = REQUEST_ID};
    split_query(p);
    if (call->authorization != NULL) {
        (void)snprintf(line, sizeof line, "Authorization: %s", call->authorization);
        add_header(p, &at, line);
    } else if (who != RIG_NOBODY) {
        (void)snprintf(line, sizeof line, "authorization: Bearer %s", r->tokens[who]);
        add_header(p, &at, line);
    }
    if (call->body != NULL) {
        p->rq.content_length = p->rq.body_size;
        (void)snprintf(line, sizeof line, "Content-Type: %s",
                       call->type != NULL ? call->type : "application/json");
        if (call->type == NULL || call->type[0] != '\0') {
            add_header(p, &at, line);
        }
    }
    for (size_t i = 0; i < 6 && call->headers[i] != NULL; i++) {
        add_header(p, &at, call->headers[i]);
    }
}

static struct api_response send_upload(struct api_upload *u, const struct rig_call *call)
{
    size_t size = call->break_early ? call->size / 2 : call->size;
    size_t piece = call->piece > 0 ? call->piece : size;

    for (size_t at = 0; at < size; at += piece) {
        api_upload_data(u, (const char *)call->data + at, at + piece < size ? piece : size - at);
    }
    return api_upload_finish(u, !call->break_early);
}

static void write_down(struct rig *r, const struct prepared *p, const struct rig_answer *a)
{
    json_t *line;

    if (r->record == NULL || p->rq.plain) { /* openapi.yaml is of the HTTPS service */
        return;
    }
    line = json_pack("{s:s, s:s, s:i, s:s?, s:O?, s:s?}", "method", api_method_name(p->rq.method),
                     "path", p->path, "status", a->status, "type", a->rs.content_type, "body",
                     a->json, "request", p->rq.body);
    assert_non_null(line);
    assert_int_equal(json_dumpf(line, r->record, JSON_COMPACT), 0);
    assert_int_equal(fputc('\n', r->record), '\n');
    json_decref(line);
}

static void take_pieces(struct rig_answer *a)
{
    const struct api_response *rs = &a->rs;
    size_t text = 0;
    size_t at = 0;

    a->bytes = calloc(1, a->size + 1);
    assert_non_null(a->bytes);
    for (size_t i = 0; i < rs->piece_count; i++) {
        const struct api_piece *p = &rs->pieces[i];

        memcpy(a->bytes + at, rs->body + text, p->text_size);
        text += p->text_size;
        at += p->text_size;
        assert_int_equal(pread(rs->fd, a->bytes + at, p->size, (off_t)p->offset), p->size);
        at += p->size;
    }
    memcpy(a->bytes + at, rs->body + text, rs->body_size - text);
    assert_int_equal(at + rs->body_size - text, a->size);
}

/* The body as server/ would send it; GET of a descriptor reads its piece. */
static void take_body(struct rig_answer *a, bool is_head)
{
    struct api_response *rs = &a->rs;
    bool unsent = rs->status == 304;

    a->status = rs->status;
    a->link = rs->link;
    rs->link = NULL;
    a->size = (size_t)api_response_size(rs);
    if (rs->pieces != NULL) {
        take_pieces(a);
    } else if (rs->fd >= 0 && !is_head && !unsent) {
        a->bytes = calloc(1, a->size + 1);
        assert_non_null(a->bytes);
        assert_int_equal(pread(rs->fd, a->bytes, a->size, (off_t)rs->fd_offset), a->size);
    } else if (rs->body != NULL && !unsent) {
        a->bytes = rs->body;
        rs->body = NULL;
    }
    if (rs->content_type != NULL && strstr(rs->content_type, "json") != NULL &&
        strstr(rs->content_type, "jsonl") == NULL) {
        a->json = json_loadb(a->bytes, a->size, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(a->json);
    }
    api_response_done(rs);
}

struct rig_answer rig_send(struct rig *r, enum rig_who who, const struct rig_call *call)
{
    struct rig_answer a = {.status = 0};
    struct api_upload *upload = NULL;
    struct prepared p;
    struct cp_error err;

    prepare(r, who, call, &p);
    if (api_method_override(&p.rq, &err) != CP_OK) {
        a.rs = api_problem(&p.rq, &err);
        api_response_seal(&p.rq, &a.rs);
    } else if (!api_upload_start(&r->ctx, &p.rq, &upload, &a.rs)) {
        a.rs = api_handle(&r->ctx, &p.rq);
    } else if (upload != NULL) {
        a.rs = send_upload(upload, call);
    }
    take_body(&a, call->method == API_HEAD);
    assert_string_equal(rig_header(&a, "X-Request-Id"), REQUEST_ID);
    assert_non_null(rig_header(&a, "Cache-Control"));
    write_down(r, &p, &a);
    rig_audit_note(&p.rq, a.status);
    return a;
}

void rig_answer_done(struct rig_answer *a)
{
    json_decref(a->json);
    free(a->bytes);
    free(a->link);
    a->link = NULL;
    a->json = NULL;
    a->bytes = NULL;
}

int rig_status(struct rig *r, enum rig_who who, const struct rig_call *call)
{
    struct rig_answer a = rig_send(r, who, call);

    rig_answer_done(&a);
    return a.status;
}

struct rig_answer rig_expect(struct rig *r, enum rig_who who, const struct rig_call *call,
                             int status)
{
    struct rig_answer a = rig_send(r, who, call);

    if (a.status != status) {
        fail_msg("%s %s: %d instead of %d: %s", api_method_name(call->method), call->path, a.status,
                 status, a.bytes != NULL ? a.bytes : "");
    }
    return a;
}

void rig_refused(struct rig *r, enum rig_who who, const struct rig_call *call, const char *code,
                 const char *word)
{
    struct rig_answer a =
        rig_expect(r, who, call, cp_err_info(cp_err_from_code(code))->http_status);

    assert_string_equal(a.rs.content_type, "application/problem+json");
    if (strcmp(rig_text(&a, "code"), code) != 0 ||
        (word != NULL && strstr(rig_text(&a, "detail"), word) == NULL)) {
        fail_msg("%s: not %s with '%s': %s", call->path, code, word, a.bytes);
    }
    assert_string_equal(rig_text(&a, "request_id"), REQUEST_ID);
    rig_answer_done(&a);
}

const char *rig_text(const struct rig_answer *a, const char *field)
{
    const char *text = json_string_value(json_object_get(a->json, field));

    if (text == NULL) {
        fail_msg("no text '%s' in %s", field, a->bytes);
    }
    return text;
}

json_int_t rig_number(const struct rig_answer *a, const char *field)
{
    const json_t *value = json_object_get(a->json, field);

    if (!json_is_integer(value)) {
        fail_msg("no number '%s' in %s", field, a->bytes);
    }
    return json_integer_value(value);
}

const char *rig_text_in(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text == NULL) {
        fail_msg("no text '%s'", name);
    }
    return text;
}

json_int_t rig_number_in(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value)) {
        fail_msg("no number '%s'", name);
    }
    return json_integer_value(value);
}

const char *rig_header(const struct rig_answer *a, const char *name)
{
    return api_header_get(&a->rs, name);
}
