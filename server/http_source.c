/* SPDX-License-Identifier: Apache-2.0
 * A hash table of the addresses that have something, under one lock. */
#include "server/http_source.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS  1024u /* many enough: a chain is as long as connections / this */
#define KEY_SIZE 16
/* Of the memory for bodies, one address may have this part. */
#define SHARE 4u

struct srv_source {
    struct srv_sources *sources;
    struct srv_source *next;
    uint8_t key[KEY_SIZE];
    unsigned connections;
    size_t bodies;
};

struct srv_sources {
    struct srv_sources_config config;
    pthread_mutex_t lock;
    size_t bodies;
    struct srv_source *buckets[BUCKETS];
};

enum cp_err srv_sources_new(const struct srv_sources_config *config,
                            struct srv_sources **ret_sources, struct cp_error *err)
{
    struct srv_sources *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the list of addresses.");
    }
    s->config = *config;
    (void)pthread_mutex_init(&s->lock, NULL);
    *ret_sources = s;
    return CP_OK;
}

void srv_sources_free(struct srv_sources *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        CP_ASSERT(s->buckets[i] == NULL);
    }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* One customer has a /64 of IPv6, and could take another address of it for each connection. */
static void make_key(const struct sockaddr *address, uint8_t ret_key[KEY_SIZE])
{
    memset(ret_key, 0, KEY_SIZE);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;

        memset(ret_key + 10, 0xff, 2);
        memcpy(ret_key + 12, &v4->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

        memcpy(ret_key, v6->s6_addr, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
    }
}

/* Where the source of that key is linked, or would be: *…  is NULL then. FNV-1a. */
static struct srv_source **find(struct srv_sources *s, const uint8_t key[KEY_SIZE])
{
    uint32_t hash = 2166136261u;
    struct srv_source **at;

    for (size_t i = 0; i < KEY_SIZE; i++) {
        hash = (hash ^ key[i]) * 16777619u;
    }
    at = &s->buckets[hash % BUCKETS];
    while (*at != NULL && memcmp((*at)->key, key, KEY_SIZE) != 0) {
        at = &(*at)->next;
    }
    return at;
}

/* With the lock held. */
static void forget_if_empty(struct srv_source *source)
{
    struct srv_source **at;

    if (source->connections == 0 && source->bodies == 0) {
        at = find(source->sources, source->key);
        *at = source->next;
        free(source);
    }
}

bool srv_source_overrun(struct srv_sources *s, const struct sockaddr *address)
{
    const struct srv_source *source;
    uint8_t key[KEY_SIZE];
    bool overrun;

    make_key(address, key);
    (void)pthread_mutex_lock(&s->lock);
    source = *find(s, key);
    overrun = source != NULL && source->connections >= s->config.connections + s->config.surplus;
    (void)pthread_mutex_unlock(&s->lock);
    return overrun;
}

struct srv_source *srv_source_enter(struct srv_sources *s, const struct sockaddr *address,
                                    bool *ret_surplus)
{
    struct srv_source *source;
    struct srv_source **at;
    uint8_t key[KEY_SIZE];

    make_key(address, key);
    (void)pthread_mutex_lock(&s->lock);
    at = find(s, key);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL) {
            (*at)->sources = s;
            memcpy((*at)->key, key, KEY_SIZE);
        }
    }
    source = *at;
    if (source != NULL) {
        *ret_surplus = source->connections >= s->config.connections;
        source->connections++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return source;
}

void srv_source_leave(struct srv_source *source)
{
    if (source != NULL) {
        struct srv_sources *s = source->sources;

        (void)pthread_mutex_lock(&s->lock);
        source->connections--;
        forget_if_empty(source);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

bool srv_source_take(struct srv_source *source, size_t size)
{
    struct srv_sources *s = source == NULL ? NULL : source->sources;
    bool good;

    if (s == NULL) {
        return true;
    }
    (void)pthread_mutex_lock(&s->lock);
    good = size <= s->config.bodies / SHARE && source->bodies <= s->config.bodies / SHARE - size &&
           s->bodies <= s->config.bodies - size;
    if (good) {
        source->bodies += size;
        s->bodies += size;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return good;
}

void srv_source_give(struct srv_source *source, size_t size)
{
    if (source != NULL && size > 0) {
        struct srv_sources *s = source->sources;

        (void)pthread_mutex_lock(&s->lock);
        source->bodies -= size;
        s->bodies -= size;
        forget_if_empty(source);
        (void)pthread_mutex_unlock(&s->lock);
    }
}
