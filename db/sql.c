/* SPDX-License-Identifier: Apache-2.0
 * Running a prepared statement with typed parameters and decoding its rows into structs. */
#include "db/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "db/conn.h"

#define PARAMS_MAX  40
#define NUMBER_SIZE 24

/* Types by their number in pg_type; these never change. */
enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };
enum { OID_TEXT = 25, OID_TIMESTAMPTZ = 1184, OID_UUID = 2950 };

/* PostgreSQL counts microseconds from 2000-01-01. */
#define PG_EPOCH_US 946684800000000LL

struct encoded {
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX];
    int formats[PARAMS_MAX];
    char numbers[PARAMS_MAX][NUMBER_SIZE];
};

static void encode_time(char number[NUMBER_SIZE], uint64_t wall_ns)
{
    struct cp_writer w;

    cp_writer_init(&w, number, 8);
    cp_write_u64(&w, (uint64_t)((int64_t)(wall_ns / 1000) - PG_EPOCH_US));
}

static void encode_param(struct encoded *e, size_t i, const struct db_param *p)
{
    e->values[i] = e->numbers[i];
    switch (p->kind) {
    case DB_P_NULL:
        e->values[i] = NULL;
        break;
    case DB_P_TEXT:
        e->values[i] = p->data;
        break;
    case DB_P_SIGNED:
        (void)snprintf(e->numbers[i], NUMBER_SIZE, "%" PRId64, (int64_t)p->number);
        break;
    case DB_P_UNSIGNED:
        (void)snprintf(e->numbers[i], NUMBER_SIZE, "%" PRIu64, p->number);
        break;
    case DB_P_BOOL:
        (void)snprintf(e->numbers[i], NUMBER_SIZE, "%s", p->number != 0 ? "t" : "f");
        break;
    case DB_P_BYTES:
        CP_ASSERT(p->size <= INT32_MAX);
        /* libpq takes a NULL value for SQL NULL: no bytes are not NULL. */
        e->values[i] = p->data != NULL ? p->data : "";
        e->lengths[i] = (int)p->size;
        e->formats[i] = 1;
        break;
    case DB_P_TIME:
        encode_time(e->numbers[i], p->number);
        e->lengths[i] = 8;
        e->formats[i] = 1;
        break;
    }
}

/* Linear probing on the statement's address. */
static size_t prepared_place(const struct db_conn *c, const struct db_stmt *stmt)
{
    size_t place = ((uintptr_t)stmt >> 4) % DB_PREPARED_MAX;

    while (c->prepared[place] != NULL && c->prepared[place] != stmt) {
        place = (place + 1) % DB_PREPARED_MAX;
    }
    return place;
}

static enum cp_err prepare(struct db_conn *c, const struct db_stmt *stmt, struct cp_error *err)
{
    size_t place = prepared_place(c, stmt);
    PGresult *result;
    enum cp_err rc = CP_OK;

    if (c->prepared[place] == stmt) {
        return CP_OK;
    }
    CP_ASSERT(c->prepared_count + 1 < DB_PREPARED_MAX);
    result = db_conn_answer(c, PQsendPrepare(c->pg, stmt->name, stmt->sql, 0, NULL));
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        c->prepared[place] = stmt;
        c->prepared_count++;
    } else {
        rc = db_conn_failed(c, result, stmt->name, err);
    }
    PQclear(result);
    return rc;
}

static enum cp_err execute(struct db_conn *c, struct db_query q, PGresult **ret_result,
                           struct cp_error *err)
{
    struct encoded e = {.lengths = {0}};
    PGresult *result;
    ExecStatusType status;
    enum cp_err rc;

