/* SPDX-License-Identifier: Apache-2.0
 * A receiver of webhooks on the loopback link: takes what comes, or fails in the way it is told. */
#ifndef TESTS_API_HOOK_RECEIVER_H
#define TESTS_API_HOOK_RECEIVER_H

#include <stddef.h>

enum receiver_mode {
    RECEIVER_TAKES,     /* 204 */
    RECEIVER_FAILS,     /* 500 */
    RECEIVER_REDIRECTS, /* 302 to itself */
    RECEIVER_HANGS,     /* never answers */
    RECEIVER_CLOSES,    /* without an answer */
    RECEIVER_BABBLES,   /* what is no HTTP */
    RECEIVER_FLOODS     /* 200 with a body that does not end */
};

struct receiver;

struct receiver *receiver_new(void);
void receiver_free(struct receiver *r);
/* From the next request on. */
void receiver_set(struct receiver *r, enum receiver_mode mode);
/* "http://127.0.0.1:<port>/hook" */
void receiver_url(const struct receiver *r, char ret_url[64]);
/* Waits for so many requests in all. */
void receiver_await(struct receiver *r, size_t count);
size_t receiver_count(struct receiver *r);
/* The whole request, headers and body; from 0. */
const char *receiver_request(struct receiver *r, size_t i);
const char *receiver_body(struct receiver *r, size_t i);
/* Value of a header of it. */
void receiver_header(struct receiver *r, size_t i, const char *name, char ret_value[128]);
/* A port on which nobody listens. */
int receiver_dead_port(void);

#endif
