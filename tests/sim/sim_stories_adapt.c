/* SPDX-License-Identifier: Apache-2.0
 * Transcripts of how the sender adapts: the order of the second pass, the repair budget, proactive
 * parity, the pace, losses in bursts. As in sim_stories.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "story.h"

static const char second_pass_told[] = "S info\n"
                                       "S data 0:0-7\n"
                                       "S data 1:0-7\n"
                                       "S data 2:0-7\n"
                                       "S data 3:0-7\n"
                                       "S data 4:0-7\n"
                                       "S data 5:0-7\n"
                                       "S data 6:0-7\n"
                                       "S data 7:0-7\n"
                                       "S data 8:0-7\n"
                                       "S data 9:0-6\n"
                                       "R3 nack info\n"
                                       "S advert info\n"
                                       "S data 9:7\n"
                                       "S data 10:0-7\n"
                                       "S data 11:0-3\n"
                                       "S info\n"
                                       "S data 11:4-7\n"
                                       "S data 12:0-7\n"
                                       "S data 13:0-7\n"
                                       "S data 14:0-7\n"
                                       "S data 15:0-7\n"
                                       "S data 16:0-7\n"
                                       "S data 17:0-7\n"
                                       "S data 18:0-6\n"
                                       "R2 nack info\n"
                                       "S data 18:7\n"
                                       "S advert info\n"
                                       "S data 19:0-7\n"
                                       "S data 20:0-3\n"
                                       "S info\n"
                                       "S data 20:4-7\n"
                                       "S data 21:0-7\n"
                                       "S data 22:0-7\n"
                                       "S data 23:0-7\n"
                                       "S data 24:0-7\n"
                                       "S data 25:0-7\n"
                                       "S data 26:0-3\n"
                                       "R1 nack 25:8\n"
                                       "S data 26:4\n"
                                       "S advert 25:8\n"
                                       "S data 26:5-7\n"
                                       "S data 27:0-5\n"
                                       "R2 nack block 0-16 17:4 17:5\n"
                                       "S data 27:6\n"
                                       "R3 nack block 0-7 8:4-6\n"
                                       "S advert block 0-16 17:8-9\n"
                                       "S advert block 0-16 17:8-9\n"
                                       "S data 27:7\n"
                                       "S repair 8:8-9\n"
                                       "S advert block 0-16 17:8-9\n"
                                       "S repair 8:10\n"
                                       "S repair 17:8-9\n"
                                       "S repair 25:8\n"
                                       "S flush 27:7 100 101 102\n"
                                       "S advert block 0-16\n"
                                       "R1 ack flush\n"
                                       "S repair explicit 0:0-7\n"
                                       "S repair explicit 1:0-7\n"
                                       "S repair explicit 2:0-7\n"
                                       "S repair explicit 3:0-7\n"
                                       "S repair explicit 4:0-7\n"
                                       "S repair explicit 5:0-7\n"
                                       "S repair explicit 6:0-7\n"
                                       "S repair explicit 7:0-7\n"
                                       "S repair explicit 8:0-7\n"
                                       "S repair explicit 9:0-7\n"
                                       "S repair explicit 10:0-7\n"
                                       "S repair explicit 11:0-7\n"
                                       "S repair explicit 12:0-7\n"
                                       "S repair explicit 13:0-7\n"
                                       "S repair explicit 14:0-7\n"
                                       "S repair explicit 15:0-7\n"
                                       "S repair explicit 16:0-7\n"
                                       "S flush 27:7 101 102\n"
                                       "R3 ack flush\n"
                                       "R2 nack 17:4 17:5 17:10 17:11\n"
                                       "S advert 17:4-5 17:8-9\n"
                                       "S repair explicit 17:4-5\n"
                                       "S repair 17:10-11\n"
                                       "S flush 27:7 101\n"
                                       "R2 ack flush\n";

/* Two come late. What the group lacks goes first, then comes the second pass: what both of them
 * lack is sent once, each is done as early as can be, and nobody asks meanwhile. */
static void second_pass(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 3);
    s.config.sender.fti.object_size *= 7;
    s.specs[1].join_at = 240 * CP_MSEC;
    s.specs[2].join_at = 120 * CP_MSEC;
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 25, 3, 1};
    for (unsigned i = 0; i < 3; i++) {
        s.specs[i].acker = true;
    }
    story_tell(&s, 3, second_pass_told);
}

