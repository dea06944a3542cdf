/* SPDX-License-Identifier: Apache-2.0
 * One request. What may take time is a job for a worker; the connection is suspended until it is
 * done, then MHD calls again and finds it further on. While a worker takes a piece of an upload the
 * next one may arrive; only a third has to wait. */
#include "server/http_exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/http_answer.h"
#include "server/http_peer.h"
#include "server/http_request.h"
#include "server/http_source.h"
#include "server/http_tls.h"
#include "server/http_work.h"

/* The rest of a body that is refused is read all the same, so that the client sees the answer
 * (docs/limits.md): longer when the service knows who it is. */
static const struct srv_linger_bounds let_in = {.bytes = (uint64_t)256 << 20, .time = 60 * CP_SEC};
static const struct srv_linger_bounds strangers = {.bytes = (uint64_t)16 << 20,
                                                   .time = 20 * CP_SEC};
/* A body of no more costs what its connection costs anyway: it is not counted, so that what
 * receivers send is taken however many large bodies there are. */
#define SMALL_BODY (16u * 1024u)

enum stage {
    STAGE_HEADERS,
    STAGE_BODY,    /* collecting */
    STAGE_UPLOAD,  /* streaming */
    STAGE_DISCARD, /* reading on, to refuse at the end */
    STAGE_READY,   /* `response` waits to be queued */
    STAGE_ANSWERED
};

/* MHD's per-request context. */
struct exchange {
    struct srv_job job; /* first: a job is its exchange */
    const struct srv_serving *serving;
    struct MHD_Connection *connection;
    struct srv_peer *peer; /* the connection's; NULL: it is not watched */
    struct srv_request *request;
    const char *target_end; /* in MHD's buffer: only to compare with */
    struct api_upload *upload;
    enum stage stage;
    size_t body_max;           /* while collecting */
    struct srv_source *source; /* has given `taken` bytes for the body */
    size_t taken;
    bool is_let_in; /* as the sender of an upload */
    uint64_t discarded;
    cp_time discard_until;
    enum cp_err refusal; /* while discarding: what to say at the end */
    struct api_response response;
    bool close;                         /* the connection ends after the response */
    bool failed;                        /* an upload: its rest is dropped */
    bool begun;                         /* an upload: MHD repeats the call that was suspended */
    struct api_certificate certificate; /* the client's, when request->rq says so */
    cp_time started;
    char method[16];
    int status;
    uint64_t bytes; /* of the response's body */

    pthread_mutex_t lock;
    bool busy;      /* a worker has the job */
    bool suspended; /* until it is done */
    bool gone;      /* MHD is done with it: whoever has it winds it up */
    bool cut;       /* the connection broke before the end */
    char *piece;    /* of an upload, for the worker */
    size_t piece_size, piece_room;
};

/* ---- between MHD's thread and a worker ---- */

static void wind_up(struct exchange *x);

/* At the end of a job: MHD goes on with the connection if it waits for this. */
static void job_done(struct exchange *x)
{
    struct MHD_Connection *resume;
    bool gone;

    (void)pthread_mutex_lock(&x->lock);
    resume = x->suspended ? x->connection : NULL;
    gone = x->gone;
    x->busy = false;
    x->suspended = false;
    /* Under the lock: once it is gone the exchange may be gone too. */
    if (resume != NULL) {
        MHD_resume_connection(resume);
    }
    (void)pthread_mutex_unlock(&x->lock);
    if (gone) {
        wind_up(x);
    }
}

/* Gives the job to a worker; wait: with the connection suspended. False: the service stops. */
static bool start_job(struct exchange *x, void (*fn)(struct srv_job *job), bool wait)
{
    if (!srv_work_reserve(x->serving->work)) {
        return false;
    }
    (void)pthread_mutex_lock(&x->lock);
    x->busy = true;
    x->suspended = wait;
    if (wait) {
        srv_peer_waits(x->peer);
        MHD_suspend_connection(x->connection);
    }
    (void)pthread_mutex_unlock(&x->lock);
    x->job.fn = fn;
    srv_work_submit(x->serving->work, &x->job);
    return true;
}

/* True: a worker is still at the last job, and MHD will call again when it is done. */
static bool wait_if_busy(struct exchange *x)
{
    bool busy;

    (void)pthread_mutex_lock(&x->lock);
    busy = x->busy;
    if (busy) {
        x->suspended = true;
        srv_peer_waits(x->peer);
        MHD_suspend_connection(x->connection);
    }
    (void)pthread_mutex_unlock(&x->lock);
    return busy;
}

