/* SPDX-License-Identifier: Apache-2.0
 * What the API's tests stand on: a real database and blob store, one account of each role, and
 * calls as server/ makes them. Every answer is written down for answers.py, which holds it against
 * openapi.yaml. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_API_RIG_H
#define TESTS_API_RIG_H

#include <jansson.h>
#include <stdio.h>

#include "api/api.h"
#include "content/blob.h"
#include "db/db.h"
#include "db/settings.h"
#include "jobs/jobs.h"
#include "keys/credentials.h"

enum rig_who { RIG_NOBODY, RIG_CONTENT, RIG_VIEWER, RIG_OPERATOR, RIG_ADMIN, RIG_WHO_COUNT };

#define RIG_PASSWORD "a password of ten"

struct rig {
    struct api_context ctx;
    struct jobs_context jobs;
    char folder[64];
    char node_id[DB_ID_SIZE];
    char accounts[RIG_WHO_COUNT][16]; /* names: "content", "viewer", … */
    char tokens[RIG_WHO_COUNT][KEYS_TOKEN_SIZE];
    uint64_t settled; /* last event that rig_follow saw */
    FILE *record;     /* one JSON line an answer; NULL: not asked for */
};

/* One in a process, from rig_set_up to rig_tear_down, which are group fixtures of cmocka. */
extern struct rig *rig;
int rig_set_up(void **state);
int rig_tear_down(void **state);

/* One call. path may have a query. Each header is a "Name: value" string. */
struct rig_call {
    enum api_method method;
    const char *path;
    const char *body;          /* JSON text, NULL none */
    const char *type;          /* its Content-Type; NULL: application/json, "": none */
    const char *authorization; /* instead of the token of `who` */
    const char *headers[6];
    const void *data; /* upload */
    size_t size;
    size_t piece;                              /* bytes an upload hands over at once; 0: all */
    bool plain;                                /* over the listener without TLS */
    const char *remote;                        /* the client's address; NULL: 192.0.2.7 */
    const struct api_certificate *certificate; /* that the client showed; NULL: none */
    bool no_length;                            /* chunked */
    bool break_early;                          /* the connection breaks before the last byte */
};

/* GET; PUT of a file. */
struct rig_call rig_call_get(const char *path);
struct rig_call rig_call_put(const char *path, const char *data);

struct rig_answer {
    int status;
    json_t *json; /* body, when it is JSON */
    char *bytes;  /* body, whatever it is, NUL behind it; NULL none */
    size_t size;
    char *link;             /* the header Link; NULL none */
    struct api_response rs; /* for its headers; body and descriptor are gone */
};

/* Calls as `who`. The answer is the rig_answer_done()'s. */
struct rig_answer rig_send(struct rig *r, enum rig_who who, const struct rig_call *call);
void rig_answer_done(struct rig_answer *a);

/* Forgets what the process remembers of passwords and addresses, as a restart does. */
void rig_restart_logins(struct rig *r);

/* "Basic …" of an account. */
void rig_basic(const char *account, const char *password, char ret_header[256]);

/* Short forms: only the status; the answer when it has that status. */
int rig_status(struct rig *r, enum rig_who who, const struct rig_call *call);
struct rig_answer rig_expect(struct rig *r, enum rig_who who, const struct rig_call *call,
                             int status);
struct rig_answer rig_get(struct rig *r, enum rig_who who, const char *path); /* 200 */
/* A refusal: its code, and that the detail names `word` (may be NULL). */
void rig_refused(struct rig *r, enum rig_who who, const struct rig_call *call, const char *code,
                 const char *word);

const char *rig_text(const struct rig_answer *a, const char *field);
json_int_t rig_number(const struct rig_answer *a, const char *field);
/* The same of an object inside. */
const char *rig_text_in(const json_t *object, const char *name);
json_int_t rig_number_in(const json_t *object, const char *name);
const char *rig_header(const struct rig_answer *a, const char *name);

/* The ETag of an address, for If-Match: "If-Match: \"r1\"". */
void rig_if_match(struct rig *r, const char *path, char ret_header[128]);

/* Changes what is at an address, as an administrator; the settings; one of them, the access. */
void rig_change(struct rig *r, const char *path, const char *body);
void rig_settings(struct rig *r, const char *body);
void rig_content_access(struct rig *r, const char *word);

/* Does every task that waits, as the service's workers would. */
void rig_work(struct rig *r);
/* Asks for work that must be accepted (202), does it, and gives the ended task, which must be in
 * that state. */
struct rig_answer rig_task(struct rig *r, enum rig_who who, const struct rig_call *call,
                           const char *state);

/* The same for work that must fail with that code; its detail names `word` (may be NULL). */
void rig_task_fails(struct rig *r, enum rig_who who, const struct rig_call *call, const char *code,
                    const char *word);

/* The log of the newest task of a kind: one of its lines has that level and those words; how many
 * lines it has. */
void rig_log_says(const char *kind, const char *level, const char *words);
int rig_log_lines(const char *kind);

/* A package with a draft; a file in a draft; a sealed version. */
void rig_package(struct rig *r, const char *name, const char *more_fields);
void rig_put(struct rig *r, const char *package, int version, const char *path, const char *data);
void rig_seal(struct rig *r, const char *package, int version);

/* Looks for new events as the service's reader does; listeners get them. */
void rig_follow(struct rig *r);

/* How many events of a kind there are. */
int rig_events(struct rig *r, const char *kind);

/* SQL by hand, as an operator would do it; an event of no node. */
void rig_sql(const char *sql);
void rig_write_event(const char *kind, const char *subject);
/* Waits until somebody waits for a lock, at most for 20 s. */
void rig_await_lock(void);

/* Blobs in the store: files below folder/content/sha256. */
int rig_blob_count(struct rig *r);

#endif
