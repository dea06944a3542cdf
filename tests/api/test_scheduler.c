/* SPDX-License-Identifier: Apache-2.0
 * The scheduler with a real database, real blobs and real packets on the loopback link: sessions
 * start, deliver, are cancelled, fail, are interrupted and taken up again. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/progress.h"
#include "common/base64.h"
#include "common/clock.h"
#include "content/jws.h"
#include "db/listener.h"
#include "multicast/session.h"
#include "server/scheduler.h"
#include "tests/api/rig.h"

#define CONTENT_SIZE (3u * 1024 * 1024 + 77)
#define PATIENCE     (30 * CP_SEC)

static struct rig *rig;
static struct srv_scheduler *scheduler;
static struct db_listener *listener; /* the tests' own */
static struct db_listener *ears;     /* the scheduler's */
static struct api_progress *progress;
static uint8_t *content;

/* ---- setting up ---- */

static void start_scheduler(void)
{
    struct srv_scheduler_config config = {.api = &rig->ctx, .listener = ears};
    struct cp_error err = {.code = CP_OK};

    if (srv_scheduler_start(&config, &scheduler, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
}

static void stop_scheduler(void)
{
    srv_scheduler_stop(scheduler);
    scheduler = NULL;
}

static int set_up(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_SESSIONS, DB_CHANNEL_RECEIVERS,
                                           DB_CHANNEL_SETTINGS};
    uint32_t x = 1;

    (void)state;
    rig = rig_new();
    assert_int_equal(api_progress_new(&progress), CP_OK);
    rig->ctx.progress = progress;
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 2, &listener, NULL),
                     CP_OK);
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 3, &ears, NULL),
                     CP_OK);
    content = malloc(CONTENT_SIZE);
    for (uint32_t i = 0; i < CONTENT_SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        content[i] = (uint8_t)(x >> 24);
    }
    rig_content_access(rig, "anonymous");
    rig_sql("UPDATE settings SET interface = 'lo', gathering_delay_ms = 0");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    srv_scheduler_stop(scheduler);
    db_listener_close(listener);
    db_listener_close(ears);
    rig_free(rig);
    api_progress_free(progress);
    free(content);
    return 0;
}

/* ---- helpers ---- */

static void sealed_package(const char *name)
{
    char path[128];
    struct rig_call put = {.method = API_PUT, .path = path, .data = content, .size = CONTENT_SIZE};

    rig_package(rig, name, "");
    (void)snprintf(path, sizeof path, "/api/v1/packages/%s/versions/1/files/a.bin", name);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &put), 201);
    rig_seal(rig, name, 1);
}

struct place {
    char join[DB_ID_SIZE];
    char session[DB_ID_SIZE];
    char bearer[128];
    struct mc_receiver_config config;
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    assert_non_null(text);
    return text;
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void fill_channel(const json_t *s, struct mc_channel *c)
{
    const char *secret = text_of(s, "secret");
    size_t size;

    (void)snprintf(c->group, sizeof c->group, "%s", text_of(s, "group"));
    (void)snprintf(c->interface, sizeof c->interface, "lo");
    c->port = (uint16_t)number_of(s, "port");
    c->object_id = (uint16_t)number_of(s, "object_id");
    c->fec_id = (uint8_t)number_of(s, "fec_id");
    c->segment_size = (uint16_t)number_of(s, "segment_size");
    c->max_block_len = (uint16_t)number_of(s, "max_block_len");
    c->num_parity = (uint16_t)number_of(s, "num_parity");
    c->content_size = (uint64_t)number_of(s, "content_size");
    c->object_size = (uint64_t)number_of(s, "object_size");
    c->sender_id = (uint32_t)number_of(s, "sender_id");
    c->auth = true;
    assert_string_equal(text_of(s, "auth"), "aes-256-gmac");
    c->mac = MC_MAC_AES256_GMAC;
    c->encrypt = json_is_true(json_object_get(s, "encrypt"));
    assert_true(cp_base64_decode(CP_BASE64_URL, secret, strlen(secret), c->secret, sizeof c->secret,
                                 &size));
}

/* What the ticket says; its signatures are checked in test_joins.c. */
static struct place join(const char *package, const char *client)
{
    char body[256];
    struct rig_call call = {.method = API_POST, .path = "/api/v1/joins", .body = body};
    struct place p = {.config = {.silence = 5 * CP_SEC}};
    struct rig_answer a;
    const char *payload;
    char text[8192];
    const json_t *session;
    json_t *ticket;
    size_t size;

