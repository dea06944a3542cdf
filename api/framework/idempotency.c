/* SPDX-License-Identifier: Apache-2.0
 * Creations, once for each Idempotency-Key. Key, creation and answer are one transaction, so that a
 * crash leaves all of them or nothing. Touches the database; thread-safe. */
#include "api/framework/idempotency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/respond.h"
#include "api/framework/router.h"
#include "db/idempotency.h"
#include "keys/credentials.h"
#include "keys/keyring.h"

/* The transaction of one creation takes milliseconds. */
#define BUSY_RETRY_S 1

#define PURPOSE_SIZE (sizeof "idempotency " + DB_ID_SIZE + DB_IDEMPOTENCY_KEY_SIZE)

struct once {
    const struct api_context *ctx;
    const struct api_call *call;
    const struct api_creation *creation;
    struct db_idempotency row;    /* account and key of this call */
    char request[DB_DIGEST_SIZE]; /* digest of this call */
    char purpose[PURPOSE_SIZE];
    struct api_response response; /* of the last run */
};

/* ---- what is kept: "request\nlocation\netag\nbody", sealed as a whole: the body of a request may
 * have had a password, which a plain digest of it would let anybody guess who reads the table ---- */

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static enum cp_err keep(struct db_conn *conn, struct once *o, struct cp_error *err)
{
    const struct api_response *rs = &o->response;
    const char *location = text_or_empty(api_header_get(rs, "Location"));
    const char *etag = text_or_empty(api_header_get(rs, "ETag"));
    size_t size = strlen(o->request) + strlen(location) + strlen(etag) + 3 + rs->body_size;
    char *plain = malloc(size + 1);
    uint8_t *sealed = malloc(size + KEYS_SEAL_OVERHEAD);
    struct db_idempotency row = o->row;
    enum cp_err rc = CP_ERR_NO_MEMORY;

    if (plain != NULL && sealed != NULL) {
        int head = snprintf(plain, size + 1, "%s\n%s\n%s\n", o->request, location, etag);

        memcpy(plain + head, rs->body, rs->body_size);
        rc = keys_ring_seal(o->ctx->keyring, o->purpose, plain, size, sealed, &row.answer_size);
        keys_wipe(plain, size);
    }
    if (rc == CP_OK) {
        row.answer = (char *)sealed;
        row.status = (uint32_t)rs->status;
        rc = db_idempotency_put(conn, &row, err);
    } else {
        (void)cp_error_set(err, rc, "The answer could not be kept for its Idempotency-Key.");
    }
    free(plain);
    free(sealed);
    return rc;
}

static struct api_response unpack(uint32_t status, char *plain, size_t size)
{
    char *etag = strchr(plain, '\n');
    char *body = etag != NULL ? strchr(etag + 1, '\n') : NULL;
    struct api_response rs;

    CP_ASSERT(body != NULL); /* it was sealed by keep() */
    *etag++ = '\0';
    *body++ = '\0';
    rs = api_response_bytes((int)status, "application/json", body, size - (size_t)(body - plain));
    if (plain[0] != '\0') {
        api_header_add(&rs, "Location", "%s", plain);
    }
    if (etag[0] != '\0') {
        api_header_add(&rs, "ETag", "%s", etag);
    }
    api_header_add(&rs, "Idempotency-Replayed", "true");
    return rs;
}

/* An answer is for the request that it was given to. */
static bool is_for(const struct once *o, const char *plain)
{
    size_t size = strlen(o->request);

    return strncmp(plain, o->request, size) == 0 && plain[size] == '\n';
}

static enum cp_err replay(struct once *o, const struct db_idempotency *kept, struct cp_error *err)
{
    struct keys_sealed sealed = {(const uint8_t *)kept->answer, kept->answer_size};
    char *plain = malloc(kept->answer_size + 1);
    size_t size = 0;
    enum cp_err rc;

    if (plain == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the kept answer.");
    }
    rc = keys_ring_unseal(o->ctx->keyring, o->purpose, sealed, plain, kept->answer_size, &size);
    if (rc != CP_OK) {
        free(plain);
    }
    if (rc == CP_ERR_KEY_UNUSABLE) {
        return cp_error_set(err, rc,
                            "The request with the Idempotency-Key '%s' was done, but its answer "
                            "cannot be opened while the master key is missing.",
                            o->row.key);
    }
    if (rc != CP_OK) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "The request with the Idempotency-Key '%s' was done, but its answer "
                            "cannot be opened any more: the master key is another one. List what "
                            "there is, and use a new key.",
                            o->row.key);
    }
    plain[size] = '\0';
    if (is_for(o, plain)) {
        size_t head = strlen(o->request) + 1;

        o->response = unpack(kept->status, plain + head, size - head);
    } else {
        rc = cp_error_set(err, CP_ERR_IDEMPOTENCY_REUSED,
                          "Header 'Idempotency-Key': '%s' was the key of another request, or of "
                          "the same one by another role: use a new key.",
                          o->row.key);
    }
    keys_wipe(plain, size);
    free(plain);
    return rc;
}

