/* SPDX-License-Identifier: Apache-2.0
 * castpointd's options: from the command line and from a file of "key = value" lines, the same
 * names in both. Touches the configuration file and the host's name; no state of its own. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/log.h"

#define SRV_PATH_SIZE 1024
#define SRV_HOST_SIZE 256

enum srv_action {
    SRV_ACTION_RUN,
    SRV_ACTION_HELP,
    SRV_ACTION_VERSION,
    SRV_ACTION_MIGRATE,
    SRV_ACTION_ROTATE_MASTER_KEY,
    SRV_ACTION_NEW_MASTER_KEY,
    SRV_ACTION_ADOPT_LIBRARY
};

/* Plain values, no ownership. Text is "" when it was not given. */
struct srv_config {
    char listen_host[SRV_HOST_SIZE]; /* numeric address, IPv6 without brackets */
    uint16_t listen_port;            /* 0: one the kernel picks */
    char state_dir[SRV_PATH_SIZE];
    char database[SRV_PATH_SIZE]; /* libpq conninfo or URI */
    char migrate_database
        [SRV_PATH_SIZE];            /* the same as the schema's owner; "": it is the same role */
    char master_key[SRV_PATH_SIZE]; /* file; "": the usual places */
    char rotate_master_key[SRV_PATH_SIZE]; /* file of the key to change to; "": do not */
    char tls_cert[SRV_PATH_SIZE];          /* PEM; both or none */
    char tls_key[SRV_PATH_SIZE];
    char client_ca[SRV_PATH_SIZE];  /* PEM; "": no client certificates */
    char client_crl[SRV_PATH_SIZE]; /* PEM; needs client_ca */
    char keytab[SRV_PATH_SIZE];     /* "": no Kerberos */
    char name[64];                  /* this node's name */
    char public_url[SRV_PATH_SIZE]; /* without trailing slash */
    char plain_host[SRV_HOST_SIZE]; /* content without TLS there too; "": nowhere */
    uint16_t plain_port;
    unsigned connections; /* at a time */
    unsigned per_address; /* of them, from one client address; 0: what server/http.h says */
    unsigned threads;     /* that handle requests */
    enum cp_log_format log_format;
    enum cp_log_level log_level;
};

/* Defaults, then the file of --config, then the other options, whichever order they stand in.
 * Errors: CP_ERR_USAGE naming the option, or the file's line and key. */
CP_MUST_CHECK enum cp_err srv_config_read(int argc, const char *const *argv,
                                          struct srv_config *ret_config,
                                          enum srv_action *ret_action, struct cp_error *err);

/* Sets one option by its name ("listen"). CP_ERR_USAGE for an unknown name or a bad value;
 * *config is then unchanged. */
CP_MUST_CHECK enum cp_err srv_config_set(struct srv_config *config, const char *name,
                                         const char *value, struct cp_error *err);

void srv_config_defaults(struct srv_config *ret_config);

/* --help's text. */
void srv_config_help(FILE *out);

#endif