    (void)snprintf(body, sizeof body, "{\"package\": \"%s\", \"client_id\": \"%s\"}", package,
                   client);
    a = rig_expect(rig, RIG_NOBODY, &call, 201);
    payload = strchr(rig_text(&a, "ticket"), '.') + 1;
    assert_true(
        cp_base64_decode(CP_BASE64_URL, payload, strcspn(payload, "."), text, sizeof text, &size));
    ticket = json_loadb(text, size, 0, NULL);
    assert_non_null(ticket);
    session = json_object_get(ticket, "session");
    (void)snprintf(p.join, sizeof p.join, "%s", rig_text(&a, "id"));
    (void)snprintf(p.session, sizeof p.session, "%s", text_of(session, "id"));
    (void)snprintf(p.bearer, sizeof p.bearer, "Bearer %s", rig_text(&a, "receiver_token"));
    p.config.node_id = (uint32_t)number_of(session, "node_id");
    fill_channel(session, &p.config.channel);
    json_decref(ticket);
    rig_answer_done(&a);
    return p;
}

static int report(const struct place *p, const char *tail, const char *body)
{
    char path[256];
    struct rig_call call = {
        .method = API_PUT, .path = path, .body = body, .authorization = p->bearer};

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s/%s", p->join, tail);
    return rig_status(rig, RIG_NOBODY, &call);
}

static json_t *session_now(const struct place *p)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    json_t *value;

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s", p->session);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    value = json_incref(a.json);
    rig_answer_done(&a);
    return value;
}

/* Waits for the session's state, woken by the database's notifications; a change without one is
 * seen a little later. Returns the session, to be released. */
static json_t *await_state(const struct place *p, const char *state)
{
    cp_time end = cp_clock_now() + PATIENCE;

    for (;;) {
        struct pollfd fd = {.fd = db_listener_fd(listener), .events = POLLIN};
        json_t *session = session_now(p);
        struct db_notification n;
        bool any = true;

        if (strcmp(text_of(session, "state"), state) == 0) {
            return session;
        }
        if (cp_clock_now() > end) {
            fail_msg("the session is %s, not %s", text_of(session, "state"), state);
        }
        json_decref(session);
        (void)poll(&fd, 1, 100);
        while (any) {
            assert_int_equal(db_listener_next(listener, &any, &n, NULL), CP_OK);
        }
    }
}

static void expect_state(const struct place *p, const char *state)
{
    json_decref(await_state(p, state));
}

static void expect_end(const struct place *p, const char *state, const char *code)
{
    json_t *session = await_state(p, state);

    assert_string_equal(text_of(json_object_get(session, "end"), "code"), code);
    json_decref(session);
}

static int count_events(const char *kind)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    int count;

    (void)snprintf(path, sizeof path, "/api/v1/events?kind=%s&limit=1000", kind);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    count = (int)json_array_size(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    return count;
}

static void set_rate(const char *bps)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "UPDATE settings SET rate_ceiling_bps = %s", bps);
    rig_sql(sql);
}

/* A receiver in a thread of its own. */
struct receiving {
    struct mc_receiver *receiver;
    struct mc_extent extent;
    pthread_t thread;
    enum cp_err result;
};

static void *receive(void *arg)
{
    struct receiving *r = arg;

    r->result = mc_receiver_run(r->receiver, NULL);
    return NULL;
}

static void receive_start(struct receiving *r, struct place *p)
{
    r->extent = (struct mc_extent){.fd = memfd_create("received", MFD_CLOEXEC),
                                   .size = p->config.channel.content_size};
    assert_true(r->extent.fd >= 0);
    assert_int_equal(ftruncate(r->extent.fd, CONTENT_SIZE), 0);
    p->config.extents = &r->extent;
    p->config.extent_count = 1;
    assert_int_equal(mc_receiver_open(&p->config, &r->receiver, NULL), CP_OK);
    assert_int_equal(pthread_create(&r->thread, NULL, receive, r), 0);
}