/* ---- answers ---- */

static const struct srv_linger_bounds *bounds_of(const struct exchange *x)
{
    return x->is_let_in ? &let_in : &strangers;
}

static enum MHD_Result answer(struct exchange *x, struct api_response *rs, bool close)
{
    struct srv_asker asker = {.connection = x->connection,
                              .throttle = x->serving->throttle,
                              .work = x->serving->work,
                              .trust =
                                  x->request->rq.certificate != NULL ? x->serving->trust : NULL,
                              .request_id = x->request->id};

    srv_peer_waits(x->peer);
    x->stage = STAGE_ANSWERED;
    x->status = rs->status;
    x->bytes = strcmp(x->method, "HEAD") == 0 || rs->status == 304 ? 0 : api_response_size(rs);
    if (close && x->request->rq.content_length != 0) {
        srv_peer_leaves(x->peer, bounds_of(x));
    }
    return srv_answer(&asker, rs, close);
}

static enum MHD_Result refuse(struct exchange *x, enum cp_err code, const char *text)
{
    struct cp_error err;
    struct api_response rs;

    (void)cp_error_set(&err, code, "%s", text);
    rs = api_problem(&x->request->rq, &err);
    return answer(x, &rs, true);
}

static enum MHD_Result refuse_stopping(struct exchange *x)
{
    return refuse(x, CP_ERR_UNAVAILABLE, "The service is stopping.");
}

/* ---- jobs ---- */

/* What is said to who has not shown who it is, or may not ask at all. */
static bool is_for_strangers(int status)
{
    return status == 401 || status == 403 || status == 429 || status == 503;
}

static void begin_upload(struct srv_job *job)
{
    struct exchange *x = (struct exchange *)job;

    cp_log_correlation(x->request->id);
    (void)api_upload_start(x->serving->api, &x->request->rq, &x->upload, &x->response);
    x->stage = x->upload != NULL ? STAGE_UPLOAD : STAGE_READY;
    x->begun = x->upload != NULL;
    x->is_let_in = x->upload != NULL || !is_for_strangers(x->response.status);
    x->close = true; /* refused before the body: what follows on the connection is that body */
    cp_log_correlation(NULL);
    job_done(x);
}

static void take_piece(struct srv_job *job)
{
    struct exchange *x = (struct exchange *)job;

    x->failed = !api_upload_data(x->upload, x->piece, x->piece_size);
    job_done(x);
}

static void respond(struct exchange *x)
{
    cp_log_correlation(x->request->id);
    if (x->upload != NULL) {
        x->response = api_upload_finish(x->upload, true);
        x->upload = NULL;
    } else {
        x->response = api_handle(x->serving->api, &x->request->rq);
    }
    x->stage = STAGE_READY;
    x->close = false;
    cp_log_correlation(NULL);
}

static void handle(struct srv_job *job)
{
    struct exchange *x = (struct exchange *)job;

    respond(x);
    job_done(x);
}

/* ---- a request comes in ---- */

/* libmicrohttpd hands out C strings, so that what follows a NUL is gone unseen; but it leaves the
 * lines where they came in, so that what is missing shows as a gap. A folded line, which RFC9112
 * 5.2 has a server refuse, is copied away and shows as one too. */
struct header_walk {
    struct srv_request *request;
    const char *end; /* behind the line before */
};

static const char *line_end(const char *text)
{
    const char *end = text + strlen(text) + 1;

    return *end == '\0' ? end + 1 : end; /* CRLF became two NULs, LF one */
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct header_walk *walk = cls;

    (void)kind;
    walk->request->broken_lines = walk->request->broken_lines || name != walk->end;
    walk->end = line_end(value);
    srv_request_add_header(walk->request, name, value);
    return MHD_YES;
}

/* How much of the head lies behind `end`. */
static size_t head_left(const struct exchange *x, const char *method, const char *end)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return info == NULL ? 0 : info->header_size - (size_t)(end - method);
}

/* method and version: as MHD hands them to srv_on_request(), first and last of the request line.
 * Behind the last header is an empty line. MHD 0.9.75 also takes ":x" for one, and what follows for
 * the next request. */
