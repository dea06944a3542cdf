/* SPDX-License-Identifier: Apache-2.0
 * Resumable uploads into the draft of one package. */
#include "tests/api/upload_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/hex.h"
#include "content/sha256.h"

int upload_set_up(void **state)
{
    int rc = rig_set_up(state);

    rig_package(rig, "up", "");
    return rc;
}

void upload_metadata(const char *path, const char *more, char ret_header[512])
{
    char encoded[256];

    (void)cp_base64_encode(CP_BASE64_STD, path, strlen(path), encoded);
    (void)snprintf(ret_header, 512, "Upload-Metadata: path %s%s", encoded, more);
}

void upload_metadata_of(const char *path, const char *content, char ret_header[512])
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char hex[CONTENT_DIGEST_TEXT_SIZE], encoded[128], more[160];

    assert_int_equal(content_sha256(content, strlen(content), digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    (void)cp_base64_encode(CP_BASE64_STD, hex, strlen(hex), encoded);
    (void)snprintf(more, sizeof more, ",sha256 %s", encoded);
    upload_metadata(path, more, ret_header);
}

struct rig_call upload_creation(const char *path, const char *length, char metadata[512])
{
    upload_metadata(path, "", metadata);
    return (struct rig_call){.method = API_POST,
                             .path = UPLOAD_VERSION "/uploads",
                             .headers = {UPLOAD_TUS, length, metadata}};
}

void upload_begin(const char *path, const char *length, char ret_path[128])
{
    char metadata[512];
    struct rig_call call = upload_creation(path, length, metadata);
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 201);

    assert_string_equal(rig_text(&a, "state"), "receiving");
    assert_string_equal(rig_header(&a, "Upload-Offset"), "0");
    (void)snprintf(ret_path, 128, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
}

struct rig_call upload_piece(const char *path, const char *offset, const char *data)
{
    return (struct rig_call){.method = API_PATCH,
                             .path = path,
                             .headers = {UPLOAD_TUS, UPLOAD_TYPE, offset},
                             .data = data,
                             .size = strlen(data)};
}

void upload_send(const char *path, const char *offset, const char *data, const char *then)
{
    struct rig_call call = upload_piece(path, offset, data);
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 204);

    assert_string_equal(rig_header(&a, "Upload-Offset"), then);
    assert_string_equal(rig_header(&a, "Tus-Resumable"), "1.0.0");
    assert_non_null(strstr(rig_header(&a, "Upload-Expires"), "GMT"));
    rig_answer_done(&a);
}

void upload_expect_offset(const char *path, const char *offset)
{
    struct rig_call call = {.method = API_HEAD, .path = path, .headers = {UPLOAD_TUS}};
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 200);

    assert_string_equal(rig_header(&a, "Upload-Offset"), offset);
    assert_string_equal(rig_header(&a, "Cache-Control"), "no-store");
    rig_answer_done(&a);
}

void upload_expect_file(const char *path, const char *content)
{
    char address[256];
    struct rig_call call = {.method = API_GET, .path = address};
    struct rig_answer a;

    (void)snprintf(address, sizeof address, UPLOAD_VERSION "/files/%s", path);
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_string_equal(a.bytes, content);
    rig_answer_done(&a);
}

int upload_partial_files(void)
{
    char command[256];
    FILE *f;
    int count = -1;

    (void)snprintf(command, sizeof command, "ls %s/content/partial | wc -l", rig->folder);
    f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &count), 1);
    assert_int_equal(pclose(f), 0);
    return count;
}
