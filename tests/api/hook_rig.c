/* SPDX-License-Identifier: Apache-2.0
 * Webhooks by their names, and one look of who sends. */
#include "tests/api/hook_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "jobs/webhooks.h"

void hook_make(const char *name, const char *url, const char *more, char ret_secret[64])
{
    char body[512];
    struct rig_call call = {.method = API_POST, .path = HOOKS, .body = body};
    struct rig_answer a;

    (void)snprintf(body, sizeof body, "{\"name\": \"%s\", \"url\": \"%s/" HOOK_SECRET "\"%s}", name,
                   url, more);
    a = rig_expect(rig, RIG_ADMIN, &call, 201);
    if (ret_secret != NULL) {
        (void)snprintf(ret_secret, 64, "%s", rig_text(&a, "secret"));
    }
    rig_answer_done(&a);
}

struct rig_answer hook_get(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, HOOKS "/%s", name);
    return rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

void hook_expect_state(const char *name, const char *state)
{
    struct rig_answer a = hook_get(name);

    assert_string_equal(rig_text(&a, "state"), state);
    rig_answer_done(&a);
}

void hook_drop(const char *name)
{
    struct rig_call call = {.method = API_DELETE};
    char path[128], match[128];
    struct rig_answer a;

    (void)snprintf(path, sizeof path, HOOKS "/%s", name);
    rig_if_match(rig, path, match);
    call.path = path;
    call.headers[0] = match;
    a = rig_expect(rig, RIG_ADMIN, &call, 204);
    rig_answer_done(&a);
}

struct rig_answer hook_patch(const char *name, const char *body)
{
    struct rig_call call = {.method = API_PATCH, .body = body};
    char path[128], match[128];

    (void)snprintf(path, sizeof path, HOOKS "/%s", name);
    rig_if_match(rig, path, match);
    call.path = path;
    call.headers[0] = match;
    return rig_expect(rig, RIG_ADMIN, &call, 200);
}

void hook_send_due(void)
{
    struct webhooks_config config = {.ctx = &rig->jobs, .timeout_ms = 500};
    struct cp_error err = {.code = CP_OK};

    rig_follow(rig);
    if (webhooks_do_due(&config, rig->settled, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
}

void hook_pass_pause(const char *name)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "UPDATE webhooks SET next_attempt_at = now() - interval '1 second' WHERE name = "
                   "'%s'",
                   name);
    rig_sql(sql);
}

json_t *hook_deliveries(const char *name, struct rig_answer *ret_answer)
{
    char path[128];

    (void)snprintf(path, sizeof path, HOOKS "/%s/deliveries", name);
    *ret_answer =
        rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
    return json_object_get(ret_answer->json, "items");
}
