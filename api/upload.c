/* SPDX-License-Identifier: Apache-2.0
 * PUT of a file: the body streams into the blob store; when it is whole and durable the draft gets
 * its row. Touches the database and the blob store; an upload belongs to one thread at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/files.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/respond.h"
#include "common/base64.h"
#include "common/hex.h"
#include "content/blob.h"
#include "content/path.h"

#define MODE_DEFAULT 0644u
#define MODE_MAX     07777u

struct api_upload {
    const struct api_context *ctx;
    struct api_request rq; /* only method and request_id are used after begin */
    char request_id[128];
    struct db_version version;
    struct db_file file;
    char expected[DB_DIGEST_SIZE];
    bool any; /* whatever is at that path is replaced */
    bool created;
    struct blob_writer *writer;
    uint64_t announced, received;
    struct cp_error err; /* the first failure */
};

/* ---- what the headers say ---- */

static enum cp_err read_mode(const struct api_request *rq, uint32_t *ret_mode, struct cp_error *err)
{
    const char *text = api_request_header(rq, "X-Castpoint-Mode");
    uint32_t mode = 0;

    if (text == NULL) {
        *ret_mode = MODE_DEFAULT;
        return CP_OK;
    }
    if (text[0] == '\0' || strlen(text) > 5 || text[strspn(text, "01234567")] != '\0') {
        mode = MODE_MAX + 1;
    }
    for (const char *p = text; mode <= MODE_MAX && *p != '\0'; p++) {
        mode = mode * 8 + (uint32_t)(*p - '0');
    }
    if (mode > MODE_MAX) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'X-Castpoint-Mode' is '%.40s': give permission bits in octal, "
                            "0 to 7777.",
                            text);
    }
    *ret_mode = mode;
    return CP_OK;
}

/* sha-256=:<base64>: of a dictionary (RFC 9530); other algorithms are passed over. */
static enum cp_err read_digest(const struct api_request *rq, const char *header, bool *ret_given,
                               uint8_t ret_digest[CONTENT_DIGEST_SIZE], struct cp_error *err)
{
    const char *at = api_request_header(rq, header);
    uint8_t digest[CONTENT_DIGEST_SIZE];

    while (at != NULL && *at != '\0') {
        const char *end;
        size_t size;

        at += strspn(at, " \t,");
        end = at + strcspn(at, ",");
        if (strncasecmp(at, "sha-256=:", 9) == 0) {
            const char *value = at + 9;
            const char *close = strchr(value, ':');

            if (close == NULL || close > end ||
                !cp_base64_decode(CP_BASE64_STD, value, (size_t)(close - value), digest,
                                  sizeof digest, &size) ||
                size != sizeof digest || (*ret_given && memcmp(digest, ret_digest, size) != 0)) {
                return cp_error_set(err, CP_ERR_INVALID,
                                    "Header '%s' is '%.150s': give 'sha-256=:<base64 of the "
                                    "SHA-256>:', the same wherever you give it.",
                                    header, api_request_header(rq, header));
            }
            memcpy(ret_digest, digest, sizeof digest);
            *ret_given = true;
        }
        at = end;
    }
    return CP_OK;
}

static enum cp_err refuse_headers(const struct api_request *rq, struct cp_error *err)
{
    const char *encoding = api_request_header(rq, "Content-Encoding");

    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        return cp_error_set(err, CP_ERR_UNSUPPORTED_MEDIA,
                            "Header 'Content-Encoding' is '%.60s': send the file's bytes as they "
                            "are.",
                            encoding);
    }
    if (api_request_header(rq, "Content-Range") != NULL) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'Content-Range' is not taken here: send the whole file.");
    }
    return CP_OK;
}

static enum cp_err check_path(const char *path, struct cp_error *err)
{
    CP_TRY(content_path_check(path, err));
    if (strlen(path) >= DB_PATH_SIZE) {
        return cp_error_set(err, CP_ERR_PATH_INVALID, "'%.100s…' has %zu bytes: at most %d.", path,
                            strlen(path), DB_PATH_SIZE - 1);
    }
    return CP_OK;
}

static enum cp_err empty(const struct api_upload *u, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_CONTENT_EMPTY,
                        "File '%.300s' has no bytes: an empty file is refused; upload its content.",
                        u->file.path);
}

static enum cp_err read_request(struct api_upload *u, const struct api_call *call,
                                bool *ret_is_expected, uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                                struct cp_error *err)
{
    CP_TRY(check_path(call->params[2], err));
    (void)snprintf(u->file.path, sizeof u->file.path, "%s", call->params[2]);
    CP_TRY(refuse_headers(call->rq, err));
    CP_TRY(read_mode(call->rq, &u->file.mode, err));
    CP_TRY(read_digest(call->rq, "Repr-Digest", ret_is_expected, ret_digest, err));
    CP_TRY(read_digest(call->rq, "Content-Digest", ret_is_expected, ret_digest, err));
    CP_TRY(api_file_expected(call->rq, u->expected, &u->any, err));
    return call->rq->content_length == 0 ? empty(u, err) : CP_OK;
}

