/* SPDX-License-Identifier: Apache-2.0
 * Sealing: every byte of the draft is read once more, the manifest is made and signed, and one
 * transaction turns the draft into a sealed version, unless a file changed meanwhile. Touches the
 * database and the blob store. */
#include "jobs/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/hex.h"
#include "common/pages.h"
#include "content/blob.h"
#include "content/chunks.h"
#include "content/manifest.h"
#include "db/file.h"
#include "db/version.h"
#include "keys/credentials.h"
#include "keys/keyring.h"

#define FILES_PER_QUERY 256

struct sealing {
    struct job *job;
    const char *package;
    uint32_t number;
    const char *id;              /* of the version that was meant, whatever has its name now */
    int64_t files_revision;      /* that the caller has seen; 0: whatever there is */
    uint64_t done, total;        /* bytes */
    struct db_version version;   /* as its files were read */
    struct db_version sealed;    /* as the last run of the transaction left it */
    struct manifest_file *files; /* in stream order; the paths are ours */
    size_t file_count, file_room;
    struct db_file *page; /* FILES_PER_QUERY rows */
    struct content_chunk *chunks;
    size_t chunk_count;
    uint8_t *buffer; /* CONTENT_CHUNK_SIZE */
    char *manifest;
    size_t manifest_size;
    char manifest_sha256[CONTENT_DIGEST_TEXT_SIZE];
    uint64_t content_size;
};

static void drop_files(struct sealing *s)
{
    for (size_t i = 0; i < s->file_count; i++) {
        free((char *)s->files[i].path);
    }
    s->file_count = 0;
}

static void sealing_done(struct sealing *s)
{
    drop_files(s);
    free(s->files);
    free(s->page);
    free(s->chunks);
    free(s->buffer);
    free(s->manifest);
}

/* ---- 1: which files ---- */

static enum cp_err add_file(struct sealing *s, const struct db_file *row, struct cp_error *err)
{
    struct manifest_file *f;

    if (row->size == 0) {
        return cp_error_set(err, CP_ERR_CONTENT_EMPTY,
                            "File '%.300s' is empty: upload it again, or delete it, then seal.",
                            row->path);
    }
    if (s->file_count == s->file_room) {
        size_t room = s->file_room > 0 ? s->file_room * 2 : FILES_PER_QUERY;
        struct manifest_file *grown = reallocarray(s->files, room, sizeof *grown);

        if (grown == NULL) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the list of files.");
        }
        s->files = grown;
        s->file_room = room;
    }
    f = &s->files[s->file_count];
    *f = (struct manifest_file){.path = strdup(row->path), .size = row->size, .mode = row->mode};
    if (f->path == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the list of files.");
    }
    s->file_count++;
    if (!cp_hex_decode(row->sha256, f->sha256, sizeof f->sha256)) {
        return cp_error_set(err, CP_ERR_INTERNAL, "File '%.300s' has no digest in the database.",
                            row->path);
    }
    return CP_OK;
}

static enum cp_err read_files(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct sealing *s = arg;
    char after[DB_PATH_SIZE] = "";
    size_t count;

    drop_files(s);
    CP_TRY(db_version_get(conn, s->package, s->number, &s->version, err));
    if (strcmp(s->version.id, s->id) != 0) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND,
                            "The version that was to be sealed was deleted; version %u of package "
                            "'%s' is another one now: look at its files, then seal it.",
                            (unsigned)s->number, s->package);
    }
    if (s->version.state != DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_SEALED, "Version %u of package '%s' is %s already.",
                            (unsigned)s->version.number, s->version.package,
                            db_version_state_name(s->version.state));
    }
    if (s->files_revision != 0 && s->version.files_revision != s->files_revision) {
        return cp_error_set(
            err, CP_ERR_PRECONDITION_FAILED,
            "A file of version %u of package '%s' came, went or changed after the "
            "request to seal it: look at its files, then seal it with its new ETag.",
            (unsigned)s->version.number, s->version.package);
    }
    do {
        CP_TRY(db_file_list(conn, s->version.id, after, FILES_PER_QUERY, s->page, &count, err));
        for (size_t i = 0; i < count; i++) {
            CP_TRY(add_file(s, &s->page[i], err));
        }
        if (count > 0) {
            (void)snprintf(after, sizeof after, "%s", s->page[count - 1].path);
        }
    } while (count == FILES_PER_QUERY);
    if (s->file_count == 0) {
        return cp_error_set(err, CP_ERR_CONTENT_EMPTY,
                            "Version %u of package '%s' has no file: upload one, then seal.",
                            (unsigned)s->version.number, s->version.package);
    }
    return CP_OK;
}

