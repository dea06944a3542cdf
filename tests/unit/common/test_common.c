/* SPDX-License-Identifier: Apache-2.0
 * Tests of common/: catalogue, cursor, base64, hex, prng, log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "common/err.h"
#include "common/event.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/pages.h"
#include "common/prng.h"
#include "common/utf8.h"

static void catalogue_is_complete(void **state)
{
    (void)state;
    for (size_t i = 1; i < CP_ERR_INDEX_COUNT; i++) {
        const struct cp_err_info *info = cp_err_info_at(i);

        assert_in_range(info->http_status, 400, 599);
        assert_in_range(info->exit_status, 1, 12);
        assert_true(strlen(info->title) > 5 && strlen(info->cause) > 5 && strlen(info->remedy) > 5);
        assert_int_equal(cp_err_from_code(info->code), -(int)i);
        for (size_t j = 1; j < i; j++) {
            assert_string_not_equal(cp_err_info_at(j)->code, info->code);
        }
    }
    assert_null(cp_err_info_at(0));
    assert_null(cp_err_info_at(CP_ERR_INDEX_COUNT));
    assert_string_equal(cp_err_info((enum cp_err) - 9999)->code, "internal-error");
    assert_int_equal(cp_err_from_code("no-such-code"), CP_OK);
}

static void what_is_no_utf8_is_mended(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"cut \xc3", "cut ?"},
        {"cut \xe2\x82' is", "cut \?\?' is"},
        {"\x80\xff", "??"},
        {"\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80", "?? ??? ????"},
    };
    struct cp_error err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];

        memcpy(text, cases[i][0], strlen(cases[i][0]) + 1);
        cp_utf8_mend(text);
        assert_string_equal(text, cases[i][1]);
    }
    (void)cp_error_set(&err, CP_ERR_OUTPUT, "File '%.3s'", "a\xc3\xbc\xc3\xbc");
    assert_string_equal(err.text, "File 'a\xc3\xbc'");
    (void)cp_error_set(&err, CP_ERR_OUTPUT, "File '%.4s'", "a\xc3\xbc\xc3\xbc");
    assert_string_equal(err.text, "File 'a\xc3\xbc?'");
    cp_error_prefix(&err, "%.1s", "\xc3\xbc");
    assert_string_equal(err.text, "?: File 'a\xc3\xbc?'");
}

static void error_text_travels_up(void **state)
{
    struct cp_error err = {0};

    (void)state;
    assert_int_equal(cp_error_set(&err, CP_ERR_OUTPUT, "disk %d", 7), CP_ERR_OUTPUT);
    cp_error_prefix(&err, "writing %s", "a");
    assert_string_equal(err.text, "writing a: disk 7");
    assert_int_equal(cp_error_set(NULL, CP_ERR_OUTPUT, "x"), CP_ERR_OUTPUT);
}

static void cursor_round_trip(void **state)
{
    uint8_t buf[64];
    struct cp_writer w;
    struct cp_reader r;

    (void)state;
    cp_writer_init(&w, buf, sizeof buf);
    cp_write_u8(&w, 0x12);
    cp_write_u16(&w, 0x3456);
    cp_write_u24(&w, 0x789abc);
    cp_write_u32(&w, 0xdeadbeef);
    cp_write_u40(&w, 0x0102030405);
    cp_write_u48(&w, 0x010203040506);
    cp_write_u64(&w, 0x0102030405060708);
    cp_write_zeros(&w, 2);
    cp_write_bytes(&w, "ab", 2);
    assert_false(w.failed);
    assert_int_equal(buf[1], 0x34);
    cp_reader_init(&r, buf, w.at);
    assert_int_equal(cp_read_u8(&r), 0x12);
    assert_int_equal(cp_read_u16(&r), 0x3456);
    assert_int_equal(cp_read_u24(&r), 0x789abc);
    assert_int_equal(cp_read_u32(&r), 0xdeadbeef);
    assert_int_equal(cp_read_u40(&r), 0x0102030405);
    assert_int_equal(cp_read_u48(&r), 0x010203040506);
    assert_int_equal(cp_read_u64(&r), 0x0102030405060708);
    assert_int_equal(cp_read_u16(&r), 0);
    assert_memory_equal(cp_read_bytes(&r, 2), "ab", 2);
    assert_int_equal(cp_reader_left(&r), 0);
    assert_false(r.failed);
    assert_int_equal(cp_read_u8(&r), 0);
    assert_true(r.failed);
}

static void cursor_never_leaves_its_bytes(void **state)
{
    uint8_t buf[4] = {1, 2, 3, 4};
    struct cp_reader r, sub;
    struct cp_writer w;

    (void)state;
    cp_reader_init(&r, buf, 3);
    assert_int_equal(cp_read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(cp_read_u8(&r), 0); /* sticky */
    cp_reader_init(&r, buf, 4);
    sub = cp_read_sub(&r, 5);
    assert_true(sub.failed && r.failed);
    cp_reader_init(&r, buf, 4);
    assert_null(cp_read_bytes(&r, SIZE_MAX));
    cp_writer_init(&w, buf, 3);
    cp_write_u32(&w, 0xffffffff);
    assert_true(w.failed);
    assert_int_equal(buf[0], 1);
    assert_int_equal(buf[3], 4);
}

