/* SPDX-License-Identifier: Apache-2.0
 * The Range header (RFC 9110 section 14), single byte ranges. Pure. */
#ifndef API_RANGE_H
#define API_RANGE_H

#include "api/api.h"

enum api_range_kind {
    API_RANGE_WHOLE,  /* none, another unit, several ranges or malformed: answer 200 with all */
    API_RANGE_PART,   /* 206 */
    API_RANGE_OUTSIDE /* 416 */
};

/* header may be NULL; size is the whole content's. Outputs are set for API_RANGE_PART only. */
enum api_range_kind api_range_parse(const char *header, uint64_t size, uint64_t *ret_offset,
                                    uint64_t *ret_size);

/* Range with If-Range: an If-Range that is not exactly this strong ETag switches the range off. */
enum api_range_kind api_range_request(const struct api_request *rq, const char *etag, uint64_t size,
                                      uint64_t *ret_offset, uint64_t *ret_size);

#endif
