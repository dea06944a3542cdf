/* SPDX-License-Identifier: Apache-2.0
 * The stream of events as its listeners see it: from now on, from behind an event, over more than
 * memory holds, with filters; none twice, none left out. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/events/stream.h"
#include "common/clock.h"
#include "tests/api/rig.h"

#define STREAM "/api/v1/events/stream"

/* ---- a listener ---- */

struct listener {
    struct api_feed *feed;
    bool parked;
    int woken;
    char text[1 << 20]; /* all that came, NUL behind it */
    size_t size;
    bool ended;
};

static void on_park(void *arg)
{
    ((struct listener *)arg)->parked = true;
}

static void on_wake(void *arg)
{
    struct listener *l = arg;

    assert_true(l->parked);
    l->parked = false;
    l->woken++;
}

/* The stream as server/ would open it; the answer's status when it is refused. */
static int open_stream(struct listener *l, enum rig_who who, const char *last_id, const char *name,
                       const char *value)
{
    struct api_pair headers[2] = {{"Authorization", l->text}, {"Last-Event-ID", last_id}};
    struct api_pair query = {name, value};
    struct api_request rq = {.method = API_GET,
                             .path = STREAM,
                             .headers = headers,
                             .header_count = last_id != NULL ? 2 : 1,
                             .query = &query,
                             .query_count = name != NULL ? 1 : 0,
                             .remote = "192.0.2.7",
                             .request_id = "stream"};
    struct api_feed_owner owner = {.park = on_park, .wake = on_wake, .arg = l};
    struct api_response rs;
    int status;

    memset(l, 0, sizeof *l);
    (void)snprintf(l->text, sizeof l->text, "Bearer %s", rig->tokens[who]);
    rs = api_handle(&rig->ctx, &rq);
    l->text[0] = '\0';
    status = rs.status;
    if (rs.feed != NULL) {
        assert_string_equal(rs.content_type, "text/event-stream");
        l->feed = rs.feed;
        rs.feed = NULL;
        api_feed_attach(l->feed, &owner);
    }
    api_response_done(&rs);
    return status;
}

/* Reads until there is nothing, in small pieces. */
static void read_all(struct listener *l)
{
    size_t size;

    l->size = 0;
    do {
        assert_true(sizeof l->text - l->size > 100);
        size = api_feed_read(l->feed, l->text + l->size, 100);
        l->ended = size == API_FEED_END;
        l->size += l->ended ? 0 : size;
    } while (size > 0 && !l->ended);
    l->text[l->size] = '\0';
}

static void close_stream(struct listener *l)
{
    api_feed_close(l->feed);
    l->feed = NULL;
}

static int count_of(const char *text, const char *word)
{
    int count = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

/* ---- what one listener gets ---- */

static void from_now_on(void **state)
{
    static struct listener l;

    (void)state;
    rig_follow(rig);
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 200);
    read_all(&l);
    assert_string_equal(l.text, "retry: 2000\n\n");
    assert_true(l.parked);
    rig_package(rig, "streamed", "");
    assert_true(l.parked); /* committed, but the reader has not looked */
    rig_follow(rig);
    assert_false(l.parked);
    read_all(&l);
    assert_int_equal(count_of(l.text, "\n\n"), 2);
    assert_non_null(strstr(l.text, "event: package-created\ndata: {\"id\":"));
    assert_non_null(strstr(l.text, "\"subject\":\"package streamed\""));
    assert_non_null(strstr(l.text, "event: version-created\n"));
    rig_follow(rig);
    assert_true(l.parked); /* nothing new: not woken */
    assert_int_equal(l.woken, 1);
    close_stream(&l);
}

static void from_behind_an_event(void **state)
{
    static struct listener l;
    char id[24];

    (void)state;
    rig_follow(rig);
    (void)snprintf(id, sizeof id, "%" PRIu64, rig->settled);
    rig_write_event("package-changed", "package one");
    rig_write_event("package-changed", "package two");
    rig_follow(rig);
    assert_int_equal(open_stream(&l, RIG_VIEWER, id, NULL, NULL), 200);
    read_all(&l);
    assert_int_equal(count_of(l.text, "data: "), 2);
    assert_true(strstr(l.text, "package one") < strstr(l.text, "package two"));
    close_stream(&l);
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, "after", id), 200);
    read_all(&l);
    assert_int_equal(count_of(l.text, "data: "), 2);
    close_stream(&l);
}

