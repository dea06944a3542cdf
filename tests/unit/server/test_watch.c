/* SPDX-License-Identifier: Apache-2.0
 * What a sender knows and decides, on its way to a real database, with an engine and a clock of the
 * test's own: run through tests/support/with-postgres. */
#include "server/watch.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "common/clock.h"
#include "server/engine.h"
#include "tests/unit/db/fixture.h"

#define MANY 200u

/* ---- the clock ---- */

static cp_time frozen; /* 0: it runs */

cp_time __real_cp_clock_now(void);
cp_time __wrap_cp_clock_now(void);

cp_time __wrap_cp_clock_now(void)
{
    return frozen != 0 ? frozen : __real_cp_clock_now();
}

/* ---- the engine ---- */

struct srv_engine {
    struct mc_member members[MANY];
    size_t member_count;
    struct db_decision decisions[2];
    size_t decision_count;
};

size_t srv_engine_get_members(struct srv_engine *e, struct mc_member *ret_members, size_t max)
{
    size_t count = e->member_count < max ? e->member_count : max;

    if (count > 0) {
        memcpy(ret_members, e->members, count * sizeof *ret_members);
    }
    return e->member_count;
}

size_t srv_engine_take_decisions(struct srv_engine *e, struct db_decision *ret_items, size_t cap)
{
    size_t count = e->decision_count < cap ? e->decision_count : cap;

    memcpy(ret_items, e->decisions, count * sizeof *ret_items);
    e->decision_count = 0;
    return count;
}

/* ---- a session that is watched ---- */

struct watched {
    struct fixture *f;
    struct db_session session;
    struct db_receiver a, b;
    struct srv_engine engine; /* its first members are a and b */
    struct srv_watch watch;
};

static struct watched *watched_new(struct fixture *f)
{
    struct watched *w = calloc(1, sizeof *w);
    struct db_version v = fixture_sealed(f, "win11");
    bool again;

    assert_non_null(w);
    w->f = f;
    (void)fixture_begin(f);
    w->session = fixture_session(f, &v);
    w->a = fixture_join(f, &v, w->session.id, "a", &again);
    w->b = fixture_join(f, &v, w->session.id, "b", &again);
    OK(f, db_session_start(f->conn, w->session.id, 0, &w->session, &f->err));
    fixture_commit(f);
    w->engine.members[0] = (struct mc_member){.node_id = w->a.norm_node_id, .rate_bps = 1000};
    w->engine.members[1] = (struct mc_member){.node_id = w->b.norm_node_id, .rate_bps = 2000};
    w->engine.member_count = 2;
    return w;
}

static void watched_free(struct watched *w)
{
    srv_watch_done(&w->watch);
    free(w);
}

static enum cp_err look(struct watched *w, bool last)
{
    const struct api_context api = {.db = w->f->pool, .node_id = w->f->node.id};
    const struct srv_watch_round round = {
        .api = &api, .session = &w->session, .engine = &w->engine, .last = last};

    return srv_watch_round(&w->watch, &round, &w->f->err);
}

static struct db_receiver now_of(struct watched *w, const struct db_receiver *receiver)
{
    struct db_receiver r;

    (void)fixture_begin(w->f);
    OK(w->f, db_receiver_get(w->f->conn, receiver->id, &r, &w->f->err));
    fixture_commit(w->f);
    return r;
}

static uint64_t rate_of(struct watched *w, const struct db_receiver *receiver)
{
    return now_of(w, receiver).seen.rate_bps;
}

static void decide(struct watched *w, const char *what)
{
    struct db_decision *d = &w->engine.decisions[w->engine.decision_count++];

    *d = (struct db_decision){.time = cp_clock_wall()};
    (void)snprintf(d->what, sizeof d->what, "%s", what);
}

/* ---- tests ---- */

static void figures_wait_for_five_seconds(void **state)
{
    struct watched *w = watched_new(*state);
    struct mc_member *a = &w->engine.members[0];
    cp_time began;

    began = frozen = cp_clock_now();
    OK(w->f, look(w, false)); /* heard for the first time */
    assert_int_equal(rate_of(w, &w->a), 1000);
    a->rate_bps = 3000;
    frozen = began + 5 * CP_SEC - 1;
    OK(w->f, look(w, false));
    assert_int_equal(rate_of(w, &w->a), 1000);
    frozen = began + 5 * CP_SEC;
    OK(w->f, look(w, false));
    assert_int_equal(rate_of(w, &w->a), 3000);
    a->rate_bps = 4000;
    frozen += CP_SEC;
    OK(w->f, look(w, false)); /* the five seconds began anew */
    assert_int_equal(rate_of(w, &w->a), 3000);
    OK(w->f, look(w, true));
    assert_int_equal(rate_of(w, &w->a), 4000);
    frozen = 0;
    watched_free(w);
}

