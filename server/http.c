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
#include <unistd.h>

#include "common/log.h"
#include "server/http_exchange.h"
#include "server/http_work.h"

#define CONNECTIONS 4096u
#define TIMEOUT_S   60u
/* Request line, headers and the read buffer of one connection: a larger one makes uploads faster,
 * and bounds what a stranger can make us keep. */
#define CONNECTION_MEMORY (64u * 1024u)
/* Threads that move bytes: encrypting is what they do most of the time, so one a processor. */
#define IO_THREADS_MIN 2
#define IO_THREADS_MAX 16
/* TLS 1.2 only with forward secrecy and AEAD, as GnuTLS's own SECURE128 with these cuts. */
#define PRIORITIES                                                                                 \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:"                              \
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

struct srv_http {
    struct MHD_Daemon *daemon;
    struct srv_serving serving;
    uint16_t port;
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

static enum cp_err resolve(const struct srv_http_config *c, struct sockaddr_storage *ret,
                           struct cp_error *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(c->listen_port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->listen_port)};

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, c->listen_host, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        return CP_OK;
    }
    if (inet_pton(AF_INET6, c->listen_host, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof v6);
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_NETWORK, "'%s' is not a numeric address", c->listen_host);
}

static intptr_t io_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < IO_THREADS_MIN ? IO_THREADS_MIN : n > IO_THREADS_MAX ? IO_THREADS_MAX : n;
}

static struct MHD_Daemon *start_daemon(const struct srv_http_config *c, struct srv_http *http,
                                       const struct sockaddr_storage *address)
{
    bool tls = c->cert_pem != NULL;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_mhd_log, NULL},
        {MHD_OPTION_SOCK_ADDR, 0, (void *)(uintptr_t)address},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)srv_on_target, &http->serving},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)srv_on_completed, &http->serving},
        {MHD_OPTION_THREAD_POOL_SIZE, io_threads(), NULL},
        {MHD_OPTION_CONNECTION_LIMIT,
         (intptr_t)(c->connections == 0 ? CONNECTIONS : c->connections), NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)(c->timeout_s == 0 ? TIMEOUT_S : c->timeout_s),
         NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_MEMORY, NULL},
        /* Strict mode's own answer to a missing Host is broken in 0.9.75 (its headers are sent
         * twice); http_request.c checks all that it does, and more. */
        {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL},
        {tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)(uintptr_t)c->cert_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)c->key_pem},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME;

    flags |= tls ? (unsigned)MHD_USE_TLS : 0u;
    flags |= address->ss_family == AF_INET6 ? (unsigned)MHD_USE_DUAL_STACK : 0u;
    return MHD_start_daemon(flags, c->listen_port, NULL, NULL, srv_on_request, &http->serving,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

enum cp_err srv_http_start(const struct srv_http_config *config, struct srv_http **ret_http,
                           struct cp_error *err)
{
    struct sockaddr_storage address;
    const union MHD_DaemonInfo *info;
    struct srv_http *http;
    enum cp_err rc;

    CP_TRY(resolve(config, &address, err));
    http = calloc(1, sizeof *http);
    if (http == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "HTTP service");
    }
    http->serving.api = config->api;
    rc = srv_work_new(config->threads, &http->serving.work, err);
    if (rc != CP_OK) {
        free(http);
        return rc;
    }
    http->daemon = start_daemon(config, http, &address);
    if (http->daemon == NULL) {
        srv_work_free(http->serving.work);
        free(http);
        return cp_error_set(err, CP_ERR_NETWORK,
                            "%s port %u cannot be served: it is taken, not an address of this "
                            "machine, or not permitted",
                            config->listen_host, config->listen_port);
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info == NULL ? config->listen_port : info->port;
    *ret_http = http;
    return CP_OK;
}

uint16_t srv_http_port(const struct srv_http *http)
{
    return http->port;
}

void srv_http_stop(struct srv_http *http)
{
    if (http == NULL) {
        return;
    }
    srv_work_drain(http->serving.work); /* MHD cannot stop with a connection suspended */
    MHD_stop_daemon(http->daemon);
    srv_work_free(http->serving.work);
    free(http);
}
