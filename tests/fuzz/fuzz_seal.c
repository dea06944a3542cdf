/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of packet authentication: packets of several signers, damaged, replayed, delayed or
 * misattributed. Exactly the untouched ones are good, each of them once. */
#include <stdlib.h>
#include <string.h>

#include "multicast/seal/seal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

#define SIGNERS    4u
#define KEPT       8u
#define PACKET_MAX 96u

struct sealed {
    uint8_t data[PACKET_MAX];
    size_t size, auth_offset;
    uint32_t source_id;
    bool seen;
};

static const uint8_t secret[SEAL_SECRET_SIZE] = {1, 2, 3};

static enum seal_verdict verify(struct seal_verifier *v, const struct sealed *p, uint32_t source_id)
{
    uint8_t *exact = malloc(p->size > 0 ? p->size : 1);
    enum seal_verdict verdict;

    CP_ASSERT(exact != NULL);
    memcpy(exact, p->data, p->size);
    verdict = seal_verify(v, source_id, 7, SEAL_FROM_RECEIVER, exact, p->size, p->auth_offset);
    free(exact);
    return verdict;
}

static void make(struct script *s, struct seal_signer *signer, uint32_t source_id,
                 struct sealed *ret_packet)
{
    struct sealed p = {.source_id = source_id};

    p.size = SEAL_AUTH_SIZE + script_u8(s) % (PACKET_MAX - SEAL_AUTH_SIZE + 1);
    p.auth_offset = script_u8(s) % (p.size - SEAL_AUTH_SIZE + 1);
    memset(p.data, script_u8(s), p.size);
    CP_ASSERT(seal_sign(signer, p.data, p.size, p.auth_offset) == CP_OK);
    *ret_packet = p;
}

/* Another packet than the one that was signed: never good. */
static void forge(struct script *s, struct seal_verifier *v, const struct sealed *genuine)
{
    struct sealed p = *genuine;
    uint8_t how = script_u8(s);

    switch (how % 4) {
    case 0:
        p.data[script_u8(s) % p.size] ^= (uint8_t)(1u << how / 32);
        CP_ASSERT(verify(v, &p, p.source_id) != SEAL_GOOD);
        break;
    case 1: /* cut */
        p.size -= 1u + script_u8(s) % p.size;
        CP_ASSERT(verify(v, &p, p.source_id) != SEAL_GOOD);
        break;
    case 2: /* another's name */
        CP_ASSERT(verify(v, &p, p.source_id + 1 + how / 4) != SEAL_GOOD);
        break;
    default: /* somewhere else */
        p.auth_offset = script_u16(s);
        CP_ASSERT(p.auth_offset == genuine->auth_offset || verify(v, &p, p.source_id) != SEAL_GOOD);
        break;
    }
}

static void play(struct script *s, struct seal_verifier *v, struct seal_signer *const *signer)
{
    struct sealed kept[KEPT] = {{.size = 0}};

    while (!script_over(s)) {
        uint8_t op = script_u8(s);
        struct sealed *p = &kept[op / 4 % KEPT];

        if (op % 4 == 0 || p->size == 0) {
            make(s, signer[op / 32 % SIGNERS], op / 32u % SIGNERS + 1, p);
        } else if (op % 4 == 1) {
            enum seal_verdict verdict = verify(v, p, p->source_id);

            /* The window holds all that are kept: what is new is good, once. */
            CP_ASSERT(verdict == (p->seen ? SEAL_REPLAYED : SEAL_GOOD));
            p->seen = true;
        } else if (op % 4 == 2) {
            forge(s, v, p);
        } else { /* anything at all */
            struct sealed random = {.size = script_u8(s) % PACKET_MAX};

            for (size_t i = 0; i < random.size; i++) {
                random.data[i] = script_u8(s);
            }
            random.auth_offset = script_u8(s);
            CP_ASSERT(verify(v, &random, 1) != SEAL_GOOD);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {.data = data, .size = size};
    struct seal_signer *signer[SIGNERS];
    struct seal_verifier *v;
    const enum seal_mac mac = script_u8(&s) % 2 == 0 ? SEAL_HMAC_SHA256 : SEAL_AES256_GMAC;

    CP_ASSERT(seal_verifier_new(mac, secret, SIGNERS, &v) == CP_OK);
    for (uint32_t i = 0; i < SIGNERS; i++) {
        CP_ASSERT(seal_signer_new(mac, secret, i + 1, 7, SEAL_FROM_RECEIVER, &signer[i]) == CP_OK);
    }
    play(&s, v, signer);
    for (size_t i = 0; i < SIGNERS; i++) {
        seal_signer_free(signer[i]);
    }
    seal_verifier_free(v);
    return 0;
}
