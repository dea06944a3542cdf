/* SPDX-License-Identifier: Apache-2.0
 * The keyring: reads and checks the active keys, and replaces what is unusable in the transaction
 * that needs it. Who replaces holds the node's row lock, so that all who need a key get the same. */
#include "keys/keyring.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "content/jws.h"
#include "db/event.h"
#include "db/node.h"
#include "keys/check.h"
#include "keys/credentials.h"

#define SECRET_SIZE  32u
#define PURPOSE_SIZE 64

struct keys_ring {
    uint8_t master_key[KEYS_MASTER_SIZE];
    char node_id[DB_ID_SIZE];
};

/* One key as found or made. */
struct key_state {
    struct db_key row;
    struct jws_key pair;
    bool stored; /* there is an active row */
    bool usable;
    char reason[DB_TEXT_SIZE]; /* not usable: why */
};

/* What the keyring works on during one call. */
struct ring {
    const struct keys_ring *k;
    struct db_conn *conn;
    const char *actor;
    const char *request_id;
    uint64_t now_ns;
    struct key_state identity;
    struct key_state multicast;
};

enum cp_err keys_ring_new(const uint8_t *master_key, const char *node_id,
                          struct keys_ring **ret_keyring)
{
    struct keys_ring *k = calloc(1, sizeof *k);

    if (k == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    CP_ASSERT(strlen(node_id) < sizeof k->node_id);
    memcpy(k->master_key, master_key, sizeof k->master_key);
    (void)snprintf(k->node_id, sizeof k->node_id, "%s", node_id);
    *ret_keyring = k;
    return CP_OK;
}

void keys_ring_free(struct keys_ring *k)
{
    if (k != NULL) {
        keys_wipe(k, sizeof *k);
        free(k);
    }
}

void keys_multicast_done(struct keys_multicast *key)
{
    keys_wipe(key, sizeof *key);
}

static void ring_init(struct ring *ring, const struct keys_ring *k, struct db_conn *conn,
                      const char *actor, const char *request_id)
{
    memset(ring, 0, sizeof *ring);
    ring->k = k;
    ring->conn = conn;
    ring->actor = actor;
    ring->request_id = request_id != NULL ? request_id : "";
    ring->now_ns = cp_clock_wall();
}

static void ring_done(struct ring *ring)
{
    keys_wipe(ring, sizeof *ring);
}

/* ---- reading and checking ---- */

static enum cp_err read_key(const struct ring *ring, enum db_key_kind kind, struct key_state *s,
                            struct cp_error *err)
{
    enum cp_err rc = db_key_active(ring->conn, ring->k->node_id, kind, &s->row, err);

    memset(&s->pair, 0, sizeof s->pair);
    s->reason[0] = '\0';
    s->stored = rc == CP_OK;
    s->usable = false;
    if (rc == CP_ERR_NOT_FOUND) {
        (void)snprintf(s->reason, sizeof s->reason, "there was no active %s key",
                       db_key_kind_name(kind));
        return CP_OK;
    }
    CP_TRY(rc);
    s->usable = keys_check(&s->row, ring->k->master_key, &s->pair, s->reason);
    return CP_OK;
}

static enum cp_err read_ring(struct ring *ring, struct cp_error *err)
{
    struct key_state *m = &ring->multicast;

    CP_TRY(read_key(ring, DB_KEY_IDENTITY, &ring->identity, err));
    CP_TRY(read_key(ring, DB_KEY_MULTICAST, m, err));
    if (m->usable) {
        /* An identity that is about to be replaced certifies nothing. */
        m->usable = ring->identity.usable;
        if (!m->usable) {
            (void)snprintf(m->reason, sizeof m->reason,
                           "the identity key had to be replaced: %.180s", ring->identity.reason);
        }
    }
    if (m->usable) {
        m->usable =
            keys_check_certificate(&m->row, ring->identity.row.public_key, ring->now_ns, m->reason);
    }
    return CP_OK;
}

/* ---- replacing ---- */

static enum cp_err add_event(const struct ring *ring, const struct key_state *s, const char *what,
                             const char *reason, const char *old_fingerprint, struct cp_error *err)
{
    struct db_event event = {.id = 0};
    json_t *detail = json_pack("{s:s, s:s, s:s?}", "reason", reason, "fingerprint",
                               s->row.fingerprint, "old_fingerprint", old_fingerprint);
    char *text = detail != NULL ? json_dumps(detail, JSON_COMPACT) : NULL;

    json_decref(detail);
    if (text == NULL || strlen(text) >= sizeof event.detail) {
        free(text);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "event of a key");
    }
    (void)snprintf(event.node_id, sizeof event.node_id, "%s", ring->k->node_id);
    (void)snprintf(event.kind, sizeof event.kind, "%s-key-%s", db_key_kind_name(s->row.kind), what);
    (void)snprintf(event.subject, sizeof event.subject, "key %s", s->row.fingerprint);
    (void)snprintf(event.actor, sizeof event.actor, "%s", ring->actor);
    (void)snprintf(event.detail, sizeof event.detail, "%s", text);
    (void)snprintf(event.request_id, sizeof event.request_id, "%s", ring->request_id);
    free(text);
    return db_event_add(ring->conn, &event, err);
}

