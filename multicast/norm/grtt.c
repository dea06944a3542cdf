/* SPDX-License-Identifier: Apache-2.0
 * The sender's estimate of the group's greatest round-trip time. Pure. */
#include "multicast/norm/grtt.h"

#include "multicast/norm/wire.h"

static cp_time clamp(const struct norm_grtt *g, cp_time t)
{
    if (t < g->min) {
        return g->min;
    }
    return t > g->max ? g->max : t;
}

/* RFC5740 5.5.1: "The advertised GRTT is also limited to a minimum of the nominal inter-packet
 * transmission time given the sender's current transmission rate" */
static void advertise(struct norm_grtt *g, cp_time packet_time)
{
    cp_time t = g->value > packet_time ? g->value : packet_time;

    g->quantized = norm_rtt_quantize(t);
    g->advertised = norm_rtt_unquantize(g->quantized);
}

void norm_grtt_init(struct norm_grtt *g, cp_time start, cp_time min, cp_time max,
                    cp_time packet_time)
{
    *g = (struct norm_grtt){.min = min, .max = max};
    g->value = clamp(g, start);
    advertise(g, packet_time);
}

void norm_grtt_sample(struct norm_grtt *g, cp_time rtt, cp_time packet_time)
{
    cp_time t = clamp(g, rtt);

    if (t > g->peak) {
        g->peak = t;
    }
    /* RFC5401 3.7.1: "If a receiver's response round-trip time ("RTT_rcvr") is greater than the
     * current "GRTT" estimate, the "GRTT" is immediately updated to this new peak value" */
    if (t > g->value) {
        g->value = t;
        advertise(g, packet_time);
    }
}

void norm_grtt_probe(struct norm_grtt *g, cp_time packet_time, bool starting)
{
    /* RFC5401 3.7.1: "If no feedback is received, the sender "GRTT" estimate remains unchanged." */
    if (g->peak != 0 && g->peak < g->value) {
        /* RFC5401 3.7.1: "GRTT = MAX(0.9*GRTT, RTT_peak)" */
        cp_time less = starting ? g->value / 2 : g->value / 10 * 9;

        g->value = clamp(g, less > g->peak ? less : g->peak);
    }
    g->peak = 0;
    advertise(g, packet_time);
}
