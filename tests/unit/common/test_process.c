/* SPDX-License-Identifier: Apache-2.0
 * A guarded process: no core dump, closed to others of its user, and still able to do what castpoint
 * does by /proc/self. Each case is a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"

#define NOBODY 65534

/* As a service does it: not as root. */
static void become_nobody(void)
{
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) {
        _exit(9);
    }
}

static int run(int (*body)(void), int *ret_status)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        become_nobody();
        (void)prctl(PR_SET_DUMPABLE, 1L); /* as after a start of the program */
        cp_process_guard_memory();
        _exit(body());
    }
    *ret_status = 0;
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    return WIFEXITED(*ret_status) ? WEXITSTATUS(*ret_status) : -1;
}

static int is_guarded(void)
{
    struct rlimit limit;

    if (prctl(PR_GET_DUMPABLE) != 0) {
        return 1;
    }
    return getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0 || limit.rlim_max != 0 ? 2
                                                                                             : 0;
}

static void test_guarded(void **state)
{
    int status;

    (void)state;
    assert_int_equal(run(is_guarded, &status), 0);
}

static int die(void)
{
    if (chdir("/tmp") != 0) {
        return 1;
    }
    abort();
}

static void test_no_core(void **state)
{
    int status;

    (void)state;
    (void)run(die, &status);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
}

/* Another process of the same user. */
static int is_closed_to_others(void)
{
    char path[64];
    int status = 1;
    pid_t pid;

    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)getpid());
    pid = fork();
    if (pid == 0) {
        _exit(open(path, O_RDONLY) < 0 ? 0 : 3);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

static void test_closed(void **state)
{
    int status;

    (void)state;
    assert_int_equal(run(is_closed_to_others, &status), 0);
}

/* A file that gets its name when it is whole, and the list of interfaces. */
static int works(void)
{
    char from[64], to[64];
    int file = open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (file < 0) {
        return 1;
    }
    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", file);
    (void)snprintf(to, sizeof to, "/tmp/castpoint-guarded.%d", (int)getpid());
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0) {
        return 2;
    }
    if (unlink(to) != 0) {
        return 3;
    }
    return open("/proc/self/net/dev", O_RDONLY) < 0 ? 4 : 0;
}

static void test_works(void **state)
{
    int status;

    (void)state;
    assert_int_equal(run(works, &status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_no_core),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_works),
    };

    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
