/* SPDX-License-Identifier: Apache-2.0
 * castget's command line, by getopt_long. One thread: getopt keeps state of its own. */
#include "client/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/identity.h"

#define DEFAULT_PORT "8443"

static const char help[] =
    "castget URL PACKAGE[@VERSION] -o DIR|FILE|DEVICE [OPTION]...\n"
    "\n"
    "Fetches one package of a castpoint distribution point: by multicast where it arrives,\n"
    "by HTTPS otherwise. Exit status 0 means that every byte is verified and on the disk.\n"
    "\n"
    "  -o, --output PATH       folder, or file or block device for a package of one file\n"
    "      --account NAME      account to fetch with; needs --password-file\n"
    "      --password-file F   its password: the first line of F\n"
    "      --token-file F      bearer token instead of an account\n"
    "      --negotiate         the user's Kerberos ticket instead of an account\n"
    "      --cacert F          certificate authority (PEM) that the service's certificate is of\n"
    "      --pin sha256//B64   trust exactly this public key; castpointd prints it at start\n"
    "      --identity HEX      trust only this identity of the distribution point (GET /api/v1)\n"
    "      --interface IF      network interface on which multicast is received\n"
    "      --no-multicast      use HTTPS only\n"
    "      --client-id ID      name of this receiver's place in the session\n"
    "      --client-name NAME  how the console shows this receiver (host name)\n"
    "      --log-format FORM   text, json or cmtrace; to standard error unless --log-file\n"
    "      --log-file F        write the log to F\n"
    "      --summary F         write the result as JSON to F\n"
    "  -q, --quiet             no progress\n"
    "  -h, --help              this text\n"
    "  -V, --version           version\n"
    "\n"
    "The port is 8443 when URL names none. See castget(1).\n";

const char *cl_options_help(void)
{
    return help;
}

enum option_id {
    OPT_ACCOUNT = 256,
    OPT_PASSWORD_FILE,
    OPT_TOKEN_FILE,
    OPT_NEGOTIATE,
    OPT_CACERT,
    OPT_PIN,
    OPT_IDENTITY,
    OPT_INTERFACE,
    OPT_NO_MULTICAST,
    OPT_CLIENT_ID,
    OPT_CLIENT_NAME,
    OPT_LOG_FORMAT,
    OPT_LOG_FILE,
    OPT_SUMMARY
};

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"account", required_argument, NULL, OPT_ACCOUNT},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
    {"negotiate", no_argument, NULL, OPT_NEGOTIATE},
    {"cacert", required_argument, NULL, OPT_CACERT},
    {"pin", required_argument, NULL, OPT_PIN},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"interface", required_argument, NULL, OPT_INTERFACE},
    {"no-multicast", no_argument, NULL, OPT_NO_MULTICAST},
    {"client-id", required_argument, NULL, OPT_CLIENT_ID},
    {"client-name", required_argument, NULL, OPT_CLIENT_NAME},
    {"log-format", required_argument, NULL, OPT_LOG_FORMAT},
    {"log-file", required_argument, NULL, OPT_LOG_FILE},
    {"summary", required_argument, NULL, OPT_SUMMARY},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0}};

/* Where an option's value goes; NULL when it is no plain text option. */
static const char **text_option(struct cl_options *o, int id)
{
    switch (id) {
    case 'o':
        return &o->output;
    case OPT_ACCOUNT:
        return &o->account;
    case OPT_PASSWORD_FILE:
        return &o->password_file;
    case OPT_TOKEN_FILE:
        return &o->token_file;
    case OPT_CACERT:
        return &o->cacert;
    case OPT_PIN:
        return &o->pin;
    case OPT_IDENTITY:
        return &o->identity;
    case OPT_INTERFACE:
        return &o->interface;
    case OPT_CLIENT_ID:
        return &o->client_id;
    case OPT_CLIENT_NAME:
        return &o->client_name;
    case OPT_LOG_FILE:
        return &o->log_file;
    case OPT_SUMMARY:
        return &o->summary;
    default:
        return NULL;
    }
}

static enum cp_err parse_log_format(struct cl_options *o, const char *value, struct cp_error *err)
{
    static const char *const names[] = {
        [CP_LOG_TEXT] = "text", [CP_LOG_JSON] = "json", [CP_LOG_CMTRACE] = "cmtrace"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            o->log_format = (enum cp_log_format)i;
            o->log_format_given = true;
            return CP_OK;
        }
    }
    return cp_error_set(err, CP_ERR_USAGE, "--log-format '%s': text, json or cmtrace", value);
}

static enum cp_err apply(struct cl_options *o, int id, const char *value, struct cp_error *err)
{
    const char **text = text_option(o, id);

    if (text != NULL) {
        if (value[0] == '\0') {
            return cp_error_set(err, CP_ERR_USAGE, "an option's value is empty");
        }
        *text = value;
        return CP_OK;
    }
    switch (id) {
    case OPT_NEGOTIATE:
        o->negotiate = true;
        return CP_OK;
    case OPT_NO_MULTICAST:
        o->no_multicast = true;
        return CP_OK;
    case OPT_LOG_FORMAT:
        return parse_log_format(o, value, err);
    case 'q':
        o->quiet = true;
        return CP_OK;
    case 'h':
        o->help = true;
        return CP_OK;
    case 'V':
        o->show_version = true;
        return CP_OK;
    default:
        return CP_ERR_USAGE;
    }
}

