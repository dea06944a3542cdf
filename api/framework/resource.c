/* SPDX-License-Identifier: Apache-2.0
 * Helpers of the resources. Touches the database; thread-safe. */
#include "api/framework/resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

json_t *api_json_time(uint64_t wall_ns)
{
    char text[CP_RFC3339_SIZE];

    if (wall_ns == 0) {
        return json_null();
    }
    cp_clock_rfc3339(wall_ns, text);
    return json_string(text);
}

json_t *api_json_text(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

enum cp_err api_node_find(struct db_conn *conn, const struct api_context *ctx, const char *ref,
                          struct db_node *ret_node, struct cp_error *err)
{
    enum cp_err code =
        db_node_get(conn, strcmp(ref, "local") == 0 ? ctx->node_id : ref, ret_node, err);

    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, code,
                            "There is no distribution point '%.100s': give a name or id of 'GET "
                            "/api/v1/distribution-points', or 'local'.",
                            ref);
    }
    return code;
}

enum cp_err api_version_find(struct db_conn *conn, const char *package, const char *text,
                             struct db_version *ret_version, struct cp_error *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long number = 0;

    if (strcmp(text, "current") != 0) {
        if (digits == 0 || digits > 9 || text[digits] != '\0' ||
            (number = strtoul(text, NULL, 10)) == 0) {
            return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND,
                                "'%.60s' is not a version of package '%.64s': give a number from "
                                "1, or 'current'.",
                                text, package);
        }
    }
    return db_version_get(conn, package, (uint32_t)number, ret_version, err);
}

enum cp_err api_session_find(struct db_conn *conn, const char *id, struct db_session *ret_session,
                             struct cp_error *err)
{
    enum cp_err rc = CP_ERR_NOT_FOUND;

    if (db_is_uuid(id)) {
        rc = db_session_get(conn, id, ret_session, err);
    }
    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, rc,
                            "There is no session '%.60s': 'GET /api/v1/sessions' lists "
                            "them.",
                            id);
    }
    return rc;
}
