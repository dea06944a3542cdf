/* SPDX-License-Identifier: Apache-2.0
 * Options of castpointd: one table serves the command line, the file and --help. */
#include "server/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE   4096
#define THREADS_MAX 256

#define CONNECTIONS_MIN 16
#define CONNECTIONS_MAX 100000

typedef enum cp_err option_set(struct srv_config *c, const char *value, struct cp_error *err);

struct option {
    const char *name;
    const char *argument;
    option_set *set;
    const char *help;
};

static enum cp_err copy(char *to, size_t size, const char *value, const char *name,
                        struct cp_error *err)
{
    if (*value == '\0') {
        return cp_error_set(err, CP_ERR_USAGE, "%s: the value is empty", name);
    }
    if (strlen(value) >= size) {
        return cp_error_set(err, CP_ERR_USAGE, "%s: the value is longer than %zu characters", name,
                            size - 1);
    }
    memcpy(to, value, strlen(value) + 1);
    return CP_OK;
}

static bool parse_number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;
    unsigned long v;

    if (!isdigit((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || v > max) {
        return false;
    }
    *ret = v;
    return true;
}

/* "192.0.2.1:8443" or "[2001:db8::1]:8443". */
static enum cp_err read_place(const char *name, const char *value, char ret_host[SRV_HOST_SIZE],
                              uint16_t *ret_port, struct cp_error *err)
{
    const char *colon = strrchr(value, ':');
    char host[SRV_HOST_SIZE];
    unsigned char addr[16];
    unsigned long port;
    size_t size = colon == NULL ? 0 : (size_t)(colon - value);
    bool bracket = size > 2 && value[0] == '[' && value[size - 1] == ']';

    if (size == 0 || size >= sizeof host || !parse_number(colon + 1, 65535, &port)) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "%s: '%s' is not ADDRESS:PORT (as 0.0.0.0:8443 or [::]:8443)", name,
                            value);
    }
    if (bracket) {
        memcpy(host, value + 1, size - 2);
        host[size - 2] = '\0';
    } else {
        memcpy(host, value, size);
        host[size] = '\0';
    }
    if (inet_pton(bracket ? AF_INET6 : AF_INET, host, addr) != 1) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "%s: '%s' is not a numeric address (IPv6 in brackets)", name, host);
    }
    memcpy(ret_host, host, strlen(host) + 1);
    *ret_port = (uint16_t)port;
    return CP_OK;
}

static enum cp_err set_listen(struct srv_config *c, const char *value, struct cp_error *err)
{
    return read_place("listen", value, c->listen_host, &c->listen_port, err);
}

static enum cp_err set_listen_http(struct srv_config *c, const char *value, struct cp_error *err)
{
    return read_place("listen-http", value, c->plain_host, &c->plain_port, err);
}

static enum cp_err set_state_dir(struct srv_config *c, const char *value, struct cp_error *err)
{
    if (value[0] != '/') {
        return cp_error_set(err, CP_ERR_USAGE, "state-dir: '%s' is not an absolute path", value);
    }
    return copy(c->state_dir, sizeof c->state_dir, value, "state-dir", err);
}

static enum cp_err set_database(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->database, sizeof c->database, value, "database", err);
}

static enum cp_err set_migrate_database(struct srv_config *c, const char *value,
                                        struct cp_error *err)
{
    return copy(c->migrate_database, sizeof c->migrate_database, value, "migrate-database", err);
}

static enum cp_err set_master_key(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->master_key, sizeof c->master_key, value, "master-key", err);
}

static enum cp_err set_rotate_master_key(struct srv_config *c, const char *value,
                                         struct cp_error *err)
{
    return copy(c->rotate_master_key, sizeof c->rotate_master_key, value, "rotate-master-key", err);
}

static enum cp_err set_tls_cert(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->tls_cert, sizeof c->tls_cert, value, "tls-cert", err);
}

static enum cp_err set_tls_key(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->tls_key, sizeof c->tls_key, value, "tls-key", err);
}

static enum cp_err set_client_ca(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->client_ca, sizeof c->client_ca, value, "client-ca", err);
}

static enum cp_err set_client_crl(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->client_crl, sizeof c->client_crl, value, "client-crl", err);
}

static enum cp_err set_keytab(struct srv_config *c, const char *value, struct cp_error *err)
{
    return copy(c->keytab, sizeof c->keytab, value, "keytab", err);
}

