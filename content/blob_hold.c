/* SPDX-License-Identifier: Apache-2.0
 * Holds and claims of blobs. In memory only: with the process goes whoever needed the blob, and what
 * it left behind is garbage indeed. */
#include <stdlib.h>
#include <string.h>

#include "content/blob_care.h"
#include "content/blob_private.h"

struct blob_hold {
    struct blob_hold *next;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    unsigned holders;
    bool claimed;
};

void blob_holds_init(struct blob_store *s)
{
    s->holds = NULL;
    (void)pthread_mutex_init(&s->holds_lock, NULL);
    (void)pthread_cond_init(&s->holds_changed, NULL);
}

void blob_holds_done(struct blob_store *s)
{
    while (s->holds != NULL) {
        struct blob_hold *h = s->holds;

        s->holds = h->next;
        free(h);
    }
    (void)pthread_cond_destroy(&s->holds_changed);
    (void)pthread_mutex_destroy(&s->holds_lock);
}

/* The place of the digest's entry, or of the end of the list. */
static struct blob_hold **place_of(struct blob_store *s, const uint8_t *digest)
{
    struct blob_hold **at = &s->holds;

    while (*at != NULL && memcmp((*at)->digest, digest, CONTENT_DIGEST_SIZE) != 0) {
        at = &(*at)->next;
    }
    return at;
}

/* An entry that is free to hold, or (claim) that nobody has; waits for it under the lock. */
static struct blob_hold *wait_for(struct blob_store *s, const uint8_t *digest, bool claim)
{
    struct blob_hold **at = place_of(s, digest);

    while (*at != NULL && ((*at)->claimed || (claim && (*at)->holders > 0))) {
        (void)pthread_cond_wait(&s->holds_changed, &s->holds_lock);
        at = place_of(s, digest);
    }
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL) {
            memcpy((*at)->digest, digest, CONTENT_DIGEST_SIZE);
        }
    }
    return *at;
}

static enum cp_err take(struct blob_store *s, const uint8_t *digest, bool claim)
{
    struct blob_hold *h;

    (void)pthread_mutex_lock(&s->holds_lock);
    h = wait_for(s, digest, claim);
    if (h != NULL && claim) {
        h->claimed = true;
    } else if (h != NULL) {
        h->holders++;
    }
    (void)pthread_mutex_unlock(&s->holds_lock);
    return h != NULL ? CP_OK : CP_ERR_NO_MEMORY;
}

static void give_back(struct blob_store *s, const uint8_t *digest, bool claim)
{
    struct blob_hold **at;
    struct blob_hold *h;

    (void)pthread_mutex_lock(&s->holds_lock);
    at = place_of(s, digest);
    h = *at;
    CP_ASSERT(h != NULL && (claim ? h->claimed : h->holders > 0));
    if (claim) {
        h->claimed = false;
    } else {
        h->holders--;
    }
    if (!h->claimed && h->holders == 0) {
        *at = h->next;
        free(h);
    }
    (void)pthread_cond_broadcast(&s->holds_changed);
    (void)pthread_mutex_unlock(&s->holds_lock);
}

enum cp_err blob_hold(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    return take(s, digest, false);
}

void blob_release(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    give_back(s, digest, false);
}

enum cp_err blob_claim(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    return take(s, digest, true);
}

void blob_unclaim(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    give_back(s, digest, true);
}