/* Ids of all that comes, one behind the other; how many. */
static int read_ids(struct listener *l, uint64_t *last)
{
    int count = 0;

    read_all(l);
    for (const char *at = strstr(l->text, "id: "); at != NULL; at = strstr(at + 4, "\nid: ")) {
        uint64_t id = strtoull(at + (at[0] == '\n' ? 5 : 4), NULL, 10);

        assert_true(id > *last);
        *last = id;
        count++;
    }
    return count;
}

static void more_than_memory_holds(void **state)
{
    static struct listener slow, late;
    uint64_t last_slow, last_late = 0;
    uint64_t begin;
    int slow_count = 0, late_count = 0;

    (void)state;
    rig_follow(rig);
    begin = rig->settled;
    last_slow = begin;
    assert_int_equal(open_stream(&slow, RIG_VIEWER, NULL, NULL, NULL), 200);
    (void)read_ids(&slow, &last_slow);
    rig_sql("INSERT INTO events (kind) SELECT 'package-changed' FROM generate_series(1, 1500)");
    rig_follow(rig); /* the first of them are not in memory any more */
    assert_int_equal(open_stream(&late, RIG_VIEWER, "0", NULL, NULL), 200);
    for (int i = 0; i < 100 && (last_slow < rig->settled || last_late < rig->settled); i++) {
        slow_count += read_ids(&slow, &last_slow);
        late_count += read_ids(&late, &last_late);
        rig_follow(rig);
    }
    assert_int_equal(slow_count, 1500);
    assert_true(late_count >= 1500 + 4); /* and what earlier tests wrote */
    assert_int_equal(last_late, rig->settled);
    assert_true(slow.parked && late.parked);
    close_stream(&slow);
    close_stream(&late);
}

static void only_what_was_asked_for(void **state)
{
    static struct listener kinds, severe, about;

    (void)state;
    rig_follow(rig);
    assert_int_equal(
        open_stream(&kinds, RIG_VIEWER, NULL, "kind", "version-sealed,version-retired"), 200);
    assert_int_equal(open_stream(&severe, RIG_VIEWER, NULL, "severity", "error"), 200);
    assert_int_equal(open_stream(&about, RIG_VIEWER, NULL, "subject", "package mine"), 200);
    read_all(&kinds);
    read_all(&severe);
    read_all(&about);
    rig_write_event("version-retired", "package other version 1");
    rig_write_event("package-changed", "package mine");
    rig_write_event("session-failed", "session z");
    rig_follow(rig);
    read_all(&kinds);
    read_all(&severe);
    read_all(&about);
    assert_int_equal(count_of(kinds.text, "data: "), 1);
    assert_non_null(strstr(kinds.text, "version-retired"));
    assert_int_equal(count_of(severe.text, "data: "), 1);
    assert_non_null(strstr(severe.text, "session-failed"));
    assert_int_equal(count_of(about.text, "data: "), 1);
    assert_non_null(strstr(about.text, "package mine"));
    close_stream(&kinds);
    close_stream(&severe);
    close_stream(&about);
}

static void silence_is_broken_by_comments(void **state)
{
    static struct listener l;

    (void)state;
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 200);
    read_all(&l);
    api_stream_beat(rig->ctx.stream);
    assert_false(l.parked);
    read_all(&l);
    assert_string_equal(l.text, ": still there\n\n");
    close_stream(&l);
}

static void who_was_changed_must_come_again(void **state)
{
    static struct listener changed, other;

    (void)state;
    assert_int_equal(open_stream(&changed, RIG_OPERATOR, NULL, NULL, NULL), 200);
    assert_int_equal(open_stream(&other, RIG_VIEWER, NULL, NULL, NULL), 200);
    read_all(&changed);
    read_all(&other);
    rig_write_event("token-deleted", "token 1 of account operator");
    rig_follow(rig);
    read_all(&changed);
    read_all(&other);
    assert_true(changed.ended);
    assert_false(other.ended);
    close_stream(&changed);
    close_stream(&other);
    assert_int_equal(open_stream(&changed, RIG_OPERATOR, NULL, NULL, NULL), 200);
    rig_write_event("certificate-removed", "certificate 1 of account operator");
    rig_follow(rig);
    read_all(&changed);
    assert_true(changed.ended);
    close_stream(&changed);
}

