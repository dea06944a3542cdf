/* SPDX-License-Identifier: Apache-2.0
 * Tests of client/options and client/credentials: what is understood, what is refused and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/credentials.h"
#include "client/options.h"

#define IDENTITY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PIN      "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* Parses a line of words. */
static enum cp_err parse(const char *line, struct cl_options *o, struct cp_error *err)
{
    static char copy[1024];
    char *argv[32] = {NULL};
    int argc = 0;

    (void)snprintf(copy, sizeof copy, "castget %s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    return cl_options_parse(argc, argv, o, err);
}

static void plain_call(void **state)
{
    struct cl_options o;

    (void)state;
    assert_int_equal(parse("https://dp.example win11 -o /images/", &o, NULL), CP_OK);
    assert_string_equal(o.base_url, "https://dp.example:8443");
    assert_string_equal(o.package, "win11");
    assert_int_equal(o.version, 0);
    assert_string_equal(o.output, "/images/");
    assert_false(o.no_multicast || o.quiet || o.log_format_given);
    assert_null(o.account);
}

static void every_option(void **state)
{
    struct cl_options o;

    (void)state;
    assert_int_equal(parse("-q -o out --account bob --password-file /p --cacert /c --pin " PIN
                           " --identity " IDENTITY ";" IDENTITY
                           " --interface eth1 --no-multicast --client-id a.b-c --client-name pc7"
                           " --log-format cmtrace --log-file /l --summary /s"
                           " https://[fd00::1]:9443/ p-1.x_y@12",
                           &o, NULL),
                     CP_OK);
    assert_string_equal(o.base_url, "https://[fd00::1]:9443");
    assert_string_equal(o.package, "p-1.x_y");
    assert_int_equal(o.version, 12);
    assert_string_equal(o.account, "bob");
    assert_string_equal(o.password_file, "/p");
    assert_string_equal(o.cacert, "/c");
    assert_string_equal(o.pin, PIN);
    assert_string_equal(o.identity, IDENTITY ";" IDENTITY);
    assert_string_equal(o.interface, "eth1");
    assert_string_equal(o.client_id, "a.b-c");
    assert_string_equal(o.client_name, "pc7");
    assert_string_equal(o.log_file, "/l");
    assert_string_equal(o.summary, "/s");
    assert_int_equal(o.log_format, CP_LOG_CMTRACE);
    assert_true(o.no_multicast && o.quiet && o.log_format_given);
}

static void urls(void **state)
{
    struct cl_options o;

    (void)state;
    assert_int_equal(parse("https://[fd00::1] p -o x", &o, NULL), CP_OK);
    assert_string_equal(o.base_url, "https://[fd00::1]:8443");
    assert_int_equal(parse("https://10.0.0.1:1/ p@current -o x", &o, NULL), CP_OK);
    assert_string_equal(o.base_url, "https://10.0.0.1:1");
    assert_int_equal(o.version, 0);
}

static void bad_lines_are_refused(void **state)
{
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"", "URL and PACKAGE"},
        {"https://h p", "-o"},
        {"https://h -o x", "URL and PACKAGE"},
        {"https://h p q -o x", "URL and PACKAGE"},
        {"http://h p -o x", "https://"},
        {"h p -o x", "https://"},
        {"https:// p -o x", "HOST"},
        {"https://u:p@h p -o x", "HOST"},
        {"https://h/x p -o x", "HOST"},
        {"https://h?x p -o x", "HOST"},
        {"https://h: p -o x", "port"},
        {"https://h:0 p -o x", "port"},
        {"https://h:65536 p -o x", "port"},
        {"https://h:8x p -o x", "port"},
        {"https://[fd00::1 p -o x", "bracket"},
        {"https://h p/q -o x", "package"},
        {"https://h @1 -o x", "package"},
        {"https://h p@0 -o x", "version"},
        {"https://h p@-1 -o x", "version"},
        {"https://h p@1x -o x", "version"},
        {"https://h p@4294967296 -o x", "version"},
        {"https://h p -o x --nonsense", "--nonsense"},
        {"https://h p -o", "-o"},
        {"https://h p -o x --identity abc", "hexadecimal"},
        {"https://h p -o x --identity " IDENTITY ";", "hexadecimal"},
        {"https://h p -o x --account a", "--password-file"},
        {"https://h p -o x --password-file a", "--account"},
        {"https://h p -o x --account a --password-file b --token-file c", "exclude"},
        {"https://h p -o x --negotiate --token-file c", "--negotiate"},
        {"https://h p -o x --negotiate --account a --password-file b", "--negotiate"},
        {"https://h p -o x --account a:b --password-file b", "colon"},
        {"https://h p -o x --pin md5//x", "--pin"},
        {"https://h p -o x --pin sha256//short", "--pin"},
        {"https://h p -o x --log-format xml", "xml"},
        {"https://h p -o x --client-id a/b", "--client-id"},
    };
    struct cl_options o = {.output = "untouched"};
    struct cp_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(parse(bad[i].line, &o, &err), CP_ERR_USAGE);
        if (strstr(err.text, bad[i].reason) == NULL) {
            fail_msg("'%s': '%s' does not say '%s'", bad[i].line, err.text, bad[i].reason);
        }
        assert_string_equal(o.output, "untouched");
    }
}

static void help_and_version_need_nothing(void **state)
{
    struct cl_options o;

    (void)state;
    assert_int_equal(parse("--help", &o, NULL), CP_OK);
    assert_true(o.help);
    assert_int_equal(parse("-V", &o, NULL), CP_OK);
    assert_true(o.show_version);
    assert_non_null(strstr(cl_options_help(), "--no-multicast"));
}

static enum cp_err read_secret(const char *content, size_t size, char **ret, struct cp_error *err)
{
    char path[] = "/tmp/castget-secret-XXXXXX";
    int fd = mkstemp(path);
    enum cp_err code;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), (ssize_t)size);
    (void)close(fd);
    code = cl_secret_read("--token-file", path, ret, err);
    (void)unlink(path);
    return code;
}

static void secrets_are_first_lines(void **state)
{
    char big[4200];
    struct cp_error err;
    char *secret = NULL;

    (void)state;
    assert_int_equal(read_secret("s3cret word\nmore\n", 17, &secret, &err), CP_OK);
    assert_string_equal(secret, "s3cret word");
    cl_secret_free(secret);
    assert_int_equal(read_secret("dos\r\n", 5, &secret, &err), CP_OK);
    assert_string_equal(secret, "dos");
    cl_secret_free(secret);
    secret = NULL;
    assert_int_equal(read_secret("", 0, &secret, &err), CP_ERR_USAGE);
    assert_non_null(strstr(err.text, "--token-file"));
    assert_int_equal(read_secret("\nx", 2, &secret, &err), CP_ERR_USAGE);
    assert_int_equal(read_secret("a\0b\n", 4, &secret, &err), CP_ERR_USAGE);
    memset(big, 'x', sizeof big);
    assert_int_equal(read_secret(big, sizeof big, &secret, &err), CP_ERR_USAGE);
    assert_int_equal(read_secret(big, 4096, &secret, &err), CP_OK);
    cl_secret_free(secret);
    assert_int_equal(cl_secret_read("--token-file", "/no/such", &secret, &err), CP_ERR_USAGE);
    assert_non_null(strstr(err.text, "/no/such"));
    cl_secret_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_call),
        cmocka_unit_test(every_option),
        cmocka_unit_test(urls),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(help_and_version_need_nothing),
        cmocka_unit_test(secrets_are_first_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
