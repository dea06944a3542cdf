/* SPDX-License-Identifier: Apache-2.0
 * fec_payload_id: where a symbol stands, by FEC scheme (RFC 5445 section 3.4.1, RFC 5510 sections
 * 4.1 and 5.1). Pure. */
#include "multicast/norm/codec.h"

#define SBN_24_MAX 0xffffffu

size_t norm_payload_id_size(uint8_t fec_id)
{
    switch (fec_id) {
    case NORM_FEC_SB_SYSTEMATIC:
        return 8;
    case NORM_FEC_RS_8:
    case NORM_FEC_RS_M:
        return 4;
    default:
        return 0;
    }
}

bool norm_payload_id_fits(uint8_t fec_id, const struct norm_payload_id *id)
{
    switch (norm_payload_id_size(fec_id)) {
    case 8:
        return true;
    case 4:
        return id->sbn <= SBN_24_MAX && id->esi <= UINT8_MAX;
    default:
        return false;
    }
}

/* RFC5445 5.2 (129), RFC5510 5.1 (5), RFC5510 4.1 (2, with m = 8). */
void norm_payload_id_read(struct cp_reader *in, uint8_t fec_id, struct norm_payload_id *ret_id)
{
    switch (norm_payload_id_size(fec_id)) {
    case 8:
        ret_id->sbn = cp_read_u32(in);
        ret_id->block_len = cp_read_u16(in);
        ret_id->esi = cp_read_u16(in);
        break;
    case 4:
        ret_id->sbn = cp_read_u24(in);
        ret_id->block_len = 0;
        ret_id->esi = cp_read_u8(in);
        break;
    default:
        in->failed = true;
        break;
    }
}

void norm_payload_id_write(struct cp_writer *out, uint8_t fec_id, const struct norm_payload_id *id)
{
    if (norm_payload_id_size(fec_id) == 8) {
        cp_write_u32(out, id->sbn);
        cp_write_u16(out, id->block_len);
        cp_write_u16(out, id->esi);
    } else {
        cp_write_u24(out, id->sbn);
        cp_write_u8(out, (uint8_t)id->esi);
    }
}

void norm_item_write(struct cp_writer *out, uint8_t fec_id, uint16_t object_id,
                     const struct norm_payload_id *id)
{
    cp_write_u8(out, fec_id);
    cp_write_u8(out, 0);
    cp_write_u16(out, object_id);
    norm_payload_id_write(out, fec_id, id);
}
