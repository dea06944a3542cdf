/* SPDX-License-Identifier: Apache-2.0
 * One event in the form of a stream, shared by all listeners, and which of them want it. Pure but
 * for malloc; counted under the stream's lock. */
#ifndef API_EVENTS_STREAM_FRAME_H
#define API_EVENTS_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/event.h"

#define API_KINDS_MAX 256

struct api_frame {
    size_t refs;
    uint64_t id;
    size_t kind_index; /* in the catalogue; API_KINDS_MAX: not there */
    char kind[DB_NAME_SIZE];
    char subject[DB_TEXT_SIZE];
    size_t size;
    char text[];
};

/* NULL: memory is out. */
struct api_frame *api_frame_new(const struct db_event *event);
/* A frame that is no event. */
struct api_frame *api_frame_text(const char *text);
struct api_frame *api_frame_hold(struct api_frame *frame);
/* NULL allowed. */
void api_frame_drop(struct api_frame *frame);

struct api_frame_filter {
    bool all_kinds;
    bool kinds[API_KINDS_MAX];
    char subject[DB_TEXT_SIZE]; /* "" any */
};
/* kinds as db_kinds_add makes them; subject NULL: any. */
void api_frame_filter_set(struct api_frame_filter *f, const char *kinds, const char *subject);
bool api_frame_wanted(const struct api_frame_filter *f, const struct api_frame *frame);

#endif
