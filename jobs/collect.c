/* SPDX-License-Identifier: Apache-2.0
 * Garbage collection. A blob's row goes first, in a transaction that looks once more whether
 * anybody needs it, then its file: who is killed in between leaves a file without a row, which the
 * next run's walk of the store finds. The claim (content/blob_care.h) keeps uploads of the same
 * bytes waiting meanwhile. Touches the database and the content library. */
#include "jobs/collect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "content/blob.h"
#include "content/blob_care.h"
#include "db/blob.h"
#include "db/settings.h"
#include "jobs/library.h"

#define EVERY_S 3600
#define PAGE    100
#define HOUR_S  3600
/* What the database's and this machine's may be apart. */
#define CLOCKS_DIFFER (300 * CP_SEC)

struct sum {
    uint64_t count, bytes;
};

struct collecting {
    struct job *job;
    bool dry_run;
    uint64_t grace_s;
    struct sum blobs, strays, quarantined;
    uint64_t disk_bytes; /* of what is left in the store */
    uint64_t looked_at;
    uint64_t needed;          /* unused for long enough, but not to be removed */
    uint64_t marked, waiting; /* files without a row: found now, and before */
    struct db_blob_figures figures;
    /* blobs without a file, a page at a time */
    char after[DB_DIGEST_SIZE];
    struct db_blob page[PAGE];
    size_t page_count;
    /* files that may have no row, asked about together */
    enum blob_place place;
    struct db_blob_name names[DB_BLOB_NAMES_MAX];
    struct blob_found found[DB_BLOB_NAMES_MAX];
    size_t name_count;
    struct db_blob_name unknown[DB_BLOB_NAMES_MAX];
    size_t unknown_count;
};

static void add(struct sum *sum, uint64_t bytes)
{
    sum->count++;
    sum->bytes += bytes;
}

/* The total is not known: it counts what was looked at. */
static enum cp_err go_on(struct collecting *c, struct cp_error *err)
{
    c->looked_at++;
    return job_progress(c->job, c->looked_at, 0, err);
}

/* ---- blobs without a file of a version ---- */

static enum cp_err page_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct collecting *c = arg;

    return db_blob_unused(conn, c->grace_s, c->after, PAGE, c->page, &c->page_count, err);
}

struct delete_arg {
    const char *sha256;
    uint64_t grace_s;
    bool deleted;
};

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct delete_arg *a = arg;

    return db_blob_delete(conn, a->sha256, a->grace_s, &a->deleted, err);
}

/* Stored again since the row was written: by an upload that did not come to its row, or after the
 * dump was made that the database was restored from. Such a file waits as any other stray. */
static bool is_newer(const struct collecting *c, const struct db_blob *blob,
                     const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    return c->grace_s > 0 &&
           blob_changed_at(job_context(c->job)->blobs, digest) > blob->created_at + CLOCKS_DIFFER;
}

/* Under the claim. */
static enum cp_err remove_claimed(struct collecting *c, const struct db_blob *blob,
                                  const uint8_t digest[CONTENT_DIGEST_SIZE], struct cp_error *err)
{
    const struct jobs_context *ctx = job_context(c->job);
    struct delete_arg a = {.sha256 = blob->sha256, .grace_s = c->grace_s};

    CP_TRY(db_run_tx_locking(ctx->db, "collect-blob", delete_body, &a, err));
    if (!a.deleted) {
        c->needed++; /* somebody needs it again */
        return CP_OK;
    }
    if (is_newer(c, blob, digest)) {
        job_log(c->job, DB_TASK_WARNING,
                "Content %s is newer than its row: the row is removed, the file waits as one "
                "without a row.",
                blob->sha256);
        return CP_OK;
    }
    add(&c->blobs, blob->size);
    return blob_remove(ctx->blobs, digest, err);
}

static enum cp_err collect_blob(struct collecting *c, const struct db_blob *blob,
                                struct cp_error *err)
{
    struct blob_store *store = job_context(c->job)->blobs;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    enum cp_err code;

    if (!cp_hex_decode(blob->sha256, digest, sizeof digest)) {
        return cp_error_set(err, CP_ERR_INTERNAL, "A digest in the database is damaged.");
    }
    if (c->dry_run) {
        if (!is_newer(c, blob, digest)) {
            add(&c->blobs, blob->size);
        }
        return CP_OK;
    }
    if (blob_claim(store, digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to collect a blob.");
    }
    code = remove_claimed(c, blob, digest, err);
    blob_unclaim(store, digest);
    return code;
}

static enum cp_err collect_unused(struct collecting *c, struct cp_error *err)
{
    do {
        CP_TRY(db_run_read(job_context(c->job)->db, "unused-blobs", page_body, c, err));
        for (size_t i = 0; i < c->page_count; i++) {
            CP_TRY(go_on(c, err));
            CP_TRY(collect_blob(c, &c->page[i], err));
        }
        if (c->page_count > 0) {
            memcpy(c->after, c->page[c->page_count - 1].sha256, sizeof c->after);
        }
    } while (c->page_count == PAGE);
    return CP_OK;
}

/* ---- files without a row ---- */

static enum cp_err unknown_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct collecting *c = arg;

