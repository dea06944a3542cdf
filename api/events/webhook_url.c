/* SPDX-License-Identifier: Apache-2.0
 * Where a webhook may point to. Pure. */
#include "api/events/webhook_url.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool is_loopback(const char *host, size_t size)
{
    return (size == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (size == 5 && strncmp(host, "[::1]", 5) == 0) ||
           (size > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= size);
}

static bool all_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~' || strchr("\"<>\\^`{|}", *text) != NULL) {
            return false;
        }
    }
    return true;
}

const char *api_webhook_url_wrong(const char *url, bool allow_http)
{
    bool https = strncasecmp(url, "https://", 8) == 0;
    const char *host = url + (https ? 8 : 7);
    size_t authority;
    size_t size;

    if (!https && strncasecmp(url, "http://", 7) != 0) {
        return "must begin with 'https://'";
    }
    if (!all_visible(url)) {
        return "must be of visible ASCII characters; encode others by %";
    }
    authority = strcspn(host, "/?#");
    size = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (size == 0 || size > authority) {
        return "must name a host";
    }
    if (memchr(host, '@', authority) != NULL || strchr(host, '#') != NULL) {
        return "must have no user, password or fragment";
    }
    if (!https && !allow_http && !is_loopback(host, size)) {
        return "must begin with 'https://': by plain HTTP everybody on the way could read it; set "
               "'allow_http' if that is meant";
    }
    return NULL;
}
