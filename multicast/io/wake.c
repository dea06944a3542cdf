/* SPDX-License-Identifier: Apache-2.0
 * Waiting of an engine's thread; see wake.h. */
#include "multicast/io/wake.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum cp_err io_wake_init(struct io_wake *w)
{
    atomic_init(&w->raised, false);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->fd < 0 ? CP_ERR_NO_MEMORY : CP_OK;
}

void io_wake_done(struct io_wake *w)
{
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
}

void io_wake_raise(struct io_wake *w)
{
    uint64_t one = 1;

    atomic_store(&w->raised, true);
    ssize_t put = write(w->fd, &one, sizeof(one));
    (void)put; /* fails only when the counter is full: the descriptor is readable anyway */
}

bool io_wake_take(struct io_wake *w)
{
    uint64_t count = 0;

    if (!atomic_load(&w->raised)) {
        return false;
    }
    /* The descriptor first: a call between the two leaves it readable, never forgotten. */
    ssize_t got = read(w->fd, &count, sizeof(count));
    (void)got;
    return atomic_exchange(&w->raised, false);
}

bool io_wait(const int *fd, size_t count, cp_time now, cp_time until)
{
    struct pollfd p[IO_WAIT_MAX];
    nfds_t used = 0;

    CP_ASSERT(count <= IO_WAIT_MAX);
    for (size_t i = 0; i < count; i++) {
        if (fd[i] >= 0) {
            p[used++] = (struct pollfd){.fd = fd[i], .events = POLLIN};
        }
    }
    cp_time left = until > now ? until - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(left / CP_SEC), .tv_nsec = (long)(left % CP_SEC)};
    /* EINTR is an early end of the wait, which every caller can take. */
    return ppoll(p, used, until == CP_TIME_NEVER ? NULL : &ts, NULL) > 0;
}
