/* SPDX-License-Identifier: Apache-2.0
 * Bounded table of keyed hashes with a time to live. Passwords are not kept, only SHA-256 over a
 * random key of this process, the verifier and the password. Thread-safe by one mutex. */
#include "api/access/authcache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "content/sha256.h"
#include "keys/credentials.h"

#define CACHE_ENTRIES 64
#define CACHE_TTL     (60 * CP_SEC)
#define WRONG_ENTRIES 256
#define WRONG_TTL     (900 * CP_SEC) /* as long as failures are counted: DB_LOGIN_WINDOW_S */
#define CHECKS_MAX    2
/* Who waits holds a thread that serves others, too: strangers' guesses must not take them all. */
#define WAITING_MAX 2

struct entry {
    uint8_t key[CONTENT_DIGEST_SIZE];
    cp_time until; /* 0: free */
};

struct api_auth_cache {
    pthread_mutex_t mutex;
    pthread_cond_t left;
    int checks, waiting;
    uint8_t salt[32];
    struct entry entries[CACHE_ENTRIES];
    struct entry wrong[WRONG_ENTRIES];
};

enum cp_err api_auth_cache_new(struct api_auth_cache **ret_cache)
{
    struct api_auth_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    if (keys_random(cache->salt, sizeof cache->salt) != CP_OK) {
        free(cache);
        return CP_ERR_INTERNAL;
    }
    if (pthread_mutex_init(&cache->mutex, NULL) != 0) {
        free(cache);
        return CP_ERR_NO_MEMORY;
    }
    if (pthread_cond_init(&cache->left, NULL) != 0) {
        (void)pthread_mutex_destroy(&cache->mutex);
        free(cache);
        return CP_ERR_NO_MEMORY;
    }
    *ret_cache = cache;
    return CP_OK;
}

void api_auth_cache_free(struct api_auth_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    (void)pthread_cond_destroy(&cache->left);
    (void)pthread_mutex_destroy(&cache->mutex);
    keys_wipe(cache, sizeof *cache);
    free(cache);
}

/* name is "" for a right password: the verifier's salt says whose it is. */
static bool make_key(const struct api_auth_cache *cache, const char *name, const char *verifier,
                     const char *password, uint8_t ret_key[CONTENT_DIGEST_SIZE])
{
    struct content_sha256 *hash;

    if (content_sha256_new(&hash) != CP_OK) {
        return false;
    }
    content_sha256_add(hash, cache->salt, sizeof cache->salt);
    content_sha256_add(hash, name, strlen(name) + 1);
    content_sha256_add(hash, verifier, strlen(verifier) + 1);
    content_sha256_add(hash, password, strlen(password));
    content_sha256_finish(hash, ret_key);
    content_sha256_free(hash);
    return true;
}

static bool has(struct api_auth_cache *cache, const struct entry *entries, size_t count,
                const uint8_t key[CONTENT_DIGEST_SIZE])
{
    cp_time now = cp_clock_now();
    bool found = false;

    (void)pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < count; i++) {
        found |=
            entries[i].until > now && keys_equal_secret(entries[i].key, key, CONTENT_DIGEST_SIZE);
    }
    (void)pthread_mutex_unlock(&cache->mutex);
    return found;
}

static void put(struct api_auth_cache *cache, struct entry *entries, size_t count,
                const struct entry *entry)
{
    size_t oldest = 0;

    (void)pthread_mutex_lock(&cache->mutex);
    for (size_t i = 1; i < count; i++) {
        if (entries[i].until < entries[oldest].until) {
            oldest = i;
        }
    }
    entries[oldest] = *entry;
    (void)pthread_mutex_unlock(&cache->mutex);
}

bool api_auth_cache_has(struct api_auth_cache *cache, const char *verifier, const char *password)
{
    uint8_t key[CONTENT_DIGEST_SIZE];

    return make_key(cache, "", verifier, password, key) &&
           has(cache, cache->entries, CACHE_ENTRIES, key);
}

void api_auth_cache_put(struct api_auth_cache *cache, const char *verifier, const char *password)
{
    struct entry entry = {.until = cp_clock_now() + CACHE_TTL};

    if (make_key(cache, "", verifier, password, entry.key)) {
        put(cache, cache->entries, CACHE_ENTRIES, &entry);
    }
}

bool api_auth_cache_has_wrong(struct api_auth_cache *cache, const char *name, const char *verifier,
                              const char *password)
{
    uint8_t key[CONTENT_DIGEST_SIZE];

    return make_key(cache, name, verifier, password, key) &&
           has(cache, cache->wrong, WRONG_ENTRIES, key);
}

void api_auth_cache_put_wrong(struct api_auth_cache *cache, const char *name, const char *verifier,
                              const char *password)
{
    struct entry entry = {.until = cp_clock_now() + WRONG_TTL};

    if (make_key(cache, name, verifier, password, entry.key)) {
        put(cache, cache->wrong, WRONG_ENTRIES, &entry);
    }
}

bool api_auth_cache_enter(struct api_auth_cache *cache)
{
    bool enters = true;

    (void)pthread_mutex_lock(&cache->mutex);
    if (cache->checks >= CHECKS_MAX && cache->waiting >= WAITING_MAX) {
        enters = false;
    } else {
        cache->waiting++;
        while (cache->checks >= CHECKS_MAX) {
            (void)pthread_cond_wait(&cache->left, &cache->mutex);
        }
        cache->waiting--;
        cache->checks++;
    }
    (void)pthread_mutex_unlock(&cache->mutex);
    return enters;
}

void api_auth_cache_leave(struct api_auth_cache *cache)
{
    (void)pthread_mutex_lock(&cache->mutex);
    cache->checks--;
    (void)pthread_cond_signal(&cache->left);
    (void)pthread_mutex_unlock(&cache->mutex);
}
