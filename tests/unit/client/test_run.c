/* SPDX-License-Identifier: Apache-2.0
 * Whole runs of castget against the fake distribution point, over real TLS and real multicast on
 * the loopback of a network namespace of its own: what arrives, what is refused, what is reported,
 * and that nothing half-written is left. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "client/output.h"
#include "client/run.h"
#include "common/log.h"
#include "tests/integration/session_rig.h"
#include "tests/support/folder.h"
#include "tests/unit/client/fake_service.h"

#define MIB ((size_t)CONTENT_CHUNK_SIZE)

struct fixture {
    struct fake_service s;
    struct cl_options o;
    struct cp_error err;
    char folder[FOLDER_SIZE];
    char output[96];
    char summary[96];
    char secret_file[96];
    atomic_bool stop;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (!folder_make("run", f->folder)) {
        return -1;
    }
    (void)snprintf(f->output, sizeof f->output, "%s/out", f->folder);
    (void)snprintf(f->summary, sizeof f->summary, "%s/summary", f->folder);
    (void)snprintf(f->secret_file, sizeof f->secret_file, "%s/secret", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_service_stop(&f->s);
    folder_remove(f->folder);
    free(f);
    return 0;
}

/* Starts the service as ordered in f->s and fills in the options of a plain call. */
static void serve(struct fixture *f, size_t zero_chunk)
{
    fake_service_start(&f->s, zero_chunk);
    (void)snprintf(f->o.base_url, sizeof f->o.base_url, "%s", f->s.url);
    (void)snprintf(f->o.package, sizeof f->o.package, FAKE_PACKAGE);
    f->o.output = f->output;
    f->o.pin = f->s.tls.pin;
    f->o.summary = f->summary;
    f->o.quiet = true;
}

static enum cp_err run(struct fixture *f)
{
    memset(&f->err, 0, sizeof f->err);
    return cl_run(&f->o, &f->stop, &f->err);
}

static void write_secret(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->secret_file, "we");

    assert_true(fputs(text, file) >= 0);
    (void)fclose(file);
}

static void assert_output(const struct fixture *f)
{
    for (size_t i = 0; i < FAKE_FILES; i++) {
        const struct manifest_file *m = &f->s.manifest->files[i];
        uint8_t *found = malloc(m->size + 1);
        char path[256];
        FILE *file;

        (void)snprintf(path, sizeof path, "%s/%s", f->output, m->path);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fread(found, 1, m->size + 1, file), m->size);
        (void)fclose(file);
        assert_memory_equal(found, f->s.data + m->stream_offset, m->size);
        free(found);
    }
}

static void assert_nothing(const struct fixture *f)
{
    assert_int_not_equal(access(f->output, F_OK), 0);
}

static int64_t number(const char *text, const char *key)
{
    json_t *root = json_loads(text, 0, NULL);
    int64_t value;

    assert_true(json_is_integer(json_object_get(root, key)));
    value = json_integer_value(json_object_get(root, key));
    json_decref(root);
    return value;
}

