/* SPDX-License-Identifier: Apache-2.0
 * Deletions and their dry run. Touches the database; thread-safe. */
#include "api/content/removal.h"

#include "api/framework/fields.h"
#include "api/framework/respond.h"

bool api_removal_read(const struct api_call *call, struct api_removal *ret_removal,
                      struct api_response *ret_response)
{
    struct api_fields f;

    *ret_removal = (struct api_removal){.dry_run = false};
    api_fields_query(&f, call);
    (void)api_field_bool(&f, "dry_run", API_OPTIONAL, &ret_removal->dry_run);
    if (!api_fields_ok(&f)) {
        *ret_response = api_fields_refuse(&f, call);
        return false;
    }
    api_fields_done(&f);
    return true;
}

enum cp_err api_removal_look(struct db_conn *conn, struct api_removal *removal,
                             const char *package_id, const char *version_id, struct cp_error *err)
{
    removal->held_back = false;
    CP_TRY(db_live_list(conn, package_id, version_id, API_REMOVAL_SHOWN, removal->live,
                        &removal->live_count, err));
    return removal->dry_run
               ? db_package_measure(conn, package_id, version_id, &removal->extent, err)
               : CP_OK;
}

enum cp_err api_removal_end(struct api_removal *removal)
{
    removal->held_back = removal->dry_run;
    return removal->dry_run ? CP_ERR_CANCELLED : CP_OK;
}

static json_t *in_the_way(const struct api_removal *removal)
{
    json_t *errors = json_array();

    for (size_t i = 0; i < removal->live_count; i++) {
        (void)json_array_append_new(errors,
                                    json_pack("{s:s, s:s, s:s}", "field", "session", "value",
                                              removal->live[i].id, "message",
                                              "has not ended: cancel it ('POST "
                                              "/api/v1/sessions/{session}/cancel') or wait"));
    }
    return errors;
}

struct api_response api_removal_respond(const struct api_call *call,
                                        const struct api_removal *removal,
                                        const struct cp_error *err)
{
    const struct db_package_extent *e = &removal->extent;

    if (err->code == CP_OK) {
        return api_response_empty(204);
    }
    if (removal->held_back) {
        return api_response_json(200, json_pack("{s:b, s:I, s:I, s:I, s:I}", "dry_run", 1,
                                                "versions", (json_int_t)e->versions, "files",
                                                (json_int_t)e->files, "bytes", (json_int_t)e->bytes,
                                                "sessions", (json_int_t)e->sessions));
    }
    if (err->code == CP_ERR_CONFLICT && removal->live_count > 0) {
        return api_problem_fields(call->rq, err, in_the_way(removal));
    }
    return api_refuse(call, err);
}
