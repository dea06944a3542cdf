/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of what describes content: path rules, manifests, base64. What is accepted keeps the
 * rules, and what is encoded again is the same. */
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "content/manifest.h"
#include "content/path.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

#define DIGEST "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""

static const char *const examples[] = {
    "{\"format\":1,\"package\":\"win11\",\"version\":3,\"stream_size\":5,\"chunk_size\":1048576,"
    "\"files\":[{\"path\":\"a/b\",\"size\":2,\"mode\":420,\"sha256\":" DIGEST "},"
    "{\"path\":\"c\",\"size\":3,\"mode\":0,\"sha256\":" DIGEST "}],\"chunks\":[" DIGEST "]}",
    "{\"format\":1,\"package\":\"p\",\"version\":1,\"stream_size\":2097152,\"chunk_size\":1048576,"
    "\"files\":[{\"path\":\"x\",\"size\":2097152,\"mode\":511,\"sha256\":" DIGEST "}],"
    "\"chunks\":[null," DIGEST "]}",
    "sources/install.wim",
    "a/../b",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "AAEC+/8=",
};

static void manifest(const char *text, size_t size)
{
    struct manifest *m = NULL, *again = NULL;
    char *out, *out_again;
    size_t out_size, out_again_size;
    uint64_t sum = 0;

    if (manifest_parse(text, size, &m, NULL) != CP_OK) {
        CP_ASSERT(m == NULL);
        return;
    }
    CP_ASSERT(m->file_count > 0 && m->file_count <= MANIFEST_FILES_MAX && m->version > 0);
    for (size_t i = 0; i < m->file_count; i++) {
        CP_ASSERT(content_path_check(m->files[i].path, NULL) == CP_OK);
        CP_ASSERT(m->files[i].stream_offset == sum && m->files[i].mode <= 0777);
        CP_ASSERT(i == 0 || strcmp(m->files[i - 1].path, m->files[i].path) < 0);
        sum += m->files[i].size;
    }
    CP_ASSERT(sum == m->stream_size && sum <= MANIFEST_STREAM_MAX);
    CP_ASSERT(m->chunk_count == (sum + CONTENT_CHUNK_SIZE - 1) / CONTENT_CHUNK_SIZE);
    CP_ASSERT(manifest_encode(m, &out, &out_size) == CP_OK);
    CP_ASSERT(manifest_parse(out, out_size, &again, NULL) == CP_OK);
    CP_ASSERT(manifest_encode(again, &out_again, &out_again_size) == CP_OK);
    CP_ASSERT(out_size == out_again_size && memcmp(out, out_again, out_size) == 0);
    free(out);
    free(out_again);
    manifest_free(m);
    manifest_free(again);
}

/* No path leads out of the folder that it is put in. */
static void path(const char *text)
{
    const char *part = text;

    if (content_path_check(text, NULL) != CP_OK) {
        return;
    }
    CP_ASSERT(text[0] != '/' && strlen(text) <= CONTENT_PATH_MAX && strchr(text, '\\') == NULL);
    while (part != NULL) {
        size_t size = strcspn(part, "/");

        CP_ASSERT(size > 0 && size <= CONTENT_PATH_PART_MAX);
        CP_ASSERT(!(size == 1 && part[0] == '.') && !(size == 2 && memcmp(part, "..", 2) == 0));
        part = part[size] == '/' ? part + size + 1 : NULL;
    }
    CP_ASSERT(content_path_conflicts(text, text));
}

/* Two paths, divided by a line's end: either order gives the same answer, and the list agrees. */
static void paths(const char *text)
{
    const char *end = strchr(text, '\n');
    char first[FUZZ_TEXT_MAX];
    const char *pair[2] = {first, NULL};
    bool valid, conflict;

    if (end == NULL) {
        return;
    }
    memcpy(first, text, (size_t)(end - text));
    first[end - text] = '\0';
    pair[1] = end + 1;
    valid =
        content_path_check(pair[0], NULL) == CP_OK && content_path_check(pair[1], NULL) == CP_OK;
    conflict = content_path_conflicts(pair[0], pair[1]);
    CP_ASSERT(conflict == content_path_conflicts(pair[1], pair[0]));
    CP_ASSERT((content_paths_check(pair, 2, NULL) == CP_OK) == (valid && !conflict));
}

static void base64(enum cp_base64_kind kind, const char *text, size_t size)
{
    static char again[CP_BASE64_SIZE(FUZZ_TEXT_MAX)];
    size_t cap = size / 4 * 3 + 3;
    uint8_t *data = malloc(cap); /* exactly: the sanitizer sees every overrun */
    size_t data_size = 0, again_size;

    CP_ASSERT(data != NULL);
    if (cp_base64_decode(kind, text, size, data, cap, &data_size)) {
        uint8_t *small = malloc(data_size > 1 ? data_size - 1 : 1);

        CP_ASSERT(small != NULL);
        CP_ASSERT(data_size == 0 ||
                  !cp_base64_decode(kind, text, size, small, data_size - 1, &again_size));
        free(small);
        again_size = cp_base64_encode(kind, data, data_size, again);
        CP_ASSERT(again_size == size && memcmp(again, text, size) == 0); /* one form each */
    }
    free(data);
    again_size = cp_base64_encode(kind, text, size, again);
    data = malloc(size > 0 ? size : 1);
    CP_ASSERT(data != NULL);
    CP_ASSERT(cp_base64_decode(kind, again, again_size, data, size, &data_size));
    CP_ASSERT(data_size == size && memcmp(data, text, size) == 0);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FUZZ_TEXT_MAX];
    size_t length = fuzz_text(data, size, examples, sizeof examples / sizeof examples[0], text);

    manifest(text, length);
    path(text);
    paths(text);
    base64(CP_BASE64_STD, text, length);
    base64(CP_BASE64_URL, text, length);
    return 0;
}