/* Nobody writes an event when its time comes. */
static void who_expired_must_come_again(void **state)
{
    static struct listener l;
    cp_time deadline = cp_clock_now() + 20 * CP_SEC;

    (void)state;
    rig_sql("UPDATE tokens SET expires_at = now() + interval '2 seconds' WHERE account_id ="
            " (SELECT id FROM accounts WHERE name = 'operator')");
    assert_int_equal(open_stream(&l, RIG_OPERATOR, NULL, NULL, NULL), 200);
    rig_sql("UPDATE tokens SET expires_at = NULL"); /* what was changed in silence does not help */
    read_all(&l);
    assert_false(l.ended);
    while (!l.ended && cp_clock_now() < deadline) {
        (void)poll(NULL, 0, 20); /* it is time that must pass */
        api_stream_beat(rig->ctx.stream);
        read_all(&l);
    }
    assert_true(l.ended);
    close_stream(&l);
}

/* Whoever lost the database's last events has ids that it gives out again. */
static void a_place_in_the_future_is_now(void **state)
{
    static struct listener l;

    (void)state;
    rig_follow(rig);
    assert_int_equal(open_stream(&l, RIG_VIEWER, "900000000000000000", NULL, NULL), 200);
    read_all(&l);
    assert_int_equal(count_of(l.text, "data: "), 0);
    rig_write_event("package-changed", "package restored");
    rig_follow(rig);
    read_all(&l);
    assert_int_equal(count_of(l.text, "data: "), 1);
    close_stream(&l);
}

/* The service goes on running meanwhile. */
static void a_standby_lacks_the_last_events(void **state)
{
    static struct listener l;
    uint64_t upto;
    bool again;

    (void)state;
    rig_follow(rig);
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 200);
    for (int i = 0; i < 3; i++) {
        rig_write_event("package-changed", "package lost");
    }
    rig_follow(rig);
    read_all(&l);
    assert_int_equal(count_of(l.text, "package lost"), 3);
    rig_sql("DELETE FROM events WHERE id > (SELECT max(id) - 3 FROM events)");
    rig_sql("SELECT setval('events_number', (SELECT max(id) FROM events))");
    assert_int_equal(api_stream_poll(rig->ctx.stream, rig->ctx.db, &upto, &again, NULL), CP_OK);
    rig_write_event("package-changed", "package of the standby");
    assert_int_equal(api_stream_poll(rig->ctx.stream, rig->ctx.db, &upto, &again, NULL), CP_OK);
    read_all(&l);
    assert_int_equal(count_of(l.text, "package of the standby"), 1);
    close_stream(&l);
}

static void wrong_requests_and_too_many(void **state)
{
    static struct api_feed *all[API_FEEDS_MAX];
    static struct listener l;

    (void)state;
    assert_int_equal(open_stream(&l, RIG_VIEWER, "x", NULL, NULL), 400);
    assert_int_equal(open_stream(&l, RIG_VIEWER, "99999999999999999999", NULL, NULL), 400);
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, "kind", "nothing"), 400);
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, "loud", "1"), 400);
    assert_int_equal(open_stream(&l, RIG_CONTENT, NULL, NULL, NULL), 403);
    for (int i = 0; i < API_FEEDS_MAX; i++) {
        struct api_feed_start start = {.kinds = "", .account = "x"};

        assert_int_equal(api_feed_open(rig->ctx.stream, &start, &all[i], NULL), CP_OK);
    }
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 429);
    for (int i = 0; i < API_FEEDS_MAX; i++) {
        api_feed_close(all[i]);
    }
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 200);
    close_stream(&l);
}

/* ---- on many threads ---- */

#define THREADS 8
#define BATCHES 10
#define BATCH   200

