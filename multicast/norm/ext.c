/* SPDX-License-Identifier: Apache-2.0
 * Header extensions: EXT_FTI, EXT_CC, EXT_RATE (RFC 5740 sections 4.2.1, 4.2.3.4, 4.2.3.5) and
 * EXT_AUTH (RFC 6584 section 5). Unknown ones are skipped. Pure. */
#include "multicast/norm/codec.h"

#define HET_AUTH      1u
#define HET_CC        3u
#define HET_FTI       64u
#define HET_FIXED_MIN 128u /* from here on: one word, no hel */
#define HET_RATE      128u

#define WORD            4u
#define EXT_CC_SIZE     12u
#define EXT_RATE_SIZE   4u
#define AUTH_SIZE_MIN   8u /* AR = 0: het, hel, ASID, SN and one word of MAC */
#define AUTH_AR_MIN     12u
#define AUTH_AR         0x01u
#define OBJECT_SIZE_MAX 0xffffffffffffu

/* RFC5510 4.2.4.1: "G … the default value is 1"; more symbols per packet are not supported. */
#define RS_M_BITS  8u
#define RS_M_GROUP 1u

static size_t fti_size(uint8_t fec_id)
{
    return fec_id == NORM_FEC_RS_8 ? 12 : 16;
}

/* RFC5740 4.2.1, RFC5510 5.2.4.1, RFC5510 4.2.4.1: the last field is the number of parity
 * symbols, as RFC 5740 has it, with all three schemes. */
static bool fti_read(struct cp_reader *in, struct norm_msg *msg)
{
    struct norm_fti *fti = &msg->ext.fti;
    uint8_t bits = RS_M_BITS, group = RS_M_GROUP;

    if (msg->ext.has_fti || in->size != fti_size(msg->fec_id)) {
        return false;
    }
    fti->object_size = cp_read_u48(in);
    if (msg->fec_id == NORM_FEC_SB_SYSTEMATIC) {
        fti->instance = cp_read_u16(in);
    } else if (msg->fec_id == NORM_FEC_RS_M) {
        bits = cp_read_u8(in);
        group = cp_read_u8(in);
    }
    fti->segment_size = cp_read_u16(in);
    if (msg->fec_id == NORM_FEC_RS_8) {
        fti->max_block_len = cp_read_u8(in);
        fti->num_parity = cp_read_u8(in);
    } else {
        fti->max_block_len = cp_read_u16(in);
        fti->num_parity = cp_read_u16(in);
    }
    msg->ext.has_fti = true;
    return bits == RS_M_BITS && group == RS_M_GROUP;
}

static bool cc_read(struct cp_reader *in, struct norm_ext *ext)
{
    if (ext->has_cc || in->size != EXT_CC_SIZE) {
        return false;
    }
    ext->cc.sequence = cp_read_u16(in);
    ext->cc.flags = cp_read_u8(in);
    ext->cc.rtt = cp_read_u8(in);
    ext->cc.loss = cp_read_u16(in);
    ext->cc.rate = cp_read_u16(in);
    ext->has_cc = true;
    return true;
}

/* RFC6584 5.1: "SN (…) 8 bits (when the AR flag is 0) … MUST be set to 0". Its other contents are
 * the business of whoever holds the key. */
static bool auth_read(struct cp_reader *in, size_t at, struct norm_ext *ext)
{
    bool anti_replay = (cp_read_u8(in) & AUTH_AR) != 0;
    uint8_t sn = cp_read_u8(in);

    if (ext->has_auth || in->size < (anti_replay ? AUTH_AR_MIN : AUTH_SIZE_MIN)) {
        return false;
    }
    if (!anti_replay && sn != 0) {
        return false;
    }
    ext->has_auth = true;
    ext->auth_offset = at;
    ext->auth_size = in->size;
    return true;
}

/* `in` covers one variable-length extension, which begins at `at` in the packet, and stands behind
 * het and hel. */
static bool variable_read(struct cp_reader *in, size_t at, uint8_t het, struct norm_msg *msg)
{
    switch (het) {
    case HET_AUTH:
        return auth_read(in, at, &msg->ext);
    case HET_CC:
        return cc_read(in, &msg->ext);
    case HET_FTI:
        /* RFC5740 4.2.1: "MAY be applied to NORM_DATA and NORM_INFO messages"; elsewhere there is
         * no fec_id to read it with. */
        return (msg->type != NORM_INFO && msg->type != NORM_DATA) || fti_read(in, msg);
    default:
        return true;
    }
}

/* RFC5740 4.1: "The "hel" field MUST be present for variable-length extensions […] and MUST NOT
 * be present for fixed-length extensions" */
