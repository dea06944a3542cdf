/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of whole HTTP requests: bytes over a socket into the service as it runs, libmicrohttpd
 * and its threads included, with a stand-in for the API behind it. The input chooses examples, edits
 * them and sends them in pieces; what comes back must be answers of HTTP/1.1 and nothing else, and
 * what reaches the API must keep the promises of api.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "api/events/stream.h"
#include "api/framework/respond.h"
#include "common/log.h"
#include "server/http.h"
#include "server/http_request.h"
#include "tests/fuzz/answers.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

#define BODY_MAX     200u
#define FILE_SIZE    20000
#define RECEIVED_MAX ((size_t)1 << 20)
/* A request may be half of one, and then no answer comes. */
#define PATIENCE_US 20000
#define HOST        "Host: x\r\n"
#define END         "\r\n"

static const char *const examples[] = {
    "GET /a?b=%20c HTTP/1.1\r\n" HOST "Range: bytes=0-1,4-\r\n" END,
    "GET /file HTTP/1.1\r\n" HOST END "HEAD /file HTTP/1.1\r\n" HOST END,
    "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello",
    "PATCH /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
    "3\r\nabc\r\n0\r\nX: y\r\n" END,
    "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 9\r\nExpect: 100-continue\r\n" END "some data",
    "PUT /up/no HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "1\r\na\r\n0\r\n" END,
    "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END
    "0\r\n" END,
    "GET /a HTTP/1.0\r\n" HOST "A: b\r\n  folded\r\n" END,
    "DELETE http://x/a HTTP/1.1\r\nhost:x\r\nHost: y\r\nCookie: a=b; c\r\nConnection: "
    "close\r\n" END,
    "GET /a HTTP/1.1\r\n" HOST "If-Match: \"a\"\r\nA: b\r\nif-match: \"c\", *\r\na: d\r\n" END,
    "GET /a HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\nRange: bytes=2-3\r\n" END,
};

/* ---- the API's stand-in ---- */

size_t api_body_max(const struct api_request *rq)
{
    (void)rq;
    return BODY_MAX;
}

/* Only here is it known that a client expects no body. */
static struct api_response marked(const struct api_request *rq, struct api_response rs)
{
    if (rq->method == API_HEAD) {
        api_header_add(&rs, FUZZ_BODILESS, "yes");
    }
    return rs;
}

static struct api_response answer(const struct api_request *rq, int status, const char *text)
{
    return marked(rq, api_response_bytes(status, "text/plain", text, strlen(text)));
}

struct api_response api_problem(const struct api_request *rq, const struct cp_error *err)
{
    const struct cp_err_info *info = cp_err_info(err->code);
    struct api_response rs;

    CP_ASSERT(rq->request_id[0] != '\0');
    rs = api_response_json(info->http_status, json_pack("{s:s, s:i}", "code", info->code, "status",
                                                        info->http_status));
    rs.content_type = "application/problem+json";
    return marked(rq, rs);
}

/* What the front door promises of all that it lets in. */
static void check_request(const struct api_request *rq)
{
    size_t hosts = 0;

    CP_ASSERT(rq->path[0] == '/' && rq->method < API_METHOD_COUNT && rq->request_id[0] != '\0');
    CP_ASSERT(rq->header_count <= SRV_HEADERS_MAX && rq->query_count <= SRV_QUERY_MAX);
    for (const char *p = rq->path; *p != '\0'; p++) {
        CP_ASSERT(*p > ' ' && *p < 0x7f);
    }
    for (size_t i = 0; i < rq->header_count; i++) {
        CP_ASSERT(rq->headers[i].name[0] != '\0' && strpbrk(rq->headers[i].value, "\r\n") == NULL);
        hosts += strcasecmp(rq->headers[i].name, "Host") == 0;
        for (size_t k = 0; k < i; k++) {
            CP_ASSERT(strcasecmp(rq->headers[i].name, rq->headers[k].name) != 0);
        }
    }
    CP_ASSERT(hosts == 1);
    CP_ASSERT(rq->body_size <= BODY_MAX && (rq->body_size == 0) == (rq->body == NULL));
    CP_ASSERT(rq->body == NULL || rq->body[rq->body_size] == '\0');
}

