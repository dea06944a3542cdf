/* SPDX-License-Identifier: Apache-2.0
 * castget's command line: what the user asked for. Touches no file; strings are those of argv. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/log.h"

#define CL_URL_SIZE     300u
#define CL_PACKAGE_SIZE 129u

struct cl_options {
    char base_url[CL_URL_SIZE];    /* "https://host:port", port 8443 unless given */
    char package[CL_PACKAGE_SIZE]; /* percent-encoding is not applied: plain names only */
    uint32_t version;              /* 0: the current one */
    const char *output;
    const char *account; /* with password_file; NULL none */
    const char *password_file;
    const char *token_file;
    bool negotiate; /* with a Kerberos ticket instead */
    const char *cacert;
    const char *pin;       /* "sha256//…", as curl's --pinnedpubkey wants it */
    const char *identity;  /* fingerprints (identity.h); NULL: whichever it is */
    const char *interface; /* NULL: by route */
    const char *client_id; /* NULL: made from the machine's id and the output */
    const char *client_name;
    const char *log_file;
    const char *summary;
    enum cp_log_format log_format;
    bool log_format_given;
    bool no_multicast;
    bool quiet;
    bool help;         /* the rest is not valid then */
    bool show_version; /* the same */
};

/* CP_ERR_USAGE with a text that names the option or argument at fault. */
CP_MUST_CHECK enum cp_err cl_options_parse(int argc, char *const argv[],
                                           struct cl_options *ret_options, struct cp_error *err);

/* The text of --help. */
const char *cl_options_help(void);

#endif
