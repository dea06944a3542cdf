/* SPDX-License-Identifier: Apache-2.0
 * Many packages at once. Touches the database; one object belongs to one request. */
#include "api/content/package_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/content/packages.h"
#include "api/events/event.h"
#include "api/framework/etag.h"

struct api_package_batch {
    size_t row_count, count; /* that were read; that are to be written */
    bool is_new[API_PACKAGE_BATCH_MAX];
    json_t *before[API_PACKAGE_BATCH_MAX]; /* of what is to be written; NULL: it is new */
    char subjects[API_PACKAGE_BATCH_MAX][DB_TEXT_SIZE];
    struct api_event events[API_PACKAGE_BATCH_MAX];
    struct db_package rows[API_PACKAGE_BATCH_MAX];   /* by name */
    struct db_package wanted[API_PACKAGE_BATCH_MAX]; /* in the order of the caller */
};

enum cp_err api_package_batch_new(struct api_package_batch **ret_batch)
{
    struct api_package_batch *b = calloc(1, sizeof *b);

    if (b == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    *ret_batch = b;
    return CP_OK;
}

static void forget(struct api_package_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        json_decref(b->before[i]);
    }
    b->count = 0;
}

void api_package_batch_free(struct api_package_batch *b)
{
    if (b != NULL) {
        forget(b);
        free(b);
    }
}

enum cp_err api_package_batch_read(struct db_conn *conn, struct api_package_batch *b,
                                   const char *const *names, size_t count, struct cp_error *err)
{
    CP_ASSERT(count <= API_PACKAGE_BATCH_MAX);
    forget(b);
    b->row_count = 0;
    if (count == 0) {
        return CP_OK;
    }
    return db_package_named(conn, names, count, b->rows, &b->row_count, err);
}

size_t api_package_batch_count(const struct api_package_batch *b)
{
    return b->row_count;
}

const struct db_package *api_package_batch_at(const struct api_package_batch *b, size_t i)
{
    CP_ASSERT(i < b->row_count);
    return &b->rows[i];
}

static int by_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct db_package *)row)->name);
}

const struct db_package *api_package_batch_find(const struct api_package_batch *b, const char *name)
{
    return bsearch(name, b->rows, b->row_count, sizeof b->rows[0], by_name);
}

/* Most have few labels, which come last. */
static void copy(struct db_package *to, const struct db_package *from)
{
    memcpy(to, from, offsetof(struct db_package, labels) + strlen(from->labels) + 1);
}

struct db_package *api_package_batch_draft(struct api_package_batch *b, const char *name)
{
    static const struct db_package fresh = API_PACKAGE_NEW;
    const struct db_package *present = api_package_batch_find(b, name);
    struct db_package *draft = &b->wanted[b->count];

    CP_ASSERT(b->count < API_PACKAGE_BATCH_MAX);
    copy(draft, present != NULL ? present : &fresh);
    (void)snprintf(draft->name, sizeof draft->name, "%s", name);
    return draft;
}

void api_package_batch_add(struct api_package_batch *b)
{
    const struct db_package *present = api_package_batch_find(b, b->wanted[b->count].name);

    b->before[b->count] = present != NULL ? api_package_json(present) : NULL;
    b->is_new[b->count] = present == NULL;
    b->count++;
}

/* The new ones, or the others. */
static enum cp_err write_part(struct db_conn *conn, const struct api_package_batch *b, bool is_new,
                              struct cp_error *err)
{
    const struct db_package *part[API_PACKAGE_BATCH_MAX];
    size_t count = 0;

    for (size_t i = 0; i < b->count; i++) {
        if (b->is_new[i] == is_new) {
            part[count++] = &b->wanted[i];
        }
    }
    if (count == 0) {
        return CP_OK;
    }
    return is_new ? db_package_create_many(conn, part, count, err)
                  : db_package_update_many(conn, part, count, err);
}

/* What they became, as GET shows it. */
static enum cp_err read_again(struct db_conn *conn, struct api_package_batch *b,
                              struct cp_error *err)
{
    const char *names[API_PACKAGE_BATCH_MAX];

    for (size_t i = 0; i < b->count; i++) {
        names[i] = b->wanted[i].name;
    }
    return db_package_named(conn, names, b->count, b->rows, &b->row_count, err);
}

static void set_subject(struct api_package_batch *b, size_t i, const char *name)
{
    (void)snprintf(b->subjects[i], sizeof b->subjects[i], "package %s", name);
}

static enum cp_err tell(struct db_conn *conn, const struct api_context *ctx,
                        const struct api_call *call, struct api_package_batch *b,
                        struct cp_error *err)
{
    size_t count = b->count;

    for (size_t i = 0; i < count; i++) {
        const struct db_package *now = api_package_batch_find(b, b->wanted[i].name);

        CP_ASSERT(now != NULL); /* it was made, or is held */
        set_subject(b, i, now->name);
        b->events[i] =
            (struct api_event){.kind = b->is_new[i] ? "package-created" : "package-changed",
                               .subject = b->subjects[i],
                               .detail = api_package_json(now),
                               .before = b->before[i]};
    }
    b->count = 0; /* the events have all that was theirs */
    return api_events_write(conn, ctx, call, b->events, count, err);
}

enum cp_err api_package_batch_write(struct db_conn *conn, const struct api_context *ctx,
                                    const struct api_call *call, struct api_package_batch *b,
                                    struct cp_error *err)
{
    enum cp_err rc;

    if (b->count == 0) {
        return CP_OK;
    }
    rc = write_part(conn, b, true, err);
    if (rc == CP_ERR_CONFLICT) {
        return api_etag_taken(call->rq, err,
                              "Somebody else has made a package of these at the same moment: ask "
                              "again, it is compared with what there is now.");
    }
    CP_TRY(rc);
    CP_TRY(write_part(conn, b, false, err));
    CP_TRY(read_again(conn, b, err));
    return tell(conn, ctx, call, b, err);
}

enum cp_err api_package_batch_delete(struct db_conn *conn, const struct api_context *ctx,
                                     const struct api_call *call, struct api_package_batch *b,
                                     struct cp_error *err)
{
    const char *names[API_PACKAGE_BATCH_MAX];

    if (b->row_count == 0) {
        return CP_OK;
    }
    for (size_t i = 0; i < b->row_count; i++) {
        names[i] = b->rows[i].name;
    }
    CP_TRY(db_package_delete_many(conn, names, b->row_count, err));
    for (size_t i = 0; i < b->row_count; i++) {
        set_subject(b, i, b->rows[i].name);
        b->events[i] = (struct api_event){.kind = "package-deleted",
                                          .subject = b->subjects[i],
                                          .before = api_package_json(&b->rows[i])};
    }
    return api_events_write(conn, ctx, call, b->events, b->row_count, err);
}
