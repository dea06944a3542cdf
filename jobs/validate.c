/* SPDX-License-Identifier: Apache-2.0
 * Validation. What is not what its name says is marked first, in the transaction that ends the
 * sessions which send it; then the file is set aside. Killed in between, the next run finds the
 * file again. How far the work is stands in the rows (checked_at), so a run that is begun again goes
 * on where it was. Touches the database and the content library. */
#include "jobs/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/hex.h"
#include "content/blob_care.h"
#include "db/blob.h"
#include "db/session.h"
#include "db/settings.h"
#include "jobs/library.h"
#include "jobs/pace.h"

#define PAGE         64
#define DAY_S        UINT64_C(86400)
#define SESSIONS_MAX 100 /* ended in one go; as many goes as there are */

struct validating {
    struct job *job;
    struct job_pace pace;
    struct db_blob_scope scope;
    struct db_blob page[PAGE];
    size_t page_count;
    uint64_t blobs, good, missing, damaged, healed;
    bool own;            /* the library is this database's: what is damaged may be set aside */
    uint64_t unreadable; /* the system refused to open them: nothing is known */
};

/* One blob being looked at. */
struct looking {
    struct validating *v;
    const struct db_blob *blob;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    enum blob_condition found;
    bool quarantined; /* its file was set aside before */
    /* of the transaction */
    struct db_blob before;
    bool gone; /* collected meanwhile */
    uint64_t sessions;
    struct db_blob_place place; /* of what is not good */
};

/* ---- what follows from a finding ---- */

static json_t *damage_facts(const struct looking *l)
{
    const struct db_blob_place *place = &l->place;
    json_t *facts = json_pack("{s:s, s:I, s:s, s:I, s:I}", "sha256", l->blob->sha256, "size",
                              (json_int_t)l->blob->size, "state",
                              db_blob_state_name((enum db_blob_state)l->found), "versions",
                              (json_int_t)place->versions, "sessions", (json_int_t)l->sessions);

    if (place->versions > 0) {
        (void)json_object_set_new(facts, "package", json_string(place->package));
        (void)json_object_set_new(facts, "version", json_integer((json_int_t)place->number));
        (void)json_object_set_new(facts, "path", json_string(place->path));
    }
    return facts;
}

static enum cp_err content_event(struct looking *l, struct db_conn *conn, const char *kind,
                                 json_t *facts, struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];

    (void)snprintf(subject, sizeof subject, "content %s", l->blob->sha256);
    return job_event(l->v->job, conn, kind, subject, facts, err);
}

static enum cp_err end_session(struct looking *l, struct db_conn *conn, const char *id,
                               struct cp_error *err)
{
    static const char why[] = "Validation found content of this version damaged.";
    const char *code = cp_err_info(CP_ERR_CONTENT_DAMAGED)->code;
    char subject[DB_TEXT_SIZE];
    struct db_session session;
    bool changed;

    CP_TRY(db_session_end(conn, id, DB_SESSION_FAILED, code, why, &changed, err));
    if (!changed) {
        return CP_OK;
    }
    l->sessions++;
    CP_TRY(db_session_get(conn, id, &session, err));
    (void)snprintf(subject, sizeof subject, "session %s", id);
    return job_event(l->v->job, conn, "session-failed", subject,
                     json_pack("{s:s, s:I, s:s, s:i, s:s, s:s}", "package", session.package,
                               "version", (json_int_t)session.version, "group", session.group,
                               "port", (int)session.port, "code", code, "text", why),
                     err);
}

/* Their receivers are told to leave, and why; what they have is verified chunk by chunk anyhow. */
static enum cp_err end_sessions(struct looking *l, struct db_conn *conn, struct cp_error *err)
{
    struct db_blob_session sessions[SESSIONS_MAX];
    size_t count;

    do {
        CP_TRY(db_blob_sessions(conn, l->blob->sha256, job_context(l->v->job)->node_id,
                                SESSIONS_MAX, sessions, &count, err));
        for (size_t i = 0; i < count; i++) {
            CP_TRY(end_session(l, conn, sessions[i].id, err));
        }
    } while (count == SESSIONS_MAX);
    return CP_OK;
}

static enum cp_err tell_damaged(struct looking *l, struct db_conn *conn, struct cp_error *err)
{
    CP_TRY(end_sessions(l, conn, err));
    return content_event(l, conn, "content-damaged", damage_facts(l), err);
}