static enum cp_err receive_end(struct receiving *r)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    mc_receiver_close(r->receiver);
    return r->result;
}

static void assert_content(const struct receiving *r)
{
    uint8_t *got = malloc(CONTENT_SIZE);

    assert_int_equal(pread(r->extent.fd, got, CONTENT_SIZE, 0), CONTENT_SIZE);
    assert_memory_equal(got, content, CONTENT_SIZE);
    free(got);
    assert_int_equal(close(r->extent.fd), 0);
}

#define DONE   "{\"outcome\": \"done\", \"bytes_total\": 3145805}"
#define FAILED "{\"outcome\": \"failed\", \"code\": \"output-full\"}"

/* ---- the good way ---- */

static void a_session_delivers(void **state)
{
    struct receiving one, two;
    struct place p, q;
    json_t *session;
    int started = count_events("session-started");
    int finished = count_events("session-finished");

    (void)state;
    rig_sql("UPDATE settings SET gathering_delay_ms = 300");
    set_rate("200000000");
    sealed_package("delivered");
    start_scheduler();
    p = join("delivered", "c1");
    q = join("delivered", "c2");
    assert_string_equal(p.session, q.session);
    receive_start(&one, &p);
    receive_start(&two, &q);
    assert_int_equal(receive_end(&one), CP_OK);
    assert_int_equal(receive_end(&two), CP_OK);
    assert_content(&one);
    assert_content(&two);
    assert_int_equal(report(&p, "progress", "{\"state\": \"verifying\", \"bytes_done\": 9}"), 204);
    assert_int_equal(report(&p, "result", DONE), 204);
    expect_state(&p, "running"); /* the other one is still waited for */
    assert_int_equal(report(&q, "result", DONE), 204);
    session = await_state(&p, "finished");
    assert_int_equal(number_of(json_object_get(session, "receivers"), "done"), 2);
    assert_true(number_of(json_object_get(session, "stats"), "bytes_sent") > CONTENT_SIZE);
    json_decref(session);
    assert_int_equal(count_events("session-started"), started + 1);
    assert_int_equal(count_events("session-finished"), finished + 1);
    stop_scheduler();
    rig_sql("UPDATE settings SET gathering_delay_ms = 0");
}

/* Switched off while it waits, it never sends, and its receivers hear why. */
static void a_session_does_not_start_when_multicast_is_off(void **state)
{
    char path[256];
    struct rig_call call = {.method = API_PUT, .path = path, .body = "{\"state\": \"joined\"}"};
    struct rig_answer a;
    struct place p;

    (void)state;
    sealed_package("switched-off");
    p = join("switched-off", "c1");
    rig_sql("UPDATE settings SET multicast_enabled = false");
    start_scheduler();
    expect_end(&p, "cancelled", "multicast-disabled");
    (void)snprintf(path, sizeof path, "/api/v1/joins/%s/progress", p.join);
    call.authorization = p.bearer;
    a = rig_expect(rig, RIG_NOBODY, &call, 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    assert_string_equal(rig_text(&a, "code"), "multicast-disabled");
    rig_answer_done(&a);
    stop_scheduler();
    rig_sql("UPDATE settings SET multicast_enabled = true");
}

/* The row says that it runs, but nobody sends: what a database that goes away at the wrong moment
 * can leave behind. */
static void a_session_that_nobody_sends_is_taken_up(void **state)
{
    struct receiving one;
    struct place p, other;

    (void)state;
    set_rate("200000000");
    sealed_package("orphan");
    sealed_package("awakener");
    start_scheduler();
    rig_sql("UPDATE settings SET gathering_delay_ms = 600000");
    p = join("orphan", "c1");
    receive_start(&one, &p);
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE state = 'waiting'");
    other = join("awakener", "c1"); /* wakes the scheduler */
    assert_int_equal(receive_end(&one), CP_OK);
    assert_content(&one);
    assert_int_equal(report(&p, "result", DONE), 204);
    expect_state(&p, "finished");
    rig_sql("UPDATE sessions SET state = 'cancelled', ended_at = now() WHERE state = 'waiting'");
    expect_state(&other, "cancelled");
    stop_scheduler();
    rig_sql("UPDATE settings SET gathering_delay_ms = 0");
}

static void progress_is_flushed(void **state)
{
    char path[256];
    struct rig_call call = {.method = API_GET, .path = path};
    cp_time end = cp_clock_now() + PATIENCE;
    struct place p;
    json_int_t done = 0;

    (void)state;
    set_rate("1000000");
    sealed_package("flushed");
    start_scheduler();
    p = join("flushed", "c1");
    call.authorization = p.bearer;
    (void)snprintf(path, sizeof path, "/api/v1/joins/%s", p.join);
    assert_int_equal(report(&p, "progress", "{\"state\": \"receiving\", \"bytes_done\": 4711}"),
                     204);
    while (done != 4711) {
        struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 200);

        done = rig_number(&a, "bytes_done");
        rig_answer_done(&a);
        assert_true(cp_clock_now() < end);
        (void)poll(NULL, 0, 20);
    }
    assert_int_equal(
        report(&p, "progress", "{\"state\": \"moved\", \"reason\": \"no-multicast-heard\"}"), 204);
    expect_state(&p, "finished"); /* nobody is left to wait for */
    stop_scheduler();
}

