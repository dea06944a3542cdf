/* SPDX-License-Identifier: Apache-2.0
 * The steps that change a node's keys. Who changes holds the node's row lock, so that all who need
 * a key get the same one. */
#include "keys/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "db/event.h"
#include "db/node.h"

#define HOUR        (3600 * CP_SEC)
#define PRESENT_MAX 8 /* keys of one kind that matter; newest first */

enum cp_err ring_new(struct keys_ring *k, struct db_conn *conn, const char *actor,
                     const char *request_id, struct ring **ret_ring, struct cp_error *err)
{
    struct ring *ring = calloc(1, sizeof *ring);

    if (ring == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the keys.");
    }
    ring->k = k;
    ring->conn = conn;
    ring->actor = actor;
    ring->request_id = request_id != NULL ? request_id : "";
    ring->now_ns = cp_clock_wall();
    keys_ring_masters(k, &ring->masters);
    *ret_ring = ring;
    return CP_OK;
}

void ring_free(struct ring *ring)
{
    if (ring != NULL) {
        keys_wipe(ring, sizeof *ring);
        free(ring);
    }
}

/* ---- reading and checking ---- */

bool ring_check(const struct ring *ring, const struct db_key *row, struct jws_key *ret_pair,
                char ret_reason[DB_TEXT_SIZE])
{
    if (ring->masters.missing) {
        (void)snprintf(ret_reason, DB_TEXT_SIZE, KEYS_MASTER_MISSING);
        return false;
    }
    return keys_check(row, ring->masters.current, ret_pair, ret_reason) ||
           (ring->masters.has_other && keys_check(row, ring->masters.other, ret_pair, ret_reason));
}

static void take_row(struct ring *ring, struct ring_key *s, const struct db_key *row)
{
    switch (row->state) {
    case DB_KEY_ACTIVE:
    case DB_KEY_DAMAGED:
        s->row = *row;
        s->stored = true;
        break;
    case DB_KEY_PENDING:
        s->pending = *row;
        s->has_pending = true;
        break;
    case DB_KEY_OVERLAP:
        if (row->kind == DB_KEY_IDENTITY && row->overlap_until > ring->now_ns &&
            ring->previous_count < KEYS_PREVIOUS_MAX) {
            ring->previous[ring->previous_count++] = *row;
        }
        break;
    default:
        break;
    }
}

static enum cp_err read_kind(struct ring *ring, enum db_key_kind kind, struct cp_error *err)
{
    struct ring_key *s = &ring->keys[kind];
    struct db_key *rows = calloc(PRESENT_MAX, sizeof *rows);
    size_t count = 0;
    enum cp_err rc;

    if (rows == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the keys.");
    }
    keys_wipe(s, sizeof *s);
    rc = db_key_present(ring->conn, ring->k->node_id, kind, PRESENT_MAX, rows, &count, err);
    for (size_t i = 0; rc == CP_OK && i < count; i++) {
        take_row(ring, s, &rows[i]);
    }
    free(rows);
    CP_TRY(rc);
    if (s->stored) {
        s->sound = ring_check(ring, &s->row, &s->pair, s->reason);
    } else {
        (void)snprintf(s->reason, sizeof s->reason, "there was no active %s key",
                       db_key_kind_name(kind));
    }
    s->usable = s->sound && s->row.state == DB_KEY_ACTIVE;
    return CP_OK;
}

enum cp_err ring_read(struct ring *ring, struct cp_error *err)
{
    struct ring_key *m = &ring->keys[DB_KEY_MULTICAST];
    const struct ring_key *identity = &ring->keys[DB_KEY_IDENTITY];

    ring->previous_count = 0;
    CP_TRY(read_kind(ring, DB_KEY_IDENTITY, err));
    CP_TRY(read_kind(ring, DB_KEY_MULTICAST, err));
    ring->certificate = KEYS_CERTIFICATE_WRONG;
    if (!m->usable) {
        return CP_OK;
    }
    if (identity->usable) {
        ring->certificate =
            keys_check_certificate(&m->row, identity->row.public_key, ring->now_ns, m->reason);
    } else {
        /* An identity that is about to be replaced certifies nothing. */
        (void)snprintf(m->reason, sizeof m->reason, "the identity key cannot be used: %.200s",
                       identity->reason);
    }
    m->usable = ring->certificate == KEYS_CERTIFICATE_GOOD;
    return CP_OK;
}

