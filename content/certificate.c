/* SPDX-License-Identifier: Apache-2.0
 * Certificates of multicast keys. Pure but for libcrypto behind jws.h; the caller gives the time. */
#include "content/certificate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base64.h"
#include "common/time.h"

#define KIND        "multicast-key"
#define CLOCK_GRACE (300 * CP_SEC)
#define NODE_SIZE   36u

/* Exactly `count` digits; UINT32_MAX when there are none. */
static uint32_t digits(const char *s, size_t count)
{
    uint32_t value = 0;

    for (size_t i = 0; i < count; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return UINT32_MAX;
        }
        value = value * 10 + (uint32_t)(s[i] - '0');
    }
    return value;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar: years are counted from March, so that
 * the leap day comes last (H. Hinnant, days_from_civil). */
static uint64_t days_since_epoch(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t y = month <= 2 ? year - 1 : year;
    uint32_t era = y / 400;
    uint32_t year_of_era = y - era * 400;
    uint32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return (uint64_t)era * 146097 + day_of_era - 719468;
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* ".123" to nanoseconds; the position behind it in *text. */
static bool parse_fraction(const char **text, uint64_t *ret_ns)
{
    uint64_t ns = 0;
    size_t count = 0;

    if (**text != '.') {
        *ret_ns = 0;
        return true;
    }
    (*text)++;
    while (**text >= '0' && **text <= '9' && count < 10) {
        ns = ns * 10 + (uint64_t)(**text - '0');
        (*text)++;
        count++;
    }
    if (count == 0 || count > 9) {
        return false;
    }
    for (; count < 9; count++) {
        ns *= 10;
    }
    *ret_ns = ns;
    return true;
}

enum cp_err certificate_time_parse(const char *text, uint64_t *ret_ns)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    uint32_t year, month, day, hour, minute, second;
    uint64_t ns;

    for (size_t i = 0; shape[i] != '\0'; i++) {
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i]) {
            return CP_ERR_INVALID;
        }
    }
    year = digits(text, 4);
    month = digits(text + 5, 2);
    day = digits(text + 8, 2);
    hour = digits(text + 11, 2);
    minute = digits(text + 14, 2);
    second = digits(text + 17, 2);
    text += sizeof shape - 1;
    /* Up to 2500 the result fits 64 bits of nanoseconds. */
    if (year < 1970 || year > 2500 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month) || hour > 23 || minute > 59 || second > 59 ||
        !parse_fraction(&text, &ns) || strcmp(text, "Z") != 0) {
        return CP_ERR_INVALID;
    }
    *ret_ns = ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 * CP_SEC +
              second * CP_SEC + ns;
    return CP_OK;
}

/* 8-4-4-4-12 lower-case hexadecimal digits. */
static bool is_uuid(const char *s)
{
    if (strlen(s) != NODE_SIZE || strspn(s, "0123456789abcdef-") != NODE_SIZE) {
        return false;
    }
    for (size_t i = 0; i < NODE_SIZE; i++) {
        if ((s[i] == '-') != (i == 8 || i == 13 || i == 18 || i == 23)) {
            return false;
        }
    }
    return true;
}

static bool copy_time(const char *text, char ret_text[CERTIFICATE_TIME_SIZE], uint64_t *ret_ns)
{
    if (text == NULL || strlen(text) >= CERTIFICATE_TIME_SIZE ||
        certificate_time_parse(text, ret_ns) != CP_OK) {
        return false;
    }
    memcpy(ret_text, text, strlen(text) + 1);
    return true;
}

enum cp_err certificate_sign(const struct jws_key *identity, const struct certificate *c,
                             char **ret_jws)
{
    char public_key[CP_BASE64_SIZE(JWS_KEY_SIZE)];
    char fingerprint[JWS_FINGERPRINT_SIZE];
    char payload[512];
    uint64_t ns;
    int size;

    if (!is_uuid(c->node) || certificate_time_parse(c->not_before, &ns) != CP_OK ||
        certificate_time_parse(c->not_after, &ns) != CP_OK) {
        return CP_ERR_INVALID;
    }
    (void)cp_base64_encode(CP_BASE64_URL, c->public_key, JWS_KEY_SIZE, public_key);
    CP_TRY(jws_fingerprint(c->public_key, fingerprint));
    size = snprintf(payload, sizeof payload,
                    "{\"castpoint\":\"" KIND "\",\"public_key\":\"%s\",\"fingerprint\":\"%s\","
                    "\"node\":\"%s\",\"not_before\":\"%s\",\"not_after\":\"%s\"}",
                    public_key, fingerprint, c->node, c->not_before, c->not_after);
    CP_ASSERT(size > 0 && (size_t)size < sizeof payload);
    return jws_sign(identity, payload, (size_t)size, ret_jws);
}

/* The fields of a payload whose signature is valid. */
static bool parse_payload(const json_t *root, struct certificate *c, uint64_t *ret_not_before,
                          uint64_t *ret_not_after)
{
    const char *kind = json_string_value(json_object_get(root, "castpoint"));
    const char *key = json_string_value(json_object_get(root, "public_key"));
    const char *fingerprint = json_string_value(json_object_get(root, "fingerprint"));
    const char *node = json_string_value(json_object_get(root, "node"));
    char expected[JWS_FINGERPRINT_SIZE];
    size_t size = 0;

    if (kind == NULL || strcmp(kind, KIND) != 0 || key == NULL || fingerprint == NULL ||
        node == NULL || !is_uuid(node)) {
        return false;
    }
    if (!cp_base64_decode(CP_BASE64_URL, key, strlen(key), c->public_key, JWS_KEY_SIZE, &size) ||
        size != JWS_KEY_SIZE || jws_fingerprint(c->public_key, expected) != CP_OK ||
        strcmp(expected, fingerprint) != 0) {
        return false;
    }
    memcpy(c->node, node, NODE_SIZE + 1);
    return copy_time(json_string_value(json_object_get(root, "not_before")), c->not_before,
                     ret_not_before) &&
           copy_time(json_string_value(json_object_get(root, "not_after")), c->not_after,
                     ret_not_after);
}

enum cp_err certificate_verify(const uint8_t identity[JWS_KEY_SIZE], const char *jws,
                               uint64_t now_ns, struct certificate *ret_certificate,
                               struct cp_error *err)
{
    struct certificate c = {.node = ""};
    uint64_t not_before = 0;
    uint64_t not_after = 0;
    char *payload;
    size_t size;
    json_t *root;
    bool ok;

    CP_TRY(jws_verify(identity, jws, &payload, &size, err));
    root = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    free(payload);
    ok = root != NULL && parse_payload(root, &c, &not_before, &not_after);
    json_decref(root);
    if (!ok) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "not the certificate of a multicast key");
    }
    if (now_ns != 0 && cp_time_add(now_ns, CLOCK_GRACE) < not_before) {
        return cp_error_set(err, CP_ERR_SIGNATURE,
                            "the certificate is valid from %s on; is this machine's clock right?",
                            c.not_before);
    }
    if (now_ns != 0 && now_ns > cp_time_add(not_after, CLOCK_GRACE)) {
        return cp_error_set(err, CP_ERR_SIGNATURE,
                            "the certificate was valid until %s; is this machine's clock right?",
                            c.not_after);
    }
    *ret_certificate = c;
    return CP_OK;
}
