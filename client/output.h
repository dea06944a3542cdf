/* SPDX-License-Identifier: Apache-2.0
 * Where castget writes: a folder, a file or a block device. Files grow as "<name>.castget-partial"
 * next to their target and get their names when everything is verified and synced. Touches files.
 * Writing chunks is for one thread; descriptors may be written by another meanwhile. */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "content/manifest.h"

#define CL_PARTIAL_SUFFIX ".castget-partial"

struct cl_output;

/* Decides by what `path` is: an existing folder, a path that ends in '/', or a version of several
 * files: folder (made when it is not there); a block device; otherwise a file. Checks the room,
 * makes the partial files with their full size and zero chunks as holes, and takes over what a
 * killed run left, as far as its bytes have the right digests. The manifest must outlive it.
 * Looking at what was left ends soon after *stop (NULL: never) is set, with CP_ERR_INTERRUPTED.
 * CP_ERR_OUTPUT, CP_ERR_OUTPUT_FULL, CP_ERR_NO_MEMORY; nothing is left behind after a failure. */
CP_MUST_CHECK enum cp_err cl_output_open(const char *path, const struct manifest *manifest,
                                         const atomic_bool *stop, struct cl_output **ret_output,
                                         struct cp_error *err);

/* Descriptor of a file, open for reading and writing; stays the output's. */
int cl_output_fd(const struct cl_output *o, size_t file_index);

/* One byte per stream chunk, 1: written and verified. Borrowed. */
const uint8_t *cl_output_chunks(const struct cl_output *o);
size_t cl_output_missing(const struct cl_output *o); /* chunks that are not */
uint64_t cl_output_bytes(const struct cl_output *o); /* bytes of those that are */

/* Writes a chunk that was verified. CP_ERR_OUTPUT_FULL, CP_ERR_OUTPUT. */
CP_MUST_CHECK enum cp_err cl_output_write_chunk(struct cl_output *o, size_t stream_chunk,
                                                const void *data, struct cp_error *err);
/* The chunk was written to the descriptors by somebody else, and verified. */
void cl_output_mark_chunk(struct cl_output *o, size_t stream_chunk);

/* All chunks are here: syncs, sets modes, gives the files their names, syncs the folders. */
CP_MUST_CHECK enum cp_err cl_output_commit(struct cl_output *o, struct cp_error *err);

/* Closes; without a commit before it, partial files and folders made are removed. NULL allowed. */
void cl_output_close(struct cl_output *o);

#endif
