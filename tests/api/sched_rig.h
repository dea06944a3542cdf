/* SPDX-License-Identifier: Apache-2.0
 * What tests of the scheduler stand on: the API's rig, a scheduler with a real database, and
 * receivers on the loopback link. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_API_SCHED_RIG_H
#define TESTS_API_SCHED_RIG_H

#include <pthread.h>

#include "api/session/progress.h"
#include "multicast/session.h"
#include "server/scheduler.h"
#include "tests/api/rig.h"

#define SCHED_CONTENT_SIZE (3u * 1024 * 1024 + 77)
#define SCHED_PATIENCE     (30 * CP_SEC)

/* One in a process; made by sched_set_up. */
struct sched {
    struct rig *rig;
    struct srv_scheduler *scheduler;
    struct db_listener *listener; /* the tests' own */
    struct db_listener *ears;     /* the scheduler's */
    struct api_progress *progress;
    uint8_t *content;
};
extern struct sched sched;

/* Group fixtures of cmocka: sessions begin at once, on "lo", for everybody. */
int sched_set_up(void **state);
int sched_tear_down(void **state);

void sched_start(void);
void sched_stop(void);

/* A sealed version of a new package, which holds sched.content. */
void sched_package(const char *name);

/* A place in a session: what the ticket says; its signatures are checked in test_joins.c. */
struct sched_place {
    char join[DB_ID_SIZE];
    char session[DB_ID_SIZE];
    char bearer[128];
    struct mc_receiver_config config;
};
struct sched_place sched_join(const char *package, const char *client);
/* PUT to the join's "progress" or "result"; the answer's status. */
int sched_report(const struct sched_place *p, const char *tail, const char *body);

/* The session as the API shows it, to be released. */
json_t *sched_session(const struct sched_place *p);
/* Waits until it has that state, woken by the database's notifications; a change without one is
 * seen a little later. */
json_t *sched_await(const struct sched_place *p, const char *state);
void sched_expect(const struct sched_place *p, const char *state);
void sched_expect_end(const struct sched_place *p, const char *state, const char *code);
/* Pauses until something is notified, at most a tenth of a second. */
void sched_pause(void);

/* By hand, without a notification. */
void sched_rate(const char *bps);

json_int_t sched_number(const json_t *object, const char *name);

/* A receiver in a thread of its own. */
struct sched_receiving {
    struct mc_receiver *receiver;
    struct mc_extent extent;
    pthread_t thread;
    enum cp_err result;
};
void sched_receive(struct sched_receiving *r, struct sched_place *p);
enum cp_err sched_receive_end(struct sched_receiving *r);
void sched_assert_content(const struct sched_receiving *r);

#endif
