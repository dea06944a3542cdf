/* SPDX-License-Identifier: Apache-2.0
 * A stand-in for api/events/stream.h: feeds that the test speaks into. */
#ifndef TESTS_UNIT_SERVER_FAKE_FEED_H
#define TESTS_UNIT_SERVER_FAKE_FEED_H

#include <stddef.h>

struct api_feed;

/* Says "hello\n" at first. NULL: too many. */
struct api_feed *fake_feed_open(void);
/* After a stop: feeds do not end at once any more. */
void fake_feed_reset(void);
/* To all that are open. */
void fake_feed_say(const char *text);
/* Waits until so many are open and so many of them have nothing to read. */
void fake_feed_await(size_t open, size_t parked);

#endif