/* "created" the first time on this node, "replaced" ever after. */
static enum cp_err event_word(const struct ring *ring, const struct key_state *s,
                              enum db_key_kind kind, const char **ret_word, struct cp_error *err)
{
    char name[DB_NAME_SIZE];
    bool before = true;

    if (!s->stored) {
        (void)snprintf(name, sizeof name, "%s-key-created", db_key_kind_name(kind));
        CP_TRY(db_event_seen(ring->conn, ring->k->node_id, name, &before, err));
    }
    *ret_word = before ? "replaced" : "created";
    return CP_OK;
}

/* Retires what there is and stores a new key; what: NULL chooses between created and replaced. */
static enum cp_err replace(struct ring *ring, enum db_key_kind kind, const char *what,
                           struct cp_error *err)
{
    struct key_state *s = kind == DB_KEY_IDENTITY ? &ring->identity : &ring->multicast;
    struct keys_spec spec = {.kind = kind,
                             .node_id = ring->k->node_id,
                             .master_key = ring->k->master_key,
                             .identity = kind == DB_KEY_MULTICAST ? &ring->identity.pair : NULL,
                             .now_ns = ring->now_ns};
    char old_fingerprint[DB_DIGEST_SIZE];
    struct db_key row;
    enum cp_err rc;

    (void)snprintf(old_fingerprint, sizeof old_fingerprint, "%s", s->row.fingerprint);
    if (what == NULL) {
        CP_TRY(event_word(ring, s, kind, &what, err));
    }
    if (s->stored) {
        CP_TRY(db_key_checked(ring->conn, s->row.id, s->usable ? "ok" : s->reason, err));
        CP_TRY(db_key_retire(ring->conn, s->row.id, s->reason, err));
    }
    rc = keys_make(&spec, &row, &s->pair);
    if (rc != CP_OK) {
        return cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                            "the %s key cannot be used (%s), and making a new one failed",
                            db_key_kind_name(kind), s->reason);
    }
    s->row = row;
    CP_TRY(db_key_insert(ring->conn, &s->row, s->row.id, err));
    CP_TRY(add_event(ring, s, what, s->reason, s->stored ? old_fingerprint : NULL, err));
    s->stored = true;
    s->usable = true;
    return CP_OK;
}

/* Both keys, usable. The lock is taken only when something is wrong; what another one replaced
 * meanwhile is then found in order. */
static enum cp_err open_ring(struct ring *ring, struct cp_error *err)
{
    CP_TRY(read_ring(ring, err));
    if (ring->identity.usable && ring->multicast.usable) {
        return CP_OK;
    }
    CP_TRY(db_node_lock(ring->conn, ring->k->node_id, err));
    CP_TRY(read_ring(ring, err));
    if (!ring->identity.usable) {
        CP_TRY(replace(ring, DB_KEY_IDENTITY, NULL, err));
    }
    if (!ring->multicast.usable) {
        CP_TRY(replace(ring, DB_KEY_MULTICAST, NULL, err));
    }
    return CP_OK;
}

/* ---- what callers need ---- */

static void give_key(const struct ring *ring, struct keys_multicast *ret_key)
{
    const struct db_key *row = &ring->multicast.row;

    memset(ret_key, 0, sizeof *ret_key);
    memcpy(ret_key->id, row->id, sizeof ret_key->id);
    memcpy(ret_key->fingerprint, row->fingerprint, sizeof ret_key->fingerprint);
    memcpy(ret_key->seed, ring->multicast.pair.secret, sizeof ret_key->seed);
    memcpy(ret_key->public_key, row->public_key, sizeof ret_key->public_key);
    memcpy(ret_key->certificate, row->certificate, sizeof ret_key->certificate);
    memcpy(ret_key->identity_key, ring->identity.row.public_key, sizeof ret_key->identity_key);
    memcpy(ret_key->identity_fingerprint, ring->identity.row.fingerprint,
           sizeof ret_key->identity_fingerprint);
}

enum cp_err keys_ring_multicast(struct keys_ring *k, struct db_conn *conn, const char *request_id,
                                struct keys_multicast *ret_key, struct cp_error *err)
{
    struct ring ring;
    enum cp_err rc;

    ring_init(&ring, k, conn, "", request_id);
    rc = open_ring(&ring, err);
    if (rc == CP_OK) {
        rc = db_key_touch(conn, ring.multicast.row.id, err);
    }
    if (rc == CP_OK) {
        rc = db_key_touch(conn, ring.identity.row.id, err);
    }
    if (rc == CP_OK) {
        give_key(&ring, ret_key);
    }
    ring_done(&ring);
    return rc;
}

