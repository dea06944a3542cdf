/* SPDX-License-Identifier: Apache-2.0
 * Extents: object offsets over several files, hostile lists, short files, a full device. */
#include "multicast/io/extents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static int memory_file(size_t size)
{
    int fd = memfd_create("extents", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void test_pieces(void **state)
{
    (void)state;
    int a = memory_file(100);
    int b = memory_file(100);
    /* 10 bytes of a, 1 of b, 20 of a again. */
    const struct io_extent item[] = {
        {.fd = a, .file_offset = 5, .object_offset = 0, .size = 10},
        {.fd = b, .file_offset = 0, .object_offset = 10, .size = 1},
        {.fd = a, .file_offset = 50, .object_offset = 11, .size = 20},
    };
    struct io_extents x = {0};
    assert_int_equal(io_extents_init(&x, item, 3), CP_OK);
    assert_int_equal(x.size, 31);

    uint8_t in[31];
    uint8_t out[31];
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i + 1);
    }
    assert_int_equal(io_extents_write(&x, 0, in, sizeof(in)), CP_OK);
    for (size_t at = 0; at < sizeof(in); at++) {
        for (size_t size = 0; size <= sizeof(in) - at; size++) {
            memset(out, 0, sizeof(out));
            assert_int_equal(io_extents_read(&x, at, out, size), CP_OK);
            assert_memory_equal(out, in + at, size);
        }
    }
    uint8_t raw[20];
    assert_int_equal(pread(a, raw, 20, 50), 20);
    assert_memory_equal(raw, in + 11, 20);
    assert_int_equal(pread(a, raw, 20, 0), 20);
    assert_int_equal(raw[4], 0);
    assert_int_equal(raw[5], 1);
    assert_int_equal(raw[15], 0);
    io_extents_will_need(&x, 3, 1000);
    io_extents_done(&x);
    close(a);
    close(b);
}

static void test_refused_lists(void **state)
{
    (void)state;
    struct io_extents x = {0};
    struct io_extent gap[] = {{.fd = 1, .object_offset = 0, .size = 10},
                              {.fd = 1, .object_offset = 11, .size = 10}};
    struct io_extent overlap[] = {{.fd = 1, .object_offset = 0, .size = 10},
                                  {.fd = 1, .object_offset = 9, .size = 10}};
    struct io_extent late[] = {{.fd = 1, .object_offset = 1, .size = 10}};
    struct io_extent empty[] = {{.fd = 1, .object_offset = 0, .size = 0}};
    struct io_extent no_fd[] = {{.fd = -1, .object_offset = 0, .size = 10}};
    struct io_extent wraps[] = {{.fd = 1, .object_offset = 0, .size = 10},
                                {.fd = 1, .object_offset = 10, .size = UINT64_MAX}};

    assert_int_equal(io_extents_init(&x, NULL, 0), CP_ERR_INVALID);
    assert_int_equal(io_extents_init(&x, gap, 2), CP_ERR_INVALID);
    assert_int_equal(io_extents_init(&x, overlap, 2), CP_ERR_INVALID);
    assert_int_equal(io_extents_init(&x, late, 1), CP_ERR_INVALID);
    assert_int_equal(io_extents_init(&x, empty, 1), CP_ERR_INVALID);
    assert_int_equal(io_extents_init(&x, no_fd, 1), CP_ERR_INVALID);
    assert_int_equal(io_extents_init(&x, wraps, 2), CP_ERR_INVALID);
    assert_null(x.item);
}

static void test_failures(void **state)
{
    (void)state;
    uint8_t data[64] = {1};
    struct io_extents x = {0};

    /* The file is shorter than its piece. */
    int fd = memory_file(10);
    struct io_extent item = {.fd = fd, .object_offset = 0, .size = 64};
    assert_int_equal(io_extents_init(&x, &item, 1), CP_OK);
    assert_int_equal(io_extents_read(&x, 0, data, 10), CP_OK);
    assert_int_equal(io_extents_read(&x, 0, data, 11), CP_ERR_STORAGE);
    io_extents_done(&x);
    close(fd);

    /* Read-only, and full. */
    item.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(io_extents_init(&x, &item, 1), CP_OK);
    assert_int_equal(io_extents_write(&x, 0, data, 1), CP_ERR_OUTPUT);
    io_extents_done(&x);
    close(item.fd);
    item.fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_int_equal(io_extents_init(&x, &item, 1), CP_OK);
    assert_int_equal(io_extents_write(&x, 0, data, 1), CP_ERR_OUTPUT_FULL);
    io_extents_done(&x);
    close(item.fd);

    /* A limit on the file's size is no room either. */
    struct rlimit old;
    struct rlimit small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 8;
    signal(SIGXFSZ, SIG_IGN);
    item.fd = memory_file(0);
    assert_int_equal(io_extents_init(&x, &item, 1), CP_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum cp_err code = io_extents_write(&x, 0, data, sizeof(data));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(code, CP_ERR_OUTPUT_FULL);
    io_extents_done(&x);
    close(item.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_refused_lists),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
