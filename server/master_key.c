/* SPDX-License-Identifier: Apache-2.0
 * Changing the master key, or making another one, from the command line. */
#include "server/master_key.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "db/listener.h"
#include "db/node.h"
#include "keys/master.h"

struct find_arg {
    const char *name;
    struct db_node node;
};

static enum cp_err find_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct find_arg *a = arg;

    return db_node_get(conn, a->name, &a->node, err);
}

static void say(const struct keys_master_place *place, const char *file, uint64_t sealed)
{
    (void)printf("%" PRIu64 " secrets are sealed under the key of %s now.\n", sealed, file);
    if (place->credential) {
        (void)printf("Put it in place of the credential %s before you start castpointd "
                     "(LoadCredential=master.key:%s).\n",
                     place->path, file);
    } else {
        (void)printf("%s holds it, too; keep a backup of it and delete %s.\n", place->path, file);
    }
    (void)fflush(stdout);
}

static enum cp_err change(const struct srv_config *c, struct db_pool *db, const char *node_id,
                          struct cp_error *err)
{
    struct keys_caller caller = {.actor = "", .request_id = "rotate-master-key"};
    struct keys_master_place place;
    uint8_t key[KEYS_MASTER_SIZE];
    struct keys_ring *ring = NULL;
    uint64_t sealed = 0;
    enum cp_err rc;

    CP_TRY(keys_master_find(c->master_key, c->state_dir, &place, err));
    CP_TRY(keys_ring_open(&place, db, node_id, &ring, err));
    rc = keys_master_load(c->rotate_master_key, key, err);
    if (rc == CP_OK) {
        rc = keys_ring_change_master(ring, db, key, &caller, &sealed, err);
    }
    if (rc == CP_OK) {
        rc = keys_ring_settle_master(ring, db, 0, err);
    }
    keys_wipe(key, sizeof key);
    keys_ring_free(ring);
    if (rc == CP_OK) {
        say(&place, c->rotate_master_key, sealed);
    }
    return rc;
}

/* A service that runs would go on with the old key. */
static enum cp_err claim_and_change(const struct srv_config *c, struct db_pool *db,
                                    struct cp_error *err)
{
    static const char *const channels[] = {DB_CHANNEL_TASKS};
    struct find_arg a = {.name = c->name};
    struct db_listener *listener = NULL;
    enum cp_err rc;

    CP_TRY(db_run_read(db, "find-node", find_body, &a, err));
    CP_TRY(db_listener_open(c->database, channels, 1, &listener, err));
    rc = db_listener_claim(listener, a.node.id, err);
    if (rc == CP_ERR_CONFLICT) {
        rc = cp_error_set(err, CP_ERR_NODE_TAKEN,
                          "castpointd runs for '%s': stop it first, or let it change its key "
                          "(POST …/distribution-points/local/keys/master/rotate)",
                          c->name);
    }
    if (rc == CP_OK) {
        rc = change(c, db, a.node.id, err);
    }
    db_listener_close(listener);
    return rc;
}

enum cp_err srv_rotate_master_key(const struct srv_config *config, struct cp_error *err)
{
    struct db_pool *db = NULL;
    enum cp_err rc = db_pool_open(config->database, 1, &db, err);

    if (rc == CP_OK) {
        rc = claim_and_change(config, db, err);
    }
    db_pool_close(db);
    return rc;
}

enum cp_err srv_new_master_key(const struct srv_config *config, struct cp_error *err)
{
    struct keys_master_place place;
    uint8_t key[KEYS_MASTER_SIZE];

    CP_TRY(keys_master_find(config->master_key, config->state_dir, &place, err));
    if (access(place.path, F_OK) == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "There is a master key, %.300s: move it away if it is not the right "
                            "one, and keep it.",
                            place.path);
    }
    CP_TRY(keys_master_load(place.path, key, err));
    keys_wipe(key, sizeof key);
    (void)printf("%s holds a new master key; keep a backup of it. castpointd takes it at its next "
                 "start, or check of its keys, and makes new keys.\n",
                 place.path);
    (void)fflush(stdout);
    return CP_OK;
}
