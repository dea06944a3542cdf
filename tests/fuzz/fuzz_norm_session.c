/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of the protocol's state machines. The input is a script: how the session is set up,
 * then what befalls it, from weather to forged messages, while the world runs by itself in
 * between. Nobody may crash, loop, overrun or break a promise (session_world.c), and unless
 * somebody forged or gave up, everybody completes once the weather clears. */
#include <stdlib.h>
#include <string.h>

#include "multicast/norm/members.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/session_world.h"

#define OPS_MAX    400u
#define WORK_MAX   8000u /* packets of one input */
#define CLEAR_TIME (600 * CP_SEC)
#define CLEAR_WORK 20000u

static void run(struct world *w, unsigned steps)
{
    while (steps > 0 && w->work < WORK_MAX && world_step(w)) {
        steps--;
    }
}

static struct norm_receiver *some_receiver(struct world *w, uint8_t which)
{
    struct norm_receiver *r = w->receiver[which % WORLD_RECEIVERS];

    return r != NULL ? r : w->receiver[0];
}

static void forge(struct world *w, struct script *s)
{
    uint8_t payload[FORGE_PAYLOAD_MAX], pkt[2048];
    const struct norm_partition *p = norm_sender_partition(w->sender);
    struct forge_base base = {.sender_id = WORLD_SENDER_ID,
                              .receiver_id = WORLD_NODE_ID(script_u8(s) % WORLD_RECEIVERS),
                              .instance_id = w->config.instance_id,
                              .object_id = w->config.object_id,
                              .fec_id = w->config.fec_id,
                              .fti = w->config.fti,
                              .sbn = script_u8(s) % p->block_count,
                              .time_sec = (uint32_t)(w->now / CP_SEC),
                              .time_usec = (uint32_t)(w->now % CP_SEC / CP_USEC),
                              .cc_sequence = script_u8(s)};
    struct norm_msg msg;
    size_t size, to = script_u8(s) % WORLD_PARTIES;
    uint8_t *exact;

    forge_message(s, &base, payload, &msg);
    size = norm_encode(&msg, pkt, sizeof pkt);
    if (size == 0) {
        return;
    }
    w->forged = true;
    exact = malloc(size);
    CP_ASSERT(exact != NULL);
    memcpy(exact, pkt, size);
    world_give(w, to, exact, size);
    free(exact);
}

/* Damages, cuts or doubles the packet that arrives next. */
static void tamper(struct world *w, struct script *s)
{
    struct world_packet *p = world_head(w);
    uint8_t how = script_u8(s);

    if (p == NULL) {
        return;
    }
    if (how < 64) { /* it or its twin goes elsewhere too, which is what multicast may do */
        world_give(w, p->to, p->data, p->size);
        return;
    }
    w->forged = true;
    if (how < 96) {
        p->size = p->size > how - 64u ? p->size - (how - 64u) : 1;
        return;
    }
    for (unsigned edits = how / 32u; edits > 0; edits--) {
        p->data[script_u8(s) % (p->size < 64 ? p->size : 64)] = script_u8(s);
    }
}

/* What the sender's driver and the service behind it ask for. */
static void ask_sender(struct world *w, struct script *s)
{
    uint8_t what = script_u8(s), arg = script_u8(s);
    uint8_t message[32];
    enum cp_err rc = CP_OK;

    switch (what % 8) {
    case 0:
        rc = norm_sender_add_acker(w->sender, WORLD_NODE_ID(arg % 6u));
        break;
    case 1:
        norm_sender_remove_member(w->sender, WORLD_NODE_ID(arg % 6u));
        CP_ASSERT(!norm_sender_acked(w->sender, WORLD_NODE_ID(arg % 6u)));
        break;
    case 2:
        memset(message, arg, sizeof message);
        rc = norm_sender_command(w->sender, message, arg % (sizeof message + 1));
        break;
    case 3:
        norm_sender_set_hold(w->sender, w->now, w->now + arg * CP_MSEC);
        break;
    case 4:
        norm_sender_set_hold(w->sender, w->now, CP_TIME_NEVER);
        break;
    case 5:
        world_set_rate(w, 100000u + (uint64_t)arg * arg * 1000u);
        break;
    case 6:
        norm_sender_set_gsize(w->sender, arg * 100u);
        norm_sender_set_backoff(w->sender, arg == 0 ? 4 : 6);
        break;
    default:
        if (arg > 240) {
            norm_sender_withdraw(w->sender, w->now);
            w->withdrawn = true;
        }
        break;
    }
    (void)rc; /* refusals are answers */
}

