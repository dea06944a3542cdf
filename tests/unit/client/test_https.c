/* SPDX-License-Identifier: Apache-2.0
 * Tests of client/fetch_https, client/http and client/interface without a network: which ranges are
 * asked for, what refusals mean, where multicast is expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/fetch_https.h"
#include "client/interface.h"
#include "common/prng.h"

#define MIB ((uint64_t)CONTENT_CHUNK_SIZE)

/* A manifest of files of these sizes; only what ranges need. */
struct fixture {
    struct manifest m;
    struct manifest_file files[64];
    struct content_chunk chunks[256];
    uint8_t have[256];
};

static void make(struct fixture *f, const uint64_t *sizes, size_t count)
{
    memset(f, 0, sizeof *f);
    f->m.files = f->files;
    f->m.file_count = count;
    f->m.chunks = f->chunks;
    for (size_t i = 0; i < count; i++) {
        f->files[i].size = sizes[i];
        f->files[i].stream_offset = f->m.stream_size;
        f->m.stream_size += sizes[i];
    }
    f->m.chunk_count = (size_t)content_chunk_count(f->m.stream_size);
    assert_true(f->m.chunk_count <= 256);
}

static void assert_range(const struct cl_range *r, size_t file, uint64_t offset, uint64_t size)
{
    assert_int_equal(r->file_index, file);
    assert_int_equal(r->file_offset, offset);
    assert_int_equal(r->size, size);
}

static void neighbours_are_merged_within_a_file(void **state)
{
    static const uint64_t sizes[] = {MIB / 2, 4 * MIB, 100};
    struct fixture f;
    struct cl_range r;

    (void)state;
    make(&f, sizes, 3); /* 5 chunks, the last one MIB / 2 + 100 bytes */
    f.have[2] = 1;
    assert_true(cl_range_next(&f.m, f.have, 0, &r));
    assert_range(&r, 0, 0, MIB / 2);
    assert_true(cl_range_next(&f.m, f.have, MIB / 2, &r)); /* goes on inside of chunk 0 */
    assert_range(&r, 1, 0, 2 * MIB - MIB / 2);
    assert_true(cl_range_next(&f.m, f.have, 2 * MIB, &r)); /* chunk 2 is there: it moves on */
    assert_int_equal(r.stream_offset, 3 * MIB);
    assert_range(&r, 1, 2 * MIB + MIB / 2, MIB + MIB / 2);
    assert_true(cl_range_next(&f.m, f.have, 4 * MIB + MIB / 2, &r));
    assert_range(&r, 2, 0, 100);
    assert_false(cl_range_next(&f.m, f.have, 4 * MIB + MIB / 2 + 100, &r));
}

static void nothing_missing_asks_for_nothing(void **state)
{
    static const uint64_t sizes[] = {3 * MIB + 1};
    struct fixture f;
    struct cl_range r;

    (void)state;
    make(&f, sizes, 1);
    memset(f.have, 1, sizeof f.have);
    assert_false(cl_range_next(&f.m, f.have, 0, &r));
    f.have[3] = 0; /* the short one at the end */
    assert_true(cl_range_next(&f.m, f.have, 0, &r));
    assert_range(&r, 0, 3 * MIB, 1);
}

static void ranges_are_bounded(void **state)
{
    static const uint64_t sizes[] = {200 * MIB};
    struct fixture f;
    struct cl_range r;

    (void)state;
    make(&f, sizes, 1);
    assert_true(cl_range_next(&f.m, f.have, 0, &r));
    assert_range(&r, 0, 0, CL_RANGE_MAX);
}

