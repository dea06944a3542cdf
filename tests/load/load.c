/* SPDX-License-Identifier: Apache-2.0
 *
 * load: many API clients at once on one thread (libcurl's multi interface), each with a connection of its own. They make,
 * read, change, list and delete packages and versions. tests/load/run.py starts the service and says what must hold. */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

enum { NAME_MAX_SIZE = 64, ETAG_MAX = 96, BODY_MAX = 2048, COMPLAINTS_MAX = 20 };
#define DRAIN_NS (60 * CP_SEC) /* how long the last requests may go on being refused */

struct step {
    const char *method;
    const char *path; /* %s: the package's name */
    const char *body; /* NULL: none */
    long status;      /* the one good answer */
    bool with_etag;   /* sends If-Match */
    bool names;       /* the answer must hold the package's name */
    const char *says; /* written to the ledger when it succeeded; NULL: nothing */
};

/* What each client does, over and over. Everything but GET is a write. */
static const struct step steps[] = {
    {"POST", "/api/v1/packages", "{\"name\":\"%s\"}", 201, false, true, "made"},
    {"GET", "/api/v1/packages/%s", NULL, 200, false, true, NULL},
    {"PATCH", "/api/v1/packages/%s", "{\"description\":\"of a load\"}", 200, true, true, "changed"},
    {"GET", "/api/v1/packages?limit=50", NULL, 200, false, false, NULL},
    {"GET", "/api/v1/packages/%s/versions", NULL, 200, false, false, NULL},
    {"POST", "/api/v1/packages/%s/versions", "{}", 201, false, false, "version"},
    {"GET", "/api/v1/sessions?limit=20", NULL, 200, false, false, NULL},
    {"GET", "/api/v1/distribution-points/local/settings", NULL, 200, false, false, NULL},
    {"GET", "/api/v1/events?limit=20", NULL, 200, false, false, NULL},
    {"GET", "/api/v1/tasks?limit=20", NULL, 200, false, false, NULL},
};
/* Every other package goes away again. */
static const struct step endings[] = {
    {"GET", "/api/v1/packages/%s", NULL, 200, false, true, NULL},
    {"DELETE", "/api/v1/packages/%s", NULL, 204, true, false, "deleted"},
};
enum {
    STEPS = sizeof steps / sizeof *steps,
    ENDINGS = sizeof endings / sizeof *endings,
    ALL = STEPS + ENDINGS
};

struct samples {
    double *ms;
    size_t count, size;
};

struct load {
    const char *url, *token, *cacert;
    FILE *ledger;
    CURLM *multi;
    struct samples connects, reads, writes; /* without the connecting before them */
    struct samples of_step[ALL];
    uint64_t answered, refused, failed;
    cp_time first_refusal_ns, last_refusal_ns; /* monotonic; 0: none */
    cp_time ends_ns;
    unsigned active;
};

struct client {
    struct load *load;
    CURL *easy;
    struct curl_slist *headers;
    unsigned number, round, at;
    char name[NAME_MAX_SIZE], path[256], body[256], etag[ETAG_MAX], answer[BODY_MAX];
    size_t answer_size;
    long retry_after;       /* seconds, from the last answer */
    cp_time started_ns;     /* of the request under way */
    cp_time waits_until_ns; /* 0: a request is under way */
};

static const struct step *step_at(unsigned at)
{
    return at < STEPS ? &steps[at] : &endings[at - STEPS];
}