enum cp_err ring_lock(struct ring *ring, struct cp_error *err)
{
    CP_TRY(db_node_lock(ring->conn, ring->k->node_id, err));
    CP_TRY(db_settings_get(ring->conn, ring->k->node_id, &ring->settings, err));
    return ring_read(ring, err);
}

/* ---- steps ---- */

enum cp_err ring_event(const struct ring *ring, const struct db_key *row, const char *what,
                       const char *why, const char *old, struct cp_error *err)
{
    char kind[DB_NAME_SIZE];
    char subject[DB_TEXT_SIZE];
    struct keys_event event = {.kind = kind,
                               .subject = subject,
                               .actor = ring->actor,
                               .request_id = ring->request_id,
                               .detail = json_pack("{s:s, s:s, s:s?}", "reason", why, "fingerprint",
                                                   row->fingerprint, "old_fingerprint", old)};

    (void)snprintf(kind, sizeof kind, "%s-key-%s", db_key_kind_name(row->kind), what);
    (void)snprintf(subject, sizeof subject, "key %s", row->fingerprint);
    if (event.detail != NULL && row->state == DB_KEY_OVERLAP) {
        char until[CP_RFC3339_SIZE];

        cp_clock_rfc3339(row->overlap_until, until);
        (void)json_object_set_new(event.detail, "overlap_until", json_string(until));
    }
    return keys_event_write(ring->conn, ring->k, &event, err);
}

enum cp_err ring_move(struct ring *ring, struct db_key *row, enum keys_change change,
                      const char *why, bool replaced, struct cp_error *err)
{
    struct db_key_move move = {
        .id = row->id, .from = row->state, .reason = why, .replaced = replaced};

    if (!keys_next_state(row->state, change, &move.to)) {
        return cp_error_set(err, CP_ERR_CONFLICT, "The key %.16s… is %s: that cannot be changed.",
                            row->fingerprint, db_key_state_name(row->state));
    }
    if (move.to == DB_KEY_OVERLAP) {
        move.overlap_until = ring->now_ns + ring->settings.key_overlap_hours * HOUR;
        row->overlap_until = move.overlap_until;
    }
    CP_TRY(db_key_move(ring->conn, &move, err));
    row->state = move.to;
    return CP_OK;
}

static enum cp_err make_key(struct ring *ring, enum db_key_kind kind, struct db_key *ret_row,
                            struct jws_key *ret_pair, struct cp_error *err)
{
    struct keys_spec spec = {
        .kind = kind,
        .node_id = ring->k->node_id,
        .master_key = ring->masters.current,
        .identity = kind == DB_KEY_MULTICAST ? &ring->keys[DB_KEY_IDENTITY].pair : NULL,
        .now_ns = ring->now_ns};

    if (keys_make(&spec, ret_row, ret_pair) != CP_OK) {
        return cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                            "the %s key cannot be used (%s), and making a new one failed",
                            db_key_kind_name(kind), ring->keys[kind].reason);
    }
    return db_key_insert(ring->conn, ret_row, ret_row->id, err);
}

enum cp_err ring_prepare(struct ring *ring, enum db_key_kind kind, struct cp_error *err)
{
    struct ring_key *s = &ring->keys[kind];
    struct jws_key pair;

    if (s->has_pending) {
        return CP_OK;
    }
    CP_TRY(make_key(ring, kind, &s->pending, &pair, err));
    jws_key_wipe(&pair);
    s->has_pending = true;
    return ring_event(ring, &s->pending, "prepared", "it follows at the next rotation",
                      s->stored ? s->row.fingerprint : NULL, err);
}

/* The prepared key when it is in order, else a new one; neither is active yet. */
static enum cp_err next_key(struct ring *ring, enum db_key_kind kind, struct db_key *ret_row,
                            struct jws_key *ret_pair, struct cp_error *err)
{
    struct ring_key *s = &ring->keys[kind];
    char why[DB_TEXT_SIZE];