/* A node's name stands in paths of the API and in file names: no character that needs escaping. */
static enum cp_err set_name(struct srv_config *c, const char *value, struct cp_error *err)
{
    if (!isalnum((unsigned char)value[0]) ||
        value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] !=
            '\0' ||
        strcmp(value, "local") == 0) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "name: '%s' is not a node name (letters, digits, '.', '_', '-'; "
                            "'local' is taken)",
                            value);
    }
    return copy(c->name, sizeof c->name, value, "name", err);
}

static enum cp_err set_public_url(struct srv_config *c, const char *value, struct cp_error *err)
{
    char url[SRV_PATH_SIZE];
    size_t size;

    CP_TRY(copy(url, sizeof url, value, "public-url", err));
    size = strlen(url);
    while (size > 0 && url[size - 1] == '/') {
        url[--size] = '\0';
    }
    if (strncmp(url, "https://", 8) != 0 || size == 8 || strpbrk(url, " \t\"<>?#") != NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "public-url: '%s' is not https://HOST[:PORT]",
                            value);
    }
    memcpy(c->public_url, url, size + 1);
    return CP_OK;
}

static enum cp_err set_threads(struct srv_config *c, const char *value, struct cp_error *err)
{
    unsigned long n;

    if (!parse_number(value, THREADS_MAX, &n) || n < 2) {
        return cp_error_set(err, CP_ERR_USAGE, "threads: '%s' is not a number from 2 to %d", value,
                            THREADS_MAX);
    }
    c->threads = (unsigned)n;
    return CP_OK;
}

static enum cp_err set_connections(struct srv_config *c, const char *value, struct cp_error *err)
{
    unsigned long n;

    if (!parse_number(value, CONNECTIONS_MAX, &n) || n < CONNECTIONS_MIN) {
        return cp_error_set(err, CP_ERR_USAGE, "connections: '%s' is not a number from %d to %d",
                            value, CONNECTIONS_MIN, CONNECTIONS_MAX);
    }
    c->connections = (unsigned)n;
    return CP_OK;
}

static enum cp_err set_per_address(struct srv_config *c, const char *value, struct cp_error *err)
{
    unsigned long n;

    if (!parse_number(value, CONNECTIONS_MAX, &n) || n < 1) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "connections-per-address: '%s' is not a number from 1 to %d", value,
                            CONNECTIONS_MAX);
    }
    c->per_address = (unsigned)n;
    return CP_OK;
}

static enum cp_err set_log_format(struct srv_config *c, const char *value, struct cp_error *err)
{
    if (strcmp(value, "text") == 0) {
        c->log_format = CP_LOG_TEXT;
    } else if (strcmp(value, "json") == 0) {
        c->log_format = CP_LOG_JSON;
    } else {
        return cp_error_set(err, CP_ERR_USAGE, "log-format: '%s' is neither text nor json", value);
    }
    return CP_OK;
}

static enum cp_err set_log_level(struct srv_config *c, const char *value, struct cp_error *err)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            c->log_level = (enum cp_log_level)i;
            return CP_OK;
        }
    }
    return cp_error_set(err, CP_ERR_USAGE, "log-level: '%s' is none of debug, info, warn, error",
                        value);
}

static const struct option options[] = {
    {"listen", "ADDR:PORT", set_listen, "address of the HTTPS service (0.0.0.0:8443)"},
    {"state-dir", "DIR", set_state_dir, "keys, certificate and content (/var/lib/castpoint)"},
    {"database", "CONNINFO", set_database, "PostgreSQL, as libpq takes it (dbname=castpoint)"},
    {"migrate-database", "CONNINFO", set_migrate_database,
     "the same as the schema's owner; --database then needs no more than its data"},
    {"master-key", "FILE", set_master_key,
     "what seals the keys (systemd's credential master.key, or STATE-DIR/master.key)"},
    {"rotate-master-key", "NEWFILE", set_rotate_master_key,
     "seal all secrets under the key of that file, made if it is missing, then end"},
    {"tls-cert", "FILE", set_tls_cert, "own certificate chain, PEM; needs --tls-key"},
    {"tls-key", "FILE", set_tls_key, "private key of --tls-cert, PEM"},
    {"client-ca", "FILE", set_client_ca, "authorities whose client certificates may log in, PEM"},
    {"client-crl", "FILE", set_client_crl, "what they revoked, PEM; needs --client-ca"},
    {"keytab", "FILE", set_keytab, "keys of this service in Kerberos: takes its tickets then"},
    {"name", "NAME", set_name, "name of this distribution point (the host's name)"},
    {"public-url", "URL", set_public_url, "where clients reach it (https://HOST:PORT)"},
    {"listen-http", "ADDR:PORT", set_listen_http,
     "give out content and manifests there too, without TLS (off)"},
    {"connections", "N", set_connections, "clients connected at a time (4096)"},
    {"connections-per-address", "N", set_per_address,
     "of these, from one client address (a quarter, no less than 256)"},
    {"threads", "N", set_threads, "requests handled at a time (8)"},
    {"log-format", "text|json", set_log_format, "form of the log on standard error (text)"},
    {"log-level", "LEVEL", set_log_level, "debug, info, warn or error (info)"},
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

enum cp_err srv_config_set(struct srv_config *config, const char *name, const char *value,
                           struct cp_error *err)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options[i].name, name) == 0) {
            return options[i].set(config, value, err);
        }
    }
    return cp_error_set(err, CP_ERR_USAGE, "there is no option '%s'", name);
}

