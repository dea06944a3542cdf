/* SPDX-License-Identifier: Apache-2.0
 * Transcripts of short scenarios: who says what, in which order, and why. Receivers are R1, R2, …
 * with node ids 100, 101, …; "block:symbol" with k = 8 source symbols per block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "story.h"

/* Checks RFC5740 5, 5.4.1, 5.4.2. */
static void nack_and_parity(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 2);
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 1, 2, 1};
    s.losses[1] = (struct loss){1, NORM_DATA, 0, 1, 5, 1};
    s.losses[2] = (struct loss){2, NORM_DATA, 0, 1, 3, 1};
    story_tell(&s, 2,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-7\n"
               "S data 2:0-3\n"
               "R1 nack 1:8 1:9\n"
               "S data 2:4\n"
               "S advert 1:8-9\n"
               "S data 2:5-7\n"
               "S data 3:0-7\n"
               "S repair 1:8-9\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

/* Checks RFC5740 5.4.4, 4.2.3.5. */
static void advert_suppresses(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 2);
    s.config.sender.backoff = 4;
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 0, 2, 1};
    s.losses[1] = (struct loss){2, NORM_DATA, 0, 0, 2, 1};
    story_tell(&s, 2,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-7\n"
               "S data 2:0-5\n"
               "R1 nack 0:8\n"
               "S advert 0:8\n"
               "S data 2:6-7\n"
               "S data 3:0-7\n"
               "S repair 0:8\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

/* Checks RFC5740 4.2.3.1, 5.1. */
static void tail_and_flush_lost(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.specs[0].acker = true;
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 3, -1, 8};
    s.losses[1] = (struct loss){1, NORM_CMD, NORM_CMD_FLUSH, -1, -1, 1};
    story_tell(&s, 1,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-7\n"
               "S data 2:0-7\n"
               "S data 3:0-7\n"
               "S flush 3:7 100\n"
               "S flush 3:7 100\n"
               "R1 nack block 3\n"
               "S advert block 3\n"
               "S repair explicit 3:0-7\n"
               "S flush 3:7 100\n"
               "R1 ack flush\n");
}

