/* SPDX-License-Identifier: Apache-2.0
 * Private to the codec: the sub-types of NORM_CMD. Their read and write begin behind the sub-type
 * byte; cmd.c handles what is before it. Pure. */
#ifndef MULTICAST_NORM_CMD_H
#define MULTICAST_NORM_CMD_H

#include "multicast/norm/codec.h"

extern const struct norm_codec norm_codec_flush;       /* cmd_position.c */
extern const struct norm_codec norm_codec_squelch;     /* cmd_position.c */
extern const struct norm_codec norm_codec_cc;          /* cmd_cc.c */
extern const struct norm_codec norm_codec_eot;         /* cmd.c */
extern const struct norm_codec norm_codec_repair_adv;  /* cmd.c */
extern const struct norm_codec norm_codec_ack_req;     /* cmd.c */
extern const struct norm_codec norm_codec_application; /* cmd.c */

#endif