static void read_headers(struct exchange *x, const char *method, const char *version)
{
    struct header_walk walk = {.request = x->request, .end = line_end(version)};

    x->request->broken_lines = version != x->target_end + 1;
    (void)MHD_get_connection_values(x->connection, MHD_HEADER_KIND, on_header, &walk);
    x->request->broken_lines = x->request->broken_lines || *walk.end != '\0' ||
                               head_left(x, method, walk.end) > sizeof "\r\n" - 1;
    if (strcmp(MHD_get_version(), "0.9.75") != 0) {
        x->request->broken_lines = false; /* later ones refuse such requests, and move the lines */
    }
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

/* Strangers can send bodies, too: what all of them may make us keep is bounded. A chunked body may
 * become as large as any. */
static enum MHD_Result begin_body(struct exchange *x)
{
    const struct srv_request *r = x->request;
    size_t max = api_body_max(&r->rq);

    if (!r->chunked && r->rq.content_length > max) {
        return refuse(x, CP_ERR_TOO_LARGE, "Content-Length is over this limit");
    }
    x->body_max = r->chunked ? max : (size_t)r->rq.content_length;
    if (x->body_max > SMALL_BODY) {
        x->source = srv_peer_source(x->peer);
        if (!srv_source_take(x->source, x->body_max)) {
            return refuse(x, CP_ERR_UNAVAILABLE,
                          "Too many large bodies are coming in at present (docs/limits.md).");
        }
        x->taken = x->body_max;
    }
    x->stage = STAGE_BODY;
    srv_peer_sent_body(x->peer, 0);
    return MHD_YES;
}

/* All headers are here, no byte of the body: refuse, begin an upload, or collect. */
static enum MHD_Result begin(struct exchange *x, const char *method, const char *version)
{
    struct srv_request *r = x->request;
    struct cp_error err;

    x->peer = srv_peer_of(x->connection);
    r->rq.plain = x->serving->plain;
    r->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    (void)snprintf(x->method, sizeof x->method, "%s", method);
    find_remote(x->connection, r);
    if (x->serving->trust != NULL && !r->rq.plain &&
        srv_trust_peer(x->serving->trust, x->connection, &x->certificate)) {
        r->rq.certificate = &x->certificate;
    }
    read_headers(x, method, version);
    err.text[0] = '\0';
    if (srv_request_finish(r, method, &err) != CP_OK ||
        api_method_override(&r->rq, &err) != CP_OK) {
        return refuse(x, err.code, err.text);
    }
    if (srv_peer_surplus(x->peer) != NULL) {
        return refuse(x, CP_ERR_UNAVAILABLE, srv_peer_surplus(x->peer));
    }
    if (api_is_upload(&r->rq)) {
        return start_job(x, begin_upload, true) ? MHD_YES : refuse_stopping(x);
    }
    return begin_body(x);
}

static enum MHD_Result discard(struct exchange *x, size_t *size)
{
    const struct srv_linger_bounds *bounds = bounds_of(x);
    cp_time now = cp_clock_now();

    if (x->discarded == 0) {
        x->discard_until = now + bounds->time;
    }
    x->discarded += *size;
    *size = 0;
    return x->discarded > bounds->bytes || now > x->discard_until ? MHD_NO : MHD_YES;
}

/* The data are MHD's and may move as soon as this returns: the worker gets a copy. */
static enum MHD_Result pass_on(struct exchange *x, const char *data, size_t *size)
{
    if (wait_if_busy(x)) {
        return MHD_YES; /* the same data come again */
    }
    if (x->failed) {
        return discard(x, size);
    }
    if (x->piece_room < *size) {
        free(x->piece);
        x->piece = malloc(*size);
        x->piece_room = x->piece != NULL ? *size : 0;
        if (x->piece == NULL) {
            return MHD_NO;
        }
    }
    memcpy(x->piece, data, *size);
    x->piece_size = *size;
    *size = 0;
    return start_job(x, take_piece, false) ? MHD_YES : MHD_NO;
}

/* A piece of the body. */
static enum MHD_Result take(struct exchange *x, const char *data, size_t *size)
{
    enum cp_err rc;

    srv_peer_sent_body(x->peer, *size);
    if (x->stage == STAGE_UPLOAD) {
        return pass_on(x, data, size);
    }
    if (x->stage == STAGE_BODY) {
        rc = srv_request_add_body(x->request, data, *size, x->body_max);
        if (rc != CP_OK) {
            x->refusal = rc;
            x->stage = STAGE_DISCARD;
        }
    } else {
        return discard(x, size);
    }
    *size = 0;
    return MHD_YES;
}

/* The whole request is here. */
static enum MHD_Result finish(struct exchange *x)
{
    if (x->stage == STAGE_DISCARD) {
        return refuse(x, x->refusal, "");
    }
    if (wait_if_busy(x)) {
        return MHD_YES;
    }
    if (x->upload == NULL && api_is_prompt(&x->request->rq)) {
        respond(x);
        return answer(x, &x->response, false);
    }
    return start_job(x, handle, true) ? MHD_YES : refuse_stopping(x);
}

/* ---- what MHD calls ---- */

static void drop(struct exchange *x)
{
    srv_request_free(x->request);
    srv_source_give(x->source, x->taken);
    free(x->piece);
    (void)pthread_mutex_destroy(&x->lock);
    free(x);
}

/* First sight of a request: the only place where MHD shows the target as it was received. */
void *srv_on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct exchange *x = calloc(1, sizeof *x);

    if (x == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&x->lock, NULL);
    x->serving = cls;
    x->connection = connection;
    x->target_end = target + strlen(target);
    x->response.fd = -1;
    x->started = cp_clock_now();
    x->request = srv_request_new(target);
    if (x->request == NULL) {
        drop(x);
        return NULL;
    }
    return x;
}

