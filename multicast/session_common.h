/* SPDX-License-Identifier: Apache-2.0
 * What the two halves of the session's façade share. Internal to multicast/session_*.c. Pure. */
#ifndef MULTICAST_SESSION_COMMON_H
#define MULTICAST_SESSION_COMMON_H

#include "multicast/io/extents.h"
#include "multicast/io/udp.h"
#include "multicast/norm/block.h"
#include "multicast/norm/wire.h"
#include "multicast/seal/seal.h"
#include "multicast/session.h"

/* Block buffers of one session: together with tables and sockets it stays below 64 MiB. */
#define MC_BUFFER_MEMORY ((size_t)44 << 20)

/* Checks what the peers agreed on; learning: the receiver takes the object from the air when
 * object_size is 0. CP_ERR_INVALID with the reason. */
CP_MUST_CHECK enum cp_err mc_channel_check(const struct mc_channel *c, bool learning,
                                           struct cp_error *err);

struct norm_fti mc_channel_fti(const struct mc_channel *c);

/* The façade's extents as those of io/. Caller frees. */
CP_MUST_CHECK enum cp_err mc_extents_copy(const struct mc_extent *item, size_t count,
                                          struct io_extent **ret_item);

/* Bytes for block buffers, from the configuration's wish. */
size_t mc_buffer_memory(size_t wish);

enum io_udp_mode mc_udp_mode(bool force_plain_io);

enum seal_mac mc_seal_mac(const struct mc_channel *c);

/* Seed of the back-off timers: not secret, but different for each node and start. */
uint64_t mc_seed(uint32_t node_id);

#endif
