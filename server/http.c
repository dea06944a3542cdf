/* SPDX-License-Identifier: Apache-2.0
 * The libmicrohttpd daemon: start, stop, and the life of one request from its first header to its
 * log line. MHD calls on threads of its own; a request belongs to one of them at a time. */
#include "server/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/http_request.h"

#define CONNECTIONS 4096u
#define TIMEOUT_S   60u
/* Request line, headers and the read buffer of one connection: a larger one makes uploads faster,
 * and bounds what a stranger can make us keep. */
#define CONNECTION_MEMORY (64u * 1024u)
/* A chunked body over the limit is read on, so that the client sees the 413; not for ever. */
#define DISCARD_MAX (16u * 1024u * 1024u)
/* TLS 1.2 only with forward secrecy and AEAD, as GnuTLS's own SECURE128 with these cuts. */
#define PRIORITIES                                                                                 \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:"                              \
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

struct srv_http {
    struct MHD_Daemon *daemon;
    const struct api_context *api;
    uint16_t port;
};

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_UPLOAD, STAGE_DISCARD, STAGE_ANSWERED };

/* MHD's per-request context. */
struct exchange {
    struct srv_request *request;
    struct api_upload *upload;
    enum stage stage;
    uint64_t discarded;
    enum cp_err refusal; /* while discarding: what to say at the end */
    cp_time started;
    char method[16];
    int status;
    uint64_t bytes; /* of the response's body */
};

/* First sight of a request: the only place where MHD shows the target as it was received. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct exchange *x = calloc(1, sizeof *x);

    (void)cls;
    (void)connection;
    if (x == NULL) {
        return NULL;
    }
    x->request = srv_request_new(target);
    x->started = cp_clock_now();
    if (x->request == NULL) {
        free(x);
        return NULL;
    }
    return x;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind;
    srv_request_add_header(cls, name, value);
    return MHD_YES;
}

static void find_remote(struct MHD_Connection *connection, struct srv_request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info == NULL ? NULL : info->client_addr;

    if (sa != NULL && sa->sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
                        r->remote, sizeof r->remote);
    } else if (sa != NULL && sa->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(a)) {
            (void)inet_ntop(AF_INET, a->s6_addr + 12, r->remote, sizeof r->remote);
        } else {
            (void)inet_ntop(AF_INET6, a, r->remote, sizeof r->remote);
        }
    }
}

/* Hands the response to MHD and frees it. */
static struct MHD_Response *convert(struct api_response *rs)
{
    struct MHD_Response *out;

    if (rs->fd >= 0) {
        out = MHD_create_response_from_fd_at_offset64(rs->fd_size, rs->fd, rs->fd_offset);
        if (out != NULL) {
            rs->fd = -1; /* MHD closes it */
        }
        return out;
    }
    out = MHD_create_response_from_buffer(rs->body_size, rs->body == NULL ? "" : rs->body,
                                          rs->body == NULL ? MHD_RESPMEM_PERSISTENT
                                                           : MHD_RESPMEM_MUST_FREE);
    if (out != NULL) {
        rs->body = NULL;
    }
    return out;
}