static void base64_is_strict(void **state)
{
    char text[64];
    uint8_t data[64];
    size_t size = 0;

    (void)state;
    assert_int_equal(cp_base64_encode(CP_BASE64_STD, "foobar", 4, text), 8);
    assert_string_equal(text, "Zm9vYg==");
    assert_int_equal(cp_base64_encode(CP_BASE64_URL, "\xfb\xff", 2, text), 3);
    assert_string_equal(text, "-_8");
    for (size_t n = 0; n < 40; n++) {
        uint8_t in[40];

        memset(in, (int)(n * 7), sizeof in);
        size_t len = cp_base64_encode(CP_BASE64_URL, in, n, text);

        assert_true(cp_base64_decode(CP_BASE64_URL, text, len, data, n, &size));
        assert_int_equal(size, n);
        assert_memory_equal(in, data, n);
    }
    assert_false(cp_base64_decode(CP_BASE64_STD, "Zm9vYg=", 7, data, 64, &size));
    assert_false(cp_base64_decode(CP_BASE64_STD, "Zm9vYh==", 8, data, 64, &size));
    assert_false(cp_base64_decode(CP_BASE64_URL, "Zm 9", 4, data, 64, &size));
    assert_false(cp_base64_decode(CP_BASE64_URL, "Zm9v\0", 5, data, 64, &size));
    assert_false(cp_base64_decode(CP_BASE64_URL, "A", 1, data, 64, &size));
    assert_false(cp_base64_decode(CP_BASE64_URL, "Zm9vYg", 6, data, 3, &size));
}

static void hex_round_trip(void **state)
{
    uint8_t data[3];
    char text[7];

    (void)state;
    cp_hex_encode((const uint8_t *)"\x00\xab\xff", 3, text);
    assert_string_equal(text, "00abff");
    assert_true(cp_hex_decode("00ABff", data, 3));
    assert_memory_equal(data, "\x00\xab\xff", 3);
    assert_false(cp_hex_decode("00abf", data, 3));
    assert_false(cp_hex_decode("00abfg", data, 3));
}

static void prng_repeats_and_spreads(void **state)
{
    struct cp_prng a, b;
    unsigned seen[10] = {0};

    (void)state;
    cp_prng_seed(&a, 42);
    cp_prng_seed(&b, 42);
    for (int i = 0; i < 100000; i++) {
        uint64_t v = cp_prng_below(&a, 10);

        assert_int_equal(v, cp_prng_below(&b, 10));
        seen[v]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(seen[i], 9500, 10500);
    }
    for (int i = 0; i < 1000; i++) {
        double u = cp_prng_unit(&a);

        assert_true(u >= 0.0 && u < 1.0);
    }
}