/* Checks RFC5740 4.2.2. */
static void info_lost(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.losses[0] = (struct loss){1, NORM_INFO, 0, -1, -1, 1};
    story_tell(&s, 1,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-3\n"
               "R1 nack info\n"
               "S data 1:4\n"
               "S advert info\n"
               "S data 1:5-7\n"
               "S data 2:0-7\n"
               "S data 3:0\n"
               "S info\n"
               "S data 3:1-7\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

/* Checks RFC5740 5.2, RFC5401 3.3. */
static void late_join(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 2);
    s.config.sender.fti.object_size *= 3;
    s.specs[1].join_at = 115 * CP_MSEC;
    s.specs[1].acker = true;
    story_tell(&s, 2,
               "S info\n"
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
               "R2 nack info\n"
               "S data 9:7\n"
               "S advert info\n"
               "S data 10:0-7\n"
               "S data 11:0-3\n"
               "S info\n"
               "S data 11:4-7\n"
               "S flush 11:7 101\n"
               "S flush 11:7 101\n"
               "R2 nack block 0-7 8:8-11\n"
               "S advert block 0-7 8:8-11\n"
               "S advert block 0-7 8:8-11\n"
               "S repair 8:8-11\n"
               "S flush 11:7 101\n"
               "S repair explicit 0:0-7\n"
               "S repair explicit 1:0-7\n"
               "S repair explicit 2:0-7\n"
               "S repair explicit 3:0-7\n"
               "S repair explicit 4:0-7\n"
               "S repair explicit 5:0-7\n"
               "S repair explicit 6:0-7\n"
               "S repair explicit 7:0-7\n"
               "S flush 11:7 101\n"
               "R2 ack flush\n");
}

/* Checks RFC5740 5.4.2, RFC5401 3.2.3.1. */
static void parity_exhausted(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.config.sender.fti.num_parity = 1;
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 0, 1, 1};
    s.losses[1] = (struct loss){1, NORM_DATA, 0, 0, 4, 1};
    s.losses[2] = (struct loss){1, NORM_DATA, 0, 0, 6, 1};
    story_tell(&s, 1,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-3\n"
               "R1 nack 0:4 0:6 0:8\n"
               "S data 1:4\n"
               "S advert 0:4 0:6 0:8\n"
               "S data 1:5-7\n"
               "S data 2:0-7\n"
               "S data 3:0\n"
               "S repair explicit 0:4\n"
               "S repair explicit 0:6\n"
               "S repair 0:8\n"
               "S data 3:1-7\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

/* Checks RFC5740 5.5.3. */
static void absent_acker(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.specs[0].acker = true;
    sim_init(&s.sim, &s.config, s.specs, 1);
    assert_int_equal(norm_sender_add_acker(s.sim.sender, 200), CP_OK);
    assert_true(sim_run(&s.sim));
    assert_string_equal(trace_text(&s.trace), "S info\n"
                                              "S data 0:0-7\n"
                                              "S data 1:0-7\n"
                                              "S data 2:0-7\n"
                                              "S data 3:0-7\n"
                                              "S flush 3:7 100 200\n"
                                              "R1 ack flush\n"
                                              "S flush 3:7 200\n"
                                              "S flush 3:7 200\n");
    assert_true(norm_sender_acked(s.sim.sender, SIM_RECEIVER_ID));
    assert_false(norm_sender_acked(s.sim.sender, 200));
    sim_done(&s.sim);
}

static void everybody_gone(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.specs[0].leave_at = 20 * CP_MSEC;
    story_tell(&s, 1,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-7\n"
               "S data 2:0-7\n"
               "S data 3:0-7\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

static void nack_lost(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 3, 7, 1};
    s.losses[1] = (struct loss){0, NORM_NACK, 0, -1, -1, 1};
    story_tell(&s, 1,
               "S info\n"
               "S data 0:0-7\n"
               "S data 1:0-7\n"
               "S data 2:0-7\n"
               "S data 3:0-7\n"
               "S flush 3:7\n"
               "R1 nack 3:8\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "R1 nack 3:8\n"
               "S advert 3:8\n"
               "S repair 3:8\n"
               "S flush 3:7\n"
               "S flush 3:7\n"
               "S flush 3:7\n");
}

/* Checks RFC5740 4.2.1. */
static void restart(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    s.config.sender.fti.object_size *= 2;
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 0, 0, 1};
    sim_init(&s.sim, &s.config, s.specs, 1);
    sim_run_until(&s.sim, 35 * CP_MSEC);
    assert_true(norm_receiver_block_complete(s.sim.receivers[0].core, 1));
    assert_false(norm_receiver_block_complete(s.sim.receivers[0].core, 0));
    sim_restart_sender(&s.sim, 2);
    assert_true(sim_run(&s.sim));
    assert_int_equal(s.sim.receivers[0].restarts, 1);
    assert_string_equal(trace_text(&s.trace), "S info\n"
                                              "S data 0:0-7\n"
                                              "S data 1:0-3\n"
                                              "R1 nack 0:8\n"
                                              "S data 1:4\n"
                                              "S advert 0:8\n"
                                              "S data 1:5-7\n"
                                              "S data 2:0-3\n"
                                              "S info\n"
                                              "S data 0:0-7\n"
                                              "S data 1:0-7\n"
                                              "S data 2:0-7\n"
                                              "S data 3:0-7\n"
                                              "S data 4:0-7\n"
                                              "S data 5:0-7\n"
                                              "S data 6:0-7\n"
                                              "S data 7:0-7\n"
                                              "S flush 7:7\n"
                                              "S flush 7:7\n"
                                              "S flush 7:7\n");
    sim_done(&s.sim);
}

/* Checks RFC5740 4.2.3.2, 4.2.3.3. */
static void withdraw(void **state)
{
    struct story s;
    struct norm_sender_stats stats;

    (void)state;
    story_prepare(&s, 1);
    s.losses[0] = (struct loss){1, NORM_DATA, 0, 0, 0, 1};
    s.losses[1] = (struct loss){1, NORM_CMD, NORM_CMD_SQUELCH, -1, -1, 1};
    sim_init(&s.sim, &s.config, s.specs, 1);
    sim_run_until(&s.sim, 20 * CP_MSEC);
    norm_sender_withdraw(s.sim.sender, s.sim.now);
    sim_poke_sender(&s.sim);
    sim_run_until(&s.sim, 10 * CP_SEC);
    assert_string_equal(trace_text(&s.trace), "S info\n"
                                              "S data 0:0-7\n"
                                              "S data 1:0-2\n"
                                              "S squelch, window from object 6\n"
                                              "S eot\n"
                                              "S squelch, window from object 6\n"
                                              "S eot\n"
                                              "S squelch, window from object 6\n"
                                              "S eot\n");
    assert_true(s.sim.receivers[0].squelched && s.sim.receivers[0].ended);
    norm_sender_get_stats(s.sim.sender, &stats);
    assert_int_equal(stats.state, NORM_SENDER_IDLE);
    assert_null(s.sim.failure);
    sim_done(&s.sim);
}

/* RFC5740 5.3: T_inactivity is at least a second; after robust_factor NACKs in vain it is over.
 * Checks RFC5740 5.3. */
static void sender_vanishes(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 1);
    sim_init(&s.sim, &s.config, s.specs, 1);
    sim_run_until(&s.sim, 20 * CP_MSEC);
    sim_kill_sender(&s.sim);
    sim_run_until(&s.sim, 3500 * CP_MSEC);
    assert_false(norm_receiver_inactive(s.sim.receivers[0].core));
    sim_run_until(&s.sim, 5 * CP_SEC);
    assert_true(norm_receiver_inactive(s.sim.receivers[0].core));
    assert_string_equal(trace_text(&s.trace), "S info\n"
                                              "S data 0:0-7\n"
                                              "S data 1:0-2\n"
                                              "R1 nack 1:7-11 block 2 block 3\n"
                                              "R1 nack 1:7-11 block 2 block 3\n"
                                              "R1 nack 1:7-11 block 2 block 3\n");
    assert_null(s.sim.failure);
    sim_done(&s.sim);
}

static void command(void **state)
{
    struct story s;

    (void)state;
    story_prepare(&s, 2);
    sim_init(&s.sim, &s.config, s.specs, 2);
    sim_run_until(&s.sim, 20 * CP_MSEC);
    assert_int_equal(norm_sender_command(s.sim.sender, (const uint8_t *)"leave", 5), CP_OK);
    assert_true(sim_run(&s.sim));
    assert_int_equal(s.sim.receivers[0].commands, 1);
    assert_int_equal(s.sim.receivers[1].commands, 1);
    assert_non_null(strstr(trace_text(&s.trace), "S command leave\n"));
    sim_done(&s.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nack_and_parity),
        cmocka_unit_test(advert_suppresses),
        cmocka_unit_test(tail_and_flush_lost),
        cmocka_unit_test(info_lost),
        cmocka_unit_test(late_join),
        cmocka_unit_test(parity_exhausted),
        cmocka_unit_test(absent_acker),
        cmocka_unit_test(everybody_gone),
        cmocka_unit_test(nack_lost),
        cmocka_unit_test(restart),
        cmocka_unit_test(withdraw),
        cmocka_unit_test(sender_vanishes),
        cmocka_unit_test(command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
