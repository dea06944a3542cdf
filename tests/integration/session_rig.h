/* SPDX-License-Identifier: Apache-2.0
 * Test rig: a network namespace with multicast on its loopback, content in files, sender and
 * receivers of multicast/session.h each in a thread of its own. */
#ifndef TESTS_SESSION_RIG_H
#define TESTS_SESSION_RIG_H

#include <pthread.h>

#include "multicast/session.h"

#define RIG_FILES     3u
#define RIG_RECEIVERS 4u

struct rig_receiver {
    struct mc_receiver_config config;
    struct mc_receiver *mc;
    pthread_t thread;
    bool running;
    int fd[RIG_FILES];
    struct mc_extent extent[RIG_FILES];
    enum cp_err code;
    struct cp_error err;
};

struct rig {
    char folder[64];
    uint8_t *content;
    size_t content_size;
    uint8_t *digests;
    size_t chunk_count;
    struct mc_channel channel;
    const char *source; /* address that the sender is to have */

    struct mc_sender_config sender_config;
    struct mc_sender *sender;
    pthread_t thread;
    bool running;
    int fd[RIG_FILES];
    struct mc_extent extent[RIG_FILES];
    enum cp_err code;
    struct cp_error err;

    struct rig_receiver receiver[RIG_RECEIVERS];
};

/* Once a process: a network (and mount) namespace of its own. False when the system denies it. */
bool rig_namespace(void);

/* Content in files, digests, a channel with authentication and encryption; ports differ from rig
 * to rig, so that late packets of one test do not meet the next. */
void rig_make(struct rig *r, size_t content_size);
void rig_drop(struct rig *r); /* stops and joins what still runs, closes, removes */

void rig_open_sender(struct rig *r);
void rig_start_sender(struct rig *r);
enum cp_err rig_join_sender(struct rig *r);

/* Fills r->receiver[index].config and makes its files; change the config, then open. */
struct rig_receiver *rig_prepare(struct rig *r, unsigned index);
void rig_open_receiver(struct rig_receiver *x);
void rig_start_receiver(struct rig_receiver *x);
enum cp_err rig_join_receiver(struct rig_receiver *x);

/* Opens and starts the first receivers and the sender, with a roster of them; waits until all are
 * done, and checks files and statistics. */
void rig_run_all(struct rig *r, unsigned receivers);
void rig_check_all(struct rig *r, unsigned receivers);

/* Are the files of the receiver the content? */
bool rig_equal(struct rig *r, const struct rig_receiver *x);
/* Writes the content's bytes of a chunk into the receiver's files. */
void rig_write_chunk(struct rig *r, struct rig_receiver *x, size_t chunk);

/* Waits until the condition holds, 20 s at most; false when it never did. */
typedef bool rig_condition(void *arg);
bool rig_await(rig_condition *condition, void *arg);

#endif
