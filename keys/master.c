/* SPDX-License-Identifier: Apache-2.0
 * Which master key counts, and its change. Beside the key's file lie, during a change, "<file>.next"
 * (the new key, until the database is sealed under it) and "<file>.old" (the former one, until
 * nothing is sealed under it any more). The fingerprint in the database decides. */
#include "keys/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "db/sealed.h"
#include "keys/keyring_private.h"
#include "keys/master_file.h"

#define PAGE        32
#define NEXT        ".next"
#define OLD         ".old"
#define SUFFIX_SIZE 8

enum cp_err keys_master_find(const char *option, const char *state_dir,
                             struct keys_master_place *ret_place, struct cp_error *err)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    struct keys_master_place place = {.credential = false};
    int n = 0;

    if (option[0] == '\0' && credentials != NULL) {
        n = snprintf(place.path, sizeof place.path, "%s/master.key", credentials);
        place.credential = n < (int)sizeof place.path && access(place.path, F_OK) == 0;
    }
    if (option[0] != '\0') {
        n = snprintf(place.path, sizeof place.path, "%s", option);
    } else if (!place.credential) {
        n = snprintf(place.path, sizeof place.path, "%s/master.key", state_dir);
    }
    if (n < 0 || (size_t)n + SUFFIX_SIZE >= sizeof place.path) {
        return cp_error_set(err, CP_ERR_USAGE, "the path of the master key is too long");
    }
    *ret_place = place;
    return CP_OK;
}

enum cp_err keys_master_fingerprint(const uint8_t key[KEYS_MASTER_SIZE],
                                    char ret_text[DB_DIGEST_SIZE])
{
    static const char prefix[] = "castpoint master key";
    uint8_t text[sizeof prefix + KEYS_MASTER_SIZE];
    enum cp_err rc;

    memcpy(text, prefix, sizeof prefix);
    memcpy(text + sizeof prefix, key, KEYS_MASTER_SIZE);
    rc = keys_sha256_hex(text, sizeof text, ret_text);
    keys_wipe(text, sizeof text);
    return rc;
}

enum cp_err keys_ring_master_fingerprint(struct keys_ring *k, char ret_text[DB_DIGEST_SIZE],
                                         struct cp_error *err)
{
    struct keys_masters masters;
    enum cp_err rc;

    keys_ring_masters(k, &masters);
    rc = masters.missing ? CP_ERR_KEY_UNUSABLE : keys_master_fingerprint(masters.current, ret_text);
    keys_wipe(&masters, sizeof masters);
    if (rc == CP_ERR_KEY_UNUSABLE) {
        keys_ring_say_missing(k, err);
        return rc;
    }
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "fingerprint of the master key");
}

const char *keys_ring_master_source(const struct keys_ring *k)
{
    return k->place.credential ? "credential" : "file";
}

static void set_masters(struct keys_ring *k, const struct keys_masters *masters)
{
    (void)pthread_rwlock_wrlock(&k->lock);
    k->masters = *masters;
    (void)pthread_rwlock_unlock(&k->lock);
}

static void swap_masters(struct keys_ring *k, const uint8_t *current, const uint8_t *other)
{
    struct keys_masters masters = {.has_other = true};

    memcpy(masters.current, current, KEYS_MASTER_SIZE);
    memcpy(masters.other, other, KEYS_MASTER_SIZE);
    set_masters(k, &masters);
    keys_wipe(&masters, sizeof masters);
}

bool keys_ring_has_file(const struct keys_ring *k)
{
    return !k->place.credential && k->place.path[0] != '\0';
}

static void beside(const struct keys_ring *k, const char *suffix, char ret_path[KEYS_PATH_SIZE])
{
    (void)snprintf(ret_path, KEYS_PATH_SIZE, "%.*s%s", KEYS_PATH_SIZE - SUFFIX_SIZE, k->place.path,
                   suffix);
}

/* ---- sealing anew ---- */

