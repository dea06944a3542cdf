/* SPDX-License-Identifier: Apache-2.0
 * What the stories share: a small object at a slow pace, packets that get lost by name, and the
 * transcript that is compared. Include behind cmocka.h. One thread. */
#ifndef TESTS_SIM_STORY_H
#define TESTS_SIM_STORY_H

#include "trace.h"

#define STORY_SEGMENT 64u
#define STORY_BLOCK   8u
#define STORY_BLOCKS  4u

/* A packet that gets lost: the first `count` that are like it. */
struct loss {
    unsigned to;   /* 0: the sender; else receiver number */
    int type, cmd; /* of the message; cmd -1: any */
    int sbn, esi;  /* -1: any */
    unsigned count;
};

struct story {
    struct sim sim;
    struct sim_config config;
    struct sim_receiver_spec specs[8];
    struct trace trace;
    struct loss losses[8];
};

/* Receivers a millisecond away, a symbol each 1.7 ms. The story may change all of it before it is
 * told. */
void story_prepare(struct story *s, unsigned receivers);
/* Runs it to its end and compares; fails the test. */
void story_tell(struct story *s, unsigned receivers, const char *expected);

#endif