    if (s->has_pending && ring_check(ring, &s->pending, ret_pair, why)) {
        *ret_row = s->pending;
        s->has_pending = false;
        return CP_OK;
    }
    if (s->has_pending) {
        CP_TRY(ring_move(ring, &s->pending, KEYS_DAMAGE, why, true, err));
        s->has_pending = false;
    }
    return make_key(ring, kind, ret_row, ret_pair, err);
}

/* "created" the first time on this node, "replaced" ever after. */
static enum cp_err event_word(const struct ring *ring, enum db_key_kind kind, const char **ret_word,
                              struct cp_error *err)
{
    bool before = ring->keys[kind].stored;
    char name[DB_NAME_SIZE];

    if (!before) {
        (void)snprintf(name, sizeof name, "%s-key-created", db_key_kind_name(kind));
        CP_TRY(db_event_seen(ring->conn, ring->k->node_id, name, &before, err));
    }
    *ret_word = before ? "replaced" : "created";
    return CP_OK;
}

static enum cp_err leave_place(struct ring *ring, struct ring_key *s, const struct ring_reason *why,
                               struct cp_error *err)
{
    enum keys_change change = why->change;

    if (change == KEYS_SUPERSEDE && !s->sound) {
        change = KEYS_DAMAGE;
    } else if (change == KEYS_SUPERSEDE &&
               (ring->settings.key_overlap_hours == 0 || s->row.state != DB_KEY_ACTIVE)) {
        change = KEYS_RETIRE;
    }
    CP_TRY(db_key_checked(ring->conn, s->row.id, s->sound ? "ok" : s->reason, err));
    return ring_move(ring, &s->row, change, why->text, true, err);
}

enum cp_err ring_retire(struct ring *ring, struct db_key *row, const char *why,
                        struct cp_error *err)
{
    CP_TRY(ring_move(ring, row, KEYS_RETIRE, why, true, err));
    return ring_event(ring, row, "retired", why, NULL, err);
}

/* A former identity certifies beside the present one; the one whose overlap ends first makes room. */
static enum cp_err add_previous(struct ring *ring, const struct db_key *row, struct cp_error *err)
{
    size_t at = 0;

    if (ring->previous_count < KEYS_PREVIOUS_MAX) {
        ring->previous[ring->previous_count++] = *row;
        return CP_OK;
    }
    for (size_t i = 1; i < ring->previous_count; i++) {
        at = ring->previous[i].overlap_until < ring->previous[at].overlap_until ? i : at;
    }
    CP_TRY(ring_retire(ring, &ring->previous[at], RING_CROWDED, err));
    ring->previous[at] = *row;
    return CP_OK;
}

enum cp_err ring_replace(struct ring *ring, enum db_key_kind kind, const struct ring_reason *why,
                         struct cp_error *err)
{
    struct ring_key *s = &ring->keys[kind];
    const char *word = why->event;
    bool had = s->stored;
    struct db_key old, row;
    struct jws_key pair;

    if (ring->masters.missing) {
        return keys_ring_missing(err);
    }
    if (word == NULL) {
        CP_TRY(event_word(ring, kind, &word, err));
    }
    CP_TRY(next_key(ring, kind, &row, &pair, err)); /* first: without one the present one stays */
    if (had) {
        CP_TRY(leave_place(ring, s, why, err));
    }
    old = s->row;
    s->row = row;
    s->pair = pair;
    jws_key_wipe(&pair);
    CP_TRY(ring_move(ring, &s->row, KEYS_ACTIVATE, NULL, false, err));
    s->row.activated_at = ring->now_ns;
    s->stored = s->sound = s->usable = true;
    if (had && old.state == DB_KEY_OVERLAP && kind == DB_KEY_IDENTITY) {
        CP_TRY(add_previous(ring, &old, err));
    }
    CP_TRY(ring_event(ring, &s->row, word, why->text, had ? old.fingerprint : NULL, err));
    return kind == DB_KEY_MULTICAST ? ring_certify(ring, NULL, err) : CP_OK;
}

enum cp_err ring_certify(struct ring *ring, const char *why, struct cp_error *err)
{
    struct ring_key *m = &ring->keys[DB_KEY_MULTICAST];

