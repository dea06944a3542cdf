/* SPDX-License-Identifier: Apache-2.0
 * Tests of what castpointd does before it serves: options, state folder, certificate. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"
#include "server/state_file.h"
#include "server/tls_cert.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

struct fixture {
    char dir[64];
};

static int make_dir(void **state)
{
    static struct fixture f;

    (void)snprintf(f.dir, sizeof f.dir, "/tmp/castpoint-test-XXXXXX");
    *state = &f;
    return mkdtemp(f.dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"key.pem", "cert.pem", "a.conf", "secret", "big"};
    char path[128];

    for (int i = 0; i < COUNT(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(f->dir);
}

static void put_file(const struct fixture *f, const char *name, const char *text)
{
    struct cp_error err;

    assert_int_equal(srv_state_write(f->dir, name, text, strlen(text), &err), CP_OK);
}

/* ---- options ---- */

static void options_have_defaults(void **state)
{
    const char *argv[] = {"castpointd"};
    struct srv_config c;
    enum srv_action action;
    struct cp_error err;

    (void)state;
    assert_int_equal(srv_config_read(1, argv, &c, &action, &err), CP_OK);
    assert_int_equal(action, SRV_ACTION_RUN);
    assert_string_equal(c.listen_host, "0.0.0.0");
    assert_int_equal(c.listen_port, 8443);
    assert_string_equal(c.state_dir, "/var/lib/castpoint");
    assert_true(strncmp(c.public_url, "https://", 8) == 0);
    assert_non_null(strstr(c.public_url, ":8443"));
    assert_true(c.name[0] != '\0');
}

static void migrating_is_an_action(void **state)
{
    const char *argv[] = {"castpointd", "--migrate", "--migrate-database", "user=owner",
                          "--database=user=service"};
    struct srv_config c;
    enum srv_action action;
    struct cp_error err;

    (void)state;
    assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_OK);
    assert_int_equal(action, SRV_ACTION_MIGRATE);
    assert_string_equal(c.migrate_database, "user=owner");
    assert_string_equal(c.database, "user=service");
    argv[1] = "--new-master-key";
    assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_OK);
    assert_int_equal(action, SRV_ACTION_NEW_MASTER_KEY);
    assert_int_equal(srv_config_set(&c, "new-master-key", "yes", &err), CP_ERR_USAGE);
    argv[1] = "--migrate-database="; /* nothing is no conninfo */
    assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_ERR_USAGE);
    assert_int_equal(srv_config_set(&c, "migrate", "yes", &err), CP_ERR_USAGE);
}

static void adopting_is_an_action_of_its_own(void **state)
{
    const char *argv[] = {"castpointd", "--name=a", "--adopt-library", "--rotate-master-key=/k"};
    const char *both[] = {"castpointd", "--adopt-library", "--migrate"};
    struct srv_config c;
    enum srv_action action;
    struct cp_error err;

    (void)state;
    assert_int_equal(srv_config_read(3, argv, &c, &action, &err), CP_OK);
    assert_int_equal(action, SRV_ACTION_ADOPT_LIBRARY);
    assert_string_equal(c.name, "a");
    assert_int_equal(srv_config_read(4, argv, &c, &action, &err), CP_ERR_USAGE);
    assert_int_equal(srv_config_read(3, both, &c, &action, &err), CP_ERR_USAGE);
    assert_int_equal(srv_config_set(&c, "adopt-library", "yes", &err), CP_ERR_USAGE);
}

static void command_line_wins_over_file(void **state)
{
    struct fixture *f = *state;
    char path[128];
    const char *argv[] = {"castpointd", "--name=b", "--config", path, "--listen", "[::1]:444"};
    struct srv_config c;
    enum srv_action action;
    struct cp_error err;

    (void)snprintf(path, sizeof path, "%s/a.conf", f->dir);
    put_file(f, "a.conf",
             "# comment\n\n  name = a\nlisten=127.0.0.1:1\n\tlog-format = json \n"
             "database = host=/run/x dbname=y");
    assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_OK);
    assert_string_equal(c.name, "b");
    assert_string_equal(c.listen_host, "::1");
    assert_int_equal(c.listen_port, 444);
    assert_string_equal(c.plain_host, "");
    assert_int_equal(c.connections, 4096);
    assert_int_equal(srv_config_set(&c, "listen-http", "[::]:8080", NULL), CP_OK);
    assert_string_equal(c.plain_host, "::");
    assert_int_equal(c.plain_port, 8080);
    assert_int_equal(srv_config_set(&c, "connections", "16", NULL), CP_OK);
    assert_int_equal(c.connections, 16);
    assert_int_equal(c.per_address, 0);
    assert_int_equal(srv_config_set(&c, "connections-per-address", "1", NULL), CP_OK);
    assert_int_equal(c.per_address, 1);
    assert_int_equal(c.log_format, CP_LOG_JSON);
    assert_string_equal(c.database, "host=/run/x dbname=y");
    assert_int_equal(action, SRV_ACTION_RUN);
    assert_string_equal(c.master_key, "");
}

