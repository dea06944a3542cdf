/* SPDX-License-Identifier: Apache-2.0
 * The test functions of test_seal, by file; what they share. */
#ifndef TESTS_UNIT_SEAL_SEAL_TESTS_H
#define TESTS_UNIT_SEAL_SEAL_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Bytes 0, 1 … 31: the session secret of the fixed vectors in docs/protocol.md. */
extern const uint8_t test_secret[32];

/* test_hmac.c */
void hmac_vectors_of_rfc_4231(void **state);
void hkdf_vectors_of_rfc_5869(void **state);
void sha256_vector(void **state);

/* test_cipher.c */
void content_keys_are_fixed(void **state);
void key_stream_is_fixed(void **state);
void key_stream_is_that_of_nist(void **state);
void random_access_equals_sequential(void **state);
void cipher_refuses_an_offset_beyond_2_64(void **state);

/* test_gmac.c */
void gmac_vectors_of_nist(void **state);
void gmac_is_that_of_evp(void **state);
void gmac_without_a_key_gives_no_tag(void **state);

/* test_auth.c: group set-ups that choose the MAC */
int use_hmac(void **state);
int use_gmac(void **state);
void packet_keys_are_fixed(void **state);
void signed_packet_is_fixed(void **state);
void every_bit_counts(void **state);
void wrong_identity_is_forged(void **state);
void replayed_packets_are_told(void **state);
void forged_packets_do_not_move_the_window(void **state);
void bad_form_is_told(void **state);
void sequence_number_never_wraps(void **state);
void least_recently_used_source_goes_first(void **state);
void verifier_keeps_many_sources(void **state);
void without_memory_it_says_so(void **state);
void many_sources_share_the_contexts(void **state);
void a_key_that_failed_is_set_again(void **state);
void one_mac_is_not_the_other(void **state);
void signer_goes_on_behind_another(void **state);
void replay_window_edges(void **state);
void replay_window_against_a_model(void **state);

#endif