static bool has_header(const struct api_response *rs, const char *name)
{
    for (size_t i = 0; i < rs->header_count; i++) {
        if (strcasecmp(rs->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum MHD_Result answer(struct exchange *x, struct MHD_Connection *connection,
                              struct api_response *rs, bool close)
{
    uint64_t size = rs->fd >= 0 ? rs->fd_size : rs->body_size;
    struct MHD_Response *out = convert(rs);
    enum MHD_Result rc = MHD_YES;

    if (out == NULL) {
        api_response_done(rs);
        return MHD_NO;
    }
    if (rs->content_type != NULL) {
        rc = MHD_add_response_header(out, "Content-Type", rs->content_type);
    }
    for (size_t i = 0; rc == MHD_YES && i < rs->header_count; i++) {
        rc = MHD_add_response_header(out, rs->headers[i].name, rs->headers[i].value);
    }
    if (rc == MHD_YES) {
        if (!has_header(rs, "X-Request-Id")) {
            (void)MHD_add_response_header(out, "X-Request-Id", x->request->id);
        }
        if (close) {
            (void)MHD_add_response_header(out, "Connection", "close");
        }
        rc = MHD_queue_response(connection, (unsigned)rs->status, out);
    }
    MHD_destroy_response(out);
    x->stage = STAGE_ANSWERED;
    x->status = rs->status;
    x->bytes = x->request->rq.method == API_HEAD ? 0 : size;
    api_response_done(rs);
    return rc;
}

static enum MHD_Result refuse(struct exchange *x, struct MHD_Connection *connection,
                              enum cp_err code, const char *text)
{
    struct cp_error err;
    struct api_response rs;

    (void)cp_error_set(&err, code, "%s", text);
    rs = api_problem(&x->request->rq, &err);
    return answer(x, connection, &rs, true);
}

/* All headers are here, no byte of the body: refuse, begin an upload, or collect. */
static enum MHD_Result begin(struct srv_http *http, struct exchange *x,
                             struct MHD_Connection *connection, const char *method)
{
    struct srv_request *r = x->request;
    struct cp_error err;
    struct api_response rs;

    (void)snprintf(x->method, sizeof x->method, "%s", method);
    find_remote(connection, r);
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, r);
    err.text[0] = '\0';
    if (srv_request_finish(r, method, &err) != CP_OK) {
        return refuse(x, connection, err.code, err.text);
    }
    if (api_upload_start(http->api, &r->rq, &x->upload, &rs)) {
        if (x->upload == NULL) {
            return answer(x, connection, &rs, true);
        }
        x->stage = STAGE_UPLOAD;
        return MHD_YES;
    }
    if (!r->chunked && r->rq.content_length > api_body_max()) {
        return refuse(x, connection, CP_ERR_TOO_LARGE, "Content-Length is over this limit");
    }
    x->stage = STAGE_BODY;
    return MHD_YES;
}

/* A piece of the body. */
static enum MHD_Result take(struct exchange *x, const char *data, size_t *size)
{
    enum cp_err rc;

    if (x->stage == STAGE_UPLOAD) {
        api_upload_data(x->upload, data, *size);
    } else if (x->stage == STAGE_BODY) {
        rc = srv_request_add_body(x->request, data, *size, api_body_max());
        if (rc != CP_OK) {
            x->refusal = rc;
            x->stage = STAGE_DISCARD;
        }
    } else {
        x->discarded += *size;
        if (x->discarded > DISCARD_MAX) {
            return MHD_NO;
        }
    }
    *size = 0;
    return MHD_YES;
}

/* The whole request is here. */
static enum MHD_Result finish(struct srv_http *http, struct exchange *x,
                              struct MHD_Connection *connection)
{
    struct api_response rs;

    if (x->stage == STAGE_DISCARD) {
        return refuse(x, connection, x->refusal, "");
    }
    if (x->stage == STAGE_UPLOAD) {
        rs = api_upload_finish(x->upload, true);
        x->upload = NULL;
    } else {
        rs = api_handle(http->api, &x->request->rq);
    }
    return answer(x, connection, &rs, false);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct exchange *x = *context;
    enum MHD_Result rc;

    (void)url;
    (void)version;
    if (x == NULL) {
        return MHD_NO; /* out of memory in on_target() */
    }
    if (x->stage == STAGE_HEADERS) {
        rc = begin(cls, x, connection, method);
    } else if (*size > 0) {
        rc = take(x, data, size);
    } else if (x->stage == STAGE_ANSWERED) {
        rc = MHD_YES;
    } else {
        cp_log_correlation(x->request->id);
        rc = finish(cls, x, connection);
        cp_log_correlation(NULL);
    }
    return rc;
}

/* Each receiver reports every second: a line each would drown all else. */
static bool is_routine(const struct exchange *x)
{
    static const char tail[] = "/progress";
    size_t size = strlen(x->request->target);

    return x->status < 300 && size > sizeof tail &&
           strcmp(x->request->target + size - (sizeof tail - 1), tail) == 0;
}

static void write_access_log(const struct exchange *x, bool complete)
{
    const struct srv_request *r = x->request;
    cp_time spent = cp_clock_now() - x->started;

    cp_log_correlation(r->id);
    cp_log(is_routine(x) ? CP_LOG_DEBUG : CP_LOG_INFO, "request", "remote", r->remote, "method",
           x->method, "path", r->target, "status", cp_log_u64((uint64_t)x->status), "bytes",
           cp_log_u64(x->bytes), "ms", cp_log_u64(spent / CP_MSEC), "cut", complete ? NULL : "yes",
           NULL);
    cp_log_correlation(NULL);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *context;

    (void)cls;
    (void)connection;
    if (x == NULL) {
        return;
    }
    *context = NULL;
    if (x->upload != NULL) {
        struct api_response rs = api_upload_finish(x->upload, false);

        x->status = rs.status;
        api_response_done(&rs);
    }
    if (x->method[0] != '\0') {
        write_access_log(x, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    }
    srv_request_free(x->request);
    free(x);
}

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

static struct MHD_Daemon *start_daemon(const struct srv_http_config *c, struct srv_http *http,
                                       const struct sockaddr_storage *address)
{
    bool tls = c->cert_pem != NULL;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_mhd_log, NULL},
        {MHD_OPTION_SOCK_ADDR, 0, (void *)(uintptr_t)address},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, http},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, http},
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)c->threads, NULL},
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
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG;

    flags |= tls ? (unsigned)MHD_USE_TLS : 0u;
    flags |= address->ss_family == AF_INET6 ? (unsigned)MHD_USE_DUAL_STACK : 0u;
    return MHD_start_daemon(flags, c->listen_port, NULL, NULL, on_request, http, MHD_OPTION_ARRAY,
                            options, MHD_OPTION_END);
}

enum cp_err srv_http_start(const struct srv_http_config *config, struct srv_http **ret_http,
                           struct cp_error *err)
{
    struct sockaddr_storage address;
    const union MHD_DaemonInfo *info;
    struct srv_http *http;

    CP_TRY(resolve(config, &address, err));
    http = calloc(1, sizeof *http);
    if (http == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "HTTP service");
    }
    http->api = config->api;
    http->daemon = start_daemon(config, http, &address);
    if (http->daemon == NULL) {
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
    MHD_stop_daemon(http->daemon);
    free(http);
}
