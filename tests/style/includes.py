#!/usr/bin/env python3
"""Who may include whom, and where foreign headers live (docs/architecture.md). Usage: includes.py ROOT"""
import re
import sys

import tree

LIBC = {'assert.h', 'ctype.h', 'errno.h', 'inttypes.h', 'limits.h', 'math.h', 'setjmp.h', 'stdarg.h', 'stdbool.h',
        'stddef.h', 'stdint.h', 'stdio.h', 'stdlib.h', 'string.h', 'strings.h', 'stdatomic.h'}
# The core needs no more of libc than memory, strings and arithmetic.
PURE_LIBC = {'limits.h', 'inttypes.h', 'math.h', 'stdbool.h', 'stddef.h', 'stdint.h', 'stdlib.h', 'string.h'}
PURE = {'multicast/norm', 'multicast/fec'}

FACADE = {'multicast/session.h'}
ENGINE = {'multicast/io', 'multicast/norm', 'multicast/fec', 'multicast/seal', 'common'}
# Module -> modules (and single headers) that it may include, besides itself.
MAY_INCLUDE = {
    'common': set(),
    'content': {'common'},
    'multicast/norm': {'common'},
    'multicast/fec': {'common'},
    'multicast/seal': {'common'},
    'multicast/io': {'multicast/norm', 'multicast/fec', 'multicast/seal', 'common'},
    'multicast': ENGINE,
    'db': {'common'},
    'keys': {'db', 'content', 'common'},
    'jobs': {'keys', 'db', 'content', 'common'},
    'api': {'keys', 'db', 'content', 'common'},
    'server': {'api', 'jobs', 'keys', 'db', 'content', 'common'} | FACADE,
    'client': {'content', 'common'} | FACADE,
    'cli': {'content', 'common'} | FACADE,
}

SOCKETS = ['multicast/io/', 'server/', 'jobs/', 'client/', 'db/wait']
# Foreign header (regular expression) -> path prefixes that may include it.
FOREIGN = {
    r'microhttpd\.h': ['server/http'],
    r'gssapi/.*': ['api/access/negotiate'],
    r'gnutls/.*': ['server/http', 'server/tls'],
    r'libpq-fe\.h': ['db/'],
    r'curl/.*': ['client/', 'cli/', 'jobs/webhook_http'],
    r'openssl/.*': ['multicast/seal/', 'content/', 'keys/credentials'],
    r'jansson\.h': ['api/', 'jobs/', 'keys/', 'db/event_json', 'content/manifest', 'content/certificate', 'client/', 'cli/'],
    r'isa-l\.h|isa-l/.*': ['multicast/fec/'],
    r'sys/(socket|epoll|un|eventfd|timerfd)\.h|netinet/.*|arpa/.*|net/.*|linux/.*|netdb\.h|ifaddrs\.h|poll\.h': SOCKETS,
}
# At most so many files of one folder may include it.
ONE_FILE = [(r'curl/.*', 'client/'), (r'curl/.*', 'cli/'), (r'curl/.*', 'jobs/'), (r'openssl/.*', 'keys/')]
CLOCK_READERS = {'common/clock.c'}
CLOCK = re.compile(r'\b(clock_gettime|gettimeofday|time|timespec_get|ftime)\s*\(')

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
COMMENT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def module_of(path):
    """multicast/norm/x.h -> multicast/norm; multicast/session.h -> multicast; db/x.c -> db."""
    parts = path.split('/')
    if parts[0] == 'multicast' and len(parts) > 2:
        return '/'.join(parts[:2])
    return parts[0]


def check_project(path, module, header, complaints):
    if '/' not in header:
        complaints.append(f'{path}: "{header}" is not a path from the project root')
        return
    other = module_of(header)
    if other != module and other not in MAY_INCLUDE[module] and header not in MAY_INCLUDE[module]:
        complaints.append(f'{path}: {module} must not include {header}')


def check_foreign(path, module, header, complaints):
    if module in PURE and header not in PURE_LIBC and not header.startswith('isa-l'):
        complaints.append(f'{path}: the pure core must not include <{header}>')
    if header in LIBC:
        return
    for pattern, places in FOREIGN.items():
        if re.fullmatch(pattern, header) and not path.startswith(tuple(places)):
            complaints.append(f'{path}: <{header}> belongs to {", ".join(places)}')


def is_own(include, own):
    """x.c begins with x.h, or with a private x_state.h that goes further."""
    return include == ('"', own) or include[0] == '"' and include[1].startswith(own[:-2] + '_')


def check_file(path, text, exists, complaints):
    """Complaints about one file of a module; returns its foreign headers. exists(path): is there such a file?"""
    module = module_of(path)
    found = INCLUDE.findall(text)
    own = path[:-2] + '.h'
    if path.endswith('.c') and exists(own) and not (found and is_own(found[0], own)):
        complaints.append(f'{path}: its own header {own} comes first')
    for bracket, header in found:
        if bracket == '"':
            check_project(path, module, header, complaints)
        else:
            check_foreign(path, module, header, complaints)
    if path not in CLOCK_READERS and CLOCK.search(COMMENT.sub(' ', text)):
        complaints.append(f'{path}: only {", ".join(CLOCK_READERS)} reads a clock')
    return [header for bracket, header in found if bracket == '<']


def check_one_file(users, complaints):
    for pattern, folder in ONE_FILE:
        who = sorted({p for p, headers in users.items() if p.startswith(folder) and p.endswith('.c')
                      and any(re.fullmatch(pattern, h) for h in headers)})
        if len(who) > 1:
            complaints.append(f'<{pattern}> belongs into one file of {folder}, not into {", ".join(who)}')


def main():
    root, complaints, users = sys.argv[1], [], {}
    paths = tree.files(root, ['.c', '.h'], {m.split('/')[0] for m in MAY_INCLUDE})
    known = set(paths)
    for path in paths:
        users[path] = check_file(path, tree.read(root, path), known.__contains__, complaints)
    check_one_file(users, complaints)
    tree.finish('includes', len(paths), complaints)


if __name__ == '__main__':
    main()
