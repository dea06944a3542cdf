/* SPDX-License-Identifier: Apache-2.0
 * Upkeep of the keys, all of it under the node's row lock. */
#include "keys/care.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/session.h"
#include "db/version.h"
#include "keys/ring.h"

#define HOUR          (3600 * CP_SEC)
#define DAY           (24 * HOUR)
#define ROWS_MAX      64 /* keys of one kind that are looked at: pending, in place, in overlap */
#define SECRETS_PAGE  64
#define MANIFESTS_MAX 64

/* ---- the keys in use ---- */

/* Told once, when the result changes. */
static enum cp_err note_damage(struct ring *ring, struct ring_key *s, struct cp_error *err)
{
    bool known = s->row.state == DB_KEY_DAMAGED ||
                 (s->row.check_result[0] != '\0' && strcmp(s->row.check_result, "ok") != 0);

    if (!s->stored) {
        return CP_OK;
    }
    if (!s->sound && s->row.state == DB_KEY_ACTIVE) {
        CP_TRY(ring_move(ring, &s->row, KEYS_DAMAGE, s->reason, false, err));
    }
    CP_TRY(db_key_checked(ring->conn, s->row.id, s->reason, err));
    return known ? CP_OK : ring_event(ring, &s->row, "damaged", s->reason, NULL, err);
}

static enum cp_err check_in_use(struct ring *ring, enum db_key_kind kind, struct keys_care *care,
                                struct cp_error *err)
{
    struct ring_key *s = &ring->keys[kind];
    bool was_usable = s->usable;
    struct cp_error why = {.code = CP_OK};
    enum cp_err rc =
        kind == DB_KEY_IDENTITY ? ring_mend_identity(ring, &why) : ring_mend_multicast(ring, &why);

    care->checked++;
    if (rc == CP_ERR_KEY_UNUSABLE) {
        care->damaged++;
        return note_damage(ring, s, err);
    }
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "%s", why.text);
    }
    care->repaired += !was_usable;
    return db_key_checked(ring->conn, s->row.id, "ok", err);
}

/* ---- those beside them ---- */

static enum cp_err check_beside(struct ring *ring, struct db_key *row, struct keys_care *care,
                                struct cp_error *err)
{
    char why[DB_TEXT_SIZE];
    struct jws_key pair;

    if (row->state == DB_KEY_OVERLAP && row->overlap_until <= ring->now_ns) {
        care->retired++;
        return ring_retire(ring, row, "its overlap has ended", err);
    }
    care->checked++;
    if (ring_check(ring, row, &pair, why)) {
        jws_key_wipe(&pair);
        return db_key_checked(ring->conn, row->id, "ok", err);
    }
    care->repaired++; /* another one is prepared when it is needed */
    CP_TRY(db_key_checked(ring->conn, row->id, why, err));
    CP_TRY(ring_move(ring, row, KEYS_DAMAGE, why, true, err));
    return ring_event(ring, row, "damaged", why, NULL, err);
}

static enum cp_err check_others(struct ring *ring, enum db_key_kind kind, struct keys_care *care,
                                struct cp_error *err)
{
    struct db_key *rows;
    size_t count = 0, former = 0;
    enum cp_err rc;

    if (ring->masters.missing) {
        return CP_OK; /* they stay as they are */
    }
    rows = calloc(ROWS_MAX, sizeof *rows);
    if (rows == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to check the keys.");
    }
    rc = db_key_present(ring->conn, ring->k->node_id, kind, ROWS_MAX, rows, &count, err);
    for (size_t i = 0; rc == CP_OK && i < count; i++) {
        if (rows[i].state == DB_KEY_OVERLAP || rows[i].state == DB_KEY_PENDING) {
            rc = check_beside(ring, &rows[i], care, err);
        }
        former += kind == DB_KEY_IDENTITY && rows[i].state == DB_KEY_OVERLAP;
        if (rc == CP_OK && former > KEYS_PREVIOUS_MAX && rows[i].state == DB_KEY_OVERLAP) {
            care->retired++; /* of before rotations looked after that */
            rc = ring_retire(ring, &rows[i], RING_CROWDED, err);
        }
    }
    free(rows);
    return rc;
}

/* ---- identities that come back ---- */

/* One that was damaged, was replaced and can be used again (the right master key is back) certifies
 * for the clients that know only it, as if it had been rotated. */
