/* SPDX-License-Identifier: Apache-2.0
 * A distribution point for tests of castget: real HTTPS by server/http, real keys, manifests and
 * multicast; joins and content out of memory, with faults to order. One at a time in a process. */
#ifndef TESTS_UNIT_CLIENT_FAKE_SERVICE_H
#define TESTS_UNIT_CLIENT_FAKE_SERVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/jws.h"
#include "content/manifest.h"
#include "content/object_map.h"
#include "multicast/session.h"
#include "server/http.h"
#include "server/tls_cert.h"

#define FAKE_PACKAGE "image"
#define FAKE_FILES   3u

struct fake_service {
    /* set before fake_service_start() */
    bool authenticated;        /* wants bob with "secret", or the token "cpt_x" */
    bool no_https;             /* policy "require" */
    bool session;              /* tickets have one … */
    bool sending;              /* … and it is really sent … */
    bool half;                 /* … slowly, until half of it has gone, then never more */
    unsigned silence_ms;       /* of tickets; 300 */
    bool foreign_manifest_key; /* the manifest is signed by somebody else */
    int join_problem;          /* cp_err that every join is refused with, 0 none */
    unsigned join_refusals;    /* so many joins get 503 before */
    unsigned content_refusals; /* so many content requests get 503 */
    unsigned content_corrupt;  /* so many get a wrong byte */
    unsigned content_cut;      /* so many end early */
    bool leave;                /* progress is answered with "leave" … */
    bool too_slow;             /* … because the receiver is too slow */
    bool late; /* … and it learns so when it reports content, a minute later or by asking */
    bool gmac; /* packets carry AES-256-GMAC instead of HMAC */

    /* made by it */
    char dir[64];
    char url[64];
    char cacert[96];
    struct srv_tls tls;
    struct srv_http *http;
    struct jws_key identity, multicast;
    struct manifest *manifest;
    struct object_map *map;
    char *manifest_text;
    size_t manifest_size;
    char *manifest_signature, *certificate;
    uint8_t *data; /* the stream */
    struct mc_channel channel;
    pthread_t sender_thread;
    bool sender_runs;
    int data_fd;

    /* what was asked; under the lock while the service runs */
    pthread_mutex_t lock;
    pthread_cond_t came; /* the first progress, or the end */
    bool stopping;
    unsigned joins, content_requests, progress_puts, results;
    uint64_t content_bytes; /* sent */
    char last_progress[1024];
    char moved_reason[64];
    char result[1024];
    char join_body[1024];
};

/* The stream of three files ("a", "sub/b", "sub/c"): pseudo-random but for zero_chunk (an index;
 * SIZE_MAX: none; SIZE_MAX - 1: all are zero). */
void fake_service_start(struct fake_service *s, size_t zero_chunk);
void fake_service_stop(struct fake_service *s);

#endif
