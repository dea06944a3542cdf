/* SPDX-License-Identifier: Apache-2.0
 * An object in memory for norm_peer. Touches files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "multicast/norm/block.h"
#include "tests/interop/norm_peer.h"

static uint8_t *at(const struct content *c, uint32_t sbn, unsigned esi)
{
    return c->symbol + ((size_t)sbn * c->slots + esi) * c->part.segment_size;
}

bool content_open(struct content *c, const struct norm_partition *part)
{
    *c = (struct content){.part = *part};
    c->slots = (unsigned)part->max_block_len + part->num_parity;
    c->symbol = calloc((size_t)part->block_count * c->slots, part->segment_size);
    c->present = calloc(part->block_count, c->slots);
    return c->symbol != NULL && c->present != NULL &&
           fec_code_new(part->max_block_len, part->num_parity, &c->code) == CP_OK &&
           fec_workspace_new(c->code, part->segment_size, &c->workspace) == CP_OK;
}

void content_close(struct content *c)
{
    fec_workspace_free(c->workspace);
    fec_code_free(c->code);
    free(c->symbol);
    free(c->present);
    *c = (struct content){0};
}

/* Parity rows first … first + count - 1 of a block. */
static void make_parity(const struct content *c, uint32_t sbn, uint16_t first, uint16_t count,
                        uint8_t *const *parity)
{
    const uint8_t *source[NORM_BLOCK_SYMBOLS_MAX];
    uint16_t k = norm_partition_block_len(&c->part, sbn);

    for (uint16_t i = 0; i < k; i++) {
        source[i] = at(c, sbn, i);
    }
    fec_encode(c->code, k, source, c->part.segment_size, first, count, parity);
}

static void make_all_parity(struct content *c, uint32_t sbn)
{
    uint8_t *parity[NORM_BLOCK_SYMBOLS_MAX];

    for (uint16_t i = 0; i < c->part.num_parity; i++) {
        parity[i] = at(c, sbn, (unsigned)norm_partition_block_len(&c->part, sbn) + i);
    }
    make_parity(c, sbn, 0, c->part.num_parity, parity);
}

bool content_load(struct content *c, const char *path)
{
    FILE *f = fopen(path, "rb");
    bool ok = f != NULL;

    for (uint32_t sbn = 0; ok && sbn < c->part.block_count; sbn++) {
        size_t size = norm_partition_block_size(&c->part, sbn);

        ok = fread(at(c, sbn, 0), 1, size, f) == size;
        if (c->part.num_parity > 0) {
            make_all_parity(c, sbn);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return ok;
}

bool content_save(const struct content *c, const char *path)
{
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL;

    for (uint32_t sbn = 0; ok && sbn < c->part.block_count; sbn++) {
        size_t size = norm_partition_block_size(&c->part, sbn);

        ok = fwrite(at(c, sbn, 0), 1, size, f) == size;
    }
    return f != NULL && fclose(f) == 0 && ok;
}

const uint8_t *content_symbol(const struct content *c, uint32_t sbn, uint16_t esi)
{
    return at(c, sbn, esi);
}

void content_put(struct content *c, uint32_t sbn, uint16_t esi, const uint8_t *data, size_t size)
{
    memcpy(at(c, sbn, esi), data, size);
    c->present[(size_t)sbn * c->slots + esi] = 1;
}

void content_check_parity(const struct content *c, unsigned *ret_count, unsigned *ret_wrong)
{
    uint8_t ours[PACKET_SIZE];
    uint8_t *const row = ours;

    *ret_count = *ret_wrong = 0;
    for (uint32_t sbn = 0; sbn < c->part.block_count; sbn++) {
        unsigned k = norm_partition_block_len(&c->part, sbn);

        for (uint16_t i = 0; i < c->part.num_parity; i++) {
            if (c->present[(size_t)sbn * c->slots + k + i] == 0) {
                continue;
            }
            make_parity(c, sbn, i, 1, &row);
            (*ret_count)++;
            *ret_wrong += memcmp(ours, at(c, sbn, k + i), c->part.segment_size) != 0;
        }
    }
}

bool content_finish(struct content *c, uint32_t sbn)
{
    uint8_t *symbol[NORM_BLOCK_SYMBOLS_MAX];

    for (unsigned i = 0; i < c->slots; i++) {
        symbol[i] = at(c, sbn, i);
    }
    return fec_decode(c->code, c->workspace, norm_partition_block_len(&c->part, sbn), symbol,
                      c->present + (size_t)sbn * c->slots, c->part.segment_size) == CP_OK;
}
