/* SPDX-License-Identifier: Apache-2.0
 * Tests of arrays that grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/array.h"

struct item {
    uint64_t number;
    char text[9];
};

static void it_grows_from_nothing_and_keeps_what_was_there(void **state)
{
    struct item *items = NULL;
    size_t count = 0;

    (void)state;
    for (size_t room = 1; room <= 4096; room *= 4) {
        assert_true(srv_array_resize(&items, room, sizeof *items));
        for (; count < room; count++) { /* all of it is there: ASan looks */
            items[count] = (struct item){.number = count, .text = "12345678"};
        }
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(items[i].number, i);
        assert_string_equal(items[i].text, "12345678");
    }
    assert_true(srv_array_resize(&items, 2, sizeof *items));
    assert_int_equal(items[1].number, 1);
    free(items);
}

static void without_memory_nothing_changes(void **state)
{
    uint32_t *items = NULL;
    const uint32_t *before;

    (void)state;
    assert_false(
        srv_array_resize(&items, SIZE_MAX, sizeof *items)); /* more bytes than size_t says */
    assert_null(items);
    assert_true(srv_array_resize(&items, 3, sizeof *items));
    items[2] = 77;
    before = items;
    assert_false(srv_array_resize(&items, SIZE_MAX / 2, sizeof *items));
    assert_ptr_equal(items, before);
    assert_int_equal(items[2], 77);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_from_nothing_and_keeps_what_was_there),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
