/* SPDX-License-Identifier: Apache-2.0
 * What a keyring seals and opens: session secrets, and other secrets of the database. Touches the
 * database through the connection it is given; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/event_json.h"
#include "db/sealed.h"
#include "keys/keyring_private.h"

#define SECRET_SIZE  32u
#define PURPOSE_SIZE 64
#define PAGE         32

enum cp_err keys_ring_new(const uint8_t *master_key, const char *node_id,
                          struct keys_ring **ret_keyring)
{
    struct keys_ring *k = calloc(1, sizeof *k);

    if (k == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    CP_ASSERT(strlen(node_id) < sizeof k->node_id);
    if (pthread_mutex_init(&k->changing, NULL) != 0) {
        free(k);
        return CP_ERR_NO_MEMORY;
    }
    if (pthread_rwlock_init(&k->lock, NULL) != 0) {
        (void)pthread_mutex_destroy(&k->changing);
        free(k);
        return CP_ERR_NO_MEMORY;
    }
    memcpy(k->masters.current, master_key, sizeof k->masters.current);
    (void)snprintf(k->node_id, sizeof k->node_id, "%s", node_id);
    *ret_keyring = k;
    return CP_OK;
}

void keys_ring_free(struct keys_ring *k)
{
    if (k != NULL) {
        (void)pthread_rwlock_destroy(&k->lock);
        (void)pthread_mutex_destroy(&k->changing);
        keys_wipe(k, sizeof *k);
        free(k);
    }
}

void keys_ring_masters(struct keys_ring *k, struct keys_masters *ret_masters)
{
    (void)pthread_rwlock_rdlock(&k->lock);
    *ret_masters = k->masters;
    (void)pthread_rwlock_unlock(&k->lock);
    if (ret_masters->missing && keys_ring_seek_master(k, false)) {
        (void)pthread_rwlock_rdlock(&k->lock);
        *ret_masters = k->masters;
        (void)pthread_rwlock_unlock(&k->lock);
    }
}

enum cp_err keys_event_write(struct db_conn *conn, const struct keys_ring *k,
                             const struct keys_event *event, struct cp_error *err)
{
    struct db_event *row = calloc(1, sizeof *row);
    enum cp_err rc;

    if (row == NULL) {
        json_decref(event->detail);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "event of a key");
    }
    (void)snprintf(row->node_id, sizeof row->node_id, "%s", k->node_id);
    (void)snprintf(row->kind, sizeof row->kind, "%s", event->kind);
    (void)snprintf(row->subject, sizeof row->subject, "%s", event->subject);
    (void)snprintf(row->actor, sizeof row->actor, "%s", event->actor);
    (void)snprintf(row->request_id, sizeof row->request_id, "%s",
                   event->request_id != NULL ? event->request_id : "");
    rc = db_event_set_detail(row, event->detail)
             ? db_event_add(conn, row, err)
             : cp_error_set(err, CP_ERR_NO_MEMORY, "event of a key");
    free(row);
    return rc;
}

/* ---- sealing ---- */

enum cp_err keys_ring_seal(struct keys_ring *k, const char *purpose, const void *data, size_t size,
                           uint8_t *ret_sealed, size_t *ret_sealed_size)
{
    struct keys_masters masters;
    enum cp_err rc;

    keys_ring_masters(k, &masters);
    rc = masters.missing
             ? keys_ring_missing(NULL)
             : keys_seal(masters.current, purpose, data, size, ret_sealed, ret_sealed_size);
    keys_wipe(&masters, sizeof masters);
    return rc;
}

enum cp_err keys_ring_unseal(struct keys_ring *k, const char *purpose, struct keys_sealed sealed,
                             void *ret_data, size_t cap, size_t *ret_size)
{
    struct keys_masters masters;
    enum cp_err rc;

    keys_ring_masters(k, &masters);
    rc = masters.missing ? keys_ring_missing(NULL)
                         : keys_unseal(masters.current, purpose, sealed, ret_data, cap, ret_size);
    if (rc == CP_ERR_SIGNATURE && masters.has_other) {
        rc = keys_unseal(masters.other, purpose, sealed, ret_data, cap, ret_size);
    }
    keys_wipe(&masters, sizeof masters);
    return rc;
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
        rc = keys_ring_seal(k, purpose, secret, sizeof secret, ret_sealed, ret_sealed_size);
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
    rc = keys_ring_unseal(k, purpose, (struct keys_sealed){sealed, sealed_size}, secret,
                          sizeof secret, &size);
    if (rc == CP_OK && size == sizeof secret) {
        memcpy(ret_secret, secret, sizeof secret);
    } else if (rc == CP_ERR_KEY_UNUSABLE) {
        rc = keys_ring_missing(err);
    } else {
        rc = cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                          "the secret of session %s is damaged or was sealed under another master "
                          "key: cancel the session, the next join starts a new one",
                          session_id);
    }
    keys_wipe(secret, sizeof secret);
    return rc;
}

enum cp_err keys_ring_session_rekey(struct keys_ring *k, struct db_conn *conn,
                                    const char *session_id, const char *reason,
                                    const char *request_id, struct cp_error *err)
{
    struct keys_event event = {.kind = "session-rekeyed", .actor = "", .request_id = request_id};
    uint8_t sealed[DB_SEALED_SIZE];
    char subject[DB_TEXT_SIZE];
    size_t size = 0;

    CP_TRY(keys_ring_secret_new(k, session_id, sealed, &size, err));
    CP_TRY(db_sealed_session_rekey(conn, session_id, sealed, size, err));
    (void)snprintf(subject, sizeof subject, "session %s", session_id);
    event.subject = subject;
    event.detail = json_pack("{s:s}", "reason", reason);
    return keys_event_write(conn, k, &event, err);
}

static void count_secret(struct keys_ring *k, const struct db_session_secret *s,
                         struct keys_secrets *counts)
{
    uint8_t secret[SECRET_SIZE];

    counts->waiting += s->waiting;
    counts->running += !s->waiting;
    if (keys_ring_secret_open(k, s->session_id, s->sealed, s->sealed_size, secret, NULL) != CP_OK) {
        counts->unusable++;
    }
    keys_wipe(secret, sizeof secret);
}

enum cp_err keys_ring_secrets(struct keys_ring *k, struct db_conn *conn, const char *node_id,
                              struct keys_secrets *ret_secrets, struct cp_error *err)
{
    struct keys_secrets counts = {.waiting = 0};
    struct db_session_secret page[PAGE];
    char after[DB_ID_SIZE] = "";
    size_t count = PAGE;

    while (count == PAGE) {
        CP_TRY(db_session_secrets(conn, node_id, after, PAGE, page, &count, err));
        for (size_t i = 0; i < count; i++) {
            count_secret(k, &page[i], &counts);
            memcpy(after, page[i].session_id, sizeof after);
        }
    }
    *ret_secrets = counts;
    return CP_OK;
}
