/* SPDX-License-Identifier: Apache-2.0
 * Changes of keys that somebody asks for: rotation and revocation. */
#include <stdio.h>
#include <string.h>

#include "keys/ring.h"

/* Another identity certifies the same multicast key: what that one signed needs no new signature. */
static enum cp_err follow_identity(struct ring *ring, const char *why, struct cp_error *err)
{
    struct ring_key *m = &ring->keys[DB_KEY_MULTICAST];

    if (m->sound && m->row.state == DB_KEY_ACTIVE) {
        return ring_certify(ring, why, err);
    }
    return ring_mend_multicast(ring, err);
}

/* Nobody asked for another identity: where it must not be replaced by itself, it is not. */
static enum cp_err replace_multicast(struct ring *ring, const struct ring_reason *why,
                                     struct cp_error *err)
{
    ring->force = false;
    CP_TRY(ring_mend_identity(ring, err));
    return ring_replace(ring, DB_KEY_MULTICAST, why, err);
}

static enum cp_err replace(struct ring *ring, enum db_key_kind kind, const struct ring_reason *why,
                           struct cp_error *err)
{
    char text[DB_TEXT_SIZE];

    if (kind == DB_KEY_MULTICAST) {
        return replace_multicast(ring, why, err);
    }
    CP_TRY(ring_replace(ring, kind, why, err));
    (void)snprintf(text, sizeof text, "the identity key changed: %.200s", why->text);
    return follow_identity(ring, text, err);
}

static enum cp_err rotate(struct ring *ring, enum db_key_kind kind, struct cp_error *err)
{
    char text[DB_TEXT_SIZE];

    CP_TRY(ring_lock(ring, err));
    (void)snprintf(text, sizeof text, "rotated by %.200s",
                   ring->actor[0] != '\0' ? ring->actor : "the calendar");
    return replace(
        ring, kind,
        &(struct ring_reason){.change = KEYS_SUPERSEDE, .event = "rotated", .text = text}, err);
}

enum cp_err keys_ring_rotate(struct keys_ring *k, struct db_conn *conn, enum db_key_kind kind,
                             const struct keys_caller *caller, struct cp_error *err)
{
    struct ring *ring = NULL;
    enum cp_err rc;

    CP_TRY(ring_new(k, conn, caller->actor, caller->request_id, &ring, err));
    ring->force = true;
    rc = rotate(ring, kind, err);
    ring_free(ring);
    return rc;
}

/* ---- revocation ---- */

static enum cp_err revoke_other(struct ring *ring, const struct keys_revocation *r,
                                struct cp_error *err)
{
    struct db_key row;

    CP_TRY(db_key_by_fingerprint(ring->conn, ring->k->node_id, r->kind, r->fingerprint, &row, err));
    if (row.state == DB_KEY_REVOKED) {
        return cp_error_set(err, CP_ERR_CONFLICT, "The %s key %.16s… is revoked already.",
                            db_key_kind_name(r->kind), row.fingerprint);
    }
    CP_TRY(ring_move(ring, &row, KEYS_REVOKE, r->reason, true, err));
    return ring_event(ring, &row, "revoked", r->reason, NULL, err);
}

static enum cp_err revoke(struct ring *ring, const struct keys_revocation *r, struct cp_error *err)
{
    const struct ring_key *s = &ring->keys[r->kind];
    char text[DB_TEXT_SIZE];

    CP_TRY(ring_lock(ring, err));
    if (r->fingerprint != NULL && !(s->stored && strcmp(s->row.fingerprint, r->fingerprint) == 0)) {
        return revoke_other(ring, r, err);
    }
    if (!s->stored) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "There is no %s key in use to revoke.",
                            db_key_kind_name(r->kind));
    }
    CP_TRY(ring_event(ring, &s->row, "revoked", r->reason, NULL, err));
    (void)snprintf(text, sizeof text, "revoked by %.60s: %.180s", ring->actor, r->reason);
    return replace(ring, r->kind, &(struct ring_reason){.change = KEYS_REVOKE, .text = text}, err);
}

enum cp_err keys_ring_revoke(struct keys_ring *k, struct db_conn *conn,
                             const struct keys_revocation *revocation,
                             const struct keys_caller *caller, struct cp_error *err)
{
    struct ring *ring = NULL;
    enum cp_err rc;

    CP_TRY(ring_new(k, conn, caller->actor, caller->request_id, &ring, err));
    ring->force = true;
    rc = revoke(ring, revocation, err);
    ring_free(ring);
    return rc;
}
