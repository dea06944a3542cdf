/* SPDX-License-Identifier: Apache-2.0
 * What UDP tests stand on: sockets on the loopback interface, in a network namespace of their own
 * where the system lets them have one. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_UNIT_IO_UDP_RIG_H
#define TESTS_UNIT_IO_UDP_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "multicast/io/udp.h"

#define UDP_GROUP         "239.255.77.77"
#define UDP_PORT          17001
#define UDP_PACKETS_MAX   200
#define UDP_PAYLOAD_MAX   2000
#define UDP_NAMESPACE_MTU 1500
#define UDP_WAIT_MS       5000

/* Group fixture of cmocka. */
int udp_enter_namespace(void **state);
extern bool udp_own_namespace; /* and so lo may be configured */
void udp_lo_set_up(bool up);
/* lo carries no IPv6 multicast and gives every frame back: some tests want a real interface, cpt0
 * with its peer cpt1. False: there can be none. */
bool udp_veth_add(void);
void udp_veth_remove(void);

/* Of UDP_GROUP on lo. */
struct io_udp_config udp_config(enum io_udp_mode mode);
struct io_udp *udp_open_sender(enum io_udp_mode mode);
struct io_udp *udp_open_receiver(enum io_udp_mode mode);
/* Opening fails with that code and a text that has that word. */
void udp_assert_refused(const struct io_udp_config *config, bool sender, enum cp_err code,
                        const char *word);

/* Packets copied out of a receiver. */
struct udp_inbox {
    size_t count;
    size_t size[UDP_PACKETS_MAX];
    uint8_t data[UDP_PACKETS_MAX][UDP_PAYLOAD_MAX];
    struct io_address from[UDP_PACKETS_MAX];
};
extern struct udp_inbox udp_inbox;
extern uint8_t udp_out[UDP_PACKETS_MAX * 1000];
/* With bytes that differ from packet to packet. */
void udp_fill_out(void);

/* What is there now; so many packets in all. */
void udp_drain(struct io_udp *u, struct udp_inbox *box);
void udp_await(struct io_udp *u, struct udp_inbox *box, size_t count);
void udp_send_text(struct io_udp *u, const struct io_address *to, const char *text);
void udp_assert_text(const struct udp_inbox *box, size_t i, const char *text);
/* Sends udp_out[0 … size) in packets of 1000 bytes; every one arrives once, in order. */
void udp_assert_round_trip(struct io_udp *tx, struct io_udp *rx, size_t size);

#endif
