/* SPDX-License-Identifier: Apache-2.0
 * What a program that holds keys in its memory tells the kernel. */
#ifndef CP_COMMON_PROCESS_H
#define CP_COMMON_PROCESS_H

/* This process leaves no core dump behind, and no other process of its user may read its memory: call
 * it first in main(). Root may look on, so that gdb and perf go on working for root; AddressSanitizer's
 * leak check makes the process dumpable for its own time. */
void cp_process_guard_memory(void);

#endif