struct reseal {
    struct keys_ring *k;
    struct keys_masters masters;
    const struct keys_caller *caller; /* NULL: no event, the master key is not changed */
    uint64_t sealed;
};

/* What is neither under the one nor under the other key is damaged or another node's: it stays. */
static enum cp_err reseal_one(struct db_conn *conn, struct reseal *r, size_t place,
                              const struct db_sealed *item, struct cp_error *err)
{
    struct keys_sealed sealed = {(const uint8_t *)item->data, item->size};
    uint8_t *plain = malloc(item->size + 1);
    uint8_t *anew = malloc(item->size + KEYS_SEAL_OVERHEAD);
    size_t size = 0;
    enum cp_err rc = CP_OK;

    if (plain == NULL || anew == NULL) {
        rc = cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to seal a secret anew.");
    } else if (keys_unseal(r->masters.current, item->purpose, sealed, plain, item->size, &size) !=
                   CP_OK &&
               keys_unseal(r->masters.other, item->purpose, sealed, plain, item->size, &size) ==
                   CP_OK) {
        size_t anew_size = 0;

        rc = keys_seal(r->masters.current, item->purpose, plain, size, anew, &anew_size);
        rc = rc == CP_OK ? db_sealed_replace(conn, place, item->id, anew, anew_size, err)
                         : cp_error_set(err, rc, "sealing a secret anew failed");
        r->sealed += rc == CP_OK;
    }
    if (plain != NULL) {
        keys_wipe(plain, item->size + 1);
    }
    free(plain);
    free(anew);
    return rc;
}

static enum cp_err reseal_place(struct db_conn *conn, struct reseal *r, size_t place,
                                struct cp_error *err)
{
    struct db_sealed page[PAGE];
    char after[DB_ID_SIZE] = "";
    size_t count = PAGE;
    enum cp_err rc = CP_OK;

    while (rc == CP_OK && count == PAGE) {
        CP_TRY(db_sealed_list(conn, place, after, PAGE, page, &count, err));
        for (size_t i = 0; i < count; i++) {
            if (rc == CP_OK) {
                rc = reseal_one(conn, r, place, &page[i], err);
            }
            memcpy(after, page[i].id, sizeof after);
            free(page[i].data);
        }
    }
    return rc;
}

static enum cp_err change_event(struct db_conn *conn, const struct reseal *r, const char *now,
                                const char *before, struct cp_error *err)
{
    struct keys_event event = {.kind = "master-key-changed",
                               .subject = "master key",
                               .actor = r->caller->actor,
                               .request_id = r->caller->request_id,
                               .detail = json_pack("{s:s, s:s, s:I}", "fingerprint", now,
                                                   "old_fingerprint", before, "sealed",
                                                   (json_int_t)r->sealed)};

    return keys_event_write(conn, r->k, &event, err);
}

static enum cp_err reseal_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct reseal *r = arg;
    char now[DB_DIGEST_SIZE], before[DB_DIGEST_SIZE];

    r->sealed = 0;
    for (size_t place = 0; place < db_sealed_places(); place++) {
        CP_TRY(reseal_place(conn, r, place, err));
    }
    if (r->caller == NULL) {
        return CP_OK;
    }
    if (keys_master_fingerprint(r->masters.current, now) != CP_OK ||
        keys_master_fingerprint(r->masters.other, before) != CP_OK) {
        return cp_error_set(err, CP_ERR_INTERNAL, "fingerprint of the master key");
    }
    CP_TRY(db_master_key_set(conn, r->k->node_id, now, err));
    return change_event(conn, r, now, before, err);
}

static enum cp_err reseal(struct keys_ring *k, struct db_pool *db, const struct keys_caller *caller,
                          uint64_t *ret_sealed, struct cp_error *err)
{
    struct reseal r = {.k = k, .caller = caller};
    enum cp_err rc = CP_OK;

    keys_ring_masters(k, &r.masters);
    if (r.masters.has_other) {
        rc = db_run_tx_locking(db, "reseal", reseal_body, &r, err);
    }
    keys_wipe(&r.masters, sizeof r.masters);
    if (rc == CP_OK) {
        *ret_sealed = r.sealed;
    }
    return rc;
}

