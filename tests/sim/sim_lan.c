/* SPDX-License-Identifier: Apache-2.0
 * See sim_lan.h. */
#include "sim_lan.h"

#include "multicast/norm/profile.h"

struct norm_sender_config sim_lan_sender(uint64_t object_size, uint64_t gsize)
{
    static const uint8_t info[] = "simulated";
    const uint64_t block = LAN_SEGMENT * LAN_BLOCK;
    struct norm_sender_config c = norm_profile_sender(gsize);

    c.node_id = SIM_SENDER_ID;
    c.instance_id = 7;
    c.object_id = 1;
    c.fec_id = 129;
    c.fti = (struct norm_fti){.object_size = object_size / block * block,
                              .segment_size = LAN_SEGMENT,
                              .max_block_len = LAN_BLOCK,
                              .num_parity = LAN_PARITY};
    c.info = info;
    c.info_size = sizeof(info);
    c.auth_size = 24;
    c.auto_parity = 2;
    c.auto_parity_max = LAN_PARITY;
    c.slow_share = 0.1;
    c.budget = true;
    return c;
}

void sim_lan_specs(struct sim_receiver_spec *specs, unsigned count, double loss)
{
    for (unsigned i = 0; i < count; i++) {
        specs[i] = (struct sim_receiver_spec){
            .down = {.loss = loss, .delay = 100 * CP_USEC, .jitter = 20 * CP_USEC},
            .up = {.loss = loss, .delay = 100 * CP_USEC},
            .object_known = true,
            .defer_missed = true,
            .acker = true,
        };
    }
}
