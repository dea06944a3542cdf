/* SPDX-License-Identifier: Apache-2.0
 * Tests of content/manifest: exact bytes, round trip, and everything that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "content/manifest.h"

#define D             "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define F(path, size) "{\"path\":\"" path "\",\"size\":" size ",\"mode\":420,\"sha256\":\"" D "\"}"
#define M(stream, files, chunks)                                                                   \
    "{\"format\":1,\"package\":\"win11\",\"version\":3,\"stream_size\":" stream                    \
    ",\"chunk_size\":1048576,\"files\":[" files "],\"chunks\":[" chunks "]}"

static const char good[] =
    M("2097162", F("a/b", "1048576") "," F("boot.wim", "1048586"), "\"" D "\",null,\"" D "\"") "\n";

static enum cp_err parse(const char *text, struct cp_error *err)
{
    struct manifest *m = NULL;
    enum cp_err code = manifest_parse(text, strlen(text), &m, err);

    manifest_free(m);
    return code;
}

static void parses_and_encodes_the_same_bytes(void **state)
{
    struct manifest *m;
    char *text;
    size_t size;

    (void)state;
    assert_int_equal(manifest_parse(good, sizeof good - 1, &m, NULL), CP_OK);
    assert_string_equal(m->package, "win11");
    assert_int_equal(m->version, 3);
    assert_int_equal(m->stream_size, 2097162);
    assert_int_equal(m->file_count, 2);
    assert_string_equal(m->files[1].path, "boot.wim");
    assert_int_equal(m->files[1].stream_offset, 1048576);
    assert_int_equal(m->files[1].mode, 0644);
    assert_int_equal(m->files[0].sha256[31], 0x1f);
    assert_int_equal(m->chunk_count, 3);
    assert_true(m->chunks[1].zero);
    assert_false(m->chunks[2].zero);
    assert_int_equal(m->chunks[2].digest[1], 1);
    assert_int_equal(manifest_encode(m, &text, &size), CP_OK);
    assert_int_equal(size, sizeof good - 1);
    assert_string_equal(text, good);
    free(text);
    manifest_free(m);
}

static struct manifest_parts simple_parts(const struct manifest_file *files, size_t count,
                                          const struct content_chunk *chunk)
{
    return (struct manifest_parts){.package = "p",
                                   .version = 1,
                                   .files = files,
                                   .file_count = count,
                                   .chunks = chunk,
                                   .chunk_count = 1};
}

static void builds_from_files(void **state)
{
    struct manifest_file files[] = {{.path = "z \"quoted\"", .size = 1, .mode = 0600},
                                    {.path = "\xc3\xa4", .size = 2, .mode = 0},
                                    {.path = "Z", .size = 3, .mode = 0777}};
    struct content_chunk chunk = {.digest = {1}};
    struct manifest_parts parts = simple_parts(files, 3, &chunk);
    struct manifest *m, *again;
    char *text, *text_again;
    size_t size, size_again;

    (void)state;
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID); /* not sorted */
    manifest_sort_files(files, 3);
    assert_string_equal(files[0].path, "Z");
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_OK);
    assert_int_equal(m->files[2].stream_offset, 4);
    assert_int_equal(manifest_encode(m, &text, &size), CP_OK);
    assert_int_equal(manifest_parse(text, size, &again, NULL), CP_OK);
    assert_string_equal(again->files[1].path, "z \"quoted\"");
    assert_int_equal(manifest_encode(again, &text_again, &size_again), CP_OK);
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    manifest_free(m);
    manifest_free(again);
}

static void empty_content_is_refused(void **state)
{
    struct manifest_file file = {.path = "sources/boot.wim", .size = 0};
    struct content_chunk chunk = {.zero = true};
    struct manifest_parts parts = simple_parts(&file, 1, &chunk);
    struct manifest *m;
    struct cp_error err;

    (void)state;
    assert_int_equal(manifest_new(&parts, &m, &err), CP_ERR_CONTENT_EMPTY);
    assert_non_null(strstr(err.text, "'sources/boot.wim'"));
    parts.file_count = 0;
    assert_int_equal(manifest_new(&parts, &m, &err), CP_ERR_CONTENT_EMPTY);
    assert_int_equal(parse(M("0", "", ""), &err), CP_ERR_CONTENT_EMPTY);
    assert_int_equal(parse(M("0", F("a", "0"), ""), &err), CP_ERR_CONTENT_EMPTY);
}

