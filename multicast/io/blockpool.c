/* SPDX-License-Identifier: Apache-2.0
 * A receiver's store of symbols; see blockpool.h. */
#include "multicast/io/blockpool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/pages.h"

#define POOL_BLOCKS_MIN 4u
#define POOL_BLOCKS_MAX 4096u

/* Blocks begin on pages, as the files that they go to: see common/pages.h. */
#define PAGE 4096u

struct io_pool {
    struct norm_partition partition;
    struct io_block *block;
    size_t count;
    uint8_t *memory;
    uint64_t stores;
    struct io_block *last; /* found last: symbols come block after block */

    pthread_mutex_t lock;
    pthread_cond_t returned;    /* a buffer came back */
    struct io_block *free_list; /* under the lock, as the count */
    size_t free_count;
};

static enum cp_err make_blocks(struct io_pool *p, size_t memory)
{
    size_t symbols = (size_t)p->partition.max_block_len + p->partition.num_parity;
    size_t bytes = symbols * p->partition.segment_size;
    size_t count = memory / bytes;

    count = count < POOL_BLOCKS_MIN ? POOL_BLOCKS_MIN : count;
    count = count > POOL_BLOCKS_MAX ? POOL_BLOCKS_MAX : count;
    if (count > p->partition.block_count) { /* small objects need no more */
        count = p->partition.block_count;
    }
    bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    p->memory = cp_pages_alloc(count * bytes);
    p->block = calloc(count, sizeof(*p->block));
    if (p->memory == NULL || p->block == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    p->count = count;
    for (size_t i = count; i > 0; i--) {
        struct io_block *b = &p->block[i - 1];
        b->data = p->memory + (i - 1) * bytes;
        b->next = p->free_list;
        p->free_list = b;
    }
    p->free_count = count;
    return CP_OK;
}

enum cp_err io_pool_new(const struct norm_partition *partition, size_t memory,
                        struct io_pool **ret_pool)
{
    struct io_pool *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    p->partition = *partition;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->returned, &attr);
    pthread_condattr_destroy(&attr);
    enum cp_err code = make_blocks(p, memory);
    if (code != CP_OK) {
        io_pool_free(p);
        return code;
    }
    *ret_pool = p;
    return CP_OK;
}

void io_pool_free(struct io_pool *p)
{
    if (p == NULL) {
        return;
    }
    pthread_cond_destroy(&p->returned);
    pthread_mutex_destroy(&p->lock);
    free(p->block);
    free(p->memory);
    free(p);
}

size_t io_pool_count(const struct io_pool *p)
{
    return p->count;
}

size_t io_pool_free_count(struct io_pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t count = p->free_count;
    pthread_mutex_unlock(&p->lock);
    return count;
}

bool io_pool_wait(struct io_pool *p, size_t more_than, cp_time timeout)
{
    cp_time end = cp_time_add(cp_clock_now(), timeout);
    struct timespec until = {.tv_sec = (time_t)(end / CP_SEC), .tv_nsec = (long)(end % CP_SEC)};

    pthread_mutex_lock(&p->lock);
    while (p->free_count <= more_than &&
           pthread_cond_timedwait(&p->returned, &p->lock, &until) == 0) {
    }
    bool found = p->free_count > more_than;
    pthread_mutex_unlock(&p->lock);
    return found;
}

struct io_block *io_pool_find(struct io_pool *p, uint32_t sbn)
{
    if (p->last != NULL && p->last->filling && p->last->sbn == sbn) {
        return p->last;
    }
    for (size_t i = 0; i < p->count; i++) {
        struct io_block *b = &p->block[i];
        if (b->filling && b->sbn == sbn) {
            p->last = b;
            return b;
        }
    }
    return NULL;
}

struct io_block *io_pool_take(struct io_pool *p, uint32_t sbn)
{
    pthread_mutex_lock(&p->lock);
    struct io_block *b = p->free_list;
    if (b != NULL) {
        p->free_list = b->next;
        p->free_count--;
    }
    pthread_mutex_unlock(&p->lock);
    if (b == NULL) {
        return NULL;
    }
    memset(b->present, 0, sizeof(b->present));
    memset(b->on_disk, 0, sizeof(b->on_disk));
    b->sbn = sbn;
    b->block_len = norm_partition_block_len(&p->partition, sbn);
    b->source_count = 0;
    b->parity_count = 0;
    b->spill = false;
    b->filling = true;
    b->touched = p->stores;
    b->next = NULL;
    p->last = b;
    return b;
}

struct io_block *io_pool_victim(struct io_pool *p)
{
    struct io_block *victim = NULL;

    for (size_t i = 0; i < p->count; i++) {
        struct io_block *b = &p->block[i];
        if (b->filling && (victim == NULL || b->touched < victim->touched)) {
            victim = b;
        }
    }
    return victim;
}

void io_pool_store(struct io_pool *p, struct io_block *b, uint16_t esi, const uint8_t *data,
                   size_t size)
{
    size_t segment = p->partition.segment_size;

    CP_ASSERT(b->filling && size <= segment && esi < b->block_len + p->partition.num_parity);
    if (b->present[esi] != 0) {
        return;
    }
    uint8_t *symbol = b->data + (size_t)esi * segment;
    memcpy(symbol, data, size);
    memset(symbol + size, 0, segment - size);
    b->present[esi] = 1;
    if (esi < b->block_len) {
        b->source_count++;
    } else {
        b->parity_count++;
    }
    b->touched = ++p->stores;
}

void io_pool_release(struct io_pool *p, struct io_block *b)
{
    b->filling = false;
    if (p->last == b) {
        p->last = NULL;
    }
}

void io_pool_put(struct io_pool *p, struct io_block *b)
{
    pthread_mutex_lock(&p->lock);
    b->next = p->free_list;
    p->free_list = b;
    p->free_count++;
    pthread_cond_signal(&p->returned);
    pthread_mutex_unlock(&p->lock);
}

void io_pool_reset(struct io_pool *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->block[i].filling) {
            io_pool_release(p, &p->block[i]);
            io_pool_put(p, &p->block[i]);
        }
    }
}
