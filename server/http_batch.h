/* SPDX-License-Identifier: Apache-2.0
 * TLS records of one block in one system call. libmicrohttpd hands GnuTLS 16 KiB at a time, each
 * connection in turn: every one of these would wake its client, which takes the processor away. A
 * batch belongs to its connection. */
#ifndef SERVER_HTTP_BATCH_H
#define SERVER_HTTP_BATCH_H

#include <microhttpd.h>
#include <stddef.h>

/* Zeroed at the start. */
struct srv_batch {
    int fd;
    unsigned hold; /* so many records are kept back yet */
    char *held;    /* what is kept back: malloced when first needed */
    size_t size, sent;
};

/* When the connection begins: nothing happens where there is no TLS. */
void srv_batch_begin(struct srv_batch *b, struct MHD_Connection *connection);
void srv_batch_done(struct srv_batch *b);
/* No body for now: an idle connection needs no memory for it. */
void srv_batch_rest(struct srv_batch *b);

/* libmicrohttpd is about to send so many bytes (at most SRV_BATCH_MAX), and nothing else before. */
#define SRV_BATCH_MAX (64u * 1024u)
void srv_batch_expect(struct srv_batch *b, size_t size);

#endif