/* ---- begin ---- */

struct draft_look_up {
    struct api_upload *upload;
    const struct api_call *call;
};

/* Refuses before the body what would be refused after it. */
static enum cp_err find_draft(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct draft_look_up *l = arg;
    struct api_upload *u = l->upload;

    CP_TRY(api_version_find(conn, l->call->params[0], l->call->params[1], &u->version, err));
    if (u->version.state != DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_SEALED,
                            "Version %u of package '%s' is %s: its files never change; create a "
                            "new version.",
                            (unsigned)u->version.number, u->version.package,
                            db_version_state_name(u->version.state));
    }
    return db_file_check_path(conn, u->version.id, u->file.path, err);
}

static enum cp_err begin(struct api_upload *u, const struct api_call *call, struct cp_error *err)
{
    struct draft_look_up l = {.upload = u, .call = call};
    uint8_t digest[CONTENT_DIGEST_SIZE];
    bool is_expected = false;

    CP_TRY(read_request(u, call, &is_expected, digest, err));
    CP_TRY(db_run_read(u->ctx->db, "find-draft", find_draft, &l, err));
    CP_TRY(blob_writer_open(u->ctx->blobs,
                            u->announced == UINT64_MAX ? BLOB_SIZE_UNKNOWN : u->announced,
                            &u->writer, err));
    if (is_expected) {
        blob_writer_expect(u->writer, digest);
    }
    return CP_OK;
}

struct api_upload *api_files_put(const struct api_context *ctx, const struct api_call *call,
                                 struct api_response *ret_response)
{
    struct api_upload *u = calloc(1, sizeof *u);
    struct cp_error err = {.code = CP_OK};

    if (u == NULL) {
        *ret_response = api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the upload.");
        return NULL;
    }
    u->ctx = ctx;
    u->announced = call->rq->content_length;
    (void)snprintf(u->request_id, sizeof u->request_id, "%s",
                   call->rq->request_id != NULL ? call->rq->request_id : "");
    u->rq = (struct api_request){.method = API_PUT, .path = "", .request_id = u->request_id};
    err.code = begin(u, call, &err);
    if (err.code != CP_OK) {
        *ret_response = api_refuse(call, &err);
        free(u);
        return NULL;
    }
    return u;
}

/* ---- body ---- */

void api_upload_data(struct api_upload *u, const void *data, size_t size)
{
    u->received += size;
    if (u->err.code != CP_OK) {
        return; /* the rest is read and dropped: an answer in mid-body is not possible */
    }
    u->err.code = blob_writer_add(u->writer, data, size, &u->err);
}

/* ---- end ---- */

static enum cp_err put_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_upload *u = arg;
    enum cp_err code =
        db_file_put(conn, u->version.id, &u->file, u->any ? NULL : u->expected, &u->created, err);

    if (code == CP_ERR_PRECONDITION_FAILED) {
        return cp_error_set(err, code,
                            "File '%.300s' is not what If-Match or If-None-Match says: look at "
                            "'GET …/files' and send the upload again.",
                            u->file.path);
    }
    CP_TRY(code);
    return db_file_get(conn, u->version.id, u->file.path, &u->file, err);
}

static enum cp_err finish(struct api_upload *u, bool complete, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct blob_writer *writer = u->writer;
    enum cp_err code;

    if (u->err.code != CP_OK) {
        return cp_error_set(err, u->err.code, "%s", u->err.text);
    }
    if (!complete || (u->announced != UINT64_MAX && u->received != u->announced)) {
        return cp_error_set(err, CP_ERR_UPLOAD_INCOMPLETE,
                            "Of file '%.300s' only %" PRIu64 " bytes arrived: upload it again.",
                            u->file.path, u->received);
    }
    if (u->received == 0) {
        return empty(u, err);
    }
    u->writer = NULL;
    code = blob_writer_commit(writer, digest, &u->file.size, err);
    if (code == CP_ERR_DIGEST_MISMATCH) {
        cp_error_prefix(err, "File '%.200s'", u->file.path);
    }
    CP_TRY(code);
    cp_hex_encode(digest, sizeof digest, u->file.sha256);
    return db_run_tx_locking(u->ctx->db, "put-file", put_body, u, err);
}

struct api_response api_upload_finish(struct api_upload *u, bool complete)
{
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = finish(u, complete, &err);
    if (err.code == CP_OK) {
        rs = api_response_json(u->created ? 201 : 200, api_file_json(&u->file));
        api_header_add(&rs, "ETag", "\"%s\"", u->file.sha256);
    } else {
        rs = api_problem(&u->rq, &err);
    }
    api_response_seal(&u->rq, &rs);
    blob_writer_abort(u->writer);
    free(u);
    return rs;
}
