/* SPDX-License-Identifier: Apache-2.0
 * A receiver's way to the disk; see sink.h. Touches files; one thread of its own, which meets the
 * receiver's at the queue's lock. */
#include "multicast/io/sink.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/pages.h"

/* Bad chunks that wait for the receiver's thread; when full the sink's thread waits. */
#define BAD_MAX 64u

/* CHUNK_BAD lasts until the block at hand is done with. */
enum chunk_state { CHUNK_OPEN, CHUNK_VERIFIED, CHUNK_BAD, CHUNK_FAILED };

struct bad_blocks {
    uint32_t first;
    uint32_t last;
};

/* Hashes of chunks under way. A chunk has the slot of its number; who comes to a slot in use takes
 * it, and the other begins anew, from the disk, when its turn comes. */
#define RUNNING 64u

struct running {
    bool used;
    uint32_t chunk;
    uint64_t upto; /* content is hashed as far as here */
    struct seal_hash hash;
};

struct io_sink {
    struct norm_partition partition;
    struct io_extents extents;
    uint64_t content_size;
    uint32_t chunk_size;
    uint32_t chunk_count;
    unsigned retry_max;
    uint8_t *digests; /* NULL: no verification */
    const struct fec_code *code;
    struct io_pool *pool;
    int event_fd;
    pthread_t thread;
    bool thread_started;

    /* The sink's thread only. */
    struct seal_cipher *cipher;
    struct fec_workspace *workspace;
    uint8_t *block_data; /* a block's part of a chunk, read back */
    struct running running[RUNNING];
    uint8_t *written; /* one bit per block: all its content is on the disk */
    uint8_t *tries;   /* per chunk: mismatches so far */

    pthread_mutex_t lock;
    pthread_cond_t wake; /* a block was queued, a bad chunk was taken, or stopping */
    /* Below: under the lock. chunk[] is written by the sink's thread only. */
    uint8_t *chunk; /* enum chunk_state */
    uint32_t verified_count;
    struct io_block *head, *tail;
    struct bad_blocks bad[BAD_MAX];
    unsigned bad_at, bad_count;
    struct io_sink_state state;
    bool stopping;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t chunk_begin(const struct io_sink *s, uint32_t chunk)
{
    return (uint64_t)chunk * s->chunk_size;
}

static uint64_t chunk_end(const struct io_sink *s, uint32_t chunk)
{
    return min_u64(s->content_size, chunk_begin(s, chunk) + s->chunk_size);
}

static enum chunk_state chunk_state(struct io_sink *s, uint32_t chunk)
{
    pthread_mutex_lock(&s->lock);
    enum chunk_state state = (enum chunk_state)s->chunk[chunk];
    pthread_mutex_unlock(&s->lock);
    return state;
}

static bool block_written(const struct io_sink *s, uint32_t sbn)
{
    return (((unsigned)s->written[sbn / 8] >> (sbn % 8)) & 1u) != 0;
}

static void block_set_written(struct io_sink *s, uint32_t sbn, bool on)
{
    uint8_t bit = (uint8_t)(1u << (sbn % 8));
    s->written[sbn / 8] = (uint8_t)(on ? s->written[sbn / 8] | bit : s->written[sbn / 8] & ~bit);
}

/* Under the lock. */
static void notify(struct io_sink *s)
{
    uint64_t one = 1;
    ssize_t put = write(s->event_fd, &one, sizeof(one));
    (void)put; /* cannot fail but when the counter is full, and then the fd is readable */
}

static enum cp_err output_error(enum cp_err code)
{
    return code == CP_ERR_STORAGE ? CP_ERR_OUTPUT : code;
}

/* Writes plaintext of content bytes, but never over a verified chunk: a forging member of the
 * group must not be able to spoil what is known to be right. */
static enum cp_err write_content(struct io_sink *s, uint64_t offset, const uint8_t *data,
                                 uint64_t size)
{
    uint64_t end = min_u64(offset + size, s->content_size);

    while (offset < end) {
        uint32_t chunk = (uint32_t)(offset / s->chunk_size);
        uint64_t part_end = min_u64(end, chunk_end(s, chunk));
        size_t part = (size_t)(part_end - offset);
        if (chunk_state(s, chunk) != CHUNK_VERIFIED) {
            CP_TRY(io_extents_write(&s->extents, offset, data, part));
        }
        data += part;
        offset = part_end;
    }
    return CP_OK;
}

static enum cp_err apply_cipher(struct io_sink *s, uint64_t offset, uint8_t *data, size_t size)
{
    return s->cipher == NULL ? CP_OK : seal_cipher_apply(s->cipher, offset, data, size);
}

/* Writes the source symbols of a block that is not whole, run by run; spoils the buffer. */
static enum cp_err spill(struct io_sink *s, struct io_block *b)
{
    const struct norm_partition *p = &s->partition;
    uint16_t esi = 0;

