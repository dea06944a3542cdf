/* SPDX-License-Identifier: Apache-2.0
 * NORM messages made after a script: whatever a member of the group could send, well-formed or
 * nearly so, around the values that are valid. */
#ifndef TESTS_FUZZ_FORGE_H
#define TESTS_FUZZ_FORGE_H

#include "multicast/norm/wire.h"
#include "tests/fuzz/script.h"

#define FORGE_PAYLOAD_MAX 512u

/* What is valid at the moment. */
struct forge_base {
    uint32_t sender_id, receiver_id;
    uint16_t instance_id;
    uint16_t object_id;
    uint8_t fec_id;
    struct norm_fti fti;
    uint32_t sbn; /* a block of interest */
    uint32_t time_sec, time_usec;
    uint16_t cc_sequence;
};

/* The message, its payload in `payload`. */
void forge_message(struct script *s, const struct forge_base *base,
                   uint8_t payload[FORGE_PAYLOAD_MAX], struct norm_msg *ret_msg);

#endif
