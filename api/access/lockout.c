/* SPDX-License-Identifier: Apache-2.0
 * The table of addresses. A new one takes the place of the oldest that is not locked; a flood of
 * addresses can make us forget, never keep more. Thread-safe by one mutex. */
#include "api/access/lockout.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/access/interface.h"

#define ENTRIES 1024
#define WINDOW  (DB_LOGIN_WINDOW_S * CP_SEC)

struct entry {
    uint8_t address[16];
    uint8_t name_hash[DB_HASH_SIZE]; /* last name that it failed at */
    uint32_t in_a_row;               /* of the failures, the last ones, at that name */
    uint32_t failures;               /* 0: free */
    cp_time since;
    cp_time locked_until; /* 0: not locked */
};

struct api_lockout {
    pthread_mutex_t mutex;
    struct entry entries[ENTRIES];
};

enum cp_err api_lockout_new(struct api_lockout **ret_lockout)
{
    struct api_lockout *l = calloc(1, sizeof *l);

    if (l == NULL || pthread_mutex_init(&l->mutex, NULL) != 0) {
        free(l);
        return CP_ERR_NO_MEMORY;
    }
    *ret_lockout = l;
    return CP_OK;
}

void api_lockout_free(struct api_lockout *l)
{
    if (l != NULL) {
        (void)pthread_mutex_destroy(&l->mutex);
        free(l);
    }
}

/* IPv4 as ::ffff:a.b.c.d, IPv6 without what its owner may choose. What is no address is one of its
 * own. */
static void address_of(const char *remote, uint8_t ret_address[16])
{
    uint32_t v4;

    memset(ret_address, 0, 16);
    if (remote != NULL && api_ipv4_parse(remote, &v4)) {
        ret_address[10] = 0xff;
        ret_address[11] = 0xff;
        for (size_t i = 0; i < 4; i++) {
            ret_address[12 + i] = (uint8_t)(v4 >> (24 - 8 * i));
        }
    } else if (remote != NULL && api_ipv6_parse(remote, ret_address)) {
        memset(ret_address + 8, 0, 8);
    }
}

static struct entry *find(struct api_lockout *l, const uint8_t address[16])
{
    for (size_t i = 0; i < ENTRIES; i++) {
        if (l->entries[i].failures > 0 && memcmp(l->entries[i].address, address, 16) == 0) {
            return &l->entries[i];
        }
    }
    return NULL;
}

static bool is_stale(const struct entry *e, cp_time now)
{
    return e->locked_until != 0 ? e->locked_until <= now : e->since + WINDOW < now;
}

/* Whether a is the better one to forget: free or stale, then not locked, then older. */
static bool goes_before(const struct entry *a, const struct entry *b, cp_time now)
{
    bool free_a = a->failures == 0 || is_stale(a, now);
    bool free_b = b->failures == 0 || is_stale(b, now);

    if (free_a != free_b) {
        return free_a;
    }
    if ((a->locked_until == 0) != (b->locked_until == 0)) {
        return a->locked_until == 0;
    }
    return a->since < b->since;
}

static struct entry *make(struct api_lockout *l, const uint8_t address[16], cp_time now)
{
    struct entry *e = &l->entries[0];

    for (size_t i = 1; i < ENTRIES; i++) {
        if (goes_before(&l->entries[i], e, now)) {
            e = &l->entries[i];
        }
    }
    *e = (struct entry){.since = now};
    memcpy(e->address, address, 16);
    return e;
}

unsigned api_lockout_wait(struct api_lockout *l, const char *remote, cp_time now)
{
    uint8_t address[16];
    const struct entry *e;
    unsigned wait = 0;

    address_of(remote, address);
    (void)pthread_mutex_lock(&l->mutex);
    e = find(l, address);
    if (e != NULL && e->locked_until > now) {
        wait = (unsigned)((e->locked_until - now + CP_SEC - 1) / CP_SEC);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return wait;
}

void api_lockout_failed(struct api_lockout *l, const char *remote,
                        const uint8_t name_hash[DB_HASH_SIZE], const struct db_login_limits *limits,
                        cp_time now)
{
    uint8_t address[16];
    struct entry *e;

    address_of(remote, address);
    (void)pthread_mutex_lock(&l->mutex);
    e = find(l, address);
    if (e == NULL || is_stale(e, now)) {
        e = e != NULL ? e : make(l, address, now);
        e->failures = 0;
        e->in_a_row = 0;
        e->since = now;
        e->locked_until = 0;
    }
    if (memcmp(e->name_hash, name_hash, sizeof e->name_hash) != 0) {
        memcpy(e->name_hash, name_hash, sizeof e->name_hash);
        e->in_a_row = 0;
    }
    e->failures++;
    e->in_a_row++;
    if (e->failures >= limits->failures) {
        e->locked_until = now + limits->lockout_s * CP_SEC;
    }
    (void)pthread_mutex_unlock(&l->mutex);
}

void api_lockout_succeeded(struct api_lockout *l, const char *remote,
                           const uint8_t name_hash[DB_HASH_SIZE])
{
    uint8_t address[16];
    struct entry *e;

    address_of(remote, address);
    (void)pthread_mutex_lock(&l->mutex);
    e = find(l, address);
    if (e != NULL && memcmp(e->name_hash, name_hash, sizeof e->name_hash) == 0) {
        e->failures -= e->in_a_row;
        e->in_a_row = 0;
    }
    (void)pthread_mutex_unlock(&l->mutex);
}

void api_lockout_forget(struct api_lockout *l, const uint8_t name_hash[DB_HASH_SIZE])
{
    (void)pthread_mutex_lock(&l->mutex);
    for (size_t i = 0; i < ENTRIES; i++) {
        if (memcmp(l->entries[i].name_hash, name_hash, DB_HASH_SIZE) == 0) {
            l->entries[i].failures = 0;
        }
    }
    (void)pthread_mutex_unlock(&l->mutex);
}
