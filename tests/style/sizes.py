#!/usr/bin/env python3
"""Hard limits of the code style: sizes of files and functions, parameters, nesting, comments, licence line.
Exceptions are named in sizes.except, one "path function-or-* reason" per line. Usage: sizes.py ROOT"""
import os
import re
import sys

import tree

FILE_LINES, HEADER_LINES, FUNCTION_LINES, PARAMETERS, NESTING = 1000, 300, 100, 6, 4
SOURCES = {'common', 'content', 'multicast', 'db', 'keys', 'jobs', 'api', 'server', 'client', 'cli', 'tests'}
LICENCE = '/* SPDX-License-Identifier: Apache-2.0'

STRINGS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'')
COMMENTS = re.compile(r'/\*.*?\*/', re.S)
CONTROL = re.compile(r'(\)|\belse|\bdo)\s*\{\s*\\?$')


def blank(match):
    """Keeps line numbers when something is cut out."""
    return '\n' * match.group(0).count('\n')


def functions(text):
    """(name, first line, parameters, body lines) of every function: clang-format puts its braces in column 0."""
    lines, head = text.split('\n'), 0
    for number, line in enumerate(lines):
        if line == '{':
            signature = ' '.join(lines[head:number])
            name = re.search(r'(\w+)\s*\(', signature)
            end = lines.index('}', number)
            inner = signature[signature.find('(') + 1:signature.rfind(')')] if name else ''
            yield name.group(1) if name else '?', head, parameters(inner), lines[head:end + 1]
        elif line == '' or line.startswith(('}', '#')) or line.endswith(';'):
            head = number + 1


def parameters(inner):
    depth = count = 0
    for c in inner:
        depth += (c in '([') - (c in ')]')
        count += c == ',' and depth == 0
    # The text for humans that edge modules hand up comes last, everywhere, and tells the reader nothing new.
    return count + (not inner.endswith('struct cp_error *err'))


def nesting(body):
    """Deepest control block within the function's own braces."""
    stack, deepest = [], 0
    for line in body[1:]:
        code = line.strip()
        opens, closes = code.count('{'), code.count('}')
        for _ in range(min(closes, len(stack)) if code.startswith('}') else 0):
            stack.pop()
        if code.startswith('}'):
            closes = 0
        for _ in range(opens):
            stack.append(CONTROL.search(code) is not None and not code.endswith('){') or code.endswith(') {'))
        for _ in range(min(closes, len(stack))):
            stack.pop()
        deepest = max(deepest, sum(stack))
    return deepest


def check_file(path, text, complaints):
    """Appends (path, function or *, sentence)."""
    count = text.count('\n')
    limit = HEADER_LINES if path.endswith('.h') and not path.startswith('tests/') else FILE_LINES
    if count > limit:
        complaints.append((path, '*', f'{count} lines, more than {limit}'))
    if not path.endswith(('.c', '.h')):
        return
    if not text.startswith(LICENCE):
        complaints.append((path, '*', 'does not begin with the licence line'))
    code = COMMENTS.sub(blank, STRINGS.sub('""', text))
    if '//' in code:
        complaints.append((path, '*', 'has a // comment'))
    for name, line, params, body in functions(code):
        if len(body) > FUNCTION_LINES:
            complaints.append((path, name, f'line {line + 1}: {len(body)} lines, more than {FUNCTION_LINES}'))
        if params > PARAMETERS:
            complaints.append((path, name, f'line {line + 1}: {params} parameters, more than {PARAMETERS}'))
        if nesting(body) > NESTING:
            complaints.append((path, name, f'line {line + 1}: nested deeper than {NESTING}'))


def exceptions(path):
    """{(path, function)}: the ratchet may only shrink, so an exception that nobody needs is a complaint too."""
    if not os.path.exists(path):
        return set()
    with open(path, encoding='utf-8') as f:
        return {tuple(line.split()[:2]) for line in f if line.strip() and not line.startswith('#')}


def main():
    root, found = sys.argv[1], []
    paths = tree.files(root, ['.c', '.h', '.py', '.sh', '.ts', '.sql'], SOURCES | {'tools', 'web', 'migrations'})
    for path in paths:
        check_file(path, tree.read(root, path), found)
    allowed = exceptions(os.path.join(root, 'tests/style/sizes.except'))
    complaints = [f'{p}: {f}: {what}' for p, f, what in found if (p, f) not in allowed]
    complaints += [f'sizes.except: {p} {f} is not needed any more' for p, f in sorted(allowed - {x[:2] for x in found})]
    tree.finish('sizes', len(paths), complaints)


if __name__ == '__main__':
    main()