    CP_ASSERT(q.param_count <= PARAMS_MAX);
    c->constraint[0] = '\0';
    c->fault = DB_FAULT_NONE;
    if (!q.fresh) {
        CP_TRY(prepare(c, q.stmt, err));
    }
    for (size_t i = 0; i < q.param_count; i++) {
        encode_param(&e, i, &q.params[i]);
    }
    result =
        db_conn_answer(c, q.fresh ? PQsendQueryParams(c->pg, q.stmt->sql, (int)q.param_count, NULL,
                                                      e.values, e.lengths, e.formats, 1)
                                  : PQsendQueryPrepared(c->pg, q.stmt->name, (int)q.param_count,
                                                        e.values, e.lengths, e.formats, 1));
    status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        *ret_result = result;
        return CP_OK;
    }
    rc = db_conn_failed(c, result, q.stmt->name, err);
    PQclear(result);
    return rc;
}

struct cell {
    const char *data;
    size_t size;
    Oid type;
    bool null;
};

static uint64_t cell_int(const struct cell *cell)
{
    struct cp_reader r;

    cp_reader_init(&r, cell->data, cell->size);
    switch (cell->type) {
    case OID_INT2:
        return (uint64_t)(int64_t)(int16_t)cp_read_u16(&r);
    case OID_INT4:
        return (uint64_t)(int64_t)(int32_t)cp_read_u32(&r);
    default:
        CP_ASSERT(cell->type == OID_INT8);
        return cp_read_u64(&r);
    }
}

static void put_int(void *field, size_t size, uint64_t value)
{
    uint8_t v8 = (uint8_t)value;
    uint16_t v16 = (uint16_t)value;
    uint32_t v32 = (uint32_t)value;

    switch (size) {
    case 1:
        memcpy(field, &v8, size);
        break;
    case 2:
        memcpy(field, &v16, size);
        break;
    case 4:
        memcpy(field, &v32, size);
        break;
    default:
        CP_ASSERT(size == 8);
        memcpy(field, &value, size);
        break;
    }
}

static void put_uuid(const struct cell *cell, char *field, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    CP_ASSERT(size >= DB_ID_SIZE && cell->size == 16);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            field[at++] = '-';
        }
        field[at++] = digits[(uint8_t)cell->data[i] >> 4];
        field[at++] = digits[(uint8_t)cell->data[i] & 15];
    }
    field[at] = '\0';
}

/* Text that is longer than its field is cut at a whole UTF-8 character. The tables' own limits keep
 * that from happening to anything but free text. */
static void put_text(const struct cell *cell, char *field, size_t size)
{
    size_t length = cell->size;

    if (cell->null) {
        field[0] = '\0';
        return;
    }
    if (cell->type == OID_UUID) {
        put_uuid(cell, field, size);
        return;
    }
    if (length > size - 1) {
        length = size - 1;
        while (length > 0 && ((uint8_t)cell->data[length] & 0xC0) == 0x80) {
            length--;
        }
    }
    memcpy(field, cell->data, length);
    field[length] = '\0';
}

static void put_time(const struct cell *cell, void *field)
{
    uint64_t wall_ns = 0;

    if (!cell->null) {
        struct cp_reader r;
        int64_t us;

        CP_ASSERT(cell->type == OID_TIMESTAMPTZ);
        cp_reader_init(&r, cell->data, cell->size);
        us = (int64_t)cp_read_u64(&r) + PG_EPOCH_US;
        wall_ns = us > 0 ? (uint64_t)us * 1000 : 0;
    }
    memcpy(field, &wall_ns, sizeof wall_ns);
}

static void put_bytes(const struct cell *cell, const struct db_col *col, char *row)
{
    size_t size = cell->size < col->size ? cell->size : col->size;

    CP_ASSERT(cell->type == OID_BYTEA);
    memset(row + col->offset, 0, col->size);
    memcpy(row + col->offset, cell->data, size);
    memcpy(row + col->size_offset, &size, sizeof size);
}

static void put_enum(const struct cell *cell, const struct db_col *col, char *row)
{
    char text[DB_NAME_SIZE];
    size_t index;

    put_text(cell, text, sizeof text);
    CP_ASSERT(db_names_find(col->names, text, &index));
    put_int(row + col->offset, col->size, index);
}

