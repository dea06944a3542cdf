/* SPDX-License-Identifier: Apache-2.0
 * NORM_REPORT (RFC 5740 section 4.4.1): a common header and bytes that nobody defined. Pure. */
#include "multicast/norm/codec.h"

/* RFC5740 4.4.1: "The format of this message is currently undefined." It is read, and never
 * sent. */
static size_t report_base_size(const struct norm_msg *msg)
{
    (void)msg;
    return NORM_COMMON_SIZE;
}

static void report_read(struct cp_reader *in, struct norm_msg *msg)
{
    (void)in;
    (void)msg;
}

static void report_write(struct cp_writer *out, const struct norm_msg *msg)
{
    (void)out;
    (void)msg;
}

const struct norm_codec norm_codec_report = {
    .base_size = report_base_size,
    .read = report_read,
    .write = report_write,
    .item_size = 1,
    .payload_size_max = UINT16_MAX,
};
