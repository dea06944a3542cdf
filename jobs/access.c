/* SPDX-License-Identifier: Apache-2.0
 * Watching over tokens and failed logins. Touches the database. */
#include "jobs/access.h"

#include <stdio.h>

#include "common/clock.h"
#include "db/login.h"
#include "db/token.h"

#define EVERY_S UINT64_C(3600)
#define BATCH   50

struct watching {
    struct job *job;
    struct db_token tokens[BATCH];
    size_t count;    /* of the last batch */
    uint64_t warned; /* before it */
    uint64_t forgotten;
};

static enum cp_err warn_of(struct db_conn *conn, struct job *job, const struct db_token *t,
                           struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];
    char expires[CP_RFC3339_SIZE];

    cp_clock_rfc3339(t->expires_at, expires);
    (void)snprintf(subject, sizeof subject, "token %s of account %s", t->id, t->account);
    return job_event(job, conn, "token-expires-soon", subject,
                     json_pack("{s:s, s:s, s:s, s:s}", "account", t->account, "name", t->name,
                               "prefix", t->prefix, "expires_at", expires),
                     err);
}

static enum cp_err warn_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct watching *w = arg;

    CP_TRY(db_token_expiring(conn, JOB_TOKEN_WARN_S, BATCH, w->tokens, &w->count, err));
    for (size_t i = 0; i < w->count; i++) {
        CP_TRY(warn_of(conn, w->job, &w->tokens[i], err));
    }
    return CP_OK;
}

static void tell_tokens(struct watching *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct db_token *t = &w->tokens[i];
        char expires[CP_RFC3339_SIZE];

        cp_clock_rfc3339(t->expires_at, expires);
        job_log(w->job, DB_TASK_WARNING, "The token '%s' (%s…) of account '%s' expires at %s.",
                t->name, t->prefix, t->account, expires);
    }
}

static enum cp_err end_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct watching *w = arg;

    CP_TRY(db_login_purge(conn, &w->forgotten, err));
    job_result(w->job, json_pack("{s:I, s:I}", "tokens_warned_of", (json_int_t)w->warned,
                                 "failed_logins_forgotten", (json_int_t)w->forgotten));
    job_summary(w->job, DB_TASK_INFO, "Warned of %s; forgot %s.",
                job_amount(w->warned, "token that expires soon", "tokens that expire soon").text,
                job_amount(w->forgotten, "failed login", "failed logins").text);
    return job_done_in(w->job, conn, err);
}

enum cp_err job_watch_access(struct job *job, struct cp_error *err)
{
    struct watching w = {.job = job};

    do {
        CP_TRY(job_progress(job, w.warned, 0, err));
        CP_TRY(db_run_tx_locking(job_context(job)->db, "warn-of-tokens", warn_body, &w, err));
        w.warned += w.count;
        tell_tokens(&w);
    } while (w.count == BATCH);
    return db_run_tx_locking(job_context(job)->db, "watch-access", end_body, &w, err);
}

uint64_t job_watch_access_interval(const struct db_settings *settings)
{
    (void)settings;
    return EVERY_S;
}