/* ---- 2: what is in them ---- */

static enum cp_err hash_blob(struct sealing *s, int fd, const struct manifest_file *f,
                             struct content_chunker *chunker, struct content_sha256 *hash,
                             struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    uint64_t done = 0;

    while (done < f->size) {
        size_t want =
            f->size - done < CONTENT_CHUNK_SIZE ? (size_t)(f->size - done) : CONTENT_CHUNK_SIZE;
        ssize_t got = pread(fd, s->buffer, want, (off_t)done);

        if (got <= 0) {
            return cp_error_set(err, CP_ERR_STORAGE,
                                "Reading the content of '%.300s' failed at byte %llu.", f->path,
                                (unsigned long long)done);
        }
        content_sha256_add(hash, s->buffer, (size_t)got);
        if (content_chunker_add(chunker, s->buffer, (size_t)got) != CP_OK) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the chunks' digests.");
        }
        done += (uint64_t)got;
        s->done += (uint64_t)got;
        CP_TRY(job_progress(s->job, s->done, s->total, err));
    }
    content_sha256_finish(hash, digest);
    if (memcmp(digest, f->sha256, sizeof digest) != 0) {
        return cp_error_set(err, CP_ERR_STORAGE,
                            "The stored content of '%.300s' is damaged: upload the file again.",
                            f->path);
    }
    return CP_OK;
}

/* Those that take a while, of however many: at most a hundred have a hundredth of it all. */
static void tell_file(struct sealing *s, const struct manifest_file *f)
{
    if (f->size >= s->total / 100) {
        job_log(s->job, DB_TASK_INFO, "Reading '%.800s' (%llu bytes).", f->path,
                (unsigned long long)f->size);
    }
}

static enum cp_err hash_file(struct sealing *s, const struct manifest_file *f,
                             struct content_chunker *chunker, struct content_sha256 *hash,
                             struct cp_error *err)
{
    uint64_t size;
    enum cp_err code;
    int fd;

    tell_file(s, f);
    code = blob_open(job_context(s->job)->blobs, f->sha256, &fd, &size, err);
    if (code == CP_ERR_BLOB_MISSING || (code == CP_OK && size != f->size)) {
        if (code == CP_OK) {
            (void)close(fd);
        }
        return cp_error_set(err, CP_ERR_BLOB_MISSING,
                            "The content of '%.300s' is not in the library: upload the file again.",
                            f->path);
    }
    if (code != CP_OK) {
        cp_error_prefix(err, "The content of '%.300s'", f->path);
        return code;
    }
    code = hash_blob(s, fd, f, chunker, hash, err);
    (void)close(fd);
    return code;
}

static enum cp_err read_content(struct sealing *s, struct cp_error *err)
{
    struct content_chunker *chunker = NULL;
    struct content_sha256 *hash = NULL;
    enum cp_err code;

    if (content_chunker_new(&chunker) != CP_OK || content_sha256_new(&hash) != CP_OK) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to read the content.");
        goto out;
    }
    code = CP_OK;
    for (size_t i = 0; i < s->file_count && code == CP_OK; i++) {
        code = hash_file(s, &s->files[i], chunker, hash, err);
    }
    if (code == CP_OK && content_chunker_finish(chunker, &s->chunks, &s->chunk_count) != CP_OK) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the chunks' digests.");
    }
out:
    content_chunker_free(chunker);
    content_sha256_free(hash);
    return code;
}

/* ---- 3: the manifest ---- */

static enum cp_err make_manifest(struct sealing *s, struct cp_error *err)
{
    struct manifest_parts parts = {.package = s->version.package,
                                   .version = s->version.number,
                                   .files = s->files,
                                   .file_count = s->file_count,
                                   .chunks = s->chunks,
                                   .chunk_count = s->chunk_count};
    struct manifest *m = NULL;
    enum cp_err code;

