/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of the headers of uploads: numbers, metadata, checksums, digests. What is accepted keeps
 * the promises of api/upload/tus_headers.h and digest.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/upload/digest.h"
#include "api/upload/tus_headers.h"
#include "common/base64.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

static const char *const examples[] = {
    "path c291cmNlcy9pbnN0YWxsLndpbQ==,mode MDY0NA==",
    "path YQ==,sha256 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "filename eA==, note,path AAA=,path YQ==",
    "6442450944",
    "999999999999999999",
    "18446744073709551616",
    "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    "md5=:AA==:, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    "X-A, Repr-Digest",
};

static void number(const char *text)
{
    uint64_t found = 1;
    char *end;

    if (api_tus_number(text, &found)) {
        CP_ASSERT(strtoull(text, &end, 10) == found && *end == '\0');
        CP_ASSERT(found < UINT64_C(1000000000000000000));
    } else {
        CP_ASSERT(found == 1);
    }
}

static void metadata(const char *text)
{
    struct api_tus_metadata m;
    struct cp_error err = {.code = CP_OK};

    memset(&m, 'x', sizeof m);
    if (api_tus_metadata(text, &m, &err) == CP_OK) {
        CP_ASSERT(strlen(m.path) < sizeof m.path);
        CP_ASSERT(strlen(m.mode) < sizeof m.mode);
        CP_ASSERT(strlen(m.sha256) < sizeof m.sha256);
        CP_ASSERT(m.path[0] == '\0' || strstr(text, "path ") != NULL);
    } else {
        CP_ASSERT(err.code == CP_ERR_INVALID && err.text[0] != '\0' && m.path[0] == 'x');
    }
}

static void checksum(const char *text)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char again[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];
    struct cp_error err = {.code = CP_OK};

    if (api_tus_checksum(text, digest, &err) == CP_OK) {
        (void)cp_base64_encode(CP_BASE64_STD, digest, sizeof digest, again);
        CP_ASSERT(strcmp(text + strlen("sha256 "), again) == 0);
    } else {
        CP_ASSERT(err.code == CP_ERR_INVALID && err.text[0] != '\0');
    }
}

/* What is accepted and gives none names none. */
static void digest(const char *text)
{
    struct api_digest d = {.is_given = false};
    struct cp_error err = {.code = CP_OK};

    if (api_digest_field("Repr-Digest", text, &d, &err) == CP_OK) {
        const char *named = strcasestr(text, "sha-256=");
        char again[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];

        (void)cp_base64_encode(CP_BASE64_STD, d.sha256, sizeof d.sha256, again);
        CP_ASSERT(!d.is_given || strstr(text, again) != NULL);
        CP_ASSERT(d.is_given || named == NULL ||
                  (named > text && strchr(" \t,", named[-1]) == NULL));
    } else {
        CP_ASSERT(err.code == CP_ERR_INVALID && err.text[0] != '\0');
    }
    if (api_digest_trailer(text, &err) == CP_OK) {
        CP_ASSERT(strcasecmp(text, "repr-digest") != 0);
    } else {
        CP_ASSERT(err.code == CP_ERR_INVALID && err.text[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FUZZ_TEXT_MAX];

    (void)fuzz_text(data, size, examples, sizeof examples / sizeof examples[0], text);
    number(text);
    metadata(text);
    checksum(text);
    digest(text);
    return 0;
}