    while (esi < b->block_len) {
        if (b->present[esi] == 0) {
            esi++;
            continue;
        }
        uint16_t first = esi;
        size_t size = 0;
        while (esi < b->block_len && b->present[esi] != 0) {
            size += norm_partition_symbol_size(p, b->sbn, esi);
            esi++;
        }
        uint64_t offset = norm_partition_offset(p, b->sbn, first);
        uint8_t *data = b->data + (size_t)first * p->segment_size;
        CP_TRY(apply_cipher(s, offset, data, size));
        CP_TRY(write_content(s, offset, data, size));
    }
    return CP_OK;
}

/* Reads a spilled symbol back and makes it ciphertext again, for the decoder's sake. */
static enum cp_err unspill(struct io_sink *s, struct io_block *b, uint16_t esi)
{
    const struct norm_partition *p = &s->partition;
    uint8_t *data = b->data + (size_t)esi * p->segment_size;
    uint64_t offset = norm_partition_offset(p, b->sbn, esi);
    size_t size = norm_partition_symbol_size(p, b->sbn, esi);
    size_t content = 0;

    if (offset < s->content_size) {
        content = (size_t)min_u64(size, s->content_size - offset);
        CP_TRY(output_error(io_extents_read(&s->extents, offset, data, content)));
    }
    memset(data + content, 0, p->segment_size - content);
    CP_TRY(apply_cipher(s, offset, data, size));
    b->present[esi] = 1;
    b->source_count++;
    return CP_OK;
}

/* All source symbols of the block, from the disk and from parity. */
static enum cp_err rebuild(struct io_sink *s, struct io_block *b)
{
    if (b->source_count < b->block_len) {
        for (uint16_t esi = 0; esi < b->block_len; esi++) {
            if (b->on_disk[esi] != 0 && b->present[esi] == 0) {
                CP_TRY(unspill(s, b, esi));
            }
        }
    }
    if (b->source_count == b->block_len) {
        return CP_OK;
    }
    uint8_t *symbol[NORM_BLOCK_SYMBOLS_MAX + 1];
    size_t symbols = (size_t)b->block_len + s->partition.num_parity;
    for (size_t i = 0; i < symbols; i++) {
        symbol[i] = b->data + i * s->partition.segment_size;
    }
    return fec_decode(s->code, s->workspace, b->block_len, symbol, b->present,
                      s->partition.segment_size);
}

static void chunk_good(struct io_sink *s, uint32_t chunk)
{
    pthread_mutex_lock(&s->lock);
    s->chunk[chunk] = CHUNK_VERIFIED;
    s->verified_count++;
    s->state.bytes_verified += chunk_end(s, chunk) - chunk_begin(s, chunk);
    s->state.complete = s->verified_count == s->chunk_count;
    pthread_mutex_unlock(&s->lock);
}

static struct bad_blocks chunk_blocks(const struct io_sink *s, uint32_t chunk)
{
    return (struct bad_blocks){
        .first = norm_partition_block_at(&s->partition, chunk_begin(s, chunk)),
        .last = norm_partition_block_at(&s->partition, chunk_end(s, chunk) - 1),
    };
}

/* The chunk's hash; begun when it has none. */
static struct running *running_of(struct io_sink *s, uint32_t chunk)
{
    struct running *r = &s->running[chunk % RUNNING];

