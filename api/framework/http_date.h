/* SPDX-License-Identifier: Apache-2.0
 * HTTP dates (RFC 9110 5.6.7), seconds since 1970 UTC. Pure. */
#ifndef API_FRAMEWORK_HTTP_DATE_H
#define API_FRAMEWORK_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#define API_HTTP_DATE_SIZE 32

/* "Sun, 06 Nov 1994 08:49:37 GMT"; "" for a time that no calendar has. */
void api_http_date(int64_t seconds, char ret_text[API_HTTP_DATE_SIZE]);

/* All three forms that RFC 9110 wants understood. False: none of them. */
bool api_http_date_parse(const char *text, int64_t *ret_seconds);

#endif
