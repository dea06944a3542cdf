/* SPDX-License-Identifier: Apache-2.0
 * The sending half of GnuTLS's transport. Records but the last of a block are kept back; the last
 * one goes with them, or not at all (EAGAIN), so that nothing is kept back that nobody will send. */
#include "server/http_batch.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/err.h"

/* RFC 8446 5.1, and what a record adds in TLS 1.3 and 1.2 with AEAD. */
#define RECORD_CONTENT  16384u
#define RECORD_OVERHEAD 64u
#define ROOM            (SRV_BATCH_MAX + (SRV_BATCH_MAX / RECORD_CONTENT) * RECORD_OVERHEAD)
#define PARTS           8

static size_t size_of(const giovec_t *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

/* False: there is no room, so it has to be sent. */
static bool keep(struct srv_batch *b, const giovec_t *iov, int count)
{
    size_t size = size_of(iov, count);

    if (b->held == NULL) {
        b->held = malloc(ROOM);
    }
    if (b->held == NULL || size > ROOM - b->size) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        memcpy(b->held + b->size, iov[i].iov_base, iov[i].iov_len);
        b->size += iov[i].iov_len;
    }
    return true;
}

/* What is kept back and this, as far as the socket takes it: how much of this; -1 with errno. */
static ssize_t send_all(struct srv_batch *b, const giovec_t *iov, int count)
{
    struct iovec parts[PARTS];
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t n;

    for (int i = 0; i < count && msg.msg_iovlen < PARTS; i++) {
        parts[msg.msg_iovlen++] = (struct iovec){iov[i].iov_base, iov[i].iov_len};
    }
    do {
        size_t held = b->size - b->sent;

        parts[0] = (struct iovec){held > 0 ? b->held + b->sent : NULL, held};
        n = sendmsg(b->fd, &msg, MSG_NOSIGNAL);
        if (n < 0) {
            return -1;
        }
        if ((size_t)n > held) {
            b->size = 0;
            b->sent = 0;
            return n - (ssize_t)held;
        }
        /* Nothing of this went; whether the socket is full the next try tells. */
        b->sent += (size_t)n;
    } while (true);
}

static ssize_t on_push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int count)
{
    struct srv_batch *b = ptr;

    CP_ASSERT(count > 0 && size_of(iov, count) > 0);
    if (b->hold > 0) {
        b->hold--;
        if (keep(b, iov, count)) {
            return (ssize_t)size_of(iov, count);
        }
        b->hold = 0;
    }
    return send_all(b, iov, count);
}

void srv_batch_begin(struct srv_batch *b, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = tls == NULL ? NULL : tls->tls_session;

    if (fd == NULL || session == NULL) {
        b->fd = -1;
        return;
    }
    b->fd = fd->connect_fd;
    gnutls_transport_set_vec_push_function(session, on_push);
    gnutls_transport_set_ptr2(session, gnutls_transport_get_ptr(session), b);
}

void srv_batch_rest(struct srv_batch *b)
{
    if (b->size == 0) {
        free(b->held);
        b->held = NULL;
    }
}

void srv_batch_done(struct srv_batch *b)
{
    free(b->held);
}

void srv_batch_expect(struct srv_batch *b, size_t size)
{
    if (b->fd >= 0 && size > 0) {
        b->hold = (unsigned)((size - 1) / RECORD_CONTENT);
    }
}
