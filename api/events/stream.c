/* SPDX-License-Identifier: Apache-2.0
 * Events as they happen. Touches the database; thread-safe. */
#include "api/events/stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/event.h"
#include "api/events/stream_frame.h"
#include "common/clock.h"

#define RING_SIZE 1024u
#define PAGE_SIZE 128u

/* Events from the database for feeds that are further behind than the ring. */
struct page {
    size_t refs;
    uint64_t upto; /* complete up to there */
    size_t count;
    struct api_frame *frames[PAGE_SIZE];
};

struct api_feed {
    struct api_stream *stream;
    struct api_feed *next, **place; /* in the stream's list */
    struct api_feed_owner owner;
    struct api_frame_filter filter;
    char account[64];
    cp_time until;
    uint64_t position; /* all up to there was sent, or is not for this feed */
    struct api_frame *sending;
    size_t sent; /* of it */
    struct page *page;
    size_t page_at;
    bool behind; /* waits for a page */
    bool parked, beat, ended;
};

struct api_stream {
    pthread_mutex_t lock;
    void (*wake)(void *arg);
    void *wake_arg;
    struct api_feed *feeds;
    size_t feed_count;
    bool ready; /* `read` is known */
    bool stopping;
    uint64_t read;  /* settled and in the ring, but for what fell out of it */
    uint64_t floor; /* what is above is in the ring */
    size_t ring_first, ring_count;
    struct api_frame *ring[RING_SIZE];
    struct db_event rows[PAGE_SIZE]; /* the reader's */
};

enum cp_err api_stream_new(struct api_stream **ret_stream)
{
    struct api_stream *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&s->lock, NULL);
    *ret_stream = s;
    return CP_OK;
}

static struct api_frame *ring_at(const struct api_stream *s, size_t i)
{
    return s->ring[(s->ring_first + i) % RING_SIZE];
}

