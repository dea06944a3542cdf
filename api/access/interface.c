/* SPDX-License-Identifier: Apache-2.0
 * Names of interfaces from /proc/self/net/dev, which always shows this process's namespace. */
#include "api/access/interface.h"

#include <stdio.h>
#include <string.h>

#define LINE_SIZE 512

bool api_interface_exists(const char *name)
{
    FILE *file = fopen("/proc/self/net/dev", "re");
    char line[LINE_SIZE];
    bool found = false;

    if (file == NULL) {
        return true;
    }
    while (!found && fgets(line, sizeof line, file) != NULL) {
        const char *at = line + strspn(line, " ");
        size_t size = strcspn(at, ":");

        found = at[size] == ':' && size == strlen(name) && memcmp(at, name, size) == 0;
    }
    (void)fclose(file);
    return found;
}

bool api_ipv4_parse(const char *text, uint32_t *ret_address)
{
    uint32_t address = 0;

    for (int part = 0; part < 4; part++) {
        size_t digits = strspn(text, "0123456789");
        uint32_t value = 0;

        if (digits == 0 || digits > 3 || (digits > 1 && text[0] == '0')) {
            return false;
        }
        for (size_t i = 0; i < digits; i++) {
            value = value * 10 + (uint32_t)(text[i] - '0');
        }
        text += digits;
        if (value > 255 || *text != (part < 3 ? '.' : '\0')) {
            return false;
        }
        text += part < 3 ? 1 : 0;
        address = address << 8 | value;
    }
    *ret_address = address;
    return true;
}

/* One to four hexadecimal digits; false when there are none or more. */
static bool read_hex(const char **text, uint8_t ret_pair[2])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t value = 0;
    size_t count = 0;

    for (; **text != '\0' && **text != ':'; (*text)++, count++) {
        char c = (char)(**text >= 'A' && **text <= 'F' ? **text - 'A' + 'a' : **text);
        const char *at = strchr(digits, c);

        if (at == NULL || count == 4) {
            return false;
        }
        value = value << 4 | (uint32_t)(at - digits);
    }
    ret_pair[0] = (uint8_t)(value >> 8);
    ret_pair[1] = (uint8_t)value;
    return count > 0;
}

bool api_ipv6_parse(const char *text, uint8_t ret_address[16])
{
    uint8_t address[16] = {0};
    size_t count = 0;
    size_t gap = SIZE_MAX; /* where "::" stands */

    while (*text != '\0') {
        if (text[0] == ':' && text[1] == ':') {
            if (gap != SIZE_MAX) {
                return false;
            }
            gap = count;
            text += 2;
            continue;
        }
        if (*text == ':' && (count == 0 || count == gap)) {
            return false; /* nothing stands before it, or "::" does */
        }
        text += *text == ':' ? 1 : 0;
        if (count == sizeof address || !read_hex(&text, address + count)) {
            return false;
        }
        count += 2;
    }
    if (gap == SIZE_MAX ? count != sizeof address : count >= sizeof address) {
        return false;
    }
    memset(ret_address, 0, sizeof address);
    gap = gap == SIZE_MAX ? count : gap;
    memcpy(ret_address, address, gap);
    memcpy(ret_address + sizeof address - (count - gap), address + gap, count - gap);
    return true;
}
