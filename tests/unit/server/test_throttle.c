/* SPDX-License-Identifier: Apache-2.0
 * Tests of the ceiling of downloads: its rate, turns, changes while somebody waits. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "server/http_throttle.h"

#define TURNS 5
#define BLOCK (64u * 1024u)

/* A download: suspended ones are told by the throttle's thread that they may go on. */
struct download {
    struct srv_turn turn; /* first */
    bool suspended;
    uint64_t got;
    int turns;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resumed = PTHREAD_COND_INITIALIZER;

static void suspend(struct srv_turn *turn)
{
    (void)pthread_mutex_lock(&lock);
    ((struct download *)turn)->suspended = true;
    (void)pthread_mutex_unlock(&lock);
}

static void resume(struct srv_turn *turn)
{
    (void)pthread_mutex_lock(&lock);
    ((struct download *)turn)->suspended = false;
    (void)pthread_cond_signal(&resumed);
    (void)pthread_mutex_unlock(&lock);
}

static struct download *next_ready(struct download *d, size_t count)
{
    struct download *ready = NULL;

    (void)pthread_mutex_lock(&lock);
    while (ready == NULL) {
        for (size_t i = 0; i < count && ready == NULL; i++) {
            ready = d[i].suspended ? NULL : &d[i];
        }
        if (ready == NULL) {
            (void)pthread_cond_wait(&resumed, &lock);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return ready;
}

static void ask(struct srv_throttle *t, struct download *d)
{
    size_t n = srv_throttle_take(t, &d->turn, BLOCK);

    d->got += n;
    d->turns += n > 0;
}

static struct srv_throttle *make(uint64_t bps, struct download *d, size_t count)
{
    struct srv_throttle *t = NULL;
    struct cp_error err;

    assert_int_equal(srv_throttle_new(&t, &err), CP_OK);
    srv_throttle_set(t, bps);
    for (size_t i = 0; i < count; i++) {
        d[i] = (struct download){.turn = {.suspend = suspend, .resume = resume}};
    }
    return t;
}

static void end(struct srv_throttle *t, struct download *d, size_t count)
{
    srv_throttle_open(t);
    for (size_t i = 0; i < count; i++) {
        srv_throttle_leave(t, &d[i].turn);
    }
    srv_throttle_free(t);
}

static void nobody_waits_without_a_ceiling(void **state)
{
    struct download d[1];
    struct srv_throttle *t = make(0, d, 1);

    (void)state;
    for (int i = 0; i < 100; i++) {
        ask(t, d);
    }
    assert_int_equal(d[0].got, 100 * BLOCK);
    assert_int_equal(srv_throttle_take(NULL, &d[0].turn, 7), 7);
    end(t, d, 1);
}

/* Never more than the ceiling and one burst: a slow machine makes this no worse. */
static void the_ceiling_is_kept(void **state)
{
    const uint64_t bps = 40000000; /* 5 MB/s: quanta of 64 KiB */
    struct download d[1];
    struct srv_throttle *t = make(bps, d, 1);
    cp_time began = cp_clock_now();

    (void)state;
    while (d[0].got < 1000000) {
        ask(t, next_ready(d, 1));
    }
    assert_true((cp_clock_now() - began) / CP_MSEC >= (1000000 - 2 * BLOCK) * 8 / (bps / 1000));
    end(t, d, 1);
}

static void all_get_the_same(void **state)
{
    struct download d[TURNS];
    struct srv_throttle *t = make(80000000, d, TURNS);
    int least, most;

    (void)state;
    for (int i = 0; i < 40; i++) {
        for (size_t k = 0; k < TURNS; k++) {
            if (!d[k].suspended) {
                ask(t, &d[k]);
            }
        }
        (void)next_ready(d, TURNS);
    }
    least = most = d[0].turns;
    for (size_t k = 1; k < TURNS; k++) {
        least = d[k].turns < least ? d[k].turns : least;
        most = d[k].turns > most ? d[k].turns : most;
    }
    assert_true(least > 0);
    assert_in_range(most - least, 0, 2);
    end(t, d, TURNS);
}

/* At the slowest ceiling 64 KiB are 8 seconds: who waits does not wait for that. */
static void a_change_reaches_those_who_wait(void **state)
{
    struct download d[TURNS];
    struct srv_throttle *t = make(64000, d, TURNS);
    uint64_t before = 0;

    (void)state;
    for (size_t k = 0; k < TURNS; k++) {
        do {
            ask(t, &d[k]);
        } while (!d[k].suspended);
        before += d[k].got;
    }
    assert_in_range(before, 0, 64000);
    srv_throttle_set(t, 0);
    for (size_t k = 0; k < TURNS; k++) {
        (void)next_ready(&d[k], 1);
        ask(t, &d[k]);
        assert_true(d[k].got >= BLOCK);
    }
    end(t, d, TURNS);
}

static void who_leaves_is_not_resumed(void **state)
{
    struct download d[3];
    struct srv_throttle *t = make(64000, d, 3);

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        do {
            ask(t, &d[k]);
        } while (!d[k].suspended);
    }
    srv_throttle_leave(t, &d[1].turn); /* out of the middle */
    srv_throttle_leave(t, &d[2].turn); /* the last one */
    srv_throttle_open(t);
    assert_false(d[0].suspended);
    assert_true(d[1].suspended);
    assert_true(d[2].suspended);
    ask(t, &d[0]);
    assert_false(d[0].suspended);
    end(t, d, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_without_a_ceiling),
        cmocka_unit_test(the_ceiling_is_kept),
        cmocka_unit_test(all_get_the_same),
        cmocka_unit_test(a_change_reaches_those_who_wait),
        cmocka_unit_test(who_leaves_is_not_resumed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
