/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of castpointd's options: the command line, which takes each word that the
 * configuration file takes. What is accepted lies within its bounds; what is refused says so. */
#include <arpa/inet.h>
#include <string.h>

#include "server/config.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

#define ARGUMENTS_MAX 16

static const char *const examples[] = {
    "--listen\n[2001:db8::1]:8443\n--threads=4\n--name=dp-1.example\n--log-format=json",
    "--listen=0.0.0.0:0\n--public-url=https://dp.example:8443//\n--log-level=debug",
    "--state-dir=/var/lib/x\n--database=host=/run dbname=y\n--tls-cert=a\n--tls-key=b",
};

static void check(const struct srv_config *c)
{
    unsigned char address[16];

    CP_ASSERT(inet_pton(strchr(c->listen_host, ':') != NULL ? AF_INET6 : AF_INET, c->listen_host,
                        address) == 1);
    CP_ASSERT(c->state_dir[0] == '/' && c->threads >= 2 && c->name[0] != '\0');
    CP_ASSERT(strpbrk(c->name, "/ %?#") == NULL && strcmp(c->name, "local") != 0);
    CP_ASSERT((c->tls_cert[0] == '\0') == (c->tls_key[0] == '\0'));
    CP_ASSERT(strncmp(c->public_url, "https://", 8) == 0);
    CP_ASSERT(c->public_url[strlen(c->public_url) - 1] != '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *argv[ARGUMENTS_MAX] = {"castpointd"};
    char text[FUZZ_TEXT_MAX];
    struct srv_config c;
    struct cp_error err = {.code = CP_OK};
    enum srv_action action = SRV_ACTION_HELP;
    char *next = text;
    enum cp_err rc;
    int argc = 1;

    (void)fuzz_text(data, size, examples, sizeof examples / sizeof examples[0], text);
    while (next != NULL && argc < ARGUMENTS_MAX) {
        argv[argc] = strsep(&next, "\n");
        if (strncmp(argv[argc], "--config", 8) == 0) {
            return 0; /* files are not for the fuzzer to choose */
        }
        argc++;
    }
    rc = srv_config_read(argc, argv, &c, &action, &err);
    CP_ASSERT(rc == CP_OK || (rc == CP_ERR_USAGE && err.code == rc && err.text[0] != '\0'));
    if (rc == CP_OK && action == SRV_ACTION_RUN) {
        check(&c);
    }
    return 0;
}