/* ---- opening ---- */

struct stored {
    const char *node_id;
    struct db_master_key key; /* fingerprint "": nothing was sealed yet */
};

static enum cp_err stored_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct stored *s = arg;
    enum cp_err rc;

    memset(&s->key, 0, sizeof s->key);
    rc = db_master_key_lock(conn, s->node_id, &s->key, err);
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static bool is_stored(const struct stored *s, const uint8_t key[KEYS_MASTER_SIZE])
{
    char fingerprint[DB_DIGEST_SIZE];

    return keys_master_fingerprint(key, fingerprint) == CP_OK &&
           strcmp(fingerprint, s->key.fingerprint) == 0;
}

/* The file holds that key afterwards: it does already, or "<file>.next" does, or memory alone. */
static enum cp_err put_file(const struct keys_ring *k, const uint8_t key[KEYS_MASTER_SIZE],
                            struct cp_error *err)
{
    char next[KEYS_PATH_SIZE], old[KEYS_PATH_SIZE];
    bool same = false;
    enum cp_err rc;

    if (!keys_ring_has_file(k)) {
        return CP_OK;
    }
    beside(k, NEXT, next);
    beside(k, OLD, old);
    rc = keys_master_compare(k->place.path, key, &same, err);
    if (same || (rc != CP_OK && rc != CP_ERR_NOT_FOUND)) {
        return rc;
    }
    CP_TRY(keys_master_write(next, key, err)); /* one that is there stays */
    CP_TRY(keys_master_compare(next, key, &same, err));
    if (!same) {
        return cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                            "Neither master key file %.300s nor the one of a change beside it "
                            "(.next) holds the key in use: move the second one away.",
                            k->place.path);
    }
    return keys_master_replace(k->place.path, next, old, err);
}

/* The database is sealed under the other key: that one is in its file, and counts, from now on. */
static enum cp_err finish_change(struct keys_ring *k, struct cp_error *err)
{
    struct keys_masters masters;
    enum cp_err rc;

    keys_ring_masters(k, &masters);
    rc = put_file(k, masters.other, err);
    if (rc == CP_OK) {
        swap_masters(k, masters.other, masters.current);
        cp_log(CP_LOG_WARN, "master-key-change-finished", "file", k->place.path, NULL);
    }
    keys_wipe(&masters, sizeof masters);
    return rc;
}

static bool is_unfinished(const struct stored *s, const struct keys_masters *masters)
{
    return masters->has_other && is_stored(s, masters->other) && !is_stored(s, masters->current);
}

/* Whatever a change left beside the key's file: the other key, under which something may be. */
static enum cp_err take_other(struct keys_ring *k, const struct stored *s, struct cp_error *err)
{
    uint8_t key[KEYS_MASTER_SIZE];
    char path[KEYS_PATH_SIZE];
    enum cp_err rc;

    beside(k, NEXT, path);
    rc = keys_master_read(path, false, key, err);
    if (rc == CP_ERR_NOT_FOUND) {
        beside(k, OLD, path);
        rc = keys_master_read(path, false, key, err);
    }
    if (rc == CP_OK) {
        memcpy(k->masters.other, key, sizeof key);
        k->masters.has_other = true;
    }
    keys_wipe(key, sizeof key);
    if (rc == CP_OK && is_unfinished(s, &k->masters)) {
        return finish_change(k, err);
    }
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

/* A change that was cut off may have left the key under one of its two names: into its place. */
static enum cp_err find_beside(struct keys_ring *k, const struct stored *s, struct cp_error *err)
{
    static const char *const suffixes[] = {NEXT, OLD};
    uint8_t key[KEYS_MASTER_SIZE];
    char path[KEYS_PATH_SIZE];
    enum cp_err rc = CP_ERR_NOT_FOUND;

