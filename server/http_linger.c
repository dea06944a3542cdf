/* SPDX-License-Identifier: Apache-2.0
 * The sockets that are read until their peers have seen the answer, and the thread that does it. */
#include "server/http_linger.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

/* At a time: each costs a descriptor and, in the kernel, what its peer sends ahead. */
#define PLACES 256u
/* Of the epoll set: what wakes the thread up. */
#define WAKE          PLACES
#define LOOK_EVERY_MS 500
#define PIECE         (64u * 1024u)

struct place {
    int fd; /* -1: free */
    uint64_t left;
    cp_time until;
};

struct srv_linger {
    pthread_mutex_t lock;
    pthread_t thread;
    int epoll, wake;
    unsigned count;
    bool stop;
    struct place places[PLACES];
    char piece[PIECE]; /* the thread's */
};

static void leave(struct srv_linger *l, struct place *p)
{
    /* Closing is not enough while its first owner has not closed it either. */
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    (void)close(p->fd);
    p->fd = -1;
    l->count--;
}

/* One piece, so that all of them have their turn. */
static void read_on(struct srv_linger *l, struct place *p)
{
    ssize_t got = recv(p->fd, l->piece, sizeof l->piece, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || (uint64_t)got >= p->left) {
        leave(l, p);
        return;
    }
    p->left -= (uint64_t)got;
}

static void end_late_ones(struct srv_linger *l, cp_time now)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (l->places[i].fd >= 0 && l->places[i].until <= now) {
            leave(l, &l->places[i]);
        }
    }
}

static void *run(void *arg)
{
    struct srv_linger *l = arg;
    struct epoll_event events[32];

    (void)pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        int timeout = l->count > 0 ? LOOK_EVERY_MS : -1;
        int count;

        (void)pthread_mutex_unlock(&l->lock);
        count = epoll_wait(l->epoll, events, sizeof events / sizeof events[0], timeout);
        (void)pthread_mutex_lock(&l->lock);
        for (int i = 0; i < count; i++) {
            uint64_t n;

            if (events[i].data.u32 == WAKE) {
                (void)!read(l->wake, &n, sizeof n);
            } else if (l->places[events[i].data.u32].fd >= 0) {
                read_on(l, &l->places[events[i].data.u32]);
            }
        }
        end_late_ones(l, cp_clock_now());
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void wake_up(struct srv_linger *l)
{
    uint64_t one = 1;

    (void)!write(l->wake, &one, sizeof one);
}

static bool watch(struct srv_linger *l, int fd, uint32_t place)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = place}};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

enum cp_err srv_linger_new(struct srv_linger **ret_linger, struct cp_error *err)
{
    struct srv_linger *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for connections that end.");
    }
    (void)pthread_mutex_init(&l->lock, NULL);
    for (size_t i = 0; i < PLACES; i++) {
        l->places[i].fd = -1;
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll < 0 || l->wake < 0 || !watch(l, l->wake, WAKE) ||
        pthread_create(&l->thread, NULL, run, l) != 0) {
        close_if_open(l->epoll);
        close_if_open(l->wake);
        (void)pthread_mutex_destroy(&l->lock);
        free(l);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread for connections that end.");
    }
    *ret_linger = l;
    return CP_OK;
}

void srv_linger_free(struct srv_linger *l)
{
    if (l == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->stop = true;
    (void)pthread_mutex_unlock(&l->lock);
    wake_up(l);
    (void)pthread_join(l->thread, NULL);
    for (size_t i = 0; i < PLACES; i++) {
        close_if_open(l->places[i].fd);
    }
    (void)close(l->epoll);
    (void)close(l->wake);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

/* With the lock held. */
static struct place *free_place(struct srv_linger *l)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (l->places[i].fd < 0) {
            return &l->places[i];
        }
    }
    return NULL;
}

void srv_linger_take(struct srv_linger *l, int fd, const struct srv_linger_bounds *bounds)
{
    struct place *p;
    int own;

    (void)pthread_mutex_lock(&l->lock);
    p = free_place(l);
    own = p == NULL ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own >= 0 && watch(l, own, (uint32_t)(p - l->places))) {
        /* No more comes from here: TLS has said so already, and TCP says it now. */
        (void)shutdown(own, SHUT_WR);
        *p = (struct place){
            .fd = own, .left = bounds->bytes, .until = cp_clock_now() + bounds->time};
        l->count++;
    } else {
        close_if_open(own);
    }
    (void)pthread_mutex_unlock(&l->lock);
    wake_up(l);
}
