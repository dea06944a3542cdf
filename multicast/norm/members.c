/* SPDX-License-Identifier: Apache-2.0
 * Table of the nodes that sent feedback: an array in order of first hearing, found by hash. Pure. */
#include "multicast/norm/members.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

enum cp_err norm_members_init(struct norm_members *m, size_t max)
{
    size_t buckets = 1;

    CP_ASSERT(max > 0 && max <= NORM_MEMBERS_MAX);
    *m = (struct norm_members){.max = max};
    while (buckets < max) {
        buckets *= 2;
    }
    m->mask = buckets - 1;
    m->member = calloc(max, sizeof(*m->member));
    m->bucket = calloc(buckets, sizeof(*m->bucket));
    if (m->member == NULL || m->bucket == NULL) {
        norm_members_done(m);
        return CP_ERR_NO_MEMORY;
    }
    norm_members_clear(m);
    return CP_OK;
}

void norm_members_done(struct norm_members *m)
{
    free(m->member);
    free(m->bucket);
    *m = (struct norm_members){0};
}

void norm_members_clear(struct norm_members *m)
{
    m->count = 0;
    for (size_t i = 0; i <= m->mask; i++) {
        m->bucket[i] = NONE;
    }
}

/* Knuth's multiplicative hash; only members of the group get into the table. */
static size_t *bucket_of(const struct norm_members *m, uint32_t node_id)
{
    return &m->bucket[(size_t)((node_id * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & m->mask];
}

struct norm_member *norm_members_find(const struct norm_members *m, uint32_t node_id)
{
    for (size_t at = *bucket_of(m, node_id); at != NONE; at = m->member[at].next) {
        if (m->member[at].node_id == node_id) {
            return &m->member[at];
        }
    }
    return NULL;
}

struct norm_member *norm_members_heard(struct norm_members *m, cp_time now, uint32_t node_id)
{
    struct norm_member *member = norm_members_find(m, node_id);

    if (member == NULL) {
        size_t *bucket = bucket_of(m, node_id);

        if (m->count == m->max) {
            return NULL;
        }
        member = &m->member[m->count];
        *member = (struct norm_member){.node_id = node_id,
                                       .first_heard = now,
                                       .over_since = CP_TIME_NEVER,
                                       .bulk_first = 1,
                                       .next = *bucket};
        *bucket = m->count++;
    }
    member->last_heard = now;
    return member;
}

/* What holds the member's index: its bucket, or its predecessor there. */
static size_t *link_to(const struct norm_members *m, size_t at)
{
    size_t *link = bucket_of(m, m->member[at].node_id);

    while (*link != at) {
        link = &m->member[*link].next;
    }
    return link;
}

void norm_members_remove(struct norm_members *m, struct norm_member *member)
{
    size_t at = (size_t)(member - m->member);
    size_t last = m->count - 1;

    CP_ASSERT(at < m->count);
    *link_to(m, at) = member->next;
    if (at != last) {
        *link_to(m, last) = at;
        *member = m->member[last];
    }
    m->count--;
}
