/* SPDX-License-Identifier: Apache-2.0
 * The keyring's use: the keys as callers need them, and signing. */
#include "keys/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "keys/ring.h"

void keys_multicast_done(struct keys_multicast *key)
{
    keys_wipe(key, sizeof *key);
}

/* Both keys, usable. The lock is taken only when something is wrong; what another one mended
 * meanwhile is then found in order. */
static enum cp_err open_ring(struct ring *ring, struct cp_error *err)
{
    CP_TRY(ring_read(ring, err));
    if (ring->keys[DB_KEY_IDENTITY].usable && ring->keys[DB_KEY_MULTICAST].usable) {
        return CP_OK;
    }
    CP_TRY(ring_lock(ring, err));
    return ring_mend_multicast(ring, err);
}

/* An identity in overlap certifies for clients that know only it, no longer than its overlap. One
 * that cannot be read any more is left out: the hourly check tells of it. */
static void add_previous(const struct ring *ring, const struct db_key *identity,
                         struct keys_multicast *key)
{
    struct keys_previous *to = &key->previous[key->previous_count];
    struct db_key row = ring->keys[DB_KEY_MULTICAST].row;
    char why[DB_TEXT_SIZE];
    struct jws_key pair;

    if (!ring_check(ring, identity, &pair, why)) {
        cp_log(CP_LOG_WARN, "identity-in-overlap-unusable", "fingerprint", identity->fingerprint,
               "reason", why, NULL);
        return;
    }
    if (keys_certify(&pair, ring->now_ns, identity->overlap_until, &row) == CP_OK) {
        memcpy(to->identity_key, identity->public_key, sizeof to->identity_key);
        memcpy(to->certificate, row.certificate, sizeof to->certificate);
        key->previous_count++;
    }
    jws_key_wipe(&pair);
}

static void give_key(const struct ring *ring, struct keys_multicast *ret_key)
{
    const struct ring_key *m = &ring->keys[DB_KEY_MULTICAST];
    const struct db_key *identity = &ring->keys[DB_KEY_IDENTITY].row;

    memset(ret_key, 0, sizeof *ret_key);
    memcpy(ret_key->id, m->row.id, sizeof ret_key->id);
    memcpy(ret_key->fingerprint, m->row.fingerprint, sizeof ret_key->fingerprint);
    memcpy(ret_key->seed, m->pair.secret, sizeof ret_key->seed);
    memcpy(ret_key->public_key, m->row.public_key, sizeof ret_key->public_key);
    memcpy(ret_key->certificate, m->row.certificate, sizeof ret_key->certificate);
    memcpy(ret_key->identity_key, identity->public_key, sizeof ret_key->identity_key);
    memcpy(ret_key->identity_fingerprint, identity->fingerprint,
           sizeof ret_key->identity_fingerprint);
    for (size_t i = 0; i < ring->previous_count; i++) {
        add_previous(ring, &ring->previous[i], ret_key);
    }
}

enum cp_err keys_ring_multicast(struct keys_ring *k, struct db_conn *conn, const char *request_id,
                                struct keys_multicast *ret_key, struct cp_error *err)
{
    struct ring *ring = NULL;
    enum cp_err rc;

    CP_TRY(ring_new(k, conn, "", request_id, &ring, err));
    rc = open_ring(ring, err);
    if (rc == CP_OK) {
        rc = db_key_touch(conn, ring->keys[DB_KEY_MULTICAST].row.id, err);
    }
    if (rc == CP_OK) {
        rc = db_key_touch(conn, ring->keys[DB_KEY_IDENTITY].row.id, err);
    }
    if (rc == CP_OK) {
        give_key(ring, ret_key);
    }
    ring_free(ring);
    return rc;
}

enum cp_err keys_ring_identity(struct keys_ring *k, struct db_conn *conn, const char *request_id,
                               uint8_t ret_public[32], char ret_fingerprint[DB_DIGEST_SIZE],
                               struct cp_error *err)
{
    struct ring *ring = NULL;
    enum cp_err rc;

    CP_TRY(ring_new(k, conn, "", request_id, &ring, err));
    rc = open_ring(ring, err);
    if (rc == CP_OK) {
        const struct db_key *row = &ring->keys[DB_KEY_IDENTITY].row;

        memcpy(ret_public, row->public_key, JWS_KEY_SIZE);
        memcpy(ret_fingerprint, row->fingerprint, DB_DIGEST_SIZE);
    }
    ring_free(ring);
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
