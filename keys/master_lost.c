/* SPDX-License-Identifier: Apache-2.0
 * A master key that is not where it should be. Its file was not there at the start: nothing is
 * sealed or opened, made or thrown away until the right key is back, or somebody made another one.
 * Or something became of the file while castpointd works with the key. Touches the file
 * and, to tell of it, the database. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "keys/check.h"
#include "keys/keyring_private.h"
#include "keys/master_file.h"

/* ---- none at the start ---- */

enum cp_err keys_ring_missing(struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                        KEYS_MASTER_MISSING ". Nothing is replaced meanwhile; castpointd goes on "
                                            "by itself when the key is back in its place.");
}

void keys_ring_lose_master(struct keys_ring *k, const char *fingerprint)
{
    struct cp_error why;

    (void)pthread_rwlock_wrlock(&k->lock);
    keys_wipe(&k->masters, sizeof k->masters);
    k->masters.missing = true;
    (void)snprintf(k->missed, sizeof k->missed, "%s", fingerprint);
    (void)pthread_rwlock_unlock(&k->lock);
    keys_ring_say_missing(k, &why);
    cp_log_error(CP_LOG_ERROR, "master-key-lost", &why);
}

static enum cp_err read_file(const struct keys_ring *k, uint8_t ret_key[KEYS_MASTER_SIZE],
                             struct cp_error *err)
{
    return keys_master_read(k->place.path, k->place.credential, ret_key, err);
}

/* Who comes second finds it taken. */
static void take(struct keys_ring *k, const uint8_t key[KEYS_MASTER_SIZE], bool other)
{
    (void)pthread_rwlock_wrlock(&k->lock);
    if (k->masters.missing) {
        memcpy(k->masters.current, key, KEYS_MASTER_SIZE);
        k->masters.missing = false;
        atomic_store(&k->adopted, other);
        cp_log(CP_LOG_INFO, "master-key-found", "file", k->place.path, NULL);
    }
    (void)pthread_rwlock_unlock(&k->lock);
}

bool keys_ring_seek_master(struct keys_ring *k, bool any)
{
    uint8_t key[KEYS_MASTER_SIZE];
    char fingerprint[DB_DIGEST_SIZE];
    bool found =
        read_file(k, key, NULL) == CP_OK && keys_master_fingerprint(key, fingerprint) == CP_OK;

    if (found) {
        bool right = strcmp(fingerprint, k->missed) == 0;

        found = right || any;
        if (found) {
            take(k, key, !right);
        }
    }
    keys_wipe(key, sizeof key);
    return found;
}

bool keys_ring_has_master(struct keys_ring *k)
{
    struct keys_masters masters;
    bool has;

    keys_ring_masters(k, &masters);
    has = !masters.missing;
    keys_wipe(&masters, sizeof masters);
    return has;
}

bool keys_ring_adopted(const struct keys_ring *k)
{
    return atomic_load(&k->adopted);
}

void keys_ring_settle_adopted(struct keys_ring *k)
{
    atomic_store(&k->adopted, false);
}

void keys_ring_say_missing(const struct keys_ring *k, struct cp_error *err)
{
    uint8_t key[KEYS_MASTER_SIZE];
    enum cp_err rc = read_file(k, key, err);

    keys_wipe(key, sizeof key);
    if (rc == CP_OK) {
        (void)cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                           KEYS_MASTER_MISSING
                           ": %.200s holds another one, which the next check takes, and then makes "
                           "all keys anew. Put the right one there before it, if you have it.",
                           k->place.path);
    } else if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(
            err, CP_ERR_KEY_UNUSABLE,
            KEYS_MASTER_MISSING
            ": neither %.180s nor a credential of systemd is there. Put it back, and "
            "castpointd goes on by itself. If it is lost for good, castpointd "
            "--new-master-key makes another one: what is sealed is then made anew.",
            k->place.path);
    }
}

/* ---- a file that is not as it should be ---- */

/* While nobody changes it. */
static enum cp_err check_file(struct keys_ring *k, struct cp_error *err)
{
    struct keys_masters masters;
    bool same = true;
    enum cp_err rc;

    if (!keys_ring_has_master(k)) {
        keys_ring_say_missing(k, err);
        return CP_ERR_KEY_UNUSABLE;
    }
    if (!keys_ring_has_file(k)) {
        return CP_OK;
    }
    keys_ring_masters(k, &masters);
    rc = keys_master_compare(k->place.path, masters.current, &same, err);
    keys_wipe(&masters, sizeof masters);
    if (rc == CP_OK && !same) {
        return cp_error_set(err, CP_ERR_KEY_UNUSABLE, "master key file %s: it holds another key",
                            k->place.path);
    }
    return rc == CP_ERR_NOT_FOUND ? CP_ERR_KEY_UNUSABLE : rc;
}

enum cp_err keys_ring_check_master(struct keys_ring *k, struct cp_error *err)
{
    enum cp_err rc;

    if (pthread_mutex_trylock(&k->changing) != 0) {
        return CP_OK;
    }
    rc = check_file(k, err);
    (void)pthread_mutex_unlock(&k->changing);
    return rc;
}

struct watch {
    struct keys_ring *k;
    const struct keys_caller *caller;
    struct cp_error finding; /* text "": the file is as it should be */
};

static enum cp_err tell_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct watch *w = arg;
    bool lost = w->finding.text[0] != '\0';
    struct keys_event event = {
        .kind = lost ? "master-key-lost" : "master-key-found",
        .subject = "master key",
        .actor = w->caller->actor,
        .request_id = w->caller->request_id,
        .detail = json_pack("{s:s}", "reason",
                            lost ? w->finding.text : "its file holds the key in use again")};

    return keys_event_write(conn, w->k, &event, err);
}

enum cp_err keys_ring_watch_master(struct keys_ring *k, struct db_pool *db,
                                   const struct keys_caller *caller, struct cp_error *ret_finding,
                                   struct cp_error *err)
{
    struct watch w = {.k = k, .caller = caller, .finding = {.code = CP_OK}};
    enum cp_err rc = CP_OK;

    (void)pthread_mutex_lock(&k->changing);
    w.finding.code = check_file(k, &w.finding);
    if (strcmp(k->told, w.finding.text) != 0) {
        rc = db_run_tx(db, "master-key-file", tell_body, &w, err);
        if (rc == CP_OK) {
            (void)snprintf(k->told, sizeof k->told, "%s", w.finding.text);
        }
        if (w.finding.code != CP_OK) {
            cp_log_error(CP_LOG_ERROR, "master-key-lost", &w.finding);
        } else {
            cp_log(CP_LOG_INFO, "master-key-found", "file", k->place.path, NULL);
        }
    }
    (void)pthread_mutex_unlock(&k->changing);
    *ret_finding = w.finding;
    return rc;
}
