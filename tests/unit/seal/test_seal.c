/* SPDX-License-Identifier: Apache-2.0
 * Runs the tests of multicast/seal. */
#include "tests/unit/seal/seal_tests.h"

const uint8_t test_secret[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_vectors_of_rfc_4231),
        cmocka_unit_test(hkdf_vectors_of_rfc_5869),
        cmocka_unit_test(sha256_vector),
        cmocka_unit_test(content_keys_are_fixed),
        cmocka_unit_test(key_stream_is_fixed),
        cmocka_unit_test(key_stream_is_that_of_nist),
        cmocka_unit_test(random_access_equals_sequential),
        cmocka_unit_test(cipher_refuses_an_offset_beyond_2_64),
        cmocka_unit_test(gmac_vectors_of_nist),
        cmocka_unit_test(gmac_is_that_of_evp),
        cmocka_unit_test(gmac_without_a_key_gives_no_tag),
        cmocka_unit_test(packet_keys_are_fixed),
        cmocka_unit_test(replay_window_edges),
        cmocka_unit_test(replay_window_against_a_model),
    };
    const struct CMUnitTest with_each_mac[] = {
        cmocka_unit_test(signed_packet_is_fixed),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(wrong_identity_is_forged),
        cmocka_unit_test(replayed_packets_are_told),
        cmocka_unit_test(forged_packets_do_not_move_the_window),
        cmocka_unit_test(bad_form_is_told),
        cmocka_unit_test(sequence_number_never_wraps),
        cmocka_unit_test(least_recently_used_source_goes_first),
        cmocka_unit_test(verifier_keeps_many_sources),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(many_sources_share_the_contexts),
        cmocka_unit_test(a_key_that_failed_is_set_again),
        cmocka_unit_test(one_mac_is_not_the_other),
        cmocka_unit_test(signer_goes_on_behind_another),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    failed += cmocka_run_group_tests_name("hmac", with_each_mac, use_hmac, NULL);
    failed += cmocka_run_group_tests_name("gmac", with_each_mac, use_gmac, NULL);
    return failed;
}
