/* SPDX-License-Identifier: Apache-2.0
 * Prints docs/errors.md from the catalogue in common/err_catalogue.h. */
#include <stdio.h>

#include "common/err.h"

int main(void)
{
    (void)puts(
        "# Errors\n\n"
        "Generated from common/err_catalogue.h (build the target `errors_doc` and run it); a test "
        "compares.\nThe code stands in problem+json answers, in castget's message and in the "
        "logs. HRESULT is the\nnumber that ConfigMgr or WDS show for the like.");
    for (size_t i = 1; cp_err_info_at(i) != NULL; i++) {
        const struct cp_err_info *e = cp_err_info_at(i);

        (void)printf("\n## %s\n\n%s HTTP status %d, castget exit status %d", e->code, e->title,
                     e->http_status, e->exit_status);
        if (e->hresult != 0) {
            (void)printf(", HRESULT 0x%08X", (unsigned)e->hresult);
        }
        (void)printf(".\n\n- Cause: %s\n- Remedy: %s\n", e->cause, e->remedy);
    }
    return 0;
}