/* ---- the transaction ---- */

static enum cp_err make(struct db_conn *conn, struct once *o, struct cp_error *err)
{
    CP_TRY(o->creation->body(conn, o->creation->arg, err));
    o->response = o->creation->answer(o->creation->arg);
    return o->response.status < 300 ? keep(conn, o, err) : CP_OK;
}

static enum cp_err once_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct once *o = arg;
    struct db_idempotency kept = {.answer = NULL};
    enum cp_err rc;

    api_response_done(&o->response); /* of a run that did not commit */
    rc = db_idempotency_take(conn, o->row.account_id, o->row.key, &kept, err);
    if (rc == CP_ERR_NOT_FOUND) {
        return make(conn, o, err);
    }
    if (rc == CP_ERR_IDEMPOTENCY_BUSY && err != NULL) {
        err->retry_after_s = BUSY_RETRY_S;
    }
    CP_TRY(rc);
    rc = replay(o, &kept, err);
    free(kept.answer);
    return rc;
}

/* ---- the request ---- */

/* With the role: what an administrator was told is not for a viewer, be it the same account. */
static enum cp_err digest_request(const struct api_call *call, char ret_text[DB_DIGEST_SIZE])
{
    const struct api_request *rq = call->rq;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    enum cp_err rc;

    if (out == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    (void)fprintf(out, "%d %s %s\n", (int)call->who->role, api_method_name(rq->method), rq->path);
    for (size_t i = 0; i < rq->query_count; i++) {
        (void)fprintf(out, "%s=%s\n", rq->query[i].name, rq->query[i].value);
    }
    (void)fputc('\n', out);
    if (rq->body != NULL) {
        (void)fwrite(rq->body, 1, rq->body_size, out);
    }
    if (fclose(out) != 0) {
        free(text);
        return CP_ERR_NO_MEMORY;
    }
    rc = keys_sha256_hex(text, size, ret_text);
    keys_wipe(text, size); /* the body may hold a password */
    free(text);
    return rc;
}

static bool key_ok(const char *key)
{
    size_t size = strlen(key);

    for (size_t i = 0; i < size; i++) {
        if (key[i] < '!' || key[i] > '~') {
            return false;
        }
    }
    return size >= 1 && size < DB_IDEMPOTENCY_KEY_SIZE;
}

static enum cp_err begin(struct once *o, const char *key, struct cp_error *err)
{
    if (!key_ok(key)) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'Idempotency-Key' must be 1 to %d visible ASCII characters, "
                            "for instance a uuid.",
                            DB_IDEMPOTENCY_KEY_SIZE - 1);
    }
    if (digest_request(o->call, o->request) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to digest the request.");
    }
    (void)snprintf(o->row.account_id, sizeof o->row.account_id, "%s", o->call->who->account_id);
    (void)snprintf(o->row.key, sizeof o->row.key, "%s", key);
    (void)snprintf(o->purpose, sizeof o->purpose, "idempotency %s %s", o->row.account_id,
                   o->row.key);
    return CP_OK;
}

static struct api_response create_once(const struct api_context *ctx, const struct api_call *call,
                                       const struct api_creation *c, const char *key)
{
    struct once o = {.ctx = ctx, .call = call, .creation = c, .response = {.fd = -1}};
    struct cp_error err = {.code = CP_OK};

    err.code = begin(&o, key, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx_locking(ctx->db, c->name, once_body, &o, &err);
    }
    if (err.code != CP_OK) {
        api_response_done(&o.response);
        return api_refuse(call, &err);
    }
    return o.response;
}

struct api_response api_create(const struct api_context *ctx, const struct api_call *call,
                               const struct api_creation *c)
{
    const char *key = api_request_header(call->rq, "Idempotency-Key");
    struct cp_error err = {.code = CP_OK};

    /* Only an account can be told apart from others: nobody else gets its answers. */
    if (key != NULL && call->who->account_id[0] != '\0') {
        return create_once(ctx, call, c, key);
    }
    err.code = db_run_tx_locking(ctx->db, c->name, c->body, c->arg, &err);
    return err.code == CP_OK ? c->answer(c->arg) : api_refuse(call, &err);
}