/* An object that takes three seconds or so; of its story only the decisions are told. */
static void prepare_long(struct story *s, unsigned receivers)
{
    story_prepare(s, receivers);
    s->config.sender.fti = (struct norm_fti){
        .object_size = 2000000, .segment_size = 192, .max_block_len = 32, .num_parity = 16};
    s->config.sender.rate_bps = 8000000;
    s->config.sender.rate_mode = NORM_RATE_LAN;
    s->config.sender.backoff = 4;
    s->config.sender.slow_share = 0.25;
    s->config.sender.budget = true;
    s->config.sender.auto_parity_max = 16;
    s->config.sender.cc_probe_rate = true;
    s->config.sender.trace = trace_decision;
    s->config.sender.trace_arg = &s->trace;
    s->trace.decisions_only = true;
    s->config.run_to_idle = false;
}

/* Random loss: parity goes up until few have to ask, and the pace stays. */
static void parity_follows_loss(void **state)
{
    struct norm_sender_stats stats;
    struct story s;

    (void)state;
    prepare_long(&s, 4);
    for (unsigned i = 0; i < 4; i++) {
        s.specs[i].down.loss = 0.05;
    }
    sim_init(&s.sim, &s.config, s.specs, 4);
    assert_true(sim_run(&s.sim));
    assert_ptr_equal(strstr(trace_text(&s.trace), "S decides parity"),
                     strstr(trace_text(&s.trace), "S decides parity 0 to "));
    norm_sender_get_stats(s.sim.sender, &stats);
    assert_in_range(stats.auto_parity, 3, 6);
    assert_true(s.sim.totals.nacks < s.sim.part.block_count / 4);
    assert_int_equal(stats.rate_bps, s.config.sender.rate_bps);
    sim_done(&s.sim);
}

/* The uplink of all takes half of the pace: found with the first cut, and not lost again. */
static void bottleneck(void **state)
{
    struct norm_sender_stats stats;
    struct story s;
    const char *cut;

    (void)state;
    prepare_long(&s, 4);
    s.config.trunk = (struct sim_link){.rate_bps = 4000000, .queue_bytes = 16384};
    sim_init(&s.sim, &s.config, s.specs, 4);
    assert_true(sim_run(&s.sim));
    cut = strstr(trace_text(&s.trace), "congestion, R");
    assert_non_null(cut);
    norm_sender_get_stats(s.sim.sender, &stats);
    assert_in_range(stats.rate_bps, 3000000, 4400000);
    sim_done(&s.sim);
}

/* One of five gets a tenth of what the others do: the pace does not wait for it, and when that
 * lasts it is told to whoever owns the session, and no longer served. */
static void budget(void **state)
{
    struct norm_sender_stats stats;
    struct story s;

    (void)state;
    prepare_long(&s, 5);
    s.config.sender.fti.object_size *= 3;
    s.specs[4].down.rate_bps = 800000;
    s.specs[4].down.queue_bytes = 8192;
    s.specs[4].optional = true;
    sim_init(&s.sim, &s.config, s.specs, 5);
    assert_true(sim_run(&s.sim));
    assert_non_null(strstr(trace_text(&s.trace), "S decides budget"));
    assert_non_null(strstr(trace_text(&s.trace), "R5\n"));
    norm_sender_get_stats(s.sim.sender, &stats);
    assert_int_equal(stats.over_budget, 1);
    assert_int_equal(stats.rate_bps, s.config.sender.rate_bps);
    sim_done(&s.sim);
}

/* A whole block and the ends of its neighbours are lost at once. */
static void burst(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 2);
    s.config.sender.auto_parity = 1;
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 0, 6, 1};
    s.losses[1] = (struct loss){1, NORM_DATA, 0, 0, 7, 1};
    s.losses[2] = (struct loss){1, NORM_DATA, 0, 0, 8, 1};
    s.losses[3] = (struct loss){1, NORM_DATA, 0, 1, -1, 9};
    s.losses[4] = (struct loss){1, NORM_DATA, 0, 2, 0, 1};
    story_tell(&s, 2,
               "S info\n"
               "S data 0:0-8\n"
               "S data 1:0-8\n"
               "S data 2:0-4\n"
               "R1 nack 0:8 0:9 block 1\n"
               "S data 2:5\n"
               "S advert 0:8-9 block 1\n"
               "S data 2:6-8\n"
               "S data 3:0-8\n"
               "S repair 0:9-10\n"
               "S repair explicit 1:0-7\n"
               "S repair 1:9\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_pass), cmocka_unit_test(parity_follows_loss),
        cmocka_unit_test(bottleneck),  cmocka_unit_test(budget),
        cmocka_unit_test(burst),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
