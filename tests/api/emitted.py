#!/usr/bin/env python3
"""Every kind of event in the catalogue was written by the program in some test. The tests put down
the kinds that their databases hold, a file each. Usage: emitted.py CATALOGUE FOLDER TEST…"""
import os
import re
import sys


def catalogue(path):
    with open(path, encoding='utf-8') as f:
        return re.findall(r'^\s*X\("([a-z0-9-]+)"', f.read(), re.M)


def main():
    kinds, seen = catalogue(sys.argv[1]), {}
    for test in sys.argv[3:]:
        with open(os.path.join(sys.argv[2], test), encoding='utf-8') as f:
            for kind in f.read().split():
                seen.setdefault(kind, test)
    missing = [k for k in kinds if k not in seen]
    for kind in missing:
        print(f'{kind}: no test has brought it about')
    print(f'{len(kinds)} kinds of events, {len(missing)} missing')
    return 1 if missing or len(kinds) < 30 or len(set(kinds)) != len(kinds) else 0


if __name__ == '__main__':
    sys.exit(main())