void api_stream_free(struct api_stream *s)
{
    if (s == NULL) {
        return;
    }
    CP_ASSERT(s->feeds == NULL);
    for (size_t i = 0; i < s->ring_count; i++) {
        api_frame_drop(ring_at(s, i));
    }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void api_stream_set_wake(struct api_stream *s, void (*wake)(void *arg), void *arg)
{
    s->wake = wake;
    s->wake_arg = arg;
}

/* ---- what comes next for a feed ---- */

static void drop_page(struct page *p)
{
    if (p == NULL || --p->refs > 0) {
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        api_frame_drop(p->frames[i]);
    }
    free(p);
}

/* Position in the ring of the first event above that number. */
static size_t ring_above(const struct api_stream *s, uint64_t id)
{
    size_t low = 0;
    size_t high = s->ring_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ring_at(s, middle)->id > id) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static struct api_frame *next_of_ring(struct api_feed *feed)
{
    const struct api_stream *s = feed->stream;

    for (size_t i = ring_above(s, feed->position); i < s->ring_count; i++) {
        feed->position = ring_at(s, i)->id;
        if (api_frame_wanted(&feed->filter, ring_at(s, i))) {
            return api_frame_hold(ring_at(s, i));
        }
    }
    if (feed->position < s->read) {
        feed->position = s->read;
    }
    return NULL;
}

static struct api_frame *next_of_page(struct api_feed *feed)
{
    struct page *p = feed->page;

    while (feed->page_at < p->count) {
        struct api_frame *frame = p->frames[feed->page_at++];

        feed->position = frame->id;
        if (api_frame_wanted(&feed->filter, frame)) {
            return api_frame_hold(frame);
        }
    }
    feed->position = p->upto;
    drop_page(p);
    feed->page = NULL;
    return NULL;
}

/* NULL: nothing now. */
static struct api_frame *next_frame(struct api_feed *feed)
{
    struct api_stream *s = feed->stream;
    struct api_frame *frame = NULL;

    if (feed->page != NULL) {
        frame = next_of_page(feed);
    }
    if (frame == NULL && feed->position >= s->floor) {
        frame = next_of_ring(feed);
    } else if (frame == NULL && !feed->behind) {
        feed->behind = true;
        if (s->wake != NULL) {
            s->wake(s->wake_arg);
        }
    }
    return frame;
}

static size_t take(struct api_feed *feed, char *buffer, size_t max)
{
    size_t size = 0;

    while (size < max) {
        size_t part;

        if (feed->sending == NULL) {
            feed->sending = next_frame(feed);
            feed->sent = 0;
        }
        if (feed->sending == NULL) {
            break;
        }
        part = feed->sending->size - feed->sent;
        part = part < max - size ? part : max - size;
        memcpy(buffer + size, feed->sending->text + feed->sent, part);
        size += part;
        feed->sent += part;
        if (feed->sent == feed->sending->size) {
            api_frame_drop(feed->sending);
            feed->sending = NULL;
        }
    }
    return size;
}

size_t api_feed_read(struct api_feed *feed, char *buffer, size_t max)
{
    static const char beat[] = ": still there\n\n";
    struct api_stream *s = feed->stream;
    size_t size;

    CP_ASSERT(max >= sizeof beat);
    (void)pthread_mutex_lock(&s->lock);
    feed->ended = feed->ended || cp_clock_now() >= feed->until;
    if (s->stopping || feed->ended) {
        size = API_FEED_END;
    } else {
        size = take(feed, buffer, max);
        if (size == 0 && feed->beat) {
            size = sizeof beat - 1;
            memcpy(buffer, beat, size);
        }
        feed->beat = false;
        if (size == 0) {
            feed->parked = true;
            feed->owner.park(feed->owner.arg);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return size;
}

/* ---- listeners come and go ---- */

static void link_feed(struct api_stream *s, struct api_feed *feed)
{
    feed->next = s->feeds;
    feed->place = &s->feeds;
    if (feed->next != NULL) {
        feed->next->place = &feed->next;
    }
    s->feeds = feed;
    s->feed_count++;
}

static enum cp_err enter(struct api_stream *s, struct api_feed *feed, bool resume,
                         struct cp_error *err)
{
    enum cp_err rc = CP_OK;

    (void)pthread_mutex_lock(&s->lock);
    if (s->stopping || !s->ready) {
        rc = cp_error_set(err, CP_ERR_UNAVAILABLE, "The service is starting or stopping.");
    } else if (s->feed_count >= API_FEEDS_MAX) {
        rc = cp_error_set(err, CP_ERR_TOO_MANY_REQUESTS, "There are %d listeners already.",
                          API_FEEDS_MAX);
    } else {
        /* a place beyond is of a database that was restored: its number will be used again */
        feed->position = resume && feed->position < s->read ? feed->position : s->read;
        link_feed(s, feed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

/* On the clock of this process. */
static cp_time end_of_credentials(uint64_t expires_at)
{
    cp_time longest = API_FEED_SECONDS * CP_SEC;
    uint64_t wall = cp_clock_wall();

    if (expires_at == 0) {
        return cp_clock_now() + longest;
    }
    return cp_clock_now() + cp_time_min(expires_at > wall ? expires_at - wall : 0, longest);
}

enum cp_err api_feed_open(struct api_stream *s, const struct api_feed_start *start,
                          struct api_feed **ret_feed, struct cp_error *err)
{
    /* At once, so that the client has its headers; then how soon to come back. */
    struct api_frame *hello = api_frame_text("retry: 2000\n\n");
    struct api_feed *feed = calloc(1, sizeof *feed);
    enum cp_err rc;

    if (feed == NULL || hello == NULL) {
        free(feed);
        api_frame_drop(hello);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for another listener.");
    }
    feed->stream = s;
    feed->sending = hello;
    feed->position = start->after;
    feed->until = end_of_credentials(start->expires_at);
    (void)snprintf(feed->account, sizeof feed->account, "%s", start->account);
    api_frame_filter_set(&feed->filter, start->kinds, start->subject);
    rc = enter(s, feed, start->resume, err);
    if (rc != CP_OK) {
        api_frame_drop(hello);
        free(feed);
        return rc;
    }
    *ret_feed = feed;
    return CP_OK;
}

void api_feed_attach(struct api_feed *feed, const struct api_feed_owner *owner)
{
    feed->owner = *owner;
}

void api_feed_close(struct api_feed *feed)
{
    struct api_stream *s;

    if (feed == NULL) {
        return;
    }
    s = feed->stream;
    (void)pthread_mutex_lock(&s->lock);
    *feed->place = feed->next;
    if (feed->next != NULL) {
        feed->next->place = feed->place;
    }
    s->feed_count--;
    drop_page(feed->page);
    api_frame_drop(feed->sending);
    (void)pthread_mutex_unlock(&s->lock);
    free(feed);
}

/* ---- handing out; all with the lock ---- */

static void wake_feed(struct api_feed *feed)
{
    if (feed->parked) {
        feed->parked = false;
        feed->owner.wake(feed->owner.arg);
    }
}

/* "account ann", or "token 7f… of account ann". */
static bool is_about(const char *subject, const char *account)
{
    static const char word[] = "account ";
    size_t tail = sizeof word - 1 + strlen(account);
    size_t size = strlen(subject);

    return size >= tail && strncmp(subject + size - tail, word, sizeof word - 1) == 0 &&
           strcmp(subject + size - strlen(account), account) == 0;
}

/* Who listens with credentials that were changed must show them again. */
static void end_changed(struct api_stream *s, const struct api_frame *frame)
{
    static const char *const starts[] = {"account-", "certificate-", "token-"};
    bool concerns = false;

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        concerns = concerns || strncmp(frame->kind, starts[i], strlen(starts[i])) == 0;
    }
    if (!concerns) {
        return;
    }
    for (struct api_feed *feed = s->feeds; feed != NULL; feed = feed->next) {
        feed->ended = feed->ended || is_about(frame->subject, feed->account);
    }
}

static void add_to_ring(struct api_stream *s, struct api_frame *frame)
{
    if (s->ring_count == RING_SIZE) {
        s->floor = ring_at(s, 0)->id;
        api_frame_drop(ring_at(s, 0));
        s->ring_first = (s->ring_first + 1) % RING_SIZE;
        s->ring_count--;
    }
    s->ring[(s->ring_first + s->ring_count) % RING_SIZE] = frame;
    s->ring_count++;
    end_changed(s, frame);
}

static void wake_all(struct api_stream *s)
{
    for (struct api_feed *feed = s->feeds; feed != NULL; feed = feed->next) {
        wake_feed(feed);
    }
}

void api_stream_beat(struct api_stream *s)
{
    cp_time now = cp_clock_now();

    (void)pthread_mutex_lock(&s->lock);
    for (struct api_feed *feed = s->feeds; feed != NULL; feed = feed->next) {
        feed->beat = true;
        feed->ended = feed->ended || now >= feed->until;
        wake_feed(feed);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

bool api_stream_idle(struct api_stream *s)
{
    bool idle = true;

    (void)pthread_mutex_lock(&s->lock);
    for (const struct api_feed *feed = s->feeds; feed != NULL; feed = feed->next) {
        idle = idle && feed->parked && feed->position >= s->read;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return idle;
}

void api_stream_stop(struct api_stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = true;
    wake_all(s);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

struct reading {
    struct api_stream *stream;
    bool settle; /* ask what is settled; else up to `upto` */
    uint64_t after, upto;
    bool pending;
    size_t count;
};

static enum cp_err read_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct reading *r = arg;
    struct db_event_range range = {.after = r->after};

    r->count = 0;
    if (r->settle) {
        CP_TRY(db_event_settled(conn, &r->upto, &r->pending, err));
    }
    if (r->upto <= r->after) {
        return CP_OK;
    }
    range.upto = r->upto;
    return db_event_follow(conn, &range, PAGE_SIZE, r->stream->rows, &r->count, err);
}

/* Rows to frames; fewer when memory is out. */
static size_t make_frames(const struct reading *r, struct api_frame *ret_frames[PAGE_SIZE])
{
    size_t count = 0;

    while (count < r->count) {
        ret_frames[count] = api_frame_new(&r->stream->rows[count]);
        if (ret_frames[count] == NULL) {
            break;
        }
        count++;
    }
    return count;
}

/* Up to where a reading is complete. */
static uint64_t end_of(const struct reading *r, size_t made)
{
    if (made == r->count && made < PAGE_SIZE) {
        return r->upto > r->after ? r->upto : r->after;
    }
    return made > 0 ? r->stream->rows[made - 1].id : r->after;
}

/* A standby took over that had not got the newest events: their numbers will be used again. */
static void start_over(struct api_stream *s, uint64_t position)
{
    while (s->ring_count > 0) {
        api_frame_drop(ring_at(s, --s->ring_count));
    }
    s->read = position;
    s->floor = position;
    for (struct api_feed *feed = s->feeds; feed != NULL; feed = feed->next) {
        drop_page(feed->page);
        feed->page = NULL;
        feed->position = feed->position < position ? feed->position : position;
    }
}

/* What is new. */
static enum cp_err read_new(struct api_stream *s, struct db_pool *db, struct reading *r,
                            struct cp_error *err)
{
    struct api_frame *frames[PAGE_SIZE];
    size_t made;

    *r = (struct reading){.stream = s, .settle = true, .after = s->ready ? s->read : INT64_MAX};
    CP_TRY(db_run_tx_locking(db, "read-events", read_body, r, err));
    made = make_frames(r, frames);
    (void)pthread_mutex_lock(&s->lock);
    if (!s->ready) {
        s->read = r->upto;
        s->floor = r->upto;
        s->ready = true;
    } else if (!r->pending && r->upto < s->read) {
        start_over(s, r->upto);
    } else {
        for (size_t i = 0; i < made; i++) {
            add_to_ring(s, frames[i]);
        }
        s->read = end_of(r, made);
    }
    if (made > 0) {
        wake_all(s);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return made == r->count ? CP_OK : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for events.");
}

/* The position of a feed that waits for a page; false: none does. */
static bool find_behind(struct api_stream *s, uint64_t *ret_position)
{
    bool found = false;

    (void)pthread_mutex_lock(&s->lock);
    for (struct api_feed *feed = s->feeds; feed != NULL && !found; feed = feed->next) {
        found = feed->behind;
        *ret_position = feed->position;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return found;
}

/* One page for all that are at one place. */
static enum cp_err read_old(struct api_stream *s, struct db_pool *db, uint64_t position,
                            struct cp_error *err)
{
    struct reading r = {.stream = s, .after = position, .upto = s->read};
    struct page *p = calloc(1, sizeof *p);
    enum cp_err rc;

    if (p == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for events.");
    }
    p->refs = 1;
    rc = db_run_tx_locking(db, "read-old-events", read_body, &r, err);
    if (rc == CP_OK) {
        p->count = make_frames(&r, p->frames);
        p->upto = end_of(&r, p->count);
        if (p->upto <= position && position < r.upto) {
            rc = cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for events.");
        }
    }
    (void)pthread_mutex_lock(&s->lock);
    for (struct api_feed *feed = s->feeds; rc == CP_OK && feed != NULL; feed = feed->next) {
        if (feed->behind && feed->position == position) {
            feed->behind = false;
            feed->page = p;
            feed->page_at = 0;
            p->refs++;
            wake_feed(feed);
        }
    }
    drop_page(p);
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

enum cp_err api_stream_poll(struct api_stream *s, struct db_pool *db, uint64_t *ret_upto,
                            bool *ret_again, struct cp_error *err)
{
    struct reading r;
    uint64_t position;

    do {
        CP_TRY(read_new(s, db, &r, err));
    } while (r.count == PAGE_SIZE);
    while (find_behind(s, &position)) {
        CP_TRY(read_old(s, db, position, err));
    }
    *ret_upto = s->read;
    *ret_again = r.pending;
    return CP_OK;
}