/* "https://host[:port][/]" to base_url with a port. Credentials, paths and queries are refused. */
static enum cp_err parse_url(const char *url, struct cl_options *o, struct cp_error *err)
{
    static const char scheme[] = "https://";
    const char *host = url + sizeof scheme - 1;
    const char *port;
    size_t size;
    int written;

    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return cp_error_set(err, CP_ERR_USAGE, "URL '%s': must begin with https://", url);
    }
    size = strlen(host);
    size -= size > 0 && host[size - 1] == '/';
    if (size == 0 || strcspn(host, "/?#@ \t") < size) {
        return cp_error_set(err, CP_ERR_USAGE, "URL '%s': must be https://HOST[:PORT]", url);
    }
    /* In an IPv6 address the colons inside the brackets are not the port's. */
    port = host[0] == '[' ? memchr(host, ']', size) : host;
    if (port == NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "URL '%s': a bracket is missing", url);
    }
    port = memchr(port, ':', size - (size_t)(port - host));
    if (port != NULL) {
        size_t digits = size - (size_t)(port - host) - 1;
        long number = strtol(port + 1, NULL, 10);

        if (digits == 0 || digits > 5 || strspn(port + 1, "0123456789") < digits || number < 1 ||
            number > 65535) {
            return cp_error_set(err, CP_ERR_USAGE, "URL '%s': the port is not a number", url);
        }
    }
    written = snprintf(o->base_url, sizeof o->base_url, "%s%.*s%s", scheme, (int)size, host,
                       port == NULL ? ":" DEFAULT_PORT : "");
    if (written < 0 || (size_t)written >= sizeof o->base_url) {
        return cp_error_set(err, CP_ERR_USAGE, "URL: longer than %u bytes", CL_URL_SIZE - 1);
    }
    return CP_OK;
}

static bool is_name(const char *s, size_t size)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") >= size;
}

/* "PACKAGE" or "PACKAGE@VERSION". */
static enum cp_err parse_package(const char *text, struct cl_options *o, struct cp_error *err)
{
    const char *at = strchr(text, '@');
    size_t size = at == NULL ? strlen(text) : (size_t)(at - text);

    if (size == 0 || size >= CL_PACKAGE_SIZE || !is_name(text, size)) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "package '%s': letters, digits, '.', '_' and '-' only", text);
    }
    memcpy(o->package, text, size);
    o->package[size] = '\0';
    o->version = 0;
    if (at != NULL && strcmp(at + 1, "current") != 0) {
        char *end;
        unsigned long number = strtoul(at + 1, &end, 10);

        if (at[1] < '0' || at[1] > '9' || *end != '\0' || number == 0 || number > UINT32_MAX) {
            return cp_error_set(err, CP_ERR_USAGE, "package '%s': the version is a number above 0",
                                text);
        }
        o->version = (uint32_t)number;
    }
    return CP_OK;
}

/* One pin or several with ';' between: "sha256//" and 44 characters of base64 each. */
static bool is_pin(const char *s)
{
    static const char prefix[] = "sha256//";

    for (;;) {
        size_t size = strcspn(s, ";");

        if (size != sizeof prefix - 1 + 44 || strncmp(s, prefix, sizeof prefix - 1) != 0) {
            return false;
        }
        if (s[size] == '\0') {
            return true;
        }
        s += size + 1;
    }
}

static enum cp_err check(const struct cl_options *o, struct cp_error *err)
{
    if (o->output == NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "-o is missing: where to write the package");
    }
    if ((o->account == NULL) != (o->password_file == NULL)) {
        return cp_error_set(err, CP_ERR_USAGE, "--account and --password-file go together");
    }
    if (o->account != NULL && o->token_file != NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "--account and --token-file exclude each other");
    }
    if (o->negotiate && (o->account != NULL || o->token_file != NULL)) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "--negotiate and --account or --token-file exclude each other");
    }
    if (o->account != NULL && strchr(o->account, ':') != NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "--account: a name has no colon");
    }
    if (o->pin != NULL && !is_pin(o->pin)) {
        return cp_error_set(err, CP_ERR_USAGE, "--pin '%s': must be sha256// and 44 characters",
                            o->pin);
    }
    if (o->identity != NULL && !cl_identity_list(o->identity)) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "--identity '%s': must be 64 lower-case hexadecimal digits",
                            o->identity);
    }
    if (o->client_id != NULL &&
        (strlen(o->client_id) > 64 || !is_name(o->client_id, strlen(o->client_id)))) {
        return cp_error_set(err, CP_ERR_USAGE,
                            "--client-id: up to 64 letters, digits, '.', '_' and '-'");
    }
    return CP_OK;
}

enum cp_err cl_options_parse(int argc, char *const argv[], struct cl_options *ret_options,
                             struct cp_error *err)
{
    struct cl_options o = {.log_format = CP_LOG_TEXT};
    int id;

    optind = 0; /* glibc: begin anew */
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":o:qhV", long_options, NULL)) != -1) {
        if (id == '?' || id == ':') {
            return cp_error_set(err, CP_ERR_USAGE, "%s '%s'",
                                id == '?' ? "unknown option" : "value missing after",
                                argv[optind - 1]);
        }
        CP_TRY(apply(&o, id, optarg, err));
    }
    if (!o.help && !o.show_version) {
        if (argc - optind != 2) {
            return cp_error_set(err, CP_ERR_USAGE, "URL and PACKAGE are needed, %d arguments given",
                                argc - optind);
        }
        CP_TRY(parse_url(argv[optind], &o, err));
        CP_TRY(parse_package(argv[optind + 1], &o, err));
        CP_TRY(check(&o, err));
    }
    *ret_options = o;
    return CP_OK;
}
