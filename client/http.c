/* SPDX-License-Identifier: Apache-2.0
 * HTTPS over libcurl. Redirects and proxies are not followed: a ticket's addresses are paths of the
 * service that the certificate names, and machines of an imaging room talk to it directly. */
#include "client/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "common/time.h"

#define CONNECT_TIMEOUT_MS 10000L
/* A transfer slower than this for so long has broken down. */
#define LOW_SPEED_BYTES   1024L
#define LOW_SPEED_SECONDS 20L
#define PROBLEM_MAX       65536u
#define URL_SIZE          2048u
#define USER_AGENT        "castget/" CASTPOINT_VERSION

struct cl_http {
    CURL *easy;
    struct cl_http_config config;
    char *token;                /* owned: the join's, instead of the configured credentials */
    struct curl_slist *headers; /* of every request */
    char curl_text[CURL_ERROR_SIZE];
};

/* One request on its way. */
struct transfer {
    struct cl_http *http;
    bool even_stopped;
    /* a collected body */
    char *body;
    size_t size, capacity, max;
    /* or a streamed one */
    const struct cl_http_range *range;
    uint64_t streamed;
    enum cp_err sink_code;
    struct cp_error *err;
};

/* Appends a header line; false when memory is out. */
static bool add_header(struct cl_http *h, const char *line)
{
    struct curl_slist *more = curl_slist_append(h->headers, line);

    h->headers = more == NULL ? h->headers : more;
    return more != NULL;
}

/* Content-Type goes along with requests that have no body, too: nobody looks at it then. */
static bool make_headers(struct cl_http *h)
{
    char line[128];

    (void)snprintf(line, sizeof line, "X-Request-Id: %s",
                   h->config.correlation_id == NULL ? "" : h->config.correlation_id);
    return add_header(h, "Accept: application/json, application/problem+json, */*;q=0.5") &&
           add_header(h, "Content-Type: application/json") &&
           (h->config.correlation_id == NULL || add_header(h, line));
}

enum cp_err cl_http_new(const struct cl_http_config *config, struct cl_http **ret_http,
                        struct cp_error *err)
{
    struct cl_http *h;

    if (config->cacert != NULL && access(config->cacert, R_OK) != 0) {
        return cp_error_set(err, CP_ERR_USAGE, "--cacert '%s' cannot be read", config->cacert);
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return cp_error_set(err, CP_ERR_INTERNAL, "libcurl does not start");
    }
    if (config->negotiate &&
        (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SPNEGO) == 0) {
        curl_global_cleanup();
        return cp_error_set(err, CP_ERR_USAGE, "--negotiate: this libcurl has no Kerberos");
    }
    h = calloc(1, sizeof *h);
    if (h == NULL || (h->easy = curl_easy_init()) == NULL) {
        free(h);
        curl_global_cleanup();
        return cp_error_set(err, CP_ERR_NO_MEMORY, "HTTPS");
    }
    h->config = *config;
    if (!make_headers(h)) {
        cl_http_free(h);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "HTTPS");
    }
    *ret_http = h;
    return CP_OK;
}