static const struct step *step_of(const struct client *c)
{
    return step_at(c->at);
}

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("load: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static void samples_add(struct samples *s, double ms)
{
    if (s->count == s->size) {
        s->size = s->size == 0 ? 4096 : 2 * s->size;
        s->ms = must(realloc(s->ms, s->size * sizeof *s->ms));
    }
    s->ms[s->count++] = ms;
}

static size_t on_header(char *line, size_t one, size_t size, void *ctx)
{
    struct client *c = ctx;
    char text[ETAG_MAX];
    if (size >= sizeof text) {
        return one * size;
    }
    memcpy(text, line, size);
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (strncasecmp(text, "etag: ", 6) == 0) {
        strcpy(c->etag, text + 6);
    } else if (strncasecmp(text, "retry-after: ", 13) == 0) {
        c->retry_after = strtol(text + 13, NULL, 10);
    }
    return one * size;
}

static size_t on_body(char *data, size_t one, size_t size, void *ctx)
{
    struct client *c = ctx;
    size_t room = sizeof c->answer - 1 - c->answer_size;
    size_t taken = size < room ? size : room;
    memcpy(c->answer + c->answer_size, data, taken);
    c->answer_size += taken;
    c->answer[c->answer_size] = '\0';
    return one * size;
}

static void add_header(struct client *c, const char *name, const char *value)
{
    char line[512];
    snprintf(line, sizeof line, "%s: %s", name, value);
    c->headers = must(curl_slist_append(c->headers, line));
}

/* Headers of the request under way: the same ones when it is tried again. */
static void set_headers(struct client *c, const struct step *s)
{
    curl_slist_free_all(c->headers);
    c->headers = NULL;
    add_header(c, "Authorization", c->load->token);
    if (s->body != NULL) {
        add_header(c, "Content-Type", "application/json");
    }
    if (s->with_etag) {
        add_header(c, "If-Match", c->etag);
    }
    if (strcmp(s->method, "POST") == 0) {
        char key[NAME_MAX_SIZE + 16];
        snprintf(key, sizeof key, "%s-%u", c->name, c->at);
        add_header(c, "Idempotency-Key", key);
    }
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
}

/* Paths and bodies hold at most one %s, the package's name. */
static void fill(char *into, size_t size, const char *form, const char *name)
{
    const char *gap = strstr(form, "%s");
    if (gap == NULL) {
        snprintf(into, size, "%s", form);
    } else {
        snprintf(into, size, "%.*s%s%s", (int)(gap - form), form, name, gap + 2);
    }
}

static void send_request(struct client *c)
{
    const struct step *s = step_of(c);
    char url[512], path[256];
    fill(path, sizeof path, s->path, c->name);
    snprintf(url, sizeof url, "%s%s", c->load->url, path);
    set_headers(c, s);
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
    if (s->body != NULL) {
        fill(c->body, sizeof c->body, s->body, c->name);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(c->body));
    }
    curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, s->method);
    c->answer_size = 0;
    c->answer[0] = '\0';
    c->retry_after = 0;
    c->waits_until_ns = 0;
    c->started_ns = cp_clock_now();
    curl_multi_add_handle(c->load->multi, c->easy);
}

/* The next step, or the next package. */
static void advance(struct client *c)
{
    c->at++;
    unsigned last = c->round % 2 == 0 ? STEPS : STEPS + ENDINGS;
    if (c->at == last) {
        c->at = 0;
        c->round++;
    }
    if (c->at == 0) {
        snprintf(c->name, sizeof c->name, "load-%u-%u", c->number, c->round);
    }
}

static void complain(struct client *c, const char *what, long status)
{
    if (c->load->failed++ < COMPLAINTS_MAX) {
        fprintf(stderr, "load: %s %s of %s: %s (status %ld): %s\n", step_of(c)->method,
                step_of(c)->path, c->name, what, status, c->answer);
    }
}

/* Whether a good answer holds what it must. */
static bool answer_is_right(const struct client *c, const struct step *s)
{
    if (s->status == 204) {
        return c->answer_size == 0;
    }
    return c->answer_size > 0 && (!s->names || strstr(c->answer, c->name) != NULL);
}

static void stop_client(struct client *c)
{
    c->waits_until_ns = UINT64_MAX;
    c->load->active--;
}

/* The first request of a connection pays for TCP and TLS: that is told apart. */
static void measure(struct client *c, const struct step *s, cp_time now_ns)
{
    struct load *l = c->load;
    double ms = (double)(now_ns - c->started_ns) / 1e6;
    long connects = 0;
    curl_off_t connecting_us = 0;
    curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (connects > 0) {
        curl_easy_getinfo(c->easy, CURLINFO_APPCONNECT_TIME_T, &connecting_us);
        samples_add(&l->connects, (double)connecting_us / 1e3);
        ms -= (double)connecting_us / 1e3;
    }
    samples_add(strcmp(s->method, "GET") == 0 ? &l->reads : &l->writes, ms);
    samples_add(&l->of_step[c->at], ms);
}

static void succeeded(struct client *c, const struct step *s, cp_time now_ns)
{
    struct load *l = c->load;
    l->answered++;
    measure(c, s, now_ns);
    if (s->says != NULL) {
        fprintf(l->ledger, "%s %s\n", s->says, c->name);
    }
    advance(c);
    if (now_ns >= l->ends_ns) {
        stop_client(c);
    } else {
        send_request(c);
    }
}

static void note_refusal(struct load *l, cp_time now_ns)
{
    l->first_refusal_ns = l->refused == 0 ? now_ns : l->first_refusal_ns;
    l->last_refusal_ns = now_ns;
    l->refused++;
}

/* A request has its answer: go on, or try again when the service said when. */
static void on_answer(struct client *c, CURLcode result)
{
    cp_time now_ns = cp_clock_now();
    const struct step *s = step_of(c);
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(c->load->multi, c->easy);
    if (result == CURLE_OK && status == s->status && answer_is_right(c, s)) {
        succeeded(c, s, now_ns);
    } else if (result == CURLE_OK && status == 503 && c->retry_after > 0 &&
               now_ns < c->load->ends_ns + DRAIN_NS) {
        note_refusal(c->load, now_ns);
        c->waits_until_ns = now_ns + (cp_time)c->retry_after * CP_SEC;
    } else {
        complain(c, result == CURLE_OK ? "wrong answer" : curl_easy_strerror(result), status);
        stop_client(c);
    }
}