enum cp_err norm_ext_read(struct cp_reader *in, struct norm_msg *msg)
{
    while (cp_reader_left(in) > 0) {
        size_t start = in->at;
        uint8_t het = cp_read_u8(in);
        size_t size = WORD;
        struct cp_reader ext;

        if (het < HET_FIXED_MIN) {
            size = WORD * cp_read_u8(in);
        }
        in->at = start;
        ext = cp_read_sub(in, size);
        if (ext.failed || size == 0) {
            return CP_ERR_MALFORMED;
        }
        (void)cp_read_u16(&ext);
        if (het == HET_RATE) {
            if (msg->ext.has_rate) {
                return CP_ERR_MALFORMED;
            }
            msg->ext.has_rate = true;
            msg->ext.rate = cp_read_u16(&ext);
        } else if (het < HET_FIXED_MIN && !variable_read(&ext, start, het, msg)) {
            return CP_ERR_MALFORMED;
        }
    }
    return CP_OK;
}

static bool fti_fits(const struct norm_msg *msg)
{
    const struct norm_fti *fti = &msg->ext.fti;

    if (msg->type != NORM_INFO && msg->type != NORM_DATA) {
        return false;
    }
    if (msg->fec_id == NORM_FEC_RS_8 &&
        (fti->max_block_len > UINT8_MAX || fti->num_parity > UINT8_MAX)) {
        return false;
    }
    return fti->object_size <= OBJECT_SIZE_MAX;
}

bool norm_ext_size(const struct norm_msg *msg, size_t *ret_size)
{
    const struct norm_ext *ext = &msg->ext;
    size_t size = 0;

    if (ext->has_cc) {
        size += EXT_CC_SIZE;
    }
    if (ext->has_rate) {
        size += EXT_RATE_SIZE;
    }
    if (ext->has_fti) {
        if (!fti_fits(msg)) {
            return false;
        }
        size += fti_size(msg->fec_id);
    }
    if (ext->auth_size != 0) {
        if (ext->auth_size % WORD != 0 || ext->auth_size < AUTH_SIZE_MIN ||
            ext->auth_size > UINT8_MAX * WORD) {
            return false;
        }
        size += ext->auth_size;
    }
    *ret_size = size;
    return true;
}

static void het_hel_write(struct cp_writer *out, uint8_t het, size_t size)
{
    cp_write_u8(out, het);
    cp_write_u8(out, (uint8_t)(size / WORD));
}

static void fti_write(struct cp_writer *out, uint8_t fec_id, const struct norm_fti *fti)
{
    het_hel_write(out, HET_FTI, fti_size(fec_id));
    cp_write_u48(out, fti->object_size);
    if (fec_id == NORM_FEC_SB_SYSTEMATIC) {
        cp_write_u16(out, fti->instance);
    } else if (fec_id == NORM_FEC_RS_M) {
        cp_write_u8(out, RS_M_BITS);
        cp_write_u8(out, RS_M_GROUP);
    }
    cp_write_u16(out, fti->segment_size);
    if (fec_id == NORM_FEC_RS_8) {
        cp_write_u8(out, (uint8_t)fti->max_block_len);
        cp_write_u8(out, (uint8_t)fti->num_parity);
    } else {
        cp_write_u16(out, fti->max_block_len);
        cp_write_u16(out, fti->num_parity);
    }
}

/* EXT_CC comes first because NRL's sender looks for it in the first extension of a NACK only;
 * EXT_AUTH last, so that sealing touches one place at the header's end. */
void norm_ext_write(struct cp_writer *out, struct norm_msg *msg)
{
    struct norm_ext *ext = &msg->ext;

    if (ext->has_cc) {
        het_hel_write(out, HET_CC, EXT_CC_SIZE);
        cp_write_u16(out, ext->cc.sequence);
        cp_write_u8(out, ext->cc.flags);
        cp_write_u8(out, ext->cc.rtt);
        cp_write_u16(out, ext->cc.loss);
        cp_write_u16(out, ext->cc.rate);
        cp_write_u16(out, 0);
    }
    if (ext->has_rate) {
        cp_write_u8(out, HET_RATE);
        cp_write_u8(out, 0);
        cp_write_u16(out, ext->rate);
    }
    if (ext->has_fti) {
        fti_write(out, msg->fec_id, &ext->fti);
    }
    ext->auth_offset = 0;
    if (ext->auth_size != 0) {
        ext->auth_offset = out->at;
        het_hel_write(out, HET_AUTH, ext->auth_size);
        cp_write_zeros(out, ext->auth_size - 2);
    }
}
