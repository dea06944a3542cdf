/* SPDX-License-Identifier: Apache-2.0
 * A keyring on a real database, one step a transaction. */
#include "tests/unit/db/keyring_rig.h"

#include <stdio.h>
#include <string.h>

#include "content/certificate.h"

const uint8_t keyring_master[32] = {1, 2, 3};
const struct keys_caller keyring_caller = {.actor = "ann", .request_id = "req-8"};

enum cp_err keyring_use_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_multicast(s->k, conn, "req-7", &s->key, err);
}

enum cp_err keyring_rotate_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_rotate(s->k, conn, s->kind, &keyring_caller, err);
}

enum cp_err keyring_revoke_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_revoke(s->k, conn, &s->revocation, &keyring_caller, err);
}

enum cp_err keyring_care_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_care(s->k, conn, &keyring_caller, &s->care, err);
}

enum cp_err keyring_start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_start(s->k, conn, &s->care, err);
}

enum cp_err keyring_rekey_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_session_rekey(s->k, conn, s->session_id, "a test", "req-9", err);
}

enum cp_err keyring_sign_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keyring_step *s = arg;

    return keys_ring_sign_manifests(s->k, conn, &keyring_caller, 2, &s->count, err);
}

struct keys_ring *keyring_new(struct fixture *f, const uint8_t *key)
{
    struct keys_ring *k = NULL;

    assert_int_equal(keys_ring_new(key, f->node.id, &k), CP_OK);
    return k;
}

enum cp_err keyring_try(struct fixture *f, db_tx_fn *body, struct keyring_step *s)
{
    return db_run_tx_locking(f->pool, "step", body, s, &f->err);
}

void keyring_run(struct fixture *f, db_tx_fn *body, struct keyring_step *s)
{
    OK(f, keyring_try(f, body, s));
}

struct keys_multicast keyring_use(struct fixture *f, struct keys_ring *k)
{
    struct keyring_step s = {.k = k};

    keyring_run(f, keyring_use_body, &s);
    return s.key;
}

struct keys_care keyring_care(struct fixture *f, struct keys_ring *k)
{
    struct keyring_step s = {.k = k};

    keyring_run(f, keyring_care_body, &s);
    return s.care;
}

int keyring_events(struct fixture *f, const char *kind)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM events WHERE kind = '%s'", kind);
    return (int)fixture_number(f, sql);
}

int keyring_count(struct fixture *f, const char *kind, const char *state)
{
    char sql[160];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM keys WHERE kind = '%s' AND state = '%s'",
                   kind, state);
    return (int)fixture_number(f, sql);
}

bool keyring_trusts(const struct keys_multicast *key, const uint8_t identity[32])
{
    const char *certificate = NULL;
    struct certificate c;

    if (memcmp(key->identity_key, identity, 32) == 0) {
        certificate = key->certificate;
    }
    for (size_t i = 0; i < key->previous_count; i++) {
        if (memcmp(key->previous[i].identity_key, identity, 32) == 0) {
            certificate = key->previous[i].certificate;
        }
    }
    return certificate != NULL && certificate_verify(identity, certificate, 0, &c, NULL) == CP_OK &&
           memcmp(c.public_key, key->public_key, 32) == 0;
}
