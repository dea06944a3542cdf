/* SPDX-License-Identifier: Apache-2.0
 * A name with several addresses, for the tests of webhooks: a program that links hook_names.c looks
 * it up here, and all other names as usual. */
#ifndef TESTS_API_HOOK_NAMES_H
#define TESTS_API_HOOK_NAMES_H

/* Its addresses, in this order: 240.0.0.1, 127.0.0.1. */
#define HOOK_NAME "two-addresses.test"

#endif
