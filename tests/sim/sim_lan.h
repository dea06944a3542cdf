/* SPDX-License-Identifier: Apache-2.0
 * The sender that castpointd runs, for simulations of what it achieves: the engine's profile, and
 * symbols, blocks and parity as the service sets them (server/engine.c). */
#ifndef TESTS_SIM_SIM_LAN_H
#define TESTS_SIM_SIM_LAN_H

#include "sim.h"

#define LAN_SEGMENT 1408u
#define LAN_BLOCK   128u
#define LAN_PARITY  32u
#define LAN_PACKET  (LAN_SEGMENT + 64u) /* DATA header with EXT_FTI and EXT_AUTH */

/* An object of whole blocks, for a group of so many; nobody has set a ceiling or a trace. */
struct norm_sender_config sim_lan_sender(uint64_t object_size, uint64_t gsize);

/* Receivers on links that lose that share, 100 us away, who know the object and acknowledge. */
void sim_lan_specs(struct sim_receiver_spec *specs, unsigned count, double loss);

#endif