    if (!r->used || r->chunk != chunk) {
        *r = (struct running){.used = true, .chunk = chunk, .upto = chunk_begin(s, chunk)};
        seal_hash_init(&r->hash);
    }
    return r;
}

/* The blocks come anew, for every chunk that has a part of one. */
static void forget_running(struct io_sink *s, struct bad_blocks blocks)
{
    uint64_t begin = norm_partition_offset(&s->partition, blocks.first, 0);
    uint64_t last = norm_partition_offset(&s->partition, blocks.last, 0);
    uint64_t end = last + norm_partition_block_size(&s->partition, blocks.last);

    for (struct running *r = s->running; r < s->running + RUNNING; r++) {
        r->used = r->used && (chunk_begin(s, r->chunk) >= end || chunk_end(s, r->chunk) <= begin);
    }
}

/* Asks for the bad chunk again, or gives it up. */
static void report_bad(struct io_sink *s, uint32_t chunk)
{
    struct bad_blocks range = chunk_blocks(s, chunk);
    bool again = s->tries[chunk] < s->retry_max;

    if (again) {
        s->tries[chunk]++;
        for (uint32_t sbn = range.first; sbn <= range.last; sbn++) {
            block_set_written(s, sbn, false);
        }
        forget_running(s, range);
    }
    pthread_mutex_lock(&s->lock);
    s->state.chunks_bad++;
    s->chunk[chunk] = again ? CHUNK_OPEN : CHUNK_FAILED;
    s->state.chunks_failed += !again;
    while (again && s->bad_count == BAD_MAX && !s->stopping) {
        pthread_cond_wait(&s->wake, &s->lock);
    }
    if (again && s->bad_count < BAD_MAX) {
        s->bad[(s->bad_at + s->bad_count) % BAD_MAX] = range;
        s->bad_count++;
    }
    notify(s);
    pthread_mutex_unlock(&s->lock);
}

/* Hashes what is written of the chunk, in order: the block at hand, which still holds its plain
 * content, from memory, and what came before its turn from the disk. */
static enum cp_err hash_written(struct io_sink *s, const struct io_block *b, struct running *r)
{
    uint64_t end = chunk_end(s, r->chunk);

    while (r->upto < end) {
        uint32_t sbn = norm_partition_block_at(&s->partition, r->upto);
        uint64_t begin = norm_partition_offset(&s->partition, sbn, 0);
        uint64_t part_end = min_u64(end, begin + norm_partition_block_size(&s->partition, sbn));
        const uint8_t *data = b->data + (r->upto - begin);
        size_t part = (size_t)(part_end - r->upto);

        if (!block_written(s, sbn)) {
            break;
        }
        if (sbn != b->sbn) {
            CP_TRY(output_error(io_extents_read(&s->extents, r->upto, s->block_data, part)));
            data = s->block_data;
        }
        seal_hash_update(&r->hash, data, part);
        r->upto = part_end;
    }
    return CP_OK;
}

/* Without digests a chunk is good when all its blocks are written. */
static bool all_written(const struct io_sink *s, uint32_t chunk)
{
    struct bad_blocks range = chunk_blocks(s, chunk);

    for (uint32_t sbn = range.first; sbn <= range.last; sbn++) {
        if (!block_written(s, sbn)) {
            return false;
        }
    }
    return true;
}

/* Verifies the chunk when the block completes it. */
static enum cp_err try_chunk(struct io_sink *s, const struct io_block *b, uint32_t chunk)
{
    uint8_t digest[SEAL_DIGEST_SIZE];