static void ask_receiver(struct world *w, struct script *s)
{
    uint8_t what = script_u8(s), arg = script_u8(s);
    struct norm_receiver *r = some_receiver(w, what / 8);
    const struct norm_partition *p = norm_receiver_partition(r);
    uint32_t sbn = p == NULL ? arg : arg % (p->block_count + 1);

    switch (what % 8) {
    case 0:
        norm_receiver_block_forget(r, sbn);
        CP_ASSERT(!norm_receiver_block_complete(r, sbn));
        break;
    case 1:
        norm_receiver_block_forget_parity(r, sbn);
        break;
    case 2:
    case 3:
        norm_receiver_block_have(r, sbn);
        CP_ASSERT(p == NULL || sbn >= p->block_count || norm_receiver_block_complete(r, sbn));
        break;
    case 4:
        norm_receiver_set_backlog(r, arg % 101u);
        break;
    case 5: /* leaves; index 0 stays */
        if (what / 8 % WORLD_RECEIVERS != 0) {
            norm_receiver_free(w->receiver[what / 8 % WORLD_RECEIVERS]);
            w->receiver[what / 8 % WORLD_RECEIVERS] = NULL;
        }
        break;
    default:
        world_join(w, what / 8 % WORLD_RECEIVERS);
        break;
    }
}

static void befall(struct world *w, struct script *s)
{
    uint8_t op = script_u8(s);

    switch (op % 16) {
    case 0:
    case 1:
    case 2:
        run(w, 1u + op / 16u);
        break;
    case 3:
    case 4:
        run(w, 1u + op / 16u * 40u);
        break;
    case 5:
    case 6: {
        uint8_t to = script_u8(s) % (WORLD_PARTIES + 1u), loss = script_u8(s);

        for (size_t i = 0; i < WORLD_PARTIES; i++) {
            w->loss[i] = to == i || to == WORLD_PARTIES ? loss : w->loss[i];
        }
        break;
    }
    case 7: /* a machine that was busy elsewhere */
        w->now += (cp_time)op * script_u8(s) * 10 * CP_USEC;
        break;
    case 8:
    case 9:
    case 10:
        forge(w, s);
        break;
    case 11:
        tamper(w, s);
        break;
    case 12:
    case 13:
        ask_receiver(w, s);
        break;
    case 14:
        ask_sender(w, s);
        break;
    default:
        if (op > 128) {
            world_restart_sender(w);
        }
        break;
    }
}

/* What the sender's owner is told can be. */
static void check_stats(const struct world *w)
{
    struct norm_sender_stats stats;
    const struct norm_member *m;

    norm_sender_get_stats(w->sender, &stats);
    CP_ASSERT(stats.rate_bps <= stats.rate_ceiling_bps && stats.rate_ceiling_bps == w->ceiling_bps);
    CP_ASSERT(stats.auto_parity <= w->config.fti.num_parity);
    CP_ASSERT(stats.next_block <= norm_sender_partition(w->sender)->block_count);
    for (size_t i = 0; (m = norm_sender_member(w->sender, i)) != NULL; i++) {
        CP_ASSERT(m->node_id != NORM_NODE_NONE && m->node_id != NORM_NODE_ANY);
        CP_ASSERT(m->first_heard <= m->last_heard && m->last_heard <= w->now);
        CP_ASSERT(!m->reported || (m->loss >= 0 && m->loss <= 1));
    }
}

/* The weather clears: what is missing comes. */
static void clear_up(struct world *w)
{
    cp_time end = w->now + CLEAR_TIME;
    unsigned work = w->work + CLEAR_WORK;

    memset(w->loss, 0, sizeof w->loss);
    norm_sender_set_hold(w->sender, w->now, CP_TIME_NEVER);
    while (!world_complete(w) && w->now < end && w->work < work) {
        CP_ASSERT(world_step(w)); /* a sender that holds always has something to do */
    }
    CP_ASSERT(world_complete(w) || w->work >= work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct script s = {.data = data, .size = size};

    world_open(&w, &s);
    for (unsigned op = 0; op < OPS_MAX && !script_over(&s) && w.work < WORK_MAX; op++) {
        befall(&w, &s);
    }
    if (!w.forged && !w.withdrawn && !w.config.budget) {
        clear_up(&w);
    } else {
        run(&w, 500);
    }
    check_stats(&w);
    world_close(&w);
    return 0;
}
