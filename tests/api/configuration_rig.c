/* SPDX-License-Identifier: Apache-2.0
 * The configuration's document, out and in. */
#include "tests/api/configuration_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

static void *import_there(void *arg)
{
    struct conf_importer *i = arg;
    char bearer[KEYS_TOKEN_SIZE + 16];
    struct api_pair headers[] = {{"Content-Type", "application/json"}, {"Authorization", bearer}};
    struct api_request rq = {.method = API_PUT,
                             .path = CONFIGURATION,
                             .headers = headers,
                             .header_count = 2,
                             .body = i->body,
                             .body_size = strlen(i->body),
                             .remote = "192.0.2.8",
                             .request_id = "import"};
    struct api_response rs;

    (void)snprintf(bearer, sizeof bearer, "Bearer %s", rig->tokens[RIG_ADMIN]);
    rs = api_handle(&rig->ctx, &rq);
    i->status = rs.status;
    api_response_done(&rs);
    return NULL;
}

void conf_import_begin(struct conf_importer *i)
{
    assert_int_equal(pthread_create(&i->thread, NULL, import_there, i), 0);
}

void conf_import_end(struct conf_importer *i)
{
    assert_int_equal(pthread_join(i->thread, NULL), 0);
}