struct reader {
    pthread_t thread;
    struct api_feed *feed;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool awake;
    int messages; /* ended by an empty line */
};

static void park_reader(void *arg)
{
    struct reader *r = arg;

    (void)pthread_mutex_lock(&r->lock);
    r->awake = false;
    (void)pthread_mutex_unlock(&r->lock);
}

static void wake_reader(void *arg)
{
    struct reader *r = arg;

    (void)pthread_mutex_lock(&r->lock);
    r->awake = true;
    (void)pthread_cond_signal(&r->woken);
    (void)pthread_mutex_unlock(&r->lock);
}

static void *read_feed(void *arg)
{
    struct reader *r = arg;
    char block[4096];
    char before = '\0';
    size_t size;

    while ((size = api_feed_read(r->feed, block, sizeof block)) != API_FEED_END) {
        for (size_t i = 0; i < size; i++) {
            r->messages += before == '\n' && block[i] == '\n';
            before = block[i];
        }
        (void)pthread_mutex_lock(&r->lock);
        while (size == 0 && !r->awake) {
            (void)pthread_cond_wait(&r->woken, &r->lock);
        }
        (void)pthread_mutex_unlock(&r->lock);
    }
    api_feed_close(r->feed);
    return NULL;
}

static void start_reader(struct api_stream *s, struct reader *r)
{
    struct api_feed_start start = {.kinds = "", .account = "x"};
    struct api_feed_owner owner = {.park = park_reader, .wake = wake_reader, .arg = r};

    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->woken, NULL);
    assert_int_equal(api_feed_open(s, &start, &r->feed, NULL), CP_OK);
    api_feed_attach(r->feed, &owner);
    assert_int_equal(pthread_create(&r->thread, NULL, read_feed, r), 0);
}

/* More than the ring holds, so that who is slow reads from the database in between. */
static void readers_on_many_threads_get_all(void **state)
{
    static struct reader readers[THREADS];
    struct api_stream *s = NULL;
    uint64_t upto;
    bool again;

    (void)state;
    assert_int_equal(api_stream_new(&s), CP_OK);
    assert_int_equal(api_stream_poll(s, rig->ctx.db, &upto, &again, NULL), CP_OK);
    for (int i = 0; i < THREADS; i++) {
        start_reader(s, &readers[i]);
    }
    for (int i = 0; i < BATCHES; i++) {
        rig_sql("INSERT INTO events (kind) SELECT 'package-changed' FROM generate_series(1, 200)");
        assert_int_equal(api_stream_poll(s, rig->ctx.db, &upto, &again, NULL), CP_OK);
    }
    /* Until nobody lacks anything: each look serves who asked for a page. */
    while (!api_stream_idle(s)) {
        assert_int_equal(api_stream_poll(s, rig->ctx.db, &upto, &again, NULL), CP_OK);
    }
    api_stream_stop(s);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].messages, 1 + BATCHES * BATCH);
        (void)pthread_cond_destroy(&readers[i].woken);
        (void)pthread_mutex_destroy(&readers[i].lock);
    }
    api_stream_free(s);
}

/* The last one: a stream that was stopped stays so. */
static void the_service_stops(void **state)
{
    static struct listener l;

    (void)state;
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 200);
    read_all(&l);
    api_stream_stop(rig->ctx.stream);
    assert_false(l.parked);
    read_all(&l);
    assert_true(l.ended);
    close_stream(&l);
    assert_int_equal(open_stream(&l, RIG_VIEWER, NULL, NULL, NULL), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_now_on),
        cmocka_unit_test(from_behind_an_event),
        cmocka_unit_test(more_than_memory_holds),
        cmocka_unit_test(only_what_was_asked_for),
        cmocka_unit_test(silence_is_broken_by_comments),
        cmocka_unit_test(who_was_changed_must_come_again),
        cmocka_unit_test(who_expired_must_come_again),
        cmocka_unit_test(a_place_in_the_future_is_now),
        cmocka_unit_test(a_standby_lacks_the_last_events),
        cmocka_unit_test(wrong_requests_and_too_many),
        cmocka_unit_test(readers_on_many_threads_get_all),
        cmocka_unit_test(the_service_stops),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
