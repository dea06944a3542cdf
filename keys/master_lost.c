/* SPDX-License-Identifier: Apache-2.0
 * A master key that is not where it should be. Its file was not there at the start: nothing is
 * sealed or opened, made or thrown away until the right key is back, or somebody made another one.
 * Or something became of the file while castpointd works with the key. Touches the file. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "keys/check.h"
#include "keys/keyring_private.h"
#include "keys/master_file.h"

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