static void master_key_options(void **state)
{
    const char *argv[] = {"castpointd", "--master-key", "/etc/k", "--rotate-master-key=/etc/n"};
    struct srv_config c;
    enum srv_action action;

    (void)state;
    assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, NULL), CP_OK);
    assert_int_equal(action, SRV_ACTION_ROTATE_MASTER_KEY);
    assert_string_equal(c.master_key, "/etc/k");
    assert_string_equal(c.rotate_master_key, "/etc/n");
    assert_int_equal(srv_config_read(3, argv, &c, &action, NULL), CP_OK);
    assert_int_equal(action, SRV_ACTION_RUN);
}

static void file_errors_name_the_place(void **state)
{
    static const struct {
        const char *text, *expect;
    } cases[] = {
        {"name = a\nnmae = b\n", "a.conf:2: there is no option 'nmae'"},
        {"name\n", "a.conf:1: 'name' is not 'key = value'"},
        {"listen = nowhere:1\n", "a.conf:1: listen: 'nowhere' is not a numeric address"},
        {"config = /etc/b\n", "a.conf:1: there is no option 'config'"},
        {"state-dir =\n", "a.conf:1: state-dir: '' is not an absolute path"},
    };
    struct fixture *f = *state;
    char path[128];
    const char *argv[] = {"castpointd", "--config", path};
    struct srv_config c;
    enum srv_action action;
    struct cp_error err;

    (void)snprintf(path, sizeof path, "%s/a.conf", f->dir);
    for (int i = 0; i < COUNT(cases); i++) {
        put_file(f, "a.conf", cases[i].text);
        assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_ERR_USAGE);
        assert_non_null(strstr(err.text, cases[i].expect));
    }
    (void)snprintf(path, sizeof path, "%s/none", f->dir);
    assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_ERR_USAGE);
    assert_non_null(strstr(err.text, "/none"));
}

static void bad_options_are_named(void **state)
{
    static const char *const cases[][3] = {
        {"--listen", "1.2.3.4", "listen: '1.2.3.4'"},
        {"--listen", "1.2.3.4:65536", "listen: '1.2.3.4:65536'"},
        {"--listen", "1.2.3.4:+1", "listen: '1.2.3.4:+1'"},
        {"--listen", "::1:80", "listen: '::1'"},
        {"--listen", "[1.2.3.4]:80", "listen: '1.2.3.4'"},
        {"--listen", "0.0.0.0:0", "port 0 needs"},
        {"--listen", ":80", "listen: ':80'"},
        {"--name", "a/b", "name: 'a/b'"},
        {"--name", "local", "'local' is taken"},
        {"--name", "", "name: ''"},
        {"--log-format", "xml", "log-format: 'xml'"},
        {"--log-level", "loud", "log-level: 'loud'"},
        {"--public-url", "http://x", "public-url: 'http://x'"},
        {"--public-url", "https://", "public-url: 'https://'"},
        {"--state-dir", "relative", "state-dir: 'relative'"},
        {"--threads", "1", "threads: '1'"},
        {"--listen-http", "x:80", "listen-http: 'x' is not a numeric address"},
        {"--listen-http", "80", "listen-http: '80'"},
        {"--connections", "15", "connections: '15' is not a number from 16"},
        {"--connections", "100001", "connections: '100001'"},
        {"--connections-per-address", "0", "connections-per-address: '0' is not a number from 1"},
        {"--connections-per-address", "100001", "connections-per-address: '100001'"},
        {"--database", "", "database: the value is empty"},
        {"--tls-cert", "x.pem", "--tls-cert and --tls-key go together"},
        {"--wrong", "1", "there is no option 'wrong'"},
        {"wrong", "1", "'wrong' is not an option"},
        {"--", "1", "'--' is not an option"},
    };
    struct srv_config c;
    enum srv_action action;
    struct cp_error err;
    const char *last[] = {"castpointd", "--name"};

    (void)state;
    for (int i = 0; i < COUNT(cases); i++) {
        const char *argv[] = {"castpointd", cases[i][0], cases[i][1]};

        assert_int_equal(srv_config_read(COUNT(argv), argv, &c, &action, &err), CP_ERR_USAGE);
        if (strstr(err.text, cases[i][2]) == NULL) {
            fail_msg("'%s' lacks '%s'", err.text, cases[i][2]);
        }
    }
    assert_int_equal(srv_config_read(2, last, &c, &action, &err), CP_ERR_USAGE);
    assert_non_null(strstr(err.text, "--name needs a value"));
}