static void standing_is_told_at_once(void **state)
{
    struct watched *w = watched_new(*state);
    struct mc_member *a = &w->engine.members[0];
    uint64_t at;

    frozen = cp_clock_now();
    OK(w->f, look(w, false));
    a->rate_bps = 3000;
    a->slow = true;
    OK(w->f, look(w, false));
    assert_true(now_of(w, &w->a).seen.slow);
    assert_int_equal(rate_of(w, &w->a), 3000);
    a->outlier = true;
    OK(w->f, look(w, false));
    assert_true(now_of(w, &w->a).seen.outlier);
    at = now_of(w, &w->a).seen.at;
    a->rate_bps = 3049; /* of two digits the same */
    frozen += 10 * CP_SEC;
    OK(w->f, look(w, true));
    assert_true(now_of(w, &w->a).seen.at == at);
    frozen = 0;
    watched_free(w);
}

/* Members keep their positions; a list of another length, or with another receiver in a place, is
 * told apart by the node ids. */
static void a_crowd_finds_room(void **state)
{
    struct watched *w = watched_new(*state);

    OK(w->f, look(w, false));
    for (uint32_t i = 0; i < MANY; i++) {
        w->engine.members[i] = (struct mc_member){.node_id = 1000 + i, .rate_bps = 9};
    }
    w->engine.members[MANY - 1] =
        (struct mc_member){.node_id = w->b.norm_node_id, .rate_bps = 5000, .loss = 0.5};
    w->engine.member_count = MANY;
    OK(w->f, look(w, false));
    assert_int_equal(w->watch.known_count, MANY);
    assert_int_equal(rate_of(w, &w->b), 5000);
    assert_int_equal(now_of(w, &w->b).seen.loss_ppm, 500000);
    assert_int_equal(rate_of(w, &w->a), 1000); /* not a member any more: as it was */
    watched_free(w);
}

/* The server ends the connection whenever a decision is written, the last thing in a round. */
static void database_goes(struct fixture *f)
{
    fixture_sql(f, "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1);"
                   " RETURN NULL; END $$;"
                   "CREATE TRIGGER away BEFORE INSERT ON session_decisions"
                   " FOR EACH ROW EXECUTE FUNCTION away()");
}

static void nothing_is_lost_while_the_database_is_away(void **state)
{
    struct watched *w = watched_new(*state);
    struct fixture *f = w->f;
    struct db_decision list[3];
    struct db_receiver r;
    size_t count;

    w->engine.members[0].over_budget = true;
    w->engine.members[0].asked_symbols = 12;
    decide(w, "rate");
    database_goes(f);
    assert_int_equal(look(w, false), CP_ERR_DATABASE);
    r = now_of(w, &w->a);
    assert_int_equal(r.seen.at, 0);
    assert_int_equal(r.progress.state, DB_RECEIVER_JOINED);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events"), 0);

    fixture_sql(f, "DROP FUNCTION away CASCADE");
    decide(w, "budget");
    for (int i = 0; i < 2; i++) { /* the second time all is known */
        OK(f, look(w, false));
        r = now_of(w, &w->a);
        assert_true(r.seen.over_budget);
        assert_int_equal(r.seen.asked, 12);
        assert_int_equal(r.progress.state, DB_RECEIVER_MOVED);
        assert_string_equal(r.progress.reason, "receiver-too-slow");
        assert_int_equal(rate_of(w, &w->b), 2000);
        assert_int_equal(now_of(w, &w->b).progress.state, DB_RECEIVER_JOINED);
        assert_int_equal(
            fixture_number(f, "SELECT count(*) FROM events WHERE kind = 'receiver-too-slow'"), 1);
        (void)fixture_begin(f);
        OK(f, db_decision_list(f->conn, &(struct db_decision_list){.session_id = w->session.id}, 3,
                               list, &count, &f->err));
        fixture_commit(f);
        assert_int_equal(count, 2);
        assert_string_equal(list[1].what, "rate");
        assert_string_equal(list[0].what, "budget");
    }
    watched_free(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(figures_wait_for_five_seconds),
        TEST(standing_is_told_at_once),
        TEST(a_crowd_finds_room),
        TEST(nothing_is_lost_while_the_database_is_away),
    };

    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
