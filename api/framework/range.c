/* SPDX-License-Identifier: Apache-2.0
 * Byte ranges and If-Range. Pure. */
#include "api/framework/range.h"

#include <string.h>
#include <strings.h>

#include "api/framework/respond.h"

/* What one element of the list came to. */
enum element { ELEMENT_INSIDE, ELEMENT_OUTSIDE, ELEMENT_MALFORMED };

/* Decimal digits at *at; false when there are none. Too large a number becomes UINT64_MAX, which
 * lies beyond any content. */
static bool read_number(const char **at, uint64_t *ret)
{
    uint64_t value = 0;
    const char *p = *at;

    if (*p < '0' || *p > '9') {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *at = p;
    *ret = value;
    return true;
}

/* "-100": the last bytes; *at is behind the dash. */
static enum element read_suffix(const char **at, uint64_t size, struct api_range *ret_range)
{
    uint64_t last;

    if (!read_number(at, &last)) {
        return ELEMENT_MALFORMED;
    }
    if (last == 0 || size == 0) {
        return ELEMENT_OUTSIDE;
    }
    ret_range->size = last < size ? last : size;
    ret_range->offset = size - ret_range->size;
    return ELEMENT_INSIDE;
}

/* "0-99", "100-", "-100"; *at moves behind it. */
static enum element read_range(const char **at, uint64_t size, struct api_range *ret_range)
{
    uint64_t first;
    uint64_t last = UINT64_MAX;

    if (**at == '-') {
        (*at)++;
        return read_suffix(at, size, ret_range);
    }
    if (!read_number(at, &first) || **at != '-') {
        return ELEMENT_MALFORMED;
    }
    (*at)++;
    if (**at >= '0' && **at <= '9' && (!read_number(at, &last) || last < first)) {
        return ELEMENT_MALFORMED;
    }
    if (first >= size) {
        return ELEMENT_OUTSIDE;
    }
    last = last < size - 1 ? last : size - 1;
    ret_range->offset = first;
    ret_range->size = last - first + 1;
    return ELEMENT_INSIDE;
}

static bool overlaps(const struct api_ranges *r, const struct api_range *one)
{
    for (size_t i = 0; i < r->count; i++) {
        if (one->offset < r->items[i].offset + r->items[i].size &&
            r->items[i].offset < one->offset + one->size) {
            return true;
        }
    }
    return false;
}

/* The list behind "bytes="; false: malformed, or not worth more than the whole. Empty elements are
 * passed over (RFC 9110 5.6.1.2). */
static bool read_list(const char *at, uint64_t size, struct api_ranges *r)
{
    size_t elements = 0;

    for (at += strspn(at, " \t,"); *at != '\0'; at += strspn(at, " \t,")) {
        struct api_range one = {.offset = 0};
        enum element element = read_range(&at, size, &one);

        at += strspn(at, " \t");
        if (element == ELEMENT_MALFORMED || (*at != '\0' && *at != ',') ||
            ++elements > API_RANGES_MAX) {
            return false;
        }
        if (element == ELEMENT_INSIDE) {
            if (overlaps(r, &one)) {
                return false;
            }
            r->items[r->count++] = one;
        }
    }
    return elements > 0;
}

void api_range_parse(const char *header, uint64_t size, struct api_ranges *ret_ranges)
{
    struct api_ranges r = {.kind = API_RANGE_PART};

    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0 ||
        !read_list(header + 6, size, &r)) {
        r.kind = API_RANGE_WHOLE;
        r.count = 0;
    } else if (r.count == 0) {
        r.kind = API_RANGE_OUTSIDE;
    }
    *ret_ranges = r;
}

void api_range_request(const struct api_request *rq, const char *etag, const char *modified,
                       uint64_t size, struct api_ranges *ret_ranges)
{
    const char *if_range = api_request_header(rq, "If-Range");
    const char *header = api_request_header(rq, "Range");

    /* RFC 9110 14.2: "A server MUST ignore a Range header field received with a request method …
     * for which range handling is not defined." */
    if (rq->method != API_GET || (if_range != NULL && strcmp(if_range, etag) != 0 &&
                                  (modified[0] == '\0' || strcmp(if_range, modified) != 0))) {
        header = NULL;
    }
    api_range_parse(header, size, ret_ranges);
}