struct api_response api_handle(const struct api_context *ctx, const struct api_request *rq)
{
    (void)ctx;
    check_request(rq);
    CP_ASSERT(!api_is_upload(rq));
    CP_ASSERT(rq->content_length == UINT64_MAX || rq->content_length == rq->body_size);
    if (strcmp(rq->path, "/file") == 0) {
        struct api_response rs = {.status = 200, .fd = memfd_create("f", MFD_CLOEXEC)};

        CP_ASSERT(rs.fd >= 0 && ftruncate(rs.fd, FILE_SIZE) == 0);
        rs.fd_size = FILE_SIZE;
        return marked(rq, rs);
    }
    return answer(rq, 200, "yes");
}

struct api_upload {
    const struct api_request *rq;
    uint64_t announced, got;
};

bool api_is_prompt(const struct api_request *rq)
{
    return strcmp(rq->path, "/prompt") == 0;
}

enum cp_err api_method_override(struct api_request *rq, struct cp_error *err)
{
    (void)rq;
    (void)err;
    return CP_OK;
}

bool api_is_upload(const struct api_request *rq)
{
    return rq->method == API_PUT && strncmp(rq->path, "/up", 3) == 0;
}

bool api_upload_start(const struct api_context *ctx, const struct api_request *rq,
                      struct api_upload **ret_upload, struct api_response *ret_response)
{
    (void)ctx;
    check_request(rq);
    CP_ASSERT(api_is_upload(rq));
    *ret_upload = NULL;
    if (strcmp(rq->path, "/up") != 0) {
        struct cp_error err = {.code = CP_ERR_ACCESS_DENIED};

        *ret_response = api_problem(rq, &err);
        return true;
    }
    *ret_upload = calloc(1, sizeof **ret_upload);
    CP_ASSERT(*ret_upload != NULL);
    (*ret_upload)->rq = rq;
    (*ret_upload)->announced = rq->content_length;
    return true;
}

bool api_upload_data(struct api_upload *u, const void *data, size_t size)
{
    CP_ASSERT(data != NULL && size > 0);
    u->got += size;
    CP_ASSERT(u->got <= u->announced);
    return true;
}

struct api_response api_upload_finish(struct api_upload *u, bool complete)
{
    struct api_response rs;

    CP_ASSERT(!complete || u->announced == UINT64_MAX || u->got == u->announced);
    rs = answer(u->rq, complete ? 201 : 400, "up"); /* the latter to nobody */
    free(u);
    return rs;
}

void api_feed_attach(struct api_feed *feed, const struct api_feed_owner *owner)
{
    (void)feed;
    (void)owner;
}

size_t api_feed_read(struct api_feed *feed, char *buffer, size_t max)
{
    (void)feed;
    (void)buffer;
    (void)max;
    return API_FEED_END;
}

void api_feed_close(struct api_feed *feed)
{
    (void)feed;
}

void api_stream_stop(struct api_stream *s)
{
    (void)s;
}

/* ---- the client ---- */

static struct srv_http *http;

static void stop(void)
{
    srv_http_stop(http);
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_usec = PATIENCE_US};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (http == NULL) {
        struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2, .timeout_s = 10};
        struct cp_error err;

        cp_log_init("fuzz", CP_LOG_TEXT, CP_LOG_ERROR, STDERR_FILENO);
        CP_ASSERT(srv_http_start(&c, &http, &err) == CP_OK);
        (void)atexit(stop);
    }
    a.sin_port = htons(srv_http_port(http));
    CP_ASSERT(fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

/* Everything until the service closes in good order (*ret_ended), cuts, or waits for more of the
 * request. */
static size_t read_all(int fd, char *to, size_t room, bool *ret_ended)
{
    size_t at = 0;
    ssize_t n = 1;

    while (at < room && (n = recv(fd, to + at, room - at, 0)) > 0) {
        at += (size_t)n;
    }
    to[at] = '\0';
    *ret_ended = n == 0;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char received[RECEIVED_MAX + 1];
    char text[FUZZ_TEXT_MAX];
    size_t length = fuzz_text(data, size, examples, sizeof examples / sizeof examples[0], text);
    size_t first = size > 0 ? data[size - 1] : 0; /* as one packet, the rest as another */
    int fd = dial();
    bool ended;

    first = first < length ? first : length;
    if (send(fd, text, first, MSG_NOSIGNAL) == (ssize_t)first) {
        (void)send(fd, text + first, length - first, MSG_NOSIGNAL);
    }
    size = read_all(fd, received, RECEIVED_MAX, &ended);
    fuzz_answers_check(received, size, ended);
    (void)close(fd);
    return 0;
}
