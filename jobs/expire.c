/* SPDX-License-Identifier: Apache-2.0
 * Uploads that have expired, or whose version was sealed: the row goes first, then the file; files without a row are those of uploads whose
 * draft was deleted, or whose row went when the process died, or of another dump of the database. Touches the database and the blob
 * store. */
#include "jobs/expire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "content/blob.h"
#include "content/blob_care.h"
#include "db/settings.h"
#include "db/upload.h"
#include "jobs/library.h"

#define EXPIRE_EVERY_S 3600
#define ROWS_AT_ONCE   64

#define HOUR_S 3600

struct expiring {
    struct job *job;
    uint64_t grace_s;       /* of files without a row */
    struct db_upload *rows; /* ROWS_AT_ONCE */
    size_t count;
    uint64_t skipped; /* somebody works at them: next time */
    uint64_t uploads, bytes, strays;
    uint64_t finished;     /* of the uploads: only forgotten */
    uint64_t waiting;      /* files without a row, found before */
    uint64_t marked;       /* files without a row, found now */
    uint64_t busy;         /* left alone, since somebody works at them */
    struct db_upload *row; /* the present one */
    bool deleted;          /* it had expired still */
    bool exists;
    char name[64]; /* of the present file */
};

uint64_t job_expire_interval(const struct db_settings *settings)
{
    (void)settings;
    return EXPIRE_EVERY_S;
}

/* ---- rows ---- */

static enum cp_err expired_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct expiring *e = arg;

    return db_upload_expired(conn, job_context(e->job)->node_id, ROWS_AT_ONCE, e->rows, &e->count,
                             err);
}

static enum cp_err expire_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct expiring *e = arg;
    const struct db_upload *row = e->row;
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_upload_expire(conn, row->id, &e->deleted, err));
    if (!e->deleted || row->finished_at != 0) {
        return CP_OK; /* finished: the draft has the file, only the memory of the upload ends */
    }
    (void)snprintf(subject, sizeof subject, "package %s version %u", row->package,
                   (unsigned)row->version);
    return job_event(e->job, conn, "upload-expired", subject,
                     json_pack("{s:s, s:s, s:I, s:I}", "id", row->id, "path", row->path, "size",
                               (json_int_t)row->size, "received", (json_int_t)row->received),
                     err);
}

static void say(struct expiring *e, const struct db_upload *row)
{
    if (row->finished_at != 0) {
        e->finished++;
        return;
    }
    job_log(e->job, DB_TASK_INFO,
            "Removed the upload of '%.500s' to version %u of package '%s' with %llu of %llu bytes: "
            "%s.",
            row->path, (unsigned)row->version, row->package, (unsigned long long)row->received,
            (unsigned long long)row->size,
            row->draft ? "it has expired" : "its version is no draft any more");
}

static enum cp_err expire(struct expiring *e, struct db_upload *row, struct cp_error *err)
{
    struct blob_partial *file = NULL;
    enum cp_err code = blob_partial_open(job_context(e->job)->blobs, row->id, &file, err);

    if (code == CP_ERR_UPLOAD_LOCKED) {
        e->skipped++;
        return CP_OK;
    }
    CP_TRY(code);
    e->row = row;
    code = db_run_tx_locking(job_context(e->job)->db, "expire-upload", expire_body, e, err);
    if (code == CP_OK && e->deleted) {
        code = blob_partial_remove(file, err);
        e->uploads++;
        e->bytes += row->received;
        say(e, row);
    }
    blob_partial_close(file);
    return code;
}

static enum cp_err expire_rows(struct expiring *e, struct cp_error *err)
{
    do {
        e->skipped = 0;
        CP_TRY(db_run_read(job_context(e->job)->db, "expired-uploads", expired_body, e, err));
        for (size_t i = 0; i < e->count; i++) {
            CP_TRY(job_progress(e->job, e->uploads, 0, err));
            CP_TRY(expire(e, &e->rows[i], err));
        }
    } while (e->count == ROWS_AT_ONCE && e->skipped < e->count);
    e->busy = e->skipped;
    return CP_OK;
}

