/* SPDX-License-Identifier: Apache-2.0
 * Content of simulated symbols: derived from where they stand, checked where they are stored. */
#ifndef TESTS_SIM_SIM_CONTENT_H
#define TESTS_SIM_SIM_CONTENT_H

#include "sim.h"

/* The bytes of a symbol, source or parity. */
void sim_content_fill(const struct sim *sim, uint32_t sbn, uint16_t esi, uint8_t *data,
                      size_t size);
/* What a driver would do with a new symbol; NULL, or what is wrong with it. */
const char *sim_content_store(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx);
/* The block is here by other means. */
void sim_content_have(struct sim *sim, struct sim_receiver *r, uint32_t sbn);
/* All symbols of the block are given up. */
void sim_content_forget(struct sim *sim, struct sim_receiver *r, uint32_t sbn);

#endif
