/* SPDX-License-Identifier: Apache-2.0
 * Sender: life, timers and questions. Pure; one thread. */
#include "multicast/norm/sender.h"

#include <stdlib.h>
#include <string.h>

#include "multicast/norm/sender_state.h"

#define PROBE_START     (5 * CP_MSEC) /* first interval */
#define PROBES_START    10u           /* of which the GRTT is not settled yet */
#define UDP_PAYLOAD_MAX 65507u
#define BACKOFF_MAX     15u /* that its field can express */

cp_time norm_sender_packet_time(const struct norm_sender *s)
{
    return norm_rate_time(&s->rate, (size_t)s->data_header + s->part.segment_size);
}

static bool config_valid(const struct norm_sender_config *c)
{
    return c->node_id != NORM_NODE_NONE && c->node_id != NORM_NODE_ANY && c->rate_bps > 0 &&
           c->grtt_min > 0 && c->grtt_min <= c->grtt_max && c->backoff <= BACKOFF_MAX &&
           c->robust_factor > 0 && c->info_size <= c->fti.segment_size &&
           (c->info != NULL || c->info_size == 0);
}

/* RFC5740 5.1: with EXT_FTI "the NORM protocol sender message headers can contain all
 * information necessary to prepare receivers for subsequent reliable reception" */
static void init_data_header(struct norm_sender *s)
{
    s->data = (struct norm_msg){.type = NORM_DATA};
    norm_sender_fill_header(s, &s->data);
    s->data.flags = NORM_FLAG_FILE;
    s->data.ext.has_fti = true;
    s->data.ext.fti = s->config.fti;
    s->data_header = (uint16_t)norm_header_size(&s->data);
}

static enum cp_err init(struct norm_sender *s, const struct norm_sender_config *config, cp_time now)
{
    s->config = *config;
    CP_TRY(norm_partition_init(&s->part, &config->fti, config->fec_id));
    s->gsize = norm_gsize_quantize(config->gsize);
    init_data_header(s);
    if (s->data_header == 0 || s->data_header + (unsigned)s->part.segment_size > UDP_PAYLOAD_MAX) {
        return CP_ERR_INVALID;
    }
    s->info = malloc((size_t)s->part.segment_size);
    s->command = malloc((size_t)s->part.segment_size);
    if (s->info == NULL || s->command == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    if (config->info_size > 0) {
        memcpy(s->info, config->info, config->info_size);
    }
    s->config.info = s->info;
    CP_TRY(norm_repairs_init(&s->repairs, s->part.block_count,
                             (unsigned)s->part.max_block_len + s->part.num_parity));
    CP_TRY(norm_members_init(&s->members, NORM_MEMBERS_MAX));
    norm_sender_rate_init(s, now);
    norm_grtt_init(&s->grtt, config->grtt, config->grtt_min, config->grtt_max,
                   norm_sender_packet_time(s));
    norm_sender_adapt_init(s, now);
    s->told_grtt = s->grtt.advertised;
    s->info_due = true;
    s->head_next = now + config->live_window / (NORM_HEAD_SLOTS - 1) + 1;
    s->probe_at = now;
    s->probe_interval = PROBE_START;
    s->flush_at = CP_TIME_NEVER;
    return CP_OK;
}

enum cp_err norm_sender_new(const struct norm_sender_config *config, cp_time now,
                            struct norm_sender **ret_sender)
{
    struct norm_sender *s;
    enum cp_err err;

