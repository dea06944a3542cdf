/* SPDX-License-Identifier: Apache-2.0
 * openapi.yaml and the readable page made of it, built in by tools/api_page.py. Pure data. */
#ifndef API_POINT_DESCRIPTION_H
#define API_POINT_DESCRIPTION_H

#include <stddef.h>

extern const unsigned char api_description[];
extern const size_t api_description_size;
extern const char api_description_etag[];

extern const unsigned char api_page[];
extern const size_t api_page_size;
extern const char api_page_etag[];
extern const char
    api_page_style[]; /* hash of its style sheet, as Content-Security-Policy names it */

#endif
