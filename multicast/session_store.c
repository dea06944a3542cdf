/* SPDX-License-Identifier: Apache-2.0
 * The receiver's side of buffers and disk: symbols into block buffers, whole blocks to the sink,
 * blocks that wait for repair to the disk when buffers run short, bad chunks asked for again. The
 * session's thread. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "multicast/session_receiver.h"

/* A chunk that fails is asked for so often again; then it is left to HTTPS. */
#define CHUNK_RETRY_MAX 2u

/* A share of the pool is kept free for what comes next, by spilling what waits longest. */
#define POOL_RESERVE 8u

static bool spilled(const struct mc_receiver *r, uint32_t sbn)
{
    return (((unsigned)r->spilled[sbn / 8] >> (sbn % 8)) & 1u) != 0;
}

static void set_spilled(struct mc_receiver *r, uint32_t sbn, bool on)
{
    uint8_t bit = (uint8_t)(1u << (sbn % 8));
    r->spilled[sbn / 8] = (uint8_t)(on ? r->spilled[sbn / 8] | bit : r->spilled[sbn / 8] & ~bit);
}

static enum cp_err open_sink(struct mc_receiver *r)
{
    const struct mc_channel *c = &r->config.channel;
    struct seal_content_key key = {0};

    if (c->encrypt) {
        CP_TRY(seal_derive_content_key(c->secret, c->object_id, &key));
    }
    struct io_sink_config config = {
        .partition = &r->partition,
        .content_size = r->content_size,
        .extents = r->extents,
        .extent_count = r->config.extent_count,
        .key = c->encrypt ? &key : NULL,
        .code = r->code,
        .pool = r->pool,
        .chunk_size = MC_CHUNK_SIZE,
        .digests = r->digests,
        .chunk_count = r->config.chunk_count,
        .chunks_have = r->chunks_have,
        .retry_max = CHUNK_RETRY_MAX,
    };
    enum cp_err code = io_sink_new(&config, &r->sink);
    explicit_bzero(&key, sizeof(key));
    return code;
}

enum cp_err mc_store_open(struct mc_receiver *r, const struct norm_partition *p,
                          struct cp_error *err)
{
    uint64_t room = 0;

    r->partition = *p;
    r->content_size =
        r->config.channel.content_size != 0 ? r->config.channel.content_size : p->object_size;
    for (size_t i = 0; i < r->config.extent_count; i++) {
        room += r->extents[i].size;
    }
    if (room < r->content_size) {
        return cp_error_set(err, CP_ERR_OUTPUT_FULL,
                            "the object has %llu bytes, the output only %llu",
                            (unsigned long long)r->content_size, (unsigned long long)room);
    }
    r->spilled = calloc((size_t)p->block_count / 8 + 1, 1);
    r->unrepaired = calloc(p->block_count, 1);
    if (r->spilled == NULL || r->unrepaired == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "session: no memory");
    }
    enum cp_err code = fec_code_new(p->max_block_len, p->num_parity, &r->code);
    if (code == CP_OK) {
        code = io_pool_new(p, mc_buffer_memory(r->config.buffer_memory), &r->pool);
    }
    if (code == CP_OK) {
        code = open_sink(r);
    }
    if (code != CP_OK) {
        return cp_error_set(err, code, "session: the output could not be set up");
    }
    return CP_OK;
}

void mc_store_close(struct mc_receiver *r)
{
    io_sink_free(r->sink);
    io_pool_free(r->pool);
    fec_code_free(r->code);
    free(r->spilled);
    free(r->unrepaired);
}

void mc_store_report_had(struct mc_receiver *r)
{
    for (uint32_t sbn = 0; r->chunks_have != NULL && sbn < r->partition.block_count; sbn++) {
        if (io_sink_block_had(r->sink, sbn)) {
            norm_receiver_block_have(r->core, sbn);
        }
    }
}

/* Source symbols to the disk; parity is given up. */
static void spill(struct mc_receiver *r, struct io_block *b)
{
    if (b->parity_count > 0) {
        norm_receiver_block_forget_parity(r->core, b->sbn);
    }
    io_pool_release(r->pool, b);
    if (b->source_count == 0) {
        io_pool_put(r->pool, b);
        return;
    }
    set_spilled(r, b->sbn, true);
    b->spill = true;
    io_sink_submit(r->sink, b);
}

/* Keeps some buffers free or about to be, unless it is the disk that is behind: spilling would add
 * to that. */
static void keep_reserve(struct mc_receiver *r)
{
    size_t count = io_pool_count(r->pool);
    size_t reserve = count / POOL_RESERVE + 1;
    struct io_sink_state sink;

    if (count == r->partition.block_count) {
        return;
    }
    io_sink_get_state(r->sink, &sink);
    while (io_pool_free_count(r->pool) + sink.pending < reserve && sink.pending < count / 2) {
        struct io_block *victim = io_pool_victim(r->pool);
        if (victim == NULL) {
            break;
        }
        sink.pending += victim->source_count > 0;
        spill(r, victim);
    }
}