    if (chunk_state(s, chunk) != CHUNK_OPEN) {
        return CP_OK;
    }
    if (s->digests == NULL) {
        if (all_written(s, chunk)) {
            chunk_good(s, chunk);
        }
        return CP_OK;
    }
    struct running *r = running_of(s, chunk);
    CP_TRY(hash_written(s, b, r));
    if (r->upto < chunk_end(s, chunk)) {
        return CP_OK;
    }
    r->used = false;
    seal_hash_final(&r->hash, digest);
    if (memcmp(digest, s->digests + (size_t)chunk * SEAL_DIGEST_SIZE, SEAL_DIGEST_SIZE) == 0) {
        chunk_good(s, chunk);
        return CP_OK;
    }
    pthread_mutex_lock(&s->lock);
    s->chunk[chunk] = CHUNK_BAD;
    pthread_mutex_unlock(&s->lock);
    return CP_OK;
}

/* A whole block: content to the disk, then the chunks that it completes. */
static enum cp_err finish_block(struct io_sink *s, struct io_block *b)
{
    uint64_t offset = norm_partition_offset(&s->partition, b->sbn, 0);
    size_t size = norm_partition_block_size(&s->partition, b->sbn);

    CP_TRY(rebuild(s, b));
    CP_TRY(apply_cipher(s, offset, b->data, size));
    CP_TRY(write_content(s, offset, b->data, size));
    block_set_written(s, b->sbn, true);
    uint64_t end = min_u64(offset + size, s->content_size);
    uint32_t first = (uint32_t)(offset / s->chunk_size);
    uint32_t last = (uint32_t)((end - 1) / s->chunk_size);
    for (uint32_t chunk = first; chunk <= last; chunk++) {
        CP_TRY(try_chunk(s, b, chunk));
    }
    /* Only now: a chunk that shares this block with a bad one may be good. */
    for (uint32_t chunk = first; chunk <= last; chunk++) {
        if (chunk_state(s, chunk) == CHUNK_BAD) {
            report_bad(s, chunk);
        }
    }
    return CP_OK;
}

/* The sink's thread. */
static void *run(void *arg)
{
    struct io_sink *s = arg;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct io_block *b = s->head;
        if (b == NULL) {
            if (s->stopping) {
                break;
            }
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        s->head = b->next;
        if (s->head == NULL) {
            s->tail = NULL;
        }
        enum cp_err code = s->state.error;
        pthread_mutex_unlock(&s->lock);

        if (code == CP_OK) {
            code = b->spill ? spill(s, b) : finish_block(s, b);
        }
        io_pool_put(s->pool, b);

        pthread_mutex_lock(&s->lock);
        s->state.pending--;
        s->state.error = code;
        if (code != CP_OK || s->state.pending == 0) {
            notify(s);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static enum cp_err make_tables(struct io_sink *s, const struct io_sink_config *config)
{
    s->written = calloc((size_t)s->partition.block_count / 8 + 1, 1);
    s->tries = calloc(s->chunk_count, 1);
    s->chunk = calloc(s->chunk_count, 1);
    if (s->written == NULL || s->tries == NULL || s->chunk == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    if (config->digests != NULL) {
        s->digests = malloc((size_t)s->chunk_count * SEAL_DIGEST_SIZE);
        s->block_data =
            cp_pages_alloc((size_t)s->partition.max_block_len * s->partition.segment_size);
        if (s->digests == NULL || s->block_data == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        memcpy(s->digests, config->digests, (size_t)s->chunk_count * SEAL_DIGEST_SIZE);
    }
    for (uint32_t i = 0; config->chunks_have != NULL && i < s->chunk_count; i++) {
        if (config->chunks_have[i] != 0) {
            chunk_good(s, i);
        }
    }
    return CP_OK;
}

/* Blocks within chunks had before are written; those that straddle are needed again. */
static void mark_had(struct io_sink *s)
{
    for (uint32_t sbn = 0; sbn < s->partition.block_count; sbn++) {
        if (io_sink_block_had(s, sbn)) {
            block_set_written(s, sbn, true);
        }
    }
}

static enum cp_err start(struct io_sink *s, const struct io_sink_config *config)
{
    uint64_t chunks = (s->content_size + s->chunk_size - 1) / s->chunk_size;

    CP_TRY(io_extents_init(&s->extents, config->extents, config->extent_count));
    if (s->content_size == 0 || s->content_size > s->partition.object_size ||
        s->content_size > s->extents.size || chunks > UINT32_MAX) {
        return CP_ERR_INVALID;
    }
    s->chunk_count = (uint32_t)chunks;
    if ((config->digests != NULL || config->chunks_have != NULL) &&
        config->chunk_count != s->chunk_count) {
        return CP_ERR_INVALID;
    }
    CP_TRY(make_tables(s, config));
    if (config->chunks_have != NULL) {
        mark_had(s);
    }
    CP_TRY(fec_workspace_new(s->code, s->partition.segment_size, &s->workspace));
    if (config->key != NULL) {
        CP_TRY(seal_cipher_new(config->key, &s->cipher));
    }
    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->event_fd < 0 || pthread_create(&s->thread, NULL, run, s) != 0) {
        return CP_ERR_INTERNAL;
    }
    s->thread_started = true;
    return CP_OK;
}

enum cp_err io_sink_new(const struct io_sink_config *config, struct io_sink **ret_sink)
{
    struct io_sink *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    CP_ASSERT(config->chunk_size > 0);
    s->partition = *config->partition;
    s->content_size = config->content_size;
    s->chunk_size = config->chunk_size;
    s->retry_max = config->retry_max;
    s->code = config->code;
    s->pool = config->pool;
    s->event_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    enum cp_err code = start(s, config);
    if (code != CP_OK) {
        io_sink_free(s);
        return code;
    }
    *ret_sink = s;
    return CP_OK;
}

void io_sink_free(struct io_sink *s)
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
    if (s->event_fd >= 0) {
        close(s->event_fd);
    }
    seal_cipher_free(s->cipher);
    fec_workspace_free(s->workspace);
    io_extents_done(&s->extents);
    free(s->block_data);
    free(s->digests);
    free(s->written);
    free(s->tries);
    free(s->chunk);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int io_sink_fd(const struct io_sink *s)
{
    return s->event_fd;
}

void io_sink_submit(struct io_sink *s, struct io_block *b)
{
    CP_ASSERT(!b->filling);
    b->next = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->tail == NULL) {
        s->head = b;
    } else {
        s->tail->next = b;
    }
    s->tail = b;
    s->state.pending++;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

bool io_sink_next_bad(struct io_sink *s, uint32_t *ret_first, uint32_t *ret_last)
{
    pthread_mutex_lock(&s->lock);
    bool found = s->bad_count > 0;
    if (found) {
        *ret_first = s->bad[s->bad_at].first;
        *ret_last = s->bad[s->bad_at].last;
        s->bad_at = (s->bad_at + 1) % BAD_MAX;
        s->bad_count--;
        pthread_cond_signal(&s->wake);
    } else {
        uint64_t count = 0;
        ssize_t got = read(s->event_fd, &count, sizeof(count));
        (void)got; /* EAGAIN: it was clear already */
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

bool io_sink_block_had(struct io_sink *s, uint32_t sbn)
{
    uint64_t at = norm_partition_offset(&s->partition, sbn, 0);
    uint64_t end = min_u64(at + norm_partition_block_size(&s->partition, sbn), s->content_size);

    while (at < end) {
        uint32_t chunk = (uint32_t)(at / s->chunk_size);
        if (chunk_state(s, chunk) != CHUNK_VERIFIED) {
            return false;
        }
        at = chunk_end(s, chunk);
    }
    return true;
}

void io_sink_get_state(struct io_sink *s, struct io_sink_state *ret_state)
{
    pthread_mutex_lock(&s->lock);
    *ret_state = s->state;
    pthread_mutex_unlock(&s->lock);
}

void io_sink_get_chunks(struct io_sink *s, uint8_t *ret_chunks, size_t chunk_count)
{
    memset(ret_chunks, 0, chunk_count);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < chunk_count && i < s->chunk_count; i++) {
        ret_chunks[i] = s->chunk[i] == CHUNK_VERIFIED;
    }
    pthread_mutex_unlock(&s->lock);
}
