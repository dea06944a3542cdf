/* SPDX-License-Identifier: Apache-2.0
 * What tests of keys on a real database share: a keyring, what one transaction of it does, and looks
 * at what became of it. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_UNIT_DB_KEYRING_RIG_H
#define TESTS_UNIT_DB_KEYRING_RIG_H

#include "tests/unit/db/fixture.h"

#include "keys/care.h"

/* Who asks, and a master key. */
extern const struct keys_caller keyring_caller;
extern const uint8_t keyring_master[32];

struct keys_ring *keyring_new(struct fixture *f, const uint8_t *master);

/* What one transaction is given, and gives. */
struct keyring_step {
    struct keys_ring *k;
    enum db_key_kind kind;
    struct keys_revocation revocation;
    const char *session_id;
    struct keys_multicast key;
    struct keys_care care;
    size_t count;
};

/* The transactions' bodies; one of them tried, or one that must succeed. */
enum cp_err keyring_use_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_rotate_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_revoke_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_care_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_start_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_rekey_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_sign_body(struct db_conn *conn, void *arg, struct cp_error *err);
enum cp_err keyring_try(struct fixture *f, db_tx_fn *body, struct keyring_step *s);
void keyring_run(struct fixture *f, db_tx_fn *body, struct keyring_step *s);

/* The key in use, and what care finds, each in a transaction of its own. */
struct keys_multicast keyring_use(struct fixture *f, struct keys_ring *k);
struct keys_care keyring_care(struct fixture *f, struct keys_ring *k);

/* How many events of a kind there are, and keys in a state. */
int keyring_events(struct fixture *f, const char *kind);
int keyring_count(struct fixture *f, const char *kind, const char *state);

/* A client that knows only that identity trusts the key. */
bool keyring_trusts(const struct keys_multicast *key, const uint8_t identity[32]);

#endif