/* ---- other ends ---- */

static void cancelled_session_is_withdrawn(void **state)
{
    char path[128];
    struct rig_call cancel = {.method = API_POST, .path = path};
    struct receiving r;
    struct place p;

    (void)state;
    set_rate("4000000");
    sealed_package("withdrawn");
    start_scheduler();
    p = join("withdrawn", "c1");
    receive_start(&r, &p);
    expect_state(&p, "running");
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/cancel", p.session);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &cancel), 200);
    assert_int_equal(receive_end(&r), CP_ERR_CANCELLED); /* at once, not after the silence */
    assert_int_equal(close(r.extent.fd), 0);
    expect_end(&p, "cancelled", "cancelled");
    stop_scheduler();
}

static void failures_name_their_cause(void **state)
{
    int before = count_events("session-failed");
    struct place p;

    (void)state;
    sealed_package("broken");
    start_scheduler();
    rig_sql("UPDATE settings SET interface = 'nolink0'");
    p = join("broken", "c1");
    expect_end(&p, "failed", "interface-not-found");
    assert_int_equal(report(&p, "progress", "{\"state\": \"receiving\"}"), 200); /* "leave" */
    rig_sql("UPDATE settings SET interface = 'lo'");
    assert_int_equal(rig_blob_count(rig), 1); /* all packages hold the same bytes */
    p = join("broken", "c2");
    stop_scheduler(); /* between the join and the start, or just after */
    rig_sql("UPDATE sessions SET state = 'cancelled', ended_at = now() WHERE ended_at IS NULL");
    assert_int_equal(count_events("session-failed"), before + 1);
}

static void missing_blob_fails_the_session(void **state)
{
    char command[320];
    char back[320];
    struct place p;

    (void)state;
    sealed_package("missing");
    /* The store keeps its folder open: only what is in it can be taken away. */
    (void)snprintf(command, sizeof command, "mkdir %s/hidden && mv %s/content/sha256/* %s/hidden/",
                   rig->folder, rig->folder, rig->folder);
    (void)snprintf(back, sizeof back, "mv %s/hidden/* %s/content/sha256/", rig->folder,
                   rig->folder);
    start_scheduler();
    assert_int_equal(system(command), 0);
    p = join("missing", "c1");
    expect_end(&p, "failed", "blob-missing");
    assert_int_equal(system(back), 0);
    stop_scheduler();
}

static void nobody_left_nothing_sent(void **state)
{
    json_t *session;
    struct place p;

    (void)state;
    sealed_package("deserted");
    p = join("deserted", "c1");
    assert_int_equal(report(&p, "result", FAILED), 204);
    start_scheduler();
    session = await_state(&p, "finished");
    assert_int_equal(number_of(json_object_get(session, "stats"), "bytes_sent"), 0);
    json_decref(session);
    stop_scheduler();
}