static enum cp_err restore_identities(struct ring *ring, struct keys_care *care,
                                      struct cp_error *err)
{
    struct db_key rows[KEYS_PREVIOUS_MAX];
    size_t room = KEYS_PREVIOUS_MAX - ring->previous_count;
    char why[DB_TEXT_SIZE];
    struct jws_key pair;
    size_t count = 0;

    if (ring->masters.missing || ring->settings.key_overlap_hours == 0 || room == 0) {
        return CP_OK;
    }
    CP_TRY(db_key_lost(ring->conn, ring->k->node_id, DB_KEY_IDENTITY, room, rows, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!ring_check(ring, &rows[i], &pair, why)) {
            continue;
        }
        jws_key_wipe(&pair);
        CP_TRY(ring_move(ring, &rows[i], KEYS_RESTORE, NULL, false, err));
        CP_TRY(db_key_checked(ring->conn, rows[i].id, "ok", err));
        CP_TRY(ring_event(ring, &rows[i], "restored", "its self-check is good again", NULL, err));
        ring->previous[ring->previous_count++] = rows[i];
        care->repaired++;
    }
    return CP_OK;
}

/* ---- the calendar ---- */

static enum cp_err rotate_by_calendar(struct ring *ring, enum db_key_kind kind,
                                      struct cp_error *err)
{
    struct ring_reason why = {.change = KEYS_SUPERSEDE,
                              .event = "rotated",
                              .text = "rotated by the calendar (key_rotation_days)"};

    CP_TRY(ring_replace(ring, kind, &why, err));
    if (kind == DB_KEY_IDENTITY && ring->keys[DB_KEY_MULTICAST].sound) {
        return ring_certify(ring, "the identity key was rotated by the calendar", err);
    }
    return CP_OK;
}

static enum cp_err keep_calendar(struct ring *ring, enum db_key_kind kind, struct keys_care *care,
                                 struct cp_error *err)
{
    const struct ring_key *s = &ring->keys[kind];
    uint64_t due = keys_rotation_due(&s->row, ring->settings.key_rotation_days);
    uint64_t ahead = ring->settings.key_overlap_hours * HOUR;

    if (due == 0 || !s->usable || !ring->keys[DB_KEY_IDENTITY].usable) {
        return CP_OK;
    }
    if (ring->now_ns >= due) {
        care->rotated++;
        return rotate_by_calendar(ring, kind, err);
    }
    if (ring->now_ns + ahead >= due && !s->has_pending) {
        care->prepared++;
        return ring_prepare(ring, kind, err);
    }
    return CP_OK;
}

uint64_t keys_rotation_due(const struct db_key *key, uint32_t rotation_days)
{
    uint64_t since = key->activated_at != 0 ? key->activated_at : key->created_at;

    return rotation_days == 0 || since == 0 ? 0 : since + rotation_days * DAY;
}

/* ---- secrets of sessions ---- */

static enum cp_err cancel(struct ring *ring, const char *session_id, const char *why,
                          struct cp_error *err)
{
    const char *code = cp_err_info(CP_ERR_KEY_UNUSABLE)->code;
    struct keys_event event = {
        .kind = "session-cancelled", .actor = ring->actor, .request_id = ring->request_id};
    struct db_session *s = calloc(1, sizeof *s);
    char subject[DB_TEXT_SIZE];
    bool changed = false;
    enum cp_err rc;

    if (s == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a session.");
    }
    rc = db_session_get(ring->conn, session_id, s, err);
    if (rc == CP_OK) {
        rc = db_session_end(ring->conn, session_id, DB_SESSION_CANCELLED, code, why, &changed, err);
    }
    if (rc == CP_OK && changed) {
        (void)snprintf(subject, sizeof subject, "session %s", session_id);
        event.subject = subject;
        event.detail = json_pack("{s:s, s:I, s:s, s:i, s:s, s:s}", "package", s->package, "version",
                                 (json_int_t)s->version, "group", s->group, "port", (int)s->port,
                                 "code", code, "text", why);
        rc = keys_event_write(ring->conn, ring->k, &event, err);
    }
    free(s);
    return rc;
}

