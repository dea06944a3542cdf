/* SPDX-License-Identifier: Apache-2.0
 * What tests of a change of the master key share: its file in a folder of its own, keyrings by it,
 * and a session whose secret it seals. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_UNIT_DB_MASTER_RIG_H
#define TESTS_UNIT_DB_MASTER_RIG_H

#include "tests/unit/db/fixture.h"

#include <stdatomic.h>

#include "keys/master.h"

/* Who asks. */
extern const struct keys_caller master_caller;
/* Of the test that runs. */
extern char master_folder[64];

/* cmocka set-up and tear-down: fixture_open, and an empty folder. */
int master_set_up(void **state);
int master_tear_down(void **state);

struct keys_master_place master_place(void);
/* "<folder>/master.key<suffix>", until the next call; whether it is there. */
const char *master_path(const char *suffix);
bool master_there(const char *suffix);
/* Files in the folder. */
int master_files(void);

struct keys_ring *master_ring_open(struct fixture *f);
/* As the service starts; nothing may need a repair. */
struct keys_multicast master_start(struct fixture *f, struct keys_ring *k);
/* A session whose secret that keyring sealed. */
void master_make_session(struct fixture *f, struct keys_ring *k, char ret_id[DB_ID_SIZE]);
/* How many secrets were sealed anew. */
uint64_t master_change(struct fixture *f, struct keys_ring *k);

/* What a thread or a transaction works on. */
struct master_step {
    struct fixture *f;
    struct keys_ring *k;
    char session_id[DB_ID_SIZE];
    atomic_bool *stop;
    unsigned rounds;
};
/* Body of a transaction: another secret of the step's session. */
enum cp_err master_rekey_body(struct db_conn *conn, void *arg, struct cp_error *err);

#endif
