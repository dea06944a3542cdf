/* SPDX-License-Identifier: Apache-2.0
 * The stand-in's functions have the names of api/api.h; the linker chooses them. */
#include "tests/unit/server/fake_api.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/api.h"
#include "api/events/stream.h"
#include "api/framework/respond.h"
#include "tests/unit/server/fake_feed.h"

static atomic_int cut;
static atomic_int calls;
static atomic_uint body_max = FAKE_BODY_MAX;

int fake_uploads_cut(void)
{
    return atomic_load(&cut);
}

int fake_calls(void)
{
    return atomic_load(&calls);
}

const char *fake_file_text(void)
{
    return "0123456789abcdefghijklmnopqrstuvwxyz0123456789";
}

size_t api_body_max(const struct api_request *rq)
{
    (void)rq;
    return atomic_load(&body_max);
}

void fake_set_body_max(unsigned size)
{
    atomic_store(&body_max, size);
}

static struct api_response text(int status, const char *type, const char *body)
{
    return api_response_bytes(status, type, body, strlen(body));
}

struct api_response api_problem(const struct api_request *rq, const struct cp_error *err)
{
    char body[800];

    (void)snprintf(body, sizeof body, "%s: %s [%s]", cp_err_info(err->code)->code, err->text,
                   rq->request_id);
    return text(cp_err_info(err->code)->http_status, "application/problem+json", body);
}

static struct api_response file_answer(void)
{
    struct api_response rs = {.status = 206, .content_type = "application/octet-stream"};
    const char *content = fake_file_text();

    rs.fd = memfd_create("fake", MFD_CLOEXEC);
    if (rs.fd < 0 || write(rs.fd, content, strlen(content)) != (ssize_t)strlen(content)) {
        abort();
    }
    rs.fd_offset = 10;
    rs.fd_size = 20;
    (void)snprintf(rs.headers[0].name, sizeof rs.headers[0].name, "Content-Range");
    (void)snprintf(rs.headers[0].value, sizeof rs.headers[0].value, "bytes 10-29/46");
    rs.header_count = 1;
    return rs;
}

/* "<" + bytes 10 to 29, "|" + bytes 0 to 4, ">" */
static struct api_response pieces_answer(void)
{
    struct api_response rs = file_answer();

    rs.content_type = "multipart/byteranges";
    (void)snprintf(rs.boundary, sizeof rs.boundary, "b0undary");
    rs.body = strdup("<|>");
    rs.body_size = 3;
    rs.pieces = calloc(2, sizeof *rs.pieces);
    rs.piece_count = 2;
    rs.pieces[0] = (struct api_piece){.text_size = 1, .offset = 10, .size = 20};
    rs.pieces[1] = (struct api_piece){.text_size = 1, .offset = 0, .size = 5};
    return rs;
}

/* On a disk, and not in memory, as far as the kernel goes along with it. */
static struct api_response cold_answer(void)
{
    struct api_response rs = {.status = 200, .content_type = "application/octet-stream"};
    char path[] = "/var/tmp/castpoint-cold-XXXXXX";
    uint32_t block[1024];

    rs.fd = mkstemp(path);
    rs.fd_size = FAKE_COLD_SIZE;
    for (uint32_t at = 0; at < FAKE_COLD_SIZE / 4; at += 1024) {
        for (uint32_t i = 0; i < 1024; i++) {
            block[i] = at + i;
        }
        if (write(rs.fd, block, sizeof block) != (ssize_t)sizeof block) {
            abort();
        }
    }
    if (unlink(path) != 0 || fsync(rs.fd) != 0 ||
        posix_fadvise(rs.fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        abort();
    }
    return rs;
}

static struct api_response big_answer(const char *path)
{
    struct api_response rs = {.status = 200, .content_type = "application/octet-stream"};