static enum cp_err find_place(struct looking *l, struct db_conn *conn, struct cp_error *err)
{
    enum cp_err rc = db_blob_place(conn, l->blob->sha256, &l->place, err);

    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static enum cp_err tell_healed(struct looking *l, struct db_conn *conn, struct cp_error *err)
{
    return content_event(l, conn, "content-healed",
                         json_pack("{s:s, s:I, s:s, s:s}", "sha256", l->blob->sha256, "size",
                                   (json_int_t)l->blob->size, "was",
                                   db_blob_state_name(l->before.state), "by", "validation"),
                         err);
}

static enum cp_err write_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;
    enum db_blob_state state = (enum db_blob_state)l->found;
    bool turned = (state == DB_BLOB_GOOD) != (l->blob->state == DB_BLOB_GOOD);
    enum cp_err rc;

    l->sessions = 0;
    if (turned) {
        CP_TRY(db_blob_touch_versions(conn, l->blob->sha256, err));
    }
    rc = db_blob_lock(conn, l->blob->sha256, &l->before, err);
    l->gone = rc == CP_ERR_NOT_FOUND;
    if (l->gone) {
        return CP_OK;
    }
    CP_TRY(rc);
    if (state == DB_BLOB_MISSING && l->quarantined && l->before.state != DB_BLOB_GOOD) {
        state = l->before.state; /* it is missing because it was set aside */
    }
    CP_TRY(db_blob_checked(conn, l->blob->sha256, job_context(l->v->job)->node_id, state, err));
    if (state == DB_BLOB_GOOD) {
        return l->before.state == DB_BLOB_GOOD ? CP_OK : tell_healed(l, conn, err);
    }
    CP_TRY(find_place(l, conn, err));
    return l->before.state == DB_BLOB_GOOD ? tell_damaged(l, conn, err) : CP_OK;
}

static enum cp_err quarantined_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct looking *l = arg;

    return content_event(
        l, conn, "content-quarantined",
        json_pack("{s:s, s:I}", "sha256", l->blob->sha256, "size", (json_int_t)l->blob->size), err);
}

/* ---- one blob ---- */

static void count(struct looking *l)
{
    struct validating *v = l->v;

    v->blobs++;
    v->good += l->found == BLOB_GOOD;
    v->missing += l->found == BLOB_MISSING;
    v->damaged += l->found == BLOB_DAMAGED || l->found == BLOB_SIZE_DIFFERS;
    v->healed += l->found == BLOB_GOOD && l->before.state != DB_BLOB_GOOD;
}

static void say(const struct looking *l)
{
    const char *state = db_blob_state_name((enum db_blob_state)l->found);
    unsigned long long size = l->blob->size;

    if (l->found == BLOB_GOOD && l->before.state != DB_BLOB_GOOD) {
        job_log(l->v->job, DB_TASK_INFO, "Content %s (%llu bytes) was %s and is good again.",
                l->blob->sha256, size, db_blob_state_name(l->before.state));
    } else if (l->found != BLOB_GOOD && l->place.versions > 0) {
        job_log(l->v->job, DB_TASK_ERROR,
                "Content %s (%llu bytes) is %s: it is '%.500s' in version %u of package '%s', and "
                "in %s altogether; %s it ended.",
                l->blob->sha256, size, state, l->place.path, (unsigned)l->place.number,
                l->place.package, job_amount(l->place.versions, "version", "versions").text,
                job_amount(l->sessions, "session with", "sessions with").text);
    } else if (l->found != BLOB_GOOD) {
        job_log(l->v->job, DB_TASK_ERROR, "Content %s (%llu bytes) is %s; no file has it.",
                l->blob->sha256, size, state);
    }
}

/* Under the claim: nobody stores these bytes again meanwhile. */
static enum cp_err write_down(struct looking *l, int fd, struct cp_error *err)
{
    const struct jobs_context *ctx = job_context(l->v->job);
    bool moved = false;

    if (!blob_is_still(ctx->blobs, l->digest, fd)) {
        return CP_OK; /* it was replaced while it was read */
    }
    l->quarantined = blob_quarantined(ctx->blobs, l->digest);
    CP_TRY(db_run_tx_locking(ctx->db, "content-checked", write_body, l, err));
    if (l->gone) {
        return CP_OK;
    }
    count(l);
    say(l);
    if (l->v->own && (l->found == BLOB_DAMAGED || l->found == BLOB_SIZE_DIFFERS)) {
        CP_TRY(blob_quarantine(ctx->blobs, l->digest, fd, &moved, err));
    }
    return moved ? db_run_tx_locking(ctx->db, "content-quarantined", quarantined_body, l, err)
                 : CP_OK;
}

static enum cp_err pace(void *arg, uint64_t bytes, struct cp_error *err)
{
    return job_pace_wait(arg, bytes, err);
}

static enum cp_err look_at(struct validating *v, const struct db_blob *blob, struct cp_error *err)
{
    struct blob_store *store = job_context(v->job)->blobs;
    struct looking l = {.v = v, .blob = blob};
    struct blob_check check = {
        .digest = l.digest, .size = blob->size, .pace = pace, .arg = &v->pace};
    enum cp_err rc;
    int fd;

