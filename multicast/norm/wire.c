/* SPDX-License-Identifier: Apache-2.0
 * Common header of all NORM messages (RFC 5740 section 4.1), dispatch to the codec of each, and the
 * rules that hold for every message: version, lengths, node ids. Pure. */
#include "multicast/norm/wire.h"

#include "multicast/norm/codec.h"

#define WORD        4u
#define HDR_LEN_MAX 255u
#define NIBBLE_MAX  0x0fu

/* NULL for an unknown type or sub-type. */
static const struct norm_codec *codec_of(enum norm_type type, unsigned cmd)
{
    switch (type) {
    case NORM_INFO:
        return &norm_codec_info;
    case NORM_DATA:
        return &norm_codec_data;
    case NORM_CMD:
        return norm_codec_cmd(cmd);
    case NORM_NACK:
        return &norm_codec_nack;
    case NORM_ACK:
        return &norm_codec_ack;
    case NORM_REPORT:
        return &norm_codec_report;
    default:
        return NULL;
    }
}

/* RFC5401 3.4: "some type of unique source identifier <sourceId> field SHOULD be present"; two
 * ids are nobody's. */
static bool node_id_valid(uint32_t node_id)
{
    return node_id != NORM_NODE_NONE && node_id != NORM_NODE_ANY;
}

static bool node_ids_valid(const struct norm_msg *msg)
{
    if (msg->type == NORM_NACK || msg->type == NORM_ACK) {
        return node_id_valid(msg->source_id) && node_id_valid(msg->server_id);
    }
    return node_id_valid(msg->source_id);
}

static bool payload_size_valid(const struct norm_codec *codec, size_t size)
{
    return size >= codec->payload_size_min && size <= codec->payload_size_max &&
           size % codec->item_size == 0;
}

/* Base header: `header` covers hdr_len × 4 bytes. NULL when it is not one of ours. */
static const struct norm_codec *base_read(struct cp_reader *header, struct norm_msg *msg)
{
    const struct norm_codec *codec;

    if (msg->type == NORM_CMD) {
        norm_sender_word_read(header, msg);
        msg->cmd = cp_read_u8(header);
    }
    codec = codec_of(msg->type, msg->cmd);
    if (codec == NULL) {
        return NULL;
    }
    codec->read(header, msg);
    return header->failed ? NULL : codec;
}

/* RFC5740 4.1: "NORM implementations SHOULD ignore received messages with version numbers
 * different from their own." */
enum cp_err norm_decode(const uint8_t *pkt, size_t size, struct norm_msg *ret_msg)
{
    struct norm_msg msg = {0};
    struct cp_reader in;
    const struct norm_codec *codec;
    uint8_t version_type;
    size_t header_size;

    cp_reader_init(&in, pkt, size);
    version_type = cp_read_u8(&in);
    header_size = (size_t)cp_read_u8(&in) * WORD;
    if (version_type >> 4 != NORM_VERSION || header_size < NORM_COMMON_SIZE || header_size > size) {
        return CP_ERR_MALFORMED;
    }
    in.size = header_size;
    msg.type = version_type & NIBBLE_MAX;
    msg.sequence = cp_read_u16(&in);
    msg.source_id = cp_read_u32(&in);
    codec = base_read(&in, &msg);
    if (codec == NULL || !node_ids_valid(&msg)) {
        return CP_ERR_MALFORMED;
    }
    CP_TRY(norm_ext_read(&in, &msg));
    if (!payload_size_valid(codec, size - header_size)) {
        return CP_ERR_MALFORMED;
    }
    msg.payload = pkt + header_size;
    msg.payload_size = size - header_size;
    *ret_msg = msg;
    return CP_OK;
}

/* Size of the whole header, 0 when a field is out of range. */
static size_t header_size_of(const struct norm_msg *msg, const struct norm_codec *codec)
{
    size_t base, ext;

    if (codec == NULL || msg->backoff > NIBBLE_MAX || msg->gsize > NIBBLE_MAX ||
        !node_ids_valid(msg)) {
        return 0;
    }
    base = codec->base_size(msg);
    if (base == 0 || !norm_ext_size(msg, &ext) || base + ext > HDR_LEN_MAX * WORD) {
        return 0;
    }
    return base + ext;
}

size_t norm_header_size(const struct norm_msg *msg)
{
    return header_size_of(msg, codec_of(msg->type, msg->cmd));
}

size_t norm_encode(struct norm_msg *msg, uint8_t *pkt, size_t cap)
{
    const struct norm_codec *codec = codec_of(msg->type, msg->cmd);
    size_t header_size = header_size_of(msg, codec);
    struct cp_writer out;

    if (header_size == 0 || header_size > cap || !payload_size_valid(codec, msg->payload_size)) {
        return 0;
    }
    if (msg->payload != NULL && msg->payload_size > cap - header_size) {
        return 0;
    }
    cp_writer_init(&out, pkt, cap);
    cp_write_u8(&out, (uint8_t)(NORM_VERSION << 4 | msg->type));
    cp_write_u8(&out, (uint8_t)(header_size / WORD));
    cp_write_u16(&out, msg->sequence);
    cp_write_u32(&out, msg->source_id);
    if (msg->type == NORM_CMD) {
        norm_sender_word_write(&out, msg);
        cp_write_u8(&out, (uint8_t)msg->cmd);
    }
    codec->write(&out, msg);
    norm_ext_write(&out, msg);
    CP_ASSERT(!out.failed && out.at == header_size);
    if (msg->payload != NULL) {
        cp_write_bytes(&out, msg->payload, msg->payload_size);
    }
    return out.at;
}