    rs.fd = memfd_create("big", MFD_CLOEXEC);
    rs.fd_size = FAKE_BIG_SIZE;
    /* of "/big/short" half is missing when it is read */
    if (rs.fd < 0 || ftruncate(rs.fd, path[4] == '\0' ? FAKE_BIG_SIZE : FAKE_BIG_SIZE / 2) != 0) {
        abort();
    }
    return rs;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting;
static bool released;

static void await_release(void)
{
    (void)pthread_mutex_lock(&lock);
    waiting++;
    (void)pthread_cond_broadcast(&changed);
    while (!released) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}

void fake_await_waiting(int count)
{
    (void)pthread_mutex_lock(&lock);
    while (waiting < count) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}

void fake_release(void)
{
    (void)pthread_mutex_lock(&lock);
    released = true;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

struct api_response api_handle(const struct api_context *ctx, const struct api_request *rq)
{
    static const char *const methods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                          "PATCH", "DELETE", "OPTIONS"};
    char body[16384];
    int at;

    (void)ctx;
    atomic_fetch_add(&calls, 1);
    if (strcmp(rq->path, "/file") == 0) {
        return file_answer();
    }
    if (strcmp(rq->path, "/pieces") == 0) {
        return pieces_answer();
    }
    if (strcmp(rq->path, "/cold") == 0) {
        return cold_answer();
    }
    if (strncmp(rq->path, "/big", 4) == 0) {
        return big_answer(rq->path);
    }
    if (strcmp(rq->path, "/feed") == 0) {
        return (struct api_response){
            .status = 200, .fd = -1, .content_type = API_STREAM_TYPE, .feed = fake_feed_open()};
    }
    if (strcmp(rq->path, "/wait") == 0) {
        await_release();
    }
    if (strcmp(rq->path, "/plain") == 0) {
        return text(200, "text/plain", rq->plain ? "plain" : "not plain");
    }
    if (strcmp(rq->path, "/empty") == 0) {
        return (struct api_response){.status = 204, .fd = -1};
    }
    at = snprintf(body, sizeof body, "%s %s", methods[rq->method], rq->path);
    for (size_t i = 0; i < rq->query_count; i++) {
        at += snprintf(body + at, sizeof body - (size_t)at, "|%s=%s", rq->query[i].name,
                       rq->query[i].value);
    }
    at += snprintf(body + at, sizeof body - (size_t)at, "|%" PRId64 "|%zu:%s|%s",
                   (int64_t)rq->content_length, rq->body_size, rq->body == NULL ? "-" : rq->body,
                   rq->remote);
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, "x-echo") == 0) {
            at += snprintf(body + at, sizeof body - (size_t)at, "|%s", rq->headers[i].value);
        }
    }
    return text(200, "text/plain", body);
}

struct api_upload {
    uint64_t announced;
    uint64_t got;
    uint32_t sum;
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
    return (rq->method == API_PUT || rq->method == API_PATCH) && strncmp(rq->path, "/up", 3) == 0;
}

bool api_upload_start(const struct api_context *ctx, const struct api_request *rq,
                      struct api_upload **ret_upload, struct api_response *ret_response)
{
    (void)ctx;
    if (!api_is_upload(rq)) {
        return false;
    }
    if (strcmp(rq->path, "/up") != 0) {
        struct cp_error err;

        (void)cp_error_set(
            &err, strcmp(rq->path, "/up/full") == 0 ? CP_ERR_STORAGE_FULL : CP_ERR_AUTH_REQUIRED,
            "no upload for you");
        *ret_upload = NULL;
        *ret_response = api_problem(rq, &err);
        return true;
    }
    *ret_upload = calloc(1, sizeof **ret_upload);
    (*ret_upload)->announced = rq->content_length;
    return true;
}

bool api_upload_data(struct api_upload *u, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        u->sum += bytes[i];
    }
    u->got += size;
    return size == 0 || bytes[0] != FAKE_REFUSED;
}

struct api_response api_upload_finish(struct api_upload *u, bool complete)
{
    char body[128];

    (void)snprintf(body, sizeof body, "%" PRId64 " announced, %" PRIu64 " got, sum %" PRIu32,
                   (int64_t)u->announced, u->got, u->sum);
    if (!complete) {
        atomic_fetch_add(&cut, 1);
    }
    free(u);
    return text(complete ? 201 : 400, "text/plain", body);
}

/* No answer here has a feed. */