/* ---- one service a node ---- */

/* The server ends a claim a moment after its connection: only that conflict may be waited out. */
static void claim_when_free(struct db_listener *l, const char *node_id)
{
    cp_time end = cp_clock_now() + PATIENCE;
    struct cp_error err;
    enum cp_err rc;

    do {
        rc = db_listener_claim(l, node_id, &err);
        assert_true(cp_clock_now() < end);
    } while (rc == CP_ERR_CONFLICT);
    assert_int_equal(rc, CP_OK);
}

static void a_node_is_claimed_once(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_SESSIONS};
    struct db_listener *other = NULL;
    struct cp_error err;

    (void)state;
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 1, &other, &err),
                     CP_OK);
    assert_int_equal(db_listener_claim(other, rig->node_id, &err), CP_OK);
    assert_int_equal(db_listener_claim(ears, rig->node_id, &err), CP_ERR_CONFLICT);
    assert_int_equal(db_listener_claim(ears, "another node", &err), CP_OK);
    db_listener_close(other);
    claim_when_free(ears, rig->node_id);
    /* A reconnect takes it again, so that a third one finds it taken. */
    while (db_listener_reconnect(ears, &err) != CP_OK) {
        assert_int_equal(err.code, CP_ERR_CONFLICT);
    }
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 1, &other, &err),
                     CP_OK);
    assert_int_equal(db_listener_claim(other, rig->node_id, &err), CP_ERR_CONFLICT);
    db_listener_close(other);
}

/* ---- stop and crash ---- */

static void stopping_interrupts(void **state)
{
    struct receiving r;
    struct place p;

    (void)state;
    set_rate("4000000");
    sealed_package("stopped");
    start_scheduler();
    p = join("stopped", "c1");
    receive_start(&r, &p);
    expect_state(&p, "running");
    stop_scheduler();
    assert_int_equal(receive_end(&r), CP_ERR_CANCELLED);
    assert_int_equal(close(r.extent.fd), 0);
    expect_end(&p, "interrupted", "cancelled");
}

/* As a killed process leaves it: running in the database, without an engine. */
static void killed_session_goes_on(void **state)
{
    int before = count_events("session-resumed");
    struct receiving r;
    struct place p;

    (void)state;
    set_rate("200000000");
    sealed_package("killed");
    p = join("killed", "c1");
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE state = 'waiting'");
    receive_start(&r, &p);
    start_scheduler();
    assert_int_equal(receive_end(&r), CP_OK);
    assert_content(&r);
    assert_int_equal(count_events("session-resumed"), before + 1);
    assert_int_equal(report(&p, "result", DONE), 204);
    expect_state(&p, "finished");
    stop_scheduler();
}

static void stale_session_is_ended(void **state)
{
    struct place p, q;

    (void)state;
    sealed_package("stale");
    p = join("stale", "c1");
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE state = 'waiting'");
    rig_sql("UPDATE receivers SET updated_at = now() - interval '5 minutes', "
            "joined_at = now() - interval '5 minutes'");
    start_scheduler();
    expect_end(&p, "interrupted", "cancelled");
    q = join("stale", "c1"); /* and the next join finds a fresh one */
    assert_string_not_equal(p.session, q.session);
    assert_int_equal(report(&q, "result", FAILED), 204);
    expect_state(&q, "finished");
    stop_scheduler();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_delivers),
        cmocka_unit_test(a_session_does_not_start_when_multicast_is_off),
        cmocka_unit_test(a_session_that_nobody_sends_is_taken_up),
        cmocka_unit_test(progress_is_flushed),
        cmocka_unit_test(cancelled_session_is_withdrawn),
        cmocka_unit_test(failures_name_their_cause),
        cmocka_unit_test(missing_blob_fails_the_session),
        cmocka_unit_test(nobody_left_nothing_sent),
        cmocka_unit_test(a_node_is_claimed_once),
        cmocka_unit_test(stopping_interrupts),
        cmocka_unit_test(killed_session_goes_on),
        cmocka_unit_test(stale_session_is_ended),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
