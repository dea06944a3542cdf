/* SPDX-License-Identifier: Apache-2.0
 * Forgetting in batches, so that no transaction holds many locks for long. Touches the database. */
#include "jobs/history.h"

#include <inttypes.h>
#include <stdio.h>

#include "db/history.h"
#include "db/idempotency.h"
#include "db/settings.h"

#define BATCH 1000
/* A session takes up to some thousand receivers with it. */
#define SESSIONS 20
#define EVERY_S  UINT64_C(86400)

struct forgetting {
    struct job *job;
    enum db_history what;
    uint32_t days;
    size_t limit;
    uint64_t dropped; /* by the last batch */
    uint64_t all;
    uint64_t counts[DB_HISTORY_COUNT];
    uint64_t answers; /* to requests with an Idempotency-Key */
};

static enum cp_err batch_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct forgetting *f = arg;

    return db_history_drop(conn, f->what, f->days, f->limit, &f->dropped, err);
}

static enum cp_err drop(struct forgetting *f, enum db_history what, struct cp_error *err)
{
    f->what = what;
    f->limit = what == DB_HISTORY_SESSIONS ? SESSIONS : BATCH;
    do {
        CP_TRY(job_progress(f->job, f->all, 0, err));
        CP_TRY(db_run_tx_locking(job_context(f->job)->db, "drop-history", batch_body, f, err));
        f->counts[what] += f->dropped;
        f->all += f->dropped;
    } while (f->dropped == f->limit);
    return CP_OK;
}

static enum cp_err answers_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct forgetting *f = arg;

    return db_idempotency_drop(conn, BATCH, &f->dropped, err);
}

/* These have a day of their own, whatever the settings say. */
static enum cp_err drop_answers(struct forgetting *f, struct cp_error *err)
{
    do {
        CP_TRY(job_progress(f->job, f->all, 0, err));
        CP_TRY(db_run_tx_locking(job_context(f->job)->db, "drop-answers", answers_body, f, err));
        f->answers += f->dropped;
    } while (f->dropped == BATCH);
    return CP_OK;
}

static json_t *facts(const struct forgetting *f)
{
    json_t *facts =
        json_pack("{s:I, s:I}", "days", (json_int_t)f->days, "answers", (json_int_t)f->answers);

    for (enum db_history what = 0; what < DB_HISTORY_COUNT; what++) {
        (void)json_object_set_new(facts, db_history_name(what),
                                  json_integer((json_int_t)f->counts[what]));
    }
    return facts;
}

static void summarize(const struct forgetting *f)
{
    struct job_amount answers =
        job_amount(f->answers, "answer to a request", "answers to requests");
    char counts[256] = "";
    size_t at = 0;

    if (f->days == 0) {
        job_summary(f->job, DB_TASK_INFO,
                    "History is kept for ever (history_days is 0); forgot %s.", answers.text);
        return;
    }
    for (enum db_history what = 0; what < DB_HISTORY_COUNT; what++) {
        int more = snprintf(counts + at, sizeof counts - at, "%" PRIu64 " %s, ", f->counts[what],
                            db_history_name(what));

        CP_ASSERT(more > 0 && (size_t)more < sizeof counts - at);
        at += (size_t)more;
    }
    job_summary(f->job, DB_TASK_INFO, "Forgot what ended more than %u days ago: %sand %s.",
                (unsigned)f->days, counts, answers.text);
}

static enum cp_err end_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct forgetting *f = arg;

    job_result(f->job, facts(f));
    summarize(f);
    if (f->all > 0) {
        CP_TRY(job_event(f->job, conn, "history-dropped", "history", facts(f), err));
    }
    return job_done_in(f->job, conn, err);
}

enum cp_err job_history(struct job *job, struct cp_error *err)
{
    struct forgetting f = {.job = job};
    struct db_settings settings;

    CP_TRY(job_settings(job, &settings, err));
    f.days = settings.history_days;
    for (enum db_history what = 0; f.days > 0 && what < DB_HISTORY_COUNT; what++) {
        CP_TRY(drop(&f, what, err));
    }
    CP_TRY(drop_answers(&f, err));
    return db_run_tx_locking(job_context(job)->db, "history-dropped", end_body, &f, err);
}

uint64_t job_history_interval(const struct db_settings *settings)
{
    (void)settings;
    return EVERY_S;
}
