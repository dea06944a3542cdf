/* SPDX-License-Identifier: Apache-2.0
 * Where an upload goes. Touches the database through the connection it is given. */
#include "api/upload/upload_target.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/content/files.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/upload/digest.h"
#include "common/hex.h"
#include "content/path.h"

#define MODE_DEFAULT 0644u
#define MODE_MAX     07777u

/* ---- what headers say ---- */

enum cp_err api_target_mode(const char *text, const char *name, uint32_t *ret_mode,
                            struct cp_error *err)
{
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
                            "%s is '%.40s': give permission bits in octal, 0 to 7777.", name, text);
    }
    *ret_mode = mode;
    return CP_OK;
}

enum cp_err api_target_path(const char *path, struct cp_error *err)
{
    CP_TRY(content_path_check(path, err));
    if (strlen(path) >= DB_PATH_SIZE) {
        return cp_error_set(err, CP_ERR_PATH_INVALID, "'%.100s…' has %zu bytes: at most %d.", path,
                            strlen(path), DB_PATH_SIZE - 1);
    }
    return CP_OK;
}

enum cp_err api_target_digests(const struct api_request *rq, struct api_target *t,
                               struct cp_error *err)
{
    static const char *const names[] = {"Repr-Digest", "Content-Digest"};
    struct api_digest digest = {.is_given = false};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CP_TRY(api_digest_field(names[i], api_request_header(rq, names[i]), &digest, err));
    }
    t->is_announced = digest.is_given;
    memcpy(t->digest, digest.sha256, sizeof t->digest);
    return CP_OK;
}

enum cp_err api_target_encoding(const struct api_request *rq, struct cp_error *err)
{
    const char *encoding = api_request_header(rq, "Content-Encoding");

    CP_TRY(api_digest_trailer(api_request_header(rq, "Trailer"), err));
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        return cp_error_set(err, CP_ERR_UNSUPPORTED_MEDIA,
                            "Header 'Content-Encoding' is '%.60s': send the file's bytes as they "
                            "are.",
                            encoding);
    }
    if (api_request_header(rq, "Content-Range") != NULL) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'Content-Range' is not taken here: send the whole file, or "
                            "upload it by tus, which can be resumed.");
    }
    return CP_OK;
}

enum cp_err api_target_empty(const char *path, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_CONTENT_EMPTY,
                        "File '%.300s' has no bytes: an empty file is refused; upload its content.",
                        path);
}

/* ---- the draft ---- */

static enum cp_err not_expected(const struct api_target *t, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                        "File '%.300s' is not what If-Match or If-None-Match says (its ETag is its "
                        "SHA-256 in quotes): look at 'GET …/files' and send the upload again.",
                        t->file.path);
}

/* Not a change: the same bytes, where validation found them missing or damaged. */
static enum cp_err find_damaged(struct db_conn *conn, struct api_target *t, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct db_file present;
    enum cp_err rc = CP_ERR_NOT_FOUND;

    if (t->may_heal) {
        rc = db_file_get(conn, t->version.id, t->file.path, &present, err);
    }
    if (rc != CP_OK && rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    t->heals = rc == CP_OK && present.content != DB_BLOB_GOOD &&
               cp_hex_decode(present.sha256, digest, sizeof digest) &&
               (!t->is_announced || memcmp(t->digest, digest, sizeof digest) == 0);
    if (t->heals) {
        t->is_announced = true;
        memcpy(t->digest, digest, sizeof digest);
        return db_file_condition_holds(&t->condition, &present) ? CP_OK : not_expected(t, err);
    }
    return cp_error_set(err, CP_ERR_VERSION_SEALED,
                        "Version %u of package '%s' is %s: its files never change; create a "
                        "new version.",
                        (unsigned)t->version.number, t->version.package,
                        db_version_state_name(t->version.state));
}

static enum cp_err check_expected(struct db_conn *conn, const struct api_target *t,
                                  struct cp_error *err)
{
    struct db_file present;
    enum cp_err code = db_file_get(conn, t->version.id, t->file.path, &present, err);

    if (code != CP_ERR_NOT_FOUND) {
        CP_TRY(code);
    }
    return db_file_condition_holds(&t->condition, code == CP_OK ? &present : NULL)
               ? CP_OK
               : not_expected(t, err);
}

enum cp_err api_target_find(struct db_conn *conn, const struct api_call *call, struct api_target *t,
                            struct cp_error *err)
{
    CP_TRY(api_version_find(conn, call->params[0], call->params[1], &t->version, err));
    if (t->version.state != DB_VERSION_DRAFT) {
        return find_damaged(conn, t, err);
    }
    CP_TRY(db_file_check_path(conn, t->version.id, t->file.path, err));
    return check_expected(conn, t, err);
}

static enum cp_err put(struct db_conn *conn, struct api_stored *s, struct cp_error *err)
{
    struct api_target *t = s->target;
    enum cp_err code = db_file_put(conn, t->version.id, &t->file, &t->condition, &s->created, err);

    if (code == CP_ERR_PRECONDITION_FAILED) {
        return not_expected(t, err);
    }
    CP_TRY(code);
    return db_file_get(conn, t->version.id, t->file.path, &t->file, err);
}

/* The event content-healed tells of it. */
static enum cp_err heal(struct db_conn *conn, struct api_target *t, struct cp_error *err)
{
    CP_TRY(db_blob_put(conn, t->file.sha256, t->file.size, err));
    return db_file_get(conn, t->version.id, t->file.path, &t->file, err);
}

enum cp_err api_target_store(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, struct api_stored *s,
                             struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];

    if (s->target->heals) {
        return heal(conn, s->target, err);
    }
    CP_TRY(put(conn, s, err));
    (void)snprintf(subject, sizeof subject, "package %s version %u", s->target->version.package,
                   (unsigned)s->target->version.number);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "file-stored",
                                               .subject = subject,
                                               .detail = api_file_json(&s->target->file)},
                           err);
}