static void take_answers(struct load *l)
{
    int left = 0;
    for (CURLMsg *m = curl_multi_info_read(l->multi, &left); m != NULL;
         m = curl_multi_info_read(l->multi, &left)) {
        struct client *c = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        on_answer(c, m->data.result);
    }
}

static void run(struct load *l, struct client *clients, unsigned count)
{
    while (l->active > 0) {
        int running = 0;
        curl_multi_perform(l->multi, &running);
        take_answers(l);
        cp_time now_ns = cp_clock_now();
        for (unsigned i = 0; i < count; i++) {
            if (clients[i].waits_until_ns != 0 && clients[i].waits_until_ns <= now_ns) {
                send_request(&clients[i]);
            }
        }
        if (l->active > 0) {
            curl_multi_poll(l->multi, NULL, 0, 50, NULL);
        }
    }
}

static void client_open(struct client *c, struct load *l, unsigned number)
{
    *c = (struct client){.load = l, .number = number};
    snprintf(c->name, sizeof c->name, "load-%u-0", number);
    c->easy = must(curl_easy_init());
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_CAINFO, l->cacert);
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *s)
{
    if (s->count == 0) {
        printf("\"%s\":{\"count\":0}", name);
        return;
    }
    qsort(s->ms, s->count, sizeof *s->ms, by_size);
    printf("\"%s\":{\"count\":%zu,\"p50_ms\":%.1f,\"p99_ms\":%.1f,\"max_ms\":%.1f}", name, s->count,
           s->ms[s->count / 2], s->ms[s->count * 99 / 100], s->ms[s->count - 1]);
}

static int report(struct load *l)
{
    printf("{\"answered\":%" PRIu64 ",\"refused_503\":%" PRIu64 ",\"failed\":%" PRIu64 ",",
           l->answered, l->refused, l->failed);
    printf("\"refusals_ns\":[%" PRIu64 ",%" PRIu64 "],", (uint64_t)l->first_refusal_ns,
           (uint64_t)l->last_refusal_ns);
    print_samples("connects", &l->connects);
    putchar(',');
    print_samples("reads", &l->reads);
    putchar(',');
    print_samples("writes", &l->writes);
    printf(",\"steps\":{");
    for (unsigned i = 0; i < ALL; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s %s%s", step_at(i)->method, step_at(i)->path,
                 i < STEPS ? "" : " (end)");
        printf("%s", i > 0 ? "," : "");
        print_samples(name, &l->of_step[i]);
        free(l->of_step[i].ms);
    }
    puts("}}");
    free(l->connects.ms);
    free(l->reads.ms);
    free(l->writes.ms);
    return l->failed == 0 ? 0 : 1;
}

static void load_run(struct load *l, unsigned count, unsigned seconds)
{
    struct client *clients = must(calloc(count, sizeof *clients));
    l->multi = must(curl_multi_init());
    curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)count);
    l->ends_ns = cp_clock_now() + seconds * CP_SEC;
    l->active = count;
    for (unsigned i = 0; i < count; i++) {
        client_open(&clients[i], l, i);
        send_request(&clients[i]);
    }
    run(l, clients, count);
    for (unsigned i = 0; i < count; i++) {
        curl_slist_free_all(clients[i].headers);
        curl_easy_cleanup(clients[i].easy);
    }
    curl_multi_cleanup(l->multi);
    free(clients);
}

int main(int argc, char **argv)
{
    const char *token = getenv("CASTPOINT_LOAD_TOKEN");
    unsigned long clients = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
    unsigned long seconds = argc == 6 ? strtoul(argv[4], NULL, 10) : 0;
    if (token == NULL || clients < 1 || clients > 10000 || seconds < 1 || seconds > 3600) {
        fputs("usage: CASTPOINT_LOAD_TOKEN=… load URL CACERT CLIENTS SECONDS LEDGER\n", stderr);
        return 2;
    }
    char bearer[256];
    snprintf(bearer, sizeof bearer, "Bearer %s", token);
    struct load l = {
        .url = argv[1], .cacert = argv[2], .token = bearer, .ledger = fopen(argv[5], "w")};
    if (l.ledger == NULL) {
        perror(argv[5]);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    load_run(&l, (unsigned)clients, (unsigned)seconds);
    bool written = fclose(l.ledger) == 0;
    int status = report(&l);
    curl_global_cleanup();
    return written ? status : 2;
}
