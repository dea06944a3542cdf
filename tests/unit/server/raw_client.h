/* SPDX-License-Identifier: Apache-2.0
 * A client that sends exactly the bytes it is told, over plain TCP, and reads until the service
 * closes, or one response. Blocking; asserts on failures of the socket itself. */
#ifndef TESTS_UNIT_SERVER_RAW_CLIENT_H
#define TESTS_UNIT_SERVER_RAW_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#define RAW_ANSWER_SIZE 65536

struct raw_answer {
    int status; /* 0: nothing came */
    size_t size;
    char text[RAW_ANSWER_SIZE]; /* status line, headers, body */
    const char *body;
};

int raw_connect(uint16_t port);
/* The same from 127.0.0.`last`. */
int raw_connect_from(unsigned last, uint16_t port);
/* false when the peer has closed. */
int raw_send(int fd, const char *data, size_t size);
/* Reads one response: headers, then Content-Length bytes (none for head). */
void raw_read(int fd, int head, struct raw_answer *ret_answer);
/* True when the peer closes the connection without another byte. */
int raw_closed(int fd);

/* Connects, sends request, reads one response, closes. */
void raw_ask(uint16_t port, const char *request, struct raw_answer *ret_answer);

/* Connects, sends request, reads a first piece of what comes, closes. False when nobody listens.
 * For threads: asserts nothing. */
int raw_try(uint16_t port, const char *request, char *ret_some, size_t cap);

#endif
