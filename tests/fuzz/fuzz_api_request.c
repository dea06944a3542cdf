/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of what the API reads of a request before it knows who asks: address, body, query,
 * Range, If-Match, and the addresses of groups in a body. The input chooses an example and edits it; what comes out must keep the promises
 * of the headers. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/access/interface.h"
#include "api/framework/etag.h"
#include "api/framework/fields.h"
#include "api/framework/http_date.h"
#include "api/framework/range.h"
#include "api/framework/respond.h"
#include "api/framework/router.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

static const char *const examples[] = {
    "/api/v1/packages/win11/versions/3/files/sources/install.wim",
    "/api/v1/packages/win%2011/versions/current/files/%2e%2e/x%00",
    "/api/v1/distribution-points/local/keys/multicast/rotate",
    "{\"name\": \"win11\", \"port\": 7000, \"encrypt\": true, \"policy\": \"off\"}",
    "{\"name\": null, \"name\": \"\\u0000\", \"port\": -1e99, \"x\": [[[{}]]]}",
    "bytes=0-99",
    "bytes=0-0, 5-9,, 90-, -3",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "bytes=-18446744073709551616",
    "\"r1\", W/\"r2\", *",
};

static void route(const char *path)
{
    struct api_match m = {.route = NULL};
    const struct api_route *routes;
    struct cp_error err;
    size_t count;

    routes = api_routes(&count);
    for (int method = 0; method < API_METHOD_COUNT; method++) {
        if (api_route_find(routes, count, (enum api_method)method, path, &m, &err) != CP_OK) {
            continue;
        }
        for (size_t i = 0; i < m.param_count; i++) {
            bool greedy = i + 1 == m.param_count && strstr(m.route->pattern, "...}") != NULL;

            CP_ASSERT(m.params[i][0] != '\0');
            CP_ASSERT(greedy || strchr(m.params[i], '/') == NULL);
        }
        api_match_done(&m);
    }
}

static void check_refusal(struct api_fields *f, const struct api_call *call)
{
    struct api_response rs = api_fields_refuse(f, call);
    json_t *problem = json_loadb(rs.body, rs.body_size, JSON_REJECT_DUPLICATES, NULL);

    CP_ASSERT(rs.status >= 400 && problem != NULL);
    CP_ASSERT(json_is_string(json_object_get(problem, "detail")));
    json_decref(problem);
    api_response_done(&rs);
}

static void body(const char *text, size_t size)
{
    static const struct api_pair type = {"Content-Type", "application/json"};
    static const char *const words[] = {"off", "prefer", NULL};
    struct api_request rq = {
        .headers = &type, .header_count = 1, .body = text, .body_size = size, .request_id = "f"};
    struct api_call call = {.rq = &rq};
    struct api_fields f;
    int64_t number = 2000;
    const char *name;
    bool flag;

    api_fields_body(&f, &call);
    name = api_field_string(&f, "name", API_REQUIRED, 1, 8);
    (void)api_field_int(&f, "port", API_OPTIONAL, 1024, 65535, &number);
    (void)api_field_bool(&f, "encrypt", API_OPTIONAL, &flag);
    (void)api_field_word(&f, "policy", API_OPTIONAL, words);
    CP_ASSERT(number >= 1024 && number <= 65535);
    if (!api_fields_ok(&f)) {
        check_refusal(&f, &call);
        return;
    }
    CP_ASSERT(name != NULL && strlen(name) >= 1 && strlen(name) <= 8);
    api_fields_done(&f);
}

static void query(const char *text)
{
    static const char *const names[] = {"limit", "after", NULL};
    struct api_pair pairs[] = {{"limit", text}, {"after", text}, {text, text}};
    struct api_request rq = {.query = pairs, .query_count = 2, .request_id = "f"};
    struct api_call call = {.rq = &rq};
    struct api_response rs;
    struct api_fields f;
    const char *after;
    int limit;

    CP_ASSERT(api_query_takes(&call, names, &rs));
    rq.query_count = 3; /* none, or one that was there already */
    CP_ASSERT(!api_query_takes(&call, names, &rs) && rs.status == 400);
    api_response_done(&rs);
    rq.query_count = 2;
    api_fields_query(&f, &call);
    api_fields_page(&f, &limit, &after);
    CP_ASSERT(limit >= 1 && limit <= API_LIMIT_MAX);
    if (api_fields_ok(&f)) {
        api_fields_done(&f);
    } else {
        check_refusal(&f, &call);
    }
}

/* Inside the content, none twice. */
static void check_ranges(const char *text, uint64_t size)
{
    struct api_ranges r;

    api_range_parse(text, size, &r);
    CP_ASSERT((r.kind == API_RANGE_PART) == (r.count > 0) && r.count <= API_RANGES_MAX);
    for (size_t i = 0; i < r.count; i++) {
        const struct api_range *a = &r.items[i];

        CP_ASSERT(a->size > 0 && a->offset < size && a->size <= size - a->offset);
        for (size_t k = 0; k < i; k++) {
            const struct api_range *b = &r.items[k];

            CP_ASSERT(a->offset + a->size <= b->offset || b->offset + b->size <= a->offset);
        }
    }
}

static void dates(const char *text)
{
    char again[API_HTTP_DATE_SIZE];
    int64_t seconds;

    if (api_http_date_parse(text, &seconds)) {
        int64_t same = seconds + 1;

        api_http_date(seconds, again);
        CP_ASSERT(again[0] == '\0' || (api_http_date_parse(again, &same) && same == seconds));
    }
}

static void conditions(const char *text)
{
    static const uint64_t sizes[] = {0, 1, 100, UINT64_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_ranges(text, sizes[i]);
    }
    if (api_etag_listed(text, "\"r1\"", true)) {
        CP_ASSERT(api_etag_listed(text, "\"r1\"", false)); /* strong implies weak */
    }
}

/* As the system reads them; but for dotted tails of IPv6, which no group needs. */
static void groups(const char *text)
{
    unsigned char v6[16], v4[4], same[16];
    bool taken = api_ipv6_parse(text, v6);
    uint32_t number;

    CP_ASSERT(taken == (strchr(text, '.') == NULL && inet_pton(AF_INET6, text, same) == 1));
    CP_ASSERT(!taken || memcmp(v6, same, sizeof v6) == 0);
    CP_ASSERT(api_ipv4_parse(text, &number) == (inet_pton(AF_INET, text, v4) == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FUZZ_TEXT_MAX];
    size_t length = fuzz_text(data, size, examples, sizeof examples / sizeof examples[0], text);

    route(text);
    query(text);
    conditions(text);
    dates(text);
    groups(text);
    body(text, length);
    return 0;
}
