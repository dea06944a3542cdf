/* SPDX-License-Identifier: Apache-2.0
 * The libmicrohttpd daemon and the workers: start and stop. A few threads of MHD's move bytes, the
 * workers do what requests ask for (http_exchange.c). */
#include "server/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "api/events/stream.h"
#include "common/log.h"
#include "server/http_exchange.h"
#include "server/http_peer.h"
#include "server/http_source.h"
#include "server/http_throttle.h"
#include "server/http_tls.h"
#include "server/http_work.h"

#define CONNECTIONS 4096u
#define TIMEOUT_S   60u
#define SLOW_S      30u
#define BODY_MIN    (32u * 1024u)
/* Connections beyond the limit, which are told so. */
#define SURPLUS 256u
/* One host must not take all connections. A site behind one address, with dozens of receivers of
 * several connections each, has to have enough. */
#define ADDRESS_PART    4u
#define ADDRESS_MIN     256u
#define ADDRESS_SURPLUS 16u
#define BODIES          ((size_t)64 * 1024 * 1024)
/* Request line, headers and the read buffer of one connection: a larger one makes uploads faster,
 * and bounds what a stranger can make us keep. */
#define CONNECTION_MEMORY (64u * 1024u)
/* Threads that move bytes: encrypting is what they do most of the time, so one a processor. */
#define IO_THREADS_MIN 2
#define IO_THREADS_MAX 16
/* TLS 1.2 only with forward secrecy and AEAD, as GnuTLS's own SECURE128 with these cuts. Our order
 * counts: most clients would have AES-256, which costs both sides 6 % more to move an image. */
#define PRIORITIES                                                                                 \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:"                              \
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:%SERVER_PRECEDENCE"

/* One address that is listened on. */
struct listener {
    struct MHD_Daemon *daemon;
    struct srv_serving serving;
    uint16_t port;
};

struct srv_http {
    struct listener main, plain; /* plain.daemon is NULL when there is none */
    struct srv_peers *peers;
    struct srv_sources *sources;
    struct srv_work *work;
    struct srv_throttle *throttle; /* borrowed */
};

/* Where to listen. */
struct place {
    const char *host;
    uint16_t port;
    bool plain;
};

/* MHD reports what peers do wrong, a handshake broken off for instance: not worth an operator's
 * attention. */
static void on_mhd_log(void *cls, const char *fmt, va_list args)
{
    char text[512];

    (void)cls;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(text, sizeof text, fmt, args);
#pragma GCC diagnostic pop
    text[strcspn(text, "\n")] = '\0';
    cp_log(CP_LOG_DEBUG, "http", "text", text, NULL);
}

static enum cp_err resolve(const struct place *place, struct sockaddr_storage *ret,
                           struct cp_error *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(place->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(place->port)};

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, place->host, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        return CP_OK;
    }
    if (inet_pton(AF_INET6, place->host, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof v6);
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_NETWORK, "'%s' is not a numeric address", place->host);
}

static intptr_t io_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < IO_THREADS_MIN ? IO_THREADS_MIN : n > IO_THREADS_MAX ? IO_THREADS_MAX : n;
}

static unsigned limit_of(const struct srv_http_config *c)
{
    return c->connections == 0 ? CONNECTIONS : c->connections;
}

static unsigned per_address(const struct srv_http_config *c)
{
    unsigned part = limit_of(c) / ADDRESS_PART;

    return c->per_address != 0 ? c->per_address : part < ADDRESS_MIN ? ADDRESS_MIN : part;
}