static void bad_parts_are_refused(void **state)
{
    struct manifest_file files[] = {{.path = "a", .size = 1}, {.path = "b", .size = 1}};
    struct content_chunk chunk = {.zero = true};
    struct manifest_parts parts = simple_parts(files, 2, &chunk);
    struct manifest *m;

    (void)state;
    parts.chunk_count = 2;
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID);
    parts.chunk_count = 1;
    parts.version = 0;
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID);
    parts.version = 1;
    parts.package = "";
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID);
    parts.package = "a b";
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID);
    parts.package = "p";
    files[0].mode = 04755;
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID);
    files[0].mode = 0;
    files[0].size = UINT64_MAX;
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_INVALID);
    files[0].size = 1;
    files[1].path = "A";
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_PATH_DUPLICATE);
    files[1].path = "../b";
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_ERR_PATH_INVALID);
    files[1].path = "b";
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_OK);
    manifest_free(m);
}

static void malformed_texts_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"format\":1}",
        M("1", F("a", "1"), "null") "x",                            /* something after it */
        M("2", F("a", "1"), "null"),                                /* sum of sizes */
        M("1", F("a", "1"), ""),                                    /* too few chunks */
        M("1", F("a", "1"), "null,null"),                           /* too many */
        M("1", F("a", "1"), "\"" D "0\""),                          /* digest too long */
        M("1", F("a", "1"), "\"00\""),                              /* too short */
        M("1", F("a", "1"), "0"),                                   /* of another type */
        M("1", F("a", "-1"), "null"),                               /* negative */
        M("1", F("a", "1.0"), "null"),                              /* not an integer */
        M("1", F("a", "\"1\""), "null"),                            /* a text */
        M("1", F("a", "99999999999999999999"), "null"),             /* beyond 64 bits */
        M("2", F("b", "1") "," F("a", "1"), "null"),                /* order */
        M("1", "{\"path\":\"a\",\"size\":1,\"mode\":420}", "null"), /* field missing */
        M("1", F("a", "1,\"x\":1"), "null"),                        /* unknown field of a file */
        M("1", F("a", "1,\"size\":1"), "null"),                     /* doubled field of a file */
        M("1,\"version\":4", F("a", "1"), "null"),                  /* doubled field */
        M("1,\"more\":4", F("a", "1"), "null"),                     /* unknown field */
        M("1", "1", "null"),                                        /* file not an object */
    };
    struct cp_error err;
    char *text = strdup(good);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(parse(bad[i], &err), CP_ERR_MALFORMED);
        assert_int_equal(err.code, CP_ERR_MALFORMED);
        assert_non_null(strstr(err.text, "manifest"));
    }
    assert_int_equal(parse(M("2", F("a", "1") "," F("a", "1"), "null"), &err),
                     CP_ERR_PATH_DUPLICATE);
    assert_int_equal(parse(M("1", F("/a", "1"), "null"), &err), CP_ERR_PATH_INVALID);
    *strstr(text, "0a0b") = 'A'; /* one form for one digest: lower case only */
    text[strlen(text)] = '\0';
    assert_int_equal(parse(text, &err), CP_ERR_MALFORMED);
    free(text);
}

/* Every truncation and every changed byte: refused or a valid manifest, never a fault. */
static void no_damage_crashes(void **state)
{
    size_t size = sizeof good - 1;
    char text[sizeof good];
    struct manifest *m;

    (void)state;
    for (size_t i = 0; i + 1 < size; i++) { /* the last byte is a line end */
        m = NULL;
        assert_int_not_equal(manifest_parse(good, i, &m, NULL), CP_OK);
    }
    for (size_t i = 0; i < size; i++) {
        static const char with[] = {'\0', '"', '}', '9', '\xff', ','};

        for (size_t w = 0; w < sizeof with; w++) {
            memcpy(text, good, sizeof good);
            text[i] = with[w];
            m = NULL;
            if (manifest_parse(text, size, &m, NULL) == CP_OK) {
                assert_int_equal(m->stream_size, 2097162);
            }
            manifest_free(m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_and_encodes_the_same_bytes),
        cmocka_unit_test(builds_from_files),
        cmocka_unit_test(empty_content_is_refused),
        cmocka_unit_test(bad_parts_are_refused),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(no_damage_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