/* ---- files without a row ---- */

static enum cp_err exists_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct expiring *e = arg;

    return db_upload_exists(conn, e->name, &e->exists, err);
}

/* Nobody works at it. A row is there before its file is: what has none now will not get one, unless
 * another dump of the database is restored. So it waits for the library's grace, from the moment when
 * it was found. */
static enum cp_err settle_stray(struct expiring *e, const struct blob_found *found,
                                struct blob_partial *file, struct cp_error *err)
{
    CP_TRY(db_run_read(job_context(e->job)->db, "find-upload", exists_body, e, err));
    if (!e->exists && !found->stray && e->grace_s > 0) {
        e->marked++;
    }
    if (e->exists ? found->stray : !found->stray && e->grace_s > 0) {
        return blob_stray_mark(job_context(e->job)->blobs, BLOB_INCOMING, e->name, !e->exists, err);
    }
    if (e->exists) {
        return CP_OK;
    }
    e->strays++;
    return blob_partial_remove(file, err);
}

static enum cp_err look_at_file(void *arg, const char *name, const struct blob_found *found,
                                struct cp_error *err)
{
    struct expiring *e = arg;
    struct blob_partial *file = NULL;
    bool waits = found->stray && found->changed_at + e->grace_s * CP_SEC > cp_clock_wall();
    enum cp_err code;

    e->waiting += waits;
    if (waits || !db_is_uuid(name) || strlen(name) >= sizeof e->name) {
        return CP_OK; /* or none of ours */
    }
    (void)snprintf(e->name, sizeof e->name, "%s", name);
    code = blob_partial_open(job_context(e->job)->blobs, name, &file, err);
    if (code == CP_ERR_UPLOAD_LOCKED) {
        return CP_OK;
    }
    CP_TRY(code);
    code = settle_stray(e, found, file, err);
    blob_partial_close(file);
    return code;
}

static enum cp_err expire_all(struct expiring *e, struct cp_error *err)
{
    struct db_settings settings;

    CP_TRY(job_settings(e->job, &settings, err));
    e->grace_s = (uint64_t)settings.library_grace_hours * HOUR_S;
    CP_TRY(jobs_library_own(job_context(e->job), "What is left of uploads", err));
    CP_TRY(expire_rows(e, err));
    return blob_partial_each(job_context(e->job)->blobs, look_at_file, e, err);
}

static void summarize(const struct expiring *e)
{
    uint64_t waiting = e->waiting + e->marked;

    if (e->uploads + e->strays + e->busy + waiting == 0) {
        job_summary(e->job, DB_TASK_INFO, "Nothing was to be removed.");
        return;
    }
    job_summary(e->job, DB_TASK_INFO,
                "Removed %s that nobody finished and %s without an upload; forgot %s. Kept, for "
                "the grace of %llu hours: %s without an upload (%llu of them found now); since "
                "somebody works at it: %s.",
                job_amount(e->uploads - e->finished, "upload", "uploads").text,
                job_amount(e->strays, "file", "files").text,
                job_amount(e->finished, "finished upload", "finished uploads").text,
                (unsigned long long)e->grace_s / HOUR_S, job_amount(waiting, "file", "files").text,
                (unsigned long long)e->marked, job_amount(e->busy, "upload", "uploads").text);
}

enum cp_err job_expire(struct job *job, struct cp_error *err)
{
    struct expiring e = {.job = job, .rows = calloc(ROWS_AT_ONCE, sizeof *e.rows)};
    enum cp_err code;

    if (e.rows == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the list of uploads.");
    }
    code = expire_all(&e, err);
    free(e.rows);
    if (code == CP_OK) {
        job_result(job, json_pack("{s:I, s:I, s:I}", "uploads", (json_int_t)e.uploads, "bytes",
                                  (json_int_t)e.bytes, "stray_files", (json_int_t)e.strays));
        summarize(&e);
    }
    return code;
}
