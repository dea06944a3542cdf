/* SPDX-License-Identifier: Apache-2.0
 * The rig of the content library. */
#include "tests/api/library_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"

const char *library_digest(const char *text)
{
    static char hex[CONTENT_DIGEST_TEXT_SIZE];
    uint8_t digest[CONTENT_DIGEST_SIZE];

    assert_int_equal(content_sha256(text, strlen(text), digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    return hex;
}

const char *library_path(const char *text)
{
    static char path[256];
    const char *hex = library_digest(text);

    (void)snprintf(path, sizeof path, "%s/content/sha256/%.2s/%s", rig->folder, hex, hex);
    return path;
}

static json_t *find(const char *text)
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER,
                   &(struct rig_call){.method = API_GET, .path = LIBRARY "/blobs?limit=1000"}, 200);
    const char *digest = library_digest(text);
    json_t *found = NULL;
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        if (strcmp(rig_text_in(item, "sha256"), digest) == 0) {
            found = json_incref(item);
        }
    }
    rig_answer_done(&a);
    return found;
}

json_t *library_blob(const char *text)
{
    json_t *found = find(text);

    if (found == NULL) {
        fail_msg("no blob '%s'", text);
    }
    return found;
}

bool library_has(const char *text)
{
    json_t *found = find(text);
    bool has = found != NULL;

    json_decref(found);
    return has;
}

json_int_t library_references(const char *text)
{
    json_t *blob = library_blob(text);
    json_int_t count = rig_number_in(blob, "references");

    assert_int_equal(count == 0, !json_is_null(json_object_get(blob, "unused_since")));
    json_decref(blob);
    return count;
}

json_t *library_work(const char *what, const char *body)
{
    char path[128];
    struct rig_call call = {.method = API_POST, .path = path, .body = body};
    struct rig_answer a;
    json_t *result;

    (void)snprintf(path, sizeof path, LIBRARY "/%s", what);
    a = rig_task(rig, RIG_OPERATOR, &call, "done");
    result = json_incref(json_object_get(a.json, "result"));
    rig_answer_done(&a);
    assert_true(json_is_object(result));
    return result;
}

void library_damage(const char *text, const char *bytes)
{
    FILE *file = fopen(library_path(text), "we");

    assert_non_null(file);
    assert_int_equal(fputs(bytes, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}
