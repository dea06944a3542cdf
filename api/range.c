/* SPDX-License-Identifier: Apache-2.0
 * Single byte ranges and If-Range. Pure. */
#include "api/range.h"

#include <string.h>
#include <strings.h>

#include "api/respond.h"

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

static enum api_range_kind suffix_range(const char *at, uint64_t size, uint64_t *ret_offset,
                                        uint64_t *ret_size)
{
    uint64_t last;

    if (!read_number(&at, &last) || at[strspn(at, " \t")] != '\0') {
        return API_RANGE_WHOLE;
    }
    if (last == 0 || size == 0) {
        return API_RANGE_OUTSIDE;
    }
    *ret_size = last < size ? last : size;
    *ret_offset = size - *ret_size;
    return API_RANGE_PART;
}

enum api_range_kind api_range_parse(const char *header, uint64_t size, uint64_t *ret_offset,
                                    uint64_t *ret_size)
{
    uint64_t first;
    uint64_t last = UINT64_MAX;
    const char *at;

    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0) {
        return API_RANGE_WHOLE;
    }
    at = header + 6 + strspn(header + 6, " \t");
    if (*at == '-') {
        return suffix_range(at + 1, size, ret_offset, ret_size);
    }
    if (!read_number(&at, &first) || *at != '-') {
        return API_RANGE_WHOLE;
    }
    at++;
    if (*at >= '0' && *at <= '9' && (!read_number(&at, &last) || last < first)) {
        return API_RANGE_WHOLE;
    }
    if (at[strspn(at, " \t")] != '\0') {
        return API_RANGE_WHOLE;
    }
    if (first >= size) {
        return API_RANGE_OUTSIDE;
    }
    last = last < size - 1 ? last : size - 1;
    *ret_offset = first;
    *ret_size = last - first + 1;
    return API_RANGE_PART;
}

enum api_range_kind api_range_request(const struct api_request *rq, const char *etag, uint64_t size,
                                      uint64_t *ret_offset, uint64_t *ret_size)
{
    const char *if_range = api_request_header(rq, "If-Range");

    if (if_range != NULL && strcmp(if_range, etag) != 0) {
        return API_RANGE_WHOLE;
    }
    return api_range_parse(api_request_header(rq, "Range"), size, ret_offset, ret_size);
}
