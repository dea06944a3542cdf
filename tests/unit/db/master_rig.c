/* SPDX-License-Identifier: Apache-2.0
 * The master key's file in a folder of its own, and keyrings by it. */
#include "tests/unit/db/master_rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/care.h"

const struct keys_caller master_caller = {.actor = "ann", .request_id = "req-8"};

char master_folder[64];

int master_set_up(void **state)
{
    (void)snprintf(master_folder, sizeof master_folder, "/tmp/castpoint-master.XXXXXX");
    return mkdtemp(master_folder) == NULL ? -1 : fixture_open(state);
}

int master_tear_down(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", master_folder);
    return system(command) != 0 ? -1 : fixture_close(state);
}

struct keys_master_place master_place(void)
{
    struct keys_master_place p = {.credential = false};

    (void)snprintf(p.path, sizeof p.path, "%s/master.key", master_folder);
    return p;
}

const char *master_path(const char *suffix)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/master.key%s", master_folder, suffix);
    return path;
}

bool master_there(const char *suffix)
{
    return access(master_path(suffix), F_OK) == 0;
}

int master_files(void)
{
    DIR *dir = opendir(master_folder);
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

struct keys_ring *master_ring_open(struct fixture *f)
{
    struct keys_master_place p = master_place();
    struct keys_ring *k = NULL;

    OK(f, keys_ring_open(&p, f->pool, f->node.id, &k, &f->err));
    return k;
}

struct start {
    struct keys_ring *k;
    struct keys_multicast key;
    struct keys_care care;
};

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct start *s = arg;

    CP_TRY(keys_ring_start(s->k, conn, &s->care, err));
    return keys_ring_multicast(s->k, conn, "req-7", &s->key, err);
}

struct keys_multicast master_start(struct fixture *f, struct keys_ring *k)
{
    struct start s = {.k = k};

    OK(f, db_run_tx_locking(f->pool, "start", start_body, &s, &f->err));
    assert_int_equal(s.care.damaged, 0);
    assert_int_equal(s.care.secrets_unusable, 0);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events WHERE kind IN"
                                       " ('identity-key-replaced', 'multicast-key-replaced',"
                                       " 'master-key-foreign')"),
                     0);
    return s.key;
}

enum cp_err master_rekey_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct master_step *s = arg;

    return keys_ring_session_rekey(s->k, conn, s->session_id, "a test", "req-9", err);
}

void master_make_session(struct fixture *f, struct keys_ring *k, char ret_id[DB_ID_SIZE])
{
    struct db_version v = fixture_sealed(f, "kept");
    struct master_step s = {.k = k};
    struct db_session session;

    (void)fixture_begin(f);
    session = fixture_session(f, &v);
    fixture_commit(f);
    memcpy(s.session_id, session.id, sizeof s.session_id);
    memcpy(ret_id, session.id, DB_ID_SIZE);
    OK(f, db_run_tx_locking(f->pool, "rekey", master_rekey_body, &s, &f->err));
}

uint64_t master_change(struct fixture *f, struct keys_ring *k)
{
    uint64_t sealed = 0;

    OK(f, keys_ring_change_master(k, f->pool, NULL, &master_caller, &sealed, &f->err));
    return sealed;
}
