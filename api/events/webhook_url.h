/* SPDX-License-Identifier: Apache-2.0
 * Where a webhook may point to. Pure. */
#ifndef API_EVENTS_WEBHOOK_URL_H
#define API_EVENTS_WEBHOOK_URL_H

#include <stdbool.h>

/* NULL: it may. Else what is wrong, as the rest of a sentence that begins with the field's name:
 * not http(s), no host, a user or a fragment in it, characters that do not belong there, or plain
 * HTTP to another machine without allow_http. What a name means is looked at when it is used
 * (jobs/webhook_http.h). */
const char *api_webhook_url_wrong(const char *url, bool allow_http);

#endif