static enum cp_err check_secret(struct ring *ring, const struct db_session_secret *s,
                                struct keys_care *care, struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};
    uint8_t secret[32];

    care->secrets++;
    if (keys_ring_secret_open(ring->k, s->session_id, s->sealed, s->sealed_size, secret, &why) ==
        CP_OK) {
        keys_wipe(secret, sizeof secret);
        return CP_OK;
    }
    care->secrets_unusable++;
    if (!s->waiting || !ring->settings.key_repair || ring->masters.missing) {
        return CP_OK; /* one that runs has its secret in memory */
    }
    care->cancelled++;
    return cancel(ring, s->session_id, why.text, err);
}

static enum cp_err check_secrets(struct ring *ring, struct keys_care *care, struct cp_error *err)
{
    struct db_session_secret *page = calloc(SECRETS_PAGE, sizeof *page);
    char after[DB_ID_SIZE] = "";
    size_t count = SECRETS_PAGE;
    enum cp_err rc = CP_OK;

    if (page == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to check the sessions' secrets.");
    }
    while (rc == CP_OK && count == SECRETS_PAGE) {
        rc = db_session_secrets(ring->conn, ring->k->node_id, after, SECRETS_PAGE, page, &count,
                                err);
        for (size_t i = 0; rc == CP_OK && i < count; i++) {
            memcpy(after, page[i].session_id, sizeof after);
            rc = check_secret(ring, &page[i], care, err);
        }
    }
    free(page);
    return rc;
}

/* ---- all of it ---- */

static enum cp_err take_care(struct ring *ring, struct keys_care *care, struct cp_error *err)
{
    for (int kind = 0; kind < DB_KEY_KIND_COUNT; kind++) {
        CP_TRY(check_others(ring, (enum db_key_kind)kind, care, err));
    }
    CP_TRY(ring_read(ring, err));
    CP_TRY(check_in_use(ring, DB_KEY_IDENTITY, care, err));
    CP_TRY(check_in_use(ring, DB_KEY_MULTICAST, care, err));
    CP_TRY(restore_identities(ring, care, err));
    CP_TRY(keep_calendar(ring, DB_KEY_IDENTITY, care, err));
    CP_TRY(keep_calendar(ring, DB_KEY_MULTICAST, care, err));
    return check_secrets(ring, care, err);
}

/* ---- the master key ---- */

static enum cp_err tell_master(struct ring *ring, const char *kind, const char *why,
                               const char *ours, const char *stored, struct cp_error *err)
{
    struct keys_event event = {.kind = kind,
                               .subject = "master key",
                               .actor = ring->actor,
                               .request_id = ring->request_id,
                               .detail = json_pack("{s:s, s:s?, s:s?}", "reason", why,
                                                   "fingerprint", ours, "old_fingerprint", stored)};

    return keys_event_write(ring->conn, ring->k, &event, err);
}

/* How the master key is to the one that the database was sealed under. */
enum sealed_under { UNTOLD, OUR_KEY, FOREIGN_KEY };

/* Another one can only have come with the start, or when the one that is missing was given up. */
static enum cp_err compare_master(struct ring *ring, bool starting, char ret_ours[DB_DIGEST_SIZE],
                                  enum sealed_under *ret_under, struct cp_error *err)
{
    struct db_master_key stored = {.fingerprint = ""};
    enum cp_err rc;

    *ret_under = OUR_KEY;
    if (ring->masters.missing || !(starting || keys_ring_adopted(ring->k))) {
        return CP_OK;
    }
    CP_TRY(keys_ring_master_fingerprint(ring->k, ret_ours, err));
    rc = db_master_key_get(ring->conn, ring->k->node_id, &stored, err);
    if (rc == CP_ERR_NOT_FOUND) {
        *ret_under = UNTOLD;
        return CP_OK;
    }
    CP_TRY(rc);
    if (strcmp(stored.fingerprint, ret_ours) == 0) {
        keys_ring_settle_adopted(ring->k);
        return CP_OK;
    }
    *ret_under = FOREIGN_KEY;
    return starting || ring->settings.key_repair
               ? tell_master(ring, "master-key-foreign",
                             "the secrets in the database were sealed under another master key",
                             ret_ours, stored.fingerprint, err)
               : CP_OK;
}

static enum cp_err care_for(struct ring *ring, bool starting, struct keys_care *care,
                            struct cp_error *err)
{
    enum sealed_under under = OUR_KEY;
    char ours[DB_DIGEST_SIZE];
    bool counts;

