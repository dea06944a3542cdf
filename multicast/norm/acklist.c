/* SPDX-License-Identifier: Apache-2.0
 * The nodes of which the sender wants ACK(FLUSH). Pure. */
#include "multicast/norm/acklist.h"

#include "common/cursor.h"

#define NODE_ID_SIZE 4u

static struct norm_acker *find(struct norm_acklist *l, uint32_t node_id)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->nodes[i].node_id == node_id) {
            return &l->nodes[i];
        }
    }
    return NULL;
}

enum cp_err norm_acklist_add(struct norm_acklist *l, uint32_t node_id)
{
    if (node_id == NORM_NODE_NONE || node_id == NORM_NODE_ANY) {
        return CP_ERR_INVALID;
    }
    if (find(l, node_id) != NULL) {
        return CP_OK;
    }
    if (l->count == NORM_ACKING_MAX) {
        return CP_ERR_NO_MEMORY;
    }
    l->nodes[l->count] = (struct norm_acker){.node_id = node_id};
    l->count++;
    l->missing++;
    return CP_OK;
}

void norm_acklist_remove(struct norm_acklist *l, uint32_t node_id)
{
    struct norm_acker *a = find(l, node_id);

    if (a == NULL) {
        return;
    }
    if (!a->acked) {
        l->missing--;
    }
    l->count--;
    *a = l->nodes[l->count];
}

bool norm_acklist_ack(struct norm_acklist *l, uint32_t node_id)
{
    struct norm_acker *a = find(l, node_id);

    if (a == NULL || a->acked) {
        return false;
    }
    a->acked = true;
    l->missing--;
    return true;
}

bool norm_acklist_acked(const struct norm_acklist *l, uint32_t node_id)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->nodes[i].node_id == node_id) {
            return l->nodes[i].acked;
        }
    }
    return false;
}

void norm_acklist_restart(struct norm_acklist *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        l->nodes[i].asked = 0;
    }
}

size_t norm_acklist_ask(struct norm_acklist *l, uint8_t robust_factor, uint8_t *buf, size_t cap)
{
    struct cp_writer out;
    unsigned start = l->count == 0 ? 0 : l->next % l->count;

    if (l->count > NORM_ACK_CROWD) {
        return 0;
    }
    cp_writer_init(&out, buf, cap - cap % NODE_ID_SIZE);
    for (unsigned i = 0; i < l->count && cp_writer_left(&out) > 0; i++) {
        unsigned at = (start + i) % l->count;
        struct norm_acker *a = &l->nodes[at];

        /* RFC5740 5.5.3: "Each receiver is queried a maximum number of times
         * (NORM_ROBUST_FACTOR, by default)." */
        if (!a->acked && a->asked < robust_factor) {
            a->asked++;
            cp_write_u32(&out, a->node_id);
            l->next = at + 1;
        }
    }
    return out.at;
}

bool norm_acklist_pending(const struct norm_acklist *l, uint8_t robust_factor)
{
    if (l->missing == 0 || l->count > NORM_ACK_CROWD) {
        return false;
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (!l->nodes[i].acked && l->nodes[i].asked < robust_factor) {
            return true;
        }
    }
    return false;
}
