/* SPDX-License-Identifier: Apache-2.0
 * Posting over HTTP(S) by libcurl. Opens sockets; one thread. */
#include "jobs/webhook_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

/* What a receiver says is not read, but for its status. */
#define ANSWER_MAX (64u * 1024u)

struct hook_http {
    CURLM *multi;
    long timeout_ms;
    struct post *posts;
};

struct post {
    struct post *next, **place;
    void *arg;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    bool loopback_only;
    bool forbidden; /* one of its addresses may not be connected to */
    size_t answered;
    char text[CURL_ERROR_SIZE];
};

/* ---- where to ---- */

static bool v4_allowed(uint32_t a)
{
    static const struct {
        uint32_t net, mask;
    } refused[] = {
        {0x00000000u, 0xFF000000u}, /* this network */
        {0xA9FE0000u, 0xFFFF0000u}, /* link-local, most clouds' metadata */
        {0xE0000000u, 0xE0000000u}, /* multicast, reserved, broadcast */
        {0x646464C8u, 0xFFFFFFFFu}, /* 100.100.100.200: metadata */
        {0xA83F8110u, 0xFFFFFFFFu}, /* 168.63.129.16: metadata */
        {0xC00000C0u, 0xFFFFFFFFu}, /* 192.0.0.192: metadata */
    };

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if ((a & refused[i].mask) == refused[i].net) {
            return false;
        }
    }
    return true;
}

static uint32_t v4_of(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool v6_allowed(const struct in6_addr *a)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xFF, 0x9B};
    static const uint8_t six_to_four[2] = {0x20, 0x02};
    /* fd00:ec2::254, fd20:ce::254 */
    static const uint8_t metadata[][16] = {
        {0xFD, 0, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54},
        {0xFD, 0x20, 0, 0xCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54},
    };
    const uint8_t *b = a->s6_addr;

    if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a) || memcmp(b, nat64, sizeof nat64) == 0) {
        return v4_allowed(v4_of(b + 12));
    }
    if (memcmp(b, six_to_four, sizeof six_to_four) == 0) {
        return v4_allowed(v4_of(b + 2));
    }
    for (size_t i = 0; i < sizeof metadata / sizeof metadata[0]; i++) {
        if (memcmp(b, metadata[i], sizeof metadata[i]) == 0) {
            return false;
        }
    }
    return !IN6_IS_ADDR_LINKLOCAL(a) && !IN6_IS_ADDR_MULTICAST(a) && !IN6_IS_ADDR_UNSPECIFIED(a);
}

static bool allowed(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        return v4_allowed(ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr));
    }
    return sa->sa_family == AF_INET6 &&
           v6_allowed(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static bool loopback(const struct sockaddr *sa)
{
    const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;

        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == IN_LOOPBACKNET);
}

bool hook_address_allowed(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        return v4_allowed(ntohl(v4.s_addr));
    }
    return inet_pton(AF_INET6, text, &v6) == 1 && v6_allowed(&v6);
}

/* The address is known here, after the name was looked up: a name that means something else by now
 * cannot slip through. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct post *p = arg;

    (void)purpose;
    if (!allowed(&a->addr) || (p->loopback_only && !loopback(&a->addr))) {
        p->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- one post ---- */

static size_t on_answer(char *data, size_t unit, size_t count, void *arg)
{
    struct post *p = arg;

    (void)data;
    p->answered += unit * count;
    return p->answered <= ANSWER_MAX ? unit * count : 0;
}

static void drop(struct hook_http *h, struct post *p)
{
    if (p->easy != NULL) {
        (void)curl_multi_remove_handle(h->multi, p->easy);
        curl_easy_cleanup(p->easy);
    }
    if (p->place != NULL) {
        *p->place = p->next;
        if (p->next != NULL) {
            p->next->place = p->place;
        }
    }
    curl_slist_free_all(p->headers);
    free(p->body);
    free(p);
}

static bool add_header(struct post *p, const char *line)
{
    struct curl_slist *more = curl_slist_append(p->headers, line);

    p->headers = more != NULL ? more : p->headers;
    return more != NULL;
}

static bool prepare(struct post *p, const struct hook_request *rq)
{
    for (size_t i = 0; i < HOOK_HEADERS_MAX && rq->headers[i] != NULL; i++) {
        if (!add_header(p, rq->headers[i])) {
            return false;
        }
    }
    p->easy = curl_easy_init();
    p->body = strdup(rq->body);
    p->loopback_only = !rq->allow_http && strncmp(rq->url, "http:", 5) == 0;
    return p->easy != NULL && p->body != NULL && add_header(p, "Content-Type: application/json") &&
           add_header(p, "Expect:");
}