    CP_TRY(ring_lock(ring, err));
    CP_TRY(compare_master(ring, starting, ours, &under, err));
    CP_TRY(take_care(ring, care, err));
    if (ring->masters.missing && starting) {
        struct cp_error why;

        keys_ring_say_missing(ring->k, &why);
        (void)snprintf(ring->k->told, sizeof ring->k->told, "%s", why.text);
        return tell_master(ring, "master-key-lost", why.text, NULL, ring->k->missed, err);
    }
    counts = ring->settings.key_repair || care->damaged == 0;
    return under == UNTOLD || (under == FOREIGN_KEY && counts)
               ? db_master_key_set(ring->conn, ring->k->node_id, ours, err)
               : CP_OK;
}

static enum cp_err care_or_start(struct keys_ring *k, struct db_conn *conn,
                                 const struct keys_caller *caller, bool starting,
                                 struct keys_care *ret_care, struct cp_error *err)
{
    struct keys_care care = {.checked = 0};
    struct ring *ring = NULL;
    enum cp_err rc;

    if (!keys_ring_has_master(k)) {
        (void)keys_ring_seek_master(k, true);
    }
    CP_TRY(ring_new(k, conn, caller->actor, caller->request_id, &ring, err));
    rc = care_for(ring, starting, &care, err);
    if (rc == CP_OK) {
        *ret_care = care;
    }
    ring_free(ring);
    return rc;
}

enum cp_err keys_ring_care(struct keys_ring *k, struct db_conn *conn,
                           const struct keys_caller *caller, struct keys_care *ret_care,
                           struct cp_error *err)
{
    return care_or_start(k, conn, caller, false, ret_care, err);
}

enum cp_err keys_ring_start(struct keys_ring *k, struct db_conn *conn, struct keys_care *ret_care,
                            struct cp_error *err)
{
    struct keys_caller caller = {.actor = "", .request_id = "start"};

    return care_or_start(k, conn, &caller, true, ret_care, err);
}

/* ---- manifests ---- */

static enum cp_err sign_one(struct db_conn *conn, const struct keys_multicast *key,
                            const struct db_key_manifest *m, struct cp_error *err)
{
    char *signature = NULL;
    enum cp_err rc;

    CP_TRY(keys_ring_sign_detached(key, m->manifest, m->size, &signature, err));
    rc = db_version_set_signature(conn, m->version_id, signature, key->fingerprint, err);
    free(signature);
    return rc;
}

static enum cp_err sign_page(struct keys_ring *k, struct db_conn *conn,
                             const struct keys_caller *caller, const struct db_key_manifest *page,
                             size_t count, struct cp_error *err)
{
    struct keys_event event = {.kind = "manifests-signed",
                               .subject = "multicast key",
                               .actor = caller->actor,
                               .request_id = caller->request_id,
                               .detail = NULL};
    struct keys_multicast *key = malloc(sizeof *key);
    enum cp_err rc;

    if (key == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to sign manifests.");
    }
    rc = keys_ring_multicast(k, conn, caller->request_id, key, err);
    for (size_t i = 0; rc == CP_OK && i < count; i++) {
        rc = sign_one(conn, key, &page[i], err);
    }
    if (rc == CP_OK) {
        event.detail = json_pack("{s:I}", "count", (json_int_t)count);
        rc = keys_event_write(conn, k, &event, err);
    }
    keys_wipe(key, sizeof *key);
    free(key);
    return rc;
}

enum cp_err keys_ring_sign_manifests(struct keys_ring *k, struct db_conn *conn,
                                     const struct keys_caller *caller, size_t limit,
                                     size_t *ret_count, struct cp_error *err)
{
    struct db_key_manifest page[MANIFESTS_MAX];
    size_t count = 0;
    enum cp_err rc;

    CP_ASSERT(limit <= MANIFESTS_MAX);
    CP_TRY(db_key_stale_manifests(conn, k->node_id, limit, page, &count, err));
    rc = count > 0 ? sign_page(k, conn, caller, page, count, err) : CP_OK;
    for (size_t i = 0; i < count; i++) {
        free(page[i].manifest);
    }
    if (rc == CP_OK) {
        *ret_count = count;
    }
    return rc;
}