void srv_config_defaults(struct srv_config *ret_config)
{
    char host[64] = "";

    memset(ret_config, 0, sizeof *ret_config);
    ret_config->listen_port = 8443;
    ret_config->threads = 8;
    ret_config->connections = 4096;
    ret_config->log_format = CP_LOG_TEXT;
    ret_config->log_level = CP_LOG_INFO;
    (void)snprintf(ret_config->listen_host, SRV_HOST_SIZE, "0.0.0.0");
    (void)snprintf(ret_config->state_dir, SRV_PATH_SIZE, "/var/lib/castpoint");
    (void)snprintf(ret_config->database, SRV_PATH_SIZE, "dbname=castpoint");
    if (gethostname(host, sizeof host - 1) != 0 || set_name(ret_config, host, NULL) != CP_OK) {
        (void)snprintf(ret_config->name, sizeof ret_config->name, "castpoint");
    }
}

/* Cuts white space off both ends, in place. */
static char *trim(char *text)
{
    size_t size;

    while (isspace((unsigned char)*text)) {
        text++;
    }
    size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        text[--size] = '\0';
    }
    return text;
}

static enum cp_err read_line(struct srv_config *c, char *line, struct cp_error *err)
{
    char *key = trim(line);
    char *equals = strchr(key, '=');

    if (*key == '\0' || *key == '#') {
        return CP_OK;
    }
    if (equals == NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "'%s' is not 'key = value'", key);
    }
    *equals = '\0';
    return srv_config_set(c, trim(key), trim(equals + 1), err);
}

static enum cp_err read_file(struct srv_config *c, const char *path, struct cp_error *err)
{
    FILE *f = fopen(path, "re");
    char line[LINE_SIZE];
    enum cp_err rc = CP_OK;

    if (f == NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "%s: %s", path, strerror(errno));
    }
    for (unsigned n = 1; rc == CP_OK && fgets(line, sizeof line, f) != NULL; n++) {
        if (strlen(line) == sizeof line - 1) {
            rc = cp_error_set(err, CP_ERR_USAGE, "the line is too long");
        } else {
            rc = read_line(c, line, err);
        }
        if (rc != CP_OK) {
            cp_error_prefix(err, "%s:%u", path, n);
        }
    }
    if (rc == CP_OK && ferror(f)) {
        rc = cp_error_set(err, CP_ERR_USAGE, "%s: cannot be read", path);
    }
    (void)fclose(f);
    return rc;
}

/* What is done once, and then the program ends. */
static const struct step {
    const char *name;
    enum srv_action action;
    const char *help;
} steps[] = {
    {"migrate", SRV_ACTION_MIGRATE, "bring the database's schema up to date, then end"},
    {"new-master-key", SRV_ACTION_NEW_MASTER_KEY,
     "the master key is lost for good: make another one, then end"},
    {"adopt-library", SRV_ACTION_ADOPT_LIBRARY,
     "make a content library of another database this one's own, then end"},
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static const struct step *find_step(const char *argument)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, steps[i].name) == 0) {
            return &steps[i];
        }
    }
    return NULL;
}