    if (!config_valid(config)) {
        return CP_ERR_INVALID;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    err = init(s, config, now);
    if (err != CP_OK) {
        norm_sender_free(s);
        return err;
    }
    *ret_sender = s;
    return CP_OK;
}

void norm_sender_free(struct norm_sender *s)
{
    if (s == NULL) {
        return;
    }
    norm_repairs_done(&s->repairs);
    norm_members_done(&s->members);
    free(s->info);
    free(s->command);
    free(s);
}

const struct norm_partition *norm_sender_partition(const struct norm_sender *s)
{
    return &s->part;
}

/* RFC5740 5.1: "Upon startup, the NORM sender immediately begins sending NORM_CMD(CC) messages".
 * RFC5740 5.5.2.1: "A NORM_CMD(CC) message is immediately transmitted at sender startup." */
static void probe_timer(struct norm_sender *s, cp_time now)
{
    if (s->probe_due || now < s->probe_at || s->state == NORM_SENDER_IDLE || s->withdrawn) {
        return;
    }
    norm_grtt_probe(&s->grtt, norm_sender_packet_time(s), s->cc_sequence < PROBES_START);
    s->probe_due = true;
}

static bool flushed(const struct norm_sender *s, cp_time now)
{
    if (now < s->hold_until || s->flush_count == 0 || s->repairs.bulk.count > 0) {
        return false;
    }
    if (s->ackers.count > 0 && s->ackers.missing == 0) {
        return true;
    }
    return now >= s->flush_at && s->flush_count >= s->config.robust_factor &&
           !norm_acklist_pending(&s->ackers, s->config.robust_factor);
}

static void state_timer(struct norm_sender *s, cp_time now)
{
    norm_sender_bulk_timer(s, now);
    if (s->state == NORM_SENDER_SENDING && norm_sender_data_over(s)) {
        cp_time hold = cp_time_add(now, s->config.hold);

        s->state = NORM_SENDER_FLUSHING;
        s->flush_count = 0;
        s->flush_at = now;
        if (s->config.hold > 0 && s->hold_until < hold) {
            s->hold_until = hold;
            s->config.hold = 0; /* counts from the first end of the data */
        }
    }
    if (s->state == NORM_SENDER_FLUSHING && flushed(s, now)) {
        s->state = NORM_SENDER_IDLE;
        s->flush_at = CP_TIME_NEVER;
    }
}

/* RFC5740 4.2.3.2: EOT "SHOULD be sent with the same robust mechanism as used for
 * NORM_CMD(FLUSH)" */
static void closing_timer(struct norm_sender *s, cp_time now)
{
    if (s->closing > 0 && !s->squelch_due && now >= s->squelch_at) {
        s->closing--;
        s->squelch_due = true;
        s->eot_due = true;
    }
    if (s->closing == 0 && !s->squelch_due && !s->eot_due) {
        s->state = NORM_SENDER_IDLE;
    }
}

void norm_sender_tell(const struct norm_sender *s, const struct norm_trace *decision)
{
    if (s->config.trace != NULL) {
        s->config.trace(s->config.trace_arg, decision);
    }
}

static void tell(const struct norm_sender *s, cp_time now, enum norm_trace_kind kind,
                 uint64_t before, uint64_t after)
{
    const struct norm_trace t = {.at = now, .kind = kind, .before = before, .after = after};

    norm_sender_tell(s, &t);
}

/* Steps of the GRTT below a factor of two are no decision. */
static void tell_changes(struct norm_sender *s, cp_time now)
{
    cp_time grtt = s->grtt.advertised;

    if (s->state != s->told_state) {
        tell(s, now, NORM_TRACE_STATE, s->told_state, s->state);
        s->told_state = s->state;
    }
    if (grtt >= 2 * s->told_grtt || 2 * grtt <= s->told_grtt) {
        tell(s, now, NORM_TRACE_GRTT, s->told_grtt, grtt);
        s->told_grtt = grtt;
    }
}

static void run_timers(struct norm_sender *s, cp_time now)
{
    if (s->withdrawn) {
        closing_timer(s, now);
        return;
    }
    norm_sender_head_tick(s, now);
    if (now >= s->repairs.aggregate_end) {
        norm_sender_activate(s, now);
    }
    norm_sender_adapt(s, now);
    if (s->next_block == s->part.block_count && !norm_sender_has_repair(s)) {
        s->control.busy = false;
    }
    probe_timer(s, now);
    state_timer(s, now);
}

void norm_sender_run_timers(struct norm_sender *s, cp_time now)
{
    run_timers(s, now);
    tell_changes(s, now);
}

void norm_sender_on_timer(struct norm_sender *s, cp_time now)
{
    norm_sender_run_timers(s, now);
}

static cp_time closing_time(const struct norm_sender *s)
{
    if (s->eot_due || s->command_due) {
        return 0;
    }
    return s->closing > 0 || s->squelch_due ? s->squelch_at : CP_TIME_NEVER;
}

cp_time norm_sender_next_time(const struct norm_sender *s)
{
    cp_time t = s->repairs.aggregate_end;

    if (s->withdrawn) {
        return closing_time(s);
    }
    if (s->probe_due || s->command_due || s->info_due || s->repairs.info_pending) {
        return 0;
    }
    if (s->adv_due) {
        t = cp_time_min(t, s->adv_at);
    }
    if (s->squelch_due) {
        t = cp_time_min(t, s->squelch_at);
    }
    if (s->state == NORM_SENDER_SENDING &&
        (s->next_block < s->part.block_count || norm_sender_has_repair(s))) {
        t = cp_time_min(t, s->rate.ready);
    }
    if (s->state == NORM_SENDER_SENDING && norm_sender_data_over(s)) {
        return 0;
    }
    if (s->state == NORM_SENDER_FLUSHING) {
        bool answered = s->flush_count > 0 && s->ackers.count > 0 && s->ackers.missing == 0 &&
                        s->repairs.bulk.count == 0;

        t = cp_time_min(t, answered ? cp_time_min(s->hold_until, s->flush_at) : s->flush_at);
    }
    if (s->state != NORM_SENDER_IDLE) {
        t = cp_time_min(t, s->probe_at);
    }
    t = cp_time_min(t, s->repairs.bulk_runs ? s->repairs.bulk_until : norm_sender_bulk_time(s));
    return norm_sender_defers(s) ? cp_time_min(t, s->deferred_at) : t;
}

void norm_sender_set_rate(struct norm_sender *s, cp_time now, uint64_t rate_bps)
{
    norm_sender_rate_ceiling(s, now, rate_bps); /* what was sent counts at the old rate */
}

/* RFC5740 5.5.4: "the NORM sender group size estimate MAY be administratively configured";
 * RFC5401 3.8: "Group size may also be determined administratively." */
void norm_sender_set_gsize(struct norm_sender *s, uint64_t gsize)
{
    s->config.gsize = gsize;
    s->gsize = norm_gsize_quantize(gsize);
}

void norm_sender_set_backoff(struct norm_sender *s, uint8_t backoff)
{
    CP_ASSERT(backoff <= BACKOFF_MAX);
    s->config.backoff = backoff;
}

/* An idle sender has something to flush for again. */
static void wake(struct norm_sender *s)
{
    if (s->state == NORM_SENDER_IDLE && !s->withdrawn) {
        s->state = NORM_SENDER_SENDING; /* the next timer run finds nothing to send and flushes */
    }
}

void norm_sender_set_hold(struct norm_sender *s, cp_time now, cp_time until)
{
    s->hold_until = until;
    if (now < until) {
        wake(s);
    }
}

enum cp_err norm_sender_add_acker(struct norm_sender *s, uint32_t node_id)
{
    unsigned before = s->ackers.count;

