/* SPDX-License-Identifier: Apache-2.0
 * What the stories share. One thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "story.h"

static void on_packet(void *arg, const struct sim_packet *p)
{
    struct story *s = arg;

    trace_packet(&s->trace, p);
}

static bool drop(void *arg, const struct sim_packet *p, unsigned to)
{
    struct story *s = arg;
    const struct norm_msg *m = p->msg;

    for (size_t i = 0; i < sizeof(s->losses) / sizeof(*s->losses); i++) {
        struct loss *l = &s->losses[i];

        if (l->count > 0 && l->to == to && l->type == (int)m->type &&
            (m->type != NORM_CMD || l->cmd == -1 || l->cmd == (int)m->cmd) &&
            (m->type != NORM_DATA || ((l->sbn == -1 || l->sbn == (int)m->id.sbn) &&
                                      (l->esi == -1 || l->esi == (int)m->id.esi)))) {
            l->count--;
            return true;
        }
    }
    return false;
}

void story_prepare(struct story *s, unsigned receivers)
{
    static const uint8_t info[] = "tale";

    memset(s, 0, sizeof(*s));
    s->config = (struct sim_config){
        .sender = {.node_id = SIM_SENDER_ID,
                   .instance_id = 1,
                   .object_id = 5,
                   .fec_id = 129,
                   .fti = {.object_size = (uint64_t)STORY_BLOCKS * STORY_BLOCK * STORY_SEGMENT,
                           .segment_size = STORY_SEGMENT,
                           .max_block_len = STORY_BLOCK,
                           .num_parity = 4},
                   .info = info,
                   .info_size = 4,
                   .repair_flag = true,
                   .grtt = 10 * CP_MSEC,
                   .grtt_min = 10 * CP_MSEC,
                   .grtt_max = 10 * CP_MSEC,
                   .backoff = 1,
                   .gsize = 10,
                   .robust_factor = 3,
                   .rate_bps = 500000,
                   .live_window = 2 * CP_SEC},
        .unicast_nack = true,
        .seed = 3,
        .time_limit = 60 * CP_SEC,
        .run_to_idle = true,
        .on_packet = on_packet,
        .drop = drop,
        .arg = s,
    };
    for (unsigned i = 0; i < receivers; i++) {
        s->specs[i] = (struct sim_receiver_spec){
            .down = {.delay = CP_MSEC}, .up = {.delay = CP_MSEC}, .defer_missed = true};
    }
}

void story_tell(struct story *s, unsigned receivers, const char *expected)
{
    bool right;

    sim_init(&s->sim, &s->config, s->specs, receivers);
    right = sim_run(&s->sim);
    if (strcmp(trace_text(&s->trace), expected) != 0) {
        (void)fputs(trace_text(&s->trace), stderr); /* all of it: cmocka cuts it off */
    }
    assert_string_equal(trace_text(&s->trace), expected);
    if (!right) {
        fail_msg("%s", s->sim.failure);
    }
    sim_done(&s->sim);
}