/* For random files and random gaps: the ranges cover exactly the missing chunks, once. */
static void random_gaps_are_covered_exactly(void **state)
{
    struct cp_prng prng;

    (void)state;
    cp_prng_seed(&prng, 99);
    for (int round = 0; round < 300; round++) {
        uint64_t sizes[40], asked = 0, missing = 0, at = 0;
        size_t count = 1 + (size_t)cp_prng_below(&prng, 40);
        struct fixture f;
        struct cl_range r;

        for (size_t i = 0; i < count; i++) {
            sizes[i] = 1 + cp_prng_below(&prng, i % 4 == 0 ? 9 * MIB : 5000);
        }
        make(&f, sizes, count);
        for (size_t i = 0; i < f.m.chunk_count; i++) {
            f.have[i] = (uint8_t)cp_prng_below(&prng, 2);
            missing += f.have[i] != 0 ? 0 : content_chunk_size(f.m.stream_size, i);
        }
        while (cl_range_next(&f.m, f.have, at, &r)) {
            assert_true(r.stream_offset >= at);
            assert_int_equal(f.files[r.file_index].stream_offset + r.file_offset, r.stream_offset);
            assert_true(r.size > 0 && r.file_offset + r.size <= sizes[r.file_index]);
            for (uint64_t c = r.stream_offset / MIB; c <= (r.stream_offset + r.size - 1) / MIB;
                 c++) {
                assert_int_equal(f.have[c], 0);
            }
            asked += r.size;
            at = r.stream_offset + r.size;
        }
        assert_int_equal(asked, missing);
    }
}

static enum cp_err problem(long status, const char *body, struct cp_error *err)
{
    return cl_http_problem(status, body, body == NULL ? 0 : strlen(body), false, err);
}

static void problems_keep_code_and_detail(void **state)
{
    struct cp_error err;

    (void)state;
    assert_int_equal(problem(503,
                             "{\"title\":\"t\",\"detail\":\"version 3 is a draft\","
                             "\"code\":\"version-not-sealed\",\"status\":503}",
                             &err),
                     CP_ERR_VERSION_NOT_SEALED);
    assert_string_equal(err.text, "version 3 is a draft");
    assert_int_equal(problem(404, "{\"title\":\"only a title\",\"code\":\"not-found\"}", &err),
                     CP_ERR_NOT_FOUND);
    assert_string_equal(err.text, "only a title");
}

static void unknown_problems_speak_for_themselves(void **state)
{
    struct cp_error err;

    (void)state;
    assert_int_equal(problem(503,
                             "{\"detail\":\"the moon is full\",\"code\":\"lunar\","
                             "\"remedy\":\"wait\"}",
                             &err),
                     CP_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the moon is full"));
    assert_non_null(strstr(err.text, "lunar"));
    assert_non_null(strstr(err.text, "wait"));
}

static void bare_statuses(void **state)
{
    struct cp_error err;

    (void)state;
    assert_int_equal(problem(401, NULL, &err), CP_ERR_AUTH_REQUIRED);
    assert_int_equal(cl_http_problem(401, NULL, 0, true, &err), CP_ERR_AUTH_FAILED);
    assert_int_equal(problem(403, "<html>", &err), CP_ERR_ACCESS_DENIED);
    assert_int_equal(problem(502, "", &err), CP_ERR_UNAVAILABLE);
    assert_int_equal(problem(404, "[1]", &err), CP_ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "404"));
    assert_int_equal(problem(301, NULL, &err), CP_ERR_PROTOCOL);
    assert_int_equal(problem(500, "{\"code\":5,\"detail\":[]}", &err), CP_ERR_PROTOCOL);
}

static void interface_towards_the_sender(void **state)
{
    char name[CL_INTERFACE_SIZE] = "-";

    (void)state;
    assert_false(cl_interface_towards("", name));
    assert_false(cl_interface_towards("dp.example", name));
    assert_string_equal(name, "-");
    assert_true(cl_interface_towards("127.0.0.1", name));
    assert_string_equal(name, "lo");
}

static void what_may_pass(void **state)
{
    (void)state;
    assert_true(cl_http_is_passing(CP_ERR_UNAVAILABLE));
    assert_true(cl_http_is_passing(CP_ERR_NETWORK));
    assert_false(cl_http_is_passing(CP_OK));
    assert_false(cl_http_is_passing(CP_ERR_TLS_UNTRUSTED));
    assert_false(cl_http_is_passing(CP_ERR_ACCESS_DENIED));
    assert_false(cl_http_is_passing(CP_ERR_INTERRUPTED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_merged_within_a_file),
        cmocka_unit_test(nothing_missing_asks_for_nothing),
        cmocka_unit_test(ranges_are_bounded),
        cmocka_unit_test(random_gaps_are_covered_exactly),
        cmocka_unit_test(problems_keep_code_and_detail),
        cmocka_unit_test(unknown_problems_speak_for_themselves),
        cmocka_unit_test(bare_statuses),
        cmocka_unit_test(what_may_pass),
        cmocka_unit_test(interface_towards_the_sender),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