enum MHD_Result srv_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **context)
{
    struct exchange *x = *context;

    (void)cls;
    (void)connection;
    (void)url;
    if (x == NULL) {
        return MHD_NO; /* out of memory in srv_on_target() */
    }
    if (x->stage == STAGE_READY) {
        return answer(x, &x->response, x->close);
    }
    if (x->stage == STAGE_HEADERS) {
        return begin(x, method, version);
    }
    if (x->begun) {
        x->begun = false;
        srv_peer_sent_body(x->peer, 0);
        return MHD_YES;
    }
    if (*size > 0) {
        return take(x, data, size);
    }
    return x->stage == STAGE_ANSWERED ? MHD_YES : finish(x);
}

/* Each receiver reports every second: a line each would drown all else. */
static bool is_routine(const struct exchange *x)
{
    static const char tail[] = "/progress";
    size_t size = strlen(x->request->target);

    return x->status < 300 && size > sizeof tail &&
           strcmp(x->request->target + size - (sizeof tail - 1), tail) == 0;
}

static void write_access_log(const struct exchange *x)
{
    const struct srv_request *r = x->request;
    cp_time spent = cp_clock_now() - x->started;

    cp_log_correlation(r->id);
    cp_log(is_routine(x) ? CP_LOG_DEBUG : CP_LOG_INFO, "request", "remote", r->remote, "method",
           x->method, "path", r->target, "status", cp_log_u64((uint64_t)x->status), "bytes",
           cp_log_u64(x->bytes), "ms", cp_log_u64(spent / CP_MSEC), "cut", x->cut ? "yes" : NULL,
           NULL);
    cp_log_correlation(NULL);
}

/* MHD and the workers are done with it: ends an upload that broke, which may take a while. */
static void wind_up(struct exchange *x)
{
    if (x->upload != NULL) {
        cp_log_correlation(x->request->id);
        x->response = api_upload_finish(x->upload, false);
        cp_log_correlation(NULL);
        x->status = x->response.status;
        x->stage = STAGE_READY;
    }
    if (x->stage == STAGE_READY) {
        api_response_done(&x->response); /* nobody is there to have it */
    }
    if (x->method[0] != '\0') {
        write_access_log(x);
    }
    drop(x);
}

static void wind_up_job(struct srv_job *job)
{
    wind_up((struct exchange *)job);
}

void srv_on_completed(void *cls, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *context;
    bool busy;

    (void)cls;
    (void)connection;
    if (x == NULL) {
        return;
    }
    *context = NULL;
    srv_peer_awaits_request(x->peer);
    x->cut = code != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    (void)pthread_mutex_lock(&x->lock);
    busy = x->busy;
    x->gone = true; /* from here on it may belong to a worker, which winds it up */
    (void)pthread_mutex_unlock(&x->lock);
    if (busy) {
        return;
    }
    if (x->upload != NULL && srv_work_reserve(x->serving->work)) {
        x->job.fn = wind_up_job;
        srv_work_submit(x->serving->work, &x->job);
    } else {
        wind_up(x);
    }
}