static struct MHD_Daemon *start_daemon(const struct srv_http_config *c, struct srv_http *http,
                                       struct srv_serving *serving,
                                       const struct sockaddr_storage *address)
{
    bool tls = c->cert_pem != NULL && !serving->plain;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_mhd_log, NULL},
        {MHD_OPTION_SOCK_ADDR, 0, (void *)(uintptr_t)address},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)srv_on_target, serving},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)srv_on_completed, serving},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)srv_on_connection, http->peers},
        {MHD_OPTION_THREAD_POOL_SIZE, io_threads(), NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(limit_of(c) + SURPLUS), NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)(c->timeout_s == 0 ? TIMEOUT_S : c->timeout_s),
         NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_MEMORY, NULL},
        {MHD_OPTION_LISTEN_BACKLOG_SIZE, SOMAXCONN, NULL},
        /* Strict mode's own answer to a missing Host is broken in 0.9.75 (its headers are sent
         * twice); http_request.c checks all that it does, and more. */
        {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL},
        {tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)(uintptr_t)c->cert_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)c->key_pem},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES},
        /* asks for a client certificate and takes all: http_tls.c judges them */
        {c->trust != NULL ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0,
         (void *)(uintptr_t)(c->trust != NULL ? srv_trust_pem(c->trust) : NULL)},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME;

    flags |= tls ? (unsigned)MHD_USE_TLS : 0u;
    flags |= address->ss_family == AF_INET6 ? (unsigned)MHD_USE_DUAL_STACK : 0u;
    return MHD_start_daemon(flags, 0, srv_on_accept, http->peers, srv_on_request, serving,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static enum cp_err listen_at(const struct srv_http_config *c, struct srv_http *http,
                             const struct place *place, struct listener *ret_listener,
                             struct cp_error *err)
{
    struct sockaddr_storage address;
    const union MHD_DaemonInfo *info;
    struct listener *l = ret_listener;

    CP_TRY(resolve(place, &address, err));
    l->serving = (struct srv_serving){.api = c->api,
                                      .work = http->work,
                                      .throttle = http->throttle,
                                      .trust = c->trust,
                                      .plain = place->plain};
    l->daemon = start_daemon(c, http, &l->serving, &address);
    if (l->daemon == NULL) {
        return cp_error_set(err, CP_ERR_LISTEN,
                            "%s port %u cannot be served: it is taken, not an address of this "
                            "machine, or not permitted",
                            place->host, place->port);
    }
    info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_BIND_PORT);
    l->port = info == NULL ? place->port : info->port;
    return CP_OK;
}

static enum cp_err prepare(const struct srv_http_config *c, struct srv_http *http,
                           struct cp_error *err)
{
    cp_time slow = (c->slow_s == 0 ? SLOW_S : c->slow_s) * CP_SEC;
    struct srv_sources_config sources = {.connections = per_address(c),
                                         .surplus = ADDRESS_SURPLUS,
                                         .bodies = c->bodies == 0 ? BODIES : c->bodies};
    struct srv_peers_config peers = {.limit = limit_of(c),
                                     .idle =
                                         (c->timeout_s == 0 ? TIMEOUT_S : c->timeout_s) * CP_SEC,
                                     .headers = slow,
                                     .body_window = slow,
                                     .body_min = BODY_MIN};

    CP_TRY(srv_work_new(c->threads, &http->work, err));
    http->throttle = c->throttle;
    CP_TRY(srv_sources_new(&sources, &http->sources, err));
    peers.sources = http->sources;
    return srv_peers_new(&peers, &http->peers, err);
}

enum cp_err srv_http_start(const struct srv_http_config *config, struct srv_http **ret_http,
                           struct cp_error *err)
{
    struct place secure = {.host = config->listen_host, .port = config->listen_port};
    struct place plain = {.host = config->plain_host, .port = config->plain_port, .plain = true};
    struct srv_http *http = calloc(1, sizeof *http);
    enum cp_err rc;

    if (http == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "HTTP service");
    }
    rc = prepare(config, http, err);
    if (rc == CP_OK) {
        rc = listen_at(config, http, &secure, &http->main, err);
    }
    if (rc == CP_OK && plain.host != NULL && plain.host[0] != '\0') {
        rc = listen_at(config, http, &plain, &http->plain, err);
    }
    if (rc != CP_OK) {
        srv_http_stop(http);
        return rc;
    }
    *ret_http = http;
    return CP_OK;
}

uint16_t srv_http_port(const struct srv_http *http)
{
    return http->main.port;
}

uint16_t srv_http_plain_port(const struct srv_http *http)
{
    return http->plain.port;
}

static void stop_listener(struct listener *l)
{
    if (l->daemon != NULL) {
        MHD_stop_daemon(l->daemon);
    }
}

void srv_http_stop(struct srv_http *http)
{
    if (http == NULL) {
        return;
    }
    /* MHD cannot stop with a connection suspended: nobody is, and nobody will be from here on. */
    if (http->main.serving.api != NULL && http->main.serving.api->stream != NULL) {
        api_stream_stop(http->main.serving.api->stream);
    }
    if (http->work != NULL) {
        srv_work_drain(http->work);
    }
    srv_throttle_open(http->throttle);
    stop_listener(&http->main);
    stop_listener(&http->plain);
    srv_work_free(http->work);
    srv_peers_free(http->peers);
    srv_sources_free(http->sources);
    free(http);
}
