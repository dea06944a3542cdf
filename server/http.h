/* SPDX-License-Identifier: Apache-2.0
 * HTTPS by libmicrohttpd: turns HTTP into api_request and api_response into HTTP. This and its
 * siblings http_*.c are the only places with <microhttpd.h>. Threads of its own serve requests. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <stdint.h>

#include "common/err.h"

struct api_context; /* api/api.h */
struct srv_http;
struct srv_throttle; /* server/http_throttle.h */
struct srv_trust;    /* server/http_tls.h */

struct srv_http_config {
    const char *listen_host;       /* numeric */
    uint16_t listen_port;          /* 0: one the kernel picks */
    const char *cert_pem;          /* borrowed until stop; NULL: plain HTTP (tests only) */
    const char *key_pem;           /* borrowed until stop */
    const char *plain_host;        /* numeric: content without TLS there too; "" or NULL: no */
    uint16_t plain_port;           /* 0: one the kernel picks */
    unsigned threads;              /* workers: requests that are handled at a time */
    unsigned connections;          /* limit; 0: 4096 */
    unsigned per_address;          /* of them, from one address; 0: a quarter, no less than 256 */
    size_t bodies;                 /* bytes of large bodies that are kept at a time; 0: 64 MiB */
    unsigned timeout_s;            /* a silent connection is closed; 0: 60 */
    unsigned slow_s;               /* for headers, and for 32 KiB of a body; 0: 30 */
    struct srv_throttle *throttle; /* of content; borrowed until stop, opened then; NULL: none */
    struct srv_trust *trust;       /* of client certificates; borrowed until stop; NULL: none */
    const struct api_context *api; /* borrowed until stop */
};

/* Begins to serve. CP_ERR_NETWORK naming the address when it cannot be bound. */
CP_MUST_CHECK enum cp_err srv_http_start(const struct srv_http_config *config,
                                         struct srv_http **ret_http, struct cp_error *err);

/* The port it listens on; the one without TLS, 0 when there is none. */
uint16_t srv_http_port(const struct srv_http *http);
uint16_t srv_http_plain_port(const struct srv_http *http);

/* Takes no new connections, cuts the present ones, waits for handlers. NULL allowed. */
void srv_http_stop(struct srv_http *http);

#endif