static void wipe(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void cl_http_free(struct cl_http *h)
{
    if (h != NULL) {
        curl_easy_cleanup(h->easy);
        curl_slist_free_all(h->headers);
        wipe(h->token);
        free(h);
        curl_global_cleanup();
    }
}

enum cp_err cl_http_use_token(struct cl_http *h, const char *token)
{
    char *copy = token == NULL ? NULL : strdup(token);

    if (copy == NULL && token != NULL) {
        return CP_ERR_NO_MEMORY;
    }
    wipe(h->token);
    h->token = copy;
    return CP_OK;
}

static bool stopped(const struct transfer *t)
{
    const atomic_bool *stop = t->http->config.stop;

    return !t->even_stopped && stop != NULL && atomic_load(stop);
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
    (void)total;
    (void)now;
    (void)up_total;
    (void)up_now;
    return stopped(arg) ? 1 : 0;
}

/* Keeps the body for the caller, or the start of a problem; 0 ends the transfer. */
static size_t collect(struct transfer *t, const char *data, size_t size)
{
    if (size > t->max - t->size) {
        t->sink_code = cp_error_set(t->err, CP_ERR_PROTOCOL,
                                    "the answer is larger than the %zu bytes expected", t->max);
        return 0;
    }
    if (t->capacity - t->size <= size) {
        size_t capacity = (t->size + size + 1) * 2;
        char *more = realloc(t->body, capacity);

        if (more == NULL) {
            t->sink_code = cp_error_set(t->err, CP_ERR_NO_MEMORY, "HTTPS");
            return 0;
        }
        t->body = more;
        t->capacity = capacity;
    }
    memcpy(t->body + t->size, data, size);
    t->size += size;
    t->body[t->size] = '\0';
    return size;
}

static size_t pass_on(struct transfer *t, const char *data, size_t size)
{
    if (size > t->range->size - t->streamed) {
        t->sink_code = cp_error_set(t->err, CP_ERR_PROTOCOL,
                                    "more bytes came than the range that was asked for");
        return 0;
    }
    t->sink_code = t->range->sink(t->range->arg, data, size, t->err);
    t->streamed += size;
    return t->sink_code == CP_OK ? size : 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct transfer *t = arg;
    long status = 0;

    (void)one; /* always 1 */
    if (t->range == NULL) {
        return collect(t, data, size);
    }
    (void)curl_easy_getinfo(t->http->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 206) {
        return pass_on(t, data, size);
    }
    if (status == 200) {
        if (t->range->offset == 0 && t->range->size == t->range->whole_size) {
            return pass_on(t, data, size);
        }
        t->sink_code = cp_error_set(t->err, CP_ERR_PROTOCOL,
                                    "the service sends the whole file where a range was asked for");
        return 0;
    }
    return collect(t, data, size);
}

static void set_trust(struct cl_http *h)
{
    const struct cl_http_config *c = &h->config;

    if (c->cacert != NULL) {
        (void)curl_easy_setopt(h->easy, CURLOPT_CAINFO, c->cacert);
    }
    if (c->pin != NULL) {
        (void)curl_easy_setopt(h->easy, CURLOPT_PINNEDPUBLICKEY, c->pin);
        if (c->cacert == NULL) {
            /* The pinned key is the trust: libcurl refuses every other key before a byte of the
             * request is sent, so the name and the issuer of the certificate add nothing. */
            (void)curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, 0L);
            (void)curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, 0L);
        }
    }
}

static bool has_credentials(const struct cl_http *h)
{
    return h->token != NULL || h->config.token != NULL || h->config.account != NULL ||
           h->config.negotiate;
}

