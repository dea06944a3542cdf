/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of the protocol's state machines: one sender and two receivers of a small object in
 * virtual time; the input decides, packet by packet, what is lost, doubled, damaged, cut or sent to
 * the wrong one, and what the drivers ask for between. Nobody may crash, loop or overrun. */
#include <stdlib.h>
#include <string.h>

#include "multicast/norm/receiver.h"
#include "multicast/norm/sender.h"
#include "tests/fuzz/fuzz.h"

#define SEGMENT   64u
#define BLOCK     4u
#define PARITY    2u
#define BLOCKS    6u
#define RECEIVERS 2u
#define TX_BYTES  65500u
#define STEPS_MAX 2000u
#define FILLS_MAX 64u /* of one party at one instant: more is a loop */

struct world {
    const uint8_t *script;
    size_t size, at;
    cp_time now;
    struct norm_sender *sender;
    struct norm_receiver *receiver[RECEIVERS];
    struct norm_txbuf tx;
    uint64_t sum; /* of all payload bytes: they must be readable */
};

static uint8_t next(struct world *w)
{
    return w->at < w->size ? w->script[w->at++] : 0;
}

static void give(struct world *w, size_t who, const uint8_t *pkt, size_t size)
{
    struct norm_rx rx = {0};

    if (who == RECEIVERS) {
        enum cp_err rc = norm_sender_on_packet(w->sender, w->now, pkt, size);

        (void)rc; /* counted there */
    } else if (norm_receiver_on_packet(w->receiver[who], w->now, pkt, size, &rx) == CP_OK) {
        for (size_t i = 0; i < rx.payload_size; i++) {
            w->sum += rx.payload[i];
        }
        if ((rx.events & NORM_RX_SYMBOL) != 0) {
            const struct norm_partition *p = norm_receiver_partition(w->receiver[who]);

            CP_ASSERT(p != NULL && rx.sbn < p->block_count && rx.payload_size <= p->segment_size);
            CP_ASSERT(norm_receiver_has_symbol(w->receiver[who], rx.sbn, rx.esi) ||
                      norm_receiver_block_complete(w->receiver[who], rx.sbn));
        }
    }
}

/* One packet on its way to one party. */
static void pass(struct world *w, size_t who, const uint8_t *pkt, size_t size)
{
    uint8_t fate = next(w);
    uint8_t *copy = malloc(size);

    CP_ASSERT(copy != NULL);
    memcpy(copy, pkt, size);
    switch (fate % 16) {
    case 1: /* lost */
        break;
    case 2: /* doubled */
        give(w, who, copy, size);
        give(w, who, copy, size);
        break;
    case 3: /* damaged, within the header as a rule */
    case 4:
    case 5:
        for (uint8_t edits = fate / 16; edits != UINT8_MAX; edits--) {
            copy[next(w) % (size < 64 ? size : 64)] = next(w);
        }
        give(w, who, copy, size);
        break;
    case 6: /* cut */
        copy = realloc(copy, size * fate / 256 + 1);
        CP_ASSERT(copy != NULL);
        give(w, who, copy, size * fate / 256);
        break;
    case 7: /* to another */
        give(w, (who + fate / 16) % (RECEIVERS + 1), copy, size);
        break;
    default:
        give(w, who, copy, size);
        break;
    }
    free(copy);
}

/* What lies in tx goes to everybody but its author. */
static void spread(struct world *w, size_t author)
{
    static uint8_t pkt[TX_BYTES];
    struct norm_txbuf tx = w->tx;
    size_t size = tx.size;

    memcpy(pkt, tx.data, size);
    for (unsigned i = 0; i < tx.count; i++) {
        size_t at = (size_t)i * tx.stride, left = i + 1 < tx.count ? tx.stride : size - at;

        CP_ASSERT(left > 0 && at + left <= size);
        for (size_t who = 0; who <= RECEIVERS; who++) {
            if (who != author && !(tx.unicast && who != RECEIVERS)) {
                pass(w, who, pkt + at, left);
            }
        }
    }
}

static void drain(struct world *w)
{
    for (size_t author = 0; author <= RECEIVERS; author++) {
        unsigned fills = 0;

        do {
            w->tx.count = 0;
            if (author == RECEIVERS) {
                norm_sender_on_timer(w->sender, w->now);
                norm_sender_fill(w->sender, w->now, &w->tx);
            } else {
                norm_receiver_on_timer(w->receiver[author], w->now);
                norm_receiver_fill(w->receiver[author], w->now, &w->tx);
            }
            CP_ASSERT(++fills < FILLS_MAX);
            spread(w, author);
        } while (w->tx.count > 0 && w->at < w->size);
    }
}