    CP_TRY(job_progress(v->job, v->pace.done, v->pace.total, err));
    if (!cp_hex_decode(blob->sha256, l.digest, sizeof l.digest)) {
        return cp_error_set(err, CP_ERR_INTERNAL, "A digest in the database is damaged.");
    }
    rc = blob_verify(store, &check, &l.found, &fd, err);
    if (rc == CP_ERR_STORAGE) {
        v->unreadable++;
        job_log(v->job, DB_TASK_ERROR, "Not read: %s", err->text);
        return CP_OK;
    }
    CP_TRY(rc);
    rc = blob_claim(store, l.digest);
    if (rc == CP_OK) {
        rc = write_down(&l, fd, err);
        blob_unclaim(store, l.digest);
    } else {
        (void)cp_error_set(err, rc, "No memory to validate content.");
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* ---- all of them ---- */

static enum cp_err total_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct validating *v = arg;

    return db_blob_unchecked_bytes(conn, &v->scope, &v->pace.total, err);
}

static enum cp_err page_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct validating *v = arg;

    return db_blob_unchecked(conn, &v->scope, PAGE, v->page, &v->page_count, err);
}

static json_t *facts(const struct validating *v)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "unreadable", (json_int_t)v->unreadable,
                     "blobs", (json_int_t)v->blobs, "bytes", (json_int_t)v->pace.done, "good",
                     (json_int_t)v->good, "missing", (json_int_t)v->missing, "damaged",
                     (json_int_t)v->damaged, "healed", (json_int_t)v->healed);
}

static void summarize(const struct validating *v)
{
    bool bad = v->missing + v->damaged + v->unreadable > 0;

    job_summary(v->job, bad ? DB_TASK_WARNING : DB_TASK_INFO,
                "Read %s (%llu bytes): %llu good (%llu of them were not before), %llu missing, "
                "%llu damaged; %llu could not be read.",
                job_amount(v->blobs + v->unreadable, "blob", "blobs").text,
                (unsigned long long)v->pace.done, (unsigned long long)v->good,
                (unsigned long long)v->healed, (unsigned long long)v->missing,
                (unsigned long long)v->damaged, (unsigned long long)v->unreadable);
}

static enum cp_err end_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct validating *v = arg;
    const char *subject = job_task(v->job)->subject;
    json_t *event = facts(v);

    (void)json_object_set_new(event, "scope", json_string(subject[0] != '\0' ? subject : "all"));
    job_result(v->job, facts(v));
    summarize(v);
    CP_TRY(job_event(v->job, conn, "library-validated", "library", event, err));
    return job_done_in(v->job, conn, err);
}

/* What the library has is worth knowing, whoever filled it; only nothing is taken out of it. */
static enum cp_err look_whose(struct validating *v, struct cp_error *err)
{
    struct jobs_library library;

    CP_TRY(jobs_library_look(job_context(v->job), false, &library, err));
    v->own = library.own;
    if (!v->own) {
        job_log(v->job, DB_TASK_ERROR, "%s What is damaged is told, and left where it is. %s",
                cp_err_info(CP_ERR_LIBRARY_FOREIGN)->title,
                cp_err_info(CP_ERR_LIBRARY_FOREIGN)->remedy);
    }
    return CP_OK;
}

static enum cp_err validate(struct validating *v, struct cp_error *err)
{
    struct db_pool *db = job_context(v->job)->db;

    CP_TRY(look_whose(v, err));
    CP_TRY(db_run_read(db, "unchecked-bytes", total_body, v, err));
    do {
        CP_TRY(db_run_read(db, "unchecked-blobs", page_body, v, err));
        for (size_t i = 0; i < v->page_count; i++) {
            const struct db_blob *b = &v->page[i];

            CP_TRY(look_at(v, b, err));
            v->scope.after_time = b->checked_at != 0 ? b->checked_at : b->created_at;
            memcpy(v->scope.after, b->sha256, sizeof v->scope.after);
        }
    } while (v->page_count > 0);
    return db_run_tx_locking(db, "validated", end_body, v, err);
}

enum cp_err job_validate(struct job *job, struct cp_error *err)
{
    struct validating *v = calloc(1, sizeof *v);
    const json_t *params = job_params(job);
    enum cp_err rc;

    if (v == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to validate the library.");
    }
    v->job = job;
    v->pace.job = job;
    v->scope.package = json_string_value(json_object_get(params, "package"));
    v->scope.number = (uint32_t)json_integer_value(json_object_get(params, "version"));
    v->scope.since = job_task(job)->created_at;
    job_pace_idle(true);
    rc = validate(v, err);
    job_pace_idle(false);
    free(v);
    return rc;
}

uint64_t job_validate_interval(const struct db_settings *settings)
{
    return settings->library_validate_days * DAY_S;
}
