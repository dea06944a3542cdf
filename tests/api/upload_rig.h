/* SPDX-License-Identifier: Apache-2.0
 * What tests of resumable uploads stand on: the API's rig and a package with a draft. A failure ends
 * the test by a cmocka assertion. */
#ifndef TESTS_API_UPLOAD_RIG_H
#define TESTS_API_UPLOAD_RIG_H

#include "tests/api/rig.h"

#define UPLOAD_VERSION "/api/v1/packages/up/versions/1"
#define UPLOAD_TUS     "Tus-Resumable: 1.0.0"
#define UPLOAD_TYPE    "Content-Type: application/offset+octet-stream"

/* Group fixture of cmocka: rig_set_up, and the draft. */
int upload_set_up(void **state);

/* "Upload-Metadata: path …" and what `more` adds to it; with the digest of what it is to be. */
void upload_metadata(const char *path, const char *more, char ret_header[512]);
void upload_metadata_of(const char *path, const char *content, char ret_header[512]);

/* The call that begins one; `length` is a whole header, `metadata` the call's third one. */
struct rig_call upload_creation(const char *path, const char *length, char metadata[512]);
/* One that was begun: its address. */
void upload_begin(const char *path, const char *length, char ret_path[128]);

/* A piece of it; `offset` is a whole header. One that is taken: the offset `then`. */
struct rig_call upload_piece(const char *path, const char *offset, const char *data);
void upload_send(const char *path, const char *offset, const char *data, const char *then);

/* HEAD tells that offset; the draft has that file. */
void upload_expect_offset(const char *path, const char *offset);
void upload_expect_file(const char *path, const char *content);

/* Files in the store of blobs that are not whole yet. */
int upload_partial_files(void);

#endif
