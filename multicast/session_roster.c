/* SPDX-License-Identifier: Apache-2.0
 * Set of node ids: open addressing with linear probing, half empty at least. Pure. */
#include "multicast/session_roster.h"

#include <stdlib.h>
#include <string.h>

#include "multicast/norm/wire.h"

enum cp_err mc_roster_init(struct mc_roster *r)
{
    *r = (struct mc_roster){.slot = calloc(MC_ROSTER_SLOTS, sizeof(*r->slot))};
    return r->slot != NULL ? CP_OK : CP_ERR_NO_MEMORY;
}

void mc_roster_done(struct mc_roster *r)
{
    free(r->slot);
    *r = (struct mc_roster){0};
}

static size_t next(size_t at)
{
    return (at + 1) % MC_ROSTER_SLOTS;
}

/* Knuth's multiplicative hash: ids come from the service, in a row. */
static size_t home(uint32_t node_id)
{
    return (size_t)((node_id * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % MC_ROSTER_SLOTS;
}

/* The id's slot, or the free one that it would take. */
static size_t find(const struct mc_roster *r, uint32_t node_id)
{
    size_t at = home(node_id);

    while (r->slot[at] != 0 && r->slot[at] != node_id) {
        at = next(at);
    }
    return at;
}

bool mc_roster_has(const struct mc_roster *r, uint32_t node_id)
{
    return node_id != NORM_NODE_NONE && r->slot[find(r, node_id)] == node_id;
}

bool mc_roster_add(struct mc_roster *r, uint32_t node_id)
{
    if (node_id == NORM_NODE_NONE || node_id == NORM_NODE_ANY || r->count == MC_ROSTER_MAX ||
        mc_roster_has(r, node_id)) {
        return false;
    }
    r->slot[find(r, node_id)] = node_id;
    r->count++;
    return true;
}

bool mc_roster_remove(struct mc_roster *r, uint32_t node_id)
{
    size_t gap;

    if (!mc_roster_has(r, node_id)) {
        return false;
    }
    gap = find(r, node_id);
    /* Who would not be found any more behind the gap moves into it. */
    for (size_t at = next(gap); r->slot[at] != 0; at = next(at)) {
        size_t way = (at - home(r->slot[at])) % MC_ROSTER_SLOTS;

        if (way >= (at - gap) % MC_ROSTER_SLOTS) {
            r->slot[gap] = r->slot[at];
            gap = at;
        }
    }
    r->slot[gap] = 0;
    r->count--;
    return true;
}

void mc_roster_copy(struct mc_roster *r, const struct mc_roster *from)
{
    memcpy(r->slot, from->slot, MC_ROSTER_SLOTS * sizeof(*r->slot));
    r->count = from->count;
}
