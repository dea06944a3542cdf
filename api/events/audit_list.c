/* SPDX-License-Identifier: Apache-2.0
 * The audit log as admins read it: page by page, as JSON or as JSON lines. Touches the database;
 * thread-safe. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/fields.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "content/certificate.h"
#include "db/audit.h"

static const char *const outcome_words[] = {"done", "accepted", "refused", NULL};
static const char *const format_words[] = {"json", "jsonl", NULL};

/* What a list reads with, and what it must free. */
struct audit_list {
    struct db_audit_filter filter;
    enum db_audit_outcome outcome;
    bool lines;
    char **texts; /* before and after of the rows */
    size_t text_count;
};

static void free_texts(struct audit_list *a)
{
    for (size_t i = 0; i < a->text_count; i++) {
        free(a->texts[i]);
    }
    free(a->texts);
    a->texts = NULL;
    a->text_count = 0;
}

static uint64_t read_time(struct api_fields *f, const char *name)
{
    const char *text = api_field_string(f, name, API_OPTIONAL, 1, 64);
    uint64_t time = 0;

    if (text != NULL && certificate_time_parse(text, &time) != CP_OK) {
        api_field_error(f, name, "must be a time as '2030-01-31T12:00:00Z'");
    }
    return time;
}

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct audit_list *a = l->arg;
    int outcome = api_field_word(f, "outcome", API_OPTIONAL, outcome_words);

    a->filter = (struct db_audit_filter){
        .account = api_field_string(f, "account", API_OPTIONAL, 0, DB_NAME_SIZE - 1),
        .subject = api_field_string(f, "subject", API_OPTIONAL, 1, DB_TEXT_SIZE - 1),
        .operation = api_field_string(f, "operation", API_OPTIONAL, 1, DB_NAME_SIZE - 1),
        .address = api_field_string(f, "address", API_OPTIONAL, 1, DB_NAME_SIZE - 1),
        .request_id = api_field_string(f, "request_id", API_OPTIONAL, 1, DB_NAME_SIZE - 1),
        .since = read_time(f, "since"),
        .until = read_time(f, "until"),
    };
    if (outcome >= 0) {
        (void)db_audit_outcome_parse(outcome_words[outcome], &a->outcome);
        a->filter.outcome = &a->outcome;
    }
    a->lines = api_field_word(f, "format", API_OPTIONAL, format_words) == 1;
}

static enum cp_err keep_texts(struct audit_list *a, const struct api_list *l, struct cp_error *err)
{
    struct db_audit *rows = l->rows;

    a->texts = calloc(2 * l->count + 1, sizeof *a->texts);
    for (size_t i = 0; i < l->count; i++) {
        if (a->texts == NULL) {
            free(rows[i].before);
            free(rows[i].after);
        } else {
            a->texts[a->text_count++] = rows[i].before;
            a->texts[a->text_count++] = rows[i].after;
        }
    }
    return a->texts != NULL ? CP_OK
                            : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the audit log.");
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct audit_list *a = l->arg;

    free_texts(a); /* of a run that was broken off */
    CP_TRY(db_audit_list(conn, &a->filter, l->after_number, l->want, l->rows, &l->count, err));
    return keep_texts(a, l, err);
}

static json_t *loaded(const char *text)
{
    json_t *value = text[0] != '\0' ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return value != NULL ? value : json_null();
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_audit *e = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, e->id);
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o, "
                     "s:o, s:I}",
                     "id", (json_int_t)e->id, "time", api_json_time(e->time), "node_id",
                     api_json_text(e->node_id), "account", api_json_text(e->account), "role",
                     api_json_text(e->role), "authentication", e->authentication, "address",
                     e->address, "operation", api_json_text(e->operation), "method", e->method,
                     "path", e->path, "request_id", e->request_id, "outcome",
                     db_audit_outcome_name(e->outcome), "code", api_json_text(e->code), "subject",
                     api_json_text(e->subject), "before", loaded(e->before), "after",
                     loaded(e->after), "left_out", (json_int_t)e->left_out);
}

/* The page as one object a line; the next page's address is in Link. */
static void to_lines(struct api_response *rs)
{
    json_t *body = json_loadb(rs->body, rs->body_size, 0, NULL);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool good = body != NULL && out != NULL;
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(body, "items"), i, item)
    {
        good = good && json_dumpf(item, out, JSON_COMPACT) == 0 && fputc('\n', out) == '\n';
    }
    json_decref(body);
    good = (out == NULL || fclose(out) == 0) && good;
    free(rs->body);
    rs->body = good ? text : NULL;
    rs->body_size = good ? size : 0;
    rs->content_type = "application/jsonl";
    if (!good) {
        free(text);
        rs->status = cp_err_info(CP_ERR_NO_MEMORY)->http_status;
        rs->content_type = NULL;
    }
}

struct api_response api_audit_list(const struct api_context *ctx, const struct api_call *call)
{
    struct audit_list a = {.lines = false};
    struct api_list list = {.name = "list-audit",
                            .row_size = sizeof(struct db_audit),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &a};
    struct api_response rs = api_list_respond(ctx, call, &list);

    free_texts(&a);
    if (a.lines && rs.status == 200) {
        to_lines(&rs);
    }
    return rs;
}
