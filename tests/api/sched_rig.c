/* SPDX-License-Identifier: Apache-2.0
 * The scheduler's rig. */
#include "tests/api/sched_rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/clock.h"
#include "db/listener.h"

struct sched sched;

/* ---- setting up ---- */

void sched_start(void)
{
    struct srv_scheduler_config config = {.api = &sched.rig->ctx, .listener = sched.ears};
    struct cp_error err = {.code = CP_OK};

    if (srv_scheduler_start(&config, &sched.scheduler, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
}

void sched_stop(void)
{
    srv_scheduler_stop(sched.scheduler);
    sched.scheduler = NULL;
}

int sched_set_up(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_SESSIONS, DB_CHANNEL_RECEIVERS,
                                           DB_CHANNEL_SETTINGS};
    uint32_t x = 1;

    assert_int_equal(rig_set_up(state), 0);
    sched.rig = rig;
    assert_int_equal(api_progress_new(&sched.progress), CP_OK);
    sched.rig->ctx.progress = sched.progress;
    assert_int_equal(
        db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 2, &sched.listener, NULL), CP_OK);
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 3, &sched.ears, NULL),
                     CP_OK);
    sched.content = malloc(SCHED_CONTENT_SIZE);
    for (uint32_t i = 0; i < SCHED_CONTENT_SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        sched.content[i] = (uint8_t)(x >> 24);
    }
    rig_content_access(sched.rig, "anonymous");
    rig_sql("UPDATE settings SET interface = 'lo', gathering_delay_ms = 0");
    return 0;
}

int sched_tear_down(void **state)
{
    srv_scheduler_stop(sched.scheduler);
    db_listener_close(sched.listener);
    db_listener_close(sched.ears);
    assert_int_equal(rig_tear_down(state), 0);
    api_progress_free(sched.progress);
    free(sched.content);
    return 0;
}

/* ---- helpers ---- */

void sched_package(const char *name)
{
    char path[128];
    struct rig_call put = {
        .method = API_PUT, .path = path, .data = sched.content, .size = SCHED_CONTENT_SIZE};

    rig_package(sched.rig, name, "");
    (void)snprintf(path, sizeof path, "/api/v1/packages/%s/versions/1/files/a.bin", name);
    assert_int_equal(rig_status(sched.rig, RIG_OPERATOR, &put), 201);
    rig_seal(sched.rig, name, 1);
}

json_int_t sched_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void fill_channel(const json_t *s, struct mc_channel *c)
{
    const char *secret = rig_text_in(s, "secret");
    size_t size;

    (void)snprintf(c->group, sizeof c->group, "%s", rig_text_in(s, "group"));
    (void)snprintf(c->interface, sizeof c->interface, "lo");
    c->port = (uint16_t)sched_number(s, "port");
    c->object_id = (uint16_t)sched_number(s, "object_id");
    c->fec_id = (uint8_t)sched_number(s, "fec_id");
    c->segment_size = (uint16_t)sched_number(s, "segment_size");
    c->max_block_len = (uint16_t)sched_number(s, "max_block_len");
    c->num_parity = (uint16_t)sched_number(s, "num_parity");
    c->content_size = (uint64_t)sched_number(s, "content_size");
    c->object_size = (uint64_t)sched_number(s, "object_size");
    c->sender_id = (uint32_t)sched_number(s, "sender_id");
    c->auth = true;
    assert_string_equal(rig_text_in(s, "auth"), "aes-256-gmac");
    c->mac = MC_MAC_AES256_GMAC;
    c->encrypt = json_is_true(json_object_get(s, "encrypt"));
    assert_true(cp_base64_decode(CP_BASE64_URL, secret, strlen(secret), c->secret, sizeof c->secret,
                                 &size));
}

struct sched_place sched_join(const char *package, const char *client)
{
    char body[256];
    struct rig_call call = {.method = API_POST, .path = "/api/v1/joins", .body = body};
    struct sched_place p = {.config = {.silence = 5 * CP_SEC}};
    struct rig_answer a;
    const char *payload;
    char text[8192];
    const json_t *session;
    json_t *ticket;
    size_t size;

