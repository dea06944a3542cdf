/* SPDX-License-Identifier: Apache-2.0
 * Accepting Kerberos tickets. The acceptor's credentials are those of the keytab file, which is
 * read anew for each ticket: a new key needs no restart. */
#include "api/access/negotiate.h"

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/log.h"

/* A ticket with many groups in it: Windows sends up to 48,000 bytes by default. */
#define TOKEN_MAX 65536

struct api_negotiate {
    gss_cred_id_t credentials;
};

/* What GSSAPI says of a failure: the mechanism's words tell more than those of the frame. */
static void explain(OM_uint32 major, OM_uint32 minor, char *ret_text, size_t cap)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 more = 0;
    OM_uint32 ignored;
    int type = minor != 0 ? GSS_C_MECH_CODE : GSS_C_GSS_CODE;

    ret_text[0] = '\0';
    if (gss_display_status(&ignored, minor != 0 ? minor : major, type, GSS_C_NO_OID, &more,
                           &text) == GSS_S_COMPLETE) {
        size_t size = text.length < cap ? text.length : cap - 1;

        memcpy(ret_text, text.value, size);
        ret_text[size] = '\0';
        (void)gss_release_buffer(&ignored, &text);
    }
}

enum cp_err api_negotiate_new(const char *keytab, struct api_negotiate **ret_negotiate,
                              struct cp_error *err)
{
    gss_key_value_element_desc where = {.key = "keytab", .value = keytab};
    gss_key_value_set_desc store = {.count = 1, .elements = &where};
    struct api_negotiate *n = calloc(1, sizeof *n);
    OM_uint32 major;
    OM_uint32 minor;
    char text[256];

    if (n == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for Kerberos.");
    }
    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                                  GSS_C_ACCEPT, &store, &n->credentials, NULL, NULL);
    if (major != GSS_S_COMPLETE) {
        explain(major, minor, text, sizeof text);
        free(n);
        return cp_error_set(err, CP_ERR_USAGE, "keytab '%s': %s", keytab, text);
    }
    *ret_negotiate = n;
    return CP_OK;
}

void api_negotiate_free(struct api_negotiate *n)
{
    OM_uint32 minor;

    if (n != NULL) {
        (void)gss_release_cred(&minor, &n->credentials);
        free(n);
    }
}

/* The name of whoever the ticket is of, when it is a Kerberos name without odd characters. */
static enum cp_err take_name(gss_name_t name, char ret_principal[API_NAME_SIZE],
                             struct cp_error *err)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_OID type = GSS_C_NO_OID;
    OM_uint32 minor;
    enum cp_err rc = CP_OK;

    if (gss_display_name(&minor, name, &text, &type) != GSS_S_COMPLETE ||
        !gss_oid_equal(type, GSS_KRB5_NT_PRINCIPAL_NAME) || text.length >= API_NAME_SIZE ||
        memchr(text.value, '\0', text.length) != NULL) {
        rc = cp_error_set(err, CP_ERR_AUTH_FAILED,
                          "The ticket's name is not that of a Kerberos principal.");
    } else {
        memcpy(ret_principal, text.value, text.length);
        ret_principal[text.length] = '\0';
    }
    (void)gss_release_buffer(&minor, &text);
    return rc;
}

/* By it the client knows that the service has the key, when it asked for that (RFC 4559 section 5). */
static void take_answer(const gss_buffer_desc *answer, struct api_negotiated *to)
{
    to->answer[0] = '\0';
    if (answer->length > 0 && CP_BASE64_SIZE(answer->length) <= sizeof to->answer) {
        (void)cp_base64_encode(CP_BASE64_STD, answer->value, answer->length, to->answer);
    }
}

static enum cp_err accept_token(struct api_negotiate *n, gss_buffer_t token,
                                struct api_negotiated *ret_negotiated, struct cp_error *err)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc answer = GSS_C_EMPTY_BUFFER;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 minor;
    OM_uint32 ignored;
    OM_uint32 major =
        gss_accept_sec_context(&minor, &context, n->credentials, token, GSS_C_NO_CHANNEL_BINDINGS,
                               &name, NULL, &answer, NULL, NULL, NULL);
    enum cp_err rc;
    char text[256];

    if (major == GSS_S_COMPLETE) {
        rc = take_name(name, ret_negotiated->principal, err);
        take_answer(&answer, ret_negotiated);
    } else if (GSS_ERROR(major) == 0) {
        rc = cp_error_set(err, CP_ERR_AUTH_FAILED,
                          "The client offers no Kerberos ticket at once (NTLM, or a negotiation of "
                          "several steps): get a ticket for this service with 'kinit'.");
    } else {
        explain(major, minor, text, sizeof text);
        cp_log(CP_LOG_INFO, "ticket-refused", "detail", text, NULL);
        rc = cp_error_set(
            err, CP_ERR_AUTH_FAILED,
            "The Kerberos ticket was not accepted: it is damaged, has expired or is for "
            "another service or key, or the clocks differ; the service's log tells.");
    }
    (void)gss_release_name(&ignored, &name);
    (void)gss_release_buffer(&ignored, &answer);
    (void)gss_delete_sec_context(&ignored, &context, GSS_C_NO_BUFFER);
    return rc;
}

enum cp_err api_negotiate_accept(struct api_negotiate *n, const char *text,
                                 struct api_negotiated *ret_negotiated, struct cp_error *err)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    size_t room = strlen(text) / 4 * 3 + 3;
    enum cp_err rc;

    if (room > TOKEN_MAX) {
        return cp_error_set(err, CP_ERR_AUTH_FAILED, "The Kerberos ticket is over %u bytes.",
                            TOKEN_MAX);
    }
    token.value = malloc(room);
    if (token.value == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the Kerberos ticket.");
    }
    if (cp_base64_decode(CP_BASE64_STD, text, strlen(text), token.value, room, &token.length) &&
        token.length > 0) {
        rc = accept_token(n, &token, ret_negotiated, err);
    } else {
        rc = cp_error_set(err, CP_ERR_AUTH_FAILED, "What follows 'Negotiate' is not base64.");
    }
    free(token.value);
    return rc;
}
