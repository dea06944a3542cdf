/* SPDX-License-Identifier: Apache-2.0
 * A stand-in for api/events/stream.h: feeds that the test speaks into. The linker chooses it. */
#include "tests/unit/server/fake_feed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/stream.h"

#define FEEDS_MAX 256

struct api_feed {
    bool used, parked;
    char text[256]; /* not read yet */
    size_t size;
    struct api_feed_owner owner;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct api_feed feeds[FEEDS_MAX];
static bool stopped;

struct api_feed *fake_feed_open(void)
{
    struct api_feed *found = NULL;

    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < FEEDS_MAX && found == NULL; i++) {
        found = feeds[i].used ? NULL : &feeds[i];
    }
    if (found != NULL) {
        memset(found, 0, sizeof *found);
        found->used = true;
        (void)strcpy(found->text, "hello\n");
        found->size = 6;
    }
    (void)pthread_mutex_unlock(&lock);
    return found;
}

void fake_feed_reset(void)
{
    (void)pthread_mutex_lock(&lock);
    stopped = false;
    (void)pthread_mutex_unlock(&lock);
}

static size_t count(bool parked)
{
    size_t n = 0;

    for (size_t i = 0; i < FEEDS_MAX; i++) {
        n += feeds[i].used && (feeds[i].parked || !parked);
    }
    return n;
}

void fake_feed_await(size_t open, size_t parked)
{
    (void)pthread_mutex_lock(&lock);
    while (count(false) != open || count(true) != parked) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}

static void wake(struct api_feed *feed)
{
    if (feed->used && feed->parked) {
        feed->parked = false;
        feed->owner.wake(feed->owner.arg);
    }
}

void fake_feed_say(const char *text)
{
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < FEEDS_MAX; i++) {
        if (feeds[i].used && feeds[i].size + strlen(text) < sizeof feeds[i].text) {
            memcpy(feeds[i].text + feeds[i].size, text, strlen(text));
            feeds[i].size += strlen(text);
            wake(&feeds[i]);
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

void api_feed_attach(struct api_feed *feed, const struct api_feed_owner *owner)
{
    (void)pthread_mutex_lock(&lock);
    feed->owner = *owner;
    (void)pthread_mutex_unlock(&lock);
}

size_t api_feed_read(struct api_feed *feed, char *buffer, size_t max)
{
    size_t size;

    (void)pthread_mutex_lock(&lock);
    size = feed->size < max ? feed->size : max;
    if (stopped) {
        size = API_FEED_END;
    } else if (size == 0) {
        feed->parked = true;
        feed->owner.park(feed->owner.arg);
        (void)pthread_cond_broadcast(&changed);
    } else {
        memcpy(buffer, feed->text, size);
        memmove(feed->text, feed->text + size, feed->size - size);
        feed->size -= size;
    }
    (void)pthread_mutex_unlock(&lock);
    return size;
}

void api_feed_close(struct api_feed *feed)
{
    (void)pthread_mutex_lock(&lock);
    if (feed != NULL) {
        feed->used = false;
        feed->parked = false;
    }
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

void api_stream_stop(struct api_stream *s)
{
    (void)s;
    (void)pthread_mutex_lock(&lock);
    stopped = true;
    for (size_t i = 0; i < FEEDS_MAX; i++) {
        wake(&feeds[i]);
    }
    (void)pthread_mutex_unlock(&lock);
}
