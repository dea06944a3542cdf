/* SPDX-License-Identifier: Apache-2.0
 * Many rows as the arrays of one statement. */
#include "db/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"

#define ROOM_FIRST  1024
#define NUMBER_SIZE 24

/* Room for `more` bytes and what closes the array. */
static bool reserve(struct db_array *a, size_t more)
{
    size_t room = a->room > 0 ? a->room : ROOM_FIRST;
    char *text;

    while (room < a->size + more + sizeof "}") {
        room *= 2;
    }
    if (room == a->room) {
        return true;
    }
    text = realloc(a->text, room);
    if (text == NULL) {
        return false;
    }
    a->text = text;
    a->room = room;
    return true;
}

/* In quotes an element may hold anything; the quote and the backslash behind one more backslash. */
static bool append(struct db_array *a, const char *element)
{
    size_t length = element != NULL ? strlen(element) : 0;

    if (!reserve(a, 2 * length + sizeof ",NULL" + sizeof "\"\"")) {
        return false;
    }
    a->text[a->size] = a->size == 0 ? '{' : ',';
    a->size++;
    if (element == NULL) {
        memcpy(a->text + a->size, "NULL", 4);
        a->size += 4;
        return true;
    }
    a->text[a->size++] = '"';
    for (const char *p = element; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            a->text[a->size++] = '\\';
        }
        a->text[a->size++] = *p;
    }
    a->text[a->size++] = '"';
    return true;
}

void db_batch_add(struct db_batch *b, const struct db_param *row, size_t width)
{
    CP_ASSERT(width <= DB_BATCH_WIDTH_MAX && (b->width == 0 || b->width == width));
    b->width = width;
    for (size_t i = 0; i < width; i++) {
        char number[NUMBER_SIZE];
        const char *element = number;

        switch (row[i].kind) {
        case DB_P_NULL:
            element = NULL;
            break;
        case DB_P_TEXT:
            element = row[i].data;
            break;
        case DB_P_SIGNED:
            (void)snprintf(number, sizeof number, "%" PRId64, (int64_t)row[i].number);
            break;
        case DB_P_UNSIGNED:
            (void)snprintf(number, sizeof number, "%" PRIu64, row[i].number);
            break;
        case DB_P_BOOL:
            element = row[i].number != 0 ? "t" : "f";
            break;
        case DB_P_BYTES:
        case DB_P_TIME:
            CP_ASSERT(false); /* they are not written as text */
            break;
        }
        b->no_memory = !append(&b->columns[i], element) || b->no_memory;
    }
}

void db_batch_add_names(struct db_batch *b, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct db_param name = db_p_text(names[i]);

        db_batch_add(b, &name, 1);
    }
}

static enum cp_err close_arrays(struct db_batch *b, struct db_param ret_params[DB_BATCH_WIDTH_MAX],
                                struct cp_error *err)
{
    CP_ASSERT(b->width > 0);
    if (b->no_memory) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "no memory for the rows of a statement");
    }
    for (size_t i = 0; i < b->width; i++) {
        struct db_array *a = &b->columns[i];

        memcpy(a->text + a->size, "}", sizeof "}");
        ret_params[i] = db_p_text(a->text);
    }
    return CP_OK;
}

static void done(struct db_batch *b)
{
    for (size_t i = 0; i < b->width; i++) {
        free(b->columns[i].text);
    }
    *b = (struct db_batch){.width = 0};
}

enum cp_err db_batch_do(struct db_conn *conn, const struct db_stmt *stmt, struct db_batch *b,
                        struct cp_error *err)
{
    struct db_param params[DB_BATCH_WIDTH_MAX];
    struct db_query query = {.stmt = stmt, .params = params, .param_count = b->width};
    enum cp_err rc = close_arrays(b, params, err);

    if (rc == CP_OK) {
        rc = db_do(conn, query, NULL, err);
    }
    done(b);
    return rc;
}

enum cp_err db_batch_many(struct db_conn *conn, struct db_query query, struct db_batch *b,
                          struct db_rows rows, struct cp_error *err)
{
    struct db_param params[DB_BATCH_WIDTH_MAX];
    enum cp_err rc = close_arrays(b, params, err);

    query.params = params;
    query.param_count = b->width;
    if (rc == CP_OK) {
        rc = db_many(conn, query, rows, err);
    }
    done(b);
    return rc;
}
