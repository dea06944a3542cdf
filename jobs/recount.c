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
    struct db_blob_total total;
    unsigned totals_wrong;
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
                               "example", r->page.drifts[0].sha256, "stored",
                               (json_int_t)r->page.drifts[0].stored, "counted",
                               (json_int_t)r->page.drifts[0].counted),
                     err);
}

static enum cp_err total_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct recounting *r = arg;

    CP_TRY(db_blob_total(conn, r->digit, &r->total, err));
    if (r->total.right) {
        return CP_OK;
    }
    return job_event(r->job, conn, "library-total-corrected", "library",
                     json_pack("{s:s#, s:I, s:I}", "part", &r->digit, 1, "stored",
                               (json_int_t)r->total.stored, "counted",
                               (json_int_t)r->total.counted),
                     err);
}

static void tell_page(struct recounting *r)
{
    const struct db_blob_recount *p = &r->page;

    for (size_t i = 0; i < p->drift_count; i++) {
        const struct db_blob_drift *d = &p->drifts[i];

        job_log(r->job, DB_TASK_WARNING, "Content %s has %s, not %llu: its count is corrected.",
                d->sha256, job_amount(d->counted, "reference", "references").text,
                (unsigned long long)d->stored);
    }
    if (p->wrong > p->drift_count) {
        job_log(r->job, DB_TASK_WARNING, "So are the counts of %llu more, up to content %s.",
                (unsigned long long)(p->wrong - p->drift_count), p->last);
    }
}

static void tell_total(struct recounting *r)
{
    if (!r->total.right) {
        r->totals_wrong++;
        job_log(r->job, DB_TASK_WARNING,
                "The content whose digest begins with '%c' has %llu bytes, not %llu: the total is "
                "corrected.",
                r->digit, (unsigned long long)r->total.counted,
                (unsigned long long)r->total.stored);
    }
}

static enum cp_err recount(struct recounting *r, struct cp_error *err)
{
    do {
        CP_TRY(job_progress(r->job, r->blobs, 0, err));
        CP_TRY(db_run_tx_locking(job_context(r->job)->db, "recount-references", page_body, r, err));
        r->blobs += r->page.looked_at;
        r->wrong += r->page.wrong;
        tell_page(r);
        memcpy(r->after, r->page.last, sizeof r->after);
    } while (r->page.looked_at == PAGE);
    for (const char *digit = "0123456789abcdef"; *digit != '\0'; digit++) {
        r->digit = *digit;
        CP_TRY(db_run_tx_locking(job_context(r->job)->db, "recount-total", total_body, r, err));
        tell_total(r);
    }
    job_result(r->job, json_pack("{s:I, s:I}", "blobs", (json_int_t)r->blobs, "wrong",
                                 (json_int_t)r->wrong));
    job_summary(r->job, DB_TASK_INFO,
                "Counted the references of %s: %s wrong, and %u of the 16 totals of bytes.",
                job_amount(r->blobs, "blob", "blobs").text,
                job_amount(r->wrong, "count was", "counts were").text, r->totals_wrong);
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
