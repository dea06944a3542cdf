/* SPDX-License-Identifier: Apache-2.0
 * Client certificates that stand for an account: list, add, take away; by admins. Touches the
 * database; thread-safe. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/framework/etag.h"
#include "api/framework/fields.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "db/certificate.h"

/* As openssl shows a digest: two digits and a colon a byte. */
#define FINGERPRINT_MAX 95

/* Nothing of one is ever changed, and its id is given once: all its life it has one ETag. */
#define REVISION 1

struct certificate_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_certificate certificate;
    struct db_certificate result;
};

static json_t *certificate_json(const struct db_certificate *c)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "id", c->id, "account", c->account,
                     "name", c->name, "sha256", api_json_text(c->sha256), "subject",
                     api_json_text(c->subject), "issuer", api_json_text(c->issuer), "last_used_at",
                     api_json_time(c->last_used_at), "created_at", api_json_time(c->created_at));
}

static void subject_of(const struct db_certificate *c, char ret_subject[DB_TEXT_SIZE])
{
    (void)snprintf(ret_subject, DB_TEXT_SIZE, "certificate %s of account %s", c->id, c->account);
}

static enum cp_err find_account(struct db_conn *conn, const char *ref,
                                struct db_account *ret_account, struct cp_error *err)
{
    enum cp_err code = db_account_get(conn, ref, ret_account, err);

    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(
            err, code, "There is no account '%.100s': 'GET /api/v1/accounts' lists them.", ref);
    }
    return code;
}

/* ---- list ---- */

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_account account;

    CP_TRY(find_account(conn, l->call->params[0], &account, err));
    return db_certificate_list(conn, account.id, l->after, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_certificate *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->id);
    return certificate_json(r);
}

struct api_response api_certificates_list(const struct api_context *ctx,
                                          const struct api_call *call)
{
    struct api_list list = {.name = "list-certificates",
                            .row_size = sizeof(struct db_certificate),
                            .cursor = API_CURSOR_UUID,
                            .fetch = fetch_page,
                            .row = page_row};

    return api_list_respond(ctx, call, &list);
}

/* ---- create ---- */

/* 64 hexadecimal digits of either case, with or without colons. */
static bool parse_fingerprint(const char *text, char ret_sha256[DB_DIGEST_SIZE])
{
    size_t at = 0;

    for (; *text != '\0'; text++) {
        if (*text == ':' && at > 0 && at % 2 == 0) {
            continue;
        }
        if (!isxdigit((unsigned char)*text) || at == DB_DIGEST_SIZE - 1) {
            return false;
        }
        ret_sha256[at++] = (char)tolower((unsigned char)*text);
    }
    ret_sha256[at] = '\0';
    return at == DB_DIGEST_SIZE - 1;
}

static void copy(const char *text, char *ret_text, size_t cap)
{
    if (text != NULL) {
        (void)snprintf(ret_text, cap, "%s", text);
    }
}

static void read_fields(struct api_fields *f, struct db_certificate *c)
{
    const char *sha256 = api_field_string(f, "sha256", API_OPTIONAL, 64, FINGERPRINT_MAX);
    const char *subject = api_field_string(f, "subject", API_OPTIONAL, 1, sizeof c->subject - 1);
    const char *issuer = api_field_string(f, "issuer", API_OPTIONAL, 1, sizeof c->issuer - 1);

    copy(api_field_string(f, "name", API_OPTIONAL, 0, sizeof c->name - 1), c->name, sizeof c->name);
    if (sha256 != NULL && !parse_fingerprint(sha256, c->sha256)) {
        api_field_error(f, "sha256",
                        "must be the certificate's SHA-256, 64 hexadecimal digits: 'openssl x509 "
                        "-noout -fingerprint -sha256' shows it");
    }
    copy(subject, c->subject, sizeof c->subject);
    copy(issuer, c->issuer, sizeof c->issuer);
    if ((sha256 != NULL) == (subject != NULL) || (subject != NULL) != (issuer != NULL)) {
        api_field_error(f, sha256 != NULL ? "subject" : "sha256",
                        "give 'sha256' of one certificate, or 'subject' and 'issuer' of all that "
                        "carry these names");
    }
}

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct certificate_tx *t = arg;
    char subject[DB_TEXT_SIZE];
    struct db_account account;
    enum cp_err code;

    CP_TRY(find_account(conn, t->call->params[0], &account, err));
    (void)snprintf(t->certificate.account_id, sizeof t->certificate.account_id, "%s", account.id);
    code = db_certificate_create(conn, &t->certificate, &t->result, err);
    if (code == CP_ERR_CONFLICT) {
        return cp_error_set(err, code,
                            "That certificate, or that subject and issuer, stands for an account "
                            "already: take it away there first.");
    }
    CP_TRY(code);
    subject_of(&t->result, subject);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "certificate-added",
                                               .subject = subject,
                                               .after = certificate_json(&t->result)},
                           err);
}

static struct api_response create_answer(const void *arg)
{
    const struct certificate_tx *t = arg;
    struct api_response rs = api_response_json(201, certificate_json(&t->result));

    api_header_add(&rs, "Location", "/api/v1/certificates/%s", t->result.id);
    api_etag_add(&rs, REVISION);
    return rs;
}

struct api_response api_certificates_create(const struct api_context *ctx,
                                            const struct api_call *call)
{
    struct certificate_tx t = {.ctx = ctx, .call = call};
    struct api_fields f;

    api_fields_body(&f, call);
    read_fields(&f, &t.certificate);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    return api_create(
        ctx, call,
        &(struct api_creation){
            .name = "add-certificate", .body = create_body, .answer = create_answer, .arg = &t});
}

/* ---- get, delete ---- */

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct certificate_tx *t = arg;
    enum cp_err code = db_certificate_get(conn, t->call->params[0], &t->result, err);

    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, code,
                            "There is no certificate '%.60s': 'GET "
                            "…/accounts/{account}/certificates' lists them.",
                            t->call->params[0]);
    }
    return code;
}

struct api_response api_certificates_get(const struct api_context *ctx, const struct api_call *call)
{
    struct certificate_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-certificate", get_body, &t, &err);
    /* last_used_at moves with every use */
    return err.code == CP_OK ? api_response_moving(REVISION, certificate_json(&t.result))
                             : api_refuse(call, &err);
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct certificate_tx *t = arg;
    char subject[DB_TEXT_SIZE];

    CP_TRY(get_body(conn, t, err));
    CP_TRY(api_etag_require(t->call->rq, REVISION, err));
    CP_TRY(db_certificate_delete(conn, t->result.id, err));
    subject_of(&t->result, subject);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "certificate-removed",
                                               .subject = subject,
                                               .before = certificate_json(&t->result)},
                           err);
}

struct api_response api_certificates_delete(const struct api_context *ctx,
                                            const struct api_call *call)
{
    struct certificate_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_tx(ctx->db, "remove-certificate", delete_body, &t, &err);
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
