/* SPDX-License-Identifier: Apache-2.0
 * Buckets of requests: shards with a lock each, of sets of a few places each. Thread-safe. */
#include "api/framework/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "keys/credentials.h"

#define SHARDS 16u
#define SETS   256u /* of each shard */
#define PLACES 4u   /* of each set: 16,384 names in all */

#define BURST_SHARE 6u /* of a minute's requests: ten seconds of them at once */
#define BURST_MIN   20u

/* full_at: when the bucket is full again; it holds a token less for each interval until then. */
struct place {
    uint64_t name; /* its hash; 0: free */
    cp_time full_at;
};

struct shard {
    pthread_mutex_t lock;
    struct place places[SETS][PLACES];
};

struct api_limit {
    uint64_t seed; /* so that nobody can choose names that meet in one place */
    struct shard shards[SHARDS];
};

enum cp_err api_limit_new(struct api_limit **ret_limit)
{
    struct api_limit *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    if (keys_random(&l->seed, sizeof l->seed) != CP_OK) {
        free(l);
        return CP_ERR_INTERNAL;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_init(&l->shards[i].lock, NULL);
    }
    *ret_limit = l;
    return CP_OK;
}

void api_limit_free(struct api_limit *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_destroy(&l->shards[i].lock);
    }
    free(l);
}

/* FNV-1a from a secret start, then the finalizer of MurmurHash3. Never 0. */
static uint64_t hash(uint64_t seed, const char *name)
{
    uint64_t h = seed ^ 0xcbf29ce484222325u;

    for (; *name != '\0'; name++) {
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    }
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 33;
    return h != 0 ? h : 1;
}

/* The name's place, else the one of its set that is full the soonest, which is taken over. */
static struct place *find(struct shard *shard, uint64_t name, cp_time now)
{
    struct place *set = shard->places[(name >> 8) % SETS];
    struct place *chosen = &set[0];

    for (size_t i = 0; i < PLACES; i++) {
        if (set[i].name == name) {
            return &set[i];
        }
        if (set[i].full_at < chosen->full_at) {
            chosen = &set[i];
        }
    }
    *chosen = (struct place){.name = name, .full_at = now};
    return chosen;
}

bool api_limit_take(struct api_limit *l, const char *name, uint32_t per_minute, cp_time now,
                    uint32_t *ret_wait_s)
{
    uint64_t hashed = hash(l->seed, name);
    struct shard *shard = &l->shards[hashed % SHARDS];
    uint32_t burst = per_minute / BURST_SHARE > BURST_MIN ? per_minute / BURST_SHARE : BURST_MIN;
    struct place *place;
    cp_time interval, room, missing;

    if (per_minute == 0) {
        return true;
    }
    interval = 60 * CP_SEC / per_minute;
    room = interval * (burst - 1); /* the last token is the one that this request takes */
    (void)pthread_mutex_lock(&shard->lock);
    place = find(shard, hashed, now);
    missing = place->full_at > now ? place->full_at - now : 0;
    if (missing <= room) {
        place->full_at = now + missing + interval;
    }
    (void)pthread_mutex_unlock(&shard->lock);
    if (missing <= room) {
        return true;
    }
    *ret_wait_s = (uint32_t)((missing - room + CP_SEC - 1) / CP_SEC);
    return false;
}

/* A name that was forgotten meanwhile comes back full. */
void api_limit_give(struct api_limit *l, const char *name, uint32_t per_minute, cp_time now)
{
    uint64_t hashed = hash(l->seed, name);
    struct shard *shard = &l->shards[hashed % SHARDS];
    struct place *place;
    cp_time interval;

    if (per_minute == 0) {
        return;
    }
    interval = 60 * CP_SEC / per_minute;
    (void)pthread_mutex_lock(&shard->lock);
    place = find(shard, hashed, now);
    place->full_at = place->full_at > now + interval ? place->full_at - interval : now;
    (void)pthread_mutex_unlock(&shard->lock);
}
