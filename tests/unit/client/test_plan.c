/* SPDX-License-Identifier: Apache-2.0
 * Tests of client/plan: the policy of fallback as a table of what follows on what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/plan.h"

static const struct cl_plan_facts prefer = {
    .multicast = true, .session = true, .https = true, .https_delay = 7};
static const struct cl_plan_facts require = {
    .multicast = true, .session = true, .no_https = CP_ERR_MULTICAST_ONLY};

static struct cl_decision next(struct cl_plan *p, const struct cl_plan_facts *f, enum cl_event what,
                               enum cp_err code, size_t missing)
{
    struct cl_plan_event e = {.what = what, .code = code, .chunks_missing = missing};

    return cl_plan_next(p, f, &e);
}

static void assert_decision(struct cl_decision d, enum cl_step step, enum cp_err reason)
{
    assert_int_equal(d.step, step);
    assert_int_equal(d.reason, reason);
}

static void start_takes_the_best_way(void **state)
{
    struct cl_plan_facts f = prefer;
    struct cl_plan p = {0};

    (void)state;
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 5), CL_STEP_MULTICAST, CP_OK);
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 0), CL_STEP_DONE, CP_OK);
    f.multicast = false; /* by the user's choice: no reason is given */
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 5), CL_STEP_HTTPS, CP_OK);
    f.multicast = true;
    f.session = false;
    f.no_session = CP_ERR_MULTICAST_DISABLED;
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 5), CL_STEP_HTTPS,
                    CP_ERR_MULTICAST_DISABLED);
    f.https = false;
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 5), CL_STEP_FAIL,
                    CP_ERR_MULTICAST_DISABLED);
}

/* Policy "require" and --no-multicast: the package is delivered by multicast only. */
static void require_without_multicast_fails(void **state)
{
    struct cl_plan_facts f = require;
    struct cl_plan p = {0};

    (void)state;
    f.multicast = false;
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 5), CL_STEP_FAIL, CP_ERR_MULTICAST_ONLY);
    assert_decision(next(&p, &f, CL_EVENT_JOINED, CP_OK, 0), CL_STEP_DONE, CP_OK); /* all zeros */
}

static void multicast_falls_back_to_https(void **state)
{
    static const enum cp_err codes[] = {
        CP_ERR_NO_MULTICAST_HEARD, CP_ERR_SENDER_SILENT, CP_ERR_CANCELLED, CP_ERR_NETWORK,
        CP_ERR_INTERFACE,          CP_ERR_CHUNK_DIGEST,  CP_ERR_DEADLINE};
    struct cl_plan p = {0};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct cl_decision d = next(&p, &prefer, CL_EVENT_MULTICAST_ENDED, codes[i], 3);

        assert_decision(d, CL_STEP_HTTPS, codes[i]);
        assert_int_equal(d.delay, 7);
        assert_decision(next(&p, &prefer, CL_EVENT_MULTICAST_ENDED, codes[i], 0), CL_STEP_DONE,
                        CP_OK);
    }
    assert_decision(next(&p, &prefer, CL_EVENT_MULTICAST_ENDED, CP_OK, 1), CL_STEP_HTTPS,
                    CP_ERR_CHUNK_DIGEST);
}

static void local_failures_end_it(void **state)
{
    static const enum cp_err codes[] = {CP_ERR_OUTPUT, CP_ERR_OUTPUT_FULL, CP_ERR_INTERRUPTED,
                                        CP_ERR_NO_MEMORY, CP_ERR_INTERNAL};
    struct cl_plan p = {0};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_decision(next(&p, &prefer, CL_EVENT_MULTICAST_ENDED, codes[i], 3), CL_STEP_FAIL,
                        codes[i]);
    }
}