enum cp_err keys_ring_identity(struct keys_ring *k, struct db_conn *conn, const char *request_id,
                               uint8_t ret_public[32], char ret_fingerprint[DB_DIGEST_SIZE],
                               struct cp_error *err)
{
    struct ring ring;
    enum cp_err rc;

    ring_init(&ring, k, conn, "", request_id);
    rc = open_ring(&ring, err);
    if (rc == CP_OK) {
        memcpy(ret_public, ring.identity.row.public_key, JWS_KEY_SIZE);
        memcpy(ret_fingerprint, ring.identity.row.fingerprint, DB_DIGEST_SIZE);
    }
    ring_done(&ring);
    return rc;
}

static enum cp_err rotate(struct ring *ring, enum db_key_kind kind, struct cp_error *err)
{
    struct key_state *m = &ring->multicast;

    CP_TRY(db_node_lock(ring->conn, ring->k->node_id, err));
    CP_TRY(open_ring(ring, err));
    if (kind == DB_KEY_IDENTITY) {
        (void)snprintf(ring->identity.reason, DB_TEXT_SIZE, "rotated by %s", ring->actor);
        CP_TRY(replace(ring, DB_KEY_IDENTITY, "rotated", err));
        (void)snprintf(m->reason, sizeof m->reason, "the identity key was rotated by %s",
                       ring->actor);
    } else {
        (void)snprintf(m->reason, sizeof m->reason, "rotated by %s", ring->actor);
    }
    return replace(ring, DB_KEY_MULTICAST, "rotated", err);
}

enum cp_err keys_ring_rotate(struct keys_ring *k, struct db_conn *conn, enum db_key_kind kind,
                             const char *actor, const char *request_id, struct cp_error *err)
{
    struct ring ring;
    enum cp_err rc;

    ring_init(&ring, k, conn, actor, request_id);
    rc = rotate(&ring, kind, err);
    ring_done(&ring);
    return rc;
}

/* ---- signing ---- */

static enum cp_err signed_text(enum cp_err rc, struct cp_error *err)
{
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "signing with the multicast key failed");
}

static struct jws_key pair_of(const struct keys_multicast *key)
{
    struct jws_key pair;

    memcpy(pair.secret, key->seed, JWS_KEY_SIZE);
    memcpy(pair.public_key, key->public_key, JWS_KEY_SIZE);
    return pair;
}

enum cp_err keys_ring_sign(const struct keys_multicast *key, const void *payload, size_t size,
                           char **ret_jws, struct cp_error *err)
{
    struct jws_key pair = pair_of(key);
    enum cp_err rc = jws_sign(&pair, payload, size, ret_jws);

    jws_key_wipe(&pair);
    return signed_text(rc, err);
}

enum cp_err keys_ring_sign_detached(const struct keys_multicast *key, const void *payload,
                                    size_t size, char **ret_jws, struct cp_error *err)
{
    struct jws_key pair = pair_of(key);
    enum cp_err rc = jws_sign_detached(&pair, payload, size, ret_jws);

    jws_key_wipe(&pair);
    return signed_text(rc, err);
}

/* ---- session secrets ---- */

static void secret_purpose(const char *session_id, char ret_purpose[PURPOSE_SIZE])
{
    (void)snprintf(ret_purpose, PURPOSE_SIZE, "session-secret %s", session_id);
}

enum cp_err keys_ring_secret_new(struct keys_ring *k, const char *session_id,
                                 uint8_t ret_sealed[DB_SEALED_SIZE], size_t *ret_sealed_size,
                                 struct cp_error *err)
{
    uint8_t secret[SECRET_SIZE];
    char purpose[PURPOSE_SIZE];
    enum cp_err rc = keys_random(secret, sizeof secret);

    _Static_assert(SECRET_SIZE + KEYS_SEAL_OVERHEAD <= DB_SEALED_SIZE, "room for a sealed secret");
    secret_purpose(session_id, purpose);
    if (rc == CP_OK) {
        rc = keys_seal(k->master_key, purpose, secret, sizeof secret, ret_sealed, ret_sealed_size);
    }
    keys_wipe(secret, sizeof secret);
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "making a session secret failed");
}

enum cp_err keys_ring_secret_open(struct keys_ring *k, const char *session_id,
                                  const uint8_t *sealed, size_t sealed_size, uint8_t ret_secret[32],
                                  struct cp_error *err)
{
    uint8_t secret[SECRET_SIZE];
    char purpose[PURPOSE_SIZE];
    size_t size = 0;
    enum cp_err rc;

    secret_purpose(session_id, purpose);
    rc = keys_unseal(k->master_key, purpose, (struct keys_sealed){sealed, sealed_size}, secret,
                     sizeof secret, &size);
    if (rc == CP_OK && size == sizeof secret) {
        memcpy(ret_secret, secret, sizeof secret);
    } else {
        rc = cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                          "the secret of session %s is damaged or was sealed under another master "
                          "key: cancel the session, the next join starts a new one",
                          session_id);
    }
    keys_wipe(secret, sizeof secret);
    return rc;
}
