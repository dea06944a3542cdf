/* SPDX-License-Identifier: Apache-2.0
 * HTTP dates by the C library, whose names of days and months are English: nothing sets a locale. */
#include "api/framework/http_date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void api_http_date(int64_t seconds, char ret_text[API_HTTP_DATE_SIZE])
{
    time_t at = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&at, &tm) == NULL ||
        strftime(ret_text, API_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0) {
        ret_text[0] = '\0';
    }
}

bool api_http_date_parse(const char *text, int64_t *ret_seconds)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
        "%a, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
        "%a %b %d %H:%M:%S %Y",      /* asctime */
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm;
        const char *end;

        memset(&tm, 0, sizeof tm);
        end = strptime(text, forms[i], &tm);
        if (end != NULL && *end == '\0') {
            *ret_seconds = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}
