/* SPDX-License-Identifier: Apache-2.0
 * The sender's supply of object bytes; see source.h. Touches files; one thread of its own, which
 * meets the sender's at the ring's lock. */
#include "multicast/io/source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/pages.h"

/* A third of the ring stays behind the head, where live repairs fall; two thirds are ahead. */
#define RING_BLOCKS_MIN 4u
#define RING_BLOCKS_MAX 1024u
/* Blocks read on demand that are kept: repairs of one block come in several packets. */
#define CACHE_BLOCKS_MIN 2u
#define CACHE_BLOCKS_MAX 64u
/* The kernel is told this far ahead of the reading thread. */
#define ADVISE_BYTES (4u << 20)

#define SBN_NONE UINT64_MAX

/* A block buffer, of the ring or of the cache. */
struct slot {
    uint8_t *data;
    uint64_t sbn;  /* SBN_NONE: empty */
    uint64_t used; /* cache: when last asked for, in calls */
};

struct io_source {
    struct norm_partition partition;
    struct io_extents extents;
    uint64_t content_size;
    size_t block_bytes; /* max_block_len × segment_size */
    uint8_t *memory;

    struct slot *ring; /* block sbn in slot sbn mod ring_count */
    uint32_t ring_count;
    uint32_t ahead_count;
    struct slot *cache; /* the sender's thread only */
    uint32_t cache_count;
    uint64_t calls;
    struct seal_cipher *cache_cipher; /* the sender's thread only; NULL plain */
    struct seal_cipher *ring_cipher;  /* the reading thread only */

    pthread_t thread;
    bool thread_started;
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* for the reading thread */
    pthread_cond_t ready; /* for the sender */
    /* Below: under the lock; but the thread fills the slot of `next`, which nobody reads
     * meanwhile, without it. */
    uint64_t position; /* furthest block asked for */
    uint64_t next;     /* block that the thread reads next or now */
    enum cp_err error;
    bool stopping;
};

/* Reads and encrypts one block into data. */
static enum cp_err read_block(const struct io_source *s, struct seal_cipher *cipher, uint32_t sbn,
                              uint8_t *data)
{
    uint64_t offset = norm_partition_offset(&s->partition, sbn, 0);
    size_t size = norm_partition_block_size(&s->partition, sbn);
    size_t padded =
        (size_t)norm_partition_block_len(&s->partition, sbn) * s->partition.segment_size;
    size_t content = 0;

    if (offset < s->content_size) {
        uint64_t left = s->content_size - offset;
        content = left < size ? (size_t)left : size;
        CP_TRY(io_extents_read(&s->extents, offset, data, content));
    }
    memset(data + content, 0, padded - content);
    if (cipher != NULL) {
        CP_TRY(seal_cipher_apply(cipher, offset, data, size));
    }
    return CP_OK;
}