    CP_TRY(norm_acklist_add(&s->ackers, node_id));
    if (s->ackers.count > before) {
        wake(s);
    }
    return CP_OK;
}

void norm_sender_remove_member(struct norm_sender *s, uint32_t node_id)
{
    struct norm_member *m = norm_members_find(&s->members, node_id);
    size_t index;

    norm_acklist_remove(&s->ackers, node_id);
    if (m == NULL) {
        return;
    }
    index = (size_t)(m - s->members.member);
    if (index < s->repairs.bulk_turn) {
        s->repairs.bulk_turn = index; /* another one has this place now */
    }
    norm_members_remove(&s->members, m);
    if (s->config.rate_mode == NORM_RATE_TFMCC) {
        norm_tfmcc_gone(&s->control.tfmcc, &s->members, node_id, s->cc_sequence);
    }
}

bool norm_sender_acked(const struct norm_sender *s, uint32_t node_id)
{
    return norm_acklist_acked(&s->ackers, node_id);
}

void norm_sender_withdraw(struct norm_sender *s, cp_time now)
{
    if (s->withdrawn) {
        return;
    }
    s->withdrawn = true;
    s->closing = s->config.robust_factor;
    s->squelch_at = now;
    s->repairs.aggregate_end = CP_TIME_NEVER;
}

void norm_sender_goodbye(struct norm_sender *s)
{
    s->command_due = false;
    s->squelch_due = false;
    s->eot_due = true;
}

enum cp_err norm_sender_command(struct norm_sender *s, const uint8_t *data, size_t size)
{
    if (size > s->part.segment_size) {
        return CP_ERR_INVALID;
    }
    if (size > 0) {
        memcpy(s->command, data, size);
    }
    s->command_size = size;
    s->command_due = true;
    return CP_OK;
}

const struct norm_member *norm_sender_member(const struct norm_sender *s, size_t index)
{
    return index < s->members.count ? &s->members.member[index] : NULL;
}

void norm_sender_get_stats(const struct norm_sender *s, struct norm_sender_stats *ret_stats)
{
    *ret_stats = s->stats;
    ret_stats->state = s->state;
    ret_stats->next_block = s->next_block;
    ret_stats->pending_blocks =
        s->repairs.pending.count + s->repairs.asked.count + s->repairs.bulk.count;
    ret_stats->grtt = s->grtt.advertised;
    ret_stats->rate_bps = s->rate.bps;
    ret_stats->rate_ceiling_bps = s->config.rate_bps;
    ret_stats->rate_reason = s->control.reason;
    ret_stats->pace_setter = s->control.setter;
    ret_stats->acks_missing = s->ackers.missing;
    ret_stats->auto_parity = s->protection.now;
}