static void set_credentials(struct cl_http *h)
{
    const char *token = h->token != NULL ? h->token : h->config.token;

    if (token != NULL) {
        (void)curl_easy_setopt(h->easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        (void)curl_easy_setopt(h->easy, CURLOPT_XOAUTH2_BEARER, token);
    } else if (h->config.account != NULL) {
        (void)curl_easy_setopt(h->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        (void)curl_easy_setopt(h->easy, CURLOPT_USERNAME, h->config.account);
        (void)curl_easy_setopt(h->easy, CURLOPT_PASSWORD, h->config.password);
    } else if (h->config.negotiate) {
        (void)curl_easy_setopt(h->easy, CURLOPT_HTTPAUTH, CURLAUTH_NEGOTIATE);
        (void)curl_easy_setopt(h->easy, CURLOPT_USERPWD, ":"); /* whoever has the ticket */
    }
}

static enum cp_err prepare(struct cl_http *h, const char *path, struct transfer *t)
{
    char url[URL_SIZE];
    int size = snprintf(url, sizeof url, "%s%s", h->config.base_url, path);

    if (size < 0 || (size_t)size >= sizeof url || path[0] != '/') {
        return cp_error_set(t->err, CP_ERR_PROTOCOL, "the service gave an address that is no path");
    }
    curl_easy_reset(h->easy); /* options only: connections stay */
    h->curl_text[0] = '\0';
    (void)curl_easy_setopt(h->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(h->easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(h->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h->easy, CURLOPT_USERAGENT, USER_AGENT);
    (void)curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
    (void)curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->curl_text);
    (void)curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(h->easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(h->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(h->easy, CURLOPT_XFERINFODATA, t);
    set_trust(h);
    set_credentials(h);
    return CP_OK;
}

static enum cp_err transport_code(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_URL_MALFORMAT:
        return CP_ERR_SERVICE_UNREACHABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return CP_ERR_TLS_UNTRUSTED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_BAD_CONTENT_ENCODING:
        return CP_ERR_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
        return CP_ERR_NO_MEMORY;
    default:
        return CP_ERR_NETWORK;
    }
}

/* What a failed curl_easy_perform() means. */
static enum cp_err transport_error(struct transfer *t, CURLcode curl)
{
    struct cl_http *h = t->http;
    double connected = 0;
    enum cp_err code = transport_code(curl);
    const char *text = h->curl_text[0] != '\0' ? h->curl_text : curl_easy_strerror(curl);

    if (t->sink_code != CP_OK) {
        return t->sink_code;
    }
    if (curl == CURLE_ABORTED_BY_CALLBACK) {
        return cp_error_set(t->err, CP_ERR_INTERRUPTED, "stopped while talking to %s",
                            h->config.base_url);
    }
    if (curl == CURLE_SSL_CACERT_BADFILE && h->config.cacert != NULL) {
        return cp_error_set(t->err, CP_ERR_USAGE, "--cacert '%s' holds no certificate (PEM)",
                            h->config.cacert);
    }
    if (curl == CURLE_OPERATION_TIMEDOUT) {
        (void)curl_easy_getinfo(h->easy, CURLINFO_CONNECT_TIME, &connected);
        code = connected > 0 ? CP_ERR_NETWORK : CP_ERR_SERVICE_UNREACHABLE;
    }
    return cp_error_set(t->err, code, "%s: %s", h->config.base_url, text);
}

static enum cp_err perform(struct transfer *t, long *ret_status)
{
    CURLcode curl;

    if (stopped(t)) {
        return cp_error_set(t->err, CP_ERR_INTERRUPTED, "stopped");
    }
    curl = curl_easy_perform(t->http->easy);
    if (curl != CURLE_OK) {
        return transport_error(t, curl);
    }
    (void)curl_easy_getinfo(t->http->easy, CURLINFO_RESPONSE_CODE, ret_status);
    return CP_OK;
}

/* Date header of the answer. */
static uint64_t answer_date(struct cl_http *h)
{
    struct curl_header *header;
    time_t seconds;

    if (curl_easy_header(h->easy, "Date", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return 0;
    }
    seconds = curl_getdate(header->value, NULL);
    return seconds > 0 ? (uint64_t)seconds * CP_SEC : 0;
}

enum cp_err cl_http_call(struct cl_http *h, const struct cl_http_call *call,
                         struct cl_http_answer *ret_answer, struct cp_error *err)
{
    size_t max = call->answer_max > PROBLEM_MAX ? call->answer_max : PROBLEM_MAX;
    struct transfer t = {.http = h, .even_stopped = call->even_stopped, .max = max, .err = err};
    long status = 0;
    enum cp_err code;

    code = prepare(h, call->path, &t);
    if (code != CP_OK) {
        return code;
    }
    if (call->body != NULL) {
        (void)curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t)strlen(call->body));
        (void)curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, call->body);
    }
    (void)curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, call->method);
    (void)curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    code = perform(&t, &status);
    if (code == CP_OK && (status < 200 || status > 299)) {
        code = cl_http_problem(status, t.body, t.size, has_credentials(h), err);
    } else if (code == CP_OK && t.size > call->answer_max) {
        code = cp_error_set(err, CP_ERR_PROTOCOL,
                            "the answer is larger than the %zu bytes expected", call->answer_max);
    }
    if (code == CP_OK && t.body == NULL && (t.body = calloc(1, 1)) == NULL) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "HTTPS");
    }
    if (code != CP_OK) {
        free(t.body);
        return code;
    }
    *ret_answer = (struct cl_http_answer){
        .status = status, .body = t.body, .size = t.size, .date_ns = answer_date(h)};
    return CP_OK;
}

enum cp_err cl_http_get_range(struct cl_http *h, const struct cl_http_range *range,
                              struct cp_error *err)
{
    struct transfer t = {.http = h, .range = range, .max = PROBLEM_MAX, .err = err};
    char bytes[64];
    long status = 0;
    enum cp_err code;

    CP_TRY(prepare(h, range->path, &t));
    (void)snprintf(bytes, sizeof bytes, "%llu-%llu", (unsigned long long)range->offset,
                   (unsigned long long)(range->offset + range->size - 1));
    (void)curl_easy_setopt(h->easy, CURLOPT_RANGE, bytes);
    (void)curl_easy_setopt(h->easy, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
    (void)curl_easy_setopt(h->easy, CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS);
    (void)curl_easy_setopt(h->easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    code = perform(&t, &status);
    if (code == CP_OK && status != 206 && status != 200) {
        code = cl_http_problem(status, t.body, t.size, has_credentials(h), err);
    } else if (code == CP_OK && t.streamed < range->size) {
        code = cp_error_set(err, CP_ERR_NETWORK, "the transfer ended after %llu of %llu bytes",
                            (unsigned long long)t.streamed, (unsigned long long)range->size);
    }
    free(t.body);
    return code;
}
