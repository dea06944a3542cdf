/* SPDX-License-Identifier: Apache-2.0
 * What the two halves of the session's façade share; see session_common.h. */
#include "multicast/session_common.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

uint64_t mc_object_size(uint64_t content_size, uint16_t segment_size, uint16_t max_block_len)
{
    uint64_t block = (uint64_t)segment_size * max_block_len;
    uint64_t unit = content_size > block ? block : segment_size;

    if (unit == 0 || content_size > UINT64_MAX - unit) {
        return 0;
    }
    return (content_size + unit - 1) / unit * unit;
}

static enum cp_err refuse(struct cp_error *err, const char *why)
{
    return cp_error_set(err, CP_ERR_INVALID, "session: %s", why);
}

enum cp_err mc_channel_check(const struct mc_channel *c, bool learning, struct cp_error *err)
{
    struct norm_partition partition;

    if (memchr(c->group, 0, sizeof(c->group)) == NULL ||
        memchr(c->interface, 0, sizeof(c->interface)) == NULL ||
        memchr(c->source, 0, sizeof(c->source)) == NULL) {
        return refuse(err, "an address or name is too long");
    }
    if (c->port == 0) {
        return refuse(err, "the port is 0");
    }
    if (c->ssm && c->source[0] == '\0') {
        return refuse(err, "source-specific multicast needs the source's address");
    }
    if (c->object_size == 0) {
        if (!learning) {
            return refuse(err, "the object's size is 0");
        }
        return c->auth || c->encrypt ? refuse(err, "a secured object must be known beforehand")
                                     : CP_OK;
    }
    struct norm_fti fti = mc_channel_fti(c);
    if (norm_partition_init(&partition, &fti, c->fec_id) != CP_OK) {
        return refuse(err, "the object cannot be divided into blocks and symbols");
    }
    if (c->content_size == 0 || c->content_size > c->object_size ||
        (c->content_size != c->object_size &&
         c->object_size != mc_object_size(c->content_size, c->segment_size, c->max_block_len))) {
        return refuse(err, "content size and object size do not belong together");
    }
    if (c->sender_id == NORM_NODE_NONE || c->sender_id == NORM_NODE_ANY) {
        return c->auth || !learning ? refuse(err, "the sender's node id is not usable") : CP_OK;
    }
    return CP_OK;
}

struct norm_fti mc_channel_fti(const struct mc_channel *c)
{
    return (struct norm_fti){
        .object_size = c->object_size,
        .segment_size = c->segment_size,
        .max_block_len = c->max_block_len,
        .num_parity = c->num_parity,
    };
}

enum cp_err mc_extents_copy(const struct mc_extent *item, size_t count, struct io_extent **ret_item)
{
    if (count == 0 || item == NULL) {
        return CP_ERR_INVALID;
    }
    struct io_extent *copy = calloc(count, sizeof(*copy));
    if (copy == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = (struct io_extent){
            .fd = item[i].fd,
            .file_offset = item[i].file_offset,
            .object_offset = item[i].object_offset,
            .size = item[i].size,
        };
    }
    *ret_item = copy;
    return CP_OK;
}

size_t mc_buffer_memory(size_t wish)
{
    return wish == 0 ? MC_BUFFER_MEMORY : wish;
}

enum io_udp_mode mc_udp_mode(bool force_plain_io)
{
    return force_plain_io ? IO_UDP_PLAIN : IO_UDP_AUTO;
}

enum seal_mac mc_seal_mac(const struct mc_channel *c)
{
    return c->mac == MC_MAC_AES256_GMAC ? SEAL_AES256_GMAC : SEAL_HMAC_SHA256;
}

uint64_t mc_seed(uint32_t node_id)
{
    return cp_clock_wall() ^ ((uint64_t)node_id << 32);
}
