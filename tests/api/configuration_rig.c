/* SPDX-License-Identifier: Apache-2.0
 * The configuration's document, out and in. */
#include "tests/api/configuration_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct rig_answer conf_put(const char *query, const char *body)
{
    char path[128];

    (void)snprintf(path, sizeof path, CONFIGURATION "%s", query);
    return rig_expect(rig, RIG_ADMIN,
                      &(struct rig_call){.method = API_PUT, .path = path, .body = body}, 200);
}

void conf_refused(const char *query, const char *body, const char *code, const char *word)
{
    char path[128];

    (void)snprintf(path, sizeof path, CONFIGURATION "%s", query);
    rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_PUT, .path = path, .body = body},
                code, word);
}

size_t conf_changes(const struct rig_answer *a, char ret_first[128])
{
    const json_t *list = json_object_get(a->json, "changes");
    const json_t *first = json_array_get(list, 0);

    ret_first[0] = '\0';
    if (first != NULL) {
        (void)snprintf(ret_first, 128, "%s %s %s", rig_text_in(first, "section"),
                       rig_text_in(first, "name"), rig_text_in(first, "action"));
    }
    return json_array_size(list);
}
