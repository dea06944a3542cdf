/* SPDX-License-Identifier: Apache-2.0
 * The one decision who may have a version's content, used by join, manifest, files and content.
 * Pure. */
#ifndef API_ACCESS_ACCESS_H
#define API_ACCESS_ACCESS_H

#include "api/api.h"
#include "db/settings.h"

/* package: its override; node: the distribution point's setting (inherit counts as authenticated:
 * denied unless a rule allows it). version_id: the version asked for, compared with that of a
 * receiver token's join. CP_OK, CP_ERR_AUTH_REQUIRED for nobody and for a receiver
 * token of a join without credentials, CP_ERR_ACCESS_DENIED for one of another version. */
CP_MUST_CHECK enum cp_err api_access_decide(enum db_access package, enum db_access node,
                                            const struct api_principal *who, const char *version_id,
                                            struct cp_error *err);

#endif
