/* SPDX-License-Identifier: Apache-2.0
 * Events: what happened, newest first, and as it happens. Touches the database; thread-safe. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/stream.h"
#include "api/framework/fields.h"
#include "api/framework/list.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "common/event.h"
#include "content/certificate.h"
#include "db/event_json.h"

/* ---- which ---- */

static const char *const severity_words[] = {"info", "warning", "error", NULL};

struct which {
    struct db_event_filter filter;
    char kinds[DB_KINDS_SIZE];
};

/* "package-created,version-sealed" */
static void read_kinds(struct api_fields *f, int severity, struct which *w)
{
    const char *text = api_field_string(f, "kind", API_OPTIONAL, 1, 1024);

    while (text != NULL && *text != '\0') {
        size_t size = strcspn(text, ",");
        const struct cp_event_info *info;
        char kind[DB_NAME_SIZE];

        (void)snprintf(kind, sizeof kind, "%.*s", (int)(size < sizeof kind ? size : 0), text);
        info = cp_event_info(kind);
        if (info == NULL) {
            api_field_error(f, "kind", "must be kinds of docs/events.md with commas between them");
            return;
        }
        if ((int)info->severity >= severity) {
            (void)db_kinds_add(w->kinds, kind);
        }
        text += size + (text[size] == ',');
    }
}

/* The kinds of at least that severity. */
static void add_severity(struct which *w, int severity)
{
    for (size_t i = 0; cp_event_info_at(i) != NULL; i++) {
        if ((int)cp_event_info_at(i)->severity >= severity) {
            (void)db_kinds_add(w->kinds, cp_event_info_at(i)->kind);
        }
    }
}

static void read_which(struct api_fields *f, struct which *w)
{
    int severity = api_field_word(f, "severity", API_OPTIONAL, severity_words);
    bool by_kind = false;

    for (size_t i = 0; i < f->rq->query_count; i++) {
        by_kind = by_kind || strcmp(f->rq->query[i].name, "kind") == 0;
    }
    read_kinds(f, severity, w);
    if (by_kind && w->kinds[0] == '\0') {
        (void)snprintf(w->kinds, sizeof w->kinds, "{}"); /* none of them is that severe */
    } else if (!by_kind && severity > 0) {
        add_severity(w, severity);
    }
    w->filter.kinds = w->kinds;
    w->filter.subject = api_field_string(f, "subject", API_OPTIONAL, 1, DB_TEXT_SIZE - 1);
}

/* ---- list ---- */

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct which *w = l->arg;
    const char *since;

    read_which(f, w);
    since = api_field_string(f, "since", API_OPTIONAL, 1, 64);
    if (since != NULL && certificate_time_parse(since, &w->filter.since) != CP_OK) {
        api_field_error(f, "since", "must be a time as '2030-01-31T12:00:00Z'");
    }
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    const struct which *w = l->arg;

    return db_event_list(conn, &w->filter, l->after_number, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_event *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, r->id);
    return db_event_json(r);
}

struct api_response api_events_list(const struct api_context *ctx, const struct api_call *call)
{
    struct which *w = calloc(1, sizeof *w);
    struct api_list list = {.name = "list-events",
                            .row_size = sizeof(struct db_event),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = w};
    struct api_response rs;

    if (w == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the list.");
    }
    rs = api_list_respond(ctx, call, &list);
    free(w);
    return rs;
}

/* ---- stream ---- */

/* A browser that lost its connection says in Last-Event-ID what it has; others may say it by
 * `after`. Neither: from now on. */
static bool read_place(struct api_fields *f, uint64_t *ret_after)
{
    const char *header = api_request_header(f->rq, "Last-Event-ID");
    int64_t number = 0;
    bool given = api_field_int(f, "after", API_OPTIONAL, 0, INT64_MAX, &number);

    if (header != NULL && header[0] != '\0') {
        size_t digits = strspn(header, "0123456789");

        if (digits > 18 || header[digits] != '\0') {
            api_field_error(f, "Last-Event-ID", "must be the id of an event");
            return false;
        }
        *ret_after = strtoull(header, NULL, 10);
        return true;
    }
    *ret_after = (uint64_t)number;
    return given;
}

static struct api_response open_stream(const struct api_context *ctx, const struct api_call *call,
                                       struct api_feed_start *start)
{
    struct cp_error err = {.code = CP_OK};
    struct api_response rs = api_response_empty(200);

    if (ctx->stream == NULL) {
        return api_refuse_text(call, CP_ERR_UNAVAILABLE, "The service is starting or stopping.");
    }
    if (call->rq->method == API_HEAD) {
        rs.content_type = API_STREAM_TYPE;
        return rs;
    }
    err.code = api_feed_open(ctx->stream, start, &rs.feed, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    rs.content_type = API_STREAM_TYPE;
    /* nginx would hold events back otherwise. */
    api_header_add(&rs, "X-Accel-Buffering", "no");
    return rs;
}

struct api_response api_events_stream(const struct api_context *ctx, const struct api_call *call)
{
    struct which *w = calloc(1, sizeof *w);
    struct api_feed_start start = {.resume = false};
    struct api_response rs;
    struct api_fields f;

    if (w == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the stream.");
    }
    api_fields_query(&f, call);
    read_which(&f, w);
    start.resume = read_place(&f, &start.after);
    if (!api_fields_ok(&f)) {
        rs = api_fields_refuse(&f, call);
    } else {
        start.kinds = w->kinds;
        start.subject = w->filter.subject;
        start.account = call->who->account;
        start.expires_at = call->who->expires_at;
        rs = open_stream(ctx, call, &start);
        api_fields_done(&f);
    }
    free(w);
    return rs;
}