    (void)snprintf(body, sizeof body, "{\"package\": \"%s\", \"client_id\": \"%s\"}", package,
                   client);
    a = rig_expect(sched.rig, RIG_NOBODY, &call, 201);
    payload = strchr(rig_text(&a, "ticket"), '.') + 1;
    assert_true(
        cp_base64_decode(CP_BASE64_URL, payload, strcspn(payload, "."), text, sizeof text, &size));
    ticket = json_loadb(text, size, 0, NULL);
    assert_non_null(ticket);
    session = json_object_get(ticket, "session");
    (void)snprintf(p.join, sizeof p.join, "%s", rig_text(&a, "id"));
    (void)snprintf(p.session, sizeof p.session, "%s", rig_text_in(session, "id"));
    (void)snprintf(p.bearer, sizeof p.bearer, "Bearer %s", rig_text(&a, "receiver_token"));
    p.config.node_id = (uint32_t)sched_number(session, "node_id");
    fill_channel(session, &p.config.channel);
    json_decref(ticket);
    rig_answer_done(&a);
    return p;
}

int sched_report(const struct sched_place *p, const char *tail, const char *body)
{
    char path[256];
    struct rig_call call = {
        .method = API_PUT, .path = path, .body = body, .authorization = p->bearer};

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s/%s", p->join, tail);
    return rig_status(sched.rig, RIG_NOBODY, &call);
}

json_t *sched_session(const struct sched_place *p)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    json_t *value;

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s", p->session);
    a = rig_expect(sched.rig, RIG_VIEWER, &call, 200);
    value = json_incref(a.json);
    rig_answer_done(&a);
    return value;
}

void sched_pause(void)
{
    struct pollfd fd = {.fd = db_listener_fd(sched.listener), .events = POLLIN};
    struct db_notification n;
    bool any = true;

    (void)poll(&fd, 1, 100);
    while (any) {
        assert_int_equal(db_listener_next(sched.listener, &any, &n, NULL), CP_OK);
    }
}

json_t *sched_await(const struct sched_place *p, const char *state)
{
    cp_time end = cp_clock_now() + SCHED_PATIENCE;

    for (;;) {
        json_t *session = sched_session(p);

        if (strcmp(rig_text_in(session, "state"), state) == 0) {
            return session;
        }
        if (cp_clock_now() > end) {
            fail_msg("the session is %s, not %s", rig_text_in(session, "state"), state);
        }
        json_decref(session);
        sched_pause();
    }
}

void sched_expect(const struct sched_place *p, const char *state)
{
    json_decref(sched_await(p, state));
}

void sched_expect_end(const struct sched_place *p, const char *state, const char *code)
{
    json_t *session = sched_await(p, state);

    assert_string_equal(rig_text_in(json_object_get(session, "end"), "code"), code);
    json_decref(session);
}

void sched_rate(const char *bps)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "UPDATE settings SET rate_ceiling_bps = %s", bps);
    rig_sql(sql);
}

static void *receive(void *arg)
{
    struct sched_receiving *r = arg;

    r->result = mc_receiver_run(r->receiver, NULL);
    return NULL;
}

void sched_receive(struct sched_receiving *r, struct sched_place *p)
{
    r->extent = (struct mc_extent){.fd = memfd_create("received", MFD_CLOEXEC),
                                   .size = p->config.channel.content_size};
    assert_true(r->extent.fd >= 0);
    assert_int_equal(ftruncate(r->extent.fd, SCHED_CONTENT_SIZE), 0);
    p->config.extents = &r->extent;
    p->config.extent_count = 1;
    assert_int_equal(mc_receiver_open(&p->config, &r->receiver, NULL), CP_OK);
    assert_int_equal(pthread_create(&r->thread, NULL, receive, r), 0);
}

enum cp_err sched_receive_end(struct sched_receiving *r)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    mc_receiver_close(r->receiver);
    return r->result;
}

void sched_assert_content(const struct sched_receiving *r)
{
    uint8_t *got = malloc(SCHED_CONTENT_SIZE);

    assert_int_equal(pread(r->extent.fd, got, SCHED_CONTENT_SIZE, 0), SCHED_CONTENT_SIZE);
    assert_memory_equal(got, sched.content, SCHED_CONTENT_SIZE);
    free(got);
    assert_int_equal(close(r->extent.fd), 0);
}
