/* SPDX-License-Identifier: Apache-2.0
 * The table of progress: open addressing by the receiver's id. */
#include "api/session/progress.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN  256u
#define SLOTS_MAX  131072u /* half of them in use at most */
#define FNV_OFFSET UINT64_C(14695981039346656037)
#define FNV_PRIME  UINT64_C(1099511628211)

/* A dropped report leaves a grave, so that what lies behind it is still found. */
enum slot_state { SLOT_FREE, SLOT_USED, SLOT_GRAVE };

struct slot {
    enum slot_state state;
    struct db_receiver_report report;
};

struct api_progress {
    pthread_mutex_t lock;
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t filled;     /* used and graves */
    size_t used;
};

enum cp_err api_progress_new(struct api_progress **ret_table)
{
    struct api_progress *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    t->slots = calloc(SLOTS_MIN, sizeof *t->slots);
    if (t->slots == NULL) {
        free(t);
        return CP_ERR_NO_MEMORY;
    }
    t->slot_count = SLOTS_MIN;
    CP_ASSERT(pthread_mutex_init(&t->lock, NULL) == 0);
    *ret_table = t;
    return CP_OK;
}

void api_progress_free(struct api_progress *t)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&t->lock);
    free(t->slots);
    free(t);
}

/* Ids are ours and random: nobody can choose them so that they collide. */
static size_t hash(const char *id)
{
    uint64_t h = FNV_OFFSET;

    for (; *id != '\0'; id++) {
        h = (h ^ (unsigned char)*id) * FNV_PRIME;
    }
    return (size_t)(h ^ (h >> 32));
}

/* The id's slot, or the free one where it would go. At least half of the slots are free. */
static struct slot *find(struct slot *slots, size_t slot_count, const char *id)
{
    size_t at = hash(id) & (slot_count - 1);

    while (slots[at].state == SLOT_GRAVE ||
           (slots[at].state == SLOT_USED && strcmp(slots[at].report.id, id) != 0)) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

/* Room for one more: a larger table, or the same size without graves. */
static enum cp_err make_room(struct api_progress *t)
{
    size_t count = t->slot_count;
    struct slot *slots;

    if (t->filled < count / 2) {
        return CP_OK;
    }
    if (t->used >= count / 4) {
        if (count == SLOTS_MAX && t->used >= count / 2) {
            return CP_ERR_UNAVAILABLE;
        }
        count = count == SLOTS_MAX ? count : count * 2;
    }
    slots = calloc(count, sizeof *slots);
    if (slots == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->slot_count; i++) {
        if (t->slots[i].state == SLOT_USED) {
            *find(slots, count, t->slots[i].report.id) = t->slots[i];
        }
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    t->filled = t->used;
    return CP_OK;
}

enum cp_err api_progress_put(struct api_progress *t, const char *receiver_id,
                             const struct db_progress *progress)
{
    enum cp_err rc;
    struct slot *s;

    CP_ASSERT(strlen(receiver_id) < DB_ID_SIZE);
    (void)pthread_mutex_lock(&t->lock);
    rc = make_room(t);
    if (rc == CP_OK) {
        s = find(t->slots, t->slot_count, receiver_id);
        if (s->state == SLOT_FREE) {
            s->state = SLOT_USED;
            memcpy(s->report.id, receiver_id, strlen(receiver_id) + 1);
            t->filled++;
            t->used++;
        }
        s->report.progress = *progress;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return rc;
}

void api_progress_drop(struct api_progress *t, const char *receiver_id)
{
    struct slot *s;

    (void)pthread_mutex_lock(&t->lock);
    s = find(t->slots, t->slot_count, receiver_id);
    if (s->state == SLOT_USED) {
        s->state = SLOT_GRAVE;
        t->used--;
    }
    (void)pthread_mutex_unlock(&t->lock);
}

size_t api_progress_take(struct api_progress *t, struct db_receiver_report *ret_reports, size_t cap)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->slot_count && count < cap && t->used > 0; i++) {
        if (t->slots[i].state == SLOT_USED) {
            ret_reports[count++] = t->slots[i].report;
            t->slots[i].state = SLOT_GRAVE;
            t->used--;
        }
    }
    if (t->used == 0 && t->filled > 0) {
        memset(t->slots, 0, t->slot_count * sizeof *t->slots);
        t->filled = 0;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return count;
}
