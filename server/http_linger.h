/* SPDX-License-Identifier: Apache-2.0
 * What peers still send after the answer that ended their connection is read and thrown away, for a
 * while: closed at once, with bytes unread, TCP resets the connection, and the reset overtakes the
 * answer (RFC 9112 9.6). One thread for all of them. Thread-safe. */
#ifndef SERVER_HTTP_LINGER_H
#define SERVER_HTTP_LINGER_H

#include <stdint.h>

#include "common/err.h"
#include "common/time.h"

struct srv_linger;

/* How much is read of one peer, and for how long. bytes 0: nothing. */
struct srv_linger_bounds {
    uint64_t bytes;
    cp_time time;
};

CP_MUST_CHECK enum cp_err srv_linger_new(struct srv_linger **ret_linger, struct cp_error *err);
void srv_linger_free(struct srv_linger *l); /* closes what is left; NULL allowed */

/* fd: a socket that its owner is about to close, the answer sent. From here on there is a second
 * descriptor of it; when there is no room for one the owner's close is the end, as it would be. */
void srv_linger_take(struct srv_linger *l, int fd, const struct srv_linger_bounds *bounds);

#endif
