/* SPDX-License-Identifier: Apache-2.0
 * One event in the form of a stream (server-sent events: id, event, data, an empty line). */
#include "api/events/stream_frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "db/event_json.h"

static size_t index_of(const char *kind)
{
    for (size_t i = 0; cp_event_info_at(i) != NULL; i++) {
        if (strcmp(cp_event_info_at(i)->kind, kind) == 0) {
            CP_ASSERT(i < API_KINDS_MAX);
            return i;
        }
    }
    return API_KINDS_MAX;
}

static struct api_frame *make(size_t size)
{
    struct api_frame *frame = calloc(1, sizeof *frame + size + 1);

    if (frame != NULL) {
        frame->refs = 1;
        frame->size = size;
    }
    return frame;
}

struct api_frame *api_frame_text(const char *text)
{
    struct api_frame *frame = make(strlen(text));

    if (frame != NULL) {
        memcpy(frame->text, text, frame->size);
    }
    return frame;
}

struct api_frame *api_frame_new(const struct db_event *event)
{
    json_t *value = db_event_json(event);
    char *data = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    struct api_frame *frame = NULL;
    char head[128];

    json_decref(value);
    if (data != NULL) {
        (void)snprintf(head, sizeof head, "id: %" PRIu64 "\nevent: %s\ndata: ", event->id,
                       event->kind);
        frame = make(strlen(head) + strlen(data) + 2);
    }
    if (frame != NULL) {
        (void)snprintf(frame->text, frame->size + 1, "%s%s\n\n", head, data);
        frame->id = event->id;
        frame->kind_index = index_of(event->kind);
        memcpy(frame->kind, event->kind, sizeof frame->kind);
        memcpy(frame->subject, event->subject, sizeof frame->subject);
    }
    free(data);
    return frame;
}

struct api_frame *api_frame_hold(struct api_frame *frame)
{
    frame->refs++;
    return frame;
}

void api_frame_drop(struct api_frame *frame)
{
    if (frame != NULL && --frame->refs == 0) {
        free(frame);
    }
}

void api_frame_filter_set(struct api_frame_filter *f, const char *kinds, const char *subject)
{
    const char *at = kinds;

    memset(f, 0, sizeof *f);
    f->all_kinds = kinds[0] == '\0';
    while (*at != '\0') {
        size_t size = strcspn(at, "{},");
        char kind[DB_NAME_SIZE];

        if (size > 0 && size < sizeof kind) {
            memcpy(kind, at, size);
            kind[size] = '\0';
            if (index_of(kind) < API_KINDS_MAX) {
                f->kinds[index_of(kind)] = true;
            }
        }
        at += size + (at[size] != '\0');
    }
    if (subject != NULL) {
        (void)snprintf(f->subject, sizeof f->subject, "%s", subject);
    }
}

bool api_frame_wanted(const struct api_frame_filter *f, const struct api_frame *frame)
{
    bool kind = f->all_kinds || (frame->kind_index < API_KINDS_MAX && f->kinds[frame->kind_index]);

    return kind && (f->subject[0] == '\0' || strcmp(f->subject, frame->subject) == 0);
}