/* Without HTTPS: silence from the start is the end; a sender that was there may come back. */
static void require_waits_for_the_sender(void **state)
{
    struct cl_plan p = {0};
    struct cl_plan_event silent = {.what = CL_EVENT_MULTICAST_ENDED,
                                   .code = CP_ERR_SENDER_SILENT,
                                   .chunks_missing = 3,
                                   .progressed = true};

    (void)state;
    assert_decision(next(&p, &require, CL_EVENT_MULTICAST_ENDED, CP_ERR_NO_MULTICAST_HEARD, 3),
                    CL_STEP_FAIL, CP_ERR_NO_MULTICAST_HEARD);
    assert_decision(next(&p, &require, CL_EVENT_MULTICAST_ENDED, CP_ERR_SENDER_SILENT, 3),
                    CL_STEP_FAIL, CP_ERR_SENDER_SILENT);
    for (unsigned i = 0; i < CL_JOINS_MAX; i++) {
        assert_decision(next(&p, &require, CL_EVENT_JOINED, CP_OK, 3), CL_STEP_MULTICAST, CP_OK);
        assert_decision(cl_plan_next(&p, &require, &silent),
                        i + 1 < CL_JOINS_MAX ? CL_STEP_REJOIN : CL_STEP_FAIL, CP_ERR_SENDER_SILENT);
    }
}

static void joining_again_is_bounded(void **state)
{
    struct cl_plan p = {0};
    struct cl_decision d = {.step = CL_STEP_REJOIN};
    cp_time waited = 0;
    unsigned tries = 0;

    (void)state;
    assert_decision(next(&p, &require, CL_EVENT_JOIN_FAILED, CP_ERR_VERSION_RETIRED, 3),
                    CL_STEP_FAIL, CP_ERR_VERSION_RETIRED);
    p = (struct cl_plan){0};
    while (d.step == CL_STEP_REJOIN && tries < 100) {
        d = next(&p, &require, CL_EVENT_JOIN_FAILED, CP_ERR_SERVICE_UNREACHABLE, 3);
        waited += d.delay;
        tries++;
    }
    assert_int_equal(tries, CL_JOIN_TRIES_MAX);
    assert_in_range(waited, 20 * CP_SEC, 120 * CP_SEC);
    (void)next(&p, &require, CL_EVENT_JOINED, CP_OK, 3);
    assert_int_equal(p.join_failures, 0);
}

static void https_failures(void **state)
{
    struct cl_plan p = {.joins = 1};

    (void)state;
    assert_decision(next(&p, &prefer, CL_EVENT_HTTPS_ENDED, CP_ERR_NETWORK, 3), CL_STEP_FAIL,
                    CP_ERR_NETWORK);
    assert_decision(next(&p, &prefer, CL_EVENT_HTTPS_ENDED, CP_ERR_INTERRUPTED, 3), CL_STEP_FAIL,
                    CP_ERR_INTERRUPTED);
    assert_decision(next(&p, &prefer, CL_EVENT_HTTPS_ENDED, CP_OK, 0), CL_STEP_DONE, CP_OK);
    /* An expired receiver token: a new join, not for ever. */
    assert_decision(next(&p, &prefer, CL_EVENT_HTTPS_ENDED, CP_ERR_AUTH_FAILED, 3), CL_STEP_REJOIN,
                    CP_ERR_AUTH_FAILED);
    p.joins = CL_JOINS_MAX;
    assert_decision(next(&p, &prefer, CL_EVENT_HTTPS_ENDED, CP_ERR_AUTH_FAILED, 3), CL_STEP_FAIL,
                    CP_ERR_AUTH_FAILED);
}

/* What the service changed is asked for anew, by HTTPS or not. */
static void a_worthless_ticket_is_replaced(void **state)
{
    static const enum cp_err codes[] = {CP_ERR_SESSION_REKEYED, CP_ERR_AUTH_FAILED,
                                        CP_ERR_AUTH_REQUIRED};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct cl_plan p = {0};

        (void)next(&p, &prefer, CL_EVENT_JOINED, CP_OK, 5);
        assert_decision(next(&p, &prefer, CL_EVENT_MULTICAST_ENDED, codes[i], 5), CL_STEP_REJOIN,
                        codes[i]);
        assert_decision(next(&p, &require, CL_EVENT_MULTICAST_ENDED, codes[i], 5), CL_STEP_REJOIN,
                        codes[i]);
        p.joins = CL_JOINS_MAX;
        assert_decision(next(&p, &prefer, CL_EVENT_MULTICAST_ENDED, codes[i], 5), CL_STEP_FAIL,
                        codes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_takes_the_best_way),
        cmocka_unit_test(require_without_multicast_fails),
        cmocka_unit_test(multicast_falls_back_to_https),
        cmocka_unit_test(local_failures_end_it),
        cmocka_unit_test(require_waits_for_the_sender),
        cmocka_unit_test(joining_again_is_bounded),
        cmocka_unit_test(https_failures),
        cmocka_unit_test(a_worthless_ticket_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