    return db_blob_unknown(conn, c->names, c->name_count, c->place == BLOB_IN_QUARANTINE,
                           c->unknown, &c->unknown_count, err);
}

struct still_arg {
    struct db_blob_name name;
    struct db_blob_name unknown;
    bool only_bad;
    size_t count;
};

static enum cp_err still_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct still_arg *a = arg;

    return db_blob_unknown(conn, &a->name, 1, a->only_bad, &a->unknown, &a->count, err);
}

/* An unknown file that does not wait (visit) has been marked for as long as the grace. */
static bool is_due(const struct collecting *c, const struct blob_found *found)
{
    return found->stray || c->grace_s == 0;
}

/* Under the claim, so that the answer stays true until the file is gone. One that is seen for the
 * first time is only marked: its grace begins now, whatever its age. */
static enum cp_err remove_stray_claimed(struct collecting *c, const struct db_blob_name *name,
                                        const struct blob_found *found, struct cp_error *err)
{
    const struct jobs_context *ctx = job_context(c->job);
    bool in_store = c->place == BLOB_IN_STORE;
    struct still_arg a = {.name = *name, .only_bad = !in_store};

    CP_TRY(db_run_read(ctx->db, "stray-blob", still_body, &a, err));
    if (a.count == 0) {
        return CP_OK;
    }
    if (!is_due(c, found)) {
        c->marked++;
        return blob_stray_mark(ctx->blobs, c->place, name->sha256, true, err);
    }
    c->disk_bytes -= in_store ? found->disk_bytes : 0;
    add(in_store ? &c->strays : &c->quarantined, found->size);
    return in_store ? blob_remove(ctx->blobs, found->digest, err)
                    : blob_quarantine_remove(ctx->blobs, found->digest, err);
}

static enum cp_err collect_stray(struct collecting *c, const struct db_blob_name *name,
                                 const struct blob_found *found, struct cp_error *err)
{
    struct blob_store *store = job_context(c->job)->blobs;
    enum cp_err code;

    if (c->dry_run) {
        if (is_due(c, found)) {
            add(c->place == BLOB_IN_STORE ? &c->strays : &c->quarantined, found->size);
        }
        return CP_OK;
    }
    if (blob_claim(store, found->digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to collect a blob.");
    }
    code = remove_stray_claimed(c, name, found, err);
    blob_unclaim(store, found->digest);
    return code;
}

static bool is_unknown(const struct collecting *c, const struct db_blob_name *name)
{
    for (size_t i = 0; i < c->unknown_count; i++) {
        if (strcmp(c->unknown[i].sha256, name->sha256) == 0) {
            return true;
        }
    }
    return false;
}

static enum cp_err look_at_names(struct collecting *c, struct cp_error *err)
{
    size_t count = c->name_count;

    CP_TRY(db_run_read(job_context(c->job)->db, "stray-blobs", unknown_body, c, err));
    c->name_count = 0;
    for (size_t i = 0; i < count; i++) {
        CP_TRY(go_on(c, err));
        if (is_unknown(c, &c->names[i])) {
            CP_TRY(collect_stray(c, &c->names[i], &c->found[i], err));
        } else if (c->found[i].stray && !c->dry_run) {
            CP_TRY(blob_stray_mark(job_context(c->job)->blobs, c->place, c->names[i].sha256, false,
                                   err));
        }
    }
    return CP_OK;
}

/* A marked file waits for its grace: it may be of an upload that was killed before it could write
 * its row, or known to a newer dump of the database. */
static enum cp_err visit(void *arg, const struct blob_found *found, struct cp_error *err)
{
    struct collecting *c = arg;
    uint64_t now = cp_clock_wall();

    c->disk_bytes += c->place == BLOB_IN_STORE ? found->disk_bytes : 0;
    if (found->stray && found->changed_at + c->grace_s * CP_SEC > now) {
        c->waiting++;
        return CP_OK;
    }
    c->found[c->name_count] = *found;
    cp_hex_encode(found->digest, CONTENT_DIGEST_SIZE, c->names[c->name_count].sha256);
    c->name_count++;
    return c->name_count == DB_BLOB_NAMES_MAX ? look_at_names(c, err) : CP_OK;
}

static enum cp_err collect_strays(struct collecting *c, enum blob_place place, struct cp_error *err)
{
    c->place = place;
    c->name_count = 0;
    CP_TRY(blob_store_walk(job_context(c->job)->blobs, place, visit, c, err));
    return look_at_names(c, err);
}

/* ---- the end ---- */

static json_t *facts(const struct collecting *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "blobs", (json_int_t)c->blobs.count, "bytes",
                     (json_int_t)c->blobs.bytes, "stray_files", (json_int_t)c->strays.count,
                     "stray_bytes", (json_int_t)c->strays.bytes, "quarantined",
                     (json_int_t)c->quarantined.count, "quarantined_bytes",
                     (json_int_t)c->quarantined.bytes);
}