static enum cp_err put_blob(const struct cell *cell, const struct db_col *col, char *row)
{
    char *copy = malloc(cell->size + 1);

    if (copy == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    memcpy(copy, cell->data, cell->size);
    copy[cell->size] = '\0';
    memcpy(row + col->offset, &copy, sizeof copy);
    memcpy(row + col->size_offset, &cell->size, sizeof cell->size);
    return CP_OK;
}

static enum cp_err put_cell(const struct cell *cell, const struct db_col *col, char *row)
{
    bool truth;

    switch (col->kind) {
    case DB_C_TEXT:
        put_text(cell, row + col->offset, col->size);
        break;
    case DB_C_INT:
        put_int(row + col->offset, col->size, cell->null ? 0 : cell_int(cell));
        break;
    case DB_C_BOOL:
        CP_ASSERT(cell->type == OID_BOOL);
        truth = !cell->null && cell->data[0] != 0;
        memcpy(row + col->offset, &truth, sizeof truth);
        break;
    case DB_C_TIME:
        put_time(cell, row + col->offset);
        break;
    case DB_C_BYTES:
        put_bytes(cell, col, row);
        break;
    case DB_C_ENUM:
        put_enum(cell, col, row);
        break;
    case DB_C_BLOB:
        return put_blob(cell, col, row);
    }
    return CP_OK;
}

static enum cp_err decode_row(const PGresult *result, int at, struct db_query q, void *row)
{
    CP_ASSERT((size_t)PQnfields(result) == q.col_count);
    for (size_t i = 0; i < q.col_count; i++) {
        int field = (int)i;
        struct cell cell = {.data = PQgetvalue(result, at, field),
                            .size = (size_t)PQgetlength(result, at, field),
                            .type = PQftype(result, field),
                            .null = PQgetisnull(result, at, field) != 0};

        CP_TRY(put_cell(&cell, &q.cols[i], row));
    }
    return CP_OK;
}

enum cp_err db_one(struct db_conn *conn, struct db_query query, void *ret_row, struct cp_error *err)
{
    PGresult *result;
    enum cp_err rc = CP_ERR_NOT_FOUND;

    CP_TRY(execute(conn, query, &result, err));
    if (PQntuples(result) > 0) {
        rc = decode_row(result, 0, query, ret_row);
    }
    PQclear(result);
    return rc;
}

enum cp_err db_many(struct db_conn *conn, struct db_query query, struct db_rows rows,
                    struct cp_error *err)
{
    PGresult *result;
    enum cp_err rc = CP_OK;
    size_t count;

    CP_TRY(execute(conn, query, &result, err));
    count = (size_t)PQntuples(result);
    CP_ASSERT(count <= rows.limit);
    for (size_t i = 0; i < count && rc == CP_OK; i++) {
        rc = decode_row(result, (int)i, query, (char *)rows.items + i * rows.item_size);
    }
    PQclear(result);
    CP_TRY(rc);
    *rows.ret_count = count;
    return CP_OK;
}

enum cp_err db_do(struct db_conn *conn, struct db_query query, uint64_t *ret_affected,
                  struct cp_error *err)
{
    PGresult *result;

    CP_TRY(execute(conn, query, &result, err));
    if (ret_affected != NULL) {
        *ret_affected = strtoull(PQcmdTuples(result), NULL, 10);
    }
    PQclear(result);
    return CP_OK;
}

bool db_names_find(const struct db_names *names, const char *text, size_t *ret_index)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], text) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

enum cp_err db_revision_check(int64_t expected, int64_t present, const char *what,
                              struct cp_error *err)
{
    if (expected == DB_REVISION_ANY || expected == present) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                        "the %s has revision %" PRId64
                        ", the change was made for revision %" PRId64,
                        what, present, expected);
}

bool db_is_uuid(const char *text)
{
    for (size_t i = 0; i < DB_ID_SIZE - 1; i++) {
        char c = text[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

        if (dash ? c != '-' : !hex) {
            return false;
        }
    }
    return text[DB_ID_SIZE - 1] == '\0';
}
