/* SPDX-License-Identifier: Apache-2.0
 * Fetches over HTTPS exactly the chunks that are not verified yet, and verifies each. Touches the
 * network through http.h and the output. One thread. */
#ifndef CLIENT_FETCH_HTTPS_H
#define CLIENT_FETCH_HTTPS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/http.h"
#include "client/output.h"
#include "common/err.h"
#include "common/time.h"
#include "content/manifest.h"

/* One request never asks for more, so that a broken transfer costs little and the time-outs of
 * servers and middle boxes are not met. */
#define CL_RANGE_MAX ((uint64_t)64 << 20)

/* A range of one file of the stream. */
struct cl_range {
    uint64_t stream_offset;
    size_t file_index;
    uint64_t file_offset;
    uint64_t size;
};

/* Pure: the next range to ask for, from stream position `at` on: chunks with a 0 in `chunks`,
 * neighbours merged, within one file and CL_RANGE_MAX. A position inside of such a chunk goes on
 * there; inside of another one it moves on. False: nothing is missing from there on. */
bool cl_range_next(const struct manifest *m, const uint8_t *chunks, uint64_t at,
                   struct cl_range *ret_range);

/* Called with the bytes verified so far by this fetch, a few times a second. A failure ends it. */
typedef enum cp_err cl_https_tick(void *arg, uint64_t bytes, struct cp_error *err);

struct cl_https {
    struct cl_http *http;
    const char *content_url; /* "/api/v1/content/": a digest follows */
    const struct manifest *manifest;
    struct cl_output *output;
    cl_https_tick *tick;
    void *arg;
};

/* CP_OK: nothing is missing any more. *ret_bytes (also after a failure): bytes of chunks that were
 * fetched and verified. Passing failures are tried again with growing pauses, about half a minute
 * in a row at most; CP_ERR_CHUNK_DIGEST when a chunk is wrong three times. */
CP_MUST_CHECK enum cp_err cl_https_fetch(const struct cl_https *f, uint64_t *ret_bytes,
                                         struct cp_error *err);

#endif