    for (size_t i = 0; rc == CP_ERR_NOT_FOUND && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        beside(k, suffixes[i], path);
        rc = keys_master_read(path, false, key, err);
        if (rc == CP_OK) {
            rc = is_stored(s, key) ? keys_master_write(k->place.path, key, err) : CP_ERR_NOT_FOUND;
        }
    }
    keys_wipe(key, sizeof key);
    return rc;
}

/* Only a node that never had a master key is given one: in the place of one that is not there, a new
 * one would be the end of everything that is sealed. */
static enum cp_err load(struct keys_ring *k, const struct stored *s, struct cp_error *err)
{
    uint8_t key[KEYS_MASTER_SIZE];
    enum cp_err rc = keys_master_read(k->place.path, k->place.credential, key, err);

    if (rc == CP_ERR_NOT_FOUND && !k->place.credential) {
        rc = s->key.fingerprint[0] == '\0' ? CP_OK : find_beside(k, s, err);
        if (rc == CP_OK) {
            rc = keys_master_load(k->place.path, key, err);
        }
    }
    if (rc == CP_OK) {
        memcpy(k->masters.current, key, sizeof key);
    } else if (rc == CP_ERR_NOT_FOUND && s->key.fingerprint[0] != '\0') {
        keys_ring_lose_master(k, s->key.fingerprint);
        rc = CP_OK;
    }
    keys_wipe(key, sizeof key);
    return rc;
}

static enum cp_err settle(struct keys_ring *k, struct db_pool *db, struct cp_error *err)
{
    struct keys_masters masters;
    char path[KEYS_PATH_SIZE];
    uint64_t sealed = 0;
    enum cp_err rc;

    CP_TRY(reseal(k, db, NULL, &sealed, err));
    keys_ring_masters(k, &masters);
    rc = put_file(k, masters.current, err); /* else the last copy may be one of these: */
    if (rc == CP_OK && keys_ring_has_file(k)) {
        beside(k, NEXT, path);
        rc = keys_master_remove(path, err);
        beside(k, OLD, path);
        rc = rc == CP_OK ? keys_master_remove(path, err) : rc;
    }
    if (rc != CP_OK) {
        keys_wipe(&masters, sizeof masters);
        return rc;
    }
    keys_wipe(masters.other, sizeof masters.other);
    masters.has_other = false;
    set_masters(k, &masters);
    keys_wipe(&masters, sizeof masters);
    return CP_OK;
}

enum cp_err keys_ring_open(const struct keys_master_place *place, struct db_pool *db,
                           const char *node_id, struct keys_ring **ret_keyring,
                           struct cp_error *err)
{
    struct stored stored = {.node_id = node_id};
    const uint8_t none[KEYS_MASTER_SIZE] = {0};
    struct keys_ring *k = NULL;
    enum cp_err rc;

    CP_TRY(db_run_tx_locking(db, "master-key", stored_body, &stored, err));
    rc = keys_ring_new(none, node_id, &k);
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "No memory for the keys.");
    }
    k->place = *place;
    rc = load(k, &stored, err);
    if (rc == CP_OK && !place->credential && !k->masters.missing) {
        rc = take_other(k, &stored, err);
    }
    if (rc == CP_OK && k->masters.has_other) {
        rc = settle(k, db, err);
    }
    if (rc != CP_OK) {
        keys_ring_free(k);
        return rc;
    }
    *ret_keyring = k;
    return CP_OK;
}

/* ---- the change ---- */

/* What a change before left over; never the key that everything is sealed under. */
static enum cp_err clear_next(const struct keys_ring *k, struct db_pool *db, const char *next,
                              struct cp_error *err)
{
    struct stored stored = {.node_id = k->node_id};
    uint8_t key[KEYS_MASTER_SIZE];
    enum cp_err rc = keys_master_read(next, false, key, err);
    bool needed;

