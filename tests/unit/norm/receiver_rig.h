/* SPDX-License-Identifier: Apache-2.0
 * A receiver of the object of core.h, and the sender's messages by hand. */
#ifndef TESTS_UNIT_NORM_RECEIVER_RIG_H
#define TESTS_UNIT_NORM_RECEIVER_RIG_H

#include "core.h"

/* What the receiver sent last, and what it made of the last packet. */
extern struct norm_txbuf rcv_tx;
extern struct norm_rx rcv_rx;

struct norm_receiver *rcv_make(const struct norm_receiver_config *config);

/* A message of the sender with K = 0: feedback comes at once. */
struct norm_msg rcv_sender_msg(enum norm_type type);
struct norm_msg rcv_data_msg(uint32_t sbn, uint16_t esi);

/* Gives it to the receiver; DATA; a FLUSH behind the last symbol, which lists these nodes. */
enum cp_err rcv_give(struct norm_receiver *r, cp_time now, struct norm_msg *msg);
enum cp_err rcv_data(struct norm_receiver *r, cp_time now, uint32_t sbn, uint16_t esi);
void rcv_flush(struct norm_receiver *r, cp_time now, const uint8_t *list, size_t size);

/* The feedback due now; false when there is none. */
bool rcv_feedback(struct norm_receiver *r, cp_time now, struct norm_msg *ret_msg);
/* Entry `index` of a NACK. */
struct norm_repair rcv_entry(const struct norm_msg *msg, unsigned index);

#endif