static void a_bad_value_changes_nothing(void **state)
{
    struct srv_config c;
    char value[SRV_PATH_SIZE + 1];

    (void)state;
    srv_config_defaults(&c);
    assert_int_equal(srv_config_set(&c, "public-url", "https://a:1///", NULL), CP_OK);
    assert_string_equal(c.public_url, "https://a:1");
    memset(value, 'x', sizeof value - 1);
    value[0] = '/';
    value[sizeof value - 1] = '\0';
    assert_int_equal(srv_config_set(&c, "state-dir", value, NULL), CP_ERR_USAGE);
    assert_string_equal(c.state_dir, "/var/lib/castpoint");
    value[SRV_PATH_SIZE - 1] = '\0';
    assert_int_equal(srv_config_set(&c, "state-dir", value, NULL), CP_OK);
}

static void help_lists_every_option(void **state)
{
    static const char *const names[] = {"--config",      "--listen",
                                        "--state-dir",   "--database",
                                        "--tls-cert",    "--tls-key",
                                        "--name",        "--public-url",
                                        "--threads",     "--log-format",
                                        "--version",     "--listen-http",
                                        "--connections", "--connections-per-address"};
    const char *argv[] = {"castpointd", "--nonsense", "--help"};
    struct srv_config c;
    enum srv_action action;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    assert_int_equal(srv_config_read(3, argv, &c, &action, NULL), CP_OK);
    assert_int_equal(action, SRV_ACTION_HELP);
    srv_config_help(f);
    (void)fclose(f);
    for (int i = 0; i < COUNT(names); i++) {
        assert_non_null(strstr(text, names[i]));
    }
    free(text);
}

/* ---- state folder ---- */