    CP_TRY(manifest_new(&parts, &m, err));
    code = manifest_encode(m, &s->manifest, &s->manifest_size);
    if (code == CP_OK) {
        code = keys_sha256_hex(s->manifest, s->manifest_size, s->manifest_sha256);
    }
    s->content_size = 0;
    for (size_t i = 0; i < s->chunk_count; i++) {
        if (!s->chunks[i].zero) {
            s->content_size += content_chunk_size(m->stream_size, i);
        }
    }
    s->version.stream_size = m->stream_size;
    manifest_free(m);
    return code == CP_OK ? CP_OK : cp_error_set(err, code, "The manifest could not be made.");
}

/* ---- 4: the one transaction ---- */

static json_t *facts(const struct sealing *s)
{
    return json_pack("{s:s, s:I, s:I}", "manifest_sha256", s->manifest_sha256, "files",
                     (json_int_t)s->file_count, "stream_size", (json_int_t)s->version.stream_size);
}

static enum cp_err store(struct sealing *s, struct db_conn *conn, const struct keys_multicast *key,
                         struct cp_error *err)
{
    struct db_seal seal = {.manifest = s->manifest,
                           .manifest_size = s->manifest_size,
                           .manifest_sha256 = s->manifest_sha256,
                           .manifest_key = key->fingerprint,
                           .stream_size = s->version.stream_size,
                           .content_size = s->content_size};
    char *signature = NULL;
    enum cp_err code;

    CP_TRY(keys_ring_sign_detached(key, s->manifest, s->manifest_size, &signature, err));
    seal.manifest_signature = signature;
    code = db_version_seal(conn, s->version.id, s->version.files_revision, &seal, &s->sealed, err);
    free(signature);
    if (code == CP_ERR_PRECONDITION_FAILED) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "A file of version %u of package '%s' changed while it was being "
                            "sealed: seal it again when all uploads have ended.",
                            (unsigned)s->version.number, s->version.package);
    }
    CP_TRY(code);
    CP_TRY(job_event(s->job, conn, "version-sealed", job_task(s->job)->subject, facts(s), err));
    job_result(s->job, facts(s));
    job_summary(s->job, DB_TASK_INFO, "Sealed %s (%llu bytes); the manifest is %s.",
                job_amount(s->file_count, "file", "files").text,
                (unsigned long long)s->version.stream_size, s->manifest_sha256);
    return job_done_in(s->job, conn, err);
}

static enum cp_err seal_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct sealing *s = arg;
    struct keys_multicast key;
    enum cp_err code;

    CP_TRY(keys_ring_multicast(job_context(s->job)->keyring, conn, job_task(s->job)->request_id,
                               &key, err));
    code = store(s, conn, &key, err);
    keys_multicast_done(&key);
    return code;
}

static enum cp_err seal(struct sealing *s, struct cp_error *err)
{
    struct db_pool *db = job_context(s->job)->db;

    s->page = calloc(FILES_PER_QUERY, sizeof *s->page);
    s->buffer = cp_pages_alloc(CONTENT_CHUNK_SIZE);
    if (s->page == NULL || s->buffer == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to seal the version.");
    }
    CP_TRY(db_run_read(db, "read-draft", read_files, s, err));
    s->total = s->version.file_bytes;
    job_log(s->job, DB_TASK_INFO, "Reading %s (%llu bytes) of version %u of package '%s'.",
            job_amount(s->file_count, "file", "files").text, (unsigned long long)s->total,
            (unsigned)s->version.number, s->version.package);
    CP_TRY(read_content(s, err));
    CP_TRY(make_manifest(s, err));
    return db_run_tx_locking(db, "seal-version", seal_body, s, err);
}

enum cp_err job_seal(struct job *job, struct cp_error *err)
{
    const json_t *params = job_params(job);
    struct sealing s = {
        .job = job,
        .package = json_string_value(json_object_get(params, "package")),
        .number = (uint32_t)json_integer_value(json_object_get(params, "version")),
        .id = json_string_value(json_object_get(params, "id")),
        .files_revision = json_integer_value(json_object_get(params, "files_revision")),
    };
    enum cp_err rc;

    CP_ASSERT(s.package != NULL && s.number > 0 && s.id != NULL);
    rc = seal(&s, err);
    sealing_done(&s);
    return rc;
}
