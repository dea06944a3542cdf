/* SPDX-License-Identifier: Apache-2.0
 * Core dumps, off in both ways: a core_pattern that is a pipe gets one whatever the limit says, and a
 * limit is what people look at. Failures change nothing that the program needs. */
#include "common/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void cp_process_guard_memory(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0L);
}
