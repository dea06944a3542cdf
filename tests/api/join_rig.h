/* SPDX-License-Identifier: Apache-2.0
 * What tests of joins stand on: the API's rig, and joins whose tickets were checked. A failure ends
 * the test by a cmocka assertion. */
#ifndef TESTS_API_JOIN_RIG_H
#define TESTS_API_JOIN_RIG_H

#include "content/jws.h"
#include "tests/api/rig.h"

/* POST /joins with that body; a body. */
struct rig_call join_call(const char *body);
#define JOIN(package, client)                                                                      \
    "{\"package\": \"" package "\", \"client_id\": \"" client "\", \"client_name\": \"pc\","       \
    " \"client_version\": \"0.1.0\", \"multicast\": true}"

/* A sealed version of a new package, which holds one file. */
void sealed_package(const char *name, const char *more_fields);

/* A join whose answer was checked: signatures, forms; ticket is its payload. */
struct joined {
    struct rig_answer answer;
    json_t *ticket;
    char bearer[128]; /* value of an Authorization header */
    uint8_t key[JWS_KEY_SIZE];
};
struct joined joined_as(enum rig_who who, const char *body, int status);
void joined_done(struct joined *j);

/* An object of the ticket. */
json_t *joined_object(const struct joined *j, const char *name);
/* Calls an address of the join with its token. */
struct rig_answer joined_call(const struct joined *j, enum api_method method, const char *tail,
                              const char *body, int status);
int joined_status(const struct joined *j, enum api_method method, const char *tail,
                  const char *body);

/* Ends whatever session there is, by hand. */
void end_sessions(void);

#endif