    if (rc == CP_OK) {
        rc = db_run_tx_locking(db, "master-key", stored_body, &stored, err);
        needed = rc == CP_OK && is_stored(&stored, key);
        keys_wipe(key, sizeof key);
        CP_TRY(rc);
        if (needed) {
            return cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                                "The database is sealed under the master key in %.300s: start "
                                "castpointd again, which puts it in its place.",
                                next);
        }
    }
    return keys_master_remove(next, err);
}

/* From the swap on everybody seals under the new key, and opens what is under either. When the
 * transaction fails, what others sealed meanwhile is under the new one: both stay until settled. */
static enum cp_err change(struct keys_ring *k, struct db_pool *db, const uint8_t *new_key,
                          const struct keys_caller *caller, uint64_t *ret_sealed,
                          struct cp_error *err)
{
    char next[KEYS_PATH_SIZE], old[KEYS_PATH_SIZE];
    bool file = keys_ring_has_file(k);
    struct keys_masters before;
    enum cp_err rc = CP_OK;

    beside(k, NEXT, next);
    beside(k, OLD, old);
    if (file) {
        CP_TRY(clear_next(k, db, next, err));
        CP_TRY(keys_master_write(next, new_key, err));
    }
    keys_ring_masters(k, &before);
    swap_masters(k, new_key, before.current);
    rc = reseal(k, db, caller, ret_sealed, err);
    if (rc != CP_OK) {
        swap_masters(k, before.current, new_key);
    } else if (file) {
        rc = keys_master_replace(k->place.path, next, old, err);
    }
    keys_wipe(&before, sizeof before);
    return rc;
}

static enum cp_err settle_change(struct keys_ring *k, struct db_pool *db, uint64_t min_age,
                                 struct cp_error *err)
{
    struct stored stored = {.node_id = k->node_id};
    struct keys_masters masters;
    enum cp_err rc;

    keys_ring_masters(k, &masters);
    if (!masters.has_other) {
        keys_wipe(&masters, sizeof masters);
        return CP_OK;
    }
    rc = db_run_tx_locking(db, "master-key", stored_body, &stored, err);
    if (rc == CP_OK) {
        rc = is_unfinished(&stored, &masters) ? finish_change(k, err)
                                              : put_file(k, masters.current, err);
    }
    keys_wipe(&masters, sizeof masters);
    CP_TRY(rc);
    return cp_clock_wall() < stored.key.changed_at + min_age ? CP_OK : settle(k, db, err);
}

enum cp_err keys_ring_change_master(struct keys_ring *k, struct db_pool *db, const uint8_t *new_key,
                                    const struct keys_caller *caller, uint64_t *ret_sealed,
                                    struct cp_error *err)
{
    uint8_t key[KEYS_MASTER_SIZE];
    enum cp_err rc;

    if (!keys_ring_has_master(k)) {
        keys_ring_say_missing(k, err);
        return CP_ERR_KEY_UNUSABLE;
    }
    if (new_key == NULL && k->place.credential) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "The master key is a credential of systemd, which only you can "
                            "replace: stop the service and run castpointd --rotate-master-key "
                            "NEWFILE.");
    }
    rc = new_key == NULL ? keys_random(key, sizeof key) : CP_OK;
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "No random numbers.");
    }
    if (new_key != NULL) {
        memcpy(key, new_key, sizeof key);
    }
    (void)pthread_mutex_lock(&k->changing);
    rc = settle_change(k, db, 0, err); /* of a change before */
    if (rc == CP_OK) {
        rc = change(k, db, key, caller, ret_sealed, err);
    }
    (void)pthread_mutex_unlock(&k->changing);
    keys_wipe(key, sizeof key);
    return rc;
}

enum cp_err keys_ring_settle_master(struct keys_ring *k, struct db_pool *db, uint64_t min_age,
                                    struct cp_error *err)
{
    enum cp_err rc;

    (void)pthread_mutex_lock(&k->changing);
    rc = settle_change(k, db, min_age, err);
    (void)pthread_mutex_unlock(&k->changing);
    return rc;
}
