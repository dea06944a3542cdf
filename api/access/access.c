/* SPDX-License-Identifier: Apache-2.0
 * Who may have content. Pure. */
#include "api/access/access.h"

#include <string.h>

#include "api/access/auth.h"

enum cp_err api_access_decide(enum db_access package, enum db_access node,
                              const struct api_principal *who, const char *version_id,
                              struct cp_error *err)
{
    enum db_access access = package != DB_ACCESS_INHERIT ? package : node;

    if (access == DB_ACCESS_ANONYMOUS || who->role >= API_ROLE_CONTENT) {
        return CP_OK;
    }
    if (who->receiver_id[0] == '\0') {
        return cp_error_set(err, CP_ERR_AUTH_REQUIRED,
                            "Content access is 'authenticated' and the request carried no "
                            "credentials: send %s.",
                            who->ways != NULL ? who->ways : API_WAYS_ALWAYS);
    }
    if (who->account_id[0] == '\0') {
        return cp_error_set(err, CP_ERR_AUTH_REQUIRED,
                            "Content access is 'authenticated' since this receiver joined without "
                            "credentials: join again with %s.",
                            who->ways != NULL ? who->ways : API_WAYS_ALWAYS);
    }
    if (strcmp(who->receiver_version_id, version_id) != 0) {
        return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                            "The receiver token belongs to a join to another version: join this "
                            "one, or use an account's token.");
    }
    return CP_OK;
}