/* Blocks that one look at the socket may begin: 64 bundles of 64 KiB, in order. */
#define LOOK_BLOCKS 24u

bool mc_store_has_room(struct mc_receiver *r)
{
    if (r->pool == NULL || io_pool_count(r->pool) == r->partition.block_count) {
        return true;
    }
    size_t count = io_pool_count(r->pool);
    size_t need = count / POOL_RESERVE < LOOK_BLOCKS ? count / POOL_RESERVE : LOOK_BLOCKS;
    cp_time before = cp_clock_now();
    keep_reserve(r);
    bool room = io_pool_free_count(r->pool) > need ||
                (r->wait_left > 0 && io_pool_wait(r->pool, need, r->wait_left));
    cp_time waited = cp_clock_now() - before;
    r->wait_left = waited < r->wait_left ? r->wait_left - waited : 0;
    return room;
}

unsigned mc_store_fill(struct mc_receiver *r)
{
    struct io_sink_state sink;

    if (r->pool == NULL) {
        return 0;
    }
    io_sink_get_state(r->sink, &sink);
    return (unsigned)(sink.pending * 100 / io_pool_count(r->pool));
}

/* A buffer for a block that has none. */
static struct io_block *take_buffer(struct mc_receiver *r, uint32_t sbn)
{
    keep_reserve(r);
    struct io_block *b = io_pool_take(r->pool, sbn);
    if (b == NULL && r->wait_left > 0) {
        cp_time before = cp_clock_now();
        if (io_pool_wait(r->pool, 0, r->wait_left)) {
            b = io_pool_take(r->pool, sbn);
        }
        cp_time waited = cp_clock_now() - before;
        r->wait_left = waited < r->wait_left ? r->wait_left - waited : 0;
    }
    return b;
}

/* The block has k symbols: the sink does the rest. */
static void submit(struct mc_receiver *r, struct io_block *b)
{
    if (spilled(r, b->sbn)) {
        for (uint16_t esi = 0; esi < b->block_len; esi++) {
            b->on_disk[esi] =
                b->present[esi] == 0 && norm_receiver_has_symbol(r->core, b->sbn, esi);
        }
        set_spilled(r, b->sbn, false);
    }
    io_pool_release(r->pool, b);
    io_sink_submit(r->sink, b);
}

/* None of the block is here. */
static void forget(struct mc_receiver *r, uint32_t sbn)
{
    struct io_block *b = io_pool_find(r->pool, sbn);

    if (b != NULL) {
        io_pool_release(r->pool, b);
        io_pool_put(r->pool, b);
    }
    set_spilled(r, sbn, false);
    r->unrepaired[sbn] = 0;
    norm_receiver_block_forget(r->core, sbn);
}

void mc_store_symbol(struct mc_receiver *r, const struct norm_rx *rx)
{
    struct io_block *b = io_pool_find(r->pool, rx->sbn);

    if (b == NULL) {
        b = take_buffer(r, rx->sbn);
    }
    if (b == NULL) { /* the disk is far behind: as good as lost on the way */
        forget(r, rx->sbn);
        return;
    }
    io_pool_store(r->pool, b, rx->esi, rx->payload, rx->payload_size);
    if (rx->esi < b->block_len && !rx->repair) {
        r->unrepaired[rx->sbn]++;
    }
    if ((rx->events & NORM_RX_BLOCK) != 0) {
        uint64_t repaired = (uint64_t)b->block_len - r->unrepaired[rx->sbn];
        r->symbol_bytes += (uint64_t)b->block_len * r->partition.segment_size;
        r->repair_bytes += repaired * r->partition.segment_size;
        submit(r, b);
    }
}

/* Everything that is not complete is gone. */
void mc_store_restart(struct mc_receiver *r)
{
    if (r->pool == NULL) {
        return;
    }
    io_pool_reset(r->pool);
    memset(r->spilled, 0, (size_t)r->partition.block_count / 8 + 1);
    memset(r->unrepaired, 0, r->partition.block_count);
}

void mc_store_poll(struct mc_receiver *r)
{
    uint32_t first = 0;
    uint32_t last = 0;
    struct io_sink_state sink;

    if (r->sink == NULL) {
        return;
    }
    /* In this order: the sink reports a bad chunk before it counts the block as done. */
    io_sink_get_state(r->sink, &sink);
    while (io_sink_next_bad(r->sink, &first, &last)) {
        for (uint32_t sbn = first; sbn <= last; sbn++) {
            forget(r, sbn);
        }
    }
    r->settled = sink.pending == 0 && sink.error == CP_OK && norm_receiver_complete(r->core);
}
