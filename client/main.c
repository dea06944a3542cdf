/* SPDX-License-Identifier: Apache-2.0
 * castget: composition root. Signals, log, exit status; everything else is in cl_run(). */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"
#include "client/run.h"
#include "common/err.h"
#include "common/log.h"
#include "common/process.h"

static atomic_bool stop_requested; /* lock-free: a handler may set it */

static void on_signal(int signal)
{
    (void)signal;
    atomic_store(&stop_requested, true);
}

/* The first signal ends the run in order, the second one at once. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(SIGHUP, &action, NULL); /* under nohup it stays ignored */
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Where log lines go: the file, standard error when only a format was given, else nowhere. */
static enum cp_err open_log(const struct cl_options *o, struct cp_error *err)
{
    int fd = STDERR_FILENO;

    if (o->log_file != NULL) {
        fd = open(o->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    } else if (!o->log_format_given) {
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        return cp_error_set(err, CP_ERR_USAGE, "--log-file '%s' cannot be written",
                            o->log_file == NULL ? "/dev/null" : o->log_file);
    }
    cp_log_init("castget", o->log_format, CP_LOG_INFO, fd);
    return CP_OK;
}

/* Length of a sentence without the full stop at its end. */
static int without_stop(const char *s)
{
    size_t size = strlen(s);

    while (size > 0 && (s[size - 1] == '.' || s[size - 1] == ' ')) {
        size--;
    }
    return (int)size;
}

/* One line: what is wrong and what to do. Text that came over the network gives no control
 * characters to the terminal. */
static void print_error(const struct cp_error *err)
{
    const struct cp_err_info *info = cp_err_info(err->code);
    char line[2048];

    if (err->text[0] == '\0') {
        (void)snprintf(line, sizeof line, "castget: %s: %s %s", info->code, info->title,
                       info->remedy);
    } else {
        (void)snprintf(line, sizeof line, "castget: %s: %.*s: %.*s. %s", info->code,
                       without_stop(info->title), info->title, without_stop(err->text), err->text,
                       info->remedy);
    }
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
    (void)fprintf(stderr, "%s\n", line);
}

int main(int argc, char *argv[])
{
    struct cl_options options = {.log_format = CP_LOG_TEXT};
    struct cp_error err = {.code = CP_OK};
    enum cp_err code;

    cp_process_guard_memory();
    code = cl_options_parse(argc, argv, &options, &err);
    if (code == CP_OK && options.help) {
        (void)fputs(cl_options_help(), stdout);
        return 0;
    }
    if (code == CP_OK && options.show_version) {
        (void)puts("castget " CASTPOINT_VERSION);
        return 0;
    }
    if (code == CP_OK) {
        code = open_log(&options, &err);
    }
    if (code == CP_OK) {
        catch_signals();
        code = cl_run(&options, &stop_requested, &err);
    }
    if (code == CP_OK) {
        return 0;
    }
    err.code = code;
    if (options.log_file != NULL || options.log_format_given) {
        cp_log_error(CP_LOG_ERROR, "failed", &err);
    }
    print_error(&err);
    return cp_err_info(code)->exit_status;
}
