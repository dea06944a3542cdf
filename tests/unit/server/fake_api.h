/* SPDX-License-Identifier: Apache-2.0
 * A stand-in for api/ behind the HTTP glue: echoes what it got, so that a test sees what the glue
 * made of a request. Counters are atomic: MHD calls from its threads. */
#ifndef TESTS_UNIT_SERVER_FAKE_API_H
#define TESTS_UNIT_SERVER_FAKE_API_H

/* Paths: "/wait" is answered after fake_release(); "/file" answers bytes 10…29 of a file, "/pieces" a body of
 * several pieces, "/big" FAKE_BIG_SIZE zeros, "/big/short" half of that and then nothing; "/plain" whether
 * it came without TLS; "/empty" 204; "/prompt" is answered without a worker; PUT and PATCH "/up" is an upload,
 * "/up/no" one refused to a stranger, "/up/full" to one who is let in; everything else echoes "METHOD path|query…|content_length|body|header X-Echo". */
#define FAKE_REFUSED  0xff  /* a piece of an upload that begins so is refused */
#define FAKE_BODY_MAX 1000u /* unless fake_set_body_max() says otherwise */
/* "/cold": so many bytes from the disk, each four of them their own place. */
#define FAKE_COLD_SIZE (8u * 1024u * 1024u)
#define FAKE_BIG_SIZE  (32u * 1024u * 1024u)

void fake_await_waiting(int count); /* until so many requests for "/wait" have come */
void fake_release(void);
void fake_set_body_max(unsigned size);
int fake_uploads_cut(void);       /* uploads that ended incomplete */
int fake_calls(void);             /* of api_handle */
const char *fake_file_text(void); /* the whole text of the file */

#endif