static void advance(struct world *w, uint8_t extra)
{
    cp_time t = norm_sender_next_time(w->sender);

    for (size_t i = 0; i < RECEIVERS; i++) {
        t = cp_time_min(t, norm_receiver_next_time(w->receiver[i]));
    }
    if (t == CP_TIME_NEVER || t < w->now) {
        t = w->now;
    }
    w->now = t + (cp_time)extra * extra * 10 * CP_USEC;
}

/* What drivers and applications ask for. */
static void ask(struct world *w, uint8_t what)
{
    struct norm_receiver *r = w->receiver[what % RECEIVERS];
    uint8_t arg = next(w);
    enum cp_err rc = CP_OK;

    switch (what / 16) {
    case 0:
        norm_receiver_block_forget(r, arg % (BLOCKS + 1));
        break;
    case 1:
        norm_receiver_block_forget_parity(r, arg % (BLOCKS + 1));
        break;
    case 2:
        norm_receiver_block_have(r, arg % (BLOCKS + 1));
        break;
    case 3:
        rc = norm_sender_add_acker(w->sender, 2u + arg % 4);
        break;
    case 4:
        norm_sender_remove_acker(w->sender, 2u + arg % 4);
        break;
    case 5:
        rc = norm_sender_command(w->sender, w->script, arg < w->size ? arg : w->size);
        break;
    case 6:
        norm_sender_set_hold(w->sender, w->now, w->now + arg * CP_MSEC);
        break;
    case 7:
        norm_sender_set_rate(w->sender, w->now, 1000u + (uint64_t)arg * arg * 100000u);
        break;
    case 8:
        norm_sender_set_gsize(w->sender, arg);
        break;
    case 9:
        if (arg > 250) {
            norm_sender_withdraw(w->sender, w->now);
        }
        break;
    default:
        break;
    }
    (void)rc; /* refusals are answers */
}

static void open_world(struct world *w)
{
    uint8_t mode = next(w);
    struct norm_sender_config sender = {
        .node_id = 1,
        .instance_id = 7,
        .object_id = (uint16_t)(mode << 8),
        .fec_id = (mode & 1) != 0 ? 5 : 129,
        .fti = {.object_size = BLOCKS * BLOCK * SEGMENT - mode % SEGMENT,
                .segment_size = SEGMENT,
                .max_block_len = BLOCK,
                .num_parity = PARITY},
        .auth_size = (mode & 2) != 0 ? 24 : 0,
        .auto_parity = (mode & 4) != 0 ? 1 : 0,
        .repair_flag = true,
        .multicast_nack = (mode & 8) != 0,
        .cc_probe_rate = true,
        .grtt = 5 * CP_MSEC,
        .grtt_min = CP_MSEC,
        .grtt_max = 200 * CP_MSEC,
        .backoff = 4,
        .gsize = (mode & 16) != 0 ? 10 : 1000,
        .robust_factor = 20,
        .rate_bps = 10000000,
        .live_window = (mode & 32) != 0 ? 2 * CP_SEC : CP_MSEC,
        .seed = mode,
    };

    CP_ASSERT(norm_sender_new(&sender, w->now, &w->sender) == CP_OK);
    for (uint32_t i = 0; i < RECEIVERS; i++) {
        struct norm_receiver_config config = {
            .node_id = 2 + i,
            .sender_id = 1,
            .object_known = (mode & 64) != 0,
            .object_id = sender.object_id,
            .fec_id = sender.fec_id,
            .fti = sender.fti,
            .auth_size = sender.auth_size,
            .unicast_nack = !sender.multicast_nack,
            .defer_missed = (mode & 128) != 0,
            .robust_factor = 20,
            .grtt = 5 * CP_MSEC,
            .seed = i,
        };

        CP_ASSERT(norm_receiver_new(&config, w->now, &w->receiver[i]) == CP_OK);
        CP_ASSERT(norm_sender_add_acker(w->sender, 2 + i) == CP_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buffer[TX_BYTES];
    struct world w = {.script = data, .size = size, .now = CP_SEC};

    w.tx.data = buffer;
    w.tx.cap = sizeof(buffer);
    open_world(&w);
    for (unsigned step = 0; step < STEPS_MAX && w.at < w.size; step++) {
        uint8_t op = next(&w);

        if (op % 8 == 7) {
            ask(&w, op);
        }
        advance(&w, op % 8 == 6 ? op : 0);
        drain(&w);
    }
    norm_sender_free(w.sender);
    for (size_t i = 0; i < RECEIVERS; i++) {
        norm_receiver_free(w.receiver[i]);
    }
    return 0;
}
