/* SPDX-License-Identifier: Apache-2.0
 * Keys as clients see them, and joins that need them. */
#include "tests/api/key_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct rig_call key_post(const char *path, const char *body)
{
    return (struct rig_call){.method = API_POST, .path = path, .body = body};
}

void key_expect(const char *path, const char *health, const char *words)
{
    struct rig_call call = rig_call_get(path);
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &call, 200);

    if (strcmp(rig_text(&a, "health"), health) != 0 ||
        strstr(rig_text(&a, "summary"), words) == NULL) {
        fail_msg("%s: not %s with '%s': %s", path, health, words, a.bytes);
    }
    assert_null(strstr(a.bytes, "private_"));
    rig_answer_done(&a);
}

void key_fingerprint(const char *path, char ret_text[65])
{
    struct rig_call call = rig_call_get(path);
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &call, 200);

    (void)snprintf(ret_text, 65, "%s",
                   rig_text_in(json_object_get(a.json, "active"), "fingerprint"));
    rig_answer_done(&a);
}

void key_joins(const char *client, int status)
{
    char body[256];
    struct joined j;

    (void)snprintf(body, sizeof body,
                   "{\"package\": \"kept\", \"client_id\": \"%s\", \"client_name\": \"pc\"}",
                   client);
    j = joined_as(RIG_NOBODY, body, status);
    joined_done(&j);
}

void key_refused(const char *word)
{
    struct rig_call call = join_call(JOIN("kept", "refused"));

    rig_refused(rig, RIG_NOBODY, &call, "multicast-key-unusable", word);
}

int key_set_up(void **state)
{
    (void)rig_set_up(state);
    rig_content_access(rig, "anonymous");
    sealed_package("kept", "");
    return 0;
}

void key_listed(const char *kind, const char *health, const char *words)
{
    struct rig_call list = rig_call_get(KEY_ALL "?limit=1");
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &list, 200);
    const json_t *item;
    bool found = false;
    size_t i;

    json_array_foreach(json_object_get(a.json, "kinds"), i, item)
    {
        found = found || (strcmp(rig_text_in(item, "kind"), kind) == 0 &&
                          strcmp(rig_text_in(item, "health"), health) == 0 &&
                          strstr(rig_text_in(item, "summary"), words) != NULL);
    }
    assert_int_equal(i, 4);
    assert_true(found);
    rig_answer_done(&a);
}