/* Only what has no memory to fail for could fail here; the URL is looked at by curl later. */
static void set_up(struct hook_http *h, struct post *p, const char *url)
{
    CURL *e = p->easy;

    (void)curl_easy_setopt(e, CURLOPT_URL, url);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(e, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /* A name server that does not answer must not hold up what else is sent, nor the stop. */
    (void)curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, h->timeout_ms);
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, h->timeout_ms);
    (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "castpointd/" CASTPOINT_VERSION);
    (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->headers);
    (void)curl_easy_setopt(e, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, p->body);
    (void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)strlen(p->body));
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
    (void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    (void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, p);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->text);
    (void)curl_easy_setopt(e, CURLOPT_PRIVATE, p);
    /* A connection that is kept would skip on_open for another webhook's request. */
    (void)curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
    (void)curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
}

enum cp_err hook_http_begin(struct hook_http *h, const struct hook_request *request, void *arg,
                            struct cp_error *err)
{
    struct post *p = calloc(1, sizeof *p);

    if (p == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a webhook.");
    }
    p->arg = arg;
    if (!prepare(p, request)) {
        drop(h, p);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a webhook.");
    }
    set_up(h, p, request->url);
    if (curl_multi_add_handle(h->multi, p->easy) != CURLM_OK) {
        drop(h, p);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a webhook.");
    }
    p->next = h->posts;
    p->place = &h->posts;
    if (p->next != NULL) {
        p->next->place = &p->next;
    }
    h->posts = p;
    return CP_OK;
}

static void describe(const struct post *p, CURLcode code, struct hook_result *ret)
{
    long status = 0;
    curl_off_t us = 0;

    memset(ret, 0, sizeof *ret);
    (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(p->easy, CURLINFO_TOTAL_TIME_T, &us);
    ret->duration_ms = (uint64_t)us / 1000;
    ret->status = status >= 100 && status <= 999 ? (uint32_t)status : 0;
    if (code == CURLE_COULDNT_CONNECT && p->forbidden) { /* else it went to another address */
        (void)snprintf(ret->error, sizeof ret->error,
                       p->loopback_only ? "plain HTTP is for this machine only: use https, or set "
                                          "allow_http"
                                        : "its address is link-local, multicast or of a cloud's "
                                          "metadata: webhooks do not go there");
    } else if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && p->answered > ANSWER_MAX)) {
        (void)snprintf(ret->error, sizeof ret->error, "%.200s",
                       p->text[0] != '\0' ? p->text : curl_easy_strerror(code));
        ret->status = 0;
    } else if (status < 200 || status > 299) {
        (void)snprintf(ret->error, sizeof ret->error, "it answered with status %ld%s", status,
                       status >= 300 && status < 400 ? "; redirects are not followed" : "");
    }
}

bool hook_http_next(struct hook_http *h, void **ret_arg, struct hook_result *ret_result)
{
    CURLMsg *message;
    int left;

    do {
        message = curl_multi_info_read(h->multi, &left);
    } while (message != NULL && message->msg != CURLMSG_DONE);
    if (message != NULL) {
        struct post *p = NULL;
        char *private = NULL;

        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        p = (struct post *)(void *)private;
        describe(p, message->data.result, ret_result);
        *ret_arg = p->arg;
        drop(h, p);
    }
    return message != NULL;
}

/* ---- all of them ---- */

enum cp_err hook_http_new(unsigned timeout_ms, struct hook_http **ret_http, struct cp_error *err)
{
    struct hook_http *h;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return cp_error_set(err, CP_ERR_INTERNAL, "libcurl does not start");
    }
    h = calloc(1, sizeof *h);
    if (h == NULL || (h->multi = curl_multi_init()) == NULL) {
        free(h);
        curl_global_cleanup();
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for webhooks.");
    }
    h->timeout_ms = (long)timeout_ms;
    *ret_http = h;
    return CP_OK;
}

void hook_http_free(struct hook_http *h)
{
    if (h == NULL) {
        return;
    }
    while (h->posts != NULL) {
        drop(h, h->posts);
    }
    (void)curl_multi_cleanup(h->multi);
    free(h);
    curl_global_cleanup();
}

void hook_http_wait(struct hook_http *h, unsigned timeout_ms)
{
    int before = 0;
    int running = 0;

    (void)curl_multi_perform(h->multi, &before);
    for (const struct post *p = h->posts; p != NULL; p = p->next) {
        running++;
    }
    if (before == running) { /* none has ended */
        (void)curl_multi_poll(h->multi, NULL, 0, (int)timeout_ms, NULL);
        (void)curl_multi_perform(h->multi, &before);
    }
}

void hook_http_wake(struct hook_http *h)
{
    (void)curl_multi_wakeup(h->multi);
}
