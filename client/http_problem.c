/* SPDX-License-Identifier: Apache-2.0
 * What a refusal means: problem+json (RFC 9457) of castpoint, or a bare status. Pure. */
#include <string.h>

#include <jansson.h>

#include "client/http.h"

/* A status that came without castpoint's problem: a proxy, or another service. */
static enum cp_err bare_status(long status, bool with_credentials)
{
    switch (status) {
    case 401:
        return with_credentials ? CP_ERR_AUTH_FAILED : CP_ERR_AUTH_REQUIRED;
    case 403:
        return CP_ERR_ACCESS_DENIED;
    case 429:
        return CP_ERR_TOO_MANY_REQUESTS;
    case 502:
    case 503:
    case 504:
        return CP_ERR_UNAVAILABLE;
    default:
        return CP_ERR_PROTOCOL;
    }
}

static const char *text_of(const json_t *problem, const char *key)
{
    const char *s = json_string_value(json_object_get(problem, key));

    return s == NULL ? "" : s;
}

enum cp_err cl_http_problem(long status, const char *body, size_t size, bool with_credentials,
                            struct cp_error *err)
{
    json_t *problem = size == 0 ? NULL : json_loadb(body, size, 0, NULL);
    const char *name = text_of(problem, "code");
    const char *detail = text_of(problem, "detail");
    enum cp_err code = name[0] == '\0' ? CP_OK : cp_err_from_code(name);

    detail = detail[0] == '\0' ? text_of(problem, "title") : detail;
    if (code != CP_OK) {
        (void)cp_error_set(err, code, "%.400s", detail);
    } else if (name[0] != '\0') {
        /* A newer service knows failures that this castget does not: its own words are passed on. */
        code = cp_error_set(err, bare_status(status, with_credentials), "%.200s (%.60s) %.200s",
                            detail, name, text_of(problem, "remedy"));
    } else {
        code = cp_error_set(err, bare_status(status, with_credentials),
                            "the service answered with HTTP status %ld", status);
    }
    json_decref(problem);
    return code;
}

bool cl_http_is_passing(enum cp_err code)
{
    switch (code) {
    case CP_ERR_UNAVAILABLE:
    case CP_ERR_DATABASE:
    case CP_ERR_DATABASE_LOGIN:
    case CP_ERR_DATABASE_MISSING:
    case CP_ERR_DB_RETRY:
    case CP_ERR_TOO_MANY_REQUESTS:
    case CP_ERR_SERVICE_UNREACHABLE:
    case CP_ERR_NETWORK:
        return true;
    default:
        return false;
    }
}