    CP_ASSERT(ring->keys[DB_KEY_IDENTITY].usable && m->sound);
    if (keys_certify(&ring->keys[DB_KEY_IDENTITY].pair, ring->now_ns, 0, &m->row) != CP_OK) {
        return cp_error_set(err, CP_ERR_KEY_UNUSABLE, "the multicast key could not be certified");
    }
    CP_TRY(db_key_certify(ring->conn, &m->row, err));
    ring->certificate = KEYS_CERTIFICATE_GOOD;
    m->usable = m->row.state == DB_KEY_ACTIVE;
    return why != NULL ? ring_event(ring, &m->row, "certified", why, NULL, err) : CP_OK;
}

/* ---- mending ---- */

/* What was damaged and is in order again (the right master key is back) goes on as if nothing had
 * happened. */
static enum cp_err heal(struct ring *ring, enum db_key_kind kind, struct cp_error *err)
{
    struct ring_key *s = &ring->keys[kind];

    if (!s->stored || !s->sound || s->row.state != DB_KEY_DAMAGED) {
        return CP_OK;
    }
    CP_TRY(ring_move(ring, &s->row, KEYS_HEAL, NULL, false, err));
    CP_TRY(db_key_checked(ring->conn, s->row.id, "ok", err));
    CP_TRY(ring_event(ring, &s->row, "healed", "its self-check is good again", NULL, err));
    return ring_read(ring, err);
}

/* Did the node have such a key? Events are forgotten some day; that something was sealed is not. */
static enum cp_err had_before(const struct ring *ring, enum db_key_kind kind, bool *ret_before,
                              struct cp_error *err)
{
    struct db_master_key stored;
    char name[DB_NAME_SIZE];
    enum cp_err rc;

    *ret_before = true;
    if (ring->keys[kind].stored) {
        return CP_OK;
    }
    rc = db_master_key_get(ring->conn, ring->k->node_id, &stored, err);
    if (rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    (void)snprintf(name, sizeof name, "%s-key-created", db_key_kind_name(kind));
    return db_event_seen(ring->conn, ring->k->node_id, name, ret_before, err);
}

/* Missing keys are made the first time; what was there once is repaired if that is allowed. */
static enum cp_err may_repair(struct ring *ring, enum db_key_kind kind, struct cp_error *err)
{
    const struct ring_key *s = &ring->keys[kind];
    bool before = true;

    if (ring->masters.missing) {
        return keys_ring_missing(err); /* what it sealed opens again when it is back */
    }
    if (ring->force || ring->settings.key_repair) {
        return CP_OK;
    }
    CP_TRY(had_before(ring, kind, &before, err));
    return !before ? CP_OK
                   : cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                                  "The %s key cannot be used: %s. The setting key_repair is off, "
                                  "so it stays as it is until somebody rotates it.",
                                  db_key_kind_name(kind), s->reason);
}

enum cp_err ring_mend_identity(struct ring *ring, struct cp_error *err)
{
    struct ring_key *s = &ring->keys[DB_KEY_IDENTITY];
    char text[DB_TEXT_SIZE];

    CP_TRY(heal(ring, DB_KEY_IDENTITY, err));
    if (s->usable) {
        return CP_OK;
    }
    CP_TRY(may_repair(ring, DB_KEY_IDENTITY, err));
    (void)snprintf(text, sizeof text, "%s", s->reason);
    return ring_replace(ring, DB_KEY_IDENTITY,
                        &(struct ring_reason){.change = KEYS_DAMAGE, .text = text}, err);
}

enum cp_err ring_mend_multicast(struct ring *ring, struct cp_error *err)
{
    struct ring_key *m = &ring->keys[DB_KEY_MULTICAST];
    char text[DB_TEXT_SIZE];

    CP_TRY(ring_mend_identity(ring, err));
    CP_TRY(heal(ring, DB_KEY_MULTICAST, err));
    if (m->usable) {
        return CP_OK;
    }
    (void)snprintf(text, sizeof text, "%s", m->reason);
    if (m->sound && m->row.state == DB_KEY_ACTIVE) {
        if (ring->certificate != KEYS_CERTIFICATE_ENDING) {
            CP_TRY(may_repair(ring, DB_KEY_MULTICAST, err));
        }
        return ring_certify(ring, text, err);
    }
    CP_TRY(may_repair(ring, DB_KEY_MULTICAST, err));
    return ring_replace(ring, DB_KEY_MULTICAST,
                        &(struct ring_reason){.change = KEYS_DAMAGE, .text = text}, err);
}
