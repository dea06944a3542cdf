/* SPDX-License-Identifier: Apache-2.0
 * The list of connections and the thread that looks for slow ones. */
#include "server/http_peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/http_batch.h"
#include "server/http_source.h"

/* Short against every limit. */
#define LOOK_EVERY (CP_SEC / 2)
/* A surplus connection has so long to ask, and be told that there is no room. */
#define SURPLUS_S 5u

struct srv_peer {
    struct srv_peers *peers;
    struct srv_peer *next, **at;
    int fd;
    const char *surplus; /* why it is one too many, or NULL */
    struct srv_source *source;
    _Atomic cp_time deadline;        /* CP_TIME_NEVER: it is not the peer's turn */
    struct srv_linger_bounds leaves; /* once its last answer is out */
    struct srv_batch batch;
    size_t missing; /* bytes of the body that must come before the deadline */
};

struct srv_peers {
    struct srv_peers_config config;
    struct srv_linger *linger;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct srv_peer *first;
    unsigned count;
    bool stop;
};

/* ---- the thread ---- */

/* With the lock held a connection cannot be closed, so the descriptor is its own. */
static void cut_slow_ones(struct srv_peers *p, cp_time now)
{
    for (struct srv_peer *peer = p->first; peer != NULL; peer = peer->next) {
        if (atomic_load(&peer->deadline) <= now) {
            atomic_store(&peer->deadline, CP_TIME_NEVER);
            (void)shutdown(peer->fd, SHUT_RDWR);
            cp_log(CP_LOG_DEBUG, "slow-sender-cut", "connections", cp_log_u64(p->count), NULL);
        }
    }
}

static void *run(void *arg)
{
    struct srv_peers *p = arg;

    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        cp_time next = cp_clock_now() + LOOK_EVERY;
        struct timespec until = {.tv_sec = (time_t)(next / CP_SEC),
                                 .tv_nsec = (long)(next % CP_SEC)};

        (void)pthread_cond_timedwait(&p->changed, &p->lock, &until);
        cut_slow_ones(p, cp_clock_now());
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum cp_err srv_peers_new(const struct srv_peers_config *config, struct srv_peers **ret_peers,
                          struct cp_error *err)
{
    struct srv_peers *p = calloc(1, sizeof *p);
    pthread_condattr_t monotonic;
    enum cp_err rc;

    if (p == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the list of connections.");
    }
    rc = srv_linger_new(&p->linger, err);
    if (rc != CP_OK) {
        free(p);
        return rc;
    }
    p->config = *config;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* cp_clock_now()'s */
    (void)pthread_cond_init(&p->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (pthread_create(&p->thread, NULL, run, p) != 0) {
        (void)pthread_cond_destroy(&p->changed);
        (void)pthread_mutex_destroy(&p->lock);
        srv_linger_free(p->linger);
        free(p);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread to watch connections.");
    }
    *ret_peers = p;
    return CP_OK;
}

void srv_peers_free(struct srv_peers *p)
{
    if (p == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    CP_ASSERT(p->first == NULL);
    p->stop = true;
    (void)pthread_cond_signal(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
    srv_linger_free(p->linger);
    free(p);
}

/* ---- connections ---- */

static void find_source(struct srv_peer *peer, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    bool surplus = false;

    if (address != NULL && address->client_addr != NULL) {
        peer->source =
            srv_source_enter(peer->peers->config.sources, address->client_addr, &surplus);
    }
    if (surplus) {
        peer->surplus = "All connections that the service takes from one address are in use "
                        "(docs/limits.md).";
    }
}

static void add(struct srv_peers *p, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct srv_peer *peer = fd == NULL ? NULL : calloc(1, sizeof *peer);

    *socket_context = peer;
    if (peer == NULL) {
        return; /* it is served; only its pace is not watched */
    }
    peer->peers = p;
    peer->fd = fd->connect_fd;
    srv_batch_begin(&peer->batch, connection);
    find_source(peer, connection);
    atomic_init(&peer->deadline, cp_clock_now() + p->config.headers);
    (void)pthread_mutex_lock(&p->lock);
    if (p->count >= p->config.limit) {
        peer->surplus = "All connections that the service takes are in use (docs/limits.md).";
    }
    p->count++;
    peer->next = p->first;
    peer->at = &p->first;
    if (peer->next != NULL) {
        peer->next->at = &peer->next;
    }
    p->first = peer;
    (void)pthread_mutex_unlock(&p->lock);
    if (peer->surplus != NULL) {
        (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, SURPLUS_S);
    }
}

static void drop(struct srv_peers *p, struct srv_peer *peer)
{
    (void)pthread_mutex_lock(&p->lock);
    *peer->at = peer->next;
    if (peer->next != NULL) {
        peer->next->at = peer->at;
    }
    p->count--;
    (void)pthread_mutex_unlock(&p->lock);
    if (peer->leaves.bytes > 0) {
        srv_linger_take(p->linger, peer->fd, &peer->leaves);
    }
    srv_batch_done(&peer->batch);
    srv_source_leave(peer->source);
    free(peer);
}

enum MHD_Result srv_on_accept(void *cls, const struct sockaddr *address, socklen_t size)
{
    const struct srv_peers *p = cls;

    (void)size;
    return srv_source_overrun(p->config.sources, address) ? MHD_NO : MHD_YES;
}

void srv_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                       enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        add(cls, connection, socket_context);
    } else if (*socket_context != NULL) {
        drop(cls, *socket_context);
        *socket_context = NULL;
    }
}

struct srv_peer *srv_peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

const char *srv_peer_surplus(const struct srv_peer *peer)
{
    return peer == NULL ? NULL : peer->surplus;
}

struct srv_source *srv_peer_source(const struct srv_peer *peer)
{
    return peer == NULL ? NULL : peer->source;
}

/* ---- whose turn it is ---- */

void srv_peer_awaits_request(struct srv_peer *peer)
{
    if (peer != NULL) {
        const struct srv_peers_config *c = &peer->peers->config;

        srv_batch_rest(&peer->batch);
        peer->missing = 0;
        atomic_store(&peer->deadline, cp_clock_now() + c->idle + c->headers);
    }
}

void srv_peer_sent_body(struct srv_peer *peer, size_t size)
{
    if (peer == NULL) {
        return;
    }
    if (size < peer->missing && atomic_load(&peer->deadline) != CP_TIME_NEVER) {
        peer->missing -= size;
        return;
    }
    peer->missing = peer->peers->config.body_min;
    atomic_store(&peer->deadline, cp_clock_now() + peer->peers->config.body_window);
}

void srv_peer_waits(struct srv_peer *peer)
{
    if (peer != NULL) {
        peer->missing = 0;
        atomic_store(&peer->deadline, CP_TIME_NEVER);
    }
}

void srv_peer_leaves(struct srv_peer *peer, const struct srv_linger_bounds *bounds)
{
    if (peer != NULL) {
        peer->leaves = *bounds;
    }
}

void srv_peer_sends(struct srv_peer *peer, size_t size)
{
    if (peer != NULL) {
        srv_batch_expect(&peer->batch, size);
    }
}