/* The reading thread. */
static void *read_ahead(void *arg)
{
    struct io_source *s = arg;
    uint64_t advised = 0;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping && s->error == CP_OK && s->next < s->partition.block_count) {
        if (s->next >= s->position + s->ahead_count) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        uint32_t sbn = (uint32_t)s->next;
        struct slot *slot = &s->ring[sbn % s->ring_count];
        slot->sbn = SBN_NONE;
        pthread_mutex_unlock(&s->lock);

        uint64_t offset = norm_partition_offset(&s->partition, sbn, 0);
        if (offset >= advised) {
            io_extents_will_need(&s->extents, offset, 2 * (uint64_t)ADVISE_BYTES);
            advised = offset + ADVISE_BYTES;
        }
        enum cp_err code = read_block(s, s->ring_cipher, sbn, slot->data);

        pthread_mutex_lock(&s->lock);
        if (code != CP_OK) {
            s->error = code;
        } else if (s->next == sbn) {
            slot->sbn = sbn;
            s->next = (uint64_t)sbn + 1;
        }
        pthread_cond_signal(&s->ready);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static uint32_t clamp_count(size_t count, uint32_t low, uint32_t high)
{
    if (count < low) {
        return low;
    }
    return count > high ? high : (uint32_t)count;
}

static enum cp_err make_buffers(struct io_source *s, size_t memory)
{
    s->block_bytes = (size_t)s->partition.max_block_len * s->partition.segment_size;
    size_t blocks = memory / s->block_bytes;
    s->cache_count = clamp_count(blocks / 5, CACHE_BLOCKS_MIN, CACHE_BLOCKS_MAX);
    size_t rest = blocks > s->cache_count ? blocks - s->cache_count : 0;
    s->ring_count = clamp_count(rest, RING_BLOCKS_MIN, RING_BLOCKS_MAX);
    s->ahead_count = s->ring_count - s->ring_count / 3;

    size_t count = (size_t)s->cache_count + s->ring_count;
    s->memory = cp_pages_alloc(count * s->block_bytes);
    s->ring = calloc(count, sizeof(*s->ring));
    if (s->memory == NULL || s->ring == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    s->cache = s->ring + s->ring_count;
    for (size_t i = 0; i < count; i++) {
        s->ring[i].data = s->memory + i * s->block_bytes;
        s->ring[i].sbn = SBN_NONE;
    }
    return CP_OK;
}

static enum cp_err start(struct io_source *s, const struct io_source_config *config)
{
    CP_TRY(io_extents_init(&s->extents, config->extents, config->extent_count));
    if (s->content_size > s->extents.size || s->content_size > s->partition.object_size) {
        return CP_ERR_INVALID;
    }
    CP_TRY(make_buffers(s, config->memory));
    if (config->key != NULL) {
        CP_TRY(seal_cipher_new(config->key, &s->ring_cipher));
        CP_TRY(seal_cipher_new(config->key, &s->cache_cipher));
    }
    if (pthread_create(&s->thread, NULL, read_ahead, s) != 0) {
        return CP_ERR_INTERNAL;
    }
    s->thread_started = true;
    return CP_OK;
}

enum cp_err io_source_new(const struct io_source_config *config, struct io_source **ret_source)
{
    struct io_source *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    s->partition = *config->partition;
    s->content_size = config->content_size;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->ready, &attr);
    pthread_condattr_destroy(&attr);
    enum cp_err code = start(s, config);
    if (code != CP_OK) {
        io_source_free(s);
        return code;
    }
    *ret_source = s;
    return CP_OK;
}

void io_source_free(struct io_source *s)
{
    if (s == NULL) {
        return;
    }
    if (s->thread_started) {
        pthread_mutex_lock(&s->lock);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    seal_cipher_free(s->ring_cipher);
    seal_cipher_free(s->cache_cipher);
    io_extents_done(&s->extents);
    free(s->ring);
    free(s->memory);
    pthread_cond_destroy(&s->ready);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Under the lock: has the reading thread this block, or will it bring it next? Its slot is not
 * written to as long as `position` stays: that would need next == sbn + ring_count. */
static bool in_window(const struct io_source *s, uint32_t sbn)
{
    uint32_t behind_count = s->ring_count - s->ahead_count;
    return (uint64_t)sbn + behind_count >= s->position && sbn < s->position + s->ahead_count;
}

/* Under the lock: the block's slot when it is there. */
static const struct slot *ring_find(const struct io_source *s, uint32_t sbn)
{
    const struct slot *slot = &s->ring[sbn % s->ring_count];
    return slot->sbn == sbn ? slot : NULL;
}

/* Under the lock: the first pass has come to sbn. */
static void move_to(struct io_source *s, uint32_t sbn)
{
    if (sbn > s->position && sbn < s->position + s->ahead_count) {
        s->position = sbn;
        uint64_t room = sbn + s->ahead_count - s->next;
        if (room > s->ahead_count / 4) { /* a wake-up per block costs more than one for many */
            pthread_cond_signal(&s->wake);
        }
    }
}

bool io_source_ready(struct io_source *s, uint32_t sbn)
{
    return io_source_wait(s, sbn, 0);
}

bool io_source_wait(struct io_source *s, uint32_t sbn, cp_time timeout)
{
    cp_time end = cp_time_add(cp_clock_now(), timeout);
    struct timespec until = {.tv_sec = (time_t)(end / CP_SEC), .tv_nsec = (long)(end % CP_SEC)};

    pthread_mutex_lock(&s->lock);
    bool ready = false;
    for (;;) {
        ready = s->error != CP_OK || !in_window(s, sbn) || ring_find(s, sbn) != NULL;
        if (ready || timeout == 0 || pthread_cond_timedwait(&s->ready, &s->lock, &until) != 0) {
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return ready;
}

/* Reads a block on demand into the least recently used buffer. */
static enum cp_err cache_get(struct io_source *s, uint32_t sbn, const uint8_t **ret_data)
{
    struct slot *oldest = &s->cache[0];

    s->calls++;
    for (uint32_t i = 0; i < s->cache_count; i++) {
        struct slot *slot = &s->cache[i];
        if (slot->sbn == sbn) {
            slot->used = s->calls;
            *ret_data = slot->data;
            return CP_OK;
        }
        if (slot->used < oldest->used) {
            oldest = slot;
        }
    }
    oldest->sbn = SBN_NONE;
    CP_TRY(read_block(s, s->cache_cipher, sbn, oldest->data));
    oldest->sbn = sbn;
    oldest->used = s->calls;
    *ret_data = oldest->data;
    return CP_OK;
}

enum cp_err io_source_get(struct io_source *s, uint32_t sbn, const uint8_t **ret_data)
{
    CP_ASSERT(sbn < s->partition.block_count);
    const uint8_t *data = NULL;

    pthread_mutex_lock(&s->lock);
    move_to(s, sbn);
    while (s->error == CP_OK && in_window(s, sbn)) {
        const struct slot *slot = ring_find(s, sbn);
        if (slot != NULL) {
            data = slot->data;
            break;
        }
        pthread_cond_wait(&s->ready, &s->lock);
    }
    enum cp_err code = s->error;
    pthread_mutex_unlock(&s->lock);

    if (code != CP_OK) {
        return code;
    }
    if (data == NULL) {
        return cache_get(s, sbn, ret_data);
    }
    *ret_data = data;
    return CP_OK;
}
