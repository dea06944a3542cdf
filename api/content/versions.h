/* SPDX-License-Identifier: Apache-2.0
 * A version as JSON, for versions.c and seal.c. Pure. */
#ifndef API_CONTENT_VERSIONS_H
#define API_CONTENT_VERSIONS_H

#include <jansson.h>

#include "db/version.h"

json_t *api_version_json(const struct db_version *v);

#endif