/* Logs one line with the format and returns it in text. */
static void log_line(enum cp_log_format format, char *text, size_t size)
{
    int fds[2];
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    cp_log_init("test", format, CP_LOG_INFO, fds[1]);
    cp_log_correlation("c-1");
    cp_log(CP_LOG_DEBUG, "unseen", NULL);
    cp_log(CP_LOG_WARN, "thing-done", "name", "a \"b\"\nc", "none", NULL, "count", cp_log_u64(7),
           "odd", "]LOG]!>\xc3\xa4\xff\xe2\x82", NULL);
    n = read(fds[0], text, size - 1);
    assert_true(n > 0);
    text[n] = '\0';
    (void)close(fds[0]);
    (void)close(fds[1]);
    cp_log_correlation(NULL);
    cp_log_init("test", CP_LOG_TEXT, CP_LOG_INFO, STDERR_FILENO);
}

static void log_escapes_values(void **state)
{
    char text[4096];

    (void)state;
    log_line(CP_LOG_TEXT, text, sizeof text);
    assert_non_null(strstr(
        text, " warn thing-done correlation_id=\"c-1\" name=\"a \\\"b\\\"\\u000ac\" count=\"7\""
              " odd=\"]LOG]!>\xc3\xa4\\ufffd\\ufffd\\ufffd\"\n"));
    log_line(CP_LOG_JSON, text, sizeof text);
    assert_non_null(strstr(text, "\"event\":\"thing-done\",\"correlation_id\":\"c-1\",\"name\":\"a "
                                 "\\\"b\\\"\\u000ac\",\"count\":\"7\",\"odd\":\"]LOG]!>\xc3\xa4"
                                 "\\ufffd\\ufffd\\ufffd\"}\n"));
    log_line(CP_LOG_CMTRACE, text, sizeof text);
    assert_true(strncmp(text, "<![LOG[thing-done ", 18) == 0);
    assert_non_null(strstr(text, "type=\"2\""));
    assert_non_null(strstr(text, "odd=\"\\u005dLOG]!>"));
    assert_string_equal(strchr(strstr(text, "]LOG]!>"), '\n'), "\n");
}

static void events_have_all_they_need(void **state)
{
    size_t count = 0;

    (void)state;
    for (; cp_event_info_at(count) != NULL; count++) {
        const struct cp_event_info *e = cp_event_info_at(count);

        assert_ptr_equal(cp_event_info(e->kind), e); /* its name is its own */
        assert_true(strspn(e->kind, "abcdefghijklmnopqrstuvwxyz-") == strlen(e->kind));
        assert_true(strlen(e->kind) < 64);
        assert_int_equal(e->sentence[strlen(e->sentence) - 1], '.');
        assert_true(e->severity < CP_SEVERITY_COUNT);
    }
    assert_true(count > 30);
    assert_null(cp_event_info("no-such-kind"));
    assert_null(cp_event_info(""));
    assert_string_equal(cp_severity_name(CP_SEVERITY_WARNING), "warning");
}

static void rfc3339_text(void **state)
{
    char text[CP_RFC3339_SIZE];

    (void)state;
    cp_clock_rfc3339(1000000000123456789u, text);
    assert_string_equal(text, "2001-09-09T01:46:40.123Z");
    assert_true(cp_clock_now() <= cp_clock_now());
}

static void pages_begin_on_pages(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, 4097, 1 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *pages = cp_pages_alloc(sizes[i]);

        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % 4096, 0);
        memset(pages, 1, sizes[i]); /* ASan looks */
        free(pages);
    }
    assert_null(cp_pages_alloc(SIZE_MAX));
    assert_null(cp_pages_alloc(SIZE_MAX - 4095));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(catalogue_is_complete),
        cmocka_unit_test(what_is_no_utf8_is_mended),
        cmocka_unit_test(error_text_travels_up),
        cmocka_unit_test(cursor_round_trip),
        cmocka_unit_test(cursor_never_leaves_its_bytes),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(hex_round_trip),
        cmocka_unit_test(prng_repeats_and_spreads),
        cmocka_unit_test(log_escapes_values),
        cmocka_unit_test(events_have_all_they_need),
        cmocka_unit_test(rfc3339_text),
        cmocka_unit_test(pages_begin_on_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
