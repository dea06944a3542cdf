/* SPDX-License-Identifier: Apache-2.0
 * Recounting, a page of blobs in one transaction with what is told of it. Touches the database. */
#include "jobs/recount.h"

#include <stdlib.h>
#include <string.h>

#include "db/blob.h"

#define PAGE    1000
#define EVERY_S UINT64_C(86400)

struct recounting {
    struct job *job;
    char after[DB_DIGEST_SIZE];
    struct db_blob_recount page;
    uint64_t blobs, wrong;
    char digit;
};

static enum cp_err page_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct recounting *r = arg;

    CP_TRY(db_blob_recount(conn, r->after, PAGE, &r->page, err));
    if (r->page.wrong == 0) {
        return CP_OK;
    }
    return job_event(r->job, conn, "library-references-corrected", "library",
                     json_pack("{s:I, s:s, s:I, s:I}", "blobs", (json_int_t)r->page.wrong,
                               "example", r->page.example, "stored", (json_int_t)r->page.stored,
                               "counted", (json_int_t)r->page.counted),
                     err);
}

static enum cp_err total_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct recounting *r = arg;
    struct db_blob_total total;

    CP_TRY(db_blob_total(conn, r->digit, &total, err));
    if (total.right) {
        return CP_OK;
    }
    return job_event(r->job, conn, "library-total-corrected", "library",
                     json_pack("{s:s#, s:I, s:I}", "part", &r->digit, 1, "stored",
                               (json_int_t)total.stored, "counted", (json_int_t)total.counted),
                     err);
}

static enum cp_err recount(struct recounting *r, struct cp_error *err)
{
    do {
        CP_TRY(job_progress(r->job, r->blobs, 0, err));
        CP_TRY(db_run_tx_locking(job_context(r->job)->db, "recount-references", page_body, r, err));
        r->blobs += r->page.looked_at;
        r->wrong += r->page.wrong;
        memcpy(r->after, r->page.last, sizeof r->after);
    } while (r->page.looked_at == PAGE);
    for (const char *digit = "0123456789abcdef"; *digit != '\0'; digit++) {
        r->digit = *digit;
        CP_TRY(db_run_tx_locking(job_context(r->job)->db, "recount-total", total_body, r, err));
    }
    job_result(r->job, json_pack("{s:I, s:I}", "blobs", (json_int_t)r->blobs, "wrong",
                                 (json_int_t)r->wrong));
    return CP_OK;
}

enum cp_err job_recount(struct job *job, struct cp_error *err)
{
    struct recounting r = {.job = job};

    return recount(&r, err);
}

uint64_t job_recount_interval(const struct db_settings *settings)
{
    (void)settings;
    return EVERY_S;
}
