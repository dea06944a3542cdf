/* SPDX-License-Identifier: Apache-2.0
 * The keyring's upkeep as tasks. */
#include "jobs/keys.h"

#include "common/time.h"
#include "keys/care.h"
#include "keys/master.h"

#define EVERY_S         3600
#define MANIFESTS_PAGE  8 /* each may be a megabyte */
#define OLD_KEY_MIN_AGE (600 * CP_SEC)

struct check {
    struct job *job;
    struct keys_caller caller;
    struct keys_care care;
    size_t count; /* manifests of the last page */
};

uint64_t job_check_keys_interval(const struct db_settings *settings)
{
    (void)settings;
    return EVERY_S;
}

static enum cp_err care_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct check *c = arg;

    return keys_ring_care(job_context(c->job)->keyring, conn, &c->caller, &c->care, err);
}

static enum cp_err sign_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct check *c = arg;

    return keys_ring_sign_manifests(job_context(c->job)->keyring, conn, &c->caller, MANIFESTS_PAGE,
                                    &c->count, err);
}

static void summarize(struct check *c, uint64_t manifests)
{
    const struct keys_care *care = &c->care;

    job_summary(c->job, DB_TASK_INFO,
                "Checked %s and %s of sessions: %s and %s cannot be used. Repaired %u, rotated %u, "
                "prepared %u, retired %u; signed %s anew; cancelled %s.",
                job_amount(care->checked, "key", "keys").text,
                job_amount(care->secrets, "secret", "secrets").text,
                job_amount(care->damaged, "key", "keys").text,
                job_amount(care->secrets_unusable, "secret", "secrets").text, care->repaired,
                care->rotated, care->prepared, care->retired,
                job_amount(manifests, "manifest", "manifests").text,
                job_amount(care->cancelled, "session", "sessions").text);
}

static void say_result(struct check *c, uint64_t manifests)
{
    const struct keys_care *care = &c->care;

    if (care->damaged > 0 || care->secrets_unusable > 0) {
        job_log(c->job, DB_TASK_WARNING,
                "%u of %u keys and %u of %u secrets of sessions cannot be used: "
                "GET …/distribution-points/local/keys says why.",
                care->damaged, care->checked, care->secrets_unusable, care->secrets);
    }
    job_result(c->job, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "checked",
                                 (int)care->checked, "damaged", (int)care->damaged, "repaired",
                                 (int)care->repaired, "rotated", (int)care->rotated, "prepared",
                                 (int)care->prepared, "retired", (int)care->retired, "secrets",
                                 (int)care->secrets, "secrets_unusable",
                                 (int)care->secrets_unusable, "sessions_cancelled",
                                 (int)care->cancelled, "manifests_signed", (json_int_t)manifests));
    summarize(c, manifests);
}

/* Manifests that cannot be signed now, since the key is damaged and nobody may repair it, wait. */
static enum cp_err sign_manifests(struct check *c, uint64_t *ret_count, struct cp_error *err)
{
    struct db_pool *db = job_context(c->job)->db;
    uint64_t total = 0;

    if (c->care.damaged == 0) {
        do {
            CP_TRY(db_run_tx_locking(db, "sign-manifests", sign_body, c, err));
            total += c->count;
            CP_TRY(job_progress(c->job, total, 0, err));
        } while (c->count > 0);
    }
    *ret_count = total;
    return CP_OK;
}

/* A file that is not as it should be is told, and the keys are looked after all the same. */
static enum cp_err check_master(struct check *c, struct cp_error *err)
{
    struct keys_ring *ring = job_context(c->job)->keyring;
    struct db_pool *db = job_context(c->job)->db;
    struct cp_error finding = {.code = CP_OK};
    enum cp_err rc = keys_ring_settle_master(ring, db, OLD_KEY_MIN_AGE, err);

    if (rc == CP_ERR_KEY_UNUSABLE || rc == CP_ERR_MASTER_KEY) {
        job_log(c->job, DB_TASK_WARNING, "%s", err->text);
    } else {
        CP_TRY(rc);
    }
    CP_TRY(keys_ring_watch_master(ring, db, &c->caller, &finding, err));
    if (rc == CP_OK && finding.code != CP_OK) {
        job_log(c->job, DB_TASK_WARNING, "%s", finding.text);
    }
    return CP_OK;
}

enum cp_err job_check_keys(struct job *job, struct cp_error *err)
{
    struct db_pool *db = job_context(job)->db;
    struct check c = {
        .job = job,
        .caller = {.actor = job_task(job)->actor, .request_id = job_task(job)->request_id}};
    uint64_t manifests = 0;

    CP_TRY(check_master(&c, err));
    CP_TRY(db_run_tx_locking(db, "check-keys", care_body, &c, err));
    CP_TRY(sign_manifests(&c, &manifests, err));
    say_result(&c, manifests);
    return CP_OK;
}

enum cp_err job_rotate_master_key(struct job *job, struct cp_error *err)
{
    struct keys_ring *ring = job_context(job)->keyring;
    struct keys_caller caller = {.actor = job_task(job)->actor,
                                 .request_id = job_task(job)->request_id};
    char fingerprint[DB_DIGEST_SIZE];
    uint64_t sealed = 0;

    CP_TRY(keys_ring_change_master(ring, job_context(job)->db, NULL, &caller, &sealed, err));
    CP_TRY(keys_ring_master_fingerprint(ring, fingerprint, err));
    job_result(job,
               json_pack("{s:s, s:I}", "fingerprint", fingerprint, "sealed", (json_int_t)sealed));
    job_summary(job, DB_TASK_INFO, "The master key is a new one, %s; %s sealed anew under it.",
                fingerprint, job_amount(sealed, "secret was", "secrets were").text);
    return CP_OK;
}