/* Splits "--name=value" or takes the next argument as the value. */
static enum cp_err next_option(int argc, const char *const *argv, int *at, char name[64],
                               const char **ret_value, struct cp_error *err)
{
    const char *arg = argv[*at];
    const char *equals = strchr(arg, '=');
    size_t size = equals == NULL ? strlen(arg) : (size_t)(equals - arg);

    if (strncmp(arg, "--", 2) != 0 || size < 3 || size - 2 >= 64) {
        return cp_error_set(err, CP_ERR_USAGE, "'%s' is not an option", arg);
    }
    memcpy(name, arg + 2, size - 2);
    name[size - 2] = '\0';
    if (equals != NULL) {
        *ret_value = equals + 1;
    } else if (*at + 1 < argc) {
        *ret_value = argv[++*at];
    } else {
        return cp_error_set(err, CP_ERR_USAGE, "--%s needs a value, or does not exist", name);
    }
    return CP_OK;
}

/* One pass over the command line: either only --config, or everything else. */
static enum cp_err read_arguments(int argc, const char *const *argv, bool files,
                                  struct srv_config *c, struct cp_error *err)
{
    char name[64];
    const char *value = NULL;

    for (int i = 1; i < argc; i++) {
        bool is_file;

        if (find_step(argv[i]) != NULL) {
            continue;
        }
        CP_TRY(next_option(argc, argv, &i, name, &value, err));
        is_file = strcmp(name, "config") == 0;
        if (files && is_file) {
            CP_TRY(read_file(c, value, err));
        } else if (!files && !is_file) {
            CP_TRY(srv_config_set(c, name, value, err));
        }
    }
    return CP_OK;
}

/* What depends on other values, once all are known. */
static enum cp_err complete(struct srv_config *c, struct cp_error *err)
{
    char host[SRV_HOST_SIZE] = "localhost";

    if ((c->tls_cert[0] == '\0') != (c->tls_key[0] == '\0')) {
        return cp_error_set(err, CP_ERR_USAGE, "--tls-cert and --tls-key go together");
    }
    if (c->client_crl[0] != '\0' && c->client_ca[0] == '\0') {
        return cp_error_set(err, CP_ERR_USAGE, "--client-crl needs --client-ca");
    }
    if (c->public_url[0] == '\0' && c->listen_port == 0) {
        return cp_error_set(err, CP_ERR_USAGE, "listen: port 0 needs a --public-url");
    }
    if (c->public_url[0] == '\0') {
        (void)gethostname(host, sizeof host - 1);
        (void)snprintf(c->public_url, sizeof c->public_url, "https://%s:%u", host, c->listen_port);
    }
    return CP_OK;
}

static enum cp_err choose(int argc, const char *const *argv, const struct srv_config *c,
                          enum srv_action *ret_action, struct cp_error *err)
{
    enum srv_action action =
        c->rotate_master_key[0] != '\0' ? SRV_ACTION_ROTATE_MASTER_KEY : SRV_ACTION_RUN;

    for (int i = 1; i < argc; i++) {
        const struct step *step = find_step(argv[i]);

        if (step != NULL && action != SRV_ACTION_RUN && action != step->action) {
            return cp_error_set(err, CP_ERR_USAGE, "--%s is done by itself", step->name);
        }
        action = step != NULL ? step->action : action;
    }
    *ret_action = action;
    return CP_OK;
}

enum cp_err srv_config_read(int argc, const char *const *argv, struct srv_config *ret_config,
                            enum srv_action *ret_action, struct cp_error *err)
{
    struct srv_config c;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0) {
            *ret_action = argv[i][2] == 'h' ? SRV_ACTION_HELP : SRV_ACTION_VERSION;
            return CP_OK;
        }
    }
    srv_config_defaults(&c);
    CP_TRY(read_arguments(argc, argv, true, &c, err));
    CP_TRY(read_arguments(argc, argv, false, &c, err));
    CP_TRY(complete(&c, err));
    CP_TRY(choose(argc, argv, &c, ret_action, err));
    *ret_config = c;
    return CP_OK;
}

void srv_config_help(FILE *out)
{
    (void)fprintf(out, "Usage: castpointd [--OPTION VALUE]…\n\n"
                       "The service of a castpoint distribution point.\n\n");
    (void)fprintf(out, "  --%-24s %s\n", "config FILE",
                  "read 'key = value' lines: the options below, without '--'");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char left[64];

        (void)snprintf(left, sizeof left, "%s %s", options[i].name, options[i].argument);
        (void)fprintf(out, "  --%-24s %s\n", left, options[i].help);
    }
    for (size_t i = 0; i < STEP_COUNT; i++) {
        (void)fprintf(out, "  --%-24s %s\n", steps[i].name, steps[i].help);
    }
    (void)fprintf(out, "  --%-24s %s\n  --%-24s %s\n", "help", "this text", "version",
                  "the program's version");
}
