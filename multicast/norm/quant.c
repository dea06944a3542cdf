/* SPDX-License-Identifier: Apache-2.0
 * Quantisers of header fields: round-trip time (RFC 5401 section 3.7.4), group size, rate and loss
 * (RFC 5740 sections 4.2.1, 4.2.3.4 and 4.2.3.5). Pure. */
#include <math.h>

#include "multicast/norm/wire.h"

#define RTT_MIN_NS     1000.0            /* 1 µs */
#define RTT_MAX_NS     1000000000000.0   /* 1000 s */
#define RTT_LINEAR_NS  (33 * RTT_MIN_NS) /* below: steps of 1 µs; above: logarithmic */
#define RTT_LINEAR_MAX 31u               /* greatest value of the linear part that is decoded */
#define RTT_STEPS      13.0              /* steps per factor of e */

#define RATE_MANTISSA_MAX 4095u
#define RATE_EXPONENT_MAX 15u
#define RATE_SCALE        409.6 /* RFC5740 4.2.3.4: 4096 stands for a mantissa of 10.0 */

#define LOSS_SCALE 65535.0

uint8_t norm_rtt_quantize(uint64_t rtt_ns)
{
    double rtt = (double)rtt_ns;

    rtt = rtt > RTT_MAX_NS ? RTT_MAX_NS : rtt;
    rtt = rtt < RTT_MIN_NS ? RTT_MIN_NS : rtt;
    if (rtt < RTT_LINEAR_NS) {
        return (uint8_t)((uint64_t)(rtt / RTT_MIN_NS) - 1);
    }
    return (uint8_t)ceil(UINT8_MAX - RTT_STEPS * log(RTT_MAX_NS / rtt));
}

uint64_t norm_rtt_unquantize(uint8_t q)
{
    if (q <= RTT_LINEAR_MAX) {
        return (q + 1u) * (uint64_t)RTT_MIN_NS;
    }
    return (uint64_t)(RTT_MAX_NS / exp((UINT8_MAX - q) / RTT_STEPS));
}

uint64_t norm_gsize_unquantize(uint8_t q)
{
    uint64_t size = (q & 0x08u) != 0 ? 5 : 1;

    for (unsigned i = 0; i <= (q & 0x07u); i++) {
        size *= 10;
    }
    return size;
}

uint8_t norm_gsize_quantize(uint64_t gsize)
{
    for (uint8_t exponent = 0; exponent < 8; exponent++) {
        if (gsize <= norm_gsize_unquantize(exponent)) {
            return exponent;
        }
        if (gsize <= norm_gsize_unquantize(exponent | 0x08u)) {
            return exponent | 0x08u;
        }
    }
    return 0x0f;
}

uint16_t norm_rate_quantize(double bytes_per_second)
{
    double mantissa = bytes_per_second;
    unsigned exponent = 0;
    unsigned scaled;

    if (!(bytes_per_second > 0)) {
        return 0;
    }
    while (mantissa >= 10 && exponent < RATE_EXPONENT_MAX) {
        mantissa /= 10;
        exponent++;
    }
    /* From 9.99878 on the formula gives 4096, which the field's 12 bits would turn into 0. */
    if (mantissa * RATE_SCALE + 0.5 >= RATE_MANTISSA_MAX) {
        scaled = RATE_MANTISSA_MAX;
    } else {
        scaled = (unsigned)(mantissa * RATE_SCALE + 0.5);
    }
    return (uint16_t)(scaled << 4 | exponent);
}

double norm_rate_unquantize(uint16_t q)
{
    double rate = (double)(q >> 4) / RATE_SCALE;

    for (unsigned i = 0; i < (q & 0x0fu); i++) {
        rate *= 10;
    }
    return rate;
}

uint16_t norm_loss_quantize(double fraction)
{
    if (!(fraction > 0)) {
        return 0;
    }
    return fraction >= 1 ? UINT16_MAX : (uint16_t)(fraction * LOSS_SCALE);
}

double norm_loss_unquantize(uint16_t q)
{
    return q / LOSS_SCALE;
}