static void secrets_are_private_and_whole(void **state)
{
    struct fixture *f = *state;
    struct cp_error err;
    struct stat st;
    char path[128];
    char *data = NULL;
    size_t size;

    put_file(f, "secret", "one");
    put_file(f, "secret", "other");
    (void)snprintf(path, sizeof path, "%s/secret", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(srv_state_read(f->dir, "secret", 5, &data, &size, &err), CP_OK);
    assert_int_equal(size, 5);
    assert_string_equal(data, "other");
    free(data);
    assert_int_equal(srv_state_read(f->dir, "secret", 4, &data, &size, &err), CP_ERR_STORAGE);
    assert_int_equal(srv_state_read(f->dir, "none", 4, &data, &size, &err), CP_ERR_NOT_FOUND);
    assert_int_equal(srv_state_write("/nowhere/at/all", "x", "y", 1, &err), CP_ERR_STORAGE);
    assert_non_null(strstr(err.text, "/nowhere/at/all/x: No such file"));
    assert_int_equal(srv_state_dir(f->dir, &err), CP_OK);
    assert_int_equal(srv_state_dir("/nowhere/at/all", &err), CP_ERR_STORAGE);
    assert_int_equal(srv_state_dir(path, &err), CP_ERR_STORAGE);
    assert_non_null(strstr(err.text, "is not a folder"));
}

/* As admin-password of a former database may lie there when the service starts on an empty one:
 * readable by others, as links to what is somebody else's, with the rest of a write that was cut off. */
static void what_lies_there_is_replaced_and_not_followed(void **state)
{
    struct fixture *f = *state;
    char path[128], temporary[160], other[128];
    struct cp_error err;
    struct stat st;
    char *data = NULL;
    size_t size;

    put_file(f, "big", "somebody else's");
    (void)snprintf(other, sizeof other, "%s/big", f->dir);
    (void)snprintf(path, sizeof path, "%s/secret", f->dir);
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    put_file(f, "secret", "former");
    assert_int_equal(chmod(path, 0644), 0);
    put_file(f, "secret", "one");
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(symlink(other, temporary), 0);
    put_file(f, "secret", "two");
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(lstat(temporary, &st), -1);
    assert_int_equal(srv_state_read(f->dir, "secret", 9, &data, &size, &err), CP_OK);
    assert_string_equal(data, "two");
    free(data);
    assert_int_equal(srv_state_read(f->dir, "big", 99, &data, &size, &err), CP_OK);
    assert_string_equal(data, "somebody else's");
    free(data);
    assert_int_equal(mkdir(temporary, 0700), 0); /* cannot be written: the former one stays */
    assert_int_equal(srv_state_write(f->dir, "secret", "three", 5, &err), CP_ERR_STORAGE);
    assert_int_equal(rmdir(temporary), 0);
    assert_int_equal(srv_state_read(f->dir, "secret", 9, &data, &size, &err), CP_OK);
    assert_string_equal(data, "two");
    free(data);
}

/* ---- certificate ---- */

static void certificate_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct srv_tls a = {0};
    struct srv_tls b = {0};
    struct cp_error err;
    struct stat st;
    char path[128];

    assert_int_equal(srv_tls_self_signed(f->dir, "192.0.2.7", &a, &err), CP_OK);
    (void)snprintf(path, sizeof path, "%s/key.pem", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(strlen(a.fingerprint), 95);
    assert_true(strncmp(a.pin, "sha256//", 8) == 0 && strlen(a.pin) == 52);
    assert_int_equal(srv_tls_self_signed(f->dir, "192.0.2.7", &b, &err), CP_OK);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_string_equal(a.cert_pem, b.cert_pem);
    srv_tls_done(&a);
    srv_tls_done(&b);
}

static void lost_certificate_keeps_the_pin(void **state)
{
    struct fixture *f = *state;
    struct srv_tls a = {0};
    struct srv_tls b = {0};
    struct cp_error err;
    char path[128];

    assert_int_equal(srv_tls_self_signed(f->dir, "::", &a, &err), CP_OK);
    (void)snprintf(path, sizeof path, "%s/cert.pem", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(srv_tls_self_signed(f->dir, "::", &b, &err), CP_OK);
    assert_string_equal(a.pin, b.pin);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    srv_tls_done(&b);
    put_file(f, "cert.pem", "damaged");
    assert_int_equal(srv_tls_self_signed(f->dir, "::", &b, &err), CP_OK);
    assert_string_equal(a.pin, b.pin);
    srv_tls_done(&a);
    srv_tls_done(&b);
}

static void damaged_key_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct srv_tls t = {0};
    struct cp_error err;

    put_file(f, "key.pem", "-----BEGIN PRIVATE KEY-----\nnot base64\n");
    assert_int_equal(srv_tls_self_signed(f->dir, "0.0.0.0", &t, &err), CP_ERR_USAGE);
    assert_non_null(strstr(err.text, "key.pem"));
    assert_null(t.key_pem);
}

static void own_certificate_must_match_its_key(void **state)
{
    struct fixture *f = *state;
    struct srv_tls a = {0};
    struct srv_tls b = {0};
    struct cp_error err;
    char cert[128];
    char key[128];
    char other[128];

    (void)snprintf(cert, sizeof cert, "%s/cert.pem", f->dir);
    (void)snprintf(key, sizeof key, "%s/key.pem", f->dir);
    (void)snprintf(other, sizeof other, "%s/secret", f->dir);
    assert_int_equal(srv_tls_self_signed(f->dir, "0.0.0.0", &a, &err), CP_OK);
    put_file(f, "secret", a.key_pem);
    assert_int_equal(srv_tls_load(cert, other, &b, &err), CP_OK);
    assert_string_equal(a.pin, b.pin);
    srv_tls_done(&b);
    assert_int_equal(srv_tls_load(cert, "/nowhere", &b, &err), CP_ERR_USAGE);
    assert_int_equal(srv_tls_load(key, key, &b, &err), CP_ERR_USAGE);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(unlink(cert), 0);
    srv_tls_done(&a);
    assert_int_equal(srv_tls_self_signed(f->dir, "0.0.0.0", &a, &err), CP_OK);
    assert_int_equal(srv_tls_load(cert, other, &b, &err), CP_ERR_USAGE);
    assert_non_null(strstr(err.text, "is not the certificate's private key"));
    srv_tls_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrating_is_an_action),
        cmocka_unit_test(adopting_is_an_action_of_its_own),
        cmocka_unit_test(options_have_defaults),
        cmocka_unit_test_setup_teardown(command_line_wins_over_file, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(master_key_options, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(file_errors_name_the_place, make_dir, remove_dir),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(a_bad_value_changes_nothing),
        cmocka_unit_test(help_lists_every_option),
        cmocka_unit_test_setup_teardown(secrets_are_private_and_whole, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(what_lies_there_is_replaced_and_not_followed, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(certificate_is_made_once, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(lost_certificate_keeps_the_pin, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(damaged_key_is_an_error, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(own_certificate_must_match_its_key, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