static void assert_failed(struct fixture *f, enum cp_err code, const char *text)
{
    assert_int_equal(run(f), code);
    if (strstr(f->err.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", f->err.text, text);
    }
    assert_nothing(f);
}

static void https_brings_everything(void **state)
{
    struct fixture *f = *state;
    json_t *summary;

    serve(f, 2);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_int_equal(f->s.content_bytes, f->s.map->content_size); /* the zero chunk was not asked */
    assert_int_equal(f->s.joins, 1);
    assert_int_equal(f->s.results, 1);
    assert_non_null(strstr(f->s.result, "\"outcome\":\"done\""));
    assert_int_equal(number(f->s.result, "bytes_https"), f->s.map->content_size);
    assert_int_equal(number(f->s.result, "bytes_total"), f->s.manifest->stream_size);
    assert_true(f->s.progress_puts > 0);
    summary = json_load_file(f->summary, 0, NULL);
    assert_true(json_is_true(json_object_get(summary, "verified")));
    assert_int_equal(json_integer_value(json_object_get(summary, "version")), 7);
    json_decref(summary);
}

static void trust_is_needed(void **state)
{
    struct fixture *f = *state;

    serve(f, SIZE_MAX);
    f->o.pin = NULL;
    assert_failed(f, CP_ERR_TLS_UNTRUSTED, f->s.url);
    f->o.pin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_failed(f, CP_ERR_TLS_UNTRUSTED, "");
    f->o.cacert = f->s.cacert; /* the right authority does not heal a wrong pin */
    assert_failed(f, CP_ERR_TLS_UNTRUSTED, "");
    assert_int_equal(f->s.joins, 0);
    f->o.pin = NULL;
    f->o.cacert = "/etc/passwd";
    assert_failed(f, CP_ERR_USAGE, "--cacert '/etc/passwd' holds no certificate");
    f->o.cacert = f->s.cacert;
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
}

static void access_is_told_in_one_line(void **state)
{
    struct fixture *f = *state;

    f->s.authenticated = true;
    serve(f, SIZE_MAX);
    assert_failed(f, CP_ERR_AUTH_REQUIRED, "wants an account");
    f->o.account = "bob";
    f->o.password_file = f->secret_file;
    write_secret(f, "wrong\n");
    assert_failed(f, CP_ERR_AUTH_FAILED, "wrong password");
    write_secret(f, "secret\n");
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
}

static void token_opens_too(void **state)
{
    struct fixture *f = *state;

    f->s.authenticated = true;
    serve(f, SIZE_MAX);
    f->o.token_file = f->secret_file;
    write_secret(f, "cpt_x\n");
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
}

static void refusal_keeps_its_code(void **state)
{
    struct fixture *f = *state;
    json_t *summary;

    f->s.join_problem = CP_ERR_VERSION_NOT_SEALED;
    serve(f, SIZE_MAX);
    assert_failed(f, CP_ERR_VERSION_NOT_SEALED, "as the test ordered");
    summary = json_load_file(f->summary, 0, NULL);
    assert_true(json_is_false(json_object_get(summary, "verified")));
    assert_int_equal(json_integer_value(json_object_get(summary, "exit_status")), 4);
    json_decref(summary);
}

static void foreign_manifest_is_refused(void **state)
{
    struct fixture *f = *state;

    f->s.foreign_manifest_key = true;
    serve(f, SIZE_MAX);
    assert_failed(f, CP_ERR_SIGNATURE, "manifest");
    assert_int_equal(f->s.content_requests, 0);
}

static void passing_faults_are_passed(void **state)
{
    struct fixture *f = *state;

    f->s.join_refusals = 1;
    f->s.content_refusals = 1;
    f->s.content_corrupt = 1;
    f->s.content_cut = 1;
    serve(f, SIZE_MAX);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_true(f->s.content_requests > FAKE_FILES);
}

static void wrong_content_is_never_kept(void **state)
{
    struct fixture *f = *state;

    f->s.content_corrupt = 1000;
    serve(f, SIZE_MAX);
    assert_failed(f, CP_ERR_CHUNK_DIGEST, "chunk");
    assert_non_null(strstr(f->s.result, "chunk-digest-mismatch"));
}

static void zeros_need_no_transfer(void **state)
{
    struct fixture *f = *state;

    f->s.no_https = true;
    serve(f, SIZE_MAX - 1);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_int_equal(f->s.content_requests, 0);
}

static void require_does_not_touch_https(void **state)
{
    struct fixture *f = *state;

    f->s.no_https = true;
    f->s.session = true;
    serve(f, SIZE_MAX);
    assert_failed(f, CP_ERR_NO_MULTICAST_HEARD, "239.77.9.1");
    assert_non_null(strstr(f->s.result, "no-multicast-heard"));
    f->o.no_multicast = true;
    assert_failed(f, CP_ERR_MULTICAST_ONLY, "");
    assert_int_equal(f->s.content_requests, 0);
}

static void signal_ends_it_cleanly(void **state)
{
    struct fixture *f = *state;

    f->s.content_refusals = 1000; /* it would try for half a minute */
    serve(f, SIZE_MAX);
    atomic_store(&f->stop, true);
    assert_failed(f, CP_ERR_INTERRUPTED, "");
    assert_int_equal(f->s.joins, 0);
}

/* What a killed run left is believed by its digests and not fetched again. */
static void killed_run_is_resumed(void **state)
{
    struct fixture *f = *state;
    char path[160];
    int fd;

    serve(f, SIZE_MAX);
    assert_int_equal(mkdir(f->output, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/a%s", f->output, CL_PARTIAL_SUFFIX);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, f->s.data, MIB, 0), (ssize_t)MIB);
    (void)close(fd);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_int_equal(f->s.content_bytes, f->s.manifest->stream_size - MIB);
}

static void silence_falls_back_to_https(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    serve(f, 1);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_string_equal(f->s.moved_reason, "no-multicast-heard");
    assert_int_equal(f->s.content_bytes, f->s.map->content_size);
    assert_int_equal(number(f->s.result, "bytes_multicast"), 0);
}

static void multicast_brings_everything(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    f->s.sending = true;
    f->s.no_https = true;
    f->s.silence_ms = 5000;
    serve(f, 3);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_int_equal(f->s.content_requests, 0);
    assert_int_equal(number(f->s.result, "bytes_multicast") + number(f->s.result, "bytes_repair"),
                     f->s.map->content_size);
    assert_int_equal(number(f->s.result, "bytes_https"), 0);
    assert_non_null(strstr(f->s.result, "\"outcome\":\"done\""));
}

/* What multicast brought stays; HTTPS is asked for the rest and for not a byte more. */
static void https_brings_exactly_the_rest(void **state)
{
    struct fixture *f = *state;
    uint64_t stream_size;
    int64_t by_multicast, by_https;

    f->s.session = true;
    f->s.sending = true;
    f->s.half = true;
    f->s.silence_ms = 1500;
    serve(f, SIZE_MAX);
    stream_size = f->s.manifest->stream_size;
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_string_equal(f->s.moved_reason, "sender-silent");
    by_multicast = number(f->s.result, "bytes_multicast") + number(f->s.result, "bytes_repair");
    by_https = number(f->s.result, "bytes_https");
    assert_true(by_multicast >= (int64_t)MIB);
    assert_true(by_https >= (int64_t)MIB);
    assert_int_equal(by_multicast + by_https, stream_size);
    assert_int_equal(f->s.content_bytes, by_https);
}

static void service_can_send_it_away(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    f->s.leave = true;
    f->s.silence_ms = 60000;
    serve(f, SIZE_MAX);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_string_equal(f->s.moved_reason, "cancelled");
}

/* The service does not serve it any more: only what is missing comes by HTTPS. */
static void too_slow_for_the_group_it_moves(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    f->s.sending = true;
    f->s.half = true;
    f->s.too_slow = true;
    f->s.silence_ms = 60000;
    serve(f, SIZE_MAX);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_string_equal(f->s.moved_reason, "receiver-too-slow");
    assert_int_equal(f->s.content_bytes, number(f->s.result, "bytes_https"));
}

/* The session ends before the next report: it asks why before it says so. */
static void too_slow_is_learnt_at_the_end(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    f->s.sending = true;
    f->s.half = true;
    f->s.too_slow = true;
    f->s.late = true;
    f->s.silence_ms = 1500;
    serve(f, SIZE_MAX);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_string_equal(f->s.moved_reason, "receiver-too-slow");
}

/* Without HTTPS it says why it gives up, with the figures. */
static void too_slow_and_multicast_only_fails(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    f->s.no_https = true;
    f->s.too_slow = true;
    f->s.silence_ms = 60000;
    serve(f, SIZE_MAX);
    assert_failed(f, CP_ERR_RECEIVER_TOO_SLOW, "99 repair symbols");
    assert_non_null(strstr(f->s.result, "receiver-too-slow"));
    assert_int_equal(f->s.content_requests, 0);
}

static void packets_with_gmac_are_received(void **state)
{
    struct fixture *f = *state;

    f->s.session = true;
    f->s.sending = true;
    f->s.gmac = true;
    serve(f, SIZE_MAX);
    assert_int_equal(run(f), CP_OK);
    assert_output(f);
    assert_int_equal(f->s.content_requests, 0);
}

static void missing_interface_is_named(void **state)
{
    struct fixture *f = *state;

    serve(f, SIZE_MAX);
    f->o.interface = "nosuch0";
    assert_failed(f, CP_ERR_INTERFACE, "nosuch0");
    assert_int_equal(f->s.joins, 0);
}

static void nobody_there(void **state)
{
    struct fixture *f = *state;

    serve(f, SIZE_MAX);
    (void)snprintf(f->o.base_url, sizeof f->o.base_url, "https://127.0.0.1:1");
    assert_failed(f, CP_ERR_SERVICE_UNREACHABLE, "127.0.0.1:1");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(https_brings_everything),
        TEST(trust_is_needed),
        TEST(access_is_told_in_one_line),
        TEST(token_opens_too),
        TEST(refusal_keeps_its_code),
        TEST(foreign_manifest_is_refused),
        TEST(passing_faults_are_passed),
        TEST(wrong_content_is_never_kept),
        TEST(zeros_need_no_transfer),
        TEST(require_does_not_touch_https),
        TEST(signal_ends_it_cleanly),
        TEST(killed_run_is_resumed),
        TEST(silence_falls_back_to_https),
        TEST(multicast_brings_everything),
        TEST(https_brings_exactly_the_rest),
        TEST(service_can_send_it_away),
        TEST(missing_interface_is_named),
        TEST(nobody_there),
        TEST(too_slow_for_the_group_it_moves),
        TEST(too_slow_is_learnt_at_the_end),
        TEST(too_slow_and_multicast_only_fails),
        TEST(packets_with_gmac_are_received),
    };

    cp_log_init("test", CP_LOG_TEXT, CP_LOG_ERROR, STDERR_FILENO);
    if (!rig_namespace()) {
        (void)fprintf(stderr, "test_client_run: needs a network namespace of its own (root)\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
