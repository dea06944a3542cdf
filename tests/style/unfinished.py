#!/usr/bin/env python3
"""No mark of unfinished work in code, scripts or tests. Usage: unfinished.py ROOT"""
import os
import re
import sys

import tree

SUFFIXES = ['.c', '.h', '.py', '.sh', '.ts', '.tsx', '.sql', '.cmake', 'CMakeLists.txt', '.yaml', '.html', '.css']
SCRIPTS = ['check', 'quickstart', 'tests/style/purity', 'tests/support/with-postgres']
MARK = re.compile(r'\b(TODO|FIXME|XXX|TBD|HACK|WIP)\b|\b[Nn]ot (yet )?implemented\b|\b[Uu]nimplemented\b|\b[Ss]tub(bed|s)?\b')
SELF = {'tests/style/unfinished.py', 'tests/style/test_style.py', 'tests/style/CMakeLists.txt'}


def marks(path, text):
    return [f'{path}:{n}: {line.strip()}' for n, line in enumerate(text.split('\n'), 1) if MARK.search(line)]


def main():
    root, complaints = sys.argv[1], []
    paths = [p for p in tree.files(root, SUFFIXES) if p not in SELF]
    paths += [p for p in SCRIPTS if os.path.exists(os.path.join(root, p))]
    for path in paths:
        complaints += marks(path, tree.read(root, path))
    tree.finish('unfinished', len(paths), complaints)


if __name__ == '__main__':
    main()