static enum cp_err figures_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct collecting *c = arg;

    return db_blob_figures(conn, &c->figures, err);
}

/* One line of what was removed, also of a run that failed on its way. */
static void put_removed(const struct collecting *c, char ret_text[DB_TEXT_SIZE])
{
    if (c->blobs.count + c->strays.count + c->quarantined.count == 0) {
        (void)snprintf(ret_text, DB_TEXT_SIZE, "Nothing was to be removed.");
        return;
    }
    (void)snprintf(
        ret_text, DB_TEXT_SIZE,
        "%s %s that no file has (%llu bytes), %s without a row (%llu bytes) and %s of the "
        "quarantine (%llu bytes).",
        c->dry_run ? "Would remove" : "Removed", job_amount(c->blobs.count, "blob", "blobs").text,
        (unsigned long long)c->blobs.bytes, job_amount(c->strays.count, "file", "files").text,
        (unsigned long long)c->strays.bytes, job_amount(c->quarantined.count, "file", "files").text,
        (unsigned long long)c->quarantined.bytes);
}

static void summarize(const struct collecting *c)
{
    uint64_t unused = c->figures.unused.blobs;
    char removed[DB_TEXT_SIZE];

    if (c->dry_run) {
        unused -= c->blobs.count < unused ? c->blobs.count : unused;
    }
    put_removed(c, removed);
    if (unused + c->waiting + c->marked == 0) {
        job_summary(c->job, DB_TASK_INFO, "%s", removed);
        return;
    }
    job_summary(
        c->job, DB_TASK_INFO,
        "%s Kept, for the grace of %llu hours or since they are needed again: %s that no "
        "file has, and %s without a row (%llu of them found now).",
        removed, (unsigned long long)c->grace_s / HOUR_S, job_amount(unused, "blob", "blobs").text,
        job_amount(c->waiting + c->marked, "file", "files").text, (unsigned long long)c->marked);
}

static enum cp_err end_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct collecting *c = arg;
    json_t *result = facts(c);
    bool any = c->blobs.count + c->strays.count + c->quarantined.count > 0;

    (void)json_object_set_new(result, "dry_run", json_boolean(c->dry_run));
    (void)json_object_set_new(result, "disk_bytes", json_integer((json_int_t)c->disk_bytes));
    job_result(c->job, result);
    summarize(c);
    if (any && !c->dry_run) {
        CP_TRY(job_event(c->job, conn, "library-collected", "library", facts(c), err));
    }
    return job_done_in(c->job, conn, err);
}

static enum cp_err collect(struct collecting *c, struct cp_error *err)
{
    struct db_settings settings;

    CP_TRY(job_settings(c->job, &settings, err));
    c->grace_s = (uint64_t)settings.library_grace_hours * HOUR_S;
    CP_TRY(jobs_library_own(job_context(c->job), "Garbage", err));
    CP_TRY(collect_unused(c, err));
    CP_TRY(collect_strays(c, BLOB_IN_STORE, err));
    CP_TRY(collect_strays(c, BLOB_IN_QUARANTINE, err));
    if (c->needed > 0) {
        job_log(c->job, DB_TASK_INFO,
                "Kept %s that no file has: an upload is about to finish with it, a file got it "
                "meanwhile, or its count is wrong.",
                job_amount(c->needed, "blob", "blobs").text);
    }
    CP_TRY(db_run_read(job_context(c->job)->db, "blob-figures", figures_body, c, err));
    return db_run_tx_locking(job_context(c->job)->db, "collected", end_body, c, err);
}

enum cp_err job_collect(struct job *job, struct cp_error *err)
{
    struct collecting *c = calloc(1, sizeof *c);
    enum cp_err rc;

    if (c == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to collect garbage.");
    }
    c->job = job;
    c->dry_run = json_is_true(json_object_get(job_params(job), "dry_run"));
    rc = collect(c, err);
    if (rc != CP_OK && c->looked_at > 0) {
        char removed[DB_TEXT_SIZE];

        put_removed(c, removed);
        job_log(job, DB_TASK_INFO, "Until it ended: %s", removed);
    }
    free(c);
    return rc;
}

uint64_t job_collect_interval(const struct db_settings *settings)
{
    (void)settings;
    return EVERY_S;
}
