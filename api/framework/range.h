/* SPDX-License-Identifier: Apache-2.0
 * The Range header (RFC 9110 section 14): one byte range or several. Pure. */
#ifndef API_FRAMEWORK_RANGE_H
#define API_FRAMEWORK_RANGE_H

#include "api/api.h"

/* A client that resumes asks for one range, one that repairs for a few: more is no use but to make
 * a server work (RFC 9110 14.2). */
#define API_RANGES_MAX 16

enum api_range_kind {
    API_RANGE_WHOLE,  /* none, another unit, too many, overlapping or malformed: 200 with all */
    API_RANGE_PART,   /* 206; with several a multipart/byteranges body */
    API_RANGE_OUTSIDE /* 416 */
};

struct api_range {
    uint64_t offset, size; /* never empty, inside the content */
};

struct api_ranges {
    enum api_range_kind kind;
    size_t count; /* API_RANGE_PART: at least 1 */
    struct api_range items[API_RANGES_MAX];
};

/* header may be NULL; size is the whole content's. Ranges keep the order that they were asked in;
 * of several those that lie outside are left out. */
void api_range_parse(const char *header, uint64_t size, struct api_ranges *ret_ranges);

/* Range with If-Range, for GET; other methods know no ranges. An If-Range that is neither exactly
 * this strong ETag nor `modified` (as Last-Modified has it; "" when a date would be too weak)
 * switches the ranges off. */
void api_range_request(const struct api_request *rq, const char *etag, const char *modified,
                       uint64_t size, struct api_ranges *ret_ranges);

#endif
